"""The words of a formula: what NumPy's functions and operators become as vector instructions.

A formula is a Python function of single numbers, written with operators, NumPy's functions and our
own operations. Called with arrays it is NumPy's way. Called with `Lanes`, which pass for an array,
each word of it writes an instruction of LLVM's on a vector of numbers: so nobody states a function
twice. What can be written is the table WORDS, a line for each of NumPy's functions; a formula with
any other word raises, and stays with NumPy.

The elementary functions (exp, tanh, log, erf, ...) are stated once, in `simd/math.py`, as plain
functions of one number for Numba's kernels. Lanes go through the same text (`_in_vectors`).

Two kinds of Lanes: a vector of numbers, and a Python number in all lanes, which as in NumPy has no
say in the dtype of a result (`weak`): it is a float64, rounded where it meets a vector of numbers.

Not here: loops around these instructions (emit.py).
"""
from __future__ import annotations

import contextlib
import functools
import itertools
import math
import re
import struct
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, cast

import numpy as np
from numpy import ndarray

from ..jit import Kernel
from ..simd import math as scalar

F32, F64, BOOL = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)
I32, I64 = np.dtype(np.int32), np.dtype(np.int64)
TYPES = {F32: "float", F64: "double", I32: "i32", I64: "i64", BOOL: "i1"}


class Code:
    """The text of one LLVM function, and how many numbers its vectors have."""

    def __init__(self, lanes: int) -> None:
        self.lanes, self.rooms, self.lines = lanes, list[str](), list[str]()
        self.declared: dict[str, str] = {}
        self.flags, self._names = "", itertools.count()

    def __call__(self, text: str) -> str:
        """Writes an instruction that has a value; returns the value's name."""
        name = f"%v{next(self._names)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """Writes an instruction that has no value."""
        self.lines.append("  " + text)

    def call(self, function: str, result: str, *args: str) -> str:
        """Calls a function, intrinsic or of the C library; each argument is its type and name."""
        types = ", ".join(cast(re.Match, re.match(r"<.*?>|\S+", a)).group() for a in args)
        self.declared[function] = f"declare {result} @{function}({types})"
        text = f"call {result} @{function}({', '.join(args)})"
        if result == "void":
            self.do(text)
            return ""
        return self(text)

    def room(self, kind: str) -> str:
        """A variable, which LLVM makes a register of."""
        name = f"%p{next(self._names)}"
        self.rooms.append(f"  {name} = alloca {kind}")
        return name

    @contextlib.contextmanager
    def loop(self, start: str, stop: str, step: int = 1, unroll: int = 1) -> Iterator[str]:
        """for i in range(start, stop, step): what is written within. All are names of i64.
        unroll: so many turns are to become one, in order."""
        n, place = next(self._names), self.room("i64")
        self.do(f"store i64 {start}, ptr {place}\n  br label %head{n}\nhead{n}:")
        i = self(f"load i64, ptr {place}")
        more = self(f"icmp slt i64 {i}, {stop}")
        self.do(f"br i1 {more}, label %body{n}, label %end{n}\nbody{n}:")
        yield i
        after = self(f"add i64 {i}, {step}")
        wish = ""
        if unroll > 1:
            how = next(self._names)
            self.declared[f"!{n}"] = f"!{n} = distinct !{{!{n}, !{how}}}"
            self.declared[f"!{how}"] = f'!{how} = !{{!"llvm.loop.unroll.count", i32 {unroll}}}'
            wish = f", !llvm.loop !{n}"
        self.do(f"store i64 {after}, ptr {place}\n  br label %head{n}{wish}\nend{n}:")

    @contextlib.contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """if condition, the name of an i1."""
        n = next(self._names)
        self.do(f"br i1 {condition}, label %then{n}, label %end{n}\nthen{n}:")
        yield
        self.do(f"br label %end{n}\nend{n}:")


class Lanes:
    """A vector of numbers in a register, which passes for an array."""
    __class__ = property(lambda self: ndarray)     # type: ignore[assignment]  # for the operations
    size, ndim, shape = -1, 1, (1,)                 # fewer than any number of them is large

    def __init__(self, code: Code, name: str, dtype: np.dtype, weak: bool = False) -> None:
        self.code, self.name, self.dtype, self.weak = code, name, dtype, weak

    @property
    def type(self) -> str:
        """Of the vector, in LLVM's language."""
        return f"<{self.code.lanes} x {TYPES[self.dtype]}>"

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    def __bool__(self) -> bool:
        raise TypeError("a formula that branches on a number has no loop")

    def make(self, text: str, dtype: np.dtype | None = None) -> Lanes:
        """The value of an instruction on this code's vectors."""
        return Lanes(self.code, self.code(text), dtype or self.dtype, self.weak)

    def const(self, value: Any, dtype: np.dtype | None = None) -> Lanes:
        """The same number in all lanes."""
        dtype = dtype or self.dtype
        if dtype.kind == "f":
            with np.errstate(over="ignore"):       # 1e300 is inf in float32, as in NumPy
                text = f"0x{struct.pack('>d', dtype.type(value)).hex()}"
        else:
            text = str(int(value)) if dtype != BOOL else str(bool(value)).lower()
        each = ", ".join([f"{TYPES[dtype]} {text}"] * self.code.lanes)
        return Lanes(self.code, f"<{each}>", dtype)

    def astype(self, dtype: Any, copy: bool = True) -> Lanes:
        """As NumPy's, between the dtypes that there are here."""
        to, old = np.dtype(dtype), self.dtype
        if to == old:
            return self
        if to == BOOL:
            return _compare("ne")(self, 0)
        how = {"bf": "uitofp", "if": "sitofp", "fi": "fptosi", "bi": "zext"}.get(old.kind + to.kind)
        how = how or {"f": ("fptrunc", "fpext"), "i": ("trunc", "sext")}[to.kind][
            to.itemsize > old.itemsize]
        made = self.make(f"{how} {self} to <{self.code.lanes} x {TYPES[to]}>", to)
        made.weak = False
        return made

    def view(self, dtype: Any) -> Lanes:
        """The same bits as numbers of another dtype."""
        to = np.dtype(dtype)
        return self.make(f"bitcast {self} to <{self.code.lanes} x {TYPES[to]}>", to)

    def word(self, name: str) -> Lanes:
        """A function that NumPy lacks."""
        return _NUMPY_LACKS[name](self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **options: Any) -> Any:
        plain = method == "__call__" and not options
        return WORDS[ufunc.__name__](*args) if plain and ufunc.__name__ in WORDS else NotImplemented

    def __array_function__(self, function: Callable, types: Any, args: Any, options: Any) -> Any:
        return WORDS[function.__name__](*args, **options)


