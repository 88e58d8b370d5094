"""The loops of the softmax family over columns: a dimension that is not the last.

Every function sees x as (N, K, L): the K numbers of a softmax lie L apart, as those of a pixel do
in images (N, K, H, W). Turned into rows they would be copied there and back. Here a vector holds
neighbours, each of a softmax of its own, and walks through the K: no sum across its lanes is
needed, which is half of the work for short rows.

Limit: exp and, for arrays beyond the caches, bytes. In us on two cores, forward and backward:

                              (16, 10, 64, 64)                  (16, 128, 32, 32)
                        here    as rows    torch          here    as rows    torch
    softmax              480      1,440      480         2,320      5,440    2,250
    log_softmax          470      2,060      480         2,580      5,990    1,620
    cross_entropy        720      2,190      780-960     1,800      6,130    2,200
    with smoothing       750      2,450    1,240         1,850      6,220    2,970

Not here: the formulas of each function and when this is the way (softmax.py); sums over K in
float64, which softmax_rows.py has: 32 exponentials are added here, then such sums.
"""
from __future__ import annotations

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import Kernel, jit, ready
from ..simd.math import log_from_one
from ..simd.vector import (
    choose, exp, fused, lanes, lanes_of, load, spread, store, store_all, vector_jit, vector_part,
)
from ..parallel import parallel
from .softmax_rows import weights_of

_WIDE = 4  # vectors of neighbours that are one item of work: whole lines of the cache, side by side
_BLOCK = 32  # numbers added one by one
_FAR = 32  # blocks, at least, whose sums are added one by one: else as many as there are such sums


# `at` is where the first of `width` neighbours lies, which is number `first` of its image; `pitch`
# is L. A division in the loop could raise, and then references are counted: see vector_part.


@jit
def _start(item, groups, classes, pitch, wide):
    """at, first of an item of work."""
    first = item % groups * wide
    return item // groups * classes * pitch + first, first


@jit
def _next(at, first, width, classes, pitch):
    """at, first of the next item."""
    first += width
    if first < pitch:
        return at + width, first
    return at + width + (classes - 1) * pitch, 0


@vector_part
def _tops(x, at, classes, pitch, width, top):
    """top = max_k x_k. It may overlook NaN: exp(x - m) will not."""
    size = lanes(x)
    for c in range(0, width, size):
        m = spread(-np.inf, x)
        for k in range(classes):
            v = load(x, at + k * pitch + c, 0, width - c)
            m = choose(v > m, v, m)
        store_all(top, c, m)


# What _sum_over adds up: a number, a product, an exponential, one that is stored besides.
_NUMBERS, _PRODUCTS, _EXP, _EXP_STORED = 0, 1, 2, 3


@jit(inline=True)
def _far(classes):
    """How many numbers are added before their sums are: about as many as there are such sums."""
    return _BLOCK * max(_FAR, int(np.sqrt(classes / _BLOCK)))


@vector_part
def _sum_over(kind, long, a, b, at, classes, pitch, n, shift):
    """The sum over k of a_k, of a_k * b_k, or of exp(a_k - shift) (which b_k may become).

    Of n neighbours at once, each in a lane. At most _BLOCK numbers are added one by one, then at
    least _FAR such sums (`long` numbers, see _far), then those. kind is a constant of each caller:
    its branches vanish.
    """
    total = spread(0.0, a)
    for far in range(0, classes, long):
        part = spread(0.0, a)
        for begin in range(far, min(far + long, classes), _BLOCK):
            s = spread(0.0, a)
            for k in range(begin, min(begin + _BLOCK, classes)):
                v = load(a, at + k * pitch, 0, n)
                if kind == _PRODUCTS:
                    s = fused(v, load(b, at + k * pitch, 0, n), s)
                else:
                    if kind >= _EXP:
                        v = exp(v - shift)
                    if kind == _EXP_STORED:
                        store(b, at + k * pitch, 0, n, v)
                    s = s + v
            part = part + s
        total = total + part
    return total


@vector_part
def _sums_exp(x, at, classes, pitch, width, top, sums):
    """sums = sum_k exp(x_k - top)."""
    size, long = lanes(x), _far(classes)
    for c in range(0, width, size):
        m = load(top, c, 0, size)
        store_all(sums, c, _sum_over(_EXP, long, x, x, at + c, classes, pitch, width - c, m))


@vector_jit
def _softmax_range(start, stop, groups, x, y, classes, pitch):
    size, long = lanes(x), _far(classes)
    wide = _WIDE * size
    top = np.empty(wide, x.dtype)
    at, first = _start(start, groups, classes, pitch, wide)
    for _ in range(start, stop):
        width = min(wide, pitch - first)
        _tops(x, at, classes, pitch, width, top)
        for c in range(0, width, size):
            n = width - c
            m = load(top, c, 0, size)
            total = _sum_over(_EXP_STORED, long, x, y, at + c, classes, pitch, n, m)
            scale = spread(1.0, x) / total
            for k in range(classes):
                there = at + k * pitch + c
                store(y, there, 0, n, load(y, there, 0, n) * scale)
        at, first = _next(at, first, width, classes, pitch)


