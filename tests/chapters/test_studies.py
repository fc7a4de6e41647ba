"""The studies: each lists every cell once and what it starts from first, at the scales it says."""

import pytest
from tickets import chapters
from tickets.arms import ARMS
from tickets.cells import Cell, unseeded
from tickets.errors import BadInput


def test_unknown_studies_and_profiles_are_named():
    with pytest.raises(BadInput, match=r"study '01'.*01_winning_tickets"):
        chapters.cells("01", "smoke")
    with pytest.raises(BadInput, match=r"profile 'full'.*smoke, quick, desk, paper"):
        chapters.cells("01_winning_tickets", "full")


@pytest.mark.parametrize("study", chapters.STUDIES)
@pytest.mark.parametrize("profile", chapters.PROFILES)
def test_a_study_lists_each_cell_once(study, profile):
    cells = chapters.cells(study, profile)
    assert len(set(cells)) == len({cell.key() for cell in cells}) == len(cells)
    place = {cell: i for i, cell in enumerate(cells)}
    for cell in cells:
        for parent in cell.parents():
            assert place[parent] < place[cell], "a study names what a cell starts from, and names it first"


def test_the_paper_profile_is_the_papers_protocol():
    cells = chapters.cells("01_winning_tickets", "paper")
    lenet = {unseeded(cell) for cell in cells if cell.model == "lenet-300-100" and cell.optimizer == "adam"}
    assert {(c.steps, c.batch, c.rate, c.output_rate) for c in lenet} == {(50_000, 60, 0.2, 0.1)}
    assert Cell() in lenet
    budgets = {
        (c.model, c.steps, c.batch, c.learning_rate) for c in cells if c.model.startswith("conv") and not c.dropout
    }
    assert budgets == {
        ("conv-2", 20_000, 60, 2e-4), ("conv-4", 25_000, 60, 3e-4), ("conv-6", 30_000, 60, 3e-4),
    }  # fmt: skip
    assert {c.replicate for c in cells if unseeded(c) == Cell()} == set(range(20))  # ten of them added later
    for model, steps, drops in (("resnet-20", 30_000, (20_000, 25_000)), ("vgg-19", 112_000, (56_000, 84_000))):
        nets = [c for c in cells if c.model == model]
        assert {(c.steps, c.drops, c.momentum, c.weight_decay) for c in nets} == {(steps, drops, 0.9, 1e-4)}


def test_smoke_is_small_and_has_every_arm():
    cells = [cell for study in chapters.STUDIES for cell in chapters.cells(study, "smoke")]
    assert {cell.dataset.partition("-")[0] for cell in cells} == {"digits", "digits16"}
    assert {cell.arm for cell in cells} == set(ARMS)
    assert max(cell.steps for cell in cells) <= 60
