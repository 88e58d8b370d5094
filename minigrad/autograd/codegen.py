"""The text of the functions that are generated for each op: the public function and the pullback.

Both are written out for each op, as dataclasses do for __init__, so that a call costs no loop over
arguments, no dictionary and no second call. x * x on 3 x 4 elements takes 0.24 us in NumPy, 0.45 as
a Tensor, 1.0 recorded. To read them: `print(minigrad.matmul.op.source)`, or for three typical ops
`tests/autograd/generated.txt`.

Not here: what an op is (`op.py`), what the text calls (`arguments.py`, `agreement.py`), how text
becomes a function (`generated.py`).
"""
from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from .accumulate import LARGE
from .agreement import admit, again, agree, all_again, finish, redo, rounded_once
from .arguments import (
    ARRAY, ARRAY_OR_NONE, MISSING, PLAIN, PLAIN_OR_NONE, by_numpy_names, into_input, missing,
    numpy_names, operand, shape_of, unwrap_sequence,
)
from .engine import Node, Tensor, leaf, wrap
from .fusion import FEWEST, may_wait, wait
from .results import many
from .writes import OUTSIDE, now, user_line, user_place
from ..modes import settings
from ..promotion import BOOL, FLOAT32, FLOAT64, INT64, WIDE, Casts

if TYPE_CHECKING:
    from .op import Composite, Op

#: What generated text may call.
NAMES = dict(Tensor=Tensor, Node=Node, leaf=leaf, wrap=wrap, ndarray=ndarray, ARRAY=ARRAY,
             PLAIN=PLAIN, ARRAY_OR_NONE=ARRAY_OR_NONE, PLAIN_OR_NONE=PLAIN_OR_NONE,
             asarray=np.asarray, settings=settings, operand=operand, finish=finish, admit=admit,
             agree=agree, redo=redo, again=again, all_again=all_again, Casts=Casts, BOOL=BOOL,
             INT64=INT64, unwrap_sequence=unwrap_sequence, shape_of=shape_of, many=many,
             into_input=into_input, new=Tensor.__new__, MISSING=MISSING, missing=missing,
             by_numpy_names=by_numpy_names, FLOAT32=FLOAT32, FLOAT64=FLOAT64, LARGE=LARGE,
             user_line=user_line, any=any, now=now, FEWEST=FEWEST, may_wait=may_wait, wait=wait,
             OUTSIDE=OUTSIDE, user_place=user_place, getframe=sys._getframe, WIDE=WIDE,
             gettrace=sys.gettrace, settrace=sys.settrace,
             rounded_once=rounded_once, getattr=getattr, zip=zip)
_OWN = {"wrapped", "out", "aux", "t", "links", "node", "frame", "code", "want", "odd", "found",
        "axis", "keepdims", *NAMES}


def is_reserved(name: str) -> bool:
    """Whether no parameter may have this name: the public function itself needs it."""
    return name in _OWN or (name[0] == "n" and name[1:].isdecimal())


# --- the public function -------------------------------------------------------------------------
# Its locals: each argument, unwrapped; n0, n1, ...: the argument itself if it needs a gradient,
# else None; wrapped: was any a Tensor?; odd: is any not float32?; want: the dtype of the result.

def public_function(op: Op) -> tuple[list[str], tuple]:
    """The lines of the public function, and its defaults.

    Same signature as the forward, arrays or Tensors in and out.
    """
    head, lines, defaults = numpy_names(op.name, op.signature)
    return [f"def {op.name}{head}:", *lines, "    wrapped = False", *_shortcuts(op),
            *_unwrapping(op), *_agreement(op), *_call(op),
            *(_results(op) if op.many else _result(op))], defaults


def _shortcuts(op: Op) -> Iterator[str]:
    """What is done elsewhere: in place, or later."""
    if "inplace" in op.parameters:
        before = ", ".join(p for p in op.parameters if p != "inplace")
        yield f"    if inplace:\n        return into_input(OP, {before})"
    if op.waits:
        x = op.tensors[0]
        yield f"    if {x}.__class__ is Tensor and {x}.array.size >= FEWEST and may_wait({x}):"
        yield f"        return wait(OP, {x})"


