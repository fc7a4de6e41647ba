"""What all figures share: words, colours, intervals over replicates, the density axis, one legend below the panels.

Densities run from dense at the left to sparse at the right on a log axis, as in the papers. Dots are replicates, lines
their means, bands and bars 95 % t-intervals over replicates.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..arms import ARMS
from ..evidence.verdicts import Sample

PALETTE = ("#0173b2", "#d8554a", "#d9539a", "#7a5cc7", "#12766d", "#a87900", "#4f9a2e", "#7d7d7d", "#8a4b2a", "#2b2f77")
"""Visible on white, and on the dark page, where figures are turned over; a test measures it."""
MARKERS = "osvDP^Xh*p<>"
LABELS = {name: arm.label for name, arm in ARMS.items()}
COLOURS = {name: PALETTE[arm.colour % len(PALETTE)] for name, arm in ARMS.items() if arm.colour is not None}
SHAPES = {name: MARKERS[arm.colour % len(MARKERS)] for name, arm in ARMS.items() if arm.colour is not None}
"""Colour and marker of an arm in every figure: of the arms that figures draw."""
WORDS = {
    "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn": "SVHN",
    "cifar100_coarse": "CIFAR-100, 20 classes", "fashion_mnist32": "Fashion-MNIST, 32x32", "imagenet": "ImageNet",
    "digits": "8x8 digits", "digits16": "16x16 digits", "sgd": "SGD", "fc-500": "784-500-10", "fc-2508": "784-2508-10",
    **{f"lenet-{3 * w}-{w}": f"LeNet-{3 * w}-{w}" for w in (50, 100, 200, 400)}, "mlp-2x150": "MLP-2, half as wide",
    **{f"mlp-{n}x300": f"MLP-{n}" for n in (2, 3, 4)}, **{f"vgg-{n}": f"VGG-{n}" for n in (13, 16, 19)}, "adam": "Adam",
    **{f"resnet-{n}": f"ResNet-{n}" for n in range(14, 57, 6)}, **{f"conv-{n}": f"Conv-{n}" for n in (2, 4, 6, 8)},
    **{f"conv-{n}x32": f"Conv-{n}, slim" for n in (2, 4)}, "conv-4x96": "Conv-4 x 1.5", "conv-4x128": "Conv-4 x 2",
}  # fmt: skip
WORDS |= {f"{name}x8": f"{WORDS[name]}, slim" for name in WORDS if name.startswith(("resnet-", "vgg-"))}
WORDS |= {f"{name}_16": f"{WORDS[name]}, 16x16" for name in ("cifar10", "cifar100", "cifar100_coarse")}
HALVED = ("digits", "digits16", "mnist", "fashion_mnist", "cifar10", "cifar10_16")
WORDS |= {f"{name}-{x}": f"half {x} of {WORDS[name]}" for name in HALVED for x in "ab"}
"""How pages write the values of a cell."""
NAMES = {
    "early_stop_step": "early-stop step",
    "test_accuracy": "test accuracy at early stop (%)",
    "test_accuracy_mid": "test accuracy at 30 % of the budget (%)",
    "test_accuracy_end": "test accuracy at the last step (%)",
    "train_accuracy_end": "training accuracy at the last step (%)",
    "validation_loss": "validation loss",
}
PAPER = "#c2570c"
"""Colour of everything that a paper printed."""
GREY = "0.4"
"""Of thresholds, and of what other lines are compared with."""
DENSE = "0.3"
"""Of the dense network."""


def drawn(arm: str, **other) -> dict:
    """How a line of an arm looks, everywhere in the book; one of the dense network as of its tickets."""
    return {"marker": SHAPES.get(arm, "o"), "markersize": 4.5, "markeredgewidth": 0, "lw": 1.6, **other}


def shades(count: int) -> list:
    """Colours of an ordered row of lines, dark to light, without those that vanish on white."""
    return sns.color_palette("viridis", count + 2)[:count]


def percent(density: float) -> str:
    """A density as the papers print it: 100, 51.3, 3.6 %."""
    return "100 %" if density == 1 else f"{100 * density:.1f} %"


def interval(values) -> tuple[float, float, float]:
    """Mean and 95 % t-interval over replicates; the mean alone where there are fewer than three.

    What is not finite is left out: the checks of a chapter count the trainings that diverged.
    """
    values = np.asarray(values, dtype=float)
    sample = Sample.of(values[np.isfinite(values)])
    return sample.mean, *(sample.interval() if sample.n > 2 else (sample.mean, sample.mean))


def replicates(rows: pd.DataFrame) -> str:
    """How many replicates the settings of some rows have, for a caption: "20 replicates", "10 to 20 replicates"."""
    keys = ("network", "arm", "criterion", "level", "rewind", "apart", *("target", "source") * ("target" in rows))
    named = [name for name in keys if name in rows]
    counts = rows.groupby(named, dropna=False)["replicate"].nunique() if len(rows) else [0]
    few, many = min(counts), max(counts)
    return f"{f'{few} to ' if few < many else ''}{many} replicate{'s' if many != 1 else ''}"


def by_replicate(table: pd.DataFrame, value: str, *keys: str) -> pd.DataFrame:
    """Draws averaged inside a replicate: the replicate is the unit."""
    return table.groupby([*keys, "replicate"], as_index=False)[value].mean()


def mean_line(axes, rows: pd.DataFrame, x: str, y: str, label: str | None, colour, dots: bool = True, **line) -> None:
    """Mean over replicates against `x`, its interval as a band (at a single place as a bar), replicates as dots."""
    each = by_replicate(rows, y, x)
    alone = each[x].nunique() == 1
    bars = {"err_style": "bars", "err_kws": {"capsize": 3}} if alone else {"err_kws": {"alpha": 0.15, "lw": 0}}
    sns.lineplot(
        each, x=x, y=y, ax=axes, color=colour, label=label, legend=False, estimator=lambda v: interval(v)[0],
        errorbar=lambda v: interval(v)[1:], **bars, **line,
    )  # fmt: skip
    if dots:
        axes.plot(each[x], each[y], ".", color=colour, ms=3, alpha=0.5)


def dots_at(axes, values, place: float, colour, marker: str = "o") -> None:
    """Replicates as dots in a row at a height, and their mean with its interval as a larger mark."""
    if len(values):
        mean, low, high = interval(values)
        axes.plot(values, np.full(len(values), place), ".", color=colour, alpha=0.5)
        axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt=marker, color=colour, capsize=3)


def level_line(axes, values, label: str, colour=DENSE) -> None:
    """The mean of what does not depend on x as a line across, with its interval as a band."""
    if len(values):
        mean, low, high = interval(values)
        axes.axhline(mean, color=colour, lw=1, label=label)
        axes.axhspan(low, high, color=colour, alpha=0.12, lw=0)


def density_axis(axes, densities: pd.Series) -> None:
    """A log axis of densities in percent, dense at the left, ticks at the rungs that the paper labels."""
    axes.set_xscale("log")
    ticks(axes, [100, 51.3, 21.1, 7.0, 3.6, 1.9])
    axes.set_xlim(115, 87 * densities.min())
    axes.set_xlabel("weights kept (%)")


def step_axis(axes, steps: pd.Series) -> None:
    """An axis of steps, linear up to the first after 0 and logarithmic beyond, with a tick at each."""
    at = sorted(int(step) for step in steps.unique())
    axes.set_xscale("symlog", linthresh=next((step for step in at if step), 1))
    ticks(axes, at, ",.0f")


def ticks(axes, at, form: str = "g") -> None:
    """Ticks below at these places only, as plain numbers."""
    axes.xaxis.set(major_locator=FixedLocator(at), minor_locator=NullLocator(), major_formatter=f"{{x:{form}}}")


def panels(count: int, height: float = 3.6):
    """(figure, grid of axes) with `count` panels, two a row; a single one is wide."""
    rows, across = -(-count // 2), min(2, count)
    figure, grid = plt.subplots(rows, across, figsize=(9 if across > 1 else 7, height * rows), squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, grid


def legend_below(figure: Figure, grid, columns: int = 4) -> None:
    """One legend below all panels, each label once."""
    found = {}
    for axes in np.ravel(grid):
        found |= dict(reversed(pair) for pair in zip(*axes.get_legend_handles_labels(), strict=True))
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "frameon": False}
    figure.legend(found.values(), found.keys(), ncols=min(columns, max(1, len(found))), **place)


def label_ends(axes, apart: float = 0.07) -> None:
    """The name of each line at its right end, in its colour; no two nearer than a share of the axis."""
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    within = (axes.transData - axes.transAxes).transform  # shares of the axes, left to right and bottom to top
    at = {line: np.clip(max(within(line.get_xydata()).tolist())[1], 0, 1) for line in lines}
    beyond = -apart
    for line in sorted(at, key=at.get):
        beyond = max(at[line], beyond + apart)
        place = {"xy": (1.01, beyond), "xycoords": "axes fraction", "va": "center", "annotation_clip": False}
        axes.annotate(line.get_label(), color=line.get_color(), fontsize=9, **place)


def finish(figure: Figure) -> Figure:
    """A figure without its frame, laid out, and closed for pyplot: it is shown by the caller, once."""
    sns.despine(figure)
    figure.tight_layout()
    plt.close(figure)
    return figure
