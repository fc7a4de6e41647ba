"""Recording: what is finished goes into the committed layer, thin, once, and with the masks that others need."""

import json
from zipfile import ZIP_LZMA, ZipFile

import numpy as np
import pytest
from made_up import CHAIN, NET, a_record, put, record, tensors_of, weights_of
from tickets.cells import Cell
from tickets.files import array_digest
from tickets.pruning.masks import mask_at
from tickets.results import records
from tickets.results.store import Store


@pytest.fixture
def both(tmp_path):
    """A store with an empty local and an empty recorded layer."""
    return Store(tmp_path / "local", tmp_path / "recorded")


def test_recording_keeps_what_was_recorded(both):
    put(both, NET, test_accuracy=90.0)
    assert record(both, [NET, NET.but(replicate=1)]) == 1
    before = (both.recorded / "01_study.jsonl").read_text()
    put(both, NET, test_accuracy=99.0)
    put(both, NET.but(replicate=1), test_accuracy=80.0)
    assert record(both, [NET, NET.but(replicate=1)]) == 2
    after = (both.recorded / "01_study.jsonl").read_text()
    assert before in after
    fresh = Store(both.local / "none", both.recorded)
    assert fresh.table([NET, NET.but(replicate=1)])["test_accuracy"].tolist() == [90.0, 80.0]
    assert record(both, []) == 2  # nothing to add, nothing lost
    assert (both.recorded / "01_study.jsonl").read_text() == after


def test_recorded_curves_are_thin_and_keep_their_ends(both):
    put(both, NET, points=500)
    record(both, [NET])
    curves = Store(both.local / "none", both.recorded).get(NET)["curves"]
    assert {name for name, values in curves.items() if len(values) > records.POINTS} == set()
    assert all(len(values) > 20 for values in curves.values())
    assert (curves["step"][0], curves["step"][-1]) == (3, 1500)
    assert len(curves["step"]) == len(curves["validation_loss"]) == len(curves["validation_accuracy"])
    full = dict(zip(a_record(NET)["curves"]["step"], a_record(NET)["curves"]["validation_loss"], strict=True))
    for step, loss in zip(curves["step"], curves["validation_loss"], strict=True):
        assert loss == pytest.approx(full[step], rel=1e-4)
    stairs = a_record(NET)["curves"]["best_step"]
    assert curves["best_step"] == stairs[-records.POINTS :]  # the end of the staircase, unthinned
    json.dumps(curves, allow_nan=False)


def test_both_layers_give_one_table(both):
    cells = [*CHAIN, NET.but(arm="reinit", level=2, draw=1), NET.but(order=1)]
    for i, cell in enumerate(cells):
        put(both, cell, test_accuracy=90 + i / 7)
    local = both.table(cells)
    record(both, cells)
    recorded = Store(both.local / "none", both.recorded).table(cells)
    exact = [*Cell().to_dict(), "key", "registration", "device", "early_stop_step", "kept", "diverged"]
    assert local[exact].astype(str).equals(recorded[exact].astype(str))
    assert recorded["test_accuracy"].tolist() == pytest.approx(local["test_accuracy"].tolist(), rel=1e-6)
    assert {name: str(kind) for name, kind in recorded.dtypes.items()} == {n: str(k) for n, k in local.dtypes.items()}


def test_wrong_images_are_kept_where_rungs_are_compared(both):
    cells = [NET, NET.but(level=3), NET.but(level=7)]
    for cell in cells:
        put(both, cell)
    record(both, cells)
    found = Store(both.local / "none", both.recorded).table(cells)["wrong"].tolist()
    assert found == [[3, 14, 15], [], [3, 14, 15]]


def test_the_deepest_masks_of_a_chain_are_recorded(both):
    for cell in CHAIN:
        put(both, cell)
    record(both, CHAIN)
    (path,) = (both.recorded / "masks").iterdir()
    assert path.name == f"{CHAIN[3].key()}.npz"
    assert {member.compress_type for member in ZipFile(path).infolist()} == {ZIP_LZMA}
    fresh = Store(both.local / "none", both.recorded)
    for cell in CHAIN:
        for name, array in mask_at(fresh.levels(cell), cell.level).items():
            np.testing.assert_array_equal(array, tensors_of(cell)[f"pruned_at/{name}"] == 255)
    assert not fresh.has_tensors(CHAIN[3])  # masks alone are not what a next network starts from
    with pytest.raises(KeyError):
        fresh.tensors(CHAIN[3])
    for other in (NET.but(level=4), NET.but(level=2, replicate=1), NET.but(level=2, rewind=5)):
        assert fresh.levels(other) is None


