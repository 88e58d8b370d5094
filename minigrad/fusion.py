"""Fusions that are found while a program runs: a result may wait for the operation that follows.

`max_pool2d(relu(x))` written as it reads would write a large image, only to read it again. So relu
of a large array that nobody else holds gives a tensor that *waits*: it knows what it is the relu
of, and has no numbers yet. If max_pool2d comes next, it runs the fused operation on x. If anything
else looks at the numbers or the place in the graph first, they are computed then (`settle`), and
nobody can tell the difference.

    y = relu(x)         y is Waiting, x is Watched
    max_pool2d(y)       runs relu_max_pool2d(x); y still waits, and is gone if nobody keeps it
    y + 1               y is settled: an ordinary Tensor from now on
    x += 1              whoever gets at x's numbers settles y first: y is the relu of the old ones

Both are subclasses of Tensor whose `array` is a property, and become Tensor itself once they are
settled: tensors that do not wait pay nothing for it.

Not here: which operations wait (`waits=True` in ops/) or fuse (they call `behind`); the layers that
nn.Sequential runs as one (`conv_relu_pool` in nn/conv.py).
"""
from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy import ndarray

from .engine import Node, Tensor, leaf, shares_memory
from .modes import settings
from .writes import user_line

#: Elements from which a result may wait. In a training step with one image relu and pooling of
#: 25,088 and 12,544 numbers took 40 us less when they waited for one another.
FEWEST = 1 << 13

_array, _node = Tensor.__dict__["array"], Tensor.__dict__["node"]     # the slots themselves
_lock = threading.Lock()                           # around looking at a class and changing it


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Waiting(Tensor):
    """A tensor that is not computed yet.

    later: (op, its input, the user's line, grad mode, the lock of whoever computes it), until the
    numbers are there.
    """
    __slots__ = ()

    @property
    def array(self) -> ndarray:                                  # type: ignore[override]
        """The numbers: computed now."""
        settle(self)
        return _array.__get__(self)

    @array.setter
    def array(self, value: ndarray) -> None:
        settle(self)
        _array.__set__(self, value)

    @property
    def node(self) -> Node | None:                               # type: ignore[override]
        """The place in the graph: made now."""
        settle(self)
        return _node.__get__(self)

    @node.setter
    def node(self, value: Node | None) -> None:
        settle(self)
        _node.__set__(self, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the input, which an operation that waits does not change."""
        return _of_this_shape(self).shape

    @property
    def dtype(self) -> np.dtype:
        """That of the input."""
        return _of_this_shape(self).dtype


def _of_this_shape(y: Tensor) -> ndarray:
    """The input's array, or y's own if another thread has settled it just now."""
    later = getattr(y, "later", None)
    return _array.__get__(y if later is None else later[1])


class Watched(Tensor):
    """A tensor whose numbers another one waits for. `later`: a weak reference to that one."""
    __slots__ = ()

    @property
    def array(self) -> ndarray:                                  # type: ignore[override]
        """The numbers; whoever gets them may change them, so who waits for them is settled."""
        _let_go(self)
        return _array.__get__(self)

    @array.setter
    def array(self, value: ndarray) -> None:
        _let_go(self)
        _array.__set__(self, value)


def _let_go(x: Tensor) -> None:
    later = getattr(x, "later", None)
    waiting = later and later()
    if waiting is not None:
        settle(waiting)
        return
    with _lock:                                    # nobody waits any more
        if x.__class__ is Watched and getattr(x, "later", None) is later:
            x.__class__ = Tensor                   # type: ignore[assignment]


def may_wait(x: Tensor) -> bool:
    """Whether x may be an image, and nobody but x itself holds its large, unshared array.

    A matrix is none: the pooling that it would wait for never comes.
    """
    a = x.array
    return (a.ndim > 2 and settings.fuse and a.size >= FEWEST and not shares_memory(a)
            and a.dtype.kind == "f"
            and sys.getrefcount(a) <= _ONE_OWNER and not hasattr(x, "origin"))


def _count_one_owner() -> int:
    x = Tensor.__new__(Tensor)
    x.array = np.zeros(1)
    a = x.array
    return sys.getrefcount(a)


_ONE_OWNER = _count_one_owner()                    # asked: it depends on the version of Python


def wait(op: Any, x: Tensor) -> Tensor:
    """The result of op(x), to be computed when somebody looks at it."""
    if x._requires_grad and x.node is None:
        leaf(x)                                    # while it may still be looked at
    y = cast(Waiting, Tensor.__new__(Waiting))
    y._requires_grad = settings.grad_enabled and x._requires_grad
    y.grad = None
    y.later = (op, x, user_line(), settings.grad_enabled, threading.RLock())
    with _lock:
        if x.__class__ is Tensor:
            x.later = weakref.ref(y)
            x.__class__ = Watched
            return y
    return op.public(x)                            # meanwhile another thread's result waits for x


def settle(y: Tensor) -> None:
    """Computes a tensor that waits; it is an ordinary one from now on.

    Until then its input stays Watched: whoever wants that meanwhile waits for the lock, too.
    """
    later = getattr(y, "later", None)
    if later is None:                              # another thread was faster
        return
    op, x, where, recorded, lock = later
    with lock:
        if y.__class__ is not Waiting:
            return
        before = settings.fuse, settings.grad_enabled
        settings.fuse, settings.grad_enabled = False, recorded
        try:
            result = op.public(_to_read(x))        # if it raises, y waits on
        finally:
            settings.fuse, settings.grad_enabled = before
        if result.node is not None:
            result.node.where = where
        _array.__set__(y, result.array)
        _node.__set__(y, result.node)
        del y.later, x.later
        y.__class__ = x.__class__ = Tensor         # type: ignore[assignment]


def behind(y: Tensor, name: str, fused: Callable[..., Tensor], *args: Any) -> Tensor | None:
    """fused(x, *args) if y waits to be op `name` of x, else None: then go on with y itself."""
    later = getattr(y, "later", None)
    if later is None or y.__class__ is not Waiting:
        return None
    op, x, _, recorded, lock = later
    if op.name != name or (x._requires_grad and recorded != settings.grad_enabled):
        return None
    with lock:
        return fused(_to_read(x), *args) if y.__class__ is Waiting else None


def _to_read(x: Tensor) -> Tensor:
    """The same numbers and place in the graph, for one who changes nothing; x stays Watched."""
    shell = Tensor.__new__(Tensor)
    shell.array, shell.node = _array.__get__(x), x.node
    shell._requires_grad, shell.grad = x._requires_grad, None
    return shell
