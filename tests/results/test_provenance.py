"""Where a number comes from: the fingerprint follows the source that can change one, and nothing else."""

import shutil

import pytest
from tickets.results import provenance


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A copy of the library's source, and a call that fingerprints it."""
    shutil.copytree(provenance.PACKAGE, tmp_path / "tickets", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "tickets")
    return tmp_path / "tickets", provenance.fingerprint.__wrapped__


def test_the_fingerprint_is_that_of_the_source(library):
    assert library[1]() == provenance.fingerprint()
    assert len(provenance.fingerprint()) == 12


CAN_CHANGE_A_NUMBER = (
    *("arms.py", "cells.py", "seeds.py", "nets/layers.py", "data/dataset.py", "pruning/imp.py"),
    *("training/kernels.py", "training/compiled.py", "connectivity/mixtures.py", "running/plan.py", "running/work.py"),
    *("chapters/winning_tickets/arms.py", "chapters/winning_tickets/anatomy.py", "training/new.py"),
    *("chapters/deconstructing/actions.py", "chapters/supermasks/learned.py", "chapters/stretching/depth.py"),
    *("chapters/pruning_at_init/scores.py", "chapters/elastic/arms.py", "chapters/subsets/sums.py"),
)
PAGES_AND_LISTS = (
    *("cli.py", "book/pages.py", "figures/style.py", "evidence/judge.py", "running/engines.py", "results/store.py"),
    *("chapters/deconstructing/study.py", "chapters/winning_tickets/study.py", "chapters/winning_tickets/figures.py"),
    *("chapters/elastic/study.py", "chapters/elastic/tables.py", "chapters/__init__.py"),
)


@pytest.mark.parametrize("name", CAN_CHANGE_A_NUMBER + PAGES_AND_LISTS)
def test_the_fingerprint_follows_what_can_change_a_number_and_nothing_else(library, name):
    folder, fingerprint = library
    with (folder / name).open("a") as file:
        file.write("changed\n")
    assert (fingerprint() != provenance.fingerprint()) == (name in CAN_CHANGE_A_NUMBER)
