"""Writing into tensors: into the numbers, or, where a gradient is involved, into the graph.

All operations in place end here: `x.add_(y)`, `x += y` and `relu(x, inplace=True)` compute a result
and call `x.become(result)`. Where a gradient is involved no memory is touched, since other nodes
may have saved it: the tensor takes the result's place in the graph. A view y = x[0] that changes
so changes x, too: x becomes x with [0] replaced.

Not here: the operations (`ops/inplace.py`, `ops/indexing.py`), the log of writes by which
backward() finds a value that was overwritten (`writes.py`).
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy import ndarray

from .accumulate import shares_memory
from .hooks import move_keep
from .writes import memory_owner, record_write
from ..modes import settings

if TYPE_CHECKING:
    from .engine import Tensor

_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}           # what fits in place: not what is higher


class InPlace:
    """What `Tensor` inherits of this file."""
    __slots__ = ()

    def become(self, result: Tensor) -> Tensor:
        """The second half of every in-place operation: self takes the values of `result`.

        Where no gradient is involved the numbers are written into self's own memory, and the write
        is counted. Otherwise self also takes result's place in the graph. Then its memory is not
        touched: other nodes may have saved it, and other views of it keep the old numbers. If self
        is itself x[index], then x is what changes: x becomes x with [index] replaced.

        Raises: ValueError for a leaf that requires grad (its gradient would have nowhere to go),
        for any other view (what it views would not follow), or for another shape; TypeError for a
        dtype that does not fit.
        """
        x = cast("Tensor", self)
        old, new = x.array, result.array
        if new.shape != old.shape:
            raise ValueError(f"in place: the result has shape {new.shape}, it does not fit the "
                             f"tensor's own {old.shape}; write x = x + y instead of x += y")
        if new.dtype != old.dtype and _KINDS[new.dtype.kind] > _KINDS[old.dtype.kind]:
            raise TypeError(f"in place: a result of {new.dtype} does not fit a tensor of "
                            f"{old.dtype}; convert first, for example x = x.to({new.dtype})")
        if not (settings.grad_enabled and (x._requires_grad or result._requires_grad)):
            refuse_read_only(old)
            np.copyto(old, new, casting="unsafe")  # within a kind, as in torch
            record_write(old)
            return x
        if new.dtype != old.dtype:
            result = result.to(old.dtype)
        views: list[tuple[Tensor, Any]] = []       # x = z[i][j]: z[i][j], then z[i]
        whole = x
        while hasattr(whole, "origin") or shares_memory(whole.array, besides=len(views)):
            parent, index = getattr(whole, "origin", (None, None))
            if parent is None or memory_owner(parent.array) is not memory_owner(whole.array):
                raise ValueError("in place: this tensor is a view (a reshape, a transpose, a row "
                                 "of what has changed since, ...), and what it views would not "
                                 "record the change. Write into that, or work on x.clone()")
            result = parent.with_item(index, result)
            views.append((whole, index))
            whole = parent
        refuse_leaf_write(whole)
        whole.take_place(result)
        for view, index in reversed(views):
            view.take_place(whole[index])
            whole = view
        return x

    def take_place(self, result: Tensor) -> None:
        """Self is from now on what `result` is in the graph; retain_grad() goes with it."""
        x = cast("Tensor", self)
        old = x.node
        x.array, x.node, x._requires_grad = result.array, result.node, result._requires_grad
        if old is not None and old.hooks is not None:
            move_keep(old, x)


def refuse_leaf_write(x: Tensor) -> None:
    """Raises where a recorded in-place operation on x would lose the gradient of x."""
    if x._requires_grad and x.grad_fn is None:
        raise ValueError("in place: this is a leaf that requires grad; changing it would lose its "
                         "gradient. Update it under `with no_grad():`, or work on x.clone()")


def refuse_read_only(array: ndarray) -> None:
    """Raises where a tensor's memory may not be written into."""
    if not array.flags.writeable:
        raise ValueError("in place: this tensor is read-only memory (an expanded view, or made "
                         "from a read-only array); work on x.clone()")


def zero_gradient(x: Tensor) -> None:
    """Fills x.grad with zeros: where it stands, as in torch, unless it belongs to a graph."""
    g = x.grad
    if g is None:
        return
    if g._requires_grad or not g.array.flags.writeable:
        x.grad = g.detach()
        x.grad.array = np.zeros(g.array.shape, g.array.dtype)
    else:
        g.array.fill(0)
        record_write(g.array)
