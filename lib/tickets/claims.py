"""Claims: what papers say, registered in book/claims.yml before the runs, judged on what has been recorded since.

`evaluate` turns a tidy table into one row a claim, the columns of book/results/claims.csv. A row's scope says what counts:
`paper` is a claim at its paper's own scale and stands in the headline count; `part` is a part of the compound claim above
it, `reading` a value or a second reading, `analog` a result at another scale; those three are printed only.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from math import exp, inf, log, nan
from pathlib import Path

import pandas as pd
import yaml

from . import gates, verdicts
from .cells import ARMS, FIELDS
from .contrasts import Reading, Records, in_blocks
from .errors import BadInput, choose
from .store import BOOK, CLAIMS
from .verdicts import Verdict

TABLE = BOOK / "results" / "claims.csv"
COLUMNS = "claim,paper,statement,theirs,source,ours,low,high,n,unit,scope,profile,device,verdict,q,needs".split(",")
PROFILES = ("smoke", "quick", "paper")
SOURCES = ("read in the paper", "second-hand", "from memory")
REQUIRED = "id study paper statement where theirs unit source estimand setting prints n scope headline needs".split()
OPTIONAL = "contrast kind size band least margin two_sided rungs end n_max half_width assay anchors forks parts".split()
KINDS = {"effect": (), "match": ("margin", "assay"), "value": ("margin", "theirs"), "range": ("rungs", "end"), "none": ()}
"""Rules that an entry can name, with the fields each needs."""
PRINTS = {
    "difference": (lambda x: x, lambda d: d),
    "ratio": (log, exp),
    "percent_less": (lambda x: -log(1 - x / 100), lambda d: 100 * (1 - exp(-d))),
}
"""Printed number -> contrast, and back."""
FORK_N = 6
"""Replicates for the other value of a field that the paper leaves open."""


# the registered entries


def load(path: Path = CLAIMS) -> dict[str, dict]:
    """Claim id -> its entry, in the order of the file; BadInput for what the grammar does not allow."""
    return _load(Path(path), Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load(path: Path, changed: int) -> dict[str, dict]:
    entries = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["claims"]
    found = {}
    for entry in entries:
        for name in [entry.get("id"), *(part.get("id") for part in entry.get("parts", []))]:
            if name in found or not name:
                raise BadInput(f"claim {name}: every claim and part has an id of its own")
            found[name] = None
        check(entry)
    return {entry["id"]: entry for entry in entries}


def check(entry: dict) -> None:
    """BadInput for an entry with a field missing, or with a field, kind, source, arm or setting that is not known."""
    where = f"claim {entry['id']}"
    if missing := [name for name in REQUIRED if name not in entry]:
        raise BadInput(f"{where}: no {missing[0]}")
    for part in parts(entry):
        if unknown := set(part) - set(REQUIRED) - set(OPTIONAL):
            raise BadInput(f"{where}: unknown field {', '.join(sorted(unknown))}")
        choose(f"kind of {where}", part.get("kind"), KINDS)
        choose(f"source of {where}", part["source"], SOURCES)
        choose(f"prints of {where}", part["prints"], PRINTS)
        choose(f"scope of {where}", part["scope"], ("paper", "analog"))
        if missing := [name for name in ("contrast", *KINDS[part["kind"]]) if part.get(name) is None]:
            raise BadInput(f"{where}: a {part['kind']} needs {missing[0]}")
        if part["kind"] in ("effect", "range") and not {"size", "band", "least", "margin"} & set(part):
            raise BadInput(f"{where}: no size, band, least or margin")
        for name in part["setting"]:
            choose(f"cell field of {where}", name, FIELDS)
        _check_contrast(part["contrast"], where)


def _check_contrast(contrast: dict, where: str) -> None:
    for name in contrast:
        choose(f"contrast field of {where}", name, ("stat", "log", "plus", "minus", "slope"))
    for name in {"plus", "minus", "slope"} & set(contrast):
        term = contrast[name]
        choose(f"arm of {where}", term.get("arm"), ARMS)
        if "stat" not in contrast and "stat" not in term:
            raise BadInput(f"{where}: no stat")
        for given in term:
            choose(f"term field of {where}", given, (*FIELDS, "stat"))


def parts(entry: dict) -> list[dict]:
    """The parts of a compound claim, each complete with what it shares; of another claim the claim itself."""
    whole = {name: value for name, value in entry.items() if name != "parts"}
    return [{**whole, **part} for part in entry.get("parts", [{}])]


def fingerprint(entry: dict) -> str:
    """Hash of an entry, 16 digits; only what a run costs (`needs`) may change without changing it."""
    registered = {name: value for name, value in entry.items() if name != "needs"}
    return hashlib.sha256(json.dumps(registered, sort_keys=True).encode()).hexdigest()[:16]


def registration(study: str | None = None, path: Path = CLAIMS) -> dict[str, str]:
    """Claim id -> hash of its entry, for one study or all."""
    return {name: fingerprint(entry) for name, entry in load(path).items() if study in (None, entry["study"])}


def registration_digest(store) -> str:
    """Keep the current registration in the store; its digest, which every record carries."""
    hashes = registration()
    digest = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]
    store.register(hashes, digest)
    return digest


# judging one claim


@dataclass(frozen=True)
class Finding:
    """A verdict with the printed numbers, the records behind it and the remarks that stand beside it."""

    verdict: Verdict
    ours: float = nan
    low: float = nan
    high: float = nan
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    marks: tuple[str, ...] = ()


class Judge:
    """Judges entries on the records of one profile."""

    def __init__(self, table: pd.DataFrame, profile: str, entries: dict[str, dict], registrations: dict | None = None):
        self.records = Records(table, loose=("steps",) if profile == "quick" else ())
        self.profile, self.entries, self.registrations = profile, entries, registrations
        self.parts = {part["id"]: part for entry in entries.values() for part in parts(entry)}

    def claim(self, entry: dict) -> tuple[Finding, list[Finding]]:
        """(the finding on a claim, those on its parts)."""
        findings = {part["id"]: self._part(part, entry) for part in parts(entry)}
        if "parts" not in entry:
            return findings[entry["id"]], []
        whole = verdicts.compound({name: finding.verdict for name, finding in findings.items()})
        if entry["kind"] == "none" and whole.n:
            whole = replace(whole, note="printed, never judged")
        shown = next(f for f in findings.values() if f.verdict.word == whole.word)
        rows = pd.concat([f.rows for f in findings.values() if len(f.rows)]) if whole.n else shown.rows
        marks = tuple(dict.fromkeys(mark for f in findings.values() for mark in f.marks))
        return replace(shown, verdict=whole, rows=rows, marks=marks), list(findings.values())

    def _part(self, part: dict, entry: dict) -> Finding:
        finding = self.judge(part)
        if not finding.verdict.n:
            return finding
        gate = self._gate(part, finding) if finding.verdict.decided else ""
        verdict = replace(finding.verdict, word="inconclusive", p=nan, note=f"gate {gate}") if gate else finding.verdict
        return replace(finding, verdict=verdict, marks=self._marks(part, entry, replace(finding, verdict=verdict)))

    def judge(self, part: dict) -> Finding:
        """The verdict of the claim's rule, before gates and marks."""
        readings = self._read(part)
        if not len(next(iter(readings.values())).values):
            return Finding(Verdict("not run"))
        if part["kind"] == "range":
            return self._range(part, readings)
        (reading,) = readings.values()
        verdict = _rule(part, reading.level)(reading.values)
        back = PRINTS[part["prints"]][1]
        return Finding(verdict, back(verdict.estimate), back(verdict.low), back(verdict.high), reading.rows)

    def _read(self, part: dict) -> dict[float | None, Reading]:
        """Reading of each rung of a range, or the one reading of another claim (rung None), in complete blocks."""
        rungs = part.get("rungs", [None])
        return in_blocks({rung: self.records.read(part["contrast"], part["setting"], rung) for rung in rungs})

    def _range(self, part: dict, readings: dict[float, Reading]) -> Finding:
        """The last rung that holds, printed as the percentage of weights kept there."""
        test = _rule(part)
        verdict = verdicts.ranged([(rung, r.values) for rung, r in readings.items()], part["end"], test)
        rungs = list(readings)
        tested = rungs[: rungs.index(verdict.estimate) + 2] if verdict.estimate in rungs else rungs[:1]
        rows = pd.concat([readings[rung].rows for rung in tested]).drop_duplicates(["key", "censored"])
        density = rows.loc[rows["level"] == verdict.estimate, "density"]
        return Finding(verdict, ours=100 * density.mean(), rows=rows)

    def _gate(self, part: dict, finding: Finding) -> str:
        """The first gate that fails, empty for none. Anchors are the paper's, so an analog has none."""
        margin = _scaled(part, part.get("margin", 0))
        judge = lambda claim: self.judge(self.parts[claim]).verdict  # noqa: E731
        anchored = self.profile == "paper" and part["scope"] == "paper"
        return (
            (anchored and gates.dense_accuracy(self.records, part, finding.rows["replicate"].unique()))
            or gates.sensitive(self.records, part, finding.verdict, margin, judge)
            or gates.equal_arms(finding.rows)
            or gates.minimum_in_budget(part["contrast"], finding.rows)
        )

    def _marks(self, part: dict, entry: dict, finding: Finding) -> tuple[str, ...]:
        rows, marks = finding.rows, []
        if verdicts.fragile(finding.verdict):
            marks.append("fragile")
        if self._post_hoc(entry, rows):
            marks.append("post hoc")
        marks += [f"depends on {name}" for name in self._turning_forks(part, finding.verdict)]
        if count := int(rows["diverged"].eq(True).sum()):
            marks.append(f"{count} of {len(rows)} diverged")
        if count := int(rows["censored"].sum()):
            rungs = ", ".join(f"{level:g}" for level in sorted(rows.loc[rows["censored"], "level"].unique()))
            marks.append(f"{count} of {len(rows)} steps censored, rungs {rungs}")
        return tuple(marks)

    def _post_hoc(self, entry: dict, rows: pd.DataFrame) -> bool:
        """Whether a record was made under another wording of the claim, or before there was one."""
        if self.registrations is None:
            return False
        now = fingerprint(entry)
        return any(self.registrations.get(made, {}).get(entry["id"]) != now for made in rows["registration"].unique())

    def _turning_forks(self, part: dict, verdict: Verdict) -> list[str]:
        """Fields that the paper leaves open and whose other value turns a decided verdict around."""
        found = []
        for fork in part.get("forks", []) if verdict.decided else []:
            other = self.judge({**part, "setting": {**part["setting"], **fork}, "n": min(FORK_N, part["n"])}).verdict
            if other.decided and (other.word in verdicts.SUPPORTING) != (verdict.word in verdicts.SUPPORTING):
                found += list(fork)
        return found


