"""Speed: our path against the plain PyTorch loop and against the machine itself, all in one run (`make bench`).

A unit of work is 100 steps of LeNet-300-100 (batch 60, Adam, float32) and one validation on 5,000 images. A round does
one unit of every case, so that a load that comes and goes meets all alike; figures are medians over rounds, and only
ratios within one run mean anything. Our side flushes denormal numbers, as training does; the plain loop keeps torch's
default, and is spared the denormal moments that slow it down on MNIST, where some pixels are dark in nearly every
image. Where all cores are at work, milliseconds are those of the machine for one step of one network.
"""

import json
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import product
from math import prod
from multiprocessing import get_context
from pathlib import Path

import numba
import pandas as pd
import torch
from tickets.errors import BadInput
from tickets.files import write_atomically
from tickets.results.provenance import ALGORITHM, processor
from tickets.running.run import check_device
from tickets.running.work import settle
from tqdm.std import tqdm

from . import gpu, images, parts, rival, workloads
from .workloads import STORAGE, WAYS, convolutions, plain, population, products, sums, training

LEVELS, WIDTHS, NETWORKS = (0, 3, 7, 10, 15, 21), (0.25, 0.5, 1, 2, 4), (1, 2, 4, 8, 16)
IMAGE_NETS = {"conv-2": 60, "resnet-20": 128}  # batch sizes
IMAGES = images.NETS
KEPT = (1, 0.7, 0.5, 0.168, 0.1, 0.036)
VECTOR = 2**26
MOST_SECONDS = 180
"""After so many no new round of a group of cases begins."""
MEMORY = {
    "nothing, libraries loaded": ("products", ((1, 1, 1),), 1),
    "images of MNIST": ("images", "steps"),
    "one dense network": ("training", 0, "ours", "steps"),
    "one network at 3.6 %": ("training", 15, "ours", "steps"),
    "plain loop": ("plain", 0, "steps", 1),
    "16 networks stacked": ("population", 16, "steps", "cpu", True),
}
"""Process -> the one unit of work that it does, and what that is given."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def bench(device: str, out: Path, quick: bool = False) -> dict:
    """Time everything on a device (cpu, cuda), write the figures to `out` as JSON, return them.

    In place of a device "parts", the parts of a step on a CPU, or "sparseprop", the layers of that library. quick: a
    few steps, to see that it runs. BadInput for a device that is not there, or an `out` that is a folder.
    """
    kind = device.split(":")[0]
    check_device("cpu" if kind in ("parts", "sparseprop") else device)
    if out.is_dir():
        raise BadInput(f"out {str(out)!r} is a folder: give the name of a file")
    name = torch.cuda.get_device_name(device) if kind == "cuda" else processor()
    facts = {"device": name, "cores": os.cpu_count(), "torch": torch.__version__, "numba": numba.__version__}
    facts |= {"algorithm": ALGORITHM, "date": datetime.now(UTC).date().isoformat()}
    facts |= {"quick": quick, "notes": " ".join(__doc__.split())}
    steps, rounds = (10, 1) if quick else (100, 9)
    timed = {"cpu": on_cpu, "parts": of_steps, "sparseprop": of_a_rival, "cuda": partial(on_gpu, device=device)}
    found = facts | timed[kind](steps, rounds)
    write_atomically(out, json.dumps(found, indent=1) + "\n")
    return found


def as_text(found: dict) -> str:
    """The figures as short tables for a terminal."""
    tables = [rows for rows in found.values() if isinstance(rows, list)]
    shown = [pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format) for rows in tables]
    lines = [f"{name}: {value:.3g}" for name, value in found.get("whole", {}).items()]
    return "\n\n".join([*shown, "\n".join(lines)]).replace("_", " ").strip()


def on_cpu(steps: int, rounds: int) -> dict:
    """Our path in one process per core against the plain loop in one process, at its best number of threads.

    That number is chosen first, by its best unit of a round each at density 1: to a dense loop, all densities are one.
    """
    cores = os.cpu_count()
    counts = sorted({cores, *(2**i for i in range(cores.bit_length()))})
    threads = min(counts, key=lambda n: min(_seconds(plain, 0, steps, n) for _ in range(rounds)))
    os.environ.update(dict.fromkeys(THREADS, "1"))
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in range(cores)]
        seconds = _medians(_perceptrons(pools, steps, threads), rounds)
        seconds |= _medians(_growth(pools, steps, threads), rounds)
        seconds |= _medians(_image_nets(pools, steps), max(1, rounds // 3))
        seconds |= _medians(_images(pools, steps), max(1, rounds // 3))
    return {
        "densities": [_at_density(level, seconds, steps) for level in LEVELS],
        "replicates": [_with_networks(R, seconds, steps, cores) for R in NETWORKS],
        "widths": [_at_width(width, seconds, steps) for width in WIDTHS],
        "images": [row for net in IMAGES for row in _at_densities(*net, seconds, steps)],
        "convolutions": [_of_net(name, seconds, steps) for name in IMAGE_NETS],
        "memory": _memory(steps),
        "whole": {"plain_threads": threads} | _whole(seconds, steps),
    }


def _perceptrons(pools, steps: int, threads: int) -> dict:
    """Every density under every storage, the two baselines, and the bare products of the machine."""
    cases = {("ours", s, level): (training, level, s, steps) for s in STORAGE for level in LEVELS}
    cases |= {("cube",): (products, ((1024, 1024, 1024),), 1), ("sum",): (sums, VECTOR)}
    cases["layers",] = (products, tuple(workloads.product_shapes()), steps)
    cases = {case: partial(_together, pools, *work) for case, work in cases.items()}
    cases |= {("plain", level): partial(_seconds, plain, level, steps, threads) for level in LEVELS}
    return cases | {("loader",): partial(_seconds, plain, 0, steps, threads, loader=True)}


def _growth(pools, steps: int, threads: int) -> dict:
    """More networks, one after the other or stacked; wider networks."""
    few = max(2, steps // 5)
    cases = {("alone",): partial(_together, pools[:1], training, 0, "ours", steps)}
    cases |= {("stacked", R): partial(_together, pools[:1], population, R, few, "cpu", True) for R in NETWORKS}
    for width in WIDTHS:
        for level in (0, 15):
            cases["width", level, width] = partial(_together, pools, training, level, "ours", few, width)
        cases["plain width", width] = partial(_seconds, plain, 0, few, threads, width=width)
    return cases


def _image_nets(pools, steps: int) -> dict:
    few = max(1, steps // 50)
    return {
        (name, way, R): partial(_together, pools[:1], convolutions, name, way, R, batch if steps > 10 else 2, few)
        for name, batch in IMAGE_NETS.items()
        for way in WAYS
        for R in (1, 2)
    }


def _images(pools, steps: int) -> dict:
    """Image networks at every density, and the plain loop in every layout, on one core."""
    cases = {}
    for (name, side), batch in IMAGES.items():
        few = _few(side, steps)
        for kept, storage in product(KEPT, images.STORAGE):
            work = images.training, name, side, batch, kept, few, storage
            cases["image", name, side, kept, storage] = partial(_together, pools[:1], *work)
        for layout in images.LAYOUTS:
            work = images.plain, name, side, batch, layout, few
            cases["plain image", name, side, layout] = partial(_together, pools[:1], *work)
    return cases


def _few(side: int, steps: int) -> int:
    return max(1, steps * 16 // (10 * side if side <= 16 else 50 * side))


def _at_densities(name: str, side: int, seconds: dict, steps: int) -> list[dict]:
    ms = 1000 / _few(side, steps)
    other = ms * min(seconds["plain image", name, side, layout] for layout in images.LAYOUTS)
    rows = []
    for kept in KEPT:
        ours, dense, sparse = (ms * seconds["image", name, side, kept, storage] for storage in images.STORAGE)
        row = {"network": name, "side": side, "batch": IMAGES[name, side], "density": kept, "ms": ours}
        row |= {"plain_ms": other, "times_faster": other / ours, "all_dense_ms": dense, "all_sparse_ms": sparse}
        rows.append(row)
    return rows


def _at_density(level: int, seconds: dict, steps: int) -> dict:
    ours, other = (1000 / steps * seconds[case] for case in (("ours", "ours", level), ("plain", level)))
    row = {"level": level, "density": workloads.mask(level).density, "ms": ours, "plain_ms": other}
    row |= {"times_faster": other / ours}
    row |= {f"all_{s}_ms": 1000 / steps * seconds["ours", s, level] for s in ("dense", "sparse")}
    row["gflops"] = 1e-6 * workloads.operations(level) / ours
    return row | {"operations_per_byte": workloads.operations(level) / workloads.traffic(level)}


def _with_networks(R: int, seconds: dict, steps: int, cores: int) -> dict:
    """processes: R networks share the cores, one each at a time; stacked: one process, no validation."""
    rounds, few = -(-R // cores), max(2, steps // 5)
    whole = 1000 / steps * (seconds["alone",] if R == 1 else rounds * cores * seconds["ours", "ours", 0])
    return {"networks": R, "processes_ms": whole / R, "stacked_ms": 1000 / few / R * seconds["stacked", R]}


def _at_width(width: float, seconds: dict, steps: int) -> dict:
    ms = 1000 / max(2, steps // 5)
    row = {"width": width, "weights": workloads.mask(0, width).kept, "ms": ms * seconds["width", 0, width]}
    return row | {"sparse_ms": ms * seconds["width", 15, width], "plain_ms": ms * seconds["plain width", width]}


def _of_net(name: str, seconds: dict, steps: int) -> dict:
    """Milliseconds per network-step of two networks together, each way of convolving, and of one network alone."""
    ms, batch = 1000 / max(1, steps // 50), IMAGE_NETS[name]
    ways = {f"{way.replace(' ', '_')}_ms": ms / 2 * seconds[name, way, 2] for way in WAYS}
    return {"network": name, "batch": batch, "alone_ms": ms * seconds[name, "loop", 1]} | ways


def _whole(seconds: dict, steps: int) -> dict:
    """Rates of all cores together: dense training, counting the products that it needs, and products alone."""
    needed = steps * sum(2e-9 * prod(shape) for shape in workloads.product_shapes())
    ours = seconds["ours", "ours", 0]
    rates = {"gflops_1024_cubed": 2e-9 * 1024**3 / seconds["cube",], "gflops_layer_shapes": needed / seconds["layers",]}
    rates |= {"gflops_training": needed / ours, "gigabytes_per_second": 12e-9 * VECTOR / seconds["sum",]}
    shares = {
        f"share_of_{name}": rates["gflops_training"] / rates[f"gflops_{name}"]
        for name in ("1024_cubed", "layer_shapes")
    }
    loader = {"ms_with_dataloader": 1000 / steps * seconds["loader",]}
    return rates | shares | loader | {"times_faster_than_dataloader": seconds["loader",] / ours}


def _memory(steps: int) -> list[dict]:
    """Peak memory of a fresh process that does nothing but one kind of training."""
    rows = []
    for name, case in MEMORY.items():
        case = [steps if given == "steps" else given for given in case]
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            rows.append({"process": name, "megabytes": pool.submit(workloads.peak, *case).result()})
    return rows


def on_gpu(steps: int, rounds: int, device: str) -> dict:
    """Populations on the path of a GPU against the plain loop, and what else that path could be."""
    units = gpu.cases(steps, device)
    seconds = _medians({case: partial(_seconds, unit) for case, unit in units.items()}, max(1, rounds // 2))
    return {"populations": gpu.rows(seconds, steps), "ways": gpu.ways(seconds, steps)}


def of_steps(steps: int, rounds: int) -> dict:
    """The parts of a step of image networks on one core, and what that core's matrix products reach."""
    seconds = _alone({("cube",): (products, ((1024, 1024, 1024),), 1)} | parts.cases(steps), max(1, rounds // 3))
    gflops = 2e-9 * 1024**3 / seconds["cube",]
    return {"parts": parts.rows(seconds, steps, gflops), "whole": {"gflops_1024_cubed": gflops}}


def of_a_rival(steps: int, rounds: int) -> dict:
    """Image networks on one core: ours, the plain loop, and that loop with the layers of SparseProp."""
    return {"rival": rival.rows(_alone(rival.cases(steps), max(1, rounds // 3)), steps)}


# how it is timed


def _alone(units: dict, rounds: int) -> dict:
    """Medians of units of work, case -> (function, arguments), in one process of one thread."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return _medians({case: partial(_together, [pool], *work) for case, work in units.items()}, rounds)


def _medians(cases: dict, rounds: int) -> dict:
    """Case -> median seconds over the rounds, after one that compiles and warms up.

    A busy machine gets fewer of them than it should, but three at least.
    """
    seen, began = [], time.monotonic()
    for _ in tqdm(range(rounds + 1), unit="round", disable=None):
        seen.append({name: case() for name, case in cases.items()})
        if len(seen) > 3 and time.monotonic() - began > MOST_SECONDS:
            break
    return {name: statistics.median(times[name] for times in seen[1:]) for name in cases}


def _together(pools, work, *arguments) -> float:
    """Seconds in which the machine does one unit when every one of some processes, a core each, is at one."""
    running = [pool.submit(_on_one_core, work, *arguments) for pool in pools]
    return 1 / sum(1 / future.result() for future in running)


def _on_one_core(work, *arguments) -> float:
    settle("cpu")
    return _seconds(work, *arguments)


def _seconds(work, *arguments, **options) -> float:
    """Seconds of one unit; on a GPU until it has done what it was told to."""
    unit = work(*arguments, **options)
    began = time.perf_counter()
    unit()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - began
