"""What `bench` times: each function prepares a unit of work, once, and returns it as a function without arguments.

Images are random, in the shape of the real ones; four pixels of five of LeNet's are dark, as in MNIST.
"""

import resource
import sys
from collections.abc import Callable
from functools import cache
from itertools import count, islice, pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from tickets.cells import Cell
from tickets.data import dataset, sources
from tickets.nets import layers, models
from tickets.pruning import imp, prune, scores
from tickets.pruning.imp import Start
from tickets.pruning.masks import Mask
from tickets.seeds import stream
from tickets.training import passes
from tickets.training.compiled import STILL
from tickets.training.flat import SPARSE_BELOW, Network, prepared
from tickets.training.train import train
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, default_collate

CELL = Cell()
VALIDATED = 50
"""Images for each step of a unit of training: 5,000 every 100 steps."""
STORAGE = {"ours": None, "dense": 0, "sparse": 2}
"""Density below which a layer is stored by its kept weights: as in training, never, always."""
Unit = Callable[[], object]


@cache
def lenet(width: float = 1) -> models.MLP:
    """LeNet-300-100 with its hidden layers `width` times as wide."""
    return models.MLP(CELL.model, (1, 28, 28), 10, hidden=(round(300 * width), round(100 * width)))


def sizes(width: float = 1) -> list[tuple[int, int]]:
    """(outputs, inputs) of the layers of `lenet`."""
    return [(o, i) for i, o in pairwise(lenet(width).widths)]


@cache
def mask(level: int, width: float = 1) -> Mask:
    """A random mask with the ladder's counts at a level."""
    model = lenet(width)
    lottery = scores.random({name: model.shapes[name] for name in model.prunable}, stream("mask"))
    return prune.keep_top(lottery, imp.dense_mask(model), imp.ladder(CELL.but(level=level), model))


# perceptrons


@cache
def training(level: int, storage: str, steps: int, width: float = 1) -> Unit:
    """Our path: `steps` steps of one LeNet on one core, and a validation. storage: one of STORAGE."""
    _, images, labels, order, held_out = _task(steps)
    model, done, rates = lenet(width), count(0, steps), np.full(steps, CELL.learning_rate)
    start = Start(model.init(stream("init")), mask(level, width))
    network = Network(model, start, "float32", CELL.batch, STORAGE[storage])
    table, none = (np.arange(256, dtype=np.float32) / np.float32(255))[None], np.zeros((0, 0, 0), np.float32)
    pictures, validated = (images, table, labels), np.arange(len(labels))[held_out]
    inputs = prepared(images, validated)

    def unit():
        told = order, STILL, 0, none, next(done), rates, (True, 0.0, 0.0)
        passes.advance(*network.tables, network.state, pictures, *told)
        network.read(network.value, pictures, validated, inputs)

    return unit


@cache
def plain(level: int, steps: int, threads: int, device: str = "cpu", loader: bool = False, width: float = 1) -> Unit:
    """The baseline: batches from tensors in memory, or from a DataLoader that converts one image after the other."""
    pixels, *rest, held_out = _task(steps)
    x, y, order = (torch.from_numpy(array).to(device) for array in rest)
    linear = [nn.Linear(i, o) for o, i in sizes(width)]
    module = nn.Sequential(nn.Flatten(), linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2]).to(device)
    masks = [torch.tensor(array).to(x) for array in mask(level, width).values()]
    pruned = list(zip([layer.weight for layer in linear], masks, strict=True)) if level else []
    optimizer = torch.optim.Adam(module.parameters(), CELL.learning_rate)
    served = loader and _served(pixels[: held_out.start], y)

    def unit():
        torch.set_num_threads(threads)
        batches = islice(served, steps) if loader else ((x[picked], y[picked]) for picked in order)
        plain_loop(module, optimizer, pruned, batches, (x[held_out], y[held_out]))

    return unit


def _served(pixels, y) -> DataLoader:
    """Batches as torchvision's datasets serve them: one image after the other through ToTensor, then collated."""
    from torchvision.transforms import ToTensor  # half of what importing this module would cost every worker

    convert = ToTensor()
    collate = lambda batch: default_collate([(convert(pixels[i]), int(y[i])) for i in batch])  # noqa: E731
    return DataLoader(range(len(pixels)), CELL.batch, shuffle=True, collate_fn=collate)


