"""HIPS autograd: NumPy code and its gradient, written by hand. Its convolution is a plain-Python
loop over taps that nobody would train with, so there is no CNN here."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from ..programs import draw, initial, labels


def _training_step(loss_of: Callable, shapes: list[tuple[int, ...]]) -> Callable[[], Any]:
    """SGD on loss_of(parameters)."""
    both = value_and_grad(loss_of)
    params = initial(shapes)

    def run() -> Any:
        nonlocal params
        loss, grads = both(params)
        params = [p - np.float32(0.01) * g for p, g in zip(params, grads)]
        return loss
    return run


def _cross_entropy(z: Any, y: np.ndarray) -> Any:
    z = z - anp.max(z, axis=1, keepdims=True)
    log_p = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
    return -anp.mean(log_p[np.arange(len(y)), y])


def linear_regression(batch: int = 4) -> Callable[[], Any]:
    x = np.arange(1, batch + 1, dtype=np.float32)[:, None] / batch
    y = 2 * x
    return _training_step(lambda p: anp.mean((anp.dot(x, p[0].T) + p[1] - y) ** 2),
                          [(1, 1), (1,)])


def logistic_regression(batch: int = 64, features: int = 30) -> Callable[[], Any]:
    x, y = draw(batch, features), labels(batch, 2).astype(np.float32)[:, None]

    def loss(p: list[Any]) -> Any:
        z = anp.dot(x, p[0].T) + p[1]
        return anp.mean(anp.logaddexp(np.float32(0), z) - y * z)
    return _training_step(loss, [(1, features), (1,)])


def rnn(batch: int, steps: int) -> Callable[[], Any]:
    x, y = draw(batch, steps, 100), labels(batch)

    def loss(p: list[Any]) -> Any:
        w_ih, w_hh, b_ih, b_hh, w, b = p
        h = np.zeros((batch, 128), np.float32)
        inputs = anp.dot(x, w_ih.T) + b_ih + b_hh
        for t in range(steps):
            h = anp.tanh(inputs[:, t] + anp.dot(h, w_hh.T))
        return _cross_entropy(anp.dot(h, w.T) + b, y)
    return _training_step(loss, [(128, 100), (128, 128), (128,), (128,), (10, 128), (10,)])


def mlp(batch: int) -> Callable[[], Any]:
    x, y = draw(batch, 1, 28, 28).reshape(batch, -1), labels(batch)

    def loss(p: list[Any]) -> Any:
        w1, b1, w2, b2 = p
        hidden = anp.maximum(anp.dot(x, w1.T) + b1, np.float32(0))
        return _cross_entropy(anp.dot(hidden, w2.T) + b2, y)
    return _training_step(loss, [(256, 784), (256,), (10, 256), (10,)])


PROGRAMS = {f.__name__: f for f in (linear_regression, logistic_regression, rnn, mlp)}