def _code_of(args: tuple) -> Code:
    return next(x.code for x in args if type(x) is Lanes)


def _alike(*args: Any) -> list[Lanes]:
    """All as Lanes of one dtype, that of those that are not weak."""
    lanes = [x for x in args if type(x) is Lanes]
    strong = [x.dtype for x in lanes if not x.weak]
    dtype = max(strong or [F64], key=lambda d: ("bif".index(d.kind), d.itemsize))
    if dtype.kind != "f" and any(isinstance(x, float) or (type(x) is Lanes and x.weak)
                                 for x in args):
        raise TypeError("a float beside booleans: NumPy decides on the dtype")
    made = [x.astype(dtype) if type(x) is Lanes else lanes[0].const(x, dtype) for x in args]
    return [Lanes(x.code, x.name, x.dtype, weak=not strong) for x in made]


# --- instructions --------------------------------------------------------------------------------

def _intrinsic(name: str) -> Callable:
    """A function that LLVM has, correctly rounded, as one instruction or few."""
    def apply(*args: Any) -> Lanes:
        args = tuple(_alike(*args))
        first = args[0]
        if first.dtype.kind != "f":
            raise TypeError(f"{name} of {first.dtype} is left to NumPy")
        bits = 8 * first.dtype.itemsize
        value = first.code.call(f"llvm.{name}.v{first.code.lanes}f{bits}", first.type,
                                *map(str, args))
        return Lanes(first.code, value, first.dtype, first.weak)
    return apply


def _arithmetic(sign: str) -> Callable:
    def apply(a: Any, b: Any) -> Lanes:
        a, b = _alike(a, b)
        if a.dtype == BOOL or (sign == "div" and a.dtype.kind != "f"):
            raise TypeError(f"{sign} of {a.dtype} is left to NumPy")
        flags = a.code.flags if a.dtype.kind == "f" else ""
        return a.make(f"{'f' * (a.dtype.kind == 'f')}{sign} {flags}{a}, {b.name}")
    return apply


def _bitwise(sign: str, dtype: np.dtype | None = None) -> Callable:
    def apply(a: Any, b: Any) -> Lanes:
        if dtype is not None:
            a, b = (_code_lanes(x, a, b).astype(dtype) for x in (a, b))
        a, b = _alike(a, b)
        if a.dtype.kind == "f":
            raise TypeError(f"{sign} of floats is left to NumPy")
        return a.make(f"{sign} {a}, {b.name}")
    return apply


def _code_lanes(x: Any, *args: Any) -> Lanes:
    return x if type(x) is Lanes else Lanes(_code_of(args), "", F64).const(x)


