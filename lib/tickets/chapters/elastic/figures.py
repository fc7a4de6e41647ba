"""Figures of chapter 5, from the tables of `tables`: accuracies in percent, differences in points."""

import pandas as pd
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...figures import show, style
from ..stretching.depth import Blocks
from ..transfer.figures import matrix
from ..transfer.tables import of, there
from . import tables
from .tables import VALUE

COLUMNS = ["target", "source", "kind", "level", "density", "replicate", VALUE]
"""Of the numbers beside a figure."""

KINDS = {
    "own": ("the target's own ticket", style.COLOURS["ticket"], "o"),
    "both": ("elastic ticket", style.COLOURS["elastic"], "D"),
    "mask": ("its mask, new weights", style.COLOURS["reinit"], "v"),
    "weights": ("its weights, random mask", style.COLOURS["random"], "s"),
    "snip": ("SNIP", style.PALETTE[3], "^"),
    "grasp": ("GraSP", style.PALETTE[6], "X"),
    "synflow": ("SynFlow", style.PALETTE[8], "P"),
    "magnitude": ("magnitude, one shot", style.PALETTE[9], "h"),
}
"""What is drawn of a transfer -> (label, colour, marker)."""
NAMES = {kind: label for kind, (label, *_) in KINDS.items()} | {
    "nothing": "new weights, random mask", "at density": "own tickets, interpolated to its density",
    "equal copies": "copies that share alike", "snip added": "SNIP's masks on what was added",
    "permuted added": "random masks on what was added", "line": "line to another",
}  # fmt: skip
NAMES |= {f"script, {kind}": f"{name}; last hidden layer as drawn" for kind, name in NAMES.items()}
"""Every kind, as tables have it."""
DEEPEST = 5
"""Points below the dense network down to which a panel reaches: a rival that collapses would flatten all others."""


def by_density(rows: pd.DataFrame, pairs, kinds=tuple(KINDS)) -> Figure:
    """Accuracy against density, one panel a transfer: elastic and own tickets, rivals; the dense network across.

    rows: as `tables.named` gives them; pairs: (target, source) of each panel; kinds: what is drawn, of KINDS.
    """
    figure, grid = style.panels(len(pairs))
    for axes, (target, source) in zip(grid.flat, pairs, strict=False):
        here = rows[(rows["target"] == target) & rows["source"].isin([target, source]) & rows["kind"].isin(kinds)]
        dense = here.loc[(here["kind"] == "own") & (here["level"] == 0), VALUE]
        style.level_line(axes, dense, "dense")
        moved = here[here["source"] == source]
        own = here[(here["kind"] == "own") & (here["level"] > 0)]
        own = own[own["density"] <= 2 * moved["density"].max()]
        drawn = pd.concat([own, moved])
        # a level is one place on the axis: the mean of its densities, which differ a little between replicates
        place = drawn.groupby(["kind", "level"])["density"].transform("mean")
        for kind, (label, colour, marker) in KINDS.items():
            part = drawn.assign(kept=100 * place)[drawn["kind"] == kind]
            if len(part):
                style.mean_line(axes, part, "kept", VALUE, label, colour, **style.drawn("elastic", marker=marker))
        if len(drawn):
            style.density_axis(axes, drawn["density"])
            axes.set_xlim(115 * drawn["density"].max(), 87 * drawn["density"].min())
        axes.set(title=f"{source} to {target}", ylabel=style.NAMES[VALUE])
        low, top = max(axes.get_ylim()[0], dense.mean() - DEEPEST), max([dense.max(), *drawn[VALUE]])
        axes.set_ylim(low, top + 0.05 * (top - low))
    style.legend_below(figure, grid)
    return style.finish(figure)


def shown(rows: pd.DataFrame, pairs, name: str, what: str, kinds=tuple(KINDS)) -> HTML:
    """`by_density` on a page, of those transfers of which something is recorded; what: whose accuracies they are."""
    pairs = there(rows, pairs)
    here = rows[of(rows, pairs) & rows["kind"].isin(kinds)]
    lacking = ", ".join(KINDS[kind][0] for kind in kinds if not (here["kind"] == kind).any())
    lacking = f" Not recorded yet: {lacking}." if lacking else ""
    counts = here.groupby(["kind", "target", "source", "level"])["replicate"].nunique().groupby("kind").min()
    fewer = "; ".join(f"{KINDS[kind][0]} {n}" for kind, n in counts.items() if n < counts.get("both", 0))
    lacking += f" Fewer replicates: {fewer}." if fewer else ""
    return show.figure(
        len(pairs),
        lambda: (by_density(rows, pairs, kinds), here[COLUMNS]),
        name,
        f"One panel a direction: test accuracy at the last step against weights kept, {what}.",
        "tickets.chapters.elastic.figures.by_density",
        f"Test accuracy against the weights kept by the target, {style.replicates(here[here['kind'] == 'both'])}: "
        "means, replicates as dots, 95 % intervals as bands; across lies the dense network of the target. What lies "
        f"more than {DEEPEST} points below it is cut off." + lacking,
    )


