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
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...memory import empty
from ...sums import total
from ..jit import ready
from ..rowwise.sums import row_sums
from ..pool.maximum import max_pool2d_grad, max_pool2d_places, nowhere_of, place_dtype
from .direct import conv2d, conv2d_grad_w, conv2d_grad_w_and_bias, conv2d_grad_x
from .geometry import Pair, blocks_of
from .grad_w import blocks_of_batch
from .pooled_short import short_plan, short_pool, short_pool_grad

BLOCK_BYTES = 1 << 24  # of a convolution's result: what a last-level cache keeps


def conv2d_relu_max_pool2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, conv: tuple, pool: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """(y, places) of the maxima of relu(conv2d(x, w, bias)).

    x (N, C, H, W), w (F, C // groups, KH, KW), bias (F,) or None -> y and places (N, F, OH, OW),
    as `max_pool2d_places`. conv: the arguments of `conv2d` from out_hw on, pool: those of
    `max_pool2d_places` from kernel to out_hw.
    """
    x, w = ready(x), ready(w)
    y = empty((x.shape[0], w.shape[0], *pool[-1]), x.dtype)
    places = empty(y.shape, place_dtype(pool[0]))
    plan = short_plan(x.shape, w.shape, x.dtype, conv, pool)
    if plan is not None:
        short_pool(plan, x, w, bias, y, places, nowhere_of(places))
        return y, places
    window, stride, padding, dilation, out_hw = pool
    for block in blocks_of_images(x.shape[0], w.shape[0], conv[0], x.itemsize):
        result = conv2d(x[block], w, bias, *conv)
        to = y[block], places[block]
        max_pool2d_places(result, window, stride, padding, dilation, out_hw, True, to)
        del result  # before the next one is made: it gets the same memory
    return y, places


def conv2d_relu_max_pool2d_grad(
    g: np.ndarray,
    places: np.ndarray,
    x: np.ndarray | None,
    w: np.ndarray | None,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    conv: tuple,
    pool: tuple,
    needs: tuple[bool, bool, bool],
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """(gx, gw, gb), the gradients of `conv2d_relu_max_pool2d`; None for what is not needed.

    g, places (N, F, OH, OW), the places as it gave them. shapes: of x, which is only read for gw,
    and of w, which is only read for gx; else they may be None.
    """
    g = ready(g)
    of_x, of_w = shapes
    if x is not None and needs[1] and not needs[0]:
        plan = short_plan(of_x, of_w, g.dtype, conv, pool)
        if plan is not None:
            images, x, nowhere = blocks_of_batch(len(g), math.prod(g.shape[2:])), ready(x), \
                nowhere_of(places)
            if len(images) == 1:
                gw, gb = short_pool_grad(plan, g, places, x, nowhere)
            else:
                gw, gb = (sum_of(parts) for parts in zip(*[
                    short_pool_grad(plan, g[i], places[i], x[i], nowhere) for i in images]))
            return None, gw.reshape(of_w), gb if needs[2] else None
    out_hw, stride, padding, dilation, groups = conv
    khw = of_w[2], of_w[3]
    gx = empty(of_x, g.dtype) if needs[0] else None
    found: tuple[list[Any], list[Any]] = [], []
    for block in blocks_of_images(of_x[0], of_w[0], out_hw, g.itemsize):
        result = max_pool2d_grad(g[block], places[block], out_hw, *pool[:-1])
        if gx is not None and w is not None:
            hw = of_x[2], of_x[3]
            conv2d_grad_x(result, w, hw, stride, padding, dilation, groups, gx[block])
        parts: list[Any] = [None, None]
        if x is not None and needs[1] and needs[2]:
            parts = list(conv2d_grad_w_and_bias(result, x[block], khw, *conv[1:]))
        elif x is not None and needs[1]:
            parts[0] = conv2d_grad_w(result, x[block], khw, *conv[1:])
        elif needs[2]:
            parts[1] = _over_images(result)
        for all_parts, part in zip(found, parts):
            if part is not None:
                all_parts.append(part)
        del result  # as above
    gws, gbs = found
    return gx, sum_of(gws) if gws else None, sum_of(gbs) if gbs else None


def sum_of(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Their sum; of many in float64."""
    result = parts[0].astype(np.float64) if len(parts) > 8 else parts[0]
    for part in parts[1:]:
        result = result + part
    return result.astype(parts[0].dtype, copy=False)


@functools.lru_cache(maxsize=256)
def blocks_of_images(batch: int, features: int, out_hw: Pair, itemsize: int) -> tuple[slice, ...]:
    """Equal blocks of the batch (but for the last) with results of BLOCK_BYTES at most; one, if it
    is empty."""
    result = features * out_hw[0] * out_hw[1] * itemsize  # bytes of an image's
    size = blocks_of(max(1, batch), BLOCK_BYTES // max(1, result))
    return tuple(slice(i, min(i + size, batch)) for i in range(0, max(1, batch), size))


def _over_images(g: np.ndarray) -> np.ndarray:
    """The sums over images, rows and columns: g (N, F, OH, OW) -> (F,)."""
    if g.size == 0:
        return np.zeros(g.shape[1], g.dtype)
    return total(row_sums(g, g.shape[0] * g.shape[1]).reshape(g.shape[:2]), (0,))


# --------------------------------------------------------------------------- plain twins


def conv2d_relu_max_pool2d_reference(x, w, bias, conv, pool):
    """The plain twin of `conv2d_relu_max_pool2d`: one after the other, all images at once."""
    return max_pool2d_places(conv2d(x, w, bias, *conv), *pool, True)


def conv2d_relu_max_pool2d_grad_reference(g, places, x, w, conv, pool):
    """The plain twin of `conv2d_relu_max_pool2d_grad`: all three gradients."""
    result = max_pool2d_grad(g, places, conv[0], *pool[:-1])
    return (
        conv2d_grad_x(result, w, x.shape[2:], *conv[1:]),
        conv2d_grad_w(result, x, w.shape[2:], *conv[1:]),
        result.sum((0, 2, 3)),
    )
