"""Weights W_k at a rewind step: the dense network keeps them for whoever returns there, and loses nobody's results."""

import numpy as np
import pytest
from made_up import record
from tickets.files import array_digest
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.masks import final
from tickets.results.store import Store
from tickets.running.plan import closure, plan
from tickets.training.compiled import Compiled
from tiny import NET, assert_equal_tables, files, serial

K = 8
BACK = [NET.but(level=level, rewind=K) for level in range(1, 4)]
COPY = NET.but(order=1, rewind=5)  # a step at which training does not pause, as it pauses at every one of 20
CELLS = [NET, *BACK[:2], COPY]
OTHER = "0" * 12
"""Digest of weights that nobody has."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All that the tests ask for, run without any loss: its store and its table."""
    store = Store(tmp_path_factory.mktemp("whole"), recorded=None)
    cells = [*CELLS, BACK[2]]
    return store, serial(cells, store)


@pytest.fixture
def taken(monkeypatch):
    """The steps (from, to) that were trained, network by network as they come."""
    real, steps = Compiled.advance, []

    def advance(path, begin, end):
        steps.append((path.cell, begin, end))
        real(path, begin, end)

    monkeypatch.setattr(Compiled, "advance", advance)
    return steps


def at(store, step, dense=NET):
    """The file of the weights of a step."""
    return store.beside(dense, f"{step}.safetensors")


def kept_steps(store, dense=NET):
    """The steps whose weights a store has files of."""
    names = [path.name.split(".") for path in store.local.rglob(f"{dense.key()}.*.safetensors")]
    return sorted(int(step) for _, step, _ in names)


def alone(cell, folder):
    """Final weights of a network that is trained by itself."""
    store = Store(folder, recorded=None)
    serial([cell], store)
    return final(store.tensors(cell))


def assert_equal_arrays(some, others):
    assert set(some) == set(others)
    for name, array in some.items():
        np.testing.assert_array_equal(array, others[name])


def leave_another_start(store, *cells):
    """What some cells left, as if they had begun from other weights than those at hand."""
    for cell in cells:
        store.put_tensors(cell.key(), store.tensors(cell), OTHER)


def contents(store, cells, suffix="json"):
    """What stands in some files, and when it was written."""
    paths = [store.beside(cell, suffix) for cell in cells]
    return [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]


# kept


def test_a_dense_network_keeps_the_steps_that_cells_return_to(whole, tmp_path):
    """And its weights there are those of its own training, to the bit: of a network that ends at the step."""
    store, _ = whole
    assert kept_steps(store) == [5, K]
    assert not [path for cell in (*BACK, COPY) for path in store.local.rglob(f"{cell.key()}.*.safetensors")]
    for cell in (BACK[0], COPY):
        found = store.rewound(cell)
        assert_equal_arrays(found, alone(NET.but(steps=cell.rewind), tmp_path / str(cell.rewind)))
        assert store.start_of(cell) == array_digest(found)
        assert_equal_arrays(imp.returned_to(cell, models.build(NET.model, (1, 8, 8), 10), store), found)
    assert not np.array_equal(store.rewound(BACK[0])["fc1.weight"], final(store.tensors(NET))["fc1.weight"])


def test_keeping_them_changes_no_bit_of_the_dense_network(whole, store):
    serial([NET], store)
    assert kept_steps(store) == []
    assert_equal_tables(store.table([NET]), whole[0].table([NET]))
    assert_equal_arrays(store.tensors(NET), whole[0].tensors(NET))


def test_records_say_which_weights_they_began_from(whole):
    store, _ = whole
    for cell in (*BACK, COPY):
        assert store.get(cell)["provenance"]["start"] == store.start_of(cell) != ""
    assert "start" not in store.get(NET)["provenance"]


def test_a_measurement_finds_them_too(store):
    line = NET.but(arm="chord", level=1, rewind=K, points=3)
    assert serial([line], store)["key"].tolist() == [line.key()]
    assert kept_steps(store) == [K]


# lost


