"""Results on disk, in two layers, and the only module that knows file names.

The recorded layer is committed under book/results: one line of JSON per cell, sorted, curves thinned, and the masks of
chains. The local layer lives in build/results: one JSON per cell, written last and by one atomic rename, so that it
is the commit record of its cell; whoever is killed before that has written nothing. No file holds a pickle.
"""

import json
import os
import uuid
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from .cells import FIELDS, Cell
from .records import RESULT, check_record, parse, place, thin

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
CLAIMS = BOOK / "claims.yml"
LOCAL = ROOT / "build" / "results"
LEVELS = "pruned_at/"
"""Prefix of the tensors that hold a chain's masks."""
MASKED = ("lenet-300-100",)
"""Networks whose masks are small enough to be recorded (0.13 MB a chain)."""


class Store:
    """The results of cells: `local` (a folder, read and written) over `recorded` (a folder, read; None for none)."""

    def __init__(self, local: Path | str = LOCAL, recorded: Path | None = BOOK / "results"):
        self.local, self.recorded = Path(local), recorded and Path(recorded)

    @classmethod
    def committed(cls) -> "Store":
        """Only what is recorded, whatever this machine has trained: what the book shows."""
        return cls(local=ROOT / "build" / "nothing")

    def __reduce__(self):
        """Workers get the two folders, not what has been read from them."""
        return type(self), (self.local, self.recorded)

    # one cell

    def __contains__(self, cell: Cell) -> bool:
        return self.get(cell) is not None

    def get(self, cell: Cell) -> dict | None:
        """The record of a cell, local before recorded; None where there is none."""
        path = self._path(cell.key(), "json")
        return check_record(path, cell.key()) if path.exists() else self._recorded.get(cell.key())

    def has_record(self, key: str) -> bool:
        """Whether this machine has the record of a key; the file is not looked into."""
        return self._path(key, "json").exists()

    def put(self, record: dict, tensors: dict[str, np.ndarray] | None = None) -> None:
        """Write a record (see `record_of`) and what later cells need of it; two writers of one cell write the same."""
        if tensors:
            self.put_tensors(record["key"], tensors)
        self._write(record["key"], "json", lambda path: path.write_text(json.dumps(record)))

    def put_tensors(self, key: str, tensors: dict[str, np.ndarray]) -> None:
        """Write only what later cells need of a record that is, or will be, there."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        # through bytes: a disk that is full must show as Python's OSError
        self._write(key, "safetensors", lambda path: path.write_bytes(save(contiguous)))

    def tensors(self, cell: Cell) -> dict[str, np.ndarray]:
        """What a network left for those that start from it; KeyError where neither layer has it."""
        path = self._path(cell.key(), "safetensors")
        if _holds_weights(path):
            return load_file(path)
        if self._unfinished(cell):
            return dict(np.load(self._recorded_masks(cell), allow_pickle=False))
        raise KeyError(f"no tensors of {cell.arm} level {cell.level} replicate {cell.replicate} ({cell.key()})")

    def has_tensors(self, cell: Cell) -> bool:
        """Whether `tensors` would find them."""
        return _holds_weights(self._path(cell.key(), "safetensors")) or self._unfinished(cell)

    def trunk(self, dense: Cell, draw: int, step: int, owner: str) -> dict[str, np.ndarray] | None:
        """The weights of a dense network after some steps, as `put_trunk` left them; None where another made them."""
        path = self._path(dense.key(), f"trunk-{draw}-{step}.safetensors")
        try:
            with safe_open(path, framework="np") as file:
                if file.metadata().get("owner") == owner:
                    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, AttributeError):
            pass  # not there, or no trunk
        return None

    def put_trunk(self, dense: Cell, draw: int, step: int, owner: str, weights: dict[str, np.ndarray]) -> None:
        """Keep a trunk for the branches to come. owner: what its bits depend on beside the cell."""
        content = save({name: np.ascontiguousarray(a) for name, a in weights.items()}, {"owner": owner})
        self._write(dense.key(), f"trunk-{draw}-{step}.safetensors", lambda path: path.write_bytes(content))

    # many cells

    def table(self, cells: list[Cell]) -> pd.DataFrame:
        """One row per recorded cell: its fields, result, provenance and key; cells without a record have no row.

        Accuracies are in percent. The columns best_step and best_loss hold the staircase of validation minima.
        """
        rows = [_row(cell, record) for cell in cells if (record := self.get(cell))]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*FIELDS, *RESULT, "key", "seconds"])

    def curves(self, cells: list[Cell], axis: str = "test_step", value: str = "test_accuracy") -> pd.DataFrame:
        """Long table of one curve per cell: the cell's fields, `axis` and `value`. axis: step or test_step."""
        frames = []
        for cell in cells:
            if record := self.get(cell):
                frame = pd.DataFrame({axis: record["curves"][axis], value: record["curves"][value]})
                spec = {name: getattr(cell, name) for name in FIELDS if name != "drops"}
                frames.append(frame.assign(**spec, drops=[cell.drops] * len(frame)))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*FIELDS, axis, value])

    def levels(self, cell: Cell) -> dict[str, np.ndarray] | None:
        """Per layer [out, in], the level at which each weight of a ticket's chain was pruned (uint8, 255: not yet).

        From the ticket's own tensors, or from the recorded masks of its chain where those reach its level.
        """
        local, (depth, recorded) = self._path(cell.key(), "safetensors"), self._chains.get(chain(cell), (-1, None))
        if not local.exists() and depth < cell.level:
            return None
        found = load_file(local) if local.exists() else dict(np.load(recorded, allow_pickle=False))
        return pruned_at(found)

    # registration of claims

    def register(self, hashes: dict[str, str], digest: str) -> None:
        """Keep which claims, in which wording, stood when records were made."""
        path = self.local / "registrations" / f"{digest}.json"
        if digest not in self.registrations():
            write_atomically(path, lambda temporary: temporary.write_text(json.dumps(hashes, indent=1, sort_keys=True)))

    def registrations(self) -> dict[str, dict[str, str]]:
        """Digest -> {claim: hash of its entry} for every set of claims that some record was made under."""
        folders = [self.local / "registrations", *([self.recorded / "registrations"] if self.recorded else [])]
        return {path.stem: json.loads(path.read_text()) for folder in folders for path in sorted(folder.glob("*.json"))}

    # the recorded layer

    def record(self, study: str, cells: list[Cell], main: Cell) -> int:
        """Take the local records of a study's cells into the recorded layer; the number of records it then holds.

        What is recorded already, by this study or another, stays as it is. Of a chain of tickets the deepest masks are
        kept: they hold all others. Chains of `main` keep them for figures and other chapters, all others while one of
        the cells still needs them.
        """
        lines = {key: record for key, record in self._recorded.items() if record["study"] == study}
        for cell in cells:
            path = self._path(cell.key(), "json")
            if cell.key() not in self._recorded and path.exists():
                lines[cell.key()] = {**thin(check_record(path, cell.key())), "study": study}
        _write_lines(self.recorded / f"{study}.jsonl", sorted(lines.values(), key=place))
        recorded = {*self._recorded, *lines}
        self._record_masks(cells, recorded)
        self._drop_masks(cells, recorded, main)
        self._record_registrations({record["registration"] for record in lines.values()})
        del self._recorded
        self.__dict__.pop("_chains", None)
        return len(lines)

    def _record_masks(self, cells: list[Cell], recorded: set[str]) -> None:
        """When each chain's weights were pruned, from its deepest network; final weights too while it is unfinished."""
        tickets = [cell for cell in cells if cell.arm == "ticket" and not cell.order]
        last = {chain(cell): cell.level for cell in sorted(tickets, key=lambda cell: cell.level)}
        kept = lambda cell: self.beside(cell, "safetensors").exists() or self._recorded_masks(cell).exists()  # noqa: E731
        there = [c for c in tickets if c.key() in recorded and c.model in MASKED and c.level and kept(c)]
        deepest = {chain(cell): cell for cell in sorted(there, key=lambda cell: cell.level)}
        for cell in there:
            source, target = self._path(cell.key(), "safetensors"), self._recorded_masks(cell)
            if cell != deepest[chain(cell)]:
                target.unlink(missing_ok=True)  # the chain has grown since
                continue
            done = cell.level == last[chain(cell)]
            if source.exists() and (not target.exists() or not (done or self._unfinished(cell))):
                found = {name: a for name, a in load_file(source).items() if name.startswith(LEVELS) or not done}
                write_atomically(target, lambda path, arrays=found: _save_compressed(path, arrays))

    def _drop_masks(self, cells: list[Cell], recorded: set[str], main: Cell) -> None:
        """Remove the masks of chains other than `main`'s from which no cell has yet to start."""
        from .imp import parents  # which builds on this module

        needed = {chain(parent) for cell in cells if cell.key() not in recorded for parent in parents(cell)}
        for cell in cells:
            if cell.arm == "ticket" and chain(cell) not in needed and chain(cell.but(replicate=0)) != chain(main):
                self._recorded_masks(cell).unlink(missing_ok=True)

    def _record_registrations(self, digests: set[str]) -> None:
        for digest, hashes in self.registrations().items():
            if digest in digests:
                text = json.dumps(hashes, indent=1, sort_keys=True) + "\n"
                write_atomically(
                    self.recorded / "registrations" / f"{digest}.json", lambda path, text=text: path.write_text(text)
                )

    def _recorded_masks(self, cell: Cell) -> Path:
        return self.recorded / "masks" / f"{cell.key()}.npz"

    def _unfinished(self, cell: Cell) -> bool:
        """Whether the recorded layer has the final weights of this ticket, the last so far of its chain."""
        path = self.recorded and self._recorded_masks(cell)
        return bool(path and path.exists() and any(not name.startswith(LEVELS) for name in np.load(path).files))

    @cached_property
    def _chains(self) -> dict[Cell, tuple[float, Path]]:
        """Chain -> how deep its recorded masks reach, and their file."""
        recorded = [Cell.from_dict(r["cell"]) for r in self._recorded.values() if r["cell"]["arm"] == "ticket"]
        files = {cell: self._recorded_masks(cell) for cell in recorded if not cell.order}
        return {chain(cell): (cell.level, path) for cell, path in files.items() if path.exists()}

    @cached_property
    def _recorded(self) -> dict[str, dict]:
        """Every recorded record by its key; keys are recomputed, so that a line that was edited is found out."""
        found = {}
        for path in sorted(self.recorded.glob("*.jsonl")) if self.recorded else []:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                record = parse(line, f"{path.name}, line {number}")
                found[record["key"]] = {**record, "study": path.stem}
        return found

    # files

    def beside(self, cell: Cell, suffix: str) -> Path:
        """A local file that belongs to a cell, its record (suffix json) or another."""
        return self._path(cell.key(), suffix)

    def _path(self, key: str, suffix: str) -> Path:
        return self.local / key[:2] / f"{key}.{suffix}"

    def _write(self, key: str, suffix: str, write) -> None:
        write_atomically(self._path(key, suffix), write)


def pruned_at(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The level at which each weight was pruned, among a network's tensors."""
    return {name.removeprefix(LEVELS): array for name, array in stored.items() if name.startswith(LEVELS)}


def chain(cell: Cell) -> Cell:
    """The first ticket of a ticket's chain under its own rewinding: the same for all levels."""
    return cell.but(level=1, order=0)


def _holds_weights(path: Path) -> bool:
    """Whether a file of tensors has more than masks in it; of merged results only the masks may have come."""
    try:
        with safe_open(path, framework="np") as file:
            return any(not name.startswith(LEVELS) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return False


def _row(cell: Cell, record: dict) -> dict:
    best = {name: record["curves"].get(name) for name in ("best_step", "best_loss")}
    named = {
        **record["provenance"],
        "key": record["key"],
        "registration": record["registration"],
        "wrong": record["wrong"],
    }
    return {**{field: getattr(cell, field) for field in FIELDS}, **record["result"], **best, **named}


def write_atomically(path: Path, write) -> None:
    """Let `write` fill a temporary file that no other writer can have, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _save_compressed(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _write_lines(path: Path, records: list[dict]) -> None:
    text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
    write_atomically(path, lambda temporary: temporary.write_text(text))
