"""The loops of a recurrent layer: rows of the batch through all of time, forwards and backwards.

    forwards     h_t = act(W_ih x_t + b + W_hh h_{t-1})
    backwards    r_t = act'(h_t) * (g_t + W_hh^T r_{t+1})     the gradient of the sum inside act
                 gW_ih = sum r_t x_t^T,  gW_hh = sum r_t h_{t-1}^T,  gb = sum r_t
                 gx_t = W_ih^T r_t

Rows of the batch never meet, so each thread takes its rows through all of time, without a barrier.
It goes through time in blocks of some 128 rows x steps, which stay in its second-level cache:

    forwards     the block's x @ W_ih^T + b in one product, then step by step h @ W_hh^T, added to
                 it in place, and act; the next step reads its factor from where this one left it
    backwards    step by step r, then the block's share of gW_ih, gW_hh and gx in three products,
                 while r, x and h are still near; r itself is never written to memory

All products are register tiles (tile.py) on operands where they lie; only the weights, and the
columns of x and h for the weights' gradients, are copied, into panels as wide as a tile. Each chunk
of the batch has its own sums of the weights' gradients; they are added up at the end in the order
of the chunks, which depend on the sizes alone: the bits are the same at any number of threads.

Limit: multiply-adds, 2 T N D (I + D) operations forwards and 2 T N D (I + 2 D) backwards (I more
for gx). With two cores of some 217 GFLOP/s each (float32, AVX-512) the forward pass did 300 GFLOP/s
for 128 rows, 270 for 32 rows and 32 steps; the backward pass 275 and 255. What is missing is the
tanh (a tenth), columns that fill up a tile (100 inputs are 128), and what reads and writes the
sums. One row alone reads all of W_hh, 64 KB for D = 128, for each step: 0.5 us, the speed of the
second-level cache.

Not here: what the layer's functions are, and whether rows go one by one (rnn.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ... import tuning
from ..jit import jit
from ..simd.flat import flush
from ..simd.math import tanh
from ..simd.tile import single_tile, tile, tile_shape
from ..simd.transpose import transpose

_DEPTH = 256  # k in one go: the panel of B (32 KiB) stays in the first-level cache
_FEW_DEPTH = 64  # the same for panels of `single_tile`, four times as wide
_HELD = 512  # rows added in their own precision before float64 takes over

TANH, RELU, GIVEN = 0, 1, 2  # how the backward pass finds act': from the states, or as an array


# ---------------------------------------------------------------------------------- the products


@jit
def pack(source, k_first, depth, length, cols, side, out):
    """Panels of B (depth, length): out[(q * depth + k) * cols + j] = B[k, q * cols + j], or 0.

    source, flat: (depth, length) if k_first, else (length, depth). side: that of transpose.py.
    """
    for q in range((length + cols - 1) // cols):
        panel = out[q * depth * cols :]
        first = q * cols
        count = min(cols, length - first)
        if k_first:
            for k in range(depth):
                row = source[k * length + first :]
                to = panel[k * cols :]
                for j in range(count):
                    to[j] = row[j]
        else:
            transpose(source[first * depth :], depth, count, depth, side, panel, cols)
        if count < cols:
            for k in range(depth):
                to = panel[k * cols :]
                for j in range(count, cols):
                    to[j] = 0


@jit
def _products(a, row, tiles, height, ka, depth, b, panels, cols, kb, start, lds, c, ldc):
    """c[r * ldc + j] = start[r * lds + j] + sum over k of a[row[r] + ka[k]] * B[k, j].

    Rows r < tiles * height. b: `panels` panels of B, depth >= 1 deep; kb[k] = k * cols. start may
    be c.
    """
    # Nothing in here can raise, as a division or a range with a variable step could: then the
    # compiler leaves out the counting of references to the slices, 40 ns a tile of 300.
    for k0 in range(0, depth, _DEPTH):
        kc = min(_DEPTH, depth - k0)
        for q in range(panels):
            panel = b[(q * depth + k0) * cols :]
            for p in range(tiles):
                r = p * height
                to = c[r * ldc + q * cols :]
                if k0 == 0:
                    tile(a, row[r:], ka, panel, kb, kc, start[r * lds + q * cols :], lds, to, ldc)
                else:
                    tile(a, row[r:], ka[k0:], panel, kb, kc, to, ldc, to, ldc)


@jit
def _few_products(a, row, rows, ka, depth, b, panels, cols, kb, c, ldc):
    """c[r * ldc + j] += sum over k of a[row[r] + ka[k]] * B[k, j], for any few rows."""
    for k0 in range(0, depth, _FEW_DEPTH):
        kc = min(_FEW_DEPTH, depth - k0)
        for q in range(panels):
            panel = b[(q * depth + k0) * cols :]
            for r in range(rows):
                to = c[r * ldc + q * cols :]
                single_tile(a, row[r:], ka[k0:], panel, kb, kc, to, ldc, to, ldc)


# ------------------------------------------------------------------------ what acts on each number
# Whatever is smaller than the smallest normal number / eps (1e-31 in float32) becomes 0: an
# unforced state that decays, or a gradient that vanishes through time, would otherwise make the
# products subnormal, on which the CPU is many times slower: 128 steps of a 32-row tanh RNN took
# 8.8 ms backwards instead of 2.9 when only subnormals themselves became 0. NaN stays.


# Each takes `rows` rows at once, and cuts them out itself: a slice that is handed to a function
# costs two atomic counts of references, 40 ns a row, half the time of these loops.


@jit
def _activate(rows, width, relu, a, a_n, out, out_at, out_n, tiny, zero):
    """out = a = act(a)."""
    for m in range(rows):
        row = a[m * a_n :]
        to = out[out_at + m * out_n :]
        if relu:
            for j in range(width):
                v = row[j]
                v = zero if v < tiny else v
                row[j] = v
                to[j] = v
        else:
            for j in range(width):
                v = tanh(row[j])
                v = zero if abs(v) < tiny else v
                row[j] = v
                to[j] = v


@jit
def _through_activation(
    rows, width, act, r, r_n, g, g_at, g_n, h, h_at, h_n, total, tiny, zero, one
):  # fmt: skip
    """r = act' * (g + r), and total += its sum over the rows. h: the states, or act' itself."""
    for m in range(rows):
        row = r[m * r_n :]
        gm = g[g_at + m * g_n :]
        hm = h[h_at + m * h_n :]
        if act == TANH:
            for j in range(width):
                v = (one - hm[j] * hm[j]) * (gm[j] + row[j])
                v = zero if abs(v) < tiny else v
                row[j] = v
                total[j] += v
        elif act == RELU:
            for j in range(width):
                d = zero if hm[j] <= zero else one  # NaN passes the gradient on
                v = d * (gm[j] + row[j])
                v = zero if abs(v) < tiny else v
                row[j] = v
                total[j] += v
        else:
            for j in range(width):
                v = hm[j] * (gm[j] + row[j])
                row[j] = zero if abs(v) < tiny else v


@jit
def _copy_rows(rows, width, source, source_at, source_n, to, to_at, to_n):
    for m in range(rows):
        a = source[source_at + m * source_n :]
        b = to[to_at + m * to_n :]
        for j in range(width):
            b[j] = a[j]


@jit
def _fill_panel(rows, cols, some, source, source_at, source_n, panel, panel_at, zero):
    """panel (rows, cols): `some` columns of the source, then zeros."""
    for m in range(rows):
        a = source[source_at + m * source_n :]
        to = panel[panel_at + m * cols :]
        if some == cols:
            for j in range(cols):
                to[j] = a[j]
        else:
            for j in range(some):
                to[j] = a[j]
            for j in range(some, cols):
                to[j] = zero


# ------------------------------------------------------------------------------------ through time


@jit
def _rows_of(chunk, chunks, unit, batch):
    """The rows of the batch of one chunk, first and last + 1: whole units, as even as can be."""
    units = (batch + unit - 1) // unit
    first = (chunk * units // chunks) * unit
    return first, min(((chunk + 1) * units // chunks) * unit, batch)


@jit
def forward_range(
    start, stop, chunks, unit, group, block, few, height, cols, few_cols,
    steps, batch, inputs, width, reverse, relu,
    x, x_t, x_n, h0, wi, wh, bias, tiny, zero, out, out_t, out_n,
):  # fmt: skip
    """Chunks start..stop-1 of the batch through all steps."""
    panels = (width + cols - 1) // cols
    few_panels = (width + few_cols - 1) // few_cols
    pitch = max(panels * cols, few_panels * few_cols) + cols  # no power of two: caches dislike it
    ka = np.arange(max(inputs, width))
    kb = ka * cols
    few_kb = ka * few_cols
    most = group if few else (group + height - 1) // height * height
    # Slot 0 holds the states before the block, slot s + 1 those of its step s: first their sums of
    # inputs, then the states themselves. Rows that only fill up a tile repeat the last real row.
    states = np.zeros(((block + 1) * most + height) * pitch, out.dtype)
    x_row = np.empty(block * most + height, np.int64)
    h_row = np.empty(most, np.int64)
    for chunk in range(start, stop):
        first, last = _rows_of(chunk, chunks, unit, batch)
        for n0 in range(first, last, group):
            real = min(group, last - n0)
            tiles = (real + height - 1) // height
            rows = real if few else tiles * height
            slot = rows * pitch
            for m in range(rows):
                h_row[m] = min(m, real - 1) * pitch
            _copy_rows(real, width, h0, n0 * width, width, states, 0, pitch)
            for s0 in range(0, steps, block):
                count = min(block, steps - s0)
                padded = (count * rows + height - 1) // height * height
                for i in range(padded):
                    s = s0 + min(i // rows, count - 1)
                    t = steps - 1 - s if reverse else s
                    x_row[i] = t * x_t + (n0 + min(i % rows, real - 1)) * x_n
                # (steps of the block * rows, I) @ (I, D) + (D,)
                _products(
                    x, x_row, padded // height, height, ka, inputs, wi, panels, cols, kb,
                    bias, 0, states[slot:], pitch,
                )  # fmt: skip
                for s in range(count):
                    before = states[s * slot :]
                    now = states[(s + 1) * slot :]
                    if few:  # (M, D) @ (D, D) -> (M, D)
                        _few_products(
                            before, h_row, rows, ka, width, wh, few_panels, few_cols, few_kb,
                            now, pitch,
                        )  # fmt: skip
                    else:
                        _products(
                            before, h_row, tiles, height, ka, width, wh, panels, cols, kb,
                            now, pitch, now, pitch,
                        )  # fmt: skip
                    t = steps - 1 - s0 - s if reverse else s0 + s
                    at = t * out_t + n0 * out_n
                    _activate(real, width, relu, now, pitch, out, at, out_n, tiny, zero)
                _copy_rows(real, width, states, count * slot, pitch, states, 0, pitch)


@jit
def _add_weight_grad(r, j_row, r_row, depth, panel, cols, kb, height, tiles, sums):
    """sums (tiles * height, cols) += R^T @ panel (depth, cols), R[k, j] = r[r_row[k] + j]."""
    for p in range(tiles):  # nothing can raise: see _products
        j = p * height
        to = sums[j * cols :]
        tile(r, j_row[j:], r_row, panel, kb, depth, to, cols, to, cols)


@jit
def backward_range(
    start, stop, chunks, unit, group, block, few, height, cols, few_cols,
    steps, batch, inputs, width, reverse, act,
    g, g_t, g_n, h, h_t, h_n, h0, x, x_t, x_n, wi, wh, tiny, zero, one,
    need_x, gx, gx_t, gx_n, need_r, r, r_t, r_n, need_i, need_h, sums,
):  # fmt: skip
    """Chunks start..stop-1 of the batch through all steps, back from the last (or the first).

    h: the states, or act' itself if act is GIVEN. sums[chunk]: the panels of gW_ih, those of gW_hh,
    each (width rounded up to height, cols), and gb. r, if wanted: (T, N, D) as its pitches say.
    """
    panels = (width + cols - 1) // cols
    x_panels = (inputs + cols - 1) // cols
    few_panels = (width + few_cols - 1) // few_cols
    pitch = max(panels * cols, few_panels * few_cols) + cols
    ka = np.arange(max(1, width))
    kb = np.arange(max(block * group, width)) * cols
    few_kb = ka * few_cols
    most = group if few else (group + height - 1) // height * height
    tall = (width + height - 1) // height * height
    size = tall * cols
    zeros = np.zeros(panels * cols, g.dtype)
    # As in the forward pass: slot 0 is what came before the block, slot s + 1 its step s.
    scratch = np.zeros(((block + 1) * most + height) * pitch, g.dtype)
    h_row = np.empty(most, np.int64)
    j_row = np.minimum(np.arange(tall), width - 1)
    r_row = np.empty(block * most + height, np.int64)
    panel = np.empty(block * group * cols, g.dtype)
    x_pitch = x_panels * cols
    line = np.empty(height * x_pitch, g.dtype)
    x_zeros = np.zeros(x_pitch, g.dtype)
    wide = np.empty(sums.shape[1] if steps * batch > _HELD else 0, np.float64)
    for chunk in range(start, stop):
        first, last = _rows_of(chunk, chunks, unit, batch)
        own = sums[chunk]
        own[:] = zero
        wide[:] = 0
        held, flushed = 0, False
        total = own[(x_panels + panels) * size :]
        for n0 in range(first, last, group):
            real = min(group, last - n0)
            tiles = (real + height - 1) // height
            rows = real if few else tiles * height
            slot = rows * pitch
            for m in range(rows):
                h_row[m] = min(m, real - 1) * pitch
            for s0 in range(0, steps, block):
                count = min(block, steps - s0)
                for s in range(count):
                    before = scratch[s * slot :]
                    now = scratch[(s + 1) * slot :]
                    if few or s0 + s == 0:
                        for m in range(real):
                            to = now[m * pitch : m * pitch + few_panels * few_cols]
                            for j in range(to.shape[0]):
                                to[j] = zero
                    if s0 + s > 0:  # (M, D) @ (D, D) -> (M, D)
                        if few:
                            _few_products(
                                before, h_row, rows, ka, width, wh, few_panels, few_cols, few_kb,
                                now, pitch,
                            )  # fmt: skip
                        else:
                            _products(
                                before, h_row, tiles, height, ka, width, wh, panels, cols, kb,
                                zeros, 0, now, pitch,
                            )  # fmt: skip
                    t = s0 + s if reverse else steps - 1 - s0 - s
                    _through_activation(
                        real, width, act, now, pitch, g, t * g_t + n0 * g_n, g_n,
                        h, t * h_t + n0 * h_n, h_n, total, tiny, zero, one,
                    )  # fmt: skip
                    if need_r:
                        _copy_rows(real, width, now, 0, pitch, r, t * r_t + n0 * r_n, r_n)
                depth = count * real
                for i in range(depth + height):  # the last rows repeat, to fill up a tile
                    k = min(i, depth - 1)
                    r_row[i] = (k // real + 1) * slot + (k % real) * pitch
                if need_i:  # (D, steps * rows) @ (steps * rows, I) -> (D, I)
                    for q in range(x_panels):
                        some = min(cols, inputs - q * cols)
                        for s in range(s0, s0 + count):
                            t = s if reverse else steps - 1 - s
                            at = t * x_t + n0 * x_n + q * cols
                            to = (s - s0) * real * cols
                            _fill_panel(real, cols, some, x, at, x_n, panel, to, zero)
                        _add_weight_grad(
                            scratch, j_row, r_row, depth, panel, cols, kb, height, tall // height,
                            own[q * size :],
                        )  # fmt: skip
                if need_h:  # (D, steps * rows) @ (steps * rows, D) -> (D, D)
                    for q in range(panels):
                        some = min(cols, width - q * cols)
                        for s in range(s0, s0 + count):
                            to = (s - s0) * real * cols
                            if s == steps - 1:
                                at = n0 * width + q * cols
                                _fill_panel(real, cols, some, h0, at, width, panel, to, zero)
                            else:
                                t = s + 1 if reverse else steps - 2 - s
                                at = t * h_t + n0 * h_n + q * cols
                                _fill_panel(real, cols, some, h, at, h_n, panel, to, zero)
                        _add_weight_grad(
                            scratch, j_row, r_row, depth, panel, cols, kb, height, tall // height,
                            own[(x_panels + q) * size :],
                        )  # fmt: skip
                if need_x:  # (steps * rows, D) @ (D, I) -> (steps * rows, I)
                    for i0 in range(0, depth, height):
                        _products(
                            scratch, r_row[i0:], 1, height, ka, width, wi, x_panels, cols, kb,
                            x_zeros, 0, line, x_pitch,
                        )  # fmt: skip
                        for i in range(i0, min(i0 + height, depth)):
                            s = s0 + i // real
                            t = s if reverse else steps - 1 - s
                            at = t * gx_t + (n0 + i % real) * gx_n
                            from_line = line[(i - i0) * x_pitch :]
                            to_x = gx[at:]
                            for j in range(inputs):
                                to_x[j] = from_line[j]
                _copy_rows(real, width, scratch, count * slot, pitch, scratch, 0, pitch)
                held += depth
                if held >= _HELD and wide.size > 0:  # long chains of sums lose digits
                    flush(own, wide, wide.size)
                    held, flushed = 0, True
        if flushed:
            for i in range(wide.size):
                own[i] = wide[i] + own[i]


@jit
def add_up_range(start, stop, sums, first, tall, cols, out):
    """Panels start..stop-1 of out (D, L): the sums of all chunks, whose panels begin at `first`."""
    width, length = out.shape
    size = tall * cols
    for q in range(start, stop):
        total = sums[0, first + q * size :]
        for chunk in range(1, sums.shape[0]):
            more = sums[chunk, first + q * size :]
            for i in range(size):
                total[i] += more[i]
        count = min(cols, length - q * cols)
        for j in range(width):
            to = out[j, q * cols :]
            row = total[j * cols :]
            for i in range(count):
                to[i] = row[i]


# ------------------------------------------------------------------------- how the work is cut


class Plan(NamedTuple):
    """How the work is cut: the first arguments of both kernels after the range of chunks."""

    chunks: int
    unit: int  # rows that stay together: a tile, if there are enough
    group: int  # rows that go through time together
    block: int  # steps of a block
    few: bool  # whether rows go one by one
    height: int  # rows and columns of a tile
    cols: int
    few_cols: int


def plan_of(
    steps: int, batch: int, inputs: int, width: int, dtype: np.dtype, few: bool | None = None
) -> Plan:
    """The cut depends on the sizes alone, never on the number of threads: see the sums above.

    few: whether rows go one by one; None: whether that is faster.
    """
    height, cols, _ = tile_shape(dtype)
    few_cols = tile_shape(dtype, "single").cols
    unit = min(height, -(-batch // 2))
    units = -(-batch // unit)
    row_work = steps * width * (width + inputs)
    chunks = min(
        tuning.RNN_CHUNKS,
        -(-units * unit // tuning.RNN_GROUP) if batch >= 2 * tuning.RNN_GROUP else units,
        max(1, batch * row_work // tuning.RNN_GRAIN),
        max(4, tuning.RNN_SUMS // (width * (width + inputs))),
    )
    most = -(-units // chunks) * unit
    # Where W leaves no room in the second-level cache, more rows must share each reading of it.
    wide = width * width * dtype.itemsize > tuning.RNN_WEIGHT_BYTES
    group = min(most, 4 * tuning.RNN_GROUP if wide else tuning.RNN_GROUP)
    few = group <= tuning.RNN_FEW if few is None else few
    block = max(1, min(steps, (128 if width <= 256 else 256) // group))
    return Plan(chunks, unit, group, block, few, height, cols, few_cols)
