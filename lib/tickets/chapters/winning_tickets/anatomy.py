"""The anatomy of a ticket: where it sits in its network, and what its weights did.

Frankle & Carbin 2019, appendix F. What selection by magnitude alone would produce is kept apart from what it does not
(the paper itself warns of that in F.5): masks are compared with movements of another run.
"""

import numpy as np
from scipy.stats import rankdata

from ...data import sources
from ...pruning import imp
from ...pruning.masks import Mask, final
from ...seeds import stream

SIZES = np.linspace(-3.2, 3.2, 41)
"""Bin edges of weights, in standard deviations of the layer's initialization."""


def measure(cell, model, store, device="cpu") -> tuple[dict, dict]:
    """(scalars, histograms) of the ticket of a cell's level, against its dense network in a second order."""
    second, mask = store.tensors(cell.dense().but(order=1)), imp.ticket_mask(cell, model, store)
    return anatomy(mask, imp.initial(cell, model), final(second))


def measure_degrees(cell, model, store, device="cpu") -> tuple[dict, dict]:
    """(scalars, no curves) of the degrees of units under the mask of a ticket: no training, a mask is enough."""
    return spreads(list(imp.ticket_mask(cell, model, store).values()), _lit(cell)), {}


def measure_selection(cell, model, store, device="cpu") -> tuple[dict, dict]:
    """(scalars, no curves): what weights chosen by size in one order of the data did in another, beyond chance."""
    runs = (final(store.tensors(cell.dense().but(order=order))) for order in (0, 1))
    three = imp.initial(cell, model), *runs
    generator, scalars = stream("sample", cell.replicate, cell.level, 1), {}
    for i, (name, kept) in enumerate(imp.ticket_mask(cell, model, store).items(), 1):
        w0, one, other = (weights[name].astype(float) for weights in three)
        found = selection(w0, one, other, int(kept.sum()), generator) | growth(kept, w0, other, generator)
        scalars |= {f"{key}_{i}": value for key, value in found.items()}
    return scalars, {}


def _lit(cell) -> np.ndarray:
    """Bool [features]: False where a pixel is zero in every training image."""
    return (sources.load(cell.dataset).train_images.flatten(1) > 0).any(0).numpy()


def anatomy(mask: Mask, init, trained) -> tuple[dict, dict]:
    """(scalars, histograms) of the ticket `mask` in a perceptron.

    init: initial weights that the ticket returns to; trained: final weights of the dense network in a second data
    order, so that the mask was not read from the movement it is compared with. Layers are numbered from the input;
    scalars of layer i end in _i.
    """
    scalars, curves = {}, {"size_edge": SIZES[:-1].tolist()}
    for i, (name, kept) in enumerate(mask.items(), 1):
        w0, w1 = init[name].astype(float), trained[name].astype(float)
        parts = {**movement(kept, w0, w1), "rarity": rarity(kept, w0)}
        scalars |= {f"{key}_{i}": value for key, value in parts.items()}
        curves |= {f"{key}_{i}": value for key, value in histograms(kept, w0, w1).items()}
    return scalars, curves


def movement(kept: np.ndarray, w0: np.ndarray, w1: np.ndarray) -> dict[str, float]:
    """Did kept weights move more than pruned ones, and more often away from zero (F.5)?

    moved_more: chance that a kept weight moved further than a pruned one, 1/2 where movements of another run than the
    mask's know nothing of it; grew: share of kept weights that grew in size minus that of pruned ones, see `growth`.
    """
    return {"moved_more": exceedance(np.abs(w1 - w0), kept), "grew": _excess(np.abs(w1) > np.abs(w0), kept)}


def growth(kept: np.ndarray, w0: np.ndarray, w1: np.ndarray, generator) -> dict[str, float]:
    """The share of kept weights that grew minus that of pruned ones, and its null: the mask fixed, movements permuted.

    The null is not 0: masks keep weights that began large, and a large weight that moves anyhow grows less often.
    """
    moves = {"": w1 - w0, "_null": generator.permutation((w1 - w0).ravel()).reshape(w0.shape)}
    return {f"ticket_grew{name}": _excess(np.abs(w0 + move) > np.abs(w0), kept) for name, move in moves.items()}


