"""Working: what a worker does with one population, from its parents' weights to its records."""

import os
import sys
import time
import traceback
from functools import cache
from math import inf

import torch
from threadpoolctl import threadpool_limits

from .. import chapters
from ..arms import ARMS
from ..cells import Cell
from ..data import sources
from ..errors import BadInput, MachineFault
from ..evidence import claims
from ..nets import models
from ..pruning import imp, masks
from ..results.provenance import fingerprint, name_of, provenance
from ..results.records import differences, record_of
from ..results.store import Store
from ..training.checkpoint import Checkpoint, Paused
from ..training.recorder import Outcome
from ..training.train import train
from . import faults
from .plan import AGAIN, DONE, PAUSED, WEIGHTS, Leaves, Population, lacking, left, missing_steps


def attempt(store: Store, device: str, leaves: Leaves, cells: Population, seconds: float = inf) -> str:
    """What a worker does with a population, for so many seconds at most; how it ended (see `engines.work`)."""
    if all(left(cell, store, leaves[cell]) for cell in cells):
        return DONE  # by another run, or by a worker that died after its work
    if any(lacking(cell, store) for cell in cells):
        return AGAIN
    try:
        compute(cells, store, device, leaves, time.monotonic() + seconds)
    except Paused:
        return PAUSED
    except (BadInput, MachineFault):
        raise
    except Exception as error:
        if said := faults.of_machine(error):
            raise MachineFault(said) from error
        return "".join(traceback.format_exception(error))
    return DONE


@cache
def _standing() -> dict[str, str]:
    """The hashes of all claims as they stand, once a process: every record keeps them."""
    return claims.hashes(chapters.registered())


def compute(cells: Population, store: Store, device: str, leaves: Leaves, deadline: float = inf) -> None:
    """Train or measure the cells of one population and store what they leave. Paused at the deadline."""
    began = time.perf_counter()
    settle(device)
    saves = sorted({step for cell in cells for step in missing_steps(cell, store, leaves[cell])})
    owner = {"cells": " ".join(cell.key() for cell in cells), "device": name_of(device), "torch": torch.__version__}
    owner |= {"source": fingerprint(), "saves": " ".join(map(str, saves))}  # a sitting not asked for one passes it by
    keep = Checkpoint(store.beside(cells[0], "part.safetensors"), owner, deadline)
    digest = store.register(_standing())
    with threadpool_limits(1 if device == "cpu" else None):
        model = models.build(cells[0].model, *sources.described(cells[0].dataset))
        if ARMS[cells[0].arm].measure:
            outcomes, path, starts = *_measure(cells, model, store, device), None
        else:
            starts = imp.starts(cells, model, store)
            outcomes, path = _train(cells, model, starts, store, device, leaves, keep, saves)
    seconds = (keep.seconds + time.perf_counter() - began) / len(cells)
    for i, (cell, outcome) in enumerate(zip(cells, outcomes, strict=True)):
        for step, weights in outcome.saved.items():
            store.put_rewound(cell, step, weights)
        if outcome.result:  # else trained again, only as far as its weights are wanted
            facts = provenance(device, path, len(cells), seconds, cell.precision)
            mask = starts[i].mask if starts and WEIGHTS in leaves[cell] else None
            _keep(cell, outcome, mask, facts, digest, store)
    keep.discard()


def settle(device: str) -> None:
    """What makes numbers repeat on a device, the same wherever something is trained, measured or timed.

    Libraries that bring threads of their own are loaded here, before their number is limited: numba loads SciPy's
    matrix products at its first call, and a library that comes later would use every core, and round otherwise.
    """
    import scipy.linalg.cython_blas  # noqa: F401, numba's

    if device == "cpu":
        torch.set_num_threads(1)
        # moments of weights that rarely get a gradient decay below 1e-38, where every product costs a trap:
        # training slows down two- to threefold. Flushed to zero they change nothing that rounds to a float.
        torch.set_flush_denormal(True)
    else:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it sums may come in another order
        # a cell says float32, and neither products nor convolutions would be
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        # a trunk trained again must be the trunk of its copies
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


def _train(cells: Population, model, starts, store: Store, device: str, leaves: Leaves, keep: Checkpoint, saves):
    """(outcomes, path). Dense networks that have their records and weights are trained no further than needed."""
    there = all(left(cell, store, leaves[cell] & {WEIGHTS}) for cell in cells)
    stop = max(saves) if there and saves else None
    return train(cells, model, starts, device, keep=None if stop else keep, saves=saves, stop=stop)


def _measure(cells: Population, model, store: Store, device: str):
    """(outcomes, path) of measurements of one kind."""
    found = [ARMS[cell.arm].measure(cell, model, store, device) for cell in cells]
    return [Outcome(scalars, curves, [], {}) for scalars, curves in found], "measured"


def _keep(cell: Cell, outcome: Outcome, mask: masks.Mask | None, facts: dict, digest: str, store: Store) -> None:
    """The record into the store and, with a mask, what others start from.

    The first record of a network that was trained again for its weights stays; differences show.
    """
    start, tensors = store.start_of(cell), None
    facts |= {"start": start} if start else {}
    record = record_of(cell, outcome.result, outcome.curves, outcome.wrong, facts, digest)
    if mask is not None:
        before = store.tensors(cell.ticket(cell.level - 1)) if cell.arm == "ticket" and cell.level else None
        tensors = masks.tensors(cell.level, mask, before, outcome.weights)
    if not (first := store.get(cell)):
        return store.put(record, tensors, start)
    if tensors:
        store.put_tensors(record["key"], tensors, start)
    for line in differences(first, record, "now"):
        print(f"trained again: {cell}: {line}; the first record stays", file=sys.stderr)
