"""The gradient of a convolution's weights: products over positions instead of channels.

    gw[f,c,i,j] = sum over n, u, v of g[n,f,u,v] * x[n, c, u*sh + i*dh - top, v*sw + j*dw - left]

With the channels of x *last*, the taps (j, c) of one kernel row are neighbours in memory, and
moving on by one output moves all of them by the same distance. So the register tile
(`tile.py`) does it again: its rows are channels of g, its columns are taps (j, c), its k runs over
the outputs (u, v), whose places in the padded image are a table of offsets. That needs one
copy of x with the channels last and one of g in panels.

With few channels in a group a tile would stand empty; then x is unfolded, (taps, positions),
and multiplied by g with plain dot products.

Not here: the other two passes (`conv.py`), checks.
"""

from __future__ import annotations

import numpy as np

from .jit import jit, ready
from .threads import parallel
from .old_tile import tile, tile_shape

Pair = tuple[int, int]

POSITIONS = 1024  # outputs in one go: the chain of one sum; partial sums are added up afterwards
GRAIN_FLOPS = 3_000_000  # 20 to 30 us on one core
GRAIN_COPY = 60_000  # numbers copied in about 30 us
PIECES = 8  # as in conv.py


# --------------------------------------------------------------------------- on the tile


@jit
def channels_last_range(start, stop, x, out, padding):
    """out[n, h + top, w + left, c] = x[n, c, h, w], zeros around, for images start .. stop - 1.

    out (N, HP, WP, C) may be smaller than the padded image: the rest of x is left out.
    Limit: bytes. 17 GB/s where a plain copy does 29, because a transpose writes in far steps;
    strips of 16 columns keep the lines that are written in the first-level cache.
    """
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    tall, wide = out.shape[1], out.shape[2]
    top, left = padding
    begin, end = min(left, wide), max(min(left + width, wide), min(left, wide))
    for n in range(start, stop):
        for h in range(tall):
            row = out[n, h]
            if h < top or h >= top + height:
                row[:, :] = 0
                continue
            row[:begin, :] = 0
            row[end:, :] = 0
            for w0 in range(begin, end, 16):
                strip = row[w0 : min(w0 + 16, end)]
                for c in range(channels):
                    source = x[n, c, h - top, w0 - left :]
                    for w in range(strip.shape[0]):
                        strip[w, c] = source[w]


@jit
def panels_range(start, stop, g, out, groups):
    """out[n, q, p, r] = g[n, f, p], f the r-th channel of panel q, 0 beyond the group's last.

    g (N, F, L), out (N, G * panels, L, rows), for images start .. stop - 1.
    Limit: bytes, a transpose as above; 22 GB/s.
    """
    features, panels = g.shape[1] // groups, out.shape[1] // groups
    length, rows = out.shape[2], out.shape[3]
    for n in range(start, stop):
        for q in range(out.shape[1]):
            first = q % panels * rows
            wide = min(rows, features - first)
            first += q // panels * features
            panel = out[n, q]
            for p0 in range(0, length, 16):
                strip = panel[p0 : min(p0 + 16, length)]
                for r in range(wide):
                    source = g[n, first + r, p0:]
                    for p in range(strip.shape[0]):
                        strip[p, r] = source[p]
                for r in range(wide, rows):
                    for p in range(strip.shape[0]):
                        strip[p, r] = 0


