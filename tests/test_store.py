"""The store: two layers, whole records or none, and one line that names the file where something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tickets import records
from tickets import store as stores
from tickets.cells import Cell
from tickets.contrasts import SLACK
from tickets.errors import BadInput
from tickets.imp import dense_of
from tickets.masks import mask_at
from tickets.records import record_of
from tickets.store import ROOT, Store

HERE = Path(__file__).parent
NET = Cell(dataset="digits", steps=60)
CHAIN = [NET.but(level=level) for level in range(4)]
LAYERS = {"fc1.weight": (30, 64), "fc2.weight": (10, 30)}


def a_record(cell, points=500, registration="then", **result):
    """A record as training leaves it, made up."""
    step = [3 * i for i in range(1, points + 1)]
    loss = [2 / (1 + i / 100) + 1e-9 * i for i in step]
    curves = {
        "step": step,
        "validation_loss": loss,
        "validation_accuracy": [100 - 10 * value for value in loss],
        "best_step": step,
        "best_loss": loss,
        "test_step": step[::20],
        "test_accuracy": [97.123456789] * len(step[::20]),
    }
    numbers = {"test_accuracy": 97.123456789, "early_stop_step": 3 * points, "kept": 50_200, "diverged": False}
    provenance = {"device": "a processor", "device_kind": "cpu", "seconds": 1.5, "path": "mlp"}
    return record_of(cell, {**numbers, **result}, curves, [3, 14, 15], provenance, registration)


def tensors_of(cell):
    """Levels of pruning as a chain leaves them at a cell's level, and final weights."""
    generator = np.random.default_rng(0)
    levels = {name: generator.integers(1, 9, shape).astype(np.uint8) for name, shape in LAYERS.items()}
    cut = {f"pruned_at/{name}": np.where(a > cell.level, 255, a).astype(np.uint8) for name, a in levels.items()}
    return cut | {f"final/{name}": generator.normal(size=shape).astype(np.float32) for name, shape in LAYERS.items()}


@pytest.fixture
def both(tmp_path):
    """A store with an empty local and an empty recorded layer."""
    return Store(tmp_path / "local", tmp_path / "recorded")


def put(store, cell, **fields):
    store.put(a_record(cell, **fields), tensors_of(cell) if cell.arm == "ticket" else None)


def json_of(store, cell=NET):
    return store._path(cell.key(), "json")


# one cell


def test_what_is_put_is_got(store):
    assert NET not in store
    assert store.get(NET) is None
    put(store, NET)
    assert NET in store
    assert store.get(NET) == a_record(NET)
    for name, array in tensors_of(NET).items():
        np.testing.assert_array_equal(store.tensors(NET)[name], array)
        assert store.tensors(NET)[name].dtype == array.dtype
    assert NET.but(replicate=1) not in store


def test_numbers_survive_to_the_last_bit(store):
    values = {"a": 0.1 + 0.2, "b": 1e-300, "c": float("inf"), "d": float("nan"), "e": np.nextafter(1, 2).item()}
    put(store, NET, **values)
    result = store.get(NET)["result"]
    assert [result[name] for name in "abce"] == [values[name] for name in "abce"]
    assert np.isnan(result["d"])


def test_arrays_in_another_order_are_stored_right(store):
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    store.put(a_record(NET), {"final/w": array})
    np.testing.assert_array_equal(store.tensors(NET)["final/w"], array)


def test_tensors_that_are_not_there_are_named(store):
    put(store, NET.but(arm="reinit", level=2, draw=1))
    assert not store.has_tensors(NET.but(arm="reinit", level=2, draw=1))
    with pytest.raises(KeyError, match="reinit level 2 replicate 0"):
        store.tensors(NET.but(arm="reinit", level=2, draw=1))


