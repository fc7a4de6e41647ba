"""Where datasets come from: by name, verified to the byte, read once a process."""

import hashlib
import os
import pickle
import socket
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from errno import ENOSPC
from functools import cache
from http.client import HTTPException
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn.functional import pad

from ..errors import BadInput, MachineFault, choose
from ..files import ROOT
from .dataset import Dataset

# in torchvision
REAL = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}
REAL["cifar100_coarse"] = "CIFAR100"  # the same images under their 20 superclasses
MADE = {"fashion_mnist32": "fashion_mnist"} | {f"{n}_16": n for n in ("cifar10", "cifar100", "cifar100_coarse")}
"""Datasets that are computed from another one, see `_made`."""
HALVED = ("digits", "digits16", "mnist", "fashion_mnist", "cifar10", "cifar10_16")
"""Datasets that come in halves too, NAME-a and NAME-b; which images those have is drawn per replicate (`split`)."""
PATIENCE = 60
"""Seconds that a download may be silent."""
GIVEN: dict[str, Dataset] = {}  # a reader's own, in memory
NAMES = ("digits", "digits16", *REAL, *MADE, "imagenet", *(f"{n}-{half}" for n in HALVED for half in "ab"))
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


def load(name: str) -> Dataset:
    """The dataset `name`, read once per process.

    digits (8x8, embedded in scikit-learn), digits16 (the same at 16x16), a half (see `HALVED`), fashion_mnist32 (in a
    frame of zeros, in three equal channels, for networks of 32x32 images), cifar10_16 and kin (means of 2x2 pixels), or
    one of torchvision's from the folder TICKETS_DATA (default: data/ in the repository), downloaded into it if files
    are missing; imagenet, which is never downloaded, stays on disk (see `imagenet`). BadInput for an unknown name, a
    missing folder, wrong bytes or a failed download; MachineFault where the disk fails.
    """
    if name in GIVEN:
        return GIVEN[name]
    choose("dataset", name, NAMES)
    if "-" in name or name in MADE:
        return _made(name, load(MADE.get(name, name.partition("-")[0])))
    if name == "imagenet":
        from . import imagenet  # brings torchvision

        return imagenet.load(_root())
    return _digits(name, 2 if name == "digits16" else 1) if name not in REAL else _real(name, _root())


def described(name: str) -> tuple[tuple[int, int, int], int]:
    """((C, H, W) of an image, number of classes) of a dataset, without its files."""
    if name in GIVEN:
        return GIVEN[name].shape, GIVEN[name].classes
    choose("dataset", name, NAMES)
    if name == "imagenet":
        return (3, 224, 224), 1000
    shapes = {"digits": (1, 8, 8), "digits16": (1, 16, 16), "mnist": (1, 28, 28), "fashion_mnist": (1, 28, 28)}
    whole, classes = name.partition("-")[0], {"cifar100": 100, "cifar100_coarse": 20}
    size = (3, 16, 16) if whole.endswith("_16") else (3, 32, 32)
    return shapes.get(whole, size), classes.get(whole.removesuffix("_16"), 10)


