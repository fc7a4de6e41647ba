"""Verdicts on several things: ranges, onsets, concordances, compounds, the best of many, many claims.

Each is made of the simple rules in `verdicts`, whose conventions hold here too.
"""

from dataclasses import replace
from itertools import takewhile
from math import nan

import numpy as np
from scipy import stats

from .verdicts import LEVEL, REFUTING, SUPPORTING, Verdict


def ranged(rungs, end: float, test, reach: float = 2) -> Verdict:
    """ "Holds from the start down to `end`".

    `rungs`: (rung, differences) from the named start outward, `end` among them; `test`: differences -> Verdict of an
    effect or a match. Fixed-order testing: each rung at the full level, stop at the first that is not reproduced. The
    estimate is the last rung that holds (nan if the start fails): reproduced needs the named end itself, and not much
    more; a named end that is significantly reversed refutes.
    """
    _, held, failed = _walked(rungs, end, test, "end")
    if failed:
        return failed
    if end not in dict(held):
        return replace(_last(held), word="partly", note="not so far")
    further = abs(held[-1][0] - end) > reach
    return replace(_last(held), word="partly" if further else "reproduced", note="further" if further else "")


def onset(steps, end: float, test) -> Verdict:
    """ "Holds from `end` on, and not before". `steps`: (step, differences) from the latest to the earliest.

    Fixed-order testing as in `ranged`. Reproduced: the named step holds, as all later ones do, and the one before it is
    significantly reversed. A named step that is significantly reversed refutes.
    """
    tested, held, failed = _walked(steps, end, test, "step")
    if failed:
        return failed
    ours = held[-1][0]
    if ours != end:
        return replace(_last(held), word="partly", note="later" if end not in dict(held) else "earlier")
    before = tested[len(held)][1] if len(held) < len(tested) else None
    if before and before.word != "contradicted":
        return replace(_last(held), word="inconclusive", p=nan, note="undecided at the step before", nulls=())
    whole = _last(held)
    return whole if not before else replace(whole, p=max(whole.p, before.p), nulls=whole.nulls + before.nulls)


def _walked(rungs, end: float, test, called: str):
    """(rungs with their verdicts, those that hold from the start on without a gap, the verdict if that settles it).

    It is settled where not even the start holds, and where the named end is significantly reversed.
    """
    tested = [(rung, test(values)) for rung, values in rungs]
    held, at_end = list(takewhile(lambda pair: pair[1].word == "reproduced", tested)), dict(tested)[end]
    failed = None
    if not held:
        failed = _failed_start(tested[0][1])
    elif at_end.word == "contradicted":
        note = f"reversed at its own {called}"
        failed = replace(_last(held), word="not reproduced", p=at_end.p, note=note, nulls=at_end.nulls)
    return tested, held, failed


def _last(held: list[tuple[float, Verdict]]) -> Verdict:
    """The verdict that the rungs so far hold: all of them must, so the largest p is theirs."""
    passed, nulls = [v for _, v in held], sum((v.nulls for _, v in held), ())
    return Verdict("reproduced", held[-1][0], n=min(v.n for v in passed), p=max(v.p for v in passed), nulls=nulls)


def _failed_start(start: Verdict) -> Verdict:
    """The verdict when not even the start rung holds; a smaller effect there is no refutation."""
    if start.word in REFUTING:
        return Verdict(start.word, n=start.n, p=start.p, note="fails at the start", nulls=start.nulls)
    note = start.note if start.word == "inconclusive" and start.note else "fails at the start"
    return Verdict("inconclusive", n=start.n, note=note)


def concordance(settings) -> Verdict:
    """ "X if and only if Y". `settings`: for each (level -> Verdict of X, level -> Verdict of Y).

    A setting counts against the rule only where both its sides are decided at a level that keeps the error of the whole
    below 5 %, whatever the number of settings. Each pair of decisions is as sure as the less sure of the two.
    """
    strict = 1 - (1 - LEVEL) / max(1, len(settings))
    sides = [[(x(level), y(level)) for x, y in settings] for level in (LEVEL, strict)]
    decided, firmly = ([pair for pair in pairs if pair[0].decided and pair[1].decided] for pairs in sides)
    against = [max(x.p, y.p) for x, y in firmly if _holds(x) != _holds(y)]
    wrong = sum(_holds(x) != _holds(y) for x, y in decided)
    classes = [sum(_holds(x) is _holds(y) is side for x, y in decided) for side in (True, False)]
    word, p = "inconclusive", nan
    if against:
        word, p = "contradicted", min(1.0, len(settings) * min(against))
    elif not wrong and sum(classes) >= 2:
        word = "reproduced" if min(classes) >= 2 else "partly"
        p = max(max(x.p, y.p) for x, y in decided)
    share = (len(decided) - wrong) / len(decided) if decided else nan
    return Verdict(word, share, n=len(decided), p=p, note="one class only" if word == "partly" else "")


def _holds(verdict: Verdict) -> bool:
    return verdict.word in SUPPORTING


def compound(parts: dict[str, Verdict]) -> Verdict:
    """ "A and B": the weakest part decides, is named, and says n. All parts must pass, so a supporting p is the largest
    of the parts'; any part may refute, so a refuting p is the smallest times the number of parts."""
    ranks = ("contradicted", "not reproduced", "not run", "inconclusive", "partly", "reproduced")
    name, worst = min(parts.items(), key=lambda item: ranks.index(item[1].word))
    alike = [v for v in parts.values() if v.word == worst.word]
    n = min(v.n for v in (parts.values() if worst.word in SUPPORTING else alike))
    note = "" if worst.word in ("reproduced", "not run") else f"{name} {worst.note}".strip()
    if worst.word in SUPPORTING:
        return Verdict(worst.word, n=n, p=max(v.p for v in parts.values()), note=note)
    p = min(1.0, len(parts) * min(v.p for v in alike)) if worst.word in REFUTING else nan
    return Verdict(worst.word, n=n, p=p, note=note)


def of_many(verdict: Verdict, tried: int) -> Verdict:
    """A verdict on the best (or worst) of so many values: its p counts them, as the level of its interval does."""
    return replace(verdict, p=min(1.0, verdict.p * tried)) if tried > 1 and verdict.p == verdict.p else verdict


def q_values(verdicts) -> np.ndarray:
    """q of every verdict among all that ran: supporting and refuting ones are two families of that size."""
    q = np.full(len(verdicts), nan)
    for family in (SUPPORTING, REFUTING):
        p = np.array([v.p if v.word in family else nan for v in verdicts], dtype=float)
        own = stats.false_discovery_control(np.nan_to_num(p, nan=1.0)) if len(p) else p
        q = np.where(np.isnan(p), q, own)
    return q
