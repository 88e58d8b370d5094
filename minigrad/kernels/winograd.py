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
import itertools
import math
from typing import NamedTuple

import numpy as np

from .conv_geometry import PIECES, Axis, blocks_of
from .jit import jit, ready
from .room import enter, leave, room_for
from .rows import aligned, copy, copy_rows, tail, to_line
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
transform_spread_tiles = sandwich_of_image(B_T, SIDE, 2)
transform_weights = sandwich(G)
outputs_of_tiles = sandwich_to_image(A_T)
outputs_of_spread_tiles = sandwich_to_image(A_T, 2)
transform_outputs = sandwich(tuple(zip(*A_T)))
gradient_of_weights = sandwich(tuple(zip(*G)))

TAPS = 3  # along an axis of the matrix G: a piece of a kernel has so many, or one less
SPREADS = 1, 2  # dilations along a row for which there are transforms
FLIPPED = [3, 1, 2, 0]  # which row of G w is which if the taps of w run backwards
TRANSFORMED = 1 << 17  # numbers of v of an item: 512 KiB of a second-level cache of 2 MiB
ITEMS = 16  # least number of items that we like to cut a correlation into
PIECE = 192  # tiles that are worth sums of the gradient of the weights of their own
TASKS = 4  # least number of tasks that we like to have for the gradient of the weights


class Cut(NamedTuple):
    """An axis cut into tiles of 2 outputs, and its kernel into pieces of 2 or 3 taps.

    With a dilation d, output u and tap k meet in element u + k * d: d convolutions, one for each
    remainder of u. Their tiles take turns: tile i = (q, r) = divmod(i, d) has the outputs
    2 * d * q + r and d further, and reads 4 elements that are d apart from 2 * d * q + r + low on.
    The piece that begins with tap 2 * a reads what the tile i + a * d reads.
    """

    dilation: int
    tiles: int  # with outputs
    grid: int  # those and the ones that only the later pieces read
    pieces: tuple[int, ...]  # the taps of each

    @property
    def multiplications(self) -> int:
        """How many for the 2 outputs of a tile; the last spot of a piece of 2 taps is zero."""
        return sum(taps + 1 for taps in self.pieces)


