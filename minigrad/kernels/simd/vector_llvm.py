"""What LLVM makes of the words of vector.py: a type for Numba, and one instruction or few a word.

Imported late, by vector.py, because it needs Numba. A vector is an LLVM value such as
<16 x float>; it never lies in memory. LLVM translates it for any CPU, in pieces where registers
are narrower, so there is one code for all of them.

Not here: what the words mean (vector.py says it in NumPy).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

from . import math as math_kernels
from .vector import lanes_of

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """`lanes` numbers of one type: float32, float64, int32, int64 or boolean."""

    def __init__(self, number: Any, lanes: int) -> None:
        self.number, self.lanes = number, lanes
        super().__init__(name=f"vector({number}, {lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """Stored nowhere but in registers (or on the stack, where LLVM runs out of them)."""

    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(llvm_number(fe_type.number), fe_type.lanes))


def llvm_number(number: Any) -> Any:
    """float32 -> float, int32 -> i32, boolean -> i1 ..."""
    if number == types.boolean:
        return I1
    if isinstance(number, types.Float):
        return ir.FloatType() if number.bitwidth == 32 else ir.DoubleType()
    return ir.IntType(number.bitwidth)


def _is_float(number: Any) -> bool:
    return isinstance(number, types.Float)


def _counter(number: Any) -> Any:
    """The integer as wide as a float: what counts or marks beside it."""
    return types.int32 if number.bitwidth == 32 else types.int64


def _constant(kind: Any, value: Any) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _undefined(kind: Any) -> Any:
    return ir.Constant(kind, ir.Undefined)


def _declare(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), name)


def _suffix(kind: Any) -> str:
    element = kind.element
    letter = {"float": "f32", "double": "f64"}.get(str(element), str(element))
    return f"v{kind.count}{letter}"


def _spread(builder: Any, kind: Any, value: Any) -> Any:
    one = builder.insert_element(_undefined(kind), value, ir.Constant(I32, 0))
    first = _constant(ir.VectorType(I32, kind.count), 0)
    return builder.shuffle_vector(one, _undefined(kind), first)


def _pick(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(places)), places))


def _start(context: Any, builder: Any, signature: Any, args: Any, at: Any) -> Any:
    """The address of element `at` of the array that is argument 0."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [at])


def _clamped(builder: Any, value: Any, high: int) -> Any:
    for limit, sign in ((0, "<"), (high, ">")):
        bound = ir.Constant(I64, limit)
        value = builder.select(builder.icmp_signed(sign, value, bound), bound, value)
    return value


def _mask(builder: Any, lanes: int, low: Any, high: Any) -> Any:
    """<lanes x i1>, true in lanes low .. high - 1, made as the bits of an integer."""
    wide = I64
    one, all_ones = ir.Constant(wide, 1), ir.Constant(wide, -1)
    below = builder.sub(builder.shl(one, _clamped(builder, high, lanes)), one)
    from_low = builder.shl(all_ones, _clamped(builder, low, lanes))
    bits = builder.trunc(builder.and_(below, from_low), ir.IntType(lanes))
    return builder.bitcast(bits, ir.VectorType(I1, lanes))


def _masked_load(builder: Any, kind: Any, pointer: Any, mask: Any) -> Any:
    pointer = builder.bitcast(pointer, kind.as_pointer())
    masks = ir.VectorType(I1, kind.count)
    name = f"llvm.masked.load.{_suffix(kind)}.p0"
    load = _declare(builder, name, kind, kind.as_pointer(), I32, masks, kind)
    return builder.call(load, [pointer, ir.Constant(I32, 1), mask, ir.Constant(kind, None)])


def _masked_store(builder: Any, value: Any, pointer: Any, mask: Any) -> None:
    kind = value.type
    pointer = builder.bitcast(pointer, kind.as_pointer())
    masks = ir.VectorType(I1, kind.count)
    name = f"llvm.masked.store.{_suffix(kind)}.p0"
    store = _declare(builder, name, ir.VoidType(), kind, kind.as_pointer(), I32, masks)
    builder.call(store, [value, pointer, ir.Constant(I32, 1), mask])


def _numbers(builder: Any, kind: Any, step: Any = 1) -> Any:
    """0, step, 2 * step, ... in the lanes."""
    line = ir.Constant(kind, list(range(kind.count)))
    return line if step == 1 else builder.mul(line, _spread(builder, kind, step))


def _addresses(builder: Any, pointer: Any, kind: Any, step: Any) -> Any:
    places = _numbers(builder, ir.VectorType(I64, kind.count), step)
    addresses = builder.gep(pointer, [places], source_etype=kind.element)
    addresses.type = ir.VectorType(pointer.type, kind.count)  # llvmlite says one address
    return addresses


