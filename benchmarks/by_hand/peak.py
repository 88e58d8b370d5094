"""The machine's peaks, measured: fused multiply-adds a second, bytes a second.

The first is minigrad's own register tile on operands that stay in the first-level cache: no memory,
no edges, no packing, on all threads. Where there are no vector instructions for it (tile.py), it is
the peak of compiled loops. The second is a triad a = b + s c over arrays far larger than the
second-level cache (of a server's huge third level it may stay inside).
"""
from __future__ import annotations

import numpy as np

from minigrad.kernels.jit import jit
from minigrad.kernels.simd.flat import aligned, tail
from minigrad.kernels.parallel.threads import get_num_threads
from minigrad.kernels.parallel import parallel
from minigrad.kernels.simd.tile import tile, tile_shape
from ..programs import Run


@jit
def _products(start, stop, repeats, a, row, ka, b, kb, c, size, cols):
    """Item i: `repeats` tiles of C in c[i * size:], from the same A and B."""
    for i in range(start, stop):
        mine = tail(c, i * size)
        for _ in range(repeats):
            tile(a, row, ka, b, kb, kb.size, mine, cols, mine, cols)


@jit
def _triad(start, stop, chunk, s, a, b, c):
    """a = b + s c over the chunks start..stop-1."""
    for i in range(start, stop):
        here = slice(i * chunk, (i + 1) * chunk)
        out, left, right = a[here], b[here], c[here]
        for j in range(chunk):
            out[j] = left[j] + s * right[j]


def peak_flops() -> Run:
    """About a millisecond of multiply-adds on each thread; `run.work` is the number of flops."""
    rows, cols, _ = tile_shape(np.float32)
    depth, repeats, items = 96, 100, 16 * get_num_threads()
    a = np.full(rows * depth, 1e-3, np.float32)
    b = aligned((cols * depth,), np.float32)
    b[:] = 1e-3
    row, k = np.arange(rows, dtype=np.int64), np.arange(depth, dtype=np.int64)
    size = rows * cols + 64                             # no two threads share a cache line
    c = np.zeros(items * size, np.float32)

    def run() -> None:
        parallel(_products, items, repeats, a, row, k * rows, b, k * cols, c, size, cols)
    run.work = 2 * rows * cols * depth * repeats * items            # type: ignore[attr-defined]
    return run


def peak_bandwidth(megabytes: int = 64) -> Run:
    """A triad over three arrays of so many megabytes; `run.work` is the number of bytes."""
    chunk = 1 << 16
    chunks = megabytes * (1 << 18) // chunk
    a, b, c = (np.ones(chunks * chunk, np.float32) for _ in range(3))

    def run() -> None:
        parallel(_triad, chunks, chunk, np.float32(0.5), a, b, c)
    run.work = 3 * a.nbytes                                         # type: ignore[attr-defined]
    return run


PROGRAMS = {f.__name__: f for f in (peak_flops, peak_bandwidth)}
