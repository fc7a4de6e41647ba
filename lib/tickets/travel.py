"""Results on their way between machines: `export` writes files of at most 15 MiB, `merge` takes them in.

A file is a zip archive with records.jsonl, registrations.json and, for networks that others start from,
tensors/KEY.safetensors: JSON and plain arrays, no pickle. Nothing of a file is written before all of it has been
checked, and no name in it becomes a path: keys are recomputed from the cells.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, load_file, save

from . import imp
from .cells import Cell
from .errors import BadInput
from .faults import label
from .masks import KEPT
from .records import differences, parse
from .registration import digest_of
from .store import LEVELS, MASKED, Store, chain, write_atomically

MOST = 15 * 2**20
"""Bytes of a file."""
OVERHEAD = 500
"""Bytes that a member takes beside its content, generously."""
MOST_UNPACKED = 512 * 2**20
"""Bytes that a file may unpack to: what is larger was not written by `export`."""
MEMBER = re.compile(r"records\.jsonl|registrations\.json|tensors/([0-9a-f]{24})\.safetensors")
Arrays = dict[str, np.ndarray]
NAME, DIGEST = re.compile(r"\w{1,60}", re.ASCII), re.compile(r"[0-9a-f]{12}")


# out


def export(path: Path, store: Store, cells: list[Cell], weights: bool = False, limit: int = MOST) -> list[str]:
    """Write the local results of `cells` to `path`, and what does not fit to PATH-2, PATH-3, ...; lines on what it did.

    Of chains of small networks the masks travel too; with `weights` also all tensors of the tickets that missing cells
    start from. Tensors larger than a file by themselves stay behind, and a line says so.
    """
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}")
    here = Store(store.local, recorded=None)
    records = {cell: record for cell in cells if (record := here.get(cell))}
    registrations = store.registrations()
    used = sorted({record["registration"] for record in records.values()} & set(registrations))
    head = json.dumps({digest: registrations[digest] for digest in used})
    chosen, lines = _tensors(store, cells, records, weights), []
    parcels = []
    for cell, record in records.items():
        parcel = Parcel(cell.key(), json.dumps(record), chosen[cell]() if cell in chosen else b"")
        if parcel.size + len(head) > limit:
            lines.append(f"{label(cell)}: its tensors are too large for a file and stay behind")
            parcel = replace(parcel, tensors=b"")
        parcels.append(parcel)
    files = {name: batch for batch, name in zip(_batches(parcels, limit - len(head)), _names(path), strict=False)}
    for target in files:
        if target.exists():
            raise BadInput(f"{target}: is there already; name a new file")
    for target, batch in files.items():
        write_atomically(target, lambda temporary, batch=batch: _pack(temporary, head, batch))
        lines.append(f"{target}: {len(batch)} results")
    return lines


def _names(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))


def _tensors(store: Store, cells: list[Cell], records, weights: bool) -> dict[Cell, Callable[[], bytes]]:
    """The tensors that travel, packed when called for: masks of each chain's deepest network, or all of a parent's."""
    there = [cell for cell in records if cell.arm == "ticket" and store.beside(cell, "safetensors").exists()]
    needed = {parent for cell in cells if cell not in store for parent in imp.parents(cell)} if weights else set()
    tickets = [cell for cell in there if cell.level and not cell.order and cell.model in MASKED]
    deepest = {chain(cell): cell for cell in sorted(tickets, key=lambda cell: cell.level)}

    def pack(cell: Cell) -> bytes:
        arrays = load_file(store.beside(cell, "safetensors"))
        return save({name: a for name, a in arrays.items() if cell in needed or name.startswith(LEVELS)})

    return {cell: partial(pack, cell) for cell in there if cell in needed or cell in deepest.values()}


@dataclass(frozen=True)
class Parcel:
    """A record as one line of text, and its tensors as the bytes of a safetensors file (empty: none)."""

    key: str
    text: str
    tensors: bytes

    @cached_property
    def size(self) -> int:
        """Bytes that it takes in a file, at most."""
        return len(zlib.compress(self.text.encode())) + len(zlib.compress(self.tensors)) + 2 * OVERHEAD


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


def _pack(path: Path, head: str, parcels: list[Parcel]) -> None:
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        write = lambda name, content: file.writestr(ZipInfo(name), content, ZIP_DEFLATED)  # noqa: E731
        write("registrations.json", head)
        write("records.jsonl", "".join(f"{parcel.text}\n" for parcel in parcels))
        for parcel in parcels:
            if parcel.tensors:
                write(f"tensors/{parcel.key}.safetensors", parcel.tensors)


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
        for cell, record, arrays in parcels:
            _take(store, merged, cell, record, arrays)
        for cell, _, arrays in parcels:
            _spread(store, cell, arrays)
    return merged


def _take(store: Store, merged: Merged, cell: Cell, record: dict, arrays: Arrays | None) -> None:
    there = store.get(cell)
    if there and (lines := differences(there, record)):
        merged.conflicts.append("\n  ".join([f"{label(cell)}: kept what was there", *lines]))
        return
    brings = any(name.startswith(imp.FINAL) for name in arrays or ())
    if arrays and not store.has_tensors(cell) and (brings or store.levels(cell) is None):
        store.put_tensors(cell.key(), arrays)
    if there:
        merged.agree += 1
    else:
        store.put(record)
        merged.new += 1


def _spread(store: Store, cell: Cell, arrays: Arrays | None) -> None:
    """Masks of a chain's deepest network are those of its others: give them to the ones that came without."""
    levels = {name: array for name, array in (arrays or {}).items() if name.startswith(LEVELS)}
    for level in range(1, int(cell.level) if levels else 0):
        other = imp.ticket_of(cell, level)
        if store.beside(other, "json").exists() and not store.beside(other, "safetensors").exists():
            cut = {name: np.where(array > level, np.uint8(KEPT), array) for name, array in levels.items()}
            store.put_tensors(other.key(), cut)


