"""One network as compiled code has it: a flat vector of parameters, and the tables that say where what lies.

Layout. Activations are [features, batch], so that the innermost loop runs over images at unit stride. Letters: U units
of all dense layers (inputs included), B columns, P parameters, L dense layers. Parameters are one flat vector: running
means and variances, which nothing trains; of each convolution its weights (all, or the kept ones), and scale and shift,
or bias; then the head, of each dense layer its weights (all, row by row, or the kept ones) and its biases. A perceptron
is a head alone.
"""

from collections import namedtuple

import numpy as np

from ..pruning.imp import Start
from ..pruning.masks import Weights
from .kernels import WIDE
from .lanes import LANES
from .passes import evaluate
from .planes import Buffers
from .program import Layers, program

SPARSE_BELOW = {2: 0.55, 4: 0.6}
"""Density below which a dense layer, or a convolution (by its axes), is stored by its kept weights: `make bench` shows
where the two storages cross."""
TILE = 160
"""Columns of a sparse layer that are worked on together: their activations, 40 kB, stay in the first cache."""

Index = namedtuple("Index", "starts places starts_at places_at")
"""Compressed rows of layers, concatenated, each from its offset [L+1] on: see `_starts`; columns of kept weights."""
Head = namedtuple("Head", "widths first sparse ahead back order")
"""The connections of dense layers. widths: [L+1], inputs first; first: [L+1] offset of each layer in the head's part of
the flat vector; sparse: [L] bool; ahead, back: the index of sparse layers and of their transposed weights; order: where
each of the latter stands among the weights of its layer.
"""


