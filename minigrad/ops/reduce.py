"""Functions that make one number of many along dimensions: sums, means, products.

`dim` is one dimension, several, or None for all; negative ones count from the end; keepdim keeps
them with size 1. The gradient of a result belongs to every element that went into it, so that most
rules begin with `spread`: repeat g to the shape of the input.
Not here: the largest element (`order.py`), norms (`vector_norm.py`), logsumexp (`activation.py`).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from .. import tuning
from ..autograd.engine import Tensor
from ..kernels.rowwise import scan as loops
from ..kernels.rowwise.sums import row_sums
from ..autograd.op import op
from ..promotion import INT64, WIDE, dtype_named
from ..sums import MANY, ROWS, total
from .dims import Dim, count_of, many_dims, one_dim
from .elementwise import eq, where
from .join import cat
from .samples import numpy_names
from .shape import flip, reshape, spread


def check_floating(name: str, input: Any) -> None:
    """Raises TypeError for integers and booleans."""
    if isinstance(input, ndarray) and input.dtype.kind != "f":
        raise TypeError(f"{name}: want a floating tensor, got {input.dtype}; convert it first, for "
                        f"example x.float().{name}()")


def dim_samples(r):
    return [(r(3, 4),), (r(2, 3, 4), 1), (r(2, 3, 4), (0, -1)), (r(2, 3, 4), (1,), True),
            (r(3, 4), {"keepdim": True})]


# --- sums and means ------------------------------------------------------------------------------

def add_up(x, dim, keepdim=False, dtype=None):
    """np.add.reduce, without its loss of digits: see `sums.py`.

    Here long last dimensions go to all threads. dtype: convert x to this dtype first; to float16
    the result only, for sums of its numbers overflow and stall.
    """
    if dtype is not None and dtype.kind == "f":
        x = x.astype(WIDE.get(dtype, dtype), copy=False)
        return np.asarray(add_up(x, dim, keepdim)).astype(dtype, copy=False)
    if x.__class__ is not ndarray or dtype is not None or x.dtype.char not in "fd":
        return np.add.reduce(x, axis=dim, dtype=dtype, keepdims=keepdim)
    if x.size < MANY and (x.size < ROWS or dim is None or max(x.shape) < ROWS):
        return np.add.reduce(x, axis=dim, keepdims=keepdim)
    dims = range(x.ndim) if dim is None else sorted(dim)
    sums, ends = x, 0                              # how many of the last dimensions are added up
    while ends < len(dims) and dims[-1 - ends] == x.ndim - 1 - ends:
        ends += 1
    if ends and x.size >= tuning.SUM_SHARED and x.dtype.char == "f" and x.flags.c_contiguous:
        rows = math.prod(x.shape[:-ends])
        if x.size // rows >= 32:
            sums, dims = _large_rows(x, rows).reshape(x.shape[:-ends]), dims[:len(dims) - ends]
    y = total(sums, dims)
    return y.reshape([1 if dim is None or d in dim else n for d, n in enumerate(x.shape)]) \
        if keepdim else y


def _large_rows(x, rows):
    """The sums of so many equal stretches of x, by threads: one long row is cut up first."""
    pieces = 1
    while rows * pieces < 64 and x.size % (2 * rows * pieces) == 0:
        pieces *= 2
    sums = row_sums(x, rows * pieces)
    return sums if pieces == 1 else np.add.reduce(sums.reshape(rows, pieces), axis=1)


def _sum_door(input, dim, keepdim, dtype):
    if dim is not None:
        dim = many_dims("sum", dim, np.ndim(input))
    return input, dim, keepdim, None if dtype is None else dtype_named("sum", dtype)


@op(samples=lambda r: [*dim_samples(r), (r.integers(5, 3, 4), 0)], ref=numpy_names(np.sum),
    door=_sum_door, promote=False)
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements along dim. Integers and booleans are summed as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist or comes twice.
    """
    if dtype is None and np.result_type(input).kind in "iub":
        dtype = INT64
    return add_up(input, dim, keepdim, dtype)
sum.vjp(input=lambda g, input_shape, dim, keepdim: spread(g, input_shape, dim, keepdim))


def _mean_door(input, dim, keepdim, dtype):
    if dtype is None:
        check_floating("mean", input)
    else:
        dtype = dtype_named("mean", dtype)
    return input, many_dims("mean", dim, np.ndim(input)), keepdim, dtype


