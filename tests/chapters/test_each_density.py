"""Claims on averages over densities: what sentences of the book say of single densities is so in what is recorded."""

import re

import pytest
from tickets import chapters
from tickets.book import questions
from tickets.chapters.transfer import tables
from tickets.evidence import claims
from tickets.evidence.asked import alone, parts, said
from tickets.evidence.judge import Judge
from tickets.results.store import Store

SAID = {
    "L15b": {7: "contradicted", 11: "reproduced"},
    "L18.incoming": {7: "reproduced", 15: "contradicted"},
    "Z1-small.init": {9: "inconclusive", 14: "reproduced"},
    "T1-mnist.own-a": {12: "reproduced", 17: "inconclusive"},
    "T1-mnist.own-b": {12: "reproduced", 17: "inconclusive"},
    "T5-mnist-own.adam": {12: "no", 17: "no"},
    "T5-mnist-own.sgd": {12: "no", 17: "yes"},
    "E2-sparse.2-3": {15: "reproduced", 18: "inconclusive"},
    "E2-sparse.2-4": {15: "reproduced", 18: "inconclusive"},
    "E2-sparse.3-4": {15: "reproduced", 18: "inconclusive"},
    "E2-sparse.4-3": {15: "inconclusive", 18: "contradicted"},
    "E2-sparse.3-2": {15: "contradicted", 18: "contradicted"},
    "E2-sparse.4-2": {15: "contradicted", 18: "contradicted"},
    "E6-mnist.permuted": {15: "inconclusive", 18: "reproduced"},
}
"""Part of a claim -> rung -> the word of its rule there."""
ENDS = {name.partition(".")[2] for name in SAID}
ENTRIES = {part["id"]: (part, entry) for entry in claims.standing("paper") for part in parts(entry)}


@pytest.fixture(scope="module")
def judge():
    store, asked = Store.committed(), {ENTRIES[name][1]["id"]: ENTRIES[name][1] for name in SAID}
    cells = dict.fromkeys(cell for entry in asked.values() for cell in chapters.cells(entry["study"], "paper"))
    return Judge(store.table(list(cells)), "paper", asked, chapters.networks("paper"))


@pytest.mark.parametrize("name", SAID)
def test_a_rung_alone_says_what_the_book_says_of_it(judge, name):
    part = ENTRIES[name][0]
    assert {rung: said(part, judge.rule(one).verdict) for rung, one in alone(part).items()} == SAID[name]


def test_a_sentence_on_a_single_density_is_of_a_claim_that_is_held_here():
    told = [
        answer["claims"]
        for chapter in questions.written()["chapters"].values()
        for asked in chapter["questions"]
        for answer in asked["answer"]
        if re.search(r"[Bb]y (itself|themselves)\b", answer["text"])
    ]
    assert len(told) >= 7
    held = {*SAID, "Z1-each"}  # the latter asks of each density in parts of its own
    assert [names for names in told if not held & {*names, *(f"{name}.{end}" for name in names for end in ENDS)}] == []


def test_under_adam_the_tickets_of_sgd_end_higher_at_the_smaller_density(judge):
    low, high = (judge.rule(alone(ENTRIES["T5-mnist-own.adam"][0])[rung]) for rung in (12, 17))
    assert high.high < 0 < low.high


def test_in_the_output_layer_tickets_overlap_that_do_not_travel():
    cells = [cell for cell in chapters.cells("04_transfer", "paper") if cell.arm == "overlap"]
    rows = tables.named(Store.committed().table(cells), chapters.networks("paper")["04_transfer"].cells)
    found = tables.overlaps(rows)
    means = found[found["apart"] == 0].groupby(["source", "layer", "level"])["kappa"].mean()
    last = means.index.get_level_values("layer").max()
    assert abs(means["Fashion", 1]).max() < 0.02
    assert (means["Fashion", last].loc[12:] > means["MNIST, SGD", last].loc[12:]).all()


def test_a_random_mask_with_its_whole_output_layer_keeps_at_most_so_much_more():
    """What L16a-open says of its arm, in the answer and in its statement."""
    table = Store.committed().table(chapters.cells("01_winning_tickets", "paper"))
    table = table[(table["model"] == "lenet-300-100") & table["level"].isin([7, 11, 15])]
    kept = table[table["arm"].isin(["random", "random_open"])].groupby(["arm", "level"])["kept"].mean()
    more = kept["random_open"] / kept["random"] - 1
    assert 0.075 < more.max() < 0.085
