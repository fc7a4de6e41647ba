"""Datasets made from verified ones: stratified halves, CIFAR-100's 20 classes, Fashion-MNIST at 32x32."""

import numpy as np
import pytest
import torch
from tickets.data import sources
from tickets.data.dataset import Dataset, split
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
