"""What a population reads: each network its own split, order and augmentation, whatever its neighbours read."""

import numpy as np
import pytest
import torch
from tickets.cells import Cell
from tickets.data import dataset, sources
from tickets.data.reader import Reader

torch.set_num_threads(1)

NET = Cell(dataset="digits", steps=30)
SHIFTED = NET.but(dataset="digits16", augment="flip_crop", inputs="standard", batch=20)
DIGITS = sources.load("digits")


def batches(*cells, steps=5):
    """Images and labels of the first steps of a population, [steps, R, ...] each."""
    reader = Reader(list(cells))
    return [torch.stack(part) for part in zip(*map(reader.batch, torch.arange(steps).split(1)), strict=True)]


def test_what_is_read_has_the_axes_of_a_population():
    reader = Reader([NET.but(replicate=r) for r in range(3)])
    assert {name: part.shape for name, part in reader.index.items()} == {
        "train": (3, 1297), "validation": (3, 200), "test": (3, 300),
    }  # fmt: skip
    assert reader.order.shape == (3, 30, 60)
    x, y = reader.batch(torch.tensor([4]))
    assert (x.shape, x.dtype) == ((3, 60, 1, 8, 8), torch.float32)
    assert (y.shape, y.dtype) == ((3, 60), torch.int64)
    assert reader.labels("validation").shape == (3, 200)
    x, y = next(reader.parts("test", 7))
    assert (x.shape, y.shape) == ((3, 7, 1, 8, 8), (3, 7))


def test_a_batch_holds_the_training_images_of_its_step():
    cells = [NET.but(replicate=1), NET.but(replicate=2, level=3)]
    reader = Reader(cells, dtype=torch.float64)
    x, y = reader.batch(torch.tensor([9]))
    for r, cell in enumerate(cells):
        picked, _ = dataset.split(DIGITS, cell.replicate)
        place = picked[dataset.order(1297, 60, 30, cell.replicate, cell.level)[9]]
        np.testing.assert_array_equal(reader.order[r, 9], place)
        assert torch.equal(x[r], DIGITS.train_images[place].double() / 255)
        assert torch.equal(y[r], DIGITS.train_labels[place])


def test_arms_share_split_and_order_at_a_level():
    arms = "ticket", "random", "one_shot", "redraw", "noise", "finetune"
    cells = [NET.but(level=2, arm=arm) for arm in arms]
    cells += [NET.but(level=2, arm="reinit", draw=draw) for draw in (1, 3)]
    cells += [NET.but(level=2, arm="pulled", pull=1), NET.but(level=2, rewind=5)]
    reader = Reader([*cells, NET.but(level=1), NET.but(level=2, order=1), NET.but(level=2, replicate=1)])
    *alike, _, _, other = zip(reader.index["train"], reader.index["validation"], strict=True)
    assert all((train == alike[0][0]).all() and (held_out == alike[0][1]).all() for train, held_out in alike)
    assert (other[0] != alike[0][0]).any()
    orders = list(reader.order)
    assert all((order == orders[0]).all() for order in orders[: len(cells)])
    assert all((order != orders[0]).mean() > 0.9 for order in orders[len(cells) :])


@pytest.mark.parametrize("cell", [NET, SHIFTED], ids=["plain", "shifted"])
def test_a_network_reads_the_same_among_any_neighbours(cell):
    cells = [cell, cell.but(replicate=1), cell.but(level=2, order=1)]
    together = batches(*cells)
    for r, one in enumerate(cells):
        for whole, alone in zip(together, batches(one), strict=True):
            assert torch.equal(whole[:, r], alone[:, 0])


def by_hand(images, flips, rows, columns):
    """Each image flipped, padded with four zeros and cut, one at a time."""
    cut = []
    for image, flip, y, x in zip(images, flips, rows, columns, strict=True):
        padded = np.pad(image[:, :, ::-1] if flip else image, ((0, 0), (4, 4), (4, 4)))
        cut.append(padded[:, y : y + image.shape[1], x : x + image.shape[2]])
    return torch.from_numpy(np.stack(cut))


def test_flipped_and_shifted_batches_are_those_draws_applied_by_hand():
    cells = [SHIFTED, SHIFTED.but(replicate=1, level=2, order=1)]
    reader, data = Reader(cells), sources.load("digits16")
    moved = 0
    for step in (0, 3, 29):
        x, y = reader.batch(torch.tensor([step]))
        for r, cell in enumerate(cells):
            draws = dataset.augmentation(cell.replicate, cell.level, cell.order, cell.steps, cell.batch)
            place = reader.order[r, step]
            images = by_hand(data.train_images[place].numpy(), *(part[step] for part in draws))
            assert torch.equal(x[r], dataset.scale(images, data, "standard"))
            assert torch.equal(y[r], data.train_labels[place])
            moved += int((images != data.train_images[place]).any((1, 2, 3)).sum())
    assert moved > 100  # of 120


def test_a_shorter_training_reads_the_first_steps_of_a_longer_one():
    for shorter, longer in zip(
        dataset.augmentation(1, 2, 0, steps=7, batch=20), dataset.augmentation(1, 2, 0, 30, 20), strict=True
    ):
        np.testing.assert_array_equal(shorter, longer[:7])
    for cell in (NET, SHIFTED):
        for shorter, longer in zip(batches(cell.but(steps=7), steps=7), batches(cell, steps=7), strict=True):
            assert torch.equal(shorter, longer)


@pytest.mark.parametrize("size", [64, 100, 5000])
@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_parts_cover_each_image_once_and_are_not_augmented(name, size):
    cells = [SHIFTED, SHIFTED.but(replicate=1)]
    reader, data = Reader(cells), sources.load("digits16")
    x, y = (torch.cat(part, 1) for part in zip(*reader.parts(name, size), strict=True))
    images, labels = (data.test_images, data.test_labels) if name == "test" else (data.train_images, data.train_labels)
    for r, place in enumerate(reader.index[name]):
        assert len(set(place)) == len(place)
        assert torch.equal(x[r], dataset.scale(images[place], data, "standard"))
        assert torch.equal(y[r], labels[place])
        assert torch.equal(y[r], reader.labels(name)[r])


def test_training_and_validation_images_are_all_there_are_and_never_the_same():
    reader = Reader([NET, NET.but(replicate=1)])
    for train, held_out in zip(reader.index["train"], reader.index["validation"], strict=True):
        assert sorted([*train, *held_out]) == list(range(1497))
    assert not set(reader.order[0].ravel()) & set(reader.index["validation"][0])


@pytest.mark.parametrize(("inputs", "dtype"), [("unit", torch.float32), ("standard", torch.float64)])
def test_images_are_scaled_as_the_cell_says_in_the_precision_that_is_asked_for(inputs, dtype):
    reader = Reader([NET.but(inputs=inputs)], dtype=dtype)
    x, _ = reader.batch(torch.tensor([0]))
    assert torch.equal(x, dataset.scale(DIGITS.train_images[reader.order[:, 0]], DIGITS, inputs, dtype))
    assert next(reader.parts("test"))[0].dtype == x.dtype == dtype
