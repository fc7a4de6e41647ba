"""Layers of a population: R networks of one architecture, parameters stacked on a leading axis.

Axes: R replicates, B images of a batch, C channels, H x W pixels, I inputs, O outputs, K x K kernels. The layer `name`
has the parameters `name.weight` [R, O, I] or [R, O, C, K, K] and `name.bias` [R, O]. Replicates never mix, so replicate
r of a population computes what the same network computes alone.
"""

import math
import operator
from functools import partial

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


def dense(params: Tensors, x: Tensor, name: str) -> Tensor:
    """x [R, B, I] -> [R, B, O]; a layer may have no bias."""
    weight, bias = params[f"{name}.weight"].transpose(1, 2), params.get(f"{name}.bias")
    return x @ weight if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)


def conv(params: Tensors, x: Tensor, name: str) -> Tensor:
    """Convolution with bias that keeps the image's size: x [R, B, C, H, W] -> [R, B, O, H, W]."""
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
    return conv2d(x, weight, padding=weight.shape[-1] // 2) + bias[:, None, :, None, None]


def conv_norm(params: Tensors, buffers: Tensors, training: bool, x: Tensor, name: str, stride: int = 1) -> Tensor:
    """Convolution without bias, then the batch normalization `name.norm`: x [R, B, C, H, W] -> [R, B, O, H', W'].

    In training the running statistics in `buffers` are updated IN PLACE.
    """
    weight, norm = params[f"{name}.weight"], f"{name}.norm"
    x = conv2d(x, weight, stride, padding=weight.shape[-1] // 2)
    running = buffers[f"{norm}.running_mean"], buffers[f"{norm}.running_var"]
    return batch_norm(x, *running, params[f"{norm}.weight"], params[f"{norm}.bias"], training)


def conv2d(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """x [R, B, C, H, W], w [R, O, C, K, K] -> [R, B, O, H', W']."""
    return torch.stack([F.conv2d(xr, wr, stride=stride, padding=padding) for xr, wr in zip(x, w, strict=True)])


def batch_norm(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, training: bool) -> Tensor:
    """Normalize each channel of each replicate: x [R, B, C, H, W], all others [R, C] -> [R, B, C, H, W].

    In training by the statistics of the batch, and the running `mean` and (unbiased) `var` are updated IN PLACE;
    otherwise by the running statistics.
    """
    rows = zip(x, mean, var, weight, bias, strict=True)
    return torch.stack([F.batch_norm(*row, training=training, momentum=MOMENTUM, eps=EPSILON) for row in rows])


def max_pool(x: Tensor, size: int = 2, padding: int = 0) -> Tensor:
    """Halve the image, rounding down unless padded: [R, B, C, H, W] -> [R, B, C, H // 2, W // 2]."""
    return F.max_pool2d(x.flatten(0, 1), size, stride=2, padding=padding).unflatten(0, x.shape[:2])


def global_average(x: Tensor) -> Tensor:
    """Average over the image: [R, B, C, H, W] -> [R, B, C]."""
    return x.mean((3, 4))


class Layers:
    """The layers that a network is described with (`Model.through`), computed by torch on parameters [R, ...].

    `training.program` has the same layers, which describe a network to compiled code.
    """

    def __init__(self, params: Tensors, buffers: Tensors, training: bool, dropout=None):
        self.params, self.dropout = params, dropout
        self.conv, self.dense = partial(conv, params), partial(dense, params)
        self.conv_norm = partial(conv_norm, params, buffers, training)

    relu, add, max_pool, average = (
        staticmethod(F.relu),
        operator.add,
        staticmethod(max_pool),
        staticmethod(global_average),
    )

    def head(self, x: Tensor, names: list[str]) -> Tensor:
        """Dense layers with rectifiers, and dropout, between them: x [R, B, ...] -> logits [R, B, classes]."""
        h = x.flatten(2)
        for name in names[:-1]:
            h = F.relu(self.dense(h, name))
            h = self.dropout(h) if self.dropout else h
        return self.dense(h, names[-1])
