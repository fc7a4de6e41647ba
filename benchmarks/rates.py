"""How often each verdict rule is wrong, simulated: `python -m benchmarks.rates` writes book/results/error_rates.csv.

Differences are drawn from a normal distribution with the spread `SD`, n of them, `TIMES` times, in units of the
smallest effect that counts (or of the margin of a match). A row says where the truth lies, and how often each kind of
word comes out. Where there is nothing to find, "reproduced" is false, and so is "partly" of a single effect (of a range
it says how far it holds); where the claim is true, "refuted" is false. Half of a claim should mostly be called partly.
"""

from functools import partial
from math import inf

import pandas as pd
from tickets.evidence import several, verdicts
from tickets.evidence.verdicts import REFUTING
from tickets.files import BOOK, write_atomically
from tickets.seeds import stream

TIMES, NUMBERS, SD = 1000, (5, 10, 20), 1.0
SETTINGS, RUNGS = 8, 4
TABLE = BOOK / "results" / "error_rates.csv"


def rates(times: int = TIMES) -> pd.DataFrame:
    """One row a rule, truth and n: percentages of supporting, refuting and open verdicts."""
    rows = []
    for n in NUMBERS:
        for place, ((rule, truth), draw) in enumerate(cases(n).items()):
            generator = stream("sample", place, n, draw=8)  # of its own, so that one row can be simulated alone
            words = [draw(generator).word for _ in range(times)]
            share = lambda family, words=words: 100 * sum(word in family for word in words) / times  # noqa: E731
            row = {
                "rule": rule,
                "truth": truth,
                "n": n,
                "reproduced": share(("reproduced",)),
                "partly": share(("partly",)),
            }
            row["refuted"] = share(REFUTING)
            rows.append(row | {"open": share(("inconclusive",))})
    return pd.DataFrame(rows).sort_values(["rule", "truth", "n"], kind="stable")


def cases(n: int) -> dict:
    """(rule, where the truth lies) -> generator -> one verdict."""
    sample = lambda generator, mean: generator.normal(mean, SD, n)  # noqa: E731
    effect = partial(verdicts.effect, least=1)
    value = partial(verdicts.value, theirs=0, margin=1)
    regions = partial(verdicts.regions, cuts=[("left", -1), ("middle", 1), ("right", inf)])
    match, two_sided = partial(verdicts.match, margin=1), partial(verdicts.match, margin=1, two_sided=True)

    def of(rule, mean):
        return lambda generator: rule(sample(generator, mean))

    def along(rule, means, end):
        return lambda generator: rule([(i, sample(generator, m)) for i, m in enumerate(means)], end, effect)

    def together(x_means, y_means):
        def draw(generator):
            pairs = [(sample(generator, x), sample(generator, y)) for x, y in zip(x_means, y_means, strict=True)]
            return several.concordance([(partial(verdicts.effect, x, 0), partial(match, y)) for x, y in pairs])

        return draw

    half = SETTINGS // 2
    return {
        ("effect", "no effect"): of(effect, 0),
        ("effect", "half of the smallest that counts"): of(effect, 0.5),
        ("effect", "half of the claim"): of(effect, 1),
        ("effect", "as claimed"): of(effect, 2),
        ("match", "worse by the margin"): of(match, -1),
        ("match", "worse by half the margin"): of(match, -0.5),
        ("match", "equal"): of(match, 0),
        ("match, two-sided", "off by the margin"): of(two_sided, 1),
        ("match, two-sided", "off by half the margin"): of(two_sided, 0.5),
        ("match, two-sided", "equal"): of(two_sided, 0),
        ("value", "off by the margin"): of(value, 1),
        ("value", "off by half the margin"): of(value, 0.5),
        ("value", "as claimed"): of(value, 0),
        ("regions", "where two meet"): of(regions, 1),
        ("regions", "in the middle of one"): of(regions, 0),
        ("range", "no effect at its end"): along(several.ranged, [2] * (RUNGS - 1) + [0], RUNGS - 1),
        ("range", "as claimed"): along(several.ranged, [2] * RUNGS, RUNGS - 1),
        ("onset", "a step later"): along(several.onset, [2, 2, -2, -2], 2),
        ("onset", "as claimed"): along(several.onset, [2, 2, -2, -2], 1),
        ("concordance", "true everywhere"): together([2] * half + [-2] * half, [0] * half + [-2] * half),
        ("concordance", "true everywhere, at the margin"): together([2] * half + [-2] * half, [-1] * SETTINGS),
        ("concordance", "false in half of the settings"): together([2] * SETTINGS, [0] * half + [-3] * half),
    }


if __name__ == "__main__":
    frame = rates().round(1)
    write_atomically(TABLE, frame.to_csv(index=False, lineterminator="\n"))
    print(frame.to_string(index=False))
