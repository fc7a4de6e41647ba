"""Speed: our path against the plain PyTorch loop and against the machine itself, all in one run (`make bench`).

A unit of work is 100 steps of LeNet-300-100 (batch 60, Adam, float32) and one validation on 5,000 images. A round does
one unit of every case, so that a load that comes and goes meets all alike; figures are medians over rounds, and only
ratios within one run mean anything. Images are random, in MNIST's shape, four pixels of five dark. Our side flushes
denormal numbers, as training does; the plain loop keeps torch's default, and is spared the denormal moments that slow
it down on MNIST, where some pixels are dark in nearly every image.
"""

import json
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count, islice, pairwise
from math import prod
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numba
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, default_collate
from tqdm.std import tqdm

from . import data, imp, mlp, models, prune, scores, train
from .cells import Cell
from .errors import BadInput
from .run import check_device, processor
from .seeds import stream

CELL, LEVELS, POPULATIONS = Cell(algorithm=2), (0, 3, 7, 10, 15, 21), (1, 50)
MODEL = models.build(CELL.model, (1, 28, 28), 10)
VALIDATED = 50  # images for each step: 5,000 every 100 steps
MOST_SECONDS = 180  # after so many no new round begins
SHAPES = tuple((o, i) for i, o in pairwise(MODEL.widths))
PRODUCTS = (
    *((o, i, n) for o, i in SHAPES for n in (CELL.batch, VALIDATED)),  # forward
    *((o, CELL.batch, i) for o, i in SHAPES),  # gradients of weights
    *((i, o, CELL.batch) for o, i in SHAPES[1:]),  # gradients of hidden units
)
"""The matrix products (m, k, n) of a step of dense training with its share of the validation."""
STORAGE = {"ours": mlp.SPARSE_BELOW[CELL.algorithm], "dense": 0, "sparse": 2}
"""Density below which a layer is stored by its kept weights: as in training, never, always."""


def bench(device: str, out: Path, quick: bool = False) -> dict:
    """Time everything on a device (cpu, cuda), write the figures to `out` as JSON, return them.

    quick: a few steps, to see that it runs. BadInput for a device that is not there, or an `out` that is a folder.
    """
    check_device(device)
    if out.is_dir():
        raise BadInput(f"out {str(out)!r} is a folder: give the name of a file")
    gpu = device.startswith("cuda")
    name = torch.cuda.get_device_name(device) if gpu else processor()
    facts = {"device": name, "cores": os.cpu_count(), "torch": torch.__version__, "numba": numba.__version__}
    facts |= {"date": datetime.now(UTC).date().isoformat(), "quick": quick, "notes": " ".join(__doc__.split())}
    steps, rounds = (10, 1) if quick else (100, 9)
    found = facts | (on_gpu(steps, rounds, device) if gpu else on_cpu(steps, rounds))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.write_text(json.dumps(found, indent=1))
    temporary.replace(out)
    return found


def as_text(found: dict) -> str:
    """The figures as a short table for a terminal."""
    rows = pd.DataFrame(found["rows"]).to_string(index=False, float_format="{:.3g}".format)
    lines = [f"{name}: {value:.3g}" for name, value in found.get("whole", {}).items()]
    return "\n".join([rows, *lines]).replace("_", " ")


def on_cpu(steps: int, rounds: int) -> dict:
    """Our path in one process per core against the plain loop in one process, at its best number of threads.

    That number is chosen first, by its best of nine units at density 1: to a dense loop, all densities are one.
    """
    cores = os.cpu_count()
    counts = sorted({cores, *(2**i for i in range(cores.bit_length()))})
    threads = min(counts, key=lambda n: min(_seconds(plain, 0, steps, n) for _ in range(9)))
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in range(cores)]
        cases = {(s, level): (training, level, STORAGE[s], steps) for s in STORAGE for level in LEVELS}
        cases |= {("cube",): (products, ((1024, 1024, 1024),), 1), ("layers",): (products, PRODUCTS, steps)}
        cases = {name: partial(_together, pools, *work) for name, work in cases.items()}
        cases |= {("plain", level): partial(_seconds, plain, level, steps, threads) for level in LEVELS}
        cases["loader",] = partial(_seconds, plain, 0, steps, threads, loader=True)
        seconds, rounds = _medians(cases, rounds)
    ms = {case: 1000 * value / steps for case, value in seconds.items()}
    whole = {"plain_threads": threads, "ms_with_dataloader": ms["loader",]}
    whole |= {"times_faster_than_dataloader": ms["loader",] / ms["ours", 0]} | _against_the_machine(seconds, steps)
    named = {" ".join(map(str, case)): value for case, value in seconds.items()}
    return {"rounds": rounds, "rows": [_row(level, ms) for level in LEVELS], "whole": whole, "seconds": named}


def _row(level: int, ms: dict) -> dict:
    """Milliseconds per network-step at one density; on our side, of the machine with all its cores at work."""
    ours, other = ms["ours", level], ms["plain", level]
    row = {"level": level, "density": _mask(level).density, "ms": ours, "steps_per_second": 1000 / ours}
    row |= {"plain_ms": other, "times_faster": other / ours}
    return row | {"all_dense_ms": ms["dense", level], "all_sparse_ms": ms["sparse", level]}


