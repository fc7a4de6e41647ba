"""Figures of chapter 6: over the share kept, over width, what is left of a mask, and where first layers look."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...figures import style

LEFT = {
    "s0": "layer densities (S0)",
    "s1": "and degrees (S1)",
    "s2": "and sizes (S2)",
    "permuted": "values exchanged",
    "sizes": "sizes drawn anew",
    "signs": "signs drawn anew",
    "other": "another initialization",
}
"""What is kept of a search, or changed, from top to bottom."""
SEARCHED, COUNTED = style.PALETTE[1], style.PALETTE[0]


def over_shares(searched: pd.DataFrame, sized: pd.DataFrame, trained: pd.DataFrame) -> Figure:
    """Left, accuracy against the share of the weights that a search keeps; right, that above guessing against P5.

    searched: share, accuracy, gained and replicate; sized: share, gained (bits) and replicate, of the best subsets of
    fixed size; trained: rows of dense networks. On the right a search is a
    part of each replicate's largest, the subsets are parts of their largest mean.
    """
    figure, grid = style.panels(2)
    left, right = grid.flat
    style.mean_line(left, searched, "share", "accuracy", "edge-popup", SEARCHED, **style.drawn("edge_popup"))
    style.level_line(left, trained["test_accuracy_end"], "trained")
    left.set(ylabel="test accuracy at the last step (%)")
    look = style.drawn("ticket", marker=style.MARKERS[0])
    style.mean_line(right, searched, "share", "gained", "edge-popup", SEARCHED, **style.drawn("edge_popup"))
    if len(sized):
        part = sized.assign(gained=sized["gained"] / sized.groupby("share")["gained"].mean().max())
        style.mean_line(right, part, "share", "gained", "best subset (bits)", COUNTED, dots=False, **look)
    right.set(ylabel="part of the largest")
    for axes in grid.flat:
        axes.set(xlabel="share of the weights that is kept")
    style.legend_below(figure, grid)
    return style.finish(figure)


def over_width(rows: pd.DataFrame) -> Figure:
    """Left, accuracy of search and training against width; right, how far the search is behind.

    rows: width, accuracy, accuracy_trained, behind and replicate.
    """
    figure, grid = style.panels(2)
    left, right = grid.flat
    style.mean_line(left, rows, "width", "accuracy", "edge-popup", SEARCHED, **style.drawn("edge_popup"))
    trained = style.drawn("ticket", marker=style.MARKERS[4])
    style.mean_line(left, rows, "width", "accuracy_trained", "trained", style.DENSE, **trained)
    style.mean_line(right, rows, "width", "behind", "trained minus edge-popup", SEARCHED, **style.drawn("edge_popup"))
    right.axhline(0, color=style.GREY, lw=1, ls=":")
    for axes, label in ((left, "test accuracy at the last step (%)"), (right, "points behind")):
        axes.set(xscale="log", xlabel="times as wide as LeNet-300-100", ylabel=label)
        style.ticks(axes, sorted(rows["width"].unique()))
    style.legend_below(figure, grid)
    return style.finish(figure)


def learning(curves: pd.DataFrame) -> Figure:
    """Accuracy while scores are searched or weights trained. curves: arm, test_step, test_accuracy and replicate."""
    figure, axes = plt.subplots(figsize=(7, 3.6))
    for arm, label, colour in (("edge_popup", "edge-popup", SEARCHED), ("trained", "trained", style.DENSE)):
        part = curves[curves["arm"] == arm]
        if len(part):
            style.mean_line(axes, part, "test_step", "test_accuracy", label, colour, dots=False, lw=1.8)
    axes.set(xscale="log", xlabel="training step", ylabel="test accuracy (%)")
    style.legend_below(figure, np.array([[axes]]))
    return style.finish(figure)


def left_over(rows: pd.DataFrame, laws: dict[bool, str]) -> Figure:
    """The part of a search's accuracy above guessing that is left, a row a change, one panel a kind of weights.

    rows: constant, replicate and a column share_NAME for each name of LEFT; shaded: below a tenth, and above half.
    """
    figure, grid = plt.subplots(1, len(laws), figsize=(9, 3.4), sharey=True, squeeze=False)
    for axes, (constant, title) in zip(grid.flat, laws.items(), strict=True):
        here = rows[rows["constant"].astype(bool) == constant]
        for place, name in enumerate(LEFT):
            style.dots_at(axes, here[f"share_{name}"].dropna(), place, SEARCHED)
        axes.axvspan(-0.1, 0.1, color=style.PALETTE[7], alpha=0.15, lw=0)
        axes.axvspan(0.5, 1.1, color=style.PALETTE[4], alpha=0.12, lw=0)
        axes.set(title=title, xlabel="part that is left", xlim=(-0.1, 1.1), yticks=range(len(LEFT)))
        axes.set_yticklabels(LEFT.values())
    grid[0, 0].invert_yaxis()
    return style.finish(figure)


def rates(rows: pd.DataFrame) -> Figure:
    """Accuracy of two searches at each of their rates, as multiples of the authors'. rows: way, times, accuracy."""
    figure, axes = plt.subplots(figsize=(7, 3.6))
    for way, colour in (("edge-popup", SEARCHED), ("sampled masks", style.PALETTE[3])):
        part = rows[rows["way"] == way]
        if len(part):
            style.mean_line(axes, part, "times", "accuracy", way, colour, **style.drawn("edge_popup"))
    axes.set(xscale="log", xlabel="learning rate, times the authors'", ylabel="test accuracy at the last step (%)")
    style.ticks(axes, sorted(rows["times"].unique()))
    style.legend_below(figure, np.array([[axes]]))
    return style.finish(figure)


def first_layer(images: dict[str, np.ndarray]) -> Figure:
    """Kept weights of each pixel; of some units what they keep (above), and what a null mask S1 does (below).

    images: name -> [H, W]: "all", "unit0", "unit1", ..., "traded0", ...
    """
    units = sum(name.startswith("unit") for name in images)
    figure, grid = plt.subplots(2, units + 1, figsize=(9, 4), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].imshow(images["all"], cmap="viridis")
    grid[0, 0].set_title("all units", fontsize=9)
    for i in range(units):
        for row, name, title in ((0, f"unit{i}", f"unit {i + 1}"), (1, f"traded{i}", f"unit {i + 1}, degrees kept")):
            grid[row, i + 1].imshow(images[name], cmap="viridis", vmin=0, vmax=1)
            grid[row, i + 1].set_title(title, fontsize=9)
    return style.finish(figure)


def by_law(rows: pd.DataFrame, laws: dict[bool, str]) -> Figure:
    """Accuracy of searches by the law of their weights, a row each. rows: constant, replicate, test_accuracy_end."""
    figure, axes = plt.subplots(figsize=(7, 1.9))
    for place, constant in enumerate(laws):
        each = rows.loc[rows["constant"].astype(bool) == constant, "test_accuracy_end"]
        style.dots_at(axes, each, place, SEARCHED)
    axes.set(xlabel="test accuracy at the last step (%)", yticks=range(len(laws)), ylim=(len(laws) - 0.5, -0.5))
    axes.set_yticklabels(laws.values())
    return style.finish(figure)
