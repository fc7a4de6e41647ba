"""Searches for a subset that do not try all, each as good people do it without a solver: distances left [P].

Letters as in `sums`. Every search sees a pool [P, N] and one target [P], in float64.
"""

import numpy as np

from . import sums

STEPS, MOMENTUM = 1000, 0.9
"""Of edge-popup, with a rate that falls as a cosine; one step sees all there is to see."""


def exact(pools, targets, generator, rate) -> np.ndarray:
    """The best subset there is."""
    return np.abs(sums.exact(pools, targets[:, None])[0][:, 0] - targets)


def greedy(pools, targets, generator, rate) -> np.ndarray:
    """From the largest size to the smallest, a number is taken where it brings the sum nearer."""
    order = np.argsort(-np.abs(pools), axis=1)
    rest = targets.copy()
    for numbers in np.take_along_axis(pools, order, 1).T:
        rest = np.where(np.abs(rest - numbers) < np.abs(rest), rest - numbers, rest)
    return np.abs(rest)


def relaxed(pools, targets, generator, rate) -> np.ndarray:
    """Shares between 0 and 1 in place of in or out, solved exactly, then rounded.

    Of all shares p with sum p x = target the ones nearest to a random start: clip(start + c x, 0, 1) for one number c
    of each pool, found by halving. A target out of reach has the nearest sum that there is.
    """
    start = generator.random(pools.shape)
    shares = lambda c: np.clip(start + c[:, None] * pools, 0, 1)  # noqa: E731
    low, high = np.full(len(pools), -1e9), np.full(len(pools), 1e9)
    for _ in range(100):
        middle = (low + high) / 2
        short = (shares(middle) * pools).sum(1) < targets
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.abs(((shares(high) > 0.5) * pools).sum(1) - targets)


def edge_popup(pools, targets, generator, rate) -> np.ndarray:
    """Scores trained by gradient descent (Ramanujan et al. 2020): the half with the largest sizes of scores is kept.

    A unit with N weights and the input 1, of which the squared distance is the loss; its gradient passes the choice of
    the largest as if it were not there, to the sizes of all scores. Scores start as the authors' do, of an odd number
    the larger half is kept as they do, and the last subset counts.
    """
    half = pools.shape[1] // 2
    scores, slow = generator.uniform(-1, 1, pools.shape) / np.sqrt(pools.shape[1]), np.zeros(pools.shape)
    for step in range(STEPS + 1):
        sizes = np.abs(scores)
        gap = ((sizes >= np.partition(sizes, half, 1)[:, half, None]) * pools).sum(1) - targets
        if step < STEPS:
            slow = MOMENTUM * slow + 2 * gap[:, None] * pools * np.sign(scores)
            scores -= rate * (1 + np.cos(np.pi * step / STEPS)) / 2 * slow
    return np.abs(gap)


SEARCHES = {"exact": exact, "greedy": greedy, "relaxed": relaxed, "edge_popup": edge_popup}
"""The subsets that exist, and three ways to find one."""