def _against_the_machine(seconds: dict, steps: int) -> dict:
    """Rates of all cores together: dense training, counting the products that it needs, and products alone."""
    needed = steps * sum(2e-9 * prod(shape) for shape in PRODUCTS)
    cube, bare, ours = 2e-9 * 1024**3 / seconds["cube",], needed / seconds["layers",], needed / seconds["ours", 0]
    rates = {"gflops_1024_cubed": cube, "gflops_layer_shapes": bare, "gflops_training": ours}
    return rates | {"share_of_1024_cubed": ours / cube, "share_of_layer_shapes": ours / bare}


def on_gpu(steps: int, rounds: int, device: str) -> dict:
    """Populations on the autograd path against the plain loop, both on `device`."""
    cases = {R: partial(_seconds, population, R, 20 * steps, device) for R in POPULATIONS}
    seconds, rounds = _medians({**cases, "plain": partial(_seconds, plain, 0, steps, 1, device)}, rounds)
    ms, other = {R: 1000 * seconds[R] / (20 * steps * R) for R in cases}, 1000 * seconds["plain"] / steps
    rows = [{"networks": R, "ms": ms[R], "plain_ms": other, "times_faster": other / ms[R]} for R in cases]
    return {"rounds": rounds, "rows": rows, "seconds": {str(case): value for case, value in seconds.items()}}


# what is timed: each prepares a unit of work and returns it as a function


@cache
def training(level: int, below: float, steps: int):
    """Our path: one perceptron on one core; below: density under which a layer is stored by its kept weights."""
    _, images, labels, order, held_out = _task(steps)
    mask, done, rates = _mask(level), count(0, steps), np.full(steps, CELL.learning_rate)
    network = mlp.pack(mask.apply(MODEL.init(stream("init"))), mask, MODEL.prunable, below)
    blocks = mlp.blocks(images[held_out], labels[held_out])

    def unit():
        mlp.advance(network.index, *network.state, images, labels, order, next(done), rates, True, 0.0, 0.0)
        mlp.evaluate(network.index, network.value, *blocks, np.zeros(blocks[1].shape, bool))

    return unit


@cache
def plain(level: int, steps: int, threads: int, device: str = "cpu", loader: bool = False):
    """The baseline: batches from tensors in memory, or from a DataLoader that converts one image after the other."""
    pixels, *rest, held_out = _task(steps)
    x, y, order = (torch.from_numpy(array).to(device) for array in rest)
    layers = [nn.Linear(i, o) for o, i in SHAPES]
    module = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).to(device)
    masks = [torch.tensor(mask).to(x) for mask in _mask(level).values()]
    pruned = list(zip([layer.weight for layer in layers], masks, strict=True)) if level else []
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
            for weight, mask in pruned:
                weight.mul_(mask)
    with torch.no_grad():
        logits, labels = module(held_out[0]), held_out[1]
        return cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


@cache
def population(R: int, steps: int, device: str):
    """A whole short training of R networks, its start and its readings of the test set included."""
    pixels, _, labels, *_ = _task(steps // 20)
    x, y = torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(labels)
    dataset = data.Dataset(CELL.dataset, x, y, x[:100], y[:100], classes=10)
    cells = [CELL.but(replicate=r, steps=steps) for r in range(R)]
    start = [imp.initial(cell, MODEL) for cell in cells], [imp.dense_mask(MODEL)] * R

    def unit():
        with patch.object(data, "load", lambda _: dataset):
            train.train(cells, MODEL, *start, device, path="autograd")

    return unit


@cache
def products(shapes: tuple[tuple[int, int, int], ...], times: int):
    """Bare matrix products (m, k, n): [m, k] x [k, n]."""
    operands = [(torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)) for m, k, n in shapes]

    def unit():
        for _ in range(times):
            for a, b, out in operands:
                torch.mm(a, b, out=out)

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


@cache
def _mask(level: int):
    """A random mask with the ladder's counts at a level."""
    lottery = scores.random({name: MODEL.shapes[name] for name in MODEL.prunable}, stream("mask"))
    return prune.keep_top(lottery, imp.dense_mask(MODEL), imp.ladder(CELL.but(level=level), MODEL))


# how it is timed


def _medians(cases: dict, rounds: int) -> tuple[dict, int]:
    """Case -> median seconds over the rounds, after one that compiles and warms up; the number of rounds.

    A busy machine gets fewer of them than it should, but three at least.
    """
    seen, began = [], time.monotonic()
    for _ in tqdm(range(rounds + 1), unit="round", disable=None):
        seen.append({name: case() for name, case in cases.items()})
        if len(seen) > 3 and time.monotonic() - began > MOST_SECONDS:
            break
    return {name: statistics.median(times[name] for times in seen[1:]) for name in cases}, len(seen) - 1


def _together(pools, work, *arguments) -> float:
    """Seconds in which the machine does one unit when every core is at one, as in the engine `processes`."""
    running = [pool.submit(_on_one_core, work, *arguments) for pool in pools]
    return 1 / sum(1 / future.result() for future in running)


def _on_one_core(work, *arguments) -> float:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return _seconds(work, *arguments)


def _seconds(work, *arguments, **options) -> float:
    unit = work(*arguments, **options)
    began = time.perf_counter()
    unit()
    return time.perf_counter() - began
