"""The programs for libraries without torch's names, written once over a dozen words of theirs.

A library (in_jax.py, in_mlx.py, ...) is a subclass of Library that says those words: how its arrays
lie, its relu and losses, and how a step is differentiated and compiled. What it computes stands
here, and is what programs.py computes under torch. Not here: the steps of libraries with torch's
names (programs.py).
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..programs import Run, alternate, draw, initial, labels, near_one

_CNN = [(32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 64 * 7 * 7), (128,), (10, 128), (10,)]


class Library:
    """The words; those that raise NotImplementedError each library says itself.

    inputs_first: matrices are kept as (in, out), not as torch's (out, in).
    kernel_axes: how torch's (F, C, KH, KW) is turned for its convolution.
    channels_last: images are (N, H, W, C).
    lacks: programs that it has no usable operation for.
    """

    inputs_first = False
    kernel_axes = (0, 1, 2, 3)
    channels_last = False
    lacks: tuple[str, ...] = ()

    mean: Callable[..., Any]
    relu: Callable[..., Any]
    tanh: Callable[..., Any]

    def dot(self, x: Any, w: Any) -> Any:
        """x (..., in) times a matrix as the library keeps it."""
        return x @ (w if self.inputs_first else w.T)

    def logistic_loss(self, z: Any, y: Any) -> Any:
        """Mean binary cross-entropy of logits."""
        raise NotImplementedError

    def cross_entropy(self, z: Any, y: Any) -> Any:
        """Mean cross-entropy of logits (N, C) and class numbers (N,)."""
        raise NotImplementedError

    def layer(self, x: Any, w: Any, b: Any) -> Any:
        """3x3 convolution with padding 1 and bias, relu, 2x2 max pooling."""
        raise NotImplementedError

    def flat(self, x: Any) -> Any:
        """(N, ...) -> (N, all the rest)."""
        return x.reshape(x.shape[0], -1)

    def recurrence(self, inputs: Any, w_hh: Any) -> Any:
        """h = tanh(input + h W) over the time steps of inputs (N, T, D), from 0 on; the last h."""
        h = np.zeros((inputs.shape[0], inputs.shape[2]), np.float32)
        for t in range(inputs.shape[1]):
            h = self.tanh(inputs[:, t] + self.dot(h, w_hh))
        return h

    def training_step(self, loss: Callable, weights: list[np.ndarray], x: np.ndarray,
                      y: np.ndarray) -> Run:
        """A run is one step of SGD (0.01) on loss(weights, x, y); it returns the loss."""
        raise NotImplementedError

    def inference(self, forward: Callable, weights: list[np.ndarray], x: np.ndarray) -> Run:
        """A run returns forward(weights, x)."""
        raise NotImplementedError

    def forward_backward(self, function: Callable, x: np.ndarray, seed: np.ndarray) -> Run:
        """A run returns function(x) and the gradient of x for this gradient of the result."""
        raise NotImplementedError

    def weights(self, shapes: Iterable[tuple[int, ...]]) -> list[np.ndarray]:
        """The weights that torch gets, as this library keeps them."""
        turned = {2: (1, 0) if self.inputs_first else (0, 1), 4: self.kernel_axes}
        return [np.ascontiguousarray(w.transpose(turned.get(w.ndim, (0,))))
                for w in initial(shapes)]

    def images(self, batch: int) -> np.ndarray:
        x = draw(batch, 1, 28, 28)
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if self.channels_last else x

    def cnn_weights(self) -> list[np.ndarray]:
        """torch flattens (C, H, W), others (H, W, C): the third weight's inputs move with it."""
        weights = self.weights(_CNN)
        if self.channels_last:
            w = initial(_CNN)[4].reshape(128, 64, 7, 7).transpose(0, 2, 3, 1).reshape(128, -1)
            weights[4] = np.ascontiguousarray(w.T if self.inputs_first else w)
        return weights


def programs(lib: Library) -> dict[str, Callable[..., Run]]:
    """From the name of a function of programs.py to what builds the same for this library."""
    def linear_regression(batch: int = 4) -> Run:
        def loss(p: Any, x: Any, y: Any) -> Any:
            return lib.mean((lib.dot(x, p[0]) + p[1] - y) ** 2)
        x = np.arange(1, batch + 1, dtype=np.float32)[:, None] / batch
        return lib.training_step(loss, lib.weights([(1, 1), (1,)]), x, 2 * x)

    def logistic_regression(batch: int = 64, features: int = 30) -> Run:
        def loss(p: Any, x: Any, y: Any) -> Any:
            return lib.logistic_loss(lib.dot(x, p[0]) + p[1], y)
        return lib.training_step(loss, lib.weights([(1, features), (1,)]), draw(batch, features),
                                 labels(batch, 2).astype(np.float32)[:, None])

    def logits(p: Any, x: Any) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4 = p
        h = lib.flat(lib.layer(lib.layer(x, w1, b1), w2, b2))
        return lib.dot(lib.relu(lib.dot(h, w3) + b3), w4) + b4

    def cnn(batch: int) -> Run:
        return lib.training_step(lambda p, x, y: lib.cross_entropy(logits(p, x), y),
                                 lib.cnn_weights(), lib.images(batch), labels(batch))

    def cnn_inference(batch: int) -> Run:
        return lib.inference(logits, lib.cnn_weights(), lib.images(batch))

    def rnn(batch: int, steps: int) -> Run:
        def loss(p: Any, x: Any, y: Any) -> Any:
            w_ih, w_hh, b_ih, b_hh, w, b = p
            inputs = lib.dot(x, w_ih) + (b_ih + b_hh)       # all time steps at once: (N, T, D)
            return lib.cross_entropy(lib.dot(lib.recurrence(inputs, w_hh), w) + b, y)
        shapes = [(128, 100), (128, 128), (128,), (128,), (10, 128), (10,)]
        return lib.training_step(loss, lib.weights(shapes), draw(batch, steps, 100), labels(batch))

    def mlp(batch: int) -> Run:
        def loss(p: Any, x: Any, y: Any) -> Any:
            w1, b1, w2, b2 = p
            hidden = lib.relu(lib.dot(x, w1) + b1)
            return lib.cross_entropy(lib.dot(hidden, w2) + b2, y)
        shapes = [(256, 784), (256,), (10, 256), (10,)]
        return lib.training_step(loss, lib.weights(shapes),
                                 draw(batch, 1, 28, 28).reshape(batch, -1), labels(batch))

    def tiny_ops(pairs: int = 100) -> Run:
        """Where a library compiles: what 200 operations cost when they are no longer separate."""
        return lib.forward_backward(lambda x: alternate(x, pairs), near_one(), draw(3, 4, seed=7))

    return {f.__name__: f for f in (linear_regression, logistic_regression, cnn, cnn_inference,
                                    rnn, mlp, tiny_ops) if f.__name__ not in lib.lacks}
