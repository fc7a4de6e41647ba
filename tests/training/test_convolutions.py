"""The path of convolutional networks: what autograd says, from any storage, whatever the mask."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from small import NET, assert_close, assert_same, random_mask, starts_of
from tickets.data import sources
from tickets.nets import models
from tickets.pruning.imp import Start
from tickets.pruning.masks import Mask
from tickets.seeds import stream
from tickets.training import program
from tickets.training.compiled import Compiled, settle
from tickets.training.flat import Network
from tickets.training.train import train

PATHS = "conv", "conv-dense", "conv-sparse"
SGD = {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-3}
CASES = {
    "conv-2": {"dropout": 0.4, "weight_decay": 1e-3, "batch": 20},
    "conv-4": {"inputs": "standard", "batch": 70},
    "resnet-14": {"augment": "flip_crop", "inputs": "standard", "warmup": 2, "drops": (4,), "batch": 24, **SGD},
}
"""Every kind of layer, both optimizers, batches that fill their lanes and such that do not."""


@pytest.fixture(autouse=True, scope="module")
def settled():
    """Kernels come out of the cache here as in any other process, whichever test is the first."""
    for precision in ("float32", "float64"):
        settle(precision, models.build("conv-2", (1, 8, 8), 10))


def described(name):
    cell = NET.but(model=name, steps=6, **CASES[name])
    return cell, models.build(name, *sources.described(cell.dataset))


def masks_of(model):
    """Whole; of unequal density, with a filter that reads nothing, one that nobody reads and a layer that is closed."""
    arrays = {name: array.copy() for name, array in random_mask(model, 0.3, seed=1).items()}
    convs = [name for name in arrays if name.startswith(("conv", "block"))]
    first, second, third = (arrays[name] for name in convs[:3]) if len(convs) > 2 else (*map(arrays.get, convs), None)
    first[0], first[1], second[:, 2] = False, True, False
    odd = Mask(arrays)
    closed = Mask({**arrays, convs[-1]: np.zeros_like(arrays[convs[-1]])})
    assert third is None or third.mean() < first.mean()
    return [random_mask(model, 1.1), odd, closed]


@cache
def by_autograd(name):
    cell, model = described(name)
    cells = [cell.but(replicate=r, level=r) for r in range(3)]
    starts = starts_of(cells, masks_of(model), model)
    last = list(model.shapes)[-1]
    for start in starts:  # behind a closed layer only these biases answer: equal ones would tie, and rounding decide
        start.weights[last] = start.weights[last] + np.random.default_rng(3).normal(0, 0.05, start.weights[last].shape)
    return cells, starts, model


@pytest.mark.parametrize("name", CASES)
def test_compiled_training_is_that_of_autograd(name, few_digits):
    """Weights, statistics, curves and answers of three networks under three masks, from every storage."""
    cells, starts, model = by_autograd(name)
    saves = (2, 5)
    theirs = train(cells, model, starts, path="autograd", saves=saves)[0]
    for path in PATHS:
        mine, taken = train(cells, model, starts, path=path, saves=saves)
        assert taken == path
        for one, other, start in zip(mine, theirs, starts, strict=True):
            assert_same(one, other)
            assert_close(one.saved[5], other.saved[5], 1e-10)
            last = list(model.shapes)[-1]
            assert np.abs(one.weights[last] - start.weights[last]).max() > 1e-3  # the last biases move
            for weight, kept in start.mask.items():
                assert not one.weights[weight][~kept].any()
    assert np.abs(theirs[1].weights["conv1.weight"] - starts[1].begun()["conv1.weight"]).max() > 1e-3


@pytest.mark.parametrize("name", ["conv-2", "resnet-14"])
def test_frozen_weights_count_and_stay(name, few_digits):
    cells, starts, model = by_autograd(name)
    frozen = [Start(s.weights, s.mask, frozen=True) for s in starts[1:]]
    theirs = train(cells[1:], model, frozen, path="autograd")[0]
    for one, other, start in zip(train(cells[1:], model, frozen, path="conv")[0], theirs, frozen, strict=True):
        assert_same(one, other)
        for weight, kept in start.mask.items():
            np.testing.assert_array_equal(one.weights[weight][~kept], start.weights[weight][~kept])


@pytest.mark.parametrize("name", ["conv-2", "resnet-14"])
def test_single_precision_follows_double_precision(name, few_digits):
    cells, starts, model = by_autograd(name)
    cells = [cell.but(dropout=0) for cell in cells[:2]]  # whose draws depend on the precision
    double = train(cells, model, starts[:2], path="conv")[0]
    single = train([c.but(precision="float32") for c in cells], model, starts[:2], path="conv")[0]
    for one, other in zip(single, double, strict=True):
        assert one.weights["conv1.weight"].dtype == np.float32
        for weight, array in other.weights.items():
            assert np.abs(one.weights[weight] - array).max() < 2e-3 * max(1, np.abs(array).max()), weight


def test_a_network_does_not_depend_on_its_neighbours(few_digits):
    cells, starts, model = by_autograd("resnet-14")
    together = train(cells, model, starts, path="conv")[0]
    for cell, start, one in zip(cells, starts, together, strict=True):
        assert_same(train([cell], model, [start], path="conv")[0][0], one, 0)


def test_of_equal_pixels_the_first_gets_the_gradient(few_digits, monkeypatch):
    """Black images: every window of a pool is a tie, as in the dark corners of MNIST."""
    data = sources.load("digits")
    black = replace(data, train_images=torch.zeros_like(data.train_images))
    monkeypatch.setattr(sources, "load", lambda _: black)
    cells, starts, model = by_autograd("conv-2")
    cells = [cell.but(dropout=0, optimizer="sgd", learning_rate=0.1) for cell in cells[:2]]
    warm = [Start({n: a + 0.1 * n.endswith("bias") for n, a in s.weights.items()}, s.mask) for s in starts[:2]]
    for one, other in zip(*(train(cells, model, warm, path=path)[0] for path in ("conv", "autograd")), strict=True):
        assert_same(one, other)
        assert np.abs(one.weights["conv1.bias"] - 0.1).max() > 1e-3


def test_a_network_that_diverges_is_seen_to(few_digits):
    cells, starts, model = by_autograd("resnet-14")
    cell = cells[0].but(learning_rate=1e30, warmup=0)
    outcome = train([cell], model, starts[:1], path="conv")[0][0]
    assert outcome.result["diverged"]
    assert outcome.result["test_accuracy_end"] == 10


# the tables


@pytest.mark.parametrize(("size", "stride", "side"), [(3, 1, 5), (3, 2, 6), (3, 2, 7), (1, 2, 6), (3, 1, 1)])
def test_walks_are_the_convolution_and_its_transpose(size, stride, side):
    """One walk forward and those back, followed by hand over a picture of numbers, are a matrix and its transpose."""
    generator = np.random.default_rng(side)
    stored = generator.random((3, 2, size, size)) < 0.6
    out = -(-side // stride)
    source, target = program.Node(2, side, side), program.Node(3, out, out)
    value = generator.normal(size=int(stored.sum()))
    matrix = np.zeros((3 * out * out, 2 * side * side))
    for k, (o, c, i, j) in enumerate(zip(*np.nonzero(stored), strict=True)):
        for r in range(out):
            for q in range(out):
                y, x = r * stride + i - size // 2, q * stride + j - size // 2
                if 0 <= y < side and 0 <= x < side:
                    matrix[(o * out + r) * out + q, (c * side + y) * side + x] += value[k]

    def lines_of(node, plane):
        """Line of each pixel behind a border of one."""
        row = node.width + 2
        c, r, q = np.indices(node)
        return (c * plane + (r + 1) * row + q + 1).ravel()

    into, slope = lines_of(source, (side + 2) ** 2), lines_of(target, (out + 2) ** 2)
    starts, offsets, _, places = program._ahead_walk(stored, stride, source, target)
    image = np.zeros(2 * (side + 2) ** 2)
    image[into] = generator.normal(size=len(into))
    found = np.zeros(3 * out * out)
    for o in range(3):
        for reads, writes in places[:2].T:
            k = slice(starts[o], starts[o + 1])
            found[o * out * out + writes] = value[k] @ image[side + 3 + reads + offsets[k]]
    np.testing.assert_allclose(found, matrix @ image[into])
    gradient, back = np.zeros(3 * (out + 2) ** 2), np.zeros(2 * (side + 2) ** 2)
    gradient[slope] = generator.normal(size=len(slope))
    used = []
    for starts, offsets, which, places in program._back_walks(stored, stride, source, target):
        used += which.tolist()
        for c in range(2):
            for reads, writes in places.T:
                k = slice(starts[c], starts[c + 1])
                at = c * (side + 2) ** 2 + side + 3 + writes
                back[at] = value[which[k]] @ gradient[out + 3 + reads + offsets[k]]
    np.testing.assert_allclose(back[into], matrix.T @ gradient[slope])
    assert sorted(used) == list(range(len(value)))


def test_gradients_share_lines_only_when_nobody_needs_them():
    """A deep network needs room for the gradients of a few layers, not of all."""
    model = models.build("resnet-56", (3, 16, 16), 10)
    network = Network(model, Start(model.init(stream("init")), random_mask(model, 0.1)), "float32", batch=16)
    assert len(network.buffers.slope) < len(network.buffers.raw) / 6


@pytest.mark.parametrize("again", ["added", "read"])
def test_a_sum_whose_gradient_has_no_place_of_its_own_is_refused(again):
    """Of a node that is added to two sums, or read after its sum, one gradient would be lost without a word."""

    class Twice:
        input_shape = (2, 4, 4)
        shapes = dict.fromkeys(("a.weight", "b.weight", "c.weight"), (2, 2, 3, 3))

        def through(self, do, x):
            a = do.relu(do.conv_norm(x, "a"))
            b = do.relu(do.add(do.conv_norm(a, "b"), a))
            summands = (b, a) if again == "added" else (a, b)
            do.head(do.add(do.conv_norm(summands[0], "c"), summands[1]), [])

    where = {name: np.ones(shape, bool) for name, shape in Twice.shapes.items()}
    where |= {f"{name}.norm.{part}": np.ones(2, bool) for name in "abc" for part in ("weight", "running_mean")}
    with pytest.raises(NotImplementedError, match="two sums of one node"):
        program.program(program.Layers(Twice()), where, blocks=1, units=2)


def test_a_pass_as_in_training_brings_statistics_up_to_date(few_digits):
    """What re-estimates statistics is the forward pass of training: after one batch, a tenth of the way to its own."""
    cells, starts, model = by_autograd("resnet-14")
    path = Compiled(cells[:1], model, starts[:1])
    network, images = path.networks[0], path.pictures["train"]
    before = path.weights()[0]
    network.read(network.value, images, np.arange(24), training=True)
    after = path.weights()[0]
    x = images[1][np.arange(1)[:, None, None], images[0][:24]]
    kernel = after["conv1.weight"]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    out = np.einsum("bchwij,ocij->bohw", windows, kernel)
    mean = 0.9 * before["conv1.norm.running_mean"] + 0.1 * out.mean((0, 2, 3))
    np.testing.assert_allclose(after["conv1.norm.running_mean"], mean, atol=1e-12)
    assert_close(
        {n: a for n, a in after.items() if "running" not in n},
        {n: a for n, a in before.items() if "running" not in n},
        0,
    )
