"""Saliencies before training: by hand, and what each conserves or does not depend on."""

import itertools

import numpy as np
import pytest
import torch
from tickets.cells import Cell
from tickets.chapters.pruning_at_init import scores
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.masks import Mask

CELL = Cell(dataset="digits", model="mlp-2x150", precision="float64", init="kaiming")
NET = models.build(CELL.model, (1, 8, 8), 10)
NAMES = list(NET.prunable)


def weights_of(model, seed=0):
    return {n: w.astype(np.float64) for n, w in model.init(np.random.default_rng(seed), "kaiming").items()}


def params_of(weights, names=NAMES):
    return scores.stacked(weights, "cpu", torch.float64, names)


def rescaled(weights, unit=3, factor=5.0):
    """The same function: what enters a hidden unit times a factor, what leaves it divided by it."""
    found = {name: w.copy() for name, w in weights.items()}
    found["fc1.weight"][unit] *= factor
    found["fc2.weight"][:, unit] /= factor
    return found


# by hand


def quadratic(matrix, batches=1):
    """0.5 w'Aw in so many equal parts."""
    A = torch.tensor(matrix, dtype=torch.float64)

    def losses(params):
        w = params["w"][0]
        yield from ((w @ A @ w) / 2 / batches for _ in range(batches))

    return losses


A, W = [[2.0, 1.0], [1.0, 3.0]], np.array([1.0, -2.0])  # gradient Aw = (0, -5), A Aw = (-5, -15)


@pytest.mark.parametrize("batches", [1, 3])
def test_of_a_quadratic_by_hand(batches):
    """Whatever the batches: sums over all images."""
    params = params_of({"w": W}, ["w"])
    assert scores.gradient(quadratic(A, batches), params, ["w"])["w"][0] == pytest.approx([0, 5])
    assert scores.snip(quadratic(A, batches), params, ["w"])["w"][0] == pytest.approx([0, 10])
    assert scores.grasp(quadratic(A, batches), params, ["w"])["w"][0] == pytest.approx([5, 30])


def test_synflow_by_hand():
    """Two paths of one linear layer each: every weight of a layer scores what flows through it."""

    def flow(params):
        return params["first"][0] @ params["second"][0]

    params = params_of({"first": np.array([1.0, 2.0]), "second": np.array([3.0, 0.5])}, ["first", "second"])
    found = scores.synflow(flow, params, ["first", "second"])
    assert found["first"][0] == pytest.approx([3, 1])
    assert found["second"][0] == pytest.approx([3, 1])


def test_kept_whole():
    found = scores.whole({"a": np.array([1.0]), "b": np.array([2.0])}, ["b"])
    assert found["a"] == [1]
    assert found["b"] == [np.inf]


# what they conserve


def test_snip_does_not_depend_on_the_scale_of_a_unit():
    weights = weights_of(NET)
    one, other = (scores.of_network("snip", CELL, NET, w, imp.dense_mask(NET)) for w in (weights, rescaled(weights)))
    for name in NAMES:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-12)
    assert not np.allclose(weights["fc1.weight"], rescaled(weights)["fc1.weight"])  # where magnitude does


def test_grasp_is_the_change_of_the_gradient_s_norm_when_a_weight_shrinks():
    weights, losses, step = weights_of(NET), scores.losses_of(CELL, NET, {}, "cpu"), 1e-6
    found = scores.grasp(losses, params_of(weights), NAMES)

    def norm(scale):
        changed = {name: w.copy() for name, w in weights.items()}
        changed["fc2.weight"][7, 11] *= scale
        parts = scores._gradient(losses, params_of(changed), NAMES)
        return sum((part**2).sum().item() for part in parts.values()) / 2

    slope = (norm(1 + step) - norm(1 - step)) / (2 * step)
    assert found["fc2.weight"][0, 7, 11] == pytest.approx(abs(slope), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp-2x150", (1, 8, 8)), ("resnet-14", (1, 8, 8)), ("vgg-13", (3, 16, 16))]
)
def test_synflow_is_conserved_layer_by_layer(name, shape):
    """Without shortcuts every layer passes on all of R; a shortcut takes its share past some."""
    model = models.build(name, shape, 10)
    weights = {n: np.abs(w) for n, w in weights_of(model).items()}
    params = params_of(weights, list(model.prunable))
    flow = scores.flow_of(model, "cpu")
    found, R = scores.synflow(flow, params, list(model.prunable)), flow(params).item()
    sums = [score.sum() for score in found.values()]
    if name == "resnet-14":
        assert sums[0] == pytest.approx(R)
        assert all(0 < one < R for one in sums[1:])
    else:
        assert sums == pytest.approx([R] * len(sums))


