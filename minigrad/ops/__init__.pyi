# Written by tests/typing/make_stubs.py from __init__.py and the tables of methods: run it again instead of editing this.
import builtins
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy import ndarray

from ..autograd.engine import Tensor
from . import activation as activation
from . import cast as cast
from . import class_loss as class_loss
from . import conv as conv
from . import conv_pool as conv_pool
from . import creation as creation
from . import derived as derived
from . import dims as dims
from . import elementwise as elementwise
from . import gather as gather
from . import indexing as indexing
from . import indices as indices
from . import inplace as inplace
from . import join as join
from . import kinds as kinds
from . import linear as linear
from . import loss as loss
from . import matrix as matrix
from . import numpy_functions as numpy_functions
from . import order as order
from . import pool as pool
from . import random as random
from . import reduce as reduce
from . import rnn as rnn
from . import samples as samples
from . import shape as shape
from . import vector_norm as vector_norm
from . import windows as windows
from .dims import Dim
from .order import Extremes
from .random import Generator

_float = builtins.float
_int = builtins.int
_bool = builtins.bool
Itself = TypeVar("Itself", bound=TensorMethods)


class TensorMethods:
    """Tensor's operators and methods that are operations. x.exp() is exp(x)."""
    def __iadd__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __isub__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __imul__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __itruediv__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __ipow__(self: Itself, exponent: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __imod__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __ifloordiv__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __iand__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __ior__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def __ixor__(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself: ...
    def zero_(self: Itself) -> Itself:
        """Fills the tensor with zeros and returns it. What it was before gets a gradient of 0.

        Raises: ValueError for a leaf that requires grad (outside no_grad), or a view with a gradient.
        """
    def fill_(self: Itself, value: Any) -> Itself:
        """Fills the tensor with one value, a number or a 0-dimensional tensor, and returns it.

        Raises: ValueError as zero_, or if value has dimensions.
        """
    def copy_(self: Itself, src: Any, non_blocking: _bool = False) -> Itself:
        """Takes the values of src, which broadcasts and is converted to this dtype; returns the tensor.

        Raises: ValueError as zero_, or if src does not broadcast to this shape.
        """
    def add_(self: Itself, other: Any, *, alpha: _float = 1) -> Itself:
        """The tensor becomes add(x, alpha * other); see in_place."""
    def sub_(self: Itself, other: Any, *, alpha: _float = 1) -> Itself:
        """The tensor becomes sub(x, alpha * other); see in_place."""
    def mul_(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself:
        """mul in place: the tensor becomes mul(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def div_(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself:
        """div in place: the tensor becomes div(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def pow_(self: Itself, exponent: Tensor | ndarray | _float | np.number) -> Itself:
        """pow in place: the tensor becomes pow(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def addcmul_(self: Itself, tensor1: Any, tensor2: Any, *, value: _float = 1) -> Itself:
        """x += value * tensor1 * tensor2, in place."""
    def addcdiv_(self: Itself, tensor1: Any, tensor2: Any, *, value: _float = 1) -> Itself:
        """x += value * tensor1 / tensor2, in place."""
    def neg_(self: Itself) -> Itself:
        """neg in place: the tensor becomes neg(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def abs_(self: Itself) -> Itself:
        """abs in place: the tensor becomes abs(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def relu_(self: Itself, inplace: _bool = False) -> Itself:
        """relu in place: the tensor becomes relu(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def tanh_(self: Itself) -> Itself:
        """tanh in place: the tensor becomes tanh(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def sigmoid_(self: Itself) -> Itself:
        """sigmoid in place: the tensor becomes sigmoid(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def exp_(self: Itself) -> Itself:
        """exp in place: the tensor becomes exp(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def exp2_(self: Itself) -> Itself:
        """exp2 in place: the tensor becomes exp2(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def expm1_(self: Itself) -> Itself:
        """expm1 in place: the tensor becomes expm1(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def log_(self: Itself) -> Itself:
        """log in place: the tensor becomes log(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def log2_(self: Itself) -> Itself:
        """log2 in place: the tensor becomes log2(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def log10_(self: Itself) -> Itself:
        """log10 in place: the tensor becomes log10(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def log1p_(self: Itself) -> Itself:
        """log1p in place: the tensor becomes log1p(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def sqrt_(self: Itself) -> Itself:
        """sqrt in place: the tensor becomes sqrt(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def rsqrt_(self: Itself) -> Itself:
        """rsqrt in place: the tensor becomes rsqrt(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def square_(self: Itself) -> Itself:
        """square in place: the tensor becomes square(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def reciprocal_(self: Itself) -> Itself:
        """reciprocal in place: the tensor becomes reciprocal(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def sin_(self: Itself) -> Itself:
        """sin in place: the tensor becomes sin(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def cos_(self: Itself) -> Itself:
        """cos in place: the tensor becomes cos(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def tan_(self: Itself) -> Itself:
        """tan in place: the tensor becomes tan(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def atan_(self: Itself) -> Itself:
        """atan in place: the tensor becomes atan(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def sinh_(self: Itself) -> Itself:
        """sinh in place: the tensor becomes sinh(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def cosh_(self: Itself) -> Itself:
        """cosh in place: the tensor becomes cosh(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def clamp_(self: Itself, min: _float | None = None, max: _float | None = None) -> Itself:
        """clamp in place: the tensor becomes clamp(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def sign_(self: Itself) -> Itself:
        """sign in place: the tensor becomes sign(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def floor_(self: Itself) -> Itself:
        """floor in place: the tensor becomes floor(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def ceil_(self: Itself) -> Itself:
        """ceil in place: the tensor becomes ceil(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def trunc_(self: Itself) -> Itself:
        """trunc in place: the tensor becomes trunc(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def round_(self: Itself, *, decimals: _int = 0) -> Itself:
        """round in place: the tensor becomes round(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def frac_(self: Itself) -> Itself:
        """frac in place: the tensor becomes frac(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def remainder_(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself:
        """remainder in place: the tensor becomes remainder(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def floor_divide_(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself:
        """floor_divide in place: the tensor becomes floor_divide(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def logical_and_(self: Itself, other: Tensor | ndarray) -> Itself:
        """logical_and in place: the tensor becomes logical_and(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def logical_or_(self: Itself, other: Tensor | ndarray) -> Itself:
        """logical_or in place: the tensor becomes logical_or(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def logical_xor_(self: Itself, other: Tensor | ndarray) -> Itself:
        """logical_xor in place: the tensor becomes logical_xor(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def logical_not_(self: Itself) -> Itself:
        """logical_not in place: the tensor becomes logical_not(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def bitwise_not_(self: Itself) -> Itself:
        """bitwise_not in place: the tensor becomes bitwise_not(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def bitwise_and_(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself:
        """bitwise_and in place: the tensor becomes bitwise_and(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def bitwise_or_(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself:
        """bitwise_or in place: the tensor becomes bitwise_or(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def bitwise_xor_(self: Itself, other: Tensor | ndarray | _float | np.number) -> Itself:
        """bitwise_xor in place: the tensor becomes bitwise_xor(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def tril_(self: Itself, diagonal: _int = 0) -> Itself:
        """tril in place: the tensor becomes tril(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def triu_(self: Itself, diagonal: _int = 0) -> Itself:
        """triu in place: the tensor becomes triu(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def masked_fill_(self: Itself, mask: Tensor | ndarray, value: Tensor | ndarray | _float | np.number) -> Itself:
        """masked_fill in place: the tensor becomes masked_fill(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def scatter_(self: Itself, dim: _int, index: Tensor | ndarray, src: Tensor | ndarray | _float | np.number) -> Itself:
        """scatter in place: the tensor becomes scatter(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def scatter_add_(self: Itself, dim: _int, index: Tensor | ndarray, src: Tensor | ndarray) -> Itself:
        """scatter_add in place: the tensor becomes scatter_add(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def index_add_(self: Itself, dim: _int, index: Tensor | ndarray, source: Tensor | ndarray, *, alpha: _float = 1.0) -> Itself:
        """index_add in place: the tensor becomes index_add(x, ...) and is returned.

        Raises: ValueError for a leaf that requires grad (outside no_grad), a view other than
        x[index] where a gradient is involved, or another shape.
        """
    def __add__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __radd__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def add(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input + other, elementwise with broadcasting."""
    def __sub__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def sub(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input - other, elementwise with broadcasting."""
    def __rsub__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __mul__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __rmul__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def mul(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input * other, elementwise with broadcasting."""
    def __truediv__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def div(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input / other, elementwise with broadcasting; integers become the default float dtype."""
    def __rtruediv__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __floordiv__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def floor_divide(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """floor(input / other): Python's //. Not differentiable: the result needs no gradient.

        Raises: ZeroDivisionError for integers if other has a 0 (floats give inf or nan); TypeError for
        two booleans.
        """
    def __rfloordiv__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __mod__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def remainder(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input - floor(input / other) * other: Python's %, with the sign of `other`.

        Raises: ZeroDivisionError for integers if other has a 0 (floats give nan); TypeError for two
        booleans.
        """
    def __rmod__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __pow__(self, exponent: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def pow(self, exponent: Tensor | ndarray | _float | np.number) -> Tensor:
        """input ** exponent, elementwise with broadcasting. At input 0 the exponent's gradient is 0.

        Raises: ValueError for integers with a negative integer exponent, whose result is no integer;
        TypeError for two booleans.
        """
    def __rpow__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def neg(self) -> Tensor:
        """-input. Raises: TypeError for booleans, whose opposite is ~input."""
    def __pos__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def abs(self) -> Tensor:
        """|input|. The gradient at 0 is 0."""
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def eq(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input == other, elementwise."""
    def ne(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input != other, elementwise."""
    def __lt__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def lt(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input < other, elementwise."""
    def __le__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def le(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input <= other, elementwise."""
    def __gt__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def gt(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input > other, elementwise."""
    def __ge__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def ge(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input >= other, elementwise."""
    def __and__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __rand__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def bitwise_and(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input & other, for booleans and integers."""
    def __or__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __ror__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def bitwise_or(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input | other, for booleans and integers."""
    def __xor__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def __rxor__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def bitwise_xor(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """input ^ other, for booleans and integers."""
    def __invert__(self) -> Tensor: ...
    def bitwise_not(self) -> Tensor:
        """~input: the opposite of a boolean, the flipped bits of an integer.

        Raises: TypeError for floats.
        """
    def logical_and(self, other: Tensor | ndarray) -> Tensor:
        """Whether both are true (not zero), elementwise."""
    def logical_or(self, other: Tensor | ndarray) -> Tensor:
        """Whether one is true (not zero), elementwise."""
    def logical_xor(self, other: Tensor | ndarray) -> Tensor:
        """Whether exactly one is true (not zero), elementwise."""
    def logical_not(self) -> Tensor:
        """Whether the element is false (zero)."""
    def isnan(self) -> Tensor:
        """Whether the element is not a number."""
    def isinf(self) -> Tensor:
        """Whether the element is an infinity."""
    def isfinite(self) -> Tensor:
        """Whether the element is neither an infinity nor not a number."""
    def where(self, condition: Tensor | ndarray, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """The tensor where condition is true, else other."""
    def clamp(self, min: _float | None = None, max: _float | None = None) -> Tensor:
        """Elements below `min` become min, above `max` become max. At a bound the gradient passes.

        Raises: ValueError if neither bound is given; TypeError if one is not a number.
        """
    def clip(self, min: _float | None = None, max: _float | None = None) -> Tensor:
        """Elements below `min` become min, above `max` become max. At a bound the gradient passes.

        Raises: ValueError if neither bound is given; TypeError if one is not a number.
        """
    def maximum(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """The larger of two elements. Where they are equal, each gets half of the gradient."""
    def minimum(self, other: Tensor | ndarray | _float | np.number) -> Tensor:
        """The smaller of two elements. Where they are equal, each gets half of the gradient."""
    def exp(self) -> Tensor:
        """e ** input."""
    def exp2(self) -> Tensor:
        """2 ** input."""
    def expm1(self) -> Tensor:
        """e ** input - 1, exact for small input."""
    def log(self) -> Tensor:
        """The natural logarithm."""
    def log2(self) -> Tensor:
        """The logarithm to base 2."""
    def log10(self) -> Tensor:
        """The logarithm to base 10."""
    def log1p(self) -> Tensor:
        """log(1 + input), exact for small input."""
    def sqrt(self) -> Tensor:
        """The square root. The gradient at 0 is infinite, as in mathematics and in torch."""
    def rsqrt(self) -> Tensor:
        """1 / sqrt(input)."""
    def square(self) -> Tensor:
        """input ** 2; of booleans as int64."""
    def reciprocal(self) -> Tensor:
        """1 / input."""
    def sin(self) -> Tensor:
        """The sine, input in radians."""
    def cos(self) -> Tensor:
        """The cosine, input in radians."""
    def tan(self) -> Tensor:
        """The tangent, input in radians."""
    def asin(self) -> Tensor:
        """The inverse sine, in radians."""
    def acos(self) -> Tensor:
        """The inverse cosine, in radians."""
    def atan(self) -> Tensor:
        """The inverse tangent, in radians."""
    def atan2(self, other: Tensor | ndarray) -> Tensor:
        """The angle of the point (other, input) in radians, from -pi to pi. Both gradients are 0 at the
        origin.
        """
    def sinh(self) -> Tensor:
        """The hyperbolic sine."""
    def cosh(self) -> Tensor:
        """The hyperbolic cosine."""
    def asinh(self) -> Tensor:
        """The inverse hyperbolic sine."""
    def acosh(self) -> Tensor:
        """The inverse hyperbolic cosine."""
    def atanh(self) -> Tensor:
        """The inverse hyperbolic tangent."""
    def sign(self) -> Tensor:
        """-1, 0 or 1; of a boolean itself."""
    def floor(self) -> Tensor:
        """The largest integer that is not larger."""
    def ceil(self) -> Tensor:
        """The smallest integer that is not smaller."""
    def trunc(self) -> Tensor:
        """The integer part."""
    def round(self, *, decimals: _int = 0) -> Tensor:
        """The nearest integer (or number with `decimals` decimals); halves go to the even one.

        Raises: TypeError for booleans.
        """
    def frac(self) -> Tensor:
        """The part after the decimal point: input - trunc(input)."""
    def sum(self, dim: Dim = None, keepdim: _bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """The sum of the elements along dim. Integers and booleans are summed as int64.

        dtype: convert to this dtype first (and return it).

        Raises: ValueError if dim does not exist or comes twice.
        """
    def mean(self, dim: Dim = None, keepdim: _bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """The sum along dim divided by the number of elements; not a number if there are none.

        dtype: convert to this dtype first (and return it).

        Raises: TypeError for integers without dtype; ValueError if dim does not exist or comes twice.
        """
    def var(self, dim: Dim = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: _float = 1, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """sum((x - mean(x))**2) / (n - correction) along dim.

        correction: 1 estimates the variance of what the elements were drawn from, 0 is the variance of
        the elements themselves. unbiased: the older way to say correction=1 (True) or 0 (False).

        Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
        """
    def std(self, dim: Dim = None, unbiased: _bool | None = None, keepdim: _bool = False, *, correction: _float = 1, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """The standard deviation: the square root of var. Where it is 0 the gradient is 0, as in torch.

        Raises: TypeError for integers; ValueError if n - correction is not positive, or dim is wrong.
        """
    def prod(self, dim: _int | None = None, keepdim: _bool = False, *, dtype: Any = None, axis: _int | None = None, keepdims: _bool | None = None) -> Tensor:
        """The product of the elements along dim, or of all. The gradient is right at zeros too.

        dtype: convert to this dtype first (and return it).

        Raises: ValueError if dim does not exist.
        """
    def norm(self, p: _float | str = 2, dim: Dim = None, keepdim: _bool = False, *, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """The norm of the elements along dim, taken as a vector (also of a matrix), as torch.norm.

        input (d1, ...)
        p: 2 or "fro": sqrt(sum(x**2)); inf: max |x|; -inf: min |x|; 0: how many are not 0; else
        sum(|x|**p) ** (1/p). Where the norm is 0 the gradient is 0.

        Raises: TypeError for integers; ValueError for another p, or if dim does not exist.
        """
    @overload
    def max(self) -> Tensor:
        """The largest element. Three forms, as in torch:

        max(input): of all elements; equal ones share the gradient evenly.
        max(input, dim, keepdim=False): (values, indices) along one dimension; of equal ones the first,
            which gets the gradient.
        max(input, other): maximum(input, other), elementwise.

        Raises: ValueError if there are no elements, or dim does not exist or is several.
        """
    @overload
    def max(self, dim: _int, keepdim: _bool = False) -> Extremes: ...
    @overload
    def max(self, *, axis: _int, keepdims: _bool = False) -> Extremes: ...
    @overload
    def max(self, other: Tensor) -> Tensor: ...
    @overload
    def min(self) -> Tensor:
        """The smallest element: min(input), min(input, dim) or min(input, other); see max."""
    @overload
    def min(self, dim: _int, keepdim: _bool = False) -> Extremes: ...
    @overload
    def min(self, *, axis: _int, keepdims: _bool = False) -> Extremes: ...
    @overload
    def min(self, other: Tensor) -> Tensor: ...
    def amax(self, dim: Dim = None, keepdim: _bool = False, *, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """The largest element along dim. Equal ones share the gradient evenly, as in torch.

        Raises: ValueError if there are no elements, or dim does not exist.
        """
    def amin(self, dim: Dim = None, keepdim: _bool = False, *, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """The smallest element along dim. Equal ones share the gradient evenly, as in torch.

        Raises: ValueError if there are no elements, or dim does not exist.
        """
    def argmax(self, dim: _int | None = None, keepdim: _bool = False, *, axis: _int | None = None, keepdims: _bool | None = None) -> Tensor:
        """The index of the (first) largest element along dim; without dim, in the flattened tensor.

        Raises: ValueError if there are no elements, or dim does not exist.
        """
    def argmin(self, dim: _int | None = None, keepdim: _bool = False, *, axis: _int | None = None, keepdims: _bool | None = None) -> Tensor:
        """The index of the (first) smallest element along dim; without dim, in the flattened tensor.

        Raises: ValueError if there are no elements, or dim does not exist.
        """
    def all(self, dim: Dim = None, keepdim: _bool = False, *, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """Whether all elements along dim are true (not zero); true if there are none. dim=(): whether
        each is.
        """
    def any(self, dim: Dim = None, keepdim: _bool = False, *, axis: Dim = None, keepdims: _bool | None = None) -> Tensor:
        """Whether any element along dim is true (not zero); false if there are none. dim=(): whether
        each is.
        """
    def cumsum(self, dim: _int, *, dtype: Any = None) -> Tensor:
        """Running sums along dim: y[i] = x[0] + ... + x[i]. They are added in float64, integers and
        booleans as int64.

        dtype: convert to this dtype first (and return it).

        Raises: ValueError if dim does not exist.
        """
    def reshape(self, *sizes: _int | Sequence[_int], shape: _int | Sequence[_int] | None = None) -> Tensor:
        """The elements in row-major order under another shape. One size may be -1: the rest of them.

        The result shares memory where the strides allow it, else it is a copy: reshape always works.
        The method also takes sizes: x.reshape(2, -1).

        Raises: ValueError if the number of elements differs, or a -1 cannot be inferred.
        """
    def view(self, *sizes: _int | Sequence[_int], size: _int | Sequence[_int] | None = None) -> Tensor:
        """The same as reshape: where torch's view would refuse a non-contiguous tensor, a copy."""
    def expand(self, *sizes: _int | Sequence[_int], size: _int | Sequence[_int] | None = None) -> Tensor:
        """Dimensions of size 1 repeated to the given sizes, new ones added in front; -1 keeps a size.

        The result is a read-only view: nothing is copied. The method also takes sizes: x.expand(3, -1).

        Raises: ValueError if a size other than 1 would have to change.
        """
    def permute(self, *sizes: _int | Sequence[_int], dims: _int | Sequence[_int] | None = None) -> Tensor:
        """The dimensions in another order: result dimension i is dimension dims[i]. A view.

        The method also takes numbers: x.permute(0, 2, 1).

        Raises: ValueError unless dims names each dimension once.
        """
    def flip(self, *sizes: _int | Sequence[_int], dims: _int | Sequence[_int] | None = None) -> Tensor:
        """The order of elements reversed along the given dimensions. A copy.

        Raises: ValueError if a dimension does not exist or comes twice.
        """
    def repeat(self, *sizes: _int | Sequence[_int], repeats: _int | Sequence[_int] | None = None) -> Tensor:
        """The whole tensor repeated along each dimension; extra counts add dimensions in front. A copy.

        The method also takes numbers: x.repeat(2, 1).

        Raises: ValueError for fewer counts than dimensions.
        """
    def tile(self, *sizes: _int | Sequence[_int], dims: _int | Sequence[_int] | None = None) -> Tensor:
        """As repeat, but missing counts at the front are 1."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """The dimensions from start_dim to end_dim (included) as one.

        (N, C, H, W).flatten(1) -> (N, C*H*W). One dimension alone is the tensor itself, as in torch.

        Raises: ValueError if a dimension does not exist or start_dim comes after end_dim.
        """
    def unflatten(self, dim: _int, sizes: tuple[_int, ...]) -> Tensor:
        """One dimension as several, of these sizes (one may be -1).

        Raises: ValueError if dim does not exist or the sizes do not multiply to its size.
        """
    def squeeze(self, dim: _int | tuple[_int, ...] | None = None, *, axis: _int | tuple[_int, ...] | None = None) -> Tensor:
        """Without the dimensions of size 1: all of them, or those named. Others stay as they are.

        Raises: ValueError if a dimension does not exist.
        """
    def unsqueeze(self, dim: _int) -> Tensor:
        """With a dimension of size 1 inserted before `dim` (-1: at the end).

        Raises: ValueError if dim is outside -ndim - 1 .. ndim.
        """
    def expand_as(self, other: Tensor | ndarray) -> Tensor:
        """input expanded to the shape of other."""
    def reshape_as(self, other: Tensor | ndarray) -> Tensor:
        """input in the shape of other."""
    def view_as(self, other: Tensor | ndarray) -> Tensor:
        """input in the shape of other."""
    def broadcast_to(self, shape: tuple[_int, ...]) -> Tensor:
        """The same as expand."""
    def transpose(self, dim0: _int, dim1: _int) -> Tensor:
        """With two dimensions exchanged. A view.

        Raises: ValueError if one does not exist.
        """
    def swapaxes(self, axis0: _int, axis1: _int) -> Tensor:
        """The same as transpose(input, axis0, axis1)."""
    def swapdims(self, axis0: _int, axis1: _int) -> Tensor:
        """The same as transpose(input, axis0, axis1)."""
    def movedim(self, source: _int | tuple[_int, ...], destination: _int | tuple[_int, ...]) -> Tensor:
        """The source dimensions moved to the destinations, the others in their order around them.

        Raises: ValueError if one does not exist, comes twice, or the counts differ.
        """
    def moveaxis(self, source: _int | tuple[_int, ...], destination: _int | tuple[_int, ...]) -> Tensor:
        """The source dimensions moved to the destinations, the others in their order around them.

        Raises: ValueError if one does not exist, comes twice, or the counts differ.
        """
    def t(self) -> Tensor:
        """The transpose of a matrix; vectors and numbers as they are.

        Raises: ValueError for more than 2 dimensions.
        """
    @property
    def T(self) -> Tensor:
        """The dimensions in reverse order: the transpose of a matrix."""
    @property
    def mT(self) -> Tensor:
        """x.mT: the last two dimensions exchanged.

        Raises: ValueError for fewer than 2 dimensions.
        """
    def split(self, split_size_or_sections: _int | Sequence[_int], dim: _int = 0, *, axis: _int | None = None) -> tuple[Tensor, ...]:
        """Parts along a dimension, as views: of one size (the last may be smaller), or of those listed.

        Raises: ValueError if the sizes do not add up to the dimension's, or dim does not exist.
        """
    def chunk(self, chunks: _int, dim: _int = 0, *, axis: _int | None = None) -> tuple[Tensor, ...]:
        """At most `chunks` parts along a dimension, of equal size but for the last. Views.
        Of size 0: as many as were asked for.

        Raises: ValueError if chunks is not positive or dim does not exist.
        """
    def unbind(self, dim: _int = 0, *, axis: _int | None = None) -> tuple[Tensor, ...]:
        """All slices along a dimension, which disappears. Views.

        To walk through a sequence, this is faster than x[0], x[1], ...: the derivative of each x[t] is
        as large as x, that of unbind is x once.

        Raises: ValueError if dim does not exist.
        """
    def narrow(self, dim: _int, start: _int, length: _int) -> Tensor:
        """`length` entries along a dimension from `start` (negative: from the end). A view.

        Raises: ValueError if the entries do not all exist.
        """
    def select(self, dim: _int, index: _int) -> Tensor:
        """The slice at one index of a dimension, which disappears. A view.

        Raises: ValueError if dim, IndexError if index does not exist.
        """
    def roll(self, shifts: _int | tuple[_int, ...], dims: _int | tuple[_int, ...] | None = None) -> Tensor:
        """Elements moved by `shifts` places along dims; those pushed out come in at the other end.

        Without dims the tensor is rolled as if it were flattened. A copy.

        Raises: ValueError if a dimension does not exist or shifts and dims are not equally many.
        """
    def repeat_interleave(self, repeats: _int | Any, dim: _int | None = None, *, axis: _int | None = None) -> Tensor:
        """Each element (or slice along dim) repeated in place: [1, 2] -> [1, 1, 2, 2]. A copy.

        repeats: one count, or a count for each. Without dim the tensor is flattened first.

        Raises: ValueError if the counts do not fit the dimension.
        """
    def tril(self, diagonal: _int = 0) -> Tensor:
        """The lower triangle of matrices (..., R, C), zeros above the given diagonal.

        Raises: ValueError for fewer than 2 dimensions.
        """
    def triu(self, diagonal: _int = 0) -> Tensor:
        """The upper triangle of matrices (..., R, C), zeros below the given diagonal.

        Raises: ValueError for fewer than 2 dimensions.
        """
    def clone(self) -> Tensor:
        """A copy with memory of its own; gradients pass through it."""
    def contiguous(self) -> Tensor:
        """The tensor itself if its elements lie in memory in row-major order, else a copy that does."""
    def to(self, *args: Any, dtype: Any = None, device: Any = None, copy: _bool = False, non_blocking: _bool = False) -> Tensor:
        """The tensor in another dtype; itself if it has that dtype already (unless copy).

        x.to(dtype), x.to("cpu"), x.to("cpu", dtype) or x.to(other_tensor). Floats to integers are cut
        towards zero, and the gradient ends there; between floats the gradient passes.

        Raises: TypeError if dtype is none; ValueError for a device other than "cpu".
        """
    def type(self, *args: Any, dtype: Any = None, device: Any = None, copy: _bool = False, non_blocking: _bool = False) -> Tensor:
        """The tensor in another dtype; itself if it has that dtype already (unless copy).

        x.to(dtype), x.to("cpu"), x.to("cpu", dtype) or x.to(other_tensor). Floats to integers are cut
        towards zero, and the gradient ends there; between floats the gradient passes.

        Raises: TypeError if dtype is none; ValueError for a device other than "cpu".
        """
    def astype(self, *args: Any, dtype: Any = None, device: Any = None, copy: _bool = False, non_blocking: _bool = False) -> Tensor:
        """The tensor in another dtype; itself if it has that dtype already (unless copy).

        x.to(dtype), x.to("cpu"), x.to("cpu", dtype) or x.to(other_tensor). Floats to integers are cut
        towards zero, and the gradient ends there; between floats the gradient passes.

        Raises: TypeError if dtype is none; ValueError for a device other than "cpu".
        """
    def type_as(self, other: Tensor | ndarray) -> Tensor:
        """input in the dtype of other."""
    def half(self) -> Tensor:
        """The elements as float16; the tensor itself if they are."""
    def float(self) -> Tensor:
        """The elements as float32; the tensor itself if they are."""
    def double(self) -> Tensor:
        """The elements as float64; the tensor itself if they are."""
    def int(self) -> Tensor:
        """The elements as int32; the tensor itself if they are."""
    def long(self) -> Tensor:
        """The elements as int64; the tensor itself if they are."""
    def bool(self) -> Tensor:
        """The elements as bool; the tensor itself if they are."""
    def cpu(self) -> Tensor:
        """The tensor itself."""
    def __getitem__(self, index: Any) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def with_item(self, index: Any, value: Tensor | ndarray | _float | np.number) -> Tensor:
        """A copy of the tensor in which [index] is `value`: x[index] = value as a function; see
        setitem.
        """
    def gather(self, dim: _int, index: Tensor | ndarray) -> Tensor:
        """result[i][j] = input[i][index[i][j]] for dim 1, and so on: an index for every place.

        index: integers, as many dimensions as input, not larger than it except along dim.
        The result has the shape of index.

        Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
        ValueError if the shapes do not fit or dim does not exist.
        """
    def take_along_dim(self, indices: Tensor | ndarray, dim: _int | None = None, *, axis: _int | None = None) -> Tensor:
        """gather with broadcasting between input and indices; without dim, of the flattened input.

        Raises: as gather.
        """
    def index_select(self, dim: _int, index: Tensor | ndarray) -> Tensor:
        """The slices of a dimension at the given indices (a vector of integers), as a copy.

        Raises: IndexError for an index out of range; TypeError for a non-integer index; ValueError if
        dim does not exist or index is no vector.
        """
    def scatter(self, dim: _int, index: Tensor | ndarray, src: Tensor | ndarray | _float | np.number) -> Tensor:
        """A copy of input with result[i][index[i][j]] = src[i][j] for dim 1, and so on.

        Where an index repeats, the last stays, and it alone gets a gradient.
        src: of the shape of index, or a number.

        Raises: IndexError for an index outside 0 .. size - 1; TypeError if index is not of integers;
        ValueError if the shapes do not fit or dim does not exist.
        """
    def scatter_add(self, dim: _int, index: Tensor | ndarray, src: Tensor | ndarray) -> Tensor:
        """input with src added at result[i][index[i][j]] for dim 1, and so on; repeated indices add up.

        Raises: as scatter.
        """
    def index_add(self, dim: _int, index: Tensor | ndarray, source: Tensor | ndarray, *, alpha: _float = 1.0) -> Tensor:
        """input with alpha times the slices of source added at the given indices of a dimension.

        Raises: ValueError unless source is as input, with one slice for each index; else as getitem.
        """
    def masked_fill(self, mask: Tensor | ndarray, value: Tensor | ndarray | _float | np.number) -> Tensor:
        """input with `value` where mask is true, in the dtype of input; mask broadcasts to input.

        Raises: TypeError unless mask is of booleans, or for a value that input's dtype does not hold;
        ValueError if mask does not broadcast to input.
        """
    def masked_select(self, mask: Tensor | ndarray) -> Tensor:
        """The elements where mask is true, as a vector; input and mask broadcast.

        Raises: TypeError unless mask is of booleans; ValueError if the shapes do not broadcast.
        """
    @overload
    def nonzero(self, as_tuple: Literal[False] = False) -> Tensor:
        """The indices of the elements that are not zero: (how many, ndim) integers, in row-major order.

        as_tuple: a vector for each dimension instead: x[nonzero(x, as_tuple=True)] selects them.
        """
    @overload
    def nonzero(self, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...
    def argsort(self, dim: _int = -1, descending: _bool = False, stable: _bool = True, *, axis: _int | None = None) -> Tensor:
        """The indices that sort the input along dim. Equal elements keep their order (always stable);
        what is not a number counts as the largest.

        Raises: ValueError if dim does not exist.
        """
    def sort(self, dim: _int = -1, descending: _bool = False, stable: _bool = True, *, axis: _int | None = None) -> Extremes:
        """(values, indices) sorted along dim; the gradient of a value goes to the element it came from.

        Equal elements keep their order; what is not a number counts as the largest.

        Raises: ValueError if dim does not exist.
        """
    def topk(self, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True, *, axis: _int | None = None) -> Extremes:
        """(values, indices) of the k largest (or smallest) elements along dim, best first.

        Raises: ValueError if there are fewer than k elements, or dim does not exist.
        """
    def diagonal(self, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
        """The diagonal of the matrices in two dimensions, as a new last dimension. A view.

        offset: > 0 above the main diagonal, < 0 below.

        Raises: ValueError if a dimension does not exist or both are the same.
        """
    def diag(self, diagonal: _int = 0) -> Tensor:
        """A vector as the diagonal of a square matrix of zeros; of a matrix, its diagonal as a vector.

        Raises: ValueError unless 1 or 2 dimensions.
        """
    def trace(self) -> Tensor:
        """The sum of a matrix's diagonal.

        Raises: ValueError unless 2 dimensions.
        """
    def __matmul__(self, other: Tensor | ndarray) -> Tensor: ...
    def matmul(self, other: Tensor | ndarray) -> Tensor:
        """The matrix product, input @ other: y[..., n, m] = sum_k input[..., n, k] * other[..., k, m].

        input (..., N, K), other (..., K, M) -> (..., N, M); the leading (batch) dimensions broadcast.
        A 1-dimensional input is a row (K,), a 1-dimensional other a column (K,); their dimension is
        then missing from the result: (K,) @ (K,) is a single number.

        Different dtypes are promoted, as by x * y (torch refuses them).

        Raises: ValueError if the inner sizes differ or the batches do not broadcast.
        """
    def __rmatmul__(self, other: Tensor | ndarray | _float | np.number) -> Tensor: ...
    def mm(self, mat2: Tensor | ndarray) -> Tensor:
        """The product of two matrices: input (N, K), mat2 (K, M) -> (N, M).

        Raises: ValueError for other ranks or sizes.
        """
    def bmm(self, mat2: Tensor | ndarray) -> Tensor:
        """The products of two batches of matrices, without broadcasting:

        input (B, N, K), mat2 (B, K, M) -> (B, N, M)

        Raises: ValueError for other ranks or sizes.
        """
    def dot(self, tensor: Tensor | ndarray) -> Tensor:
        """The inner product of two vectors: input and tensor (K,) -> ().

        Raises: ValueError for other ranks or sizes.
        """
    def outer(self, vec2: Tensor | ndarray) -> Tensor:
        """The outer product of two vectors, y[n, m] = input[n] * vec2[m]:

        input (N,), vec2 (M,) -> (N, M)

        Raises: ValueError for other ranks.
        """
    def relu(self, inplace: _bool = False) -> Tensor:
        """max(input, 0), elementwise. The gradient at 0 is 0; NaN stays NaN, and passes g on."""
    def tanh(self) -> Tensor:
        """(e^x - e^-x) / (e^x + e^-x), elementwise, between -1 and 1. The derivative is 1 - tanh^2."""
    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x), elementwise, between 0 and 1. The derivative is s (1 - s)."""
    def erf(self) -> Tensor:
        """The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, elementwise."""
    def softmax(self, dim: _int | tuple[_int, ...] | None = None, *, axis: _int | tuple[_int, ...] | None = None) -> Tensor:
        """e^x_k / sum_j e^x_j along `dim`: positive numbers that sum to 1. Safe for logits of any size.

        input (d1, ...) -> (d1, ...)
        dim: the dimension of the classes; -1 or 1 for (N, C). A tuple: all of these together. It has
        no default, since a wrong guess gives a plausible result.

        Raises: ValueError without `dim` or if there is no such dimension; TypeError for integers.
        """
    def log_softmax(self, dim: _int | tuple[_int, ...] | None = None, *, axis: _int | tuple[_int, ...] | None = None) -> Tensor:
        """x_k - log sum_j e^x_j along `dim`: the logarithm of softmax, without its overflow to log 0.

        input (d1, ...) -> (d1, ...)
        dim: as for softmax.

        Raises: ValueError without `dim` or if there is no such dimension; TypeError for integers.
        """
    def logsumexp(self, dim: _int | tuple[_int, ...] | None, keepdim: _bool = False, *, keepdims: _bool | None = None) -> Tensor:
        """log sum_j e^x_j along `dim` (one, several, or None: all), a smooth maximum. Never overflows.

        input (d1, ...). keepdim: keep the reduced dimensions, with size 1.

        Raises: ValueError if there is no such dimension; TypeError for a dim that is no integer.
        """
    def uniform_(self: Itself, from_: _float = 0.0, to: _float = 1.0, *, generator: Generator | None = None, **bounds: _float) -> Itself:
        """Fills the tensor with uniform numbers, from <= x < to, and returns it.

        Raises: ValueError if from > to, or for a leaf that requires grad (use it under no_grad);
        TypeError for an integer tensor.
        """
    def normal_(self: Itself, mean: _float = 0.0, std: _float = 1.0, *, generator: Generator | None = None) -> Itself:
        """Fills the tensor with normal numbers of this mean and standard deviation, and returns it.

        Raises: ValueError if std is negative, or for a leaf that requires grad (use it under no_grad);
        TypeError for an integer tensor.
        """
    def bernoulli_(self: Itself, p: _float = 0.5, *, generator: Generator | None = None) -> Itself:
        """Fills the tensor with 1 (probability p) and 0, and returns it.

        Raises: ValueError unless 0 <= p <= 1, or for a leaf that requires grad (use it under no_grad).
        """
    def bernoulli(self, *, generator: Generator | None = None) -> Tensor:
        """1 with the probability that input holds, else 0, in the shape and dtype of input.

        Not differentiable: the result has no history.

        Raises: ValueError for a probability outside 0 .. 1; TypeError for an integer tensor.
        """
    def multinomial(self, num_samples: _int, replacement: _bool = False, *, generator: Generator | None = None) -> Tensor:
        """Indices drawn with the probabilities input[i] / sum(input); of each row if it is a matrix.

        input: weights >= 0, (n,) or (rows, n) -> (num_samples,) or (rows, num_samples) integers.
        replacement: whether an index may be drawn again.

        Raises: ValueError for negative or infinite weights, a row of zeros, or (without replacement)
        fewer weights > 0 than num_samples.
        """
