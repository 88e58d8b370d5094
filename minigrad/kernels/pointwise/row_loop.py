"""A formula over rows, with sums and maxima along them: one loop over memory, on all threads.

    softmax = RowLoop(softmax_formula, "softmax")
    y = softmax(x)                                 # x (R, K)

The loop is compiled when such arrays come for the first time (40 to 80 ms, kept on disk); what
there is no loop for (no compiler, a word that LLVM lacks) is NumPy's: the formula itself, called
with the arrays. A loop is as exact or more so: its long sums are added up in float64.

Not here: what is written (row_emit.py) and compiled (machine_code.py), the kernel that runs it
(loop.py).
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ... import tuning
from ...memory import empty
from ..jit import ready
from ..parallel import one_each, parallel
from .emit import MOST_ARRAYS, MOST_NUMBERS, Operand
from .loop import NO_ARRAYS, NO_NUMBERS, run, works
from .words import F32, F64, I64


class MadeRows(NamedTuple):
    """A loop: the address of its code, the dtype of its result, whether it is a number a row."""
    code: int
    dtype: np.dtype
    each: bool


class RowLoop:
    """A formula over the rows of a matrix (a function of arrays, or of Row) and its loops.

    Its arguments: arrays (R, K); (R, 1), a number for each row, of which integers are places in it;
    (K,), a row that all share; Python numbers. Its result: (R, K), or (R, 1).
    """
    __slots__ = ("plain", "title", "made")

    def __init__(self, plain: Callable[..., Any], title: str) -> None:
        self.plain, self.title = plain, title
        self.made: dict[tuple, MadeRows | None] = {}

    def __call__(self, *args: Any) -> Any:
        """plain(*args): by a loop if there is one for these arguments, else by NumPy."""
        shape = None
        for x in args:
            if x.__class__ is ndarray and x.ndim == 2 and (
                    shape is None or (shape[1] == 1 and x.shape[1] != 1)):
                shape = x.shape
        key: list[Any] = []
        arrays, numbers, kept = [], [], []
        for x in args:
            kind = x.__class__
            if kind is ndarray:
                if not x.flags.c_contiguous:
                    x = np.ascontiguousarray(x)
                    kept.append(x)                 # its address is all that is passed
                own = x.shape
                if shape is None:
                    return self._by_numpy(args)
                if own == shape and x.dtype != I64:
                    key.append(x.dtype)
                elif own == (shape[0], 1):
                    key.append(("each", x.dtype))
                elif own == shape[1:]:
                    key.append(("row", x.dtype))
                else:
                    return self._by_numpy(args)
                arrays.append(id(x))
            elif kind is float or kind is int:
                key.append("number")
                numbers.append(float(x))
            else:
                key.append(("known", None, x))
        try:
            made = self.made[tuple(key)]
        except KeyError:
            made = self._make(key)
        if made is None or shape is None:
            if any(x.__class__ is ndarray and not x.dtype.isnative for x in args):
                return self(*[ready(x) if x.__class__ is ndarray else x for x in args])
            return self._by_numpy(args)
        rows, columns = shape
        out = empty((rows, 1) if made.each else shape, made.dtype)
        least = -(-tuning.SOFTMAX_GRAIN // (columns + tuning.SOFTMAX_ROW))
        if rows >= 2 * least:
            parallel(run, rows, made.code, columns, 0, id(out), *arrays,
                     *NO_ARRAYS[len(arrays):], *numbers, *NO_NUMBERS[len(numbers):],
                     grain=one_each(rows, least))
        elif rows:                                 # without parallel(), which takes 0.3 us
            run.run(0, rows, made.code, columns, 0, id(out), *arrays, *NO_ARRAYS[len(arrays):],
                    *numbers, *NO_NUMBERS[len(numbers):])
        return out

    def _make(self, key: list) -> MadeRows | None:
        """Writes and compiles the loop for these arguments; None where there is none."""
        operands = [Operand("number") if k == "number" else Operand(*k) if isinstance(k, tuple)
                    else Operand("all", k) for k in key]
        dtypes = [x.dtype for x in operands if x.dtype is not None]
        made = None
        if len(dtypes) <= MOST_ARRAYS and len(set(dtypes) - {I64}) == 1 and works() \
                and sum(x.lies == "number" for x in operands) <= MOST_NUMBERS \
                and all(x.dtype in (F32, F64) or x.lies == "each"
                        for x in operands if x.dtype is not None):
            from .machine_code import address, register_bytes
            from .row_emit import write_rows

            # A word that LLVM lacks, an LLVM that we do not know: NumPy's way.
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                text = write_rows(self.plain, operands, register_bytes())
                title = ".".join([self.title, *(
                    "n" if x.dtype is None else x.dtype.char + x.lies[0] for x in operands)])
                made = MadeRows(address(text.module, title), text.dtype, text.each)
        self.made[tuple(key)] = made
        return made

    def _by_numpy(self, args: tuple) -> Any:
        with np.errstate(all="ignore"):            # loops are silent, too
            return self.plain(*args)

    def __repr__(self) -> str:
        return f"<loop over rows {self.title}>"
