"""Records as training leaves them, made up, and studies of a few cells to record them by."""

from types import SimpleNamespace

import numpy as np
import pytest
from tickets import chapters
from tickets.cells import Cell
from tickets.chapters.winning_tickets import study as first_study
from tickets.results.records import record_of
from tickets.running import recording

NET = Cell(dataset="digits", steps=60)
CHAIN = [NET.but(level=level) for level in range(4)]
LAYERS = {"fc1.weight": (30, 64), "fc2.weight": (10, 30)}


def a_record(cell, points=500, registration="then", **result):
    """A record of a cell with curves of so many points."""
    step = [3 * i for i in range(1, points + 1)]
    loss = [2 / (1 + i / 100) + 1e-9 * i for i in step]
    curves = {
        "step": step,
        "validation_loss": loss,
        "validation_accuracy": [100 - 10 * value for value in loss],
        "best_step": step,
        "best_loss": loss,
        "test_step": step[::20],
        "test_accuracy": [97.123456789] * len(step[::20]),
    }
    numbers = {"test_accuracy": 97.123456789, "early_stop_step": 3 * points, "kept": 50_200, "diverged": False}
    provenance = {"device": "a processor", "device_kind": "cpu", "seconds": 1.5, "path": "mlp"}
    return record_of(cell, {**numbers, **result}, curves, [3, 14, 15], provenance, registration)


def tensors_of(cell):
    """Levels of pruning as a chain leaves them at a cell's level, and final weights."""
    generator = np.random.default_rng(0)
    levels = {name: generator.integers(1, 9, shape).astype(np.uint8) for name, shape in LAYERS.items()}
    cut = {f"pruned_at/{name}": np.where(a > cell.level, 255, a).astype(np.uint8) for name, a in levels.items()}
    return cut | {f"final/{name}": generator.normal(size=shape).astype(np.float32) for name, shape in LAYERS.items()}


def weights_of(step):
    """Weights that a dense network passed through at a step."""
    generator = np.random.default_rng(step)
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in LAYERS.items()}


def put(store, cell, **fields):
    """Into the local layer: a record, and of a ticket its tensors."""
    store.put(a_record(cell, **fields), tensors_of(cell) if cell.arm == "ticket" else None)


def a_study(cells, main=NET, place=first_study):
    """A study in place of another, of some cells at profile smoke and of none at the others."""
    listed = {"smoke": list(cells)}
    own = {"cells": lambda profile: listed.get(profile, []), "MAIN": dict.fromkeys(chapters.PROFILES, main)}
    return SimpleNamespace(**{**vars(place), **own})


def record(store, cells, main=NET, study="01_study"):
    """Take local records into the recorded layer as if their cells were those of a study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(chapters.STUDIES, study, a_study(cells, main))
        return recording.record(store, study, "smoke")