def _unwrapping(op: Op) -> Iterator[str]:
    """Each argument becomes an array or a number."""
    if _asks_while_unwrapping(op):
        yield "    odd = False"
    for name in op.tensors:
        if name == op.sequence:
            yield (f"    {name}, links, wrapped, odd = "
                   f"unwrap_sequence({name}, OP, {name!r}, wrapped)")
        else:
            yield from _unwrapping_one(op, name)


def _unwrapping_one(op: Op, name: str) -> Iterator[str]:
    linked = name in op.linked
    decides = _asks_while_unwrapping(op) and name in op.deciding
    plain = "PLAIN" if op.takes_number(name) else "ARRAY"
    plain += "_OR_NONE" if op.takes_none(name) else ""
    if linked:
        yield f"    {_need(op, name)} = None"
    yield f"    if isinstance({name}, Tensor):\n        wrapped = True"
    if linked:
        yield f"        if {name}._requires_grad:\n            {_need(op, name)} = {name}"
    yield f"        {name} = {name}.array"
    if decides:
        yield f"        if {name}.dtype is not FLOAT32:\n            odd = True"
    yield f"    elif {name}.__class__ not in {plain}:"
    yield f"        {name} = operand({name}, OP, {name!r})"
    if decides:
        yield "        odd = True"
        yield f"    elif {_is_array(op, name)}{name}.dtype is not FLOAT32:\n        odd = True"
    if name in op.apart or not op.may_convert:
        # An array of the user's, of which nobody has asked yet what it holds.
        likely = ("BOOL", "INT64") if name in op.apart else ("FLOAT32", "FLOAT64")
        yield (f"    elif {_is_array(op, name)}{name}.dtype is not {likely[0]} "
               f"and {name}.dtype is not {likely[1]}:")
        yield f"        {name} = admit({name}, OP)"


def _agreement(op: Op) -> Iterator[str]:
    """The lines that settle the dtypes. Where all is float32 they are one comparison each."""
    names = op.deciding
    if not names or not op.may_convert:
        if op.promote is True:
            yield "    want = FLOAT32"
        return
    if len(names) == 1 and not op.sequence and not _is_array(op, names[0]):
        yield f"    want = {names[0]}.dtype"       # alone it has nobody to agree with
        yield "    if want is not FLOAT32 and want is not FLOAT64:"
    else:
        yield "    want = FLOAT32"
        # In a sequence it was asked of each; of others where they were unwrapped, or here.
        alone = len(names) == 1 or op.sequence
        here = [f"({_is_array(op, n)}{n}.dtype is not FLOAT32)" for n in names
                if alone and n != op.sequence]
        odd = ["odd"] if len(here) != 1 or op.sequence else []
        yield f"    if {' or '.join(odd + here)}:"
    known = _tuple(f"*{n}" if n == op.sequence else n for n in names)
    yield f"        want = agree(OP, {known})"
    places, words = [], []
    for p in op.parameters.values():
        value = p.name
        if p.name == op.sequence:
            value = f"all_again({p.name}, links, wrapped)"
        elif p.name in op.tensors:
            need = _need(op, p.name) if p.name in op.linked else None
            value = f"again({p.name}, {need}, wrapped)"
        if p.kind is p.KEYWORD_ONLY:
            words.append(f"{p.name!r}: {value}")
        else:
            places.append(f"*{value}" if p.kind is p.VAR_POSITIONAL else value)
    yield "        if want.__class__ is Casts:"
    yield f"            return redo(OP, want, [{', '.join(places)}], {{{', '.join(words)}}})"


def _call(op: Op) -> Iterator[str]:
    """The forward, and its way out where no argument was a Tensor."""
    passed = _passed(op)
    for name in op.dims:
        given = f"if {name} is not None: " if op.parameters[name].default is None else ""
        yield (f"    {given}{name} = READ_{name}({op.name!r}, {name}, {op.tensors[0]}.ndim, "
               f"{name!r})")
    if op.takes is not None:
        yield from op.takes.lines()
    if op.door is not None:
        yield f"    {_names(op.parameters)} = DOOR({passed})"
    forward = f"FORWARD({passed})"
    if op.large is not None:
        given = ", ".join(p for p in op.parameters if p != "inplace")
        forward = f"LOOP({given}) if ({_size(op)}) >= {op.least} else {forward}"
    if op.explain is not None:
        yield f"    try:\n        out = {forward}"
        yield "    except (ValueError, TypeError, OverflowError) as error:"
        yield f"        raise EXPLAIN(OP, error, {passed}) from None"
    else:
        yield f"    out = {forward}"
    if op.has_aux:
        yield "    out, aux = out"
    yield "    if not wrapped:\n        return out"


