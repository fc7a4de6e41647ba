"""Estimands of claims: from the tidy table to one number a replicate.

A contrast (grammar: head of book/claims.yml) is read in complete blocks: a replicate counts when every network that the
contrast names has been recorded for it. Draws, levels and layers are averaged inside a replicate first, so they never
count as n.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import nan

import numpy as np
import pandas as pd

from ..errors import BadInput
from ..networks import Scene, place

SLACK = 1.05
"""`tt` is the first step with validation loss <= SLACK x the dense minimum of the replicate."""
LATE = 0.95
"""An early-stop step beyond this share of the budget may be the budget's end and not the network's minimum."""


@dataclass(frozen=True)
class Reading:
    """One number a replicate.

    values: Series by replicate, complete blocks only; read: [4, records], what was read of the records behind them:
    their row in the table, value, weight (the contrast is the sum of weight x value in a replicate) and whether it is
    censored (the step was not reached, or only at the end of the budget); tried: values of a field among which one was
    picked, by whatever statistic; picked: that one.
    """

    records: "Records"
    values: pd.Series
    read: np.ndarray
    tried: int = 1
    picked: str = ""

    def on(self, replicates) -> "Reading":
        """The same for some replicates only."""
        wanted = np.asarray([*replicates])
        behind = np.isin(self.records.replicates[self.read[0].astype(int)], wanted)
        return replace(self, values=self.values[np.isin(self.values.index, wanted)], read=self.read[:, behind])

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The records behind the numbers, with the columns `value`, `weight` and `censored`."""
        at, value, weight, censored = self.read
        named = {"value": value, "censored": censored.astype(bool), "weight": weight}
        return self.records.table.iloc[at.astype(int)].assign(**named)


