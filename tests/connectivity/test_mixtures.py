"""Mixtures of networks: all points at once are each point alone, and statistics are as defined."""

from itertools import islice

import numpy as np
import pytest
import torch
from chords import CHORDS, IMAGE_NET, MODEL, NET, ends, final_of
from small import random_mask
from tickets.connectivity.mixtures import BATCHES, STATISTICS, Mixtures
from tickets.nets import models
from tickets.nets.layers import EPSILON, MOMENTUM
from tickets.nets.models import NormNet
from torch.nn.functional import conv2d, cross_entropy


@pytest.fixture
def pair(measured):
    """Two perceptrons, and their mixtures."""
    networks = [final_of(measured, cell) for cell in ends(CHORDS[0])]
    return Mixtures(NET, MODEL, networks), networks


def test_all_points_together_are_each_point_alone(pair):
    mixtures, networks = pair
    coefficients = torch.tensor([[1, 0], [0.7, 0.3], [-0.2, 1.2]]).double()
    x = next(mixtures.reader.parts("test", 50))[0][0]
    together = mixtures.mixture(coefficients)(x)
    for c, logits in zip(coefficients.tolist(), together, strict=True):
        params = {n: torch.from_numpy(c[0] * networks[0][n] + c[1] * networks[1][n])[None] for n in MODEL.shapes}
        alone = MODEL.forward(params, {}, x[None], training=False)[0]
        torch.testing.assert_close(logits, alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("part", ["test", "train"])
def test_a_part_of_the_data_is_read_whole(pair, measured, part):
    """The ends of the mixtures have the loss and the errors of the trained networks, in the order of the images."""
    mixtures, networks = pair
    loss, predicted = mixtures.read(np.eye(2), part)
    errors = mixtures.errors(loss, predicted, part)
    for p, (network, cell) in enumerate(zip(networks, ends(CHORDS[0]), strict=True)):
        params = {name: torch.from_numpy(array)[None] for name, array in network.items()}
        (x, y), *more = mixtures.reader.parts(part, 10_000)
        assert not more
        logits = MODEL.forward(params, {}, x, training=False)[0]
        assert loss[p] == pytest.approx(cross_entropy(logits, y[0]).item(), abs=1e-10)
        np.testing.assert_array_equal(predicted[p], logits.argmax(1).numpy())
        assert errors[p] == pytest.approx(100 - measured.get(cell)["result"][f"{part}_accuracy_end"])


def test_a_network_that_diverged_has_the_error_of_chance(measured):
    gone = {name: np.full_like(array, np.nan) for name, array in final_of(measured, NET).items()}
    mixtures = Mixtures(NET, MODEL, [final_of(measured, NET), gone])
    assert mixtures.errors(*mixtures.read(np.array([[0.0, 1]]), "test"), "test").tolist() == [90]


# networks with batch normalization


class OneNorm(NormNet):
    """One normalized convolution of three channels, averaged, and an output layer."""

    compiled = True

    def __init__(self):
        super().__init__("one-norm", (1, 8, 8), 10)
        self._add_conv_norm("conv1", 1, 3)
        self._add("fc", (10, 3), kind=None)

    def features(self, do, x):
        return do.conv_norm(x, "conv1")


@pytest.fixture
def normed():
    """Mixtures of two hand-made networks with different statistics and scales, one channel's of opposite sign."""
    model, generator, networks = OneNorm(), np.random.default_rng(3), []
    for k in range(2):
        network = {name: generator.standard_normal(shape) for name, shape in model.shapes.items()}
        network["conv1.norm.weight"] = np.array([1.0, 0.5, 2.0 if k else -1.0])
        network["conv1.norm.running_mean"] = generator.standard_normal(3)
        network["conv1.norm.running_var"] = np.array([1.0, 4.0, 0.25]) * (1 + 3 * k)
        networks.append(network)
    return Mixtures(IMAGE_NET.but(inputs="unit"), model, networks), networks


HALF = torch.tensor([[0.5, 0.5], [0.2, 0.8]], dtype=torch.float64)


def mixed(networks, name, p):
    return sum(c * torch.from_numpy(network[name]) for c, network in zip(HALF[p].tolist(), networks, strict=True))


def batches(mixtures):
    assert BATCHES == 100
    return [x for (x,), _ in islice(mixtures.reader.parts("train", 8), 100)]


def test_kept_statistics_are_mixed_like_weights(normed):
    mixtures, networks = normed
    params, running = mixtures.normalized(HALF, "kept")
    for p in range(2):
        for name, found in {**params, **running}.items():
            torch.testing.assert_close(found[p], mixed(networks, name, p))


def test_reestimated_statistics_are_those_of_forward_passes(normed):
    mixtures, networks = normed
    params, running = mixtures.normalized(HALF, "reestimated")
    for p in range(2):
        mean, var = torch.zeros(3).double(), torch.ones(3).double()
        for x in batches(mixtures):
            z = conv2d(x, mixed(networks, "conv1.weight", p), padding=1)
            mean = (1 - MOMENTUM) * mean + MOMENTUM * z.mean((0, 2, 3))
            var = (1 - MOMENTUM) * var + MOMENTUM * z.var((0, 2, 3))
        torch.testing.assert_close(running["conv1.norm.running_mean"][p], mean)
        torch.testing.assert_close(running["conv1.norm.running_var"][p], var)
        torch.testing.assert_close(params["conv1.norm.weight"][p], mixed(networks, "conv1.norm.weight", p))


def test_statistics_are_those_of_as_many_images_as_training_normalized_over(normed):
    mixtures, networks = normed
    found = {}
    for name, sizes in {"parts": {"micro_batch": 4}, "small": {"batch": 4}, "whole": {}}.items():
        cell = mixtures.cell.but(**sizes)
        found[name] = Mixtures(cell, mixtures.model, networks).normalized(HALF, "reestimated")[1][
            "conv1.norm.running_var"
        ]
    torch.testing.assert_close(found["parts"], found["small"], rtol=0, atol=0)
    assert (found["parts"] - found["whole"]).abs().max() > 1e-3


def test_repair_takes_channels_to_the_mixed_mean_and_deviation(normed):
    """Rescaled by hand to the mixed moments of the ends and then normalized as kept, it says what `repaired` says."""
    mixtures, networks = normed
    running = mixtures.normalized(HALF, "repaired")[1]
    kept = mixtures.normalized(HALF, "kept")[1]
    x = torch.cat(batches(mixtures))
    across = lambda t: t[:, None, None]  # noqa: E731
    for p in range(2):
        z = conv2d(x, mixed(networks, "conv1.weight", p), padding=1)
        mean, var = (running[f"conv1.norm.running_{name}"][p] for name in ("mean", "var"))
        goal = mixed(networks, "conv1.norm.running_mean", p)
        spread = sum(
            c * (torch.from_numpy(network["conv1.norm.running_var"]) + EPSILON).sqrt()
            for c, network in zip(HALF[p].tolist(), networks, strict=True)
        )
        rescaled = (z - across(mean)) / across((var + EPSILON).sqrt()) * across(spread) + across(goal)
        torch.testing.assert_close(rescaled.mean((0, 2, 3)), goal, rtol=0, atol=0.1)  # the estimate is a running mean
        torch.testing.assert_close(rescaled.std((0, 2, 3)), spread, rtol=0.1, atol=0)
        kept_mean, kept_var = (kept[f"conv1.norm.running_{name}"][p] for name in ("mean", "var"))
        scale, shift = (mixed(networks, f"conv1.norm.{name}", p) for name in ("weight", "bias"))
        normal = (rescaled - across(kept_mean)) / across((kept_var + EPSILON).sqrt()) * across(scale) + across(shift)
        logits = normal.mean((2, 3)) @ mixed(networks, "fc.weight", p).T + mixed(networks, "fc.bias", p)
        torch.testing.assert_close(mixtures.mixture(HALF, "repaired")(x)[p], logits)


def sparse_pair():
    """Two ResNet-14 of one mask, with weights and statistics of their own."""
    model, networks = models.build("resnet-14", (1, 8, 8), 10), []
    for r in range(2):
        generator = np.random.default_rng(r)
        network = random_mask(model, 0.2).apply(model.init(generator))
        fresh = {name: tensor[0].numpy() for name, tensor in model.buffers(1).items()}
        networks.append(
            network | {name: 0.1 * array + 0.1 * generator.random(array.shape) for name, array in fresh.items()}
        )
    return Mixtures(IMAGE_NET.but(model="resnet-14", inputs="standard"), model, networks)


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("part", ["test", "train"])
def test_compiled_mixtures_are_those_of_torch(normed, part, statistics, few_digits):
    for mixtures in (normed[0], sparse_pair()):
        assert mixtures.compiled
        loss, predicted = mixtures.read(HALF, part, statistics)
        mixtures.compiled = False
        expected = mixtures.read(HALF, part, statistics)
        np.testing.assert_allclose(loss, expected[0], rtol=1e-10)
        np.testing.assert_array_equal(predicted, expected[1])
        assert len(np.unique(loss)) == 2
