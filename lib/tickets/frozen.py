"""Kernels as versions 1 and 2 of the algorithm have them: records were made with these roundings, nothing may change.

Numba keeps the code it compiled until the file of its entry, `kernels`, changes. What never changes can live apart.
"""

import numba
import numpy as np

# never fastmath=True: it would delete the checks for NaN
OPTIONS = {
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    "error_model": "numpy",
    "boundscheck": False,
    "nogil": True,
}
_inner = numba.njit(**OPTIONS)


@_inner
def rows_times(rows, columns, value, x, z):
    """z[out, B] = compressed rows times x[in, B], four kept weights at a time."""
    for i in range(len(rows) - 1):
        k, end = rows[i], rows[i + 1]
        z[i] = 0
        while k + 4 <= end:
            a, b, c, d = x[columns[k]], x[columns[k + 1]], x[columns[k + 2]], x[columns[k + 3]]
            p, q, r, s = value[k], value[k + 1], value[k + 2], value[k + 3]
            for t in range(z.shape[1]):
                z[i, t] += (p * a[t] + q * b[t]) + (r * c[t] + s * d[t])
            k += 4
        while k < end:
            a, p = x[columns[k]], value[k]
            for t in range(z.shape[1]):
                z[i, t] += p * a[t]
            k += 1


@_inner
def rows_gradient(rows, columns, delta, x, gradient):
    """gradient[k] = delta[row of k] . x[column of k], at kept positions only."""
    for i in range(len(rows) - 1):
        k, end, g = rows[i], rows[i + 1], delta[i]
        while k + 4 <= end:
            a, b, c, d = x[columns[k]], x[columns[k + 1]], x[columns[k + 2]], x[columns[k + 3]]
            p, q, r, s = g[0] * a[0], g[0] * b[0], g[0] * c[0], g[0] * d[0]
            for t in range(1, len(g)):
                p += g[t] * a[t]
                q += g[t] * b[t]
                r += g[t] * c[t]
                s += g[t] * d[t]
            gradient[k], gradient[k + 1], gradient[k + 2], gradient[k + 3] = p, q, r, s
            k += 4
        while k < end:
            a = x[columns[k]]
            p = g[0] * a[0]
            for t in range(1, len(g)):
                p += g[t] * a[t]
            gradient[k] = p
            k += 1


@_inner
def rows_back(rows, columns, value, delta, out):
    """out[in, B] = transposed compressed rows times delta[out, B]."""
    out[:] = 0
    for i in range(len(rows) - 1):
        g = delta[i]
        for k in range(rows[i], rows[i + 1]):
            o, p = out[columns[k]], value[k]
            for t in range(len(g)):
                o[t] += p * g[t]


@_inner
def softmax_gradient(logits, labels, delta):
    """delta = (softmax - one hot) / batch for the columns that carry an image; the padding stays zero."""
    for b in range(len(labels)):
        column = logits[:, b]
        top = column.max()
        total = np.exp(column - top).sum()
        for i in range(len(column)):
            delta[i, b] = (np.exp(column[i] - top) / total - (i == labels[b])) / len(labels)