def _root() -> Path:
    """The data folder; one that the user names must exist."""
    named = os.environ.get("TICKETS_DATA")
    if named and not Path(named).is_dir():
        raise BadInput(f"no such data folder: {named} (set by TICKETS_DATA)")
    return Path(named or ROOT / "data").absolute()


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
def _made(name: str, whole: Dataset) -> Dataset:
    """A half, which has the tensors of the whole, fashion_mnist32, or images of half the side."""
    if "-" in name:
        return replace(whole, name=name)
    if name.endswith("_16"):
        train, test = _halved(whole.train_images), _halved(whole.test_images)
        return replace(whole, name=name, train_images=train, test_images=test, pad=whole.pad // 2)
    train, test = (pad(part, (2,) * 4).repeat(1, 3, 1, 1) for part in (whole.train_images, whole.test_images))
    return replace(whole, name=name, train_images=train, test_images=test)


def _halved(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] -> [N, C, H / 2, W / 2]: means of 2x2 pixels, rounded, a half to the even number."""
    corners = (images[..., y::2, x::2].float() for y in (0, 1) for x in (0, 1))
    return (sum(corners) / 4).round().to(torch.uint8)


@cache
def _real(name: str, root: Path) -> Dataset:
    """One of torchvision's datasets: the very bytes that were verified are read, whatever else lies in the folder."""
    from torchvision import datasets  # half a second that the embedded digits do without

    source, lock = getattr(datasets, REAL[name]), root / f".{REAL[name]}.lock"  # one for all names of the same files
    missing = lambda: not all(file.exists() for file, _ in _files(name, source, root))  # noqa: E731
    if missing():
        _download(name, source, root, lock, missing)
    contents = lambda: [_verified(file, md5) for file, md5 in _files(name, source, root)]  # noqa: E731
    try:
        verified = contents()
    except BadInput:
        if not lock.exists():
            raise
        with FileLock(lock):  # another process may have been writing them
            verified = contents()
    if name in UNPACKED:
        parts = [_unpacked(content) for content in verified]
        return Dataset(name, parts[0], parts[1].long(), parts[2], parts[3].long(), classes=10)
    if name == "svhn":
        return Dataset(name, *_house_numbers(verified[0]), *_house_numbers(verified[1]), classes=10)
    kind = f"{'coarse' if name.endswith('coarse') else 'fine'}_labels"
    train, test = (_batches(verified[part], kind) for part in (slice(0, -2), slice(-2, -1)))
    return Dataset(name, *train, *test, classes=described(name)[1])


def _files(name: str, source, root: Path) -> Iterator[tuple[Path, str]]:
    """The files that reading needs, with their MD5."""
    if name in UNPACKED:
        yield from ((root / REAL[name] / "raw" / file, md5) for file, md5 in UNPACKED[name].items())
    elif name == "svhn":
        yield from ((root / file, md5) for _, file, md5 in map(source.split_list.get, ("train", "test")))
    else:
        lists = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
        yield from ((root / source.base_folder / file, md5) for file, md5 in lists)


def _download(name: str, source, root: Path, lock: Path, missing) -> None:
    """By one process, while the other workers of a run, which start together, wait for it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if missing():
                print(f"downloading {name} into {root}", file=sys.stderr, flush=True)
                _fetch(name, source, root)
    except (OSError, RuntimeError, HTTPException) as error:
        if getattr(error, "errno", None) == ENOSPC:
            raise MachineFault(f"{root} has no room for {name}") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{name} is not in {root} (set by TICKETS_DATA) and its download failed: {reason}") from error


def _fetch(name: str, source, root: Path) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)  # of every read: a server that falls silent is given up
    try:
        files = source.__new__(source)  # not opened: that would take an old processed/training.pt for the data
        files.root = root
        for split in ("train", "test") if name == "svhn" else ("",):
            if split:
                files.split, (files.url, files.filename, _) = split, source.split_list[split]
            files.download()
    finally:
        socket.setdefaulttimeout(before)


def _verified(file: Path, md5: str) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MachineFault(f"{file} cannot be read: {error.strerror}") from error
    if hashlib.md5(content).hexdigest() != md5:
        raise BadInput(f"wrong bytes in {file}: remove it to download it anew, or set TICKETS_DATA to another folder")
    return content


def _unpacked(content: bytes) -> Tensor:
    """The array in a file of MNIST's kind: two zero bytes, kind and number of axes, the axes, then uint8 values."""
    axes = np.frombuffer(content, ">u4", content[3], offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(axes)
    return torch.from_numpy(values.copy()).unsqueeze(1) if len(axes) == 3 else torch.from_numpy(values.copy())


def _house_numbers(content: bytes) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of a file of SVHN's, where the digit 0 has the label 10."""
    from scipy.io import loadmat  # a fifth of a second that others do without

    found = loadmat(BytesIO(content))
    return torch.from_numpy(found["X"].transpose(3, 2, 0, 1).copy()), torch.from_numpy(found["y"].ravel() % 10).long()


def _batches(contents: list[bytes], kind: str) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of CIFAR's pickles, whose bytes were verified before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are older than NumPy's rules for their dtypes
        parts = [pickle.loads(content, encoding="latin1") for content in contents]
    images = np.concatenate([part["data"] for part in parts]).reshape(-1, 3, 32, 32)
    labels = [label for part in parts for label in part.get("labels", part.get(kind))]
    return torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64)
