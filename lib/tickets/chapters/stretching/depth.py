"""Stretching and squeezing along depth: what a network of one depth has, laid out for another.

Chen et al. 2021, sec. 3: a network is stages of *units* that can be copied or dropped, and the rest, which every depth
of a family has. Units are residual blocks, a convolution with its normalization, or dense layers; the first
of a stage changes the number of channels and is taken as it is. What is taken is whatever arrays there are of a unit:
its weights, its mask, its normalization, running statistics.

A block map says of each unit of a target's stage from which unit of the source's it is taken: (0, 1, 2, 1, 2). Written
out as the authors' scripts do it that is "0:0;1:1,3;2:2,4", source to targets.
"""

from collections.abc import Mapping
from itertools import chain

import numpy as np

from ...errors import BadInput
from ...pruning.masks import Weights

Blocks = tuple[int, ...]


def appended(have: int, want: int) -> Blocks:
    """B0 B1 B2 to B0 B1 B2 B1 B2: copies follow, in order, the last unit that is copied; squeezed, the last ones go.

    As many units as possible are copied, each as rarely as possible, the earlier ones first. Units that are copied more
    than once, where not all are copied equally often, are our reading: whole rounds first.
    """
    if want <= have:
        return tuple(range(want))
    _copied(have, want)
    times, more = divmod(want - 1, have - 1)
    every, first = list(range(1, have)), list(range(1, more + 1))
    return (0, *every * (times - 1), *first, *every)


def interpolated(have: int, want: int) -> Blocks:
    """B0 B1 B2 to B0 B1 B1 B2 B2: copies follow their unit; squeezed, what remains is spread over the depth."""
    if want <= have:
        taken = interpolated(want, have) if 1 < want < have else range(want)
        return tuple(taken.index(unit) for unit in range(want))
    _copied(have, want)
    times, more = divmod(want - 1, have - 1)
    return (0, *chain.from_iterable([unit] * (times + (unit <= more)) for unit in range(1, have)))


def _copied(have: int, want: int) -> None:
    if have < 2:
        raise BadInput(f"a stage of {have} unit cannot be stretched to {want}: its first unit is never copied")


PLACINGS = {"append": appended, "interpolate": interpolated}


def written(blocks: Blocks) -> str:
    """A block map as the authors' scripts write it."""
    sources = dict.fromkeys(sorted(blocks))
    return ";".join(f"{s}:{','.join(str(t) for t, taken in enumerate(blocks) if taken == s)}" for s in sources)


def parsed(text: str, have: int, want: int) -> Blocks:
    """The block map of a name in PLACINGS, or of one that is written out; BadInput where it does not fit."""
    if text in PLACINGS:
        return PLACINGS[text](have, want)
    try:
        pairs = [entry.split(":") for entry in text.split(";")]
        found = {int(target): int(source) for source, targets in pairs for target in targets.split(",")}
        blocks = tuple(found[target] for target in range(len(found)))
    except (ValueError, KeyError):
        raise BadInput(f"blocks {text!r}: append, interpolate, or a map such as 0:0;1:1,2") from None
    if len(blocks) != want or not set(blocks) <= set(range(have)) or blocks[0] != 0:
        raise BadInput(f"blocks {text!r}: must take {want} units, the first one first, from {have}")
    return blocks


# units


def stages(model) -> list[list[str]]:
    """The units of a network, stage by stage; BadInput for one without any."""
    if model.widths:
        return [model.head[:-2]]
    if hasattr(model, "strides"):
        blocks, first = list(model.strides), next(iter(model.strides))
        starts = [i for i, b in enumerate(blocks) if b == first or f"{b}.shortcut.weight" in model.shapes]
        return [blocks[i:j] for i, j in zip(starts, [*starts[1:], len(blocks)], strict=True)]
    if not model.channels:
        raise BadInput(f"{model.name}: has no units that could be copied")
    found = [[]]
    for step in model.steps:
        found[-1:] = [found[-1], []] if step == "pool" else [[*found[-1], step]]
    return [stage for stage in found if stage]


def rest(model) -> list[str]:
    """The layers that belong to no unit, in order: of a perceptron its last hidden layer and its output."""
    units = tuple(f"{unit}." for stage in stages(model) for unit in stage)
    layers = [name.rpartition(".")[0] for name in model.shapes if not name.startswith(units)]
    return list(dict.fromkeys(layers))


def origins(source, target, blocks: str) -> dict[str, str]:
    """Unit or other layer of the target -> that of the source it is taken from; BadInput where they are unlike."""
    here, there, texts = stages(target), stages(source), blocks.split("|")
    texts = texts if len(texts) > 1 else texts * len(here)
    if not len(here) == len(there) == len(texts):
        raise BadInput(f"{target.name} cannot be made of {source.name}: {len(here)} stages, of {len(there)}")
    found = dict(zip(rest(target), rest(source), strict=True))
    for own, given, text in zip(here, there, texts, strict=True):
        found |= {own[t]: given[s] for t, s in enumerate(parsed(text, len(given), len(own)))}
    return found


def copies(source, target, blocks: str) -> list[str]:
    """The units of the target that are second or later copies: those that were added."""
    seen, found = set(), []
    for unit, taken in origins(source, target, blocks).items():
        if taken in seen:
            found.append(unit)
        seen.add(taken)
    return found


def reshaped(arrays: Mapping[str, np.ndarray], source, target, blocks: str) -> Weights:
    """Arrays of the source, whatever they are, laid out for the target; BadInput where a unit has another shape."""
    found = {}
    for here, there in origins(source, target, blocks).items():
        for name, array in arrays.items():
            if name.startswith(f"{there}."):
                found[here + name.removeprefix(there)] = array
    for name, array in found.items():
        if name in target.shapes and array.shape != tuple(target.shapes[name]):
            raise BadInput(f"{target.name} cannot be made of {source.name}: {name} is of another shape")
    return found
