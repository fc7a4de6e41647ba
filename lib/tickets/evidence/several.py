"""Verdicts on several things: ranges, onsets, concordances, compounds, the best of many, many claims.

Each is made of the simple rules in `verdicts`, whose conventions hold here too.
"""

from dataclasses import replace
from itertools import takewhile
from math import inf, nan

import numpy as np

from .verdicts import LEVEL, REFUTING, SUPPORTING, Verdict


def ranged(rungs, end: float, test) -> Verdict:
    """ "Holds from the start down to `end`".

    `rungs`: (rung, differences) from the named start outward, `end` among them; `test`: differences -> Verdict of an
    effect or a match. Fixed-order testing: each rung at the full level, stop at the first that is not reproduced. The
    estimate is the last rung that holds (nan if the start fails): reproduced needs the named end itself, and not much
    more; a named end that is significantly reversed refutes.
    """
    _, held, whole = _walked(rungs, end, test, "end")
    if whole.word != "reproduced":
        return whole
    if end not in held:
        return replace(whole, word="partly", note="not so far")
    return replace(whole, word="partly", note="further") if abs(whole.estimate - end) > 2 else whole


def onset(steps, end: float, test) -> Verdict:
    """ "Holds from `end` on, and not before". `steps`: (step, differences) from the latest to the earliest.

    Fixed-order testing as in `ranged`. Reproduced: the named step holds, as all later ones do, and the one before it is
    significantly reversed. A named step that is significantly reversed refutes.
    """
    tested, held, whole = _walked(steps, end, test, "step")
    if whole.word != "reproduced":
        return whole
    if whole.estimate != end:
        return replace(whole, word="partly", note="earlier" if end in held else "later")
    if len(held) == len(tested):
        return whole
    before = tested[len(held)]
    if before.word != "contradicted":
        return replace(whole, word="inconclusive", p=nan, note="undecided at the step before", nulls=())
    return replace(whole, p=max(whole.p, before.p), nulls=whole.nulls + before.nulls)


def _walked(rungs, end: float, test, called: str) -> tuple[tuple[Verdict, ...], tuple[float, ...], Verdict]:
    """(verdicts on the rungs, those rungs that hold from the start on without a gap, what they say together).

    All of them must hold, so the largest p is theirs. A named end that is significantly reversed refutes, also where
    the start is undecided. Where not even the start holds, a smaller effect there is no refutation.
    """
    rungs, tested = zip(*((rung, test(values)) for rung, values in rungs), strict=True)
    passed = list(takewhile(lambda v: v.word == "reproduced", tested))
    held, start, at_end = rungs[: len(passed)], tested[0], tested[rungs.index(end)]
    last, n = (held[-1], min(v.n for v in passed)) if passed else (nan, at_end.n)
    if at_end.word == "contradicted" and start.word not in REFUTING:
        note = f"reversed at its own {called}"
        whole = Verdict("not reproduced", last, n=n, p=at_end.p, note=note, nulls=at_end.nulls)
    elif passed:
        p, nulls = max(v.p for v in passed), sum((v.nulls for v in passed), ())
        whole = Verdict("reproduced", last, n=n, p=p, nulls=nulls)
    elif start.word in REFUTING:
        whole = replace(start, estimate=nan, low=nan, high=nan, note="fails at the start")
    else:
        note = start.note or "undecided at the start" if start.word == "inconclusive" else f"{start.note} at the start"
        whole = Verdict("inconclusive", n=start.n, note=note)
    return tested, held, whole


def concordance(settings) -> Verdict:
    """ "X if and only if Y". `settings`: for each (level -> Verdict of X, level -> Verdict of Y).

    Two settings must disagree to refute the rule, and one of them with both its sides decided at a level that keeps the
    error of the whole below 5 %, whatever the number of settings. A pair of decisions is as sure as the less sure one.
    """
    strict = 1 - (1 - LEVEL) / max(1, len(settings))
    sides = [[(x(level=level), y(level=level)) for x, y in settings] for level in (LEVEL, strict)]
    decided, firmly = ([pair for pair in pairs if pair[0].decided and pair[1].decided] for pairs in sides)
    against = [max(x.p, y.p) for x, y in firmly if x.holds != y.holds]
    wrong = sum(x.holds != y.holds for x, y in decided)
    classes = [sum(x.holds is y.holds is side for x, y in decided) for side in (True, False)]
    word, p = "inconclusive", nan
    if against and wrong >= 2:
        word, p = "contradicted", min(1.0, len(settings) * min(against))
    elif not wrong and sum(classes) >= 2:
        word = "reproduced" if min(classes) >= 2 else "partly"
        p = max(max(x.p, y.p) for x, y in decided)
    share = (len(decided) - wrong) / len(decided) if decided else nan
    note = "one disagrees" * (wrong == 1)
    if word == "partly":
        note = "one class only" if 0 in classes else "a class of one setting"
    return Verdict(word, share, n=len(decided), p=p, note=note)


def compound(parts: dict[str, Verdict]) -> Verdict:
    """ "A and B": the weakest part decides, is named, and says n. All parts must pass, so a supporting p is the largest
    of the parts'; any part may refute, so a refuting p is the smallest times the number of parts."""
    ranks = ("contradicted", "not reproduced", "not run", "inconclusive", "partly", "reproduced")
    name, worst = min(parts.items(), key=lambda item: ranks.index(item[1].word))
    counted, p = [v for v in parts.values() if worst.holds or v.word == worst.word], nan
    if worst.decided:
        p = max(v.p for v in counted) if worst.holds else min(1.0, len(parts) * min(v.p for v in counted))
    note = "" if worst.word in ("reproduced", "not run") else f"{name} {worst.note}".strip()
    return Verdict(worst.word, n=min(v.n for v in counted), p=p, note=note)


def joint(parts: dict[str, Verdict], cuts) -> Verdict:
    """A question between hypotheses in several parts: a region that all of them lie in, or those that all exclude.

    cuts: as of `verdicts.regions`. All parts must be decided: the first that is not is named.
    """
    if undecided := {name: v for name, v in parts.items() if not v.decided}:
        return compound(undecided)
    starts = [-inf, *(end for _, end in cuts[:-1])]
    left, out = [], []
    for start, (name, end) in zip(starts, cuts, strict=True):
        met = any(start <= v.high and v.low <= end for v in parts.values())
        (left if met else out).append(name)
    n, p = min(v.n for v in parts.values()), max(v.p for v in parts.values())
    if not out:
        return Verdict("inconclusive", n=n, note="its parts differ")
    word, note = ("reproduced", left[0]) if len(left) == 1 else ("partly", ", ".join(out))
    return Verdict(word, n=n, p=p, note=note)


def of_many(rule, values, tried: int) -> Verdict:
    """What a rule (level -> values -> Verdict) says of the best, or worst, of so many: level and p count them."""
    verdict = rule(1 - (1 - LEVEL) / tried)(values)
    return replace(verdict, p=min(1.0, verdict.p * tried)) if verdict.p == verdict.p else verdict


def q_values(verdicts) -> np.ndarray:
    """q of every verdict among all that ran: supporting and refuting ones are two families of that size."""
    from scipy.stats import false_discovery_control  # a second, which whoever only trains does without

    q = np.full(len(verdicts), nan)
    for family in (SUPPORTING, REFUTING):
        p = np.array([v.p if v.word in family else nan for v in verdicts], dtype=float)
        q = np.where(np.isnan(p), q, false_discovery_control(np.nan_to_num(p, nan=1.0)))
    return q
