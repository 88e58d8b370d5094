"""max_pool2d(relu(conv2d(x, w, b))) and its gradients; the result of the convolution is not kept.

Where a sum has few terms and windows do not overlap, it never leaves the registers and the
first-level cache (pooled_short.py). Else the three are done one after the other for a block of
images, whose results stay in the last cache: the next block finds them in the same memory
(memory.empty hands out the block that was freed last). The gradient needs the place of each
maximum, one byte, and neither the result of the convolution nor its gradient for all images.

    a training step of a CNN, 28 x 28   one by one     in one
    on 16 images                          2.5 ms        2.2
    on 64                                 6.4           5.5
    on 1,024                            109            75

Not here: the loops, checking shapes, derivatives as rules (ops/conv_pool.py).
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ...memory import empty
from ...long_sums import sum_of, total
from ..jit import ready
from ..rowwise.sums import row_sums
from ..pool.maximum import max_pool2d_places, max_pool2d_places_reference, nowhere_of, place_dtype
from ..pool.maximum_grad import max_pool2d_grad, max_pool2d_grad_reference
from ..ways import Family, Way, long_sum
from .conv2d import (
    conv2d, conv2d_grad_w, conv2d_grad_w_and_bias, conv2d_grad_w_reference, conv2d_grad_x,
    conv2d_grad_x_reference, conv2d_reference,
)
from .geometry import Pair, blocks_of
from .grad_w import blocks_of_batch
from .pooled_short import ShortPlan, short_plan, short_pool, short_pool_grad


class Problem(NamedTuple):
    """Images of shape x under weights w, pooled; conv, pool: as the public functions have them.

    needs: which gradients are asked for, of x, w and the bias (none: it is the forward pass).
    """

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    dtype: np.dtype
    conv: Any
    pool: Any
    needs: tuple[bool, bool, bool] = (False, False, False)

    def __repr__(self) -> str:
        _, stride, padding, dilation, groups = self.conv
        window, step = self.pool[:2]
        return (f"x {self.x}, w {self.w}, stride {stride}, padding {padding}, dilation {dilation}, "
                f"groups {groups}, windows {window} step {step}, {self.dtype}")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the result."""
        return self.x[0], self.w[0], *self.pool[-1]

    @property
    def plan(self) -> ShortPlan | None:
        """How it is done in one pass, if it can be."""
        return short_plan(self.x, self.w, self.dtype, self.conv, self.pool)

    @property
    def flops(self) -> float:
        """Of the convolution; of two of its gradients, or one."""
        once = 2.0 * self.x[0] * math.prod(self.conv[0]) * math.prod(self.w)
        return once * max(1, sum(self.needs[:2]))

    @property
    def bytes(self) -> float:
        """Of x, w and the result, and a byte for each place."""
        numbers = math.prod(self.x) + math.prod(self.w) + math.prod(self.shape)
        return float(numbers * self.dtype.itemsize + math.prod(self.shape))


def _why_not_short(p: Problem) -> str | None:
    return None if p.plan is not None else \
        "long sums, groups, or windows that overlap, hang over or are large"


# --------------------------------------------------------------------------- forwards


def _results(p: Problem) -> tuple[np.ndarray, np.ndarray]:
    return empty(p.shape, p.dtype), empty(p.shape, place_dtype(p.pool[0]))


