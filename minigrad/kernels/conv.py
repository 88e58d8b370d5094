"""Cross-correlation of images and its two gradients, as sums of shifted rows.

The idea: copy the padded image once into one flat row a channel. A tap (c, i, j) of the kernel is
then nothing but an *offset* into that row, so the whole operation is

    y[f, p] = bias[f] + sum_k w[f, k] * row[offset[k] + p]        k runs over the taps (c, i, j)

for all positions p at once; the few positions that fall between two image rows are computed and
thrown away. Dilation changes the offsets, groups choose the channels, a stride s first sorts
the rows and columns of the image by their remainder modulo s (`_Axis.phases`). The gradient of
the image is the same sum over flipped, transposed weights, one for each remainder. So one
kernel, `correlate_range`, serves both passes at any stride, padding, dilation and groups.

Padding is (top, left) only: the size of the output says how far it reaches at the bottom and at
the right, so the lopsided padding of 'same' with an even kernel needs nothing special.

Not here: checking shapes, choosing output sizes, derivatives as rules (`ops/conv.py`).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from .conv_grad_w import (
    blocks_of,
    conv2d_grad_w,
    conv2d_grad_w_reference,
    group_slices,
    tap_views,
)
from .jit import jit, ready
from .linear import pack
from .threads import parallel
from .old_tile import tile, tile_shape

__all__ = [
    "conv2d",
    "conv2d_grad_w",
    "conv2d_grad_w_reference",
    "conv2d_grad_x",
    "conv2d_grad_x_reference",
    "conv2d_reference",
]

Pair = tuple[int, int]

# Bytes of one flat row: long enough that the last, partly wasted tile of each row does not matter,
# short enough that the rows of an item stay in a second-level cache.
ROW_BYTES = 4096
# Bytes of the sums of an item: together with the image, inside a second-level cache.
SUMS_BYTES = 1 << 20
# Taps in one go: so many rows of a tile (and the weights of a panel) fit a first-level cache.
DEPTH = 192
# Work too small to share: 3 MFLOP are 20 to 30 us on one core.
GRAIN_FLOPS = 3_000_000
# Least number of pieces we like to cut a pass into. A constant, not the number of threads: the
# pieces decide nothing about the sums, but a constant is easier to reproduce.
PIECES = 8


class _Axis(NamedTuple):
    """How one axis (rows or columns) of a correlation is laid out. All in elements.

    Cell q of phase a is the element q * stride + a - pad of the source, zero outside of it.
    Tap i reads cell u + shifts[i] of phase phases[which[i]] for the output u = 0 .. outputs - 1,
    which lands at out_start + u * out_step of the result.
    """

    which: tuple[int, ...]
    shifts: tuple[int, ...]
    phases: tuple[int, ...]
    stride: int
    pad: int
    outputs: int
    out_start: int
    out_step: int

    @property
    def reach(self) -> int:
        """The largest shift: how many cells a row needs beyond its outputs."""
        return max(self.shifts, default=0)


@functools.lru_cache(maxsize=256)
def _forward_axis(taps: int, stride: int, pad: int, dilation: int, count: int) -> _Axis:
    """The axis of y: output u, tap i reads x[u * stride + i * dilation - pad]."""
    phases = sorted({i * dilation % stride for i in range(taps)})
    which = tuple(phases.index(i * dilation % stride) for i in range(taps))
    shifts = tuple(i * dilation // stride for i in range(taps))
    return _Axis(which, shifts, tuple(phases), stride, pad, count, 0, 1)


@functools.lru_cache(maxsize=256)
def _backward_axes(
    taps: int, stride: int, pad: int, dilation: int, size: int
) -> list[tuple[slice, _Axis]]:
    """The axes of gx, one for each remainder modulo the stride, and the taps that reach it.

    Element e of x sits at e + pad = q * stride + a of the padded image; tap i meets it only if
    i * dilation = d * stride + a for some d, and then in the output q - d. Outputs of one
    remainder a are q = first, first + 1, ...; counting d down from the largest turns "minus" into
    the "plus" of `_Axis`: that is the flip of the kernel.
    """
    axes = []
    for a in range(stride):
        # Evenly spaced, so a slice: the weights need not be copied to choose them.
        met = [i for i in range(taps) if i * dilation % stride == a]
        used = slice(met[0], None, stride // math.gcd(stride, dilation)) if met else slice(0)
        first = -((a - pad) // stride)  # the least q with q * stride + a - pad >= 0
        start = first * stride + a - pad
        count = len(range(start, size, stride))
        if count == 0:
            continue
        steps = [i * dilation // stride for i in met]
        largest = max(steps, default=0)
        shifts = tuple(largest - d for d in steps)
        pad_g = largest - first
        axis = _Axis((0,) * len(met), shifts, (0,), 1, pad_g, count, start, stride)
        axes.append((used, axis))
    return axes


# --------------------------------------------------------------------------- inner loops


@jit(fastmath={"contract"})
def accumulate_1(sums, length, row, w, w0, offsets):
    """sums[p] += sum_k w[w0 + k] * row[offsets[k] + p], p < length: one output channel alone.

    For depthwise convolutions, where a tile would leave all rows but one unused. Limit:
    first-level cache, 6 loads and stores for 4 multiply-adds; 23 GFLOP/s of the 192 of a core in
    float32. It stops there because a single output channel shares nothing. With its packing
    a 3x3 depthwise layer takes 1.6 times torch's time.
    """
    # A slice taken here and an index that is the loop variable alone: `row[o + p]` would make
    # Numba test for negative indices and turn vector loads into gathers (4 times slower).
    s0 = sums[:length]
    taps = offsets.size
    w = w[w0 : w0 + taps]
    for k in range(0, taps - 3, 4):
        r0 = row[offsets[k] :]
        r1 = row[offsets[k + 1] :]
        r2 = row[offsets[k + 2] :]
        r3 = row[offsets[k + 3] :]
        a, b, c, d = w[k], w[k + 1], w[k + 2], w[k + 3]
        for p in range(length):
            s0[p] = (((s0[p] + a * r0[p]) + b * r1[p]) + c * r2[p]) + d * r3[p]
    for k in range(taps - taps % 4, taps):
        r0 = row[offsets[k] :]
        wk = w[k]
        for p in range(length):
            s0[p] += wk * r0[p]


@jit
def pack_rows(x, n, c, first, row, phases_h, phases_w, lay_h, lay_w):
    """Copy rows of x[n, c] into `row` (phases_h, phases_w, cells_h, cells_w), zeros outside.

    lay_h = (stride, pad, cells), lay_w likewise; cell q of phase a is the element
    (first + q) * stride + a - pad. The cells left and right of the image are zeros from the
    beginning, and nobody writes there. Limit: bytes; a copy, read once and written once.
    """
    stride_h, pad_h, cells_h = lay_h
    stride_w, pad_w, cells_w = lay_w
    height, width = x.shape[2], x.shape[3]
    for a in range(phases_h.size):
        for b in range(phases_w.size):
            shift = phases_w[b] - pad_w
            # Cells begin .. end - 1 lie inside the image.
            begin = min(max(-(shift // stride_w), 0), cells_w)
            end = min(max((width - 1 - shift) // stride_w + 1, begin), cells_w)
            for q in range(cells_h):
                cells = row[a, b, q]
                h = (first + q) * stride_h + phases_h[a] - pad_h
                if h < 0 or h >= height or begin >= end:
                    cells[:] = 0
                    continue
                inside = cells[begin:end]
                if stride_w == 1:
                    source = x[n, c, h, begin + shift :]
                    for i in range(inside.size):
                        inside[i] = source[i]
                else:
                    source = x[n, c, h, begin * stride_w + shift :]
                    for i in range(inside.size):
                        inside[i] = source[i * stride_w]


# --------------------------------------------------------------------------- y and gx


@jit
def correlate_range(
    start, stop, x, w, bias, out, offsets, phases_h, phases_w, blocks, axis_h, axis_w
):
    """Items start .. stop - 1 of a correlation; an item is (images, rows, group, panels).

    x (N, C, H, W), out (N, F, ., .), offsets (taps,) into the flat row of a group. w (G * panels,
    taps, width): panel q of a group holds its channels q * width, ...; width is that of the tile,
    or 1. blocks = (images, rows, panels of an item, groups, columns of the tile); axis =
    (stride, pad, count, reach, out_start, out_step) of `_Axis`.

    One writer for each output; the order of a sum is that of the taps, whatever the blocks.
    """
    block_n, block_h, block_f, groups, cols = blocks
    stride_h, pad_h, count_h, reach_h, start_h, step_h = axis_h
    stride_w, pad_w, count_w, reach_w, start_w, step_w = axis_w
    batch, channels, features = x.shape[0], x.shape[1] // groups, out.shape[1] // groups
    panels, taps, width = w.shape[0] // groups, w.shape[1], w.shape[2]
    cells_h, cells_w = block_h + reach_h, count_w + reach_w
    pieces_h = (count_h + block_h - 1) // block_h
    pieces_f = (panels + block_f - 1) // block_f
    plane = block_n * cells_h * cells_w
    size = channels * phases_h.size * phases_w.size * plane
    flat = np.zeros(size + cols, x.dtype)  # the last tile may read beyond the image
    packed = flat[:size].reshape(
        (channels, phases_h.size, phases_w.size, block_n, cells_h, cells_w)
    )
    pitch = (plane + cols - 1) // cols * cols
    sums = np.zeros(block_f * width * pitch, x.dtype)
    w = w.reshape(w.size)
    in_packed = -1
    for item in range(start, stop):
        where, piece_f = item // pieces_f, item % pieces_f
        group = where % groups
        first_h = where // groups % pieces_h * block_h
        first_n = where // groups // pieces_h * block_n
        images = min(block_n, batch - first_n)
        rows = min(block_h, count_h - first_h)
        if where != in_packed and taps > 0:
            in_packed = where
            for c in range(channels):
                for i in range(images):
                    pack_rows(
                        x, first_n + i, group * channels + c, first_h, packed[c, :, :, i],
                        phases_h, phases_w, (stride_h, pad_h, rows + reach_h),
                        (stride_w, pad_w, cells_w),
                    )
        length = ((images - 1) * cells_h + rows - 1) * cells_w + count_w
        first_panel = piece_f * block_f
        some = min(block_f, panels - first_panel)
        first_f = group * features + first_panel * width
        wide = min(some * width, features - first_panel * width)
        w0 = (group * panels + first_panel) * taps * width
        for m in range(wide):
            sums[m * pitch : m * pitch + length] = bias[first_f + m]
        if width == 1:
            for q in range(some):
                accumulate_1(sums[q * pitch :], length, flat, w, w0 + q * taps, offsets)
        else:
            # The panels inside of the positions inside of the taps: what the tile reads of the
            # image then comes from the first-level cache for all panels but the first.
            for k in range(0, taps, DEPTH):
                depth = min(DEPTH, taps - k)
                for p in range(0, length, cols):
                    for q in range(some):
                        tile(
                            w, w0 + (q * taps + k) * width, flat, p, offsets[k:], depth,
                            sums, q * width * pitch + p, pitch,
                        )
        for m in range(wide):
            for i in range(images):
                for u in range(rows):
                    source = sums[m * pitch + (i * cells_h + u) * cells_w :]
                    target = out[first_n + i, first_f + m, start_h + (first_h + u) * step_h]
                    target = target[start_w:]
                    if step_w == 1:
                        for v in range(count_w):
                            target[v] = source[v]
                    else:
                        for v in range(count_w):
                            target[v * step_w] = source[v]


def _panels(w: np.ndarray, groups: int, width: int) -> np.ndarray:
    """w (F, taps) -> (G * panels, taps, width), as the tile reads it: channels side by side."""
    features, taps = w.shape[0] // groups, w.shape[1]
    panels = -(-features // width)
    if width == 1:
        return w.reshape(w.shape[0], taps, 1)
    packed = np.empty((groups * panels, taps, width), w.dtype)
    for k in range(groups):
        mine = w[k * features : (k + 1) * features]
        into = packed[k * panels : (k + 1) * panels]
        parallel(pack, panels, mine, False, width, into, grain=max(1, 60_000 // (taps * width)))
    return packed


class _Plan(NamedTuple):
    """How a correlation is cut up; it depends on sizes alone."""

    items: int
    flops: int  # of one item
    width: int  # of a panel of weights
    geometry: tuple  # the arguments of correlate_range after `out`


@functools.lru_cache(maxsize=128)
def _plan(
    batch: int, channels: int, features: int, groups: int, dtype: np.dtype, ah: _Axis, aw: _Axis
) -> _Plan:
    """The plan for `channels` in and `features` out a group. Remembered: it costs 20 us to make."""
    cells_w = aw.outputs + aw.reach
    target = ROW_BYTES // dtype.itemsize
    block_h = blocks_of(ah.outputs, target // cells_w)
    cells_h = block_h + ah.reach
    # Small images share a row, so that few positions of the last tile are wasted.
    block_n = 1
    if block_h == ah.outputs:
        block_n = blocks_of(batch, min(target // (cells_h * cells_w), -(-batch // PIECES)))
    items = -(-batch // block_n) * -(-ah.outputs // block_h) * groups
    rows, cols, _ = tile_shape(dtype)
    width = rows if features > 2 else 1
    panels = -(-features // width)
    plane = block_n * cells_h * cells_w
    block_f = blocks_of(panels, SUMS_BYTES // (plane * width * dtype.itemsize))
    if items < PIECES:
        block_f = min(block_f, blocks_of(panels, panels * items // PIECES))
    items *= -(-panels // block_f)

    # offset[c, i, j]: into packed (C, phases_h, phases_w, block_n, cells_h, cells_w).
    c, i, j = np.ix_(range(channels), range(len(ah.which)), range(len(aw.which)))
    phase = (c * len(ah.phases) + np.array(ah.which)[i]) * len(aw.phases) + np.array(aw.which)[j]
    shift = np.array(ah.shifts)[i] * cells_w + np.array(aw.shifts)[j]
    offsets = (phase * plane + shift).ravel().astype(np.int64, copy=False)
    geometry = (
        offsets,
        np.array(ah.phases, np.int64),
        np.array(aw.phases, np.int64),
        (block_n, block_h, block_f, groups, cols),
        (ah.stride, ah.pad, ah.outputs, ah.reach, ah.out_start, ah.out_step),
        (aw.stride, aw.pad, aw.outputs, aw.reach, aw.out_start, aw.out_step),
    )
    flops = 2 * block_n * block_h * aw.outputs * block_f * width * offsets.size
    return _Plan(items, flops, width, geometry)


def _correlate(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray,
    axis_h: _Axis,
    axis_w: _Axis,
    out: np.ndarray,
    groups: int,
) -> None:
    """Cut a correlation into items and run them. w (F, C // groups, taps_h, taps_w)."""
    batch, channels, features = x.shape[0], x.shape[1] // groups, w.shape[0] // groups
    if batch * features * axis_h.outputs * axis_w.outputs == 0:
        return
    taps = w[0].size
    if taps == 0:  # with a stride, rows or columns that no tap reaches
        empty_rows = slice(axis_h.out_start, None, axis_h.out_step)
        out[:, :, empty_rows, axis_w.out_start :: axis_w.out_step] = bias[:, None, None]
        return
    plan = _plan(batch, channels, features, groups, x.dtype, axis_h, axis_w)
    panels = _panels(ready(w).reshape(w.shape[0], taps), groups, plan.width)
    grain = max(1, GRAIN_FLOPS // max(1, plan.flops))
    parallel(correlate_range, plan.items, x, panels, bias, out, *plan.geometry, grain=grain)


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

    Limit: multiply-adds. In float32 on one core (AVX-512), in one run with torch: 1.1 to 1.6
    times torch's time on the 3x3 layers of 56x56 to 14x14 images (170 to 100 of the 192 GFLOP/s),
    0.9 times with one channel in, 2.2 times on 7x7 images. It stops there because the positions
    between two rows are computed in vain (a quarter of all in 14x14 images, 40 % in 7x7),
    and because the sums make an extra trip through memory before they reach y.
    """
    x = ready(x)
    if bias is None:
        bias = np.zeros(w.shape[0], x.dtype)
    y = np.empty((x.shape[0], w.shape[0], *out_hw), x.dtype)
    axis_h = _forward_axis(w.shape[2], stride[0], padding[0], dilation[0], out_hw[0])
    axis_w = _forward_axis(w.shape[3], stride[1], padding[1], dilation[1], out_hw[1])
    _correlate(x, w, ready(bias), axis_h, axis_w, y, groups)
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

    Limit and distance from it: those of `conv2d`, of which this is one call at stride 1, and
    sh * sw calls on separate parts of gx (and of the kernel) otherwise.
    """
    g = ready(g)
    features, per_group, kh, kw = w.shape
    gx = np.empty((g.shape[0], per_group * groups, *hw), g.dtype)
    zero = np.zeros(gx.shape[1], g.dtype)
    # (G, F/G, C/G, KH, KW) -> (G, C/G, F/G, KH, KW): the channels of gx are the outputs here.
    turned = w.reshape(groups, features // groups, per_group, kh, kw).swapaxes(1, 2)
    turned = turned.reshape(gx.shape[1], features // groups, kh, kw)
    for taps_h, axis_h in _backward_axes(kh, stride[0], padding[0], dilation[0], hw[0]):
        for taps_w, axis_w in _backward_axes(kw, stride[1], padding[1], dilation[1], hw[1]):
            part = turned[:, :, taps_h, taps_w]
            _correlate(g, part, zero, axis_h, axis_w, gx, groups)
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
