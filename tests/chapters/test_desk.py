"""The desk: what its networks are, that they are the papers' scaled down, and that its chapters share what they can."""

from collections import Counter

import numpy as np
import pytest
from tickets import chapters
from tickets.arms import measures
from tickets.book import questions
from tickets.cells import SEEDED, Cell
from tickets.chapters import desk
from tickets.chapters.linear_mode_connectivity import study as linear
from tickets.chapters.regimes import density
from tickets.chapters.winning_tickets import study as winning
from tickets.data import sources
from tickets.evidence import claims
from tickets.evidence.asked import parts
from tickets.evidence.judge import Judge
from tickets.files import BOOK
from tickets.results.store import Store

CELLS = {study: chapters.cells(study, "desk") for study in desk.DESKS}
SCALED = ("dataset", "model", "steps", "drops")


def unlike(one: Cell, other: Cell) -> set[str]:
    """The fields in which two networks differ."""
    return {name for name in Cell.__dataclass_fields__ if getattr(one, name) != getattr(other, name)}


def test_steps_are_scaled_by_one_factor():
    assert (desk.RESNET20.steps, desk.RESNET20.drops) == (8_000, (4_063, 6_095))  # 32 and 48 of 63 thousandths
    assert (desk.HALF.steps, desk.HALF.drops) == (4_000, (2_032, 3_048))
    assert (desk.CONV2.steps, desk.CONV4.steps) == (20_000, 12_500)  # the paper's own, and half of it
    assert desk.NAMED == {"k500": 64, "k1000": 127, "k2000": 254, "k4000": 508}
    assert all(abs(step - int(name[1:]) * 8 / 63) < 1 for name, step in desk.NAMED.items())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (desk.CONV2, ("01_winning_tickets", "Conv-2")),
        (desk.CONV4, ("01_winning_tickets", "Conv-4")),
        (desk.RESNET20, ("02_linear_mode_connectivity", "ResNet-20")),
        (desk.LOW, ("02_linear_mode_connectivity", "ResNet-20, low rate")),
    ],
    ids=lambda value: getattr(value, "model", ""),
)
def test_everything_else_is_the_papers(ours, theirs):
    study, name = theirs
    assert unlike(ours, chapters.networks("paper")[study].cells[name]) <= set(SCALED)


def test_images_are_small_and_every_network_can_take_them():
    for cell in (cell for cells in CELLS.values() for cell in cells):
        shape, classes = sources.described(cell.dataset)
        assert shape == (3, 16, 16)
        assert cell.model in ("conv-2x32", "conv-4x32", "conv-4", "resnet-14x8", "resnet-20x8")
        assert classes == (10 if "cifar10_16" in cell.dataset else 20 if "coarse" in cell.dataset else 100)


def test_every_cell_is_of_a_named_network():
    for study, cells in CELLS.items():
        named = chapters.networks("desk")[study].cells.values()
        seeded = [name for name in Cell.__dataclass_fields__ if name not in (*SEEDED, "own", "steps")]
        kinds = {tuple(getattr(net, name) for name in seeded) for net in named}
        assert {tuple(getattr(cell, name) for name in seeded) for cell in cells} == kinds
        assert chapters.main(study, "desk") == next(iter(named))


def test_replicates_are_those_that_verdicts_ask():
    counts = {study: {cell.replicate for cell in cells} for study, cells in CELLS.items()}
    assert counts.pop("04_transfer") == set(range(6))
    assert set(map(frozenset, counts.values())) == {frozenset(range(5))}


def test_chapters_share_the_chains_of_one_network():
    """Tickets of 16.8 % and above at one rewind step are trained once, for chapters 2, 4 and 5."""
    chains = {
        study: {cell for cell in cells if cell.arm == "ticket" and cell.rewind == desk.K and not cell.order}
        for study, cells in CELLS.items()
    }
    chain = {
        desk.RESNET20.but(level=level, rewind=desk.K, replicate=r)
        for level in range(1, desk.RUNG + 1)
        for r in range(5)
    }
    for study in ("02_linear_mode_connectivity", "04_transfer", "05_elastic"):
        assert chain <= chains[study]


