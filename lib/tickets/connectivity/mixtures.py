"""Mixtures of trained networks: affine combinations of their weights, read on the data of their replicate.

The points of a line, or of a plane, are evaluated as one population, on the compiled path one after the other. Axes: K
networks, P points, B images of a batch, N images, C channels.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, relu

from ..cells import Cell
from ..data.reader import Reader
from ..nets.layers import EPSILON, Layers, Tensors
from ..pruning.imp import Start
from ..pruning.masks import Mask
from ..training.compiled import pictures, settle
from ..training.flat import Network
from ..training.train import choose_path

STATISTICS = ("kept", "reestimated", "repaired")
IMAGES, POINTS, PIXELS = 500, 30, 32 * 32
"""Images of at most so many pixels, and points, evaluated at a time; of larger images fewer."""
BATCHES = 100
"""Training batches that statistics are re-estimated on: a running mean has then forgotten its start to 3e-5."""


class Mixtures:
    """Mixtures of K trained networks of one replicate."""

    def __init__(self, cell: Cell, model, networks, device="cpu"):
        self.cell, self.model, self.device, self.dtype = cell, model, device, getattr(torch, cell.precision)
        self.reader = Reader([cell], device, self.dtype)
        self.size = min(cell.micro_batch or cell.batch, max(1, self.reader.index["train"].shape[1] // BATCHES))
        self.compiled = choose_path(model, device, cell).startswith("conv")
        self.larger = max(1, model.input_shape[1] * model.input_shape[2] // PIXELS)
        stack = lambda name: torch.stack([torch.from_numpy(network[name]) for network in networks])  # noqa: E731
        self.params = {name: stack(name).to(device, self.dtype) for name in model.shapes}
        self.running = {name: stack(name).to(device, self.dtype) for name in model.buffers(1)}

    @torch.no_grad()
    def read(self, coefficients: np.ndarray, part: str, statistics: str = "kept") -> tuple[np.ndarray, np.ndarray]:
        """(mean cross-entropy [P], predicted classes int16 [P, N]) of the mixtures with coefficients [P, K]."""
        if self.compiled:
            return self._read_compiled(torch.as_tensor(coefficients, dtype=self.dtype), part, statistics)
        losses, classes = [], []
        for c in torch.as_tensor(coefficients, dtype=self.dtype, device=self.device).split(POINTS):
            forward, loss, predicted = self.mixture(c, statistics), 0.0, []
            for x, y in self.reader.parts(part, max(1, IMAGES // self.larger)):
                logits = forward(x[0])
                each = cross_entropy(logits.transpose(1, 2), y.expand(len(c), -1), reduction="none")
                loss = loss + each.double().sum(1)
                predicted.append(logits.argmax(2).to(torch.int16))
            losses.append(loss / self.reader.index[part].shape[1])
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
            outputs = Layers(self.params, {}, training=False).dense(x.flatten(1).expand(c.shape[1], -1, -1), first)
            return Layers(params, {}, training=False).head(relu(torch.tensordot(c, outputs, 1)), rest)

        return forward

    def normalized(self, c: Tensor, statistics: str = "kept") -> tuple[Tensors, Tensors]:
        """(parameters, running statistics) of the mixtures with coefficients c [P, K].

        kept: running means and variances are mixed like weights. reestimated: they are those of training batches, as in
        training, but of pictures as they are, not augmented. repaired (Jordan et al. 2023, REPAIR): each channel of a
        convolution is rescaled to the mean and standard deviation mixed from those of the K networks, and then meets
        the kept statistics. The kept normalization subtracts exactly that mean, so repairing is re-estimation with the
        scale of each channel times the mixed standard deviation over the root of the mixed variance: with a
        normalization after every convolution the two are close by construction.
        """
        params, running = self._mixed(c, statistics)
        if statistics == "kept" or not running:
            return params, running
        fresh, size = self.model.buffers(len(c), self.device, self.dtype), max(1, POINTS // self.larger)
        for (x,), _ in islice(self.reader.parts("train", self.size), BATCHES):
            for at in (slice(i, min(i + size, len(c))) for i in range(0, len(c), size)):
                # views: running statistics are updated in place
                part = [{name: tensor[at] for name, tensor in tensors.items()} for tensors in (params, fresh)]
                self.model.forward(*part, x.expand(at.stop - at.start, *x.shape), training=True)
        return params, fresh

    def _mixed(self, c: Tensor, statistics: str) -> tuple[Tensors, Tensors]:
        """Parameters and running statistics mixed, the scales of channels repaired where asked."""
        params, running = mixed(self.params, c), mixed(self.running, c)
        variances = [name for name in running if name.endswith(".running_var")]
        for name in variances:
            running[name] = running[name].clamp_min(0)  # beyond the networks a mixture may leave its range
        for name in variances if statistics == "repaired" else ():
            deviation = torch.tensordot(c, (self.running[name] + EPSILON).sqrt(), 1)
            scale = name.replace(".running_var", ".weight")
            params[scale] = params[scale] * deviation / (running[name] + EPSILON).sqrt()
        return params, running

    def _read_compiled(self, c: Tensor, part: str, statistics: str) -> tuple[np.ndarray, np.ndarray]:
        """`read`, one mixture after the other: what no network kept costs nothing (see `training.compiled`)."""
        settle(self.cell.precision, self.model)
        picked, train = self.reader.index[part][0], self.reader.index["train"][0]
        seen = {name: pictures(self.cell, name) for name in ("train", "test")}
        read = []
        for point in c.split(1):
            params, running = self._mixed(point, statistics)
            running = running if statistics == "kept" else self.model.buffers(1, dtype=self.dtype)
            value = self.network.flat({name: tensor[0].numpy() for name, tensor in (params | running).items()})
            if statistics != "kept" and running:
                self.network.read(value, seen["train"], train[: self.size * BATCHES], training=True)
            read.append(self.network.read(value, seen["test" if part == "test" else "train"], picked))
        losses, classes = zip(*read, strict=True)
        return np.array(losses), np.stack(classes)

    @cached_property
    def network(self) -> Network:
        """The tables that serve all mixtures."""
        weights = {name: tensor[0].numpy() for name, tensor in (self.params | self.running).items()}
        kept = Mask({name: (self.params[name] != 0).any(0).numpy() for name in self.model.prunable})
        return Network(self.model, Start(weights, kept), self.cell.precision, self.size)

    def errors(self, loss: np.ndarray, predicted: np.ndarray, part: str) -> np.ndarray:
        """Errors in percent [P]; that of chance where the loss is not finite, whatever an argmax over NaN says."""
        wrong = 100 * (predicted != self.reader.labels(part).cpu().numpy()).mean(1)
        return np.where(np.isfinite(loss), wrong, 100 - 100 / self.model.classes)


def mixed(stacked: Tensors, c: Tensor) -> Tensors:
    """Tensors [K, ...] mixed with coefficients c [P, K]: [P, ...]."""
    return {name: torch.tensordot(c, tensor, 1) for name, tensor in stacked.items()}
