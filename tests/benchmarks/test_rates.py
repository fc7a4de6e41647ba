"""How often the rules are wrong: the simulated table is whole, and below 5 % where a verdict would be false."""

import pandas as pd
import pytest
from tickets.evidence import verdicts
from tickets.evidence.claims import KINDS

from benchmarks import rates

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


RECORDED = pd.read_csv(rates.TABLE).set_index(["rule", "truth"])
KNOWN_TO = 0.7
"""Points: one standard deviation, in as many simulations as a row has, of a rate of 5 %."""


def test_every_row_is_whole():
    assert list(RECORDED) == ["n", "reproduced", "partly", "refuted", "open"]
    assert set(RECORDED["n"]) == {5, 10, 20}
    assert RECORDED[["reproduced", "partly", "refuted", "open"]].sum(axis=1).to_numpy() == pytest.approx(100, abs=0.21)
    assert RECORDED.set_index("n", append=True).index.is_unique
    assert {*RECORDED.index} == {*rates.cases(5)}
    assert {rule for rule, _ in RECORDED.index} <= {*KINDS, "match, two-sided"}


def test_every_rule_has_rates():
    assert {rule for rule, _ in RECORDED.index} >= {*KINDS} - {"none"}


def test_the_recorded_table_is_what_the_rules_of_today_say(monkeypatch):
    """All rows of five replicates come out as they are recorded."""
    monkeypatch.setattr(rates, "NUMBERS", (5,))
    again = rates.rates().round(1).set_index(["rule", "truth"])
    recorded = RECORDED[RECORDED["n"] == 5]
    assert [*again.index] == [*recorded.index]
    assert again.to_numpy() == pytest.approx(recorded.to_numpy())


@pytest.mark.parametrize(("rule", "truth"), FALSE_SUPPORT)
def test_where_there_is_nothing_to_find_hardly_anything_is_found(rule, truth):
    rows = RECORDED.loc[(rule, truth)]
    assert rows["reproduced"].max() < 5
    if rule == "effect":  # of a range it says how far the claim holds, of a concordance that one class is missing
        assert (rows["reproduced"] + rows["partly"]).max() < 5


def test_where_two_regions_meet_neither_is_supported():
    """Either would be, half of 5 % each."""
    assert RECORDED.loc[("regions", "where two meet"), "reproduced"].max() < 5 + 3 * KNOWN_TO


@pytest.mark.parametrize(("rule", "truth"), FALSE_REFUTATION)
def test_what_is_true_is_hardly_ever_refuted(rule, truth):
    assert RECORDED.loc[(rule, truth), "refuted"].max() < 5


def test_what_is_clear_is_found():
    """The rules do not keep their errors low by never deciding."""
    ten = RECORDED[RECORDED["n"] == 10]
    for rule, truth in (("effect", "as claimed"), ("range", "as claimed"), ("concordance", "true everywhere")):
        assert ten.loc[(rule, truth), "reproduced"] > 90
    for rule, truth in (("onset", "a step later"), ("concordance", "false in half of the settings")):
        assert ten.loc[(rule, truth), "refuted"] > 90
    assert ten.loc[("regions", "in the middle of one"), "open"] < 5


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
