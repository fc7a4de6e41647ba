"""Checkpoints inside a training: what stopped half-way goes on from there, to the same bits.

The state of a population is one safetensors file beside its first cell: arrays, and as metadata one JSON text with the
step, the curves so far and what the state belongs to. No pickle. A file that belongs to anything else is ignored.
"""

import json
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..files import write_atomically

EVERY = 60.0
"""Seconds between two checkpoints, by a clock that nothing sets."""
Arrays = dict[str, np.ndarray]


class Paused(Exception):
    """Time is up; the state is on disk."""


class Checkpoint:
    """Where the state of one population in training is kept.

    path: its file; owner: what a state belongs to, as texts (the keys of its cells, where and with what it is trained):
    a state of another owner is not taken up. deadline: monotonic time after which `pause` saves and raises Paused.
    seconds: time spent in earlier sittings, known after `resume`.
    """

    def __init__(self, path: Path, owner: dict[str, str], deadline: float = inf):
        self.path, self.owner, self.deadline = path, owner, deadline
        self.began = self.saved = time.monotonic()
        self.seconds = 0.0

    def resume(self, recorder) -> tuple[int, Arrays] | None:
        """(steps taken, arrays) of an earlier sitting, whose curves go to `recorder`; None where there was none."""
        try:
            with safe_open(self.path, framework="np") as file:
                told = json.loads(file.metadata()["state"])
                if told["owner"] != self.owner:
                    return None
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None  # not there, or no checkpoint: the training starts at its beginning
        self.seconds = told["seconds"]
        recorder.restore(told["recorder"])
        return told["step"], arrays

    def pause(self, step: int, recorder, arrays: Callable[[], Arrays]) -> None:
        """Between two steps: save if the last time is long ago; if time is up, save and raise Paused."""
        now = time.monotonic()
        if now < self.deadline and now - self.saved < EVERY:
            return
        seconds = self.seconds + now - self.began
        told = {"owner": self.owner, "seconds": seconds, "step": step, "recorder": recorder.state()}
        content = save({n: np.array(a, order="C") for n, a in arrays().items()}, {"state": json.dumps(told)})
        write_atomically(self.path, content)
        self.saved = now
        if now >= self.deadline:
            raise Paused

    def discard(self) -> None:
        """The population has its records: nothing is left to go on with."""
        self.path.unlink(missing_ok=True)
