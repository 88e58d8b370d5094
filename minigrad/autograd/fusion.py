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
    y.register_hook(h)  also after the pooling: what went past y is led through it, see Passed

Both are subclasses of Tensor whose `array` is a property, and become Tensor itself once they are
settled: tensors that do not wait pay nothing for it.

Not here: which operations wait (`waits=True` in ops/) or fuse (they call `behind`); the layers that
nn.Sequential runs as one (`conv_relu_pool` in nn/conv.py).
"""
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy import ndarray

from .accumulate import held_by_tensor_alone, shares_memory
from .engine import Node, Tensor, leaf, wrap
from .. import tuning
from ..modes import settings
from .writes import describe, now, user_line, writes

#: Elements from which a result may wait.
FEWEST = tuning.FUSION_LEAST

_array, _node = Tensor.__dict__["array"], Tensor.__dict__["node"]     # the slots themselves
_lock = threading.Lock()                           # around looking at a class and changing it


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Plan:
    """What a tensor that waits will be: op(x), recorded or not, called at a line of the user's.

    birth: the number of its node. lock: of whoever computes it. by: see Passed.
    """
    __slots__ = ("op", "x", "where", "recorded", "birth", "lock", "by")

    def __init__(self, op: Any, x: Tensor) -> None:
        self.op, self.x, self.where, self.recorded = op, x, user_line(), settings.grad_enabled
        self.birth, self.lock = now(), threading.RLock()
        self.by: list[tuple[Node, Any, tuple]] = []


class Waiting(Tensor):
    """A tensor that is not computed yet.

    later: the Plan of what it will be, until the numbers are there.
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


class Passed(Node):
    """The node of a result that fused operations went past: they are linked to its input.

    The sum of the gradients is the same, and cheaper. But who looks at the gradient of the result
    itself (a hook, retain_grad(), grad()) is to see all of it: from then on those operations are
    in the graph what they are without fusion.

    value: the result. by: [(node, op, arguments)]: node is that of a fused operation, and would be
    that of op.public(result, *arguments).
    """
    __slots__ = ("value", "by")
    value: ndarray
    by: list[tuple[Node, Any, tuple]]

    def watch(self) -> None:
        """Leads the operations that went past through this node.

        Raises: RuntimeError if the result was overwritten since.
        """
        while self.by:
            node, op, arguments = self.by[-1]      # taken away when it is led: who asks again after
            if node.saved is None:                 # an error shall get the error again
                node.inputs = (self,)              # freed: who goes this way shall hear of it
                self.by.pop()
                continue
            written = writes.after(node.birth, self.value)
            if written is not None:
                raise RuntimeError(
                    f"{self.name} ({describe(self.where)}): '{node.name}' ({describe(node.where)}) "
                    "was computed from this result, and its gradient is asked for, but the result "
                    f"was overwritten in place at {describe(written[0])}. Write into a copy "
                    "(x.clone()), or ask before")
            alone = _alone(op, wrap(self.value, self), arguments, recorded=True).node
            assert alone is not None
            node.op, node.inputs, node.saved = alone.op, alone.inputs, alone.saved
            self.by.pop()


def _alone(op: Any, x: Tensor, arguments: tuple, recorded: bool) -> Tensor:
    """op(x, *arguments) without fusion, recorded or not."""
    before = settings.fuse, settings.grad_enabled
    settings.fuse, settings.grad_enabled = False, recorded
    try:
        return op.public(x, *arguments)
    finally:
        settings.fuse, settings.grad_enabled = before


def _of_this_shape(y: Tensor) -> ndarray:
    """The input's array, or y's own if another thread has settled it just now."""
    later = getattr(y, "later", None)
    return _array.__get__(y if later is None else later.x)


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
            and held_by_tensor_alone(a) and not hasattr(x, "origin"))


def wait(op: Any, x: Tensor) -> Tensor:
    """The result of op(x), to be computed when somebody looks at it."""
    if x._requires_grad and x.node is None:
        leaf(x)                                    # while it may still be looked at
    y = cast(Waiting, Tensor.__new__(Waiting))
    y._requires_grad = settings.grad_enabled and x._requires_grad
    y.grad = None
    y.later = Plan(op, x)
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
    x = later.x
    with later.lock:
        if y.__class__ is not Waiting:
            return
        result = _alone(later.op, _to_read(x), (), later.recorded)       # if it raises, y waits on
        node = result.node
        if node is not None:
            if later.by:
                inputs, saved = node.inputs, node.saved
                node = Passed().fill(node.op, inputs, saved, node.shape, node.dtype, None)
                node.value, node.by = result.array, later.by
            # As if it had been computed at once: also older than what was made of it meanwhile.
            node.birth, node.where = later.birth, later.where
        _array.__set__(y, result.array)
        _node.__set__(y, node)
        del y.later, x.later
        y.__class__ = x.__class__ = Tensor         # type: ignore[assignment]


def behind(y: Tensor, name: str, fused: Callable[..., Tensor], alone: Any, *args: Any
           ) -> Tensor | None:
    """fused(x, *args) if y waits to be op `name` of x, else None: then go on with y itself.

    alone: the op for which alone(y, *args) is the same.
    """
    later = getattr(y, "later", None)
    if later is None or y.__class__ is not Waiting:
        return None
    x = later.x
    if later.op.name != name or (x._requires_grad and later.recorded != settings.grad_enabled):
        return None
    with later.lock:
        if y.__class__ is not Waiting:
            return None
        result = fused(_to_read(x), *args)
        if result.node is not None:
            later.by.append((result.node, alone.op, args))
        return result


def _to_read(x: Tensor) -> Tensor:
    """The same numbers and place in the graph, for one who changes nothing; x stays Watched."""
    shell = Tensor.__new__(Tensor)
    shell.array, shell.node = _array.__get__(x), x.node
    shell._requires_grad, shell.grad = x._requires_grad, None
    return shell
