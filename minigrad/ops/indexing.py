"""x[index] and x[index] = value, with their derivatives, which put gradients back in their place.

getitem and getitem_grad are each other's derivative: reading x[i] sends the gradient back by adding
into zeros at i, where a repeated index gets several. Indices themselves have no gradient. Not here:
gather and scatter (`gather.py`), views along whole dimensions such as split (`join.py`).
"""
from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.accumulate import shares_memory
from ..autograd.construct import to_array
from ..autograd.engine import Tensor
from ..autograd.inplace import refuse_leaf_write
from ..foreign import got
from ..modes import settings
from ..autograd.op import op
from ..promotion import DTYPES, as_own, refuse_unfit
from ..sums import MANY, total
from ..autograd.writes import record_write
from .elementwise import where
from .shape import reshape

_ELLIPSIS = type(Ellipsis)
BASIC = frozenset((int, slice, type(None), _ELLIPSIS))


# --- x[index] ------------------------------------------------------------------------------------

def normal_index(index: Any, ndim: int) -> Any:
    """The index, of a tensor with so many dimensions, with each Tensor, list or range in it as an
    array; a tuple if there is one.

    An Ellipsis of no dimensions is left out beside arrays: to NumPy it would keep them apart, and
    put their dimensions in front. To torch it is nothing.
    """
    if index.__class__ in BASIC:
        return index
    if index.__class__ is tuple:
        for part in index:
            if part.__class__ not in BASIC:
                index = tuple([_index_part(p) for p in index])
                if len(index) > 2 and _ELLIPSIS in [p.__class__ for p in index] and \
                        sum(map(_dims_taken, index)) >= ndim:
                    return tuple([p for p in index if p is not Ellipsis])
                return index
        return index
    part = _index_part(index)
    return (part,) if part.__class__ is ndarray else part


def _index_part(part):
    if part.__class__ in BASIC:
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


def _index_error(name, error, shape, index):
    """The IndexError that says which index does not fit which dimension."""
    parts = index if isinstance(index, tuple) else (index,)
    used = sum(map(_dims_taken, parts))
    if used > len(shape):
        return IndexError(f"{name}: {used} indices for a tensor of {len(shape)} dimensions "
                          f"(shape {shape})")
    dim, skipped = 0, len(shape) - used            # skipped: what the Ellipsis stands for
    for part in parts:
        n = _dims_taken(part)
        if part is Ellipsis:
            dim, skipped = dim + skipped, 0
        elif _is_mask(part):
            if part.shape != shape[dim:dim + n]:
                place = f"dimension {dim}" if n == 1 else f"dimensions {dim} to {dim + n - 1}"
                return IndexError(f"{name}: a mask of shape {part.shape} does not fit {place} "
                                  f"of the tensor, of shape {shape[dim:dim + n]}")
        elif part is not None and not isinstance(part, slice):
            size, asked = shape[dim], np.asarray(part)
            wrong = asked[(asked < -size) | (asked >= size)]
            if wrong.size:
                valid = f"valid: {-size} to {size - 1}" if size else "it is empty"
                return IndexError(f"{name}: index {wrong[0]} is out of range for dimension {dim} "
                                  f"of size {size} ({valid})")
        dim += n
    arrays = [p.shape for p in parts if isinstance(p, ndarray)]
    return IndexError(f"{name}: {error} (tensor of shape {shape}, index tensors of "
                      f"shapes {arrays})")


def _is_mask(part):
    return isinstance(part, ndarray) and part.dtype.kind == "b"


def _dims_taken(part):
    """How many dimensions of the tensor a part of an index is for; an Ellipsis is for the rest."""
    return part.ndim if _is_mask(part) else 0 if part is None or part is Ellipsis else 1


