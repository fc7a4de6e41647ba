"""Iterative magnitude pruning and its branches: from a cell to the weights and the mask that it starts training with.

The procedure of Frankle & Carbin 2019, section 2: train, remove the weights of smallest magnitude, return the survivors
to the values they had at the rewind step (0: their initialization; section 4.1 of Frankle et al. 2019 for later
steps), train again. A network starts from what earlier networks left in the store; `parents` names them.
"""

import numpy as np

from . import prune, scores
from .cells import Cell
from .masks import KEPT, Mask, mask_at
from .seeds import stream
from .store import LEVELS

Weights = dict[str, np.ndarray]


def parents(cell: Cell) -> list[Cell]:
    """The cells whose tensors `cell` needs, nearest last. The dense network has none."""
    dense = dense_of(cell)
    if cell.arm == "ticket":
        return [ticket_of(cell, cell.level - 1)] if cell.level else []
    if cell.arm == "one_shot":
        return [dense]
    if cell.arm == "anatomy":
        return [dense.but(order=1), ticket_of(cell, cell.level)]
    if cell.arm == "finetune":
        return [ticket_of(cell, cell.level - 1), ticket_of(cell, cell.level)]
    return [ticket_of(cell, cell.level)]


def lacking(cell: Cell, store) -> list[Cell]:
    """The parents to train, again if need be, before `cell` can start. A recorded mask is as good as its ticket."""
    by_mask = cell.arm in ("reinit", "random", "random_open", "redraw", "magnitude_at_init", "noise", "dense_path")
    there = (lambda parent: store.levels(parent) is not None) if by_mask else store.has_tensors
    return [parent for parent in parents(cell) if not there(parent)]


def dense_of(cell: Cell) -> Cell:
    """The dense network of a cell's replicate. Rewinding does not change it: the trunk is one for all rewind steps."""
    return cell.but(arm="ticket", level=0, rewind=0, sigma=0, draw=0, order=0)


def ticket_of(cell: Cell, level: int) -> Cell:
    """The ticket of a cell's replicate at a level of its own ladder."""
    return cell.but(arm="ticket", level=level, sigma=0, draw=0, order=0) if level else dense_of(cell)


def initial(cell: Cell, model, draw: int = 0) -> Weights:
    """A replicate's initialization (draw 0), or a fresh one for the same mask: one full draw serves all levels."""
    return model.init(stream("init", cell.replicate, draw=draw))


def rewound(cell: Cell, model, device) -> Weights:
    """The dense network's weights at the rewind step, by training it that far: the same bits each time."""
    weights = initial(cell, model)
    if not cell.rewind:
        return weights
    from .train import train  # brings torch, which whoever only reads records does without

    outcomes, _ = train([dense_of(cell)], model, [weights], [dense_mask(model)], device, stop=cell.rewind)
    return outcomes[0].weights


def dense_mask(model) -> Mask:
    """The mask that keeps every prunable weight."""
    return Mask.full({name: model.shapes[name] for name in model.prunable})


def next_mask(cell: Cell, model, weights: Weights, mask: Mask) -> Mask:
    """One round: the mask of `cell`'s level from the final weights and the mask of the level before."""
    saliency = scores.magnitude(weights, model.prunable)
    if cell.scope == "global":
        return prune.keep_top_global(saliency, mask, mask.kept - round(cell.rate * mask.kept))
    return prune.keep_top(saliency, mask, ladder(cell, model))


def ladder(cell: Cell, model) -> dict[str, int]:
    """Kept weights of each layer at `cell`'s level, layerwise pruning."""
    rates = prune.layer_rates(model.kind, cell.rate, cell.conv_rate, cell.output_rate)
    sizes = {name: int(np.prod(model.shapes[name])) for name in model.prunable}
    return prune.ladder(sizes, rates, cell.level)


def start(cell: Cell, model, store, device="cpu") -> tuple[Weights, Mask]:
    """Weights and mask that `cell` starts training with; the tensors of its parents must be in the store."""
    if cell.arm == "ticket" and cell.level == 0:
        return initial(cell, model), dense_mask(model)
    return STARTS[cell.arm](cell, model, store, device)


def _ticket(cell, model, store, device):
    before = store.tensors(parents(cell)[0])
    mask = next_mask(cell, model, final(before), _mask(levels(before), cell.level - 1, model))
    return rewound(cell, model, device), mask


def _mask(found: dict[str, np.ndarray], level: int, model) -> Mask:
    """The mask of a level, its layers from input to output again, which a file does not keep."""
    return mask_at({name: found[name] for name in model.prunable}, level)


