"""The fully connected layer, and layers that only change shapes or nothing.

Not here: the product and its derivative (`ops/linear.py`).
"""
from __future__ import annotations

import math
from typing import Any

from ..autograd.engine import Tensor
from ..ops.cast import check_device
from ..ops.linear import linear
from ..ops.shape import flatten, unflatten
from .init import fan_in_uniform_
from .module import Module, new_parameter, positive


class Linear(Module):
    """y = x W^T + b. Shapes: x (..., in_features) -> y (..., out_features).

    weight (out_features, in_features) and bias (out_features,) start uniform in
    +-1/sqrt(in_features), torch's law (see `init.fan_in_uniform_`). bias=False: no b.

    Raises: ValueError or TypeError for sizes that are not positive integers.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        check_device("Linear", device)
        self.in_features, self.out_features = positive(
            "Linear", in_features=in_features, out_features=out_features)
        self.weight = new_parameter(self.out_features, self.in_features, dtype=dtype)
        self.bias = new_parameter(self.out_features, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """x W^T + b."""
        try:
            return linear(input, self.weight, self.bias)
        except ValueError as error:
            raise ValueError(f"{error}{_flattened_from(input, self.in_features)}") from None

    def extra_repr(self) -> str:
        """The sizes."""
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")


def _flattened_from(x: Tensor, wanted: int) -> str:
    """For the error message: what the features were before they were flattened, if known."""
    node = getattr(x, "grad_fn", None)
    if node is None or node.name != "reshape" or not node.saved:
        return ""
    before, features = node.saved[0], x.shape[-1]          # what its rule asked for: input_shape
    if len(before) != 4 or math.prod(before[1:]) != features:
        return ""
    channels, height, width = before[1:]
    text = (f". They were {channels} channels of {height} by {width}: {channels}*{height}*{width} "
            f"= {features}")
    side = math.isqrt(wanted // channels)
    if side * side * channels == wanted:
        text += (f"; {wanted} would be {channels}*{side}*{side}: check the padding and the pooling "
                 "before the Linear")
    return text


class Identity(Module):
    """Returns its input; takes any arguments, to stand in for another layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Flatten(Module):
    """Joins the dimensions start_dim ... end_dim: (N, C, H, W) -> (N, C*H*W) by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The flattened input."""
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into the sizes given: Unflatten(1, (C, H, W)) undoes Flatten()."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """The input in its new shape."""
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The dimension and its parts."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
