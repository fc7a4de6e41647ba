"""Records: what one result is as JSON, how a text is checked to be one, and how it is thinned to be committed."""

import json
import math
from pathlib import Path

import numpy as np

from ..cells import Cell
from ..errors import BadInput

SCHEMA = 1
POINTS = 60
"""Most points of a curve that is recorded, its last ones: claims ask where validation came near its minimum."""
MOMENTS = 40
"""Most points of a curve of validation, its first and last among them, dense where it moves: at its start."""
PARTS = ("schema", "key", "cell", "result", "curves", "wrong", "provenance", "registration")
RESULT = (
    "early_stop_step", "early_stop_loss", "validation_accuracy", "test_accuracy", "test_accuracy_mid",
    "test_accuracy_end", "train_accuracy_end", "validation_loss_end", "validation_accuracy_end",
    "kept", "density", "min_fan_in", "dead_units", "diverged",
)  # fmt: skip
"""Scalars of a trained network."""
TOLERANCE = 1e-6
"""Relative difference up to which two numbers agree; recorded results keep seven digits."""
CURVES = ("step", "validation_loss", "validation_accuracy", "test_step", "test_accuracy")


def record_of(cell: Cell, result: dict, curves: dict, wrong: list[int], provenance: dict, registration: str) -> dict:
    """A record: the full cell, its numbers and where they come from. wrong: test images missed at early stop."""
    values = (SCHEMA, cell.key(), cell.to_dict(), result, curves, wrong, provenance, registration)
    return dict(zip(PARTS, values, strict=True))


def parse(text: str | bytes, where: str) -> dict:
    """The record in a text, if it is whole and its key is that of its cell; BadInput naming `where` otherwise."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not a readable record ({error})") from error
    if missing := [part for part in PARTS if not isinstance(record, dict) or part not in record]:
        raise BadInput(f"{where}: no {missing[0]} in the record")
    if record["schema"] != SCHEMA:
        raise BadInput(f"{where}: schema {record['schema']}, this version reads {SCHEMA}")
    try:
        key = Cell.from_dict(record["cell"]).key()
    except (BadInput, TypeError, AttributeError, OverflowError) as error:
        raise BadInput(f"{where}: no cell of this version ({error})") from error
    if key != record["key"]:
        raise BadInput(f"{where}: the key {record['key']} is not that of its cell")
    return record


def check_record(path: Path, key: str) -> dict:
    """The record in a local file, which must be that of the cell it is named after; BadInput naming the file if not."""
    record = parse(path.read_bytes(), path.name)
    if record["key"] != key:
        raise BadInput(f"{path.name}: holds the record of another cell than {key}")
    return record


def place(record: dict) -> tuple:
    """Order of lines in a recorded file: like cells together, so that a re-run reads as a small difference."""
    spec = record["cell"]
    named = (str(spec[name]) for name in ("dataset", "model", "inputs", "steps", "learning_rate", "arm"))
    numbered = (spec.get(name, 0) for name in ("replicate", "level", "sigma", "draw", "order"))
    return *named, *numbered, record["key"]


def thin(record: dict, images: bool = True, curves: bool = True) -> dict:
    """The record as it is committed: fewer points and digits.

    images: with the test images that were missed; curves: with all curves, else of a network only its staircase of
    validation minima. Measurements keep theirs.
    """
    given = record["curves"]
    n = len(given.get("step", []))
    index = sorted({round(i) - 1 for i in np.geomspace(1, n, min(n, MOMENTS))}) if n else []
    kept = {name: [_digits(given[name][i]) for i in index] for name in CURVES[:3] if name in given}
    kept |= {name: [_digits(v) for v in values[-POINTS:]] for name, values in given.items() if name not in kept}
    if not curves:
        kept = {name: values for name, values in kept.items() if name not in CURVES}
    result = {name: _digits(value, 7) for name, value in record["result"].items()}
    changed = {"curves": kept, "result": result, "wrong": record["wrong"] if images else []}
    return {part: record[part] for part in PARTS} | changed


def _digits(value, digits: int = 5):
    """A float at some significant digits; lists element by element; anything else as it is."""
    if isinstance(value, list):
        return [_digits(v, digits) for v in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) and math.isfinite(value) else value


def differences(mine: dict, theirs: dict, where: str = "in the file") -> list[str]:
    """Lines on what keeps two records of one cell from agreeing, each with both values; none where they agree."""
    places = [(name, *(r["provenance"].get(name) for r in (mine, theirs))) for name in ("device_kind", "torch")]
    numbers = [(name, *(r["result"].get(name) for r in (mine, theirs))) for name in mine["result"] | theirs["result"]]
    found = [line for line in places if line[1] != line[2]] + [line for line in numbers if not _same(*line[1:])]
    return [f"{name}: {here} here, {there} {where}" for name, here, there in found]


def _same(one, other) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (one != one and other != other)
