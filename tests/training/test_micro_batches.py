"""Micro-batches: a step in parts is the step of the whole batch, but that each part is normalized by itself."""

import numpy as np
import pytest
import torch
from oracle import load_replicate, plain
from small import MASKS, NET, RULES, SMALL, assert_close, random_mask, starts_of
from tickets.chapters.linear_mode_connectivity.study import RESNET50
from tickets.data.reader import Reader
from tickets.nets import models
from tickets.pruning import imp
from tickets.pruning.imp import Start
from tickets.training.autograd import Autograd
from tickets.training.train import train
from torch.nn.functional import cross_entropy

RESNET = NET.but(
    dataset="digits16", model="resnet-20", steps=3, batch=8, optimizer="sgd", learning_rate=0.05, momentum=0.9,
    weight_decay=1e-3, augment="flip_crop", inputs="standard",
)  # fmt: skip


def final(cell, model, starts):
    return train([cell], model, starts, path="autograd")[0][0].weights


@pytest.mark.parametrize("size", [1, 7, 30, 60])  # 7 does not divide 60
@pytest.mark.parametrize("rule", ["adam with decay", "sgd with all"])
def test_without_normalization_parts_are_the_whole(rule, size):
    cell = NET.but(**{**RULES[rule], "batch": 60}, steps=40)
    starts = starts_of([cell], MASKS[1:2])
    assert_close(final(cell.but(micro_batch=size), SMALL, starts), final(cell, SMALL, starts), 1e-12)


def test_gradients_of_convolutions_are_those_of_the_whole_batch(few_digits):
    cell = NET.but(dataset="digits16", model="conv-2", batch=10)
    model = models.build("conv-2", (1, 16, 16), 10)
    found = []
    for size in (0, 4):
        path = Autograd([cell.but(micro_batch=size)], model, starts_of([cell], [random_mask(model, 0.5)], model))
        path.optimizer.step = lambda rate, path=path: found.append({n: p.grad[0] for n, p in path.params.items()})
        path.advance(0, 1)
    whole, parts = found
    assert max(gradient.abs().max() for gradient in whole.values()) > 1e-3
    assert_close(parts, whole, 1e-14)


def test_a_pull_counts_once_a_step():
    cell = NET.but(steps=20)
    (plainly,) = starts_of([cell], MASKS[:1])
    pulled = [Start(plainly.weights, plainly.mask, goal=imp.initial(cell.but(replicate=1), SMALL), pull=2.0)]
    whole = final(cell, SMALL, pulled)
    assert_close(final(cell.but(micro_batch=20), SMALL, pulled), whole, 1e-12)
    assert np.abs(whole["fc1.weight"] - final(cell, SMALL, [plainly])["fc1.weight"]).max() > 1e-3


def by_hand(cell, model, start):
    """An ordinary module, trained as anybody accumulates gradients; its parameters and its statistics."""
    weights = {name: torch.from_numpy(array)[None].double() for name, array in start.weights.items()}
    module = load_replicate(plain(cell.model, model.input_shape, 10), weights, 0).double()
    named = {"momentum": cell.momentum, "weight_decay": cell.weight_decay}
    optimizer = torch.optim.SGD(module.parameters(), lr=cell.learning_rate, **named)
    reader = Reader([cell], dtype=torch.float64)
    for step in range(cell.steps):
        (x,), (y,) = reader.batch(torch.tensor([step]))
        optimizer.zero_grad()
        for part, labels in zip(x.split(cell.micro_batch), y.split(cell.micro_batch), strict=True):
            (cross_entropy(module(part), labels, reduction="sum") / cell.batch).backward()
        optimizer.step()
    params = dict(zip(weights, (p.detach().numpy() for p in module.parameters()), strict=True))
    statistics = [array.numpy() for name, array in module.named_buffers() if "num_batches" not in name]
    return params | dict(zip(model.buffers(1), statistics, strict=True))


def test_each_part_is_normalized_by_itself(few_digits):
    cell, model = RESNET.but(micro_batch=4), models.build("resnet-20", (1, 16, 16), 10)
    starts = starts_of([cell], [imp.dense_mask(model)], model)
    found = final(cell, model, starts)
    assert_close(found, by_hand(cell, model, starts[0]), 1e-10)
    whole = final(RESNET, model, starts)
    assert np.abs(whole["conv1.norm.running_var"] - found["conv1.norm.running_var"]).max() > 1e-4
    assert np.abs(whole["fc.weight"] - found["fc.weight"]).max() > 1e-4


def test_no_more_images_than_a_part_are_taken_in_at_once(few_digits, monkeypatch):
    """The batch of ResNet-50 needs 83 GiB; a part of it a quarter, whatever is stacked beside it."""
    assert 0 < RESNET50.micro_batch <= RESNET50.batch // 4
    cell, model, seen = RESNET.but(micro_batch=3), models.build("resnet-20", (1, 16, 16), 10), []
    forward = type(model).forward

    def watched(model, params, buffers, x, training, **named):
        seen.append((training, x.shape[1]))
        return forward(model, params, buffers, x, training, **named)

    monkeypatch.setattr(type(model), "forward", watched)
    train([cell], model, starts_of([cell], [imp.dense_mask(model)], model))
    assert [size for training, size in seen if training] == [3, 3, 2] * cell.steps
