"""The bends between layers and their gradients: each one loop over the numbers, instead of the four
to ten passes over memory that the same formula takes as NumPy calls.

All functions take arrays of any shape and one dtype, float32 or float64, and return a new array of
that shape. g is the gradient of the result, gx the gradient of the input x.

Limit: memory (4 bytes a number read or written) or arithmetic (exp, tanh: about 10 instructions a
vector and port). In ns a number, for 100,000 float32 numbers on one core with AVX-512:

    relu_grad, tanh_grad, sigmoid_grad, elu_grad, leaky_relu      0.13 (90 GB/s in the cache)
    exp, elu 0.22   sigmoid, silu 0.31   gelu, silu_grad 0.4   gelu_tanh_grad 0.5   gelu_grad 0.65
    (NumPy calls: sigmoid 4.5, silu 4.6, elu 4.1, leaky_relu 3.7; gelu with the C library's erf 65)

262,144 numbers on two cores, in us: relu 15 (NumPy 49), tanh 37 (65), relu_grad 17, gelu 52,
gelu_grad 88.

Not here: exp, tanh, erf of one number (`math.py`), softmax (`softmax.py`).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...memory import empty
from ..jit import Kernel, jit, ready
from ..simd.math import erf, exp, expm1, full_vectors, log1p, tanh, wide_jit
from ..parallel import one_each, parallel

GRAIN = 1 << 14  # numbers worth a chunk: 2 to 10 us; with less, other caches cost more


def _run(kernel: Kernel, arrays: tuple[np.ndarray, ...], *options: Any) -> np.ndarray:
    """kernel(start, stop, *arrays, result, *options) over all numbers."""
    first = arrays[0]
    flat = [ready(a).reshape(-1) for a in arrays]
    y = empty(first.shape, flat[0].dtype)
    parallel(kernel, first.size, *flat, y.reshape(-1), *options,
             grain=one_each(first.size, GRAIN))
    return y


# --- piecewise linear ----------------------------------------------------------------------------

@jit
def relu_range(start, stop, x, y):
    """y[i] = 0 where x[i] <= 0, else x[i], NaN too."""
    zero = x.dtype.type(0)
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = zero if source[i] <= zero else source[i]


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0); NaN stays."""
    return _run(relu_range, (x,))


def relu_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `relu`."""
    return np.maximum(x, 0)


@jit
def relu_grad_range(start, stop, g, y, gx):
    """gx[i] = 0 where y[i] <= 0, else g[i], for i from start to stop - 1."""
    zero = g.dtype.type(0)
    source, value, target = g[start:stop], y[start:stop], gx[start:stop]
    for i in range(stop - start):
        target[i] = zero if value[i] <= zero else source[i]


def relu_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g where the result y of relu is positive (or NaN), else 0."""
    return _run(relu_grad_range, (g, y))


