"""Compiled operations of convolutional networks on one block of images, on one CPU core: a weight costs what it weighs.

Tables and layout are those of `program`; `passes` says what comes when.
"""

from collections import namedtuple  # noqa: I001, a name a line would be a page

from .kernels import compiled
from .lanes import PIXELS, each, fused, fused_each, item, line, pixels, put, put_each, zero_each
from .lanes import larger, passed, plus, product, total, where_equal, zero
from .program import AFFINE, AGAIN, CONV, POOL

Buffers = namedtuple("Buffers", "act slope raw scratch lines weights real moments sums affine slopes")
"""Activations, gradients, sums [lines, LANES], see `program`; weights: those stored, in the order of all walks; real: 1
in lanes that carry an image [blocks, LANES]. Of each channel: moments of the batch and sums of gradients [channels, 2],
float64; affine: scale and shift [channels, 2]; slopes: see `passes`, [channels, 3].
"""


@compiled
def operate(op, program, gradient, b, block, training, back):
    """Do an operation in one block, forward or back. gradient: of all parameters, filled in on the way back."""
    if op.kind == CONV and back:
        _convolution_back(op, program, gradient, b, block)
    elif op.kind == CONV:
        _convolution(op, program, b, block, training)
    elif op.kind == AFFINE and back:
        _affine_back(op, program, b, block)
    elif op.kind in (AFFINE, AGAIN):
        _affine(op, program, b, block)
    elif op.kind == POOL:
        _pool(op, program, b, block, back)
    else:
        _average(op, program, b, block, back)


@compiled
def line_of(place, block, channel, r):
    """The line where a row of pixels begins."""
    return place.base + block * place.block + channel * place.channel + r * place.row


# convolutions


@compiled
def _convolve(walk, program, weights, x, into_x, z, into_z, adds):
    """z = the convolution of x in one block, or z plus it: so many PIXELS of an output stay in registers.

    Where every weight is stored, so do those of two outputs: what is loaded serves both.
    """
    value = weights[walk.offsets :]
    for t in range(walk.places, walk.places + walk.count, PIXELS):
        a, b = pixels(program.places, t, into_x), pixels(program.places, t + walk.count, into_z)
        for o in range(0, walk.outputs, 1 + walk.whole):
            begin, end = program.starts[walk.starts + o], program.starts[walk.starts + o + 1]
            kept, at, pair = end - begin, o * walk.channel, walk.whole and o + 1 < walk.outputs
            one = each(z, b, at) if adds else zero_each(z)
            two = each(z, b, at + walk.channel) if adds and pair else zero_each(z)
            for k in range(begin, end):
                lanes = each(x, a, item(program.offsets, walk.offsets + k))
                one = fused_each(item(value, k), lanes, one)
                if pair:
                    two = fused_each(item(value, k + kept), lanes, two)
            put_each(z, b, at, one)
            if pair:
                put_each(z, b, at + walk.channel, two)


@compiled
def _weight_gradient(walk, program, gradient, x, into_x, d, scratch, sums):
    """Add the gradient of the stored weights in one block; d: that of the output.

    A weight has a line of sums, for so many outputs at a time as there are lines: their total is taken once a block.
    """
    starts, offsets = program.starts[walk.starts :], program.offsets[walk.offsets :]
    last = 0
    while last < walk.outputs:
        first, begin, last = last, starts[last], last + 1
        while last < walk.outputs and starts[last + 1] - begin <= len(sums):
            last += 1
        sums[: starts[last] - begin] = 0
        for t in range(walk.places, walk.places + walk.count, PIXELS):
            a, b = pixels(program.places, t, into_x), pixels(program.places, t + 2 * walk.count, scratch.base)
            for o in range(first, last, 1 + walk.whole):
                kept, pair = starts[o + 1] - starts[o], walk.whole and o + 1 < last
                one = each(d, b, o * scratch.channel)
                two = each(d, b, (o + 1) * scratch.channel) if pair else one
                for k in range(starts[o] - begin, starts[o + 1] - begin):
                    lanes = each(x, a, item(offsets, begin + k))
                    put(sums, k, product(one, lanes, line(sums, k)))
                    if pair:
                        put(sums, k + kept, product(two, lanes, line(sums, k + kept)))
        for k in range(begin, starts[last]):
            gradient[k] += total(line(sums, k - begin))


@compiled
def _convolution(op, program, b, block, training):
    """A convolution forward; in training also what a normalization needs of it."""
    conv, raw = program.convs[op.conv], program.raws[op.conv]
    x, z = line_of(program.nodes[op.source], block, 0, 0), line_of(raw, block, 0, 0)
    _convolve(program.walks[conv.forward], program, b.weights, b.act, x, b.raw, z, False)
    if training and conv.normal:
        _moments(conv, raw, b, block)


