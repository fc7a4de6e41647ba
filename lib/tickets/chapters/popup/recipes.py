"""Which networks belong together: a search, its course over the share kept, and the dense networks beside it."""

import numpy as np

KEEPS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the weights that are kept, where a course over them is read."""


def law(cell, model, weights):
    """Initial weights as a search sees them: as drawn, or their signs times sqrt(2 / fan-in).

    scaled: a recipe of its own, in which the fan-in counts (1 - keep)-fold. That is the authors' code, where `keep` is
    what stays; one would expect `keep` there, and at one half the two agree.
    """
    from ...nets.layers import sd  # brings torch

    own, made = cell.own, dict(weights)
    for name in model.prunable:
        if own["constant"]:
            made[name] = np.sign(weights[name]) * np.float32(sd(model.shapes[name], "kaiming"))
        if own["scaled"]:
            made[name] = made[name] * np.float32((1 - own["keep"]) ** -0.5)
    return made


def searched(cell) -> list:
    """The network whose scores a measurement reads."""
    return [cell.but(arm="edge_popup", **cell.own)]


def course_of(cell) -> list:
    """The networks of a course: the same search at every share."""
    return [cell.but(arm="edge_popup", **{**cell.own, "keep": keep}) for keep in KEEPS]


def recipes(cell) -> list:
    """The dense networks that a search is compared with; of an image network two, of which the better one counts.

    The authors' configurations: gradient descent at a tenth of the rate, or Adam without decay, batch 60, at 0.0002
    (Conv-2) or 0.0003. A perceptron has the recipe of its scores.
    """
    net = cell.but(arm="trained")
    if not cell.model.startswith("conv"):
        return [net]
    rate, steps = (2e-4 if cell.model.startswith("conv-2") else 3e-4), -(-cell.steps * cell.batch // 60)
    adam = {"optimizer": "adam", "learning_rate": rate, "batch": 60, "momentum": 0, "weight_decay": 0}
    return [net.but(learning_rate=cell.learning_rate / 10), net.but(**adam, steps=steps)]


def compared(cell) -> list:
    """A search and its dense networks."""
    return [*searched(cell), *recipes(cell)]
