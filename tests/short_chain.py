"""A short chain of tickets on the digits, and what a store has of it: what tests of the algorithm share."""

import numpy as np
import torch
from tickets.cells import Cell
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.masks import final, mask_at, pruned_at

NET = Cell(dataset="digits", steps=40, precision="float64")
MODEL = models.build("lenet-300-100", (1, 8, 8), 10)
IMAGE_NET = Cell(
    dataset="digits16", model="resnet-20", steps=6, batch=8, optimizer="sgd", learning_rate=0.05, momentum=0.9,
    weight_decay=1e-4, scope="global", output_rate=0, augment="flip_crop", inputs="standard", precision="float64",
)  # fmt: skip


def chain(top, **fields):
    return [NET.but(level=level, **fields) for level in range(top + 1)]


def mask_of(store, cell):
    return mask_at(pruned_at(store.tensors(cell)), cell.level)


def final_of(store, cell):
    return final(store.tensors(cell))


def start_of(store, **fields):
    """Weights and mask that a network starts with which differs from NET."""
    start = imp.starts([NET.but(**fields)], MODEL, store)[0]
    return start.weights, start.mask


def stacked(weights):
    """The weights of one network as a population of one, as `oracle.load_replicate` takes them."""
    return {name: torch.from_numpy(np.array(array))[None].double() for name, array in weights.items()}
