"""Arms of chapter 3: chains by any criterion and action, and tickets altered once."""

import numpy as np

from ...arms import Arm, declare
from ...errors import BadInput, choose
from ...pruning import imp, prune
from ...pruning.imp import Start
from ...pruning.masks import final
from ...seeds import stream
from ..supermasks.criteria import AT_INIT, BY_GRADIENT, CRITERIA, scores
from .actions import ANEW, ONES, RULED, ZEROS

PLAIN = {"ones": "rewind", "zeros": "zero"}
CONTROLS = ("random_zeros", "reversed_rule")


def deconstructed(cell, model, store, weights):
    """Iterative pruning by any criterion, and in every round the same actions on kept and on pruned weights.

    Criteria compare with the weights returned to. As in the authors' code, actions act on what the round before began
    with, where that makes a difference.
    """
    generator, name = stream("mask", cell.replicate, draw=cell.draw), cell.own["criterion"]
    if name in AT_INIT:
        full = imp.dense_mask(model)
        found = scores(name, weights, weights, full, generator)
        return _acted(cell, model, weights, prune.keep_top(found, full, imp.ladder(cell, model)))
    if name in BY_GRADIENT:
        return _acted(cell, model, weights, _by_gradient(cell, model, weights))
    trained, mask = imp.left(level_before(cell), model, store)
    mask = imp.next_mask(cell, model, scores(name, weights, trained, mask, generator), mask)
    began = weights
    if cell.level > 1 and _anew(cell):
        began = deconstructed(level_before(cell), model, store, weights).weights
    return _acted(cell, model, began, mask, trained)


def _by_gradient(cell, model, weights):
    """The mask of a chain without training: each round asks the weights returned to, under the mask so far."""
    from ..pruning_at_init.scores import of_network  # brings torch

    mask = imp.dense_mask(model)
    for level in range(1, int(cell.level) + 1):
        found = of_network(cell.own["criterion"], cell, model, weights, mask)
        mask = imp.next_mask(cell.but(level=level), model, found, mask)
    return mask


def level_before(cell):
    """The network of the level before in a chain; the dense one before the first."""
    return cell.but(level=cell.level - 1) if cell.level > 1 else cell.dense()


def in_chain(cell) -> list:
    """What a chain goes on from: the level before, or all levels where an action acts on what that one began with."""
    if cell.own["criterion"] in (*AT_INIT, *BY_GRADIENT):
        return []
    levels = range(1, int(cell.level)) if _anew(cell) else range(max(1, int(cell.level) - 1), int(cell.level))
    return [*([cell.dense()] if _anew(cell) or cell.level == 1 else []), *(cell.but(level=level) for level in levels)]


def _anew(cell) -> bool:
    return cell.own["ones"] in ANEW or cell.own["zeros"] in ANEW


def altered(cell, model, store, weights):
    """Chapter 1's ticket with such actions once, at this level; trained weights are those of the dense network."""
    trained = final(store.tensors(cell.dense())) if cell.own["zeros"] in RULED else None
    return _acted(cell, model, weights, imp.ticket_mask(cell, model, store), trained)


def altered_from(cell) -> list:
    """The ticket of its level, and the dense network where a rule asks what training did."""
    return [*([cell.dense()] if cell.own["zeros"] in RULED else []), cell.ticket(cell.level)]


def _acted(cell, model, weights, mask, trained=None) -> Start:
    generator = stream("redraw", cell.replicate, cell.level, cell.draw)
    fresh, begun = model.init(generator, cell.init), dict(weights)
    held = imp.initial(cell, model) if cell.own["zeros"] == "freeze_at_init" else weights
    for name, kept in mask.items():
        w = ONES[cell.own["ones"]](weights[name], kept, fresh[name], generator)
        w1 = trained[name] if trained else held[name]
        begun[name] = ZEROS[cell.own["zeros"]](w, held[name], w1, kept, generator).astype(np.float32)
    return Start(begun, mask, frozen=cell.own["zeros"] != "zero")


def check_actions(cell) -> None:
    """BadInput for an unknown action, or for weight decay, which would move what is frozen."""
    choose("ones", cell.own["ones"], ONES)
    choose("zeros", cell.own["zeros"], ZEROS)
    if cell.weight_decay and cell.own["zeros"] != "zero":
        raise BadInput(f"zeros {cell.own['zeros']}: frozen weights need weight decay 0, it would move them")


def check_altered(cell) -> None:
    """BadInput where nothing is altered: that would be the ticket itself, under another name."""
    check_actions(cell)
    if dict(cell.own) == PLAIN:
        raise BadInput("altered: name an action on kept or on pruned weights")


def check_chain(cell) -> None:
    """BadInput for chapter 1's own chain, and for what is not made for chains."""
    check_actions(cell)
    own = dict(cell.own)
    name = choose("criterion", own.pop("criterion"), (*CRITERIA, *BY_GRADIENT))
    if own == PLAIN and name == "large_final":
        raise BadInput("deconstructed: large_final, rewind and zero make the ticket of chapter 1")
    if own != PLAIN and name in (*AT_INIT, *BY_GRADIENT):
        raise BadInput(f"criterion {name}: asks for no training, and is made without actions")
    choose("zeros of a chain", own["zeros"], [name for name in ZEROS if name not in CONTROLS])


declare(
    deconstructed=Arm(
        "chain by another criterion or action", start=deconstructed, parents=in_chain,
        own={"criterion": "large_final", **PLAIN}, check=check_chain,
    ),
    altered=Arm(
        "ticket altered once", start=altered, parents=altered_from, own=PLAIN, check=check_altered, mask_suffices=True,
    ),
)  # fmt: skip
