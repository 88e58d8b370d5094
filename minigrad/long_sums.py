"""Sums of many numbers that keep their digits, whichever way they lie in memory.

NumPy adds in pairs along the last dimension of memory, but row after row along the others: a
million rows of 0.1 came out 1 % wrong in float32. Here long dimensions are added as a tree: some
rows one after the other, the sums of those in float64. A function of sizes and strides alone, on
one thread: the same bits every time.

NumPy only, for the engine calls it where it un-broadcasts, and kernels for their parts. Operations
call `kernels/rowwise/sums.py` (sum_along), which has threads for long rows and this for the rest,
and `add_at` below where repeated places add up. Not here: sums in a kernel's own loop.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from . import tuning

#: Numbers in a row, and rows, from which the order of adding matters.
MANY, ROWS = tuning.SUM_MANY, tuning.SUM_ROWS
_STEP = 16                                         # rows that are added one after the other
_WIDE = 512                                        # numbers that a row should have at least
_SHORT = 64                                        # numbers in a row, too few for a loop of NumPy


def few(x: ndarray) -> bool:
    """Whether NumPy's own sum of x keeps the digits, whichever dimensions are added up."""
    return x.size < MANY and (x.ndim < 2 or max(x.shape) < ROWS)


def total(x: ndarray, dims: Iterable[int]) -> ndarray:
    """The sum of x over these dimensions (counted from 0), without them. float16 adds in float32.

    (..., D, ...) -> (...). A relative error of about 2e-7 in float32, 1e-15 in float64, however
    many are added.
    """
    dims = set(dims)
    wide = np.float32 if x.dtype.char == "e" else None
    if few(x) or x.dtype.kind != "f":
        y = np.add.reduce(x, axis=tuple(dims), dtype=wide)
        return y if wide is None else y.astype(x.dtype)
    kept = [d for d in range(x.ndim) if d not in dims]
    dtype, shape, times = x.dtype, [x.shape[d] for d in kept], 1.0
    if not x.flags.c_contiguous:
        order = sorted(range(x.ndim), key=lambda d: -abs(x.strides[d]))      # as memory lies
        strides = x.strides
        for d in dims:
            if strides[d] == 0 and x.shape[d] > 1:  # one number repeated: what broadcasting gives
                times *= x.shape[d]
                x = x[(slice(None),) * d + (slice(1),)]
        x = x.transpose(order)
        dims = {order.index(d) for d in dims}
        place = [d for d in order if d in kept]
        back = [place.index(d) for d in kept]
        after = [x.shape[d] for d in range(x.ndim) if d not in dims]
    else:
        back, after = None, shape
    groups = _merged(x, dims)
    if groups and groups[-1][1] and groups[-1][0] < _SHORT and not x.flags.c_contiguous:
        x = np.ascontiguousarray(x)                # 2 numbers here and there: 7 times as fast
        groups = _merged(x, dims)
    y = x.reshape([n for n, _ in groups])          # never a copy
    summed = [d for d, (_, out) in enumerate(groups) if out]
    for d in reversed(summed):
        y = add_rows(y, d, wide)
    if not summed and times == 1.0:                # of one row: no view of it either
        y = y.copy()
    if times != 1.0:
        y = (y if wide is None else y.astype(wide)) * times
    y = y.astype(dtype, copy=False).reshape(after)
    return y if back is None else y.transpose(back)


def _merged(x: ndarray, dims: set[int]) -> list[tuple[int, bool]]:
    """[(size, whether it is summed)]: neighbours of one fate as one dimension, if they can be."""
    groups: list[tuple[int, bool]] = []
    step = 0                                       # from one entry of the last group to the next
    for d, n in enumerate(x.shape):
        if n == 1:
            continue
        if groups and groups[-1][1] == (d in dims) and step == n * x.strides[d]:
            groups[-1] = groups[-1][0] * n, groups[-1][1]
        else:
            groups.append((n, d in dims))
        step = x.strides[d]
    return groups


