"""The loops of a formula over rows, with sums and maxima along them, as one LLVM function.

A row formula is a Python function over a matrix, in NumPy's words and with reductions along rows:

    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
        return e * (1.0 / e.sum(-1, keepdims=True))

Called with arrays it is NumPy's way. Called with `Row`, which passes for an array, it leaves a graph
of what depends on what. Each reduction is one number for each row, which takes a pass over the row;
those that need no other's result share a pass, and a last pass writes the result. All passes go over
one row before the next is begun, so that it lies in the first-level cache. What a pass needs again
is computed again, but for one dear thing (an exponential): it waits in the row of the result.

Vectors. The middle of a row goes in vectors of four registers, then of one; its last 1 to LANES
numbers are masked, and stay in registers between the passes (a masked number just stored cannot be
loaded fast). Rows of up to LANES numbers are nothing but such an end: four of them go side by side,
which makes one division or logarithm, and half of the instructions of the sums, of four.

Digits. Sums: 512 numbers by lanes in the array's own precision, then lanes in float64, then a fixed
fold: the same bits for a row wherever it stands. A sum of products rounds once a term if the machine
can. Maxima keep NaN. The number that a reduction makes is a float64, as is what is computed from
such numbers (1 / sum, log(sum)), until it meets the numbers of a row.

Not here: what words become (words.py); arrays, memory, threads (row_loop.py).
"""
from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ..simd import math as scalar
from .emit import (
    ARRAYS, COLUMNS, NUMBERS, RESULT, TOGETHER, Operand, load, module, spread, store, word,
)
from .words import BOOL, F32, F64, I64, TYPES, WORDS, Code, Lanes, give_operators, stated

BLOCK = 512                                        # numbers added in the array's own precision
GROUP = 4                                          # short rows that go side by side
_DEAR = {"exp", "expm1", "tanh", "erf", "sigmoid", "log", "log1p"}
_START = {"sum": 0.0, "max": -np.inf, "min": np.inf}
#: Of numbers for each row, where a row's words have no loop.
_EACH = {"log": stated(None, scalar._log_64)}


class Row:
    """The rows of a matrix (or one number for each row), which pass for an array and are computed
    later.

    word: what makes it of args: a word of WORDS, or "operand", "count", "take", "sum", "max", "min".
    each: whether it is one number for each row. level: the passes that must be over before.
    """
    __class__ = property(lambda self: ndarray)     # type: ignore[assignment]  # for the operations
    size, ndim, shape = -1, 2, (1, 1)              # fewer than any number of them is large

    def __init__(self, word: str, args: tuple, each: bool, level: int, options: Any = None) -> None:
        self.made_by, self.args, self.each, self.level = word, args, each, level
        self.options = options or {}

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **options: Any) -> Any:
        plain = method == "__call__" and not options and ufunc.__name__ in WORDS
        return _made(ufunc.__name__, args) if plain else NotImplemented

    def __array_function__(self, function: Callable, types: Any, args: Any, options: Any) -> Row:
        name = function.__name__
        if name == "take_along_axis":
            return _take(*args, **options)
        if name in _START or name == "mean":
            return getattr(args[0], name)(*args[1:], **options)
        if name not in WORDS:
            raise TypeError(f"{name} has no loop over rows")
        return _made(name, args, options)

    def __bool__(self) -> bool:
        raise TypeError("a formula that branches on a number has no loop")

    def word(self, name: str) -> Row:
        """A function that NumPy lacks."""
        return _made(name, (self,))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Row:
        """As NumPy's, along rows."""
        return _reduced("sum", self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False, initial: float = -np.inf) -> Row:
        """As NumPy's, along rows; of no numbers -inf."""
        return _reduced("max", self, axis, keepdims, initial)

    def min(self, axis: Any = None, keepdims: bool = False, initial: float = np.inf) -> Row:
        """As NumPy's, along rows; of no numbers inf."""
        return _reduced("min", self, axis, keepdims, initial)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Row:
        """As NumPy's, along rows."""
        return self.sum(axis, keepdims) / Row("count", (), True, 0)


def _made(word: str, args: tuple, options: Any = None) -> Row:
    rows = [x for x in args if type(x) is Row]
    for x in args:
        if type(x) is not Row and x.__class__ not in (float, int, bool, type(None)):
            raise TypeError(f"{word} of {type(x).__name__} has no loop over rows")
    return Row(word, args, all(x.each for x in rows), max(x.level for x in rows), options)


give_operators(Row, lambda word, *args: _made(word, args))
Row.__hash__ = object.__hash__                     # type: ignore[method-assign]  # == makes a Row


