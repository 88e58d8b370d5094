"""Functions that make one number of many along dimensions: sums, means, extremes, products, norms.

`dim` is one dimension, several, or None for all; negative ones count from the end; keepdim keeps
them with size 1. The gradient of a result belongs to every element that went into it, so that most
rules begin with `_spread`: repeat g to the shape of the input. Not here: logsumexp
(`activation.py`).
"""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ..engine import Tensor
from ..op import composite, op
from .elementwise import abs as absolute
from .elementwise import eq, logical_or, maximum, minimum, ne, sign, where
from .shape import as_dtype, cat, expand, flip, many_dims, one_dim, reshape, to

Dim = int | tuple[int, ...] | None


def _spread(g, shape, dim, keepdim):
    """The gradient of a reduced result, repeated to the shape that was reduced."""
    if dim is not None and not keepdim:
        g = reshape(g, tuple([1 if i in dim else n for i, n in enumerate(shape)]))
    return expand(g, shape)


def _count(shape, dim):
    """How many elements go into one result."""
    return math.prod(shape if dim is None else [shape[d] for d in dim])


def _check_floating(name: str, input: Any) -> None:
    """Raises TypeError for integers and booleans."""
    if isinstance(input, ndarray) and input.dtype.kind != "f":
        raise TypeError(f"{name}: want a floating tensor, got {input.dtype}; convert it first, for "
                        f"example x.float().{name}()")


def _axis(ref):
    """A NumPy function under torch's argument names, for the references."""
    def function(x, dim=None, keepdim=False, **options):
        return ref(x, axis=dim, keepdims=keepdim, **options)
    return function


def _dims(r):
    return [(r(3, 4),), (r(2, 3, 4), 1), (r(2, 3, 4), (0, -1)), (r(2, 3, 4), (1,), True),
            (r(3, 4), {"keepdim": True})]


# --- sums and means ------------------------------------------------------------------------------

def _sum_door(input, dim, keepdim, dtype):
    if dim is not None:
        dim = many_dims("sum", dim, np.ndim(input))
    return input, dim, keepdim, None if dtype is None else as_dtype("sum", dtype)


@op(samples=lambda r: [*_dims(r), (r.integers(5, 3, 4), 0)], ref=_axis(np.sum), door=_sum_door,
    promote=False)
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements along dim. Integers and booleans are summed as int64.

    dtype: add in this dtype instead (and return it).

    Raises: ValueError if dim does not exist or comes twice.
    """
    if dtype is None and np.result_type(input).kind == "u":
        dtype = np.int64
    return np.add.reduce(input, axis=dim, dtype=dtype, keepdims=keepdim)
sum.vjp(input=lambda g, input_shape, dim, keepdim: _spread(g, input_shape, dim, keepdim))


def _mean_door(input, dim, keepdim, dtype):
    if dtype is None:
        _check_floating("mean", input)
    else:
        dtype = as_dtype("mean", dtype)
    return input, many_dims("mean", dim, np.ndim(input)), keepdim, dtype


def _mean_rule(g, input_shape, dim, keepdim):
    n = _count(input_shape, dim)
    return _spread(g / float(n or 1), input_shape, dim, keepdim)


def _mean_ref(x, dim=None, keepdim=False):
    total = np.sum(x, axis=dim, keepdims=keepdim)
    return total * (total.size / x.size if x.size else np.nan)


@op(samples=_dims, ref=_mean_ref, door=_mean_door, promote=False)
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum along dim divided by the number of elements; not a number if there are none.

    dtype: compute in this dtype instead (and return it).

    Raises: TypeError for integers without dtype; ValueError if dim does not exist or comes twice.
    """
    total = np.add.reduce(input, axis=dim, dtype=dtype, keepdims=keepdim)
    n = _count(np.shape(input), dim)
    return total / n if n else total * math.nan
mean.vjp(input=_mean_rule)


def _var_door(name):
    def door(input, dim, unbiased, keepdim, correction):
        _check_floating(name, input)
        if isinstance(dim, bool):                  # torch: var(x, unbiased)
            dim, unbiased = None, dim
        if unbiased is not None:
            correction = int(unbiased)
        shape = np.shape(input)
        dim = many_dims(name, dim, len(shape))
        n = _count(shape, dim)
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
    scale = 2.0 / (_count(input_shape, dim) - correction)
    return (input - mean(input, dim, True)) * _spread(g * scale, input_shape, dim, keepdim)


