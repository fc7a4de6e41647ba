"""Figures of chapter 8. Bits are minus the logarithm to base 2 of the distance that is left, means over targets."""

from math import comb

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...figures import show, style
from . import theorems
from .study import STEP_SIZES

LAWS = {
    "uniform": ("uniform numbers", 0),
    "product": ("products of two", 1),
    "hyperbolic": ("hyperbolic numbers", 4),
    "gadget": ("hidden units, right on both sides", 3),
}
SEARCHES = {
    "exact": ("all subsets", 0),
    "greedy": ("largest that helps", 4),
    "relaxed": ("rounded shares", 2),
    "edge_popup": ("edge-popup", 1),
}
STEPS = {size: (f"step size {size:g}", place) for size, place in zip(STEP_SIZES, (1, 5, 6), strict=True)}
WAYS = {"row": ("numbers of a unit", 0), "own": ("numbers of a weight", 4), "product": ("products of a weight", 1)}
"""What is drawn -> (label, place in the palette and among the markers)."""


def course(rows: pd.DataFrame, field: str, kinds: dict, x: str, y: str, lines=None, marks=None, **axis) -> Figure:
    """A line of means over replicates for each kind of a field, `y` against `x`.

    lines: label -> height of a line across; marks: kind -> (x, y) that somebody else has; axis: settings of the axes.
    """
    figure, axes = plt.subplots(figsize=(7, 3.8))
    for kind, (label, place) in kinds.items():
        look = style.drawn("ticket", marker=style.MARKERS[place])
        part = rows[rows[field] == kind]
        if len(part):
            style.mean_line(axes, part, x, y, label, style.PALETTE[place], dots=False, **look)
        if kind in (marks or {}):
            mark = {"marker": "x", "ms": 8, "mew": 2, "ls": "", "color": style.PALETTE[place]}
            axes.plot(*marks[kind], label="a published simulation", **mark)
    for label, height in (lines or {}).items():
        axes.axhline(height, color=style.GREY, lw=1, ls=":", label=label)
    axes.set(**axis)
    style.legend_below(figure, np.array([[axes]]), columns=2)
    return style.finish(figure)


def shown(rows: pd.DataFrame, field: str, kinds: dict, x: str, y: str, name: str, said: str, **how) -> HTML:
    """`course` on a page, where anything is recorded; said: what it shows, for its caption. Formulas have no arm."""
    return show.figure(
        len(rows),
        lambda: (course(rows, field, kinds, x, y, **how), rows[[field, x, "replicate", y]]),
        name,
        f"Lines against {how['xlabel']}, a line each for {', '.join(label for label, _ in kinds.values())}: {said}",
        "tickets.chapters.subset_sum.figures.course",
        f"{said} Lines are means over {style.replicates(rows.dropna(subset='arm'))}, bands 95 % intervals.",
    )


def at_best_step(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The uniform pools, of edge-popup those at the step size that gains most bits per number on average."""
    found = table[table["search"] == "edge_popup"] if len(table) else table
    best = found.groupby("step_size")["bits"].mean().idxmax() if len(found) else STEP_SIZES[0]
    popup = rows["search"] == "edge_popup"
    return rows[(rows["law"] == "uniform") & (~popup | (rows["step_size"] == best))]


def counting(n: int) -> pd.DataFrame:
    """Bits that counting promises at each share of n uniform numbers, for targets uniform on [-1, 1].

    The C(n, k) sums of a pool lie around k of its mean with a variance of k (1 - k/n) / 3, as if drawn independently
    from a normal distribution: the nearest is at an exponential distance whose rate is twice their density. Sizes near
    none and all are left out: their sums are few.
    """
    k = np.arange(2, n - 2)
    subsets, variance = np.array([float(comb(n, int(one))) for one in k]), k * (1 - k / n) / 3
    off = (1 + k**2 / n) / 3  # mean square of what is between a target and that middle
    nats = np.log(2 * subsets / np.sqrt(2 * np.pi * variance)) - off / (2 * variance) + np.euler_gamma
    return pd.DataFrame({"share": k / n, "gained": nats / np.log(2)})


def all_sums(numbers: np.ndarray, target: float, sizes) -> tuple[Figure, pd.DataFrame]:
    """(Figure, nearest distances): the sums of all subsets of the first few numbers as ticks, a row a size."""
    from ..subsets.sums import all_sums  # brings numba

    figure, axes = plt.subplots(figsize=(7, 2.6))
    rows = []
    for place, size in enumerate(sizes):
        found = all_sums(numbers[:size])[0]
        axes.vlines(found, place - 0.3, place + 0.3, color=style.PALETTE[0], lw=0.8, alpha=0.6)
        rows.append({"numbers": size, "subsets": len(found), "nearest": np.abs(found - target).min()})
    axes.axvline(target, color=style.PAPER, lw=1.5, label="target")
    axes.set(yticks=range(len(rows)), xlabel="sum of a subset")
    axes.set_yticklabels([f"{row['numbers']} numbers, {row['subsets']} subsets" for row in rows])
    style.legend_below(figure, np.array([[axes]]))
    return style.finish(figure), pd.DataFrame(rows)


def bounds(bits: float, at_none: float) -> tuple[Figure, pd.DataFrame]:
    """(Figure, numbers): how many times as wide as its target a network must be, against the target's width."""
    d = np.geomspace(10, 1e4, 40)
    of = {
        "Malach et al., constant 1": theorems.malach,
        "Orseau et al., constant 1": theorems.orseau,
        "Pensia et al., constant 1": theorems.pensia,
        "lower bound (Pensia et al.)": theorems.least,
        "exact search, measured": lambda d: theorems.measured(d, bits, at_none),
    }
    figure, axes = plt.subplots(figsize=(7, 3.8))
    found = pd.DataFrame({"width": d} | {label: [factor(one) for one in d] for label, factor in of.items()})
    for label, place in zip(of, (1, 4, 0, 7, 3), strict=True):
        style_of = {"lw": 2.4} if "measured" in label else {"lw": 1.6, "ls": ":" if "lower" in label else "--"}
        axes.plot(d, found[label], label=label, color=style.PALETTE[place], **style_of)
    axes.set(xscale="log", yscale="log", xlabel="width of the target", ylabel="times as wide")
    style.legend_below(figure, np.array([[axes]]), columns=2)
    return style.finish(figure), found
