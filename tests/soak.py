"""Two runs at a time on one store, killed again and again: `make soak`, and in small tests/running/test_soak.py.

    python tests/soak.py KILLS [SEED]

Both runs train the same cells and get SIGKILL at a random moment, until KILLS processes have been killed; when all
cells are done the store is emptied and a new round begins. Checkpoints are saved at every pause, so that kills meet
them too. After each pair of kills every record must be readable and no record that was there may be gone or changed;
after each round the table must be that of an undisturbed run to the bit. Prints what it found as JSON.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from tickets.cells import Cell
from tickets.errors import BadInput
from tickets.results.store import Store
from tickets.running.run import run
from tickets.training import checkpoint

NET = Cell(dataset="digits", steps=20)
CELLS = [
    cell.but(replicate=r)
    for r in range(4)
    for cell in (
        *(NET.but(level=level) for level in range(3)),
        NET.but(arm="one_shot", level=1.765),
        NET.but(arm="reinit", level=2, draw=1),
        NET.but(order=1),
        *(NET.but(level=level, rewind=10) for level in (1, 2)),
        NET.but(order=1, rewind=10),
        NET.but(arm="anatomy", level=2),
    )
]
BESIDE = ["seconds", "date"]
"""What may differ between two runs of the same cells."""


def table(store: Store) -> pd.DataFrame:
    return run(CELLS, "serial", store=store, train=False).drop(columns=BESIDE)


def kill_a_pair(folder: Path) -> int:
    """Start two runs of all cells, kill each after a random time; how many were killed before they had finished."""
    writers = []
    for _ in range(2):
        if not (pid := os.fork()):
            run(CELLS, "serial", store=Store(folder, recorded=None))
            os._exit(0)
        writers.append(pid)
    killed = 0
    for pid in writers:
        time.sleep(random.uniform(0, 0.4))
        os.kill(pid, signal.SIGKILL)
        killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
    return killed


def look(store: Store, before: dict[Cell, bytes], found: dict) -> dict[Cell, bytes]:
    """The results of every record that is there; counts those that are unreadable, gone or changed since `before`."""
    now = {}
    for cell in CELLS:
        try:
            if record := store.get(cell):
                now[cell] = json.dumps([record["result"], record["curves"]]).encode()
                found["looks"] += 1
        except BadInput:
            found["unreadable"] += 1
    found["lost"] += len(set(before) - set(now))
    found["changed"] += sum(now[cell] != content for cell, content in before.items() if cell in now)
    return now


def soak(kills: int, folder: Path) -> dict:
    """What was found; see the head of this file. `checkpoints`: how often one was there after a pair of kills."""
    found = dict.fromkeys(("kills", "rounds", "looks", "checkpoints", "unreadable", "lost", "changed", "different"), 0)
    undisturbed, store, before = (
        Store(folder / "undisturbed", recorded=None),
        Store(folder / "soaked", recorded=None),
        {},
    )
    run(CELLS, "serial", store=undisturbed)  # data and kernels are there before the forks, too
    expected = table(undisturbed)
    checkpoint.EVERY = 0
    while found["kills"] < kills or before:
        if found["kills"] < kills:
            found["kills"] += kill_a_pair(store.local)
        else:
            run(CELLS, "serial", store=store)  # the last round is finished in peace
        found["checkpoints"] += any(store.local.rglob("*.part.safetensors"))
        before = look(store, before, found)
        if len(before) == len(CELLS):
            found["rounds"] += 1
            found["different"] += not table(store).equals(expected)
            shutil.rmtree(store.local)
            before = {}
    return found


def main(kills: int, seed: int = 0) -> int:
    """Print what was found; 0 where nothing was wrong."""
    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(kills, Path(folder))
    print(json.dumps(found))
    return int(any(found[name] for name in ("unreadable", "lost", "changed", "different")))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
