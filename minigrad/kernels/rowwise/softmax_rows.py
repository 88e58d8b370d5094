"""The loops of the softmax family over rows: the K numbers of a softmax lie side by side.

Softmax, its logarithm, logsumexp and the gradients are formulas over x (R, K); their loops are
written from them (`pointwise/row_emit.py`). Cross-entropy, whose loops make two results, skip rows
and weigh classes, is written by hand. All subtract the largest number of a row before exp, so that
no finite input overflows: with m = max_k x_k,

    log sum_k exp(x_k) = m + log sum_k exp(x_k - m)

Limit: exp, about 25 instructions for a vector, 0.25 ns a float32 number on one AVX-512 core. Loops
by hand, which these replaced, took (softmax, float32, times the new) 1.3 for 64 x 10 and 100,000 x
10, 1.04 for 512 x 512, 1.08 for 4096 x 1000. They were faster for rows of some ten registers in
arrays beyond the cache: 20,000 x 100 in float64, one core, 1.7 ms instead of 2.2.

Not here: when this is the way (softmax.py), reductions over the rows, checks of labels (the public
ops do that).
"""
from __future__ import annotations

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import ready
from ..pointwise.row_loop import RowLoop
from ..simd.vector import (
    choose, exp, lanes, largest, load, load_all, load_beside, spread, store, store_all,
    total, vector_jit, vector_part,
)
from ..parallel import one_each, parallel

# What is computed from sums and maxima (1 / s, log s) is float64 in the loops, rounded once.


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return e * (1.0 / e.sum(-1, keepdims=True))


def _softmax_grad(g, y):
    return y * (g - (g * y).sum(-1, keepdims=True))


def _log_softmax(x):
    # Two subtractions: m + log(sum) would lose the small term beside a logit of 10,000.
    d = x - x.max(-1, keepdims=True, initial=-np.inf)
    return d - np.log(np.exp(d).sum(-1, keepdims=True))


def _log_softmax_grad(g, y):
    return g - np.exp(y) * g.sum(-1, keepdims=True)


def _logsumexp(x):
    # An infinite maximum is not subtracted (inf - inf): the sum is then 0 or inf by itself.
    m = x.max(-1, keepdims=True, initial=-np.inf)
    m = np.where(np.abs(m) < np.inf, m, 0.0)
    return m + np.log(np.exp(x - m).sum(-1, keepdims=True))


#: x (R, K) -> (R, K), and with the gradient first g, y (R, K) -> (R, K).
softmax = RowLoop(_softmax, "softmax")
softmax_grad = RowLoop(_softmax_grad, "softmax_grad")
log_softmax = RowLoop(_log_softmax, "log_softmax")
log_softmax_grad = RowLoop(_log_softmax_grad, "log_softmax_grad")
_logsumexp_of = RowLoop(_logsumexp, "logsumexp")


def logsumexp(x: np.ndarray) -> np.ndarray:
    """x (R, K) -> (R,)."""
    return _logsumexp_of(x).reshape(-1)


# --------------------------------------------------------------------------- cross-entropy, by hand

_BLOCK_VECTORS = 32  # vectors summed in the array's own precision before float64 takes over

# Every kernel takes flat arrays, and rows by their number. The last vector of a row is masked, and
# kept in a register between the passes: a masked number just stored cannot be loaded fast.


@vector_part
def _row_max(x, at, columns):
    """max_k x_k, or -inf if there is none. It may overlook NaN: exp(x - m) will not."""
    size = lanes(x)
    whole = columns // size * size
    top = load_beside(x, at + whole, columns - whole, -np.inf)
    top = choose(top == top, top, spread(-np.inf, x))  # NaN would stay: nothing is greater
    for k in range(0, whole, size):
        v = load_all(x, at + k)
        top = choose(v > top, v, top)
    return largest(top)


@vector_part
def _row_sum_exp(x, at, columns, shift):
    """sum_k exp(x_k - shift), in float64."""
    size = lanes(x)
    whole = columns // size * size
    block = _BLOCK_VECTORS * size
    result = np.float64(0)
    s = exp(load_beside(x, at + whole, columns - whole, -np.inf) - shift)
    for k in range(0, whole, size):
        if k % block == 0:
            result += total(s)
            s = spread(0.0, x)
        s = s + exp(load_all(x, at + k) - shift)
    return result + total(s)


@vector_jit
def _exp_shifted(x, shift, y):
    size = lanes(x)
    for k in range(0, x.size, size):
        n = x.size - k
        store(y, k, 0, n, exp(load(x, k, 0, n) - shift))


