"""Winograd's convolution: 3x3 kernels, stride 1, with 16 multiplications where 36 are usual."""

from __future__ import annotations

import functools
import threading
from typing import Any, NamedTuple

import numpy as np

from .conv_geometry import PIECES, Axis, Pair, blocks_of, pack_padded
from .jit import jit
from .rows import aligned, copy, tail, to_line
from .sandwich import grid_lanes, sandwich, sandwich_of_image
from .threads import parallel
from .tile import tile, tile_shape
from .transpose import square_side, transpose

Matrix = tuple[tuple[float, ...], ...]

# y = A^T ((G w G^T) * (B^T d B)) A for each tile d of 4 x 4 pixels and its 2 x 2 outputs.
B_T: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))
G: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
A_T: Matrix = ((1, 1, 1, 0), (0, 1, -1, 1))
A: Matrix = tuple(zip(*A_T))
G_T: Matrix = tuple(zip(*G))

transform_tiles = sandwich_of_image(B_T, 2)
transform_weights = sandwich(G)
outputs_of_tiles = sandwich(A_T, step_out=2)

SPOTS = 16  # numbers of a transformed tile, each of which is a product of matrices of its own


@jit
def transform_weights_range(start, stop, w, from_inputs, flipped, side, lanes, rows, u, pitches):
    """Pairs of blocks start .. stop - 1 of u[spot, block, input, row] = G w G^T, for all 16 spots.

    w (F, C, 9); from_inputs: the channels of x are the outputs. flipped: the taps run backwards.
    A block is `rows` outputs, as the tile takes them. u: flat; pitches: from one block and one spot
    to the next.
    """
    features, channels = w.shape[0], w.shape[1]
    outputs, inputs = (channels, features) if from_inputs else (features, channels)
    step, plane = pitches
    width = 2 * rows + lanes
    turned = np.zeros(inputs * 9 * width, w.dtype)
    begin = to_line(u)
    for pair in range(start, stop):
        first = 2 * rows * pair
        some = min(2 * rows, outputs - first)
        if from_inputs:
            for k in range(inputs):
                source = tail(w, (k * channels + first) * 9)
                transpose(source, 9, some, 9, side, tail(turned, k * 9 * width), width)
        else:
            transpose(tail(w, first * channels * 9), channels * 9, some, channels * 9, side,
                      turned, width)
        for half in range(2):
            block = 2 * pair + half
            if block * rows < outputs:
                for k in range(inputs):
                    for f in range(0, rows, lanes):  # the last vector may reach into the next row
                        at = half * rows + f
                        to = tail(u, begin + block * step + k * rows + f)
                        if flipped:
                            source, down = tail(turned, (k * 9 + 8) * width + at), -width
                        else:
                            source, down = tail(turned, k * 9 * width + at), width
                        transform_weights(source, 3 * down, down, to, 4 * plane, plane)


