"""Compiled steps of convolutional networks on one CPU core: no interpreter inside, a weight costs what it weighs.

Tables and layout are those of `program`, the dense layers of the head those of `kernels`. A sweep does its operations
block by block: what one layer leaves is still in the cache when the next one reads it, and only statistics of the batch
make it wait. A normalization, like a bias, has become a scale and a shift of each channel by then.
"""

from collections import namedtuple

import numpy as np

from .kernels import adam_step, compiled, compiled_entry, dense_backward, dense_forward, sgd_step, softmax_gradient
from .lanes import (
    EIGHT,
    LANES,
    each,
    eight,
    fused,
    fused_each,
    item,
    larger,
    load,
    minus,
    passed,
    plus,
    product,
    put_each,
    spread,
    store,
    total,
    where_equal,
    zero,
    zero_each,
)  # fmt: skip
from .program import AFFINE, CONV, POOL

MOMENTUM, EPSILON = 0.1, 1e-5  # those of nets.layers, which brings torch

Buffers = namedtuple("Buffers", "act slope raw scratch turned real moments sums affine slopes")
"""Activations and gradients [lines, LANES], see `program`; turned: weights in the order of the walks back; real: 1 in
lanes that carry an image [blocks, LANES]. Of each channel: moments of the batch and sums of gradients [channels, 2],
float64; affine: scale and shift [channels, 2]; slopes: see `_settle_back`, [channels, 3].
"""


@compiled
def _at(place, block, channel, r):
    """The line where a row of pixels begins."""
    return place.base + block * place.block + channel * place.channel + r * place.row


# convolutions


@compiled
def _convolve(walk, program, value, x, into_x, z, into_z, adds):
    """z = the convolution of x in one block, or z plus it: EIGHT pixels of an output stay in registers.

    Where every weight is stored, so do those of two outputs: what is loaded serves both.
    """
    for t in range(walk.places, walk.places + walk.count, EIGHT):
        a, b = eight(program.places, t, into_x), eight(program.places, t + walk.count, into_z)
        for o in range(0, walk.outputs, 1 + walk.whole):
            begin, end = program.starts[walk.starts + o], program.starts[walk.starts + o + 1]
            kept, at, pair = end - begin, o * walk.channel, walk.whole and o + 1 < walk.outputs
            one = each(z, b, at) if adds else zero_each(z)
            if pair:
                two = each(z, b, at + walk.channel) if adds else zero_each(z)
                for k in range(begin, end):
                    lanes = each(x, a, item(program.offsets, walk.offsets + k))
                    one, two = fused_each(item(value, k), lanes, one), fused_each(item(value, k + kept), lanes, two)
                put_each(z, b, at + walk.channel, two)
            else:
                for k in range(begin, end):
                    one = fused_each(item(value, k), each(x, a, item(program.offsets, walk.offsets + k)), one)
            put_each(z, b, at, one)


@compiled
def _weight_gradient(walk, program, gradient, x, into_x, d, scratch):
    """Add the gradient of the stored weights in one block; d: that of the output."""
    for t in range(walk.places, walk.places + walk.count, EIGHT):
        a, b = eight(program.places, t, into_x), eight(program.places, t + 2 * walk.count, scratch.base)
        for o in range(0, walk.outputs, 1 + walk.whole):
            begin, end = program.starts[walk.starts + o], program.starts[walk.starts + o + 1]
            kept, one = end - begin, each(d, b, o * scratch.channel)
            if walk.whole and o + 1 < walk.outputs:
                two = each(d, b, (o + 1) * scratch.channel)
                for k in range(begin, end):
                    lanes = each(x, a, item(program.offsets, walk.offsets + k))
                    gradient[k] += total(product(one, lanes))
                    gradient[k + kept] += total(product(two, lanes))
            else:
                for k in range(begin, end):
                    lanes = each(x, a, item(program.offsets, walk.offsets + k))
                    gradient[k] += total(product(one, lanes))


@compiled
def _raw_gradient(op, program, b, block):
    """The gradient of what a convolution left in a block, into its scratch plane."""
    first, scratch = program.convs[op.conv].channel, program.scratches[op.conv]
    raw, target, real = program.raws[op.conv], program.slopes[op.target], load(b.real, block, 0)
    for c in range(raw.channels):
        g_slope, z_slope, constant = b.slopes[first + c]
        for r in range(raw.height):
            z, g, d = _at(raw, block, c, r), _at(target, block, c, r), _at(scratch, 0, c, r)
            for q in range(raw.width):
                lanes = fused(z_slope, load(b.raw, z + q, 0), spread(b.raw, constant))
                lanes = fused(g_slope, load(b.slope, g + q, 0), lanes)
                store(b.scratch, d + q, 0, fused(real, lanes, zero(b.raw)))


