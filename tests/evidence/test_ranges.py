"""The rules that look at several tests at once: ranges, onsets and concordances, and how often these are wrong."""

from functools import partial

import numpy as np
import pytest
from handmade import around
from tickets.evidence import verdicts
from tickets.evidence.several import concordance, onset, ranged
from tickets.evidence.verdicts import SUPPORTING, effect, match

TEST = partial(effect, least=0.1)


def decline(ends, size=0.5, below=0.0):
    """Rungs 7 to 17; the effect holds down to `ends` and is `below` afterwards."""
    return [(rung, around(size if rung <= ends else below)) for rung in range(7, 18)]


def said(verdict):
    return verdict.word, verdict.note


# ranges


def test_a_range_needs_the_named_end_itself():
    """One rung short of it is partly; within two rungs further is still the paper's end."""
    verdict = ranged(decline(16), 16, TEST)
    assert (verdict.word, verdict.note, verdict.estimate, verdict.n) == ("reproduced", "", 16, 10)
    assert said(ranged(decline(15), 16, TEST)) == ("partly", "not so far")
    assert said(ranged(decline(8), 16, TEST)) == ("partly", "not so far")


@pytest.mark.parametrize(
    ("end", "word", "note"),
    [(17, "reproduced", ""), (16, "reproduced", ""), (15, "reproduced", ""), (14, "partly", "further")],
)
def test_a_range_that_holds_much_further_is_partly(end, word, note):
    verdict = ranged(decline(17), end, TEST)
    assert (*said(verdict), verdict.estimate) == (word, note, 17)


def test_a_reversed_end_refutes():
    """Whatever holds before it; its p and the value that it excludes are those of the end itself."""
    reversed_end = [*decline(15)[:9], (16, around(-0.5)), (17, around(0.5))]
    verdict = ranged(reversed_end, 16, TEST)
    assert (*said(verdict), verdict.estimate) == ("not reproduced", "reversed at its own end", 15)
    assert (verdict.p, verdict.nulls) == (TEST(around(-0.5)).p, TEST(around(-0.5)).nulls)
    assert ranged(decline(9, below=-0.5), 16, TEST).word == "not reproduced"  # not the first rung that fails
    assert ranged(reversed_end, 15, TEST).word == "reproduced"  # of another end nothing is said


def test_a_range_stops_at_the_first_failure():
    assert ranged(decline(6), 16, TEST).word == "not reproduced"
    late = decline(6)[:1] + decline(17)[1:]
    assert said(ranged(late, 16, TEST)) == ("not reproduced", "fails at the start")  # what follows is not looked at
    assert ranged([(7, around(-0.5))], 7, TEST).word == "contradicted"
    assert ranged([(7, around(0.05, 0.05))], 7, TEST).word == "inconclusive"  # smaller than asked, yet an effect
    assert ranged([(7, around(1, n=3))], 7, TEST).note == "n = 3 of 5"


def test_the_p_of_a_range_is_that_of_its_weakest_rung():
    rungs = [(1, around(0.5)), (2, around(0.2)), (3, around(0.4))]
    assert ranged(rungs, 3, TEST).p == TEST(around(0.2)).p


def test_a_range_errs_at_the_nominal_rate():
    """Five rungs without an effect: the fixed order needs no correction."""
    draws = np.random.default_rng(2).normal(0, 1, (800, 5, 10))
    assert np.mean([ranged(list(enumerate(d)), 4, TEST).word in SUPPORTING for d in draws]) < 0.04


def test_an_end_without_an_effect_is_called_reproduced_at_the_nominal_rate():
    """However clear the rungs before it are: the named end has its own test."""
    clear = [(rung, around(2.0)) for rung in range(3)]
    draws = np.random.default_rng(4).normal(0, 1, (800, 10))
    assert np.mean([ranged([*clear, (3, d)], 3, TEST).word == "reproduced" for d in draws]) < 0.04


# onsets


def grid(*means, spread=0.1):
    """Steps 4000, 2000, 1000, 500, 0 as places, latest first: 1 holds, -1 is reversed, 0 is undecided."""
    return [(i, around(mean, spread if mean else 0.5)) for i, mean in enumerate(means)]


@pytest.mark.parametrize(
    ("means", "word", "note", "estimate"),
    [
        ((1, 1, -1, -1, -1), "reproduced", "", 1),
        ((1, 1, -1, 1, -1), "reproduced", "", 1),  # from there on, and not before: what is still earlier says nothing
        ((1, 1, 0, -1, -1), "inconclusive", "undecided at the step before", 1),
        ((1, 1, 1, -1, -1), "partly", "earlier", 2),
        ((1, 1, 1, 1, 1), "partly", "earlier", 4),
        ((1, 0, -1, -1, -1), "partly", "later", 0),
        ((1, -1, -1, -1, -1), "not reproduced", "reversed at its own step", 0),
        ((-1, 1, -1, -1, -1), "contradicted", "fails at the start", None),
        ((0, 1, -1, -1, -1), "inconclusive", "undecided at the start", None),
        ((0, -1, -1, -1, -1), "not reproduced", "reversed at its own step", None),  # whatever the start says
        ((-1, -1, -1, -1, -1), "contradicted", "fails at the start", None),
    ],
)
def test_an_onset_is_the_named_step_and_not_the_one_before(means, word, note, estimate):
    verdict = onset(grid(*means), 1, partial(effect, least=0))
    assert said(verdict) == (word, note)
    assert verdict.estimate == estimate or np.isnan(verdict.estimate)
    assert np.isnan(verdict.p) == (word == "inconclusive")


