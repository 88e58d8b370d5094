"""Operations in place: x.add_(y) computes x + y and x becomes the result.

One mechanism for all of them, Tensor.become (autograd/inplace.py): without a gradient the numbers
are written into x's memory; with one, x takes the result's place in the graph. So no derivative is
stated here.
Not here: x[index] = value (`indexing.py`), drawing numbers in place (`random.py`).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.construct import to_array
from ..autograd.engine import Tensor, wrap
from ..autograd.inplace import refuse_read_only
from ..modes import settings
from ..autograd.agreement import rounded_once
from ..promotion import WIDE, refuse_unfit
from ..autograd.writes import record_write
from . import activation, elementwise, gather, matrix
from .cast import clone, to
from .shape import expand


def in_place(function: Callable) -> Callable[..., Tensor]:
    """The method that replaces a tensor by function(tensor, ...)."""
    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        return self.become(function(self, *args, **options))
    method.__wrapped__ = function                  # type: ignore[attr-defined]  # its signature
    name = function.__name__
    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = (f"{name} in place: the tensor becomes {name}(x, ...) and is returned.\n\n"
                      "    Raises: ValueError for a leaf that requires grad (outside no_grad), a "
                      "view other than\n    x[index] where a gradient is involved, or another "
                      "shape.\n    ")
    return method


def _scaled(function: Callable) -> Callable[..., Tensor]:
    """add_ and sub_ with torch's alpha: x.add_(g, alpha=-lr) is x += -lr * g, as optimisers write
    it."""
    def method(self: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
        if alpha == 1:
            return self.become(function(self, other))
        result = lambda x, y: function(x, y * alpha)
        if self.dtype in WIDE:
            return self.become(rounded_once(result, self, other))
        return self.become(result(self, other))
    method.__name__ = method.__qualname__ = f"{function.__name__}_"
    method.__doc__ = f"The tensor becomes {function.__name__}(x, alpha * other); see in_place."
    return method


def _product(sign: float) -> Callable[..., Tensor]:
    def method(self: Tensor, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
        def result(x: Any, a: Any, b: Any) -> Any:
            other = a * b if sign > 0 else a / b
            return x + (other if value == 1 else other * value)
        if self.dtype in WIDE:                     # a * b may overflow where the result does not
            return self.become(rounded_once(result, self, tensor1, tensor2))
        return self.become(result(self, tensor1, tensor2))
    method.__name__ = method.__qualname__ = "addcmul_" if sign > 0 else "addcdiv_"
    method.__doc__ = f"x += value * tensor1 {'*' if sign > 0 else '/'} tensor2, in place."
    return method


def _write(self: Tensor, value: Any) -> Tensor:
    """Every element becomes `value`, a number or an array that broadcasts."""
    if settings.grad_enabled and self._requires_grad:
        # The old numbers keep their place in the graph: their gradient is 0, and not None.
        return self.become(self.with_item(Ellipsis, value))
    refuse_read_only(self.array)
    refuse_unfit("fill_", self.array.dtype, value)
    self.array[...] = value
    record_write(self.array)
    return self


def zero_(self: Tensor) -> Tensor:
    """Fills the tensor with zeros and returns it. What it was before gets a gradient of 0.

    Raises: ValueError for a leaf that requires grad (outside no_grad), or a view with a gradient.
    """
    return _write(self, 0)


def fill_(self: Tensor, value: Any) -> Tensor:
    """Fills the tensor with one value, a number or a 0-dimensional tensor, and returns it.

    Raises: ValueError as zero_, or if value has dimensions.
    """
    if isinstance(value, Tensor):
        if value.ndim:
            raise ValueError(f"fill_: want one number, got a tensor of shape {value.shape}; "
                             "use copy_")
        return copy_(self, value)
    if not isinstance(value, (int, float, np.generic, np.ndarray)) or np.ndim(value):
        raise ValueError(f"fill_: want one number, got {value!r}; use copy_")
    return _write(self, to_array(value) if isinstance(value, (np.generic, np.ndarray)) else value)


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Takes the values of src, which broadcasts and is converted to this dtype; returns the tensor.

    Raises: ValueError as zero_, or if src does not broadcast to this shape.
    """
    source = src if isinstance(src, Tensor) else wrap(to_array(src))
    if source.shape != self.shape:
        source = expand(source, self.shape)
    if settings.grad_enabled and (self._requires_grad or source._requires_grad):
        return self.become(self.with_item(Ellipsis, to(source, self.dtype)) if self._requires_grad
                           else clone(to(source, self.dtype)))
    return _write(self, source.array)