def _getitem_samples(r):
    i, j = r.integers(3, 5), r.integers(4, 5)
    mask = r.mask(3, 4)
    return [(r(3, 4), 1), (r(3, 4), (slice(None), slice(None, None, 2))), (r(3, 4), (2, -1)),
            (r(3, 4), (None, Ellipsis, 0)), (r(3, 4), slice(None, None, -1)),
            (r(3, 4), (i,)), (r(3, 4), (slice(None), j)), (r(3, 4), (i, j)), (r(3, 4), (mask,)),
            (r(2, 3, 4), (slice(None), i, j)), (r(3, 2, 4), (i, slice(None), j)),
            (r(3, 4), (r.integers(3, 2, 2),)), (r(3, 4), (r.mask(3), slice(1, 3))),
            (r(3, 2, 4), (i, None, 1)), (r(3, 2, 4), (1, slice(None), j)),
            (r(5, 2), (np.array([3, 0, 4]),)), (r(3, 4), (np.array([0, -1, 2]), 1))]


@op(samples=_getitem_samples, ref=lambda x, index: x[index],
    door=lambda input, index: (input, normal_index(index, input.ndim)),
    promote=False, moves=True)
def getitem(input: Tensor, index: Any) -> Tensor:
    """The elements at an index of any kind that NumPy knows, or several in a tuple: integers,
    slices (also with negative steps), None, ..., integer or boolean tensors, arrays or lists.

    Integers and slices give a view, tensors and lists a copy.

    Raises: IndexError that says which index is out of range for which dimension, or which mask does
    not fit; TypeError for floats as indices.
    """
    try:
        out = input[index]
        if out.__class__ is not ndarray and index.__class__ is not tuple:
            return input[index, ...]               # a view of one element, not a copy of its value
        return out if out.__class__ is ndarray else input[(*index, ...)]
    except IndexError as error:
        raise _index_error("getitem", error, input.shape, index) from None
getitem.vjp(input=lambda g, index, input_shape: getitem_grad(g, index, input_shape))


def _put_back_samples(r):
    return [(x[index], index, x.shape) for x, index in _getitem_samples(r)]


def put_back_ref(g, index, shape):
    out = np.zeros(shape)
    np.add.at(out, index, g)
    return out