def _rule(part: dict, level: float = verdicts.LEVEL):
    """Differences -> Verdict, by the kind of the claim and its numbers on the scale of the contrast."""
    kind, margin = part["kind"], _scaled(part, part.get("margin", 0))
    common = {"least_n": part["n"], "level": level}
    if kind == "value":
        return partial(verdicts.value, theirs=part["theirs"], margin=margin, **common)
    if kind == "match" or (kind == "range" and "margin" in part):
        return partial(verdicts.match, margin=margin, two_sided=part.get("two_sided", False), **common)
    if kind == "none":
        return lambda values: verdicts.Sample.of(values).says("inconclusive", level, note="printed, never judged")
    least, most = _band(part)
    return partial(verdicts.effect, least=least, most=most, **common)


def _band(part: dict) -> tuple[float, float]:
    """Sizes that reproduce an effect: half to double the printed one, or as the entry says."""
    if "size" in part:
        return _scaled(part, part["size"]) / 2, _scaled(part, part["size"]) * 2
    low, high = part.get("band", (part.get("least"), None))
    return _scaled(part, low), inf if high is None else _scaled(part, high)


def _scaled(part: dict, printed: float) -> float:
    """A printed size on the scale of the contrast; no size (0) stays none."""
    return PRINTS[part["prints"]][0](printed) if printed else 0.0


