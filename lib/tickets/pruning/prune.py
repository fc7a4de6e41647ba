"""From scores to masks: exact counts, layer by layer or over the whole network.

Ties: of equal scores, the weight that comes first in memory order is pruned first. Counts are therefore always exact; a
threshold on values (as in public code of the field) removes every weight tied with it.
"""

from collections.abc import Mapping

import numpy as np

from ..errors import BadInput
from .masks import Mask


def ladder(sizes: Mapping[str, int], rates: Mapping[str, float], level: float) -> dict[str, int]:
    """Weights each layer keeps at a level: whole rounds remove round(rate x kept); between rungs, geometrically."""
    if level != int(level):
        return {name: round(size * (1 - rates[name]) ** level) for name, size in sizes.items()}
    kept = dict(sizes)
    for _ in range(int(level)):
        kept = {name: n - round(rates[name] * n) for name, n in kept.items()}
    return kept


def keep_top(scores: Mapping[str, np.ndarray], mask: Mask, counts: Mapping[str, int]) -> Mask:
    """Of the weights that `mask` keeps, keep the `counts[name]` highest scores of each layer."""
    return Mask({name: _top(scores[name], mask[name], counts[name]) for name in mask})


def keep_top_global(scores: Mapping[str, np.ndarray], mask: Mask, count: int) -> Mask:
    """Of the weights that `mask` keeps, keep the `count` highest scores of the whole network."""
    score, kept = (np.concatenate([arrays[name].ravel() for name in mask]) for arrays in (scores, mask))
    parts = np.split(_top(score, kept, count), np.cumsum([array.size for array in mask.values()])[:-1])
    return Mask({name: part.reshape(mask[name].shape) for name, part in zip(mask, parts, strict=True)})


def _top(score: np.ndarray, kept: np.ndarray, count: int) -> np.ndarray:
    """Bool array of the `count` highest scores among `kept`; what is not a number is above all numbers."""
    alive = np.flatnonzero(kept)
    if not 0 <= count <= alive.size:
        raise BadInput(f"cannot keep {count} of {alive.size} weights")
    values, pruned = np.nan_to_num(score.ravel()[alive], nan=np.inf), alive.size - count
    edge = np.partition(values, pruned)[pruned] if count else np.inf
    gone = values < edge
    gone[np.flatnonzero(values == edge)[: pruned - gone.sum()]] = True
    result = np.zeros(kept.size, bool)
    result[alive[~gone]] = True
    return result.reshape(kept.shape)
