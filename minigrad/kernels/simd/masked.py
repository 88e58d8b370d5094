"""Vector instructions under masks, as functions of an llvmlite builder.

What is not a whole vector, the end of a row or the even lanes of one, is read and written with the
lanes beyond it switched off: nothing is touched there, and nothing is done number by number.

Not here: the loops made of them (flat.py, strided.py, stencil.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .tile import tile_shape


def masked_lanes(dtype: Any) -> int:
    """The lanes of a vector; 0 on machines without masked loads, as NEON: LLVM would test each."""
    return tile_shape(dtype).lanes if tile_shape(np.float64).lanes >= 4 else 0


class Masked:
    """Vector instructions under masks; lanes, const, at, ...: of and for one call's code."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, dtype: Any) -> None:
        from llvmlite import ir  # type: ignore[import-untyped]

        self.ir, self.builder = ir, builder
        self.context, self.signature, self.args = context, signature, args
        self.lanes = tile_shape(str(dtype)).lanes
        self.bytes = dtype.bitwidth // 8
        self.index, self.i32 = ir.IntType(64), ir.IntType(32)
        self.number = ir.FloatType() if self.bytes == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.number, self.lanes)
        self.mask = ir.VectorType(ir.IntType(1), self.lanes)
        self.indices = ir.VectorType(self.index, self.lanes)
        self.zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        suffix = f"v{self.lanes}f{8 * self.bytes}"
        pointer = self.vector.as_pointer()
        self.suffix = suffix
        self._load = self.function(
            f"llvm.masked.load.{suffix}.p0", self.vector,
            [pointer, self.i32, self.mask, self.vector],
        )
        self._store = self.function(
            f"llvm.masked.store.{suffix}.p0", ir.VoidType(),
            [self.vector, pointer, self.i32, self.mask],
        )

    def function(self, name: str, result: Any, arguments: list[Any]) -> Any:
        module = self.builder.module
        return module.globals.get(name) or self.ir.Function(
            module, self.ir.FunctionType(result, arguments), name
        )

    def data(self, i: int) -> Any:
        """Where the array that is argument i begins."""
        array = self.context.make_array(self.signature.args[i])
        return array(self.context, self.builder, self.args[i]).data

    def pair(self, i: int) -> list[Any]:
        """The two integers that are argument i."""
        return [self.builder.extract_value(self.args[i], part) for part in (0, 1)]

    def const(self, i: int) -> Any:
        return self.ir.Constant(self.index, i)

    def at(self, pointer: Any, i: Any) -> Any:
        return self.builder.gep(pointer, [i])

    def of_table(self, pointer: Any, i: Any) -> Any:
        return self.builder.load(self.at(pointer, i))

    def spread(self, value: Any, kind: Any) -> Any:
        """A vector with this value in all lanes."""
        nothing = self.ir.Constant(kind, self.ir.Undefined)
        one = self.builder.insert_element(nothing, value, self.ir.Constant(self.i32, 0))
        return self.shuffle(one, nothing, [0] * self.lanes)

    def shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        kind = self.ir.VectorType(self.i32, self.lanes)
        return self.builder.shuffle_vector(a, b, self.ir.Constant(kind, lanes))

    def numbers(self, lanes: list[int]) -> Any:
        return self.ir.Constant(self.indices, lanes)

    def below(self, indices: Any, limit: Any) -> Any:
        """The lanes with 0 <= index < limit."""
        return self.builder.icmp_unsigned("<", indices, self.spread(limit, self.indices))

    def load(self, pointer: Any, mask: Any) -> Any:
        """The numbers in the lanes of the mask, 0 in the others."""
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        align = self.ir.Constant(self.i32, self.bytes)
        return self.builder.call(self._load, [place, align, mask, self.zeros])

    def store(self, value: Any, pointer: Any, mask: Any) -> None:
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        align = self.ir.Constant(self.i32, self.bytes)
        self.builder.call(self._store, [value, place, align, mask])
