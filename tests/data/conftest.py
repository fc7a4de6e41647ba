"""Small datasets in the layout of the real ones, with checksums of their own, in a folder of the test."""

import hashlib
import pickle

import numpy as np
import pytest
from tickets.data import sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder; nothing can be downloaded into it."""
    from torchvision import datasets

    nowhere = "http://127.0.0.1:9/"
    monkeypatch.setenv("TICKETS_DATA", str(tmp_path))
    monkeypatch.setattr(datasets.MNIST, "mirrors", [nowhere])
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [nowhere])
    monkeypatch.setattr(datasets.CIFAR10, "url", nowhere + "cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR100, "url", nowhere + "cifar.tar.gz")
    return tmp_path


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """An array as an IDX file of bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.astype(np.uint8).tobytes()


@pytest.fixture
def small_mnist(folder, monkeypatch):
    """An MNIST of 30 + 10 images in the folder, with its own checksums."""
    rng, raw = np.random.default_rng(0), folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    checksums = {}
    for part, n in (("train", 30), ("t10k", 10)):
        for kind, array in (("images-idx3", rng.integers(256, size=(n, 28, 28))), ("labels-idx1", np.arange(n) % 10)):
            (raw / f"{part}-{kind}-ubyte").write_bytes(idx(array))
            checksums[f"{part}-{kind}-ubyte"] = md5(idx(array))
    monkeypatch.setitem(sources.UNPACKED, "mnist", checksums)
    return raw


@pytest.fixture
def small_cifar100(folder, monkeypatch):
    """A CIFAR-100 of 30 + 10 images in the folder, with its own checksums."""
    from torchvision.datasets import CIFAR100

    rng, base = np.random.default_rng(0), folder / CIFAR100.base_folder
    base.mkdir()
    contents = {
        part: {
            "data": rng.integers(256, size=(n, 3072), dtype=np.uint8),
            "fine_labels": list(range(n)),
            "coarse_labels": [i % 20 for i in range(n)],
        }
        for part, n in (("train", 30), ("test", 10))
    }
    contents["meta"] = {"fine_label_names": [str(i) for i in range(100)]}
    sums = {}
    for name, content in contents.items():
        (base / name).write_bytes(pickle.dumps(content))
        sums[name] = md5(pickle.dumps(content))
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": sums["meta"]})
    return base, contents


@pytest.fixture
def small_svhn(folder, monkeypatch):
    """An SVHN of 30 + 10 images in the folder, with its own checksums; the digit 0 has the label 10."""
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    rng, contents, lists = np.random.default_rng(0), {}, dict(SVHN.split_list)
    for part, n in (("train", 30), ("test", 10)):
        address, name, _ = lists[part]
        images = rng.integers(256, size=(32, 32, 3, n), dtype=np.uint8)
        contents[part] = {"X": images, "y": np.arange(n)[:, None] % 10 + 1}
        savemat(folder / name, contents[part])
        lists[part] = [address, name, md5((folder / name).read_bytes())]
    monkeypatch.setattr(SVHN, "split_list", lists)
    return folder, contents
