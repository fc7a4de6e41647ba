"""Gates: what must hold of the runs themselves before a decided verdict counts. A gate that is shut says why."""

import numpy as np
import pandas as pd

from ..arms import ARMS
from ..networks import Scene
from .contrasts import LATE, Records
from .verdicts import LEAST_N, REFUTING, Sample, Verdict

EARLY_STOP = ("early_stop_step", "test_accuracy", "validation_accuracy")
"""Statistics read at the step of minimum validation loss."""
MOST_LATE = 0.1
SAME = 0.005
"""Relative difference of kept weights that rounding can make between arms at one level."""


def dense_accuracy(records: Records, scene: Scene, entry: dict, replicates) -> str:
    """G1: the dense networks of these replicates are as accurate as the paper's, on average."""
    if not (anchor := entry.get("anchors")):
        return ""
    rows = records.at(scene, network=anchor.get("network", scene.network), level=0)
    rows = rows[np.isin(records.replicates[rows], replicates)]
    if not len(rows):
        return "G1, the dense network of its anchor is not recorded"
    mean, (low, high) = records.table.loc[rows, anchor["stat"]].mean(), anchor["band"]
    return "" if low <= mean <= high else f"G1, dense accuracy {mean:.2f} not in {low:g} to {high:g}"


def arms_differ(records: Records, scene: Scene, entry: dict, margin: float) -> str:
    """G2: a match counts only where these runs can tell arms apart.

    The known-worse arm of the entry's assay must be worse by more than the margin, with its whole interval.
    """
    shared = {name: value for name, value in entry["contrast"].items() if name in ("stat", "log")}
    sample = Sample.of(records.read({**shared, **entry["assay"]}, scene).values)
    if sample.n < min(entry["n"], LEAST_N):
        return f"G2, the known-worse arm is not recorded in {LEAST_N} replicates"
    low = sample.interval()[0]
    return "" if low > margin else f"G2, the known-worse arm is not told apart, interval from {low:.3g}"


def equal_arms(rows: pd.DataFrame) -> str:
    """G3: one precision, and equal numbers of kept weights of a network at a level, but for arms that keep more."""
    if rows["precision"].nunique() > 1:
        return "G3, precision differs between arms"
    more = rows["arm"].map(lambda name: ARMS[name].keeps_more).astype(bool)
    kept = rows[~more].groupby(["model", "replicate", "level"])["kept"].agg(["min", "max"])
    return "G3, numbers of kept weights differ between arms" if (kept["max"] > (1 + SAME) * kept["min"]).any() else ""


def stop_is_early(entry: dict, verdict: Verdict, rows: pd.DataFrame) -> str:
    """G4: not more than one run in ten has its minimum validation loss in the last twentieth of the budget.

    Of times to a loss: what is refuted because neither side reaches it, rather than equally soon, is not refuted.
    """
    stat = entry["contrast"].get("stat")
    if stat == "tt" and verdict.word in REFUTING:
        never = rows.groupby(["arm", "level"])["censored"].mean().min()
        return f"G4, at least {never:.0%} on both sides never reach that loss" if never > MOST_LATE else ""
    late = (rows["early_stop_step"] > LATE * rows["steps"]).mean() if stat in EARLY_STOP else 0
    return f"G4, {late:.0%} of the early stops are at the end of the budget" if late > MOST_LATE else ""
