"""Pieces of a chapter's page: what is listed as waiting, as open, and what is left out."""

import re

import pandas as pd
import pytest
from tickets.book import pages, scorecard
from tickets.cells import Cell
from tickets.data.sources import NAMES
from tickets.errors import BadInput
from tickets.figures.style import WORDS
from tickets.nets import models

EMPTY = dict.fromkeys(scorecard.COLUMNS, "")
VERDICTS = {"L1": "reproduced", "L2a": "inconclusive: n = 5 of 10", "L12": "contradicted", "L4a": "not run"}
NS = {"L1": 10, "L2a": 5, "L12": 10, "L4a": 0}


@pytest.fixture
def judged(monkeypatch):
    """A chapter of four claims, one with a part; one is short of replicates, one was not run."""
    numbers = {"ours": 1.0, "low": 0.5, "high": 1.5, "theirs": 2.0, "q": 0.01, "scope": "paper", "profile": "paper"}
    rows = [
        {**EMPTY, **numbers, "claim": claim, "statement": f"What {claim} says", "verdict": verdict}
        | ({} if NS[claim] else dict.fromkeys(("ours", "low", "high"), ""))
        | {"n": NS[claim], "paper": "frankle2019lottery", "needs": "" if NS[claim] == 10 else "time"}
        for claim, verdict in VERDICTS.items()
    ]
    rows.append({**rows[0], "claim": "L1.part", "scope": "part"})
    return page(monkeypatch, paper=rows)


def page(monkeypatch, **rows):
    """What is shown of a chapter at the paper's scale, from rows by profile."""
    found = lambda results, study, profile: pd.DataFrame(rows.get(profile, []))  # noqa: E731
    monkeypatch.setattr(pages.verdicts, "of_study", found)
    return pages.Judged(None, "01_winning_tickets", "paper")


def at_desk(row, **changes):
    """The row of the same claim at the desk."""
    return row | {"claim": f"{row['claim']}-desk", "profile": "desk", "scope": "analog", **changes}


def test_rows_at_the_desk_stand_below_the_paper_s_and_count_nowhere(monkeypatch, judged):
    ran = at_desk(judged.by_claim["L2a"], verdict="reproduced", ours=0.7, low=0.5, high=0.9, needs="")
    waits = at_desk(judged.by_claim["L1"], verdict="not run", n=0, ours="", low="", high="")
    both = page(monkeypatch, paper=judged.rows, desk=[waits, ran])
    text = both.answer(SECTION).data
    assert text.index('id="claim-L2a"') < text.index('id="claim-L2a-desk"')
    assert "<summary>To be run at the desk: L1-desk.</summary>" in text
    assert '<li id="claim-L1-desk">' in text
    assert "At the desk: <em>What L2a says</em>" in text
    assert "0.70 points" not in text  # this chapter's made-up rows have no unit
    assert both.tally().data == judged.tally().data
    assert both.unsettled().data == judged.unsettled().data
    assert both.overview().data.count("<tr>") == 1 + 5


def test_a_claim_that_ran_at_the_desk_alone_is_told_of(monkeypatch, judged):
    one = at_desk(judged.by_claim["L4a"], verdict="contradicted", n=5, ours=0.7, low=0.5, high=0.9)
    text = page(monkeypatch, paper=judged.rows, desk=[one]).answer("is-it-the-mask-or-the-initial-weights").data
    assert "no claim of this question has been run" not in text
    assert "At the desk: <em>What L4a says</em>" in text
    assert "<summary>Not run: L4a. </summary>" in text


@pytest.mark.parametrize("ours", [float("nan"), 0.7])
@pytest.mark.parametrize("verdict", ["inconclusive: n = 1 of 5", "inconclusive: 0 of 2 settings decided", "open"])
def test_a_claim_that_was_begun_at_the_desk_was_run_and_is_not_told_of_yet(monkeypatch, judged, verdict, ours):
    """Whether one replicate has a number, or none yet, as of an onset: the box has no number that the rule lacks."""
    begun = {"n": 1, "needs": "4 more replicates", "low": float("nan"), "high": float("nan")}
    one = at_desk(judged.by_claim["L4a"], verdict=verdict, ours=ours, **begun)
    text = page(monkeypatch, paper=judged.rows, desk=[one]).answer("is-it-the-mask-or-the-initial-weights").data
    assert "Open: what is recorded does not decide it yet." in text
    assert "no claim of this question has been run" not in text


@pytest.mark.parametrize(("word", "sign"), [("contradicted", "⇄"), ("inconclusive", "[?]")])
def test_a_verdict_at_the_desk_is_told_of_where_it_has_no_number(monkeypatch, judged, word, sign):
    """As of an onset that fails at the latest step of its grid; it stands among what did not replicate, too."""
    nan = float("nan")
    one = at_desk(
        judged.by_claim["L4a"], verdict=f"{word}: fails at the start", n=5, needs="", ours=nan, low=nan, high=nan
    )
    reasons = {"L4a-desk": {"of": word, "text": "Because."}, "L4a": {"of": "not run", "text": "Never."}}
    known = {"chapters": {"01_winning_tickets": {**pages.questions.written()["chapters"]["01_winning_tickets"]}}}
    known["chapters"]["01_winning_tickets"]["reasons"] = reasons
    monkeypatch.setattr(pages.questions, "written", lambda: known)
    shown = page(monkeypatch, paper=judged.rows, desk=[one])
    text = shown.answer("is-it-the-mask-or-the-initial-weights").data
    assert re.search(f"At the desk: <em>What L4a says</em> <span[^>]*><span[^>]*>{sign}</span> {word}</span>\\.", text)
    assert re.search("<td>L4a-desk</td>.*<td>Because.</td>", shown.unsettled().data, re.DOTALL)
    assert "Never." not in shown.unsettled().data


