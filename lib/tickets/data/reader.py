"""What a population reads: each network's split, order and augmentation of one dataset, on its device.

Axes: R networks, B images of a batch, N images, C channels, H x W pixels.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..cells import Cell
from . import dataset as images
from . import sources

CHUNK = 1000
"""Images read at a time where all are read."""


class Reader:
    """The data of networks that differ in seeds only. They are read by training, by evaluation and by measurements.

    data: the dataset; index: part ("train", "validation", "test") -> places [R, N] in its images; order: images of each
    step, [R, steps, batch], known once a batch was asked for.
    """

    def __init__(self, cells: list[Cell], device="cpu", dtype=torch.float32):
        self.cells, self.cell, self.device, self.dtype = cells, cells[0], device, dtype
        self.data = sources.load(self.cell.dataset)
        train, validation = zip(*(images.split(self.data, cell.replicate) for cell in cells), strict=True)
        self.index = {"train": np.stack(train), "validation": np.stack(validation)}
        self.index["test"] = np.stack([np.arange(len(self.data.test_labels))] * len(cells))
        self._places = {part: torch.from_numpy(places).to(device) for part, places in self.index.items()}
        self._images = {"train": self.data.train_images.to(device), "test": self.data.test_images.to(device)}
        self._labels = {"train": self.data.train_labels.to(device), "test": self.data.test_labels.to(device)}

    @cached_property
    def order(self) -> np.ndarray:
        """Training image of every place of every step, [R, steps, batch], the same for all arms at a level."""
        shape = self.index["train"].shape[1], self.cell.batch, self.cell.steps
        placed = [images.order(*shape, c.replicate, c.level, c.order) for c in self.cells]
        return np.stack([train[place] for train, place in zip(self.index["train"], placed, strict=True)])

    @cached_property
    def picked(self) -> Tensor:
        """`order`, on the device."""
        return torch.from_numpy(self.order).to(self.device)

    def batch(self, step: Tensor, moved: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images [R, B, C, H, W] and labels [R, B] of the step whose number is in `step` [1], on the device.

        moved: the number of the step whose augmentation they get, where `picked` holds some steps only.
        """
        of_step = lambda tensor, at=step: tensor.index_select(1, at).squeeze(1)  # noqa: E731
        picked = of_step(self.picked)
        x = self._parts(int(step), picked) if self.cell.augment == "resized_crop" else self._images["train"][picked]
        if self.cell.augment == "flip_crop":
            moved = step if moved is None else moved
            x = images.augment(x, *(of_step(part, moved) for part in self.moves), self.data.pad)
        return self._scaled(x), self._labels["train"][picked]

    @cached_property
    def moves(self) -> list[Tensor]:
        """Flips, rows and columns of the crop of every place of every step, [R, steps, batch] each."""
        made = [images.augmentation(c.replicate, c.level, c.order, c.steps, c.batch, self.data.pad) for c in self.cells]
        return [torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*made, strict=True)]

    def _parts(self, step: int, picked: Tensor) -> Tensor:
        """Random parts of images on disk, [R, B, C, H, W]."""
        from .imagenet import draws  # brings torchvision

        drawn = [draws(c.replicate, c.level, c.order, step, c.batch) for c in self.cells]
        return self._images["train"].cropped(picked, np.stack(drawn))

    def parts(self, name: str, size: int = CHUNK) -> Iterator[tuple[Tensor, Tensor]]:
        """Images [R, B, C, H, W] and labels [R, B] of one part of the data, in its order and without augmentation."""
        source = "test" if name == "test" else "train"
        for picked in self._places[name].split(size, dim=1):
            yield self._scaled(self._images[source][picked]), self._labels[source][picked]

    def labels(self, name: str) -> Tensor:
        """Labels [R, N] of one part of the data."""
        return self._labels["test" if name == "test" else "train"][self._places[name]]

    def _scaled(self, x: Tensor) -> Tensor:
        return images.scale(x, self.data, self.cell.inputs, self.dtype)