@vector_jit
def _log_softmax_range(start, stop, groups, x, y, classes, pitch):
    size = lanes(x)
    wide = _WIDE * size
    top, sums = np.empty(wide, x.dtype), np.ones(wide, x.dtype)
    at, first = _start(start, groups, classes, pitch, wide)
    for _ in range(start, stop):
        width = min(wide, pitch - first)
        _tops(x, at, classes, pitch, width, top)
        _sums_exp(x, at, classes, pitch, width, top, sums)
        for i in range(wide):
            sums[i] = log_from_one(sums[i])
        for c in range(0, width, size):
            m, log_sum = load(top, c, 0, size), load(sums, c, 0, size)
            for k in range(classes):
                there = at + k * pitch + c
                v = load(x, there, 0, width - c)
                store(y, there, 0, width - c, (v - m) - log_sum)
        at, first = _next(at, first, width, classes, pitch)


@vector_jit
def _softmax_grad_range(start, stop, groups, g, y, gx, classes, pitch):
    size, long = lanes(g), _far(classes)
    zero = spread(0.0, g)
    wide = _WIDE * size
    at, first = _start(start, groups, classes, pitch, wide)
    for _ in range(start, stop):
        width = min(wide, pitch - first)
        for c in range(0, width, size):
            n = width - c
            mean = _sum_over(_PRODUCTS, long, g, y, at + c, classes, pitch, n, zero)
            for k in range(classes):
                there = at + k * pitch + c
                v = load(y, there, 0, n) * (load(g, there, 0, n) - mean)
                store(gx, there, 0, n, v)
        at, first = _next(at, first, width, classes, pitch)


@vector_jit
def _log_softmax_grad_range(start, stop, groups, g, y, gx, classes, pitch):
    size, long = lanes(g), _far(classes)
    zero = spread(0.0, g)
    wide = _WIDE * size
    at, first = _start(start, groups, classes, pitch, wide)
    for _ in range(start, stop):
        width = min(wide, pitch - first)
        for c in range(0, width, size):
            n = width - c
            g_sum = _sum_over(_NUMBERS, long, g, g, at + c, classes, pitch, n, zero)
            for k in range(classes):
                there = at + k * pitch + c
                v = load(g, there, 0, n) - exp(load(y, there, 0, n)) * g_sum
                store(gx, there, 0, n, v)
        at, first = _next(at, first, width, classes, pitch)


@vector_jit
def _cross_entropy_range(
    start, stop, groups, x, classes, pitch, target, weight, weight_sum, ignore_index, smoothing,
    loss, log_z,
):  # fmt: skip
    size = lanes(x)
    long = max(1024, int(np.sqrt(np.float64(classes))))
    wide = _WIDE * size
    top, sums, gaps = np.empty(wide, x.dtype), np.ones(wide, x.dtype), np.zeros(wide, x.dtype)
    at, first = _start(start, groups, classes, pitch, wide)
    labels = start // groups * pitch + first
    for _ in range(start, stop):
        width = min(wide, pitch - first)
        _tops(x, at, classes, pitch, width, top)
        _sums_exp(x, at, classes, pitch, width, top, sums)
        for i in range(wide):
            sums[i] = log_from_one(sums[i])
        if smoothing != 0.0:  # sum_k w_k (m - x_k)
            for c in range(0, width, size):
                m, gap = load(top, c, 0, size), spread(0.0, x)
                for far in range(0, classes, long):
                    part = spread(0.0, x)
                    for k in range(far, min(far + long, classes)):
                        w = weight[k] if weight.size else x.dtype.type(1)
                        part = fused(m - load(x, at + k * pitch + c, 0, width - c), w, part)
                    gap = gap + part
                store_all(gaps, c, gap)
        for i in range(width):
            label = labels + i
            t = target[label]
            m, log_sum = np.float64(top[i]), np.float64(sums[i])
            log_z[label] = m + log_sum
            if t == ignore_index:
                loss[label] = 0
                continue
            own = weight[t] if weight.size else x.dtype.type(1)
            value = (1.0 - smoothing) * own * ((m - x[at + t * pitch + i]) + log_sum)
            if smoothing != 0.0:  # else 0 * inf where a class that is not the target has -inf
                value += np.divide(smoothing, classes) * (gaps[i] + weight_sum * log_sum)
            loss[label] = value
        labels += width
        at, first = _next(at, first, width, classes, pitch)


