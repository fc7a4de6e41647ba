"""Steps on a GPU as graphs, at the shapes of the papers' networks: to the bit what is launched kernel by kernel."""

import numpy as np
import pytest
import torch
from small import assert_close, assert_equal_bits
from tickets.cells import Cell
from tickets.chapters.supermasks import learned
from tickets.data import dataset, sources
from tickets.nets import models
from tickets.pruning import imp, prune, scores
from tickets.pruning.imp import Start
from tickets.pruning.masks import Mask
from tickets.running import run, work
from tickets.seeds import stream
from tickets.training import autograd
from tickets.training.checkpoint import Checkpoint, Paused
from tickets.training.train import train

DEVICE = "cuda"
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SGD = {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "output_rate": 0}
CELLS = {
    "lenet": Cell(steps=60),
    "lenet, momentum": Cell(steps=60, warmup=20, drops=(40,), inputs="standard", **SGD),
    "conv-2": Cell(dataset="cifar10", model="conv-2", steps=40, learning_rate=2e-4, dropout=0.5),
    "resnet-20": Cell(
        dataset="cifar10", model="resnet-20", steps=20, batch=128, scope="global", augment="flip_crop",
        inputs="standard", warmup=10, **SGD,
    ),
    "vgg-16, in parts": Cell(
        dataset="cifar10", model="vgg-16", steps=6, batch=64, micro_batch=32, scope="global", **SGD,
    ),
}  # fmt: skip


@pytest.fixture
def pictures(monkeypatch):
    """Random images in the place of MNIST and CIFAR-10, of their shapes, few of them held out."""
    work.settle(DEVICE)
    places = np.arange(6000)
    monkeypatch.setattr(dataset, "split", lambda images, replicate: (places[100:], places[:100]))

    def load(name):
        shape = (1, 28, 28) if name == "mnist" else (3, 32, 32)
        draw = stream("sample")
        x = torch.from_numpy(draw.integers(256, size=(6000, *shape), dtype=np.uint8))
        y = torch.from_numpy(draw.integers(10, size=6000))
        return dataset.Dataset(name, x, y, x[:100], y[:100], classes=10)

    monkeypatch.setattr(sources, "load", load)


def population(cell, R=3):
    """R networks, the last of them sparse, as (cells, model, starts)."""
    shape = (1, 28, 28) if cell.dataset == "mnist" else (3, 32, 32)
    model = models.build(cell.model, shape, 10)
    cells = [cell.but(replicate=r) for r in range(R)]
    lottery = scores.random({name: model.shapes[name] for name in model.prunable}, stream("mask"))
    sparse = prune.keep_top(lottery, imp.dense_mask(model), imp.ladder(cell.but(level=5), model))
    masks = [imp.dense_mask(model)] * (R - 1) + [sparse]
    return cells, model, [Start(m.apply(imp.initial(c, model)), m) for c, m in zip(cells, masks, strict=True)]


def trained(cells, model, starts, device=DEVICE, **options):
    """What each network leaves."""
    return train(cells, model, starts, device, path="autograd", **options)[0]


@GPU
@pytest.mark.parametrize("name", CELLS)
def test_a_graph_changes_no_bit(pictures, monkeypatch, name):
    found = trained(*population(CELLS[name]))
    monkeypatch.setattr(autograd, "recordable", lambda device: False)
    assert_equal_bits(found, trained(*population(CELLS[name])))


@GPU
@pytest.mark.parametrize("name", CELLS)
def test_a_gpu_and_a_cpu_agree(pictures, name):
    """In float64, where rounding cannot grow to anything in so few steps; dropout is drawn by each device's own."""
    cell = CELLS[name].but(precision="float64", steps=3, warmup=0, drops=(), dropout=0, batch=8, micro_batch=0)
    cell = cell.but(learning_rate=2**-10)  # a float32 on a GPU, whatever the precision
    there = trained(*population(cell, R=2))
    here = trained(*population(cell, R=2), "cpu")
    for one, two in zip(there, here, strict=True):
        assert_close(one.weights, two.weights, 1e-9)


@GPU
@pytest.mark.parametrize("name", ["lenet", "conv-2", "resnet-20"])
def test_a_paused_training_goes_on_to_the_same_bits(pictures, tmp_path, name):
    """The graph is recorded anew in the next sitting, in the middle; generators of dropout go on too."""
    cells, model, starts = population(CELLS[name])
    whole = trained(cells, model, starts)
    owner, outcomes = {"cells": "here"}, None
    while outcomes is None:
        try:
            outcomes = trained(cells, model, starts, keep=Checkpoint(tmp_path / "part", owner, deadline=0))
        except Paused:
            continue
    assert_equal_bits(outcomes, whole)


SCORES = {"arm": "supermask", "level": 1, "batch": 250, "optimizer": "sgd", "learning_rate": 100, "momentum": 0.9}


def scored(cell=Cell(steps=60), **fields):  # noqa: B008, a cell does not change
    """Networks of the paper's size whose scores are trained, with and without rescaling."""
    model = models.build("lenet-300-100", (1, 28, 28), 10)
    cells = [cell.but(**SCORES, **fields, replicate=r).but(constant=c, rescaled=c) for r, c in enumerate((False, True))]
    return cells, model, [Start(imp.initial(cell, model), imp.dense_mask(model)) for cell in cells]


@GPU
def test_a_graph_of_scores_changes_no_bit(pictures, monkeypatch, tmp_path):
    """Nor does a pause in the middle."""
    whole = train(*scored(), DEVICE)[0]
    keep, paused = Checkpoint(tmp_path / "part", {"cells": "here"}, deadline=0), 0
    while True:
        try:
            outcomes = train(*scored(), DEVICE, keep=keep)[0]
            break
        except Paused:
            paused += 1
            keep = Checkpoint(tmp_path / "part", {"cells": "here"}, deadline=0)
    assert paused > 3
    assert_equal_bits(outcomes, whole)
    monkeypatch.setattr(learned, "recordable", lambda device: False)
    assert_equal_bits(train(*scored(), DEVICE)[0], whole)


@GPU
def test_scores_on_a_gpu_and_on_a_cpu_agree(pictures):
    """On initial weights: sums of signed constants are often 0 but for rounding, whose sign decides a rectifier."""
    cells, model, starts = scored(precision="float64", steps=3)
    cells = [cell.but(constant=False) for cell in cells]
    there, here = (train(cells, model, starts, device)[0] for device in (DEVICE, "cpu"))
    for one, two in zip(there, here, strict=True):
        assert_close(one.weights, two.weights, 1e-9)


@GPU
def test_a_chain_runs_on_a_gpu_and_records_it(store):
    """Dense networks, their tickets and controls as populations; the same cells give the same records again."""
    cells = [Cell(dataset="digits", steps=40, level=level, arm=arm, replicate=r) for r in range(3) for level, arm in
             ((0, "ticket"), (1, "ticket"), (2, "ticket"), (2, "random"))]  # fmt: skip
    run.run(cells, engine="serial", device=DEVICE, store=store)
    table = store.table(cells)
    assert not table["test_accuracy"].isna().any()
    assert set(table["device_kind"]) == {DEVICE}
    assert table["population"].max() >= 3


def test_a_mask_that_is_forgotten_would_show():
    """What the tests above compare is not the same for every mask."""
    starts = population(Cell(steps=60))[-1]
    assert isinstance(starts[-1].mask, Mask)
    assert 0.3 < starts[-1].mask.density < 0.35
    assert starts[0].mask.density == 1
