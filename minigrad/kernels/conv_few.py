"""Convolutions with few outputs a group (depthwise above all): vectors along the rows of an image.

The register tile of conv.py would leave most of its columns, which are channels of the output,
empty. Here the vectors lie along the positions instead. The padded image is one flat row a channel,
so that a tap is an offset into that row, for all positions p at once:

    y[f, p] = bias[f] + sum over t of w[f, t] * row[offset[t] + p]

The few positions that fall between two image rows are computed and thrown away. A stride s first
sorts the rows and columns of the image by their remainder modulo s (`phases`).

The gradient of the weights is a dot product for each tap: of g, with gaps of zeros where those
positions are, and the flat row from the tap's offset on.

Not here: all other convolutions (conv.py, conv_grad_w.py).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from .conv_geometry import Axis, Pair, blocks_of, per_chunk
from .jit import jit
from .rows import copy, tail
from .threads import parallel
from .tile import single_tile, tile_shape

ROW = 4096  # numbers of a flat row: its sums, 16 KiB, stay in a first-level cache


def few(features: int, dtype: np.dtype) -> bool:
    """Whether less than half of a narrow tile's columns would be in use."""
    return 2 * features < tile_shape(dtype, "narrow").cols


@jit
def pack_phases(x, n, c, first_h, first_w, steps, cells, out):
    """out[a, b, q, r] = x[n, c, first_h + q*sh + a, first_w + r*sw + b], zeros outside of x.

    steps = (sh, sw), cells = (cells_h, cells_w); out is flat, (sh, sw, cells_h, cells_w).
    """
    height, width = x.shape[2], x.shape[3]
    for a in range(steps[0]):
        for b in range(steps[1]):
            shift = first_w + b
            begin = min(max(-(shift // steps[1]), 0), cells[1])
            end = min(max((width - 1 - shift) // steps[1] + 1, begin), cells[1])
            for q in range(cells[0]):
                row = tail(out, ((a * steps[1] + b) * cells[0] + q) * cells[1])
                h = first_h + q * steps[0] + a
                if h < 0 or h >= height or begin >= end:
                    for i in range(cells[1]):
                        row[i] = 0
                    continue
                for i in range(begin):
                    row[i] = 0
                for i in range(end, cells[1]):
                    row[i] = 0
                to = tail(row, begin)
                at = ((n * x.shape[1] + c) * height + h) * width + begin * steps[1] + shift
                source = tail(x, at)
                if steps[1] == 1:
                    copy(source, to, end - begin)
                else:
                    for i in range(end - begin):
                        to[i] = source[i * steps[1]]


class FewLayout(NamedTuple):
    """block_h: rows of outputs of an item. cells: rows and columns of a phase. offsets: of the taps
    (c, i, j) into the flat row of a group, of which each channel takes `plane` numbers.
    """

    block_h: int
    cells: Pair
    plane: int
    offsets: np.ndarray


@functools.lru_cache(maxsize=256)
def few_layout(channels: int, ah: Axis, aw: Axis, block_h: int) -> FewLayout:
    """Where the taps of `channels` a group lie."""
    cells = (block_h + ah.reach // ah.step, aw.count + aw.reach // aw.step)
    plane = ah.step * aw.step * cells[0] * cells[1]
    c, i, j = np.ix_(
        range(channels), [s - ah.low for s in ah.shifts], [s - aw.low for s in aw.shifts]
    )
    phase = i % ah.step * aw.step + j % aw.step
    place = (phase * cells[0] + i // ah.step) * cells[1] + j // aw.step
    offsets = (c * plane + place).ravel().astype(np.int64, copy=False)
    return FewLayout(block_h, cells, plane, offsets)


@jit
def few_range(start, stop, x, w, bias, out, offsets, kb, block_h, groups, cells, plane, axes, cols):
    """Items start .. stop - 1, an item is (image, group, rows). w (F, taps), out (N, F, ., .).

    axes = (low, step, count, out_start, out_step) for rows and columns; cols: of `single_tile`.

    Limit: the first-level cache, one load for each multiply-add, half of which cross a line:
    about 60 of the 192 GFLOP/s of a core in float32; then memory.
    """
    low_h, step_h, count_h, start_h, out_step_h = axes[0]
    low_w, step_w, count_w, start_w, out_step_w = axes[1]
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    pieces_h = (count_h + block_h - 1) // block_h
    packed = np.zeros(channels * plane + cols + cells[1], x.dtype)  # read beyond by the last tile
    sums = np.empty(block_h * cells[1] + cols, x.dtype)
    begin = np.empty(cols, x.dtype)
    one = np.zeros(1, np.int64)
    for item in range(start, stop):
        first_h = item % pieces_h * block_h
        group = item // pieces_h % groups
        n = item // pieces_h // groups
        tall = min(block_h, count_h - first_h)
        for c in range(channels):
            pack_phases(
                x, n, group * channels + c, first_h * step_h + low_h, low_w,
                (step_h, step_w), cells, tail(packed, c * plane),
            )
        length = (tall - 1) * cells[1] + count_w
        for f in range(group * features, (group + 1) * features):
            begin[:] = bias[f]
            for p in range(0, length, cols):
                single_tile(
                    tail(w, f * offsets.size), one, kb, tail(packed, p), offsets, offsets.size,
                    begin, 0, tail(sums, p), 0,
                )
            for u in range(tall):
                source = tail(sums, u * cells[1])
                at = (n * out.shape[1] + f) * out.shape[2] + start_h + (first_h + u) * out_step_h
                to = tail(out, at * out.shape[3] + start_w)
                if out_step_w == 1:
                    copy(source, to, count_w)
                else:
                    for v in range(count_w):
                        to[v * out_step_w] = source[v]


def correlate_few(
    x: np.ndarray,
    w: np.ndarray,
    from_inputs: bool,
    used: tuple[int, ...],
    bias: np.ndarray | None,
    ah: Axis,
    aw: Axis,
    out: np.ndarray,
    groups: int,
) -> None:
    """As conv._correlate; w (G, F, C, T)."""
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    mine = w.swapaxes(1, 2) if from_inputs else w
    if len(used) != w.shape[3]:
        mine = mine[..., np.array(used)]
    taps = np.ascontiguousarray(mine).reshape(out.shape[1], channels * len(used))
    block_h = blocks_of(ah.count, ROW // (aw.count + aw.reach // aw.step))
    where = few_layout(channels, ah, aw, block_h)
    start = np.zeros(out.shape[1], x.dtype) if bias is None else np.ascontiguousarray(bias)
    axes = tuple((a.low, a.step, a.count, a.out_start, a.out_step) for a in (ah, aw))
    kb = np.arange(where.offsets.size, dtype=np.int64)
    flops = 8 * block_h * where.cells[1] * features * where.offsets.size
    items = x.shape[0] * groups * -(-ah.count // block_h)
    parallel(
        few_range, items, x, taps, start, out, where.offsets, kb, block_h, groups, where.cells,
        where.plane, axes, tile_shape(x.dtype, "single").cols, grain=per_chunk(flops),
    )


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
def few_sums(g, x, first_f, c, offsets, block_h, cells, axes, gaps, row, spread, sums):
    """sums[f, t] = sum over images and outputs of g * x at tap t, for some channels of g, one of x.

    gaps: whether the gaps between two rows are multiplied, too, as zeros. That is faster, but zero
    times an inf of the image would be NaN where no output reads it.
    """
    low_h, step_h, count_h = axes[0]
    low_w, step_w, count_w = axes[1]
    features, taps = spread.shape[0], offsets.size
    sums[:] = 0
    for n in range(x.shape[0]):
        for first_h in range(0, count_h, block_h):
            tall = min(block_h, count_h - first_h)
            top = first_h * step_h + low_h
            pack_phases(x, n, c, top, low_w, (step_h, step_w), cells, row)
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
def few_grad_w_range(start, stop, g, x, gw, offsets, block_h, cells, plane, groups, axes):
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
        few_sums(g, x, first_f, item, offsets, block_h, cells, axes, True, row, spread, sums)
        if not np.all(np.isfinite(sums)):
            few_sums(g, x, first_f, item, offsets, block_h, cells, axes, False, row, spread, sums)
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
    where = few_layout(1, ah, aw, block_h)
    axes = tuple((a.low, a.step, a.count) for a in (ah, aw))
    flops = 6 * g.size // groups * taps
    parallel(
        few_grad_w_range, groups * channels, g, x, gw, where.offsets, block_h, where.cells,
        where.plane, groups, axes, grain=per_chunk(flops),
    )
    return gw
