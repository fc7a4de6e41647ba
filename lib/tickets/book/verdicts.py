"""The table of verdicts: book/results/claims.csv, and what a page of one chapter needs of it.

The scope of a row says what counts. `paper`: a claim at its paper's own scale, in the headline count. Printed only are
`part` (of the compound claim above it), `reading` (a value, or a second reading of a claim), `analog` (a result at
another scale) and `analog reading`.
"""

import re
from math import nan
from pathlib import Path

import pandas as pd

from .. import chapters
from ..evidence import claims, several, verdicts
from ..evidence.asked import OWN, parts, said
from ..evidence.judge import Finding, Judge
from ..evidence.verdicts import Verdict
from ..files import BOOK, write_atomically
from ..results.store import Store

TABLE = BOOK / "results" / "claims.csv"
RATES = "p_values.csv"
"""In the recorded layer: claim, word and p of every claim that enters the one correction for many claims."""
COLUMNS = (
    *("claim", "paper", "statement", "theirs", "source", "ours", "low", "high"),
    *("n", "unit", "scope", "profile", "device", "verdict", "q", "needs"),
)
UNITS = {"step": "", "times faster": "times as fast", "times rarer": "times as rare"}
"""How units are written, where that is not how claims.yml has them."""


def unit(written: str) -> str:
    """A unit as rows print it."""
    return UNITS.get(written, re.sub(r"\bpp\b", "points", written).replace("percent", "%"))


NOTES = {
    "smaller": "smaller than claimed", "larger": "larger than claimed", "lower": "lower than the paper's",
    "higher": "higher than the paper's", "worse": "below the margin", "better": "above the margin",
}  # fmt: skip
Judged = list[tuple[dict, Finding, list[Finding]]]


def judge(store: Store, profile: str, studies=tuple(chapters.STUDIES)) -> Judged:
    """(entry, finding, those of its parts) of the claims of some chapters, on all records of a profile.

    Of the quick profile only of those claims that it has records for; smoke judges nothing.
    """
    cells = dict.fromkeys(cell for study in studies for cell in chapters.cells(study, profile))
    table = store.table(list(cells))
    entries = claims.of(*studies, profile=profile)
    networks = chapters.networks(profile)
    if profile == "paper":  # smaller ones lack some networks, and judge what they have
        claims.check_networks(entries, networks)
    judges = Judge(table.iloc[:0] if profile == "smoke" else table, profile, entries, networks, store.registrations())
    found = [(entry, *judges.claim(entry)) for entry in entries.values()]
    return [one for one in found if one[1].verdict.n] if profile == "quick" else found


def rows(judged: Judged, profile: str, others: list[Verdict] = ()) -> pd.DataFrame:
    """DataFrame with `COLUMNS`, one row a claim and one a part of it, in the order of claims.yml.

    others: verdicts on claims of other chapters, which one correction for many claims covers too.
    """
    own = counted(judged) if profile == "paper" else {}
    q = dict(zip(own, several.q_values([*own.values(), *others]), strict=False))  # those of the others are theirs
    found = []
    for entry, whole, of_parts in judged:
        named = list(zip(parts(entry), of_parts, strict=True)) if of_parts else []
        shown = next((part["unit"] for part, f in named if f.verdict.word == whole.verdict.word), entry["unit"])
        found.append(_row({**entry, "unit": shown}, whole, profile, q.get(entry["id"], nan)))
        found += [{**_row(part, finding, profile, nan), "scope": "part"} for part, finding in named]
    return pd.DataFrame(found, columns=list(COLUMNS))


def counted(judged: Judged) -> dict[str, Verdict]:
    """The claims that ran at their paper's scale; a second reading is no claim of its own."""
    return {
        entry["id"]: whole.verdict
        for entry, whole, _ in judged
        if entry["scope"] == "paper" and entry["source"] != OWN and whole.verdict.n
        if entry["headline"] or entry.get("kind") == "value"
    }


