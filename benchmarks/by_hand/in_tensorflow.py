"""TensorFlow: one tf.function a program, plain operations on tf.Variables, with or without XLA.

Keras's layers compute the same operations and add their own cost to each call, so they are not
here. Images have their channels last (NHWC), the only layout whose convolution TensorFlow has for
a CPU, and weights are stored as its layers store them: (in, out) and (KH, KW, C, F).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ..programs import draw, initial, labels, transposed

_XLA = False
UNROLLED = 128      # time steps; a loop in the graph costs more than tracing so many copies


def setup(threads: int, variant: str) -> None:
    """Before the first operation: threads, and whether XLA compiles the functions.

    Operations run one after another (inter-op 1), each on all threads: with two at a time, the
    small programs are slower and none is faster.
    """
    global _XLA
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _XLA = variant == "xla"


def _training_step(loss_of: Callable, weights: list[np.ndarray], x: np.ndarray,
                   y: np.ndarray) -> Callable[[], Any]:
    """SGD on loss_of(parameters, x, y)."""
    params = [tf.Variable(w) for w in weights]

    @tf.function(jit_compile=_XLA)
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(params, x, y)
        for p, g in zip(params, tape.gradient(loss, params)):
            p.assign_sub(0.01 * g)
        return loss
    on_device = tf.constant(x), tf.constant(y)
    return lambda: step(*on_device)


def _cross_entropy(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


def linear_regression(batch: int = 4) -> Callable[[], Any]:
    x = np.arange(1, batch + 1, dtype=np.float32)[:, None] / batch

    def loss(params: list[Any], x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        w, b = params
        return tf.reduce_mean((x @ w + b - y) ** 2)
    return _training_step(loss, transposed([(1, 1), (1,)]), x, 2 * x)


def logistic_regression(batch: int = 64, features: int = 30) -> Callable[[], Any]:
    def loss(params: list[Any], x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        w, b = params
        return tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x @ w + b))
    return _training_step(loss, transposed([(1, features), (1,)]), draw(batch, features),
                          labels(batch, 2).astype(np.float32)[:, None])


def _layer(x: tf.Tensor, w: Any, b: Any) -> tf.Tensor:
    """Convolution, relu, pooling: (N, H, W, C) -> (N, H/2, W/2, F)."""
    y = tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), b)
    return tf.nn.max_pool2d(tf.nn.relu(y), 2, 2, "VALID")


def _cnn_logits(params: list[Any], x: tf.Tensor) -> tf.Tensor:
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    x = _layer(_layer(x, w1, b1), w2, b2)
    x = tf.reshape(x, (x.shape[0], -1))
    return tf.nn.relu(x @ w3 + b3) @ w4 + b4


def _cnn_weights() -> list[np.ndarray]:
    """torch flattens (C, H, W), TensorFlow (H, W, C): the rows of the third weight move with it."""
    w1, b1, w2, b2, w3, b3, w4, b4 = initial([
        (32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 64 * 7 * 7), (128,), (10, 128), (10,)])
    w3 = w3.reshape(128, 64, 7, 7).transpose(2, 3, 1, 0).reshape(-1, 128)
    return [w1.transpose(2, 3, 1, 0), b1, w2.transpose(2, 3, 1, 0), b2, w3, b3, w4.T, b4]


def _images(batch: int) -> np.ndarray:
    return draw(batch, 1, 28, 28).transpose(0, 2, 3, 1)


def cnn(batch: int) -> Callable[[], Any]:
    return _training_step(lambda params, x, y: _cross_entropy(_cnn_logits(params, x), y),
                          _cnn_weights(), _images(batch), labels(batch))


def cnn_inference(batch: int) -> Callable[[], Any]:
    params = [tf.Variable(w) for w in _cnn_weights()]
    x = tf.constant(_images(batch))
    forward = tf.function(lambda x: _cnn_logits(params, x), jit_compile=_XLA)
    return lambda: forward(x)


def rnn(batch: int, steps: int) -> Callable[[], Any]:
    def loss(params: list[Any], x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        w_ih, w_hh, b_ih, b_hh, w, b = params
        inputs = x @ w_ih + (b_ih + b_hh)               # all time steps at once: (N, T, D)
        start = tf.zeros((batch, 128))
        h = _unrolled(inputs, w_hh, start) if steps <= UNROLLED else _loop(inputs, w_hh, start)
        return _cross_entropy(h @ w + b, y)
    shapes = [(128, 100), (128, 128), (128,), (128,), (10, 128), (10,)]
    return _training_step(loss, transposed(shapes), draw(batch, steps, 100), labels(batch))


def _unrolled(inputs: tf.Tensor, w_hh: Any, h: tf.Tensor) -> tf.Tensor:
    for now in tf.unstack(inputs, axis=1):
        h = tf.tanh(now + h @ w_hh)
    return h


def _loop(inputs: tf.Tensor, w_hh: Any, h: tf.Tensor) -> tf.Tensor:
    """A while loop in the graph, as Keras's SimpleRNN has it."""
    by_step = tf.transpose(inputs, (1, 0, 2))
    steps = by_step.shape[0]
    rows = tf.TensorArray(tf.float32, size=steps, element_shape=by_step.shape[1:]).unstack(by_step)
    return tf.while_loop(lambda t, h: t < steps,
                         lambda t, h: (t + 1, tf.tanh(rows.read(t) + h @ w_hh)), (0, h),
                         maximum_iterations=steps)[1]


def mlp(batch: int) -> Callable[[], Any]:
    def loss(params: list[Any], x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        w1, b1, w2, b2 = params
        x = tf.reshape(x, (x.shape[0], -1))
        return _cross_entropy(tf.nn.relu(x @ w1 + b1) @ w2 + b2, y)
    return _training_step(loss, transposed([(256, 784), (256,), (10, 256), (10,)]),
                          draw(batch, 1, 28, 28), labels(batch))


def tiny_ops(pairs: int = 100) -> Callable[[], Any]:
    """One graph: what 200 operations cost when Python does not call them."""
    x = tf.constant(np.random.default_rng(0).uniform(0.99, 1.01, (3, 4)).astype(np.float32))
    seed = tf.constant(draw(3, 4, seed=7))

    @tf.function(jit_compile=_XLA)
    def both(x: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(pairs):
                y = y * x
                y = y - x
        return y, tape.gradient(y, x, output_gradients=seed)
    return lambda: both(x, seed)


PROGRAMS = {f.__name__: f for f in (linear_regression, logistic_regression, cnn, cnn_inference,
                                    rnn, mlp, tiny_ops)}