@compiled
def _convolution_back(op, program, gradient, b, block):
    """Gradients of a convolution's weights and, unless it reads pictures, of what it reads."""
    conv, scratch, source = program.convs[op.conv], program.scratches[op.conv], program.nodes[op.source]
    _raw_gradient(op, program, b, block)
    walk, x = program.walks[conv.forward], source.base + block * source.block
    _weight_gradient(walk, program, gradient[conv.weights :], b.act, x, b.scratch, scratch)
    into = program.slopes[op.source].base + block * program.slopes[op.source].block
    for w in range(conv.forward + 1, conv.forward + 1 + conv.backs):
        walk = program.walks[w]
        turned = b.turned[walk.offsets :]
        _convolve(walk, program, turned, b.scratch, scratch.base, b.slope, into, op.adds != 0)


# what stands between convolutions


@compiled
def _moments(conv, raw, b, block):
    """Add a block to the sums over images and pixels of what a convolution leaves, and of its squares."""
    real = load(b.real, block, 0)
    for c in range(raw.channels):
        plain, square = zero(b.raw), zero(b.raw)
        for i in range(_at(raw, block, c, 0), _at(raw, block, c + 1, 0)):
            z = fused(real, load(b.raw, i, 0), zero(b.raw))
            plain, square = plus(z, plain), fused(z, z, square)
        b.moments[conv.channel + c, 0] += total(plain)
        b.moments[conv.channel + c, 1] += total(square)


@compiled
def _scale(op, program, b, block):
    """Scale, shift, add the residual, rectify: one pass over what a convolution left in a block."""
    first, raw, node = program.convs[op.conv].channel, program.raws[op.conv], program.nodes[op.target]
    for c in range(raw.channels):
        scale, shift = b.affine[first + c, 0], spread(b.raw, b.affine[first + c, 1])
        for r in range(raw.height):
            z, y = _at(raw, block, c, r), _at(node, block, c, r)
            x = _at(program.nodes[op.residual], block, c, r)
            for q in range(raw.width):
                lanes = fused(scale, load(b.raw, z + q, 0), shift)
                if op.residual >= 0:
                    lanes = plus(load(b.act, x + q, 0), lanes)
                store(b.act, y + q, 0, passed(lanes, lanes) if op.relu else lanes)


@compiled
def _scale_back(op, program, b, block):
    """The gradient back through rectifier and sum, and what scale and shift, or bias, have of it."""
    first, raw, node = program.convs[op.conv].channel, program.raws[op.conv], program.nodes[op.target]
    for c in range(raw.channels):
        plain, along = zero(b.raw), zero(b.raw)
        scale, shift = b.affine[first + c, 0], spread(b.raw, b.affine[first + c, 1])
        for r in range(raw.height):
            z, y, g = _at(raw, block, c, r), _at(node, block, c, r), _at(program.slopes[op.target], block, c, r)
            x = _at(program.slopes[op.residual], block, c, r)
            for q in range(raw.width):
                lanes, before = load(b.slope, g + q, 0), load(b.raw, z + q, 0)
                if op.relu:  # what was rectified is computed again where that spares reading it
                    gate = fused(scale, before, shift) if op.residual < 0 else load(b.act, y + q, 0)
                    lanes = passed(lanes, gate)
                    store(b.slope, g + q, 0, lanes)
                if op.residual >= 0:
                    store(b.slope, x + q, 0, plus(load(b.slope, x + q, 0), lanes) if op.adds else lanes)
                plain, along = plus(lanes, plain), fused(lanes, before, along)
        b.sums[first + c, 0] += total(plain)
        b.sums[first + c, 1] += total(along)


@compiled
def _pool(op, program, b, block, back):
    """Keep the largest of two by two pixels; back: give it the gradient, the first one where several are largest."""
    node, small, wide = program.nodes[op.source], program.nodes[op.target], program.slopes[op.source]
    for c in range(node.channels):
        for r in range(node.height if back else 0):  # an odd last row or column was not looked at
            b.slope[_at(wide, block, c, r) : _at(wide, block, c, r) + node.width] = 0
        for r in range(small.height):
            for q in range(small.width):
                x, g = _at(node, block, c, 2 * r) + 2 * q, _at(wide, block, c, 2 * r) + 2 * q
                y = _at(small, block, c, r) + q * small.column
                rest = load(b.slope, _at(program.slopes[op.target], block, c, r) + q * small.column, 0)
                top = load(b.act, y if back else x, 0)
                for down in range(2):
                    for right in range(2):
                        here = load(b.act, x + down * node.row + right, 0)
                        if back:
                            share = where_equal(rest, here, top)
                            store(b.slope, g + down * wide.row + right, 0, share)
                            rest = minus(rest, share)
                        else:
                            top = larger(top, here)
                if not back:
                    store(b.act, y, 0, top)


