"""Masks: boolean, immutable, nested along a chain."""

import numpy as np
import pytest
from tickets.pruning.masks import KEPT, Mask, final, mask_at, pruned_at, tensors

RNG = np.random.default_rng(0)


def test_only_booleans_are_masks():
    for values in (np.ones((2, 2)), np.ones((2, 2), np.uint8), np.array([[0, 1]]), [[True, False]]):
        with pytest.raises(TypeError, match=r"mask of fc1.weight.*bool"):
            Mask({"fc1.weight": values})


def test_a_mask_cannot_be_changed():
    array = np.ones((2, 3), bool)
    mask = Mask({"w": array})
    array[:] = False
    assert mask.kept == 6
    with pytest.raises(ValueError, match="read-only"):
        mask["w"][0, 0] = False
    with pytest.raises(TypeError):
        mask["w"] = array


def test_counts_and_density():
    mask = Mask({"a": np.array([[True, False], [True, True]]), "b": np.array([[False, True]])})
    assert mask.counts() == {"a": 3, "b": 1}
    assert (mask.kept, mask.size) == (4, 6)
    assert mask.density == 4 / 6
    full = Mask.full({"a": (2, 2), "b": (1, 2)})
    assert full.density == 1.0
    assert list(full) == ["a", "b"]


def test_apply_leaves_exact_zeros_and_other_weights():
    mask = Mask({"w": RNG.random((5, 4)) < 0.5})
    weights = {"w": RNG.normal(size=(5, 4)).astype(np.float32), "bias": RNG.normal(size=5)}
    weights["w"][0, 0] = np.nan  # as a diverged network has it
    applied = mask.apply(weights)
    assert (applied["w"][~mask["w"]] == 0).all()
    np.testing.assert_array_equal(applied["w"][mask["w"]], weights["w"][mask["w"]])
    assert applied["w"].dtype == np.float32
    assert applied["bias"] is weights["bias"]


def test_a_mask_of_one_level_comes_out_of_the_chain():
    levels = {"w": np.array([[1, 2, KEPT], [3, KEPT, 1]], np.uint8)}
    assert mask_at(levels, 0).density == 1.0
    assert mask_at(levels, 1)["w"].tolist() == [[False, True, True], [True, True, False]]
    assert mask_at(levels, 2)["w"].tolist() == [[False, False, True], [True, True, False]]
    assert mask_at(levels, 30)["w"].tolist() == [[False, False, True], [False, True, False]]


def test_masks_of_a_chain_nest():
    levels = {"w": RNG.choice(np.array([1, 2, 3, 4, KEPT], np.uint8), (20, 10))}
    for level in range(5):
        shallow, deep = mask_at(levels, level)["w"], mask_at(levels, level + 1)["w"]
        assert not (deep & ~shallow).any()
        assert deep.sum() == (levels["w"] > level + 1).sum()


def test_connections_of_units_are_counted():
    first = np.array([[True, True], [False, False], [True, False]])  # unit 1 hears nothing
    second = np.array([[True, True, False], [False, True, False], [False, False, False]])  # unit 2 is not heard
    mask = Mask({"fc1": first, "fc2": second, "fc3": np.array([[True, True, True], [False, True, True]])})
    assert mask.dead_units() == 2 + 1
    assert mask.min_fan_in() == 2
    assert Mask({"conv": np.ones((4, 3, 3, 3), bool)}).min_fan_in() == 27
    assert Mask({"conv": np.ones((4, 3, 3, 3), bool), "fc": np.zeros((2, 8), bool)}).dead_units() == 0
    aside = {"left": np.zeros((5, 6), bool), "right": np.zeros((7, 6), bool)}  # neither feeds the other
    assert Mask(aside).dead_units() == 0


def test_of_each_weight_the_level_that_pruned_it_is_kept():
    """What a later level prunes leaves alone what an earlier one said; final weights stand beside it."""
    first, second = np.array([[True, False, True]]), np.array([[True, False, False]])
    weights = {"w": np.ones((1, 3), np.float32)}
    one = tensors(1, Mask({"w": first}), None, weights)
    two = tensors(2, Mask({"w": second}), one, weights)
    assert pruned_at(one)["w"].tolist() == [[KEPT, 1, KEPT]]
    assert pruned_at(two)["w"].tolist() == [[KEPT, 1, 2]]
    assert [mask_at(pruned_at(two), level)["w"].tolist() for level in (0, 1, 2)] == [
        [[True, True, True]], first.tolist(), second.tolist(),
    ]  # fmt: skip
    assert tensors(2, Mask({"w": second}), None, weights).keys() == two.keys()
    assert pruned_at(tensors(2, Mask({"w": second}), None, weights))["w"].tolist() == [[KEPT, 2, 2]]
    assert final(two).keys() == {"w"}
