"""The gradient of a convolution's weights (and bias), and when which way computes it.

    gw[f, c, i, j] = sum over outputs p of g[f, p] * image[c, place of p + (i, j)]

The time of dot products by that of tiles, two cores, float32: 1 to 32 channels at 28 pixels 0.37,
3 to 32 at 56 0.64, 8 to 64 at 28 0.81, 1x1 with 64 channels at 28 0.91; but 3x3 with 16 channels
at 56 1.28, 1x1 with 128 at 14 1.21 (rows of g begin beside the lines), stride 2 1.45.

Not here: the ways (depthwise.py, winograd_grad_w.py, grad_w_dots.py, grad_w_tiles.py), adding up
the parts (grad_w_parts.py), the other two passes (conv2d.py), checks.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ...long_sums import sum_of
from ..jit import ready
from ..simd.masked import masked_lanes
from ..simd.tile import tile_shape
from ..ways import Family, Way, long_sum
from . import winograd_cut, winograd_grad_w
from .depthwise import grad_w_depthwise, why_not_depthwise
from .geometry import Axis, Pair, forward_axis
from .grad_w_dots import plan_dots
from .grad_w_parts import Plan, run
from .grad_w_tiles import neighbours_of, plan_tiles, tiles_for


class Problem(NamedTuple):
    """The gradient of weights (F, C / groups, *khw) from g and x of these shapes.

    bias: whether the sums of g are asked for, too. pairs: stride, padding, dilation.
    """

    g: tuple[int, ...]
    x: tuple[int, ...]
    khw: Pair
    groups: int
    dtype: np.dtype
    ah: Axis
    aw: Axis
    bias: bool
    pairs: tuple[Pair, Pair, Pair]

    def __repr__(self) -> str:
        stride, padding, dilation = self.pairs
        return (f"g {self.g}, x {self.x}, kernel {self.khw}, stride {stride}, padding {padding}, "
                f"dilation {dilation}, groups {self.groups}, {self.dtype}")

    @property
    def channels(self) -> int:
        """Of x, in a group."""
        return self.x[1] // self.groups

    @property
    def features(self) -> int:
        """Of g, in a group."""
        return self.g[1] // self.groups

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the result."""
        return self.g[1], self.channels, *self.khw

    @property
    def cut(self) -> tuple:
        """What plans are made of."""
        return (self.x[0], self.channels, self.features, self.groups, self.dtype, self.ah, self.aw)


def _problem(
    g: tuple[int, ...], x: tuple[int, ...], groups: int, dtype: np.dtype, bias: bool,
    *geometry: int
) -> Problem:
    """For g and x of these shapes; geometry: the pairs, one after another."""
    kh, kw, sh, sw, top, left, dh, dw = geometry
    ah = forward_axis(x[2], kh, sh, top, dh, g[2])
    aw = forward_axis(x[3], kw, sw, left, dw, g[3])
    pairs = (sh, sw), (top, left), (dh, dw)
    return Problem(g, x, (kh, kw), groups, dtype, ah, aw, bias, pairs)


# --------------------------------------------------------------------------- the ways
# Each gives gw, and the pieces of gb in float64: (pieces, F), or (pieces, 0) without bias.

Sums = tuple[np.ndarray, np.ndarray]


def _empty(p: Problem) -> bool:
    return 0 in p.g or 0 in p.shape


def _nothing(p: Problem) -> str | None:
    return "there is nothing to add up" if _empty(p) else None


def _by_nothing(p: Problem, g: np.ndarray, x: np.ndarray) -> Sums:
    pixels = g.reshape(*p.g[:2], p.g[2] * p.g[3]) if p.bias else g[:, :0, 0]
    return np.zeros(p.shape, g.dtype), pixels.sum(axis=2, dtype=np.float64)


def _by_depthwise(p: Problem, g: np.ndarray, x: np.ndarray) -> Sums:
    gw, gb = grad_w_depthwise(g, x, *p.khw, p.ah, p.aw, p.groups, p.bias)
    return gw.reshape(p.shape), gb


def _by_winograd(p: Problem, g: np.ndarray, x: np.ndarray) -> Sums | None:
    return winograd_grad_w.grad_w(g, x, p.khw, p.ah, p.aw, tuning.GRAD_W_PART_BYTES, p.bias)


def _by_plan(planned: tuple[Problem, Plan], g: np.ndarray, x: np.ndarray) -> Sums:
    p, plan = planned
    gw, gb = run(plan, g, x, math.prod(p.shape), p.bias)
    return gw.reshape(p.shape), gb


def _by_reference(p: Problem, g: np.ndarray, x: np.ndarray) -> Sums:
    gw = conv2d_grad_w_reference(g, x, p.khw, *p.pairs, p.groups)
    sums = g.sum((0, 2, 3), dtype=np.float64)
    return gw, sums[None] if p.bias else sums[None, :0]


def _dots_are_better(p: Problem) -> bool:
    """Whether dot products along the positions are faster than tiles with turned images."""
    if p.ah.reads_all and p.aw.reads_all and (
        p.ah.size * p.aw.size * p.dtype.itemsize % 64 == 0
    ):
        return True
    tiles = tiles_for(p.channels, p.features, p.dtype, neighbours_of(p.aw))
    return tiles.cost > tuning.GRAD_W_DOTS_COST


def _draw(rng: Any, *sizes: Any) -> tuple[np.ndarray, np.ndarray]:
    p = _problem(*sizes)
    return tuple(rng.standard_normal(shape).astype(p.dtype) for shape in (p.g, p.x))


