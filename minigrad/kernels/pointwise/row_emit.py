"""The loops of a formula over rows, with sums and maxima along them, as one LLVM function.

A row formula is a Python function over a matrix, in NumPy's words and with reductions along rows:

    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
        return e * (1.0 / e.sum(-1, keepdims=True))

Called with arrays it is NumPy's way. Called with `Row`, which passes for an array, it leaves a
graph of what depends on what. Each reduction is one number for each row, which takes a pass over
the row; those that need no other's result share a pass, and a last pass writes the result. All
passes go over one row before the next is begun, so that it lies in the first-level cache. What a
pass needs again is computed again, but for one dear thing (an exponential): it waits in the row of
the result.

Vectors are one register of a row. Its last 1 to LANES numbers are masked, and stay in registers
between the passes (a masked number just stored cannot be loaded fast). Rows that are no longer than
that go side by side by fours, which makes one division or logarithm of four, and half of the
instructions that fold vectors into numbers; at the end of a range the last row stands for those
that are missing. Longer rows go by pairs where something is dear: the latencies of one hide behind
the other's (float64 rows of 512 took 1.2 times as long alone). At the speed of memory two rows at a
time are slower (1.1 to 1.4): long rows of large results go alone.

Digits. Sums: 32 vectors by lanes in the array's own precision, folded, the blocks in float64: the
same bits for a row wherever it stands and whatever stands beside it. A sum of products rounds once
a term if the machine can. Maxima keep NaN. The number that a reduction makes is a float64, as is
what is computed from such numbers (1 / sum, log(sum)), until it meets the numbers of a row.

Not here: what words become (words.py); arrays, memory, threads (row_loop.py).
"""
from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..simd import math as scalar
from .emit import (
    ARRAYS, COLUMNS, NUMBERS, RESULT, Operand, load, module, spread, store, word,
)
from .words import BOOL, F64, I32, I64, TYPES, WORDS, Code, Lanes, give_operators, stated

_BLOCK_VECTORS = 32                                # added in the array's own precision
_UNROLL = 2                                        # vectors of one row that go together
# Longer rows (numbers) of larger results (bytes of a thread's part) go alone.
_PAIRED, _CACHED = 512, 6 << 20
SHORT, LONG = 4, 2                                 # rows that go side by side
_DEAR = {"exp", "expm1", "tanh", "erf", "sigmoid", "log", "log1p"}
_START = {"sum": 0.0, "max": -np.inf, "min": np.inf}
#: Of numbers for each row, where a row's words have no loop.
_EACH = {"log": stated(None, scalar._log_64)}


class Row:
    """The rows of a matrix (or one number for each row), which pass for an array and are computed
    later. It has no shape and no dtype: the code is made for all of them.

    made_by: what makes it of args: a word of WORDS, or "operand", "count", "take", "sum", "max",
    "min". each: whether it is one number for each row. level: the passes that must be over before.
    """

    def __init__(self, made_by: str, args: tuple, each: bool, level: int, options: Any = None
                 ) -> None:
        self.made_by, self.args, self.each, self.level = made_by, args, each, level
        self.options = options or {}

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **options: Any) -> Any:
        plain = method == "__call__" and not options and ufunc.__name__ in WORDS
        return _made(ufunc.__name__, args) if plain else NotImplemented

    def __array_function__(self, function: Callable, types: Any, args: Any, options: Any) -> Row:
        name = {"amax": "max", "amin": "min"}.get(function.__name__, function.__name__)  # NumPy 1
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
        return _made("divide", (self.sum(axis, keepdims), Row("count", (), True, 0)))


def _made(name: str, args: tuple, options: Any = None) -> Row:
    rows = [x for x in args if type(x) is Row]
    for x in args:
        if type(x) is not Row and x.__class__ not in (float, int, bool, type(None)):
            raise TypeError(f"{name} of {type(x).__name__} has no loop over rows")
    return Row(name, args, all(x.each for x in rows), max(x.level for x in rows), options)


give_operators(Row, lambda name, *args: _made(name, args))
Row.__hash__ = object.__hash__                     # type: ignore[method-assign]  # == makes a Row


