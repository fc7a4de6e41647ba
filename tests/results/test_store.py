"""The store: two layers, and whole records or none."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import writers
from made_up import CHAIN, NET, a_record, put, record, tensors_of, weights_of
from safetensors.numpy import save
from tickets import chapters
from tickets.cells import Cell
from tickets.files import ROOT, array_digest
from tickets.results import store as stores
from tickets.results.records import record_of
from tickets.results.store import Store


@pytest.fixture
def both(tmp_path):
    """A store with an empty local and an empty recorded layer."""
    return Store(tmp_path / "local", tmp_path / "recorded")


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
    record(both, [NET])
    both.beside(NET, "json").unlink()
    assert both.table([NET])["test_accuracy"].tolist() == [90.0]
    put(both, NET, test_accuracy=91.0)
    assert both.table([NET])["test_accuracy"].tolist() == [91.0]
    assert Store(both.local / "elsewhere", both.recorded).table([NET])["test_accuracy"].tolist() == [90.0]
    assert Store(both.local, recorded=None).table([NET])["test_accuracy"].tolist() == [91.0]


# weights at a rewind step

STEP = 20
BACK = NET.but(level=2, rewind=STEP)
RETURNING = [
    BACK,
    BACK.but(order=1),
    NET.but(order=1, rewind=STEP),
    BACK.but(arm="random"),
    BACK.but(arm="chord"),
    BACK.but(schedule="restarted"),
]


def assert_equal_arrays(some, others):
    assert set(some) == set(others)
    for name, array in some.items():
        assert array.dtype == others[name].dtype
        np.testing.assert_array_equal(array, others[name])


def test_weights_at_a_rewind_step_are_found_by_all_that_return_there(store):
    """They are the dense network's, one file a step, whoever asks; and it needs no record yet."""
    store.put_rewound(NET, STEP, weights_of(STEP))
    for cell in RETURNING:
        assert_equal_arrays(store.rewound(cell), weights_of(STEP))
        assert store.start_of(cell) == array_digest(weights_of(STEP))
    others = (BACK.but(rewind=STEP + 1), BACK.but(replicate=1), BACK.but(learning_rate=0.1), BACK.but(steps=61))
    assert [store.rewound(cell) for cell in others] == [None] * 4
    assert [store.start_of(cell) for cell in (*others, NET, NET.but(level=2))] == [""] * 6
    assert NET not in store


def flipped(path):
    """One bit of the last weight."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = {
    "a flipped bit": flipped,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01."),
    "without a digest": lambda path: path.write_bytes(save(weights_of(STEP))),
    "under another digest": lambda path: path.write_bytes(save(weights_of(STEP), {"digest": "0" * 12})),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_weights_at_a_rewind_step_are_lost(store, how):
    store.put_rewound(NET, STEP, weights_of(STEP))
    DAMAGES[how](store.beside(NET, f"{STEP}.safetensors"))
    assert store.rewound(BACK) is None
    assert store.start_of(BACK) == ""
    store.put_rewound(NET, STEP, weights_of(STEP))
    assert_equal_arrays(store.rewound(BACK), weights_of(STEP))


def test_a_chain_that_began_from_other_weights_is_absent(store):
    """What a network left goes with the W_k that it began from, whose digest it names."""
    here, there = array_digest(weights_of(STEP)), array_digest(weights_of(STEP + 1))
    store.put(a_record(BACK), tensors_of(BACK), here)
    assert store.has_tensors(BACK)  # W_k is not there to compare with
    store.put_rewound(NET, STEP, weights_of(STEP))
    assert store.has_tensors(BACK)
    store.put_tensors(BACK.key(), tensors_of(BACK), there)
    assert not store.has_tensors(BACK)
    with pytest.raises(KeyError, match="ticket level 2 replicate 0"):
        store.tensors(BACK)
    assert BACK in store  # its record stays
    store.put_rewound(NET, STEP, weights_of(STEP + 1))
    assert store.has_tensors(BACK)
    store.put(a_record(NET), tensors_of(NET))
    assert store.has_tensors(NET)  # began from its initialization


def test_workers_read_what_is_recorded_once_and_again_when_it_changes(both):
    cells = [NET, NET.but(replicate=1)]
    both.recorded.mkdir()
    file = both.recorded / "study.jsonl"
    file.write_text(json.dumps(a_record(cells[0])) + "\n")
    first = pickle.loads(pickle.dumps(both))
    assert [cell in first for cell in cells] == [True, False]
    assert pickle.loads(pickle.dumps(both)) is first
    file.write_text("".join(json.dumps(a_record(cell)) + "\n" for cell in cells))
    os.utime(file, ns=(0, 10**9))
    assert [cell in pickle.loads(pickle.dumps(both)) for cell in cells] == [True, True]
    assert pickle.loads(pickle.dumps(Store(both.local, recorded=None))).recorded is None


# writers that are killed


def soak(folder, kills, kind):
    command = [sys.executable, writers.__file__, folder, str(kills), kind]
    path = os.pathsep.join([str(ROOT / "lib"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_writers_lose_nothing(tmp_path):
    found = soak(tmp_path / "store", 60, "atomic")
    assert found.pop("puts") > 20  # they were killed while they wrote, not before
    assert (rounds := found.pop("rounds")) >= 30
    assert found == {"whole": rounds * 4, "lost": 0, "unreadable": 0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_naive_writer_is_found_out(tmp_path):
    found = soak(tmp_path / "store", 60, "naive")
    assert found["lost"] + found["unreadable"] > 0


def test_a_writer_that_fails_leaves_nothing(store, monkeypatch):
    put(store, NET)
    whole = Path.write_bytes

    def half(path, content):
        whole(path, content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="disk full"):
        store.put(a_record(NET, test_accuracy=12.0))
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
from tickets import chapters
from tickets.results.store import Store
from tickets.running.run import run
cells = chapters.cells("01_winning_tickets", "paper")
store = Store(sys.argv[1], sys.argv[2])
assert len(store.table(cells)) == len(run(cells, store=store, train=False)) == int(sys.argv[3])
assert store.levels(cells[1])
print([name for name in ("torch", "torchvision", "numba", "sklearn") if name in sys.modules], found)
"""


def test_reading_imports_no_torch_and_loads_no_pickle(both):
    cells = chapters.cells("01_winning_tickets", "paper")[:2]
    for cell in cells:
        put(both, cell)
    record(both, cells, cells[0], study="01_winning_tickets")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-c", READ, both.local / "none", both.recorded, "2"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] []"


def test_masks_with_objects_in_them_are_not_unpickled(both):
    put(both, CHAIN[2])
    record(both, [CHAIN[2]])
    path = both.masks_file(CHAIN[2])
    with path.open("wb") as file:
        np.savez(file, **{"pruned_at/fc1.weight": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Store(both.local / "none", both.recorded).levels(CHAIN[2])


def test_a_table_of_measurements_alone_has_the_columns_of_networks(store):
    """They are empty: whoever counts diverged networks finds none."""
    cell = Cell(arm="subset_sums")
    store.put(record_of(cell, {"bits": 1.0}, {}, [], {"seconds": 1.0}, ""))
    table = store.table([cell])
    assert table["bits"].tolist() == [1.0]
    assert table["diverged"].isna().all()
    assert set(store.table([]).columns) <= set(table.columns)
