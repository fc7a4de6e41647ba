"""The path of automatic differentiation: a population of any networks, on any device, the replicate axis leading.

It is also the plain twin of `compiled` in the tests.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from ..data.reader import Reader
from ..nets.layers import Tensors
from ..pruning.imp import Start
from ..pruning.masks import Weights
from ..seeds import stream
from .graphs import recordable, recorded
from .schedule import learning_rates


class Autograd:
    """Networks that share everything but seeds, weights and masks, stacked; they never mix. A path of `train`."""

    def __init__(self, cells, model, starts: list[Start], device="cpu", begin=0):
        self.cells, self.cell, self.model = cells, cells[0], model
        self.device, self.dtype = device, getattr(torch, self.cell.precision)
        self.reader = Reader(cells, device, self.dtype)
        kind = torch.float64 if torch.device(device).type == "cpu" else torch.float32  # as fused optimizers want it
        self.rates = torch.from_numpy(learning_rates(self.cell)).to(device, kind)
        running = {name: tensor[0].numpy() for name, tensor in model.buffers(1).items()}
        weights = [running | start.begun() for start in starts]
        self.params = {name: self._stacked(weights, name).requires_grad_() for name in model.shapes}
        self.buffers = {name: self._stacked(weights, name) for name in running}
        self.gone = {
            name: torch.tensor(~np.stack([s.mask[name] for s in starts])).to(device) for name in model.prunable
        }
        self.optimizer, self.dropout = _Optimizer(self.cell, self.params), dropout(cells, device)
        frozen = any(start.frozen for start in starts)
        self.frozen = {name: self.params[name].detach().clone() for name in self.gone if frozen}
        self.pull = self._pull(starts) if any(start.pull for start in starts) else None
        self.best = {name: tensor.detach().clone() for name, tensor in self.now.items()}
        self.at, self.step = torch.zeros(1, dtype=torch.int64, device=device), None

    def _stacked(self, weights: list[Weights], name: str) -> Tensor:
        return torch.stack([torch.from_numpy(own[name]) for own in weights]).to(self.device, self.dtype)

    @property
    def now(self) -> Tensors:
        """Parameters and running statistics."""
        return {**self.params, **self.buffers}

    def advance(self, begin: int, end: int) -> None:
        """Take the steps from `begin` to `end`."""
        self.step = self.step or self._recorded()
        for step in range(begin, end):
            self.at.fill_(step)
            self.step()

    def _recorded(self):
        """A step, as a graph where there is a GPU and no image comes from disk."""
        if not recordable(self.device) or self.cell.augment == "resized_crop":
            return self._step
        changed = [*self.params.values(), *self.buffers.values(), *self.optimizer.moments.values()]
        return recorded(self._step, changed, self._generators())

    def _step(self) -> None:
        """The step whose number stands in `at`."""
        size = self.cell.micro_batch or self.cell.batch
        for x, y in zip(*(part.split(size, dim=1) for part in self.reader.batch(self.at)), strict=True):
            logits = self.model.forward(self.params, self.buffers, x, training=True, dropout=self.dropout)
            # mean over the batch, sum over the networks: each gets the gradient it would get alone
            (cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / self.cell.batch).backward()
        if self.pull:
            (-self.pull(self.params)).backward()
        # a pruned weight has no gradient, hence no moments: it stays at zero, or where it is frozen
        for name, pruned in self.gone.items():
            self.params[name].grad.masked_fill_(pruned, 0)
        self.optimizer.step(self.rates.index_select(0, self.at).squeeze())
        for name, before in self.frozen.items():  # which weight decay would have moved
            self.params[name].data.copy_(torch.where(self.gone[name], before, self.params[name].data))

    @torch.no_grad()
    def read(self, part: str, best: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean cross-entropy [R] and right answers [R, N] over a part of the data, now or at the best validation."""
        params, buffers = (self.best, self.best) if best else (self.params, self.buffers)
        loss, correct = 0.0, []
        for x, y in self.reader.parts(part):
            logits = self.model.forward(params, buffers, x, training=False)
            loss = loss + cross_entropy(logits.transpose(1, 2), y, reduction="none").sum(1).double()
            correct.append(logits.argmax(2) == y)
        right = torch.cat(correct, 1).cpu().numpy()
        return loss.cpu().numpy() / right.shape[1], right

    def remember(self, better: np.ndarray) -> None:
        """Keep parameters and statistics of now as the best ones where `better` [R]."""
        chosen = torch.from_numpy(better).to(self.device)
        for name, tensor in self.now.items():
            where = chosen.view(-1, *[1] * (tensor.ndim - 1))
            self.best[name].copy_(torch.where(where, tensor.detach(), self.best[name]))

    def weights(self) -> list[Weights]:
        """Weights of each network as they are now, its running statistics with them."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in self.now.items()}
        return [{name: array[r].copy() for name, array in arrays.items()} for r in range(len(self.cells))]

    def state(self) -> dict[str, np.ndarray]:
        """All that a checkpoint needs: parameters, statistics, moments, and the generators of dropout."""
        tensors = {f"{kind}/{name}": t for kind, part in self._parts() for name, t in part.items()}
        tensors |= {f"dropout/{i}": generator.get_state() for i, generator in enumerate(self._generators())}
        return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}

    @torch.no_grad()
    def restore(self, found: dict[str, np.ndarray]) -> None:
        """Go on from the `state` of an earlier sitting; all tensors are written in place."""
        for kind, part in self._parts():
            for name, tensor in part.items():
                tensor.copy_(torch.from_numpy(found[f"{kind}/{name}"]))
        for i, generator in enumerate(self._generators()):
            generator.set_state(torch.from_numpy(found[f"dropout/{i}"]))

    def _parts(self):
        return ("now", self.now), ("best", self.best), ("optimizer", self.optimizer.moments)

    def _generators(self) -> list[torch.Generator]:
        return self.dropout.generators if self.dropout else []

    def _pull(self, starts: list[Start]):
        """Parameters -> the sum over networks of pull times the cosine of kept weights to those of the goal."""
        flat = lambda tensors: torch.cat([tensors[name].flatten(1) for name in self.model.prunable], 1)  # noqa: E731
        kept = [start.mask.apply(start.goal) for start in starts]
        goal = flat({name: self._stacked(kept, name) for name in self.model.prunable})
        strength = torch.tensor([start.pull for start in starts], device=self.device, dtype=self.dtype)
        return lambda params: (strength * torch.cosine_similarity(flat(params), goal)).sum()


class _Optimizer:
    """Torch's fused Adam and gradient descent as functions: its optimizer classes load its compiler, for seconds.

    moments: name -> tensor, what a checkpoint keeps; momentum uses the first one of a parameter only.
    """

    def __init__(self, cell, params: Tensors):
        self.cell, self.params = cell, params
        kinds = ("slow", "fast") if cell.optimizer == "adam" else ("slow",)
        self.moments = {f"{kind}/{name}": torch.zeros_like(p) for kind in kinds for name, p in params.items()}
        if cell.optimizer == "adam":
            self.moments |= {f"steps/{name}": torch.zeros((), device=p.device) for name, p in params.items()}

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
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

    def _of(self, kind: str) -> list[Tensor]:
        return [self.moments[f"{kind}/{name}"] for name in self.params]


def dropout(cells, device):
    """Inverted dropout whose masks come from one generator a network, so that neighbours do not change them."""
    if not (rate := cells[0].dropout):
        return None
    draw = [stream("sample", c.replicate, c.level, c.order).integers(2**63) for c in cells]
    generators = [torch.Generator(device).manual_seed(int(seed)) for seed in draw]

    def drop(h: Tensor) -> Tensor:
        noise = torch.stack([torch.rand(h.shape[1:], generator=g, device=device, dtype=h.dtype) for g in generators])
        return h * (noise >= rate) / (1 - rate)

    drop.generators = generators
    return drop
