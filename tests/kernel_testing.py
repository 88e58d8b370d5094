"""What tests of kernels share."""
from __future__ import annotations

import numpy as np
from hypothesis import settings

from minigrad.kernels.jit.kernel import jit_disabled

PLAIN = jit_disabled()                # the plain run takes smaller samples: its loops are slow
DTYPES = [np.float32, np.float64]


def examples(compiled: int, plain: int) -> settings:
    """So many examples, the same ones in every run."""
    return settings(max_examples=plain if PLAIN else compiled, derandomize=True, deadline=None,
                    database=None)


# Maxima by torch's indices, which minigrad's kernels, who keep places, do not have.

def max_pool2d_with_indices_reference(x, kernel, stride, padding, dilation, out_hw):
    """torch's max_pool2d with its indices h * W + w: every cell of every window, in Python."""
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


def scatter_reference(g, indices, hw):
    """g added at the index of each maximum in an image of hw; an index of -1 gets nothing."""
    gx = np.zeros((*g.shape[:2], *hw), g.dtype)
    for n, c, u, v in np.ndindex(g.shape):
        if indices[n, c, u, v] >= 0:
            h, w = divmod(indices[n, c, u, v], hw[1])
            gx[n, c, h, w] += g[n, c, u, v]
    return gx


def gather_reference(x, indices):
    """x at the index of each maximum, 0 for an index of -1."""
    y = np.empty(indices.shape, x.dtype)
    for n, c, u, v in np.ndindex(y.shape):
        at = indices[n, c, u, v]
        y[n, c, u, v] = x[n, c].ravel()[at] if at >= 0 else 0
    return y