@compiled
def _convolution_back(op, program, gradient, b, block):
    """Gradients of what a convolution left, of its weights and, unless it reads pictures, of what it reads."""
    conv, raw, scratch = program.convs[op.conv], program.raws[op.conv], program.scratches[op.conv]
    target, real = program.slopes[op.target], line(b.real, block)
    for c in range(raw.channels):
        g_slope, z_slope, constant = b.slopes[conv.channel + c]
        for r in range(raw.height):
            z, g, d = line_of(raw, block, c, r), line_of(target, block, c, r), line_of(scratch, 0, c, r)
            for q in range(raw.width):
                lanes = fused(z_slope, line(b.raw, z + q), constant)
                lanes = fused(g_slope, line(b.slope, g + q), lanes)
                put(b.scratch, d + q, fused(real, lanes, zero(b.raw)))
    x, found = line_of(program.nodes[op.source], block, 0, 0), gradient[conv.weights :]
    _weight_gradient(program.walks[conv.forward], program, found, b.act, x, b.scratch, scratch, b.lines)
    into = line_of(program.slopes[op.source], block, 0, 0)
    for w in range(conv.forward + 1, conv.forward + 1 + conv.backs):
        _convolve(program.walks[w], program, b.weights, b.scratch, scratch.base, b.slope, into, op.adds != 0)


# what stands between convolutions


@compiled
def _moments(conv, raw, b, block):
    """Add a block to the sums over images and pixels of what a convolution leaves, and of its squares."""
    real = line(b.real, block)
    for c in range(raw.channels):
        plain, square = zero(b.raw), zero(b.raw)
        for i in range(line_of(raw, block, c, 0), line_of(raw, block, c + 1, 0)):
            z = line(b.raw, i)
            plain, square = fused(real, z, plain), fused(fused(real, z, zero(b.raw)), z, square)
        b.moments[conv.channel + c, 0] += total(plain)
        b.moments[conv.channel + c, 1] += total(square)


@compiled
def _affine(op, program, b, block):
    """Scale, shift, add the residual, rectify: one pass over what a convolution left in a block."""
    first, raw, node = program.convs[op.conv].channel, program.raws[op.conv], program.nodes[op.target]
    for c in range(raw.channels):
        scale, shift = b.affine[first + c]
        for r in range(raw.height):
            z, y = line_of(raw, block, c, r), line_of(node, block, c, r)
            x = line_of(program.nodes[op.residual], block, c, r)
            for q in range(raw.width):
                lanes = fused(scale, line(b.raw, z + q), shift)
                if op.residual >= 0:
                    lanes = plus(line(b.act, x + q), lanes)
                put(b.act, y + q, passed(lanes, lanes) if op.relu else lanes)


@compiled
def _affine_back(op, program, b, block):
    """The gradient back through the rectifier, and what scale and shift, or bias, have of it."""
    first, raw = program.convs[op.conv].channel, program.raws[op.conv]
    node, slope = program.nodes[op.target], program.slopes[op.target]
    for c in range(raw.channels):
        plain, along = zero(b.raw), zero(b.raw)
        scale, shift = b.affine[first + c]
        for r in range(raw.height):
            z, y, g = line_of(raw, block, c, r), line_of(node, block, c, r), line_of(slope, block, c, r)
            for q in range(raw.width):
                lanes, before = line(b.slope, g + q), line(b.raw, z + q)
                if op.relu:  # what was rectified is computed again where that spares reading it
                    gate = fused(scale, before, shift) if op.residual < 0 else line(b.act, y + q)
                    lanes = passed(lanes, gate)
                    put(b.slope, g + q, lanes)
                plain, along = plus(lanes, plain), fused(lanes, before, along)
        b.sums[first + c, 0] += total(plain)
        b.sums[first + c, 1] += total(along)


@compiled
def _pool(op, program, b, block, back):
    """Keep the largest of two by two pixels; back: give it the gradient, the first one where several are largest."""
    node, small, wide = program.nodes[op.source], program.nodes[op.target], program.slopes[op.source]
    minus = b.act.dtype.type(-1)
    for c in range(node.channels):
        for r in range(node.height if back and (node.height | node.width) & 1 else 0):  # the last one was not looked at
            b.slope[line_of(wide, block, c, r) : line_of(wide, block, c, r) + node.width] = 0
        for r in range(small.height):
            for q in range(small.width):
                x, g = line_of(node, block, c, 2 * r) + 2 * q, line_of(wide, block, c, 2 * r) + 2 * q
                y = line_of(small, block, c, r) + q * small.column
                rest = line(b.slope, line_of(program.slopes[op.target], block, c, r) + q * small.column)
                top = line(b.act, y if back else x)
                for down in range(2):
                    for right in range(2):
                        here = line(b.act, x + down * node.row + right)
                        if back:
                            share = where_equal(rest, here, top)
                            put(b.slope, g + down * wide.row + right, share)
                            rest = fused(minus, share, rest)
                        else:
                            top = larger(top, here)
                if not back:
                    put(b.act, y, top)


@compiled
def _average(op, program, b, block, back):
    """The mean over a plane, an input of the head."""
    node, wide, unit = program.nodes[op.source], program.slopes[op.source], program.nodes[op.target]
    share = b.act.dtype.type(1 / (node.height * node.width))
    for c in range(node.channels):
        y, lanes = line_of(unit, block, c, 0), zero(b.act)
        for r in range(node.height):
            for q in range(node.width):
                if back:
                    put(b.slope, line_of(wide, block, c, r) + q, fused(share, line(b.slope, y), zero(b.act)))
                else:
                    lanes = fused(share, line(b.act, line_of(node, block, c, r) + q), lanes)
        if not back:
            put(b.act, y, lanes)
