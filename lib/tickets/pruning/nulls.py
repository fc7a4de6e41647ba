"""Null ladder: random masks that share something with a given one. What they lose with it is not the mask's own.

S0 shares the kept weights of each layer, S1 those of each unit on both sides, S2 also their classes, such as deciles of
initial size, in each row; S3 (images) joins the class of the pixel to it.
"""

import numpy as np

from .masks import Mask
from .prune import keep_top
from .scores import random


def uniform(mask: Mask, generator: np.random.Generator) -> Mask:
    """S0: as many weights in each layer, anywhere."""
    shapes = {name: kept.shape for name, kept in mask.items()}
    return keep_top(random(shapes, generator), Mask.full(shapes), mask.counts())


def traded(mask: Mask, generator, classes=None, passes: int = 40) -> Mask:
    """S1 by curveball trades (Strona et al. 2014) of rows in pairs; with `classes`, layer -> ints below 1000, S2."""
    each = {name: classes[name] if classes else np.zeros(kept.shape, int) for name, kept in mask.items()}
    return Mask({name: _traded(kept, each[name], generator, passes) for name, kept in mask.items()})


def _traded(kept: np.ndarray, classes: np.ndarray, generator, passes: int) -> np.ndarray:
    rows, kinds = kept.reshape(len(kept), -1).copy(), classes.reshape(len(kept), -1)
    for _ in range(passes):
        for i, j in generator.permutation(len(rows))[: len(rows) // 2 * 2].reshape(-1, 2):
            own = np.flatnonzero(rows[i] != rows[j])  # one of the two keeps it: such places of one group may swap
            group = 1000 * kinds[i, own] + kinds[j, own]
            given = rows[i, own[np.argsort(group, kind="stable")]]
            shuffled = own[np.lexsort((generator.random(len(own)), group))]
            rows[i, shuffled], rows[j, shuffled] = given, ~given
    return rows.reshape(kept.shape)


def kappa(one: Mask, other: Mask, expected: dict[str, float]) -> float:
    """(common - expected) / (kept - expected), layers weighted by kept weights; expected: common under a null."""
    kept, common = one.counts(), {name: (one[name] & other[name]).sum() for name in one}
    parts = [kept[name] * (common[name] - expected[name]) / (kept[name] - expected[name]) for name in one]
    return float(sum(parts) / one.kept)
