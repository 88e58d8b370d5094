"""The maximum over windows of an image, and its gradients by the place where it was found.

A maximum remembers *where* it was found: its place in the window, i * KW + j, in one byte (two
for windows of 255 cells and more). So its gradient only sends numbers back to those places
(`max_pool2d_grad`), and the gradient of that picks numbers up from there (`max_pool2d_pick`).

Each kernel walks planes: one image of one channel, H x W numbers that fit a cache. A window starts
at u * stride - padding and takes every dilation-th cell; cells outside of the image are left out.
Gradients gather rather than scatter: each number of gx is written once, its sum has a fixed order,
and nothing is filled with zeros first.

Not here: rows of windows as vectors (windows.py), torch's indices (indices.py), checking
shapes and choosing output sizes, ceil_mode included (`ops/pool.py`).
"""

from __future__ import annotations

import functools

import numpy as np

from ...memory import empty
from ..jit import jit
from ..simd.vector import (
    choose, evens, lanes, largest, load, load_all, load_counts, load_marks, mark_dtype, odds,
    spread, store, store_all, store_pairs, vector_jit,
)
from ..parallel import parallel
from .windows import (
    ROW_CELLS, STRIP_ROWS, Pair, blocks_of, flat, frame_plane, frame_size, grain, hangs_over,
    heard_from, load_cells, pair, rows_of_strip, silent_rows, store_phase,
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
    NaN.)
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
def _larger(best, place, value, here, ceiling, like):
    """The larger of best (found at place) and value (found here), and its place.

    The first of equals stays, and NaN counts as infinity, which is what `ceiling` holds: as an
    argument of the kernel, since LLVM makes two instructions of a minimum with a known infinity.
    """
    value = choose(value < ceiling, value, ceiling)
    more = value > best
    return choose(more, value, best), choose(more, spread(here, like), place)


@functools.partial(vector_jit, inline=True)
def _maxima_along(
    image, at, pitch, height, n, kernel, stride, dilation, begin, infinity, tops, marks
):
    """The maxima along rows: tops[h], of the n windows side by side that begin at at + h * pitch.

    marks[h]: the cell j of each where it was found; `begin` where all are -inf. Rows that lie
    between two windows are not left out: with that branch Numba counts references in each plane,
    and two threads took as long as one.
    """
    size = lanes(image)
    ceiling = spread(infinity, image)
    # Two cells of each window out of the same two vectors.
    paired = kernel[1] // 2 if stride[1] == 2 and dilation[1] == 1 else 0
    for h in range(height):
        cell = at + h * pitch
        best = spread(-np.inf, image)
        place = begin
        for j in range(0, 2 * paired, 2):
            low = load(image, cell + j, 0, 2 * n)
            high = load(image, cell + j + size, 0, 2 * n - size)
            best, place = _larger(best, place, evens(low, high), j, ceiling, image)
            best, place = _larger(best, place, odds(low, high), j + 1, ceiling, image)
        for j in range(2 * paired, kernel[1]):
            value = load_cells(image, cell + j * dilation[1], stride[1], n)
            best, place = _larger(best, place, value, j, ceiling, image)
        store_all(tops, h * size, best)
        store_all(marks, h * size, place)


@functools.partial(vector_jit, inline=True)
def _max_of_plane(
    image, base, pitch, y, places, out, out_hw, kernel, stride, dilation, below, across, nowhere,
    relu, infinity, tops, marks
):
    """One plane, whose cell (h, w) is image[base + h * pitch + w]; y and places begin at `out`.

    First along the rows of a strip, then down the columns of what was found (tops, marks): windows
    that overlap share their rows. below, across: the first place of each row and column of windows
    that lies on the image.
    """
    rows, columns = out_hw
    size = lanes(image)
    summit = spread(-np.inf, image)
    for strip in range(0, rows, STRIP_ROWS):
        end = min(strip + STRIP_ROWS, rows)
        height = rows_of_strip(end - strip, kernel[0], stride[0], dilation[0])
        for v in range(0, columns, size):
            n = min(size, columns - v)
            _maxima_along(
                image, base + strip * stride[0] * pitch + v * stride[1], pitch, height, n,
                kernel, stride, dilation, load_marks(across, v, image), infinity, tops, marks,
            )
            for u in range(strip, end):
                at = (u - strip) * stride[0] * size
                best = load_all(tops, at)
                place = load_marks(marks, at, image) + spread(below[np.uint64(u)], image)
                for i in range(1, kernel[0]):
                    at += dilation[0] * size
                    value = load_all(tops, at)
                    more = value > best
                    there = load_marks(marks, at, image) + spread(i * kernel[1], image)
                    best, place = choose(more, value, best), choose(more, there, place)
                summit = choose(best > summit, best, summit)
                if relu:
                    best, place = nothing_below_zero(best, place, nowhere, image)
                store(y, out + u * columns + v, 0, n, best)
                store(places, out + u * columns + v, 0, n, place)
    if largest(summit) == np.inf:
        _find_nan(image, base, pitch, y, places, out, out_hw, kernel, stride, dilation)


