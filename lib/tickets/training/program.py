"""What a compiled step of a convolutional network does: its layers as tables for `passes`.

The network describes itself (`Model.through`), here to layers that write down instead of computing. Images lie LANES
side by side, in blocks; a plane of activations is [rows, columns, LANES], a line of lanes for each pixel, with a border
of zeros, so that no edge is special. A convolution is a walk over its kept weights, each with its distance in lines
from an output's pixel to the pixel it reads; the gradient of its input is another walk over the same weights, or one
for each phase of a stride.
"""

from collections import namedtuple
from dataclasses import dataclass
from itertools import product

import numpy as np

from .lanes import EIGHT

CONV, AFFINE, POOL, AVERAGE = range(4)
Node = namedtuple("Node", "channels height width")
"""The shape of a layer's output for one image."""

Program = namedtuple("Program", "ahead back nodes slopes raws scratches convs walks starts offsets sources places")
"""Tables for compiled code.

ahead, back: operations in their order; those of a `sweep` are done block by block, and what needs the whole batch is
settled between two sweeps. nodes, slopes: where the activations of each node lie, and their gradients. Of each
convolution: raws, scratches: where its output lies before scale and shift, and a block of the gradient of that; convs:
where its weights, scale and shift (or bias) and running statistics begin in the flat vector, its first channel among
all, and its walks: one forward, `backs` back. The vectors are shared by the walks: starts of outputs among the weights;
offset of each weight in lines; its source among the weights stored; places of pixels, see `_ahead_walk`.
"""

_table = lambda names: np.dtype([(name, np.int64) for name in names.split()])  # noqa: E731
OPERATION = _table("kind sweep conv source target residual relu adds")
PLACE = _table("base block channel row column channels height width")
CONVOLUTION = _table("weights affine running normal channel forward backs")
WALK = _table("starts outputs offsets kept places count channel whole")


@dataclass
class Operation:
    """A layer on the way forward, between numbered nodes; residual: what is added before the rectifier (-1: none)."""

    kind: int
    source: int
    target: int
    conv: int = -1
    residual: int = -1
    relu: bool = False


@dataclass
class Convolution:
    """source, target: numbered nodes; normal: whether normalized; stored: which weights are, bool [O, C, K, K]."""

    name: str
    stride: int
    source: int
    target: int
    normal: bool
    stored: np.ndarray | None = None


