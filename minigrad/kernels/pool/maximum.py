"""The maximum over windows of an image, and the place where it was found.

A maximum remembers *where* it was found: its place in the window, i * KW + j, in one byte (two
for windows of 255 cells and more). So its gradient only sends numbers back to those places, and the
gradient of that picks numbers up from there (maximum_grad.py).

The kernel walks planes: one image of one channel, H x W numbers that fit a cache. A window starts
at u * stride - padding and takes every dilation-th cell; cells outside of the image are left out.

Not here: rows of windows as vectors (windows.py), the gradients (maximum_grad.py), checking shapes
and choosing output sizes, ceil_mode included (`ops/pool.py`).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import Kernel, jit
from ..simd.vector import (
    choose, evens, lanes, largest, load, load_all, load_marks, mark_dtype, odds, spread, store,
    store_all, vector_jit,
)
from ..parallel import parallel
from ..ways import Family, Way
from .cells import (
    STRIP_ROWS, Pair, flat, frame_plane, frame_size, grain, hangs_over, load_cells, pair,
    rows_of_strip,
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


@functools.partial(vector_jit, inline=True)
def _max_of_planes(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, hangs, nowhere, relu,
    infinity
):
    """Planes start .. stop - 1; see max_pool_range."""
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
        _max_of_plane(image, base, pitch, y, places, out, out_hw, kernel, stride, dilation,
                      below, across, nowhere, relu, infinity, tops, marks)
        if blind:
            for u in range(rows):
                for v in range(columns):
                    if down[u] < 0 or along[v] < 0:
                        places[out + u * columns + v] = nowhere


@vector_jit
def max_pool_range(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, hangs, nowhere, relu,
    infinity
):
    """Planes start .. stop - 1 of a maximum; x, y, places: flat (P * H * W), (P * OH * OW) twice.

    hangs: whether windows hang over; then a plane gets -inf all around, which is never greater than
    anything, so that it is never taken. infinity: as _larger says.

    The usual windows are constants in kernels of their own (below): their loops vanish, and with
    them the jumps that the processor guesses wrong. ns a plane of 28x28 on one core, in the second
    cache: 3x3 with stride 2 235 (all nine cells of each window: 300), 2x2 165 (178).
    Limit: instructions, some 16 for a row of windows and 7 for a row of the window down; 2x2, which
    shares no rows: bytes.
    """
    _max_of_planes(start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, hangs,
                   nowhere, relu, infinity)


@vector_jit
def max_pool_two_range(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, hangs, nowhere, relu,
    infinity
):
    """max_pool_range for windows of 2 x 2, 2 apart."""
    _max_of_planes(start, stop, x, y, places, hw, out_hw, (2, 2), (2, 2), padding, (1, 1), hangs,
                   nowhere, relu, infinity)


@vector_jit
def max_pool_three_range(
    start, stop, x, y, places, hw, out_hw, kernel, stride, padding, dilation, hangs, nowhere, relu,
    infinity
):
    """max_pool_range for windows of 3 x 3, 2 apart."""
    _max_of_planes(start, stop, x, y, places, hw, out_hw, (3, 3), (2, 2), padding, (1, 1), hangs,
                   nowhere, relu, infinity)


class Problem(NamedTuple):
    """Windows on images x (N, C, H, W), as the arguments of `max_pool2d_places`."""

    x: tuple[int, ...]
    dtype: np.dtype
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    out_hw: Pair
    relu: bool

    @property
    def y(self) -> tuple[int, ...]:
        """The shape of the result."""
        return *self.x[:2], *self.out_hw


_USUAL = {(2, 2): max_pool_two_range, (3, 3): max_pool_three_range}


def _plan_planes(p: Problem) -> tuple[Kernel, int, int, tuple]:
    """(the kernel, planes, what one costs, the arguments of the kernel after the arrays)."""
    height, width = p.x[2:]
    cells = max(height * width, p.out_hw[0] * p.out_hw[1] * p.kernel[0] * p.kernel[1])
    geometry = pair(p.out_hw), pair(p.kernel), pair(p.stride), pair(p.padding), pair(p.dilation)
    hangs = hangs_over((height, width), geometry[0], geometry[1], geometry[2], p.padding,
                       geometry[4])
    nowhere = _NOWHERE[place_dtype(p.kernel).char]
    usual = p.stride == (2, 2) and p.dilation == (1, 1)
    kernel = _USUAL.get(p.kernel, max_pool_range) if usual else max_pool_range
    return kernel, p.x[0] * p.x[1], cells + tuning.POOL_ROW * p.out_hw[0], (
        (height, width), *geometry, hangs, nowhere, bool(p.relu), np.inf)


def _by_planes(
    plan: tuple[Kernel, int, int, tuple], x: np.ndarray, y: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    kernel, planes, cells, geometry = plan
    if y.size:
        parallel(kernel, planes, flat(x), y.reshape(-1), places.reshape(-1), *geometry,
                 grain=grain(planes, cells))  # fmt: skip
    return y, places


def _by_reference(
    p: Problem, x: np.ndarray, y: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    y[:], places[:] = max_pool2d_places_reference(x, *p[2:])
    return y, places


def _draw(rng: Any, *sizes: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p = Problem(*sizes)
    x = rng.standard_normal(p.x).astype(p.dtype)
    return x, np.empty(p.y, p.dtype), np.empty(p.y, place_dtype(p.kernel))


MAX_POOL2D = Family("max_pool2d", Problem, [
    Way("planes", _by_planes, plan=_plan_planes,
        about="vectors of windows side by side: along rows, then down the columns"),
    Way("reference", _by_reference),
], draw=_draw, flops=lambda p: float(np.prod(p.y)) * p.kernel[0] * p.kernel[1],
    bytes=lambda p: float(np.prod(p.x) + np.prod(p.y)) * p.dtype.itemsize + float(np.prod(p.y)),
    ulps=lambda p: 0.0,                            # one of the numbers, as it is
    magnitude=lambda p, found, *arrays: (np.abs(found[0]), found[1]))  # fmt: skip


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
    run = MAX_POOL2D.way(x.shape, x.dtype, kernel, stride, padding, dilation, out_hw, relu)
    if out is None:
        shape = *x.shape[:2], *out_hw
        out = empty(shape, x.dtype), empty(shape, place_dtype(kernel))
    return run(x, *out)


# --------------------------------------------------------------------------- reference


def max_pool2d_places_reference(x, kernel, stride, padding, dilation, out_hw, relu=False):
    """What `max_pool2d_places` finds: cell by cell of the window, for all images at once."""
    y = np.full((*x.shape[:2], *out_hw), -np.inf, x.dtype)
    places = np.full(y.shape, nowhere_of(np.empty(0, place_dtype(kernel))), place_dtype(kernel))
    nowhere = nowhere_of(places)
    for u, v, i, j in np.ndindex(*out_hw, *kernel):
        h = u * stride[0] - padding[0] + i * dilation[0]
        w = v * stride[1] - padding[1] + j * dilation[1]
        if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
            value, best, place = x[:, :, h, w], y[:, :, u, v], places[:, :, u, v]
            wins = (value > best) | np.isnan(value) | (place == nowhere)
            best[wins], place[wins] = value[wins], i * kernel[1] + j
    if relu:
        dead = y <= 0
        y[dead], places[dead] = 0, nowhere
    return y, places