@jit(inline=True)
def _find_nan(image, base, pitch, y, places, out, out_hw, kernel, stride, dilation):
    """Looks again where a maximum is infinite: if there is NaN in the window, the last one wins."""
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
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, hangs, nowhere, relu,
    infinity
):
    """Planes start .. stop - 1 of a maximum; x, y, places: flat (P * H * W), (P * OH * OW) twice.

    hangs: whether windows hang over; then a plane gets -inf all around, which is never greater than
    anything, so that it is never taken. infinity: as _larger says.

    The usual windows are constants in copies of their own: their loops vanish, and with them the
    jumps that the processor guesses wrong. ns a plane of 28x28 on one core, in the second cache:
    3x3 with stride 2 235 (all nine cells of each window: 300), 2x2 165 (178).
    Limit: instructions, some 16 for a row of windows and 7 for a row of the window down; 2x2, which
    shares no rows: bytes.
    """
    rows, columns = out_hw
    size = lanes(x)
    reach = rows_of_strip(min(STRIP_ROWS, rows), kernel[0], stride[0], dilation[0])
    tops = np.empty(reach * size, x.dtype)
    marks = np.empty(reach * size, mark_dtype(x))
    down = _first_inside(hw[0], rows, kernel[0], stride[0], padding[0], dilation[0])
    along = _first_inside(hw[1], columns, kernel[1], stride[1], padding[1], dilation[1])
    blind = False  # whether there are windows that see no image, dilated past a small one
    below, across = np.zeros(rows, np.int64), np.zeros(columns + size, marks.dtype)
    for u in range(rows):
        below[u] = down[u] * kernel[1]
        blind = blind or down[u] < 0
    for v in range(columns):
        across[v] = along[v]
        blind = blind or along[v] < 0
    pitch, image = hw[1], x
    if hangs:
        height, pitch = frame_size(hw, out_hw, kernel, stride, padding, dilation)
        image = np.full(height * pitch, -np.inf, x.dtype)
    for p in range(start, stop):
        base, out = p * hw[0] * hw[1], p * rows * columns
        if hangs:
            frame_plane(image, pitch, padding, x, base, hw)
            base = 0
        if kernel == (3, 3) and stride == (2, 2) and dilation == (1, 1):
            _max_of_plane(image, base, pitch, y, places, out, out_hw, (3, 3), (2, 2), (1, 1),
                          below, across, nowhere, relu, infinity, tops, marks)
        elif kernel == (2, 2) and stride == (2, 2) and dilation == (1, 1):
            _max_of_plane(image, base, pitch, y, places, out, out_hw, (2, 2), (2, 2), (1, 1),
                          below, across, nowhere, relu, infinity, tops, marks)
        else:
            _max_of_plane(image, base, pitch, y, places, out, out_hw, kernel, stride, dilation,
                          below, across, nowhere, relu, infinity, tops, marks)
        if blind:
            for u in range(rows):
                for v in range(columns):
                    if down[u] < 0 or along[v] < 0:
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
        hangs = hangs_over(hw, out_hw, kernel, stride, padding, dilation)
        parallel(max_pool_range, batch * channels, *arrays, hw, out_hw, kernel, stride,
                 pair(padding), dilation, hangs, nowhere_of(places), bool(relu), np.inf,
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


@functools.partial(vector_jit, inline=True)
def _windows_at(g, places, row, m, columns):
    """Of windows m, m + 1, ... of a row what arrives there and their places; of m - 1, m, ... too.

    `row` is where the row begins in g and places. What is beside the row is 0, at place 0.
    """
    at = row + m
    n = columns - m
    first = 1 if m == 0 else 0
    return (
        load(g, at, 0, n),
        load_counts(places, at, 0, n, g),
        load(g, at - 1, first, n + 1),
        load_counts(places, at - 1, first, n + 1, g),
    )


@functools.partial(vector_jit, inline=True)
def _heard(even, odd, windows, place):
    """even, odd: plus what their cells hear from these windows, which begin at `place` in the row.

    An even column is cell 0 of one window, and before that cell 2 of the last; an odd one cell 1.
    """
    here, mark, before, mark_before = windows
    even = choose(mark_before == place + 2, even + before, even)
    even = choose(mark == place, even + here, even)
    odd = choose(mark == place + 1, odd + here, odd)
    return even, odd


@vector_jit
def max_pool_grad_three_range(start, stop, g, places, gx, hw, out_hw, padding):
    """Planes start .. stop - 1 of the gradient of a maximum over 3 x 3 cells, windows 2 apart.

    g, places, gx: flat. Two rows of the image at a time: the even one hears from the row of windows
    that begins there and from the one before, still in registers; the odd one from the former.

    Limit: bytes: 190 ns a plane of 28x28 on one core, a loop that only writes gx 145 (135 in the
    second cache; with the lists of `max_pool_grad_range` 330).
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    zero = spread(0.0, g)
    silent = (zero, spread(-1, g), zero, spread(-1, g))
    along = (width + padding[1] + 1) // 2
    down = (height + padding[0] + 1) // 2
    for p in range(start, stop):
        for strip in range(0, down, STRIP_ROWS):
            for m in range(padding[1] // 2, along, size):
                low = padding[1] - 2 * m
                high = width + low
                upper = silent
                if 0 < strip <= rows:
                    upper = _windows_at(g, places, (p * rows + strip - 1) * columns, m, columns)
                for k in range(strip, min(strip + STRIP_ROWS, down)):
                    lower = silent
                    if k < rows:
                        lower = _windows_at(g, places, (p * rows + k) * columns, m, columns)
                    h = 2 * k - padding[0]
                    at = (p * height + h) * width - low
                    if h >= 0:
                        even, odd = _heard(zero, zero, upper, 6)
                        even, odd = _heard(even, odd, lower, 0)
                        store_pairs(gx, at, low, high, even, odd)
                    if 0 <= h + 1 < height:
                        even, odd = _heard(zero, zero, lower, 3)
                        store_pairs(gx, at + width, low, high, even, odd)
                    upper = lower


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
        if kernel == (3, 3) and stride == (2, 2) and dilation == (1, 1):
            parallel(max_pool_grad_three_range, batch * channels, *arrays, hw, out_hw,
                     pair(padding), grain=least)
        elif overlap == 1 and not hangs_over(hw, out_hw, kernel, stride, padding, dilation) and (
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