def _reduced(word: str, x: Row, axis: Any, keepdims: bool, initial: float | None = None) -> Row:
    if axis not in (-1, 1) or not keepdims or x.each:
        raise TypeError(f"{word}: loops over rows reduce along them, and keep the dimension")
    if initial is not None and initial != _START[word]:
        raise TypeError(f"{word}: another start than {_START[word]} has no loop")
    return Row(word, (x,), True, x.level + 1)


def _take(x: Row, places: Row, axis: int = -1) -> Row:
    """One element of each row."""
    if x.made_by != "operand" or x.each or not places.each or axis not in (-1, 1):
        raise TypeError("take_along_axis: loops take one element of each row of an argument")
    return Row("take", (x, places), True, places.level)


class RowText(NamedTuple):
    """What was written: the module, the dtype of the result, and whether it is a number a row."""
    module: str
    dtype: np.dtype
    each: bool


def write_rows(formula: Callable[..., Any], operands: Sequence[Operand], register: int) -> RowText:
    """The function for these operands, with vectors of so many bytes. They lie as in emit.py:
    "all" (R, K), "row" (K,), "number"; or "each" (R, 1), of floats or int64.

    Raises: whatever the formula does with a Row that its words do not know.
    """
    dtype, = {x.dtype for x in operands if x.dtype in (F32, F64)}
    args = [x.value if x.lies == "known" else
            Row("operand", (i,), x.lies in ("each", "number"), 0) for i, x in enumerate(operands)]
    result = formula(*args)
    if type(result) is not Row:
        raise TypeError("the result of this formula is left to NumPy")
    writer = _Writer(operands, result, Code(register // dtype.itemsize), dtype)
    writer.write()
    return RowText(module(writer.code, register), dtype, result.each)


class _Strip:
    """Some numbers of a row (or as many of several rows) that lie side by side in a vector."""

    def __init__(self, code: Code, at: str, begins: list[str], mask: str | None = None) -> None:
        self.code, self.at, self.begins, self.mask = code, at, begins, mask
        self.known: dict[Row, Lanes] = {}          # what was computed


class _Writer:
    """One function in the making."""

    def __init__(self, operands: Sequence[Operand], result: Row, code: Code, dtype: np.dtype
                 ) -> None:
        self.operands, self.result, self.code, self.dtype = operands, result, code, dtype
        self.lanes = code.lanes
        self.out, self.columns = word(code, "ptr", RESULT), word(code, "i64", COLUMNS)
        self.values: list[str] = []                # pointers of arrays, numbers
        arrays, numbers = ARRAYS, NUMBERS
        for x in operands:
            if x.dtype is not None:
                self.values.append(word(code, "ptr", arrays))
                arrays += 1
            else:
                self.values.append(word(code, "double", numbers) if x.lies == "number" else "")
                numbers += x.lies == "number"
        self.reductions: dict[int, list[Row]] = {}
        self.order = {x: i for i, x in enumerate(_in_order(result))}
        for x in self.order:
            if x.made_by in _START:
                self.reductions.setdefault(x.level, []).append(x)
        self.kept = self._dear()

    def _dear(self) -> Row | None:
        """What two passes need and is dear: the last such thing waits in the row of the result."""
        if self.result.each:
            return None
        passes = [[x.args[0] for x in self.reductions[level]] for level in sorted(self.reductions)]
        passes.append([self.result])
        often: dict[Row, int] = {}
        for roots in passes:
            seen: set[Row] = set()
            for root in roots:
                _walk(root, seen)
            for x in seen:
                often[x] = often.get(x, 0) + 1
        dear = [x for x in self.order if x.made_by in _DEAR and often.get(x, 0) > 1]
        return dear[-1] if dear else None

    def write(self) -> None:
        """Loops over the rows: short ones four at a time, and long ones."""
        code, lanes = self.code, self.lanes
        wide = TOGETHER * lanes
        less = code(f"sub i64 {self.columns}, 1")
        self.whole = code(f"mul i64 {code(f'sdiv i64 {less}, {lanes}')}, {lanes}")    # 0 of -1
        self.wide = code(f"mul i64 {code(f'sdiv i64 {self.whole}, {wide}')}, {wide}")
        rest = code(f"sub i64 {self.columns}, {self.whole}")
        left = spread(code, code(f"trunc i64 {rest} to i32"), np.dtype(np.int32)).name
        each = ", ".join(f"i32 {i}" for i in range(lanes))
        mask = code(f"icmp ult <{lanes} x i32> <{each}>, {left}")
        self.masks = {1: mask, GROUP: self.together([f"<{lanes} x i1> {mask}"] * GROUP)}

        short = code(f"icmp sle i64 {self.columns}, {lanes}")
        with code.when(short):
            count = code("sub i64 %stop, %start")
            fours = code(f"sub i64 %stop, {code(f'srem i64 {count}, {GROUP}')}")
            with code.loop("%start", fours, GROUP) as row:
                _Rows(self, row, GROUP, short=True).write()
            with code.loop(fours, "%stop") as row:
                _Rows(self, row, 1, short=True).write()
        with code.when(code(f"xor i1 {short}, true")), code.loop("%start", "%stop") as row:
            _Rows(self, row, 1, short=False).write()

    def together(self, parts: list[str]) -> str:
        """Vectors of equal size, of which there are a power of two, one behind the other."""
        while len(parts) > 1:
            kind = parts[0].rsplit(" ", 1)[0]
            size, element = kind[1:-1].split(" x ")
            n = 2 * int(size)
            places = ", ".join(f"i32 {i}" for i in range(n))
            parts = [f"<{n} x {element}> " + self.code(
                f"shufflevector {a}, {b}, <{n} x i32> <{places}>")
                for a, b in zip(parts[::2], parts[1::2])]
        return parts[0].rsplit(" ", 1)[1]

    def with_lanes(self, lanes: int) -> Code:
        """The same function, for vectors of so many numbers."""
        other = copy.copy(self.code)
        other.lanes = lanes
        return other


def _walk(x: Row, seen: set[Row]) -> None:
    """All that x is made of in one pass: not what the numbers for each row are made of."""
    if not x.each and x not in seen:
        seen.add(x)
        for arg in x.args:
            if type(arg) is Row:
                _walk(arg, seen)


def _in_order(x: Row, seen: dict[Row, None] | None = None) -> list[Row]:
    """All that x is made of, and x, each after what it needs."""
    seen = {} if seen is None else seen
    for arg in x.args:
        if type(arg) is Row and arg not in seen:
            _in_order(arg, seen)
    seen[x] = None
    return list(seen)


class _Rows:
    """The passes over one row, or over `group` short ones side by side."""

    def __init__(self, writer: _Writer, row: str, group: int, short: bool) -> None:
        self.writer, self.row, self.group, self.short = writer, row, group, short
        self.each = writer.with_lanes(group)       # for numbers of which each row has one
        code = writer.code
        rows = [row] + [code(f"add i64 {row}, {i}") for i in range(1, group)]
        self.begins = [code(f"mul i64 {r}, {writer.columns}") for r in rows]
        at = "0" if short else writer.whole
        self.end = _Strip(writer.with_lanes(group * writer.lanes), at, self.begins,
                          writer.masks[group])
        self.numbers: dict[Row, Lanes] = {}
        self.spreads: dict[tuple[Row, int], Lanes] = {}
        self.passing: set[Row] = set()             # what the pass computes
        self.stored = False                        # whether what is kept lies in the result

    def write(self) -> None:
        """All passes."""
        writer, result = self.writer, self.writer.result
        for level in sorted(writer.reductions):
            self.reduce(writer.reductions[level])
        if result.each:
            store(self.number(result).astype(writer.dtype), writer.out, self.row, None)
            return
        self.ready([result])
        if not self.short:
            for start, stop, lanes in (("0", writer.wide, TOGETHER * writer.lanes),
                                       (writer.wide, writer.whole, writer.lanes)):
                with self.strips(start, stop, lanes) as strip:
                    self.put(self.vector(result, strip), strip)
        self.put(self.vector(result, self.end), self.end)

    @contextlib.contextmanager
    def strips(self, start: str, stop: str, lanes: int) -> Iterator[_Strip]:
        """A loop over the numbers start ... stop - 1 of a row."""
        with self.writer.code.loop(start, stop, lanes) as k:
            yield _Strip(self.writer.with_lanes(lanes), k, self.begins)

    # one pass that ends in numbers for each row

    def reduce(self, reductions: list[Row]) -> None:
        """A pass for these reductions, none of which needs another's result."""
        writer, code = self.writer, self.writer.code
        lanes, wide = writer.lanes, TOGETHER * writer.lanes
        self.ready([x.args[0] for x in reductions])
        totals: list[_Place] = []
        if not self.short:
            # The blocks of a sum in the array's precision, their sum in float64.
            totals = [_Place(writer.with_lanes(lanes), F64 if x.made_by == "sum" else writer.dtype,
                             _START[x.made_by]) for x in reductions]
            with code.loop("0", writer.wide, BLOCK) as begin:
                end = code(f"add i64 {begin}, {BLOCK}")
                less = code(f"icmp slt i64 {end}, {writer.wide}")
                end = code(f"select i1 {less}, i64 {end}, i64 {writer.wide}")
                blocks = [_Place(writer.with_lanes(wide), writer.dtype, _START[x.made_by])
                          for x in reductions]
                with self.strips(begin, end, wide) as strip:
                    for x, block in zip(reductions, blocks):
                        block.put(self.added(x, block.get(), strip))
                for x, block, total in zip(reductions, blocks, totals):
                    total.put(_joined(x, total.get(), self.folded(x, block.get(), lanes)))
            with self.strips(writer.wide, writer.whole, lanes) as strip:
                for x, total in zip(reductions, totals):
                    total.put(_joined(x, total.get(), self.vector(x.args[0], strip)))
            if writer.kept is not None and writer.kept in self.passing:
                self.stored = True
        for i, x in enumerate(reductions):
            last = self.vector(x.args[0], self.end)
            last = last.make(f"select <{last.code.lanes} x i1> {self.end.mask}, {last}, "
                             f"{last.const(_START[x.made_by])}")
            if not self.short:
                last = _joined(x, totals[i].get(), last)
            self.numbers[x] = self.folded(x, last, self.group).astype(F64)

    def added(self, x: Row, total: Lanes, strip: _Strip) -> Lanes:
        """total and what the reduction x adds to it."""
        term = x.args[0]
        if x.made_by == "sum" and term.made_by == "multiply" and not term.each:
            a, b = (self.vector(arg, strip) for arg in term.args)
            if type(a) is type(b) is Lanes:
                bits = 8 * total.dtype.itemsize
                return Lanes(total.code, total.code.call(
                    f"llvm.fmuladd.v{total.code.lanes}f{bits}", total.type, str(a), str(b),
                    str(total)), total.dtype)
        return _joined(x, total, self.vector(term, strip))

    def folded(self, x: Row, value: Lanes, to: int) -> Lanes:
        """So many numbers, each joined of equally many neighbours: halves are laid on each other."""
        while value.code.lanes > to:
            n = value.code.lanes // to             # numbers in a part
            code = self.writer.with_lanes(value.code.lanes // 2)
            halves = []
            for half in (0, n // 2):
                places = ", ".join(f"i32 {part * n + half + i}"
                                   for part in range(to) for i in range(n // 2))
                halves.append(Lanes(code, code(
                    f"shufflevector {value}, {value.type} poison, <{code.lanes} x i32> <{places}>"),
                    value.dtype))
            value = _joined(x, *halves)
        return value

    # what a Row is

    def ready(self, roots: list[Row]) -> None:
        """Numbers for each row are spread over vectors before a loop, not within it."""
        self.passing: set[Row] = set()
        for root in roots:
            _walk(root, self.passing)
        sizes = [self.end.code.lanes]
        if not self.short:
            sizes += [TOGETHER * self.writer.lanes]
        for x in sorted(self.passing, key=self.writer.order.__getitem__):
            for arg in x.args:
                if type(arg) is Row and arg.each and x.made_by != "operand":
                    for lanes in sizes:
                        self.spread(arg, self.writer.with_lanes(lanes))

    def number(self, x: Row) -> Lanes:
        """One number for each of the rows: of float64 unless it is an integer or a comparison."""
        if x in self.numbers:
            return self.numbers[x]
        writer, each = self.writer, self.each
        if x.made_by == "operand":
            operand, value = writer.operands[x.args[0]], writer.values[x.args[0]]
            if operand.dtype is None:
                made = spread(each, value, F64)
            else:
                made = load(each, value, self.row, operand.dtype, None)
                made = made if operand.dtype == I64 else made.astype(F64)
        elif x.made_by == "count":
            made = spread(each, each(f"sitofp i64 {writer.columns} to double"), F64)
        elif x.made_by == "take":
            made = self.taken(x)
        else:
            function = _EACH.get(x.made_by, WORDS.get(x.made_by))
            args = [self.number(a) if type(a) is Row else a for a in x.args]
            made = function(*args, **x.options) if function else args[0].word(x.made_by)
            assert made.dtype in (F64, I64, BOOL)
        self.numbers[x] = made
        return made

    def taken(self, x: Row) -> Lanes:
        """One element of each row, at a place that is known for each."""
        writer, each = self.writer, self.each
        operand, places = x.args
        kind, n = TYPES[writer.dtype], self.group
        pointer, places = writer.values[operand.args[0]], self.number(places)
        value = "poison"
        for i, begin in enumerate(self.begins):
            at = each(f"add i64 {begin}, {each(f'extractelement {places}, i32 {i}')}")
            place = each(f"getelementptr {kind}, ptr {pointer}, i64 {at}")
            one = each(f"load {kind}, ptr {place}, align 1")
            value = each(f"insertelement <{n} x {kind}> {value}, {kind} {one}, i32 {i}")
        return Lanes(each, value, writer.dtype).astype(F64)

    def spread(self, x: Row, code: Code) -> Lanes:
        """The number of each row in all lanes that belong to the row."""
        key = x, code.lanes
        if key not in self.spreads:
            number = self.number(x)
            if number.dtype != BOOL:
                number = number.astype(self.writer.dtype)
            each = code.lanes // self.group
            places = ", ".join(f"i32 {i // each}" for i in range(code.lanes))
            self.spreads[key] = Lanes(code, code(
                f"shufflevector {number}, {number.type} poison, <{code.lanes} x i32> <{places}>"),
                number.dtype)
        return self.spreads[key]

    def vector(self, x: Any, strip: _Strip) -> Any:
        """The numbers of x in a strip; what is no Row is itself."""
        if type(x) is not Row:
            return x
        if x.each:
            return self.spread(x, strip.code)
        if x not in strip.known:
            strip.known[x] = self.computed(x, strip)
        return strip.known[x]

    def computed(self, x: Row, strip: _Strip) -> Lanes:
        writer = self.writer
        kept = x is writer.kept and strip is not self.end
        if kept and self.stored:
            return self.get(writer.out, writer.dtype, strip)
        if x.made_by == "operand":
            operand, value = writer.operands[x.args[0]], writer.values[x.args[0]]
            assert operand.dtype is not None
            return self.get(value, operand.dtype, strip, shared=operand.lies == "row")
        args = [self.vector(a, strip) for a in x.args]
        function = WORDS.get(x.made_by)
        made = function(*args, **x.options) if function else args[0].word(x.made_by)
        if kept:
            self.put(made, strip)
        return made

    # memory

    def get(self, pointer: str, dtype: np.dtype, strip: _Strip, shared: bool = False) -> Lanes:
        """The numbers of a strip from an array; shared: from its only row."""
        code = self.writer.with_lanes(strip.code.lanes // self.group)
        mask = f"<{code.lanes} x i1> {self.writer.masks[1]}" if strip.mask else None
        begins = ["0"] * self.group if shared else strip.begins
        parts = [load(code, pointer, code(f"add i64 {begin}, {strip.at}"), dtype, mask)
                 for begin in begins]
        return Lanes(strip.code, self.writer.together([str(x) for x in parts]), dtype)

    def put(self, value: Lanes, strip: _Strip) -> None:
        """The numbers of a strip into the result."""
        if value.dtype != self.writer.dtype:
            raise TypeError("the result of this formula is left to NumPy")
        code = self.writer.with_lanes(strip.code.lanes // self.group)
        mask = f"<{code.lanes} x i1> {self.writer.masks[1]}" if strip.mask else None
        for i, begin in enumerate(strip.begins):
            part = value
            if self.group > 1:
                places = ", ".join(f"i32 {i * code.lanes + j}" for j in range(code.lanes))
                part = Lanes(code, code(f"shufflevector {value}, {value.type} poison, "
                                        f"<{code.lanes} x i32> <{places}>"), value.dtype)
            store(part, self.writer.out, code(f"add i64 {begin}, {strip.at}"), mask)


class _Place:
    """A variable that loops change; LLVM makes a register of it."""

    def __init__(self, code: Code, dtype: np.dtype, start: float) -> None:
        self.code, self.dtype = code, dtype
        first = Lanes(code, "", dtype).const(start)
        self.type, self.name = first.type, code.room(first.type)
        code.do(f"store {first}, ptr {self.name}")

    def get(self) -> Lanes:
        return Lanes(self.code, self.code(f"load {self.type}, ptr {self.name}"), self.dtype)

    def put(self, value: Lanes) -> None:
        self.code.do(f"store {value}, ptr {self.name}")


def _joined(x: Row, a: Lanes, b: Lanes) -> Lanes:
    """Two sums, or maxima, become one. NaN stays: no comparison with it is true, and it is what
    differs from itself."""
    b = b.astype(a.dtype)
    if x.made_by == "sum":
        return a.make(f"fadd {a}, {b.name}")
    sign = "ogt" if x.made_by == "max" else "olt"
    bits = f"<{a.code.lanes} x i1>"
    better = a.code(f"fcmp {sign} {b}, {a.name}")
    value = a.make(f"select {bits} {better}, {b}, {a}")
    nan = a.code(f"fcmp uno {b}, {b.name}")
    return a.make(f"select {bits} {nan}, {b}, {value}")
