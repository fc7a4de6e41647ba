"""What is measured on masks that edge-popup found: no weight is trained, before or after."""

import math

import numpy as np

from ...data import sources
from ...data.reader import Reader
from ...pruning import imp, nulls, prune
from ...pruning.masks import Mask, Weights, final
from ...seeds import stream
from ..subsets.shares import top
from ..supermasks.ladder import deciles
from ..supermasks.untrained import accuracy
from .recipes import KEEPS, course_of, law, recipes, searched
from .search import kept

DRAWS = 10
"""Masks, values or initializations of each kind that a mean is taken of."""
UNITS = 4
"""Hidden units whose masks are drawn."""


def found(cell, model, store) -> tuple[Weights, Mask]:
    """(frozen weights, mask) of a search: what its last scores keep."""
    scores = final(store.tensors(cell))
    counts = {name: kept(math.prod(model.shapes[name]), cell.own["keep"]) for name in model.prunable}
    sizes = {name: np.abs(scores[name]) for name in model.prunable}
    return law(cell, model, imp.initial(cell, model)), prune.keep_top(sizes, imp.dense_mask(model), counts)


def against(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, none): test accuracy of a search and of training at the last step, and by how much it is behind.

    Of several recipes of training the one counts that is best on the validation images of the replicate (recipe).
    """
    reader, full = Reader([cell], device), imp.dense_mask(model)
    trained = [final(store.tensors(dense)) for dense in recipes(cell)]
    at = int(np.argmax([accuracy(model, reader, "validation", weights, [full])[0] for weights in trained]))
    weights, mask = found(searched(cell)[0], model, store)
    theirs = float(accuracy(model, reader, "test", trained[at], [full])[0])
    ours = float(accuracy(model, reader, "test", weights, [mask])[0])
    return {"accuracy": ours, "accuracy_trained": theirs, "behind": theirs - ours, "recipe": at}, {}


def course(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, curves by share) of searches that keep different shares.

    best_keep: the share at which test accuracy is best, at the top of the parabola through the best one and its
    neighbours. Curves: share, accuracy, and gained, the accuracy above guessing as a part of its largest value.
    """
    reader, shares = Reader([cell], device), np.array(KEEPS)
    each = [found(search, model, store) for search in course_of(cell)]
    read = np.array([accuracy(model, reader, "test", weights, [mask])[0] for weights, mask in each])
    gained = (read - 100 / model.classes) / (read.max() - 100 / model.classes)
    curves = {"share": shares.tolist(), "accuracy": read.tolist(), "gained": gained.tolist()}
    return {"best_keep": top(shares, read)}, curves


def left_over(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, none): what a search's accuracy is above guessing, and the part of it that is left without training.

    accuracy: of the search; share_NAME: (accuracy of NAME - guessing) / (accuracy - guessing), mean over DRAWS, of
      s0, s1, s2   masks that share layer densities; and degrees; and deciles of initial size
      permuted     kept values exchanged among the kept places of each layer
      sizes        kept signs with sizes drawn anew
      signs        kept sizes with signs drawn anew
      other        the mask on another initialization
    """
    search, reader, chance = searched(cell)[0], Reader([cell], device), 100 / model.classes
    weights, mask = found(search, model, store)
    generator = stream("noise", cell.replicate, cell.level, cell.draw)
    classes = {name: deciles(np.abs(weights[name])) for name in model.prunable}
    read = lambda weights, masks: float(accuracy(model, reader, "test", weights, masks).mean())  # noqa: E731
    best = read(weights, [mask])
    draws = {
        "s0": lambda: (weights, nulls.uniform(mask, generator)),
        "s1": lambda: (weights, nulls.traded(mask, generator)),
        "s2": lambda: (weights, nulls.traded(mask, generator, classes)),
        "permuted": lambda: (permuted(weights, mask, generator), mask),
        "sizes": lambda: (combined(fresh(search, model, generator), weights), mask),
        "signs": lambda: (combined(weights, fresh(search, model, generator)), mask),
        "other": lambda: (fresh(search, model, generator), mask),
    }
    scalars = {"accuracy": best}
    for name, draw in draws.items():
        mean = np.mean([read(values, [places]) for values, places in (draw() for _ in range(DRAWS))])
        scalars[f"share_{name}"] = float((mean - chance) / (best - chance)) if best > chance else 0.0
    return scalars, {}


def fresh(search, model, generator) -> Weights:
    """Weights of the law of a search, drawn anew."""
    return law(search, model, model.init(generator, search.init))


def permuted(weights: Weights, mask: Mask, generator) -> Weights:
    """Weights whose kept values are exchanged at random among the kept places of their layer."""
    moved = {name: array.copy() for name, array in weights.items()}
    for name, places in mask.items():
        moved[name][places] = generator.permutation(weights[name][places])
    return moved


def combined(sizes: Weights, signs: Weights) -> Weights:
    """Weights with the sizes of one and the signs of another."""
    return {name: np.copysign(array, signs[name]) for name, array in sizes.items()}


def first_layer(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, curves) of the first layer of a perceptron's search, beside one null mask S1.

    dark: percent of its kept weights that come from pixels which are dark in every training image, and dark_pixels: of
    the pixels. beside: percent of kept inputs whose right neighbour the same unit keeps too; beside_s1: of the null,
    in which every unit and every pixel has as many. Curves: kept weights of each pixel (all_0, ... a row of pixels
    each), and of UNITS units what they keep (unit0_0, ...) and what the null does (traded0_0, ...).
    """
    _, mask = found(searched(cell)[0], model, store)
    name, shape = model.prunable[0], model.input_shape[1:]
    first = mask[name]
    dark = ~(sources.load(cell.dataset).train_images.flatten(1) > 0).any(0).numpy()
    traded = nulls.traded(Mask({name: first}), stream("noise", cell.replicate, cell.level, cell.draw))[name]
    scalars = {"dark": 100 * float(first[:, dark].sum() / first.sum()), "dark_pixels": 100 * float(dark.mean())}
    scalars |= {"beside": beside(first, shape), "beside_s1": beside(traded, shape)}
    images = {"all": first.sum(0)} | {f"unit{i}": first[i] for i in range(UNITS)}
    images |= {f"traded{i}": traded[i] for i in range(UNITS)}
    rows = {label: image.reshape(shape).astype(int) for label, image in images.items()}
    return scalars, {f"{label}_{i}": row.tolist() for label, image in rows.items() for i, row in enumerate(image)}


def beside(first: np.ndarray, shape: tuple[int, int]) -> float:
    """Of the kept inputs with a right neighbour, the percentage whose neighbour the same unit keeps too."""
    images = first.reshape(-1, *shape)
    left, right = images[:, :, :-1], images[:, :, 1:]
    return 100 * float((left & right).sum() / left.sum())
