"""A small perceptron on digits, masks of all kinds for it, and when two outcomes of training agree."""

import numpy as np
import pytest
from tickets.cells import Cell
from tickets.nets.models import MLP
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.pruning.masks import Mask

NET = Cell(dataset="digits", steps=120, precision="float64")
RULES = {
    "adam": {},
    "adam with decay": {"weight_decay": 1e-3, "inputs": "standard", "batch": 17},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.3},
    "sgd with all": {
        "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-3,
        "warmup": 30, "drops": (60, 100),
    },
}  # fmt: skip
SMALL = MLP("small", (1, 8, 8), 10, hidden=(40, 25))
DENSITIES = (1.0, 0.5, 0.05)


def random_mask(model, density, seed=0):
    generator = np.random.default_rng(seed)
    return Mask({name: generator.random(model.shapes[name]) < density for name in model.prunable})


def odd_mask(model):
    """Units without an input, units that nobody hears, a class without connections, a row of one weight."""
    arrays = {name: array.copy() for name, array in random_mask(model, 0.3, seed=1).items()}
    first, second, last = arrays.values()
    first[[0, 3]], second[:, [1, 2]], second[-1], last[4] = False, False, False, False
    first[5] = np.arange(first.shape[1]) == 30
    return Mask(arrays)


def closed_mask(model):
    """A whole layer pruned: only biases are left to learn from."""
    arrays = dict(random_mask(model, 0.5, seed=2))
    name = list(arrays)[1]
    return Mask({**arrays, name: np.zeros_like(arrays[name])})


MASKS = [*(random_mask(SMALL, density) for density in DENSITIES), odd_mask(SMALL), closed_mask(SMALL)]


def starts_of(cells, masks, model=SMALL):
    """Initial weights under masks, whatever the arms of the cells."""
    return [Start(imp.initial(cell, model), mask) for cell, mask in zip(cells, masks, strict=True)]


def assert_same(one, other, tolerance=1e-10):
    """Two outcomes agree in everything that a record holds and in their weights."""
    assert_close(one.weights, other.weights, tolerance)
    assert one.result == pytest.approx(other.result, abs=tolerance, rel=0, nan_ok=True)
    assert one.wrong == other.wrong
    assert one.curves.keys() == other.curves.keys()
    for name in other.curves:
        assert one.curves[name] == pytest.approx(other.curves[name], abs=tolerance, rel=0), name


def assert_close(weights, others, tolerance):
    assert weights.keys() == others.keys()
    for name, array in others.items():
        np.testing.assert_allclose(weights[name], array, rtol=0, atol=tolerance, err_msg=name)


def assert_equal_bits(some, others):
    """Outcomes are equal to the last bit, saved weights among them."""
    for one, other in zip(some, others, strict=True):
        np.testing.assert_equal((one.result, one.curves, one.wrong), (other.result, other.curves, other.wrong))
        assert_close(one.weights, other.weights, 0)
        assert one.saved.keys() == other.saved.keys()
        for step, weights in other.saved.items():
            assert_close(one.saved[step], weights, 0)
