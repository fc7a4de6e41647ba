"""The recorded tickets, to take away: mask, weights and record of a network by its name, verified, nothing trained.

from tickets.chapters.collection import ticket

found = ticket("01_winning_tickets", "LeNet", level=15, replicate=3)
"""

import json
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd
from safetensors import SafetensorError

from ..arms import measures
from ..cells import Cell, unseeded
from ..errors import BadInput, MachineFault, choose
from ..files import BOOK, array_digest
from ..pruning import imp
from ..pruning.masks import Mask, Weights, pruned_at
from ..results.store import Store, chain, deepest, read_masks
from . import STUDIES, networks


@dataclass(frozen=True)
class Ticket:
    """A network as it begins to train.

    weights: of every parameter, whatever the mask: `mask.apply(weights)` has the pruned ones at zero. record: its
    result, its curves and where they come from (see `results.records`); None where it was not trained.
    """

    cell: Cell
    mask: Mask
    weights: Weights
    record: dict | None


def ticket(
    study: str, network: str, level: float = 0, replicate: int = 0, profile="paper", source: Path | str = BOOK.parent,
    **fields,
) -> Ticket:  # fmt: skip
    """The ticket of a chapter's network after `level` rounds of pruning; level 0 is the dense network.

    fields: what else tells the networks of a ladder apart: `rewind` (a step, or its name such as k1000), and of an arm
    that needs no more than the ticket's mask its name, `draw` and own parameters (arm="reinit", draw=1). source: the
    folder of an unpacked release; by default the one that this library is in. Masks, and initial weights, which are
    drawn again, must have the digests that were recorded. BadInput for a name that is not there, a network that was not
    recorded or a file that was changed; MachineFault where this version of NumPy draws other numbers.
    """
    named = networks(profile)[choose("study", study, STUDIES)]
    net = named.cells[choose(f"network of {study}", network, named.cells)]
    rewind = {"rewind": named.step(network, fields.pop("rewind"))} if fields.get("rewind") else {}
    cell, store = net.but(replicate=replicate, level=level, **rewind, **fields), released(source)
    if measures(cell.arm):
        raise BadInput(f"arm {cell.arm}: a measurement and no network; its numbers are in the record of its cell")
    model, initial = drawn(cell)
    _check(cell, store, initial)
    if cell.arm != "ticket":
        try:
            (start,) = imp.starts([cell], model, store)
        except KeyError as error:
            raise BadInput(f"{cell}: begins from weights that are not recorded ({error.args[0]})") from error
    else:
        mask = imp.ticket_mask(cell, model, store) if cell.level else imp.dense_mask(model)
        start = imp.Start(imp.returned_to(cell, model, store), mask)
    record = store.get(cell)
    if record and record["result"]["kept"] != start.mask.kept:
        raise BadInput(f"{cell}: its mask keeps {start.mask.kept} weights, its record says {record['result']['kept']}")
    if record and record["provenance"].get("start", "") not in ("", store.start_of(cell)):
        raise BadInput(f"{cell}: it was trained from other weights than those recorded with its masks")
    return Ticket(cell, start.mask, start.weights, record)


@cache
def released(source: Path | str) -> Store:
    """What is recorded in the folder of a repository or of an unpacked release, read once; BadInput for another one."""
    recorded = Path(source) / "book" / "results"
    if not recorded.is_dir():
        raise BadInput(f"{source}: no unpacked release, it has no folder book/results")
    return Store(recorded / "none", recorded)


def chains(profile: str = "paper", source: Path | str = BOOK.parent) -> pd.DataFrame:
    """One row for each chain of tickets that has records, by the names of its network: what `ticket` can be asked for.

    study, network, rewind, replicate; levels: of its deepest ticket; key: of that; masks: whether they are recorded.
    """
    store = released(source)
    tickets = (Cell.from_dict(record["cell"]) for record in store.records.values())
    tickets = (cell for cell in tickets if cell.arm == "ticket" and cell.level and cell == cell.ticket(cell.level))
    found = [(unseeded(last), first, last) for first, last in deepest(tickets).items()]
    rows = [
        (study, network, last.rewind, last.replicate, last.level, last.key(), first in store.chains)
        for study, named in networks(profile).items()
        for network, net in named.cells.items()
        for experiment, first, last in found
        if experiment == unseeded(net)
    ]
    columns = ["study", "network", "rewind", "replicate", "levels", "key", "masks"]
    return pd.DataFrame(rows, columns=columns).sort_values(columns[:4], ignore_index=True)


def drawn(cell: Cell) -> tuple:
    """(the network of a cell, the initial weights of its replicate)."""
    from ..data import sources  # these bring torch
    from ..nets import models

    model = models.build(cell.model, *sources.described(cell.dataset))
    return model, imp.initial(cell.dense(), model)


def digests(store: Store) -> dict[str, dict[str, str]]:
    """What masks.json has to hold: of files that are in it already what it says, of others what they are now.

    Key of a file -> digest of its levels (masks), and of the initial weights of its chain (initial).
    """
    told = recorded_digests(store)
    return {
        path.stem: told.get(path.stem)
        or {"masks": array_digest(pruned_at(read_masks(path))), "initial": array_digest(drawn(first)[1])}
        for first, (_, path) in sorted(store.chains.items(), key=lambda item: item[1][1])
    }


def recorded_digests(store: Store) -> dict[str, dict[str, str]]:
    """What masks.json holds, see `digests`."""
    path = store.recorded / "masks.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _check(cell: Cell, store: Store, initial: Weights) -> None:
    """BadInput or MachineFault unless all that a ticket is made of is recorded, and as it was recorded."""
    depth, path = store.chains.get(chain(cell.ticket(1)), (-1, None))
    if depth < cell.level:
        raise BadInput(f"{cell}: its mask is not recorded; tickets.chapters.collection.chains() lists those that are")
    told = recorded_digests(store).get(path.stem, {"masks": "", "initial": ""})
    try:
        levels = pruned_at(read_masks(path))
    except (OSError, ValueError, SafetensorError, BadZipFile, zlib.error) as error:
        raise BadInput(f"{path.name}: not readable ({error})") from error
    if array_digest(levels) != told["masks"]:
        raise BadInput(f"{path.name}: not the masks that were recorded")
    if array_digest(initial) != told["initial"]:
        raise MachineFault(f"{cell}: NumPy {version('numpy')} draws other initial weights than those recorded")
    if cell.rewind and store.rewound(cell) is None:
        raise BadInput(f"{cell}: begins from weights that are not recorded, step {cell.rewind} of {cell.trunk()}")
