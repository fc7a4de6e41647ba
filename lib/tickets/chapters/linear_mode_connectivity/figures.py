"""Figures of chapter 2: the straight line between two networks, the plane of three, and what they say of accuracy.

Everything is drawn from tidy tables: no training, no disk. Barriers and gaps are in percentage points. Dots and thin
lines are replicates, thick lines their means, bands and bars 95 % t-intervals over replicates.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...figures import style
from .pairs import STABLE

# what is copied -> (label, colour)
LINES = {"dense": ("dense", style.DENSE)} | {
    n: (style.LABELS[n], style.COLOURS[n]) for n in ("ticket", "random", "reinit", "rounds", "descent")
}


def chords(titled: dict[str, pd.DataFrame], lines: dict) -> Figure:
    """Error along the line between two networks, above the mean of its two ends: a maximum above 2 is a barrier.

    titled: title -> long curves with alpha, error (percent), replicate and line; lines: line -> (label, colour).
    """
    wide = np.clip(4.6 * len(titled), 5.5, 9.5)
    figure, grid = plt.subplots(1, len(titled), figsize=(wide, 3.6), squeeze=False, sharey=True)
    for axes, (title, curves) in zip(grid.flat, titled.items(), strict=True):
        for line, (label, colour) in lines.items():
            part = curves[curves["line"] == line]
            if part.empty:
                continue
            errors = style.by_replicate(part, "error", "alpha").pivot(
                index="alpha", columns="replicate", values="error"
            )
            rise = errors - errors.iloc[[0, -1]].mean()
            axes.plot(rise.index, rise, color=colour, lw=0.7, alpha=0.45)
            axes.plot(rise.index, rise.mean(axis=1), color=colour, lw=2.4, label=label)
        axes.axhline(STABLE, color=style.GREY, lw=1, ls="--")
        axes.set(title=title, xlabel="place on the line", ylabel="")
    axes.plot([], [], color=style.GREY, lw=1, ls="--", label=f"{STABLE} points")
    axes.set_ylim(top=max(1.2 * STABLE, axes.get_ylim()[1]))
    grid[0, 0].set_ylabel("error above its ends (points)")
    style.legend_below(figure, grid)
    return style.finish(figure)


def barriers(copies: pd.DataFrame, onsets: dict[str, float] | None = None) -> Figure:
    """Barrier of two copies against the step from which they differ, one panel a network (Figures 2, 3, 6 and 7).

    copies: chords of `pairs.between`, of each network those of the dense one and of the density copied from most steps;
    onsets: network -> step from which its dense network is stable, as reported.
    """
    networks = list(dict.fromkeys(copies["network"]))
    figure, grid = style.panels(len(networks))
    for axes, network in zip(grid.flat, networks, strict=False):
        here = copies[copies["network"] == network]
        level = here[here["level"] > 0].groupby("level")["rewind"].nunique().idxmax() if here["level"].any() else 0
        for what, (label, colour) in LINES.items():
            part = here[(here["copied"] == what) & here["level"].isin([0, level])]
            if len(part):
                style.mean_line(axes, part, "rewind", "barrier_test", label, colour, **style.drawn(what))
        axes.axhline(STABLE, color=style.GREY, lw=1, ls="--", label=f"{STABLE} points")
        if network in (onsets or {}):
            axes.axvline(
                onsets[network], color=style.PAPER, lw=1.4, ls="-.", label="dense is stable from here, as reported"
            )
        style.step_axis(axes, here["rewind"])
        kept = here.loc[here["level"] == level, "density"]
        title = f"{network}, subnetworks of {style.percent(kept.iloc[0])}" if level else network
        axes.set(title=title, xlabel="step from which the copies differ", ylabel="barrier (points)")
    style.legend_below(figure, grid)
    return style.finish(figure)


def against_accuracy(copies: pd.DataFrame, margins: dict[str, float]) -> Figure:
    """Accuracy against the dense network's over the barrier, one dot a pair of copies: the paper's main claim.

    Subnetworks that are matching if and only if they are stable lie in the two shaded corners. Hollow dots are rewound
    to initialization, filled ones to a later step; squares with bars are means with their intervals.
    """
    sparse = copies[(copies["copied"] != "dense") & copies["gap"].notna()]
    models = list(dict.fromkeys(sparse["model"]))
    figure, grid = style.panels(len(models), height=4)
    for axes, model in zip(grid.flat, models, strict=False):
        here = sparse[sparse["model"] == model]
        for what in [name for name in LINES if name in set(here["copied"])]:
            label, colour = LINES[what]
            for late in (False, True):
                part = here[(here["copied"] == what) & ((here["rewind"] > 0) == late)]
                name = f"{label}, rewound to {'a later step' if late else 'initialization'}"
                face = {"mfc": colour if late else "white"}
                axes.plot(part["barrier_test"], part["gap"], "o", color=colour, ms=4, alpha=0.6, **face)
                for _, setting in part.groupby(["network", "level", "rewind"]):
                    (x, *x_ends), (y, *y_ends) = style.interval(setting["barrier_test"]), style.interval(setting["gap"])
                    bars = {"xerr": [[x - x_ends[0]], [x_ends[1] - x]], "yerr": [[y - y_ends[0]], [y_ends[1] - y]]}
                    axes.errorbar(x, y, fmt="s", color=colour, ms=6, lw=1, **face, **bars)
                if len(part):
                    axes.plot([], [], "s", color=colour, label=name, **face)
        _corners(axes, here, margins.get(model))
        axes.set(title=style.WORDS[model], xlabel="barrier (points)", ylabel="test accuracy minus dense (points)")
    style.legend_below(figure, grid, columns=2)
    return style.finish(figure)


def _corners(axes, here: pd.DataFrame, margin: float | None) -> None:
    """The two thresholds, and shade where "stable" and "matching" agree. The barrier axis is linear up to 2 points."""
    axes.set_xscale("symlog", linthresh=STABLE)
    axes.set_xlim(-0.1, max(1.5 * here["barrier_test"].max(), 2 * STABLE))
    style.ticks(axes, [0, 1, 2, 5, 10, 20, 50, 100])
    low, high = min(here["gap"].min(), -3 * (margin or 0)), max(here["gap"].max(), 2 * (margin or 0))
    axes.set_ylim(low - 0.12 * (high - low), high + 0.12 * (high - low))
    axes.axvline(STABLE, color=style.GREY, lw=1, ls="--")
    if margin:
        axes.axhline(-margin, color=style.GREY, lw=1, ls="--")
        left, right, bottom, top = *axes.get_xlim(), *axes.get_ylim()
        axes.fill_between([left, STABLE], -margin, top, color="0.5", alpha=0.12, lw=0)
        axes.fill_between([STABLE, right], bottom, -margin, color="0.5", alpha=0.12, lw=0)
        place = {"transform": axes.transAxes, "fontsize": 8, "color": "0.25"}
        axes.text(0.02, 0.98, "stable and matching", va="top", **place)
        axes.text(0.98, 0.02, "neither", ha="right", **place)


def rewinding(rows: pd.DataFrame, levels) -> Figure:
    """Accuracy at the last step against the rewind step, one line a density, one panel a network.

    rows: as `named` gives them, of networks with tickets rewound to several steps; dashed where all steps follow the
    rewind step instead of what is left of the budget.
    """
    tickets = rows[(rows["arm"] == "ticket") & (rows["order"] == 0)]
    networks = list(dict.fromkeys(tickets["network"]))
    figure, grid = style.panels(len(networks))
    for axes, network in zip(grid.flat, networks, strict=False):
        here = tickets[tickets["network"] == network]
        style.level_line(axes, here.loc[here["level"] == 0, "test_accuracy_end"], "dense")
        chosen = [level for level in levels if level and level in set(here["level"])]
        for level, colour in zip(chosen, style.shades(len(chosen)), strict=True):
            for schedule, look in (("resumed", "-"), ("restarted", "--")):
                part = here[(here["level"] == level) & (here["schedule"] == schedule)]
                if len(part):
                    name = style.percent(part["density"].iloc[0]) + ", all steps again" * (schedule == "restarted")
                    style.mean_line(
                        axes, part, "rewind", "test_accuracy_end", name, colour, **style.drawn("ticket"), ls=look
                    )
        style.step_axis(axes, here["rewind"])
        axes.set(title=network, xlabel="rewind step", ylabel="test accuracy at the last step (%)")
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.3)}  # a line may be anywhere inside
        axes.legend(frameon=False, fontsize=8, title="weights kept", title_fontsize=8, ncols=3, **below)
    return style.finish(figure)


def by_density(values: dict[str, tuple[pd.DataFrame, str, float]], lines: dict, frame: str = "") -> Figure:
    """Values against density, panels one above the other on one density axis.

    values: label of the value -> (rows with density, replicate, line and the value, its column, a threshold drawn
    across); lines: line -> (label, colour); frame: the line that sets the limits, where others would squeeze it.
    """
    figure, grid = plt.subplots(len(values), 1, figsize=(7, 0.6 + 3 * len(values)), sharex=True, squeeze=False)
    for axes, (title, (rows, column, threshold)) in zip(grid.flat, values.items(), strict=True):
        for line, (label, colour) in lines.items():
            part = rows[(rows["line"] == line) & rows[column].notna()]
            if len(part):
                style.mean_line(
                    axes, part.assign(kept=100 * part["density"]), "kept", column, label, colour, **style.drawn(line)
                )
        axes.axhline(threshold, color=style.GREY, lw=1, ls="--", label="threshold")
        if len(framed := rows.loc[rows["line"] == frame, column].dropna()):
            low, high = min(framed.min(), threshold), max(framed.max(), threshold)
            axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        style.density_axis(axes, pd.concat([rows["density"] for rows, _, _ in values.values()]))
        axes.set(ylabel=title, xlabel="weights kept (%)" if axes is grid[-1, 0] else "")
    style.legend_below(figure, grid)
    return style.finish(figure)


def plane(curves: dict, names: tuple[str, str, str]):
    """Test error in the plane through three networks, colour on a logarithmic scale, value by value under the pointer.

    curves: of a record of arm plane (see `connect.plane`); names: of the three networks.
    """
    import plotly.graph_objects as go  # half a second that the other figures do without

    error = np.array([curves[f"error_{i:02d}"] for i in range(len(curves["y"]))])
    least = error[error > 0].min(initial=100)  # no error at all has no logarithm
    z = np.log10(error.clip(least))
    ticks = np.geomspace(least, error.max(), 5)
    marks = [f"{tick:.3g} %" for tick in ticks]
    hover = "test error %{customdata:.2f} %<br>at (%{x:.1f}, %{y:.1f})<extra></extra>"
    contours = {"start": z.min(), "end": z.max(), "size": (z.max() - z.min()) / 12 or 1}
    figure = go.Figure(
        [
            go.Contour(
                x=curves["x"], y=curves["y"], z=z, customdata=error, colorscale="Viridis", reversescale=True,
                contours=contours, line={"width": 0.5}, hovertemplate=hover,
                colorbar={"title": "test<br>error", "tickvals": np.log10(ticks), "ticktext": marks},
            ),
            go.Scatter(
                x=curves["network_x"], y=curves["network_y"], mode="markers", hoverinfo="skip", showlegend=False,
                marker={"size": 11, "color": "white", "line": {"width": 2, "color": "black"}},
            ),
        ]
    )  # fmt: skip
    for name, x, y in zip(names, curves["network_x"], curves["network_y"], strict=True):
        look = {"bgcolor": "rgba(255, 255, 255, 0.8)", "font": {"color": "black"}}
        figure.add_annotation(text=name, x=x, y=y, yshift=20, showarrow=False, **look)
    side = {"title": "distance (L2)", "constrain": "domain"}
    figure.update_layout(
        height=480, margin={"l": 10, "r": 10, "t": 10, "b": 10}, template="plotly_white", dragmode=False,
        xaxis=side, yaxis=side | {"scaleanchor": "x"},
    )  # fmt: skip
    return figure
