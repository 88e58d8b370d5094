"""Maximum and average over windows of an image, and the gradients of both.

Each kernel walks planes: one image of one channel, H x W numbers that fit a first-level cache.
A window starts at u * stride - padding and takes every dilation-th cell; cells outside of the
image are left out. A maximum remembers *where* it was found (the flat index h * W + w, as torch),
so its gradient only sends numbers back to those places: `max_pool2d_scatter`, whose own gradient
is `max_pool2d_gather`. The average is linear, and `avg_pool2d_grad` is its transpose.

Not here: checking shapes and choosing output sizes, ceil_mode included (`ops/pool.py`).
"""

from __future__ import annotations

import numpy as np

from .jit import jit, ready
from .threads import parallel

Pair = tuple[int, int]

# Numbers read that are worth a thread: about 30 us at half a nanosecond each.
GRAIN_CELLS = 60_000


def _grain(cells: int) -> int:
    """The least number of planes worth a chunk, when a plane costs `cells` numbers."""
    return max(1, GRAIN_CELLS // max(cells, 1))


def _planes(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N * C, H, W), ready for a kernel."""
    x = ready(x)
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2], x.shape[3])


def _side_by_side(kernel: Pair, stride: Pair, padding: Pair, hw: Pair, out_hw: Pair) -> bool:
    """Are these 2x2 windows that touch, do not overlap and lie inside the image?"""
    if (tuple(kernel), tuple(stride), tuple(padding)) != ((2, 2), (2, 2), (0, 0)):
        return False
    return 2 * out_hw[0] <= hw[0] and 2 * out_hw[1] <= hw[1]


# --------------------------------------------------------------------------- maximum


@jit
def max_pool_range(start, stop, x, y, indices, kernel, stride, padding, dilation):
    """Planes start .. stop - 1 of a maximum, any window. x (P, H, W), y and indices (P, OH, OW).

    Limit: comparisons, KH * KW for an output, one after the other because each depends on the
    best so far: 0.7 times torch's time for 3x3 windows with stride 2. It stops there because
    windows may overlap and hang over the border.
    """
    height, width = x.shape[1], x.shape[2]
    for p in range(start, stop):
        for u in range(y.shape[1]):
            h_begin = u * stride[0] - padding[0]
            h_end = min(h_begin + (kernel[0] - 1) * dilation[0] + 1, height)
            if h_begin < 0:  # the first cell of the window's own grid that is inside
                h_begin += (-h_begin + dilation[0] - 1) // dilation[0] * dilation[0]
            for v in range(y.shape[2]):
                w_begin = v * stride[1] - padding[1]
                w_end = min(w_begin + (kernel[1] - 1) * dilation[1] + 1, width)
                if w_begin < 0:
                    w_begin += (-w_begin + dilation[1] - 1) // dilation[1] * dilation[1]
                if h_begin >= h_end or w_begin >= w_end:  # dilated past a small image
                    y[p, u, v] = -np.inf
                    indices[p, u, v] = -1
                    continue
                best = x[p, h_begin, w_begin]
                at = h_begin * width + w_begin
                for h in range(h_begin, h_end, dilation[0]):
                    for w in range(w_begin, w_end, dilation[1]):
                        value = x[p, h, w]
                        # value != value is NaN: it replaces, and no number replaces it.
                        if value > best or value != value:
                            best = value
                            at = h * width + w
                y[p, u, v] = best
                indices[p, u, v] = at


@jit
def max_pool_2x2_range(start, stop, x, y, indices):
    """`max_pool_range` for 2x2 windows side by side: kernel 2, stride 2, no padding.

    Limit: bytes (16 in, 12 out for a float32 output). Written without branches, so that LLVM
    makes vectors of it: a ninth of torch's time on 64x64x28x28, 12 GB/s of about 20 on one core.
    It stops there because of the 64-bit indices, two thirds of what is written.
    """
    width = x.shape[2]
    for p in range(start, stop):
        for u in range(y.shape[1]):
            # Unsigned, because `row[2 * v]` with a signed v is tested for negative indices.
            upper = x[p, 2 * u]
            lower = x[p, 2 * u + 1]
            values = y[p, u]
            places = indices[p, u]
            first = 2 * u * width
            for v in range(values.size):
                left = np.uint64(v) << np.uint64(1)
                right = left | np.uint64(1)
                best, a = upper[left], upper[right]
                b, c = lower[left], lower[right]
                at = 0
                take = (a > best) | (a != a)
                best = a if take else best
                at = 1 if take else at
                take = (b > best) | (b != b)
                best = b if take else best
                at = width if take else at
                take = (c > best) | (c != c)
                best = c if take else best
                at = width + 1 if take else at
                values[v] = best
                places[v] = first + 2 * v + at


def max_pool2d(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out_hw: Pair,
) -> tuple[np.ndarray, np.ndarray]:
    """y[n,c,u,v] = max of x[n, c, u*sh - ph + i*dh, v*sw - pw + j*dw] over i < KH, j < KW.

    x (N, C, H, W) -> y (N, C, OH, OW) and indices (N, C, OH, OW), int64: h * W + w of the maximum.
    Of equal values the first wins. A NaN wins over all numbers, the last NaN over the others.
    Cells outside of the image are never chosen. Where a dilated window has no cell inside, as
    the rows -1 and 1 of an image with one row, y is -inf (as in torch) and the index -1.
    """
    planes = _planes(x)
    y = np.empty((planes.shape[0], *out_hw), x.dtype)
    indices = np.empty(y.shape, np.int64)
    shape = (*x.shape[:2], *out_hw)
    if y.size == 0:
        return y.reshape(shape), indices.reshape(shape)
    plain = tuple(dilation) == (1, 1)
    if plain and _side_by_side(kernel, stride, padding, x.shape[2:], out_hw):
        grain = _grain(planes[0].size)
        parallel(max_pool_2x2_range, len(planes), planes, y, indices, grain=grain)
    else:
        grain = _grain(2 * y[0].size * kernel[0] * kernel[1])
        rule = (tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
        parallel(max_pool_range, len(planes), planes, y, indices, *rule, grain=grain)
    return y.reshape(shape), indices.reshape(shape)


@jit
def scatter_range(start, stop, g, indices, gx):
    """gx[p, indices[p, o]] += g[p, o] for planes start .. stop - 1. gx (P, H * W), g (P, L).

    Limit: bytes (gx written, g and indices read); the plane stays in the first-level cache
    between its zeroing and its sums. 27 GB/s on 64x64x28x28, two thirds of torch's time.
    """
    for p in range(start, stop):
        target = gx[p]
        for i in range(target.size):
            target[i] = 0
        source = g[p]
        places = indices[p]
        for o in range(source.size):
            at = places[o]
            if at >= 0:
                target[np.uint64(at)] += source[o]  # unsigned: no test for a negative index


def max_pool2d_scatter(g: np.ndarray, indices: np.ndarray, hw: Pair) -> np.ndarray:
    """gx[n, c, indices[n,c,u,v]] += g[n,c,u,v]: the gradient of `max_pool2d`.

    g, indices (N, C, OH, OW), hw (H, W) -> gx (N, C, H, W). Where windows overlap their gradients
    are added, in the order of the outputs. An index of -1 receives nothing.
    """
    batch, channels = g.shape[:2]
    planes, length = batch * channels, g.shape[2] * g.shape[3]
    size = hw[0] * hw[1]
    gx = np.empty((planes, size), g.dtype)
    flat_g = ready(g).reshape(planes, length)
    flat_i = ready(indices).reshape(planes, length)
    parallel(scatter_range, planes, flat_g, flat_i, gx, grain=_grain(size + 2 * length))
    return gx.reshape(batch, channels, *hw)


@jit
def gather_range(start, stop, x, indices, y):
    """y[p, o] = x[p, indices[p, o]] for planes start .. stop - 1. x (P, H * W), y (P, L).

    Limit: bytes (indices and x read, y written).
    """
    for p in range(start, stop):
        source = x[p]
        places = indices[p]
        target = y[p]
        for o in range(target.size):
            at = places[o]
            if at >= 0:
                target[o] = source[np.uint64(at)]
            else:
                target[o] = 0


def max_pool2d_gather(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """y[n,c,u,v] = x[n, c, indices[n,c,u,v]], the transpose of the scatter (0 for an index of -1).

    x (N, C, H, W), indices (N, C, OH, OW) -> (N, C, OH, OW).
    """
    planes, length = x.shape[0] * x.shape[1], indices.shape[2] * indices.shape[3]
    flat_x = ready(x).reshape(planes, x.shape[2] * x.shape[3])
    flat_i = ready(indices).reshape(planes, length)
    y = np.empty((planes, length), x.dtype)
    parallel(gather_range, planes, flat_x, flat_i, y, grain=_grain(2 * length))
    return y.reshape(indices.shape)


# --------------------------------------------------------------------------- average


@jit
def window(u, stride, pad, kernel, size):
    """The cells begin .. end - 1 of window u along one axis, and how many it counts with padding.

    torch's rule: the window is first cut at size + pad (it hangs over only in ceil_mode), which
    gives the count; then at the image.
    """
    begin = u * stride - pad
    end = min(begin + kernel, size + pad)
    count = end - begin
    return max(begin, 0), min(end, size), count


@jit
def divisor(count_h, count_w, cells, include_pad, override):
    """What the sum of one window is divided by."""
    if override != 0:
        return override
    if include_pad:
        return count_h * count_w
    return cells


@jit
def avg_pool_range(start, stop, x, y, kernel, stride, padding, include_pad, override):
    """Planes start .. stop - 1 of an average, any window. x (P, H, W), y (P, OH, OW).

    Limit: additions, KH * KW for an output, in one chain: as fast as torch for 3x3 windows with
    stride 2. It stops there because a window has no fixed size.
    """
    height, width = x.shape[1], x.shape[2]
    zero = x.dtype.type(0)
    for p in range(start, stop):
        for u in range(y.shape[1]):
            h_begin, h_end, count_h = window(u, stride[0], padding[0], kernel[0], height)
            for v in range(y.shape[2]):
                w_begin, w_end, count_w = window(v, stride[1], padding[1], kernel[1], width)
                total = zero
                for h in range(h_begin, h_end):
                    for w in range(w_begin, w_end):
                        total += x[p, h, w]
                cells = (h_end - h_begin) * (w_end - w_begin)
                by = divisor(count_h, count_w, cells, include_pad, override)
                y[p, u, v] = total / x.dtype.type(by)


@jit
def avg_pool_2x2_range(start, stop, x, y, by):
    """`avg_pool_range` for 2x2 windows side by side, all cells inside; `by` is the divisor.

    Limit: bytes (16 in, 4 out for a float32 output). 27 GB/s, an eighth of torch's time.
    """
    for p in range(start, stop):
        for u in range(y.shape[1]):
            upper = x[p, 2 * u]
            lower = x[p, 2 * u + 1]
            target = y[p, u]
            for v in range(target.size):
                left = np.uint64(v) << np.uint64(1)
                right = left | np.uint64(1)
                target[v] = (upper[left] + upper[right] + lower[left] + lower[right]) / by


@jit
def avg_pool_grad_range(start, stop, g, gx, kernel, stride, padding, include_pad, override):
    """Planes start .. stop - 1 of the gradient of an average. g (P, OH, OW), gx (P, H, W).

    Limit: additions into a plane in the first-level cache, KH * KW for a number of g: 1.7 times
    torch's time for 3x3 windows with stride 2, because each addition waits for the one before.
    """
    height, width = gx.shape[1], gx.shape[2]
    for p in range(start, stop):
        gx[p, :, :] = 0
        for u in range(g.shape[1]):
            h_begin, h_end, count_h = window(u, stride[0], padding[0], kernel[0], height)
            for v in range(g.shape[2]):
                w_begin, w_end, count_w = window(v, stride[1], padding[1], kernel[1], width)
                cells = (h_end - h_begin) * (w_end - w_begin)
                by = divisor(count_h, count_w, cells, include_pad, override)
                share = g[p, u, v] / g.dtype.type(by)
                for h in range(h_begin, h_end):
                    for w in range(w_begin, w_end):
                        gx[p, h, w] += share


@jit
def avg_pool_grad_2x2_range(start, stop, g, gx, by):
    """`avg_pool_grad_range` for 2x2 windows side by side, all cells inside.

    Limit: bytes (4 in, 16 out for a number of g in float32).
    """
    rows, count = g.shape[1], g.shape[2]
    for p in range(start, stop):
        for u in range(rows):
            source = g[p, u]
            for k in range(2):
                target = gx[p, 2 * u + k]
                for v in range(count):
                    left = np.uint64(v) << np.uint64(1)
                    share = source[v] / by
                    target[left] = share
                    target[left | np.uint64(1)] = share
                target[2 * count :] = 0
        gx[p, 2 * rows :] = 0


def avg_pool2d(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    out_hw: Pair,
    count_include_pad: bool = True,
    divisor_override: int = 0,
) -> np.ndarray:
    """y[n,c,u,v] = sum of x[n, c, u*sh - ph + i, v*sw - pw + j] over the window, / divisor.

    x (N, C, H, W) -> y (N, C, OH, OW). The divisor is divisor_override if not 0; else the cells of
    the window inside the padded image (count_include_pad) or inside the image itself.
    """
    planes = _planes(x)
    y = np.empty((planes.shape[0], *out_hw), x.dtype)
    if y.size and _side_by_side(kernel, stride, padding, x.shape[2:], out_hw):
        by = x.dtype.type(divisor_override or 4)
        parallel(avg_pool_2x2_range, len(planes), planes, y, by, grain=_grain(planes[0].size))
    elif y.size:
        grain = _grain(2 * y[0].size * kernel[0] * kernel[1])
        shape = (tuple(kernel), tuple(stride), tuple(padding))
        rule = (bool(count_include_pad), int(divisor_override))
        parallel(avg_pool_range, len(planes), planes, y, *shape, *rule, grain=grain)
    return y.reshape(*x.shape[:2], *out_hw)


def avg_pool2d_grad(
    g: np.ndarray,
    hw: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool = True,
    divisor_override: int = 0,
) -> np.ndarray:
    """gx[n,c,h,w] = sum of g[n,c,u,v] / divisor over the windows (u, v) that hold cell (h, w).

    g (N, C, OH, OW), hw (H, W) -> gx (N, C, H, W): the transpose of `avg_pool2d`.
    """
    planes = _planes(g)
    gx = np.empty((planes.shape[0], *hw), g.dtype)
    if gx.size and _side_by_side(kernel, stride, padding, hw, g.shape[2:]):
        by = g.dtype.type(divisor_override or 4)
        parallel(avg_pool_grad_2x2_range, len(planes), planes, gx, by, grain=_grain(gx[0].size))
    elif gx.size:
        grain = _grain(gx[0].size + 2 * planes[0].size * kernel[0] * kernel[1])
        shape = (tuple(kernel), tuple(stride), tuple(padding))
        rule = (bool(count_include_pad), int(divisor_override))
        parallel(avg_pool_grad_range, len(planes), planes, gx, *shape, *rule, grain=grain)
    return gx.reshape(*g.shape[:2], *hw)


# --------------------------------------------------------------------------- plain twins


def max_pool2d_reference(x, kernel, stride, padding, dilation, out_hw):
    """The plain twin of `max_pool2d`: every cell of every window, in Python."""
    y = np.empty((*x.shape[:2], *out_hw), x.dtype)
    indices = np.empty(y.shape, np.int64)
    height, width = x.shape[2:]
    for n, c, u, v in np.ndindex(y.shape):
        best, at = None, -1  # -1: no cell inside
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                h = u * stride[0] - padding[0] + i * dilation[0]
                w = v * stride[1] - padding[1] + j * dilation[1]
                if 0 <= h < height and 0 <= w < width:
                    value = x[n, c, h, w]
                    if best is None or value > best or np.isnan(value):
                        best, at = value, h * width + w
        y[n, c, u, v], indices[n, c, u, v] = -np.inf if best is None else best, at
    return y, indices


def max_pool2d_scatter_reference(g, indices, hw):
    """The plain twin of `max_pool2d_scatter`."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    for n, c, u, v in np.ndindex(g.shape):
        if indices[n, c, u, v] >= 0:
            h, w = divmod(indices[n, c, u, v], hw[1])
            gx[n, c, h, w] += g[n, c, u, v]
    return gx


def max_pool2d_gather_reference(x, indices):
    """The plain twin of `max_pool2d_gather`."""
    y = np.empty(indices.shape, x.dtype)
    for n, c, u, v in np.ndindex(y.shape):
        at = indices[n, c, u, v]
        y[n, c, u, v] = x[n, c].ravel()[at] if at >= 0 else 0
    return y


def _windows(hw, kernel, stride, padding, out_hw, count_include_pad, divisor_override):
    """For each output (u, v): the slices of its cells inside the image, and its divisor."""
    for u, v in np.ndindex(*out_hw):
        cells, padded = [], 1
        for axis, at in enumerate((u, v)):
            begin = at * stride[axis] - padding[axis]
            end = min(begin + kernel[axis], hw[axis] + padding[axis])
            padded *= end - begin
            cells.append(slice(max(begin, 0), min(end, hw[axis])))
        inside = (cells[0].stop - cells[0].start) * (cells[1].stop - cells[1].start)
        yield (u, v), tuple(cells), divisor_override or (padded if count_include_pad else inside)


def avg_pool2d_reference(
    x, kernel, stride, padding, out_hw, count_include_pad=True, divisor_override=0
):
    """The plain twin of `avg_pool2d`."""
    y = np.empty((*x.shape[:2], *out_hw), x.dtype)
    rule = (count_include_pad, divisor_override)
    for (u, v), (hs, ws), by in _windows(x.shape[2:], kernel, stride, padding, out_hw, *rule):
        y[:, :, u, v] = x[:, :, hs, ws].sum((2, 3)) / by
    return y


def avg_pool2d_grad_reference(
    g, hw, kernel, stride, padding, count_include_pad=True, divisor_override=0
):
    """The plain twin of `avg_pool2d_grad`."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    rule = (count_include_pad, divisor_override)
    for (u, v), (hs, ws), by in _windows(hw, kernel, stride, padding, g.shape[2:], *rule):
        gx[:, :, hs, ws] += (g[:, :, u, v] / by)[:, :, None, None]
    return gx
