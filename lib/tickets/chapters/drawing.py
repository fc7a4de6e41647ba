"""Networks that answer what a reader draws: the dense one, and of three kinds at each of some densities, in one file.

A weight takes a byte, and its place a bit: whole numbers from -127 to 127 times the scale of their unit. What that
costs in accuracy is measured and recorded with each network.
"""

import base64
import json
import time
from collections.abc import Iterable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path

import numpy as np
from jinja2 import Template
from safetensors.numpy import load, save

from ..arms import ARMS
from ..files import BOOK, write_atomically
from ..pruning.imp import Start
from ..pruning.masks import Mask, Weights
from .collection import Ticket, drawn, ticket

STUDY, NETWORK, REPLICATE = "01_winning_tickets", "LeNet", 0
LEVELS = (7, 11, 15, 17)
KINDS = {"ticket": 0, "reinit": 1, "random": 0}
"""Arm -> the draw that is shown."""
MOST = 127
LIMIT = 2 * 2**20
"""Bytes that the file may have."""
FILE = "drawing.safetensors"
TEMPLATE = BOOK / "_parts" / "drawing.html"


def starts(levels: Iterable[int] = LEVELS, **where) -> dict[str, Ticket]:
    """Name of a network -> how it begins, verified; where: profile and source, see `collection.ticket`."""
    named = [("dense", 0, {})]
    named += [(f"{arm}-{level}", level, {"arm": arm, "draw": d}) for level in levels for arm, d in KINDS.items()]
    return {name: ticket(STUDY, NETWORK, level, REPLICATE, **where, **fields) for name, level, fields in named}


def trained(begun: Ticket, device="cpu") -> tuple[Weights, dict]:
    """(final weights, facts) of a network trained from its recorded start: no earlier rung is trained for that.

    again, recorded: its accuracy at the last step, now and in the record of its cell (None where it has none).
    """
    from ..results.provenance import provenance  # these bring torch
    from ..training.train import train

    began = time.perf_counter()
    (outcome,), path = train([begun.cell], drawn(begun.cell)[0], [Start(begun.weights, begun.mask)], device)
    made = provenance(device, path, 1, time.perf_counter() - began, begun.cell.precision)
    recorded = begun.record["result"]["test_accuracy_end"] if begun.record else None
    return outcome.weights, {"recorded": recorded, "again": outcome.result["test_accuracy_end"], "provenance": made}


# in a byte a weight


def packed(weights: Weights, mask: Mask) -> Weights:
    """A network as it is filed: per layer `kept` (a bit a weight, row by row), `values`, `scale` of each unit, `bias`.

    values: int8, of the kept weights in the order of their places; a weight is value times scale.
    """
    found = {}
    for name, kept in mask.items():
        layer = name.removesuffix(".weight")
        whole = np.where(kept, weights[name], 0)
        scale = (np.abs(whole).max(1) / MOST).astype(np.float32)
        values = np.rint(whole / np.where(scale, scale, 1)[:, None]).astype(np.int8)
        found |= {f"{layer}.kept": np.packbits(kept), f"{layer}.values": values[kept], f"{layer}.scale": scale}
        found[f"{layer}.bias"] = weights[f"{layer}.bias"]
    return found


def unpacked(filed: Weights) -> tuple[Weights, Mask]:
    """(weights, mask) of a network from what `packed` made of it; a layer has more units than a byte has bits."""
    weights, masks = {}, {}
    for layer in [name.removesuffix(".kept") for name in filed if name.endswith(".kept")]:
        scale, bits = filed[f"{layer}.scale"], filed[f"{layer}.kept"]
        shape = scale.size, 8 * bits.size // scale.size  # fewer bits than units fill the last byte
        kept = np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)
        whole = np.zeros(shape, np.float32)
        whole[kept] = filed[f"{layer}.values"]
        weights |= {f"{layer}.weight": whole * scale[:, None], f"{layer}.bias": filed[f"{layer}.bias"]}
        masks[f"{layer}.weight"] = kept
    return weights, Mask(masks)


