"""Products of vectors and matrices: matmul in all ranks, and the linear layer y = x W^T + b.

One rule is behind all of them: if y = a b then ga = g b^T and gb = a^T g; the rest is about ranks.
Not here: how a product is computed (`kernels/matmul/`), convolution (`conv.py`).
"""
from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from .. import tuning
from ..autograd.engine import Tensor
from ..kernels.matmul import linear as kernel
from ..autograd.op import Op, composite, op
from ..autograd.options import Case
from ..autograd.signature import Signature


def _column(x):
    """(..., N) -> (..., N, 1)."""
    return x.reshape((*x.shape, 1))


def rows_of(x):
    """(..., N) -> (R, N): all leading dimensions as one (1 if there are none)."""
    return x if x.ndim == 2 else x.reshape((prod(x.shape[:-1]), x.shape[-1]))


def product(a, b):
    """a @ b for arrays or Tensors of two or more dimensions; large matrices by our own kernels."""
    if a.__class__ is not ndarray or b.__class__ is not ndarray:
        return a @ b
    if a.ndim > 2 and b.ndim == 2:
        # One large product: NumPy would run one small product for each matrix of the batch.
        return product(rows_of(a), b).reshape((*a.shape[:-1], b.shape[1]))
    if a.size * b.shape[-1] <= tuning.PRODUCT_SMALL and a.ndim == b.ndim == 2:
        return a.dot(b)                                    # 0.25 us less than np.matmul
    if b.ndim > 2 and a.shape[-1] > tuning.LONG_SUM and a.shape[-1] == b.shape[-2]:
        return _stacked(a, b)
    if b.ndim > 2 or a.dtype != b.dtype or \
            a.dtype not in _FLOATS or a.shape[1] != b.shape[0]:
        return np.matmul(a, b)
    if a.shape[1] == 1:
        return kernel.linear_grad_w(a.T, b)                # (N, 1) * (1, M): there is no sum
    if b.flags.f_contiguous:
        return kernel.linear(a, b.T)
    if a.flags.f_contiguous:
        return kernel.linear_grad_w(a.T, b)
    return kernel.linear_grad_x(a, b)


def _stacked(a, b):
    """np.matmul of batches with sums so long that NumPy's own would lose digits: one by one."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if 0 in batch or not a.size or not b.size:
        return np.matmul(a, b)
    a = np.broadcast_to(a, (*batch, *a.shape[-2:])).reshape((-1, *a.shape[-2:]))
    b = np.broadcast_to(b, (*batch, *b.shape[-2:])).reshape((-1, *b.shape[-2:]))
    return np.stack([product(x, y) for x, y in zip(a, b)]).reshape(
        (*batch, a.shape[-2], b.shape[-1]))


def _with_vector(a, b):
    """a @ b where one of them is a vector, as np.matmul; long sums by our own kernels."""
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] <= tuning.LONG_SUM \
            or a.shape[-1] != b.shape[-2 % b.ndim]:
        return np.matmul(a, b)
    y = product(a if a.ndim > 1 else a.reshape((1, -1)), b if b.ndim > 1 else b.reshape((-1, 1)))
    y = y if b.ndim > 1 else y.reshape(y.shape[:-1])
    return y if a.ndim > 1 else y.reshape((*y.shape[:-2], *y.shape[-1:])) if b.ndim > 1 else \
        y.reshape(())


_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _matmul_error(op: Op, error: Exception, input, other) -> Exception:
    """NumPy's error, with the two sizes that should be equal and the likely fix."""
    for name, x in (("input", input), ("other", other)):
        if np.ndim(x) == 0:
            return ValueError(f"{op.name}: {name} is a single number, want at least one dimension; "
                              "for a product with a number write x * y")
    a, b = input.shape, other.shape
    inner = b[0] if len(b) == 1 else b[-2]
    if a[-1] == inner:
        return ValueError(f"{op.name}: the batch dimensions {a[:-2]} of {a} and {b[:-2]} of {b} do "
                          "not broadcast, want equal sizes or 1")
    fix = ""
    if len(b) > 1 and a[-1] == b[-1]:
        fix = f"; other.mT, of shape {(*b[:-2], b[-1], b[-2])}, would fit"
    elif len(a) > 1 and a[-2] == inner:
        fix = f"; input.mT, of shape {(*a[:-2], a[-1], a[-2])}, would fit"
    which = "only" if len(b) == 1 else "second-last"
    return ValueError(f"{op.name}: {a} @ {b}: the last dimension of input ({a[-1]}) and the "
                      f"{which} dimension of other ({inner}) must be equal{fix}")


