"""An image dataset as tensors in memory; seeded splits, orders and augmentation as batched operations.

Images stay uint8 until a batch is used: `scale(augment(images[index], ...), dataset, inputs)`.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..seeds import stream

HELD_OUT = {"digits": 200, "digits16": 200, "imagenet": 50_000}
"""Validation images, where they are not the 5,000 of the paper."""
PAD = 4  # pixels of zeros on each side before the crop


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset on the CPU: images uint8 [N, C, H, W], labels int64 [N].

    The training images hold the validation images too: `split` tells them apart. pad: as `augment` has it.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    pad: int = PAD

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return tuple(self.train_images.shape[1:])

    @cached_property
    def moments(self) -> Tensor:
        """Mean and standard deviation of each channel [2, C] over all training images, of pixels in [0, 1]."""
        return torch.stack([_moments(channel) for channel in self.train_images.unbind(1)], dim=1)


def _moments(pixels: Tensor) -> Tensor:
    """(mean, sd) of uint8 pixels in units of 255; counting values is exact and needs no copy in floating point."""
    counts = sum(torch.bincount(block.flatten(), minlength=256) for block in pixels.split(1000)).double()
    value = torch.arange(256, dtype=torch.float64) / 255
    share = counts / counts.sum()
    mean = (share * value).sum()
    return torch.stack([mean, (share * (value - mean) ** 2).sum().sqrt()])


def split(dataset: Dataset, replicate: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, validation) into the training images, drawn per replicate.

    5,000 validation images (Frankle & Carbin 2019, sec. 2 and 3), 200 of the digits, 50,000 of ImageNet; of a half,
    which has every other image of each class in the order that is drawn, half as many.
    """
    name, _, half = dataset.name.partition("-")
    held_out, shuffled = HELD_OUT.get(name, 5000), stream("split", replicate).permutation(len(dataset.train_labels))
    if half:
        by_class = np.argsort(dataset.train_labels.numpy()[shuffled], kind="stable")
        shuffled, held_out = shuffled[np.sort(by_class["ab".index(half) :: 2])], held_out // 2
    return shuffled[held_out:], shuffled[:held_out]


def order(n: int, batch: int, steps: int, replicate: int, level: float = 0, draw: int = 0) -> np.ndarray:
    """Positions in 0..n-1 of the images of each step, int32 [steps, batch].

    A fresh permutation per epoch, one after the other: each image comes once in any epoch, and a batch may span two.
    """
    generator = stream("order", replicate, level, draw)
    epochs = -(-steps * batch // n)
    images = np.concatenate([generator.permutation(np.arange(n, dtype=np.int32)) for _ in range(epochs)])
    return images[: steps * batch].reshape(steps, batch)


def augmentation(replicate, level, draw, steps: int, batch: int, pad: int = PAD) -> tuple[np.ndarray, ...]:
    """One draw (flip, dy, dx) per image and step, each [steps, batch]: bool, and uint8 offsets in 0..2 pad.

    More steps draw more and change none of the first: a network stopped early has seen what the whole one sees.
    """
    drawn = stream("augment", replicate, level, draw).random((steps, batch, 3), dtype=np.float32)
    dy, dx = np.floor((2 * pad + 1) * drawn[..., 1:]).astype(np.uint8).transpose(2, 0, 1)
    return drawn[..., 0] < 0.5, dy, dx


def augment(x: Tensor, flip: Tensor, dy: Tensor, dx: Tensor, pad: int = PAD) -> Tensor:
    """Flip left to right where `flip`, pad with zeros on each side and crop at row dy and column dx, in 0..2 pad.

    x [..., C, H, W] of any dtype; flip, dy and dx [...], one draw per image, on x's device.
    """
    *images, C, H, W = x.shape
    padded = F.pad(x, (pad,) * 4)
    rows = dy.long().unsqueeze(-1) + torch.arange(H, device=x.device)  # [..., H]
    columns = dx.long().unsqueeze(-1) + torch.arange(W, device=x.device)  # [..., W]
    columns = torch.where(flip.unsqueeze(-1), W + 2 * pad - 1 - columns, columns)
    cropped = padded.gather(-2, rows[..., None, :, None].expand(*images, C, H, W + 2 * pad))
    return cropped.gather(-1, columns[..., None, None, :].expand(*images, C, H, W))


def scale(images: Tensor, dataset: Dataset, inputs: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images [..., C, H, W] as network inputs.

    "unit": pixels in [0, 1]; "standard": those minus the channel's mean, over its standard deviation; "given": as is.
    """
    pixels = images.to(dtype) / (1 if inputs == "given" else 255)
    if inputs != "standard":
        return pixels
    mean, sd = _moments_on(dataset, images.device, dtype)
    return (pixels - mean) / sd


@cache
def _moments_on(dataset: Dataset, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Mean and standard deviation [2, C, 1, 1] where the images are: no transfer at each step."""
    return dataset.moments.to(device, dtype)[..., None, None]
