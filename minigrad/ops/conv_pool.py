"""A layer of a convolutional network, conv2d, relu and max_pool2d, as one operation.

Written one after the other they write a large image twice, read it twice, and keep it or its like
for the gradient, only to throw most of it away. Values and gradients of any order are the same, up
to rounding.
Not here: the three by themselves (`conv.py`, `activation.py`, `pool.py`), the loops
(`kernels/conv/pooled.py`), who uses it unasked (`nn.Sequential`).
"""
from __future__ import annotations

import functools

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.op import op
from ..autograd.options import Case, Option, flag, pair
from ..autograd.signature import Signature
from ..kernels.conv import pooled as kernel
from . import conv as _conv, pool as _pool
from .conv import CONV, conv2d_grad_w, conv2d_grad_x, conv_hw
from .pool import max_pool2d_grad
from .windows import WINDOW, HalfPadding, Pair, count, counted

POOLING: dict[str, Option] = {
    "pool_size": WINDOW, "pool_stride": pair(1, like="pool_size"),
    "pool_padding": HalfPadding("pool_size"), "pool_dilation": WINDOW, "ceil_mode": flag()}


def _windows_fit(case: Case) -> None:
    """Refuses kernels larger than the image, and windows larger than what the kernels make."""
    _conv.check_windows(case)
    shapes, options = case.shapes, case.options
    hw = conv_hw(shapes["input"] or (), shapes["weight"] or (), options["stride"],
                 options["padding"], options["dilation"])
    counted(case, hw, options["pool_size"], options["pool_stride"], options["pool_padding"] * 2,
            options["pool_dilation"], options["ceil_mode"], "pooling window")


@functools.lru_cache(maxsize=512)
def _geometry(x, w, stride, padding, dilation, groups, *pooling):
    """What the kernel of the convolution is told of shapes and options, and what that of the
    pooling is, see kernels/conv/pooled.py."""
    hw = conv_hw(x, w, stride, padding, dilation)
    size, step, (ph, pw), spread, ceil = pooling
    out_hw = (count(hw[0], size[0], step[0], 2 * ph, spread[0], ceil, ph),
              count(hw[1], size[1], step[1], 2 * pw, spread[1], ceil, pw))
    return (hw, stride, padding[:2], dilation, groups), (*pooling[:-1], out_hw)


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


@op(samples=_samples, ref=_ref, takes=Signature(
    CONV.shapes, CONV.dtypes, {**CONV.options, **POOLING}, then=_windows_fit, advice=CONV.advice))
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

    input (N, C, H, W) or (C, H, W), weight (F, C/groups, KH, KW), bias (F,) -> (N, F, OH, OW) or
    (F, OH, OW), the sizes of the pooling. The options from stride to groups: as for conv2d. The
    rest: as for max_pool2d (pool_size is its kernel_size, and the default of pool_stride).

    A window without a positive element gives 0 and has no gradient; NaN stays NaN, as in relu.

    Raises: as conv2d and max_pool2d.
    """
    conv, pool = _geometry(input.shape, weight.shape, stride, padding, dilation, groups, pool_size,
                           pool_stride, pool_padding, pool_dilation, ceil_mode)
    x, added = _conv._batched(input)
    y, places = kernel.conv2d_relu_max_pool2d(x, weight, bias, conv, pool)
    return (y[0], places[0]) if added else (y, places)


@conv2d_relu_max_pool2d.joint_vjp("input", "weight", "bias", reads={
    "input": ("weight",), "weight": ("input",), "bias": ()})
def _gradients(g, input, weight, input_shape, weight_shape, aux, needs, stride, padding, dilation,
               groups, pool_size, pool_stride, pool_padding, pool_dilation, ceil_mode):
    conv, pool = _geometry(input_shape, weight_shape, stride, padding, dilation, groups, pool_size,
                           pool_stride, pool_padding, pool_dilation, ceil_mode)
    if isinstance(g, Tensor):                      # to be differentiated again: the composition's
        options = stride, padding, dilation, groups
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
