"""Products with few rows: loops that copy nothing, limited by the bytes of the one large matrix.

    dots     y = x @ w.T + bias      few rows of x, dot products along the rows of w
    sums     gx = g @ w              few rows of g, rows of w added up
    outer    gw = g.T @ x            one row of each

Sums longer than `tuning.LONG_SUM` lose digits as one chain of float32: they are cut into pieces,
which threads share, and blocks, and added up in float64. Up to there the order of one chain, in as
many lanes as a vector has, is exact enough.

Not here: when this is the way (linear.py), products with many rows (product.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import tuning
from ...memory import empty
from ...long_sums import ROWS, total
from ..jit import Kernel, jit
from ..simd.flat import tail
from ..parallel import one_each, parallel

# Of a long sum: numbers of a piece, of a block that is added in its own precision, and rows of one.
_PIECE, _BLOCK, _STEP = 1 << 13, 512, 64
_COLUMNS = 256  # of gx that add_rows keeps in the first cache while it runs through g


@jit(fastmath={"contract", "reassoc", "nsz"})
def dot_rows(start, stop, x, w, bias, has_bias, y):
    """Columns start..stop-1 of y = x @ w.T + bias, for few rows of x: w is read once, unpacked."""
    depth = x.shape[1]
    for f in range(start, stop):
        wf = w[f]
        for i in range(x.shape[0]):
            xi = x[i]
            total = x.dtype.type(0)
            for k in range(depth):
                total += xi[k] * wf[k]
            if has_bias:
                total += bias[f]
            y[i, f] = total


@jit(fastmath={"contract"})
def add_rows(start, stop, g, w, width, gx):
    """Blocks start..stop-1 of `width` columns of gx = g @ w, for few rows of g."""
    for t in range(start, stop):
        j0 = t * width
        count = min(width, w.shape[1] - j0)
        for i in range(g.shape[0]):
            to = gx[i, j0:]
            for j in range(count):
                to[j] = 0
            few = w.shape[0] % 4
            for k in range(few):
                s = g[i, k]
                row = w[k, j0:]
                for j in range(count):
                    to[j] += s * row[j]
            for k in range(few, w.shape[0], 4):  # four at once: `to` is read and written less often
                s0, s1, s2, s3 = g[i, k], g[i, k + 1], g[i, k + 2], g[i, k + 3]
                row0, row1, row2, row3 = w[k, j0:], w[k + 1, j0:], w[k + 2, j0:], w[k + 3, j0:]
                for j in range(count):
                    to[j] = to[j] + s0 * row0[j] + s1 * row1[j] + s2 * row2[j] + s3 * row3[j]


@jit(fastmath={"contract", "reassoc", "nsz"}, inline=True)
def dot_block(x, w, count):
    """x[0] * w[0] + ... + x[count - 1] * w[count - 1]; `reassoc`: lanes add on their own."""
    total = x.dtype.type(0)
    for k in range(count):
        total += x[k] * w[k]
    return total


@jit
def long_dots_range(start, stop, x, w, parts):
    """parts[p] (M, N) = x[:, k] @ w[:, k].T for pieces p of k, _PIECE long; parts is float64.

    Blocks of _BLOCK products are added in their own precision. Limit: bytes, x and w once.
    """
    depth = x.shape[1]
    for p in range(start, stop):
        first, end = p * _PIECE, min((p + 1) * _PIECE, depth)
        for f in range(w.shape[0]):
            for i in range(x.shape[0]):
                total = np.float64(0)
                for k in range(first, end, _BLOCK):
                    total += dot_block(
                        tail(x, i * depth + k), tail(w, f * depth + k), min(_BLOCK, end - k)
                    )
                parts[p, i, f] = total
    tail(x, 0), tail(w, 0)  # mentioned once more: views count no reference (flat.tail)


@jit(fastmath={"contract"})
def long_sums_range(start, stop, g, w, width, parts):
    """parts[p] (M, K) = g[:, n] @ w[n] for pieces p of n, _PIECE long; parts is float64.

    `width` columns at a time; _STEP products are added in their own precision.
    """
    length = w.shape[1]
    some, whole = np.empty(width, w.dtype), np.empty(width, np.float64)
    for p in range(start, stop):
        first, end = p * _PIECE, min((p + 1) * _PIECE, w.shape[0])
        for j0 in range(0, length, width):
            count = min(width, length - j0)
            for i in range(g.shape[0]):
                for j in range(count):
                    whole[j] = 0
                for n0 in range(first, end, _STEP):
                    for j in range(count):
                        some[j] = 0
                    for n in range(n0, min(n0 + _STEP, end)):
                        s = g[i, n]
                        row = tail(w, n * length + j0)
                        for j in range(count):
                            some[j] += s * row[j]
                    for j in range(count):
                        whole[j] += some[j]
                for j in range(count):
                    parts[p, i, j0 + j] = whole[j]
    tail(w, 0)  # mentioned once more: views count no reference (flat.tail)


@jit
def outer_rows(start, stop, g, x, gw):
    """Rows start..stop-1 of gw (F, K) = g (F,) times x (K,). Limit: bytes written."""
    for f in range(start, stop):
        s = g[f]
        row = gw[f]
        for k in range(x.size):
            row[k] = s * x[k]


def _in_pieces(kernel: Kernel, depth: int, m: int, n: int, a: np.ndarray, *more: Any) -> np.ndarray:
    """The sum over pieces of the `depth` that a kernel cuts up: (M, N) in a's dtype."""
    pieces = -(-depth // _PIECE)
    parts = np.empty((pieces, m, n))
    grain = -(-tuning.FEW_ROWS_GRAIN // max(1, m * n * _PIECE))
    parallel(kernel, pieces, a, *more, parts, grain=grain)
    return total(parts, (0,)).astype(a.dtype, copy=False)


def dots(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x (M, K) @ w (N, K).T + bias (N,) -> (M, N), for small M."""
    if x.shape[1] > tuning.LONG_SUM:
        y = _in_pieces(long_dots_range, x.shape[1], len(x), len(w), x, w)
        if bias is not None:
            y += bias
        return y
    y = empty((x.shape[0], w.shape[0]), x.dtype)
    has_bias = bias is not None
    b = bias if has_bias else np.empty(0, x.dtype)
    grain = one_each(w.shape[0], -(-tuning.FEW_ROWS_GRAIN // max(1, x.size)))
    parallel(dot_rows, w.shape[0], x, w, b, has_bias, y, grain=grain)
    return y


def sums(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """g (M, N) @ w (N, K) -> (M, K), for small M."""
    if len(w) > ROWS:
        return _in_pieces(long_sums_range, len(w), len(g), w.shape[1], g, w, _COLUMNS)
    gx = empty((g.shape[0], w.shape[1]), g.dtype)
    grain = -(-tuning.FEW_ROWS_GRAIN // max(1, g.size * _COLUMNS))
    parallel(add_rows, -(-w.shape[1] // _COLUMNS), g, w, _COLUMNS, gx, grain=grain)
    return gx


def outer(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g (F,) times x (K,) -> (F, K)."""
    gw = empty((g.size, x.size), g.dtype)
    grain = one_each(g.size, -(-tuning.FEW_ROWS_GRAIN // x.size))
    parallel(outer_rows, g.size, g, x, gw, grain=grain)
    return gw
