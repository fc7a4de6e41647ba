"""Arms of chapter 3 in which no weight is trained: masks of untrained weights, read from a training or learned."""

from ...arms import Arm, declare
from ...errors import BadInput
from ...pruning import imp
from ...pruning.imp import Start


def supermask(cell, model, store, weights):
    """Initial weights, all of them in reach: what is trained is scores, by a path of its own."""
    return Start(weights, imp.dense_mask(model))


def score_path(model, device) -> str:
    """The path that trains scores."""
    from . import learned  # brings numba and torch, and puts itself among the paths

    return learned.PATH


def check_supermask(cell) -> None:
    """BadInput for another optimizer than the paper's, or for a rewind step: nothing is pruned."""
    if cell.optimizer != "sgd" or cell.rewind or cell.weight_decay or cell.dropout:
        raise BadInput("supermask: scores are trained from initialization, by plain gradient descent with momentum")


def untrained(cell, model, store, device):
    """Accuracy of untrained networks under one-shot masks of every criterion, at every density."""
    from .untrained import measure  # brings torch

    return measure(cell, model, store, device)


declare(
    supermask=Arm(
        "learned mask", start=supermask, parents=lambda cell: [], own={"constant": False, "rescaled": False},
        check=check_supermask, together="supermask", path=score_path, keeps_more=True,
    ),
    untrained=Arm("masks of untrained weights", measure=untrained, parents=lambda cell: [cell.dense()]),
)  # fmt: skip
