"""Masks of untrained weights: how accurate a network is that was pruned and never trained (Zhou et al. 2019, Table 1).

Masks are made at once, from the initial and the final weights of the dense network, at the counts of each rung of the
ladder. The density is chosen in each replicate, on its validation images; accuracies are in percent of the test images.
"""

import numpy as np
import torch
from scipy.optimize import minimize

from ...data.reader import Reader
from ...pruning import imp, prune
from ...pruning.masks import Mask, Weights, final
from ...seeds import stream
from .criteria import CRITERIA, scores

RUNGS = 24
"""Rounds of the paper."""
COMMON = 5
"""A rung for all replicates, fixed beforehand: a rerun of the authors' code has its maxima at rungs 4, 4, 5, 7, 8."""


def measure(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, curves) of all criteria on initial weights and on signed constants (names that end in _constant).

    accuracy: at the rung that is best on validation; rung: that one; common: at rung COMMON; random: of a random mask
    on the same weights, with the counts of the chosen rung; accuracy_linear: of a linear classifier. Curves: by rung.
    """
    reader, initial, trained = Reader([cell], device), imp.initial(cell, model), final(store.tensors(cell.dense()))
    masks = {name: ladder(name, cell, model, initial, trained) for name in CRITERIA}
    scalars = {"accuracy_linear": linear(reader)}
    curves = {"density": [mask.density for mask in masks["random"]]}
    for suffix, weights in (("", initial), ("_constant", signed_constants(model, initial))):
        tested = {name: accuracy(model, reader, "test", weights, found) for name, found in masks.items()}
        for name, found in masks.items():
            at = int(accuracy(model, reader, "validation", weights, found).argmax())
            scalars |= {
                f"accuracy_{name}{suffix}": tested[name][at],
                f"rung_{name}{suffix}": at + 1,
                f"common_{name}{suffix}": tested[name][COMMON - 1],
                f"random_{name}{suffix}": tested["random"][at],
            }
        curves |= {f"{name}{suffix}": values.tolist() for name, values in tested.items()}
    return scalars, curves


def ladder(criterion: str, cell, model, initial: Weights, trained: Weights) -> list[Mask]:
    """One-shot masks of a criterion at rungs 1 to RUNGS."""
    full = imp.dense_mask(model)
    found = scores(criterion, initial, trained, full, stream("mask", cell.replicate, draw=cell.draw))
    return [prune.keep_top(found, full, imp.ladder(cell.but(level=rung), model)) for rung in range(1, RUNGS + 1)]


def signed_constants(model, weights: Weights) -> Weights:
    """Of every prunable layer the signs, times its standard deviation; other parameters as they are."""
    return {name: np.sign(w) * w.std() if name in model.prunable else w for name, w in weights.items()}


@torch.no_grad()
def accuracy(model, reader: Reader, part: str, weights: Weights, masks: list[Mask]) -> np.ndarray:
    """Accuracy [masks], in percent, of the same weights under each mask, over a part of the data."""
    each = [mask.apply(weights) for mask in masks]
    place = {"device": reader.device, "dtype": reader.dtype}
    params = {name: torch.from_numpy(np.stack([own[name] for own in each])).to(**place) for name in model.shapes}
    buffers, right, count = model.buffers(len(masks), **place), 0, 0
    for x, y in reader.parts(part):
        logits = model.forward(params, buffers, x.expand(len(masks), *x.shape[1:]), training=False)
        right, count = right + (logits.argmax(2) == y).sum(1), count + y.shape[1]
    return 100 * right.cpu().numpy() / count


def linear(reader: Reader, steps: int = 50) -> float:
    """Test accuracy of multinomial logistic regression on pixels: so many steps of L-BFGS on all training images."""
    gather = lambda part: [torch.cat(tensors, 1)[0].cpu() for tensors in zip(*reader.parts(part), strict=True)]  # noqa: E731
    (x, y), (test, labels) = gather("train"), gather("test")
    x, test = x.flatten(1), test.flatten(1)
    wanted = torch.nn.functional.one_hot(y, reader.data.classes).to(x.dtype)

    def loss(flat):
        w = torch.from_numpy(flat).to(x.dtype).view(x.shape[1] + 1, -1)
        logs = torch.log_softmax(torch.addmm(w[-1], x, w[:-1]), 1)
        slopes = (logs.exp() - wanted) / len(x)
        gradient = torch.cat([x.T @ slopes, slopes.sum(0, keepdim=True)])
        return -float((logs * wanted).sum() / len(x)), gradient.double().numpy().ravel()

    start = np.zeros((x.shape[1] + 1) * reader.data.classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    w = torch.from_numpy(found).to(x.dtype).view(x.shape[1] + 1, -1)
    return 100 * float((torch.addmm(w[-1], test, w[:-1]).argmax(1) == labels).double().mean())
