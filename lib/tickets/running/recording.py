"""Recording: finished local results go into the committed layer, and the masks that figures and other cells need."""

import io
import json
from zipfile import ZIP_LZMA, ZipFile

import numpy as np
from safetensors.numpy import load_file

from .. import chapters
from ..cells import Cell
from ..chapters.collection import digests
from ..files import write_atomically
from ..pruning.masks import LEVELS
from ..results.records import check_record, place, thin
from ..results.store import REWOUND, SMALL, Store, chain, deepest
from .travel import archive


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
    text = (json.dumps(found, separators=(",", ":")) + "\n" for found in sorted(lines.values(), key=place))
    write_atomically(store.recorded / f"{study}.jsonl", "".join(text))
    _record_masks(store, cells, main, {*store.records, *lines})
    known, committed = store.registrations(), Store(store.recorded, recorded=None)
    for name in {found["registration"] for found in lines.values()} & set(known):
        committed.register(known[name])
    digested = digests(Store(store.local, store.recorded))
    write_atomically(store.recorded / "masks.json", json.dumps(digested, indent=1) + "\n")
    for name in ("records", "chains"):  # read before
        store.__dict__.pop(name, None)
    return len(lines)


def _record_masks(store: Store, cells: list[Cell], main: Cell, recorded: set[str]) -> None:
    """When each chain's weights were pruned, from its deepest network; final weights and W_k too while unfinished.

    Only of chains of the main network, and of those from which some cell has yet to start.
    """
    tickets = [cell for cell in cells if cell.arm == "ticket" and cell.level and not cell.order]
    parents = [parent for cell in cells if cell.key() not in recorded for parent in cell.parents()]
    needed = {chain(parent) for parent in parents if parent.arm == "ticket" and parent.level}
    needed |= {chain(cell) for cell in tickets if chain(cell.but(replicate=0)) == chain(main)}
    file = lambda cell: store.beside(cell, "safetensors")  # noqa: E731
    there = [c for c in tickets if c.key() in recorded and (file(c).exists() or store.masks_file(c).exists())]
    there = [c for c in there if c.level >= store.chains.get(chain(c), (0,))[0]]  # another study may be further on
    last, kept = deepest(tickets), deepest(c for c in there if c.model in SMALL and chain(c) in needed)
    for cell in kept.values():  # before others go: it may take W_k from the file of one
        target, done = store.masks_file(cell), cell == last[chain(cell)]
        if file(cell).exists() and not (target.exists() and (done or store.unfinished(cell))):
            found = {name: a for name, a in load_file(file(cell)).items() if name.startswith(LEVELS) or not done}
            if cell.rewind and not done:
                found |= {REWOUND + name: array for name, array in (store.rewound(cell) or {}).items()}
            buffer = io.BytesIO()
            np.savez(buffer, **found)
            with ZipFile(buffer) as plain:  # packed anew: a tenth smaller than numpy would compress it
                write_atomically(target, archive({name: plain.read(name) for name in plain.namelist()}, ZIP_LZMA))
    for cell in set(tickets) - set(kept.values()):  # its chain has grown since, or nobody needs it any more
        store.masks_file(cell).unlink(missing_ok=True)
