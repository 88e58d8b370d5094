"""What an index means: x[2, :, i] and its like brought to one form, or refused with the reason.

A normal index is one of these parts, or a tuple of them:

    2          an int takes a dimension away
    1:3        a slice keeps one
    None       adds one, of size 1
    ...        stands for all dimensions that no other part takes
    i          an integer array takes one dimension; all arrays broadcast to one shape, and the
               result has that in their place
    mask       a boolean array takes as many dimensions as it has: it is the integer arrays of the
               places where it is true

Without arrays it is basic, and x[index] a view; with integer arrays a place may be named twice.
Not here: reading and writing at an index (`indexing.py`).
"""
from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor, to_array
from ..foreign import got

_ELLIPSIS = type(Ellipsis)
_BASIC = frozenset((int, slice, type(None), _ELLIPSIS))


# --- to one form ---------------------------------------------------------------------------------

def normal_index(index: Any, ndim: int) -> Any:
    """The index, of a tensor with so many dimensions, with each Tensor, list or range in it as an
    array; a tuple if there is one.

    An Ellipsis of no dimensions is left out beside arrays: to NumPy it would keep them apart, and
    put their dimensions in front. To torch it is nothing.

    Raises: TypeError for what is no index.
    """
    if index.__class__ in _BASIC:
        return index
    if index.__class__ is not tuple:
        part = _normal_part(index)
        return (part,) if part.__class__ is ndarray else part
    if is_basic(index):
        return index
    index = tuple([_normal_part(p) for p in index])
    if len(index) > 2 and _ELLIPSIS in [p.__class__ for p in index] and \
            sum(map(dims_taken, index)) >= ndim:
        return tuple([p for p in index if p is not Ellipsis])
    return index


def _normal_part(part):
    if part.__class__ in _BASIC:
        return part
    if isinstance(part, (bool, np.bool_)):
        return np.asarray(part)
    if isinstance(part, Tensor):
        part = part.array
    elif isinstance(part, (list, tuple, range)):
        part = to_array(list(part)) if len(part) else np.zeros(0, np.int64)
    if isinstance(part, ndarray):
        if part.dtype.kind not in "iub":
            raise TypeError(f"getitem: indices must be integers or booleans, got a tensor of "
                            f"{part.dtype}; convert it first: index.long()")
        if not part.ndim and part.dtype.kind != "b":
            return int(part)
        return np.asarray(part, order="C")
    try:
        return operator.index(part)
    except TypeError:
        raise TypeError("getitem: an index must be an integer, a slice, None, ..., or a tensor or "
                        "list of integers or booleans, got "
                        + got(part, f" {part!r}")) from None


# --- what is in it -------------------------------------------------------------------------------

def is_basic(index: Any) -> bool:
    """Whether there are no arrays in it."""
    if index.__class__ is tuple:
        for part in index:  # all() takes 0.3 us more
            if part.__class__ not in _BASIC:
                return False
    return True


def arrays_of(index: Any) -> list[ndarray]:
    """The arrays in it: of integers, and masks."""
    return [p for p in index if p.__class__ is ndarray] if index.__class__ is tuple else []


def may_repeat(index: Any) -> bool:
    """Whether one element may be named twice.

    Raises: TypeError for an index that is not normal, which is a mistake of ours.
    """
    repeats = False
    for part in index if index.__class__ is tuple else (index,):
        if part.__class__ is ndarray:
            repeats = repeats or part.dtype.kind != "b"
        elif part.__class__ not in _BASIC:
            raise TypeError(f"getitem: {part!r} is no part of a normal index, see normal_index")
    return repeats


def _is_mask(part):
    return isinstance(part, ndarray) and part.dtype.kind == "b"


def dims_taken(part: Any) -> int:
    """How many dimensions of the tensor a part of an index is for; an Ellipsis is for the rest."""
    return part.ndim if _is_mask(part) else 0 if part is None or part is Ellipsis else 1


# --- which element is where ----------------------------------------------------------------------

def integers_first(index: Any) -> tuple[tuple, tuple] | None:
    """A mixed index as two steps, if NumPy's own order of the result would not be torch's.

    x[2, :, i] with a tensor i: NumPy takes 2 for an index tensor too, finds the two apart, and puts
    their dimension in front; torch takes integers first, as x[2, :][:, i]. None if it is the same.
    """
    if is_basic(index):
        return None
    taken = [k for k, p in enumerate(index) if p.__class__ is int or p.__class__ is ndarray]
    together = taken[-1] - taken[0] == len(taken) - 1
    if together or not any([index[k].__class__ is int for k in taken]):
        return None
    first: list[Any] = []
    for p in index:
        first += [slice(None)] * dims_taken(p) if p.__class__ is ndarray else [p]
    then = [p if p.__class__ is ndarray or p is Ellipsis else slice(None)
            for p in index if p.__class__ is not int]
    return tuple(first), tuple(then)


def places_of(shape: tuple[int, ...], index: Any) -> ndarray:
    """For each element of x[index], its place in x.reshape(-1)."""
    return np.arange(math.prod(shape)).reshape(shape)[index]


def last_writers(shape: tuple[int, ...], index: Any) -> ndarray:
    """For each element of x[index], whether it is the last that is written to its place."""
    writer = np.zeros(shape, np.intp)
    numbers = np.arange(writer[index].size).reshape(writer[index].shape)
    writer[index] = numbers
    return writer[index] == numbers


# --- the index that does not fit -----------------------------------------------------------------

def misfit(name: str, error: Exception, shape: tuple[int, ...], index: Any) -> IndexError:
    """The IndexError that says which part of an index does not fit which dimension."""
    parts = index if isinstance(index, tuple) else (index,)
    used = sum(map(dims_taken, parts))
    if used > len(shape):
        return IndexError(f"{name}: {used} indices for a tensor of {len(shape)} dimensions "
                          f"(shape {shape})")
    dim, skipped = 0, len(shape) - used            # skipped: what the Ellipsis stands for
    for part in parts:
        n = dims_taken(part)
        if part is Ellipsis:
            dim, skipped = dim + skipped, 0
        elif n and not isinstance(part, slice):
            wrong = _wrong_mask(part, dim, shape[dim:dim + n]) if _is_mask(part) else \
                _wrong_integer(part, dim, shape[dim])
            if wrong is not None:
                return IndexError(f"{name}: {wrong}")
        dim += n
    return IndexError(f"{name}: {error} (tensor of shape {shape}, index tensors of "
                      f"shapes {[p.shape for p in arrays_of(parts)]})")


def _wrong_mask(mask, dim, shape):
    if mask.shape != shape:
        last = dim + mask.ndim - 1
        place = f"dimension {dim}" if last == dim else f"dimensions {dim} to {last}"
        return f"a mask of shape {mask.shape} does not fit {place} of the tensor, of shape {shape}"
    return None


def _wrong_integer(asked, dim, size):
    asked = np.asarray(asked)
    wrong = asked[(asked < -size) | (asked >= size)]
    if wrong.size:
        valid = f"valid: {-size} to {size - 1}" if size else "it is empty"
        return f"index {wrong[0]} is out of range for dimension {dim} of size {size} ({valid})"
    return None
