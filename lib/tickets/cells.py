"""A cell: the frozen description of one result, the key by which every store finds it, and its neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from math import isfinite
from numbers import Real

from .arms import ARMS, measures
from .errors import BadInput, choose
from .files import digest


class Own(Mapping):
    """The own parameters of an arm, read as `cell.own["sigma"]`: immutable, hashable."""

    def __init__(self, values: Mapping):
        self._values = dict(values)

    def __getitem__(self, name):
        return self._values[name]

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)

    def __hash__(self):
        return hash(frozenset(self._values.items()))

    def __repr__(self):
        return repr(self._values)


@dataclass(frozen=True)
class Cell:
    """Everything that determines a number: one trained network, or one measurement on trained networks.

    Steps count minibatches; rates are fractions of the surviving weights removed in one round. The precision belongs to
    a cell; the device and the version of the code do not, they are provenance. A field added later must default to what
    all earlier records had (its default enters the key only when it is not that value, see `ADDED`).
    """

    # the task
    dataset: str = "mnist"
    inputs: str = "unit"  # pixels in [0, 1]; "standard": minus mean, over standard deviation; "given": as they are
    augment: str = "none"  # or "flip_crop"; "resized_crop" for images on disk
    model: str = "lenet-300-100"
    init: str = "glorot"  # or "kaiming": the spread of initial weights
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
    level: float = 0  # pruning rounds; some arms may lie between two rungs of the ladder
    # random streams
    replicate: int = 0
    draw: int = 0  # of an initialization, a random mask, a redraw, a noise
    order: int = 0  # of the data from the rewind step on; the dense network in a second order is the A/A arm
    # numbers
    precision: str = "float32"
    schedule: str = "resumed"  # at the rewind step; "restarted": all steps again from there, a branch of the ladder
    micro_batch: int = 0  # images that a step takes in, and batch normalization sees, at a time; 0: the whole batch
    # the arm's own parameters
    own: Own = field(default_factory=lambda: Own({}))

    def __post_init__(self, names=None):  # noqa: RUF033, no field: `but` names what it changed
        """Give fields their one form, and refuse what does not fit. names: those that may be in another (None: all)."""
        for name in FIELDS if names is None else names:
            if name in CHOICES:
                choose(name, getattr(self, name), CHOICES[name])
            elif name in NUMBERS:  # 0 and 0.0 are one number but two JSON texts, and equal cells would have two keys
                self.__dict__[name] = _number(name, getattr(self, name), NUMBERS[name])
        level = int(self.level) if self.level == int(self.level) else self.level
        if not isinstance(self.drops, list | tuple):
            raise BadInput(f"drops {self.drops}: must be a list of steps")
        drops = tuple(_number("drops", step, int) for step in self.drops)
        self.__dict__.update(level=level, drops=drops, own=_own(self.arm, self.own))
        self._check()
        ARMS[self.arm].check(self)

    def _check(self):
        for name in ("rate", "conv_rate", "output_rate", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"{name} {getattr(self, name)}: must lie in [0, 1)")
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise BadInput(f"{name} {getattr(self, name)}: must be {least} or more")
        if self.augment == "resized_crop" and self.dataset != "imagenet":
            raise BadInput("augmentation resized_crop: needs images on disk, dataset imagenet")
        if self.rewind >= self.steps:
            raise BadInput(f"rewind {self.rewind}: must come before the last step, {self.steps}")
        if self.level != int(self.level) and not ARMS[self.arm].between:
            may = ", ".join(name for name, arm in ARMS.items() if arm.between)
            raise BadInput(f"level {self.level}: only {may} may lie between two rungs")
        if self.rewind and self.is_dense and not self.order:
            raise BadInput(f"rewind {self.rewind}: the dense network is one for all rewind steps, its own is 0")
        if self.draw and self.arm == "ticket" and self.level:
            raise BadInput(f"draw {self.draw}: a ticket's initialization is draw 0")
        if ARMS[self.arm].redrawn(self) and self.draw < 1:
            raise BadInput(f"draw {self.draw}: draw 0 is the initialization itself, a reinitialization is 1 or more")

    # identity

    @lru_cache(maxsize=100_000)  # noqa: B019, cells are values and live as long as their study
    def key(self) -> str:
        """sha256 of the canonical JSON of `to_dict`; 24 hexadecimal digits of it."""
        return digest(self.to_dict(), 24)

    def to_dict(self) -> dict:
        """Every field, as JSON knows it; those of `ADDED`, and own parameters, only where unlike their defaults."""
        spec = {name: getattr(self, name) for name in FIELDS} | {"drops": list(self.drops)}
        spec = {name: value for name, value in spec.items() if name not in ADDED or value != ADDED[name]}
        return spec | {name: value for name, value in self.own.items() if value != ARMS[self.arm].own[name]}

    @classmethod
    def from_dict(cls, spec: dict) -> "Cell":
        """The cell a record describes. An unknown field, or one that is missing and was never added, is an error."""
        arm = choose("arm", spec.get("arm"), ARMS)
        own = {name: value for name, value in spec.items() if name in ARMS[arm].own}
        if unknown := set(spec) - {*FIELDS, *own}:
            raise BadInput(f"unknown cell field {', '.join(sorted(unknown))}")
        if missing := {*FIELDS} - set(spec) - set(ADDED):
            raise BadInput(f"cell field {', '.join(sorted(missing))} is missing")
        return cls(**{name: value for name, value in {**ADDED, **spec}.items() if name in FIELDS}, own=own)

    def unlike_defaults(self) -> dict:
        """The fields and own parameters that are not at their defaults: what has to be said of a network."""
        spec, plain = self.to_dict(), Cell().to_dict()
        return {name: value for name, value in spec.items() if name not in plain or value != plain[name]}

    def but(self, **changes) -> "Cell":
        """A copy with some fields or own parameters changed; of another arm it has that arm's own ones only."""
        named = {name: changes.pop(name) for name in FIELDS if name in changes}
        kept = dict(self.own) if named.get("arm", self.arm) == self.arm else {}
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, **named, own=kept | changes)
        other.__post_init__(named)
        return other

    # neighbours

    @property
    def is_dense(self) -> bool:
        """Whether it is a network that nothing was pruned from."""
        return self.arm == "ticket" and not self.level

    def dense(self) -> "Cell":
        """The dense network of its replicate. Rewinding does not change it: it is the trunk for all rewind steps."""
        return self.but(**BRANCH, level=0, rewind=0)

    def ticket(self, level: int) -> "Cell":
        """The ticket of its replicate at a level of its own ladder; level 0 is the dense network."""
        return self.but(**BRANCH, level=level) if level else self.dense()

    @property
    def initialization(self) -> int:
        """The draw of its initial weights: one full draw serves all levels."""
        return self.draw if self.is_dense or ARMS[self.arm].redrawn(self) else 0

    def trunk(self) -> "Cell":
        """The dense network whose weights at the rewind step it returns to; that of another draw stops there."""
        stopped = {"steps": self.rewind} if ARMS[self.arm].redrawn(self) else {}
        return self.dense().but(draw=self.initialization, **stopped)

    @lru_cache(maxsize=100_000)  # noqa: B019, likewise; the list is shared, nobody changes it
    def parents(self) -> list["Cell"]:
        """The cells that it starts from or measures, nearest last. The dense network has none."""
        found = ARMS[self.arm].parents(self)
        return found if not self.rewind or self.trunk() in found else [self.trunk(), *found]

    @property
    def first_step(self) -> int:
        """The step of its schedule at which it starts."""
        return 0 if self.schedule == "restarted" else self.rewind

    @property
    def kind(self) -> str:
        """What may train, or be measured, together has one word."""
        return self.arm if measures(self.arm) else ARMS[self.arm].together

    def __str__(self):
        return f"{self.model} {self.arm} level {self.level} replicate {self.replicate} ({self.key()})"


