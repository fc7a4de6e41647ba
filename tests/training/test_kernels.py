"""Compiled steps by themselves: layers of several tiles, large batches, evaluation, and Adam in single precision."""

import importlib.util
import re
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from small import MASKS, NET, SMALL, random_mask
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.seeds import stream
from tickets.training import kernels
from tickets.training.compiled import STILL, settle
from tickets.training.flat import Network, prepared
from tickets.training.passes import advance
from torch.nn.functional import cross_entropy


@pytest.fixture(autouse=True, scope="module")
def settled():
    """Kernels come out of the cache here as in any other process, whichever test is the first."""
    for precision in ("float32", "float64"):
        settle(precision, SMALL)


def pictures_of(images, labels, kind):
    """Images uint8 [N, H, W] as training has them: a byte is worth a share of 255."""
    table = (np.arange(256) / 255).astype(kind)
    return table[images.reshape(len(images), -1)], table[None], labels


@pytest.mark.parametrize("batch", [20, 64, 150])
def test_storage_changes_nothing_in_wide_layers_and_large_batches(batch):
    """Layers of several tiles, batches of more images than registers hold at a time."""
    wide = models.MLP("wide", (1, 20, 20), 10, hidden=(330, 25))
    generator = np.random.default_rng(batch)
    images, labels = generator.integers(256, size=(600, 20, 20), dtype=np.uint8), generator.integers(10, size=600)
    pictures, every = pictures_of(images, labels, "float64"), np.arange(600)
    order, rates = generator.integers(600, size=(40, batch)), np.full(40, 1e-3)
    weights, mask = wide.init(stream("init")), random_mask(wide, 0.2)
    weights = {name: array.astype(float) for name, array in mask.apply(weights).items()}
    found = []
    for below in (0, 2):
        network = Network(wide, Start(weights, mask), "float64", batch, below)
        told = order, STILL, 0, np.zeros((0, 0, 0)), 0, rates, (True, 0.0, 1e-4)
        advance(*network.tables, network.state, pictures, *told)
        loss, predicted = network.read(network.value, pictures, every, prepared(pictures[0], every))
        found.append({**network.unpack(), "loss": loss, "predicted": predicted})
        again = network.read(network.value, pictures, every)
        assert again[0] == pytest.approx(loss, rel=1e-12)
        np.testing.assert_array_equal(again[1], predicted)
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=0, atol=1e-10, err_msg=name)
    assert np.abs(found[0]["fc1.weight"] - weights["fc1.weight"]).max() > 0.01


def test_adam_in_single_precision_takes_the_right_step():
    """A 1 - 0.999 that is a difference of floats would be off by 1e-5."""
    generator = np.random.default_rng(0)
    gradients = generator.normal(size=(3, 500)) * 10.0 ** generator.integers(-3, 1, 500)
    moved = {}
    for kind in ("float32", "float64"):
        value, keep, slow, fast = (np.full(500, x, kind) for x in (0, 1, 0, 0))
        for step, gradient in enumerate(gradients.astype(np.float32), 1):
            kernels.adam_step(value, keep, gradient.astype(kind), slow, fast, 1e-3, step, 0.0)
        moved[kind] = value.astype(float)
    assert np.median(np.abs(moved["float32"] / moved["float64"] - 1)) < 1e-6


# evaluation


@pytest.mark.parametrize("n", [3, 500, 1203])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_evaluation_is_that_of_torch(n, kind):
    generator = np.random.default_rng(n)
    images, labels = generator.integers(256, size=(n, 8, 8), dtype=np.uint8), generator.integers(10, size=n)
    pictures, mask = pictures_of(images, labels, kind), MASKS[3]
    weights = {name: 8 * array.astype(kind) for name, array in mask.apply(imp.initial(NET, SMALL)).items()}
    network, picked = Network(SMALL, Start(weights, mask), kind, batch=60), generator.permutation(n)
    loss, predicted = network.read(network.value, pictures, picked, prepared(pictures[0], picked))
    params = {name: torch.from_numpy(array)[None] for name, array in weights.items()}
    x, y = torch.from_numpy(pictures[0][picked]), torch.from_numpy(labels[picked])
    logits = SMALL.forward(params, {}, x[None], training=False)[0]
    assert loss == pytest.approx(cross_entropy(logits, y).item(), rel=1e-5 if kind == "float32" else 1e-12)
    np.testing.assert_array_equal(predicted, logits.argmax(1).numpy())