def _result(op: Op) -> Iterator[str]:
    """A Tensor around the result and, if a gradient may come back, its node."""
    yield "    if out.__class__ is not ndarray:\n        out = asarray(out)"
    if op.promote is True:
        yield "    found = out.dtype\n    if found is not want:"
        yield f"        out = finish(out, want, {_operands(op)})\n        found = out.dtype"
    yield "    t = new(Tensor)\n    t.array = out\n    t.grad = None"
    if op.linked:
        yield f"    if {_any_needs(op)} and settings.grad_enabled:"
        # Node.fill and user_line() written out: each call would cost 0.1 us.
        yield "        t._requires_grad = True\n        t.node = node = Node()"
        yield "        node.op = OP"
        yield f"        node.inputs = {_links(op)}"
        yield f"        node.saved = {_saved(op)}"
        dtype = "found" if op.promote is True else "out.dtype"
        yield f"        node.shape = out.shape\n        node.dtype = {dtype}"
        yield "        node.birth = now()\n        node.hooks = None"
        yield "        frame = getframe(1)\n        code = frame.f_code"
        yield ("        node.where = (code, frame.f_lasti) if code.co_filename in OUTSIDE "
               "else user_place(frame)")
        yield "        return t"
    yield "    t._requires_grad = False\n    t.node = None\n    return t"


def _results(op: Op) -> Iterator[str]:
    """The same for several results."""
    if op.promote is True:
        yield f"    out = [finish(asarray(y), want, {_operands(op)}) for y in out]"
    if op.linked:
        yield f"    if {_any_needs(op)} and settings.grad_enabled:"
        yield f"        return many(OP, {_links(op)}, {_saved(op)}, out, user_line())"
    yield "    return tuple(map(wrap, out))"


def _saved(op: Op) -> str:
    """The expression for the tuple of everything that the rules asked for."""
    def value(name: str) -> str:
        if name == "needs":
            return "tuple([n is not None for n in links])" if op.sequence else \
                _tuple(f"{_need(op, n)} is not None" for n in op.linked)
        if name.endswith("_shape") and name not in op.parameters:
            owner = name.removesuffix("_shape")
            return f"tuple(map(shape_of, {owner}))" if owner == op.sequence else \
                f"shape_of({owner})"
        askers = [n for n in op.linked if name in op.read_for(n)]
        if name in op.tensors and 0 < len(askers) < len(op.linked) and not op.many:
            # x * 2: the gradient of x needs 2, and nobody x. It need not be kept alive.
            asked = " or ".join(f"{_need(op, n)} is not None" for n in askers)
            return f"{name} if {asked} else None"
        return name
    return _tuple(map(value, op.requests))


def _asks_while_unwrapping(op: Op) -> bool:
    return not op.sequence and len(op.deciding) > 1 and op.may_convert


def _need(op: Op, name: str) -> str:
    return f"n{op.linked.index(name)}"


def _any_needs(op: Op) -> str:
    needs = [f"{_need(op, n)} is not None" for n in op.linked]
    return "any(links)" if op.sequence else needs[0] if len(needs) == 1 else \
        f"({' or '.join(needs)})"


def _links(op: Op) -> str:
    """The expression for the nodes of the arguments, in a function that records."""
    if op.sequence:
        return "links"
    if len(op.linked) == 1:
        return "(n0.node or leaf(n0),)"
    return _tuple(f"None if {n} is None else {n}.node or leaf({n})"
                  for n in (_need(op, name) for name in op.linked))


def _is_array(op: Op, name: str) -> str:
    """The condition that an argument is an array, where it may be something else."""
    other = op.takes_number(name) or op.takes_none(name)
    return f"{name}.__class__ is ndarray and " if other else ""


def _operands(op: Op) -> str:
    """The expression for the tuple of the arguments that decide about the dtype."""
    return f"tuple({op.sequence})" if op.sequence else _tuple(op.deciding)


def _tuple(items: Iterable[str]) -> str:
    """The expression for a tuple."""
    items = list(items)
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _names(items: Iterable[str]) -> str:
    """The names to which the values of a tuple are given."""
    return _tuple(items)[1:-1]