def spoil(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("lose", [lambda path: path.unlink(), spoil], ids=["gone", "damaged"])
def test_what_is_lost_is_trained_again_up_to_its_step_only(whole, store, taken, lose):
    """The record of the dense network, its final weights and the other steps stay as they are."""
    serial(CELLS, store)
    kept, first = contents(store, [NET]), at(store, K).read_bytes()
    beside = contents(store, [NET], "safetensors"), contents(store, [NET], "5.safetensors")
    lose(at(store, K))
    assert plan(CELLS, store) == []  # nobody asks for it any more
    assert plan([*CELLS, BACK[2]], store) == [(NET,), (BACK[2],)]
    taken.clear()
    assert_equal_tables(serial([*CELLS, BACK[2]], store), whole[1])
    assert max(end for cell, _, end in taken if cell == NET) == K
    assert contents(store, [NET]) == kept
    assert (contents(store, [NET], "safetensors"), contents(store, [NET], "5.safetensors")) == beside
    assert at(store, K).read_bytes() == first
    assert {cell for cell, *_ in taken} == {NET, BACK[2]}


def test_a_step_that_is_asked_for_later_is_trained_up_to_it(whole, store, taken):
    serial([NET], store)
    kept = contents(store, [NET])
    taken.clear()
    serial([NET, COPY], store)
    assert max(end for cell, _, end in taken if cell == NET) == COPY.rewind
    assert contents(store, [NET]) == kept
    assert_equal_tables(store.table([COPY]), whole[0].table([COPY]))


def test_of_several_lost_steps_the_last_is_as_far_as_it_goes(store, taken):
    serial(CELLS, store)
    for step in (5, K):
        at(store, step).unlink()
    taken.clear()
    serial([*CELLS, BACK[2], COPY.but(order=2)], store)
    assert max(end for cell, _, end in taken if cell == NET) == K
    assert kept_steps(store) == [5, K]


# another start


def undisturbed(whole, store):
    """Whether a store has the whole chain as if nothing had been lost."""
    assert_equal_tables(store.table([*CELLS, BACK[2]]), whole[1])
    for cell in BACK:
        assert store.has_tensors(cell)
        assert_equal_arrays(store.tensors(cell), whole[0].tensors(cell))


def test_a_chain_that_began_elsewhere_begins_anew(whole, store, computed):
    """From level 1, with the weights at hand; what was recorded of it first stays."""
    serial(CELLS, store)
    kept = contents(store, CELLS)
    leave_another_start(store, *BACK[:2])
    assert [store.has_tensors(cell) for cell in BACK[:2]] == [False, False]
    assert plan(CELLS, store) == []
    assert plan([*CELLS, BACK[2]], store) == [(cell,) for cell in BACK]
    computed.cells.clear()
    serial([*CELLS, BACK[2]], store)
    assert computed.cells == BACK
    assert contents(store, CELLS) == kept
    undisturbed(whole, store)


def test_weights_that_come_out_as_others_have_the_run_plan_again(whole, store, computed):
    """The chain seemed whole while its W_k was lost; trained again it has another digest."""
    serial(CELLS, store)
    kept = contents(store, CELLS)
    leave_another_start(store, *BACK[:2])
    at(store, K).unlink()
    assert plan([*CELLS, BACK[2]], store) == [(NET,), (BACK[2],)]
    computed.cells.clear()
    said = []
    serial([*CELLS, BACK[2]], store, say=said.append)
    assert computed.cells == [NET, *BACK]
    assert said == []
    assert contents(store, CELLS) == kept
    undisturbed(whole, store)


def test_first_records_stay_where_the_new_chain_differs(store, capfd):
    serial(CELLS, store)
    record = store.get(BACK[0])
    record["result"]["test_accuracy"] = 12.5
    store.put(record)
    leave_another_start(store, *BACK[:2])
    capfd.readouterr()
    serial([*CELLS, BACK[2]], store)
    assert store.get(BACK[0])["result"]["test_accuracy"] == 12.5
    assert f"trained again: {BACK[0]}: test_accuracy: 12.5 here" in capfd.readouterr().err


BRANCHES = [
    BACK[1].but(order=1),
    BACK[1].but(arm="finetune"),
    BACK[1].but(arm="pulled", pull=1.0),
    BACK[0].but(arm="chord", points=3),
    BACK[0].but(arm="rounds", points=3),
    BACK[1].but(arm="descent", points=3),
    BACK[1].but(arm="anatomy"),
    BACK[1].but(arm="random"),
]


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda cell: cell.arm)
def test_branches_of_a_chain_that_began_elsewhere_are_no_failures(store, branch):
    """Whatever it needs of the chain, a branch gets it in the same run."""
    serial(CELLS, store)
    leave_another_start(store, *BACK[:2])
    at(store, K).unlink()
    said = []
    assert len(serial([*CELLS, branch], store, say=said.append)) == len(CELLS) + 1
    assert said == []


