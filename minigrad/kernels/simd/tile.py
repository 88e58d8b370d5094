"""The register tile: the innermost loop of every product, at the speed of the hardware.

A tile of C, `rows` x `cols` numbers, stays in vector registers while k runs:

    C[r, j] = start[r, j] + sum over k of A[r, k] * B[k, j]        0 <= r < rows, 0 <= j < cols

Each step loads cols / lanes vectors of B, broadcasts rows numbers of A and does rows * cols / lanes
fused multiply-adds; nothing else. Loops left to the compiler reach 40 % of a core's peak here (LLVM
prefers half-width vectors on AVX-512, and keeps too few sums); written as vector instructions,
the loop reaches all of it. So this one loop is emitted through numba.extending.intrinsic.

The operands are read where they lie, through tables of offsets:

    A[r, k] = a[row[r] + ka[k]]        B[k, j] = b[kb[k] + j]

A matrix has row[r] = r * pitch and ka[k] = k, its transpose the two exchanged; an image has the
places of the outputs in `row` and those of the taps in `ka`. So nothing needs to be copied before
it can be multiplied, but for B where its j are not neighbours. The tables cost nothing:
up to ten rows have their addresses in registers (14 rows, which do not, run at 60 %).

Two steps of k make a turn of the loop, since counting and jumping compete with the multiply-adds:
one step a turn runs at 94 % of two.

Measured on one core, float32, AVX-512, operands in the first-level cache, GFLOP/s of 192 (at the
clock that is promised; it may run faster): 8 x 2 vectors 234, 6 x 4 235, 8 x 1 197, 1 x 8 110.
8 x 2 is the rule, as 32 columns divide the usual numbers of channels. Where vectors of B straddle
cache lines, 8 x 2 loses 7 % and 8 x 3 4 % (165 to 153 and 172 to 165, on another day).

Not here: what the machine has (registers.py), packing, edges, threads. See
matmul/product.py for the simplest use of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..jit import Kernel, jit
from .registers import cpu_features, registers


class TileShape(NamedTuple):
    """rows x cols numbers of C; `lanes` numbers a vector, 0 for plain loops; cols % lanes == 0."""

    rows: int
    cols: int
    lanes: int


def choose_shape(features: frozenset[str], kind: str, itemsize: int) -> TileShape:
    """The shape of a tile with these features; kind: wide, broad, long, narrow or single."""
    found = registers(features)
    lanes = found.bytes // itemsize if found else 0
    rows, vectors = (found.rows, found.vectors) if found else (4, 2)
    if kind == "narrow":
        vectors = 1
    elif kind == "broad" and rows * vectors == 16 and found is not None and found.bytes > 32:
        rows, vectors = 6, 4
    elif kind == "long" and rows * vectors == 16 and found is not None and found.bytes > 32:
        vectors = 3
    elif kind == "single":
        rows, vectors = 1, 8 if found is None or found.bytes > 32 else 6
    return TileShape(rows, vectors * (lanes or 32 // itemsize), lanes)


@functools.cache
def tile_shape(dtype: Any, kind: str = "wide") -> TileShape:
    """The shape that the tile of this kind has for this dtype on this machine."""
    return choose_shape(cpu_features(), kind, np.dtype(dtype).itemsize)


def _compiled_tile(kind: str) -> Callable[..., Any]:
    """What Numba compiles in place of the plain loops below: the same sum, in vectors."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic, overload

    index = ir.IntType(64)

    @intrinsic
    def fused(typingctx, a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
        shape = tile_shape(str(c.dtype), kind)
        number = ir.FloatType() if c.dtype == types.float32 else ir.DoubleType()
        size = c.dtype.bitwidth // 8
        vector = ir.VectorType(number, shape.lanes)
        columns = range(0, shape.cols, shape.lanes)
        n = types.intp
        signature = types.void(a, row, ka, b, kb, n, start, n, c, n)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            def begin(i: int) -> Any:
                return context.make_array(signature.args[i])(context, builder, args[i]).data

            def at(pointer: Any, i: Any) -> Any:
                return builder.gep(pointer, [i])

            def const(i: int) -> Any:
                return ir.Constant(index, i)

            def as_vector(pointer: Any) -> Any:
                return builder.bitcast(pointer, vector.as_pointer())

            def cells_of(pointer: Any, pitch: Any) -> list[Any]:
                return [
                    as_vector(at(pointer, builder.add(builder.mul(pitch, const(r)), const(j))))
                    for r in range(shape.rows)
                    for j in columns
                ]

            a_start, rows_at, ka_at, b_start, kb_at = map(begin, range(5))
            kc, lds, ldc = args[5], args[7], args[9]
            name = f"llvm.fma.v{shape.lanes}f{8 * size}"
            fma = builder.module.globals.get(name) or ir.Function(
                builder.module, ir.FunctionType(vector, [vector] * 3), name
            )
            a_rows = [at(a_start, builder.load(at(rows_at, const(r)))) for r in range(shape.rows)]
            initial = [builder.load(x, align=size) for x in cells_of(begin(6), lds)]

            undefined = ir.Constant(vector, ir.Undefined)
            lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), shape.lanes), [0] * shape.lanes)

            def step(k: Any, sums: list[Any]) -> list[Any]:
                b_row = at(b_start, builder.load(at(kb_at, k)))
                b_vectors = [
                    builder.load(as_vector(at(b_row, const(j))), align=size) for j in columns
                ]
                a_k = builder.load(at(ka_at, k))
                updated: list[Any] = []
                for r in range(shape.rows):
                    one = builder.load(at(a_rows[r], a_k), align=size)
                    one = builder.insert_element(undefined, one, ir.Constant(ir.IntType(32), 0))
                    spread = builder.shuffle_vector(one, undefined, lane_zero)
                    for b_vector in b_vectors:
                        updated.append(builder.call(fma, [spread, b_vector, sums[len(updated)]]))
                return updated

            def merged(*arrivals: tuple[Any, list[Any]]) -> list[Any]:
                """The sums, whichever of the blocks (block, sums) was left for this one."""
                phis = [builder.phi(vector) for _ in initial]
                for block, values in arrivals:
                    for phi, value in zip(phis, values):
                        phi.add_incoming(value, block)
                return phis

            odd, pairs, loop, after = (
                builder.append_basic_block(f"tile.{name}")
                for name in ("odd", "pairs", "loop", "after")
            )
            before = builder.block
            first = builder.and_(kc, const(1))
            builder.cbranch(builder.trunc(first, ir.IntType(1)), odd, pairs)
            builder.position_at_end(odd)
            after_odd = step(const(0), initial)
            builder.branch(pairs)
            builder.position_at_end(pairs)
            begun = merged((before, initial), (odd, after_odd))
            builder.cbranch(builder.icmp_signed("<", first, kc), loop, after)
            builder.position_at_end(loop)
            k = builder.phi(index)
            k.add_incoming(first, pairs)
            sums = merged((pairs, begun))
            halfway = step(k, sums)
            # Nothing may be loaded ahead across this line: the registers would not do.
            builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
            updated = step(builder.add(k, const(1)), halfway)
            following = builder.add(k, const(2))
            k.add_incoming(following, loop)
            for phi, value in zip(sums, updated):
                phi.add_incoming(value, loop)
            builder.cbranch(builder.icmp_signed("<", following, kc), loop, after)
            builder.position_at_end(after)
            updated = merged((pairs, begun), (loop, updated))
            for cell, value in zip(cells_of(begin(8), ldc), updated):
                builder.store(value, cell, align=size)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
        fused(a, row, ka, b, kb, kc, start, lds, c, ldc)

    def in_loops(a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
        rows, cols = shape_of(c)
        for r in range(rows):
            to = c[r * ldc :]
            source = start[r * lds :]
            for j in range(cols):
                to[j] = source[j]
            from_a = a[row[r] :]
            for k in range(kc):
                s = from_a[ka[k]]
                other = b[kb[k] :]
                for j in range(cols):
                    to[j] += s * other[j]

    def shape_of(c):  # type: ignore[no-untyped-def]
        raise NotImplementedError  # compiled code alone calls it, through the overload below

    @overload(shape_of, inline="always")
    def _shape_of(c):  # type: ignore[no-untyped-def]
        rows, cols, _ = tile_shape(str(c.dtype), kind)
        return lambda c: (rows, cols)

    return in_vectors if tile_shape(np.float32, kind).lanes else in_loops


def _tile(kind: str) -> Callable[[Callable[..., Any]], Kernel]:
    return jit(compiled_as=functools.partial(_compiled_tile, kind), inline=True)


def _in_plain_loops(kind, a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
    rows, cols, _ = tile_shape(c.dtype, kind)
    for r in range(rows):
        for j in range(cols):
            c[r * ldc + j] = start[r * lds + j]
            for k in range(kc):
                c[r * ldc + j] += a[row[r] + ka[k]] * b[kb[k] + j]


@_tile("wide")
def tile(a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
    """c[r*ldc + j] = start[r*lds + j] + sum over k < kc of a[row[r] + ka[k]] * b[kb[k] + j].

    a, b, start, c: flat arrays of one dtype, float32 or float64, that begin where the tile does.
    row: int64, `rows` of them; ka, kb: int64 (kc,); kc >= 1. All `rows, cols, _ =
    tile_shape(c.dtype)` numbers of C must exist, and b must reach cols numbers past its offsets:
    edges are the caller's business. start may be c itself (lds = ldc: add to what is there), or one
    row for all (lds = 0: a bias); otherwise c may not overlap what is read.
    """
    _in_plain_loops("wide", a, row, ka, b, kb, kc, start, lds, c, ldc)


@_tile("broad")
def broad_tile(a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
    """As `tile`, with AVX-512 6 x 4 vectors: fewer reads of an A that is spread in memory."""
    _in_plain_loops("broad", a, row, ka, b, kb, kc, start, lds, c, ldc)


@_tile("long")
def long_tile(a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
    """As `tile`, with AVX-512 8 x 3 vectors: fewer loads of a B whose vectors straddle lines."""
    _in_plain_loops("long", a, row, ka, b, kb, kc, start, lds, c, ldc)


@_tile("narrow")
def narrow_tile(a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
    """As `tile`, one vector wide, for B with few columns: `tile_shape(dtype, "narrow")`."""
    _in_plain_loops("narrow", a, row, ka, b, kb, kc, start, lds, c, ldc)


@_tile("single")
def single_tile(a, row, ka, b, kb, kc, start, lds, c, ldc):  # type: ignore[no-untyped-def]
    """As `tile`, for one row of A: `tile_shape(dtype, "single")`, row and ldc being of no use."""
    _in_plain_loops("single", a, row, ka, b, kb, kc, start, lds, c, ldc)