@vector_jit
def _row_weighted_gap(x, at, columns, weight, m):
    """sum_k w_k (m - x_k), in float64."""
    size = lanes(x)
    block = _BLOCK_VECTORS * size
    result = np.float64(0)
    for begin in range(0, columns, block):
        s = spread(0.0, x)
        for k in range(begin, min(begin + block, columns), size):
            n = columns - k
            gap = m - load_beside(x, at + k, n, m)
            s = s + (gap * load(weight, k, 0, n) if weight.size else gap)
        result += total(s)
    return result


@vector_jit
def _cross_entropy_range(
    start, stop, x, columns, target, weight, weight_sum, ignore_index, smoothing, loss, log_z
):
    for i in range(start, stop):
        at = i * columns
        t = target[i]
        m = _row_max(x, at, columns)
        log_sum = np.log(_row_sum_exp(x, at, columns, m))
        log_z[i] = m + log_sum
        if t == ignore_index:
            loss[i] = 0
            continue
        own = weight[t] if weight.size else x.dtype.type(1)
        value = (1.0 - smoothing) * own * ((np.float64(m) - x[at + t]) + log_sum)
        if smoothing != 0.0:  # else 0 * inf where a class that is not the target has -inf
            gap = _row_weighted_gap(x, at, columns, weight, m) + weight_sum * log_sum
            value += np.divide(smoothing, columns) * gap
        loss[i] = value


@vector_jit
def _cross_entropy_grad_range(
    start, stop, g, x, columns, log_z, target, weight, weight_sum, ignore_index, smoothing, gx
):
    size = lanes(x)
    whole = columns // size * size
    for i in range(start, stop):
        at = i * columns
        t = target[i]
        if t == ignore_index:
            for k in range(0, columns, size):
                store(gx, at + k, 0, columns - k, spread(0.0, x))
            continue
        # d loss / d x_j = a w_t (p_j - [j = t]) + b (W p_j - w_j), a = 1 - ls, b = ls / K
        high = x.dtype.type(log_z[i])
        low = x.dtype.type(log_z[i] - high)
        own = weight[t] if weight.size else x.dtype.type(1)
        hit = g[i] * (1.0 - smoothing) * own
        spare = g[i] * np.divide(smoothing, columns)
        scale = x.dtype.type(hit + spare * weight_sum)
        back = x.dtype.type(spare)
        for k in range(0, whole, size):
            v = exp((load_all(x, at + k) - high) - low) * scale
            if smoothing != 0.0:
                v = v - (load_all(weight, k) * back if weight.size else spread(back, x))
            store_all(gx, at + k, v)
        n = columns - whole
        v = exp((load(x, at + whole, 0, n) - high) - low) * scale
        if smoothing != 0.0:
            v = v - (load(weight, whole, 0, n) * back if weight.size else spread(back, x))
        store(gx, at + whole, 0, n, v)
        gx[at + t] -= x.dtype.type(hit)


def _grain(x: np.ndarray) -> int:
    rows, columns = x.shape
    return one_each(rows, -(-tuning.SOFTMAX_GRAIN // (columns + tuning.SOFTMAX_ROW)))


def weights_of(x: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, float]:
    """The weights of the classes and their sum; an empty array stands for ones."""
    if weight is None:
        return np.empty(0, x.dtype), float(x.shape[1])
    weight = ready(weight)
    return weight, float(weight.sum(dtype=np.float64))


def cross_entropy(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """x (R, K), target (R,), weight (K,) or None -> loss (R,), log Z (R,) in float64."""
    x, target = ready(x), ready(target)
    weight, weight_sum = weights_of(x, weight)
    loss, log_z = np.empty(len(x), x.dtype), np.empty(len(x))
    parallel(_cross_entropy_range, len(x), x.reshape(-1), x.shape[1], target, weight, weight_sum,
             ignore_index, label_smoothing, loss, log_z, grain=_grain(x))  # fmt: skip
    return loss, log_z


def cross_entropy_grad(
    g: np.ndarray, x: np.ndarray, log_z: np.ndarray, target: np.ndarray,
    weight: np.ndarray | None = None, ignore_index: int = -100, label_smoothing: float = 0.0,
) -> np.ndarray:
    """g (R,), x (R, K), log_z (R,), the rest as for `cross_entropy` -> (R, K)."""
    x, g, target = ready(x), ready(g), ready(target)
    log_z = ready(log_z.astype(np.float64, copy=False))
    weight, weight_sum = weights_of(x, weight)
    gx = empty(x.shape, x.dtype)
    parallel(_cross_entropy_grad_range, len(x), g, x.reshape(-1), x.shape[1], log_z, target, weight,
             weight_sum, ignore_index, label_smoothing, gx.reshape(-1), grain=_grain(x))
    return gx
