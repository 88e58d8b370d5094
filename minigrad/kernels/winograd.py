"""Winograd's convolution: 3x3 kernels, stride 1, with 16 multiplications where 36 are usual.

A tile d of 4 x 4 pixels holds all that its 2 x 2 outputs need, and

    y = A^T [ (G w G^T) * (B^T d B) ] A             * is a product number by number

(Winograd 1980; Lavin and Gray 2016). Summed over channels, each of the 16 spots of the bracket is a
product of matrices (outputs x channels) @ (channels x tiles), on the register tile (tile.py):

    images --B^T d B--> v[spot, channel, tile] --products with u = G w G^T--> m --A^T m A--> y

An item is a run of tiles, wherever in the images it begins: v of the item stays in the second-level
cache, m of one register tile for all spots in the first. Vectors run along the tiles, so that
images are read and written as they lie. The gradient of the image is the same with the taps
reversed, which exchanges some spots of u. That of the weights is the adjoint, with the sum over
tiles as a product of matrices:

    gw = G^T [ sum over tiles of (A g A^T) * (B^T d B) ] G

Accuracy. Rounding errors in units of 2^-23 times the root mean square of the result, normal x and
w: (rms, largest) over some 10^5 results

    channels        y, direct      y, here       gw, direct    gw, here
    64              3.6   39       2.2   15      2.9   17      2.9   15
    128             5.0   48       3.0   20      3.0   20      2.3   12
    512             9.9  112       5.8   38      2.0   18      2.1   14

y: less than the direct sum, which is nine times as long; gw: up to twice as much where images are
few and small. Each output is as good as that relative to the largest numbers of its 3 x 3 window;
one that is small because large numbers meet zeros, or cancel, is better in the direct sum.
Infinities, NaNs and an overflow on the way show in some output; then the caller computes everything
the direct way, which puts them where mathematics does.

Speed. 2 cores, float32, GFLOP/s counted as if done directly, of y, gx and gw at (N, C, H = W, F);
nothing direct can pass the peak of 445:

    16,64,56,64  600 595 600    16,128,28,128  656 645 605    16,128,14,128  581 556 541
    64,32,14,64  464 464 486    16,64,28,64    543 546 546    1,64,56,64     468 459 488

The products run at 185 to 200 GFLOP/s a core and take 60 to 75 % of its time. The rest: four
numbers of v for each pixel, which are written to the second-level cache (1.9 cycles a pixel), and m
to y (1 cycle an output). Both cores together do 1.9 times what one does.

Tiles of 4 x 4 outputs (36 multiplications for 16 of them) were tried: 1.3 times as fast again at 28
and 56 pixels, slower at 14. Errors, (rms, largest) as above: y 7.0, 77 and gw 6.5, 34 with 64
channels, y 9.4, 107 and gw 6.5, 37 with 128: two times those of the direct sum, dozens of units at
worst. Not done.

Not here: groups, strides, dilation, float64: conv.py and conv_grad_w.py.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from .conv_geometry import PIECES, Axis, blocks_of
from .jit import jit, ready
from .reduce import add_row_sums
from .room import enter, leave, room_for
from .rows import aligned, copy, tail, to_line
from .sandwich import Matrix, grid_lanes, sandwich, sandwich_of_image, sandwich_to_image
from .threads import parallel
from .tile import tile, tile_shape
from .transpose import square_side, transpose

# The matrices of the theory, with polynomials that are evaluated at 0, 1, -1 and infinity.
B_T: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))
G: Matrix = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))
A_T: Matrix = ((1, 1, 1, 0), (0, 1, -1, 1))
SIDE = 2  # of a tile of outputs
ROW = SIDE + 2  # spots in a row of the bracket
SPOTS = ROW * ROW

transform_tiles = sandwich_of_image(B_T, SIDE)
transform_weights = sandwich(G)
outputs_of_tiles = sandwich_to_image(A_T)
transform_outputs = sandwich(tuple(zip(*A_T)))
gradient_of_weights = sandwich(tuple(zip(*G)))

FLIPPED = [3, 1, 2, 0]  # which row of G w is which if the taps of w run backwards
TRANSFORMED = 1 << 17  # numbers of v of an item: 512 KiB of a second-level cache of 2 MiB
ITEMS = 16  # least number of items that we like to cut a correlation into
PIECE = 96  # tiles that are worth sums of the gradient of the weights of their own
TASKS = 4  # least number of tasks that we like to have for the gradient of the weights


@jit
def transform_weights_range(start, stop, w, from_inputs, side, lanes, rows, u, pitches):
    """Pairs of blocks start .. stop - 1 of u[spot, block, input, row] = G w G^T.

    w (F, C, 9); from_inputs: its channels are the outputs, else its filters are. A block is `rows`
    outputs, as the tile takes them. u: flat; pitches: from one block and one spot to the next.
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
        for half in range((some + rows - 1) // rows):
            to = begin + (2 * pair + half) * step
            for k in range(inputs):
                for f in range(0, rows, lanes):  # the last vector may reach into the next row
                    transform_weights(
                        tail(turned, k * 9 * width + half * rows + f), 3 * width, width,
                        tail(u, to + k * rows + f), ROW * plane, plane,
                    )


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
def store_outputs(first, last, m, spot_pitch, pitch, rows, tiles, lanes, bias, out, f, odd):
    """out[n, f + r] = bias + A^T m A for the tiles first .. last - 1 and r < rows.

    m[spot, r, t]: flat; `spot_pitch` from one spot and `pitch` from one r to the next. odd: see
    sandwich_to_image.
    """
    tall, wide = tiles
    height, width = out.shape[2], out.shape[3]
    first_row = first // wide
    n, i, j = first_row // tall, first_row % tall, first - first_row * wide
    t = 0
    while t < last - first:
        end = min(wide, j + last - first - t)
        at = ((n * out.shape[1] + f) * height + SIDE * i) * width
        for k in range(j, end, lanes):
            counts = height - SIDE * i, min(width, SIDE * end) - SIDE * k
            for r in range(rows):
                outputs_of_tiles(
                    tail(m, r * pitch + t + k - j), ROW * spot_pitch, spot_pitch, bias[f + r],
                    tail(out, at + r * height * width + SIDE * k), width, counts, odd,
                )
        t += wide - j
        i, j = i + 1, 0
        if i == tall:
            n, i = n + 1, 0


@jit
def winograd_range(
    start, stop, x, u, bias, out, fine, low, tiles, block, sizes, spots, rows_of, ka, kb, room,
    taken,
):
    """Items start .. stop - 1 of a correlation, an item being `block` tiles.

    x (N, C, H, W), bias (F,), out (N, F, ., .). low: the first row and column that tile 0 reads.
    tiles: (rows an image, tiles a row). sizes = (grid_lanes(), columns of a register tile, pitch
    and plane of v, step of u to the next block of outputs). spots: where those of u begin;
    rows_of, ka, kb: the tables of the register tile. fine[item]: whether all is finite. room,
    taken: see room.py.

    One writer for each output; the order of a sum is that of the channels.
    """
    tall, wide = tiles
    lanes, cols, pitch, plane, u_step = sizes
    rows, per_group = rows_of.size, kb.size
    features = out.shape[1]
    total = x.shape[0] * tall * wide
    place = enter(taken)
    scratch = tail(room, place * room.shape[1])
    v_begin, u_begin = to_line(scratch), to_line(u)
    m_begin = v_begin + SPOTS * plane
    zeros = np.zeros(cols, x.dtype)
    odd = np.empty(SIDE * lanes, x.dtype)
    for item in range(start, stop):
        first, last = item * block, min(item * block + block, total)
        count = last - first
        odd[:] = 0
        transform_images(first, last, x, low, tiles, lanes, scratch, v_begin, pitch, plane)
        for f in range(0, features, rows):
            for p in range(0, count, cols):
                for spot in range(SPOTS):
                    a = tail(u, u_begin + spots[spot] + f // rows * u_step)
                    b = tail(scratch, v_begin + spot * plane + p)
                    c = tail(scratch, m_begin + spot * rows * cols)
                    tile(a, rows_of, ka, b, kb, per_group, zeros, 0, c, cols)
                store_outputs(
                    first + p, min(last, first + p + cols), tail(scratch, m_begin), rows * cols,
                    cols, min(rows, features - f), tiles, lanes, bias, out, f, odd,
                )
        fine[item] = finite_run(odd, odd.size)
    leave(taken, place)
    tail(room, 0)  # mentioned once more: views count no reference (rows.tail)


def odd_lines(count: int) -> int:
    """count or a little more, an odd number of cache lines (of 16 float32): no two rows collide."""
    return (-(-count // 16) | 1) * 16


class _Plan(NamedTuple):
    """How a correlation is cut up; it depends on sizes alone."""

    items: int
    pairs: int  # of blocks of u
    weights: int  # numbers of u
    pitches: tuple[int, int]  # of u
    geometry: tuple  # the arguments of winograd_range after `fine`
    scratch: int  # numbers of room for a thread


@functools.lru_cache(maxsize=256)
def _plan(batch: int, channels: int, features: int, flipped: bool, ah: Axis, aw: Axis) -> _Plan:
    """The plan for `channels` in and `features` out; flipped: the taps run backwards."""
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    tiles = -(-ah.outputs // SIDE), -(-aw.outputs // SIDE)
    total = batch * tiles[0] * tiles[1]
    panels = -(-total // cols)  # of tiles, full ones
    most = max(1, round(TRANSFORMED / (SPOTS * channels * cols)))
    block = blocks_of(total, min(most, max(1, panels // ITEMS)) * cols)
    pitch = odd_lines(block + lanes)
    plane = channels * pitch + 16
    u_step = -(-(channels * rows + lanes) // 16) * 16
    u_plane = -(-features // rows) * u_step + 16
    spots = np.arange(SPOTS, dtype=np.int64).reshape(ROW, ROW) * u_plane
    if flipped:
        spots = spots[FLIPPED][:, FLIPPED]
    tables = (
        spots.ravel(),
        np.arange(rows, dtype=np.int64),
        np.arange(channels, dtype=np.int64) * rows,
        np.arange(channels, dtype=np.int64) * pitch,
    )
    sizes = (lanes, cols, pitch, plane, u_step)
    geometry = ((ah.low, aw.low), tiles, block, sizes, *tables)
    scratch = SPOTS * (plane + rows * cols) + 64
    pairs = -(-features // (2 * rows))
    weights = SPOTS * u_plane + 16
    return _Plan(-(-total // block), pairs, weights, (u_step, u_plane), geometry, scratch)


def fits(axis: Axis) -> bool:
    """Whether the taps along this axis are three neighbours, and so are the outputs."""
    if (axis.step, axis.out_step, axis.reach) != (1, 1, 2):
        return False
    shifts = axis.phases[0].shifts
    return len(shifts) == 3 and shifts[0] + shifts[2] == 2 * shifts[1]


def possible(groups: int, dtype: np.dtype, ah: Axis, aw: Axis) -> bool:
    """Whether this is a convolution that `correlate` and `grad_w` can do."""
    return groups == 1 and dtype == np.float32 and fits(ah) and fits(aw)


def cheaper(
    batch: int, channels: int, features: int, ah: Axis, aw: Axis, gradient: bool = False
) -> bool:
    """Whether it takes less time than the direct way; gradient: that of the weights.

    In cycles, fitted to 144 convolutions of 2 to 1,200 MFLOP: the faster way is chosen but for a
    loss of 2 % on average. Transforms go by whole vectors, half empty in rows of 7 pixels, and the
    columns of the last register tiles are computed whether there is something in them or not.
    """
    _, cols, lanes = tile_shape(np.float32)
    if lanes < 8:  # NEON has no masked loads: not measured there
        return False
    tall, wide = -(-ah.outputs // SIDE), -(-aw.outputs // SIDE)
    tiles, slots = batch * tall * wide, batch * tall * (-(-wide // grid_lanes()) * grid_lanes())
    pairs = channels * features * batch * ah.outputs * aw.outputs
    if gradient:
        direct = 0.36 * pairs * (-(-features // lanes) * lanes / features)
        products = tiles * channels * (-(-features // cols) * cols)
    else:
        direct = 0.3 * pairs
        products = (-(-tiles // cols) * cols) * channels * features
    transforms = 10 * channels * features + 6 * (channels + features) * slots
    return direct > 1e5 and 0.5 * products + transforms < 0.97 * direct


def correlate(
    x: np.ndarray,
    w: np.ndarray,
    from_inputs: bool,
    bias: np.ndarray | None,
    ah: Axis,
    aw: Axis,
    out: np.ndarray,
) -> bool:
    """out[n, f] = bias[f] + the correlation of x with w[f], or with w[:, f] if from_inputs.

    x (N, C, H, W), w (F, C, 9), bias (F,) or None, ah and aw: see `possible`. Returns False if some
    result is not finite: then all of `out` is to be computed in the direct way.
    """
    plan = _plan(x.shape[0], x.shape[1], out.shape[1], from_inputs, ah, aw)
    rows = tile_shape(x.dtype).rows
    u = aligned((plan.weights,), x.dtype)
    parallel(
        transform_weights_range, plan.pairs, w, from_inputs, square_side(x.dtype), grid_lanes(),
        rows, u, plan.pitches, grain=max(1, 32 // x.shape[1]),
    )
    bias = np.zeros(out.shape[1], x.dtype) if bias is None else ready(bias)
    fine = np.zeros(plan.items, np.bool_)
    room, taken = room_for(plan.scratch)
    parallel(winograd_range, plan.items, x, u, bias, out, fine, *plan.geometry, room, taken)
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
                    tail(turned, at + e), down, cols, tail(gt, t * cols + e), ROW * plane,
                    plane,
                )
            t += 1
        i, j = i + 1, 0
        if i == tall:
            n, i = n + 1, 0


@jit
def winograd_grad_w_range(
    start, stop, g, x, parts, gb, low, tiles, blocks, sizes, rows_of, edge_of, ka, kb, room,
    taken,
):
    """Tasks start .. stop - 1, a task being (piece, block of panels of g's channels).

    g (N, F, OH, OW), x (N, C, H, W), parts (pieces, panels, spots, channels rounded up to whole
    register tiles, cols). blocks = (tiles of an item, panels of a task); low, tiles: as above;
    sizes = (grid_lanes(), square_side, pitch and plane of v, plane of the transformed g). rows_of,
    ka, kb: the tables of the register tile; edge_of: rows_of, where the last channels repeat.
    gb (pieces, F), float64 zeros: gets the sums of g, unless it is empty.
    """
    tall, wide = tiles
    block, block_f = blocks
    lanes, side, pitch, plane, gt_plane = sizes
    pieces, panels, channels, cols = parts.shape[0], parts.shape[1], parts.shape[3], parts.shape[4]
    rows = rows_of.size
    features, pixels = g.shape[1], g.shape[2] * g.shape[3]
    total = x.shape[0] * tall * wide
    items = (total + block - 1) // block
    pieces_f = (panels + block_f - 1) // block_f
    place = enter(taken)
    scratch = tail(room, place * room.shape[1])
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
                if gb.size > 0:  # the images that begin in this item
                    each = tall * wide
                    for n in range((first + each - 1) // each, (last + each - 1) // each):
                        add_row_sums(
                            tail(g, (n * features + f) * pixels), pixels,
                            min(cols, features - f), pixels, tail(gb, piece * features + f),
                        )
                for spot in range(SPOTS):
                    b = tail(scratch, gt_begin + spot * gt_plane)
                    for c in range(0, channels, rows):
                        a = tail(scratch, v_begin + spot * plane + c * pitch)
                        at = tail(rows_of, 0)
                        if c + rows > x.shape[1]:
                            at = tail(edge_of, 0)
                        at_sums = ((piece * panels + q) * SPOTS + spot) * channels + c
                        sums = tail(parts, at_sums * cols)
                        if item == first_item:
                            tile(a, at, ka, b, kb, count, zeros, 0, sums, cols)
                        else:
                            tile(a, at, ka, b, kb, count, zeros, 0, part, cols)
                            # Added here and not in the tile: short chains of sums stay exact.
                            for e in range(rows * cols):
                                sums[e] += part[e]
    leave(taken, place)
    tail(room, 0)


@jit
def finish_grad_w_range(start, stop, parts, lanes, side, gw, fine):
    """Tasks start .. stop - 1, a task being 16 channels of a panel: gw = G^T (sum of parts) G.

    gw (F, C, 9). parts: the first piece is overwritten. fine[task]: whether all are finite.
    """
    pieces, padded, cols = parts.shape[0], parts.shape[3], parts.shape[4]
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
                    tail(parts, (q * SPOTS * padded + c + k) * cols + f), ROW * plane, plane,
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


class _GradPlan(NamedTuple):
    """How the gradient of the weights is cut up; it depends on sizes alone."""

    tasks: int
    parts: tuple[int, ...]
    geometry: tuple  # the arguments of winograd_grad_w_range after `parts`
    scratch: int  # numbers of room for a thread


@functools.lru_cache(maxsize=256)
def _grad_w_plan(
    batch: int, channels: int, features: int, ah: Axis, aw: Axis, part_bytes: int
) -> _GradPlan:
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    tiles = -(-ah.outputs // SIDE), -(-aw.outputs // SIDE)
    total = batch * tiles[0] * tiles[1]
    block = blocks_of(total, max(64, min(TRANSFORMED // (SPOTS * channels), 256)))
    items = -(-total // block)
    panels = -(-features // cols)
    shape = panels, SPOTS, -(-channels // rows) * rows, cols
    pieces = max(1, min(items, PIECES, total // PIECE, part_bytes // (4 * math.prod(shape))))
    block_f = blocks_of(panels, max(1, panels * pieces // TASKS))
    pitch = odd_lines(block + lanes)
    plane, gt_plane = channels * pitch + 16, block * cols + 16
    r = np.arange(rows, dtype=np.int64)
    edge = np.minimum(r, (channels - 1) % rows) * pitch
    k = np.arange(block, dtype=np.int64)
    scratch = SPOTS * (plane + gt_plane) + SIDE * (aw.outputs + SIDE) * cols + 64
    geometry = (
        (ah.low, aw.low), tiles, (block, block_f),
        (lanes, square_side(np.float32), pitch, plane, gt_plane),
        r * pitch, edge, k, k * cols,
    )
    tasks = pieces * -(-panels // block_f)
    return _GradPlan(tasks, (pieces, *shape), geometry, scratch)


def grad_w(
    g: np.ndarray, x: np.ndarray, ah: Axis, aw: Axis, part_bytes: int, bias: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """gw (F, C, 9) = sum of g[n, f, u, v] * x[n, c, u + i, v + j]; None if some is not finite.

    And the sums of g in float64, to be added over the first dimension: (pieces, F), or (pieces, 0)
    without bias.

    g (N, F, OH, OW), x (N, C, H, W), ah and aw: the axes of y. part_bytes: of all pieces' sums.
    """
    channels, features = x.shape[1], g.shape[1]
    plan = _grad_w_plan(x.shape[0], channels, features, ah, aw, part_bytes)
    parts = aligned(plan.parts, x.dtype)
    gb = np.zeros((plan.parts[0], features if bias else 0))
    room, taken = room_for(plan.scratch)
    parallel(winograd_grad_w_range, plan.tasks, g, x, parts, gb, *plan.geometry, room, taken)
    gw = np.empty((features, channels, 9), x.dtype)
    tasks = plan.parts[1] * -(-channels // 16)
    fine = np.zeros(tasks, np.bool_)
    parallel(finish_grad_w_range, tasks, parts, grid_lanes(), square_side(x.dtype), gw, fine)
    return (gw, gb) if fine.all() else None
