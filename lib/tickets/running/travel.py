"""Results on their way between machines: `export` writes files of at most 15 MiB, `merge` takes them in.

A file is a zip archive with records.jsonl, registrations.json and, for networks that others start from,
tensors/KEY.safetensors and, for dense ones that others return to, rewound/KEY-STEP.safetensors: JSON and plain arrays,
no pickle. Nothing of a file is written before all of it has been checked, and no name in it becomes a path: keys are
recomputed from the cells.
"""

import io
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

from ..cells import Cell
from ..errors import BadInput
from ..files import write_atomically
from ..pruning.masks import FINAL, KEPT, LEVELS
from ..results.records import differences, parse
from ..results.store import SMALL, Store, chain

MOST = 15 * 2**20
"""Bytes of a file."""
OVERHEAD = 500
"""Bytes that a member takes beside its content, generously."""
MOST_UNPACKED = 512 * 2**20
"""Bytes that a file may unpack to: what is larger was not written by `export`."""
MEMBER = re.compile(r"records\.jsonl|registrations\.json|(tensors|rewound)/[0-9a-f]{24}(-\d{1,9})?\.safetensors")
Arrays = dict[str, np.ndarray]
NAME, DIGEST = re.compile(r"\w{1,60}", re.ASCII), re.compile(r"[0-9a-f]{12}")


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
            if path.exists():
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
        if not store.beside(cell, f"{step}.safetensors").exists():
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


def contents(path: Path) -> tuple[dict, list[tuple[Cell, dict, Arrays, dict[int, Arrays]]]]:
    """(registrations; each cell with record, tensors and weights by rewind step), all checked; else BadInput."""
    members = _members(path)
    packed = {name.removesuffix(".safetensors"): text for name, text in members.items() if "/" in name}
    registrations = _registrations(members.get("registrations.json", b"{}"), path)
    parcels = []
    for number, line in enumerate(members.get("records.jsonl", b"").splitlines(), 1):
        where = f"{path.name}, record {number}"
        record = parse(line.decode(errors="replace"), where)
        check_values(record, where)
        cell = Cell.from_dict(record["cell"])
        own = packed.pop(f"tensors/{cell.key()}", None)
        steps = [name for name in packed if name.startswith(f"rewound/{cell.key()}-")]
        rewound = {int(name.rpartition("-")[2]): check_weights(cell, packed.pop(name), where) for name in steps}
        parcels.append((cell, record, {} if own is None else check_arrays(cell, own, where), rewound))
    if packed:
        raise BadInput(f"{path.name}: tensors without a record, {next(iter(packed))}")
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
        right = all(digest(hashes) == digest and DIGEST.fullmatch(digest) for digest, hashes in found.items())
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
    arrays, model = _loaded(packed, where), _model(cell)
    wanted = {LEVELS + name: (model.shapes[name], "uint8") for name in model.prunable}
    if any(name.startswith(FINAL) for name in arrays):
        wanted |= {FINAL + name: kind for name, kind in _weights(cell, model).items()}
    if _kinds(arrays) != wanted or cell.arm != "ticket":
        raise BadInput(f"{where}: tensors of another network than {cell}")
    for name in model.prunable:
        pruned = arrays[LEVELS + name][arrays[LEVELS + name] != KEPT]
        if pruned.size and not 1 <= pruned.min() <= pruned.max() <= cell.level:
            raise BadInput(f"{where}: weights pruned at levels that {cell} does not have")
    return arrays


def check_weights(cell: Cell, packed: bytes, where: str) -> Arrays:
    """The weights that a dense network passed through, if they are of its kind; BadInput otherwise."""
    arrays = _loaded(packed, where)
    if _kinds(arrays) != _weights(cell, _model(cell)) or not cell.is_dense:
        raise BadInput(f"{where}: weights of another network than {cell}")
    return arrays


def _loaded(packed: bytes, where: str) -> Arrays:
    try:
        return load(packed)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{where}: tensors that are not readable ({error})") from error


def _model(cell: Cell):
    from ..data import sources  # these bring torch
    from ..nets import models

    return models.build(cell.model, *sources.described(cell.dataset))


def _weights(cell: Cell, model) -> dict[str, tuple]:
    """Parameters and running statistics of a network: name -> (shape, kind of number)."""
    shapes = {name: tuple(shape) for name, shape in model.shapes.items()}
    shapes |= {name: tuple(running.shape[1:]) for name, running in model.buffers(1).items()}
    return {name: (shape, cell.precision) for name, shape in shapes.items()}


def _kinds(arrays: Arrays) -> dict[str, tuple]:
    return {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
