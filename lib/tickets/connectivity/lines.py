"""Is the error low on the straight line between two networks, and in the plane of three?

Instability analysis of Frankle et al. 2020 (LMC), section 2: two copies of one network are trained from a common step
on, on different orders of the data; the barrier is the highest error on the line between them minus the mean of its
ends.
"""

import numpy as np

from ..cells import Cell
from ..pruning.imp import left, returned_to
from ..pruning.masks import Weights
from .mixtures import STATISTICS, Mixtures

SIDE, MARGIN = 21, 0.2
"""Points on a side of the plane, and how far it reaches beyond the three networks, as a share of their extent."""


def measure(cell: Cell, ends: list[Cell], model, store, device, points: int) -> tuple[dict, dict]:
    """(scalars, curves) of the straight line between two networks, at so many points, both ends among them."""
    networks, masks = zip(*(left(end, model, store) for end in ends), strict=True)
    check_apart(networks, cell)
    scalars, curves = line(Mixtures(cell, model, networks, device), np.linspace(0, 1, points))
    return scalars | geometry(networks, masks, returned_to(cell, model, store), model), curves


def measure_plane(cell: Cell, corners: list[Cell], model, store, device="cpu") -> tuple[dict, dict]:
    """(scalars, curves) of the plane through three networks."""
    networks = [left(corner, model, store)[0] for corner in corners]
    check_apart(networks, cell)
    return plane(Mixtures(cell, model, networks, device), networks)


def check_apart(networks, cell: Cell) -> None:
    """ValueError where two ends are one network: one object under two names has no barrier, whatever was trained.

    Two data orders never end at the same bits. (A public repository reports "stable at initialization" for a pair of
    names that hold the same model.)
    """
    for i, one in enumerate(networks):
        for other in networks[:i]:
            shared = any(np.shares_memory(one[name], other[name]) for name in one)
            if shared or all(np.array_equal(one[name], other[name]) for name in one):
                raise ValueError(f"{cell.arm}, level {cell.level}: two ends are one network")


def line(mixtures: Mixtures, alphas: np.ndarray) -> tuple[dict, dict]:
    """(scalars, curves) of the mixtures (1 - alpha) * first + alpha * second, the ends among the alphas.

    Errors and barriers are in percent and percentage points; `disagreement` is the percentage of test images that the
    two ends classify differently, `disagreement_least` what their error rates alone force. Networks with batch
    normalization have test error and barrier under all `STATISTICS`, those after the first with a suffix.
    """
    coefficients = np.stack([1 - alphas, alphas], 1)
    loss, predicted = mixtures.read(coefficients, "test")
    test, train = (
        mixtures.errors(loss, predicted, "test"),
        mixtures.errors(*mixtures.read(coefficients, "train"), "train"),
    )
    scalars = {
        "barrier_test": barrier(test),
        "barrier_train": barrier(train),
        "error_ends": float(test[[0, -1]].mean()),
        "disagreement": float(100 * (predicted[0] != predicted[-1]).mean()),
        "disagreement_least": float(abs(test[0] - test[-1])),
    }
    curves = {"alpha": alphas.tolist(), "test_error": test.tolist(), "train_error": train.tolist()}
    curves["test_loss"] = loss.tolist()
    for statistics in STATISTICS[1:] if mixtures.running else ():
        test = mixtures.errors(*mixtures.read(coefficients, "test", statistics), "test")
        scalars[f"barrier_test_{statistics}"] = barrier(test)
        scalars[f"error_ends_{statistics}"] = float(test[[0, -1]].mean())
        curves[f"test_error_{statistics}"] = test.tolist()
    return scalars, curves


def barrier(errors: np.ndarray) -> float:
    """Linear interpolation instability (LMC, section 2): the highest error on a line minus the mean of its two ends."""
    return float(np.max(errors) - (errors[0] + errors[-1]) / 2)


def geometry(networks, masks, trunk: Weights, model) -> dict[str, float]:
    """Distances (L2, all trained parameters) and the angle, in degrees, between what two networks did from W_k on.

    distance: between the two; travelled: from the masked W_k, their mean; distance_ratio: the first over the second
    (LMC, appendix B); angle: between the two displacements (Frankle et al. 2019, appendix B, on masked weights).
    """
    one, other = (_flat(network, model) for network in networks)
    moves = [end - _flat(mask.apply(trunk), model) for end, mask in zip((one, other), masks, strict=True)]
    lengths = [float(np.linalg.norm(move)) for move in moves]
    distance, travelled, product = float(np.linalg.norm(one - other)), np.mean(lengths), np.prod(lengths)
    cosine = moves[0] @ moves[1] / product if product else np.nan
    return {
        "distance": distance,
        "travelled": float(travelled),
        "distance_ratio": distance / travelled if travelled else float("nan"),
        "angle": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
    }


def _flat(weights: Weights, model) -> np.ndarray:
    """All trained parameters of a network as one vector."""
    return np.concatenate([weights[name].ravel().astype(float) for name in model.shapes])


def plane(mixtures: Mixtures, networks) -> tuple[dict, dict]:
    """(scalars, curves) of test errors on a grid in the plane through three networks.

    Gram-Schmidt coordinates in L2 units: the first network at the origin, the second on the first axis. Curves: x, y
    [SIDE]; error_00, ..., one row of the grid each, test error in percent at y[i] along x; network_x, network_y [3].
    """
    at, x, y, coefficients = grid(*(_flat(network, mixtures.model) for network in networks))
    errors = mixtures.errors(*mixtures.read(coefficients, "test"), "test").reshape(SIDE, SIDE)
    ends = mixtures.errors(*mixtures.read(np.eye(3), "test"), "test")
    curves = {"x": x.tolist(), "y": y.tolist(), "network_x": at[:, 0].tolist(), "network_y": at[:, 1].tolist()}
    curves |= {f"error_{i:02d}": row.tolist() for i, row in enumerate(errors)}
    return {f"error_{i}": float(error) for i, error in enumerate(ends)}, curves


def grid(origin: np.ndarray, second: np.ndarray, third: np.ndarray) -> tuple[np.ndarray, ...]:
    """(places of the networks [3, 2], x [SIDE], y [SIDE], coefficients [SIDE * SIDE, 3], x moving fastest)."""
    across = np.linalg.norm(second - origin)
    along = (third - origin) @ (second - origin) / across
    height = np.linalg.norm(third - origin - along * (second - origin) / across)
    at = np.array([[0, 0], [across, 0], [along, height]])
    low, high = at.min(0), at.max(0)
    x, y = (np.linspace(a - MARGIN * (b - a), b + MARGIN * (b - a), SIDE) for a, b in zip(low, high, strict=True))
    right, up = (axis.ravel() for axis in np.meshgrid(x, y))
    of_third = up / height
    of_second = (right - of_third * along) / across
    return at, x, y, np.stack([1 - of_second - of_third, of_second, of_third], 1)
