"""The verdict rules on hand-made differences, and their error rates where the truth is known."""

import numpy as np
import pytest
from handmade import around
from scipy import stats
from tickets.errors import BadInput
from tickets.evidence import several, verdicts
from tickets.evidence.verdicts import REFUTING, Sample, Verdict, effect, match, value


def test_interval_and_p_are_those_of_scipy():
    d = np.random.default_rng(0).normal(0.3, 1, 8)
    verdict = effect(d, least=0.1)
    theirs = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (verdict.low, verdict.high) == pytest.approx((theirs.low, theirs.high))
    sample = verdicts.Sample.of(d)
    assert sample.p_above(0) == pytest.approx(stats.ttest_1samp(d, 0, alternative="greater").pvalue)
    assert sample.p_below(0.2) == pytest.approx(stats.ttest_1samp(d, 0.2, alternative="less").pvalue)


@pytest.mark.parametrize(
    ("mean", "spread", "word", "note"),
    [
        (-0.3, 0.1, "contradicted", ""),
        (0.3, 0.1, "reproduced", ""),
        (0.12, 0.1, "partly", "smaller"),
        (0.9, 0.1, "partly", "larger"),
        (0.0, 0.1, "not reproduced", ""),
        (0.1, 0.5, "inconclusive", ""),
    ],
)
def test_effect(mean, spread, word, note):
    verdict = effect(around(mean, spread), least=0.15, most=0.6)
    assert (verdict.word, verdict.note) == (word, note)
    assert np.isnan(verdict.p) == (word == "inconclusive")
    assert word == "inconclusive" or verdict.p < 0.025


@pytest.mark.parametrize(
    ("mean", "spread", "two_sided", "word"),
    [
        (-0.5, 0.1, False, "contradicted"),
        (0.5, 0.1, True, "contradicted"),
        (0.5, 0.1, False, "reproduced"),
        (0.0, 0.1, True, "reproduced"),
        (-0.17, 0.1, False, "inconclusive"),
        (0.17, 0.1, True, "inconclusive"),
        (-0.12, 0.1, False, "inconclusive"),
        (0.12, 0.1, True, "inconclusive"),
        (0.0, 0.5, False, "inconclusive"),
    ],
)
def test_match(mean, spread, two_sided, word):
    assert match(around(mean, spread), margin=0.15, two_sided=two_sided).word == word


@pytest.mark.parametrize("two_sided", [False, True])
def test_a_match_is_refuted_only_by_an_interval_that_is_wholly_beyond_the_margin(two_sided):
    """Whatever the mean says: it may lie beyond the margin, and significantly off 0, and still leave equality open."""
    refuted = beyond = 0
    for d in np.random.default_rng(3).normal(-1.2, 1, (400, 10)):
        verdict = match(d, margin=1, two_sided=two_sided)
        outside = verdict.high < -1 or (two_sided and verdict.low > 1)
        assert (verdict.word in REFUTING) == outside
        refuted += outside
        beyond += verdict.estimate <= -1 and verdict.high < 0
    assert 0 < refuted < beyond / 2


@pytest.mark.parametrize(
    ("mean", "word", "note"),
    [
        (98.1, "reproduced", ""),
        (97.0, "not reproduced", "lower"),
        (99.5, "not reproduced", "higher"),
        (98.5, "inconclusive", ""),
    ],
)
def test_value(mean, word, note):
    verdict = value(around(mean, 0.2), theirs=98, margin=0.5)
    assert (verdict.word, verdict.note) == (word, note)


def test_rows_are_tried_in_order():
    """Far below the margin both rows of refutation apply; contradicted comes first."""
    assert match(around(-0.5), margin=0.15).word == "contradicted"
    assert effect(around(-0.5), least=0.1).word == "contradicted"


@pytest.mark.parametrize("n", [0, 1, 2, 4])
def test_few_replicates_never_decide(n):
    for verdict in (effect(around(5, n=n), 0.1), match(around(0, 0, n=n), 0.1), value(around(5, n=n), 5, 1)):
        assert (verdict.word, verdict.n, verdict.note) == ("inconclusive", n, f"n = {n} of 5")
        assert np.isfinite(verdict.low) == (n > 1)


def test_least_n_of_a_claim():
    assert effect(around(1, n=9), 0.1, least_n=10).word == "inconclusive"
    assert effect(around(1, n=10), 0.1, least_n=10).word == "reproduced"


def test_equal_replicates_have_an_interval_of_no_width():
    assert value(np.full(10, 100.0), 100, 0.05).p == 0
    assert effect(np.zeros(10), least=0.1).word == "not reproduced"


