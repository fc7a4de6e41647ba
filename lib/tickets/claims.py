"""Claims: what papers say, registered in book/claims.yml before the runs, and the table of verdicts on them.

The scope of a row says what counts. `paper`: a claim at its paper's own scale, in the headline count. Printed only are
`part` (of the compound claim above it), `reading` (a value, or a second reading of a claim) and `analog` (a result at
another scale).
"""

from math import nan
from pathlib import Path

import pandas as pd

from . import registration, verdicts
from .cells import ARMS, FIELDS
from .errors import BadInput, choose
from .judge import PRINTS, Finding, Judge, parts
from .scorecard import COLUMNS
from .store import BOOK, CLAIMS, Store
from .studies import PROFILES, STUDIES, cells

TABLE = BOOK / "results" / "claims.csv"
MORE = "more replicates"
"""How a row says that it wants more replicates for its precision, in `needs`."""
REQUIRED = (
    "id", "study", "paper", "statement", "where", "theirs", "unit", "source", "estimand", "setting", "prints", "n",
    "scope", "headline", "needs",
)  # fmt: skip
OPTIONAL = (
    "contrast", "kind", "size", "band", "least", "margin", "two_sided", "rungs", "end", "n_max", "half_width",
    "assay", "anchors", "forks", "cases", "matching",
)  # fmt: skip
SOURCES = ("read in the paper", "second-hand", "from memory", "our own question")
KINDS = {
    "effect": (("size", "band", "least"),),
    "match": (("margin",), ("assay",)),
    "value": (("margin",), ("theirs",)),
    "range": (("rungs",), ("end",), ("least", "margin"), ("least", "assay")),
    "onset": (("rungs",), ("end",), ("least",)),
    "concordance": (("cases",), ("matching",)),
    "none": (),
}
"""Rules that an entry can name, and the fields that each needs (one of each group)."""


def load(path: Path = CLAIMS) -> dict[str, dict]:
    """Claim -> its entry, in the order of the file; BadInput for what the grammar does not allow."""
    found = {}
    for entry in registration.entries(path):
        for name in [entry.get("id"), *(part.get("id") for part in entry.get("parts", []))]:
            if not name or name in found:
                raise BadInput(f"claim {name}: every claim and every part needs an id of its own")
            found[name] = entry
        check(entry)
    entries = {entry["id"]: entry for entry in found.values()}
    for part in (part for entry in entries.values() for part in parts(entry)):
        if claim := part.get("assay", {}).get("claim"):
            choose(f"assay of claim {part['id']}", claim, found)
    return entries


def of(*studies: str) -> dict[str, dict]:
    """Claim -> its entry, for the claims of some chapters."""
    return {name: entry for name, entry in load().items() if entry["study"] in studies}


def check(entry: dict) -> None:
    """BadInput for an entry with a field missing or a name in it that is not known."""
    where = f"claim {entry['id']}"
    if missing := [name for name in REQUIRED if name not in entry]:
        raise BadInput(f"{where}: no {missing[0]}")
    choose(f"scope of {where}", entry["scope"], ("paper", "analog"))
    choose(f"source of {where}", entry["source"], SOURCES)
    for part in parts(entry):
        for name in part:
            choose(f"field of {where}", name, REQUIRED + OPTIONAL)
        choose(f"kind of {where}", part.get("kind"), KINDS)
        choose(f"prints of {where}", part["prints"], PRINTS)
        for group in (("contrast",), *KINDS[part["kind"]]):
            if all(part.get(name) is None for name in group):
                raise BadInput(f"{where}: kind {part['kind']} needs {' or '.join(group)}")
        _check_contrast(part["contrast"], part["setting"], where)
        for case in part.get("cases", ()):
            _check_contrast(part["matching"], case["setting"], where)


def _check_contrast(contrast: dict, setting: dict, where: str) -> None:
    for name in setting:
        choose(f"cell field of {where}", name, FIELDS)
    for name, term in contrast.items():
        choose(f"contrast field of {where}", name, ("stat", "log", "constant", "plus", "minus", "slope"))
        if not isinstance(term, dict):
            continue
        for given in term:
            choose(f"term field of {where}", given, (*FIELDS, "stat"))
        choose(f"arm of {where}", term.get("arm"), ARMS)
        if "stat" not in {**contrast, **term}:
            raise BadInput(f"{where}: no stat")


# the table


