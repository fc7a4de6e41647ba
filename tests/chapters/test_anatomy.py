"""Measurements on trained networks against brute force, known shares, and nulls in which nothing happens."""

import numpy as np
import pytest
from tickets.arms import ARMS
from tickets.cells import Cell
from tickets.chapters.winning_tickets import anatomy
from tickets.data import sources
from tickets.evidence import verdicts
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.masks import Mask, final, mask_at
from tickets.results.store import Store
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


# movement: the mask of one run, the movements of another


def two_runs(trial, shared=0.0, spread=0.5):
    """(initial weights, final weights of two runs) of a layer of 60 x 50; `shared` of a step is the same in both."""
    generator = np.random.default_rng(trial)
    w0, same, one, other = generator.normal(size=(4, 60, 50))
    return w0, w0 + shared * same + spread * one, w0 + shared * same + spread * other


def by_magnitude(trial, **world):
    """`movement` of the second run under the mask that keeps the 600 largest weights of the first."""
    w0, one, other = two_runs(trial, **world)
    return anatomy.movement(top(np.abs(one), 600), w0, other)


def reselecting_null(kept, w0, w1, generator):
    """The null that stood here once: movements permuted, and the mask chosen anew in the run that it scores."""
    step = generator.permutation((w1 - w0).ravel()).reshape(w0.shape)
    return anatomy.movement(top(np.abs(w0 + step), kept.sum()), w0, w0 + step)


def centre(found):
    """Mean and standard error."""
    return np.mean(found), np.std(found, ddof=1) / np.sqrt(len(found))


def test_movements_that_know_nothing_of_the_mask_give_nothing():
    """The contrasts of L12 in a world where there is nothing to find: the mask fixed, movements drawn without it."""
    moved, error = centre([by_magnitude(trial)["moved_more"] - 0.5 for trial in range(60)])
    assert abs(moved) < 4 * error
    assert error < 0.005
    lottery = [RNG.permutation(3000).reshape(60, 50) < 600 for _ in range(60)]
    found = [anatomy.movement(kept, *two_runs(trial)[::2]) for trial, kept in enumerate(lottery)]
    for values in ([f["moved_more"] - 0.5 for f in found], [f["grew"] for f in found]):
        mean, error = centre(values)
        assert abs(mean) < 4 * error
        assert error < 0.005


def test_growth_that_knows_nothing_of_the_mask_is_its_null():
    """Under a mask of large weights, as tickets are, chance makes the share that grew smaller: not so the excess."""
    raw, excess = [], []
    for trial in range(60):
        w0, one, other = two_runs(trial)
        found = anatomy.growth(top(np.abs(one), 600), w0, other, np.random.default_rng(trial))
        raw.append(found["ticket_grew"])
        excess.append(found["ticket_grew"] - found["ticket_grew_null"])
    (grew, own), (beyond, error) = centre(raw), centre(excess)
    assert grew < -4 * own
    assert abs(beyond) < 4 * error


def test_a_claim_that_is_true_is_found_where_the_null_that_selects_anew_refutes_it():
    """What is learnt is the same in both orders: kept weights moved further and grew more often in the other, too."""
    world = {"shared": 1.0, "spread": 0.4}
    found, against = [by_magnitude(trial, **world) for trial in range(10)], []
    for trial, own in enumerate(found):
        w0, one, other = two_runs(trial, **world)
        null = reselecting_null(top(np.abs(one), 600), w0, other, np.random.default_rng(trial))
        against.append({name: own[name] - null[name] for name in own})
    for name, middle in (("moved_more", 0.5), ("grew", 0.0)):
        assert verdicts.effect([own[name] - middle for own in found], least=0.05).word == "reproduced"
        assert verdicts.effect([own[name] for own in against], least=0.05).word == "contradicted"


# what selection by size explains


def beyond(trial, learn=lambda w0, step: step):
    """`selection` minus its nulls, of two runs whose steps are alike and were changed by `learn`."""
    w0, *runs = two_runs(trial, shared=0.5)
    one, other = (w0 + learn(w0, w1 - w0) for w1 in runs)
    found = anatomy.selection(w0, one, other, 600, np.random.default_rng(trial))
    assert found["chosen_moved_more"] == anatomy.movement(top(np.abs(one), 600), w0, other)["moved_more"]
    return [found[name] - found[f"{name}_null"] for name in ("chosen_moved_more", "chosen_grew")], found


def test_selection_leaves_nothing_where_movements_do_not_depend_on_the_weight():
    """However alike the two runs are, and although selection alone favours weights that moved and grew."""
    found = [beyond(trial) for trial in range(80)]
    for values in np.transpose([excess for excess, _ in found]):
        mean, error = centre(values)
        assert abs(mean) < 4 * error
        assert error < 0.005
    assert np.mean([f["chosen_moved_more_null"] for _, f in found]) > 0.53
    assert np.mean([f["chosen_grew_null"] for _, f in found]) > 0.05


