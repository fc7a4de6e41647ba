"""Arms of chapter 5: a ticket of one network made to fit another, and what is set beside it.

The source's mask and the weights that it returns to are stretched or squeezed (`stretching`); rivals keep exactly as
many weights as the result, in that replicate. The replicate is the same: as networks of one family draw their layers in
order from one stream, layers of equal shape at equal places begin alike in source and target.
"""

import numpy as np

from ...arms import Arm, declare
from ...errors import BadInput, choose
from ...pruning import imp
from ...pruning.imp import Start
from ...pruning.masks import Mask, final
from ...pruning.prune import keep_top
from ...pruning.scores import random
from ...seeds import stream
from ..stretching import depth, width
from ..transfer.arms import CARRIED, network_of, permuted, returned_by

ORIGIN = {"source_model": "", "blocks": "append", "even": False, "unmapped": False}
"""Where a ticket comes from: the network of its source; the map of its units (`depth.parsed`); whether copies share
alike what left their unit (widths); whether the last hidden layer of a perceptron stays as it was drawn, and dense."""
ADDED = ("copied", "permuted", "snip")
"""Masks of the units that were added: copies, the same permuted within each layer, or SNIP's of as many weights."""
SCORES = ("snip", "grasp", "synflow", "magnitude")
DENSER, SPARSER = 4, 3
"""How many rungs up and down the target's ladder its own tickets are wanted, to interpolate between."""
OTHERS = ("copy", "own")
"""The other end of a line: the same network in another order of the data, or the target's own ticket of the level."""


def source(cell):
    """The ticket that is stretched or squeezed: of another network, at the same level and replicate."""
    return cell.ticket(cell.level).but(model=cell.own["source_model"])


def made(cell, model, store):
    """(weights, mask) of the source for the target; weights with running statistics where it has kept some."""
    origin = source(cell)
    there = network_of(origin, model)
    mask, weights, own = imp.ticket_mask(origin, there, store), returned_by(origin, there, store), cell.own
    if width.across(there, model):
        weights, mask = width.widened(weights, mask, there, model, stream("noise", cell.replicate), own["even"])
    else:
        weights, mask = (depth.reshaped(arrays, there, model, own["blocks"]) for arrays in (weights, mask))
    if own["unmapped"]:
        if not model.widths:
            raise BadInput(f"unmapped: {model.name} has no last hidden layer")
        layer, fresh = model.head[-2], imp.initial(cell.dense(), model)
        weights |= {name: fresh[name] for name in fresh if name.startswith(f"{layer}.")}
        mask = {**mask, f"{layer}.weight": np.ones(model.shapes[f"{layer}.weight"], bool)}
    return weights, Mask({name: mask[name] for name in model.prunable})


def elastic(cell, model, store, weights):
    """A stretched or squeezed ticket, or what is left where its mask, its weights or both are replaced.

    weights: the target's own, of another draw where they replace the source's.
    """
    own, carried = cell.own, cell.own["carried"]
    begun, mask = made(cell, model, store)
    generator = stream("mask", cell.replicate, draw=cell.draw)
    if own["added"] != "copied":
        mask = _added(cell, model, begun, mask, generator)
    if carried in ("weights", "nothing"):
        mask = permuted(mask, model, generator, "layer")
    begun = begun if carried in ("both", "weights") else weights
    return Start({name: begun[name] for name in model.shapes}, mask)


def _added(cell, model, weights, mask: Mask, generator) -> Mask:
    """The mask with that of every added unit replaced, layer by layer by as many weights."""
    units = depth.copies(network_of(source(cell), model), model, cell.own["blocks"])
    names = [name for name in mask if name.startswith(tuple(f"{unit}." for unit in units))]
    if not names:
        raise BadInput(f"added {cell.own['added']!r}: no unit of {cell.model} is a copy")
    full, counts = Mask.full({name: model.shapes[name] for name in names}), mask.counts()
    if cell.own["added"] == "permuted":
        found = random({name: model.shapes[name] for name in names}, generator)
    else:
        from ..pruning_at_init.scores import of_network  # brings torch

        found = of_network("snip", cell, model, weights, Mask({**mask, **full}))
    return Mask({**mask, **keep_top(found, full, counts)})


