"""What an operation is: a function of arrays, and the rules of its derivative.

`@op` makes an `Op` of a function and gives back the public function, which computes with Tensors
and records them. `@composite` enters a function that is made of such operations, and so needs no
rules, into the same table (`table.py`).

Not in this file: particular operations (`ops/`), the walk through the graph (`engine.py`), the text
of the functions that are generated for each op (`codegen.py`).
"""
from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np
from numpy import ndarray

from . import codegen, generated
from .arguments import NUMPY_NAMES
from .engine import Node, wrap
from .results import several
from .signature import Signature
from .table import OPS as OPS
from ..face import UFUNCS

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


# What an annotation says, as text or as a type.
_SEQUENCE = re.compile(r"\b(Sequence|Iterable|List|list|Tuple|tuple)\[[\w.]*\bTensor\b")
_NUMBER = re.compile(r"\b(float|int)\b")


class Op:
    """A differentiable function of arrays, and everything that the project knows about it.

    name, forward, doc: as written in ops/.
    by_argument: the rule of each argument that has one. joint_rule: the rule that returns the
        gradients of several arguments at once, joint_names, or None.
    requests: the names of everything that is saved for the rules.
    linked: the arguments that have a gradient, in the order of Node.inputs.
    keeps: whether there are arrays of numbers among the saved values (not only shapes and options).
    public: the public function. pull: the pullback, which the walk calls. Both are generated.
    samples: rng -> legal inputs (see ops/samples.py). ref: an obvious version to compare with.
    """

    def __init__(self, forward: Callable, samples: Callable | None, ref: Callable | None, *,
                 door: Callable | None = None, explain: Callable | None = None,
                 promote: bool | str = True, order: int | float = float("inf"),
                 flat: bool = False, floating: bool = False, waits: bool = False,
                 moves: bool = False, apart: tuple[str, ...] = (),
                 dims: dict[str, Callable] | None = None,
                 takes: Signature | None = None,
                 large: Callable | None = None, least: int = 0) -> None:
        self.large, self.least = large, least
        self.name, self.forward, self.doc = forward.__name__, forward, forward.__doc__
        self.samples, self.ref, self.flat, self.order = samples, ref, flat, order
        self.door, self.explain, self.promote = door, explain, promote
        self.floating, self.waits, self.moves, self.apart = floating, waits, moves, apart
        self.dims, self.takes = dims or {}, takes.of(self.name) if takes else None
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
        self.requests: list[str] = []
        self.keeps = False
        self.by_argument: dict[str, Callable] = {}
        self.joint_names: tuple[str, ...] = ()
        self.joint_reads: dict[str, tuple[str, ...]] = {}
        self.joint_rule: Callable | None = None
        self.public: Any = None
        self.pull: Any = None
        self._source = self._pullback_source = ""

    def _refuse_options(self, sequences: list[str]) -> None:
        """Raises TypeError at import for a signature or options that the machinery does not know
        how to combine: it would give a wrong result, or an error from inside, at some call."""
        reserved = [name for name in self.parameters if codegen.is_reserved(name)]
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
        if self.dims and ({*self.dims} - {*self.parameters} or self.takes_number(self.tensors[0])
                          or self.sequence):
            raise TypeError(f"op {self.name}: dims is for options that name dimensions of the "
                            f"first argument, a Tensor; got {', '.join(self.dims)}")
        plain = len(self.tensors) == 1 and not self.many and not self.sequence \
            and not self.takes_number(self.tensors[0]) and not self.takes_none(self.tensors[0])
        if self.waits and not (plain and {*self.parameters} <= {self.tensors[0], "inplace"}):
            raise TypeError(f"op {self.name}: waits is for functions of one Tensor without options,"
                            " which are forgotten while the result waits")
        if len(sequences) > 1:
            raise TypeError(f"op {self.name}: want at most one sequence of Tensors, got "
                            f"{', '.join(sequences)}")
        if any(self.takes_none(n) for n in sequences):
            raise TypeError(f"op {self.name}: a sequence of Tensors may be empty, but not None")

    # what the signature says

    def takes_number(self, name: str) -> bool:
        """Whether an argument may be a Python number, which has no dtype of its own."""
        return _NUMBER.search(self.hints[name]) is not None

    def takes_none(self, name: str) -> bool:
        """Whether an argument may be None."""
        return "None" in self.hints[name]

    @property
    def deciding(self) -> list[str]:
        """The tensor arguments that decide about the dtype of the result."""
        return [t for t in self.tensors if t not in self.apart]

    @property
    def may_convert(self) -> bool:
        """Whether arguments may have to be converted; else it is only asked what arrays hold."""
        return bool(self.promote or self.floating or not self.moves)

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
        self._resolve()

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
            asked = {*self.requests_of(rule)} & {*self.tensors}
            for name, needed in (reads or {}).items():
                if name not in names or not asked.issuperset(needed):
                    raise TypeError(f"{self.name}.joint_vjp: reads says that '{name}' needs "
                                    f"{needed}; it is for {names}, and the rule asks for "
                                    f"{sorted(asked)}")
            self.joint_names, self.joint_rule, self.joint_reads = names, rule, reads or {}
            self._resolve()
            return rule
        return declare

    def requests_of(self, rule: Callable) -> list[str]:
        """The names that a rule asks for. Raises: TypeError for one that does not exist."""
        names = _parameter_names(rule)[1:]
        unknown = [n for n in names if not (
            n in self.parameters or n in ("out", "aux", "needs")
            or (n.endswith("_shape") and n.removesuffix("_shape") in self.tensors))]
        if unknown:
            known = {*self.parameters, *(f"{t}_shape" for t in self.tensors), "out", "aux", "needs"}
            raise TypeError(f"{self.name}.vjp: a rule asks for unknown {unknown}; known names: "
                            f"{', '.join(sorted(known))}")
        return names

    def _resolve(self) -> None:
        """After each rule: what is saved, which arguments have a gradient. Both functions are to be
        written anew."""
        every = [*self.by_argument.values(), *([self.joint_rule] if self.joint_rule else [])]
        self.requests = list(dict.fromkeys(n for rule in every for n in self.requests_of(rule)))
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
        self._unwritten()

    # what the engine asks

    def read_for(self, name: str) -> set[str]:
        """What the rules read of what they ask for, to find the gradient of this argument."""
        read = set(self.requests_of(self.by_argument[name])) if name in self.by_argument else set()
        if name in self.joint_names and self.joint_rule is not None:
            asked = set(self.requests_of(self.joint_rule))
            if name in self.joint_reads:
                asked -= set(self.tensors) - set(self.joint_reads[name])
            read |= asked
        return read

    def read_by(self, inputs: Sequence[Node | None]) -> set[str]:
        """What is read where only these inputs of a node want a gradient."""
        if self.sequence is not None:
            return self.read_for(self.sequence) if any(inputs) else set()
        return {read for name, link in zip(self.linked, inputs) if link is not None
                for read in self.read_for(name)}

    def lift(self, node: Node) -> tuple:
        """The saved values of a node as Tensors in their place in the graph, for a derivative that
        is itself recorded."""
        links = dict(zip(self.linked, node.inputs))

        def lifted(name: str, value: Any) -> Any:
            if name == self.sequence:
                return tuple(wrap(v, n) for v, n in zip(value, node.inputs))
            if name == "out":
                return several(node, value) if self.many else wrap(value, node)
            if name in self.tensors and isinstance(value, ndarray):
                return wrap(value, links.get(name))
            return value
        return tuple(lifted(name, value) for name, value in zip(self.requests, node.saved or ()))

    # the generated functions

    def finish(self) -> Callable:
        """The public function, dressed with the forward's documentation and the op itself."""
        scope = dict(codegen.NAMES, OP=self, FORWARD=self.forward, LOOP=self.large, DOOR=self.door,
                     EXPLAIN=self.explain,
                     **{f"READ_{name}": read for name, read in self.dims.items()})
        if self.takes is not None:
            scope.update(KNOWN=self.takes.known, ANEW=self.takes.anew)
        self.public = _dressed(generated.unwritten(generated.FIRST_CALL, scope, self.name),
                               self.forward, self.signature)
        self.pull = generated.unwritten(generated.FIRST_PULL, scope, f"{self.name}_pullback")
        public = self.public
        public.op, public.vjp, public.joint_vjp = self, self.vjp, self.joint_vjp
        if isinstance(self.ref, np.ufunc):
            UFUNCS.setdefault(self.ref, public)
        return public

    def _unwritten(self) -> None:
        """Lets the next calls write both functions anew."""
        self._source = self._pullback_source = ""
        self.public.__code__ = generated.FIRST_CALL
        self.pull.__code__ = generated.FIRST_PULL

    def write(self) -> None:
        """Writes the public function. Done at its first call: all 140 at import took 25 ms."""
        lines, defaults = codegen.public_function(self)
        self._source = generated.write(self.public, self.name, lines, defaults,
                                     self.forward.__kwdefaults__)

    def write_pullback(self) -> None:
        """Writes the pullback."""
        self.pull.__globals__.update({f"VJP_{n}": rule for n, rule in self.by_argument.items()},
                                     JOINT_VJP=self.joint_rule)
        self._pullback_source = generated.write(self.pull, f"{self.name}_pullback",
                                              codegen.pullback(self))

    @property
    def source(self) -> str:
        """The text of the public function."""
        if not self._source:
            self.write()
        return self._source

    @property
    def pullback_source(self) -> str:
        """The text of the pullback; "" if no argument has a gradient."""
        if not self._pullback_source and self.linked:
            self.write_pullback()
        return self._pullback_source

    def as_written(self) -> dict[str, str]:
        """The forward and each rule as they stand in ops/: {"forward": ..., "input": ..., "weight,
        bias": ...} (a joint rule under the names of its arguments)."""
        from .source import written_source         # an import of minigrad need not wait for it
        rules = dict(self.by_argument)
        if self.joint_rule is not None:
            rules[", ".join(self.joint_names)] = self.joint_rule
        return {name: written_source(f) for name, f in {"forward": self.forward, **rules}.items()}

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _parameter_names(rule: Callable) -> list[str]:
    """What inspect.signature(rule).parameters names, for a plain function in a tenth of the time:
    it took 8 ms of an import for all rules."""
    if type(rule) is FunctionType and not hasattr(rule, "__wrapped__"):
        code = rule.__code__
        stars = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
        if not (code.co_kwonlyargcount or code.co_flags & stars):
            return list(code.co_varnames[:code.co_argcount])
    return list(inspect.signature(rule).parameters)


