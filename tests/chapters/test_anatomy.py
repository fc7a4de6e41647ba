"""Measurements on trained networks against brute force, known shares, and nulls in which nothing happens."""

import numpy as np
import pytest
from tickets.cells import Cell
from tickets.chapters.winning_tickets import anatomy
from tickets.data import sources
from tickets.pruning.masks import Mask, mask_at
from tickets.running import run

RNG = np.random.default_rng(0)
NET = Cell(dataset="digits", steps=40)


def top(values, count):
    """Bool array of the `count` largest."""
    return values >= np.sort(values.ravel())[-count]


# ranks


def test_exceedance_is_that_of_all_pairs():
    values = RNG.integers(6, size=(8, 7)).astype(float)  # with ties
    group = RNG.random((8, 7)) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in values[group] for b in values[~group]]
    assert anatomy.exceedance(values, group) == pytest.approx(np.mean(pairs))
    assert anatomy.exceedance(values, ~group) == pytest.approx(1 - np.mean(pairs))


def test_exceedance_has_its_ends_and_its_middle():
    group = np.array([[True, False, True, False]])
    assert anatomy.exceedance(np.array([[5.0, 1, 6, 2]]), group) == 1
    assert anatomy.exceedance(np.array([[1.0, 5, 2, 6]]), group) == 0
    assert anatomy.exceedance(np.ones((1, 4)), group) == 0.5
    assert np.isnan(anatomy.exceedance(np.ones((1, 4)), np.ones((1, 4), bool)))
    assert np.isnan(anatomy.exceedance(np.ones((1, 4)), np.zeros((1, 4), bool)))


# movement and what selection makes of it


def moved(trial, learn):
    """movement of a layer of 60 x 50: random steps, which `learn` changes, and a mask read from the result."""
    generator = np.random.default_rng(trial)
    w0, step = generator.normal(size=(2, 60, 50))
    w1 = w0 + learn(w0, 0.4 * step)
    return anatomy.movement(top(np.abs(w1), 600), w0, w1, generator)


def means(learn, trials=60):
    """Mean and standard error of what selection cannot explain."""
    found = [moved(trial, learn) for trial in range(trials)]
    excess = {name: np.array([f[name] - f[f"{name}_null"] for f in found]) for name in ("moved_more", "grew")}
    return {name: (e.mean(), e.std(ddof=1) / np.sqrt(trials)) for name, e in excess.items()}, found


def test_the_null_is_centred_where_nothing_but_selection_acts():
    excess, found = means(lambda w0, step: step)
    for mean, error in excess.values():
        assert abs(mean) < 4 * error
        assert error < 0.006
    assert np.mean([f["moved_more"] for f in found]) > 0.55  # selection alone favours weights that moved
    assert np.mean([f["grew"] for f in found]) > 0.2


def test_movement_beyond_selection_shows():
    large = lambda w0, step: step * np.where(np.abs(w0) > 1, 2.0, 0.2)  # noqa: E731
    outward = lambda w0, step: np.abs(step) * np.sign(w0) * np.where(np.abs(w0) > 1, 1, -1)  # noqa: E731
    for learn, name in ((large, "moved_more"), (outward, "grew")):
        mean, error = means(learn, trials=20)[0][name]
        assert mean > 10 * error
        assert mean > 0.05


def test_movement_selects_as_many_for_the_null():
    """With every step zero the null selects the mask itself: by initial size."""
    w0 = RNG.normal(size=(20, 30))
    found = anatomy.movement(top(np.abs(w0), 100), w0, w0, RNG)
    assert found == {"moved_more": 0.5, "moved_more_null": 0.5, "grew": 0, "grew_null": 0}


def test_growth_is_counted_by_shares():
    w0 = np.array([[1.0, 1, 1, 1, -1, -1]])
    w1 = np.array([[2.0, 2, 0.5, 0.5, -2, -0.5]])
    kept = np.array([[True, True, True, False, False, False]])
    assert anatomy.movement(kept, w0, w1, RNG)["grew"] == pytest.approx(2 / 3 - 1 / 3)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_layers_that_are_all_kept_or_all_pruned_have_no_contrast(share):
    w0, w1 = RNG.normal(size=(2, 6, 5))
    found = anatomy.movement(np.full((6, 5), bool(share)), w0, w1, RNG)
    assert all(np.isnan(value) for value in found.values())


# structure


def test_a_random_mask_is_as_uneven_as_chance():
    even = []
    for _ in range(200):
        kept = np.zeros(40 * 30, bool)
        kept[RNG.permutation(1200)[:300]] = True
        kept = kept.reshape(40, 30)
        even.append([anatomy.unevenness(kept.sum(1), kept), anatomy.unevenness(kept.sum(0), kept)])
    mean, error = np.mean(even, 0), np.std(even, 0) / np.sqrt(200)
    assert (np.abs(mean - 1) < 4 * error).all()
    assert (error < 0.025).all()


