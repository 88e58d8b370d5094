# Written by tests/typing/make_stubs.py from indexing.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

@overload
def getitem(input: Tensor, index: Any) -> Tensor:
    """The elements at an index of any kind that NumPy knows, or several in a tuple: integers,
    slices (also with negative steps), None, ..., integer or boolean arrays.

    Integers and slices give a view, arrays a copy.

    Raises: IndexError that says which index is out of range for which dimension, or which mask does
    not fit.
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

def tensor_getitem(self: Tensor, index: Any) -> Tensor:
    """x[index]; see getitem. Also Tensors, lists and ranges are indices. Integers beside index
    tensors are taken first, as in torch.

    Raises: as getitem; TypeError for floats as indices.
    """

def with_item(self: Tensor, index: Any, value: Tensor | float) -> Tensor:
    """A copy of the tensor in which [index] is `value`: x[index] = value as a function; see
    setitem.
    """

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
