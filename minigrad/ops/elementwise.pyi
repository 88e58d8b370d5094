# Written by tests/typing/make_stubs.py from elementwise.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import overload
from ..autograd.engine import Tensor

@overload
def add(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input + other, elementwise with broadcasting."""
@overload
def add(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def add(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def sub(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input - other, elementwise with broadcasting."""
@overload
def sub(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def sub(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def mul(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input * other, elementwise with broadcasting."""
@overload
def mul(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def mul(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def div(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input / other, elementwise with broadcasting; integers become the default float dtype."""
@overload
def div(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def div(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def neg(input: Tensor) -> Tensor:
    """-input. Raises: TypeError for booleans, whose opposite is ~input."""
@overload
def neg(input: ndarray) -> ndarray: ...

@overload
def pow(input: Tensor, exponent: Tensor | ndarray | float | np.number) -> Tensor:
    """input ** exponent, elementwise with broadcasting. At input 0 the exponent's gradient is 0.

    Raises: ValueError for integers with a negative integer exponent, whose result is no integer;
    TypeError for two booleans.
    """
@overload
def pow(input: ndarray | float | np.number, exponent: Tensor) -> Tensor: ...
@overload
def pow(input: ndarray | float | np.number, exponent: ndarray | float | np.number) -> ndarray: ...

@overload
def remainder(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input - floor(input / other) * other: Python's %, with the sign of `other`.

    Raises: ZeroDivisionError for integers if other has a 0 (floats give nan); TypeError for two
    booleans.
    """
@overload
def remainder(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def remainder(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def floor_divide(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """floor(input / other): Python's //. Not differentiable: the result needs no gradient.

    Raises: ZeroDivisionError for integers if other has a 0 (floats give inf or nan); TypeError for
    two booleans.
    """
@overload
def floor_divide(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def floor_divide(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def eq(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input == other, elementwise."""
@overload
def eq(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def eq(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def ne(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input != other, elementwise."""
@overload
def ne(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def ne(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def lt(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input < other, elementwise."""
@overload
def lt(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def lt(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def le(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input <= other, elementwise."""
@overload
def le(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def le(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def gt(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input > other, elementwise."""
@overload
def gt(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def gt(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def ge(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input >= other, elementwise."""
@overload
def ge(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def ge(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def logical_and(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """Whether both are true (not zero), elementwise."""
@overload
def logical_and(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def logical_and(input: ndarray, other: ndarray) -> ndarray: ...

@overload
def logical_or(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """Whether one is true (not zero), elementwise."""
@overload
def logical_or(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def logical_or(input: ndarray, other: ndarray) -> ndarray: ...

@overload
def logical_xor(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """Whether exactly one is true (not zero), elementwise."""
@overload
def logical_xor(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def logical_xor(input: ndarray, other: ndarray) -> ndarray: ...

@overload
def logical_not(input: Tensor) -> Tensor:
    """Whether the element is false (zero)."""
@overload
def logical_not(input: ndarray) -> ndarray: ...

@overload
def bitwise_not(input: Tensor) -> Tensor:
    """~input: the opposite of a boolean, the flipped bits of an integer.

    Raises: TypeError for floats.
    """
@overload
def bitwise_not(input: ndarray) -> ndarray: ...

@overload
def bitwise_and(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input & other, for booleans and integers."""
@overload
def bitwise_and(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def bitwise_and(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def bitwise_or(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input | other, for booleans and integers."""
@overload
def bitwise_or(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def bitwise_or(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def bitwise_xor(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input ^ other, for booleans and integers."""
@overload
def bitwise_xor(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def bitwise_xor(input: ndarray, other: ndarray | float | np.number) -> ndarray: ...

@overload
def isnan(input: Tensor) -> Tensor:
    """Whether the element is not a number."""
@overload
def isnan(input: ndarray) -> ndarray: ...

@overload
def isinf(input: Tensor) -> Tensor:
    """Whether the element is an infinity."""
@overload
def isinf(input: ndarray) -> ndarray: ...

@overload
def isfinite(input: Tensor) -> Tensor:
    """Whether the element is neither an infinity nor not a number."""
@overload
def isfinite(input: ndarray) -> ndarray: ...

@overload
def where(condition: Tensor, input: Tensor | ndarray | float | np.number, other: Tensor | ndarray | float | np.number) -> Tensor:
    """input where condition is true, else other; all three broadcast."""
@overload
def where(condition: ndarray, input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor: ...
@overload
def where(condition: ndarray, input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def where(condition: ndarray, input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def maximum(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """The larger of two elements. Where they are equal, each gets half of the gradient."""
@overload
def maximum(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def maximum(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def minimum(input: Tensor, other: Tensor | ndarray | float | np.number) -> Tensor:
    """The smaller of two elements. Where they are equal, each gets half of the gradient."""
@overload
def minimum(input: ndarray | float | np.number, other: Tensor) -> Tensor: ...
@overload
def minimum(input: ndarray | float | np.number, other: ndarray | float | np.number) -> ndarray: ...

@overload
def clamp(input: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """Elements below `min` become min, above `max` become max. At a bound the gradient passes.

    Raises: ValueError if neither bound is given; TypeError if one is not a number.
    """
@overload
def clamp(input: ndarray, min: float | None = None, max: float | None = None) -> ndarray: ...

@overload
def abs(input: Tensor) -> Tensor:
    """|input|. The gradient at 0 is 0."""
@overload
def abs(input: ndarray) -> ndarray: ...

@overload
def exp(input: Tensor) -> Tensor:
    """e ** input."""
@overload
def exp(input: ndarray) -> ndarray: ...

@overload
def exp2(input: Tensor) -> Tensor:
    """2 ** input."""
@overload
def exp2(input: ndarray) -> ndarray: ...

@overload
def expm1(input: Tensor) -> Tensor:
    """e ** input - 1, exact for small input."""
@overload
def expm1(input: ndarray) -> ndarray: ...

@overload
def log(input: Tensor) -> Tensor:
    """The natural logarithm."""
@overload
def log(input: ndarray) -> ndarray: ...

@overload
def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2."""
@overload
def log2(input: ndarray) -> ndarray: ...

@overload
def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10."""
@overload
def log10(input: ndarray) -> ndarray: ...

@overload
def log1p(input: Tensor) -> Tensor:
    """log(1 + input), exact for small input."""
@overload
def log1p(input: ndarray) -> ndarray: ...

@overload
def sqrt(input: Tensor) -> Tensor:
    """The square root. The gradient at 0 is infinite, as in mathematics and in torch."""
@overload
def sqrt(input: ndarray) -> ndarray: ...

@overload
def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(input)."""
@overload
def rsqrt(input: ndarray) -> ndarray: ...

@overload
def square(input: Tensor) -> Tensor:
    """input ** 2; of booleans as int64."""
@overload
def square(input: ndarray) -> ndarray: ...

@overload
def reciprocal(input: Tensor) -> Tensor:
    """1 / input."""
@overload
def reciprocal(input: ndarray) -> ndarray: ...

@overload
def sin(input: Tensor) -> Tensor:
    """The sine, input in radians."""
@overload
def sin(input: ndarray) -> ndarray: ...

@overload
def cos(input: Tensor) -> Tensor:
    """The cosine, input in radians."""
@overload
def cos(input: ndarray) -> ndarray: ...

@overload
def tan(input: Tensor) -> Tensor:
    """The tangent, input in radians."""
@overload
def tan(input: ndarray) -> ndarray: ...

@overload
def asin(input: Tensor) -> Tensor:
    """The inverse sine, in radians."""
@overload
def asin(input: ndarray) -> ndarray: ...

@overload
def acos(input: Tensor) -> Tensor:
    """The inverse cosine, in radians."""
@overload
def acos(input: ndarray) -> ndarray: ...

@overload
def atan(input: Tensor) -> Tensor:
    """The inverse tangent, in radians."""
@overload
def atan(input: ndarray) -> ndarray: ...

@overload
def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine."""
@overload
def sinh(input: ndarray) -> ndarray: ...

@overload
def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine."""
@overload
def cosh(input: ndarray) -> ndarray: ...

@overload
def asinh(input: Tensor) -> Tensor:
    """The inverse hyperbolic sine."""
@overload
def asinh(input: ndarray) -> ndarray: ...

@overload
def acosh(input: Tensor) -> Tensor:
    """The inverse hyperbolic cosine."""
@overload
def acosh(input: ndarray) -> ndarray: ...

@overload
def atanh(input: Tensor) -> Tensor:
    """The inverse hyperbolic tangent."""
@overload
def atanh(input: ndarray) -> ndarray: ...

@overload
def atan2(input: Tensor, other: Tensor | ndarray) -> Tensor:
    """The angle of the point (other, input) in radians, from -pi to pi. Both gradients are 0 at the
    origin.
    """
@overload
def atan2(input: ndarray, other: Tensor) -> Tensor: ...
@overload
def atan2(input: ndarray, other: ndarray) -> ndarray: ...

@overload
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1; of a boolean itself."""
@overload
def sign(input: ndarray) -> ndarray: ...

@overload
def floor(input: Tensor) -> Tensor:
    """The largest integer that is not larger."""
@overload
def floor(input: ndarray) -> ndarray: ...

@overload
def ceil(input: Tensor) -> Tensor:
    """The smallest integer that is not smaller."""
@overload
def ceil(input: ndarray) -> ndarray: ...

@overload
def trunc(input: Tensor) -> Tensor:
    """The integer part."""
@overload
def trunc(input: ndarray) -> ndarray: ...

@overload
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer (or number with `decimals` decimals); halves go to the even one.

    Raises: TypeError for booleans.
    """
@overload
def round(input: ndarray, *, decimals: int = 0) -> ndarray: ...

@overload
def frac(input: Tensor) -> Tensor:
    """The part after the decimal point: input - trunc(input)."""
@overload
def frac(input: ndarray) -> ndarray: ...
