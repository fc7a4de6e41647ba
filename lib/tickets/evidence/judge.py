"""Judging one claim: its estimand read from the records, the rule of its kind, the gates, and what stands beside it."""

from dataclasses import dataclass, field, replace
from functools import partial
from math import exp, inf, log, nan

import pandas as pd

from ..networks import Networks, Scene
from . import gates, verdicts
from .contrasts import Reading, Records, in_blocks
from .registration import entry_hash, registered_as
from .resample import images_matter
from .verdicts import SUPPORTING, Verdict

PRINTS = {
    "difference": (lambda x: x, lambda d: d),
    "ratio": (log, exp),
    "percent_less": (lambda x: -log(1 - x / 100), lambda d: 100 * (1 - exp(-d))),
}
"""Printed number -> contrast, and back."""
CONCORDANCE = ("contrast", "matching")
"""The two sides of "X if and only if Y": what is positive where X holds, and what must match where Y holds."""
FORK_N = 6
"""Replicates for the other value of a field that the paper leaves open."""


@dataclass(frozen=True)
class Finding:
    """A verdict with the printed numbers, the records behind it and the remarks that stand beside it."""

    verdict: Verdict
    ours: float = nan
    low: float = nan
    high: float = nan
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    marks: tuple[str, ...] = ()


def parts(entry: dict) -> list[dict]:
    """The parts of a compound claim, each complete with what it shares; of another claim the claim itself."""
    whole = {name: value for name, value in entry.items() if name != "parts"}
    return [{**whole, **part} for part in entry.get("parts", [{}])]


class Judge:
    """Judges entries of claims.yml on the records of one profile.

    table: the recorded cells; entries: claim -> entry as it is at this profile (`registration.at_profile`); networks:
    study -> its networks; registrations: of the store, None to look for no changes.
    """

    def __init__(
        self, table: pd.DataFrame, profile: str, entries: dict, networks: dict[str, Networks],
        registrations: dict | None = None,
    ):  # fmt: skip
        self.records, self.profile, self.networks = Records(table), profile, networks
        self.registrations = registrations
        self.parts = {part["id"]: part for entry in entries.values() for part in parts(entry)}

    def scene(self, part: dict, network: str | None = None) -> Scene:
        """Where a claim is read: at its own network, or at another of its study."""
        return Scene(self.networks[part["study"]], network or part["network"])

    def read(self, part: dict, rung=None) -> Reading:
        """The contrast of a claim, replicate by replicate, at one rung of a range."""
        return self.records.read(part["contrast"], self.scene(part), rung)

    def claim(self, entry: dict) -> tuple[Finding, list[Finding]]:
        """(the finding on a claim, those on its parts); a compound claim shows the numbers of its weakest part."""
        findings = {part["id"]: self._part(part, entry) for part in parts(entry)}
        if "parts" not in entry:
            return findings[entry["id"]], []
        whole = verdicts.compound({name: finding.verdict for name, finding in findings.items()})
        shown = next(f for f in findings.values() if f.verdict.word == whole.word)
        rows = pd.concat([f.rows for f in findings.values()]) if whole.n else shown.rows
        marks = tuple(dict.fromkeys(mark for f in findings.values() for mark in f.marks))
        return replace(shown, verdict=whole, rows=rows, marks=marks), list(findings.values())

    def rule(self, part: dict) -> Finding:
        """What the rule of the claim's kind says, before gates and marks."""
        if part["kind"] == "concordance":
            return self._concordance(part)
        readings = self._read(part)
        reading = next(iter(readings.values()))
        if reading.values.empty:
            return Finding(Verdict("not run"))
        if part["kind"] in ("range", "onset"):
            return self._range(part, readings)
        verdict = _test(part, reading.level)(reading.values)
        back = PRINTS[part["prints"]][1]
        return Finding(verdict, back(verdict.estimate), back(verdict.low), back(verdict.high), reading.rows)

    def _read(self, part: dict) -> dict[float | None, Reading]:
        """The reading of each rung of a range, or the one of another claim (rung None), in complete blocks."""
        rungs = part.get("rungs", [None])
        return in_blocks({rung: self.read(part, rung) for rung in rungs})

    def _range(self, part: dict, readings: dict[float, Reading]) -> Finding:
        """The last rung that holds; rows of the rungs tested.

        A range prints the percentage of weights kept there. An onset prints the rung itself, a step on a grid that it
        walks from the latest to the earliest, and is off by places on that grid.
        """
        rungs, onset = list(readings), part["kind"] == "onset"
        places = list(range(len(rungs))) if onset else rungs
        pairs = [(place, reading.values) for place, reading in zip(places, readings.values(), strict=True)]
        end = rungs.index(part["end"]) if onset else part["end"]
        verdict = verdicts.ranged(pairs, end, _test(part), reach=1 if onset else 2)
        tested = places.index(verdict.estimate) + 2 if verdict.estimate in places else 1
        rows = pd.concat([readings[rung].rows for rung in rungs[:tested]]).drop_duplicates("key")
        if onset:
            step = self.networks[part["study"]].step(part["network"], rungs[tested - 2])
            return Finding(verdict, ours=step if verdict.estimate in places else nan, rows=rows)
        kept = rows.loc[rows["level"] == verdict.estimate, "density"]
        return Finding(verdict, ours=100 * kept.mean(), rows=rows)

    def _concordance(self, part: dict) -> Finding:
        """Whether `contrast` (an effect) and `matching` (a match) hold in the same settings; ours: share that agree."""
        sides, readings = [], []
        for case in part["cases"]:
            scene = self.scene(part, case["network"])
            both = {name: self.records.read(_filled(part[name], case), scene) for name in CONCORDANCE}
            x, y = in_blocks(both).values()
            sides.append(
                (
                    _holds(verdicts.effect(x.values, least=0, least_n=part["n"])),
                    _holds(verdicts.match(y.values, case["margin"], least_n=part["n"])),
                )
            )
            readings += [reading for reading in (x, y) if len(reading.values)]
        if not readings:
            return Finding(Verdict("not run"))
        verdict = verdicts.concordance(sides)
        note = f"{verdict.n} of {len(sides)} settings decided" + f", {verdict.note}" * bool(verdict.note)
        rows = pd.concat([reading.rows for reading in readings]).drop_duplicates("key")
        n = min(len(reading.values) for reading in readings)
        return Finding(replace(verdict, n=n, note=note), ours=100 * verdict.estimate, rows=rows)

    def _part(self, part: dict, entry: dict) -> Finding:
        finding = self.rule(part)
        if finding.verdict.decided and (gate := self._gate(part, finding)):
            closed = replace(finding.verdict, word="inconclusive", p=nan, note=f"gate {gate}", nulls=())
            finding = replace(finding, verdict=closed)
        return replace(finding, marks=self._marks(part, entry, finding)) if finding.verdict.n else finding

    def _gate(self, part: dict, finding: Finding) -> str:
        """The first gate that fails, empty for none. Anchors are the paper's own accuracies, so an analog has none."""
        anchored = self.profile == "paper" and part["scope"] == "paper"
        return (
            (
                gates.dense_accuracy(self.records, self.scene(part), part, finding.rows["replicate"].unique())
                if anchored
                else ""
            )
            or self._assay(part, finding)
            or gates.equal_arms(finding.rows)
            or gates.stop_is_early(part, finding.rows)
        )

    def _assay(self, part: dict, finding: Finding) -> str:
        if "assay" not in part or finding.verdict.word not in SUPPORTING:
            return ""
        if claim := part["assay"].get("claim"):
            return "" if self.rule(self.parts[claim]).verdict.word in SUPPORTING else f"G2, {claim} does not hold"
        return gates.arms_differ(self.records, self.scene(part), part, _scaled(part, part["margin"]))

    def _marks(self, part: dict, entry: dict, finding: Finding) -> tuple[str, ...]:
        rows = finding.rows.drop_duplicates("key")
        marks = [f"depends on {name}" for name in self._turning_forks(part, finding)]
        accuracy = part["contrast"].get("stat") == "test_accuracy" and part["kind"] != "range"
        if verdicts.fragile(finding.verdict) or (accuracy and images_matter(finding.verdict, finding.rows)):
            marks.append("fragile")
        if self._post_hoc(entry, rows):
            marks.append("post hoc")
        if count := int(rows["diverged"].eq(True).sum()):
            marks.append(f"{count} of {len(rows)} diverged")
        if count := int(rows["censored"].sum()):
            levels = ", ".join(f"{level:g}" for level in sorted(rows.loc[rows["censored"], "level"].unique()))
            marks.append(f"{count} of {len(rows)} steps censored, rungs {levels}")
        return tuple(marks)

    def _post_hoc(self, entry: dict, rows: pd.DataFrame) -> bool:
        """Whether a record was made under another wording of the claim, or before there was one."""
        if self.registrations is None:
            return False
        now = entry_hash(entry, self.networks[entry["study"]])
        name = registered_as(entry["id"], self.profile)
        return any(self.registrations.get(made, {}).get(name) != now for made in rows["registration"].unique())

    def _turning_forks(self, part: dict, finding: Finding) -> list[str]:
        """Fields that the paper leaves open and whose other value turns a decided verdict around."""
        found, word = [], finding.verdict.word
        for name, network in part.get("forks", {}).items() if finding.verdict.decided else ():
            other = self.rule({**part, "network": network, "n": min(FORK_N, part["n"])}).verdict
            if other.decided and (other.word in SUPPORTING) != (word in SUPPORTING):
                found.append(name)
        return found


