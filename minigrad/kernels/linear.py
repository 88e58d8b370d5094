"""Matrix products of the linear layer: y = x @ w.T + b, gx = g @ w, gw = g.T @ x.

One product serves the three: both factors are copied into panels as the register tile reads
them, then tiles of the result are filled in, each by one thread, k always in the same order.

    pack      A (M, K) -> ceil(M / rows) panels (K, rows)
              B (K, N) -> ceil(N / cols) panels (K, cols)
    multiply  C[rows of one panel, columns of another] = bias + A panel.T @ B panel

Small products go to NumPy (`_numpy_is_better`), those with few rows to loops that copy nothing.

Not here: stacked matrices (ops/linear.py uses NumPy's matmul), the gradient of the bias (a sum).
"""

from __future__ import annotations

import functools

import numpy as np

from .jit import _jit_disabled, jit, ready
from .threads import parallel
from .old_tile import tile, tile_shape

_DEPTH = 256  # k in one go: a panel of B (48 KiB with AVX-512) then stays near the core


@jit
def pack(start, stop, source, k_first, width, out):
    """Panels start..stop-1: out[p, k, j] = element (k, p*width + j) of the factor, 0 beyond it.

    k_first: source is (K, L), a row for each k; otherwise it is (L, K). out: (panels, K, width).
    """
    if k_first:
        depth, length = source.shape
    else:
        length, depth = source.shape
    for p in range(start, stop):
        first = p * width
        count = min(width, length - first)
        panel = out[p]
        if k_first:
            for k in range(depth):
                row = source[k, first:]
                to = panel[k]
                for j in range(count):
                    to[j] = row[j]
                for j in range(count, width):
                    to[j] = 0
        else:
            # 16 k at a time: the lines of `out` that are written by turns stay in the first cache
            for k0 in range(0, depth, 16):
                k1 = min(16, depth - k0)
                block = panel[k0:]
                for j in range(count):
                    row = source[first + j, k0:]
                    for k in range(k1):
                        block[k, j] = row[k]
            if count < width:
                for k in range(depth):
                    for j in range(count, width):
                        panel[k, j] = 0


@jit
def multiply(start, stop, ap, bp, bias, has_bias, off, block, c):
    """Tasks start..stop-1 of C = A @ B + bias. ap: (PA, K, rows), bp: (PB, K, cols), c: (M, N).

    Task t is column panel t // blocks and row block t % blocks, a block being `block` panels.
    """
    m, n = c.shape
    panels, depth, rows = ap.shape
    cols = bp.shape[2]
    blocks = (panels + block - 1) // block
    a_flat = ap.reshape(-1)
    b_flat = bp.reshape(-1)
    c_flat = c.reshape(-1)
    edge = np.empty(rows * cols, c.dtype)
    initial = np.zeros(cols, c.dtype)
    for t in range(start, stop):
        q = t // blocks
        p0 = (t % blocks) * block
        p1 = min(p0 + block, panels)
        j0 = q * cols
        width = min(cols, n - j0)
        if has_bias:
            for j in range(width):
                initial[j] = bias[j0 + j]
        for i in range(p0 * rows, min(p1 * rows, m)):
            to = c[i, j0:]
            for j in range(width):
                to[j] = initial[j]
        for k0 in range(0, depth, _DEPTH):
            kc = min(_DEPTH, depth - k0)
            b0 = (q * depth + k0) * cols
            for p in range(p0, p1):
                i0 = p * rows
                a0 = (p * depth + k0) * rows
                height = min(rows, m - i0)
                if height == rows and width == cols:
                    tile(a_flat, a0, b_flat, b0, off, kc, c_flat, i0 * n + j0, n)
                else:  # a tile that reaches beyond C is filled in beside it
                    edge[:] = 0
                    # int64(0), since Numba takes a bare 0 for a type of its own and compiles twice
                    tile(a_flat, a0, b_flat, b0, off, kc, edge, np.int64(0), cols)
                    for i in range(height):
                        to = c[i0 + i, j0:]
                        extra = edge[i * cols :]
                        for j in range(width):
                            to[j] += extra[j]


@jit(fastmath={"contract", "reassoc", "nsz"})
def dot_rows(start, stop, x, w, bias, has_bias, y):
    """Columns start..stop-1 of y = x @ w.T + bias, for few rows of x: w is read once, unpacked."""
    depth = x.shape[1]
    for f in range(start, stop):
        wf = w[f]
        for i in range(x.shape[0]):
            xi = x[i]
            total = x.dtype.type(0)
            for k in range(depth):
                total += xi[k] * wf[k]
            if has_bias:
                total += bias[f]
            y[i, f] = total


@jit(fastmath={"contract"})
def add_rows(start, stop, g, w, width, gx):
    """Blocks start..stop-1 of `width` columns of gx = g @ w, for few rows of g."""
    for t in range(start, stop):
        j0 = t * width
        count = min(width, w.shape[1] - j0)
        for i in range(g.shape[0]):
            to = gx[i, j0:]
            for j in range(count):
                to[j] = 0
            for k in range(w.shape[0]):
                s = g[i, k]
                row = w[k, j0:]
                for j in range(count):
                    to[j] += s * row[j]


@functools.cache
def _offsets(cols: int) -> np.ndarray:
    """Where row k of a packed panel starts: k * cols."""
    return np.arange(_DEPTH, dtype=np.int64) * cols


_PACK_GRAIN = 1 << 16  # numbers copied, or
_WORK_GRAIN = 1 << 20  # multiplications, that take some 20 us: worth a chunk
_BLOCK = 4  # panels of A that a task runs past one panel of B


