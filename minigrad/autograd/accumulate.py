"""Sums of gradients: where they meet, how they are brought to a shape, and whose memory they are.

A rule may return anything of the right numbers: g itself, a view of what it saved, one number
repeated. So two gradients are added out of place, and what reaches a user is a copy, unless a count
of references shows that nobody else holds the memory. Such counts are made in this file only; what
they say of an array that nobody else holds depends on the version of Python, so it is asked at
import, by functions of the same form.

Not here: the order in which gradients are handed on (`engine.py`); writes into a tensor's memory
(`inplace.py`). Everything here is of arrays; a Tensor comes by where a derivative is recorded.
"""
from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from .. import tuning
from ..face import ArrayFace
from ..memory import Block
from ..promotion import WIDE
from ..long_sums import ROWS, total

if TYPE_CHECKING:
    from .engine import Node

#: Bytes from which a sum of two gradients is written over one of them, if nobody else holds that.
LARGE = tuning.GRADIENT_IN_PLACE


def add_into(total: ndarray, part: ndarray) -> None:
    """total += part. ops/__init__.py puts the loop over all threads in its place."""
    np.add(total, part, total)


class Gradients(dict):
    """What has arrived at each node of a walk, {node: gradient}, and is not handed on yet.

    A pullback puts the first gradient of a node here itself, if its shape and dtype are the node's;
    `add` does everything else. Rules return no sum over broadcast dimensions: that is done here.

    rounded: nodes of a dtype that sums would stall in (float16). What arrives wider is added as it
        is, and rounded once, when all have arrived.
    """
    __slots__ = ("rounded",)

    def __init__(self) -> None:
        self.rounded: set[Node] = set()

    def add(self, node: Node, g: Any) -> None:
        """A gradient arrives at a node. The first is kept, others are added to it."""
        if g.shape != node.shape:
            g = unbroadcast(g, node.shape)
        if g.dtype is not node.dtype and g.dtype != node.dtype:
            if node.dtype in WIDE and g.dtype == WIDE[node.dtype]:
                self.rounded.add(node)
            else:
                g = g.astype(node.dtype)
        old = self.pop(node, None)
        if old is None:
            self[node] = g
        elif g.nbytes < LARGE or g.__class__ is not ndarray or old.__class__ is not ndarray \
                or old.dtype != g.dtype:
            self[node] = old + g
        elif is_whole(old) and old.flags.writeable and sys.getrefcount(old) <= _ONE_LOCAL:
            add_into(old, g)
            self[node] = old
        elif is_whole(g) and g.flags.writeable and sys.getrefcount(g) <= ONE_CALLER:
            add_into(g, old)
            self[node] = g
        else:
            self[node] = old + g


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sums g over the dimensions along which a value of `shape` was repeated by broadcasting."""
    lead = g.ndim - len(shape)
    if lead == 1 and shape and g.__class__ is ndarray and g.shape[1:] == shape and \
            len(g) < ROWS and g.itemsize > 2:
        return np.add.reduce(g)                    # a bias: 1 us less than the general way
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 != g.shape[i + lead]))
    return (total(g, axes) if g.__class__ is ndarray else g.sum(axes)).reshape(shape)


# --- whose memory is it? -------------------------------------------------------------------------

def own(g: Any, holders: int) -> Any:
    """The gradient g as its receiver may have it: writable memory that is not anybody else's.

    An array or, of a recorded gradient, a Tensor: a copy in the graph. holders: ONE_CALLER or
    TWO_CALLERS, what sys.getrefcount(g) says in here if only those who hand g over hold it.
    """
    if g.__class__ is ndarray:
        return g if sys.getrefcount(g) <= holders and (g.base is None or _is_free(g)) \
            else np.array(g)
    if isinstance(g, ArrayFace):
        array = g.array
        alone = sys.getrefcount(g) <= holders and sys.getrefcount(array) <= ONE_TENSOR
        return g if alone and _is_free(array) else g.clone()     # type: ignore[attr-defined]
    return np.array(g)                             # one number of NumPy's


def _is_free(array: ndarray) -> bool:
    """Whether whoever holds an array alone may write into it."""
    return array.base is None or (
        not shares_memory(array) and array.flags.writeable and 0 not in array.strides)


def shares_memory(array: ndarray, besides: int = 0) -> bool:
    """Whether the array is a view of memory that others hold too (besides so many known views).

    y.reshape(...) and y[0] are views even where y is forgotten at once: then nobody else sees it.
    """
    return not is_whole(array) and _holders(array) > _ONE_HOLDER + besides


def held_by_tensor_alone(array: ndarray) -> bool:
    """Whether nobody but one tensor, and the caller in a local variable, holds an array."""
    return sys.getrefcount(array) <= _ONE_TENSOR_GIVEN


def is_whole(array: ndarray) -> bool:
    """Whether it is no view: the memory is its own, or lent to it alone."""
    return array.base is None or array.base.__class__ is Block


def _holders(view: ndarray) -> float:
    base = view.base
    return sys.getrefcount(base) if isinstance(base, ndarray) and is_whole(base) else math.inf


# --- what the counts say of what nobody else holds -----------------------------------------------

class _Holder:
    """As a tensor holds its array."""
    __slots__ = ("array",)

    def __init__(self, array: ndarray) -> None:
        self.array = array


def _references_of_callers() -> tuple[int, int]:
    def as_own(g: ndarray, holders: int) -> int:
        return sys.getrefcount(g)

    def as_leaf(node: Any, g: ndarray) -> int:
        return as_own(g, 0)
    g = np.zeros(2)
    return as_own(g, 0), as_leaf(None, g)


def _references_of_one_local() -> int:
    g = np.zeros(2)
    return sys.getrefcount(g)


def _references_in_one_tensor() -> tuple[int, int]:
    def given(array: ndarray) -> int:
        return sys.getrefcount(array)
    holder = _Holder(np.zeros(2))
    array = holder.array
    return sys.getrefcount(array), given(array)


_ONE_LOCAL = _references_of_one_local()
ONE_CALLER, TWO_CALLERS = _references_of_callers()
ONE_TENSOR, _ONE_TENSOR_GIVEN = _references_in_one_tensor()
_ONE_HOLDER = _holders(np.zeros(2)[:1])
