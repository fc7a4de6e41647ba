"""What is left of a mask's worth when only part of what it is is kept, and where masks look: measurements on masks."""

import numpy as np

from ...data import sources
from ...data.reader import Reader
from ...pruning import imp, nulls
from ...pruning.masks import Mask, final
from ...seeds import stream
from .untrained import accuracy, ladder, signed_constants

DRAWS = 10
"""Masks of each null."""
CRITERION = "large_final_same_sign"
SHOWN = (
    "large_final", "small_final", "large_init", "large_init_large_final", "magnitude_increase", "movement", "random",
    "large_final_same_sign",
)  # fmt: skip
"""Criteria whose first layers are drawn side by side."""


def measure(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, no curves) of the best untrained mask and of random masks that share its degrees and sizes.

    accuracy_mask: on test, at the rung that is best on validation; accuracy_s0 to accuracy_s3: mean over DRAWS masks of
    a null; kappa_s1 to kappa_s3: what such masks have in common with it beyond chance.
    """
    reader, weights, trained = Reader([cell], device), imp.initial(cell, model), final(store.tensors(cell.dense()))
    masks = ladder(CRITERION, cell, model, weights, trained)
    classes = {name: deciles(np.abs(weights[name])) for name in model.prunable}
    if cell.own["constant"]:
        weights = signed_constants(model, weights)
    at = int(accuracy(model, reader, "validation", weights, masks).argmax())
    mask, first = masks[at], model.prunable[0]
    images = sources.load(cell.dataset).train_images.flatten(1).numpy()
    pixels = {**classes, first: 10 * classes[first] + deciles(images.var(0))} if model.widths else None
    generator = stream("sample", cell.replicate, at, cell.draw)
    made = {"s0": lambda: nulls.uniform(mask, generator), "s1": lambda: nulls.traded(mask, generator)}
    made["s2"] = lambda: nulls.traded(mask, generator, classes)
    if pixels:
        made["s3"] = lambda: nulls.traded(mask, generator, pixels)
    chance = {name: kept**2 / mask[name].size for name, kept in mask.counts().items()}
    scalars = {"rung": at + 1, "accuracy_mask": float(accuracy(model, reader, "test", weights, [mask])[0])}
    for name, draw in made.items():
        drawn = [draw() for _ in range(DRAWS)]
        scalars[f"accuracy_{name}"] = float(accuracy(model, reader, "test", weights, drawn).mean())
        scalars[f"kappa_{name}"] = float(np.mean([nulls.kappa(mask, other, chance) for other in drawn]))
    return scalars, {}


def measure_pixels(cell, model, store, device) -> tuple[dict, dict]:
    """(scalars, curves) of the first layer of a perceptron under one-shot masks at a cell's rung.

    dark: share of its kept weights that come from pixels which are dark in every training image, by criterion. Curves:
    kept weights of each pixel, a curve a row of pixels.
    """
    dark = ~(sources.load(cell.dataset).train_images.flatten(1) > 0).any(0).numpy()
    initial, trained, first = imp.initial(cell, model), final(store.tensors(cell.dense())), model.prunable[0]
    masks = {name: ladder(name, cell, model, initial, trained)[int(cell.level) - 1] for name in SHOWN}
    degrees = {name: mask[first].sum(0) for name, mask in masks.items()}
    rows = {name: kept.reshape(model.input_shape[1:]) for name, kept in degrees.items()}
    curves = {f"{name}_{i}": row.tolist() for name, image in rows.items() for i, row in enumerate(image)}
    return {f"dark_{name}": float(kept[dark].sum() / kept.sum()) for name, kept in degrees.items()}, curves


def measure_learned(cell, scored, model, store, device) -> tuple[dict, dict]:
    """(scalars, histograms) of the learned mask of a cell, whose network `scored` left its scores.

    ones: mean probability, of layer i in ones_i; settled: share of probabilities below 0.1 or above 0.9;
    accuracy_likely: test accuracy under the mask of all probabilities above 1/2, without rescaling.
    """
    left, weights = final(store.tensors(scored)), imp.initial(cell, model)
    chances = {name: 1 / (1 + np.exp(-left[name].astype(float))) for name in model.prunable}
    likely = Mask({name: chance > 0.5 for name, chance in chances.items()})
    if cell.own["constant"]:
        weights = signed_constants(model, weights)
    each = np.concatenate([chance.ravel() for chance in chances.values()])
    scalars = {"ones": float(each.mean()), "settled": float((np.abs(each - 0.5) > 0.4).mean())}
    scalars["accuracy_likely"] = float(accuracy(model, Reader([cell], device), "test", weights, [likely])[0])
    scalars |= {f"ones_{i}": float(chance.mean()) for i, chance in enumerate(chances.values(), 1)}
    counts = {f"chance_{i}": np.histogram(c, 20, (0, 1))[0].tolist() for i, c in enumerate(chances.values(), 1)}
    return scalars, counts


def deciles(values: np.ndarray) -> np.ndarray:
    """The tenth of all values that each belongs to, 0 to 9, from the smallest up."""
    ranks = np.argsort(np.argsort(values.ravel(), kind="stable"), kind="stable")
    return (10 * ranks // values.size).reshape(values.shape)
