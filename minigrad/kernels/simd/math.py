"""exp, tanh, log, log1p, expm1 and erf of one number, written so that a loop calling them becomes
vector instructions.

A call to the C library inside a loop stops the compiler from using vectors; arithmetic, a compare
and a reinterpretation of bits do not. They choose by the type of the argument, float32 or float64,
when the kernel around them is compiled, so the choice costs nothing at run time; formulas' loops
take the functions of one type (`_exp_32`) through `pointwise/words.py`.

Not here: loops over arrays, powers (`pointwise/words.py`), sines, the sigmoid (ditto).

How exp works, in both precisions:

    n = round(x / ln 2),  r = x - n ln 2        so  exp(x) = 2**n exp(r)  and  |r| <= 0.3466

exp(r) is its Taylor series, whose next term is below half a unit in the last place; 2**n is made
by writing n into the exponent bits of a float. `n ln 2` is subtracted in two parts, the first with
so few digits that its product with n is exact. Rounding adds and subtracts 1.5 * 2**23 (2**52 in
float64): there the spacing of floats is 1, and n is left in the lowest bits. That needs strict
arithmetic, hence no "reassoc" here. NaN passes through every step.

Largest error found, in units in the last place (ulp), 2,000,000 random points a range, against
float64 and 80-bit arithmetic:

    exp    float32 1.1, float64 1.0    from the first subnormal result to the last finite one
    tanh   float32 2.4, float64 2.6    (NumPy's own: exp 2.5 and 0.7, tanh 1.4 and 1.2)
    expm1  float32 1.7, float64 1.8
    log1p  float32 1.9, float64 2.0 (from 0 to 1: `log1p`, for softplus within kernels)
    erf    float32 2.8
    log    float32 0.9, float64 0.9 (of all numbers; NumPy's own: 2.6 and 0.7)
    log1p  float32 1.4, float64 1.3 (of all numbers: _log1p_all_32, _log1p_all_64)

Limit: arithmetic, about 20 (float32) or 30 (float64) instructions a vector. A loop over exp takes
0.25 ns a number in float32 with half-width vectors, 0.2 with full ones (`wide_jit`), 0.95 in
float64; over tanh 0.3 (0.25), 1.05; `math.exp` costs 3 to 5.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from ..jit import Kernel, jit


def full_vectors() -> None:
    """Called in a loop that is jitted by `wide_jit`: the mark that LLVM will see."""


def wide_jit(plain: Callable[..., Any]) -> Kernel:
    """`jit` for a loop over exp or tanh, which calls `full_vectors()` first.

    On AVX-512 LLVM takes half-width vectors by itself, out of care for older CPUs that slow down.
    For 100,000 float32 numbers on one core: exp 26 -> 20 us, tanh 29 -> 25. A loop that only moves
    memory gains nothing, and other machines see no difference.
    """
    def marked() -> Callable[..., Any]:
        names = {**plain.__globals__, "full_vectors": _intrinsic_mark()}
        return FunctionType(plain.__code__, names, plain.__name__)

    return Kernel(plain, compiled_as=marked)


@functools.cache
def _intrinsic_mark() -> Any:
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def mark(typingctx):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            # llvmlite has a list of the attributes it knows, and refuses others; LLVM reads this.
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
            return context.get_dummy_value()

        return types.void(), codegen

    return mark


_CONTRACT = {"contract"}  # a * b + c in one instruction, rounded once: here never less accurate

_LOG2E_32 = np.float32(1.44269504088896341)
_ROUND_32 = np.float32(1.5 * 2**23)
_LN2_HI_32 = np.float32(0.693359375)  # 9 bits of ln 2, the rest in _LN2_LO (values as in Cephes)
_LN2_LO_32 = np.float32(-2.12194440e-4)
_EXP_HIGH_32 = np.float32(88.72283172607422)  # exp of more is inf
_EXP_TINY_32 = np.float32(-87.0)  # exp is subnormal from -87.34 down
_TWO_64TH_32 = np.float32(2.0**-64)
_RAISED_32 = np.int32(64)
_LEVEL_32 = np.int32(0)
_INF_32 = np.float32(np.inf)
_EXP_LOW_32 = np.float32(-104.0)  # exp rounds to 0 from -103.98 down
_TANH_HIGH_32 = np.float32(10.0)  # tanh rounds to 1 from 9.02 up
_SIGN_32 = np.int32(-(2**31))
_REST_32 = np.int32(2**31 - 1)
_BIAS_32 = np.int32(127)
_LESS_BIAS_32 = np.int32(126)
_SHIFT_32 = np.int32(23)
_FRACTION_32 = np.int32(2**23 - 1)
_BITS_OF_ONE_32 = np.int32(127 << 23)
_HALF_32 = np.float32(0.5)
_ONE_32 = np.float32(1.0)
_TWO_32 = np.float32(2.0)
_ZERO_32 = np.float32(0.0)
_EXPM1_LOW_32 = np.float32(-30.0)
_EXPM1_HIGH_32 = np.float32(89.0)
_ITSELF_32 = np.float32(2.0**-25)  # expm1(x) and log1p(x) are x below
_ITSELF_64 = 2.0**-54
_ERF_HIGH_32 = np.float32(3.95)  # erf rounds to 1 from 3.92 up
_P0_32 = np.float32(1.128379225730896)
_P1_32 = np.float32(0.6366193890571594)
_P2_32 = np.float32(0.10277783125638962)
_P3_32 = np.float32(-0.019153062254190445)
_P4_32 = np.float32(-0.00016039740876294672)
_P5_32 = np.float32(0.00166702875867486)
_P6_32 = np.float32(-0.0006328375311568379)
_P7_32 = np.float32(0.00011764145892811939)
_P8_32 = np.float32(-9.25628592085559e-06)
_L3_32 = np.float32(1 / 3)
_L5_32 = np.float32(1 / 5)
_L7_32 = np.float32(1 / 7)
_L9_32 = np.float32(1 / 9)
_L11_32 = np.float32(1 / 11)
_L13_32 = np.float32(1 / 13)
_L15_32 = np.float32(1 / 15)
_C3_32 = np.float32(1 / 6)
_C4_32 = np.float32(1 / 24)
_C5_32 = np.float32(1 / 120)
_C6_32 = np.float32(1 / 720)
_C7_32 = np.float32(1 / 5040)

_LOG2E_64 = np.float64(1.44269504088896340736)
_ROUND_64 = np.float64(1.5 * 2**52)
_LN2_HI_64 = np.float64(6.93147180369123816490e-01)  # 32 bits of ln 2 (values as in fdlibm)
_LN2_LO_64 = np.float64(1.90821492927058770002e-10)
_EXP_HIGH_64 = np.float64(710.0)  # exp is inf from 709.783 up
_EXP_LOW_64 = np.float64(-746.0)  # exp rounds to 0 from -745.14 down
_TANH_HIGH_64 = np.float64(22.0)  # tanh rounds to 1 from 19.07 up
_SIGN_64 = np.int64(-(2**63))
_REST_64 = np.int64(2**63 - 1)
_BIAS_64 = np.int64(1023)
_LESS_BIAS_64 = np.int64(1022)
_SHIFT_64 = np.int64(52)
_FRACTION_64 = np.int64(2**52 - 1)
_BITS_OF_ONE_64 = np.int64(1023 << 52)
_EXPM1_LOW_64 = np.float64(-50.0)
_EXPM1_HIGH_64 = np.float64(710.0)
_C3_64 = 1 / 6
_C4_64 = 1 / 24
_C5_64 = 1 / 120
_C6_64 = 1 / 720
_C7_64 = 1 / 5040
_C8_64 = 1 / 40320
_C9_64 = 1 / 362880
_C10_64 = 1 / 3628800
_C11_64 = 1 / 39916800
_C12_64 = 1 / 479001600
_C13_64 = 1 / 6227020800


@jit(fastmath=_CONTRACT)
def _expm1_reduced_32(r):
    """exp(r) - 1 for |r| <= 0.35, float32: r + r^2 (1/2 + r/6 + ... + r^5/5040)."""
    p = _C6_32 + r * _C7_32
    p = _C5_32 + r * p
    p = _C4_32 + r * p
    p = _C3_32 + r * p
    p = _HALF_32 + r * p
    return r + r * r * p


@jit(fastmath=_CONTRACT)
def _expm1_reduced_64(r):
    """exp(r) - 1 for |r| <= 0.35, float64: r + r^2 (1/2 + r/6 + ... + r^11/13!)."""
    p = _C12_64 + r * _C13_64
    p = _C11_64 + r * p
    p = _C10_64 + r * p
    p = _C9_64 + r * p
    p = _C8_64 + r * p
    p = _C7_64 + r * p
    p = _C6_64 + r * p
    p = _C5_64 + r * p
    p = _C4_64 + r * p
    p = _C3_64 + r * p
    p = 0.5 + r * p
    return r + r * r * p


@jit(fastmath=_CONTRACT)
def _exp_32(x):
    # 2**n exp(r) by adding n to the exponent of exp(r). Where the result is subnormal, n + 64 is
    # added, and a product with 2**-64 rounds off the bits that the number has no room for.
    small = x < _EXP_TINY_32
    v = _EXP_LOW_32 if x < _EXP_LOW_32 else x
    shifted = np.float32(v * _LOG2E_32 + _ROUND_32)
    whole = np.float32(shifted - _ROUND_32)
    r = v - whole * _LN2_HI_32
    r = r - whole * _LN2_LO_32
    e = _ONE_32 + _expm1_reduced_32(r)
    # The low bits of the shifted float are n; shifting them left drops everything above.
    n = np.int32(np.float32(shifted).view(np.int32) + (_RAISED_32 if small else _LEVEL_32))
    bits = np.int32(np.float32(e).view(np.int32) + np.int32(n << _SHIFT_32))
    result = np.int32(bits).view(np.float32)
    result = result * _TWO_64TH_32 if small else result
    # Beyond the last finite result inf, and for NaN, which no comparison is true of, NaN.
    return np.float32(result) if x <= _EXP_HIGH_32 else np.float32(x + _INF_32)


@jit(fastmath=_CONTRACT)
def _exp_64(x):
    small = x < _EXP_LOW_64
    x = 0.0 if small else x
    x = _EXP_HIGH_64 if x > _EXP_HIGH_64 else x
    shifted = x * _LOG2E_64 + _ROUND_64
    whole = shifted - _ROUND_64
    r = x - whole * _LN2_HI_64
    r = r - whole * _LN2_LO_64
    e = 1.0 + _expm1_reduced_64(r)
    n = np.float64(shifted).view(np.int64) - np.float64(_ROUND_64).view(np.int64)
    half = n >> np.int64(1)
    first = (half + _BIAS_64) << _SHIFT_64
    second = (n - half + _BIAS_64) << _SHIFT_64
    e = e * np.int64(first).view(np.float64) * np.int64(second).view(np.float64)
    return 0.0 if small else e


@jit(fastmath=_CONTRACT)
def _tanh_32(x):
    # tanh(a) = E / (E + 2) with E = exp(2a) - 1 = 2**n (exp(r) - 1) + (2**n - 1): no cancellation,
    # because a >= 0; for small a, n = 0 and E is the series itself. The sign bit is put back last.
    bits = np.float32(x).view(np.int32)
    sign = np.int32(bits & _SIGN_32)
    magnitude = np.int32(bits & _REST_32)
    a = np.int32(magnitude).view(np.float32)
    a = _TANH_HIGH_32 if a > _TANH_HIGH_32 else a
    a = a * _TWO_32
    shifted = np.float32(a * _LOG2E_32 + _ROUND_32)
    whole = np.float32(shifted - _ROUND_32)
    r = a - whole * _LN2_HI_32
    r = r - whole * _LN2_LO_32
    n = np.int32(np.float32(shifted).view(np.int32) - np.float32(_ROUND_32).view(np.int32))
    power_bits = np.int32(np.int32(n + _BIAS_32) << _SHIFT_32)
    power = np.int32(power_bits).view(np.float32)
    e = power * _expm1_reduced_32(r) + (power - _ONE_32)
    # np.divide: `/` tests for a zero divisor in order to raise, and that test stops vectors (7x).
    result = np.float32(np.divide(e, e + _TWO_32))
    result_bits = np.int32(np.float32(result).view(np.int32) | sign)
    return np.int32(result_bits).view(np.float32)


@jit(fastmath=_CONTRACT)
def _tanh_64(x):
    bits = np.float64(x).view(np.int64)
    sign = bits & _SIGN_64
    magnitude = bits & _REST_64
    a = np.int64(magnitude).view(np.float64)
    a = _TANH_HIGH_64 if a > _TANH_HIGH_64 else a
    a = a * 2.0
    shifted = a * _LOG2E_64 + _ROUND_64
    whole = shifted - _ROUND_64
    r = a - whole * _LN2_HI_64
    r = r - whole * _LN2_LO_64
    n = np.float64(shifted).view(np.int64) - np.float64(_ROUND_64).view(np.int64)
    power_bits = (n + _BIAS_64) << _SHIFT_64
    power = np.int64(power_bits).view(np.float64)
    e = power * _expm1_reduced_64(r) + (power - 1.0)
    result = np.divide(e, e + 2.0)  # not `/`: see _tanh_32
    result_bits = np.float64(result).view(np.int64) | sign
    return np.int64(result_bits).view(np.float64)


@jit
def exp(x):
    """e**x. Overflows to inf, underflows through subnormals to 0; NaN gives NaN."""
    if isinstance(x, np.float32):
        return _exp_32(x)
    return _exp_64(x)


@jit
def tanh(x):
    """Hyperbolic tangent: exactly odd, exactly 1 for large x, keeps -0.0 and subnormals."""
    if isinstance(x, np.float32):
        return _tanh_32(x)
    return _tanh_64(x)


@jit(fastmath=_CONTRACT)
def _expm1_32(x):
    # 2**n (exp(r) - 1) + (2**n - 1), as in tanh; half of it, so that n = 128 fits. What lies
    # outside has the result of the ends: -1, inf.
    v = _EXPM1_LOW_32 if x < _EXPM1_LOW_32 else x
    v = _EXPM1_HIGH_32 if v > _EXPM1_HIGH_32 else v
    shifted = np.float32(v * _LOG2E_32 + _ROUND_32)
    whole = np.float32(shifted - _ROUND_32)
    r = v - whole * _LN2_HI_32
    r = r - whole * _LN2_LO_32
    n = np.int32(np.float32(shifted).view(np.int32) - np.float32(_ROUND_32).view(np.int32))
    power_bits = np.int32(np.int32(n + _LESS_BIAS_32) << _SHIFT_32)
    power = np.int32(power_bits).view(np.float32)
    e = power * _expm1_reduced_32(r) + (power - _HALF_32)
    return x if np.abs(x) < _ITSELF_32 else np.float32(e + e)


@jit(fastmath=_CONTRACT)
def _expm1_64(x):
    v = _EXPM1_LOW_64 if x < _EXPM1_LOW_64 else x
    v = _EXPM1_HIGH_64 if v > _EXPM1_HIGH_64 else v
    shifted = v * _LOG2E_64 + _ROUND_64
    whole = shifted - _ROUND_64
    r = v - whole * _LN2_HI_64
    r = r - whole * _LN2_LO_64
    n = np.float64(shifted).view(np.int64) - np.float64(_ROUND_64).view(np.int64)
    power_bits = (n + _LESS_BIAS_64) << _SHIFT_64
    power = np.int64(power_bits).view(np.float64)
    e = power * _expm1_reduced_64(r) + (power - 0.5)
    return x if np.abs(x) < _ITSELF_64 else e + e


# log(1 + x) = 2 atanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = x / (2 + x), 0 <= s <= 1/3.

@jit(fastmath=_CONTRACT)
def _log1p_32(x):
    s = np.divide(x, x + _TWO_32)
    q = s * s
    p = _L13_32 + q * _L15_32
    p = _L11_32 + q * p
    p = _L9_32 + q * p
    p = _L7_32 + q * p
    p = _L5_32 + q * p
    p = _L3_32 + q * p
    return _TWO_32 * (s + s * (q * p))


@jit(fastmath=_CONTRACT)
def _log1p_64(x):
    s = np.divide(x, x + 2.0)
    q = s * s
    p = 1 / 33 + q * (1 / 35)
    p = 1 / 31 + q * p
    p = 1 / 29 + q * p
    p = 1 / 27 + q * p
    p = 1 / 25 + q * p
    p = 1 / 23 + q * p
    p = 1 / 21 + q * p
    p = 1 / 19 + q * p
    p = 1 / 17 + q * p
    p = 1 / 15 + q * p
    p = 1 / 13 + q * p
    p = 1 / 11 + q * p
    p = 1 / 9 + q * p
    p = 1 / 7 + q * p
    p = 1 / 5 + q * p
    p = 1 / 3 + q * p
    return 2.0 * (s + s * (q * p))


@jit(fastmath=_CONTRACT)
def _erf_32(x):
    # erf(a) = 1 - exp(-a P(a)) for a >= 0: P of degree 8 is a minimax fit on 0 .. 3.95 (relative
    # error 4e-9), and exp(.) - 1 has no cancellation, as in tanh. The sign is put back last.
    bits = np.float32(x).view(np.int32)
    sign = np.int32(bits & _SIGN_32)
    a = np.int32(np.int32(bits & _REST_32)).view(np.float32)
    a = _ERF_HIGH_32 if a > _ERF_HIGH_32 else a
    p = _P7_32 + a * _P8_32
    p = _P6_32 + a * p
    p = _P5_32 + a * p
    p = _P4_32 + a * p
    p = _P3_32 + a * p
    p = _P2_32 + a * p
    p = _P1_32 + a * p
    p = _P0_32 + a * p
    v = -a * p
    shifted = np.float32(v * _LOG2E_32 + _ROUND_32)
    whole = np.float32(shifted - _ROUND_32)
    r = v - whole * _LN2_HI_32
    r = r - whole * _LN2_LO_32
    n = np.int32(np.float32(shifted).view(np.int32) - np.float32(_ROUND_32).view(np.int32))
    power_bits = np.int32(np.int32(n + _BIAS_32) << _SHIFT_32)
    power = np.int32(power_bits).view(np.float32)
    result = (_ONE_32 - power) - power * _expm1_reduced_32(r)
    result_bits = np.int32(np.float32(result).view(np.int32) | sign)
    return np.int32(result_bits).view(np.float32)


@jit
def log1p(x):
    """log(1 + x) for 0 <= x <= 1, as softplus needs it; NaN gives NaN."""
    if isinstance(x, np.float32):
        return _log1p_32(x)
    return _log1p_64(x)


# log(x) for x = 2**n (1 + f), 0 <= f < 1: n is in the exponent bits of x, f in its fraction.

@jit(fastmath=_CONTRACT)
def _log_from_one_32(x):
    bits = np.float32(x).view(np.int32)
    n = np.float32(np.int32(bits >> _SHIFT_32) - _BIAS_32)
    fraction = np.int32(np.int32(bits & _FRACTION_32) | _BITS_OF_ONE_32)
    f = np.int32(fraction).view(np.float32) - _ONE_32
    low = _log1p_32(f) + n * _LN2_LO_32
    return np.float32(n * _LN2_HI_32 + low) + np.float32(x - x)  # 0, or NaN


@jit(fastmath=_CONTRACT)
def _log_from_one_64(x):
    bits = np.float64(x).view(np.int64)
    n = np.float64((bits >> _SHIFT_64) - _BIAS_64)
    fraction = (bits & _FRACTION_64) | _BITS_OF_ONE_64
    f = np.int64(fraction).view(np.float64) - 1.0
    return n * _LN2_HI_64 + (_log1p_64(f) + n * _LN2_LO_64) + (x - x)


@jit
def log_from_one(x):
    """log(x) for finite x >= 1, such as a sum of exponentials of which one is 1; NaN gives NaN."""
    if isinstance(x, np.float32):
        return _log_from_one_32(x)
    return _log_from_one_64(x)


# The logarithm of any number. x = 2**n (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), so that
# nothing cancels near 1, and with s = f / (2 + f) (as in fdlibm):
#     log(1 + f) = f - f^2/2 + s (f^2/2 + R),    R = 2/3 s^2 + 2/5 s^4 + 2/7 s^6 + ...

_SQRT_HALF_32 = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
_LEAST_32 = np.float32(2.0**-126)  # below, numbers are subnormal
_RAISE_32 = np.float32(2.0**23)
_RAISED_BY_32 = np.float32(-23.0)
_LEAST_64 = 2.0**-1022
_RAISE_64 = 2.0**52
_RAISED_BY_64 = -52.0
_MINUS_INF_32 = np.float32(-np.inf)
_NAN_32 = np.float32(np.nan)
_R2_32 = np.float32(2 / 3)
_R4_32 = np.float32(2 / 5)
_R6_32 = np.float32(2 / 7)
_R8_32 = np.float32(2 / 9)
_SQRT_TWO_LESS_1_32 = np.float32(0.41421356)
_SQRT_TWO_LESS_1_64 = 0.41421356237309503
_SQRT_HALF_64 = np.int64(0x3FE6A09E667F3BCD)
_TWO_TO_64_32 = np.float32(2.0**64)
_TWO_TO_64_64 = 2.0**64
_R2_64 = 6.666666666666735130e-01  # a minimax fit (values as in fdlibm)
_R4_64 = 3.999999999940941908e-01
_R6_64 = 2.857142874366239149e-01
_R8_64 = 2.222219843214978396e-01
_R10_64 = 1.818357216161805012e-01
_R12_64 = 1.531383769920937332e-01
_R14_64 = 1.479819860511658591e-01


@jit(fastmath=_CONTRACT)
def _curve_32(f):
    """f^2/2 - s (f^2/2 + R): what f exceeds log(1 + f) by."""
    half = f * f * _HALF_32
    s = np.divide(f, f + _TWO_32)
    q = s * s
    p = _R6_32 + q * _R8_32
    p = _R4_32 + q * p
    p = _R2_32 + q * p
    return half - s * (half + q * p)


@jit(fastmath=_CONTRACT)
def _curve_64(f):
    half = f * f * 0.5
    s = np.divide(f, f + 2.0)
    q = s * s
    p = _R12_64 + q * _R14_64
    p = _R10_64 + q * p
    p = _R8_64 + q * p
    p = _R6_64 + q * p
    p = _R4_64 + q * p
    p = _R2_64 + q * p
    return half - s * (half + q * p)


@jit(fastmath=_CONTRACT)
def _log_32(x):
    """log(x) of any number: -inf at 0, NaN below."""
    tiny = x < _LEAST_32
    v = x * _RAISE_32 if tiny else x
    k = np.int32(np.float32(v).view(np.int32) - _SQRT_HALF_32)
    n = np.float32(np.int32(k >> _SHIFT_32))
    n = n + _RAISED_BY_32 if tiny else n
    bits = np.int32(np.int32(k & _FRACTION_32) + _SQRT_HALF_32)
    f = np.int32(bits).view(np.float32) - _ONE_32
    y = n * _LN2_HI_32 - ((_curve_32(f) - n * _LN2_LO_32) - f)
    y = y if x < _INF_32 else x  # inf, NaN
    y = y if x != _ZERO_32 else _MINUS_INF_32
    return _NAN_32 if x < _ZERO_32 else np.float32(y)


@jit(fastmath=_CONTRACT)
def _log_64(x):
    tiny = x < _LEAST_64
    v = x * _RAISE_64 if tiny else x
    k = np.float64(v).view(np.int64) - _SQRT_HALF_64
    n = np.float64(k >> _SHIFT_64)
    n = n + _RAISED_BY_64 if tiny else n
    bits = (k & _FRACTION_64) + _SQRT_HALF_64
    f = np.int64(bits).view(np.float64) - 1.0
    y = n * _LN2_HI_64 - ((_curve_64(f) - n * _LN2_LO_64) - f)
    y = y if x < np.inf else x
    y = y if x != 0.0 else -np.inf
    return np.nan if x < 0.0 else y


@jit(fastmath=_CONTRACT)
def _log1p_all_32(x):
    """log(1 + x) of any number: -inf at -1, NaN below."""
    u = x + _ONE_32
    k = np.int32(np.float32(u).view(np.int32) - _SQRT_HALF_32)
    whole = np.int32(k >> _SHIFT_32)
    n = np.float32(whole)
    # f = (1 + x) / 2**n - 1, from x itself, as u has lost digits; beyond 2**64 the 1 is lost too.
    down = np.int32(np.int32(_BIAS_32 - whole) << _SHIFT_32)
    down = np.int32(down).view(np.float32)
    bits = np.int32(np.int32(k & _FRACTION_32) + _SQRT_HALF_32)
    f = x * down + (down - _ONE_32)
    f = f if u < _TWO_TO_64_32 else np.int32(bits).view(np.float32) - _ONE_32
    y = n * _LN2_HI_32 - ((_curve_32(f) - n * _LN2_LO_32) - f)
    y = y if u < _INF_32 else u
    y = y if u != _ZERO_32 else _MINUS_INF_32
    y = _NAN_32 if u < _ZERO_32 else y
    return x if np.abs(x) < _ITSELF_32 else np.float32(y)


@jit(fastmath=_CONTRACT)
def _log1p_all_64(x):
    u = x + 1.0
    k = np.float64(u).view(np.int64) - _SQRT_HALF_64
    whole = k >> _SHIFT_64
    n = np.float64(whole)
    down = (_BIAS_64 - whole) << _SHIFT_64
    down = np.int64(down).view(np.float64)
    bits = (k & _FRACTION_64) + _SQRT_HALF_64
    f = x * down + (down - 1.0)
    f = f if u < _TWO_TO_64_64 else np.int64(bits).view(np.float64) - 1.0
    y = n * _LN2_HI_64 - ((_curve_64(f) - n * _LN2_LO_64) - f)
    y = y if u < np.inf else u
    y = y if u != 0.0 else -np.inf
    y = np.nan if u < 0.0 else y
    return x if np.abs(x) < _ITSELF_64 else y


@jit(fastmath=_CONTRACT)
def _log1p_exp_32(x):
    """log(1 + e^-|x|), between 0 and log 2: e is at most 1, so that n is 0 or 1."""
    e = _exp_32(-np.abs(x))
    large = e > _SQRT_TWO_LESS_1_32
    n = _ONE_32 if large else _ZERO_32
    f = e * _HALF_32 - _HALF_32 if large else e
    return np.float32(n * _LN2_HI_32 - ((_curve_32(f) - n * _LN2_LO_32) - f))


@jit(fastmath=_CONTRACT)
def _log1p_exp_64(x):
    e = _exp_64(-np.abs(x))
    large = e > _SQRT_TWO_LESS_1_64
    n = 1.0 if large else 0.0
    f = e * 0.5 - 0.5 if large else e
    return n * _LN2_HI_64 - ((_curve_64(f) - n * _LN2_LO_64) - f)


@jit
def _sigmoid_32(x):
    """1 / (1 + e^-x): with exp of -|x|, which never overflows, no digit is lost on either side."""
    e = _exp_32(-np.abs(x))
    return np.divide(_ONE_32 if x >= _ZERO_32 else e, _ONE_32 + e)


@jit
def _sigmoid_64(x):
    e = _exp_64(-np.abs(x))
    return np.divide(1.0 if x >= 0.0 else e, 1.0 + e)


@jit
def order_key(x):
    """An integer that sorts as x does: the largest of many floats becomes a largest integer.

    A maximum of floats is compiled to one compare after another, because of NaN and -0.0 (0.9 ns
    a number); a maximum of integers to vectors (0.08 ns). The bits of a float sort correctly as
    they are if it is positive, and backwards if it is negative: then the bits below the sign are
    flipped. NaN sorts above inf, or below -inf if its sign bit is set.
    """
    if isinstance(x, np.float32):
        bits = np.float32(x).view(np.int32)
        return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & _REST_32))
    bits = np.float64(x).view(np.int64)
    return np.int64(bits ^ np.int64(np.int64(bits >> np.int64(63)) & _REST_64))


@jit
def from_order_key(key):
    """The float whose `order_key` is key: float32 for int32, float64 for int64."""
    if isinstance(key, np.int32):
        bits = np.int32(key ^ np.int32(np.int32(key >> np.int32(31)) & _REST_32))
        return np.int32(bits).view(np.float32)
    bits = np.int64(key ^ np.int64(np.int64(key >> np.int64(63)) & _REST_64))
    return np.int64(bits).view(np.float64)
