"""Would the sign hold on other test images? Intervals over replicates are conditional on the images; these are not."""

from functools import cache

import numpy as np
import pandas as pd

from ..seeds import stream
from .verdicts import LEVEL, Verdict

TIMES, IMAGES = 400, 10_000
SMALL = 0.5
"""Effects below this many points are asked."""


def images_matter(verdict: Verdict, rows: pd.DataFrame) -> bool:
    """Whether a small effect loses what decided it when test images and replicates are drawn anew.

    rows: of a reading of test accuracies (see `contrasts.Reading`). False where not all rows still have their images.
    """
    if not verdict.decided or abs(verdict.estimate) >= SMALL or "wrong" not in rows:
        return False
    wrong = rows["wrong"].map(len)
    if not np.allclose(100 * (1 - wrong / IMAGES), rows["test_accuracy"], atol=1e-3):
        return False
    low, high = interval(rows)
    return any(low <= null <= high for _, null in verdict.nulls)


def interval(rows: pd.DataFrame) -> tuple[float, float]:
    """95 % bootstrap interval of the mean contrast over images and replicates."""
    missed = np.array([_image_counts()[wrong].sum(axis=0, dtype=np.int32) for wrong in rows["wrong"]])  # [row, times]
    points = pd.DataFrame(100 * (1 - missed / IMAGES) * rows[["weight"]].to_numpy())
    gains = points.groupby(rows["replicate"].to_numpy(), sort=False).sum().to_numpy().T  # [times, replicate]
    picks = stream("sample", draw=1).integers(gains.shape[1], size=gains.shape)
    means = np.take_along_axis(gains, picks, axis=1).mean(axis=1)
    return tuple(np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))


@cache
def _image_counts() -> np.ndarray:
    """[image, times]: how often each image is drawn when as many as there are are drawn with replacement."""
    return stream("sample").multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), TIMES).T.astype(np.uint8, "C")
