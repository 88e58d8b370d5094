"""Several results of one operation: one node for the operation, and one for each result.

A link leads to one node, and at a node one gradient arrives. So `values, indices = x.max(0)` has a
node for max, whose gradient is a list, and before it a node for each floating result, which puts
its gradient into that list. Where nobody asked for a result the list has None.

Not here: the nodes of operations with one result (`codegen.py` writes them).
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from .accumulate import Gradients
from .engine import Node, Place, Tensor, wrap
from .writes import Where


def _into_list(g: Any, node: Node, inputs: tuple, saved: tuple, grads: Gradients) -> None:
    (whole,), (i,) = inputs, saved
    parts = grads.setdefault(whole, [None] * whole.shape)
    old = parts[i]
    parts[i] = g if old is None else old + g


PICK = Place("pick", _into_list)


def pick(node: Node, i: int, value: ndarray, where: Where | None) -> Node:
    """The node of the i-th result of an operation."""
    return Node().fill(PICK, (node,), (i,), value.shape, value.dtype, where)


def many(op: Any, links: tuple, saved: tuple, outs: tuple, where: Where | None
         ) -> tuple[Tensor, ...]:
    """Tensors for the results of an operation that is recorded."""
    node = Node().fill(op, links, saved, len(outs), None, where)
    return several(node, tuple(map(np.asarray, outs)))


def several(node: Node, outs: tuple[ndarray, ...]) -> tuple[Tensor, ...]:
    """The results of a node as Tensors; those that are no floats have no gradient."""
    return tuple(wrap(y, pick(node, i, y, node.where) if y.dtype.kind == "f" else None)
                 for i, y in enumerate(outs))
