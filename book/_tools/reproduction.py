"""The page that sets recorded results beside those trained on this machine, claim by claim and cell by cell.

Two trainings of one cell give the same bits on the same machine and versions. Elsewhere rounding differs, training
amplifies it, and the two networks differ as two seeds do. So the question is never whether numbers differ but whether
they differ by more than seeds explain.
"""

import numpy as np
import pandas as pd
from markdown_table import markdown_table
from scipy import stats
from tickets import chapters
from tickets.arms import own_defaults
from tickets.book.scorecard import number
from tickets.cells import FIELDS
from tickets.evidence import claims
from tickets.evidence.asked import parts
from tickets.evidence.judge import Judge
from tickets.evidence.verdicts import Sample
from tickets.results.records import differences
from tickets.results.store import Store

RARE = 0.001
"""A cell that differs by more than its replicates do with this probability is counted as odd."""
LEAST = 3
ALPHA = 0.05
DIGITS = 1e-4
"""Contrasts closer than this are equal: recorded accuracies have seven digits, and one image in 10,000 is 0.01."""
NOT_SHARED = "Of what was trained here ({there} cells) nothing is recorded. Recorded are the profiles {profiles}.\n"


def report(recorded: Store, new: Store) -> tuple[str, pd.DataFrame]:
    """(the page's generated part, one row a cell that both stores have)."""
    cells = {p: [*dict.fromkeys(c for s in chapters.STUDIES for c in chapters.cells(s, p))] for p in chapters.PROFILES}
    frames = {p: frame.assign(profile=p) for p in reversed(cells) if len(frame := by_cell(recorded, new, cells[p]))}
    text = []
    for profile, frame in frames.items():
        text += [f"## Profile {profile}: claims\n", claims_part(recorded, new, cells[profile], profile)]
        text += [f"## Profile {profile}: cells\n", cells_part(frame)]
    if frames:
        text += ["{download}`The table of all cells <results/reproduction.csv>`\n"]
        return "\n".join(text), pd.concat(frames.values(), ignore_index=True)
    there = sum(cell in new for own in cells.values() for cell in own)
    known = ", ".join(p for p, own in cells.items() if any(cell in recorded for cell in own))
    return NOT_SHARED.format(there=there, profiles=known or "of no chapter yet"), pd.DataFrame()


# cell by cell


def by_cell(recorded: Store, new: Store, cells) -> pd.DataFrame:
    """One row a cell that both have: test accuracy twice, where each was trained, and a word on how they compare.

    same: every number agrees to the digits that are recorded; other numbers: test accuracy agrees, or there is none,
    and another number does not; as seeds differ: test accuracy is no further off than two recorded replicates are from
    each other but once in 1 / RARE; odd: it is further off; spread unknown: fewer than LEAST replicates are recorded.
    """
    known = [cell for cell in cells if cell in recorded]
    if not (both := [cell for cell in known if cell in new]):
        return pd.DataFrame()
    table, ours = recorded.table(known), new.table(both)
    alone = [cell.but(replicate=0, order=0, draw=min(cell.draw, 1)).key() for cell in known]  # what replicates share
    alike = table.groupby(alone)["test_accuracy"]
    columns = [*FIELDS, *own_defaults(), "key", "test_accuracy", "device", "torch"]
    frame = table.loc[table["cell"].isin(both), columns]
    for name in ("test_accuracy", "device", "torch"):
        frame[f"{name}_here"] = ours[name].to_numpy()
    frame["difference"] = frame["test_accuracy_here"] - frame["test_accuracy"]
    frame["n"], frame["sd"] = alike.transform("count"), alike.transform("std")
    reach = stats.t.ppf(1 - RARE / 2, (frame["n"] - 1).clip(lower=1)) * frame["sd"] * np.sqrt(2)
    size = frame["difference"].abs()
    bare = lambda store, cell: {**store.get(cell), "provenance": {}}  # noqa: E731, its numbers, wherever it was trained
    cases = {
        "same": [not differences(bare(recorded, cell), bare(new, cell)) for cell in both],
        "other numbers": size.isna() | (size == 0),
        "spread unknown": frame["n"] < LEAST,
        "odd": size > reach,
    }
    frame["compared"] = np.select([np.asarray(case) for case in cases.values()], list(cases), "as seeds differ")
    return frame