@op(samples=_put_back_samples, ref=put_back_ref)
def getitem_grad(g: Tensor, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with g added at [index]: the derivative of x[index].

    g: as x[index] -> shape. Where an index repeats, its gradients add up.
    """
    g = np.asarray(g)
    out = np.zeros(shape, g.dtype)
    arrays = [p for p in index if p.__class__ is ndarray] if index.__class__ is tuple else ()
    try:
        if all(p.dtype.kind == "b" for p in arrays):
            out[index] = g                         # no element is named twice
        else:
            _add_at(out, index, arrays, g)
    except (ValueError, IndexError) as error:
        raise ValueError(f"getitem_grad: g of shape {g.shape} is not as zeros({shape})[index]: "
                         f"{error}") from None
    return out
getitem_grad.vjp(g=lambda g, index: getitem(g, index))


def _add_at(out, index, arrays, g):
    """out[index] += g where indices may repeat. np.add.at is 10 times slower on whole rows."""
    at = next(i for i, p in enumerate(index) if p.__class__ is ndarray)
    if len(arrays) == 1 and all(isinstance(p, slice) and p == slice(None) for p in index[:at]) \
            and at == len(index) - 1:
        # One index tensor along dimension `at`: sort it, and add up the runs of equal indices.
        i = arrays[0].ravel()
        i = np.where(i < 0, i + out.shape[at], i)
        order = np.argsort(i, kind="stable")
        i = i[order]
        first = np.flatnonzero(np.r_[True, i[1:] != i[:-1]]) if i.size else i
        lead = (slice(None),) * at
        rows = g.reshape(*out.shape[:at], i.size, *out.shape[at + 1:])
        if first.size == i.size:
            out[(*lead, i)] = rows[(*lead, order)]
        else:
            out[(*lead, i[first])] = np.add.reduceat(rows[(*lead, order)], first, axis=at)
        return
    positions = np.arange(out.size).reshape(out.shape)[index]
    add_at(out, positions.ravel(), np.broadcast_to(g, positions.shape).ravel())


def add_at(out: ndarray, places: ndarray, values: ndarray) -> None:
    """out.flat[places] += values for an out of zeros; where a place comes again, values add up.

    Many are added in float64 (np.add.at adds in the dtype: a million times 0.1 in float32 is 1 %
    off). places (n,) from 0 on, values (n,).
    """
    n = places.size
    if out.dtype.kind != "f" or n < MANY:
        np.add.at(out.reshape(-1), places, values)
        return
    if out.size > 4 * n:                           # most get nothing
        used, places = np.unique(places, return_inverse=True)
    else:
        used = slice(None)
    size = len(used) if isinstance(used, ndarray) else out.size
    # Where even float64 is to keep its digits, no chain is longer than it must be.
    pieces = max(1, min(n // 64, n // size)) if out.itemsize == 8 else 1
    if pieces > 1:
        places = places + np.arange(n) * pieces // n * size
    sums = np.bincount(places, values, pieces * size)
    out.reshape(-1)[used] = sums if pieces == 1 else total(sums.reshape(pieces, size), (0,))


# --- x[index] = value ----------------------------------------------------------------------------

def _setitem_samples(r):
    i = np.array([2, 0, 2])
    return [(r(3, 4), 1, r(4)), (r(3, 4), (slice(None), slice(1, 3)), r(3, 1)),
            (r(3, 4), (1, 2), r()), (r(3, 4), (i,), r(3, 4)),
            (r(3, 4), (i, np.array([1, 1, 1])), r(3)),
            (r(3, 4), (r.mask(3, 4),), 2.5), (r(3, 4), slice(0, 2), r(1, 1, 4))]


def _setitem_ref(x, index, value):
    x = x.copy()
    x[index] = value
    return x


@op(samples=_setitem_samples, ref=_setitem_ref,
    door=lambda input, index, value, overwrite: (
        input, normal_index(index, input.ndim), value, overwrite),
    promote=False, moves=True)
def setitem(input: Tensor, index: Any, value: Tensor | float, overwrite: bool = False) -> Tensor:
    """A copy of input in which [index] is `value`, broadcast: x[index] = value as a function.

    Where an index repeats, the last value stays, and it alone gets a gradient. overwrite: write
    into input itself; only for Tensor.__setitem__, which knows when nobody sees it.

    Raises: IndexError as getitem; ValueError if value does not broadcast to input[index].
    """
    out = input if overwrite else np.array(input)
    write_at(out, index, value)
    return out
setitem.vjp(input=lambda g, index: setitem(g, index, 0.0),
            value=lambda g, index, input_shape, value_shape: _setitem_value(
                g, index, input_shape, value_shape))


def write_at(array: ndarray, index: Any, value: Any) -> None:
    """array[index] = value, with errors that say what does not fit."""
    if value.__class__ is int:
        refuse_unfit("setitem", array.dtype, value)
    elif isinstance(value, ndarray) and not value.ndim and value.dtype.kind in "iu":
        refuse_unfit("setitem", array.dtype, int(value))         # a tensor without dimensions
    elif isinstance(value, (ndarray, np.generic)) and value.dtype not in DTYPES:
        value = as_own("setitem", np.asarray(value))             # NumPy would drop imaginary parts
    if isinstance(value, ndarray) and index.__class__ is tuple:
        # NumPy writes in the order of memory, and where an index repeats the last must stay.
        value = np.asarray(value, order="C")
    try:
        array[index] = value
    except IndexError as error:
        raise _index_error("setitem", error, array.shape, index) from None
    except (ValueError, TypeError, OverflowError) as error:
        refuse_unfit("setitem", array.dtype, value)
        if not isinstance(value, (ndarray, np.generic, int, float)):
            raise
        if isinstance(value, ndarray) and value.ndim:            # ones in front that NumPy refuses:
            extra = value.ndim - _ndim_at(array, index)          # at one element, or at a mask
            if extra > 0 and value.shape[:extra] == (1,) * extra and array.flags.writeable:
                write_at(array, index, value.reshape(value.shape[extra:]))
                return
        if not array.flags.writeable:
            raise ValueError("setitem: this tensor is read-only memory (an expanded view, or made "
                             "from a read-only array); write into x.clone()") from None
        try:
            place = array[index].shape
        except IndexError as wrong:
            raise _index_error("setitem", wrong, array.shape, index) from None
        raise ValueError(f"setitem: a value of shape {np.shape(value)} does not broadcast to "
                         f"{place}, the shape of x[index] (x has shape {array.shape}): "
                         f"{error}") from None


def _ndim_at(array, index):
    """The number of dimensions of array[index]; that of the array if there is no such place."""
    try:
        return np.ndim(array[index])
    except IndexError:
        return array.ndim


def _setitem_value(g, index, shape, value_shape):
    part = getitem(g, index)
    if index.__class__ is tuple and any(p.__class__ is ndarray and p.dtype.kind != "b"
                                        for p in index):
        part = where(last_writers(shape, index), part, 0.0)
    extra = len(value_shape) - part.ndim           # NumPy lets a value have ones in front
    return reshape(part, (1,) * extra + part.shape) if extra > 0 else part


def last_writers(shape, index):
    """For each element of x[index], whether it is the last that is written to its place."""
    places = np.zeros(shape, np.intp)
    numbers = np.arange(places[index].size).reshape(places[index].shape)
    places[index] = numbers
    return places[index] == numbers


class _Probe:
    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array = np.zeros(2)


# What sys.getrefcount(x.array) says if nobody else holds the array: asked, as it depends on the
# version of Python. Who saved it, or views it, or shares it (detach), holds it.
_probe = _Probe()                                  # kept, so that it is one holder, as a tensor is
_ALONE = sys.getrefcount(_probe.array)


def integers_first(index: tuple) -> tuple[tuple, tuple] | None:
    """A mixed index as two steps, if NumPy's own order of the result would not be torch's.

    x[2, :, i] with a tensor i: NumPy takes 2 for an index tensor too, finds the two apart, and puts
    their dimension in front; torch takes integers first, as x[2, :][:, i]. None if it is the same.
    """
    taken = [k for k, p in enumerate(index) if p.__class__ is int or p.__class__ is ndarray]
    together = not taken or taken[-1] - taken[0] == len(taken) - 1
    if together or not any(index[k].__class__ is int for k in taken):
        return None
    first: list[Any] = []
    for p in index:
        first += [slice(None)] * (p.ndim if p.dtype.kind == "b" else 1) \
            if p.__class__ is ndarray else [p]
    then = [p if p.__class__ is ndarray or p is Ellipsis else slice(None)
            for p in index if p.__class__ is not int]
    return tuple(first), tuple(then)


def tensor_getitem(self: Tensor, index: Any) -> Tensor:
    """x[index]; see getitem. Integers beside index tensors are taken first, as in torch."""
    index = normal_index(index, self.array.ndim)
    basic = index.__class__ in BASIC
    if not basic:
        basic = all([p.__class__ is not ndarray for p in index])
        steps = None if basic else integers_first(index)
        if steps is not None:
            return getitem(getitem(self, steps[0]), steps[1])
    result = getitem(self, index)
    if basic:
        result.origin = self, index                # a view: what is done to it is done to self
    return result


def tensor_setitem(self: Tensor, index: Any, value: Any) -> None:
    """x[index] = value.

    If no gradient is involved, the numbers are written into x's memory (and seen by its views).
    Else x becomes the result of `setitem`: its gradient is 0 where it was overwritten, and value
    gets the gradient of its place. Nothing is copied while nobody else holds x's memory, so that
    filling out[t] = h_t in a loop is linear in time; stack(list_of_h) is faster still, backward
    too.

    Raises: ValueError where a gradient would be lost: x is a leaf that requires grad, or a view of
    another kind than y[index]; IndexError, TypeError and ValueError as setitem.
    """
    if isinstance(value, (list, tuple)):
        value = to_array(value)
    index = normal_index(index, self.array.ndim)
    steps = integers_first(index) if index.__class__ is tuple else None
    if steps is not None:
        tensor_setitem(tensor_getitem(self, steps[0]), steps[1], value)
        return
    if settings.grad_enabled and (self._requires_grad
                                  or (isinstance(value, Tensor) and value._requires_grad)):
        if self.array.dtype.kind != "f":
            raise TypeError(f"setitem: a value that requires grad cannot be put into a tensor of "
                            f"{self.dtype}: its gradient would be lost; use value.detach()")
        if hasattr(self, "origin") or shares_memory(self.array):
            self.become(setitem(self, index, value))
            return
        refuse_leaf_write(self)
        result = setitem(self, index, value, sys.getrefcount(self.array) == _ALONE)
        self.take_place(result)
        return
    write_at(self.array, index, value.array if isinstance(value, Tensor) else value)
    record_write(self.array)
