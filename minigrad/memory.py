"""Memory for results, which the next step of a training loop uses again.

Every operation returns a new array, and memory fresh from the system is expensive: its first touch
costs a page fault for each 4 KiB (1.5 us on the machine of the benchmarks: 0.4 ms for a result of
1 MiB, where a product of that size takes 0.02). Two remedies, one for everybody's arrays and one
for the largest:

`let_malloc_keep()`, run at import. glibc asks the system for each block above a threshold, and
gives it back when it is freed; but it learns: whenever a block of up to 32 MiB is freed, blocks of
that size come from its own heap from then on, which it leaves alone until twice as much lies free.
So a program that has once freed an array of 32 MiB runs at full speed, and one whose arrays have
1 MiB each does not: an accident of its history. We free such a block, of which no page was touched.

`empty(shape, dtype)`, np.empty for the results of our kernels. Blocks above 32 MiB would go back to
the system all the same, so that a step of a CNN on 1,024 images took twice the time of four steps
on 256; and no block of malloc's begins on a cache line, which costs kernels 10 %. So large results
lie in blocks of ours: a freed one waits for the next result that fits it. What is kept is bounded
by what was in use at once; a block that nobody took for `PATIENCE` further results is given back,
and `empty_cache()` gives back all.

    a training step of           faults, ms before       after
    the CNN at batch 1,024           4,316      147          0     113
    the CNN at batch 256             1,682     30.7          0    25.3
    the RNN at 128 x 128             1,000     12.4          0     9.9
    gelu written out, 256 x 1024       480      1.5          0    0.85
    softmax of 256 x 1000              230     0.53          0    0.14

Whoever sets glibc's own variables (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_, or their
GLIBC_TUNABLES) switches its learning off. Other C libraries have other rules.

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
# The largest block that glibc learns from on 64-bit systems (DEFAULT_MMAP_THRESHOLD_MAX), less room
# for what it adds itself.
_LEARNT = (32 << 20) - (1 << 13)
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
        while _returned:
            _free.append((_results, _returned.popleft()))
        if _results % PATIENCE == 0:
            _free[:] = [entry for entry in _free if _results - entry[0] < PATIENCE]
        best = -1                                  # of equal ones the last: it may be in a cache
        for i, (_, memory) in enumerate(_free):
            if size <= memory.size <= _SLACK * size and (
                    best < 0 or memory.size <= _free[best][1].size):
                best = i
        if best >= 0:
            return _free.pop(best)[1]
    try:
        return np.empty(size, np.uint8)
    except MemoryError:
        empty_cache()
        return np.empty(size, np.uint8)


def _after_fork_in_child() -> None:
    """Who held the lock is not in the child."""
    global _lock
    _lock = threading.RLock()


def let_malloc_keep() -> None:
    """Lets glibc learn that large blocks come and go; takes some 10 us, and no memory."""
    np.empty(_LEARNT, np.uint8)                    # freed at once


let_malloc_keep()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
