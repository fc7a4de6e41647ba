"""What the theorems promise: how many times as wide as its target a random network must be.

Targets have width d and l layers, and are to be met within `error` on the unit ball. None of the papers states the
constant: every function here has it at 1, so that shapes can be compared and heights cannot.
"""

from math import log, log2


def malach(d: float, l: int = 2, error: float = 0.01) -> float:
    """Malach et al. 2020: d^4 l^2 / error^2, with its logarithm; the usual short form leaves out the error."""
    m = d**2 * l
    return m**2 / error**2 * log(m / error)


def orseau(d: float, l: int = 2, error: float = 0.01) -> float:
    """Orseau et al. 2020: a logarithm of hidden units for each weight, of which a unit has d."""
    return d * log(d * l / error)


def pensia(d: float, l: int = 2, error: float = 0.01) -> float:
    """Pensia et al. 2020, theorem 1: log(4 l d^2 / error); only every second of the 2 l layers is widened."""
    return log(4 * l * d**2 / error)


def least(d: float, l: int = 2, error: float = 0.01) -> float:
    """Pensia et al. 2020, theorem 2: a linear d x d target takes d^2 log2(1 / 2 error) weights, here in two layers."""
    return log2(1 / (2 * error)) / 2


def measured(d: float, bits: float, at_none: float, l: int = 2, error: float = 0.01) -> float:
    """Hidden units of exactly solved gadgets that are within error / (d l) on average, by the line fitted to them."""
    return (log2(d * l / error) - at_none) / bits
