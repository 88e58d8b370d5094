"""Winograd's convolution, stride 1: a 3x3 kernel takes 16 multiplications where 36 are usual.

A tile d of 4 x 4 pixels holds all that its 2 x 2 outputs need, and

    y = A^T [ (G w G^T) * (B^T d B) ] A             * is a product number by number

(Winograd 1980; Lavin and Gray 2016). Summed over channels, each of the 16 spots of the bracket is a
product of matrices (outputs x channels) @ (channels x tiles), on the register tile (tile.py):

    images --B^T d B--> v[spot, channel, tile] --products with u = G w G^T--> m --A^T m A--> y

An item is a run of tiles, wherever in the images it begins: v of the item stays in the second-level
cache, m of one register tile for all spots in the first. Vectors run along the tiles, so that
images are read and written as they lie. The gradient of the image is the same with the taps
reversed, which exchanges some spots of u. That of the weights is in winograd_grad_w.py.

Kernels of other sizes are sums of patches, each 2 or 3 taps high and wide, that begin at even taps:

    5 taps = [0 1] + [2 3 4]        4 = [0 1] + [2 3]        7 = [0 1] + [2 3] + [4 5 6]

What a patch that begins at tap 2a reads is what the first one reads for the tile a places further.
So v is made once, m sums over channels and patches, and only at the end comes A^T m A. A patch of
2 taps has a third one of zero, and then the last row of G w G^T is zero: these spots
leave it out. The 2 x 2 outputs take (3 + 4)^2 = 49 multiplications for 5x5 where 100 are usual, 100
for 7x7 (196), 9 for 2x2 (16).

A dilation d makes d * d convolutions, one for each remainder of the row and column modulo d. Their
tiles take turns (see Cut), and then a vector of tiles with dilation 2 reads and writes one whole
run of the image, as without.

Accuracy. Rounding errors in units of 2^-23 times the root mean square of the result, normal x and
w: (rms, largest) over some 10^5 results

    channels, kernel    y, direct     y, here      gw, direct   gw, here
    64, 2x2             2.3   25      1.9   15     2.1   12     2.5   14
    64, 3x3             3.5   36      2.2   12     2.0   12     2.7   16
    128, 3x3            4.9   49      3.0   18     2.0   14     2.1   13
    512, 3x3            9.9  112      5.8   38     2.0   18     2.1   14
    64, 5x5             5.6   59      3.6   25     2.0   13     2.6   17
    64, 7x7             7.7   81      4.9   35     1.9   16     2.3   17

y: less than the direct sum, which is longer; gw: up to twice as much where images are few and
small. Each output is as good as that relative to the largest numbers of its window; one that is
small because large numbers meet zeros, or cancel, is better in the direct sum. Infinities, NaNs and
an overflow on the way show in some output; then the caller computes everything the direct way,
which puts them where mathematics does.

Speed. 2 cores, float32, GFLOP/s counted as if done directly, of y, gx and gw at (N, C, H = W, F);
nothing direct can pass the peak of 445:

    16,64,56,64  598 599 600    16,128,28,128  658 652 626    16,128,14,128        560 543 524
    64,32,14,64  461 447 466    16,64,28,64    537 537 532    the same, dilation 2 527 525 527
    16,32,28,32, 5x5           498 499 542    the same, 7x7                        497 494 564

The products run at 185 to 200 GFLOP/s a core and take 60 to 75 % of its time. The rest: four
numbers of v for each pixel, which are written to the second-level cache (1.9 cycles a pixel), and m
to y (1 to 1.5 cycles an output). Both cores together do 1.85 times what one does: y is written at
11 GB/s, by one core or by two. With patches, the tiles at the end of a row that have no outputs
are multiplied, too: 13 % of them for 5x5 at 28 pixels.

Tried without gain: prefetching what will be written; two to eight rows of register tiles that share
what they read of v.

Tiles of 4 x 4 outputs (36 multiplications for 16 of them) were tried: 1.3 times as fast again at 28
and 56 pixels, slower at 14. Errors, (rms, largest) as above: y 7.0, 77 and gw 6.5, 34 with 64
channels, y 9.4, 107 and gw 6.5, 37 with 128: two times those of the direct sum, dozens of units at
worst. Not done.

Not here: how images and kernels are cut, and when this is worth it (winograd_cut.py); groups,
strides, dilations of more than 2 along a row, float64 (tiles.py).
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np

from ..jit import jit, ready
from ..simd.flat import aligned, copy, tail, to_line
from ..simd.tile import tile, tile_shape
from ..simd.transpose import square_side, transpose
from ..parallel import parallel
from ..parallel.scratch import arena_for, claim, release
from .geometry import Axis
from .winograd_cut import ROW, SIDE, SPOTS, TAPS, block_of, cut_of, odd_lines, patches_of
from .winograd_transform import Matrix, grid_lanes, sandwich, sandwich_of_image, sandwich_to_image

# The matrices of the theory, with polynomials that are evaluated at 0, 1, -1 and infinity.
B_T: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))
G: Matrix = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))
A_T: Matrix = ((1, 1, 1, 0), (0, 1, -1, 1))

transform_tiles = sandwich_of_image(B_T, SIDE)
transform_spread_tiles = sandwich_of_image(B_T, SIDE, 2)
transform_weights = sandwich(G)
outputs_of_tiles = sandwich_to_image(A_T)
outputs_of_spread_tiles = sandwich_to_image(A_T, 2)

FLIPPED = [3, 1, 2, 0]  # which row of G w is which if the taps of w run backwards


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
    ka, kb, arena, taken,
):
    """Items start .. stop - 1 of a correlation, an item being `block` tiles of the grid.

    x (N, C, H, W), bias (F,), out (N, F, ., .). low: the first row and column that tile 0 reads.
    grid, tiles, dilation: of both axes, see Cut. sizes = (block, how many tiles further a patch
    reads, grid_lanes(), columns of a register tile, pitch and plane of v, step of u to the next
    block of outputs). spots: where those of u begin; rows_of, ka, kb: the tables of the register
    tile, of which a spot takes terms[spot] = (begin, count). fine[item]: whether all is finite.
    arena, taken: see scratch.py.

    One writer for each output; the order of a sum is that of the patches and channels.
    """
    block, ahead, lanes, cols, pitch, plane, u_step = sizes
    rows = rows_of.size
    features = out.shape[1]
    total = x.shape[0] * grid[0] * grid[1]
    place = claim(taken)
    scratch = tail(arena, place * arena.shape[1])
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
    release(taken, place)
    tail(arena, 0)  # mentioned once more: views count no reference (flat.tail)


class _Plan(NamedTuple):
    """How a correlation is cut up; it depends on sizes alone."""

    items: int
    pairs: int  # of blocks of u
    weights: int  # numbers of u
    pitches: tuple[int, int]  # of u
    patches: np.ndarray
    geometry: tuple  # the arguments of winograd_range after `fine`
    scratch: int  # numbers of scratch for a thread


@functools.lru_cache(maxsize=256)
def _plan(batch: int, channels: int, features: int, flipped: bool, ah: Axis, aw: Axis) -> _Plan:
    """The plan for `channels` in and `features` out; flipped: the taps run backwards."""
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    ch, cw = cut_of(ah), cut_of(aw)
    patches, shifts = patches_of(ch, cw)
    block = block_of(batch, channels, ch, cw)
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

    x (N, C, H, W), w (F, C, KH, KW), bias (F,) or None, ah and aw: see `why_not`. Returns False if
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
    arena, taken = arena_for(plan.scratch)
    parallel(winograd_range, plan.items, x, u, bias, out, fine, *plan.geometry, arena, taken)
    return bool(fine.all())
