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

from ..programs import Run
from .steps import Library, programs


class Jax(Library):
    channels_last = True
    mean = staticmethod(jnp.mean)
    relu = staticmethod(jax.nn.relu)
    tanh = staticmethod(jnp.tanh)

    def logistic_loss(self, z: Any, y: Any) -> Any:
        return jnp.mean(jax.nn.softplus(z) - y * z)

    def cross_entropy(self, z: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1).mean()

    def layer(self, x: Any, w: Any, b: Any) -> Any:
        y = lax.conv_general_dilated(x, w, (1, 1), "SAME",
                                     dimension_numbers=("NHWC", "OIHW", "NHWC")) + b
        return lax.reduce_window(jax.nn.relu(y), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1),
                                 "VALID")

    def recurrence(self, inputs: Any, w_hh: Any) -> Any:
        def step(h: Any, now: Any) -> tuple[Any, None]:
            return jnp.tanh(now + self.dot(h, w_hh)), None
        start = jnp.zeros((inputs.shape[0], inputs.shape[2]), inputs.dtype)
        return lax.scan(step, start, inputs.swapaxes(0, 1))[0]

    def training_step(self, loss: Callable, weights: list[np.ndarray], x: np.ndarray,
                      y: np.ndarray) -> Run:
        def step(params: list[Any], x: Any, y: Any) -> tuple[list[Any], Any]:
            value, grads = jax.value_and_grad(loss)(params, x, y)
            return [p - 0.01 * g for p, g in zip(params, grads)], value
        compiled = jax.jit(step, donate_argnums=0)      # old parameters' memory for the new ones
        params, data = [jnp.asarray(w) for w in weights], (jnp.asarray(x), jnp.asarray(y))

        def run() -> Any:
            nonlocal params
            params, value = compiled(params, *data)
            jax.block_until_ready(params)
            return value
        return run

    def inference(self, forward: Callable, weights: list[np.ndarray], x: np.ndarray) -> Run:
        params, data, compiled = [jnp.asarray(w) for w in weights], jnp.asarray(x), jax.jit(forward)
        return lambda: jax.block_until_ready(compiled(params, data))

    def forward_backward(self, function: Callable, x: np.ndarray, seed: np.ndarray) -> Run:
        @jax.jit
        def both(x: Any, seed: Any) -> tuple[Any, Any]:
            y, pull = jax.vjp(function, x)
            return y, pull(seed)[0]
        data = jnp.asarray(x), jnp.asarray(seed)
        return lambda: jax.block_until_ready(both(*data))


PROGRAMS = programs(Jax())