def test_a_p_of_two_replicates_and_of_equal_ones():
    two = verdicts.Sample.of([1.0, 2.0])
    assert two.p_above(0) == pytest.approx(stats.ttest_1samp([1, 2], 0, alternative="greater").pvalue)
    assert np.isnan(verdicts.Sample.of([1.0]).p_above(0))
    equal = verdicts.Sample.of([1.0, 1.0, 1.0])
    assert [equal.p_above(null) for null in (0, 1, 2)] == [0, 1, 1]


def test_differences_must_be_finite():
    with pytest.raises(BadInput, match="finite"):
        effect([0.1, np.nan, 0.2], 0.1)


# regions

CUTS = [("low", -1.0), ("middle", 1.0), ("high", np.inf)]


@pytest.mark.parametrize(
    ("mean", "word", "note", "nulls"),
    [
        (-2.0, "reproduced", "low", {-1.0}),
        (0.0, "reproduced", "middle", {-1.0, 1.0}),
        (2.0, "reproduced", "high", {1.0}),
        (1.0, "partly", "low", {-1.0}),
        (-1.0, "partly", "high", {1.0}),
    ],
)
def test_regions_name_what_holds_the_interval_or_what_lies_outside_it(mean, word, note, nulls):
    """Five values around the mean, half-width 0.31 (t = 2.776, error 0.112)."""
    found = verdicts.regions(mean + np.array([-0.3, -0.2, 0, 0.2, 0.3]), CUTS)
    assert (found.word, found.note) == (word, note)
    assert {null for _, null in found.nulls} == nulls
    assert found.high - found.low == pytest.approx(2 * 2.776 * np.sqrt(0.065 / 5), rel=1e-3)


def test_the_p_of_regions_is_that_of_the_exclusion_that_is_least_sure():
    s = Sample.of([0.3, 0.4, 0.5, 0.6, 0.7])
    assert verdicts.regions(s.values, CUTS).p == pytest.approx(s.p_below(1.0))
    assert s.p_below(1.0) > s.p_above(-1.0)
    assert verdicts.regions([-0.1, 0.1, 0, 0.05, -0.05], [("all", 5.0), ("none", np.inf)]).word == "reproduced"


def test_a_wide_interval_leaves_regions_open_and_too_few_replicates_never_decide():
    assert verdicts.regions([-3, 3, -2, 2, 0.5], CUTS).word == "inconclusive"
    few = verdicts.regions([0.0, 0.1, -0.1], CUTS)
    assert (few.word, few.note) == ("inconclusive", "n = 3 of 5")


def test_a_question_of_several_parts_says_what_all_of_them_say():
    of = lambda mean: verdicts.regions(mean + np.array([-0.3, -0.2, 0, 0.2, 0.3]), CUTS)  # noqa: E731
    joint = lambda *means: several.joint({str(m): of(m) for m in means}, CUTS)  # noqa: E731
    assert (joint(-2, -3).word, joint(-2, -3).note) == ("reproduced", "low")
    assert joint(-2, -3).p == max(of(-2).p, of(-3).p)
    assert (joint(-2, 2).word, joint(-2, 2).note) == ("partly", "middle")
    assert (joint(-2, -1).word, joint(-2, -1).note) == ("partly", "high")
    assert (joint(-2, 0, 2).word, joint(-2, 0, 2).note) == ("inconclusive", "its parts differ")
    open_one = several.joint({"a": of(0), "b": Verdict("inconclusive", n=5)}, CUTS)
    assert (open_one.word, open_one.note) == ("inconclusive", "b")


# several claims


def test_compound_needs_all_parts():
    good, weak = Verdict("reproduced", n=10, p=0.01), Verdict("partly", n=5, p=0.02, note="smaller")
    whole = several.compound({"a": good, "b": good})
    assert (whole.word, whole.n, whole.p, whole.note) == ("reproduced", 10, 0.01, "")
    whole = several.compound({"a": good, "b": weak})
    assert (whole.word, whole.n, whole.p, whole.note) == ("partly", 5, 0.02, "b smaller")
    assert several.compound({"a": good, "b": Verdict("inconclusive")}).word == "inconclusive"
    assert several.compound({"a": Verdict("not run"), "b": Verdict("inconclusive")}).word == "not run"
    refuted = several.compound({"a": good, "b": Verdict("not reproduced", n=5, p=0.004), "c": Verdict("not run")})
    assert (refuted.word, refuted.p) == ("not reproduced", pytest.approx(0.012))
    both = [Verdict("contradicted", n=5, p=p) for p in (0.02, 0.004)]
    assert several.compound(dict(zip("ab", both, strict=True))).p == pytest.approx(0.008)  # the surer refutes
    assert several.compound({name: Verdict("contradicted", n=5, p=0.02) for name in range(60)}).p == 1


