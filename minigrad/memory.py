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
lie in blocks of ours: a freed one waits on the shelf of its size for the next result, and the one
freed last goes first, since it may still be in a cache. What is kept of each size is bounded by
what was in use of it at once; what nobody needed for `PATIENCE` results is given back, and
`empty_cache()` gives back all. A result costs 0.7 us here, where np.empty takes 0.15.

    a training step of           faults, ms before       after
    the CNN at batch 1,024           4,316      147          0     113
    the CNN at batch 256             1,682     30.7          0    25.3
    the RNN at 128 x 128             1,000     12.4          0     9.9
    gelu written out, 256 x 1024       480      1.5          0    0.85
    softmax of 256 x 1000              230     0.53          0    0.14

Whoever sets glibc's own variables (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_, or their
GLIBC_TUNABLES) switches its learning off. Other C libraries have other rules.

Not here: scratch of the kernels, which is kept for the next call, too
(kernels/parallel/scratch.py).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from . import tuning

LEAST, PATIENCE = tuning.MEMORY_LEAST, tuning.MEMORY_PATIENCE
LINE = 64                                          # bytes of a cache line
# The largest block that glibc learns from on 64-bit systems (DEFAULT_MMAP_THRESHOLD_MAX), less room
# for what it adds itself.
_LEARNT = (32 << 20) - (1 << 13)
_BYTE = np.dtype(np.uint8)


class Memory(ndarray):
    """Bytes from the start of a cache line on, which results have in turn.

    A class of its own, so that NumPy does not skip the Block between it and a result.
    """
    __slots__ = ()


class Shelf:
    """The free blocks of one size. idle: the fewest that lay here since somebody looked."""
    __slots__ = ("free", "idle")

    def __init__(self) -> None:
        self.free: list[Memory] = []
        self.idle = 0


_shelves: dict[int, Shelf] = {}
_results = 0                                       # how many were made: the clock of PATIENCE

# No lock: what several threads do to a list (append, pop, del) is one atomic step each, and so is
# what a Block does when it goes, which may be at any time. `idle` and the clock need not be exact.


class Block(ndarray):
    """Memory lent to one result: `base` of the array, gone when its last view is."""
    __slots__ = ()

    def __del__(self, shelves: Any = _shelves) -> None:
        if self.base.__class__ is Memory:          # not a view or a copy of a Block
            shelves[self.size].free.append(self.base)


def empty(shape: tuple[int, ...], dtype: np.dtype) -> ndarray:
    """np.empty(shape, dtype), C-contiguous; large ones from memory that was used before.

    Such an array does not own its memory (`base` is a Block), but nobody else sees it either.

    Raises: MemoryError if there is none, after all free blocks were given back; TypeError for
    another byte order. Kernels make their results here, in the dtype of what they were given: so
    none of them runs on numbers that it would read wrongly.
    """
    if not dtype.isnative:
        raise TypeError(f"a kernel was given an array in another byte order, {dtype}; convert it, "
                        f"x.astype('{dtype.newbyteorder('=')}')")
    size = math.prod(shape) * dtype.itemsize
    if size < LEAST:
        return np.empty(shape, dtype)
    step = size.bit_length() - 4                   # eight sizes between two powers of two
    return ndarray(shape, dtype, Block(*_take(-(-size >> step) << step)))


def empty_cache() -> None:
    """Gives the memory that is kept for coming results back to the system, as in torch.cuda."""
    for shelf in list(_shelves.values()):
        shelf.free.clear()
        shelf.idle = 0


def _take(size: int) -> tuple[int, np.dtype, Memory]:
    """What a Block of so many bytes is made of."""
    global _results
    _results += 1
    if _results % PATIENCE == 0:
        _give_back_idle()
    shelf = _shelves.get(size) or _shelves.setdefault(size, Shelf())
    try:
        memory = shelf.free.pop()
    except IndexError:
        return size, _BYTE, _fresh(size)
    if len(shelf.free) < shelf.idle:
        shelf.idle = len(shelf.free)
    return size, _BYTE, memory


def _give_back_idle() -> None:
    """Gives back what nobody has needed since the last time."""
    for shelf in list(_shelves.values()):
        del shelf.free[:shelf.idle]
        shelf.idle = len(shelf.free)


def _fresh(size: int) -> Memory:
    try:
        whole = np.empty(size + LINE, np.uint8)
    except MemoryError:
        empty_cache()
        whole = np.empty(size + LINE, np.uint8)
    return Memory(size, _BYTE, whole, -whole.__array_interface__["data"][0] % LINE)


def let_malloc_keep() -> None:
    """Lets glibc learn that large blocks come and go; takes some 10 us, and no memory."""
    np.empty(_LEARNT, np.uint8)                    # freed at once


let_malloc_keep()