class Layers:
    """Layers that write themselves down, with the methods of `nets.layers.Layers`; x and h are nodes by number."""

    def __init__(self, model):
        self.model, self.nodes, self.operations, self.convs = model, [Node(*model.input_shape)], [], []
        model.through(self, 0)

    def conv(self, x: int, name: str, stride: int = 1, normal: bool = False) -> int:
        height, width = (-(-side // stride) for side in self.nodes[x][1:])
        y = self._node(self.model.shapes[f"{name}.weight"][0], height, width)
        self.operations += [Operation(kind, x, y, len(self.convs)) for kind in (CONV, AFFINE)]
        self.convs.append(Convolution(name, stride, x, y, normal))
        return y

    def conv_norm(self, x: int, name: str, stride: int = 1) -> int:
        return self.conv(x, name, stride, normal=True)

    def relu(self, x: int) -> int:
        self._scaled(x).relu = True
        return x

    def add(self, h: int, x: int) -> int:
        last = self._scaled(h)
        last.residual = x
        self.operations.remove(last)
        self.operations.append(last)  # after the other summand
        return h

    def max_pool(self, x: int) -> int:
        channels, height, width = self.nodes[x]
        return self._reduced(POOL, x, self._node(channels, height // 2, width // 2))

    def average(self, x: int) -> int:
        return self._reduced(AVERAGE, x, self._node(self.nodes[x].channels, 1, 1))

    def head(self, x: int, names: list[str]) -> None:
        self.flat, self.names = x, names

    def _node(self, *shape: int) -> int:
        self.nodes.append(Node(*shape))
        return len(self.nodes) - 1

    def _reduced(self, kind: int, x: int, y: int) -> int:
        self.operations.append(Operation(kind, x, y))
        return y

    def _scaled(self, x: int) -> Operation:
        return next(op for op in self.operations if op.target == x and op.kind == AFFINE)


class Room:
    """Lines of a buffer, given out from its beginning; `again` gives out what was given back, if it is large enough."""

    def __init__(self, lines: int):
        self.lines, self.free = lines, []

    def take(self, count: int, again: bool = False) -> int:
        fit = min((room for room in self.free if again and room[1] >= count), key=lambda room: room[1], default=None)
        if fit:
            self.free.remove(fit)
            return fit[0]
        self.lines += count
        return self.lines - count


def program(layers: Layers, blocks: int, units: int) -> tuple[Program, dict[str, int]]:
    """The tables for batches of so many blocks before a head of so many units, and the lines of each buffer."""
    rooms = {"act": Room(units * blocks), "slope": Room(units * blocks), "raw": Room(0), "scratch": Room(0)}
    nodes, shapes, outputs = [], layers.nodes, [layers.nodes[conv.target] for conv in layers.convs]
    for number, shape in enumerate(shapes):
        nodes.append(_flat(shape, blocks) if number == layers.flat else _place(shape, blocks, rooms["act"]))
    raws = [_place(shape, blocks, rooms["raw"], border=0) for shape in outputs]
    shared = {shape: _place(shape, 1, rooms["scratch"]) for shape in outputs}
    back, slopes = _back(layers, blocks, rooms["slope"])
    tables = zip(
        (OPERATION, OPERATION, *[PLACE] * 4),
        (_ahead(layers), back, nodes, slopes, raws, [shared[shape] for shape in outputs]),
        strict=True,
    )
    found = Program(*(np.array([tuple(map(int, row)) for row in rows], kind) for kind, rows in tables), *_walks(layers))
    return found, {name: room.lines for name, room in rooms.items()}


def _place(shape: Node, blocks: int, room: Room, border: int = 1, again: bool = False) -> tuple:
    """A row of PLACE: base is the first pixel, behind the border."""
    row, plane = _plane(shape, border)
    base = room.take(blocks * shape.channels * plane, again) + border * (row + 1)
    return (base, shape.channels * plane, plane, row, 1, *shape)


def _flat(shape: Node, blocks: int) -> tuple:
    """Inputs of the head: unit by unit, all blocks of one."""
    return (0, 1, shape.height * shape.width * blocks, shape.width * blocks, blocks, *shape)


def _plane(shape: Node, border: int = 1) -> tuple[int, int]:
    """Lines of a row and of a plane."""
    return shape.width + 2 * border, (shape.height + 2 * border) * (shape.width + 2 * border)


def _ahead(layers: Layers) -> list[tuple]:
    """Forward: a normalization waits for its convolution in all blocks."""
    rows, sweep, began = [], 0, {}
    for op in layers.operations:
        sweep += op.kind == AFFINE and layers.convs[op.conv].normal and began[op.conv] == sweep
        began[op.conv] = sweep
        rows.append((op.kind, sweep, op.conv, op.source, op.target, op.residual, op.relu, 0))
    return rows


def _back(layers: Layers, blocks: int, room: Room) -> tuple[list[tuple], list[tuple]]:
    """(operations, places of gradients): a convolution waits for the sums of its normalization.

    The first gradient that reaches a node is put, others add to it. Its lines are given out again in a later sweep, so
    that they stay in the cache.
    """
    rows, sweep, began, places = [], 0, {}, {layers.flat: _flat(layers.nodes[layers.flat], blocks)}
    done = []
    for op in reversed(layers.operations):
        if op.kind == CONV and layers.convs[op.conv].normal and began[op.conv] == sweep:
            sweep, room.free, done = sweep + 1, room.free + done, []
        began[op.conv] = sweep
        reached = op.residual if op.kind == AFFINE else op.source
        rows.append((op.kind, sweep, op.conv, op.source, op.target, op.residual, op.relu, reached in places))
        if reached > 0 and reached not in places:
            places[reached] = _place(layers.nodes[reached], blocks, room, again=True)
        if op.kind != AFFINE and op.target != layers.flat:
            row, plane = _plane(layers.nodes[op.target])
            done.append((places[op.target][0] - row - 1, blocks * layers.nodes[op.target].channels * plane))
    return rows, [places.get(number, (0,) * len(PLACE)) for number in range(len(layers.nodes))]


def _walks(layers: Layers) -> tuple:
    """(convolutions, walks, the vectors of all walks)."""
    convs, walks, vectors = [], [], ([], [], [], [])
    value = channel = 0

    def walk(shape, whole, walked, places):
        begin = [sum(map(len, parts)) for parts in vectors]
        walks.append((begin[0], shape[0], begin[1], len(walked[1]), begin[3], places.shape[1], shape[1], whole))
        for parts, part in zip(vectors, (*walked, places.ravel()), strict=True):
            parts.append(part)

    for conv in layers.convs:
        source, (outputs, height, width) = layers.nodes[conv.source], layers.nodes[conv.target]
        kept, whole, first = int(conv.stored.sum()), bool(conv.stored.all()), len(walks)
        walk((outputs, height * width), whole, *_ahead_walk(conv, source, layers.nodes[conv.target]))
        for back in _back_walks(conv, source, layers.nodes[conv.target]) if conv.source else ():
            walk((source.channels, _plane(source)[1]), whole, *back)
        affine = value + kept
        running = affine + 2 * outputs
        convs.append((value, affine, running, conv.normal, channel, first, len(walks) - first - 1))
        value, channel = running + 2 * outputs if conv.normal else affine + outputs, channel + outputs
    joined = (np.concatenate(parts).astype(np.int64 if i == 0 else np.int32) for i, parts in enumerate(vectors))
    return np.array(convs, CONVOLUTION), np.array(walks, WALK), *joined


def _ahead_walk(conv: Convolution, source: Node, target: Node):
    """((starts, offsets, sources), places); of each pixel: what it reads, where it lies, where its gradient lies.

    Places that fill the last EIGHT write the same pixel again, and take its gradient from the border, which is zero.
    """
    (row, plane), (slope_row, _) = _plane(source), _plane(target)
    o, c, i, j = np.nonzero(conv.stored)
    centre, (r, q) = conv.stored.shape[-1] // 2, _pixels(target.height, target.width)
    reads, gradient = conv.stride * (r * row + q), r * slope_row + q
    places = np.stack([_filled(reads), _filled(r * target.width + q), _filled(gradient, -slope_row - 1)])
    return (_starts(o, target.channels), c * plane + (i - centre) * row + j - centre, np.arange(len(o))), places


def _back_walks(conv: Convolution, source: Node, target: Node):
    """The same for the gradient of the input; a phase of the stride has the pixels that meet the same weights."""
    (row, _), (slope_row, slope_plane) = _plane(source), _plane(target)
    o, c, i, j = np.nonzero(conv.stored)
    s, centre = conv.stride, conv.stored.shape[-1] // 2
    for down, right in product(range(s), repeat=2):
        k = np.flatnonzero(((down + centre - i) % s == 0) & ((right + centre - j) % s == 0))
        k = k[np.argsort(c[k], kind="stable")]
        r, q = _pixels(-(-(source.height - down) // s), -(-(source.width - right) // s))
        places = np.stack([_filled(r * slope_row + q), _filled((s * r + down) * row + s * q + right)])
        dr, dq = (down + centre - i[k]) // s, (right + centre - j[k]) // s
        yield (_starts(c[k], source.channels), o[k] * slope_plane + dr * slope_row + dq, k), places


def _pixels(height: int, width: int) -> list[np.ndarray]:
    """Row and column of each pixel."""
    return [part.ravel() for part in np.indices((height, width))]


def _starts(rows: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])


def _filled(places: np.ndarray, other: int | None = None) -> np.ndarray:
    """Places up to a multiple of EIGHT: with the last one again, or with another."""
    return np.append(places, np.full(-len(places) % EIGHT, places[-1] if other is None else other))
