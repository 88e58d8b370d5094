"""The programs that are timed. Each takes a PyTorch-like library and returns a function to run.

The same lines run under minigrad and under torch, so neither can be given an easier task. `control`
is the least that NumPy itself would take for the same numbers, without any engine.
"""
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np


def _images(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, 1, 28, 28), np.float32), rng.integers(10, size=batch)


def tiny_ops(lib: SimpleNamespace) -> Callable:
    """200 operations on 3x4 tensors, forward and backward."""
    a = np.random.default_rng(0).uniform(0.99, 1.01, (3, 4)).astype(np.float32)
    x = lib.torch.tensor(a, requires_grad=True)
    seed = lib.torch.ones(3, 4)

    def run() -> None:
        x.grad = None
        y = x
        for _ in range(100):
            y = y * x
            y = y - x
        y.backward(seed)
    return run


def tiny_ops_control() -> Callable:
    """The same arithmetic in bare NumPy calls."""
    x = np.random.default_rng(0).uniform(0.99, 1.01, (3, 4)).astype(np.float32)
    seed = np.ones_like(x)

    def run() -> None:
        values, y = [], x
        for _ in range(100):
            values.append(y)
            y = y * x
            y = y - x
        g, total = seed, np.zeros_like(x)
        for y in reversed(values):
            total = total + -g
            total = total + g * y
            g = g * x
    return run


def linear_regression(lib: SimpleNamespace) -> Callable:
    """One training step of the article's first program: Linear(1, 1) on 4 points."""
    x = lib.torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    y = lib.torch.tensor([[2.0], [4.0], [6.0], [8.0]])
    model = lib.nn.Linear(1, 1)
    return _training_step(lib, model, lib.nn.MSELoss(), x, y)


def cnn(lib: SimpleNamespace, batch: int = 64) -> Callable:
    """One training step of the article's CNN."""
    nn = lib.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))
    x, y = map(lib.torch.tensor, _images(batch))
    return _training_step(lib, model, nn.CrossEntropyLoss(), x, y)


def rnn(lib: SimpleNamespace, batch: int = 32, steps: int = 32) -> Callable:
    """One training step of the article's RNN: 100 inputs, 128 hidden, 10 classes."""
    class Model(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = lib.nn.RNN(100, 128, batch_first=True)
            self.fc = lib.nn.Linear(128, 10)

        def forward(self, x):
            out, _ = self.rnn(x)
            return self.fc(out[:, -1, :])
    rng = np.random.default_rng(0)
    x = lib.torch.tensor(rng.standard_normal((batch, steps, 100), np.float32))
    y = lib.torch.tensor(rng.integers(10, size=batch))
    return _training_step(lib, Model(), lib.nn.CrossEntropyLoss(), x, y)


def mlp(lib: SimpleNamespace) -> Callable:
    """One training step of a 784-256-10 network, batch 64."""
    nn = lib.nn
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    x, y = map(lib.torch.tensor, _images(64))
    return _training_step(lib, model, nn.CrossEntropyLoss(), x, y)


def _training_step(lib, model, criterion, x, y) -> Callable:
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01)

    def run() -> None:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    return run


PROGRAMS: dict[str, Callable] = {
    "tiny_ops": tiny_ops,
    "linear_regression": linear_regression,
    "mlp": mlp,
    "cnn_1": lambda lib: cnn(lib, 1),
    "cnn_64": lambda lib: cnn(lib, 64),
    "rnn_1x32": lambda lib: rnn(lib, 1, 32),
    "rnn_32x32": lambda lib: rnn(lib, 32, 32),
}
CONTROLS: dict[str, Callable] = {"tiny_ops": tiny_ops_control}