def _variance(x, dim, keepdim, correction):
    """np.var, which takes three times as long on small arrays."""
    n = _count(x.shape, dim)
    centred = x - np.add.reduce(x, axis=dim, keepdims=True) / n
    return np.add.reduce(centred * centred, axis=dim, keepdims=keepdim) / (n - correction)


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
    scale = 1.0 / (_count(input_shape, dim) - correction)
    return (input - mean(input, dim, True)) * _spread(slope * scale, input_shape, dim, keepdim)


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
    return input, one_dim("cumsum", dim, np.ndim(input)), dtype and as_dtype("cumsum", dtype)


@op(samples=lambda r: [(r(3, 4), 0), (r(2, 3, 4), -2)], ref=np.cumsum, door=_cumsum_door,
    promote=False)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along dim: y[i] = x[0] + ... + x[i].

    Raises: ValueError if dim does not exist.
    """
    return np.cumsum(input, dim, dtype) if np.ndim(input) else np.array(input, dtype)
cumsum.vjp(input=lambda g, dim: flip(cumsum(flip(g, dim), dim), dim) if g.ndim else g)


# --- extremes ------------------------------------------------------------------------------------

class Extremes(NamedTuple):
    """What max, min, sort and topk along a dimension return."""
    values: Any
    indices: Any


def _nonempty(name, input, dim):
    """Raises ValueError where an extreme would be taken of no elements."""
    shape = np.shape(input)
    if 0 in shape and not _count(shape, dim):
        raise ValueError(f"{name}: a tensor of shape {shape} has no elements "
                         + ("" if dim is None else f"along dim {dim} ") + "to choose from")


def _extreme_door(name):
    def door(input, dim, keepdim):
        dim = many_dims(name, dim, np.ndim(input))
        _nonempty(name, input, dim)
        return input, dim, keepdim
    return door


def _extreme_rule(g, input, out, input_shape, dim, keepdim):
    best = _spread(out, input_shape, dim, keepdim)
    # An element that is not a number makes the result such, and so owns its gradient.
    won = to(logical_or(eq(input, best), ne(input, input)), g.dtype)
    return won * _spread(g, input_shape, dim, keepdim) / sum(won, dim, True)


def _ties(r):                                      # where ties share: as smooth as without
    return [(r.apart(3, 4),), (r.apart(2, 3, 4), 1), (r.apart(2, 3, 4), (0, -1)),
            (r.apart(3, 4), (1,), True)]


@op(samples=_ties, ref=_axis(np.max), door=_extreme_door("amax"))
def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.max(input, axis=dim, keepdims=keepdim)
amax.vjp(input=_extreme_rule)


@op(samples=_ties, ref=_axis(np.min), door=_extreme_door("amin"))
def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.min(input, axis=dim, keepdims=keepdim)
amin.vjp(input=_extreme_rule)


def _chosen_door(name):
    def door(input, dim, keepdim):
        d = None if dim is None else one_dim(name, dim, np.ndim(input))
        _nonempty(name, input, None if d is None or not np.ndim(input) else (d,))
        return input, d, keepdim
    return door


_ties_of_one = lambda r: [(r.apart(3, 4),), (r.apart(2, 3, 4), 1), (r.apart(3, 4), -1, True)]


@op(samples=_ties_of_one,
    ref=_axis(np.argmax), door=_chosen_door("argmax"))
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the (first) largest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.argmax(input, axis=dim, keepdims=keepdim)


@op(samples=_ties_of_one, ref=_axis(np.argmin), door=_chosen_door("argmin"))
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the (first) smallest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.argmin(input, axis=dim, keepdims=keepdim)


def _at_extreme(input, dim, keepdim, arg):
    """((values, indices), indices with the dimension kept: what the derivative needs)."""
    if not np.ndim(input):
        at = np.zeros((), np.int64)
        return (np.array(input), at), at
    kept = arg(input, axis=dim, keepdims=True)
    values = np.take_along_axis(input, kept, dim)
    return (values, kept) if keepdim else (values.squeeze(dim), kept.squeeze(dim)), kept


def _at_extreme_rule(g, input_shape, dim, keepdim, aux):
    from .indexing import gather_grad  # indexing builds on this file
    if not input_shape:
        return g[0]
    return gather_grad(g[0] if keepdim else reshape(g[0], aux.shape), dim, aux, input_shape)


def _at_extreme_ref(ref):
    return lambda x, dim, keepdim=False: (ref[0](x, axis=dim, keepdims=keepdim),
                                          ref[1](x, axis=dim, keepdims=keepdim))


_one_dim_samples = lambda r: [(r.apart(3, 4), 0), (r.apart(2, 3, 4), -2), (r.apart(2, 3), 1, True)]


@op(samples=_one_dim_samples, ref=_at_extreme_ref((np.max, np.argmax)),
    door=_chosen_door("max_dim"))
def max_dim(input: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """max(input, dim): the largest elements along dim and their indices."""
    return _at_extreme(input, dim, keepdim, np.argmax)
max_dim.vjp(input=_at_extreme_rule)


@op(samples=_one_dim_samples, ref=_at_extreme_ref((np.min, np.argmin)),
    door=_chosen_door("min_dim"))
def min_dim(input: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """min(input, dim): the smallest elements along dim and their indices."""
    return _at_extreme(input, dim, keepdim, np.argmin)
min_dim.vjp(input=_at_extreme_rule)


def _extreme_samples(r):
    a, b = np.split(r.apart(2, 3, 4), 2)
    return [(r.apart(3, 4),), (r.apart(3, 4), 0), (r.apart(2, 3), 1, True), (a[0], b[0])]


def _extreme_ref(pair, elementwise):
    def function(x, dim=None, keepdim=False):
        if isinstance(dim, ndarray):
            return elementwise(x, dim)
        return pair[0](x) if dim is None else _at_extreme_ref(pair)(x, dim, keepdim)
    return function


def _extreme(name, input, dim, keepdim, other, overall, along, elementwise):
    if isinstance(dim, (Tensor, ndarray)):
        other = dim
    if other is not None:
        return elementwise(input, other)
    if dim is None:
        if keepdim:
            raise ValueError(f"{name}: keepdim=True needs a dim; for all dimensions use "
                             f"a{name}(x, keepdim=True)")
        return overall(input)
    if isinstance(dim, (tuple, list)):
        raise ValueError(f"{name}: want one dim, got {dim}: there is no single index in several; "
                         f"use a{name} for the values")
    return Extremes(*along(input, dim, keepdim))


@composite(samples=_extreme_samples, ref=_extreme_ref((np.max, np.argmax), np.maximum))
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element. Three forms, as in torch:

    max(input): of all elements; equal ones share the gradient evenly.
    max(input, dim, keepdim=False): (values, indices) along one dimension, the first of equal ones;
    the
        gradient goes to the element at the index.
    max(input, other): maximum(input, other), elementwise.

    Raises: ValueError if there are no elements, or dim does not exist or is several.
    """
    return _extreme("max", input, dim, keepdim, other, amax, max_dim, maximum)