def blocked(
    a: np.ndarray, b: np.ndarray, a_k_first: bool, b_k_first: bool, bias: np.ndarray | None
) -> np.ndarray:
    """C (M, N) = A @ B + bias on the register tile; where the k axis lies is said by two flags.

    Adds k = 0, 1, ... in order in blocks of 256, each block on its own registers.

    a: (K, M) if a_k_first else (M, K). b: (K, N) if b_k_first else (N, K). bias: (N,) or None.
    """
    depth, m = a.shape if a_k_first else a.shape[::-1]
    n = b.shape[1 if b_k_first else 0]
    dtype = a.dtype
    rows, cols, _ = tile_shape(dtype)
    a_panels = -(-m // rows)
    b_panels = -(-n // cols)
    ap = np.empty((a_panels, depth, rows), dtype)
    bp = np.empty((b_panels, depth, cols), dtype)
    size = max(depth, 1)
    parallel(pack, a_panels, a, a_k_first, rows, ap, grain=-(-_PACK_GRAIN // (size * rows)))
    parallel(pack, b_panels, b, b_k_first, cols, bp, grain=-(-_PACK_GRAIN // (size * cols)))
    c = np.empty((m, n), dtype)
    parallel(
        multiply,
        b_panels * -(-a_panels // _BLOCK),
        ap,
        bp,
        np.empty(0, dtype) if bias is None else bias,  # the same type: one signature
        bias is not None,
        _offsets(cols),
        _BLOCK,
        c,
        grain=-(-_WORK_GRAIN // (size * rows * cols * _BLOCK)),
    )
    return c


# Fewer rows than this and copying the weights costs more than it saves. Measured on one core with
# 1568 x 128 float32 weights, us: dot_rows 13, 37, 61, 192 for 1, 4, 8, 16 rows where `blocked`
# takes 117, 118, 114, 135; add_rows 14, 29, 56, 88 for 1, 2, 4, 8 rows against 57.
_FEW_DOT_ROWS = 8
_FEW_ADD_ROWS = 4
_COLUMNS = 256  # of gx that add_rows keeps in the first cache while it runs through g


def dots(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x (M, K) @ w (N, K).T + bias (N,) -> (M, N), for small M."""
    y = np.empty((x.shape[0], w.shape[0]), x.dtype)
    has_bias = bias is not None
    b = bias if has_bias else np.empty(0, x.dtype)
    grain = -(-(1 << 17) // max(1, x.size))
    parallel(dot_rows, w.shape[0], x, w, b, has_bias, y, grain=grain)
    return y


def sums(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """g (M, N) @ w (N, K) -> (M, K), for small M."""
    gx = np.empty((g.shape[0], w.shape[1]), g.dtype)
    grain = -(-(1 << 17) // max(1, g.size * _COLUMNS))
    parallel(add_rows, -(-w.shape[1] // _COLUMNS), g, w, _COLUMNS, gx, grain=grain)
    return gx


def _numpy_is_better(m: int, k: int, n: int) -> bool:
    """Whether (m, k) @ (k, n) goes to NumPy's BLAS: where that is serial, which is where it wins.

    Up to 2**18 multiplications OpenBLAS stays on the calling thread (2**13 for a matrix with one
    row or column) and took 3 to 7 us where `blocked` took 12 to 16. Beyond, its result may depend
    on its number of threads, and on a busy machine its spinning threads were seen to take 15 ms
    for a product of 20 us. Without the JIT our loops are no match for any BLAS.
    """
    if _jit_disabled():
        return True
    if m == 1 or n == 1:
        return m * k * n <= 1 << 13
    return m * k * n <= 1 << 18


def linear(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """y = x @ w.T + bias. x (M, K), w (F, K), bias (F,) -> y (M, F)."""
    m, k = x.shape
    f = w.shape[0]
    if _numpy_is_better(m, k, f):
        y = np.matmul(x, w.T)
        if bias is not None:
            y += bias
        return y
    x, w = ready(x), ready(w)
    if bias is not None:
        bias = ready(bias)
    if m <= _FEW_DOT_ROWS:
        return dots(x, w, bias)
    if f <= _FEW_DOT_ROWS:  # the same dots, with the roles exchanged: (F, K) @ (K, M), transposed
        y = np.ascontiguousarray(dots(w, x, None).T)
        if bias is not None:
            y += bias
        return y
    return blocked(x, w, False, False, bias)


def linear_grad_x(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """gx = g @ w. g (M, F), w (F, K) -> gx (M, K)."""
    m, f = g.shape
    if _numpy_is_better(m, f, w.shape[1]):
        return np.matmul(g, w)
    g, w = ready(g), ready(w)
    if m <= _FEW_ADD_ROWS:
        return sums(g, w)
    return blocked(g, w, False, True, None)


def linear_grad_w(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gw = g.T @ x. g (M, F), x (M, K) -> gw (F, K)."""
    m, f = g.shape
    if m == 1:  # no sum: 208 us as a matrix product of 128 x 1568, 71 as this
        return np.multiply(g.T, x, order="C")
    if _numpy_is_better(f, m, x.shape[1]):
        return np.matmul(g.T, x)
    if f <= _FEW_ADD_ROWS:
        return sums(ready(g.T), ready(x))
    return blocked(ready(g), ready(x), True, True, None)


def product_reference(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """The plain twin of them all: a (M, K) @ b (K, N) + bias (N,), a sum of float64 for each."""
    m, k = a.shape
    n = b.shape[1]
    c = np.empty((m, n), a.dtype)
    for i in range(m):
        for j in range(n):
            total = 0.0 if bias is None else float(bias[j])
            for t in range(k):
                total += float(a[i, t]) * float(b[t, j])
            c[i, j] = total
    return c
