"""Products of matrices, and when which way computes them: the linear layer and its gradients.

    linear           y  = x @ w.T + bias
    linear_grad_x    gx = g @ w
    linear_grad_w    gw = g.T @ x, and gb = the sum of the rows of g

Each is a product C (M, N) = A (M, K) @ B (K, N), so one Problem says what the ways need to know.

Not here: the loops (product.py, few_rows.py), stacks of matrices (ops/linear.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ... import tuning
from ...long_sums import ROWS, total
from ..jit import ready
from ..jit.kernel import jit_disabled
from ..ways import Family, Way, long_sum
from .few_rows import dots, outer, sums
from .product import product


class Problem(NamedTuple):
    """A product (m, k) @ (k, n); b: whether a bias is added, or asked for."""

    m: int
    k: int
    n: int
    b: bool = False
    dtype: np.dtype = np.dtype(np.float32)

    @property
    def work(self) -> int:
        """Multiplications."""
        return self.m * self.k * self.n


def _small(problem: Problem) -> bool:
    """Whether NumPy's BLAS is faster: where it is serial, which is where it wins.

    Up to 2**18 multiplications OpenBLAS stays on the calling thread (2**13 for a matrix with one
    row or column) and took 3 to 7 us where tiles took 12 to 16. Beyond, its result may depend on
    its number of threads, and on a busy machine its spinning threads were seen to take 15 ms for a
    product of 20 us. Without the JIT our loops are no match for any BLAS.
    """
    m, k, n, _, _ = problem
    if jit_disabled():
        return True
    if m == 1 or n == 1:
        return problem.work <= tuning.NUMPY_VECTOR
    return problem.work <= tuning.NUMPY_PRODUCT and k <= tuning.LONG_SUM


def _by_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b. Long sums in float64: they come here without the JIT, or forced."""
    if a.shape[1] <= tuning.LONG_SUM:
        return np.matmul(a, b)
    return np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)


def _bytes(problem: Problem) -> float:
    m, k, n, _, dtype = problem
    return float(m * k + k * n + m * n) * dtype.itemsize


def _of_product(name: str, ways: list[Way], draw: Any) -> Family:
    """A family of products: what they have in common."""
    return Family(name, Problem, ways, draw=draw, flops=lambda p: 2.0 * p.work, bytes=_bytes,
                  ulps=lambda p: long_sum(p.k))


# --------------------------------------------------------------------------- y = x @ w.T + bias


def _linear_by_numpy(
    problem: Problem, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None
) -> np.ndarray:
    y = _by_numpy(x, w.T)
    if bias is not None:
        y += bias
    return y


def _linear_by_dots(
    problem: Problem, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None
) -> np.ndarray:
    return dots(ready(x), ready(w), bias if bias is None else ready(bias))


def _linear_by_turned_dots(
    problem: Problem, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None
) -> np.ndarray:
    """The same dots, with the roles exchanged: (F, K) @ (K, M), transposed."""
    y = np.ascontiguousarray(dots(ready(w), ready(x), None).T)
    if bias is not None:
        y += bias
    return y


def _linear_by_tiles(
    problem: Problem, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None
) -> np.ndarray:
    return product(ready(x), False, ready(w), False, bias if bias is None else ready(bias))


def _draw_linear(rng: Any, *sizes: Any) -> tuple:
    m, k, n, b, dtype = Problem(*sizes)
    x, w, bias = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (n, k), (n,)))
    return x, w, bias if b else None


def _draw_factors(rng: Any, *sizes: Any) -> tuple[np.ndarray, np.ndarray]:
    m, k, n, _, dtype = Problem(*sizes)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


LINEAR = _of_product("linear", [
    Way("numpy", _linear_by_numpy, better=_small,
        about="few multiplications: BLAS on the calling thread"),
    Way("dots", _linear_by_dots, better=lambda p: p.m <= tuning.FEW_DOT_ROWS,
        about="few rows of x: w is read once and not copied"),
    Way("turned dots", _linear_by_turned_dots, better=lambda p: p.n <= tuning.FEW_DOT_ROWS,
        about="few features: x is read once and not copied"),
    Way("tiles", _linear_by_tiles, about="register tiles"),
    Way("reference", lambda problem, x, w, bias: product_reference(x, w.T, bias)),
], _draw_linear)  # fmt: skip


