"""The bends between linear layers (relu, tanh, sigmoid, gelu, ...) and the softmax family.

Each bend is a formula and its derivative; on large arrays both are one loop over memory
(`kinds.py`). `inplace=True` writes the result into the input, as relu_() does; it is no faster (see
op.py). Not here: losses that contain a softmax (`loss.py`), its loops (`kernels/rowwise/`).
"""
from __future__ import annotations

import math

import numpy as np

from .. import tuning
from ..autograd.engine import Tensor
from ..autograd.op import composite, op
from ..autograd.options import flag
from ..autograd.signature import Signature
from ..kernels.pointwise import words
from ..kernels.rowwise import softmax as rows
from .dims import dims
from .elementwise import exp, where
from .kinds import pointwise
from .reduce import sum

_BOTH_SIDES = np.array([-30.0, -2.0, -0.7, -0.3, 0.2, 0.6, 3.0, 25.0])


def _kinked(r):
    return [(r.apart(3, 4),)]


# --- piecewise linear ----------------------------------------------------------------------------

@pointwise(samples=_kinked, ref=lambda x: np.where(x > 0, x, 0.0), waits=True,
           least=tuning.LOOP_OF_WIDE)
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), elementwise. The gradient at 0 is 0; NaN stays NaN, and passes g on."""
    return np.maximum(input, 0)
relu.vjp(input=lambda g, out: where(out <= 0, 0.0, g))


@pointwise(samples=lambda r: [(r.apart(3, 4),), (r.apart(3, 4), 0.3), (r.apart(5), -0.5)],
           ref=lambda x, slope=0.01: np.where(x > 0, x, slope * x))
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, else negative_slope * input. At 0 the slope is negative_slope."""
    return np.where(input > 0, input, input * negative_slope)
leaky_relu.vjp(input=lambda g, input, negative_slope: where(input > 0, g, g * negative_slope))


@pointwise(samples=lambda r: [(r.apart(3, 4, gap=0.4),), (r.apart(3, 4), -0.25, 0.35)],
           ref=lambda x, low=-1.0, high=1.0: np.clip(x, low, high))
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
             ) -> Tensor:
    """input cut off below min_val and above max_val. At and beyond these the gradient is 0."""
    return np.clip(input, min_val, max_val)
hardtanh.vjp(input=lambda g, input, min_val, max_val:
             where((input > min_val) & (input < max_val), g, 0.0))


@composite(samples=lambda r: [(r.apart(3, 4, gap=1.5),)], ref=lambda x: np.clip(x, 0, 6))
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6), elementwise. The gradient at 0 and at 6 is 0."""
    return hardtanh(input, 0.0, 6.0, inplace)


# --- smooth --------------------------------------------------------------------------------------

@pointwise(samples=lambda r: [(r(3, 4),)], floating=True, ref=np.tanh, least=tuning.LOOP_OF_WIDE)
def tanh(input: Tensor) -> Tensor:
    """(e^x - e^-x) / (e^x + e^-x), elementwise, between -1 and 1. The derivative is 1 - tanh^2."""
    return np.tanh(input)
tanh.vjp(input=lambda g, out: g * (1.0 - out * out))


@pointwise(samples=lambda r: [(r(3, 4),), (_BOTH_SIDES,)], floating=True,
           ref=lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)))
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-x), elementwise, between 0 and 1. The derivative is s (1 - s)."""
    return words.sigmoid(input)
sigmoid.vjp(input=lambda g, out: g * (out * (1.0 - out)))


@pointwise(samples=lambda r: [(r(3, 4),), (_BOTH_SIDES,)], floating=True,
           ref=lambda x: -np.logaddexp(0.0, -x))
