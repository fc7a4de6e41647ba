"""Networks on digits that are copied at two steps, and the lines and the plane between them."""

import numpy as np
from tickets.arms import ARMS
from tickets.cells import Cell
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.pruning.masks import final
from tickets.seeds import stream
from tickets.training.train import train

NET = Cell(dataset="digits", steps=20, precision="float64")
MODEL = models.build("lenet-300-100", (1, 8, 8), 10)
K = 6
TICKET = NET.but(level=2, rewind=K)
COPIES = [NET.but(order=order, rewind=K) for order in (2, 1)]
CHORDS = [
    NET.but(arm="chord"),
    NET.but(arm="chord", rewind=K),
    TICKET.but(arm="chord"),
    TICKET.but(arm="chord", subject="random"),
    TICKET.but(arm="chord", subject="reinit", draw=1),
    TICKET.but(arm="rounds"),
    TICKET.but(arm="descent"),
]
PLANE = TICKET.but(arm="plane")
IMAGE_NET = Cell(
    dataset="digits", model="resnet-20", steps=4, batch=8, optimizer="sgd", learning_rate=0.05, momentum=0.9,
    scope="global", output_rate=0, augment="flip_crop", inputs="standard", precision="float64",
)  # fmt: skip


def ends(cell):
    """The networks that a measurement is about."""
    return ARMS[cell.arm].parents(cell)


def final_of(store, cell):
    return final(store.tensors(cell))


def trunk(stop=K, draw=0):
    """The dense network `stop` steps into its training, from a draw of the initial weights."""
    weights = MODEL.init(stream("init", NET.replicate, draw=draw))
    start = Start(weights, imp.dense_mask(MODEL))
    return train([NET], MODEL, [start], saves=(stop,), stop=stop)[0][0].saved[stop]


def assert_equal(one, other):
    for name in MODEL.shapes:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def differ(one, other):
    return max(np.abs(one[name] - other[name]).max() for name in MODEL.shapes) > 1e-3
