"""Edge-popup: scores over frozen weights, of which each layer keeps the largest (Ramanujan et al. 2020, section 3).

A step keeps, in every layer, exactly the share of weights with the largest sizes of scores; the gradient passes this
choice as if it were not there, to the sizes of all scores; momentum and weight decay act on scores. Of equal sizes the
one that comes first in memory goes first, as everywhere here. Biases stay 0, as if there were none. Scores begin as
the authors', uniform between plus and minus one over the root of the fan-in, and the rate falls as a cosine. Two paths
with the same numbers: one for any network, and compiled steps for perceptrons on a CPU core.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ...nets import models
from ...pruning.imp import Start, dense_mask
from ...pruning.masks import Weights
from ...seeds import stream
from ...training import train
from ...training.compiled import Compiled, settle
from ...training.flat import Network, lines
from ...training.kernels import compiled, compiled_entry, dense_backward, dense_forward, softmax_gradient
from ...training.passes import gather
from ..supermasks.learned import Supermasks, cosine, descend


def kept(size: int, keep: float) -> int:
    """How many of `size` weights stay: what the authors' code leaves after dropping floor((1 - keep) size)."""
    return size - math.floor((1 - keep) * size + 1e-9)


def first_scores(cell, model) -> Weights:
    """Scores as they begin, float32; a cell's draw is that of its scores."""
    generator = stream("sample", cell.replicate, cell.level, cell.draw)
    ends = {name: 1 / math.sqrt(math.prod(model.shapes[name][1:])) for name in model.prunable}
    return {name: generator.uniform(-end, end, model.shapes[name]).astype(np.float32) for name, end in ends.items()}


def largest(sizes: Tensor, count: int) -> Tensor:
    """Bool, True at the `count` largest of `sizes`; of equal ones the last in memory."""
    flat = sizes.flatten()
    least = flat.kthvalue(len(flat) - count + 1).values if count else torch.inf
    chosen, equal = flat > least, flat == least
    spare = equal.sum() - (count - chosen.sum())
    return (chosen | (equal & (equal.cumsum(0) > spare))).view_as(sizes)


class Annealed(Supermasks):
    """Masks drawn by chance as in chapter 3, at a rate that falls as here: what edge-popup is compared with."""

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        super().__init__(cells, model, starts, device, begin)
        self.rates = cosine(self.cell)


class EdgePopup(Annealed):
    """Scores of networks that share everything but seeds and own parameters, stacked; a path of `train`."""

    samples = 1

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        super().__init__(cells, model, starts, device, begin)
        first = [first_scores(cell, model) for cell in cells]
        for name in self.scores:
            self.scores[name] = torch.from_numpy(np.stack([s[name] for s in first])).to(device, self.dtype)
            self.best[name].copy_(self.scores[name])

    def given(self, cell, start) -> Weights:
        """Weights as the arm drew them."""
        return start.weights

    def load(self, begin: int, end: int) -> None:
        """The reader holds the order that all arms of a level share, and how its images are augmented."""

    @torch.no_grad()
    def drawn(self, scores, count) -> tuple[dict, dict]:
        """(masks, signs of the scores) of all layers, [R, ...] each."""
        masks = {
            name: torch.stack(
                [
                    largest(own.abs(), kept(own.numel(), cell.own["keep"])).to(self.dtype)
                    for cell, own in zip(self.cells, score, strict=True)
                ]
            )
            for name, score in scores.items()
        }
        return masks, {name: score.sign() for name, score in scores.items()}

    def learn(self, name: str, slope: Tensor, sign: Tensor, rate: Tensor) -> None:
        """Move the scores of a layer against the gradient in its mask, which passes to their sizes."""
        change = (slope * sign).add_(self.scores[name], alpha=self.cell.weight_decay)
        self.slow[name].mul_(self.cell.momentum).add_(change)
        descend(self.scores[name], self.slow[name], rate)


# compiled steps of perceptrons


@compiled
def _choose(head, value, scores, bits, frozen, counts, bins, found):
    """value = frozen where the size of a score is among the largest of its layer, else 0.

    Exact and in linear time: sizes have the order of the integers that their bits are. Counting the first 16 bits finds
    the bin that the smallest size which stays is in, and sorting that bin finds it. bits: of the scores [P]; bins:
    counts [2^16]; found: room for sizes [P].
    """
    widths, first = head.widths, head.first
    shift = 15 if bits.itemsize == 4 else 47
    for l in range(len(widths) - 1):
        begin, end = first[l], first[l + 1] - widths[l + 1]
        bins[:] = 0
        for i in range(begin, end):
            bins[(bits[i] >> shift) & 0xFFFF] += 1
        wanted, at = counts[l], len(bins) - 1
        while at > 0 and bins[at] < wanted:
            wanted -= bins[at]
            at -= 1
        n = 0
        for i in range(begin, end):
            if (bits[i] >> shift) & 0xFFFF == at:
                found[n] = abs(scores[i])
                n += 1
        found[:n].sort()
        least, spare = found[n - wanted], 0
        for i in range(begin, end):
            value[i] = frozen[i] if abs(scores[i]) >= least else 0
        while spare < n - wanted and found[n - wanted - 1 - spare] == least:
            spare += 1
        for i in range(begin, end):  # of those that are as small as the smallest that stays, the first go
            if spare == 0:
                break
            if abs(scores[i]) == least:
                value[i], spare = 0, spare - 1


