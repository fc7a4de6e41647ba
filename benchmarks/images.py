"""What `bench` times of image networks on one core: the compiled path, and an ordinary module in a plain loop.

Pictures are random bytes; masks are random, of one density in every layer that may be pruned.
"""

from functools import cache

import numpy as np
import torch
from tickets.nets import models
from tickets.nets.models import Model, NormNet
from tickets.pruning.imp import Start
from tickets.pruning.masks import Mask
from tickets.seeds import stream
from tickets.training import flat, passes
from tickets.training.compiled import STILL
from torch import Tensor, nn
from torch.nn import functional as F

from .workloads import Unit, plain_loop

NETS = {("resnet-20x8", 16): 128, ("conv-2x32", 16): 60, ("resnet-20", 32): 128, ("conv-2", 32): 60}
"""Batch sizes of the networks, and sides of the images, that are timed on one core at several densities."""
PICTURES = 1000
STORAGE = {"ours": None, "dense": 0, "sparse": 2}
"""Density below which a layer is stored by its kept weights: as in training, never, always."""
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
"""Of the plain loop's images and kernels."""


class Module(nn.Module):
    """A network as ordinary layers, by its own description: a stand-in for what one writes by hand."""

    def __init__(self, model: Model):
        super().__init__()
        self.model, self.layers = model, nn.ModuleDict()
        for name, shape in model.shapes.items():
            layer, _, kind = name.rpartition(".")
            if len(shape) == 4:
                bias = f"{layer}.bias" in model.shapes
                self.layers[key(layer)] = nn.Conv2d(shape[1], shape[0], shape[2], padding=shape[2] // 2, bias=bias)
            elif len(shape) == 2:
                self.layers[key(layer)] = nn.Linear(shape[1], shape[0])
            elif layer.endswith(".norm") and kind == "weight":
                self.layers[key(layer)] = nn.BatchNorm2d(shape[0])

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.model.through(self, x)

    relu, add = staticmethod(F.relu), staticmethod(torch.add)

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        layer = self.layers[key(name)]
        return F.conv2d(x, layer.weight, layer.bias, stride, layer.padding)

    def conv_norm(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return self.layers[key(f"{name}.norm")](self.conv(x, name, stride))

    def max_pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)

    def average(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def head(self, x: Tensor, names: list[str]) -> Tensor:
        h = x.flatten(1)
        for name in names[:-1]:
            h = F.relu(self.layers[name](h))
        return self.layers[names[-1]](h)


def key(name: str) -> str:
    """A layer's name as a module may have it."""
    return name.replace(".", "_")


def network(name: str, side: int) -> Model:
    return models.build(name, (3, side, side), 10)


def mask(model: Model, density: float) -> Mask:
    generator = stream("mask")
    return Mask({name: generator.random(model.shapes[name]) < density for name in model.prunable})


@cache
def training(name: str, side: int, batch: int, density: float, steps: int, storage: str = "ours") -> Unit:
    """`steps` steps of the compiled path; storage: one of STORAGE."""
    net, told = prepared(name, side, batch, density, steps, storage)
    return lambda: passes.advance(*net.tables, net.state, *told)


def prepared(name: str, side: int, batch: int, density: float, steps: int, storage: str = "ours") -> tuple:
    """A network and what `passes.advance` is told: momentum with decay where there is normalization, else Adam."""
    model, kind = network(name, side), np.float32
    kept = mask(model, density)
    net = flat.Network(model, Start(model.init(stream("init")), kept), "float32", batch, STORAGE[storage])
    generator = stream("sample")
    images = generator.integers(256, size=(PICTURES, 3, side, side), dtype=np.uint8)
    pictures = images, np.tile(np.arange(256, dtype=kind) / kind(255), (3, 1)), generator.integers(10, size=PICTURES)
    rule = (False, 0.9, 1e-4) if isinstance(model, NormNet) else (True, 0.0, 0.0)
    order, rates = generator.integers(PICTURES, size=(steps, batch)), np.full(steps, 1e-3)
    return net, (pictures, order, STILL, 0, np.zeros((0, 0, 0), kind), 0, rates, rule)


@cache
def plain(name: str, side: int, batch: int, layout: str, steps: int, device: str = "cpu") -> Unit:
    """The same in a plain loop, whatever the density: pruned weights are put back to zero."""
    form = LAYOUTS[layout]
    return looped(Module(network(name, side)).to(device, memory_format=form), side, batch, steps, form, device)


def looped(module: Module, side: int, batch: int, steps: int, form=torch.contiguous_format, device="cpu") -> Unit:
    """`steps` steps of a module in a plain loop: momentum with decay where there is normalization, else Adam."""
    if isinstance(module.model, NormNet):
        optimizer = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
    else:
        optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    x = torch.rand(PICTURES, 3, side, side).to(device, memory_format=form)
    y, order = (torch.randint(n, shape).to(device) for n, shape in ((10, (PICTURES,)), (PICTURES, (steps, batch))))
    pruned = [(p, torch.ones_like(p)) for p in module.parameters() if p.ndim > 1]

    def unit():
        plain_loop(module, optimizer, pruned, ((x[picked], y[picked]) for picked in order), (x[:2], y[:2]))

    return unit
