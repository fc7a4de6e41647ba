"""Copies: they share everything up to the rewind step, begin anew there, and leave what is measured."""

import numpy as np
import pytest
import torch
import twin
from chords import CHORDS, COPIES, IMAGE_NET, MODEL, NET, PLANE, TICKET, K, assert_equal, differ, ends, final_of, trunk
from oracle import load_replicate, plain
from small import assert_close, starts_of
from tickets.arms import ARMS
from tickets.connectivity.mixtures import Mixtures
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.running import plan, run, work
from tickets.training.train import train


def start_of(cell, store):
    return imp.starts([cell], MODEL, store)[0]


@pytest.fixture
def calls(monkeypatch):
    """What is trained: (cells, step at which it stops)."""
    seen, original = [], work.train

    def watched(cells, *rest, stop, **named):
        seen.append((*cells, stop))
        return original(cells, *rest, stop=stop, **named)

    monkeypatch.setattr(work, "train", watched)
    return seen


# from a common step


def test_the_ends_are_those_that_the_cell_says():
    """A dense network that is copied at a later step went on with its optimizer: both of its copies are made anew."""
    assert ends(CHORDS[0]) == [NET, NET.but(order=1)]
    assert ends(CHORDS[1]) == COPIES == [NET.but(order=2, rewind=K), NET.but(order=1, rewind=K)]
    assert ends(CHORDS[2].but(points=11)) == [TICKET, TICKET.but(order=1)]
    assert ends(CHORDS[3]) == [TICKET.but(arm="random"), TICKET.but(arm="random", order=1)]
    assert ends(CHORDS[4]) == [TICKET.but(arm="reinit", draw=1, order=order) for order in (0, 1)]
    assert ends(CHORDS[5]) == [TICKET, TICKET.but(level=3)]
    assert ends(CHORDS[6]) == [NET, TICKET]
    assert ends(PLANE) == [NET, NET.but(order=1, rewind=K), TICKET]


@pytest.mark.parametrize("cell", COPIES, ids=["two", "one"])
def test_a_copy_is_its_trunk_up_to_the_rewind_step(measured, cell):
    start = start_of(cell, measured)
    assert cell.first_step == K
    assert start.mask.density == 1
    assert_equal(start.weights, trunk())
    own = [Start(imp.initial(NET, MODEL), start.mask)]
    other = train([cell.but(rewind=0)], MODEL, own, saves=(K,), stop=K)[0][0]
    assert differ(start.weights, other.saved[K])  # the trunk is the order of the dense network, not the copy's


@pytest.mark.parametrize("cell", COPIES, ids=["two", "one"])
def test_a_copy_begins_with_a_new_optimizer(measured, cell):
    """As anybody would train it: a new Adam on W_k, and the steps from k on of the copy's own order."""
    W_k = {name: torch.from_numpy(array)[None] for name, array in trunk().items()}
    module = load_replicate(plain(NET.model, (1, 8, 8), 10), W_k, 0)
    twin.train(cell, module, {}, start=K)
    params = [p.detach().numpy() for p in module.parameters()]
    found = final_of(measured, cell)
    assert_close({name: found[name] for name in W_k}, dict(zip(W_k, params, strict=True)), 1e-10)


def test_the_dense_network_keeps_its_optimizer(measured):
    """So it is no copy of its own order: begun anew at W_k, that ends elsewhere."""
    anew = NET.but(arm="random", rewind=K)  # the same order of the data, from step k on
    again = train([anew], MODEL, [Start(trunk(), imp.dense_mask(MODEL))])[0][0].weights
    assert differ(again, final_of(measured, NET))


def test_copies_go_their_own_way_after_it(measured):
    networks = [final_of(measured, cell) for cell in (NET, NET.but(order=1), *COPIES)]
    for i, one in enumerate(networks):
        for other in networks[:i]:
            assert differ(one, other)
    tickets = [final_of(measured, TICKET.but(order=order)) for order in (0, 1)]
    assert differ(*tickets)
    for name in MODEL.prunable:
        np.testing.assert_array_equal(tickets[0][name] == 0, tickets[1][name] == 0)


def test_branches_return_to_the_rewind_step_of_their_own_trunk(measured):
    ticket, random, reinit = (TICKET.but(arm=arm, draw=int(arm == "reinit")) for arm in ("ticket", "random", "reinit"))
    starts = {cell.arm: start_of(cell, measured) for cell in (ticket, random, reinit)}
    assert_equal(starts["ticket"].weights, trunk())
    assert_equal(starts["random"].weights, trunk())
    assert_equal(starts["reinit"].weights, trunk(draw=1))
    counts = [start.mask.counts() for start in starts.values()]
    assert counts[0] == counts[1] == counts[2]
    assert any((starts["ticket"].mask[name] != starts["random"].mask[name]).any() for name in MODEL.prunable)


# the trunk


