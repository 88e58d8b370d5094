"""What an operation is: a function of arrays, the rules of its derivative, and the public function
that is made of both.

Not in this file: particular operations (`ops/`), the walk through the graph (`engine.py`).
"""
from __future__ import annotations

import inspect
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterable
from operator import itemgetter
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np
from numpy import ndarray

from .engine import Node, Tensor, leaf, pick, wrap
from ..face import UFUNCS
from ..foreign import got, named
from .fusion import FEWEST, may_wait, wait
from ..modes import settings
from ..promotion import (
    BOOL, DTYPES, FLOAT32, FLOAT64, INT64, WIDE, Casts, as_own, dtype_named, fits, plan,
)
from .writes import OUTSIDE, PACKAGE, Where, now, user_line, user_place

P = ParamSpec("P")
R = TypeVar("R")

class OpFunction(Generic[P, R]):
    """What a type checker sees of a decorated forward: the function, its rules, its method."""
    op: Op
    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function itself."""
        raise NotImplementedError

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., R]:
        """As a method of Tensor."""
        raise NotImplementedError

    def vjp(self, **rules: Callable) -> None:
        """See Op.vjp."""

    def joint_vjp(self, *names: str, reads: dict[str, tuple[str, ...]] | None = None
                  ) -> Callable[[Callable], Callable]:
        """See Op.joint_vjp."""
        raise NotImplementedError


OPS: dict[str, Op | Composite] = {}

# What an annotation says, as text or as a type.
_SEQUENCE = re.compile(r"\b(Sequence|Iterable|List|list|Tuple|tuple)\[[\w.]*\bTensor\b")
_NUMBER = re.compile(r"\b(float|int)\b")


def _first_call(*args: Any, **kwargs: Any) -> Any:
    OP.write()                                     # type: ignore[name-defined]  # noqa: F821
    return OP.public(*args, **kwargs)              # type: ignore[name-defined]  # noqa: F821


def _parameter_names(rule: Callable) -> list[str]:
    """What inspect.signature(rule).parameters names, for a plain function in a tenth of the time:
    it took 8 ms of an import for all rules."""
    if type(rule) is FunctionType and not hasattr(rule, "__wrapped__"):
        code = rule.__code__
        stars = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
        if not (code.co_kwonlyargcount or code.co_flags & stars):
            return list(code.co_varnames[:code.co_argcount])
    return list(inspect.signature(rule).parameters)


class Op:
    """A differentiable function of arrays, and everything that the project knows about it.

    name, forward, doc: as written in ops/.
    rules: [(slot of the argument, rule, which saved values it takes)], one for each argument;
        a single value is given by its index, several by a function that picks them.
    joint: the rule that returns the gradients of several arguments at once, or None.
    requests: the names of everything that is saved for the rules.
    keeps: whether there are arrays of numbers among these (not only shapes and options).
    samples: rng -> legal inputs (see ops/__init__.py). ref: an obvious version to compare with.
    """

    def __init__(self, forward: Callable, samples: Callable | None, ref: Callable | None, *,
                 door: Callable | None = None, explain: Callable | None = None,
                 promote: bool | str = True, order: int | float = float("inf"),
                 flat: bool = False, floating: bool = False, waits: bool = False,
                 moves: bool = False, apart: tuple[str, ...] = (),
                 large: Callable | None = None, least: int = 0) -> None:
        self.large, self.least = large, least
        self.name, self.forward, self.doc = forward.__name__, forward, forward.__doc__
        self.samples, self.ref, self.flat, self.order = samples, ref, flat, order
        self.door, self.explain, self.promote = door, explain, promote
        self.floating, self.waits, self.moves, self.apart = floating, waits, moves, apart
        self.signature = inspect.signature(forward)
        self.parameters = self.signature.parameters
        self.hints = {p.name: str(p.annotation) for p in self.parameters.values()}
        self.tensors = [n for n, hint in self.hints.items() if "Tensor" in hint]
        sequences = [n for n in self.tensors if _SEQUENCE.search(self.hints[n])
                     or self.parameters[n].kind is inspect.Parameter.VAR_POSITIONAL]
        self.sequence = sequences[0] if sequences else None
        self.many = "tuple[" in str(self.signature.return_annotation)
        self._refuse_options(sequences)
        self.linked: list[str] = []
        self.rules: list[tuple[int, Callable, Callable | int]] = []
        self.joint: tuple[tuple[int, ...] | None, Callable, Callable] | None = None
        self.requests: list[str] = []
        self.keeps = False
        self.by_argument: dict[str, Callable] = {}
        self.joint_names: tuple[str, ...] = ()
        self.joint_reads: dict[str, tuple[str, ...]] = {}
        self.joint_rule: Callable | None = None
        self.public: Any = None
        self.defaults: tuple = ()
        self._source = ""

    def _refuse_options(self, sequences: list[str]) -> None:
        """Raises TypeError at import for a signature or options that the machinery does not know
        how to combine: it would give a wrong result, or an error from inside, at some call."""
        own = {"wrapped", "out", "aux", "t", "links", "node", "frame", "code", "want", "odd",
               "found", "axis", "keepdims", *(f"n{i}" for i in range(len(self.tensors)))}
        reserved = (own | {*_WRAPPER_NAMES}) & {*self.parameters}
        if reserved:
            raise TypeError(f"op {self.name}: the public function itself needs {sorted(reserved)}")
        for p in self.parameters.values():
            if p.kind is p.VAR_KEYWORD:
                raise TypeError(f"op {self.name}: name the options one by one, not **{p.name}")
        if self.promote not in (True, False, "operands"):
            raise TypeError(f"op {self.name}: promote must be True, False or 'operands', got "
                            f"{self.promote!r}")
        unknown = {*self.apart} - {*self.tensors}
        if unknown:
            raise TypeError(f"op {self.name}: apart names {sorted(unknown)}, which are no tensor "
                            f"arguments ({', '.join(self.tensors)})")
        plain = len(self.tensors) == 1 and not self.many and not self.sequence \
            and not self.takes_number(self.tensors[0]) and "None" not in self.hints[self.tensors[0]]
        if self.waits and not (plain and {*self.parameters} <= {self.tensors[0], "inplace"}):
            raise TypeError(f"op {self.name}: waits is for functions of one Tensor without options,"
                            " which are forgotten while the result waits")
        if len(sequences) > 1:
            raise TypeError(f"op {self.name}: want at most one sequence of Tensors, got "
                            f"{', '.join(sequences)}")
        if any("None" in self.hints[n] for n in sequences):
            raise TypeError(f"op {self.name}: a sequence of Tensors may be empty, but not None")

    def takes_number(self, name: str) -> bool:
        """Whether an argument may be a Python number, which has no dtype of its own."""
        return _NUMBER.search(self.hints[name]) is not None

    @property
    def has_aux(self) -> bool:
        """Whether the forward returns (result, aux): it does if a rule asks for aux."""
        return "aux" in self.requests

    # rules

    def vjp(self, **rules: Callable) -> None:
        """Adds one rule for each named argument: rule(g, *requests) -> gradient of the argument.

        g is the gradient of the result (for several results a list, None where nobody asked).
        Every further parameter is a request by name: an argument, an option, ARGUMENT_shape, `out`,
        `aux`, or `needs` (which linked arguments need a gradient). The engine sums the returned
        gradient over broadcast dimensions. Where the argument is a sequence, the rule returns a
        list.

        Raises: TypeError at import for a name that does not exist.
        """
        for argument, rule in rules.items():
            if argument not in self.tensors:
                raise TypeError(f"{self.name}.vjp: '{argument}' is not a tensor argument "
                                f"({', '.join(self.tensors)})")
            self.by_argument[argument] = rule
        self._compile()

    def joint_vjp(self, *names: str, reads: dict[str, tuple[str, ...]] | None = None
                  ) -> Callable[[Callable], Callable]:
        """Decorates a rule that returns the gradients of several arguments, in this order.

        reads: for an argument, the tensor arguments that its gradient needs (default: all that the
        rule asks for). What nobody needs is not kept: the rule gets None.

        Raises: TypeError at import for a name that does not exist.
        """
        def declare(rule: Callable) -> Callable:
            for name in names:
                if name not in self.tensors:
                    raise TypeError(f"{self.name}.joint_vjp: '{name}' is not a tensor argument")
            asked = {*self._requests_of(rule)} & {*self.tensors}
            for name, needed in (reads or {}).items():
                if name not in names or not asked.issuperset(needed):
                    raise TypeError(f"{self.name}.joint_vjp: reads says that '{name}' needs "
                                    f"{needed}; it is for {names}, and the rule asks for "
                                    f"{sorted(asked)}")
            self.joint_names, self.joint_rule, self.joint_reads = names, rule, reads or {}
            self._compile()
            return rule
        return declare

    def _requests_of(self, rule: Callable) -> list[str]:
        names = _parameter_names(rule)[1:]
        known = {*self.parameters, *(f"{t}_shape" for t in self.tensors), "out", "aux", "needs"}
        unknown = [n for n in names if n not in known]
        if unknown:
            raise TypeError(f"{self.name}.vjp: a rule asks for unknown {unknown}; known names: "
                            f"{', '.join(sorted(known))}")
        return names

    def _compile(self) -> None:
        """Resolves names to positions, once, and writes the public function anew."""
        every = [*self.by_argument.values(), *([self.joint_rule] if self.joint_rule else [])]
        self.requests = list(dict.fromkeys(n for rule in every for n in self._requests_of(rule)))
        self.linked = [t for t in self.tensors if t in self.by_argument or t in self.joint_names]
        self.keeps = bool({*self.requests} & {*self.tensors, "out", "aux"})
        if self.sequence and self.linked not in ([], [self.sequence]):
            raise TypeError(f"op {self.name}: of an op of a sequence only the sequence has a "
                            f"gradient, got a rule for {self.linked}; make the others options, or "
                            "put them into the sequence")
        if self.sequence in self.joint_names:
            raise TypeError(f"op {self.name}: the rule of a sequence is declared with vjp")
        if {*self.linked} & {*self.apart}:
            raise TypeError(f"op {self.name}: {sorted({*self.linked} & {*self.apart})} are apart, "
                            "that is indices or masks, and have no gradient")

        def picker(rule: Callable) -> Callable:
            at = [self.requests.index(n) for n in self._requests_of(rule)]
            if len(at) > 1:
                return itemgetter(*at)
            return itemgetter(slice(at[0], at[0] + 1) if at else slice(0))   # always a tuple

        def picker_of_one(rule: Callable) -> Callable | int:
            names = self._requests_of(rule)
            return self.requests.index(names[0]) if len(names) == 1 else picker(rule)

        if self.sequence is not None and self.sequence in self.by_argument:
            rule = self.by_argument[self.sequence]
            self.joint = None, rule, picker(rule)
        else:
            self.rules = [(self.linked.index(a), rule, picker_of_one(rule))
                          for a, rule in self.by_argument.items()]
            if self.joint_rule is not None:
                slots = tuple(self.linked.index(n) for n in self.joint_names)
                self.joint = slots, self.joint_rule, picker(self.joint_rule)
        self._unwritten()

    def read_for(self, name: str) -> set[str]:
        """What the joint rule reads of what it asks for, to find the gradient of this argument."""
        asked = set(self._requests_of(self.joint_rule)) if self.joint_rule is not None else set()
        if name in self.joint_reads:
            asked -= set(self.tensors) - set(self.joint_reads[name])
        return asked

    # the public function

    @property
    def source(self) -> str:
        """The text of the public function."""
        if not self._source:
            self.write()
        return self._source

    def write(self) -> None:
        """Writes the public function. Done at its first call: 138 at import took 25 ms."""
        self.public.__code__ = self._write().__code__
        self.public.__defaults__ = self.defaults
        self.public.__kwdefaults__ = self.forward.__kwdefaults__

    def _unwritten(self) -> None:
        """Lets the next call write the public function (anew)."""
        self._source, self.public.__code__ = "", _first_call.__code__
        self.public.__defaults__ = self.public.__kwdefaults__ = None     # they are not its own

    def _write(self) -> Callable:
        """The public function: same signature as the forward, arrays or Tensors in and out.

        It is generated as text for each op, as dataclasses do for __init__, so that a call costs no
        loop over arguments, no dictionary and no second call. x * x on 3 x 4 elements takes 0.24 us
        in NumPy, 0.50 as a Tensor, 1.1 recorded. To read one: `print(minigrad.matmul.op.source)`.
        """
        sig = self.signature
        head, lines, self.defaults = numpy_names(self.name, sig)
        lines = [f"def {self.name}{head}:", *lines, "    wrapped = False"]
        add = lines.append
        if "inplace" in sig.parameters:
            before = ", ".join(p for p in sig.parameters if p != "inplace")
            add(f"    if inplace:\n        return into_input(OP, {before})")
        if self.waits:
            x = self.tensors[0]
            add(f"    if {x}.__class__ is Tensor and {x}.array.size >= FEWEST and may_wait({x}):")
            add(f"        return wait(OP, {x})")
        asked = not self.sequence and len(self._agreeing) > 1 and self._may_convert
        if asked:
            add("    odd = False")
        for name in self.tensors:
            node = f"n{self.linked.index(name)}" if name in self.linked else None
            if name == self.sequence:
                add(f"    {name}, links, wrapped, odd = "
                    f"unwrap_sequence({name}, OP, {name!r}, wrapped)")
                continue
            if node:
                add(f"    {node} = None")
            add(f"    if isinstance({name}, Tensor):")
            add("        wrapped = True")
            if node:
                add(f"        if {name}._requires_grad:")
                add(f"            {node} = {name}.node or leaf({name})")
            add(f"        {name} = {name}.array")
            decides = asked and name in self._agreeing
            if decides:
                add(f"        if {name}.dtype is not FLOAT32:\n            odd = True")
            plain = "PLAIN" if self.takes_number(name) else "ARRAY"
            plain += "_OR_NONE" if "None" in self.hints[name] else ""
            add(f"    elif {name}.__class__ not in {plain}:")
            add(f"        {name} = operand({name}, OP, {name!r})")
            if decides:
                add("        odd = True")
                add(f"    elif {self._is_array(name)}{name}.dtype is not FLOAT32:")
                add("        odd = True")
            if name in self.apart or not self._may_convert:
                # An array of the user's, of which nobody has asked yet what it holds.
                likely = "BOOL", "INT64"
                if name not in self.apart:
                    likely = "FLOAT32", "FLOAT64"
                add(f"    elif {self._is_array(name)}{name}.dtype is not {likely[0]} "
                    f"and {name}.dtype is not {likely[1]}:")
                add(f"        {name} = admit({name}, OP)")
        self._write_agreement(add)
        passed = ", ".join(f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else
                           f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
                           for p in sig.parameters.values())
        if self.door is not None:
            add(f"    {', '.join(sig.parameters)}, = DOOR({passed})")
        forward = f"FORWARD({passed})"
        if self.large is not None:                 # of the first argument that is an array
            size = "0"
            for name in reversed(self.tensors):
                size = f"{name}.size if {name}.__class__ is ndarray else {size}" \
                    if self._is_array(name) or size != "0" else f"{name}.size"
            given = ", ".join(p for p in sig.parameters if p != "inplace")
            forward = f"LARGE({given}) if ({size}) >= {self.least} else {forward}"
        if self.explain is not None:
            add(f"    try:\n        out = {forward}")
            add("    except (ValueError, TypeError, OverflowError) as error:")
            add(f"        raise EXPLAIN(OP, error, {passed}) from None")
        else:
            add(f"    out = {forward}")
        if self.has_aux:
            add("    out, aux = out")
        add("    if not wrapped:\n        return out")
        if self.many:
            if self.promote is True:
                add(f"    out = [finish(asarray(y), want, {self._operands()}) for y in out]")
            links = f"({', '.join(f'n{i}' for i in range(len(self.linked)))},)"
            if not self.linked:
                add("    return tuple(map(wrap, out))")
            else:
                if not self.sequence:              # whose links are there already
                    add(f"    links = {links}")
                add("    if not settings.grad_enabled or not any(links):")
                add("        return tuple(map(wrap, out))")
                add(f"    return many(OP, links, {self._saved()}, out, user_line())")
            return self._exec(lines)
        add("    if out.__class__ is not ndarray:\n        out = asarray(out)")
        if self.promote is True:
            add("    found = out.dtype\n    if found is not want:")
            add(f"        out = finish(out, want, {self._operands()})\n        found = out.dtype")
        add("    t = new(Tensor)\n    t.array = out\n    t.grad = None")
        if self.linked:
            if self.sequence:
                add("    if settings.grad_enabled and any(links):")
            else:
                names = [f"n{i}" for i in range(len(self.linked))]
                add("    if (" + " or ".join(f"{n} is not None" for n in names)
                    + ") and settings.grad_enabled:")
                links = "(" + "".join(f"{n}, " for n in names) + ")"
            # Node(...) and user_line() written out: each call would cost 0.1 us.
            add("        t._requires_grad = True\n        t.node = node = new(Node)")
            add("        node.op = OP")
            add(f"        node.inputs = {'links' if self.sequence else links}")
            add(f"        node.saved = {self._saved()}")
            add(f"        node.shape = out.shape\n        node.dtype = "
                f"{'found' if self.promote is True else 'out.dtype'}")
            add("        node.birth = now()\n        node.hooks = None")
            add("        frame = getframe(1)\n        code = frame.f_code")
            add("        node.where = (code, frame.f_lasti) if code.co_filename in OUTSIDE "
                "else user_place(frame)")
            add("        return t")
        add("    t._requires_grad = False\n    t.node = None\n    return t")
        return self._exec(lines)

    # what the public function does about dtypes

    @property
    def _agreeing(self) -> list[str]:
        """The tensor arguments that decide about the dtype of the result."""
        return [t for t in self.tensors if t not in self.apart]

    @property
    def _may_convert(self) -> bool:
        """Whether arguments may have to be converted; else it is only asked what arrays hold."""
        return bool(self.promote or self.floating or not self.moves)

    def _is_array(self, name: str) -> str:
        """The condition that an argument is an array, where it may be something else."""
        other = self.takes_number(name) or "None" in self.hints[name]
        return f"{name}.__class__ is ndarray and " if other else ""

    def _operands(self) -> str:
        """The expression for the tuple of the arguments that decide."""
        return f"tuple({self.sequence})" if self.sequence else \
            "(" + "".join(f"{t}, " for t in self._agreeing) + ")"

    def _write_agreement(self, add: Callable[[str], None]) -> None:
        """The lines that settle the dtypes. Where all is float32 they are one comparison each."""
        names = self._agreeing
        if not names or not self._may_convert:
            if self.promote is True:
                add("    want = FLOAT32")
            return
        single = len(names) == 1 and not self.sequence and not self._is_array(names[0])
        if single:                                 # alone it has nobody to agree with
            x = names[0]
            add(f"    want = {x}.dtype")
            add("    if want is not FLOAT32 and want is not FLOAT64:")
        else:
            add("    want = FLOAT32")
            # In a sequence it was asked of each; of others where they were unwrapped, or here.
            alone = len(names) == 1 or self.sequence
            here = [f"({self._is_array(n)}{n}.dtype is not FLOAT32)" for n in names
                    if alone and n != self.sequence]
            add(f"    if {' or '.join(['odd'] * (len(here) != 1 or bool(self.sequence)) + here)}:")
        known = "(" + "".join(f"*{n}, " if n == self.sequence else f"{n}, " for n in names) + ")"
        add(f"        want = agree(OP, {known})")
        given = {n: f"again({n}, {f'n{self.linked.index(n)}' if n in self.linked else None}, "
                    "wrapped)" for n in self.tensors}
        given[self.sequence or ""] = f"all_again({self.sequence}, links, wrapped)"
        places, words = [], []
        for p in self.parameters.values():
            value = given.get(p.name, p.name)
            if p.kind is p.KEYWORD_ONLY:
                words.append(f"{p.name!r}: {value}")
            else:
                places.append(f"*{value}" if p.kind is p.VAR_POSITIONAL else value)
        add("        if want.__class__ is Casts:")
        add(f"            return redo(OP, want, [{', '.join(places)}], {{{', '.join(words)}}})")

    def _saved(self) -> str:
        """The expression for the tuple of everything that the rules asked for."""
        def value(name: str) -> str:
            if name == "needs":
                return "tuple(n is not None for n in links)" if self.sequence or self.many else \
                    "(" + "".join(f"n{i} is not None, " for i in range(len(self.linked))) + ")"
            if name.endswith("_shape") and name not in self.parameters:
                owner = name.removesuffix("_shape")
                each = owner == self.sequence
                return f"tuple(map(shape_of, {owner}))" if each else f"shape_of({owner})"
            askers = {i for i, rule, _ in self.rules if name in self._requests_of(rule)}
            askers |= {self.linked.index(n) for n in self.joint_names if name in self.read_for(n)}
            if name in self.tensors and 0 < len(askers) < len(self.linked) \
                    and not self.sequence and not self.many:
                # x * 2: the gradient of x needs 2, and nobody x. It need not be kept alive.
                asked = " or ".join(f"n{i} is not None" for i in sorted(askers))
                return f"{name} if {asked} else None"
            return name
        return "(" + "".join(f"{value(n)}, " for n in self.requests) + ")"

    def _exec(self, lines: list[str]) -> Callable:
        self._source = "\n".join(lines) + "\n"
        filename = f"{PACKAGE}ops{os.sep}<{self.name}>"
        text = self._source.splitlines(True)
        linecache.cache[filename] = (len(self._source), None, text, filename)
        written: dict[str, Any] = {}
        exec(compile(self._source, filename, "exec"), self.public.__globals__, written)
        return written[self.name]

    def finish(self) -> Callable:
        """The public function, dressed with the forward's documentation and the op itself."""
        forward = self.forward
        known = dict(_WRAPPER_NAMES, OP=self, FORWARD=forward, LARGE=self.large, DOOR=self.door,
                     EXPLAIN=self.explain)
        public: Any = FunctionType(_first_call.__code__, known, self.name)
        self.public = public
        public.__doc__, public.__module__ = forward.__doc__, forward.__module__
        public.__annotations__, public.__qualname__ = forward.__annotations__, forward.__qualname__
        public.__signature__ = self.signature
        public.op, public.vjp, public.joint_vjp = self, self.vjp, self.joint_vjp
        if isinstance(self.ref, np.ufunc):
            UFUNCS.setdefault(self.ref, public)
        return public

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def op(*, samples: Callable | None, ref: Callable | None = None, **about: Any
       ) -> Callable[[Callable[P, R]], OpFunction[P, R]]:
    """Makes a function of arrays into an operation on Tensors (and still on arrays).

    The parameters annotated `Tensor` are unwrapped; all others are options and passed as they are.

    samples: rng -> list of legal inputs, each a tuple of positional arguments whose last element
        may be a dict of options. Tests, gradient checks and the documentation all draw on it.
    ref: an obvious version (NumPy or loops). A NumPy ufunc also makes np.ufunc(tensor) this op.
    door: (all parameters) -> all parameters, normalised; refuses bad input with ValueError or
        TypeError.
    explain: (op, error, all parameters) -> the exception to raise instead of NumPy's own.
    promote: True: the arguments are numbers of one dtype, that of torch's table (promotion.py), and
        the result has it, too. "operands": the same, but the result has a dtype of its own (a
        comparison). False: the op decides about dtypes itself (a cast, a sum with dtype=).
    moves: it only moves numbers, so that float16 is as good as any. All other ops never see
        float16: they get float32, and their result is rounded to float16 once; likewise their
        rules. An option named dtype is honoured.
    apart: tensor arguments that have no say in the dtype of the result: indices, masks.
    order: how often the op can be differentiated (default: without end).
    flat: the derivative is 0 wherever it exists (steps), so that a check may not refuse a zero.
    waits: a large result may wait for an op that is fused with this one, see fusion.py. For ops of
        one tensor that keep its shape and dtype and cannot fail.
    floating: integers and booleans become the default dtype first (or that of the other tensors, if
        these are floats; Python numbers stay as they are). NumPy would compute with bytes in half
        precision.

    large: another way to compute the forward of many numbers: with the same arguments, but for
        `inplace`. See `ops/kinds.py`.
    least: from how many numbers on, in the first argument that is an array.

    An op with an option `inplace`, its last, writes into its first argument where that is true; the
    forward need not look at it.
    """
    def decorate(forward: Callable[P, R]) -> OpFunction[P, R]:
        new = Op(forward, samples, ref, **about)
        OPS[new.name] = new
        return cast("OpFunction[P, R]", new.finish())
    return decorate


