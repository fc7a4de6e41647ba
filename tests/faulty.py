"""Computations that go wrong in chosen ways, for the tests of the engines: workers import this module.

A population is told apart by its first cell's replicate. Every call leaves a line in the log: replicate and level.
"""

import os
import signal
import time
from pathlib import Path

from tickets.errors import BadInput
from tickets.running.plan import DONE


def note(folder: Path, name: str, line: str) -> None:
    """Append a line to a file, in one write."""
    with (folder / name).open("a") as file:
        file.write(f"{line}\n")


def lines(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def wait_for(condition) -> None:
    """Return once `condition()` holds; AssertionError if it does not within ten minutes."""
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited ten minutes in vain")


def compute(folder: Path, ways: dict[int, str], cells, left: float) -> str:
    """Do what `ways` says for the replicate: die (always), die once, raise, refuse, hang; otherwise succeed."""
    cell = cells[0]
    way = ways.get(cell.replicate) if cell.level == 0 else None
    before = lines(folder, "log").count(f"{cell.replicate} {cell.level}")
    note(folder, "log", f"{cell.replicate} {cell.level}")
    if way == "die" or (way == "die once" and not before):
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "raise":
        return "Traceback: poison\n"
    if way == "refuse":
        wait_for(lambda: lines(folder, "hanging"))
        raise BadInput("wrong bytes")
    if way == "hang":
        note(folder, "hanging", str(os.getpid()))
        time.sleep(600)
    return DONE