def test_the_table_has_a_row_a_record(store):
    cells = [NET, NET.but(replicate=1), NET.but(drops=(5, 10))]
    put(store, cells[0], test_accuracy=96.0)
    put(store, cells[2], test_accuracy=98.0)
    table = store.table(cells)
    assert table["key"].tolist() == [cells[0].key(), cells[2].key()]
    assert table["test_accuracy"].tolist() == [96.0, 98.0]
    assert table["drops"].tolist() == [(), (5, 10)]
    assert table["replicate"].tolist() == [0, 0]
    assert table["device"].tolist() == ["a processor"] * 2
    assert table["registration"].tolist() == ["then"] * 2
    assert len(table["best_step"][0]) == len(table["best_loss"][0]) == 500
    assert table["wrong"][0] == [3, 14, 15]
    empty = store.table([NET.but(replicate=7)])
    assert len(empty) == 0
    assert {"arm", "level", "replicate", "key"} <= set(empty.columns)


def test_curves_are_long_tables(store):
    for r in range(2):
        put(store, NET.but(replicate=r, drops=(5,)), points=40)
    frame = store.curves([NET.but(replicate=r, drops=(5,)) for r in range(3)], "step", "validation_loss")
    assert len(frame) == 80
    assert frame.groupby("replicate")["step"].max().tolist() == [120, 120]
    assert frame["drops"].iloc[0] == (5,)
    assert set(Cell().to_dict()) <= set(frame.columns)
    assert store.curves([NET.but(replicate=5)]).empty


def test_tables_have_a_column_for_an_added_field(store, monkeypatch):
    """Also where all records are older than the field."""
    monkeypatch.setattr("tickets.cells.ADDED", {"order": 0})
    put(store, NET)
    assert "order" not in store.get(NET)["cell"]
    assert store.table([NET])["order"].tolist() == [0]
    assert (store.curves([NET])["order"] == 0).all()


# two layers


def test_local_goes_over_recorded(both):
    put(both, NET, test_accuracy=90.0)
    both.record("01_study", [NET], NET)
    json_of(both).unlink()
    assert both.table([NET])["test_accuracy"].tolist() == [90.0]
    put(both, NET, test_accuracy=91.0)
    assert both.table([NET])["test_accuracy"].tolist() == [91.0]
    assert Store(both.local / "elsewhere", both.recorded).table([NET])["test_accuracy"].tolist() == [90.0]
    assert Store(both.local, recorded=None).table([NET])["test_accuracy"].tolist() == [91.0]


def test_recording_keeps_what_was_recorded(both):
    put(both, NET, test_accuracy=90.0)
    assert both.record("01_study", [NET, NET.but(replicate=1)], NET) == 1
    before = (both.recorded / "01_study.jsonl").read_text()
    put(both, NET, test_accuracy=99.0)
    put(both, NET.but(replicate=1), test_accuracy=80.0)
    assert both.record("01_study", [NET, NET.but(replicate=1)], NET) == 2
    after = (both.recorded / "01_study.jsonl").read_text()
    assert before in after
    fresh = Store(both.local / "none", both.recorded)
    assert fresh.table([NET, NET.but(replicate=1)])["test_accuracy"].tolist() == [90.0, 80.0]
    assert both.record("01_study", [], NET) == 2  # nothing to add, nothing lost
    assert (both.recorded / "01_study.jsonl").read_text() == after


def test_recorded_curves_are_thin_and_keep_their_ends(both):
    put(both, NET, points=500)
    both.record("01_study", [NET], NET)
    curves = Store(both.local / "none", both.recorded).get(NET)["curves"]
    assert {name for name, values in curves.items() if len(values) > records.POINTS} == set()
    assert all(len(values) > 20 for values in curves.values())
    assert (curves["step"][0], curves["step"][-1]) == (3, 1500)
    assert len(curves["step"]) == len(curves["validation_loss"]) == len(curves["validation_accuracy"])
    full = dict(zip(a_record(NET)["curves"]["step"], a_record(NET)["curves"]["validation_loss"], strict=True))
    for step, loss in zip(curves["step"], curves["validation_loss"], strict=True):
        assert loss == pytest.approx(full[step], rel=1e-4)
    stairs = a_record(NET)["curves"]["best_step"]
    assert curves["best_step"] == stairs[-records.STAIRS :]  # the end of the staircase, unthinned
    json.dumps(curves, allow_nan=False)


