"""What can go wrong with the files of a store, and with a population: named, kept, and never in the way of the rest."""

import json
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..cells import Cell
from ..errors import BadInput
from ..files import write_atomically
from ..pruning.masks import FINAL, LEVELS
from ..results.records import check_record
from ..results.store import Store
from .plan import lacking

REFUSED = ("cuda error", "invalid device", "nvidia driver", "cuda gpus", "with cuda", "allocate memory", "cannot cache")
"""What a device, a memory or a compiler's cache that gives up is told by, in small letters."""


def of_machine(error: BaseException) -> str:
    """One line on what is wrong with this machine, if that is why something was raised; empty where it is not.

    What the system or a device refuses is no failure of a network: disks, files, memories, compilers' caches.
    """
    reason = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "out of memory" in reason:
        return f"out of memory: {reason[:200] or 'of this machine'}"
    if isinstance(error, subprocess.CalledProcessError):
        return f"compiling failed: {((error.stderr or '').strip() or reason).splitlines()[-1][:200]}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else reason
    told = isinstance(error, (RuntimeError, AssertionError)) and any(said in reason.lower() for said in REFUSED)
    return reason[:200] if told else ""


# populations that fail


def fail(store: Store, group, text: str) -> None:
    """Keep why a population failed, for each of its cells; it is tried again only on request."""
    for cell in group:
        attempts = (failure(store, cell) or {"attempts": 0})["attempts"] + 1
        record = {"cell": cell.to_dict(), "attempts": attempts, "traceback": text}
        write_atomically(store.beside(cell, "error.json"), json.dumps(record, indent=1))


def failure(store: Store, cell: Cell) -> dict | None:
    """Why a cell failed: its number of attempts and the traceback of the last; None where it did not."""
    path = store.beside(cell, "error.json")
    try:
        found = json.loads(path.read_text())
        return {"attempts": int(found["attempts"]), "traceback": str(found["traceback"])}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        return {"attempts": 0, "traceback": f"{path.name} is not readable"}


def forgive(store: Store, group) -> None:
    """Forget the failures of a population that has been computed since."""
    for cell in group:
        store.beside(cell, "error.json").unlink(missing_ok=True)


def failed(store: Store, cells: list[Cell]) -> dict[Cell, dict]:
    """The cells that failed, with their failures; one that is recorded, when it was trained again for its weights."""
    return {cell: why for cell in cells if (why := failure(store, cell))}


def report(store: Store, cells: list[Cell]) -> list[str]:
    """Lines on every one of `cells` (parents first) that failed, with its traceback, and on what waits for it."""
    if not (failures := failed(store, cells)):
        return []
    lines, lost = [], set(failures)
    for cell, why in failures.items():
        lines += [f"failed {why['attempts']}x: {cell}", *why["traceback"].rstrip().splitlines()]
    for cell in cells:
        if lost.intersection(lacking(cell, store)):
            lost.add(cell)
    if waiting := [cell for cell in cells if cell in lost and cell not in failures and cell not in store]:
        lines += [f"not started, as they need a failed one: {len(waiting)} cells", *map(str, waiting)]
    return [*lines, "--retry-failed tries them again"]


def without_data(todo, say) -> set:
    """The populations of `todo` whose images must be put in place by hand and are not; says so in one line."""
    if lost := {group for group in todo if group[0].dataset == "imagenet"}:
        from ..data import sources  # brings torch

        try:
            sources.load("imagenet")
            return set()
        except BadInput as error:
            say(f"{sum(map(len, lost))} cells are left out. {error}")
    return lost


# files that are not right


def set_aside(store: Store, cells: list[Cell], say) -> None:
    """Move local files of `cells` that are no results of theirs into the folder set-aside, and say so.

    A record that is unreadable, foreign or of another schema; tensors that are cut off or no network's. Whatever has no
    record is then trained as if it had never been there. Tensors without their record count as unfinished anyway.
    """
    for cell in cells:
        for suffix, look in (("json", check_record), ("safetensors", check_tensors)):
            path = store.beside(cell, suffix)
            if not path.exists():
                continue
            try:
                look(path, cell.key())
            except (BadInput, OSError) as error:
                target = store.local / "set-aside" / f"{path.name}.{uuid.uuid4().hex[:8]}"
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # another run was faster, and has said it
                    path.replace(target)
                    say(f"{error}: set aside as {target.parent.name}/{target.name}, to be trained again")


def check_tensors(path: Path, key: str) -> None:
    """BadInput naming a file that is not what a network leaves for others; reads its header only."""
    try:
        with safe_open(path, framework="np") as file:
            names = list(file.keys())
    except SafetensorError as error:
        raise BadInput(f"{path.name}: not readable ({str(error).splitlines()[0]})") from error
    if unknown := [name for name in names if not name.startswith((LEVELS, FINAL))]:
        raise BadInput(f"{path.name}: tensors of another kind ({unknown[0][:40]})")


def sweep(store: Store) -> None:
    """Remove what killed writers left a day ago or longer: temporary files, checkpoints beside a record."""
    for path in [*store.local.glob("*/.*"), *store.local.glob("??/*.part.safetensors")]:
        record = path.with_name(f"{path.name.partition('.')[0]}.json")  # of the first cell of a checkpoint
        with suppress(FileNotFoundError):
            if (path.name.startswith(".") or record.exists()) and time.time() - path.stat().st_mtime > 24 * 3600:
                path.unlink()
