"""What an entry of claims.yml asks: its parts, its rule with its numbers, the natural quantity of its row."""

from functools import partial
from math import exp, inf, log

import numpy as np
import pandas as pd

from . import verdicts
from .contrasts import Reading
from .verdicts import Verdict

PRINTS = {
    "difference": (lambda x: x, lambda d: d),
    "ratio": (log, exp),
    "percent_less": (lambda x: -log(1 - x / 100), lambda d: 100 * (1 - exp(-d))),
}
"""Printed number -> contrast, and back."""
OWN = "our own question"
ANSWERS = {"reproduced": "yes", "partly": "in part", "inconclusive": "open"} | dict.fromkeys(verdicts.REFUTING, "no")
"""What is said of our own questions and controls."""
REGIONS = ANSWERS | {"reproduced": "supports", "partly": "excludes"}
"""What is said of a question between hypotheses; which of them stands behind it."""


def parts(entry: dict) -> list[dict]:
    """The parts of a compound claim, each complete with what it shares; of another claim the claim itself."""
    whole = {name: value for name, value in entry.items() if name not in ("parts", "in_full")}
    return [{**whole, **part} for part in entry.get("parts", [{}])]


def said(part: dict, verdict: Verdict) -> str:
    """The word of a verdict; of our own questions and controls an answer, since no paper claims them."""
    answers = REGIONS if part.get("kind") == "regions" else ANSWERS if part["source"] == OWN else {}
    return answers.get(verdict.word, verdict.word)


def natural(part: dict):
    """Contrast -> the quantity that a row prints.

    A threshold minus something, or something minus a threshold, prints the something: a barrier, not what is left of 2
    points; otherwise the contrast on the scale that the entry prints.
    """
    if not (threshold := part["contrast"].get("constant", 0)):
        return PRINTS[part["prints"]][1]
    return (lambda d: threshold - d) if "minus" in part["contrast"] else (lambda d: d - threshold)


def direction(part: dict) -> str:
    """On which side of its threshold a printed quantity must lie, where it has one."""
    threshold = part["contrast"].get("constant", 0)
    verb, side = "asked" if part["source"] == OWN else "claimed", "below" if "minus" in part["contrast"] else "above"
    return f"{verb} {side} {abs(threshold):g}" if threshold else ""


def crossing(part: dict, readings: dict[float, Reading], kept: pd.Series) -> str:
    """Where each replicate crosses the line between holding and failing, as its own second number.

    Log density is interpolated between the last rung that a replicate holds and the first that it does not; a replicate
    that holds everywhere, or nowhere, counts at the end it is beyond; of more than a fifth such only the count is said.
    """
    line = -scaled(part, part["margin"]) if "margin" in part else 0.0
    frame = pd.DataFrame({rung: reading.values - line for rung, reading in readings.items()})
    logs = np.log(kept[list(frame)].to_numpy())
    found, beyond = [], 0
    for gaps in frame.to_numpy():
        first = next(iter(np.flatnonzero(gaps < 0)), len(gaps))
        beyond += first in (0, len(gaps))
        around = slice(max(first - 1, 0), first + 1)  # beyond the rungs: only that at the end
        found.append(np.interp(0, gaps[around][::-1], logs[around][::-1]))
    sample = verdicts.Sample.of(found)
    low, high = np.exp(sample.interval())
    ends = f", {beyond} of {sample.n} beyond the rungs tested" if beyond else ""
    if 5 * beyond > sample.n:
        return f"{beyond} of {sample.n} replicates cross beyond the rungs tested"
    return f"replicates cross at {exp(sample.mean):.3g} % [{low:.3g}, {high:.3g}]{ends}" if sample.n > 1 else ""


def filled(contrast: dict, case: dict) -> dict:
    """A contrast with the fields of one setting in place of the word `case`."""
    terms = {name: term for name, term in contrast.items() if isinstance(term, dict)}
    return contrast | {name: {k: case[k] if v == "case" else v for k, v in t.items()} for name, t in terms.items()}


def alone(part: dict) -> dict[float, dict]:
    """Of a claim on an average over rungs: rung -> the same claim at that rung alone."""
    contrast = part["contrast"]
    listed = [name for name in ("plus", "minus") if isinstance(contrast.get(name, {}).get("level"), list)]
    at = lambda rung: contrast | {name: contrast[name] | {"level": rung} for name in listed}  # noqa: E731
    return {rung: {**part, "contrast": at(rung)} for name in listed[:1] for rung in contrast[name]["level"]}


def rule_of(part: dict, level: float = verdicts.LEVEL):
    """Differences -> Verdict, by the kind of the claim and its numbers on the scale of the contrast."""
    kind, common = part["kind"], {"least_n": part["n"], "level": level}
    if kind == "none":
        return lambda values: verdicts.Sample.of(values).says("inconclusive", level, note="printed, never judged")
    if kind == "value":
        return partial(verdicts.value, theirs=part["theirs"], margin=part["margin"], **common)
    if kind == "regions":
        return partial(verdicts.regions, cuts=cuts(part), **common)
    if "margin" in part:
        two_sided = part.get("two_sided", False)
        return partial(verdicts.match, margin=scaled(part, part["margin"]), two_sided=two_sided, **common)
    least, most = _band(part)
    return partial(verdicts.effect, least=least, most=most, **common)


def accepted(part: dict) -> tuple[float, float] | None:
    """Where the printed mean of a claim must lie to be reproduced; None where its rule is no interval."""
    if part.get("kind") not in ("value", "match", "effect"):
        return None
    if part["kind"] == "value":
        return part["theirs"] - part["margin"], part["theirs"] + part["margin"]
    return tuple(sorted(natural(part)(end) for end in _band(part)))


def _band(part: dict) -> tuple[float, float]:
    """Sizes that reproduce a match: within its margin; an effect: half to double the printed one, or as it says."""
    if "margin" in part:
        margin = scaled(part, part["margin"])
        return -margin, margin if part.get("two_sided") else inf
    if "size" in part:
        return scaled(part, part["size"]) / 2, scaled(part, part["size"]) * 2
    if "band" in part:
        return scaled(part, part["band"][0]), scaled(part, part["band"][1])
    return scaled(part, part["least"]), inf


def cuts(part: dict) -> list[tuple[str, float]]:
    """Hypotheses, each with the upper end of its region on the scale of the contrast; none of other kinds."""
    return [(name, inf if end is None else scaled(part, end)) for name, end in part.get("regions", ())]


def scaled(part: dict, printed: float) -> float:
    """A printed size on the scale of the contrast."""
    return PRINTS[part["prints"]][0](printed)
