"""What families of operations share, said once: samples, references, the dtypes, the dimensions.

A kind is a decorator like `op` (autograd/op.py), whose options it also takes; what a function says
beside it is what it has for itself. Not here: the operations.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy import ndarray

from ..autograd.op import OpFunction, op
from ..promotion import INT64, WIDE, dtype_named
from .dims import count_of, many_dims

P = ParamSpec("P")
R = TypeVar("R")
Decorator = Callable[[Callable[P, R]], OpFunction[P, R]]


# --- reductions: many numbers along dimensions become one ----------------------------------------

def along_dims(r):
    """Samples for every function of (input, dim, keepdim) that takes several dims."""
    return [(r(3, 4),), (r(2, 3, 4), 1), (r(2, 3, 4), (0, -1)), (r(2, 3, 4), (1,), True),
            (r(3, 4), {"keepdim": True})]


def reduction(numpys: Callable | None = None, *, samples: Callable = along_dims,
              ref: Callable | None = None, read: Callable = many_dims, choice: bool = False,
              any_dtype: bool = False, **about: Any) -> Decorator:
    """An op of (input, dim, keepdim), also called axis and keepdims.

    The forward gets dim as NumPy's functions take it: a tuple counted from 0, or None for all.

    numpys: the function of NumPy that does the same (else say ref). read: how dim is read, see
    `dims.py`: many_dims, chosen_dims (where () is no dimension), one_dim. choice: the result is
    one of the elements or its place, so that there must be some. any_dtype: it does not compute
    with the numbers, but looks which they are.
    """
    if any_dtype:
        about.update(promote=False, moves=True)

    def decorate(forward: Callable[P, R]) -> OpFunction[P, R]:
        door = {"door": _refuse_nothing(forward.__name__)} if choice else {}
        return op(samples=samples, ref=ref or under_torchs_names(numpys), dims={"dim": read},
                  **door, **about)(forward)
    return decorate


def under_torchs_names(numpys: Any) -> Callable:
    """A NumPy function of (x, axis, keepdims) as one of (x, dim, keepdim), for references."""
    def function(x: ndarray, dim: Any = None, keepdim: bool = False, **options: Any) -> ndarray:
        return numpys(x, axis=dim, keepdims=keepdim, **options)
    return function


def _refuse_nothing(name: str) -> Callable:
    """The door of a function that chooses among elements: it refuses to choose from none."""
    def door(input: ndarray, dim: Any, keepdim: bool) -> tuple:
        if not input.size:
            shape = input.shape
            along = None if dim is None or not shape else (dim,) if dim.__class__ is int else dim
            if not count_of(shape, along):
                raise ValueError(f"{name}: a tensor of shape {shape} has no elements "
                                 + ("" if along is None else f"along dim {along} ")
                                 + "to choose from")
        return input, dim, keepdim
    return door


def refuse_integers(name: str, input: ndarray) -> None:
    """Raises TypeError for integers and booleans, whose mean or norm is none of their kind."""
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: want a floating tensor, got {input.dtype}; convert it first, for "
                        f"example x.float().{name}()")


def accumulated(name: str, reduce: Callable, x: ndarray, dtype: Any, *along: Any) -> ndarray:
    """reduce(x, *along) of x converted to `dtype`, which is what the option dtype of sum and its
    like means. None: integers and booleans as int64, floats as they are.

    Converted to float16 is the result only: sums of its numbers overflow and stall.
    reduce(x, *along, dtype): for integers NumPy converts on the way.
    """
    if dtype is None:
        if x.dtype.kind == "f":
            return reduce(x, *along)
        dtype = INT64
    else:
        dtype = dtype_named(name, dtype)
    if dtype.kind != "f":
        return reduce(x, *along, dtype)
    return np.asarray(reduce(x.astype(WIDE.get(dtype, dtype), copy=False), *along)
                      ).astype(dtype, copy=False)


# --- movements: numbers get another place, and stay what they are --------------------------------

def movement(**about: Any) -> Decorator:
    """An op that computes nothing: any dtype goes in, and comes out."""
    return op(promote=False, moves=True, **about)
