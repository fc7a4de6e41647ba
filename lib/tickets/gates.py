"""Gates: what must hold of the runs themselves before a decided verdict counts. A gate that fails says why."""

import pandas as pd

from .contrasts import LATE, Records
from .verdicts import SUPPORTING, Sample, Verdict

EARLY_STOP = ("early_stop_step", "test_accuracy", "validation_accuracy")
"""Statistics read at the step of minimum validation loss."""
MOST_LATE = 0.1
SAME = 0.005
"""Relative difference of kept weights that rounding can make between arms at one level."""


def dense_accuracy(records: Records, entry: dict, replicates) -> str:
    """G1: the dense networks of these replicates are as accurate as the paper's, on average."""
    if not (anchor := entry.get("anchors")):
        return ""
    rows = records.at({**entry["setting"], **anchor.get("setting", {})}, arm="ticket", level=0)
    rows = rows[rows["replicate"].isin(list(replicates))]
    if rows.empty:
        return "G1, the dense network of its anchor is not recorded"
    mean, (low, high) = rows[anchor["stat"]].mean(), anchor["band"]
    return "" if low <= mean <= high else f"G1, dense {anchor['stat']} {mean:.2f} not in {low:g} to {high:g}"


def sensitive(records: Records, entry: dict, verdict: Verdict, margin: float, judge) -> str:
    """G2: a match counts only where these runs can tell arms apart: a known-worse arm is worse by more than the margin.

    The whole interval must lie beyond the margin. `judge(claim)` gives the verdict on another claim, where the assay is one.
    """
    if "margin" not in entry or entry["kind"] == "value" or verdict.word not in SUPPORTING:
        return ""
    assay = entry["assay"]
    if "claim" in assay:
        return "" if judge(assay["claim"]).word in SUPPORTING else f"G2, {assay['claim']} does not hold"
    shared = {name: value for name, value in entry["contrast"].items() if name in ("stat", "log")}
    sample = Sample.of(records.read({**shared, **assay}, entry["setting"]).values)
    if sample.n < 2:
        return "G2, its known-worse arm is not recorded"
    low = sample.interval()[0]
    return "" if low > margin else f"G2, a known-worse arm is not told apart (from {low:.3g})"


def equal_arms(rows: pd.DataFrame) -> str:
    """G3: one precision, and equal numbers of kept weights at a level (random_open keeps more by definition)."""
    if rows["precision"].nunique() > 1:
        return "G3, precision differs between arms"
    kept = rows[rows["arm"] != "random_open"].groupby(["replicate", "level"])["kept"].agg(["min", "max"]).dropna()
    return "G3, numbers of kept weights differ between arms" if (kept["max"] > (1 + SAME) * kept["min"]).any() else ""


def minimum_in_budget(contrast: dict, rows: pd.DataFrame) -> str:
    """G4: not more than one run in ten finds its minimum validation loss in the last twentieth of the budget."""
    if contrast.get("stat") not in EARLY_STOP:
        return ""
    late = (rows["early_stop_step"] > LATE * rows["steps"]).mean()
    return f"G4, {late:.0%} of the early stops are at the end of the budget" if late > MOST_LATE else ""
