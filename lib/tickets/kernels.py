"""Compiled steps of perceptrons on one CPU core: forward, backward, optimizer and evaluation, no interpreter inside.

Layout and letters are those of `mlp`, which packs networks for them. Recorded results were made with these very
roundings: whoever changes the order of a sum raises the version of the algorithm. Versions 1 and 2 go on
summing as they did. All is one file because numba keeps compiled code until the file of its entry changes.
"""

import numba
import numpy as np

LANES = 16
"""Columns are padded to a multiple of this many floats: one AVX-512 register, two AVX2 registers."""

# never fastmath=True: it would delete the checks for NaN
_OPTIONS = {
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    "error_model": "numpy",
    "boundscheck": False,
    "nogil": True,
}
_inner, _entry = numba.njit(**_OPTIONS), numba.njit(cache=True, **_OPTIONS)


@_inner
def _forward(index, value, pixels, act):
    """Fill act [U, B] below the inputs, which are read from pixels: rectified hidden layers, then logits."""
    widths, first, sparse, rows, columns, row_at, column_at, version = index
    top, x = 0, pixels
    for l in range(len(widths) - 1):
        n_in, n_out = widths[l], widths[l + 1]
        z = act[top + n_in : top + n_in + n_out]
        flat = value[first[l] : first[l + 1]]
        bias = flat[len(flat) - n_out :]
        row, column = rows[row_at[l] : row_at[l + 1]], columns[column_at[l] : column_at[l + 1]]
        if sparse[l]:
            _rows_times(row, column, flat, x, z, version)
        else:
            np.dot(flat[: n_out * n_in].reshape(n_out, n_in), x, z)
        last = l == len(widths) - 2
        for i in range(n_out):
            for b in range(z.shape[1]):
                s = z[i, b] + bias[i]
                z[i, b] = 0 if s <= 0 and not last else s  # NaN passes: a network that diverged must show
        top, x = top + n_in, z


@_inner
def _rows_times(rows, columns, value, x, z, version):
    """z[out, B] = compressed rows times x[in, B], eight kept weights at a time (before version 3: four)."""
    for i in range(len(rows) - 1):
        k, end, o = rows[i], rows[i + 1], z[i]
        o[:] = 0
        while version >= 3 and k + 8 <= end:
            a, b, c, d = x[columns[k]], x[columns[k + 1]], x[columns[k + 2]], x[columns[k + 3]]
            e, f, g, h = x[columns[k + 4]], x[columns[k + 5]], x[columns[k + 6]], x[columns[k + 7]]
            p, q, r, s = value[k], value[k + 1], value[k + 2], value[k + 3]
            u, v, w, y = value[k + 4], value[k + 5], value[k + 6], value[k + 7]
            for t in range(len(o)):
                first = (p * a[t] + q * b[t]) + (r * c[t] + s * d[t])
                o[t] += first + ((u * e[t] + v * f[t]) + (w * g[t] + y * h[t]))
            k += 8
        while k + 4 <= end:
            a, b, c, d = x[columns[k]], x[columns[k + 1]], x[columns[k + 2]], x[columns[k + 3]]
            p, q, r, s = value[k], value[k + 1], value[k + 2], value[k + 3]
            for t in range(len(o)):
                o[t] += (p * a[t] + q * b[t]) + (r * c[t] + s * d[t])
            k += 4
        while k < end:
            a, p = x[columns[k]], value[k]
            for t in range(len(o)):
                o[t] += p * a[t]
            k += 1


@_inner
def _rows_gradient(rows, columns, delta, x, gradient, version):
    """gradient[k] = delta[row of k] . x[column of k], at kept positions only.

    Sums start at zero; before version 3 at the first product, which leaves 63 others, no multiple of a register.
    """
    begin = 0 if version >= 3 else 1
    lead = delta.dtype.type(begin)
    for i in range(len(rows) - 1):
        k, end, g = rows[i], rows[i + 1], delta[i]
        y = lead * g[0]
        while k + 4 <= end:
            a, b, c, d = x[columns[k]], x[columns[k + 1]], x[columns[k + 2]], x[columns[k + 3]]
            p, q, r, s = y * a[0], y * b[0], y * c[0], y * d[0]
            for t in range(begin, len(g)):
                p += g[t] * a[t]
                q += g[t] * b[t]
                r += g[t] * c[t]
                s += g[t] * d[t]
            gradient[k], gradient[k + 1], gradient[k + 2], gradient[k + 3] = p, q, r, s
            k += 4
        while k < end:
            a = x[columns[k]]
            p = y * a[0]
            for t in range(begin, len(g)):
                p += g[t] * a[t]
            gradient[k] = p
            k += 1


@_inner
def _rows_back(rows, columns, value, delta, out):
    """out[in, B] = transposed compressed rows times delta[out, B]."""
    out[:] = 0
    for i in range(len(rows) - 1):
        g = delta[i]
        for k in range(rows[i], rows[i + 1]):
            o, p = out[columns[k]], value[k]
            for t in range(len(g)):
                o[t] += p * g[t]


