"""Training: the one loop, over a population of networks, with what is read off on the way.

`train` takes networks that share everything but their seeds, weights and masks. Perceptrons on a CPU go through `mlp`;
everything else, on any device, goes through the autograd loop here, which is also the plain twin of `mlp` in the tests.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from . import checkpoint, data, mlp
from .cells import Cell
from .masks import Mask
from .seeds import stream

Weights = dict[str, np.ndarray]


@dataclass
class Outcome:
    """What one trained network leaves: result scalars, curves, wrongly classified test images, final weights.

    The weights of a network with batch normalization come with its running statistics, named as in `Model.buffers`.
    """

    result: dict
    curves: dict
    wrong: list[int]
    weights: Weights


def learning_rates(cell: Cell) -> np.ndarray:
    """Learning rate of every step [steps]: linear warmup from 0, then divided by 10 at each drop."""
    step = np.arange(cell.steps)
    rates = np.full(cell.steps, cell.learning_rate)
    for drop in cell.drops:
        rates[step >= drop] /= 10
    if cell.warmup:
        rates *= np.minimum(1, (step + 1) / cell.warmup)
    return rates


def interval(steps: int) -> int:
    """Steps between validations: 100 as in the paper (App. G.1), fewer in budgets too short for that."""
    return max(1, min(100, steps // 20))


def readouts(steps: int) -> dict[str, int]:
    """Named steps at which the test set is read, whatever validation says: at 30 % of the budget and at its end."""
    every = interval(steps)
    return {"mid": max(every, round(0.3 * steps / every) * every), "end": steps}


def test_steps(steps: int) -> set[int]:
    """A thin, roughly geometric curve of test readings, the named readouts among them."""
    every = interval(steps)
    thin = np.unique(np.round(np.geomspace(every, steps, 24) / every).astype(int)) * every
    return {int(step) for step in thin if step <= steps} | set(readouts(steps).values())


class Recorder:
    """Curves of a population and the step of minimum validation loss of each network."""

    def __init__(self, cells: list[Cell], classes: int):
        self.cells, self.classes = cells, classes
        self.best = np.full(len(cells), np.inf)
        self.curves = [
            {name: [] for name in ("step", "validation_loss", "validation_accuracy", "best_step", "best_loss")}
            | {"test_step": [], "test_accuracy": []}
            for _ in cells
        ]

    def validated(self, step: int, loss, accuracy) -> np.ndarray:
        """Take in one validation (loss and accuracy in percent, [R] each); True where it is a new minimum."""
        better = np.asarray(loss) < self.best  # False for NaN: a network that diverged keeps its last minimum
        self.best = np.where(better, loss, self.best)
        for r, curves in enumerate(self.curves):
            curves["step"].append(step)
            curves["validation_loss"].append(float(loss[r]))
            curves["validation_accuracy"].append(float(accuracy[r]))
            if better[r]:
                curves["best_step"].append(step)
                curves["best_loss"].append(float(loss[r]))
        return better

    def tested(self, step: int, accuracy) -> None:
        """Take in one reading of the test set, accuracy in percent [R]."""
        for r, curves in enumerate(self.curves):
            curves["test_step"].append(step)
            curves["test_accuracy"].append(float(accuracy[r]))

    def state(self) -> dict:
        """All that was taken in so far, as JSON knows it; `restore` takes it back."""
        return {"best": self.best.tolist(), "curves": self.curves}

    def restore(self, state: dict) -> None:
        """Go on from the `state` of an earlier recorder of the same cells."""
        self.best, self.curves = np.array(state["best"]), state["curves"]

    def outcome(
        self, r: int, mask: Mask, accuracy: float, right: np.ndarray, fitted: float, weights: Weights
    ) -> Outcome:
        """What network r leaves.

        accuracy, right: test accuracy and right answers [N] at the step of minimum validation loss; fitted: accuracy on
        the training images at the end; weights: final ones.
        """
        curves, named = self.curves[r], readouts(self.cells[r].steps)
        best = curves["step"].index(curves["best_step"][-1]) if curves["best_step"] else 0
        losses = dict(zip(curves["step"], curves["validation_loss"], strict=True))
        tested = dict(zip(curves["test_step"], curves["test_accuracy"], strict=True))

        def settled(accuracy: float, step: int) -> float:
            """Chance where the network had diverged by then, not what an argmax over NaN happens to say."""
            return float(accuracy) if np.isfinite(losses.get(step, 0)) else 100 / self.classes

        early, end = curves["step"][best], named["end"]
        result = {
            "early_stop_step": early,
            "early_stop_loss": curves["validation_loss"][best],
            "validation_accuracy": settled(curves["validation_accuracy"][best], early),
            "test_accuracy": settled(accuracy, early),
            "test_accuracy_mid": settled(tested.get(named["mid"], np.nan), named["mid"]),
            "test_accuracy_end": settled(tested[end], end),
            "train_accuracy_end": settled(fitted, end),
            "validation_loss_end": curves["validation_loss"][-1],
            "validation_accuracy_end": settled(curves["validation_accuracy"][-1], end),
            "kept": mask.kept,
            "density": mask.density,
            "min_fan_in": mask.min_fan_in(),
            "dead_units": mask.dead_units(),
            "diverged": not np.isfinite(curves["validation_loss"][-1]),
        }
        return Outcome(result, curves, np.flatnonzero(~right).tolist(), weights)


def train(
    cells, model, weights: list[Weights], masks: list[Mask], device="cpu", path=None, start=0, stop=None, keep=None
):
    """Train one network per cell, from `start` to `stop` (default: the cell's last step).

    The cells agree in everything but seeds, arm and level. weights, masks: one per cell; pruned weights are set to zero
    and stay exactly there. path: one of PATHS, by default a fixed function of cell, architecture and device. keep: a
    `checkpoint.Checkpoint` to go on from and to save to where training pauses to evaluate. Returns (outcomes, one per
    cell; the path taken); where stop comes before the end, outcomes hold only weights, and nothing is kept.
    """
    path = path or choose_path(model, device, cells[0])
    loop = PATHS[path]
    weights = [
        {name: array.astype(cell.precision) for name, array in mask.apply(w).items()}
        for cell, mask, w in zip(cells, masks, weights, strict=True)
    ]
    return loop(list(cells), model, weights, masks, device, start, stop, keep), path


def choose_path(model, device, cell: Cell) -> str:
    """The numeric path: never a matter of timing, so that a re-run gives the same bits on the same machine."""
    plain = model.widths is not None and not cell.dropout and cell.augment == "none"
    if not plain or torch.device(device).type != "cpu":
        return "autograd"
    return "mlp-dense" if cell.arm == "dense_path" else "mlp"


def _order(cell: Cell, picked: np.ndarray) -> np.ndarray:
    """Training image of every place of every step, [steps, batch], the same for all arms of a replicate at a level."""
    return picked[data.order(len(picked), cell.batch, cell.steps, cell.replicate, cell.level, cell.order)]


def _stops(cell: Cell, start: int) -> list[int]:
    """The steps after `start` at which training pauses to evaluate."""
    every = interval(cell.steps)
    return sorted(s for s in {*range(every, cell.steps + 1, every), *test_steps(cell.steps)} if s > start)


# one perceptron after the other, on a CPU


@lru_cache(maxsize=2)
def _pixels(name: str, inputs: str, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Scaled training and test images, [N, features] each."""
    dataset, dtype = data.load(name), getattr(torch, precision)
    parts = dataset.train_images, dataset.test_images
    return tuple(data.scale(images, dataset, inputs, dtype).flatten(1).numpy() for images in parts)


def _train_mlp(cells, model, weights, masks, device, start, stop, keep, below=None):
    """below: density under which layers are stored by their kept weights, by default that of the cell's algorithm."""
    keep = keep if len(cells) == 1 else None  # one file holds one network; on a CPU a population is one
    return [
        _train_one(cell, model, w, m, start, stop, keep, mlp.SPARSE_BELOW[cell.algorithm] if below is None else below)
        for cell, w, m in zip(cells, weights, masks, strict=True)
    ]


def _train_one(cell: Cell, model, weights: Weights, mask: Mask, start: int, stop: int | None, keep, below) -> Outcome:
    dataset = data.load(cell.dataset)
    picked, held_out = data.split(dataset, cell.replicate)
    images, test_images = _pixels(cell.dataset, cell.inputs, cell.precision)
    labels, order, rates = dataset.train_labels.numpy(), _order(cell, picked), learning_rates(cell)
    mlp.settle(cell.precision)
    network = mlp.pack(weights, mask, model.prunable, below)

    def advance(begin: int, end: int):
        steps = order[begin:end], begin - start, rates[begin:end]
        rule = cell.optimizer == "adam", cell.momentum, cell.weight_decay
        mlp.advance(network.index, *network.state, images, labels, *steps, *rule)

    def score(blocks, value):
        correct = np.zeros(blocks[1].shape, bool)
        loss, right = mlp.evaluate(network.index, value, *blocks, correct)
        return loss, 100 * right / int((blocks[1] >= 0).sum()), correct

    if stop is not None:
        advance(start, stop)
        return Outcome({}, {}, [], mlp.unpack(network, mask, model.prunable))
    validation = mlp.blocks(images[held_out], labels[held_out])
    test = mlp.blocks(test_images, dataset.test_labels.numpy())
    recorder, reading, best, begin = (
        Recorder([cell], dataset.classes),
        test_steps(cell.steps),
        network.value.copy(),
        start,
    )
    state = {"value": network.value, "slow": network.slow, "fast": network.fast, "best": best}
    if earlier := keep and keep.resume(recorder):
        begin = earlier[0]
        for name, array in state.items():
            array[:] = earlier[1][name]
    for end in _stops(cell, begin):
        advance(begin, end)
        begin = end
        loss, accuracy, _ = score(validation, network.value)
        if recorder.validated(end, [loss], [accuracy])[0]:
            best[:] = network.value
        if end in reading:
            recorder.tested(end, [score(test, network.value)[1]])
        if keep and end < cell.steps:
            keep.pause(end, recorder, lambda: state)
    _, accuracy, correct = score(test, best)
    fitted = score(mlp.blocks(images[picked], labels[picked]), network.value)[1]
    final = mlp.unpack(network, mask, model.prunable)
    return recorder.outcome(0, mask, accuracy, correct.ravel()[: len(dataset.test_labels)], fitted, final)


# a population at a time, on any device


def _train_autograd(cells, model, weights, masks, device, start, stop, keep):
    dtype, first = getattr(torch, cells[0].precision), cells[0]
    task = _Task(cells, device, dtype)
    stack = lambda name: torch.stack([torch.from_numpy(w[name]) for w in weights]).to(device, dtype)  # noqa: E731
    params = {name: stack(name).requires_grad_() for name in model.shapes}
    gone = {name: torch.tensor(~np.stack([m[name] for m in masks])).to(device) for name in model.prunable}
    buffers = model.buffers(len(cells), device, dtype)
    optimizer, rates, dropout = _optimizer(first, params), learning_rates(first), _dropout(cells, device)

    def advance(begin: int, end: int):
        for step in range(begin, end):
            x, y = task.batch(step)
            logits = model.forward(params, buffers, x, training=True, dropout=dropout)
            # mean over the batch, sum over the networks: each gets the gradient it would get alone
            loss = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / first.batch
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            # a pruned weight is zero, its gradient and hence its moments are zero: it stays exactly zero
            for name, pruned in gone.items():
                params[name].grad.masked_fill_(pruned, 0)
            optimizer.param_groups[0]["lr"] = float(rates[step])
            optimizer.step()

    def final():
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in {**params, **buffers}.items()}
        return [{name: a[r].copy() for name, a in arrays.items()} for r in range(len(cells))]

    if stop is not None:
        advance(start, stop)
        return [Outcome({}, {}, [], w) for w in final()]
    recorder, reading, begin = Recorder(cells, model.classes), test_steps(first.steps), start
    state = {**params, **buffers}
    best = {name: tensor.detach().clone() for name, tensor in state.items()}
    whole = state, best, optimizer, dropout.generators if dropout else []
    if earlier := keep and keep.resume(recorder):
        begin = earlier[0]
        checkpoint.restore(earlier[1], *whole)
    for end in _stops(first, begin):
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


