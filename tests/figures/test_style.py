"""What all figures share: intervals, lines over replicates, axes, one legend, on hand-made tables."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import same_color, to_rgb
from scipy import stats
from tickets.arms import ARMS
from tickets.figures import style

VALUES = np.array([[1.0, 2.0, 4.0, 3.0], [10.0, 11.0, 15.0, 12.0], [5.0, 5.5, 6.5, 7.0]])
"""[place, replicate]"""


@pytest.fixture
def axes():
    yield plt.subplots()[1]
    plt.close("all")


def rows(values=VALUES, places=(0, 100, 500)):
    """One row a place and replicate."""
    return pd.DataFrame(
        {"x": x, "replicate": r, "y": y} for x, at in zip(places, values, strict=True) for r, y in enumerate(at)
    )


def named(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


# numbers


@pytest.mark.parametrize(("density", "shown"), [(1, "100 %"), (0.5128, "51.3 %"), (0.036, "3.6 %"), (0.009, "0.9 %")])
def test_densities_as_the_papers_print_them(density, shown):
    assert style.percent(density) == shown


def test_an_interval_is_that_of_scipy():
    mean, low, high = style.interval(VALUES[1])
    theirs = stats.ttest_1samp(VALUES[1], 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((12, theirs.low, theirs.high))


def test_fewer_than_three_replicates_have_no_interval():
    assert style.interval([1.0, 3.0]) == (2, 2, 2)
    assert style.interval([5.0]) == (5, 5, 5)
    assert len(set(style.interval([1.0, 2.0, 4.0]))) == 3


def test_what_is_not_finite_is_left_out():
    assert style.interval([1.0, 2.0, np.nan, 4.0, np.inf]) == style.interval([1.0, 2.0, 4.0])
    assert np.isnan(style.interval([np.nan])[0])


def test_draws_are_averaged_inside_a_replicate():
    table = pd.DataFrame({"level": 7, "replicate": [0, 0, 1], "y": [1.0, 3.0, 5.0]})
    found = style.by_replicate(table, "y", "level")
    assert found["y"].tolist() == [2, 5]
    assert found["replicate"].tolist() == [0, 1]


# lines


def test_a_mean_line_has_means_its_intervals_and_a_dot_a_replicate(axes):
    style.mean_line(axes, rows(), "x", "y", "ours", "C3")
    line = named(axes, "ours")
    assert line.get_xdata().tolist() == [0, 100, 500]
    assert line.get_ydata() == pytest.approx(VALUES.mean(axis=1))
    assert same_color(line.get_color(), "C3")
    (band,) = axes.collections
    (edge,) = band.get_paths()
    for x, values in zip((0, 100, 500), VALUES, strict=True):
        at = edge.vertices[edge.vertices[:, 0] == x, 1]
        assert (at.min(), at.max()) == pytest.approx(style.interval(values)[1:])
    (dots,) = [line for line in axes.lines if line.get_marker() == "."]
    assert sorted(dots.get_ydata()) == sorted(VALUES.flatten())


def test_a_mean_line_may_do_without_dots_and_without_a_label(axes):
    style.mean_line(axes, rows(), "x", "y", None, "C0", dots=False, ls="--")
    assert [line for line in axes.lines if line.get_marker() == "."] == []
    assert axes.get_legend_handles_labels()[1] == []
    assert axes.lines[0].get_linestyle() == "--"
    assert axes.get_legend() is None  # the figure has one below


def test_the_replicate_is_the_unit_of_a_mean_line(axes):
    """Three draws of a replicate are one dot, and weigh no more than the single draw of another."""
    table = pd.concat([rows(), *[rows().query("replicate == 0").assign(y=lambda f: f["y"] + 3)] * 2])
    style.mean_line(axes, table, "x", "y", "ours", "C0")
    expected = VALUES + np.array([2.0, 0, 0, 0])
    assert named(axes, "ours").get_ydata() == pytest.approx(expected.mean(axis=1))
    (dots,) = [line for line in axes.lines if line.get_marker() == "."]
    assert len(dots.get_ydata()) == VALUES.size


def test_at_a_single_place_the_interval_is_a_bar(axes):
    style.mean_line(axes, rows(VALUES[:1], places=(500,)), "x", "y", "ours", "C0", dots=False)
    (bars,) = axes.containers
    _, caps, (bar,) = bars.lines
    assert len(caps) == 2
    ((low, high),) = [segment[:, 1] for segment in bar.get_segments()]
    assert (low, high) == pytest.approx(style.interval(VALUES[0])[1:])


def test_a_diverged_replicate_does_not_lose_the_others(axes):
    spoiled = np.where(VALUES == 15, np.nan, VALUES)
    style.mean_line(axes, rows(spoiled), "x", "y", "ours", "C0", dots=False)
    assert named(axes, "ours").get_ydata() == pytest.approx(np.nanmean(spoiled, axis=1))


def test_a_level_line_runs_across_with_its_interval(axes):
    style.level_line(axes, VALUES[1], "dense", colour="C2")
    line = named(axes, "dense")
    assert set(line.get_ydata()) == {12}
    assert same_color(line.get_color(), "C2")
    (band,) = axes.patches
    low, high = style.interval(VALUES[1])[1:]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((low, high))


def test_a_level_line_of_nothing_is_not_drawn(axes):
    style.level_line(axes, pd.Series(dtype=float), "dense")
    assert not list(axes.lines)
    assert not list(axes.patches)


# axes, panels, legends


def test_densities_run_from_dense_to_sparse(axes):
    style.density_axis(axes, pd.Series([1.0, 0.2, 0.036]))
    left, right = axes.get_xlim()
    assert left > 100 > 3.6 > right > 0
    assert axes.get_xscale() == "log"
    assert list(axes.get_xticks()) == [100, 51.3, 21.1, 7.0, 3.6, 1.9]
    assert axes.xaxis.get_major_formatter()(51.3, 0) == "51.3"


def test_steps_have_a_tick_each_and_room_for_step_0(axes):
    style.step_axis(axes, pd.Series([500, 0, 2000, 500]))
    assert list(axes.get_xticks()) == [0, 500, 2000]
    assert axes.get_xscale() == "symlog"
    at = axes.transData.transform([(0, 0), (500, 0), (2000, 0)])[:, 0]
    assert at[0] < at[1] < at[2]
    assert axes.xaxis.get_major_formatter()(2000, 0) == "2,000"


def test_an_axis_of_step_0_alone(axes):
    style.step_axis(axes, pd.Series([0, 0]))
    assert list(axes.get_xticks()) == [0]


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (4, (2, 2))])
def test_panels_are_two_a_row_and_no_more_than_asked_for(count, shape):
    figure, grid = style.panels(count)
    assert grid.shape == shape
    assert [axes.get_visible() for axes in grid.flat] == [i < count for i in range(grid.size)]
    style.finish(figure)


def test_one_legend_has_each_label_once():
    figure, grid = style.panels(2)
    for axes in grid.flat:
        axes.plot([0, 1], label="ticket")
    grid[0, 1].plot([1, 0], label="dense")
    style.legend_below(figure, grid)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ticket", "dense"]
    style.finish(figure)


def test_a_finished_figure_has_no_frame_and_is_closed():
    figure, grid = style.panels(1)
    assert style.finish(figure) is figure
    assert not grid[0, 0].spines["top"].get_visible()
    assert not grid[0, 0].spines["right"].get_visible()
    assert figure.number not in plt.get_fignums()


def test_replicates_stand_in_a_row_with_their_mean(axes):
    style.dots_at(axes, VALUES[0], 2, "C1", "s")
    style.dots_at(axes, [], 3, "C1")
    dots, mean = (next(line for line in axes.lines if line.get_marker() == marker) for marker in (".", "s"))
    assert dots.get_xdata() == pytest.approx(VALUES[0])
    assert set(dots.get_ydata()) == {2}
    assert (mean.get_xdata()[0], mean.get_ydata()[0]) == (2.5, 2)
    assert not [line for line in axes.lines if 3 in np.atleast_1d(line.get_ydata())]


def test_lines_are_named_at_their_ends_and_names_keep_apart(axes):
    for height, name in ((0.5, "middle"), (0.51, "near"), (5, "beyond"), (0, "low")):
        axes.plot([0, 1], [0, height], label=name, color="C3")
    axes.plot([0, 1], [0, 1])
    axes.set_ylim(0, 1)
    style.label_ends(axes)
    at = {text.get_text(): text.xy[1] for text in axes.texts}
    assert list(at) == ["low", "middle", "near", "beyond"]
    assert at["low"] == 0
    assert at["near"] - at["middle"] == pytest.approx(0.07)
    assert at["beyond"] == 1
    assert all(same_color(text.get_color(), "C3") for text in axes.texts)


def test_the_end_of_a_line_is_on_the_right_whichever_way_the_axis_runs(axes):
    axes.plot([1, 2], [0.2, 0.8], label="line")
    axes.set(ylim=(0, 1), xlim=(3, 0))
    style.label_ends(axes)
    assert axes.texts[0].xy[1] == pytest.approx(0.2)


# words and colours


def test_arms_of_figures_have_labels_and_looks_of_their_own():
    assert set(style.LABELS) == set(ARMS)
    assert len(set(style.LABELS.values())) == len(ARMS)
    looks = [(style.COLOURS[name], style.SHAPES[name]) for name in style.COLOURS]
    assert len(set(looks)) == len(looks)
    assert {"ticket", "reinit", "random", "one_shot", "noise"} <= set(style.COLOURS)
    assert not {"pulled", "pulled_reinit"} & set(style.COLOURS)  # they stand in a table


def test_replicates_are_counted_for_captions():
    rows = pd.DataFrame({"arm": ["a", "a", "b", "a"], "level": 1, "replicate": [0, 1, 0, 1]})
    assert style.replicates(rows) == "1 to 2 replicates"
    assert style.replicates(rows[rows["arm"] == "a"]) == "2 replicates"
    assert style.replicates(rows[rows["arm"] == "b"]) == "1 replicate"
    assert style.replicates(rows.iloc[:0]) == "0 replicates"


# the palette, measured


TURN = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])  # CSS hue-rotate(180deg)
VISION = {  # on linear RGB (Machado et al. 2009, severity 1)
    "normal": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
DARK_PAGE = "#14181e"


def turned_over(colour):
    """What the style sheet makes of a colour in dark mode: invert(0.9), then hue-rotate(180deg)."""
    return np.clip(TURN @ (0.9 - 0.8 * np.array(to_rgb(colour))), 0, 1)


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2."""
    low, high = sorted((TO_XYZ @ linear(colour))[1] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour, seen):
    """CIE L*a*b* of a colour as somebody sees it."""
    x = TO_XYZ @ np.clip(seen @ linear(colour), 0, 1) / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colour", [*style.PALETTE, style.DENSE, style.PAPER])