@jit
def transform_images(first, last, x, low, tiles, lanes, v, begin, pitch, plane):
    """v[spot, c, t] = B^T d B for the tiles d of the rows first .. last - 1 of all images.

    v: flat, begins at `begin`, `pitch` from one channel and `plane` from one spot to the next.
    tiles: (rows of tiles an image, tiles a row).
    """
    tall, wide = tiles
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    blank = np.zeros(2 * lanes + 4, x.dtype)
    for c in range(channels):
        q = first
        to = begin + c * pitch
        while q < last:
            i = q % tall
            rows = min(last - q, tall - i)
            source = tail(x, (q // tall * channels + c) * height * width)
            for k in range(0, wide, lanes):
                at = max(0, min(k, wide - lanes))  # the last ones overlap those before
                for r in range(rows):
                    transform_tiles(
                        source, blank, (height, width), (2 * (i + r) + low[0], 2 * at + low[1]),
                        tail(v, to + r * wide + at), 4 * plane, plane,
                    )
            to += rows * wide
            q += rows


@jit(fastmath={"reassoc"})
def finite_run(values, count):
    """Whether values[:count] are all finite."""
    total = np.float32(0)
    for i in range(count):
        total += values[i] * np.float32(0)  # NaN if it is not
    return total == 0


@jit
def store_outputs(first, last, m, pitch, plane, tiles, lanes, pair, out, f):
    """out[n, f] = A^T m A for the tiles of the rows first .. last - 1. Whether all are finite.

    pair: room for two rows.
    """
    tall, wide = tiles
    height, width = out.shape[2], out.shape[3]
    cells = 2 * max(wide, lanes)
    fine = True
    q = first
    source = 0
    while q < last:
        i = q % tall
        rows = min(last - q, tall - i)
        begin = ((q // tall * out.shape[1] + f) * height + 2 * i) * width
        count = min(2 * rows, height - 2 * i) * width
        y = tail(out, begin)
        for r in range(rows):
            at = 2 * r * width
            inside = at + width + cells <= count
            # A vector may reach into the rows below, which are written later, but not further:
            # then, and where rows would meet in the wrong order, the two rows are made aside.
            direct = inside and (cells == width or wide <= lanes)
            to = tail(y, at) if direct else pair
            step = width if direct else cells
            for j in range(0, wide, lanes):
                k = max(0, min(j, wide - lanes))
                outputs_of_tiles(tail(m, source + k), 4 * plane, plane, tail(to, 2 * k), step, 1)
            if not direct:
                copy(pair, tail(y, at), width)
                if 2 * i + 2 * r + 1 < height:
                    copy(tail(pair, cells), tail(y, at + width), width)
            source += wide
        fine &= finite_run(y, count)
        q += rows
    return fine


@jit
def winograd_range(
    start, stop, x, u, start_of, out, fine, low, tiles, block, cols_of, rows_of, ka, kb, sizes, scratch
):
    """Items start .. stop - 1, an item being `block` rows of tiles."""
    tall, wide = tiles
    lanes, features, pitch, plane, u_step, u_plane = sizes
    rows, cols, per_group = rows_of.size, cols_of, kb.size
    channels = x.shape[1]
    total = x.shape[0] * tall
    pair = np.zeros(4 * max(wide, lanes) + 2 * lanes, x.dtype)
    m_plane = features * pitch + 16
    v_begin, u_begin = to_line(scratch), to_line(u)
    m_begin = v_begin + SPOTS * plane
    v = m = scratch
    for item in range(start, stop):
        first, last = item * block, min(item * block + block, total)
        count = (last - first) * wide
        transform_images(first, last, x, low, tiles, lanes, v, v_begin, pitch, plane)
        good = True
        for f in range(0, out.shape[1], features):
            some = min(features, out.shape[1] - f)
            for spot in range(SPOTS):
                for p in range(0, count, cols):
                    b = tail(v, v_begin + spot * plane + p)
                    for r in range(0, some, rows):
                        a = tail(u, u_begin + spot * u_plane + (f + r) // rows * u_step)
                        c = tail(m, m_begin + spot * m_plane + r * pitch + p)
                        # A number added in the middle spot reaches all four outputs.
                        if spot == 5:
                            begin, lds = tail(start_of, (f + r) * cols), cols
                        else:
                            begin, lds = tail(start_of, start_of.size - cols), 0
                        tile(a, rows_of, ka, b, kb, per_group, begin, lds, c, pitch)
            for r in range(some):
                good &= store_outputs(
                    first, last, tail(m, m_begin + r * pitch), pitch, m_plane, tiles, lanes,
                    pair, out, f + r,
                )
        fine[item] = good


class _Room(threading.local):
    """Each thread's room for the transformed numbers of an item, which stays in its cache."""

    def __init__(self) -> None:
        self.array = np.empty(0, np.float32)

    def of(self, count: int) -> np.ndarray:
        if self.array.size < count:
            self.array = aligned((count,), np.float32)
            self.array[:] = 0
        return self.array


_room = _Room()


def _with_scratch(start: int, stop: int, *args: Any) -> None:
    winograd_range.run(start, stop, *args[:-1], _room.of(args[-1]))


def odd_lines(count: int) -> int:
    """count or a little more, an odd number of cache lines (of 16 float32): no two rows collide."""
    return (-(-count // 16) | 1) * 16


class _Plan(NamedTuple):
    items: int
    weights: int  # numbers of u
    pairs: int
    low: Pair
    tiles: Pair
    block: int
    tables: tuple
    sizes: tuple
    scratch: int


import os
TILES = int(os.environ.get('WT', 1 << 14))  # tiles times channels of an item: 1 MiB of transformed tiles
SUMS = int(os.environ.get('WS', 1 << 13))


def block_of(total: int, wide: int, at_most: int, cols: int) -> int:
    """How many of `total` rows of `wide` tiles to take at once, so that few columns are wasted."""
    best, cost = 1, float("inf")
    for block in range(max(1, at_most // 2), at_most + 1):
        whole, rest = divmod(total, block)
        columns = whole * -(-block * wide // cols) + -(-rest * wide // cols)
        if columns * (1 + 0.02 * at_most / block) < cost:
            best, cost = block, columns * (1 + 0.02 * at_most / block)
    return best


@functools.lru_cache(maxsize=256)
def _plan(batch: int, channels: int, features: int, ah: Axis, aw: Axis) -> _Plan:
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    tiles = -(-ah.count // 2), -(-aw.count // 2)
    total = batch * tiles[0]
    at_most = max(1, min(TILES // channels, 512) // tiles[1])
    at_most = min(at_most, max(-(-cols // tiles[1]), -(-total // PIECES)))
    block = block_of(total, tiles[1], at_most, cols)
    columns = -(-block * tiles[1] // cols) * cols
    pitch = odd_lines(columns + lanes)
    u_step = -(-(channels * rows + lanes) // 16) * 16
    group = blocks_of(-(-features // rows), max(1, SUMS // columns // rows)) * rows
    tables = (
        np.arange(rows, dtype=np.int64),
        np.arange(channels, dtype=np.int64) * rows,
        np.arange(channels, dtype=np.int64) * pitch,
    )
    plane = channels * pitch + 16
    u_plane = -(-features // rows) * u_step + 16
    sizes = (lanes, group, pitch, plane, u_step, u_plane)
    pairs = -(-features // (2 * rows))
    return _Plan(-(-total // block), SPOTS * u_plane + 16, pairs, (ah.low, aw.low), tiles, block, tables, sizes,
                 SPOTS * (plane + group * pitch + 16))


def fits(axis: Axis) -> bool:
    """Whether the taps along this axis are three neighbours, and so are the outputs."""
    steps = (axis.step, axis.out_start, axis.out_step)
    return steps == (1, 0, 1) and len(axis.shifts) == 3 and axis.reach == 2 and (
        axis.shifts[0] + axis.shifts[2] == 2 * axis.shifts[1]
    )


def pays(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> bool:
    """Whether this is a convolution that `correlate` can do, and faster than conv.py does."""
    if groups != 1 or dtype != np.float32 or not (fits(ah) and fits(aw)):
        return False
    if (ah.shifts[0] > ah.shifts[2]) != (aw.shifts[0] > aw.shifts[2]):
        return False
    if tile_shape(dtype).lanes < grid_lanes() or min(channels, features) < LEAST_CHANNELS:
        return False
    tiles = batch * -(-ah.count // 2) * -(-aw.count // 2)
    return tiles >= LEAST_TILES


LEAST_CHANNELS = 16
LEAST_TILES = 256


def correlate(
    x: np.ndarray,
    w: np.ndarray,
    from_inputs: bool,
    bias: np.ndarray | None,
    ah: Axis,
    aw: Axis,
    out: np.ndarray,
) -> bool:
    """As conv._correlate. False if some result is not finite: then `out` is to be done again."""
    channels, features = x.shape[1], out.shape[1]
    plan = _plan(x.shape[0], channels, features, ah, aw)
    rows, cols, _ = tile_shape(x.dtype)
    u = aligned((plan.weights,), x.dtype)
    flipped = ah.shifts[0] > ah.shifts[2]
    parallel(
        transform_weights_range, plan.pairs, w, from_inputs, flipped, square_side(x.dtype),
        plan.sizes[0], rows, u, plan.sizes[-2:], grain=max(1, 2000 // channels),
    )
    start = np.zeros((-(-features // rows) * rows + 1, cols), x.dtype)
    if bias is not None:
        start[:features] = bias[:, None]
    fine = np.zeros(plan.items, np.bool_)
    parallel(
        _with_scratch, plan.items, x, u, start, out, fine, plan.low, plan.tiles, plan.block,
        cols, *plan.tables, plan.sizes, plan.scratch,
    )
    return bool(fine.all())