@jit
def grad_w_tile_range(start, stop, g, x, gw, offsets, image, rows_out, steps, taps, blocks):
    """Panels start .. stop - 1 of gw, each summed over all images and outputs, in their order.

    g (N, G * panels, L, rows) and x (N * image + cols,) as packed above; offsets (rows_out[1] *
    OW,) of the outputs of a block of rows. steps = (output row, kernel row, kernel column, group)
    in numbers of x; taps = (kernel rows, kernel columns, channels) as the tile sees them;
    blocks = (columns of the tile, groups). gw (G * panels, kernel rows, kernel columns * channels,
    rows).

    Limit: multiply-adds. In float32 on one core, in one run with torch: 1.1 to 1.4 times torch's
    time on 3x3 layers (130 to 150 of 192 GFLOP/s). It stops there because x is read once for each
    panel of 8 channels, from the third-level cache if it is large, and because of the two copies.
    """
    batch, length, rows = g.shape[0], g.shape[2], g.shape[3]
    count_h, block_h = rows_out
    count_w = length // count_h
    step_u, step_i, step_j, step_group = steps
    kh, kw, channels = taps
    cols, groups = blocks
    pitch = (channels + cols - 1) // cols * cols
    tiles = pitch // cols
    panels = g.shape[1] // groups
    part = np.empty(rows * cols, g.dtype)
    flat_g = g.reshape(g.size)
    for q in range(start, stop):
        sums = np.zeros((kh * kw * tiles, rows * cols), g.dtype)
        for n in range(batch):
            for u in range(0, count_h, block_h):
                depth = min(block_h, count_h - u) * count_w
                a0 = ((n * g.shape[1] + q) * length + u * count_w) * rows
                corner = n * image + u * step_u + q // panels * step_group
                for i in range(kh):
                    for j in range(kw):
                        for t in range(tiles):
                            at = corner + i * step_i + j * step_j + t * cols
                            part[:] = 0
                            tile(flat_g, a0, x, at, offsets, depth, part, 0, cols)
                            total = sums[(i * kw + j) * tiles + t]
                            for e in range(total.size):
                                total[e] += part[e]
        for i in range(kh):
            for j in range(kw):
                for c in range(channels):
                    total = sums[(i * kw + j) * tiles + c // cols]
                    for r in range(rows):
                        gw[q, i, j * channels + c, r] = total[r * cols + c % cols]


def _on_tile(g, x, khw, stride, padding, dilation, groups):
    """`conv2d_grad_w` by the first way."""
    (batch, features, oh, ow), (kh, kw) = g.shape, khw
    channels = x.shape[1]
    mine = channels // groups
    rows, cols, _ = tile_shape(g.dtype)
    tall = (oh - 1) * stride[0] + (kh - 1) * dilation[0] + 1
    wide = (ow - 1) * stride[1] + (kw - 1) * dilation[1] + 1
    image = tall * wide * channels
    packed_x = np.empty(batch * image + cols, x.dtype)
    packed_x[batch * image :] = 0
    images = packed_x[: batch * image].reshape(batch, tall, wide, channels)
    parallel(
        channels_last_range, batch, x, images, tuple(padding), grain=max(1, GRAIN_COPY // image)
    )
    panels = -(-(features // groups) // rows)
    packed_g = np.empty((batch, groups * panels, oh * ow, rows), g.dtype)
    flat_g = g.reshape(batch, features, oh * ow)
    grain = max(1, GRAIN_COPY // packed_g[0].size)
    parallel(panels_range, batch, flat_g, packed_g, groups, grain=grain)

    # Neighbouring kernel columns are neighbouring numbers: one long row of kw * C taps.
    merged = groups == 1 and dilation[1] == 1
    taps = (kh, 1, kw * channels) if merged else (kh, kw, mine)
    block_h = max(1, min(oh, POSITIONS // ow))
    u, v = np.ix_(range(block_h), range(ow))
    offsets = ((u * stride[0] * wide + v * stride[1]) * channels).ravel().astype(np.int64)
    steps = (
        stride[0] * wide * channels,
        dilation[0] * wide * channels,
        dilation[1] * channels,
        mine,
    )
    gw = np.empty((groups * panels, kh, kw * mine, rows), g.dtype)
    parallel(
        grad_w_tile_range,
        groups * panels,
        packed_g,
        packed_x,
        gw,
        offsets,
        image,
        (oh, block_h),
        steps,
        taps,
        (cols, groups),
        grain=max(1, GRAIN_FLOPS // (2 * batch * oh * ow * kh * kw * mine * rows)),
    )
    # (G, panels, KH, KW, C/G, rows) -> (G, panels, rows, C/G, KH, KW)
    gw = gw.reshape(groups, panels, kh, kw, mine, rows).transpose(0, 1, 5, 4, 2, 3)
    gw = gw.reshape(groups, panels * rows, mine, kh, kw)[:, : features // groups]
    return np.ascontiguousarray(gw).reshape(features, mine, kh, kw)


# --------------------------------------------------------------------------- by unfolding


@jit(fastmath={"contract", "reassoc", "nsz"})
def dots_4x3(a, b, f, k, length, out):
    """out[f + m, k + l] += sum_p a[f + m, p] * b[k + l, p] for m < 4, l < 3.

    Limit: multiply-adds; 12 of them on 7 loads, all sums in registers. `reassoc` is what lets
    LLVM keep a sum in the lanes of a vector: it changes the order, the same way at each run.
    50 of the 192 GFLOP/s of a core in float32, 1.4 times torch's time for the 3x3 layer with one
    channel in: LLVM chooses half-width vectors, and unfolding costs a copy for each tap.
    """
    a0, a1, a2, a3 = a[f, :length], a[f + 1, :length], a[f + 2, :length], a[f + 3, :length]
    b0, b1, b2 = b[k, :length], b[k + 1, :length], b[k + 2, :length]
    s00, s01, s02 = out[f, k], out[f, k + 1], out[f, k + 2]
    s10, s11, s12 = out[f + 1, k], out[f + 1, k + 1], out[f + 1, k + 2]
    s20, s21, s22 = out[f + 2, k], out[f + 2, k + 1], out[f + 2, k + 2]
    s30, s31, s32 = out[f + 3, k], out[f + 3, k + 1], out[f + 3, k + 2]
    for p in range(length):
        x0, x1, x2 = b0[p], b1[p], b2[p]
        s00 += a0[p] * x0
        s01 += a0[p] * x1
        s02 += a0[p] * x2
        s10 += a1[p] * x0
        s11 += a1[p] * x1
        s12 += a1[p] * x2
        s20 += a2[p] * x0
        s21 += a2[p] * x1
        s22 += a2[p] * x2
        s30 += a3[p] * x0
        s31 += a3[p] * x1
        s32 += a3[p] * x2
    out[f, k], out[f, k + 1], out[f, k + 2] = s00, s01, s02
    out[f + 1, k], out[f + 1, k + 1], out[f + 1, k + 2] = s10, s11, s12
    out[f + 2, k], out[f + 2, k + 1], out[f + 2, k + 2] = s20, s21, s22
    out[f + 3, k], out[f + 3, k + 1], out[f + 3, k + 2] = s30, s31, s32


@jit(fastmath={"contract", "reassoc", "nsz"})
def dot_1x1(a, b, f, k, length, out):
    """out[f, k] += sum_p a[f, p] * b[k, p]: what the tile of `dots_4x3` leaves over."""
    a0, b0 = a[f, :length], b[k, :length]
    total = out[f, k]
    for p in range(length):
        total += a0[p] * b0[p]
    out[f, k] = total


@jit
def unfold_rows(x, n, c, first, rows, columns, begin, khw, ohw, stride, padding, dilation):
    """columns[i*KW + j, begin + u*OW + v] = x[n, c, (first+u)*sh + i*dh - top, v*sw + j*dw - left].

    Zeros outside of x, rows u = 0 .. rows - 1. Limit: bytes; a copy.
    """
    height, width = x.shape[2], x.shape[3]
    count = ohw[1]
    for i in range(khw[0]):
        for j in range(khw[1]):
            shift = j * dilation[1] - padding[1]
            inside = min(max(-(shift // stride[1]), 0), count)
            end = min(max((width - 1 - shift) // stride[1] + 1, inside), count)
            for u in range(rows):
                cells = columns[i * khw[1] + j, begin + u * count : begin + (u + 1) * count]
                h = (first + u) * stride[0] + i * dilation[0] - padding[0]
                if h < 0 or h >= height or inside >= end:
                    cells[:] = 0
                    continue
                cells[:inside] = 0
                cells[end:] = 0
                cells = cells[inside:end]
                source = x[n, c, h, inside * stride[1] + shift :]
                if stride[1] == 1:
                    for v in range(cells.size):
                        cells[v] = source[v]
                else:
                    for v in range(cells.size):
                        cells[v] = source[v * stride[1]]


@jit
def grad_w_unfold_range(start, stop, g, x, gw, blocks, stride, padding, dilation):
    """Items start .. stop - 1 of gw; an item is (group, channels of x, channels of g).

    For a block of images and rows: unfold the item's channels of x, copy its channels of g, and
    multiply, (f, positions) @ (positions, c*KH*KW). gw (F, C // groups, KH, KW) is written here
    and nowhere else, its sum running over images and rows in their order.
    """
    block_n, block_h, block_c, block_f, groups = blocks
    batch, rows_all, count = g.shape[0], g.shape[2], g.shape[3]
    features, channels = g.shape[1] // groups, x.shape[1] // groups
    kh, kw = gw.shape[2], gw.shape[3]
    pieces_c = (channels + block_c - 1) // block_c
    pieces_f = (features + block_f - 1) // block_f
    columns = np.empty((block_c * kh * kw, block_n * block_h * count), x.dtype)
    grads = np.empty((block_f, columns.shape[1]), x.dtype)
    for item in range(start, stop):
        f0 = item % pieces_f * block_f
        c0 = item // pieces_f % pieces_c * block_c
        group = item // pieces_f // pieces_c
        nf = min(block_f, features - f0)
        nc = min(block_c, channels - c0)
        taps = nc * kh * kw
        sums = np.zeros((nf, taps), x.dtype)
        for n0 in range(0, batch, block_n):
            for h0 in range(0, rows_all, block_h):
                rows = min(block_h, rows_all - h0)
                length = 0
                for n in range(n0, min(n0 + block_n, batch)):
                    for c in range(nc):
                        unfold_rows(
                            x, n, group * channels + c0 + c, h0, rows,
                            columns[c * kh * kw : (c + 1) * kh * kw], length,
                            (kh, kw), (rows_all, count), stride, padding, dilation,
                        )
                    for f in range(nf):
                        source = g[n, group * features + f0 + f]
                        for u in range(rows):
                            begin = length + u * count
                            target = grads[f, begin : begin + count]
                            line = source[h0 + u]
                            for v in range(count):
                                target[v] = line[v]
                    length += rows * count
                wide_f, wide_k = nf - nf % 4, taps - taps % 3
                for f in range(0, wide_f, 4):
                    for k in range(0, wide_k, 3):
                        dots_4x3(grads, columns, f, k, length, sums)
                    for k in range(wide_k, taps):
                        for m in range(4):
                            dot_1x1(grads, columns, f + m, k, length, sums)
                for f in range(wide_f, nf):
                    for k in range(taps):
                        dot_1x1(grads, columns, f, k, length, sums)
        for f in range(nf):
            for k in range(taps):
                c, i, j = c0 + k // (kh * kw), k // kw % kh, k % kw
                gw[group * features + f0 + f, c, i, j] = sums[f, k]


def _by_unfolding(g, x, khw, stride, padding, dilation, groups):
    """`conv2d_grad_w` by the second way."""
    batch, _, oh, ow = g.shape
    features, channels = g.shape[1] // groups, x.shape[1] // groups
    kh, kw = khw
    gw = np.empty((g.shape[1], channels, kh, kw), g.dtype)
    block_h = blocks_of(oh, POSITIONS // ow)
    block_n = blocks_of(batch, POSITIONS // (oh * ow)) if block_h == oh else 1
    # About 36 rows of unfolded image: 144 KiB, well inside a second-level cache, and enough
    # multiply-adds for each element of g that is read.
    block_c = blocks_of(channels, 36 // (kh * kw))
    items = groups * -(-channels // block_c)
    block_f = min(features, 64)
    if items < PIECES:
        block_f = -(-blocks_of(features, max(8, items * features // PIECES)) // 4) * 4
    items *= -(-features // block_f)
    flops = 2 * batch * oh * ow * block_c * kh * kw * min(block_f, features)
    parallel(
        grad_w_unfold_range,
        items,
        g,
        x,
        gw,
        (block_n, block_h, block_c, block_f, groups),
        tuple(stride),
        tuple(padding),
        tuple(dilation),
        grain=max(1, GRAIN_FLOPS // (3 * flops)),
    )
    return gw


def blocks_of(total: int, at_most: int) -> int:
    """The size of equal blocks of at most `at_most` that cover `total` (the last may be short)."""
    pieces = -(-total // max(1, min(at_most, total)))
    return -(-total // pieces)


# --------------------------------------------------------------------------- the public one


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
    KW). Each output has one writer and one order of summation: the same bits at any number of
    threads. The zeros of the padding are multiplied: a g of inf makes NaN in the taps outside.
    """
    g, x = ready(g), ready(x)
    features, channels = g.shape[1] // groups, x.shape[1] // groups
    if g.size == 0 or channels * khw[0] * khw[1] == 0:
        return np.zeros((g.shape[1], channels, *khw), g.dtype)
    rows, cols, _ = tile_shape(g.dtype)
    side_by_side = channels * (khw[1] if groups == 1 and dilation[1] == 1 else 1)
    # Measured: with a quarter of its columns in use the tile is as fast as unfolding.
    way = _on_tile if 4 * side_by_side > cols and 2 * features >= rows else _by_unfolding
    return way(g, x, khw, stride, padding, dilation, groups)


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
