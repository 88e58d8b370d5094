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

from ..memory import empty
from .jit import jit
from .pool_rows import (
    ROW_CELLS,
    STRIP_ROWS,
    Pair,
    blocks_of,
    flat,
    frame_plane,
    frame_size,
    grain,
    hangs_over,
    heard_from,
    load_cells,
    pair,
    silent_rows,
    store_phase,
)
from .threads import parallel
from .vector import (
    choose,
    evens,
    lanes,
    largest,
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


_PLACES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int32))


def place_dtype(kernel: Pair) -> np.dtype:
    """The narrowest integer for a place in the window; its largest value means: nowhere."""
    cells = kernel[0] * kernel[1]
    return _PLACES[0 if cells <= 255 else 1 if cells <= 65535 else 2]


def nowhere_of(places: np.ndarray) -> int:
    """The number that stands for no place."""
    return _NOWHERE[places.dtype.char]


_NOWHERE = {np.dtype(t).char: int(np.iinfo(t).max) for t in (np.uint8, np.uint16, np.int32)}


# --------------------------------------------------------------------------- forward


@jit
def _first_inside(size, out, kernel, stride, padding, dilation):
    """For each window of an axis the first of its cells inside the image; -1 if none is."""
    firsts = np.empty(out, np.int64)
    for u in range(out):
        cell = 0
        while cell < kernel and u * stride - padding + cell * dilation < 0:
            cell += 1
        inside = cell < kernel and u * stride - padding + cell * dilation < size
        firsts[u] = cell if inside else -1
    return firsts


@functools.partial(vector_jit, inline=True)
def first_larger(best, place, bound, value, here, like):
    """The larger of best (found at place) and value (found here), its place, and the new bound.

    The first of equals stays; NaN replaces all numbers, and no number replaces it. For that `bound`
    is best with infinity for NaN: one comparison with it says both. (`value <= bound` is false for
    NaN; the choices that make the bound are single instructions, a minimum and a maximum.)
    """
    stays = value <= bound
    number = choose(value < np.inf, value, spread(np.inf, like))
    return (
        choose(stays, best, value),
        choose(stays, place, spread(here, like)),
        choose(number > bound, number, bound),
    )


@functools.partial(vector_jit, inline=True)
def nothing_below_zero(best, place, nowhere, like):
    """relu of maxima: 0, found nowhere, instead of what is not positive. NaN stays."""
    dead = best <= 0.0
    return choose(dead, spread(0.0, like), best), choose(dead, spread(nowhere, like), place)


@functools.partial(vector_jit, inline=True)
def _row_maxima(
    image, at, pitch, rows, n, kernel, step, dilation, begin, infinity, tops, marks
):
    """Of each of `rows` rows the maxima of n windows side by side, and j of each, into tops, marks.

    The first of equals stays. NaN counts as infinity. begin: j where all cells are -inf.
    """
    size = lanes(image)
    # Two cells of each window out of the same two vectors.
    paired = kernel // 2 if step == 2 and dilation == 1 else 0
    ceiling = spread(infinity, image)
    for h in range(rows):
        cell = at + h * pitch
        best = spread(-np.inf, image)
        place = begin
        for j in range(0, 2 * paired, 2):
            low = load(image, cell + j, 0, 2 * n)
            high = load(image, cell + j + size, 0, 2 * n - size)
            best, place = larger(best, place, evens(low, high), j, ceiling, image)
            best, place = larger(best, place, odds(low, high), j + 1, ceiling, image)
        for j in range(2 * paired, kernel):
            value = load_cells(image, cell + j * dilation, step, n)
            best, place = larger(best, place, value, j, ceiling, image)
        store_all(tops, h * size, best)
        store_all(marks, h * size, place)


@functools.partial(vector_jit, inline=True)
def larger(best, place, value, here, ceiling, like):
    """The larger of best (found at place) and value (found here), and its place."""
    value = choose(value < ceiling, value, ceiling)
    more = value > best
    return choose(more, value, best), choose(more, spread(here, like), place)


