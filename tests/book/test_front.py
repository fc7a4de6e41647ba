"""The front page: its sentences hold, its numbers are those of the scorecard, its cards those of the chapters."""

import re

import front
import generated
from tickets import chapters
from tickets.book import questions, scorecard
from tickets.evidence import claims
from tickets.files import BOOK, ROOT

ROWS = scorecard.read(BOOK / "results/claims.csv")
FRONT = [sentence for asked in questions.every() for sentence in asked.answer if sentence.get("front")]


def test_every_sentence_of_the_front_page_still_has_its_verdicts():
    assert [sentence["claims"] for sentence in FRONT if not questions.stands(sentence, ROWS)] == []
    assert 5 <= len(FRONT) <= 8
    shown = front.findings(ROWS)
    assert shown.count("\n- ") == len(FRONT)
    lead = questions.written()["lead"]
    assert lead
    assert all(questions.stands(sentence, ROWS) and sentence["text"] in shown for sentence in lead)
    assert not questions.stands(lead[0], {**ROWS, "L2a": {**ROWS["L2a"], "verdict": "not run"}})
    assert '<a href="notebooks/01_winning_tickets.html#do-tickets-learn-as-fast-and-as-well">Read on</a>' in shown


def total(counts):
    """All verdicts of a card."""
    return sum(map(int, re.findall(r"(\d+) (?=reproduced|partly|not|contradicted|inconclusive)", counts)))


def test_every_chapter_has_a_card_with_its_question_and_the_count_of_its_verdicts():
    text = front.cards(ROOT, ROWS)
    asks = {study: chapter["asks"] for study, chapter in questions.written()["chapters"].items()}
    assert set(asks) == set(chapters.STUDIES)
    for study in chapters.STUDIES:
        assert f"grid-item-card}} {int(study[:2])}. " in text
        assert f":link: notebooks/{study}" in text
        assert asks[study] in text
        own = [e for e in claims.entries() if e["study"] == study]
        counted = sum(ROWS[entry["id"]]["scope"] in ("paper", "analog") for entry in own)
        card = text.split(f":link: notebooks/{study}")[1].split(":::")[0]
        main, _, desk = card.partition("; at the desk: ")
        assert total(main) == counted
        small = [ROWS[name] for entry in own if (name := f"{entry['id']}-desk") in ROWS]
        assert total(desk) == sum(row["scope"] == "analog" and int(row["n"]) > 0 for row in small)
        assert "not run" not in desk


def test_the_scope_line_counts_only_what_was_decided():
    said = generated.scope(ROWS)
    places = (
        "LeNet-300-100 on MNIST and Fashion-MNIST; MLP-2 on MNIST; MLP-3 on MNIST; MLP-4 on MNIST; "
        "MLP-2, half as wide, on MNIST; 784-500-10 on MNIST"
    )
    assert said.startswith(f"Decided so far are claims and questions about {places}")
    open_ = [e for e in claims.entries() if ROWS[e["id"]]["verdict"].startswith(("inconclusive", "open"))]
    open_ = [entry for entry in open_ if "reading" not in ROWS[entry["id"]]["scope"]]
    assert f"; {len(open_)} more were run and are open, the rest *not run*" in said
    whole, desk = said.split("At the desk, ")
    assert "ResNet" not in whole
    ran = [row for row in ROWS.values() if row["profile"] == "desk" and int(row["n"])]
    words = [row["verdict"].split(":")[0] for row in ran if row["scope"] in ("analog", "finding")]
    begun = sum(word in ("inconclusive", "open") for word in words)
    assert 0 < begun < len(words)
    assert desk.endswith(f"some are decided about ResNet-20, slim, on CIFAR-10, 16x16; {begun} more are begun.\n")


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
    lines = front.doubts(rows, {"A", "D"}).splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["A.", "A.", "B.", "B."]
    assert [line[:8] for line in lines] == ["- 1 of 1", *["- 1 of 2"] * 3]


def test_only_what_compares_with_the_dense_network_can_ring_its_alarm():
    compared = front.against_dense()
    fragile = {name for name, row in ROWS.items() if "fragile (A/A)" in row["verdict"] and row["scope"] == "paper"}
    assert fragile
    assert fragile <= compared
    assert {"L2a", "L4d", "M2", "M2-lenet"} <= compared
    assert not {"L4c", "M1-lenet", "Z4", "Z1"} & compared
