"""Mask criteria: what is asked of a weight's initial and final value (Zhou et al. 2019, section 2 and Figure 3).

Each is a function (w0, w1, alive, generator) -> scores in float64; the lowest are pruned first. w0, w1: initial and
final weights of one layer; alive: those not pruned yet, among which two-condition criteria rank; generator: for
chance. Whatever a sign condition leaves equal is put in random order, since ties would otherwise fall by position.
"""

from collections.abc import Callable, Mapping

import numpy as np

from ...pruning.masks import Mask, Weights


def large_final(w0, w1, alive, generator):
    """|w1|: magnitude pruning, the criterion of chapter 1."""
    return _size(w1)


def small_final(w0, w1, alive, generator):
    """-|w1|."""
    return -_size(w1)


def large_init(w0, w1, alive, generator):
    """|w0|: known before any training."""
    return _size(w0)


def small_init(w0, w1, alive, generator):
    """-|w0|."""
    return -_size(w0)


def large_init_large_final(w0, w1, alive, generator):
    """min(rank of |w0|, rank of |w1|): a weight must be large on both axes, cut at one percentile for both.

    The paper writes min(a |w1|, |w0|) with a factor that aligns the axes; its code looks for that one percentile.
    """
    return np.minimum(_rank(_size(w0), alive), _rank(_size(w1), alive))


def small_init_small_final(w0, w1, alive, generator):
    """-max(rank of |w0|, rank of |w1|): small on both axes."""
    return -np.maximum(_rank(_size(w0), alive), _rank(_size(w1), alive))


def magnitude_increase(w0, w1, alive, generator):
    """|w1| - |w0|."""
    return _size(w1) - _size(w0)


def movement(w0, w1, alive, generator):
    """|w1 - w0|."""
    return np.abs(w1.astype(float) - w0)


def random(w0, w1, alive, generator):
    """Uniform on [0, 1)."""
    return generator.random(w0.shape)


def large_final_same_sign(w0, w1, alive, generator):
    """max(0, w0 w1 / |w0|): |w1| where the sign was kept; weights that changed it come last, in random order."""
    return np.where(same_sign(w0, w1), _size(w1), -generator.random(w0.shape))


def large_final_diff_sign(w0, w1, alive, generator):
    """max(0, -w0 w1 / |w0|): |w1| where the sign was changed; the others come last, in random order."""
    return np.where(same_sign(w0, w1), -generator.random(w0.shape), _size(w1))


def magnitude_increase_same_sign(w0, w1, alive, generator):
    """|w1| - |w0| where the sign was kept, else 0: above every weight that shrank, as in the authors' code."""
    return np.where(same_sign(w0, w1), _size(w1) - _size(w0), TIE * generator.random(w0.shape))


def magnitude_increase_diff_sign(w0, w1, alive, generator):
    """|w1| - |w0| where the sign was changed, else 0: above every weight that shrank, as in the authors' code."""
    return np.where(same_sign(w0, w1), TIE * generator.random(w0.shape), _size(w1) - _size(w0))


TIE = 1e-20
"""Far below any difference of two weights: it orders the zeros and nothing else."""
CRITERIA: dict[str, Callable] = {
    f.__name__: f
    for f in (
        *(large_final, small_final, large_init, small_init, large_init_large_final, small_init_small_final),
        *(magnitude_increase, movement, random, large_final_same_sign, large_final_diff_sign),
        *(magnitude_increase_same_sign, magnitude_increase_diff_sign),
    )
}
AT_INIT = ("large_init", "small_init", "random")
"""Criteria that need no training: pruned round by round or at once, the mask is the same."""
BY_GRADIENT = ("snip", "gradient")
"""Criteria of the authors' code that ask the loss: its gradient at the weights returned to (`pruning_at_init`)."""


def scores(name: str, initial: Weights, trained: Weights, alive: Mask, generator) -> Mapping[str, np.ndarray]:
    """Scores of every prunable layer by a criterion."""
    return {layer: CRITERIA[name](initial[layer], trained[layer], kept, generator) for layer, kept in alive.items()}


def same_sign(w0, w1) -> np.ndarray:
    """Bool, where training kept the sign of the initial weight."""
    return np.sign(w0) == np.sign(w1)


def _size(w) -> np.ndarray:
    return np.abs(w.astype(float))


def _rank(values, alive) -> np.ndarray:
    """Share of the weights alive that are not larger than each."""
    return np.searchsorted(np.sort(values[alive]), values, side="right") / max(alive.sum(), 1)