@vector_jit
def _cross_entropy_grad_range(
    start, stop, groups, g, x, classes, pitch, log_z, target, weight, weight_sum, ignore_index,
    smoothing, gx,
):  # fmt: skip
    size = lanes(x)
    wide = _WIDE * size
    # For each neighbour: log Z in two parts, what belongs to p, what to the smoothed target; and
    # whether its label counts.
    high, low = np.zeros(wide, x.dtype), np.zeros(wide, x.dtype)
    scale, back, counts = (np.zeros(wide, x.dtype), np.zeros(wide, x.dtype),
                           np.zeros(wide, x.dtype))  # fmt: skip
    zero = spread(0.0, x)
    at, first = _start(start, groups, classes, pitch, wide)
    labels = start // groups * pitch + first
    for _ in range(start, stop):
        width = min(wide, pitch - first)
        for i in range(width):
            label = labels + i
            t = target[label]
            counts[i] = 0 if t == ignore_index else 1
            high[i] = log_z[label]
            low[i] = log_z[label] - high[i]
            # d loss / d x_j = a w_t (p_j - [j = t]) + b (W p_j - w_j), a = 1 - ls, b = ls / K
            own = weight[max(t, 0)] if weight.size else x.dtype.type(1)
            spare = g[label] * np.divide(smoothing, classes)
            scale[i] = g[label] * (1.0 - smoothing) * own + spare * weight_sum
            back[i] = spare
        for c in range(0, width, size):
            n = width - c
            a, b = load(high, c, 0, size), load(low, c, 0, size)
            factor, less = load(scale, c, 0, size), load(back, c, 0, size)
            counted = load(counts, c, 0, size) > 0.0
            for k in range(classes):
                there = at + k * pitch + c
                v = exp((load(x, there, 0, n) - a) - b) * factor
                if smoothing != 0.0:
                    w = weight[k] if weight.size else x.dtype.type(1)
                    v = v - less * w
                store(gx, there, 0, n, choose(counted, v, zero))
        for i in range(width):
            label = labels + i
            t = target[label]
            if t != ignore_index:
                own = weight[t] if weight.size else x.dtype.type(1)
                gx[at + t * pitch + i] -= x.dtype.type(g[label] * (1.0 - smoothing) * own)
        labels += width
        at, first = _next(at, first, width, classes, pitch)


def _work(x: np.ndarray) -> tuple[int, int, int]:
    """The items of work of x (N, K, L), how many of them an image has, and the grain."""
    wide = _WIDE * lanes_of(x.dtype.name)
    groups = -(-x.shape[2] // wide)
    return len(x) * groups, groups, max(1, tuning.SOFTMAX_GRAIN // (wide * max(1, x.shape[1])))


def _over_columns(kernel: Kernel, *inputs: np.ndarray) -> np.ndarray:
    """What a kernel makes of inputs (N, K, L), the last of which gives the result its dtype."""
    inputs = tuple([ready(a) for a in inputs])
    like = inputs[-1]
    out = empty(like.shape, like.dtype)
    items, groups, grain = _work(like)
    flat = [a.reshape(-1) for a in (*inputs, out)]
    parallel(kernel, items, groups, *flat, *like.shape[1:], grain=grain)
    return out


def softmax(x: np.ndarray) -> np.ndarray:
    """x (N, K, L) -> (N, K, L)."""
    return _over_columns(_softmax_range, x)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """x (N, K, L) -> (N, K, L)."""
    return _over_columns(_log_softmax_range, x)


def softmax_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g, y (N, K, L) -> (N, K, L)."""
    return _over_columns(_softmax_grad_range, g, y)


def log_softmax_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g, y (N, K, L) -> (N, K, L)."""
    return _over_columns(_log_softmax_grad_range, g, y)


def cross_entropy(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """x (N, K, L), target (N * L,), weight (K,) or None -> loss and log Z (N * L,)."""
    x, target = ready(x), ready(target)
    weight, weight_sum = weights_of(x, weight)
    loss, log_z = np.empty(len(target), x.dtype), np.empty(len(target))
    items, groups, grain = _work(x)
    parallel(_cross_entropy_range, items, groups, x.reshape(-1), *x.shape[1:], target, weight,
             weight_sum, ignore_index, label_smoothing, loss, log_z, grain=grain)
    return loss, log_z


def cross_entropy_grad(
    g: np.ndarray, x: np.ndarray, log_z: np.ndarray, target: np.ndarray,
    weight: np.ndarray | None = None, ignore_index: int = -100, label_smoothing: float = 0.0,
) -> np.ndarray:
    """g (N * L,), x (N, K, L), log_z (N * L,), the rest as for `cross_entropy` -> (N, K, L)."""
    x, g, target = ready(x), ready(g), ready(target)
    log_z = ready(log_z.astype(np.float64, copy=False))
    weight, weight_sum = weights_of(x, weight)
    gx = empty(x.shape, x.dtype)
    items, groups, grain = _work(x)
    parallel(_cross_entropy_grad_range, items, groups, g, x.reshape(-1), *x.shape[1:], log_z,
             target, weight, weight_sum, ignore_index, label_smoothing, gx.reshape(-1), grain=grain)
    return gx
