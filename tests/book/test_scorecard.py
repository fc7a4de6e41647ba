"""The tables of claims say what the rows say, and nothing else."""

import re

import pytest
from markupsafe import escape
from tickets.book import questions, scorecard
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
    "profile": "paper",
}
NOT_RUN = ROW | {"claim": "L6", "ours": "", "low": "", "high": "", "n": "", "verdict": "not run", "needs": "a GPU"}


def table_of(*rows):
    return scorecard.html("table", list(rows), {}, False)


def test_words_are_those_of_the_verdict_rules_and_of_findings():
    assert set(scorecard.SIGNS) == {*verdicts.WORDS, *asked.ANSWERS.values(), *asked.REGIONS.values()}


def test_row_shows_both_numbers_the_interval_and_the_verdict():
    shown = table_of(ROW)
    for part in (
        "◐",
        "smaller",
        "0.3 points",
        "0.12 points",
        "0.05 to 0.19",
        '">q</abbr>&nbsp;=\u00a00.012',
        "Frankle &amp; Carbin 2019",
    ):
        assert part in shown
    assert "&lt;better&gt;" in shown


def test_a_step_is_printed_whole():
    onset = {"claim": "M1", "theirs": "2000", "ours": "4000", "low": "", "high": "", "unit": table.unit("step")}
    shown = table_of(ROW | onset)
    assert '<td data-label="Ours">4,000 <small>' in shown
    assert '<td data-label="Paper">2,000 <small>' in shown


def test_claim_without_results_is_only_named():
    shown = table_of(NOT_RUN)
    assert f"<li><strong>L6</strong> {escape(NOT_RUN['statement'])} <small>Needs a GPU.</small></li>" in shown
    assert "open-claims.html" in shown
    assert "<svg" not in shown


QUESTION = questions.Question("01_winning_tickets", "asked", "Asked?", ("L2a", "L6-conv2", "C8"))


def page_of(*rows):
    """The scorecard of one question."""
    scales = questions.groups(list(rows), dict.fromkeys(questions.written()["chapters"], "1. A chapter"))
    return scorecard.html("page", list(rows), [one for one in scales if one[2]], questions.about())


def test_page_of_claims_none_of_which_ran():
    shown = page_of(NOT_RUN | {"claim": "L6-conv2"})
    assert "<strong>1</strong> not run" in shown
    assert "reproduced</span>" not in shown


def test_scales_of_a_claim_stand_side_by_side():
    quick = ROW | {"claim": "L2a-quick", "profile": "quick", "scope": "analog", "verdict": "reproduced", "ours": "0.5"}
    shown = page_of(ROW, quick)
    assert "Of <strong>1</strong> claims at their paper&#39;s scale: <strong>1</strong> partly" in shown
    (row,) = re.findall(r'<tr id="claim-L2a".*?</tr>', shown, re.DOTALL)
    assert 'data-label="At the paper\'s scale">0.12 points' in row
    assert re.search(r'data-label="Smaller">.*reproduced.*<small>quick</small> 0.50 points', row, re.DOTALL)
    assert 'data-network="LeNet"' in row
    assert 'href="notebooks/01_winning_tickets.html#claim-L2a"' in row
    assert "Smaller" not in page_of(ROW)


DESK = {"claim": "L6-conv2-desk", "profile": "desk", "scope": "analog"}


def test_what_ran_at_the_desk_alone_stands_beside_a_claim_that_was_not_run():
    shown = page_of(NOT_RUN | {"claim": "L6-conv2"}, ROW | DESK)
    assert "Of <strong>1</strong> claims at their paper&#39;s scale: <strong>1</strong> not run" in shown
    (row,) = re.findall(r'<tr id="claim-L6-conv2".*?</tr>', shown, re.DOTALL)
    assert 'data-label="At the paper\'s scale"><small>not run</small>' in row
    assert re.search(r'data-label="Smaller">.*<small>desk</small> 0.12 points', row, re.DOTALL)
    assert "To be run" not in shown


def test_what_waits_at_the_desk_is_only_named():
    waits = NOT_RUN | DESK
    shown = page_of(NOT_RUN | {"claim": "L6-conv2"}, waits)
    assert "<table" not in shown
    assert "<summary>Not run: L6-conv2. To be run at the desk: L6-conv2-desk.</summary>" in shown
    assert shown.count(f"{escape(NOT_RUN['statement'])} <small>Needs a GPU.</small>") == 2
    shown = page_of(ROW, waits | {"claim": "L2a-desk"})
    assert "Smaller" not in shown
    assert "<summary>To be run at the desk: L2a-desk.</summary>" in shown


@pytest.mark.parametrize("scope", ["reading", "analog reading"])
def test_second_readings_are_folded_below_their_question(scope):
    shown = page_of(ROW, ROW | {"claim": "C8", "scope": scope})
    first, folded = shown.split("<details")
    assert 'id="claim-L2a"' in first
    assert 'id="claim-C8"' in folded
    assert "Second readings, not counted: C8" in folded


