"""Would the sign hold on other test images? Intervals over replicates are conditional on the images; these are not."""

from functools import cache

import numpy as np
import pandas as pd

from ..seeds import stream
from .verdicts import LEVEL, Verdict

TIMES = 400
SMALL = 0.5
"""Effects below this many points are asked."""


def images_matter(verdict: Verdict, rows: pd.DataFrame, images: int = 10_000) -> bool:
    """Whether a small effect loses what decided it when test images and replicates are drawn anew.

    rows: of a reading of test accuracies (see `contrasts.Reading`). False where not all rows still have their images.
    """
    if not verdict.decided or abs(verdict.estimate) >= SMALL or "wrong" not in rows:
        return False
    wrong = rows["wrong"].map(len)
    if not np.allclose(100 * (1 - wrong / images), rows["test_accuracy"], atol=1e-3):
        return False
    low, high = interval(rows, images)
    return any(low <= null <= high for _, null in verdict.nulls)


def interval(rows: pd.DataFrame, images: int) -> tuple[float, float]:
    """95 % bootstrap interval of the mean contrast over images and replicates."""
    gains = _image_counts(images) @ _contributions(rows, images).T  # [times, replicates]
    picks = stream("sample", draw=1).integers(gains.shape[1], size=gains.shape)
    means = np.take_along_axis(gains, picks, axis=1).mean(axis=1)
    return tuple(np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))


def _contributions(rows: pd.DataFrame, images: int) -> np.ndarray:
    """[replicate, image]: what each image adds to the contrast of a replicate, in points."""
    place = {replicate: i for i, replicate in enumerate(rows["replicate"].unique())}
    found = np.zeros((len(place), images), dtype=np.float32)
    for replicate, weight, wrong in zip(rows["replicate"], rows["weight"], rows["wrong"], strict=True):
        found[place[replicate]] += weight * 100 / images
        found[place[replicate], wrong] -= weight * 100 / images
    return found


@cache
def _image_counts(images: int) -> np.ndarray:
    """[times, image]: how often each image is drawn when as many as there are are drawn with replacement."""
    return stream("sample").multinomial(images, np.full(images, 1 / images), TIMES).astype(np.float32)
