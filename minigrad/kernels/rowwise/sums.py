"""Sums over dimensions: by NumPy where there are few numbers, else so that they keep their digits.

`sum_along` is what operations call, and the one place that chooses among the three ways. Not here:
the tree of sums over other than the last dimensions (`minigrad/long_sums.py`, which needs no
compiler), running sums (scan.py).
"""

from __future__ import annotations

import math

import numpy as np

from ... import tuning
from ...long_sums import MANY, ROWS, few, total
from ..jit import jit, ready
from ..jit.kernel import jit_disabled
from ..simd.flat import tail
from ..parallel import parallel

_BLOCK = 512  # numbers added in the array's own precision before float64 takes over


def sum_along(x, dims, keepdims=False, dtype=None):
    """np.add.reduce over dims (a tuple counted from 0, or None for all), without its loss of
    digits. dtype: of integers, or to which it should be converted on the way.

    NumPy: what is no float32 or float64, and few numbers. Rows on threads: long last dimensions of
    float32 in order. Else, or for what is left, the tree of `total`.
    """
    if x.size < ROWS or dtype is not None or x.dtype.char not in "fd" \
            or (dims is None and x.size < MANY) or few(x):
        return np.add.reduce(x, axis=dims, dtype=dtype, keepdims=keepdims)
    left = tuple(range(x.ndim)) if dims is None else tuple(sorted(dims))
    kept = [1 if d in left else n for d, n in enumerate(x.shape)] if keepdims else None
    ends = 0  # how many of the last dimensions are added up
    while ends < len(left) and left[-1 - ends] == x.ndim - 1 - ends:
        ends += 1
    if ends and x.size >= tuning.SUM_SHARED and x.dtype.char == "f" and x.flags.c_contiguous:
        rows = math.prod(x.shape[:-ends])
        if x.size // rows >= tuning.SUM_LONG:
            x = _long_rows(x, rows).reshape(x.shape[:-ends])
            left = left[: len(left) - ends]
    y = total(x, left)
    return y if kept is None else y.reshape(kept)


def _long_rows(x, rows):
    """The sums of so many equal stretches of x: few long ones are cut up for the threads first."""
    pieces = 1
    while rows * pieces < tuning.SUM_PIECES and x.size % (2 * rows * pieces) == 0:
        pieces *= 2
    sums = row_sums(x, rows * pieces)
    return sums if pieces == 1 else np.add.reduce(sums.reshape(rows, pieces), axis=1)


@jit(fastmath={"contract", "reassoc", "nsz"}, inline=True)
def block_sum(x, count):
    """x[0] + ... + x[count - 1]; `reassoc` lets the lanes of vectors add on their own."""
    total = x.dtype.type(0)
    for i in range(count):
        total += x[i]
    return total


@jit
def row_sum(x, length):
    """x[0] + ... + x[length - 1], as float64; x is flat."""
    total = np.float64(0)
    for k in range(0, length, _BLOCK):
        total += block_sum(tail(x, k), min(_BLOCK, length - k))
    return total


@jit
def add_row_sums(source, pitch, rows, length, out):
    """out[r] += source[r * pitch] + ... + source[r * pitch + length - 1]; out (rows,), float64."""
    for r in range(rows):
        out[r] += row_sum(tail(source, r * pitch), length)
    tail(source, 0)  # mentioned once more: views count no reference (flat.tail)


@jit
def row_sums_range(start, stop, x, length, out):
    """out[i] = sum of x[i * length : (i + 1) * length], for rows start .. stop - 1; x is flat.

    Limit: bytes, one read of x: 20 GB/s a core from memory, 60 from the cache.
    """
    for i in range(start, stop):
        out[i] = row_sum(tail(x, i * length), length)
    tail(x, 0)  # mentioned once more: views count no reference (flat.tail)


def row_sums(x: np.ndarray, rows: int) -> np.ndarray:
    """The sums of `rows` equal stretches of x, which is seen as flat -> (rows,) in x's dtype."""
    if jit_disabled():
        return row_sums_reference(x, rows)
    length = x.size // rows
    flat = ready(x).reshape(-1)
    out = np.empty(rows, flat.dtype)
    grain = max(1, tuning.ROW_SUMS_GRAIN // max(1, length))
    parallel(row_sums_range, rows, flat, length, out, grain=grain)
    return out


def row_sums_reference(x: np.ndarray, rows: int) -> np.ndarray:
    """What `row_sums` computes, in float64."""
    return x.reshape(rows, -1).astype(np.float64).sum(axis=1).astype(x.dtype)