def test_a_chain_that_another_study_recorded_further_on_gets_no_second_file(both):
    """Trained again, its networks have tensors here; a study that reads half of them records their deepest in vain."""
    for cell in CHAIN:
        put(both, cell)
    record(both, CHAIN)
    before = sorted(path.name for path in (both.recorded / "masks").iterdir())
    record(both, [*CHAIN[:2], NET.but(arm="random", level=1)], study="02_other")
    assert sorted(path.name for path in (both.recorded / "masks").iterdir()) == before


def test_masks_are_recorded_with_their_digests(both):
    """A file that was changed since is not declared right by the next recording; that of a longer chain has its own."""
    for cell in CHAIN[:3]:
        put(both, cell)
    record(both, CHAIN)
    told = lambda: json.loads((both.recorded / "masks.json").read_text())  # noqa: E731
    (key,) = told()
    levels = {n.removeprefix("pruned_at/"): a for n, a in tensors_of(CHAIN[2]).items() if n.startswith("pruned_at/")}
    assert (key, told()[key]["masks"]) == (CHAIN[2].key(), array_digest(levels))
    before, path = told(), both.masks_file(CHAIN[2])
    arrays = arrays_of(both, CHAIN[2])
    np.savez_compressed(path, **{name: array + (array == 1).astype(array.dtype) for name, array in arrays.items()})
    record(both, CHAIN)
    assert told() == before
    put(both, CHAIN[3])
    record(both, CHAIN)
    assert list(told()) == [CHAIN[3].key()]
    assert told()[CHAIN[3].key()]["initial"] == before[key]["initial"]


def test_copies_are_no_links_of_a_chain(both):
    """A ticket in a second order has the masks of the first: one file a chain, that of the ticket others start from."""
    copy = CHAIN[3].but(order=1)
    for cell in (*CHAIN, copy, NET.but(level=1, rewind=5)):
        put(both, cell)
    record(both, [*CHAIN, copy, NET.but(level=1, rewind=5), NET.but(level=2, rewind=5)])
    kept = {path.stem for path in (both.recorded / "masks").iterdir()}
    assert kept == {CHAIN[3].key(), NET.but(level=1, rewind=5).key()}
    fresh = Store(both.local / "none", both.recorded)
    assert fresh.levels(NET.but(level=2, rewind=5)) is None
    assert fresh.levels(NET.but(level=1, rewind=5)) is not None


def test_a_cell_of_two_studies_is_recorded_once(both, tmp_path):
    """Whichever study records it first keeps it, whatever another machine makes of it later."""
    put(both, NET, test_accuracy=90.0)
    record(both, [NET])
    there = Store(tmp_path / "there", both.recorded)
    put(there, NET, test_accuracy=80.0)
    assert record(there, [NET], study="02_study") == 0
    assert record(there, [NET]) == 1
    assert Store(tmp_path / "none", both.recorded).get(NET)["result"]["test_accuracy"] == 90.0


def test_masks_of_other_chains_go_when_nothing_is_left_to_start_from_them(both):
    """A chapter's main network keeps its masks; a chain that is only read beside it keeps them for its branches."""
    other = [cell.but(optimizer="sgd", learning_rate=0.8) for cell in CHAIN]
    branch = other[2].but(arm="reinit", draw=1)
    for cell in (*CHAIN, *other):
        put(both, cell)
    masks = lambda: {path.stem for path in (both.recorded / "masks").iterdir()}  # noqa: E731
    record(both, [*CHAIN, *other, branch])
    assert masks() == {CHAIN[3].key(), other[3].key()}
    assert Store(both.local / "none", both.recorded).levels(other[2]) is not None
    put(both, branch)
    record(both, [*CHAIN, *other, branch])
    assert masks() == {CHAIN[3].key()}
    record(both, [*CHAIN, *other, branch])
    assert masks() == {CHAIN[3].key()}


def test_an_unfinished_chain_is_recorded_with_what_the_next_network_needs(both):
    for cell in CHAIN[:3]:
        put(both, cell)
    record(both, CHAIN)
    fresh = Store(both.local / "none", both.recorded)
    assert [fresh.has_tensors(cell) for cell in CHAIN] == [False, False, True, False]
    for name, array in tensors_of(CHAIN[2]).items():
        np.testing.assert_array_equal(fresh.tensors(CHAIN[2])[name], array)
    assert fresh.levels(CHAIN[3]) is None
    put(both, CHAIN[3])
    record(both, CHAIN)
    assert len(list((both.recorded / "masks").iterdir())) == 1
    grown = Store(both.local / "none", both.recorded)
    assert not any(grown.has_tensors(cell) for cell in CHAIN)
    assert grown.levels(CHAIN[3]) is not None


