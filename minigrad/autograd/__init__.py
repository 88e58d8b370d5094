"""Derivatives by the names of torch's module: `minigrad.autograd.grad` is `minigrad.grad`.

Not here: how they are computed (`engine.py`), recorded (`modes.py`) and checked (`gradcheck.py`).
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
