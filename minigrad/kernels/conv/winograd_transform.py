"""L X L^T for a small constant matrix L and a small grid X whose entries are whole vectors.

All transforms of Winograd's convolution (winograd.py) are of this kind. They are emitted as vector
instructions through numba.extending.intrinsic: with 16 loads and 16 stores in a loop, LLVM would
have to prove that none overlaps another, gives up, and moves one number at a time.

Not here: which matrices; what the vectors run along.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..jit import Kernel, jit
from ..simd.tile import tile_shape

Matrix = tuple[tuple[float, ...], ...]


def grid_lanes() -> int:
    """How many neighbours a sandwich transforms at once (float32): 8, or 4 where vectors are short.

    Half of an AVX-512 register: rows of 7 or 14 are then filled better, and two half stores
    cost what a whole one does.
    """
    return min(8, tile_shape(np.float32).lanes) or 4


def _column(lane: int, step: int, spread: int) -> int:
    """Where the window `lane` begins: they are `step` numbers apart, `spread` of them interleaved.

    With spread 2, windows 0, 2, 4, ... take every other number of the row, windows 1, 3, 5, ...
    the numbers between. Together they take whole runs of the row, whatever the spread.
    """
    return lane // spread * step * spread + lane % spread


def _compiled(matrix: Matrix, kind: str, step: int, spread: int) -> Callable[..., Any]:
    """What Numba compiles in place of the plain loops; kind: "grid", "of_image", "to_image"."""
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba import types
    from numba.extending import intrinsic

    lanes = grid_lanes()
    size = len(matrix[0])
    index, i32, number = ir.IntType(64), ir.IntType(32), ir.FloatType()
    vector, wide = ir.VectorType(number, lanes), ir.VectorType(number, lanes * step)
    n = types.intp

    def const(i: int) -> Any:
        return ir.Constant(index, i)

    def shuffle(builder: Any, a: Any, b: Any, lanes_of: Sequence[int]) -> Any:
        mask = ir.Constant(ir.VectorType(i32, len(lanes_of)), list(lanes_of))
        return builder.shuffle_vector(a, b, mask)

    def sum_of(builder: Any, terms: Sequence[tuple[float, Any]]) -> Any:
        """The sum of factor * value, in this order but for one with factor 1 that comes first."""
        terms = sorted(terms, key=lambda term: term[0] != 1)
        name = f"llvm.fma.v{lanes}f32"
        fma = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(vector, [vector] * 3), name
        )
        total = None
        for factor, value in terms:
            factors = ir.Constant(vector, [factor] * lanes)
            if total is None:
                total = value if factor == 1 else builder.fmul(value, factors)
            elif abs(factor) == 1:
                total = (builder.fadd if factor > 0 else builder.fsub)(total, value)
            else:
                total = builder.call(fma, [value, factors, total])
        return total

    def product(builder: Any, values: Sequence[Any]) -> list[Any]:
        """L times a column of vectors. Columns and rows of L that differ in signs share work."""
        lines = [list(line) for line in matrix]
        values = list(values)
        for k, other in itertools.combinations(range(size), 2):
            both = [(line[k], line[other]) for line in lines]
            signs = {a * b > 0 for a, b in both if a}
            if len(signs) == 2 and all(abs(a) == abs(b) for a, b in both):
                a, b = values[k], values[other]
                values[k], values[other] = builder.fadd(a, b), builder.fsub(a, b)
                for line in lines:
                    same = line[k] == line[other]
                    line[k], line[other] = (line[k], 0) if same else (0, line[k])
        made: dict[int, Any] = {}
        for k, line in enumerate(lines):
            if k in made:
                continue
            terms = [(f, v) for f, v in zip(line, values) if f]
            mirror = next(
                (m for m in range(k + 1, len(lines))
                 if all(abs(a) == abs(b) for a, b in zip(line, lines[m]))), None,
            )
            if mirror is None or line == lines[mirror]:
                made[k] = sum_of(builder, terms)
                continue
            kept = [a == b for a, b in zip(line, lines[mirror]) if a]
            same = sum_of(builder, [t for t, keeps in zip(terms, kept) if keeps])
            turned = sum_of(builder, [t for t, keeps in zip(terms, kept) if not keeps])
            made[k] = builder.fadd(same, turned)
            made[mirror] = builder.fsub(same, turned)
        return [made[k] for k in range(len(lines))]

    def both_sides(builder: Any, grid: list[list[Any]]) -> list[list[Any]]:
        half = [product(builder, [row[j] for row in grid]) for j in range(size)]  # by columns
        return [product(builder, [column[i] for column in half]) for i in range(len(matrix))]

    def zipped(builder: Any, a: Any, b: Any) -> Any:
        """The two outputs of each window, where they belong in a row of the image."""
        source = {}
        for lane in range(lanes):
            at = _column(lane, 2, spread)
            source[at], source[at + spread] = lane, lanes + lane
        return shuffle(builder, a, b, [source[i] for i in range(2 * lanes)])

    def begin(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
        return context.make_array(signature.args[i])(context, builder, args[i]).data

    def load_grid(builder: Any, start: Any, row: Any, col: Any) -> list[list[Any]]:
        def load(i: int, j: int) -> Any:
            offset = builder.add(builder.mul(row, const(i)), builder.mul(col, const(j)))
            place = builder.bitcast(builder.gep(start, [offset]), vector.as_pointer())
            return builder.load(place, align=4)

        return [[load(i, j) for j in range(size)] for i in range(size)]

    def store_grid(builder: Any, start: Any, row: Any, col: Any, grid: list[list[Any]]) -> None:
        for i, values in enumerate(grid):
            for j, value in enumerate(values):
                offset = builder.add(builder.mul(row, const(i)), builder.mul(col, const(j)))
                place = builder.bitcast(builder.gep(start, [offset]), vector.as_pointer())
                builder.store(value, place, align=4)

    @intrinsic
    def of_grid(typingctx, source, row, col, out, out_row, out_col):  # type: ignore[no-untyped-def]
        signature = types.void(source, n, n, out, n, n)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            start, end = (begin(context, builder, signature, args, i) for i in (0, 3))
            grid = both_sides(builder, load_grid(builder, start, args[1], args[2]))
            store_grid(builder, end, args[4], args[5], grid)
            return context.get_dummy_value()

        return signature, codegen

    @intrinsic
    def to_image(typingctx, source, row, col, plus, out, out_row, counts, odd):  # type: ignore[no-untyped-def]
        signature = types.void(source, n, n, types.float32, out, n, types.UniTuple(n, 2), odd)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            start, end, odd_at = (begin(context, builder, signature, args, i) for i in (0, 4, 7))
            count = lanes * step
            mask = ir.VectorType(ir.IntType(1), count)
            name = f"llvm.masked.store.v{count}f32.p0"
            put = builder.module.globals.get(name) or ir.Function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [wide, wide.as_pointer(), i32, mask]), name,
            )

            def splat(value: Any, kind: Any) -> Any:
                undefined = ir.Constant(kind, ir.Undefined)
                one = builder.insert_element(undefined, value, ir.Constant(i32, 0))
                return shuffle(builder, one, undefined, [0] * kind.count)

            rows, columns = (builder.extract_value(args[6], i) for i in (0, 1))
            plus = splat(args[3], wide)
            odd_at = builder.bitcast(odd_at, wide.as_pointer())
            odd = builder.load(odd_at, align=4)
            grid = both_sides(builder, load_grid(builder, start, args[1], args[2]))
            for i, values in enumerate(grid):
                exists = builder.icmp_signed("<", const(i), rows)
                here = builder.trunc(builder.select(exists, columns, const(0)), i32)
                ahead = ir.Constant(ir.VectorType(i32, count), list(range(count)))
                inside = builder.icmp_signed("<", ahead, splat(here, ahead.type))
                value = builder.fadd(zipped(builder, *values), plus)
                place = builder.gep(end, [builder.mul(args[5], const(i))])
                place = builder.bitcast(place, wide.as_pointer())
                builder.call(put, [value, place, ir.Constant(i32, 4), inside])
                # 0, or NaN if it is not finite
                nothing = ir.Constant(wide, [0.0] * count)
                odd = builder.fadd(
                    odd, builder.select(inside, builder.fsub(value, value), nothing)
                )
            builder.store(odd, odd_at, align=4)
            return context.get_dummy_value()

        return signature, codegen

    @intrinsic
    def of_image(typingctx, source, blank, hw, at, down, out, out_row, out_col):  # type: ignore[no-untyped-def]
        pair = types.UniTuple(n, 2)
        signature = types.void(source, blank, pair, pair, n, out, n, n)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            start, zeros, end = (begin(context, builder, signature, args, i) for i in (0, 1, 5))
            height, width = (builder.extract_value(args[2], i) for i in (0, 1))
            top, left = (builder.extract_value(args[3], i) for i in (0, 1))
            count = lanes * step
            counts, mask = ir.VectorType(i32, count), ir.VectorType(ir.IntType(1), count)

            def splat(value: Any) -> Any:
                undefined = ir.Constant(counts, ir.Undefined)
                value = builder.trunc(value, i32)
                one = builder.insert_element(undefined, value, ir.Constant(i32, 0))
                return builder.shuffle_vector(one, undefined, ir.Constant(counts, [0] * count))

            inside = []  # unsigned: a column left of the image is a large number
            for j in range(0, size, step):
                steps = ir.Constant(counts, [j * spread + i for i in range(count)])
                column = builder.add(splat(left), steps)
                inside.append(builder.icmp_unsigned("<", column, splat(width)))
            name = f"llvm.masked.load.v{count}f32.p0"
            load = builder.module.globals.get(name) or ir.Function(
                builder.module,
                ir.FunctionType(wide, [wide.as_pointer(), i32, mask, wide]),
                name,
            )
            undefined = ir.Constant(wide, ir.Undefined)
            grid = []
            for i in range(size):
                row = builder.add(top, builder.mul(args[4], const(i)))
                place = builder.gep(start, [builder.add(builder.mul(row, width), left)])
                # A row outside of the image is read elsewhere: cheaper than one more mask.
                place = builder.select(builder.icmp_unsigned("<", row, height), place, zeros)
                runs = []
                for k, j in enumerate(range(0, size, step)):
                    run = builder.gep(place, [const(j * spread)])
                    run = builder.bitcast(run, wide.as_pointer())
                    none = ir.Constant(wide, [0.0] * count)
                    runs.append(builder.call(load, [run, ir.Constant(i32, 4), inside[k], none]))
                grid.append([
                    shuffle(builder, runs[j // step], undefined,
                            [j % step * spread + _column(lane, step, spread)
                             for lane in range(lanes)])
                    for j in range(size)
                ])
            store_grid(builder, end, args[6], args[7], both_sides(builder, grid))
            return context.get_dummy_value()

        return signature, codegen

    def grid(source, row, col, out, out_row, out_col):  # type: ignore[no-untyped-def]
        of_grid(source, row, col, out, out_row, out_col)

    def from_image(source, blank, hw, at, down, out, out_row, out_col):  # type: ignore[no-untyped-def]
        of_image(source, blank, hw, at, down, out, out_row, out_col)

    def into_image(source, row, col, plus, out, out_row, counts, odd):  # type: ignore[no-untyped-def]
        to_image(source, row, col, plus, out, out_row, counts, odd)

    ways: dict[str, Callable[..., Any]] = {
        "grid": grid, "of_image": from_image, "to_image": into_image
    }
    return ways[kind]


def _kernel(
    matrix: Matrix, kind: str, step: int, spread: int, loops: Callable[[int], Callable[..., Any]]
) -> Kernel:
    """loops: makes the plain function for a number of lanes, which is not asked for at import."""

    def plain(*args):  # type: ignore[no-untyped-def]
        loops(grid_lanes())(*args)

    def build() -> Callable[..., Any]:
        vectors = tile_shape(np.float32).lanes
        return _compiled(matrix, kind, step, spread) if vectors else loops(grid_lanes())

    return jit(compiled_as=build, inline=True)(plain)


@jit
def _entry(coefficients, i, j, source, first, row, col):  # type: ignore[no-untyped-def]
    """Entry (i, j) of L X L^T, L the coefficients, X[a, b] = source[first + a * row + b * col]."""
    total = np.float32(0)
    for a in range(coefficients.shape[1]):
        for b in range(coefficients.shape[1]):
            factor = coefficients[i, a] * coefficients[j, b]
            if factor != 0:
                total += factor * source[first + a * row + b * col]
    return total


def sandwich(matrix: Matrix) -> Kernel:
    """A kernel: out = L source L^T for grid_lanes() grids of float32 at once. L is the matrix.

    The kernel's arguments: source, row, col, out, out_row, out_col; entry (i, j) of the grid `lane`
    is at source[i * row + j * col + lane] and at out[i * out_row + j * out_col + lane]. The arrays
    are flat and do not overlap.

    Limit: loads and stores.
    """
    coefficients = np.array(matrix, np.float32)
    side = len(matrix)

    def loops(lanes: int) -> Callable[..., Any]:
        def plain(source, row, col, out, out_row, out_col):  # type: ignore[no-untyped-def]
            for lane in range(lanes):
                for i in range(side):
                    for j in range(side):
                        total = _entry(coefficients, i, j, source, lane, row, col)
                        out[i * out_row + j * out_col + lane] = total

        return plain

    return _kernel(matrix, "grid", 1, 1, loops)


def sandwich_to_image(matrix: Matrix, spread: int = 1) -> Kernel:
    """A kernel: plus + L source L^T of grid_lanes() grids, side by side in an image. L has 2 rows.

    The kernel's arguments: source, row, col (as for `sandwich`), plus, out, out_row, (rows,
    columns), odd. Entry (i, j) of the grid `lane` goes to row i and to column `_column(lane, 2,
    spread) + j * spread` of out, unless it is beyond the rows or columns: there the image ends.
    odd: 2 * lanes numbers, to which 0 is added for each result, or NaN if it is not finite.

    Limit: loads and stores.
    """
    coefficients = np.array(matrix, np.float32)
    side = len(matrix)

    def loops(lanes: int) -> Callable[..., Any]:
        columns = np.array([_column(lane, side, spread) for lane in range(lanes)])

        def plain(source, row, col, plus, out, out_row, counts, odd):  # type: ignore[no-untyped-def]
            for lane in range(lanes):
                for i in range(min(side, counts[0])):
                    for j in range(side):
                        at = columns[lane] + j * spread
                        if at < counts[1]:
                            total = plus + _entry(coefficients, i, j, source, lane, row, col)
                            out[i * out_row + at] = total
                            odd[at] += total - total

        return plain

    return _kernel(matrix, "to_image", side, spread, loops)


def sandwich_of_image(matrix: Matrix, step: int, spread: int = 1) -> Kernel:
    """A kernel: out = L X L^T for grid_lanes() windows X of an image.

    The kernel's arguments: source, blank, (height, width), (top, left), down, out, out_row,
    out_col. Entry (i, j) of the window `lane` is the pixel in row top + i * down and in column
    left + _column(lane, step, spread) + j * spread of the image that begins at source, zero outside
    of it. blank: (lanes * step + columns of L) * spread zeros, to read instead.

    Limit: shuffles, one for each entry of a window. No copy with zeros around is made.
    """
    coefficients = np.array(matrix, np.float32)
    side, size = coefficients.shape

    def loops(lanes: int) -> Callable[..., Any]:
        columns = np.array([_column(lane, step, spread) for lane in range(lanes)])

        def plain(source, blank, hw, at, down, out, out_row, out_col):  # type: ignore[no-untyped-def]
            height, width = hw
            for lane in range(lanes):
                top, left = at[0], at[1] + columns[lane]
                for i in range(side):
                    for j in range(side):
                        total = np.float32(0)
                        for a in range(size):
                            for b in range(size):
                                h, w = top + a * down, left + b * spread
                                factor = coefficients[i, a] * coefficients[j, b]
                                if factor != 0 and 0 <= h < height and 0 <= w < width:
                                    total += factor * source[h * width + w]
                        out[i * out_row + j * out_col + lane] = total

        return plain

    return _kernel(matrix, "of_image", step, spread, loops)
