"""Three ways to train one network: compiled, by autograd as a population, and as anybody would write it."""

import os
from functools import cache

import numpy as np
import pytest
import torch
import twin
from oracle import load_replicate, plain
from tickets import data, imp, kernels, mlp, models
from tickets.cells import Cell
from tickets.masks import Mask
from tickets.schedule import interval
from tickets.seeds import stream
from tickets.train import train
from torch.nn.functional import cross_entropy

NET = Cell(dataset="digits", steps=120, precision="float64")
RULES = {
    "adam": {},
    "adam with decay": {"weight_decay": 1e-3, "inputs": "standard", "batch": 17},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.3},
    "sgd with all": {
        "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-3,
        "warmup": 30, "drops": (60, 100),
    },
}  # fmt: skip
STORAGE = {"mlp": mlp.SPARSE_BELOW[1], "mlp-dense": 0.0, "mlp-sparse": 2.0}
SMALL = models.MLP("small", (1, 8, 8), 10, hidden=(40, 25))
DENSITIES = (1.0, 0.5, 0.05)


def random_mask(model, density, seed=0):
    generator = np.random.default_rng(seed)
    return Mask({name: generator.random(model.shapes[name]) < density for name in model.prunable})


def odd_mask(model):
    """Units without an input, units that nobody hears, a class without connections, a row of one weight."""
    arrays = {name: array.copy() for name, array in random_mask(model, 0.3, seed=1).items()}
    first, second, last = arrays.values()
    first[[0, 3]], second[:, [1, 2]], second[-1], last[4] = False, False, False, False
    first[5] = np.arange(first.shape[1]) == 30
    return Mask(arrays)


def closed_mask(model):
    """A whole layer pruned: only biases are left to learn from."""
    arrays = dict(random_mask(model, 0.5, seed=2))
    name = list(arrays)[1]
    return Mask({**arrays, name: np.zeros_like(arrays[name])})


MASKS = [*(random_mask(SMALL, density) for density in DENSITIES), odd_mask(SMALL), closed_mask(SMALL)]


def cells_of(rule, **fields):
    """One cell for each mask, each of another replicate."""
    return [NET.but(**RULES[rule], replicate=r, level=r, **fields) for r in range(len(MASKS))]


@cache
def by_autograd(rule):
    """A population with a different mask in each place."""
    cells = cells_of(rule)
    return train(cells, SMALL, [imp.initial(cell, SMALL) for cell in cells], MASKS, path="autograd")[0]


def assert_same(one, other, tolerance=1e-10):
    """Two outcomes agree in everything that a record holds and in their weights."""
    for name in other.weights:
        np.testing.assert_allclose(one.weights[name], other.weights[name], rtol=0, atol=tolerance, err_msg=name)
    assert one.result == pytest.approx(other.result, abs=tolerance, rel=0)
    assert one.wrong == other.wrong
    assert one.curves.keys() == other.curves.keys()
    for name in other.curves:
        assert one.curves[name] == pytest.approx(other.curves[name], abs=tolerance, rel=0), name


@pytest.fixture(autouse=True, scope="module")
def settled():
    """Kernels come out of the cache here as in any other process, whichever test is the first."""
    for precision in ("float32", "float64"):
        mlp.settle(precision)


# compiled = autograd


@pytest.mark.parametrize("algorithm", [1, 3])
@pytest.mark.parametrize("path", STORAGE)
@pytest.mark.parametrize("rule", RULES)
def test_compiled_training_is_that_of_autograd(rule, path, algorithm):
    cells = cells_of(rule, algorithm=algorithm)
    weights = [imp.initial(cell, SMALL) for cell in cells]
    outcomes, taken = train(cells, SMALL, weights, MASKS, path=path)
    assert taken == path
    for mine, theirs in zip(outcomes, by_autograd(rule), strict=True):
        assert_same(mine, theirs)
        assert mine.curves["step"][-1] == 120
    for outcome, start, mask in zip(outcomes[:3], weights, MASKS, strict=False):
        moved = np.abs(outcome.weights["fc2.weight"] - mask.apply(start)["fc2.weight"])
        assert moved.max() > 0.01  # something was learned: the agreement is not that of two idle loops


@pytest.mark.parametrize("algorithm", [1, 3])
@pytest.mark.parametrize("path", STORAGE)
def test_a_pull_is_that_of_autograd(path, algorithm):
    """A term of the loss that the compiled path knows the gradient of; strong enough to change where training ends."""
    pulls = (-1, 2, 0.5, -3, 1)
    cells = [
        NET.but(replicate=r, level=r + 1, arm="pulled", pull=pull, algorithm=algorithm, weight_decay=1e-4)
        for r, pull in enumerate(pulls)
    ]
    weights, goals = [imp.initial(cell, SMALL) for cell in cells], [SMALL.init(stream("init", 9))] * len(cells)
    mine, theirs, without = (
        train(some, SMALL, weights, MASKS, path=one, goals=aims)[0]
        for some, one, aims in (
            (cells, path, goals),
            (cells, "autograd", goals),
            ([cell.but(arm="ticket", pull=0) for cell in cells], path, None),
        )
    )
    for one, other, free in zip(mine, theirs, without, strict=True):
        assert_same(one, other)
        assert np.abs(one.weights["fc1.weight"] - free.weights["fc1.weight"]).max() > 0.01


