"""Verdict rules: what paired differences, one a replicate, say about a claim.

Every rule takes differences oriented so that the claim is positive, on the scale of the contrast (steps, ratios and
densities as logs), and tries its words in the order contradicted, reproduced, partly, not reproduced; what is left is
inconclusive. Intervals are t-intervals on n - 1 degrees of freedom at 95 % unless a `level` is given. A p-value is
one-sided: of what the word asserts. Fewer than `least_n` replicates never decide.
"""

from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # t distribution; scipy.stats takes a second to load in every worker

from ..errors import BadInput

SUPPORTING = ("reproduced", "partly")
REFUTING = ("not reproduced", "contradicted")
WORDS = (*SUPPORTING, *REFUTING, "inconclusive", "not run")
LEAST_N = 5
LEVEL = 0.95
MOST_Q = 0.05
VERSIONS = {"match": 2, "range": 3, "onset": 3, "concordance": 3, "best of several": 2}
"""Rules that were changed after runs, with their version: it enters the hash of the claims that are judged by them."""


@dataclass(frozen=True)
class Verdict:
    """A word with its estimate, interval, replicates and p-value.

    note: in what sense ("smaller"); nulls: the values whose exclusion decided, as (sample, value) pairs.
    """

    word: str
    estimate: float = nan
    low: float = nan
    high: float = nan
    n: int = 0
    p: float = nan
    note: str = ""
    nulls: tuple = ()

    @property
    def holds(self) -> bool:
        return self.word in SUPPORTING

    @property
    def decided(self) -> bool:
        return self.holds or self.word in REFUTING


class Sample(NamedTuple):
    """Differences, one a replicate, and their t statistics; error: of the mean, nan for fewer than two replicates."""

    values: tuple[float, ...]
    n: int
    mean: float
    error: float

    @classmethod
    def of(cls, values) -> "Sample":
        values = np.asarray(values, dtype=float)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise BadInput("differences: one finite number a replicate")
        n = len(values)
        error = float(values.std(ddof=1)) / sqrt(n) if n > 1 else nan
        return cls(tuple(values.tolist()), n, float(values.mean()) if n else nan, error)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        half = float(stdtrit(self.n - 1, (1 + level) / 2)) * self.error
        return self.mean - half, self.mean + half

    def p_above(self, null: float) -> float:
        """One-sided p-value of "the mean is above `null`"."""
        if self.error == 0:  # all replicates agree exactly: accuracies of 100 %, say
            return 0.0 if self.mean > null else 1.0
        return float(stdtr(self.n - 1, (null - self.mean) / self.error))

    def p_below(self, null: float) -> float:
        """One-sided p-value of "the mean is below `null`"."""
        return Sample.of([-v for v in self.values]).p_above(-null)

    def says(self, word: str, level: float, p: float = nan, note: str = "", nulls=()) -> Verdict:
        pairs = tuple((self.values, null) for null in nulls)
        return Verdict(word, self.mean, *self.interval(level), self.n, p, note, pairs)


def effect(values, least: float, most: float = inf, least_n: int = LEAST_N, level: float = LEVEL) -> Verdict:
    """ "A beats B", by an amount in [least, most] if that is reproduced; partly is an effect of another size."""
    mean = Sample.of(values).mean
    size = "smaller" if mean < least else "larger" if mean > most else ""
    holds = ("partly" if size else "reproduced", size, (0,), ())
    rows = [("contradicted", "", (), (0,)), holds, ("not reproduced", "", (), (least,))]
    return _first(values, rows, least_n, level)


def match(values, margin: float, two_sided: bool = False, least_n: int = LEAST_N, level: float = LEVEL) -> Verdict:
    """ "A is as good as B": not worse by `margin` or more; two-sided: nor better."""
    better, above = [("contradicted", "better", (margin,), ())] * two_sided, (margin,) * two_sided
    rows = [("contradicted", "worse", (), (-margin,)), *better, ("reproduced", "", (-margin,), above)]
    return _first(values, rows, least_n, level)


def value(values, theirs: float, margin: float, least_n: int = LEAST_N, level: float = LEVEL) -> Verdict:
    """ "The accuracy is `theirs`": `values` are ours, no differences; their interval against `theirs` +- margin."""
    low, high = theirs - margin, theirs + margin
    off = [("not reproduced", "lower", (), (low,)), ("not reproduced", "higher", (high,), ())]
    return _first(values, [("reproduced", "", (low,), (high,)), *off], least_n, level)


def regions(values, cuts, least_n: int = LEAST_N, level: float = LEVEL) -> Verdict:
    """A question between hypotheses, to each of which belongs a region of the axis, cut beforehand.

    cuts: (hypothesis, upper end of its region) in ascending order, the last end is infinite. Reproduced: the interval
    lies in one region, whose name is the note; partly: the regions in the note are excluded.
    """
    names, ends = zip(*cuts, strict=True)
    low, high = Sample.of(values).interval(level)
    first, last = sum(low > end for end in ends), sum(high >= end for end in ends)  # that the interval lies in
    out = names[:first] + names[last + 1 :]
    word, note = ("reproduced", names[first]) if first == last else ("partly", ", ".join(out))
    row = word, note, ends[:first][-1:], ends[:-1][last : last + 1]
    return _first(values, [row] if out else [], least_n, level)


def _first(values, rows, least_n: int, level: float) -> Verdict:
    """The first row (word, note, above, below) that the interval bears out: it lies above these values, below those."""
    s = Sample.of(values)
    low, high = s.interval(level)
    if s.n < least_n:
        return s.says("inconclusive", level, note=f"n = {s.n} of {least_n}")
    for word, note, above, below in rows:
        if all(low > null for null in above) and all(high < null for null in below):
            p = max([*map(s.p_above, above), *map(s.p_below, below)])
            return s.says(word, level, p, note, (*above, *below))
    return s.says("inconclusive", level)


def sign_flip(values, null: float = 0) -> float:
    """Exact two-sided p-value of "the mean is not `null`" under all 2^n flips of signs."""
    d = np.asarray(values, dtype=float) - null
    sums = np.zeros(1)
    for x in d:
        sums = np.concatenate([sums + x, sums - x])
    observed = abs(d.sum())
    return float(np.mean(np.abs(sums) >= observed * (1 - 1e-12) - 1e-12))


def fragile(verdict: Verdict) -> bool:
    """Whether the exact sign-flip test fails to exclude what the t-interval excluded (6 to 20 replicates)."""
    few = [(values, null) for values, null in verdict.nulls if 6 <= len(values) <= 20]
    return verdict.decided and any(sign_flip(values, null) > 1 - LEVEL for values, null in few)
