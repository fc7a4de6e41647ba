"""Compiled operations of dense layers on one CPU core, forward and back; losses and optimizers.

Layout and letters are those of `flat`, which packs networks for them. Recorded results were made with these very
roundings: whoever changes the order of a sum raises `provenance.ALGORITHM`. WIDE activations of each unit stay in
registers, a tile of inputs at a time, so that what is read again and again stays in the first cache.
"""

from pathlib import Path

import numba
import numpy as np

from ..files import digest
from .lanes import LANES, fused, line, put, total, zero

WIDE = 4 * LANES
"""Images at a time; columns are padded to a multiple of it."""
FAST = {"reassoc", "contract", "arcp", "nsz"}  # never True: it would delete the checks for NaN
OPTIONS = {"fastmath": FAST, "error_model": "numpy", "boundscheck": False, "nogil": True}
# numba keeps compiled code by the file of its entry alone: old code, and old constants, of other modules would be run
READ = [*sorted(Path(__file__).parent.glob("*.py")), Path(__file__).parents[1] / "nets" / "layers.py"]
SOURCES = digest([path.read_text("utf-8") for path in READ])
numba.config.CACHE_DIR = str(Path(numba.config.CACHE_DIR or Path(__file__).parent / "__pycache__") / SOURCES)
compiled, compiled_entry = numba.njit(**OPTIONS), numba.njit(cache=True, **OPTIONS)


@compiled
def _four(array, i):
    """WIDE numbers from the line i."""
    return line(array, i), line(array, i + 1), line(array, i + 2), line(array, i + 3)


@compiled
def _put_four(array, i, four):
    """WIDE numbers from the line i = four."""
    for j in range(4):
        put(array, i + j, four[j])


@compiled
def dense_forward(head, value, pixels, act, noise):
    """Fill act [U, B] below the inputs, which are read from pixels: rectified hidden layers, then logits.

    noise: factors of the hidden units [H, B] (dropout), or of no length.
    """
    widths, first = head.widths, head.first
    top, x = 0, pixels
    for l in range(len(widths) - 1):
        n_in, n_out = widths[l], widths[l + 1]
        z = act[top + n_in : top + n_in + n_out]
        flat = value[first[l] : first[l + 1]]
        bias = flat[len(flat) - n_out :]
        if head.sparse[l]:
            _tiles_times(*_rows(head.ahead, l, n_out), flat, x, z)
        else:
            np.dot(flat[: n_out * n_in].reshape(n_out, n_in), x, z)
        last = l == len(widths) - 2
        for i in range(n_out):
            for b in range(z.shape[1]):
                s = z[i, b] + bias[i]
                z[i, b] = 0 if s <= 0 and not last else s  # NaN passes: a network that diverged must show
        if len(noise) > 0 and not last:
            z *= noise[top + n_in - widths[0] : top + n_in - widths[0] + n_out]
        top, x = top + n_in, z


@compiled
def _rows(index, l, rows):
    """(starts [tiles + 1, rows], places) of a sparse layer, see `flat.Index`."""
    starts = index.starts[index.starts_at[l] : index.starts_at[l + 1]]
    return starts.reshape(-1, rows), index.places[index.places_at[l] : index.places_at[l + 1]]


@compiled
def _tiles_times(starts, columns, value, x, z):
    """z[out, B] = rows compressed tile by tile times x[in, B]."""
    z[:] = 0
    wide = x.shape[1] // LANES
    for t in range(0, wide, 4):
        for j in range(len(starts) - 1):
            for i in range(starts.shape[1]):
                p, q, r, s = _four(z, wide * i + t)
                for k in range(starts[j, i], starts[j + 1, i]):
                    a, b, c, d = _four(x, wide * columns[k] + t)
                    w = value[k]
                    p, q, r, s = fused(w, a, p), fused(w, b, q), fused(w, c, r), fused(w, d, s)
                _put_four(z, wide * i + t, (p, q, r, s))


@compiled
def _tiles_gradient(starts, columns, delta, x, gradient):
    """gradient[k] = delta[row of k] . x[column of k], at kept positions only."""
    gradient[: len(columns)] = 0
    wide = x.shape[1] // LANES
    for t in range(0, wide, 4):
        for j in range(len(starts) - 1):
            for i in range(starts.shape[1]):
                p, q, r, s = _four(delta, wide * i + t)
                for k in range(starts[j, i], starts[j + 1, i]):
                    a, b, c, d = _four(x, wide * columns[k] + t)
                    gradient[k] += total(fused(p, a, fused(q, b, fused(r, c, fused(s, d, zero(x))))))


