"""The gradient of the weights of Winograd's convolution: the adjoint of winograd.py.

    gw = G^T [ sum over tiles of (A g A^T) * (B^T d B) ] G        for each patch of the kernel

With channels of x as rows, channels of g as columns and tiles as the terms of the sum, each of the
16 spots is a product of matrices on the register tile; for another patch the same tiles of A g A^T
meet tiles of B^T d B that are some places further.

Images are shared out in a fixed number of shares, each with sums of its own, which are added up in
their order afterwards: the same bits at any number of threads.

Not here: the tiles, accuracy and speed (winograd.py); other convolutions (grad_w.py).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import jit
from ..simd.flat import copy, copy_rows, tail, to_line
from ..simd.tile import tile, tile_shape
from ..simd.transpose import square_side, transpose
from ..parallel import parallel
from ..parallel.scratch import arena_for, claim, release
from ..rowwise.sums import add_row_sums
from .geometry import Axis, Pair, blocks_of
from .winograd import A_T, G, finite_run, first_output, transform_images
from .winograd_cut import ROW, SIDE, SPOTS, TAPS, cut_of, odd_lines, patches_of
from .winograd_transform import grid_lanes, sandwich

transform_outputs = sandwich(tuple(zip(*A_T)))
gradient_of_weights = sandwich(tuple(zip(*G)))


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
    start, stop, g, x, parts, gb, low, grid, tiles, dilation, blocks, sizes, patches, shifts,
    rows_of, edge_of, kb, arena, taken,
):
    """Tasks start .. stop - 1, a task being (share of the tiles, block of panels of g's channels).

    g (N, F, OH, OW), x (N, C, H, W), parts (shares, panels, patches, spots, channels rounded up to
    whole register tiles, cols). blocks = (tiles with outputs of an item, panels of a task); low,
    grid, tiles, dilation: as above; sizes = (grid_lanes(), square_side, pitch and plane of v, plane
    of the transformed g). patches, shifts: see patches_of. rows_of, kb: the tables of the register
    tile; edge_of: rows_of, where the last channels repeat. gb (shares, F), float64 zeros: gets the
    sums of g, unless it is empty.
    """
    block, block_f = blocks
    lanes, side, pitch, plane, gt_plane = sizes
    shares, panels, channels, cols = parts.shape[0], parts.shape[1], parts.shape[4], parts.shape[5]
    rows = rows_of.size
    features, pixels = g.shape[1], g.shape[2] * g.shape[3]
    each = tiles[0] * tiles[1]  # tiles of an image
    total = x.shape[0] * each
    items = (total + block - 1) // block
    pieces_f = (panels + block_f - 1) // block_f
    place = claim(taken)
    scratch = tail(arena, place * arena.shape[1])
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
                if gb.size > 0:  # the images that begin in this item
                    for n in range((first + each - 1) // each, (last + each - 1) // each):
                        add_row_sums(
                            tail(g, (n * features + f) * pixels), pixels,
                            min(cols, features - f), pixels, tail(gb, share * features + f),
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
    release(taken, place)
    tail(arena, 0)


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


class _Plan(NamedTuple):
    """How the gradient of the weights is cut up; it depends on sizes alone."""

    tasks: int
    parts: tuple[int, ...]
    patches: np.ndarray
    geometry: tuple  # the arguments of winograd_grad_w_range after `parts`
    scratch: int  # numbers of scratch for a thread


@functools.lru_cache(maxsize=256)
def _plan(
    batch: int, channels: int, features: int, ah: Axis, aw: Axis, part_bytes: int
) -> _Plan:
    rows, cols, _ = tile_shape(np.float32)
    lanes = grid_lanes()
    ch, cw = cut_of(ah), cut_of(aw)
    patches, shifts = patches_of(ch, cw)
    grid, tiles = (ch.grid, cw.grid), (ch.tiles, cw.tiles)
    total = batch * ch.tiles * cw.tiles
    block = blocks_of(total, max(64, min(tuning.WINOGRAD_NUMBERS // (SPOTS * channels), 256)))
    block = -(-block // cw.dilation) * cw.dilation
    items = -(-total // block)
    first = np.arange(items) * block
    last = np.minimum(first + block, total) - 1
    longest = int(max(place_of.plain(last, tiles, grid) - place_of.plain(first, tiles, grid))) + 1
    panels = -(-features // cols)
    shape = panels, len(patches), SPOTS, -(-channels // rows) * rows, cols
    shares = max(1, min(
        items, tuning.CONV_PIECES, total // tuning.WINOGRAD_SHARE,
        part_bytes // (4 * math.prod(shape)),
    ))
    block_f = blocks_of(panels, max(1, panels * shares // tuning.WINOGRAD_TASKS))
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
    return _Plan(tasks, (shares, *shape), patches, geometry, scratch)


def grad_w(
    g: np.ndarray, x: np.ndarray, khw: Pair, ah: Axis, aw: Axis, part_bytes: int, bias: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """gw[f, c, i, j] = sum of g[n, f, u, v] * x[n, c, u + i * dh, v + j * dw] over n, u, v.

    And the sums of g in float64, to be added over the first dimension: (shares, F), or (shares, 0)
    without bias. None if some result is not finite.

    g (N, F, OH, OW), x (N, C, H, W) -> gw (F, C, *khw). ah and aw: the axes of y. part_bytes: of
    all shares' sums.
    """
    channels, features = x.shape[1], g.shape[1]
    plan = _plan(x.shape[0], channels, features, ah, aw, part_bytes)
    parts = empty(plan.parts, x.dtype)
    gb = np.zeros((plan.parts[0], features if bias else 0))
    arena, taken = arena_for(plan.scratch)
    parallel(winograd_grad_w_range, plan.tasks, g, x, parts, gb, *plan.geometry, arena, taken)
    kh, kw = khw
    gw = empty((features, channels, kh * kw), x.dtype)
    tasks = plan.parts[1] * -(-channels // 16)
    fine = np.zeros(tasks, np.bool_)
    parallel(
        finish_grad_w_range, tasks, parts, grid_lanes(), square_side(x.dtype), plan.patches, kw,
        gw, fine,
    )
    return (gw.reshape(features, channels, kh, kw), gb) if fine.all() else None
