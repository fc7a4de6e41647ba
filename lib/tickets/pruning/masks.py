"""Masks: which prunable weights of one network are kept, and the arrays that a network leaves for others."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

Weights = dict[str, np.ndarray]

KEPT = 255
"""In an array of pruning levels: this weight was never pruned."""
LEVELS, FINAL = "pruned_at/", "final/"
"""Prefixes of what a network leaves: the level at which each weight was pruned (uint8), and its final weights."""


class Mask(Mapping):
    """An immutable mapping from the name of a prunable weight to a bool array of the weight's shape, True = kept.

    Biases and normalization are never pruned and so never in a mask. Non-boolean arrays are refused: a mask is carried,
    it is never inferred from the values of the weights.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype != bool:
                raise TypeError(f"mask of {name}: expected a bool array, got {getattr(array, 'dtype', type(array))}")
        self._arrays = {name: array.copy() for name, array in arrays.items()}
        for array in self._arrays.values():
            array.flags.writeable = False

    @classmethod
    def full(cls, shapes: Mapping[str, tuple]) -> "Mask":
        """The mask of a dense network."""
        return cls({name: np.ones(shape, bool) for name, shape in shapes.items()})

    def __getitem__(self, name):
        return self._arrays[name]

    def __iter__(self):
        return iter(self._arrays)

    def __len__(self):
        return len(self._arrays)

    @property
    def size(self) -> int:
        """Number of prunable weights."""
        return sum(array.size for array in self.values())

    @property
    def kept(self) -> int:
        """Number of kept weights."""
        return sum(self.counts().values())

    @property
    def density(self) -> float:
        """Fraction of prunable weights kept; 1.0 is dense."""
        return self.kept / self.size

    def counts(self) -> dict[str, int]:
        """Kept weights, layer by layer."""
        return {name: int(array.sum()) for name, array in self.items()}

    def apply(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`weights` with the pruned ones at exactly zero; names outside the mask pass unchanged."""
        return {
            name: np.where(self[name], w, np.zeros((), w.dtype)) if name in self else w for name, w in weights.items()
        }

    def min_fan_in(self) -> int:
        """The smallest number of kept incoming weights of any unit of the last prunable layer."""
        last = list(self.values())[-1]
        return int(last.reshape(len(last), -1).sum(1).min())

    def dead_units(self) -> int:
        """Hidden units between two dense layers with no kept incoming or no kept outgoing weight."""
        layers = list(self.values())
        pairs = [(a, b) for a, b in pairwise(layers) if a.ndim == b.ndim == 2 and len(a) == b.shape[1]]
        return sum(int((~a.any(1) | ~b.any(0)).sum()) for a, b in pairs)


def mask_at(levels: Mapping[str, np.ndarray], level: int) -> Mask:
    """The mask of one level of a chain; levels: when each weight was pruned (uint8, KEPT if never)."""
    return Mask({name: array > level for name, array in levels.items()})


# what a network leaves


def tensors(level: float, mask: Mask, before: Weights | None, weights: Weights) -> Weights:
    """What later cells need of a network: final weights, and the level at which each weight was pruned.

    before: what the level before left; None where the mask was not read from one, and all is pruned at this level.
    """
    at = pruned_at(before) if before else {name: np.full(array.shape, KEPT, np.uint8) for name, array in mask.items()}
    for name, array in mask.items():
        at[name] = np.where(~array & (at[name] == KEPT), np.uint8(level), at[name])
    named = {LEVELS + name: array for name, array in at.items()}
    return named | {FINAL + name: array for name, array in weights.items()}


def pruned_at(stored: Weights) -> Weights:
    """The level at which each weight was pruned, among what a network left."""
    return {name.removeprefix(LEVELS): array for name, array in stored.items() if name.startswith(LEVELS)}


def final(stored: Weights) -> Weights:
    """The final weights among what a network left, running statistics of normalization layers with them."""
    return {name.removeprefix(FINAL): array for name, array in stored.items() if name.startswith(FINAL)}