def selection(w0, one, other, count: int, generator) -> dict[str, float]:
    """What the `count` largest weights of run `one` did in run `other`; the nulls permute the pairs of movements.

    Permuted jointly within the layer, the two runs stay as alike as they are, and know nothing of the weight that they
    started from: what is beyond that null is not selection by size alone.
    """
    found, moves = {}, np.stack([one - w0, other - w0]).reshape(2, -1)
    for name, (first, second) in {"": moves, "_null": moves[:, generator.permutation(w0.size)]}.items():
        sizes = np.abs(w0.ravel() + first)
        chosen = np.zeros(w0.size, bool)
        chosen[np.argsort(sizes, kind="stable")[w0.size - count :]] = True
        found[f"chosen_moved_more{name}"] = exceedance(np.abs(second), chosen)
        found[f"chosen_grew{name}"] = _excess(np.abs(w0.ravel() + second) > np.abs(w0.ravel()), chosen)
    return found


def exceedance(values: np.ndarray, group: np.ndarray) -> float:
    """P(value in the group > value outside), ties counted half (the Mann-Whitney statistic over its maximum)."""
    inside, total = int(group.sum()), group.size
    if inside in (0, total):
        return float("nan")
    ranks = rankdata(values.ravel())[group.ravel()].sum()
    return float((ranks - inside * (inside + 1) / 2) / (inside * (total - inside)))


def _excess(event: np.ndarray, group: np.ndarray) -> float:
    """Share of the group with the event minus the share outside it; NaN where either is empty."""
    return float(event[group].mean() - event[~group].mean()) if 0 < group.sum() < group.size else float("nan")


def rarity(kept: np.ndarray, w0: np.ndarray) -> float:
    """How much rarer initial sizes below half a standard deviation are among kept weights than among all (F.1).

    Ratio of the two shares, one half added to each count, so that a layer that lost all of them has a number too.
    """
    small = np.abs(w0) < 0.5 * w0.std()
    share = lambda chosen: (small[chosen].sum() + 0.5) / (chosen.sum() + 1)  # noqa: E731
    return float(share(np.ones_like(kept)) / share(kept))


def spread(degree: np.ndarray, kept: np.ndarray) -> float:
    """Excess relative variance of unit degrees: what their variance has beyond a random mask's, over the mean squared.

    Unlike the ratio of the two variances it does not grow with the number of places that a unit has, so that pixels
    with 300 places and units with 784 can be compared. 0.1 is a relative spread of 32 % beyond chance.
    """
    places, density = kept.size / degree.size, kept.mean()
    expected = places * density * (1 - density) * (kept.size - places) / (kept.size - 1)
    return float((degree.var() - expected) / degree.mean() ** 2) if density else float("nan")


def spreads(masks: list[np.ndarray], lit: np.ndarray) -> dict[str, float]:
    """Spread of outgoing (pixels, first hidden units) and incoming degrees, and the means of both sides.

    masks: [out, in] of the layers, input to output; those that end in _lit leave out the pixels that are always dark.
    """
    first, second = masks[:2]
    found = {f"spread_{name}": spread(kept.sum(0), kept) for name, kept in (("pixels", first), ("units", second))}
    found["spread_pixels_lit"] = spread(first[:, lit].sum(0), first[:, lit])
    found |= {f"spread_incoming_{i}": spread(kept.sum(1), kept) for i, kept in enumerate((first, second), 1)}
    mean = lambda *names: (found[f"spread_{names[0]}"] + found[f"spread_{names[1]}"]) / 2  # noqa: E731
    return found | {
        "spread_outgoing": mean("pixels", "units"),
        "spread_outgoing_lit": mean("pixels_lit", "units"),
        "spread_incoming": mean("incoming_1", "incoming_2"),
    }


def histograms(kept: np.ndarray, w0: np.ndarray, w1: np.ndarray) -> dict[str, list[int]]:
    """Counts over `SIZES` of initial weights and of growth |w1| - |w0|, kept and pruned, in initial deviations."""
    sd, growth = w0.std(), np.abs(w1) - np.abs(w0)
    count = lambda values: np.histogram(np.clip(values / sd, -3.19, 3.19), SIZES)[0].tolist()  # noqa: E731
    return {
        "initial_kept": count(w0[kept]),
        "initial_all": count(w0),
        "growth_kept": count(growth[kept]),
        "growth_pruned": count(growth[~kept]),
    }