@compiled
def _learn(head, scores, slow, frozen, gradient, rate, momentum, decay):
    """One step of gradient descent with momentum on the scores of all layers, decay added to the gradient."""
    widths, first = head.widths, head.first
    step, mu, lam = scores.dtype.type(rate), scores.dtype.type(momentum), scores.dtype.type(decay)
    one, zero = scores.dtype.type(1), scores.dtype.type(0)
    for l in range(len(widths) - 1):
        for i in range(first[l], first[l + 1] - widths[l + 1]):
            sign = (one if scores[i] > 0 else zero) - (one if scores[i] < 0 else zero)
            slow[i] = mu * slow[i] + (gradient[i] * frozen[i] * sign + lam * scores[i])
            scores[i] -= step * slow[i]


@compiled_entry
def popup(head, value, scores, bits, slow, frozen, counts, room, images, labels, order, rates, momentum, decay):
    """Train scores in place on the minibatches `order` [n, batch] at the learning rates `rates` [n].

    value, scores, slow, frozen: [P] in the layout of `flat`, biases 0; bits: the scores once more, the same memory as
    integers; counts: weights that stay in each layer, one at least; room: activations and their gradients [units,
    columns]; images: [N, features]; labels: [N].
    Leaves in value the weights that the scores of the end keep.
    """
    widths, act, delta = head.widths, room[0], room[1]
    gradient, quiet, classes = np.zeros(len(value), value.dtype), np.zeros((0, 0), value.dtype), widths[-1]
    bins, found = np.zeros(2**16, np.int64), np.zeros_like(value)
    _choose(head, value, scores, bits, frozen, counts, bins, found)
    for s in range(len(rates)):
        gather(images, order[s], act[: widths[0]])
        dense_forward(head, value, act[: widths[0]], act, quiet)
        softmax_gradient(act[len(act) - classes :], labels[order[s]], delta[len(delta) - classes :])
        dense_backward(head, value, act, delta, gradient, quiet, False)
        _learn(head, scores, slow, frozen, gradient, rates[s], momentum, decay)
        _choose(head, value, scores, bits, frozen, counts, bins, found)


class EdgePopupPerceptrons(Compiled):
    """Scores of perceptrons that are trained by the kernels, one after the other; a path of `train`.

    A network's value is what its scores keep, `slow` the momentum of its scores, and `fast` the scores themselves.
    """

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        super().__init__(cells, model, starts, device, begin, below=0)
        settle(self.cell.precision, model, __name__)
        self.rates = cosine(self.cell)
        self.frozen = [network.value.copy() for network in self.networks]
        sizes = [math.prod(model.shapes[name]) for name in model.prunable]
        self.counts = [np.array([kept(size, cell.own["keep"]) for size in sizes]) for cell in cells]
        for cell, start, network in zip(cells, starts, self.networks, strict=True):
            scores = start.weights | first_scores(cell, model)  # biases are 0 in both
            scores = {name: array.astype(self.cell.precision) for name, array in scores.items()}
            network.fast[:] = network.flat(scores)

    def advance(self, begin: int, end: int) -> None:
        """Take the steps from `begin` to `end`."""
        rule = self.rates[begin:end], self.cell.momentum, self.cell.weight_decay
        images, _, labels = self.pictures["train"]
        for n, frozen, counts, order in zip(self.networks, self.frozen, self.counts, self.reader.order, strict=True):
            state = n.value, n.fast, bits(n.fast), n.slow, frozen, counts, room(n)
            popup(n.head, *state, images, labels, order[begin:end], *rule)

    def weights(self) -> list[Weights]:
        """Of each network its scores, under the names of the weights that they are of; biases are 0."""
        found = []
        for network in self.networks:
            value, network.value = network.value, network.fast
            found.append(network.unpack())
            network.value = value
        return found


def bits(scores: np.ndarray) -> np.ndarray:
    """The same memory as integers, of which sizes of numbers have the order once their sign is off."""
    return scores.view(np.int32 if scores.itemsize == 4 else np.int64)


def room(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Activations of a batch, and their gradients: [units, columns] each."""
    shape = int(network.head.widths.sum()), network.buffers.real.size
    return lines(*shape, network.value.dtype), lines(*shape, network.value.dtype)


def compile_now(kind: str, precision: str) -> None:
    """Compile the steps for a precision and perceptrons, on two images of four pixels by four."""
    model = models.build(kind, (1, 4, 4), 2)
    weights = {name: np.ones(shape, precision) for name, shape in model.shapes.items()}
    n, labels = Network(model, Start(weights, dense_mask(model)), precision, batch=2, below=0), np.zeros(2, np.int64)
    counts = np.array([math.prod(model.shapes[name]) for name in model.prunable])
    state = n.value, n.fast, bits(n.fast), n.slow, n.value.copy(), counts, room(n)
    popup(n.head, *state, np.zeros((2, 16), precision), labels, labels[:0].reshape(0, 2), np.zeros(0), 0.0, 0.0)


train.PATHS |= {"edge_popup": EdgePopup, "edge_popup-mlp": EdgePopupPerceptrons, "sampled": Annealed}
