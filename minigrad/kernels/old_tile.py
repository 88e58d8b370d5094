"""The register tile: the innermost loop of every product, at the speed of the hardware.

A tile of C, `rows` x `cols` numbers, stays in vector registers while k runs:

    C[r, j] += sum over k of A[k, r] * B[k, j]        0 <= r < rows, 0 <= j < cols

Each step loads cols / lanes vectors of B, broadcasts rows numbers of A and does rows * cols / lanes
fused multiply-adds; nothing else. Loops left to the compiler reach 40 % of a core's peak here (LLVM
prefers half-width vectors on AVX-512, and keeps too few sums); written as vector instructions,
the loop reaches all of it. So this one loop is emitted through numba.extending.intrinsic.

The rows of B need not be evenly spaced: row k starts at b[b0 + off[k]]. A product gives
off[k] = k * cols (a packed panel); a convolution gives the place of tap k in the padded image.

Not here: packing, edges, threads. See linear.py for the use of it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .jit import jit


class TileShape(NamedTuple):
    """rows x cols numbers of C; `lanes` numbers a vector, 0 for plain loops; cols % lanes == 0."""

    rows: int
    cols: int
    lanes: int


def _cpu_features() -> frozenset[str]:
    """What the machine code may use: the host's features, unless Numba was told otherwise."""
    told = os.environ.get("NUMBA_CPU_FEATURES")
    if told is None:
        if os.environ.get("NUMBA_CPU_NAME"):
            return frozenset()  # code for some other CPU: plain loops are always right
        try:
            import llvmlite.binding as llvm  # type: ignore[import-untyped]

            told = llvm.get_host_cpu_features().flatten()
        except (ImportError, RuntimeError):
            return frozenset()
    return frozenset(f[1:] for f in told.split(",") if f.startswith("+"))


