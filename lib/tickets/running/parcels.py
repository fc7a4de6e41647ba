"""What a file of results may hold: all of it is checked before any of it is taken in, and no name becomes a path."""

import json
import re
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from ..arms import measures
from ..cells import Cell
from ..errors import BadInput
from ..files import array_digest, digest
from ..pruning.masks import FINAL, KEPT, LEVELS
from ..results.records import parse

MOST = 15 * 2**20
"""Bytes of a file."""
MOST_UNPACKED = 512 * 2**20
"""Bytes that a file may unpack to: what is larger was not written by `export`."""
MEMBER = re.compile(r"records\.jsonl|registrations\.json|(tensors|rewound)/[0-9a-f]{24}(-\d{1,9})?\.safetensors")
Arrays = dict[str, np.ndarray]
NAME, DIGEST = re.compile(r"\w{1,60}", re.ASCII), re.compile(r"[0-9a-f]{12}")


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
        named = {int(n.rpartition("-")[2]): n for n in packed if n.startswith(f"rewound/{cell.key()}-")}
        rewound = {step: check_weights(cell, step, packed.pop(name), where) for step, name in named.items()}
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
            # all that a zip archive adds to its members: a damaged list of them may end early without an error
            if path.stat().st_size != 22 + sum(76 + 2 * len(m.filename) + m.compress_size for m in members):
                raise BadZipFile("its list of members lacks some")
            if unknown := [name for name in names if not MEMBER.fullmatch(name) or names.count(name) > 1]:
                raise BadInput(f"{path.name}: not a file of results, holds {unknown[0][:60]!r}")
            if sum(member.file_size for member in members) > MOST_UNPACKED:
                raise BadInput(f"{path.name}: unpacks to more than {MOST_UNPACKED // 2**20} MiB")
            return {member.filename: file.read(member) for member in members}
    except (OSError, UnicodeError, BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise BadInput(f"{path.name}: not a readable file of results ({error})") from error


def _registrations(text: bytes, path: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(text)
        right = all(digest(hashes) == name and DIGEST.fullmatch(name) for name, hashes in found.items())
        right &= all(isinstance(value, str) for hashes in found.values() for value in hashes.values())
    except (ValueError, AttributeError, TypeError, RecursionError):
        right = False
    if not right:
        raise BadInput(f"{path.name}: registrations that are not what their names say")
    return found


def check_values(record: dict, where: str) -> None:
    """BadInput naming `where` unless a record's parts hold what training writes: names, numbers and short texts."""
    number = lambda v: v is None or isinstance(v, float) or (isinstance(v, int) and v.bit_length() < 64)  # noqa: E731
    numbers = lambda value: isinstance(value, list) and all(map(number, value))  # noqa: E731
    short = lambda value: number(value) or (isinstance(value, str) and len(value) < 200 and value.isprintable())  # noqa: E731
    for part, right in (("result", number), ("curves", numbers), ("provenance", short)):
        values = record[part]
        if not isinstance(values, dict) or not all(NAME.fullmatch(n) and right(v) for n, v in values.items()):
            raise BadInput(f"{where}: {part} of another kind than training writes")
    if not DIGEST.fullmatch(str(record["provenance"].get("start", "0" * 12))):
        raise BadInput(f"{where}: began from something else than weights")
    if not numbers(record["wrong"]) or not DIGEST.fullmatch(str(record["registration"])):
        raise BadInput(f"{where}: images or registration of another kind than training writes")


def check_arrays(cell: Cell, packed: bytes, where: str) -> Arrays:
    """What a network left, if it has the names, shapes and values of its kind; BadInput otherwise."""
    arrays, (model, weights) = _loaded(packed, where), _network(cell)
    wanted = {LEVELS + name: (model.shapes[name], "uint8") for name in model.prunable}
    if any(name.startswith(FINAL) for name in arrays):
        wanted |= {FINAL + name: kind for name, kind in weights.items()}
    if _kinds(arrays) != wanted or measures(cell.arm):
        raise BadInput(f"{where}: tensors of another network than {cell}")
    for name in model.prunable:
        pruned = arrays[LEVELS + name][arrays[LEVELS + name] != KEPT]
        if pruned.size and not 1 <= pruned.min() <= pruned.max() <= cell.level:
            raise BadInput(f"{where}: weights pruned at levels that {cell} does not have")
    return arrays


def check_weights(cell: Cell, step: int, packed: bytes, where: str) -> Arrays:
    """The weights that a dense network passed through, if they are of its kind; BadInput otherwise."""
    arrays = _loaded(packed, where)
    if _kinds(arrays) != _network(cell)[1] or not cell.is_dense:
        raise BadInput(f"{where}: weights of another network than {cell}")
    head = json.loads(packed[8 : 8 + int.from_bytes(packed[:8], "little")])
    if not 0 < step < cell.steps or head.get("__metadata__", {}).get("digest") != array_digest(arrays):
        raise BadInput(f"{where}: weights of another step than {step}, or not what their digest says")
    return arrays


def _loaded(packed: bytes, where: str) -> Arrays:
    try:
        return load(packed)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{where}: tensors that are not readable ({error})") from error


def _network(cell: Cell):
    """(the network of a cell, its parameters and running statistics: name -> (shape, kind of number))."""
    from ..data import sources  # these bring torch
    from ..nets import models

    model = models.build(cell.model, *sources.described(cell.dataset))
    shapes = model.shapes | {name: running.shape[1:] for name, running in model.buffers(1).items()}
    return model, {name: (tuple(shape), cell.precision) for name, shape in shapes.items()}


def _kinds(arrays: Arrays) -> dict[str, tuple]:
    return {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
