"""Random numbers to choose from, and what they are worth: bits of precision for every number that is added.

A replicate is so many targets, uniform on [-1, 1], each with numbers of its own at every size of a pool. Targets out of
reach count: at small sizes they are many. Distances are read in bits, -log2, so that halving one is one bit.
"""

from math import log2

import numpy as np

from ...seeds import stream
from ..subsets import sums
from ..subsets.searches import SEARCHES
from ..subsets.shares import top

SMALLEST = 0.01
"""Smallest size of a number of the hyperbolic law: the tolerance, below which a number changes little."""
TOLERANCE, SHARE = 0.01, 0.01
"""Of a weight in the published experiment; failures that are put up with."""
SIZES, FITTED = range(4, 31), range(8, 25)
"""Numbers in a pool; those between which bits are fitted: at fewer, targets are often out of reach."""
COUNTED = 20
"""Numbers of which the subsets of every size are tried."""


def uniform(generator, shape) -> np.ndarray:
    """U[-1, 1] (Pensia et al. 2020)."""
    return generator.uniform(-1, 1, shape)


def product(generator, shape) -> np.ndarray:
    """Products of two: what a path through a hidden unit of a random network is worth."""
    return generator.uniform(-1, 1, shape) * generator.uniform(-1, 1, shape)


def hyperbolic(generator, shape) -> np.ndarray:
    """Density proportional to 1/|x| on SMALLEST <= |x| <= 1 (after Orseau et al. 2020; the ends are ours)."""
    sizes = SMALLEST ** generator.uniform(0, 1, shape)
    return np.where(generator.random(shape) < 0.5, sizes, -sizes)


LAWS = {"uniform": uniform, "product": product, "hyperbolic": hyperbolic}
GADGET = "gadget"


def gadget(generator, targets: np.ndarray, units: int) -> np.ndarray:
    """Distances left [P] where a weight w is to be the function w x of so many random hidden units.

    Unit i gives v_i max(0, u_i x): those with u > 0 make its slope for x > 0, the others that for x < 0. Either half
    must come near w; the farther one counts.
    """
    u, v = generator.uniform(-1, 1, (2, len(targets), units))
    left = np.empty((len(targets), 2))
    for p, side in np.ndindex(left.shape):
        numbers = (u[p] * v[p])[(u[p] > 0) == side]
        left[p, side] = SEARCHES["exact"](numbers[None], targets[p : p + 1], generator, 0)[0]
    return left.max(1)


def distances(cell, size: int) -> np.ndarray:
    """What a search of `cell` leaves of each target, from `size` numbers (a gadget: twice as many hidden units)."""
    own, place = cell.own, [*LAWS, GADGET].index(cell.own["law"])
    generator = stream("noise", cell.replicate, size, place)
    targets = generator.uniform(-1, 1, own["targets"])
    if own["law"] == GADGET:
        return gadget(generator, targets, 2 * size)
    pools = LAWS[own["law"]](generator, (own["targets"], size))
    return SEARCHES[own["search"]](pools, targets, stream("redraw", cell.replicate, size, place), own["step_size"])


def measure(cell) -> tuple[dict, dict]:
    """(scalars, curves by size) of a search in pools of a law.

    bits: gained for every number added, by least squares over FITTED; bits_at_none: where that line meets no number;
    numbers: from how many on fewer than SHARE of the targets are missed by more than TOLERANCE (one beyond SIZES if
    that is never), and factor: the same for each bit of TOLERANCE; failed_15: percent missed with 15 numbers.
    """
    left = {size: distances(cell, size) for size in SIZES}
    each = 2 if cell.own["law"] == GADGET else 1
    bits = {size: float(-np.log2(np.maximum(gaps, 1e-16)).mean()) for size, gaps in left.items()}
    failed = {size: float(100 * (gaps > TOLERANCE).mean()) for size, gaps in left.items()}
    slope, start = np.polyfit([each * size for size in FITTED], [bits[size] for size in FITTED], 1)
    enough = each * (max((size for size in SIZES if failed[size] >= 100 * SHARE), default=SIZES[0] - 1) + 1)
    scalars = {"bits": float(slope), "bits_at_none": float(start), "failed_15": failed[15]}
    scalars |= {"numbers": enough, "factor": enough / log2(1 / TOLERANCE)}
    curves = {"size": [each * size for size in SIZES], "gained": list(bits.values()), "failed": list(failed.values())}
    return scalars, curves


def measure_sizes(cell) -> tuple[dict, dict]:
    """(scalars, curve by size) of the best subsets of fixed size, of COUNTED numbers.

    best_share: the share of the numbers at which bits are most, at the top of the parabola through the best size and
    its two neighbours. Curves: share, and bits at it; no subset and all numbers are left out.
    """
    generator = stream("noise", cell.replicate, COUNTED, len(LAWS) + 1)
    targets = generator.uniform(-1, 1, cell.own["targets"])
    left = sums.by_size(uniform(generator, (len(targets), COUNTED)), targets)[:, 1:-1]
    bits, shares = -np.log2(np.maximum(left, 1e-16)).mean(0), np.arange(1, COUNTED) / COUNTED
    return {"best_share": top(shares, bits)}, {"share": shares.tolist(), "gained": bits.tolist()}
