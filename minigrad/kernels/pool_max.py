"""The maximum over windows of an image, and its gradients by the place where it was found.

A maximum remembers *where* it was found: its place in the window, i * KW + j, in one byte (two
for windows of 255 cells and more). So its gradient only sends numbers back to those places
(`max_pool2d_grad`), and the gradient of that picks numbers up from there (`max_pool2d_pick`).

Each kernel walks planes: one image of one channel, H x W numbers that fit a cache. A window starts
at u * stride - padding and takes every dilation-th cell; cells outside of the image are left out.
Gradients gather rather than scatter: each number of gx is written once, its sum has a fixed order,
and nothing is filled with zeros first.

Not here: rows of windows as vectors (pool_rows.py), torch's indices (pool_indices.py), checking
shapes and choosing output sizes, ceil_mode included (`ops/pool.py`).
"""

from __future__ import annotations

import functools

import numpy as np

from .jit import jit
from .pool_rows import (
    ROW_CELLS,
    STRIP_ROWS,
    Pair,
    flat,
    grain,
    load_cells,
    pair,
    store_phase,
)
from .threads import parallel
from .vector import (
    choose,
    evens,
    lanes,
    load,
    load_all,
    load_counts,
    load_marks,
    mark_dtype,
    odds,
    spread,
    store,
    store_all,
    vector_jit,
)


def _place_dtype(kernel: Pair) -> np.dtype:
    """The narrowest integer for a place in the window; its largest value means: nowhere."""
    cells = kernel[0] * kernel[1]
    for dtype in (np.uint8, np.uint16):
        if cells <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.int32)


def nowhere_of(places: np.ndarray) -> int:
    """The number that stands for no place."""
    return int(np.iinfo(places.dtype).max)


# --------------------------------------------------------------------------- forward


@jit
def cells_inside(out, kernel, stride, padding, dilation, size):
    """For each window of an axis: its cells begin .. end - 1 lie inside the image."""
    begins = np.empty(out, np.int64)
    ends = np.empty(out, np.int64)
    for u in range(out):
        first = u * stride - padding
        begin = 0
        while begin < kernel and first + begin * dilation < 0:
            begin += 1
        end = kernel
        while end > begin and first + (end - 1) * dilation >= size:
            end -= 1
        begins[u] = begin
        ends[u] = end
    return begins, ends


@functools.partial(vector_jit, inline=True)
def _larger(best, place, value, here, like):
    """The larger of best (found at place) and value (found here), and where it was found.

    The first of equals stays. value != value is NaN: it replaces, and no number replaces it.
    """
    take = (value > best) | (value != value)
    return choose(take, value, best), choose(take, spread(here, like), place)


