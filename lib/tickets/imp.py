"""Iterative magnitude pruning and its branches: from a cell to the weights and the mask that it starts training with.

The procedure of Frankle & Carbin 2019, section 2: train, remove the weights of smallest magnitude, return the survivors
to the values they had at the rewind step (0: their initialization; section 4.1 of Frankle et al. 2019 for later
steps), train again. A network starts from what earlier networks left in the store; `parents` names them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from . import prune, scores
from .cells import PULLED, REDRAWN, Cell
from .masks import KEPT, Mask, mask_at
from .provenance import fingerprint
from .seeds import stream
from .store import LEVELS, pruned_at

Weights = dict[str, np.ndarray]


def parents(cell: Cell) -> list[Cell]:
    """The cells whose tensors `cell` needs, nearest last. The dense network has none."""
    dense = dense_of(cell)
    if cell.arm == "ticket":
        return [ticket_of(cell, cell.level - 1)] if cell.level else []
    if cell.arm == "one_shot":
        return [dense]
    if cell.arm in ("chord", "rounds", "descent", "plane"):
        return ends(cell)
    if cell.arm == "anatomy":
        return [dense.but(order=1), ticket_of(cell, cell.level)]
    if cell.arm == "finetune" or cell.arm in PULLED:
        return [ticket_of(cell, cell.level - 1), ticket_of(cell, cell.level)]
    return [ticket_of(cell, cell.level)]


def lacking(cell: Cell, store) -> list[Cell]:
    """The parents to train, again if need be, before `cell` can start. A recorded mask is as good as its ticket."""
    *others, last = parents(cell) or [None]
    by_mask = last and cell.arm in (*BY_MASK, *PULLED)
    lost = [parent for parent in others if not store.has_tensors(parent)]
    there = not last or (store.levels(last) is not None if by_mask else store.has_tensors(last))
    return lost if there else [*lost, last]


BY_MASK = (
    "reinit", "random", "random_open", "redraw", "magnitude_at_init", "noise", "dense_path", "finetune", "anatomy",
)  # fmt: skip
"""Arms that need no more of their ticket than its mask; so do pulled ones."""


def ends(cell: Cell) -> list[Cell]:
    """The networks between which a measurement of `connect` looks, in the order of its coordinates."""
    dense, ticket = dense_of(cell), ticket_of(cell, cell.level)
    if cell.arm == "rounds":
        return [ticket, ticket_of(cell, cell.level + 1)]
    if cell.arm == "descent":
        return [dense, ticket]
    if cell.arm == "plane":
        return [dense, dense.but(order=1, rewind=cell.rewind), ticket]
    if cell.subject == "ticket" or not cell.level:
        return [ticket, ticket.but(order=1, rewind=cell.rewind)]
    return [ticket.but(arm=cell.subject, draw=cell.draw, order=order, pull=cell.pull) for order in (0, 1)]


def dense_of(cell: Cell) -> Cell:
    """The dense network of a cell's replicate. Rewinding does not change it: the trunk is one for all rewind steps."""
    return cell.but(**_OWN, level=0, rewind=0)


def ticket_of(cell: Cell, level: int) -> Cell:
    """The ticket of a cell's replicate at a level of its own ladder."""
    return cell.but(**_OWN, level=level) if level else dense_of(cell)


_OWN = {
    name: getattr(Cell, name) for name in ("arm", "sigma", "draw", "order", "schedule", "subject", "points", "pull")
}
"""What tells the branches of a ladder from its tickets."""


def initial(cell: Cell, model, draw: int = 0) -> Weights:
    """A replicate's initialization (draw 0), or a fresh one for the same mask: one full draw serves all levels."""
    return model.init(stream("init", cell.replicate, draw=draw))


def first_step(cell: Cell) -> int:
    """The step of its schedule at which a network starts."""
    return 0 if cell.schedule == "restarted" else cell.rewind


def rewound(cells: Sequence[Cell], model, device="cpu", store=None) -> list[Weights]:
    """The weights W_k that each cell returns to: the dense network's at the rewind step, the trunk of all copies.

    cells: of one rewind step. Trunks are trained that far again, all in one population; on one machine that gives the
    bits that the dense network itself passed through. A store keeps them for the next branch of the same trunk. A
    reinitialization has a trunk of its own: its draw of the initial weights, trained densely on the same data. Only
    weights are carried over: the optimizer of a copy or of a ticket begins anew at W_k, while the dense network's
    went on.
    """
    trunks, k = list(dict.fromkeys(_trunk(cell) for cell in cells)), cells[0].rewind
    if not k:
        found = {(dense, draw): initial(dense, model, draw) for dense, draw in trunks}
    else:
        import torch  # which whoever only reads records does without

        owner = f"{fingerprint()} {torch.__version__} {device}"
        found = {trunk: w for trunk in trunks if store and (w := store.trunk(*trunk, k, owner))}
        for trunk, weights in _grown([trunk for trunk in trunks if trunk not in found], k, model, device):
            found[trunk] = weights
            if store:
                store.put_trunk(*trunk, k, owner, weights)
    return [dict(found[_trunk(cell)]) for cell in cells]


def _grown(trunks, k: int, model, device) -> Iterator[tuple[tuple[Cell, int], Weights]]:
    """Each trunk with its weights after k steps, trained as one population."""
    from .train import train

    dense, weights = [cell for cell, _ in trunks], [initial(cell, model, draw) for cell, draw in trunks]
    if dense:
        outcomes, _ = train(dense, model, weights, [dense_mask(model)] * len(dense), device, stop=k)
        yield from zip(trunks, (outcome.weights for outcome in outcomes), strict=True)


