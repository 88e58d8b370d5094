"""Convolutions with one or two outputs a group, depthwise above all: vectors along image rows.

Here a number of the image meets few weights, so that moving numbers is the work: the stencils of
stencil.py read the image and write the result in place, 8 rows by one vector at a time.

    y[f, u, v] = bias[f] + sum over taps of w[f, tap] * image(u, v, tap)
    gw[f, tap] = sum over images, u, v of g[f, u, v] * image(u, v, tap)

The gradient of the image is the first formula again, once for each remainder of row and column
modulo the stride.

Not here: steps beyond 2 along a row, machines without masked loads (flat.py); checks.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ... import tuning
from ..jit import jit
from ..simd.flat import flush, tail
from ..parallel import parallel
from ..rowwise.sums import add_row_sums
from .geometry import Axis, blocks_of, landing, per_chunk, zero_rows
from .stencil import (
    ROWS, dots, dots_of_three, dots_reading_second, stencil, stencil_lanes, stencil_of_three,
    stencil_reading_second, stencil_writing_second,
)

_HELD = 256  # products that a lane adds in its own precision before float64 takes over


def why_not_depthwise(aw: Axis, dtype: np.dtype) -> str | None:
    """Why this file cannot do a convolution with these rows; None if it can."""
    if stencil_lanes(dtype) == 0:
        return "this machine has no masked loads"
    if aw.step > 2 or aw.out_step > 2:
        return "the step along a row is more than 2"
    return None


class Taps(NamedTuple):
    """The taps (c, i, j) of all phases as stencil.py wants them.

    phases: for each its first tap of three rows, their number and reach, the same of the single
    taps, its first weight, and where its output 0 lands. table: (plane, down, right) of each tap.
    order: the weights (c, i, j), one after the other.
    """

    phases: np.ndarray
    table: np.ndarray
    order: np.ndarray


def _by_three(shifts: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Tap rows as runs of three, 1 apart: the first of each run; and those that are left."""
    left = sorted(range(len(shifts)), key=lambda i: shifts[i])
    runs = []
    while len(left) >= 3:
        if shifts[left[2]] - shifts[left[0]] == 2 and len({shifts[i] for i in left[:3]}) == 3:
            runs += left[:3]
            left = left[3:]
        else:
            break
    return runs, left


@functools.lru_cache(maxsize=256)
def _taps(channels: int, ah: Axis, aw: Axis, kh: int, kw: int) -> Taps:
    plane = ah.size * aw.size
    phases: list[tuple[int, ...]] = []
    table: list[tuple[int, int, int]] = []
    order: list[int] = []
    for ph in ah.phases:
        runs, left = _by_three(ph.shifts)
        if ah.step != 1 or aw.step != 1 or aw.out_step != 1:
            runs, left = [], list(range(len(ph.shifts)))
        for pw in aw.phases:
            first, first_weight, reach = len(table), len(order), [0, 0]
            for many, tap_rows, rows in ((0, 3, runs), (1, 1, left)):
                for c in range(channels):
                    for r in range(0, len(rows), tap_rows):
                        down = ph.shifts[rows[r]] - ah.low
                        reach[many] = max(reach[many], down)
                        for j, shift in zip(pw.taps, pw.shifts):
                            table.append((c * plane, down, shift - aw.low))
                            order += [
                                (c * kh + ph.taps[i]) * kw + j for i in rows[r : r + tap_rows]
                            ]
            threes = channels * len(runs) // 3 * len(pw.taps)
            phases.append((first, threes, reach[0], first + threes, len(table) - first - threes,
                           reach[1], first_weight, ph.start, pw.start))
    return Taps(np.array(phases, np.int64), np.array(table, np.int64).ravel(),
                np.array(order, np.int64))


