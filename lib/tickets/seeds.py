"""Random streams: counter based, keyed by what they are for and not by when they are drawn.

Two networks share a stream exactly when they share its key, so arms of a replicate meet the same split, the same
initialization and (at one level) the same order of the data, whatever the device, the engine or the neighbours.
"""

import numpy as np

ROOT = 1803_03635
"""One root for the whole book, so that equal cells are trained once."""

PURPOSES = tuple("split init order augment mask redraw noise sample".split())  # noqa: SIM905, words of its own, no arms


def stream(purpose: str, replicate: int = 0, level: float = 0, draw: int = 0) -> np.random.Generator:
    """An independent generator for one purpose of one network.

    `level` may be fractional (one-shot pruning between the rungs of the ladder) and counts to a thousandth.
    """
    key = (ROOT, PURPOSES.index(purpose), replicate, round(1000 * level), draw)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
