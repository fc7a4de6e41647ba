"""Running cells: what is missing is trained, once, and put into the store.

`run` is the only way to compute. It adds the networks that missing cells start from, groups cells that can be trained
together, and hands the groups to an engine; durability lives in the store, so any run may be killed, repeated or split.
"""

import re
import sys
import time
import traceback
from contextlib import closing
from functools import partial
from math import inf

from . import engines, faults, imp
from .cells import MEASUREMENTS, PULLED, Cell, unseeded
from .engines import Population
from .errors import BadInput
from .provenance import fingerprint, provenance
from .records import differences, record_of
from .store import Store


def run(
    cells, engine="processes", device="cpu", store=None, train=True, minutes=None, shard="1/1", workers=None, tell=None,
    retry_failed=False, say=None,
):  # fmt: skip
    """The tidy table of `cells`, after training what the store lacks (train=False: gaps stay gaps).

    engine: serial, processes (one worker per core, one thread each), dask (a cluster on this machine), dask:ADDRESS or
    dask:FILE (of a scheduler); minutes: after that long start nothing new, and stop what is in flight at its next
    checkpoint; shard "k/n": only the k-th of n parts, for job arrays; tell: called with (done, all, seconds) after each
    population; say: called with the lines on files that were set aside, on cells left out for want of ImageNet, and on
    populations that failed, in this run or before (default: printed); only retry_failed tries the latter again.
    BadInput for an unknown engine or a device that is not there; OSError where the disk is full.
    """
    cells, store = list(cells), store or Store()
    engines.check(engine)
    if train:
        check_device(device, remote=engine.startswith("dask:"))
        began = time.monotonic()
        faults.sweep(store)
        mine, say = closure(in_shard(cells, shard)), say or partial(print, file=sys.stderr)
        faults.set_aside(store, mine, say)
        todo = plan(cells, store, device, shard)
        held = set() if engine.startswith("dask:") else faults.without_data(todo, say)
        if not retry_failed:
            held |= {group for group in todo if any(faults.failure(store, cell) for cell in group)}
        deadline = inf if minutes is None else began + 60 * minutes
        job = partial(attempt, store, device, _wanted(todo))
        gpu = device.startswith("cuda")
        with closing(engines.work(engine, todo, job, held, deadline, workers, gpu)) as outcomes:
            done = 0
            for group, outcome in outcomes:
                if outcome == engines.DONE:
                    faults.forgive(store, group)
                elif outcome != engines.PAUSED:
                    faults.fail(store, group, outcome)
                done += outcome == engines.DONE
                if tell:
                    tell(done, len(todo), time.monotonic() - began)
        for line in faults.report(store, mine):
            say(line)
    return store.table(cells)


def plan(cells, store: Store, device="cpu", shard="1/1") -> list[Population]:
    """The populations that must be trained, parents before children, otherwise in the order of `cells`.

    Populations are cut from all cells of the shard, then those with nothing missing are dropped: what is trained
    together never depends on what happens to be there already.
    """
    cells, needed = in_shard(cells, shard), {}
    for cell in cells:
        if cell not in store:
            _require(cell, store, needed)
    groups = populations(closure(cells), device)
    return [group for group in groups if any(cell in needed for cell in group)]


def _require(cell: Cell, store: Store, needed: dict) -> None:
    if cell in needed:
        return
    for parent in imp.lacking(cell, store):
        _require(parent, store, needed)
    needed[cell] = None


def closure(cells) -> list[Cell]:
    """`cells` with their ancestors, each before its children, in the order of `cells`."""
    found: dict[Cell, None] = {}

    def visit(cell: Cell) -> None:
        if cell not in found:
            for parent in imp.parents(cell):
                visit(parent)
            found[cell] = None

    for cell in cells:
        visit(cell)
    return list(found)


def populations(cells, device="cpu") -> list[Population]:
    """Cut cells (parents first) into groups trained together: alike but for seeds, arm and mask, and equally deep.

    The size is a function of network and device: on a CPU stacking gains nothing for these networks.
    """
    depth: dict[Cell, int] = {}
    groups: dict[tuple, list[Cell]] = {}
    for cell in cells:
        depth[cell] = 1 + max((depth[parent] for parent in imp.parents(cell)), default=-1)
        kind = cell.arm if cell.arm in MEASUREMENTS else "pulled" if cell.arm in PULLED else "network"
        groups.setdefault((unseeded(cell), depth[cell], cell.rewind, imp.first_step(cell), kind), []).append(cell)
    size = lambda cell: population_size(cell.model, device)  # noqa: E731
    cut = [tuple(g[i : i + size(g[0])]) for g in groups.values() for i in range(0, len(g), size(g[0]))]
    return _parents_first(cut, {cell: i for i, cell in enumerate(cells)})


def _parents_first(groups: list[Population], place: dict[Cell, int]) -> list[Population]:
    """Groups in the order of their first cells, each after the groups that its cells start from."""
    home = {cell: group for group in groups for cell in group}
    ordered: dict[Population, None] = {}

    def add(group: Population) -> None:
        if group not in ordered:
            for cell in group:
                for parent in imp.parents(cell):
                    add(home[parent])
            ordered[group] = None

    for group in sorted(groups, key=lambda group: place[group[0]]):
        add(group)
    return list(ordered)


def population_size(model: str, device) -> int:
    """Networks trained together on a device."""
    if not str(device).startswith("cuda"):
        return 1
    return {"lenet-300-100": 60, "vgg-16": 5, "vgg-19": 5, "resnet-50": 1}.get(model, 10)