@jit
def depthwise_range(
    start, stop, x, w, bias, out, phases, table, block_h, groups, lanes, ah, aw
):
    """Items start .. stop - 1; an item is (image, group, rows).

    x (N, C, H, W), out (N, F, ., .), w (F, C * taps) and phases, table: see Taps, bias (F, lanes):
    each number all along a row. ah, aw: as in tiles.correlate_range.

    Limit: bytes, x read and out written once. Measured on two cores, float32, 1024 images of 56 x
    56 under 3x3 taps: 26 MB in 0.7 ms (1.1 on one core), where NumPy copies as much in 0.51; images
    of 28 x 28 with stride 2: 4 MB in 0.2 ms (0.25 on one core).
    """
    low_h, step_h, _, count_h, out_step_h = ah
    low_w, step_w, _, count_w, out_step_w = aw
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    size = x.shape[2], x.shape[3]
    height, width = out.shape[2], out.shape[3]
    pieces_h = (count_h + block_h - 1) // block_h
    untouched = False  # outputs that no tap reaches: with a stride, kernel 1x1
    for phase in range(phases.shape[0]):
        untouched = untouched or phases[phase, 1] + phases[phase, 4] == 0
    for item in range(start, stop):
        first_h = item % pieces_h * block_h
        group = item // pieces_h % groups
        n = item // pieces_h // groups
        image = tail(x, (n * groups + group) * channels * size[0] * size[1])
        tall = min(block_h, count_h - first_h)
        for f in range(group * features, group * features + features):
            to = tail(out, (n * out.shape[1] + f) * height * width)
            if untouched:
                begin = first_h * out_step_h
                end = min(height, (first_h + tall) * out_step_h)
                zero_rows(to, 0, 1, height * width, begin * width, (end - begin) * width)
            for phase in range(phases.shape[0]):
                first_3, threes, reach_3 = phases[phase, 0], phases[phase, 1], phases[phase, 2]
                first_1, singles, reach_1 = phases[phase, 3], phases[phase, 4], phases[phase, 5]
                start_h, start_w = phases[phase, 7], phases[phase, 8]
                taps_3, taps_1 = tail(table, 3 * first_3), tail(table, 3 * first_1)
                weights_3 = tail(w, f * w.shape[1] + phases[phase, 6])
                weights_1 = tail(weights_3, 3 * threes)
                to_u = first_h + landing(start_h + first_h * out_step_h, out_step_h, tall, height)
                to_v = landing(start_w, out_step_w, count_w, width)
                for u in range(first_h, to_u, ROWS):
                    for v in range(0, to_v, lanes):
                        counts = min(ROWS, to_u - u), min(lanes, to_v - v)
                        origin = u * step_h + low_h, v * step_w + low_w
                        at = (start_h + u * out_step_h) * width + start_w + v * out_step_w
                        c, ldc = tail(to, at), out_step_h * width
                        begin_at, lds = tail(bias, f * lanes), 0
                        if threes:
                            stencil_of_three(
                                image, size, origin, 1, reach_3, threes, taps_3, weights_3,
                                begin_at, lds, c, ldc, counts,
                            )
                            begin_at, lds = c, ldc
                        if singles == 0:
                            continue
                        if out_step_w == 2:
                            stencil_writing_second(
                                image, size, origin, step_h, reach_1, singles, taps_1, weights_1,
                                begin_at, lds, c, ldc, counts,
                            )
                        elif step_w == 2:
                            stencil_reading_second(
                                image, size, origin, step_h, reach_1, singles, taps_1, weights_1,
                                begin_at, lds, c, ldc, counts,
                            )
                        else:
                            stencil(
                                image, size, origin, step_h, reach_1, singles, taps_1, weights_1,
                                begin_at, lds, c, ldc, counts,
                            )
        # Mentioned once more in each turn: views count no reference (flat.tail).
        tail(x, 0), tail(w, 0), tail(bias, 0), tail(table, 0), tail(out, 0)