def test_a_start_that_holds_in_part_is_no_refutation_and_says_how_it_differs():
    test = partial(effect, least=2, most=4)
    for mean, note in ((1.0, "smaller at the start"), (6.0, "larger at the start")):
        assert said(onset([(0, around(mean)), (1, around(3.0))], 1, test)) == ("inconclusive", note)


def test_the_earliest_step_of_a_grid_has_none_before_it():
    assert onset(grid(1, 1), 1, partial(effect, least=0)).word == "reproduced"


def test_the_p_of_an_onset_counts_the_step_before():
    """Both must hold: the named step stable, the one before unstable; the larger p is theirs."""
    test = partial(effect, least=0)
    weak = around(-0.1)
    verdict = onset([(0, around(1.0)), (1, around(1.0)), (2, weak)], 1, test)
    assert (verdict.word, verdict.p) == ("reproduced", test(weak).p)
    assert verdict.p > test(around(1.0)).p
    assert len(verdict.nulls) == 3


# concordance

HOLDS, FAILS, OPEN = around(1.0), around(-1.0), around(0.0, 5.0)


def setting(x, y):
    """Differences of X, an effect, and of Y, a match with a margin of 0.5, as a rule reads them at any level."""
    return (lambda level: effect(x, 0, level=level)), (lambda level: match(y, 0.5, level=level))


BOTH, NEITHER, X_ONLY, Y_ONLY = (
    setting(x, y) for x, y in ((HOLDS, HOLDS), (FAILS, FAILS), (HOLDS, FAILS), (FAILS, HOLDS))
)


@pytest.mark.parametrize(
    ("settings", "word", "share"),
    [
        ([BOTH] * 2 + [NEITHER] * 2, "reproduced", 1),
        ([BOTH] * 3, "partly", 1),
        ([BOTH] * 2 + [NEITHER] + [setting(OPEN, HOLDS)], "partly", 1),
        ([X_ONLY] * 2 + [NEITHER] * 2, "contradicted", 0.5),
        ([X_ONLY, Y_ONLY] + [BOTH] * 2, "contradicted", 0.5),
        ([Y_ONLY] + [BOTH] * 3, "inconclusive", 0.75),  # one may be an accident, however sure it is
        ([setting(OPEN, HOLDS), setting(HOLDS, OPEN)], "inconclusive", np.nan),
        ([BOTH], "inconclusive", 1),
        ([], "inconclusive", np.nan),
    ],
)
def test_concordance(settings, word, share):
    verdict = concordance(settings)
    assert verdict.word == word
    assert verdict.estimate == pytest.approx(share, nan_ok=True)
    assert np.isnan(verdict.p) == (word == "inconclusive")


def test_of_the_settings_against_a_concordance_one_must_be_beyond_the_level_of_all():
    """Decided at 95 %, and not at 1 - 0.05 / 8: two such settings among eight leave the question open."""
    weak = setting(around(-0.1, 0.12), HOLDS)
    assert weak[0](0.95).word == "contradicted"
    assert weak[0](1 - 0.05 / 8).word == "inconclusive"
    others = [BOTH] * 3 + [NEITHER] * 3
    assert concordance([weak, X_ONLY, *others]).word == "contradicted"
    assert concordance([weak, weak, *others]).word == "inconclusive"


def test_the_p_of_a_concordance():
    """Refuting: the surest setting's, times the settings; a pair is as sure as the less sure of its two decisions.
    Supporting: all settings must be right, so the largest."""
    less_sure = around(-0.3, 0.2)
    x, y = setting(less_sure, HOLDS)
    verdict = concordance([(x, y), (x, y), BOTH, BOTH])
    assert (verdict.word, verdict.p) == ("contradicted", pytest.approx(4 * x(0.95).p))
    assert x(0.95).p > y(0.95).p
    surer = setting(around(-0.3, 0.15), HOLDS)
    assert concordance([(x, y), surer, BOTH, BOTH]).p == pytest.approx(4 * surer[0](0.95).p)
    agreeing = setting(around(0.3, 0.2), HOLDS)
    assert concordance([agreeing, BOTH, NEITHER, NEITHER]).p == agreeing[0](0.95).p


def test_a_concordance_that_is_true_in_eight_settings_is_hardly_ever_contradicted():
    """The hardest true world: everything matches and everything is stable, by next to nothing. Each setting by itself
    is called unstable in 2.5 % of experiments, so one of eight in 18 %; the whole must err in less than 5 %."""
    generator, words, loose = np.random.default_rng(5), [], []
    for _ in range(400):
        draws = generator.normal(0, 1, (8, 10))
        verdict = concordance([setting(x, np.zeros(10)) for x in draws])
        words.append(verdict.word)
        assert verdict.decided == (verdict.p == verdict.p)
        loose.append(any(verdicts.Sample.of(x).interval()[1] < 0 for x in draws))
    assert np.mean(loose) > 0.1
    assert words.count("contradicted") / len(words) < 0.05
