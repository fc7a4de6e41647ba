"""The null ladder: what random masks share with the one that they are made from, and overlap beyond chance."""

import numpy as np
import pytest
from tickets.pruning import nulls
from tickets.pruning.masks import Mask


@pytest.fixture
def weights():
    generator = np.random.default_rng(0)
    return {"one": generator.standard_normal((30, 40)), "two": generator.standard_normal((8, 3, 3, 3))}


@pytest.fixture
def mask(weights):
    noise = np.random.default_rng(1)
    hubs = {"one": np.linspace(0, 2, 40), "two": 0}
    return Mask({n: np.abs(w) + hubs[n] + noise.random(w.shape) > 1.8 for n, w in weights.items()})


def degrees(array):
    flat = array.reshape(len(array), -1)
    return flat.sum(0).tolist(), flat.sum(1).tolist()


def chance(mask):
    return {name: kept**2 / mask[name].size for name, kept in mask.counts().items()}


def test_uniform_shares_the_counts_of_layers_only(mask):
    found = nulls.uniform(mask, np.random.default_rng(2))
    assert found.counts() == mask.counts()
    assert degrees(found["one"]) != degrees(mask["one"])
    assert abs(nulls.kappa(mask, found, chance(mask))) < 0.1


def test_trades_share_the_degrees_of_both_sides(mask):
    found = nulls.traded(mask, np.random.default_rng(2))
    for name in mask:
        assert degrees(found[name]) == degrees(mask[name])
        assert (found[name] != mask[name]).any()
    assert nulls.kappa(mask, found, chance(mask)) > 0.1  # hubs are shared


def test_trades_of_one_class_share_that_class_in_every_row_too(weights, mask):
    classes = {name: (w > 0.5).astype(int) + (w > 1) for name, w in weights.items()}
    found = nulls.traded(mask, np.random.default_rng(2), classes)
    for name in mask:
        assert degrees(found[name]) == degrees(mask[name])
        assert (found[name] != mask[name]).any()
        for kind in range(3):
            place = classes[name] == kind
            rows = [(m[name] & place).reshape(len(place), -1).sum(1).tolist() for m in (found, mask)]
            assert rows[0] == rows[1]


def test_trades_reach_every_mask_with_the_degrees_equally_often():
    """Of the six 4x2 masks with two kept in each column and one in each row, none is preferred."""
    mask = Mask({"w": np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)})
    generator, seen = np.random.default_rng(0), {}
    for _ in range(1200):
        found = tuple(nulls.traded(mask, generator, passes=6)["w"][:, 0].tolist())
        seen[found] = seen.get(found, 0) + 1
    assert len(seen) == 6
    assert min(seen.values()) > 150
    assert max(seen.values()) < 250


def test_kappa_is_one_for_the_same_mask_and_computed_by_hand(mask):
    assert nulls.kappa(mask, mask, chance(mask)) == pytest.approx(1)
    one = Mask({"a": np.array([[True, True, False, False]]), "b": np.array([[True, False]])})
    other = Mask({"a": np.array([[True, False, True, False]]), "b": np.array([[False, True]])})
    # a: 1 common, 1 expected, 2 kept: 0; b: 0 common, 1/2 expected, 1 kept: -1
    assert nulls.kappa(one, other, chance(one)) == pytest.approx((2 * 0 + 1 * -1) / 3)