def correlate_depthwise(
    x: np.ndarray,
    w: np.ndarray,
    from_inputs: bool,
    bias: np.ndarray | None,
    ah: Axis,
    aw: Axis,
    out: np.ndarray,
    groups: int,
) -> None:
    """As tiles.correlate_tiles; w (F, C // groups, KH, KW)."""
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    kh, kw = w.shape[2:]
    taps = _taps(channels, ah, aw, kh, kw)
    if from_inputs:
        w = w.reshape(groups, channels, features, kh, kw).swapaxes(1, 2)
    weights = w.reshape(out.shape[1], channels * kh * kw).take(taps.order, axis=1)
    lanes = stencil_lanes(x.dtype)
    start = np.zeros((out.shape[1], lanes), x.dtype)
    if bias is not None:
        start[:] = bias[:, None]
    images = x.shape[0] * groups
    block_h = ah.outputs
    if images < tuning.CONV_PIECES:  # then images are cut, into whole stencils
        rows = -(-ah.outputs // ROWS)
        block_h = ROWS * blocks_of(rows, rows * images // tuning.CONV_PIECES)
    items = images * -(-ah.outputs // block_h)
    flops = tuning.DEPTHWISE_COST * 2 * block_h * aw.outputs * features * channels * kh * kw
    parallel(
        depthwise_range, items, x, weights, start, out, taps.phases, taps.table, block_h, groups,
        lanes, (*ah.numbers, ah.out_step), (*aw.numbers, aw.out_step), grain=per_chunk(flops),
    )


@jit
def grad_w_plane(g, x, gw, f, c, first_c, taps, ah, aw):
    """gw[f, c] (KH, KW) number by number: where the image holds an inf, beyond which zeros end.

    A zero of the padding is multiplied; what no output reads is not. taps: (down, right) of each.
    """
    low_h, step_h, _, count_h = ah
    low_w, step_w, _, count_w = aw
    to = gw[f, c]
    for t in range(to.size):
        total = x.dtype.type(0)
        for n in range(x.shape[0]):
            for u in range(count_h):
                h = u * step_h + low_h + taps[t, 0]
                for v in range(count_w):
                    column = v * step_w + low_w + taps[t, 1]
                    value = x.dtype.type(0)
                    if 0 <= h < x.shape[2] and 0 <= column < x.shape[3]:
                        value = x[n, first_c + c, h, column]
                    total += g[n, f, u, v] * value
        to[t] = total


@jit
def grad_w_depthwise_range(
    start, stop, g, x, gw, gb, phases, table, order, places, groups, lanes, ah, aw
):
    """Items start .. stop - 1 of gw (F, C, taps); an item is (output, channel of its group).

    gb (1, F), float64 zeros: gets the sums of g, unless it is empty.

    phases, table, order: the Taps of one channel; places: (down, right) of each. Sums run along
    images, then rows, lane by lane, and now and then to float64; the lanes are added last. Limit:
    bytes, as depthwise_range.
    """
    low_h, step_h, _, count_h = ah
    low_w, step_w, _, count_w = aw
    channels, features = x.shape[1] // groups, g.shape[1] // groups
    size = x.shape[2], x.shape[3]
    threes, singles = phases[0, 1], phases[0, 4]
    sums = np.empty(order.size * lanes, x.dtype)
    wide = np.empty(order.size * lanes, np.float64)
    for item in range(start, stop):
        f, c = item // channels, item % channels
        first_c = f // features * channels
        sums[:] = 0
        wide[:] = 0
        held, flushed = 0, False
        for n in range(x.shape[0]):
            image = tail(x, (n * x.shape[1] + first_c + c) * size[0] * size[1])
            for u in range(0, count_h, ROWS):
                for v in range(0, count_w, lanes):
                    at = ((n * g.shape[1] + f) * count_h + u) * count_w + v
                    grads = tail(g, at)
                    counts = min(ROWS, count_h - u), min(lanes, count_w - v)
                    origin = u * step_h + low_h, v * step_w + low_w
                    if threes:
                        dots_of_three(
                            image, size, origin, 1, phases[0, 2], threes, tail(table, 0), grads,
                            count_w, tail(sums, 0), counts,
                        )
                    if singles:
                        some, to = tail(table, 3 * threes), tail(sums, 3 * threes * lanes)
                        if step_w == 2:
                            dots_reading_second(
                                image, size, origin, step_h, phases[0, 5], singles, some, grads,
                                count_w, to, counts,
                            )
                        else:
                            dots(
                                image, size, origin, step_h, phases[0, 5], singles, some, grads,
                                count_w, to, counts,
                            )
                    held += ROWS
                    if held >= _HELD:
                        flush(sums, wide, sums.size)
                        held, flushed = 0, True
            if gb.size > 0 and c == 0:  # now that these numbers are in a cache
                plane = count_h * count_w
                add_row_sums(tail(g, (n * g.shape[1] + f) * plane), 0, 1, plane, tail(gb, f))
            tail(x, 0), tail(g, 0), tail(table, 0)  # see depthwise_range
        if flushed:
            for i in range(sums.size):
                sums[i] = wide[i] + sums[i]
        finite = True
        for t in range(order.size):
            total = x.dtype.type(0)
            for lane in range(lanes):
                total += sums[t * lanes + lane]
            gw[f, c, order[t]] = total
            finite = finite and np.isfinite(total)
        if not finite:  # zeros beyond the last row of g may have met an inf
            grad_w_plane(g, x, gw, f, c, first_c, places, ah, aw)


@functools.lru_cache(maxsize=256)
def _tap_places(ah: Axis, aw: Axis) -> np.ndarray:
    """(down, right) of each tap. Remembered: 30 us of NumPy."""
    down, right = (np.array(a.phases[0].shifts, np.int64) - a.low for a in (ah, aw))
    return np.stack([np.repeat(down, right.size), np.tile(right, down.size)], axis=1)


def grad_w_depthwise(
    g: np.ndarray, x: np.ndarray, kh: int, kw: int, ah: Axis, aw: Axis, groups: int, bias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """gw (F, C // groups, KH * KW) for few outputs a group; gb (1, F), or (1, 0) without bias."""
    channels = x.shape[1] // groups
    gw = np.empty((g.shape[1], channels, kh * kw), g.dtype)
    gb = np.zeros((1, g.shape[1] if bias else 0))
    taps = _taps(1, ah, aw, kh, kw)
    flops = tuning.DEPTHWISE_COST * 2 * g.size // g.shape[1] * kh * kw
    parallel(
        grad_w_depthwise_range, g.shape[1] * channels, g, x, gw, gb, *taps, _tap_places(ah, aw),
        groups, stencil_lanes(x.dtype), ah.numbers, aw.numbers, grain=per_chunk(flops),
    )
    return gw, gb
