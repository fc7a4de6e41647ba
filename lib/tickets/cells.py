"""A cell: the frozen description of one result, and the key by which every store finds it."""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from math import isfinite
from numbers import Real

from .errors import BadInput, choose

ARMS = (
    "ticket",  # iterative magnitude pruning; its level 0 is the dense network
    "reinit",  # the ticket's mask on freshly drawn weights
    "random",  # a random mask with the ticket's per-layer counts, the ticket's initialization
    "random_open",  # the same, the output layer left unpruned
    "one_shot",  # pruned once, from the trained dense network, to the density of its level
    "redraw",  # the ticket's mask, weights drawn anew from the ticket's own initial weights, layer by layer
    "magnitude_at_init",  # the smallest initial weights pruned, to the ticket's per-layer counts
    "noise",  # the ticket's initialization plus Gaussian noise of `sigma` layer standard deviations
    "finetune",  # the ticket's mask on the weights it was read from, the full schedule again
    "pulled",  # the ticket, its loss minus `pull` times the cosine to the trained weights that its mask was read from
    "pulled_reinit",  # the reinitialized ticket, likewise
    "dense_path",  # the ticket again, computed as if it were dense: the sparse path must not be confounded with density
    "anatomy",  # a measurement on the ticket of this level: where it sits in the network, what its weights did
    "chord",  # a measurement on two copies of `subject` that share everything up to the rewind step: orders 0 and 1
    "rounds",  # the same on the tickets of this level and of the next
    "descent",  # the same on the ticket of this level and the dense network that it comes from
    "plane",  # test error in the plane of two copies of the dense network and the ticket of this level
)
MEASUREMENTS = ("anatomy", "chord", "rounds", "descent", "plane")
SUBJECTS = ("ticket", "random", "reinit", "pulled", "pulled_reinit")
PULLED = ("pulled", "pulled_reinit")
REDRAWN = ("reinit", "pulled_reinit")