@functools.partial(vector_jit, inline=True)
def _max_of_plane(
    image, base, pitch, y, places, out, out_hw, kernel, stride, dilation, down, along, nowhere,
    relu, tops, marks, infinity
):
    """One plane, whose cell (h, w) is image[base + h * pitch + w]; y and places begin at `out`."""
    rows, columns = out_hw
    size = lanes(image)
    summit = spread(-np.inf, image)
    for strip in range(0, rows, STRIP_ROWS):
        end = min(strip + STRIP_ROWS, rows)
        height = (end - strip - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1
        for v in range(0, columns, size):
            n = min(size, columns - v)
            _row_maxima(image, base + strip * stride[0] * pitch + v * stride[1], pitch, height, n,
                        kernel[1], stride[1], dilation[1], load_marks(along, v, image), infinity,
                        tops, marks)
            for u in range(strip, end):
                at = (u - strip) * stride[0] * size
                best = load_all(tops, at)
                place = load_marks(marks, at, image) + spread(down[np.uint64(u)], image)
                for i in range(1, kernel[0]):
                    at += dilation[0] * size
                    value = load_all(tops, at)
                    there = load_marks(marks, at, image) + spread(i * kernel[1], image)
                    more = value > best
                    place = choose(more, there, place)
                    best = choose(more, value, best)
                summit = choose(best > summit, best, summit)
                if relu:
                    best, place = nothing_below_zero(best, place, nowhere, image)
                store(y, out + u * columns + v, 0, n, best)
                store(places, out + u * columns + v, 0, n, place)
    if largest(summit) == np.inf:
        look_again(image, base, pitch, y, places, out, out_hw, kernel, stride, dilation)


@jit(inline=True)
def look_again(image, base, pitch, y, places, out, out_hw, kernel, stride, dilation):
    """Where a maximum is infinite: was it NaN? The last NaN of the window wins."""
    for u in range(out_hw[0]):
        for v in range(out_hw[1]):
            o = out + u * out_hw[1] + v
            if y[o] == np.inf:
                for i in range(kernel[0]):
                    row = base + (u * stride[0] + i * dilation[0]) * pitch + v * stride[1]
                    for j in range(kernel[1]):
                        value = image[row + j * dilation[1]]
                        if value != value:
                            y[o] = value
                            places[o] = i * kernel[1] + j


@vector_jit
def max_pool_range(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, framing, nowhere, relu, infinity
):
    """Planes start .. stop - 1 of a maximum."""
    rows, columns = out_hw
    size = lanes(x)
    tops = np.empty(
        ((min(STRIP_ROWS, rows) - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1) * size,
        x.dtype)
    marks = np.empty(tops.size, mark_dtype(x))
    down = _first_inside(hw[0], rows, kernel[0], stride[0], padding[0], dilation[0])
    beside = _first_inside(hw[1], columns, kernel[1], stride[1], padding[1], dilation[1])
    along = np.zeros(columns + size, marks.dtype)
    blind = False
    for u in range(rows):
        blind = blind or down[u] < 0
        down[u] *= kernel[1]
    for v in range(columns):
        blind = blind or beside[v] < 0
        along[v] = beside[v]
    pitch = hw[1]
    image = x
    if framing:
        height, pitch = frame_size(hw, out_hw, kernel, stride, padding, dilation)
        framed = np.full(height * pitch, -np.inf, x.dtype)
        image = framed
    for p in range(start, stop):
        base = p * hw[0] * hw[1]
        if framing:
            frame_plane(image, pitch, padding, x, base, hw)
            base = 0
        out = p * rows * columns
        if kernel == (3, 3) and stride == (2, 2) and dilation == (1, 1):
            _max_of_plane(image, base, pitch, y, places, out, out_hw, (3, 3), (2, 2), (1, 1), down,
                          along, nowhere, relu, tops, marks, infinity)
        elif kernel == (2, 2) and stride == (2, 2) and dilation == (1, 1):
            _max_of_plane(image, base, pitch, y, places, out, out_hw, (2, 2), (2, 2), (1, 1), down,
                          along, nowhere, relu, tops, marks, infinity)
        else:
            _max_of_plane(image, base, pitch, y, places, out, out_hw, kernel, stride, dilation, down,
                          along, nowhere, relu, tops, marks, infinity)
        if blind:
            for u in range(rows):
                for v in range(columns):
                    if down[u] < 0 or beside[v] < 0:
                        places[out + u * columns + v] = nowhere


def max_pool2d_places(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out_hw: Pair,
    relu: bool = False,
    out: tuple[np.ndarray, np.ndarray] | None = None,
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

    out: the two arrays to write, if they exist already; C-contiguous.
    """
    batch, channels, height, width = x.shape
    if out is None:
        y = empty((batch, channels, *out_hw), x.dtype)
        places = empty(y.shape, place_dtype(kernel))
    else:
        y, places = out
    if y.size:
        cells = max(height * width, out_hw[0] * out_hw[1] * kernel[0] * kernel[1])
        cells += ROW_CELLS * out_hw[0]
        arrays = (flat(x), y.reshape(-1), places.reshape(-1))
        hw, out_hw = (height, width), pair(out_hw)
        kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)
        rest = (nowhere_of(places), bool(relu), np.inf)
        framing = hangs_over(hw, out_hw, kernel, stride, padding, dilation)
        parallel(max_pool_range, batch * channels, *arrays, hw, out_hw, kernel, stride,
                 pair(padding), dilation, framing, *rest, grain=grain(batch * channels, cells))
    return y, places


# --------------------------------------------------------------------------- gradient


@vector_jit
def max_pool_grad_apart_range(start, stop, g, places, gx, hw, out_hw, kernel, stride):
    """Planes start .. stop - 1 of the gradient of a maximum, where no two windows share a cell.

    And none hangs over. g, places, gx: flat. Each cell hears from one window or from none: those
    between two windows wait for place -1.

    Limit: bytes. 2x2 on 64x64x28x28: 0.34 ms on two cores, a loop that only reads g and writes gx:
    0.29.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    step = stride[1]
    silent = silent_rows(height, rows, kernel[0], stride[0])
    for p in range(start, stop):
        for strip in range(0, rows, STRIP_ROWS):
            for m in range(0, (width + step - 1) // step, size):
                n = columns - m
                high = width - step * m
                for u in range(strip, min(strip + STRIP_ROWS, rows)):
                    source = (p * rows + u) * columns + m
                    value = load(g, source, 0, n)
                    mark = load_counts(places, source, 0, n, g)
                    for i in range(kernel[0]):
                        at = (p * height + u * stride[0] + i) * width + step * m
                        before = value
                        for r in range(step):
                            hit = mark == (i * kernel[1] + r if r < kernel[1] else -1)
                            total = choose(hit, value, spread(0.0, g))
                            store_phase(gx, at, step, r, 0, high, before, total)
                            before = total
        for h in silent:
            gx[(p * height + h) * width : (p * height + h + 1) * width] = 0


@vector_jit
def max_pool_grad_range(
    start, stop, g, places, gx, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of the gradient of a maximum. g, places, gx: flat.

    Limit: for each cell of the window a comparison and an addition, both with an operand in memory,
    for a vector of columns. 3x3 with stride 2 on 64x64x28x28: 0.46 ms on two cores, bytes alone
    0.29. (Sums kept in memory, rows in the inner loop: 0.74. A list for each row: 0.49.)
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    step = stride[1]
    # g and the places in a frame that hits nothing, so that no load needs a mask.
    (above, left), (down, along) = blocks_of(hw, out_hw, kernel, stride, padding, dilation)
    pitch = left + along + size
    framed = np.zeros((above + down) * pitch + size, g.dtype)
    marks = np.full(framed.size, nowhere, mark_dtype(g))
    begins, backs, wanted = heard_from(kernel, stride, dilation, pitch)
    for p in range(start, stop):
        for v in range(0, columns, size):
            n = columns - v
            for u in range(rows):
                source = (p * rows + u) * columns + v
                at = (above + u) * pitch + left + v
                store_all(framed, at, load(g, source, 0, n))
                store(marks, at, 0, n, load_counts(places, source, 0, n, g))
        for strip in range(0, down, STRIP_ROWS):
            for m in range(padding[1] // step, along, size):
                low = padding[1] - step * m
                high = width + low
                for k in range(strip, min(strip + STRIP_ROWS, down)):
                    window = (above + k) * pitch + left + m
                    for i in range(stride[0]):
                        h = k * stride[0] + i - padding[0]
                        if h < 0 or h >= height:
                            continue
                        before = spread(0.0, g)
                        for r in range(step):
                            total = spread(0.0, g)
                            cell = np.uint64(i * step + r)  # unsigned: no test for negative ones
                            for e in range(begins[cell], begins[cell + np.uint64(1)]):
                                at = window - backs[np.uint64(e)]
                                hit = load_marks(marks, at, g) == wanted[np.uint64(e)]
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
    gx = empty((batch, channels, *hw), g.dtype)
    if gx.size:
        arrays = (flat(g), flat(places), gx.reshape(-1))
        hw, out_hw = pair(hw), (rows, columns)
        kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)
        overlap = -(-kernel[0] // stride[0]) * -(-kernel[1] // stride[1])
        least = grain(batch * channels, hw[0] * (hw[1] * overlap + ROW_CELLS))
        if overlap == 1 and not hangs_over(hw, out_hw, kernel, stride, padding, dilation) and (
            dilation == (1, 1)
        ):
            parallel(max_pool_grad_apart_range, batch * channels, *arrays, hw, out_hw, kernel,
                     stride, grain=least)
        else:
            parallel(max_pool_grad_range, batch * channels, *arrays, hw, out_hw, kernel, stride,
                     pair(padding), dilation, nowhere_of(places), grain=least)
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
    y = empty(places.shape, x.dtype)
    if y.size:
        rule = (pair(kernel), pair(stride), pair(padding), pair(dilation))
        parallel(max_pool_pick_range, batch * channels, flat(x), flat(places), y.reshape(-1),
                 x.shape[2:], (rows, columns), *rule, nowhere_of(places),
                 grain=grain(batch * channels, 4 * rows * columns))
    return y