def answers(cell, weights: Weights, images: np.ndarray) -> np.ndarray:
    """Probabilities [N, classes], float64, that a network gives for images uint8 [N, H, W]."""
    import torch

    x = torch.from_numpy(images.astype(np.float64) / 255).flatten(1)[None]
    arrays = {name: torch.from_numpy(array.astype(np.float64))[None] for name, array in weights.items()}
    return drawn(cell)[0].forward(arrays, {}, x, training=False)[0].softmax(-1).numpy()


def accuracy(cell, weights: Weights) -> float:
    """Percent of the test images that a network names rightly."""
    from ..data import sources

    data = sources.load(cell.dataset)
    said = answers(cell, weights, data.test_images.squeeze(1).numpy()).argmax(1)
    return float(100 * (said == data.test_labels.numpy()).mean())


# on file


def record(folder: Path, begun: dict[str, Ticket], told=nullcontext) -> str:
    """Train networks, write them, and say what a byte a weight costs. told: entered with the name of each."""
    ended, facts = {}, {}
    for name, at in begun.items():
        with told(name):
            ended[name], facts[name] = trained(at)
    card = write(folder, begun, ended, facts)
    line = "{name:10} {density:6.1%} {accuracy:.2f} %, in a byte a weight {packed:.2f} %"
    return "\n".join([*(line.format(**one) for one in card["networks"]), f"{card['bytes'] / 2**20:.2f} MiB"])


def write(folder: Path, begun: dict[str, Ticket], ended: dict[str, Weights], facts: dict[str, dict]) -> dict:
    """Write networks, with a test image of each class, and beside them a JSON that says what they are; returns that.

    begun, ended: by name, how each began and its final weights; facts: by name, what else is to be said of it.
    """
    from ..data import sources

    cell = next(iter(begun.values())).cell
    data = sources.load(cell.dataset)
    labels = data.test_labels.numpy()
    first = [int(np.flatnonzero(labels == digit)[0]) for digit in range(data.classes)]
    arrays, told = {"samples": data.test_images[first].squeeze(1).numpy()}, []
    for name, at in begun.items():
        filed = packed(ended[name], at.mask)
        arrays |= {f"{name}/{part}": array for part, array in filed.items()}
        exact, rounded = (accuracy(at.cell, weights) for weights in (ended[name], unpacked(filed)[0]))
        about = {"name": name, "arm": at.cell.arm, "level": at.cell.level, "kept": at.mask.kept, "key": at.cell.key()}
        told.append({**about, "density": at.mask.density, "accuracy": exact, "packed": rounded, **facts.get(name, {})})
    content = save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})
    if len(content) > LIMIT:
        raise ValueError(f"{len(content)} bytes: more than the {LIMIT} that a page may carry")
    card = {"samples": first, "bytes": len(content), "sha256": sha256(content).hexdigest(), "networks": told}
    write_atomically(folder / FILE, content)
    write_atomically((folder / FILE).with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    return card


def read(folder: Path) -> tuple[dict, dict[str, Weights], np.ndarray]:
    """(the JSON, what is filed of each network by its name, sample images uint8 [N, H, W]); ValueError if changed."""
    content, card = (folder / FILE).read_bytes(), json.loads((folder / FILE).with_suffix(".json").read_text())
    if sha256(content).hexdigest() != card["sha256"]:
        raise ValueError(f"{FILE}: not the file that was recorded")
    found: dict[str, Weights] = {}
    for name, array in (arrays := load(content)).items():
        network, _, part = name.rpartition("/")
        found.setdefault(network, {})[part] = array
    del found[""]
    return card, found, arrays["samples"]


def page(folder: Path) -> str:
    """The HTML that a reader draws on, the networks in it; a line where none are recorded."""
    if not (folder / FILE).exists():
        return "<p>No networks are recorded to draw for.</p>"
    card, _, _ = read(folder)
    labels = {arm: ARMS[arm].label for arm in KINDS}
    lost = max(one["accuracy"] - one["packed"] for one in card["networks"])
    content = base64.b64encode((folder / FILE).read_bytes()).decode()
    return Template(TEMPLATE.read_text("utf-8"), autoescape=True).render(
        card=card, labels=labels, lost=lost, content=content
    )
