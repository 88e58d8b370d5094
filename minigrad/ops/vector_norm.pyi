# Written by tests/typing/make_stubs.py from vector_norm.py: run it again instead of editing this.
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor
from .dims import Dim

@overload
def vector_norm(input: Tensor, ord: float = 2.0, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """sum(|x| ** ord) ** (1 / ord) along dim. Where the norm is 0 the gradient is 0, as in torch.

    input (d1, ...)

    Raises: TypeError for integers; ValueError unless 0 < ord < inf, or if dim does not exist.
    """
@overload
def vector_norm(input: ndarray, ord: float = 2.0, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...

NORM: Any

@overload
def norm(input: Tensor, p: float | str = 2, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> Tensor:
    """The norm of the elements along dim, taken as a vector (also of a matrix), as torch.norm.

    input (d1, ...)
    p: 2 or "fro": sqrt(sum(x**2)); inf: max |x|; -inf: min |x|; 0: how many are not 0; else
    sum(|x|**p) ** (1/p). Where the norm is 0 the gradient is 0.

    Raises: TypeError for integers; ValueError for another p, or if dim does not exist.
    """
@overload
def norm(input: ndarray, p: float | str = 2, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool | None = None) -> ndarray: ...
