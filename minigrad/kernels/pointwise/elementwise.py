"""One operation over large arrays, on all threads: sums and products by loops of ours, the rest by
NumPy in pieces.

A loop of ours is handed to the other threads in machine code (dispatch.py), which takes 1 us; a
piece of NumPy's takes Python, its lock at both ends, and 20 to 50 us. So the four operations that
every program is made of are compiled. Both give the bits of NumPy at once.

Limit: bytes, 12 a number. x * y of float32 numbers on two cores, in us, beside NumPy at once:

    numbers                  65,536    131,072    262,144    1,048,576    4,194,304
    a loop of ours              5.5        9.5         21          228          860
    NumPy, memory given         6.5         23        104          450        1,790
    log in pieces                46         46        140          264
    log by NumPy at once         21         44         88          395

Not here: several operations in one pass (`activation.py`), where the results' memory comes from
(`memory.py`).
"""
from __future__ import annotations

from contextvars import copy_context
from typing import Any

import numpy as np
from numpy import ndarray

from ...memory import empty
from ..jit.kernel import jit_disabled
from ..simd.vector import (
    lanes, load, load_all, spread as in_all_lanes, store, store_all, vector_jit,
)
from ..parallel import one_each, parallel

SHARED = 1 << 16                                   # numbers from which our loops pay
GRAIN = 1 << 15
PIECES = 1 << 20                                   # numbers from which pieces of NumPy's pay
PIECE = 1 << 17
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

ADD, SUB, MUL, DIV, FROM, INTO = range(6)
_CODES = {np.add: ADD, np.subtract: SUB, np.multiply: MUL, np.true_divide: DIV}
_SWAPPED = {ADD: ADD, SUB: FROM, MUL: MUL, DIV: INTO}


# --- our loops -----------------------------------------------------------------------------------
# With vectors that are loaded and stored by name the compiler need not know whether `out` is x: it
# would test for that, and take the numbers one by one.

@vector_jit
def _joined(code, a, b):
    """a + b, a - b, a * b, a / b, b - a or b / a."""
    if code == ADD:
        return a + b
    if code == SUB:
        return a - b
    if code == MUL:
        return a * b
    if code == DIV:
        return a / b
    if code == FROM:
        return b - a
    return b / a


@vector_jit
def arrays_range(start, stop, code, x, y, out):
    """out[i] = x[i] (code) y[i]; out may be x or y."""
    size = lanes(x)
    whole = stop - (stop - start) % size
    for i in range(start, whole, size):
        store_all(out, i, _joined(code, load_all(x, i), load_all(y, i)))
    n = stop - whole
    store(out, whole, 0, n, _joined(code, load(x, whole, 0, n), load(y, whole, 0, n)))


@vector_jit
def number_range(start, stop, code, x, c, out):
    """out[i] = x[i] (code) c; out may be x."""
    size = lanes(x)
    whole = stop - (stop - start) % size
    b = in_all_lanes(c, x)
    for i in range(start, whole, size):
        store_all(out, i, _joined(code, load_all(x, i), b))
    n = stop - whole
    store(out, whole, 0, n, _joined(code, load(x, whole, 0, n), b))


def _loop(code: int, x: ndarray, other: Any, out: ndarray) -> None:
    """out = x (code) other: C-contiguous arrays of one shape, or x and a number."""
    flat, to, grain = x.reshape(-1), out.reshape(-1), one_each(x.size, GRAIN)
    if other.__class__ is ndarray:
        parallel(arrays_range, x.size, code, flat, other.reshape(-1), to, grain=grain)
    else:
        parallel(number_range, x.size, code, flat, other, to, grain=grain)


def add_into(total: ndarray, part: ndarray) -> None:
    """total += part, for large arrays of one shape and dtype."""
    fits = _plain(total) and _plain(part) and total.dtype in _FLOATS
    if fits and not jit_disabled():
        _loop(ADD, total, part, total)
    else:
        np.add(total, part, total)


def _plain(a: ndarray) -> bool:
    """Whether the numbers lie one behind the other, where numbers of this size may lie."""
    flags = a.flags
    return flags.c_contiguous and flags.aligned


def _operand(a: ndarray, b: Any) -> Any:
    """b as our loops take it beside a: a float, or an array like a; None if it is neither."""
    if b.__class__ is ndarray:
        if b.dtype != a.dtype:
            return None
        if (b.size == 1 and b.ndim <= a.ndim) or (b.shape == a.shape and not any(b.strides)):
            return float(b[(0,) * b.ndim])                       # one number, or one repeated
        return b if b.shape == a.shape and _plain(b) else None
    if b.__class__ is int and abs(b) <= 1 << 24:                 # exact in every dtype
        return float(b)
    return b if b.__class__ is float else None


# --- any function --------------------------------------------------------------------------------

def spread(ufunc: Any, x: Any, *others: Any) -> ndarray:
    """ufunc(x, *others), with the same bits. One of them is large; the others numbers or arrays.

    By a loop of ours for + - * / of one shape, or of an array and a number. In pieces if x has the
    shape and dtype of the result. Else NumPy does it at once.
    """
    code = _CODES.get(ufunc)
    if code is not None and not jit_disabled():
        a, b = x, others[0]
        if a.__class__ is not ndarray or not any(a.strides):     # 1 - x, or the gradient of a mean
            code, a, b = _SWAPPED[code], b, a
        if a.__class__ is ndarray and a.dtype in _FLOATS and _plain(a):
            b = _operand(a, b)
            if b is not None:
                out = empty(a.shape, a.dtype)
                _loop(code, a, b, out)
                return out
    return _in_pieces(ufunc, x, *others)


def _in_pieces(ufunc: Any, x: Any, *others: Any) -> ndarray:
    """ufunc(x, *others): by NumPy, over threads if x has the shape and dtype of the result."""
    if (x.__class__ is not ndarray or x.size < PIECES or x.dtype not in _FLOATS
            or not x.flags.c_contiguous):
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
    parallel(piece, length, grain=max(1, PIECE * length // x.size))
    return out


# --- what the rules say --------------------------------------------------------------------------

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


def minus(a: Any) -> Any:
    """-a for arrays and Tensors; large arrays on all threads."""
    if a.__class__ is ndarray and a.size >= SHARED:
        return spread(np.subtract, -0.0, a)
    return -a


def function(ufunc: np.ufunc, x: ndarray) -> ndarray:
    """ufunc(x); large arrays on all threads."""
    return _in_pieces(ufunc, x) if x.size >= PIECES else ufunc(x)
