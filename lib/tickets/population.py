"""The autograd loop: a population of any networks, on any device, the replicate axis leading.

It is also the plain twin of `mlp` in the tests.
"""

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from . import checkpoint, data
from .cells import Cell
from .recorder import Outcome, Recorder
from .schedule import learning_rates, order, stops, test_steps
from .seeds import stream

Tensors = dict[str, torch.Tensor]


def train_population(cells, model, weights, masks, device, start, stop, keep, goals=None):
    """What `train.train` promises, by automatic differentiation; networks of a population never mix."""
    dtype, first = getattr(torch, cells[0].precision), cells[0]
    task = _Task(cells, device, dtype)
    stack = lambda name: torch.stack([torch.from_numpy(w[name]) for w in weights]).to(device, dtype)  # noqa: E731
    params = {name: stack(name).requires_grad_() for name in model.shapes}
    gone = {name: torch.tensor(~np.stack([m[name] for m in masks])).to(device) for name in model.prunable}
    buffers = model.buffers(len(cells), device, dtype)
    optimizer, rates, dropout = _Optimizer(first, params), learning_rates(first), _dropout(cells, device)
    pull = _pull(cells, model, masks, goals, device, dtype) if goals else None

    def advance(begin: int, end: int):
        for step in range(begin, end):
            x, y = task.batch(step)
            logits = model.forward(params, buffers, x, training=True, dropout=dropout)
            # mean over the batch, sum over the networks: each gets the gradient it would get alone
            loss = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / first.batch
            (loss - pull(params) if pull else loss).backward()
            # a pruned weight is zero, its gradient and hence its moments are zero: it stays exactly zero
            for name, pruned in gone.items():
                params[name].grad.masked_fill_(pruned, 0)
            optimizer.step(float(rates[step]))

    def final():
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in {**params, **buffers}.items()}
        return [{name: a[r].copy() for name, a in arrays.items()} for r in range(len(cells))]

    if stop is not None:
        advance(start, stop)
        return [Outcome({}, {}, [], w) for w in final()]
    recorder, reading, begin = Recorder(cells, model.classes), test_steps(first.steps), start
    state = {**params, **buffers}
    best = {name: tensor.detach().clone() for name, tensor in state.items()}
    whole = state, best, optimizer.moments, dropout.generators if dropout else []
    if earlier := keep and keep.resume(recorder):
        begin = earlier[0]
        checkpoint.restore(earlier[1], *whole)
    for end in stops(first, begin):
        advance(begin, end)
        begin = end
        loss, correct = task.score(model, params, buffers, "validation")
        better = torch.from_numpy(recorder.validated(end, loss, _percent(correct))).to(device)
        for name, tensor in state.items():
            best[name] = torch.where(better.view(-1, *[1] * (tensor.ndim - 1)), tensor.detach(), best[name])
        if end in reading:
            recorder.tested(end, _percent(task.score(model, params, buffers, "test")[1]))
        if keep and end < first.steps:
            keep.pause(end, recorder, lambda: checkpoint.arrays(*whole))
    right = task.score(model, best, best, "test")[1]
    fitted = _percent(task.score(model, params, buffers, "train")[1])
    return [
        recorder.outcome(r, mask, 100 * right[r].mean(), right[r], fitted[r], w)
        for r, (mask, w) in enumerate(zip(masks, final(), strict=True))
    ]


def _pull(cells, model, masks, goals, device, dtype):
    """Parameters -> the sum over networks of `Cell.pull` times a cosine.

    The cosine is that between a network's weights under its mask and the trained weights, under the same mask, that the
    mask was read from. Maene et al. 2021 attract and repel with such a term; the two weights and the linear cosine are
    our reading of it.
    """
    flat = lambda tensors: torch.cat([tensors[name].flatten(1) for name in model.prunable], 1)  # noqa: E731
    kept = [mask.apply(goal) for mask, goal in zip(masks, goals, strict=True)]
    goal = flat(
        {name: torch.from_numpy(np.stack([w[name] for w in kept])).to(device, dtype) for name in model.prunable}
    )
    strength = torch.tensor([cell.pull for cell in cells], device=device, dtype=dtype)
    return lambda params: (strength * torch.cosine_similarity(flat(params), goal)).sum()


def _percent(correct: np.ndarray) -> np.ndarray:
    """Accuracy in percent [R] of right or wrong answers [R, N]."""
    return 100 * correct.mean(1)


