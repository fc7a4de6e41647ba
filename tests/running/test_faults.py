"""Faults of a run: each is named, costs no finished result, and leaves the rest as an undisturbed run would have it."""

import json
import os
import resource
import time

import numpy as np
import pytest
from made_up import a_study
from tickets import chapters, cli
from tickets.running import faults
from tickets.running import status as states
from tiny import CHAIN, NET, TINY, assert_equal_tables, files, serial

STUDY = "01_winning_tickets"


@pytest.fixture
def here(store, monkeypatch):
    """The command line on the store of the test, its study the tiny one; returns a call that runs it."""
    monkeypatch.setitem(chapters.STUDIES, STUDY, a_study(TINY))
    monkeypatch.setattr(cli, "Store", lambda: store)
    return lambda *more: cli.main(["run", STUDY, "--engine", "serial", *more])


# cells that fail


def poison(cell):
    if cell == CHAIN[1]:
        raise ZeroDivisionError("poison in here")


def test_a_poison_cell_is_listed_and_the_others_finish(tiny, store, here, computed, capsys):
    computed.before = poison
    assert here() == 1
    out, err = capsys.readouterr()
    needing = [cell for cell in TINY if cell.replicate == 0 and cell.level == 2]  # its child, and the child's branches
    fine = [cell for cell in TINY if cell not in (CHAIN[1], *needing)]
    assert_equal_tables(store.table(TINY), tiny[0].table(fine))
    assert f"{len(fine)} of {len(TINY)} cells are there, {1 + len(needing)} are missing" in out
    assert f"failed 1x: lenet-300-100 ticket level 1 replicate 0 ({CHAIN[1].key()})" in err
    assert "ZeroDivisionError: poison in here" in err
    assert "in poison" in err  # where, not only what
    assert all(cell.key() in err for cell in needing)
    row = next(row for row in states.status(store) if row["profile"] == "smoke")
    assert (row["missing"], row["failed"]) == (1 + len(needing), 1)


def test_a_poison_cell_is_retried_only_on_request(tiny, store, here, computed, capsys):
    computed.before = poison
    here()
    computed.cells.clear()
    assert here() == 1
    assert not computed.cells
    assert "ZeroDivisionError: poison in here" in capsys.readouterr().err
    assert here("--retry-failed") == 1
    assert computed.cells == [CHAIN[1]]
    assert faults.failure(store, CHAIN[1])["attempts"] == 2
    computed.before = lambda cell: None
    assert here("--retry-failed") == 0
    assert_equal_tables(store.table(TINY), tiny[1])
    assert not [name for name in files(store) if "error" in name]


def test_a_network_that_fails_when_it_is_trained_again_is_reported(store, here, computed, capsys):
    """Its record is there and its weights are not, so that the others that start from it wait."""
    assert here() == 0
    for cell in [CHAIN[1], *(cell for cell in TINY if cell.level == 2)]:
        store.beside(cell, "safetensors").unlink(missing_ok=True)
        if cell.level == 2:
            store.beside(cell, "json").unlink()
    computed.before = poison
    capsys.readouterr()
    assert here() == 1
    err = capsys.readouterr().err
    assert f"failed 1x: lenet-300-100 ticket level 1 replicate 0 ({CHAIN[1].key()})" in err
    assert f"({CHAIN[2].key()})" in err


def test_a_note_on_a_failure_that_is_unreadable_still_counts(store):
    faults.fail(store, [NET], "Traceback")
    store.beside(NET, "error.json").write_text("{")
    assert faults.failure(store, NET)["traceback"] == f"{NET.key()}.error.json is not readable"


def test_a_diverged_training_is_a_result(store, here, monkeypatch):
    """A recorded outcome at chance accuracy, no failure; its ticket is trained all the same."""
    wild = [cell.but(learning_rate=1e30, optimizer="sgd") for cell in CHAIN[:2]]
    monkeypatch.setitem(chapters.STUDIES, STUDY, a_study(wild))
    assert here() == 0
    table = store.table(wild)
    assert table["diverged"].tolist() == [True, True]
    assert table["test_accuracy_end"].tolist() == [10, 10]


# the disk, the clock, Ctrl-C, another run