def linear(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """y = x @ w.T + bias. x (M, K), w (F, K), bias (F,) -> y (M, F)."""
    m, k = x.shape
    return LINEAR.way(m, k, len(w), bias is not None, x.dtype)(x, w, bias)


# --------------------------------------------------------------------------- gx = g @ w


LINEAR_GRAD_X = _of_product("linear_grad_x", [
    Way("numpy", lambda problem, g, w: _by_numpy(g, w), better=_small,
        about="few multiplications: BLAS on the calling thread"),
    Way("sums", lambda problem, g, w: sums(ready(g), ready(w)),
        better=lambda p: p.m <= tuning.FEW_ADD_ROWS,
        about="few rows of g: w is read once and not copied"),
    Way("tiles", lambda problem, g, w: product(ready(g), False, ready(w), True),
        about="register tiles"),
    Way("reference", lambda problem, g, w: product_reference(g, w)),
], _draw_factors)  # fmt: skip


def linear_grad_x(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """gx = g @ w. g (M, F), w (F, K) -> gx (M, K)."""
    m, f = g.shape
    return LINEAR_GRAD_X.way(m, f, w.shape[1], False, g.dtype)(g, w)


# --------------------------------------------------------------------------- gw = g.T @ x


Sums = tuple[np.ndarray, "np.ndarray | None"]


def _grad_b(problem: Problem, g: np.ndarray) -> np.ndarray | None:
    """The sum of the rows of g, if it is asked for."""
    if not problem.b:
        return None
    return np.add.reduce(g) if len(g) < ROWS else total(g, (0,))


def _grad_w_by_numpy(problem: Problem, g: np.ndarray, x: np.ndarray) -> Sums:
    gw = _by_numpy(g.T, x) if problem.k != 1 else np.multiply(g.T, x, order="C")
    return gw, _grad_b(problem, g)


def _grad_w_by_tiles(problem: Problem, g: np.ndarray, x: np.ndarray) -> Sums:
    """gb comes from the product, while g is at hand: 256 x 512 numbers took NumPy 14 us, 27 if
    they were no longer in the cache of its core."""
    gb = np.empty(problem.m, g.dtype) if problem.b else None
    return product(ready(g), True, ready(x), True, totals=gb), gb


def _grad_w_reference(problem: Problem, g: np.ndarray, x: np.ndarray) -> Sums:
    gb = g.astype(np.float64).sum(0).astype(g.dtype) if problem.b else None
    return product_reference(g.T, x), gb


LINEAR_GRAD_W = _of_product("linear_grad_w", [
    Way("numpy", _grad_w_by_numpy, better=_small,
        about="few multiplications: BLAS on the calling thread"),
    Way("outer", lambda p, g, x: (outer(ready(g).reshape(-1), ready(x).reshape(-1)), _grad_b(p, g)),
        can=lambda p: None if p.k == 1 else "there is more than one row to add up",
        about="one row: no sum"),
    Way("sums", lambda p, g, x: (sums(ready(g.T), ready(x)), _grad_b(p, g)),
        better=lambda p: p.m <= tuning.FEW_ADD_ROWS,
        about="few features of g: x is read once and not copied"),
    Way("tiles", _grad_w_by_tiles,
        can=lambda p: "there is nothing to add up" if p.b and p.work == 0 else None,
        about="register tiles"),
    Way("reference", _grad_w_reference),
], lambda rng, m, *sizes: (
    rng.standard_normal((sizes[0], m)).astype(Problem(m, *sizes).dtype),
    _draw_factors(rng, m, *sizes)[1]))  # fmt: skip


def linear_grad_w(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gw = g.T @ x. g (M, F), x (M, K) -> gw (F, K)."""
    m, f = g.shape
    return LINEAR_GRAD_W.way(f, m, x.shape[1], False, g.dtype)(g, x)[0]


def linear_grad_w_and_bias(g: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """gw = g.T @ x and gb, the sum of g over its rows. g (M, F), x (M, K) -> gw (F, K), gb (F,)."""
    m, f = g.shape
    return LINEAR_GRAD_W.way(f, m, x.shape[1], True, g.dtype)(g, x)


# --------------------------------------------------------------------------- reference


def product_reference(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """What all of them compute: a (M, K) @ b (K, N) + bias (N,), each number a sum in float64."""
    c = np.einsum("mk,kn->mn", a, b, dtype=np.float64)
    return (c if bias is None else c + bias).astype(a.dtype)
