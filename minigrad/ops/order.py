"""Which elements are the largest, and in which order: max, min, argmax, sort, topk.

An element that was chosen gets the gradient; the choice itself has none. Not here: the larger of
two tensors, elementwise (`elementwise.py`).
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor, wrap
from ..autograd.arguments import refuse_other
from ..autograd.op import composite
from ..kernels.rowwise import order as kernel
from .cast import clone, to
from .dims import Dim, one_dim
from .elementwise import eq, logical_or, maximum, minimum, ne
from .gather import gather, gather_grad
from .kinds import movement, reduction
from .reduce import sum
from .shape import reshape, spread

# --- extremes ------------------------------------------------------------------------------------

class Extremes(NamedTuple):
    """What max, min, sort and topk along a dimension return."""
    values: Tensor
    indices: Tensor


def _extreme_rule(g, input, out, input_shape, dim, keepdim):
    best = spread(out, input_shape, dim, keepdim)
    # An element that is not a number makes the result such, and so owns its gradient.
    won = to(logical_or(eq(input, best), ne(input, input)), g.dtype)
    return won * spread(g, input_shape, dim, keepdim) / sum(won, dim, True)


def _ties(r):                                      # where ties share: as smooth as without
    return [(r.apart(3, 4),), (r.apart(2, 3, 4), 1), (r.apart(2, 3, 4), (0, -1)),
            (r.apart(3, 4), (1,), True)]


@reduction(np.max, samples=_ties, choice=True)
def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.max(input, axis=dim, keepdims=keepdim)
amax.vjp(input=_extreme_rule)


@reduction(np.min, samples=_ties, choice=True)
def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.min(input, axis=dim, keepdims=keepdim)
amin.vjp(input=_extreme_rule)


_ties_of_one = lambda r: [(r.apart(3, 4),), (r.apart(2, 3, 4), 1), (r.apart(3, 4), -1, True)]


@reduction(np.argmax, samples=_ties_of_one, read=one_dim, choice=True, any_dtype=True)
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the (first) largest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.argmax(input, axis=dim, keepdims=keepdim)


@reduction(np.argmin, samples=_ties_of_one, read=one_dim, choice=True, any_dtype=True)
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the (first) smallest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
    return np.argmin(input, axis=dim, keepdims=keepdim)


def _at_extreme(input, dim, keepdim, arg):
    """((values, indices), indices with the dimension kept: what the derivative needs)."""
    if not input.ndim:
        at = np.zeros((), np.int64)
        return (np.array(input), at), at
    kept = arg(input, axis=dim, keepdims=True)
    values = np.take_along_axis(input, kept, dim)
    return (values, kept) if keepdim else (values.squeeze(dim), kept.squeeze(dim)), kept


def _at_extreme_rule(g, input_shape, dim, keepdim, aux):
    if not input_shape:
        return g[0]
    return gather_grad(g[0] if keepdim else reshape(g[0], aux.shape), dim, aux, input_shape)


def _at_extreme_ref(best, place):
    return lambda x, dim, keepdim=False: (best(x, axis=dim, keepdims=keepdim),
                                          place(x, axis=dim, keepdims=keepdim))


_one_dim_samples = lambda r: [(r.apart(3, 4), 0), (r.apart(2, 3, 4), -2), (r.apart(2, 3), 1, True)]


@reduction(ref=_at_extreme_ref(np.max, np.argmax), samples=_one_dim_samples, read=one_dim,
           choice=True, any_dtype=True)
def max_dim(input: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """max(input, dim): the largest elements along dim and their indices."""
    return _at_extreme(input, dim, keepdim, np.argmax)
max_dim.vjp(input=_at_extreme_rule)


@reduction(ref=_at_extreme_ref(np.min, np.argmin), samples=_one_dim_samples, read=one_dim,
           choice=True, any_dtype=True)
def min_dim(input: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """min(input, dim): the smallest elements along dim and their indices."""
    return _at_extreme(input, dim, keepdim, np.argmin)
min_dim.vjp(input=_at_extreme_rule)


def _extreme_samples(r):
    a, b = np.split(r.apart(2, 3, 4), 2)
    return [(r.apart(3, 4),), (r.apart(3, 4), 0), (r.apart(2, 3), 1, True), (a[0], b[0])]


def _extreme_ref(best, place, elementwise):
    def function(x, dim=None, keepdim=False):
        if isinstance(dim, ndarray):
            return elementwise(x, dim)
        return best(x) if dim is None else _at_extreme_ref(best, place)(x, dim, keepdim)
    return function


def _extreme(name, input, dim, keepdim, other, overall, along_dim, elementwise):
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
    return Extremes(*along_dim(input, dim, keepdim))


@composite(samples=_extreme_samples, ref=_extreme_ref(np.max, np.argmax, np.maximum))
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element. Three forms, as in torch:

    max(input): of all elements; equal ones share the gradient evenly.
    max(input, dim, keepdim=False): (values, indices) along one dimension; of equal ones the first,
        which gets the gradient.
    max(input, other): maximum(input, other), elementwise.

    Raises: ValueError if there are no elements, or dim does not exist or is several.
    """
    return _extreme("max", input, dim, keepdim, other, amax, max_dim, maximum)


