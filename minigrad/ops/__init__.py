"""The operations, sorted from simple to hard, and the methods that they lend to Tensor.

elementwise  shape  cast  join  reduce  indexing  gather  order  vector_norm  matrix  linear
activation  conv  pool  conv_pool  rnn  loss  class_loss  creation  random  inplace

Some stand where their neighbours are: `dropout` in random, `one_hot` in gather, `pad` in join,
`cumsum` in reduce.

An op is one block: see `elementwise.py` for the first, `op.py` for what the parts mean. What the
families share stands in `kinds.py` (decorators), `derived.py` (derivatives of their rules, found),
`dims.py` (dimensions and shapes that users give), `indices.py` (what an index means), `windows.py`
(options of convolution and pooling) and `samples.py` (inputs for tests). `numpy_functions.py` says
what np.mean and the like do with Tensors.

A new file must be imported here: its operations are in the table once somebody imports it.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import accumulate
from ..autograd.engine import Tensor
from ..kernels.pointwise.add_into import add_into
from . import activation, cast, indexing, join, linear, matrix, order, random, reduce, shape
from . import vector_norm
from . import class_loss as class_loss, conv as conv, conv_pool as conv_pool
from . import creation as creation, loss as loss
from . import elementwise as e, gather as _gather, numpy_functions as numpy_functions
from . import pool as pool, rnn as rnn
from .inplace import InPlaceMethods


Method = Callable[..., Tensor]


_SIZES = """
def {name}(self: Tensor, *sizes: int | Sequence[int],
           {keyword}: int | Sequence[int] | None = None) -> Tensor:
    if {keyword} is not None:
        if sizes:
            raise TypeError(f"{name}: got both {{sizes}} and {keyword}={{{keyword}}}; say one")
        return function(self, {keyword})
    return function(self, sizes[0] if len(sizes) == 1 else sizes)
