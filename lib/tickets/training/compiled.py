"""The path of compiled code on one CPU core: dense layers by matrix products, sparse layers by kept weights only.

The plain twin is the `autograd` path; both give the same numbers (float64: 1e-10). The steps themselves are compiled
(`passes`), and a sparse layer costs what it weighs: compressed rows or walks forward, gradients only at kept positions,
optimizer state only for kept weights. By hand with reason: a step of a whole perceptron is 6 to 12 times faster than
with the layers of SparseProp, the one public library that trains sparsely on a CPU, and no public library trains sparse
convolutions faster than dense ones.
"""

import os
import subprocess
import sys
from functools import lru_cache

import numpy as np
import torch

from ..data import sources
from ..data.dataset import scale
from ..data.reader import Reader
from ..nets import models
from ..pruning.imp import Start, dense_mask
from ..pruning.masks import Weights
from .autograd import dropout
from .flat import Network, prepared
from .passes import advance
from .schedule import learning_rates

STILL = tuple(np.zeros((1, 0), kind) for kind in (bool, np.uint8, np.uint8))
"""Moves of pictures that stay as they are."""

_COMPILED = "TICKETS_COMPILED"


class Compiled:
    """Networks that are trained by compiled code, one after the other; a path of `train`.

    below: density under which a layer is stored by its kept weights, see `Network`.
    """

    def __init__(self, cells, model, starts: list[Start], device="cpu", begin=0, below=None):
        self.cell, self.model, self.begin = cells[0], model, begin
        settle(self.cell.precision, model)
        self.reader, self.rates, self.dropout = Reader(cells), learning_rates(self.cell), dropout(cells, "cpu")
        self.pictures = {part: pictures(self.cell, part, alone=bool(model.widths)) for part in ("train", "test")}
        self.networks = [Network(model, start, self.cell.precision, self.cell.batch, below) for start in starts]
        self.best = [network.value.copy() for network in self.networks]
        self._inputs: dict = {}

    def advance(self, begin: int, end: int) -> None:
        """Take the steps from `begin` to `end`."""
        rule = self.cell.optimizer == "adam", self.cell.momentum, self.cell.weight_decay
        noise, rates = self._noise(end - begin), self.rates[begin:end]
        for r, network in enumerate(self.networks):
            moves = STILL
            if self.cell.augment == "flip_crop":
                moves = tuple(part[r, begin:end].numpy() for part in self.reader.moves)
            told = self.reader.order[r, begin:end], moves, self.reader.data.pad, noise[r], begin - self.begin
            advance(*network.tables, network.state, self.pictures["train"], *told, rates, rule)

    def _noise(self, steps: int) -> np.ndarray:
        """Factors of the head's hidden units [R, steps, units, columns], as autograd draws them; none: no dropout."""
        hidden, columns = self.networks[0].head.widths[1:-1].tolist(), self.networks[0].buffers.real.size
        shape = len(self.networks), steps if self.dropout else 0, sum(hidden), columns
        found = np.ones(shape, self.cell.precision)
        ones = torch.ones(shape[0], self.cell.batch, shape[2], dtype=getattr(torch, self.cell.precision))
        for step in range(shape[1]):
            drawn = torch.cat([self.dropout(one) for one in ones.split(hidden, dim=2)], dim=2)
            found[:, step, :, : self.cell.batch] = drawn.transpose(1, 2).numpy()
        return found

    def read(self, part: str, best: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean cross-entropy [R] and right answers [R, N] over a part of the data, now or at the best validation."""
        values = self.best if best else [network.value for network in self.networks]
        loss, right = zip(*(self._read(r, value, part) for r, value in enumerate(values)), strict=True)
        return np.array(loss), np.stack(right)

    def _read(self, r: int, value: np.ndarray, part: str) -> tuple[float, np.ndarray]:
        """Of one network; a perceptron's inputs are kept, but those of all training images, which are read once."""
        picked, pictures = self.reader.index[part][r], self.pictures["test" if part == "test" else "train"]
        inputs = self._inputs.get((r, part))
        if inputs is None and self.model.widths:
            inputs = prepared(pictures[0], picked)
            self._inputs |= {(r, part): inputs} if part != "train" else {}
        loss, predicted = self.networks[r].read(value, pictures, picked, inputs)
        return loss, predicted == pictures[2][picked]

    def remember(self, better: np.ndarray) -> None:
        """Keep the parameters of now as the best ones where `better` [R]."""
        for r in np.flatnonzero(better):
            self.best[r][:] = self.networks[r].value

    def weights(self) -> list[Weights]:
        """Weights of each network as they are now, its running statistics with them."""
        return [network.unpack() for network in self.networks]

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint needs: arrays that `restore` writes into, and the generators of dropout."""
        found = {f"dropout/{i}": generator.get_state().numpy() for i, generator in enumerate(self._generators())}
        for r, (n, best) in enumerate(zip(self.networks, self.best, strict=True)):
            found |= {f"value/{r}": n.value, f"slow/{r}": n.slow, f"fast/{r}": n.fast, f"best/{r}": best}
        return found

    def restore(self, found: dict[str, np.ndarray]) -> None:
        """Go on from the `state` of an earlier sitting."""
        for name, array in self.state().items():
            array[:] = found[name]
        for i, generator in enumerate(self._generators()):
            generator.set_state(torch.from_numpy(found[f"dropout/{i}"]))

    def _generators(self) -> list[torch.Generator]:
        return self.dropout.generators if self.dropout else []


def pictures(cell, part: str, alone: bool = False) -> tuple[np.ndarray, ...]:
    """Training or test images as `passes` reads them: bytes, or pixels of a head alone; a byte's worth; labels."""
    data, kind = sources.load(cell.dataset), getattr(torch, cell.precision)
    every = torch.arange(256, dtype=torch.uint8).expand(data.shape[0], 1, 256)
    table = scale(every, data, cell.inputs, kind)[:, 0].contiguous().numpy()
    images = _pixels(cell.dataset, part, cell.inputs, kind) if alone else getattr(data, f"{part}_images").numpy()
    return images, table, getattr(data, f"{part}_labels").numpy()


@lru_cache(maxsize=4)
def _pixels(name: str, part: str, inputs: str, kind: torch.dtype) -> np.ndarray:
    """Scaled images [N, features]."""
    data = sources.load(name)
    return scale(getattr(data, f"{part}_images"), data, inputs, kind).flatten(1).numpy()


# compiled once


def settle(precision: str, model, module: str = __name__) -> None:
    """Have another process compile a module for a precision and a kind of network: this one runs the cache's code.

    Code that was just compiled rounds differently from the same code out of the cache (seen with numba 0.68.1).
    """
    done = os.environ.get(_COMPILED, "").split()
    kind = "lenet-300-100" if model.widths else "conv-2"
    if (what := f"{module}:{kind}:{precision}") not in done:
        there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # it finds what this process found
        command = f"from {module} import compile_now; compile_now({kind!r}, {precision!r})"
        subprocess.run([sys.executable, "-c", command], check=True, env=there, capture_output=True, text=True)
        os.environ[_COMPILED] = " ".join([*done, what])  # workers inherit it


def compile_now(kind: str, precision: str) -> None:
    """Compile both entries for a precision and networks like one, on two images of four pixels by four."""
    model = models.build(kind, (1, 4, 4), 2)
    weights = {name: np.ones(shape, precision) for name, shape in model.shapes.items()}
    network, labels = Network(model, Start(weights, dense_mask(model)), precision, batch=2), np.zeros(2, np.int64)
    images = np.zeros((2, 16), precision) if model.widths else np.zeros((2, 1, 4, 4), np.uint8)
    pictures = images, np.zeros((1, 256), precision), labels
    told = labels[:0].reshape(0, 2), STILL, 0, np.zeros((0, 0, 0), precision), 0, np.zeros(0), (False, 0.0, 0.0)
    advance(*network.tables, network.state, pictures, *told)
    network.read(network.value, pictures, labels)