def test_trunks_are_trained_once_and_as_if_alone(store, calls):
    """By the dense network itself, whoever comes to return to its weights."""
    branches = [TICKET, TICKET.but(order=1), TICKET.but(level=1), COPIES[1], TICKET.but(level=1, rewind=K - 1)]
    run.run([*branches, *(cell.but(replicate=1) for cell in branches[2:])], engine="serial", store=store)
    assert sorted(call[0].replicate for call in calls if call[0].is_dense and not call[0].order) == [0, 1]
    assert {call[-1] for call in calls} == {None}  # whole trainings, all of them
    for cell in branches:
        assert_equal(store.rewound(cell), trunk(cell.rewind))
    assert differ(store.rewound(TICKET.but(replicate=1)), trunk())


def test_a_trunk_is_trained_once_for_all_branches_to_come(store, calls):
    """Of another step it is trained again, no further than that; so is one that is cut off."""
    train_all = lambda *cells: run.run(cells, engine="serial", store=store)  # noqa: E731
    train_all(TICKET)
    first, record = store.rewound(TICKET), store.get(NET)
    del calls[:]
    train_all(TICKET.but(order=1), TICKET.but(arm="random"), *COPIES)
    assert not [call for call in calls if call[0] == NET]
    earlier, redrawn = NET.but(order=1, rewind=K - 1), TICKET.but(arm="reinit", draw=1)
    train_all(earlier, redrawn)
    stopped = redrawn.trunk()
    assert [call for call in calls if not call[0].rewind] == [(NET, K - 1), (stopped, None)]
    assert stopped == NET.but(draw=1, steps=K)
    for other in (earlier, redrawn):
        assert differ(store.rewound(other), first)
    path = store.beside(NET, f"{K}.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    assert store.rewound(TICKET) is None
    del calls[:]
    train_all(NET.but(order=3, rewind=K))
    assert calls == [(NET, K), (NET.but(order=3, rewind=K), None)]
    assert_equal(store.rewound(TICKET), first)
    assert store.get(NET) == record


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_trunk_on_a_gpu_has_the_bits_of_the_network_it_belongs_to(monkeypatch):
    """Whoever its neighbours are: otherwise copies would differ in more than their order."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    cells = [IMAGE_NET.but(precision="float32", steps=40, replicate=r) for r in range(3)]
    model = models.build("resnet-20", (1, 8, 8), 10)
    starts = starts_of(cells, [imp.dense_mask(model)] * 3, model)
    together = train(cells, model, starts, "cuda", saves=(30,), stop=30)[0]
    for cell, start, other in zip(cells, starts, together, strict=True):
        alone = train([cell], model, [start], "cuda", saves=(30,), stop=30)[0][0]
        assert_close(alone.saved[30], other.saved[30], 0)


def test_a_restarted_ticket_has_all_its_steps_from_the_rewind_step_on(store):
    again = TICKET.but(schedule="restarted")
    assert ARMS["ticket"].parents(again) == [TICKET.but(level=1)]
    assert again.parents() == [NET, TICKET.but(level=1)]
    assert again.first_step == 0
    run.run([TICKET, again], engine="serial", store=store)
    assert_equal(start_of(again, store).weights, trunk())
    assert differ(final_of(store, TICKET), final_of(store, again))
    steps = store.curves([TICKET, again], "step", "validation_loss").groupby("schedule")["step"].agg(["min", "max"])
    assert steps["min"].to_dict() == {"resumed": K + 1, "restarted": 1}
    assert set(steps["max"]) == {20}


# which networks leave tensors


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_networks_that_are_measured_leave_their_tensors(store, engine):
    random, other = NET.but(arm="random", level=1), NET.but(arm="random", level=1, draw=1)
    chord = NET.but(arm="chord", level=1, subject="random")
    run.run([random, other], engine="serial", store=store)
    assert not store.has_tensors(random)  # nothing starts from it
    before = store.get(random)["result"]
    run.run([chord], engine=engine, workers=1, store=store)
    assert [store.has_tensors(cell) for cell in (*ends(chord), other)] == [True, True, False]
    assert store.get(random)["result"] == before
    assert plan.plan([chord], store) == []


def test_normalization_statistics_are_among_the_tensors(store, few_digits):
    model = models.build("resnet-20", (1, 8, 8), 10)
    run.run([IMAGE_NET.but(level=1)], engine="serial", store=store)
    for cell in (IMAGE_NET, IMAGE_NET.but(level=1)):
        found = final_of(store, cell)
        assert set(found) == {*model.shapes, *model.buffers(1)}
        assert np.abs(found["conv1.norm.running_mean"]).max() > 1e-3
        mixtures = Mixtures(cell, model, [found])
        loss, predicted = mixtures.read(np.ones((1, 1)), "test")
        accuracy = 100 - mixtures.errors(loss, predicted, "test")[0]
        assert accuracy == pytest.approx(store.get(cell)["result"]["test_accuracy_end"])