@compiled
def _average(op, program, b, block, back):
    """The mean over a plane, an input of the head."""
    node, wide, unit = program.nodes[op.source], program.slopes[op.source], program.nodes[op.target]
    share = b.act.dtype.type(1 / (node.height * node.width))
    for c in range(node.channels):
        y, lanes = _at(unit, block, c, 0), zero(b.act)
        for r in range(node.height):
            for q in range(node.width):
                if back:
                    store(b.slope, _at(wide, block, c, r) + q, 0, fused(share, load(b.slope, y, 0), zero(b.act)))
                else:
                    lanes = fused(share, load(b.act, _at(node, block, c, r) + q, 0), lanes)
        if not back:
            store(b.act, y, 0, lanes)


# passes


@compiled
def _forward(program, value, b, blocks, images, training):
    """From pictures to the inputs of the head. In training by the batch's statistics, which update the running ones."""
    for i in range(len(program.convs)):
        _settle(program.convs[i], value, b, 0)
    b.moments[:] = 0
    first = 0
    while first < len(program.ahead):
        last = _end_of_sweep(program.ahead, first) if training else len(program.ahead)
        for block in range(blocks):
            for i in range(first, last):
                op = program.ahead[i]
                if op.kind == CONV:
                    conv, node, raw = program.convs[op.conv], program.nodes[op.source], program.raws[op.conv]
                    into = node.base + block * node.block, raw.base + block * raw.block
                    weights, walk = value[conv.weights :], program.walks[conv.forward]
                    _convolve(walk, program, weights, b.act, into[0], b.raw, into[1], False)
                    if training and conv.normal:
                        _moments(conv, raw, b, block)
                elif op.kind == AFFINE:
                    _scale(op, program, b, block)
                elif op.kind == POOL:
                    _pool(op, program, b, block, False)
                else:
                    _average(op, program, b, block, False)
        for i in range(first, last):
            op = program.ahead[i]
            if training and op.kind == CONV:
                _settle(program.convs[op.conv], value, b, images * program.raws[op.conv].channel)
        first = last


@compiled
def _end_of_sweep(ops, first):
    last = first
    while last < len(ops) and ops[last].sweep == ops[first].sweep:
        last += 1
    return last


@compiled
def _settle(conv, value, b, count):
    """Scale and shift of a convolution's channels: by the moments of so many pixels, by running statistics (count 0).

    Without a normalization these are 1 and the bias.
    """
    outputs = (conv.running - conv.affine) // 2
    for c in range(outputs):
        k, scale, shift = conv.channel + c, value[conv.affine + c], value[conv.affine + outputs + c * conv.normal]
        if not conv.normal:
            b.affine[k, 0], b.affine[k, 1] = 1, scale
            continue
        mean, variance = value[conv.running + c] + 0.0, value[conv.running + outputs + c] + 0.0
        if count > 0:
            mean = b.moments[k, 0] / count
            variance = max(b.moments[k, 1] / count - mean * mean, 0.0)
            value[conv.running + c] += MOMENTUM * (mean - value[conv.running + c])
            unbiased = variance * count / (count - 1)
            value[conv.running + outputs + c] += MOMENTUM * (unbiased - value[conv.running + outputs + c])
        b.moments[k, 0], b.moments[k, 1] = mean, 1 / np.sqrt(variance + EPSILON)
        b.affine[k, 0], b.affine[k, 1] = scale * b.moments[k, 1], shift - scale * b.moments[k, 1] * mean


@compiled
def _settle_back(conv, value, gradient, b, count):
    """Gradients of scale and shift, or bias; and slopes s, t, u: raw output z has the gradient s g + t z + u."""
    outputs = (conv.running - conv.affine) // 2
    for c in range(outputs):
        k = conv.channel + c
        plain, along = b.sums[k, 0], b.sums[k, 1]
        if not conv.normal:
            gradient[conv.affine + c] = plain
            continue
        mean, inverse = b.moments[k, 0], b.moments[k, 1]
        along = inverse * (along - mean * plain)
        gradient[conv.affine + c], gradient[conv.affine + outputs + c] = along, plain
        scale = value[conv.affine + c] * inverse
        b.slopes[k, 0], b.slopes[k, 1] = scale, -scale * inverse * along / count
        b.slopes[k, 2] = -scale * (plain - mean * inverse * along) / count


