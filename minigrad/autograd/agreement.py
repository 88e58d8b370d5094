"""The dtypes of one call: what its arguments are converted to, and what its result is.

`promotion.py` says which dtype comes out of several; this file does it, for the operations: it is
asked by the generated functions (`codegen.py`) as soon as not all tensors are float32. Where they
are, nothing of this runs.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from .engine import Node, Tensor, wrap
from .table import OPS
from ..modes import settings
from ..promotion import (
    DTYPES, FLOAT32, FLOAT64, INT64, WIDE, Casts, as_own, dtype_named, fits, plan,
)

if TYPE_CHECKING:
    from .op import Op


def admit(x: Any, op: Op) -> Any:
    """An array of the user's as an op may see it; see as_own."""
    return x if x.__class__ is not ndarray or x.dtype in DTYPES else as_own(op.name, x)


def agree(op: Op, known: tuple) -> Casts | np.dtype | None:
    """The dtype that floating results shall have, or what must be converted before; see plan."""
    first, last = known[0], known[-1]
    if first.__class__ is ndarray and len(known) == 2:           # the common cases, without plan()
        dtype = first.dtype
        if dtype is FLOAT64 and (last.__class__ is float or (last.__class__ is ndarray
                                                            and last.dtype is FLOAT64)):
            return dtype
        if dtype is INT64 and not op.floating and (last.__class__ is int or (
                last.__class__ is ndarray and last.dtype is INT64)):
            return dtype
    kinds: list[Any] = []
    for x in known:
        if x.__class__ is ndarray:
            kinds.append((x.dtype, x.ndim > 0))
        elif x is not None:                        # np.float64 is as weak as 2.0
            kinds.append(float if isinstance(x, float) else x.__class__)
    return plan(op.name, tuple(kinds), settings.default_dtype, op.promote, op.floating, op.moves)


def finish(out: ndarray, want: np.dtype | None, operands: tuple) -> ndarray:
    """A floating result in the dtype that it shall have.

    NumPy makes float64 of integers (1 / 2, float32 * int64), and counts tensors without dimensions.
    """
    if out.dtype.kind != "f" or out.dtype is want or want is None:
        return out
    if want is FLOAT32 and not any([x.__class__ is ndarray for x in operands]):
        want = settings.default_dtype              # numbers alone
    if want.kind != "f":                           # integers: what NumPy makes of them, or default
        if out.dtype != FLOAT64:
            return out
        want = settings.default_dtype
    return out if out.dtype == want else out.astype(want)


# --- once more, with other arguments -------------------------------------------------------------

def again(x: Any, tensor: Tensor | None, wrapped: bool) -> Any:
    """An argument that was unwrapped as a Tensor once more, if any was one. tensor: the argument
    itself if it needs a gradient."""
    if tensor is not None:
        return tensor
    return wrap(x) if wrapped and x.__class__ is ndarray else x


def all_again(arrays: tuple, links: tuple[Node | None, ...], wrapped: bool) -> list:
    """The same for a sequence. (It may have been an iterator, which is read once.)"""
    return [wrap(x, node) if wrapped and x.__class__ is ndarray else x
            for x, node in zip(arrays, links, strict=True)]


def redo(op: Op, casts: Casts, places: list, words: dict[str, Any]) -> Any:
    """The op of converted arguments, its floating results converted, too; all of it is recorded.

    So a float16 operation is the float32 operation between casts, and so are its derivatives of any
    order: the gradient arrives as float16, is computed in float32, and rounded once.
    """
    each, result = casts
    names = [p.name for p in op.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    for i, x in enumerate(places):
        name = names[min(i, len(names) - 1)]       # *xs may be many
        if name in op.tensors:
            many = name == op.sequence and isinstance(x, (list, tuple))
            places[i] = [_convert(y, each, op, name) for y in x] if many else \
                _convert(x, each, op, name)
    for name in words:
        if name in op.tensors:
            words[name] = _convert(words[name], each, op, name)
    dtype = words["dtype"] if "dtype" in words else \
        places[names.index("dtype")] if "dtype" in names else None
    if result is not None and dtype is not None:
        if dtype_named(op.name, dtype) == result:  # the sum of float16 in float16: as without
            if "dtype" in words:
                words["dtype"] = None
            else:
                places[names.index("dtype")] = None
        else:
            result = None
    out = op.public(*places, **words)
    if result is None:
        return out
    if isinstance(out, (tuple, list)):
        return tuple([_as_dtype(y, result) for y in out])
    return _as_dtype(out, result)


def rounded_once(function: Callable, *args: Any, **options: Any) -> Any:
    """function(*args, **options), of float16 tensors, computed in float32 from end to end, and not
    rounded by each operation that it is made of; for @composite(rounds=True).

    What is passed by name has no say in the dtype of the result.
    """
    found: list[np.dtype] = []

    def widened(x: Any) -> Any:
        if isinstance(x, (list, tuple)):
            return type(x)(map(widened, x)) if any([isinstance(y, Tensor) for y in x]) else x
        if not isinstance(x, (Tensor, ndarray)) or x.dtype.kind != "f":
            return x
        found.append(x.dtype)
        return _cast(x, WIDE[x.dtype]) if x.dtype in WIDE else x
    args = tuple(map(widened, args))
    deciding = {*found}
    out = function(*args, **{name: widened(x) for name, x in options.items()})
    return _as_dtype(out, deciding.pop()) if len(deciding) == 1 else out


def _convert(x: Any, each: dict, op: Op, name: str) -> Any:
    if not isinstance(x, (Tensor, ndarray)):
        if x is None or (op.takes_number(name) and isinstance(x, (float, int))):
            return x
        x = np.asarray(x)
    array = x.array if isinstance(x, Tensor) else x
    dtype = each.get((array.dtype, array.ndim > 0))
    if dtype is None:
        return x
    if not array.ndim and dtype.kind in "iu" and not fits(array, dtype):
        raise ValueError(f"{op.name}: {array.item()}, a tensor without dimensions, has no say in "
                         f"the dtype beside tensors of {dtype}, and is no number of it; convert "
                         "them first, for example x.long()")
    return _cast(x, dtype)


def _as_dtype(y: Any, dtype: np.dtype) -> Any:
    if not isinstance(y, (Tensor, ndarray, np.generic)) or y.dtype.kind != "f" or y.dtype == dtype:
        return y
    return _cast(y, dtype)


def _cast(x: Any, dtype: np.dtype) -> Any:
    if not isinstance(x, Tensor):
        return x.astype(dtype)
    return OPS["cast_float" if dtype.kind == "f" else "cast_discrete"].public(x, dtype)
