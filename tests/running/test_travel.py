"""Results that travel: all or nothing goes in, what is there stays."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_up import a_study, record
from repacked import changed
from tickets import chapters, cli
from tickets.errors import BadInput
from tickets.results.store import Store
from tickets.running import faults, travel
from tickets.running.plan import plan
from tiny import CHAIN, NET, TINY, assert_equal_tables, files, serial

STUDY = "01_winning_tickets"
LONG = [*TINY, NET.but(level=3), NET.but(arm="reinit", level=1, draw=1)]


# there and back


def test_what_was_exported_arrives(home, store):
    merged = travel.merge([home.file], store)
    assert (merged.new, merged.agree, merged.conflicts) == (len(TINY), 0, [])
    assert_equal_tables(store.table(TINY), home.table)
    assert store.registrations() == home.store.registrations()
    for cell in (CHAIN[1], CHAIN[2]):
        for name, array in home.store.levels(cell).items():
            np.testing.assert_array_equal(store.levels(cell)[name], array)
    assert plan(TINY, store) == []
    assert plan([NET.but(arm="random", level=1)], store) == [(NET.but(arm="random", level=1),)]  # by its mask alone


def test_merging_twice_changes_nothing(home, store):
    travel.merge([home.file], store)
    before = files(store), files(store, "safetensors")
    merged = travel.merge([home.file], store)
    assert (merged.new, merged.agree, merged.conflicts) == (0, len(TINY), [])
    assert (files(store), files(store, "safetensors")) == before


def test_two_exports_are_the_same_bytes(home, tmp_path):
    travel.export(tmp_path / "again.zip", home.store, TINY)
    assert (tmp_path / "again.zip").read_bytes() == home.file.read_bytes()


def test_an_unfinished_chain_goes_on_elsewhere(home, store, tmp_path):
    """With the weights that missing cells start from, the other machine trains only these, to the same bits."""
    travel.export(tmp_path / "long.zip", home.store, LONG, weights=True)
    travel.merge([tmp_path / "long.zip"], store)
    assert plan(LONG, store) == [(cell,) for cell in LONG[-2:]]
    table = serial(LONG, store)
    shutil.copytree(home.store.local, tmp_path / "copy")
    assert_equal_tables(table, serial(LONG, Store(tmp_path / "copy", recorded=None)))


def test_a_chain_of_another_criterion_goes_on_elsewhere(home, store, tmp_path):
    """Its masks are its own: beside them the ticket of its level keeps the mask that came with it."""
    chain = [CHAIN[0].but(arm="deconstructed", criterion="movement", level=level) for level in (1, 2, 3)]
    here = Store(tmp_path / "here", recorded=None)
    shutil.copytree(home.store.local, here.local)
    table = serial(chain, here)
    here.beside(chain[2], "json").unlink()  # as if it had been stopped before
    travel.export(tmp_path / "chain.zip", here, [*CHAIN, *chain], weights=True)
    travel.merge([tmp_path / "chain.zip"], store)
    assert plan(chain, store) == [(chain[2],)]
    assert_equal_tables(serial(chain, store), table)
    for cell in CHAIN[1:]:
        for name, array in here.levels(cell).items():
            np.testing.assert_array_equal(store.levels(cell)[name], array)


def test_masks_of_every_perceptron_travel(store, tmp_path):
    """Those of elastic tickets are stretched elsewhere: without them a whole chain would be trained again."""
    tickets = [NET.but(model="mlp-2x150", level=level) for level in (0, 1, 2)]
    serial(tickets, store)
    travel.export(tmp_path / "chain.zip", store, tickets)
    other = Store(tmp_path / "other", recorded=None)
    travel.merge([tmp_path / "chain.zip"], other)
    for cell in tickets[1:]:
        for name, array in store.levels(cell).items():
            np.testing.assert_array_equal(other.levels(cell)[name], array)
    assert plan([tickets[1].but(arm="random")], other) == [(tickets[1].but(arm="random"),)]


def test_running_statistics_travel_with_the_weights(store, tmp_path):
    """A network with batch normalization whose ticket is to be found elsewhere."""
    fields = {"model": "resnet-20", "steps": 2, "batch": 4, "optimizer": "sgd", "scope": "global", "output_rate": 0}
    dense = NET.but(dataset="digits16", inputs="standard", **fields)
    here = Store(tmp_path / "here", recorded=None)
    serial([dense], here)
    travel.export(tmp_path / "weights.zip", here, [dense, dense.but(level=1)], weights=True)
    assert travel.merge([tmp_path / "weights.zip"], store).new == 1
    sent, arrived = here.tensors(dense), store.tensors(dense)
    assert any(name.endswith("running_var") for name in sent)
    assert all(np.array_equal(arrived[name], array) for name, array in sent.items())


def test_a_copy_does_not_stand_in_for_its_ticket(store, tmp_path):
    """Masks are found by the keys of the chain itself, not of a copy in another order of the data."""
    here = Store(tmp_path / "here", recorded=None)
    both = [NET, NET.but(level=1), NET.but(level=1, order=1)]
    serial(both, here)
    travel.export(tmp_path / "results.zip", here, both)
    travel.merge([tmp_path / "results.zip"], store)
    assert store.levels(NET.but(level=1)) is not None


def test_merged_masks_can_be_recorded(home, tmp_path):
    there = Store(tmp_path / "local", tmp_path / "recorded")
    travel.merge([home.file], there)
    record(there, TINY, NET)
    record(home.store, TINY, NET)
    for name in ("01_study.jsonl", f"masks/{CHAIN[2].key()}.npz"):
        assert (there.recorded / name).read_bytes() == (home.store.recorded / name).read_bytes()


def test_large_results_are_cut_into_files(home, store, tmp_path):
    limit = 30_000
    lines = travel.export(tmp_path / "cut.zip", home.store, TINY, limit=limit)
    paths = sorted(tmp_path.glob("cut*.zip"))
    assert {f"cut-{i}.zip" for i in range(2, len(paths) + 1)} | {"cut.zip"} == {path.name for path in paths}
    assert len(paths) > 1
    assert len([line for line in lines if "results" in line]) == len(paths)
    assert max(path.stat().st_size for path in paths) <= limit
    travel.merge(paths, store)
    assert_equal_tables(store.table(TINY), home.table)
    (tmp_path / "cut.zip").unlink()
    before = {path: path.read_bytes() for path in tmp_path.glob("cut*.zip")}
    with pytest.raises(BadInput, match="is there already"):
        travel.export(tmp_path / "cut.zip", home.store, TINY, limit=limit)
    assert {path: path.read_bytes() for path in tmp_path.glob("cut*.zip")} == before


def test_a_folder_is_no_file_to_export_to(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="is there already"):
        travel.export(Path("."), home.store, TINY, limit=30_000)
    assert not list(tmp_path.iterdir())


def test_a_record_that_arrives_ends_its_failure_here(home, store, tmp_path):
    faults.fail(store, [NET], "Traceback")
    travel.export(tmp_path / "all.zip", home.store, TINY)
    travel.merge([tmp_path / "all.zip"], store)
    assert faults.failure(store, NET) is None


def test_tensors_larger_than_a_file_stay_behind(home, store, tmp_path):
    lines = travel.export(tmp_path / "small.zip", home.store, LONG, weights=True, limit=60_000)
    assert [CHAIN[2].key() in line for line in lines if "too large" in line].count(True) == 1
    travel.merge(sorted(tmp_path.glob("small*.zip")), store)
    assert_equal_tables(store.table(TINY), home.table)


# agreement and conflict


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda r: changed(r, "provenance", device="another", seconds=9.0, date="2030-01-01", path="autograd"), None),
        (lambda r: changed(r, "result", test_accuracy=r["result"]["test_accuracy"] * (1 + 1e-8)), None),
        (lambda r: changed(r, "result", test_accuracy=12.5), "test_accuracy: {} here, 12.5 in the file"),
        (lambda r: changed(r, "provenance", torch="3.0"), "torch: {} here, 3.0 in the file"),
        (lambda r: changed(r, "provenance", device_kind="cuda"), "device_kind: cpu here, cuda in the file"),
    ],
    ids=["elsewhere", "rounded", "another number", "another torch", "a GPU"],
)
def test_records_agree_or_the_first_is_kept_and_the_difference_shown(home, store, tmp_path, change, line):
    other = Store(tmp_path / "other", recorded=None)
    other.register(next(iter(home.store.registrations().values())))
    other.put(change(home.store.get(NET)))
    travel.export(tmp_path / "other.zip", other, [NET])
    serial([NET], store)
    before = store.beside(NET, "json").read_bytes()
    merged = travel.merge([tmp_path / "other.zip"], store)
    assert store.beside(NET, "json").read_bytes() == before
    assert (merged.new, merged.agree, len(merged.conflicts)) == (0, line is None, line is not None)
    if line:
        known = home.store.get(NET)
        value = {**known["result"], **known["provenance"]}[line.split(":")[0]]
        first, second = merged.conflicts[0].splitlines()
        assert NET.key() in first
        assert second.strip() == line.format(value)


def test_a_chain_that_disagrees_gives_no_masks(home, store, tmp_path):
    """What is there of it is another chain: one of its records says something else, so its masks are others too."""
    for cell in CHAIN[:2]:
        known = home.store.get(cell)
        store.put(changed(known, "result", test_accuracy=12.5) if cell == CHAIN[1] else known)
    store.register(next(iter(home.store.registrations().values())))
    travel.export(tmp_path / "deepest.zip", home.store, CHAIN)
    merged = travel.merge([tmp_path / "deepest.zip"], store)
    assert len(merged.conflicts) == 1
    assert store.levels(CHAIN[1]) is None
    assert store.levels(CHAIN[2]) is not None  # came with its own


# the command line


def test_export_and_merge_by_command(home, store, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(chapters.STUDIES, STUDY, a_study(TINY))
    target, folder = tmp_path / "results.zip", str(tmp_path / "store")
    assert cli.main(["export", str(target), "--store", str(home.store.local), "--profile", "smoke"]) == 0
    assert capsys.readouterr().out == f"{target}: {len(TINY)} results\n"
    for new, agree in ((len(TINY), 0), (0, len(TINY))):
        assert cli.main(["merge", str(target), "--store", folder]) == 0
        assert capsys.readouterr().out == f"{new} new, {agree} agree with what was there, 0 differ from it\n"
    assert_equal_tables(Store(folder).table(TINY), home.table)
    for command in (
        ["export", str(target)],
        ["export", str(tmp_path / "no/x.zip")],
        ["merge", str(tmp_path / "no.zip")],
    ):
        assert cli.main(command) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