def ticket_mask(cell: Cell, model, store) -> Mask:
    """The mask of the ticket at a cell's level."""
    return _mask(store.levels(ticket_of(cell, cell.level)), cell.level, model)


def _reinit(cell, model, store, device):
    """Random reinitialization (section 2): the ticket's mask on another draw of the initial weights."""
    return initial(cell, model, cell.draw), ticket_mask(cell, model, store)


def _random(cell, model, store, device):
    """Random sparsity (appendix E): as many weights in each layer as the ticket, anywhere."""
    counts = ticket_mask(cell, model, store).counts()
    if cell.arm == "random_open":
        last = list(counts)[-1]
        counts[last] = int(np.prod(model.shapes[last]))
    shapes = {name: model.shapes[name] for name in model.prunable}
    lottery = scores.random(shapes, stream("mask", cell.replicate, draw=cell.draw))
    return initial(cell, model), prune.keep_top(lottery, dense_mask(model), counts)


def _one_shot(cell, model, store, device):
    """One-shot pruning (section 2): the dense network pruned once, to the counts of the iterative ladder."""
    saliency = scores.magnitude(final(store.tensors(dense_of(cell))), model.prunable)
    full = dense_mask(model)
    if cell.scope == "global":
        return initial(cell, model), prune.keep_top_global(
            saliency, full, round(full.size * (1 - cell.rate) ** cell.level)
        )
    return initial(cell, model), prune.keep_top(saliency, full, ladder(cell, model))


def _redraw(cell, model, store, device):
    """Appendix F.3: kept weights drawn anew, with replacement, from the ticket's own initial weights of the layer."""
    weights, mask = initial(cell, model), ticket_mask(cell, model, store)
    generator = stream("redraw", cell.replicate, cell.level, cell.draw)
    for name, kept in mask.items():
        pool = weights[name][kept]
        weights[name] = generator.choice(pool, kept.shape) if pool.size else weights[name]
    return weights, mask


def _magnitude_at_init(cell, model, store, device):
    """Appendix F.4: the smallest initial weights pruned before any training, to the ticket's per-layer counts."""
    weights = initial(cell, model)
    saliency = scores.magnitude(weights, model.prunable)
    return weights, prune.keep_top(saliency, dense_mask(model), ticket_mask(cell, model, store).counts())


def _noise(cell, model, store, device):
    """Appendix F.7: Gaussian noise of `sigma` layer standard deviations on the ticket's initialization."""
    weights, generator = initial(cell, model), stream("noise", cell.replicate, draw=cell.draw)
    for name in model.prunable:
        shift = generator.standard_normal(model.shapes[name], dtype=np.float32)
        weights[name] = weights[name] + np.float32(cell.sigma * weights[name].std()) * shift
    return weights, ticket_mask(cell, model, store)


def _again(cell, model, store, device):
    """The start of the ticket itself; its mask may come from what is recorded."""
    return rewound(cell, model, device), ticket_mask(cell, model, store)


def _finetune(cell, model, store, device):
    """The ticket's mask on the trained weights it was read from (Liu et al. 2021, sec. 5), the full schedule again."""
    return final(store.tensors(parents(cell)[0])), ticket_mask(cell, model, store)


STARTS = {
    "ticket": _ticket,
    "reinit": _reinit,
    "random": _random,
    "random_open": _random,
    "one_shot": _one_shot,
    "redraw": _redraw,
    "magnitude_at_init": _magnitude_at_init,
    "noise": _noise,
    "finetune": _finetune,
    "dense_path": _again,
}
FINAL = "final/"


def tensors(cell: Cell, mask: Mask, before: dict | None, weights: Weights) -> dict[str, np.ndarray]:
    """What later cells need of a network of the chain: final weights, and the level at which each weight was pruned."""
    at = levels(before) if before else {name: np.full(array.shape, KEPT, np.uint8) for name, array in mask.items()}
    for name, array in mask.items():
        at[name] = np.where(~array & (at[name] == KEPT), np.uint8(cell.level), at[name])
    named = {LEVELS + name: array for name, array in at.items()}
    return named | {FINAL + name: array for name, array in weights.items()}


def final(stored: dict) -> Weights:
    """The final weights among a network's tensors."""
    return {name.removeprefix(FINAL): array for name, array in stored.items() if name.startswith(FINAL)}


def levels(stored: dict) -> dict[str, np.ndarray]:
    """The level at which each weight was pruned, among a network's tensors."""
    return {name.removeprefix(LEVELS): array for name, array in stored.items() if name.startswith(LEVELS)}