def test_a_full_disk_ends_the_run_in_one_line(tiny, store, here, capsys):
    """The system refuses to let any file grow beyond 100 kB: records fit, tensors do not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert here() == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (line,) = capsys.readouterr().err.splitlines()
    assert "File too large" in line
    assert cli.GOES_ON in line
    assert not [path for path in store.local.glob("??/*") if path.is_file()]  # nothing half-written, nothing poisoned
    assert here() == 0
    assert_equal_tables(store.table(TINY), tiny[1])


def test_a_clock_that_jumps_changes_nothing(tiny, store, here, monkeypatch):
    """The wall clock leaps a day back and forth at every look: limits and costs are measured by the other one."""
    leaps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1.8e9 + 86_400 * (-1) ** next(leaps))
    assert here("--minutes", "60") == 0
    table = store.table(TINY)
    assert_equal_tables(table, tiny[1])
    assert table["seconds"].between(0, 600, inclusive="neither").all()


def test_ctrl_c_loses_nothing_finished(tiny, store, here, computed, capsys):
    def interrupt(cell):
        if len(computed.cells) == 4:
            raise KeyboardInterrupt

    computed.before = interrupt
    assert here() == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"tickets: stopped; {cli.GOES_ON}"
    before = files(store)
    assert set(before) == {f"{cell.key()}.json" for cell in computed.cells[:3]}
    assert here() == 0
    assert {name: files(store)[name] for name in before} == before
    assert_equal_tables(store.table(TINY), tiny[1])


def test_what_another_run_finished_meanwhile_is_not_computed_again(tiny, store, computed):
    """Two runs at once plan the same work; each looks again before it begins."""

    def other_run(cell):
        computed.before = lambda cell: None
        serial(TINY[1:5], store)

    computed.before = other_run
    assert_equal_tables(serial(TINY, store), tiny[1])
    assert len(computed.cells) - len(set(computed.cells)) == 1  # the one both were at


# files that are not right


def other_schema(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))


SPOILT = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty": lambda path: path.write_bytes(b""),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01."),
}
RECORD = SPOILT | {"of another schema": other_schema, "of another program": lambda path: path.write_text('{"a": 1}')}


@pytest.mark.parametrize(("suffix", "how"), [("json", how) for how in RECORD] + [("safetensors", h) for h in SPOILT])
def test_a_file_that_is_not_right_is_set_aside_and_trained_again(tiny, store, suffix, how):
    serial(CHAIN[:2], store)
    path = store.beside(CHAIN[1], suffix)
    RECORD[how](path)
    spoilt, said = path.read_bytes(), []
    table = serial(CHAIN, store, say=said.append)
    (line,) = said
    (kept,) = (store.local / "set-aside").iterdir()
    assert path.name in line
    assert kept.name in line
    assert kept.read_bytes() == spoilt
    assert_equal_tables(table, tiny[0].table(CHAIN))
    serial(CHAIN, store, say=said.append)
    assert len(said) == 1


def test_files_of_another_cell_are_set_aside(tiny, store):
    serial(CHAIN[:2], store)
    store.beside(CHAIN[1], "json").write_bytes(store.beside(CHAIN[0], "json").read_bytes())
    store.put(store.get(CHAIN[0]), {"somebody/else": np.zeros(3)})
    said = []
    assert_equal_tables(serial(CHAIN, store, say=said.append), tiny[0].table(CHAIN))
    assert ["another cell" in line or "another kind" in line for line in said] == [True, True]


def test_what_killed_writers_left_is_swept(store):
    """A day later, and never a checkpoint beside which there is no record yet."""
    finished, begun, left = NET, NET.but(order=1), NET.but(order=2)
    serial([finished, left], store)
    record = store.beside(finished, "json")
    old, young = (record.with_name(f".{record.name}.{age}") for age in ("old", "young"))
    registered = store.local / "registrations" / ".0123.json.old"
    parts = [store.beside(cell, "part.safetensors") for cell in (finished, begun, left)]
    for path in (old, young, registered, *parts):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    for path in (old, registered, *parts[:2]):
        os.utime(path, (0, 0))
    faults.sweep(store)
    assert [path.exists() for path in (old, registered, young)] == [False, False, True]  # its writer may be at it
    assert [path.exists() for path in parts] == [False, True, True]
    assert record.exists()
