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

from ..programs import draw, initial, labels, transposed


def setup(threads: int, variant: str) -> None:
    """MLX has no setting for threads; on a Mac it would choose the GPU."""
    mx.set_default_device(mx.cpu)


def _compiled(function: Callable) -> Callable:
    return mx.compile(function) if shutil.which("g++") else function


def _training_step(loss_of: Callable, weights: list[np.ndarray], x: np.ndarray,
                   y: np.ndarray) -> Callable[[], Any]:
    """SGD on loss_of(parameters, x, y)."""
    both = mx.value_and_grad(loss_of)

    def step(params: list[Any], x: Any, y: Any) -> tuple[list[Any], Any]:
        loss, grads = both(params, x, y)
        return [p - 0.01 * g for p, g in zip(params, grads)], loss
    compiled = _compiled(step)
    params = [mx.array(w) for w in weights]
    data = mx.array(x), mx.array(y)

    def run() -> Any:
        nonlocal params
        params, loss = compiled(params, *data)
        mx.eval(params, loss)
        return loss
    return run


def _cross_entropy(logits: Any, y: Any) -> Any:
    return nn.losses.cross_entropy(logits, y, reduction="mean")


def linear_regression(batch: int = 4) -> Callable[[], Any]:
    x = np.arange(1, batch + 1, dtype=np.float32)[:, None] / batch

    def loss(params: list[Any], x: Any, y: Any) -> Any:
        w, b = params
        return mx.mean((x @ w + b - y) ** 2)
    return _training_step(loss, transposed([(1, 1), (1,)]), x, 2 * x)


def logistic_regression(batch: int = 64, features: int = 30) -> Callable[[], Any]:
    def loss(params: list[Any], x: Any, y: Any) -> Any:
        w, b = params
        return nn.losses.binary_cross_entropy(x @ w + b, y, with_logits=True, reduction="mean")
    return _training_step(loss, transposed([(1, features), (1,)]), draw(batch, features),
                          labels(batch, 2).astype(np.float32)[:, None])


def _layer(x: Any, w: Any, b: Any) -> Any:
    """Convolution, relu, pooling: (N, H, W, C) -> (N, H/2, W/2, F)."""
    return nn.MaxPool2d(2, 2)(nn.relu(mx.conv2d(x, w, 1, 1) + b))


def _cnn_logits(params: list[Any], x: Any) -> Any:
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    x = _layer(_layer(x, w1, b1), w2, b2)
    return nn.relu(x.reshape(x.shape[0], -1) @ w3 + b3) @ w4 + b4


def _cnn_weights() -> list[np.ndarray]:
    """torch flattens (C, H, W), MLX (H, W, C): the rows of the third weight move with it."""
    w1, b1, w2, b2, w3, b3, w4, b4 = initial([
        (32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 64 * 7 * 7), (128,), (10, 128), (10,)])
    w3 = w3.reshape(128, 64, 7, 7).transpose(2, 3, 1, 0).reshape(-1, 128)
    return [w1.transpose(0, 2, 3, 1), b1, w2.transpose(0, 2, 3, 1), b2, w3, b3,
            np.ascontiguousarray(w4.T), b4]


def _images(batch: int) -> np.ndarray:
    return np.ascontiguousarray(draw(batch, 1, 28, 28).transpose(0, 2, 3, 1))


def cnn(batch: int) -> Callable[[], Any]:
    return _training_step(lambda params, x, y: _cross_entropy(_cnn_logits(params, x), y),
                          _cnn_weights(), _images(batch), labels(batch))


def cnn_inference(batch: int) -> Callable[[], Any]:
    params = [mx.array(w) for w in _cnn_weights()]
    x, forward = mx.array(_images(batch)), _compiled(_cnn_logits)

    def run() -> Any:
        logits = forward(params, x)
        mx.eval(logits)
        return logits
    return run


def rnn(batch: int, steps: int) -> Callable[[], Any]:
    """A Python loop over the time steps, as mlx.nn.RNN has it."""
    def loss(params: list[Any], x: Any, y: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh, w, b = params
        inputs = x @ w_ih + (b_ih + b_hh)               # all time steps at once: (N, T, D)
        h = mx.zeros((batch, 128))
        for t in range(steps):
            h = mx.tanh(inputs[:, t] + h @ w_hh)
        return _cross_entropy(h @ w + b, y)
    shapes = [(128, 100), (128, 128), (128,), (128,), (10, 128), (10,)]
    return _training_step(loss, transposed(shapes), draw(batch, steps, 100), labels(batch))


def mlp(batch: int) -> Callable[[], Any]:
    def loss(params: list[Any], x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = params
        return _cross_entropy(nn.relu(x.reshape(x.shape[0], -1) @ w1 + b1) @ w2 + b2, y)
    return _training_step(loss, transposed([(256, 784), (256,), (10, 256), (10,)]),
                          draw(batch, 1, 28, 28), labels(batch))


def tiny_ops(pairs: int = 100) -> Callable[[], Any]:
    """Compiled as a whole: what 200 operations cost when they are no longer separate."""
    x = mx.array(np.random.default_rng(0).uniform(0.99, 1.01, (3, 4)).astype(np.float32))
    seed = mx.array(draw(3, 4, seed=7))

    def function(x: Any) -> Any:
        y = x
        for _ in range(pairs):
            y = y * x
            y = y - x
        return y

    def both(x: Any, seed: Any) -> tuple[Any, Any]:
        (y,), (grad,) = mx.vjp(function, [x], [seed])
        return y, grad
    compiled = _compiled(both)

    def run() -> tuple[Any, Any]:
        y, grad = compiled(x, seed)
        mx.eval(y, grad)
        return y, grad
    return run


PROGRAMS = {f.__name__: f for f in (linear_regression, logistic_regression, cnn, cnn_inference,
                                    rnn, mlp, tiny_ops)}
