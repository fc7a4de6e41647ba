"""What a pruned network begins with: actions on kept weights (mask 1) and on pruned ones (mask 0).

Zhou et al. 2019, Figures 4 and 5. An action on kept weights is a function (w, kept, fresh, generator) -> weights: w,
those of one layer that the network returns to, pruned ones among them; kept, its mask; fresh, another draw of the
initialization. An action on pruned ones is (begun, w, w1, kept, generator) -> weights: begun, after the first action;
w1, trained weights. Those of zero are trained no further if they are pruned, and trained if they are kept.
"""

from collections.abc import Callable

import numpy as np


def rewind(w, kept, fresh, generator):
    """The weights themselves, as in chapter 1."""
    return w


def reinit(w, kept, fresh, generator):
    """Another draw from the distribution of the layer: reinitialization in the paper's words."""
    return fresh


def permuted(w, kept, fresh, generator):
    """All weights of the layer in another order, pruned ones too: what the authors' code does for reinitialization."""
    return generator.permutation(w.ravel()).reshape(w.shape)


def reshuffle(w, kept, fresh, generator):
    """The kept weights in another order among their places."""
    begun = w.copy()
    begun[kept] = generator.permutation(w[kept])
    return begun


def constant(w, kept, fresh, generator):
    """One size for all, the layer's standard deviation (pruned weights count), with the layer's signs permuted."""
    return np.sign(permuted(w, kept, fresh, generator)) * w.std()


def signed(action: Callable) -> Callable:
    """The sign-keeping twin of an action: its sizes, with the sign that each weight had in its place."""

    def twin(w, kept, fresh, generator):
        return np.sign(w) * np.abs(action(w, kept, fresh, generator))

    return twin


ONES: dict[str, Callable] = {f.__name__: f for f in (rewind, reinit, permuted, reshuffle, constant)}
ONES |= {f"signed_{name}": signed(ONES[name]) for name in ("reinit", "permuted", "reshuffle", "constant")}


def zero(begun, w, w1, kept, generator):
    """Pruned weights are zero, as in chapter 1: the mask sees to that."""
    return begun


def freeze(begun, w, w1, kept, generator):
    """Pruned weights stay at the values that the network returns to."""
    return np.where(kept, begun, w)


def variant_1(begun, w, w1, kept, generator):
    """Pruned weights that training moved towards zero are zero, the others stay at the values returned to."""
    return np.where(kept, begun, np.where(shrunk(w, w1), 0, w))


def variant_2(begun, w, w1, kept, generator):
    """The same, and kept weights that moved towards zero start from zero too."""
    return np.where(shrunk(w, w1), 0, np.where(kept, begun, w))


def random_zeros(begun, w, w1, kept, generator):
    """Control of variant 1: as many of the layer's pruned weights are zero, any of them."""
    pruned = np.flatnonzero(~kept)
    count = int((shrunk(w, w1) & ~kept).sum())
    begun = np.where(kept, begun, w)
    begun.flat[generator.permutation(pruned)[:count]] = 0
    return begun


def reversed_rule(begun, w, w1, kept, generator):
    """Control of variant 1: pruned weights that moved away from zero are zero, those that moved towards it stay."""
    return np.where(kept, begun, np.where(shrunk(w, w1), w, 0))


ZEROS: dict[str, Callable] = {f.__name__: f for f in (zero, freeze, variant_1, variant_2, random_zeros, reversed_rule)}
ZEROS["freeze_at_init"] = freeze  # at the initial weights, wherever the kept ones return to
RULED = ("variant_1", "variant_2", "random_zeros", "reversed_rule")
"""Actions that ask what training did with a weight."""
ANEW = ("reshuffle", "signed_reshuffle", "variant_2")
"""Actions that differ when they act on what the round before began with, not on the initial weights."""


def shrunk(w, w1) -> np.ndarray:
    """Bool, where training moved a weight towards zero: |w1| < |w|."""
    return np.abs(w1) < np.abs(w)
