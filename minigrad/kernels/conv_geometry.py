"""Where a convolution reads and writes: two tables of offsets say it all.

An output position p and a tap t of the kernel (c, i, j) meet at one number of the image:

    image[positions[p] + taps[t]]

whatever the stride (it is in `positions`), the dilation (in `taps`) and the padding (the image is
copied once with zeros around it, unless there is no padding). The three passes are then products
over these two tables, see conv.py and conv_grad_w.py.

Not here: the products; the blocks of a pass whose outputs have few channels (conv_few.py).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from .jit import jit
from .rows import copy, tail

Pair = tuple[int, int]

POSITIONS = 512  # outputs of an item: with 64 channels, 128 KiB of sums in a second-level cache
PIECES = 8  # least number of items that we like to cut a pass into: a constant, not the threads
GRAIN_FLOPS = 3_000_000  # work too small to share: 20 to 30 us on one core


class Axis(NamedTuple):
    """How outputs and taps meet along one axis (rows or columns) of a source of `size`.

    Tap i of output u = 0 .. count - 1 reads element u * step + shifts[i], zero outside of the
    source. The output lands at out_start + u * out_step of the result.
    """

    size: int
    count: int  # type: ignore[assignment]  # hides tuple.count
    step: int
    shifts: tuple[int, ...]
    out_start: int = 0
    out_step: int = 1

    @property
    def low(self) -> int:
        """The first element that output 0 reads; negative in the padding."""
        return min(self.shifts)

    @property
    def reach(self) -> int:
        """How far apart the first and the last tap are."""
        return max(self.shifts) - min(self.shifts)

    def cells(self, outputs: int) -> int:
        """How many elements that many neighbouring outputs read."""
        return (outputs - 1) * self.step + self.reach + 1

    @property
    def inside(self) -> bool:
        """Whether no output reads beyond the source."""
        return self.low >= 0 and self.low + self.cells(self.count) <= self.size


@functools.lru_cache(maxsize=256)
def forward_axis(size: int, taps: int, stride: int, pad: int, dilation: int, count: int) -> Axis:
    """The axis of y: output u, tap i reads x[u * stride + i * dilation - pad]."""
    return Axis(size, count, stride, tuple(i * dilation - pad for i in range(taps)))


@functools.lru_cache(maxsize=256)
def backward_axes(
    size: int, taps: int, stride: int, pad: int, dilation: int, outputs: int
) -> tuple[tuple[tuple[int, ...], Axis], ...]:
    """The axes of gx, one for each remainder modulo the stride, and the taps that reach it.

    Element e of x sits at e + pad = q * stride + a of the padded image; tap i meets it only if
    i * dilation = d * stride + a for some d, and then in the output q - d of g. The elements of
    one remainder a are q = first, first + 1, ...: neighbours in g, `stride` apart in gx. size: that
    of x; outputs: that of g.
    """
    axes = []
    for a in range(stride):
        used = tuple(i for i in range(taps) if i * dilation % stride == a)
        first = -((a - pad) // stride)  # the least q with q * stride + a - pad >= 0
        start = first * stride + a - pad
        count = len(range(start, size, stride))
        if count > 0:
            shifts = tuple(first - i * dilation // stride for i in used)
            axes.append((used, Axis(outputs, count, 1, shifts, start, stride)))
    return tuple(axes)


class Layout(NamedTuple):
    """How the source of a pass is read, item by item; an item is `blocks` images x rows of outputs.

    positions: of the outputs (image, u, v) of an item. taps: of (c, i, j) in a group's channels.
    pitches: numbers from one row, channel and image to the next.
    in_place: the source itself is read, as there is no padding; else a copy in the cache.
    """

    positions: np.ndarray
    taps: np.ndarray
    blocks: Pair
    pitches: tuple[int, int, int]
    in_place: bool

    def items(self, batch: int, rows: int) -> int:
        """How many items cover a batch."""
        return -(-batch // self.blocks[0]) * -(-rows // self.blocks[1])


@functools.lru_cache(maxsize=256)
def layout(batch: int, channels: int, groups: int, ah: Axis, aw: Axis) -> Layout:
    """The tables for `channels` a group. Remembered: it costs 20 us to make."""
    block_h = blocks_of(ah.count, POSITIONS // aw.count)
    block_n = 1
    if block_h == ah.count:  # small images share an item, so that few places of a tile are wasted
        block_n = blocks_of(batch, min(POSITIONS // (ah.count * aw.count), -(-batch // PIECES)))
    in_place = False
    row = aw.size if in_place else aw.cells(aw.count)
    plane = row * (ah.size if in_place else ah.cells(block_h))
    image = plane * channels * (groups if in_place else 1)
    n, u, v = np.ix_(range(block_n), range(block_h), range(aw.count))
    positions = n * image + u * (ah.step * row) + v * aw.step
    c, i, j = np.ix_(range(channels), ah.shifts, aw.shifts)
    taps = c * plane + (i - ah.low) * row + (j - aw.low)
    return Layout(
        positions.ravel().astype(np.int64, copy=False),
        taps.ravel().astype(np.int64, copy=False),
        (block_n, block_h),
        (row, plane, image),
        in_place,
    )


def blocks_of(total: int, at_most: int) -> int:
    """The size of equal blocks of at most `at_most` that cover `total` (the last may be short)."""
    pieces = -(-total // max(1, min(at_most, total)))
    return -(-total // pieces)


def per_chunk(flops: float) -> int:
    """How many items of so many flops are worth a chunk of their own."""
    return max(1, math.ceil(GRAIN_FLOPS / max(1.0, flops)))


@jit
def pack_padded(x, n, first_c, channels, first_h, first_w, cells_h, cells_w, out):
    """out (channels, cells_h, cells_w) = x[n, first_c:, first_h:, first_w:], zeros outside of x.

    out is flat and was zeros when it was made: cells that lie left or right of x are not written.
    Limit: bytes; a copy in rows.
    """
    height, width = x.shape[2], x.shape[3]
    begin = min(max(-first_w, 0), cells_w)
    count = max(min(width - first_w, cells_w) - begin, 0)
    if count == width == cells_w and first_h >= 0 and first_h + cells_h <= height:
        for c in range(channels):  # whole rows: one run a channel
            at = ((n * x.shape[1] + first_c + c) * height + first_h) * width
            copy(tail(x, at), tail(out, c * cells_h * cells_w), cells_h * cells_w)
        return
    for c in range(channels):
        plane = ((n * x.shape[1]) + first_c + c) * height
        for q in range(cells_h):
            cells = tail(out, (c * cells_h + q) * cells_w + begin)
            h = first_h + q
            if h < 0 or h >= height:
                for i in range(count):
                    cells[i] = 0
            elif count > 0:
                copy(tail(x, (plane + h) * width + first_w + begin), cells, count)
