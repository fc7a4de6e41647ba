"""Training: networks that share everything but their seeds, weights and masks, on one of two numeric paths.

Perceptrons on a CPU go through the kernels of `mlp`, one after the other; everything else, on any device, through the
autograd loop of `population`.
"""

from functools import lru_cache, partial

import numpy as np
import torch

from . import data, mlp
from .cells import Cell
from .masks import Mask
from .population import train_population
from .recorder import Outcome, Recorder, Weights
from .schedule import learning_rates, order, stops, test_steps


def train(
    cells, model, weights: list[Weights], masks: list[Mask], device="cpu", path=None, start=0, stop=None, keep=None,
    goals=None,
):  # fmt: skip
    """Train one network per cell, from `start` to `stop` (default: the cell's last step).

    The cells agree in everything but seeds, arm and level. weights, masks: one per cell; pruned weights are set to zero
    and stay exactly there. path: one of PATHS, by default a fixed function of cell, architecture and device. keep: a
    `checkpoint.Checkpoint` to go on from and to save to where training pauses to evaluate. goals: what cells with a
    pull are pulled to, one per cell. Returns (outcomes, one per cell; the path taken); where stop comes before the end,
    outcomes hold only weights, and nothing is kept.
    """
    path = path or choose_path(model, device, cells[0])
    loop = PATHS[path]
    weights = [
        {name: array.astype(cell.precision) for name, array in mask.apply(w).items()}
        for cell, mask, w in zip(cells, masks, weights, strict=True)
    ]
    return loop(list(cells), model, weights, masks, device, start, stop, keep, goals=goals), path


def choose_path(model, device, cell: Cell) -> str:
    """The numeric path: never a matter of timing, so that a re-run gives the same bits on the same machine."""
    plain = model.widths is not None and not cell.dropout and cell.augment == "none"
    plain = plain and cell.dataset != "imagenet"  # the kernels want all pixels in memory
    if not plain or torch.device(device).type != "cpu":
        return "autograd"
    return "mlp-dense" if cell.arm == "dense_path" else "mlp"


@lru_cache(maxsize=2)
def _pixels(name: str, inputs: str, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Scaled training and test images, [N, features] each."""
    dataset, dtype = data.load(name), getattr(torch, precision)
    parts = dataset.train_images, dataset.test_images
    return tuple(data.scale(images, dataset, inputs, dtype).flatten(1).numpy() for images in parts)


def _train_mlp(cells, model, weights, masks, device, start, stop, keep, below=None, goals=None):
    """below: density under which layers are stored by their kept weights, by default that of the cell's algorithm."""
    keep = keep if len(cells) == 1 else None  # one file holds one network; on a CPU a population is one
    return [
        _train_one(*own, model, start, stop, keep, below)
        for own in zip(cells, weights, masks, goals or [None] * len(cells), strict=True)
    ]


def _train_one(cell: Cell, weights: Weights, mask: Mask, goal, model, start, stop, keep, below) -> Outcome:
    dataset = data.load(cell.dataset)
    picked, held_out = data.split(dataset, cell.replicate)
    images, test_images = _pixels(cell.dataset, cell.inputs, cell.precision)
    labels, batches, rates = dataset.train_labels.numpy(), order(cell, picked), learning_rates(cell)
    mlp.settle(cell.precision)
    network = mlp.pack(weights, mask, model.prunable, cell.algorithm, below)
    if goal:
        mlp.aim(network, goal, mask, model.prunable, cell.pull)

    def advance(begin: int, end: int):
        steps = batches[begin:end], begin - start, rates[begin:end]
        rule = cell.optimizer == "adam", cell.momentum, cell.weight_decay
        mlp.advance(network.index, *network.state, images, labels, *steps, *rule)

    def score(blocks, value):
        correct = np.zeros(blocks[1].shape, bool)
        loss, right = mlp.evaluate(network.index, value, *blocks, correct)
        return loss, 100 * right / int((blocks[1] >= 0).sum()), correct

    if stop is not None:
        advance(start, stop)
        return Outcome({}, {}, [], mlp.unpack(network, mask, model.prunable))
    validation = mlp.blocks(images[held_out], labels[held_out], cell.algorithm)
    test = mlp.blocks(test_images, dataset.test_labels.numpy(), cell.algorithm)
    recorder, reading, best, begin = (
        Recorder([cell], dataset.classes),
        test_steps(cell.steps),
        network.value.copy(),
        start,
    )
    state = {"value": network.value, "slow": network.slow, "fast": network.fast, "best": best}
    if earlier := keep and keep.resume(recorder):
        begin = earlier[0]
        for name, array in state.items():
            array[:] = earlier[1][name]
    for end in stops(cell, begin):
        advance(begin, end)
        begin = end
        loss, accuracy, _ = score(validation, network.value)
        if recorder.validated(end, [loss], [accuracy])[0]:
            best[:] = network.value
        if end in reading:
            recorder.tested(end, [score(test, network.value)[1]])
        if keep and end < cell.steps:
            keep.pause(end, recorder, lambda: state)
    _, accuracy, correct = score(test, best)
    fitted = score(mlp.blocks(images[picked], labels[picked], cell.algorithm), network.value)[1]
    final = mlp.unpack(network, mask, model.prunable)
    return recorder.outcome(0, mask, accuracy, correct.ravel()[: len(dataset.test_labels)], fitted, final)


PATHS = {
    "mlp": _train_mlp,
    "mlp-dense": partial(_train_mlp, below=0),  # every layer dense, whatever its mask
    "mlp-sparse": partial(_train_mlp, below=2),  # every layer by its kept weights
    "autograd": train_population,
}
"""The numeric paths: same results but for rounding."""