CONV2D_GRAD_W = Family("conv2d_grad_w", _problem, [
    Way("zeros", _by_nothing, can=lambda p: None if _empty(p) else "there are numbers to add up",
        about="no images, channels or pixels"),
    Way("depthwise", _by_depthwise, can=lambda p: _nothing(p) or why_not_depthwise(p.aw, p.dtype),
        better=lambda p: 2 * p.features < tile_shape(p.dtype, "narrow").cols,
        about="few outputs a group: else most columns of a tile are empty"),
    Way("winograd", _by_winograd, declines=True, nearby=True,
        can=lambda p: _nothing(p) or winograd_cut.why_not(p.groups, p.dtype, p.ah, p.aw),
        better=lambda p: winograd_cut.cheaper(
            p.x[0], p.channels, p.features, p.ah, p.aw, gradient=True),
        about="stride 1, many channels: less than half of the multiplications"),
    Way("dots", _by_plan, plan=lambda p: (p, plan_dots(*p.cut)),
        can=lambda p: _nothing(p) or (
            None if masked_lanes(p.dtype) else "this machine has no masked loads"),
        better=_dots_are_better,
        about="few channels of x, or 1x1 in whole cache lines: dot products along the positions"),
    Way("tiles", _by_plan, plan=lambda p: (p, plan_tiles(*p.cut)), can=_nothing,
        about="register tiles on turned images; anything"),
    Way("reference", _by_reference),
], draw=_draw, flops=lambda p: 2.0 * math.prod(p.g) * math.prod(p.shape[1:]),
    bytes=lambda p: float(sum(map(math.prod, (p.g, p.x, p.shape)))) * p.dtype.itemsize,
    ulps=lambda p: long_sum(p.g[0] * p.g[2] * p.g[3]),
    seen=lambda sums: (sums[0], sums[1].sum(0).astype(sums[0].dtype)))  # fmt: skip


def conv2d_grad_w(
    g: np.ndarray,
    x: np.ndarray,
    khw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """gw[f,c,i,j] = sum_nuv g[n,f,u,v] * x[n, c, u*sh + i*dh - top, v*sw + j*dw - left].

    g (N, F, OH, OW), x (N, C, H, W), khw (KH, KW), padding (top, left) -> gw (F, C // groups, KH,
    KW). The zeros of the padding are multiplied: a g of inf makes NaN in the taps outside.
    """
    return _grad_w_and_sums(ready(g), ready(x), khw, stride, padding, dilation, groups, False)[0]


def conv2d_grad_w_and_bias(
    g: np.ndarray,
    x: np.ndarray,
    khw: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(gw, gb): gw as `conv2d_grad_w`, and the bias's gradient gb[f] = sum_nuv g[n,f,u,v], (F,).

    Each item of g is added up while it is in a cache, where a pass of its own read it from memory.
    """
    gw, gb = _grad_w_and_sums(ready(g), ready(x), khw, stride, padding, dilation, groups, True)
    return gw, np.add.reduce(gb, axis=0).astype(g.dtype)  # (pieces, F) -> (F,)


def blocks_of_batch(batch: int, plane: int) -> tuple[slice, ...]:
    """The images whose gradients are added up before float64 takes over: usually all of them."""
    most = tuning.GRAD_W_TERMS
    size = batch if batch * plane <= most else max(8, most // plane)
    return tuple(slice(i, i + size) for i in range(0, batch, max(1, size))) or (slice(0),)


def _grad_w_and_sums(
    g: np.ndarray, x: np.ndarray, khw: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, bias: bool,
) -> Sums:
    """gw, and the pieces of gb."""
    geometry = (*khw, *stride, *padding, *dilation)
    blocks = blocks_of_batch(len(g), g.shape[2] * g.shape[3])
    if len(blocks) == 1:
        return CONV2D_GRAD_W.way(g.shape, x.shape, groups, g.dtype, bias, *geometry)(g, x)
    found = []
    for block in blocks:
        some_g, some_x = g[block], x[block]
        way = CONV2D_GRAD_W.way(some_g.shape, some_x.shape, groups, g.dtype, bias, *geometry)
        found.append(way(some_g, some_x))
    return sum_of([gw for gw, _ in found], few=1), np.concatenate([sums for _, sums in found])


# --------------------------------------------------------------------------- reference


def tap_views(x, khw, out_hw, stride, padding, dilation):
    """For each tap (i, j): the view of a padded copy of x that it multiplies; and that copy."""
    (oh, ow), (sh, sw), (top, left), (dh, dw) = out_hw, stride, padding, dilation
    kh, kw = khw
    n, c, height, width = x.shape
    tall = max(top + height, (oh - 1) * sh + (kh - 1) * dh + 1)
    wide = max(left + width, (ow - 1) * sw + (kw - 1) * dw + 1)
    padded = np.zeros((n, c, tall, wide), x.dtype)
    padded[:, :, top : top + height, left : left + width] = x
    views = {}
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
            cols = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
            views[i, j] = padded[:, :, rows, cols]  # (N, C, OH, OW)
    return views, padded


def group_slices(groups, features, channels):
    """For each group: its slice of output channels and its slice of input channels."""
    f, c = features // groups, channels // groups
    return [(slice(k * f, k * f + f), slice(k * c, k * c + c)) for k in range(groups)]


def conv2d_grad_w_reference(g, x, khw, stride, padding, dilation, groups):
    """What `conv2d_grad_w` computes: one number a tap and a pair of channels."""
    gw = np.zeros((g.shape[1], x.shape[1] // groups, *khw), g.dtype)
    views, _ = tap_views(x, khw, g.shape[2:], stride, padding, dilation)
    for (i, j), view in views.items():
        for fs, cs in group_slices(groups, g.shape[1], x.shape[1]):
            gw[fs, :, i, j] = np.einsum("nfhw,nchw->fc", g[:, fs], view[:, cs])
    return gw
