"""MyGrad: the steps with its tensors, mygrad.nnet's layers and losses, and SGD by hand."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from ..programs import Run
from .steps import Library, programs


class MyGrad(Library):
    mean = staticmethod(mg.mean)
    relu = staticmethod(relu)
    tanh = staticmethod(mg.tanh)
    cross_entropy = staticmethod(softmax_crossentropy)

    def dot(self, x: Any, w: Any) -> Any:
        return mg.matmul(x, w.T)

    def logistic_loss(self, z: Any, y: Any) -> Any:
        return mg.mean(mg.logaddexp(np.float32(0), z) - y * z)

    def layer(self, x: Any, w: Any, b: Any) -> Any:
        y = conv_nd(x, w, stride=1, padding=1) + b.reshape(-1, 1, 1)
        return max_pool(relu(y), (2, 2), 2)

    def training_step(self, loss: Callable, weights: list[np.ndarray], x: np.ndarray,
                      y: np.ndarray) -> Run:
        params = [mg.tensor(w) for w in weights]

        def run() -> Any:
            value = loss(params, x, y)
            value.backward()
            for p in params:
                p.data -= np.float32(0.01) * p.grad
            return value.data
        return run

    def inference(self, forward: Callable, weights: list[np.ndarray], x: np.ndarray) -> Run:
        params = [mg.tensor(w) for w in weights]

        def run() -> Any:
            with mg.no_autodiff:
                return forward(params, x).data
        return run

    def forward_backward(self, function: Callable, x: np.ndarray, seed: np.ndarray) -> Run:
        leaf = mg.tensor(x)

        def run() -> Any:
            y = function(leaf)
            y.backward(seed)
            return y.data, leaf.grad
        return run


PROGRAMS = programs(MyGrad())
