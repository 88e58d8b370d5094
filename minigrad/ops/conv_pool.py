"""A layer of a convolutional network, conv2d, relu and max_pool2d, as one operation.

Written one after the other they write a large image twice, read it twice, and keep it or its like
for the gradient, only to throw most of it away. Values and gradients of any order are the same, up
to rounding.
Not here: the three by themselves (`conv.py`, `activation.py`, `pool.py`), the loops
(`kernels/conv/pooled.py`), who uses it unasked (`nn.Sequential`).
"""
from __future__ import annotations

import numpy as np

from ..autograd.engine import Tensor
from ..kernels.conv import pooled as kernel
from ..autograd.op import op
from . import conv as _conv, pool as _pool
from .conv import Pair, conv2d_grad_w, conv2d_grad_x
from .dims import remembered
from .pool import max_pool2d_grad


@remembered
def _geometry(x, w, b, dtype, dtype_w, dtype_b, stride, padding, dilation, groups, *pooling):
    """(what the kernel of the convolution is told, what that of the pooling is, see
    kernels/conv/pooled.py, and the options of conv2d's gradients), or the reason against these.

    Shapes and dtypes of x, w and the bias (None without). One look into a memory, for all of it.
    """
    options = stride, sides, dilation, groups = _conv._options(
        x, w, b, dtype, dtype_w, dtype_b, stride, padding, dilation, groups)
    conv_hw = _conv._out_hw(x, w, stride, sides, dilation)
    *pairs, out_hw = _pool._options("max_pool2d", (*x[:-3], w[0], *conv_hw), dtype, *pooling)
    return (conv_hw, stride, sides[:2], dilation, groups), (*pairs, out_hw), options


def _samples(r):
    def sample(x, w, *options):
        """Random arrays whose convolution has no two equal numbers and no zero: no kinks."""
        while True:
            case = r(*x), r(*w), r(w[0])
            numbers = np.sort(np.append(_conv._conv2d_ref(*case, *options[:4]), 0.0), axis=None)
            if np.diff(numbers).min() > 1e-4:
                return *case, *options
    return [sample((2, 1, 5, 6), (3, 1, 3, 3), 1, 1),
            sample((1, 2, 5, 5), (8, 2, 2, 2), 1, 0, 1, 1, (2, 2)),
            sample((2, 5, 6), (2, 2, 2, 3), (1, 2), (1, 0), (2, 1), 1, 2, 1),
            sample((1, 2, 5, 5), (2, 1, 3, 3), 1, 1, 1, 2, 3, 2, 1, 1, True)]


def _ref(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, *pooling):
    """The three formulas one after the other."""
    y = _conv._conv2d_ref(x, w, b, stride, padding, dilation, groups)
    return _pool._max_ref(np.maximum(y, 0.0), *(pooling or (2,)))[0]


@op(samples=_samples, ref=_ref)
def conv2d_relu_max_pool2d(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Pair = 1,
        padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1,
        pool_size: int | Pair = 2, pool_stride: int | Pair | None = None,
        pool_padding: int | Pair = 0, pool_dilation: int | Pair = 1, ceil_mode: bool = False
        ) -> Tensor:
    """max_pool2d(relu(conv2d(input, weight, bias, ...)), pool_size, ...) in one operation.

        y[n, f, u, v] = max(0, max_ij conv2d(x, w, b)[n, f, u*sh - ph + i*dh, v*sw - pw + j*dw])

    minigrad's own, torch has no such function; nn.Sequential uses it for three such layers in a
    row. The result of the convolution and its gradient never exist for all images at once.

    input (N, C, H, W) or (C, H, W), weight (F, C/groups, KH, KW), bias (F,), and the options from
    stride to groups: as for conv2d. The rest: as for max_pool2d (pool_size is its kernel_size, and
    the default of pool_stride). -> (N, F, OH, OW) or (F, OH, OW), the sizes of the pooling.

    A window without a positive element gives 0 and has no gradient; NaN stays NaN, as in relu.

    Raises: as conv2d and max_pool2d.
    """
    b, dtype_b = (None, None) if bias is None else (bias.shape, bias.dtype)
    conv, pool, _ = _geometry(input.shape, weight.shape, b, input.dtype, weight.dtype, dtype_b,
                              stride, padding, dilation, groups, pool_size, pool_stride,
                              pool_padding, pool_dilation, ceil_mode)
    x, added = _conv._batched(input)
    y, places = kernel.conv2d_relu_max_pool2d(x, weight, bias, conv, pool)
    return (y[0], places[0]) if added else (y, places)


@conv2d_relu_max_pool2d.joint_vjp("input", "weight", "bias", reads={
    "input": ("weight",), "weight": ("input",), "bias": ()})
def _gradients(g, input, weight, input_shape, weight_shape, aux, needs, stride, padding, dilation,
               groups, pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode):
    conv, pool, options = _geometry(input_shape, weight_shape, None, g.dtype, g.dtype, None, stride,
                                    padding, dilation, groups, pool_size, pool_stride,
                                    pool_padding, pool_dilation, ceil_mode)
    if isinstance(g, Tensor):                      # to be differentiated again: the composition's
        result = max_pool2d_grad(g, aux, conv[0], *pool[:-1])
        return (
            conv2d_grad_x(result, weight, input_shape[-2:], *options) if needs[0] else None,
            conv2d_grad_w(result, input, weight_shape[2:], *options) if needs[1] else None,
            _conv.bias_gradient(result) if needs[2] else None)
    added = len(input_shape) == 3
    of_x = (1, *input_shape) if added else input_shape
    if added:
        g, aux, input = g[None], aux[None], None if input is None else input[None]
    gx, gw, gb = kernel.conv2d_relu_max_pool2d_grad(g, aux, input, weight, (of_x, weight_shape),
                                                    conv, pool, needs)
    return gx[0] if added and needs[0] else gx, gw, gb