def early(cell, model, store, weights):
    """The target pruned before it is trained, at the weights that it returns to, to the elastic ticket's count.

    Over all layers; an output layer that iterative pruning leaves whole is whole here too.
    """
    from ..pruning_at_init.scores import mask_by  # brings torch

    count = made(cell, model, store)[1].kept
    held = [name for name, kind in model.kind.items() if kind == "output" and not cell.output_rate]
    mask = mask_by(cell.own["score"], cell, model, weights, imp.dense_mask(model), count, held)
    return Start({name: weights[name] for name in model.shapes}, mask)


def of_elastic(cell):
    """The elastic ticket of the same source, target and level."""
    own = {name: value for name, value in cell.own.items() if name in ORIGIN}
    return cell.ticket(cell.level).but(arm="elastic", **own)


def own_rungs(cell) -> list:
    """The target's own tickets around the level, and the elastic ticket whose density is looked up among them."""
    levels = range(max(0, int(cell.level) - DENSER), int(cell.level) + SPARSER + 1)
    return [*(cell.ticket(level) for level in levels), of_elastic(cell)]


READ = ("test_accuracy", "test_accuracy_end", "validation_accuracy_end")


def own_ticket(cell, model, store, device):
    """Accuracies of the target's own iterative tickets at the elastic ticket's density, log-interpolated between rungs.

    Without accuracies where that density lies beyond the rungs at hand. drift: the density over that of the source.
    """
    *tickets, target = own_rungs(cell)
    results = [store.get(one)["result"] for one in reversed(tickets)]  # sparse to dense
    density, there = (store.get(one)["result"]["density"] for one in (target, source(target)))
    scalars = {"density": density, "drift": density / there}
    logs, at = np.log([one["density"] for one in results]), np.log(density)
    if not logs[0] <= at <= logs[-1]:
        return scalars, {}
    return scalars | {name: float(np.interp(at, logs, [one[name] for one in results])) for name in READ}, {}


def chord_ends(cell) -> list:
    """The two networks of a line."""
    one = of_elastic(cell)
    return [one, one.but(order=1) if cell.own["other"] == "copy" else cell.ticket(cell.level)]


def chord(cell, model, store, device):
    """Errors on the straight line from the elastic network to its copy or to the target's own ticket (E8)."""
    from ...connectivity.lines import check_apart, line  # brings torch
    from ...connectivity.mixtures import Mixtures

    ends = [final(store.tensors(end)) for end in chord_ends(cell)]
    check_apart(ends, cell)
    return line(Mixtures(cell, model, ends, device), np.linspace(0, 1, cell.own["points"]))


def check_origin(cell) -> None:
    """BadInput for a source that is none, or the target itself."""
    if cell.own["source_model"] in ("", cell.model):
        raise BadInput(f"source_model {cell.own['source_model']!r}: must be another network than {cell.model}")


def check_elastic(cell) -> None:
    """BadInput for a source that is none, or for something carried or added that is unknown."""
    check_origin(cell)
    choose("carried", cell.own["carried"], CARRIED)
    choose("added", cell.own["added"], ADDED)
    if cell.own["added"] != "copied" and cell.own["carried"] != "both":
        raise BadInput(f"added {cell.own['added']!r}: everything else is carried over")


def check_early(cell) -> None:
    """BadInput for a source that is none, or an unknown score."""
    check_origin(cell)
    choose("score", cell.own["score"], SCORES)


def check_chord(cell) -> None:
    """BadInput for an unknown other end, or for fewer than two points."""
    check_origin(cell)
    choose("other", cell.own["other"], OTHERS)
    if not 2 <= cell.own["points"] <= 60:
        raise BadInput(f"points {cell.own['points']}: must be 2 to 60, what a recorded curve has")


declare(
    elastic=Arm(
        "elastic ticket", start=elastic, parents=lambda cell: [source(cell)], check=check_elastic, mask_suffices=True,
        own={**ORIGIN, "carried": "both", "added": "copied"}, keeps_more=True, colour=14,
        redrawn=lambda cell: cell.own["carried"] in ("mask", "nothing"),
    ),
    early=Arm(
        "pruned before training", start=early, parents=lambda cell: [source(cell)], check=check_early,
        own={**ORIGIN, "score": "snip"}, mask_suffices=True, keeps_more=True, colour=16,
    ),
    own_ticket=Arm(
        "own tickets at the elastic density", measure=own_ticket, parents=own_rungs, own=ORIGIN, check=check_origin,
    ),
    elastic_chord=Arm(
        "line from an elastic network", measure=chord, parents=chord_ends, check=check_chord,
        own={**ORIGIN, "other": "copy", "points": 30},
    ),
)  # fmt: skip
