"""The tables of claims say what the rows say, and nothing else."""

import pytest
from tickets.book import scorecard
from tickets.book import verdicts as table
from tickets.errors import BadInput
from tickets.evidence import asked, claims, verdicts
from tickets.evidence.asked import parts

ROW = dict.fromkeys(scorecard.COLUMNS, "") | {
    "claim": "L2a",
    "paper": "frankle2019lottery",
    "statement": "Tickets are <better>.",
    "theirs": "0.3",
    "source": "read in the paper",
    "ours": "0.1234",
    "low": "0.05",
    "high": "0.19",
    "n": "10",
    "unit": "points",
    "scope": "paper",
    "verdict": "partly: smaller",
    "q": "0.0123456",
}
NOT_RUN = ROW | {"claim": "L6", "ours": "", "low": "", "high": "", "n": "", "verdict": "not run", "needs": "a GPU"}


def test_words_are_those_of_the_verdict_rules_and_of_findings():
    assert set(scorecard.SIGNS) == {*verdicts.WORDS, *asked.ANSWERS.values()}


def test_row_shows_both_numbers_the_interval_and_the_verdict():
    shown = scorecard.table([ROW])
    for part in (
        "◐",
        "smaller",
        "0.3 points",
        "0.12 points",
        "0.05 to 0.19",
        "q\u00a0=\u00a00.012",
        "Frankle &amp; Carbin 2019",
    ):
        assert part in shown
    assert "&lt;better&gt;" in shown


def test_a_step_is_printed_whole():
    onset = {"claim": "M1", "theirs": "2000", "ours": "4000", "low": "", "high": "", "unit": table.UNITS["step"]}
    shown = scorecard.table([ROW | onset])
    assert '<td data-label="Ours">4,000 <small>' in shown
    assert '<td data-label="Paper">2,000 <small>' in shown


def test_claim_without_results_says_what_it_needs():
    shown = scorecard.table([NOT_RUN])
    assert "a GPU" in shown
    assert "<svg" not in shown


def test_page_of_claims_none_of_which_ran():
    shown = scorecard.page([NOT_RUN])
    assert "<strong>1</strong> not run" in shown
    assert "reproduced" not in shown


def test_parts_readings_and_analogs_are_beside_the_count():
    others = [ROW | {"claim": f"L2a-{scope}", "scope": scope} for scope in ("part", "reading", "analog")]
    counted, beside = scorecard.page([ROW, *others]).split("<details")
    assert "Of <strong>1</strong> claims" in counted
    assert 'id="claim-L2a"' in counted
    assert all(row["claim"] in beside for row in others)


def test_a_finding_is_beside_the_count_and_has_no_paper():
    """A question of our own is answered; of reproduction nothing is said."""
    finding = ROW | {"claim": "Q1", "paper": "", "scope": "finding", "theirs": "", "source": table.OWN}
    for answer, sign in (("yes", "✓"), ("no", "✗"), ("open: n = 4 of 5", "?")):
        counted, beside = scorecard.page([ROW, finding | {"verdict": answer}]).split("<details")
        assert "Of <strong>1</strong> claims" in counted
        assert f'aria-hidden="true">{sign}</span> {answer.split(":")[0]}</span>' in beside
        assert "<small>finding</small>" in beside
        assert not any(word in beside for word in (*verdicts.WORDS, "Frankle"))


def test_every_paper_has_a_label_of_its_own():
    papers = {entry["paper"] for entry in claims.load().values()}
    labels = {scorecard.citation(paper) for paper in papers}
    assert {"Frankle & Carbin 2019", "Frankle et al. 2019", "Frankle et al. 2020", "Morcos et al. 2019"} <= labels
    assert len(labels) == len(papers)


def test_units_are_plain_english():
    """As rows print them: no abbreviation, and a step is a number."""
    units = {table.UNITS.get(part["unit"], part["unit"]) for e in claims.load().values() for part in parts(e)}
    assert {"points", "% earlier", "times as fast", "times as rare", ""} <= units
    assert not {"pp", "step", "times faster"} & units


def test_unconfirmed_number_is_not_printed_as_the_papers():
    shown = scorecard.table([ROW | {"source": "second-hand"}])
    assert "not confirmed (second-hand)" in shown
    assert "0.3 points" not in shown
    assert 'class="paper"' not in shown


def test_order_is_by_verdict_then_as_listed():
    rows = [NOT_RUN, ROW, NOT_RUN | {"claim": "L7"}, ROW | {"claim": "L1", "verdict": "reproduced"}]
    assert [row["claim"] for row in scorecard.ordered(rows)] == ["L1", "L2a", "L6", "L7"]


def test_links_lead_into_the_chapter():
    assert '<a href="notebooks/01.html">L2a</a>' in scorecard.table([ROW], {"L2a": "notebooks/01.html"})


@pytest.mark.parametrize(
    ("width", "places"), [(0.14, 2), (1.4, 1), (14, 0), (140, 0), (0.0, None), (float("nan"), None)]
)
def test_decimals_show_two_digits_of_an_interval(width, places):
    assert scorecard.decimals(width) == places


def test_unknown_verdict_and_missing_column_are_named(tmp_path):
    with pytest.raises(BadInput, match="unknown verdict 'maybe'"):
        scorecard.verdict(ROW | {"verdict": "maybe"})
    (tmp_path / "claims.csv").write_text("claim,paper\nL1,frankle2019lottery\n")
    with pytest.raises(BadInput, match="no column statement"):
        scorecard.read(tmp_path / "claims.csv")


@pytest.mark.parametrize(("q", "shown"), [(0, "< 0.001"), (3e-8, "< 0.001"), (0.00066, "= 0.001"), (0.2, "= 0.200")])
def test_a_small_rate_is_said_to_be_small(q, shown):
    """From a file of rounded numbers and from the records alike: a reader sees one text."""
    assert scorecard.rate(q).replace("\u00a0", " ") == f"q {shown}"
    assert scorecard.rate(round(q, 3)).replace("\u00a0", " ") == f"q {shown}"