def test_an_analog_is_called_one():
    """On the scorecard and in its chapter."""
    row = ROW | {"scope": "analog"}
    assert "· analog</small>" in page_of(row)
    assert "· analog</small>" in table_of(row)
    assert "analog" not in page_of(ROW)


def test_a_row_says_how_it_is_judged():
    """The estimand, and the numbers of the rule; a second-hand number is not given as the paper's."""
    entries = claims.load()
    for name, said in (
        ("L2a", "Of the claimed size means from 0.15 to 0.6 points. It takes 10 replicates."),
        ("L1", "Of the claimed size means from 21.3 to 61.6 % earlier."),  # of the logarithm
        ("L5a", "What is asked for is at least 1.05 times as fast at each density."),
        ("L5b", "What is asked for is at least 0.05 points at each density."),
        ("L4e", "Equal means no more than 0.15 points behind, at each density."),
        ("E2-own", "Right means within 0.3 points of the number in the claim."),
        ("P1-missed", "mean over replicates. It takes"),  # its parts have margins of their own
        ("L2b", "Equal means within 0.15 points."),
        ("Z5", "Right means within 1 points of the number in the claim."),
        ("L4a", "What is asked for is at least 0.1 points."),
    ):
        row = ROW | {"claim": name, "source": entries[name]["source"], "unit": table.unit(entries[name]["unit"])}
        shown = scorecard.html("table", [row], questions.about(), True)
        assert said in shown
        assert str(escape(" ".join(entries[name]["estimand"].split()[:5]))) in shown
    for name, said in (("H1-lenet", "As H1. (H1: "), ("Z5-200-rescaled", "(Z5: ")):  # of other claims: these too
        shown = scorecard.html("table", [ROW | {"claim": name}], questions.about(), True)
        assert said in shown
        assert str(escape(entries[said.split("(")[1].removesuffix(": ")]["estimand"])) in shown
    smaller = ROW | {"claim": "L7b-conv4-desk", "profile": "desk"}  # as it is there, at a rung of its own
    assert "ticket at rung 26" in scorecard.html("table", [smaller], questions.about(), True)
    part = ROW | {"claim": "Z4.value", "scope": "part"}
    assert "judged" not in scorecard.html("table", [part], questions.about(), True)


def test_an_analog_alone_is_not_the_paper_s_scale():
    quick = ROW | {"claim": "L2a-quick", "profile": "quick", "scope": "analog"}
    shown = page_of(quick)
    assert "at their paper&#39;s scale: " not in shown
    assert 'data-label="At the paper\'s scale"><small>not run</small>' in shown


def test_a_finding_is_beside_the_count_and_has_no_paper():
    """A question of our own is answered; of reproduction nothing is said."""
    finding = ROW | {"claim": "C8", "paper": "", "scope": "finding", "theirs": "", "source": table.OWN}
    for answer, sign in (("yes", "✓"), ("no", "✗"), ("open: n = 4 of 5", "?")):
        shown = page_of(ROW, finding | {"verdict": answer})
        assert "Of <strong>1</strong> claims" in shown
        (row,) = re.findall(r'<tr id="claim-C8".*?</tr>', shown, re.DOTALL)
        assert f'aria-hidden="true">{sign}</span> {answer.split(":")[0]}</span>' in row
        assert "finding</small>" in row
        assert not any(word in row.split("<td>")[1].split("</div>")[0] for word in (*verdicts.WORDS, "Frankle"))


def test_terms_are_explained_where_they_stand():
    shown = table_of(ROW | {"verdict": "reproduced (17 of 44 steps censored; post hoc)"})
    for term in ("censored", "post hoc"):
        assert f'<abbr title="{scorecard.TERMS[term]}">{term}</abbr>' in shown


def test_long_remarks_are_folded_where_there_is_a_place_for_them():
    """The row says that there is something, what is folded says what; where nothing is folded the row says it all."""
    long = "post hoc: the 10 registered replicates alone say partly, 0.3 [0.1, 0.5]"
    said = f"partly: smaller (chosen: 3, of 8; L2a.x fragile (A/A): with its second order no; {long}; L2a.x {long})"
    row = ROW | {"verdict": said}
    assert scorecard.added(row, True) == "smaller (chosen: 3, of 8; fragile; post hoc)"
    assert scorecard.added(row, False) == said.removeprefix("partly: ")
    assert scorecard.added(ROW, True) == scorecard.added(ROW, False) == "smaller"
    shown, folded = scorecard.html("table", [row], questions.about(), True).split("<summary>How it is judged")
    assert "alone" not in shown
    assert "smaller (chosen: 3, of 8;" in shown
    assert f"In full: {said}." in folded
    assert "In full" not in scorecard.html("table", [ROW], questions.about(), True)
    assert long.removeprefix("post hoc") in table_of(row)
    assert "alone" not in page_of(row)