def relu_grad_reference(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The plain twin of `relu_grad`."""
    return np.where(y <= 0, g.dtype.type(0), g)


@jit
def leaky_relu_range(start, stop, g, x, gx, slope):
    """gx[i] = g[i] where x[i] > 0, else slope * g[i]."""
    zero, factor = g.dtype.type(0), g.dtype.type(slope)
    source, value, target = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(stop - start):
        target[i] = source[i] if value[i] > zero else source[i] * factor


def leaky_relu(g: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """g where x > 0, else slope * g: leaky_relu itself if g is x, and its gradient."""
    return _run(leaky_relu_range, (g, x), float(slope))


def leaky_relu_reference(g: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """The plain twin of `leaky_relu`."""
    return np.where(x > 0, g, g * slope)


# --- exp and the S-shaped ones -------------------------------------------------------------------

@wide_jit
def exp_range(start, stop, x, y):
    """y[i] = e**x[i]."""
    full_vectors()
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = exp(source[i])


def exp_of(x: np.ndarray) -> np.ndarray:
    """e**x."""
    return _run(exp_range, (x,))


def exp_of_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `exp_of`."""
    return np.exp(x)


@wide_jit
def tanh_range(start, stop, x, y):
    """y[i] = tanh(x[i])."""
    full_vectors()
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = tanh(source[i])


def tanh_of(x: np.ndarray) -> np.ndarray:
    """tanh(x)."""
    return _run(tanh_range, (x,))


def tanh_of_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `tanh_of`."""
    return np.tanh(x)


@wide_jit
def erf_range(start, stop, x, y):
    """y[i] = erf(x[i]), 0.35 ns a float32 number; in float64 the C library's, 5 to 20 ns."""
    full_vectors()
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = erf(source[i])


def erf_of(x: np.ndarray) -> np.ndarray:
    """erf(x) = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x."""
    return _run(erf_range, (x,))


def erf_of_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `erf_of`."""
    return np.array([math.erf(v) for v in x.flat], x.dtype).reshape(x.shape)


@jit
def tanh_grad_range(start, stop, g, y, gx):
    """gx[i] = g[i] (1 - y[i]^2)."""
    one = g.dtype.type(1)
    source, value, target = g[start:stop], y[start:stop], gx[start:stop]
    for i in range(stop - start):
        target[i] = source[i] * (one - value[i] * value[i])


def tanh_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g (1 - y^2), y = tanh(x)."""
    return _run(tanh_grad_range, (g, y))


def tanh_grad_reference(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The plain twin of `tanh_grad`."""
    return g * (1.0 - y * y)


@jit
def _sigmoid(x, one):
    """1 / (1 + e^-x): with exp of -|x|, which never overflows, no digit is lost on either side."""
    e = exp(-np.abs(x))
    return np.divide(one if x >= one - one else e, one + e)


@wide_jit
def sigmoid_range(start, stop, x, y):
    """y[i] = 1 / (1 + e^-x[i])."""
    full_vectors()
    one = x.dtype.type(1)
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = _sigmoid(source[i], one)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x)."""
    return _run(sigmoid_range, (x,))


def sigmoid_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `sigmoid`."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), e) / (1 + e)


@jit
def sigmoid_grad_range(start, stop, g, y, gx):
    """gx[i] = g[i] y[i] (1 - y[i])."""
    one = g.dtype.type(1)
    source, value, target = g[start:stop], y[start:stop], gx[start:stop]
    for i in range(stop - start):
        target[i] = source[i] * (value[i] * (one - value[i]))


def sigmoid_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g y (1 - y), y = sigmoid(x)."""
    return _run(sigmoid_grad_range, (g, y))


def sigmoid_grad_reference(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The plain twin of `sigmoid_grad`."""
    return g * (y * (1 - y))


# --- smooth relus --------------------------------------------------------------------------------

@wide_jit
def silu_range(start, stop, x, y):
    """y[i] = x[i] sigmoid(x[i])."""
    full_vectors()
    one = x.dtype.type(1)
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = source[i] * _sigmoid(source[i], one)


def silu(x: np.ndarray) -> np.ndarray:
    """x sigmoid(x)."""
    return _run(silu_range, (x,))


def silu_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `silu`."""
    return x * sigmoid_reference(x)


@wide_jit
def silu_grad_range(start, stop, g, x, gx):
    """gx[i] = g[i] s (1 + x[i] (1 - s)), s = sigmoid(x[i])."""
    full_vectors()
    one = g.dtype.type(1)
    source, value, target = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(stop - start):
        s = _sigmoid(value[i], one)
        target[i] = source[i] * (s * (value[i] * (one - s) + one))


def silu_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    return _run(silu_grad_range, (g, x))


def silu_grad_reference(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The plain twin of `silu_grad`."""
    s = sigmoid_reference(x)
    return g * (s * (x * (1 - s) + 1))


@wide_jit
def softplus_range(start, stop, x, y, beta, threshold):
    """y[i] = log(1 + e^(beta x[i])) / beta; x[i] itself where beta x[i] > threshold."""
    full_vectors()
    zero, factor, limit = x.dtype.type(0), x.dtype.type(beta), x.dtype.type(threshold)
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        z = source[i] * factor
        soft = np.divide((z if z > zero else zero) + log1p(exp(-np.abs(z))), factor)
        target[i] = source[i] if z > limit else soft


def softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """log(1 + e^(beta x)) / beta, and x where beta x > threshold."""
    return _run(softplus_range, (x,), float(beta), float(threshold))


def softplus_reference(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """The plain twin of `softplus`."""
    z = x * beta
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


@wide_jit
def softplus_grad_range(start, stop, g, x, gx, beta, threshold):
    """gx[i] = g[i] sigmoid(beta x[i]); g[i] itself where beta x[i] > threshold."""
    full_vectors()
    one, factor, limit = g.dtype.type(1), g.dtype.type(beta), g.dtype.type(threshold)
    source, value, target = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(stop - start):
        z = value[i] * factor
        target[i] = source[i] if z > limit else source[i] * _sigmoid(z, one)


def softplus_grad(g: np.ndarray, x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """g sigmoid(beta x), and g where beta x > threshold."""
    return _run(softplus_grad_range, (g, x), float(beta), float(threshold))


def softplus_grad_reference(g: np.ndarray, x: np.ndarray, beta: float, threshold: float
                            ) -> np.ndarray:
    """The plain twin of `softplus_grad`."""
    z = x * beta
    return np.where(z > threshold, g, g * sigmoid_reference(z))


@wide_jit
def elu_range(start, stop, x, y, alpha):
    """y[i] = x[i] where it is positive, else alpha (e^x[i] - 1)."""
    full_vectors()
    zero, factor = x.dtype.type(0), x.dtype.type(alpha)
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = source[i] if source[i] > zero else expm1(source[i]) * factor


def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    """x where it is positive, else alpha (e^x - 1)."""
    return _run(elu_range, (x,), float(alpha))


def elu_reference(x: np.ndarray, alpha: float) -> np.ndarray:
    """The plain twin of `elu`."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * alpha)


@jit
def elu_grad_range(start, stop, g, x, y, gx, alpha):
    """gx[i] = g[i] where x[i] > 0, else g[i] (y[i] + alpha), y the result of elu."""
    zero, factor = g.dtype.type(0), g.dtype.type(alpha)
    source, value, result, target = g[start:stop], x[start:stop], y[start:stop], gx[start:stop]
    for i in range(stop - start):
        target[i] = source[i] if value[i] > zero else source[i] * (result[i] + factor)


def elu_grad(g: np.ndarray, x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """g where x > 0, else g (y + alpha), y = elu(x)."""
    return _run(elu_grad_range, (g, x, y), float(alpha))


def elu_grad_reference(g: np.ndarray, x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """The plain twin of `elu_grad`."""
    return np.where(x > 0, g, g * (y + alpha))


# --- gelu: x times the share of a normal distribution below x ------------------------------------

CUBE = 0.044715
SQRT_2_PI = math.sqrt(2.0 / math.pi)
SQRT_HALF = math.sqrt(0.5)


@wide_jit
def gelu_range(start, stop, x, y):
    """y[i] = x[i] (1 + erf(x[i] / sqrt 2)) / 2."""
    full_vectors()
    one, half, scale = x.dtype.type(1), x.dtype.type(0.5), x.dtype.type(SQRT_HALF)
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        target[i] = source[i] * ((erf(source[i] * scale) + one) * half)


def gelu(x: np.ndarray) -> np.ndarray:
    """x (1 + erf(x / sqrt 2)) / 2."""
    return _run(gelu_range, (x,))


def gelu_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `gelu`."""
    return x * ((erf_of_reference(x * SQRT_HALF) + 1) * 0.5)


@wide_jit
def gelu_grad_range(start, stop, g, x, gx):
    """gx[i] = g[i] (P + x[i] P'), P the share below x[i] and P' = e^(-x^2 / 2) / sqrt(2 pi)."""
    full_vectors()
    one, half, scale = g.dtype.type(1), g.dtype.type(0.5), g.dtype.type(SQRT_HALF)
    density = g.dtype.type(0.5 * SQRT_2_PI)
    source, value, target = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(stop - start):
        v = value[i]
        share = (erf(v * scale) + one) * half
        target[i] = source[i] * (share + v * (exp(v * v * -half) * density))


def gelu_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g times the derivative of gelu at x."""
    return _run(gelu_grad_range, (g, x))


def gelu_grad_reference(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The plain twin of `gelu_grad`."""
    density = np.exp(x * x * -0.5) * (0.5 * SQRT_2_PI)
    return g * ((erf_of_reference(x * SQRT_HALF) + 1) * 0.5 + x * density)


@wide_jit
def gelu_tanh_range(start, stop, x, y):
    """y[i] = x[i] (1 + tanh(sqrt(2 / pi) (x[i] + 0.044715 x[i]^3))) / 2."""
    full_vectors()
    one, half = x.dtype.type(1), x.dtype.type(0.5)
    cube, scale = x.dtype.type(CUBE), x.dtype.type(SQRT_2_PI)
    source, target = x[start:stop], y[start:stop]
    for i in range(stop - start):
        v = source[i]
        target[i] = v * ((tanh((v * v * cube + one) * v * scale) + one) * half)


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    return _run(gelu_tanh_range, (x,))


def gelu_tanh_reference(x: np.ndarray) -> np.ndarray:
    """The plain twin of `gelu_tanh`."""
    return x * ((np.tanh((x * x * CUBE + 1) * x * SQRT_2_PI) + 1) * 0.5)


@wide_jit
def gelu_tanh_grad_range(start, stop, g, x, gx):
    """gx[i] = g[i] times the derivative of gelu_tanh at x[i]."""
    full_vectors()
    one, half = g.dtype.type(1), g.dtype.type(0.5)
    cube, cube3 = g.dtype.type(CUBE), g.dtype.type(3.0 * CUBE)
    scale, density = g.dtype.type(SQRT_2_PI), g.dtype.type(0.5 * SQRT_2_PI)
    source, value, target = g[start:stop], x[start:stop], gx[start:stop]
    for i in range(stop - start):
        v = value[i]
        t = tanh((v * v * cube + one) * v * scale)
        slope = (one - t * t) * (v * v * cube3 + one) * density
        target[i] = source[i] * ((t + one) * half + v * slope)


def gelu_tanh_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g times the derivative of gelu_tanh at x."""
    return _run(gelu_tanh_grad_range, (g, x))


def gelu_tanh_grad_reference(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The plain twin of `gelu_tanh_grad`."""
    t = np.tanh((x * x * CUBE + 1) * x * SQRT_2_PI)
    slope = (1 - t * t) * (x * x * (3.0 * CUBE) + 1) * (0.5 * SQRT_2_PI)
    return g * ((t + 1) * 0.5 + x * slope)
