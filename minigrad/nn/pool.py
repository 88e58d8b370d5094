"""Pooling as layers. Not here: what they compute (`ops/pool.py`)."""
from __future__ import annotations

from ..autograd.engine import Tensor
from ..ops.pool import AVG_POOL, MAX_POOL, avg_pool2d, max_pool2d
from .module import Module

Pair = tuple[int, int]


class MaxPool2d(Module):
    """The maximum of each window of (N, C, H, W); see `F.max_pool2d`.

    stride: default kernel_size. padding: at most half of the window. return_indices: also where the
    maximum was. ceil_mode: keep a last window that is only partly filled.
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None,
                 padding: int | Pair = 0, dilation: int | Pair = 1, return_indices: bool = False,
                 ceil_mode: bool = False) -> None:
        super().__init__()
        MAX_POOL.settle("MaxPool2d", kernel_size=kernel_size, stride=stride, padding=padding,
                        dilation=dilation, ceil_mode=ceil_mode)
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The maxima; if return_indices, the pair of them and where they were."""
        return max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation,
                          self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        """The options."""
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")


class AvgPool2d(Module):
    """The average of each window of (N, C, H, W); see `F.avg_pool2d`.

    stride: default kernel_size. count_include_pad: whether padding counts as zeros or not at all.
    divisor_override: divide the sum by this number instead.
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None,
                 padding: int | Pair = 0, ceil_mode: bool = False, count_include_pad: bool = True,
                 divisor_override: int | None = None) -> None:
        super().__init__()
        AVG_POOL.settle("AvgPool2d", kernel_size=kernel_size, stride=stride, padding=padding,
                        ceil_mode=ceil_mode, count_include_pad=count_include_pad,
                        divisor_override=divisor_override)
        self.kernel_size, self.padding, self.ceil_mode = kernel_size, padding, ceil_mode
        self.stride = kernel_size if stride is None else stride
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """The averages."""
        return avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                          self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        """The options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