def _filled(contrast: dict, case: dict) -> dict:
    """A contrast with the fields of one setting in place of the word `case`."""
    terms = {name: dict(term) for name, term in contrast.items() if isinstance(term, dict)}
    filled = {name: {k: case[k] if v == "case" else v for k, v in term.items()} for name, term in terms.items()}
    return {**contrast, **filled}


def _holds(verdict: Verdict) -> bool | None:
    return verdict.word in SUPPORTING if verdict.decided else None


def _test(part: dict, level: float = verdicts.LEVEL):
    """Differences -> Verdict, by the kind of the claim and its numbers on the scale of the contrast."""
    kind, common = part["kind"], {"least_n": part["n"], "level": level}
    if kind == "none":
        return lambda values: verdicts.Sample.of(values).says("inconclusive", level, note="printed, never judged")
    if kind == "value":
        return partial(verdicts.value, theirs=part["theirs"], margin=part["margin"], **common)
    if "margin" in part:
        two_sided = part.get("two_sided", False)
        return partial(verdicts.match, margin=_scaled(part, part["margin"]), two_sided=two_sided, **common)
    least, most = _band(part)
    return partial(verdicts.effect, least=least, most=most, **common)


def _band(part: dict) -> tuple[float, float]:
    """Sizes that reproduce an effect: half to double the printed one, or as the entry says."""
    if "size" in part:
        return _scaled(part, part["size"]) / 2, _scaled(part, part["size"]) * 2
    if "band" in part:
        return _scaled(part, part["band"][0]), _scaled(part, part["band"][1])
    return _scaled(part, part["least"]), inf


def _scaled(part: dict, printed: float) -> float:
    """A printed size on the scale of the contrast."""
    return PRINTS[part["prints"]][0](printed)
