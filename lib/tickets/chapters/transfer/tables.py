"""Tidy tables of chapter 4: what is left of a ticket elsewhere, the two factorials, overlap of masks, from records.

Accuracies are test accuracies at the last step, differences in percentage points. One row a replicate wherever a figure
or an interval is to be made; `said` makes the rows that a page prints.
"""

import numpy as np
import pandas as pd

from ...cells import Cell, unseeded
from ...evidence.verdicts import Sample
from .arms import source

VALUE = "test_accuracy_end"
KEYS = ["target", "level", "replicate"]


def named(table: pd.DataFrame, networks: dict[str, Cell]) -> pd.DataFrame:
    """The trained networks and overlaps of a tidy table with the names of their `target` and `source`.

    networks: name -> dense network. The source of a target's own tickets is the target; what belongs to no named
    network is left out.
    """
    name_of = {cell: name for name, cell in networks.items()}
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, "kappa"])))
    moved = table["arm"].isin(["transferred", "overlap"])
    origins = [source(cell) if away else cell for cell, away in zip(table["cell"], moved, strict=True)]
    target = [name_of.get(unseeded(cell)) for cell in table["cell"]]
    rows = table.assign(target=target, source=[name_of.get(unseeded(cell)) for cell in origins])
    ours = moved | ((rows["arm"] == "ticket") & (rows["draw"] == 0))
    return rows[ours & rows["target"].notna() & rows["source"].notna() & (rows["order"] == 0)]


def claimed(rows: pd.DataFrame) -> pd.Series:
    """All but random tickets that are not the rivals that the claims name: permuted as their network is pruned."""
    over = rows["scope"].map({"global": "network", "layerwise": "layer"})
    return (rows["carried"] != "nothing") | (rows["permuted"] == over)


def kept(rows: pd.DataFrame) -> pd.DataFrame:
    """What a transferred ticket keeps of accuracy: one row a target, source, level and replicate.

    rows: as `named` gives them. Columns: density; own, transferred, random (accuracies of the target's own ticket, of
    the source's, and of the random ticket that claims set beside it); minus_own and minus_random, the differences;
    share, how far between random (0) and own (1) the transferred ticket is.
    """
    own = rows[rows["arm"] == "ticket"].set_index(KEYS)[VALUE]
    rivals = rows[rows["arm"] == "transferred"]
    random = rivals[(rivals["carried"] == "nothing") & claimed(rivals)]
    random = random.groupby([*KEYS, "source"])[VALUE].mean()
    found = rivals[rivals["carried"] == "both"][[*KEYS, "source", "density", VALUE]]
    found = found.rename(columns={VALUE: "transferred"}).reset_index(drop=True)
    found["own"] = own.reindex(pd.MultiIndex.from_frame(found[KEYS])).to_numpy()
    found["random"] = random.reindex(pd.MultiIndex.from_frame(found[[*KEYS, "source"]])).to_numpy()
    for rival in ("own", "random"):
        found[f"minus_{rival}"] = found["transferred"] - found[rival]
    return found.assign(share=found["minus_random"] / (found["own"] - found["random"]))


def there(rows: pd.DataFrame, pairs) -> list[tuple[str, str]]:
    """Those (target, source) of which something is recorded."""
    known = set(zip(rows["target"], rows["source"], strict=True))
    return [pair for pair in pairs if pair in known]


def of(rows: pd.DataFrame, pairs) -> np.ndarray:
    """Where rows are of these transfers, or the targets' own."""
    return rows.set_index(["target", "source"]).index.isin([*pairs, *((target, target) for target, _ in pairs)])


def matrix(found: pd.DataFrame, level: int, value: str = "minus_own") -> pd.DataFrame:
    """Sources by targets at a level: mean over replicates of a column of `kept`; nan where nothing is recorded.

    The diagonal is the target's own ticket against itself: 0 points, or all (share 1).
    """
    here = found[found["level"] == level]
    grid = here.pivot_table(index="source", columns="target", values=value, aggfunc="mean", sort=False)
    names = list(dict.fromkeys([*here["target"], *here["source"]]))
    grid = grid.reindex(index=names, columns=names)
    for name in names if value in ("minus_own", "share") else ():
        grid.loc[name, name] = float(value == "share")
    return grid