def evaluate(table: pd.DataFrame, profile: str, registrations: dict | None = None, entries: dict | None = None):
    """DataFrame with `COLUMNS`, one row a claim and one a part of it, in the order of claims.yml.

    table: the recorded cells of a profile, `store.table(cells)`, of every chapter that is to be judged;
    registrations: `store.registrations()`. The quick profile yields analogs, under ids of their own, of those claims
    that it has records for; smoke judges nothing.
    """
    choose("profile", profile, PROFILES)
    entries = load() if entries is None else entries
    judge = Judge(table.iloc[:0] if profile == "smoke" else table, profile, entries, registrations)
    judged = [(entry, *judge.claim(entry)) for entry in entries.values()]
    if profile == "quick":
        judged = [(entry, whole, own) for entry, whole, own in judged if whole.verdict.n]
    q = _q_values(judged) if profile == "paper" else {}
    rows = []
    for entry, whole, own in judged:
        rows.append(_row(entry, whole, profile, q.get(entry["id"], nan)))
        named = zip(parts(entry), own, strict=True) if own else ()
        rows += [{**_row(part, finding, profile, nan), "scope": "part"} for part, finding in named]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _q_values(judged) -> dict[str, float]:
    """q of the claims that ran at their paper's scale; a second reading is no claim of its own."""
    ran = [
        (entry["id"], whole.verdict)
        for entry, whole, _ in judged
        if entry["scope"] == "paper" and (entry["headline"] or entry.get("kind") == "value") and whole.verdict.n
    ]
    return dict(zip([name for name, _ in ran], verdicts.q_values([v for _, v in ran]), strict=True))


def _row(entry: dict, finding: Finding, profile: str, q: float) -> dict:
    quick, verdict = profile == "quick", finding.verdict
    scope = "analog" if quick else entry["scope"] if entry["headline"] else "reading"
    marks = "; ".join([*finding.marks, *(["q > 0.05"] if q > verdicts.MOST_Q else [])])
    note = f": {verdict.note}" if verdict.note else ""
    return {
        **{name: entry[name] for name in ("paper", "statement", "theirs", "source", "unit")},
        **{"claim": entry["id"] + "-quick" * quick, "scope": scope, "profile": profile, "n": verdict.n, "q": q},
        **{"ours": finding.ours, "low": finding.low, "high": finding.high, "needs": _needs(entry, verdict, quick)},
        "device": " + ".join(sorted(finding.rows["device"].unique())) if verdict.n else "",
        "verdict": verdict.word + note + (f" ({marks})" if marks else ""),
    }


def _needs(entry: dict, verdict: verdicts.Verdict, quick: bool) -> str:
    """What a verdict still takes: everything, more replicates for the rule, or more for the stated precision."""
    if not verdict.n:
        return entry["needs"]
    if verdict.n < entry["n"]:
        missing = entry["n"] - verdict.n
        return f"{missing} more replicate{'s' * (missing > 1)}" + ("" if quick else f": {entry['needs']}")
    if "n_max" in entry and verdicts.wants_more(verdict, entry["half_width"], entry["n_max"]):
        return f"{MORE}, to a half-width of {entry['half_width']:g} {entry['unit']} or n = {entry['n_max']}"
    return ""


def judged(store: Store, profile: str, studies=tuple(STUDIES)) -> pd.DataFrame:
    """The rows of some chapters, `evaluate`d on all records of a profile.

    At the paper's scale all chapters are judged together, since one correction for many claims covers them all; analogs
    chapter by chapter, since each chapter has a budget of its own for what is one network at the paper's scale.
    """
    together = [tuple(STUDIES)] if profile == "paper" else [(study,) for study in studies]
    frames = []
    for group in together:
        table = store.table([cell for study in group for cell in cells(study, profile)])
        frames.append(evaluate(table, profile, store.registrations(), of(*group)))
    frame = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    named = {part["id"] for entry in of(*studies).values() for part in (entry, *entry.get("parts", ()))}
    return frame[frame["claim"].str.removesuffix("-quick").isin(named)].reset_index(drop=True)


def publish(store: Store, path: Path = TABLE) -> pd.DataFrame:
    """Judge everything recorded, at the paper's scale and as analogs, and write the table of claims."""
    frames = [judged(store, profile) for profile in ("paper", "quick")]
    frame = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    write(frame, path)
    return frame


def write(frame: pd.DataFrame, path: Path = TABLE) -> None:
    """Write a table of claims with fixed decimals, so that a re-run shows as a readable difference."""
    text = frame.copy()
    for name in ("ours", "low", "high", "q"):
        text[name] = [f"{x:.3f}" if x == x else "" for x in frame[name].astype(float)]
    text["theirs"] = [f"{x:g}" if x == x else "" for x in frame["theirs"].astype(float)]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text.to_csv(path, index=False, lineterminator="\n")