def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e^-x)) = min(x, 0) - log(1 + e^-|x|), elementwise; never overflows."""
    return np.minimum(input, 0) - words.log1p_exp(input)
logsigmoid.vjp(input=lambda g, input: g * sigmoid(-input))


@pointwise(samples=lambda r: [(r(3, 4),), (r(3, 4), 2.0), (_BOTH_SIDES, 0.5),
                              (r.apart(6), 3.0, 0.7)], floating=True,
           ref=lambda x, beta=1.0, threshold=20.0:
           np.where(beta * x > threshold, x, np.log1p(np.exp(np.minimum(beta * x, 700))) / beta))
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, elementwise: a smooth relu; x itself where beta x > threshold."""
    z = input * beta
    return np.where(z > threshold, input, (np.maximum(z, 0) + words.log1p_exp(z)) / beta)
softplus.vjp(input=lambda g, input, beta, threshold:
             where(input * beta > threshold, g, g * sigmoid(input * beta)))


@pointwise(samples=lambda r: [(r.apart(3, 4),), (r.apart(3, 4), 0.5), (r.apart(5), -1.5)],
           floating=True, ref=lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(x) - 1.0)))
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha (e^x - 1). At 0 the slope is alpha."""
    return np.where(input > 0, input, np.expm1(np.minimum(input, 0)) * alpha)
elu.vjp(input=lambda g, input, out, alpha: where(input > 0, g, g * (_left(input, out) + alpha)))


def _left(x, y):
    """y = elu(x), through which no second derivative passes at the kink itself, as in torch."""
    return y if type(y) is np.ndarray else where(x == 0, 0.0, y)


@pointwise(samples=lambda r: [(r(3, 4),), (_BOTH_SIDES,)], floating=True,
           ref=lambda x: x / (1.0 + np.exp(-x)))
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x / (1 + e^-x) = x sigmoid(x), elementwise (also called swish)."""
    return input * words.sigmoid(input)
silu.vjp(input=lambda g, input: _silu_rule(g, input, sigmoid(input)))


def _silu_rule(g, x, s):
    return g * (s * (x * (1.0 - s) + 1.0))


@pointwise(samples=lambda r: [(r(3, 4),), (_BOTH_SIDES,)], floating=True,
           ref=np.vectorize(math.erf, otypes=[float]), least=0)
def erf(input: Tensor) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, elementwise."""
    return words.erf(input)
erf.vjp(input=lambda g, input: g * (exp(-(input * input)) * (2.0 / math.sqrt(math.pi))))


def _gelu_door(input, approximate):
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return input, approximate


_CUBE, _SQRT_2_PI = 0.044715, math.sqrt(2.0 / math.pi)


@pointwise(samples=lambda r: [(r(3, 4),), (r(3, 4), {"approximate": "tanh"}), (_BOTH_SIDES / 4,)],
           floating=True, door=_gelu_door,
           ref=lambda x, approximate="none": 0.5 * x * (1.0 + (
               np.tanh(_SQRT_2_PI * (x + _CUBE * x ** 3)) if approximate == "tanh" else
               np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2.0)))))
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Phi(x), elementwise, Phi the normal distribution function: (1 + erf(x / sqrt 2)) / 2.

    approximate="tanh": Phi by (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. Source:
    Hendrycks and Gimpel 2016, arXiv:1606.08415.

    Raises: ValueError for another `approximate`.
    """
    return input * _phi(input, approximate)
gelu.vjp(input=lambda g, input, approximate: g * _gelu_slope(input, approximate))


def _phi(x, approximate):
    if approximate == "tanh":
        return (tanh(_gelu_inner(x)) + 1.0) * 0.5
    return (erf(x * math.sqrt(0.5)) + 1.0) * 0.5


def _gelu_inner(x):
    return (x * x * _CUBE + 1.0) * x * _SQRT_2_PI


def _gelu_slope(x, approximate):
    """d/dx (x P(x)) = P(x) + x P'(x)."""
    if approximate == "tanh":
        t = tanh(_gelu_inner(x))
        slope = (1.0 - t * t) * (x * x * (3.0 * _CUBE) + 1.0) * (0.5 * _SQRT_2_PI)
        return (t + 1.0) * 0.5 + x * slope
    density = exp(x * x * -0.5) * (0.5 * _SQRT_2_PI)
    return _phi(x, approximate) + x * density


# --- softmax over one dimension, or several together ---------------------------------------------

