"""The networks of a study by the names that claims use, and where a contrast is read among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .arms import ARMS, measures
from .cells import FIELDS, Cell
from .errors import BadInput

PROFILES = ("smoke", "quick", "desk", "paper")
"""Sizes of a study: seconds, minutes, half a day, the paper's own. Claims are judged at all but the first."""
FREE = ("replicate", "draw")
"""Cell fields that place a network inside a contrast and never select it, unless a term names its draws."""


@dataclass(frozen=True)
class Networks:
    """The networks of one study at one profile.

    cells: name -> dense network of replicate 0; steps: name -> {named step, such as k1000: the step it is there}. A
    named step that is not listed is the number in its name.
    """

    cells: Mapping[str, Cell]
    steps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def step(self, network: str, name: str | int) -> int:
        """A step of a network; BadInput for a name that is none."""
        found = self.steps.get(network, {}).get(name, name)
        if isinstance(found, str) and not (found[:1] == "k" and found[1:].isdigit()):
            raise BadInput(f"step {name!r} of {network}: a number, or a name such as k1000")
        return int(found.removeprefix("k")) if isinstance(found, str) else found

    def described(self, name: str) -> dict | None:
        """What a claim's hash covers of a network: all that is unlike a plain cell, and its named steps."""
        if name not in self.cells:
            return None
        steps = dict(self.steps.get(name, {}))
        return self.cells[name].unlike_defaults() | ({"named steps": steps} if steps else {})


@dataclass(frozen=True)
class Scene:
    """Where a contrast is read: at one network, unless a term names another."""

    networks: Networks
    network: str

    def place(self, **fields) -> tuple | None:
        """What the cells of a term share, see `place`; None for a network that this profile lacks.

        Level 0 of every arm is the dense network, one for all rewind steps.
        """
        name = fields.pop("network", self.network)
        if name not in self.networks.cells:
            return None
        fields["rewind"] = self.networks.step(name, fields.get("rewind", 0))
        arm = fields.setdefault("arm", "ticket")
        if fields.get("level", 0) == 0 and not measures(arm):
            fields |= {"arm": "ticket", "rewind": fields["rewind"] if fields.get("order") else 0}
        own = {word: fields.get(word, default) for word, default in ARMS[fields["arm"]].own.items()}
        cell = self.networks.cells[name]
        return _placed({word: fields.get(word, getattr(cell, word)) for word in FIELDS}, own)


def place(cell: Cell) -> tuple:
    """All of a cell but `FREE`: replicates and draws of one network have one place."""
    return _placed({name: getattr(cell, name) for name in FIELDS}, dict(cell.own))


def _placed(spec: dict, own: dict) -> tuple:
    return tuple(spec[name] for name in FIELDS if name not in FREE), tuple(sorted(own.items()))


def mentioned(value, key: str = "") -> list[str]:
    """The names of networks in an entry of claims.yml: all that stands below the words network and forks."""
    below = key in ("network", "forks")
    if not isinstance(value, (Mapping, list)):
        return [value] if below and isinstance(value, str) else []
    inside = value.items() if isinstance(value, Mapping) else [(key, part) for part in value]
    return [name for word, part in inside if word != "by" for name in mentioned(part, key if below else word)]
