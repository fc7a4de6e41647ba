"""What happens at which step: learning rates, and when training pauses to evaluate."""

import numpy as np

from ..cells import Cell


def learning_rates(cell: Cell) -> np.ndarray:
    """Learning rate of every step [steps]: linear warmup from 0, then divided by 10 at each drop."""
    step = np.arange(cell.steps)
    rates = np.full(cell.steps, cell.learning_rate)
    for drop in cell.drops:
        rates[step >= drop] /= 10
    if cell.warmup:
        rates *= np.minimum(1, (step + 1) / cell.warmup)
    return rates


RARELY = {"imagenet": 1202}
"""Steps between validations where every 100 would cost half as much as training: an epoch of ImageNet."""


def interval(cell: Cell) -> int:
    """Steps between validations: 100 as in the paper (App. G.1), fewer in budgets too short for that."""
    return max(1, min(RARELY.get(cell.dataset, 100), cell.steps // 20))


def readouts(cell: Cell) -> dict[str, int]:
    """Named steps at which the test set is read, whatever validation says: at 30 % of the budget and at its end."""
    every = interval(cell)
    return {"mid": max(every, round(0.3 * cell.steps / every) * every), "end": cell.steps}


def test_steps(cell: Cell) -> set[int]:
    """A thin, roughly geometric curve of test readings, the named readouts among them."""
    every = interval(cell)
    thin = np.unique(np.round(np.geomspace(every, cell.steps, 24) / every).astype(int)) * every
    return {int(step) for step in thin if step <= cell.steps} | set(readouts(cell).values())


def stops(cell: Cell, start: int) -> list[int]:
    """The steps after `start` at which training pauses to evaluate."""
    every = interval(cell)
    return sorted(s for s in {*range(every, cell.steps + 1, every), *test_steps(cell)} if s > start)
