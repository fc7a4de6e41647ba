"""Records as text: what is no record is named in one line, and what is committed is whole and small."""

import json

import pytest
from made_up import NET, a_record, put, record
from tickets.cells import Cell
from tickets.errors import BadInput
from tickets.evidence.contrasts import SLACK
from tickets.files import BOOK
from tickets.results import records
from tickets.results.store import Store


@pytest.fixture
def both(tmp_path):
    """A store with an empty local and an empty recorded layer."""
    return Store(tmp_path / "local", tmp_path / "recorded")


# files that are not right


def spoil(**changes):
    found = a_record(NET)
    return json.dumps({**found, **{name: f(found[name]) if callable(f) else f for name, f in changes.items()}})


BAD = {
    "truncated": (json.dumps(a_record(NET))[:1000], "not a readable record"),
    "empty": ("", "not a readable record"),
    "a number": ("3", "."),
    "nothing": ("null", "."),
    "a list": ("[]", "."),
    "another program's": ('{"name": "package"}', "no schema"),
    "unknown schema": (spoil(schema=2), "schema 2"),
    "no result": (json.dumps({k: v for k, v in a_record(NET).items() if k != "result"}), "no result"),
    "wrong key": (spoil(key="0" * 24), "0" * 24),
    "edited cell": (spoil(cell=lambda cell: {**cell, "steps": 61}), "key"),
    "unknown field": (spoil(cell=lambda cell: {**cell, "colour": "red"}), "colour"),
    "missing field": (spoil(cell=lambda cell: {k: v for k, v in cell.items() if k != "rate"}), "rate"),
    "bad value": (spoil(cell=lambda cell: {**cell, "arm": "lottery"}), "lottery"),
    "wrong type": (spoil(cell=lambda cell: {**cell, "rate": "0.2"}), "."),
    "no cell": (spoil(cell=None), "."),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_local_file_is_named(store, what):
    text, message = BAD[what]
    put(store, NET)
    store.beside(NET, "json").write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        store.get(NET)
    assert store.beside(NET, "json").name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("what", [name for name in BAD if name != "empty"])
def test_a_bad_recorded_line_is_named(both, what):
    text, message = BAD[what]
    put(both, NET.but(replicate=1))
    record(both, [NET.but(replicate=1)])
    with (both.recorded / "01_study.jsonl").open("a") as file:
        file.write(text + "\n")
    with pytest.raises(BadInput, match=message) as caught:
        both.get(NET)
    assert "01_study.jsonl, line 2" in str(caught.value)


def test_bytes_that_are_no_text_are_named(store):
    put(store, NET)
    store.beside(NET, "json").write_bytes(b"\x80\x04\x95 a pickle \xff")
    with pytest.raises(BadInput, match=store.beside(NET, "json").name):
        store.get(NET)


def test_a_record_under_another_cells_name_is_found_out(store):
    """Copied or renamed by hand it is whole, and its key is that of its own cell, but not of this one."""
    other = NET.but(replicate=1)
    put(store, NET)
    put(store, other)
    store.beside(NET, "json").write_bytes(store.beside(other, "json").read_bytes())
    with pytest.raises(BadInput, match=NET.key()):
        store.get(NET)


def test_other_files_are_left_alone(both):
    put(both, NET)
    record(both, [NET])
    (both.recorded / "claims.csv").write_text("claim\n")
    (both.beside(NET, "json").parent / ".half-written.json.123").write_text('{"schema"')
    assert len(both.table([NET])) == 1
    assert Store(both.local / "none", both.recorded).get(NET)


# what is committed


def test_a_record_is_thinned_as_far_as_its_chapter_asks():
    """Missed images and curves of training may stay behind; the staircase of validation minima never does."""
    whole = a_record(NET)
    thin = records.thin(whole)
    assert (thin["wrong"], set(thin["curves"])) == (whole["wrong"], set(whole["curves"]))
    bare = records.thin(whole, images=False, curves=False)
    assert bare["wrong"] == []
    assert {name: bare["curves"][name] for name in bare["curves"]} == {
        name: thin["curves"][name] for name in ("best_step", "best_loss")
    }
    assert {**bare, "wrong": thin["wrong"], "curves": thin["curves"]} == thin


def test_curves_of_measurements_are_kept_whatever_is_asked():
    line = {**a_record(NET.but(arm="rounds", level=1)), "curves": {"alpha": [0.0, 1.0], "test_error": [2.0, 3.0]}}
    assert records.thin(line, curves=False)["curves"] == line["curves"]


def test_two_records_of_a_cell_agree_up_to_rounding_on_one_kind_of_machine():
    """Where each was trained is not compared but for the kind of device and the version of torch."""
    mine = a_record(NET)
    mine["result"] |= {"test_accuracy": 97.5, "barrier": float("nan"), "kept": None}
    told = lambda **changes: records.differences(mine, {**mine, "result": {**mine["result"], **changes}})  # noqa: E731
    assert told() == told(test_accuracy=97.5 * (1 + 0.9e-6)) == []
    assert told(test_accuracy=97.5 * (1 + 1.1e-6)) == ["test_accuracy: 97.5 here, 97.50010725 in the file"]
    assert told(barrier=0.0) == ["barrier: nan here, 0.0 in the file"]
    assert told(kept=0) == ["kept: None here, 0 in the file"]
    assert told(more=1.0) == ["more: None here, 1.0 in the file"]
    elsewhere = {**mine, "provenance": {**mine["provenance"], "device": "another", "seconds": 1e6}}
    assert records.differences(mine, elsewhere) == []
    elsewhere["provenance"] |= {"device_kind": "cuda", "torch": "1.0"}
    assert [line.split(":")[0] for line in records.differences(mine, elsewhere, "now")] == ["device_kind", "torch"]


def test_the_committed_records_are_whole():
    """What the book shows: every line readable, at most 24 MiB, no curve longer than a reader needs."""
    folder = BOOK / "results"
    store = Store.committed()
    for found in store.records.values():
        assert max(map(len, found["curves"].values()), default=0) <= records.POINTS
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 24 * 2**20
    digests = {found["registration"] for found in store.records.values()}
    assert digests <= set(store.registrations())


def test_no_claim_asks_for_a_loss_above_the_recorded_stairs():
    """A staircase cut at its start must still have a step above what the dense network's bottom makes the goal."""
    store, asked = Store.committed(), 0
    for found in store.records.values():
        losses, dense = found["curves"].get("best_loss", []), store.get(Cell.from_dict(found["cell"]).dense())
        if len(losses) in (24, records.POINTS) and dense:
            asked += 1
            assert losses[0] > SLACK * min(dense["curves"]["best_loss"]), found["cell"]
    assert asked > 100
