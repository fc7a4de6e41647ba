"""Faults of the machine: they end the run in one line that names the thing, and no network is marked as failed."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from made_up import a_study
from tickets import chapters, cli
from tickets.cells import Cell
from tickets.errors import MachineFault
from tickets.files import ROOT
from tickets.running import faults, run, work
from tickets.training import compiled
from tiny import CHAIN, NET, TINY, assert_equal_tables, files, serial

STUDY = "01_winning_tickets"


@pytest.fixture
def ends(store, monkeypatch, capsys):
    """A function that runs some cells by the command line: the exit status, and the one line that it said."""
    monkeypatch.setattr(cli, "Store", lambda: store)

    def end(cells, *more):
        monkeypatch.setitem(chapters.STUDIES, STUDY, a_study(cells))
        status = cli.main(["run", STUDY, *(more or ["--engine", "serial"])])
        out, err = capsys.readouterr()
        (line,) = [line for line in err.splitlines() if "populations" not in line]
        assert out == ""
        assert not files(store, "error.json")
        assert faults.failed(store, cells) == {}
        return status, line

    return end


def broken(monkeypatch, error):
    """Have every training end in an error."""

    def train(*_, **__):
        raise error

    monkeypatch.setattr(work, "train", train)


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_data_that_cannot_be_read(tmp_path, monkeypatch, ends, engine):
    raw = tmp_path / "data" / "MNIST" / "raw"
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").mkdir(parents=True)  # to root every file is readable
    monkeypatch.setenv("TICKETS_DATA", str(tmp_path / "data"))
    status, line = ends([Cell(steps=2)], "--engine", engine, "--workers", "1")
    assert status == 1
    assert line == f"tickets: {raw / 'train-images-idx3-ubyte'} cannot be read: Is a directory; {cli.GOES_ON}"


def test_a_compile_cache_that_cannot_be_written(tmp_path):
    """Neither beside the library nor at home: files stand in place of both folders, as root may write anywhere."""
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (tmp_path / "lib/tickets/training/__pycache__").touch()
    (tmp_path / ".cache").touch()
    env = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "lib")}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "TICKETS_COMPILED"):
        env.pop(name, None)
    command = [sys.executable, "-m", "tickets", "run", STUDY, "--engine", "serial", "--store", str(tmp_path / "local")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith("tickets: cannot cache function ")
    assert str(tmp_path / "lib/tickets/training") in line
    assert not list(tmp_path.glob("local/??/*"))


def test_compiled_code_is_kept_apart_by_all_that_is_compiled_into_it(tmp_path):
    """An edit of any module of the kernels, not only of the one that an entry stands in, is compiled anew."""
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "lib"), "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    code = (
        "from tickets.training import passes; print(*[e.stats.cache_path for e in (passes.advance, passes.evaluate)])"
    )
    kept = lambda: subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split()  # noqa: E731
    first = kept()
    assert all(path.startswith(str(tmp_path / "kept")) for path in first)
    with (tmp_path / "lib/tickets/training/planes.py").open("a") as file:
        file.write("# edited\n")
    assert not set(first) & set(kept())


def test_a_compile_cache_that_is_full(monkeypatch, ends):
    monkeypatch.delenv("TICKETS_COMPILED", raising=False)

    def compile_now(command, **_):
        said = "Traceback (most recent call last):\n  ...\nOSError: [Errno 28] No space left on device\n"
        raise subprocess.CalledProcessError(1, command, stderr=said)

    monkeypatch.setattr(compiled.subprocess, "run", compile_now)
    said = "tickets: compiling failed: OSError: [Errno 28] No space left on device"
    assert ends(CHAIN) == (1, f"{said}; {cli.GOES_ON}")


def test_a_gpu_that_is_out_of_memory(tiny, store, monkeypatch, ends):
    """The same command goes on once there is room."""
    said = "CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has a total capacity of 15.77 GiB"
    with monkeypatch.context() as patch:
        broken(patch, torch.OutOfMemoryError(said))
        status, line = ends(TINY)
    assert (status, line.count("out of memory: ")) == (1, 1)
    assert line.startswith("tickets: out of memory: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has")
    assert_equal_tables(serial(TINY, store), tiny[1])


def raised(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        raised(np.zeros, 2**50),
        raised(torch.zeros, 2**50),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: invalid device ordinal"),
        RuntimeError("Found no NVIDIA driver on your system."),
        RuntimeError("No CUDA GPUs are available"),
        AssertionError("Torch not compiled with CUDA enabled"),
        AssertionError("Invalid device id"),
        PermissionError(13, "Permission denied", "/data/MNIST"),
        ConnectionResetError("the scheduler is gone"),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:20]}",
)
def test_what_the_system_or_a_device_refuses_is_no_failed_network(store, monkeypatch, error):
    broken(monkeypatch, error)
    with pytest.raises(MachineFault) as caught:
        serial([NET], store)
    assert len(str(caught.value).splitlines()) == 1
    assert not files(store, "error.json")


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("poison"), ValueError("two ends are one network"), AssertionError()]
)
def test_anything_else_is_a_failed_network(store, monkeypatch, error):
    broken(monkeypatch, error)
    serial([NET], store, say=lambda line: None)
    assert type(error).__name__ in faults.failure(store, NET)["traceback"]


def test_a_gpu_of_a_number_that_is_not_there(monkeypatch, ends):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    said = "tickets: device 'cuda:7': there are 1 here, cuda:0 to cuda:0"
    assert ends(CHAIN, "--engine", "serial", "--device", "cuda:7") == (2, said)
    for device in ("cuda", "cuda:0"):
        run.check_device(device)
    run.check_device("cuda:7", remote=True)  # other machines answer for themselves


def test_work_that_is_finished_and_not_in_the_store_is_an_error(store, monkeypatch, ends):
    monkeypatch.setattr(work, "attempt", lambda *_: work.DONE)
    status, line = ends(CHAIN)
    assert status == 1
    assert line.startswith(f"tickets: {CHAIN[0]} is computed, and not in {store.local}: ")
