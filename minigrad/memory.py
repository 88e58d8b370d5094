"""Memory for large results, which the next step of a training loop uses again.

Memory fresh from the system is expensive: its first touch costs a page fault for each 4 KiB
(1.5 us on the machine of the benchmarks: 0.4 ms for a result of 1 MiB, more than what is computed
there), and the C library gives large blocks back to the system as soon as they are free. So a step
of a CNN on 1,024 images took twice the time of four steps on 256. Here a freed block waits for the
next result that fits it:

    empty(shape, dtype)     is np.empty, from a block that was used before if one fits
    empty_cache()           gives all free blocks back to the system

What is kept is bounded by what was in use at once, and a block that nobody took for `PATIENCE`
further results is given back. Blocks begin on a cache line, which np.empty does not promise.

Not here: scratch of the kernels, which they keep themselves or allocate as they go.
"""
from __future__ import annotations

import math
import os
import threading
from collections import deque
from typing import Any

import numpy as np
from numpy import ndarray

LEAST = 1 << 18            # bytes from which a result is taken from here: below, malloc reuses
PATIENCE = 256             # results made until a block that nobody wants is given back
LINE = 64
_SLACK = 1.5               # a block may be larger than the result, by this factor


class Block:
    """The owner of one result's memory: `base` of the array, gone when its last view is."""
    __slots__ = ("memory", "__array_interface__")

    def __init__(self, memory: ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.memory = memory
        first = -(-memory.__array_interface__["data"][0] // LINE) * LINE
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str,
                                    "data": (first, False)}

    def __del__(self, give_back: Any = deque.append) -> None:
        give_back(_returned, self.memory)          # one atomic step: it may run at any time


_lock = threading.RLock()
_returned: deque[ndarray] = deque()                # freed, and not yet looked at
_free: list[tuple[int, ndarray]] = []              # (when it came back, memory)
_results = 0                                       # how many were made: the clock of PATIENCE


def empty(shape: tuple[int, ...], dtype: np.dtype) -> ndarray:
    """np.empty(shape, dtype), C-contiguous; large ones from memory that was used before.

    Such an array does not own its memory (`base` is a Block), but nobody else sees it either.

    Raises: MemoryError if there is none, after all free blocks were given back.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LEAST:
        return np.empty(shape, dtype)
    return np.asarray(Block(_take(size + LINE), shape, dtype))


def empty_cache() -> None:
    """Gives the memory that is kept for coming results back to the system, as in torch.cuda."""
    with _lock:
        _free.clear()
        _returned.clear()


def _take(size: int) -> ndarray:
    """At least `size` bytes."""
    global _results
    with _lock:
        _results += 1
        if _results == 1:
            _let_malloc_keep()
        while _returned:
            _free.append((_results, _returned.popleft()))
        if _results % PATIENCE == 0:
            _free[:] = [entry for entry in _free if _results - entry[0] < PATIENCE]
        best = -1
        for i, (_, memory) in enumerate(_free):
            if size <= memory.size <= _SLACK * size and (
                    best < 0 or memory.size < _free[best][1].size):
                best = i
        if best >= 0:
            return _free.pop(best)[1]
    try:
        return np.empty(size, np.uint8)
    except MemoryError:
        empty_cache()
        return np.empty(size, np.uint8)


def _let_malloc_keep() -> None:
    """glibc raises the size from which it asks the system, up to 32 MiB, to that of the largest
    block that it has seen freed. It does not see ours: NumPy's own temporaries would go on paying.
    """
    np.empty((32 << 20) - (1 << 16), np.uint8)     # made and freed; not touched


def _after_fork_in_child() -> None:
    """Who held the lock is not in the child."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