def _row(entry: dict, finding: Finding, profile: str, q: float) -> dict:
    analog, own, verdict = profile not in ("paper", "smoke"), entry["source"] == OWN, finding.verdict
    scope = ["analog"] * (analog or entry["scope"] == "analog") + ["reading"] * (not entry["headline"])
    scope = "finding" if own else " ".join(scope) or "paper"
    marks = "; ".join(filter(None, (finding.beside, *finding.marks, "q > 0.05" if q > verdicts.MOST_Q else "")))
    note = f": {in_words(verdict.note, entry)}" if verdict.note else ""
    return {
        **{"statement": entry.get("in_full", entry["statement"]), "source": entry["source"]},
        "unit": unit(entry["unit"]),
        **{"paper": "" if own else entry["paper"], "theirs": None if own else entry["theirs"]},
        **{"claim": entry["id"] + suffix(profile), "scope": scope, "profile": profile, "n": verdict.n, "q": q},
        **{"ours": finding.ours, "low": finding.low, "high": finding.high, "needs": _needs(entry, verdict, analog)},
        "device": " + ".join(sorted(finding.rows["device"].unique())) if verdict.n else "",
        "verdict": said(entry, verdict) + note + (f" ({marks})" if marks else ""),
    }


def in_words(note: str, entry: dict) -> str:
    """A note of a rule as a reader needs it; that of a part stands behind its name. What no paper says we asked for."""
    before, space, last = note.rpartition(" ")
    words = NOTES.get(last, last)
    if not any({"size", "band"} & set(part) for part in parts(entry)):
        words = words.replace("claimed", "asked for")
    return before + space + (words.replace("the paper's", "what was asked") if entry["source"] == OWN else words)


def suffix(profile: str) -> str:
    """What is added to the name of a claim below the paper's scale."""
    return "" if profile in ("paper", "smoke") else f"-{profile}"


def _needs(entry: dict, verdict: Verdict, analog: bool) -> str:
    """What a verdict still takes: everything, more replicates for the rule, or more of those that were added."""
    if not verdict.n:
        return entry["needs"]
    if verdict.n < entry["n"]:
        missing = entry["n"] - verdict.n
        return f"{missing} more replicate{'s' * (missing > 1)}" + ("" if analog else f": {entry['needs']}")
    if not analog and verdict.n < (planned := max((more["n"] for more in entry.get("extensions", ())), default=0)):
        return f"{planned - verdict.n} more of the replicates that were added, to n = {planned}"
    return ""


# of a store


def of_study(store: Store, study: str, profile: str) -> pd.DataFrame:
    """The rows of one chapter. Of the others it reads no records but their p-values, as they were recorded."""
    path, others = store.recorded and store.recorded / RATES, []
    if path and path.exists():
        others = [Verdict(row.verdict, p=row.p) for row in pd.read_csv(path).itertuples() if row.study != study]
    return rows(judge(store, profile, [study]), profile, others)


def publish(store: Store, path: Path = TABLE) -> pd.DataFrame:
    """Judge everything recorded, at the paper's scale and below it, and write the table of claims.

    At the paper's scale all chapters are judged together, since one correction for many claims covers them all; analogs
    chapter by chapter, since each chapter has a budget of its own for what is one network at the paper's scale.
    """
    whole = judge(store, "paper")
    smaller = [rows(judge(store, p, [study]), p) for p in ("quick", "desk") for study in chapters.STUDIES]
    frame = pd.concat([frame for frame in (rows(whole, "paper"), *smaller) if len(frame)], ignore_index=True)
    write(frame, path)
    if store.recorded:
        study, counts = {entry["id"]: entry["study"] for entry, _, _ in whole}, counted(whole)
        rates = [(name, study[name], verdict.word, f"{verdict.p:.6g}") for name, verdict in counts.items()]
        rates = pd.DataFrame(rates, columns=["claim", "study", "verdict", "p"])
        write_atomically(store.recorded / RATES, rates.to_csv(index=False, lineterminator="\n"))
    return frame


def write(frame: pd.DataFrame, path: Path = TABLE) -> None:
    """Write a table of claims with fixed decimals, so that a re-run shows as a readable difference."""
    numbers = frame.astype(dict.fromkeys(("theirs", "ours", "low", "high", "q"), float))
    write_atomically(Path(path), numbers.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
