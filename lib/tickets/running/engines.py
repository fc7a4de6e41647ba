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
from math import inf
from multiprocessing import get_context
from pathlib import Path

from ..cells import Cell
from ..errors import BadInput, choose
from .outcomes import DIED, DONE, KILLED
from .plan import Population

ENGINES = ("serial", "processes", "dask")
PATIENCE = 30
"""Seconds to wait for a scheduler to answer, and for its first worker."""


def check(engine: str) -> None:
    """BadInput for an engine that does not exist; dask may name a scheduler, as dask:ADDRESS or dask:FILE."""
    name, colon, _ = engine.partition(":")
    choose("engine", engine if colon and name != "dask" else name, ENGINES)


def work(
    engine: str,
    todo: list[Population],
    compute: Callable[[Population, float], str],
    held: set[Population] = frozenset(),
    deadline: float = inf,
    workers: int | None = None,
    gpu: bool = False,
    parents: Callable[[Cell], list[Cell]] = Cell.parents,
) -> Iterator[tuple[Population, str]]:
    """Each population with how it ended (see `outcomes`).

    compute(population, seconds left): what a worker calls; it returns how it ended, and what it raises ends the run.
    held: populations not to be started. What waits for a held or failed population is never started. parents: cell ->
    the cells that it waits for. deadline: the monotonic time after which nothing is started. A population that was in
    flight when a worker died is computed once more, alone in a fresh process: if that dies too, it has failed.
    """
    queue, running, suspects = Queue(todo, held, parents), {}, []
    with _open(engine, workers, gpu) as pool:
        while True:
            if time.monotonic() < deadline:
                alone = [] if running else suspects[:1]
                for group in alone if suspects else queue.take(pool.slots - len(running)):
                    running[pool.submit(compute, group, deadline - time.monotonic())] = group
            if not running:
                return
            finished = wait(running, return_when=FIRST_COMPLETED).done
            if any(isinstance(future.exception(), BrokenProcessPool) for future in finished if not future.cancelled()):
                finished = wait(running).done  # one death ends all that the pool was computing
                pool.renew()
            for future in finished:
                group = running.pop(future)
                outcome = _outcome(future)
                if outcome == DIED and group not in suspects:
                    suspects.append(group)
                    continue
                suspects = [other for other in suspects if other != group]
                if outcome == DONE:
                    queue.done(group)
                yield group, KILLED if outcome == DIED else outcome


def _outcome(future: Future) -> str:
    try:
        return future.result()
    except BrokenProcessPool:
        return DIED
    except CancelledError as error:
        raise ConnectionError("the connection to the scheduler was lost: what is finished is in the store") from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # Dask has tried it on several workers
            return f"{KILLED}\n{error}"
        raise


class Queue:
    """Populations in the order of their value, each held back until what it starts from is done."""

    def __init__(self, todo: list[Population], held: set[Population] = frozenset(), parents=Cell.parents):
        ours = {cell for group in todo for cell in group}
        needs = lambda group: ours.intersection(parent for cell in group for parent in parents(cell))  # noqa: E731
        self.needs = {group: needs(group) for group in todo if group not in held}

    def take(self, n: int) -> list[Population]:
        """The first n populations that can start, which are then no longer in the queue."""
        ready = []
        for group, needs in self.needs.items():
            if len(ready) >= n:
                break
            if not needs:
                ready.append(group)
        for group in ready:
            del self.needs[group]
        return ready

    def done(self, group: Population) -> None:
        """What starts from this population no longer waits for it."""
        for needs in self.needs.values():
            needs.difference_update(group)


def cores() -> int:
    """Cores that this process may use, where the system tells; else those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# the executors


def _open(engine: str, workers: int | None, gpu: bool):
    if engine == "serial":
        return _Here()
    if engine == "processes":
        return _Processes(workers or (1 if gpu else cores()))  # a GPU is one worker's
    return _Dask(engine.partition(":")[2], workers, gpu)


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
        self.renew()
        return self

    def renew(self) -> None:
        """A fresh pool in place of one that lost a process; its processes start when there is work for them."""
        self.pool = ProcessPoolExecutor(self.slots, self.context, _watch, (self.far_end,))

    def submit(self, *call) -> Future:
        try:
            return self.pool.submit(*call)
        except BrokenProcessPool:  # an idle worker died since the last outcome
            self.renew()
            return self.pool.submit(*call)

    def __exit__(self, *_):
        # at once: after a mistake, a full disk or Ctrl-C what is in flight has its checkpoint, and an idle worker would
        # only take a second to put torch away
        self.lifeline.close()
        self.pool.shutdown(cancel_futures=True)
        self.far_end.close()


def _watch(lifeline) -> None:
    """Have this worker end when the other end of `lifeline` closes, and leave Ctrl-C to the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end():
        try:
            lifeline.recv()
        finally:
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


class _Dask:
    """The workers of a Dask scheduler: a cluster on this machine by default, or one at an address or in a file."""

    def __init__(self, where: str, workers: int | None, gpu: bool):
        self.where, self.workers, self.gpu = where, workers, gpu

    def __enter__(self):
        try:
            import distributed
        except ImportError:
            raise BadInput("engine dask: the package distributed is not installed (extra dask)") from None
        self.cluster = None
        if not self.where:
            # a GPU is one worker's; the memory of a worker is the system's affair, not a reason to kill it
            count, resources = (self.workers or 1, {"GPU": 1}) if self.gpu else (self.workers or cores(), {})
            self.cluster = distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, memory_limit=0, resources=resources,
                dashboard_address=":0",  # any port that is free: with None it is 8787, which another run may have
            )  # fmt: skip
        self.client = self._connect(distributed)
        try:
            self._refuse_what_never_starts()
        except BaseException:
            self.__exit__()
            raise
        needs = {"GPU": 1} if self.gpu else None
        self.executor = self.client.get_executor(pure=False, retries=0, resources=needs)
        return self

    def _connect(self, distributed):
        if self.where and "://" not in self.where and not Path(self.where).is_file():
            raise BadInput(
                f"engine dask: no scheduler file {self.where!r}; give dask, dask:tcp://HOST:PORT or dask:FILE"
            )
        named = {"scheduler_file": self.where} if "://" not in self.where else {"address": self.where}
        try:
            return distributed.Client(**(named if self.where else {"address": self.cluster}), timeout=PATIENCE)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"engine dask: no scheduler answers at {self.where} ({reason})") from error

    def _refuse_what_never_starts(self) -> None:
        """A task that no worker can take would wait in silence for ever."""
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise BadInput(f"engine dask: the scheduler at {self.where} has no workers") from None
        if self._free() == 0:
            raise BadInput("engine dask: no worker has a GPU to give; start workers with --resources GPU=1")

    @property
    def slots(self) -> int:
        """Populations that the workers of this moment can compute at once; where all have died, one waits for more."""
        return max(1, self._free())

    def _free(self) -> int:
        workers = self.client.scheduler_info()["workers"].values()
        return int(sum(w["resources"].get("GPU", 0) if self.gpu else w["nthreads"] for w in workers))

    def submit(self, *call) -> Future:
        return self.executor.submit(*call)

    def __exit__(self, *_):
        self.client.close()
        if self.cluster:
            self.cluster.close()
