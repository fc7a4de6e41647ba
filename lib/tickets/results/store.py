"""Results on disk, in two layers, and the only module that knows file names.

The recorded layer is committed under book/results: one line of JSON per cell, sorted, curves thinned, and the masks of
chains (`running.recording` writes it). The local layer lives in build/results: one JSON per cell, written last and by
one atomic rename, so that it is the commit record of its cell; whoever is killed before that has written nothing. No
file holds a pickle. By hand, since it must be diffable, survive kills and need no server.
"""

import json
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from ..arms import own_defaults
from ..cells import FIELDS, Cell
from ..files import BOOK, LOCAL, ROOT, array_digest, digest, write_atomically
from ..pruning.masks import FINAL, LEVELS, Weights, final, pruned_at
from .records import RESULT, check_record, parse

REWOUND = "at_rewind_step/"
"""Prefix of the weights W_k in a recorded unfinished chain."""
SMALL = ("lenet-300-100",)
"""Networks whose masks are small enough to be recorded (0.13 MB a chain)."""
LIGHT = (*SMALL, "mlp-2x300", "mlp-3x300", "mlp-4x300", "mlp-2x150")
"""Networks whose masks are small enough to travel (0.28 MB a chain at most)."""


class Store:
    """The results of cells: `local` (a folder, read and written) over `recorded` (a folder, read; None for none).

    Both are absolute, since workers may run elsewhere.
    """

    def __init__(self, local: Path | str = LOCAL, recorded: Path | None = BOOK / "results"):
        self.local, self.recorded = Path(local).absolute(), recorded and Path(recorded).absolute()

    @classmethod
    def committed(cls) -> "Store":
        """Only what is recorded, whatever this machine has trained: what the book shows."""
        return cls(local=ROOT / "build" / "nothing")

    def __reduce__(self):
        """Workers get the two folders, and read what is recorded there once: not again with every population."""
        files = sorted(self.recorded.glob("*.jsonl")) if self.recorded else []
        return _shared, (type(self), self.local, self.recorded, *(file.stat().st_mtime_ns for file in files))

    # records

    def __contains__(self, cell: Cell) -> bool:
        return self.get(cell) is not None

    def get(self, cell: Cell) -> dict | None:
        """The record of a cell, local before recorded; None where there is none."""
        path = self.beside(key := cell.key(), "json")
        return check_record(path, key) if path.exists() else self.records.get(key)

    def put(self, record: dict, tensors: Weights | None = None, start: str = "") -> None:
        """Write a record (see `records.record_of`) and, before it, what later cells need of it (see `put_tensors`).

        Two writers of one cell write the same.
        """
        if tensors:
            self.put_tensors(record["key"], tensors, start)
        self._write(record["key"], "json", json.dumps(record).encode())

    @cached_property
    def records(self) -> dict[str, dict]:
        """Every recorded record by its key; keys are recomputed, so that a line that was edited is found out."""
        found = {}
        for path in sorted(self.recorded.glob("*.jsonl")) if self.recorded else []:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                record = parse(line, f"{path.name}, line {number}")
                found[record["key"]] = {**record, "study": path.stem}
        return found

    # what networks leave

    def put_tensors(self, key: str, tensors: Weights, start: str = "") -> None:
        """Write what later cells need of a record that is, or will be, there. start: digest of the W_k it came from."""
        self._write(key, "safetensors", _packed(tensors, {"start": start} if start else None))

    def tensors(self, cell: Cell) -> Weights:
        """What a network left for those that start from it; KeyError where neither layer has it."""
        path = self.beside(cell, "safetensors")
        if self._fits(cell, path):
            return load_file(path)
        if self.unfinished(cell):
            found = read_masks(self.masks_file(cell))
            return {name: array for name, array in found.items() if not name.startswith(REWOUND)}
        raise KeyError(f"no tensors of {cell}")

    def has_tensors(self, cell: Cell) -> bool:
        """Whether `tensors` would find them."""
        return self._fits(cell, self.beside(cell, "safetensors")) or self.unfinished(cell)

    def put_rewound(self, dense: Cell, step: int, weights: Weights) -> None:
        """Keep the weights W_k that a dense network passed through, for all that return to them; with their digest."""
        self._write(dense.key(), f"{step}.safetensors", _packed(weights, {"digest": array_digest(weights)}))

    def rewound(self, cell: Cell) -> Weights | None:
        """The weights W_k that a cell returns to; None where they are lost, or are not what their digest says."""
        trunk = cell.trunk()
        if trunk.steps == cell.rewind:  # a network of its own, stopped there
            return final(self.tensors(trunk)) if self.has_tensors(trunk) else None
        path = self.beside(trunk, f"{cell.rewind}.safetensors")
        try:
            with safe_open(path, framework="np") as file:
                told = (file.metadata() or {}).get("digest")
            found = load_file(path)
            return found if array_digest(found) == told else None
        except (OSError, SafetensorError):
            _, path = self.chains.get(chain(cell.ticket(1)), (0, None))
            recorded = read_masks(path) if path else {}
            return {name.removeprefix(REWOUND): recorded[name] for name in recorded if name.startswith(REWOUND)} or None

    def start_of(self, cell: Cell) -> str:
        """Digest of the W_k that a cell would begin from; empty where that is its initialization, or lost."""
        weights = self.rewound(cell) if cell.rewind else None
        return array_digest(weights) if weights else ""

    def levels(self, cell: Cell) -> Weights | None:
        """Per layer [out, in], the level at which each weight of a ticket's chain was pruned (uint8, 255: not yet).

        From the ticket's own tensors, or from the recorded masks of its chain where those reach its level.
        """
        local, (depth, recorded) = self.beside(cell, "safetensors"), self.chains.get(chain(cell), (-1, None))
        if local.exists():
            return pruned_at(load_file(local))
        return pruned_at(read_masks(recorded)) if depth >= cell.level else None

    def _fits(self, cell: Cell, path: Path) -> bool:
        """Whether a file holds weights (of merged results only the masks may have come) of the chain that goes on.

        A chain that began from another W_k than the one at hand begins anew.
        """
        try:
            with safe_open(path, framework="np") as file:
                whole = any(not name.startswith(LEVELS) for name in file.keys())  # noqa: SIM118
                start = (file.metadata() or {}).get("start", "")
        except (OSError, SafetensorError):
            return False
        return whole and not (start and cell.rewind and self.start_of(cell) not in ("", start))

    # the recorded layer

    def masks_file(self, cell: Cell) -> Path:
        """Where the masks of a chain are recorded whose deepest recorded ticket is `cell` (see `read_masks`)."""
        plain = self.recorded / "masks" / f"{cell.key()}.safetensors"
        return plain if plain.exists() else plain.with_suffix(".npz")

    @cached_property
    def chains(self) -> dict[Cell, tuple[float, Path]]:
        """Chain -> how deep its recorded masks reach, and their file."""
        recorded = [Cell.from_dict(r["cell"]) for r in self.records.values() if r["cell"]["arm"] == "ticket"]
        files = {cell: self.masks_file(cell) for cell in recorded if not cell.order}
        return {chain(cell): (cell.level, path) for cell, path in files.items() if path.exists()}

    def unfinished(self, cell: Cell) -> bool:
        """Whether the recorded layer has the final weights of this ticket, the last so far of its chain."""
        path = self.recorded and self.masks_file(cell)
        return bool(path and path.exists() and any(name.startswith(FINAL) for name in read_masks(path)))

    # tables

    def table(self, cells: list[Cell]) -> pd.DataFrame:
        """One row per recorded cell: itself, its fields and own parameters, result, provenance and key.

        Cells without a record have no row. Accuracies are in percent. The columns best_step and best_loss hold the
        staircase of validation minima. Own parameters that an arm lacks stand at their default; a table without any
        network has its columns all the same.
        """
        frame = pd.DataFrame([_row(cell, record) for cell in cells if (record := self.get(cell))])
        known = ["cell", *FIELDS, *own_defaults(), *RESULT, "key", "seconds"]
        return frame.reindex(columns=list(dict.fromkeys([*known, *frame.columns])))

    def curves(self, cells: list[Cell], axis: str = "test_step", value: str = "test_accuracy") -> pd.DataFrame:
        """Long table, one curve a cell that has it: the cell's fields, `axis` and `value`. axis: step or test_step."""
        found = [(cell, r["curves"]) for cell in cells if (r := self.get(cell)) and r["curves"].get(value)]
        rows = [{**_fields(cell), axis: curves[axis], value: curves[value]} for cell, curves in found]
        frame = pd.DataFrame(rows, columns=[*FIELDS, *own_defaults(), axis, value])
        return frame.explode([axis, value], ignore_index=True).infer_objects()

    # registration of claims

    def register(self, hashes: dict[str, str]) -> str:
        """Keep which claims, in which wording, stand when records are made; the digest that these carry."""
        name = digest(hashes)
        if name not in self.registrations():
            content = json.dumps(hashes, indent=1, sort_keys=True) + "\n"
            write_atomically(self.local / "registrations" / f"{name}.json", content)
        return name

    def registrations(self) -> dict[str, dict[str, str]]:
        """Digest -> {claim: hash of its entry} for every set of claims that some record was made under."""
        folders = [layer / "registrations" for layer in (self.local, self.recorded) if layer]
        return {path.stem: json.loads(path.read_text()) for folder in folders for path in sorted(folder.glob("*.json"))}

    # files

    def beside(self, cell: Cell | str, suffix: str) -> Path:
        """A local file that belongs to a cell (or the cell of a key), its record (suffix json) or another."""
        key = cell if isinstance(cell, str) else cell.key()
        return self.local / f"{key[:2]}/{key}.{suffix}"

    def _write(self, key: str, suffix: str, content: bytes) -> None:
        write_atomically(self.beside(key, suffix), content)