def test_both_layers_give_one_table(both):
    cells = [*CHAIN, NET.but(arm="reinit", level=2, draw=1), NET.but(order=1)]
    for i, cell in enumerate(cells):
        put(both, cell, test_accuracy=90 + i / 7)
    local = both.table(cells)
    both.record("01_study", cells, NET)
    recorded = Store(both.local / "none", both.recorded).table(cells)
    exact = [*Cell().to_dict(), "key", "registration", "device", "early_stop_step", "kept", "diverged"]
    assert local[exact].astype(str).equals(recorded[exact].astype(str))
    assert recorded["test_accuracy"].tolist() == pytest.approx(local["test_accuracy"].tolist(), rel=1e-6)
    assert {name: str(kind) for name, kind in recorded.dtypes.items()} == {n: str(k) for n, k in local.dtypes.items()}


def test_wrong_images_are_kept_where_rungs_are_compared(both):
    cells = [NET, NET.but(level=3), NET.but(level=7)]
    for cell in cells:
        put(both, cell)
    both.record("01_study", cells, NET)
    found = Store(both.local / "none", both.recorded).table(cells)["wrong"].tolist()
    assert found == [[3, 14, 15], [], [3, 14, 15]]


def test_the_deepest_masks_of_a_chain_are_recorded(both):
    for cell in CHAIN:
        put(both, cell)
    both.record("01_study", CHAIN, NET)
    assert [path.name for path in (both.recorded / "masks").iterdir()] == [f"{CHAIN[3].key()}.npz"]
    fresh = Store(both.local / "none", both.recorded)
    for cell in CHAIN:
        for name, array in mask_at(fresh.levels(cell), cell.level).items():
            np.testing.assert_array_equal(array, tensors_of(cell)[f"pruned_at/{name}"] == 255)
    assert not fresh.has_tensors(CHAIN[3])  # masks alone are not what a next network starts from
    with pytest.raises(KeyError):
        fresh.tensors(CHAIN[3])
    for other in (NET.but(level=4), NET.but(level=2, replicate=1), NET.but(level=2, rewind=5)):
        assert fresh.levels(other) is None


def test_copies_are_no_links_of_a_chain(both):
    """A ticket in a second order has the masks of the first: one file a chain, that of the ticket others start from."""
    copy = CHAIN[3].but(order=1)
    for cell in (*CHAIN, copy, NET.but(level=1, rewind=5)):
        put(both, cell)
    both.record("01_study", [*CHAIN, copy, NET.but(level=1, rewind=5), NET.but(level=2, rewind=5)], NET)
    kept = {path.stem for path in (both.recorded / "masks").iterdir()}
    assert kept == {CHAIN[3].key(), NET.but(level=1, rewind=5).key()}
    fresh = Store(both.local / "none", both.recorded)
    assert fresh.levels(NET.but(level=2, rewind=5)) is None
    assert fresh.levels(NET.but(level=1, rewind=5)) is not None


def test_a_cell_of_two_studies_is_recorded_once(both, tmp_path):
    """Whichever study records it first keeps it, whatever another machine makes of it later."""
    put(both, NET, test_accuracy=90.0)
    both.record("01_study", [NET], NET)
    there = Store(tmp_path / "there", both.recorded)
    put(there, NET, test_accuracy=80.0)
    assert there.record("02_study", [NET], NET) == 0
    assert there.record("01_study", [NET], NET) == 1
    assert Store(tmp_path / "none", both.recorded).get(NET)["result"]["test_accuracy"] == 90.0


