"""Datasets made from verified ones: stratified halves, CIFAR-100's 20 classes, images in a frame, images halved."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tickets.cells import Cell
from tickets.data import dataset, sources
from tickets.data.dataset import Dataset, split
from tickets.data.reader import Reader
from tickets.errors import BadInput


def made(name, labels):
    """A dataset of these labels and no images."""
    nothing = torch.zeros(0)
    return Dataset(name, nothing, torch.tensor(labels), nothing, nothing, 10)


def test_halves_share_the_images_of_the_whole_and_are_read_once():
    whole = sources.load("digits")
    for name in ("digits-a", "digits-b"):
        half = sources.load(name)
        assert half is sources.load(name)
        assert half.name == name
        assert half.train_images is whole.train_images
        assert half.test_labels is whole.test_labels
        assert sources.described(name) == sources.described("digits") == ((1, 8, 8), 10)


@pytest.mark.parametrize("replicate", [0, 1])
def test_two_halves_of_a_replicate_share_no_image_and_leave_none_out(replicate):
    parts = [split(sources.load(f"digits-{half}"), replicate) for half in "ab"]
    assert [len(validation) for _, validation in parts] == [100, 100]
    assert sorted(np.concatenate([place for pair in parts for place in pair])) == list(range(1497))


def test_halves_are_stratified():
    labels = sources.load("digits").train_labels
    counts = [np.bincount(labels[np.concatenate(split(sources.load(f"digits-{half}"), 3))]) for half in "ab"]
    assert (abs(counts[0] - counts[1]) <= 1).all()
    assert (counts[0] + counts[1] == np.bincount(labels)).all()


def test_halves_of_cifar10_have_2500_images_of_each_class():
    """As those of Morcos et al. 2019, section 4.1; validation images are taken from them."""
    labels = np.arange(50_000) % 10
    for half in "ab":
        train, validation = split(made(f"cifar10-{half}", labels), 0)
        assert len(validation) == 2500
        assert np.bincount(labels[np.concatenate([train, validation])]).tolist() == [2500] * 10


def test_each_replicate_draws_its_own_halves_and_the_whole_keeps_its_split():
    first, second = (set(np.concatenate(split(sources.load("digits-a"), r))) for r in (0, 1))
    assert 300 < len(first & second) < 450  # 374 expected
    train, validation = split(sources.load("digits"), 0)
    assert (len(train), len(validation)) == (1297, 200)


def test_a_half_is_in_the_order_that_was_drawn():
    """By hand: of each class every other image, first come first."""
    whole = made("cifar10", [0] * 3 + [1] * 3 + [0] * 5000 + [1] * 5000)
    drawn = np.concatenate(split(whole, 0)[::-1])
    seen, expected = {0: 0, 1: 0}, []
    for place in drawn:
        label = int(whole.train_labels[place])
        if (seen[label] + (5003 * label)) % 2 == 0:  # the second class begins where the first ends, at an odd place
            expected.append(place)
        seen[label] += 1
    train, validation = split(made("cifar10-a", whole.train_labels.tolist()), 0)
    assert [*validation, *train] == expected


def test_names_of_halves():
    with pytest.raises(BadInput, match="unknown dataset 'digits-c'"):
        sources.load("digits-c")
    with pytest.raises(BadInput, match="unknown dataset 'imagenet-a'"):
        sources.load("imagenet-a")


def test_fashion_mnist_in_a_frame(monkeypatch):
    images = torch.randint(1, 256, (4, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    small = Dataset("fashion_mnist", images, torch.arange(4), images[:2], torch.arange(2), 10)
    monkeypatch.setattr(sources, "_real", lambda name, root: small)
    framed = sources.load("fashion_mnist32")
    assert framed.shape == sources.described("fashion_mnist32")[0] == (3, 32, 32)
    assert (framed.train_images[:, :, 2:30, 2:30] == images).all()
    assert framed.train_images.sum() == 3 * images.sum()
    assert framed.test_images.shape == (2, 3, 32, 32)
    assert torch.equal(framed.train_labels, small.train_labels)


def test_cifar100_has_20_coarse_classes(small_cifar100):
    coarse, fine = sources.load("cifar100_coarse"), sources.load("cifar100")
    assert coarse.classes == sources.described("cifar100_coarse")[1] == 20
    assert coarse.train_labels.tolist() == [i % 20 for i in range(30)]
    assert fine.train_labels.tolist() == list(range(30))
    assert torch.equal(coarse.train_images, fine.train_images)


# images of half the side


def colours(monkeypatch, n=6000):
    """A CIFAR-10 of n images, its only training images."""
    drawn = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = Dataset("cifar10", drawn, torch.arange(n) % 10, drawn[:5], torch.arange(5), 10)
    monkeypatch.setattr(sources, "_real", lambda name, root: whole)
    return whole


def test_pixels_are_means_of_two_by_two():
    """By hand: sums 10, 2, 6 and 1020; 2.5, 0.5 and 1.5 go to the even number."""
    image = [[1, 2, 0, 1], [3, 4, 1, 0], [1, 2, 255, 255], [0, 3, 255, 255]]
    halved = sources._halved(torch.tensor([[image]], dtype=torch.uint8))
    assert halved.dtype == torch.uint8
    assert halved.tolist() == [[[[2, 0], [2, 255]]]]


def test_cifar10_at_half_its_side(monkeypatch):
    whole, small = colours(monkeypatch), sources.load("cifar10_16")
    assert small is sources.load("cifar10_16")
    assert small.shape == sources.described("cifar10_16")[0] == (3, 16, 16)
    blocks = whole.train_images.numpy().reshape(-1, 3, 16, 2, 16, 2)
    np.testing.assert_array_equal(small.train_images, np.rint(blocks.mean((3, 5))))
    assert small.test_images.shape == (5, 3, 16, 16)
    assert small.train_labels is whole.train_labels
    assert (small.pad, whole.pad) == (2, 4)


def test_halves_of_small_images_are_the_images_of_the_large_ones_halves(monkeypatch):
    whole = colours(monkeypatch)
    half = sources.load("cifar10_16-b")
    assert half.train_images is sources.load("cifar10_16").train_images
    assert (half.pad, sources.described("cifar10_16-b")) == (2, ((3, 16, 16), 10))
    large = Dataset("cifar10-b", whole.train_images, whole.train_labels, *[torch.zeros(0)] * 2, 10)
    for ours, theirs in zip(split(half, 1), split(large, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(split(sources.load("cifar10_16"), 0)[1]) == 5000


def test_small_images_are_read_in_parts_that_are_padded_by_two(monkeypatch):
    colours(monkeypatch)
    cell = Cell(dataset="cifar10_16", augment="flip_crop", model="conv-2x32", steps=3, batch=50)
    reader, small = Reader([cell]), sources.load("cifar10_16")
    x, _ = reader.batch(torch.tensor([2]))
    flip, dy, dx = (part[2] for part in dataset.augmentation(0, 0, 0, 3, 50, pad=2))
    assert max(*dy, *dx) == 4
    expected = []
    for place, turned, y, c in zip(reader.order[0, 2], flip, dy, dx, strict=True):
        image = small.train_images[place].numpy()
        padded = np.pad(image[:, :, ::-1] if turned else image, ((0, 0), (2, 2), (2, 2)))
        expected.append(padded[:, y : y + 16, c : c + 16])
    assert torch.equal(x[0], dataset.scale(torch.from_numpy(np.stack(expected)), small, "unit"))


def test_cifar100_comes_at_half_its_side_under_both_kinds_of_labels(small_cifar100):
    fine, coarse = sources.load("cifar100_16"), sources.load("cifar100_coarse_16")
    assert [sources.described(data.name) for data in (fine, coarse)] == [((3, 16, 16), 100), ((3, 16, 16), 20)]
    assert (fine.classes, coarse.classes) == (100, 20)
    assert torch.equal(fine.train_images, coarse.train_images)
    assert fine.train_labels.tolist() == list(range(30))
    assert coarse.train_labels.tolist() == [i % 20 for i in range(30)]


def test_the_real_cifar10_at_half_its_side():
    root = os.environ.get("TICKETS_DATA")
    if not root or not (Path(root) / "cifar-10-batches-py").is_dir():
        pytest.skip("no cifar-10-batches-py in TICKETS_DATA: set it to a folder with torchvision's CIFAR-10")
    whole, small = sources.load("cifar10"), sources.load("cifar10_16")
    assert small.train_images.shape == (50_000, 3, 16, 16)
    assert small.test_images.shape == (10_000, 3, 16, 16)
    assert small.moments[0].tolist() == pytest.approx(whole.moments[0].tolist(), abs=2e-5)  # averages keep the mean
    assert (small.moments[1] < whole.moments[1]).all()  # and take some of the spread
    four = whole.test_images[7, 1, 10:12, 20:22].double().mean()
    assert abs(small.test_images[7, 1, 5, 10] - four) <= 0.5
