# Written by tests/typing/make_stubs.py from reduce.py: run it again instead of editing this.
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor
from .dims import Dim

@overload
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """The sum of the elements along dim. Integers and booleans are summed as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist or comes twice.
    """
@overload
def sum(input: ndarray, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """The sum along dim divided by the number of elements; not a number if there are none.

    dtype: convert to this dtype first (and return it).

    Raises: TypeError for integers without dtype; ValueError if dim does not exist or comes twice.
    """
@overload
def mean(input: ndarray, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def var(input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """sum((x - mean(x))**2) / (n - correction) along dim.

    correction: 1 estimates the variance of what the elements were drawn from, 0 is the variance of
    the elements themselves. unbiased: the older way to say correction=1 (True) or 0 (False).

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """
@overload
def var(input: ndarray, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def std(input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """The standard deviation: the square root of var. Where it is 0 the gradient is 0, as in torch.

    Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
    """
@overload
def std(input: ndarray, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along dim: y[i] = x[0] + ... + x[i]. They are added in float64, integers and
    booleans as int64.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """
@overload
def cumsum(input: ndarray, dim: int, *, dtype: Any = None) -> ndarray: ...

@overload
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None, axis: int | None = None, keepdims: bool | None = None) -> Tensor:
    """The product of the elements along dim, or of all. The gradient is right at zeros too.

    dtype: convert to this dtype first (and return it).

    Raises: ValueError if dim does not exist.
    """
@overload
def prod(input: ndarray, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None, axis: int | None = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def all(input: Tensor, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """Whether all elements along dim are true (not zero); true if there are none. dim=(): whether
    each is.
    """
@overload
def all(input: ndarray, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

@overload
def any(input: Tensor, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """Whether any element along dim is true (not zero); false if there are none. dim=(): whether
    each is.
    """
@overload
def any(input: ndarray, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

def allclose(input: Tensor, other: Tensor, rtol: float=1e-05, atol: float=1e-08, equal_nan: bool=False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere; a bool, not a Tensor."""

def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements; a bool, not a Tensor (eq compares each)."""
