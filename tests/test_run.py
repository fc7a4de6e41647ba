"""Running cells: the same bits however they are run, nothing twice, nothing half, and one line for a mistake."""

import getpass
import json
import platform
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tickets import engines, imp, provenance, run, studies
from tickets.cells import MEASUREMENTS, Cell, unseeded
from tickets.errors import BadInput
from tickets.store import ROOT, Store

NET = Cell(dataset="digits", steps=20)
CHAIN = [NET.but(level=level) for level in range(3)]
TINY = [
    *CHAIN,
    NET.but(arm="one_shot", level=1.765),
    NET.but(arm="reinit", level=2, draw=1),
    NET.but(order=1),
    NET.but(arm="anatomy", level=2),
    *(cell.but(replicate=1) for cell in CHAIN[:2]),
]
BESIDE = ["seconds", "date", "source"]  # what may differ between two runs of the same cells


def serial(cells, store, **named):
    return run.run(cells, engine="serial", store=store, **named)


def files(store, suffix="json"):
    """Paths of the records in the local layer, with the moment each was written."""
    return {p.name: p.stat().st_mtime_ns for p in store.local.rglob(f"*.{suffix}") if p.parent.name != "registrations"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The tiny study, run in one go: its store and its table."""
    store = Store(tmp_path_factory.mktemp("tiny"), recorded=None)
    return store, serial(TINY, store)


def assert_equal_tables(one, other):
    """To the bit; NaN equals NaN."""
    pd.testing.assert_frame_equal(one.drop(columns=BESIDE), other.drop(columns=BESIDE), check_exact=True)


# the same however it is run


def test_the_table_has_a_row_a_cell_in_order(tiny):
    _, table = tiny
    assert table["key"].tolist() == [cell.key() for cell in TINY]
    trained = table[table["arm"] != "anatomy"]
    assert (trained["test_accuracy"] > 20).all()
    assert set(trained["path"]) == {"mlp"}


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_workers_give_the_same_bits(tiny, store, engine):
    assert_equal_tables(run.run(TINY, engine=engine, workers=2, store=store), tiny[1])
    for cell in CHAIN:
        for name, array in tiny[0].tensors(cell).items():
            np.testing.assert_array_equal(store.tensors(cell)[name], array)


def test_order_and_repetition_change_nothing(tiny, store):
    assert serial(TINY[::-1] + TINY, store)["key"].tolist() == [cell.key() for cell in TINY[::-1] + TINY]
    assert_equal_tables(store.table(TINY), tiny[1])
    assert len(files(store)) == len(TINY)


def test_any_iterable_of_cells_will_do(store):
    assert len(serial((cell for cell in CHAIN[:2]), store)) == 2


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


def test_lost_tensors_of_a_parent_are_computed_again(tiny, store):
    serial(CHAIN[:2], store)
    for cell in CHAIN[:2]:
        store._path(cell.key(), "safetensors").unlink()
    assert run.plan(CHAIN, store) == [(cell,) for cell in CHAIN]
    table = serial(CHAIN, store)
    assert_equal_tables(table, tiny[0].table(CHAIN))
    assert all(store.has_tensors(cell) for cell in CHAIN)


def test_a_record_stays_when_its_network_is_trained_again(tiny, store, capfd):
    """For its weights, say, on a machine that rounds in another way; that the numbers differ is said."""
    serial(CHAIN[:1], store)
    path = store._path(NET.key(), "json")
    record = json.loads(path.read_text())
    record["result"]["test_accuracy"] = 12.5
    path.write_text(json.dumps(record))
    store._path(NET.key(), "safetensors").unlink()
    capfd.readouterr()
    serial(CHAIN[:2], store)
    assert store.get(NET)["result"]["test_accuracy"] == 12.5
    assert store.has_tensors(NET)
    said = capfd.readouterr().err
    assert "trained again" in said
    assert "test_accuracy: 12.5 here" in said


def test_tensors_without_a_record_are_an_unfinished_cell(tiny, store):
    """Whoever is killed between the two files has not finished."""
    serial(CHAIN, store)
    store._path(CHAIN[1].key(), "json").unlink()
    assert run.plan(CHAIN, store) == [(CHAIN[1],)]
    assert_equal_tables(serial(CHAIN, store), tiny[0].table(CHAIN))


def test_recorded_masks_are_as_good_as_their_tickets(tmp_path):
    """On another machine, a branch of a recorded chain costs one network; a longer chain is taken up where it ended."""
    here = Store(tmp_path / "here", tmp_path / "recorded")
    serial(CHAIN, here)
    here.record("01_study", [*CHAIN, NET.but(level=3)], NET)
    there = Store(tmp_path / "there", tmp_path / "recorded")
    for cell in (NET.but(arm="random", level=1), NET.but(arm="reinit", level=2, draw=1), NET.but(level=3)):
        assert run.plan([cell], there) == [(cell,)]
    branches = [NET.but(arm="random", level=1), NET.but(arm="noise", level=2, sigma=0.5), NET.but(level=3)]
    assert_equal_tables(serial(branches, there), serial(branches, here))
    anatomy = NET.but(arm="anatomy", level=2)
    assert run.plan([anatomy], there) == [(NET.but(order=1),), (anatomy,)]
    assert run.plan([NET.but(arm="one_shot", level=2)], there) == [(NET,), (NET.but(arm="one_shot", level=2),)]


def test_a_full_store_writes_nothing(tiny):
    before = files(tiny[0]), files(tiny[0], "safetensors")
    serial(TINY, tiny[0])
    assert (files(tiny[0]), files(tiny[0], "safetensors")) == before


# populations and shards


def all_cells():
    return [cell for study in studies.STUDIES for p in studies.PROFILES for cell in studies.cells(study, p)]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_populations_hold_every_cell_once_and_parents_first(device):
    groups = run.populations(run.closure(all_cells()), device)
    seen = set()
    for group in groups:
        assert len({unseeded(cell) for cell in group}) == 1  # one task, one network, one optimizer
        assert len({(cell.rewind, imp.first_step(cell)) for cell in group}) == 1
        assert len({cell.arm if cell.arm in MEASUREMENTS else "network" for cell in group}) == 1
        assert len(group) <= run.population_size(group[0].model, device)
        assert all(parent in seen for cell in group for parent in imp.parents(cell))
        assert not seen & set(group)
        seen |= set(group)
    assert seen == set(run.closure(all_cells()))
    assert (max(map(len, groups)) > 1) == (device == "cuda")


def test_populations_do_not_depend_on_what_is_there(tiny, store):
    everything = run.plan(TINY, store, "cuda")
    assert any(len(group) > 1 for group in everything)
    serial(CHAIN[:1], store)
    some = run.plan(TINY, store, "cuda")
    assert 0 < len(some) < len(everything) + 1
    assert set(some) <= set(everything)
    assert run.plan(TINY, tiny[0], "cuda") == []


def chains_of(replicates):
    return [cell.but(replicate=r) for r in range(replicates) for cell in TINY[:7]]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_shards_are_a_partition(store, parts, device):
    cells = chains_of(4)
    shards = [run.plan(cells, store, device, f"{k}/{parts}") for k in range(1, parts + 1)]
    found = [cell for shard in shards for group in shard for cell in group]
    assert len(found) == len(set(found))
    assert set(found) == set(cells)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_shard_needs_no_other(store, parts):
    """Machines of a job array share nothing while they run: what a cell starts from is in its own shard."""
    cells = chains_of(4)
    sizes = []
    for k in range(1, parts + 1):
        mine = {cell for group in run.plan(cells, store, shard=f"{k}/{parts}") for cell in group}
        assert all(parent in mine for cell in mine for parent in imp.parents(cell))
        sizes.append(len(mine))
    assert min(sizes) > 0


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


# stopping


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_no_minutes_start_nothing(store, engine):
    assert run.run(TINY, engine=engine, workers=1, store=store, minutes=0).empty
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


# what a record says about itself


def test_provenance_names_no_host_and_no_person(tiny):
    store, _ = tiny
    for path in [store._path(cell.key(), "json") for cell in TINY]:
        text = json.loads(path.read_text())["provenance"]
        assert set(text) == {
            "version", "source", "torch", "numba", "device", "device_kind", "threads", "precision", "path",
            "population", "seconds", "date",
        }  # fmt: skip
        values = " ".join(map(str, text.values()))
        for secret in (platform.node(), getpass.getuser(), str(ROOT), str(Path.home()), str(store.local)):
            assert not (len(secret) > 3 and secret in values)
        assert "/" not in values.replace(text["device"], "")
        assert (text["threads"], text["population"], text["device_kind"]) == (1, 1, "cpu")
        assert text["torch"] == torch.__version__
        assert text["seconds"] > 0


def test_records_carry_the_claims_that_stood(tiny):
    from tickets import registration

    store, table = tiny
    (digest,) = set(table["registration"])
    assert store.registrations() == {digest: registration.hashes()}


def test_the_fingerprint_follows_the_source(monkeypatch, tmp_path):
    first = provenance.fingerprint()
    assert len(first) == 12
    (tmp_path / "run.py").write_text("changed")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    provenance.fingerprint.cache_clear()
    assert provenance.fingerprint() != first
    provenance.fingerprint.cache_clear()


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
        run.run(CHAIN, store=store, **{"engine": "serial", **named})
    assert len(str(caught.value).splitlines()) == 1
    assert not store.local.exists()


@pytest.mark.parametrize("named", [{"engine": "threads"}, {"device": "tpu"}, {"shard": "3/2"}], ids=str)
def test_a_mistake_is_one_also_where_nothing_is_missing(tiny, named):
    with pytest.raises(BadInput):
        run.run(TINY, store=tiny[0], **{"engine": "serial", **named})


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


def test_unknown_studies_and_profiles_are_named():
    with pytest.raises(BadInput, match=r"study '01'.*01_winning_tickets"):
        studies.cells("01", "smoke")
    with pytest.raises(BadInput, match=r"profile 'full'.*smoke, quick, paper"):
        studies.cells("01_winning_tickets", "full")


# the study


@pytest.mark.parametrize("study", studies.STUDIES)
@pytest.mark.parametrize("profile", studies.PROFILES)
def test_a_study_lists_each_cell_once(study, profile):
    cells = studies.cells(study, profile)
    assert len(set(cells)) == len({cell.key() for cell in cells}) == len(cells)
    place = {cell: i for i, cell in enumerate(cells)}
    for cell in cells:
        for parent in imp.parents(cell):
            assert place[parent] < place[cell], "a study names what a cell starts from, and names it first"


def test_the_paper_profile_is_the_papers_protocol():
    cells = studies.cells("01_winning_tickets", "paper")
    lenet = {unseeded(cell) for cell in cells if cell.model == "lenet-300-100" and cell.optimizer == "adam"}
    assert {(c.steps, c.batch, c.rate, c.output_rate) for c in lenet} == {(50_000, 60, 0.2, 0.1)}
    assert Cell() in lenet
    budgets = {
        (c.model, c.steps, c.batch, c.learning_rate) for c in cells if c.model.startswith("conv") and not c.dropout
    }
    assert budgets == {
        ("conv-2", 20_000, 60, 2e-4), ("conv-4", 25_000, 60, 3e-4), ("conv-6", 30_000, 60, 3e-4),
    }  # fmt: skip
    assert {c.replicate for c in cells if unseeded(c) == Cell()} == set(range(10))
    for model, steps, drops in (("resnet-20", 30_000, (20_000, 25_000)), ("vgg-19", 112_000, (56_000, 84_000))):
        nets = [c for c in cells if c.model == model]
        assert {(c.steps, c.drops, c.momentum, c.weight_decay) for c in nets} == {(steps, drops, 0.9, 1e-4)}


def test_smoke_is_small_and_has_every_arm():
    from tickets.cells import ARMS

    cells = studies.cells("01_winning_tickets", "smoke")
    assert {cell.dataset for cell in cells} == {"digits", "digits16"}
    more = studies.cells("02_linear_mode_connectivity", "smoke")
    assert {cell.arm for cell in [*cells, *more]} == set(ARMS)
    assert max(cell.steps for cell in [*cells, *more]) <= 60
