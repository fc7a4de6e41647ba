"""The path of convolutional networks on one CPU core: a convolution costs what it weighs (see `program`, `passes`).

The plain twin is the `autograd` path; both give the same numbers (float64: 1e-10). A convolution below SPARSE_BELOW
density is stored by its kept weights, above it whole; dense layers, the head, are those of `perceptrons`. By hand with
reason: no public library trains sparse convolutions on a CPU faster than dense ones.

Parameters are one flat vector: running means and variances, which nothing trains; of each convolution its weights (all,
or the kept ones), and scale and shift, or bias; then the head.
"""

import numpy as np
import torch

from ..data import sources
from ..data.dataset import scale
from ..data.reader import Reader
from ..nets import models
from ..pruning.imp import Start, dense_mask
from ..pruning.masks import Weights
from . import perceptrons
from .autograd import dropout
from .kernels import WIDE, lines
from .lanes import LANES
from .passes import advance, evaluate
from .perceptrons import Perceptrons, settle
from .planes import Buffers
from .program import Layers, program
from .schedule import learning_rates

SPARSE_BELOW = 0.6
"""Density below which a convolution is stored by its kept weights: `make bench` shows where the two storages cross."""
FORCED = 0, 2
"""Densities below which no layer is stored so, or every one."""
STILL = tuple(np.zeros((1, 0), kind) for kind in (bool, np.uint8, np.uint8))
"""Moves of pictures that stay as they are."""


