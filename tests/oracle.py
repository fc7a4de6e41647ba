"""The networks as ordinary `nn.Module`s: what a population must agree with, and the baseline of the benchmark.

Written from the paper's layer lists without the library, so that the two can disagree.
"""

from itertools import pairwise

import torch
import torchvision
from torch import nn
from torch.nn.functional import relu


def plain(name: str, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network `name`, in training mode, with torch's own initialization."""
    channels, H, W = input_shape
    if name.startswith("lenet-"):
        return nn.Sequential(nn.Flatten(), *_dense(channels * H * W, *map(int, name.split("-")[1:]), classes))
    if name.startswith("fc-"):
        return nn.Sequential(nn.Flatten(), *_dense(channels * H * W, int(name[3:]), classes, bias=False))
    if name.startswith("mlp-"):
        depth, width = map(int, name.removeprefix("mlp-").split("x"))
        return nn.Sequential(nn.Flatten(), *_dense(channels * H * W, *[width] * depth, width // 3, classes))
    if name.startswith("resnet-") and name != "resnet-50":
        layers, _, width = name.removeprefix("resnet-").partition("x")
        return ResNet(channels, classes, (int(layers) - 2) // 6, int(width or 16))
    if name == "resnet-50":
        module = torchvision.models.resnet50(num_classes=classes)
        module.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        return module
    if name.startswith("vgg-"):
        layers, _, width = name.removeprefix("vgg-").partition("x")
        return _vgg(channels, classes, {"13": 2, "16": 3, "19": 4}[layers], int(width or 64))
    depth, _, first = name.removeprefix("conv-").partition("x")
    first = int(first or 64)
    widths, units = [first * 2**i for i in range(int(depth) // 2)], 4 * first
    pixels = (H >> len(widths)) * (W >> len(widths))
    return nn.Sequential(
        *_pooled_pairs(channels, widths), nn.Flatten(), *_dense(widths[-1] * pixels, units, units, classes)
    )


def load_replicate(module: nn.Module, params: dict, r: int) -> nn.Module:
    """`module` with the values and the dtype of replicate r of a population's parameters, matched by their order."""
    own = list(module.parameters())
    assert [tuple(p.shape) for p in own] == [tuple(p.shape[1:]) for p in params.values()]
    module.to(next(iter(params.values())).dtype)
    with torch.no_grad():
        for mine, given in zip(own, params.values(), strict=True):
            mine.copy_(given[r])
    return module


def _dense(*widths, bias=True):
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs, bias), nn.ReLU()]
    return layers[:-1]


def _pooled_pairs(channels, widths):
    layers = []
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        ]
        layers += [nn.MaxPool2d(2)]
        channels = width
    return layers


def _vgg(channels, classes, deep, first):
    layers = []
    for width, depth in ((first, 2), (2 * first, 2), (4 * first, deep), (8 * first, deep), (8 * first, deep)):
        layers += [nn.MaxPool2d(2)] if layers else []
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * first, classes))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = relu(self.norm1(self.conv1(x)))
        return relu(self.norm2(self.conv2(h)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, channels, classes, deep, first):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, first, 3, padding=1, bias=False), nn.BatchNorm2d(first)
        shapes = [(first, first, 1)] * deep
        for inputs in (first, 2 * first):
            shapes += [(inputs, 2 * inputs, 2), *[(2 * inputs, 2 * inputs, 1)] * (deep - 1)]
        self.blocks = nn.Sequential(*(Block(*shape) for shape in shapes))
        self.fc = nn.Linear(4 * first, classes)

    def forward(self, x):
        return self.fc(self.blocks(relu(self.norm(self.conv(x)))).mean((2, 3)))