def test_of_one_replicate_of_chapter_2_there_are_so_many_networks():
    """Dense: 1, a copy from the start, two from each of four later steps; tickets of 8 rounds, a copy at 3 steps; two
    copies of each of four other subnetworks; and the trunk of the new weights that are returned to."""
    own = [cell for cell in CELLS["02_linear_mode_connectivity"] if cell.replicate == 0 and not measures(cell.arm)]
    assert len(own) == (1 + 1 + 2 * 4) + 3 * (8 + 1) + 2 * 4 + 1
    lines = Counter(
        (cell.level, cell.own["subject"]) for cell in CELLS["02_linear_mode_connectivity"] if cell.arm == "chord"
    )
    assert lines == {(0, "ticket"): 25, (8, "ticket"): 15, (8, "random"): 10, (8, "reinit"): 10}


def test_a_chapter_without_a_desk_is_empty_there(monkeypatch):
    monkeypatch.setattr(desk, "DESKS", {})
    assert chapters.cells("01_winning_tickets", "desk") == []
    assert chapters.networks("desk")["01_winning_tickets"].cells == {}
    assert chapters.main("01_winning_tickets", "desk") == chapters.main("01_winning_tickets", "paper")


@pytest.mark.parametrize(
    ("claim", "level"),
    [("L6-conv2", 11), ("L7a-conv2", 14), ("C8-conv2", 11), ("L6-conv4", 15), ("L7a-conv4", 13), ("Z3-conv2-once", 14)],
)
def test_a_sentence_at_the_desk_says_the_density_that_its_network_has(claim, level):
    entry = claims.load(profile="desk")[claim]
    cell = desk.CONV4 if "conv4" in claim else desk.CONV2
    assert f"{100 * density(cell, level):.1f} %" in entry["in_full"]
    assert f"'level': {level}" in str(parts(entry))


def _levels(term) -> set:
    """All levels that a contrast names."""
    if isinstance(term, list):
        return set().union(*map(_levels, term))
    named = [_levels(value) for key, value in term.items() if key != "level"] if isinstance(term, dict) else []
    level = term.get("level", []) if isinstance(term, dict) else []
    return set(level if isinstance(level, list) else [level]).union(*named)


def test_no_claim_of_chapter_1_on_small_images_compares_two_rungs_whose_images_other_networks_keep():
    asked = [part for entry in claims.load(profile="desk").values() for part in parts(entry)]
    asked = [part["contrast"] for part in asked if part["study"] == "01_winning_tickets" and part["network"] != "LeNet"]
    asked = [levels for contrast in asked if contrast.get("stat") == "test_accuracy" and (levels := _levels(contrast))]
    kept = {level for level in range(40) if winning.keeps_images(Cell(level=level))}
    assert len(asked) > 5
    assert len(kept) == 4
    assert not any(levels <= kept for levels in asked)
    assert not any(winning.keeps_images(desk.CONV2.but(level=level)) for level in kept)


@pytest.fixture(scope="module")
def barriers():
    """[step, replicate]: barriers between dense copies of ResNet-20, plain and with statistics estimated again."""
    steps, stats = (0, *desk.NAMED.values()), ("barrier_test", "barrier_test_reestimated")
    cells = [[desk.RESNET20.but(arm="chord", rewind=k, replicate=r) for r in desk.FIVE] for k in steps]
    records = Store.committed().records
    return [np.array([[records[c.key()]["result"][stat] for c in row] for row in cells]) for stat in stats]