def test_the_paths_agree_on_the_papers_network():
    model = models.build("lenet-300-100", (1, 8, 8), 10)
    mask, cell = random_mask(model, 0.15), NET.but(steps=100)
    weights = imp.initial(cell, model)
    compiled, plain_path = (train([cell], model, [weights], [mask], path=path)[0][0] for path in ("mlp", "autograd"))
    assert_same(compiled, plain_path)


@pytest.mark.parametrize("algorithm", [1, 3])
@pytest.mark.parametrize("batch", [20, 64, 150])
def test_storage_changes_nothing_in_wide_layers_and_large_batches(batch, algorithm):
    """Layers of several tiles, batches of more images than the registers of version 3 hold at a time."""
    wide = models.MLP("wide", (1, 20, 20), 10, hidden=(330, 25))
    generator = np.random.default_rng(batch)
    images, labels = generator.random((600, 400)), generator.integers(10, size=600)
    order, rates = generator.integers(600, size=(40, batch)), np.full(40, 1e-3)
    weights, mask = wide.init(stream("init")), random_mask(wide, 0.2)
    weights = {name: array.astype(float) for name, array in mask.apply(weights).items()}
    found = []
    for below in (0, 2):
        network = mlp.pack(weights, mask, wide.prunable, algorithm, below)
        mlp.advance(network.index, *network.state, images, labels, order, 0, rates, True, 0.0, 1e-4)
        x, y = mlp.blocks(images, labels, algorithm)
        correct = np.zeros(y.shape, bool)
        loss, _ = mlp.evaluate(network.index, network.value, x, y, correct)
        found.append({**mlp.unpack(network, mask, wide.prunable), "loss": loss, "correct": correct})
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=0, atol=1e-10, err_msg=name)
    assert np.abs(found[0]["fc1.weight"] - weights["fc1.weight"]).max() > 0.01


@pytest.mark.parametrize("path", ["mlp", "autograd"])
def test_a_part_of_the_training_is_a_part_of_it(path):
    cell, mask = NET.but(optimizer="sgd", learning_rate=0.1), MASKS[1]
    first = train([cell], SMALL, [imp.initial(cell, SMALL)], [mask], path=path, stop=25)[0][0].weights
    whole = train([cell], SMALL, [first], [mask], path=path, start=25)[0][0].weights
    once = train([cell], SMALL, [imp.initial(cell, SMALL)], [mask], path=path)[0][0].weights
    for name in once:
        np.testing.assert_allclose(whole[name], once[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("storage", STORAGE)
def test_packing_loses_nothing(storage):
    for mask in MASKS:
        weights = mask.apply(imp.initial(NET, SMALL))
        network = mlp.pack(weights, mask, SMALL.prunable, 1, STORAGE[storage])
        again = mlp.unpack(network, mask, SMALL.prunable)
        assert again.keys() == weights.keys()
        for name, array in weights.items():
            np.testing.assert_array_equal(again[name], array)
        densities = np.array([kept.mean() for kept in mask.values()])
        np.testing.assert_array_equal(network.sparse, densities < STORAGE[storage])
        stored = [
            kept.sum() if sparse else kept.size for kept, sparse in zip(mask.values(), network.sparse, strict=True)
        ]
        assert network.value.size == sum(stored) + sum(SMALL.widths[1:])


# autograd = the plain loop


def plain_outcome(cell, name, params, mask, shape):
    """The twin's weights by the model's parameter names, and what it saw."""
    module = load_replicate(
        plain(name, shape, 10), {n: torch.from_numpy(a)[None].double() for n, a in params.items()}, 0
    )
    places = list(params)
    masks = {places.index(n): torch.from_numpy(np.array(kept)) for n, kept in mask.items()}
    seen = twin.train(cell, module, masks, every=interval(cell.steps))
    return {n: p.detach().numpy() for n, p in zip(places, module.parameters(), strict=True)}, seen


def assert_as_plain(cell, model, mask, shape):
    params = imp.initial(cell, model)
    outcome = train([cell], model, [params], [mask], path="autograd")[0][0]
    weights, seen = plain_outcome(cell, model.name, params, mask, shape)
    for name, array in weights.items():
        np.testing.assert_allclose(outcome.weights[name], array, rtol=0, atol=1e-10, err_msg=name)
    best = min(seen, key=lambda row: row[1])  # the first, if tied
    named = ("early_stop_step", "early_stop_loss", "validation_accuracy", "test_accuracy")
    assert [outcome.result[name] for name in named] == pytest.approx(best, abs=1e-10, rel=0)
    at_end = [outcome.result[f"{name}_end"] for name in ("validation_loss", "validation_accuracy", "test_accuracy")]
    assert at_end == pytest.approx(seen[-1][1:], abs=1e-10, rel=0)
    at = {row[0]: row for row in seen}
    assert outcome.result["test_accuracy_mid"] == pytest.approx(at[round(0.3 * cell.steps)][3], abs=1e-10)
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


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("conv-2", {"learning_rate": 2e-4}),
        ("resnet-20", {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "warmup": 2}),
    ],
)
def test_image_networks_train_as_plain_modules(name, fields, few_digits):
    model = models.build(name, (1, 8, 8), 10)
    cell = NET.but(model=name, steps=5, batch=8, inputs="standard", **fields)
    assert_as_plain(cell, model, random_mask(model, 0.5), (1, 8, 8))


