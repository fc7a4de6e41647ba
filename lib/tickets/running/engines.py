"""Engines: where populations are computed, and what a worker that dies leaves behind.

`work` hands populations to an executor, parents first, as many at a time as it has workers. An engine is such an
executor: this process, a pool of processes, or the workers of Dask. Durability is the store's affair: a result leaves
a worker through the store, and whatever an engine loses is computed again.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from graphlib import TopologicalSorter
from math import inf
from multiprocessing import get_context
from pathlib import Path

from ..cells import Cell
from ..errors import BadInput, choose
from .plan import DIED, DONE, KILLED, Population

ENGINES = ("serial", "processes", "dask")
PATIENCE = 30
"""Seconds to wait for a scheduler to answer, and for its first worker."""


def check(engine: str, workers: int | None = None) -> None:
    """BadInput for an engine that does not exist, or for several workers where it has its own.

    dask may name a scheduler, as dask:ADDRESS or dask:FILE.
    """
    name, colon, _ = engine.partition(":")
    choose("engine", engine if colon and name != "dask" else name, ENGINES)
    if (workers or 1) > 1 and (colon or name == "serial"):
        raise BadInput(f"workers {workers}: their number cannot be chosen for the engine {engine}")


def work(
    engine: str, todo: list[Population], compute: Callable[[Population, float], str],
    held: set[Population] = frozenset(), deadline: float = inf, workers: int | None = None, gpu: bool = False,
    parents: Callable[[Cell], list[Cell]] = Cell.parents,
) -> Iterator[tuple[Population, str]]:  # fmt: skip
    """Each population with how it ended (see `plan.KILLED`), in the order of `todo` as far as their parents allow.

    compute(population, seconds left): what a worker calls; it returns how it ended, and what it raises ends the run.
    held: populations not to be started. What waits for a held or failed population is never started. parents: cell ->
    the cells that it waits for. deadline: the monotonic time after which nothing is started. A population that was in
    flight when a worker died is computed once more, alone in a fresh process: if that dies too, it has failed.
    """
    home, place = {cell: group for group in todo for cell in group}, {group: i for i, group in enumerate(todo)}
    waiting = TopologicalSorter({g: {home[p] for cell in g for p in parents(cell) if p in home} for g in todo})
    waiting.prepare()
    ready, running, suspects = [], {}, []
    with _open(engine, workers, gpu) as pool:
        while True:
            ready = sorted([*ready, *(group for group in waiting.get_ready() if group not in held)], key=place.get)
            if time.monotonic() < deadline:
                free = max(0, pool.slots - len(running))
                alone = [] if running else suspects[:1]
                starting, ready = (alone, ready) if suspects else (ready[:free], ready[free:])
                for group in starting:
                    running[pool.submit(compute, group, deadline - time.monotonic())] = group
            if not running:
                return
            finished = wait(running, return_when=FIRST_COMPLETED).done
            if any(isinstance(future.exception(), BrokenProcessPool) for future in finished if not future.cancelled()):
                finished = wait(running).done  # one death ends all that the pool was computing
            for future in finished:
                group = running.pop(future)
                outcome = _outcome(future)
                if outcome == DIED and group not in suspects:
                    suspects.append(group)
                    continue
                suspects = [other for other in suspects if other != group]
                if outcome == DONE:
                    waiting.done(group)
                yield group, KILLED if outcome == DIED else outcome


def _outcome(future: Future) -> str:
    try:
        return future.result()
    except CancelledError as error:
        raise ConnectionError("the connection to the scheduler was lost: what is finished is in the store") from error
    except Exception as error:
        if isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker":
            return DIED  # perhaps by another population's fault
        raise


def cores() -> int:
    """Cores that this process may use, where the system tells; else those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# the executors


def _open(engine: str, workers: int | None, gpu: bool):
    workers = workers or (1 if gpu else cores())  # a GPU is one worker's
    if engine == "serial":
        return _Here()
    if engine == "processes":
        return _Processes(workers)
    return _dask(engine.partition(":")[2], workers, gpu)


class _Here(Executor):
    """This process, one population after the other."""

    slots = 1

    def submit(self, function, /, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


class _Processes:
    """One process a core, one thread each. They end with this one, however that ends."""

    def __init__(self, workers: int):
        self.slots = workers

    def __enter__(self):
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
        self.context = get_context("spawn")
        self.far_end, self.lifeline = self.context.Pipe(duplex=False)
        self._renew()
        return self

    def _renew(self) -> None:
        """A fresh pool in place of one that lost a process; its processes start when there is work for them."""
        self.pool = ProcessPoolExecutor(self.slots, self.context, _watch, (self.far_end,))

    def submit(self, *call) -> Future:
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what starts now leaves Ctrl-C to this one
        try:
            return self.pool.submit(*call)
        except BrokenProcessPool:  # one of its processes has died
            self._renew()
            return self.pool.submit(*call)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

    def __exit__(self, *_):
        # at once: after a mistake, a full disk or Ctrl-C what is in flight has its checkpoint, and an idle worker would
        # only take a second to put torch away
        self.lifeline.close()
        self.pool.shutdown(cancel_futures=True)
        self.far_end.close()


def _watch(lifeline) -> None:
    """Have this worker end when the other end of `lifeline` closes."""

    def end():
        try:
            lifeline.recv()
        finally:
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


@contextmanager
def _dask(where: str, workers: int, gpu: bool):
    """The workers of a Dask scheduler: a cluster on this machine by default, or one at an address or in a file."""
    try:
        import distributed
    except ImportError:
        raise BadInput("engine dask: the package distributed is not installed (extra dask)") from None
    if where and "://" not in where and not Path(where).is_file():
        raise BadInput(f"engine dask: no scheduler file {where!r}; give dask, dask:tcp://HOST:PORT or dask:FILE")
    with ExitStack() as opened:
        named = {"address" if "://" in where else "scheduler_file": where}
        if not where:
            cluster = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, resources={"GPU": 1} if gpu else {},
                memory_limit=0,  # the memory of a worker is the system's affair, not a reason to kill it
                dashboard_address=":0",  # any port that is free: with None it is 8787, which another run may have
            )  # fmt: skip
            named = {"address": opened.enter_context(cluster)}
        try:
            client = opened.enter_context(distributed.Client(**named, timeout=PATIENCE))
        except (OSError, ValueError) as error:
            raise BadInput(f"engine dask: no scheduler answers at {where} ({str(error).splitlines()[0]})") from error
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise BadInput(f"engine dask: the scheduler at {where} has no workers") from None
        yield _Dask(client, gpu)


class _Dask:
    """What takes work, through a client; BadInput where no worker could ever do it: it would wait in silence."""

    def __init__(self, client, gpu: bool):
        self.client, self.gpu = client, gpu
        self.submit = client.get_executor(pure=False, retries=0, resources={"GPU": 1} if gpu else None).submit
        if self._free() == 0:
            raise BadInput("engine dask: no worker has a GPU to give; start workers with --resources GPU=1")

    @property
    def slots(self) -> int:
        """Populations that the workers of this moment can compute at once; where all have died, one waits for more."""
        return max(1, self._free())

    def _free(self) -> int:
        workers = self.client.scheduler_info()["workers"].values()
        return int(sum(w["resources"].get("GPU", 0) if self.gpu else w["nthreads"] for w in workers))
