"""Figures of chapter 1, from tidy tables: no training, no disk. Each returns a matplotlib figure, or a page."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...figures import style
from ...figures.show import Page

EXPLORED = ("ticket", "reinit", "random")


def accuracy_curves(
    curves: pd.DataFrame, densities: dict[int, float], value="test_accuracy", axis="test_step"
) -> Figure:
    """`value` against step, one line a level; reinitialized tickets dashed in the same colour (Fig. 3 of the paper).

    curves: long, with arm, level, replicate, `axis`, `value`; densities: level -> density.
    """
    figure, axes = plt.subplots(figsize=(7, 4.2))
    colours = dict(zip(densities, style.shades(len(densities)), strict=True))
    for (arm, level), part in curves[curves["level"].isin(list(densities))].groupby(["arm", "level"]):
        name, look = (f"{style.percent(densities[level])} kept", "-") if arm == "ticket" else (None, "--")
        style.mean_line(axes, part, axis, value, name, colours[level], dots=False, ls=look)
    if "reinit" in set(curves["arm"]):
        axes.plot([], [], "k--", lw=1, label="reinitialized")
    axes.set(xscale="log", xlabel="training step", ylabel=style.NAMES[value].replace(" at early stop", ""))
    axes.set_ylim(*_frame(curves, value, axis))
    style.legend_below(figure, np.array([[axes]]), columns=3)
    return style.finish(figure)


def _frame(curves: pd.DataFrame, name: str, axis: str) -> tuple[float, float]:
    """Limits that show where curves differ, not where they all start: of a loss up to where its means end."""
    values = curves[name]
    if "accuracy" in name:
        return values.quantile(0.15), values.max() + 0.1 * (values.max() - values.quantile(0.15))
    ends = curves[curves[axis] == curves[axis].max()].groupby("level")[name].mean()
    return 0.9 * values.min(), max(values.quantile(0.9), 1.05 * ends.max())


def ladder(table: pd.DataFrame, arms, values, paper: pd.DataFrame | None = None) -> Figure:
    """One panel per value against density, one line per arm (Figure 4 of the paper).

    table: rows with arm, density, replicate and the values; level 0 of the ticket is the dense network, a line across.
    paper: density, value (panel), y: points that the paper printed, laid over.
    """
    figure, grid = style.panels(len(values), height=3.4)
    for axes, value in zip(grid.flat, values, strict=False):
        _ladder_panel(axes, table[table["order"] == 0], arms, value)  # not the dense network's second order
        if paper is not None and len(points := paper[paper["value"] == value]):
            look = {"color": style.PAPER, "ms": 7, "mfc": "none", "mew": 2}
            axes.plot(100 * points["density"], points["y"], "D", label="the paper, relative to our dense", **look)
    style.label_ends(grid[0, 0]) if len(values) == 1 else style.legend_below(figure, grid, columns=3)
    return style.finish(figure)


def _ladder_panel(axes, table: pd.DataFrame, arms, value: str) -> None:
    dense = style.by_replicate(table[(table["arm"] == "ticket") & (table["level"] == 0)], value, "level")[value]
    style.level_line(axes, dense, "dense")
    for arm in arms:
        part = table[(table["arm"] == arm) & table[value].notna()]
        if len(part):
            kept, label, colour = part.assign(kept=100 * part["density"]), style.LABELS[arm], style.COLOURS[arm]
            style.mean_line(axes, kept, "kept", value, label, colour, **style.drawn(arm))
    style.density_axis(axes, table["density"])
    axes.set_ylabel(style.NAMES[value])
    if value == "early_stop_step":
        axes.set_yscale("log")
    else:  # one starved control must not squeeze the others
        low = table[table["arm"].isin(["ticket", "reinit", "one_shot"])][value].min()
        axes.set_ylim(low - 0.1 * (table[value].max() - low), table[value].max() + 0.1 * (table[value].max() - low))


def gaps(table: pd.DataFrame, arms: list[tuple[str, dict]], levels, value="test_accuracy") -> Figure:
    """Each arm's `value` minus the winning ticket's at the same level and replicate, one panel per level.

    arms: (label, fields of its rows) from top to bottom.
    """
    figure, grid = plt.subplots(1, len(levels), figsize=(9, 0.8 + 0.42 * len(arms)), sharey=True, squeeze=False)
    for axes, level in zip(grid.flat, levels, strict=True):
        here = table[table["level"] == level]
        ticket = here[here["arm"] == "ticket"].set_index("replicate")[value]
        for place, (_, fields) in enumerate(arms):
            rows = here[np.logical_and.reduce([here[name] == v for name, v in fields.items()])]
            gap = (style.by_replicate(rows, value, "arm").set_index("replicate")[value] - ticket).dropna()
            style.dots_at(axes, gap, place, style.COLOURS[fields["arm"]], style.SHAPES[fields["arm"]])
        axes.axvline(0, color=style.GREY, lw=1)
        kept = here["density"].median() if len(here) else float("nan")
        axes.set(
            title=f"{style.percent(kept)} of the weights", xlabel="points against the ticket", yticks=range(len(arms))
        )
        axes.set_yticklabels([label for label, _ in arms])
    grid[0, 0].invert_yaxis()
    return style.finish(figure)


def histograms(rows: pd.DataFrame, edges, names: dict[str, str], layers=(1, 2, 3), xlabel="") -> Figure:
    """Shares over bins of initial standard deviations, layer by layer; rows are anatomy records of one level.

    names: prefix of the histogram columns -> label, for example initial_kept -> "in the ticket".
    """
    figure, grid = plt.subplots(1, len(layers), figsize=(9, 2.9), sharex=True)
    for axes, layer in zip(grid, layers, strict=True):
        for (prefix, label), colour in zip(names.items(), (style.COLOURS["ticket"], "0.45"), strict=False):
            counts = np.sum([np.asarray(row) for row in rows[f"{prefix}_{layer}"]], axis=0)
            axes.stairs(counts / max(counts.sum(), 1), [*edges, -edges[0]], color=colour, label=label, lw=1.6)
        axes.set(title=f"layer {layer}", xlabel=xlabel, ylabel="share of weights", yticks=[])
    style.legend_below(figure, grid.reshape(1, -1))
    return style.finish(figure)


def movement(rows: pd.DataFrame, names: dict[str, tuple[str, float]], layers=(1, 2, 3)) -> Figure:
    """What was measured on each layer, and the value for movements that know nothing of the mask, a line across.

    names: column prefix -> (panel title, that value).
    """
    figure, grid = plt.subplots(1, len(names), figsize=(9, 2.9))
    for axes, (prefix, (title, blind)) in zip(grid, names.items(), strict=True):
        axes.axhline(blind, color=style.GREY, lw=1, ls="--")
        for layer in layers:
            each = style.by_replicate(rows, f"{prefix}_{layer}", "arm")[f"{prefix}_{layer}"]
            mean, low, high = style.interval(each)
            axes.plot(np.full(len(each), layer), each, ".", color=style.COLOURS["ticket"], alpha=0.5)
            bar = {"fmt": "o", "color": style.COLOURS["ticket"], "capsize": 3}
            axes.errorbar(layer, mean, yerr=[[mean - low], [high - mean]], **bar)
        axes.set(title=title, xticks=layers, xlabel="layer", xlim=(0.5, len(layers) + 0.5))
    return style.finish(figure)


def degrees(levels: dict[str, np.ndarray], level: int) -> Figure:
    """Degrees of units under one ticket's mask: outgoing of pixels and hidden units, incoming of hidden units.

    levels: layer -> [out, in], the level at which each weight was pruned. A dashed line is the mean; were the mask
    random, almost all units would lie within the shaded two standard deviations of it.
    """
    figure, grid = plt.subplots(1, 4, figsize=(9, 2.6))
    first, second = (array > level for array in list(levels.values())[:2])
    panels = (
        ("out of pixels", first, 0),
        ("into layer 1", first, 1),
        ("out of layer 1", second, 0),
        ("into layer 2", second, 1),
    )
    for axes, (title, kept, axis) in zip(grid, panels, strict=True):
        degree, density = np.sort(kept.sum(axis))[::-1], kept.mean()
        spread = 2 * np.sqrt(kept.shape[axis] * density * (1 - density))
        axes.axhspan(degree.mean() - spread, degree.mean() + spread, color=style.GREY, alpha=0.15, lw=0)
        axes.axhline(degree.mean(), color=style.GREY, ls="--", lw=1)
        axes.plot(np.linspace(0, 1, degree.size), degree, color=style.COLOURS["ticket"])
        axes.set(title=title, xlabel="units, sorted", xticks=[])
    grid[0].set_ylabel("kept connections")
    return style.finish(figure)


def explorer(table: pd.DataFrame, curves: pd.DataFrame, levels: dict[str, np.ndarray], arms=EXPLORED) -> Page:
    """What changes as the reader drags the density: the mask of the first layer, accuracies, curves of training.

    table, curves: as in `ladder` and `accuracy_curves`; levels: layer -> [out, in], when each weight was pruned.
    """
    first, kept = next(iter(levels.values())), table[table["arm"] == "ticket"].groupby("level")["density"].mean()
    each = style.by_replicate(table[table["order"] == 0], "test_accuracy", "arm", "level").set_index(["arm", "level"])
    spans = {
        arm: [
            style.interval(each["test_accuracy"].get((arm if level else "ticket", level), [])) for level in kept.index
        ]
        for arm in arms
    }  # level 0 of every arm is the dense network
    means = style.by_replicate(curves, "test_accuracy", "arm", "level", "test_step")
    means = means.groupby(["level", "arm", "test_step"])["test_accuracy"].mean()
    data = {
        "kept": [round(100 * density, 1) for density in kept],
        "pixels": [(first > level).sum(0).tolist() for level in kept.index],
        "arms": {arm: {"label": style.LABELS[arm], "colour": style.COLOURS[arm], "spans": spans[arm]} for arm in arms},
        "curves": {
            int(level): {arm: list(part.loc[level, arm].items()) for arm in part.index.unique("arm")}
            for level, part in means.groupby("level")
        },
    }
    return Page(Path(__file__).with_name("explorer.html"), data)
