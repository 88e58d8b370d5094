"""The gradient of a convolution's weights: the same two tables, the other way round.

    gw[t, f] = sum over outputs p of image[taps[t] + positions[p]] * g[p, f]

where conv.py sums over the taps for each position. So the register tile has taps as rows and
channels of g as columns; g is turned to have its channels side by side, item by item in the cache.

Images are shared out in a fixed number of pieces, each with sums of its own, which are added up in
their order afterwards: the same bits at any number of threads.

Not here: many channels and stride 1 (winograd_grad_w.py), few channels of g a group
(conv_depthwise.py), the other two passes (conv.py), checks.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from . import winograd, winograd_grad_w
from .conv_depthwise import few_outputs, grad_w_depthwise
from .conv_geometry import (
    KINDS,
    PIECES,
    Axis,
    Pair,
    any_tile,
    blocks_of,
    forward_axis,
    layout,
    pack_padded,
    per_chunk,
    zero_rows,
)
from .jit import jit, ready
from .reduce import add_row_sums
from .room import enter, leave, room_for
from .rows import tail
from .threads import parallel
from .tile import tile_shape
from .transpose import square_side, transpose

PART_BYTES = 1 << 25  # of all pieces' sums together
ADDED = 96  # taps whose pieces are added up in a first-level cache


@jit
def grad_w_range(
    start, stop, g, x, parts, gb, positions, taps, kb, blocks, tile_of, pitches, ah, aw,
    turned_at, room, taken
):
    """Tasks start .. stop - 1, a task being (piece, group, block of panels of g's channels).

    g (N, F, OH, OW), x (N, C, H, W), parts (pieces, G * panels, taps, cols). positions, taps (their
    number rounded up to whole tiles by repeating the last), pitches: see Layout. kb:
    where the row of position p begins in the turned g. blocks = (images, rows, panels of a task,
    groups, number of taps), tile_of as in correlate_range, ah and aw without the last. gb (pieces,
    F), float64 zeros: gets the sums of g, unless it is empty. turned_at: where the turned g begins
    in a place of the room.

    Limit: the tile. Measured on two cores, float32: 3x3, 64 or 128 channels: 390 GFLOP/s of 456;
    5x5: 395; 1x1: 285, where g is turned and x copied for only 128 multiply-adds a number.
    """
    block_n, block_h, block_f, groups, count = blocks
    rows, kind, side = tile_of
    low_h, step_h, reach_h, count_h = ah
    low_w, step_w, reach_w, count_w = aw
    image = pitches[2]
    batch, channels, features = x.shape[0], x.shape[1] // groups, g.shape[1] // groups
    pieces, panels, cols = parts.shape[0], parts.shape[1] // groups, parts.shape[3]
    pieces_f = (panels + block_f - 1) // block_f
    pieces_h = (count_h + block_h - 1) // block_h
    items = (batch + block_n - 1) // block_n * pieces_h
    cells_h, cells_w = (block_h - 1) * step_h + reach_h + 1, (count_w - 1) * step_w + reach_w + 1
    width = block_f * cols
    place = enter(taken)
    packed = tail(room, place * room.shape[1])
    turned = tail(packed, turned_at)
    zero_rows(packed, 0, 1, 0, 0, turned_at + positions.size * width + cols)
    part = np.empty(rows * cols, g.dtype)
    zeros = np.zeros(cols, g.dtype)
    g_plane = g.shape[2] * g.shape[3]
    for task in range(start, stop):
        first_panel = task % pieces_f * block_f
        group = task // pieces_f % groups
        piece = task // pieces_f // groups
        some = min(block_f, panels - first_panel)
        first_f = first_panel * cols
        wide = min(some * cols, features - first_f)
        for q in range(some):
            parts[piece, group * panels + first_panel + q] = 0
        for item in range(piece * items // pieces, (piece + 1) * items // pieces):
            first_h = item % pieces_h * block_h
            first_n = item // pieces_h * block_n
            images = min(block_n, batch - first_n)
            tall = min(block_h, count_h - first_h)
            top = first_h * step_h + low_h
            length = tall * count_w
            for i in range(images):
                pack_padded(
                    x, first_n + i, group * channels, channels, top, low_w, cells_h, cells_w,
                    tail(packed, i * image),
                )
                source = ((first_n + i) * g.shape[1] + group * features + first_f) * g_plane
                grads = tail(g, source + first_h * count_w)
                transpose(
                    grads, g_plane, wide, length, side,
                    tail(turned, i * length * width), width,
                )
                if gb.size > 0:  # now that these numbers are in a cache
                    sums = tail(gb, piece * g.shape[1] + group * features + first_f)
                    add_row_sums(grads, g_plane, wide, length, sums)
            for q in range(some):
                panel = (piece * groups + group) * panels + first_panel + q
                b = tail(turned, q * cols)
                for t in range(0, count, rows):
                    at = tail(taps, t)
                    any_tile(
                        kind, packed, at, positions, b, kb, images * length, zeros, 0, part, cols
                    )
                    # Added here and not in the tile: short chains of sums stay exact.
                    total = tail(parts, (panel * count + t) * cols)
                    for e in range(min(rows, count - t) * cols):
                        total[e] += part[e]
    leave(taken, place)
    # Mentioned once more: views count no reference (rows.tail).
    tail(g, 0), tail(x, 0), tail(gb, 0), tail(parts, 0), tail(room, 0)


@jit
def add_parts_range(start, stop, parts, groups, block, side, gw):
    """Items start .. stop - 1 of gw (F, taps) = the pieces' sums, in their order, turned.

    An item is (panel, block of taps). parts (pieces, G * panels, taps, cols): the first piece is
    overwritten. Limit: bytes.
    """
    panels, count, cols = parts.shape[1] // groups, parts.shape[2], parts.shape[3]
    blocks = (count + block - 1) // block
    features = gw.shape[0] // groups
    for item in range(start, stop):
        q, t = item // blocks, item % blocks * block
        size = min(block, count - t)
        total = tail(parts, (q * count + t) * cols)
        for piece in range(1, parts.shape[0]):
            more = tail(parts, ((piece * parts.shape[1] + q) * count + t) * cols)
            for e in range(size * cols):
                total[e] += more[e]
        first = q % panels * cols
        wide = min(cols, features - first)
        to = tail(gw, (q // panels * features + first) * count + t)
        transpose(total, cols, size, wide, side, to, count)


class _Plan(NamedTuple):
    """How the work is cut up; it depends on sizes alone."""

    tasks: int
    grain: int
    parts: tuple[int, int, int, int]
    geometry: tuple  # the arguments of grad_w_range after `gb`
    scratch: int  # numbers of room for a thread


@functools.lru_cache(maxsize=256)
def _plan(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> _Plan:
    """The plan for `channels` of x and `features` of g a group."""
    where = layout(batch, channels, ah, aw)
    kind = 0 if features <= tile_shape(dtype, "narrow").cols else 1
    # The rows of the tile are taps, spread in memory: the broad one reads fewer, 8 to 15 % faster.
    broad = tile_shape(dtype, "broad").cols
    if kind == 1 and -(-features // broad) * broad - features < tile_shape(dtype).cols:
        kind = 2
    rows, cols, _ = tile_shape(dtype, KINDS[kind])
    panels, count = -(-features // cols), where.taps.size
    items = where.items(batch, ah.outputs)
    size = groups * panels * count * cols * dtype.itemsize
    pieces = max(1, min(items, -(-PIECES // groups), PART_BYTES // size))
    block_f = panels
    if pieces * groups < PIECES:
        block_f = blocks_of(panels, max(1, panels * pieces * groups // PIECES))
    block_f = min(block_f, max(1, (1 << 16) // (where.positions.size * cols)))
    tasks = pieces * groups * -(-panels // block_f)
    taps = np.concatenate([where.taps, np.repeat(where.taps[-1:], -count % rows)])
    turned_at = -(-where.blocks[0] * where.pitches[2] // 16) * 16
    scratch = turned_at + where.positions.size * block_f * cols + cols
    kb = np.arange(where.positions.size, dtype=np.int64) * (block_f * cols)
    geometry = (
        where.positions, taps, kb, (*where.blocks, block_f, groups, count),
        (rows, kind, square_side(dtype)), where.pitches, ah.numbers, aw.numbers, turned_at,
    )
    flops = 2 * batch * ah.outputs * aw.outputs * count * groups * panels * cols / tasks
    return _Plan(tasks, per_chunk(flops), (pieces, groups * panels, count, cols), geometry, scratch)


def conv2d_grad_w(
    g: np.ndarray,
    x: np.ndarray,
    khw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """gw[f,c,i,j] = sum_nuv g[n,f,u,v] * x[n, c, u*sh + i*dh - top, v*sw + j*dw - left].

    g (N, F, OH, OW), x (N, C, H, W), khw (KH, KW), padding (top, left) -> gw (F, C // groups, KH,
    KW). The zeros of the padding are multiplied: a g of inf makes NaN in the taps outside.
    """
    return _grad_w_and_sums(ready(g), ready(x), khw, stride, padding, dilation, groups, False)[0]


def conv2d_grad_w_and_bias(
    g: np.ndarray,
    x: np.ndarray,
    khw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(gw, gb): gw as `conv2d_grad_w`, and the bias's gradient gb[f] = sum_nuv g[n,f,u,v], (F,).

    Each item of g is added up while it is in a cache, where a pass of its own read it from memory.
    """
    gw, gb = _grad_w_and_sums(ready(g), ready(x), khw, stride, padding, dilation, groups, True)
    return gw, np.add.reduce(gb, axis=0).astype(g.dtype)  # (pieces, F) -> (F,)


def _grad_w_and_sums(
    g: np.ndarray, x: np.ndarray, khw: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, bias: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """gw, and the pieces of gb in float64: (pieces, F), or (pieces, 0) without bias."""
    (batch, _, oh, ow), (kh, kw) = g.shape, khw
    features, channels = g.shape[1] // groups, x.shape[1] // groups
    shape = g.shape[1], channels, kh, kw
    if g.size == 0 or channels * kh * kw == 0:
        pixels = g.reshape(batch, g.shape[1], oh * ow) if bias else g[:, :0, 0]
        return np.zeros(shape, g.dtype), pixels.sum(axis=2, dtype=np.float64)
    ah = forward_axis(x.shape[2], kh, stride[0], padding[0], dilation[0], oh)
    aw = forward_axis(x.shape[3], kw, stride[1], padding[1], dilation[1], ow)
    if few_outputs(features, aw, g.dtype):
        gw, gb = grad_w_depthwise(g, x, kh, kw, ah, aw, groups, bias)
        return gw.reshape(shape), gb
    if winograd.possible(groups, g.dtype, ah, aw) and (
        winograd.cheaper(batch, channels, features, ah, aw, gradient=True)
    ):
        found = winograd_grad_w.grad_w(g, x, khw, ah, aw, PART_BYTES, bias)
        if found is not None:
            return found
    plan = _plan(batch, channels, features, groups, g.dtype, ah, aw)
    parts = np.empty(plan.parts, g.dtype)
    gb = np.zeros((plan.parts[0], g.shape[1] if bias else 0))
    parallel(
        grad_w_range, plan.tasks, g, x, parts, gb, *plan.geometry,
        *room_for(plan.scratch, g.dtype), grain=plan.grain,
    )
    gw = np.empty((g.shape[1], channels * kh * kw), g.dtype)
    items = parts.shape[1] * -(-parts.shape[2] // ADDED)
    grain = max(1, 400_000 // (ADDED * plan.parts[0] * plan.parts[3]))
    parallel(add_parts_range, items, parts, groups, ADDED, square_side(g.dtype), gw, grain=grain)
    return gw.reshape(shape), gb


# --------------------------------------------------------------------------- plain twin


def tap_views(x, khw, out_hw, stride, padding, dilation):
    """For each tap (i, j): the view of a padded copy of x that it multiplies; and that copy."""
    (oh, ow), (sh, sw), (top, left), (dh, dw) = out_hw, stride, padding, dilation
    kh, kw = khw
    n, c, height, width = x.shape
    tall = max(top + height, (oh - 1) * sh + (kh - 1) * dh + 1)
    wide = max(left + width, (ow - 1) * sw + (kw - 1) * dw + 1)
    padded = np.zeros((n, c, tall, wide), x.dtype)
    padded[:, :, top : top + height, left : left + width] = x
    views = {}
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
            cols = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
            views[i, j] = padded[:, :, rows, cols]  # (N, C, OH, OW)
    return views, padded


def group_slices(groups, features, channels):
    """For each group: its slice of output channels and its slice of input channels."""
    f, c = features // groups, channels // groups
    return [(slice(k * f, k * f + f), slice(k * c, k * c + c)) for k in range(groups)]


def conv2d_grad_w_reference(g, x, khw, stride, padding, dilation, groups):
    """The plain twin of `conv2d_grad_w`: one number a tap and a pair of channels."""
    gw = np.zeros((g.shape[1], x.shape[1] // groups, *khw), g.dtype)
    views, _ = tap_views(x, khw, g.shape[2:], stride, padding, dilation)
    for (i, j), view in views.items():
        for fs, cs in group_slices(groups, g.shape[1], x.shape[1]):
            gw[fs, :, i, j] = np.einsum("nfhw,nchw->fc", g[:, fs], view[:, cs])
    return gw
