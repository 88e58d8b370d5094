"""Layers and `nn.init` calls whose random law minigrad must share: `LAYERS`, `INITS`, `GAINS`.

`make_vectors.py` records which law torch asks its generator for, with its numbers;
`tests/test_parity.py` draws from minigrad and checks the samples against that law.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LAYERS: dict[str, Callable[[Any], Any]] = {
    "Linear": lambda t: t.nn.Linear(150, 600),
    "Linear wide": lambda t: t.nn.Linear(2500, 40),
    "Linear no bias": lambda t: t.nn.Linear(70, 300, bias=False),
    "Conv2d": lambda t: t.nn.Conv2d(40, 300, (3, 5)),
    "Conv2d groups": lambda t: t.nn.Conv2d(60, 300, 3, groups=4),
    "RNN": lambda t: t.nn.RNN(70, 400),
    "RNN 2 layers both ways": lambda t: t.nn.RNN(50, 200, num_layers=2, bidirectional=True),
    "RNNCell": lambda t: t.nn.RNNCell(50, 300, nonlinearity="relu"),
}

# name of the function in nn.init, shape, options
INITS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("uniform_", (60, 70), {}),
    ("uniform_", (60, 70), {"a": -0.5, "b": 2.0}),
    ("normal_", (60, 70), {}),
    ("normal_", (60, 70), {"mean": 1.5, "std": 0.2}),
    ("xavier_uniform_", (60, 90), {}),
    ("xavier_uniform_", (30, 20, 3, 5), {"gain": 1.5}),
    ("xavier_normal_", (60, 90), {}),
    ("xavier_normal_", (30, 20, 3, 5), {"gain": 2.0}),
    ("kaiming_uniform_", (60, 90), {}),
    ("kaiming_uniform_", (60, 90), {"a": 5**0.5}),
    ("kaiming_uniform_", (60, 90), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_uniform_", (30, 20, 3, 5), {"nonlinearity": "relu"}),
    ("kaiming_uniform_", (30, 20, 3, 5), {"mode": "fan_out", "nonlinearity": "tanh"}),
    ("kaiming_normal_", (60, 90), {}),
    ("kaiming_normal_", (30, 20, 3, 5), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal_", (60, 90), {"a": 0.3, "nonlinearity": "leaky_relu"}),
]
CONSTANTS: list[tuple[str, dict[str, Any]]] = [
    ("zeros_", {}), ("ones_", {}), ("constant_", {"val": 0.7}),
]  # fmt: skip
GAINS: list[tuple[str, float | None]] = [
    ("linear", None), ("conv2d", None), ("sigmoid", None), ("tanh", None), ("relu", None),
    ("leaky_relu", None), ("leaky_relu", 0.2), ("selu", None),
]  # fmt: skip


def init_name(function: str, shape: tuple[int, ...], options: dict[str, Any]) -> str:
    """The key under which an `nn.init` call is stored."""
    return f"{function} {shape} {options}"


def draw_init(t: Any, function: str, shape: tuple[int, ...], options: dict[str, Any]) -> Any:
    """A new tensor of `shape` filled by `nn.init.<function>`."""
    tensor = t.zeros(*shape)
    returned = getattr(t.nn.init, function)(tensor, **options)
    if returned is not tensor:
        raise AssertionError(f"nn.init.{function} must return the tensor that it was given")
    return tensor


def gain(t: Any, nonlinearity: str, param: float | None) -> float:
    """`nn.init.calculate_gain`."""
    return float(t.nn.init.calculate_gain(nonlinearity, param))
