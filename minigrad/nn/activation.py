"""Activations as layers, for Sequential: each applies its function of `ops/activation.py`.

`inplace=True` writes the result into the input, for whoever relies on that; it is no faster.
"""
from __future__ import annotations

from ..autograd.engine import Tensor
from ..ops import activation as ops
from .module import Module


class _Activation(Module):
    """A layer without parameters whose options are attributes; `_shown` are printed."""
    _shown: tuple[str, ...] = ()
    inplace: bool = False

    def extra_repr(self) -> str:
        """The options."""
        shown = [f"{name}={getattr(self, name)!r}" for name in self._shown]
        return ", ".join([*shown, "inplace=True"] if self.inplace else shown)


class ReLU(_Activation):
    """max(x, 0)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """max(x, 0), elementwise."""
        return ops.relu(input, self.inplace)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace
    _shown = ("negative_slope",)

    def forward(self, input: Tensor) -> Tensor:
        """x or negative_slope * x, elementwise."""
        return ops.leaky_relu(input, self.negative_slope, self.inplace)


class ELU(_Activation):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace
    _shown = ("alpha",)

    def forward(self, input: Tensor) -> Tensor:
        """x or alpha * (exp(x) - 1), elementwise."""
        return ops.elu(input, self.alpha, self.inplace)


class GELU(_Activation):
    """x * P(standard normal <= x); approximate="tanh" for the formula with tanh."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate
    _shown = ("approximate",)

    def forward(self, input: Tensor) -> Tensor:
        """x * Phi(x), elementwise."""
        return ops.gelu(input, approximate=self.approximate)


class SiLU(_Activation):
    """x * sigmoid(x)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """x * sigmoid(x), elementwise."""
        return ops.silu(input, self.inplace)


class Softplus(_Activation):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold
    _shown = ("beta", "threshold")

    def forward(self, input: Tensor) -> Tensor:
        """The smooth relu, elementwise."""
        return ops.softplus(input, self.beta, self.threshold)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """tanh(x), elementwise."""
        return ops.tanh(input)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Tensor:
        """The logistic function, elementwise."""
        return ops.sigmoid(input)


class LogSigmoid(_Activation):
    """log(sigmoid(x)), without overflow."""

    def forward(self, input: Tensor) -> Tensor:
        """The logarithm of the logistic function, elementwise."""
        return ops.logsigmoid(input)


class _AlongDim(_Activation):
    _shown = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        if dim is None:
            raise ops.which_dim(type(self).__name__)
        self.dim = dim


class Softmax(_AlongDim):
    """exp(x) / sum(exp(x)) along `dim`. CrossEntropyLoss wants the logits before it."""

    def forward(self, input: Tensor) -> Tensor:
        """Probabilities that sum to 1 along dim."""
        return ops.softmax(input, dim=self.dim)


class LogSoftmax(_AlongDim):
    """x - log(sum(exp(x))) along `dim`: what NLLLoss wants."""

    def forward(self, input: Tensor) -> Tensor:
        """Logarithms of probabilities along dim."""
        return ops.log_softmax(input, dim=self.dim)