#: NumPy's names of options, which torch takes too: x.sum(axis=0, keepdims=True).
NUMPY_NAMES = {"dim": "axis", "keepdim": "keepdims"}


class _Missing:
    def __repr__(self) -> str:
        return "<missing>"


MISSING: Any = _Missing()


def numpy_names(name: str, signature: inspect.Signature
                ) -> tuple[inspect.Signature, list[str], tuple]:
    """What lets a function of `dim` and `keepdim` take NumPy's names for them, too.

    Returns the parameters with those names behind all that have a place (and no annotations;
    defaults are written as None), the lines that look at them, and the true defaults. A call that
    does not use them pays for a comparison with None.
    """
    parameters = list(signature.parameters.values())
    placed = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    others = [p for p in parameters if p.kind is not p.POSITIONAL_OR_KEYWORD]
    given = {p.name: NUMPY_NAMES[p.name] for p in placed if p.name in NUMPY_NAMES}
    defaults, lines = [], []
    required = False                               # behind a dim that may be called axis
    for i, p in enumerate(placed):
        if p.name in given and type(p.default) is int:         # an axis beside it is an error
            defaults.append(MISSING)
            lines.append(f"    {p.name} = {p.default} if {p.name} is MISSING else {p.name}")
        elif p.default is not p.empty:
            defaults.append(p.default)
        elif p.name in given or required:
            required = True
            defaults.append(MISSING)
            lines += [f"    if {p.name} is MISSING:",
                      f"        raise missing({name!r}, {p.name!r})"]
        placed[i] = p.replace(annotation=p.empty, default=None if defaults else p.empty)
    if given:
        options = [x for pair in given.items() for x in pair]
        lines = [f"    if {' or '.join(f'{n} is not None' for n in given.values())}:",
                 f"        {', '.join(given)}, = by_numpy_names({name!r}, "
                 f"{', '.join(repr(n) for n in given)}, {', '.join(options)})", *lines]
        placed += [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
                   for n in given.values()]
        defaults += [None for _ in given]
    others = [p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else None)
              for p in others]
    return inspect.Signature([*placed, *others]), lines, tuple(defaults)


