"""Where a course over shares has its top."""

import numpy as np


def top(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through the largest y and its neighbours has its top; x is evenly spaced. At an end: there."""
    at = int(y.argmax())
    if at in (0, len(y) - 1):
        return float(x[at])
    before, here, after = y[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float(x[at] + (x[1] - x[0]) * (0.5 * (before - after) / bend if bend else 0))
