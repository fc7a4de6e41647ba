"""Checkpoints inside a training: stopped and resumed as often as you like, it ends with the same bits."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from small import assert_close, assert_equal_bits, starts_of
from tickets.cells import Cell
from tickets.data import sources
from tickets.nets import models
from tickets.pruning import imp, prune, scores
from tickets.results.store import Store
from tickets.running import plan, work
from tickets.running.plan import DONE, PAUSED
from tickets.training import checkpoint, compiled
from tickets.training.checkpoint import Checkpoint, Paused
from tickets.training.recorder import Recorder
from tickets.training.train import train
from tiny import CHAIN, NET, assert_equal_tables, serial

DENSE = NET.but(steps=60)
MOMENTUM = {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9}
IMAGES = Cell(dataset="digits16", steps=6, batch=8)
POPULATIONS = {
    "perceptron": ("mlp", [DENSE]),
    "sparse perceptron, momentum": ("mlp", [DENSE.but(level=9, **MOMENTUM)]),
    "three perceptrons": ("mlp", [DENSE.but(level=4 * r, replicate=r) for r in range(3)]),
    "perceptrons from a rewind step on": ("mlp", [DENSE.but(level=1, rewind=7, replicate=r) for r in range(2)]),
    "perceptrons, Adam": ("autograd", [DENSE, DENSE.but(replicate=1)]),
    "dropout": ("autograd", [IMAGES.but(model="conv-2", dropout=0.5, replicate=r) for r in range(2)]),
    "compiled convolutions, dropout": (
        "conv",
        [IMAGES.but(model="conv-2", dropout=0.5, replicate=r) for r in range(2)],
    ),
    "compiled batch norm": (
        "conv",
        [IMAGES.but(model="resnet-20", weight_decay=1e-4, augment="flip_crop", **MOMENTUM)],
    ),
    "batch norm, momentum": ("autograd", [IMAGES.but(model="resnet-20", weight_decay=1e-4, **MOMENTUM)]),
}
SAVES = (2, 13, 50)
"""Steps whose weights are wanted: before and after a first pause of DENSE, and after the last stop."""


def trained(cells, path, keep=None, saves=()):
    """Outcomes of a population from its initial weights, random masks at the level of its cells."""
    dataset = sources.load(cells[0].dataset)
    model = models.build(cells[0].model, dataset.shape, dataset.classes)
    lottery = [scores.random({n: model.shapes[n] for n in model.prunable}, np.random.default_rng(0)) for _ in cells]
    masks = [
        prune.keep_top(s, imp.dense_mask(model), imp.ladder(c, model)) for c, s in zip(cells, lottery, strict=True)
    ]
    return train(cells, model, starts_of(cells, masks, model), path=path, keep=keep, saves=saves)[0]


def late(keep):
    """`keep.pause`, with the deadline over at the second look."""
    pause, looks = Checkpoint.pause.__get__(keep), iter(range(2))

    def paused(*state):
        keep.deadline = -np.inf if next(looks) == 1 else np.inf
        pause(*state)

    return paused


def in_sittings(cells, path, file, saves=()):
    """(outcomes, sittings before the last) where time is up at every second pause."""
    sittings = 0
    while True:
        keep = Checkpoint(file, {"cells": "mine"})
        keep.pause = late(keep)
        try:
            return trained(cells, path, keep, saves), sittings
        except Paused:
            sittings += 1


@pytest.mark.parametrize("name", POPULATIONS)
def test_resumed_training_gives_the_same_bits(tmp_path, request, name):
    """In a new process as far as the state can tell; saved weights are kept over all sittings."""
    path, cells = POPULATIONS[name]
    if cells[0].dataset == "digits16":
        request.getfixturevalue("few_digits")
    saves = [step for step in SAVES if cells[0].first_step < step <= cells[0].steps]
    whole = trained(cells, path, saves=saves)
    resumed, sittings = in_sittings(cells, path, tmp_path / "state", saves)
    assert sittings >= 2
    assert_equal_bits(resumed, whole)
    for outcome in resumed:
        assert sorted(outcome.saved) == saves
    Checkpoint(tmp_path / "state", {}).discard()
    assert not list(tmp_path.iterdir())


def test_weights_that_were_saved_before_a_pause_are_in_the_checkpoint(tmp_path):
    """Those of each network of the population, under its own step."""
    cells = [DENSE, DENSE.but(replicate=1)]
    with pytest.raises(Paused):
        trained(cells, "mlp", Checkpoint(tmp_path / "state", {}, deadline=-np.inf), SAVES)
    recorder = Recorder(cells, 10)
    step, arrays = Checkpoint(tmp_path / "state", {}).resume(recorder)
    assert step == 3
    for r, outcome in enumerate(trained(cells, "mlp", saves=SAVES)):
        found = {n.removeprefix(f"saved/2/{r}/"): a for n, a in arrays.items() if n.startswith(f"saved/2/{r}/")}
        assert_close(found, outcome.saved[2], 0)
    assert {name.split("/")[1] for name in arrays if name.startswith("saved/")} == {"2"}


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch):
    """Killed, not asked to stop: what was saved at the last minute's pause is not trained again."""
    monkeypatch.setattr(checkpoint, "EVERY", 0)
    whole, steps = trained([DENSE], "mlp"), []
    advance = compiled.advance

    def counting(*arguments):
        steps.append(len(arguments[5]))  # order
        if sum(steps) == 30:
            raise SystemExit("killed")
        advance(*arguments)

    monkeypatch.setattr(compiled, "advance", counting)
    with pytest.raises(SystemExit):
        trained([DENSE], "mlp", Checkpoint(tmp_path / "state", {}))
    assert_equal_bits(trained([DENSE], "mlp", Checkpoint(tmp_path / "state", {})), whole)
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


# through a run


def attempt(cell, store, cells=(), **named):
    """One sitting on a network that has to leave what `cells` need."""
    return work.attempt(store, "cpu", plan.leaves(plan.closure([cell, *cells])), (cell,), **named)


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
    assert attempt(NET, store, seconds=-np.inf) == PAUSED
    path = store.beside(NET, "part.safetensors")
    text = path.read_bytes()
    assert (
        json.loads(json.loads(text[8 : 8 + int.from_bytes(text[:8], "little")])["__metadata__"]["state"])["seconds"] > 0
    )
    assert attempt(NET, store) == DONE
    assert store.get(NET)["provenance"]["seconds"] >= 1000


def test_weights_at_a_rewind_step_outlast_a_pause_after_it(store):
    """The dense network is stopped between the step that tickets return to and its end."""
    ticket, paused = NET.but(level=1, rewind=2), 0
    while attempt(NET, store, [ticket], seconds=-np.inf) == PAUSED:
        paused += 1
    assert paused == 19
    undisturbed = Store(store.local.parent / "undisturbed", recorded=None)
    serial([ticket], undisturbed)
    assert_close(store.rewound(ticket), undisturbed.rewound(ticket), 0)


def test_a_checkpoint_without_the_weights_that_are_wanted_is_not_gone_on_from(store):
    """A ticket at a rewind step is asked for when its dense network, begun without it, is half-way and beyond."""
    ticket = NET.but(level=1, rewind=2)
    for _ in range(5):
        assert attempt(NET, store, seconds=-np.inf) == PAUSED
    table = serial([NET, ticket], store)
    assert len(table) == 2
