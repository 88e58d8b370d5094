"""torch's indices of a maximum, h * W + w in its plane; numbers sent to them, or picked up there.

They are made of the places that maximum.py keeps, if somebody asks for them (return_indices).

Limit: bytes; an index takes 8, a place takes one.
"""

from __future__ import annotations

import numpy as np

from ..jit import jit, ready
from ..parallel import parallel
from .maximum import max_pool2d_places, nowhere_of, window_offsets
from .windows import Pair, flat, grain, pair


@jit
def max_pool_indices_range(
    start, stop, places, indices, hw, out_hw, kernel, stride, padding, dilation, nowhere
):
    """Planes start .. stop - 1 of `max_pool2d_indices`. Limit: bytes, 9 for an output."""
    width = hw[1]
    offsets = window_offsets(kernel, dilation, width)
    for p in range(start, stop):
        for u in range(out_hw[0]):
            row = (p * out_hw[0] + u) * out_hw[1]
            for v in range(out_hw[1]):
                place = places[row + v]
                at = (u * stride[0] - padding[0]) * width + v * stride[1] - padding[1]
                indices[row + v] = -1 if place == nowhere else at + offsets[place]


def max_pool2d_indices(
    places: np.ndarray, hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    """torch's indices: h * W + w of each maximum in its plane, int64, -1 for nowhere.

    places (N, C, OH, OW), hw (H, W) -> (N, C, OH, OW).
    """
    batch, channels, rows, columns = places.shape
    indices = np.empty(places.shape, np.int64)
    if indices.size:
        rule = (pair(kernel), pair(stride), pair(padding), pair(dilation))
        parallel(max_pool_indices_range, batch * channels, flat(places), indices.reshape(-1),
                 pair(hw), (rows, columns), *rule, nowhere_of(places),
                 grain=grain(batch * channels, 4 * rows * columns))
    return indices


def max_pool2d(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out_hw: Pair,
) -> tuple[np.ndarray, np.ndarray]:
    """`max_pool2d_places` with torch's indices: y and h * W + w of each maximum, int64."""
    y, places = max_pool2d_places(x, kernel, stride, padding, dilation, out_hw)
    return y, max_pool2d_indices(places, x.shape[2:], kernel, stride, padding, dilation)


@jit
def scatter_range(start, stop, g, indices, gx):
    """gx[p, indices[p, o]] += g[p, o] for planes start .. stop - 1. gx (P, H * W), g (P, L).

    Limit: bytes (gx written, g and indices read); the plane stays in the first-level cache
    between its zeroing and its sums. 27 GB/s on 64x64x28x28, two thirds of torch's time.
    """
    for p in range(start, stop):
        target = gx[p]
        for i in range(target.size):
            target[i] = 0
        source = g[p]
        places = indices[p]
        for o in range(source.size):
            at = places[o]
            if at >= 0:
                target[np.uint64(at)] += source[o]  # unsigned: no test for a negative index


def max_pool2d_scatter(g: np.ndarray, indices: np.ndarray, hw: Pair) -> np.ndarray:
    """gx[n, c, indices[n,c,u,v]] += g[n,c,u,v]: the gradient of `max_pool2d`.

    g, indices (N, C, OH, OW), hw (H, W) -> gx (N, C, H, W). Where windows overlap their gradients
    are added, in the order of the outputs. An index of -1 receives nothing.
    """
    batch, channels = g.shape[:2]
    planes, length = batch * channels, g.shape[2] * g.shape[3]
    size = hw[0] * hw[1]
    gx = np.empty((planes, size), g.dtype)
    flat_g = ready(g).reshape(planes, length)
    flat_i = ready(indices).reshape(planes, length)
    parallel(scatter_range, planes, flat_g, flat_i, gx, grain=grain(planes, size + 2 * length))
    return gx.reshape(batch, channels, *hw)


@jit
def gather_range(start, stop, x, indices, y):
    """y[p, o] = x[p, indices[p, o]] for planes start .. stop - 1. x (P, H * W), y (P, L).

    Limit: bytes (indices and x read, y written).
    """
    for p in range(start, stop):
        source = x[p]
        places = indices[p]
        target = y[p]
        for o in range(target.size):
            at = places[o]
            if at >= 0:
                target[o] = source[np.uint64(at)]
            else:
                target[o] = 0


def max_pool2d_gather(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """y[n,c,u,v] = x[n, c, indices[n,c,u,v]], the transpose of the scatter (0 for an index of -1).

    x (N, C, H, W), indices (N, C, OH, OW) -> (N, C, OH, OW).
    """
    planes, length = x.shape[0] * x.shape[1], indices.shape[2] * indices.shape[3]
    flat_x = ready(x).reshape(planes, x.shape[2] * x.shape[3])
    flat_i = ready(indices).reshape(planes, length)
    y = np.empty((planes, length), x.dtype)
    parallel(gather_range, planes, flat_x, flat_i, y, grain=grain(planes, 2 * length))
    return y.reshape(indices.shape)


# --------------------------------------------------------------------------- plain twins


def max_pool2d_reference(x, kernel, stride, padding, dilation, out_hw):
    """The plain twin of `max_pool2d`: every cell of every window, in Python."""
    y = np.empty((*x.shape[:2], *out_hw), x.dtype)
    indices = np.empty(y.shape, np.int64)
    height, width = x.shape[2:]
    for n, c, u, v in np.ndindex(y.shape):
        best, at = None, -1  # -1: no cell inside
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                h = u * stride[0] - padding[0] + i * dilation[0]
                w = v * stride[1] - padding[1] + j * dilation[1]
                if 0 <= h < height and 0 <= w < width:
                    value = x[n, c, h, w]
                    if best is None or value > best or np.isnan(value):
                        best, at = value, h * width + w
        y[n, c, u, v], indices[n, c, u, v] = -np.inf if best is None else best, at
    return y, indices


def max_pool2d_scatter_reference(g, indices, hw):
    """The plain twin of `max_pool2d_scatter`."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    for n, c, u, v in np.ndindex(g.shape):
        if indices[n, c, u, v] >= 0:
            h, w = divmod(indices[n, c, u, v], hw[1])
            gx[n, c, h, w] += g[n, c, u, v]
    return gx


def max_pool2d_gather_reference(x, indices):
    """The plain twin of `max_pool2d_gather`."""
    y = np.empty(indices.shape, x.dtype)
    for n, c, u, v in np.ndindex(y.shape):
        at = indices[n, c, u, v]
        y[n, c, u, v] = x[n, c].ravel()[at] if at >= 0 else 0
    return y