def cells_part(frame: pd.DataFrame) -> str:
    """Counts by network, arm and the two machines."""
    named = {"model": "Network", "arm": "Arm", "device": "Recorded on", "torch": "torch", "device_here": "Here on"}
    counts = frame.groupby([*named, "torch_here"])["compared"].value_counts().unstack(fill_value=0)
    words = [word for word in ("same", "as seeds differ", "other numbers", "odd", "spread unknown") if word in counts]
    return markdown_table((*named.values(), "torch here", *words), counts[words].reset_index().to_numpy())


# claim by claim


def claims_part(recorded: Store, new: Store, cells, profile: str) -> str:
    """A row a claim that both have numbers on, with a test of the difference, and a sentence on all of them."""
    if profile == "smoke":
        return "The smoke profile decides nothing: its cells are compared below, claims are not.\n"
    entries, networks = claims.load(profile=profile), chapters.networks(profile)
    judges = [Judge(store.table(cells), profile, entries, networks) for store in (recorded, new)]
    asked = [part for entry in entries.values() for part in parts(entry)]
    rows = [(part["id"], part["unit"], *found) for part in asked if (found := compare(judges, part))]
    if not rows:
        return "No claim has its cells complete on both sides yet.\n"
    p = np.array([row[-1] for row in rows])
    known, q = ~np.isnan(p), p.copy()
    q[known] = stats.false_discovery_control(p[known])
    shown = [(*row[:-1], number(row[-1]), number(value)) for row, value in zip(rows, q, strict=True)]
    beyond = [row[0] for row, value in zip(rows, q, strict=True) if value <= ALPHA]
    named = f"{', '.join(beyond)} differ" if beyond else "none differs"
    told = (
        f"Of {len(rows)} claims and parts, {sum(p <= ALPHA)} differ with p at most {ALPHA:g}, by chance alone about "
        f"{ALPHA * sum(known):.1f}. Their number allowed for, {named} by more than seeds explain (q at most {ALPHA:g})."
    )
    heads = ("Claim", "Unit", "Recorded", "n", "Here", "n here", "Difference", "Test", "p", "q")
    return f"{told}\n\n{markdown_table(heads, shown)}"


def compare(judges: list[Judge], part: dict) -> tuple | None:
    """(recorded, n, here, n here, difference, test, p) of a claim on the scale of its contrast; None without numbers.

    The test is of the mean difference: paired by replicate (t) where at least two replicates are on both sides, since
    these share all their random streams; else between independent groups (Welch).
    """
    if part["kind"] == "concordance":
        return None  # a share of settings, no contrast
    old, ours = (judge.read(part, part.get("end")).values for judge in judges)
    if old.empty or ours.empty:
        return None
    shared = sorted(set(old.index) & set(ours.index))
    if len(shared) > 1:
        gaps = (ours[shared] - old[shared]).where(lambda gap: gap.abs() > DIGITS, 0)
        name, p = "paired", 1.0 if (gaps == 0).all() else 0.0 if gaps.std() == 0 else stats.ttest_1samp(gaps, 0).pvalue
        difference = gaps.mean()
    else:
        few = min(len(old), len(ours)) < 2
        name, p = ("none, n = 1", np.nan) if few else ("Welch", stats.ttest_ind(ours, old, equal_var=False).pvalue)
        difference = ours.mean() - old.mean()
    return interval(old), len(old), interval(ours), len(ours), number(difference, digits=4), name, float(p)


def interval(values: pd.Series) -> str:
    """Mean and 95 % interval."""
    middle, low, high = (number(value, digits=4) for value in (values.mean(), *Sample.of(values).interval()))
    return middle + (f" ({low} to {high})" if low else "")
