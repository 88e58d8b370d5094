"""Keeping gradients from growing too large, between backward() and step()."""
from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ...autograd.engine import Tensor, wrap
from ...foreign import got
from ...autograd.writes import record_write


def _gradients(name: str, parameters: Tensor | Iterable[Tensor]) -> list[np.ndarray]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in tensors:
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: want Tensors, got {got(p, '; pass model.parameters()')}")
    return [p.grad.array for p in tensors if p.grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of all tensors together: (sum |x|^p)^(1/p); inf: the maximum."""
    return wrap(_norm([t.array for t in tensors], norm_type))


def _norm(arrays: list[np.ndarray], p: float) -> np.ndarray:
    dtype = np.result_type(*arrays) if arrays else np.dtype(np.float32)
    if p == math.inf:
        return np.asarray(np.max([np.abs(a).max(initial=0.0) for a in arrays], initial=0.0), dtype)
    # In float64: the squares of large float32 gradients would overflow.
    if p == 2:
        total = sum(float(np.vdot(a, a)) if a.dtype == np.float64
                    else float(np.sum(np.square(a, dtype=np.float64))) for a in arrays)
    else:
        total = sum(float(np.sum(np.abs(a).astype(np.float64) ** p)) for a in arrays)
    return np.asarray(total ** (1.0 / p), dtype)


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> Tensor:
    """Scales all gradients by min(1, max_norm / (norm + 1e-6)), norm being that of all together.

    norm_type: 2 by default, float("inf") for the largest element. Returns the norm before clipping.
    Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063.

    Raises: ValueError for a max_norm or norm_type that is not positive, and, if error_if_nonfinite,
    for a norm that is nan or inf.
    """
    max_norm, norm_type = float(max_norm), float(norm_type)
    if not max_norm >= 0 or not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: want max_norm >= 0 and norm_type > 0, got {max_norm} "
                         f"and {norm_type}")
    arrays = _gradients("clip_grad_norm_", parameters)
    norm = _norm(arrays, norm_type)
    if error_if_nonfinite and not np.isfinite(norm):
        raise ValueError(f"clip_grad_norm_: the norm of the gradients is {norm}; look for the "
                         "operation that first gave nan or inf, or lower the learning rate")
    scale = max_norm / (float(norm) + 1e-6)
    if not scale >= 1.0 and arrays:                    # also for nan, as in torch
        for a in arrays:                               # in float16 scale itself might be 0
            np.multiply(a, scale, out=a, casting="same_kind",
                        dtype=np.float64 if a.dtype == np.float16 else None)
        record_write(*arrays)
    return wrap(norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Brings every element of every gradient into -clip_value ... clip_value.

    Raises: ValueError if clip_value is negative.
    """
    bound = float(clip_value)
    if not bound >= 0:
        raise ValueError(f"clip_grad_value_: want clip_value >= 0, got {clip_value}")
    arrays = _gradients("clip_grad_value_", parameters)
    for a in arrays:
        np.clip(a, -bound, bound, out=a)
    if arrays:
        record_write(*arrays)