def contents(path: Path) -> tuple[dict, list[tuple[Cell, dict, Arrays | None]]]:
    """(registrations, and each cell with its record and its tensors) of a file, everything checked; else BadInput."""
    members = _members(path)
    tensors = {MEMBER.fullmatch(name)[1]: text for name, text in members.items() if name.startswith("tensors/")}
    registrations = _registrations(members.get("registrations.json", b"{}"), path)
    parcels = []
    for number, line in enumerate(members.get("records.jsonl", b"").splitlines(), 1):
        where = f"{path.name}, record {number}"
        record = parse(line.decode(errors="replace"), where)
        check_values(record, where)
        cell = Cell.from_dict(record["cell"])
        packed = tensors.pop(cell.key(), None)
        parcels.append((cell, record, None if packed is None else check_arrays(cell, packed, where)))
    if tensors:
        raise BadInput(f"{path.name}: tensors without a record, {next(iter(tensors))}")
    return registrations, parcels


def _members(path: Path) -> dict[str, bytes]:
    """The members of a file by their names, none of which is used as a path."""
    try:
        if path.stat().st_size > MOST:
            raise BadInput(f"{path.name}: larger than the {MOST // 2**20} MiB that a file of results may have")
        with ZipFile(path) as file:
            members = file.infolist()
            names = [member.filename for member in members]
            if unknown := [name for name in names if not MEMBER.fullmatch(name) or names.count(name) > 1]:
                raise BadInput(f"{path.name}: not a file of results, holds {unknown[0][:60]!r}")
            if sum(member.file_size for member in members) > MOST_UNPACKED:
                raise BadInput(f"{path.name}: unpacks to more than {MOST_UNPACKED // 2**20} MiB")
            return {member.filename: file.read(member) for member in members}
    except (OSError, BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{path.name}: not a readable file of results ({error})") from error


def _registrations(text: bytes, path: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(text)
        right = all(digest_of(hashes) == digest and DIGEST.fullmatch(digest) for digest, hashes in found.items())
        right &= all(isinstance(value, str) for hashes in found.values() for value in hashes.values())
    except (ValueError, AttributeError, TypeError, RecursionError):
        right = False
    if not right:
        raise BadInput(f"{path.name}: registrations that are not what their names say")
    return found


def check_values(record: dict, where: str) -> None:
    """BadInput naming `where` unless a record's parts hold what training writes: names, numbers and short texts."""
    number = lambda value: value is None or isinstance(value, (int, float))  # noqa: E731
    numbers = lambda value: isinstance(value, list) and all(map(number, value))  # noqa: E731
    short = lambda value: number(value) or (isinstance(value, str) and len(value) < 200 and value.isprintable())  # noqa: E731
    for part, right in (("result", number), ("curves", numbers), ("provenance", short)):
        values = record[part]
        if not isinstance(values, dict) or not all(NAME.fullmatch(n) and right(v) for n, v in values.items()):
            raise BadInput(f"{where}: {part} of another kind than training writes")
    if not numbers(record["wrong"]) or not DIGEST.fullmatch(str(record["registration"])):
        raise BadInput(f"{where}: images or registration of another kind than training writes")


def check_arrays(cell: Cell, packed: bytes, where: str) -> Arrays:
    """The tensors of a ticket's chain, if they have the names, shapes and values of its network; BadInput otherwise."""
    from . import data, models  # bring torch

    try:
        arrays = load(packed)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{where}: tensors that are not readable ({error})") from error
    model = models.build(cell.model, *data.described(cell.dataset))
    wanted = {LEVELS + name: (model.shapes[name], "uint8") for name in model.prunable}
    if any(name.startswith(imp.FINAL) for name in arrays):
        final = {name: tuple(shape) for name, shape in model.shapes.items()}
        final |= {name: tuple(running.shape[1:]) for name, running in model.buffers(1).items()}
        wanted |= {imp.FINAL + name: (shape, cell.precision) for name, shape in final.items()}
    if {name: (array.shape, array.dtype.name) for name, array in arrays.items()} != wanted or cell.arm != "ticket":
        raise BadInput(f"{where}: tensors of another network than {label(cell)}")
    for name in model.prunable:
        pruned = arrays[LEVELS + name][arrays[LEVELS + name] != KEPT]
        if pruned.size and not 1 <= pruned.min() <= pruned.max() <= cell.level:
            raise BadInput(f"{where}: weights pruned at levels that {label(cell)} does not have")
    return arrays
