"""The one training loop: as anybody would write it, the same on every path, with weights saved on the way."""

import numpy as np
import pytest
import torch
import twin
from oracle import load_replicate, plain
from small import (
    DENSITIES,
    MASKS,
    NET,
    RULES,
    SMALL,
    assert_close,
    assert_equal_bits,
    assert_same,
    odd_mask,
    random_mask,
    starts_of,
)
from tickets.cells import Cell
from tickets.data import dataset, sources
from tickets.nets import models
from tickets.pruning.imp import Start
from tickets.seeds import stream
from tickets.training.autograd import Autograd
from tickets.training.compiled import Compiled
from tickets.training.schedule import interval, readouts, stops
from tickets.training.train import choose_path, train
from torch.nn.functional import cross_entropy

PATHS = ["mlp", "autograd"]
BOTH = pytest.mark.parametrize("path", PATHS)
SAVES = (1, 20, 24, 77)
"""One of them is an evaluation pause of NET, three are not."""
IMAGES = Cell(
    dataset="digits16", model="resnet-20", steps=60, batch=8, optimizer="sgd", learning_rate=0.05, momentum=0.9,
    augment="flip_crop", inputs="standard",
)  # fmt: skip


def three(rule, **fields):
    """Three networks of other replicates, orders and masks, and what they start with."""
    cells = [NET.but(**RULES[rule], **fields, replicate=r, order=r % 2) for r in range(3)]
    return cells, starts_of(cells, MASKS[:3])


# the loop


def plain_outcome(cell, name, params, mask, shape):
    """The twin's weights by the model's parameter names, and what it saw."""
    module = load_replicate(
        plain(name, shape, 10), {n: torch.from_numpy(a)[None].double() for n, a in params.items()}, 0
    )
    places = list(params)
    masks = {places.index(n): torch.from_numpy(np.array(kept)) for n, kept in mask.items()}
    seen = twin.train(cell, module, masks, every=interval(cell))
    return {n: p.detach().numpy() for n, p in zip(places, module.parameters(), strict=True)}, seen


def assert_as_plain(cell, model, mask, shape, path="autograd"):
    starts = starts_of([cell], [mask], model)
    outcome = train([cell], model, starts, path=path)[0][0]
    weights, seen = plain_outcome(cell, model.name, starts[0].weights, mask, shape)
    assert_close({name: outcome.weights[name] for name in weights}, weights, 1e-10)
    best = min(seen, key=lambda row: row[1])  # the first, if tied
    named = ("early_stop_step", "early_stop_loss", "validation_accuracy", "test_accuracy")
    assert [outcome.result[name] for name in named] == pytest.approx(best, abs=1e-10, rel=0)
    at_end = [outcome.result[f"{name}_end"] for name in ("validation_loss", "validation_accuracy", "test_accuracy")]
    assert at_end == pytest.approx(seen[-1][1:], abs=1e-10, rel=0)
    at = {row[0]: row for row in seen}
    assert outcome.result["test_accuracy_mid"] == pytest.approx(at[readouts(cell)["mid"]][3], abs=1e-10)
    taken = [at[step][1] for step in outcome.curves["step"]]
    assert outcome.curves["validation_loss"] == pytest.approx(taken, abs=1e-10, rel=0)


@pytest.mark.parametrize(
    ("rule", "density"),
    [
        ("adam", 1.0),
        ("adam", 0.05),
        ("adam with decay", 0.5),
        ("sgd", 0.05),
        ("sgd with all", 0.5),
        ("sgd with all", 0),
    ],
)
def test_autograd_training_is_that_of_a_plain_loop(rule, density):
    model = models.build("lenet-300-100", (1, 8, 8), 10)
    mask = random_mask(model, density) if density else odd_mask(model)
    assert_as_plain(NET.but(**RULES[rule], steps=100), model, mask, (1, 8, 8))


MOMENTUM = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "warmup": 10, "drops": (30, 40)}


@pytest.mark.parametrize(
    ("path", "name", "density", "fields"),
    [
        ("autograd", "conv-2", 0.3, {"learning_rate": 2e-4, "batch": 20}),
        ("conv", "conv-2", 0.3, {"learning_rate": 2e-4, "batch": 20}),
        ("autograd", "resnet-20", 0.5, {"learning_rate": 0.05, "batch": 18, **MOMENTUM}),
        ("conv", "resnet-20", 0.5, {"learning_rate": 0.05, "batch": 18, **MOMENTUM}),
        ("conv", "vgg-13x8", 0.05, {"learning_rate": 0.01, "batch": 12, "dataset": "digits16", **MOMENTUM}),
    ],
)
def test_image_networks_train_as_plain_modules(path, name, density, fields, few_digits):
    """Fifty steps, with batches that leave lanes empty."""
    cell = NET.but(model=name, steps=50, inputs="standard", **fields)
    shape = sources.load(cell.dataset).shape
    model = models.build(name, shape, 10)
    assert_as_plain(cell, model, random_mask(model, density), shape, path)


