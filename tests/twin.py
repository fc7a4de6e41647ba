"""The plain twin of `tickets.training`: one ordinary module, one torch optimizer, masks put back after each step.

Written from the protocol (Frankle & Carbin 2019, section 2 and appendix G.1) without the training code of the library,
so that the two can disagree. Shared with it are only the data of a step: split and order come from their streams.
"""

import torch
from tickets.data import dataset, sources
from torch.nn.functional import cross_entropy


def rate(cell, step):
    """Learning rate of a step: linear warmup from 0, divided by 10 at every drop."""
    value = cell.learning_rate * 0.1 ** sum(step >= drop for drop in cell.drops)
    return value * min(1, (step + 1) / cell.warmup) if cell.warmup else value


def train(cell, module, mask, start=0, stop=None, every=None):
    """Train `module` from its present weights in float64; what validation and test say on the way.

    mask: parameter index -> bool tensor. Returns a list of (step, validation loss, validation accuracy, test accuracy),
    every `every` steps.
    """
    module.double()
    digits = sources.load(cell.dataset)
    picked, held_out = map(torch.from_numpy, dataset.split(digits, cell.replicate))
    order = dataset.order(len(picked), cell.batch, cell.steps, cell.replicate, cell.level, cell.order)
    x, x_test = (
        dataset.scale(part, digits, cell.inputs, torch.float64) for part in (digits.train_images, digits.test_images)
    )
    y, params, seen = digits.train_labels, list(module.parameters()), []
    make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[cell.optimizer]
    named = {"momentum": cell.momentum} if cell.optimizer == "sgd" else {}
    optimizer = make(params, lr=cell.learning_rate, weight_decay=cell.weight_decay, **named)
    put_back(params, mask)
    for step in range(start, cell.steps if stop is None else stop):
        index = picked[order[step]]
        loss = cross_entropy(module(x[index]), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate(cell, step)
        optimizer.step()
        put_back(params, mask)
        if every and (step + 1) % every == 0:
            seen.append(
                (step + 1, *score(module, x[held_out], y[held_out]), score(module, x_test, digits.test_labels)[1])
            )
    return seen


@torch.no_grad()
def put_back(params, mask):
    """Pruned weights to zero."""
    for index, kept in mask.items():
        params[index] *= kept


@torch.no_grad()
def score(module, x, y):
    """Mean loss and accuracy in percent, in evaluation mode."""
    module.eval()
    logits = module(x)
    module.train()
    return cross_entropy(logits, y).item(), 100 * (logits.argmax(1) == y).double().mean().item()
