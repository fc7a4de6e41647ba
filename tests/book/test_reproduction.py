"""The page on reproduction: what is the same, what differs as seeds do, what differs by more."""

import numpy as np
import pytest
import reproduction
from made_up import a_record
from tickets import chapters
from tickets.cells import Cell
from tickets.results.records import RESULT
from tickets.results.store import Store
from tickets.running import recording

STUDY = "01_winning_tickets"
CELLS = [Cell(level=level, replicate=r) for r in range(10) for level in (0, 9)]  # what claim L2a is about
CELLS += [Cell(arm="one_shot", level=1.765, replicate=r) for r in range(10)]  # between two rungs


def put(store, accuracy, replicates=range(10), **provenance):
    """Records of CELLS whose test accuracy is accuracy(cell), every other number a constant."""
    for cell in CELLS:
        if cell.replicate in replicates:
            numbers = dict.fromkeys(RESULT, 98.0) | {"diverged": False, "test_accuracy": accuracy(cell)}
            record = a_record(cell, points=20, registration="0" * 12, **numbers)
            record["provenance"] |= {"torch": "2.11.0", "device": "a processor"} | provenance
            store.put(record)


def drawn(seed, shift=0.0):
    """Test accuracies as replicates differ, tickets better by 0.3 and by a shift."""
    generator = np.random.default_rng(seed)
    noise = {cell: generator.normal(0, 0.1) for cell in CELLS}
    return lambda cell: 98 + noise[cell] + (0.3 + shift) * (cell.level > 0)


@pytest.fixture
def recorded(tmp_path):
    store = Store(tmp_path / "before", tmp_path / "recorded")
    put(store, drawn(0))
    recording.record(store, STUDY, "paper")
    return Store(tmp_path / "none", tmp_path / "recorded")


def row_of(text, claim):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {claim} |")]
    return [cell.strip().replace("−", "-") for cell in line.strip("|").split("|")]


def test_the_same_results_are_called_the_same(recorded, store):
    put(store, drawn(0))
    text, frame = reproduction.report(recorded, store)
    assert len(frame) == len(CELLS)
    assert set(frame["compared"]) == {"same"}
    row = row_of(text, "L2a")
    assert row[2] == row[4]
    assert (row[3], row[5], row[6], row[7], row[8]) == ("10", "10", "0", "paired", "1")
    assert "none differs by more than seeds explain" in text


def test_other_rounding_differs_as_seeds_do(recorded, store):
    put(store, drawn(1), device="a GPU", device_kind="cuda")
    text, frame = reproduction.report(recorded, store)
    assert set(frame["compared"]) == {"as seeds differ"}
    assert "none differs by more than seeds explain" in text
    assert 0.05 < float(row_of(text, "L2a")[8]) < 1
    assert "| a GPU |" in text
    assert {line.split()[0] for line in text.splitlines() if line.startswith("#")} == {"##"}  # the page has one title


def test_a_shift_is_found_out(recorded, store):
    put(store, drawn(1, shift=0.5))
    text, frame = reproduction.report(recorded, store)
    assert float(row_of(text, "L2a")[9]) < 0.05
    assert "L2a" in text.split("Their number allowed for,")[1].split("differ by more")[0]
    put(store, drawn(1, shift=5))
    frame = reproduction.report(recorded, store)[1]
    assert set(frame.loc[frame["level"] == 9, "compared"]) == {"odd"}
    assert set(frame.loc[frame["level"] == 0, "compared"]) == {"as seeds differ"}


def test_other_replicates_are_compared_as_groups(recorded, store, tmp_path):
    """Nothing is shared but the claim: a Welch test where each side has its own replicates."""
    half = Store(tmp_path / "half", tmp_path / "half-recorded")
    put(half, drawn(0), range(6))
    recording.record(half, STUDY, "paper")
    put(store, drawn(1), range(5, 10))
    text, frame = reproduction.report(Store(tmp_path / "none", half.recorded), store)
    assert len(frame) == 3
    assert row_of(text, "L2a")[7] == "Welch"


def test_nothing_in_common_is_said(recorded, store):
    cell = chapters.cells(STUDY, "smoke")[0]
    store.put(a_record(cell))
    text, frame = reproduction.report(recorded, store)
    assert "(1 cells) nothing is recorded" in text
    assert "the profiles paper" in text
    assert frame.empty
