"""Memory in which a kernel keeps what it makes on the way: a place for each thread, kept for later.

Fresh memory is dear: the system hands it out in pages of 4 KiB, at 0.15 to 1.5 us each. For the
300 KiB of an item of winograd.py that is as long as the item takes. So the caller keeps one array
with a place for each thread, and a kernel takes a free place for as long as it runs:

    room, taken = room_for(count)                       in Python, before `parallel`
    place = enter(taken)                                in the kernel
    scratch = tail(room, place * room.shape[1])
    ...
    leave(taken, place)

What an earlier call left there is still there: nothing of it may reach a result.

Not here: who runs kernels (threads.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .jit import jit
from .rows import LINE, aligned
from .threads import get_num_threads

KEPT = 1 << 22  # bytes of a place that are kept
_TURNS = 1 << 20  # looks for a free place; there is one at the first, unless a chunk never left


class _Kept(threading.local):
    """Each calling thread has an array of its own: several may call at once."""

    def __init__(self) -> None:
        self.array = np.empty(0, np.uint8)


_kept = _Kept()


def room_for(count: int, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """(room, taken): (threads, count or a few more), and who is in, for `enter` and `leave`.

    Each place begins a cache line.
    """
    threads = get_num_threads()
    taken = np.zeros(threads, np.int64)
    size = -(-count * np.dtype(dtype).itemsize // LINE) * LINE
    array = _kept.array
    if array.size < threads * size:
        array = aligned((threads * size,), np.uint8)
        if size <= KEPT:
            _kept.array = array
    return array[: threads * size].view(dtype).reshape(threads, -1), taken


def _tools() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Atomic words, which Numba does not offer by itself."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    i64 = ir.IntType(64)

    def word(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> Any:
        data = context.make_array(kind)(context, builder, array).data
        return builder.gep(data, [i])

    @intrinsic
    def claim(typingctx, taken, i):  # type: ignore[no-untyped-def]
        """taken[i] = 1 if it is 0; whether it was."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            at = word(context, builder, signature.args[0], *args)
            free, mine = ir.Constant(i64, 0), ir.Constant(i64, 1)
            pair = builder.cmpxchg(at, free, mine, "acq_rel", "monotonic")
            return builder.extract_value(pair, 1)

        return types.boolean(taken, types.intp), codegen

    @intrinsic
    def release(typingctx, taken, i):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            at = word(context, builder, signature.args[0], *args)
            builder.store_atomic(ir.Constant(i64, 0), at, "release", 8)
            return context.get_dummy_value()

        return types.void(taken, types.intp), codegen

    return claim, release


def _compiled_enter() -> Callable[..., Any]:
    claim, _ = _tools()

    def enter(taken):  # type: ignore[no-untyped-def]
        for _ in range(_TURNS):
            for place in range(taken.size):
                if claim(taken, place):
                    return place
        raise RuntimeError("room: no place is free, since chunks of this kernel have failed")

    return enter


@jit(compiled_as=_compiled_enter)
def enter(taken):  # type: ignore[no-untyped-def]
    """The number of a place that nobody is in. With a place for each thread there is one."""
    return 0  # without the JIT one thread works at a time


def _compiled_leave() -> Callable[..., Any]:
    _, release = _tools()

    def leave(taken, place):  # type: ignore[no-untyped-def]
        release(taken, place)

    return leave


@jit(compiled_as=_compiled_leave)
def leave(taken, place):  # type: ignore[no-untyped-def]
    """Makes the place free for another."""
