"""The cells of windows, loaded and stored in vectors: what the maximum and the average share.

Windows of a row start `stride` apart. So cell j of all windows of a row is a vector as it lies in
memory with stride 1, and every other number of two vectors with stride 2 (`load_cells`). The other
way round, the columns of an image come in phases: column sw * m + r - pw hears from window m - q
through cell j = r + sw * q, so the gradients of all columns of phase r are one vector, and with two
phases the vectors are stored as pairs (`store_phase`). Rows are alike; `heard_from` lists both.

Loops run down a strip of rows one vector wide: what a mask lets through is the same for all rows,
and LLVM computes it before the loop. With the rows outside it was computed anew for each row, half
of all instructions of 2x2 pooling. A strip is STRIP_ROWS high, so that the rows beside it, which
share its cache lines, are still in the first-level cache when their turn comes. For the same reason
images get a frame where a window hangs over: a loop over cells of which some are left out has
another length in each row, and took 10 % longer.

Not here: how many windows there are (ops/windows.py), what is done with the cells (maximum.py,
average.py), the words of vectors (simd/vector.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import Kernel, jit, ready
from ..simd.vector import (
    lanes, load, load_apart, load_even, store, store_apart, store_pairs, vector_jit,
)
from ..parallel import one_each, parallel

Pair = tuple[int, int]

STRIP_ROWS = 16



def grain(planes: int, cells: int) -> int:
    """The grain of `parallel` over so many planes, when a plane costs `cells` numbers.

    One chunk a thread: in the gradient each finds its part in its own cache (8 x 64 x 28 x 28,
    forward and backward: 190 us, in eight chunks 206).
    """
    return one_each(planes, max(1, tuning.POOL_GRAIN // max(cells, 1)))


class Plan(NamedTuple):
    """How planes are worked off: their number, what one costs, the shape of the result, what the
    kernel is told after the arrays."""

    planes: int
    cells: int
    shape: tuple[int, ...]
    geometry: tuple


def over_planes(kernel: Kernel) -> Callable[..., np.ndarray]:
    """A kernel over planes as a way: run(plan, *arrays) makes the result, in the first's dtype."""
    def run(plan: Plan, *arrays: np.ndarray) -> np.ndarray:
        out = empty(plan.shape, arrays[0].dtype)
        if out.size:
            parallel(kernel, plan.planes, *map(flat, arrays), out.reshape(-1), *plan.geometry,
                     grain=grain(plan.planes, plan.cells))  # fmt: skip
        return out
    return run


def flat(x: np.ndarray) -> np.ndarray:
    """All numbers in one row, ready for a kernel."""
    return ready(x).reshape(-1)


def pair(options: Pair) -> Pair:
    """Python's integers, whatever integers the caller had: another type is another compilation."""
    return int(options[0]), int(options[1])


@functools.partial(vector_jit, inline=True)
def load_cells(x, at, step, n):
    """x[at + step * lane] in lanes 0 .. n - 1: one cell of n windows side by side."""
    if step == 1:
        value = load(x, at, 0, n)
    elif step == 2:
        value = load_even(x, at, n)
    else:
        value = load_apart(x, at, step, n)
    return value


@jit(inline=True)
def rows_of_strip(windows, kernel, stride, dilation):
    """How many rows of an image some rows of windows reach over."""
    return (windows - 1) * stride + (kernel - 1) * dilation + 1


@jit
def frame_size(hw, out_hw, kernel, stride, padding, dilation):
    """Rows and columns of an image with so much around it that no window hangs over."""
    down = (out_hw[0] - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1
    along = (out_hw[1] - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1
    return max(padding[0] + hw[0], down), max(padding[1] + hw[1], along)


def hangs_over(
    hw: Pair, out_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> bool:
    """Whether some window has cells outside of the image."""
    return frame_size.plain(hw, out_hw, kernel, stride, padding, dilation) != hw


@functools.partial(vector_jit, inline=True)
def frame_plane(framed, pitch, padding, x, base, hw):
    """Copies the plane that begins at x[base] into a larger one with rows of `pitch` numbers.

    What lies around the image in `framed` stays as it is.
    """
    height, width = hw
    for w in range(0, width, lanes(x)):
        n = width - w
        for h in range(height):
            row = load(x, base + h * width + w, 0, n)
            store(framed, (padding[0] + h) * pitch + padding[1] + w, 0, n, row)


@jit
def silent_rows(height, rows, kernel, stride):
    """The rows of the image that no window holds, where windows share none and do not hang over."""
    silent = np.empty(height, np.int64)
    count = 0
    for h in range(height):
        if h % stride >= kernel or h // stride >= rows:
            silent[count] = h
            count += 1
    return silent[:count]


@functools.partial(vector_jit, inline=True)
def store_phase(x, at, step, r, low, high, before, value):
    """x[at + step * lane + r] = value[lane] where step * lane + r is one of low .. high - 1.

    With two phases `before` is phase 0, and is written together with phase 1.
    """
    if step == 1:
        store(x, at, low, high, value)
    elif step == 2:
        if r == 1:
            store_pairs(x, at, low, high, before, value)
    else:
        begin = (low - r + step - 1) // step if low > r else 0
        end = (high - r + step - 1) // step if high > r else 0
        store_apart(x, at + r, step, begin, end, value)


@jit
def heard_from(kernel, stride, dilation, pitch):
    """What the cells of a block of stride[0] x stride[1] cells of the image hear from, as lists.

    Cell (i, r) of block (k, m) is row sh * k + i - ph, column sw * m + r - pw; its list is the
    entries begins[i * sw + r] .. begins[i * sw + r + 1] - 1. Each is a window that holds it: the
    window lies `back` numbers before window (k, m) in a plane of g with rows of `pitch` numbers,
    and `place` is the cell's place in it. The windows come in the order of the outputs.
    """
    begins = np.zeros(stride[0] * stride[1] + 1, np.int64)
    back = np.empty(kernel[0] * kernel[1], np.int64)
    place = np.empty(kernel[0] * kernel[1], np.int64)
    count = 0
    for i in range(stride[0]):
        for r in range(stride[1]):
            for a in range(kernel[0] - 1, -1, -1):
                for b in range(kernel[1] - 1, -1, -1):
                    if a * dilation[0] % stride[0] == i and b * dilation[1] % stride[1] == r:
                        back[count] = a * dilation[0] // stride[0] * pitch
                        back[count] += b * dilation[1] // stride[1]
                        place[count] = a * kernel[1] + b
                        count += 1
            begins[i * stride[1] + r + 1] = count
    return begins, back, place


@jit
def blocks_of(hw, out_hw, kernel, stride, padding, dilation):
    """(above, left), how many windows back a cell may hear; (down, along), the blocks of an image.

    Or its windows, if there are more.
    """
    above = (kernel[0] - 1) * dilation[0] // stride[0]
    left = (kernel[1] - 1) * dilation[1] // stride[1]
    down = (hw[0] + padding[0] + stride[0] - 1) // stride[0]
    along = (hw[1] + padding[1] + stride[1] - 1) // stride[1]
    return (above, left), (max(down, out_hw[0]), max(along, out_hw[1]))
