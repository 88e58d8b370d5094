"""Functions that make Tensors from numbers: tensor, zeros, arange and their like.

They record nothing: what they make is a leaf. Python floats become the default dtype (float32),
integers int64, as in torch. Not here: random numbers (`random.py`).
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.construct import to_array
from ..autograd.engine import Tensor, wrap
from ..foreign import got
from ..modes import settings
from ..promotion import dtype_named, refuse_foreign, refuse_unfit, refuse_unfit_data
from .cast import check_device, to
from .dims import as_shape


def new_leaf(name: str, array: ndarray, device: Any, requires_grad: bool) -> Tensor:
    """What every function here returns: a Tensor around the array, without a history."""
    if device is not None:
        check_device(name, device)
    t = wrap(array)
    if requires_grad:
        t.requires_grad = True
    return t


def shape_of(name: str, size: tuple) -> tuple[int, ...]:
    """The shape that a user gave as numbers, or as one tuple or list: zeros(2, 3), zeros((2, 3)).

    Raises: TypeError unless integers; ValueError for a negative one.
    """
    given = size[0] if len(size) == 1 and not isinstance(size[0], (int, np.integer)) else size
    shape = as_shape(name, list(given) if isinstance(given, (tuple, list)) else given)
    if shape and min(shape) < 0:
        raise ValueError(f"{name}: sizes must be 0 or more, got {shape}")
    return shape


def dtype_or_default(name: str, dtype: Any) -> np.dtype:
    """The dtype that a user gave, or the default one."""
    return settings.default_dtype if dtype is None else dtype_named(name, dtype)


# --- from data -----------------------------------------------------------------------------------

def tensor(data: Any, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:
    """A new Tensor with a copy of `data`: a number, nested lists, an array or a Tensor.

    Python floats become the default dtype, integers int64, booleans bool; arrays keep their dtype
    (in this machine's byte order).

    Raises: ValueError for ragged lists, numbers that an integer dtype does not hold, or a device
    other than "cpu"; TypeError for what is no number, or requires_grad with an integer dtype.
    """
    if dtype is not None:
        dtype = dtype_named("tensor", dtype)
    array = to_array(data, dtype, copy=True)
    return new_leaf("tensor", array, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor that shares the memory of `data` where it can: a Tensor is returned itself, and an
    array of the dtype wanted is not copied.

    Raises: as tensor; TypeError for an array in another byte order, unless dtype says what to
    convert it to.
    """
    if device is not None:
        check_device("as_tensor", device)
    if isinstance(data, Tensor):
        return data if dtype is None else to(data, dtype_named("as_tensor", dtype))
    if isinstance(data, ndarray) and dtype is None:
        refuse_foreign("as_tensor", data)
    return wrap(to_array(data, None if dtype is None else dtype_named("as_tensor", dtype)))


def from_numpy(array: ndarray) -> Tensor:
    """A Tensor with the memory of a NumPy array: a change of one is seen in the other.

    Raises: TypeError for anything but an array of real numbers or booleans, in this machine's byte
    order (minigrad.tensor converts another one).
    """
    if not isinstance(array, ndarray):
        raise TypeError("from_numpy: want a NumPy array, got " + got(
            array, "; use minigrad.tensor(data), which also takes lists and numbers"))
    refuse_foreign("from_numpy", array)
    return wrap(to_array(array))


# --- of one value --------------------------------------------------------------------------------

def _filled(name: str, make: Callable, size: tuple, dtype: Any, device: Any, requires_grad: bool
            ) -> Tensor:
    array = make(shape_of(name, size),
                 settings.default_dtype if dtype is None else dtype_named(name, dtype))
    return new_leaf(name, array, device, requires_grad)


def _filled_like(name: str, make: Callable, input: Tensor, dtype: Any, device: Any,
                 requires_grad: bool) -> Tensor:
    array = make(np.shape(input), _like(name, input, dtype))
    return new_leaf(name, array, device, requires_grad)


def _like(name: str, input: Tensor, dtype: Any) -> np.dtype:
    return input.dtype if dtype is None else dtype_named(name, dtype)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros: zeros(2, 3) or zeros((2, 3)). dtype: the default dtype unless given.

    Raises: ValueError for a negative size or a device other than "cpu"; TypeError for a wrong
    dtype.
    """
    return _filled("zeros", np.zeros, size, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones: ones(2, 3) or ones((2, 3)). Arguments and errors as zeros."""
    return _filled("ones", np.ones, size, dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory as it comes: any numbers, to be overwritten. Arguments and errors as zeros."""
    return _filled("empty", np.empty, size, dtype, device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """fill_value everywhere. dtype: from the value unless given (1.0 default dtype, 1 int64, True
    bool).

    Raises: as zeros; TypeError if fill_value is not one number; ValueError for an integer that the
    dtype does not hold.
    """
    value = fill_value.item() if isinstance(fill_value, (Tensor, ndarray)) else fill_value
    if not isinstance(value, (bool, int, float, np.number, np.bool_)):
        raise TypeError(f"full: fill_value must be a number, got {got(fill_value)}")
    if dtype is None:
        dtype = (np.bool_ if isinstance(value, (bool, np.bool_)) else
                 np.int64 if isinstance(value, (int, np.integer)) else settings.default_dtype)
    dtype = dtype_named("full", dtype)
    refuse_unfit("full", dtype, value)
    return new_leaf("full", np.full(shape_of("full", (size,)), value, dtype), device, requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None,
               requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and, unless given, the dtype of input. Errors as zeros."""
    return _filled_like("zeros_like", np.zeros, input, dtype, device, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    """Ones of the shape and, unless given, the dtype of input. Errors as zeros."""
    return _filled_like("ones_like", np.ones, input, dtype, device, requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None,
               requires_grad: bool = False) -> Tensor:
    """Memory as it comes, of the shape and, unless given, the dtype of input. Errors as zeros."""
    return _filled_like("empty_like", np.empty, input, dtype, device, requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    """fill_value everywhere, in the shape and, unless given, the dtype of input. Errors as full."""
    return full(np.shape(input), fill_value, dtype=_like("full_like", input, dtype), device=device,
                requires_grad=requires_grad)


# --- of a rule -----------------------------------------------------------------------------------

def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None,
           device: Any = None, requires_grad: bool = False) -> Tensor:
    """start, start + step, ... before end; arange(end) starts at 0.

    dtype: int64 if all three are integers, else the default dtype, unless given.

    Raises: ValueError if step is 0 or leads away from end.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, (Tensor, ndarray, np.generic)) else v
                        for v in (start, end, step))
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if (end - start) / step < 0:
        raise ValueError(f"arange: from {start} to {end} a step of {step} leads away; use "
                         f"step={-step}")
    if not math.isfinite(start) or not math.isfinite(end) or step != step:
        raise ValueError(f"arange: want finite bounds, got {start}, {end}, {step}")
    whole = all(isinstance(v, int) for v in (start, end, step))
    dtype = (np.dtype(np.int64) if whole else settings.default_dtype) if dtype is None \
        else dtype_named("arange", dtype)
    if whole:
        array = np.arange(start, end, step, np.int64)
    else:                                          # in float64: steps must not drift
        array = start + step * np.arange(math.ceil((end - start) / step))
    refuse_unfit_data("arange", dtype, array[:1])
    refuse_unfit_data("arange", dtype, array[-1:])
    return new_leaf("arange", array.astype(dtype, copy=False), device, requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included.

    Raises: ValueError if steps is negative, or for numbers that an integer dtype does not hold; as
    zeros.
    """
    if steps < 0:
        raise ValueError(f"linspace: steps must be 0 or more, got {steps}")
    dtype = dtype_or_default("linspace", dtype)
    array = np.linspace(float(start), float(end), steps)
    refuse_unfit_data("linspace", dtype, array)
    return new_leaf("linspace", array.astype(dtype, copy=False), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None,
        requires_grad: bool = False) -> Tensor:
    """The (n, m) matrix with ones on its diagonal; m: n unless given. Errors as zeros."""
    shape = shape_of("eye", (n, n if m is None else m))
    array = np.array(np.eye(*shape, dtype=dtype_or_default("eye", dtype)))
    return new_leaf("eye", array, device, requires_grad)
