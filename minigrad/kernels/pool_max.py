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
def _max_of_plane(
    image, base, pitch, y, places, out, out_hw, kernel, stride, dilation, initial, nowhere, relu
):
    """One plane, whose cell (h, w) is image[base + h * pitch + w]; y and places begin at `out`.

    initial: the place of each window's maximum while there is none: it stays where all cells are
    -inf.
    """
    rows, columns = out_hw
    size = lanes(image)
    step = stride[1]
    # Two cells of each window out of the same two vectors.
    paired = kernel[1] // 2 if step == 2 and dilation[1] == 1 else 0
    for strip in range(0, rows, STRIP_ROWS):
        for v in range(0, columns, size):
            n = min(size, columns - v)
            for u in range(strip, min(strip + STRIP_ROWS, rows)):
                best = spread(-np.inf, image)
                bound = best
                place = load_counts(initial, u * columns + v, 0, n, image)
                for i in range(kernel[0]):
                    at = base + (u * stride[0] + i * dilation[0]) * pitch + v * step
                    here = i * kernel[1]
                    for _ in range(paired):
                        low = load(image, at, 0, 2 * n)
                        high = load(image, at + size, 0, 2 * n - size)
                        best, place, bound = first_larger(
                            best, place, bound, evens(low, high), here, image
                        )
                        best, place, bound = first_larger(
                            best, place, bound, odds(low, high), here + 1, image
                        )
                        at += 2
                        here += 2
                    for _ in range(2 * paired, kernel[1]):
                        value = load_cells(image, at, step, n)
                        best, place, bound = first_larger(best, place, bound, value, here, image)
                        at += dilation[1]
                        here += 1
                if relu:
                    best, place = nothing_below_zero(best, place, nowhere, image)
                store(y, out + u * columns + v, 0, n, best)
                store(places, out + u * columns + v, 0, n, place)


@vector_jit
def max_pool_range(start, stop, x, y, places, hw, out_hw, kernel, stride, dilation, nowhere, relu):
    """Planes start .. stop - 1 of a maximum, where no window hangs over.

    x, y, places: flat (P * H * W), (P * OH * OW) twice.

    Limit: bytes where windows do not overlap: 2x2 on 64x64x28x28 (float32) took 0.32 ms on two
    cores, where a loop that only reads x and writes y took 0.29. Else five instructions a cell for
    a vector of windows, all on the two ports for vectors: 0.47 ms for 3x3 with stride 2.
    """
    initial = np.zeros(out_hw[0] * out_hw[1], places.dtype)
    for p in range(start, stop):
        _max_of_plane(x, p * hw[0] * hw[1], hw[1], y, places, p * initial.size, out_hw, kernel,
                      stride, dilation, initial, nowhere, relu)


@vector_jit
def max_pool_framed_range(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, nowhere, relu
):
    """`max_pool_range` for windows that may hang over: planes get -inf all around.

    That is never greater than anything, so it is never taken.
    """
    rows, columns = out_hw
    height, pitch = frame_size(hw, out_hw, kernel, stride, padding, dilation)
    framed = np.full(height * pitch, -np.inf, x.dtype)
    initial = np.full(rows * columns, nowhere, places.dtype)
    down = _first_inside(hw[0], rows, kernel[0], stride[0], padding[0], dilation[0])
    along = _first_inside(hw[1], columns, kernel[1], stride[1], padding[1], dilation[1])
    for u in range(rows):
        for v in range(columns):
            if down[u] >= 0 and along[v] >= 0:  # else dilated past a small image
                initial[u * columns + v] = down[u] * kernel[1] + along[v]
    for p in range(start, stop):
        frame_plane(framed, pitch, padding, x, p * hw[0] * hw[1], hw)
        _max_of_plane(framed, 0, pitch, y, places, p * initial.size, out_hw, kernel, stride,
                      dilation, initial, nowhere, relu)


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
        rest = (dilation, nowhere_of(places), bool(relu))
        if hangs_over(hw, out_hw, kernel, stride, padding, dilation):
            parallel(max_pool_framed_range, batch * channels, *arrays, hw, out_hw, kernel, stride,
                     pair(padding), *rest, grain=grain(batch * channels, cells))
        else:
            parallel(max_pool_range, batch * channels, *arrays, hw, out_hw, kernel, stride, *rest,
                     grain=grain(batch * channels, cells))
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
