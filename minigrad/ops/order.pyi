# Written by tests/typing/make_stubs.py from order.py: run it again instead of editing this.
import numpy as np
from typing import NamedTuple, overload
from ..autograd.engine import Tensor
from .dims import Dim, one_dim
from .kinds import movement, reduction

class Extremes(NamedTuple):
    """What max, min, sort and topk along a dimension return."""
    values: Tensor
    indices: Tensor

@reduction(np.max, samples=_ties, choice=True)
def amax(input: Tensor, dim: Dim=None, keepdim: bool=False) -> Tensor:
    """The largest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """

@reduction(np.min, samples=_ties, choice=True)
def amin(input: Tensor, dim: Dim=None, keepdim: bool=False) -> Tensor:
    """The smallest element along dim. Equal ones share the gradient evenly, as in torch.

    Raises: ValueError if there are no elements, or dim does not exist.
    """

@reduction(np.argmax, samples=_ties_of_one, read=one_dim, choice=True, promote=False, moves=True)
def argmax(input: Tensor, dim: int | None=None, keepdim: bool=False) -> Tensor:
    """The index of the (first) largest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """

@reduction(np.argmin, samples=_ties_of_one, read=one_dim, choice=True, promote=False, moves=True)
def argmin(input: Tensor, dim: int | None=None, keepdim: bool=False) -> Tensor:
    """The index of the (first) smallest element along dim; without dim, in the flattened tensor.

    Raises: ValueError if there are no elements, or dim does not exist.
    """

@reduction(ref=_at_extreme_ref(np.max, np.argmax), samples=_one_dim_samples, read=one_dim, choice=True, promote=False, moves=True)
def max_dim(input: Tensor, dim: int, keepdim: bool=False) -> tuple[Tensor, Tensor]:
    """max(input, dim): the largest elements along dim and their indices."""

@reduction(ref=_at_extreme_ref(np.min, np.argmin), samples=_one_dim_samples, read=one_dim, choice=True, promote=False, moves=True)
def min_dim(input: Tensor, dim: int, keepdim: bool=False) -> tuple[Tensor, Tensor]:
    """min(input, dim): the smallest elements along dim and their indices."""

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

@movement(samples=lambda r: [(r.apart(3, 4),), (r.apart(3, 4), 0, True)], ref=_argsort_ref, dims={'dim': one_dim})
def argsort(input: Tensor, dim: int=..., descending: bool=False, stable: bool=True) -> Tensor:
    """The indices that sort the input along dim. Equal elements keep their order (always stable);
    what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """

def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True, *, axis: int | None = None) -> Extremes:
    """(values, indices) sorted along dim; the gradient of a value goes to the element it came from.

    Equal elements keep their order; what is not a number counts as the largest.

    Raises: ValueError if dim does not exist.
    """

def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, axis: int | None = None) -> Extremes:
    """(values, indices) of the k largest (or smallest) elements along dim, best first.

    Raises: ValueError if there are fewer than k elements, or dim does not exist.
    """