def test_what_is_said_of_a_failed_onset_is_so_in_every_replicate(barriers):
    plain, reestimated = barriers
    assert list(desk.NAMED)[-2] == claims.load(profile="desk")["M1-r20"]["end"]
    assert min(plain[-2].min(), reestimated[-2].min()) > 2
    assert (np.diff(plain, axis=0) < 0).all()
    assert plain[-1].min() > 2
    assert np.sort(plain[-1])[-1] > 2 * np.sort(plain[-1])[-2]  # one has so much more
    assert (reestimated < plain).all()
    assert reestimated[-1].min() < 2 < reestimated[-1].max()
    assert abs(desk.RESNET20.steps / linear.RESNET20.steps - 1 / 8) < 0.01


def test_what_is_said_of_the_rule_is_so_in_every_replicate():
    """M2's two settings are one of each kind, as its sentence and its reason say, which its verdict alone does not."""
    records, late = Store.committed().records, desk.NAMED["k1000"]

    def read(stat, **fields):
        cells = [desk.RESNET20.but(replicate=r, **fields) for r in desk.FIVE]
        return np.array([records[cell.key()]["result"][stat] for cell in cells])

    barrier = {k: read("barrier_test", arm="chord", level=desk.RUNG, rewind=k) for k in (0, late)}
    dense = read("test_accuracy_end", level=0)
    gain = {k: read("test_accuracy_end", level=desk.RUNG, rewind=k) - dense for k in (0, late)}
    assert barrier[0].min() > 2 > barrier[late].max()
    assert gain[0].max() < 0 < gain[late].min()
    for section in ("from-which-step-on", "stable-if-and-only-if-as-accurate"):
        sentence, *_ = questions.of("02_linear_mode_connectivity")[section].answer
        assert f"step {late}" in sentence["text"]


def test_what_is_said_of_re_estimated_barriers_is_so():
    """M3's sentence, and that the copies of M6 are not stable at the desk."""
    records, late = Store.committed().records, desk.NAMED["k1000"]

    def read(level, rewind):
        nets = [desk.RESNET20.but(replicate=r, arm="chord", level=level, rewind=rewind) for r in desk.FIVE]
        each = [records[cell.key()]["result"] for cell in nets]
        return np.array([[one["barrier_test"], one["barrier_test_reestimated"]] for one in each]).T

    of = {at: read(*at) for at in ((desk.RUNG, 0), (desk.RUNG, late), (0, late))}
    assert all((of[at][1] < of[at][0]).all() for at in ((desk.RUNG, 0), (0, late)))  # the high ones
    kept, reestimated = (of[0, late] - of[desk.RUNG, late]).mean(1)
    assert 0.28 < reestimated / kept < 0.39
    assert read(0, desk.NAMED["k2000"])[0].min() > 2


@pytest.mark.parametrize(("claim", "cell"), [("L7b-conv2", desk.CONV2), ("L7b-conv4", desk.CONV4)])
def test_the_last_rung_above_two_percent_is_the_last(claim, cell):
    level = claims.load(profile="desk")[claim]["contrast"]["plus"]["level"]
    assert density(cell, level) > 0.02 > density(cell, level + 1)


def test_of_the_difference_between_ticket_and_network_a_third_is_left_with_statistics_of_its_own():
    """Which chapter 2 and the front page say beside M3: no claim is on barriers with re-estimated statistics there."""
    study = "02_linear_mode_connectivity"
    entries = claims.of(study, profile="desk")
    table = Store.committed().table(chapters.cells(study, "desk"))
    judge = Judge(table, "desk", entries, chapters.networks("desk"))
    (part,) = (part for part in parts(entries["M3"]) if part["id"] == "M3.dense")
    mixed, own = (
        judge.read({**part, "contrast": {**part["contrast"], "stat": stat}}).values
        for stat in ("barrier_test", "barrier_test_reestimated")
    )
    assert len(mixed) == len(own) == 5
    assert 0.3 < own.mean() / mixed.mean() < 0.4
    text = " ".join((BOOK / "questions.yml").read_text().split())
    assert text.count("of that difference a third is left") == 1