@_inner
def _backward(index, value, act, delta, gradient):
    """Gradient of every parameter from delta, whose last rows hold the gradient of the logits [classes, B]."""
    widths, first, sparse, rows, columns, row_at, column_at, version = index
    top = act.shape[0]
    for l in range(len(widths) - 2, -1, -1):
        n_in, n_out = widths[l], widths[l + 1]
        d, x = delta[top - n_out : top], act[top - n_out - n_in : top - n_out]
        flat, g = value[first[l] : first[l + 1]], gradient[first[l] : first[l + 1]]
        row, column = rows[row_at[l] : row_at[l + 1]], columns[column_at[l] : column_at[l + 1]]
        if sparse[l]:
            _rows_gradient(row, column, d, x, g, version)
        else:
            np.dot(d, x.T, g[: n_out * n_in].reshape(n_out, n_in))
        for i in range(n_out):
            g[len(g) - n_out + i] = d[i].sum()
        top -= n_out
        if l == 0:
            break  # nobody needs the gradient of the pixels
        below = delta[top - n_in : top]
        if sparse[l]:
            _rows_back(row, column, flat, d, below)
        else:
            np.dot(flat[: n_out * n_in].reshape(n_out, n_in).T, d, below)
        for i in range(n_in):
            for b in range(x.shape[1]):
                if x[i, b] <= 0:
                    below[i, b] = 0


@_inner
def _softmax_gradient(logits, labels, delta):
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


@_inner
def _softmax_gradient_before_3(logits, labels, delta):
    """The same, with divisions in the place of one factor."""
    for b in range(len(labels)):
        column = logits[:, b]
        top = column.max()
        total = np.exp(column - top).sum()
        for i in range(len(column)):
            delta[i, b] = (np.exp(column[i] - top) / total - (i == labels[b])) / len(labels)


@_inner
def _adam(value, keep, gradient, slow, fast, rate, step, decay, version):
    """One bias-corrected step of Adam (Kingma & Ba 2015; 0.9, 0.999, 1e-8), weight decay added to the gradient."""
    a, b = value.dtype.type(0.9), value.dtype.type(0.999)
    c, d = value.dtype.type(0.1), value.dtype.type(0.001)
    if version < 3:  # these differences of floats make steps 7e-6 larger than the rounded constants do
        c, d = value.dtype.type(1) - a, value.dtype.type(1) - b
    size = value.dtype.type(rate / (1 - 0.9**step))
    root = value.dtype.type(1 / np.sqrt(1 - 0.999**step))
    eps, lam, zero = value.dtype.type(1e-8), value.dtype.type(decay), value.dtype.type(0)
    for i in range(len(value)):
        g = gradient[i] + lam * value[i] if keep[i] else zero
        slow[i] = a * slow[i] + c * g
        fast[i] = b * fast[i] + d * g * g
        value[i] -= size * slow[i] / (np.sqrt(fast[i]) * root + eps)


@_inner
def _sgd(value, keep, gradient, slow, rate, momentum, decay):
    """One step of gradient descent with (heavy-ball) momentum, weight decay added to the gradient."""
    size, mu = value.dtype.type(rate), value.dtype.type(momentum)
    lam, zero = value.dtype.type(decay), value.dtype.type(0)
    for i in range(len(value)):
        slow[i] = mu * slow[i] + (gradient[i] + lam * value[i] if keep[i] else zero)
        value[i] -= size * slow[i]


@_inner
def _gather(images, picked, x):
    """x[features, B] = the picked rows of images [N, features], LANES at a time; padding repeats the last row."""
    n, flat, at = images.shape[1], images.ravel(), np.empty(LANES, np.int64)
    for b in range(0, x.shape[1], LANES):
        for i in range(LANES):
            at[i] = n * picked[min(b + i, len(picked) - 1)]
        for t in range(n):
            lanes = x[t, b : b + LANES]
            for i in range(LANES):
                lanes[i] = flat[at[i] + t]


@_entry
def advance(index, value, keep, slow, fast, images, labels, order, done, rates, adam, momentum, decay):
    """Train in place on the minibatches `order` [n, batch] at the learning rates `rates` [n].

    images: [N, features]; labels: [N]; done: steps this network took before (Adam's bias correction counts on).
    """
    widths, version = index[0], index[-1]
    batch = order.shape[1]
    wide = -(-batch // LANES) * LANES
    act = np.zeros((widths.sum(), wide), value.dtype)
    delta = np.zeros((widths.sum(), wide), value.dtype)
    gradient = np.zeros(len(value), value.dtype)
    classes = widths[-1]
    for s in range(len(rates)):
        picked = order[s]
        _gather(images, picked, act[: widths[0]])
        _forward(index, value, act[: widths[0]], act)
        logits, slopes = act[len(act) - classes :], delta[len(delta) - classes :]
        if version < 3:
            _softmax_gradient_before_3(logits, labels[picked], slopes)
        else:
            _softmax_gradient(logits, labels[picked], slopes)
        _backward(index, value, act, delta, gradient)
        if adam:
            _adam(value, keep, gradient, slow, fast, rates[s], done + s + 1, decay, version)
        else:
            _sgd(value, keep, gradient, slow, rates[s], momentum, decay)


@_entry
def evaluate(index, value, x, y, correct):
    """Mean cross-entropy and number of right answers over blocks; fills correct.

    x: [n, features, CHUNK]; y, correct: [n, CHUNK].
    """
    widths = index[0]
    act = np.zeros((widths.sum(), x.shape[2]), value.dtype)
    loss, right, count = 0.0, 0, 0
    for n in range(len(x)):
        _forward(index, value, x[n], act)
        logits = act[len(act) - widths[-1] :]
        for b in range(x.shape[2]):
            if y[n, b] >= 0:
                column = logits[:, b]
                top = column.max()
                loss += np.log(np.exp(column - top).sum()) + top - column[y[n, b]]
                correct[n, b] = column.argmax() == y[n, b]
                right += correct[n, b]
                count += 1
    return loss / count, right