"""


def _sizes(function: Callable, keyword: str) -> Method:
    """A method that takes its sizes as numbers too, or by torch's name of them: x.reshape(2, 3),
    x.reshape((2, 3)) and x.reshape(shape=(2, 3)). Written out, so that messages name it."""
    name = function.__name__
    scope = {"function": function, "Tensor": Tensor, "Sequence": Sequence}
    code = _SIZES.format(name=name, keyword=keyword)
    exec(compile(code, str(Path(__file__).with_name(f"<{name}>")), "exec"), scope)
    method: Any = scope[name]
    method.__doc__, method.__module__ = function.__doc__, __name__
    return method


def _swapped(function: Callable) -> Method:
    """The operator for 2 - x, where the Tensor stands on the right."""
    def method(self: Tensor, other: Tensor | float) -> Tensor:
        return function(other, self)
    return method


def _to(dtype: Any) -> Method:
    """x.float() and the like: the elements in this dtype; x itself if it has it."""
    def method(self: Tensor) -> Tensor:
        return cast.to(self, dtype)
    method.__doc__ = f"The elements as {np.dtype(dtype)}; the tensor itself if they are."
    return method


def _comparable(function: Callable) -> Method:
    """== and != for which anything but numbers is simply not equal: x == None is False."""
    def method(self: Tensor, other: Any) -> Tensor:
        if other is None or isinstance(other, (str, bytes, dict, list, tuple, set)):
            return NotImplemented
        return function(self, other)
    method.__doc__ = function.__doc__
    return method


def _itself(self: Tensor) -> Tensor:
    """The tensor itself."""
    return self


def _where(self: Tensor, condition: Tensor, other: Tensor | float) -> Tensor:
    """The tensor where condition is true, else other."""
    return e.where(condition, self, other)


class TensorMethods(InPlaceMethods):
    """The table: Tensor's operators and methods that are operations. x.exp() is exp(x)."""
    __slots__ = ()

    # elementwise
    __add__ = __radd__ = add = e.add
    __sub__ = sub = e.sub
    __rsub__ = _swapped(e.sub)
    __mul__ = __rmul__ = mul = e.mul
    __truediv__ = div = e.div
    __rtruediv__ = _swapped(e.div)
    __floordiv__ = floor_divide = e.floor_divide
    __rfloordiv__ = _swapped(e.floor_divide)
    __mod__ = remainder = e.remainder
    __rmod__ = _swapped(e.remainder)
    __pow__ = pow = e.pow
    __rpow__ = _swapped(e.pow)
    __neg__ = neg = e.neg
    __pos__ = _itself
    __abs__ = abs = e.abs
    __eq__, __ne__ = _comparable(e.eq), _comparable(e.ne)        # type: ignore[assignment]
    eq, ne = e.eq, e.ne
    __lt__ = lt = e.lt
    __le__ = le = e.le
    __gt__ = gt = e.gt
    __ge__ = ge = e.ge
    __and__ = __rand__ = bitwise_and = e.bitwise_and
    __or__ = __ror__ = bitwise_or = e.bitwise_or
    __xor__ = __rxor__ = bitwise_xor = e.bitwise_xor
    __invert__ = bitwise_not = e.bitwise_not
    logical_and, logical_or, logical_xor, logical_not = (
        e.logical_and, e.logical_or, e.logical_xor, e.logical_not)
    isnan, isinf, isfinite = e.isnan, e.isinf, e.isfinite
    where = _where
    clamp, clip, maximum, minimum = e.clamp, e.clamp, e.maximum, e.minimum
    exp, exp2, expm1, log, log2, log10, log1p = (
        e.exp, e.exp2, e.expm1, e.log, e.log2, e.log10, e.log1p)
    sqrt, rsqrt, square, reciprocal = e.sqrt, e.rsqrt, e.square, e.reciprocal
    sin, cos, tan, asin, acos, atan, atan2 = (
        e.sin, e.cos, e.tan, e.asin, e.acos, e.atan, e.atan2)
    sinh, cosh, asinh, acosh, atanh = e.sinh, e.cosh, e.asinh, e.acosh, e.atanh
    sign, floor, ceil, trunc, round, frac = (
        e.sign, e.floor, e.ceil, e.trunc, e.round, e.frac)

    # reduce
    sum, mean, var, std, prod, norm = (
        reduce.sum, reduce.mean, reduce.var, reduce.std, reduce.prod, vector_norm.norm)
    max, min, amax, amin = order.max, order.min, order.amax, order.amin
    argmax, argmin, all, any, cumsum = (
        order.argmax, order.argmin, reduce.all, reduce.any, reduce.cumsum)

    # shape
    reshape, view, expand = (
        _sizes(shape.reshape, "shape"), _sizes(shape.view, "size"), _sizes(shape.expand, "size"))
    permute, flip = _sizes(shape.permute, "dims"), _sizes(shape.flip, "dims")
    repeat, tile = _sizes(join.repeat, "repeats"), _sizes(join.tile, "dims")
    flatten, unflatten, squeeze, unsqueeze = (
        shape.flatten, shape.unflatten, shape.squeeze, shape.unsqueeze)
    expand_as, reshape_as, view_as = shape.expand_as, shape.reshape_as, shape.reshape_as
    broadcast_to, transpose, swapaxes, swapdims, movedim, moveaxis, t = (
        shape.broadcast_to, shape.transpose, shape.swapaxes, shape.swapaxes, shape.movedim,
        shape.movedim, shape.t)
    T = property(lambda self: shape.permute(self, tuple(range(self.ndim))[::-1]),
                 doc="The dimensions in reverse order: the transpose of a matrix.")
    mT = property(shape.matrix_transpose)
    split, chunk, unbind, narrow, select = (
        join.split, join.chunk, join.unbind, join.narrow, join.select)
    roll, repeat_interleave, tril, triu = (
        shape.roll, join.repeat_interleave, matrix.tril, matrix.triu)
    clone, contiguous, to, type, astype, type_as = (
        cast.clone, cast.contiguous, cast.to, cast.to, cast.to, cast.type_as)
    half = _to(np.float16)
    float = _to(np.float32)
    double = _to(np.float64)
    int = _to(np.int32)
    long = _to(np.int64)
    bool = _to(np.bool_)
    cpu = _itself

    # indexing
    __getitem__, __setitem__ = indexing.tensor_getitem, indexing.tensor_setitem
    with_item = indexing.with_item
    gather, take_along_dim, index_select = (
        _gather.gather, _gather.take_along_dim, _gather.index_select)
    scatter, scatter_add, index_add = _gather.scatter, _gather.scatter_add, _gather.index_add
    masked_fill, masked_select, nonzero = (
        _gather.masked_fill, _gather.masked_select, _gather.nonzero)
    argsort, sort, topk = order.argsort, order.sort, order.topk
    diagonal, diag, trace = matrix.diagonal, matrix.diag, matrix.trace

    # linear
    __matmul__ = matmul = linear.matmul
    __rmatmul__ = _swapped(linear.matmul)
    mm, bmm, dot, outer = linear.mm, linear.bmm, linear.dot, linear.outer

    # activation
    relu, tanh, sigmoid, erf = (
        activation.relu, activation.tanh, activation.sigmoid, activation.erf)
    softmax, log_softmax, logsumexp = (
        activation.softmax, activation.log_softmax, activation.logsumexp)

    # random
    uniform_, normal_, bernoulli_ = random.uniform_, random.normal_, random.bernoulli_
    bernoulli, multinomial = random.bernoulli, random.multinomial


_NO_METHODS = {"__module__", "__doc__", "__slots__", "__qualname__", "__hash__",
               "__static_attributes__", "__firstlineno__"}
for _name, _method in {**vars(InPlaceMethods), **vars(TensorMethods)}.items():
    if _name not in _NO_METHODS:
        setattr(Tensor, _name, _method)

accumulate.add_into = add_into    # how large gradients are added up; autograd knows no kernels