@BOTH
def test_images_of_a_step_follow_the_order(path):
    """What a step trains on is `images[order[step]]`: one step by hand."""
    cell, digits = NET.but(optimizer="sgd", learning_rate=0.5), sources.load("digits")
    starts = starts_of([cell], MASKS[:1])
    picked, _ = dataset.split(digits, 0)
    index = picked[stream("order", 0).permutation(np.arange(len(picked), dtype=np.int32))[:60]]
    params = {n: torch.from_numpy(a).double()[None].requires_grad_() for n, a in starts[0].weights.items()}
    x = digits.train_images[index].double() / 255
    cross_entropy(SMALL.forward(params, {}, x[None], training=True)[0], digits.train_labels[index]).backward()
    stepped = train([cell], SMALL, starts, path=path, saves=(1,), stop=1)[0][0].saved[1]
    assert_close(stepped, {name: (p - 0.5 * p.grad).detach()[0].numpy() for name, p in params.items()}, 1e-12)


@pytest.mark.parametrize("rewind", [0, 30])
@pytest.mark.parametrize("rule", ["adam", "sgd with all"])
def test_both_paths_give_the_same_numbers(rule, rewind):
    """Curves, accuracies, final and saved weights of three networks of different density, from any first step on."""
    cells, starts = three(rule, level=2, rewind=rewind)
    assert [start.mask.density for start in starts] == pytest.approx(DENSITIES, abs=0.03)
    saves = [step for step in (7, 40, 77) if step > rewind]
    compiled, stacked = (train(cells, SMALL, starts, path=path, saves=saves)[0] for path in PATHS)
    for one, other in zip(compiled, stacked, strict=True):
        assert_same(one, other)
        assert one.curves["step"] == stops(cells[0], rewind)
        assert list(one.saved) == list(other.saved) == saves
        for step in saves:
            assert_close(one.saved[step], other.saved[step], 1e-10)
    assert min(outcome.result["test_accuracy"] for outcome in compiled[:2]) > 50  # they are no idle loops


@BOTH
def test_a_part_of_the_training_is_a_part_of_it(path):
    cell = NET.but(level=1, optimizer="sgd", learning_rate=0.1)
    starts = starts_of([cell], MASKS[1:2])
    first = train([cell], SMALL, starts, path=path, saves=(25,), stop=25)[0][0].saved[25]
    whole = train([cell.but(rewind=25)], SMALL, [type(starts[0])(first, MASKS[1])], path=path)[0][0].weights
    assert_close(whole, train([cell], SMALL, starts, path=path)[0][0].weights, 1e-12)


# populations