class _Optimizer:
    """Torch's fused Adam and gradient descent as functions: its optimizer classes load its compiler, for seconds.

    moments: name -> tensor, what a checkpoint keeps; momentum uses the first one of a parameter only.
    """

    def __init__(self, cell: Cell, params: Tensors):
        self.cell, self.params = cell, params
        kinds = ("slow", "fast") if cell.optimizer == "adam" else ("slow",)
        self.moments = {f"{kind}/{name}": torch.zeros_like(p) for kind in kinds for name, p in params.items()}
        if cell.optimizer == "adam":
            self.moments |= {f"steps/{name}": torch.zeros((), device=p.device) for name, p in params.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change the parameters in place, along their gradients, which are used up, and by weight decay."""
        params, decay = list(self.params.values()), self.cell.weight_decay
        gradients = [p.grad for p in params]  # laid out as the parameters are, which the fused kernels rely on
        if self.cell.optimizer == "sgd":
            sgd(
                params, gradients, self._of("slow"), fused=True, lr=rate, momentum=self.cell.momentum,
                weight_decay=decay, dampening=0, nesterov=False, maximize=False,
            )  # fmt: skip
        else:
            adam(
                params, gradients, self._of("slow"), self._of("fast"), [], self._of("steps"), fused=True, lr=rate,
                beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=decay, amsgrad=False, maximize=False,
            )  # fmt: skip
        for p in params:
            p.grad = None

    def _of(self, kind: str) -> list[torch.Tensor]:
        return [self.moments[f"{kind}/{name}"] for name in self.params]


def _dropout(cells: list[Cell], device):
    """Inverted dropout whose masks come from one generator a network, so that neighbours do not change them."""
    if not (rate := cells[0].dropout):
        return None
    draw = [stream("sample", c.replicate, c.level, c.order).integers(2**63) for c in cells]
    generators = [torch.Generator(device).manual_seed(int(seed)) for seed in draw]

    def drop(h: torch.Tensor) -> torch.Tensor:
        noise = torch.stack([torch.rand(h.shape[1:], generator=g, device=device, dtype=h.dtype) for g in generators])
        return h * (noise >= rate) / (1 - rate)

    drop.generators = generators
    return drop


class _Task:
    """The data of a population on its device: images once, and per network its split, order and augmentation."""

    def __init__(self, cells: list[Cell], device, dtype):
        self.cells, self.cell, self.device, self.dtype = cells, cells[0], device, dtype
        self.data = data.load(self.cell.dataset)
        splits = [data.split(self.data, c.replicate) for c in cells]
        to = lambda arrays: torch.from_numpy(np.stack(arrays)).to(device)  # noqa: E731
        test = np.arange(len(self.data.test_labels))
        self.images = {"train": self.data.train_images.to(device), "test": self.data.test_images.to(device)}
        self.labels = {"train": self.data.train_labels.to(device), "test": self.data.test_labels.to(device)}
        self.index = {"train": to([s[0] for s in splits]), "validation": to([s[1] for s in splits])}
        self.index["test"] = to([test] * len(cells))
        self.order = to([order(c, s[0]) for c, s in zip(cells, splits, strict=True)])  # [R, steps, batch]
        self.moves = None
        if self.cell.augment == "flip_crop":
            drawn = [data.augmentation(c.replicate, c.level, c.order, c.steps, c.batch) for c in cells]
            self.moves = [to(part) for part in zip(*drawn, strict=True)]

    def batch(self, step: int):
        """Images [R, B, C, H, W] and labels [R, B] of a step."""
        picked = self.order[:, step]
        x = self._parts(step, picked) if self.cell.augment == "resized_crop" else self.images["train"][picked]
        if self.moves:
            x = data.augment(x, *(part[:, step] for part in self.moves))
        return data.scale(x, self.data, self.cell.inputs, self.dtype), self.labels["train"][picked]

    def _parts(self, step: int, picked: torch.Tensor) -> torch.Tensor:
        """Random parts of images on disk, [R, B, C, H, W]."""
        from .imagenet import draws

        drawn = [draws(c.replicate, c.level, c.order, step, c.batch) for c in self.cells]
        return self.images["train"].cropped(picked, np.stack(drawn))

    @torch.no_grad()
    def score(self, model, params, buffers, part: str):
        """Mean cross-entropy [R] and right answers [R, N], as arrays, over one part of the data."""
        source, loss, correct = "test" if part == "test" else "train", 0.0, []
        for picked in self.index[part].split(1000, dim=1):
            x = data.scale(self.images[source][picked], self.data, self.cell.inputs, self.dtype)
            logits, y = model.forward(params, buffers, x, training=False), self.labels[source][picked]
            loss = loss + cross_entropy(logits.transpose(1, 2), y, reduction="none").sum(1).double()
            correct.append(logits.argmax(2) == y)
        right = torch.cat(correct, 1).cpu().numpy()
        return loss.cpu().numpy() / right.shape[1], right
