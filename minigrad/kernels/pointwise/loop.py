"""A formula on large arrays: one loop over memory, on all threads, in place of NumPy's calls.

    gelu = Loop(lambda x: 0.5 * x * (1.0 + erf(x * SQRT_HALF)), "gelu")
    y = gelu(x)

The loop is compiled when such arguments come for the first time (which are arrays, of what dtype,
how they lie beside the result). Python numbers are passed, so that another slope is the same code.
What there is no loop for (integers, a word that LLVM lacks, shapes that are broadcast in other ways
than over rows or columns, no compiler) is NumPy's: the formula itself, called with the arrays. Both
ways give the same results but for the last digits of elementary functions.

A call takes 1.5 us: which of the loops it is, memory for the result, one call of machine code. That
is `run` below, one kernel for all formulas: it is told where the loop's code is, and the addresses
of arrays as `id()`, since that is where NumPy keeps an array's address.

Limit: bytes where the formula is short (4 a float32 number read or written), else arithmetic. For
262,144 float32 numbers on two cores, in us: x * y 18 (NumPy 29), gelu 39.

Not here: which sizes are large (tuning.py), what is written (emit.py) and compiled
(machine_code.py).
"""
from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from contextvars import copy_context
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ...memory import empty
from ... import tuning
from ..jit import jit
from ..jit.kernel import jit_disabled
from ..parallel import one_each, parallel
from .emit import MOST_ARRAYS, MOST_NUMBERS, NUMBERS, RESULT, TABLE, Operand, write
from .words import BOOL, F32, F64

GRAIN = 1 << 14                                    # numbers worth a chunk: 2 to 10 us
_PIECE = 1 << 17
_A_NUMBER = object()                               # in a key: the float itself is passed
_KNOWN = frozenset((type(None), bool, str))        # what the code is made for
_NOTHING = np.empty(0)
_EXACT = 1 << 24                                   # integers up to here are floats of any kind
NO_ARRAYS, NO_NUMBERS = (0,) * MOST_ARRAYS, (0.0,) * MOST_NUMBERS


# --- one kernel that runs the code of all ------------------------------------------------------

def _compiled_run() -> Callable[..., Any]:
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba import types  # type: ignore[import-untyped]
    from numba.extending import intrinsic  # type: ignore[import-untyped]

    i64, place = ir.IntType(64), object.__basicsize__       # of an array's address in the object
    arrays = range(RESULT, RESULT + 1 + MOST_ARRAYS)

    @intrinsic
    def jump(typingctx, start, stop, code, words):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            start, stop, code, words = args
            table = builder.alloca(ir.ArrayType(i64, TABLE))
            result = builder.extract_value(words, RESULT)
            for i in range(TABLE):
                word = builder.extract_value(words, i)
                if i in arrays:                    # an id; 0 for none: read the result's instead
                    none = builder.icmp_signed("==", word, ir.Constant(i64, 0))
                    at = builder.add(builder.select(none, result, word), ir.Constant(i64, place))
                    word = builder.load(builder.inttoptr(at, i64.as_pointer()))
                elif i >= NUMBERS:
                    word = builder.bitcast(word, i64)
                builder.store(word, builder.gep(table, [ir.Constant(i64, 0), ir.Constant(i64, i)]))
            kind = ir.FunctionType(ir.VoidType(), [i64, i64, table.type])
            builder.call(builder.inttoptr(code, kind.as_pointer()), [start, stop, table])
            return context.get_dummy_value()

        return types.void(start, stop, code, words), codegen

    def run(start, stop, code, columns, period, result, a, b, c, d, e, f, n, m, o, p):  # type: ignore
        jump(start, stop, code, (columns, period, result, a, b, c, d, e, f, n, m, o, p))

    return run


@jit(compiled_as=_compiled_run)
def run(start, stop, code, columns, period, result, a, b, c, d, e, f, n, m, o, p):  # type: ignore
    """The machine code at `code` for the elements (or rows) start ... stop - 1; arrays are ids."""
    raise NotImplementedError


@functools.cache
def works() -> bool:
    """Whether this machine, Python and NumPy are what the loops rely on; asked once."""
    if jit_disabled():
        return False
    from .machine_code import address, register_bytes

    try:
        run.resolve()
        if run.run is run.plain:                   # Numba was told not to compile
            return False
        here = np.arange(3.0)                      # where does an array keep its address?
        import ctypes
        found = ctypes.c_void_p.from_address(id(here) + object.__basicsize__).value
        if found != here.__array_interface__["data"][0]:
            return False
        x, y = np.arange(5.0), np.empty(5)
        text = write(lambda a, n: a * n, [Operand("all", F64), Operand("number")],
                     register_bytes())
        code = address(text.module, "probe")
        run(0, 5, code, 0, 0, id(y), id(x), *NO_ARRAYS[1:], 3.0, *NO_NUMBERS[1:])
        return bool((y == 3 * x).all())
    except Exception:
        return False


