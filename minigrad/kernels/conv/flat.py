"""Convolutions with channels as the rows of the tile and positions as its columns.

Vectors lie along the rows of an image here, where those of tiles.py lie along the channels. The
padded image is one flat row a channel, so that a tap is an offset into it, for all positions p:

    y[f, p] = bias[f] + sum over taps t of w[f, t] * image[offset[t] + p]

Weights are read where they lie and results come out as they are stored: nothing is packed by
channels or turned, which costs most where sums are short (kernels 1x1, few channels in). Nor must
the channels fill vectors (few channels out, depthwise). The price: vectors straddle cache lines,
so that the tile is one with few of them to load (tile.long_tile).

Between two rows of the padded image lie a few positions that are computed and thrown away. Where
there are many results to each number of the image, each column of taps has a copy of the image of
its own instead, of rows as long as those of the result: then the tile stores into the result
itself. 3 channels to 32, 3x3, 56 x 56, take 57 us an image this way and 80 on tiles.py; 16
channels to 16, to which copying three times is dear, 140 and 138.

A kernel 1x1 without stride and padding has no such positions: there the image itself is read and
the result itself is written. A stride s first sorts the rows and columns of the image by their
remainder modulo s; the gradient of the image, whose outputs have one, puts them back in order.

Not here: long sums (tiles.py), the gradient of the weights (grad_w.py).
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np

from ... import tuning
from ..jit import jit
from ..simd.flat import tail
from ..simd.strided import put, take
from ..simd.tile import long_tile, narrow_tile, tile, tile_shape
from ..parallel import one_each, parallel
from ..parallel.scratch import arena_for, claim, release
from .geometry import (
    Axis, Pair, blocks_of, landing, per_chunk, phase_table, tap_order, zero_rows,
)


@jit
def pack_phase(x, n, c, first, steps, cells, out):
    """out[q, r] = x[n, c, first_h + q*sh, first_w + r*sw], zeros outside of x.

    first, steps, cells: of rows and columns. out is flat and was zeros when it was made: cells left
    and right of x are not written.
    """
    height, width = x.shape[2], x.shape[3]
    first_h, first_w = first
    step_h, step_w = steps
    cells_h, cells_w = cells
    begin = min(-(first_w // step_w), cells_w) if first_w < 0 else 0
    end = begin + landing(first_w + begin * step_w, step_w, cells_w - begin, width)
    top = min(-(first_h // step_h), cells_h) if first_h < 0 else 0
    bottom = top + landing(first_h + top * step_h, step_h, cells_h - top, height)
    zero_rows(out, 0, 1, 0, 0, top * cells_w)
    zero_rows(out, 0, 1, 0, bottom * cells_w, (cells_h - bottom) * cells_w)
    if end <= begin or bottom <= top:
        return
    h = (n * x.shape[1] + c) * height + first_h + top * step_h
    take(
        tail(x, h * width + first_w + begin * step_w), step_h * width, step_w,
        tail(out, top * cells_w + begin), cells_w, bottom - top, end - begin,
    )


class FlatLayout(NamedTuple):
    """How an item's source is packed. block_h: rows of outputs of an item.

    reads: remainders (row, column) modulo the stride that are read, or (remainder, column of taps).
    cells: rows and columns of one of them. plane: numbers a channel takes. offsets: of the taps
    (phase, c, i, j).
    """

    block_h: int
    reads: np.ndarray
    cells: Pair
    plane: int
    offsets: np.ndarray


@functools.lru_cache(maxsize=256)
def flat_layout(
    channels: int, ah: Axis, aw: Axis, block_h: int, apart: bool = False
) -> FlatLayout:
    """Where the taps of `channels` a group lie. apart: each column of taps has a copy of x."""
    step = aw.reach + 1 if apart else aw.step
    cells = (block_h + ah.reach // ah.step, aw.outputs + aw.reach // step)
    taps = [
        [(i - ah.low, j - aw.low) for i in ph.shifts for j in pw.shifts]
        for ph in ah.phases
        for pw in aw.phases
    ]
    reads = sorted({(i % ah.step, j % step) for some in taps for i, j in some})
    plane = len(reads) * cells[0] * cells[1]
    plane += -plane % 32 + 16  # an odd number of lines: channels do not compete for cache sets
    offsets = []
    for some in taps:
        place = [
            (reads.index((i % ah.step, j % step)) * cells[0] + i // ah.step) * cells[1] + j // step
            for i, j in some
        ]
        offsets.append(np.add.outer(np.arange(channels) * plane, np.array(place, int)).ravel())
    return FlatLayout(
        block_h,
        np.array(reads, np.int64),
        cells,
        plane,
        np.concatenate(offsets).astype(np.int64, copy=False),
    )


WIDTHS = ["narrow", "wide", "long"]


@jit(inline=True)
def tile_of_width(kind, a, row, ka, b, kb, kc, start, lds, c, ldc):
    """The tile of WIDTHS[kind]; see tile.py. 14 x 14 positions are 4 long ones and a narrow one."""
    if kind == 2:
        long_tile(a, row, ka, b, kb, kc, start, lds, c, ldc)
    elif kind == 1:
        tile(a, row, ka, b, kb, kc, start, lds, c, ldc)
    else:
        narrow_tile(a, row, ka, b, kb, kc, start, lds, c, ldc)


@jit
def flat_range(
    start, stop, x, w, bias, out, offsets, weights, phases, reads, row, blocks, tile_of, pitches,
    cells, ah, aw, arena, taken
):
    """Items start .. stop - 1; an item is (image, group, rows).

    x (N, C, H, W), out (N, F, ., .), w (F, C, KH, KW), of which weights[t] is tap t of a channel;
    bias (F + rows, columns of the long tile), each number all along a row, or one row of zeros;
    offsets, reads, cells: see FlatLayout, phases: see phase_table. row: where the rows of a tile of
    weights begin. blocks = (rows of an item, groups, in_place, direct): whether x is read and out
    is written without a copy between; tile_of = (rows, columns of each of WIDTHS); pitches: from
    one channel of the source to the next, from one of the sums to the next, and the numbers of the
    copy. ah, aw as in correlate_range.

    Limit: the tile (213 GFLOP/s of a core in float32; 92 % of it where x does not begin a cache
    line), and memory, which short sums do not hide: 128 channels of 28 x 28 to as many, kernel
    1x1, run at 155 on one core and at 316 on two, 64 of 28 x 28 at 130 and 250, where 0.3 ns a
    number for reading x and writing out take a third of the time.
    """
    block_h, groups, in_place, direct = blocks
    rows, cols = tile_of
    low_h, step_h, _, count_h, out_step_h = ah
    low_w, step_w, _, count_w, out_step_w = aw
    cells_h, cells_w = cells
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    height, width = out.shape[2], out.shape[3]
    pieces_h = (count_h + block_h - 1) // block_h
    plane, pitch, copied = pitches
    place = claim(taken)
    packed = tail(arena, place * arena.shape[1])
    zero_rows(packed, 0, 1, 0, 0, copied)
    sums = tail(packed, copied)
    lds = cols[2] if bias.shape[0] > 1 else 0
    last = np.empty(rows, np.int64)
    for r in range(rows):
        last[r] = row[min(r, (features - 1) % rows)]
    untouched = np.any(phases[:, 1] == 0)  # outputs that no tap reaches: with a stride, kernel 1x1
    for item in range(start, stop):
        first_h = item % pieces_h * block_h
        group = item // pieces_h % groups
        n = item // pieces_h // groups
        tall = min(block_h, count_h - first_h)
        length = (tall - 1) * cells_w + count_w
        first_f = n * out.shape[1] + group * features
        if in_place:
            b = tail(x, (n * x.shape[1] + group * channels) * plane + first_h * cells_w)
        else:
            b = tail(packed, 0)
            for c in range(channels):
                for i in range(reads.shape[0]):
                    pack_phase(
                        x, n, group * channels + c,
                        (first_h * step_h + low_h + reads[i, 0], low_w + reads[i, 1]),
                        (step_h, step_w), cells,
                        tail(packed, c * plane + i * cells_h * cells_w),
                    )
        if untouched:
            begin = first_h * out_step_h
            end = min(height, (first_h + tall) * out_step_h)
            zero_rows(
                out, first_f, features, height * width, begin * width, (end - begin) * width
            )
        for phase in range(phases.shape[0]):
            taps = phases[phase, 1]
            if taps == 0:
                continue
            ka, kb = tail(weights, phases[phase, 0]), tail(offsets, phases[phase, 0])
            p0 = 0
            while p0 < length:
                left = length - p0
                kind = 2 if left > cols[1] else 1 if left > cols[0] else 0
                # Where nothing is copied, nothing may be read or written beyond the image: the last
                # tiles overlap the ones before and write the same numbers again.
                p = min(p0, length - cols[kind]) if in_place or direct else p0
                p0 += cols[kind]
                for f0 in range(0, features, rows):
                    f = min(f0, features - rows) if direct else f0
                    if direct:
                        at = (first_f + f) * height * width + first_h * width + p
                        c, ldc = tail(out, at), height * width
                    else:
                        c, ldc = tail(sums, f * pitch + p), pitch
                    tile_of_width(
                        kind, tail(w, (group * features + f) * offsets.size),
                        row if f + rows <= features else last, ka, tail(b, p), kb, taps,
                        tail(bias, (group * features + f) * lds), lds, c, ldc,
                    )
            if not direct:
                start_h = phases[phase, 2] + first_h * out_step_h
                start_w = phases[phase, 3]
                kept_h = landing(start_h, out_step_h, tall, height)
                kept_w = landing(start_w, out_step_w, count_w, width)
                for f in range(features):
                    at = ((first_f + f) * height + start_h) * width + start_w
                    put(
                        tail(sums, f * pitch), cells_w,
                        tail(out, at), out_step_h * width, out_step_w, kept_h, kept_w,
                    )
    release(taken, place)
    # Mentioned once more: views count no reference (flat.tail).
    tail(x, 0), tail(w, 0), tail(bias, 0), tail(arena, 0)


def is_flat(channels: int, features: int, taps: int, ah: Axis, aw: Axis, dtype: np.dtype) -> bool:
    """Whether this way is the faster one; decided by sizes alone."""
    narrow = tile_shape(dtype, "narrow").cols
    if 2 * features < narrow:
        return True
    if ah.outputs * aw.outputs < 4 * tile_shape(dtype).cols:
        return False
    if features <= narrow or channels * taps <= (tuning.FLAT_1X1 if taps == 1 else narrow):
        return True
    numbers = features * ah.outputs * aw.outputs  # of an image's result
    return channels * taps <= tuning.FLAT_TERMS and numbers <= tuning.FLAT_SPREAD


class _Plan(NamedTuple):
    """How a correlation is cut up; it depends on sizes alone."""

    items: int
    grain: int
    rows: int
    cols: int
    geometry: tuple  # the arguments of flat_range after `out`
    scratch: int  # numbers of scratch for a thread


@functools.lru_cache(maxsize=256)
def _plan(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis,
    taps: Pair, width: int,
) -> _Plan:
    """The plan for `channels` in and `features` out a group; width: of the result."""
    rows, cols, _ = tile_shape(dtype, "long")
    kinds = tuple(tile_shape(dtype, kind).cols for kind in WIDTHS)
    # The image itself as it is, unless the lines of its channels compete for few cache sets.
    in_place = (
        ah.reads_all and aw.reads_all and ah.size * aw.size % 1024 != 0
        and ah.size * aw.size >= cols
    )
    direct = ah.out_step == aw.out_step == 1 and aw.outputs == width and features >= rows
    numbers = features * ah.outputs * aw.outputs  # of an image's result
    apart = direct and features >= tuning.FLAT_APART and numbers <= tuning.FLAT_SPREAD
    direct = direct and (apart or aw.reach == 0)
    one = flat_layout(channels, ah, aw, 1, apart)
    row = one.cells[1]
    most = tuning.FLAT_BLOCK // (row * max(features, len(one.reads) * channels))
    block_h = blocks_of(ah.outputs, most)
    if in_place and direct:
        block_h = ah.outputs  # and the result itself: nothing needs to stay in a cache
    pieces = tuning.CONV_PIECES
    if batch * groups * -(-ah.outputs // block_h) < pieces:  # but no less than two tiles
        least = -(-2 * cols // aw.outputs)
        block_h = blocks_of(ah.outputs, max(least, -(-ah.outputs * batch * groups // pieces)))
    shortest = (ah.outputs - 1) % block_h * aw.outputs + aw.outputs  # outputs of the last item
    in_place = in_place and shortest >= cols
    direct = direct and shortest >= cols
    where = flat_layout(channels, ah, aw, block_h, apart)
    order, begins = tap_order(ah, aw, taps[1])
    inside = taps[0] * taps[1]
    weights = [
        np.add.outer(np.arange(channels) * inside, np.array(order[i:j], int)).ravel()
        for i, j in itertools.pairwise(begins)
    ]
    plane = ah.size * aw.size if in_place else where.plane
    offsets = where.offsets
    if in_place:  # each phase that has a tap reads all channels, at the output itself
        phases = where.offsets.size // channels
        offsets = np.tile(np.arange(channels, dtype=np.int64) * plane, phases)
    pitch = 0 if direct else -(-(block_h * where.cells[1] + cols) // 16) * 16
    copied = 0 if in_place else -(-(channels * plane + cols + row) // 16) * 16
    geometry = (
        offsets, np.concatenate(weights).astype(np.int64, copy=False),
        phase_table(channels, ah, aw), where.reads,
        np.arange(rows, dtype=np.int64) * channels * inside,
        (block_h, groups, in_place, direct), (rows, kinds),
        (plane, pitch, copied), where.cells,
        (*ah.numbers, ah.out_step), (*aw.numbers, aw.out_step),
    )
    items = batch * groups * -(-ah.outputs // block_h)
    flops = 2 * block_h * row * features * (channels * inside + 16)  # storing counts, too
    scratch = copied + (features + rows) * pitch
    return _Plan(items, per_chunk(flops), rows, cols, geometry, scratch)


def correlate_flat(
    x: np.ndarray,
    w: np.ndarray,
    from_inputs: bool,
    bias: np.ndarray | None,
    ah: Axis,
    aw: Axis,
    taps: Pair,
    out: np.ndarray,
    groups: int,
) -> None:
    """As tiles.correlate_tiles; w (F, C // groups, KH, KW)."""
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    plan = _plan(
        x.shape[0], channels, features, groups, x.dtype, ah, aw, taps, out.shape[3]
    )
    if from_inputs:  # the outputs come first, so that the weights of one lie side by side
        w = np.ascontiguousarray(w.reshape(groups, channels, features, *taps).swapaxes(1, 2))
        w = w.reshape(out.shape[1], channels, *taps)
    start = np.zeros((1 if bias is None else out.shape[1] + plan.rows, plan.cols), x.dtype)
    if bias is not None:
        start[: out.shape[1]] = bias[:, None]
    parallel(
        flat_range, plan.items, x, w, start, out, *plan.geometry, *arena_for(plan.scratch, x.dtype),
        grain=one_each(plan.items, plan.grain),
    )
