"""The layers of SparseProp (Nikdan et al. 2023), which trains by kept weights too, in the plain loop on one core.

Every layer that may be pruned is one of its layers, which hold kept weights only and know how to send gradients back.
It works on several images at a time or on several pixels, whichever is faster for the network. No dependency: whoever
wants these figures installs the package `sparseprop`, which a C++ compiler builds.
"""

from functools import cache
from importlib.util import find_spec
from itertools import product

from tickets.errors import BadInput
from tickets.nets.models import Model
from tickets.pruning.masks import Mask
from torch import Tensor, nn

from . import images
from .workloads import Unit

KEPT = (0.5, 0.168, 0.1, 0.036)
SIDE_BY_SIDE = {"several images": False, "several pixels": True}
"""What its convolutions work on together."""


class Module(images.Module):
    """A network as ordinary layers, but for those that a mask thins out: their kept weights in SparseProp's."""

    def __init__(self, model: Model, kept: Mask, pixels: bool):
        super().__init__(model)
        from sparseprop.modules import SparseConv2d, SparseLinear

        self.pixels = pixels
        for name, array in kept.items():
            layer = self.layers[key := images.key(name.removesuffix(".weight"))]
            layer.weight.data[~layer.weight.new_tensor(array).bool()] = 0
            if layer.weight.ndim == 4:
                self.layers[key] = SparseConv2d(layer.weight, layer.bias, padding=layer.padding[0])
            else:
                self.layers[key] = SparseLinear(layer.weight, layer.bias)

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        layer = self.layers[images.key(name)]
        if isinstance(layer, nn.Conv2d):
            return super().conv(x, name, stride)
        layer.stride = stride
        layer.set_vectorizing_over_on(self.pixels)  # of two strides it knows fewer ways
        return layer(x.contiguous())


@cache
def training(name: str, side: int, batch: int, density: float, steps: int, together: str) -> Unit:
    """`steps` steps of the plain loop with its layers; together: one of SIDE_BY_SIDE."""
    model = images.network(name, side)
    module = Module(model, images.mask(model, density), SIDE_BY_SIDE[together])
    return images.looped(module, side, batch, steps)


def cases(steps: int) -> dict:
    """Case -> (function, arguments) that prepares its unit of work."""
    if not find_spec("sparseprop"):
        raise BadInput("the package sparseprop is not installed: pip builds it, with a C++ compiler")
    found = {}
    for (name, side), batch in images.NETS.items():
        net = name, side, batch
        for kept in KEPT:
            found[name, side, kept] = images.training, *net, kept, few(side, steps)
            for way in SIDE_BY_SIDE:
                found[name, side, kept, way] = training, *net, kept, few(side, steps), way
        for layout in images.LAYOUTS:
            found[name, side, layout] = images.plain, *net, layout, few(side, steps)
    return found


def few(side: int, steps: int) -> int:
    """Steps of a unit of work."""
    return max(1, steps // (10 if side <= 16 else 50))


def rows(seconds: dict, steps: int) -> list[dict]:
    """A row for each network and density, milliseconds for a step."""
    found = []
    for ((name, side), batch), kept in product(images.NETS.items(), KEPT):
        ms = {case: 1000 / few(side, steps) * took for case, took in seconds.items() if case[:2] == (name, side)}
        ours = ms[name, side, kept]
        theirs, plain = (
            min(ms[name, side, *case] for case in ways)
            for ways in (product([kept], SIDE_BY_SIDE), product(images.LAYOUTS))
        )
        row = {"network": name, "side": side, "batch": batch, "density": kept, "ms": ours, "sparseprop_ms": theirs}
        found.append(row | {"plain_ms": plain, "times_faster": theirs / ours})
    return found