def _mean_rule(g, input_shape, dim, keepdim):
    n = count_of(input_shape, dim)
    return spread(g / float(n or 1), input_shape, dim, keepdim)


def _mean_ref(x, dim=None, keepdim=False):
    total = np.sum(x, axis=dim, keepdims=keepdim)
    return total * (total.size / x.size if x.size else np.nan)


@op(samples=dim_samples, ref=_mean_ref, door=_mean_door, promote=False)
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum along dim divided by the number of elements; not a number if there are none.

    dtype: convert to this dtype first (and return it).

    Raises: TypeError for integers without dtype; ValueError if dim does not exist or comes twice.
    """
    n = count_of(np.shape(input), dim)
    if dtype in WIDE:                              # the sum may overflow where the mean does not
        return mean(input, dim, keepdim, dtype=WIDE[dtype]).astype(dtype)
    total = add_up(input, dim, keepdim, dtype)
    return total / n if n else total * math.nan
mean.vjp(input=_mean_rule)


def _var_door(name):
    def door(input, dim, unbiased, keepdim, correction):
        check_floating(name, input)
        if isinstance(dim, bool):                  # torch: var(x, unbiased)
            dim, unbiased = None, dim
        if unbiased is not None:
            correction = int(unbiased)
        shape = np.shape(input)
        dim = many_dims(name, dim, len(shape))
        n = count_of(shape, dim)
        if n - correction <= 0:
            raise ValueError(f"{name}: {n} elements less correction {correction} leave "
                             f"{n - correction} degrees of freedom, want more than 0"
                             + ("; pass correction=0 for the variance of the elements themselves"
                                if n else ""))
        return input, dim, unbiased, keepdim, correction
    return door


def _var_samples(r):
    return [(r(3, 4),), (r(2, 3, 4), 1), (r(2, 3, 4), (0, -1), {"correction": 0}),
            (r(2, 3, 4), (0, 1), {"keepdim": True, "correction": 2}), (r(3, 4), 0, False)]


def _var_ref(x, dim=None, unbiased=True, keepdim=False, correction=1):
    return np.var(x, axis=dim, ddof=correction if unbiased else 0, keepdims=keepdim)


def _var_rule(g, input, input_shape, dim, keepdim, correction):
    scale = 2.0 / (count_of(input_shape, dim) - correction)
    return (input - mean(input, dim, True)) * spread(g * scale, input_shape, dim, keepdim)


def _variance(x, dim, keepdim, correction):
    """np.var, which takes three times as long on small arrays."""
    n = count_of(x.shape, dim)
    centred = x - add_up(x, dim, True) / n
    return add_up(centred * centred, dim, keepdim) / (n - correction)


@op(samples=_var_samples, ref=_var_ref, door=_var_door("var"))
def var(input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float = 1) -> Tensor:
    """sum((x - mean(x))**2) / (n - correction) along dim.

    correction: 1 estimates the variance of what the elements were drawn from, 0 is the variance of
    the elements themselves. unbiased: the older way to say correction=1 (True) or 0 (False).

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """
    return _variance(input, dim, keepdim, correction)
var.vjp(input=_var_rule)


def _std_rule(g, input, out, input_shape, dim, keepdim, correction):
    slope = where(eq(out, 0.0), 0.0, g / where(eq(out, 0.0), 1.0, out))
    scale = 1.0 / (count_of(input_shape, dim) - correction)
    return (input - mean(input, dim, True)) * spread(slope * scale, input_shape, dim, keepdim)


@op(samples=_var_samples, ref=lambda *args, **options: np.sqrt(_var_ref(*args, **options)),
    door=_var_door("std"))
def std(input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float = 1) -> Tensor:
    """The standard deviation: the square root of var. Where it is 0 the gradient is 0, as in torch.

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """
    return np.sqrt(_variance(input, dim, keepdim, correction))
std.vjp(input=_std_rule)


def _cumsum_door(input, dim, dtype):
    return (input, one_dim("cumsum", dim, np.ndim(input)),
            None if dtype is None else dtype_named("cumsum", dtype))


def _running_sums(x, dim, dtype):
    if dtype is None:
        dtype = INT64 if x.dtype.kind in "iub" else x.dtype
    if not x.ndim:
        return x.astype(dtype)
    if dtype.kind != "f":
        return np.cumsum(x, dim, dtype)
    if dtype.itemsize < 4:                         # float16 adds in float32
        return np.cumsum(x, dim, np.float32).astype(dtype)
    x = x.astype(dtype, copy=False)
    if x.size >= tuning.SCAN_LARGE:
        return loops.cumsum(x, dim)
    return np.cumsum(x, dim, np.float64).astype(dtype, copy=False)


@op(samples=lambda r: [(r(3, 4), 0), (r(2, 3, 4), -2)], ref=np.cumsum, door=_cumsum_door,
    promote=False)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along dim: y[i] = x[0] + ... + x[i]. They are added in float64 (float16: in
    float32), integers and booleans as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """
    return _running_sums(np.asarray(input), dim, dtype)
