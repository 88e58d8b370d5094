"""Copies of the elements, in the same dtype or another.

Not here: the names of dtypes (`minigrad/dtypes.py`).
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor
from ..autograd.arguments import refuse_other
from ..autograd.op import composite
from ..promotion import DTYPES, dtype_named
from .kinds import movement


@movement(samples=lambda r: [(r(3, 4),)], ref=np.copy)
def clone(input: Tensor) -> Tensor:
    """A copy with memory of its own; gradients pass through it."""
    return np.array(input)
clone.vjp(input=lambda g: g)


@composite(samples=lambda r: [(r(3, 4),), (r(3, 4).T,)], ref=np.ascontiguousarray)
def contiguous(input: Tensor) -> Tensor:
    """The tensor itself if its elements lie in memory in row-major order, else a copy that does."""
    refuse_other("contiguous", input=input)
    array = input.array if isinstance(input, Tensor) else input
    if array.flags.c_contiguous:
        return input
    return _row_major(input)


@movement(samples=lambda r: [(r(3, 4).T,)], ref=np.ascontiguousarray)
def _row_major(input: Tensor) -> Tensor:
    """A row-major copy."""
    return np.array(input, order="C")
_row_major.vjp(input=lambda g: g)


@movement(samples=lambda r: [(r(3, 4), np.dtype(np.float64)),
                             (r.integers(9, 3), np.dtype(np.float64))],
          ref=lambda x, dtype: x.astype(dtype))
def cast_float(input: Tensor, dtype: np.dtype) -> Tensor:
    """The elements in a floating dtype; `to` calls it. The gradient comes back in input's dtype."""
    return np.array(input, dtype)
cast_float.vjp(input=lambda g: g)                  # the engine brings it to the dtype of input


@movement(samples=lambda r: [(r(3, 4) * 3, np.dtype(np.int64)),
                             (r.integers(2, 3), np.dtype(np.bool_))],
          ref=lambda x, dtype: x.astype(dtype))
def cast_discrete(input: Tensor, dtype: np.dtype) -> Tensor:
    """The elements as integers (towards zero) or booleans; `to` calls it. No gradient passes."""
    return np.array(input).astype(dtype)



def check_device(name: str, device: Any) -> None:
    """Raises ValueError unless the device is the CPU."""
    if device is not None and str(device) not in ("cpu", "cpu:0"):
        raise ValueError(f"{name}: minigrad computes on the CPU only, device must be 'cpu', got "
                         f"{device!r}")


@composite(samples=lambda r: [(r(3, 4), np.float64), (r(3, 4) * 3, np.int64), (r(3), "cpu"),
                              (r(3), {"dtype": np.float64, "copy": True})],
           ref=lambda x, dtype=None, copy=False: x if dtype in (None, "cpu") else x.astype(dtype))
def to(input: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False,
       non_blocking: bool = False) -> Tensor:
    """The tensor in another dtype; itself if it has that dtype already (unless copy).

    x.to(dtype), x.to("cpu"), x.to("cpu", dtype) or x.to(other_tensor). Floats to integers are cut
    towards zero, and the gradient ends there; between floats the gradient passes.

    Raises: TypeError if dtype is none; ValueError for a device other than "cpu".
    """
    refuse_other("to", input=input)
    for arg in args:
        if isinstance(arg, (Tensor, ndarray)):
            dtype = arg.dtype
        elif isinstance(arg, bool):
            copy = copy or arg
        elif isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta"):
            device = arg
        elif arg is not None:
            dtype = arg
    if device is not None:
        check_device("to", device)
    if dtype is None or dtype == input.dtype:
        return clone(input) if copy else input
    if not isinstance(dtype, np.dtype) or dtype not in DTYPES:
        dtype = dtype_named("to", dtype)
        if dtype == input.dtype:
            return clone(input) if copy else input
    return cast_float(input, dtype) if dtype.kind == "f" else cast_discrete(input, dtype)


@composite(samples=lambda r: [(r(3), r(2))], ref=lambda x, o: x + 0 * o.sum())
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the dtype of other."""
    refuse_other("type_as", other=other)
    return to(input, other.dtype)
