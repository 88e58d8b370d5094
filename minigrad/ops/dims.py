"""Dimensions and shapes as users give them, brought to one form or refused with the reason.

An op names a reader (one_dim, many_dims, chosen_dims, new_dim) for each option that is a dimension:
`dims` in autograd/op.py. Not here: operations.
"""
from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from numpy import ndarray

from ..autograd.options import Case, Option

Dim = int | tuple[int, ...] | None                 # one dimension, several, or all


def one_dim(name: str, dim: Any, ndim: int, what: str = "dim") -> int:
    """The dimension counted from 0. A 0-dimensional tensor has, as in torch, a dimension 0 or -1.

    Raises: TypeError if it is not an integer; ValueError outside -ndim .. ndim - 1.
    """
    n = ndim or 1
    try:
        d = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name}: {what} must be an integer, got {dim!r}") from None
    if not -n <= d < n:
        raise ValueError(f"{name}: {what}={d} does not exist: the tensor has {ndim} dimensions, so "
                         f"{what} must be from {-n} to {n - 1}")
    return d + n if d < 0 else d


def many_dims(name: str, dim: Any, ndim: int, what: str = "dim",
              empty: tuple[()] | None = None) -> tuple[int, ...] | None:
    """The dimensions counted from 0, as a tuple; None for all.

    empty: what an empty sequence is. To a sum it is all dimensions, to flip, any and all it is
    none: as in torch, function by function.

    Raises: ValueError if one does not exist or comes twice; TypeError if one is not an integer.
    """
    if dim is None:
        return None
    if dim.__class__ is int:
        return (one_dim(name, dim, ndim, what),) if ndim or dim not in (0, -1) else ()
    given = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    dims = tuple([one_dim(name, d, ndim, what) for d in given])
    if len(set(dims)) < len(dims):
        raise ValueError(f"{name}: {what}={given} names a dimension twice (the tensor has {ndim} "
                         "dimensions)")
    return (dims or empty) if ndim else ()


def chosen_dims(name: str, dim: Any, ndim: int, what: str = "dim") -> tuple[int, ...] | None:
    """many_dims where an empty sequence means no dimension."""
    return many_dims(name, dim, ndim, what, ())


def new_dim(name: str, dim: Any, ndim: int, what: str = "dim") -> int:
    """The place of a dimension that will be inserted, from 0 to ndim: one_dim of the result."""
    return one_dim(name, dim, ndim + 1, what)


def as_shape(name: str, sizes: Any) -> tuple[int, ...]:
    """A shape that a user gave: an integer, or a sequence of them."""
    if sizes.__class__ is tuple:
        return sizes
    try:
        if isinstance(sizes, (list, ndarray)):
            return tuple([operator.index(n) for n in sizes])
        return (operator.index(sizes),)
    except TypeError:
        raise TypeError(f"{name}: want a shape, a tuple of integers, got {sizes!r}") from None


def spelt_product(sizes: Sequence[int]) -> str:
    """'2*3 = 6'; '5' for one size, '1' for none."""
    if len(sizes) < 2:
        return str(math.prod(sizes))
    return f"{'*'.join(map(str, sizes))} = {math.prod(sizes)}"


def along(dim: int, part: Any) -> tuple:
    """The index of which `part` is what is taken along dim, and everything along those before."""
    return (slice(None),) * dim + (part,)


def count_of(shape, dim):
    """How many elements go into one result."""
    return math.prod(shape if dim is None else [shape[d] for d in dim])


class dims(Option):
    """Dimensions of an argument: one, several, or None for all, as a tuple counted from 0."""
    exact = True
    wants = "a dimension, several, or None for all"
    wrong: tuple[Any, ...] = (99, -99, 1.5, "1", (0, 0))

    def __init__(self, argument: str = "input") -> None:
        self.argument = argument

    def check(self, case: Case, name: str, value: Any) -> Any:
        """The tuple; None stays None."""
        return many_dims(case.op, value, len(case.shapes[self.argument] or ()), name)
