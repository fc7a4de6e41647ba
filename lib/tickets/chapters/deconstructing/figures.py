"""Figures of chapter 3, from tidy tables: accuracies in percent, differences in points."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ...figures import style

CRITERIA = {
    "large_final": ("large final (chapter 1)", 0),
    "magnitude_increase": ("magnitude increase", 4),
    "movement": ("movement", 6),
    "large_init_large_final": ("large init, large final", 3),
    "large_init": ("large init", 8),
    "random": ("random", 5),
    "small_init": ("small init", 7),
    "small_init_small_final": ("small init, small final", 2),
    "small_final": ("small final", 1),
    "large_final_same_sign": ("large final, same sign", 9),
}
"""Criterion -> (label, place in the palette and among the markers)."""
SIGNS = {True: ("signs kept", style.PALETTE[0]), False: ("signs not kept", style.PALETTE[2])}
LEARNED = {
    (False, False): ("initial weights", 0),
    (True, False): ("signed constants", 4),
    (False, True): ("initial weights, rescaled", 2),
    (True, True): ("signed constants, rescaled", 5),
}
"""(constant, rescaled) -> (label, place in the palette)."""
NULLS = {
    "mask": "the mask itself",
    "s3": "degrees, sizes and pixels kept",
    "s2": "degrees and initial sizes kept",
    "s1": "degrees of units kept",
    "s0": "layer densities kept",
}
RERUN = {
    "large_final": (98.32, 98.12), "magnitude_increase": (98.27, 98.10), "movement": (98.21, 97.93),
    "large_init_large_final": (97.91, 97.02), "random": (97.47, 96.40), "large_init": (97.45, 96.39),
    "small_init": (97.23, 95.86), "small_init_small_final": (97.13, 94.34), "small_final": (95.13, 11.65),
}  # fmt: skip
"""Accuracies at rungs 9 and 14 in a rerun of the authors' code, seeds 0 to 4: github.com/bmiselis/
deconstructing-lottery-tickets, commit 0e64028, nips-reproducibility-challenge-results, figure 3."""
STAND_INS = {"ticket": "large_final", "random": "random", "magnitude_at_init": "large_init"}
"""Arms of chapter 1 -> the criterion that they are."""


def by_criterion(rows: pd.DataFrame, value="test_accuracy") -> pd.DataFrame:
    """The chains of a table with their criterion, whichever chapter's arm they are; actions are left out."""
    plain = (rows["arm"] == "deconstructed") & (rows["ones"] == "rewind") & (rows["zeros"] == "zero")
    named = rows["arm"].map(STAND_INS).where(~plain, rows["criterion"])
    here = rows.assign(criterion=named)[named.notna() & (rows["rewind"] == 0) & (rows["order"] == 0)]
    return here[["criterion", "level", "density", "replicate", value]]


def beside_rerun(found: pd.DataFrame, levels=(9, 14), value="test_accuracy") -> pd.DataFrame:
    """Our mean accuracies of each criterion beside those of the rerun, of what is recorded at these levels."""
    rows = []
    for name, theirs in RERUN.items():
        row = {"criterion": CRITERIA[name][0]}
        for level, number in zip(levels, theirs, strict=True):
            part = found[(found["criterion"] == name) & (found["level"] == level)]
            kept = style.percent(found.loc[found["level"] == level, "density"].mean()) if len(part) else ""
            if len(part):
                row |= {f"ours, {kept}": round(part[value].mean(), 2), f"rerun, {kept}": number, "n": len(part)}
        rows += [row] if len(row) > 1 else []
    return pd.DataFrame(rows)


def criteria(found: pd.DataFrame, value="test_accuracy") -> Figure:
    """Accuracy against density, a line a criterion; those that lose most run out of the picture (Figure 3)."""
    figure, axes = plt.subplots(figsize=(7, 4.2))
    style.level_line(axes, found.loc[found["level"] == 0, value], "dense")
    for name, (label, place) in CRITERIA.items():
        part = found[(found["criterion"] == name) & (found["level"] > 0)]
        if len(part):
            look = style.drawn("ticket", marker=style.MARKERS[place])
            part = part.assign(kept=100 * part["density"])
            style.mean_line(axes, part, "kept", value, label, style.PALETTE[place], **look)
    style.density_axis(axes, found["density"])
    best = found.loc[found["criterion"] == "large_final", value]
    axes.set_ylim(best.min() - 2.5 * (best.max() - best.min()) - 0.5, best.max() + 0.2)
    axes.set_ylabel(style.NAMES[value])
    style.legend_below(figure, np.array([[axes]]), columns=3)
    return style.finish(figure)