def test_structure_shows_as_unevenness():
    kept = np.zeros((20, 30), bool)
    kept[:, :10] = True  # a third of the inputs feed everybody
    assert anatomy.unevenness(kept.sum(1), kept) == 0
    assert anatomy.unevenness(kept.sum(0), kept) == pytest.approx(20 * 599 / 580)  # n^2 pq over n pq (N - n) / (N - 1)
    assert np.isnan(anatomy.unevenness(np.full(20, 30), np.ones((20, 30), bool)))


def test_connectivity_is_a_geometric_mean_over_two_layers():
    first, second, last = RNG.random((12, 16)) < 0.4, RNG.random((8, 12)) < 0.4, RNG.random((3, 8)) < 0.9
    lit = np.arange(16) < 10
    found = anatomy.connectivity([first, second, last], lit)
    assert found["uneven_outgoing_1"] == anatomy.unevenness(first.sum(0), first)
    assert found["uneven_incoming_2"] == anatomy.unevenness(second.sum(1), second)
    assert found["uneven_outgoing"] == pytest.approx(np.sqrt(found["uneven_outgoing_1"] * found["uneven_outgoing_2"]))
    assert found["uneven_incoming"] == pytest.approx(np.sqrt(found["uneven_incoming_1"] * found["uneven_incoming_2"]))
    bright = anatomy.unevenness(first[:, :10].sum(0), first[:, :10])
    assert found["uneven_outgoing_lit"] == pytest.approx(np.sqrt(bright * found["uneven_outgoing_2"]))


def test_rarity_is_the_ratio_of_two_shares():
    w0 = np.concatenate([np.full(400, 0.1), np.full(600, 2.0)]).reshape(20, 50)
    kept = np.zeros(1000, bool)
    kept[:20] = kept[400:580] = True  # 20 of 200 kept weights are small, where 400 of 1000 are
    assert anatomy.rarity(kept.reshape(20, 50), w0) == pytest.approx((400.5 / 1001) / (20.5 / 201))
    assert anatomy.rarity(np.ones((20, 50), bool), w0) == 1
    assert np.isfinite(anatomy.rarity(w0 > 1, w0))
    assert np.isfinite(anatomy.rarity(np.zeros((20, 50), bool), w0))


def test_histograms_count_every_weight():
    w0 = RNG.normal(size=(30, 40)) * 0.1
    w1 = w0 + RNG.normal(size=(30, 40)) * 0.4  # many beyond the last bin
    kept = RNG.random((30, 40)) < 0.3
    found = anatomy.histograms(kept, w0, w1)
    sums = {name: sum(counts) for name, counts in found.items()}
    assert sums == {
        "initial_kept": kept.sum(), "initial_all": 1200, "growth_kept": kept.sum(), "growth_pruned": 1200 - kept.sum(),
    }  # fmt: skip
    assert {len(counts) for counts in found.values()} == {len(anatomy.SIZES) - 1}
    middle = found["initial_all"][len(anatomy.SIZES) // 2 :]
    assert sum(middle) == (w0 / w0.std() >= anatomy.SIZES[len(anatomy.SIZES) // 2]).sum()


# the whole


def test_anatomy_of_a_random_mask_finds_nothing():
    """A mask that knows nothing of the weights: every statistic at its neutral value, nothing beyond selection."""
    shapes = {"fc1.weight": (60, 50), "fc2.weight": (40, 60), "fc3.weight": (10, 40)}
    init = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    trained = {name: w + 0.3 * RNG.normal(size=w.shape).astype(np.float32) for name, w in init.items()}
    mask = Mask({name: RNG.random(shape) < 0.4 for name, shape in shapes.items()})
    scalars, curves = anatomy.anatomy(NET.but(arm="anatomy", level=2), mask, init, trained, np.ones(50, bool))
    assert scalars["moved_more_1"] == pytest.approx(0.5, abs=0.05)
    assert scalars["grew_1"] == pytest.approx(0, abs=0.08)
    assert scalars["rarity_1"] == pytest.approx(1, abs=0.15)
    assert scalars["uneven_incoming_1"] == pytest.approx(1, abs=0.7)
    assert scalars["moved_more_null_1"] > 0.52
    assert sum(curves["initial_all_2"]) == 2400
    again = anatomy.anatomy(NET.but(arm="anatomy", level=2), mask, init, trained, np.ones(50, bool))
    assert again == (scalars, curves)  # the permutation is seeded


def test_anatomy_is_recorded_like_any_cell(store):
    cell = NET.but(arm="anatomy", level=2)
    row = run.run([cell], engine="serial", store=store).iloc[0]
    assert row["path"] == "measured"
    for layer in (1, 2, 3):
        assert 0 < row[f"moved_more_{layer}"] < 1
        assert 0 < row[f"moved_more_null_{layer}"] < 1
    masks = mask_at(store.levels(NET.but(level=2)), 2)
    lit = sources.load("digits").train_images.amax(0).flatten().numpy() > 0
    assert 50 < lit.sum() < 64
    expected = anatomy.connectivity([masks["fc1.weight"], masks["fc2.weight"]], lit)
    assert row[list(expected)].to_dict() == expected
    counts = store.get(cell)["curves"]
    assert sum(counts["initial_all_1"]) == 19_200
    assert sum(counts["initial_kept_1"]) == 19_200 - 2 * 3840 + 768
