"""Results on their way between machines: `export` writes files of at most 15 MiB, `merge` takes them in.

A file is a zip archive with records.jsonl, registrations.json and, for networks that others start from,
tensors/KEY.safetensors and, for dense ones that others return to, rewound/KEY-STEP.safetensors: JSON and plain arrays,
no pickle. What comes in is checked first (`parcels`); keys are recomputed from the cells.
"""

import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from safetensors.numpy import load_file, save

from ..cells import Cell
from ..errors import BadInput
from ..files import write_atomically
from ..pruning.masks import FINAL, KEPT, LEVELS
from ..results.records import differences
from ..results.store import SMALL, Store, chain
from .parcels import MOST, Arrays, contents

OVERHEAD = 500
"""Bytes that a member takes beside its content, generously."""


# out


def export(path: Path, store: Store, cells: list[Cell], weights: bool = False, limit: int = MOST) -> list[str]:
    """Write the local results of `cells` to `path`, and what does not fit to PATH-2, PATH-3, ...; lines on what it did.

    Of chains of small networks the masks travel too, and the weights W_k that missing cells return to; with `weights`
    those of all networks, and all tensors of the tickets that missing cells start from. Tensors larger than a file by
    themselves stay behind, and a line says so.
    """
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}")
    here = Store(store.local, recorded=None)
    records = {cell: record for cell in cells if (record := here.get(cell))}
    registrations = store.registrations()
    used = sorted({record["registration"] for record in records.values()} & set(registrations))
    head = json.dumps({digest: registrations[digest] for digest in used})
    chosen, returned, lines = _tensors(store, cells, records, weights), _rewound(store, cells, weights), []
    parcels = []
    for cell, record in records.items():
        tensors = {f"tensors/{cell.key()}": chosen[cell]()} if cell in chosen else {}
        parcel = Parcel(json.dumps(record), tensors | returned.get(cell, {}))
        if parcel.size + len(head) > limit:
            lines.append(f"{cell}: its tensors are too large for a file and stay behind")
            parcel = replace(parcel, tensors={})
        parcels.append(parcel)
    files = {name: batch for batch, name in zip(_batches(parcels, limit - len(head)), _names(path), strict=False)}
    for target in files:
        if target.exists():
            raise BadInput(f"{target}: is there already; name a new file")
    for target, batch in files.items():
        write_atomically(target, _pack(head, batch))
        lines.append(f"{target}: {len(batch)} results")
    return lines


def _names(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))


def _tensors(store: Store, cells: list[Cell], records, weights: bool) -> dict[Cell, Callable[[], bytes]]:
    """The tensors that travel, packed when called for: masks of each chain's deepest network, or all of a parent's."""
    there = [cell for cell in records if cell.arm == "ticket" and store.beside(cell, "safetensors").exists()]
    needed = {parent for cell in cells if cell not in store for parent in cell.parents()} if weights else set()
    tickets = [cell for cell in there if cell.level and not cell.order and cell.model in SMALL]
    deepest = {chain(cell): cell for cell in sorted(tickets, key=lambda cell: cell.level)}

    def pack(cell: Cell) -> bytes:
        arrays = load_file(store.beside(cell, "safetensors"))
        return save({name: a for name, a in arrays.items() if cell in needed or name.startswith(LEVELS)})

    return {cell: partial(pack, cell) for cell in there if cell in needed or cell in deepest.values()}


def _rewound(store: Store, cells: list[Cell], weights: bool) -> dict[Cell, dict[str, bytes]]:
    """Dense network -> member -> the weights W_k that missing cells return to."""
    found: dict[Cell, dict[str, bytes]] = {}
    for cell in cells:
        if cell.rewind and cell not in store and (weights or cell.model in SMALL):
            trunk = cell.trunk()
            path = store.beside(trunk, f"{cell.rewind}.safetensors")
            if path.exists() and Store(store.local, recorded=None).rewound(cell):
                found.setdefault(trunk, {})[f"rewound/{trunk.key()}-{cell.rewind}"] = path.read_bytes()
    return found


@dataclass(frozen=True)
class Parcel:
    """A record as one line of text, and what travels with it: member -> the bytes of a safetensors file."""

    text: str
    tensors: dict[str, bytes]

    @cached_property
    def size(self) -> int:
        """Bytes that it takes in a file, at most."""
        packed = [len(zlib.compress(content)) + OVERHEAD for content in (self.text.encode(), *self.tensors.values())]
        return sum(packed) + OVERHEAD


def _batches(parcels: list[Parcel], limit: int) -> Iterator[list[Parcel]]:
    """The parcels in their order, cut where a file would become too large."""
    batch, filled = [], OVERHEAD
    for parcel in parcels:
        if batch and filled + parcel.size > limit:
            yield batch
            batch, filled = [], OVERHEAD
        batch.append(parcel)
        filled += parcel.size
    yield batch


def _pack(head: str, parcels: list[Parcel]) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as file:
        write = lambda name, content: file.writestr(ZipInfo(name), content, ZIP_DEFLATED)  # noqa: E731
        write("registrations.json", head)
        write("records.jsonl", "".join(f"{parcel.text}\n" for parcel in parcels))
        for name, content in (item for parcel in parcels for item in parcel.tensors.items()):
            write(f"{name}.safetensors", content)
    return buffer.getvalue()


# in


@dataclass
class Merged:
    """What a merge did: records that were new, those that agree with what was there, a paragraph on each other."""

    new: int = 0
    agree: int = 0
    conflicts: list[str] = field(default_factory=list)


def merge(paths: list[Path], store: Store) -> Merged:
    """Take files into the local layer: all of them or, where one is not right, none (BadInput says which and why).

    A record that is there already stays. Two records agree where device kind and torch version are the same and no
    number differs by more than `TOLERANCE` (precision belongs to the cell); otherwise the differences are reported.
    """
    for path in paths:
        contents(path)
    merged = Merged()
    for path in paths:
        registrations, parcels = contents(path)
        for digest, hashes in registrations.items():
            store.register(hashes, digest)
        for parcel in parcels:
            _take(store, merged, *parcel)
        for cell, _, arrays, _ in parcels:
            _spread(store, cell, arrays)
    return merged


def _take(store: Store, merged: Merged, cell: Cell, record: dict, arrays: Arrays, rewound: dict[int, Arrays]) -> None:
    there = store.get(cell)
    if there and (lines := differences(there, record)):
        merged.conflicts.append("\n  ".join([f"{cell}: kept what was there", *lines]))
        return
    brings = any(name.startswith(FINAL) for name in arrays)
    if arrays and not store.has_tensors(cell) and (brings or store.levels(cell) is None):
        store.put_tensors(cell.key(), arrays, record["provenance"].get("start", ""))
    for step, weights in rewound.items():
        if store.rewound(cell.but(order=1, rewind=step)) is None:
            store.put_rewound(cell, step, weights)
    if there:
        merged.agree += 1
    else:
        store.put(record)
        merged.new += 1


def _spread(store: Store, cell: Cell, arrays: Arrays) -> None:
    """Masks of a chain's deepest network are those of its others: give them to the ones that came without."""
    levels = {name: array for name, array in arrays.items() if name.startswith(LEVELS)}
    for level in range(1, int(cell.level) if levels else 0):
        other = cell.ticket(level)
        if store.beside(other, "json").exists() and not store.beside(other, "safetensors").exists():
            cut = {name: np.where(array > level, np.uint8(KEPT), array) for name, array in levels.items()}
            store.put_tensors(other.key(), cut)