# single precision


@pytest.mark.parametrize(("version", "off"), [(1, 1e-5), (3, 1e-6)])
def test_adam_in_single_precision_takes_the_right_step(version, off):
    """The 1 - 0.999 of versions before 3 is a difference of floats, which recorded results were made with."""
    generator = np.random.default_rng(0)
    gradients = generator.normal(size=(3, 500)) * 10.0 ** generator.integers(-3, 1, 500)
    moved = {}
    for kind in ("float32", "float64"):
        value, keep, slow, fast = (np.full(500, x, kind) for x in (0, 1, 0, 0))
        for step, gradient in enumerate(gradients.astype(np.float32), 1):
            kernels._adam(value, keep, gradient.astype(kind), slow, fast, 1e-3, step, 0.0, version)
        moved[kind] = value.astype(float)
    assert np.median(np.abs(moved["float32"] / moved["float64"] - 1)) < off


@pytest.mark.parametrize("algorithm", [1, 3])
def test_single_precision_follows_double_precision(algorithm):
    cells = cells_of("sgd", algorithm=algorithm)[:4]
    starts = [imp.initial(cell, SMALL) for cell in cells]
    single = [cell.but(precision="float32") for cell in cells]
    for path in ("mlp", "autograd"):
        outcomes = train(single, SMALL, starts, MASKS[:4], path=path)[0]
        for mine, exact in zip(outcomes, by_autograd("sgd"), strict=False):
            assert mine.weights["fc1.weight"].dtype == np.float32
            np.testing.assert_allclose(mine.curves["validation_loss"], exact.curves["validation_loss"], rtol=1e-4)


@pytest.mark.parametrize("algorithm", [1, 3])
def test_single_precision_curves_of_both_paths_are_alike(algorithm):
    """Rounding decides which of two close paths Adam takes: over replicates, neither path may do better."""
    net = NET.but(precision="float32", learning_rate=5e-3, steps=100, algorithm=algorithm)
    cells = [net.but(replicate=r) for r in range(8)]
    starts, masks = [imp.initial(cell, SMALL) for cell in cells], [MASKS[1]] * len(cells)
    compiled, stacked = (
        np.array([outcome.curves["validation_loss"] for outcome in train(cells, SMALL, starts, masks, path=path)[0]])
        for path in ("mlp", "autograd")
    )
    gap = compiled - stacked
    assert compiled[:, -1].mean() < 0.5 * compiled[:, 0].mean()
    assert (np.abs(gap.mean(0)) < 5 * gap.std(0, ddof=1) / np.sqrt(len(cells)) + 1e-5).all()
    assert np.abs(gap).max() < 0.02


# evaluation


@pytest.mark.parametrize("n", [3, 500, 1203])
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", [1, 3])
def test_evaluation_is_that_of_torch(n, kind, algorithm):
    generator = np.random.default_rng(n)
    images, labels = generator.random((n, 64)).astype(kind), generator.integers(10, size=n)
    mask = MASKS[3]
    weights = {name: 8 * array.astype(kind) for name, array in mask.apply(imp.initial(NET, SMALL)).items()}
    network = mlp.pack(weights, mask, SMALL.prunable, algorithm)
    x, y = mlp.blocks(images, labels, algorithm)
    correct = np.zeros(y.shape, bool)
    loss, right = mlp.evaluate(network.index, network.value, x, y, correct)
    params = {name: torch.from_numpy(array)[None] for name, array in weights.items()}
    logits = SMALL.forward(params, {}, torch.from_numpy(images)[None], training=False)[0]
    expected = logits.argmax(1).numpy() == labels
    assert loss == pytest.approx(
        cross_entropy(logits, torch.from_numpy(labels)).item(), rel=1e-5 if kind == "float32" else 1e-12
    )
    np.testing.assert_array_equal(correct.ravel()[:n], expected)
    assert not correct.ravel()[n:].any()
    assert right == expected.sum()


