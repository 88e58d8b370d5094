"""What the generated functions do with arguments that are neither Tensors nor float32 arrays, and
with NumPy's names of options. All of it is called rarely: what is usual is written out in the text.

Not here: dtypes (`agreement.py`), the text itself (`codegen.py`).
"""
from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from .engine import Tensor, leaf
from ..foreign import got, named
from ..promotion import FLOAT32

if TYPE_CHECKING:
    from .op import Op

# Classes of which nothing need be asked.
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


# --- names ---------------------------------------------------------------------------------------

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