def _forward_in_one(
    planned: tuple[Problem, ShortPlan], x: np.ndarray, w: np.ndarray, bias: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    p, plan = planned
    y, places = _results(p)
    short_pool(plan, x, w, bias, y, places, nowhere_of(places))
    return y, places


def _forward_in_blocks(
    planned: tuple[Problem, tuple[slice, ...]], x: np.ndarray, w: np.ndarray,
    bias: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    p, blocks = planned
    y, places = _results(p)
    for block in blocks:
        result = conv2d(x[block], w, bias, *p.conv)
        window, stride, padding, dilation, out_hw = p.pool
        to = y[block], places[block]
        max_pool2d_places(result, window, stride, padding, dilation, out_hw, True, to)
        del result  # before the next one is made: it gets the same memory
    return y, places


def _blocks(p: Problem) -> tuple[Problem, tuple[slice, ...]]:
    return p, blocks_of_images(p.x[0], p.w[0], p.conv[0], p.dtype.itemsize)


def _draw(rng: Any, *sizes: Any) -> tuple:
    p = Problem(*sizes)
    shapes = p.x, p.w, (p.w[0],)
    return tuple(rng.standard_normal(shape).astype(p.dtype) for shape in shapes)


def _relu_places(result: np.ndarray, pool: Any) -> tuple[np.ndarray, np.ndarray]:
    window, stride, padding, dilation, out_hw = pool
    return max_pool2d_places_reference(result, window, stride, padding, dilation, out_hw, True)


def _nearest(p: Problem, found: tuple, x: np.ndarray, w: np.ndarray, bias: Any) -> tuple:
    """Of the maxima: the sums of absolute values in their windows. Of the places: nothing, since
    of two numbers that are nearly equal either may be the larger."""
    sums = conv2d_reference(abs(x), abs(w), None if bias is None else abs(bias), *p.conv)
    return max_pool2d_places_reference(sums, *p.pool)[0], np.inf


CONV2D_RELU_MAX_POOL2D = Family("conv2d_relu_max_pool2d", Problem, [
    Way("one pass", _forward_in_one, can=_why_not_short, plan=lambda p: (p, p.plan),
        about="short sums, windows apart: the convolution's result stays in registers"),
    Way("blocks", _forward_in_blocks, plan=_blocks, nearby=True,
        about="one after the other, for as many images as a last-level cache holds"),
    Way("reference", lambda p, x, w, bias: _relu_places(
        conv2d_reference(x, w, bias, *p.conv), p.pool)),
], draw=_draw, flops=lambda p: p.flops, bytes=lambda p: p.bytes,
    ulps=lambda p: long_sum(math.prod(p.w[1:])), magnitude=_nearest)  # fmt: skip


def conv2d_relu_max_pool2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, conv: tuple, pool: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """(y, places) of the maxima of relu(conv2d(x, w, bias)).

    x (N, C, H, W), w (F, C // groups, KH, KW), bias (F,) or None -> y and places (N, F, OH, OW),
    as `max_pool2d_places`. conv: the arguments of `conv2d` from out_hw on, pool: those of
    `max_pool2d_places` from kernel to out_hw.
    """
    x, w = ready(x), ready(w)
    way = CONV2D_RELU_MAX_POOL2D.way(x.shape, w.shape, x.dtype, conv, pool)
    return way(x, w, bias)


# --------------------------------------------------------------------------- backwards


Gradients = tuple["np.ndarray | None", "np.ndarray | None", "np.ndarray | None"]


def _only_of_weights(p: Problem) -> str | None:
    if p.needs[0] or not p.needs[1]:
        return "the gradient of the image is asked for, or none of the weights"
    return _why_not_short(p)


def _gradient_in_one(
    planned: tuple[Problem, ShortPlan], g: np.ndarray, places: np.ndarray, x: Any, w: Any
) -> Gradients:
    p, plan = planned
    x, nowhere = ready(x), nowhere_of(places)
    gws, gbs = zip(*[
        short_pool_grad(plan, g[images], places[images], x[images], nowhere)
        for images in blocks_of_batch(len(g), math.prod(g.shape[2:]))])
    return None, sum_of(gws).reshape(p.w), sum_of(gbs) if p.needs[2] else None


def _gradient_in_blocks(
    planned: tuple[Problem, tuple[slice, ...]], g: np.ndarray, places: np.ndarray, x: Any, w: Any
) -> Gradients:
    p, blocks = planned
    out_hw, stride, padding, dilation, groups = p.conv
    geometry = p.conv[1:]
    khw = p.w[2:]
    gx = empty(p.x, g.dtype) if p.needs[0] else None
    gws, gbs = [], []
    for block in blocks:
        result = max_pool2d_grad(g[block], places[block], out_hw, *p.pool[:-1])
        if gx is not None:
            conv2d_grad_x(result, w, p.x[2:], stride, padding, dilation, groups, gx[block])
        if p.needs[1] and p.needs[2]:
            gw, gb = conv2d_grad_w_and_bias(result, x[block], khw, *geometry)
            gws.append(gw)
            gbs.append(gb)
        elif p.needs[1]:
            gws.append(conv2d_grad_w(result, x[block], khw, *geometry))
        elif p.needs[2]:
            gbs.append(_over_images(result))
        del result  # as above
    return gx, sum_of(gws) if gws else None, sum_of(gbs) if gbs else None


def _gradient_by_reference(
    p: Problem, g: np.ndarray, places: np.ndarray, x: Any, w: Any
) -> Gradients:
    result = max_pool2d_grad_reference(g, places, p.conv[0], *p.pool[:-1])
    return (
        conv2d_grad_x_reference(result, w, p.x[2:], *p.conv[1:]) if p.needs[0] else None,
        conv2d_grad_w_reference(result, x, p.w[2:], *p.conv[1:]) if p.needs[1] else None,
        result.sum((0, 2, 3)) if p.needs[2] else None,
    )


def _draw_gradient(rng: Any, *sizes: Any) -> tuple:
    p = Problem(*sizes)
    x, w, bias = _draw(rng, *sizes)
    result = conv2d_reference(x, w, bias, *p.conv)
    y, places = _relu_places(result, p.pool)
    return rng.standard_normal(y.shape).astype(p.dtype), places, x, w


CONV2D_RELU_MAX_POOL2D_GRAD = Family("conv2d_relu_max_pool2d_grad", Problem, [
    Way("one pass", _gradient_in_one, can=_only_of_weights, plan=lambda p: (p, p.plan),
        about="short sums, windows apart, no gradient of the image: g meets x where it was found"),
    Way("blocks", _gradient_in_blocks, plan=_blocks, nearby=True,
        about="one after the other, for as many images as a last-level cache holds"),
    Way("reference", _gradient_by_reference),
], draw=_draw_gradient, flops=lambda p: p.flops, bytes=lambda p: p.bytes,
    ulps=lambda p: long_sum(max(p.x[0] * math.prod(p.conv[0]), math.prod(p.w[1:]))))  # fmt: skip


def conv2d_relu_max_pool2d_grad(
    g: np.ndarray,
    places: np.ndarray,
    x: np.ndarray | None,
    w: np.ndarray | None,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    conv: tuple,
    pool: tuple,
    needs: tuple[bool, bool, bool],
) -> Gradients:
    """(gx, gw, gb), the gradients of `conv2d_relu_max_pool2d`; None for what is not needed.

    g, places (N, F, OH, OW), the places as it gave them. shapes: of x, which is only read for gw,
    and of w, which is only read for gx; else they may be None.
    """
    needs = needs[0] and w is not None, needs[1] and x is not None, needs[2]
    way = CONV2D_RELU_MAX_POOL2D_GRAD.way(*shapes, g.dtype, conv, pool, needs)
    return way(ready(g), places, x, w)


@functools.lru_cache(maxsize=256)
def blocks_of_images(batch: int, features: int, out_hw: Pair, itemsize: int) -> tuple[slice, ...]:
    """Equal blocks of the batch (but for the last) with results of POOLED_BLOCK_BYTES at most; one,
    if it is empty."""
    result = features * out_hw[0] * out_hw[1] * itemsize  # bytes of an image's
    size = blocks_of(max(1, batch), tuning.POOLED_BLOCK_BYTES // max(1, result))
    return tuple(slice(i, min(i + size, batch)) for i in range(0, max(1, batch), size))


def _over_images(g: np.ndarray) -> np.ndarray:
    """The sums over images, rows and columns: g (N, F, OH, OW) -> (F,)."""
    if g.size == 0:
        return np.zeros(g.shape[1], g.dtype)
    return total(row_sums(g, g.shape[0] * g.shape[1]).reshape(g.shape[:2]), (0,))


# --------------------------------------------------------------------------- references


def conv2d_relu_max_pool2d_reference(x, w, bias, conv, pool):
    """What `conv2d_relu_max_pool2d` computes: one after the other, all images at once."""
    return max_pool2d_places(conv2d(x, w, bias, *conv), *pool, True)


def conv2d_relu_max_pool2d_grad_reference(g, places, x, w, conv, pool):
    """What `conv2d_relu_max_pool2d_grad` computes: all three gradients."""
    result = max_pool2d_grad(g, places, conv[0], *pool[:-1])
    return (
        conv2d_grad_x(result, w, x.shape[2:], *conv[1:]),
        conv2d_grad_w(result, x, w.shape[2:], *conv[1:]),
        result.sum((0, 2, 3)),
    )