@dataclass(frozen=True)
class Cell:
    """Everything that determines a number: one trained network, or one measurement on trained networks.

    Steps count minibatches; rates are fractions of the surviving weights removed in one round. The precision belongs to
    a cell, the device does not. A field added later must default to what all earlier records had (its default enters
    the key only when it is not that value, see `key`).
    """

    # the task
    dataset: str = "mnist"
    inputs: str = "unit"  # "unit": pixels in [0, 1]; "standard": minus mean, over standard deviation
    augment: str = "none"  # or "flip_crop"; "resized_crop" for images on disk
    model: str = "lenet-300-100"
    # training
    steps: int = 50_000
    batch: int = 60
    optimizer: str = "adam"  # or "sgd"
    learning_rate: float = 1.2e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    drops: tuple[int, ...] = ()  # steps at which the learning rate is divided by 10
    warmup: int = 0  # steps of linear warmup from 0
    dropout: float = 0.0
    # pruning
    scope: str = "layerwise"  # or "global"
    rate: float = 0.2  # dense layers, and every layer when the scope is global
    conv_rate: float = 0.2
    output_rate: float = 0.1
    rewind: int = 0  # the step whose weights survivors return to; a copy (order > 0) is its trunk up to that step
    # which network of the experiment
    arm: str = "ticket"
    level: float = 0  # pruning rounds; one_shot may lie between two rungs of the ladder
    sigma: float = 0.0  # arm "noise" only
    # random streams
    replicate: int = 0
    draw: int = 0  # of a reinitialization, a random mask, a redraw, a noise
    order: int = 0  # of the data from the rewind step on; the dense network in a second order is the A/A arm
    # numbers
    precision: str = "float32"
    algorithm: int = 1  # version of the training and pruning code; raised by hand when results change (see `mlp`)
    schedule: str = "resumed"  # at the rewind step; "restarted": all steps again from there, a branch of the ladder
    # measurements between networks
    subject: str = "ticket"  # arm "chord" only: the arm of both ends, at level 0 the dense network
    pull: float = 0.0  # arms "pulled" and "pulled_reinit" only; below 0 pushes away
    points: int = 30  # on the line between the ends (30 in Frankle et al. 2020)

    def __post_init__(self):
        choose("arm", self.arm, ARMS)
        choose("input scaling", self.inputs, ("unit", "standard"))
        choose("augmentation", self.augment, ("none", "flip_crop", "resized_crop"))
        choose("optimizer", self.optimizer, ("adam", "sgd"))
        choose("scope", self.scope, ("layerwise", "global"))
        choose("precision", self.precision, ("float32", "float64"))
        choose("algorithm", self.algorithm, (1, 2, 3))
        choose("schedule", self.schedule, ("resumed", "restarted"))
        choose("subject", self.subject, SUBJECTS)
        # 0 and 0.0 are one number but two JSON texts: one form each, or equal cells would have two keys
        for field in fields(self):
            if field.type in (int, float):
                object.__setattr__(self, field.name, _number(field.name, getattr(self, field.name), field.type))
        if self.level == int(self.level):
            object.__setattr__(self, "level", int(self.level))
        object.__setattr__(self, "drops", tuple(self.drops))
        self._check_ranges()

    def _check_ranges(self):
        for name in ("rate", "conv_rate", "output_rate", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"{name} {getattr(self, name)}: must lie in [0, 1)")
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise BadInput(f"{name} {getattr(self, name)}: must be {least} or more")
        if self.points > POINTS:
            raise BadInput(f"points {self.points}: at most {POINTS}, what a recorded curve has")
        if self.augment == "resized_crop" and self.dataset != "imagenet":
            raise BadInput("augmentation resized_crop: needs images on disk, dataset imagenet")
        if self.rewind >= self.steps:
            raise BadInput(f"rewind {self.rewind}: must come before the last step, {self.steps}")
        if self.arm != "one_shot" and self.level != int(self.level):
            raise BadInput(f"level {self.level}: only one_shot may lie between two rungs")
        if self.rewind and not self.level and not self.order and self.arm not in MEASUREMENTS:
            raise BadInput(f"rewind {self.rewind}: the dense network is one for all rewind steps, its own is 0")
        if (self.pull != 0) != bool({self.arm, self.subject} & {*PULLED}):
            raise BadInput(f"pull {self.pull}: the arms {', '.join(PULLED)} have one, and no other")
        if {self.arm, self.subject} & {*REDRAWN} and self.draw < 1:
            raise BadInput(f"draw {self.draw}: draw 0 is the initialization itself, a reinitialization is 1 or more")

    def key(self) -> str:
        """sha256 of the canonical JSON of every field; 24 hexadecimal digits of it."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def to_dict(self) -> dict:
        """Every field, defaults included, as JSON knows it; fields of `ADDED` only when not at their old value."""
        spec = {field.name: getattr(self, field.name) for field in fields(self)} | {"drops": list(self.drops)}
        return {name: value for name, value in spec.items() if name not in ADDED or value != ADDED[name]}

    @classmethod
    def from_dict(cls, spec: dict) -> "Cell":
        """The cell a record describes. An unknown field, or one that is missing and was never added, is an error."""
        known = {field.name for field in fields(cls)}
        if unknown := set(spec) - known:
            raise BadInput(f"unknown cell field {', '.join(sorted(unknown))}")
        if missing := known - set(spec) - set(ADDED):
            raise BadInput(f"cell field {', '.join(sorted(missing))} is missing")
        return cls(**{**ADDED, **spec})

    def but(self, **changes) -> "Cell":
        """A copy with some fields changed."""
        return replace(self, **changes)


def _number(name: str, value, kind: type):
    """`value` as an int or a float; BadInput where it is none, not finite, or not whole where it must be."""
    if not isinstance(value, Real) or not isfinite(value) or (kind is int and value != int(value)):
        raise BadInput(f"{name} {value}: must be a {'whole ' if kind is int else ''}number")
    return kind(value)


POINTS = 60
"""Most points of a line, and of any curve that is recorded."""
LEAST = {"steps": 1, "batch": 1, "level": 0, "rewind": 0, "warmup": 0, "replicate": 0, "order": 0, "points": 2}
"""The smallest value of a field."""
ADDED: dict = {"schedule": "resumed", "subject": "ticket", "points": 30, "pull": 0.0}
"""Fields added after the first records were written, with the value that all earlier records had."""
FIELDS = tuple(field.name for field in fields(Cell))
SEEDED = ("arm", "level", "sigma", "rewind", "replicate", "draw", "order", "schedule", "subject", "points", "pull")
"""Fields that tell the networks of one experiment apart; they share task, training and pruning."""


def unseeded(cell: Cell) -> Cell:
    """The experiment a cell belongs to: its fields but for `SEEDED`, which take their defaults."""
    return replace(cell, **{name: Cell.__dataclass_fields__[name].default for name in SEEDED})


def like(table, cell: Cell):
    """The rows of a tidy table that belong to the experiment of `cell`."""
    chosen = table["drops"].map(tuple) == cell.drops
    for name in set(FIELDS) - {*SEEDED, "drops"}:
        chosen &= table[name] == getattr(cell, name)
    return table[chosen.astype(bool)]
