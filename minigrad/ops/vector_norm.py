"""The length of a vector, for any p: norm and vector_norm.

Not here: normalisation layers, sums (`reduce.py`).
"""
from __future__ import annotations

import math

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.op import composite, op
from ..kernels.rowwise.sums import sum_along
from .cast import to
from .dims import Dim, many_dims
from .elementwise import abs as absolute, eq, ne, sign, where
from .kinds import refuse_integers
from .order import amax, amin
from .reduce import sum
from .shape import spread


def _norm_door(input, ord, dim, keepdim):
    refuse_integers("norm", input)
    if not 0 < ord < math.inf:
        raise ValueError(f"vector_norm: want 0 < ord < inf, got {ord}; use norm for the others")
    return input, float(ord), many_dims("norm", dim, np.ndim(input)), keepdim


def _norm_rule(g, input, out, input_shape, ord, dim, keepdim):
    scale = spread(where(eq(out, 0.0), 0.0, g), input_shape, dim, keepdim)
    if ord == 1.0:
        return scale * sign(input)
    ratio = input / spread(where(eq(out, 0.0), 1.0, out), input_shape, dim, keepdim)
    if ord == 2.0:
        return scale * ratio
    # At an element of 0 the slope is 0, also where |x| ** (ord - 1) or what comes of it is not.
    still = eq(input, 0.0)
    return scale * sign(input) * absolute(where(still, 1.0, ratio)) ** (ord - 1.0)


@op(samples=lambda r: [(r(3, 4),), (r(2, 3, 4), 2, 1), (r.apart(3, 4), 1.0, (0, 1)),
                       (r.apart(3, 4), 3.0, -1, True), (r.apart(3, 4), 2.5, 0)],
    ref=lambda x, ord=2, dim=None, keepdim=False: (np.abs(x) ** ord).sum(
        axis=dim, keepdims=keepdim) ** (1 / ord), door=_norm_door)
def vector_norm(input: Tensor, ord: float = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """sum(|x| ** ord) ** (1 / ord) along dim. Where the norm is 0 the gradient is 0, as in torch.

    Raises: TypeError for integers; ValueError unless 0 < ord < inf, or if dim does not exist.
    """
    if ord == 2.0:
        return np.sqrt(sum_along(np.square(input), dim, keepdim))
    if ord == 1.0:
        return sum_along(np.abs(input), dim, keepdim)
    return sum_along(np.abs(input) ** ord, dim, keepdim) ** (1.0 / ord)
vector_norm.vjp(input=_norm_rule)


@composite(samples=lambda r: [(r(3, 4),), (r(3, 4), 2, 1), (r(3, 4), "fro", (0, 1)),
                              (r.apart(3, 4), math.inf, 0), (r.apart(3, 4), -math.inf, 0, True),
                              (r.apart(3, 4), 0, 1)],
           ref=lambda x, p=2, dim=None, keepdim=False: np.linalg.norm(
               x.ravel() if dim in (None, (0, 1)) else x, 2 if p == "fro" else p,
               None if dim == (0, 1) else dim, keepdim))
def norm(input: Tensor, p: float | str = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The norm of the elements along dim, taken as a vector (also of a matrix), as torch.norm.

    p: 2 or "fro": sqrt(sum(x**2)); inf: max |x|; -inf: min |x|; 0: how many are not 0; else
    sum(|x|**p) ** (1/p). Where the norm is 0 the gradient is 0.

    Raises: TypeError for integers; ValueError for another p, or if dim does not exist.
    """
    if p == "fro":
        p = 2
    if not isinstance(p, (int, float, np.number)) or p != p or -math.inf < p < 0:
        raise ValueError(f"norm: p must be 'fro', inf, -inf or a number >= 0, got {p!r}")
    if p == 0:
        return sum(to(ne(input, 0), input.dtype), dim, keepdim)
    if math.isinf(p):
        return (amax if p > 0 else amin)(absolute(input), dim, keepdim)
    return vector_norm(input, p, dim, keepdim)
