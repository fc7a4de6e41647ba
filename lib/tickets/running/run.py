"""Running cells: what is missing is trained, once, and put into the store.

`run` is the only way to compute. It adds the networks that missing cells start from, groups cells that can be trained
together, and hands the groups to an engine; durability lives in the store, so any run may be killed, repeated or split.
"""

import os
import re
import sys
import time
from contextlib import closing
from functools import partial
from math import inf

from tqdm.std import tqdm

from ..errors import BadInput, MachineFault
from ..results.store import Store
from . import engines, faults
from .plan import AGAIN, DONE, PAUSED, closure, in_shard, lacking, leaves, plan, wanted

SITTINGS = 2
"""Times that a run plans: again where the weights at a rewind step, trained again, came out as others."""
PLAIN = "TICKETS_PLAIN_PROGRESS"
"""Set where a notebook is executed and nobody watches it."""
OFTEN = 30
"""Seconds between two plain lines."""


def run(
    cells, engine="processes", device="cpu", store=None, train=True, minutes=None, shard="1/1", workers=None, tell=None,
    retry_failed=False, say=None,
):  # fmt: skip
    """The tidy table of `cells`, after training what the store lacks (train=False: gaps stay gaps).

    engine: serial, processes (one worker per core, one thread each), dask (a cluster on this machine), dask:ADDRESS or
    dask:FILE (of a scheduler). minutes: after that long start nothing new, and stop what is in flight at its next
    checkpoint. shard "k/n": only the k-th of n parts, for job arrays. tell: called with (done, all, seconds) after each
    population (default: `Progress`). say: called with the lines on files that were set aside, on cells left
    out for want of ImageNet, and on what failed, now or before (default: printed); only retry_failed tries that again.
    BadInput for an unknown engine or a device that is not there; MachineFault where a disk or a device gives up.
    """
    cells, store = list(cells), store or Store()
    engines.check(engine, workers)
    if train:
        remote, gpu = engine.startswith("dask:"), device.startswith("cuda")
        check_device(device, remote)
        began, say, tell = time.monotonic(), say or partial(print, file=sys.stderr), tell or Progress()
        deadline = inf if minutes is None else began + 60 * minutes
        faults.sweep(store)
        mine = closure(in_shard(cells, shard))
        faults.set_aside(store, mine, say)
        from .work import attempt  # brings torch, which whoever only reads records does without

        for _ in range(SITTINGS):
            todo = plan(cells, store, device, shard)
            held = set() if remote else faults.without_data(todo, say)
            if not retry_failed:
                held |= {group for group in todo if any(faults.failure(store, cell) for cell in group)}
            compute = partial(attempt, store, device, wanted(leaves(mine), todo, store))
            waits_for = {cell: lacking(cell, store) for group in todo for cell in group}.__getitem__
            outcomes = engines.work(engine, todo, compute, held, deadline, workers, gpu, waits_for)
            if not _settled(store, outcomes, tell, len(todo), began):
                break
        for line in faults.report(store, mine):
            say(line)
    return store.table(cells)


def _settled(store: Store, outcomes, tell, total: int, began: float) -> bool:
    """Note how populations end; whether some of them have to be planned again."""
    done, again = 0, False
    with closing(outcomes):
        for group, outcome in outcomes:
            if outcome == DONE:
                if lost := [cell for cell in group if cell not in store]:
                    where = f"{store.local}: do all workers see this folder?"
                    raise MachineFault(f"{lost[0]} is computed, and not in {where}")
                faults.forgive(store, group)
            elif outcome not in (PAUSED, AGAIN):
                faults.fail(store, group, outcome)
            done, again = done + (outcome == DONE), again or outcome == AGAIN
            tell(done, total, time.monotonic() - began)
    return again


def check_device(device: str, remote: bool = False) -> None:
    """BadInput where the device is unknown, or not there (`remote` workers answer for themselves)."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise BadInput(f"unknown device {device!r}: choose from cpu, cuda, cuda:0, cuda:1, ...")
    if device.startswith("cuda") and not remote:
        import torch  # which whoever only reads records does without

        if not torch.cuda.is_available():
            raise BadInput(f"device {device!r}: no GPU is available to torch here; use cpu")
        if int(device.partition(":")[2] or 0) >= (count := torch.cuda.device_count()):
            raise BadInput(f"device {device!r}: there are {count} here, cuda:0 to cuda:{count - 1}")


class Progress:
    """How far a run is, on stderr: a bar with rate and time left where a person watches, else a line now and then."""

    def __init__(self):
        self.bar, self.told = None, -1.0
        self.watched = sys.stderr.isatty() or ("ipykernel" in sys.modules and PLAIN not in os.environ)

    def __call__(self, done: int, total: int, seconds: float) -> None:
        if self.watched:
            self.bar = self.bar or tqdm(total=total, unit="population", smoothing=0.1)
            self.bar.total = total  # which a second sitting changes
            self.bar.update(done - self.bar.n)
            if done == total:
                self.bar.close()
        elif done == total or seconds - self.told > OFTEN:
            self.told = seconds
            rest = f", {60 * done / seconds:.3g} a minute, {(total - done) * seconds / done:.0f} s left" if done else ""
            print(f"{done} of {total} populations, {seconds:.0f} s{rest}", file=sys.stderr, flush=True)
