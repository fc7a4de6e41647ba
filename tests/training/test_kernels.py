"""Compiled steps by themselves: layers of several tiles, large batches, evaluation, and Adam in single precision."""

import numpy as np
import pytest
import torch
from small import MASKS, NET, SMALL, random_mask
from tickets.nets import models
from tickets.pruning import imp
from tickets.seeds import stream
from tickets.training import kernels
from tickets.training.perceptrons import blocks, pack, settle, unpack
from torch.nn.functional import cross_entropy


@pytest.fixture(autouse=True, scope="module")
def settled():
    """Kernels come out of the cache here as in any other process, whichever test is the first."""
    for precision in ("float32", "float64"):
        settle(precision)


@pytest.mark.parametrize("batch", [20, 64, 150])
def test_storage_changes_nothing_in_wide_layers_and_large_batches(batch):
    """Layers of several tiles, batches of more images than registers hold at a time."""
    wide = models.MLP("wide", (1, 20, 20), 10, hidden=(330, 25))
    generator = np.random.default_rng(batch)
    images, labels = generator.random((600, 400)), generator.integers(10, size=600)
    order, rates = generator.integers(600, size=(40, batch)), np.full(40, 1e-3)
    weights, mask = wide.init(stream("init")), random_mask(wide, 0.2)
    weights = {name: array.astype(float) for name, array in mask.apply(weights).items()}
    found = []
    for below in (0, 2):
        network = pack(weights, mask, wide.prunable, below)
        kernels.advance(network.index, *network.state, images, labels, order, 0, rates, True, 0.0, 1e-4)
        x, y = blocks(images, labels)
        correct = np.zeros(y.shape, bool)
        loss, _ = kernels.evaluate(network.index, network.value, x, y, correct)
        found.append({**unpack(network, mask, wide.prunable), "loss": loss, "correct": correct})
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=0, atol=1e-10, err_msg=name)
    assert np.abs(found[0]["fc1.weight"] - weights["fc1.weight"]).max() > 0.01


def test_adam_in_single_precision_takes_the_right_step():
    """A 1 - 0.999 that is a difference of floats would be off by 1e-5."""
    generator = np.random.default_rng(0)
    gradients = generator.normal(size=(3, 500)) * 10.0 ** generator.integers(-3, 1, 500)
    moved = {}
    for kind in ("float32", "float64"):
        value, keep, slow, fast = (np.full(500, x, kind) for x in (0, 1, 0, 0))
        for step, gradient in enumerate(gradients.astype(np.float32), 1):
            kernels.adam_step(value, keep, gradient.astype(kind), slow, fast, 1e-3, step, 0.0)
        moved[kind] = value.astype(float)
    assert np.median(np.abs(moved["float32"] / moved["float64"] - 1)) < 1e-6


# evaluation


@pytest.mark.parametrize("n", [3, 500, 1203])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_evaluation_is_that_of_torch(n, kind):
    generator = np.random.default_rng(n)
    images, labels = generator.random((n, 64)).astype(kind), generator.integers(10, size=n)
    mask = MASKS[3]
    weights = {name: 8 * array.astype(kind) for name, array in mask.apply(imp.initial(NET, SMALL)).items()}
    network = pack(weights, mask, SMALL.prunable)
    x, y = blocks(images, labels)
    correct = np.zeros(y.shape, bool)
    loss, right = kernels.evaluate(network.index, network.value, x, y, correct)
    params = {name: torch.from_numpy(array)[None] for name, array in weights.items()}
    logits = SMALL.forward(params, {}, torch.from_numpy(images)[None], training=False)[0]
    expected = logits.argmax(1).numpy() == labels
    assert loss == pytest.approx(
        cross_entropy(logits, torch.from_numpy(labels)).item(), rel=1e-5 if kind == "float32" else 1e-12
    )
    np.testing.assert_array_equal(correct.ravel()[:n], expected)
    assert not correct.ravel()[n:].any()
    assert right == expected.sum()


def five_ones(weights, below):
    """The loss of a dense network on five white images."""
    network = pack(weights, MASKS[0], SMALL.prunable, below)
    x, y = blocks(np.ones((5, 64), np.float32), np.arange(5))
    return kernels.evaluate(network.index, network.value, x, y, np.zeros(y.shape, bool))[0]


@pytest.mark.parametrize("below", [0, 2])
def test_large_logits_do_not_overflow(below):
    loss = five_ones({name: 1e4 * array for name, array in imp.initial(NET, SMALL).items()}, below)
    assert np.isfinite(loss)
    assert loss > 100


@pytest.mark.parametrize("below", [0, 2])
def test_a_value_that_is_not_a_number_is_seen(below):
    weights = imp.initial(NET, SMALL)
    weights["fc2.weight"][3, 3] = np.nan
    assert not np.isfinite(five_ones(weights, below))