def test_colours_stand_out_on_light_and_on_dark_pages(colour):
    assert contrast(colour, "white") >= 3
    assert contrast(turned_over(colour), DARK_PAGE) >= 3


@pytest.mark.parametrize("vision", VISION)
def test_the_main_arms_are_told_apart_by_all_readers(vision):
    named = [style.DENSE, *(style.COLOURS[name] for name in ("ticket", "reinit", "random", "one_shot"))]
    seen = [lab(colour, np.array(VISION[vision])) for colour in named]
    nearest = min(np.linalg.norm(one - other) for one, other in combinations(seen, 2))
    assert nearest > 10, nearest


def test_a_caption_counts_replicates_by_direction_and_not_by_the_version_of_the_code():
    """Records alone have a column `source` too: what of the library made them."""
    made = pd.DataFrame({"arm": "ticket", "level": 3, "replicate": range(4), "source": ["a", "a", "b", "c"]})
    assert style.replicates(made) == "4 replicates"
    moved = made.assign(target="MLP-3", source=["MLP-2"] * 3 + ["MLP-4"])
    assert style.replicates(moved) == "1 to 3 replicates"
    rewound = pd.DataFrame({"arm": "ticket", "level": 3, "replicate": [0, 1, 2, 0], "rewind": [0, 0, 0, 1000]})
    assert style.replicates(rewound) == "1 to 3 replicates"
    assert style.replicates(rewound.assign(criterion=None)) == "1 to 3 replicates"
