"""Multilayer perceptrons on one CPU core: dense layers by matrix products, sparse layers by kept weights only.

The plain twin is the autograd loop in `population`; both give the same numbers (float64: 1e-10). The steps themselves
are compiled (`kernels`), and a layer below `SPARSE_BELOW` density costs what it weighs: compressed rows forward,
gradients only at kept positions, optimizer state only for kept weights.

Layout. Activations are [features, batch], so that the innermost loop runs over images at unit stride. Letters: U units
of all layers (inputs included), B columns, P parameters, L layers. Parameters are one flat vector: for each layer its
weights (all of a dense layer, row by row; the kept ones of a sparse layer), then its biases.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .kernels import WIDE, advance, evaluate, lines

SPARSE_BELOW = {1: 0.2, 2: 0.28, 3: 0.55}
"""Density below which a layer is stored by its kept weights, for each version of the algorithm (`Cell.algorithm`).

`make bench` shows where the two kinds of storage cross. Versions 1 and 2 stay as they are for the records that they
made; version 3 also sums in another order, and faster (`kernels`).
"""
CHUNK = {1: 500, 2: 500, 3: WIDE}
"""Images per evaluation block, for each version."""
TILE = 160
"""Columns of a sparse layer that are worked on together: their activations, 40 kB, stay in the first cache."""

_COMPILED = "TICKETS_COMPILED"


def settle(precision: str) -> None:
    """Have another process compile for a precision, so that this one, like all later ones, runs the code of the cache.

    Code that was just compiled rounds differently from the same code out of the cache (seen with numba 0.68.1).
    """
    done = os.environ.get(_COMPILED, "").split()
    if precision not in done:
        there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = f"from tickets import mlp; mlp.compile_now({precision!r})"
        subprocess.run([sys.executable, "-c", command], check=True, env=there)
        os.environ[_COMPILED] = " ".join([*done, precision])  # workers inherit it


def compile_now(precision: str) -> None:
    """Compile both entries for a precision, on a network of one layer."""
    weights = {"fc1.weight": np.zeros((2, 3), precision), "fc1.bias": np.zeros(2, precision)}
    network = pack(weights, {"fc1.weight": np.ones((2, 3), bool)}, ["fc1.weight"], algorithm=1)
    images, labels = np.zeros((4, 3), precision), np.zeros(4, np.int64)
    advance(network.index, *network.state, images, labels, np.zeros((1, 2), np.int64), 0, np.zeros(1), True, 0.0, 0.0)
    x, y = blocks(images, labels, algorithm=1)
    evaluate(network.index, network.value, x, y, np.zeros(y.shape, bool))


@dataclass
class Network:
    """One perceptron in the flat layout, with its optimizer state.

    widths: [L+1]; first: [L+1] offset of each layer in the flat vector; rows, columns: compressed-row index of sparse
    layers (see `_starts`), concatenated, with offsets row_at, column_at [L+1]; sparse: [L] bool; value, keep, slow,
    fast: [P] parameters, which of them may change (bool), and the two optimizer moments (momentum uses the first only);
    goal, pull: see `aim`; algorithm: as in `Cell`.
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
    algorithm: int
    goal: np.ndarray
    pull: float = 0.0

    @property
    def index(self):
        """The connections and the version of the algorithm: what every kernel takes first."""
        layers = self.widths, self.first, self.sparse, self.rows, self.columns, self.row_at, self.column_at
        return *layers, self.algorithm

    @property
    def state(self):
        """The arrays that training changes, which of their entries may change, and where they are pulled to."""
        return self.value, self.keep, self.slow, self.fast, self.goal, self.pull


def pack(weights, masks, names, algorithm: int, below: float | None = None) -> Network:
    """The flat network of `names` (layer weights in order; `x.weight` has its bias in `x.bias`) under masks.

    weights: name -> [out, in] or [out]; masks: weight name -> bool [out, in]; below: layers of less density are stored
    by their kept weights (0: none is), as `SPARSE_BELOW` has it where this is None.
    """
    below = SPARSE_BELOW[algorithm] if below is None else below
    sparse = [masks[name].mean() < below for name in names]
    stored = [masks[name] for name, s in zip(names, sparse, strict=True) if s]
    rows, columns = [_starts(mask, algorithm) for mask in stored], [np.nonzero(mask)[1] for mask in stored]
    value, first = _flat(weights, masks, names, sparse)
    everywhere = {name: np.ones(array.shape, bool) for name, array in weights.items()}
    join = lambda parts, kind: np.concatenate([np.zeros(0, kind), *parts]).astype(kind)  # noqa: E731
    counted = iter(rows), iter(columns)
    return Network(
        widths=np.array([weights[names[0]].shape[1], *(weights[name].shape[0] for name in names)]),
        first=first,
        sparse=np.array(sparse),
        rows=join(rows, np.int64),
        columns=join(columns, np.int32),
        row_at=_offsets([next(counted[0]).size if s else 0 for s in sparse]),
        column_at=_offsets([next(counted[1]).size if s else 0 for s in sparse]),
        value=value,
        keep=_flat(everywhere, masks, names, sparse)[0],
        slow=np.zeros_like(value),
        fast=np.zeros_like(value),
        algorithm=algorithm,
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


def _starts(mask: np.ndarray, algorithm: int) -> np.ndarray:
    """Where each row begins among the kept weights, [out + 1]; from version 3 on where it does in each tile of columns.

    The latter is [tiles + 1, out], flat; its last row is where rows end.
    """
    rows, width = np.concatenate([[0], np.cumsum(mask.sum(1))]), mask.shape[1]
    if algorithm < 3:
        return rows
    edges = np.linspace(0, width, -(-width // TILE) + 1).round().astype(int)
    return np.concatenate([rows[:-1] + mask[:, :edge].sum(1) for edge in edges])


def unpack(network: Network, masks, names) -> dict[str, np.ndarray]:
    """The weights and biases of `network` as full arrays, exactly zero where pruned."""
    weights = {}
    for i, name in enumerate(names):
        mask = masks[name]
        flat = network.value[network.first[i] : network.first[i + 1]]
        bias = flat[flat.size - mask.shape[0] :]
        full = np.zeros(mask.shape, flat.dtype)
        full[mask if network.sparse[i] else slice(None)] = (
            flat[: -bias.size] if network.sparse[i] else flat[: -bias.size].reshape(mask.shape)
        )
        weights |= {name: full, name.replace("weight", "bias"): bias.copy()}
    return weights


def blocks(images: np.ndarray, labels: np.ndarray, algorithm: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, features] as evaluation blocks [n, features, CHUNK], with labels [n, CHUNK].

    A last block that is not full is filled with label -1, which counts nowhere.
    """
    chunk = CHUNK[algorithm]
    n = -(-len(labels) // chunk)
    x = lines.py_func(n * images.shape[1], chunk, images).reshape(n, -1, chunk)  # as it is written, not compiled
    y = np.full(n * chunk, -1, np.int64)
    y[: len(labels)] = labels
    for i in range(n):
        part = images[i * chunk : (i + 1) * chunk]
        x[i, :, : len(part)] = part.T
    return x, y.reshape(n, chunk)
