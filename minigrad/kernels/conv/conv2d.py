"""Cross-correlation of images and its gradient for the image, and when which way computes them.

    conv2d           y[n,f,u,v] = bias[f] + sum over c, i, j of w[f,c,i,j] * x[n, c, place]
    conv2d_grad_x    gx[n,c,h,t] = sum of w[f,c,i,j] * g[n,f,u,v] over all that met x[n,c,h,t]

Both are one correlation, of x or of g: which output reads which numbers of the source is said by
two axes (geometry.py), and the ways know nothing else.

Padding is (top, left) only: the size of the output says how far it reaches at the bottom and at
the right, so the lopsided padding of 'same' with an even kernel needs nothing special.

Not here: the ways (depthwise.py, winograd.py, flat.py, tiles.py), the gradient of the weights
(grad_w.py), checking shapes, derivatives as rules (ops/conv.py).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...memory import empty
from ..jit import ready
from ..ways import Family, Way, long_sum
from . import winograd, winograd_cut
from .depthwise import correlate_depthwise, why_not_depthwise
from .flat import correlate_flat, is_flat
from .geometry import Axis, Pair, backward_axis, forward_axis
from .grad_w import (
    conv2d_grad_w, conv2d_grad_w_and_bias, conv2d_grad_w_reference, group_slices, tap_views,
)
from .tiles import correlate_tiles

__all__ = [
    "conv2d",
    "conv2d_grad_w",
    "conv2d_grad_w_and_bias",
    "conv2d_grad_w_reference",
    "conv2d_grad_x",
    "conv2d_grad_x_reference",
    "conv2d_reference",
]


Shape = tuple[int, int, int, int]


class Correlation(NamedTuple):
    """A source of shape x (N, C, ., .) under weights w to a result of `shape`.

    gradient: whether it is that of the image: then the channels of w are the outputs. pairs: as
    the public functions have them: sizes of the other image, stride, padding, dilation.
    """

    x: Shape
    w: Shape
    shape: Shape
    groups: int
    dtype: np.dtype
    ah: Axis
    aw: Axis
    gradient: bool
    pairs: tuple[Pair, Pair, Pair, Pair]

    def __repr__(self) -> str:
        _, stride, padding, dilation = self.pairs
        return (f"{'g' if self.gradient else 'x'} {self.x}, w {self.w}, stride {stride}, padding "
                f"{padding}, dilation {dilation}, groups {self.groups}, {self.dtype}")

    @property
    def channels(self) -> int:
        """Of the source, in a group."""
        return self.x[1] // self.groups

    @property
    def features(self) -> int:
        """Of the result, in a group."""
        return self.shape[1] // self.groups

    @property
    def flops(self) -> float:
        """Of the sums that the formula has."""
        return 2.0 * math.prod(self.x if self.gradient else self.shape) * math.prod(self.w[1:])

    @property
    def bytes(self) -> float:
        """Of source, weights and result."""
        return float(sum(map(math.prod, (self.x, self.w, self.shape)))) * self.dtype.itemsize

    def result(self, out: np.ndarray | None) -> np.ndarray:
        """Where to write it."""
        return empty(self.shape, self.dtype) if out is None else out


def _forward(
    x: Shape, w: Shape, groups: int, dtype: np.dtype, *geometry: int
) -> Correlation:
    """The problem of `conv2d` for x and w of these shapes; geometry: its pairs, one after another.
    """
    oh, ow, sh, sw, top, left, dh, dw = geometry
    ah = forward_axis(x[2], w[2], sh, top, dh, oh)
    aw = forward_axis(x[3], w[3], sw, left, dw, ow)
    shape = x[0], w[0], oh, ow
    pairs = (oh, ow), (sh, sw), (top, left), (dh, dw)
    return Correlation(x, w, shape, groups, dtype, ah, aw, False, pairs)


def _backward(
    g: Shape, w: Shape, groups: int, dtype: np.dtype, *geometry: int
) -> Correlation:
    """The problem of `conv2d_grad_x` for g and w of these shapes."""
    h, width, sh, sw, top, left, dh, dw = geometry
    ah = backward_axis(h, w[2], sh, top, dh, g[2])
    aw = backward_axis(width, w[3], sw, left, dw, g[3])
    shape = g[0], w[1] * groups, h, width
    pairs = (h, width), (sh, sw), (top, left), (dh, dw)
    return Correlation(g, w, shape, groups, dtype, ah, aw, True, pairs)


# --------------------------------------------------------------------------- the ways

Arrays = tuple[np.ndarray, np.ndarray, "np.ndarray | None", "np.ndarray | None"]


def _by_nothing(p: Correlation, x: Any, w: Any, bias: Any, out: Any) -> np.ndarray:
    out = p.result(out)
    if out.size:
        out[:] = 0 if bias is None else bias[:, None, None]
    return out


def _by_depthwise(p: Correlation, x: Any, w: Any, bias: Any, out: Any) -> np.ndarray:
    out = p.result(out)
    correlate_depthwise(x, w, p.gradient, bias, p.ah, p.aw, out, p.groups)
    return out


def _by_winograd(p: Correlation, x: Any, w: Any, bias: Any, out: Any) -> np.ndarray | None:
    out = p.result(out)
    return out if winograd.correlate(x, w, p.gradient, bias, p.ah, p.aw, out) else None


def _by_flat(p: Correlation, x: Any, w: Any, bias: Any, out: Any) -> np.ndarray:
    out = p.result(out)
    correlate_flat(x, w, p.gradient, bias, p.ah, p.aw, p.w[2:], out, p.groups)
    return out


def _by_tiles(p: Correlation, x: Any, w: Any, bias: Any, out: Any) -> np.ndarray:
    out = p.result(out)
    correlate_tiles(x, w, p.gradient, bias, p.ah, p.aw, out, p.groups)
    return out


def _by_reference(p: Correlation, x: Any, w: Any, bias: Any, out: Any) -> np.ndarray:
    if p.gradient:
        result = conv2d_grad_x_reference(x, w, *p.pairs, p.groups)
    else:
        result = conv2d_reference(x, w, bias, *p.pairs, p.groups)
    if out is None:
        return result
    out[:] = result
    return out


def _something(p: Correlation) -> str | None:
    """Why there is something to do."""
    return None if 0 in p.x or 0 in p.shape else "there are numbers to add up"


def _nothing(p: Correlation) -> str | None:
    return "there is nothing to add up" if 0 in p.x or 0 in p.shape else None


_WAYS = [
    Way("zeros", _by_nothing, can=_something, about="no images, channels or pixels"),
    Way("depthwise", _by_depthwise,
        can=lambda p: _nothing(p) or why_not_depthwise(p.aw, p.dtype),
        better=lambda p: p.features <= 2,
        about="one or two outputs a group: the image is read and written in place"),
    Way("winograd", _by_winograd, declines=True, nearby=True,
        can=lambda p: _nothing(p) or winograd_cut.why_not(p.groups, p.dtype, p.ah, p.aw),
        better=lambda p: winograd_cut.cheaper(p.x[0], p.channels, p.features, p.ah, p.aw),
        about="many channels and pixels: less than half of the multiplications"),
    Way("flat", _by_flat, can=_nothing,
        better=lambda p: is_flat(p.channels, p.features, p.w[2] * p.w[3], p.ah, p.aw, p.dtype),
        about="short sums, few channels, 1x1: weights are rows, pixels of the image columns"),
    Way("tiles", _by_tiles, can=_nothing,
        about="pixels are rows, channels columns; anything"),
    Way("reference", _by_reference),
]  # fmt: skip


def _drawn(problem: Any, with_bias: bool) -> Any:
    def draw(rng: Any, *sizes: Any) -> Arrays:
        p = problem(*sizes)
        x, w = (rng.standard_normal(shape).astype(p.dtype) for shape in (p.x, p.w))
        return x, w, rng.standard_normal(p.w[0]).astype(p.dtype) if with_bias else None, None
    return draw


CONV2D, CONV2D_GRAD_X = (
    Family(name, problem, _WAYS, draw=_drawn(problem, name == "conv2d"), flops=lambda p: p.flops,
           bytes=lambda p: p.bytes,
           ulps=lambda p: long_sum(p.channels * p.w[2] * p.w[3]))
    for name, problem in (("conv2d", _forward), ("conv2d_grad_x", _backward))
)  # fmt: skip


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    out_hw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """y[n,f,u,v] = bias[f] + sum_cij w[f,c,i,j] * x[n, c, u*sh + i*dh - top, v*sw + j*dw - left].

    x (N, C, H, W), w (F, C // groups, KH, KW), bias (F,) or None, padding (top, left) -> y
    (N, F, OH, OW). The padding is a real zero: a weight of inf or NaN makes NaN there, as in torch.
    """
    x, w = ready(x), ready(w)
    run = CONV2D.way(x.shape, w.shape, groups, x.dtype, *out_hw, *stride, *padding, *dilation)
    return run(x, w, bias, None)


def conv2d_grad_x(
    g: np.ndarray,
    w: np.ndarray,
    hw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """gx[n,c,h,t]: sum of w[f,c,i,j] g[n,f,u,v] with u*sh + i*dh = h + top, v*sw + j*dw = t + left.

    g (N, F, OH, OW), w (F, C // groups, KH, KW), hw (H, W) -> gx (N, C, H, W). Outside of g there
    are real zeros: a weight of inf makes NaN at the border of gx. out: where to write gx.
    """
    g, w = ready(g), ready(w)
    run = CONV2D_GRAD_X.way(g.shape, w.shape, groups, g.dtype, *hw, *stride, *padding, *dilation)
    return run(g, w, None, out)


# --------------------------------------------------------------------------- references


def conv2d_reference(x, w, bias, out_hw, stride, padding, dilation, groups):
    """What `conv2d` computes: one product of matrices for each tap."""
    y = np.zeros((x.shape[0], w.shape[0], *out_hw), x.dtype)
    views, _ = tap_views(x, w.shape[2:], out_hw, stride, padding, dilation)
    for (i, j), view in views.items():
        for fs, cs in group_slices(groups, w.shape[0], x.shape[1]):
            y[:, fs] += np.einsum("nchw,fc->nfhw", view[:, cs], w[fs, :, i, j])
    return y if bias is None else y + bias[:, None, None]


def conv2d_grad_x_reference(g, w, hw, stride, padding, dilation, groups):
    """What `conv2d_grad_x` computes: each tap adds its share to a padded image, then crop."""
    x = np.zeros((g.shape[0], w.shape[1] * groups, *hw), g.dtype)
    views, padded = tap_views(x, w.shape[2:], g.shape[2:], stride, padding, dilation)
    for (i, j), view in views.items():
        for fs, cs in group_slices(groups, w.shape[0], x.shape[1]):
            view[:, cs] += np.einsum("nfhw,fc->nchw", g[:, fs], w[fs, :, i, j])
    return padded[:, :, padding[0] : padding[0] + hw[0], padding[1] : padding[1] + hw[1]].copy()
