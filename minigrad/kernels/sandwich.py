"""L X L^T for a small constant matrix L and a small grid X whose entries are whole vectors.

All transforms of Winograd's convolution (winograd.py) are of this kind. They are emitted as vector
instructions through numba.extending.intrinsic: with 16 loads and 16 stores in a loop, LLVM would
have to prove that none overlaps another, gives up, and moves one number at a time.

Not here: which matrices; what the vectors run along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .jit import Kernel, jit
from .tile import tile_shape

Matrix = tuple[tuple[float, ...], ...]


def grid_lanes() -> int:
    """How many neighbours a sandwich transforms at once (float32): 8, or 4 where vectors are short.

    Half of an AVX-512 register: rows of 7 or 14 are then filled better, and two half stores
    cost what a whole one does.
    """
    return min(8, tile_shape(np.float32).lanes) or 4


def _compiled(matrix: Matrix, step_in: int, step_out: int) -> Callable[..., Any]:
    """What Numba compiles in place of the plain loops of `sandwich`."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    lanes = grid_lanes()
    index, number = ir.IntType(64), ir.FloatType()
    vector = ir.VectorType(number, lanes)
    n = types.intp

    @intrinsic
    def fused(typingctx, source, row, col, out, out_row, out_col):  # type: ignore[no-untyped-def]
        signature = types.void(source, n, n, out, n, n)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            def pointer(i: int, offset: Any, kind: Any) -> Any:
                begin = context.make_array(signature.args[i])(context, builder, args[i]).data
                return builder.bitcast(builder.gep(begin, [offset]), kind.as_pointer())

            def offset(i: int, row: Any, j: int, col: Any) -> Any:
                return builder.add(
                    builder.mul(row, ir.Constant(index, i)), builder.mul(col, ir.Constant(index, j))
                )

            def shuffle(a: Any, b: Any, lanes_of: Sequence[int]) -> Any:
                mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes_of)), list(lanes_of))
                return builder.shuffle_vector(a, b, mask)

            def times(line: Sequence[float], values: Sequence[Any]) -> Any:
                """The sum of line[k] * values[k], beginning with a positive one if there is."""
                terms = [(f, v) for f, v in zip(line, values) if f]
                terms.sort(key=lambda term: term[0] < 0)  # stable: the order is kept otherwise
                total = None
                for factor, value in terms:
                    if abs(factor) != 1 or total is None and factor < 0:
                        spread = ir.Constant(vector, [abs(factor) if total else factor] * lanes)
                        value = builder.fmul(value, spread)
                    if total is None:
                        total = value
                    elif factor > 0:
                        total = builder.fadd(total, value)
                    else:
                        total = builder.fsub(total, value)
                return total

            def zipped(values: Sequence[Any]) -> Any:
                if len(values) == 1:
                    return values[0]
                a, b = zipped(values[0::2]), zipped(values[1::2])
                each = lanes * len(values) // 2
                return shuffle(a, b, [i // 2 + i % 2 * each for i in range(2 * each)])

            size = len(matrix[0])
            wide = ir.VectorType(number, lanes * step_in)
            one = ir.Constant(index, 1)
            grid = []
            for i in range(size):
                if step_in == 1:
                    places = [pointer(0, offset(i, args[1], j, args[2]), vector) for j in range(size)]
                    grid.append([builder.load(place, align=4) for place in places])
                    continue
                runs = [
                    builder.load(pointer(0, offset(i, args[1], j, one), wide), align=4)
                    for j in range(0, size, step_in)
                ]
                undefined = ir.Constant(wide, ir.Undefined)
                grid.append([
                    shuffle(runs[j // step_in], undefined,
                            [j % step_in + step_in * lane for lane in range(lanes)])
                    for j in range(size)
                ])
            grid = [  # down the columns, then along the rows
                [times(line, [grid[i][j] for i in range(size)]) for j in range(size)]
                for line in matrix
            ]
            grid = [[times(line, values) for line in matrix] for values in grid]
            for i, values in enumerate(grid):
                if step_out == 1:
                    for j, value in enumerate(values):
                        place = pointer(3, offset(i, args[4], j, args[5]), vector)
                        builder.store(value, place, align=4)
                else:
                    place = pointer(3, builder.mul(args[4], ir.Constant(index, i)),
                                    ir.VectorType(number, lanes * step_out))
                    builder.store(zipped(values), place, align=4)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(source, row, col, out, out_row, out_col):  # type: ignore[no-untyped-def]
        fused(source, row, col, out, out_row, out_col)

    return in_vectors


def sandwich(matrix: Matrix, step_in: int = 1, step_out: int = 1) -> Kernel:
    """A kernel: out = L source L^T for grid_lanes() grids of float32 at once. L is the matrix.

    The kernel's arguments: source, row, col, out, out_row, out_col; entry (i, j) of the grid `lane`
    is at source[i * row + j * col + step_in * lane] and at out[i * out_row + j * out_col +
    step_out * lane]. Steps above 1 take grids whose entries interleave: col, out_col are 1 then,
    whatever is passed (and a step out is the number of rows of L). The arrays are flat and do not
    overlap.

    Limit: loads and stores; at a step above 1, shuffles.
    """
    coefficients = np.array(matrix, np.float32)
    lanes = grid_lanes()
    side, size = coefficients.shape

    def plain(source, row, col, out, out_row, out_col):  # type: ignore[no-untyped-def]
        if step_in > 1:
            col = 1
        if step_out > 1:
            out_col = 1
        for lane in range(lanes):
            for i in range(side):
                for j in range(side):
                    total = np.float32(0)
                    for a in range(size):
                        for b in range(size):
                            place = a * row + b * col + step_in * lane
                            total += coefficients[i, a] * coefficients[j, b] * source[place]
                    out[i * out_row + j * out_col + step_out * lane] = total

    def build() -> Callable[..., Any]:
        return _compiled(matrix, step_in, step_out) if tile_shape(np.float32).lanes else plain

    return jit(compiled_as=build, inline=True)(plain)
