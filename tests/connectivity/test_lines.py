"""Lines and planes: their ends are what was trained, barriers and distances are as defined."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chords import CHORDS, COPIES, IMAGE_NET, MODEL, NET, PLANE, TICKET, K, differ, ends, final_of, trunk
from tickets import chapters
from tickets.connectivity import lines
from tickets.connectivity.mixtures import Mixtures
from tickets.nets import models
from tickets.pruning.masks import Mask, mask_at, pruned_at
from tickets.results.store import Store
from tickets.running import plan, recording, run, work
from tickets.seeds import stream


@pytest.fixture
def recorded(measured, tmp_path, monkeypatch):
    """Cells -> a store that has nothing but what was recorded of them, by the rules of the chapter."""

    def record(*cells):
        study = chapters.STUDIES["02_linear_mode_connectivity"]
        own = SimpleNamespace(**vars(study) | {"cells": lambda profile: cells, "MAIN": {"quick": NET}})
        monkeypatch.setitem(chapters.STUDIES, "02_linear_mode_connectivity", own)
        both = Store(measured.local, tmp_path / "recorded")
        assert recording.record(both, "02_linear_mode_connectivity", "quick") == len(cells)
        return Store(tmp_path / "none", tmp_path / "recorded")

    return record


# lines


def test_a_barrier_is_the_highest_error_above_the_mean_of_the_ends():
    assert lines.barrier(np.array([10.0, 30, 20])) == 15
    assert lines.barrier(np.array([7.0, 7, 7])) == 0
    assert lines.barrier(np.array([10.0, 5, 20])) == 5


@pytest.mark.parametrize("cell", CHORDS, ids=lambda c: f"{c.arm}-{c.level}-{c.rewind}-{c.own.get('subject')}")
def test_the_ends_of_a_line_are_the_trained_networks(measured, cell):
    record = measured.get(cell)
    curves, result = record["curves"], record["result"]
    assert curves["alpha"] == np.linspace(0, 1, 30).tolist()
    found = [measured.get(end)["result"] for end in ends(cell)]
    for part in ("test", "train"):
        errors = [100 - end[f"{part}_accuracy_end"] for end in found]
        assert [curves[f"{part}_error"][place] for place in (0, -1)] == pytest.approx(errors)
    test = curves["test_error"]
    assert result["error_ends"] == pytest.approx((test[0] + test[-1]) / 2)
    assert result["barrier_test"] == pytest.approx(max(test) - result["error_ends"])
    assert result["disagreement"] >= result["disagreement_least"] - 1e-9
    assert result["disagreement"] > 0
    assert result["distance"] > 0
    assert 0 < result["angle"] < 90


def test_a_line_has_as_many_points_as_its_cell_says(measured):
    cell = CHORDS[0].but(points=5)
    scalars, curves = lines.measure(cell, ends(cell), MODEL, measured, "cpu", points=5)
    assert curves["alpha"] == [0, 0.25, 0.5, 0.75, 1]
    assert len(curves["test_error"]) == len(curves["train_error"]) == len(curves["test_loss"]) == 5
    assert scalars["distance"] == measured.get(CHORDS[0])["result"]["distance"]


def test_a_network_and_itself_have_no_barrier(measured):
    own = final_of(measured, NET)
    scalars, curves = lines.line(Mixtures(NET, MODEL, [own, own]), np.linspace(0, 1, 5))
    result = measured.get(NET)["result"]
    assert scalars["barrier_test"] == scalars["barrier_train"] == scalars["disagreement"] == 0
    assert curves["test_error"] == pytest.approx([100 - result["test_accuracy_end"]] * 5)
    assert curves["train_error"] == pytest.approx([100 - result["train_accuracy_end"]] * 5)


def test_two_ends_that_are_one_network_are_refused(measured):
    """One model under two names is "stable at initialization" whatever was trained."""
    one, other = final_of(measured, NET), final_of(measured, NET.but(order=1))
    lines.check_apart([one, other], CHORDS[0])
    for twice in ([one, one], [one, {name: array.copy() for name, array in one.items()}], [other, one, one]):
        with pytest.raises(ValueError, match="two ends are one network"):
            lines.check_apart(twice, CHORDS[0])
    with pytest.raises(ValueError, match="two ends are one network"):
        lines.check_apart([one, {**other, "fc1.weight": one["fc1.weight"]}], CHORDS[0])


@pytest.mark.parametrize("cell", [CHORDS[0], PLANE], ids=["line", "plane"])
def test_equal_networks_in_the_store_are_refused(measured, store, cell):
    for end in ends(cell):
        store.put(measured.get(end), measured.tensors(NET))
    store.put_rewound(NET, K, measured.rewound(TICKET))
    with pytest.raises(ValueError, match="two ends are one network"):
        work.compute((cell,), store, "cpu", plan.leaves(plan.closure([cell])))
    torch.set_flush_denormal(False)


# geometry


def test_distances_and_angles_are_those_of_the_masked_movements():
    model = models.build("lenet-300-100", (1, 2, 2), 10)
    zeros = {name: np.zeros(shape) for name, shape in model.shapes.items()}
    start = {**zeros, "fc1.weight": zeros["fc1.weight"] + 5}  # pruned weights of the start count for nothing
    kept = {name: np.zeros(model.shapes[name], bool) for name in model.prunable}
    mask = Mask(kept)
    one, other = ({**zeros, "fc1.bias": zeros["fc1.bias"].copy()} for _ in range(2))
    one["fc1.bias"][0], other["fc1.bias"][1] = 3, 4
    found = lines.geometry([one, other], [mask, mask], start, model)
    assert found == pytest.approx({"distance": 5, "travelled": 3.5, "distance_ratio": 5 / 3.5, "angle": 90})
    other["fc1.bias"][:2] = 8, 0
    found = lines.geometry([one, other], [mask, mask], start, model)
    assert found == pytest.approx({"distance": 5, "travelled": 5.5, "distance_ratio": 5 / 5.5, "angle": 0})


@pytest.mark.parametrize("cell", CHORDS, ids=lambda c: f"{c.arm}-{c.level}-{c.rewind}-{c.own.get('subject')}")
def test_networks_travel_from_the_weights_that_they_return_to(measured, cell):
    """From W_k of their own trunk, trained here anew; from the initialization only where k is 0."""
    draw = int(cell.own.get("subject") == "reinit")
    networks = [final_of(measured, end) for end in ends(cell)]
    masks = [mask_at(pruned_at(measured.tensors(end)), end.level) for end in ends(cell)]
    initial = MODEL.init(stream("init", draw=draw))
    W_k = trunk(draw=draw) if cell.rewind else initial
    found, result = lines.geometry(networks, masks, W_k, MODEL), measured.get(cell)["result"]
    assert {name: result[name] for name in found} == pytest.approx(found)
    elsewhere = lines.geometry(networks, masks, initial, MODEL)
    assert (elsewhere["travelled"] == pytest.approx(found["travelled"])) == (not cell.rewind)


def test_a_dense_chord_is_as_long_as_its_copies_are_apart(measured):
    one, other = (final_of(measured, copy) for copy in COPIES)
    assert differ(one, other)
    apart = np.sqrt(sum(((one[name] - other[name]) ** 2).sum() for name in MODEL.shapes))
    assert measured.get(CHORDS[1])["result"]["distance"] == pytest.approx(apart)


# planes


def test_the_plane_passes_through_its_three_networks():
    generator = np.random.default_rng(0)
    networks = generator.standard_normal((3, 50))
    at, x, y, coefficients = lines.grid(*networks)
    assert coefficients.shape == (441, 3)
    np.testing.assert_allclose(coefficients.sum(1), 1)
    gaps = lambda points: np.linalg.norm(points[:, None] - points[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(gaps(at), gaps(networks))  # a plane keeps distances
    places = np.stack([a.ravel() for a in np.meshgrid(x, y)], 1)
    np.testing.assert_allclose(gaps(coefficients @ networks), gaps(places), atol=1e-6)
    assert x[0] == pytest.approx(at[:, 0].min() - 0.2 * np.ptp(at[:, 0]))
    assert y[-1] == pytest.approx(1.2 * at[2, 1])


def test_a_plane_survives_being_recorded(measured, recorded):
    fresh, curves = recorded(PLANE).get(PLANE), measured.get(PLANE)["curves"]
    rows = [name for name in curves if name.startswith("error_")]
    assert len(rows) == len(curves["x"]) == len(curves["y"]) == 21
    for name in (*rows, "x", "y", "network_x", "network_y"):
        np.testing.assert_allclose(fresh["curves"][name], curves[name], rtol=1e-4)
    grid = np.array([curves[name] for name in rows])
    assert grid.shape == (21, 21)
    assert np.ptp(grid) > 1
    result = measured.get(PLANE)["result"]
    expected = [100 - measured.get(end)["result"]["test_accuracy_end"] for end in ends(PLANE)]
    assert [result[f"error_{i}"] for i in range(3)] == pytest.approx(expected)


def test_curves_of_a_line_survive_being_recorded(measured, recorded):
    fresh = recorded(*CHORDS)
    for cell in CHORDS:
        assert set(fresh.get(cell)["curves"]) == set(measured.get(cell)["curves"])
        assert len(fresh.get(cell)["curves"]["test_error"]) == 30
    assert len(fresh.curves(CHORDS, "alpha", "test_error")) == 30 * len(CHORDS)


# whole runs


def test_an_image_network_has_a_barrier_under_all_statistics(store, few_digits):
    """A dense network that is copied at step 2: two copies of orders 2 and 1, and all that it takes."""
    chord = IMAGE_NET.but(arm="chord", rewind=2, points=3)
    result = run.run([chord], engine="serial", store=store).iloc[0]
    curves = store.get(chord)["curves"]
    for suffix in ("", "_reestimated", "_repaired"):
        errors = np.array(curves[f"test_error{suffix}"])
        assert len(errors) == 3
        assert result[f"barrier_test{suffix}"] == pytest.approx(lines.barrier(errors))
        assert result[f"error_ends{suffix}"] == pytest.approx(errors[[0, -1]].mean())
    assert ends(chord) == [IMAGE_NET.but(order=order, rewind=2) for order in (2, 1)]
    found = [100 - store.get(end)["result"]["test_accuracy_end"] for end in ends(chord)]
    assert [curves["test_error"][0], curves["test_error"][-1]] == pytest.approx(found)
    assert IMAGE_NET in store


def test_the_smoke_study_runs_from_end_to_end(store):
    cells = chapters.cells("02_linear_mode_connectivity", "smoke")
    table = run.run(cells, engine="serial", store=store)
    assert table["key"].tolist() == [cell.key() for cell in cells]
    chords = table[table["arm"].isin(["chord", "rounds", "descent"])]
    assert set(chords["rewind"]) == {0, 1, 6}
    assert np.isfinite(chords[["barrier_test", "barrier_train", "distance_ratio", "disagreement"]]).all(axis=None)
