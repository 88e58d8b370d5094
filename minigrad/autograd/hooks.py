"""Hooks: functions of the user's that see a gradient when it is complete, and may change it.

`x.register_hook(f)` hangs f on the node of x, where the gradient of x arrives; `x.retain_grad()`
hangs a `Keep` there. The walk (`engine.py`) calls `call_hooks` for a node that has any.
"""
from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .accumulate import TWO_CALLERS, own
from ..face import ArrayFace

if TYPE_CHECKING:
    from .engine import Node, Tensor


class HookHandle:
    """Returned by register_hook: remove() takes the hook away again."""

    def __init__(self, node: Node, hook: Callable) -> None:
        node.watch()
        self.node, self.hook, self.removed = node, hook, False
        # What is kept is what the other hooks made of the gradient.
        node.hooks = sorted([*(node.hooks or ()), hook], key=lambda h: type(h) is Keep)

    def remove(self) -> None:
        """Removes the hook; a second call does nothing."""
        hooks = list(self.node.hooks or ())
        if self.hook in hooks and not self.removed:              # it may be registered twice
            hooks.remove(self.hook)
            self.removed, self.node.hooks = True, hooks or None


class Keep:
    """The hook of retain_grad(). The node must not keep its own result alive: it is held weakly."""
    __slots__ = ("owner",)

    def __init__(self, owner: Tensor) -> None:
        self.owner = weakref.ref(owner)

    def __call__(self, g: Tensor) -> None:
        tensor = self.owner()
        if tensor is not None:
            g = g.clone()
            tensor.grad = g if tensor.grad is None else tensor.grad + g


def keep_gradient(tensor: Tensor) -> None:
    """Keeps the gradient of a tensor that is no leaf; once, however often it is asked for."""
    node = tensor.grad_fn
    if node is not None and not any(type(h) is Keep for h in node.hooks or ()):
        HookHandle(node, Keep(tensor))


def move_keep(old: Node, tensor: Tensor) -> None:
    """The tensor has another node than `old` now: if its gradient was to be kept, it still is."""
    others = [h for h in old.hooks or () if type(h) is not Keep]
    if len(others) < len(old.hooks or ()):
        old.hooks = others or None
        keep_gradient(tensor)


def call_hooks(node: Node, g: Any, as_tensor: Callable[[Any], Tensor]) -> Any:
    """What the hooks of a node make of its gradient.

    Each gets a Tensor with memory of its own, which it may keep or write into. as_tensor makes one
    of an array, or of what a hook returns: this file lies below the class.

    Raises: ValueError if a hook returns another shape or dtype.
    """
    plain = not isinstance(g, ArrayFace)           # an array, not a Tensor
    for hook in node.hooks or ():
        if type(hook) is not Keep:                 # which takes a copy
            g = own(g, TWO_CALLERS)
        new = hook(as_tensor(g))
        if new is not None:
            new = as_tensor(new)
            if new.shape != node.shape or new.dtype != node.dtype:
                raise ValueError(f"hook: the gradient is {node.dtype} of shape {node.shape}, the "
                                 f"hook returned {new.dtype} of shape {new.shape}")
            g = new.array if plain else new
    return g
