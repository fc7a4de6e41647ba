"""Arms: scores by edge-popup, what they are compared with, and what is measured on their masks."""

from functools import partial

from ...arms import Arm, brought, declare
from ...errors import BadInput
from ...pruning import imp
from ...pruning.imp import Start
from .recipes import compared, course_of, law, searched


def edge_popup(cell, model, store, weights):
    """Random weights, all of them in reach: what is trained is scores, by a path of its own."""
    return Start(law(cell, model, weights), imp.dense_mask(model))


def dense(cell, model, store, weights):
    """The dense network, whose weights are trained."""
    return Start(weights, imp.dense_mask(model))


def score_path(model, device) -> str:
    """The path that trains scores by edge-popup."""
    from . import search as search  # brings torch, and puts itself among the paths

    return "edge_popup-mlp" if _core(device) and model.widths else "edge_popup"


def sampled_path(model, device) -> str:
    """The path of chapter 3, at a rate that anneals."""
    from . import search as search

    return "sampled"


def dense_path(model, device) -> str:
    """The path that trains weights without biases."""
    from . import dense as dense

    if not _core(device) or not model.compiled:
        return "plain"
    return "plain-mlp" if model.widths else "plain-conv"


def redundant_path(model, device) -> str:
    """The path that trains scores of redundant networks."""
    from . import redundant as redundant  # puts itself among the paths

    return "redundant"


def _core(device) -> bool:
    return str(device).startswith("cpu")


def check_search(cell) -> None:
    """BadInput for another optimizer than the paper's, a rewind step, or a share that is none."""
    if cell.optimizer != "sgd" or cell.rewind or cell.dropout or cell.init != "kaiming":
        raise BadInput(f"{cell.arm}: scores over Kaiming weights, from initialization, by plain gradient descent")
    if not 0 < cell.own["keep"] <= 1 or (cell.own["scaled"] and cell.own["keep"] == 1):
        raise BadInput(f"keep {cell.own['keep']}: must lie in (0, 1], below 1 where the fan-in is scaled by the rest")


def check_sampled(cell) -> None:
    """BadInput for another optimizer, decay, or a rewind step."""
    if cell.optimizer != "sgd" or cell.rewind or cell.weight_decay or cell.dropout:
        raise BadInput("sampled: scores are trained from initialization, by plain gradient descent with momentum")


def check_redundant(cell) -> None:
    """BadInput for another search than edge-popup's, layers that have biases, or inputs below zero."""
    if cell.optimizer != "sgd" or cell.rewind or cell.dropout or cell.init != "kaiming" or cell.inputs != "unit":
        raise BadInput("redundant: scores over Kaiming weights, of pixels in [0, 1], by plain gradient descent")
    if not cell.model.startswith("fc-"):
        raise BadInput(f"redundant: {cell.model} has biases or convolutions; fc-500 has none")
    if not 0 < cell.own["keep"] <= 1 or cell.own["redundancy"] < 1:
        raise BadInput("redundant: keep must lie in (0, 1], redundancy must be 1 or more")


OWN = {"keep": 0.5, "constant": False, "scaled": False}
SEARCH = {"own": OWN, "check": check_search}
measured = partial(brought, f"{__package__}.measures")
declare(
    edge_popup=Arm(
        "edge-popup", start=edge_popup, parents=lambda cell: [], together="edge_popup", path=score_path,
        keeps_more=True, colour=17, **SEARCH,
    ),
    redundant=Arm(
        "edge-popup, redundant", start=brought(f"{__package__}.redundant", "start"), parents=lambda cell: [],
        own={"keep": 0.5, "redundancy": 5, "rectified": False}, check=check_redundant, together="redundant",
        path=redundant_path, keeps_more=True,
    ),
    sampled=Arm(
        "sampled mask", start=dense, parents=lambda cell: [], own={"constant": False}, check=check_sampled,
        together="sampled", path=sampled_path, keeps_more=True,
    ),
    trained=Arm(
        "dense, without biases", start=dense, parents=lambda cell: [], together="trained",
        path=dense_path, keeps_more=True,
    ),
    against=Arm("search against training", measure=measured("against"), parents=compared, **SEARCH),
    course=Arm("search over the share kept", measure=measured("course"), parents=course_of, **SEARCH),
    left_over=Arm("what is left of a search", measure=measured("left_over"), parents=searched, **SEARCH),
    first_layer=Arm("first layer of a search", measure=measured("first_layer"), parents=searched, **SEARCH),
)  # fmt: skip