@BOTH
@pytest.mark.parametrize("rule", ["adam", "sgd with all"])
def test_a_population_equals_its_networks_alone(rule, path):
    cells, starts = three(rule)
    together = train(cells, SMALL, starts, path=path, saves=SAVES)[0]
    alone = [train([c], SMALL, [s], path=path, saves=SAVES)[0][0] for c, s in zip(cells, starts, strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)
        for step in SAVES:
            assert_close(one.saved[step], other.saved[step], 1e-10)
    if path == "mlp":
        assert_equal_bits(together, alone)  # they are trained one after the other
    assert np.abs(together[0].weights["fc2.weight"] - together[1].weights["fc2.weight"]).max() > 0.01


# weights on the way


@BOTH
@pytest.mark.parametrize("rule", ["adam", "sgd with all"])
def test_saved_weights_are_those_of_a_run_stopped_there(rule, path):
    assert len(set(SAVES) - set(stops(NET, 0))) == 3
    cells, starts = three(rule)
    outcomes = train(cells, SMALL, starts, path=path, saves=SAVES)[0]
    for step in SAVES:
        stopped = train(cells, SMALL, starts, path=path, saves=(step,), stop=step)[0]
        shorter = [cell.but(steps=step) for cell in cells]  # a budget that ends there evaluates at other steps
        shorter = train(shorter, SMALL, starts, path=path)[0]
        for outcome, one, other in zip(outcomes, stopped, shorter, strict=True):
            assert_close(outcome.saved[step], one.saved[step], 0)
            assert_close(outcome.saved[step], other.weights, 0)


@BOTH
@pytest.mark.parametrize("rule", ["adam", "sgd with all"])
def test_asking_for_weights_changes_no_bit(rule, path):
    cells, starts = three(rule)
    asked = train(cells, SMALL, starts, path=path, saves=(*SAVES, 120))[0]
    for outcome in asked:
        assert_close(outcome.saved[120], outcome.weights, 0)
        assert sorted(outcome.saved) == [*SAVES, 120]
        outcome.saved = {}
    assert_equal_bits(asked, train(cells, SMALL, starts, path=path)[0])


def test_weights_of_image_networks_are_saved_with_their_statistics(few_digits):
    """Statistics of batches, momentum, flips and crops go on as if nobody had asked."""
    cells = [IMAGES.but(replicate=r) for r in range(2)]
    model = models.build("resnet-20", (1, 16, 16), 10)
    starts = starts_of(cells, [random_mask(model, density) for density in (1.0, 0.2)], model)
    saves = (2, 5)
    assert not set(saves) & set(stops(cells[0], 0))
    first, again = (train(cells, model, starts, saves=saves, stop=stop)[0] for stop in (5, 6))
    short = train([cell.but(steps=5) for cell in cells], model, starts)[0]
    assert_equal_bits(first, again)
    for one, other in zip(first, short, strict=True):
        assert_close(one.saved[5], other.weights, 0)
        assert {*model.shapes, *model.buffers(1)} == one.saved[2].keys()
        assert np.abs(one.saved[5]["conv1.norm.running_mean"] - one.saved[2]["conv1.norm.running_mean"]).max() > 1e-3


def test_a_network_returned_to_a_step_has_its_statistics_of_then_on_both_paths(few_digits):
    """Two networks at once: one brings running statistics, one has none."""
    cells, model = [IMAGES.but(replicate=r) for r in range(2)], models.build("resnet-20", (1, 16, 16), 10)
    fresh, moved = starts_of(cells, [random_mask(model, 0.5)] * 2, model)
    given = {name: np.full(tensor[0].shape, 3, np.float32) for name, tensor in model.buffers(1).items()}
    starts = [fresh, Start({**moved.weights, **given}, moved.mask)]
    for kind in (Autograd, Compiled):
        first, second = kind(cells, model, starts).weights()
        for name, tensor in model.buffers(1).items():
            assert (first[name] == tensor[0].numpy()).all()
            assert (second[name] == 3).all()


def test_steps_before_the_first_leave_no_weights():
    cells, starts = three("adam", level=2, rewind=30)
    assert [list(o.saved) for o in train(cells, SMALL, starts, saves=(7, 30, 31), stop=31)[0]] == [[31]] * 3


@BOTH
def test_a_run_that_stops_leaves_its_saved_weights_only(path, monkeypatch):
    ends, kind = [], {"mlp": Compiled, "autograd": Autograd}[path]
    advance = kind.advance

    def watched(networks, begin, end):
        ends.append(end)
        advance(networks, begin, end)

    monkeypatch.setattr(kind, "advance", watched)
    cells, starts = three("adam")
    outcomes = train(cells, SMALL, starts, path=path, saves=SAVES, stop=24)[0]
    assert ends == [1, 6, 12, 18, 20, 24]
    for outcome in outcomes:
        assert list(outcome.saved) == [1, 20, 24]
        assert not any((outcome.result, outcome.curves, outcome.wrong, outcome.weights))


# masks


@pytest.mark.parametrize("path", [*PATHS, "mlp-dense"])
@pytest.mark.parametrize("fields", [{}, {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9}], ids=str)
def test_pruned_weights_are_exactly_zero(fields, path):
    """Also on the way, whatever the optimizer remembers and however strong weight decay is."""
    net = NET.but(precision="float32", weight_decay=1e-2, **fields)
    cells = [net.but(replicate=r) for r in range(3)]
    outcomes = train(cells, SMALL, starts_of(cells, MASKS[1:4]), path=path, saves=SAVES)[0]
    for outcome, mask in zip(outcomes, MASKS[1:4], strict=True):
        for weights in (outcome.weights, *outcome.saved.values()):
            for name, kept in mask.items():
                assert (weights[name][~kept] == 0).all()
        for name, kept in mask.items():
            assert (outcome.weights[name][kept] != 0).mean() > 0.99


# the path


def test_the_path_is_a_function_of_the_cell():
    assert choose_path(SMALL, "cpu", NET) == "mlp"
    assert choose_path(SMALL, "cpu", NET.but(arm="dense_path", level=3)) == "mlp-dense"
    assert choose_path(SMALL, "cuda", NET) == "autograd"
    assert choose_path(SMALL, "cpu", NET.but(dropout=0.5)) == "autograd"
    assert choose_path(SMALL, "cpu", NET.but(augment="flip_crop")) == "autograd"
    assert choose_path(SMALL, "cpu", NET.but(dataset="imagenet")) == "autograd"
    assert choose_path(SMALL, "cpu", NET.but(micro_batch=20)) == "autograd"
    conv = models.build("conv-2", (1, 8, 8), 10)
    assert choose_path(conv, "cpu", NET) == choose_path(conv, "cpu", NET.but(dropout=0.5)) == "conv"
    assert choose_path(conv, "cpu", NET.but(arm="dense_path", level=3)) == "conv-dense"
    assert choose_path(conv, "cpu", NET.but(arm="pulled", level=1, pull=1)) == "autograd"
    assert choose_path(conv, "cuda", NET) == choose_path(conv, "cpu", NET.but(micro_batch=20)) == "autograd"
    assert choose_path(models.build("resnet-50", (3, 32, 32), 10), "cpu", NET) == "autograd"