def _dressed(public: Any, forward: Callable, signature: inspect.Signature) -> Any:
    """A generated function with what `help` shows of the forward."""
    public.__doc__, public.__module__ = forward.__doc__, forward.__module__
    public.__annotations__, public.__qualname__ = forward.__annotations__, forward.__qualname__
    public.__signature__ = signature
    return public


class Composite:
    """An entry of the table for a function that is made of ops and so needs no rule of its own.

    takes, rounds, apart: see composite.
    """
    order: int | float = float("inf")
    flat = False

    def __init__(self, forward: Callable, samples: Callable | None, ref: Callable | None, *,
                 takes: Signature | None = None, rounds: bool = False, apart: tuple[str, ...] = ()
                 ) -> None:
        self.name, self.forward, self.doc = forward.__name__, forward, forward.__doc__
        self.takes = takes.of(self.name) if takes else None
        self.public: Any = forward
        self.samples, self.ref, self.rounds, self.apart = samples, ref, rounds, apart
        self.signature = inspect.signature(forward)
        self.parameters = self.signature.parameters
        if rounds or NUMPY_NAMES.keys() & self.parameters.keys():
            scope = dict(codegen.NAMES, OP=self, FORWARD=forward)
            self.public = _dressed(generated.unwritten(generated.FIRST_CALL, scope, self.name),
                                   forward, self.signature)

    def write(self) -> None:
        """Writes the public function, which calls the forward; done at its first call."""
        lines, defaults = codegen.composite_function(self)
        generated.write(self.public, self.name, lines, defaults, self.forward.__kwdefaults__)

    def __repr__(self) -> str:
        return f"<composite {self.name}>"


