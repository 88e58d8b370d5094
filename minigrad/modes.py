"""Settings of the calling thread: is the graph recorded, and which dtype do Python floats become.

Each thread has its own; a new thread starts with the defaults.
"""
from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from contextvars import ContextVar, copy_context
from typing import Any

import numpy as np

from .promotion import dtype_named


class _Settings(threading.local):
    """Thread-local state; the class attributes are what a new thread starts with."""
    grad_enabled = True
    fuse = True                                    # see fusion.py and nn/conv.py
    default_dtype = np.dtype(np.float32)


settings = _Settings()


def _numpys_silence() -> tuple[ContextVar, Any]:
    """The context variable that says what NumPy does about a division by zero or an overflow, and
    its value for nothing at all. To set it takes 0.1 us, np.errstate 1, and a step may take 20."""
    with np.errstate(all="ignore"):
        inside = copy_context()
    outside = copy_context()
    changed = [(v, x) for v, x in inside.items() if outside.get(v) is not x]
    return changed[0] if changed else (ContextVar("unused", default=None), None)


NUMPYS_ERRORS, SILENCE = _numpys_silence()


class _GradMode(ContextDecorator):
    """Switches recording for a `with` block or, as a decorator, for each call of a function."""
    mode: bool

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        self.before = []
        return self(function) if callable(function) else self    # `@no_grad` without parentheses

    def __init__(self, function: Callable | None = None) -> None:
        self.before: list[bool]                                  # a stack: one instance may nest

    def __enter__(self) -> None:
        self.before.append(settings.grad_enabled)
        settings.grad_enabled = self.mode

    def __exit__(self, *exc: object) -> None:
        settings.grad_enabled = self.before.pop()

    def _recreate_cm(self) -> Any:
        """For each call of a decorated function its own stack: other threads call it too."""
        return type(self)()

    def __call__(self, function: Any) -> Any:
        """Decorates a function, or a generator function: then for each of its steps."""
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        @functools.wraps(function)
        def steps(*args: Any, **options: Any) -> Iterator:
            generator = function(*args, **options)
            end = object()
            while True:
                with self._recreate_cm():
                    value = next(generator, end)
                if value is end:
                    return
                yield value
        return steps


class no_grad(_GradMode):
    """`with no_grad():` operations record nothing, their results need no gradient."""
    mode = False


class inference_mode(no_grad):
    """The same as no_grad, under torch's newer name."""


class enable_grad(_GradMode):
    """`with enable_grad():` records again inside a `no_grad` block."""
    mode = True


class set_grad_enabled(_GradMode):
    """Context manager, decorator or plain call that switches recording on or off (torch's name)."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.at_call = settings.grad_enabled
        settings.grad_enabled = self.mode

    def __enter__(self) -> None:
        self.before.append(self.at_call)
        settings.grad_enabled = self.mode

    def __call__(self, function: Any) -> Any:
        settings.grad_enabled = self.at_call                     # the call was a decorator's
        return super().__call__(function)

    def _recreate_cm(self) -> Any:
        return set_grad_enabled(self.mode)


def is_grad_enabled() -> bool:
    """Whether operations on this thread are recorded."""
    return settings.grad_enabled


def set_default_dtype(dtype: Any) -> None:
    """The dtype of tensors made from Python floats on this thread: float32 (default) or float64."""
    dtype = dtype_named("set_default_dtype", dtype)
    if dtype.kind != "f":
        raise TypeError(f"set_default_dtype: want a floating dtype such as float32, got {dtype}")
    settings.default_dtype = dtype


def get_default_dtype() -> np.dtype:
    """The dtype of tensors made from Python floats on this thread."""
    return settings.default_dtype