@compiled
def dense_backward(head, value, act, delta, gradient, noise, below_first):
    """Gradient of every parameter from delta, whose last rows hold the gradient of the logits [classes, B].

    below_first: of the inputs too, into the first rows of delta.
    """
    widths, first = head.widths, head.first
    top = act.shape[0]
    for l in range(len(widths) - 2, -1, -1):
        n_in, n_out = widths[l], widths[l + 1]
        d, x = delta[top - n_out : top], act[top - n_out - n_in : top - n_out]
        flat, g = value[first[l] : first[l + 1]], gradient[first[l] : first[l + 1]]
        if head.sparse[l]:
            _tiles_gradient(*_rows(head.ahead, l, n_out), d, x, g)
        else:
            np.dot(d, x.T, g[: n_out * n_in].reshape(n_out, n_in))
        for i in range(n_out):
            g[len(g) - n_out + i] = d[i].sum()
        top -= n_out
        if l == 0 and not below_first:
            break  # nobody needs the gradient of the pixels
        below = delta[top - n_in : top]
        if head.sparse[l]:
            turned = flat[head.order[head.back.places_at[l] : head.back.places_at[l + 1]]]
            _tiles_times(*_rows(head.back, l, n_in), turned, d, below)
        else:
            np.dot(flat[: n_out * n_in].reshape(n_out, n_in).T, d, below)
        for i in range(n_in if l > 0 else 0):
            for b in range(x.shape[1]):
                if x[i, b] <= 0:
                    below[i, b] = 0
        if len(noise) > 0 and l > 0:
            below *= noise[top - n_in - widths[0] : top - widths[0]]


@compiled
def pull(head, value, goal, strength, gradient):
    """Subtract the gradient of strength x cosine of the weights, biases left out, to goal, a vector of length 1."""
    widths, first = head.widths, head.first
    along = square = value.dtype.type(0)
    for l in range(len(widths) - 1):
        for i in range(first[l], first[l + 1] - widths[l + 1]):
            along += value[i] * goal[i]
            square += value[i] * value[i]
    towards = value.dtype.type(strength) / np.sqrt(square)
    inwards = towards * along / square
    for l in range(len(widths) - 1):
        for i in range(first[l], first[l + 1] - widths[l + 1]):
            gradient[i] -= towards * goal[i] - inwards * value[i]


@compiled
def softmax_gradient(logits, labels, delta):
    """delta = (softmax - one hot) / batch for the columns that carry an image; the padding stays zero."""
    share = logits.dtype.type(1 / len(labels))
    for b in range(len(labels)):
        top = logits[:, b].max()
        total = logits.dtype.type(0)
        for i in range(len(logits)):
            delta[i, b] = np.exp(logits[i, b] - top)
            total += delta[i, b]
        for i in range(len(logits)):
            delta[i, b] *= share / total
        delta[labels[b], b] -= share


@compiled
def adam_step(value, keep, gradient, slow, fast, rate, step, decay):
    """One bias-corrected step of Adam (Kingma & Ba 2015; 0.9, 0.999, 1e-8), weight decay added to the gradient."""
    a, b = value.dtype.type(0.9), value.dtype.type(0.999)
    c, d = value.dtype.type(0.1), value.dtype.type(0.001)
    size = value.dtype.type(rate / (1 - 0.9**step))
    root = value.dtype.type(1 / np.sqrt(1 - 0.999**step))
    eps, lam, zero = value.dtype.type(1e-8), value.dtype.type(decay), value.dtype.type(0)
    for i in range(len(value)):
        g = gradient[i] + lam * value[i] if keep[i] else zero
        slow[i] = a * slow[i] + c * g
        fast[i] = b * fast[i] + d * g * g
        value[i] -= size * slow[i] / (np.sqrt(fast[i]) * root + eps)


@compiled
def sgd_step(value, keep, gradient, slow, rate, momentum, decay):
    """One step of gradient descent with (heavy-ball) momentum, weight decay added to the gradient."""
    size, mu = value.dtype.type(rate), value.dtype.type(momentum)
    lam, zero = value.dtype.type(decay), value.dtype.type(0)
    for i in range(len(value)):
        slow[i] = mu * slow[i] + (gradient[i] + lam * value[i] if keep[i] else zero)
        value[i] -= size * slow[i]