@compiled
def _backward(program, value, gradient, b, blocks, images):
    """From the gradient of the head's inputs to that of every parameter of the convolutions."""
    b.sums[:], b.slopes[:], b.slopes[:, 0] = 0, 0, 1
    for i in range(len(program.convs)):
        conv = program.convs[i]
        for w in range(conv.forward + 1, conv.forward + 1 + conv.backs):
            for k in range(program.walks[w].offsets, program.walks[w].offsets + program.walks[w].kept):
                b.turned[k] = value[conv.weights + program.sources[k]]
    first = 0
    while first < len(program.back):
        last = _end_of_sweep(program.back, first)
        for block in range(blocks):
            for i in range(first, last):
                op = program.back[i]
                if op.kind == CONV:
                    _convolution_back(op, program, gradient, b, block)
                elif op.kind == AFFINE:
                    _scale_back(op, program, b, block)
                elif op.kind == POOL:
                    _pool(op, program, b, block, True)
                else:
                    _average(op, program, b, block, True)
        for i in range(first, last):
            op = program.back[i]
            if op.kind == AFFINE:
                _settle_back(program.convs[op.conv], value, gradient, b, images * program.raws[op.conv].channel)
        first = last


# steps


@compiled
def _predict(program, index, value, b, pictures, picked, moves, noise, training):
    """Activations of the head [units, columns] for the picked pictures.

    pictures: bytes [N, C, H, W], what each byte is worth [C, 256], labels [N]. moves: flip, row and column [n] of the
    crop of each, and the border that crops come from; no length: none is moved. What lies beyond an image is a byte of
    0; a block that is not full repeats the last image.
    """
    (images, table, _), (flips, downs, rights, border), node = pictures, moves, program.nodes[0]
    units, blocks, used = index[0].sum(), len(b.real), -(-len(picked) // LANES)
    for i in range(used * LANES):
        n = min(i, len(picked) - 1)
        image, moved = images[picked[n]], len(flips) > 0
        down, right = (np.intp(downs[n]) - border, np.intp(rights[n]) - border) if moved else (0, 0)
        for c in range(node.channels):
            for r in range(node.height):
                at = _at(node, i // LANES, c, r)
                for q in range(node.width):
                    y, x = r + down, q + right
                    inside = 0 <= y < node.height and 0 <= x < node.width
                    x = node.width - 1 - x if moved and flips[n] else x
                    b.act[at + q, i % LANES] = table[c, image[c, y, x] if inside else 0]
    _forward(program, value, b, used, len(picked), training)
    act = b.act[: units * blocks].reshape(units, blocks * LANES)
    dense_forward(index, value[-index[1][-1] :], act[: index[0][0]], act, noise)
    return act


@compiled_entry
def advance(program, index, state, b, pictures, order, moves, border, noise, done, rates, rule):
    """Train in place on the minibatches `order` [n, batch] at the learning rates `rates` [n].

    index: the head's, see `perceptrons`; state: value (convolutions, running statistics, head), keep, slow, fast;
    moves: flips, rows and columns [n, batch] and the border, see `_predict`; noise: factors of the head's hidden units
    [n, units, columns], or of no length; done: steps taken before; rule: adam, momentum, decay.
    """
    value, keep, slow, fast = state
    gradient, body, images = np.zeros_like(value), len(value) - index[1][-1], order.shape[1]
    nothing, units = np.zeros((0, 0), value.dtype), index[0].sum()
    delta = b.slope[: units * len(b.real)].reshape(units, len(b.real) * LANES)
    for s in range(len(rates)):
        at = min(s, len(moves[0]) - 1)
        moved = moves[0][at], moves[1][at], moves[2][at], border
        factors = noise[s] if len(noise) > 0 else nothing
        act = _predict(program, index, value, b, pictures, order[s], moved, factors, True)
        softmax_gradient(act[units - index[0][-1] :], pictures[2][order[s]], delta[units - index[0][-1] :])
        gradient[:body] = 0
        dense_backward(index, value[body:], act, delta, gradient[body:], factors, True)
        _backward(program, value, gradient, b, -(-images // LANES), images)
        if rule[0]:
            adam_step(value, keep, gradient, slow, fast, rates[s], done + s + 1, rule[2])
        else:
            sgd_step(value, keep, gradient, slow, rates[s], rule[1], rule[2])


@compiled_entry
def evaluate(program, index, value, b, pictures, picked, training, predicted):
    """Mean cross-entropy over the picked pictures; fills predicted [n] with their classes.

    training: one batch after the other passes as in training, which brings running statistics up to date; they are of
    the size that the network was laid out for, and there are whole ones only.
    """
    size = int(b.real.sum()) if training else len(b.real) * LANES
    nothing, none, loss = np.zeros((0, 0), value.dtype), np.zeros(0, np.uint8), 0.0
    for first in range(0, len(picked), size):
        some = picked[first : first + size]
        act = _predict(program, index, value, b, pictures, some, (none > 0, none, none, 0), nothing, training)
        for i in range(len(some)):
            column = act[len(act) - index[0][-1] :, i]
            top = column.max()
            loss += np.log(np.exp(column - top).sum()) + top - column[pictures[2][some[i]]]
            predicted[first + i] = column.argmax()
    return loss / len(picked)
