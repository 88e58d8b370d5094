"""Where a convolution reads and writes: two tables of offsets say it all.

An output position p and a tap t of the kernel (c, i, j) meet at one number of the image:

    image[positions[p] + taps[t]]

whatever the stride (it is in `positions`), the dilation (in `taps`) and the padding (the image is
copied once with zeros around it, unless there is no padding). The three passes are then products
over these two tables, see tiles.py and grad_w_tiles.py.

Not here: the products; the blocks of the other ways to do them (flat.py,
depthwise.py).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from ... import tuning
from ..jit import jit
from ..simd.flat import copy_rows, tail
from ..simd.tile import narrow_tile, tile

Pair = tuple[int, int]


class Phase(NamedTuple):
    """Outputs that the same taps reach: u = 0, 1, ... lands at start + u * out_step of the result.

    Tap taps[i] of output u reads element u * step + shifts[i] of the source, zero outside of it.
    """

    taps: tuple[int, ...]
    shifts: tuple[int, ...]
    start: int


class Axis(NamedTuple):
    """How outputs and taps meet along one axis (rows or columns) of a source of `size`.

    outputs: how many u a phase has. step, out_step: from one output to the next, in the source
    and in the result. low: the first element that any tap of output 0 reads, negative in the
    padding; reach: how far away the last one is.
    """

    size: int
    outputs: int
    step: int
    out_step: int
    low: int
    reach: int
    phases: tuple[Phase, ...]

    def cells(self, count: int) -> int:
        """How many elements that many neighbouring outputs read."""
        return (count - 1) * self.step + self.reach + 1

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """What a kernel needs to know: low, step, reach, count."""
        return self.low, self.step, self.reach, self.outputs

    @property
    def reads_all(self) -> bool:
        """Whether output u reads element u alone, for all elements: phases of one tap at most."""
        return self.reach == self.low == 0 and self.step == 1 and self.outputs == self.size


def _axis(size: int, count: int, step: int, out_step: int, phases: list[Phase]) -> Axis:
    shifts = [shift for phase in phases for shift in phase.shifts]
    low, high = min(shifts, default=0), max(shifts, default=0)
    return Axis(size, count, step, out_step, low, high - low, tuple(phases))


@functools.lru_cache(maxsize=256)
def forward_axis(size: int, taps: int, stride: int, pad: int, dilation: int, count: int) -> Axis:
    """The axis of y: output u, tap i reads x[u * stride + i * dilation - pad]."""
    shifts = tuple(i * dilation - pad for i in range(taps))
    return _axis(size, count, stride, 1, [Phase(tuple(range(taps)), shifts, 0)])


@functools.lru_cache(maxsize=256)
def backward_axis(size: int, taps: int, stride: int, pad: int, dilation: int, outputs: int) -> Axis:
    """The axis of gx, with one phase for each remainder modulo the stride.

    Element e of x sits at e + pad = q * stride + a of the padded image; tap i meets it only if
    i * dilation = d * stride + a for some d, and then in the output q - d of g. The elements of
    one remainder a are neighbours in g, `stride` apart in gx, from one of the first `stride`
    elements on; so outputs u of all phases are one run of gx. size: that of x; outputs: that of g.
    """
    phases = []
    for a in range(stride):
        used = tuple(i for i in range(taps) if i * dilation % stride == a)
        first = -((a - pad) // stride)  # the least q with q * stride + a - pad >= 0
        shifts = tuple(first - i * dilation // stride for i in used)
        phases.append(Phase(used, shifts, first * stride + a - pad))
    return _axis(outputs, -(-size // stride), 1, stride, phases)


def tap_order(ah: Axis, aw: Axis, kw: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The taps i * kw + j phase by phase, and where each phase begins among them (and the end)."""
    order: list[int] = []
    begins = [0]
    for ph in ah.phases:
        for pw in aw.phases:
            order += [i * kw + j for i in ph.taps for j in pw.taps]
            begins.append(len(order))
    return tuple(order), tuple(begins)


