# Written by tests/typing/make_stubs.py from conv_pool.py: run it again instead of editing this.
from numpy import ndarray
from typing import overload
from ..autograd.engine import Tensor
from .windows import Pair

@overload
def conv2d_relu_max_pool2d(input: Tensor, weight: Tensor | ndarray, bias: Tensor | ndarray | None = None, stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1, pool_size: int | Pair = 2, pool_stride: int | Pair | None = None, pool_padding: int | Pair = 0, pool_dilation: int | Pair = 1, ceil_mode: bool = False) -> Tensor:
    """max_pool2d(relu(conv2d(input, weight, bias, ...)), pool_size, ...) in one operation.

        y[n, f, u, v] = max(0, max_ij conv2d(x, w, b)[n, f, u*sh - ph + i*dh, v*sw - pw + j*dw])

    minigrad's own, torch has no such function; nn.Sequential uses it for three such layers in a
    row. The result of the convolution and its gradient never exist for all images at once.

    input (N, C, H, W) or (C, H, W), weight (F, C/groups, KH, KW), bias (F,) -> (N, F, OH, OW) or
    (F, OH, OW), the sizes of the pooling. The options from stride to groups: as for conv2d. The
    rest: as for max_pool2d (pool_size is its kernel_size, and the default of pool_stride).

    A window without a positive element gives 0 and has no gradient; NaN stays NaN, as in relu.

    Raises: as conv2d and max_pool2d.
    """
@overload
def conv2d_relu_max_pool2d(input: ndarray, weight: Tensor, bias: Tensor | ndarray | None = None, stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1, pool_size: int | Pair = 2, pool_stride: int | Pair | None = None, pool_padding: int | Pair = 0, pool_dilation: int | Pair = 1, ceil_mode: bool = False) -> Tensor: ...
@overload
def conv2d_relu_max_pool2d(input: ndarray, weight: ndarray, bias: ndarray | None = None, stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1, pool_size: int | Pair = 2, pool_stride: int | Pair | None = None, pool_padding: int | Pair = 0, pool_dilation: int | Pair = 1, ceil_mode: bool = False) -> ndarray: ...
