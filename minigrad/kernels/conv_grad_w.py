"""The gradient of a convolution's weights: the same two tables, the other way round.

    gw[t, f] = sum over outputs p of image[taps[t] + positions[p]] * g[p, f]

where conv.py sums over the taps for each position. So the register tile has taps as rows and
channels of g as columns; g is turned to have its channels side by side, item by item in the cache.

Images are shared out in a fixed number of pieces, each with sums of its own, which are added up in
their order afterwards: the same bits at any number of threads.

Not here: 3x3 kernels with many channels (winograd.py), few channels of g a group (conv_few.py),
the other two passes (conv.py), checks.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from . import winograd
from .conv_few import few, few_grad_w
from .conv_geometry import (
    PIECES,
    Axis,
    Pair,
    blocks_of,
    forward_axis,
    layout,
    pack_padded,
    per_chunk,
)
from .jit import jit, ready
from .rows import tail, to_line
from .threads import parallel
from .tile import narrow_tile, tile, tile_shape
from .transpose import square_side, transpose

PART_BYTES = 1 << 25  # of all pieces' sums together


@jit
def grad_w_range(
    start, stop, g, x, parts, positions, taps, kb, blocks, tile_of, axes, pitches, in_place
):
    """Tasks start .. stop - 1, a task being (piece, group, block of panels of g's channels).

    g (N, F, OH, OW), x (N, C, H, W), parts (pieces, G * panels, taps, cols). positions, taps (their
    number rounded up to whole tiles by repeating the last), pitches, in_place: see Layout. kb:
    where the row of position p begins in the turned g. blocks = (images, rows, panels of a task,
    groups, number of taps), tile_of and axes as in correlate_range.
    """
    block_n, block_h, block_f, groups, count = blocks
    rows, narrow, side = tile_of
    low_h, step_h, reach_h, count_h = axes[0]
    low_w, step_w, reach_w, count_w = axes[1]
    row, plane, image = pitches
    batch, channels, features = x.shape[0], x.shape[1] // groups, g.shape[1] // groups
    pieces, panels, cols = parts.shape[0], parts.shape[1] // groups, parts.shape[3]
    pieces_f = (panels + block_f - 1) // block_f
    pieces_h = (count_h + block_h - 1) // block_h
    items = (batch + block_n - 1) // block_n * pieces_h
    cells_h, cells_w = (block_h - 1) * step_h + reach_h + 1, (count_w - 1) * step_w + reach_w + 1
    packed = np.zeros(1 if in_place else block_n * image, x.dtype)
    width = block_f * cols
    turned = np.zeros(positions.size * width + cols + 16, g.dtype)
    origin = to_line(turned)
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
                if not in_place:
                    pack_padded(
                        x, first_n + i, group * channels, channels, top, low_w, cells_h, cells_w,
                        tail(packed, i * image),
                    )
                source = ((first_n + i) * g.shape[1] + group * features + first_f) * g_plane
                transpose(
                    tail(g, source + first_h * count_w), g_plane, wide, length, side,
                    tail(turned, origin + i * length * width), width,
                )
            if in_place:
                a = tail(x, first_n * image + group * channels * plane + top * row + low_w)
            else:
                a = tail(packed, 0)
            for q in range(some):
                panel = (piece * groups + group) * panels + first_panel + q
                b = tail(turned, origin + q * cols)
                for t in range(0, count, rows):
                    at = tail(taps, t)
                    if narrow:
                        narrow_tile(a, at, positions, b, kb, images * length, zeros, 0, part, cols)
                    else:
                        tile(a, at, positions, b, kb, images * length, zeros, 0, part, cols)
                    # Added here and not in the tile: short chains of sums stay exact.
                    total = tail(parts, (panel * count + t) * cols)
                    for e in range(min(rows, count - t) * cols):
                        total[e] += part[e]


@jit
def add_parts_range(start, stop, parts, groups, side, gw):
    """Panels start .. stop - 1 of gw (F, taps) = the pieces' sums, in their order, turned.

    parts (pieces, G * panels, taps, cols): the first piece is overwritten.
    """
    panels, count, cols = parts.shape[1] // groups, parts.shape[2], parts.shape[3]
    features = gw.shape[0] // groups
    for q in range(start, stop):
        total = parts[0, q].reshape(count * cols)
        for piece in range(1, parts.shape[0]):
            more = parts[piece, q].reshape(count * cols)
            for e in range(total.size):
                total[e] += more[e]
        first = q % panels * cols
        wide = min(cols, features - first)
        to = tail(gw, (q // panels * features + first) * count)
        transpose(total, cols, count, wide, side, to, count)


class _Plan(NamedTuple):
    """How the work is cut up; it depends on sizes alone."""

    tasks: int
    grain: int
    parts: tuple[int, int, int, int]
    geometry: tuple  # the arguments of grad_w_range after `parts`


@functools.lru_cache(maxsize=256)
def _plan(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> _Plan:
    """The plan for `channels` of x and `features` of g a group."""
    where = layout(batch, channels, groups, ah, aw)
    narrow = features <= tile_shape(dtype, "narrow").cols
    rows, cols, _ = tile_shape(dtype, "narrow" if narrow else "wide")
    panels, count = -(-features // cols), where.taps.size
    items = where.items(batch, ah.count)
    size = groups * panels * count * cols * dtype.itemsize
    pieces = max(1, min(items, -(-PIECES // groups), PART_BYTES // size))
    block_f = panels
    if pieces * groups < PIECES:
        block_f = blocks_of(panels, max(1, panels * pieces * groups // PIECES))
    block_f = min(block_f, max(1, (1 << 16) // (where.positions.size * cols)))
    tasks = pieces * groups * -(-panels // block_f)
    taps = np.concatenate([where.taps, np.repeat(where.taps[-1:], -count % rows)])
    kb = np.arange(where.positions.size, dtype=np.int64) * (block_f * cols)
    axes = tuple((axis.low, axis.step, axis.reach, axis.count) for axis in (ah, aw))
    geometry = (
        where.positions, taps, kb, (*where.blocks, block_f, groups, count),
        (rows, narrow, square_side(dtype)), axes, where.pitches, where.in_place,
    )
    flops = 2 * batch * ah.count * aw.count * count * groups * panels * cols / tasks
    return _Plan(tasks, per_chunk(flops), (pieces, groups * panels, count, cols), geometry)


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
    g, x = ready(g), ready(x)
    (batch, _, oh, ow), (kh, kw) = g.shape, khw
    features, channels = g.shape[1] // groups, x.shape[1] // groups
    shape = g.shape[1], channels, kh, kw
    if g.size == 0 or channels * kh * kw == 0:
        return np.zeros(shape, g.dtype)
    ah = forward_axis(x.shape[2], kh, stride[0], padding[0], dilation[0], oh)
    aw = forward_axis(x.shape[3], kw, stride[1], padding[1], dilation[1], ow)
    if few(features, g.dtype):
        return few_grad_w(g, x, kh * kw, ah, aw, groups).reshape(shape)
    if winograd.possible(groups, g.dtype, ah, aw) and (
        winograd.cheaper(batch, channels, features, ah, aw, gradient=True)
    ):
        gw = winograd.grad_w(g, x, ah, aw, PART_BYTES)
        if gw is not None:
            return gw.reshape(shape)
    plan = _plan(batch, channels, features, groups, g.dtype, ah, aw)
    parts = np.empty(plan.parts, g.dtype)
    parallel(grad_w_range, plan.tasks, g, x, parts, *plan.geometry, grain=plan.grain)
    gw = np.empty((g.shape[1], channels * kh * kw), g.dtype)
    grain = max(1, 60_000 // (parts[:, 0].size))
    parallel(add_parts_range, parts.shape[1], parts, groups, square_side(g.dtype), gw, grain=grain)
    return gw.reshape(shape)


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
