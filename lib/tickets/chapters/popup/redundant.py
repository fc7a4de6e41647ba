"""A search where several random weights stand for each of a network's (Pensia et al. 2020, experiment 2).

Every input of a layer gets `times` hidden units of its own, which feed all outputs: input i reaches output o through
the products v[o, k] u[k] of its units k. These units are linear or rectified; no input is negative here, so that both
ways a layer is one matrix, of sums of products, and is computed as that.
"""

import math

from torch import Tensor

from ...nets.models import Model
from ...pruning.imp import Start, dense_mask
from ...seeds import stream
from ...training import train
from .search import EdgePopup

FIRST = ".inputs.weight"


class Redundant(Model):
    """A perceptron without biases, each of its layers in two: `times` units an input, then all of these to all outputs.

    Its shapes are those of both: NAME.inputs.weight [times x inputs, 1] and NAME.weight [outputs, times x inputs].
    """

    def __init__(self, whole: Model, times: int, rectified: bool):
        super().__init__(whole.name, whole.input_shape, whole.classes)
        self.whole, self.times, self.rectified = whole, times, rectified
        for name in whole.prunable:
            outputs, inputs = whole.shapes[name]
            layer = name.removesuffix(".weight")
            self._add(f"{layer}.inputs", (times * inputs, 1), "dense", bias=False)
            self._add(layer, (outputs, times * inputs), whole.kind[name], bias=False)

    def forward(self, params, buffers, x, training, dropout=None):
        return self.whole.forward({n: self.joined(params, n) for n in self.whole.prunable}, buffers, x, training)

    def joined(self, params, name: str) -> Tensor:
        """The matrix [R, outputs, inputs] that a layer's two make."""
        first = params[name.removesuffix(".weight") + FIRST].transpose(1, 2)
        products = params[name] * (first.relu() if self.rectified else first)
        return products.unflatten(2, (-1, self.times)).sum(3)

    def drawn(self, generator) -> dict:
        """Kaiming normal weights; units that are not rectified lose nothing, and have a variance of 1 / fan-in."""
        found = self.init(generator, "kaiming")
        gain = 1 if self.rectified else math.sqrt(0.5)
        return {name: array * array.dtype.type(gain if name.endswith(FIRST) else 1) for name, array in found.items()}


def of(cell, model) -> Redundant:
    """The redundant network of a cell."""
    return Redundant(model, cell.own["redundancy"], cell.own["rectified"])


def start(cell, model, store, weights) -> Start:
    """Its random weights, all of them in reach of the search."""
    whole = of(cell, model)
    return Start(whole.drawn(stream("redraw", cell.replicate, cell.level)), dense_mask(whole))


class RedundantPopup(EdgePopup):
    """Scores of redundant networks, stacked; a path of `train`."""

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        super().__init__(cells, of(cells[0], model), starts, device, begin)


train.PATHS["redundant"] = RedundantPopup
