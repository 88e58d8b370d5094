"""Convolution as a layer, and three layers in a row that run as one.

Not here: what they compute (`ops/conv.py`, `ops/conv_pool.py`), pooling (`pool.py`).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.engine import Tensor
from ..ops.cast import check_device
from ..modes import settings
from ..autograd.options import Case, choice
from ..ops.conv import CONV, conv2d
from ..ops.conv_pool import conv2d_relu_max_pool2d
from ..ops.join import pad
from ..ops.windows import WINDOW
from .activation import ReLU
from .init import fan_in_uniform_
from .module import Module, new_parameter, positive
from .pool import MaxPool2d

Pair = tuple[int, int]

_BORDER = choice("zeros", "reflect", "replicate", "circular")


class Conv2d(Module):
    """Slides `out_channels` learned windows over images: `F.conv2d` with its own weight and bias.

    input (N, C, H, W) or (C, H, W) -> (N, F, OH, OW) or (F, OH, OW), C = in_channels,
    F = out_channels, OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1, OW likewise.

    kernel_size, stride, padding, dilation: one integer or (rows, columns). padding: also "valid"
        (none) or "same" (OH = H; stride 1). padding_mode: what the border holds: "zeros",
        "reflect", "replicate" or "circular". groups: channels fall into so many separate parts.

    weight (F, C/groups, KH, KW) and bias (F,) start uniform in +-1/sqrt(C/groups * KH * KW),
    torch's law (see `init.fan_in_uniform_`).

    Raises: ValueError or TypeError for sizes that are not positive, or groups that do not divide
        C and F.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | Pair,
                 stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1,
                 groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        check_device("Conv2d", device)
        self.in_channels, self.out_channels, self.groups = positive(
            "Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"Conv2d: groups={groups} must divide {name}={channels}; "
                                 f"{channels} / {groups} = {channels / groups:.2f}")
        self.kernel_size = WINDOW.check(Case("Conv2d"), "kernel_size", kernel_size)
        self.stride, self.dilation, sides = CONV.settle(
            "Conv2d", dict(zip(("KH", "KW"), self.kernel_size)), stride=stride, dilation=dilation,
            padding=padding)
        self.padding = padding if isinstance(padding, str) else sides[:2]
        self.padding_mode = _BORDER.check(Case("Conv2d"), "padding_mode", padding_mode)
        self.weight = new_parameter(self.out_channels, self.in_channels // self.groups,
                                    *self.kernel_size, dtype=dtype)
        self.bias = new_parameter(self.out_channels, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The windows' answers at every place."""
        padding: Any = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            input = pad(input, self._border(), mode=self.padding_mode)
            padding = 0
        return conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation,
                      self.groups)

    def _border(self) -> tuple[int, int, int, int]:
        """(left, right, top, bottom); for "same" an odd one is at the right and bottom."""
        if not isinstance(self.padding, str):
            h, w = self.padding
            return w, w, h, h
        h, w = (d * (k - 1) for d, k in zip(self.dilation, self.kernel_size))
        return w // 2, w - w // 2, h // 2, h - h // 2

    def extra_repr(self) -> str:
        """The sizes, and the options that are not default."""
        text = (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
                f"stride={self.stride}")
        if self.padding != (0, 0):
            text += f", padding={self.padding!r}" if not isinstance(self.padding, str) else \
                f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


def conv_relu_pool(layers: Sequence[Module], input: Any) -> Tensor | None:
    """layers[2](layers[1](layers[0](input))) of a Conv2d, a ReLU and a MaxPool2d, in one operation.

    None for other layers, and if somebody looks at what is between them: a hook, a `forward` that
    was replaced. (Not: a `Module.__call__` that was replaced.)
    """
    if len(layers) < len(_FUSED) or not settings.fuse or not isinstance(input, Tensor):
        return None
    for layer, (kind, forward) in zip(layers, _FUSED):
        if (layer.__class__ is not kind or layer._forward_hooks or kind.forward is not forward
                or "forward" in vars(layer)):
            return None
    conv: Any = layers[0]
    pool: Any = layers[2]
    if conv.padding_mode != "zeros" or pool.return_indices:
        return None
    try:
        return conv2d_relu_max_pool2d(
            input, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups,
            pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
    except (ValueError, TypeError):
        for layer in layers:                       # the one that it belongs to says it better
            input = layer(input)
        raise


_KINDS: tuple[type[Module], ...] = (Conv2d, ReLU, MaxPool2d)
_FUSED = [(kind, kind.forward) for kind in _KINDS]
