"""MLX on the CPU: mx.compile of a step written with mlx.core and the losses of mlx.nn.

The package for Linux multiplies matrices with the reference BLAS on one thread, whatever number of
threads is asked for. Images have their channels last (NHWC), MLX's only layout, and weights are
(in, out): products with them are a quarter faster than with (out, in).T. mx.compile makes
its CPU kernels with g++; without one, steps run as MLX runs them without it.
"""
from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from ..programs import Run
from .steps import Library, programs


def setup(threads: int, variant: str) -> None:
    """MLX has no setting for threads; on a Mac it would choose the GPU."""
    mx.set_default_device(mx.cpu)


def _compiled(function: Callable) -> Callable:
    return mx.compile(function) if shutil.which("g++") else function


class Mlx(Library):
    inputs_first = True
    channels_last = True
    kernel_axes = (0, 2, 3, 1)
    mean = staticmethod(mx.mean)
    relu = staticmethod(nn.relu)
    tanh = staticmethod(mx.tanh)

    def logistic_loss(self, z: Any, y: Any) -> Any:
        return nn.losses.binary_cross_entropy(z, y, with_logits=True, reduction="mean")

    def cross_entropy(self, z: Any, y: Any) -> Any:
        return nn.losses.cross_entropy(z, y, reduction="mean")

    def layer(self, x: Any, w: Any, b: Any) -> Any:
        return nn.MaxPool2d(2, 2)(nn.relu(mx.conv2d(x, w, 1, 1) + b))

    def recurrence(self, inputs: Any, w_hh: Any) -> Any:
        """A Python loop over the time steps, as mlx.nn.RNN has it."""
        h = mx.zeros((inputs.shape[0], inputs.shape[2]))
        for t in range(inputs.shape[1]):
            h = mx.tanh(inputs[:, t] + h @ w_hh)
        return h

    def training_step(self, loss: Callable, weights: list[np.ndarray], x: np.ndarray,
                      y: np.ndarray) -> Run:
        both = mx.value_and_grad(loss)

        def step(params: list[Any], x: Any, y: Any) -> tuple[list[Any], Any]:
            value, grads = both(params, x, y)
            return [p - 0.01 * g for p, g in zip(params, grads)], value
        compiled = _compiled(step)
        params, data = [mx.array(w) for w in weights], (mx.array(x), mx.array(y))

        def run() -> Any:
            nonlocal params
            params, value = compiled(params, *data)
            mx.eval(params, value)
            return value
        return run

    def inference(self, forward: Callable, weights: list[np.ndarray], x: np.ndarray) -> Run:
        params, data, compiled = [mx.array(w) for w in weights], mx.array(x), _compiled(forward)

        def run() -> Any:
            y = compiled(params, data)
            mx.eval(y)
            return y
        return run

    def forward_backward(self, function: Callable, x: np.ndarray, seed: np.ndarray) -> Run:
        def both(x: Any, seed: Any) -> tuple[Any, Any]:
            (y,), (grad,) = mx.vjp(function, [x], [seed])
            return y, grad
        compiled, data = _compiled(both), (mx.array(x), mx.array(seed))

        def run() -> tuple[Any, Any]:
            y, grad = compiled(*data)
            mx.eval(y, grad)
            return y, grad
        return run


PROGRAMS = programs(Mlx())
