"""Arms of chapter 3 in which no weight is trained: masks of untrained weights, read from a training or learned."""

from functools import partial

from ...arms import Arm, brought, declare
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


def likely(cell, model, store, device):
    """What a learned mask has become."""
    from .ladder import measure_learned  # brings torch

    return measure_learned(cell, scored(cell)[0], model, store, device)


def scored(cell) -> list:
    """The network whose scores a measurement reads."""
    return [cell.but(arm="supermask", **cell.own)]


def dense(cell) -> list:
    """The network whose weights a measurement takes, untrained and trained."""
    return [cell.dense()]


SCORED = {"constant": False, "rescaled": False}
in_ladder = partial(brought, f"{__package__}.ladder")
declare(
    supermask=Arm(
        "learned mask", start=supermask, parents=lambda cell: [], own=SCORED,
        check=check_supermask, together="supermask", path=score_path, keeps_more=True,
    ),
    untrained=Arm(
        "masks of untrained weights", measure=brought(f"{__package__}.untrained", "measure"), parents=dense,
    ),
    null_ladder=Arm(
        "what is left of an untrained mask", measure=in_ladder("measure"), parents=dense, own={"constant": False},
    ),
    pixels=Arm("pixels that masks keep", measure=in_ladder("measure_pixels"), parents=dense),
    likely=Arm("likeliest learned mask", measure=likely, parents=scored, own=SCORED),
)  # fmt: skip
