"""Pieces of flat arrays: looked at without cost (`tail`), copied in whole vectors (`copy_rows`),
begun where a cache line begins (`aligned`).

Numba's own `a[i:]` counts a reference, two locked instructions of 20 cycles each, and tests whether
i is negative. Around a tile of 1,200 cycles, five of them took 15 % of the time. And a
loop that LLVM vectorises does its last numbers one by one, all 14 of a row of 14: here the
last vector of each row is masked instead, and the mask is made once for all rows.

Not here: rows with a step (strided.py), transposing (transpose.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...memory import LINE
from ..jit import jit
from .masked import Masked, masked_lanes


def _compiled_tail() -> Callable[..., Any]:
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def borrowed(typingctx, array, first):  # type: ignore[no-untyped-def]
        signature = types.Array(array.dtype, 1, "C")(array, types.intp)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            source = context.make_array(signature.args[0])(context, builder, args[0])
            view = context.make_array(signature.return_type)(context, builder)
            context.populate_array(
                view,
                data=builder.gep(source.data, [args[1]]),
                shape=[builder.sub(source.nitems, args[1])],
                strides=[source.itemsize],
                itemsize=source.itemsize,
                meminfo=None,  # nobody counts this view: the array itself must outlive it
            )
            return view._getvalue()

        return signature, codegen

    def unchecked(array, first):  # type: ignore[no-untyped-def]
        return borrowed(array, first)

    return unchecked


@jit(compiled_as=_compiled_tail, inline=True)
def tail(array, first):
    """The numbers of a C-contiguous array from the first-th on, flat; first must not be negative.

    A borrowed view: the array must be used again later (in a loop: in each turn), or Numba frees it
    after this line, as the last that mentions it.
    """
    return array.reshape(-1)[first:]


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An empty array whose first number begins a cache line: for what a tile reads as vectors.

    A vector of 64 bytes that straddles two lines is two loads: the tile then runs at 92 %.
    """
    count = math.prod(shape)
    whole = np.empty(count + LINE // np.dtype(dtype).itemsize, dtype)
    first = -whole.__array_interface__["data"][0] % LINE // whole.itemsize
    return whole[first : first + count].reshape(shape)


@jit(inline=True)
def to_line(array):
    """How many numbers of an array come before the first that begins a cache line."""
    return (-np.int64(array.ctypes.data) % 64) // array.itemsize


def compiled_move(step_in: int, step_out: int) -> Callable[..., Any]:
    """out[r * out_pitch + i * step_out] = source[r * pitch + i * step_in], in whole vectors.

    Steps: 1 and 1, 2 and 1, 1 and 2. Two vectors hold 2 * lanes numbers, and one shuffle picks the
    even ones; the other way round a vector is spread over the even lanes of two.
    """
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def moved(typingctx, source, pitch, out, out_pitch, rows, count):  # type: ignore[no-untyped-def]
        n = types.intp
        signature = types.void(source, n, out, n, n, n)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            v = Masked(context, builder, signature, args, out.dtype)
            lanes = list(range(v.lanes))
            even = [lane if lane % 2 == 0 else -1 for lane in lanes]  # -1: never below a limit
            halves = even, [e + v.lanes if e >= 0 else -1 for e in even]

            def move(source: Any, out: Any, i: Any, left: Any) -> None:
                """The vector from i on, of which `left` numbers (constant or not) exist."""
                inside = v.below(v.numbers(lanes), left)
                twice, left_twice = builder.add(i, i), builder.add(left, left)
                at = [v.const(0), v.const(v.lanes)]
                if step_in == 2:
                    parts = [
                        v.load(v.at(source, builder.add(twice, begin)),
                               v.below(v.numbers(half), left_twice))
                        for begin, half in zip(at, halves)
                    ]
                    value = v.shuffle(*parts, [2 * lane for lane in lanes])
                else:
                    value = v.load(v.at(source, i), inside)
                if step_out == 1:
                    v.store(value, v.at(out, i), inside)
                    return
                for begin, half in zip(at, halves):
                    middle = v.lanes // 2 if half is halves[1] else 0
                    spread = v.shuffle(value, value, [middle + lane // 2 for lane in lanes])
                    v.store(spread, v.at(out, builder.add(twice, begin)),
                            v.below(v.numbers(half), left_twice))

            def loop(step: int, last: Any, body: Callable[[Any], None]) -> None:
                """body(i) for i = 0, step, ... < last."""
                before = builder.block
                inner, after = (builder.append_basic_block(f"move.{x}") for x in ("loop", "after"))
                builder.cbranch(builder.icmp_signed("<", v.const(0), last), inner, after)
                builder.position_at_end(inner)
                i = builder.phi(v.index)
                i.add_incoming(v.const(0), before)
                body(i)
                following = builder.add(i, v.const(step))
                i.add_incoming(following, builder.block)
                builder.cbranch(builder.icmp_signed("<", following, last), inner, after)
                builder.position_at_end(after)

            first, to = v.data(0), v.data(2)
            rows, count = args[4], args[5]
            # The last vector holds 1 to `lanes` numbers; without numbers there is no row, either.
            rows = builder.select(builder.icmp_signed(">", count, v.const(0)), rows, v.const(0))
            whole = builder.and_(builder.sub(count, v.const(1)), v.const(-v.lanes))
            left = builder.sub(count, whole)

            def row(r: Any) -> None:
                begin = v.at(first, builder.mul(r, args[1]))
                end = v.at(to, builder.mul(r, args[3]))
                loop(v.lanes, whole, lambda i: move(begin, end, i, v.const(v.lanes)))
                move(begin, end, whole, left)

            loop(1, rows, row)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(source, pitch, out, out_pitch, rows, count):  # type: ignore[no-untyped-def]
        moved(source, pitch, out, out_pitch, rows, count)

    def in_loops(source, pitch, out, out_pitch, rows, count):  # type: ignore[no-untyped-def]
        for r in range(rows):
            begin, end = tail(source, r * pitch), tail(out, r * out_pitch)
            for i in range(count):
                end[i * step_out] = begin[i * step_in]

    return in_vectors if masked_lanes(np.float32) else in_loops


@jit(compiled_as=functools.partial(compiled_move, 1, 1), inline=True)
def copy_rows(source, pitch, out, out_pitch, rows, count):
    """out[r * out_pitch + i] = source[r * pitch + i] for r < rows, i < count. Flat arrays of one
    dtype; what is written may not overlap what is read."""
    for r in range(rows):
        out[r * out_pitch : r * out_pitch + count] = source[r * pitch : r * pitch + count]


@jit(inline=True)
def copy(source, out, count):
    """out[:count] = source[:count]; flat arrays of one dtype that do not overlap."""
    copy_rows(source, 0, out, 0, 1, count)


@jit(inline=True)
def flush(some, wide, count):
    """wide[:count] += some[:count], and some becomes 0: short sums go into longer ones.

    wide: float64, so that a long chain of sums in some's own precision does not lose digits.
    """
    for i in range(count):
        wide[i] += some[i]
        some[i] = 0