cumsum.vjp(input=lambda g, dim: flip(cumsum(flip(g, dim), dim), dim) if g.ndim else g)


# --- products ------------------------------------------------------------------------------------

def _before(x, dim):
    """y[i] = x[0] * ... * x[i - 1] along dim, in log2(n) multiplications of whole tensors.

    No division, so zeros need no special case, here or in any derivative.
    """
    n = x.shape[dim]
    lead = (slice(None),) * dim
    shifted = lambda y, k: cat([_ones_like(y[(*lead, slice(0, k))]),
                                y[(*lead, slice(0, n - k))]], dim)
    y, k = shifted(x, 1), 1
    while k < n:
        y = y * shifted(y, k)
        k *= 2
    return y


def _ones_like(x):
    return np.ones(x.shape, x.dtype)


def _prod_door(input, dim, keepdim, dtype):
    d = None if dim is None else one_dim("prod", dim, np.ndim(input))
    return input, d, keepdim, None if dtype is None else dtype_named("prod", dtype)


def _prod_rule(g, input, input_shape, dim, keepdim):
    if not input_shape:
        return g
    x, d, dims = (reshape(input, (-1,)), 0, None) if dim is None else (input, dim, (dim,))
    others = _before(x, d) * flip(_before(flip(x, d), d), d)
    return reshape(others, input_shape) * spread(g, input_shape, dims, keepdim)


def _prod_samples(r):
    x = r(3, 4)
    x[0, 1] = x[2, 1] = x[1, 2] = 0.0
    return [(r(5),), (r(2, 3, 4), 1), (r(3, 4), -1, True), (x, 0), (r(3), {"keepdim": True})]


@op(samples=_prod_samples, ref=numpy_names(np.prod), door=_prod_door, promote=False)
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
         dtype: Any = None) -> Tensor:
    """The product of the elements along dim, or of all. The gradient is right at zeros too.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """
    if dtype is None and np.result_type(input).kind in "iub":
        dtype = INT64
    if dtype is not None and dtype in WIDE:        # rounded once
        return prod(input, dim, keepdim, dtype=WIDE[dtype]).astype(dtype)
    axis = None if np.ndim(input) == 0 else dim
    return np.multiply.reduce(input, axis=axis, dtype=dtype, keepdims=keepdim)
prod.vjp(input=_prod_rule)


# --- truth ---------------------------------------------------------------------------------------

def _truth_door(name):
    return lambda input, dim, keepdim: (input, many_dims(name, dim, np.ndim(input), empty=()),
                                        keepdim)


@op(samples=lambda r: [(r.mask(3, 4),), (r.mask(3, 4), 0), (r.mask(3, 4), 1, True)],
    ref=numpy_names(np.all), door=_truth_door("all"), promote=False, moves=True)
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether all elements along dim are true (not zero); true if there are none. dim=(): whether
    each is."""
    return np.all(input, axis=dim, keepdims=keepdim)


@op(samples=lambda r: [(r.mask(3, 4),), (r.mask(3, 4), 0), (r.mask(3, 4), 1, True)],
    ref=numpy_names(np.any), door=_truth_door("any"), promote=False, moves=True)
def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether any element along dim is true (not zero); false if there are none. dim=(): whether
    each is."""
    return np.any(input, axis=dim, keepdims=keepdim)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8,
             equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere; a bool, not a Tensor."""
    a, b = (x.array if isinstance(x, Tensor) else x for x in (input, other))
    return bool(np.allclose(a, b, rtol, atol, equal_nan))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements; a bool, not a Tensor (eq compares each)."""
    a, b = (x.array if isinstance(x, Tensor) else x for x in (input, other))
    return bool(np.array_equal(a, b))