@composite(samples=_extreme_samples, ref=_extreme_ref((np.min, np.argmin), np.minimum))
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element: min(input), min(input, dim) or min(input, other); see max."""
    return _extreme("min", input, dim, keepdim, other, amin, min_dim, minimum)


def _truth_door(name):
    return lambda input, dim, keepdim: (input, many_dims(name, dim, np.ndim(input)), keepdim)


@op(samples=lambda r: [(r.mask(3, 4),), (r.mask(3, 4), 0), (r.mask(3, 4), 1, True)],
    ref=_axis(np.all), door=_truth_door("all"))
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether all elements along dim are true (not zero); true if there are none."""
    return np.all(input, axis=dim, keepdims=keepdim)


@op(samples=lambda r: [(r.mask(3, 4),), (r.mask(3, 4), 0), (r.mask(3, 4), 1, True)],
    ref=_axis(np.any), door=_truth_door("any"))
def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether any element along dim is true (not zero); false if there are none."""
    return np.any(input, axis=dim, keepdims=keepdim)


# --- products and norms --------------------------------------------------------------------------

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
    return input, d, keepdim, None if dtype is None else as_dtype("prod", dtype)


def _prod_rule(g, input, input_shape, dim, keepdim):
    if not input_shape or 0 in input_shape:
        return expand(g, input_shape) if g.ndim == 0 else input * 0.0
    x, d = (reshape(input, (-1,)), 0) if dim is None else (input, dim)
    others = _before(x, d) * flip(_before(flip(x, d), d), d)
    dims = None if dim is None else (d,)
    return reshape(others, input_shape) * _spread(g, input_shape, dims, keepdim)


def _prod_samples(r):
    x = r(3, 4)
    x[0, 1] = x[2, 1] = x[1, 2] = 0.0
    return [(r(5),), (r(2, 3, 4), 1), (r(3, 4), -1, True), (x, 0), (r(3), {"keepdim": True})]


@op(samples=_prod_samples, ref=_axis(np.prod), door=_prod_door, promote=False)
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
         dtype: Any = None) -> Tensor:
    """The product of the elements along dim, or of all. The gradient is right at zeros too.

    dtype: multiply in this dtype instead (and return it).

    Raises: ValueError if dim does not exist.
    """
    if dtype is None and np.result_type(input).kind == "u":
        dtype = np.int64
    axis = None if np.ndim(input) == 0 else dim
    return np.multiply.reduce(input, axis=axis, dtype=dtype, keepdims=keepdim)
prod.vjp(input=_prod_rule)


def _norm_door(input, ord, dim, keepdim):
    _check_floating("norm", input)
    if not 0 < ord < math.inf:
        raise ValueError(f"vector_norm: want 0 < ord < inf, got {ord}; use norm for the others")
    return input, float(ord), many_dims("norm", dim, np.ndim(input)), keepdim


def _norm_rule(g, input, out, input_shape, ord, dim, keepdim):
    scale = _spread(where(eq(out, 0.0), 0.0, g), input_shape, dim, keepdim)
    ratio = input / _spread(where(eq(out, 0.0), 1.0, out), input_shape, dim, keepdim)
    if ord == 2.0:
        return scale * ratio
    if ord == 1.0:
        return scale * sign(input)
    return scale * sign(input) * absolute(ratio) ** (ord - 1.0)


@op(samples=lambda r: [(r(3, 4),), (r(2, 3, 4), 2, 1), (r.apart(3, 4), 1.0, (0, 1)),
                       (r.apart(3, 4), 3.0, -1, True), (r.apart(3, 4), 2.5, 0)],
    ref=lambda x, ord=2, dim=None, keepdim=False: (np.abs(x) ** ord).sum(
        axis=dim, keepdims=keepdim) ** (1 / ord), door=_norm_door)
def vector_norm(input: Tensor, ord: float = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """sum(|x| ** ord) ** (1 / ord) along dim. Where the norm is 0 the gradient is 0, as in torch.

    Raises: TypeError for integers; ValueError unless 0 < ord < inf, or if dim does not exist.
    """
    if ord == 2.0:
        return np.sqrt(np.add.reduce(np.square(input), axis=dim, keepdims=keepdim))
    powers = np.abs(input) if ord == 1.0 else np.abs(input) ** ord
    total = np.add.reduce(powers, axis=dim, keepdims=keepdim)
    return total if ord == 1.0 else total ** (1.0 / ord)
vector_norm.vjp(input=_norm_rule)


@composite(samples=lambda r: [(r(3, 4),), (r(3, 4), 2, 1), (r(3, 4), "fro", (0, 1)),
                              (r.apart(3, 4), math.inf, 0), (r.apart(3, 4), -math.inf, 0, True),
                              (r.apart(3, 4), 0, 1)],
           ref=lambda x, p=2, dim=None, keepdim=False: np.linalg.norm(
               x.ravel() if dim in (None, (0, 1)) else x, 2 if p == "fro" else p,
               None if dim == (0, 1) else dim, keepdim))
def norm(input: Tensor, p: float | str = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The norm of the elements along dim, taken as a vector (also of a matrix), as torch.norm.

    p: 2 or "fro": sqrt(sum(x**2)); inf: max |x|; -inf: min |x|; 0: how many are not 0; else
    sum(|x|**p) ** (1/p). Where the norm is 0 the gradient is 0.

    Raises: TypeError for integers; ValueError for another p, or if dim does not exist.
    """
    if p == "fro":
        p = 2
    if not isinstance(p, (int, float, np.number)) or p != p or -math.inf < p < 0:
        raise ValueError(f"norm: p must be 'fro', inf, -inf or a number >= 0, got {p!r}")
    if p == 0:
        return sum(to(ne(input, 0), input.dtype), dim, keepdim)
    if math.isinf(p):
        return (amax if p > 0 else amin)(absolute(input), dim, keepdim)
    return vector_norm(input, p, dim, keepdim)