def _compare(word: str) -> Callable:
    def apply(a: Any, b: Any) -> Lanes:
        a, b = _alike(a, b)
        if a.weak:
            raise TypeError("a comparison of numbers alone is Python's")
        if a.dtype.kind == "f":
            return a.make(f"fcmp {'u' if word == 'ne' else 'o'}{word} {a}, {b.name}", BOOL)
        sort = "" if word in ("eq", "ne") else "s" if a.dtype != BOOL else "u"
        return a.make(f"icmp {sort}{word} {a}, {b.name}", BOOL)
    return apply


def where(condition: Any, a: Any, b: Any) -> Lanes:
    """np.where: a where the condition is true, else b."""
    if type(condition) is not Lanes:
        raise TypeError("where: the condition is no array")
    if condition.dtype != BOOL:
        condition = condition.astype(BOOL)
    if type(a) is not Lanes and type(b) is not Lanes:
        raise TypeError("where of two numbers: NumPy decides on the dtype")
    a, b = _alike(a, b)
    if a.weak:
        raise TypeError("where of two numbers: NumPy decides on the dtype")
    return a.make(f"select {condition}, {a}, {b}")


def _larger(sign: str) -> Callable:
    """np.maximum or np.minimum: NaN if either is. Of equal ones (0 and -0) the second."""
    def apply(a: Any, b: Any) -> Lanes:
        plain = not isinstance(b, Lanes) and b == b                # surely no NaN
        a, b = _alike(a, b)
        if a.dtype == BOOL:
            raise TypeError("of booleans it is left to NumPy")
        value = where(_compare(sign)(a, b), b, a)                  # false beside a NaN: a
        return value if plain else where(_compare("ne")(b, b), b, value)
    return apply


def _clip(x: Any, low: Any = None, high: Any = None) -> Lanes:
    x = x if low is None else WORDS["maximum"](x, low)
    return x if high is None else WORDS["minimum"](x, high)


def _sign(x: Any) -> Lanes:
    one = x.const(1)
    return where(x > 0, one, where(x < 0, x.const(-1), where(x == 0, x.const(0), x)))


def _negative(x: Any) -> Lanes:
    if x.dtype == BOOL:
        raise TypeError("the opposite of a boolean is ~")
    return x.make(f"fneg {x}") if x.dtype.kind == "f" else 0 - x


def _power(x: Any, n: Any) -> Lanes:
    if n == 2 and type(x) is Lanes:                # as NumPy does it; others by a function of C's
        return cast(Any, x) * x
    raise TypeError("powers are left to NumPy")


# --- the elementary functions, from simd/math.py ------------------------------------------------

def _select(condition: Any, a: Any, b: Any) -> Any:
    if type(condition) is not Lanes:
        return a if condition else b
    both = [x if type(x) is Lanes else condition.const(x, np.dtype(type(x))) for x in (a, b)]
    return where(condition, *both)


def _cast(kind: Any, x: Any) -> Any:
    return x.astype(kind) if type(x) is Lanes else kind(x)


@functools.cache
def _in_vectors(kernel: Kernel) -> Callable[..., Any]:
    """A function of one number from simd/math.py, for vectors: the same text, read once more."""
    import ast                                     # late: an import of minigrad needs none of them
    import inspect
    import textwrap

    class Vectorised(ast.NodeTransformer):
        """`a if c else b` becomes select(c, a, b), of which both sides are computed, and
        np.float32(x) becomes cast(np.float32, x)."""

        def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
            self.generic_visit(node)
            return ast.Call(ast.Name("select", ast.Load()), [node.test, node.body, node.orelse], [])

        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            if ast.unparse(node.func) in ("np.float32", "np.float64", "np.int32", "np.int64"):
                return ast.Call(ast.Name("cast", ast.Load()), [node.func, *node.args], [])
            return node

    plain = kernel.plain
    tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
    function = cast(ast.FunctionDef, tree.body[0])
    function.decorator_list = []
    tree = ast.fix_missing_locations(Vectorised().visit(tree))
    names = dict(plain.__globals__, select=_select, cast=_cast)
    for name, other in plain.__globals__.items():
        if type(other) is Kernel and other is not kernel:
            names[name] = functools.partial(_apply, other)
    exec(compile(tree, plain.__code__.co_filename, "exec"), names)
    return cast(FunctionType, names[function.name])


def _apply(kernel: Kernel, x: Lanes) -> Lanes:
    """What the kernel computes, with its own leave to make one rounding of a product and a sum."""
    before, x.code.flags = x.code.flags, "".join(f"{flag} " for flag in sorted(kernel.fastmath))
    try:
        return _in_vectors(kernel)(x)
    finally:
        x.code.flags = before


def stated(in_32: Kernel | None, in_64: Kernel | None) -> Callable:
    """A function that simd/math.py states, for one or both dtypes."""
    def apply(x: Lanes) -> Lanes:
        kernel = {F32: in_32, F64: in_64}.get(x.dtype) if not x.weak else None
        if kernel is None:
            raise TypeError(f"there is no such function of {x.dtype} but NumPy's")
        return _apply(kernel, x)
    return apply


