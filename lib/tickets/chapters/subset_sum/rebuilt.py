"""A trained network made anew by deletion: each weight the sum of some of n random numbers (Pensia et al. 2020, E1)."""

from math import log2

import numpy as np

from ...data.reader import Reader
from ...pruning import imp
from ...pruning.masks import final
from ...seeds import stream
from ..subsets import sums
from ..supermasks.untrained import accuracy
from .pools import product


def numbers(tolerance: float) -> int:
    """How many numbers the authors' script draws: 3 for each whole bit of the tolerance, 21 for 0.01."""
    return 3 * round(log2(1 / tolerance))


def measure(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, none) of the dense network of a cell and the one that is made of random numbers.

    accuracy_target, accuracy: on the test images; change: between them, in points; share_kept: percent of all numbers
    that are kept; missed: percent of weights that are off by more than the tolerance; worst: the farthest of them.
    Numbers are uniform between the smallest and the largest weight, as in the authors' script, or products of two; all
    weights into a unit choose among the same ones (pooled by row, the script), or each has its own (the theorem).
    """
    weights, own = final(store.tensors(cell.dense())), cell.own
    n, generator = numbers(own["tolerance"]), stream("noise", cell.replicate, round(1e4 * own["tolerance"]), 9)
    ends = min(weights[name].min() for name in model.prunable), max(weights[name].max() for name in model.prunable)
    law = product if own["law"] == "product" else lambda generator, shape: generator.uniform(*ends, shape)
    made, kept, gaps = dict(weights), 0, []
    for name in model.prunable:
        wanted = weights[name].astype(float)
        wanted = wanted if own["pooled"] == "row" else wanted.reshape(-1, 1)
        found, subsets = sums.exact(law(generator, (len(wanted), n)), wanted)
        made[name] = found.reshape(weights[name].shape).astype(weights[name].dtype)
        kept += int(np.bitwise_count(subsets).sum())
        gaps.append(np.abs(found - wanted).ravel())
    mask, reader, gap = imp.dense_mask(model), Reader([cell], device), np.concatenate(gaps)
    target, now = (float(accuracy(model, reader, "test", each, [mask])[0]) for each in (weights, made))
    scalars = {"accuracy_target": target, "accuracy": now, "change": now - target, "numbers": n}
    scalars |= {"share_kept": 100 * kept / (n * gap.size), "worst": float(gap.max())}
    return scalars | {"missed": float(100 * (gap > own["tolerance"]).mean())}, {}
