"""The gradients of the maximum over windows: numbers sent to the places where maxima were found.

`max_pool2d_grad` sends them there; `max_pool2d_pick`, the gradient of that, picks numbers up there;
`max_pool2d_indices` names the places as torch does.

Gradients gather rather than scatter: each number of gx is written once, its sum has a fixed order,
and nothing is filled with zeros first.

Not here: the maximum itself (maximum.py), rows of windows as vectors (windows.py).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import jit
from ..simd.vector import (
    choose, lanes, load, load_all, load_counts, load_marks, mark_dtype, spread, store, store_all,
    store_pairs, vector_jit,
)
from ..parallel import parallel
from ..ways import Family, Way, long_sum
from .maximum import nowhere_of, place_dtype
from .cells import (
    STRIP_ROWS, Pair, Plan, blocks_of, flat, grain, hangs_over, heard_from, over_planes, pair,
    silent_rows, store_phase,
)


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


class Problem(NamedTuple):
    """The gradient of images of hw from g (N, C, OH, OW), as the arguments of `max_pool2d_grad`."""

    g: tuple[int, int, int, int]
    dtype: np.dtype
    hw: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def x(self) -> tuple[int, ...]:
        """The shape of the result."""
        return *self.g[:2], *self.hw

    @property
    def overlap(self) -> int:
        """How many windows may hold a cell."""
        return -(-self.kernel[0] // self.stride[0]) * -(-self.kernel[1] // self.stride[1])

    @property
    def hangs(self) -> bool:
        """Whether some window has cells outside of the image."""
        return hangs_over(self.hw, self.g[2:], self.kernel, self.stride, self.padding,
                          self.dilation)


def _plan(p: Problem, *geometry: Any) -> Plan:
    cells = p.hw[0] * (p.hw[1] * p.overlap + tuning.POOL_ROW)
    return Plan(p.g[0] * p.g[1], cells, p.x, (pair(p.hw), pair(p.g[2:]), *geometry))


def _not_three(p: Problem) -> str | None:
    usual = p.kernel == (3, 3) and p.stride == (2, 2) and p.dilation == (1, 1)
    return None if usual else "windows are not 3 x 3, 2 apart"


def _not_apart(p: Problem) -> str | None:
    if p.overlap > 1:
        return "windows overlap"
    if p.dilation != (1, 1):
        return "windows are dilated"
    return "windows hang over" if p.hangs else None


def _draw(rng: Any, *sizes: Any) -> tuple[np.ndarray, np.ndarray]:
    p = Problem(*sizes)
    places = np.zeros(p.g, place_dtype(p.kernel))
    for at in np.ndindex(p.g):                     # a place on the image, or none
        inside = [i * p.kernel[1] + j for i, j in np.ndindex(*p.kernel)
                  if all(0 <= u * s - pad + k * d < size for u, s, pad, k, d, size in zip(
                      at[2:], p.stride, p.padding, (i, j), p.dilation, p.hw))]
        places[at] = rng.choice([*inside, nowhere_of(places)])
    return rng.standard_normal(p.g).astype(p.dtype), places


MAX_POOL2D_GRAD = Family("max_pool2d_grad", Problem, [
    Way("three", over_planes(max_pool_grad_three_range), can=_not_three,
        plan=lambda p: _plan(p, pair(p.padding)),
        about="windows of 3 x 3, 2 apart: two rows of the image at a time"),
    Way("apart", over_planes(max_pool_grad_apart_range), can=_not_apart,
        plan=lambda p: _plan(p, pair(p.kernel), pair(p.stride)),
        about="windows that share no cell: each hears from one window or none"),
    Way("lists", over_planes(max_pool_grad_range),
        plan=lambda p: _plan(p, pair(p.kernel), pair(p.stride), pair(p.padding), pair(p.dilation),
                             _nowhere(p)),
        about="a list of the windows that hold a cell; anything"),
    Way("reference", lambda p, g, places: max_pool2d_grad_reference(g, places, *p[2:])),
], draw=_draw, flops=lambda p: float(np.prod(p.x)) * p.overlap,
    bytes=lambda p: float(np.prod(p.x) + np.prod(p.g)) * p.dtype.itemsize + float(np.prod(p.g)),
    ulps=lambda p: long_sum(p.kernel[0] * p.kernel[1]))  # fmt: skip


def _nowhere(p: Problem) -> int:
    return nowhere_of(np.empty(0, place_dtype(p.kernel)))


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
    way = MAX_POOL2D_GRAD.way(g.shape, g.dtype, hw, kernel, stride, padding, dilation)
    return way(g, places)


# --------------------------------------------------------------------------- its transpose


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


@jit
def max_pool_indices_range(
    start, stop, places, indices, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of `max_pool2d_indices`. Limit: bytes, 9 for an output (by NumPy it
    takes 1.8 times as long)."""
    width = hw[1]
    offsets = window_offsets(kernel, dilation, width)
    for p in range(start, stop):
        for u in range(out_hw[0]):
            row = (p * out_hw[0] + u) * out_hw[1]
            for v in range(out_hw[1]):
                place = places[row + v]
                at = (u * stride[0] - padding[0]) * width + v * stride[1] - padding[1]
                indices[row + v] = -1 if place == nowhere else at + offsets[place]


def max_pool2d_indices(
    places: np.ndarray, hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    """torch's indices: h * W + w of each maximum in its plane, int64, -1 for nowhere.

    places (..., OH, OW), hw (H, W) -> (..., OH, OW).
    """
    indices = np.empty(places.shape, np.int64)
    if indices.size:
        rows, columns = places.shape[-2:]
        planes = indices.size // (rows * columns)
        rule = (pair(kernel), pair(stride), pair(padding), pair(dilation))
        parallel(max_pool_indices_range, planes, flat(places), indices.reshape(-1), pair(hw),
                 (rows, columns), *rule, nowhere_of(places),
                 grain=grain(planes, 4 * rows * columns))  # fmt: skip
    return indices


# --------------------------------------------------------------------------- references


def _cells(hw, kernel, stride, padding, dilation, out_hw):
    """(place, (u, v) of the window, (h, w) of the cell) of all cells on the image, in the order of
    the windows."""
    for u, v, i, j in np.ndindex(*out_hw, *kernel):
        h = u * stride[0] - padding[0] + i * dilation[0]
        w = v * stride[1] - padding[1] + j * dilation[1]
        if 0 <= h < hw[0] and 0 <= w < hw[1]:
            yield i * kernel[1] + j, (u, v), (h, w)


def max_pool2d_grad_reference(g, places, hw, kernel, stride, padding, dilation):
    """What `max_pool2d_grad` computes: each cell of each window gets g if its place says so."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    for place, at, cell in _cells(hw, kernel, stride, padding, dilation, g.shape[2:]):
        hit = places[(..., *at)] == place
        gx[(..., *cell)] += np.where(hit, g[(..., *at)], 0)
    return gx


def max_pool2d_pick_reference(x, places, kernel, stride, padding, dilation):
    """What `max_pool2d_pick` computes: the number of the cell whose place it is."""
    y = np.zeros(places.shape, x.dtype)
    geometry = x.shape[2:], kernel, stride, padding, dilation, places.shape[2:]
    for place, at, cell in _cells(*geometry):
        hit = places[(..., *at)] == place
        y[(..., *at)] = np.where(hit, x[(..., *cell)], y[(..., *at)])
    return y
