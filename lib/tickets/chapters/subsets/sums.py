"""Exact subset sums: which of n given numbers add up nearest to a target.

By meeting in the middle (Horowitz & Sahni 1974): all sums of either half of the numbers in rising order, then one walk
up the first list and down the second. 2^(n/2) steps instead of 2^n; by hand, since a general solver of integer programs
takes 10,000 times as long. Letters: P pools, N numbers of a pool, M targets of a pool.
"""

import numba
import numpy as np


@numba.njit(cache=True, boundscheck=False)
def all_sums(numbers):
    """(sums in rising order [2^N], their subsets [2^N]) of numbers [N]; bit i of a subset is number i."""
    size, sums, subsets = 1, np.zeros(1), np.zeros(1, np.int64)
    for bit in range(len(numbers)):
        longer, marked, i, j = np.empty(2 * size), np.empty(2 * size, np.int64), 0, 0
        for k in range(2 * size):  # merge the sums without this number and those with it, each in order
            if j == size or (i < size and sums[i] <= sums[j] + numbers[bit]):
                longer[k], marked[k] = sums[i], subsets[i]
                i += 1
            else:
                longer[k], marked[k] = sums[j] + numbers[bit], subsets[j] | (1 << bit)
                j += 1
        size, sums, subsets = 2 * size, longer, marked
    return sums, subsets


@numba.njit(cache=True, boundscheck=False)
def nearest(low, high, target):
    """Places (i, j) for which low[i] + high[j] is nearest to the target; both rise."""
    best, at, i, j = np.inf, (0, 0), 0, len(high) - 1
    while i < len(low) and j >= 0:
        gap = low[i] + high[j] - target
        if abs(gap) < best:
            best, at = abs(gap), (i, j)
        short = gap <= 0  # then every smaller high[j] falls further short, else every larger low[i] is further beyond
        i, j = i + short, j - (not short)
    return at


@numba.njit(cache=True, boundscheck=False)
def exact(pools, targets):
    """(nearest sums [P, M], their subsets [P, M]) to targets [P, M] of pools [P, N], N at most 60.

    Targets of one pool share its numbers, and nothing of a pool is used up: M deletions of M copies of it.
    """
    half = pools.shape[1] // 2
    found, subsets = np.empty(targets.shape), np.empty(targets.shape, np.int64)
    for p in range(len(pools)):
        (low, below), (high, above) = all_sums(pools[p, :half]), all_sums(pools[p, half:])
        for m in range(targets.shape[1]):
            i, j = nearest(low, high, targets[p, m])
            found[p, m], subsets[p, m] = low[i] + high[j], below[i] | (above[j] << half)
    return found, subsets


@numba.njit(cache=True, boundscheck=False)
def by_size(pools, targets):
    """Smallest distance [P, N + 1] to targets [P] of any subset of each size, by trying all 2^N of pools [P, N]."""
    n = pools.shape[1]
    best = np.full((len(pools), n + 1), np.inf)
    for p in range(len(pools)):
        total, size, inside = 0.0, 0, np.zeros(n, np.bool_)
        best[p, 0] = abs(targets[p])
        for count in range(1, 1 << n):  # neighbours in Gray's order differ by one number
            bit = 0
            while not (count >> bit) & 1:
                bit += 1
            inside[bit] = not inside[bit]
            sign = 1 if inside[bit] else -1
            total, size = total + sign * pools[p, bit], size + sign
            best[p, size] = min(best[p, size], abs(total - targets[p]))
    return best
