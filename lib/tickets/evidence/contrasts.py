"""Estimands of claims: from the tidy table to one number a replicate.

A contrast (grammar: head of book/claims.yml) is read in complete blocks: a replicate counts when every network that the
contrast names has been recorded for it. Draws, levels and layers are averaged inside a replicate first, so they never
count as n.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from ..errors import BadInput
from ..networks import Scene, place

SLACK = 1.05
"""`tt` is the first step with validation loss <= SLACK x the dense minimum of the replicate."""
LATE = 0.95
"""An early-stop step beyond this share of the budget may be the budget's end and not the network's minimum."""
BEHIND = (
    *("cell", "key", "model", "arm", "level", "replicate", "draw", "steps", "precision", "kept", "density", "diverged"),
    *("early_stop_step", "best_step", "best_loss", "test_accuracy", "wrong", "device"),
)
"""Columns of the records behind a number. Statistics are others, and there are hundreds."""


@dataclass(frozen=True)
class Reading:
    """One number a replicate.

    values: Series by replicate, complete blocks only; rows: the records behind them, with the columns `value`, `weight`
    (the contrast is the sum of weight x value in a replicate) and `censored` (the step was not reached, or only at the
    end of the budget); tried: values of a field among which one was picked, by whatever statistic; picked: that one.
    """

    values: pd.Series
    rows: pd.DataFrame
    tried: int = 1
    picked: str = ""

    def on(self, replicates) -> "Reading":
        """The same for some replicates only."""
        kept = self.values.index.isin(list(replicates))
        return replace(self, values=self.values[kept], rows=self.rows[self.rows["replicate"].isin(list(replicates))])


class Records:
    """A tidy table (`Store.table`) by cell. twin: with the dense network and its second order (A/A) exchanged."""

    def __init__(self, table: pd.DataFrame, twin: bool = False):
        self.table, self._rows = (table := table.reset_index(drop=True)), defaultdict(list)
        self._behind = table[[name for name in BEHIND if name in table]]
        for i, cell in enumerate(table["cell"]):
            swapped = twin and cell.is_dense and not cell.rewind and cell.order < 2
            self._rows[place(cell.but(order=1 - cell.order) if swapped else cell)].append(i)

    def at(self, scene: Scene, **fields) -> pd.DataFrame:
        """Rows of a network with these fields, else its own: all replicates, and all draws unless named."""
        rows = self._behind.iloc[self._rows.get(scene.place(**fields), [])]
        return rows[rows["draw"] == fields["draw"]] if "draw" in fields and fields.get("level", 0) != 0 else rows

    # contrasts

    def read(self, contrast: dict, scene: Scene, rung=None) -> Reading:
        """The contrast, replicate by replicate; `rung` stands for the word `rung` in its terms."""
        values, rows, tried, picked = contrast.get("constant", 0.0), [], 1, []
        for name, sign in (("plus", 1), ("minus", -1), ("slope", 1)):
            if name in contrast:
                if (term := self._term(contrast, name, scene, rung)).values.empty:
                    return term
                values, tried = values + sign * term.values, tried * term.tried
                picked += [term.picked] if term.picked else []
                rows.append(term.rows.assign(weight=sign * term.rows["weight"]))
        return _blocks(values, rows, tried, ", ".join(picked))

    def _term(self, contrast: dict, term: str, scene: Scene, rung) -> Reading:
        """One term of a contrast: the mean over its lists, or the slope over its levels, of the mean over draws."""
        fields = {"stat": contrast.get("stat"), **{k: rung if v == "rung" else v for k, v in contrast[term].items()}}
        tried, picked, chosen_on = 1, "", None
        for name, wanted in fields.items():
            if isinstance(wanted, dict):
                fields[name], tried, chosen_on = self._pick(fields, name, scene)
                picked = f"{name} {fields[name]}"
        lists = [value if isinstance(value, list) else [value] for value in fields.values()]
        each = (dict(zip(fields, chosen, strict=True)) for chosen in product(*lists))
        columns, rows = zip(*(self._column(contrast, scene, **one) for one in each), strict=True)
        if any(column.empty for column in columns):  # a network that nobody has trained, as in most claims
            return Reading(columns[0][:0], rows[0][:0])
        weights = np.full(len(columns), 1 / len(columns))
        if term == "slope":  # by least squares
            weights = np.linalg.pinv(np.vander(fields["level"], 2))[0]
        rows = [one.assign(weight=one["weight"] * weight) for one, weight in zip(rows, weights, strict=True)]
        reading = _blocks(_side_by_side(columns) @ weights, rows, tried, picked)
        return reading if chosen_on is None else reading.on(chosen_on)

    def _pick(self, fields: dict, name: str, scene: Scene) -> tuple:
        """(value, values tried, replicates) of a field: the value with the best (or worst) mean of a statistic.

        It is chosen once, on the replicates that have every value. A choice by another statistic of the same networks
        is a choice all the same.
        """
        wanted, how = fields[name], "best" if "best" in fields[name] else "worst"
        reads = [{**fields, name: value, "stat": wanted["by"]} for value in wanted[how]]
        frame = _side_by_side([self._column({}, scene, **read)[0] for read in reads])
        means = frame.mean().fillna(0).to_numpy()
        at = int(means.argmax() if how == "best" else means.argmin())
        return wanted[how][at], len(means), frame.index

    def _column(self, contrast: dict, scene: Scene, stat: str, **fields) -> tuple[pd.Series, pd.DataFrame]:
        """A statistic of one kind of network: Series by replicate (mean over draws), and its rows."""
        if (rows := self.at(scene, **fields)).empty:
            return rows["replicate"].astype(float), rows
        values, censored = self._statistic(rows, stat, scene)
        if contrast.get("log"):
            values = np.log(values.where(values > 0))
        _, place, draws = np.unique(rows["replicate"], return_inverse=True, return_counts=True)
        rows = rows.assign(value=values, censored=censored, weight=1 / draws[place])
        return rows.groupby("replicate")["value"].mean(), rows

    def _statistic(self, rows: pd.DataFrame, stat: str, scene: Scene) -> tuple[pd.Series, pd.Series]:
        """(values, censored) of the rows. A diverged network has not reached its step: it gets the whole budget."""
        if stat == "tt":
            reached = _time_to_loss(rows, self.at(scene, level=0))
            return reached.fillna(rows["steps"]), reached.isna()
        if stat not in self.table:
            raise BadInput(f"statistic {stat!r}: no such column in the results")
        values = self.table.loc[rows.index, stat].astype(float)
        if stat != "early_stop_step":
            return values, pd.Series(False, rows.index)
        failed = rows["diverged"].eq(True)
        return values.mask(failed, rows["steps"]), failed | (values > LATE * rows["steps"])


def _side_by_side(columns) -> pd.DataFrame:
    """One column a series, one row a replicate that all of them have."""
    return pd.concat(columns, axis=1, join="inner").dropna().set_axis(range(len(columns)), axis=1)


def _blocks(values: pd.Series, rows, tried: int = 1, picked: str = "") -> Reading:
    """A reading of the replicates with a number, and of no other rows."""
    return Reading(values, pd.concat(rows), tried, picked).on(values.index[values.notna()])


def _time_to_loss(rows: pd.DataFrame, dense: pd.DataFrame) -> pd.Series:
    """First step with validation loss <= SLACK x the replicate's dense minimum; nan where it is not reached."""
    goals = SLACK * dense.groupby("replicate")["best_loss"].last().map(min)
    stairs = rows[["replicate", "best_step", "best_loss"]].explode(["best_step", "best_loss"])
    reached = stairs[stairs["best_loss"] <= stairs["replicate"].map(goals)]
    return reached.groupby(level=0)["best_step"].first().reindex(rows.index).astype(float)


def in_blocks(readings: dict) -> dict:
    """Readings of several contrasts on the replicates that all of them have."""
    shared = set.intersection(*(set(r.values.index) for r in readings.values()))
    return {name: reading.on(shared) for name, reading in readings.items()}
