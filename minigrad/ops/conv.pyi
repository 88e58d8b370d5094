# Written by tests/typing/make_stubs.py from conv.py: run it again instead of editing this.
import functools
from numpy import ndarray
from typing import Any, overload
from ..autograd.engine import Tensor
from ..autograd.options import Case
from .windows import Pair, Sides

def check_windows(case: Case) -> Pair:
    """(OH, OW), or the error."""

@functools.lru_cache(maxsize=512)
def conv_hw(x: tuple, w: tuple, stride: Pair, sides: Sides, dilation: Pair) -> Pair:
    """(OH, OW) of a convolution that was checked."""

CONV: Any

@overload
def conv2d(input: Tensor, weight: Tensor | ndarray, bias: Tensor | ndarray | None = None, stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1) -> Tensor:
    """Cross-correlation of images with kernels, what deep learning calls convolution:

        y[n, f, u, v] = bias[f] + sum_cij x[n, c, u*sh + i*dh - ph, v*sw + j*dw - pw] w[f, c, i, j]

    input (N, C, H, W) or (C, H, W), weight (F, C/groups, KH, KW), bias (F,) -> (N, F, OH, OW) or
    (F, OH, OW) with OH = (H + 2*ph - dh*(KH - 1) - 1) // sh + 1, OW likewise.

    stride, dilation: integers or pairs (rows, columns).
    padding: zeros around the image: an integer, a pair, 'valid' (none) or 'same' (output as large
        as input; stride 1 only; an odd total is one larger at the bottom and right).
    groups: input and output channels in so many groups that do not see each other.

    Raises: ValueError for shapes that do not fit, with the arithmetic; TypeError for mixed dtypes.
    """
@overload
def conv2d(input: ndarray, weight: Tensor, bias: Tensor | ndarray | None = None, stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1) -> Tensor: ...
@overload
def conv2d(input: ndarray, weight: ndarray, bias: ndarray | None = None, stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1) -> ndarray: ...

def bias_gradient(g: Any) -> Any:
    """The sum over images, rows and columns: (N, F, OH, OW) or (F, OH, OW) -> (F,)."""

@overload
def conv2d_grad_x(g: Tensor, weight: Tensor | ndarray, hw: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int) -> Tensor:
    """The gradient of conv2d for its input, also called transposed convolution.

    g (N, F, OH, OW) or (F, OH, OW), weight (F, C/groups, KH, KW) -> (N, C, H, W) or (C, H, W).
    hw: (H, W), which g does not say. The other options are those of conv2d.
    """
@overload
def conv2d_grad_x(g: ndarray, weight: Tensor, hw: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int) -> Tensor: ...
@overload
def conv2d_grad_x(g: ndarray, weight: ndarray, hw: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int) -> ndarray: ...

@overload
def conv2d_grad_w(g: Tensor, input: Tensor | ndarray, khw: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int) -> Tensor:
    """The gradient of conv2d for its weight.

    g (N, F, OH, OW) or (F, OH, OW), input (N, C, H, W) or (C, H, W) -> (F, C/groups, KH, KW).
    khw: (KH, KW), which g does not say. The other options are those of conv2d.
    """
@overload
def conv2d_grad_w(g: ndarray, input: Tensor, khw: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int) -> Tensor: ...
@overload
def conv2d_grad_w(g: ndarray, input: ndarray, khw: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int) -> ndarray: ...

CONVOLVE: Any

@overload
def convolve2d(input: Tensor, weight: Tensor | ndarray, bias: Tensor | ndarray | None = None, mode: str = 'full') -> Tensor:
    """The convolution of mathematics, with the kernel flipped, summed over input channels:

        y[n, f, k, l] = bias[f] + sum_cij x[n, c, i, j] w[f, c, k - i, l - j]

    input (N, C, H, W) or (C, H, W), weight (F, C, KH, KW), bias (F,) -> (N, F, OH, OW) or
    (F, OH, OW), by mode:
    'full' (every k, l with a term, OH = H + KH - 1), 'same' (the middle of it, OH = H) or 'valid'
    (where the kernel lies wholly on the image, OH = H - KH + 1), as SciPy's convolve2d. It equals
    conv2d with a flipped kernel and padding KH - 1.

    Raises: ValueError for another mode and for shapes that do not fit.
    """
@overload
def convolve2d(input: ndarray, weight: Tensor, bias: Tensor | ndarray | None = None, mode: str = 'full') -> Tensor: ...
@overload
def convolve2d(input: ndarray, weight: ndarray, bias: ndarray | None = None, mode: str = 'full') -> ndarray: ...
