"""Recorded tickets to take away: as they were trained, by their names, refused where anything was changed."""

import json
import shutil

import numpy as np
import pytest
from made_up import a_record
from safetensors.numpy import save_file
from tickets import chapters
from tickets.cells import Cell
from tickets.chapters import collection
from tickets.chapters.collection import Ticket, chains, ticket
from tickets.errors import BadInput, MachineFault
from tickets.files import ROOT, array_digest
from tickets.pruning.imp import starts
from tickets.results.store import Store
from tickets.running import recording
from tickets.running.run import run

STUDY = "01_winning_tickets"
NET = chapters.main(STUDY, "smoke")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store of what chapter 1 trains in its smoke study on LeNet, recorded as in a repository."""
    folder = tmp_path_factory.mktemp("repository")
    store = Store(folder / "local", folder / "book/results")
    run([NET.but(level=level, replicate=r) for level in range(5) for r in range(2)], engine="serial", store=store)
    recording.record(store, STUDY, "smoke")
    return store


@pytest.fixture
def copy(trained, tmp_path):
    """The folder of a repository that may be changed."""
    shutil.copytree(trained.recorded, tmp_path / "book/results")
    return tmp_path


def taken(folder, level=3, **fields) -> Ticket:
    return ticket(STUDY, "LeNet", level, profile="smoke", source=folder, **fields)


def test_a_ticket_begins_as_it_was_trained(trained, copy):
    model, _ = collection.drawn(NET)
    for level in (1, 3, 4):
        cell = NET.but(level=level, replicate=1)
        (start,) = starts([cell], model, trained)
        found = taken(copy, level, replicate=1)
        assert found.cell == cell
        assert found.record["result"]["kept"] == found.mask.kept
        assert array_digest(dict(found.mask)) == array_digest(dict(start.mask))
        assert array_digest(found.mask.apply(found.weights)) == array_digest(start.begun())


def test_level_0_is_the_dense_network(copy):
    found = taken(copy, 0)
    assert found.mask.density == 1.0
    assert found.cell.is_dense
    assert found.record["curves"]["step"][-1] == NET.steps


def test_controls_share_the_mask_or_its_density(copy):
    one, other, spread = taken(copy), taken(copy, arm="reinit", draw=1), taken(copy, arm="random")
    assert array_digest(dict(one.mask)) == array_digest(dict(other.mask)) != array_digest(dict(spread.mask))
    assert spread.mask.counts() == one.mask.counts()
    assert array_digest(one.weights) == array_digest(spread.weights) != array_digest(other.weights)
    assert other.record is None  # it was not trained, and can be all the same


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"level": 5}, "its mask is not recorded"),
        ({"replicate": 7}, "its mask is not recorded"),
        ({"rewind": 5}, "its mask is not recorded"),
        ({"arm": "one_shot"}, "begins from weights that are not recorded"),
        ({"arm": "finetune"}, "begins from weights that are not recorded"),
        ({"arm": "anatomy"}, "a measurement and no network"),
        ({"arm": "golden"}, "unknown arm 'golden'"),
        ({"rewind": "late"}, "step 'late' of LeNet"),
    ],
    ids=str,
)
def test_what_is_not_there_is_one_line(copy, asked, said):
    with pytest.raises(BadInput, match=said) as refused:
        taken(copy, **asked)
    assert "\n" not in str(refused.value)


def test_names_that_do_not_exist(copy, tmp_path):
    with pytest.raises(BadInput, match="unknown study '1': choose from 01_winning"):
        ticket("1", "LeNet", source=copy)
    with pytest.raises(BadInput, match=f"unknown network of {STUDY} 'VGG': choose from LeNet"):
        ticket(STUDY, "VGG", source=copy)
    with pytest.raises(BadInput, match="no unpacked release, it has no folder book/results"):
        taken(tmp_path / "elsewhere")


def test_changed_masks_are_refused(copy):
    (path, *_) = (p for p in sorted((copy / "book/results/masks").iterdir()))
    arrays = dict(np.load(path))
    name = next(iter(arrays))
    arrays[name].flat[0] ^= 1
    np.savez_compressed(path, **arrays)
    said = [refusal(copy, replicate) for replicate in (0, 1)]
    assert sorted(said) == ["", f"{path.name}: not the masks that were recorded"]


def refusal(folder, replicate=0):
    try:
        taken(folder, replicate=replicate)
    except BadInput as error:
        return str(error)
    return ""


def test_masks_that_are_cut_off_are_refused(copy):
    for path in (copy / "book/results/masks").iterdir():
        path.write_bytes(path.read_bytes()[:900])
    assert "not readable" in refusal(copy)


def test_masks_without_a_digest_are_refused(copy):
    (copy / "book/results/masks.json").unlink()
    assert "not the masks that were recorded" in refusal(copy)


def test_a_record_of_other_masks_is_refused(copy):
    path = copy / f"book/results/{STUDY}.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record["result"]["kept"] += 1
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert "its record says" in refusal(copy)


def test_other_initial_weights_are_the_fault_of_this_machine(copy, monkeypatch):
    """A NumPy that draws otherwise from the same seed."""
    drawn = collection.drawn

    def otherwise(cell):
        model, weights = drawn(cell)
        return model, {name: array + np.float32(1e-6) for name, array in weights.items()}

    monkeypatch.setattr(collection, "drawn", otherwise)
    with pytest.raises(MachineFault, match="draws other initial weights than those recorded"):
        taken(copy)


def test_a_rewound_ticket_has_the_recorded_weights(tmp_path):
    """W_k comes out of the file of masks, and must be what its record began from; safetensors serve as well."""
    model, initial = collection.drawn(NET)
    later = {name: array + np.float32(0.5) for name, array in initial.items()}
    levels = {name: np.where(np.arange(array.size).reshape(array.shape) % 5, 255, 1) for name, array in initial.items()}
    cell, recorded = NET.but(level=1, rewind=5), tmp_path / "book/results"
    kept = sum(int((levels[name] == 255).sum()) for name in model.prunable)
    record = a_record(cell, kept=kept)
    record["provenance"]["start"] = array_digest(later)
    (recorded / "masks").mkdir(parents=True)
    (recorded / f"{STUDY}.jsonl").write_text(json.dumps(record) + "\n")
    masks = {f"pruned_at/{name}": levels[name].astype(np.uint8) for name in model.prunable}
    arrays = masks | {f"at_rewind_step/{name}": array for name, array in later.items()}
    save_file(arrays, recorded / f"masks/{cell.key()}.safetensors")
    told = {"masks": array_digest({n.removeprefix("pruned_at/"): a for n, a in masks.items()})}
    told |= {"initial": array_digest(initial)}
    (recorded / "masks.json").write_text(json.dumps({cell.key(): told}))
    found = taken(tmp_path, 1, rewind="k5")
    assert array_digest(found.weights) == array_digest(later)
    assert found.mask.kept == kept
    record["provenance"]["start"] = "0" * 12
    (recorded / f"{STUDY}.jsonl").write_text(json.dumps(record) + "\n")
    collection.released.cache_clear()
    with pytest.raises(BadInput, match="trained from other weights than those recorded"):
        taken(tmp_path, 1, rewind="k5")


def test_chains_are_listed_by_the_names_of_their_networks(copy):
    found = chains("smoke", copy)
    mine = found[found["study"] == STUDY]
    assert mine["network"].tolist() == ["LeNet", "LeNet"]
    assert mine["replicate"].tolist() == [0, 1]
    assert mine["levels"].tolist() == [4, 4]
    assert mine["masks"].tolist() == [True, True]
    assert mine["key"].tolist() == [NET.but(level=4, replicate=r).key() for r in (0, 1)]


def test_chains_without_masks_are_listed_as_such(copy):
    for path in (copy / "book/results/masks").iterdir():
        path.unlink()
    assert not chains("smoke", copy)["masks"].any()


# what this repository has recorded


def test_every_recorded_chain_can_be_taken_at_every_level():
    """Masks of all levels have as many weights as the records of their networks say."""
    listed = chains()
    there = listed[listed["masks"]].drop_duplicates("key")
    store = collection.released(ROOT)
    told = collection.recorded_digests(store)
    assert set(there["key"]) == {path.stem for path in (ROOT / "book/results/masks").iterdir()} == set(told)
    for row in there.itertuples():
        named = chapters.networks("paper")[row.study].cells[row.network]
        last = named.but(replicate=row.replicate, level=row.levels, rewind=row.rewind)
        levels = store.levels(last)
        assert array_digest(levels) == told[row.key]["masks"]
        for level in range(1, row.levels + 1):
            record = store.get(last.but(level=level))
            assert record["result"]["kept"] == sum(int((array > level).sum()) for array in levels.values())


def test_a_recorded_ticket_is_a_line():
    found = ticket(STUDY, "LeNet", level=15, replicate=3)
    assert found.cell == Cell(level=15, replicate=3)
    assert found.mask["fc1.weight"].shape == (300, 784)
    assert found.record["provenance"]["torch"].startswith("2.")