def _percent(correct: np.ndarray) -> np.ndarray:
    """Accuracy in percent [R] of right or wrong answers [R, N]."""
    return 100 * correct.mean(1)


def _optimizer(cell: Cell, params) -> torch.optim.Optimizer:
    if cell.optimizer == "adam":
        return torch.optim.Adam(params.values(), cell.learning_rate, weight_decay=cell.weight_decay, fused=True)
    return torch.optim.SGD(
        params.values(), cell.learning_rate, momentum=cell.momentum, weight_decay=cell.weight_decay, fused=True
    )


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
        self.cell, self.device, self.dtype = cells[0], device, dtype
        self.data = data.load(self.cell.dataset)
        splits = [data.split(self.data, c.replicate) for c in cells]
        to = lambda arrays: torch.from_numpy(np.stack(arrays)).to(device)  # noqa: E731
        test = np.arange(len(self.data.test_labels))
        self.images = {"train": self.data.train_images.to(device), "test": self.data.test_images.to(device)}
        self.labels = {"train": self.data.train_labels.to(device), "test": self.data.test_labels.to(device)}
        self.index = {"train": to([s[0] for s in splits]), "validation": to([s[1] for s in splits])}
        self.index["test"] = to([test] * len(cells))
        self.order = to([_order(c, s[0]) for c, s in zip(cells, splits, strict=True)])  # [R, steps, batch]
        self.moves = None
        if self.cell.augment == "flip_crop":
            drawn = [data.augmentation(c.replicate, c.level, c.order, c.steps, c.batch) for c in cells]
            self.moves = [to(part) for part in zip(*drawn, strict=True)]

    def batch(self, step: int):
        """Images [R, B, C, H, W] and labels [R, B] of a step."""
        picked = self.order[:, step]
        x = self.images["train"][picked]
        if self.moves:
            x = data.augment(x, *(part[:, step] for part in self.moves))
        return data.scale(x, self.data, self.cell.inputs, self.dtype), self.labels["train"][picked]

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


PATHS = {
    "mlp": _train_mlp,
    "mlp-dense": partial(_train_mlp, below=0),  # every layer dense, whatever its mask
    "mlp-sparse": partial(_train_mlp, below=2),  # every layer by its kept weights
    "autograd": _train_autograd,
}
"""The numeric paths: same results but for rounding."""
