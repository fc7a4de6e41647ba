"""Arms of chapter 1: the ticket, and the controls that Frankle & Carbin 2019 set beside it."""

import numpy as np

from ...arms import Arm, brought, declare
from ...pruning import imp, prune, scores
from ...pruning.imp import Start
from ...pruning.masks import final
from ...seeds import stream

ANATOMY = f"{__package__}.anatomy"


def level_before(cell):
    """The ticket of the level before; the dense network has no parent."""
    return [cell.ticket(cell.level - 1)] if cell.level else []


def before_and_own(cell):
    """The ticket whose trained weights its mask was read from, and that of its own level."""
    return [cell.ticket(cell.level - 1), cell.ticket(cell.level)]


def always(cell) -> bool:
    """Redrawn, whatever the cell."""
    return True


def again(cell, model, store, weights):
    """The start of the ticket itself; its mask may come from what is recorded."""
    return Start(weights, imp.ticket_mask(cell, model, store))


reinit = again
"""Random reinitialization (section 2): the ticket's mask on another draw of the initial weights, or its trunk."""


def random(cell, model, store, weights, unpruned=()):
    """Random sparsity (appendix E): as many weights in each layer as the ticket, anywhere."""
    counts = imp.ticket_mask(cell, model, store).counts()
    counts |= {name: int(np.prod(model.shapes[name])) for name in unpruned}
    shapes = {name: model.shapes[name] for name in model.prunable}
    lottery = scores.random(shapes, stream("mask", cell.replicate, draw=cell.draw))
    return Start(weights, prune.keep_top(lottery, imp.dense_mask(model), counts))


def random_open(cell, model, store, weights):
    """The same, the output layer left unpruned."""
    return random(cell, model, store, weights, unpruned=model.prunable[-1:])


def one_shot(cell, model, store, weights):
    """One-shot pruning (section 2): the dense network pruned once, to the counts of the iterative ladder."""
    saliency = scores.magnitude(final(store.tensors(cell.dense())), model.prunable)
    full = imp.dense_mask(model)
    if cell.scope == "global":
        return Start(weights, prune.keep_top_global(saliency, full, round(full.size * (1 - cell.rate) ** cell.level)))
    return Start(weights, prune.keep_top(saliency, full, imp.ladder(cell, model)))


def redraw(cell, model, store, weights):
    """Appendix F.3: kept weights drawn anew, with replacement, from the ticket's own initial weights of the layer."""
    mask = imp.ticket_mask(cell, model, store)
    generator = stream("redraw", cell.replicate, cell.level, cell.draw)
    for name, kept in mask.items():
        pool = weights[name][kept]
        weights[name] = generator.choice(pool, kept.shape) if pool.size else weights[name]
    return Start(weights, mask)


def magnitude_at_init(cell, model, store, weights):
    """Appendix F.4: the smallest initial weights pruned before any training, to the ticket's per-layer counts."""
    saliency, counts = scores.magnitude(weights, model.prunable), imp.ticket_mask(cell, model, store).counts()
    return Start(weights, prune.keep_top(saliency, imp.dense_mask(model), counts))


def noise(cell, model, store, weights):
    """Appendix F.7: Gaussian noise of `sigma` layer standard deviations on the ticket's initialization."""
    generator = stream("noise", cell.replicate, draw=cell.draw)
    for name in model.prunable:
        shift = generator.standard_normal(model.shapes[name], dtype=np.float32)
        weights[name] = weights[name] + np.float32(cell.own["sigma"] * weights[name].std()) * shift
    return Start(weights, imp.ticket_mask(cell, model, store))


def finetune(cell, model, store, weights):
    """The ticket's mask on the trained weights it was read from (Liu et al. 2021, sec. 5), the full schedule again."""
    return Start(final(store.tensors(cell.ticket(cell.level - 1))), imp.ticket_mask(cell, model, store))


declare(
    ticket=Arm("winning ticket", start=imp.ticket, parents=level_before, colour=0),
    reinit=Arm("reinitialized", start=reinit, mask_suffices=True, redrawn=always, colour=2),
    one_shot=Arm("one-shot", start=one_shot, parents=lambda cell: [cell.dense()], between=True, colour=4),
    random=Arm("random mask", start=random, mask_suffices=True, colour=5),
    random_open=Arm("random mask, output unpruned", start=random_open, mask_suffices=True, keeps_more=True, colour=7),
    redraw=Arm("redrawn from the ticket's weights", start=redraw, mask_suffices=True, colour=6),
    magnitude_at_init=Arm("magnitude at initialization", start=magnitude_at_init, mask_suffices=True, colour=8),
    finetune=Arm("fine-tuned", start=finetune, parents=before_and_own, mask_suffices=True, colour=9),
    noise=Arm("noisy ticket", start=noise, own={"sigma": 0.0}, mask_suffices=True, colour=3),
    dense_path=Arm("ticket, computed densely", start=again, mask_suffices=True, dense=True, colour=1),
    anatomy=Arm(
        "anatomy of a ticket",
        measure=brought(ANATOMY, "measure"),
        parents=lambda cell: [cell.dense().but(order=1), cell.ticket(cell.level)],
        mask_suffices=True,
    ),
    degrees=Arm("degrees of a ticket's units", measure=brought(ANATOMY, "measure_degrees"), mask_suffices=True),
    selection=Arm(
        "weights large in one order, moved in another",
        measure=brought(ANATOMY, "measure_selection"),
        parents=lambda cell: [cell.dense(), cell.dense().but(order=1), cell.ticket(cell.level)],
        mask_suffices=True,
    ),
)
