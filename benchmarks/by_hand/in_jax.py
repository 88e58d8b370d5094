"""JAX: one jitted training step a program, in jax.numpy and jax.lax, since it has no layers.

Each step takes and returns the parameters, as JAX's own examples do, and is waited for. Images have
their channels last (NHWC), the layout of its examples.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..programs import draw, initial, labels


def _training_step(loss_of: Callable, shapes: list[tuple[int, ...]], x: np.ndarray,
                   y: np.ndarray) -> Callable[[], Any]:
    """SGD on loss_of(parameters, x, y); the old parameters' memory is given to the new ones."""
    def step(params: list[jax.Array], x: jax.Array, y: jax.Array) -> tuple[list[jax.Array], Any]:
        loss, grads = jax.value_and_grad(loss_of)(params, x, y)
        return [p - 0.01 * g for p, g in zip(params, grads)], loss
    compiled = jax.jit(step, donate_argnums=0)
    params = [jnp.asarray(w) for w in initial(shapes)]
    on_device = jnp.asarray(x), jnp.asarray(y)

    def run() -> Any:
        nonlocal params
        params, loss = compiled(params, *on_device)
        jax.block_until_ready(params)
        return loss
    return run


def _cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean()


def linear_regression(batch: int = 4) -> Callable[[], Any]:
    x = np.arange(1, batch + 1, dtype=np.float32)[:, None] / batch

    def loss(params: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        w, b = params
        return jnp.mean((x @ w.T + b - y) ** 2)
    return _training_step(loss, [(1, 1), (1,)], x, 2 * x)


def logistic_regression(batch: int = 64, features: int = 30) -> Callable[[], Any]:
    def loss(params: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        w, b = params
        z = x @ w.T + b
        return jnp.mean(jax.nn.softplus(z) - y * z)
    return _training_step(loss, [(1, features), (1,)], draw(batch, features),
                          labels(batch, 2).astype(np.float32)[:, None])


def _conv(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """x (N, H, W, C), w (F, C, KH, KW) as torch keeps it -> (N, H, W, F)."""
    return lax.conv_general_dilated(x, w, (1, 1), "SAME",
                                    dimension_numbers=("NHWC", "OIHW", "NHWC")) + b


def _pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


_CNN = [(32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 64 * 7 * 7), (128,), (10, 128), (10,)]


def _cnn_logits(params: list[jax.Array], x: jax.Array) -> jax.Array:
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    x = _pool(jax.nn.relu(_conv(x, w1, b1)))
    x = _pool(jax.nn.relu(_conv(x, w2, b2)))
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)     # torch flattens (C, H, W)
    return jax.nn.relu(x @ w3.T + b3) @ w4.T + b4


def _images(batch: int) -> np.ndarray:
    return draw(batch, 1, 28, 28).transpose(0, 2, 3, 1)


def cnn(batch: int) -> Callable[[], Any]:
    return _training_step(lambda params, x, y: _cross_entropy(_cnn_logits(params, x), y), _CNN,
                          _images(batch), labels(batch))


def cnn_inference(batch: int) -> Callable[[], Any]:
    params = [jnp.asarray(w) for w in initial(_CNN)]
    x, compiled = jnp.asarray(_images(batch)), jax.jit(_cnn_logits)
    return lambda: jax.block_until_ready(compiled(params, x))


def rnn(batch: int, steps: int) -> Callable[[], Any]:
    def loss(params: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        w_ih, w_hh, b_ih, b_hh, w, b = params
        inputs = x @ w_ih.T + b_ih + b_hh               # all time steps at once: (N, T, D)

        def step(h: jax.Array, now: jax.Array) -> tuple[jax.Array, None]:
            return jnp.tanh(now + h @ w_hh.T), None
        h, _ = lax.scan(step, jnp.zeros((len(x), 128), x.dtype), inputs.swapaxes(0, 1))
        return _cross_entropy(h @ w.T + b, y)
    shapes = [(128, 100), (128, 128), (128,), (128,), (10, 128), (10,)]
    return _training_step(loss, shapes, draw(batch, steps, 100), labels(batch))


def mlp(batch: int) -> Callable[[], Any]:
    def loss(params: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        w1, b1, w2, b2 = params
        x = x.reshape(len(x), -1)
        return _cross_entropy(jax.nn.relu(x @ w1.T + b1) @ w2.T + b2, y)
    return _training_step(loss, [(256, 784), (256,), (10, 256), (10,)], draw(batch, 1, 28, 28),
                          labels(batch))


def tiny_ops(pairs: int = 100) -> Callable[[], Any]:
    """Compiled as a whole: what 200 operations cost when they are no longer separate."""
    x = jnp.asarray(np.random.default_rng(0).uniform(0.99, 1.01, (3, 4)).astype(np.float32))
    seed = jnp.asarray(draw(3, 4, seed=7))

    def function(x: jax.Array) -> jax.Array:
        y = x
        for _ in range(pairs):
            y = y * x
            y = y - x
        return y

    @jax.jit
    def both(x: jax.Array, seed: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull = jax.vjp(function, x)
        return y, pull(seed)[0]
    return lambda: jax.block_until_ready(both(x, seed))


PROGRAMS = {f.__name__: f for f in (linear_regression, logistic_regression, cnn, cnn_inference,
                                    rnn, mlp, tiny_ops)}