def factorial(rows: pd.DataFrame, levels) -> pd.DataFrame:
    """The 2x2 factorial of mask and weights: one row a target, source and replicate, means over levels.

    rows: as `named` gives them. Corners both, mask, weights, nothing (what is the source's); effects of mask and of
    weights, each the mean over the two states of the other, and their interaction: what both together add to the sum of
    what each adds alone.
    """
    cells = rows[(rows["arm"] == "transferred") & rows["level"].isin(levels) & (rows["permuted"] == "layer")]
    corners = cells.pivot_table(VALUE, ["target", "source", "replicate"], ["carried", "level"]).dropna()
    four = ["both", "mask", "weights", "nothing"]
    corners = corners.T.groupby(level="carried").mean().T.reindex(columns=four).dropna()
    effects = {
        "mask effect": (corners["both"] + corners["mask"] - corners["weights"] - corners["nothing"]) / 2,
        "weights effect": (corners["both"] + corners["weights"] - corners["mask"] - corners["nothing"]) / 2,
        "interaction": corners["both"] + corners["nothing"] - corners["mask"] - corners["weights"],
    }
    return corners.assign(**effects).reset_index().rename_axis(columns=None)


def crossed(rows: pd.DataFrame, one: str, other: str, levels) -> pd.DataFrame:
    """The 2x2 factorial of source and target over two networks: one row a replicate, means over levels.

    rows: as `named` gives them. Corners are "source > target"; source effect: tickets of `one` minus those of `other`;
    target effect: trained as `one` minus trained as `other`; interaction: own minus transferred, summed over targets.
    """
    tickets = (rows["arm"] == "ticket") | ((rows["arm"] == "transferred") & (rows["carried"] == "both"))
    here = rows[tickets & rows["level"].isin(levels) & rows["target"].isin([one, other])]
    here = here[here["source"].isin([one, other])]
    found = here.pivot_table(index="replicate", columns=["source", "target", "level"], values=VALUE).dropna()
    found = found.T.groupby(level=["source", "target"]).mean().T
    pairs = [(s, t) for s in (one, other) for t in (one, other)]
    if not set(pairs) <= set(found.columns):
        return pd.DataFrame(columns=["replicate", "source effect", "target effect", "interaction"])
    a, b, c, d = (found[pair] for pair in pairs)  # one > one, one > other, other > one, other > other
    effects = {"source effect": (a + b - c - d) / 2, "target effect": (a + c - b - d) / 2, "interaction": a + d - b - c}
    corners = {f"{s} > {t}": found[s, t] for s, t in pairs}
    return pd.DataFrame({**corners, **effects}).reset_index()


def overlaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Overlap of two tickets' masks by layer: one row a pair, level, replicate, `apart` and layer (0: all layers).

    rows: as `named` gives them. kappa: 0 at chance, 1 where one mask holds the other; apart 0: both tickets began from
    one draw of the initial weights, 1: from two, which is the floor that a shared draw is to be compared with.
    """
    measured = rows[rows["arm"] == "overlap"]
    layers = {"kappa": 0} | {name: int(name[6:]) for name in measured if name.startswith("kappa_")}
    long = measured.melt([*KEYS, "source", "apart"], list(layers), "layer").rename(columns={"value": "kappa"})
    return long.assign(layer=long["layer"].map(layers)).dropna(subset="kappa").reset_index(drop=True)


def against_overlap(found: pd.DataFrame, masks: pd.DataFrame) -> pd.DataFrame:
    """Does overlap predict transfer? Rows of `kept` with the kappa over all layers of their two tickets.

    found, masks: as `kept` and `overlaps` give them. Overlap knows no direction: that of a pair serves both ways.
    """
    whole = masks[(masks["layer"] == 0) & (masks["apart"] == 0)][[*KEYS, "source", "kappa"]]
    turned = whole.rename(columns={"target": "source", "source": "target"})
    return found.merge(pd.concat([whole, turned]), on=[*KEYS, "source"])


def said(frame: pd.DataFrame, by: list[str], values: list[str]) -> pd.DataFrame:
    """What a page prints of a table with a row a replicate: mean and 95 % interval of some columns, and n."""
    printed = []
    for keys, part in frame.groupby(by, sort=False):
        samples = {value: Sample.of(part[value].dropna()) for value in values}
        shown = {value: _interval(sample) for value, sample in samples.items()}
        printed.append({**dict(zip(by, keys, strict=True)), "n": part["replicate"].nunique(), **shown})
    return pd.DataFrame(printed, columns=[*by, "n", *values])


def _interval(sample: Sample) -> str:
    if sample.n < 3:
        return f"{sample.mean:.2f}" if sample.n else "–"
    low, high = sample.interval()
    return f"{sample.mean:.2f} [{low:.2f}, {high:.2f}]"
