"""Compiled steps on one CPU core: forward, backward, optimizer and evaluation, no interpreter inside.

A sweep does its operations block by block: what one layer leaves is still in the cache when the next one reads it, and
only statistics of the batch make it wait. A normalization, like a bias, has become a scale and a shift of each channel
by then. The dense layers of the head are those of `kernels`.
"""

import numpy as np  # noqa: I001, a name a line would be a page

from ..nets.layers import EPSILON, MOMENTUM
from .kernels import adam_step, compiled, compiled_entry, dense_backward, dense_forward
from .kernels import pull, sgd_step, softmax_gradient
from .lanes import LANES
from .planes import line_of, operate
from .program import AFFINE, CONV


@compiled
def _forward(program, value, b, blocks, images, training):
    """From pictures to the inputs of the head. In training by the batch's statistics, which update the running ones."""
    for i in range(len(program.convs)):
        _settle(program.convs[i], value, b, 0)
    for k in range(len(b.weights)):
        b.weights[k] = value[program.sources[k]]
    b.moments[:] = 0
    _sweeps(program.ahead, program, value, value[:0], b, blocks, images, training, False)


@compiled
def _backward(program, value, gradient, b, blocks, images):
    """From the gradient of the head's inputs to that of every parameter of the convolutions."""
    b.sums[:], b.slopes[:], b.slopes[:, 0] = 0, 0, 1
    _sweeps(program.back, program, value, gradient, b, blocks, images, True, True)


@compiled
def _sweeps(ops, program, value, gradient, b, blocks, images, training, back):
    """Do operations block by block; only in training does one wait for statistics of the batch."""
    first = last = 0
    while first < len(ops):
        while last < len(ops) and (ops[last].sweep == ops[first].sweep or not training):
            last += 1
        for block in range(blocks):
            for i in range(first, last):
                operate(ops[i], program, gradient, b, block, training, back)
        for i in range(first, last):
            conv, count = program.convs[ops[i].conv], images * program.raws[ops[i].conv].channel
            if back and ops[i].kind == AFFINE:
                _settle_back(conv, value, gradient, b, count)
            elif training and ops[i].kind == CONV and not back:
                _settle(conv, value, b, count)
        first = last


@compiled
def _settle(conv, value, b, count):
    """Scale and shift of a convolution's channels: by the moments of so many pixels, by running statistics (count 0).

    Without a normalization these are 1 and the bias.
    """
    for c in range(conv.outputs):
        k, scale, shift = conv.channel + c, value[conv.affine + c], value[conv.affine + conv.outputs + c * conv.normal]
        if not conv.normal:
            b.affine[k, 0], b.affine[k, 1] = 1, scale
            continue
        mean, variance = value[conv.running + c] + 0.0, value[conv.running + conv.outputs + c] + 0.0
        if count > 0:
            mean = b.moments[k, 0] / count
            variance = max(b.moments[k, 1] / count - mean * mean, 0.0)
            value[conv.running + c] += MOMENTUM * (mean - value[conv.running + c])
            unbiased = variance * count / (count - 1)
            value[conv.running + conv.outputs + c] += MOMENTUM * (unbiased - value[conv.running + conv.outputs + c])
        b.moments[k, 0], b.moments[k, 1] = mean, 1 / np.sqrt(variance + EPSILON)
        b.affine[k, 0], b.affine[k, 1] = scale * b.moments[k, 1], shift - scale * b.moments[k, 1] * mean


@compiled
def _settle_back(conv, value, gradient, b, count):
    """Gradients of scale and shift, or bias; and slopes s, t, u: raw output z has the gradient s g + t z + u."""
    for c in range(conv.outputs):
        k = conv.channel + c
        plain, along = b.sums[k, 0], b.sums[k, 1]
        if not conv.normal:
            gradient[conv.affine + c] = plain
            continue
        mean, inverse = b.moments[k, 0], b.moments[k, 1]
        along = inverse * (along - mean * plain)
        gradient[conv.affine + c], gradient[conv.affine + conv.outputs + c] = along, plain
        scale = value[conv.affine + c] * inverse
        b.slopes[k, 0], b.slopes[k, 1] = scale, -scale * inverse * along / count
        b.slopes[k, 2] = -scale * (plain - mean * inverse * along) / count


# steps


@compiled
def gather(pixels, picked, x):
    """x [features, B] = the picked rows of pixels [N, features], LANES at a time; padding repeats the last row."""
    n, flat, at = pixels.shape[1], pixels.ravel(), np.empty(LANES, np.int64)
    for b in range(0, x.shape[1], LANES):
        for i in range(LANES):
            at[i] = n * picked[min(b + i, len(picked) - 1)]
        for t in range(n):
            lanes = x[t, b : b + LANES]
            for i in range(LANES):
                lanes[i] = flat[at[i] + t]