def actions(rows: pd.DataFrame, field: str, names: dict[str, str], levels, value="test_accuracy") -> Figure:
    """Accuracy of altered tickets minus that of the ticket, an action a line, one panel a level (Figures 4 and 5).

    field: "ones" or "zeros"; names: action -> label, from top to bottom; colour: whether signs are kept.
    """
    figure, grid = plt.subplots(
        1, len(levels), figsize=(9, 0.9 + 0.36 * len(names)), sharey=True, sharex=False, squeeze=False
    )
    for axes, level in zip(grid.flat, levels, strict=True):
        here = rows[(rows["level"] == level) & (rows["rewind"] == 0)]
        ticket = here[(here["arm"] == "ticket") & (here["order"] == 0)].set_index("replicate")[value]
        for place, name in enumerate(names):
            altered = here[(here["arm"] == "altered") & (here[field] == name)].set_index("replicate")[value]
            _, colour = SIGNS[field == "zeros" or name.startswith("signed")]
            style.dots_at(axes, (altered - ticket).dropna(), place, colour)
        axes.axvline(0, color=style.GREY, lw=1)
        kept = style.percent(here["density"].median()) if len(here) else "none"
        axes.set(title=f"{kept} of the weights", xlabel="points against the ticket", yticks=range(len(names)))
        axes.set_yticklabels(names.values())
    grid[0, 0].set_ylim(len(names) - 0.5, -0.5)
    return style.finish(figure)


def untrained(curves: pd.DataFrame, linear, weights: dict[str, str]) -> Figure:
    """Accuracy of networks that were never trained, against the density of their masks, one panel a kind of weights.

    curves: density, replicate and a column a criterion and kind; linear: accuracies of a linear classifier, a line
    across; weights: suffix of the columns -> title of the panel.
    """
    figure, grid = style.panels(len(weights))
    for axes, (suffix, title) in zip(grid.flat, weights.items(), strict=True):
        for name in ("large_final_same_sign", "large_final", "magnitude_increase", "large_init_large_final", "random"):
            label, place = CRITERIA[name]
            part = curves.assign(kept=100 * curves["density"], accuracy=curves[f"{name}{suffix}"])
            look = style.drawn("ticket", marker=style.MARKERS[place], markersize=3.5)
            style.mean_line(axes, part, "kept", "accuracy", label, style.PALETTE[place], dots=False, **look)
        style.level_line(axes, linear, "linear classifier, trained", colour=style.GREY)
        axes.axhline(10, color=style.GREY, lw=1, ls=":", label="guessing")
        style.density_axis(axes, curves["density"])
        axes.set(title=title, ylabel="test accuracy without training (%)", ylim=(0, 100))
    style.legend_below(figure, grid)
    return style.finish(figure)


def nulls(rows: pd.DataFrame, weights: dict[bool, str]) -> Figure:
    """What is left of a mask's untrained accuracy when only part of it is kept, one panel a kind of weights."""
    figure, grid = plt.subplots(1, len(weights), figsize=(9, 2.8), sharey=True, squeeze=False)
    for axes, (constant, title) in zip(grid.flat, weights.items(), strict=True):
        here = rows[rows["constant"].astype(bool) == constant]
        for place, name in enumerate(NULLS):
            each = here[f"accuracy_{name}"].dropna() if f"accuracy_{name}" in here else pd.Series(dtype=float)
            style.dots_at(axes, each, place, style.PALETTE[0 if name == "mask" else 5])
        axes.axvline(10, color=style.GREY, lw=1, ls=":")
        axes.set(title=title, xlabel="test accuracy without training (%)", xlim=(0, 100), yticks=range(len(NULLS)))
        axes.set_yticklabels(NULLS.values())
    grid[0, 0].invert_yaxis()
    return style.finish(figure)


def learning(curves: pd.DataFrame, value="test_accuracy") -> Figure:
    """Accuracy while a mask is learned, a line a kind of weights."""
    figure, axes = plt.subplots(figsize=(7, 3.8))
    for (constant, rescaled), (label, place) in LEARNED.items():
        part = curves[(curves["constant"] == constant) & (curves["rescaled"] == rescaled)]
        if len(part):
            style.mean_line(axes, part, "test_step", value, label, style.PALETTE[place], dots=False, lw=1.8)
    axes.set(xscale="log", xlabel="training step of the scores", ylabel="test accuracy, mean of ten masks (%)")
    axes.set_ylim(bottom=curves[value].quantile(0.1))  # how it ends, not where all begin
    style.legend_below(figure, np.array([[axes]]), columns=2)
    return style.finish(figure)


def pixels(images: dict[str, np.ndarray]) -> Figure:
    """Kept weights of each input pixel under masks of several criteria, each relative to its mean (bright: 3 times)."""
    across = 4
    figure, grid = plt.subplots(
        -(-len(images) // across), across, figsize=(9, 2.5 * -(-len(images) // across)), squeeze=False
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, image) in zip(grid.flat, images.items(), strict=False):
        axes.imshow(image / image.mean(), cmap="viridis", vmin=0, vmax=3)
        axes.set_title(CRITERIA[name][0], fontsize=9)
    return style.finish(figure)
