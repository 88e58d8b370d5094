# Written by tests/typing/make_stubs.py from indexing.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

BASIC: Any

def normal_index(index: Any, ndim: int) -> Any:
    """The index, of a tensor with so many dimensions, with each Tensor, list or range in it as an
    array; a tuple if there is one.

    An Ellipsis of no dimensions is left out beside arrays: to NumPy it would keep them apart, and
    put their dimensions in front. To torch it is nothing.
    """

@overload
def getitem(input: Tensor, index: Any) -> Tensor:
    """The elements at an index of any kind that NumPy knows, or several in a tuple: integers,
    slices (also with negative steps), None, ..., integer or boolean tensors, arrays or lists.

    Integers and slices give a view, tensors and lists a copy.

    Raises: IndexError that says which index is out of range for which dimension, or which mask does
    not fit; TypeError for floats as indices.
    """
@overload
def getitem(input: ndarray, index: Any) -> ndarray: ...

def put_back_ref(g: Any, index: Any, shape: Any) -> Any: ...

@overload
def getitem_grad(g: Tensor, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with g added at [index]: the derivative of x[index].

    g: as x[index] -> shape. Where an index repeats, its gradients add up.
    """
@overload
def getitem_grad(g: ndarray, index: Any, shape: tuple[int, ...]) -> ndarray: ...

def add_at(out: ndarray, places: ndarray, values: ndarray) -> None:
    """out.flat[places] += values for an out of zeros; where a place comes again, values add up.

    Many are added in float64 (np.add.at adds in the dtype: a million times 0.1 in float32 is 1 %
    off). places (n,) from 0 on, values (n,).
    """

@overload
def setitem(input: Tensor, index: Any, value: Tensor | ndarray | float | np.number, overwrite: bool = False) -> Tensor:
    """A copy of input in which [index] is `value`, broadcast: x[index] = value as a function.

    Where an index repeats, the last value stays, and it alone gets a gradient. overwrite: write
    into input itself; only for Tensor.__setitem__, which knows when nobody sees it.

    Raises: IndexError as getitem; ValueError if value does not broadcast to input[index].
    """
@overload
def setitem(input: ndarray, index: Any, value: Tensor, overwrite: bool = False) -> Tensor: ...
@overload
def setitem(input: ndarray, index: Any, value: ndarray | float | np.number, overwrite: bool = False) -> ndarray: ...

def write_at(array: ndarray, index: Any, value: Any) -> None:
    """array[index] = value, with errors that say what does not fit."""

def last_writers(shape: Any, index: Any) -> Any:
    """For each element of x[index], whether it is the last that is written to its place."""

def integers_first(index: tuple) -> tuple[tuple, tuple] | None:
    """A mixed index as two steps, if NumPy's own order of the result would not be torch's.

    x[2, :, i] with a tensor i: NumPy takes 2 for an index tensor too, finds the two apart, and puts
    their dimension in front; torch takes integers first, as x[2, :][:, i]. None if it is the same.
    """

def tensor_getitem(self: Tensor, index: Any) -> Tensor:
    """x[index]; see getitem. Integers beside index tensors are taken first, as in torch."""

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
