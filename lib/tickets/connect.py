"""Connectivity: is the error low on the straight line between two networks, and in the plane of three?

Instability analysis of Frankle et al. 2020 (LMC), section 2: two copies of one network are trained from a common step
on, on different orders of the data; the barrier is the highest error on the line between them minus the mean of its
ends. Every point is an affine mixture of K trained networks; all points of a line are evaluated as one population.

Axes: K networks, P points, B images of a batch, N images, C channels.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, relu

from . import data, imp
from .cells import Cell
from .layers import EPSILON, Tensors, dense
from .masks import Mask, mask_at
from .models import dense_head
from .store import pruned_at

Weights = dict[str, np.ndarray]

STATISTICS = ("kept", "reestimated", "repaired")
IMAGES, POINTS, PIXELS = 500, 30, 32 * 32
"""Images of at most so many pixels, and points, evaluated at a time; of larger images fewer."""
BATCHES = 100
"""Training batches that statistics are re-estimated on: a running mean has then forgotten its start to 3e-5."""
SIDE, MARGIN = 21, 0.2
"""Points on a side of the plane, and how far it reaches beyond the three networks, as a share of their extent."""


def measure(cell: Cell, model, store, trunk: Weights, device="cpu") -> tuple[dict, dict]:
    """(scalars, curves) of a chord, of successive rounds, of a descent or of a plane.

    trunk: the weights W_k that the networks of `cell` started from, see `imp.rewound`.
    """
    networks, masks = zip(*(_stored(end, store) for end in imp.ends(cell)), strict=True)
    check_apart(networks, cell)
    task = Task(cell, model, networks, device)
    if cell.arm == "plane":
        return plane(task, networks)
    scalars, curves = line(task, np.linspace(0, 1, cell.points))
    return scalars | geometry(networks, masks, trunk, model), curves


def _stored(cell: Cell, store) -> tuple[Weights, Mask]:
    found = store.tensors(cell)
    return imp.final(found), mask_at(pruned_at(found), cell.level)


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


class Task:
    """Mixtures of K trained networks, read on the data of their replicate."""

    def __init__(self, cell: Cell, model, networks, device="cpu"):
        self.cell, self.model, self.device = cell, model, device
        self.dtype, self.data = getattr(torch, cell.precision), data.load(cell.dataset)
        picked = torch.from_numpy(data.split(self.data, cell.replicate)[0])
        self.images = {"train": self.data.train_images, "test": self.data.test_images}
        self.index = {"train": picked, "test": torch.arange(len(self.data.test_labels))}
        self.labels = {"train": self.data.train_labels[picked], "test": self.data.test_labels}
        self.larger = max(1, self.data.shape[1] * self.data.shape[2] // PIXELS)
        stack = lambda name: torch.stack([torch.from_numpy(network[name]) for network in networks])  # noqa: E731
        self.params = {name: stack(name).to(device, self.dtype) for name in model.shapes}
        self.running = {name: stack(name).to(device, self.dtype) for name in model.buffers(1)}

    def inputs(self, part: str, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Network inputs [B, C, H, W] and labels [B] of a part of the data, without augmentation."""
        for index, labels in zip(self.index[part].split(size), self.labels[part].split(size), strict=True):
            images = self.images[part][index].to(self.device)
            x = data.scale(images, self.data, self.cell.inputs, self.dtype)
            yield x, labels.to(self.device)

    @torch.no_grad()
    def read(self, coefficients: np.ndarray, part: str, statistics: str = "kept") -> tuple[np.ndarray, np.ndarray]:
        """(mean cross-entropy [P], predicted classes int16 [P, N]) of the mixtures with coefficients [P, K]."""
        losses, classes = [], []
        for c in torch.as_tensor(coefficients, dtype=self.dtype, device=self.device).split(POINTS):
            forward, loss, predicted = self.mixture(c, statistics), 0.0, []
            for x, y in self.inputs(part, max(1, IMAGES // self.larger)):
                logits = forward(x)
                each = cross_entropy(logits.transpose(1, 2), y.expand(len(c), -1), reduction="none")
                loss = loss + each.double().sum(1)
                predicted.append(logits.argmax(2).to(torch.int16))
            losses.append(loss / len(self.labels[part]))
            classes.append(torch.cat(predicted, 1))
        return torch.cat(losses).cpu().numpy(), torch.cat(classes).cpu().numpy()

    def mixture(self, c: Tensor, statistics: str = "kept") -> Callable[[Tensor], Tensor]:
        """The mixtures with coefficients c [P, K]: images [B, C, H, W] -> logits [P, B, classes]."""
        if self.model.widths:
            return self._perceptrons(c)
        params, buffers = self.normalized(c, statistics)
        return lambda x: self.model.forward(params, buffers, x.expand(len(c), *x.shape), training=False)

    def _perceptrons(self, c: Tensor) -> Callable[[Tensor], Tensor]:
        """A first layer is linear in its weights: mixing its K outputs costs an eighth of P first layers of LeNet."""
        first, *rest = self.model.head
        params = mixed({name: tensor for name, tensor in self.params.items() if name.split(".")[0] in rest}, c)

        def forward(x: Tensor) -> Tensor:
            outputs = dense(self.params, x.flatten(1).expand(c.shape[1], -1, -1), first)
            return dense_head(rest, params, relu(torch.tensordot(c, outputs, 1)))

        return forward

    def normalized(self, c: Tensor, statistics: str = "kept") -> tuple[Tensors, Tensors]:
        """(parameters, running statistics) of the mixtures with coefficients c [P, K].

        kept: running means and variances are mixed like weights. reestimated: they are those of training batches, as in
        training itself. repaired (Jordan et al. 2023, REPAIR): each channel of a convolution is rescaled to the mean
        and standard deviation mixed from those of the K networks, and then meets the kept statistics. The kept
        normalization subtracts exactly that mean, so repairing is re-estimation with the scale of each channel times
        the mixed standard deviation over the root of the mixed variance: with a normalization after every convolution
        the two are close by construction.
        """
        params, running = mixed(self.params, c), mixed(self.running, c)
        variances = [name for name in running if name.endswith(".running_var")]
        for name in variances:
            running[name] = running[name].clamp_min(0)  # beyond the networks a mixture may leave its range
        if statistics == "kept" or not running:
            return params, running
        for name in variances if statistics == "repaired" else ():
            deviation = torch.tensordot(c, (self.running[name] + EPSILON).sqrt(), 1)
            scale = name.replace(".running_var", ".weight")
            params[scale] = params[scale] * deviation / (running[name] + EPSILON).sqrt()
        fresh = self.model.buffers(len(c), self.device, self.dtype)
        size = min(self.cell.batch, max(1, len(self.labels["train"]) // BATCHES))
        for x, _ in islice(self.inputs("train", size), BATCHES):
            for some in torch.arange(len(c)).split(max(1, POINTS // self.larger)):
                at = slice(int(some[0]), int(some[-1]) + 1)  # views: running statistics are updated in place
                part = [{name: tensor[at] for name, tensor in tensors.items()} for tensors in (params, fresh)]
                self.model.forward(*part, x.expand(len(some), *x.shape), training=True)
        return params, fresh

    def errors(self, loss: np.ndarray, predicted: np.ndarray, part: str) -> np.ndarray:
        """Errors in percent [P]; that of chance where the loss is not finite, whatever an argmax over NaN says."""
        wrong = 100 * (predicted != self.labels[part].numpy()).mean(1)
        return np.where(np.isfinite(loss), wrong, 100 - 100 / self.data.classes)


def mixed(stacked: Tensors, c: Tensor) -> Tensors:
    """Tensors [K, ...] mixed with coefficients c [P, K]: [P, ...]."""
    return {name: torch.tensordot(c, tensor, 1) for name, tensor in stacked.items()}


def line(task: Task, alphas: np.ndarray) -> tuple[dict, dict]:
    """(scalars, curves) of the mixtures (1 - alpha) * first + alpha * second, the ends among the alphas.

    Errors and barriers are in percent and percentage points; `disagreement` is the percentage of test images that the
    two ends classify differently, `disagreement_least` what their error rates alone force. Networks with batch
    normalization have test error and barrier under all `STATISTICS`, those after the first with a suffix.
    """
    coefficients = np.stack([1 - alphas, alphas], 1)
    loss, predicted = task.read(coefficients, "test")
    test, train = task.errors(loss, predicted, "test"), task.errors(*task.read(coefficients, "train"), "train")
    scalars = {
        "barrier_test": barrier(test),
        "barrier_train": barrier(train),
        "error_ends": float(test[[0, -1]].mean()),
        "disagreement": float(100 * (predicted[0] != predicted[-1]).mean()),
        "disagreement_least": float(abs(test[0] - test[-1])),
    }
    curves = {"alpha": alphas.tolist(), "test_error": test.tolist(), "train_error": train.tolist()}
    curves["test_loss"] = loss.tolist()
    for statistics in STATISTICS[1:] if task.running else ():
        test = task.errors(*task.read(coefficients, "test", statistics), "test")
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
    flat = lambda weights: np.concatenate([weights[name].ravel().astype(float) for name in model.shapes])  # noqa: E731
    one, other = map(flat, networks)
    moves = [flat(network) - flat(mask.apply(trunk)) for network, mask in zip(networks, masks, strict=True)]
    lengths = [float(np.linalg.norm(move)) for move in moves]
    distance, travelled, product = float(np.linalg.norm(one - other)), np.mean(lengths), np.prod(lengths)
    cosine = moves[0] @ moves[1] / product if product else np.nan
    return {
        "distance": distance,
        "travelled": float(travelled),
        "distance_ratio": distance / travelled if travelled else float("nan"),
        "angle": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
    }


def plane(task: Task, networks) -> tuple[dict, dict]:
    """(scalars, curves) of test errors on a grid in the plane through three networks.

    Gram-Schmidt coordinates in L2 units: the first network at the origin, the second on the first axis. Curves: x, y
    [SIDE]; error_00, ..., one row of the grid each, test error in percent at y[i] along x; network_x, network_y [3].
    """
    flat = [np.concatenate([network[name].ravel().astype(float) for name in task.model.shapes]) for network in networks]
    at, x, y, coefficients = grid(*flat)
    errors = task.errors(*task.read(coefficients, "test"), "test").reshape(SIDE, SIDE)
    ends = task.errors(*task.read(np.eye(3), "test"), "test")
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