def which_dim(name: str, shape: tuple[int, ...] | None = None) -> ValueError:
    """The error of a softmax, function, method or layer, that was not told its dimension."""
    fix = "dim=0" if shape is not None and len(shape) == 1 else \
        "dim=-1 for each row, dim=1 for the classes of (N, C)"
    numbers = f"{shape} numbers" if shape else "numbers"
    return ValueError(f"{name}: dim is required, along which the {numbers} are to sum to 1; "
                      f"say {fix}")


class _SoftmaxDims(dims):
    """The dimensions of the classes, which must be said. One that is given stays as it is."""
    wants = "a dimension, or several together"
    wrong = (*dims.wrong, None, ())

    def check(self, case, name, value):
        """The dimension, or a tuple of several."""
        shape = case.shapes[self.argument]
        if value is None:
            raise which_dim(case.op, shape)
        if type(value) is int and -len(shape) <= value < len(shape):
            return value
        if isinstance(value, (tuple, list)) and not value and shape:
            case.refuse(f"{name}={value} names no dimension to sum to 1 along")
        return super().check(case, name, value)


def _softmax():
    return Signature("input (*d) -> (*d)", "floating", {"dim": _SoftmaxDims()})


def _along(name, dim, *arrays):
    """The kernel of this name along dim (one, or several together) of arrays of one shape."""
    shape = arrays[0].shape
    if not shape:
        return getattr(rows, name)(*(a.reshape((1, 1)) for a in arrays)).reshape(())
    if dim.__class__ is int:
        at = dim % len(shape)
        outer, k, inner = math.prod(shape[:at]), shape[at], math.prod(shape[at + 1:])
        if inner == 1:                                     # the usual case: rows as they lie
            return getattr(rows, name)(*(a.reshape((outer, k)) for a in arrays)).reshape(shape)
        return getattr(rows, name)(*(a.reshape((outer, k, inner)) for a in arrays)
                                      ).reshape(shape)
    ends = tuple(range(-len(dim), 0))
    moved = [np.moveaxis(a, dim, ends) for a in arrays]
    shape = moved[0].shape
    k = math.prod(shape[-len(dim):])
    y = getattr(rows, name)(*(a.reshape((math.prod(shape[:-len(dim)]), k)) for a in moved))
    return np.moveaxis(y.reshape(shape), ends, dim)


def _dims_samples(r):
    return [(r(3, 4), 1), (r(2, 3, 2), 0), (r(2, 3, 2), 1), (r(2, 3, 2), -1), (r(5), 0),
            (r(2, 3, 2), (0, 2)), (np.array([[1e4, -1e4, 0.0], [-1e4, -1e4 + 1, -1e4]]), 1)]


def _softmax_ref(x, dim):
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)


def _logsumexp_ref(x, dim, keepdim=False):
    dims = dim if isinstance(dim, tuple) else (dim,)
    for d in dims:
        x = np.logaddexp.reduce(x, d, keepdims=True)       # log(e^a + e^b), folded
    return x if keepdim else x.squeeze(dims)


