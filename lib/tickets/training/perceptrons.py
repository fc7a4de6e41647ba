"""The path of perceptrons on one CPU core: dense layers by matrix products, sparse layers by kept weights only.

The plain twin is the `autograd` path; both give the same numbers (float64: 1e-10). The steps themselves are compiled
(`kernels`), and a layer below `SPARSE_BELOW` density costs what it weighs: compressed rows forward, gradients only at
kept positions, optimizer state only for kept weights. By hand with reason: a step of the whole network is 6 to 12 times
faster than with the layers of SparseProp, the one public library that trains sparsely on a CPU.

Layout. Activations are [features, batch], so that the innermost loop runs over images at unit stride. Letters: U units
of all layers (inputs included), B columns, P parameters, L layers. Parameters are one flat vector: for each layer its
weights (all of a dense layer, row by row; the kept ones of a sparse layer), then its biases.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..data import sources
from ..data.dataset import scale
from ..data.reader import Reader
from ..pruning.imp import Start
from ..pruning.masks import Weights
from .kernels import WIDE, advance, evaluate, lines
from .schedule import learning_rates

SPARSE_BELOW = 0.55
"""Density below which a layer is stored by its kept weights: `make bench` shows where the two storages cross."""
CHUNK = WIDE
"""Images per evaluation block."""
TILE = 160
"""Columns of a sparse layer that are worked on together: their activations, 40 kB, stay in the first cache."""

_COMPILED = "TICKETS_COMPILED"


class Perceptrons:
    """Networks that are trained by the kernels, one after the other; a path of `train`.

    below: density under which a layer is stored by its kept weights (0: none is; 2: every one is).
    """

    def __init__(self, cells, model, starts: list[Start], device="cpu", begin=0, below=SPARSE_BELOW):
        self.cell, self.model, self.begin = cells[0], model, begin
        settle(self.cell.precision)
        self.reader = Reader(cells)
        self.labels = self.reader.data.train_labels.numpy()
        self.images, self.test_images = _pixels(self.cell.dataset, self.cell.inputs, self.cell.precision)
        self.rates, self.masks = learning_rates(self.cell), [start.mask for start in starts]
        self.networks = [_packed(start, self.cell.precision, model, below) for start in starts]
        self.best = [network.value.copy() for network in self.networks]
        self._blocks: dict = {}

    def advance(self, begin: int, end: int) -> None:
        """Take the steps from `begin` to `end`."""
        rule = self.cell.optimizer == "adam", self.cell.momentum, self.cell.weight_decay
        for network, batches in zip(self.networks, self.reader.order, strict=True):
            steps = batches[begin:end], begin - self.begin, self.rates[begin:end]
            advance(network.index, *network.state, self.images, self.labels, *steps, *rule)

    def read(self, part: str, best: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean cross-entropy [R] and right answers [R, N] over a part of the data, now or at the best validation."""
        values = self.best if best else [network.value for network in self.networks]
        loss, right = zip(*(self._read(r, value, part) for r, value in enumerate(values)), strict=True)
        return np.array(loss), np.stack(right)

    def _read(self, r: int, value: np.ndarray, part: str) -> tuple[float, np.ndarray]:
        x, y = self._part(r, part)
        correct = np.zeros(y.shape, bool)
        loss, _ = evaluate(self.networks[r].index, value, x, y, correct)
        return loss, correct.ravel()[: self.reader.index[part].shape[1]]

    def _part(self, r: int, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Evaluation blocks of a part; those of all training images, read once, are not kept."""
        if (r, part) in self._blocks:
            return self._blocks[r, part]
        places, test = self.reader.index[part][r], part == "test"
        labels = self.reader.data.test_labels.numpy() if test else self.labels
        found = blocks((self.test_images if test else self.images)[places], labels[places])
        if part != "train":
            self._blocks[r, part] = found
        return found

    def remember(self, better: np.ndarray) -> None:
        """Keep the parameters of now as the best ones where `better` [R]."""
        for r in np.flatnonzero(better):
            self.best[r][:] = self.networks[r].value

    def weights(self) -> list[Weights]:
        """Weights and biases of each network as they are now."""
        return [unpack(*pair, self.model.prunable) for pair in zip(self.networks, self.masks, strict=True)]

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint needs, as the arrays themselves: `restore` writes into them."""
        named = [
            {"value": n.value, "slow": n.slow, "fast": n.fast, "best": best}
            for n, best in zip(self.networks, self.best, strict=True)
        ]
        return {f"{name}/{r}": array for r, arrays in enumerate(named) for name, array in arrays.items()}

    def restore(self, found: dict[str, np.ndarray]) -> None:
        """Go on from the `state` of an earlier sitting."""
        for name, array in self.state().items():
            array[:] = found[name]


def _packed(start: Start, precision: str, model, below: float) -> "Network":
    weights = {name: array.astype(precision) for name, array in start.begun().items()}
    network = pack(weights, start.mask, model.prunable, below, start.frozen)
    if start.pull:
        aim(network, start.goal, start.mask, model.prunable, start.pull)
    return network


@lru_cache(maxsize=2)
def _pixels(name: str, inputs: str, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Scaled training and test images, [N, features] each."""
    dataset, dtype = sources.load(name), getattr(torch, precision)
    parts = dataset.train_images, dataset.test_images
    return tuple(scale(images, dataset, inputs, dtype).flatten(1).numpy() for images in parts)


# compiled once


def settle(precision: str, module: str = __name__) -> None:
    """Have another process compile a module for a precision: this one, like all later ones, runs the code of the cache.

    Code that was just compiled rounds differently from the same code out of the cache (seen with numba 0.68.1).
    """
    done = os.environ.get(_COMPILED, "").split()
    if (what := f"{module}:{precision}") not in done:
        there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = f"from {module} import compile_now; compile_now({precision!r})"
        subprocess.run([sys.executable, "-c", command], check=True, env=there, capture_output=True, text=True)
        os.environ[_COMPILED] = " ".join([*done, what])  # workers inherit it


def compile_now(precision: str) -> None:
    """Compile both entries for a precision, on a network of one layer."""
    weights = {"fc1.weight": np.zeros((2, 3), precision), "fc1.bias": np.zeros(2, precision)}
    network = pack(weights, {"fc1.weight": np.ones((2, 3), bool)}, ["fc1.weight"])
    images, labels = np.zeros((4, 3), precision), np.zeros(4, np.int64)
    advance(network.index, *network.state, images, labels, np.zeros((1, 2), np.int64), 0, np.zeros(1), True, 0.0, 0.0)
    x, y = blocks(images, labels)
    evaluate(network.index, network.value, x, y, np.zeros(y.shape, bool))


# the flat layout


@dataclass
class Network:
    """One perceptron in the flat layout, with its optimizer state.

    widths: [L+1]; first: [L+1] offset of each layer in the flat vector; rows, columns: compressed-row index of sparse
    layers (see `_starts`), concatenated, with offsets row_at, column_at [L+1]; sparse: [L] bool; value, keep, slow,
    fast: [P] parameters, which of them may change (bool), and the two optimizer moments (momentum uses the first only);
    goal, pull: see `aim`.
    """

    widths: np.ndarray
    first: np.ndarray
    sparse: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    row_at: np.ndarray
    column_at: np.ndarray
    value: np.ndarray
    keep: np.ndarray
    slow: np.ndarray
    fast: np.ndarray
    goal: np.ndarray
    pull: float = 0.0

    @property
    def index(self):
        """The connections: what every kernel takes first."""
        return self.widths, self.first, self.sparse, self.rows, self.columns, self.row_at, self.column_at

    @property
    def state(self):
        """The arrays that training changes, which of their entries may change, and where they are pulled to."""
        return self.value, self.keep, self.slow, self.fast, self.goal, self.pull


def pack(weights, masks, names, below: float = SPARSE_BELOW, frozen: bool = False) -> Network:
    """The flat network of `names` (layer weights in order; `x.weight` has its bias in `x.bias`) under masks.

    weights: name -> [out, in] or [out]; masks: weight name -> bool [out, in]; below: layers of less density are stored
    by their kept weights (0: none is); frozen: what is pruned stays as it is in `weights` and counts, so none is.
    """
    sparse = [masks[name].mean() < below and not frozen for name in names]
    layers = list(zip((masks[name] for name in names), sparse, strict=True))
    rows = [_starts(mask) if s else () for mask, s in layers]
    columns = [np.nonzero(mask)[1] if s else () for mask, s in layers]
    everywhere = {name: np.ones(array.shape, bool) for name, array in weights.items()}
    value, first = _flat(weights, everywhere if frozen else masks, names, sparse)
    return Network(
        widths=np.array([weights[names[0]].shape[1], *(weights[name].shape[0] for name in names)]),
        first=first,
        sparse=np.array(sparse),
        rows=np.concatenate(rows).astype(np.int64),
        columns=np.concatenate(columns).astype(np.int32),
        row_at=_offsets([len(part) for part in rows]),
        column_at=_offsets([len(part) for part in columns]),
        value=value,
        keep=_flat(everywhere, masks, names, sparse)[0],
        slow=np.zeros_like(value),
        fast=np.zeros_like(value),
        goal=np.zeros(0, value.dtype),
    )


def aim(network: Network, weights, masks, names, pull: float) -> None:
    """Train `network` on its loss minus `pull` times the cosine between its kept weights and these, biases aside."""
    dtype = network.value.dtype
    alone = {name: weights[name].astype(dtype) for name in names}
    alone |= {name.replace("weight", "bias"): np.zeros(len(weights[name]), dtype) for name in names}
    goal = _flat(alone, masks, names, network.sparse)[0]
    network.goal, network.pull = goal / np.linalg.norm(goal), pull


def _flat(weights, masks, names, sparse) -> tuple[np.ndarray, np.ndarray]:
    """Parameters in the flat layout, zero where a dense layer is pruned, and the offset of each layer."""
    parts, zero = [], weights[names[0]].dtype.type(0)
    for name, s in zip(names, sparse, strict=True):
        kept = weights[name][masks[name]] if s else np.where(masks[name], weights[name], zero).ravel()
        parts.append(np.concatenate([kept, weights[name.replace("weight", "bias")]]))
    return np.concatenate(parts), _offsets([part.size for part in parts])


def _offsets(sizes) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _starts(mask: np.ndarray) -> np.ndarray:
    """Where each row begins among the kept weights in each tile of columns, and ends: [tiles + 1, out], flat."""
    rows, width = np.concatenate([[0], np.cumsum(mask.sum(1))]), mask.shape[1]
    edges = np.linspace(0, width, -(-width // TILE) + 1).round().astype(int)
    return np.concatenate([rows[:-1] + mask[:, :edge].sum(1) for edge in edges])


def unpack(network: Network, masks, names) -> Weights:
    """The weights and biases of `network` as full arrays, exactly zero where pruned."""
    weights = {}
    for i, name in enumerate(names):
        mask = masks[name]
        flat = network.value[network.first[i] : network.first[i + 1]]
        bias = flat[flat.size - mask.shape[0] :]
        full = np.zeros(mask.shape, flat.dtype)
        full[mask if network.sparse[i] else np.ones_like(mask)] = flat[: -bias.size]
        weights |= {name: full, name.replace("weight", "bias"): bias.copy()}
    return weights


def blocks(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, features] as evaluation blocks [n, features, CHUNK], with labels [n, CHUNK].

    A last block that is not full is filled with label -1, which counts nowhere.
    """
    n = -(-len(labels) // CHUNK)
    x = lines.py_func(n * images.shape[1], CHUNK, images).reshape(n, -1, CHUNK)  # as it is written, not compiled
    y = np.full(n * CHUNK, -1, np.int64)
    y[: len(labels)] = labels
    for i in range(n):
        part = images[i * CHUNK : (i + 1) * CHUNK]
        x[i, :, : len(part)] = part.T
    return x, y.reshape(n, CHUNK)