def _size(op: Op) -> str:
    """The expression for the number of elements of the first argument that is an array."""
    size = "0"
    for name in reversed(op.tensors):
        size = f"{name}.size if {name}.__class__ is ndarray else {size}" \
            if _is_array(op, name) or size != "0" else f"{name}.size"
    return size


def _passed(function: Op | Composite, apart: tuple[str, ...] = ()) -> str:
    """The arguments as the forward is given them; by name from the first of `apart` on."""
    passed, by_name = [], False
    for p in function.parameters.values():
        by_name = by_name or p.name in apart or p.kind is p.KEYWORD_ONLY
        passed.append(f"{p.name}={p.name}" if by_name else
                      f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name)
    return ", ".join(passed)


# --- the pullback --------------------------------------------------------------------------------

def pullback(op: Op) -> list[str]:
    """The lines of the function that hands the gradient of a result back to the arguments.

    It takes the saved values by the names under which the rules asked for them, runs the rules that
    somebody needs, and adds what they return to `grads`. inputs: the nodes of the arguments, None
    where no gradient is wanted.
    """
    lines = [f"def {op.name}_pullback(g, node, inputs, saved, grads):"]
    if op.sequence:
        rule = op.by_argument[op.sequence]
        lines += [*_named(op), "    for n, part in zip(inputs, "
                  f"VJP_{op.sequence}({_asked(op, rule)}), strict=True):",
                  "        if n is not None and part is not None:"]
        return [*lines, *_arrives("n", "part", " " * 12)]
    lines += [f"    {_names(_need(op, n) for n in op.linked)} = inputs", *_named(op)]
    for argument, rule in op.by_argument.items():
        n = _need(op, argument)
        lines += [f"    if {n} is not None:",
                  f"        part = VJP_{argument}({_asked(op, rule)})",
                  *_arrives(n, "part", " " * 8)]
    if op.joint_rule is not None:
        needs = [_need(op, name) for name in op.joint_names]
        parts = [f"part{n[1:]}" for n in needs]
        lines += [f"    if {' or '.join(f'{n} is not None' for n in needs)}:",
                  f"        {_names(parts)} = JOINT_VJP({_asked(op, op.joint_rule)})"]
        for n, part in zip(needs, parts):
            lines += [f"        if {n} is not None and {part} is not None:",
                      *_arrives(n, part, " " * 12)]
    return lines


def _arrives(n: str, part: str, indent: str) -> Iterator[str]:
    """Gradients.add for the usual case: the right shape and dtype, not very large."""
    yield f"{indent}if {part}.shape != {n}.shape or {part}.dtype is not {n}.dtype:"
    yield f"{indent}    grads.add({n}, {part})"
    yield f"{indent}elif {n} not in grads:"
    yield f"{indent}    grads[{n}] = {part}"
    yield f"{indent}elif {part}.nbytes < LARGE:"
    yield f"{indent}    grads[{n}] = grads[{n}] + {part}"
    yield f"{indent}else:\n{indent}    grads.add({n}, {part})"


_PULLS_OWN = re.compile(r"g|node|inputs|saved|grads|n\d*|part\d*")


def _local(name: str) -> str:
    """A request as a local name of the pullback, which has some of its own."""
    return f"{name}_" if _PULLS_OWN.fullmatch(name) else name


def _named(op: Op) -> Iterator[str]:
    if op.requests:
        yield f"    {_names(map(_local, op.requests))} = saved"


def _asked(op: Op, rule: Callable) -> str:
    return ", ".join(["g", *map(_local, op.requests_of(rule))])


# --- a composite that is more than its forward ---------------------------------------------------

def composite_function(entry: Composite) -> tuple[list[str], tuple]:
    """The lines of a function that calls the forward, and its defaults."""
    head, lines, defaults = numpy_names(entry.name, entry.signature)
    lines = [f"def {entry.name}{head}:", *lines]
    if entry.rounds:
        first = next(iter(entry.parameters))
        lines += [f'    if getattr({first}, "dtype", None) in WIDE:',
                  f"        return rounded_once(FORWARD, {_passed(entry, entry.apart)})"]
    return [*lines, f"    return FORWARD({_passed(entry)})"], defaults
