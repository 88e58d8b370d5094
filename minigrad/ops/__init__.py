"""The operations, sorted from simple to hard, and the methods that they lend to Tensor.

elementwise  reduce  shape  indexing  linear  activation  conv  pool  rnn  loss  random

An op is one block: see `elementwise.py` for the first, `op.py` for what the parts mean.
"""
from __future__ import annotations

import numpy as np

from ..engine import Tensor
from . import creation as creation
from . import indexing, random, reduce, shape
from .elementwise import (
    abs,
    add,
    div,
    mul,
    neg,
    pow,
    sub,
)
from .inplace import InPlaceMethods


def _sizes(function):
    """A method that takes sizes or dimensions as numbers too: x.reshape(2, 3), x.reshape((2, 3))."""
    def method(self, *sizes):
        return function(self, sizes[0] if len(sizes) == 1 else sizes)
    method.__name__, method.__doc__ = function.__name__, function.__doc__
    return method


class TensorMethods(InPlaceMethods):
    """The table: Tensor's operators and methods that are operations. x.exp() is exp(x)."""
    __slots__ = ()
    __add__ = __radd__ = add
    __sub__ = sub
    __rsub__ = lambda self, other: sub(other, self)
    __mul__ = __rmul__ = mul
    __truediv__ = div
    __rtruediv__ = lambda self, other: div(other, self)
    __pow__ = pow
    __rpow__ = lambda self, other: pow(other, self)
    __neg__ = neg
    __abs__ = abs
    # reduce
    sum, mean, var, std, prod, norm = (
        reduce.sum, reduce.mean, reduce.var, reduce.std, reduce.prod, reduce.norm)
    max, min, amax, amin = reduce.max, reduce.min, reduce.amax, reduce.amin
    argmax, argmin, all, any, cumsum = (
        reduce.argmax, reduce.argmin, reduce.all, reduce.any, reduce.cumsum)

    # shape
    reshape, view, expand = _sizes(shape.reshape), _sizes(shape.view), _sizes(shape.expand)
    permute, flip = _sizes(shape.permute), _sizes(shape.flip)
    repeat, tile = _sizes(shape.repeat), _sizes(shape.tile)
    flatten, unflatten, squeeze, unsqueeze = (
        shape.flatten, shape.unflatten, shape.squeeze, shape.unsqueeze)
    expand_as, reshape_as, view_as = shape.expand_as, shape.reshape_as, shape.reshape_as
    broadcast_to, transpose, swapaxes, swapdims, movedim, moveaxis, t = (
        shape.broadcast_to, shape.transpose, shape.swapaxes, shape.swapaxes, shape.movedim,
        shape.movedim, shape.t)
    T = property(lambda self: shape.permute(self, tuple(range(self.ndim))[::-1]))
    mT = property(shape.matrix_transpose)
    split, chunk, unbind, narrow, select = (
        shape.split, shape.chunk, shape.unbind, shape.narrow, shape.select)
    roll, repeat_interleave, tril, triu = (
        shape.roll, shape.repeat_interleave, shape.tril, shape.triu)
    clone, contiguous, to, type, astype, type_as = (
        shape.clone, shape.contiguous, shape.to, shape.to, shape.to, shape.type_as)
    half = lambda self: shape.to(self, np.float16)
    float = lambda self: shape.to(self, np.float32)
    double = lambda self: shape.to(self, np.float64)
    int = lambda self: shape.to(self, np.int32)
    long = lambda self: shape.to(self, np.int64)
    bool = lambda self: shape.to(self, np.bool_)
    cpu = lambda self: self

    # indexing
    __getitem__, __setitem__ = indexing.getitem, indexing.tensor_setitem
    gather, take_along_dim, index_select = (
        indexing.gather, indexing.take_along_dim, indexing.index_select)
    scatter, scatter_add, index_add = indexing.scatter, indexing.scatter_add, indexing.index_add
    masked_fill, masked_select, nonzero = (
        indexing.masked_fill, indexing.masked_select, indexing.nonzero)
    argsort, sort, topk = indexing.argsort, indexing.sort, indexing.topk
    diagonal, diag, trace = indexing.diagonal, indexing.diag, indexing.trace

    # random
    uniform_, normal_, bernoulli_ = random.uniform_, random.normal_, random.bernoulli_
    bernoulli, multinomial = random.bernoulli, random.multinomial


for _name, _method in {**vars(InPlaceMethods), **vars(TensorMethods)}.items():
    if _name not in ("__module__", "__doc__", "__slots__", "__qualname__"):
        setattr(Tensor, _name, _method)
