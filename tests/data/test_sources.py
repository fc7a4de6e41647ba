"""Where datasets come from: verified bytes, one line where they are not there, the real data where they are."""

import gzip
import hashlib
import os
import sys
from pathlib import Path

import pytest
import torch
from tickets.data import sources
from tickets.data.dataset import split
from tickets.errors import BadInput, MachineFault

torch.set_num_threads(1)


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
        packed.append((archive.name, hashlib.md5(archive.read_bytes()).hexdigest()))
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


def test_svhn_is_read_from_its_files(small_svhn):
    """As torchvision reads it: the digit 0 has the label 0."""
    from torchvision.datasets import SVHN

    folder, contents = small_svhn
    found, theirs = sources.load("svhn"), SVHN(folder, "test")
    assert found.shape == (3, 32, 32) == sources.described("svhn")[0]
    assert (found.test_images.numpy() == theirs.data).all()
    assert found.test_labels.tolist() == theirs.labels.tolist() == [*range(1, 10), 0]
    assert found.train_images[7, 2, 3, 4] == contents["train"]["X"][3, 4, 2, 7]
    assert len(found.train_labels) == 30


def test_wrong_bytes_are_named(small_mnist, small_cifar100, small_svhn):
    files = {
        "mnist": small_mnist / "t10k-labels-idx1-ubyte",
        "cifar100": small_cifar100[0] / "train",
        "svhn": small_svhn[0] / "test_32x32.mat",
    }
    for name, file in files.items():
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        with pytest.raises(BadInput, match=f"wrong bytes in .*{file.name}: .*TICKETS_DATA") as caught:
            sources.load(name)
        assert len(str(caught.value).splitlines()) == 1


def old_layout(folder):
    """What torchvision once left beside raw/, and reads before it, whatever it is: here another dataset's images."""
    processed = folder / "MNIST" / "processed"
    processed.mkdir(parents=True)
    for name, n in (("training.pt", 30), ("test.pt", 10)):
        torch.save((torch.full((n, 28, 28), 7, dtype=torch.uint8), torch.full((n,), 7)), processed / name)


def test_the_bytes_that_were_verified_are_read(folder, small_mnist):
    old_layout(folder)
    mnist = sources.load("mnist")
    assert (mnist.train_images != 7).any()
    assert mnist.train_labels.tolist() == [i % 10 for i in range(30)]
    for images, part in ((mnist.train_images, "train"), (mnist.test_images, "t10k")):
        assert images.numpy().tobytes() == (small_mnist / f"{part}-images-idx3-ubyte").read_bytes()[16:]


def test_an_old_layout_alone_is_no_dataset(folder):
    """It does not stand in for the files that are missing: they are downloaded, which fails here."""
    old_layout(folder)
    with pytest.raises(BadInput, match=r"mnist is not in .*download failed: .*refused"):
        sources.load("mnist")


@pytest.mark.parametrize("name", ["mnist", "cifar100"])
def test_a_file_that_cannot_be_read_is_a_fault_of_the_machine(small_mnist, small_cifar100, name):
    """Here a folder stands in its place: to root every file is readable."""
    file = {"mnist": small_mnist / "train-labels-idx1-ubyte", "cifar100": small_cifar100[0] / "test"}[name]
    file.unlink()
    file.mkdir()
    with pytest.raises(MachineFault, match=f"{file} cannot be read: Is a directory"):
        sources.load(name)


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
    "svhn": "test_32x32.mat",
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
    if not root or not (Path(root) / FOLDERS[name]).exists():
        pytest.skip(f"no {FOLDERS[name]} in TICKETS_DATA: set it to a folder with torchvision's {name}")
    dataset = sources.load(name)
    assert dataset.shape == shape
    assert (len(dataset.train_images), len(dataset.test_images)) == (n, 10_000)
    assert set(dataset.train_labels.tolist()) == set(dataset.test_labels.tolist()) == set(range(dataset.classes))
    assert dataset.moments[0].tolist() == pytest.approx(mean, abs=5e-5)
    assert dataset.moments[1].tolist() == pytest.approx(sd, abs=5e-5)
    train, validation = split(dataset, 0)
    assert (len(train), len(validation)) == (n - 5000, 5000)