# the table of claims


def evaluate(table: pd.DataFrame, profile: str, registrations: dict | None = None, entries: dict | None = None):
    """DataFrame with `COLUMNS`, one row a claim and one a part of it, in the order of claims.yml.

    table: the recorded cells of a profile, `store.table(cells)`; registrations: `store.registrations()`. The quick profile
    yields analogs, under ids of their own, of those claims it has records for; smoke judges nothing.
    """
    choose("profile", profile, PROFILES)
    entries = load() if entries is None else entries
    judge = Judge(table.iloc[:0] if profile == "smoke" else table, profile, entries, registrations)
    judged = [(entry, *judge.claim(entry)) for entry in entries.values()]
    if profile == "quick":
        judged = [(entry, whole, own) for entry, whole, own in judged if len(whole.rows)]
    q = _q_values(judged) if profile == "paper" else {}
    rows = []
    for entry, whole, own in judged:
        rows.append(_row(entry, whole, profile, q.get(entry["id"], nan)))
        pairs = zip(parts(entry), own, strict=True) if own else ()
        rows += [{**_row(part, f, profile, nan), "scope": "part"} for part, f in pairs]
    return pd.DataFrame(rows, columns=COLUMNS)


def _q_values(judged) -> dict[str, float]:
    """q of the claims that ran at their paper's scale; second readings are not claims of their own."""
    ran = [
        (entry["id"], whole.verdict)
        for entry, whole, _ in judged
        if entry["scope"] == "paper" and (entry["headline"] or entry["kind"] == "value") and whole.verdict.n
    ]
    return dict(zip([name for name, _ in ran], verdicts.q_values([v for _, v in ran]), strict=True))


