"""Saliencies: how much each prunable weight matters; the lowest go first."""

from collections.abc import Mapping

import numpy as np


def magnitude(weights: Mapping[str, np.ndarray], names) -> dict[str, np.ndarray]:
    """|w|, the criterion of Frankle & Carbin 2019, section 2. `weights`: name -> array of the layer's shape."""
    return {name: np.abs(weights[name]) for name in names}


def random(shapes: Mapping[str, tuple], generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Uniform scores: pruning by them keeps a uniformly random subset of each layer."""
    return {name: generator.random(shape) for name, shape in shapes.items()}
