"""Learned masks of untrained weights: a training of scores, the weights frozen (Zhou et al. 2019, section 5).

Every prunable weight has a score m, at first 0. A step keeps it with probability sigmoid(m), drawn anew for every step
and the same for all images of a batch; the gradient passes the draw as if it were the probability (straight through).
Weights stay as drawn, or are signed constants; biases stay 0. With dynamic weight rescaling a layer is multiplied by
its size over the ones of the drawn mask, in training and in tests, and the gradient passes this multiplier too, as in
the authors' code. Draws are hashes of (network, step, place): no state to keep, and the same on every device.
"""

from functools import cache

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...data.reader import Reader
from ...pruning.masks import Weights
from ...seeds import stream
from ...training import train
from ...training.graphs import recordable, recorded
from ...training.schedule import learning_rates
from .untrained import signed_constants

SAMPLES = 10
"""Masks that a reading of the test images is averaged over."""
READING = 2**31
"""Numbers of draws from here on are those of readings, the same at every reading; below it stand those of steps."""


def cosine(cell) -> np.ndarray:
    """Learning rate of every step [steps]: as `learning_rates` has it, times half a cosine that falls from 1 to 0."""
    return learning_rates(cell) * (1 + np.cos(np.pi * np.arange(cell.steps) / cell.steps)) / 2


