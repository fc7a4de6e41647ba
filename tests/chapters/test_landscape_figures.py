"""Figures of pairs of networks: which lines and points they draw from hand-made tables."""

import numpy as np
import pandas as pd
import pytest
from tickets.chapters.linear_mode_connectivity import figures
from tickets.chapters.linear_mode_connectivity.pairs import STABLE

LINES = {"dense": ("dense", "k"), "ticket": ("winning ticket", "b")}


def curves(replicates=3):
    """Ends at 2 and 4 %, the middle 1 point above their mean for tickets and 5 for the dense network."""
    rows = [
        {"line": line, "replicate": r, "alpha": alpha, "error": error}
        for line, top in (("dense", 8), ("ticket", 4))
        for r in range(replicates)
        for alpha, error in ((0.0, 2.0), (0.5, top), (1.0, 4.0))
    ]
    return pd.DataFrame(rows)


def copies():
    """Dense networks and tickets copied from steps 0 and 500, three replicates each."""
    rows = [
        {"network": name, "model": model, "copied": what, "level": level, "density": 0.8**level, "rewind": k}
        | {"replicate": r, "barrier_test": bar + r, "gap": -0.1 * bool(level)}
        for name, model in (("LeNet", "lenet-300-100"), ("ResNet-20", "resnet-20"))
        for what, level in (("dense", 0), ("ticket", 3))
        for k, bar in ((0, 10.0), (500, 1.0))
        for r in range(3)
    ]
    return pd.DataFrame(rows)


def drawn(axes, label):
    """Points of the line with a label."""
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def test_chords_rise_above_the_mean_of_their_ends():
    figure = figures.chords({"test": curves(), "training": curves()}, LINES)
    for axes in figure.axes:
        assert len(axes.lines) >= 2 * (3 + 1) + 1  # replicates and mean of both lines, the threshold
        assert drawn(axes, "dense")[1].tolist() == [-1, 5, 1]
        assert drawn(axes, "winning ticket")[1].tolist() == [-1, 1, 1]
        assert axes.get_ylim()[1] > STABLE


def test_barriers_one_panel_a_network_and_the_reported_onset():
    figure = figures.barriers(copies(), {"ResNet-20": 2000.0})
    lenet, resnet = figure.axes
    assert drawn(lenet, "dense")[0].tolist() == [0, 500]
    assert drawn(lenet, "winning ticket")[1].tolist() == [11, 2]  # means over r = 0, 1, 2
    assert 2000.0 not in [line.get_xdata()[0] for line in lenet.lines]
    assert 2000.0 in [line.get_xdata()[0] for line in resnet.lines]


def test_barriers_show_the_density_that_was_copied_from_most_steps():
    once = copies().query("level == 3 and rewind == 0").assign(level=9, barrier_test=99.0)
    figure = figures.barriers(pd.concat([copies(), once]))
    assert 99.0 not in np.concatenate([np.asarray(line.get_ydata(), float) for line in figure.axes[0].lines])


def test_accuracy_against_barrier_has_a_dot_a_pair_and_a_margin_where_there_is_one():
    figure = figures.against_accuracy(copies(), {"lenet-300-100": 0.15})
    lenet, resnet = figure.axes
    across = lambda axes: [y for line in axes.lines for y in np.unique(line.get_ydata()) if y == -0.15]  # noqa: E731
    dots = lambda axes: sum(len(line.get_xdata()) for line in axes.lines if line.get_markersize() == 4)  # noqa: E731
    assert dots(lenet) == dots(resnet) == 6  # subnetworks only: three replicates from two steps
    assert across(lenet)
    assert not across(resnet)


def test_rewinding_dashes_the_full_budget():
    rows = [
        {"network": "LeNet", "arm": "ticket", "order": 0, "level": level, "rewind": k, "schedule": schedule}
        | {"replicate": r, "density": 0.8**level, "test_accuracy_end": 98 + k / 1000}
        for level, k, schedule in ((0, 0, "resumed"), (3, 0, "resumed"), (3, 500, "resumed"), (3, 500, "restarted"))
        for r in range(3)
    ]
    (axes,) = figures.rewinding(pd.DataFrame(rows), [3, 8]).axes
    style = {line.get_label(): line.get_linestyle() for line in axes.lines}
    assert (style["51.2 %"], style["51.2 %, all steps again"]) == ("-", "--")
    assert drawn(axes, "51.2 %")[1].tolist() == [98, 98.5]


def test_densities_run_in_percent_and_one_line_sets_the_frame():
    rows = pd.DataFrame(
        [
            {"line": line, "density": density, "replicate": r, "barrier": value * (1 + r)}
            for line, value in (("ticket", 1.0), ("dense", 50.0))
            for density in (1.0, 0.5)
            for r in range(3)
        ]
    )
    (axes,) = figures.by_density({"barrier": (rows, "barrier", 2)}, LINES, frame="ticket").axes
    assert drawn(axes, "winning ticket")[0].tolist() == [50, 100]
    assert drawn(axes, "winning ticket")[1].tolist() == [2, 2]
    assert axes.get_ylim()[1] < 50


def test_plane_keeps_the_errors_and_names_the_networks():
    side = [0.0, 1.0, 2.0]
    found = {"x": side, "y": side, "network_x": [0, 2, 1], "network_y": [0, 0, 2]}
    found |= {f"error_{i:02d}": [1.0, 10.0, 100.0] for i in range(3)}
    figure = figures.plane(found, ("dense", "copy", "ticket"))
    contour, places = figure.data
    assert np.asarray(contour.customdata).tolist() == [[1, 10, 100]] * 3
    assert np.asarray(contour.z)[0] == pytest.approx([0, 1, 2])
    assert list(contour.colorbar.ticktext) == ["1 %", "3.16 %", "10 %", "31.6 %", "100 %"]
    assert list(places.x) == [0, 2, 1]
    assert [(note.text, note.y) for note in figure.layout.annotations] == [("dense", 0), ("copy", 0), ("ticket", 2)]


def test_an_error_of_zero_is_drawn():
    """The logarithm of no error at all has no place on a scale; it is drawn as the least error there is."""
    found = {"x": [0.0, 1.0], "y": [0.0, 1.0], "network_x": [0, 1, 0], "network_y": [0, 0, 1]}
    found |= {"error_00": [0.0, 1.0], "error_01": [2.0, 4.0]}
    contour, _ = figures.plane(found, ("a", "b", "c")).data
    assert np.isfinite(np.asarray(contour.z)).all()