def add_rows(x: ndarray, d: int, dtype: type | None = None) -> ndarray:
    """The sum of x along dimension d, which is left out; many rows as a tree (then in float64).

    (..., N, ...) -> (..., ...). dtype: of the first sums.
    """
    n, last = x.shape[d], d == x.ndim - 1
    inner = math.prod(x.shape[d + 1:])
    if n < (MANY if last else ROWS) or not x.size:
        return np.add.reduce(x, axis=d, dtype=dtype)
    if last and (dtype is not None or abs(x.strides[d]) <= min(map(abs, x.strides), default=0)):
        return np.add.reduce(x, axis=d, dtype=dtype)             # in pairs
    before, end = x.shape[:d], x.shape[d + 1:]
    # Few numbers a row: as many rows side by side as make a row that vectors like.
    fold = max(1, _WIDE // inner)
    if fold > 1 and not x[(0,) * d].flags.c_contiguous:
        x = np.ascontiguousarray(x)
    step = _STEP if fold > 1 or x.dtype.char == "d" else 2 * _STEP
    lead = (slice(None),) * d
    whole = n // fold * fold
    rest = [x[(*lead, slice(whole, n))]]
    x = x[(*lead, slice(whole))].reshape((*before, whole // fold, fold, *end))
    shape = (*before, fold, *end)
    parts = []
    while x.shape[d] >= 2 * step:
        n = x.shape[d]
        whole = n // step * step
        if whole < n:
            parts.append(np.add.reduce(x[(*lead, slice(whole, n))], axis=d, dtype=np.float64))
        x = np.add.reduce(x[(*lead, slice(whole))].reshape((*before, -1, step, *shape[d:])),
                          axis=d + 1, dtype=dtype)
        dtype, step = None, _STEP
        if x.shape[d] >= 8 * _STEP:
            x = x.astype(np.float64, copy=False)
    y = np.add.reduce(x, axis=d).astype(np.float64, copy=False)  # (..., fold, ...)
    for part in parts:
        y += part
    if fold == 1:
        y = y.reshape((*before, *end))
    else:
        while fold % 2 == 0:
            fold //= 2
            y = y[(*lead, slice(fold))] + y[(*lead, slice(fold, 2 * fold))]
        y = np.add.reduce(y, axis=d)
    if rest[0].size:
        y += np.add.reduce(rest[0], axis=d, dtype=np.float64)
    return y


def sum_of(parts: Sequence[ndarray], few: int = 8) -> ndarray:
    """The sum of arrays of one shape and dtype, one after the other; of more than `few` in float64.
    """
    y = parts[0] if len(parts) <= few else parts[0].astype(np.float64)
    for part in parts[1:]:
        y = y + part
    return y.astype(parts[0].dtype, copy=False)


def add_at(out: ndarray, places: ndarray, values: ndarray) -> None:
    """out.flat[places] += values for an out of zeros; where a place comes again, values add up.

    Many are added in float64 (np.add.at adds in the dtype: a million times 0.1 in float32 is 1 %
    off). places (n,) from 0 on, values (n,).
    """
    n = places.size
    if out.dtype.kind != "f" or n < MANY:
        np.add.at(out.reshape(-1), places, values)
        return
    used: Any = slice(None)
    size = out.size
    if size > 4 * n:                               # most get nothing
        used, places = np.unique(places, return_inverse=True)
        size = len(used)
    # Where even float64 is to keep its digits, no chain is longer than it must be.
    pieces = max(1, min(n // 64, n // size)) if out.itemsize == 8 else 1
    if pieces > 1:
        places = places + np.arange(n) * pieces // n * size
    sums = np.bincount(places, values, pieces * size)
    out.reshape(-1)[used] = sums if pieces == 1 else total(sums.reshape(pieces, size), (0,))


def add_slices_at(out: ndarray, d: int, places: ndarray, values: ndarray) -> None:
    """out[:, ..., places] += values along dimension d, for an out of zeros; repeated places add up.

    out (..., D, ...), places (n,) from -D to D - 1, values (..., n, ...). Sorted, equal places are
    runs, which are added up at once: on whole rows np.add.at takes 10 times as long.
    """
    places = np.where(places < 0, places + out.shape[d], places)
    order = np.argsort(places, kind="stable")
    places = places[order]
    first = np.flatnonzero(np.r_[True, places[1:] != places[:-1]]) if places.size else places
    lead: Any = (slice(None),) * d
    values = values[(*lead, order)]
    if first.size < places.size:
        places, values = places[first], np.add.reduceat(values, first, axis=d)
    out[(*lead, places)] = values
