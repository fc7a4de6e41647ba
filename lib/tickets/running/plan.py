"""Planning: which populations must be trained, in which order, and what each network leaves for others."""

import re
from functools import cache, partial
from itertools import chain

from ..arms import ARMS
from ..cells import Cell, unseeded
from ..errors import BadInput
from ..results.store import Store

Population = tuple[Cell, ...]
DONE, PAUSED, DIED = "done", "paused", "died"
AGAIN = "again"
"""What it starts from is outdated: planned again, its chain begins anew."""
KILLED = "The worker process was killed when it computed nothing but this population."
"""How a population can end; anything else is the traceback of its failure."""
WEIGHTS = "weights"
Leaves = dict[Cell, frozenset]
"""Cell -> what later cells need of it: WEIGHTS, final ones with the mask, and steps, whose weights they return to."""


def plan(cells, store: Store, device="cpu", shard="1/1") -> list[Population]:
    """The populations that must be trained, parents before children, otherwise in the order of the missing `cells`.

    Populations are cut from all cells of the shard, then those with nothing missing are dropped: what is trained
    together never depends on what happens to be there already. What is trained again, for its weights, comes just
    before the first cell that needs them, however early its own place is.
    """
    cells, lacks = in_shard(cells, shard), cache(partial(lacking, store=store))
    needed = dict.fromkeys(in_order([cell for cell in cells if cell not in store], lacks))
    groups, todo = populations(closure(cells), device), []
    while len(todo) < len(todo := [group for group in groups if any(cell in needed for cell in group)]):
        needed |= dict.fromkeys(in_order(chain.from_iterable(todo), lacks))  # all of a population are trained, or none
    return _groups_in_order(todo, needed, lacks)


def in_order(nodes, before) -> list:
    """`nodes` as they come, each after those that must be before it (node -> nodes), which are added."""
    found: dict = {}

    def visit(node) -> None:
        if node not in found:
            for other in before(node):
                visit(other)
            found[node] = None

    for node in nodes:
        visit(node)
    return list(found)


def lacking(cell: Cell, store: Store) -> list[Cell]:
    """The parents to train, again if need be, before `cell` can start. A recorded mask may be as good as its ticket."""
    found = ARMS[cell.arm].parents(cell)
    *others, last = found or [None]
    lost = [parent for parent in others if not store.has_tensors(parent)]
    if last and not (store.levels(last) is not None if ARMS[cell.arm].mask_suffices else store.has_tensors(last)):
        lost.append(last)
    if cell.rewind and cell.trunk() not in lost and store.rewound(cell) is None:
        lost.insert(0, cell.trunk())
    return lost


def closure(cells) -> list[Cell]:
    """`cells` with their ancestors, each before its children, in the order of `cells`."""
    return in_order(cells, Cell.parents)


def populations(cells, device="cpu") -> list[Population]:
    """Cut cells (parents first) into groups trained together: alike but for seeds, arm and mask, and equally deep.

    The size is a function of network and device: on a CPU stacking gains nothing for these networks.
    """
    depth: dict[Cell, int] = {}
    groups: dict[tuple, list[Cell]] = {}
    for cell in cells:
        depth[cell] = 1 + max((depth[parent] for parent in cell.parents()), default=-1)
        place = unseeded(cell), depth[cell], cell.rewind, cell.first_step, cell.kind
        groups.setdefault(place, []).append(cell)
    size = lambda cell: population_size(cell.model, device)  # noqa: E731
    cut = [tuple(g[i : i + size(g[0])]) for g in groups.values() for i in range(0, len(g), size(g[0]))]
    return _groups_in_order(cut, cells, Cell.parents)


def _groups_in_order(groups: list[Population], cells, parents) -> list[Population]:
    """Groups in the order of `cells`, each after the groups that its cells start from (cell -> `parents`)."""
    home, turn = {cell: group for group in groups for cell in group}, {cell: i for i, cell in enumerate(cells)}
    first = sorted(groups, key=lambda group: min(turn[cell] for cell in group))
    return in_order(first, lambda group: [home[parent] for cell in group for parent in parents(cell)])


def population_size(model: str, device) -> int:
    """Networks trained together on a device."""
    if not str(device).startswith("cuda"):
        return 1
    perceptron = model.startswith(("lenet", "mlp"))
    return 60 if perceptron else {"vgg-16": 5, "vgg-19": 5, "resnet-50": 1}.get(model, 10)


def in_shard(cells, text: str) -> list[Cell]:
    """The k-th of n parts for the text "k/n": whole replicates of an experiment, as their networks need each other."""
    part, parts = map(int, text.split("/")) if re.fullmatch(r"\d+/\d+", text, re.ASCII) else (0, 0)
    if not 1 <= part <= parts:
        raise BadInput(f"shard {text!r}: give k/n with 1 <= k <= n")
    blocks = {block: i for i, block in enumerate(dict.fromkeys((unseeded(cell), cell.replicate) for cell in cells))}
    return [cell for cell in cells if blocks[unseeded(cell), cell.replicate] % parts == part - 1]


# what networks leave


def leaves(cells) -> Leaves:
    """What each of some cells, ancestors among them, has to leave for the others: every ticket leaves its weights."""
    found: dict[Cell, set] = {cell: {WEIGHTS} if cell.arm == "ticket" else set() for cell in cells}
    for cell in cells:
        for parent in ARMS[cell.arm].parents(cell):
            found.setdefault(parent, set()).add(WEIGHTS)
        if cell.rewind and cell.trunk().steps > cell.rewind:
            found.setdefault(cell.trunk(), set()).add(cell.rewind)
    return {cell: frozenset(needs) for cell, needs in found.items()}


def wanted(found: Leaves, todo: list[Population], store: Store) -> Leaves:
    """The same, less the final weights of networks that have their records and that nothing planned starts from."""
    planned = [cell for group in todo for cell in group]
    starting = {parent for cell in planned for parent in ARMS[cell.arm].parents(cell)}
    starting |= {cell.trunk() for cell in planned if cell.rewind and cell.trunk().steps == cell.rewind}
    idle = lambda cell: cell in store and cell not in starting  # noqa: E731
    return {cell: needs - {WEIGHTS} if idle(cell) else needs for cell, needs in found.items()}


def left(cell: Cell, store: Store, needs: frozenset) -> bool:
    """Whether a cell's record and all that it has to leave are there."""
    return cell in store and (WEIGHTS not in needs or store.has_tensors(cell)) and not missing_steps(cell, store, needs)


def missing_steps(cell: Cell, store: Store, needs: frozenset) -> list[int]:
    """The steps whose weights are wanted of a dense network and are not there."""
    copy = lambda step: cell.but(order=1, rewind=step)  # noqa: E731, any cell that returns there
    return sorted(step for step in needs if step != WEIGHTS and store.rewound(copy(step)) is None)