@op(samples=lambda r: [(r(3, 4), r(4, 2)), (r(3), r(3)), (r(3), r(3, 2)), (r(2, 3), r(3)),
                       (r(2, 2, 3), r(3, 2)), (r(2, 3), r(2, 3, 2)), (r(2, 2, 3), r(2, 3, 1)),
                       (r(2, 1, 2, 3), r(2, 3, 2)), (r(3), r(2, 3, 2)), (r(2, 2, 3), r(3)),
                       (r(1, 2, 3), r(2, 3, 2)), (r(2, 0), r(0, 3))],
    ref=np.matmul, explain=_matmul_error)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product, input @ other: y[..., n, m] = sum_k input[..., n, k] * other[..., k, m].

    input (..., N, K), other (..., K, M) -> (..., N, M); the leading (batch) dimensions broadcast.
    A 1-dimensional input is a row (K,), a 1-dimensional other a column (K,); their dimension is
    then missing from the result: (K,) @ (K,) is a single number.

    Different dtypes are promoted, as by x * y (torch refuses them).

    Raises: ValueError if the inner sizes differ or the batches do not broadcast.
    """
    if np.ndim(input) < 2 or np.ndim(other) < 2:
        return _with_vector(input, other)
    return product(input, other)
matmul.vjp(input=lambda g, other, input_shape: _matmul_input(g, other, input_shape),
           other=lambda g, input, other_shape: _matmul_other(g, input, other_shape))


def _matmul_input(g, other, input_shape):
    if other.ndim == 1:                                    # (..., N, 1) * (K,) -> (..., N, K)
        return g * other if len(input_shape) == 1 else _column(g) * other
    if len(input_shape) == 1:                            # (..., K, M) @ (..., M, 1) -> (..., K)
        return product(other, _column(g)).reshape((*other.shape[:-2], *input_shape))
    return product(g, other.mT)                         # (..., N, M) @ (..., M, K) -> (..., N, K)


def _matmul_other(g, input, other_shape):
    if input.ndim == 1:                                    # (K, 1) * (..., 1, M) -> (..., K, M)
        return g * input if len(other_shape) == 1 else \
            _column(input) * g.reshape((*g.shape[:-1], 1, g.shape[-1]))
    if len(other_shape) == 1:                              # (K, R) @ (R,) -> (K,)
        return matmul(rows_of(input).mT, g.reshape((prod(g.shape),)))
    if len(other_shape) == 2:                              # (K, R) @ (R, M) -> (K, M)
        return product(rows_of(input).mT, rows_of(g))
    return product(input.mT, g)                         # (..., K, N) @ (..., N, M) -> (..., K, M)


def _for_any(case: Case) -> str:
    """Of a product for one rank only: who takes the others."""
    return "matmul takes any ranks"


def _of_ranks(shapes: str, first: str, second: str) -> Signature:
    return Signature(shapes, advice={first: _for_any, second: _for_any})


MM = _of_ranks("input (N, K); mat2 (K, M) -> (N, M)", "input", "mat2")
BMM = _of_ranks("input (B, N, K); mat2 (B, K, M) -> (B, N, M)", "input", "mat2")
BMM.advice["B"] = lambda case: "matmul broadcasts"
DOT = _of_ranks("input, tensor (K,) -> ()", "input", "tensor")
OUTER = _of_ranks("input (N,); vec2 (M,) -> (N, M)", "input", "vec2")


@composite(samples=lambda r: [(r(2, 3), r(3, 2))], ref=np.matmul, takes=MM)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices: input (N, K), mat2 (K, M) -> (N, M).

    Raises: ValueError for other ranks or sizes.
    """
    MM.check(input, mat2)
    return matmul(input, mat2)


