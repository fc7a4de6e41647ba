"""What makes numbers repeat: threads in a clean environment, settings of a GPU, and what a checkpoint belongs to."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tickets.running import plan, work
from tickets.running.plan import DONE, PAUSED
from tickets.training.compiled import Compiled
from tiny import NET

TWICE = """
import json
import sys

import numpy as np
from threadpoolctl import threadpool_info
from tickets.cells import Cell
from tickets.results.store import Store
from tickets.running import run, work

NET, found, threads, train = Cell(dataset="digits16", steps=40), [], [], work.train


def watched(*arguments, **named):
    outcome = train(*arguments, **named)
    threads.append([library["num_threads"] for library in threadpool_info()])
    return outcome


work.train = watched
for folder in sys.argv[1:]:
    store = Store(folder, recorded=None)
    run.run([NET], engine="serial", store=store, tell=lambda *_: None)
    found.append((store.get(NET), store.tensors(NET)))
(one, first), (other, second) = found
equal = [np.array_equal(first[name], second[name]) for name in first]
equal += [one["result"] == other["result"], one["curves"] == other["curves"]]
print(json.dumps({"threads": threads, "said": [r["provenance"]["threads"] for r in (one, other)], "equal": equal}))
"""


def test_the_first_training_of_a_process_has_the_bits_of_the_second(tmp_path):
    """Where nothing in the environment limits threads, as in a user's shell: this configuration of pytest does."""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", TWICE, str(tmp_path / "first"), str(tmp_path / "second")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(found["equal"])
    assert found["said"] == [1, 1]
    first, second = found["threads"]
    assert len(first) >= 2  # torch's, and the matrix products that numba takes from SciPy
    assert set(first) == set(second) == {1}


CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@pytest.fixture
def careless(monkeypatch):
    """Settings of a GPU as a user may have them, put back afterwards."""
    monkeypatch.setenv(CUBLAS, "")
    monkeypatch.delenv(CUBLAS)
    for name, value in {"allow_tf32": True, "deterministic": False, "benchmark": True}.items():
        monkeypatch.setattr(torch.backends.cudnn, name, value)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def test_a_gpu_computes_in_float32_and_repeats_itself(careless):
    work.settle("cuda:0")
    assert torch.backends.cuda.matmul.allow_tf32 is False
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cudnn.allow_tf32 is False
    assert torch.backends.cudnn.deterministic is True
    assert torch.backends.cudnn.benchmark is False
    assert os.environ[CUBLAS] == ":4096:8"


@pytest.mark.parametrize("cell", [NET, NET.but(arm="chord", points=3)], ids=["trained", "measured"])
def test_whatever_is_computed_is_settled_first(store, monkeypatch, cell):
    seen = []
    monkeypatch.setattr(work, "settle", seen.append)
    monkeypatch.setattr(work, "name_of", lambda device: "a GPU")
    monkeypatch.setattr(work, "provenance", lambda *_: {})
    for name in ("_train", "_measure"):
        monkeypatch.setattr(work, name, lambda *_: seen.append("begun") or ([], ""))
    monkeypatch.setattr(work.imp, "starts", lambda *_: [])
    with pytest.raises(ValueError, match="shorter"):  # nothing came out
        work.compute((cell,), store, "cuda:0", plan.leaves([cell]))
    assert seen == ["cuda:0", "begun"]


# what a checkpoint belongs to


@pytest.fixture
def sit(store, monkeypatch):
    """A function that trains a population for one pause, or to its end, on a processor of some name; its steps."""
    steps, advance = [], Compiled.advance

    def watched(path, begin, end):
        steps.append(begin)
        advance(path, begin, end)

    monkeypatch.setattr(Compiled, "advance", watched)

    def sit(cells, name="this one", seconds=-np.inf):
        monkeypatch.setattr(work, "name_of", lambda device: name)
        steps.clear()
        outcome = work.attempt(store, "cpu", plan.leaves(plan.closure(cells)), cells, seconds=seconds)
        return outcome, steps[0]

    return sit


PAIR = (NET, NET.but(replicate=1))


def test_a_checkpoint_goes_on_on_a_device_of_the_same_name_only(sit):
    assert [sit(PAIR) for _ in range(3)] == [(PAUSED, 0), (PAUSED, 1), (PAUSED, 2)]
    assert sit(PAIR, "another") == (PAUSED, 0)
    assert sit(PAIR, "another") == (PAUSED, 1)
    assert sit(PAIR, "another", seconds=np.inf) == (DONE, 2)


def test_a_checkpoint_of_another_population_is_not_gone_on_from(sit):
    """Networks are stacked: with other neighbours sums may come in another order."""
    assert [sit(PAIR) for _ in range(3)] == [(PAUSED, 0), (PAUSED, 1), (PAUSED, 2)]
    assert sit(PAIR[:1]) == (PAUSED, 0)
    assert sit(PAIR[:1]) == (PAUSED, 1)
