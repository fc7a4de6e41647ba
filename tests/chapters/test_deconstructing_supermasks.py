"""Learned masks: their draws, their gradient, where they pause, what they read; and masks of untrained weights."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import torch
from small import SMALL
from tickets import chapters
from tickets.cells import Cell
from tickets.chapters.supermasks import learned, untrained
from tickets.chapters.supermasks.learned import Places, Supermasks, uniform
from tickets.data import dataset
from tickets.data.reader import Reader
from tickets.errors import BadInput
from tickets.evidence import claims
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.pruning.masks import Mask
from tickets.running.work import compute
from tickets.training import checkpoint, train

CELL = Cell(
    dataset="digits", arm="supermask", level=1, optimizer="sgd", learning_rate=100, momentum=0.9, batch=50, steps=40
)
KINDS = [{}, {"constant": True}, {"rescaled": True}, {"constant": True, "rescaled": True}]


def starts(cells, model=SMALL):
    return [Start(imp.initial(cell, model), imp.dense_mask(model)) for cell in cells]


def networks(*cells, model=SMALL):
    return Supermasks(cells, model, starts(cells, model))


def trained(*cells, **more):
    return train.train(list(cells), SMALL, starts(cells), **more)


# draws


def drawn(n, key, count, first=0):
    return uniform(n, torch.tensor([key]), count, first)[0]


def test_draws_of_a_gpu_are_those_of_a_cpu(tmp_path):
    """The source that a GPU compiles, by another compiler of its language."""
    if not (compiler := shutil.which("c++")):
        pytest.skip("needs a C++ compiler")
    entry = 'extern "C" long long entry(long long p, long long k, long long c) { return hashed<long long>(p, k, c); }'
    (tmp_path / "hash.cpp").write_text(learned.HASH + entry)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "hash.so", tmp_path / "hash.cpp"], check=True)
    hashed = ctypes.CDLL(tmp_path / "hash.so").entry
    hashed.argtypes, hashed.restype = [ctypes.c_longlong] * 3, ctypes.c_longlong
    for key, count in ((12345, 77), (2**32 - 1, learned.READING + 9), (0, 0)):
        found = [hashed(place, key, count) * 2.0**-24 for place in range(1000, 6000)]
        assert drawn(5000, key, count, 1000).tolist() == found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_draws_on_a_gpu():
    keys = torch.tensor([12345, 2**32 - 1, 0])
    for count in (77, learned.READING + 9):
        here = uniform(5000, keys, count, 1000)
        assert (uniform(5000, keys.cuda(), count, 1000).cpu() == here).all()
        assert (uniform(5000, keys.cuda(), torch.tensor([count]).cuda(), 1000).cpu() == here).all()


def test_draws_are_uniform_and_know_network_step_and_place():
    one = drawn(200_000, 3, 1).double()
    assert 0 <= one.min() < one.max() < 1
    assert np.quantile(one, np.linspace(0.1, 0.9, 9)) == pytest.approx(np.linspace(0.1, 0.9, 9), abs=0.005)
    for other in (drawn(200_000, 3, 2), drawn(200_000, 4, 1)):
        assert abs(np.corrcoef(one, other.double())[0, 1]) < 0.01
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.01
    assert (drawn(100, 3, 1, 50).double() == one[50:150]).all()
    together = uniform(100, torch.tensor([3, 4]), 1, 0)
    assert (together == torch.stack([one[:100].float(), drawn(100, 4, 1)])).all()


def test_a_score_is_kept_as_often_as_its_sigmoid_says():
    found = networks(CELL)
    found.scores["fc1.weight"].fill_(-1.0986123)  # a quarter
    masks = [found.drawn(found.scores, count)[0] for count in range(20)]
    assert torch.stack([m["fc1.weight"] for m in masks]).mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.stack([m["fc2.weight"] for m in masks]).mean().item() == pytest.approx(0.5, abs=0.02)
    assert (masks[0]["fc1.weight"] != masks[1]["fc1.weight"]).any()


@pytest.mark.parametrize("n", [50, 130, 1297])
def test_places_are_those_of_the_order(n):
    cell = CELL.but(replicate=2)
    whole = dataset.order(n, 50, 40, cell.replicate, cell.level, cell.order).ravel()
    one, late = Places(cell, n), Places(cell, n)
    parts = [one.take(begin, begin + 400) for begin in range(0, 2000, 400)]
    assert (np.concatenate(parts) == whole).all()
    assert (late.take(1200, 1600) == whole[1200:1600]).all()


# one step


@pytest.mark.parametrize("own", KINDS, ids=str)
def test_the_gradient_is_that_of_automatic_differentiation(own):
    found = networks(CELL.but(precision="float64", **own))
    x, y = next(found.reader.parts("validation"))
    drawn = found.drawn(found.scores, 5)[0]
    leaves = {name: mask.clone().requires_grad_() for name, mask in drawn.items()}
    params = dict(found.frozen)
    for name, mask in leaves.items():
        scale = mask.numel() / mask.sum() if own.get("rescaled") else 1
        params[name] = found.frozen[name] * mask * scale
    loss = lambda params: torch.nn.functional.cross_entropy(SMALL.forward(params, {}, x, True)[0], y[0])  # noqa: E731
    loss(params).backward()
    masked, scales = found.masked(drawn)
    for name in drawn:
        masked[name].requires_grad_()
    loss(masked).backward()
    for name, mask in drawn.items():
        slope = found.slope(name, masked[name].grad, mask, scales[name])
        assert slope.numpy() == pytest.approx(leaves[name].grad.numpy(), abs=1e-12)


def test_the_first_step_moves_scores_by_the_rate_times_a_quarter_of_the_gradient():
    found, twin = networks(CELL), networks(CELL)
    found.advance(0, 1)
    twin.reader._order = None
    x, y = twin.reader.batch(torch.tensor([0]))
    drawn, _ = twin.drawn(twin.scores, 0)
    params, scales = twin.masked(drawn)
    params["fc2.weight"].requires_grad_()
    torch.nn.functional.cross_entropy(SMALL.forward(params, {}, x, True)[0], y[0]).backward()
    slope = twin.slope("fc2.weight", params["fc2.weight"].grad, drawn["fc2.weight"], scales["fc2.weight"])
    assert found.scores["fc2.weight"].numpy() == pytest.approx(-100 * slope.numpy() / 4, abs=1e-5)


def test_weights_are_frozen_or_signed_constants_and_biases_zero():
    plain, constant = networks(CELL), networks(CELL.but(constant=True))
    plain.advance(0, 5)
    w0 = imp.initial(CELL, SMALL)
    assert all((plain.frozen[name][0].numpy() == w0[name]).all() for name in w0)
    for name in SMALL.prunable:
        assert constant.frozen[name][0].numpy() == pytest.approx(np.sign(w0[name]) * w0[name].std())
        assert not constant.frozen[name.replace("weight", "bias")].any()


def test_rescaling_multiplies_a_layer_by_its_size_over_its_ones():
    found = networks(CELL.but(rescaled=True), CELL.but(replicate=1))
    drawn = found.drawn(found.scores, 0)[0]
    _, scales = found.masked(drawn)
    mask = drawn["fc1.weight"]
    assert scales["fc1.weight"].flatten().tolist() == pytest.approx([mask[0].numel() / mask[0].sum().item(), 1])


# a training


@pytest.mark.parametrize("own", KINDS, ids=str)
def test_it_learns(own):
    (outcome,), path = trained(CELL.but(steps=200, **own))
    assert path == "supermask"
    assert outcome.result["test_accuracy_end"] > 40  # chance is 10
    assert outcome.curves["test_accuracy"][-1] == outcome.result["test_accuracy_end"]


def test_networks_of_a_population_do_not_mix():
    cells = [CELL.but(replicate=r, **own) for r, own in enumerate(KINDS)]
    together = trained(*cells)[0]
    for cell, outcome in zip(cells, together, strict=True):
        (alone,), _ = trained(cell)
        assert alone.result["test_accuracy_end"] == pytest.approx(outcome.result["test_accuracy_end"], abs=1)
        for name in SMALL.prunable:
            assert alone.weights[name] == pytest.approx(outcome.weights[name], abs=1e-2)


def test_a_pause_changes_no_bit(tmp_path, monkeypatch):
    whole = trained(CELL)[0][0]
    steps, advance = [], Supermasks.advance
    monkeypatch.setattr(Supermasks, "advance", lambda self, *ends: (steps.append(ends), advance(self, *ends)))
    for _ in range(50):
        keep = checkpoint.Checkpoint(tmp_path / "part", {"cells": CELL.key()}, deadline=-np.inf)
        try:
            outcome = trained(CELL, keep=keep)[0][0]
            break
        except checkpoint.Paused:
            continue
    assert steps == [(step, step + 2) for step in range(0, 40, 2)]  # a sitting for each
    assert outcome.result == whole.result
    assert all((outcome.weights[name] == whole.weights[name]).all() for name in whole.weights)


def test_test_images_are_read_through_ten_masks_and_others_through_one():
    found = networks(CELL)
    found.advance(0, 20)
    loss, right = found.read("test")
    singles = []
    for sample in range(10):
        params, _ = found.masked(found.drawn(found.scores, learned.READING + sample)[0])
        x, y = next(found.reader.parts("test"))
        singles.append((SMALL.forward(params, {}, x, False).argmax(2) == y).numpy())
    assert right == pytest.approx(np.mean(singles, axis=0))
    assert len({s.mean() for s in singles}) > 1
    assert found.read("validation")[1].dtype == bool
    found.remember(np.array([True]))
    assert (found.read("test", best=True)[1] == singles[0]).all()
    assert np.isfinite(loss).all()


def test_an_image_network_learns_scores_by_the_same_path(store):
    cell = CELL.but(dataset="digits16", model="conv-2", batch=8, steps=2, constant=True, rescaled=True)
    compute((cell,), store, "cpu", {cell: frozenset()})
    assert store.get(cell)["provenance"]["path"] == "supermask"


def test_every_step_has_an_augmentation_of_its_own(monkeypatch):
    """Whatever the steps that are held at a time: those of the reader that all arms of a replicate share."""
    cell = CELL.but(dataset="digits16", model="conv-2x32", steps=6, batch=8, augment="flip_crop")
    model = models.build(cell.model, (1, 16, 16), 10)
    found, moved = [], dataset.augment
    monkeypatch.setattr(dataset, "augment", lambda x, *moves: found.append(moves[:3]) or moved(x, *moves))
    one = networks(cell, model=model)
    for begin in (0, 2, 4):
        one.advance(begin, begin + 2)
    wanted = [tuple(part[:, step] for part in Reader([cell]).moves) for step in range(6)]
    for got, want in zip(found, wanted, strict=True):
        assert all(map(torch.equal, got, want))


@pytest.mark.parametrize("changes", [{"optimizer": "adam"}, {"weight_decay": 1e-4}, {"dropout": 0.5}, {"rewind": 3}])
def test_what_does_not_fit_is_refused(changes):
    with pytest.raises(BadInput, match="supermask"):
        CELL.but(**changes)


# untrained masks

MODEL = models.build("lenet-300-100", (1, 8, 8), 10)
NET = Cell(dataset="digits", steps=30)


@pytest.fixture
def dense(store):
    compute((NET,), store, "cpu", {NET: frozenset(["weights"])})
    return store


def test_untrained_accuracy_chooses_its_rung_on_validation(dense):
    scalars, curves = untrained.measure(NET.but(arm="untrained"), MODEL, dense, "cpu")
    reader, w0 = Reader([NET]), imp.initial(NET, MODEL)
    w1 = imp.left(NET, MODEL, dense)[0]
    weights = untrained.signed_constants(MODEL, w0)
    masks = untrained.ladder("large_final_same_sign", NET, MODEL, w0, w1)
    validated = untrained.accuracy(MODEL, reader, "validation", weights, masks)
    rung = int(validated.argmax())
    assert scalars["rung_large_final_same_sign_constant"] == rung + 1
    assert scalars["accuracy_large_final_same_sign_constant"] == curves["large_final_same_sign_constant"][rung]
    assert scalars["common_large_final_same_sign_constant"] == curves["large_final_same_sign_constant"][4]
    assert scalars["random_large_final_same_sign_constant"] == curves["random_constant"][rung]
    assert scalars["accuracy_linear"] > 80
    assert scalars["accuracy_large_final_same_sign_constant"] > scalars["random_large_final_same_sign_constant"] + 10
    assert len(curves["density"]) == 24


def test_accuracy_is_that_of_the_masked_network():
    reader, w0 = Reader([NET]), imp.initial(NET, MODEL)
    mask = Mask({name: np.abs(w0[name]) > 0.05 for name in MODEL.prunable})
    x, y = next(reader.parts("test"))
    h = x.flatten(2)[0]
    for name in MODEL.prunable:
        h = h @ torch.from_numpy(mask.apply(w0)[name]).T
        h = torch.relu(h) if name != "fc3.weight" else h
    expected = 100 * (h.argmax(1) == y[0]).double().mean().item()
    assert untrained.accuracy(MODEL, reader, "test", w0, [mask, mask]).tolist() == pytest.approx([expected] * 2)


def test_accuracy_of_an_image_network(few_digits):
    cell, model = NET.but(model="conv-2"), models.build("conv-2", (1, 8, 8), 10)
    found = untrained.accuracy(model, Reader([cell]), "test", imp.initial(cell, model), [imp.dense_mask(model)] * 3)
    assert found.shape == (3,)
    assert len(set(found.tolist())) == 1


def test_masks_without_a_sign_condition_ignore_it_and_same_sign_masks_hold_it():
    w0 = imp.initial(NET, MODEL)
    w1 = imp.initial(NET.but(draw=1), MODEL)
    mask = untrained.ladder("large_final_same_sign", NET, MODEL, w0, w1)[9]
    same = {name: np.sign(w0[name]) == np.sign(w1[name]) for name in MODEL.prunable}
    assert all(same[name][mask[name]].all() for name in ("fc1.weight", "fc2.weight"))


# claims


def test_the_papers_training_of_scores():
    cells = [c for c in chapters.cells("03_deconstructing", "paper") if c.arm == "supermask" and "lenet" in c.model]
    assert {(c.learning_rate, c.momentum, c.batch) for c in cells} == {(100, 0.9, 250)}
    assert {c.steps for c in cells} == {440_000, 44_000}
    assert 440_000 == 2000 * 55_000 // 250
    analog = claims.load()["Z5-200"]
    assert analog["scope"] == "analog"
    assert claims.load()["Z5"]["scope"] == "paper"
