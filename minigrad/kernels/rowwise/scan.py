"""Running sums along one dimension, added up in float64.

In float32 a running sum of ones stands still at 16,777,216, and one of a million times 0.1 is 1 %
off. Kept in float64 it costs no more: a float32 chain waits as long for each of its additions.

Not here: products, sums (sums.py).
"""

from __future__ import annotations

import numpy as np

from ... import tuning
from ..jit import jit, ready
from ..jit.kernel import jit_disabled
from ..simd.flat import tail
from ..parallel import parallel


@jit
def scan_range(start, stop, x, n, inner, width, reverse, y):
    """Items start .. stop - 1 of y[o, k, i] = x[o, 0, i] + ... + x[o, k, i]: blocks of `width`
    neighbours i of an o. x, y flat, of (O, N, I); reverse: from k = N - 1 down. Limit: latency of
    an addition for I = 1, else bytes.
    """
    blocks = (inner + width - 1) // width
    sums = np.empty(width, np.float64)
    for item in range(start, stop):
        first = item % blocks * width
        count = min(width, inner - first)
        at = item // blocks * n * inner + first
        step = inner
        if reverse:
            at += (n - 1) * inner
            step = -inner
        if inner == 1:
            total = np.float64(0)
            for k in range(n):
                total += x[at + k * step]
                y[at + k * step] = total
            continue
        for i in range(count):
            sums[i] = 0
        for k in range(n):
            source, to = tail(x, at + k * step), tail(y, at + k * step)
            for i in range(count):
                sums[i] += source[i]
                to[i] = sums[i]
    tail(x, 0), tail(y, 0)  # mentioned once more: views count no reference (flat.tail)


def cumsum(x: np.ndarray, d: int) -> np.ndarray:
    """np.cumsum along dimension d of a float32 or float64 array, in its dtype, added in float64."""
    if x.size < tuning.SCAN_LARGE or jit_disabled():
        return cumsum_reference(x, d)
    reverse = x.strides[d] < 0  # as the gradient of a running sum is: read it where it lies
    x = ready(np.flip(x, d) if reverse else x)
    y = np.empty(x.shape, x.dtype)
    n, inner = x.shape[d], int(np.prod(x.shape[d + 1 :]))
    width = min(tuning.SCAN_WIDTH, inner)
    items = x.size // (n * inner) * -(-inner // width)
    parallel(scan_range, items, x.reshape(-1), n, inner, width, reverse, y.reshape(-1),
             grain=max(1, tuning.SCAN_GRAIN // (n * width)))  # fmt: skip
    return np.flip(y, d) if reverse else y


def cumsum_reference(x: np.ndarray, d: int) -> np.ndarray:
    """What `cumsum` computes, by NumPy."""
    return np.cumsum(x, d, np.float64).astype(x.dtype, copy=False)
