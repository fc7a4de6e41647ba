"""What `bench` times on a GPU: populations, each step a graph, against a plain loop of one network.

Images are random bytes, of the size of MNIST's and CIFAR's. The plain loop may choose its layout and, step by step, the
fastest of cuDNN's kernels; ours is held to those that repeat. Both compute in float32, not in TF32.
"""

from functools import cache, partial
from unittest.mock import patch

import torch
from tickets.cells import Cell
from tickets.data import dataset, sources
from tickets.nets import layers, models
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.running.work import settle
from tickets.seeds import stream
from tickets.training import autograd

from . import images, workloads
from .workloads import WAYS, Unit

SGD = {"optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-4, "output_rate": 0}
CELLS = {
    "lenet-300-100": Cell(),
    "conv-2": Cell(dataset="cifar10", model="conv-2", learning_rate=2e-4, conv_rate=0.1, output_rate=0.1),
    "resnet-20": Cell(dataset="cifar10", model="resnet-20", batch=128, scope="global", **SGD),
    "vgg-16": Cell(dataset="cifar10", model="vgg-16", batch=128, scope="global", **SGD),
}
STACKED = {"lenet-300-100": (1, 10, 60), "conv-2": (1, 5), "resnet-20": (1, 5), "vgg-16": (1, 2)}
"""Networks trained together."""
PICTURES = 10_000


def cases(lots: int, device: str) -> dict:
    """Case -> function that does some steps and returns when they are done; lots: those of a perceptron."""
    settle(device)
    found = {}
    for name, stacks in STACKED.items():
        steps = _steps(name, lots)
        found |= {(name, R): partial(population, name, R, steps, device) for R in stacks}
        found[name, "launched"] = partial(population, name, stacks[-1], steps, device, graph=False)
        found |= {(name, layout): partial(plain, name, layout, steps, device) for layout in images.LAYOUTS}
        if name in ("conv-2", "resnet-20"):
            ways = [way for way in WAYS if way != "loop"]
            found |= {(name, way, "way"): partial(population, name, stacks[-1], steps, device, way) for way in ways}
    return found


def _steps(name: str, lots: int) -> int:
    return lots if name == "lenet-300-100" else max(1, lots // 10)


def rows(seconds: dict, lots: int) -> list[dict]:
    """A row for each network and number of them, milliseconds for a step of one network."""
    found = []
    for name, stacks in STACKED.items():
        steps = _steps(name, lots)
        other = 1000 / steps * min(seconds[name, layout] for layout in images.LAYOUTS)
        for R in stacks:
            ms = 1000 / steps / R * seconds[name, R]
            found.append({"network": name, "networks": R, "ms": ms, "plain_ms": other, "times_faster": other / ms})
    return found


def ways(seconds: dict, lots: int) -> list[dict]:
    """The same for what could be otherwise: every kernel launched anew, or another way of convolving."""
    found = []
    for name, stacks in STACKED.items():
        ms = 1000 / _steps(name, lots) / stacks[-1]
        row = {"network": name, "networks": stacks[-1], "loop_ms": ms * seconds[name, stacks[-1]]}
        row["launched_ms"] = ms * seconds[name, "launched"]
        others = {way: seconds.get((name, way, "way")) for way in WAYS}
        row |= {f"{way}_ms".replace(" ", "_"): ms * taken for way, taken in others.items() if taken}
        found.append(row)
    return found


@cache
def population(name: str, R: int, steps: int, device: str, way: str = "loop", graph: bool = True) -> Unit:
    """`steps` steps of R networks on the path of a GPU; graph: whether a step is recorded once and replayed."""
    cells = [CELLS[name].but(replicate=r, steps=steps) for r in range(R)]
    shape = (1, 28, 28) if name == "lenet-300-100" else (3, 32, 32)
    model, generator = models.build(name, shape, 10), stream("sample")
    x = torch.from_numpy(generator.integers(256, size=(PICTURES, *shape), dtype="uint8"))
    y = torch.from_numpy(generator.integers(10, size=PICTURES))
    held = dataset.Dataset(cells[0].dataset, x, y, x[:100], y[:100], classes=10)
    starts = [Start(imp.initial(cell, model), imp.dense_mask(model)) for cell in cells]
    with patch.object(sources, "load", lambda _: held):
        networks = autograd.Autograd(cells, model, starts, device)

    def unit():
        recordable = autograd.recordable if graph else lambda _: False
        with patch.object(layers, "conv2d", WAYS[way]), patch.object(autograd, "recordable", recordable):
            networks.advance(0, steps)

    return unit


def plain(name: str, layout: str, steps: int, device: str) -> Unit:
    """The plain loop of one network."""
    if name == "lenet-300-100":
        unit = workloads.plain(0, steps, 1, device)
    else:
        unit = images.plain(name, 32, CELLS[name].batch, layout, steps, device)

    def free():
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
            unit()

    return free
