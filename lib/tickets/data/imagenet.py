"""ImageNet, which no memory holds: a pool of threads decodes images from disk when a batch asks for them.

A training image is a random part of the picture, 8 to 100 % of its area and 3:4 to 4:3 in shape, resized to 224x224 and
flipped left to right half of the time (Szegedy et al. 2015, sec. 6); any other is the middle of the picture.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Resize
from torchvision.transforms.functional import hflip, resized_crop

from ..errors import BadInput, MachineFault
from ..seeds import stream
from .dataset import Dataset

SIDE = 224
SIZES = {"train": 1_281_167, "val": 50_000}
CLASSES = 1000
MOMENTS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of each channel, of pixels in [0, 1], as torchvision's models take them."""
TRIES = 10
DRAWS = 3 + 2 * TRIES
"""Uniform numbers for one image: whether to flip, the place down and across, and tries of (area, shape)."""


class Images:
    """uint8 images [N, 3, 224, 224] on disk. Indexed by a tensor [...] they are [..., 3, 224, 224] on its device."""

    def __init__(self, paths: list[str]):
        self.paths, self.shape = paths, (len(paths), 3, SIDE, SIDE)

    def to(self, device) -> "Images":
        """Itself: it is the index that says where a batch goes."""
        return self

    def __getitem__(self, index: Tensor) -> Tensor:
        """The middle of each picture: its short side resized to 256 pixels, then 224x224 of it."""
        return self._read(index, repeat(Compose([Resize(256), CenterCrop(SIDE)])))

    def cropped(self, index: Tensor, draws: np.ndarray) -> Tensor:
        """A random part of each picture by its uniform numbers draws [..., DRAWS]."""
        return self._read(index, [partial(_part, u=u) for u in draws.reshape(-1, DRAWS)])

    def _read(self, index: Tensor, views) -> Tensor:
        paths = [self.paths[i] for i in index.flatten().tolist()]
        pixels = torch.from_numpy(np.stack(list(_pool().map(_decoded, paths, views))))
        return pixels.permute(0, 3, 1, 2).contiguous().view(*index.shape, *self.shape[1:]).to(index.device)


class OnDisk(Dataset):
    """A dataset whose images are `Images`, and whose moments are not measured but those in general use."""

    @property
    def moments(self) -> Tensor:
        return torch.tensor(MOMENTS, dtype=torch.float64)


@cache
def load(root: Path) -> OnDisk:
    """ImageNet 2012 in the folder `imagenet` of `root`, its validation images as test images; BadInput if not whole."""
    train, val = (_listed(root / "imagenet" / part, size) for part, size in SIZES.items())
    if train.classes != val.classes:
        raise BadInput(f"{root / 'imagenet'}: the folders in train and in val must have the same names")
    parts = [(Images([path for path, _ in part.samples]), torch.tensor(part.targets)) for part in (train, val)]
    return OnDisk("imagenet", *parts[0], *parts[1], classes=CLASSES)


def _listed(folder: Path, size: int) -> ImageFolder:
    try:
        found = ImageFolder(folder)
        there = f"{len(found.samples):,} in {len(found.classes):,}"
    except OSError:
        there = "none"
    if there != f"{size:,} in {CLASSES:,}":
        raise BadInput(
            f"ImageNet is not in {folder}: put its {size:,} images there, a folder for each of its {CLASSES:,} classes "
            f"(found: {there}); it cannot be downloaded for you, and TICKETS_DATA names another data folder"
        )
    return found


def draws(replicate: int, level: float, draw: int, step: int, batch: int) -> np.ndarray:
    """Uniform numbers [batch, DRAWS] of the images of one step, without drawing those of the steps before."""
    generator = stream("augment", replicate, level, draw)
    generator.bit_generator.advance(step << 64)
    return generator.random((batch, DRAWS))


def box(width: int, height: int, u) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random part: the first try that fits, else the largest that may be, centred."""
    _, down, across, *tries = u
    for area, shape in zip(tries[::2], tries[1::2], strict=True):
        pixels, ratio = width * height * (0.08 + 0.92 * area), (4 / 3) ** (2 * shape - 1)
        w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(down * (height - h + 1)), int(across * (width - w + 1)), h, w
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


def _part(image: Image.Image, u) -> Image.Image:
    part = resized_crop(image, *box(*image.size, u), [SIDE, SIDE])
    return hflip(part) if u[0] < 0.5 else part


def _decoded(path: str, view) -> np.ndarray:
    """uint8 [224, 224, 3]."""
    try:
        with Image.open(path) as image:
            return np.asarray(view(image.convert("RGB")))
    except OSError as error:
        if error.errno:  # the system's, not the decoder's
            raise MachineFault(f"{path} cannot be read: {error.strerror}") from error
        raise BadInput(f"wrong bytes in {path}: no image can be read from it") from error


@cache
def _pool() -> ThreadPoolExecutor:
    """One thread a core: decoding holds no lock of Python's."""
    return ThreadPoolExecutor(os.cpu_count())
