"""The path of perceptrons: what autograd says, from any storage, and what a network costs in memory."""

import os
import subprocess
import sys
from functools import cache
from itertools import chain

import numpy as np
import pytest
from small import MASKS, NET, RULES, SMALL, assert_close, assert_same, random_mask, starts_of
from tickets.files import ROOT
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.seeds import stream
from tickets.training import compiled
from tickets.training.flat import SPARSE_BELOW, Network
from tickets.training.train import train

STORAGE = {"mlp": None, "mlp-dense": 0, "mlp-sparse": 2}


def cells_of(rule, **fields):
    """One cell for each mask, each of another replicate."""
    return [NET.but(**RULES[rule], replicate=r, level=r, **fields) for r in range(len(MASKS))]


@cache
def by_autograd(rule):
    """A population with a different mask in each place."""
    cells = cells_of(rule)
    return train(cells, SMALL, starts_of(cells, MASKS), path="autograd")[0]


# compiled = autograd


@pytest.mark.parametrize("path", STORAGE)
@pytest.mark.parametrize("rule", RULES)
def test_compiled_training_is_that_of_autograd(rule, path):
    cells = cells_of(rule)
    starts = starts_of(cells, MASKS)
    outcomes, taken = train(cells, SMALL, starts, path=path)
    assert taken == path
    for mine, theirs in zip(outcomes, by_autograd(rule), strict=True):
        assert_same(mine, theirs)
        assert mine.curves["step"][-1] == 120
    for outcome, start in zip(outcomes[:3], starts, strict=False):
        moved = np.abs(outcome.weights["fc2.weight"] - start.mask.apply(start.weights)["fc2.weight"])
        assert moved.max() > 0.01  # something was learned: the agreement is not that of two idle loops


@pytest.mark.parametrize("path", STORAGE)
def test_a_pull_is_that_of_autograd(path):
    """A term of the loss that the compiled path knows the gradient of; strong enough to change where training ends."""
    pulls, goal = (-1, 2, 0.5, -3, 1), SMALL.init(stream("init", 9))
    cells = [NET.but(replicate=r, level=r + 1, arm="pulled", pull=p, weight_decay=1e-4) for r, p in enumerate(pulls)]
    free = starts_of(cells, MASKS)
    pulled = [Start(s.weights, s.mask, goal, pull) for s, pull in zip(free, pulls, strict=True)]
    mine, theirs, without = (
        train(some, SMALL, starts, path=one)[0]
        for some, starts, one in (
            (cells, pulled, path),
            (cells, pulled, "autograd"),
            ([cell.but(arm="ticket") for cell in cells], free, path),
        )
    )
    for one, other, unpulled in zip(mine, theirs, without, strict=True):
        assert_same(one, other)
        assert np.abs(one.weights["fc1.weight"] - unpulled.weights["fc1.weight"]).max() > 0.01


def test_the_paths_agree_on_the_papers_network():
    model = models.build("lenet-300-100", (1, 8, 8), 10)
    cell = NET.but(steps=100)
    starts = starts_of([cell], [random_mask(model, 0.15)], model)
    assert_same(*(train([cell], model, starts, path=path)[0][0] for path in ("mlp", "autograd")))


# single precision


def test_single_precision_follows_double_precision():
    cells = cells_of("sgd")[:4]
    single = [cell.but(precision="float32") for cell in cells]
    for path in ("mlp", "autograd"):
        outcomes = train(single, SMALL, starts_of(cells, MASKS[:4]), path=path)[0]
        for mine, exact in zip(outcomes, by_autograd("sgd"), strict=False):
            assert mine.weights["fc1.weight"].dtype == np.float32
            np.testing.assert_allclose(mine.curves["validation_loss"], exact.curves["validation_loss"], rtol=1e-4)


def test_single_precision_curves_of_both_paths_are_alike():
    """Rounding decides which of two close paths Adam takes: over replicates, neither path may do better."""
    net = NET.but(precision="float32", learning_rate=5e-3, steps=100)
    cells = [net.but(replicate=r) for r in range(8)]
    starts = starts_of(cells, [MASKS[1]] * len(cells))
    compiled, stacked = (
        np.array([outcome.curves["validation_loss"] for outcome in train(cells, SMALL, starts, path=path)[0]])
        for path in ("mlp", "autograd")
    )
    gap = compiled - stacked
    assert compiled[:, -1].mean() < 0.5 * compiled[:, 0].mean()
    assert (np.abs(gap.mean(0)) < 5 * gap.std(0, ddof=1) / np.sqrt(len(cells)) + 1e-5).all()
    assert np.abs(gap).max() < 0.02


