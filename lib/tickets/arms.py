"""Arms: what a network of an experiment is, or what is measured on networks. A chapter declares its own, a row each.

    declare(noise=Arm("noisy ticket", start=noise, own={"sigma": 0.0}, mask_suffices=True))

But for the ticket nothing outside a chapter asks for an arm by name: its row says what planning and judging must know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from .errors import BadInput


def _of_its_ticket(cell) -> list:
    return [cell.ticket(cell.level)]


def _nothing(cell) -> None:
    pass


def brought(module: str, name: str) -> Callable:
    """A function of a module that is imported at its first call: to list cells must not load torch."""
    return lambda *given: getattr(import_module(module), name)(*given)


@dataclass(frozen=True)
class Arm:
    """One row.

    label          how pages name it
    start          (cell, model, store, weights it returns to) -> `pruning.imp.Start`; of a network
    measure        (cell, model, store, device) -> (scalars, curves); of a measurement, which has no `start`
    parents        cell -> the cells that it starts from or measures, nearest last; by default the ticket of its level
    own            its own parameters with their defaults. A parameter at its default is not in a cell's JSON: so a
                   default never changes, and a parameter added later has the value that all earlier records had
    check          cell -> None; BadInput where its parameters do not fit together
    mask_suffices  of the last parent no more than the mask is needed, which may be a recorded one
    redrawn        cell -> whether its initial weights are another draw than its ticket's; such a cell has draw >= 1
    between        it may lie between two rungs of the ladder
    together       cells of one word may train together; of a measurement its own name
    dense          it is computed as if no weight were pruned: the path must not be confounded with density
    path           (model, device) -> a path of `training.train` of its own; None: weights are trained under a mask
    keeps_more     it keeps more weights than the ticket of its level
    colour         place in the palette of figures; None: it stands in tables only
    """

    label: str
    start: Callable | None = None
    measure: Callable | None = None
    parents: Callable = _of_its_ticket
    own: Mapping[str, object] = field(default_factory=dict)
    check: Callable = _nothing
    mask_suffices: bool = False
    redrawn: Callable = lambda cell: False
    between: bool = False
    together: str = "network"
    dense: bool = False
    path: Callable | None = None
    keeps_more: bool = False
    colour: int | None = None


ARMS: dict[str, Arm] = {}
"""Every arm that a chapter has declared."""


def declare(**arms: Arm) -> None:
    """Add arms by their names; BadInput for a name that is taken or a parameter with another default elsewhere."""
    known = own_defaults()
    for name, arm in arms.items():
        if name in ARMS:
            raise BadInput(f"arm {name}: declared twice")
        if (arm.start is None) == (arm.measure is None):
            raise BadInput(f"arm {name}: has either a start or a measure")
        for parameter, default in arm.own.items():
            if known.setdefault(parameter, default) != default:
                raise BadInput(f"arm {name}: {parameter} has the default {known[parameter]!r} elsewhere")
    ARMS.update(arms)


def own_defaults() -> dict[str, object]:
    """Every own parameter of any arm, with its default: columns of a tidy table."""
    return {name: default for arm in ARMS.values() for name, default in arm.own.items()}


def measures(name: str) -> bool:
    """Whether an arm is a measurement on networks and no network."""
    return ARMS[name].measure is not None