def test_synflow_is_conserved_unit_by_unit():
    found = scores.of_network("synflow", CELL, NET, weights_of(NET), imp.dense_mask(NET))
    for incoming, outgoing in (("fc1.weight", "fc2.weight"), ("fc2.weight", "fc3.weight")):
        np.testing.assert_allclose(found[incoming].sum(1), found[outgoing].sum(0), rtol=1e-9)


def test_synflow_does_not_see_signs_or_images():
    weights = weights_of(NET)
    turned = {name: -w for name, w in weights.items()}
    one, other = (scores.of_network("synflow", CELL, NET, w, imp.dense_mask(NET)) for w in (weights, turned))
    assert all(np.array_equal(one[name], other[name]) for name in NAMES)


def test_magnitude_does_not_depend_on_the_scale_of_the_network():
    weights = weights_of(NET)
    larger = {name: 3 * w for name, w in weights.items()}
    one, other = (scores.mask_by("magnitude", CELL, NET, w, imp.dense_mask(NET), 500) for w in (weights, larger))
    assert all(np.array_equal(one[name], other[name]) for name in NAMES)


# masks


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow", "magnitude"])
def test_masks_have_the_count_and_keep_what_is_held(name):
    mask = scores.mask_by(name, CELL, NET, weights_of(NET), imp.dense_mask(NET), 1234, ["fc4.weight"])
    assert mask.kept == 1234
    assert mask["fc4.weight"].all()
    assert list(mask) == NAMES


def test_synflow_leaves_no_layer_empty_where_magnitude_does():
    """Tanaka et al. 2020: as few weights as there are units to go through are enough for a path."""
    weights = weights_of(NET)
    weights["fc2.weight"] = weights["fc2.weight"] / 100
    masks = {n: scores.mask_by(n, CELL, NET, weights, imp.dense_mask(NET), 40) for n in ("synflow", "magnitude")}
    assert min(masks["synflow"].counts().values()) > 0
    assert masks["magnitude"].counts()["fc2.weight"] == 0


def test_rounds_are_nested_and_fall_geometrically():
    full, seen = Mask.full({"w": (1000,)}), []

    def score(mask):
        seen.append(mask)
        return {"w": np.arange(1000.0)}

    last = scores.in_rounds(score, full, 10, rounds=4)
    assert [mask.kept for mask in [*seen, last]] == [1000, 316, 100, 32, 10]
    assert last["w"][-10:].all()
    for before, after in itertools.pairwise(seen):
        assert not (after["w"] & ~before["w"]).any()


def test_a_network_is_read_in_evaluation_mode_with_its_own_statistics():
    model = models.build("resnet-14", (1, 8, 8), 10)
    cell, weights = CELL.but(model="resnet-14"), weights_of(model)
    statistics = {name: tensor[0].numpy() + 1 for name, tensor in model.buffers(1, dtype=torch.float64).items()}
    fresh, own = (scores.losses_of(cell, model, given, "cpu") for given in (weights, weights | statistics))
    params = params_of(weights, list(model.prunable))
    one, again, other = (sum(loss.item() for loss in losses(params)) for losses in (fresh, fresh, own))
    assert one == again  # nothing was updated
    assert one != other