class Network:
    """One network in the flat layout: tables, buffers and optimizer state.

    weights: of every parameter, and running statistics; mask: which weights are trained; below: density under which a
    convolution is stored by its kept weights; frozen: what is pruned counts, so that all are stored whole.
    """

    def __init__(self, model, weights: Weights, mask, batch: int, below: float = SPARSE_BELOW, frozen: bool = False):
        layers, running, columns = Layers(model), model.buffers(1), -(-batch // WIDE) * WIDE
        every = {name: np.ones(weights[name].shape, bool) for name in (*running, *model.shapes)}
        trained, names = every | {**mask}, [f"{name}.weight" for name in layers.names]
        head = perceptrons.pack(weights, trained, names, below if below in FORCED else perceptrons.SPARSE_BELOW, frozen)
        sparse = {name: kept.mean() < below and not frozen for name, kept in mask.items()}
        sparse |= dict(zip(names, head.sparse, strict=True))
        self.where = every | {name: kept for name, kept in mask.items() if sparse[name]}
        self.program, counts = program(layers, self.where, columns // LANES, int(head.widths.sum()))
        self.index, self.value = head.index, self.flat(weights)
        self.keep = self.flat(trained | {name: ~every[name] for name in running})
        self.slow, self.fast = np.zeros_like(self.value), np.zeros_like(self.value)
        self.buffers = self._buffers(counts, batch, columns)

    def _buffers(self, counts: list[int], batch: int, columns: int) -> Buffers:
        kind, channels = self.value[:0], self.program.convs["outputs"].sum()
        lanes = [lines.py_func(count, LANES, kind) for count in counts]
        real = (np.arange(columns) < batch).astype(kind.dtype).reshape(-1, LANES)
        sums = [np.zeros((channels, 2)) for _ in range(2)]
        affine = [np.zeros((channels, n), kind.dtype) for n in (2, 3)]
        return Buffers(*lanes, np.zeros(len(self.program.sources), kind.dtype), real, *sums, *affine)

    def flat(self, arrays) -> np.ndarray:
        """Name -> array as a flat vector."""
        return np.concatenate([arrays[name][where] for name, where in self.where.items()])

    @property
    def state(self):
        """The arrays that training changes, with which of the parameters may change."""
        return self.value, self.keep, self.slow, self.fast

    def read(self, value: np.ndarray, pictures, picked: np.ndarray, training=False) -> tuple[float, np.ndarray]:
        """Mean cross-entropy and predicted classes of picked pictures, see `passes.evaluate`."""
        predicted = np.zeros(len(picked), np.int16)
        told = self.program, self.index, value, self.buffers, pictures, picked, training
        return evaluate(*told, predicted), predicted

    def unpack(self) -> Weights:
        """Parameters and running statistics as full arrays, exactly zero where pruned."""
        found, at = {}, 0
        for name, where in self.where.items():
            found[name], count = np.zeros(where.shape, self.value.dtype), int(where.sum())
            found[name][where] = self.value[at : at + count]
            at += count
        return found


class Convolutions(Perceptrons):
    """Convolutional networks that are trained by compiled code, one after the other; a path of `train`."""

    def __init__(self, cells, model, starts: list[Start], device="cpu", begin=0, below=SPARSE_BELOW):
        self.cell, self.model, self.begin = cells[0], model, begin
        settle(self.cell.precision, __name__)
        self.reader, self.rates, self.dropout = Reader(cells), learning_rates(self.cell), dropout(cells, "cpu")
        self.pictures = {part: pictures(self.cell, part) for part in ("train", "test")}
        self.networks = [_network(model, start, self.cell, below) for start in starts]
        self.best = [network.value.copy() for network in self.networks]

    def advance(self, begin: int, end: int) -> None:
        """Take the steps from `begin` to `end`."""
        rule = self.cell.optimizer == "adam", self.cell.momentum, self.cell.weight_decay
        noise, rates = self._noise(end - begin), self.rates[begin:end]
        for r, network in enumerate(self.networks):
            moves = STILL
            if self.cell.augment == "flip_crop":
                moves = tuple(part[r, begin:end].numpy() for part in self.reader.moves)
            told = self.reader.order[r, begin:end], moves, self.reader.data.pad, noise[r], begin - self.begin
            of_network = network.program, network.index, network.state, network.buffers
            advance(*of_network, self.pictures["train"], *told, rates, rule)

    def _noise(self, steps: int) -> np.ndarray:
        """Factors of the head's hidden units [R, steps, units, columns], as autograd draws them; none: no dropout."""
        hidden, columns = self.networks[0].index[0][1:-1].tolist(), self.networks[0].buffers.real.size
        shape = len(self.networks), steps if self.dropout else 0, sum(hidden), columns
        found = np.ones(shape, self.cell.precision)
        ones = torch.ones(shape[0], self.cell.batch, shape[2], dtype=getattr(torch, self.cell.precision))
        for step in range(shape[1]):
            drawn = torch.cat([self.dropout(one) for one in ones.split(hidden, dim=2)], dim=2)
            found[:, step, :, : self.cell.batch] = drawn.transpose(1, 2).numpy()
        return found

    def _read(self, r: int, value: np.ndarray, part: str) -> tuple[float, np.ndarray]:
        picked, pictures = self.reader.index[part][r], self.pictures["test" if part == "test" else "train"]
        loss, predicted = self.networks[r].read(value, pictures, picked)
        return loss, predicted == pictures[2][picked]

    def weights(self) -> list[Weights]:
        """Weights of each network as they are now, its running statistics with them."""
        return [network.unpack() for network in self.networks]

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint needs: arrays that `restore` writes into, and the generators of dropout."""
        generators = self.dropout.generators if self.dropout else []
        return super().state() | {f"dropout/{i}": g.get_state().numpy() for i, g in enumerate(generators)}

    def restore(self, found: dict[str, np.ndarray]) -> None:
        """Go on from the `state` of an earlier sitting."""
        super().restore(found)
        for i, generator in enumerate(self.dropout.generators if self.dropout else []):
            generator.set_state(torch.from_numpy(found[f"dropout/{i}"]))


def _network(model, start: Start, cell, below: float) -> Network:
    fresh = {name: tensor[0].numpy() for name, tensor in model.buffers(1).items()}
    weights = {name: array.astype(cell.precision) for name, array in (fresh | start.begun()).items()}
    return Network(model, weights, start.mask, cell.batch, below, start.frozen)


def pictures(cell, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training or test images as `passes` reads them: bytes, what a byte is worth, labels."""
    data = sources.load(cell.dataset)
    every = torch.arange(256, dtype=torch.uint8).expand(data.shape[0], 1, 256)
    table = scale(every, data, cell.inputs, getattr(torch, cell.precision))[:, 0].contiguous().numpy()
    return getattr(data, f"{part}_images").numpy(), table, getattr(data, f"{part}_labels").numpy()


def compile_now(precision: str) -> None:
    """Compile both entries for a precision, on two images of four pixels by four."""
    model = models.build("conv-2", (1, 4, 4), 2)
    weights = {name: np.ones(shape, precision) for name, shape in model.shapes.items()}
    network, labels = Network(model, weights, dense_mask(model), batch=2), np.zeros(2, np.int64)
    pictures = np.zeros((2, 1, 4, 4), np.uint8), np.zeros((1, 256), precision), labels
    steps = labels[:0].reshape(0, 2), STILL, 0, np.zeros((0, 0, 0), precision), 0, np.zeros(0), (False, 0.0, 0.0)
    advance(network.program, network.index, network.state, network.buffers, pictures, *steps)
    network.read(network.value, pictures, labels)