def test_masks_of_other_chains_go_when_nothing_is_left_to_start_from_them(both):
    """A chapter's main network keeps its masks; a chain that is only read beside it keeps them for its branches."""
    other = [cell.but(optimizer="sgd", learning_rate=0.8) for cell in CHAIN]
    branch = other[2].but(arm="reinit", draw=1)
    for cell in (*CHAIN, *other):
        put(both, cell)
    masks = lambda: {path.stem for path in (both.recorded / "masks").iterdir()}  # noqa: E731
    both.record("01_study", [*CHAIN, *other, branch], NET)
    assert masks() == {CHAIN[3].key(), other[3].key()}
    assert Store(both.local / "none", both.recorded).levels(other[2]) is not None
    put(both, branch)
    both.record("01_study", [*CHAIN, *other, branch], NET)
    assert masks() == {CHAIN[3].key()}
    both.record("01_study", [*CHAIN, *other, branch], NET)
    assert masks() == {CHAIN[3].key()}


def test_an_unfinished_chain_is_recorded_with_what_the_next_network_needs(both):
    for cell in CHAIN[:3]:
        put(both, cell)
    both.record("01_study", CHAIN, NET)
    fresh = Store(both.local / "none", both.recorded)
    assert [fresh.has_tensors(cell) for cell in CHAIN] == [False, False, True, False]
    for name, array in tensors_of(CHAIN[2]).items():
        np.testing.assert_array_equal(fresh.tensors(CHAIN[2])[name], array)
    assert fresh.levels(CHAIN[3]) is None
    put(both, CHAIN[3])
    both.record("01_study", CHAIN, NET)
    assert len(list((both.recorded / "masks").iterdir())) == 1
    grown = Store(both.local / "none", both.recorded)
    assert not any(grown.has_tensors(cell) for cell in CHAIN)
    assert grown.levels(CHAIN[3]) is not None


def test_masks_are_not_dropped_for_masks_that_are_not_there(both):
    for cell in CHAIN[:3]:
        put(both, cell)
    both.record("01_study", CHAIN, NET)
    both.put(a_record(CHAIN[3]))  # a record that came without its tensors
    both.record("01_study", CHAIN, NET)
    assert Store(both.local / "none", both.recorded).levels(CHAIN[2]) is not None


def test_registrations_travel_with_records(both):
    both.register({"L1": "abc"}, "then")
    both.register({"L1": "other"}, "unused")
    put(both, NET)
    both.record("01_study", [NET], NET)
    fresh = Store(both.local / "none", both.recorded)
    assert fresh.registrations() == {"then": {"L1": "abc"}}
    assert both.registrations() == {"then": {"L1": "abc"}, "unused": {"L1": "other"}}


def test_studies_do_not_disturb_each_other(both):
    put(both, NET)
    put(both, NET.but(replicate=1))
    both.record("01_study", [NET], NET)
    first = (both.recorded / "01_study.jsonl").read_bytes()
    both.record("02_study", [NET.but(replicate=1)], NET)
    assert (both.recorded / "01_study.jsonl").read_bytes() == first
    assert len((both.recorded / "02_study.jsonl").read_text().splitlines()) == 1


# files that are not right


def spoil(**changes):
    record = a_record(NET)
    return json.dumps({**record, **{name: f(record[name]) if callable(f) else f for name, f in changes.items()}})


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
    json_of(store).write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        store.get(NET)
    assert json_of(store).name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("what", [name for name in BAD if name != "empty"])
def test_a_bad_recorded_line_is_named(both, what):
    text, message = BAD[what]
    put(both, NET.but(replicate=1))
    both.record("01_study", [NET.but(replicate=1)], NET)
    with (both.recorded / "01_study.jsonl").open("a") as file:
        file.write(text + "\n")
    with pytest.raises(BadInput, match=message) as caught:
        both.get(NET)
    assert "01_study.jsonl, line 2" in str(caught.value)


def test_bytes_that_are_no_text_are_named(store):
    put(store, NET)
    json_of(store).write_bytes(b"\x80\x04\x95 a pickle \xff")
    with pytest.raises(BadInput, match=json_of(store).name):
        store.get(NET)


def test_a_record_under_another_cells_name_is_found_out(store):
    """Copied or renamed by hand it is whole, and its key is that of its own cell, but not of this one."""
    other = NET.but(replicate=1)
    put(store, NET)
    put(store, other)
    json_of(store).write_bytes(json_of(store, other).read_bytes())
    with pytest.raises(BadInput, match=NET.key()):
        store.get(NET)