def test_claims_short_of_replicates_wait_and_what_did_not_replicate_is_listed(judged):
    text = judged.unsettled().data
    assert f"Waiting for more replicates: L2a (n = {judged.by_claim['L2a']['n']})." in text
    assert all(f"What {claim} says" in text for claim in ("L2a", "L12"))
    assert not any(f"What {claim} says" in text for claim in ("L1", "L4a"))


def test_none_waits_only_if_no_row_says_that_it_does(judged):
    """A claim that is decided may wait too: for replicates that were added, or for its precision."""
    rows = {row["claim"]: row for row in judged.rows}
    rows["L2a"]["needs"] = ""
    assert "Waiting for more replicates: none." in judged.unsettled().data
    rows["L12"]["needs"] = "10 more of the replicates that were added, to n = 20"
    assert "Waiting for more replicates: L12 (n = " in judged.unsettled().data


def test_what_was_begun_at_the_desk_waits(monkeypatch, judged):
    begun = at_desk(judged.by_claim["L4a"], verdict="inconclusive: n = 1 of 5", n=1, needs="4 more replicates")
    part = at_desk(judged.by_claim["L1"], n=1, needs="4 more replicates", scope="part")
    text = page(monkeypatch, paper=judged.rows, desk=[begun, part]).unsettled().data
    assert "L4a-desk (n = 1)." in text
    assert "L1-desk" not in text


SECTION = "do-tickets-learn-as-fast-and-as-well"


def test_a_question_shows_its_claims_once_with_their_parts_and_an_anchor(judged):
    text = judged.answer(SECTION).data
    for claim in ("L1", "L2a", "L1.part"):
        assert text.count(f'id="claim-{claim}"') == 1
    assert "L12" not in text
    assert text.index("</table>") < text.index("L1.part</strong>")


def test_anchors_do_not_depend_on_the_scale(judged):
    for row in judged.rows:
        row |= {"claim": row["claim"] + "-quick", "profile": "quick"}
    judged.by_claim = {scorecard.base(row): row for row in judged.rows}
    text = judged.answer(SECTION).data
    assert 'id="claim-L1.part"' in text
    assert "L1.part-quick" in text


def test_what_was_not_run_is_named_below_its_question_and_can_be_linked_to(judged):
    text = judged.answer("is-it-the-mask-or-the-initial-weights").data
    assert '<li id="claim-L4a"><strong>L4a</strong> What L4a says <small>Needs time.</small></li>' in text
    assert "no claim of this question has been run" in text
    assert "<table" not in text


def test_a_section_that_asks_nothing_is_an_error(judged):
    with pytest.raises(BadInput, match="section"):
        judged.answer("controls")


def test_the_tally_counts_what_counts(judged):
    said = "Of <strong>4</strong> claims at their paper&#39;s scale: <strong>1</strong> reproduced"
    assert said in judged.tally().data


def test_the_overview_has_a_line_on_every_claim_that_ran(judged):
    text = judged.overview().data
    assert text.count("<tr>") == 1 + 4
    assert '<a href="#claim-L1.part">' in text
    assert "L4a" not in text


def test_a_reason_is_given_while_the_verdict_is_the_one_it_was_written_for(monkeypatch, judged):
    reasons = {"L12": {"of": "contradicted", "text": "Because."}, "L2a": {"of": "partly", "text": "Never."}}
    known = {"chapters": {"01_winning_tickets": {"questions": [], "reasons": reasons}}}
    monkeypatch.setattr(pages.questions, "written", lambda: known)
    text = judged.unsettled().data
    assert "Because." in text
    assert "Never." not in text


def test_settings_are_written_out():
    lenet = pages.setting(Cell())
    assert list(lenet) == ["data", "steps", "batch", "optimizer, rate", "pruned per round"]
    assert lenet["steps"] == "50,000"
    assert lenet["optimizer, rate"] == "Adam, 0.0012"
    assert lenet["pruned per round"] == "dense layers 20%, output layer 10%"
    net = Cell(dataset="cifar10", model="vgg-19", optimizer="sgd", learning_rate=0.1, drops=(56, 84_000), warmup=10_000)
    assert pages.setting(net)["optimizer, rate"] == "SGD, 0.1, /10 at 56 and 84,000, 10,000 steps of warmup"
    assert "convolutions 20%" in pages.setting(net)["pruned per round"]
    assert pages.setting(net.but(scope="global"))["pruned per round"] == "20% over all that is pruned, at once"


def test_every_dataset_and_network_has_a_name_to_print():
    assert {*NAMES, *models.FAMILIES} <= set(WORDS)