@lru_cache(maxsize=1)
def _shared(kind: type[Store], local: Path, recorded: Path | None, *_written: int) -> Store:
    return kind(local, recorded)  # one in a process, until another is asked for or the files there change


def chain(cell: Cell) -> Cell:
    """The first ticket of a ticket's chain under its own rewinding: the same for all levels."""
    return cell.but(level=1, order=0)


def deepest(tickets: Iterable[Cell]) -> dict[Cell, Cell]:
    """Chain -> the last of its tickets."""
    return {chain(cell): cell for cell in sorted(tickets, key=lambda cell: cell.level)}


def read_masks(path: Path) -> Weights:
    """The arrays of a masks file: compressed in a repository, plain in a release."""
    if path.suffix == ".safetensors":
        return load_file(path)
    with path.open("rb") as file:
        return dict(np.load(file, allow_pickle=False))


def _packed(arrays: Weights, metadata: dict[str, str] | None) -> bytes:
    """Through bytes: a disk that is full must show as Python's OSError."""
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)


def _fields(cell: Cell) -> dict:
    return {name: getattr(cell, name) for name in FIELDS} | own_defaults() | dict(cell.own)


def _row(cell: Cell, record: dict) -> dict:
    best = {name: record["curves"].get(name) for name in ("best_step", "best_loss")}
    named = {name: record[name] for name in ("key", "registration", "wrong")}
    return {"cell": cell, **_fields(cell), **record["result"], **best, **record["provenance"], **named}
