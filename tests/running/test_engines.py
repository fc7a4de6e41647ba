"""Engines under faults: who fails is named, all others finish, nobody is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from math import inf
from pathlib import Path

import dask
import distributed
import faulty
import pytest
from tickets.cells import Cell
from tickets.errors import BadInput
from tickets.files import ROOT
from tickets.running import engines
from tickets.running.plan import DONE, KILLED

HERE = Path(__file__).parent
NET = Cell(dataset="digits", steps=20)
TODO = [(NET.but(replicate=r, level=level),) for r in range(5) for level in range(2)]
FAULTS = {1: "die once", 2: "die", 3: "raise"}


def work(folder, ways, engine="processes", todo=TODO, **named):
    """Outcomes by (replicate, level), and how often each population was computed."""
    job = partial(faulty.compute, folder, ways)
    outcomes = {
        (group[0].replicate, group[0].level): outcome
        for group, outcome in engines.work(engine, todo, job, workers=2, **named)
    }
    log = faulty.lines(folder, "log")
    return outcomes, {name: log.count(f"{name[0]} {name[1]}") for name in outcomes}


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_who_fails_is_named_and_all_others_finish(tmp_path, engine):
    """One worker is killed once, one population kills every worker it gets, one raises: their children stay undone."""
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):  # as the pool of processes does
        outcomes, calls = work(tmp_path, FAULTS, engine)
    fine = {(r, level) for r in (0, 1, 4) for level in range(2)}
    assert {name for name, outcome in outcomes.items() if outcome == DONE} == fine
    assert set(outcomes) - fine == {(2, 0), (3, 0)}  # level 1 of these was never started
    assert outcomes[2, 0].startswith(KILLED)
    assert outcomes[3, 0] == "Traceback: poison\n"
    assert calls[1, 0] >= 2
    assert calls[2, 0] >= 1  # alone, for certain; the first time it may have been in flight only, when another died
    if engine == "processes":
        assert calls[3, 0] == 1
    else:  # a result that Dask loses with its worker, before it was fetched, is computed again
        assert calls[3, 0] >= 1
    log = [tuple(map(int, line.split())) for line in faulty.lines(tmp_path, "log")]
    assert all(log.index((r, 0)) < log.index((r, 1)) for r, level in fine if level)


def test_what_is_held_is_not_started(tmp_path):
    outcomes, _ = work(tmp_path, {}, "serial", held={TODO[0], TODO[4]})
    assert set(outcomes) == {(r, level) for r in (1, 3, 4) for level in range(2)}
    assert not {"0 0", "0 1", "2 0", "2 1"} & set(faulty.lines(tmp_path, "log"))


def test_nothing_starts_after_the_deadline(tmp_path):
    for engine in ("serial", "processes"):
        assert work(tmp_path, {}, engine, deadline=-inf) == ({}, {})
    assert not faulty.lines(tmp_path, "log")


def test_a_mistake_ends_the_run_at_once(tmp_path):
    """Also while another worker is busy for minutes; no process is left."""
    with pytest.raises(BadInput, match="wrong bytes"):
        work(tmp_path, {0: "hang", 1: "refuse"})
    (pid,) = faulty.lines(tmp_path, "hanging")
    faulty.wait_for(lambda: not alive(int(pid)))
    assert not multiprocessing.active_children()


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


PARENT = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background of a shell ignores Ctrl-C
sys.path.insert(0, sys.argv[1])
if __name__ == "__main__":
    from test_engines import work
    work(Path(sys.argv[2]), {r: "hang" for r in range(5)})
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("how", "busy"),
    [(signal.SIGKILL, True), (signal.SIGINT, True), (signal.SIGINT, False)],
    ids=["killed", "Ctrl-C", "Ctrl-C while they start"],
)
def test_workers_end_with_their_run(tmp_path, how, busy):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "lib"), str(HERE.parent)])}
    command = [sys.executable, script, HERE, tmp_path]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        find = lambda: faulty.lines(tmp_path, "hanging") if busy else children.read_text().split()  # noqa: E731
        faulty.wait_for(lambda: len(find()) >= 2)
        workers = [int(pid) for pid in find()]
        assert all(map(alive, workers))
        (os.killpg if how == signal.SIGINT else os.kill)(parent.pid, how)  # a terminal interrupts the whole group
        told = parent.communicate()[1]
    faulty.wait_for(lambda: not any(map(alive, workers)))
    assert parent.returncode != 0
    assert told.count("Traceback") == (how == signal.SIGINT)  # the parent's own, none of a worker


@pytest.mark.parametrize("engine", ["threads", "serial:1", "processes:", "", "dask2"])
def test_an_unknown_engine_is_named(engine):
    with pytest.raises(BadInput, match=f"unknown engine '{engine}': choose from serial, processes, dask"):
        engines.check(engine)


@pytest.mark.parametrize("engine", ["serial", "dask:tcp://somewhere:8786"])
def test_workers_are_refused_where_they_cannot_be_chosen(engine):
    with pytest.raises(BadInput, match=f"workers 3: their number cannot be chosen for the engine {engine}"):
        engines.check(engine, workers=3)
    engines.check(engine, workers=1)
    for other in ("processes", "dask"):
        engines.check(other, workers=3)


def test_there_are_as_many_workers_as_cores_that_this_process_may_use(monkeypatch):
    """Not as the machine has: a job of four cores on a node of ninety-six gets four. A GPU is one worker's."""
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 8, 9}, raising=False)
    slots = lambda *given: engines._open("processes", *given).slots  # noqa: E731
    assert (slots(None, False), slots(None, True), slots(7, False)) == (4, 1, 7)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert slots(None, False) == 96


# dask


@pytest.mark.parametrize(
    ("engine", "message"),
    [("dask:/no/such/file.json", "no scheduler file '/no/such/file.json'"), ("dask:tcp://127.0.0.1:1", "no scheduler")],
)
def test_a_scheduler_that_is_not_there_is_named(tmp_path, monkeypatch, engine, message):
    monkeypatch.setattr(engines, "PATIENCE", 1)
    with pytest.raises(BadInput, match=message):
        work(tmp_path, {}, engine)


def test_a_gpu_that_no_worker_has_is_refused(tmp_path):
    """Dask itself would wait for one in silence."""

    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        with pytest.raises(BadInput, match="no worker has a GPU"):
            work(tmp_path, {}, f"dask:{cluster.scheduler_address}", gpu=True)
        assert not faulty.lines(tmp_path, "log")
    outcomes, _ = work(tmp_path, {}, "dask", todo=TODO[:2], gpu=True)
    assert set(outcomes.values()) == {DONE}


def test_without_dask_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInput, match="distributed is not installed"):
        work(tmp_path, {}, "dask")


def test_who_is_blamed_for_another_s_death_is_tried_alone(monkeypatch):
    """Dask names every population that a dying worker had in hand; only one that dies alone has failed."""
    tries = []

    class Pool:
        slots = 2

        def submit(self, compute, group, left):
            tries.append([group[0].replicate])
            future = Future()
            if (group[0].replicate == 1 and tries.count([1]) == 1) or group[0].replicate == 2:
                future.set_exception(distributed.scheduler.KilledWorker("a task", None, 1))
            else:
                future.set_result(DONE)
            return future

    monkeypatch.setattr(engines, "_open", lambda *_: nullcontext(Pool()))
    todo = [group for group in TODO if group[0].level == 0][:3]
    outcomes = {group[0].replicate: outcome for group, outcome in engines.work("dask", todo, None)}
    assert outcomes == {0: DONE, 1: DONE, 2: KILLED}
    assert tries.count([1]) == tries.count([2]) == 2