def test_large_logits_do_not_overflow():
    weights = {name: 1e4 * array for name, array in imp.initial(NET, SMALL).items()}
    network = mlp.pack(weights, MASKS[0], SMALL.prunable, 1)
    x, y = mlp.blocks(np.ones((5, 64), np.float32), np.arange(5), algorithm=1)
    loss, _ = mlp.evaluate(network.index, network.value, x, y, np.zeros(y.shape, bool))
    assert np.isfinite(loss)
    assert loss > 100


@pytest.mark.parametrize("below", [0, 2])
@pytest.mark.parametrize("algorithm", [1, 3])
def test_a_value_that_is_not_a_number_is_seen(algorithm, below):
    weights = imp.initial(NET, SMALL)
    weights["fc2.weight"][3, 3] = np.nan
    network = mlp.pack(weights, MASKS[0], SMALL.prunable, algorithm, below)
    x, y = mlp.blocks(np.ones((5, 64), np.float32), np.arange(5), algorithm)
    assert not np.isfinite(mlp.evaluate(network.index, network.value, x, y, np.zeros(y.shape, bool))[0])


# the path


def test_kernels_are_compiled_by_another_process_and_once(monkeypatch):
    ran = []
    monkeypatch.setattr(mlp.subprocess, "run", lambda command, **_: ran.append(command[-1]))
    monkeypatch.setenv("TICKETS_COMPILED", "")
    for precision in ("float32", "float64", "float32"):
        mlp.settle(precision)
    assert len(ran) == 2
    assert "float32" in ran[0]
    assert "float64" in ran[1]
    assert os.environ["TICKETS_COMPILED"].split() == ["float32", "float64"]  # a worker inherits it


def test_the_path_is_a_function_of_the_cell():
    from tickets.train import choose_path

    assert choose_path(SMALL, "cpu", NET) == "mlp"
    assert choose_path(SMALL, "cpu", NET.but(arm="dense_path", level=3)) == "mlp-dense"
    assert choose_path(SMALL, "cuda", NET) == "autograd"
    assert choose_path(SMALL, "cpu", NET.but(dropout=0.5)) == "autograd"
    assert choose_path(SMALL, "cpu", NET.but(augment="flip_crop")) == "autograd"
    assert choose_path(models.build("conv-2", (1, 8, 8), 10), "cpu", NET) == "autograd"


@pytest.mark.parametrize("algorithm", [1, 3])
@pytest.mark.parametrize("density", [1.0, 0.03])
def test_a_network_costs_what_it_weighs_in_memory_too(density, algorithm):
    """Value, two moments and one byte of mask for each weight stored; a position of 4 bytes where stored sparsely."""
    model = models.build("lenet-300-100", (1, 28, 28), 10)
    mask, cell = random_mask(model, density), NET.but(precision="float32")
    weights = {name: array.astype("float32") for name, array in imp.initial(cell, model).items()}
    network = mlp.pack(weights, mask, model.prunable, algorithm)
    stored = mask.kept if density < 0.2 else 266_200
    each = 13 + 4 * (density < 0.2)
    offsets = 420 if algorithm < 3 else 6 * 300 + 3 * 100 + 2 * 10  # of rows; of rows in each tile of columns
    small = 13 * 410 + 8 * offsets + 200  # biases, offsets, widths
    held = sum(array.nbytes for array in vars(network).values() if isinstance(array, np.ndarray))
    assert each * stored <= held <= each * stored + small


def test_images_of_a_step_follow_the_order():
    """What `advance` trains on is `images[order[step]]`: one step by hand."""
    cell, digits = NET.but(optimizer="sgd", learning_rate=0.5), data.load("digits")
    weights = {name: torch.from_numpy(a).double() for name, a in imp.initial(cell, SMALL).items()}
    picked, _ = data.split(digits, 0)
    index = picked[stream("order", 0).permutation(np.arange(len(picked), dtype=np.int32))[:60]]
    params = {name: tensor[None].requires_grad_() for name, tensor in weights.items()}
    x = digits.train_images[index].double() / 255
    cross_entropy(SMALL.forward(params, {}, x[None], training=True)[0], digits.train_labels[index]).backward()
    stepped = train([cell], SMALL, [imp.initial(cell, SMALL)], [MASKS[0]], stop=1)[0][0].weights
    for name, param in params.items():
        expected = (param - 0.5 * param.grad).detach()[0].numpy()
        np.testing.assert_allclose(stepped[name], expected, rtol=0, atol=1e-12)