def five_ones(weights, below):
    """The loss of a dense network on five white images."""
    network = Network(SMALL, Start(weights, MASKS[0]), "float32", batch=60, below=below)
    white = pictures_of(np.full((5, 8, 8), 255, np.uint8), np.arange(5), "float32")
    return network.read(network.value, white, np.arange(5))[0]


@pytest.mark.parametrize("below", [0, 2])
def test_large_logits_do_not_overflow(below):
    loss = five_ones({name: 1e4 * array for name, array in imp.initial(NET, SMALL).items()}, below)
    assert np.isfinite(loss)
    assert loss > 100


@pytest.mark.parametrize("below", [0, 2])
def test_a_value_that_is_not_a_number_is_seen(below):
    weights = imp.initial(NET, SMALL)
    weights["fc2.weight"][3, 3] = np.nan
    assert not np.isfinite(five_ones(weights, below))


def test_every_module_that_is_compiled_is_in_the_key_of_the_cache():
    """Of the modules that compiled code is in, and of those that they take names from inside the library."""
    folder = Path(kernels.__file__).parent
    text = "\n".join(
        (folder / f"{name}.py").read_text() for name in ("kernels", "lanes", "passes", "planes", "program")
    )
    named = re.findall(r"^from (\.+)([\w.]+) import", text, re.M)
    files = {folder.joinpath(*[".."] * (len(dots) - 1), *name.split(".")).resolve() for dots, name in named}
    apart = {folder.parent / "files"}  # which makes the key, and is in no compiled code
    assert folder.parent / "nets" / "layers" in files
    assert {file.with_suffix(".py") for file in files - apart} <= set(kernels.READ)


@pytest.mark.parametrize(("features", "count"), [("+avx2", 2), ("+avx2,+avx512f", 8)])
def test_lanes_are_right_whatever_the_registers_of_a_machine_hold(monkeypatch, features, count):
    """Both numbers of pixels, on any machine: gathered lines, their products with others, scaled lines put back."""
    monkeypatch.setattr(numba.core.codegen, "get_host_cpu_features", lambda: features)
    told = importlib.util.spec_from_file_location(f"lanes_by_{count}", Path(kernels.__file__).with_name("lanes.py"))
    lanes = importlib.util.module_from_spec(told)
    told.loader.exec_module(lanes)
    monkeypatch.undo()
    assert count == lanes.PIXELS
    names = "pixels each put_each fused_each product line total".split()  # noqa: SIM905
    pixels, each, put_each, fused_each, product, line, total = (getattr(lanes, name) for name in names)

    @numba.njit
    def walk(x, d, places, out):
        at = pixels(places, 1, 2)
        put_each(out, at, 1, fused_each(x.dtype.type(3), each(x, at, 1), each(d, at, 0)))
        return total(product(each(x, at, 1), each(d, at, 0), line(d, 0)))

    x, d, out = np.random.default_rng(0).normal(size=(3, 40, lanes.LANES))
    places = np.random.default_rng(1).permutation(30).astype(np.int32)
    at = places[1 : 1 + count] + 2
    expected = out.copy()
    expected[at + 1] = 3 * x[at + 1] + d[at]
    assert walk(x, d, places, out) == pytest.approx((x[at + 1] * d[at]).sum() + d[0].sum(), abs=1e-12)
    assert np.allclose(out, expected, atol=1e-12)
