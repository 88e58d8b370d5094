"""Winograd's convolution: 3x3 kernels, stride 1, with 16 multiplications where 36 are usual."""

from __future__ import annotations

import functools
import math
import os
import threading
from typing import Any, NamedTuple

import numpy as np

from .conv_geometry import PIECES, Axis, Pair, blocks_of, pack_padded
from .jit import jit, ready
from .rows import aligned, copy, tail, to_line
from .sandwich import grid_lanes, sandwich, sandwich_of_image
from .threads import parallel
from .tile import tile, tile_shape
from .transpose import square_side, transpose

Matrix = tuple[tuple[float, ...], ...]

SIDE = int(os.environ.get("WM", 4))
# y = A^T ((G w G^T) * (B^T d B)) A for each tile d of 4 x 4 pixels and its 2 x 2 outputs.
if SIDE == 2:
    B_T: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))
    G: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
    A_T: Matrix = ((1, 1, 1, 0), (0, 1, -1, 1))
else:
    B_T = (
        (81/64, 0, -45/16, 0, 1, 0), (0, -27/16, -9/4, 3/4, 1, 0), (0, 27/16, -9/4, -3/4, 1, 0),
        (0, -27/32, -9/16, 3/2, 1, 0), (0, 27/32, -9/16, -3/2, 1, 0), (0, 81/64, 0, -45/16, 0, 1),
    )
    G = (
        (64/81, 0, 0), (-128/243, -32/81, -8/27), (-128/243, 32/81, -8/27),
        (32/243, 16/81, 8/27), (32/243, -16/81, 8/27), (0, 0, 1),
    )
    A_T = (
        (1, 1, 1, 1, 1, 0), (0, 3/4, -3/4, 3/2, -3/2, 0), (0, 9/16, 9/16, 9/4, 9/4, 0),
        (0, 27/64, -27/64, 27/8, -27/8, 1),
    )
A: Matrix = tuple(zip(*A_T))
G_T: Matrix = tuple(zip(*G))

transform_tiles = sandwich_of_image(B_T, SIDE)
transform_weights = sandwich(G)
outputs_of_tiles = sandwich(A_T, step_out=SIDE)
transform_outputs = sandwich(A)
gradient_of_weights = sandwich(G_T)

ROW = SIDE + 2
SPOTS = ROW * ROW  # numbers of a transformed tile, each of which is a product of matrices of its own
NOTHING = np.float32(0)


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
                        transform_weights(source, 3 * down, down, NOTHING, to, ROW * plane, plane)


@jit
def transform_images(first, last, x, low, tiles, lanes, v, begin, pitch, plane):
    """v[spot, c, t] = B^T d B for the tiles d = first .. last - 1, counted through all images.

    v: flat, begins at `begin`, `pitch` from one channel and `plane` from one spot to the next; what
    lies up to `lanes` behind the last tile is written to. tiles: (rows of tiles an image, tiles a
    row).
    """
    tall, wide = tiles
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    blank = np.zeros(SIDE * lanes + ROW, x.dtype)
    first_row = first // wide
    for c in range(channels):
        n, i, j = first_row // tall, first_row % tall, first - first_row * wide
        to, end = begin + c * pitch, begin + c * pitch + last - first
        source = tail(x, (n * channels + c) * height * width)
        while to < end:
            for k in range(j, min(wide, j + end - to), lanes):  # what is beyond is overwritten
                transform_tiles(
                    source, blank, (height, width), (SIDE * i + low[0], SIDE * k + low[1]),
                    tail(v, to + k - j), ROW * plane, plane,
                )
            to += wide - j
            i, j = i + 1, 0
            if i == tall:
                n, i = n + 1, 0
                source = tail(x, (n * channels + c) * height * width)


@jit(fastmath={"reassoc"})
def finite_run(values, count):
    """Whether values[:count] are all finite."""
    total = np.float32(0)
    for i in range(count):
        total += values[i] * np.float32(0)  # NaN if it is not
    return total == 0