class Layout(NamedTuple):
    """How the source of a pass is read, item by item; an item is `blocks` images x rows of outputs.

    positions: of the outputs (image, u, v) of an item. taps: of (phase, c, i, j) in a group's
    channels. pitches: numbers from one row, channel and image of the padded copy to the next.
    """

    positions: np.ndarray
    taps: np.ndarray
    blocks: Pair
    pitches: tuple[int, int, int]

    def items(self, batch: int, rows: int) -> int:
        """How many items cover a batch."""
        return -(-batch // self.blocks[0]) * -(-rows // self.blocks[1])


@functools.lru_cache(maxsize=256)
def layout(batch: int, channels: int, ah: Axis, aw: Axis) -> Layout:
    """The tables for `channels` a group. Remembered: it costs 20 us to make."""
    block_h = blocks_of(ah.outputs, tuning.CONV_POSITIONS // aw.outputs)
    block_n = 1
    if block_h == ah.outputs:  # small images share an item, so that few places of a tile are wasted
        most = tuning.CONV_POSITIONS // (ah.outputs * aw.outputs)
        block_n = blocks_of(batch, min(most, -(-batch // tuning.CONV_PIECES)))
    row = aw.cells(aw.outputs)
    plane = row * ah.cells(block_h)
    image = plane * channels
    n, u, v = np.ix_(range(block_n), range(block_h), range(aw.outputs))
    positions = n * image + u * (ah.step * row) + v * aw.step
    taps = []
    for ph in ah.phases:
        for pw in aw.phases:
            c, i, j = np.ix_(range(channels), ph.shifts, pw.shifts)
            taps.append((c * plane + (i - ah.low) * row + (j - aw.low)).ravel())
    return Layout(
        positions.ravel().astype(np.int64, copy=False),
        np.concatenate(taps).astype(np.int64, copy=False),
        (block_n, block_h),
        (row, plane, image),
    )


@functools.lru_cache(maxsize=256)
def phase_table(channels: int, ah: Axis, aw: Axis) -> np.ndarray:
    """For each phase of outputs: its first tap in a table, its number of taps, its two starts."""
    rows, first = [], 0
    for ph in ah.phases:
        for pw in aw.phases:
            taps = channels * len(ph.taps) * len(pw.taps)
            rows.append((first, taps, ph.start, pw.start))
            first += taps
    return np.array(rows, np.int64)


@jit(inline=True)
def landing(start, step, count, size):
    """How many of `count` outputs, `step` apart from `start` on, land in a result of `size`."""
    if start + (count - 1) * step < size:  # a division takes as long as 40 multiply-adds in vectors
        return count
    return max((size - 1 - start) // step + 1, 0)


def blocks_of(total: int, at_most: int) -> int:
    """The size of equal blocks of at most `at_most` that cover `total` (the last may be short)."""
    pieces = -(-total // max(1, min(at_most, total)))
    return -(-total // pieces)


def per_chunk(flops: float) -> int:
    """How many items of so many flops are worth a chunk of their own."""
    return max(1, math.ceil(tuning.CONV_GRAIN / max(1.0, flops)))


@jit
def pack_padded(x, n, first_c, channels, first_h, first_w, cells_h, cells_w, out):
    """out (channels, cells_h, cells_w) = x[n, first_c:, first_h:, first_w:], zeros outside of x.

    out is flat and was zeros when it was made: cells that lie left or right of x are not written.
    Limit: bytes; a copy in rows.
    """
    height, width = x.shape[2], x.shape[3]
    begin = min(max(-first_w, 0), cells_w)
    count = max(min(width - first_w, cells_w) - begin, 0)
    top = min(max(-first_h, 0), cells_h)  # rows above x
    tall = max(min(height - first_h, cells_h) - top, 0)
    plane, first = cells_h * cells_w, (n * x.shape[1] + first_c) * height * width
    if count == width == cells_w and tall == cells_h:  # whole rows: one run a channel
        at = first + first_h * width
        copy_rows(tail(x, at), height * width, out, plane, channels, plane)
        return
    if tall < cells_h:
        zero_rows(out, 0, channels, plane, 0, top * cells_w)
        zero_rows(out, 0, channels, plane, (top + tall) * cells_w, (cells_h - top - tall) * cells_w)
    if tall * count == 0:
        return
    first += (first_h + top) * width + first_w + begin
    for c in range(channels):
        copy_rows(
            tail(x, first + c * height * width), width,
            tail(out, c * plane + top * cells_w + begin), cells_w, tall, count,
        )


@jit
def zero_rows(out, first, channels, plane, begin, length):
    """Zeros in numbers begin .. begin + length - 1 of planes first .. first + channels - 1."""
    for f in range(first, first + channels):
        run = tail(out, f * plane + begin)
        for i in range(length):
            run[i] = 0


KINDS = ("narrow", "wide")


@jit(inline=True)
def any_tile(kind, a, row, ka, b, kb, kc, start, lds, c, ldc):
    """The tile of KINDS[kind]; see tile.py."""
    if kind == 0:
        narrow_tile(a, row, ka, b, kb, kc, start, lds, c, ldc)
    else:
        tile(a, row, ka, b, kb, kc, start, lds, c, ldc)
