"""Judging one claim: its estimand read from the records, the rule of its kind, the gates, and what stands beside it."""

from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import inf, nan

import pandas as pd

from ..arms import measures
from ..networks import Scene
from . import gates, several, verdicts
from .asked import alone, crossing, cuts, direction, filled, natural, parts, rule_of, said, scaled
from .claims import entry_hash, registered_as
from .contrasts import Reading, Records, in_blocks
from .resample import images_matter
from .verdicts import LEAST_N, Verdict

OLDER = "with records older than the claim"
OF_ALL = ("post hoc", OLDER)
"""Marks that a compound claim has once, whichever part they are of."""
FORK_N = 6
"""Replicates for the other value of a field that the paper leaves open."""


@dataclass(frozen=True)
class Finding:
    """A verdict with the printed numbers, the records behind it, a second number and the remarks beside it."""

    verdict: Verdict
    ours: float = nan
    low: float = nan
    high: float = nan
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    beside: str = ""
    marks: tuple[str, ...] = ()


class Judge:
    """Judges entries of claims.yml on the records of one profile.

    table: the recorded cells; entries: claim -> entry as it is at this profile (`claims.at_profile`); networks:
    study -> its networks; registrations: of the store, None to look for no changes.
    """

    def __init__(self, table: pd.DataFrame, profile: str, entries: dict, networks: dict, registrations=None):
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
        of_parts = {name: finding.verdict for name, finding in findings.items()}
        whole = several.joint(of_parts, regions) if (regions := cuts(entry)) else several.compound(of_parts)
        shown = next((f for f in findings.values() if f.verdict.word == whole.word), Finding(whole))
        rows = pd.concat([f.rows for f in findings.values()]) if whole.n else shown.rows
        named = [(mark if mark in OF_ALL else f"{name} {mark}") for name, f in findings.items() for mark in f.marks]
        marks = tuple(dict.fromkeys(named)) if whole.n else ()
        return replace(shown, verdict=whole, rows=rows, marks=marks), list(findings.values())

    def rule(self, part: dict) -> Finding:
        """What the rule of the claim's kind says, before gates and marks."""
        if part["kind"] == "concordance":
            return self._concordance(part)
        readings = in_blocks({rung: self.read(part, rung) for rung in part.get("rungs", [None])})
        reading = next(iter(readings.values()))
        if reading.values.empty:
            return Finding(Verdict("not run"))
        if part["kind"] in ("range", "onset"):
            return self._range(part, readings)
        verdict = several.of_many(partial(rule_of, part), reading.values, reading.tried)
        ours, *ends = map(natural(part), (verdict.estimate, verdict.low, verdict.high))
        picked = f"chosen: {reading.picked}, of {reading.tried}" if reading.picked else ""
        return Finding(verdict, ours, *sorted(ends), reading.rows, picked or direction(part))

    def _on(self, records: Records) -> "Judge":
        """The same judge of other records."""
        other = copy(self)
        other.records = records
        return other

    @cached_property
    def _made(self) -> dict:
        """Cell -> the claims that stood when its record was made."""
        return dict(zip(self.records.table["cell"], self.records.table["registration"], strict=True))

    @cached_property
    def _exchanged(self) -> Records:
        """The records with the dense network and its second order exchanged."""
        return Records(self.records.table, twin=True)

    def _range(self, part: dict, readings: dict[float, Reading]) -> Finding:
        """The last rung that holds; rows of all rungs.

        A range prints the percentage of weights kept there. An onset prints the rung itself, a step on a grid that it
        walks from the latest to the earliest, and is off by places on that grid.
        """
        rungs, rows = list(readings), pd.concat([reading.rows for reading in readings.values()]).drop_duplicates("key")
        values = [reading.values for reading in readings.values()]
        if part["kind"] == "onset":
            verdict = several.onset(enumerate(values), rungs.index(part["end"]), rule_of(part))
            found = rungs[int(verdict.estimate)] if verdict.estimate == verdict.estimate else None
            step = nan if found is None else self.networks[part["study"]].step(part["network"], found)
            return Finding(verdict, ours=step, rows=rows)
        verdict = several.ranged(zip(rungs, values, strict=True), part["end"], rule_of(part))
        kept = 100 * rows.groupby("level")["density"].mean()
        ours = kept.get(verdict.estimate, nan)
        if verdict.note in ("not so far", "further"):
            alone = verdict.estimate == rungs[0]
            span = f"at {ours:.3g} % only" if alone else f"from {kept[rungs[0]]:.3g} to {ours:.3g} %"
            verdict = replace(verdict, note=f"holds {span}")
        return Finding(verdict, ours=ours, rows=rows, beside=crossing(part, readings, kept))

    def _concordance(self, part: dict) -> Finding:
        """Whether `contrast` (an effect) and `matching` (a match) hold in the same settings; ours: share that agree."""
        sides, readings = [], []
        for case in part["cases"]:
            scene = self.scene(part, case["network"])
            both = {name: self.records.read(filled(part[name], case), scene) for name in ("contrast", "matching")}
            x, y = in_blocks(both).values()
            holds = partial(verdicts.effect, x.values, 0, least_n=part["n"])
            matches = partial(verdicts.match, y.values, case["margin"], least_n=part["n"])
            if "assay" in part and matches().holds:  # G2: no match where a worse arm would be one too
                asked = {**part, "contrast": part["matching"], "assay": filled(part["assay"], case)}
                if gates.arms_differ(self.records, scene, asked, case["margin"]):
                    matches = partial(matches, least_n=inf)
            sides.append((holds, matches))
            readings += [reading for reading in (x, y) if len(reading.values)]
        verdict = several.concordance(sides)
        if len(readings) < 2 * len(sides) and not verdict.decided:
            return Finding(Verdict("not run"))  # as of a claim that a part of has no records
        note = f"{verdict.n} of {len(sides)} settings decided" + f", {verdict.note}" * bool(verdict.note)
        rows = pd.concat([reading.rows for reading in readings]).drop_duplicates("key")
        n = min(len(reading.values) for reading in readings)
        return Finding(replace(verdict, n=n, note=note), ours=100 * verdict.estimate, rows=rows)

    def _part(self, part: dict, entry: dict) -> Finding:
        finding = self._gated(part)
        return replace(finding, marks=self._marks(part, entry, finding)) if finding.verdict.n else finding

    def _gated(self, part: dict) -> Finding:
        finding = self.rule(part)
        if finding.verdict.decided and (gate := self._gate(part, finding)):
            closed = replace(finding.verdict, word="inconclusive", p=nan, note=f"gate {gate}", nulls=())
            finding = replace(finding, verdict=closed)
        return finding

    def _gate(self, part: dict, finding: Finding) -> str:
        """The first gate that fails, empty for none. Anchors are the paper's accuracies, at the desk a pilot's."""
        anchored, replicates = self.profile in ("desk", "paper"), finding.rows["replicate"].unique()
        return (
            (anchored and gates.dense_accuracy(self.records, self.scene(part), part, replicates))
            or self._assay(part, finding)
            or gates.equal_arms(finding.rows)
            or gates.stop_is_early(part, finding.verdict, finding.rows)
        )

    def _assay(self, part: dict, finding: Finding) -> str:
        if "assay" not in part or "cases" in part or not finding.verdict.holds:
            return ""
        if claim := part["assay"].get("claim"):
            return "" if self.rule(self.parts[claim]).verdict.holds else f"G2, {claim} does not hold"
        return gates.arms_differ(self.records, self.scene(part), part, scaled(part, part["margin"]))

    def _marks(self, part: dict, entry: dict, finding: Finding) -> tuple[str, ...]:
        rows = finding.rows.drop_duplicates("key")
        marks = [f"depends on {name}" for name in self._turning_forks(part, finding)]
        accuracy = part["contrast"].get("stat") == "test_accuracy" and part["kind"] != "range"
        if verdicts.fragile(finding.verdict) or (accuracy and images_matter(finding.verdict, finding.rows)):
            marks.append("fragile")
        marks += [*self._rungs_that_differ(part, finding), *self._other_order(part, finding)]
        marks += self._post_hoc(part, entry, rows)
        if count := int(rows["diverged"].eq(True).sum()):
            marks.append(f"{count} of {len(rows)} diverged")
        if count := int(rows["censored"].sum()):
            levels = ", ".join(f"{level:g}" for level in sorted(rows.loc[rows["censored"], "level"].unique()))
            marks.append(f"{count} of {len(rows)} steps censored, rungs {levels}")
        return tuple(marks)

    def _rungs_that_differ(self, part: dict, finding: Finding) -> list[str]:
        """Rungs that alone decide otherwise than the average over them, or than each other where that is open."""
        found = {rung: self.rule(one) for rung, one in alone(part).items()}
        holds = {rung: one.verdict.holds for rung, one in found.items() if one.verdict.decided}
        whole = {finding.verdict.holds} if finding.verdict.decided else set()
        differ = [rung for rung, held in holds.items() if {held} != whole and len({*holds.values()} | whole) > 1]
        told = (f"rung {rung} alone says {_brief(part, found[rung])}" for rung in differ)
        return [f"densities differ: {', and '.join(told)}"] if differ else []

    def _other_order(self, part: dict, finding: Finding) -> list[str]:
        """Whether the word depends on which of its two orders of the data the dense network was trained in (A/A)."""
        compared = part["contrast"].get("stat") == "tt" or any(cell.is_dense for cell in finding.rows["cell"])
        if finding.verdict.n < part["n"] or not compared:
            return []
        other = self._on(self._exchanged)._gated(part)
        if other.verdict.n < part["n"] or other.verdict.word == finding.verdict.word:
            return []
        return [f"fragile (A/A): with its second order {_brief(part, other)}"]

    def _post_hoc(self, part: dict, entry: dict, rows: pd.DataFrame) -> list[str]:
        """Whether a record was made under another wording or rule of the claim, or before there was one.

        What is measured on networks is as old as these. What the replicates that were made under the present wording
        say alone stands beside it: that was registered. Where every replicate has something new, and the rest was made
        before there was such a claim, as tickets of an earlier chapter were, nobody knew the outcome: that is said.
        """
        if self.registrations is None:
            return []
        now = entry_hash(entry, self.networks[entry["study"]])
        name = registered_as(entry["id"], self.profile)
        wordings = {made: self.registrations.get(made, {name: "lost"}).get(name) for made in set(self._made.values())}
        old = {made for made, wording in wordings.items() if wording != now}
        sources = rows["cell"].map(lambda cell: [cell, *(cell.parents() if measures(cell.arm) else ())])
        changed = sources.map(lambda cells: any(self._made.get(cell) in old for cell in cells))
        if not changed.any():
            return []
        new = ~rows["cell"].map(lambda cell: self._made.get(cell) in old)
        reworded = {made for made in old if wordings[made] is not None}
        everywhere = new.groupby(rows["replicate"]).any().all()
        if everywhere and not sources.explode().map(self._made.get).isin(reworded).any():
            return [OLDER]
        fresh = set(rows["replicate"]) - set(rows.loc[changed, "replicate"])
        if not fresh:
            return ["post hoc"]
        these = self.records.table[lambda table: table["replicate"].isin(fresh)]
        alone = self._on(Records(these)).rule({**part, "n": min(part["n"], LEAST_N)})
        return [f"post hoc: the {len(fresh)} registered replicates alone say {_brief(part, alone)}"]

    def _turning_forks(self, part: dict, finding: Finding) -> list[str]:
        """Fields that the paper leaves open and whose other value turns a verdict around, or decides what is open."""
        if finding.verdict.n < part["n"]:
            return []
        forks, fewer = part.get("forks", {}), {**part, "n": min(FORK_N, part["n"])}
        others = {name: self._gated({**fewer, "network": network}).verdict for name, network in forks.items()}
        ours = finding.verdict.holds if finding.verdict.decided else None
        return [name for name, other in others.items() if other.decided and other.holds != ours]


def _brief(part: dict, finding: Finding) -> str:
    """The word of a finding with its number and interval, for a remark."""
    ours, low, high = (f"{round(number, 9):.3g}" for number in (finding.ours, finding.low, finding.high))  # no 3e-15
    span = f" [{low}, {high}]" if finding.low <= finding.high else ""
    return said(part, finding.verdict) + (f", {ours}{span}" if finding.ours == finding.ours else "")
