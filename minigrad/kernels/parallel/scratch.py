"""The scratch arena: memory for what a kernel makes on the way, a place for each thread, kept.

Fresh memory is dear: the system hands it out in pages of 4 KiB, at 0.15 to 1.5 us each. For the
512 KiB and more of an item of winograd.py that is as long as the item takes. So the caller keeps
one array with a place for each thread, and a kernel takes a free place for as long as it runs:

    arena, taken = arena_for(count)                     in Python, before `parallel`
    place = claim(taken)                                in the kernel
    scratch = tail(arena, place * arena.shape[1])
    ...
    release(taken, place)

What an earlier call left there is still there: nothing of it may reach a result.

Not here: who runs kernels (threads.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import tuning
from ...memory import LINE
from ..jit import jit
from ..simd.flat import aligned
from .atomics import tools
from .threads import get_num_threads

_TURNS = 1 << 28  # looks for a free place, some 5 s: after that, chunks that failed never left


class _Kept(threading.local):
    """Each calling thread has an array of its own: several may call at once."""

    def __init__(self) -> None:
        self.array = np.empty(0, np.uint8)


_kept = _Kept()


def arena_for(count: int, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """(arena, taken): (threads, count or a few more), and who is in, for `claim` and `release`.

    Each place begins a cache line.
    """
    threads = get_num_threads()
    taken = np.zeros(threads, np.int64)
    size = -(-count * np.dtype(dtype).itemsize // LINE) * LINE
    array = _kept.array
    if array.size < threads * size:
        array = aligned((threads * size,), np.uint8)
        if size <= tuning.ARENA_KEPT:
            _kept.array = array
    return array[: threads * size].view(dtype).reshape(threads, -1), taken


def _compiled_claim() -> Callable[..., Any]:
    claim = tools().claim

    def claim_within(taken, turns):  # type: ignore[no-untyped-def]
        # Nothing but looks: with a call of the system in here the compiler no longer sees through
        # the kernels around it, and Winograd's took half as long again.
        for _ in range(turns):
            for place in range(taken.size):
                if claim(taken, place):
                    return place
        raise RuntimeError("scratch arena: no place is free; chunks of this kernel have failed")

    return claim_within


@jit(compiled_as=_compiled_claim)
def claim_within(taken, turns):  # type: ignore[no-untyped-def]
    """As `claim`; raises after so many looks."""
    return 0  # without the JIT one thread works at a time


@jit
def claim(taken):  # type: ignore[no-untyped-def]
    """The number of a place that nobody is in.

    With a place for each thread there is one; only if `set_num_threads` came between `arena_for`
    and `parallel` there are too few, and one waits for another to be released.
    """
    return claim_within(taken, _TURNS)


def _compiled_release() -> Callable[..., Any]:
    store = tools().store

    def release(taken, place):  # type: ignore[no-untyped-def]
        store(taken, place, 0)

    return release


@jit(compiled_as=_compiled_release)
def release(taken, place):  # type: ignore[no-untyped-def]
    """Makes the place free for another."""
