"""An image dataset: seeded splits and orders, scaling, augmentation against a per-image reference."""

import numpy as np
import pytest
import torch
from tickets.cells import Cell
from tickets.data import dataset
from tickets.data.dataset import Dataset
from tickets.data.sources import load
from tickets.errors import BadInput
from torch.nn.functional import pad

torch.set_num_threads(1)


# splits, orders, scaling


def test_splits_are_disjoint_and_seeded():
    digits = load("digits")
    train, validation = dataset.split(digits, 0)
    assert (len(train), len(validation)) == (1297, 200)
    assert sorted([*train, *validation]) == list(range(1497))
    again, other = dataset.split(digits, 0), dataset.split(digits, 1)
    assert (again[0] == train).all()
    assert len(set(other[1]) & set(validation)) < 60  # 27 expected


def test_real_datasets_hold_out_5000():
    empty, labels = torch.zeros(0), torch.zeros(50_000)
    for name, n in (("cifar10", 50_000), ("mnist", 60_000)):
        train, validation = dataset.split(Dataset(name, empty, torch.zeros(n), empty, labels, 10), 0)
        assert (len(train), len(validation)) == (n - 5000, 5000)


def test_each_epoch_visits_every_image_once():
    order = dataset.order(n=103, batch=10, steps=50, replicate=2)
    assert order.shape == (50, 10)
    assert order.dtype == np.int32
    epochs = [order.ravel()[i : i + 103] for i in range(0, 412, 103)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(103))
    assert not (epochs[0] == epochs[1]).all()


def test_orders_are_keyed_by_replicate_level_and_draw():
    one = dataset.order(100, 10, 20, replicate=0)
    assert (dataset.order(100, 10, 30, replicate=0)[:20] == one).all()  # a longer training begins the same
    for key in ({"replicate": 1}, {"replicate": 0, "level": 1}, {"replicate": 0, "draw": 1}):
        assert (dataset.order(100, 10, 20, **key) != one).mean() > 0.9


def test_inputs_are_scaled_as_named():
    digits = load("digits")
    unit = dataset.scale(digits.train_images, digits, "unit")
    assert unit.dtype == torch.float32
    assert (unit.min(), unit.max()) == (0, 1)
    standard = dataset.scale(digits.train_images, digits, "standard", torch.float64)
    assert standard.dtype == torch.float64
    assert standard.mean().item() == pytest.approx(0, abs=1e-12)
    assert standard.std(correction=0).item() == pytest.approx(1, abs=1e-12)
    given = dataset.scale(digits.train_images, digits, "given", torch.float64)
    assert torch.equal(given, digits.train_images.double())
    with pytest.raises(BadInput, match=r"inputs 'raw'.*unit, standard"):
        Cell(inputs="raw")


def test_moments_are_per_channel():
    images = torch.randint(256, (50, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made = Dataset("made", images, torch.zeros(50), images, torch.zeros(50), 10)
    pixels = images.double() / 255
    torch.testing.assert_close(made.moments[0], pixels.mean((0, 2, 3)))
    torch.testing.assert_close(made.moments[1], pixels.std((0, 2, 3), correction=0))
    population = dataset.scale(images.unflatten(0, (2, 25)), made, "standard")  # [R, B, C, H, W]
    assert torch.equal(population.flatten(0, 1), dataset.scale(images, made, "standard"))


# augmentation


def one_by_one(x, flip, dy, dx, margin=4):
    """The reference: one image at a time."""
    results = []
    for image, f, y, c in zip(x, flip, dy, dx, strict=True):
        image = image.flip(2) if f else image
        results.append(pad(image, (margin,) * 4)[:, y : y + x.shape[2], c : c + x.shape[3]])
    return torch.stack(results)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_augmentation_is_that_of_single_images(dtype):
    flip, dy, dx = (torch.from_numpy(part[0]) for part in dataset.augmentation(0, 0, 0, steps=1, batch=40))
    x = torch.randint(1, 256, (40, 3, 7, 9), generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = one_by_one(x, flip, dy.tolist(), dx.tolist())
    assert torch.equal(dataset.augment(x, flip, dy, dx), expected)
    stacked = [t.unflatten(0, (4, 10)) for t in (x, flip, dy, dx)]
    assert torch.equal(dataset.augment(*stacked), expected.unflatten(0, (4, 10)))


def test_augmentation_of_small_images_is_padded_by_less():
    flip, dy, dx = (torch.from_numpy(part[0]) for part in dataset.augmentation(0, 0, 0, 1, 400, pad=2))
    assert sorted(set(dy.tolist())) == sorted(set(dx.tolist())) == [0, 1, 2, 3, 4]
    x = torch.randint(1, 256, (400, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dataset.augment(x, flip, dy, dx, pad=2), one_by_one(x, flip, dy.tolist(), dx.tolist(), 2))


def test_draws_of_images_that_are_padded_by_four_are_what_they_always_were():
    """Written down when the padding became a parameter: recorded networks were trained on them."""
    flip, dy, dx = dataset.augmentation(3, 2, 1, steps=1, batch=8)
    assert flip[0].nonzero()[0].tolist() == [0, 2, 6, 7]
    assert (dy[0].tolist(), dx[0].tolist()) == ([3, 3, 3, 6, 5, 6, 1, 2], [4, 6, 4, 8, 7, 5, 2, 3])
    assert {load(name).pad for name in ("digits", "digits16", "digits-a", "digits16-b")} == {4}


def test_augmentation_without_a_shift_or_flip_changes_nothing():
    x = load("digits").train_images[:5]
    four = torch.full((5,), 4)
    assert torch.equal(dataset.augment(x, torch.zeros(5, dtype=torch.bool), four, four), x)


def test_draws_are_fair_and_seeded():
    flip, dy, dx = dataset.augmentation(0, 0, 0, steps=200, batch=100)
    assert flip.shape == dy.shape == dx.shape == (200, 100)
    assert flip.mean() == pytest.approx(0.5, abs=0.02)
    for offset in (dy, dx):
        assert np.bincount(offset.ravel(), minlength=9) / offset.size == pytest.approx(np.full(9, 1 / 9), abs=0.01)
    assert np.corrcoef(dy.ravel(), dx.ravel())[0, 1] == pytest.approx(0, abs=0.04)
    assert (dataset.augmentation(0, 0, 0, 200, 100)[1] == dy).all()
    for key in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert (dataset.augmentation(*key, 200, 100)[0] != flip).mean() == pytest.approx(0.5, abs=0.02)
