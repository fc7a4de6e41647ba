"""What a compiled step of a convolutional network does: its layers as tables for `passes`.

The network describes itself (`Model.through`), here to layers that write down instead of computing. Images lie LANES
side by side, in blocks; a plane of activations is [rows, columns, LANES], a line of lanes for each pixel, with a border
of zeros, so that no edge is special. A convolution is a walk over its kept weights, each with its distance in lines
from an output's pixel to the pixel it reads; the gradient of its input is another walk over the same weights, or one
for each phase of a stride.
"""

from collections import defaultdict, namedtuple
from itertools import pairwise, product

import numpy as np

from .lanes import PIXELS

SUMS = 512
"""Weights of a convolution whose gradients are summed at a time: their lines, 32 kB, stay in the first cache."""
CONV, AFFINE, POOL, AVERAGE, AGAIN = range(5)
Node = namedtuple("Node", "channels height width")
"""The shape of a layer's output for one image."""
Conv = namedtuple("Conv", "name stride source target normal")
"""A convolution as its network describes it, between numbered nodes; normal: whether normalized."""

Program = namedtuple("Program", "ahead back nodes slopes raws scratches convs walks starts offsets sources places")
"""Tables for compiled code.

ahead, back: operations in their order; those of a `sweep` are done block by block, and what needs the whole batch is
settled between two sweeps. nodes, slopes: where the activations of each node lie, and their gradients. Of each
convolution: raws, scratches: where its output lies before scale and shift, and a block of the gradient of that; convs.
The vectors are shared by the walks: starts of outputs among the weights; offset of each weight in lines; its place in
the flat vector; places of pixels, see `_ahead_walk`.
"""
Operation = namedtuple("Operation", "kind source target conv residual relu sweep adds", defaults=(-1, -1, 0, 0, 0))
"""A layer between numbered nodes. residual: what is added before the rectifier (-1: none); adds: the gradient of its
source is added to one that is there."""
Place = namedtuple("Place", "base block channel row column channels height width")
"""Line of the first pixel, behind the border, and from one block, channel, ... to the next."""
Convolution = namedtuple("Convolution", "weights affine running normal outputs channel forward backs")
"""Where its weights, scale and shift (or bias) and running statistics begin in the flat vector, its first channel among
all, and its walks: one forward, `backs` back."""
Walk = namedtuple("Walk", "starts offsets outputs places count channel whole")
"""Where it begins in the vectors, its outputs, pixels and lines of an output; whole: no weight is missing."""


