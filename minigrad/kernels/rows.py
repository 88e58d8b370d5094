"""Pieces of flat arrays: looked at without cost (`tail`), copied in whole vectors (`copy`),
begun where a cache line begins (`aligned`).

Numba's own `a[i:]` counts a reference, two locked instructions of 20 cycles each, and tests whether
i is negative. Around a tile of 1,200 cycles, five of them took 15 % of the time. And a
loop that LLVM vectorises does its last numbers one by one, all 14 of a row of 14: here the
last vector is masked instead.

Not here: transposing (transpose.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .jit import jit
from .tile import tile_shape


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


LINE = 64  # bytes of a cache line


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


def _compiled_copy() -> Callable[..., Any]:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def masked(typingctx, source, out, count):  # type: ignore[no-untyped-def]
        lanes = tile_shape(str(out.dtype)).lanes
        size = out.dtype.bitwidth // 8
        number = ir.FloatType() if size == 4 else ir.DoubleType()
        vector, mask = ir.VectorType(number, lanes), ir.VectorType(ir.IntType(1), lanes)
        index, i32 = ir.IntType(64), ir.IntType(32)
        indices = ir.VectorType(index, lanes)
        signature = types.void(source, out, types.intp)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            begins = [
                context.make_array(signature.args[i])(context, builder, args[i]).data
                for i in (0, 1)
            ]
            count = args[2]
            pointer = vector.as_pointer()
            name = f"v{lanes}f{8 * size}.p0"
            module = builder.module

            def function(what: str, kind: Any) -> Any:
                return module.globals.get(what) or ir.Function(module, kind, what)

            load = function(
                f"llvm.masked.load.{name}", ir.FunctionType(vector, [pointer, i32, mask, vector])
            )
            store = function(
                f"llvm.masked.store.{name}",
                ir.FunctionType(ir.VoidType(), [vector, pointer, i32, mask]),
            )
            before = builder.block
            loop = builder.append_basic_block("copy.loop")
            after = builder.append_basic_block("copy.after")
            none = builder.icmp_signed("<=", count, ir.Constant(index, 0))
            builder.cbranch(none, after, loop)
            builder.position_at_end(loop)
            i = builder.phi(index)
            i.add_incoming(ir.Constant(index, 0), before)
            left = builder.sub(count, i)
            undefined = ir.Constant(indices, ir.Undefined)
            spread = builder.shuffle_vector(
                builder.insert_element(undefined, left, ir.Constant(i32, 0)),
                undefined,
                ir.Constant(ir.VectorType(i32, lanes), [0] * lanes),
            )
            inside = builder.icmp_signed("<", ir.Constant(indices, list(range(lanes))), spread)
            source, out = (
                builder.bitcast(builder.gep(begin, [i]), pointer) for begin in begins
            )
            align = ir.Constant(i32, size)
            zeros = ir.Constant(vector, [0.0] * lanes)
            builder.call(store, [builder.call(load, [source, align, inside, zeros]),
                                 out, align, inside])
            following = builder.add(i, ir.Constant(index, lanes))
            i.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(source, out, count):  # type: ignore[no-untyped-def]
        masked(source, out, count)

    def in_loops(source, out, count):  # type: ignore[no-untyped-def]
        for i in range(count):
            out[i] = source[i]

    # NEON has no masked loads: LLVM would test each number.
    return in_vectors if tile_shape(np.float64).lanes >= 4 else in_loops


@jit(compiled_as=_compiled_copy, inline=True)
def copy(source, out, count):
    """out[:count] = source[:count]; flat arrays of one dtype that do not overlap."""
    out[:count] = source[:count]