def test_other_files_are_left_alone(both):
    put(both, NET)
    both.record("01_study", [NET], NET)
    (both.recorded / "claims.csv").write_text("claim\n")
    (json_of(both).parent / ".half-written.json.123").write_text('{"schema"')
    assert len(both.table([NET])) == 1
    assert Store(both.local / "none", both.recorded).get(NET)


# writers that are killed


def soak(folder, kills, kind):
    command = [sys.executable, HERE / "writers.py", folder, str(kills), kind]
    path = os.pathsep.join([str(ROOT / "lib"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_writers_lose_nothing(tmp_path):
    found = soak(tmp_path / "store", 60, "atomic")
    assert found.pop("puts") > 20  # they were killed while they wrote, not before
    assert found == {"whole": 30 * 4, "lost": 0, "unreadable": 0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_naive_writer_is_found_out(tmp_path):
    found = soak(tmp_path / "store", 60, "naive")
    assert found["lost"] + found["unreadable"] > 0


def test_a_writer_that_fails_leaves_nothing(store):
    put(store, NET)

    def write(path):
        path.write_text("half a rec")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store._write(NET.key(), "json", write)
    assert store.get(NET) == a_record(NET)
    assert sorted(path.suffix for path in store.local.rglob("*.*")) == [".json", ".safetensors"]


def test_the_record_is_written_after_the_tensors(store, monkeypatch):
    """It is the commit record: where it is, all else is."""
    order, write_it = [], stores.write_atomically
    monkeypatch.setattr(stores, "write_atomically", lambda path, w: (order.append(path.suffix), write_it(path, w)))
    put(store, NET)
    assert order == [".safetensors", ".json"]


# reading is cheap and safe

READ = """
import sys
found = []
sys.addaudithook(lambda event, _: found.append(event) if event == "pickle.find_class" else None)
from tickets import studies
from tickets.run import run
from tickets.store import Store
cells = studies.cells("01_winning_tickets", "paper")
store = Store(sys.argv[1], sys.argv[2])
assert len(store.table(cells)) == len(run(cells, store=store, train=False)) == int(sys.argv[3])
assert store.levels(cells[1])
print([name for name in ("torch", "torchvision", "numba", "sklearn") if name in sys.modules], found)
"""


def test_reading_imports_no_torch_and_loads_no_pickle(both):
    from tickets import studies

    cells = studies.cells("01_winning_tickets", "paper")[:2]
    for cell in cells:
        put(both, cell)
    both.record("01_winning_tickets", cells, cells[0])
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-c", READ, both.local / "none", both.recorded, "2"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] []"


def test_masks_with_objects_in_them_are_not_unpickled(both):
    put(both, CHAIN[2])
    both.record("01_study", [CHAIN[2]], NET)
    path = both._recorded_masks(CHAIN[2])
    with path.open("wb") as file:
        np.savez(file, **{"pruned_at/fc1.weight": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Store(both.local / "none", both.recorded).levels(CHAIN[2])


def test_the_committed_records_are_whole():
    """What the book shows: every line readable, at most 8 MiB, no curve longer than a reader needs."""
    folder = stores.BOOK / "results"
    store = Store.committed()
    for record in store._recorded.values():
        assert max(map(len, record["curves"].values()), default=0) <= records.POINTS
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 8 * 2**20
    digests = {record["registration"] for record in store._recorded.values()}
    assert digests <= set(store.registrations())


def test_no_claim_asks_for_a_loss_above_the_recorded_stairs():
    """A staircase cut at its start must still have a step above what the dense network's bottom makes the goal."""
    store, asked = Store.committed(), 0
    for record in store._recorded.values():
        losses, dense = record["curves"].get("best_loss", []), store.get(dense_of(Cell.from_dict(record["cell"])))
        if len(losses) == records.STAIRS and dense:
            asked += 1
            assert losses[0] > SLACK * min(dense["curves"]["best_loss"]), record["cell"]
    assert asked > 100