class Supermasks:
    """Scores of networks that share everything but seeds and own parameters, stacked; a path of `train`.

    `given`, `load`, `drawn` and `learn` are what other ways to learn a mask have of their own (see chapters.popup).
    """

    samples = SAMPLES

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        self.cells, self.cell, self.model, self.device = cells, cells[0], model, device
        self.dtype, self.rates = getattr(torch, self.cell.precision), learning_rates(self.cell)
        self.at, self.step, self.first = torch.zeros(1, dtype=torch.int64, device=device), None, 0
        self.reader = Reader(cells, device, self.dtype)
        self.places = [Places(cell, self.reader.index["train"].shape[1]) for cell in cells]
        drawn = [self.given(cell, start) for cell, start in zip(cells, starts, strict=True)]
        stack = lambda name: torch.from_numpy(np.stack([w[name] for w in drawn])).to(device, self.dtype)  # noqa: E731
        self.frozen = {name: stack(name) for name in model.shapes}
        self.scores = {name: torch.zeros_like(self.frozen[name]) for name in model.prunable}
        self.slow, self.best = ({name: s.clone() for name, s in self.scores.items()} for _ in range(2))
        rescaled = [float(cell.own.get("rescaled", False)) for cell in cells]
        self.rescaled = torch.tensor(rescaled, device=device, dtype=self.dtype)
        keys = [int(stream("sample", c.replicate, c.level, c.draw).integers(2**32)) for c in cells]
        self.keys = torch.tensor(keys, device=device)

    def given(self, cell, start) -> Weights:
        """Weights of a network, which stay as they are."""
        return signed_constants(self.model, start.weights) if cell.own["constant"] else start.weights

    def load(self, begin: int, end: int) -> None:
        """Have the reader hold the images of these steps alone."""
        size = self.cell.batch
        taken = [places.take(begin * size, end * size).reshape(-1, size) for places in self.places]
        picked = np.stack([train[t] for train, t in zip(self.reader.index["train"], taken, strict=True)])
        if self.step is None or self.reader.picked.shape[1] < end - begin:
            self.reader.picked, self.step = torch.from_numpy(picked).to(self.device), None
        else:  # a graph knows its memory
            self.reader.picked[:, : end - begin] = torch.from_numpy(picked).to(self.device)
        self.first = begin

    def advance(self, begin: int, end: int) -> None:
        """Take the steps from `begin` to `end`."""
        self.load(begin, end)
        self.step = self.step or self._recorded()
        for step in range(begin, end):
            self.at.fill_(step)
            self.place.fill_(step - self.first)
            self.step()

    def _recorded(self):
        """A step, as a graph where there is a GPU."""
        self.rates = torch.as_tensor(self.rates).to(self.device)
        self.place = torch.zeros_like(self.at)
        if not recordable(self.device):
            return self._step
        return recorded(self._step, [*self.scores.values(), *self.slow.values()])

    def _step(self) -> None:
        """The step whose number stands in `at`, on the images at `place`."""
        x, y = self.reader.batch(self.place, self.at)
        masks, chances = self.drawn(self.scores, self.at)
        params, scales = self.masked(masks)
        for name in masks:
            params[name].requires_grad_()
        logits = self.model.forward(params, {}, x, training=True)
        (cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / self.cell.batch).backward()
        rate = self.rates.index_select(0, self.at)
        for name in masks:
            slope = self.slope(name, params[name].grad, masks[name], scales[name])
            self.learn(name, slope, chances[name], rate)

    def learn(self, name: str, slope: Tensor, chance: Tensor, rate: Tensor) -> None:
        """Move the scores of a layer against the gradient in its mask, which passes to their chances."""
        self.slow[name].mul_(self.cell.momentum).add_(slope * chance * (1 - chance))
        descend(self.scores[name], self.slow[name], rate)

    @torch.no_grad()
    def drawn(self, scores, count) -> tuple[dict, dict]:
        """(masks, chances) of all layers, [R, ...] each; count: the number of the draw, or a tensor [1] that has it."""
        masks, chances, first = {}, {}, 0
        for name, score in scores.items():
            chances[name], n = torch.sigmoid(score), score[0].numel()
            masks[name] = (uniform(n, self.keys, count, first).view_as(score) < chances[name]).to(self.dtype)
            first += n
        return masks, chances

    @torch.no_grad()
    def masked(self, masks) -> tuple[dict, dict]:
        """(parameters under the masks, multiplier of each layer [R, 1, ...])."""
        params, scales = dict(self.frozen), {}
        for name, mask in masks.items():
            ones = mask.flatten(1).sum(1)
            scale = 1 + self.rescaled * (mask[0].numel() / ones.clamp(min=1) - 1)
            scales[name] = scale.view(-1, *[1] * (mask.ndim - 1))
            params[name] = self.frozen[name] * mask * scales[name]
        return params, scales

    def slope(self, name: str, gradient: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """Gradient of the loss in the mask of a layer, from that in the masked and rescaled weights.

        With scale = size / ones a mask enters twice: d(scale)/d(mask) = -scale^2 / size.
        """
        slope = gradient * self.frozen[name]
        through = (slope * mask).flatten(1).sum(1) * self.rescaled / mask[0].numel()
        return scale * slope - through.view_as(scale) * scale**2

    @torch.no_grad()
    def read(self, part: str, best: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean cross-entropy [R] and right answers [R, N] over a part of the data, now or at the best validation.

        Of the test images as they are now, right answers are shares of `samples` masks; elsewhere one mask is drawn.
        """
        samples = self.samples if part == "test" and not best else 1
        loss, right = 0.0, 0
        for sample in range(samples):
            params, _ = self.masked(self.drawn(self.best if best else self.scores, READING + sample)[0])
            correct = []
            for x, y in self.reader.parts(part):
                logits = self.model.forward(params, {}, x, training=False)
                loss = loss + cross_entropy(logits.transpose(1, 2), y, reduction="none").sum(1).double() / samples
                correct.append(logits.argmax(2) == y)
            right = right + torch.cat(correct, 1).cpu().numpy() / samples
        return loss.cpu().numpy() / right.shape[1], right if samples > 1 else right > 0

    def remember(self, better: np.ndarray) -> None:
        """Keep the scores of now as the best ones where `better` [R]."""
        chosen = torch.from_numpy(better).to(self.device)
        for name, score in self.scores.items():
            self.best[name][chosen] = score[chosen]

    def weights(self) -> list[Weights]:
        """Of each network its scores, under the names of the weights that they are of; biases and their like are 0."""
        found = {name: self.scores.get(name, torch.zeros_like(w)).cpu().numpy() for name, w in self.frozen.items()}
        return [{name: array[r].copy() for name, array in found.items()} for r in range(len(self.keys))]

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint needs."""
        return {f"{kind}/{name}": tensor.cpu().numpy() for kind, part in self._parts() for name, tensor in part.items()}

    def restore(self, found: dict[str, np.ndarray]) -> None:
        """Go on from the `state` of an earlier sitting."""
        for kind, part in self._parts():
            for name, tensor in part.items():
                tensor.copy_(torch.from_numpy(found[f"{kind}/{name}"]))

    def _parts(self):
        return ("scores", self.scores), ("slow", self.slow), ("best", self.best)


class Places:
    """The places that `dataset.order` has, epoch by epoch: those of 440,000 steps at once would fill a gigabyte."""

    def __init__(self, cell, n: int):
        self.generator, self.n = stream("order", cell.replicate, cell.level, cell.order), n
        self.first, self.known = 0, np.zeros(0, np.int32)

    def take(self, begin: int, end: int) -> np.ndarray:
        """Places in 0..n-1 of the images `begin` to `end` of a training; later calls begin no earlier."""
        while self.first + len(self.known) < end:
            if self.first + len(self.known) <= begin:
                self.first, self.known = self.first + len(self.known), self.known[:0]
            self.known = np.concatenate([self.known, self.generator.permutation(np.arange(self.n, dtype=np.int32))])
        self.first, self.known = begin, self.known[begin - self.first :]
        return self.known[: end - begin]


PATH = "supermask"
train.PATHS[PATH] = Supermasks


def descend(scores: Tensor, slow: Tensor, rate: Tensor) -> None:
    """Move scores against their momentum."""
    if slow.device.type == "cpu":
        scores.sub_(slow, alpha=float(rate))
    else:  # nobody waits for a number that is on a GPU
        scores.sub_(slow * rate.to(slow.dtype))


def uniform(n: int, keys: Tensor, count: int | Tensor, first: int) -> Tensor:
    """Float32 numbers [R, n] on [0, 1): places first, first + 1, ... of the draw `count` of networks with keys [R]."""
    if keys.device.type == "cpu":
        found = np.empty((len(keys), n), np.float32)
        for row, key in zip(found, keys.tolist(), strict=True):
            _fill(row, key, int(count), first)
        return torch.from_numpy(found)
    places = torch.arange(first, first + n, device=keys.device)
    count = count if isinstance(count, Tensor) else torch.tensor([count], device=keys.device)
    return _hashed()(places, keys[:, None], count).float().mul_(2.0**-24)


@cache
def _hashed():
    """The hash as one kernel of a GPU, (places, keys, count) -> numbers of 24 bits: 20 operations on one reading."""
    return torch.cuda.jiterator._create_jit_fn(HASH)


HASH = """
template <typename T> T hashed(T place, T key, T count) {
  unsigned h = static_cast<unsigned>(place) ^ static_cast<unsigned>(key);
  for (int round = 0; round < 2; round++) {
    h = (h ^ (h >> 16)) * 0x7FEB352Du;
    h = (h ^ (h >> 15)) * 0x846CA68Bu;
    h = (h ^ (h >> 16)) + (round ? 0u : static_cast<unsigned>(count));
  }
  return static_cast<T>(h >> 8);
}
"""
"""Rounds without visible bias, found by search (Wellons 2018, lowbias32); two of them take 64 bits in."""


@numba.njit(cache=True, boundscheck=False)
def _mixed(h):
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x7FEB352D)) & np.uint64(0xFFFFFFFF)
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(0x846CA68B)) & np.uint64(0xFFFFFFFF)
    return h ^ (h >> np.uint64(16))


@numba.njit(cache=True, boundscheck=False)
def _fill(found, key, count, first):
    """The same on a CPU: 0.4 ms for a LeNet, a tenth of a step; of numbers that are exact, whoever compiled it."""
    for i in range(found.size):
        h = _mixed(np.uint64(first + i) ^ np.uint64(key))
        h = _mixed((h + np.uint64(count)) & np.uint64(0xFFFFFFFF))
        found[i] = np.float32(h >> np.uint64(8)) * np.float32(2.0**-24)