def _reduced(name: str, x: Row, axis: Any, keepdims: bool, initial: float | None = None) -> Row:
    if axis not in (-1, 1) or not keepdims or x.each:
        raise TypeError(f"{name}: loops over rows reduce along them, and keep the dimension")
    if initial is not None and initial != _START[name]:
        raise TypeError(f"{name}: another start than {_START[name]} has no loop")
    return Row(name, (x,), True, x.level + 1)


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
    dtype, = {x.dtype for x in operands if x.dtype is not None and x.dtype != I64}
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

    def __init__(self, at: str, mask: str | None = None) -> None:
        self.at, self.mask = at, mask
        self.known: dict[Row, Lanes] = {}          # what was computed


class _Writer:
    """One function in the making."""

    def __init__(self, operands: Sequence[Operand], result: Row, code: Code, dtype: np.dtype
                 ) -> None:
        self.operands, self.result, self.code, self.dtype = operands, result, code, dtype
        self.lanes = code.lanes                    # of one row, a register
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
        for row in self.order:
            if row.made_by in _START:
                self.reductions.setdefault(row.level, []).append(row)
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
        """Loops over the rows: short ones by fours, long ones by pairs, and one that is left."""
        code, lanes = self.code, self.lanes
        # Whole vectors: all but the last 1 to LANES numbers; 0 if there are no numbers.
        less = code(f"sub i64 {self.columns}, 1")
        self.whole = code(f"mul i64 {code(f'sdiv i64 {less}, {lanes}')}, {lanes}")
        rest = code(f"sub i64 {self.columns}, {self.whole}")
        left = spread(code, code(f"trunc i64 {rest} to i32"), I32).name
        each = ", ".join(f"i32 {i}" for i in range(lanes))
        mask = code(f"icmp ult <{lanes} x i32> <{each}>, {left}")
        self.mask = f"<{lanes} x i1> {mask}"

        short = code(f"icmp sle i64 {self.columns}, {lanes}")
        with code.when(short), code.loop("%start", "%stop", SHORT) as row:
            _Rows(self, row, SHORT, short=True).write()
        with code.when(code(f"xor i1 {short}, true")):
            pairs = "%start"
            if any(x.made_by in _DEAR for x in self.order if not x.each):
                count = code("sub i64 %stop, %start")
                pairs = code(f"sub i64 %stop, {code(f'srem i64 {count}, {LONG}')}")
                if not self.result.each:
                    narrow = code(f"icmp sle i64 {self.columns}, {_PAIRED}")
                    size = code(f"mul i64 {count}, {self.columns}")
                    cached = code(f"icmp sle i64 {size}, {_CACHED // self.dtype.itemsize}")
                    fits = code(f"or i1 {narrow}, {cached}")
                    pairs = code(f"select i1 {fits}, i64 {pairs}, i64 %start")
                with code.loop("%start", pairs, LONG) as row:
                    _Rows(self, row, LONG, short=False).write()
            with code.loop(pairs, "%stop") as row:
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
    """The passes over one row, or over `group` of them side by side, of LANES numbers each.
    short: whether a row is nothing but its end."""

    def __init__(self, writer: _Writer, row: str, group: int, short: bool) -> None:
        self.writer, self.group, self.short = writer, group, short
        self.code = code = writer.with_lanes(group * writer.lanes)
        self.each = writer.with_lanes(group)       # for numbers of which each row has one
        self.rows = [row]
        for i in range(1, group):
            other = code(f"add i64 {row}, {i}")
            if short:                              # the last row stands for those beyond the end
                inside, last = code(f"icmp slt i64 {other}, %stop"), code("sub i64 %stop, 1")
                other = code(f"select i1 {inside}, i64 {other}, i64 {last}")
            self.rows.append(other)
        self.begins = [code(f"mul i64 {r}, {writer.columns}") for r in self.rows]
        self.end = _Strip("0" if short else writer.whole, writer.mask)
        self.in_row = f"<{code.lanes} x i1> {writer.together([writer.mask] * group)}"
        self.numbers: dict[Row, Lanes] = {}
        self.spreads: dict[Row, Lanes] = {}
        self.passing: set[Row] = set()             # what the pass computes
        self.stored = False                        # whether what is kept lies in the result

    def write(self) -> None:
        """All passes."""
        writer, result = self.writer, self.writer.result
        for level in sorted(writer.reductions):
            self.reduce(writer.reductions[level])
        if result.each:
            self.put_each(self.number(result).astype(writer.dtype))
            return
        self.ready([result])
        if not self.short:
            with self.strips("0", writer.whole) as strip:
                self.put(self.vector(result, strip), strip)
        self.put(self.vector(result, self.end), self.end)

    @contextlib.contextmanager
    def strips(self, start: str, stop: str) -> Iterator[_Strip]:
        """A loop over the numbers start ... stop - 1 of a row."""
        with self.code.loop(start, stop, self.writer.lanes, _UNROLL // self.group) as k:
            yield _Strip(k)

    # one pass that ends in numbers for each row

    def reduce(self, reductions: list[Row]) -> None:
        """A pass for these reductions, none of which needs another's result."""
        writer, code = self.writer, self.code
        self.ready([x.args[0] for x in reductions])
        sums = [x for x in reductions if x.made_by == "sum"]
        inner = {x: _Place(code, writer.dtype, _START[x.made_by]) for x in reductions}
        outer = {x: _Place(self.each, F64, 0.0) for x in sums}
        if not self.short:
            block = _BLOCK_VECTORS * writer.lanes
            with code.loop("0", writer.whole, block) as begin:
                if sums:
                    with code.when(code(f"icmp ne i64 {begin}, 0")):
                        for x in sums:             # the block before
                            part = self.folded(x, inner[x].get()).astype(F64)
                            outer[x].put(_joined(x, outer[x].get(), part))
                            inner[x].put(inner[x].start)
                end = code(f"add i64 {begin}, {block}")
                less = code(f"icmp slt i64 {end}, {writer.whole}")
                end = code(f"select i1 {less}, i64 {end}, i64 {writer.whole}")
                with self.strips(begin, end) as strip:
                    for x in reductions:
                        inner[x].put(self.added(x, inner[x].get(), strip))
            self.stored = self.stored or writer.kept in self.passing
        for x in reductions:
            last = self.vector(x.args[0], self.end)
            last = last.make(f"select {self.in_row}, {last}, {inner[x].start}")
            number = self.folded(x, _joined(x, inner[x].get(), last)).astype(F64)
            self.numbers[x] = _joined(x, outer[x].get(), number) if x in outer else number

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

    def folded(self, x: Row, value: Lanes) -> Lanes:
        """One number for each row: half of its numbers is laid on the other, again and again."""
        while value.code.lanes > self.group:
            n = value.code.lanes // self.group     # numbers of a row
            code = self.writer.with_lanes(value.code.lanes // 2)
            halves = []
            for half in (0, n // 2):
                places = ", ".join(f"i32 {row * n + half + i}"
                                   for row in range(self.group) for i in range(n // 2))
                halves.append(Lanes(code, code(
                    f"shufflevector {value}, {value.type} poison, <{code.lanes} x i32> <{places}>"),
                    value.dtype))
            value = _joined(x, *halves)
        return value

    # what a Row is

    def ready(self, roots: list[Row]) -> None:
        """Numbers for each row are spread over vectors before a loop, not within it."""
        self.passing = set()
        for root in roots:
            _walk(root, self.passing)
        for x in sorted(self.passing, key=self.writer.order.__getitem__):
            for arg in x.args:
                if type(arg) is Row and arg.each and x.made_by != "operand":
                    self.spread(arg)

    def number(self, x: Row) -> Lanes:
        """One number for each of the rows: of float64 unless it is an integer or a comparison."""
        if x in self.numbers:
            return self.numbers[x]
        writer, each = self.writer, self.each
        if x.made_by == "operand":
            operand, value = writer.operands[x.args[0]], writer.values[x.args[0]]
            if operand.dtype is None:              # a Python number
                made = spread(each, value, F64)
            else:
                made = self.gathered(value, operand.dtype, self.rows)
        elif x.made_by == "count":
            made = spread(each, each(f"sitofp i64 {writer.columns} to double"), F64)
        elif x.made_by == "take":
            made = self.taken(x)
        else:
            function = _EACH.get(x.made_by, WORDS.get(x.made_by))
            args = [self.number(a) if type(a) is Row else a for a in x.args]
            made = function(*args, **x.options) if function else args[0].word(x.made_by)
            if made.dtype == F64 and any(type(a) is Lanes and a.dtype == I64 for a in args):
                raise TypeError("integers beside floats: NumPy decides on the dtype")
            assert made.dtype in (F64, I64, BOOL)
        self.numbers[x] = made
        return made

    def taken(self, x: Row) -> Lanes:
        """One element of each row, at a place that is known for each."""
        operand, places = x.args
        each, at = self.each, self.number(places)
        return self.gathered(self.writer.values[operand.args[0]], self.writer.dtype, [
            each(f"add i64 {begin}, {each(f'extractelement {at}, i32 {i}')}")
            for i, begin in enumerate(self.begins)])

    def gathered(self, pointer: str, dtype: np.dtype, places: list[str]) -> Lanes:
        """The numbers at these places of an array; floats as float64."""
        each, kind, value = self.each, TYPES[dtype], "poison"
        for i, at in enumerate(places):
            place = each(f"getelementptr {kind}, ptr {pointer}, i64 {at}")
            one = each(f"load {kind}, ptr {place}, align 1")
            value = each(f"insertelement <{each.lanes} x {kind}> {value}, {kind} {one}, i32 {i}")
        made = Lanes(each, value, dtype)
        return made if dtype == I64 else made.astype(F64)

    def spread(self, x: Row) -> Lanes:
        """The number of each row in all lanes that belong to the row."""
        if x not in self.spreads:
            code, number = self.code, self.number(x)
            if number.dtype == I64:
                raise TypeError("integers beside floats: NumPy decides on the dtype")
            if number.dtype != BOOL:
                number = number.astype(self.writer.dtype)
            places = ", ".join(f"i32 {i // self.writer.lanes}" for i in range(code.lanes))
            self.spreads[x] = Lanes(code, code(
                f"shufflevector {number}, {number.type} poison, <{code.lanes} x i32> <{places}>"),
                number.dtype)
        return self.spreads[x]

    def vector(self, x: Any, strip: _Strip) -> Any:
        """The numbers of x in a strip; what is no Row stays as it is."""
        if type(x) is not Row:
            return x
        if x.each:
            return self.spread(x)
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
        code, begins = self.writer.code, ["0"] * self.group if shared else self.begins
        parts = [load(code, pointer, code(f"add i64 {begin}, {strip.at}"), dtype, strip.mask)
                 for begin in begins]
        return Lanes(self.code, self.writer.together([str(x) for x in parts]), dtype)

    def put(self, value: Lanes, strip: _Strip) -> None:
        """The numbers of a strip into the result."""
        if value.dtype != self.writer.dtype:
            raise TypeError("the result of this formula is left to NumPy")
        code, part = self.writer.code, value
        for i, begin in enumerate(self.begins):
            if self.group > 1:
                places = ", ".join(f"i32 {i * code.lanes + j}" for j in range(code.lanes))
                part = Lanes(code, code(f"shufflevector {value}, {value.type} poison, "
                                        f"<{code.lanes} x i32> <{places}>"), value.dtype)
            store(part, self.writer.out, code(f"add i64 {begin}, {strip.at}"), strip.mask)

    def put_each(self, value: Lanes) -> None:
        """A number for each row into the result."""
        code, kind = self.each, TYPES[value.dtype]
        for i, row in enumerate(self.rows):
            place = code(f"getelementptr {kind}, ptr {self.writer.out}, i64 {row}")
            one = code(f"extractelement {value}, i32 {i}")
            code.do(f"store {kind} {one}, ptr {place}, align 1")


class _Place:
    """A variable that loops change; LLVM makes a register of it."""

    def __init__(self, code: Code, dtype: np.dtype, start: float) -> None:
        self.code, self.dtype = code, dtype
        self.start = Lanes(code, "", dtype).const(start)
        self.type, self.name = self.start.type, code.room(self.start.type)
        self.put(self.start)

    def get(self) -> Lanes:
        return Lanes(self.code, self.code(f"load {self.type}, ptr {self.name}"), self.dtype)

    def put(self, value: Lanes) -> None:
        self.code.do(f"store {value}, ptr {self.name}")


def _joined(x: Row, a: Lanes, b: Lanes) -> Lanes:
    """Two sums become one, or two maxima. NaN stays: no comparison with it is true, and it is what
    differs from itself."""
    if x.made_by == "sum":
        return a.make(f"fadd {a}, {b.name}")
    sign = "ogt" if x.made_by == "max" else "olt"
    bits = f"<{a.code.lanes} x i1>"
    better = a.code(f"fcmp {sign} {b}, {a.name}")
    value = a.make(f"select {bits} {better}, {b}, {a}")
    nan = a.code(f"fcmp uno {b}, {b.name}")
    return a.make(f"select {bits} {nan}, {b}, {value}")
