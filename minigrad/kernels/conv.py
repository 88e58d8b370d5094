"""Cross-correlation of images and its gradient for the image, on the register tile.

    y[p, f] = bias[f] + sum over taps t of image[positions[p] + taps[t]] * w[t, f]

is a product of matrices whose left factor is never written down: the tile (tile.py) reads it
through the two tables of conv_geometry.py. Its rows are positions, its columns are channels of y,
side by side; so y is computed channels last in the cache, and turned when it is stored.

The gradient of the image is the same sum: over channels of g and the taps that reach a pixel; with
a stride s, once for each remainder of the pixel's row and column modulo s.

Padding is (top, left) only: the size of the output says how far it reaches at the bottom and at
the right, so the lopsided padding of 'same' with an even kernel needs nothing special.

Not here: 3x3 kernels with many channels (winograd.py), outputs with few channels a group
(conv_few.py), the gradient of the weights (conv_grad_w.py), checking shapes, derivatives as rules
(ops/conv.py).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from . import winograd
from .conv_few import correlate_few, few
from .conv_geometry import (
    PIECES,
    Axis,
    Pair,
    backward_axes,
    blocks_of,
    forward_axis,
    layout,
    pack_padded,
    per_chunk,
)
from .conv_grad_w import conv2d_grad_w, conv2d_grad_w_reference, group_slices, tap_views
from .jit import jit, ready
from .rows import aligned, tail, to_line
from .threads import parallel
from .tile import narrow_tile, tile, tile_shape
from .transpose import square_side, transpose

__all__ = [
    "conv2d",
    "conv2d_grad_w",
    "conv2d_grad_w_reference",
    "conv2d_grad_x",
    "conv2d_grad_x_reference",
    "conv2d_reference",
]

# Taps in one go: so many rows of a panel of weights (24 KiB with AVX-512) and what they meet of
# the image fit a first-level cache.
DEPTH = 192
SUMS = 1 << 16  # sums of an item, 256 KiB of a second-level cache


@jit
def pack_weights(start, stop, w, from_inputs, used, cols, out):
    """Panels start .. stop - 1: the weights as the tile reads them, a row of `cols` for each tap.

    w (G, F, C, T). Forward, out[g*panels + q, (c, t), j] = w[g, q*cols + j, c, used[t]]; for the
    gradient of the image (from_inputs) the channels of x are the outputs, and
    out[g*panels + q, (f, t), j] = w[g, f, q*cols + j, used[t]]. Zeros beyond the last channel.
    """
    features, channels = w.shape[1], w.shape[2]
    outputs, inputs = (channels, features) if from_inputs else (features, channels)
    panels = (outputs + cols - 1) // cols
    taps = used.size
    for p in range(start, stop):
        group, first = p // panels, p % panels * cols
        count = min(cols, outputs - first)
        panel = out[p]
        for j in range(count):
            for k in range(inputs):
                column = panel[k * taps :]
                if from_inputs:
                    source = w[group, k, first + j]
                else:
                    source = w[group, first + j, k]
                for t in range(taps):
                    column[t, j] = source[used[t]]
        for k in range(panel.shape[0]):
            row = panel[k]
            for j in range(count, cols):
                row[j] = 0


@jit(inline=True)
def any_tile(narrow, a, row, ka, b, kb, kc, start, lds, c, ldc):
    """The tile of either width; see tile.py."""
    if narrow:
        narrow_tile(a, row, ka, b, kb, kc, start, lds, c, ldc)
    else:
        tile(a, row, ka, b, kb, kc, start, lds, c, ldc)


@jit
def store_turned(sums, pitch, side, size, channels, turned, out, plane, first, places):
    """out[f, first + (u, v)] = sums[(u, v), f] for f < channels and (u, v) < size; flat arrays.

    sums: a row of `pitch` for each position. plane: from one channel of out to the next. places =
    (row of out, step in rows, step in a row). turned: room for all of them where a step is not 1.
    """
    tall, wide = size
    row, step_h, step_w = places
    length = tall * wide
    if row == wide and step_h == 1 and step_w == 1:
        transpose(sums, pitch, length, channels, side, tail(out, first), plane)
        return
    transpose(sums, pitch, length, channels, side, turned, length)
    for f in range(channels):
        for u in range(tall):
            source = tail(turned, f * length + u * wide)
            to = tail(out, f * plane + first + u * step_h * row)
            for v in range(wide):
                to[v * step_w] = source[v]


@jit
def correlate_range(
    start, stop, x, w, bias, out, positions, taps, kb, blocks, tile_of, axes, pitches, in_place
):
    """Items start .. stop - 1 of a correlation; an item is (images, rows, group, panels).

    x (N, C, H, W), out (N, F, ., .), w (G * panels, taps, cols), bias (G * panels, cols).
    positions, taps, pitches, in_place: see Layout. kb: where row t of a panel begins.
    blocks = (images, rows, panels of an item, groups, taps in one go); tile_of = (rows, narrow,
    square_side); axes = (low, step, reach, count, out_start, out_step) of `Axis`, for both.

    One writer for each output; the order of a sum is that of the taps, whatever the blocks.
    """
    block_n, block_h, block_f, groups, depth = blocks
    rows, narrow, side = tile_of
    low_h, step_h, reach_h, count_h, start_h, out_step_h = axes[0]
    low_w, step_w, reach_w, count_w, start_w, out_step_w = axes[1]
    row, plane, image = pitches
    batch, channels, features = x.shape[0], x.shape[1] // groups, out.shape[1] // groups
    panels, cols = w.shape[0] // groups, w.shape[2]
    pieces_h = (count_h + block_h - 1) // block_h
    pieces_f = (panels + block_f - 1) // block_f
    cells_h, cells_w = (block_h - 1) * step_h + reach_h + 1, (count_w - 1) * step_w + reach_w + 1
    packed = np.zeros(1 if in_place else block_n * image, x.dtype)
    width = block_f * cols
    sums = np.empty((positions.size + rows) * width + 16, x.dtype)
    origin = to_line(sums)
    spread = out_step_h != 1 or out_step_w != 1 or count_w != out.shape[3]
    turned = np.empty(cols * block_h * count_w if spread else 1, x.dtype)
    last = np.empty(rows, np.int64)
    out_plane, out_row = out.shape[2] * out.shape[3], out.shape[3]
    in_packed = -1
    for item in range(start, stop):
        where, first_panel = item // pieces_f, item % pieces_f * block_f
        group = where % groups
        first_h = where // groups % pieces_h * block_h
        first_n = where // groups // pieces_h * block_n
        images = min(block_n, batch - first_n)
        tall = min(block_h, count_h - first_h)
        top = first_h * step_h + low_h
        if in_place:
            a = tail(x, first_n * image + group * channels * plane + top * row + low_w)
        else:
            a = tail(packed, 0)
            if where != in_packed:
                in_packed = where
                for i in range(images):
                    pack_padded(
                        x, first_n + i, group * channels, channels, top, low_w, cells_h, cells_w,
                        tail(packed, i * image),
                    )
        length = images * tall * count_w
        some = min(block_f, panels - first_panel)
        for t in range(0, taps.size, depth):
            kc = min(depth, taps.size - t)
            ka = tail(taps, t)
            for q in range(some):
                panel = tail(w, ((group * panels + first_panel + q) * taps.size + t) * cols)
                for p in range(0, length, rows):
                    at = tail(positions, p)
                    if p + rows > length:  # the last tile may not read beyond the last position
                        for r in range(rows):
                            last[r] = positions[min(p + r, length - 1)]
                        at = tail(last, 0)
                    c = tail(sums, origin + p * width + q * cols)
                    if t == 0:
                        begin, lds = tail(bias, (group * panels + first_panel + q) * cols), 0
                    else:
                        begin, lds = c, width
                    any_tile(narrow, a, at, ka, panel, kb, kc, begin, lds, c, width)
        for i in range(images):
            for q in range(some):
                f = (first_panel + q) * cols
                store_turned(
                    tail(sums, origin + i * tall * count_w * width + q * cols), width, side,
                    (tall, count_w), min(cols, features - f), turned,
                    tail(out, ((first_n + i) * out.shape[1] + group * features + f) * out_plane),
                    out_plane, (start_h + first_h * out_step_h) * out_row + start_w,
                    (out_row, out_step_h, out_step_w),
                )


class _Plan(NamedTuple):
    """How a correlation is cut up; it depends on sizes alone."""

    items: int
    grain: int
    panels: int  # of weights, for all groups
    cols: int
    geometry: tuple  # the arguments of correlate_range after `out`


@functools.lru_cache(maxsize=256)
def _plan(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: Axis, aw: Axis
) -> _Plan:
    """The plan for `channels` in and `features` out a group."""
    where = layout(batch, channels, groups, ah, aw)
    narrow = features <= tile_shape(dtype, "narrow").cols
    rows, cols, _ = tile_shape(dtype, "narrow" if narrow else "wide")
    panels = -(-features // cols)
    items = where.items(batch, ah.count) * groups
    block_f = blocks_of(panels, SUMS // (where.positions.size * cols))
    if items < PIECES:
        block_f = min(block_f, blocks_of(panels, panels * items // PIECES))
    items *= -(-panels // block_f)
    depth = blocks_of(where.taps.size, DEPTH)
    axes = tuple(
        (axis.low, axis.step, axis.reach, axis.count, axis.out_start, axis.out_step)
        for axis in (ah, aw)
    )
    kb = np.arange(depth, dtype=np.int64) * cols
    geometry = (
        where.positions, where.taps, kb, (*where.blocks, block_f, groups, depth),
        (rows, narrow, square_side(dtype)), axes, where.pitches, where.in_place,
    )
    flops = 2 * where.positions.size * block_f * cols * where.taps.size
    return _Plan(items, per_chunk(flops), groups * panels, cols, geometry)


def _correlate(
    x: np.ndarray,
    w: np.ndarray,
    from_inputs: bool,
    used: tuple[int, ...],
    bias: np.ndarray | None,
    ah: Axis,
    aw: Axis,
    out: np.ndarray,
    groups: int,
) -> None:
    """Cut a correlation into items and run them. w (F, C // groups, KH * KW), used: its taps."""
    if out.size == 0:
        return
    if x.shape[1] * len(used) == 0:  # with a stride, rows or columns that no tap reaches
        empty = out[:, :, ah.out_start :: ah.out_step, aw.out_start :: aw.out_step]
        empty[:] = 0 if bias is None else bias[:, None, None]
        return
    channels, features = x.shape[1] // groups, out.shape[1] // groups
    if (
        winograd.possible(groups, x.dtype, ah, aw)
        and winograd.cheaper(x.shape[0], channels, features, ah, aw)
        and winograd.correlate(x, w, from_inputs, bias, ah, aw, out)
    ):
        return
    w = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    if few(features, x.dtype):
        correlate_few(x, w, from_inputs, used, bias, ah, aw, out, groups)
        return
    plan = _plan(x.shape[0], channels, features, groups, x.dtype, ah, aw)
    panels = aligned((plan.panels, channels * len(used), plan.cols), x.dtype)
    taps = np.array(used, np.int64)
    grain = max(1, 60_000 // panels[0].size)
    parallel(pack_weights, plan.panels, w, from_inputs, taps, plan.cols, panels, grain=grain)
    start = np.zeros((plan.panels, plan.cols), x.dtype)
    if bias is not None:
        each = start.reshape(groups, -1)
        each[:, :features] = bias.reshape(groups, features)
    parallel(correlate_range, plan.items, x, panels, start, out, *plan.geometry, grain=plan.grain)


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    out_hw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """y[n,f,u,v] = bias[f] + sum_cij w[f,c,i,j] * x[n, c, u*sh + i*dh - top, v*sw + j*dw - left].

    x (N, C, H, W), w (F, C // groups, KH, KW), bias (F,) or None, padding (top, left) -> y
    (N, F, OH, OW). The padding is a real zero: a weight of inf or NaN makes NaN there, as in torch.
    """
    x, w = ready(x), ready(w)
    features, channels, kh, kw = w.shape
    y = np.empty((x.shape[0], features, *out_hw), x.dtype)
    ah = forward_axis(x.shape[2], kh, stride[0], padding[0], dilation[0], out_hw[0])
    aw = forward_axis(x.shape[3], kw, stride[1], padding[1], dilation[1], out_hw[1])
    _correlate(x, w.reshape(features, channels, kh * kw), False, tuple(range(kh * kw)), bias,
               ah, aw, y, groups)
    return y


def conv2d_grad_x(
    g: np.ndarray,
    w: np.ndarray,
    hw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """gx[n,c,h,t]: sum of w[f,c,i,j] g[n,f,u,v] with u*sh + i*dh = h + top, v*sw + j*dw = t + left.

    g (N, F, OH, OW), w (F, C // groups, KH, KW), hw (H, W) -> gx (N, C, H, W). Outside of g there
    are real zeros: a weight of inf makes NaN at the border of gx.
    """
    g, w = ready(g), ready(w)
    features, per_group, kh, kw = w.shape
    gx = np.empty((g.shape[0], per_group * groups, *hw), g.dtype)
    w = w.reshape(features, per_group, kh * kw)
    rows = backward_axes(hw[0], kh, stride[0], padding[0], dilation[0], g.shape[2])
    columns = backward_axes(hw[1], kw, stride[1], padding[1], dilation[1], g.shape[3])
    for taps_h, ah in rows:
        for taps_w, aw in columns:
            used = tuple(i * kw + j for i in taps_h for j in taps_w)
            _correlate(g, w, True, used, None, ah, aw, gx, groups)
    return gx


# --------------------------------------------------------------------------- plain twins


def conv2d_reference(x, w, bias, out_hw, stride, padding, dilation, groups):
    """The plain twin of `conv2d`: one product of matrices for each tap."""
    y = np.zeros((x.shape[0], w.shape[0], *out_hw), x.dtype)
    views, _ = tap_views(x, w.shape[2:], out_hw, stride, padding, dilation)
    for (i, j), view in views.items():
        for fs, cs in group_slices(groups, w.shape[0], x.shape[1]):
            y[:, fs] += np.einsum("nchw,fc->nfhw", view[:, cs], w[fs, :, i, j])
    return y if bias is None else y + bias[:, None, None]


def conv2d_grad_x_reference(g, w, hw, stride, padding, dilation, groups):
    """The plain twin of `conv2d_grad_x`: each tap adds its share to a padded image, then crop."""
    x = np.zeros((g.shape[0], w.shape[1] * groups, *hw), g.dtype)
    views, padded = tap_views(x, w.shape[2:], g.shape[2:], stride, padding, dilation)
    for (i, j), view in views.items():
        for fs, cs in group_slices(groups, w.shape[0], x.shape[1]):
            view[:, cs] += np.einsum("nfhw,fc->nchw", g[:, fs], w[fs, :, i, j])
    return padded[:, :, padding[0] : padding[0] + hw[0], padding[1] : padding[1] + hw[1]].copy()