@composite(samples=_extreme_samples, ref=_extreme_ref(np.min, np.argmin, np.minimum))
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element: min(input), min(input, dim) or min(input, other); see max."""
    return _extreme("min", input, dim, keepdim, other, amin, min_dim, minimum)


# --- order ---------------------------------------------------------------------------------------

def _argsort_ref(x, dim=-1, descending=False):
    return np.argsort(-x if descending else x, dim)


@movement(samples=lambda r: [(r.apart(3, 4),), (r.apart(3, 4), 0, True)], ref=_argsort_ref,
          dims={"dim": one_dim})
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort the input along dim. Equal elements keep their order (always stable);
    what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """
    if not input.ndim:
        return np.zeros((), np.int64)
    return kernel.argsort(input, dim, descending)


@composite(samples=lambda r: [(r.apart(3, 4),), (r.apart(3, 4), 0, True)],
           ref=lambda x, dim=-1, d=False: (
               np.take_along_axis(x, _argsort_ref(x, dim, d), dim), _argsort_ref(x, dim, d)))
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Extremes:
    """(values, indices) sorted along dim; the gradient of a value goes to the element it came from.

    Equal elements keep their order; what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """
    indices = argsort(input, dim, descending)
    return Extremes(gather(input, dim, indices), indices)


def _topk_ref(x, k, dim=-1, largest=True):
    i = np.take(np.argsort(-x if largest else x, dim), np.arange(k), dim)
    return np.take_along_axis(x, i, dim), i


@composite(samples=lambda r: [(r.apart(3, 5), 2), (r.apart(5, 3), 3, 0, False),
                              (r.apart(2, 40), 3)], ref=_topk_ref)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True,
         sorted: bool = True) -> Extremes:
    """(values, indices) of the k largest (or smallest) elements along dim, best first.

    Raises: ValueError if there are fewer than k elements, or dim does not exist.
    """
    refuse_other("topk", input=input)
    array = input.array if isinstance(input, Tensor) else input
    d = one_dim("topk", dim, array.ndim)
    n = array.shape[d] if array.ndim else 1
    if not 0 <= k <= n:
        raise ValueError(f"topk: k={k} of {n} elements along dim {dim} (shape {array.shape}); want "
                         f"0 <= k <= {n}")
    if not array.ndim:
        return Extremes(clone(input), argsort(input)) if k else \
            Extremes(reshape(input, (1,))[:0], reshape(argsort(input), (1,))[:0])
    at = kernel.argtopk(array, k, d, largest)
    indices = wrap(at) if isinstance(input, Tensor) else at
    return Extremes(gather(input, d, indices), indices)