# --- the decorators ------------------------------------------------------------------------------

def op(*, samples: Callable | None, ref: Callable | None = None, **about: Any
       ) -> Callable[[Callable[P, R]], OpFunction[P, R]]:
    """Makes a function of arrays into an operation on Tensors (and still on arrays).

    The parameters annotated `Tensor` are unwrapped; all others are options and passed as they are.

    samples: rng -> list of legal inputs, each a tuple of positional arguments whose last element
        may be a dict of options. Tests, gradient checks and the documentation all draw on it.
    ref: an obvious version (NumPy or loops). A NumPy ufunc also makes np.ufunc(tensor) this op.
    takes: the declaration of shapes, dtypes and options, see signature.py; checked first.
    door: (all parameters) -> all parameters, normalised; refuses bad input with ValueError or
        TypeError that no declaration can say, such as labels out of range.
    dims: {option: reader} for the options that name dimensions of the first argument: before the
        door an option that is given becomes reader(op's name, option, ndim, option's name), which
        counts from 0 or refuses; the readers are in `ops/dims.py`.
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


def composite(*, samples: Callable | None, ref: Callable | None = None, **about: Any
              ) -> Callable[[Callable[P, R]], OpFunction[P, R]]:
    """Enters a function of Tensors, made of ops, into the table: it is tested like an op.

    takes: its declaration, whose `check` it calls itself.
    rounds: where the first argument is float16, all is computed in float32 from end to end and the
        result rounded once, rather than by each of the operations. (If the other floats are of
        another dtype, it stays float32.)
    apart: with rounds, arguments that have no say in that, such as weights of classes.
    """
    def decorate(forward: Callable[P, R]) -> OpFunction[P, R]:
        entry = OPS[forward.__name__] = Composite(forward, samples, ref, **about)
        public: Any = entry.public
        public.op = entry
        return cast("OpFunction[P, R]", public)
    return decorate
