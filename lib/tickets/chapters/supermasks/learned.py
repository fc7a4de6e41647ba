"""Learned masks of untrained weights: a training of scores, the weights frozen (Zhou et al. 2019, section 5).

Every prunable weight has a score m, at first 0. A step keeps it with probability sigmoid(m), drawn anew for every step
and the same for all images of a batch; the gradient passes the draw as if it were the probability (straight through).
Weights stay as drawn, or are signed constants; biases stay 0. With dynamic weight rescaling a layer is multiplied by
its size over the ones of the drawn mask, in training and in tests, and the gradient passes this multiplier too, as in
the authors' code. Draws are hashes of (network, step, place): no state to keep, and the same on every device.
"""

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...data.reader import Reader
from ...pruning.masks import Weights
from ...seeds import stream
from ...training import train
from ...training.schedule import learning_rates
from .untrained import signed_constants

SAMPLES = 10
"""Masks that a reading of the test images is averaged over."""
READING = 2**31
"""Numbers of draws from here on are those of readings, the same at every reading; below it stand those of steps."""


class Supermasks:
    """Scores of networks that share everything but seeds and own parameters, stacked; a path of `train`."""

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        self.cell, self.model, self.device = cells[0], model, device
        self.dtype, self.rates = getattr(torch, self.cell.precision), learning_rates(self.cell)
        self.reader = Reader(cells, device, self.dtype)
        self.places = [Places(cell, self.reader.index["train"].shape[1]) for cell in cells]
        drawn = [
            signed_constants(model, start.weights) if cell.own["constant"] else start.weights
            for cell, start in zip(cells, starts, strict=True)
        ]
        stack = lambda name: torch.from_numpy(np.stack([w[name] for w in drawn])).to(device, self.dtype)  # noqa: E731
        self.frozen = {name: stack(name) for name in model.shapes}
        self.scores = {name: torch.zeros_like(self.frozen[name]) for name in model.prunable}
        self.slow, self.best = ({name: s.clone() for name, s in self.scores.items()} for _ in range(2))
        self.rescaled = torch.tensor([float(cell.own["rescaled"]) for cell in cells], device=device, dtype=self.dtype)
        self.keys = [int(stream("sample", c.replicate, c.level, c.draw).integers(2**32)) for c in cells]

    def advance(self, begin: int, end: int) -> None:
        """Take the steps from `begin` to `end`."""
        size = self.cell.batch
        taken = [places.take(begin * size, end * size).reshape(-1, size) for places in self.places]
        picked = np.stack([train[t] for train, t in zip(self.reader.index["train"], taken, strict=True)])
        self.reader.picked = torch.from_numpy(picked).to(self.device)
        for step, place in zip(range(begin, end), torch.arange(end - begin, device=self.device).split(1), strict=True):
            x, y = self.reader.batch(place)
            masks, chances = self.drawn(self.scores, step)
            params, scales = self.masked(masks)
            for name in masks:
                params[name].requires_grad_()
            logits = self.model.forward(params, {}, x, training=True)
            (cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / size).backward()
            for name in masks:
                slope, chance = self.slope(name, params[name].grad, masks[name], scales[name]), chances[name]
                self.slow[name].mul_(self.cell.momentum).add_(slope * chance * (1 - chance))
                self.scores[name].sub_(self.slow[name], alpha=float(self.rates[step]))

    @torch.no_grad()
    def drawn(self, scores, count: int) -> tuple[dict, dict]:
        """(masks, chances) of all layers, [R, ...] each; count: the number of the draw."""
        masks, chances, first = {}, {}, 0
        for name, score in scores.items():
            chances[name] = torch.sigmoid(score)
            draws = [uniform(score[0].numel(), key, count, first, score.device) for key in self.keys]
            masks[name] = (torch.stack(draws).view_as(score) < chances[name]).to(self.dtype)
            first += score[0].numel()
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

        Of the test images as they are now, right answers are shares of SAMPLES masks; elsewhere one mask is drawn.
        """
        samples = SAMPLES if part == "test" and not best else 1
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


def uniform(n: int, key: int, count: int, first: int, device) -> Tensor:
    """Float32 numbers [n] on [0, 1): of the places first, first + 1, ... in the draw `count` of the network `key`."""
    if torch.device(device).type == "cpu":
        found = np.empty(n, np.float32)
        _fill(found, key, count, first)
        return torch.from_numpy(found)
    h = torch.arange(first, first + n, device=device) ^ key
    for add in (count, 0):
        for shift, factor in ROUNDS:
            h = ((h ^ (h >> shift)) * factor) & WORD
        h = ((h ^ (h >> 16)) + add) & WORD
    return (h >> 8).float() * 2.0**-24


WORD = 2**32 - 1
ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B))
"""A hash of 32 bits without visible bias, found by search (Wellons 2018, lowbias32); two of them take 64 bits in."""


@numba.njit(cache=True, boundscheck=False)
def _mixed(h):
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x7FEB352D)) & np.uint64(0xFFFFFFFF)
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(0x846CA68B)) & np.uint64(0xFFFFFFFF)
    return h ^ (h >> np.uint64(16))


@numba.njit(cache=True, boundscheck=False)
def _fill(found, key, count, first):
    """The same compiled: 0.4 ms for a LeNet, a tenth of a step; of numbers that are exact, whoever compiled it."""
    for i in range(found.size):
        h = _mixed(np.uint64(first + i) ^ np.uint64(key))
        h = _mixed((h + np.uint64(count)) & np.uint64(0xFFFFFFFF))
        found[i] = np.float32(h >> np.uint64(8)) * np.float32(2.0**-24)
