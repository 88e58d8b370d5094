"""Derivatives by the names of torch's module: `minigrad.autograd.grad` is `minigrad.grad`.

Not here: how they are computed (`engine.py`), recorded (`modes.py`) and checked (`gradcheck.py`).
"""
from .engine import backward as backward, grad as grad
from .gradcheck import gradcheck as gradcheck, gradgradcheck as gradgradcheck
from .modes import (
    enable_grad as enable_grad, no_grad as no_grad, set_grad_enabled as set_grad_enabled,
)