CHOICES = {
    "arm": ARMS,
    "inputs": ("unit", "standard", "given"),
    "init": ("glorot", "kaiming"),
    "augment": ("none", "flip_crop", "resized_crop"),
    "optimizer": ("adam", "sgd"),
    "scope": ("layerwise", "global"),
    "precision": ("float32", "float64"),
    "schedule": ("resumed", "restarted"),
}
COUNTED = ("level", "rewind", "warmup", "replicate", "draw", "order", "micro_batch")
LEAST = {"steps": 1, "batch": 1, **dict.fromkeys((*COUNTED, "learning_rate", "momentum", "weight_decay"), 0)}
"""The smallest value of a field."""
ADDED: dict = {"schedule": "resumed", "micro_batch": 0, "init": "glorot"}
"""Fields added after the first records were written, with the value that all earlier records had."""
FIELDS = tuple(entry.name for entry in fields(Cell) if entry.name != "own")
NUMBERS = {entry.name: entry.type for entry in fields(Cell) if entry.type in (int, float)}
BRANCH = {"arm": "ticket", "draw": 0, "order": 0, "schedule": "resumed"}
"""What tells the branches of a ladder from its tickets, own parameters aside."""
SEEDED = ("arm", "level", "rewind", "replicate", "draw", "order", "schedule")
"""Fields that, with the own parameters, tell the networks of one experiment apart; they share the others."""


def _own(arm: str, given: Mapping) -> Own:
    declared = ARMS[arm].own
    if unknown := sorted(set(given) - set(declared)):
        raise BadInput(f"{unknown[0]}: no parameter of arm {arm}, which has {', '.join(declared) or 'none of its own'}")
    values = {name: given.get(name, default) for name, default in declared.items()}
    return Own({name: _alike(name, value, type(declared[name])) for name, value in values.items()})


def _alike(name: str, value, kind: type):
    """`value`, where it is of the kind of its default; a number in the form of the default."""
    if kind in (int, float):
        return _number(name, value, kind)
    if not isinstance(value, kind):
        raise BadInput(f"{name} {value!r}: must be of kind {kind.__name__}")
    return value


def _number(name: str, value, kind: type):
    """`value` as an int or a float; BadInput where it is none, not finite, or not whole where it must be."""
    if not isinstance(value, (kind, Real)) or not isfinite(value) or (kind is int and value != int(value)):
        raise BadInput(f"{name} {value}: must be a {'whole ' if kind is int else ''}number")
    return kind(value) + kind(0)  # no zero has a sign


@lru_cache(maxsize=100_000)
def unseeded(cell: Cell) -> Cell:
    """The experiment a cell belongs to: its dense network, of replicate 0."""
    return cell.but(**{name: Cell.__dataclass_fields__[name].default for name in SEEDED})


def like(table, cell: Cell):
    """The rows of a tidy table (it has a column `cell`) that belong to the experiment of `cell`."""
    return table.loc[[unseeded(one) == unseeded(cell) for one in table["cell"]]]