@jit
def store_rows(first, last, flat, lower, tiles, out, f):
    """out[n, f] = the outputs of the tiles first .. last - 1.

    flat: the uppermost rows of outputs of all those tiles, `lower` further on the next ones, ...
    """
    tall, wide = tiles
    height, width = out.shape[2], out.shape[3]
    first_row = first // wide
    n, i, j = first_row // tall, first_row % tall, first - first_row * wide
    t = first
    while t < last:
        count = min(min(wide, j + last - t) * SIDE, width) - SIDE * j
        y = ((n * out.shape[1] + f) * height + SIDE * i) * width + SIDE * j
        source = SIDE * (t - first)
        for row in range(min(SIDE, height - SIDE * i)):
            copy(tail(flat, row * lower + source), tail(out, y + row * width), count)
        t += wide - j
        i, j = i + 1, 0
        if i == tall:
            n, i = n + 1, 0


@jit
def winograd_range(
    start, stop, x, u, bias, out, fine, low, tiles, block, sizes, rows_of, ka, kb, scratch
):
    """Items start .. stop - 1, an item being `block` tiles."""
    tall, wide = tiles
    lanes, cols, pitch, plane, u_step, u_plane = sizes
    rows, per_group = rows_of.size, kb.size
    features = out.shape[1]
    total = x.shape[0] * tall * wide
    v_begin, u_begin = to_line(scratch), to_line(u)
    m_begin = v_begin + SPOTS * plane
    y_begin = m_begin + SPOTS * rows * cols
    zeros = np.zeros(cols, x.dtype)
    for item in range(start, stop):
        first, last = item * block, min(item * block + block, total)
        count = last - first
        good = True
        transform_images(first, last, x, low, tiles, lanes, scratch, v_begin, pitch, plane)
        for f in range(0, features, rows):
            for p in range(0, count, cols):
                for spot in range(SPOTS):
                    a = tail(u, u_begin + spot * u_plane + f // rows * u_step)
                    b = tail(scratch, v_begin + spot * plane + p)
                    c = tail(scratch, m_begin + spot * rows * cols)
                    tile(a, rows_of, ka, b, kb, per_group, zeros, 0, c, cols)
                for r in range(min(rows, features - f)):
                    to = y_begin + (r * SIDE * pitch + p) * SIDE
                    for t in range(0, min(cols, count - p), lanes):
                        outputs_of_tiles(
                            tail(scratch, m_begin + r * cols + t), ROW * rows * cols, rows * cols,
                            bias[f + r], tail(scratch, to + SIDE * t), SIDE * pitch, 1,
                        )
            for r in range(min(rows, features - f)):
                flat = tail(scratch, y_begin + r * SIDE * SIDE * pitch)
                for row in range(SIDE):
                    good &= finite_run(tail(flat, row * SIDE * pitch), SIDE * count)
                store_rows(first, last, flat, SIDE * pitch, tiles, out, f + r)
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


TILES = int(os.environ.get('WT', 1 << 13))  # tiles times channels of an item: 1 MiB of transformed tiles
@functools.lru_cache(maxsize=256)
def _plan(batch: int, channels: int, features: int, ah: Axis, aw: Axis) -> _Plan:
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    tiles = -(-ah.count // SIDE), -(-aw.count // SIDE)
    total = batch * tiles[0] * tiles[1]
    block = min(max(1, TILES // channels // cols), max(1, -(-total // (PIECES * cols)))) * cols
    pitch = odd_lines(block + lanes)
    u_step = -(-(channels * rows + lanes) // 16) * 16
    tables = (
        np.arange(rows, dtype=np.int64),
        np.arange(channels, dtype=np.int64) * rows,
        np.arange(channels, dtype=np.int64) * pitch,
    )
    plane = channels * pitch + 16
    u_plane = -(-features // rows) * u_step + 16
    sizes = (lanes, cols, pitch, plane, u_step, u_plane)
    pairs = -(-features // (2 * rows))
    return _Plan(-(-total // block), SPOTS * u_plane + 16, pairs, (ah.low, aw.low), tiles, block, tables, sizes,
                 SPOTS * (plane + rows * cols) + rows * SIDE * SIDE * pitch + 64)


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
    tiles = batch * -(-ah.count // SIDE) * -(-aw.count // SIDE)
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
    if bias is None:
        bias = np.zeros(features, x.dtype)
    fine = np.zeros(plan.items, np.bool_)
    parallel(
        _with_scratch, plan.items, x, u, ready(bias), out, fine, plan.low, plan.tiles, plan.block,
        plan.sizes, *plan.tables, plan.scratch,
    )
    return bool(fine.all())


# ------------------------------------------------------------------ the gradient of the weights


@jit
def transform_gradients(first, last, g, f, some, tiles, lanes, side, cols, turned, gt, plane):
    """gt[spot, t, j] = A g A^T for the tiles first .. last - 1 and channels f + j.

    gt: flat, `cols` from one tile to the next. turned: room for the outputs of two rows of tiles
    and one tile more, x cols.
    """
    tall, wide = tiles
    features, height, width = g.shape[1], g.shape[2], g.shape[3]
    corner = SIDE * width * cols
    first_row = first // wide
    n, i, j = first_row // tall, first_row % tall, first - first_row * wide
    t = 0
    while t < last - first:
        tall_here = min(SIDE, height - SIDE * i)
        source = ((n * features + f) * height + SIDE * i) * width
        transpose(tail(g, source), height * width, some, tall_here * width, side, turned, cols)
        for k in range(j, min(wide, j + last - first - t)):
            at, down = SIDE * k * cols, width * cols
            wide_here = min(SIDE, width - SIDE * k)
            if tall_here < SIDE or wide_here < SIDE:  # a tile that reaches beyond g
                edge = tail(turned, corner)
                for e in range(SIDE * SIDE * cols):
                    edge[e] = 0
                for a in range(tall_here):
                    for b in range(wide_here):
                        copy(tail(turned, at + a * down + b * cols),
                             tail(edge, (SIDE * a + b) * cols), cols)
                at, down = corner, SIDE * cols
            for e in range(0, cols, lanes):
                transform_outputs(
                    tail(turned, at + e), down, cols, NOTHING, tail(gt, t * cols + e),
                    ROW * plane, plane,
                )
            t += 1
        i, j = i + 1, 0
        if i == tall:
            n, i = n + 1, 0


@jit
def winograd_grad_w_range(
    start, stop, g, x, parts, low, tiles, blocks, sizes, rows_of, edge_of, ka, kb, scratch
):
    """Tasks start .. stop - 1, a task being (piece, block of panels of g's channels).

    parts (pieces, panels, spots, channels rounded up to whole tiles, cols).
    """
    tall, wide = tiles
    block, block_f = blocks
    lanes, side, pitch, plane, gt_plane = sizes
    pieces, panels, channels, cols = parts.shape[0], parts.shape[1], parts.shape[3], parts.shape[4]
    rows = rows_of.size
    features = g.shape[1]
    total = x.shape[0] * tall * wide
    items = (total + block - 1) // block
    pieces_f = (panels + block_f - 1) // block_f
    v_begin = to_line(scratch)
    gt_begin = v_begin + SPOTS * plane
    turned = tail(scratch, gt_begin + SPOTS * gt_plane)
    part = np.empty(rows * cols, g.dtype)
    zeros = np.zeros(cols, g.dtype)
    for task in range(start, stop):
        piece, first_panel = task // pieces_f, task % pieces_f * block_f
        last_panel = min(panels, first_panel + block_f)
        first_item = piece * items // pieces
        for item in range(first_item, (piece + 1) * items // pieces):
            first, last = item * block, min(item * block + block, total)
            count = last - first
            transform_images(first, last, x, low, tiles, lanes, scratch, v_begin, pitch, plane)
            for q in range(first_panel, last_panel):
                f = q * cols
                transform_gradients(
                    first, last, g, f, min(cols, features - f), tiles, lanes, side, cols, turned,
                    tail(scratch, gt_begin), gt_plane,
                )
                for spot in range(SPOTS):
                    b = tail(scratch, gt_begin + spot * gt_plane)
                    for c in range(0, channels, rows):
                        a = tail(scratch, v_begin + spot * plane + c * pitch)
                        at = tail(rows_of, 0)
                        if c + rows > x.shape[1]:
                            at = tail(edge_of, 0)
                        place = ((piece * panels + q) * SPOTS + spot) * channels + c
                        sums = tail(parts, place * cols)
                        if item == first_item:
                            tile(a, at, ka, b, kb, count, zeros, 0, sums, cols)
                        else:
                            tile(a, at, ka, b, kb, count, zeros, 0, part, cols)
                            # Added here and not in the tile: short chains of sums stay exact.
                            for e in range(rows * cols):
                                sums[e] += part[e]


@jit
def finish_grad_w_range(start, stop, parts, lanes, side, gw, fine):
    """Tasks start .. stop - 1, a task being 16 channels of a panel: gw = G^T (sum of parts) G.

    gw (F, C, 9). parts: the first piece is overwritten. fine[task]: whether all are finite.
    """
    pieces, panels, padded, cols = parts.shape[0], parts.shape[1], parts.shape[3], parts.shape[4]
    features, channels = gw.shape[0], gw.shape[1]
    each = parts.size // pieces
    blocks = (channels + 15) // 16
    turned = np.empty(16 * 9 * cols, gw.dtype)
    for task in range(start, stop):
        q, c = task // blocks, task % blocks * 16
        some = min(16, channels - c)
        for spot in range(SPOTS):
            at = ((q * SPOTS + spot) * padded + c) * cols
            total = tail(parts, at)
            for piece in range(1, pieces):
                more = tail(parts, piece * each + at)
                for e in range(some * cols):
                    total[e] += more[e]
        plane = padded * cols
        for k in range(some):
            for f in range(0, cols, lanes):
                gradient_of_weights(
                    tail(parts, (q * SPOTS * padded + c + k) * cols + f), ROW * plane, plane, NOTHING,
                    tail(turned, k * 9 * cols + f), 3 * cols, cols,
                )
        f = q * cols
        wide = min(cols, features - f)
        to = (f * channels + c) * 9
        transpose(turned, cols, some * 9, wide, side, tail(gw, to), channels * 9)
        good = True
        for k in range(wide):
            good &= finite_run(tail(gw, to + k * channels * 9), some * 9)
        fine[task] = good


def _grad_w_with_scratch(start: int, stop: int, *args: Any) -> None:
    winograd_grad_w_range.run(start, stop, *args[:-1], _room.of(args[-1]))


class _GradPlan(NamedTuple):
    tasks: int
    parts: tuple[int, ...]
    geometry: tuple  # the arguments of winograd_grad_w_range after `parts`


@functools.lru_cache(maxsize=256)
def _grad_w_plan(
    batch: int, channels: int, features: int, ah: Axis, aw: Axis, part_bytes: int
) -> _GradPlan:
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    tiles = -(-ah.count // SIDE), -(-aw.count // SIDE)
    total = batch * tiles[0] * tiles[1]
    block = blocks_of(total, max(64, min(GRAD_TILES // channels, 256)))
    items = -(-total // block)
    panels = -(-features // cols)
    shape = panels, SPOTS, -(-channels // rows) * rows, cols
    pieces = max(1, min(items, PIECES, total // PIECE, part_bytes // (4 * math.prod(shape))))
    block_f = blocks_of(panels, max(1, panels * pieces // MT))
    pitch = odd_lines(block + lanes)
    plane, gt_plane = channels * pitch + 16, block * cols + 16
    r = np.arange(rows, dtype=np.int64)
    edge = np.minimum(r, (channels - 1) % rows) * pitch
    k = np.arange(block, dtype=np.int64)
    scratch = SPOTS * (plane + gt_plane) + SIDE * (aw.count + SIDE) * cols + 64
    geometry = (
        (ah.low, aw.low), tiles, (block, block_f), (lanes, square_side(np.float32), pitch, plane, gt_plane),
        r * pitch, edge, k, k * cols, scratch,
    )
    return _GradPlan(pieces * -(-panels // block_f), (pieces, *shape), geometry)


PIECE = int(os.environ.get("TP", 384))
MT = int(os.environ.get("MT", 4))
GRAD_TILES = int(os.environ.get("WG", 1 << 13))


def grad_w(
    g: np.ndarray, x: np.ndarray, ah: Axis, aw: Axis, part_bytes: int
) -> np.ndarray | None:
    """gw (F, C, 9) as conv_grad_w makes it. None if some result is not finite."""
    channels, features = x.shape[1], g.shape[1]
    plan = _grad_w_plan(x.shape[0], channels, features, ah, aw, part_bytes)
    parts = aligned(plan.parts, x.dtype)
    parallel(_grad_w_with_scratch, plan.tasks, g, x, parts, *plan.geometry)
    gw = np.empty((features, channels, 9), x.dtype)
    tasks = plan.parts[1] * -(-channels // 16)
    fine = np.zeros(tasks, np.bool_)
    parallel(finish_grad_w_range, tasks, parts, grid_lanes(), square_side(x.dtype), gw, fine)
    return gw if fine.all() else None
