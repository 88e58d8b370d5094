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
262,144 float32 numbers on two cores, in us: x * y 21 (NumPy 104), gelu 30.

Not here: which sizes are large (tuning.py), what is written (emit.py) and compiled
(machine_code.py), NumPy's functions in pieces (pieces.py).
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ...memory import empty
from ..jit import jit
from ..jit.kernel import jit_disabled
from ..parallel import one_each, parallel
from .emit import MOST_ARRAYS, MOST_NUMBERS, Operand, write
from .machine_code import address, register_bytes
from .words import BOOL, F32, F64

GRAIN = 1 << 14                                    # numbers worth a chunk: 2 to 10 us
_EXACT = 1 << 24                                   # integers up to here are floats of any kind
_NO_ARRAYS, _NO_NUMBERS = (0,) * MOST_ARRAYS, (0.0,) * MOST_NUMBERS


# --- one kernel that runs the code of all ------------------------------------------------------

def _compiled_run() -> Callable[..., Any]:
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba import types  # type: ignore[import-untyped]
    from numba.extending import intrinsic  # type: ignore[import-untyped]

    i64, double = ir.IntType(64), ir.DoubleType()
    given = (types.intp,) * 6 + (types.intp,) * MOST_ARRAYS + (types.float64,) * MOST_NUMBERS
    offset = object.__basicsize__                  # an array: what every object has, its address

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        start, stop, code, *words = args
        table = builder.alloca(ir.ArrayType(i64, len(words)))
        for i, word in enumerate(words):
            if word.type == double:
                word = builder.bitcast(word, i64)
            elif i == 2:                           # the result: there is always one
                word = builder.load(builder.inttoptr(
                    builder.add(word, ir.Constant(i64, offset)), i64.as_pointer()))
            elif i > 2:
                at = builder.select(builder.icmp_signed("==", word, ir.Constant(i64, 0)),
                                    args[5], word)
                word = builder.load(builder.inttoptr(
                    builder.add(at, ir.Constant(i64, offset)), i64.as_pointer()))
            builder.store(word, builder.gep(table, [ir.Constant(i64, 0), ir.Constant(i64, i)]))
        kind = ir.FunctionType(ir.VoidType(), [i64, i64, table.type])
        builder.call(builder.inttoptr(code, kind.as_pointer()), [start, stop, table])
        return context.get_dummy_value()

    names = ["start", "stop", "code", "columns", "period", "result",
             *(f"a{i}" for i in range(MOST_ARRAYS)), *(f"n{i}" for i in range(MOST_NUMBERS))]
    scope: dict[str, Any] = {}
    text = ", ".join(names)
    exec(f"def jump(typingctx, {text}): return SIGNATURE, CODEGEN\n"
         f"def run({text}): jump({text})",
         scope := {"SIGNATURE": types.void(*given), "CODEGEN": codegen})
    scope["jump"] = intrinsic(scope["jump"])
    return scope["run"]


@jit(compiled_as=_compiled_run)
def run(start, stop, code, columns, period, result, *arrays_and_numbers):  # type: ignore
    """The machine code at `code` for the elements (or rows) start ... stop - 1; arrays are ids."""
    raise NotImplementedError


@functools.cache
def _works() -> bool:
    """Whether this machine, Python and NumPy are what the loops rely on; asked once."""
    if jit_disabled():
        return False
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
        run(0, 5, code, 0, 0, id(y), id(x), *_NO_ARRAYS[1:], 3.0, *_NO_NUMBERS[1:])
        return bool((y == 3 * x).all())
    except Exception:
        return False


class Made(NamedTuple):
    """A loop: the address of its code, the dtype of its result."""
    code: int
    dtype: np.dtype