def plain_loop(module, optimizer, pruned, batches, held_out) -> tuple[float, float]:
    """What one writes without a library: step by step, pruned weights put back to zero, then a validation."""
    for x, y in batches:
        optimizer.zero_grad()
        cross_entropy(module(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            for weight, kept in pruned:
                weight.mul_(kept)
    with torch.no_grad():
        logits, labels = module(held_out[0]), held_out[1]
        return cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


@cache
def population(R: int, steps: int, device: str, bare: bool = False) -> Unit:
    """A whole short training of R networks stacked, its start and its readings of the test set included.

    bare: the same number of steps of a longer training, without any evaluation.
    """
    pixels, _, labels, *_ = _task(max(10, steps // 20))
    x, y = torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(labels)
    held = dataset.Dataset(CELL.dataset, x, y, x[:100], y[:100], classes=10)
    cells = [CELL.but(replicate=r, steps=100 * steps if bare else steps) for r in range(R)]
    starts = [Start(imp.initial(cell, lenet()), imp.dense_mask(lenet())) for cell in cells]

    def unit():
        with patch.object(sources, "load", lambda _: held):
            only = {"saves": [steps], "stop": steps} if bare else {}
            train(cells, lenet(), starts, device, path="autograd", **only)

    return unit


@cache
def _task(steps: int):
    """Random pixels uint8 [N, 28, 28], the same in [0, 1] as [N, 784], labels [N], batches [steps, batch], a slice.

    The slice holds the images to validate on. There are as many as in MNIST, unless steps are few.
    """
    generator, training = stream("sample"), min(55_000, 1_000 * steps)
    n = training + VALIDATED * steps
    pixels = generator.integers(1, 256, (n, 28, 28), np.uint8)
    pixels[generator.random(pixels.shape, np.float32) < 0.8] = 0
    images, labels = pixels.reshape(n, -1) / np.float32(255), generator.integers(10, size=n)
    return pixels, images, labels, generator.integers(training, size=(steps, CELL.batch)), slice(training, n)


# convolutions


@cache
def convolutions(name: str, way: str, R: int, batch: int, steps: int, device: str = "cpu") -> Unit:
    """`steps` steps of R networks by gradient descent, with convolutions of the population computed in one of WAYS."""
    model = models.build(name, (3, 32, 32), 10)
    params = {p: torch.from_numpy(np.stack([a] * R)).to(device) for p, a in model.init(stream("init")).items()}
    params = {p: tensor.requires_grad_() for p, tensor in params.items()}
    buffers, generator = model.buffers(R, device), torch.Generator().manual_seed(0)
    x = torch.randn(R, batch, *model.input_shape, generator=generator).to(device)
    y = torch.randint(10, (R, batch), generator=generator).to(device)
    optimizer = torch.optim.SGD(params.values(), 1e-3, momentum=0.9, fused=True)

    def unit():
        with patch.object(layers, "conv2d", WAYS[way]):
            for _ in range(steps):
                logits = model.forward(params, buffers, x, training=True)
                optimizer.zero_grad()
                (cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / batch).backward()
                optimizer.step()

    return unit


def grouped(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """`layers.conv2d` as one convolution with a group for each replicate."""
    R, B, C, H, W = x.shape
    together = x.transpose(0, 1).reshape(B, R * C, H, W)
    out = F.conv2d(together, w.flatten(0, 1), stride=stride, padding=padding, groups=R)
    return out.view(B, R, -1, *out.shape[2:]).transpose(0, 1)


def unfolded(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """`layers.conv2d` as a product of matrices: every patch of every image a column."""
    R, B, _, H, W = x.shape
    O, K = w.shape[1], w.shape[-1]
    patches = F.unfold(x.flatten(0, 1), K, padding=padding, stride=stride).unflatten(0, (R, B))  # [R, B, C K K, places]
    side = [(length + 2 * padding - K) // stride + 1 for length in (H, W)]
    return torch.matmul(w.flatten(2).unsqueeze(1), patches).view(R, B, O, *side)


def channels_last(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """`layers.conv2d` with images and kernels laid out pixel by pixel."""
    last = torch.channels_last
    rows = zip(x, w, strict=True)
    options = {"stride": stride, "padding": padding}
    return torch.stack([F.conv2d(a.to(memory_format=last), b.to(memory_format=last), **options) for a, b in rows])


WAYS = {"loop": layers.conv2d, "grouped": grouped, "unfolded": unfolded, "channels last": channels_last}


# the machine


@cache
def products(shapes: tuple[tuple[int, int, int], ...], times: int) -> Unit:
    """Bare matrix products (m, k, n): [m, k] x [k, n]."""
    operands = [(torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)) for m, k, n in shapes]

    def unit():
        for _ in range(times):
            for a, b, out in operands:
                torch.mm(a, b, out=out)

    return unit


@cache
def sums(n: int) -> Unit:
    """A sum of two vectors of n floats each, larger than any cache: 12 n bytes that pass through memory."""
    a, b, out = torch.rand(n), torch.rand(n), torch.empty(n)
    return lambda: torch.add(a, b, out=out)


def product_shapes(width: float = 1) -> list[tuple[int, int, int]]:
    """The matrix products (m, k, n) of a step of dense training with its share of the validation."""
    layer, batch = sizes(width), CELL.batch
    forward = [(o, i, n) for o, i in layer for n in (batch, VALIDATED)]
    return [*forward, *((o, batch, i) for o, i in layer), *((i, o, batch) for o, i in layer[1:])]


def operations(level: int) -> float:
    """Floating-point operations that a step at a level needs, with its share of the validation: kept weights only."""
    first, *others = mask(level).counts().values()
    return 2 * (CELL.batch * (2 * first + 3 * sum(others)) + VALIDATED * (first + sum(others)))


def traffic(level: int) -> float:
    """Bytes that a step at a level moves at least, whatever the caches: parameters, moments, indices and images.

    Of each kept weight: its value read by the passes forward and backward and its gradient written; then Adam reads
    value, gradient and two moments and writes all but the gradient; a position of 4 bytes in each of the three passes
    where the layer is stored by its kept weights. Of each image: its pixels, read once and written once.
    """
    sparse = {name: array.mean() < SPARSE_BELOW[2] for name, array in mask(level).items()}
    weights = sum(kept * (4 * (3 + 4 + 3) + 12 * sparse[name]) for name, kept in mask(level).counts().items())
    return weights + 784 * (8 * CELL.batch + 4 * VALIDATED)


@cache
def images(steps: int) -> Unit:
    """The images of a unit of training in memory, and nothing done with them."""
    held = _task(steps)
    return lambda: held


def peak(work: str, *arguments) -> float:
    """Most memory of this process, in MB of resident pages, after one unit of work; for a process of its own.

    Linux says so in /proc; elsewhere getrusage does, which on Linux would count the pages of the parent process too.
    """
    globals()[work](*arguments)()
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) / 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)
