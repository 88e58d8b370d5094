"""x[index] and x[index] = value, with their derivatives, which put gradients back in their place.

getitem and getitem_grad are each other's derivative: reading x[i] sends the gradient back by adding
into zeros at i, where a repeated index gets several. Indices themselves have no gradient. All
indices here are normal ones: Tensor's methods, below, make them so. Not here: what an index means
(`indices.py`), gather and scatter (`gather.py`), split and its like (`join.py`).
"""
from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.accumulate import shares_memory
from ..autograd.construct import to_array
from ..autograd.engine import Tensor
from ..autograd.inplace import refuse_leaf_write
from ..autograd.op import op
from ..autograd.writes import record_write
from ..modes import settings
from ..promotion import DTYPES, as_own, refuse_unfit
from ..long_sums import add_at, add_slices_at
from .elementwise import where
from .indices import (
    arrays_of, integers_first, is_basic, last_writers, may_repeat, misfit, normal_index, places_of,
)
from .kinds import movement
from .shape import reshape

# --- reading -------------------------------------------------------------------------------------

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


@movement(samples=_getitem_samples, ref=lambda x, index: x[index])
def getitem(input: Tensor, index: Any) -> Tensor:
    """The elements at an index of any kind that NumPy knows, or several in a tuple: integers,
    slices (also with negative steps), None, ..., integer or boolean arrays.

    Integers and slices give a view, arrays a copy.

    Raises: IndexError that says which index is out of range for which dimension, or which mask does
    not fit.
    """
    try:
        out = input[index]
    except IndexError as error:
        raise misfit("getitem", error, input.shape, index) from None
    if out.__class__ is ndarray:
        return out
    return input[(*index, ...) if index.__class__ is tuple else (index, ...)]    # a view of it
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
    out = np.zeros(shape, g.dtype)
    try:
        if may_repeat(index):
            _add_items(out, index, g)
        else:
            out[index] = g
    except (ValueError, IndexError) as error:
        raise ValueError(f"getitem_grad: g of shape {g.shape} is not as zeros({shape})[index]: "
                         f"{error}") from None
    return out
getitem_grad.vjp(g=lambda g, index: getitem(g, index))


def _add_items(out, index, g):
    """out[index] += g for an out of zeros, where an element may be named twice."""
    d = len(index) - 1
    if len(arrays_of(index)) == 1 and index[d].__class__ is ndarray and all(
            [isinstance(p, slice) and p == slice(None) for p in index[:d]]):
        i = index[d]                               # one array of indices along one dimension
        add_slices_at(out, d, i.ravel(), g.reshape(*out.shape[:d], i.size, *out.shape[d + 1:]))
    else:
        places = places_of(out.shape, index)
        add_at(out, places.ravel(), np.broadcast_to(g, places.shape).ravel())


# --- writing -------------------------------------------------------------------------------------

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


@movement(samples=_setitem_samples, ref=_setitem_ref)
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


def _setitem_value(g, index, shape, value_shape):
    part = getitem(g, index)
    if may_repeat(index):
        part = where(last_writers(shape, index), part, 0.0)
    extra = len(value_shape) - part.ndim           # NumPy lets a value have ones in front
    return reshape(part, (1,) * extra + part.shape) if extra > 0 else part


def write_at(array: ndarray, index: Any, value: Any) -> None:
    """array[index] = value, with errors that say what does not fit."""
    if value.__class__ is not float:
        value = _as_written(array, index, value)
    try:
        array[index] = value
    except IndexError as error:
        raise misfit("setitem", error, array.shape, index) from None
    except (ValueError, TypeError, OverflowError) as error:
        refuse_unfit("setitem", array.dtype, value)
        if not isinstance(value, (ndarray, np.generic, int, float)):
            raise
        if not array.flags.writeable:
            raise ValueError("setitem: this tensor is read-only memory (an expanded view, or made "
                             "from a read-only array); write into x.clone()") from None
        try:
            place = np.shape(array[index])
        except IndexError as wrong:
            raise misfit("setitem", wrong, array.shape, index) from None
        extra = np.ndim(value) - len(place)        # ones in front, which NumPy refuses at one
        if extra > 0 and value.shape[:extra] == (1,) * extra:    # element, or at a mask
            write_at(array, index, value.reshape(value.shape[extra:]))
            return
        raise ValueError(f"setitem: a value of shape {np.shape(value)} does not broadcast to "
                         f"{place}, the shape of x[index] (x has shape {array.shape}): "
                         f"{error}") from None


def _as_written(array, index, value):
    """The value, in a dtype that we know, or refused: NumPy would wrap an integer that the array's
    dtype does not hold, and drop imaginary parts."""
    if value.__class__ is int:
        refuse_unfit("setitem", array.dtype, value)
    elif isinstance(value, (ndarray, np.generic)):
        if not value.ndim and value.dtype.kind in "iu" and value.__class__ is ndarray:
            refuse_unfit("setitem", array.dtype, int(value))     # a tensor without dimensions
        elif value.dtype not in DTYPES:
            value = as_own("setitem", np.asarray(value))
        if value.__class__ is ndarray and index.__class__ is tuple:
            # NumPy writes in the order of memory, and where an index repeats the last must stay.
            value = np.asarray(value, order="C")
    return value


# --- Tensor's methods ----------------------------------------------------------------------------

def tensor_getitem(self: Tensor, index: Any) -> Tensor:
    """x[index]; see getitem. Also Tensors, lists and ranges are indices. Integers beside index
    tensors are taken first, as in torch.

    Raises: as getitem; TypeError for floats as indices.
    """
    index = normal_index(index, self.array.ndim)
    if is_basic(index):
        result = getitem(self, index)
        result.origin = self, index                # a view: what is done to it is done to self
        return result
    steps = integers_first(index)
    return getitem(self, index) if steps is None else getitem(getitem(self, steps[0]), steps[1])


def with_item(self: Tensor, index: Any, value: Tensor | float) -> Tensor:
    """A copy of the tensor in which [index] is `value`: x[index] = value as a function; see
    setitem."""
    return setitem(self, normal_index(index, self.array.ndim), value)


class _Probe:
    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array = np.zeros(2)


def _holders(tensor: Any) -> int:
    return sys.getrefcount(tensor.array)


# What it says if nobody else holds the array: asked, as it depends on the version of Python. Who
# saved it, or views it, or shares it (detach), holds it.
_probe = _Probe()                                  # kept, so that it is one holder, as a tensor is
_ALONE = _holders(_probe)


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
    if not settings.grad_enabled or not (
            self._requires_grad or (isinstance(value, Tensor) and value._requires_grad)):
        write_at(self.array, index, value.array if isinstance(value, Tensor) else value)
        record_write(self.array)
        return
    if self.array.dtype.kind != "f":
        raise TypeError(f"setitem: a value that requires grad cannot be put into a tensor of "
                        f"{self.dtype}: its gradient would be lost; use value.detach()")
    if hasattr(self, "origin") or shares_memory(self.array):
        self.become(setitem(self, index, value))
        return
    refuse_leaf_write(self)
    self.take_place(setitem(self, index, value, _holders(self) == _ALONE))
