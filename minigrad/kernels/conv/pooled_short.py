"""Convolution, relu and max pooling in one pass over the image, for convolutions of few terms.

A sum of 9 terms (one grey image, a 3x3 kernel) takes less time than storing it, reading it again
and storing the maximum. So the result of the convolution is never stored. What a window of the
pooling holds is sorted by its cell: cells (i, j) of all windows are one image of the size of the
pooled one, the convolution with a stride,

    y[f, u, v] = max over cells (i, j) of relu(b[f] + sum over taps t of w[f, t] x(t, i, j, u, v))
    x(t, i, j, u, v) = x[c, (u * ph + i) * sh + kh - top, (v * pw + j) * sw + kw - left]

so the maximum is taken of whole vectors, lane by lane, while the sums of all cells of a few windows
lie in the first-level cache. As in flat.py the image is first sorted by the remainders of its
rows and columns, so that a tap of a cell is an offset into it.

The gradient of the weights sums over the windows: g meets the cell where the maximum was found,

    gw[f, t] = sum over cells (i, j), windows (u, v) found there of g[f, u, v] * x(t, i, j, u, v)

which is a product of vectors for each cell, g with zeros where the maximum was elsewhere. The
gradient of the bias is the sum of all g that were found anywhere.

Not here: other convolutions (pooled.py), where windows overlap or hang over the image.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ... import tuning
from ..simd.flat import tail, to_line
from ..simd.tile import tile, tile_shape
from ..simd.vector import (
    choose, fused, lanes, load, load_all, load_counts, load_marks, mark_dtype, spread, store,
    store_all, total, vector_jit, vector_part,
)
from ..parallel import parallel
from ..pool.maximum import first_larger, nothing_below_zero
from .flat import flat_layout, pack_phase
from .geometry import Axis, Pair, Phase, blocks_of, per_chunk

TOGETHER = 4  # features whose products with the image are summed at once


@vector_part
def pack_image(x, n, first_h, reads, plane, cells, ah, aw, packed, origin):
    """The rows of image n that the windows from row first_h on meet, sorted by remainder."""
    for c in range(x.shape[1]):
        for i in range(reads.shape[0]):
            pack_phase(
                x, n, c, (first_h * ah[1] + ah[0] + reads[i, 0], aw[0] + reads[i, 1]),
                (ah[1], aw[1]), cells, tail(packed, origin + c * plane + i * cells[0] * cells[1]),
            )


@vector_jit
def short_pool_range(
    start, stop, x, w, bias, y, places, offsets, reads, row, blocks, tile_of, plane, cells, ah, aw,
    nowhere
):
    """Items start .. stop - 1; an item is (image, rows of windows).

    x (N, C, H, W); w flat (F, taps); bias flat (F + rows, cols), each number all along a row; y,
    places: flat (N, F, OH, OW). offsets (cells of a window, taps), reads, plane, cells: see
    FlatLayout. row: where the rows of a tile of weights begin. blocks = (F, rows of an item),
    tile_of = (rows, cols), ah = (low, step, count) of `Axis`, and aw.

    Limit: the tile, and for short sums its begin and end. Measured, float32, 64 images of 28 x 28,
    32 features of 3 x 3, windows of 2 x 2: 0.55 ms on one core, 0.29 on two; one after the other
    the convolution and the pooling take 1.04 and 0.55. The multiply-adds alone are 0.14 on a core.
    """
    features, block_h = blocks
    rows, cols = tile_of
    count_h, count_w = ah[2], aw[2]
    taps, size = offsets.shape[1], lanes(x)
    pieces = (count_h + block_h - 1) // block_h
    packed = np.zeros(x.shape[1] * plane + cols + cells[1] + 16, x.dtype)
    origin = to_line(packed)
    each = rows * cols
    sums = np.empty(offsets.shape[0] * each + 16, x.dtype)
    sums_at = to_line(sums)
    pitch = (block_h * cells[1] + cols - 1) // cols * cols
    pooled = np.empty(rows * pitch + size, x.dtype)
    found = np.empty(rows * pitch + size, mark_dtype(x))
    in_order = np.arange(taps)
    last = np.empty(rows, np.int64)
    for r in range(rows):
        last[r] = row[min(r, (features - 1) % rows)]
    for item in range(start, stop):
        n, first_h = item // pieces, item % pieces * block_h
        tall = min(block_h, count_h - first_h)
        pack_image(x, n, first_h, reads, plane, cells, ah, aw, packed, origin)
        for f in range(0, features, rows):
            used = min(rows, features - f)
            for p in range(0, (tall - 1) * cells[1] + count_w, cols):
                for q in range(offsets.shape[0]):
                    tile(
                        tail(w, f * taps), row if used == rows else last, in_order,
                        tail(packed, origin + p), tail(offsets, q * taps), taps,
                        tail(bias, f * cols), cols, tail(sums, sums_at + q * each), cols,
                    )
                for r in range(used):
                    for v in range(0, cols, size):
                        best = spread(-np.inf, x)
                        bound = best
                        place = spread(nowhere, x)
                        for q in range(offsets.shape[0]):
                            value = load_all(sums, sums_at + q * each + r * cols + v)
                            best, place, bound = first_larger(best, place, bound, value, q, x)
                        best, place = nothing_below_zero(best, place, nowhere, x)
                        store_all(pooled, r * pitch + p + v, best)
                        store_all(found, r * pitch + p + v, place)
            for r in range(used):
                out = ((n * features + f + r) * count_h + first_h) * count_w
                for v in range(0, count_w, size):
                    for u in range(tall):
                        at, to = r * pitch + u * cells[1] + v, out + u * count_w + v
                        store(y, to, 0, count_w - v, load_all(pooled, at))
                        store(places, to, 0, count_w - v, load_marks(found, at, x))


@vector_jit
def short_pool_grad_range(
    start, stop, g, places, x, parts_w, parts_b, offsets, reads, blocks, plane, cells, ah, aw,
    nowhere
):
    """Tasks start .. stop - 1; a task is (piece of the images, block of features).

    g, places: flat (N, F, OH, OW), x (N, C, H, W); parts_w (pieces, F, taps), parts_b (pieces, F):
    sums over the images of a piece. blocks = (rows of windows, features of a task); the rest as in
    short_pool_range.

    Limit: multiply-adds, one a cell, window and tap; a vector of the image, which most often is two
    loads, serves TOGETHER features. Measured as there: 0.46 ms on one core, 0.25 on two; through
    the gradient of the convolution's result 1.24 and 0.66.
    """
    block_h, block_f = blocks
    count_h, count_w = ah[2], aw[2]
    batch, (count_q, taps), size = x.shape[0], offsets.shape, lanes(x)
    pieces, features = parts_b.shape
    pieces_f = (features + block_f - 1) // block_f
    packed = np.zeros(x.shape[1] * plane + cells[1] + size + 16, x.dtype)
    origin = to_line(packed)
    pitch = (count_w + size - 1) // size * size
    one = block_h * pitch  # numbers of one feature in one cell
    apart = np.zeros(count_q * TOGETHER * one + 16, x.dtype)
    first = to_line(apart)
    sums = np.empty((block_f + TOGETHER) * (taps + 1) * size, x.dtype)
    for task in range(start, stop):
        piece, first_f = task // pieces_f, task % pieces_f * block_f
        count_f = min(block_f, features - first_f)
        sums[:] = 0
        for n in range(piece * batch // pieces, (piece + 1) * batch // pieces):
            for first_h in range(0, count_h, block_h):
                tall = min(block_h, count_h - first_h)
                pack_image(x, n, first_h, reads, plane, cells, ah, aw, packed, origin)
                for f in range(0, count_f, TOGETHER):
                    for k in range(min(TOGETHER, count_f - f)):
                        source = ((n * features + first_f + f + k) * count_h + first_h) * count_w
                        of_bias = ((f + k) * (taps + 1) + taps) * size
                        everything = load_all(sums, of_bias)
                        for v in range(0, count_w, size):
                            for u in range(tall):
                                at = source + u * count_w + v
                                value = load(g, at, 0, count_w - v)
                                mark = load_counts(places, at, 0, count_w - v, x)
                                none = spread(0.0, x)
                                everything = everything + choose(mark == nowhere, none, value)
                                to = first + k * one + u * pitch + v
                                for q in range(count_q):
                                    here = choose(mark == q, value, none)
                                    store_all(apart, to + q * TOGETHER * one, here)
                        store_all(sums, of_bias, everything)
                    for t in range(0, taps, 2):
                        # Of an odd last tap the second half is the first: it is not stored.
                        other = min(t + 1, taps - 1)
                        a0 = a1 = a2 = a3 = spread(0.0, x)
                        b0 = b1 = b2 = b3 = spread(0.0, x)
                        for q in range(count_q):
                            at_a, at_b = offsets[q, t] + origin, offsets[q, other] + origin
                            for v in range(0, count_w, size):
                                for u in range(tall):
                                    here = first + q * TOGETHER * one + u * pitch + v
                                    a = load(packed, at_a + u * cells[1] + v, 0, count_w - v)
                                    b = load(packed, at_b + u * cells[1] + v, 0, count_w - v)
                                    g0 = load_all(apart, here)
                                    g1 = load_all(apart, here + one)
                                    g2 = load_all(apart, here + 2 * one)
                                    g3 = load_all(apart, here + 3 * one)
                                    a0, b0 = fused(a, g0, a0), fused(b, g0, b0)
                                    a1, b1 = fused(a, g1, a1), fused(b, g1, b1)
                                    a2, b2 = fused(a, g2, a2), fused(b, g2, b2)
                                    a3, b3 = fused(a, g3, a3), fused(b, g3, b3)
                        # Features beyond the last have sums, too, which nobody reads.
                        step = (taps + 1) * size
                        at = f * step + t * size
                        store_all(sums, at, load_all(sums, at) + a0)
                        store_all(sums, at + step, load_all(sums, at + step) + a1)
                        store_all(sums, at + 2 * step, load_all(sums, at + 2 * step) + a2)
                        store_all(sums, at + 3 * step, load_all(sums, at + 3 * step) + a3)
                        if other > t:
                            at += size
                            store_all(sums, at, load_all(sums, at) + b0)
                            store_all(sums, at + step, load_all(sums, at + step) + b1)
                            store_all(sums, at + 2 * step, load_all(sums, at + 2 * step) + b2)
                            store_all(sums, at + 3 * step, load_all(sums, at + 3 * step) + b3)
        for f in range(count_f):
            for t in range(taps + 1):
                number = total(load_all(sums, (f * (taps + 1) + t) * size))
                if t < taps:
                    parts_w[piece, first_f + f, t] = number
                else:
                    parts_b[piece, first_f + f] = number


class ShortPlan(NamedTuple):
    """How the two passes are cut up; it depends on sizes alone."""

    tables: tuple[np.ndarray, np.ndarray]  # offsets and reads
    row: np.ndarray
    tile: Pair
    block_h: int
    grain: int
    pieces: int
    block_f: int
    grad_grain: int
    places: tuple  # plane, cells, ah and aw of the kernels


def _pooled_axis(
    size: int, taps: int, stride: int, pad: int, dilation: int, window: int, step: int, outputs: int
) -> Axis:
    """The axis of the pooled image with a phase for each cell of the window: all taps reach it."""
    every = tuple(range(taps))
    phases = tuple(
        Phase(every, tuple(i * stride + t * dilation - pad for t in every), i)
        for i in range(window)
    )
    reach = (window - 1) * stride + (taps - 1) * dilation
    return Axis(size, outputs, stride * step, step, -pad, reach, phases)


@functools.lru_cache(maxsize=256)
def short_plan(
    x: tuple[int, ...], w: tuple[int, ...], dtype: np.dtype, conv: tuple, pool: tuple
) -> ShortPlan | None:
    """The plan for these shapes, or None if this file is not the way.

    conv = (out_hw, stride, padding, dilation, groups), pool = (kernel, stride, padding, dilation,
    out_hw) as the functions of conv2d.py and maximum.py take them.
    """
    conv_hw, stride, padding, dilation, groups = conv
    window, step, border, spread_out, out_hw = pool
    batch, channels, height, width = x
    features, _, kh, kw = w
    rows, cols, _ = tile_shape(dtype)
    taps = channels * kh * kw
    inside = all((n - 1) * s + k <= size for n, s, k, size in zip(out_hw, step, window, conv_hw))
    if (
        batch == 0 or groups != 1 or not 1 <= taps <= tuning.POOLED_TERMS or features < rows
        or border != (0, 0) or spread_out != (1, 1) or not inside
        or window[0] > step[0] or window[1] > step[1] or window[0] * window[1] > tuning.POOLED_CELLS
    ):
        return None
    sides = zip((height, width), (kh, kw), stride, padding, dilation, window, step, out_hw)
    ah, aw = (_pooled_axis(*side) for side in sides)
    row = aw.outputs + aw.reach // aw.step
    block_h = blocks_of(ah.outputs, tuning.POOLED_WINDOWS // row)
    if batch * -(-ah.outputs // block_h) < tuning.CONV_PIECES:
        least = -(-cols // row)
        block_h = blocks_of(ah.outputs, max(least, -(-ah.outputs * batch // tuning.CONV_PIECES)))
    where = flat_layout(channels, ah, aw, block_h)
    offsets = where.offsets.reshape(window[0] * window[1], taps)
    pieces = min(tuning.CONV_PIECES, batch)
    block_f = -(-features * pieces // tuning.CONV_PIECES)
    block_f += -block_f % TOGETHER
    flops = 2 * offsets.size * features * row * block_h
    return ShortPlan(
        (offsets, where.reads), np.arange(rows, dtype=np.int64) * taps, (rows, cols), block_h,
        per_chunk(2 * flops), pieces, block_f,
        per_chunk(flops * -(-ah.outputs // block_h) * block_f / features * batch / pieces),
        (where.plane, where.cells, (ah.low, ah.step, ah.outputs), (aw.low, aw.step, aw.outputs)),
    )


def short_pool(
    plan: ShortPlan, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, y: np.ndarray,
    places: np.ndarray, nowhere: int,
) -> None:
    """y = max_pool2d(relu(conv2d(x, w, bias))) and the places of the maxima, for such a plan."""
    rows, cols = plan.tile
    features = w.shape[0]
    start = np.zeros((features + rows, cols), x.dtype)
    if bias is not None:
        start[:features] = bias[:, None]
    items = x.shape[0] * -(-y.shape[2] // plan.block_h)
    parallel(
        short_pool_range, items, x, w.reshape(-1), start.reshape(-1), y.reshape(-1),
        places.reshape(-1), *plan.tables, plan.row, (features, plan.block_h), plan.tile,
        *plan.places, nowhere, grain=plan.grain,
    )


def short_pool_grad(
    plan: ShortPlan, g: np.ndarray, places: np.ndarray, x: np.ndarray, nowhere: int
) -> tuple[np.ndarray, np.ndarray]:
    """(gw (F, taps), gb (F,)): the gradients for weight and bias."""
    features = g.shape[1]
    parts_w = np.empty((plan.pieces, features, plan.tables[0].shape[1]), g.dtype)
    parts_b = np.empty((plan.pieces, features), g.dtype)
    tasks = plan.pieces * -(-features // plan.block_f)
    parallel(
        short_pool_grad_range, tasks, g.reshape(-1), places.reshape(-1), x, parts_w, parts_b,
        *plan.tables, (plan.block_h, plan.block_f), *plan.places, nowhere, grain=plan.grad_grain,
    )
    return np.add.reduce(parts_w), np.add.reduce(parts_b)
