"""The loop around a formula, as the text of an LLVM function over vectors.

    void f(i64 start, i64 stop, ptr table)

computes the elements start ... stop - 1 of the result; over a matrix, its rows start ... stop - 1.
The table holds what a call is given, one word of 64 bits each: COLUMNS, PERIOD, then the address of
the result, those of the arrays, and the Python numbers as float64. So the code knows no address, no
size and no slope, and can be kept.

How an array lies beside the result is known to the code, a letter for each (`Operand.lies`):

    "all"       an element for each of the result's, in its order
    "row"       one row, that all rows of the result share: a bias
    "column"    one number for a whole row, and after PERIOD rows from the start: scales of channels
    "one"       one number for all, passed among the numbers: the gradient of a sum

Vectors are as wide as the machine's registers, the last one of a run is masked: loads and stores
touch nothing beyond it, and every element is computed by the same instructions wherever a thread's
part begins. The result may be one of the arrays. Nothing is fused or reordered that NumPy would
round (the elementary functions say themselves where they allow it).

Not here: what the words of a formula become (words.py), machine code (machine_code.py).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .words import BOOL, F64, TYPES, Code, Lanes

FUNCTION = "@FUNCTION"                             # its true name is made of the text itself
TOGETHER = 4
COLUMNS, PERIOD, RESULT, ARRAYS, NUMBERS = 0, 1, 2, 3, 9      # where what lies in the table
MOST_ARRAYS, MOST_NUMBERS = NUMBERS - ARRAYS, 4
TABLE = NUMBERS + MOST_NUMBERS


class Operand(NamedTuple):
    """An argument of a formula: an array (its dtype, and how it lies), a number, or what the code
    is made for (None, True, a word): `value`."""
    lies: str                        # "all", "row", "column", "one" of an array; "number", "known"
    dtype: np.dtype | None = None
    value: Any = None


class Text(NamedTuple):
    """What was written: the module, and the dtype of the result."""
    module: str
    dtype: np.dtype


def write(formula: Callable[..., Any], operands: Sequence[Operand], register: int) -> Text:
    """The function for these operands, with vectors of so many bytes.

    Raises: whatever the formula does with Lanes that its words do not know.
    """
    width = max(x.dtype.itemsize for x in operands if x.dtype is not None)
    matrix = any(x.lies in ("row", "column") for x in operands)
    lanes = register // width
    writer = _Writer(formula, operands, Code(lanes if matrix else TOGETHER * lanes))
    if matrix:
        writer.rows()
    else:
        writer.run("%start", "%stop", "0", {})
    assert writer.dtype is not None
    return Text(module(writer.code, register), writer.dtype)


def module(code: Code, register: int) -> str:
    """The module of the one function whose instructions were written."""
    bits = 8 * register
    # LLVM's own preference would be half of an AVX-512 register, out of care for old CPUs.
    return "\n".join([
        f'define void {FUNCTION}(i64 %start, i64 %stop, ptr %table) #0 {{',
        *code.rooms, *code.lines, "  ret void", "}", *sorted(code.declared.values()),
        f'attributes #0 = {{ nounwind "prefer-vector-width"="{bits}" '
        f'"min-legal-vector-width"="{bits}" }}', ""])


class _Writer:
    """One function in the making."""

    def __init__(self, formula: Callable, operands: Sequence[Operand], code: Code) -> None:
        self.formula, self.operands, self.code = formula, operands, code
        self.dtype: np.dtype | None = None
        self.result = word(code, "ptr", RESULT)
        arrays, numbers = ARRAYS, NUMBERS
        self.values: dict[int, Any] = {}           # pointers of arrays, Lanes of numbers
        for i, x in enumerate(operands):
            if x.lies in ("number", "one"):
                number = spread(code, word(code, "double", numbers), F64, weak=x.dtype is None)
                self.values[i] = number if x.dtype is None else number.astype(x.dtype)
                numbers += 1
            elif x.dtype is not None:
                self.values[i] = word(code, "ptr", arrays)
                arrays += 1

    def rows(self) -> None:
        """A loop over rows, within it one over columns."""
        code = self.code
        columns, period = word(code, "i64", COLUMNS), word(code, "i64", PERIOD)
        with code.loop("%start", "%stop") as row:
            begin = code(f"mul i64 {row}, {columns}")
            fixed = {}
            for i, x in enumerate(self.operands):
                if x.lies == "column":
                    assert x.dtype is not None
                    at = code(f"urem i64 {row}, {period}")
                    kind = "i8" if x.dtype == BOOL else TYPES[x.dtype]
                    place = code(f"getelementptr {kind}, ptr {self.values[i]}, i64 {at}")
                    one = code(f"load {kind}, ptr {place}, align 1")
                    if x.dtype == BOOL:
                        one = code(f"icmp ne i8 {one}, 0")
                    fixed[i] = spread(code, one, x.dtype)
            self.run("0", columns, begin, fixed)

    def run(self, start: str, stop: str, begin: str, fixed: dict[int, Lanes]) -> None:
        """The numbers begin + start ... begin + stop - 1: whole vectors, then what is left."""
        code = self.code
        length = code(f"sub i64 {stop}, {start}")
        rest = code(f"urem i64 {length}, {code.lanes}")
        whole = code(f"sub i64 {stop}, {rest}")
        with code.loop(start, whole, code.lanes) as i:
            self.body(i, begin, fixed, None)
        some = code(f"icmp ne i64 {rest}, 0")
        with code.when(some):
            left = spread(code, code(f"trunc i64 {rest} to i32"), np.dtype(np.int32)).name
            lanes = ", ".join(f"i32 {i}" for i in range(code.lanes))
            wide = f"<{code.lanes} x i32>"
            mask = code(f"icmp ult {wide} <{lanes}>, {left}")
            self.body(whole, begin, fixed, f"<{code.lanes} x i1> {mask}")

    def body(self, i: str, begin: str, fixed: dict[int, Lanes], mask: str | None) -> None:
        """One vector of results, the i-th of a row that begins at `begin`."""
        at = i if begin == "0" else self.code(f"add i64 {begin}, {i}")
        args: list[Any] = []
        for n, x in enumerate(self.operands):
            if n in fixed:
                args.append(fixed[n])
            elif x.lies in ("number", "one"):
                args.append(self.values[n])
            elif x.dtype is not None:
                place = i if x.lies == "row" else at
                args.append(load(self.code, self.values[n], place, x.dtype, mask))
            else:
                args.append(x.value)
        value = self.formula(*args)
        if type(value) is not Lanes or value.weak or value.dtype not in (BOOL, *_FLOATS):
            raise TypeError("the result of this formula is left to NumPy")
        self.dtype = value.dtype
        store(value, self.result, at, mask)


def word(code: Code, kind: str, i: int) -> str:
    """The i-th word of the table."""
    place = code(f"getelementptr i64, ptr %table, i64 {i}")
    return code(f"load {kind}, ptr {place}, align 8")


def spread(code: Code, number: str, dtype: np.dtype, weak: bool = False) -> Lanes:
    """A number in all lanes."""
    kind = TYPES[dtype]
    wide = f"<{code.lanes} x {kind}>"
    first = code(f"insertelement {wide} poison, {kind} {number}, i32 0")
    every = code(f"shufflevector {wide} {first}, {wide} poison, "
                 f"<{code.lanes} x i32> zeroinitializer")
    return Lanes(code, every, dtype, weak)


def load(code: Code, pointer: str, i: str, dtype: np.dtype, mask: str | None) -> Lanes:
    """The numbers from the i-th of an array on; 0 where the mask is false."""
    kind = "i8" if dtype == BOOL else TYPES[dtype]
    wide = f"<{code.lanes} x {kind}>"
    place = code(f"getelementptr {kind}, ptr {pointer}, i64 {i}")
    if mask is None:
        x = code(f"load {wide}, ptr {place}, align 1")
    else:
        x = code.call(f"llvm.masked.load.v{code.lanes}{_SHORT[kind]}.p0", wide, f"ptr {place}",
                      "i32 1", mask, f"{wide} zeroinitializer")
    if dtype == BOOL:
        x = code(f"icmp ne {wide} {x}, zeroinitializer")
    return Lanes(code, x, dtype)


def store(value: Lanes, pointer: str, i: str, mask: str | None) -> None:
    """Writes them from the i-th of an array on, where the mask is true."""
    code, kind, text = value.code, TYPES[value.dtype], str(value)
    if value.dtype == BOOL:
        kind, wide = "i8", f"<{code.lanes} x i8>"
        text = f"{wide} {code(f'zext {value} to {wide}')}"
    place = code(f"getelementptr {kind}, ptr {pointer}, i64 {i}")
    if mask is None:
        code.do(f"store {text}, ptr {place}, align 1")
    else:
        code.call(f"llvm.masked.store.v{code.lanes}{_SHORT[kind]}.p0", "void", text,
                  f"ptr {place}", "i32 1", mask)


_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_SHORT = {"i8": "i8", "float": "f32", "double": "f64"}
