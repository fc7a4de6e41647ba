"""Running cells: the same bits however they are run, nothing twice, nothing half, and one line for a mistake."""

import time
from contextlib import ExitStack
from types import SimpleNamespace

import distributed
import numpy as np
import pytest
import torch
from tickets.errors import BadInput
from tickets.results.store import Store
from tickets.running import engines
from tickets.running.run import run
from tiny import CHAIN, NET, TINY, assert_equal_tables, files, serial

# the same however it is run


def test_the_table_has_a_row_a_cell_in_order(tiny):
    _, table = tiny
    assert table["key"].tolist() == [cell.key() for cell in TINY]
    trained = table[table["arm"] != "anatomy"]
    assert (trained["test_accuracy"] > 20).all()
    assert set(trained["path"]) == {"mlp"}


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_workers_give_the_same_bits(tiny, tmp_path, monkeypatch, engine):
    """Into a store that is named from the folder of this run; the workers of a scheduler were started in another."""
    workers = 2
    with ExitStack() as machines:
        if engine == "dask":
            monkeypatch.chdir(tmp_path.parent)
            cluster = distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0"
            )
            engine, workers = f"dask:{machines.enter_context(cluster).scheduler_address}", None  # it has its own
        monkeypatch.chdir(tmp_path)
        store = Store("named/from/here", recorded=None)
        assert_equal_tables(run(TINY, engine=engine, workers=workers, store=store), tiny[1])
    assert len(list((tmp_path / "named/from/here").glob("??/*.json"))) == len(TINY)
    for cell in CHAIN:
        for name, array in tiny[0].tensors(cell).items():
            np.testing.assert_array_equal(store.tensors(cell)[name], array)


def test_order_and_repetition_change_nothing(tiny, store):
    assert serial(TINY[::-1] + TINY, store)["key"].tolist() == [cell.key() for cell in TINY[::-1] + TINY]
    assert_equal_tables(store.table(TINY), tiny[1])
    assert len(files(store)) == len(TINY)


def test_any_iterable_of_cells_will_do(store):
    assert len(serial((cell for cell in CHAIN[:2]), store)) == 2


def test_shards_fill_one_store(tiny, tmp_path):
    store = Store(tmp_path / "shared", recorded=None)
    for k in (1, 2):
        alone = Store(tmp_path / f"machine{k}", recorded=None)
        serial(TINY, alone, shard=f"{k}/2")
        for path in alone.local.rglob("*.*"):
            target = store.local / path.relative_to(alone.local)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    assert_equal_tables(store.table(TINY), tiny[1])


# nothing twice


def test_only_what_is_missing_is_computed(tiny, store):
    serial(CHAIN[:2], store)
    before = files(store)
    table = serial(TINY, store)
    after = files(store)
    assert {name: after[name] for name in before} == before
    assert len(after) - len(before) == len(TINY) - 2
    serial(TINY, store)
    assert files(store) == after
    assert_equal_tables(table, tiny[1])


def test_gaps_stay_gaps_without_training(store):
    assert serial(TINY, store, train=False).empty
    serial(CHAIN[:1], store)
    assert len(serial(TINY, store, train=False)) == 1
    assert len(files(store)) == 1


def test_parents_that_were_not_asked_for_are_trained(tiny, store):
    table = serial([TINY[4]], store)  # the reinitialization of level 2
    assert table["key"].tolist() == [TINY[4].key()]
    assert set(files(store)) == {f"{cell.key()}.json" for cell in [*CHAIN, TINY[4]]}
    assert_equal_tables(table, tiny[0].table([TINY[4]]))


def test_a_full_store_writes_nothing(tiny):
    before = files(tiny[0]), files(tiny[0], "safetensors")
    serial(TINY, tiny[0])
    assert (files(tiny[0]), files(tiny[0], "safetensors")) == before


# stopping


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_no_minutes_start_nothing(store, engine):
    assert run(TINY, engine=engine, workers=1, store=store, minutes=0).empty
    assert not files(store)


def test_time_that_runs_out_leaves_whole_records(store, monkeypatch):
    """A clock that jumps a minute at each look: some populations are done, the rest is not begun."""
    real, looks = time.monotonic(), iter(range(0, 10**6, 60))
    monkeypatch.setattr(engines, "time", SimpleNamespace(monotonic=lambda: real + next(looks)))
    table = serial(TINY, store, minutes=9)
    assert 0 < len(table) < len(TINY)
    assert table["key"].tolist() == [cell.key() for cell in TINY if cell in store]


def test_progress_is_told(store):
    told = []
    serial(CHAIN, store, tell=lambda *state: told.append(state))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert [seconds for *_, seconds in told] == sorted(seconds for *_, seconds in told)


# mistakes


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"engine": "threads"}, "engine 'threads'.*serial, processes, dask"),
        ({"device": "tpu"}, "device 'tpu'.*cpu, cuda"),
        ({"device": "cpu:x"}, "device 'cpu:x'"),
        ({"shard": "3/2"}, "shard '3/2'.*1 <= k <= n"),
        ({"shard": "0/2"}, "shard '0/2'"),
        ({"shard": "half"}, "shard 'half'"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_before_anything_runs(store, named, message):
    with pytest.raises(BadInput, match=message) as caught:
        run(CHAIN, store=store, **{"engine": "serial", **named})
    assert len(str(caught.value).splitlines()) == 1
    assert not store.local.exists()


@pytest.mark.parametrize("named", [{"engine": "threads"}, {"device": "tpu"}, {"shard": "3/2"}], ids=str)
def test_a_mistake_is_one_also_where_nothing_is_missing(tiny, named):
    with pytest.raises(BadInput):
        run(TINY, store=tiny[0], **{"engine": "serial", **named})


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_that_is_not_there_is_named(store, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match=rf"device '{device}': no GPU.*use cpu") as caught:
        serial(CHAIN, store, device=device)
    assert len(str(caught.value).splitlines()) == 1
    assert not store.local.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "letters"}, "dataset 'letters'.*digits"),
        ({"model": "lenet-5"}, "model 'lenet-5'.*lenet-300-100"),
        ({"model": "vgg-19"}, "vgg-19 needs images"),
        ({"model": "resnet-20", "dropout": 0.5}, "dropout must be 0"),
    ],
    ids=str,
)
def test_a_cell_that_cannot_be_trained_is_named(store, change, message):
    with pytest.raises(BadInput, match=message):
        serial([NET.but(**change)], store)
    assert not files(store)
