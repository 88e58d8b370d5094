"""When and where: the engine's clock, the user's line, and in-place writes that come too early.

backward() needs values that the forward pass saved. Whoever writes into the array of a Tensor
reports it here, so that backward() can refuse to compute with a value that was overwritten, and
name the line.
"""
from __future__ import annotations

import itertools
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from types import CodeType, FrameType

from numpy import ndarray

Where = tuple[CodeType, int]                       # a place in the user's code, see user_line()

PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
now = itertools.count(1).__next__                 # one clock for births of nodes and for writes


# Files that are known not to be ours, and to be ours: a look into a set costs half of startswith.
OUTSIDE: set[str] = set()
INSIDE: set[str] = set()


def user_line() -> Where | None:
    """The innermost frame outside minigrad as (code, instruction): 0.15 us, no frame is kept."""
    return user_place(sys._getframe(2))


def user_place(frame: FrameType | None) -> Where | None:
    """The same, from this frame on."""
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if name not in INSIDE:
            if name in OUTSIDE or not name.startswith(PACKAGE):
                OUTSIDE.add(name)
                return code, frame.f_lasti
            INSIDE.add(name)
        frame = frame.f_back
    return None


def describe(where: Where | None) -> str:
    """'train.py:12 in step', decoded only when somebody asks."""
    if where is None:
        return "an unknown line"
    code, instruction = where
    line = next((n for start, end, n in code.co_lines() if start <= instruction < end),
                code.co_firstlineno)
    return f"{code.co_filename}:{line} in {code.co_name}"


class _Writes:
    """In-place writes, so that backward() can tell when a value that it needs was overwritten.

    Nodes and writes are numbered by one clock. A node is in danger only if `last` is later than its
    birth, so a training loop, which writes after backward, pays one integer comparison a node.
    """

    def __init__(self) -> None:
        self.last = 0
        self.log: dict[int, tuple[weakref.ref, int, Where | None]] = {}

    def record(self, arrays: Iterable[ndarray], where: Where | None) -> None:
        """Notes that these arrays were (or are about to be) written."""
        self.last = time = now()
        log = self.log
        for array in arrays:
            owner = array if array.base is None else memory_owner(array)
            key = id(owner)
            entry = log.get(key)
            # The weak reference's callback removes the entry before another array can get its id.
            ref = weakref.ref(owner, self._forget(key)) if entry is None else entry[0]
            log[key] = ref, time, where

    def _forget(self, key: int) -> Callable:
        return lambda _: self.log.pop(key, None)

    def after(self, birth: int, array: ndarray) -> tuple[Where | None] | None:
        """(place,) of the last write into the array's memory if that was after `birth`, or None."""
        entry = self.log.get(id(memory_owner(array)))
        return (entry[2],) if entry is not None and entry[1] > birth else None


writes = _Writes()


def memory_owner(array: ndarray) -> ndarray:
    """The array whose memory this one is a view of (itself if it is no view)."""
    while isinstance(array.base, ndarray):
        array = array.base
    return array


def record_write(*arrays: ndarray) -> None:
    """To be called by whoever writes into the array of a Tensor (optimisers, initialisation)."""
    writes.record(arrays, user_line())
