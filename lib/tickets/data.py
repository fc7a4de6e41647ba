"""Image datasets as tensors in memory; seeded splits, orders and augmentation as batched operations.

Images stay uint8 until a batch is used: `scale(augment(images[index], ...), dataset, inputs)`.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F

from .errors import BadInput, choose
from .seeds import stream

# in torchvision
REAL = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
NAMES = ("digits", "digits16", *REAL, "imagenet")
INPUTS = ("unit", "standard")
HELD_OUT = {"digits": 200, "digits16": 200, "imagenet": 50_000}
"""Validation images, where they are not the 5,000 of the paper."""
PAD = 4  # pixels of zeros on each side before the crop

# MD5 of the unpacked files; torchvision's own checksums cover the packed ones only
UNPACKED = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset on the CPU: images uint8 [N, C, H, W], labels int64 [N].

    The training images hold the validation images too: `split` tells them apart.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return tuple(self.train_images.shape[1:])

    @property
    def mean(self) -> Tensor:
        """Mean of each channel [C] over all training images, of pixels in [0, 1]."""
        return self._moments[0]

    @property
    def sd(self) -> Tensor:
        """Standard deviation of each channel [C] over all training images, of pixels in [0, 1]."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> Tensor:
        return torch.stack([_moments(channel) for channel in self.train_images.unbind(1)], dim=1)


def _moments(pixels: Tensor) -> Tensor:
    """(mean, sd) of uint8 pixels in units of 255; counting values is exact and needs no copy in floating point."""
    counts = sum(torch.bincount(block.flatten(), minlength=256) for block in pixels.split(1000)).double()
    value = torch.arange(256, dtype=torch.float64) / 255
    share = counts / counts.sum()
    mean = (share * value).sum()
    return torch.stack([mean, (share * (value - mean) ** 2).sum().sqrt()])


def load(name: str) -> Dataset:
    """The dataset `name`, read once per process.

    digits (8x8, embedded in scikit-learn), digits16 (the same at 16x16), or one of torchvision's from the folder
    TICKETS_DATA (default: data/ in the repository), downloaded into it if files are missing; imagenet, which is never
    downloaded, stays on disk (see `imagenet`). BadInput for an unknown name, a missing folder, wrong bytes or a failed
    download.
    """
    choose("dataset", name, NAMES)
    if name == "imagenet":
        from . import imagenet  # brings torchvision

        return imagenet.load(_root())
    return _digits(name, 2 if name == "digits16" else 1) if name not in REAL else _real(name, _root())


def described(name: str) -> tuple[tuple[int, int, int], int]:
    """((C, H, W) of an image, number of classes) of a dataset, without its files."""
    choose("dataset", name, NAMES)
    if name == "imagenet":
        return (3, 224, 224), 1000
    shapes = {"digits": (1, 8, 8), "digits16": (1, 16, 16), "cifar10": (3, 32, 32), "cifar100": (3, 32, 32)}
    return shapes.get(name, (1, 28, 28)), 100 if name == "cifar100" else 10


def _root() -> Path:
    """The data folder; one that the user names must exist."""
    named = os.environ.get("TICKETS_DATA")
    if named and not Path(named).is_dir():
        raise BadInput(f"no such data folder: {named} (set by TICKETS_DATA)")
    return Path(named or Path(__file__).parents[2] / "data").absolute()