@compiled
def _place(node, images, table, picked, moves, act):
    """Put the picked images into planes, LANES of them a block.

    images: bytes [N, C, H, W]; table: what each byte is worth [C, 256]; moves: flip, row and column [n] of the crop of
    each, and the border that crops come from; no length: none is moved. What lies beyond an image is a byte of 0; a
    block that is not full repeats the last image.
    """
    flips, downs, rights, border = moves
    for i in range(-(-len(picked) // LANES) * LANES):
        n = min(i, len(picked) - 1)
        image, moved = images[picked[n]], len(flips) > 0
        down, right = (np.intp(downs[n]) - border, np.intp(rights[n]) - border) if moved else (0, 0)
        for c in range(node.channels):
            for r in range(node.height):
                at = line_of(node, i // LANES, c, r)
                for q in range(node.width):
                    y, x = r + down, q + right
                    inside = 0 <= y < node.height and 0 <= x < node.width
                    x = node.width - 1 - x if moved and flips[n] else x
                    act[at + q, i % LANES] = table[c, image[c, y, x] if inside else 0]


@compiled
def _predict(program, head, value, b, pictures, picked, inputs, moves, noise, training):
    """Activations of the head [units, columns] for the picked pictures, or of a head alone for prepared inputs, if any.

    pictures: images and table, see `_place`, or pixels [N, features] for a head alone; labels [N].
    """
    columns = inputs.shape[1] if len(inputs) > 0 else len(b.real) * LANES
    act = b.act[: head.widths.sum() * columns // LANES].reshape(-1, columns)
    x = inputs if len(inputs) > 0 else act[: head.widths[0]]
    if program is None:
        if len(inputs) == 0:
            gather(pictures[0], picked, x)
    else:
        _place(program.nodes[0], pictures[0], pictures[1], picked, moves, b.act)
        _forward(program, value, b, -(-len(picked) // LANES), len(picked), training)
    dense_forward(head, value[len(value) - head.first[-1] :], x, act, noise)
    return act


@compiled_entry
def advance(program, head, b, state, pictures, order, moves, border, noise, done, rates, rule):
    """Train in place on the minibatches `order` [n, batch] at the learning rates `rates` [n].

    program, head, b, state: see `flat.Network`; without a program, for a head alone, this is compiled by itself. moves:
    flips, rows and columns [n, batch] and the border, see `_place`; noise: factors of the head's hidden units
    [n, units, columns], or of no length; done: steps this network took before (Adam's bias correction counts on);
    rule: adam, momentum, decay.
    """
    (value, keep, slow, fast, goal, strength), (adam, momentum, decay) = state, rule
    gradient, body, images = np.zeros_like(value), len(value) - head.first[-1], order.shape[1]
    nothing, units, classes = np.zeros((0, 0), value.dtype), head.widths.sum(), head.widths[-1]
    delta = b.slope[: units * len(b.real)].reshape(units, len(b.real) * LANES)
    for s in range(len(rates)):
        at = min(s, len(moves[0]) - 1)
        factors = noise[s] if len(noise) > 0 else nothing
        moved = moves[0][at], moves[1][at], moves[2][at], border
        act = _predict(program, head, value, b, pictures, order[s], nothing, moved, factors, True)
        softmax_gradient(act[units - classes :], pictures[2][order[s]], delta[units - classes :])
        gradient[:body] = 0
        dense_backward(head, value[body:], act, delta, gradient[body:], factors, program is not None)
        if program is not None:
            _backward(program, value, gradient, b, -(-images // LANES), images)
        elif strength != 0:
            pull(head, value, goal, strength, gradient)
        if adam:
            adam_step(value, keep, gradient, slow, fast, rates[s], done + s + 1, decay)
        else:
            sgd_step(value, keep, gradient, slow, rates[s], momentum, decay)


@compiled_entry
def evaluate(program, head, b, value, pictures, picked, inputs, training, predicted):
    """Mean cross-entropy over the picked pictures; fills predicted [n] with their classes.

    inputs: those of a head alone, prepared, [n, features, columns], or of no length. training: one batch after the
    other passes as in training, which brings running statistics up to date; they are of the size that the network was
    laid out for, and there are whole ones only.
    """
    size = int(b.real.sum()) if training else len(b.real) * LANES
    size = inputs.shape[2] if len(inputs) > 0 else size
    nothing, none, loss = np.zeros((0, 0), value.dtype), np.zeros(0, np.uint8), 0.0
    for first in range(0, len(picked), size):
        some = picked[first : first + size]
        x, still = inputs[first // size] if len(inputs) > 0 else nothing, (none > 0, none, none, 0)
        act = _predict(program, head, value, b, pictures, some, x, still, nothing, training)
        for i in range(len(some)):
            column = act[len(act) - head.widths[-1] :, i]
            top = column.max()
            loss += np.log(np.exp(column - top).sum()) + top - column[pictures[2][some[i]]]
            predicted[first + i] = column.argmax()
    return loss / len(picked)
