"""The gradient of the weights where a group has few outputs (depthwise above all).

A dot product for each tap: of g, with gaps of zeros where a flat row of conv_flat.py has positions
that are no outputs, and that row from the tap's offset on.

Not here: all other gradients of weights (conv_grad_w.py).
"""

from __future__ import annotations

import numpy as np

from .conv_flat import flat_layout, pack_phase
from .conv_geometry import Axis, blocks_of, per_chunk
from .jit import jit
from .rows import copy, tail
from .threads import parallel
from .tile import tile_shape

ROW = 4096  # numbers of a flat row: with those of g, 32 KiB, they stay in a first-level cache


def few(features: int, dtype: np.dtype) -> bool:
    """Whether less than half of a narrow tile's columns would be in use."""
    return 2 * features < tile_shape(dtype, "narrow").cols


@jit(fastmath={"contract", "reassoc", "nsz"})
def dots_3(g, a, b, c):
    """g . a, g . b and g . c, over the length of g; `reassoc` lets a sum use the vector's lanes."""
    s = g.dtype.type(0)
    t = g.dtype.type(0)
    u = g.dtype.type(0)
    for p in range(g.size):
        s += g[p] * a[p]
        t += g[p] * b[p]
        u += g[p] * c[p]
    return s, t, u


@jit
def few_sums(g, x, first_f, c, offsets, reads, block_h, cells, axes, gaps, row, spread, sums):
    """sums[f, t] = sum over images and outputs of g * x at tap t, for some channels of g, one of x.

    gaps: whether the gaps between two rows are multiplied, too, as zeros. That is faster, but zero
    times an inf of the image would be NaN where no output reads it.
    """
    low_h, step_h, _, count_h = axes[0]
    low_w, step_w, _, count_w = axes[1]
    features, taps = spread.shape[0], offsets.size
    sums[:] = 0
    for n in range(x.shape[0]):
        for first_h in range(0, count_h, block_h):
            tall = min(block_h, count_h - first_h)
            top = first_h * step_h + low_h
            for i in range(reads.shape[0]):
                pack_phase(
                    x, n, c, (top + reads[i, 0], low_w + reads[i, 1]), (step_h, step_w), cells,
                    tail(row, i * cells[0] * cells[1]),
                )
            for f in range(features):
                for u in range(tall):
                    at = ((n * g.shape[1] + first_f + f) * count_h + first_h + u) * count_w
                    to = tail(spread, f * spread.shape[1] + u * cells[1])
                    copy(tail(g, at), to, count_w)
            runs, length = (1, (tall - 1) * cells[1] + count_w) if gaps else (tall, count_w)
            for f in range(features):
                for u in range(runs):
                    grads = spread[f, u * cells[1] : u * cells[1] + length]
                    line = tail(row, u * cells[1])
                    for t in range(0, taps, 3):  # a tap beyond the last is the last once more
                        at, last = offsets[t], offsets[taps - 1]
                        second = offsets[t + 1] if t + 1 < taps else last
                        third = offsets[t + 2] if t + 2 < taps else last
                        p, q, r = dots_3(
                            grads, tail(line, at), tail(line, second), tail(line, third)
                        )
                        sums[f, t] += p
                        sums[f, t + 1] += q
                        sums[f, t + 2] += r


@jit
def few_grad_w_range(start, stop, g, x, gw, offsets, reads, block_h, cells, plane, groups, axes):
    """Items start .. stop - 1 of gw (F, C, T); an item is (group, channel of x).

    Limit: as few_range, with vectors of half the width, which is what LLVM chooses.
    """
    channels, features = x.shape[1] // groups, g.shape[1] // groups
    taps = gw.shape[2]
    row = np.zeros(plane + cells[1], x.dtype)
    spread = np.zeros((features, block_h * cells[1]), x.dtype)  # g, with gaps of zeros
    sums = np.zeros((features, taps + 2), x.dtype)
    for item in range(start, stop):
        first_f = item // channels * features
        few_sums(g, x, first_f, item, offsets, reads, block_h, cells, axes, True, row, spread, sums)
        if not np.all(np.isfinite(sums)):
            few_sums(g, x, first_f, item, offsets, reads, block_h, cells, axes, False, row, spread, sums)
        for f in range(features):
            for t in range(taps):
                gw[first_f + f, item % channels, t] = sums[f, t]


def few_grad_w(
    g: np.ndarray, x: np.ndarray, taps: int, ah: Axis, aw: Axis, groups: int
) -> np.ndarray:
    """gw (F, C // groups, taps) for few features a group."""
    channels = x.shape[1] // groups
    gw = np.empty((g.shape[1], channels, taps), g.dtype)
    block_h = blocks_of(ah.count, ROW // (aw.count + aw.reach // aw.step))
    where = flat_layout(1, ah, aw, block_h)
    axes = (ah.numbers, aw.numbers)
    flops = 6 * g.size // groups * taps
    parallel(
        few_grad_w_range, groups * channels, g, x, gw, where.offsets, where.reads, block_h, where.cells,
        where.plane, groups, axes, grain=per_chunk(flops),
    )
    return gw
