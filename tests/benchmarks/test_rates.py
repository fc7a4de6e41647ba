"""How often the rules are wrong: the simulated table is whole, and below 5 % where a verdict would be false."""

import pandas as pd
import pytest
from tickets.evidence import verdicts
from tickets.evidence.claims import KINDS

from benchmarks import rates

TIMES = 200
FALSE_SUPPORT = [
    ("effect", "no effect"),
    ("match", "worse by the margin"),
    ("match, two-sided", "off by the margin"),
    ("value", "off by the margin"),
    ("range", "no effect at its end"),
    ("onset", "a step later"),
    ("concordance", "false in half of the settings"),
    ("concordance", "true everywhere, at the margin"),
]
FALSE_REFUTATION = [
    ("effect", "as claimed"),
    ("match", "equal"),
    ("match", "worse by half the margin"),
    ("match, two-sided", "equal"),
    ("match, two-sided", "off by half the margin"),
    ("value", "as claimed"),
    ("value", "off by half the margin"),
    ("range", "as claimed"),
    ("onset", "as claimed"),
    ("concordance", "true everywhere"),
    ("concordance", "true everywhere, at the margin"),
]


@pytest.fixture(scope="module")
def simulated():
    """The table at n = 10, from a few simulations of each case; the draws are the same every time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "NUMBERS", (10,))
        return rates.rates(TIMES).set_index(["rule", "truth"])


def test_every_row_is_whole(simulated):
    assert list(simulated) == ["n", "reproduced", "partly", "refuted", "open"]
    assert set(simulated["n"]) == {10}
    assert simulated[["reproduced", "partly", "refuted", "open"]].sum(axis=1).to_numpy() == pytest.approx(100)
    assert simulated.index.is_unique
    assert {rule for rule, _ in simulated.index} <= {*KINDS, "match, two-sided"}


def test_every_rule_has_rates(simulated):
    assert {rule for rule, _ in simulated.index} >= {*KINDS} - {"none"}


@pytest.mark.parametrize(("rule", "truth"), FALSE_SUPPORT)
def test_where_there_is_nothing_to_find_hardly_anything_is_found(simulated, rule, truth):
    row = simulated.loc[(rule, truth)]
    assert row["reproduced"] < 5
    if rule == "effect":  # of a range it says how far the claim holds, of a concordance that one class is missing
        assert row["reproduced"] + row["partly"] < 5


def test_where_two_regions_meet_neither_is_supported(simulated):
    """Either would be, half of 5 % each; of 200 simulations the rate has a standard deviation of 1.5 points."""
    assert simulated.loc[("regions", "where two meet"), "reproduced"] < 5 + 2 * 1.5


@pytest.mark.parametrize(("rule", "truth"), FALSE_REFUTATION)
def test_what_is_true_is_hardly_ever_refuted(simulated, rule, truth):
    assert simulated.loc[(rule, truth), "refuted"] < 5


def test_what_is_clear_is_found(simulated):
    """The rules do not keep their errors low by never deciding."""
    for rule, truth in (("effect", "as claimed"), ("range", "as claimed"), ("concordance", "true everywhere")):
        assert simulated.loc[(rule, truth), "reproduced"] > 90
    for rule, truth in (("onset", "a step later"), ("concordance", "false in half of the settings")):
        assert simulated.loc[(rule, truth), "refuted"] > 90
    assert simulated.loc[("regions", "in the middle of one"), "open"] < 5


def test_the_recorded_table_is_what_the_rules_of_today_say(monkeypatch):
    """Of the rules on several things, which have changed most, the rows of five replicates come out as recorded."""
    every = rates.cases(5)
    several = {case: draw for case, draw in every.items() if case[0] in ("range", "onset", "concordance")}
    assert [*every][-len(several) :] == [*several]
    skipped = dict.fromkeys([*every][: -len(several)], lambda generator: verdicts.Verdict("inconclusive"))
    monkeypatch.setattr(rates, "NUMBERS", (5,))
    monkeypatch.setattr(rates, "cases", lambda n: skipped | several)
    again = rates.rates().round(1).set_index(["rule", "truth", "n"])
    recorded = pd.read_csv(rates.TABLE, index_col=["rule", "truth", "n"])
    same = [row for row in again.index if row[:2] in several]
    assert recorded.loc[same].to_numpy() == pytest.approx(again.loc[same].to_numpy())


def test_every_case_is_simulated_for_every_number_of_replicates(monkeypatch):
    """What the page prints: each rule at n = 5, 10 and 20, in the order of rule and truth."""
    monkeypatch.setattr(rates, "cases", lambda n: {("effect", "no effect"): rates_of(n), ("a", "b"): rates_of(n)})
    frame = rates.rates(3)
    assert frame[["rule", "n"]].values.tolist() == [["a", 5], ["a", 10], ["a", 20]] + [
        ["effect", n] for n in (5, 10, 20)
    ]
    assert frame["reproduced"].tolist() == [0, 100, 100] * 2


def rates_of(n):
    """A case that is always decided, from ten replicates on."""
    word = "reproduced" if n >= 10 else "inconclusive"
    return lambda generator: verdicts.Verdict(word)