class Made(NamedTuple):
    """A loop: the address of its code, the dtype of its result."""
    code: int
    dtype: np.dtype


class Loop:
    """A formula (a function of single numbers, arrays or Lanes) and its loops.

    plain: the formula. title: of its machine code. several: whether it is several calls of NumPy's,
    so that strided arrays are worth a copy. doubles: whether there are loops for float64.
    made: key -> Made, None where there is no loop.
    """
    __slots__ = ("plain", "title", "several", "doubles", "made")

    def __init__(self, plain: Callable[..., Any], title: str, several: bool = True,
                 doubles: bool = True) -> None:
        self.plain, self.title, self.several, self.doubles = plain, title, several, doubles
        self.made: dict[tuple, Made | None] = {}

    def __call__(self, *args: Any) -> Any:
        """plain(*args): by a loop if there is one for these arguments, else by NumPy."""
        shape, arrays, numbers = None, [], []
        key: list[Any] = []
        for x in args:
            kind = x.__class__
            if kind is ndarray:
                if shape is None:
                    shape = x.shape
                if x.shape != shape or not x.flags.c_contiguous:
                    return self._mixed(args, None)
                key.append(x.dtype)
                arrays.append(id(x))
            elif kind is float or (kind is int and -_EXACT <= x <= _EXACT):
                key.append(_A_NUMBER)
                numbers.append(float(x))
            elif kind in _KNOWN:
                key.append(x)
            else:
                return self._mixed(args, None)
        try:
            made = self.made[tuple(key)]
        except KeyError:
            made = self._make(key)
        if made is None or shape is None:
            return self._by_numpy(args)
        out = empty(shape, made.dtype)
        n = out.size
        if n >= 2 * GRAIN:
            parallel(run, n, made.code, 0, 0, id(out), *arrays, *NO_ARRAYS[len(arrays):],
                     *numbers, *NO_NUMBERS[len(numbers):], grain=one_each(n, GRAIN))
        elif n:                                    # without parallel(), which takes 0.3 us
            run.run(0, n, made.code, 0, 0, id(out), *arrays, *NO_ARRAYS[len(arrays):],
                    *numbers, *NO_NUMBERS[len(numbers):])
        return out

    def into(self, out: ndarray, *args: Any) -> bool:
        """out = plain(*args), where out may be one of the arrays; False if there is no loop."""
        return self._mixed(args, out) is not None

    def _make(self, key: list) -> Made | None:
        """Writes and compiles the loop for these arguments; None where there is none."""
        operands = [k if k.__class__ is Operand else Operand("number") if k is _A_NUMBER else
                    Operand("all", k) if isinstance(k, np.dtype) else Operand("known", None, k)
                    for k in key]
        numbers = sum(x.lies in ("number", "one") for x in operands)
        arrays = sum(x.dtype is not None and x.lies != "one" for x in operands)
        floats = {x.dtype for x in operands if x.dtype is not None} - {BOOL}
        made = None
        if arrays <= MOST_ARRAYS and numbers <= MOST_NUMBERS and len(floats) == 1 \
                and floats <= ({F32, F64} if self.doubles else {F32}) and works():
            # A word that LLVM lacks, an LLVM that we do not know: NumPy's way.
            from .machine_code import address, register_bytes

            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                text = write(self.plain, operands, register_bytes())
                made = Made(address(text.module, self._title(operands)), text.dtype)
        self.made[tuple(key)] = made
        return made

    def _title(self, operands: list[Operand]) -> str:
        letters = [x.dtype.char + x.lies[0] if x.dtype is not None else
                   "n" if x.lies == "number" else "k" for x in operands]
        name = "".join(c if c.isalnum() else "_" for c in self.title)
        return f"{name}.{'.'.join(letters)}"

    # arrays that are not all of one shape, one number behind the other

    def _mixed(self, args: tuple, out: ndarray | None) -> Any:
        """The same for arrays that are broadcast or strided. out: where the result goes, if it is
        to be in memory that there is; then None means that there is no loop."""
        given = [x for x in args if x.__class__ is ndarray]
        if not self.several:                       # a short bias, found at once: 3 us less
            for x in given:
                if x.ndim == 1 and 1 < len(x) < tuning.NARROW:
                    return self._by_numpy(args, out)
        try:
            shape = np.broadcast(*given).shape
        except ValueError:
            return self.plain(*args)               # NumPy says what is wrong
        key: list[Any] = []
        arrays, numbers, kept = [], [], []
        columns = period = 0                       # of the matrix that the result is seen as
        for x in args:
            if x.__class__ is not ndarray:
                number = _number(x, self.several)
                if number is not None:
                    key.append(_A_NUMBER)
                    numbers.append(number)
                elif x.__class__ in _KNOWN:
                    key.append(x)
                else:
                    return self._by_numpy(args, out)
                continue
            if x.size and (x.size == 1 or not any(x.strides)) and x.dtype in (F32, F64):
                key.append(Operand("one", x.dtype))
                numbers.append(float(x[(0,) * x.ndim]))
                continue
            if not x.flags.c_contiguous:
                if not (self.several and x.shape == shape):
                    return self._by_numpy(args, out)
                x = np.ascontiguousarray(x)
            lies, wide, again = _lies(x.shape, shape)
            if lies == "other" or (columns and wide and wide != columns) \
                    or (period and again and again != period):
                return self._by_numpy(args, out)
            columns, period = columns or wide, period or again
            if 0 < columns < tuning.NARROW and not self.several:
                return self._by_numpy(args, out)
            key.append(x.dtype if lies == "all" else Operand(lies, x.dtype))
            arrays.append(id(x))
            kept.append(x)
        try:
            made = self.made[tuple(key)]
        except KeyError:
            made = self._make(key)
        if made is None or (out is not None and (out.shape != shape or out.dtype != made.dtype
                                                 or not out.flags.c_contiguous)):
            return self._by_numpy(args, out)
        if out is None:
            out = empty(shape, made.dtype)
        n, grain = (out.size // columns, max(1, GRAIN // columns)) if columns else (out.size, GRAIN)
        parallel(run, n, made.code, columns, period, id(out), *arrays, *NO_ARRAYS[len(arrays):],
                 *numbers, *NO_NUMBERS[len(numbers):], grain=one_each(n, grain))
        return out

    def _by_numpy(self, args: tuple, out: ndarray | None = None) -> Any:
        """plain(*args), of very many numbers in pieces on all threads; None if it is to go into
        `out`."""
        if out is not None:
            return None
        given = [x for x in args if x.__class__ is ndarray]
        first = given[0] if given else _NOTHING
        if first.size < tuning.PIECES or any(x.shape != first.shape or not x.flags.c_contiguous
                                      or x.dtype.kind != "f" for x in given):
            return self.plain(*args)
        flat = [x.reshape(-1) if x.__class__ is ndarray else x for x in args]
        context = copy_context()                   # np.errstate of the calling thread

        def part(start: int, stop: int) -> Any:
            cut = [x[start:stop] if x.__class__ is ndarray else x for x in flat]
            return context.copy().run(self.plain, *cut)

        def piece(start: int, stop: int) -> None:
            result[start:stop] = part(start, stop)
        result = empty((first.size,), part(0, 1).dtype)
        parallel(piece, first.size, grain=_PIECE)
        return result.reshape(first.shape)

    def __repr__(self) -> str:
        return f"<loop {self.title}>"


def _number(x: Any, several: bool) -> float | None:
    """x as a number that has no say in the dtype: a float, an integer that is one in every dtype;
    in longer formulas also np.float64, which NumPy computes with in float64. None if it is none."""
    if x.__class__ is float or (several and isinstance(x, float)) or (
            x.__class__ is int and -_EXACT <= x <= _EXACT):
        return float(x)
    return None


def _lies(own: tuple[int, ...], shape: tuple[int, ...]) -> tuple[str, int, int]:
    """How a contiguous array of shape `own` lies beside a result, and the columns and the period of
    the matrix that the result is then seen as (0: any)."""
    if own == shape:
        return "all", 0, 0
    sizes = [(n, m) for n, m in zip((1,) * (len(shape) - len(own)) + own, shape) if m != 1]
    own_dims = [i for i, (n, _) in enumerate(sizes) if n != 1]
    if not own_dims or any(n != m for n, m in sizes[own_dims[0]:own_dims[-1] + 1]):
        return "other", 0, 0
    inner = prod(m for _, m in sizes[own_dims[0]:own_dims[-1] + 1])
    outer = prod(m for _, m in sizes[own_dims[-1] + 1:])
    if outer > 1:
        return "column", outer, inner
    return ("all", 0, 0) if own_dims[0] == 0 else ("row", inner, 0)
