# Written by tests/typing/make_stubs.py from pool.py: run it again instead of editing this.
import numpy as np
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor
from .windows import Pair

MAX_POOL: Any

RELU_MAX_POOL: Any

AVG_POOL: Any

@overload
def max_pool2d(input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False, return_indices: bool = False) -> Tensor:
    """The maximum of each window:

        y[n, c, u, v] = max_ij x[n, c, u*sh - ph + i*dh, v*sw - pw + j*dw],  i < KH, j < KW

    input (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW) with
    OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1 (rounded up with ceil_mode), OW likewise.

    stride: default kernel_size, so that windows touch and do not overlap.
    padding: at most half of the window; it never wins. NaN always wins.
    return_indices: also the index h*W + w of each maximum. Of equal elements the first wins and
        gets the gradient.

    Raises: ValueError for a window larger than the image or padding over half of it; TypeError for
        an input that is not floating.
    """
@overload
def max_pool2d(input: ndarray, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False, return_indices: bool = False) -> ndarray: ...

@overload
def relu_max_pool2d(input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False) -> Tensor:
    """max_pool2d(relu(input), ...) in one pass: values and gradients of any order are the same.

        y[n, c, u, v] = max(0, max_ij x[n, c, u*sh - ph + i*dh, v*sw - pw + j*dw])

    input (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW).

    minigrad's own, torch has no such function. It neither writes nor reads the image between the
    two operations, nor its gradient. Arguments and errors as for max_pool2d.

    A window without a positive element gives 0 and has no gradient; NaN stays NaN, as in relu.
    """
@overload
def relu_max_pool2d(input: ndarray, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False) -> ndarray: ...

@overload
def max_pool2d_windows(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out_hw: Pair) -> Tensor:
    """max_pool2d behind its door: all options given as pairs."""
@overload
def max_pool2d_windows(input: ndarray, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out_hw: Pair) -> ndarray: ...

@overload
def relu_max_pool2d_windows(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out_hw: Pair) -> Tensor:
    """relu_max_pool2d behind its door: all options given as pairs."""
@overload
def relu_max_pool2d_windows(input: ndarray, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out_hw: Pair) -> ndarray: ...

@overload
def max_pool2d_grad(g: Tensor, places: np.ndarray, hw: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The gradient of max_pool2d: each number of g added where its maximum was found.

    g and places (N, C, OH, OW) or (C, OH, OW) -> (N, C, H, W) or (C, H, W), hw being (H, W).
    places: i * KW + j of each maximum in its window, as the kernel gave them (their range is
    trusted); the largest integer of their dtype: nowhere.
    """
@overload
def max_pool2d_grad(g: ndarray, places: np.ndarray, hw: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> ndarray: ...

@overload
def max_pool2d_pick(input: Tensor, places: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The elements of each image at the given places: the transpose of max_pool2d_grad.

    input (N, C, H, W) or (C, H, W), places (N, C, OH, OW) or (C, OH, OW) -> (N, C, OH, OW) or
    (C, OH, OW), 0 for nowhere.
    """
@overload
def max_pool2d_pick(input: ndarray, places: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> ndarray: ...

@overload
def max_pool2d_with_indices(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out_hw: Pair) -> tuple[Tensor, Tensor]:
    """max_pool2d behind its door: (the maxima, their indices), all options given as pairs."""
@overload
def max_pool2d_with_indices(input: ndarray, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, out_hw: Pair) -> tuple[ndarray, ndarray]: ...

@overload
def avg_pool2d(input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
    """The average of each window:

        y[n, c, u, v] = 1 / (KH * KW) sum_ij x[n, c, u*sh - ph + i, v*sw - pw + j]

    input (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) or (C, OH, OW), sizes as for max_pool2d.

    stride: default kernel_size. count_include_pad: divide by the window's size with its padding,
    else by the number of its elements on the image. divisor_override: divide by this instead.

    Raises: ValueError as max_pool2d, and for a divisor of 0; TypeError for an integer input.
    """
@overload
def avg_pool2d(input: ndarray, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None) -> ndarray: ...

@overload
def avg_pool2d_windows(input: Tensor, kernel_size: Pair, stride: Pair, padding: Pair, out_hw: Pair, count_include_pad: bool, divisor_override: int) -> Tensor:
    """avg_pool2d behind its door: all options as pairs, divisor_override 0 for none."""
@overload
def avg_pool2d_windows(input: ndarray, kernel_size: Pair, stride: Pair, padding: Pair, out_hw: Pair, count_include_pad: bool, divisor_override: int) -> ndarray: ...

@overload
def avg_pool2d_grad(g: Tensor, hw: Pair, kernel_size: Pair, stride: Pair, padding: Pair, count_include_pad: bool, divisor_override: int) -> Tensor:
    """The gradient of avg_pool2d: each number of g shared out to its window.

    g (N, C, OH, OW), hw (H, W) -> (N, C, H, W); also without N. divisor_override 0: none.
    """
@overload
def avg_pool2d_grad(g: ndarray, hw: Pair, kernel_size: Pair, stride: Pair, padding: Pair, count_include_pad: bool, divisor_override: int) -> ndarray: ...
