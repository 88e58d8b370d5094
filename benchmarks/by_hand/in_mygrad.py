"""MyGrad: the same steps with its tensors, mygrad.nnet's layers and losses, and SGD by hand."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from ..programs import draw, initial, labels


def _training_step(loss_of: Callable, shapes: list[tuple[int, ...]]) -> Callable[[], Any]:
    """SGD on loss_of(parameters)."""
    params = [mg.tensor(w) for w in initial(shapes)]

    def run() -> Any:
        loss = loss_of(params)
        loss.backward()
        for p in params:
            p.data -= np.float32(0.01) * p.grad
        return loss.data
    return run


def linear_regression(batch: int = 4) -> Callable[[], Any]:
    x = np.arange(1, batch + 1, dtype=np.float32)[:, None] / batch
    y = 2 * x
    return _training_step(lambda p: mg.mean((mg.matmul(x, p[0].T) + p[1] - y) ** 2),
                          [(1, 1), (1,)])


def logistic_regression(batch: int = 64, features: int = 30) -> Callable[[], Any]:
    x, y = draw(batch, features), labels(batch, 2).astype(np.float32)[:, None]

    def loss(p: list[Any]) -> Any:
        z = mg.matmul(x, p[0].T) + p[1]
        return mg.mean(mg.logaddexp(np.float32(0), z) - y * z)
    return _training_step(loss, [(1, features), (1,)])


def cnn(batch: int) -> Callable[[], Any]:
    x, y = draw(batch, 1, 28, 28), labels(batch)

    def loss(p: list[Any]) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4 = p
        h = max_pool(relu(conv_nd(x, w1, stride=1, padding=1) + b1.reshape(-1, 1, 1)), (2, 2), 2)
        h = max_pool(relu(conv_nd(h, w2, stride=1, padding=1) + b2.reshape(-1, 1, 1)), (2, 2), 2)
        h = relu(mg.matmul(h.reshape(batch, -1), w3.T) + b3)
        return softmax_crossentropy(mg.matmul(h, w4.T) + b4, y)
    return _training_step(loss, [(32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 64 * 7 * 7),
                                 (128,), (10, 128), (10,)])


def rnn(batch: int, steps: int) -> Callable[[], Any]:
    x, y = draw(batch, steps, 100), labels(batch)

    def loss(p: list[Any]) -> Any:
        w_ih, w_hh, b_ih, b_hh, w, b = p
        h = np.zeros((batch, 128), np.float32)
        inputs = mg.matmul(x, w_ih.T) + b_ih + b_hh
        for t in range(steps):
            h = mg.tanh(inputs[:, t] + mg.matmul(h, w_hh.T))
        return softmax_crossentropy(mg.matmul(h, w.T) + b, y)
    return _training_step(loss, [(128, 100), (128, 128), (128,), (128,), (10, 128), (10,)])


def mlp(batch: int) -> Callable[[], Any]:
    x, y = draw(batch, 1, 28, 28).reshape(batch, -1), labels(batch)

    def loss(p: list[Any]) -> Any:
        w1, b1, w2, b2 = p
        hidden = relu(mg.matmul(x, w1.T) + b1)
        return softmax_crossentropy(mg.matmul(hidden, w2.T) + b2, y)
    return _training_step(loss, [(256, 784), (256,), (10, 256), (10,)])


def tiny_ops(pairs: int = 100) -> Callable[[], Any]:
    x = mg.tensor(np.random.default_rng(0).uniform(0.99, 1.01, (3, 4)).astype(np.float32))
    seed = draw(3, 4, seed=7)

    def run() -> Any:
        y = x
        for _ in range(pairs):
            y = y * x
            y = y - x
        y.backward(seed)
        return y.data, x.grad
    return run


PROGRAMS = {f.__name__: f for f in (linear_regression, logistic_regression, cnn, rnn, mlp,
                                    tiny_ops)}
