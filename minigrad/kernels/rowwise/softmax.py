"""Softmax, its logarithm, logsumexp and cross-entropy over K numbers, and which loop computes them.

Every function sees x as (R, K), rows, or as (N, K, L), whose middle dimension is meant. All of them
subtract the largest number before exp, so that no finite input overflows: with m = max_k x_k,

    log sum_k exp(x_k) = m + log sum_k exp(x_k - m)

Not here: the formulas and loops (softmax_rows.py, softmax_columns.py), which axis is meant, sums
over the rows, checks of labels (the public ops do that).
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..ways import Family, Way
from . import softmax_columns as columns
from . import softmax_rows as rows


class Problem(NamedTuple):
    """x (n, k, l): n * l softmaxes of k numbers each, which lie l apart."""

    n: int
    k: int
    l: int
    dtype: np.dtype

    @property
    def size(self) -> int:
        return self.n * self.k * self.l


def _as_rows(p: Problem, x: np.ndarray) -> np.ndarray:
    """(N, K, L) -> (N * L, K), a copy unless L is 1; per-position arrays (N * L,) stay."""
    if x.ndim == 3:
        return np.moveaxis(x, 1, 2).reshape(p.n * p.l, p.k)
    return x


def _back(p: Problem, y: Any, like: np.ndarray) -> Any:
    """The reverse for a result (N * L, K); others stay as they are."""
    if y.__class__ is np.ndarray and y.ndim == 2 and like.ndim == 3:
        return np.ascontiguousarray(np.moveaxis(y.reshape(p.n, p.l, p.k), 2, 1))
    return y


def _by_rows(kernel: Callable[..., Any], at: int = 0) -> Callable[..., Any]:
    """A loop or reference over rows as a way; at: which argument has the result's shape."""
    def run(p: Problem, *arrays: Any) -> Any:
        if arrays[at].ndim == 2:                       # the usual case: rows as they lie
            return kernel(*arrays)
        turned = (_as_rows(p, a) if a.__class__ is np.ndarray else a for a in arrays)
        return _back(p, kernel(*turned), arrays[at])
    return run


def _by_columns(kernel: Callable[..., Any], at: int = 0) -> Callable[..., Any]:
    """A loop over columns as a way."""
    def run(p: Problem, *arrays: Any) -> Any:
        if arrays[at].ndim == 3:
            return kernel(*arrays)
        wide = (a.reshape(p.n, p.k, 1) if a.__class__ is np.ndarray and a.ndim == 2 else a
                for a in arrays)
        y = kernel(*wide)
        return y.reshape(p.n, p.k) if y.__class__ is np.ndarray and y.ndim == 3 else y
    return run


def _family(name: str, reference: Callable[..., Any], draw: Callable[..., tuple],
            magnitude: Callable[..., Any], at: int = 0, passes: int = 2) -> Family:
    """A family of loops of this name; passes: arrays as large as x that are read or written."""
    ways = [Way("rows", _by_rows(getattr(rows, name), at), better=lambda p: p.l == 1,
                about="the numbers of a softmax lie side by side: vectors along them")]
    if hasattr(columns, name):
        ways.append(Way("columns", _by_columns(getattr(columns, name), at),
                        about="they lie apart: vectors along their neighbours"))
    ways.append(Way("reference", _by_rows(reference, at)))
    # exp of a rounded difference d is off by up to |d| ulps / 2, and d reaches 88 in float32 (745)
    # before the result is 0; of the sums at most a few dozen numbers are added in a chain.
    return Family(name, _problem, ways, draw=draw, flops=lambda p: 4.0 * p.size,
                  bytes=lambda p: float(passes * p.size) * p.dtype.itemsize,
                  ulps=lambda p: 100.0 if p.dtype == np.float32 else 800.0, magnitude=magnitude)


def _problem(shape: tuple[int, ...], dtype: np.dtype) -> Problem:
    """That of x (R, K) or (N, K, L)."""
    return Problem(shape[0], shape[1], 1 if len(shape) == 2 else shape[2], dtype)


def _draw(rng: Any, *sizes: Any) -> tuple[np.ndarray]:
    p = _problem(*sizes)
    return rng.standard_normal(sizes[0]).astype(p.dtype) * p.dtype.type(3),


# --------------------------------------------------------------------------- softmax and logarithms


