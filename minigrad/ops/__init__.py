"""The operations, sorted from simple to hard, and the methods that they lend to Tensor.

elementwise  reduce  shape  indexing  linear  activation  conv  pool  rnn  loss  random

An op is one block: see `elementwise.py` for the first, `op.py` for what the parts mean.
"""
from __future__ import annotations

from ..engine import Tensor
from .elementwise import (
    abs,
    add,
    div,
    mul,
    neg,
    pow,
    sub,
)


class TensorMethods:
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


for _name, _method in vars(TensorMethods).items():
    if _name not in ("__module__", "__doc__", "__slots__", "__qualname__"):
        setattr(Tensor, _name, _method)
