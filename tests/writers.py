"""Writers that are killed while they write: a store must survive it. Run as a script, it prints what it found as JSON.

    python writers.py FOLDER KILLS atomic|naive

Every cell is put once. Then two writers at a time put the same cells again and again and get SIGKILL at a random
moment, until KILLS were killed and a third as many puts had ended. After each kill every cell must have a whole record
with its tensors. `naive` writes in place, piece by piece: the check has to find it out.
"""

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress

import numpy as np
from tickets.cells import Cell
from tickets.errors import BadInput
from tickets.results.records import record_of
from tickets.results.store import Store

CURVE = [i / 7 for i in range(2000)]


class Naive(Store):
    """A store that writes each file where it will stay."""

    def _write(self, key, suffix, content):
        path = self.beside(key, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as file:
            for start in range(0, len(content), 4096):
                file.write(content[start : start + 4096])


def parts(cell):
    """A record and its tensors, of some 80 kB each; both say which cell they belong to."""
    curves = {"step": CURVE, "validation_loss": CURVE}
    record = record_of(cell, {"mark": cell.replicate}, curves, [], {"date": "today"}, "none")
    return record, {"mark": np.full(20_000, cell.replicate, np.float32)}


WHOLE = {cell: parts(cell) for cell in (Cell(dataset="digits", replicate=r) for r in range(4))}


def write_forever(store, announce):
    """Put one cell after the other in a random order, and say so."""
    order = random.Random(os.getpid())
    while True:
        cell = order.choice(list(WHOLE))
        store.put(*WHOLE[cell])
        os.write(announce, b".")


def kill_a_pair(store, announce, moment):
    """Two writers at once, each killed after a time of its own, of the order of `moment` seconds."""
    writers = []
    for _ in range(2):
        if not (pid := os.fork()):
            write_forever(store, announce)
        writers.append(pid)
    for pid in writers:
        time.sleep(random.uniform(0, 3 * moment))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def state(store, cell):
    """whole, lost (no record, or not what was put), or unreadable (a reader would stumble)."""
    record, tensors = WHOLE[cell]
    try:
        same = store.get(cell) == record and (store.tensors(cell)["mark"] == tensors["mark"]).all()
    except BadInput:
        return "unreadable"
    except Exception:
        return "lost"
    return "whole" if same else "lost"


def main(folder, kills, kind):
    random.seed(0)
    store = {"atomic": Store, "naive": Naive}[kind](folder, recorded=None)
    began = time.perf_counter()
    for cell in WHOLE:
        store.put(*WHOLE[cell])
    moment = (time.perf_counter() - began) / len(WHOLE)
    read, announce = os.pipe()
    os.set_blocking(read, False)
    found, puts, rounds = {"whole": 0, "lost": 0, "unreadable": 0}, 0, 0
    while rounds < kills // 2 or (puts <= kills // 3 and rounds < 10 * kills):  # a slow machine takes more rounds
        kill_a_pair(store, announce, moment)
        rounds += 1
        for cell in WHOLE:
            found[state(store, cell)] += 1
        with suppress(BlockingIOError):  # nothing was put
            puts += len(os.read(read, 65_536))
    print(json.dumps({**found, "puts": puts, "rounds": rounds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
