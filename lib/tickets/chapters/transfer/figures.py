"""Figures of chapter 4, from the tables of `tables`: accuracies in percent, differences in points."""

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...figures import show, style
from .tables import VALUE, claimed, of, there

KINDS = {
    "own": ("the target's own ticket", "ticket"),
    "both": ("transferred ticket", "transferred"),
    "mask": ("its mask, new weights", "reinit"),
    "weights": ("its weights, random mask", "redraw"),
    "nothing": ("random ticket", "random"),
}
"""What of a ticket is carried over -> (label, arm whose look it has)."""
EFFECTS = {"mask effect": "mask", "weights effect": "weights", "interaction": "interaction"}
APART = {0: ("of one draw of initial weights", "transferred"), 1: ("of two draws: the floor", "random")}


def by_target(rows: pd.DataFrame, pairs) -> Figure:
    """Accuracy against density, one panel a transfer: own, transferred and random tickets, the dense network across.

    rows: as `tables.named` gives them; pairs: (target, source) of each panel.
    """
    figure, grid = style.panels(len(pairs))
    for axes, (target, source) in zip(grid.flat, pairs, strict=False):
        here = rows[rows["target"] == target]
        own = here[(here["arm"] == "ticket") & (here["source"] == target)].assign(kind="own")
        style.level_line(axes, own.loc[own["level"] == 0, VALUE], "dense")
        moved = here[(here["arm"] == "transferred") & (here["source"] == source) & claimed(here)]
        drawn = pd.concat([own[own["level"] > 0], moved.assign(kind=moved["carried"])])
        drawn = drawn.assign(kept=100 * drawn["density"])
        for kind, (label, arm) in KINDS.items():
            if len(part := drawn[drawn["kind"] == kind]):
                style.mean_line(axes, part, "kept", VALUE, label, style.COLOURS[arm], **style.drawn(arm))
        style.density_axis(axes, pd.concat([own["density"], drawn["density"]]))
        axes.set(title=f"{source} to {target}", ylabel=style.NAMES[VALUE])
    style.legend_below(figure, grid, columns=3)
    return style.finish(figure)


def shown(rows: pd.DataFrame, pairs, name: str, what: str) -> HTML:
    """`by_target` on a page, of those transfers of which something is recorded; what: between which they are."""
    pairs = there(rows[rows["arm"] == "transferred"], pairs)
    here = rows[of(rows, pairs) & claimed(rows)]
    columns = ["target", "source", "arm", "carried", "permuted", "level", "density", "replicate", VALUE]
    return show.figure(
        len(pairs),
        lambda: (by_target(rows, pairs), here[columns]),
        name,
        f"One panel a direction of transfer between {what}: test accuracy at the last step against weights kept, for "
        "the target's own tickets, transferred and random tickets, and what is carried over alone where that was run.",
        "tickets.chapters.transfer.figures.by_target",
        f"Test accuracy against the weights kept, {style.replicates(here[here['arm'] == 'transferred'])}: means, "
        "replicates as dots, 95 % intervals as bands; across lies the dense network of the target.",
    )


def matrix(found: pd.DataFrame, title: str, label: str = "points against the target's own") -> Figure:
    """Sources (rows) by targets (columns): what a transferred ticket loses or gains against what `label` says.

    found: as `tables.matrix` gives it; a cell of nothing recorded stays empty.
    """
    figure, axes = plt.subplots(figsize=(7, 0.7 + 0.55 * len(found)))
    most = max(found.abs().max().max(), 0.1)
    # each cell has its number, so that colours need no scale
    sns.heatmap(found, ax=axes, cmap="PuOr_r", vmin=-most, vmax=most, annot=True, fmt="+.2f", linewidths=1, cbar=False)
    axes.set(title=f"{title}: {label}", xlabel="trained on (target)", ylabel="ticket of (source)")
    axes.tick_params(axis="x", rotation=20)
    axes.tick_params(axis="y", rotation=0)
    return style.finish(figure)


def factorial(found: pd.DataFrame) -> Figure:
    """What the source's mask, its weights and both together are worth, one panel a target.

    found: as `tables.factorial` gives it. Dots are replicates, larger marks means with their intervals.
    """
    targets = list(dict.fromkeys(found["target"]))
    figure, grid = plt.subplots(1, len(targets), figsize=(9, 2.6), sharey=True, squeeze=False)
    for axes, target in zip(grid.flat, targets, strict=True):
        here = found[found["target"] == target]
        for place, (effect, colour) in enumerate(zip(EFFECTS, style.PALETTE[3:], strict=False)):
            style.dots_at(axes, here[effect], place, colour)
        axes.axvline(0, color=style.GREY, lw=1)
        axes.set(title=f"on {target}", xlabel="points", yticks=range(len(EFFECTS)))
        axes.set_yticklabels(EFFECTS.values())
    grid[0, 0].invert_yaxis()
    return style.finish(figure)


def overlaps(found: pd.DataFrame, pairs, layers=(1, 2, 3)) -> Figure:
    """Overlap of two tickets' masks against level, panels pair by layer; 0 is chance, 1 the most that is possible.

    found: as `tables.overlaps` gives it; pairs: (target, source) of each row of panels.
    """
    figure, grid = plt.subplots(len(pairs), len(layers), figsize=(9, 2.4 * len(pairs)), sharex=True, squeeze=False)
    for row, (target, source) in zip(grid, pairs, strict=True):
        here = found[(found["target"] == target) & (found["source"] == source)]
        for axes, layer in zip(row, layers, strict=True):
            for apart, (label, arm) in APART.items():
                if len(part := here[(here["layer"] == layer) & (here["apart"] == apart)]):
                    style.mean_line(axes, part, "level", "kappa", label, style.COLOURS[arm], **style.drawn(arm))
            axes.axhline(0, color=style.GREY, lw=1, ls="--")
            style.ticks(axes, sorted(here["level"].unique()))
            axes.set(title=f"{source} and {target}, layer {layer}", xlabel="level", ylabel="overlap beyond chance")
            axes.title.set_fontsize(9)
    style.legend_below(figure, grid)
    return style.finish(figure)


def against_overlap(found: pd.DataFrame) -> Figure:
    """What a transferred ticket loses against the overlap of its mask with the target's own; a dot a replicate."""
    figure, axes = plt.subplots(figsize=(7, 3.8))
    groups = found.groupby(["source", "target", "level"], sort=False)
    for look, (names, part) in zip(zip(style.MARKERS, 2 * style.PALETTE, strict=False), groups, strict=False):
        label = f"{names[0]} to {names[1]}, {style.percent(part['density'].mean())}"
        axes.plot(part["kappa"], part["minus_own"], look[0], ms=5, color=look[1], ls="", label=label)
    axes.axhline(0, color=style.GREY, lw=1)
    axes.set(xlabel="overlap of the two masks beyond chance (kappa)", ylabel="points against the target's own")
    style.legend_below(figure, np.array([[axes]]), columns=2)
    return style.finish(figure)