def square(rows: pd.DataFrame, names, kind: str, rival: str, name: str, what: str) -> HTML:
    """Sources by targets among `names` on a page, at the sparsest level that most have: `kind` minus `rival`."""
    found = tables.against(rows, kind, rival)
    found = found[found["target"].isin(names) & found["source"].isin(names)]
    level, own = tables.sparsest(found), rival.endswith("at density")
    grid = tables.matrix(found, level[0], names, 0.0 if own else float("nan")) if level else pd.DataFrame()
    label = "points against the target's own" if own else "points against a random mask"
    diagonal = "the diagonal is 0 by definition, " * own
    return show.figure(
        len(grid),
        lambda: (matrix(grid, f"level {level[0]}", label), grid.rename_axis("source").reset_index()),
        name,
        f"Matrix of sources by targets: test accuracy of {what}.",
        "tickets.chapters.transfer.figures.matrix",
        f"Test accuracy of {what} at level {level and level[0]}, mean over "
        f"{style.replicates(found[found['level'].isin(level)])}; {diagonal}"
        "empty fields were not run.",
    )


def blocks(maps: dict[str, tuple[int, Blocks]]) -> Figure:
    """How units map: of each map the source's stage above, the target's below, each unit in the colour of its origin.

    maps: title -> (units of the source's stage, block map).
    """
    figure, grid = style.panels(len(maps), height=1.7)
    for axes, (title, (have, taken)) in zip(grid.flat, maps.items(), strict=False):
        for row, units in ((1, range(have)), (0, taken)):
            for place, unit in enumerate(units):
                colour = style.PALETTE[unit % len(style.PALETTE)]
                axes.add_patch(Rectangle((place - 0.4, row - 0.22), 0.8, 0.44, color=colour, lw=0))
                axes.text(place, row, f"B{unit}", ha="center", va="center", color="white", fontsize=8)
        for place, unit in enumerate(taken):
            axes.plot([unit, place], [0.78, 0.22], color=style.PALETTE[unit % len(style.PALETTE)], lw=1)
        axes.set(title=title, xlim=(-0.6, max(have, len(taken)) - 0.4), ylim=(-0.4, 1.4), xticks=[], yticks=[])
        axes.set_yticks([1, 0], ["source", "target"])
        axes.tick_params(left=False)
        for side in axes.spines.values():
            side.set_visible(False)
    figure.tight_layout()
    plt.close(figure)
    return figure


def dots(found: pd.DataFrame, value: str, label: str, none: float = 0.0) -> Figure:
    """Replicates as dots, means with their intervals as larger marks; a line across where nothing differs.

    found: one row a `panel`, `what` stands in a row of it, and replicate; label: of the axis of `value`.
    """
    names, what = list(dict.fromkeys(found["panel"])), list(dict.fromkeys(found["what"]))
    figure, grid = plt.subplots(1, len(names), figsize=(9, 1.1 + 0.32 * len(what)), sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=True):
        for place, row in enumerate(what):
            values = found.loc[(found["panel"] == name) & (found["what"] == row), value]
            style.dots_at(axes, values, place, style.PALETTE[place % len(style.PALETTE)])
        axes.axvline(none, color=style.GREY, lw=1)
        axes.set(title=name, xlabel=label, yticks=range(len(what)))
        axes.set_yticklabels(what)
    grid[0, 0].invert_yaxis()
    return style.finish(figure)


def lines(found: pd.DataFrame) -> Figure:
    """Test error along lines, one panel a kind of other end: mean over replicates, 95 % intervals as bands.

    found: as `tables.lines` gives it. Left two orders of the data, right from an elastic network to the target's own.
    """
    titles = {"copy": "between two orders of the data", "own": "to what the target's own ticket learns"}
    shown = [other for other in titles if (found["other"] == other).any()]
    figure, grid = style.panels(len(shown))
    for axes, other in zip(grid.flat, shown, strict=False):
        here = found[found["other"] == other]
        for i, ((target, source), part) in enumerate(here.groupby(["target", "source"], sort=False)):
            own = target == source
            colour = style.COLOURS["ticket"] if own else style.PALETTE[(4 + 2 * i) % len(style.PALETTE)]
            label = f"{target}'s own ticket" if own else f"{source}'s ticket on {target}"
            style.mean_line(axes, part, "alpha", "test_error", label, colour, dots=False)
        axes.set(title=titles[other], xlabel="place on the line", ylabel="test error (%)")
    style.legend_below(figure, grid, columns=2)
    return style.finish(figure)