def test_a_sketch_has_one_scale_a_unit():
    """The same number is at the same place in every row; order is kept, and what is beyond the scale stays in sight."""
    wide = scorecard.sketch(ROW | {"low": "-20", "high": "20"})
    narrow = scorecard.sketch(ROW)
    assert wide["ours"] == narrow["ours"]
    assert wide["null"] == narrow["null"] == "60.0"
    assert float(narrow["null"]) < float(narrow["low"]) < float(narrow["ours"]) < float(narrow["high"])
    assert scorecard.sketch(ROW | {"high": "9000"})["high"] == "116.0"
    faster = scorecard.sketch(ROW | {"unit": "times as fast", "theirs": "2.5", "low": "0.5", "high": "2", "ours": "1"})
    assert faster["ours"] == faster["null"]
    assert float(faster["null"]) - float(faster["low"]) == pytest.approx(
        float(faster["high"]) - float(faster["null"]), abs=0.2
    )


def test_a_sketch_shades_where_a_mean_reproduces_the_claim():
    about = questions.about()
    assert about["L2a"]["accepted"] == pytest.approx((0.15, 0.6))  # an effect of 0.3: half of it to double
    assert about["L2b"]["accepted"] == (-0.15, 0.15)
    assert about["M1-lenet"]["accepted"][1] == 2  # stable below 2
    assert about["L4e"]["accepted"] is None
    at = scorecard.sketch(ROW, (0.15, 0.6))
    assert float(at["least"]) < float(at["paper"]) < float(at["least"]) + float(at["width"])


def test_every_paper_has_a_label_of_its_own():
    papers = {entry["paper"] for entry in claims.load().values()}
    labels = {scorecard.citation(paper) for paper in papers}
    assert {"Frankle & Carbin 2019", "Frankle et al. 2019", "Frankle et al. 2020", "Morcos et al. 2019"} <= labels
    assert len(labels) == len(papers)


def test_units_are_plain_english():
    """As rows print them: no abbreviation, and a step is a number."""
    units = {table.unit(part["unit"]) for e in claims.load().values() for part in parts(e)}
    assert {"points", "% earlier", "times as fast", "times as rare", ""} <= units
    assert not {"step", "times faster"} & units
    assert not [unit for unit in units if re.search(r"\bpp\b", unit)]


def test_unconfirmed_number_is_not_printed_as_the_papers():
    shown = table_of(ROW | {"source": "second-hand"})
    assert "not confirmed (second-hand)" in shown
    assert "0.3 points" not in shown
    assert 'circle class="paper"' not in shown


@pytest.mark.parametrize("nothing", ["", float("nan")])
def test_a_claim_that_nothing_decides_yet_shows_no_number(nothing):
    """As M2 while none of its settings is decided: replicates are there, a share is not."""
    shown = table_of(ROW | {"ours": nothing, "low": nothing, "high": nothing, "verdict": "inconclusive: 0 of 8"})
    assert "no number of its own" in shown
    assert "no number yet" in table_of(ROW | {"ours": nothing, "n": "0", "verdict": "inconclusive"})
    assert "nan" not in shown
    brief = scorecard.html("brief", [ROW | {"ours": nothing, "low": nothing, "high": nothing}])
    assert "L2a" in brief
    assert "nan" not in brief


def test_what_an_own_question_asks_for_is_no_paper_s_number():
    shown = table_of(ROW | {"paper": "", "scope": "finding", "source": table.OWN})
    assert "not confirmed" not in shown
    assert "0.3 points <small>as asked</small>" in shown


@pytest.mark.parametrize(
    ("width", "shown"), [(0.14, "0.17"), (1.4, "0.2"), (14, "0"), (140, "0"), (0.0, "0.167"), (float("nan"), "0.167")]
)
def test_a_number_has_the_decimals_that_show_two_digits_of_its_interval(width, shown):
    assert scorecard.mean(ROW | {"ours": "0.16667", "low": "0", "high": str(width)}) == shown
    assert scorecard.mean(ROW | {"ours": 1 / 6, "low": 0.0, "high": width}) == shown


def test_unknown_verdict_and_missing_column_are_named(tmp_path):
    with pytest.raises(BadInput, match="unknown verdict 'maybe'"):
        scorecard.verdict(ROW | {"verdict": "maybe"})
    (tmp_path / "claims.csv").write_text("claim,paper\nL1,frankle2019lottery\n")
    with pytest.raises(BadInput, match="no column statement"):
        scorecard.read(tmp_path / "claims.csv")


@pytest.mark.parametrize(("q", "shown"), [(0, "< 0.001"), (3e-8, "< 0.001"), (0.00066, "= 0.001"), (0.2, "= 0.200")])
def test_a_small_rate_is_said_to_be_small(q, shown):
    """From a file of rounded numbers and from the records alike: a reader sees one text."""
    assert scorecard.rate(q).replace("\u00a0", " ") == shown
    assert scorecard.rate(round(q, 3)).replace("\u00a0", " ") == shown