@op(samples=_dims_samples, ref=_softmax_ref, takes=_softmax())
def softmax(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """e^x_k / sum_j e^x_j along `dim`: positive numbers that sum to 1. Safe for logits of any size.

    input (d1, ...) -> (d1, ...)
    dim: the dimension of the classes; -1 or 1 for (N, C). A tuple: all of these together. It has
    no default, since a wrong guess gives a plausible result.

    Raises: ValueError without `dim` or if there is no such dimension; TypeError for integers.
    """
    return _along("softmax", dim, input)
softmax.vjp(input=lambda g, out, dim: softmax_grad(g, out, dim))


@op(samples=lambda r: [(r(3, 4), r.probabilities(3, 4), 1), (r(2, 3, 2), r(2, 3, 2), 1)],
    ref=lambda g, y, dim: y * (g - (g * y).sum(dim, keepdims=True)))
def softmax_grad(g: Tensor, y: Tensor, dim: int) -> Tensor:
    """The gradient of x from g, the gradient of y = softmax(x, dim): y (g - sum_j g_j y_j)."""
    return _along("softmax_grad", dim, g, y)
softmax_grad.vjp(g=lambda u, y, dim: softmax_grad(u, y, dim),
                 y=lambda u, g, y, dim: u * (g - sum(g * y, dim, True)) - g * sum(u * y, dim, True))


@op(samples=_dims_samples, ref=lambda x, dim: x - _logsumexp_ref(x, dim, True),
    takes=_softmax())
def log_softmax(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """x_k - log sum_j e^x_j along `dim`: the logarithm of softmax, without its overflow to log 0.

    input (d1, ...) -> (d1, ...)
    dim: as for softmax.

    Raises: ValueError without `dim` or if there is no such dimension; TypeError for integers.
    """
    return _along("log_softmax", dim, input)
log_softmax.vjp(input=lambda g, out, dim: log_softmax_grad(g, out, dim))


@op(samples=lambda r: [(r(3, 4), np.log(r.probabilities(3, 4)), 1), (r(2, 3, 2), r(2, 3, 2), 1)],
    ref=lambda g, y, dim: g - np.exp(y) * g.sum(dim, keepdims=True))
def log_softmax_grad(g: Tensor, y: Tensor, dim: int) -> Tensor:
    """The gradient of x from g, the gradient of y = log_softmax(x, dim): g - e^y sum_j g_j."""
    return _along("log_softmax_grad", dim, g, y)
log_softmax_grad.vjp(g=lambda u, y, dim: u - sum(u * exp(y), dim, True),
                     y=lambda u, g, y, dim: -(u * exp(y) * sum(g, dim, True)))


class _AllDims(dims):
    """The dimensions as a tuple, also if they are all."""

    def check(self, case, name, value):
        """The tuple."""
        some = super().check(case, name, value)
        return tuple(range(len(case.shapes[self.argument]))) if some is None else some


@op(samples=lambda r: [(r(3, 4), 1), (r(2, 3, 2), 0), (r(2, 3, 2), (0, 2)), (r(5), 0),
                       (r(2, 3, 2), 1, True), (r(2, 3, 2), (0, -1), True),
                       (np.array([[1e4, 1e4 - 2, 0.0], [-1e4, -1e4 + 1, -1e4]]), 1)],
    ref=_logsumexp_ref, floating=True,
    takes=Signature("input (*d)", options={"dim": _AllDims(), "keepdim": flag()}))
def logsumexp(input: Tensor, dim: int | tuple[int, ...] | None, keepdim: bool = False) -> Tensor:
    """log sum_j e^x_j along `dim` (one, several, or None: all), a smooth maximum. Never overflows.

    input (d1, ...). keepdim: keep the reduced dimensions, with size 1.

    Raises: ValueError if there is no such dimension; TypeError for a dim that is no integer.
    """
    if input.ndim == 0:
        return input.copy()
    moved = np.moveaxis(input, dim, range(-len(dim), 0))
    kept = moved.shape[:-len(dim)]
    y = rows.logsumexp(moved.reshape((math.prod(kept), math.prod(moved.shape[-len(dim):]))))
    return y.reshape(_kept(input.shape, dim) if keepdim else kept)
logsumexp.vjp(input=lambda g, input, out, dim: _logsumexp_rule(g, input, out, dim))


def _logsumexp_rule(g, input, out, dim):
    """g softmax(input). Where the result is inf, the elements that are share g evenly: the limit of
    equal ones; where all are -inf, there is no slope."""
    shape = _kept(input.shape, dim)
    g, total = g.reshape(shape), getattr(out, "array", out).reshape(shape)
    endless = np.isinf(total)
    if not endless.any():
        return g * softmax(input, dim)
    x = getattr(input, "array", input)
    won = (x == total) & (total > 0)
    share = won / np.maximum(np.add.reduce(won, axis=dim, keepdims=True), 1)
    known = where(np.broadcast_to(endless, x.shape), 0.0, input)
    return g * where(endless, share.astype(x.dtype), softmax(known, dim))


def _kept(shape, dims):
    return tuple(1 if i in dims else n for i, n in enumerate(shape))
