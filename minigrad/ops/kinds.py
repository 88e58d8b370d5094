"""What families of operations share is said once, by kind.

    @pointwise(...)     a formula of single numbers: on large arrays one loop on all threads
    @binary(...)        the same of two arguments that broadcast: samples and errors are there
    @comparison(...)    two arguments to booleans
    @reduction(...)     many numbers along dimensions become one
    @movement(...)      numbers get another place, and stay what they are

Each is `@op` with more said; whatever it says can be said otherwise beside the operation. The rules
of a pointwise operation are formulas, too: one pass over memory each, however many words they have.

Not here: how a formula becomes a loop (`kernels/pointwise/loop.py`), what the rest of `@op` means
(`autograd/op.py`), the operations.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy import ndarray

from .. import tuning
from ..autograd.engine import Tensor
from ..autograd.op import Op, OpFunction, op
from ..kernels.pointwise.loop import Loop
from ..promotion import INT64, WIDE, dtype_named
from .derived import Recorded
from .dims import count_of, many_dims

P = ParamSpec("P")
R = TypeVar("R")
Decorator = Callable[[Callable[P, R]], OpFunction[P, R]]


# --- formulas of single numbers ------------------------------------------------------------------

def pointwise(*, least: int = tuning.LOOP_OF_MANY, least_of_rules: int = tuning.LOOP_OF_MANY,
              doubles: bool = True, **about: Any
              ) -> Decorator:
    """An operation whose forward and rules are formulas of single numbers.

    The forward is NumPy's way, for small arrays; of `least` numbers or more it is a loop made from
    the same formula, likewise each rule (`least_of_rules`). What the words of a formula are, and
    what happens to one that has others: `kernels/pointwise/words.py`, `loop.py`.

    doubles: False leaves the forward of float64 to NumPy, whose function is closer to the truth.
    """
    def decorate(forward: Callable[P, R]) -> OpFunction[P, R]:
        name = forward.__name__
        loop = Loop(forward, name, least <= tuning.LOOP_OF_MANY, doubles)
        public: Any = op(large=loop, least=least, **about)(forward)

        def vjp(**rules: Callable) -> None:
            public.op.vjp(**{argument: in_one_pass(rule, f"{name}.{argument}", least_of_rules)
                             for argument, rule in rules.items()})
        public.vjp = vjp
        return public
    return decorate


def in_one_pass(rule: Callable, title: str, least: int) -> Callable:
    """The rule; where g is an array of `least` numbers or more, its loop. Asks for the same."""
    code = rule.__code__
    names = code.co_varnames[:code.co_argcount]
    if len(names) == 1 and code.co_code == _ITSELF.__code__.co_code:
        return rule                                # g: there is nothing to compute
    template = _template(len(names))
    several = least <= tuning.LOOP_OF_MANY
    known = dict(PLAIN=rule, LOOP=Loop(rule, title, several), LEAST=least, ndarray=ndarray,
                 Tensor=Tensor)
    whole: Any = FunctionType(template.__code__.replace(co_varnames=names, co_name=title), known,
                              title)
    whole.plain = rule                             # as it is written, for whoever shows it
    known["RECORDED"] = Recorded(rule, whole, title, in_one_pass) if several else rule
    return whole


@functools.cache
def _template(count: int) -> FunctionType:
    """What a rule with so many parameters becomes; its own names are put in their place, and the
    capital ones are its globals. Written out: a call with * takes 0.1 us more."""
    given = ", ".join(["g", *(f"a{i}" for i in range(1, count))])
    return eval(f"lambda {given}: (LOOP({given}) if g.size >= LEAST else PLAIN({given})) "
                f"if g.__class__ is ndarray else "
                f"(RECORDED if isinstance(g, Tensor) else PLAIN)({given})")


_ITSELF = lambda g: g


# --- two arguments -------------------------------------------------------------------------------

def broadcast_error(op: Op, error: Exception, *args: object) -> Exception:
    """NumPy's broadcasting error, with the dimension that does not fit and the likely fix."""
    if str(error).startswith(f"{op.name}: "):      # one of ours
        return error
    shapes = {name: x.shape for name, x in zip(op.parameters, args) if isinstance(x, ndarray)}
    if isinstance(error, OverflowError):           # uint8 - 300
        return ValueError(f"{op.name}: {error}; convert the tensor first, for example x.long()")
    if "negative integer powers" in str(error):
        return ValueError(f"{op.name}: integers to negative integer powers are no integers; convert"
                          " the input first: x.float()")
    floats = [f"{name} is {x.dtype}" for name, x in zip(op.parameters, args)
              if isinstance(x, ndarray) and x.dtype.kind == "f"] \
        if op.name.startswith("bitwise") else []
    if floats:
        return TypeError(f"{op.name}: want booleans or integers, {' and '.join(floats)}; compare "
                         "first, for example x > 0, or convert: x.long()")
    if "broadcast" not in str(error):
        return TypeError(f"{op.name}: {error}")
    (a, s), (b, t) = [*shapes.items()][-2:]
    at = next(i for i in range(-1, -min(len(s), len(t)) - 1, -1)
              if s[i] != t[i] and 1 not in (s[i], t[i]))
    fix = f"; {b}.reshape({(*t, 1)}) lines up with the first dimension" \
        if len(t) == 1 and len(s) > 1 and s[0] == t[0] else ""
    return ValueError(f"{op.name}: {a} {s} and {b} {t} do not broadcast: dimension {at} is {s[at]} "
                      f"against {t[at]}, want equal sizes or 1{fix}")


