"""Where datasets come from: verified bytes, downloads that fail in one line, the real data where they are."""

import gzip
import hashlib
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from tickets.data import sources
from tickets.data.dataset import split
from tickets.errors import BadInput

torch.set_num_threads(1)


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
        part: {"data": rng.integers(256, size=(n, 3072), dtype=np.uint8), "fine_labels": list(range(n))}
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


# loading


def test_digits_are_embedded():
    digits, doubled = sources.load("digits"), sources.load("digits16")
    assert digits.train_images.shape == (1497, 1, 8, 8)
    assert digits.test_images.shape == (300, 1, 8, 8)
    assert digits.train_images.dtype == torch.uint8
    assert digits.train_labels.dtype == torch.int64
    assert set(digits.train_labels.tolist()) == set(digits.test_labels.tolist()) == set(range(10))
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 255)
    assert doubled.shape == (1, 16, 16)
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert torch.equal(doubled.train_images[..., y::2, x::2], digits.train_images)
    assert sources.load("digits") is digits  # read once


def test_digits_need_no_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setattr(sources, "_digits", sources._digits.__wrapped__)  # read anew
    assert sources.load("digits").classes == 10


def test_mnist_is_read_from_its_files(small_mnist):
    mnist = sources.load("mnist")
    assert mnist.train_images.shape == (30, 1, 28, 28)
    assert mnist.test_images.shape == (10, 1, 28, 28)
    assert mnist.train_images.dtype == torch.uint8
    assert mnist.classes == 10
    assert mnist.test_labels.tolist() == list(range(10))
    written = (small_mnist / "t10k-images-idx3-ubyte").read_bytes()[16:]
    assert mnist.test_images.numpy().tobytes() == written


def test_mnist_is_unpacked_from_verified_archives(small_mnist, monkeypatch):
    from torchvision.datasets import MNIST

    packed = []
    for file in list(small_mnist.iterdir()):
        archive = file.with_name(file.name + ".gz")
        archive.write_bytes(gzip.compress(file.read_bytes()))
        packed.append((archive.name, md5(archive.read_bytes())))
        file.unlink()
    monkeypatch.setattr(MNIST, "resources", packed)
    assert sources.load("mnist").train_images.shape == (30, 1, 28, 28)


def test_cifar100_is_read_from_its_files(small_cifar100):
    _, contents = small_cifar100
    cifar = sources.load("cifar100")
    assert cifar.classes == 100
    assert cifar.train_labels.tolist() == list(range(30))
    assert cifar.test_images.is_contiguous()
    assert (cifar.test_images.numpy().reshape(10, -1) == contents["test"]["data"]).all()


def test_wrong_bytes_are_named(small_mnist, small_cifar100):
    for name, file in (("mnist", small_mnist / "t10k-labels-idx1-ubyte"), ("cifar100", small_cifar100[0] / "train")):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        with pytest.raises(BadInput, match=f"wrong bytes in .*{file.name}: .*TICKETS_DATA") as caught:
            sources.load(name)
        assert len(str(caught.value).splitlines()) == 1


def test_workers_that_start_together_download_once(monkeypatch, tmp_path):
    opened = []

    def slow(source, root, download):
        opened.append(root)
        time.sleep(0.2)

    monkeypatch.setattr(sources, "_open", slow)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: sources._download("mnist", None, tmp_path, lambda: not opened), range(3)))
    assert opened == [tmp_path]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_a_failed_download_is_one_line(folder, name):
    with pytest.raises(BadInput, match=f"{name} is not in .*TICKETS_DATA.*download failed") as caught:
        sources.load(name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_named_folder_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("TICKETS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match=r"nowhere \(set by TICKETS_DATA\)"):
        sources.load("mnist")
    assert sources.load("digits").classes == 10


def test_unknown_names_list_what_is_allowed():
    with pytest.raises(BadInput, match=r"dataset 'cifar'.*digits, digits16, mnist, fashion_mnist, cifar10, cifar100"):
        sources.load("cifar")


# the real data, where they are, with their widely printed moments

FOLDERS = {
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
}


@pytest.mark.parametrize(
    ("name", "shape", "n", "mean", "sd"),
    [
        ("mnist", (1, 28, 28), 60_000, [0.1307], [0.3081]),
        ("fashion_mnist", (1, 28, 28), 60_000, [0.2860], [0.3530]),
        ("cifar10", (3, 32, 32), 50_000, [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
        ("cifar100", (3, 32, 32), 50_000, [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
    ],
)
def test_real_data(name, shape, n, mean, sd):
    root = os.environ.get("TICKETS_DATA")
    if not root or not (Path(root) / FOLDERS[name]).is_dir():
        pytest.skip(f"no {FOLDERS[name]} in TICKETS_DATA: set it to a folder with torchvision's {name}")
    dataset = sources.load(name)
    assert dataset.shape == shape
    assert (len(dataset.train_images), len(dataset.test_images)) == (n, 10_000)
    assert set(dataset.train_labels.tolist()) == set(dataset.test_labels.tolist()) == set(range(dataset.classes))
    assert dataset.mean.tolist() == pytest.approx(mean, abs=5e-5)
    assert dataset.sd.tolist() == pytest.approx(sd, abs=5e-5)
    train, validation = split(dataset, 0)
    assert (len(train), len(validation)) == (n - 5000, 5000)
