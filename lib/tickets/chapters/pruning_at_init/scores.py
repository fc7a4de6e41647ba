"""Saliencies of untrained weights, as functions of a loss and a network: SNIP, GraSP, SynFlow.

A loss maps parameters {name: tensor} to the losses of one batch after the other, whose sum is meant; nothing here knows
which network it is. Scores are arrays of the parameters' shapes, the lowest are pruned first.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...data.reader import Reader
from ...nets.layers import Tensors
from ...pruning import prune
from ...pruning.masks import Mask, Weights
from ...pruning.scores import magnitude

Losses = Callable[[Tensors], Iterator[Tensor]]
BATCH = 250
"""Images at a time: of the sum over all of them nothing depends on it."""
TEMPERATURE = 200
"""What logits are divided by for GraSP, as in its authors' code."""
ROUNDS = 100
"""Of SynFlow (Tanaka et al. 2020, sec. 6)."""


def gradient(losses: Losses, params: Tensors, names) -> Weights:
    """|dL/dw|: what the loss would feel first of a weight that moves."""
    return {name: part.abs().detach().cpu().numpy() for name, part in _gradient(losses, params, names).items()}


def snip(losses: Losses, params: Tensors, names) -> Weights:
    """|w dL/dw| (Lee et al. 2019, eq. 5): what the loss would feel first of a connection that is weakened."""
    slope = _gradient(losses, params, names)
    return {name: (params[name] * slope[name]).abs().detach().cpu().numpy() for name in names}


def grasp(losses: Losses, params: Tensors, names) -> Weights:
    """|w (H g)|, H the Hessian of the loss and g its gradient (Wang et al. 2020, eq. 8; sign as Chen et al. 2021).

    To first order half the change of the squared norm of g when a weight shrinks. GraSP's authors keep what has the
    highest signed score; Chen et al. keep the largest in absolute value.
    """
    slope, product = _gradient(losses, params, names), {name: torch.zeros_like(params[name]) for name in names}
    for loss in losses(params):
        parts = torch.autograd.grad(loss, [params[name] for name in names], create_graph=True)
        along = sum((part * slope[name]).sum() for part, name in zip(parts, names, strict=True))
        for name, part in zip(names, torch.autograd.grad(along, [params[name] for name in names]), strict=True):
            product[name] += part
    return {name: (params[name] * product[name]).abs().detach().cpu().numpy() for name in names}


def synflow(flow: Callable[[Tensors], Tensor], params: Tensors, names) -> Weights:
    """w dR/dw (Tanaka et al. 2020, eq. 3); flow: parameters without a sign -> R, the sum of what flows out."""
    parts = torch.autograd.grad(flow(params), [params[name] for name in names])
    scores = zip(names, parts, strict=True)
    return {name: (params[name] * part).abs().detach().cpu().numpy() for name, part in scores}


def _gradient(losses: Losses, params: Tensors, names) -> Tensors:
    total = {name: torch.zeros_like(params[name]) for name in names}
    for loss in losses(params):
        for name, part in zip(names, torch.autograd.grad(loss, [params[name] for name in names]), strict=True):
            total[name] += part
    return total


def whole(scores: Weights, held) -> Weights:
    """Scores with those of some layers beyond all others: these stay whole, and count."""
    return {name: np.full_like(score, np.inf) if name in held else score for name, score in scores.items()}


def in_rounds(score: Callable[[Mask], Weights], full: Mask, count: int, rounds: int = ROUNDS) -> Mask:
    """Prune to `count` weights step by step, density falling geometrically; scores are taken anew under each mask."""
    mask = full
    for i in range(1, rounds + 1):
        kept = round(full.size * (count / full.size) ** (i / rounds))
        mask = prune.keep_top_global(score(mask), mask, min(kept, mask.kept))
    return mask


def losses_of(cell, model, weights: Weights, device, temperature: float = 1.0) -> Losses:
    """Cross-entropies of a network over its training images, once each, in evaluation mode.

    weights: with the running statistics of where it stands; without them they are fresh.
    """
    dtype = getattr(torch, cell.precision)
    reader, buffers = Reader([cell], device, dtype), model.buffers(1, device, dtype)
    buffers = {name: stacked({name: weights[name]}, device, dtype)[name] if name in weights else fresh
               for name, fresh in buffers.items()}  # fmt: skip

    def losses(params: Tensors) -> Iterator[Tensor]:
        for x, y in reader.parts("train", BATCH):
            logits = model.forward(params, buffers, x, training=False)
            yield cross_entropy(logits.flatten(0, 1) / temperature, y.flatten(), reduction="sum")

    return losses


def flow_of(model, device) -> Callable[[Tensors], Tensor]:
    """R of a network: the sum of its outputs for an image of ones.

    Biases are left out and running statistics are fresh, so that R is the sum of products of weights along all paths.
    """
    ones = torch.ones(1, 1, *model.input_shape, device=device, dtype=torch.float64)
    buffers = model.buffers(1, device, torch.float64)

    def flow(params: Tensors) -> Tensor:
        unbiased = {name: torch.zeros_like(p) if name.endswith(".bias") else p for name, p in params.items()}
        return model.forward(unbiased, buffers, ones, training=False).sum()

    return flow


def stacked(weights: Weights, device, dtype, names=()) -> Tensors:
    """Arrays as a population of one, gradients wanted for some of them."""
    tensors = {name: torch.from_numpy(np.asarray(w))[None].to(device, dtype) for name, w in weights.items()}
    return {name: tensor.requires_grad_(name in names) for name, tensor in tensors.items()}


def of_network(name: str, cell, model, weights: Weights, mask: Mask, device="cpu") -> Weights:
    """snip, gradient, grasp, synflow or magnitude of each weight of a network under a mask, on its training images."""
    names, kept = list(mask), mask.apply({name: weights[name] for name in model.shapes})
    if name == "magnitude":
        return magnitude(kept, names)
    if name == "synflow":
        params = stacked({n: np.abs(w) for n, w in kept.items()}, device, torch.float64, names)
        found = synflow(flow_of(model, device), params, names)
    else:
        params = stacked(kept, device, getattr(torch, cell.precision), names)
        score, temperature = {"snip": (snip, 1), "gradient": (gradient, 1), "grasp": (grasp, TEMPERATURE)}[name]
        found = score(losses_of(cell, model, weights, device, temperature), params, names)
    return {name: score[0] for name, score in found.items()}


def mask_by(name: str, cell, model, weights: Weights, full: Mask, count: int, held=(), device="cpu") -> Mask:
    """The `count` weights with the highest scores over all layers, and all of those held; SynFlow's in rounds."""
    score = lambda mask: whole(of_network(name, cell, model, weights, mask, device), held)  # noqa: E731
    return in_rounds(score, full, count, ROUNDS if name == "synflow" else 1)
