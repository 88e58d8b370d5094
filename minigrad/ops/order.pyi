# Written by tests/typing/make_stubs.py from order.py: run it again instead of editing this.
from numpy import ndarray
from typing import NamedTuple, overload
from ..autograd.engine import Tensor
from .dims import Dim

class Extremes(NamedTuple):
    """What max, min, sort and topk along a dimension return."""
    values: Tensor
    indices: Tensor

@overload
def amax(input: Tensor, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """The largest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
@overload
def amax(input: ndarray, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def amin(input: Tensor, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """The smallest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
@overload
def amin(input: ndarray, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool | None = None) -> Tensor:
    """The index of the (first) largest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
@overload
def argmax(input: ndarray, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool | None = None) -> Tensor:
    """The index of the (first) smallest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """
@overload
def argmin(input: ndarray, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def max_dim(input: Tensor, dim: int, keepdim: bool = False, *, keepdims: bool | None = None) -> tuple[Tensor, Tensor]:
    """max(input, dim): the largest elements along dim and their indices."""
@overload
def max_dim(input: ndarray, dim: int, keepdim: bool = False, *, keepdims: bool | None = None) -> tuple[ndarray, ndarray]: ...

@overload
def min_dim(input: Tensor, dim: int, keepdim: bool = False, *, keepdims: bool | None = None) -> tuple[Tensor, Tensor]:
    """min(input, dim): the smallest elements along dim and their indices."""
@overload
def min_dim(input: ndarray, dim: int, keepdim: bool = False, *, keepdims: bool | None = None) -> tuple[ndarray, ndarray]: ...

@overload
def max(input: Tensor) -> Tensor:
    """The largest element. Three forms, as in torch:

    max(input): of all elements; equal ones share the gradient evenly.
    max(input, dim, keepdim=False): (values, indices) along one dimension; of equal ones the first,
        which gets the gradient.
    max(input, other): maximum(input, other), elementwise.

    Raises: ValueError if there are no elements, or dim does not exist or is several.
    """
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> Extremes: ...
@overload
def max(input: Tensor, *, axis: int, keepdims: bool = False) -> Extremes: ...
@overload
def max(input: Tensor, other: Tensor) -> Tensor: ...

@overload
def min(input: Tensor) -> Tensor:
    """The smallest element: min(input), min(input, dim) or min(input, other); see max."""
@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> Extremes: ...
@overload
def min(input: Tensor, *, axis: int, keepdims: bool = False) -> Extremes: ...
@overload
def min(input: Tensor, other: Tensor) -> Tensor: ...

@overload
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True, *, axis: int | None = None) -> Tensor:
    """The indices that sort the input along dim. Equal elements keep their order (always stable);
    what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """
@overload
def argsort(input: ndarray, dim: int = -1, descending: bool = False, stable: bool = True, *, axis: int | None = None) -> ndarray: ...

def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True, *, axis: int | None = None) -> Extremes:
    """(values, indices) sorted along dim; the gradient of a value goes to the element it came from.

    Equal elements keep their order; what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """

def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: int | None = None) -> Extremes:
    """(values, indices) of the k largest (or smallest) elements along dim, best first.

    Raises: ValueError if there are fewer than k elements, or dim does not exist.
    """
