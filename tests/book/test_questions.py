"""Questions and their answers: every claim is asked about once, and a box says what the verdicts say."""

import re
from dataclasses import replace

import nbformat
import pytest
from tickets.book import questions, scorecard
from tickets.evidence import claims
from tickets.files import BOOK, ROOT

ROWS = {name: row for name, row in scorecard.read(BOOK / "results/claims.csv").items() if row["profile"] != "quick"}
ASKED = questions.every()
SENTENCES = [sentence for asked in ASKED for sentence in asked.answer]
NAMED = pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: ", ".join(sentence["claims"]))


def test_every_claim_belongs_to_one_question_of_its_chapter():
    for study in questions.written()["chapters"]:
        asked = [claim for question in questions.of(study).values() for claim in question.claims]
        assert sorted(asked) == sorted(entry["id"] for entry in claims.entries() if entry["study"] == study)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.section)
def test_a_question_is_a_heading_of_its_chapter_with_its_answer_below(asked):
    cells = nbformat.read(ROOT / f"notebooks/{asked.study}.ipynb", 4).cells
    heading = next(i for i, cell in enumerate(cells) if re.search(rf"^##+ {re.escape(asked.ask)}$", cell.source, re.M))
    answers = [i for i, cell in enumerate(cells) if f'judged.answer("{asked.section}")' in cell.source]
    assert len(answers) == 1
    between = [cell.source for cell in cells[heading + 1 : answers[0]] if cell.cell_type == "markdown"]
    assert not any(re.search(r"^## ", source, re.M) for source in between)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.section)
def test_a_box_tells_of_every_decided_claim(asked):
    """In a sentence that was written for its verdict, or in one made from its row; of none twice."""
    sentences, rest = questions.answer(asked, ROWS)
    told = {name for sentence in asked.answer if questions.stands(sentence, ROWS) for name in sentence["claims"]}
    every, rows = questions.about(), questions.counted(asked, ROWS)
    whole = {name: row for name, row in rows.items() if int(row["n"]) >= every[name]["entry"]["n"]}
    decided = {name for name, row in whole.items() if row["ours"] or scorecard.verdict(row)[0] != "open"}
    assert decided == (told & decided) | {row["claim"] for row in rest}
    assert not told & {row["claim"] for row in rest}
    shown = scorecard.html("answered", sentences, rest, list(questions.counted(asked, ROWS).values()))
    for row in rest:
        assert scorecard.verdict(row)[0] in shown
        assert scorecard.mean(row) in shown
    if not decided and not sentences:
        ran = any(row["n"] != "0" for row in questions.counted(asked, ROWS).values())
        assert ("no claim of this question has been run" in shown) != ran


@NAMED
def test_a_sentence_stands_now_and_goes_when_a_verdict_changes(sentence):
    assert questions.stands(sentence, ROWS)
    for name in sentence["claims"]:
        changed = {**ROWS, name: {**ROWS[name], "verdict": "not run"}}
        assert not questions.stands(sentence, changed)


@NAMED
def test_a_sentence_says_fragile_just_if_a_claim_of_it_is(sentence):
    name = next(iter(sentence["claims"]))
    turned = {**ROWS, name: {**ROWS[name], "verdict": ROWS[name]["verdict"] + " (fragile (A/A): otherwise, 1)"}}
    plain = "fragile" not in sentence["text"]
    assert questions.stands(sentence, turned) != plain
    assert questions.stands({**sentence, "text": "A fragile one."}, turned)
    assert questions.stands({**sentence, "text": "A fragile one."}, ROWS) != plain


@NAMED
def test_its_numbers_are_computed(sentence):
    """A number is a slot, but for the densities and thresholds that say what was compared, and those in names."""
    text = re.sub(r"\b[A-Z]\w*-\d+", "", questions.SLOT.sub("", sentence["text"]))
    typed = re.findall(r"\d[\d.]*", text)
    assert len(typed) <= 1 or all(number.endswith("%") or f"{number} %" in text for number in typed), typed
    shown = questions.filled_in(sentence["text"], ROWS)
    assert "{" not in shown
    assert "nan" not in shown
    assert "[]" not in shown
    assert {slot[0] for slot in questions.SLOT.findall(sentence["text"])} <= set(sentence["claims"])


def test_a_sentence_may_tell_of_a_claim_at_the_desk():
    """Which is told of once; on a page without such rows the sentence does not stand."""
    desk = {"claim": "L1-desk", "profile": "desk", "scope": "analog", "verdict": "reproduced", "needs": ""}
    desk |= {"ours": "0.4", "low": "0.29", "high": "0.51"}
    paper = desk | {"claim": "L1", "profile": "paper", "scope": "paper", "verdict": "not run", "ours": ""}
    sentence = {"claims": {"L1-desk": "reproduced"}, "text": "**Yes.** {L1-desk} [{L1-desk!i}]."}
    asked = questions.Question("01_winning_tickets", "here", "Is it?", ("L1",), (sentence,))
    assert questions.answer(asked, {"L1": paper, "L1-desk": desk}) == (["**Yes.** 0.40 [0.29 to 0.51]."], [])
    assert questions.answer(replace(asked, answer=()), {"L1": paper, "L1-desk": desk}) == ([], [desk])
    assert questions.answer(asked, {"L1": paper}) == ([], [])


def test_a_slot_prints_the_number_its_interval_and_the_paper_s():
    row = {"ours": "0.397", "low": "0.289", "high": "0.505", "theirs": "0.3"}
    text = "{X} [{X!i}], the paper {X!p}"
    assert questions.filled_in(text, {"X": row}) == "0.40 [0.29 to 0.51], the paper 0.3"


def test_markup_of_a_sentence_becomes_html_and_nothing_else_does():
    shown = scorecard.html("answered", ["**Yes.** <b> is *less*."], [], [])
    assert "<strong>Yes.</strong> &lt;b&gt; is <em>less</em>." in shown


def test_under_an_answer_stands_how_often_each_verdict_was_given():
    """At the desk only of what ran, without parts and second readings."""
    row = {
        "claim": "X-desk",
        "verdict": "reproduced",
        "profile": "desk",
        "scope": "analog",
        "statement": "So.",
        "ours": "",
    }
    row |= {"needs": "", "low": "", "high": ""}
    others = [{**row, "verdict": "not run"}, {**row, "scope": "part"}, {**row, "scope": "analog reading"}]
    other = {**row, "claim": "X", "profile": "paper", "verdict": "partly: smaller"}
    tally = lambda counted, below: scorecard.html("answered", ["Yes."], [], counted, below).split('"tally">')[1:]  # noqa: E731
    assert tally([], others) == []
    assert [text.split("</p>")[0] for text in tally([], [row, *others])] == ["at the desk: 1 reproduced"]
    assert tally([other], [other, *others])[0].split("</p>")[0] == "1 partly"
    assert tally([other], [other, row])[0].split("</p>")[0] == "1 partly; at the desk: 1 reproduced"


def test_every_reason_is_of_a_claim_that_has_failed_as_it_says():
    """One that is written for another verdict is stale: it would be shown to nobody."""
    for study, chapter in questions.written()["chapters"].items():
        known = chapter.get("reasons", {})
        assert set(questions.reasons(study, ROWS)) == set(known)
        assert all(reason["of"] not in ("reproduced", "not run") for reason in known.values())