@functools.lru_cache(maxsize=256)
def cut_of(axis: Axis) -> Cut:
    """How an axis that `fits` is cut."""
    shifts = axis.phases[0].shifts
    dilation = abs(shifts[1] - shifts[0])
    pieces = [SIDE] * (len(shifts) // SIDE)
    pieces[-1] += len(shifts) % SIDE
    turns = -(-axis.outputs // (SIDE * dilation))
    grid = (turns + len(pieces) - 1) * dilation
    return Cut(dilation, turns * dilation, grid, tuple(pieces))


@functools.lru_cache(maxsize=256)
def _patches(ch: Cut, cw: Cut) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's patches, a piece by a piece, and how many tiles further each one reads.

    A row of the table: first row of taps, rows, first column, columns.
    """
    table = [
        (SIDE * a, tall, SIDE * b, wide)
        for a, tall in enumerate(ch.pieces) for b, wide in enumerate(cw.pieces)
    ]
    shifts = [
        a * ch.dilation * cw.grid + b * cw.dilation
        for a in range(len(ch.pieces)) for b in range(len(cw.pieces))
    ]
    return np.array(table, np.int64), np.array(shifts, np.int64)


@jit
def transform_weights_range(
    start, stop, w, from_inputs, side, lanes, rows, u, pitches, kw, patches
):
    """Pairs of blocks start .. stop - 1 of u[spot, block, (patch, input), row] = G w G^T.

    w (F, C, KH * kw); from_inputs: its channels are the outputs, else its filters are. A block is
    `rows` outputs, as the tile takes them. u: flat; pitches: from one block and one spot to the
    next. Patches are those of the kernel as it is read: reversed if from_inputs.
    """
    features, channels, taps = w.shape[0], w.shape[1], w.shape[2]
    outputs, inputs = (channels, features) if from_inputs else (features, channels)
    step, plane = pitches
    width = 2 * rows + lanes
    turned = np.zeros(inputs * taps * width, w.dtype)
    filled = np.zeros(TAPS * TAPS * width, w.dtype)
    begin = to_line(u)
    for pair in range(start, stop):
        first = 2 * rows * pair
        some = min(2 * rows, outputs - first)
        if from_inputs:
            for k in range(inputs):
                source = tail(w, (k * channels + first) * taps)
                transpose(source, taps, some, taps, side, tail(turned, k * taps * width), width)
        else:
            transpose(tail(w, first * channels * taps), channels * taps, some, channels * taps,
                      side, turned, width)
        for e in range(patches.shape[0]):
            i, tall, j, wide = patches[e, 0], patches[e, 1], patches[e, 2], patches[e, 3]
            at_h = at_w = 0
            if from_inputs:  # the zero that fills it up is the first tap before it is reversed
                i, j = taps // kw - i - tall, kw - j - wide
                at_h, at_w = TAPS - tall, TAPS - wide
            if tall * wide < TAPS * TAPS:
                filled[:] = 0
            for k in range(inputs):
                source, down = tail(turned, (k * taps + i * kw + j) * width), kw * width
                if tall * wide < TAPS * TAPS:
                    for a in range(tall):
                        to = ((at_h + a) * TAPS + at_w) * width
                        copy(tail(source, a * down), tail(filled, to), wide * width)
                    source, down = tail(filled, 0), TAPS * width
                for half in range((some + rows - 1) // rows):
                    to = begin + (2 * pair + half) * step + (e * inputs + k) * rows
                    for f in range(0, rows, lanes):  # the last vector reaches into the next row
                        transform_weights(
                            tail(source, half * rows + f), down, width,
                            tail(u, to + f), ROW * plane, plane,
                        )


@jit(inline=True)
def first_output(tile, dilation):
    """The first output of a tile along an axis; see Cut."""
    return tile + tile // dilation * dilation * (SIDE - 1)


@jit
def transform_images(first, last, x, low, grid, dilation, lanes, v, begin, pitch, plane):
    """v[spot, c, t] = B^T d B for the tiles d = first .. last - 1 of the grid, through all images.

    v: flat, begins at `begin`, `pitch` from one channel and `plane` from one spot to the next; what
    lies up to `lanes` behind the last tile is written to. grid: (rows of tiles an image, tiles a
    row); first is a multiple of the dilation along a row. low: what output 0 begins to read.
    """
    tall, wide = grid
    down, spread = dilation
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    blank = np.zeros((SIDE * lanes + ROW) * spread, x.dtype)
    first_row = first // wide
    for c in range(channels):
        n, i, j = first_row // tall, first_row % tall, first - first_row * wide
        to, end = begin + c * pitch, begin + c * pitch + last - first
        source = tail(x, (n * channels + c) * height * width)
        while to < end:
            top = first_output(i, down) + low[0]
            for k in range(j, min(wide, j + end - to), lanes):  # what is beyond is overwritten
                corner = top, SIDE * k + low[1]
                out = tail(v, to + k - j)
                if spread == 1:
                    transform_tiles(
                        source, blank, (height, width), corner, down, out, ROW * plane, plane
                    )
                else:
                    transform_spread_tiles(
                        source, blank, (height, width), corner, down, out, ROW * plane, plane
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
def store_outputs(
    first, last, m, spot_pitch, pitch, rows, grid, tiles, dilation, lanes, bias, out, f, odd
):
    """out[n, f + r] = bias + A^T m A for the tiles first .. last - 1 of the grid and r < rows.

    m[spot, r, t]: flat; `spot_pitch` from one spot and `pitch` from one r to the next. grid, tiles:
    rows of tiles an image and tiles a row, with and without those that have no outputs. odd: see
    sandwich_to_image.
    """
    tall, wide = grid
    down, spread = dilation
    height, width = out.shape[2], out.shape[3]
    first_row = first // wide
    n, i, j = first_row // tall, first_row % tall, first - first_row * wide
    t = 0
    while t < last - first:
        end = min(tiles[1] if i < tiles[0] else 0, j + last - first - t)
        top = first_output(i, down)
        at = ((n * out.shape[1] + f) * height + top) * width
        for k in range(j, end, lanes):
            counts = (top < height) + (top + down < height), min(width, SIDE * end) - SIDE * k
            for r in range(rows):
                source = tail(m, r * pitch + t + k - j)
                to = tail(out, at + r * height * width + SIDE * k)
                if spread == 1:
                    outputs_of_tiles(
                        source, ROW * spot_pitch, spot_pitch, bias[f + r], to, down * width,
                        counts, odd,
                    )
                else:
                    outputs_of_spread_tiles(
                        source, ROW * spot_pitch, spot_pitch, bias[f + r], to, down * width,
                        counts, odd,
                    )
        t += wide - j
        i, j = i + 1, 0
        if i == tall:
            n, i = n + 1, 0


@jit
def winograd_range(
    start, stop, x, u, bias, out, fine, low, grid, tiles, dilation, sizes, spots, terms, rows_of,
    ka, kb, room, taken,
):
    """Items start .. stop - 1 of a correlation, an item being `block` tiles of the grid.

    x (N, C, H, W), bias (F,), out (N, F, ., .). low: the first row and column that tile 0 reads.
    grid, tiles, dilation: of both axes, see Cut. sizes = (block, how many tiles further a patch
    reads, grid_lanes(), columns of a register tile, pitch and plane of v, step of u to the next
    block of outputs). spots: where those of u begin; rows_of, ka, kb: the tables of the register
    tile, of which a spot takes terms[spot] = (begin, count). fine[item]: whether all is finite.
    room, taken: see room.py.

    One writer for each output; the order of a sum is that of the patches and channels.
    """
    block, ahead, lanes, cols, pitch, plane, u_step = sizes
    rows = rows_of.size
    features = out.shape[1]
    total = x.shape[0] * grid[0] * grid[1]
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
        transform_images(
            first, min(last + ahead, total), x, low, grid, dilation, lanes, scratch, v_begin,
            pitch, plane,
        )
        for f in range(0, features, rows):
            for p in range(0, count, cols):
                for spot in range(SPOTS):
                    a = tail(u, u_begin + spots[spot] + f // rows * u_step)
                    b = tail(scratch, v_begin + spot * plane + p)
                    c = tail(scratch, m_begin + spot * rows * cols)
                    k = terms[spot, 0]
                    tile(a, rows_of, tail(ka, k), b, tail(kb, k), terms[spot, 1], zeros, 0, c, cols)
                store_outputs(
                    first + p, min(last, first + p + cols), tail(scratch, m_begin), rows * cols,
                    cols, min(rows, features - f), grid, tiles, dilation, lanes, bias, out, f, odd,
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
    patches: np.ndarray
    geometry: tuple  # the arguments of winograd_range after `fine`
    scratch: int  # numbers of room for a thread


def _block(batch: int, channels: int, ch: Cut, cw: Cut) -> int:
    """Tiles of an item: whole register tiles, few enough that v stays in the cache."""
    cols = tile_shape(np.float32).cols
    panels = -(-batch * ch.grid * cw.grid // cols)
    most = max(1, round(TRANSFORMED / (SPOTS * channels * cols)))
    return blocks_of(panels, min(most, max(1, panels // ITEMS))) * cols


@functools.lru_cache(maxsize=256)
def _plan(batch: int, channels: int, features: int, flipped: bool, ah: Axis, aw: Axis) -> _Plan:
    """The plan for `channels` in and `features` out; flipped: the taps run backwards."""
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    ch, cw = cut_of(ah), cut_of(aw)
    patches, shifts = _patches(ch, cw)
    block = _block(batch, channels, ch, cw)
    ahead = int(shifts[-1])
    pitch = odd_lines(block + ahead + lanes)
    plane = channels * pitch + 16
    u_step = -(-(channels * len(patches) * rows + lanes) // 16) * 16
    u_plane = -(-features // rows) * u_step + 16
    spots = np.arange(SPOTS, dtype=np.int64).reshape(ROW, ROW) * u_plane
    if flipped:
        spots = spots[FLIPPED][:, FLIPPED]
    c = np.arange(channels, dtype=np.int64)
    counts, ka, kb = [], [], []
    for i, j in itertools.product(range(ROW), repeat=2):
        used = np.flatnonzero((patches[:, 1] >= i) & (patches[:, 3] >= j))[:, None]
        ka.append((used * channels + c).ravel() * rows)
        kb.append((c * pitch + shifts[used]).ravel())
        counts.append(used.size * channels)
    terms = np.stack([np.cumsum(counts) - counts, counts], axis=1)
    tables = (
        spots.ravel(), terms, np.arange(rows, dtype=np.int64),
        np.concatenate(ka), np.concatenate(kb),
    )
    geometry = (
        (ah.low, aw.low), (ch.grid, cw.grid), (ch.tiles, cw.tiles), (ch.dilation, cw.dilation),
        (block, ahead, lanes, cols, pitch, plane, u_step), *tables,
    )
    return _Plan(
        items=-(-batch * ch.grid * cw.grid // block),
        pairs=-(-features // (2 * rows)),
        weights=SPOTS * u_plane + 16,
        pitches=(u_step, u_plane),
        patches=patches,
        geometry=geometry,
        scratch=SPOTS * (plane + rows * cols) + 64,
    )


def fits(axis: Axis) -> bool:
    """Whether outputs along this axis are neighbours, and reached by two taps or more."""
    return (axis.step, axis.out_step) == (1, 1) and len(axis.phases[0].shifts) >= 2


def possible(groups: int, dtype: np.dtype, ah: Axis, aw: Axis) -> bool:
    """Whether this is a convolution that `correlate` and `grad_w` can do."""
    if groups != 1 or dtype != np.float32 or not fits(ah) or not fits(aw):
        return False
    return cut_of(aw).dilation in SPREADS


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
    ch, cw = cut_of(ah), cut_of(aw)
    taps = len(ah.phases[0].shifts) * len(aw.phases[0].shifts)
    patches, shifts = _patches(ch, cw)
    each = ch.multiplications * cw.multiplications
    tiles, grid = batch * ch.tiles * cw.tiles, batch * ch.grid * cw.grid
    vectors = grid_lanes()
    read: float = batch * ch.grid * (-(-cw.grid // vectors) * vectors)
    written = batch * ch.tiles * (-(-cw.tiles // vectors) * vectors)
    pairs = channels * features * batch * ah.outputs * aw.outputs * taps
    if gradient:
        direct = 0.04 * pairs * (-(-features // lanes) * lanes / features)
        products = tiles * channels * (-(-features // cols) * cols)
    else:
        direct = pairs / 30
        products = (-(-grid // cols) * cols) * channels * features
        block = _block(batch, channels, ch, cw)
        read *= (block + int(shifts[-1])) / block
    images = 6 * (channels * read + features * written)
    transforms = 10 * channels * features * len(patches) + images
    return direct > 1e5 and each / 32 * products + transforms < 0.97 * direct


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

    x (N, C, H, W), w (F, C, KH, KW), bias (F,) or None, ah and aw: see `possible`. Returns False if
    some result is not finite: then all of `out` is to be computed in the direct way.
    """
    plan = _plan(x.shape[0], x.shape[1], out.shape[1], from_inputs, ah, aw)
    rows = tile_shape(x.dtype).rows
    u = aligned((plan.weights,), x.dtype)
    parallel(
        transform_weights_range, plan.pairs, w.reshape(*w.shape[:2], -1), from_inputs,
        square_side(x.dtype), grid_lanes(), rows, u, plan.pitches, w.shape[3], plan.patches,
        grain=max(1, 32 // (x.shape[1] * len(plan.patches))),
    )
    bias = np.zeros(out.shape[1], x.dtype) if bias is None else ready(bias)
    fine = np.zeros(plan.items, np.bool_)
    room, taken = room_for(plan.scratch)
    parallel(winograd_range, plan.items, x, u, bias, out, fine, *plan.geometry, room, taken)
    return bool(fine.all())


# ------------------------------------------------------------------ the gradient of the weights


@jit
def transform_gradients(
    first, last, g, f, some, tiles, dilation, lanes, side, cols, turned, gt, plane
):
    """gt[spot, t, j] = A g A^T for the tiles first .. last - 1 with outputs and channels f + j.

    gt: flat, `cols` from one tile to the next. turned: room for the outputs of two rows of tiles
    and one tile more, x cols.
    """
    tall, wide = tiles
    down, spread = dilation
    features, height, width = g.shape[1], g.shape[2], g.shape[3]
    corner = SIDE * width * cols
    together = SIDE if down == 1 else 1  # rows that are neighbours
    first_row = first // wide
    n, i, j = first_row // tall, first_row % tall, first - first_row * wide
    t = 0
    while t < last - first:
        top = first_output(i, down)
        tall_here = (top < height) + (top + down < height)
        for a in range(0, tall_here, together):
            source = ((n * features + f) * height + top + a * down) * width
            count = min(together, tall_here - a) * width
            transpose(tail(g, source), height * width, some, count, side,
                      tail(turned, a * width * cols), cols)
        for k in range(j, min(wide, j + last - first - t)):
            left = first_output(k, spread)
            at, row, col = left * cols, width * cols, spread * cols
            wide_here = (left < width) + (left + spread < width)
            if tall_here < SIDE or wide_here < SIDE:  # a tile that reaches beyond g
                edge = tail(turned, corner)
                for e in range(SIDE * SIDE * cols):
                    edge[e] = 0
                for a in range(tall_here):
                    for b in range(wide_here):
                        copy(tail(turned, at + a * row + b * col),
                             tail(edge, (SIDE * a + b) * cols), cols)
                at, row, col = corner, SIDE * cols, cols
            for e in range(0, cols, lanes):
                transform_outputs(
                    tail(turned, at + e), row, col, tail(gt, t * cols + e), ROW * plane, plane
                )
            t += 1
        i, j = i + 1, 0
        if i == tall:
            n, i = n + 1, 0


@jit(inline=True)
def place_of(t, tiles, grid):
    """Which tile of the grid the t-th tile with outputs is."""
    row = t // tiles[1]
    return (row + row // tiles[0] * (grid[0] - tiles[0])) * grid[1] + t - row * tiles[1]


@jit
def winograd_grad_w_range(
    start, stop, g, x, parts, low, grid, tiles, dilation, blocks, sizes, patches, shifts, rows_of,
    edge_of, kb, room, taken,
):
    """Tasks start .. stop - 1, a task being (share of the tiles, block of panels of g's channels).

    g (N, F, OH, OW), x (N, C, H, W), parts (shares, panels, patches, spots, channels rounded up to
    whole register tiles, cols). blocks = (tiles with outputs of an item, panels of a task); low,
    grid, tiles, dilation: as above; sizes = (grid_lanes(), square_side, pitch and plane of v, plane
    of the transformed g). patches, shifts: see _patches. rows_of, kb: the tables of the register
    tile; edge_of: rows_of, where the last channels repeat.
    """
    block, block_f = blocks
    lanes, side, pitch, plane, gt_plane = sizes
    shares, panels, channels, cols = parts.shape[0], parts.shape[1], parts.shape[4], parts.shape[5]
    rows = rows_of.size
    features = g.shape[1]
    total = x.shape[0] * tiles[0] * tiles[1]
    items = (total + block - 1) // block
    pieces_f = (panels + block_f - 1) // block_f
    place = enter(taken)
    scratch = tail(room, place * room.shape[1])
    v_begin = to_line(scratch)
    gt_begin = v_begin + SPOTS * plane
    turned = tail(scratch, gt_begin + SPOTS * gt_plane)
    part = np.empty(rows * cols, g.dtype)
    zeros = np.zeros(cols, g.dtype)
    ka = np.empty(block, np.int64)
    for task in range(start, stop):
        share, first_panel = task // pieces_f, task % pieces_f * block_f
        last_panel = min(panels, first_panel + block_f)
        first_item = share * items // shares
        for item in range(first_item, (share + 1) * items // shares):
            first, last = item * block, min(item * block + block, total)
            count = last - first
            begin = place_of(first, tiles, grid)
            for t in range(count):
                ka[t] = place_of(first + t, tiles, grid) - begin
            end = begin + ka[count - 1] + 1 + shifts[shifts.size - 1]
            transform_images(
                begin, end, x, low, grid, dilation, lanes, scratch, v_begin, pitch, plane
            )
            for q in range(first_panel, last_panel):
                f = q * cols
                transform_gradients(
                    first, last, g, f, min(cols, features - f), tiles, dilation, lanes, side, cols,
                    turned, tail(scratch, gt_begin), gt_plane,
                )
                for e in range(patches.shape[0] * SPOTS):
                    spot, patch = e % SPOTS, e // SPOTS
                    if spot // ROW > patches[patch, 1] or spot % ROW > patches[patch, 3]:
                        continue  # none of its taps needs this spot
                    b = tail(scratch, gt_begin + spot * gt_plane)
                    for c in range(0, channels, rows):
                        at_v = v_begin + spot * plane + shifts[patch] + c * pitch
                        a = tail(scratch, at_v)
                        at = tail(rows_of, 0)
                        if c + rows > x.shape[1]:
                            at = tail(edge_of, 0)
                        at_sums = ((share * panels + q) * patches.shape[0] * SPOTS + e) * channels
                        sums = tail(parts, (at_sums + c) * cols)
                        if item == first_item:
                            tile(a, at, ka, b, kb, count, zeros, 0, sums, cols)
                        else:
                            tile(a, at, ka, b, kb, count, zeros, 0, part, cols)
                            # Added here and not in the tile: short chains of sums stay exact.
                            for i in range(rows * cols):
                                sums[i] += part[i]
    leave(taken, place)
    tail(room, 0)


@jit
def finish_grad_w_range(start, stop, parts, lanes, side, patches, kw, gw, fine):
    """Tasks start .. stop - 1, a task being 16 channels of a panel: gw = G^T (sum of parts) G.

    gw (F, C, KH * kw). parts: the first share is overwritten. fine[task]: whether all are finite.
    """
    shares, count, padded, cols = parts.shape[0], parts.shape[2], parts.shape[4], parts.shape[5]
    features, channels, taps = gw.shape[0], gw.shape[1], gw.shape[2]
    each = parts.size // shares
    blocks = (channels + 15) // 16
    plane = padded * cols
    turned = np.empty(16 * taps * cols, gw.dtype)
    piece = np.empty(TAPS * TAPS * cols, gw.dtype)
    for task in range(start, stop):
        q, c = task // blocks, task % blocks * 16
        some = min(16, channels - c)
        for e in range(count * SPOTS):
            spot, patch = e % SPOTS, e // SPOTS
            if spot // ROW > patches[patch, 1] or spot % ROW > patches[patch, 3]:
                continue
            at = (q * count * SPOTS + e) * plane + c * cols
            total = tail(parts, at)
            for share in range(1, shares):
                more = tail(parts, share * each + at)
                for i in range(some * cols):
                    total[i] += more[i]
        for k in range(some):
            for patch in range(count):
                source = tail(parts, (q * count + patch) * SPOTS * plane + (c + k) * cols)
                for f in range(0, cols, lanes):
                    gradient_of_weights(
                        tail(source, f), ROW * plane, plane,
                        tail(piece, f), TAPS * cols, cols,
                    )
                i, tall, j, wide = (
                    patches[patch, 0], patches[patch, 1], patches[patch, 2], patches[patch, 3]
                )
                copy_rows(piece, TAPS * cols, tail(turned, (k * taps + i * kw + j) * cols),
                          kw * cols, tall, wide * cols)
        f = q * cols
        wide = min(cols, features - f)
        to = (f * channels + c) * taps
        transpose(turned, cols, some * taps, wide, side, tail(gw, to), channels * taps)
        good = True
        for k in range(wide):
            good &= finite_run(tail(gw, to + k * channels * taps), some * taps)
        fine[task] = good


class _GradPlan(NamedTuple):
    """How the gradient of the weights is cut up; it depends on sizes alone."""

    tasks: int
    parts: tuple[int, ...]
    patches: np.ndarray
    geometry: tuple  # the arguments of winograd_grad_w_range after `parts`
    scratch: int  # numbers of room for a thread


@functools.lru_cache(maxsize=256)
def _grad_w_plan(
    batch: int, channels: int, features: int, ah: Axis, aw: Axis, part_bytes: int
) -> _GradPlan:
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    ch, cw = cut_of(ah), cut_of(aw)
    patches, shifts = _patches(ch, cw)
    grid, tiles = (ch.grid, cw.grid), (ch.tiles, cw.tiles)
    total = batch * ch.tiles * cw.tiles
    block = blocks_of(total, max(64, min(TRANSFORMED // (SPOTS * channels), 256)))
    block = -(-block // cw.dilation) * cw.dilation
    items = -(-total // block)
    first = np.arange(items) * block
    last = np.minimum(first + block, total) - 1
    longest = int(max(place_of.plain(last, tiles, grid) - place_of.plain(first, tiles, grid))) + 1
    panels = -(-features // cols)
    shape = panels, len(patches), SPOTS, -(-channels // rows) * rows, cols
    shares = max(1, min(items, PIECES, total // PIECE, part_bytes // (4 * math.prod(shape))))
    block_f = blocks_of(panels, max(1, panels * shares // TASKS))
    pitch = odd_lines(longest + int(shifts[-1]) + lanes)
    plane, gt_plane = channels * pitch + 16, block * cols + 16
    r = np.arange(rows, dtype=np.int64)
    edge = np.minimum(r, (channels - 1) % rows) * pitch
    scratch = SPOTS * (plane + gt_plane) + SIDE * (aw.outputs + SIDE) * cols + 64
    geometry = (
        (ah.low, aw.low), grid, tiles, (ch.dilation, cw.dilation), (block, block_f),
        (lanes, square_side(np.float32), pitch, plane, gt_plane), patches, shifts,
        r * pitch, edge, np.arange(block, dtype=np.int64) * cols,
    )
    tasks = shares * -(-panels // block_f)
    return _GradPlan(tasks, (shares, *shape), patches, geometry, scratch)


def grad_w(
    g: np.ndarray, x: np.ndarray, khw: tuple[int, int], ah: Axis, aw: Axis, part_bytes: int
) -> np.ndarray | None:
    """gw[f, c, i, j] = sum of g[n, f, u, v] * x[n, c, u + i * dh, v + j * dw] over n, u, v.

    g (N, F, OH, OW), x (N, C, H, W) -> gw (F, C, *khw), None if some is not finite. ah and aw: the
    axes of y. part_bytes: of all shares' sums.
    """
    channels, features = x.shape[1], g.shape[1]
    plan = _grad_w_plan(x.shape[0], channels, features, ah, aw, part_bytes)
    parts = aligned(plan.parts, x.dtype)
    room, taken = room_for(plan.scratch)
    parallel(winograd_grad_w_range, plan.tasks, g, x, parts, *plan.geometry, room, taken)
    kh, kw = khw
    gw = np.empty((features, channels, kh * kw), x.dtype)
    tasks = plan.parts[1] * -(-channels // 16)
    fine = np.zeros(tasks, np.bool_)
    parallel(
        finish_grad_w_range, tasks, parts, grid_lanes(), square_side(x.dtype), plan.patches, kw,
        gw, fine,
    )
    return gw.reshape(features, channels, kh, kw) if fine.all() else None
