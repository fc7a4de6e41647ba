"""The training loop, one for all networks and devices; how a step is computed is a path's affair.

A path has `advance`, `read`, `remember`, `weights`, `state` and `restore` (see `Compiled` and `Autograd`). What it
trains, the weights under a mask or something else that makes a network, is its own affair.
"""

from functools import partial

import numpy as np
import torch

from ..arms import ARMS
from ..pruning.imp import Start
from ..pruning.masks import Weights
from .autograd import Autograd
from .compiled import Compiled
from .recorder import Outcome, Recorder
from .schedule import stops, test_steps

BELOW = {"": None, "-dense": 0, "-sparse": 2}
"""Density below which compiled code stores layers by their kept weights: its own choice, no layer's, every layer's."""
PATHS = {kind + storage: partial(Compiled, below=below) for kind in ("mlp", "conv") for storage, below in BELOW.items()}
PATHS["autograd"] = Autograd
"""The numeric paths: same results but for rounding."""


def train(cells, model, starts: list[Start], device="cpu", path=None, keep=None, saves=(), stop=None):
    """Train one network per cell, from its first step to its last.

    The cells agree in everything but seeds, arm, level and the arm's own parameters. starts: one per cell. path: one of
    PATHS, by default a fixed function of cell, architecture and device. keep: a `checkpoint.Checkpoint` to go on from
    and to save to where training pauses to evaluate. saves: steps whose weights are wanted. stop: end there, where only
    these are wanted. Returns (outcomes, one per cell; the path taken).
    """
    cell, path = cells[0], path or choose_path(model, device, cells[0])
    begin = cell.first_step
    networks = PATHS[path](list(cells), model, starts, device, begin=begin)
    recorder, reading = Recorder(list(cells), model.classes), test_steps(cell)
    saved: dict[int, list[Weights]] = {}
    if earlier := keep and keep.resume(recorder):
        begin = earlier[0]
        saved = _unpacked(earlier[1], len(cells))
        networks.restore(earlier[1])
    pauses = set(stops(cell, begin))
    for end in sorted({*pauses, *(step for step in saves if step > begin)}):
        if stop is not None and end > stop:
            break
        networks.advance(begin, end)
        begin = end
        if end in saves:
            saved[end] = networks.weights()
        if end not in pauses:
            continue
        loss, right = networks.read("validation")
        networks.remember(recorder.validated(end, loss, _percent(right)))
        if end in reading:
            recorder.tested(end, _percent(networks.read("test")[1]))
        if keep and end < cell.steps:
            keep.pause(end, recorder, lambda: networks.state() | _packed(saved))
    if stop is not None:
        outcomes = [Outcome({}, {}, [], {}) for _ in cells]
    else:
        right, fitted = networks.read("test", best=True)[1], _percent(networks.read("train")[1])
        last = networks.weights()
        outcomes = [recorder.outcome(r, s.mask, right[r], fitted[r], last[r]) for r, s in enumerate(starts)]
    for r, outcome in enumerate(outcomes):
        outcome.saved = {step: weights[r] for step, weights in saved.items()}
    return outcomes, path


def choose_path(model, device, cell) -> str:
    """The numeric path: never a matter of timing, so that a re-run gives the same bits on the same machine."""
    if ARMS[cell.arm].path:
        return ARMS[cell.arm].path(model, device)
    # the compiled paths want all pixels in memory, and small kernels
    if torch.device(device).type != "cpu" or cell.micro_batch or cell.dataset == "imagenet" or not model.compiled:
        return "autograd"
    if model.widths:
        kind, beyond = "mlp", cell.dropout or cell.augment != "none"
    else:
        kind, beyond = "conv", cell.own.get("pull") or (cell.dropout and model.channels)
    return "autograd" if beyond else f"{kind}-dense" if ARMS[cell.arm].dense else kind


def _percent(right: np.ndarray) -> np.ndarray:
    """Accuracy in percent [R] of right or wrong answers [R, N]."""
    return 100 * right.sum(1) / right.shape[1]


SAVED = "saved/"


def _packed(saved: dict[int, list[Weights]]) -> Weights:
    """Saved weights as arrays of a checkpoint."""
    return {
        f"{SAVED}{step}/{r}/{name}": array
        for step, networks in saved.items()
        for r, weights in enumerate(networks)
        for name, array in weights.items()
    }


def _unpacked(arrays: Weights, R: int) -> dict[int, list[Weights]]:
    """The inverse of `_packed`, for R networks."""
    saved: dict[int, list[Weights]] = {}
    for key, array in arrays.items():
        if key.startswith(SAVED):
            step, r, name = key.removeprefix(SAVED).split("/", 2)
            saved.setdefault(int(step), [{} for _ in range(R)])[int(r)][name] = array
    return saved
