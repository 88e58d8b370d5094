# Written by tests/typing/make_stubs.py from reduce.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor
from .dims import Dim, chosen_dims, one_dim
from .kinds import along_dims, reduction

@reduction(np.sum, samples=lambda r: [*along_dims(r), (r.integers(5, 3, 4), 0)], promote=False)
def sum(input: Tensor, dim: Dim=None, keepdim: bool=False, *, dtype: Any=None) -> Tensor:
    """The sum of the elements along dim. Integers and booleans are summed as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist or comes twice.
    """

@reduction(ref=_mean_ref, promote=False)
def mean(input: Tensor, dim: Dim=None, keepdim: bool=False, *, dtype: Any=None) -> Tensor:
    """The sum along dim divided by the number of elements; not a number if there are none.

    dtype: convert to this dtype first (and return it).

    Raises: TypeError for integers without dtype; ValueError if dim does not exist or comes twice.
    """

@reduction(ref=_var_ref, samples=_var_samples, read=_dims_or_unbiased, door=_degrees_of_freedom('var'))
def var(input: Tensor, dim: Dim=None, unbiased: bool | None=None, keepdim: bool=False, *, correction: float=1) -> Tensor:
    """sum((x - mean(x))**2) / (n - correction) along dim.

    correction: 1 estimates the variance of what the elements were drawn from, 0 is the variance of
    the elements themselves. unbiased: the older way to say correction=1 (True) or 0 (False).

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """

@reduction(ref=lambda *args, **options: np.sqrt(_var_ref(*args, **options)), samples=_var_samples, read=_dims_or_unbiased, door=_degrees_of_freedom('std'))
def std(input: Tensor, dim: Dim=None, unbiased: bool | None=None, keepdim: bool=False, *, correction: float=1) -> Tensor:
    """The standard deviation: the square root of var. Where it is 0 the gradient is 0, as in torch.

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """

@overload
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along dim: y[i] = x[0] + ... + x[i]. They are added in float64, integers and
    booleans as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """
@overload
def cumsum(input: ndarray, dim: int, *, dtype: Any = None) -> ndarray: ...

@reduction(np.prod, samples=_prod_samples, read=one_dim, promote=False)
def prod(input: Tensor, dim: int | None=None, keepdim: bool=False, *, dtype: Any=None) -> Tensor:
    """The product of the elements along dim, or of all. The gradient is right at zeros too.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """

@reduction(np.all, samples=_masks, read=chosen_dims, promote=False, moves=True)
def all(input: Tensor, dim: Dim=None, keepdim: bool=False) -> Tensor:
    """Whether all elements along dim are true (not zero); true if there are none. dim=(): whether
    each is.
    """

@reduction(np.any, samples=_masks, read=chosen_dims, promote=False, moves=True)
def any(input: Tensor, dim: Dim=None, keepdim: bool=False) -> Tensor:
    """Whether any element along dim is true (not zero); false if there are none. dim=(): whether
    each is.
    """

def allclose(input: Tensor, other: Tensor, rtol: float=1e-05, atol: float=1e-08, equal_nan: bool=False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere; a bool, not a Tensor."""

def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements; a bool, not a Tensor (eq compares each)."""