# recorded


def test_a_recorded_unfinished_chain_goes_on_from_machine_to_machine(whole, both, tmp_path):
    """With its weights, and without the dense network that passed through them."""
    cells = [NET, *BACK]
    serial(cells[:2], both)
    record(both, cells, NET)
    for ticket in BACK[1:]:
        there = Store(tmp_path / str(ticket.level), both.recorded)
        assert there.start_of(ticket) == whole[0].start_of(ticket)
        assert plan([ticket], there) == [(ticket,)]
        serial([ticket], there)
        assert set(files(there)) == {f"{ticket.key()}.json"}
        assert_equal_tables(there.table([ticket]), whole[0].table([ticket]))
        record(there, cells, NET)


def test_of_a_recorded_dense_network_no_more_is_trained_than_is_asked_for(both, tmp_path, taken):
    """Its final weights are not there either, but nobody wants them."""
    branch = BACK[0].but(arm="random")
    serial([NET, BACK[0]], both)
    record(both, [NET, BACK[0], branch], NET)
    there = Store(tmp_path / "there", both.recorded)
    assert plan([branch], there) == [(NET,), (branch,)]
    taken.clear()
    serial([branch], there)
    assert max(end for cell, _, end in taken if cell == NET) == K
    assert set(files(there)) == {f"{branch.key()}.json"}


# of another draw


REINIT = NET.but(arm="reinit", level=1, rewind=K, draw=1)
TRUNK = NET.but(draw=1, steps=K)


def test_a_reinitialized_arm_returns_to_a_dense_network_of_its_draw_that_ends_there(store, tmp_path):
    assert REINIT.parents() == [TRUNK, BACK[0]]
    assert closure([REINIT]) == [TRUNK, NET, BACK[0], REINIT]
    line = REINIT.but(arm="chord", subject="reinit")
    assert line.parents() == [TRUNK, REINIT, REINIT.but(order=1)]
    assert REINIT.but(rewind=0).parents() == [NET.but(level=1)]
    serial([REINIT], store)
    model = models.build(NET.model, (1, 8, 8), 10)
    found = final(store.tensors(TRUNK))
    for cell in (REINIT, REINIT.but(order=1), line):
        assert_equal_arrays(imp.returned_to(cell, model, store), found)
        assert store.start_of(cell) == array_digest(found)
    assert store.get(REINIT)["provenance"]["start"] == array_digest(found)
    assert kept_steps(store, TRUNK) == kept_steps(store, NET.but(draw=1)) == []
    path = Compiled([NET.but(draw=1)], model, imp.starts([NET.but(draw=1)], model, store))
    path.advance(0, K)  # the whole network of that draw passes through them
    assert_equal_arrays(found, path.weights()[0])
    assert not np.array_equal(found["fc1.weight"], store.rewound(BACK[0])["fc1.weight"])


def test_a_dense_network_of_another_draw_that_is_lost_is_trained_again(store):
    serial([REINIT], store)
    kept = contents(store, [TRUNK, REINIT])
    store.beside(TRUNK, "safetensors").unlink()
    assert store.rewound(REINIT) is None
    copy = REINIT.but(order=1)
    assert plan([REINIT, copy], store) == [(TRUNK,), (copy,)]
    serial([REINIT, copy], store)
    assert contents(store, [TRUNK, REINIT]) == kept
    assert store.has_tensors(TRUNK)