class Composite:
    """An entry of the table for a function that is made of ops and so needs no rule of its own."""
    order: int | float = float("inf")
    flat = False

    def __init__(self, forward: Callable, samples: Callable | None, ref: Callable | None) -> None:
        self.name, self.doc = forward.__name__, forward.__doc__
        self.public: Any = forward
        self.samples, self.ref = samples, ref
        self.signature = inspect.signature(forward)
        self.parameters = self.signature.parameters
        if NUMPY_NAMES.keys() & self.parameters.keys():
            self.public = self._with_numpy_names(forward)

    def _with_numpy_names(self, forward: Callable) -> Callable:
        """The function that also takes `axis`; its code is written at the first call."""
        names = dict(_WRAPPER_NAMES, OP=self, FORWARD=forward)
        public: Any = FunctionType(_first_call.__code__, names, self.name)
        public.__doc__, public.__module__ = forward.__doc__, forward.__module__
        public.__annotations__, public.__qualname__ = forward.__annotations__, forward.__qualname__
        public.__signature__ = self.signature
        return public

    def write(self) -> None:
        """Writes the public function, which calls the forward."""
        head, lines, defaults = numpy_names(self.name, self.signature)
        passed = [f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else p.name
                  for p in self.parameters.values()]
        source = "\n".join([f"def {self.name}{head}:", *lines,
                            f"    return FORWARD({', '.join(passed)})\n"])
        written: dict[str, Any] = {}
        exec(compile(source, f"{PACKAGE}ops{os.sep}<{self.name}>", "exec"), written)
        forward: Any = self.public.__globals__["FORWARD"]
        self.public.__defaults__, self.public.__kwdefaults__ = defaults, forward.__kwdefaults__
        self.public.__code__ = written[self.name].__code__

    def __repr__(self) -> str:
        return f"<composite {self.name}>"