class Layers:
    """Layers that write themselves down, with the methods of `nets.layers.Layers`; x and h are nodes by number."""

    def __init__(self, model):
        self.model, self.nodes, self.operations, self.convs = model, [Node(*model.input_shape)], [], []
        model.through(self, 0)

    def conv(self, x: int, name: str, stride: int = 1, normal: bool = False) -> int:
        height, width = (-(-side // stride) for side in self.nodes[x][1:])
        y = self._node(self.model.shapes[f"{name}.weight"][0], height, width)
        self.operations += [Operation(kind, x, y, len(self.convs)) for kind in (CONV, AFFINE)]
        self.convs.append(Conv(name, stride, x, y, normal))
        return y

    def conv_norm(self, x: int, name: str, stride: int = 1) -> int:
        return self.conv(x, name, stride, normal=True)

    def relu(self, x: int) -> int:
        return self._changed(x, relu=True)

    def add(self, h: int, x: int) -> int:
        return self._changed(h, residual=x)

    def max_pool(self, x: int) -> int:
        channels, height, width = self.nodes[x]
        return self._reduced(POOL, x, channels, height // 2, width // 2)

    def average(self, x: int) -> int:
        return self._reduced(AVERAGE, x, self.nodes[x].channels, 1, 1)

    def head(self, x: int, names: list[str]) -> None:
        self.flat, self.names = x, names

    def _node(self, *shape: int) -> int:
        self.nodes.append(Node(*shape))
        return len(self.nodes) - 1

    def _reduced(self, kind: int, x: int, *shape: int) -> int:
        self.operations.append(Operation(kind, x, self._node(*shape)))
        return self.operations[-1].target

    def _changed(self, x: int, **fields) -> int:
        """What scales and shifts node x does more, after all that was written down: the other summand is there."""
        op = next(op for op in self.operations if op.target == x and op.kind == AFFINE)
        self.operations.remove(op)
        self.operations.append(op._replace(**fields))
        return x


class Buffer:
    """Lines of a buffer, given out from its beginning."""

    def __init__(self, lines: int = 0):
        self.lines = lines

    def place(self, shape: Node, blocks: int, border: int = 1) -> Place:
        row, plane = _plane(shape, border)
        base = self.lines + border * (row + 1)
        self.lines += blocks * shape.channels * plane
        return Place(base, shape.channels * plane, plane, row, 1, *shape)


def program(layers: Layers, where, blocks: int, units: int) -> tuple[Program, list[int]]:
    """The tables for batches of so many blocks before a head of so many units, and the lines of each buffer.

    Buffers: activations, their gradients, raw outputs of convolutions, a block of the gradient of these, and sums.
    where: which entries of a parameter are in the flat vector, name -> bool array, in its order.
    """
    act, slope, raw, scratch = Buffer(units * blocks), Buffer(units * blocks), Buffer(), Buffer()
    end, outputs = layers.nodes[layers.flat], [layers.nodes[conv.target] for conv in layers.convs]
    # inputs of the head: unit by unit, all blocks of one
    flat = Place(0, 1, end.height * end.width * blocks, end.width * blocks, blocks, *end)
    passing = _passing(layers)
    short = {shape: act.place(shape, 1)._replace(block=0) for shape in {layers.nodes[n] for n in passing}}
    nodes = [short[s] if n in passing else act.place(s, blocks) for n, s in enumerate(layers.nodes)]
    nodes[layers.flat] = flat
    back, slopes = _back(layers, blocks, slope, flat, passing)
    raws = [raw.place(shape, blocks, border=0) for shape in outputs]
    shared = {shape: scratch.place(shape, 1) for shape in dict.fromkeys(outputs)}
    places = (_table(Place, rows) for rows in (nodes, slopes, raws, [shared[shape] for shape in outputs]))
    ahead = _table(Operation, _sweeps(layers, layers.operations, AFFINE))
    found = Program(ahead, _table(Operation, back), *places, *_walks(layers, where))
    sums = max([SUMS, *(2 * where[f"{conv.name}.weight"][0].size for conv in layers.convs)])  # two outputs at least
    return found, [*(buffer.lines for buffer in (act, slope, raw, scratch)), sums if layers.convs else 0]


def _table(kind, rows) -> np.ndarray:
    return np.array([tuple(map(int, row)) for row in rows], [(name, np.int64) for name in kind._fields])


def _plane(shape: Node, border: int = 1) -> tuple[int, int]:
    """Lines of a row and of a plane."""
    return shape.width + 2 * border, (shape.height + 2 * border) * (shape.width + 2 * border)


def _sweeps(layers: Layers, operations, waits: int):
    """Operations with their sweeps: where there is a normalization, those of a kind wait for all blocks of its others.

    Forward, scale and shift wait for the moments; back, a convolution for the sums of its normalization.
    """
    sweep, began = 0, {}
    for op in operations:
        sweep += op.kind == waits and layers.convs[op.conv].normal and began[op.conv] == sweep
        began[op.conv] = sweep
        yield op._replace(sweep=sweep)


def _passing(layers: Layers) -> dict[int, Operation]:
    """Node -> what computes it, where one operation reads it and that comes next: a block of it is held, no more.

    On the way back it is computed again: that takes less time than to write it to memory and to read it there.
    """
    found, read = {}, [op.source for op in layers.operations if op.kind != AFFINE]
    read += [op.residual for op in layers.operations]
    for op, following in pairwise(layers.operations):
        if op.kind == AFFINE and op.residual < 0 and following.source == op.target and read.count(op.target) == 1:
            found[op.target] = op._replace(kind=AGAIN)
    return found


def _back(layers, blocks: int, buffer: Buffer, flat: Place, passing) -> tuple[list[Operation], list[Place]]:
    """(operations, places of gradients).

    What is added to something has its gradient, at the same place; no network here rectifies it before that was read.
    The first gradient that reaches a node by a convolution is put, where nobody needs it in place of the one that it
    comes from; others add to it. A place is given out again in a later sweep, so that it stays in the cache.
    """
    rows, held, places, used, free, sweep = [], {layers.flat: flat}, {}, [], defaultdict(list), 0
    for op in _sweeps(layers, reversed(layers.operations), CONV):
        if op.sweep > sweep:
            for place in used:
                free[place[5:]].append(place)
            sweep, used = op.sweep, []
        if op.kind == AFFINE:
            rows.append(op)
            if op.residual > 0 and held.setdefault(op.residual, held[op.target]) is not held[op.target]:
                raise NotImplementedError("two sums of one node, or a sum of one that a later convolution reads")
            continue
        rows += [passing[op.source]._replace(sweep=op.sweep)] if op.source in passing else []
        rows.append(op._replace(adds=op.source in held))
        shape, place = layers.nodes[op.source], held.pop(op.target)
        places[op.target], ours = place, place != flat and place not in held.values()
        if op.source > 0 and op.source not in held:
            if ours and place[5:] == shape:
                held[op.source], ours = place, False
            else:
                held[op.source] = free[shape].pop() if free[shape] else buffer.place(shape, blocks)
        used += [place] if ours else []
    return rows, [places.get(number, Place(*[0] * len(Place._fields))) for number in range(len(layers.nodes))]


def _walks(layers: Layers, where) -> tuple:
    """(convolutions, walks, the vectors of all walks)."""
    convs, walks, vectors, channel = [], [], [[np.zeros(0, int)] for _ in range(4)], 0
    at = dict(zip(where, np.cumsum([0, *(entries.sum() for entries in where.values())]), strict=False))
    for name, stride, x, y, normal in layers.convs:
        stored, source, target = where[f"{name}.weight"], layers.nodes[x], layers.nodes[y]
        beside = ("norm.weight", "norm.running_mean") if normal else ("bias", "bias")
        first = [at[f"{name}.{part}"] for part in ("weight", *beside)]
        back = list(_back_walks(stored, stride, source, target)) if x else []
        convs.append(Convolution(*first, normal, target.channels, channel, len(walks), len(back)))
        channel += target.channels
        for n, (starts, offsets, sources, places) in enumerate((_ahead_walk(stored, stride, source, target), *back)):
            begin = [sum(map(len, parts)) for parts in vectors]
            lines = _plane(source)[1] if n else target.height * target.width
            walks.append(Walk(*begin[:2], len(starts) - 1, begin[3], places.shape[1], lines, stored.all()))
            for parts, part in zip(vectors, (starts, offsets, first[0] + sources, places.ravel()), strict=True):
                parts.append(part)
    joined = (np.concatenate(parts).astype(np.int64 if i == 0 else np.int32) for i, parts in enumerate(vectors))
    return _table(Convolution, convs), _table(Walk, walks), *joined


def _ahead_walk(stored: np.ndarray, stride: int, source: Node, target: Node) -> tuple[np.ndarray, ...]:
    """(starts, offsets, sources, places) of a convolution of which `stored` [O, C, K, K] weights are stored.

    Of each weight its offset, and its number among the stored ones; of each pixel [3, count]: what it reads, where it
    lies, where its gradient lies. Places that fill the last PIXELS write the same pixel again, and take its gradient
    from the border, which is zero.
    """
    (row, plane), (slope_row, _) = _plane(source), _plane(target)
    o, c, i, j = np.nonzero(stored)
    centre, (r, q) = stored.shape[-1] // 2, np.indices(target[1:]).reshape(2, -1)
    reads, gradient = stride * (r * row + q), r * slope_row + q
    places = np.stack([_filled(reads), _filled(r * target.width + q), _filled(gradient, -slope_row - 1)])
    return _starts(o, target.channels), c * plane + (i - centre) * row + j - centre, np.arange(len(o)), places


def _back_walks(stored: np.ndarray, stride: int, source: Node, target: Node):
    """The same for the gradient of the input; a phase of the stride has the pixels that meet the same weights."""
    (row, _), (slope_row, slope_plane) = _plane(source), _plane(target)
    o, c, i, j = np.nonzero(stored)
    centre = stored.shape[-1] // 2
    for down, right in product(range(stride), repeat=2):
        k = np.flatnonzero(((down + centre - i) % stride == 0) & ((right + centre - j) % stride == 0))
        k = k[np.argsort(c[k], kind="stable")]
        r, q = np.indices((-(-(source.height - down) // stride), -(-(source.width - right) // stride))).reshape(2, -1)
        places = np.stack([_filled(r * slope_row + q), _filled((stride * r + down) * row + stride * q + right)])
        dr, dq = (down + centre - i[k]) // stride, (right + centre - j[k]) // stride
        yield _starts(c[k], source.channels), o[k] * slope_plane + dr * slope_row + dq, k, places


def _starts(rows: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])


def _filled(places: np.ndarray, other: int | None = None) -> np.ndarray:
    """Places up to a multiple of PIXELS: with the last one again, or with another."""
    return np.append(places, np.full(-len(places) % PIXELS, places[-1] if other is None else other))
