"""Edge-popup: which scores stay, how they move, its paths and a plain loop, and the dense networks beside it."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from oracle import plain
from small import SMALL, assert_same
from tickets.cells import Cell
from tickets.chapters.popup import arms, dense
from tickets.chapters.popup import search as popup
from tickets.chapters.subsets import searches, sums
from tickets.chapters.supermasks.learned import cosine
from tickets.data import sources
from tickets.data.reader import Reader
from tickets.errors import BadInput
from tickets.nets import models
from tickets.nets.layers import sd
from tickets.pruning import imp, prune
from tickets.pruning.imp import Start
from tickets.pruning.masks import Mask
from tickets.training import checkpoint, train
from tickets.training.flat import Head, Index

RULE = {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-3, "batch": 50, "init": "kaiming"}


def cell(arm="edge_popup", steps=20, precision="float64", **other):
    fields = {"dataset": "digits", "level": 1, "steps": steps, "precision": precision}
    named = {name: other.pop(name) for name in ("replicate", "draw", "model", "batch", "optimizer") if name in other}
    return Cell(**{**RULE, **fields, **named}).but(arm=arm, **other)


def starts(cells, model=SMALL):
    return imp.starts(cells, model, None)


def trained(one, path, model=SMALL, **more):
    return train.train([one], model, starts([one], model), path=path, **more)[0][0]


SEARCHES = ("edge_popup", "edge_popup-mlp")
OWNS = ({"keep": 0.3}, {"keep": 0.5, "constant": True}, {"keep": 0.9, "scaled": True}, {"keep": 1.0})


def head(widths, first):
    """Dense layers, all stored whole."""
    none, no = np.zeros(0, np.int64), np.zeros(len(first), np.int64)
    index = Index(starts=none, places=none.astype(np.int32), starts_at=no, places_at=no)
    dense = np.zeros(len(widths) - 1, bool)
    return Head(np.array(widths), np.array(first), sparse=dense, ahead=index, back=index, order=index.places)


# which scores stay


@pytest.mark.parametrize(
    ("size", "keep", "left"), [(10, 0.5, 5), (5, 0.5, 3), (1000, 0.9, 900), (7, 0.1, 1), (10, 1.0, 10), (3, 0.01, 1)]
)
def test_how_many_stay(size, keep, left):
    """What is left when floor((1 - keep) size) are dropped, whatever 1 - 0.9 is in binary."""
    assert popup.kept(size, keep) == left


def sizes(kind, n=2000):
    """Scores with and without ties, zeros among them."""
    random = np.random.default_rng(1)
    found = random.normal(size=n)
    return {"all unlike": found, "many ties": np.round(found, 1), "all equal": np.ones(n)}[kind]


@pytest.mark.parametrize("kind", ["all unlike", "many ties", "all equal"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 777, 1999, 2000])
def test_the_largest_are_those_of_sorting(kind, precision, count):
    """By tensors and by compiled code: of equal sizes the first in memory goes, as in every mask of this library."""
    scores = sizes(kind).astype(precision)
    wanted = prune.keep_top({"w": np.abs(scores)}, Mask.full({"w": scores.shape}), {"w": count})["w"]
    assert (popup.largest(torch.from_numpy(scores).abs(), count).numpy() == wanted).all()
    flat = np.append(scores, 0).astype(precision)  # a layer of one unit, with its bias
    index = head([len(scores), 1], [0, len(flat)])
    value, frozen = np.full_like(flat, 7), np.append(np.arange(1, len(scores) + 1), 0).astype(precision)
    room = np.zeros(2**16, np.int64), np.zeros_like(flat)
    popup._choose(index, value, flat, popup.bits(flat), frozen, np.array([count]), *room)
    assert (value[:-1] == np.where(wanted, frozen[:-1], 0)).all()


def test_layers_are_cut_each_by_itself():
    found = popup.EdgePopup([cell(keep=0.25)], SMALL, starts([cell(keep=0.25)]))
    masks, signs = found.drawn(found.scores, 0)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "fc1.weight": 640, "fc2.weight": 250, "fc3.weight": 63,
    }  # fmt: skip
    assert (signs["fc1.weight"] == found.scores["fc1.weight"].sign()).all()


# how they move


def test_one_step_by_hand():
    """Scores 0.5 and -0.4, gradients 2 and 3 in the mask: sizes fall by the rate times 2 and 3, and by the decay."""
    one = SimpleNamespace(
        cell=SimpleNamespace(momentum=0.5, weight_decay=0.1),
        scores={"w": torch.tensor([0.5, -0.4])},
        slow={"w": torch.tensor([1.0, 0.0])},
    )
    popup.EdgePopup.learn(one, "w", torch.tensor([2.0, 3.0]), torch.tensor([1.0, -1.0]), 0.1)
    assert one.slow["w"].tolist() == pytest.approx([0.5 + 2 + 0.05, -3 - 0.04])
    assert one.scores["w"].tolist() == pytest.approx([0.5 - 0.255, -0.4 + 0.304])


def test_one_compiled_step_by_hand():
    """The same, where the gradient in the mask is that in the weight, 1 and -1.5, times the frozen weight, 2 and -2."""
    index = head([2, 1], [0, 3])
    scores, slow, frozen = np.array([0.5, -0.4, 0]), np.array([1.0, 0, 0]), np.array([2.0, -2, 0])
    popup._learn(index, scores, slow, frozen, np.array([1.0, -1.5, 9]), 0.1, 0.5, 0.1)
    assert slow.tolist() == pytest.approx([2.55, -3.04, 0])
    assert scores.tolist() == pytest.approx([0.245, -0.096, 0])


class Sizes(torch.autograd.Function):
    """Written anew: 1 where the size of a score is among the largest, and a gradient that does not see it."""

    @staticmethod
    def forward(context, size, count):
        ranks = size.flatten().argsort(stable=True).argsort()
        return (ranks >= size.numel() - count).to(size).view_as(size)

    @staticmethod
    def backward(context, gradient):
        return gradient, None


def by_hand(one, model, network):
    """The scores after all steps of an ordinary torch loop over an ordinary module."""
    begun, reader = starts([one], model)[0].weights, Reader([one], dtype=torch.float64)
    first = popup.first_scores(one, model)
    scores = {name: torch.from_numpy(first[name]).double().requires_grad_() for name in model.prunable}
    frozen = {name: torch.from_numpy(array).double() for name, array in begun.items()}
    own = dict(zip(dict(network.named_parameters()), model.shapes, strict=True))
    optimizer = torch.optim.SGD(scores.values(), lr=1.0, momentum=one.momentum, weight_decay=one.weight_decay)
    for step in range(one.steps):
        optimizer.param_groups[0]["lr"] = one.learning_rate * (1 + np.cos(np.pi * step / one.steps)) / 2
        x, y = reader.batch(torch.tensor([step]))
        params = {}
        for mine, theirs in own.items():
            params[mine] = frozen[theirs]
            if theirs in scores:
                size = scores[theirs].abs()
                params[mine] = frozen[theirs] * Sizes.apply(size, popup.kept(size.numel(), one.own["keep"]))
        logits = torch.func.functional_call(network.double(), params, x[0])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, y[0]).backward()
        optimizer.step()
    return {name: tensor.detach().numpy() for name, tensor in scores.items()}


@pytest.mark.parametrize("own", [own for own in OWNS if "constant" not in own], ids=str)
def test_both_paths_are_a_plain_loop_over_a_module(own):
    """20 steps in float64: scores agree, and all that is recorded of the two paths.

    Not of constants: their sums over whole pixels can be zero but for rounding, which rectifiers do not forgive.
    """
    one = cell(**own, model="lenet-300-100")
    model = models.build(one.model, *sources.described(one.dataset))
    wanted = by_hand(one, model, plain(one.model, (1, 8, 8), 10))
    found = [trained(one, path, model) for path in SEARCHES]
    assert_same(*found)
    for outcome in found:
        for name, scores in wanted.items():
            assert outcome.weights[name] == pytest.approx(scores, abs=1e-10)
        assert not any(outcome.weights[name].any() for name in model.shapes if name.endswith(".bias"))


def test_an_image_network_is_a_plain_loop_too():
    one = cell(dataset="digits16", model="conv-2x32", steps=3, batch=8, keep=0.4, constant=True, augment="flip_crop")
    model = models.build(one.model, *sources.described(one.dataset))
    wanted = by_hand(one, model, plain(one.model, (1, 16, 16), 10))
    found = trained(one, None, model)
    for name, scores in wanted.items():
        assert found.weights[name] == pytest.approx(scores, abs=1e-10)


def test_on_a_pool_it_is_the_search_of_chapter_8_and_no_better_than_every_subset():
    """One unit, input 1, squared distance: the layers' own rule, held to chapter 8's search and to all subsets."""
    P, N, rate = 40, 9, 0.1
    random = np.random.default_rng(2)
    pools, targets = random.uniform(-1, 1, (P, N)), random.uniform(-1, 1, P)
    first = np.random.default_rng(5).uniform(-1, 1, pools.shape) / np.sqrt(N)
    own = SimpleNamespace(numel=N, own={"keep": 0.5})
    one = SimpleNamespace(cells=[own] * P, cell=SimpleNamespace(momentum=0.9, weight_decay=0), dtype=torch.float64)
    one.scores, one.slow = {"w": torch.from_numpy(first.copy())}, {"w": torch.zeros(P, N, dtype=torch.float64)}
    numbers = torch.from_numpy(pools)
    for step in range(searches.STEPS + 1):
        masks, signs = popup.EdgePopup.drawn(one, one.scores, step)
        gap = (masks["w"] * numbers).sum(1) - torch.from_numpy(targets)
        if step < searches.STEPS:
            falling = rate * (1 + np.cos(np.pi * step / searches.STEPS)) / 2
            popup.EdgePopup.learn(one, "w", 2 * gap[:, None] * numbers, signs["w"], falling)
    left = gap.abs().numpy()
    assert left == pytest.approx(searches.edge_popup(pools, targets, np.random.default_rng(5), rate), abs=1e-9)
    five = list(combinations(range(N), 5))
    every = [[abs(sum(pool[i] for i in s) - t) for s in five] for pool, t in zip(pools, targets, strict=True)]
    assert sums.by_size(pools, targets)[:, 5] == pytest.approx(np.min(every, 1))
    for distance, all_of_them in zip(left, every, strict=True):
        assert np.min(np.abs(np.array(all_of_them) - distance)) < 1e-9  # it is one of them
    assert (left < np.median(every, 1)).mean() > 0.8  # and mostly one of the better ones


# a training


def test_where_scores_and_rates_begin():
    one = cell(learning_rate=0.4, steps=4)
    assert cosine(one) == pytest.approx([0.4, 0.2 * (1 + np.sqrt(0.5)), 0.2, 0.2 * (1 - np.sqrt(0.5))])
    first = popup.first_scores(one, SMALL)
    for name, ends in (("fc1.weight", 1 / 8), ("fc2.weight", 40**-0.5)):
        assert 0.98 * ends < np.abs(first[name]).max() <= ends
        assert np.abs(first[name]).mean() == pytest.approx(ends / 2, rel=0.1)
    same, other = popup.first_scores(one.but(keep=0.1), SMALL), popup.first_scores(one.but(draw=1), SMALL)
    assert (same["fc1.weight"] == first["fc1.weight"]).all()
    assert not (other["fc1.weight"] == first["fc1.weight"]).any()
    assert (starts([one])[0].weights["fc1.weight"] == starts([one.but(draw=1)])[0].weights["fc1.weight"]).all()


@pytest.mark.parametrize(
    "own", [{}, {"constant": True}, {"scaled": True, "keep": 0.75}, {"constant": True, "scaled": True}]
)
def test_laws_of_the_weights(own):
    one = cell(**own)
    w0, made = imp.initial(one, SMALL), starts([one])[0].weights
    factor = (1 - one.own["keep"]) ** -0.5 if one.own["scaled"] else 1
    for name in SMALL.prunable:
        size = sd(SMALL.shapes[name], "kaiming")
        wanted = factor * (np.sign(w0[name]) * size if one.own["constant"] else w0[name])
        assert made[name] == pytest.approx(wanted, rel=1e-6)
        assert made[name].dtype == np.float32
    assert sd(SMALL.shapes["fc1.weight"], "kaiming") == pytest.approx((2 / 64) ** 0.5)


@pytest.mark.parametrize("path", SEARCHES)
def test_it_learns_and_a_pause_changes_no_bit(path, tmp_path):
    one = cell(steps=200, precision="float32", constant=True, learning_rate=0.3)
    whole = trained(one, path)
    assert whole.result["test_accuracy_end"] > 60  # chance is 10
    sittings = 0
    while True:
        sittings += 1
        keep = checkpoint.Checkpoint(tmp_path / "part", {"cells": one.key()}, deadline=-np.inf)
        try:
            outcome = trained(one, path, keep=keep)
            break
        except checkpoint.Paused:
            continue
    assert sittings == 20  # one for each pause but the last
    assert outcome.result == whole.result
    assert outcome.curves == whole.curves
    assert all((outcome.weights[name] == whole.weights[name]).all() for name in whole.weights)


@pytest.mark.parametrize("path", SEARCHES)
def test_networks_of_a_population_do_not_mix(path):
    cells = [cell(replicate=r, **own) for r, own in enumerate(OWNS)]
    together = train.train(cells, SMALL, starts(cells), path=path)[0]
    for one, outcome in zip(cells, together, strict=True):
        alone = trained(one, path)
        for name in SMALL.prunable:
            assert outcome.weights[name] == pytest.approx(alone.weights[name], abs=1e-10)


@pytest.mark.parametrize("path", SEARCHES)
def test_the_best_network_is_read_as_it_was(path):
    one = cell(precision="float32")
    found = train.PATHS[path]([one], SMALL, starts([one]))
    found.advance(0, 5)
    before = found.read("test")[1]
    found.remember(np.array([True]))
    found.advance(5, 20)
    assert (found.read("test", best=True)[1] == before).all()
    assert (found.read("test")[1] != before).any()


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adam"},
        {"dropout": 0.5},
        {"rewind": 3},
        {"init": "glorot"},
        {"keep": 0.0},
        {"keep": 1.0, "scaled": True},
    ],
)
def test_what_does_not_fit_is_refused(changes):
    with pytest.raises(BadInput, match=r"edge_popup|keep"):
        cell().but(**changes)
    with pytest.raises(BadInput, match="sampled"):
        cell("sampled")  # decay is for scores that are sizes


def test_paths_are_chosen_by_network_and_device():
    conv = models.build("conv-2x32", (1, 16, 16), 10)
    assert [arms.score_path(*pair) for pair in ((SMALL, "cpu"), (conv, "cpu"), (SMALL, "cuda"))] == [
        "edge_popup-mlp", "edge_popup", "edge_popup",
    ]  # fmt: skip
    assert [arms.dense_path(*pair) for pair in ((SMALL, "cpu"), (conv, "cpu"), (SMALL, "cuda"))] == [
        "plain-mlp", "plain-conv", "plain",
    ]  # fmt: skip
    assert {"sampled", "plain", "edge_popup"} <= set(train.PATHS)
    assert arms.sampled_path(SMALL, "cpu") == "sampled"


# what it is compared with


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("model", ["small", "conv-2x32"])
def test_dense_networks_have_no_biases_and_an_annealed_rate(optimizer, model):
    """Compiled and plain paths agree in float64, and with a loop over weights only."""
    image = {"dataset": "digits16", "model": "conv-2x32", "steps": 3, "batch": 8} if model == "conv-2x32" else {}
    rate = {"learning_rate": 1e-3, "momentum": 0} if optimizer == "adam" else {}
    one = cell("trained", optimizer=optimizer, **image, **rate)
    net = models.build("conv-2x32", (1, 16, 16), 10) if image else SMALL
    paths = ("plain", "plain-conv" if image else "plain-mlp")
    found = [trained(one, path, net) for path in paths]
    for name in net.shapes:
        assert found[0].weights[name] == pytest.approx(found[1].weights[name], abs=1e-9)
        assert found[0].weights[name].any() != name.endswith(".bias")
    assert dense.rates(one)[0] == one.learning_rate
    assert (dense.rates(one)[-1] < one.learning_rate) == (optimizer == "sgd")


def test_sampled_masks_are_those_of_chapter_3_at_an_annealed_rate():
    one = cell("sampled", weight_decay=0, learning_rate=50, constant=True)
    ours, theirs = popup.Annealed([one], SMALL, starts([one])), popup.Supermasks([one], SMALL, starts([one]))
    theirs.rates = cosine(one)
    for network in (ours, theirs):
        network.advance(0, 5)
    assert (ours.scores["fc1.weight"] == theirs.scores["fc1.weight"]).all()
    assert ours.samples == 10
    assert isinstance(starts([one])[0], Start)
