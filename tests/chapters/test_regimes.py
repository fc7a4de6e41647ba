"""Where claims were asked, by hand: levels and steps out of entries, densities, and what counts predict."""

import csv
from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest
from tickets import chapters
from tickets.chapters import regimes
from tickets.evidence import claims
from tickets.files import BOOK

LENET = chapters.main("01_winning_tickets", "paper")
RESNET = chapters.networks("paper")["02_linear_mode_connectivity"].cells["ResNet-20"]
ENTRIES = {entry["id"]: entry for entry in claims.standing("paper")}
with (BOOK / "results/claims.csv").open() as file:
    ROWS = {row["claim"]: row for row in csv.DictReader(file)}
WORDS = (
    *("reproduced", "partly", "not reproduced", "contradicted", "inconclusive", "not run"),
    *("yes", "in part", "no", "supports", "excludes", "open"),
)
FOUND = regimes.regimes(ROWS, lambda row: next(word for word in WORDS if row["verdict"].startswith(word)))


def test_what_an_entry_reads_at():
    entry = {
        "contrast": {"plus": {"level": [2, 3]}, "minus": {"level": 0, "rewind": "k500"}},
        "assay": {"plus": {"level": 9}},
        "parts": [
            {"contrast": {"plus": {"level": "rung"}}, "rungs": [5, 6]},
            {"contrast": {"plus": {"level": 8, "rewind": {"best": ["k1", "k2"], "by": "x"}}}},
        ],
        "cases": [{"level": 4}, {"level": "case"}],
    }
    assert list(regimes.asked(entry, "level")) == [2, 3, 0, 5, 6, 8, 4]
    assert list(regimes.asked(entry, "rewind")) == ["k500", "k1", "k2"]


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("L1", ("LeNet", "20 % and more", "Adam, 0.0012", "initialization only", "the paper's")),
        ("L2b", ("LeNet", "below 5 %", "Adam, 0.0012", "initialization only", "the paper's")),
        ("L5b", ("LeNet", "5 to 20 %", "Adam, 0.0012", "initialization only", "the paper's")),
        ("M1-lenet", ("LeNet", "level 0 only", "Adam, 0.0012", "initialization only", "the paper's")),
        ("M3", ("ResNet", "5 to 20 %", "SGD, 0.1", "a later step", "the paper's")),
        ("L10c", ("VGG", "below 5 %", "SGD, 0.1, warmup", "initialization only", "the paper's")),
        ("T1-mnist", ("LeNet", "below 5 %", "Adam, 0.0012", "initialization only", "analog")),
        ("P5", ("numbers", "none", "none", "none", "the paper's")),
        ("P2", ("MLP", "none", "SGD, 0.1", "none", "the paper's")),
        ("P1-uniform", ("numbers", "none", "none", "none", "the paper's")),
        ("H1-lenet", ("LeNet", "5 to 20 %", "SGD, 0.1", "initialization only", "analog")),
        ("Z4", ("LeNet", "none", "Adam, 0.0012", "none", "the paper's")),
        ("L6-conv2-desk", ("Conv", "5 to 20 %", "Adam, 0.0002", "initialization only", "desk")),
    ],
)
def test_the_regime_of_a_claim(claim, expected):
    row = FOUND[FOUND["claim"] == claim].iloc[0]
    assert tuple(row[axis] for axis in regimes.AXES) == expected


def test_every_claim_that_counts_has_one_row():
    counts = ("paper", "analog", "finding")
    counted = [name for name, row in ROWS.items() if row["scope"] in counts and "." not in name]
    assert sorted(FOUND["claim"]) == sorted(counted)


def test_densities_are_those_of_the_ladders():
    assert regimes.density(LENET, 0) == 1.0
    assert regimes.density(LENET, 7) == pytest.approx(56_094 / 266_200)
    assert regimes.density(LENET, 7.81) == pytest.approx(0.176, abs=5e-4)  # of one-shot pruning, as the paper prints it
    assert regimes.density(RESNET, 8) == pytest.approx(0.8**8)
    assert [regimes.between(x) for x in (100, 99.9, 20, 19.9, 5, 4.9)] == [
        *("level 0 only", "20 % and more", "20 % and more", "5 to 20 %", "5 to 20 %", "below 5 %")
    ]


def frame(*rows):
    return pd.DataFrame([dict(zip(("word", "scope", "network"), row, strict=True)) for row in rows])


def test_tallies_and_what_is_decided_in_them():
    rows = [("reproduced", "paper", "A")] * 3 + [("partly", "analog", "A"), ("not run", "paper", "A")]
    rows += [("contradicted", "paper", "B"), ("yes", "finding", "B"), ("inconclusive", "paper", "C")]
    counts = regimes.tally(frame(*rows), "network")
    assert list(counts) == ["A", "B", "C"]
    assert counts["A"] == Counter({"reproduced": 3, "partly": 1, "not run": 1})
    assert regimes.decided(counts) == {"A": (3, 4), "B": (0, 1)}


def test_association_by_hand():
    assert regimes.association({}) is None
    assert regimes.association({"A": (3, 4)}) is None
    assert regimes.association({"A": (3, 3), "B": (1, 1)}) == 1.0
    assert regimes.association({"A": (4, 4), "B": (0, 4)}) == pytest.approx(2 / 70)  # of 70 tables the two extremes
    three = regimes.association({"A": (5, 5), "B": (0, 5), "C": (0, 5)})
    assert three == pytest.approx(3 / 3003, abs=0.001)  # 3 of the 15 choose 5 ways are as extreme
    assert three == regimes.association({"A": (5, 5), "B": (0, 5), "C": (0, 5)})


def test_the_matrix_has_each_claim_once():
    asked = [SimpleNamespace(claims=("L1", "L6-conv2")), SimpleNamespace(claims=("nothing",))]
    heads, lines = regimes.matrix(FOUND, asked)
    assert heads[0] == "LeNet"
    assert heads.index("ResNet") < heads.index("Conv, desk")
    ((_, places),) = lines
    placed = {head: [one["claim"] for one in own] for head, own in places.items() if own}
    assert placed == {"LeNet": ["L1"], "Conv": ["L6-conv2"], "Conv, desk": ["L6-conv2-desk"]}
