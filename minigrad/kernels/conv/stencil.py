"""A few rows of one image under a few taps, in registers: the inner loops of depthwise convolution.

    stencil   c[r, v] = start[r, v] + sum over t, i of w[t, i] * image(r, v, t, i)
    dots      sums[t, i] += sum over r, v of g[r, v] * image(r, v, t, i)
    image(r, v, t, i) = x[plane[t]:][row + r * step_h + down[t] + i, column + v * step_w + right[t]]

for up to ROWS rows r and one vector of columns v. A tap t stands for `tap_rows` taps i below each
other: with three of them (and step_h = 1) a vector of the image serves three rows of the result,
0.4 loads a multiply-add; a single one takes any steps. Everything is read and written in place:
lanes beyond the image's columns are masked, rows beyond it read zeros. A padded copy of the image
and a buffer for results would take longer than these few multiplications.

Measured on one core, float32, AVX-512, images in a first-level cache, 3x3 taps: 9 cycles a vector
of results (16 where an image has 14 x 14), for 4.5 of multiplying: most vectors straddle two
cache lines and are two loads.

Not here: what a convolution makes of it (depthwise.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any


from ..jit import Kernel, jit
from ..simd.masked import Masked, masked_lanes

ROWS = 8  # of results: 8 sums, 3 weights and a vector of x fit any machine's 16 registers


def stencil_lanes(dtype: Any) -> int:
    """How many columns are done at once; 0 on machines without masked loads (NEON)."""
    return masked_lanes(dtype)


class _Vectors(Masked):
    """What the two loops below need besides."""

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        fma = self.function(f"llvm.fma.{self.suffix}", self.vector, [self.vector] * 3)
        return self.builder.call(fma, [a, b, c])

    def scratch(self) -> Any:
        """A vector of zeros in memory, for what lies beyond an image."""
        from numba.core import cgutils

        # What is stored there may be spread over two vectors.
        two = self.ir.ArrayType(self.vector, 2)
        place = self.builder.bitcast(
            cgutils.alloca_once(self.builder, two), self.vector.as_pointer()
        )
        self.builder.store(self.zeros, place)
        return self.builder.bitcast(place, self.number.as_pointer())

    def rows_from(self, pointer: Any, pitch: Any, count: Any, beyond: Any) -> list[Any]:
        """Where the ROWS rows of results begin, those from `count` on in the scratch."""
        rows = []
        for r in range(ROWS):
            exists = self.builder.icmp_signed("<", self.const(r), count)
            rows.append(self.builder.select(exists, pointer, beyond))
            pointer = self.at(pointer, pitch)
        return rows

    def columns(self, count: Any) -> Any:
        """The mask of the first `count` lanes."""
        return self.below(self.numbers(list(range(self.lanes))), count)


def _read(
    v: _Vectors, reads: int, place: Any, pitch: Any, rows: Any, visible: list[Any], nothing: Any
) -> Iterator[tuple[int, Any]]:
    """(q, vector) for rows q = 0, 1, ... of an image, `pitch` apart from `place` on.

    rows = (first, step, height) of them; visible: the masks of one vector, or of two, whose even
    lanes are taken. nothing: zeros to read in place of rows beyond the image, or None: none is.
    """
    row, step, height = rows
    for q in range(reads):
        halves = []
        for half, mask in enumerate(visible):
            here = v.at(place, v.const(half * v.lanes))
            if nothing is not None:
                exists = v.builder.icmp_unsigned("<", row, height)
                here = v.builder.select(exists, here, nothing)
            halves.append(v.load(here, mask))
        row, place = v.builder.add(row, step), v.at(place, pitch)
        if len(halves) == 2:
            yield q, v.shuffle(halves[0], halves[1], [2 * i for i in range(v.lanes)])
        else:
            yield q, halves[0]


def _over_taps(
    v: _Vectors,
    tap_rows: int,
    step_w: int,
    carried: list[Any],
    nothing: Any,
    columns: Any,
    body: Callable[[Any, Iterator[tuple[int, Any]], list[Any]], list[Any]],
) -> list[Any]:
    """The loop over taps: body(t, images, values) -> values, from `carried` on; their last values.

    images yields (q, vector) for the rows q = 0, 1, ... of the image that tap t reads, by the first
    arguments: x, size, origin, step_h, reach, taps, table. nothing: zeros in memory. columns: how
    many results are in use, or None where it does no harm to read for more.
    The loop exists twice: where no row lies beyond the image, nothing needs to be asked.
    """
    builder = v.builder
    x, table = v.data(0), v.data(6)
    (height, width), (first_h, first_w) = v.pair(1), v.pair(2)
    step_h, reach, taps = v.args[3:6]
    reads = ROWS + tap_rows - 1
    step = v.const(1) if tap_rows > 1 else step_h
    pitch = builder.mul(step, width)
    last = builder.add(builder.add(first_h, reach), builder.mul(step, v.const(reads - 1)))
    inside = builder.and_(
        builder.icmp_signed(">=", first_h, v.const(0)), builder.icmp_signed("<", last, height)
    )
    ways = {edge: builder.append_basic_block(f"edge.{edge}") for edge in (False, True)}
    after = builder.append_basic_block("taps.after")
    builder.cbranch(inside, ways[False], ways[True])
    ends = []
    for edge, block in ways.items():
        builder.position_at_end(block)
        loop = builder.append_basic_block("taps.loop")
        builder.branch(loop)
        builder.position_at_end(loop)
        t = builder.phi(v.index)
        t.add_incoming(v.const(0), block)
        values = [builder.phi(value.type) for value in carried]
        for phi, value in zip(values, carried):
            phi.add_incoming(value, block)
        entry = builder.mul(t, v.const(3))
        plane, down, right = (
            v.of_table(table, builder.add(entry, v.const(i))) for i in range(3)
        )
        column = builder.add(first_w, right)
        lanes = list(range(v.lanes))
        visible = []
        for half in range(step_w):
            ahead = v.numbers([half * v.lanes + i for i in lanes])
            seen = v.below(builder.add(v.spread(column, v.indices), ahead), width)
            if columns is not None:
                limit = builder.mul(columns, v.const(step_w))
                seen = builder.and_(seen, v.below(ahead, limit))
            visible.append(seen)
        first_row = builder.add(first_h, down)
        origin = v.at(x, builder.add(builder.add(plane, column), builder.mul(first_row, width)))

        images = _read(v, reads, origin, pitch, (first_row, step, height), visible,
                       nothing if edge else None)
        updated = body(t, images, values)
        following = builder.add(t, v.const(1))
        t.add_incoming(following, loop)
        for phi, value in zip(values, updated):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, taps), loop, after)
        ends.append((loop, updated))
    builder.position_at_end(after)
    last = [builder.phi(value.type) for value in carried]
    for block, updated in ends:
        for phi, value in zip(last, updated):
            phi.add_incoming(value, block)
    return last


def _compiled_stencil(tap_rows: int, step_w: int, out_step: int) -> Callable[..., Any]:
    """What Numba compiles in place of `_stencil_in_loops`."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def fused(  # type: ignore[no-untyped-def]
        typingctx, x, size, origin, step_h, reach, taps, table, w, start, lds, c, ldc, counts
    ):
        n, pair = types.intp, types.UniTuple(types.intp, 2)
        signature = types.void(x, pair, pair, n, n, n, table, w, start, n, c, n, pair)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            v = _Vectors(context, builder, signature, args, c.dtype)
            weights, begin, end = v.data(7), v.data(8), v.data(10)
            rows, columns = v.pair(12)
            used, beyond = v.columns(columns), v.scratch()
            nothing = v.scratch()
            initial = [v.load(row, used) for row in v.rows_from(begin, args[9], rows, beyond)]

            def body(t, images, sums):  # type: ignore[no-untyped-def]
                sums = list(sums)
                first = builder.mul(t, v.const(tap_rows))
                spread = [
                    v.spread(v.of_table(weights, builder.add(first, v.const(i))), v.vector)
                    for i in range(tap_rows)
                ]
                for q, image in images:  # tap row i of result r reads row q = r + i
                    for i in range(tap_rows):
                        if 0 <= q - i < ROWS:
                            sums[q - i] = v.multiply_add(spread[i], image, sums[q - i])
                return sums

            sums = _over_taps(v, tap_rows, step_w, initial, nothing, None, body)
            for place, total in zip(v.rows_from(end, args[11], rows, beyond), sums):
                if out_step == 1:
                    v.store(total, place, used)
                    continue
                for half in (0, v.lanes // 2):  # each half is spread over the even lanes of one
                    lanes = [half + i // 2 for i in range(v.lanes)]
                    nowhere = v.ir.Constant(v.mask, [0] * v.lanes)
                    mask = v.shuffle(used, nowhere, [
                        half + i // 2 if i % 2 == 0 else v.lanes for i in range(v.lanes)
                    ])
                    v.store(v.shuffle(total, total, lanes), v.at(place, v.const(2 * half)), mask)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(x, size, origin, step_h, reach, taps, table, w, start, lds, c, ldc, counts):  # type: ignore[no-untyped-def]
        fused(x, size, origin, step_h, reach, taps, table, w, start, lds, c, ldc, counts)

    return in_vectors


def _compiled_dots(tap_rows: int, step_w: int) -> Callable[..., Any]:
    """What Numba compiles in place of `_dots_in_loops`."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def fused(typingctx, x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts):  # type: ignore[no-untyped-def]
        n, pair = types.intp, types.UniTuple(types.intp, 2)
        signature = types.void(x, pair, pair, n, n, n, table, g, n, sums, pair)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            v = _Vectors(context, builder, signature, args, sums.dtype)
            begin, totals = v.data(7), v.data(9)
            rows, columns = v.pair(10)
            nothing = v.scratch()
            everywhere = v.ir.Constant(v.mask, [1] * v.lanes)
            # A row of g that is not there is all zeros; a column is masked in the image, too.
            used = v.columns(columns)
            grads = [v.load(row, used) for row in v.rows_from(begin, args[8], rows, nothing)]

            def body(t, images, _):  # type: ignore[no-untyped-def]
                places = [
                    v.at(totals, builder.mul(
                        builder.add(builder.mul(t, v.const(tap_rows)), v.const(i)),
                        v.const(v.lanes),
                    ))
                    for i in range(tap_rows)
                ]
                total = [v.load(place, everywhere) for place in places]
                for q, image in images:
                    for i in range(tap_rows):
                        if 0 <= q - i < ROWS:
                            total[i] = v.multiply_add(grads[q - i], image, total[i])
                for place, value in zip(places, total):
                    v.store(value, place, everywhere)
                return []

            _over_taps(v, tap_rows, step_w, [], nothing, columns, body)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts):  # type: ignore[no-untyped-def]
        fused(x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts)

    return in_vectors


def _image(x, size, origin, step_h, step_w, entry, r, i, v):  # type: ignore[no-untyped-def]
    """image(r, v, t, i) of the module's formula; entry: (plane, down, right) of tap t."""
    row = origin[0] + r * step_h + entry[1] + i
    column = origin[1] + v * step_w + entry[2]
    if 0 <= row < size[0] and 0 <= column < size[1]:
        return x[entry[0] + row * size[1] + column]
    return x.dtype.type(0)


def _stencil(tap_rows: int, step_w: int, out_step: int) -> Callable[[Callable[..., Any]], Kernel]:
    return jit(
        compiled_as=functools.partial(_compiled_stencil, tap_rows, step_w, out_step), inline=True
    )


def _stencil_in_loops(
    tap_rows, step_w, out_step, x, size, origin, step_h, taps, table, w, start, lds, c, ldc, counts
):  # type: ignore[no-untyped-def]
    for r in range(counts[0]):
        for v in range(counts[1]):
            total = start[r * lds + v]
            for t in range(taps):
                entry = table[3 * t : 3 * t + 3]
                for i in range(tap_rows):
                    image = _image(x, size, origin, step_h, step_w, entry, r, i, v)
                    total += w[t * tap_rows + i] * image
            c[r * ldc + v * out_step] = total


@_stencil(3, 1, 1)
def stencil_of_three(x, size, origin, step_h, reach, taps, table, w, start, lds, c, ldc, counts):  # type: ignore[no-untyped-def]
    """The stencil for three tap rows and steps of 1 (step_h is not looked at).

    x: flat, images of size = (H, W). origin: (row, column) of c[0, 0]. table: int64, flat, (plane,
    down, right) for each of `taps` >= 1 taps, 0 <= down <= reach; w (taps, tap rows), flat. start,
    c: flat, rows lds and ldc apart; start may be c itself, or one row for all (lds = 0). counts =
    (rows, columns) that are read and written, at most ROWS and `stencil_lanes`.
    """
    _stencil_in_loops(
        3, 1, 1, x, size, origin, 1, taps, table, w, start, lds, c, ldc, counts
    )


@_stencil(1, 1, 1)
def stencil(x, size, origin, step_h, reach, taps, table, w, start, lds, c, ldc, counts):  # type: ignore[no-untyped-def]
    """As `stencil_of_three` with a single tap row and any step_h."""
    _stencil_in_loops(
        1, 1, 1, x, size, origin, step_h, taps, table, w, start, lds, c, ldc, counts
    )


@_stencil(1, 2, 1)
def stencil_reading_second(  # type: ignore[no-untyped-def]
    x, size, origin, step_h, reach, taps, table, w, start, lds, c, ldc, counts
):
    """As `stencil`, for step_w = 2."""
    _stencil_in_loops(
        1, 2, 1, x, size, origin, step_h, taps, table, w, start, lds, c, ldc, counts
    )


@_stencil(1, 1, 2)
def stencil_writing_second(  # type: ignore[no-untyped-def]
    x, size, origin, step_h, reach, taps, table, w, start, lds, c, ldc, counts
):
    """As `stencil`, with c[r, v] at r * ldc + 2 * v; the numbers between are left alone."""
    _stencil_in_loops(
        1, 1, 2, x, size, origin, step_h, taps, table, w, start, lds, c, ldc, counts
    )


def _dots(tap_rows: int, step_w: int) -> Callable[[Callable[..., Any]], Kernel]:
    return jit(compiled_as=functools.partial(_compiled_dots, tap_rows, step_w), inline=True)


def _dots_in_loops(
    tap_rows, step_w, x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts
):  # type: ignore[no-untyped-def]
    lanes = stencil_lanes(sums.dtype)
    for t in range(taps):
        entry = table[3 * t : 3 * t + 3]
        for i in range(tap_rows):
            for r in range(counts[0]):
                for v in range(counts[1]):
                    image = _image(x, size, origin, step_h, step_w, entry, r, i, v)
                    sums[(t * tap_rows + i) * lanes + v] += g[r * ldg + v] * image


@_dots(3, 1)
def dots_of_three(x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts):  # type: ignore[no-untyped-def]
    """The dots for three tap rows and steps of 1. g: flat, rows ldg apart, counts of them.

    sums (taps, tap rows, `stencil_lanes`), flat: lanes are not added up yet. A row of g beyond
    counts may be multiplied as zeros: with an inf in the image that makes a NaN.
    """
    _dots_in_loops(3, 1, x, size, origin, 1, reach, taps, table, g, ldg, sums, counts)


@_dots(1, 1)
def dots(x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts):  # type: ignore[no-untyped-def]
    """As `dots_of_three` with a single tap row and any step_h."""
    _dots_in_loops(1, 1, x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts)


@_dots(1, 2)
def dots_reading_second(x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts):  # type: ignore[no-untyped-def]
    """As `dots`, for step_w = 2."""
    _dots_in_loops(1, 2, x, size, origin, step_h, reach, taps, table, g, ldg, sums, counts)
