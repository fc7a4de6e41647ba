"""Arms of chapter 4: a network that starts from what another network's ticket carries, and how alike two masks are.

Where a ticket comes from is part of its recipe: the own parameters `source_...` say in what its network, the source,
differs from the one that is trained, the target. The replicate is the same. So at rewind step 0 both chains began from
one draw of the initial weights, halves of a dataset share no image, and a difference to the target's own ticket is due
to the source alone. A transferred ticket brings its initialization with it: which draw that is changes no mean over
replicates, that it is the same draw makes differences less noisy.
"""

import numpy as np

from ...arms import Arm, declare
from ...cells import CHOICES
from ...errors import BadInput, choose
from ...pruning import imp, prune, scores
from ...pruning.imp import Start
from ...pruning.masks import Mask
from ...seeds import stream

SOURCE = {"source_dataset": "", "source_optimizer": "", "source_rate": 0.0, "source_momentum": 0.0}
"""In what the source differs: its dataset, and its optimizer with learning rate and momentum. Empty: as the target."""
CARRIED = ("both", "mask", "weights", "nothing")
"""What is the source's: its mask and the weights under it; its mask on new weights; its weights under a random mask;
the number of kept weights alone (a random ticket, appendix A.2 of the paper: new weights, permuted mask)."""
PERMUTED = ("layer", "network")
"""Over what a mask is permuted: within each layer, or over all of them, as the paper's random tickets are."""


def source(cell):
    """The ticket that a cell's mask comes from: of another network, at the same level and replicate."""
    own, found = cell.own, cell.ticket(cell.level)
    if own["source_optimizer"]:
        rates = {"learning_rate": own["source_rate"], "momentum": own["source_momentum"]}
        found = found.but(optimizer=own["source_optimizer"], **rates)
    return found.but(dataset=own["source_dataset"] or cell.dataset)


def check_source(cell) -> None:
    """BadInput for a source that is the target itself, or whose optimizer is half described."""
    own = cell.own
    if own["source_optimizer"]:
        choose("source_optimizer", own["source_optimizer"], CHOICES["optimizer"])
    if bool(own["source_optimizer"]) != (own["source_rate"] > 0) or (own["source_momentum"] and not own["source_rate"]):
        raise BadInput(f"source_rate {own['source_rate']}: a source's optimizer and learning rate go together")
    if source(cell) == cell.ticket(cell.level):
        raise BadInput("source: must differ from the network itself in dataset or optimizer")


def check_transferred(cell) -> None:
    """BadInput for a source that is none, or for something carried or permuted that is unknown."""
    check_source(cell)
    choose("carried", cell.own["carried"], CARRIED)
    choose("permuted", cell.own["permuted"], PERMUTED)
    if cell.own["permuted"] == "network" and cell.own["carried"] in ("both", "mask"):
        raise BadInput("permuted 'network': the source's own mask is not permuted")


def transferred(cell, model, store, weights):
    """A network under what its source carries over; the rest is drawn at random.

    weights: of the target, or of another draw where they are not the source's. Random masks of one replicate and draw
    are the same whatever else is carried.
    """
    origin, carried = source(cell), cell.own["carried"]
    there = network_of(origin, model)
    mask = fitted(imp.ticket_mask(origin, there, store), model, stream("redraw", cell.replicate, cell.level, cell.draw))
    if carried in ("weights", "nothing"):
        mask = permuted(mask, model, stream("mask", cell.replicate, draw=cell.draw), cell.own["permuted"])
    if carried in ("both", "weights"):
        weights = received(returned_by(origin, there, store), imp.initial(cell, model), model)
    return Start(weights, mask)


def fitted(mask: Mask, model, generator) -> Mask:
    """A source's mask for the target; an output layer of other classes keeps the same share of weights, anywhere."""
    found = {}
    for name in model.prunable:
        if mask[name].shape != model.shapes[name]:
            count = round(mask[name].mean() * np.prod(model.shapes[name]))
            lottery = scores.random({name: model.shapes[name]}, generator)
            found[name] = prune.keep_top(lottery, Mask.full({name: model.shapes[name]}), {name: count})[name]
        else:
            found[name] = mask[name]
    return Mask(found)