# the flat layout


@pytest.mark.parametrize("storage", STORAGE)
def test_packing_loses_nothing(storage):
    for mask in MASKS:
        weights = mask.apply(imp.initial(NET, SMALL))
        network = Network(SMALL, Start(weights, mask), "float64", 60, STORAGE[storage])
        assert_close(network.unpack(), weights, 0)
        densities, below = np.array([kept.mean() for kept in mask.values()]), STORAGE[storage]
        np.testing.assert_array_equal(network.head.sparse, densities < (SPARSE_BELOW[2] if below is None else below))
        stored = [
            kept.sum() if sparse else kept.size for kept, sparse in zip(mask.values(), network.head.sparse, strict=True)
        ]
        assert network.value.size == sum(stored) + sum(SMALL.widths[1:])


@pytest.mark.parametrize("path", STORAGE)
def test_a_path_stores_layers_below_its_density_by_their_kept_weights(path, monkeypatch):
    seen = []

    def packed(*arguments, **named):
        seen.append(arguments[4])
        return Network(*arguments, **named)

    monkeypatch.setattr(compiled, "Network", packed)
    cells = [NET.but(steps=1)]
    train(cells, SMALL, starts_of(cells, MASKS[:1]), path=path)
    assert seen == [STORAGE[path]]


@pytest.mark.parametrize("density", [1.0, 0.03])
def test_a_network_costs_what_it_weighs_in_memory_too(density):
    """Value, two moments and a byte of mask for each weight stored; where sparse a position, for the way back two."""
    model = models.build("lenet-300-100", (1, 28, 28), 10)
    mask, cell = random_mask(model, density), NET.but(precision="float32")
    network = Network(model, Start(imp.initial(cell, model), mask), "float32", 60)
    stored = mask.kept if density < 0.2 else 266_200
    each = 13 + 4 * (density < 0.2)
    back = 8 * (mask.kept - mask.counts()["fc1.weight"]) * (density < 0.2)  # nobody needs the gradient of the pixels
    offsets = 6 * 300 + 3 * 100 + 2 * 10 + 2 * 300 + 2 * 100  # of rows in each tile of columns, and turned
    small = 13 * 410 + 8 * offsets + 300  # biases, offsets, widths
    head = [part if isinstance(part, tuple) else (part,) for part in network.head]
    held = sum(array.nbytes for array in (*chain.from_iterable(head), *network.state[:5]))
    assert each * stored + back <= held <= each * stored + back + small


# compiled once


def test_kernels_are_compiled_by_another_process_and_once(monkeypatch):
    ran = []
    monkeypatch.syspath_prepend("/elsewhere")  # it finds what this process finds

    def run(command, env, **_):
        assert env["PYTHONPATH"].split(os.pathsep)[0] == "/elsewhere"
        ran.append(command[-1])

    monkeypatch.setattr(compiled.subprocess, "run", run)
    monkeypatch.setenv("TICKETS_COMPILED", "")
    conv = models.build("conv-2", (1, 8, 8), 10)
    for precision, model in (("float32", SMALL), ("float64", SMALL), ("float32", conv), ("float32", SMALL)):
        compiled.settle(precision, model)
    assert [command.partition("; ")[2] for command in ran] == [
        "compile_now('lenet-300-100', 'float32')",
        "compile_now('lenet-300-100', 'float64')",
        "compile_now('conv-2', 'float32')",
    ]
    assert len(os.environ["TICKETS_COMPILED"].split()) == 3  # a worker inherits it


@pytest.mark.parametrize("name", ["lenet-300-100", "conv-2"])
def test_training_runs_what_another_process_compiled(name):
    """Nothing is compiled in the process that trains, where it would round differently (see `settle`)."""
    code = f"""if True:
        from small import NET, random_mask, starts_of
        from tickets.nets import models
        from tickets.training import passes
        from tickets.training.train import train
        model, cell = models.build({name!r}, (1, 8, 8), 10), NET.but(precision="float32", steps=2)
        train([cell], model, starts_of([cell], [random_mask(model, 0.3)], model))
        read, taken = passes.evaluate.stats, passes.advance.stats
        print(len(read.cache_misses) + len(taken.cache_misses), len(read.cache_hits) + len(taken.cache_hits))
    """
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("lib", "tests"))}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=there, text=True).split() == ["0", "2"]
