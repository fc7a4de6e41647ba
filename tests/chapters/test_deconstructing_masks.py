"""What is left of an untrained mask, where masks look, and what learned ones have become."""

import numpy as np
import pytest
from tickets.cells import Cell
from tickets.chapters.supermasks import ladder, untrained
from tickets.nets import models
from tickets.pruning import imp
from tickets.running.work import compute

NET = Cell(dataset="digits", steps=30)
MODEL = models.build("lenet-300-100", (1, 8, 8), 10)


@pytest.fixture
def dense(store):
    compute((NET,), store, "cpu", {NET: frozenset(["weights"])})
    return store


def test_deciles_are_equal_parts_by_size():
    values = np.arange(40.0).reshape(4, 10)[::-1]
    assert ladder.deciles(values)[3].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert np.bincount(ladder.deciles(values).ravel()).tolist() == [4] * 10


def test_the_ladder_starts_from_the_mask_that_is_best_untrained(dense):
    cell = NET.but(arm="null_ladder", constant=True)
    found = ladder.measure(cell, MODEL, dense, "cpu")[0]
    best = untrained.measure(NET.but(arm="untrained"), MODEL, dense, "cpu")[0]
    assert found["accuracy_mask"] == best["accuracy_large_final_same_sign_constant"]
    assert found["rung"] == best["rung_large_final_same_sign_constant"]
    assert found["accuracy_mask"] > found["accuracy_s0"] + 10
    assert abs(found["kappa_s0"]) < 0.02
    assert found["kappa_s0"] < found["kappa_s1"] < found["kappa_s2"] < found["kappa_s3"] < 1
    assert ladder.measure(cell, MODEL, dense, "cpu")[0] == found


def test_pixels_count_the_kept_weights_of_each(dense):
    scalars, curves = ladder.measure_pixels(NET.but(arm="pixels", level=3), MODEL, dense, "cpu")
    w0, (w1, _) = imp.initial(NET, MODEL), imp.left(NET, MODEL, dense)
    mask = untrained.ladder("movement", NET, MODEL, w0, w1)[2]
    image = np.array([curves[f"movement_{row}"] for row in range(8)])
    assert (image.ravel() == mask["fc1.weight"].sum(0)).all()
    assert image.sum() == mask.counts()["fc1.weight"]
    assert scalars["dark_movement"] < 0.005 < scalars["dark_random"]  # what is always dark never moves


def test_learned_masks_are_read_from_their_scores(dense):
    cell = NET.but(arm="likely", level=1, optimizer="sgd", batch=50, constant=True)
    (scored,) = cell.parents()
    assert (scored.arm, scored.own["constant"], scored.own["rescaled"]) == ("supermask", True, False)
    m = {name: np.full(MODEL.shapes[name], value) for name, value in zip(MODEL.prunable, (3.0, -3.0, 0.1), strict=True)}
    dense.tensors = lambda one: {f"final/{name}": array for name, array in m.items()}
    scalars, curves = ladder.measure_learned(cell, scored, MODEL, dense, "cpu")
    assert scalars["ones_1"] == pytest.approx(1 / (1 + np.exp(-3)))
    assert scalars["ones_2"] == pytest.approx(1 / (1 + np.exp(3)))
    sizes = [m[name].size for name in MODEL.prunable]
    assert scalars["settled"] == pytest.approx((sizes[0] + sizes[1]) / sum(sizes))
    assert curves["chance_1"][19] == sizes[0]
    assert scalars["accuracy_likely"] < 30  # nothing comes through the second layer