# --------------------------------------------------------------------------- memory


def _vector_of(array: Any) -> Vector:
    return Vector(array.dtype, lanes_of(str(array.dtype)))


@intrinsic
def lanes(typingctx, like):  # type: ignore[no-untyped-def]
    count = lanes_of(str(like.dtype))

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return ir.Constant(I64, count)

    return types.intp(like), codegen


@intrinsic
def load(typingctx, array, at, low, high):  # type: ignore[no-untyped-def]
    result = _vector_of(array)
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(result)
        pointer = _start(context, builder, signature, args, args[1])
        return _masked_load(builder, kind, pointer, _mask(builder, kind.count, args[2], args[3]))

    return result(array, n, n, n), codegen


@intrinsic
def load_all(typingctx, array, at):  # type: ignore[no-untyped-def]
    result = _vector_of(array)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(result)
        pointer = _start(context, builder, signature, args, args[1])
        return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1)

    return result(array, types.intp), codegen


@intrinsic
def load_even(typingctx, array, at, high):  # type: ignore[no-untyped-def]
    result = _vector_of(array)
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(result)
        lanes = kind.count
        pointer = _start(context, builder, signature, args, args[1])
        zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
        # The last number wanted is number 2 * high - 2: what lies behind it need not exist.
        reach = builder.sub(builder.shl(args[2], one), one)
        halves = []
        for k in range(2):
            left = builder.sub(reach, ir.Constant(I64, k * lanes))
            mask = _mask(builder, lanes, zero, left)
            place = builder.gep(pointer, [ir.Constant(I64, k * lanes)])
            halves.append(_masked_load(builder, kind, place, mask))
        return _pick(builder, *halves, list(range(0, 2 * lanes, 2)))

    return result(array, n, n), codegen


@intrinsic
def load_apart(typingctx, array, at, step, high):  # type: ignore[no-untyped-def]
    result = _vector_of(array)
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(result)
        pointer = _start(context, builder, signature, args, args[1])
        places = _addresses(builder, pointer, kind, args[2])
        mask = _mask(builder, kind.count, ir.Constant(I64, 0), args[3])
        name = f"llvm.masked.gather.{_suffix(kind)}.v{kind.count}p0"
        gather = _declare(builder, name, kind, places.type, I32, mask.type, kind)
        align = ir.Constant(I32, kind.element.get_abi_size(_target(context)))
        return builder.call(gather, [places, align, mask, ir.Constant(kind, None)])

    return result(array, n, n, n), codegen


def _target(context: Any) -> Any:
    return context.target_data


@intrinsic
def load_counts(typingctx, array, at, low, high, like):  # type: ignore[no-untyped-def]
    lanes = lanes_of(str(like.dtype))
    result = Vector(_counter(like.dtype), lanes)
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        narrow = ir.VectorType(llvm_number(array.dtype), lanes)
        pointer = _start(context, builder, signature, args, args[1])
        value = _masked_load(builder, narrow, pointer, _mask(builder, lanes, args[2], args[3]))
        wide = context.get_value_type(result)
        return value if narrow == wide else builder.zext(value, wide)

    return result(array, n, n, n, like), codegen


@intrinsic
def mark_dtype(typingctx, like):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    return types.DType(_counter(like.dtype))(like), codegen


@intrinsic
def load_marks(typingctx, array, at, like):  # type: ignore[no-untyped-def]
    result = Vector(array.dtype, lanes_of(str(like.dtype)))

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = _start(context, builder, signature, args, args[1])
        pointer = builder.bitcast(pointer, context.get_value_type(result).as_pointer())
        return builder.load(pointer, align=1)

    return result(array, types.intp, like), codegen


def _every_second(first: int) -> Any:
    @intrinsic
    def every_second(typingctx, a, b):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return _pick(builder, *args, list(range(first, 2 * a.lanes, 2)))

        return a(a, b), codegen

    return every_second


evens, odds = _every_second(0), _every_second(1)


@intrinsic
def store(typingctx, array, at, low, high, value):  # type: ignore[no-untyped-def]
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = _start(context, builder, signature, args, args[1])
        vector = args[4]
        kind = ir.VectorType(llvm_number(array.dtype), vector.type.count)
        if kind != vector.type:
            vector = builder.trunc(vector, kind)
        mask = _mask(builder, kind.count, args[2], args[3])
        _masked_store(builder, vector, pointer, mask)
        return context.get_dummy_value()

    return types.void(array, n, n, n, value), codegen


