"""The front page: its sentences hold, its numbers are those of the scorecard, its cards those of the chapters."""

import re

import front
import generated
import pytest
import yaml
from tickets import chapters
from tickets.evidence import registration
from tickets.files import BOOK, ROOT

ROWS = generated.by_claim(BOOK / "results/claims.csv")
WRITTEN = yaml.safe_load((BOOK / "findings.yml").read_text("utf-8"))
ENTRIES = WRITTEN["findings"]


def test_every_sentence_still_has_the_verdicts_that_it_was_written_for():
    assert [entry["claims"] for entry in ENTRIES if not front.stands(entry, ROWS)] == []
    assert 5 <= len(ENTRIES) <= 7


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: ", ".join(entry["claims"]))
def test_a_sentence_goes_when_a_verdict_changes(entry):
    for name in entry["claims"]:
        changed = {**ROWS, name: {**ROWS[name], "verdict": "inconclusive"}}
        assert not front.stands(entry, changed)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: ", ".join(entry["claims"]))
def test_a_sentence_goes_when_a_claim_becomes_fragile_or_is_no_longer(entry):
    name = next(iter(entry["claims"]))
    turned = {**ROWS, name: {**ROWS[name], "verdict": ROWS[name]["verdict"] + " (fragile (A/A): otherwise, 1)"}}
    assert not front.stands(entry, turned)
    assert front.stands({**entry, "text": "A fragile one."}, turned)
    assert not front.stands({**entry, "text": "A fragile one."}, ROWS)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: ", ".join(entry["claims"]))
def test_its_numbers_are_computed(entry):
    """A number is a slot, but for the densities and thresholds that say what was compared."""
    text = front.SLOT.sub("", entry["text"])
    typed = re.findall(r"\d[\d.]*", text)
    assert len(typed) <= 1 or all(number.endswith("%") or f"{number} %" in text for number in typed), typed
    shown = front.filled_in(entry["text"], ROWS)
    assert "{" not in shown
    assert "nan" not in shown
    assert {slot[0] for slot in front.SLOT.findall(entry["text"])} <= set(ROWS)


def test_a_slot_prints_the_number_its_interval_and_the_paper_s():
    row = {"ours": "0.397", "low": "0.289", "high": "0.505", "theirs": "0.3"}
    text = "{X} [{X!i}], the paper {X!p}"
    assert front.filled_in(text, {"X": row}) == "0.40 [0.29 to 0.51], the paper 0.3"


def test_every_chapter_has_a_card_with_its_question_and_the_count_of_its_verdicts():
    text = front.cards(ROOT, ROWS, registration.entries(), WRITTEN["asks"])
    assert set(WRITTEN["asks"]) == set(chapters.STUDIES)
    for number, study in enumerate(chapters.STUDIES, 1):
        assert f"grid-item-card}} {number}. " in text
        assert f":link: notebooks/{study}" in text
        assert WRITTEN["asks"][study] in text
        own = [e for e in registration.entries() if e["study"] == study]
        counted = sum(ROWS[entry["id"]]["scope"] == "paper" for entry in own)
        card = text.split(f":link: notebooks/{study}")[1].split(":::")[0]
        assert sum(map(int, re.findall(r"(\d+) (?=reproduced|partly|not|contradicted|inconclusive)", card))) == counted


def test_the_scope_line_counts_only_what_was_decided():
    said = generated.scope(ROOT)
    assert said.startswith("So far every verdict is on LeNet-300-100 on MNIST, with ")
    assert "ResNet" not in said


def test_the_limitations_name_every_claim_that_is_marked():
    row = {"scope": "paper", "n": "10", "source": "read in the paper"}
    rows = {
        name: {**row, "claim": name, "verdict": verdict, **more}
        for name, verdict, more in [
            ("A", "reproduced (fragile (A/A): with its second order partly, 1; post hoc)", {}),
            ("B", "partly (q > 0.05)", {"source": "second-hand"}),
            ("C", "not run", {"n": "0", "source": "second-hand"}),
            ("D", "reproduced (post hoc)", {"scope": "reading"}),
        ]
    }
    lines = front.doubts(rows).splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["A.", "A.", "B.", "B."]
    assert all(line.startswith("- 1 of 2 ") for line in lines)