class Network:
    """One network in the flat layout: tables, buffers and optimizer state.

    batch: images of a step; below: density under which a layer is stored by its kept weights (0: none is; 2: every one
    is), by default SPARSE_BELOW; where weights are frozen, what is pruned counts, so all are stored. where: the stored
    entries of each parameter, name -> bool array, in the order of the flat vector; program: None of a perceptron;
    value, keep, slow, fast: [P] parameters and running statistics, which of them may change (bool), and the two
    optimizer moments (momentum uses the first only); goal, pull: the loss falls by pull times the cosine of kept
    weights, biases aside, to this vector of length 1 (pull 0: no goal), of a perceptron only.
    """

    def __init__(self, model, start: Start, precision: str, batch: int, below: float | None = None):
        layers, columns = Layers(model), -(-batch // WIDE) * WIDE
        running = {name: tensor[0].numpy() for name, tensor in model.buffers(1).items()}
        weights = {name: array.astype(precision) for name, array in (running | start.begun()).items()}
        trained = {name: np.ones(weights[name].shape, bool) for name in (*running, *model.shapes)} | {**start.mask}
        self.where = {n: kept if _thin(kept, below, start) else np.ones_like(kept) for n, kept in trained.items()}
        dense = [f"{name}.weight" for name in layers.names]
        sparse = [_thin(trained[name], below, start) for name in dense]
        self.head = _head([self.where[name] for name in dense], sparse, alone=bool(model.widths))
        found, counts = program(layers, self.where, columns // LANES, int(self.head.widths.sum()))
        self.program = None if model.widths else found
        self.value, self.keep = self.flat(weights), self.flat(trained | {n: ~trained[n] for n in running})
        self.slow, self.fast = np.zeros_like(self.value), np.zeros_like(self.value)
        self.goal, self.pull = self.value[:0], float(start.pull)
        if start.pull:
            nothing = {name: np.zeros_like(array) for name, array in weights.items()}
            kept = {name: array.astype(precision) for name, array in start.mask.apply(start.goal).items()}
            goal = self.flat(nothing | {name: kept[name] for name in start.mask})
            self.goal = goal / np.linalg.norm(goal)
        self.buffers = self._buffers(found, counts, batch, columns)

    def _buffers(self, program, counts: list[int], batch: int, columns: int) -> Buffers:
        kind, channels = self.value[:0], program.convs["outputs"].sum()
        lanes = [lines(count, LANES, kind.dtype) for count in counts]
        real = lines(columns // LANES, LANES, kind.dtype)
        real.flat[:batch] = 1
        sums = [np.zeros((channels, 2)) for _ in range(2)]
        affine = [np.zeros((channels, n), kind.dtype) for n in (2, 3)]
        return Buffers(*lanes, np.zeros(len(program.sources), kind.dtype), real, *sums, *affine)

    @property
    def tables(self):
        """What both compiled entries take first."""
        return self.program, self.head, self.buffers

    @property
    def state(self):
        """The arrays that training changes, which of their entries may change, and where they are pulled to."""
        return self.value, self.keep, self.slow, self.fast, self.goal, self.pull

    def flat(self, arrays) -> np.ndarray:
        """Name -> array as a flat vector."""
        return np.concatenate([arrays[name][where] for name, where in self.where.items()])

    def read(self, value: np.ndarray, pictures, picked, inputs=None, training=False) -> tuple[float, np.ndarray]:
        """Mean cross-entropy and predicted classes of picked pictures, see `passes.evaluate`."""
        predicted, none = np.zeros(len(picked), np.int16), np.zeros((0, 0, 0), value.dtype)
        told = pictures, picked, none if inputs is None else inputs, training
        return evaluate(*self.tables, value, *told, predicted), predicted

    def unpack(self) -> Weights:
        """Parameters and running statistics as full arrays, exactly zero where pruned."""
        found, at = {}, 0
        for name, where in self.where.items():
            found[name], count = np.zeros(where.shape, self.value.dtype), int(where.sum())
            found[name][where] = self.value[at : at + count]
            at += count
        return found


def prepared(pixels: np.ndarray, picked: np.ndarray) -> np.ndarray:
    """What a perceptron reads of picked rows of pixels [N, features], once for all readings: [n, features, WIDE]."""
    whole = np.append(picked, np.repeat(picked[-1:], -len(picked) % WIDE)).reshape(-1, WIDE)
    found = lines(len(whole) * pixels.shape[1], WIDE, pixels.dtype).reshape(len(whole), -1, WIDE)
    for block, some in zip(found, whole, strict=True):
        block[:] = pixels[some].T
    return found


def lines(rows: int, columns: int, kind: np.dtype) -> np.ndarray:
    """Zeros [rows, columns] from the start of a cache line of 64 bytes: a load across two lines takes twice as long."""
    flat = np.zeros(rows * columns + LANES, kind)
    skip = -(flat.ctypes.data // flat.itemsize) % LANES
    return flat[skip : skip + rows * columns].reshape(rows, columns)


def _thin(kept: np.ndarray, below: float | None, start: Start) -> bool:
    """Whether a parameter is stored by its kept weights."""
    return kept.ndim > 1 and not start.frozen and kept.mean() < (SPARSE_BELOW[kept.ndim] if below is None else below)


def _head(stored: list[np.ndarray], sparse: list[bool], alone: bool) -> Head:
    """Of dense layers, of which `stored` [out, in] weights are stored; alone: nothing before them wants a gradient."""
    kept = [where if s else np.zeros((0, 0), bool) for where, s in zip(stored, sparse, strict=True)]
    turned = [mask.T[: 0 if alone and not l else None] for l, mask in enumerate(kept)]
    return Head(
        widths=np.array([stored[0].shape[1], *map(len, stored)]),
        first=_offsets([where.sum() + len(where) for where in stored]),
        sparse=np.array(sparse),
        ahead=_index(kept),
        back=_index(turned),
        order=np.concatenate([np.argsort(np.nonzero(mask.T)[1], kind="stable") for mask in turned]).astype(np.int32),
    )


def _index(masks: list[np.ndarray]) -> Index:
    starts, places = [_starts(mask) for mask in masks], [np.nonzero(mask)[1].astype(np.int32) for mask in masks]
    return Index(*map(np.concatenate, (starts, places)), *(_offsets(map(len, parts)) for parts in (starts, places)))


def _offsets(sizes) -> np.ndarray:
    return np.cumsum([0, *sizes])


def _starts(mask: np.ndarray) -> np.ndarray:
    """Where each row begins among the kept weights in each tile of columns, and ends: [tiles + 1, out], flat."""
    rows, width = np.concatenate([[0], np.cumsum(mask.sum(1))]), mask.shape[1]
    edges = np.linspace(0, width, -(-width // TILE) + 1).round().astype(int)
    return np.concatenate([rows[:-1] + mask[:, :edge].sum(1) for edge in edges])