class Records:
    """A tidy table (`Store.table`) by cell. twin: with the dense network and its second order (A/A) exchanged."""

    def __init__(self, table: pd.DataFrame, twin: bool = False):
        self.table, self._rows = (table := table.reset_index(drop=True)), defaultdict(list)
        for i, cell in enumerate(table["cell"]):
            swapped = twin and cell.is_dense and not cell.rewind and cell.order < 2
            self._rows[place(cell.but(order=1 - cell.order) if swapped else cell)].append(i)
        self.replicates, self._draws, self._budgets = (table[x].to_numpy() for x in ("replicate", "draw", "steps"))
        self._every, self._turn = np.unique(self.replicates, return_inverse=True)  # all replicates; of a row, which

    def at(self, scene: Scene, **fields) -> np.ndarray:
        """Rows of a network with these fields, else its own: all replicates, and all draws unless named."""
        rows = np.array(self._rows.get(scene.place(**fields), []), int)
        return rows[self._draws[rows] == fields["draw"]] if "draw" in fields and fields.get("level") else rows

    # contrasts

    def read(self, contrast: dict, scene: Scene, rung=None) -> Reading:
        """The contrast, replicate by replicate; `rung` stands for the word `rung` in its terms."""
        values, read, tried, picked = contrast.get("constant", 0.0), [], 1, []
        for name, sign in (("plus", 1), ("minus", -1), ("slope", 1)):
            if name in contrast:
                if (term := self._term(contrast, name, scene, rung)).values.empty:
                    return term
                values, tried = values + sign * term.values, tried * term.tried
                picked += [term.picked] if term.picked else []
                read.append(term.read * np.c_[1, 1, sign, 1].T)
        whole = Reading(self, values, np.hstack(read), tried, ", ".join(picked))
        return whole.on(values.index[values.notna()])

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
        columns = [self._column(contrast, scene, **one) for one in each]
        if not all(read.size for _, read in columns):  # a network that nobody has trained, as in most claims
            return Reading(self, pd.Series(dtype=float), np.empty((4, 0)))
        weights = np.full(len(columns), 1 / len(columns))
        if term == "slope":  # by least squares
            weights = np.linalg.pinv(np.vander(fields["level"], 2))[0]
        replicates, means = self._side_by_side(columns)
        read = np.hstack([read * np.c_[1, 1, weight, 1].T for (_, read), weight in zip(columns, weights, strict=True)])
        reading = Reading(self, pd.Series(means @ weights, replicates), read, tried, picked)
        return reading if chosen_on is None else reading.on(chosen_on)

    def _pick(self, fields: dict, name: str, scene: Scene) -> tuple:
        """(value, values tried, replicates) of a field: the value with the best (or worst) mean of a statistic.

        It is chosen once, on the replicates that have every value. A choice by another statistic of the same networks
        is a choice all the same.
        """
        wanted, how = fields[name], "best" if "best" in fields[name] else "worst"
        reads = [{**fields, name: value, "stat": wanted["by"]} for value in wanted[how]]
        replicates, means = self._side_by_side([self._column({}, scene, **read) for read in reads])
        mean = means.mean(axis=0) if len(means) else np.zeros(len(reads))
        at = int(mean.argmax() if how == "best" else mean.argmin())
        return wanted[how][at], len(reads), replicates

    def _column(self, contrast: dict, scene: Scene, stat: str, **fields) -> tuple[np.ndarray, np.ndarray]:
        """A statistic of one kind of network: (mean over draws of every replicate, nan for none; what was read)."""
        if not len(rows := self.at(scene, **fields)):
            return np.full(len(self._every), nan), np.empty((4, 0))
        values, censored = self._statistic(rows, stat, scene)
        if contrast.get("log"):
            values = np.log(values, where=values > 0, out=np.full(len(rows), nan))
        at, known = self._turn[rows], ~np.isnan(values)
        sums = (np.bincount(at, x, len(self._every)) for x in (np.where(known, values, 0), known, None))
        total, counted, draws = sums
        with np.errstate(invalid="ignore"):  # no draw with a number
            return total / counted, np.array([rows, values, 1 / draws[at], censored])

    def _side_by_side(self, columns) -> tuple[np.ndarray, np.ndarray]:
        """(replicates, [replicate, column]): the means of several columns where all of them have one."""
        means = np.array([own for own, _ in columns])
        whole = ~np.isnan(means).any(axis=0)
        return self._every[whole], means.compress(whole, axis=1).T

    def _statistic(self, rows: np.ndarray, stat: str, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        """(values, censored) of the rows. A diverged network has not reached its step: it gets the whole budget."""
        budget = self._budgets[rows]
        if stat == "tt":
            reached = self._time_to_loss(rows, dense := self.at(scene, level=0))
            censored = np.isnan(reached) & np.isin(self.replicates[rows], self.replicates[dense])  # it had a goal
            return np.where(censored, budget, reached), censored
        if stat not in self.table:
            raise BadInput(f"statistic {stat!r}: no such column in the results")
        values = self.table[stat].to_numpy(float)[rows]
        if stat != "early_stop_step":
            return values, np.zeros(len(rows), bool)
        failed = self.table["diverged"].eq(True).to_numpy()[rows]
        return np.where(failed, budget, values), failed | (values > LATE * budget)

    def _time_to_loss(self, rows: np.ndarray, dense: np.ndarray) -> np.ndarray:
        """First step with validation loss <= SLACK x the replicate's dense minimum; nan where it is not reached."""
        steps, losses = self.table["best_step"], self.table["best_loss"]
        goals = {self.replicates[i]: SLACK * min(losses[i]) for i in dense}
        stairs = ((zip(steps[i], losses[i], strict=True), goals.get(self.replicates[i], nan)) for i in rows)
        return np.array([next((step for step, loss in own if loss <= goal), nan) for own, goal in stairs], float)


def in_blocks(readings: dict) -> dict:
    """Readings of several contrasts on the replicates that all of them have."""
    shared = set.intersection(*(set(r.values.index) for r in readings.values()))
    return {name: reading.on(shared) for name, reading in readings.items()}
