"""What backward() says when it cannot go on: errors that name the operation and both lines.

Not here: where a line of the user's is remembered and the log of writes (`writes.py`), warnings of
what is no error, such as a loss that is nan (`advice.py`), messages about one op's arguments.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy import ndarray

from .writes import describe, writes
from ..face import ArrayFace
from ..foreign import got

if TYPE_CHECKING:
    from .engine import Leaf, Node


def freed(node: Node) -> RuntimeError:
    """For a node whose saved values are gone."""
    return RuntimeError(
        f"backward: the values that '{node.name}' ({describe(node.where)}) saved were freed by an "
        "earlier backward(). Pass retain_graph=True to that one to go through the graph twice; if "
        "a state is carried from step to step, cut it off with .detach()")


def refuse_overwritten(node: Node, inputs: Sequence[Node | None]) -> None:
    """Raises RuntimeError if a value that the node saved was written into since, and a rule that
    will run reads it: x * 2 saves both, the gradient of x needs only 2.

    inputs: those of the node whose gradient is wanted.
    """
    op: Any = node.op
    for name, value in zip(op.requests, node.saved or ()):
        for i, array in enumerate(value if isinstance(value, tuple) else (value,)):
            place = writes.after(node.birth, array) if isinstance(array, ndarray) else None
            if place is not None and name in op.read_by(inputs):
                links = node.inputs if op.sequence is not None and name == op.sequence else [
                    link for n, link in zip(op.linked, node.inputs) if n == name]
                owner = links[i] if i < len(links) else None
                called = f" ({owner.name})" if owner is not None and owner.op.name == "leaf" \
                    and owner.name != "leaf" else ""
                raise RuntimeError(
                    f"backward: '{node.name}' ({describe(node.where)}) saved {name}{called}, of "
                    f"shape {array.shape}, for its derivative, but it was overwritten in place at "
                    f"{describe(place[0])}. Write into a copy (x.clone()), or after backward()")


def unfit_leaf(node: Leaf, x: Any, shape: tuple[int, ...]) -> Exception:
    """For a leaf x of which it, or the `.grad` that it has, is not of the gradient's shape."""
    if x.array.shape != shape:
        return RuntimeError(f"backward: a {node.name} had shape {shape} when it was used and has "
                            f"{x.array.shape} now, since its .data was set")
    is_tensor = isinstance(x.grad, ArrayFace)
    return TypeError(f"backward: .grad of a {node.name} was set to "
                     f"{f'shape {x.grad.shape}' if is_tensor else got(x.grad)}, "
                     f"want a Tensor of shape {shape}, or None")


def no_start(shape: tuple[int, ...]) -> ValueError:
    """For a result of several numbers that is given no gradient."""
    return ValueError(f"backward: a tensor of shape {shape} has no single gradient to "
                      "start from; reduce it (loss.mean(), loss.sum()) or pass gradient= of "
                      "that shape")


def nothing_recorded() -> ValueError:
    """For a result that no graph leads to."""
    return ValueError("backward: this tensor was not computed from anything that requires "
                      "grad (or under no_grad), so there is nothing to differentiate")


def not_used(i: int, x: Any) -> ValueError:
    """For an input that grad() cannot reach."""
    called = "" if x.name is None else f"{x.name!r}, "
    return ValueError(f"grad: the outputs do not depend on input {i} ({called}"
                      f"shape {x.shape}); pass allow_unused=True to get None for it")
