"""Layers of a population: R networks of one architecture, parameters stacked on a leading axis.

Axes: R replicates, B images of a batch, C channels, H x W pixels, I inputs, O outputs, K x K kernels. The layer `name`
has the parameters `name.weight` [R, O, I] or [R, O, C, K, K] and `name.bias` [R, O]. Replicates never mix, so replicate
r of a population computes what the same network computes alone.
"""

import math
import operator

import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = dict[str, Tensor]

MOMENTUM, EPSILON = 0.1, 1e-5  # of batch normalization, as torch's BatchNorm2d


def sd(shape: tuple[int, ...], rule: str = "glorot") -> float:
    """Standard deviation of Gaussian initialization for weights of `shape` (O, I) or (O, C, K, K).

    glorot: sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16), kaiming: sqrt(2 / fan_in) (He et al. 2015, eq.
    10), where a kernel counts K * K connections per channel.
    """
    fan_out, fan_in, *kernel = shape
    return math.sqrt(2.0 / ((fan_in + fan_out * (rule == "glorot")) * math.prod(kernel)))


def conv2d(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """x [R, B, C, H, W], w [R, O, C, K, K] -> [R, B, O, H', W']."""
    return torch.stack([F.conv2d(xr, wr, stride=stride, padding=padding) for xr, wr in zip(x, w, strict=True)])


class Layers:
    """The layers that a network is described with (`Model.through`), computed by torch on parameters [R, ...].

    In training the running statistics in `buffers` are updated IN PLACE. `training.program` has the same layers, which
    describe a network to compiled code.
    """

    def __init__(self, params: Tensors, buffers: Tensors, training: bool, dropout=None):
        self.params, self.buffers, self.training, self.dropout = params, buffers, training, dropout

    relu, add = staticmethod(F.relu), staticmethod(operator.add)

    def dense(self, x: Tensor, name: str) -> Tensor:
        """x [R, B, I] -> [R, B, O]; a layer may have no bias."""
        weight, bias = self.params[f"{name}.weight"].transpose(1, 2), self.params.get(f"{name}.bias")
        return x @ weight if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)

    def conv(self, x: Tensor, name: str) -> Tensor:
        """Convolution with bias that keeps the image's size: x [R, B, C, H, W] -> [R, B, O, H, W]."""
        return self._conv(x, name) + self.params[f"{name}.bias"][:, None, :, None, None]

    def conv_norm(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """Convolution without bias, then the batch normalization `name.norm`: x [R, B, C, H, W] -> [R, B, O, H', W'].

        Each channel of each replicate is normalized in training by the statistics of the batch, which update the
        running mean and (unbiased) variance, otherwise by the running statistics.
        """
        running = (self.buffers[f"{name}.norm.running_{kind}"] for kind in ("mean", "var"))
        affine = (self.params[f"{name}.norm.{kind}"] for kind in ("weight", "bias"))
        rows = zip(self._conv(x, name, stride), *running, *affine, strict=True)
        return torch.stack([F.batch_norm(*row, self.training, MOMENTUM, EPSILON) for row in rows])

    def _conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.params[f"{name}.weight"]
        return conv2d(x, weight, stride, padding=weight.shape[-1] // 2)

    def max_pool(self, x: Tensor, size: int = 2, padding: int = 0) -> Tensor:
        """Halve the image, rounding down unless padded: [R, B, C, H, W] -> [R, B, C, H // 2, W // 2]."""
        return F.max_pool2d(x.flatten(0, 1), size, stride=2, padding=padding).unflatten(0, x.shape[:2])

    def average(self, x: Tensor) -> Tensor:
        """Average over the image: [R, B, C, H, W] -> [R, B, C]."""
        return x.mean((3, 4))

    def head(self, x: Tensor, names: list[str]) -> Tensor:
        """Dense layers with rectifiers, and dropout, between them: x [R, B, ...] -> logits [R, B, classes]."""
        h = x.flatten(2)
        for name in names[:-1]:
            h = F.relu(self.dense(h, name))
            h = self.dropout(h) if self.dropout else h
        return self.dense(h, names[-1])
