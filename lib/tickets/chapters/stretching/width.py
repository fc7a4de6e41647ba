"""Stretching and squeezing along width: units of a perceptron copied or dropped with all that comes in and leaves."""

import numpy as np

from ...pruning.masks import Mask, Weights


def across(source, target) -> bool:
    """Whether two perceptrons are equally deep: then one is made of the other by their widths."""
    return bool(source.widths and target.widths and len(source.widths) == len(target.widths))


def taken(have: int, want: int, generator, even: bool) -> tuple[np.ndarray, np.ndarray]:
    """(unit of the source for each of `want` units, factor on what leaves it), for a layer of `have` units.

    The copies of a unit share what left it: the factors of one unit add up to 1, so that the next layer sees the same,
    as in Chen et al. 2016, Net2Net, sec. 2.2. They are equal (even) or drawn: equal copies of one unit would have equal
    gradients for ever, and a network that is wider in name only. Of fewer units each leaves sqrt(have / want) times as
    much, so that sums of independent terms keep their variance.
    """
    units = np.arange(want) % have
    if want < have:
        return units, np.full(want, (have / want) ** 0.5)
    shares = np.ones(want) if even else generator.uniform(0.5, 1.5, want)
    return units, shares / np.bincount(units, shares)[units]


def widened(weights: Weights, mask: Mask, source, target, generator, even: bool = False) -> tuple[Weights, Mask]:
    """Weights and mask of a perceptron for one of other widths: each of its units with all that comes in and leaves."""
    found, kept = {}, {}
    inputs, factor = np.arange(source.widths[0]), np.ones(source.widths[0])
    sizes = zip(source.head, source.widths[1:], target.widths[1:], strict=True)
    for name, have, want in sizes:
        units, leaving = taken(have, want, generator, even)
        weight, place = weights[f"{name}.weight"], np.ix_(units, inputs)
        found[f"{name}.weight"] = (weight[place] * factor).astype(weight.dtype)
        found[f"{name}.bias"] = weights[f"{name}.bias"][units]
        kept[f"{name}.weight"] = mask[f"{name}.weight"][place]
        inputs, factor = units, leaving
    return found, Mask(kept)
