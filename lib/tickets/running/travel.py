"""Results on their way between machines: `export` writes files of at most 15 MiB, `merge` takes them in.

A file is a zip archive with records.jsonl, registrations.json and, for networks that others start from,
tensors/KEY.safetensors and, for dense ones that others return to, rewound/KEY-STEP.safetensors: JSON and plain arrays,
no pickle. What comes in is checked first (`parcels`); keys are recomputed from the cells.
"""

import io
import json
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from safetensors.numpy import load_file, save

from ..cells import Cell
from ..errors import BadInput
from ..files import write_atomically
from ..pruning.masks import FINAL, KEPT, LEVELS
from ..results.records import differences
from ..results.store import LIGHT, Store, deepest
from .faults import forgive
from .parcels import MOST, Arrays, contents

OVERHEAD = 500
"""Bytes that a member takes beside its content, generously."""


# out


def export(path: Path, store: Store, cells: list[Cell], weights: bool = False, limit: int = MOST) -> list[str]:
    """Write the local results of `cells` to `path`, and what does not fit to PATH-2, PATH-3, ...; lines on what it did.

    Of chains of small networks the masks travel too, and the weights W_k that missing cells return to; with `weights`
    those of all networks, and all tensors of the networks that missing cells start from. Tensors larger than a file by
    themselves stay behind, and a line says so.
    """
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}")
    here = Store(store.local, recorded=None)
    records = {cell: record for cell in cells if (record := here.get(cell))}
    used = {record["registration"] for record in records.values()}
    head = json.dumps({name: hashes for name, hashes in sorted(store.registrations().items()) if name in used})
    tensors = _tensors(here, [cell for cell in cells if cell not in store], records, weights)
    limit -= len(head)
    lines, batches, room = [], [[]], limit - OVERHEAD
    for cell, record in records.items():
        text, own = json.dumps(record), tensors[cell]
        if (size := _size(text, own)) > limit:
            lines.append(f"{cell}: its tensors are too large for a file and stay behind")
            own, size = {}, _size(text, {})
        if batches[-1] and size > room:
            batches.append([])
            room = limit - OVERHEAD
        batches[-1].append((text, own))
        room -= size
    names = [path, *(path.parent / f"{path.stem}-{n}{path.suffix}" for n in range(2, len(batches) + 1))]
    files = dict(zip(names, batches, strict=True))
    if there := [target for target in files if target.exists()]:
        raise BadInput(f"{there[0]}: is there already; name a new file")
    for target, batch in files.items():
        members = {"registrations.json": head, "records.jsonl": "".join(f"{text}\n" for text, _ in batch)}
        for _, own in batch:
            members |= own
        write_atomically(target, archive(members))
        lines.append(f"{target}: {len(batch)} results")
    return lines


def _tensors(here: Store, missing: list[Cell], records, weights: bool) -> dict[Cell, dict[str, bytes]]:
    """Cell -> member -> bytes: masks of each chain's deepest network, all of a parent's; W_k of those that return."""
    there = [cell for cell in records if here.beside(cell, "safetensors").exists()]
    needed = {parent for cell in missing for parent in cell.parents()} if weights else set()
    last = set(deepest(c for c in there if c.arm == "ticket" and c.level and not c.order and c.model in LIGHT).values())
    found: dict[Cell, dict[str, bytes]] = defaultdict(dict)
    for cell in there:
        if cell in needed or cell in last:
            arrays = load_file(here.beside(cell, "safetensors"))
            some = {name: a for name, a in arrays.items() if cell in needed or name.startswith(LEVELS)}
            found[cell][f"tensors/{cell.key()}.safetensors"] = save(some)
    for cell in missing:
        if cell.rewind and (weights or cell.model in LIGHT):
            path = here.beside(trunk := cell.trunk(), f"{cell.rewind}.safetensors")
            if path.exists() and here.rewound(cell):
                found[trunk][f"rewound/{trunk.key()}-{cell.rewind}.safetensors"] = path.read_bytes()
    return found


def _size(text: str, tensors: dict[str, bytes]) -> int:
    """Bytes that a record and its tensors take in a file, at most."""
    return OVERHEAD + sum(len(zlib.compress(one)) + OVERHEAD for one in (text.encode(), *tensors.values()))


def archive(members: Mapping[str, str | bytes], method: int = ZIP_DEFLATED) -> bytes:
    """A zip archive of these members, name -> content: the same ones give the same bytes."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(ZipInfo(name), content, method)
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
    merged, disagree = Merged(), set()
    for path in paths:
        registrations, parcels = contents(path)
        for hashes in registrations.values():
            store.register(hashes)
        disagree |= {parcel[0] for parcel in parcels if not _take(store, merged, *parcel)}
        for cell, _, arrays, _ in parcels:
            _spread(store, cell, arrays, disagree)
    return merged


def _take(store: Store, merged: Merged, cell: Cell, record: dict, arrays: Arrays, rewound: dict[int, Arrays]) -> bool:
    """Take one result in; False where what is there says something else, and stays."""
    there = store.get(cell)
    if there and (lines := differences(there, record)):
        merged.conflicts.append("\n  ".join([f"{cell}: kept what was there", *lines]))
        return False
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
        forgive(store, [cell])
        merged.new += 1
    return True


def _spread(store: Store, cell: Cell, arrays: Arrays, disagree: set[Cell]) -> None:
    """Masks of a chain's deepest network are those of its others: give them to the ones that came without.

    Of a chain that disagrees with what is there, none are given.
    """
    if any(cell.ticket(level) in disagree for level in range(int(cell.level) + 1)):
        return
    levels = {name: array for name, array in arrays.items() if cell.arm == "ticket" and name.startswith(LEVELS)}
    for level in range(1, int(cell.level) if levels else 0):
        other = cell.ticket(level)
        if store.beside(other, "json").exists() and not store.beside(other, "safetensors").exists():
            cut = {name: np.where(array > level, np.uint8(KEPT), array) for name, array in levels.items()}
            store.put_tensors(other.key(), cut)