def in_shard(cells, text: str) -> list[Cell]:
    """The k-th of n parts for the text "k/n": whole replicates of an experiment, as their networks need each other."""
    try:
        part, parts = map(int, text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 1 <= part <= parts:
        raise BadInput(f"shard {text!r}: give k/n with 1 <= k <= n")
    blocks = {block: i for i, block in enumerate(dict.fromkeys((unseeded(cell), cell.replicate) for cell in cells))}
    return [cell for cell in cells if blocks[unseeded(cell), cell.replicate] % parts == part - 1]


def check_device(device: str, remote: bool = False) -> None:
    """BadInput where the device is unknown, or not there (`remote` workers answer for themselves)."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise BadInput(f"unknown device {device!r}: choose from cpu, cuda, cuda:0, cuda:1, ...")
    if device.startswith("cuda") and not remote:
        import torch

        if not torch.cuda.is_available():
            raise BadInput(f"device {device!r}: no GPU is available to torch here; use cpu")


# one population


def attempt(store: Store, device: str, wanted: set[Cell], cells: Population, left: float = inf) -> str:
    """What a worker does with a population, for `left` seconds at most; how it ended (see `engines.work`)."""
    from .checkpoint import Paused

    if all(cell in store and (store.has_tensors(cell) or not _leaves(cell, wanted)) for cell in cells):
        return engines.DONE  # by another run, or by a worker that died after its work
    try:
        compute(cells, store, device, wanted, time.monotonic() + left)
    except Paused:
        return engines.PAUSED
    except Exception as error:
        if isinstance(error, BadInput) or faults.is_full(error):
            raise
        return "".join(traceback.format_exception(error))
    return engines.DONE


def _wanted(todo: list[Population]) -> set[Cell]:
    """The networks, tickets aside, that some other cell of the plan starts from, or measures."""
    return {parent for group in todo for cell in group for parent in imp.parents(cell) if parent.arm != "ticket"}


def _leaves(cell: Cell, wanted) -> bool:
    """Whether a cell leaves tensors: every ticket does, and what the plan has a use for."""
    return cell.arm == "ticket" or cell in wanted


def compute(cells: Population, store: Store, device: str = "cpu", wanted=frozenset(), deadline: float = inf) -> None:
    """Train or measure the cells of one population and store what they leave; tickets and `wanted` ones leave tensors.

    Paused (see `checkpoint`) at the deadline.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from . import data, models, train
    from .checkpoint import Checkpoint
    from .registration import register

    began = time.perf_counter()
    owner = {"cells": " ".join(cell.key() for cell in cells), "device": device.partition(":")[0]}
    owner |= {"torch": torch.__version__, "source": fingerprint()}
    keep = Checkpoint(store.beside(cells[0], "part.safetensors"), owner, deadline)
    digest = register(store)
    with threadpool_limits(1 if device == "cpu" else None):
        if device == "cpu":
            torch.set_num_threads(1)
            # moments of weights that rarely get a gradient decay below 1e-38, where every product costs a trap:
            # training slows down two- to threefold. Flushed to zero they change nothing that rounds to a float.
            torch.set_flush_denormal(True)
        else:
            torch.backends.cudnn.allow_tf32 = False  # a cell says float32, and convolutions would not be
            torch.backends.cudnn.deterministic = True  # a trunk trained again must be the trunk of its copies
        dataset = data.load(cells[0].dataset)
        model = models.build(cells[0].model, dataset.shape, dataset.classes)
        if cells[0].arm in MEASUREMENTS:
            outcomes, path, starts = *_measure(cells, model, dataset, store, device), None
        else:
            starts = imp.starts(cells, model, store, device)
            weights, masks = zip(*starts, strict=True)
            first, goals = imp.first_step(cells[0]), imp.goals(cells, store)
            outcomes, path = train.train(cells, model, weights, masks, device, start=first, keep=keep, goals=goals)
    seconds = (keep.seconds + time.perf_counter() - began) / len(cells)
    for i, (cell, outcome) in enumerate(zip(cells, outcomes, strict=True)):
        facts = provenance(device, path, len(cells), seconds, cell.precision)
        record = record_of(cell, outcome.result, outcome.curves, outcome.wrong, facts, digest)
        leaves = starts and _leaves(cell, wanted)
        _keep(cell, record, _tensors(cell, starts[i][1], outcome, store) if leaves else None, store)
    keep.discard()


def _keep(cell: Cell, record: dict, tensors: dict | None, store: Store) -> None:
    """Into the store. The first record of a network that was trained again for its weights stays; differences show."""
    if first := store.get(cell):
        if tensors:
            store.put_tensors(record["key"], tensors)
        for line in differences(first, record, "now"):
            print(f"trained again: {faults.label(cell)}: {line}; the first record stays", file=sys.stderr)
    else:
        store.put(record, tensors)


def _tensors(cell: Cell, mask, outcome, store: Store) -> dict:
    before = store.tensors(imp.parents(cell)[0]) if cell.arm == "ticket" and cell.level else None
    return imp.tensors(cell, mask, before, outcome.weights)


def _measure(cells: Population, model, dataset, store: Store, device: str):
    """(outcomes, path) of measurements of one kind."""
    from . import connect, recorder

    if cells[0].arm == "anatomy":
        found, path = [_anatomy(cell, model, dataset, store) for cell in cells], "numpy"
    else:
        trunks, path = imp.rewound(cells, model, device, store), "mixtures"
        found = [connect.measure(cell, model, store, w, device) for cell, w in zip(cells, trunks, strict=True)]
    return [recorder.Outcome(scalars, curves, [], {}) for scalars, curves in found], path


def _anatomy(cell: Cell, model, dataset, store: Store):
    from . import measure

    second, mask = store.tensors(imp.parents(cell)[0]), imp.ticket_mask(cell, model, store)
    lit = (dataset.train_images.flatten(1) > 0).any(0).numpy()
    return measure.anatomy(cell, mask, imp.initial(cell, model), imp.final(second), lit)
