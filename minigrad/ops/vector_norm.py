"""The length of a vector, for any p: norm and vector_norm.

Not here: normalisation layers, sums (`reduce.py`).
"""
from __future__ import annotations

import math

import numpy as np

from ..autograd.engine import Tensor
from ..autograd.op import composite, op
from ..autograd.options import Case, Option, flag, number
from ..autograd.signature import Signature
from ..kernels.rowwise.sums import sum_along
from .cast import to
from .dims import Dim, dims
from .elementwise import abs as absolute, eq, ne, sign, where
from .order import amax, amin
from .reduce import sum
from .shape import spread


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
        axis=dim, keepdims=keepdim) ** (1 / ord),
    takes=Signature("input (*d)", "floating", {
        "ord": number(above=0, below=math.inf, otherwise="use norm for the others"),
        "dim": dims(), "keepdim": flag()}))
def vector_norm(input: Tensor, ord: float = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """sum(|x| ** ord) ** (1 / ord) along dim. Where the norm is 0 the gradient is 0, as in torch.

    input (d1, ...)

    Raises: TypeError for integers; ValueError unless 0 < ord < inf, or if dim does not exist.
    """
    if ord == 2.0:
        return np.sqrt(sum_along(np.square(input), dim, keepdim))
    if ord == 1.0:
        return sum_along(np.abs(input), dim, keepdim)
    return sum_along(np.abs(input) ** ord, dim, keepdim) ** (1.0 / ord)
vector_norm.vjp(input=_norm_rule)


class _Order(Option):
    """The p of a norm, as a number."""
    wants = "'fro', inf, -inf or a number >= 0"
    wrong = ("nuc", -1, math.nan, None)

    def check(self, case: Case, name: str, value: object) -> float:
        """The number: 2 for 'fro'."""
        if value == "fro":
            return 2.0
        if not isinstance(value, (int, float, np.number)) or value != value or \
                -math.inf < value < 0:
            case.refuse(f"{name} must be {self.wants}, got {value!r}")
        return float(value)


NORM = Signature("input (*d)", "floating", {"p": _Order()})


@composite(samples=lambda r: [(r(3, 4),), (r(3, 4), 2, 1), (r(3, 4), "fro", (0, 1)),
                              (r.apart(3, 4), math.inf, 0), (r.apart(3, 4), -math.inf, 0, True),
                              (r.apart(3, 4), 0, 1)],
           ref=lambda x, p=2, dim=None, keepdim=False: np.linalg.norm(
               x.ravel() if dim in (None, (0, 1)) else x, 2 if p == "fro" else p,
               None if dim == (0, 1) else dim, keepdim), takes=NORM)
def norm(input: Tensor, p: float | str = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The norm of the elements along dim, taken as a vector (also of a matrix), as torch.norm.

    input (d1, ...)
    p: 2 or "fro": sqrt(sum(x**2)); inf: max |x|; -inf: min |x|; 0: how many are not 0; else
    sum(|x|**p) ** (1/p). Where the norm is 0 the gradient is 0.

    Raises: TypeError for integers; ValueError for another p, or if dim does not exist.
    """
    p, = NORM.check(input, p)
    if p == 0:
        return sum(to(ne(input, 0), input.dtype), dim, keepdim)
    if math.isinf(p):
        return (amax if p > 0 else amin)(absolute(input), dim, keepdim)
    return vector_norm(input, p, dim, keepdim)
