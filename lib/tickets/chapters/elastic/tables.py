"""Tidy tables of chapter 5: who was made of whom, and what is left of a ticket on another network, from records."""

import pandas as pd

from ...cells import Cell, unseeded
from ..transfer.tables import KEYS, VALUE
from .arms import ORIGIN, source

MADE = ("elastic", "early", "own_ticket", "elastic_chord")
"""Arms that have a source."""


def named(table: pd.DataFrame, networks: dict[str, Cell]) -> pd.DataFrame:
    """The rows of a tidy table with the names of their `target` and `source`, and what they are, their `kind`.

    networks: name -> dense network. Kinds: own (tickets of the target; it is its own source), both, mask, weights,
    nothing (what of an elastic ticket is carried), permuted and snip added (masks of added units), equal copies, script
    (the last hidden layer unmapped), a score before training, at density (the target's own tickets at the density of an
    elastic one), line. What belongs to no named network is left out.
    """
    name_of = {cell: name for name, cell in networks.items()}
    made = table["arm"].isin(MADE)
    origins = [source(cell) if of else cell for cell, of in zip(table["cell"], made, strict=True)]
    rows = table.assign(
        target=[name_of.get(unseeded(cell)) for cell in table["cell"]],
        source=[name_of.get(unseeded(cell)) for cell in origins],
        kind=[_kind(cell) for cell in table["cell"]],
    )
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, "drift"])))
    rows = rows.astype(dict.fromkeys(("target", "source", "kind"), object))  # whatever pandas makes of none
    return rows[rows["target"].notna() & rows["source"].notna() & (rows["order"] == 0)]


def _kind(cell: Cell) -> str:
    own = cell.own
    if cell.arm == "early":
        return own["score"]
    if cell.arm == "elastic":
        added = own["added"] if own["added"] == "copied" else f"{own['added']} added"
        kind = "equal copies" if own["even"] else own["carried"] if added == "copied" else added
        kind += f", {own['blocks']}" * (own["blocks"] != ORIGIN["blocks"])
        return f"script, {kind}" if own["unmapped"] else kind
    word = {"ticket": "own", "own_ticket": "at density", "elastic_chord": "line"}.get(cell.arm, cell.arm)
    return f"script, {word}" if own.get("unmapped") else word


def against(rows: pd.DataFrame, kind: str = "both", rival: str = "at density") -> pd.DataFrame:
    """One row a target, source, level and replicate: an elastic network, its rival, and the difference, in points.

    rows: as `named` gives them, of one network at either side. Columns beside KEYS and source: elastic, rival, points.
    """
    keys = [*KEYS, "source"]
    one, other = (rows[rows["kind"] == name].groupby(keys)[VALUE].mean() for name in (kind, rival))
    found = pd.concat({"elastic": one, "rival": other}, axis=1, join="inner").dropna().reset_index()
    return found.assign(points=found["elastic"] - found["rival"])


def sparsest(found: pd.DataFrame) -> list[int]:
    """The sparsest level that as many transfers have as any, in a list; no level where there is none."""
    full = found.groupby("level")["target"].count() if len(found) else pd.Series(dtype=int)
    return [int(full[full == full.max()].index.max())] if len(full) else []


def matrix(found: pd.DataFrame, level: int, names, diagonal: float = 0.0) -> pd.DataFrame:
    """Sources by targets at a level: mean over replicates of the points of `against`.

    names: the networks, in order; nan where nothing is recorded. diagonal: of a network against itself, 0 where the
    rival is its own ticket.
    """
    here = found[found["level"] == level]
    grid = here.pivot_table(index="source", columns="target", values="points", aggfunc="mean")
    grid = grid.reindex(index=list(names), columns=list(names)).astype(float)
    for name in names:
        grid.loc[name, name] = diagonal
    return grid


def rivals(rows: pd.DataFrame, pairs, levels, kinds: dict[str, str]) -> pd.DataFrame:
    """Elastic tickets minus their rivals, mean over levels: one row a transfer (`panel`), rival (`what`), replicate.

    rows: as `named` gives them; pairs: (target, source); kinds: kind of a rival -> what it is called.
    """
    found = []
    for target, origin in pairs:
        here = rows[(rows["target"] == target) & (rows["source"] == origin) & rows["level"].isin(levels)]
        for kind, what in kinds.items():
            part = against(here, rival=kind)
            each = part.groupby("replicate")["points"].agg(["mean", "size"])
            whole = each[each["size"] == len(levels)]["mean"].rename("points").reset_index()
            found.append(whole.assign(panel=f"{origin} to {target}", what=what))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["panel", "what", "points"])


def drifts(rows: pd.DataFrame) -> pd.DataFrame:
    """Density of elastic tickets over their sources': one row a level (`panel`), transfer (`what`) and replicate."""
    here = rows[rows["kind"] == "at density"]
    what = here["source"] + " to " + here["target"]
    return here.assign(panel=[f"level {level:g}" for level in here["level"]], what=what)


def lines(curves: pd.DataFrame, networks: dict[str, Cell]) -> pd.DataFrame:
    """Test errors along lines, a row a point: target, source, other (copy or own), level, replicate, alpha, test_error.

    curves: as `Store.curves` gives them over alpha. The line between two copies of the target's own ticket has the
    target as its source. Lines of networks that are not named are left out.
    """
    name_of = {cell.model: name for name, cell in networks.items()}
    found = curves.assign(target=curves["model"].map(name_of), alpha=curves["alpha"].astype(float))
    found["source"] = found["source_model"].map(name_of).fillna(found["target"])
    columns = ["target", "source", "other", "level", "replicate", "alpha", "test_error"]
    return found.loc[found["target"].notna(), columns].reset_index(drop=True)