@composite(samples=lambda r: [(r(2, 2, 3), r(2, 3, 2))], ref=np.matmul, takes=BMM)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, without broadcasting:

    input (B, N, K), mat2 (B, K, M) -> (B, N, M)

    Raises: ValueError for other ranks or sizes.
    """
    BMM.check(input, mat2)
    return matmul(input, mat2)


@composite(samples=lambda r: [(r(3), r(3))], ref=np.dot, takes=DOT)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors: input and tensor (K,) -> ().

    Raises: ValueError for other ranks or sizes.
    """
    DOT.check(input, tensor)
    return matmul(input, tensor)


@composite(samples=lambda r: [(r(3), r(2))], ref=np.outer, takes=OUTER)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The outer product of two vectors, y[n, m] = input[n] * vec2[m]:

    input (N,), vec2 (M,) -> (N, M)

    Raises: ValueError for other ranks.
    """
    OUTER.check(input, vec2)
    return _column(input) * vec2


# --- the linear layer ----------------------------------------------------------------------------

def _features(case: Case) -> str:
    """What people mean is often a forgotten flatten, or sizes of a convolution that came out
    differently: the arithmetic is done for them."""
    x, weight = case.shapes["input"] or (), case.shapes["weight"] or ()
    features, given = weight[1], x[-1]
    if weight == (given, features):
        return "the weight seems to be transposed, it is (out_features, in_features): weight.T"
    for start in reversed(range(len(x) - 1)):
        if prod(x[start:]) == features:
            sizes = " x ".join(map(str, x[start:]))
            return f"{sizes} = {features}: flatten first, x.flatten({start})"
    return f"set in_features={given}, or change what comes before"


def _of_input(case: Case) -> str:
    return "" if case.shapes["input"] else "x.reshape(1, 1) is a batch of one with one feature"


def _linear_samples(r):
    return [(r(3, 4), r(2, 4), r(2)), (r(4), r(2, 4), r(2)), (r(2, 2, 3), r(2, 3), r(2)),
            (r(3, 4), r(2, 4)), (r(0, 4), r(2, 4), r(2)), (r(4, 1), r(1, 1), r(1))]


@op(samples=_linear_samples, ref=lambda x, w, b=0.0: np.einsum("...i,oi->...o", x, w) + b,
    takes=Signature(
        "input (..., in_features); weight (out_features, in_features); bias (out_features,)? "
        "-> (..., out_features)", "floating",
        advice={"in_features": _features, "input": _of_input}))
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = input @ weight.T + bias, for each vector in the last dimension of the input.

    input (..., in_features), weight (out_features, in_features), bias (out_features,)
    -> (..., out_features). All are of one floating dtype.

    Raises: ValueError where the sizes do not fit; TypeError for different or integer dtypes.
    """
    if input.ndim <= 2 and input.size * weight.shape[0] <= tuning.PRODUCT_SMALL:
        y = input.dot(weight.T)                            # (N, I) @ (I, O) -> (N, O)
        if bias is not None:
            y += bias
        return y
    y = kernel.linear(rows_of(input), weight, bias)
    return y.reshape((*input.shape[:-1], weight.shape[0]))
linear.vjp(input=lambda g, weight: g @ weight if g.ndim < 2 else product(g, weight))


@linear.joint_vjp("weight", "bias", reads={"weight": ("input",), "bias": ()})
def _weight_and_bias(g, input, needs):
    if needs[1] and needs[2] and g.__class__ is ndarray \
            and g.size * input.shape[-1] > tuning.PRODUCT_SMALL:
        return kernel.linear_grad_w_and_bias(rows_of(g), rows_of(input))       # one pass over g
    return (product(rows_of(g).mT, rows_of(input)) if needs[1] else None,      # (O, R) @ (R, I)
            g if needs[2] else None)