@cache
def _digits(name: str, zoom: int) -> Dataset:
    """8x8 digits, each pixel repeated zoom x zoom times; the last 300 are the test images."""
    # the file alone: importing scikit-learn loads all of scipy, a second in every process
    file = Path(find_spec("sklearn").submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    digits = np.loadtxt(file, delimiter=",")  # 64 pixels of 0 to 16, then the label
    images = torch.from_numpy(np.rint(digits[:, :-1] * (255 / 16)).astype(np.uint8)).view(-1, 1, 8, 8)
    images = images.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    labels = torch.from_numpy(digits[:, -1].astype(np.int64))
    return Dataset(name, images[:-300], labels[:-300], images[-300:], labels[-300:], classes=10)


@cache
def _real(name: str, root: Path) -> Dataset:
    """One of torchvision's datasets, every file verified before it is read."""
    from torchvision import datasets

    source = getattr(datasets, REAL[name])
    missing = lambda: not all(file.exists() for file, _ in _files(name, source, root))  # noqa: E731
    if missing():
        _download(name, source, root, missing)
    _verify(name, source, root)
    train, test = _read(source, root, train=True), _read(source, root, train=False)
    return Dataset(name, *train, *test, classes=100 if name == "cifar100" else 10)


def _files(name: str, source, root: Path) -> Iterator[tuple[Path, str]]:
    """The files that reading needs, with their MD5."""
    if name in UNPACKED:
        yield from ((root / REAL[name] / "raw" / file, md5) for file, md5 in UNPACKED[name].items())
    else:
        lists = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
        yield from ((root / source.base_folder / file, md5) for file, md5 in lists)


def _download(name: str, source, root: Path, missing) -> None:
    """By one process, while the other workers of a run, which start together, wait for it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            if missing():
                _open(source, root, download=True)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInput(f"{name} is not in {root} (set by TICKETS_DATA) and its download failed: {reason}") from error


def _verify(name: str, source, root: Path) -> None:
    for file, md5 in _files(name, source, root):
        if hashlib.md5(file.read_bytes()).hexdigest() != md5:
            raise BadInput(
                f"wrong bytes in {file}: remove it to download it anew, or set TICKETS_DATA to another folder"
            )


def _read(source, root: Path, train: bool) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, C, H, W] and labels int64 [N]."""
    part = _open(source, root, train=train)
    images = torch.as_tensor(part.data)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    return images, torch.as_tensor(part.targets, dtype=torch.int64)


def _open(source, root: Path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CIFAR's pickles are older than NumPy's rules for their dtypes
        return source(root, **options)


def split(dataset: Dataset, replicate: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, validation) into the training images, drawn per replicate.

    5,000 validation images (Frankle & Carbin 2019, sec. 2 and 3), 200 of the digits, 50,000 of ImageNet.
    """
    held_out = HELD_OUT.get(dataset.name, 5000)
    shuffled = stream("split", replicate).permutation(len(dataset.train_labels))
    return shuffled[held_out:], shuffled[:held_out]


def order(n: int, batch: int, steps: int, replicate: int, level: float = 0, draw: int = 0) -> np.ndarray:
    """Positions in 0..n-1 of the images of each step, int32 [steps, batch].

    A fresh permutation per epoch, one after the other: each image comes once in any epoch, and a batch may span two.
    """
    generator = stream("order", replicate, level, draw)
    epochs = -(-steps * batch // n)
    images = np.concatenate([generator.permutation(np.arange(n, dtype=np.int32)) for _ in range(epochs)])
    return images[: steps * batch].reshape(steps, batch)


def augmentation(
    replicate: int, level: float, draw: int, steps: int, batch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One draw (flip, dy, dx) per image and step, each [steps, batch]: bool, and uint8 offsets in 0..8."""
    generator = stream("augment", replicate, level, draw)
    flip = generator.random((steps, batch), dtype=np.float32) < 0.5
    dy, dx = generator.integers(2 * PAD + 1, size=(2, steps, batch), dtype=np.uint8)
    return flip, dy, dx


def augment(x: Tensor, flip: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    """Flip left to right where `flip`, pad with 4 zeros on each side and crop at row dy and column dx, in 0..8.

    x [..., C, H, W] of any dtype; flip, dy and dx [...], one draw per image, on x's device.
    """
    *images, C, H, W = x.shape
    padded = F.pad(x, (PAD,) * 4)
    rows = dy.long().unsqueeze(-1) + torch.arange(H, device=x.device)  # [..., H]
    columns = dx.long().unsqueeze(-1) + torch.arange(W, device=x.device)  # [..., W]
    columns = torch.where(flip.unsqueeze(-1), W + 2 * PAD - 1 - columns, columns)
    cropped = padded.gather(-2, rows[..., None, :, None].expand(*images, C, H, W + 2 * PAD))
    return cropped.gather(-1, columns[..., None, None, :].expand(*images, C, H, W))


def scale(images: Tensor, dataset: Dataset, inputs: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images [..., C, H, W] as network inputs.

    "unit": pixels in [0, 1]; "standard": those minus the channel's mean, over its standard deviation.
    """
    choose("inputs", inputs, INPUTS)
    pixels = images.to(dtype) / 255
    if inputs == "unit":
        return pixels
    mean, sd = _moments_on(dataset, images.device, dtype)
    return (pixels - mean) / sd


@cache
def _moments_on(dataset: Dataset, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C, 1, 1] where the images are: no transfer at each step."""
    return tuple(moment.to(device, dtype)[:, None, None] for moment in (dataset.mean, dataset.sd))