def _row(entry: dict, finding: Finding, profile: str, q: float) -> dict:
    quick, verdict = profile == "quick", finding.verdict
    scope = "analog" if quick else entry["scope"] if entry["headline"] else "reading"
    marks = [*finding.marks, *(["q > 0.05"] if q > 0.05 else [])]
    return {
        **{name: entry[name] for name in ("paper", "statement", "theirs", "source", "unit")},
        **{"claim": entry["id"] + "-quick" * quick, "scope": scope, "profile": profile, "q": q, "n": verdict.n},
        **{"ours": finding.ours, "low": finding.low, "high": finding.high, "needs": _needs(entry, verdict)},
        "device": " + ".join(sorted(finding.rows["device"].unique())) if len(finding.rows) else "",
        "verdict": verdict.word + (f": {verdict.note}" if verdict.note else "") + (f" ({'; '.join(marks)})" if marks else ""),
    }


def _needs(entry: dict, verdict: Verdict) -> str:
    """What a verdict still takes: everything, more replicates for the rule, or more for the stated precision."""
    if not verdict.n:
        return entry["needs"]
    if verdict.n < entry["n"]:
        return f"{entry['n'] - verdict.n} more replicates: {entry['needs']}"
    if "n_max" in entry and verdicts.wants_more(verdict, entry["half_width"], entry["n_max"]):
        return f"more replicates, to a half-width of {entry['half_width']:g} {entry['unit']} or n = {entry['n_max']}"
    return ""


def write(frame: pd.DataFrame, path: Path = TABLE) -> None:
    """Write a table of claims with fixed decimals, so that a re-run shows as a readable difference."""
    text = frame.copy()
    for name in ("ours", "low", "high", "q"):
        text[name] = [f"{x:.3f}" if x == x else "" for x in frame[name].astype(float)]
    text["theirs"] = [f"{x:g}" if x == x else "" for x in frame["theirs"].astype(float)]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text.to_csv(path, index=False)
