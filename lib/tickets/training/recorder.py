"""What is read off a training: the curves of a population, and what each of its networks leaves."""

from dataclasses import dataclass, field

import numpy as np

from ..cells import Cell
from ..pruning.masks import Mask, Weights
from .schedule import readouts


@dataclass
class Outcome:
    """What one trained network leaves: result scalars, curves, wrongly classified test images, final weights.

    saved: step -> weights, of those that were asked for. The weights of a network with batch normalization come with
    its running statistics, named as in `Model.buffers`.
    """

    result: dict
    curves: dict
    wrong: list[int]
    weights: Weights
    saved: dict[int, Weights] = field(default_factory=dict)


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

    def outcome(self, r: int, mask: Mask, right: np.ndarray, fitted: float, weights: Weights) -> Outcome:
        """What network r leaves.

        right: right answers [N] on the test images at the step of minimum validation loss; fitted: accuracy on the
        training images at the end; weights: final ones.
        """
        curves, named = self.curves[r], readouts(self.cells[r])
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
            "test_accuracy": settled(100 * right.sum() / right.size, early),
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
