"""The dense networks that edge-popup is compared with: weights are trained, biases stay 0, and the rate may anneal.

As the authors', whose layers have no biases; gradient descent at a rate that falls as a cosine, Adam at one that stays.
"""

import numpy as np
import torch

from ...training import train
from ...training.autograd import Autograd
from ...training.compiled import Compiled
from ...training.schedule import learning_rates
from ..supermasks.learned import cosine


def rates(cell) -> np.ndarray:
    """Learning rate of every step [steps]."""
    return cosine(cell) if cell.optimizer == "sgd" else learning_rates(cell)


class Plain(Autograd):
    """Any network on any device."""

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        super().__init__(cells, model, starts, device, begin)
        self.rates = torch.from_numpy(rates(self.cell)).to(self.rates)
        biases = {name: tensor for name, tensor in self.params.items() if name.endswith(".bias")}
        self.gone |= {name: torch.ones_like(tensor, dtype=torch.bool) for name, tensor in biases.items()}


class PlainCompiled(Compiled):
    """Any network that compiled code trains, on a CPU core."""

    def __init__(self, cells, model, starts, device="cpu", begin=0):
        super().__init__(cells, model, starts, device, begin)
        self.rates = rates(self.cell)
        for network in self.networks:
            biases = {name: np.full(where.shape, name.endswith(".bias")) for name, where in network.where.items()}
            network.keep &= ~network.flat(biases)


train.PATHS |= {"plain": Plain, "plain-mlp": PlainCompiled, "plain-conv": PlainCompiled}
