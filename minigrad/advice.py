"""Advice for a training that goes wrong without an error: a loss that is nan, a forgotten
zero_grad(). Warnings, which Python's filters silence:

    warnings.filterwarnings("ignore", category=minigrad.TrainingWarning)

Not here: errors (they stand where they are raised), the search for a nan in a graph that works.
"""
from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from .autograd.writes import PACKAGE, Where, describe, user_line, writes


class TrainingWarning(UserWarning):
    """Something that is no error and hardly meant: a loss of nan, gradients never set to zero."""


def advise(message: str) -> None:
    """Warns at the user's line: the innermost frame outside of minigrad."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, TrainingWarning, stacklevel=level)


# --- a loss that is nan --------------------------------------------------------------------------

_told: set[Where] = set()                          # lines whose nan was reported: once is enough


def loss_is_nan(nodes: Iterable[Any]) -> None:
    """Warns that backward() starts from nan, and says where the first value that is not finite
    came from. nodes: the graph, younger before older.

    The mean of an empty batch is nan, too, and spoils nothing: no word of that.
    """
    place = user_line()
    if place is None or place in _told:            # no search in each step that follows
        return
    _told.add(place)
    oldest_first = list(nodes)[::-1]
    if not any(isinstance(n.shape, tuple) and 0 in n.shape for n in oldest_first):
        advise(f"backward: the loss is nan. {_first_not_finite(oldest_first)}")


_SHORTER = ("A shorter step may help: a lower learning rate, or nn.utils.clip_grad_norm_("
            "model.parameters(), 1.0) before optimizer.step()")


def _first_not_finite(oldest_first: list[Any]) -> str:
    """What the graph's saved values tell, in words: a parameter, or what came first of all else."""
    root = oldest_first[-1]
    found = [(root.birth, _of(root), False)]       # when, what, is it data that a user gave
    for node in oldest_first:
        owner = getattr(node, "owner", None)       # of a Leaf
        if owner is not None:
            tensor = owner()
            if tensor is not None and _bad(tensor.array):
                what = f"'{tensor.name}'" if tensor.name else f"A leaf of shape {tensor.shape}"
                return (f"{what} is not finite itself: an earlier step spoilt it, or it was set "
                        f"so. {_SHORTER}")
            continue
        op = node.op
        if not hasattr(op, "forward") or node.saved is None:
            continue                               # a place in the graph, not an operation
        links = dict(zip(op.linked, node.inputs))
        for name, value in zip(op.requests, node.saved):
            if name in op.tensors and isinstance(value, ndarray) and _bad(value):
                maker = links.get(name)
                if maker is None:
                    found.append((node.birth - 0.5, f"the argument '{name}' of '{op.name}' "
                                                    f"({describe(node.where)})", True))
                elif getattr(maker, "owner", None) is None:
                    found.append((maker.birth, _of(maker), False))
        result = _result(node)
        if isinstance(result, ndarray) and _bad(result):
            found.append((node.birth, _of(node), False))
    _, what, given = min(found)
    text = f"The first value that is known not to be finite is {what}"
    if given:
        return f"{text}, which no parameter has a part in: look into the data, np.isnan(x).any()"
    return f"{text}: look at what goes in there (log or division of 0, an overflow). {_SHORTER}"


def _of(node: Any) -> str:
    return f"the result of '{node.name}' ({describe(node.where)})"


def _result(node: Any) -> Any:
    """What an operation gave: kept, or computed again if all that went in was kept."""
    op = node.op
    saved = dict(zip(op.requests, node.saved))
    if "out" in saved:
        return saved["out"]
    if not saved.keys() >= op.parameters.keys() or any(saved[t] is None for t in op.tensors):
        return None
    try:
        with np.errstate(all="ignore"):
            out = op.forward(**{name: saved[name] for name in op.parameters})
    except Exception:                              # it is advice: nothing may fail because of it
        return None
    return out[0] if isinstance(out, tuple) else np.asarray(out)


def _bad(x: ndarray) -> bool:
    return x.dtype.kind == "f" and not np.isfinite(x).all()


# --- a forgotten zero_grad() ---------------------------------------------------------------------

# The gradients with which steps were taken and which nobody has set to zero by zero_grad() since.
# One for each optimiser: id -> (weak reference, when the step was, the optimiser).
stepped: dict[int, tuple[weakref.ref, int, weakref.ref]] = {}


def watch_for_sum(gradient: Any, optimizer: Any, time: int) -> None:
    """After a step that no zero_grad() preceded: shall the next gradient be added to this one?"""
    key = id(gradient)
    stepped[key] = (weakref.ref(gradient, lambda _: stepped.pop(key, None)), time,
                    weakref.ref(optimizer))


def added_to(old: Any) -> None:
    """backward() adds to this gradient. If the last step was taken with it, the optimiser is told,
    unless it was written to since (`p.grad.zero_()`, a decay) or is zero."""
    entry = stepped.pop(id(old), None)
    if entry is None:
        return
    optimizer = entry[2]()
    if optimizer is not None and writes.after(entry[1], old.array) is None and old.array.any():
        optimizer.sums_of_steps += 1


FORGOTTEN = (
    "{name}.step(): the gradients were added to those that the last step was taken with, so every "
    "step repeats all the steps before it. Set them to zero first: optimizer.zero_grad(), before "
    "loss.backward(). If that sum is meant, silence this: warnings.filterwarnings('ignore', "
    "category=minigrad.TrainingWarning)")
