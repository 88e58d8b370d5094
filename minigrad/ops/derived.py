"""The derivative of a rule, for derivatives of higher order: found, not written.

Under create_graph=True a rule of several words is one operation in the graph, as it is one loop on
arrays. Its own derivative is found by passing Duals (a value, and the slope with which it changes)
through it. For functions of single elements that is right in either direction: their matrix of
partial derivatives is diagonal, so that what pulls a gradient back through an operation pushes a
slope forward through it. So a Dual goes through each operation by the operation's own rule. On
large arrays the result is a loop again, and so on for every order.

Not here: rules of one word, which are operations already; how formulas become loops (`kinds.py`).
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor
from ..autograd.op import OPS, Op
from ..face import UFUNCS


class Dual:
    """A value and its slope (None: it does not change), which pass for an array."""
    __slots__ = ("value", "slope")
    __class__ = property(lambda self: ndarray)     # type: ignore[assignment]  # for the operations
    size, ndim, shape = -1, 1, (1,)                # fewer than any number of them is large

    def __init__(self, value: Any, slope: Any = None) -> None:
        self.value, self.slope = value, slope

    @property
    def dtype(self) -> np.dtype:
        """Of the value."""
        return self.value.dtype

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **options: Any) -> Any:
        plain = method == "__call__" and not options and ufunc in UFUNCS
        return _push(UFUNCS[ufunc].op, args) if plain else NotImplemented

    def __array_function__(self, function: Callable, types: Any, args: Any, options: Any) -> Dual:
        return _push(OPS[function.__name__], args)

    def word(self, name: str) -> Dual:
        """A function that NumPy lacks."""
        return _push(OPS[name], (self,))


def _push(op: Any, args: tuple) -> Dual:
    """The operation of Duals: its forward, and the sum of what its rules make of the slopes."""
    values = [x.value if type(x) is Dual else x for x in args]
    out, slope = op.forward(*values), None
    known = dict(zip(op.parameters, values), out=out)
    for name, x in zip(op.parameters, args):
        if type(x) is Dual and x.slope is not None and name in op.by_argument:
            rule = op.by_argument[name]
            asked = rule.__code__.co_varnames[1:rule.__code__.co_argcount]
            part = rule(x.slope, *[known[n] for n in asked])
            slope = part if slope is None else slope + part
    return Dual(out, slope)


for _operator, _name in {
        "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow", "lt": "lt",
        "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne", "and": "bitwise_and",
        "or": "bitwise_or"}.items():
    setattr(Dual, f"__{_operator}__", lambda a, b, name=_name: _push(OPS[name], (a, b)))
    setattr(Dual, f"__r{_operator}__", lambda a, b, name=_name: _push(OPS[name], (b, a)))
for _operator, _name in {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}.items():
    setattr(Dual, f"__{_operator}__", lambda a, name=_name: _push(OPS[name], (a,)))


def slope_of(rule: Callable, i: int, u: Any, *values: Any) -> Any:
    """u times the derivative of rule(*values) by its i-th argument; None if there is none."""
    duals = [Dual(x, u if j == i else None) if x.__class__ is ndarray else x
             for j, x in enumerate(values)]
    out = rule(*duals)
    return out.slope if type(out) is Dual else None


class Recorded:
    """A rule called with Tensors: one operation, made at the first call for such arguments.

    whole: the rule as it runs on arrays, with its loop.
    """

    def __init__(self, rule: Callable, whole: FunctionType, title: str, in_one_pass: Callable
                 ) -> None:
        self.rule, self.whole, self.in_one_pass = rule, whole, in_one_pass
        self.name = title.split(".")[0] + "_grad"
        self.made: dict[tuple, Callable] = {}

    def __call__(self, *args: Any) -> Any:
        kinds = tuple([x.array.dtype.kind if isinstance(x, Tensor) else "" for x in args])
        public = self.made.get(kinds)
        if public is None:
            public = self.made[kinds] = self._operation(kinds, args)
        return public(*args)

    def _operation(self, kinds: tuple[str, ...], args: tuple) -> Callable:
        code = self.whole.__code__
        own = code.co_varnames[:code.co_argcount]
        names = tuple("y" if n == "out" else n for n in own)     # out is the operation's own
        forward = FunctionType(code.replace(co_varnames=names, co_name=self.name),
                               self.whole.__globals__, self.name)
        forward.__annotations__ = {n: "Tensor" for n, kind in zip(names, kinds) if kind}
        forward.__doc__ = f"A derivative, {self.name.removesuffix('_grad')}'s rule."
        apart = tuple(n for n, kind in zip(names, kinds) if kind and kind != "f")
        op = Op(forward, None, None, apart=apart)
        public = op.finish()
        slope = next(n for n in "uvwpqrs" if n not in names)     # another for each order
        one = [np.ones(1, x.array.dtype) if isinstance(x, Tensor) else x for x in args]
        for i, (name, kind) in enumerate(zip(names, kinds)):
            if kind == "f":
                known = dict(SLOPE=functools.partial(slope_of, self.rule, i))
                template = _template(len(names)).__code__
                by = FunctionType(template.replace(co_varnames=(slope, *names)), known)
                if by(one[0], *one) is not None:   # relu's rule does not depend on its result
                    op.vjp(**{name: self.in_one_pass(by, f"{self.name}.{name}", 0)})
        return public


@functools.cache
def _template(count: int) -> FunctionType:
    """slope_of a rule with so many parameters, as a function of them; SLOPE is its global."""
    given = ", ".join(["u", *(f"a{i}" for i in range(count))])
    return eval(f"lambda {given}: SLOPE({given})")
