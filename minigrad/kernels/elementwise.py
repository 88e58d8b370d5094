"""One NumPy function over large arrays, on all threads.

NumPy lets go of the GIL inside its loops, so a few large pieces run side by side. Small ones do not
pay: a thread wakes up in 25 to 40 us, and each call needs the GIL at its ends. On two cores, a
product of two arrays of 1,000,000 float32 numbers takes 0.28 ms instead of 0.39, of 10,000,000 4.9
instead of 7.0: the memory is the limit, and one core reaches two thirds of it.

Not here: several operations in one pass (`activation.py`).
"""
from __future__ import annotations

from contextvars import copy_context
from typing import Any

import numpy as np
from numpy import ndarray

from ..memory import empty
from .threads import parallel

SHARED = 1 << 19                                   # numbers from which threads pay
GRAIN = 1 << 17
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def spread(ufunc: Any, x: ndarray, *others: Any) -> ndarray:
    """ufunc(x, *others), with the same bits. x is large; others are numbers or arrays.

    Cut in pieces if x has the shape and dtype of the result and is C-contiguous; else NumPy does it
    at once.
    """
    if x.dtype not in _FLOATS or not x.flags.c_contiguous:
        return ufunc(x, *others)
    flat = True
    for other in others:
        if other.__class__ is float or other.__class__ is int:
            continue
        if other.__class__ is not ndarray or other.dtype != x.dtype:
            return ufunc(x, *others)
        if other.shape == x.shape and other.flags.c_contiguous:
            continue
        rows = other.ndim < x.ndim and other.shape == x.shape[x.ndim - other.ndim:]
        if not rows and (other.ndim >= x.ndim or other.size > 1):
            return ufunc(x, *others)               # broadcast in another way than over rows
        flat = flat and other.size == 1
    out = empty(x.shape, x.dtype)
    # One row is a number if all shapes are equal; else what lies under the first dimension.
    source, target = (x.reshape(-1), out.reshape(-1)) if flat else (x, out)
    cut = [other.reshape(source.shape) if other.__class__ is ndarray and other.shape == x.shape
           else other.reshape(()) if flat and other.__class__ is ndarray else other
           for other in others]
    whole = [not (other.__class__ is ndarray and other.shape == source.shape) for other in cut]
    context = copy_context()                       # np.errstate of the calling thread

    def piece(start: int, stop: int) -> None:
        pieces = [c if w else c[start:stop] for c, w in zip(cut, whole)]
        context.copy().run(lambda: ufunc(source[start:stop], *pieces, target[start:stop]))
    length = len(source)
    parallel(piece, length, grain=max(1, GRAIN * length // x.size))
    return out


def times(a: Any, b: Any) -> Any:
    """a * b for arrays and Tensors; large arrays on all threads."""
    if a.__class__ is ndarray and a.size >= SHARED:
        return spread(np.multiply, a, b)
    return a * b


def over(a: Any, b: Any) -> Any:
    """a / b for arrays and Tensors; large arrays on all threads."""
    if a.__class__ is ndarray and a.size >= SHARED:
        return spread(np.true_divide, a, b)
    return a / b


def function(ufunc: np.ufunc, x: ndarray) -> ndarray:
    """ufunc(x); large arrays on all threads."""
    return spread(ufunc, x) if x.size >= SHARED else ufunc(x)
