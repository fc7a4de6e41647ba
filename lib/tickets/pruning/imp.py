"""Iterative magnitude pruning: the weights and the mask that a network starts training with.

The procedure of Frankle & Carbin 2019, section 2: train, remove the weights of smallest magnitude, return the survivors
to the values they had at the rewind step (0: their initialization; section 4.1 of Frankle et al. 2019 for later
steps), train again. A network starts from what earlier networks left; each arm says how in its row (`arms`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arms import ARMS
from ..cells import Cell
from ..seeds import stream
from . import prune, scores
from .masks import Mask, Weights, final, mask_at, pruned_at


@dataclass(frozen=True)
class Start:
    """What a network starts training with.

    weights: of every parameter, whatever the mask; mask: pruned weights are set to zero and stay there, or stay as they
    are in `weights` where frozen. goal, pull: its loss falls by pull times the cosine of its kept weights to those of
    goal (pull 0: no goal).
    """

    weights: Weights
    mask: Mask
    goal: Weights | None = None
    pull: float = 0.0
    frozen: bool = False

    def begun(self) -> Weights:
        """Every parameter as training begins."""
        return dict(self.weights) if self.frozen else self.mask.apply(self.weights)


def starts(cells: Sequence[Cell], model, store) -> list[Start]:
    """What each cell starts with; what its parents left must be in the store."""
    return [ARMS[cell.arm].start(cell, model, store, returned_to(cell, model, store)) for cell in cells]


def returned_to(cell: Cell, model, store) -> Weights:
    """The weights W_k that a cell returns to: initial ones, or its trunk's at the rewind step, kept by the store.

    Only weights are carried over: the optimizer of a copy or of a ticket begins anew at W_k, while the dense network's
    went on.
    """
    return dict(store.rewound(cell)) if cell.rewind else initial(cell, model)


def initial(cell: Cell, model) -> Weights:
    """The initialization of a cell's replicate, or the fresh one of its draw."""
    return model.init(stream("init", cell.replicate, draw=cell.initialization), cell.init)


def dense_mask(model) -> Mask:
    """The mask that keeps every prunable weight."""
    return Mask.full({name: model.shapes[name] for name in model.prunable})


def next_mask(cell: Cell, model, saliency: Weights, mask: Mask) -> Mask:
    """One round: a mask from scores (the lowest go) and one before; an output layer of rate 0 counts, kept whole."""
    if cell.scope == "global":
        whole = {n: s + np.inf for n, s in saliency.items() if model.kind[n] == "output" and not cell.output_rate}
        return prune.keep_top_global({**saliency, **whole}, mask, mask.kept - round(cell.rate * mask.kept))
    return prune.keep_top(saliency, mask, ladder(cell, model))


def ladder(cell: Cell, model) -> dict[str, int]:
    """Kept weights of each layer at `cell`'s level; its rate is that of its kind (Frankle & Carbin 2019, Fig. 2)."""
    rates = {"dense": cell.rate, "conv": cell.conv_rate, "output": cell.output_rate}
    sizes = {name: int(np.prod(model.shapes[name])) for name in model.prunable}
    return prune.ladder(sizes, {name: rates[kind] for name, kind in model.kind.items()}, cell.level)


def ticket(cell: Cell, model, store, weights: Weights) -> Start:
    """The ticket of a level, or the dense network: the start of the arm that all others are branches of."""
    if cell.level == 0:
        return Start(weights, dense_mask(model))
    trained, mask = left(cell.ticket(cell.level - 1), model, store)
    return Start(weights, next_mask(cell, model, scores.magnitude(trained, model.prunable), mask))


def left(cell: Cell, model, store) -> tuple[Weights, Mask]:
    """The final weights of a trained network, and its mask."""
    found = store.tensors(cell)
    return final(found), _mask(pruned_at(found), cell.level, model)


def ticket_mask(cell: Cell, model, store) -> Mask:
    """The mask of the ticket at a cell's level."""
    return _mask(store.levels(cell.ticket(cell.level)), cell.level, model)


def _mask(found: Weights, level: int, model) -> Mask:
    """The mask of a level, its layers from input to output again, which a file does not keep."""
    return mask_at({name: found[name] for name in model.prunable}, level)