def permuted(mask: Mask, model, generator, over: str) -> Mask:
    """As many weights as a mask keeps, in each layer or in the whole network, anywhere there."""
    lottery, full = scores.random({name: model.shapes[name] for name in mask}, generator), imp.dense_mask(model)
    if over == "network":
        return prune.keep_top_global(lottery, full, mask.kept)
    return prune.keep_top(lottery, full, mask.counts())


def received(weights, fresh, model):
    """A source's weights, but fresh ones in an output layer of other classes."""
    fits = lambda name: weights[name].shape == model.shapes[name]  # noqa: E731
    return {name: weights[name] if fits(name) else fresh[name] for name in model.shapes}


def overlap(cell, model, store, device):
    """How alike the masks of two tickets are, layer by layer and over all layers, against chance.

    common: weights that both keep; expected: product of the two densities times the layer's size, what masks keep in
    common that know nothing of each other; kappa: how far between that (0) and the most that is possible (1). Over all
    layers kappa is their mean, weighted by kept weights; a layer that nothing was pruned from has none. Of perceptrons
    also dark_...: share of a first layer's weights that read nothing of the target, see `dark`.
    """
    origin = source(cell).but(replicate=cell.replicate + cell.own["apart"])
    other, own = imp.ticket_mask(origin, network_of(origin, model), store), imp.ticket_mask(cell, model, store)
    scalars, kappas, kept = {}, [], []
    for i, name in enumerate(own, 1):
        if own[name].shape != other[name].shape:
            continue
        common, expected, most = shared(own[name], other[name])
        scalars |= {f"common_{i}": common, f"expected_{i}": expected}
        if most > expected:
            kappas.append((common - expected) / (most - expected))
            kept.append(int(own[name].sum()))
            scalars[f"kappa_{i}"] = kappas[-1]
    if model.widths:
        unlit, first = dark(cell), model.prunable[0]
        reads = {"own": own[first], "source": other[first], "any": np.ones_like(own[first])}
        scalars |= {f"dark_{name}": float(layer[:, unlit].sum() / layer.sum()) for name, layer in reads.items()}
    return scalars | {"kappa": float(np.average(kappas, weights=kept))}, {}


def dark(cell) -> np.ndarray:
    """Bool [pixels], where fewer than one in a hundred training images of a cell's dataset are lit."""
    from ...data import sources  # brings torch

    return ((sources.load(cell.dataset).train_images.flatten(1) > 0).float().mean(0) < 0.01).numpy()


def shared(one: np.ndarray, other: np.ndarray) -> tuple[int, float, int]:
    """(weights that two masks of a layer both keep, as many by chance, the most that is possible)."""
    kept = int(one.sum()), int(other.sum())
    return int((one & other).sum()), kept[0] * kept[1] / one.size, min(kept)


def network_of(origin, model):
    """The source's network; BadInput where its images are of another shape than those of the target."""
    from ...data import sources  # these bring torch
    from ...nets import models

    shape, classes = sources.described(origin.dataset)
    if shape != model.input_shape:
        wanted, given = ("x".join(map(str, one)) for one in (model.input_shape, shape))
        raise BadInput(f"source_dataset {origin.dataset}: its images are {given}, those of the target {wanted}")
    return models.build(origin.model, shape, classes)


def returned_by(origin, there, store):
    """The weights that the source's tickets return to; BadInput where they are lost."""
    if origin.rewind and store.rewound(origin) is None:
        raise BadInput(f"weights of {origin.trunk()} at step {origin.rewind}: not in this store, train its chain anew")
    return imp.returned_to(origin, there, store)


declare(
    transferred=Arm(
        "transferred ticket", start=transferred, parents=lambda cell: [source(cell)],
        own={**SOURCE, "carried": "both", "permuted": "layer"}, check=check_transferred, mask_suffices=True,
        redrawn=lambda cell: cell.own["carried"] in ("mask", "nothing"), colour=13,
    ),
    overlap=Arm(
        "overlap of two tickets", measure=overlap, own={**SOURCE, "apart": 0}, check=check_source, mask_suffices=True,
        parents=lambda cell: [
            source(cell).but(replicate=cell.replicate + cell.own["apart"]), cell.ticket(cell.level)
        ],
    ),
)  # fmt: skip