def test_a_compound_takes_n_from_the_part_that_decides():
    """A part that was not run takes nothing from a refutation, which so keeps its place in the correction for many."""
    refuted = several.compound({"a": Verdict("contradicted", n=10, p=0.004), "b": Verdict("not run")})
    assert (refuted.word, refuted.n, refuted.p) == ("contradicted", 10, pytest.approx(0.008))
    assert several.compound({"a": Verdict("reproduced", n=10, p=0.01), "b": Verdict("not run")}).n == 0
    assert several.compound({"a": Verdict("reproduced", n=10, p=0.01), "b": Verdict("partly", n=5, p=0.01)}).n == 5
    assert several.compound({"a": Verdict("inconclusive", n=4), "b": Verdict("reproduced", n=10, p=0.01)}).n == 4


def test_the_best_of_several_has_a_level_and_a_p_that_count_them():
    levels, one = [], Verdict("reproduced", 0.3, 0.1, 0.5, 10, 0.01)
    of = lambda verdict, tried: several.of_many(lambda level: levels.append(level) or (lambda _: verdict), [], tried)  # noqa: E731
    assert of(one, 3).p == pytest.approx(0.03)
    assert of(one, 200).p == 1
    assert of(one, 1) == one
    assert np.isnan(of(Verdict("inconclusive"), 3).p)
    assert levels == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 200, 0.95, 1 - 0.05 / 3])


def test_q_is_benjamini_and_hochberg_s():
    q = lambda values: several.q_values([Verdict("reproduced", p=p) for p in values])  # noqa: E731
    assert q([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04] * 4)
    p = np.random.default_rng(0).uniform(size=20)
    assert q(p) == pytest.approx(stats.false_discovery_control(p))
    assert q([0.01, np.nan]) == pytest.approx([0.02, np.nan], nan_ok=True)
    assert q([]).size == 0


def test_families_apart():
    """Every claim that ran counts in both families, whatever it says."""
    words = [("reproduced", 0.01), ("partly", 0.04), ("contradicted", 0.01), ("inconclusive", np.nan)]
    q = several.q_values([Verdict(word, p=p) for word, p in words])
    assert q == pytest.approx([0.04, 0.08, 0.04, np.nan], nan_ok=True)


def test_sign_flip_is_exact():
    assert verdicts.sign_flip([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 64)
    assert verdicts.sign_flip([1, 1, 1, -1, 1, 1]) == pytest.approx(14 / 64)
    assert verdicts.sign_flip([2, 3, 4], null=3) == 1


def test_fragile():
    """A t-interval that excludes 0 although flipping the one replicate of six that says otherwise does not."""
    skewed = effect([0.1, 0.1, 0.1, 0.1, 0.1, -0.02], least=0.01)
    assert skewed.word == "reproduced"
    assert verdicts.fragile(skewed)
    assert not verdicts.fragile(effect(around(0.5), least=0.1))
    assert not verdicts.fragile(effect([1, 1.1, 0.9, 1, 1.2], least=0.1))  # five flips cannot reach 5 %


# error rates


def rates(judge, truth, n=10, runs=1500, seed=0):
    """Share of each word among simulated experiments with unit spread."""
    draws = np.random.default_rng(seed).normal(truth, 1, (runs, n))
    words = [judge(d).word for d in draws]
    return {word: words.count(word) / runs for word in verdicts.WORDS}


NOMINAL = pytest.approx(0.025, abs=0.012)


def test_effect_errs_at_the_nominal_rate():
    """No difference: it is found, in either direction, in 2.5 % of experiments; an effect of the claimed size is
    refuted in 2.5 %."""
    null = rates(lambda d: effect(d, least=0.1), 0)
    assert null["reproduced"] + null["partly"] == NOMINAL
    assert null["contradicted"] == NOMINAL
    real = rates(lambda d: effect(d, least=3), 3)
    assert real["not reproduced"] + real["contradicted"] < 0.03


def test_match_errs_at_the_nominal_rate():
    """An arm that is worse by exactly the margin passes in 2.5 %, and is called worse than the margin in 2.5 %."""
    edge = rates(lambda d: match(d, margin=1), -1)
    assert edge["reproduced"] == NOMINAL
    assert edge["contradicted"] == NOMINAL
    assert rates(lambda d: match(d, margin=2, two_sided=True), 2, seed=1)["reproduced"] == NOMINAL


def test_a_match_inside_its_margin_is_hardly_ever_refuted():
    """At half the margin a rule that looks at the mean would refute one experiment in ten."""
    for two_sided in (False, True):
        half = rates(lambda d, two_sided=two_sided: match(d, margin=0.8, two_sided=two_sided), -0.4)
        assert half["contradicted"] + half["not reproduced"] < 0.01
