"""The average over windows of an image, and its gradient, which is the transpose.

A window starts at u * stride - padding; cells outside of the image count as 0, or not at all. Sums
go along the rows first, in registers, then down.

Not here: rows of windows as vectors (windows.py), checking shapes and choosing output sizes,
ceil_mode included (`ops/pool.py`).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ..simd.vector import (
    evens, lanes, load, load_all, load_beside, odds, spread, store, store_all, store_pairs,
    vector_jit,
)
from ..ways import Family, Way, long_sum
from .cells import (
    STRIP_ROWS, Pair, Plan, blocks_of, frame_plane, frame_size, hangs_over, heard_from, load_cells,
    over_planes, pair, rows_of_strip, silent_rows, store_phase,
)


@functools.partial(vector_jit, inline=True)
def _average_of_plane(image, base, pitch, y, out, by, times, out_hw, kernel, stride, sums):
    """One plane, whose cell (h, w) is image[base + h * pitch + w]; y begins at `out`.

    First along the rows of a strip, then down the columns of these sums: windows that overlap share
    their rows. by: what the sum of each window is divided by; with `times`, multiplied.
    """
    rows, columns = out_hw
    size = lanes(image)
    step = stride[1]
    paired = kernel[1] // 2 if step == 2 else 0  # two cells out of the same two vectors
    for strip in range(0, rows, STRIP_ROWS):
        end = min(strip + STRIP_ROWS, rows)
        height = rows_of_strip(end - strip, kernel[0], stride[0], 1)
        for v in range(0, columns, size):
            n = min(size, columns - v)
            for h in range(height):
                cell = base + (strip * stride[0] + h) * pitch + v * step
                total = spread(0.0, image)
                for j in range(0, 2 * paired, 2):
                    low = load(image, cell + j, 0, 2 * n)
                    high = load(image, cell + j + size, 0, 2 * n - size)
                    total = total + evens(low, high) + odds(low, high)
                for j in range(2 * paired, kernel[1]):
                    total = total + load_cells(image, cell + j, step, n)
                store_all(sums, h * size, total)
            for u in range(strip, end):
                at = (u - strip) * stride[0] * size
                total = load_all(sums, at)
                for i in range(1, kernel[0]):
                    total = total + load_all(sums, at + i * size)
                share = load_beside(by, u * columns + v, n, 1.0)
                total = total * share if times else total / share
                store(y, out + u * columns + v, 0, n, total)


@vector_jit
def avg_pool_range(start, stop, x, y, by, times, hw, out_hw, kernel, stride, padding, hangs):
    """Planes start .. stop - 1 of an average. x, y: flat (P * H * W), (P * OH * OW); by (OH * OW).

    hangs: whether windows hang over; then planes get 0 all around. The usual windows are constants
    in copies of their own, as in `max_pool_range`.

    Limit: bytes. ns a plane of 28x28 on one core, through memory (in the second cache): 2x2 with
    stride 2 162 (106), 3x3 with stride 2 185 (142), where a loop that only reads x takes 135 (51);
    all nine cells of each window took 215 (190), of 3x3 with stride 1 1750, now 600.
    """
    reach = rows_of_strip(min(STRIP_ROWS, out_hw[0]), kernel[0], stride[0], 1)
    sums = np.empty(reach * lanes(x), x.dtype)
    pitch, image = hw[1], x
    if hangs:
        height, pitch = frame_size(hw, out_hw, kernel, stride, padding, (1, 1))
        image = np.zeros(height * pitch, x.dtype)
    for p in range(start, stop):
        base, out = p * hw[0] * hw[1], p * by.size
        if hangs:
            frame_plane(image, pitch, padding, x, base, hw)
            base = 0
        if kernel == (3, 3) and stride == (2, 2):
            _average_of_plane(image, base, pitch, y, out, by, times, out_hw, (3, 3), (2, 2), sums)
        elif kernel == (2, 2) and stride == (2, 2):
            _average_of_plane(image, base, pitch, y, out, by, times, out_hw, (2, 2), (2, 2), sums)
        else:
            _average_of_plane(image, base, pitch, y, out, by, times, out_hw, kernel, stride, sums)


@vector_jit
def avg_pool_grad_apart_range(start, stop, g, gx, by, times, hw, out_hw, kernel, stride):
    """Planes start .. stop - 1 of the gradient of an average, where no two windows share a cell.

    And none hangs over. g, gx: flat; by: as above. Each cell hears from one window or from none.

    Limit: bytes. 2x2 on 64x64x28x28: 0.31 ms on two cores, a loop that only reads g and writes gx:
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
                    value = load(g, (p * rows + u) * columns + m, 0, n)
                    share = load_beside(by, u * columns + m, n, 1.0)
                    value = value * share if times else value / share
                    for i in range(kernel[0]):
                        at = (p * height + u * stride[0] + i) * width + step * m
                        before = value
                        for r in range(step):
                            total = value if r < kernel[1] else spread(0.0, g)
                            store_phase(gx, at, step, r, 0, high, before, total)
                            before = total
        for h in silent:
            gx[(p * height + h) * width : (p * height + h + 1) * width] = 0


