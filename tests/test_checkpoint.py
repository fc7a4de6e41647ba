"""Checkpoints inside a training: stopped and resumed as often as you like, it ends with the same bits."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from test_run import CHAIN, NET, assert_equal_tables, serial
from tickets import checkpoint, data, imp, models, prune, run, scores, train
from tickets.cells import Cell
from tickets.checkpoint import Checkpoint, Paused
from tickets.masks import Mask
from tickets.recorder import Recorder
from tickets.store import Store

DENSE = NET.but(steps=60)
IMAGES = Cell(dataset="digits16", steps=6, batch=8)
POPULATIONS = {
    "perceptron": ("mlp", [DENSE]),
    "sparse perceptron, momentum": ("mlp", [DENSE.but(level=9, optimizer="sgd", learning_rate=0.1, momentum=0.9)]),
    "perceptrons, Adam": ("autograd", [NET.but(steps=6), NET.but(steps=6, replicate=1)]),
    "dropout": ("autograd", [IMAGES.but(model="conv-2", dropout=0.5, replicate=r) for r in range(2)]),
    "batch norm, momentum": (
        "autograd",
        [IMAGES.but(model="resnet-20", optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-4)],
    ),
}


def trained(cells, path, keep=None):
    """Outcomes of a population from its initial weights, random masks at the level of its cells."""
    dataset = data.load(cells[0].dataset)
    model = models.build(cells[0].model, dataset.shape, dataset.classes)
    weights = [imp.initial(cell, model) for cell in cells]
    lottery = [scores.random({n: model.shapes[n] for n in model.prunable}, np.random.default_rng(0)) for _ in cells]
    masks = [
        prune.keep_top(s, imp.dense_mask(model), imp.ladder(c, model)) for c, s in zip(cells, lottery, strict=True)
    ]
    assert isinstance(masks[0], Mask)
    return train.train(cells, model, weights, masks, path=path, keep=keep)[0]


def assert_equal_outcomes(some, others):
    for one, other in zip(some, others, strict=True):
        assert (one.result, one.curves, one.wrong) == (other.result, other.curves, other.wrong)
        for name, array in one.weights.items():
            np.testing.assert_array_equal(array, other.weights[name])


@pytest.mark.parametrize("name", POPULATIONS)
def test_resumed_training_gives_the_same_bits(tmp_path, request, name):
    """Time is up at every second pause, in a new process as far as the state can tell."""
    path, cells = POPULATIONS[name]
    if path == "autograd":
        request.getfixturevalue("few_digits")
    whole, sittings = trained(cells, path), 0
    while True:
        keep = Checkpoint(tmp_path / "state", {"cells": name})
        keep.pause = late(keep)
        try:
            resumed = trained(cells, path, keep)
            break
        except Paused:
            sittings += 1
    assert sittings >= 2
    assert_equal_outcomes(resumed, whole)
    keep.discard()
    assert not list(tmp_path.iterdir())


def late(keep):
    """`keep.pause`, with the deadline over at the second look."""
    pause, looks = Checkpoint.pause.__get__(keep), iter(range(2))

    def paused(*state):
        keep.deadline = -np.inf if next(looks) == 1 else np.inf
        pause(*state)

    return paused


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch):
    """Killed, not asked to stop: what was saved at the last minute's pause is not trained again."""
    monkeypatch.setattr(checkpoint, "EVERY", 0)
    whole, steps = trained([DENSE], "mlp"), []
    advance = train.mlp.advance

    def counting(*arguments):
        steps.append(len(arguments[9]))  # order
        if sum(steps) == 30:
            raise SystemExit("killed")
        advance(*arguments)

    monkeypatch.setattr(train.mlp, "advance", counting)
    with pytest.raises(SystemExit):
        trained([DENSE], "mlp", Checkpoint(tmp_path / "state", {}))
    assert_equal_outcomes(trained([DENSE], "mlp", Checkpoint(tmp_path / "state", {})), whole)
    assert sum(steps) == DENSE.steps + steps[0]  # but for the stretch it was killed in


def test_between_checkpoints_nothing_is_written(tmp_path):
    trained([DENSE], "mlp", Checkpoint(tmp_path / "state", {}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spoil", ["cut off", "a pickle", "another owner", "no metadata"])
def test_a_file_of_anything_else_is_ignored(tmp_path, spoil):
    path = tmp_path / "state"
    keep = Checkpoint(path, {"cells": "mine"}, deadline=-np.inf)
    with pytest.raises(Paused):
        trained([DENSE], "mlp", keep)
    content = {
        "cut off": path.read_bytes()[:-10],
        "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.",
        "another owner": path.read_bytes().replace(b"mine", b"hers"),
        "no metadata": path.read_bytes().replace(b"__metadata__", b"__metedata__"),
    }[spoil]
    path.write_bytes(content)
    recorder = Recorder([DENSE], 10)
    assert Checkpoint(path, {"cells": "mine"}).resume(recorder) is None
    assert not recorder.curves[0]["step"]


def test_a_limit_shorter_than_a_cell_still_makes_progress(tmp_path, store, monkeypatch):
    """Runs of which each gets no further than one pause, until all is done: the undisturbed table, and nothing left."""
    undisturbed = Store(tmp_path / "undisturbed", recorded=None)
    table = serial(CHAIN[:2], undisturbed)
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: np.inf))
    runs = 0
    while any(cell not in store for cell in CHAIN[:2]):
        serial(CHAIN[:2], store, minutes=60)
        runs += 1
    assert runs > 20  # 20 stretches a cell
    assert_equal_tables(store.table(CHAIN[:2]), table)
    assert not list(store.local.rglob("*.part.*"))


def test_earlier_sittings_count_as_cost(store, monkeypatch):
    clock = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert run.attempt(store, "cpu", set(), (NET,), left=-np.inf) == "paused"
    path = store.beside(NET, "part.safetensors")
    text = path.read_bytes()
    assert (
        json.loads(json.loads(text[8 : 8 + int.from_bytes(text[:8], "little")])["__metadata__"]["state"])["seconds"] > 0
    )
    assert run.attempt(store, "cpu", set(), (NET,)) == "done"
    assert store.get(NET)["provenance"]["seconds"] >= 1000
