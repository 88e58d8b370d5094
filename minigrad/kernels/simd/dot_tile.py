"""Many dot products at once: rows of A with rows of B, both read along the memory they lie in.

    out[j, r] += sum over images n and k < count of A[n, r, k] * B[n, j, k]     r < rows, j < cols

The tile of tile.py wants the terms of a sum apart and the results side by side, so that one operand
has to be turned before. Here it is the terms that lie side by side: each lane of a vector sums
every lanes-th term, rows x cols vectors of sums stay in registers, and the lanes are added
at the end. Each step loads rows + cols vectors for rows * cols multiply-adds.

Adding up the lanes takes as long as 4 to 6 steps, so that there should be some hundreds of terms.
Measured on one core, float32, AVX-512, GFLOP/s where the broad tile of tile.py does 174: 784 terms
in the first-level cache 153; B from the second-level cache 148, and beside the lines 135; 392 terms
120; 4 images of 196 terms, most rows beside the lines, 106.

Not here: copies, edges, threads. See grad_w.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..jit import jit
from .masked import Masked
from .registers import cpu_features, registers
from .tile import TileShape, tile_shape


def dot_shape(dtype: Any) -> TileShape:
    """rows x cols sums: as many vectors as leave room for those of B and one of A."""
    lanes = tile_shape(dtype).lanes
    found = registers(cpu_features())
    return TileShape(4 if found is not None and found.bytes == 32 else 8, 3, lanes)


def _compiled_dots() -> Callable[..., Any]:
    """What Numba compiles in place of the plain loops below: the same sums, lane by lane."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def fused(typingctx, a, row, b, col, images, pitches, count, out, ldo):  # type: ignore[no-untyped-def]
        n, pair = types.intp, types.UniTuple(types.intp, 2)
        signature = types.void(a, row, b, col, n, pair, n, out, n)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            v = Masked(context, builder, signature, args, out.dtype)
            rows, cols, lanes = dot_shape(str(out.dtype))
            fma = v.function(f"llvm.fma.{v.suffix}", v.vector, [v.vector] * 3)
            images, count = args[4], args[6]
            pitch_a, pitch_b = v.pair(5)
            a_rows = [v.at(v.data(0), v.of_table(v.data(1), v.const(r))) for r in range(rows)]
            b_rows = [v.at(v.data(2), v.of_table(v.data(3), v.const(j))) for j in range(cols)]

            def step(at_a: Any, at_b: Any, sums: list[Any], mask: Any) -> list[Any]:
                def load(pointer: Any) -> Any:
                    if mask is not None:
                        return v.load(pointer, mask)
                    return builder.load(
                        builder.bitcast(pointer, v.vector.as_pointer()), align=v.bytes
                    )

                b_vectors = [load(v.at(begin, at_b)) for begin in b_rows]
                updated: list[Any] = []
                for begin in a_rows:
                    a_vector = load(v.at(begin, at_a))
                    for b_vector in b_vectors:
                        updated.append(
                            builder.call(fma, [a_vector, b_vector, sums[len(updated)]])
                        )
                return updated

            def phis(count: int, kind: Any, values: list[Any], block: Any) -> list[Any]:
                found = [builder.phi(kind) for _ in range(count)]
                for phi, value in zip(found, values):
                    phi.add_incoming(value, block)
                return found

            # The last vector of an image holds 1 to `lanes` numbers and is masked.
            whole = builder.and_(builder.sub(count, v.const(1)), v.const(-lanes))
            mask = v.below(v.numbers(list(range(lanes))), builder.sub(count, whole))
            image, inner, last, after = (
                builder.append_basic_block(f"dots.{name}")
                for name in ("image", "inner", "last", "after")
            )
            before = builder.block
            builder.branch(image)
            builder.position_at_end(image)
            of_image = phis(3, v.index, [v.const(0)] * 3, before)
            begun = phis(rows * cols, v.vector, [v.zeros] * (rows * cols), before)
            builder.cbranch(builder.icmp_signed("<", v.const(0), whole), inner, last)
            builder.position_at_end(inner)
            k, at_a, at_b = phis(3, v.index, [v.const(0), *of_image[1:]], image)
            sums = phis(rows * cols, v.vector, begun, image)
            updated = step(at_a, at_b, sums, None)
            following = [builder.add(i, v.const(lanes)) for i in (k, at_a, at_b)]
            for phi, value in zip([k, at_a, at_b, *sums], [*following, *updated]):
                phi.add_incoming(value, inner)
            builder.cbranch(builder.icmp_signed("<", following[0], whole), inner, last)
            builder.position_at_end(last)
            at_a, at_b = phis(2, v.index, of_image[1:], image)
            sums = phis(rows * cols, v.vector, begun, image)
            for phi, value in zip([at_a, at_b, *sums], [*following[1:], *updated]):
                phi.add_incoming(value, inner)
            sums = step(at_a, at_b, sums, mask)
            following = [
                builder.add(i, by) for i, by in zip(of_image, (v.const(1), pitch_a, pitch_b))
            ]
            for phi, value in zip([*of_image, *begun], [*following, *sums]):
                phi.add_incoming(value, last)
            builder.cbranch(builder.icmp_signed("<", following[0], images), image, after)
            builder.position_at_end(after)
            for j in range(cols):
                total = _lanes_added(v, sums[j::cols], lanes)
                place = builder.bitcast(
                    v.at(v.data(7), builder.mul(args[8], v.const(j))), total.type.as_pointer()
                )
                before_it = builder.load(place, align=v.bytes)
                builder.store(builder.fadd(before_it, total), place, align=v.bytes)
            return context.get_dummy_value()

        return signature, codegen

    def in_vectors(a, row, b, col, images, pitches, count, out, ldo):  # type: ignore[no-untyped-def]
        fused(a, row, b, col, images, pitches, count, out, ldo)

    return in_vectors


def _lanes_added(v: Masked, vectors: list[Any], lanes: int) -> Any:
    """The vector of the sums of the lanes of each vector.

    Two vectors become one: the halves of each are added and lie side by side; so on with those.
    """
    ir, builder = v.ir, v.builder
    segment = lanes  # numbers that are still to be added up
    width = lanes

    def pick(a: Any, b: Any, places: list[int]) -> Any:
        kind = ir.VectorType(v.i32, len(places))
        return builder.shuffle_vector(a, b, ir.Constant(kind, places))

    while len(vectors) > 1 or segment > 1:
        half = segment // 2
        both = len(vectors) > 1
        starts = range(0, width * (2 if both else 1), segment)
        low = [s + i for s in starts for i in range(half)]
        high = [s + half + i for s in starts for i in range(half)]
        pairs = list(zip(vectors[::2], vectors[1::2])) if both else [(vectors[0], vectors[0])]
        vectors = [builder.fadd(pick(a, b, low), pick(a, b, high)) for a, b in pairs]
        segment, width = half, len(low)
    return vectors[0]


@jit(compiled_as=_compiled_dots, inline=True)
def dots_of_rows(a, row, b, col, images, pitches, count, out, ldo):  # type: ignore[no-untyped-def]
    """out[j*ldo + r] += sum of a[row[r] + n*pitches[0] + k] * b[col[j] + n*pitches[1] + k]."""
    rows, cols, _ = dot_shape(out.dtype)
    for r in range(rows):
        for j in range(cols):
            for n in range(images):
                for k in range(count):
                    out[j * ldo + r] += (
                        a[row[r] + n * pitches[0] + k] * b[col[j] + n * pitches[1] + k]
                    )