def _trunk(cell: Cell) -> tuple[Cell, int]:
    """The dense network whose start a cell shares, and the draw of its initial weights."""
    return dense_of(cell), cell.draw if {cell.arm, cell.subject} & {*REDRAWN} else 0


def goals(cells: Sequence[Cell], store) -> list[Weights] | None:
    """The trained weights that the masks of pulled cells were read from; None for a population without a pull."""
    before = [ticket_of(cell, cell.level - 1) for cell in cells if cell.pull]
    return [final(store.tensors(cell)) for cell in before] or None


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
    return starts([cell], model, store, device)[0]


def starts(cells: Sequence[Cell], model, store, device="cpu") -> list[tuple[Weights, Mask]]:
    """`start` of every cell of a population, which has one rewind step."""
    found = zip(cells, rewound(cells, model, device, store), strict=True)
    return [STARTS[cell.arm](cell, model, store, weights) for cell, weights in found]


def _ticket(cell, model, store, weights):
    if cell.level == 0:
        return weights, dense_mask(model)
    before = store.tensors(parents(cell)[0])
    mask = next_mask(cell, model, final(before), _mask(pruned_at(before), cell.level - 1, model))
    return weights, mask


def _mask(found: dict[str, np.ndarray], level: int, model) -> Mask:
    """The mask of a level, its layers from input to output again, which a file does not keep."""
    return mask_at({name: found[name] for name in model.prunable}, level)


def ticket_mask(cell: Cell, model, store) -> Mask:
    """The mask of the ticket at a cell's level."""
    return _mask(store.levels(ticket_of(cell, cell.level)), cell.level, model)


def _reinit(cell, model, store, weights):
    """Random reinitialization (section 2): the ticket's mask on another draw of the initial weights, or its trunk."""
    return weights, ticket_mask(cell, model, store)


def _random(cell, model, store, weights):
    """Random sparsity (appendix E): as many weights in each layer as the ticket, anywhere."""
    counts = ticket_mask(cell, model, store).counts()
    if cell.arm == "random_open":
        last = list(counts)[-1]
        counts[last] = int(np.prod(model.shapes[last]))
    shapes = {name: model.shapes[name] for name in model.prunable}
    lottery = scores.random(shapes, stream("mask", cell.replicate, draw=cell.draw))
    return weights, prune.keep_top(lottery, dense_mask(model), counts)


def _one_shot(cell, model, store, weights):
    """One-shot pruning (section 2): the dense network pruned once, to the counts of the iterative ladder."""
    saliency = scores.magnitude(final(store.tensors(dense_of(cell))), model.prunable)
    full = dense_mask(model)
    if cell.scope == "global":
        return weights, prune.keep_top_global(saliency, full, round(full.size * (1 - cell.rate) ** cell.level))
    return weights, prune.keep_top(saliency, full, ladder(cell, model))


def _redraw(cell, model, store, weights):
    """Appendix F.3: kept weights drawn anew, with replacement, from the ticket's own initial weights of the layer."""
    mask = ticket_mask(cell, model, store)
    generator = stream("redraw", cell.replicate, cell.level, cell.draw)
    for name, kept in mask.items():
        pool = weights[name][kept]
        weights[name] = generator.choice(pool, kept.shape) if pool.size else weights[name]
    return weights, mask


def _magnitude_at_init(cell, model, store, weights):
    """Appendix F.4: the smallest initial weights pruned before any training, to the ticket's per-layer counts."""
    saliency = scores.magnitude(weights, model.prunable)
    return weights, prune.keep_top(saliency, dense_mask(model), ticket_mask(cell, model, store).counts())


def _noise(cell, model, store, weights):
    """Appendix F.7: Gaussian noise of `sigma` layer standard deviations on the ticket's initialization."""
    generator = stream("noise", cell.replicate, draw=cell.draw)
    for name in model.prunable:
        shift = generator.standard_normal(model.shapes[name], dtype=np.float32)
        weights[name] = weights[name] + np.float32(cell.sigma * weights[name].std()) * shift
    return weights, ticket_mask(cell, model, store)


def _again(cell, model, store, weights):
    """The start of the ticket itself; its mask may come from what is recorded."""
    return weights, ticket_mask(cell, model, store)


def _finetune(cell, model, store, weights):
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
    "pulled": _again,
    "pulled_reinit": _reinit,
}
FINAL = "final/"


def tensors(cell: Cell, mask: Mask, before: dict | None, weights: Weights) -> dict[str, np.ndarray]:
    """What later cells need of a network: final weights, and the level at which each weight was pruned.

    before: tensors of the level before; None where the mask was not read from one, and all is pruned at the cell's.
    """
    at = pruned_at(before) if before else {name: np.full(array.shape, KEPT, np.uint8) for name, array in mask.items()}
    for name, array in mask.items():
        at[name] = np.where(~array & (at[name] == KEPT), np.uint8(cell.level), at[name])
    named = {LEVELS + name: array for name, array in at.items()}
    return named | {FINAL + name: array for name, array in weights.items()}


def final(stored: dict) -> Weights:
    """The final weights among a network's tensors, running statistics of normalization layers with them."""
    return {name.removeprefix(FINAL): array for name, array in stored.items() if name.startswith(FINAL)}