def composite(*, samples: Callable | None, ref: Callable | None = None
              ) -> Callable[[Callable[P, R]], OpFunction[P, R]]:
    """Enters a function of Tensors, made of ops, into the table: it is tested like an op."""
    def decorate(forward: Callable[P, R]) -> OpFunction[P, R]:
        entry = OPS[forward.__name__] = Composite(forward, samples, ref)
        public: Any = entry.public
        public.op = entry
        return cast("OpFunction[P, R]", public)
    return decorate


# What the generated functions call.

def by_numpy_names(op: str, *arguments: Any) -> list:
    """The options called by NumPy's names. arguments: torch's names, then pairs (option, alias).

    Raises: TypeError if an option is given by both names.
    """
    names, values = arguments[:len(arguments) // 3], arguments[len(arguments) // 3:]
    result = []
    for name, value, alias in zip(names, values[::2], values[1::2]):
        if alias is not None and value is not None and value is not MISSING and value is not False:
            raise TypeError(f"{op}: got both {name}={value!r} and {NUMPY_NAMES[name]}={alias!r}, "
                            f"two names of one option; say {name}")
        result.append(value if alias is None else alias)
    return result


def missing(op: str, name: str) -> TypeError:
    """The error for an argument that was left out."""
    what = ", the dimension to work along (0 is the first, -1 the last)" if name == "dim" else ""
    return TypeError(f"{op}() missing required argument '{name}'{what}")


ARRAY = frozenset((ndarray,))
PLAIN = ARRAY | {float, int, bool}
ARRAY_OR_NONE, PLAIN_OR_NONE = ARRAY | {type(None)}, PLAIN | {type(None)}


def operand(x: Any, op: Op, name: str) -> Any:
    """What is neither Tensor nor array nor number, made one of these or refused."""
    if isinstance(x, float) and op.takes_number(name):
        return x                                   # np.float64: as weak as 2.0, see agree()
    if isinstance(x, (float, int, np.number, np.bool_, ndarray)):
        return np.asarray(x)
    advice = "; make it one with minigrad.tensor(...)" if isinstance(x, (list, tuple)) else ""
    raise TypeError(f"{op.name}: argument '{name}' must be a Tensor, an array or a number, got "
                    f"{got(x, advice)}")


def refuse_other(name: str, **arguments: Any) -> None:
    """For composites that look into their arguments: raises TypeError unless Tensors or arrays."""
    for argument, x in arguments.items():
        if not isinstance(x, (Tensor, ndarray, np.generic)):
            advice = "; make it one with minigrad.tensor(...)"
            raise TypeError(f"{name}: argument '{argument}' must be a Tensor, got {got(x, advice)}")


def unwrap_sequence(xs: Any, op: Op, name: str, wrapped: bool) -> tuple[tuple, tuple, bool, bool]:
    """The arrays and the nodes of a sequence of tensors, whether any was a Tensor, and whether any
    is not float32."""
    if isinstance(xs, Tensor):
        raise TypeError(f"{op.name}: argument '{name}' must be a list or tuple of Tensors, got one "
                        f"Tensor of shape {xs.shape}; write [{name}] or use {name}.unbind()")
    if not isinstance(xs, Iterable) or isinstance(xs, str):
        raise TypeError(f"{op.name}: argument '{name}' must be a list or tuple of Tensors, got "
                        f"{named(xs)}")
    arrays, links, odd = [], [], False
    for x in xs:
        node = None
        if isinstance(x, Tensor):
            wrapped = True
            if x._requires_grad:
                node = x.node or leaf(x)
            x = x.array
        elif x.__class__ is not ndarray:
            x = operand(x, op, name)
        if x.__class__ is ndarray and x.dtype is not FLOAT32:
            odd = True
        arrays.append(x)
        links.append(node)
    return tuple(arrays), tuple(links), wrapped, odd


# Dtypes. Nothing of this runs where all tensors are float32.

def again(x: Any, node: Node | None, wrapped: bool) -> Any:
    """An argument that was unwrapped as a Tensor once more, if any was one."""
    return wrap(x, node) if wrapped and x.__class__ is ndarray else x


def all_again(arrays: tuple, links: tuple, wrapped: bool) -> list:
    """The same for a sequence. (It may have been an iterator, which is read once.)"""
    return [again(x, node, wrapped) for x, node in zip(arrays, links, strict=True)]


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
    """function(*args, **options) of a composite that was given float16: computed in float32 from
    end to end, not rounded by each operation that it is made of. It begins with
        if input.dtype in WIDE: return rounded_once(itself, input, ...)
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


def into_input(op: Op, x: Any, *options: Any) -> Any:
    """op(x, ..., inplace=True): x takes the values of the result, and is returned."""
    result = op.public(x, *options)
    if isinstance(x, Tensor):
        return x.become(result)
    if x.__class__ is not ndarray:
        return result
    np.copyto(x, result, casting="same_kind")
    return x


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array; () for a number."""
    return x.shape if x.__class__ is ndarray else np.shape(x) if x is not None else ()


def many(op: Op, links: tuple, saved: tuple, outs: tuple, where: Where | None
         ) -> tuple[Tensor, ...]:
    """Tensors for several results: one Node for the op, and for each floating result a Node that
    picks it, so that a link is always to one Node with one gradient."""
    node = Node(op, links, saved, len(outs), None, where)
    return tuple(wrap(y, pick(node, i, y, where) if y.dtype.kind == "f" else None)
                 for i, y in enumerate(map(np.asarray, outs)))


_WRAPPER_NAMES = dict(Tensor=Tensor, Node=Node, leaf=leaf, wrap=wrap, ndarray=ndarray, ARRAY=ARRAY,
                      PLAIN=PLAIN, ARRAY_OR_NONE=ARRAY_OR_NONE, PLAIN_OR_NONE=PLAIN_OR_NONE,
                      asarray=np.asarray, settings=settings, operand=operand, finish=finish,
                      admit=admit, agree=agree, redo=redo, again=again, all_again=all_again,
                      Casts=Casts, BOOL=BOOL, INT64=INT64,
                      unwrap_sequence=unwrap_sequence, shape_of=shape_of, many=many,
                      into_input=into_input, new=Tensor.__new__, MISSING=MISSING,
                      missing=missing, by_numpy_names=by_numpy_names,
                      FLOAT32=FLOAT32, FLOAT64=FLOAT64, user_line=user_line, any=any, now=now,
                      FEWEST=FEWEST, may_wait=may_wait, wait=wait,
                      OUTSIDE=OUTSIDE, user_place=user_place, getframe=sys._getframe)