@vector_jit
def max_pool_range(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, nowhere, relu
):
    """Planes start .. stop - 1 of a maximum. x, y, places: flat (P * H * W), (P * OH * OW) twice.

    Limit: bytes where windows do not overlap: 2x2 on 64x64x28x28 (float32) moved 29 GB/s on two
    cores, of 42 that a copy reached; 21 on one, 12 ns a row. Else KH * KW times a load and four
    instructions (two comparisons, since NaN wins, and two choices) for a vector of outputs: 26 ns
    for a row of 14 outputs of 3x3 windows, which is 9 instructions a cell.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(x)
    step = stride[1]
    # Two cells of each window out of the same two vectors.
    paired = kernel[1] // 2 if step == 2 and dilation[1] == 1 else 0
    top = (kernel[1] - 1) * dilation[1]  # the last cell of a window, from its first
    pitch = max(padding[1] + width, (columns - 1) * step + top + 1)
    crooked = pitch > width  # windows that hang over at the left or the right
    # Then rows get -inf around them: it is never greater than anything, so it is never taken.
    framed = np.full(height * pitch if crooked else 0, -np.inf, x.dtype)
    # The first cell of each window that is inside: the place where all cells are -inf.
    first = np.zeros(columns, places.dtype)
    if crooked:
        begins, ends = cells_inside(columns, kernel[1], step, padding[1], dilation[1], width)
        for v in range(columns):
            first[v] = begins[v] if begins[v] < ends[v] else nowhere
    begins, ends = cells_inside(rows, kernel[0], stride[0], padding[0], dilation[0], height)
    for p in range(start, stop):
        image = x
        base = p * height * width
        if crooked:
            for w in range(0, width, size):
                for h in range(height):
                    row = load(x, base + h * width + w, 0, width - w)
                    store(framed, h * pitch + padding[1] + w, 0, width - w, row)
            image = framed
            base = 0
        for strip in range(0, rows, STRIP_ROWS):
            for v in range(0, columns, size):
                n = min(size, columns - v)
                lead = load_counts(first, v, 0, n, x)
                for u in range(strip, min(strip + STRIP_ROWS, rows)):
                    best = spread(-np.inf, x)
                    place = choose(lead == nowhere, lead, lead + begins[u] * kernel[1])
                    if begins[u] == ends[u]:  # dilated past a small image
                        place = spread(nowhere, x)
                    for i in range(begins[u], ends[u]):
                        h = u * stride[0] - padding[0] + i * dilation[0]
                        at = base + h * pitch + v * step
                        here = i * kernel[1]
                        for _ in range(paired):
                            low = load(image, at, 0, 2 * n)
                            high = load(image, at + size, 0, 2 * n - size)
                            best, place = _larger(best, place, evens(low, high), here, x)
                            best, place = _larger(best, place, odds(low, high), here + 1, x)
                            at += 2
                            here += 2
                        for _ in range(2 * paired, kernel[1]):
                            value = load_cells(image, at, step, n)
                            best, place = _larger(best, place, value, here, x)
                            at += dilation[1]
                            here += 1
                    if relu:
                        dead = best <= 0.0
                        best = choose(dead, spread(0.0, x), best)
                        place = choose(dead, spread(nowhere, x), place)
                    out = (p * rows + u) * columns + v
                    store(y, out, 0, n, best)
                    store(places, out, 0, n, place)


def max_pool2d_places(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out_hw: Pair,
    relu: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """y[n,c,u,v] = max of x[n, c, u*sh - ph + i*dh, v*sw - pw + j*dw] over i < KH, j < KW.

    x (N, C, H, W) -> y (N, C, OH, OW) and the place i * KW + j of each maximum, (N, C, OH, OW) of
    unsigned bytes (for windows of 255 cells and more uint16, of 65535 int32).
    Of equal values the first wins. A NaN wins over all numbers, the last NaN over the others.
    Cells outside of the image are never chosen. Where a dilated window has no cell inside, as
    the rows -1 and 1 of an image with one row, y is -inf (as in torch) and the place is the largest
    integer of its dtype, which stands for nowhere.

    relu: y = max(0, that) in the same pass; the place is nowhere where that was not positive (NaN
    stays). `max_pool2d_grad` then is the gradient of both.
    """
    batch, channels, height, width = x.shape
    planes = batch * channels
    y = np.empty((batch, channels, *out_hw), x.dtype)
    places = np.empty(y.shape, _place_dtype(kernel))
    if y.size:
        cells = max(height * width, out_hw[0] * out_hw[1] * kernel[0] * kernel[1])
        cells += ROW_CELLS * out_hw[0]
        rule = (pair(kernel), pair(stride), pair(padding), pair(dilation))
        parallel(max_pool_range, planes, flat(x), y.reshape(-1), places.reshape(-1),
                 (height, width), pair(out_hw), *rule, nowhere_of(places), bool(relu),
                 grain=grain(cells))
    return y, places


# --------------------------------------------------------------------------- gradient


@vector_jit
def max_pool_grad_apart_range(
    start, stop, g, places, gx, hw, out_hw, kernel, stride, padding, nowhere
):
    """Planes start .. stop - 1 of the gradient of a maximum, where no two windows share a cell.

    g, places, gx: flat. A block of stride[0] x stride[1] cells hears from one window, or none.

    Limit: bytes.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    step = stride[1]
    blocks = (height + padding[0] + stride[0] - 1) // stride[0]
    for p in range(start, stop):
        for strip in range(0, blocks, STRIP_ROWS):
            for m in range(0, (width + padding[1] + step - 1) // step, size):
                low = padding[1] - step * m
                high = width + low
                n = columns - m
                for u in range(strip, min(strip + STRIP_ROWS, blocks)):
                    value = spread(0.0, g)
                    mark = spread(nowhere, g)
                    if u < rows:
                        value = load(g, (p * rows + u) * columns + m, 0, n)
                        mark = load_counts(places, (p * rows + u) * columns + m, 0, n, g)
                    for i in range(stride[0]):
                        h = u * stride[0] + i - padding[0]
                        if h < 0 or h >= height:
                            continue
                        at = (p * height + h) * width - low
                        before = value
                        for r in range(step):
                            inside = i < kernel[0] and r < kernel[1]
                            hit = mark == (i * kernel[1] + r if inside else -1)
                            total = choose(hit, value, spread(0.0, g))
                            store_phase(gx, at, step, r, low, high, before, total)
                            before = total


@jit
def _heard_from(hw, out_hw, kernel, stride, padding, dilation, pitch, back):
    """What each phase of each row of the image hears, as lists one behind the other.

    List h * sw + r begins at begins[h * sw + r]. An entry says: column sw * m + r - pw adds what
    lies m numbers behind `source` in a framed plane of g, where the place is `place`. The windows
    come in the order of the outputs.
    """
    height = hw[0]
    step = stride[1]
    begins = np.zeros(height * step + 1, np.int64)
    sources = np.empty(out_hw[0] * kernel[0] * kernel[1], np.int64)
    wanted = np.empty(sources.size, np.int64)
    count = 0
    u_begin = 0
    for h in range(height):
        top = padding[0] + h
        while u_begin < out_hw[0] and u_begin * stride[0] + (kernel[0] - 1) * dilation[0] < top:
            u_begin += 1
        for r in range(step):
            for u in range(u_begin, out_hw[0]):
                i = top - u * stride[0]
                if i < 0:
                    break
                if i % dilation[0] == 0:
                    for j in range(kernel[1] - 1, -1, -1):
                        if j * dilation[1] % step == r:
                            sources[count] = u * pitch + back - j * dilation[1] // step
                            wanted[count] = i // dilation[0] * kernel[1] + j
                            count += 1
            begins[h * step + r + 1] = count
    return begins, sources, wanted


@vector_jit
def max_pool_grad_range(
    start, stop, g, places, gx, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of the gradient of a maximum. g, places, gx: flat.

    Limit: for each cell of the window a comparison and an addition, both with an operand in memory,
    for a vector of columns.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    step = stride[1]
    # g and the places in a frame that hits nothing, so that no load needs a mask.
    back = (kernel[1] - 1) * dilation[1] // step
    pitch = back + max(columns, (width + padding[1] + step - 1) // step) + size
    framed = np.zeros(rows * pitch + size, g.dtype)
    marks = np.full(framed.size, nowhere, mark_dtype(g))
    begins, sources, wanted = _heard_from(
        hw, out_hw, kernel, stride, padding, dilation, pitch, back
    )
    m_begin = padding[1] // step
    m_end = (width + padding[1] + step - 1) // step
    for p in range(start, stop):
        for v in range(0, columns, size):
            n = columns - v
            for u in range(rows):
                source = (p * rows + u) * columns + v
                store_all(framed, u * pitch + back + v, load(g, source, 0, n))
                store(marks, u * pitch + back + v, 0, n, load_counts(places, source, 0, n, g))
        for strip in range(0, height, STRIP_ROWS):
            for m in range(m_begin, m_end, size):
                low = padding[1] - step * m
                high = width + low
                for h in range(strip, min(strip + STRIP_ROWS, height)):
                    before = spread(0.0, g)
                    for r in range(step):
                        total = spread(0.0, g)
                        for e in range(begins[h * step + r], begins[h * step + r + 1]):
                            at = sources[e] + m
                            hit = load_marks(marks, at, g) == wanted[e]
                            total = choose(hit, total + load_all(framed, at), total)
                        at = (p * height + h) * width - low
                        store_phase(gx, at, step, r, low, high, before, total)
                        before = total


def max_pool2d_grad(
    g: np.ndarray,
    places: np.ndarray,
    hw: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> np.ndarray:
    """gx[n, c, h, w] = sum of g[n,c,u,v] over the windows whose maximum was found at (h, w).

    g, places (N, C, OH, OW) as `max_pool2d_places` gave them, hw (H, W) -> gx (N, C, H, W). The sum
    goes in the order of the outputs. A place of nowhere receives nothing.
    """
    batch, channels, rows, columns = g.shape
    gx = np.empty((batch, channels, *hw), g.dtype)
    if gx.size:
        overlap = -(-kernel[0] // stride[0]) * -(-kernel[1] // stride[1])
        arrays = (flat(g), flat(places), gx.reshape(-1), pair(hw), (rows, columns))
        rule = (pair(kernel), pair(stride), pair(padding))
        least = grain(hw[0] * (hw[1] * overlap + ROW_CELLS))
        if overlap == 1 and all(k == 1 or d == 1 for k, d in zip(kernel, dilation)):
            parallel(max_pool_grad_apart_range, batch * channels, *arrays, *rule,
                     nowhere_of(places), grain=least)
        else:
            parallel(max_pool_grad_range, batch * channels, *arrays, *rule, pair(dilation),
                     nowhere_of(places), grain=least)
    return gx


@jit
def window_offsets(kernel, dilation, width):
    """How far each place of a window lies behind its first cell, in an image W wide."""
    offsets = np.empty(kernel[0] * kernel[1], np.int64)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            offsets[i * kernel[1] + j] = i * dilation[0] * width + j * dilation[1]
    return offsets


@jit
def max_pool_pick_range(
    start, stop, x, places, y, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of `max_pool2d_pick`. Limit: one number after the other."""
    height, width = hw
    offsets = window_offsets(kernel, dilation, width)
    for p in range(start, stop):
        for u in range(out_hw[0]):
            row = (p * out_hw[0] + u) * out_hw[1]
            for v in range(out_hw[1]):
                place = places[row + v]
                if place == nowhere:
                    y[row + v] = 0
                else:
                    at = (u * stride[0] - padding[0]) * width + v * stride[1] - padding[1]
                    y[row + v] = x[p * height * width + at + offsets[place]]


def max_pool2d_pick(
    x: np.ndarray, places: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    """y[n,c,u,v] = x at the place of each maximum, 0 for nowhere: the transpose of the gradient.

    x (N, C, H, W), places (N, C, OH, OW) -> (N, C, OH, OW).
    """
    batch, channels, rows, columns = places.shape
    y = np.empty(places.shape, x.dtype)
    if y.size:
        rule = (pair(kernel), pair(stride), pair(padding), pair(dilation))
        parallel(max_pool_pick_range, batch * channels, flat(x), flat(places), y.reshape(-1),
                 x.shape[2:], (rows, columns), *rule, nowhere_of(places),
                 grain=grain(4 * rows * columns))
    return y