class InPlaceMethods:
    """The table of Tensor's methods that end in an underscore, and of the operators x += y."""
    __slots__ = ()
    __iadd__ = in_place(elementwise.add)
    __isub__ = in_place(elementwise.sub)
    __imul__ = in_place(elementwise.mul)
    __itruediv__ = in_place(elementwise.div)
    __ipow__ = in_place(elementwise.pow)
    __imod__ = in_place(elementwise.remainder)
    __ifloordiv__ = in_place(elementwise.floor_divide)
    __iand__ = in_place(elementwise.bitwise_and)
    __ior__ = in_place(elementwise.bitwise_or)
    __ixor__ = in_place(elementwise.bitwise_xor)
    zero_, fill_, copy_ = zero_, fill_, copy_
    add_, sub_ = _scaled(elementwise.add), _scaled(elementwise.sub)
    mul_ = in_place(elementwise.mul)
    div_ = in_place(elementwise.div)
    pow_ = in_place(elementwise.pow)
    addcmul_, addcdiv_ = _product(1.0), _product(-1.0)
    neg_ = in_place(elementwise.neg)
    abs_ = in_place(elementwise.abs)
    relu_ = in_place(activation.relu)
    tanh_ = in_place(activation.tanh)
    sigmoid_ = in_place(activation.sigmoid)
    exp_ = in_place(elementwise.exp)
    exp2_ = in_place(elementwise.exp2)
    expm1_ = in_place(elementwise.expm1)
    log_ = in_place(elementwise.log)
    log2_ = in_place(elementwise.log2)
    log10_ = in_place(elementwise.log10)
    log1p_ = in_place(elementwise.log1p)
    sqrt_ = in_place(elementwise.sqrt)
    rsqrt_ = in_place(elementwise.rsqrt)
    square_ = in_place(elementwise.square)
    reciprocal_ = in_place(elementwise.reciprocal)
    sin_ = in_place(elementwise.sin)
    cos_ = in_place(elementwise.cos)
    tan_ = in_place(elementwise.tan)
    atan_ = in_place(elementwise.atan)
    sinh_ = in_place(elementwise.sinh)
    cosh_ = in_place(elementwise.cosh)
    clamp_ = in_place(elementwise.clamp)
    sign_ = in_place(elementwise.sign)
    floor_ = in_place(elementwise.floor)
    ceil_ = in_place(elementwise.ceil)
    trunc_ = in_place(elementwise.trunc)
    round_ = in_place(elementwise.round)
    frac_ = in_place(elementwise.frac)
    remainder_ = in_place(elementwise.remainder)
    floor_divide_ = in_place(elementwise.floor_divide)
    logical_and_ = in_place(elementwise.logical_and)
    logical_or_ = in_place(elementwise.logical_or)
    logical_xor_ = in_place(elementwise.logical_xor)
    logical_not_ = in_place(elementwise.logical_not)
    bitwise_not_ = in_place(elementwise.bitwise_not)
    bitwise_and_ = in_place(elementwise.bitwise_and)
    bitwise_or_ = in_place(elementwise.bitwise_or)
    bitwise_xor_ = in_place(elementwise.bitwise_xor)
    tril_ = in_place(matrix.tril)
    triu_ = in_place(matrix.triu)
    masked_fill_ = in_place(gather.masked_fill)
    scatter_ = in_place(gather.scatter)
    scatter_add_ = in_place(gather.scatter_add)
    index_add_ = in_place(gather.index_add)
