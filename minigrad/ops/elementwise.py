"""Functions of single elements, with broadcasting: arithmetic, comparison, unary functions.

The file to read after `engine.py`: each block is a function of arrays and, under it, its
derivative. `g` is the gradient of the result; a rule returns the gradient of its argument, and the
engine sums it over the dimensions along which the argument was repeated. Not here: activations
(`activation.py`).
"""
from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor
from ..autograd.op import composite, op
from ..promotion import refuse_unfit
from .. import tuning
from .kinds import binary, broadcast_error, comparison, in_one_pass, pairs, pairs_apart, pointwise


# --- arithmetic ----------------------------------------------------------------------------------

@binary(np.add)
def add(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input + other, elementwise with broadcasting."""
    return input + other
add.vjp(input=lambda g: g, other=lambda g: g)


@binary(np.subtract)
def sub(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input - other, elementwise with broadcasting."""
    return input - other
sub.vjp(input=lambda g: g, other=lambda g: -g)


@binary(np.multiply)
def mul(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input * other, elementwise with broadcasting."""
    return input * other
mul.vjp(input=lambda g, other: g * other, other=lambda g, input: g * input)


@binary(np.true_divide, samples=lambda r: [(a, np.sign(b) * (0.5 + np.abs(b)))
                                           for a, b in pairs(r)])
def div(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input / other, elementwise with broadcasting; integers become the default float dtype."""
    return input / other
div.vjp(input=lambda g, other: g / other, other=lambda g, other, out: -g * out / other)


@pointwise(samples=lambda r: [(r(3, 4),)], ref=np.negative, explain=broadcast_error,
           least=tuning.LOOP_OF_MEMORY, least_of_rules=tuning.LOOP_OF_MEMORY)
def neg(input: Tensor) -> Tensor:
    """-input. Raises: TypeError for booleans, whose opposite is ~input."""
    return -input
neg.vjp(input=lambda g: -g)


_times = in_one_pass(lambda a, b: a * b, "times", tuning.LOOP_OF_MEMORY)


def _refuse_booleans(a, b):
    """Raises TypeError for two booleans: NumPy would compute with them as bytes."""
    x = a if a.__class__ is ndarray else b         # mostly a float: asked first
    if x.__class__ is ndarray and x.dtype.kind == "b" and np.result_type(a, b).kind == "b":
        raise TypeError("not defined for two booleans; convert one first, for example x.long()")


def _whole_division(name, ufunc, a, b):
    """np.floor_divide or np.remainder, which make 0 of an integer divided by 0."""
    x = b if b.__class__ is ndarray else a
    if x.__class__ is not ndarray or x.dtype.kind == "f" or np.result_type(a, b).kind == "f":
        return ufunc(a, b)
    _refuse_booleans(a, b)
    if not np.all(b):
        raise ZeroDivisionError(f"{name}: integer division by zero: other is 0"
                                + _first_zero(b) + "; floats give inf or nan: x.float()")
    with np.errstate(over="ignore"):               # int8: -128 // -1 is -128, as -(-128) is
        return ufunc(a, b)


def _first_zero(b):
    if np.ndim(b) == 0:
        return ""
    at = np.argwhere(np.equal(b, 0))[0]
    return f" at index [{', '.join(map(str, at))}]"


def _power(x, n):
    """x ** n. NumPy takes 60 times as long for a third power as for two products."""
    if n.__class__ in (int, float) and n in (2, 3, 4) and \
            (x.dtype.kind == "f" or (n.__class__ is int and x.dtype.kind != "b")):
        square = _times(x, x)
        return square if n == 2 else _times(square, x if n == 3 else square)
    if n.__class__ is int and x.dtype.kind == "b":         # NumPy: int8
        x = x.astype(np.int64)
    return x ** n


def _nothing(g):
    """Zeros like g, whatever g is: a gradient of inf times 0 would not be a number."""
    return where(_NEVER, g, 0.0)


def _pow_input(g, input, other):
    if isinstance(other, (int, float)):
        if other == 0:
            return _nothing(g)
        power = input if other == 2 else _power(input, other - 1)
        return _times(g, _times(power, other))
    constant = other == 0                          # x ** 0 is 1 for all x
    slope = other * pow(input, where(constant, 1.0, other) - 1)
    return where(constant, 0.0, g * slope)


def _pow_exponent(g, input, exponent, out):
    """g * out * log(input); 0 where input is 0: 0 ** x does not depend on x where x >= 0."""
    constant = (input == 0) & (exponent >= 0)
    if isinstance(input, (int, float)):            # with all digits, whatever the default dtype is
        if input > 0:
            return g * (out * math.log(input))
        factor = where(constant, 0.0, -math.inf if input == 0 else math.nan)
        return where(constant, 0.0, g * (where(constant, 1.0, out) * factor))
    return where(constant, 0.0, g * out * log(where(constant, 1.0, input)))


@op(samples=lambda r: [(r.between(0.5, 2, 3, 4), r(3, 4)), (r.between(0.5, 2, 3, 1), r(4)),
                       (r(3), 2), (r(3), 3.0), (r.between(0.5, 2, 3), -0.5), (2.0, r(3))],
    ref=np.power, explain=broadcast_error)
def pow(input: Tensor | float, exponent: Tensor | float) -> Tensor:
    """input ** exponent, elementwise with broadcasting. At input 0 the exponent's gradient is 0.

    Raises: ValueError for integers with a negative integer exponent, whose result is no integer;
    TypeError for two booleans.
    """
    if exponent.__class__ is bool and input.dtype.kind == "b":
        return input | (not exponent)
    _refuse_booleans(input, exponent)
    if exponent.__class__ is int and input.__class__ is ndarray and input.dtype.kind == "b":
        input = input.astype(np.int64)             # of which NumPy would make int8
    return _power(input, exponent) if input.__class__ is ndarray else input ** exponent
pow.vjp(input=lambda g, input, exponent: _pow_input(g, input, exponent),
        exponent=_pow_exponent)


@op(samples=lambda r: [(r(3, 4), 2.5), (r(3), r.between(0.5, 2, 3))], ref=np.remainder,
    explain=broadcast_error)
def remainder(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input - floor(input / other) * other: Python's %, with the sign of `other`.

    Raises: ZeroDivisionError for integers if other has a 0 (floats give nan); TypeError for two
    booleans.
    """
    return _whole_division("remainder", np.remainder, input, other)
remainder.vjp(input=lambda g: g,
              other=lambda g, input, other: -g * floor_divide(input, other))


@op(samples=lambda r: [(r(3, 4), 0.3), (r(3), r.between(0.5, 2, 3))], ref=np.floor_divide,
    explain=broadcast_error)
def floor_divide(input: Tensor | float, other: Tensor | float) -> Tensor:
    """floor(input / other): Python's //. Not differentiable: the result needs no gradient.

    Raises: ZeroDivisionError for integers if other has a 0 (floats give inf or nan); TypeError for
    two booleans.
    """
    return _whole_division("floor_divide", np.floor_divide, input, other)


# --- comparison: booleans, which have no gradient ------------------------------------------------

@comparison(np.equal)
def eq(input: Tensor, other: Tensor | float) -> Tensor:
    """input == other, elementwise."""
    return np.equal(input, other)


@comparison(np.not_equal)
def ne(input: Tensor, other: Tensor | float) -> Tensor:
    """input != other, elementwise."""
    return np.not_equal(input, other)


@comparison(np.less)
def lt(input: Tensor, other: Tensor | float) -> Tensor:
    """input < other, elementwise."""
    return np.less(input, other)


@comparison(np.less_equal)
def le(input: Tensor, other: Tensor | float) -> Tensor:
    """input <= other, elementwise."""
    return np.less_equal(input, other)


@comparison(np.greater)
def gt(input: Tensor, other: Tensor | float) -> Tensor:
    """input > other, elementwise."""
    return np.greater(input, other)


@comparison(np.greater_equal)
def ge(input: Tensor, other: Tensor | float) -> Tensor:
    """input >= other, elementwise."""
    return np.greater_equal(input, other)


def _bools(r):
    return [(r.mask(3, 4), r.mask(4))]


@op(samples=_bools, ref=np.logical_and, explain=broadcast_error, promote="operands")
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are true (not zero), elementwise."""
    return np.logical_and(input, other)


@op(samples=_bools, ref=np.logical_or, explain=broadcast_error, promote="operands")
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether one is true (not zero), elementwise."""
    return np.logical_or(input, other)


@op(samples=_bools, ref=np.logical_xor, explain=broadcast_error, promote="operands")
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether exactly one is true (not zero), elementwise."""
    return np.logical_xor(input, other)


@op(samples=lambda r: [(r.mask(3, 4),), (r.integers(2, 5),)], ref=np.logical_not,
    promote=False, moves=True)
def logical_not(input: Tensor) -> Tensor:
    """Whether the element is false (zero)."""
    return np.logical_not(input)


@op(samples=lambda r: [(r.mask(3, 4),), (r.integers(9, 5),)], ref=np.invert,
    explain=broadcast_error, promote=False, moves=True)
def bitwise_not(input: Tensor) -> Tensor:
    """~input: the opposite of a boolean, the flipped bits of an integer.

    Raises: TypeError for floats.
    """
    if input.dtype.kind == "f":
        raise TypeError(f"bitwise_not: floats have no bits to flip, got {input.dtype}; use -x, or "
                        "x == 0 for logical_not")
    return ~input


@op(samples=lambda r: [(r.mask(3, 4), r.mask(4)), (r.integers(9, 5), 6)], ref=np.bitwise_and,
    explain=broadcast_error)
def bitwise_and(input: Tensor, other: Tensor | int) -> Tensor:
    """input & other, for booleans and integers."""
    return input & other


@op(samples=lambda r: [(r.mask(3, 4), r.mask(4)), (r.integers(9, 5), 6)], ref=np.bitwise_or,
    explain=broadcast_error)
def bitwise_or(input: Tensor, other: Tensor | int) -> Tensor:
    """input | other, for booleans and integers."""
    return input | other


@op(samples=lambda r: [(r.mask(3, 4), r.mask(4)), (r.integers(9, 5), 6)], ref=np.bitwise_xor,
    explain=broadcast_error)
def bitwise_xor(input: Tensor, other: Tensor | int) -> Tensor:
    """input ^ other, for booleans and integers."""
    return input ^ other


@op(samples=lambda r: [(np.array([0.0, np.nan, np.inf, -np.inf]),)], ref=np.isnan,
    promote=False, moves=True)
def isnan(input: Tensor) -> Tensor:
    """Whether the element is not a number."""
    return np.isnan(input)


@op(samples=lambda r: [(np.array([0.0, np.nan, np.inf, -np.inf]),)], ref=np.isinf,
    promote=False, moves=True)
def isinf(input: Tensor) -> Tensor:
    """Whether the element is an infinity."""
    return np.isinf(input)


@op(samples=lambda r: [(np.array([0.0, np.nan, np.inf, -np.inf]),)], ref=np.isfinite,
    promote=False, moves=True)
def isfinite(input: Tensor) -> Tensor:
    """Whether the element is neither an infinity nor not a number."""
    return np.isfinite(input)


# --- choosing between elements -------------------------------------------------------------------

@binary(np.where, samples=lambda r: [(r.mask(3, 4), r(3, 4), r(3, 4)), (r.mask(4), r(3, 1), 0.0),
                                     (r.mask(3, 1), 1.5, r(4))],
        apart=("condition",), least=tuning.LOOP_OF_FEW, least_of_rules=tuning.LOOP_OF_FEW)
def where(condition: Tensor, input: Tensor | float, other: Tensor | float) -> Tensor:
    """input where condition is true, else other; all three broadcast."""
    if input.__class__ is int or other.__class__ is int:         # NumPy would wrap it
        refuse_unfit("where", np.result_type(*(
            x for x in (input, other) if x.__class__ is ndarray), np.bool_), input, other)
    return np.where(condition, input, other)
where.vjp(input=lambda g, condition: where(condition, g, 0.0),
          other=lambda g, condition: where(condition, 0.0, g))


@binary(np.maximum, samples=pairs_apart, least=tuning.LOOP_OF_THREADS,
        least_of_rules=tuning.LOOP_OF_MANY)
def maximum(input: Tensor | float, other: Tensor | float) -> Tensor:
    """The larger of two elements. Where they are equal, each gets half of the gradient."""
    return np.maximum(input, other)
maximum.vjp(input=lambda g, input, other: _to_winner(g, input < other, input == other),
            other=lambda g, input, other: _to_winner(g, other < input, input == other))


@binary(np.minimum, samples=pairs_apart, least=tuning.LOOP_OF_THREADS,
        least_of_rules=tuning.LOOP_OF_MANY)
def minimum(input: Tensor | float, other: Tensor | float) -> Tensor:
    """The smaller of two elements. Where they are equal, each gets half of the gradient."""
    return np.minimum(input, other)
minimum.vjp(input=lambda g, input, other: _to_winner(g, input > other, input == other),
            other=lambda g, input, other: _to_winner(g, other > input, input == other))


def _to_winner(g, lost, tied):                     # beside a NaN nobody has lost
    return where(tied, 0.5 * g, where(lost, 0.0, g))


def _clamp_door(input, min, max):
    if min is None and max is None:
        raise ValueError("clamp: want at least one of min and max, got neither")
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, (int, float, np.number)):
            raise TypeError(f"clamp: {name} must be a number, got {type(bound).__name__}; for "
                            "bounds that are tensors use maximum(x, low) and minimum(x, high)")
    return input, min, max


@pointwise(samples=lambda r: [(r.apart(3, 4), -0.3, 0.4), (r.apart(3, 4), None, 0.2),
                              (r.apart(3, 4), -0.2)],
           ref=lambda x, min=None, max=None: np.clip(x, min, max), door=_clamp_door)
def clamp(input: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """Elements below `min` become min, above `max` become max. At a bound the gradient passes.

    Raises: ValueError if neither bound is given; TypeError if one is not a number.
    """
    return np.clip(input, min, max)
clamp.vjp(input=lambda g, input, min, max: where(_inside(input, min, max), g, 0.0))


def _inside(x, low, high):
    inside = x == x if low is None else x >= low
    return inside if high is None else inside & (x <= high)


# --- unary functions -----------------------------------------------------------------------------

@pointwise(samples=lambda r: [(r.apart(3, 4),)], ref=np.absolute,
           least=tuning.LOOP_OF_THREADS, least_of_rules=tuning.LOOP_OF_FEW)
def abs(input: Tensor) -> Tensor:
    """|input|. The gradient at 0 is 0."""
    return np.absolute(input)
abs.vjp(input=lambda g, input: g * sign(input))


@pointwise(samples=lambda r: [(r(3, 4),)], ref=np.exp, floating=True,
           least=tuning.LOOP_OF_FEW, least_of_rules=tuning.LOOP_OF_MEMORY)
def exp(input: Tensor) -> Tensor:
    """e ** input."""
    return np.exp(input)
exp.vjp(input=lambda g, out: g * out)


@op(samples=lambda r: [(r(3, 4),)], ref=np.exp2, floating=True)
def exp2(input: Tensor) -> Tensor:
    """2 ** input."""
    return np.exp2(input)
exp2.vjp(input=lambda g, out: g * (out * _LN2))


@pointwise(samples=lambda r: [(r(3, 4),)], ref=np.expm1, floating=True,
           least=tuning.LOOP_OF_FEW, least_of_rules=tuning.LOOP_OF_FEW, doubles=False)
def expm1(input: Tensor) -> Tensor:
    """e ** input - 1, exact for small input."""
    return np.expm1(input)
expm1.vjp(input=lambda g, out: g * (out + 1.0))


@pointwise(samples=lambda r: [(r.between(0.5, 3, 3, 4),)], ref=np.log, floating=True,
           least=tuning.LOOP_OF_WIDE, least_of_rules=tuning.LOOP_OF_MEMORY, doubles=False)
def log(input: Tensor) -> Tensor:
    """The natural logarithm."""
    return np.log(input)
log.vjp(input=lambda g, input: g / input)


@op(samples=lambda r: [(r.between(0.5, 3, 3, 4),)], ref=np.log2, floating=True)
def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return np.log2(input)
log2.vjp(input=lambda g, input: g / (input * _LN2))


@op(samples=lambda r: [(r.between(0.5, 3, 3, 4),)], ref=np.log10, floating=True)
def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return np.log10(input)
log10.vjp(input=lambda g, input: g / (input * _LN10))


@pointwise(samples=lambda r: [(r.between(-0.5, 2, 3, 4),)], ref=np.log1p, floating=True,
           least=tuning.LOOP_OF_FEW, least_of_rules=tuning.LOOP_OF_FEW, doubles=False)
def log1p(input: Tensor) -> Tensor:
    """log(1 + input), exact for small input."""
    return np.log1p(input)
log1p.vjp(input=lambda g, input: g / (input + 1.0))


@pointwise(samples=lambda r: [(r.between(0.5, 3, 3, 4),)], ref=np.sqrt, floating=True,
           least=tuning.LOOP_OF_FEW, least_of_rules=tuning.LOOP_OF_FEW)
def sqrt(input: Tensor) -> Tensor:
    """The square root. The gradient at 0 is infinite, as in mathematics and in torch."""
    return np.sqrt(input)
sqrt.vjp(input=lambda g, out: g / (out * 2.0))


@pointwise(samples=lambda r: [(r.between(0.5, 3, 3, 4),)], ref=lambda x: x ** -0.5, floating=True,
           least=tuning.LOOP_OF_FEW, least_of_rules=tuning.LOOP_OF_FEW)
def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(input)."""
    return 1.0 / np.sqrt(input)
rsqrt.vjp(input=lambda g, out: g * (out * out * out * -0.5))


@pointwise(samples=lambda r: [(r(3, 4),)], ref=np.square,
           least=tuning.LOOP_OF_MEMORY, least_of_rules=tuning.LOOP_OF_FEW)
def square(input: Tensor) -> Tensor:
    """input ** 2; of booleans as int64."""
    if input.dtype.kind == "b":                    # or two of them add up to True
        return input.astype(np.int64)
    return input * input
square.vjp(input=lambda g, input: g * (input * 2.0))


@pointwise(samples=lambda r: [(r.between(0.5, 3, 3, 4),)], ref=lambda x: x ** -1.0,
           least=tuning.LOOP_OF_MEMORY, least_of_rules=tuning.LOOP_OF_FEW)
def reciprocal(input: Tensor) -> Tensor:
    """1 / input."""
    return 1.0 / input
reciprocal.vjp(input=lambda g, out: -g * out * out)


@op(samples=lambda r: [(r(3, 4),)], ref=np.sin, floating=True)
def sin(input: Tensor) -> Tensor:
    """The sine, input in radians."""
    return np.sin(input)
sin.vjp(input=lambda g, input: g * cos(input))


@op(samples=lambda r: [(r(3, 4),)], ref=np.cos, floating=True)
def cos(input: Tensor) -> Tensor:
    """The cosine, input in radians."""
    return np.cos(input)
cos.vjp(input=lambda g, input: -g * sin(input))


@op(samples=lambda r: [(r.between(-1, 1, 3, 4),)], ref=np.tan, floating=True)
def tan(input: Tensor) -> Tensor:
    """The tangent, input in radians."""
    return np.tan(input)
tan.vjp(input=lambda g, out: g * (out * out + 1.0))


@op(samples=lambda r: [(r.between(-0.8, 0.8, 3, 4),)], ref=np.arcsin, floating=True)
def asin(input: Tensor) -> Tensor:
    """The inverse sine, in radians."""
    return np.arcsin(input)
asin.vjp(input=lambda g, input: g * rsqrt(1.0 - input * input))


@op(samples=lambda r: [(r.between(-0.8, 0.8, 3, 4),)], ref=np.arccos, floating=True)
def acos(input: Tensor) -> Tensor:
    """The inverse cosine, in radians."""
    return np.arccos(input)
acos.vjp(input=lambda g, input: -g * rsqrt(1.0 - input * input))


@op(samples=lambda r: [(r(3, 4),)], ref=np.arctan, floating=True)
def atan(input: Tensor) -> Tensor:
    """The inverse tangent, in radians."""
    return np.arctan(input)
atan.vjp(input=lambda g, input: g / (input * input + 1.0))


@op(samples=lambda r: [(r(3, 4),)], ref=np.sinh, floating=True)
def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine."""
    return np.sinh(input)
sinh.vjp(input=lambda g, input: g * cosh(input))


@op(samples=lambda r: [(r(3, 4),)], ref=np.cosh, floating=True)
def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine."""
    return np.cosh(input)
cosh.vjp(input=lambda g, input: g * sinh(input))


@op(samples=lambda r: [(r(3, 4),)], ref=np.arcsinh, floating=True)
def asinh(input: Tensor) -> Tensor:
    """The inverse hyperbolic sine."""
    return np.arcsinh(input)
asinh.vjp(input=lambda g, input: g * rsqrt(input * input + 1.0))


@op(samples=lambda r: [(r.between(1.5, 3, 3, 4),)], ref=np.arccosh, floating=True)
def acosh(input: Tensor) -> Tensor:
    """The inverse hyperbolic cosine."""
    return np.arccosh(input)
acosh.vjp(input=lambda g, input: g * rsqrt(input * input - 1.0))


@op(samples=lambda r: [(r.between(-0.8, 0.8, 3, 4),)], ref=np.arctanh, floating=True)
def atanh(input: Tensor) -> Tensor:
    """The inverse hyperbolic tangent."""
    return np.arctanh(input)
atanh.vjp(input=lambda g, input: g / (1.0 - input * input))


# --- functions of two numbers --------------------------------------------------------------------

@op(samples=lambda r: [(r(3, 4), r(3, 4)), (r(3, 4), r(4))], ref=np.arctan2,
    explain=broadcast_error, floating=True)
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (other, input) in radians, from -pi to pi. Both gradients are 0 at the
    origin."""
    return np.arctan2(input, other)
atan2.vjp(input=lambda g, input, other: _over_squares(g * other, input, other),
          other=lambda g, input, other: _over_squares(-g * input, input, other))


def _over_squares(g, y, x):
    """g / (y^2 + x^2), but 0 at the origin, where a direction has no slope."""
    squares = y * y + x * x
    origin = squares == 0
    return where(origin, 0.0, g / where(origin, 1.0, squares))


# --- steps: constant between their jumps, so the gradient is 0 ------------------------------------

@op(samples=lambda r: [(r.apart(3, 4),)], ref=np.sign, flat=True)
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1; of a boolean itself."""
    try:
        return np.sign(input)
    except TypeError:                              # np.sign knows no booleans
        return input.copy()
sign.vjp(input=_nothing)


@op(samples=lambda r: [(r.apart(3, 4),)], ref=np.floor, flat=True)
def floor(input: Tensor) -> Tensor:
    """The largest integer that is not larger."""
    return np.floor(input)
floor.vjp(input=_nothing)


@op(samples=lambda r: [(r.apart(3, 4),)], ref=np.ceil, flat=True)
def ceil(input: Tensor) -> Tensor:
    """The smallest integer that is not smaller."""
    return np.ceil(input)
ceil.vjp(input=_nothing)


@op(samples=lambda r: [(r.apart(3, 4),)], ref=np.trunc, flat=True)
def trunc(input: Tensor) -> Tensor:
    """The integer part."""
    return np.trunc(input)
trunc.vjp(input=_nothing)


@op(samples=lambda r: [(r.apart(3, 4, gap=0.17),), (r.apart(3, 4, gap=0.17), {"decimals": 1})],
    ref=np.round, flat=True)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer (or number with `decimals` decimals); halves go to the even one.

    Raises: TypeError for booleans.
    """
    if input.dtype.kind == "b":
        raise TypeError("round: booleans are not rounded; convert them first: x.float()")
    if decimals > 0 and input.dtype.kind == "f":   # NumPy's steps overflow, or lose the number
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(np.isfinite(input * 10.0 ** decimals), np.round(input, decimals), input)
    return np.round(input, decimals)
round.vjp(input=_nothing)


@composite(samples=lambda r: [(r.between(0.5, 3, 3, 4),)], ref=lambda x: x - np.trunc(x))
def frac(input: Tensor) -> Tensor:
    """The part after the decimal point: input - trunc(input)."""
    return input - trunc(input)


_NEVER = np.zeros((), np.bool_)
_LN2, _LN10 = float(np.log(2.0)), float(np.log(10.0))
