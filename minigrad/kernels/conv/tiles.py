"""Correlation of images with kernels on the register tile, for any stride, padding and dilation.

    y[p, f] = bias[f] + sum over taps t of image[positions[p] + taps[t]] * w[t, f]

is a product of matrices whose left factor is never written down: the tile (tile.py) reads it
through the two tables of geometry.py. Its rows are positions, its columns are channels of y,
side by side; so y is computed channels last in the cache, and turned when it is stored.

The gradient of the image is the same sum: over channels of g and the taps that reach a pixel; with
a stride s, once for each remainder of the pixel's row and column modulo s.

Not here: when this is the way, and what it is compared with (conv2d.py).
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np

from ... import tuning
from ..jit import jit
from ..simd.flat import aligned, tail
from ..simd.strided import put
from ..simd.tile import tile_shape
from ..simd.transpose import square_side, transpose
from ..parallel import one_each, parallel
from ..parallel.scratch import arena_for, claim, release
from .geometry import (
    KINDS, Axis, any_tile, blocks_of, landing, layout, pack_padded, per_chunk, phase_table,
    tap_order, zero_rows,
)


@jit
def pack_weights(start, stop, w, from_inputs, places, whole, side, out):
    """Panels start .. stop - 1: the weights as the tile reads them, a row of `cols` for each tap.

    w (G, F, C, T), out (G * panels, taps, cols). Row places[t, 0] + k * places[t, 1] of a panel is
    that of tap t: forward of channel k = c of x, for output channels f = q*cols + j; for the
    gradient of the image (from_inputs) of channel k = f of g, for c = q*cols + j. Zeros beyond the
    last. whole: whether that is a matrix (F, C * T), transposed. side: square_side.
    """
    features, channels, taps = w.shape[1], w.shape[2], w.shape[3]
    cols = out.shape[2]
    outputs, inputs = (channels, features) if from_inputs else (features, channels)
    panels = (outputs + cols - 1) // cols
    rows = np.empty(taps, np.int64)
    for p in range(start, stop):
        group, first = p // panels, p % panels * cols
        count = min(cols, outputs - first)
        panel = tail(out, p * inputs * taps * cols)
        if count < cols:
            for k in range(inputs * taps):
                row = tail(panel, k * cols)
                for j in range(count, cols):
                    row[j] = 0
        if whole:
            source = tail(w, (group * features + first) * channels * taps)
            transpose(source, channels * taps, count, channels * taps, side, panel, cols)
            continue
        for k in range(inputs):
            for t in range(taps):
                rows[t] = (places[t, 0] + k * places[t, 1]) * cols
            for j in range(count):
                f, c = (k, first + j) if from_inputs else (first + j, k)
                source = tail(w, ((group * features + f) * channels + c) * taps)
                column = tail(panel, j)
                for t in range(taps):
                    column[rows[t]] = source[t]


@jit
def store_turned(sums, pitch, side, channels, turned, out, plane, rows, columns):
    """out[f, place of (u, v)] = sums[(u, v), f] for f < channels; out is flat from channel 0 on.

    sums: a row of `pitch` for each position. plane: from one channel of out to the next. rows =
    (u's, start, step, size of out) of the places, columns likewise; what lands beyond out is
    dropped. turned: room for the sums.
    """
    tall, start_h, step_h, height = rows
    wide, start_w, step_w, width = columns
    length = tall * wide
    if step_h == 1 and step_w == 1 and wide == width and start_h + tall <= height:
        transpose(sums, pitch, length, channels, side, tail(out, start_h * width), plane)
        return
    kept_h = landing(start_h, step_h, tall, height)
    kept_w = landing(start_w, step_w, wide, width)
    transpose(sums, pitch, length, channels, side, turned, length)
    for f in range(channels):
        at = f * plane + start_h * width + start_w
        put(tail(turned, f * length), wide, tail(out, at), step_h * width, step_w, kept_h, kept_w)


@jit
def correlate_range(
    start, stop, x, w, bias, out, positions, taps, phases, kb, blocks, tile_of, pitches, ah, aw,
    places, arena, taken
):
    """Items start .. stop - 1 of a correlation; an item is (images, rows, group, panels).

    x (N, C, H, W), out (N, F, ., .), w (G * panels, taps, cols), bias (G * panels, cols).
    positions, taps, pitches: see Layout; phases: see phase_table. kb: where row t of a panel
    begins. blocks = (images, rows, panels of an item, groups, taps in one go); tile_of = (rows,
    kind, square_side); ah = (low, step, reach, count, out_step) of `Axis`, and aw. places: where
    the sums, and the turned sums, begin in a place of the arena.

    One writer for each output; the order of a sum is that of the taps, whatever the blocks.

    Limit: the tile, 213 GFLOP/s of a core in float32. Measured on two cores: 5x5, 64 channels of
    28 x 28: 405; 3x3, 128 channels of 28 x 28: 395; 3x3 with stride 2: 340, its gradient 312; sums
    of 288 terms (32 channels, dilation 2): 280. The copy of the image and the turning of the
    result, some 0.5 cycles a number, are the rest.
    """
    block_n, block_h, block_f, groups, depth = blocks
    rows, kind, side = tile_of
    low_h, step_h, reach_h, count_h, out_step_h = ah
    low_w, step_w, reach_w, count_w, out_step_w = aw
    image = pitches[2]
    batch, channels, features = x.shape[0], x.shape[1] // groups, out.shape[1] // groups
    height, width = out.shape[2], out.shape[3]
    panels, cols = w.shape[0] // groups, w.shape[2]
    pieces_h = (count_h + block_h - 1) // block_h
    pieces_f = (panels + block_f - 1) // block_f
    cells_h, cells_w = (block_h - 1) * step_h + reach_h + 1, (count_w - 1) * step_w + reach_w + 1
    pitch = block_f * cols
    place = claim(taken)
    packed = tail(arena, place * arena.shape[1])
    zero_rows(packed, 0, 1, 0, 0, block_n * image)
    sums, turned = tail(packed, places[0]), tail(packed, places[1])
    last = np.empty(rows, np.int64)
    untouched = np.any(phases[:, 1] == 0)  # outputs that no tap reaches: with a stride, kernel 1x1
    in_packed = -1
    for item in range(start, stop):
        where, first_panel = item // pieces_f, item % pieces_f * block_f
        group = where % groups
        first_h = where // groups % pieces_h * block_h
        first_n = where // groups // pieces_h * block_n
        images = min(block_n, batch - first_n)
        tall = min(block_h, count_h - first_h)
        length = images * tall * count_w
        some = min(block_f, panels - first_panel)
        first_f = group * features + first_panel * cols
        count_f = min(some * cols, features - first_panel * cols)
        if where != in_packed:
            in_packed = where
            for i in range(images):
                pack_padded(
                    x, first_n + i, group * channels, channels, first_h * step_h + low_h, low_w,
                    cells_h, cells_w, tail(packed, i * image),
                )
        if untouched:
            begin = first_h * out_step_h
            end = min(height, (first_h + tall) * out_step_h)
            for i in range(images):
                zero_rows(
                    out, (first_n + i) * out.shape[1] + first_f, count_f, height * width,
                    begin * width, (end - begin) * width,
                )
        for phase in range(phases.shape[0]):
            first_tap, count = phases[phase, 0], phases[phase, 1]
            for t in range(0, count, depth):
                ka = tail(taps, first_tap + t)
                for q in range(some):
                    number = group * panels + first_panel + q
                    panel = tail(w, (number * taps.size + first_tap + t) * cols)
                    for p in range(0, length, rows):
                        at = tail(positions, p)
                        if p + rows > length:  # the last tile may not read beyond the positions
                            for r in range(rows):
                                last[r] = positions[min(p + r, length - 1)]
                            at = tail(last, 0)
                        c = tail(sums, p * pitch + q * cols)
                        if t == 0:
                            begin_at, lds = tail(bias, number * cols), 0
                        else:
                            begin_at, lds = c, pitch
                        any_tile(
                            kind, packed, at, ka, panel, kb, min(depth, count - t),
                            begin_at, lds, c, pitch,
                        )
            for i in range(images if count else 0):
                for q in range(some):
                    f = ((first_n + i) * out.shape[1]) + first_f + q * cols
                    store_turned(
                        tail(sums, i * tall * count_w * pitch + q * cols), pitch, side,
                        min(cols, count_f - q * cols), turned, tail(out, f * height * width),
                        height * width,
                        (tall, phases[phase, 2] + first_h * out_step_h, out_step_h, height),
                        (count_w, phases[phase, 3], out_step_w, width),
                    )
    release(taken, place)
    # Mentioned once more: views count no reference (flat.tail).
    tail(x, 0), tail(w, 0), tail(bias, 0), tail(out, 0), tail(arena, 0)


class _Plan(NamedTuple):
    """How a correlation is cut up; it depends on sizes alone."""

    items: int
    grain: int
    panels: int  # of weights, for all groups
    cols: int
    geometry: tuple  # the arguments of correlate_range after `out`
    scratch: int  # numbers of scratch for a thread


@functools.lru_cache(maxsize=256)
def _plan(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> _Plan:
    """The plan for `channels` in and `features` out a group."""
    where = layout(batch, channels, ah, aw)
    items = where.items(batch, ah.outputs) * groups
    kind = 0 if features <= tile_shape(dtype, "narrow").cols else 1
    if items == 1 and features <= tile_shape(dtype).cols:
        kind = 0  # two items: each thread packs the weights of its own
    rows, cols, _ = tile_shape(dtype, KINDS[kind])
    panels = -(-features // cols)
    block_f = blocks_of(panels, tuning.CONV_SUMS // (where.positions.size * cols))
    if items < tuning.CONV_PIECES:
        block_f = min(block_f, blocks_of(panels, panels * items // tuning.CONV_PIECES))
    items *= -(-panels // block_f)
    phases = phase_table(channels, ah, aw)
    depth = blocks_of(int(phases[:, 1].max()), tuning.CONV_DEPTH)
    kb = np.arange(depth, dtype=np.int64) * cols
    # Packed images, sums and turned sums, each from the beginning of a cache line on.
    sizes = (
        where.blocks[0] * where.pitches[2], (where.positions.size + rows) * block_f * cols,
        cols * where.blocks[1] * aw.outputs,
    )
    _, *places, scratch = itertools.accumulate((-(-n // 16) * 16 for n in sizes), initial=0)
    geometry = (
        where.positions, where.taps, phases, kb, (*where.blocks, block_f, groups, depth),
        (rows, kind, square_side(dtype)), where.pitches,
        (*ah.numbers, ah.out_step), (*aw.numbers, aw.out_step), tuple(places),
    )
    flops = 2 * where.positions.size * block_f * cols * where.taps.size
    return _Plan(items, per_chunk(flops), groups * panels, cols, geometry, scratch)


@functools.lru_cache(maxsize=256)
def _places(inputs: int, ah: Axis, aw: Axis, kw: int) -> np.ndarray:
    """For each tap: its first row in a panel, and from one channel to the next (pack_weights)."""
    order, begins = tap_order(ah, aw, kw)
    places = np.empty((len(order), 2), np.int64)
    for begin, end in itertools.pairwise(begins):
        for t in range(begin, end):
            places[order[t]] = begin * inputs + t - begin, end - begin
    return places


def correlate_tiles(
    x: np.ndarray,
    w: np.ndarray,
    from_inputs: bool,
    bias: np.ndarray | None,
    ah: Axis,
    aw: Axis,
    out: np.ndarray,
    groups: int,
) -> None:
    """Cut a correlation into items and run them. w (F, C // groups, KH, KW)."""
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    kh, kw = w.shape[2:]
    w = w.reshape(groups, w.shape[0] // groups, w.shape[1], kh * kw)
    plan = _plan(x.shape[0], channels, features, groups, x.dtype, ah, aw)
    panels = aligned((plan.panels, channels * kh * kw, plan.cols), x.dtype)
    parallel(
        pack_weights, plan.panels, w, from_inputs, _places(channels, ah, aw, kw), not from_inputs,
        square_side(x.dtype), panels, grain=max(1, tuning.CONV_PACK_GRAIN // panels[0].size),
    )
    start = np.zeros((plan.panels, plan.cols), x.dtype)
    if bias is not None:
        each = start.reshape(groups, -1)
        each[:, :features] = bias.reshape(groups, features)
    parallel(
        correlate_range, plan.items, x, panels, start, out, *plan.geometry,
        *arena_for(plan.scratch, x.dtype), grain=one_each(plan.items, plan.grain),
    )