def choose_shape(features: frozenset[str], itemsize: int) -> TileShape:
    """The largest tile that fits the registers, with room for `cols` of B and a broadcast of A."""
    if "avx512f" in features:  # 32 registers of 64 bytes: 8 x 3 sums + 3 + 1
        rows, vectors, width = 8, 3, 64
    elif {"avx2", "fma"} <= features:  # 16 of 32 bytes: 6 x 2 sums + 2 + 1
        rows, vectors, width = 6, 2, 32
    elif "neon" in features:  # 32 of 16 bytes: 8 x 3 sums + 3 + 2
        rows, vectors, width = 8, 3, 16
    else:  # without a fused multiply-add LLVM would call a function for each: plain loops
        return TileShape(4, 64 // itemsize, 0)
    lanes = width // itemsize
    return TileShape(rows, vectors * lanes, lanes)


@functools.cache
def tile_shape(dtype: Any) -> TileShape:
    """The shape that `tile` has for this dtype on this machine."""
    return choose_shape(_cpu_features(), np.dtype(dtype).itemsize)


def _compiled_tile() -> Callable[..., Any]:
    """What Numba compiles in place of `tile.plain`: the same sum, in vector instructions."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic, overload

    index = ir.IntType(64)

    @intrinsic
    def fused(typingctx, a, a0, b, b0, off, kc, c, c0, ldc):  # type: ignore[no-untyped-def]
        shape = tile_shape(str(c.dtype))
        number = ir.FloatType() if c.dtype == types.float32 else ir.DoubleType()
        size = c.dtype.bitwidth // 8
        vector = ir.VectorType(number, shape.lanes)
        per_row = shape.cols // shape.lanes
        n = types.intp
        signature = types.void(a, n, b, n, off, n, c, n, n)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            def start_of(i: int) -> Any:
                return context.make_array(signature.args[i])(context, builder, args[i]).data

            def at(pointer: Any, i: Any) -> Any:
                return builder.gep(pointer, [i])

            def const(i: int) -> Any:
                return ir.Constant(index, i)

            def as_vector(pointer: Any) -> Any:
                return builder.bitcast(pointer, vector.as_pointer())

            kc, ldc = args[5], args[8]
            a_start = at(start_of(0), args[1])
            b_start = at(start_of(2), args[3])
            offsets = start_of(4)
            c_start = at(start_of(6), args[7])
            name = f"llvm.fma.v{shape.lanes}f{8 * size}"
            fma = builder.module.globals.get(name) or ir.Function(
                builder.module, ir.FunctionType(vector, [vector] * 3), name
            )
            cells = [
                as_vector(at(c_start, builder.add(builder.mul(ldc, const(r)), const(v))))
                for r in range(shape.rows)
                for v in range(0, shape.cols, shape.lanes)
            ]
            initial = [builder.load(cell, align=size) for cell in cells]

            before = builder.block
            loop = builder.append_basic_block("tile.loop")
            after = builder.append_basic_block("tile.after")
            builder.branch(loop)  # kc >= 1: the caller of `fused` has seen to it
            builder.position_at_end(loop)
            k = builder.phi(index)
            k.add_incoming(const(0), before)
            sums = [builder.phi(vector) for _ in cells]
            for s, value in zip(sums, initial):
                s.add_incoming(value, before)
            b_row = at(b_start, builder.load(at(offsets, k)))
            b_vectors = [
                builder.load(as_vector(at(b_row, const(v))), align=size)
                for v in range(0, shape.cols, shape.lanes)
            ]
            a_row = at(a_start, builder.mul(k, const(shape.rows)))
            undefined = ir.Constant(vector, ir.Undefined)
            lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), shape.lanes), [0] * shape.lanes)
            updated = []
            for r in range(shape.rows):
                one = builder.load(at(a_row, const(r)), align=size)
                one = builder.insert_element(undefined, one, ir.Constant(ir.IntType(32), 0))
                spread = builder.shuffle_vector(one, undefined, lane_zero)
                for v in range(per_row):
                    total = sums[r * per_row + v]
                    updated.append(builder.call(fma, [spread, b_vectors[v], total]))
            following = builder.add(k, const(1))
            k.add_incoming(following, loop)
            for s, value in zip(sums, updated):
                s.add_incoming(value, loop)
            builder.cbranch(builder.icmp_signed("<", following, kc), loop, after)
            builder.position_at_end(after)
            for cell, value in zip(cells, updated):
                builder.store(value, cell, align=size)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(a, a0, b, b0, off, kc, c, c0, ldc):  # type: ignore[no-untyped-def]
        if kc > 0:
            fused(a, a0, b, b0, off, kc, c, c0, ldc)

    def in_loops(a, a0, b, b0, off, kc, c, c0, ldc):  # type: ignore[no-untyped-def]
        rows, cols = shape_of(c)
        for r in range(rows):
            row = c[c0 + r * ldc :]
            for k in range(kc):
                s = a[a0 + k * rows + r]
                other = b[b0 + off[k] :]
                for j in range(cols):
                    row[j] += s * other[j]

    def shape_of(c):  # type: ignore[no-untyped-def]
        raise NotImplementedError  # compiled code alone calls it, through the overload below

    @overload(shape_of, inline="always")
    def _shape_of(c):  # type: ignore[no-untyped-def]
        rows, cols, _ = tile_shape(str(c.dtype))
        return lambda c: (rows, cols)

    return in_vectors if tile_shape(np.float32).lanes else in_loops


@jit(compiled_as=_compiled_tile)
def tile(
    a: np.ndarray,
    a0: int,
    b: np.ndarray,
    b0: int,
    off: np.ndarray,
    kc: int,
    c: np.ndarray,
    c0: int,
    ldc: int,
) -> None:
    """c[c0 + r*ldc + j] += sum over k < kc of a[a0 + k*rows + r] * b[b0 + off[k] + j].

    a, b, c: flat arrays of one dtype, float32 or float64; off: int64 (kc,). All
    `rows, cols, _ = tile_shape(c.dtype)` numbers of C must exist, and b must reach cols numbers
    past its last offset: edges are the caller's business. c may not overlap a or b.
    """
    rows, cols, _ = tile_shape(c.dtype)
    for r in range(rows):
        for k in range(kc):
            for j in range(cols):
                c[c0 + r * ldc + j] += a[a0 + k * rows + r] * b[b0 + off[k] + j]
