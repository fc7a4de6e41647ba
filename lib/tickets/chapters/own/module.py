"""An ordinary `torch.nn.Module` as a population: checked, initialized anew for each replicate, never changed."""

from copy import deepcopy

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from ...errors import BadInput
from ...files import array_digest, digest
from ...nets.models import Model

DENSE, CONVOLUTIONS = (nn.Linear,), (nn.Conv1d, nn.Conv2d, nn.Conv3d)
DRAWING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
DROPPING = (nn.MultiheadAttention, nn.RNNBase)
"""Layers that draw from torch's one generator, which no replicate has to itself: by their `p`, by their `dropout`."""


class Module(Model):
    """A module that maps inputs [B, *input_shape] to logits [B, classes], as `nets.models` has networks.

    The weights of its linear layers and convolutions may be pruned; the last of them, where linear, is the output. The
    weights of a replicate are drawn by the layers' own `reset_parameters`, as torch draws them when layers are made,
    whatever the cell's `init`; those of layers without one begin as they are given. BadInput where no mask can be put.
    """

    def __init__(self, module: nn.Module, input_shape: tuple[int, ...], classes: int):
        self.module = deepcopy(module).cpu().float()
        super().__init__(f"own_{_fingerprint(self.module)}", input_shape, classes)
        self._refuse_shared()
        for name, part in self.module.named_modules():
            if (isinstance(part, DRAWING) and part.p) or (isinstance(part, DROPPING) and part.dropout):
                raise BadInput(f"layer {name}: draws from torch's own generator; leave dropout out, or set p to 0")
        self.shapes = {name: tuple(parameter.shape) for name, parameter in self.module.named_parameters()}
        for name, part in self.module.named_modules():
            weight = f"{name}.weight".removeprefix(".")
            if isinstance(part, (*DENSE, *CONVOLUTIONS)) and weight in self.shapes:
                self.kind[weight] = "dense" if isinstance(part, DENSE) else "conv"
        if not self.kind:
            raise BadInput("the module has no weights to prune: no linear layer and no convolution")
        if self.kind[last := self.prunable[-1]] == "dense":
            self.kind[last] = "output"

    def _refuse_shared(self) -> None:
        seen: dict[int, str] = {}
        for name, parameter in self.module.named_parameters(remove_duplicate=False):
            if (other := seen.setdefault(id(parameter), name)) != name:
                raise BadInput(f"parameters {other} and {name} are one tensor: a mask could not tell them apart")

    def init(self, generator, rule="glorot"):
        fresh = deepcopy(self.module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator.integers(2**62)))
            for part in _drawn_by_layers(fresh):
                part.reset_parameters()
        return {name: parameter.detach().numpy() for name, parameter in fresh.named_parameters()}

    def buffers(self, R, device="cpu", dtype=torch.float32):
        named = {name: buffer.to(device) for name, buffer in self.module.named_buffers()}
        return {
            name: torch.stack([buffer.to(dtype) if buffer.is_floating_point() else buffer] * R)
            for name, buffer in named.items()
        }

    def forward(self, params, buffers, x, training, dropout=None):
        if dropout:
            raise BadInput(f"{self.name} has no hidden dense layer to drop units from: dropout must be 0")
        self.module.train(training)
        own = [{name: tensor[r] for name, tensor in {**params, **buffers}.items()} for r in range(len(x))]
        return torch.stack(
            [functional_call(self.module, tensors, (part,)) for tensors, part in zip(own, x, strict=True)]
        )

    def check(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """BadInput unless a first batch has finite logits [B, classes], and every parameter a part in its loss."""
        weights = self.init(np.random.default_rng(0))
        params = {name: torch.from_numpy(array)[None].requires_grad_() for name, array in weights.items()}
        try:
            logits = self.forward(params, self.buffers(1), x[None].float(), training=True)[0]
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise BadInput(f"the module does not take inputs {list(x.shape)}: {str(error).splitlines()[0]}") from error
        if logits.shape != (len(x), self.classes):
            raise BadInput(f"the module gives {list(logits.shape)}: must be {[len(x), self.classes]}, a score a class")
        loss = cross_entropy(logits, y)
        if not torch.isfinite(loss):
            raise BadInput(
                f"the loss is {loss.item()} before any training: look at inputs and module for what is not finite"
            )
        gradients = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
        if unused := [name for name, gradient in zip(params, gradients, strict=True) if gradient is None]:
            raise BadInput(f"parameter {unused[0]} has no part in the loss: it could not be trained")


def _drawn_by_layers(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if hasattr(part, "reset_parameters")]


def _fingerprint(module: nn.Module) -> str:
    """Of structure, code and what is not drawn: modules of one fingerprint give the same cells."""
    classes = {kind for part in module.modules() for kind in type(part).__mro__}
    forwards = [vars(kind)["forward"] for kind in classes if "forward" in vars(kind)]
    codes = [forward.__code__ for forward in forwards if hasattr(forward, "__code__")]
    written = sorted([code.co_code.hex(), str(code.co_names), str(_plain(code.co_consts))] for code in codes)
    drawn = {id(p) for part in _drawn_by_layers(module) for p in (*part.parameters(False), *part.buffers(False))}
    given = {name: array_digest({"": t.detach().numpy()}) for name, t in _tensors(module) if id(t) not in drawn}
    return digest([str(module), {name: list(t.shape) for name, t in _tensors(module)}, written, given])


def _tensors(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _plain(constants) -> list:
    return [one for one in constants if isinstance(one, (int, float, str, type(None)))]