def test_movement_beyond_selection_shows():
    large = lambda w0, step: step * np.where(np.abs(w0) > 1, 2.0, 0.2)  # noqa: E731
    outward = lambda w0, step: np.abs(step) * np.sign(w0) * np.where(np.abs(w0) > 1, 1, -1)  # noqa: E731
    for learn, at in ((large, 0), (outward, 1)):
        mean, error = centre([beyond(trial, learn)[0][at] for trial in range(20)])
        assert mean > 10 * error
        assert mean > 0.05


def test_selection_chooses_as_many_as_it_is_told_though_all_are_alike():
    """Ties are broken, so that no weight more is chosen than the ticket keeps."""
    w0, still = np.ones((4, 5)), np.ones((4, 5))
    moved = still.copy()
    moved.ravel()[-5:] = 2  # ties are broken by place: the last five are chosen
    found = anatomy.selection(w0, still, moved, 5, RNG)
    assert (found["chosen_moved_more"], found["chosen_grew"]) == (1, 1)
    assert all(np.isnan(x) for x in anatomy.selection(w0, still, moved, 0, RNG).values())


def test_growth_is_counted_by_shares():
    w0 = np.array([[1.0, 1, 1, 1, -1, -1]])
    w1 = np.array([[2.0, 2, 0.5, 0.5, -2, -0.5]])
    kept = np.array([[True, True, True, False, False, False]])
    assert anatomy.movement(kept, w0, w1)["grew"] == pytest.approx(2 / 3 - 1 / 3)
    assert anatomy.movement(kept, w0, w0) == {"moved_more": 0.5, "grew": 0}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_layers_that_are_all_kept_or_all_pruned_have_no_contrast(share):
    w0, w1 = RNG.normal(size=(2, 6, 5))
    found = anatomy.movement(np.full((6, 5), bool(share)), w0, w1)
    assert all(np.isnan(value) for value in found.values())


# sizes


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
    """A mask that knows nothing of the weights: every statistic at its neutral value."""
    shapes = {"fc1.weight": (60, 50), "fc2.weight": (40, 60), "fc3.weight": (10, 40)}
    init = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    trained = {name: w + 0.3 * RNG.normal(size=w.shape).astype(np.float32) for name, w in init.items()}
    mask = Mask({name: RNG.random(shape) < 0.4 for name, shape in shapes.items()})
    scalars, curves = anatomy.anatomy(mask, init, trained)
    assert set(scalars) == {f"{name}_{i}" for name in ("moved_more", "grew", "rarity") for i in (1, 2, 3)}
    assert scalars["moved_more_1"] == pytest.approx(0.5, abs=0.05)
    assert scalars["grew_1"] == pytest.approx(0, abs=0.08)
    assert scalars["rarity_1"] == pytest.approx(1, abs=0.15)
    assert sum(curves["initial_all_2"]) == 2400


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(arm -> its row, store): what is measured on a ticket of level 2."""
    store = Store(tmp_path_factory.mktemp("measured"), recorded=None)
    cells = [NET.but(arm=name, level=2) for name in ("anatomy", "degrees", "selection")]
    rows = run.run(cells, engine="serial", store=store)
    return {row["arm"]: row for _, row in rows.iterrows() if row["path"] == "measured"}, store


def test_anatomy_is_recorded_like_any_cell(measured):
    rows, store = measured
    for layer in (1, 2, 3):
        assert 0 < rows["anatomy"][f"moved_more_{layer}"] < 1
        assert -1 < rows["anatomy"][f"grew_{layer}"] < 1
    counts = store.get(NET.but(arm="anatomy", level=2))["curves"]
    assert sum(counts["initial_all_1"]) == 19_200
    assert sum(counts["initial_kept_1"]) == 19_200 - 2 * 3840 + 768


def test_degrees_are_those_of_the_ticket_and_leave_out_dark_pixels(measured):
    rows, store = measured
    masks = mask_at(store.levels(NET.but(level=2)), 2)
    lit = sources.load("digits").train_images.amax(0).flatten().numpy() > 0
    assert 50 < lit.sum() < 64
    expected = anatomy.spreads([masks["fc1.weight"], masks["fc2.weight"]], lit)
    assert rows["degrees"][list(expected)].to_dict() == expected


def test_selection_is_of_the_weights_of_both_orders(measured):
    """As many weights of each layer as the ticket keeps; the same numbers whenever it is measured."""
    rows, store = measured
    init = imp.initial(NET, models.build("lenet-300-100", (1, 8, 8), 10))
    one, other = (final(store.tensors(NET.but(order=order))) for order in (0, 1))
    counts = mask_at(store.levels(NET.but(level=2)), 2).counts()
    for i, (name, count) in enumerate(counts.items(), 1):
        w0, w1, w2 = (weights[name].astype(float) for weights in (init, one, other))
        expected = anatomy.movement(top(np.abs(w1), count), w0, w2)
        assert rows["selection"][f"chosen_moved_more_{i}"] == pytest.approx(expected["moved_more"])
        assert rows["selection"][f"chosen_grew_{i}"] == pytest.approx(expected["grew"])
        assert 0 < rows["selection"][f"chosen_moved_more_null_{i}"] < 1
    again = ARMS["selection"].measure(
        NET.but(arm="selection", level=2), models.build("lenet-300-100", (1, 8, 8), 10), store, "cpu"
    )
    assert again[0] == {name: rows["selection"][name] for name in again[0]}