def pairs(r: Any) -> list[tuple]:
    """Samples of two arguments: equal shapes, both ways to broadcast, a number on either side."""
    return [(r(3, 4), r(3, 4)), (r(2, 3, 4), r(4)), (r(3, 1), r(1, 4)), (r(3), 2.5), (-0.5, r(3))]


def pairs_apart(r: Any) -> list[tuple]:
    """Samples of two arguments that are nowhere close to equal, where there is a kink."""
    a, b = np.split(r.apart(2, 3, 4), 2)
    return [(a[0], b[0]), (a[0], b[0, 0]), (a[0], 0.0)]


def pairs_equal(r: Any) -> list[tuple]:
    """Samples of two arguments of which some are equal."""
    a = r.integers(3, 4, 5)
    return [(a, r.integers(3, 4, 5)), (r(3, 4), r(4)), (a, 1)]


def binary(ref: Any, *, samples: Callable = pairs, least: int = tuning.LOOP_OF_MEMORY,
           least_of_rules: int = tuning.LOOP_OF_MEMORY, **about: Any
           ) -> Decorator:
    """A pointwise operation of two arguments that broadcast, in NumPy `ref`, at the speed of
    memory. The error for shapes that do not fit names the dimension and the fix."""
    return pointwise(ref=ref, samples=samples, explain=broadcast_error, least=least,
                     least_of_rules=least_of_rules, **about)


def comparison(ref: np.ufunc, *, samples: Callable = pairs_equal, **about: Any
               ) -> Decorator:
    """A binary operation whose result is booleans, which have no gradient; its arguments agree on a
    dtype."""
    return binary(ref, samples=samples, promote="operands", least=tuning.LOOP_OF_THREADS, **about)


# --- reductions: many numbers along dimensions become one ----------------------------------------

def along_dims(r):
    """Samples for every function of (input, dim, keepdim) that takes several dims."""
    return [(r(3, 4),), (r(2, 3, 4), 1), (r(2, 3, 4), (0, -1)), (r(2, 3, 4), (1,), True),
            (r(3, 4), {"keepdim": True})]


def reduction(numpys: Callable | None = None, *, samples: Callable = along_dims,
              ref: Callable | None = None, read: Callable = many_dims, choice: bool = False,
              any_dtype: bool = False, **about: Any) -> Decorator:
    """An op of (input, dim, keepdim), also called axis and keepdims.

    The forward gets dim as NumPy's functions take it: a tuple counted from 0, or None for all.

    numpys: the function of NumPy that does the same (else say ref). read: how dim is read, see
    `dims.py`: many_dims, chosen_dims (where () is no dimension), one_dim. choice: the result is
    one of the elements or its place, so that there must be some. any_dtype: it does not compute
    with the numbers, but looks which they are.
    """
    if any_dtype:
        about.update(promote=False, moves=True)

    def decorate(forward: Callable[P, R]) -> OpFunction[P, R]:
        door = {"door": _refuse_nothing(forward.__name__)} if choice else {}
        return op(samples=samples, ref=ref or under_torchs_names(numpys), dims={"dim": read},
                  **door, **about)(forward)
    return decorate


def under_torchs_names(numpys: Any) -> Callable:
    """A NumPy function of (x, axis, keepdims) as one of (x, dim, keepdim), for references."""
    def function(x: ndarray, dim: Any = None, keepdim: bool = False, **options: Any) -> ndarray:
        return numpys(x, axis=dim, keepdims=keepdim, **options)
    return function


def _refuse_nothing(name: str) -> Callable:
    """The door of a function that chooses among elements: it refuses to choose from none."""
    def door(input: ndarray, dim: Any, keepdim: bool) -> tuple:
        if not input.size:
            shape = input.shape
            along = None if dim is None or not shape else (dim,) if dim.__class__ is int else dim
            if not count_of(shape, along):
                raise ValueError(f"{name}: a tensor of shape {shape} has no elements "
                                 + ("" if along is None else f"along dim {along} ")
                                 + "to choose from")
        return input, dim, keepdim
    return door


def refuse_integers(name: str, input: ndarray) -> None:
    """Raises TypeError for integers and booleans, whose mean or norm is none of their kind."""
    if input.dtype.kind != "f":
        raise TypeError(f"{name}: want a floating tensor, got {input.dtype}; convert it first, for "
                        f"example x.float().{name}()")


def accumulated(name: str, reduce: Callable, x: ndarray, dtype: Any, *along: Any) -> ndarray:
    """reduce(x, *along) of x converted to `dtype`, which is what the option dtype of sum and its
    like means. None: integers and booleans as int64, floats as they are.

    Converted to float16 is the result only: sums of its numbers overflow and stall.
    reduce(x, *along, dtype): for integers NumPy converts on the way.
    """
    if dtype is None:
        if x.dtype.kind == "f":
            return reduce(x, *along)
        dtype = INT64
    else:
        dtype = dtype_named(name, dtype)
    if dtype.kind != "f":
        return reduce(x, *along, dtype)
    return np.asarray(reduce(x.astype(WIDE.get(dtype, dtype), copy=False), *along)
                      ).astype(dtype, copy=False)


# --- movements: numbers get another place, and stay what they are --------------------------------

def movement(**about: Any) -> Decorator:
    """An op that computes nothing: any dtype goes in, and comes out."""
    return op(promote=False, moves=True, **about)
