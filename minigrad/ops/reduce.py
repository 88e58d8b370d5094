"""Functions that make one number of many along dimensions: sums, means, products.

`dim` is one dimension, several, or None for all; negative ones count from the end; keepdim keeps
them with size 1. The gradient of a result belongs to every element that went into it, so that most
rules begin with `spread`: repeat g to the shape of the input.
What reductions share (how dim is read, dtype=, samples) says `kinds.py`, how a sum keeps its digits
`kernels/rowwise/sums.py`. Not here: the largest element (`order.py`), norms (`vector_norm.py`),
logsumexp (`activation.py`).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.op import op
from ..kernels.rowwise import scan
from ..kernels.rowwise.sums import sum_along
from .dims import Dim, along, chosen_dims, count_of, many_dims, one_dim
from .elementwise import eq, where
from .join import cat
from .kinds import accumulated, along_dims, reduction, refuse_integers
from .shape import flip, reshape, spread

# --- sums and means ------------------------------------------------------------------------------

@reduction(np.sum, samples=lambda r: [*along_dims(r), (r.integers(5, 3, 4), 0)], promote=False)
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements along dim. Integers and booleans are summed as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist or comes twice.
    """
    return accumulated("sum", sum_along, input, dtype, dim, keepdim)
sum.vjp(input=lambda g, input_shape, dim, keepdim: spread(g, input_shape, dim, keepdim))


def _mean(x, dim, keepdim, dtype=None):
    n = count_of(x.shape, dim)
    total = sum_along(x, dim, keepdim, dtype)
    return total / n if n else total * math.nan


def _mean_ref(x, dim=None, keepdim=False):
    total = np.sum(x, axis=dim, keepdims=keepdim)
    return total * (total.size / x.size if x.size else np.nan)


@reduction(ref=_mean_ref, promote=False)
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum along dim divided by the number of elements; not a number if there are none.

    dtype: convert to this dtype first (and return it).

    Raises: TypeError for integers without dtype; ValueError if dim does not exist or comes twice.
    """
    if dtype is None:
        refuse_integers("mean", input)
    return accumulated("mean", _mean, input, dtype, dim, keepdim)
mean.vjp(input=lambda g, input_shape, dim, keepdim: spread(
    g / float(count_of(input_shape, dim) or 1), input_shape, dim, keepdim))


def _dims_or_unbiased(name, dim, ndim, what):
    """How var reads dim, which in torch's older form var(x, unbiased) is a bool."""
    return dim if isinstance(dim, bool) else many_dims(name, dim, ndim, what)


def _degrees_of_freedom(name):
    def door(input, dim, unbiased, keepdim, correction):
        refuse_integers(name, input)
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if unbiased is not None:
            correction = int(unbiased)
        n = count_of(input.shape, dim)
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


def _variance(x, dim, keepdim, correction):
    """np.var, which takes three times as long on small arrays."""
    n = count_of(x.shape, dim)
    centred = x - sum_along(x, dim, True) / n
    return sum_along(centred * centred, dim, keepdim) / (n - correction)


@reduction(ref=_var_ref, samples=_var_samples, read=_dims_or_unbiased,
           door=_degrees_of_freedom("var"))
def var(input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float = 1) -> Tensor:
    """sum((x - mean(x))**2) / (n - correction) along dim.

    correction: 1 estimates the variance of what the elements were drawn from, 0 is the variance of
    the elements themselves. unbiased: the older way to say correction=1 (True) or 0 (False).

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """
    return _variance(input, dim, keepdim, correction)
var.vjp(input=lambda g, input, dim, keepdim, correction: _var_rule(
    2.0, g, input, dim, keepdim, correction))


def _var_rule(factor, g, x, dim, keepdim, correction):
    scale = factor / (count_of(x.shape, dim) - correction)
    return (x - mean(x, dim, True)) * spread(g * scale, x.shape, dim, keepdim)


@reduction(ref=lambda *args, **options: np.sqrt(_var_ref(*args, **options)), samples=_var_samples,
           read=_dims_or_unbiased, door=_degrees_of_freedom("std"))
def std(input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float = 1) -> Tensor:
    """The standard deviation: the square root of var. Where it is 0 the gradient is 0, as in torch.

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """
    return np.sqrt(_variance(input, dim, keepdim, correction))
std.vjp(input=lambda g, input, out, dim, keepdim, correction: _var_rule(
    1.0, where(eq(out, 0.0), 0.0, g / where(eq(out, 0.0), 1.0, out)),
    input, dim, keepdim, correction))


def _running_sums(x, dim, dtype=None):
    if not x.ndim:
        return np.array(x, dtype)
    return scan.cumsum(x, dim) if dtype is None else np.cumsum(x, dim, dtype)


@op(samples=lambda r: [(r(3, 4), 0), (r(2, 3, 4), -2)], ref=np.cumsum, dims={"dim": one_dim},
    promote=False)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along dim: y[i] = x[0] + ... + x[i]. They are added in float64, integers and
    booleans as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """
    return accumulated("cumsum", _running_sums, input, dtype, dim)
cumsum.vjp(input=lambda g, dim: flip(cumsum(flip(g, dim), dim), dim) if g.ndim else g)


# --- products ------------------------------------------------------------------------------------

def _before(x, dim):
    """y[i] = x[0] * ... * x[i - 1] along dim, in log2(n) multiplications of whole tensors.

    No division, so zeros need no special case, here or in any derivative.
    """
    n = x.shape[dim]
    ones = np.ones(x.shape, x.dtype)
    shifted = lambda y, k: cat([ones[along(dim, slice(0, k))], y[along(dim, slice(0, n - k))]], dim)
    y, k = shifted(x, 1), 1
    while k < n:
        y = y * shifted(y, k)
        k *= 2
    return y


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


def _product(x, dim, keepdim, dtype=None):
    return np.multiply.reduce(x, axis=dim, dtype=dtype, keepdims=keepdim)


@reduction(np.prod, samples=_prod_samples, read=one_dim, promote=False)
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
         dtype: Any = None) -> Tensor:
    """The product of the elements along dim, or of all. The gradient is right at zeros too.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """
    return accumulated("prod", _product, input, dtype, dim, keepdim)
prod.vjp(input=_prod_rule)


# --- truth ---------------------------------------------------------------------------------------

def _masks(r):
    return [(r.mask(3, 4),), (r.mask(3, 4), 0), (r.mask(3, 4), 1, True)]


@reduction(np.all, samples=_masks, read=chosen_dims, any_dtype=True)
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether all elements along dim are true (not zero); true if there are none. dim=(): whether
    each is."""
    return np.all(input, axis=dim, keepdims=keepdim)


@reduction(np.any, samples=_masks, read=chosen_dims, any_dtype=True)
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