@functools.partial(vector_jit, inline=True)
def _frame_shares(framed, begin, pitch, g, source, by, times, out_hw):
    """Copies what each window of a plane gives to a cell; its row u begins at begin + u * pitch."""
    rows, columns = out_hw
    for v in range(0, columns, lanes(g)):
        n = columns - v
        for u in range(rows):
            value = load(g, source + u * columns + v, 0, n)
            share = load_beside(by, u * columns + v, n, 1.0)
            value = value * share if times else value / share
            store_all(framed, begin + u * pitch + v, value)


@vector_jit
def avg_pool_grad_three_range(start, stop, g, gx, by, times, hw, out_hw, padding):
    """Planes start .. stop - 1 of the gradient of an average over 3 x 3 cells, windows 2 apart.

    g, gx: flat; by: as above. First along the rows: an even column hears from two windows of a row,
    an odd one from one. Then down: an even row of the image hears from two rows of windows, of
    which the upper one's sums are still in registers.

    Limit: bytes: 185 ns a plane of 28x28 on one core, a loop that only writes gx 145 (135 in the
    second cache; with the lists of `avg_pool_grad_range` 245).
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    down, along = (height + padding[0] + 1) // 2, (width + padding[1] + 1) // 2
    pitch = 1 + max(along, columns) + size
    framed = np.zeros((1 + max(down, rows)) * pitch + size, g.dtype)
    for p in range(start, stop):
        _frame_shares(framed, pitch + 1, pitch, g, p * rows * columns, by, times, out_hw)
        for strip in range(0, down, STRIP_ROWS):
            for m in range(padding[1] // 2, along, size):
                low = padding[1] - 2 * m
                high = width + low
                above = load_all(framed, strip * pitch + 1 + m)
                above_twice = load_all(framed, strip * pitch + m) + above
                for k in range(strip, min(strip + STRIP_ROWS, down)):
                    here = load_all(framed, (k + 1) * pitch + 1 + m)
                    twice = load_all(framed, (k + 1) * pitch + m) + here
                    h = 2 * k - padding[0]
                    at = (p * height + h) * width - low
                    if h >= 0:
                        store_pairs(gx, at, low, high, above_twice + twice, above + here)
                    if 0 <= h + 1 < height:
                        store_pairs(gx, at + width, low, high, twice, here)
                    above, above_twice = here, twice


@vector_jit
def avg_pool_grad_range(start, stop, g, gx, by, times, hw, out_hw, kernel, stride, padding):
    """Planes start .. stop - 1 of the gradient of an average. g, gx: flat; by: as above.

    Limit: for each cell of the window an addition, with an operand in memory, for a vector of
    columns. 3x3 with stride 2 on 64x64x28x28: 0.38 ms on two cores, bytes alone 0.29.
    """
    height, width = hw
    rows, columns = out_hw
    size = lanes(g)
    step = stride[1]
    # The shares of g with zeros around them, so that no load needs a mask.
    (above, left), (down, along) = blocks_of(hw, out_hw, kernel, stride, padding, (1, 1))
    pitch = left + along + size
    framed = np.zeros((above + down) * pitch + size, g.dtype)
    begins, backs, _ = heard_from(kernel, stride, (1, 1), pitch)
    # Windows that hold a cell, added one by one; as many such sums are added at most.
    block = max(64, int(np.sqrt(np.float64(backs.size))))
    for p in range(start, stop):
        _frame_shares(framed, above * pitch + left, pitch, g, p * rows * columns, by, times, out_hw)
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
                            end = begins[cell + np.uint64(1)]
                            for far in range(begins[cell], end, block):
                                part = spread(0.0, g)
                                for e in range(far, min(far + block, end)):
                                    at = window - backs[np.uint64(e)]
                                    part = part + load_all(framed, at)
                                total = total + part
                            at = (p * height + h) * width - low
                            store_phase(gx, at, step, r, low, high, before, total)
                            before = total


def _counts(size: int, kernel: int, stride: int, padding: int, out: int) -> list[np.ndarray]:
    """For each window of an axis: its cells with padding, and those on the image.

    torch's rule: the window is first cut at size + padding (it hangs over only in ceil_mode), which
    gives the count; then at the image.
    """
    begin = np.arange(out) * stride - padding
    end = np.minimum(begin + kernel, size + padding)
    return [end - begin, np.minimum(end, size) - np.maximum(begin, 0)]


@functools.lru_cache(maxsize=64)
def _divisors(
    dtype: np.dtype,
    hw: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    out_hw: Pair,
    include_pad: bool,
    override: int,
) -> tuple[np.ndarray, bool]:
    """What the sum of each window is divided by, (OH * OW,); or what it is multiplied with.

    A factor where that is exact (powers of two): a division is several times slower. Kept from call
    to call: it took longer than the average of a small image.
    """
    if override:
        by = np.full(out_hw, override, dtype)
    elif include_pad and all(
        (out - 1) * s - p + k <= n + p
        for n, k, s, p, out in zip(hw, kernel, stride, padding, out_hw)
    ):
        by = np.full(out_hw, kernel[0] * kernel[1], dtype)
    else:
        which = 0 if include_pad else 1
        down, along = (
            _counts(*axis)[which] for axis in zip(hw, kernel, stride, padding, out_hw)
        )
        by = np.multiply.outer(down, along).astype(dtype)
    by = by.reshape(-1)
    times = bool((np.frexp(by)[0] == 0.5).all())
    return (1 / by if times else by), times


Shape = tuple[int, int, int, int]


class Problem(NamedTuple):
    """Windows on images of these shapes; source: x, or g if it is the gradient."""

    x: Shape
    y: Shape
    dtype: np.dtype
    kernel: Pair
    stride: Pair
    padding: Pair
    include_pad: bool
    override: int

    @property
    def overlap(self) -> int:
        """How many windows may hold a cell."""
        return -(-self.kernel[0] // self.stride[0]) * -(-self.kernel[1] // self.stride[1])

    @property
    def hangs(self) -> bool:
        """Whether some window has cells outside of the image."""
        return hangs_over(self.x[2:], self.y[2:], self.kernel, self.stride, self.padding, (1, 1))


def _plan(p: Problem, shape: tuple[int, ...], cells: int, *geometry: Any) -> Plan:
    hw, out_hw = pair(p.x[2:]), pair(p.y[2:])
    by = _divisors(p.dtype, hw, pair(p.kernel), pair(p.stride), pair(p.padding), out_hw,
                   p.include_pad, p.override)
    return Plan(p.x[0] * p.x[1], cells, shape, (*by, hw, out_hw, *geometry))


def _plan_forward(p: Problem) -> Plan:
    cells = p.x[2] * p.x[3] * -(-p.kernel[0] // p.stride[0]) + p.y[2] * p.y[3] * p.kernel[1]
    return _plan(p, p.y, cells + tuning.POOL_ROW * p.y[2], pair(p.kernel), pair(p.stride),
                 pair(p.padding), p.hangs)


def _plan_gradient(p: Problem, *geometry: Any) -> Plan:
    cells = p.x[2] * p.x[3] * -(-p.kernel[1] // p.stride[1]) + 2 * p.y[2] * p.y[3]
    return _plan(p, p.x, cells + tuning.POOL_ROW * p.x[2], *geometry)


def _bytes(p: Problem) -> float:
    return float(np.prod(p.x) + np.prod(p.y)) * p.dtype.itemsize


AVG_POOL2D = Family("avg_pool2d", Problem, [
    Way("planes", over_planes(avg_pool_range), plan=_plan_forward,
        about="vectors of windows side by side: along rows, then down the columns"),
    Way("reference", lambda p, x: avg_pool2d_reference(
        x, p.kernel, p.stride, p.padding, p.y[2:], p.include_pad, p.override)),
], draw=lambda rng, *sizes: (rng.standard_normal(sizes[0]).astype(sizes[2]),),
    flops=lambda p: float(np.prod(p.y)) * (p.kernel[0] * p.kernel[1] + 1), bytes=_bytes,
    ulps=lambda p: long_sum(p.kernel[0] * p.kernel[1]))  # fmt: skip


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
    way = AVG_POOL2D.way(x.shape, (*x.shape[:2], *out_hw), x.dtype, kernel, stride, padding,
                         count_include_pad, divisor_override)
    return way(x)


def _not_three(p: Problem) -> str | None:
    usual = p.kernel == (3, 3) and p.stride == (2, 2)
    return None if usual else "windows are not 3 x 3, 2 apart"


def _not_apart(p: Problem) -> str | None:
    if p.kernel[0] > p.stride[0] or p.kernel[1] > p.stride[1]:
        return "windows overlap"
    return "windows hang over" if p.hangs else None


AVG_POOL2D_GRAD = Family("avg_pool2d_grad", Problem, [
    Way("three", over_planes(avg_pool_grad_three_range), can=_not_three,
        plan=lambda p: _plan_gradient(p, pair(p.padding)),
        about="windows of 3 x 3, 2 apart: two rows of the image at a time"),
    Way("apart", over_planes(avg_pool_grad_apart_range), can=_not_apart,
        plan=lambda p: _plan_gradient(p, pair(p.kernel), pair(p.stride)),
        about="windows that share no cell: each hears from one window or none"),
    Way("lists", over_planes(avg_pool_grad_range),
        plan=lambda p: _plan_gradient(p, pair(p.kernel), pair(p.stride), pair(p.padding)),
        about="a list of the windows that hold a cell; anything"),
    Way("reference", lambda p, g: avg_pool2d_grad_reference(
        g, p.x[2:], p.kernel, p.stride, p.padding, p.include_pad, p.override)),
], draw=lambda rng, *sizes: (rng.standard_normal(sizes[1]).astype(sizes[2]),),
    flops=lambda p: float(np.prod(p.x)) * p.overlap, bytes=_bytes,
    ulps=lambda p: long_sum(p.kernel[0] * p.kernel[1]))  # fmt: skip


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
    way = AVG_POOL2D_GRAD.way((*g.shape[:2], *hw), g.shape, g.dtype, kernel, stride, padding,
                              count_include_pad, divisor_override)
    return way(g)


# --------------------------------------------------------------------------- references


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
    """What `avg_pool2d` computes: the sum of a slice."""
    y = np.empty((*x.shape[:2], *out_hw), x.dtype)
    rule = (count_include_pad, divisor_override)
    for (u, v), (hs, ws), by in _windows(x.shape[2:], kernel, stride, padding, out_hw, *rule):
        y[:, :, u, v] = x[:, :, hs, ws].sum((2, 3)) / by
    return y


def avg_pool2d_grad_reference(
    g, hw, kernel, stride, padding, count_include_pad=True, divisor_override=0
):
    """What `avg_pool2d_grad` computes: each window shares out its number."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    rule = (count_include_pad, divisor_override)
    for (u, v), (hs, ws), by in _windows(hw, kernel, stride, padding, g.shape[2:], *rule):
        gx[:, :, hs, ws] += (g[:, :, u, v] / by)[:, :, None, None]
    return gx
