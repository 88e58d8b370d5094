"""Derivatives by the names of torch's module: `minigrad.autograd.grad` is `minigrad.grad`.

In this folder, by what somebody looks for:

    the idea            engine (Tensor, Node, the walk: first), op (what an operation is)
    beside the walk     accumulate (sums of gradients, whose memory), hooks, inplace (writes into
                        tensors), writes (the clock, the user's line), diagnostics (what errors
                        say), results (several of one operation), fusion (two operations as one),
                        construct (tensors of data)
    what an op takes    signature (declares it), shapes (the language of its shapes), options
                        (pairs, numbers in a range, words)
    a call              codegen (the text of an op's two functions), generated (from text to
                        functions), arguments (what is no plain Tensor), agreement (dtypes)
    about ops           table (all of them by name), source (a rule as it was written)

`accumulate.add_into`, the sum of two large gradients, is put there by `ops/__init__.py`, since
nothing here knows a kernel. Not in this folder: when is recorded (`minigrad/modes.py`), derivatives
checked (`minigrad/gradcheck.py`).
"""
from typing import TYPE_CHECKING

from ..absent import shows as _shows
from .engine import backward as backward, grad as grad
from ..gradcheck import gradcheck as gradcheck, gradgradcheck as gradgradcheck
from ..modes import (
    enable_grad as enable_grad, no_grad as no_grad, set_grad_enabled as set_grad_enabled,
)

if not TYPE_CHECKING:                              # who checks types is to see every misspelt name
    __all__, __dir__, __getattr__ = _shows(__name__)
