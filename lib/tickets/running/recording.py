"""Recording: finished local results go into the committed layer, and the masks that figures and other cells need."""

import io
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from .. import chapters
from ..cells import Cell
from ..files import write_atomically
from ..pruning.masks import FINAL, LEVELS
from ..results.records import check_record, place, thin
from ..results.store import REWOUND, SMALL, Store, chain


def record(store: Store, study: str, profile: str) -> int:
    """Take the local records of a study into the recorded layer; the number of records it then holds.

    What is recorded already, by this study or another, stays as it is. Of a chain of tickets the deepest masks are
    kept: they hold all others. Chains of the study's main network keep them for figures and other chapters, all others
    while one of the cells still needs them.
    """
    cells, main = chapters.cells(study, profile), chapters.main(study, profile)
    lines = {key: kept for key, kept in store.records.items() if kept["study"] == study}
    for cell in cells:
        path = store.beside(cell, "json")
        if cell.key() not in store.records and path.exists():
            found = check_record(path, cell.key())
            lines[cell.key()] = {**thin(found, **chapters.kept(study, cell)), "study": study}
    _write_lines(store.recorded / f"{study}.jsonl", sorted(lines.values(), key=place))
    recorded = {*store.records, *lines}
    _record_masks(store, cells, recorded)
    _drop_masks(store, cells, recorded, main)
    _record_registrations(store, {found["registration"] for found in lines.values()})
    del store.records
    store.__dict__.pop("chains", None)
    return len(lines)


def _record_masks(store: Store, cells: list[Cell], recorded: set[str]) -> None:
    """When each chain's weights were pruned, from its deepest network; final weights and W_k too while unfinished."""
    tickets = [cell for cell in cells if cell.arm == "ticket" and not cell.order]
    last = {chain(cell): cell.level for cell in sorted(tickets, key=lambda cell: cell.level)}
    kept = lambda cell: store.beside(cell, "safetensors").exists() or store.masks_file(cell).exists()  # noqa: E731
    there = [c for c in tickets if c.key() in recorded and c.model in SMALL and c.level and kept(c)]
    deepest = {chain(cell): cell for cell in sorted(there, key=lambda cell: cell.level)}
    for cell in sorted(there, key=lambda cell: cell != deepest[chain(cell)]):  # it may take W_k from the file before
        source, target = store.beside(cell, "safetensors"), store.masks_file(cell)
        if cell != deepest[chain(cell)]:
            target.unlink(missing_ok=True)  # the chain has grown since
            continue
        done = cell.level == last[chain(cell)]
        weights = any(name.startswith(FINAL) for name in np.load(target).files) if target.exists() else False
        if source.exists() and (not target.exists() or not (done or weights)):
            found = {name: a for name, a in load_file(source).items() if name.startswith(LEVELS) or not done}
            if cell.rewind and not done:
                found |= {REWOUND + name: array for name, array in (store.rewound(cell) or {}).items()}
            write_atomically(target, _compressed(found))


def _drop_masks(store: Store, cells: list[Cell], recorded: set[str], main: Cell) -> None:
    """Remove the masks of chains other than the main network's from which no cell has yet to start."""
    needed = {chain(parent) for cell in cells if cell.key() not in recorded for parent in cell.parents()}
    for cell in cells:
        if (
            cell.arm == "ticket"
            and cell.level
            and chain(cell) not in needed
            and chain(cell.but(replicate=0)) != chain(main)
        ):
            store.masks_file(cell).unlink(missing_ok=True)


def _record_registrations(store: Store, digests: set[str]) -> None:
    for name, hashes in store.registrations().items():
        if name in digests:
            text = json.dumps(hashes, indent=1, sort_keys=True) + "\n"
            write_atomically(store.recorded / "registrations" / f"{name}.json", text)


def _compressed(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _write_lines(path: Path, records: list[dict]) -> None:
    text = "".join(json.dumps(found, separators=(",", ":")) + "\n" for found in records)
    write_atomically(path, text)