@intrinsic
def store_all(typingctx, array, at, value):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = _start(context, builder, signature, args, args[1])
        pointer = builder.bitcast(pointer, args[2].type.as_pointer())
        builder.store(args[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def store_pairs(typingctx, array, at, low, high, even, odd):  # type: ignore[no-untyped-def]
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = _start(context, builder, signature, args, args[1])
        even, odd = args[4], args[5]
        lanes = even.type.count
        for k in range(2):
            first = k * lanes // 2
            places = [first + i // 2 + (i % 2) * lanes for i in range(lanes)]
            shift = ir.Constant(I64, k * lanes)
            low, high = builder.sub(args[2], shift), builder.sub(args[3], shift)
            place = builder.gep(pointer, [shift])
            vector = _pick(builder, even, odd, places)
            _masked_store(builder, vector, place, _mask(builder, lanes, low, high))
        return context.get_dummy_value()

    return types.void(array, n, n, n, even, odd), codegen


@intrinsic
def store_apart(typingctx, array, at, step, low, high, value):  # type: ignore[no-untyped-def]
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = args[5].type
        pointer = _start(context, builder, signature, args, args[1])
        places = _addresses(builder, pointer, kind, args[2])
        mask = _mask(builder, kind.count, args[3], args[4])
        name = f"llvm.masked.scatter.{_suffix(kind)}.v{kind.count}p0"
        scatter = _declare(builder, name, ir.VoidType(), kind, places.type, I32, mask.type)
        align = ir.Constant(I32, kind.element.get_abi_size(_target(context)))
        builder.call(scatter, [args[5], places, align, mask])
        return context.get_dummy_value()

    return types.void(array, n, n, n, n, value), codegen


# --------------------------------------------------------------------------- arithmetic


@intrinsic
def spread(typingctx, value, like):  # type: ignore[no-untyped-def]
    lanes = lanes_of(str(like.dtype))
    number = like.dtype if _is_float(value) else _counter(like.dtype)
    result = Vector(number, lanes)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        one = context.cast(builder, args[0], value, number)
        return _spread(builder, context.get_value_type(result), one)

    return result(value, like), codegen


@intrinsic
def choose(typingctx, mask, a, b):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.select(*args)

    return a(mask, a, b), codegen


def _teach(
    sign: Any, on_floats: Callable, on_integers: Callable, compares: bool = False
) -> None:
    """Let Numba know a Python operator on two vectors, or on a vector and a number.

    By Numba's older way, a rule for types and one for code: with `overload` each use was a function
    that was compiled for itself, 0.5 s of a first CNN step.
    """

    @infer_global(sign)
    class OnVectors(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            vectors = [a for a in args if isinstance(a, Vector)]
            if len(args) != 2 or not vectors or not all(isinstance(a, _NUMBERS) for a in args):
                return None
            result = Vector(types.boolean, vectors[0].lanes) if compares else vectors[0]
            return result(*args)

    def combine(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = next(a for a in signature.args if isinstance(a, Vector))
        kind = context.get_value_type(vector)
        wide = []
        for value, given in zip(args, signature.args):
            if not isinstance(given, Vector):
                value = _spread(builder, kind, context.cast(builder, value, given, vector.number))
            wide.append(value)
        return (on_floats if _is_float(vector.number) else on_integers)(builder, *wide)

    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(sign, *pair)(combine)


_NUMBERS = (Vector, types.Integer, types.Float)


def _never(builder: Any, a: Any, b: Any) -> Any:
    raise TypeError("not for this kind of vector")


_teach(operator.add, ir.IRBuilder.fadd, ir.IRBuilder.add)
_teach(operator.sub, ir.IRBuilder.fsub, ir.IRBuilder.sub)
_teach(operator.mul, ir.IRBuilder.fmul, ir.IRBuilder.mul)
_teach(operator.truediv, ir.IRBuilder.fdiv, _never)
_teach(operator.and_, _never, ir.IRBuilder.and_)
_teach(operator.or_, _never, ir.IRBuilder.or_)
_teach(operator.xor, _never, ir.IRBuilder.xor)
_teach(operator.lshift, _never, ir.IRBuilder.shl)
_teach(operator.rshift, _never, ir.IRBuilder.ashr)


def _teach_to_compare(
    sign: Any, word: str, on_floats: Callable = ir.IRBuilder.fcmp_ordered
) -> None:
    _teach(
        sign,
        lambda builder, a, b: on_floats(builder, word, a, b),
        lambda builder, a, b: builder.icmp_signed(word, a, b),
        compares=True,
    )


_teach_to_compare(operator.gt, ">")
_teach_to_compare(operator.lt, "<")
_teach_to_compare(operator.le, "<=")
_teach_to_compare(operator.eq, "==")
_teach_to_compare(operator.ne, "!=", ir.IRBuilder.fcmp_unordered)  # true for NaN, as everywhere


@intrinsic
def fused(typingctx, a, b, c):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(a)
        wide = [
            value if isinstance(given, Vector)
            else _spread(builder, kind, context.cast(builder, value, given, a.number))
            for value, given in zip(args, (a, b, c))
        ]
        fma = _declare(builder, f"llvm.fma.{_suffix(kind)}", kind, kind, kind, kind)
        return builder.call(fma, wide)

    return a(a, b, c), codegen


def _reinterpreted(to_float: bool) -> Any:
    @intrinsic
    def convert(typingctx, a):  # type: ignore[no-untyped-def]
        floats = types.float32 if a.number.bitwidth == 32 else types.float64
        result = Vector(floats if to_float else _counter(a.number), a.lanes)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.bitcast(args[0], context.get_value_type(result))

        return result(a), codegen

    return convert


bits, from_bits = _reinterpreted(False), _reinterpreted(True)


def _folded(emit: Callable) -> Any:
    """All lanes made one number, halves onto halves: an order that no CPU changes."""

    @intrinsic
    def fold(typingctx, a):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            vector = args[0]
            while vector.type.count > 1:
                half = vector.type.count // 2
                low = _pick(builder, vector, vector, list(range(half)))
                high = _pick(builder, vector, vector, list(range(half, 2 * half)))
                vector = emit(builder, low, high)
            return builder.extract_element(vector, ir.Constant(I32, 0))

        return a.number(a), codegen

    return fold


def _larger(builder: Any, a: Any, b: Any) -> Any:
    """b where it is greater, else a: of an integer, or of a float that is not NaN."""
    if isinstance(a.type.element, ir.IntType):
        return builder.select(builder.icmp_signed(">", b, a), b, a)
    return builder.select(builder.fcmp_ordered(">", b, a), b, a)


total = _folded(
    lambda builder, a, b: builder.fadd(a, b)
    if not isinstance(a.type.element, ir.IntType) else builder.add(a, b)
)
largest = _folded(_larger)


@intrinsic
def load_beside(typingctx, array, at, high, rest):  # type: ignore[no-untyped-def]
    result = _vector_of(array)
    n = types.intp

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(result)
        pointer = _start(context, builder, signature, args, args[1])
        mask = _mask(builder, kind.count, ir.Constant(I64, 0), args[2])
        others = _spread(builder, kind, context.cast(builder, args[3], rest, array.dtype))
        return builder.select(mask, _masked_load(builder, kind, pointer, mask), others)

    return result(array, n, n, rest), codegen


@intrinsic
def exp(typingctx, v):  # type: ignore[no-untyped-def]
    """The steps of math.py's exp, in its order and with its numbers."""
    single = v.number.bitwidth == 32
    names = [n + ("_32" if single else "_64") for n in ("_LOG2E", "_ROUND", "_LN2_HI", "_LN2_LO")]
    log2e, rounder, ln2_high, ln2_low = (float(getattr(math_kernels, name)) for name in names)
    low, high, last = (-104.0, 89.0, 7) if single else (-746.0, 710.0, 13)
    width, digits, bias = (32, 23, 127) if single else (64, 52, 1023)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(v)
        whole_kind = ir.VectorType(ir.IntType(width), kind.count)
        fma = _declare(builder, f"llvm.fma.{_suffix(kind)}", kind, kind, kind, kind)

        def real(value: float) -> Any:
            return _constant(kind, float(np.float32(value)) if single else value)

        def whole(value: int) -> Any:
            return _constant(whole_kind, value)

        x = args[0]
        small = builder.fcmp_ordered("<", x, real(low))
        x = builder.select(small, real(0.0), x)
        x = builder.select(builder.fcmp_ordered(">", x, real(high)), real(high), x)
        shifted = builder.call(fma, [x, real(log2e), real(rounder)])
        n = builder.fsub(shifted, real(rounder))
        r = builder.call(fma, [n, real(-ln2_high), x])
        r = builder.call(fma, [n, real(-ln2_low), r])
        p = real(1 / math.factorial(last))
        for k in range(last - 1, 1, -1):
            p = builder.call(fma, [r, p, real(1 / math.factorial(k))])
        p = builder.call(fma, [builder.fmul(r, r), p, r])
        e = builder.fadd(p, real(1.0))
        power = builder.sub(
            builder.bitcast(shifted, whole_kind), builder.bitcast(real(rounder), whole_kind)
        )
        half = builder.ashr(power, whole(1))
        for part in (half, builder.sub(power, half)):
            factor = builder.shl(builder.add(part, whole(bias)), whole(digits))
            e = builder.fmul(e, builder.bitcast(factor, kind))
        return builder.select(small, real(0.0), e)

    return v(v), codegen