def _of_c(name: str) -> Callable:
    """A function of the C library, called for one lane after the other."""
    def apply(x: Lanes) -> Lanes:
        code, value = x.code, "poison"
        for i in range(code.lanes):
            one = code(f"extractelement {x}, i32 {i}")
            one = code.call(name, "double", f"double {one}")
            value = code(f"insertelement {x.type} {value}, double {one}, i32 {i}")
        return Lanes(code, value, x.dtype)
    return apply


_erf_32, _erf_64 = stated(scalar._erf_32, None), _of_c("erf")


def _erf(x: Lanes) -> Lanes:
    return _erf_64(x) if x.dtype == F64 and not x.weak else _erf_32(x)


def erf(x: Any) -> Any:
    """The error function, which NumPy lacks: math.erf of each element."""
    if hasattr(x, "word"):
        return x.word("erf")
    return np.array([math.erf(v) for v in x.ravel().tolist()], x.dtype).reshape(x.shape)


_sigmoid = stated(scalar._sigmoid_32, scalar._sigmoid_64)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), which NumPy lacks. No exponential overflows, no digit is lost on either side:
    it is 1 / (1 + e) or e / (1 + e) with e = exp(-|x|)."""
    if hasattr(x, "word"):
        return x.word("sigmoid")
    return np.exp(np.minimum(x, 0)) / (1.0 + np.exp(-np.abs(x)))


_log1p_exp = stated(scalar._log1p_exp_32, scalar._log1p_exp_64)


def log1p_exp(x: Any) -> Any:
    """log(1 + e^-|x|), the bend of softplus; never overflows."""
    return _log1p_exp(x) if type(x) is Lanes else np.log1p(np.exp(-np.abs(x)))


_NUMPY_LACKS = {"erf": _erf, "sigmoid": _sigmoid}

#: NumPy's name -> what writes it. All give the bits of NumPy's but exp and what follows it.
WORDS: dict[str, Callable] = {
    "add": _arithmetic("add"), "subtract": _arithmetic("sub"), "multiply": _arithmetic("mul"),
    "divide": _arithmetic("div"), "negative": _negative, "absolute": _intrinsic("fabs"),
    "square": lambda x: x * x, "reciprocal": lambda x: 1.0 / x, "power": _power, "sign": _sign,
    "sqrt": _intrinsic("sqrt"), "floor": _intrinsic("floor"), "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"), "rint": _intrinsic("rint"), "copysign": _intrinsic("copysign"),
    "maximum": _larger("le"), "minimum": _larger("ge"), "clip": _clip, "where": where,
    "less": _compare("lt"), "less_equal": _compare("le"), "greater": _compare("gt"),
    "greater_equal": _compare("ge"), "equal": _compare("eq"), "not_equal": _compare("ne"),
    "isnan": lambda x: _compare("ne")(x, x), "isinf": lambda x: abs(x) == math.inf,
    "isfinite": lambda x: abs(x) < math.inf,
    "bitwise_and": _bitwise("and"), "bitwise_or": _bitwise("or"), "bitwise_xor": _bitwise("xor"),
    "left_shift": _bitwise("shl"), "right_shift": _bitwise("ashr"),
    "invert": lambda x: _bitwise("xor")(x, -1 if x.dtype.kind == "i" else True),
    "logical_and": _bitwise("and", BOOL), "logical_or": _bitwise("or", BOOL),
    "logical_xor": _bitwise("xor", BOOL), "logical_not": lambda x: ~x.astype(BOOL),
    "exp": stated(scalar._exp_32, scalar._exp_64),
    "tanh": stated(scalar._tanh_32, scalar._tanh_64),
    "expm1": stated(scalar._expm1_32, scalar._expm1_64),
    "log": stated(scalar._log_32, None),
    "log1p": stated(scalar._log1p_all_32, scalar._log1p_all_64),
}

_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
    "ne": "not_equal", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift"}
_UNARY = {"neg": "negative", "abs": "absolute", "invert": "invert"}


def give_operators(kind: type, write: Callable[..., Any]) -> None:
    """Gives a class Python's operators: each is write(word, *args)."""
    for operator, word in _OPERATORS.items():
        setattr(kind, f"__{operator}__", lambda a, b, word=word: write(word, a, b))
        setattr(kind, f"__r{operator}__", lambda a, b, word=word: write(word, b, a))
    for operator, word in _UNARY.items():
        setattr(kind, f"__{operator}__", lambda a, word=word: write(word, a))


give_operators(Lanes, lambda word, *args: WORDS[word](*args))