def softmax_reference(x: np.ndarray) -> np.ndarray:
    """e^x / sum e^x in each row: (R, K) -> (R, K)."""
    e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)


def log_softmax_reference(x: np.ndarray) -> np.ndarray:
    """x - log sum e^x in each row: (R, K) -> (R, K)."""
    shifted = x - x.max(axis=1, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def logsumexp_reference(x: np.ndarray) -> np.ndarray:
    """log(e^a + e^b) folded over each row: (R, K) -> (R,)."""
    return np.logaddexp.reduce(x, axis=1, initial=-np.inf).astype(x.dtype, copy=False)


SOFTMAX = _family("softmax", softmax_reference, _draw, lambda p, y, x: np.abs(y))
LOG_SOFTMAX = _family("log_softmax", log_softmax_reference, _draw, lambda p, y, x: np.abs(y) + 1)
LOGSUMEXP = _family("logsumexp", logsumexp_reference, _draw, lambda p, y, x: np.abs(y) + 1,
                    passes=1)


def softmax(x: np.ndarray) -> np.ndarray:
    """y_k = exp(x_k) / sum_j exp(x_j): x (R, K) or (N, K, L) -> the same.

    A row with NaN or +inf, or with nothing but -inf, becomes NaN, as in torch.
    """
    return SOFTMAX.way(x.shape, x.dtype)(x)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """y_k = x_k - log sum_j exp(x_j): x (R, K) or (N, K, L) -> the same. NaN as in `softmax`."""
    return LOG_SOFTMAX.way(x.shape, x.dtype)(x)


def logsumexp(x: np.ndarray) -> np.ndarray:
    """log sum_k exp(x_k) of each row: x (R, K) -> (R,). -inf for a row of -inf, or an empty one."""
    return LOGSUMEXP.way(x.shape, x.dtype)(x)


# --------------------------------------------------------------------------- their gradients


def _each_row(jacobian_product: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def reference(g: np.ndarray, y: np.ndarray) -> np.ndarray:
        gx = np.empty_like(y)
        for i in range(len(y)):
            gx[i] = jacobian_product(g[i], y[i])
        return gx
    return reference


#: The product with each row's Jacobian, written out: d y_a / d x_b = y_a ([a = b] - y_b).
softmax_grad_reference = _each_row(lambda g, y: (np.diag(y) - np.outer(y, y)) @ g)
#: d y_a / d x_b = [a = b] - p_b with p = exp(y).
log_softmax_grad_reference = _each_row(lambda g, y: g @ (np.eye(y.size) - np.exp(y)))


def _draw_grad(of: Callable[[np.ndarray], np.ndarray]) -> Callable[..., tuple]:
    def draw(rng: Any, *sizes: Any) -> tuple[np.ndarray, np.ndarray]:
        x, = _draw(rng, *sizes)
        p = _problem(*sizes)
        y = _back(p, of(_as_rows(p, x)), x)
        return rng.standard_normal(x.shape).astype(x.dtype), y
    return draw


SOFTMAX_GRAD = _family(
    "softmax_grad", softmax_grad_reference, _draw_grad(softmax_reference),
    lambda p, gx, g, y: np.abs(y) * np.abs(g).max(axis=1, keepdims=True, initial=0), passes=3)
LOG_SOFTMAX_GRAD = _family(
    "log_softmax_grad", log_softmax_grad_reference, _draw_grad(log_softmax_reference),
    lambda p, gx, g, y: np.abs(g) + np.exp(y) * np.abs(g).sum(axis=1, keepdims=True), passes=3)


def softmax_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gx_k = y_k (g_k - sum_j g_j y_j), with y = softmax(x): g, y of x's shape -> that shape."""
    return SOFTMAX_GRAD.way(y.shape, y.dtype)(g, y)


def log_softmax_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gx_k = g_k - exp(y_k) sum_j g_j, with y = log_softmax(x): g, y of x's shape -> that shape."""
    return LOG_SOFTMAX_GRAD.way(y.shape, y.dtype)(g, y)


# --------------------------------------------------------------------------- cross-entropy


def cross_entropy_reference(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """A smoothed one-hot target against log_softmax: loss and log Z, as `cross_entropy` in rows."""
    rows, classes = x.shape
    weight = np.ones(classes) if weight is None else weight
    log_p = log_softmax_reference(x)
    loss = np.zeros(rows, x.dtype)
    for i in range(rows):
        if target[i] == ignore_index:
            continue
        q = np.full(classes, label_smoothing / classes)
        q[target[i]] += 1 - label_smoothing
        counted = q > 0
        loss[i] = -(q * weight * log_p[i])[counted].sum()
    return loss, logsumexp_reference(x.astype(np.float64))


def cross_entropy_grad_reference(
    g: np.ndarray,
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """Back through log_softmax by its own gradient: g (R,), x (R, K) -> (R, K)."""
    rows, classes = x.shape
    weight = np.ones(classes) if weight is None else weight
    g_log_p = np.zeros((rows, classes))
    for i in range(rows):
        if target[i] == ignore_index:
            continue
        q = np.full(classes, label_smoothing / classes)
        q[target[i]] += 1 - label_smoothing
        g_log_p[i] = -g[i] * q * weight
    gx = log_softmax_grad_reference(g_log_p, log_softmax_reference(x.astype(np.float64)))
    gx[target == ignore_index] = 0  # even where the logits are NaN
    return gx.astype(x.dtype)


def _draw_labels(rng: Any, *sizes: Any) -> tuple:
    p = _problem(*sizes)
    return *_draw(rng, *sizes), rng.integers(0, p.k, p.n * p.l), None, -100, 0.1


def _draw_labels_grad(rng: Any, *sizes: Any) -> tuple:
    x, target, *options = _draw_labels(rng, *sizes)
    p = _problem(*sizes)
    log_z = logsumexp_reference(_as_rows(p, x).astype(np.float64))
    return rng.standard_normal(len(target)).astype(x.dtype), x, log_z, target, *options


def _of_loss(p: Problem, found: Any, x: np.ndarray, target: Any, weight: Any, *_: Any) -> tuple:
    """Differences from the largest logit, which are weighted and added."""
    largest = np.abs(_as_rows(p, x)).max(axis=1, initial=1.0)
    # log Z is float64, but of sums of exponentials in x's dtype.
    in_place = np.finfo(p.dtype).eps / np.finfo(np.float64).eps
    return (np.abs(found[0]) + (1.0 if weight is None else np.abs(weight).max(initial=1)) * (
        largest + math.log(p.k + 1)), (np.abs(found[1]) + 1) * in_place)


CROSS_ENTROPY = _family("cross_entropy", cross_entropy_reference, _draw_labels, _of_loss, passes=1)
CROSS_ENTROPY_GRAD = _family(
    "cross_entropy_grad",
    lambda g, x, log_z, target, *options: cross_entropy_grad_reference(g, x, target, *options),
    _draw_labels_grad,
    lambda p, gx, g, x, log_z, target, weight, *_: np.broadcast_to(
        np.abs(g).max(initial=0) * (1.0 if weight is None else np.abs(weight).max(initial=0)
                                    + np.abs(weight).sum() / p.k), gx.shape), at=1)


def cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each row against its class t, and log Z = log sum_k exp(x_k) for the gradient.

    loss = (1 - ls) w_t (log Z - x_t) + ls/K sum_k w_k (log Z - x_k), or 0 where t == ignore_index.

    x (R, K), target (R,) int64, weight (K,) or None for ones -> loss (R,) in x's dtype, log Z (R,)
    always in float64: beside logits of 10,000 a float32 log Z would be wrong by 0.0005, and every
    probability with it. The caller divides by the sum of w_t if it wants torch's mean.
    Of x (N, K, L): target, loss and log Z (N * L,).
    """
    options = int(ignore_index), float(label_smoothing)
    return CROSS_ENTROPY.way(x.shape, x.dtype)(x, target, weight, *options)


def cross_entropy_grad(
    g: np.ndarray,
    x: np.ndarray,
    log_z: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """gx_j = g ((1 - ls) w_t (p_j - [j = t]) + ls/K (W p_j - w_j)), p = exp(x - log Z), W = sum w.

    g (R,), x (R, K), log_z (R,), the rest as for `cross_entropy` -> (R, K); 0 in ignored rows. Of
    x (N, K, L): g and log_z (N * L,).
    """
    options = int(ignore_index), float(label_smoothing)
    return CROSS_ENTROPY_GRAD.way(x.shape, x.dtype)(g, x, log_z, target, weight, *options)