class Loop:
    """A formula (a function of single numbers, arrays or Lanes) and its loops.

    plain: the formula. title: of its machine code. made: key -> Made, None where there is no loop.
    """
    __slots__ = ("plain", "title", "made")

    def __init__(self, plain: Callable[..., Any], title: str) -> None:
        self.plain, self.title = plain, title
        self.made: dict[tuple, Made | None] = {}

    def __call__(self, *args: Any) -> Any:
        """plain(*args): by a loop if there is one for these arguments, else by NumPy."""
        shape, key = None, []
        arrays, numbers = [], []
        for x in args:
            kind = x.__class__
            if kind is ndarray:
                if shape is None:
                    shape = x.shape
                if x.shape != shape or not x.flags.c_contiguous:
                    return self._mixed(args, None)
                key.append(x.dtype)
                arrays.append(id(x))
            elif kind is float:
                key.append(kind)
                numbers.append(x)
            elif kind is int:
                if not -_EXACT <= x <= _EXACT:
                    return self.plain(*args)
                key.append(float)
                numbers.append(float(x))
            else:
                key.append(x)
        try:
            made = self.made[tuple(key)]
        except (KeyError, TypeError):
            made = self._make(key)
        if made is None or shape is None:
            return self.plain(*args)
        out = empty(shape, made.dtype)
        n = out.size
        parallel(run, n, made.code, 0, 0, id(out), *arrays, *_NO_ARRAYS[len(arrays):],
                 *numbers, *_NO_NUMBERS[len(numbers):], grain=one_each(n, GRAIN))
        return out

    def into(self, out: ndarray, *args: Any) -> bool:
        """out = plain(*args), where out may be one of the arrays; False if there is no loop."""
        return self._mixed(args, out) is out

    def _make(self, key: list) -> Made | None:
        """The loop for these arguments; None where there is none."""
        operands = [Operand("number") if k is float else
                    Operand(k.lies, k.dtype) if k.__class__ is Operand else
                    Operand("all", k) if k.__class__ is np.dtype or isinstance(k, np.dtype) else
                    Operand("known", value=k) for k in key]
        made = None
        arrays = [x for x in operands if x.dtype is not None]
        floats = {x.dtype for x in arrays if x.dtype != BOOL}
        numbers = sum(x.lies == "number" for x in operands)
        if len(arrays) <= MOST_ARRAYS and numbers <= MOST_NUMBERS and len(floats) == 1 \
                and floats <= {F32, F64} and _works():
            try:
                text = write(self.plain, operands, register_bytes())
                made = Made(address(text.module, self._title(operands)), text.dtype)
            except Exception:                      # a word that LLVM lacks, an LLVM that we do not
                made = None                        # know: NumPy's way
        try:
            self.made[tuple(key)] = made
        except TypeError:                          # an option that is no key, such as a list
            pass
        return made

    def _title(self, operands: list[Operand]) -> str:
        letters = [x.dtype.char + x.lies[0] if x.dtype is not None else
                   "n" if x.lies == "number" else "k" for x in operands]
        name = "".join(c if c.isalnum() else "_" for c in self.title)
        return f"{name}.{'.'.join(letters)}"

    # arrays that are not all of one shape, one behind the other

    def _mixed(self, args: tuple, out: ndarray | None) -> Any:
        """The same for arrays that are broadcast, or strided. out: see into."""
        shapes = [x.shape for x in args if x.__class__ is ndarray]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            return self.plain(*args)               # which says so
        if out is not None and (out.shape != shape or not out.flags.c_contiguous):
            return None
        key: list[Any] = []
        arrays, numbers, kept, form = [], [], [], None
        for x in args:
            kind = x.__class__
            if kind is not ndarray:
                if kind is int and not -_EXACT <= x <= _EXACT:
                    return self._by_numpy(args, out)
                number = kind is float or kind is int
                key.append(float if number else x)
                numbers += [float(x)] if number else []
                continue
            if x.size == 1 or not any(x.strides):  # one number, or one repeated
                if x.dtype not in (F32, F64) or len({y.dtype for y in args
                                                     if y.__class__ is ndarray}) > 1 or not x.size:
                    return self._by_numpy(args, out)
                key.append(float)
                numbers.append(float(x[(0,) * x.ndim]))
                continue
            if not x.flags.c_contiguous:
                return self._by_numpy(args, out)
            lies, at = _lies(x.shape, shape)
            if at is not None:
                if form is not None and form[0] != at[0]:
                    return self._by_numpy(args, out)             # two ways to see it as a matrix
                if form is not None and at[1] and form[1] and form[1] != at[1]:
                    return self._by_numpy(args, out)
                form = (at[0], at[1] or (form[1] if form else 0))
            elif lies == "other":
                return self._by_numpy(args, out)
            key.append(x.dtype if lies == "all" else Operand(lies, x.dtype))
            arrays.append(id(x))
            kept.append(x)
        try:
            made = self.made[tuple(key)]
        except (KeyError, TypeError):
            made = self._make(key)
        if made is None or not arrays:
            return self._by_numpy(args, out)
        if out is None:
            out = empty(shape, made.dtype)
        elif out.dtype != made.dtype:
            return None
        columns, period = form or (0, 0)
        n = out.size // columns if columns else out.size
        grain = max(1, GRAIN // columns) if columns else GRAIN
        parallel(run, n, made.code, columns, period, id(out), *arrays, *_NO_ARRAYS[len(arrays):],
                 *numbers, *_NO_NUMBERS[len(numbers):], grain=one_each(n, grain))
        return out

    def _by_numpy(self, args: tuple, out: ndarray | None) -> Any:
        return self.plain(*args) if out is None else None

    def __repr__(self) -> str:
        return f"<loop {self.title}>"


def _lies(own: tuple[int, ...], shape: tuple[int, ...]) -> tuple[str, tuple[int, int] | None]:
    """How a contiguous array of shape `own` lies beside a result, and (columns, period) of the
    matrix that the result is then seen as."""
    if own == shape:
        return "all", None
    sizes = [(n, m) for n, m in zip((1,) * (len(shape) - len(own)) + own, shape) if m != 1]
    first = next(i for i, (n, _) in enumerate(sizes) if n != 1)
    last = len(sizes) - next(i for i, (n, _) in enumerate(reversed(sizes)) if n != 1)
    if any(n != m for n, m in sizes[first:last]):
        return "other", None
    inner = prod(m for _, m in sizes[first:last])
    if last == len(sizes):
        return ("all", None) if first == 0 else ("row", (inner, 0))
    return "column", (prod(m for _, m in sizes[last:]), inner)
