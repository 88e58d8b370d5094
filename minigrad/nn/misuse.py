"""Advice for `nn.ReLU(x)` and `nn.MSELoss(prediction, target)`: layers are made first, then called.

Not here: what a layer's own options may be (its __init__ says so).
"""
from __future__ import annotations

import re
from typing import Any

from numpy import ndarray

from ..autograd.engine import Tensor

PACKAGE = __name__.rpartition(".")[0] + "."
OWN_WORDS = PACKAGE + "containers"                 # they refuse it themselves
CO_VARARGS = 0x04


def refuse_inputs(cls: type, args: tuple, kwargs: dict[str, Any]) -> None:
    """Raises TypeError if a layer of this package is made with a Tensor or array that is no option.

    Options that are Tensors say so in their annotation (the weight of CrossEntropyLoss). What the
    user's own modules take is their business.
    """
    given = [x for x in (*args, *kwargs.values()) if _is_data(x)]
    init: Any = cls.__init__                           # type: ignore[misc]
    if not given or not init.__module__.startswith(PACKAGE) or init.__module__ == OWN_WORDS:
        return
    code, hints = init.__code__, init.__annotations__
    if code.co_flags & CO_VARARGS:
        return
    names = code.co_varnames[1:code.co_argcount]
    meant = [(name, x) for name, x in (*zip(names, args), *kwargs.items()) if _is_data(x)]
    if len(args) <= len(names) and all(
            x.ndim == 0 or re.search("Tensor|Any", str(hints.get(name, ""))) for name, x in meant):
        return
    name = cls.__name__
    kind, inputs = ("loss", "input, target") if name.endswith("Loss") else ("layer", "x")
    options = names[:len(names) - len(init.__defaults__ or ())]
    prefix = "nn." if cls.__module__.startswith(PACKAGE) else ""
    given_options = "dim=1" if "oftmax" in name else ", ".join(options)
    made = f"{prefix}{name}({given_options})({inputs})"
    function = _function(name)
    tensors = all(isinstance(x, Tensor) for x in given)
    kinds = ("a Tensor" if tensors else "an array") if len(given) == 1 else (
        "Tensors" if tensors else "arrays")
    shapes = " and ".join(str(x.shape) for x in given)
    raise TypeError(
        f"{name}: its options are wanted here, got {kinds} of shape {shapes}. {name} is a {kind}, "
        f"which is made first and then called: {made}"
        + (function and f"; or use nn.functional.{function}"))


def _is_data(x: Any) -> bool:
    """A Tensor, or an array that is no pair of sizes."""
    return isinstance(x, Tensor) or (isinstance(x, ndarray)
                                     and (x.dtype.kind == "f" or x.ndim > 1))


def _function(name: str) -> str:
    """The call of the same name in nn.functional, or ""."""
    from . import functional                           # which is imported later than this

    spelt = {words.replace("_", ""): words for words in dir(functional)}
    plain = name.lower().replace("bce", "binarycrossentropy")
    words = spelt.get(plain) or spelt.get(plain.removesuffix("loss"))
    if words is None:
        return ""
    if name.endswith("Loss"):
        return f"{words}(input, target)"
    return f"{words}(x{', dim=1' if 'softmax' in words else ''}{_MORE.get(words, '')})"


# What the functions of layers with parameters or sizes want besides.
_MORE = {"linear": ", weight, bias", "conv2d": ", weight, bias", "max_pool2d": ", kernel_size",
         "avg_pool2d": ", kernel_size", "rnn_cell": ", hx, w_ih, w_hh"}