def test_masks_are_not_dropped_for_masks_that_are_not_there(both):
    for cell in CHAIN[:3]:
        put(both, cell)
    record(both, CHAIN)
    both.put(a_record(CHAIN[3]))  # a record that came without its tensors
    record(both, CHAIN)
    assert Store(both.local / "none", both.recorded).levels(CHAIN[2]) is not None


def test_registrations_travel_with_records(both):
    then, unused = both.register({"L1": "abc"}), both.register({"L1": "other"})
    both.put(a_record(NET, registration=then))
    record(both, [NET])
    fresh = Store(both.local / "none", both.recorded)
    assert fresh.registrations() == {then: {"L1": "abc"}}
    assert both.registrations() == {then: {"L1": "abc"}, unused: {"L1": "other"}}


def test_studies_do_not_disturb_each_other(both):
    put(both, NET)
    put(both, NET.but(replicate=1))
    record(both, [NET])
    first = (both.recorded / "01_study.jsonl").read_bytes()
    record(both, [NET.but(replicate=1)], study="02_study")
    assert (both.recorded / "01_study.jsonl").read_bytes() == first
    assert len((both.recorded / "02_study.jsonl").read_text().splitlines()) == 1


# weights at a rewind step

STEP = 20
BACK = [NET.but(level=level, rewind=STEP) for level in range(1, 4)]


def arrays_of(store, cell):
    """The arrays in the file of a chain's masks."""
    return dict(np.load(store.masks_file(cell)))


def assert_equal_arrays(some, others):
    assert set(some) == set(others)
    for name, array in some.items():
        np.testing.assert_array_equal(array, others[name])


def test_an_unfinished_chain_is_recorded_with_the_weights_it_returns_to(both):
    both.put_rewound(NET, STEP, weights_of(STEP))
    for cell in (NET, BACK[0]):
        put(both, cell)
    record(both, [NET, *BACK])
    fresh = Store(both.local / "none", both.recorded)
    for cell in (*BACK, BACK[1].but(order=1), NET.but(order=1, rewind=STEP), BACK[0].but(arm="random")):
        assert_equal_arrays(fresh.rewound(cell), weights_of(STEP))
        assert fresh.start_of(cell) == array_digest(weights_of(STEP))
    for cell in (NET.but(level=1, rewind=STEP + 1), BACK[0].but(replicate=1), BACK[0].but(learning_rate=0.1)):
        assert fresh.rewound(cell) is None
    assert_equal_arrays(fresh.tensors(BACK[0]), tensors_of(BACK[0]))  # and they are no part of what the ticket left
    assert fresh.levels(BACK[0]) is not None


def test_local_weights_go_over_recorded_ones(both):
    both.put_rewound(NET, STEP, weights_of(STEP))
    put(both, BACK[0])
    record(both, BACK)
    there = Store(both.local / "there", both.recorded)
    there.put_rewound(NET, STEP, weights_of(STEP + 1))
    assert_equal_arrays(there.rewound(BACK[1]), weights_of(STEP + 1))
    there.beside(NET, f"{STEP}.safetensors").write_bytes(b"")
    assert_equal_arrays(there.rewound(BACK[1]), weights_of(STEP))


def test_a_finished_chain_is_recorded_without_them(both):
    both.put_rewound(NET, STEP, weights_of(STEP))
    for cell in BACK:
        put(both, cell)
    record(both, [*BACK, BACK[2].but(arm="random")])
    assert {name.split("/")[0] for name in arrays_of(both, BACK[2])} == {"pruned_at"}
    assert Store(both.local / "none", both.recorded).rewound(BACK[2]) is None


def test_a_chain_that_grows_elsewhere_keeps_the_recorded_weights(both, tmp_path):
    """Where nobody has the dense network that passed through them."""
    both.put_rewound(NET, STEP, weights_of(STEP))
    put(both, BACK[0])
    record(both, BACK)
    there = Store(tmp_path / "there", both.recorded)
    put(there, BACK[1])
    record(there, BACK)
    assert [path.stem for path in (both.recorded / "masks").iterdir()] == [BACK[1].key()]
    fresh = Store(tmp_path / "none", both.recorded)
    assert_equal_arrays(fresh.rewound(BACK[2]), weights_of(STEP))
    assert_equal_arrays(fresh.tensors(BACK[1]), tensors_of(BACK[1]))


def test_a_cell_may_wait_for_a_dense_network_of_another_draw(both):
    """Its trunk is no link of any chain."""
    waiting = NET.but(arm="reinit", level=2, draw=1, rewind=6)
    assert any(parent.draw and not parent.level for parent in waiting.parents())
    put(both, NET)
    assert record(both, [NET, waiting]) == 1
