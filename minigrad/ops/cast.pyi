# Written by tests/typing/make_stubs.py from cast.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor

@overload
def clone(input: Tensor) -> Tensor:
    """A copy with memory of its own; gradients pass through it."""
@overload
def clone(input: ndarray) -> ndarray: ...

@overload
def contiguous(input: Tensor) -> Tensor:
    """The tensor itself if its elements lie in memory in row-major order, else a copy that does."""
@overload
def contiguous(input: ndarray) -> ndarray: ...

@overload
def cast_float(input: Tensor, dtype: np.dtype) -> Tensor:
    """The elements in a floating dtype; `to` calls it. The gradient comes back in input's dtype."""
@overload
def cast_float(input: ndarray, dtype: np.dtype) -> ndarray: ...

@overload
def cast_discrete(input: Tensor, dtype: np.dtype) -> Tensor:
    """The elements as integers (towards zero) or booleans; `to` calls it. No gradient passes."""
@overload
def cast_discrete(input: ndarray, dtype: np.dtype) -> ndarray: ...

def check_device(name: str, device: Any) -> None:
    """Raises ValueError unless the device is the CPU."""

@overload
def to(input: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False, non_blocking: bool = False) -> Tensor:
    """The tensor in another dtype; itself if it has that dtype already (unless copy).

    x.to(dtype), x.to("cpu"), x.to("cpu", dtype) or x.to(other_tensor). Floats to integers are cut
    towards zero, and the gradient ends there; between floats the gradient passes.

    Raises: TypeError if dtype is none; ValueError for a device other than "cpu".
    """
@overload
def to(input: ndarray, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False, non_blocking: bool = False) -> ndarray: ...

@overload
def type_as(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """input in the dtype of other."""
@overload
def type_as(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def type_as(input: ndarray, other: ndarray) -> ndarray: ...
