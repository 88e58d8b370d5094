"""HIPS autograd: NumPy code and its gradient. Its convolution is a plain-Python loop over taps that
nobody would train with, so there is no CNN here."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp, value_and_grad

from ..programs import Run
from .steps import Library, programs


class Autograd(Library):
    lacks = ("cnn", "cnn_inference")
    mean = staticmethod(anp.mean)
    tanh = staticmethod(anp.tanh)

    def dot(self, x: Any, w: Any) -> Any:
        return anp.dot(x, w.T)

    def relu(self, x: Any) -> Any:
        return anp.maximum(x, np.float32(0))

    def logistic_loss(self, z: Any, y: Any) -> Any:
        return anp.mean(anp.logaddexp(np.float32(0), z) - y * z)

    def cross_entropy(self, z: Any, y: Any) -> Any:
        z = z - anp.max(z, axis=1, keepdims=True)
        log_p = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
        return -anp.mean(log_p[np.arange(len(y)), y])

    def training_step(self, loss: Callable, weights: list[np.ndarray], x: np.ndarray,
                      y: np.ndarray) -> Run:
        both, params = value_and_grad(loss), weights

        def run() -> Any:
            nonlocal params
            value, grads = both(params, x, y)
            params = [p - np.float32(0.01) * g for p, g in zip(params, grads)]
            return value
        return run

    def forward_backward(self, function: Callable, x: np.ndarray, seed: np.ndarray) -> Run:
        def run() -> Any:
            pull, y = make_vjp(function)(x)
            return y, pull(seed)
        return run


PROGRAMS = programs(Autograd())
