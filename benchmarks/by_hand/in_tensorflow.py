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

from ..programs import Run
from .steps import Library, programs

UNROLLED = 128      # time steps; a loop in the graph costs more than tracing so many copies


class TensorFlow(Library):
    xla = False
    inputs_first = True
    channels_last = True
    kernel_axes = (2, 3, 1, 0)
    mean = staticmethod(tf.reduce_mean)
    relu = staticmethod(tf.nn.relu)
    tanh = staticmethod(tf.tanh)

    def logistic_loss(self, z: Any, y: Any) -> Any:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z))

    def cross_entropy(self, z: Any, y: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, z))

    def layer(self, x: Any, w: Any, b: Any) -> Any:
        y = tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), b)
        return tf.nn.max_pool2d(tf.nn.relu(y), 2, 2, "VALID")

    def flat(self, x: Any) -> Any:
        return tf.reshape(x, (x.shape[0], -1))

    def recurrence(self, inputs: Any, w_hh: Any) -> Any:
        steps, h = inputs.shape[1], tf.zeros((inputs.shape[0], inputs.shape[2]))
        if steps <= UNROLLED:
            for now in tf.unstack(inputs, axis=1):
                h = tf.tanh(now + h @ w_hh)
            return h
        by_step = tf.transpose(inputs, (1, 0, 2))
        rows = tf.TensorArray(tf.float32, steps, element_shape=by_step.shape[1:]).unstack(by_step)
        return tf.while_loop(lambda t, h: t < steps,
                             lambda t, h: (t + 1, tf.tanh(rows.read(t) + h @ w_hh)), (0, h),
                             maximum_iterations=steps)[1]

    def training_step(self, loss: Callable, weights: list[np.ndarray], x: np.ndarray,
                      y: np.ndarray) -> Run:
        params = [tf.Variable(w) for w in weights]

        @tf.function(jit_compile=self.xla)
        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                value = loss(params, x, y)
            for p, g in zip(params, tape.gradient(value, params)):
                p.assign_sub(0.01 * g)
            return value
        data = tf.constant(x), tf.constant(y)
        return lambda: step(*data)

    def inference(self, forward: Callable, weights: list[np.ndarray], x: np.ndarray) -> Run:
        params, data = [tf.Variable(w) for w in weights], tf.constant(x)
        compiled = tf.function(lambda x: forward(params, x), jit_compile=self.xla)
        return lambda: compiled(data)

    def forward_backward(self, function: Callable, x: np.ndarray, seed: np.ndarray) -> Run:
        @tf.function(jit_compile=self.xla)
        def both(x: Any, seed: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return y, tape.gradient(y, x, output_gradients=seed)
        data = tf.constant(x), tf.constant(seed)
        return lambda: both(*data)


LIBRARY = TensorFlow()
PROGRAMS = programs(LIBRARY)


def setup(threads: int, variant: str) -> None:
    """Before the first operation: threads, and whether XLA compiles the functions.

    Operations run one after another (inter-op 1), each on all threads: with two at a time, the
    small programs are slower and none is faster.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    LIBRARY.xla = variant == "xla"
