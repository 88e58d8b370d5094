"""Sums of rows, over threads: what a sum over the last dimensions comes down to.

Not here: which dimensions are meant, small sums (ops/reduce.py adds those by NumPy).
"""

from __future__ import annotations

import numpy as np

from ... import tuning
from ..jit import jit, ready
from ..jit.kernel import jit_disabled
from ..simd.flat import tail
from ..parallel import parallel

_BLOCK = 512  # numbers added in the array's own precision before float64 takes over


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
