"""Matrix products of the linear layer: y = x @ w.T + b, gx = g @ w, gw = g.T @ x.

One product serves the three: C = A @ B + bias. The register tile reads A where it lies, whichever
way round (its tables of offsets say how); B is copied into panels, a few columns side by side, by
the thread that uses them, while they are in its cache.

    A[m, k] = a[rows_at[m] + k_at[k]]
    B[k, n] = b[k, n] if k_first else b[n, k], in panels of (K, cols)

Small products go to NumPy (`_numpy_is_better`), those with few rows to loops that copy nothing.

Not here: stacked matrices (ops/linear.py uses NumPy's matmul).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...memory import empty
from ...sums import ROWS, total
from ..jit import Kernel, jit, ready
from ..jit.kernel import jit_disabled
from ..simd.flat import copy, copy_rows, tail, to_line
from ..simd.tile import tile, tile_shape
from ..simd.transpose import square_side, transpose
from ..parallel import one_each, parallel

# k in one go: a panel of B (64 KiB with AVX-512) streams from the second cache, and a tile lasts
# long enough for its beginning and end to cost little: 256 took 6 % more for 256 x 512 x 512.
_DEPTH = 512
_TASK_ROWS = 256  # rows of C that a task fills in from one panel: enough to pay for packing it
_TASK_PANELS = 4  # panels that it fills in from one block of A, for the same reason
_MAX_PIECES = 8  # of the k axis for the sake of threads
_TASKS = 4  # at least so many, if there is enough to do: a constant, not the number of threads


@jit
def pack_panel(b, k_first, k0, kc, first, count, cols, side, panel):
    """panel[k, j] = B[k0 + k, first + j] for k < kc, j < count; 0 up to cols. Flat panel."""
    if k_first:
        for k in range(kc):
            copy(tail(b, (k0 + k) * b.shape[1] + first), tail(panel, k * cols), count)
    else:
        transpose(tail(b, first * b.shape[1] + k0), b.shape[1], count, kc, side, panel, cols)
    if count < cols:
        for k in range(kc):
            row = tail(panel, k * cols)
            for j in range(count, cols):
                row[j] = 0


@jit
def pack_rows(a, k_first, k0, kc, first, count, pitch, most, block):
    """A block of A, count rows from `first` and kc of k, as a tile reads it. block: flat.

    k_first: a (K, M), in strips of `pitch` rows and room for `most` k, for each k side by side:
    what a tile reads lies line after line. Else a (M, K), block[r * pitch + k], row beside row.
    """
    if k_first:
        source = tail(a, k0 * a.shape[1] + first)
        for r in range(0, count, pitch):
            width = min(pitch, count - r)
            copy_rows(tail(source, r), a.shape[1], tail(block, r * most), pitch, kc, width)
    else:
        copy_rows(tail(a, first * a.shape[1] + k0), a.shape[1], block, pitch, count, kc)


@jit
def add_columns(a, k0, kc, first, count, step, some, totals):
    """totals[j] += a[k0, first + j] + ... + a[k0 + kc - 1, first + j] for j < count; a (K, M).

    `step` rows are added in their own precision, in `some` (count,), then to the float64 totals.
    """
    for k1 in range(k0, k0 + kc, step):
        for j in range(count):
            some[j] = 0
        for k in range(k1, min(k1 + step, k0 + kc)):
            row = tail(a, k * a.shape[1] + first)
            for j in range(count):
                some[j] += row[j]
        for j in range(count):
            totals[j] += some[j]


@jit
def product_range(start, stop, a, a_k_first, b, b_k_first, bias, tables, sizes, c, totals):
    """Items start .. stop - 1 of C = A @ B + bias, (piece of k, rows of C, panels of columns).

    a (K, M) if a_k_first else (M, K), b (K, N) if b_k_first else (N, K), bias (N,) or (0,) for
    none, c (pieces, M, N): one result for each piece of the k axis. totals (pieces, M), zeros of
    float64: gets the sums of A over k, of an A with k first; or (0, 0) for none. tables =
    (rows_at, k_at) of A's block and kb: where row k of a panel begins. sizes = (rows of the tile,
    its columns, rows of a task, its panels, k in one go, `pitch` of pack_rows or 0 if A is read
    where it is, square_side).

    One writer for each output; sums of at most 512 products, which are then added in their order:
    a chain of a million products in float32 would be wrong by 1 %. Limit: multiply-adds. A block
    of A is packed once for neighbouring tasks: for each, the gradient of 512 x 512 weights from
    256 rows took 15 % longer.
    """
    rows_at, k_at, kb = tables
    rows, cols, tall, some, block_k, pitch, side = sizes
    pieces, m, n = c.shape
    depth = a.shape[0] if a_k_first else a.shape[1]
    groups = (n + some * cols - 1) // (some * cols)
    panel = np.empty(block_k * cols + 16, c.dtype)
    origin = to_line(panel)
    block = np.empty((tall + pitch) * block_k if a_k_first else pitch * tall, c.dtype)
    sums = np.empty(rows * cols, c.dtype)
    initial = np.zeros(cols, c.dtype)
    zeros = np.zeros(cols, c.dtype)
    last = np.empty(rows, np.int64)
    few = np.empty(tall, c.dtype)
    step = block_k if depth <= block_k else 64
    tasks = groups * ((m + tall - 1) // tall)
    packed = -1
    for item in range(start, stop):
        piece, task = item // tasks, item % tasks
        first_q = task % groups * some
        i_first = task // groups * tall
        i_end = min(i_first + tall, m)
        k_first = piece * depth // pieces
        k_end = (piece + 1) * depth // pieces
        for k0 in range(k_first, k_end, block_k):
            kc = min(block_k, k_end - k0)
            if pitch > 0:
                if packed != i_first * depth + k0:  # else the last task left it here
                    pack_rows(
                        a, a_k_first, k0, kc, i_first, i_end - i_first, pitch, block_k, block
                    )
                    packed = i_first * depth + k0
                if first_q == 0 and totals.size > 0:  # while it is in the cache
                    add_columns(
                        a, k0, kc, i_first, i_end - i_first, step, few,
                        tail(totals, piece * m + i_first),
                    )
                factor, base, ka = tail(block, 0), 0, tail(k_at, 0)
            else:
                factor, base, ka = tail(a, 0), i_first, tail(k_at, k0)
            for j0 in range(first_q * cols, min((first_q + some) * cols, n), cols):
                width = min(cols, n - j0)
                pack_panel(b, b_k_first, k0, kc, j0, width, cols, side, tail(panel, origin))
                for j in range(min(width, bias.size)):
                    initial[j] = bias[j0 + j]
                for i in range(i_first, i_end, rows):
                    height = min(rows, i_end - i)
                    at = tail(rows_at, base + i - i_first)
                    if height < rows:  # the last tile may not read beyond the last row
                        for r in range(rows):
                            last[r] = rows_at[base + i - i_first + min(r, height - 1)]
                        at = tail(last, 0)
                    to = tail(c, (piece * m + i) * n + j0)
                    if k0 == k_first and height == rows and width == cols:
                        tile(factor, at, ka, tail(panel, origin), kb, kc, initial, 0, to, n)
                        continue
                    begin = initial if k0 == k_first else zeros
                    tile(factor, at, ka, tail(panel, origin), kb, kc, begin, 0, sums, cols)
                    for r in range(height):
                        row = tail(to, r * n)
                        more = tail(sums, r * cols)
                        if k0 == k_first:
                            copy(more, row, width)
                        else:
                            for j in range(width):
                                row[j] += more[j]


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
            few = w.shape[0] % 4
            for k in range(few):
                s = g[i, k]
                row = w[k, j0:]
                for j in range(count):
                    to[j] += s * row[j]
            for k in range(few, w.shape[0], 4):  # four at once: `to` is read and written less often
                s0, s1, s2, s3 = g[i, k], g[i, k + 1], g[i, k + 2], g[i, k + 3]
                row0, row1, row2, row3 = w[k, j0:], w[k + 1, j0:], w[k + 2, j0:], w[k + 3, j0:]
                for j in range(count):
                    to[j] = to[j] + s0 * row0[j] + s1 * row1[j] + s2 * row2[j] + s3 * row3[j]


@jit(fastmath={"contract", "reassoc", "nsz"}, inline=True)
def dot_block(x, w, count):
    """x[0] * w[0] + ... + x[count - 1] * w[count - 1]; `reassoc`: lanes add on their own."""
    total = x.dtype.type(0)
    for k in range(count):
        total += x[k] * w[k]
    return total


@jit
def long_dots_range(start, stop, x, w, parts):
    """parts[p] (M, N) = x[:, k] @ w[:, k].T for pieces p of k, _PIECE long; parts is float64.

    Blocks of _BLOCK products are added in their own precision. Limit: bytes, x and w once.
    """
    depth = x.shape[1]
    for p in range(start, stop):
        first, end = p * _PIECE, min((p + 1) * _PIECE, depth)
        for f in range(w.shape[0]):
            for i in range(x.shape[0]):
                total = np.float64(0)
                for k in range(first, end, _BLOCK):
                    total += dot_block(
                        tail(x, i * depth + k), tail(w, f * depth + k), min(_BLOCK, end - k)
                    )
                parts[p, i, f] = total
    tail(x, 0), tail(w, 0)  # mentioned once more: views count no reference (flat.tail)


@jit(fastmath={"contract"})
def long_sums_range(start, stop, g, w, width, parts):
    """parts[p] (M, K) = g[:, n] @ w[n] for pieces p of n, _PIECE long; parts is float64.

    `width` columns at a time; _STEP products are added in their own precision.
    """
    length = w.shape[1]
    some, whole = np.empty(width, w.dtype), np.empty(width, np.float64)
    for p in range(start, stop):
        first, end = p * _PIECE, min((p + 1) * _PIECE, w.shape[0])
        for j0 in range(0, length, width):
            count = min(width, length - j0)
            for i in range(g.shape[0]):
                for j in range(count):
                    whole[j] = 0
                for n0 in range(first, end, _STEP):
                    for j in range(count):
                        some[j] = 0
                    for n in range(n0, min(n0 + _STEP, end)):
                        s = g[i, n]
                        row = tail(w, n * length + j0)
                        for j in range(count):
                            some[j] += s * row[j]
                    for j in range(count):
                        whole[j] += some[j]
                for j in range(count):
                    parts[p, i, j0 + j] = whole[j]
    tail(w, 0)  # mentioned once more: views count no reference (flat.tail)


@jit
def outer_rows(start, stop, g, x, gw):
    """Rows start..stop-1 of gw (F, K) = g (F,) times x (K,). Limit: bytes written."""
    for f in range(start, stop):
        s = g[f]
        row = gw[f]
        for k in range(x.size):
            row[k] = s * x[k]


# Sums longer than _LONG lose digits as one chain of float32: they are cut into pieces, which
# threads share, and blocks, and added up in float64. Up to there BLAS's own order is exact enough.
_LONG = 1 << 13
_PIECE, _BLOCK, _STEP = 1 << 13, 512, 64
_LONGEST = 1 << 15  # of a piece of the tile's k axis: 64 blocks are added in their order

_WORK_GRAIN = 1 << 20  # multiplications of the tile that take some 5 us: worth a chunk
_SCALAR_GRAIN = 1 << 16  # and those of the loops that copy nothing


def product(
    a: np.ndarray,
    a_k_first: bool,
    b: np.ndarray,
    b_k_first: bool,
    bias: np.ndarray | None = None,
    totals: np.ndarray | None = None,
) -> np.ndarray:
    """C (M, N) = A @ B + bias on the register tile; where the k axis lies is said by two flags.

    a: (K, M) if a_k_first else (M, K). b: (K, N) if b_k_first else (N, K). bias: (N,) or None.
    totals: (M,), gets the sums of A over k; only of an A with k first.
    """
    assert totals is None or (a_k_first and a.size * b.size > 0)
    depth, m = a.shape if a_k_first else a.shape[::-1]
    n = b.shape[1 if b_k_first else 0]
    bias = np.empty(0, a.dtype) if bias is None else bias  # the same type: one signature
    if depth > _LONGEST and bias.size:
        c = product(a, a_k_first, b, b_k_first)
        c += bias
        return c
    if m * n * depth == 0:
        c = np.zeros((m, n), a.dtype)
        return c if bias.size == 0 else c + bias
    c = empty((m, n), a.dtype)
    tables, sizes, tasks, pieces, grain = _plan(m, n, depth, a_k_first, bias.size == 0, c.dtype)
    parts = c[None] if pieces == 1 else np.empty((pieces, m, n), c.dtype)
    found = np.zeros((0, 0) if totals is None else (pieces, m))
    if a_k_first:  # neighbours share a packed block of A: leave them to one thread
        groups = -(-n // (sizes[1] * sizes[3]))
        grain = min(max(grain, groups), one_each(tasks * pieces, grain))
    parallel(
        product_range, tasks * pieces, a, a_k_first, b, b_k_first, bias, tables, sizes, parts,
        found, grain=grain,
    )
    if pieces > 1:
        assert bias.size == 0, "each piece would add it"
        if pieces <= _MAX_PIECES:
            np.add.reduce(parts, axis=0, out=c)
        else:
            np.add.reduce(parts, axis=0, out=c) if c.dtype == np.float64 else \
                np.copyto(c, np.add.reduce(parts, axis=0, dtype=np.float64), casting="same_kind")
    if totals is not None:
        totals[:] = np.add.reduce(found, axis=0)
    return c


@functools.lru_cache(maxsize=256)
def _plan(m: int, n: int, depth: int, k_first: bool, may_split: bool, dtype: np.dtype) -> tuple:
    """How a product is cut up, by sizes alone: tables, sizes, tasks, pieces of k and grain."""
    rows, cols, _ = tile_shape(dtype)
    tall, some = min(_TASK_ROWS, -(-m // rows) * rows), min(_TASK_PANELS, -(-n // cols))
    tasks = -(-m // tall) * -(-n // (some * cols))
    # A small C of long sums, as the gradient of weights: pieces of k are what threads can share.
    pieces = max(1, min(_MAX_PIECES // tasks, depth // 1024)) if may_split else 1
    if depth > _LONGEST * pieces:
        assert may_split, "each piece would add the bias"
        pieces = -(-depth // _LONGEST)
    while tasks * pieces < _TASKS and max(tall, some * cols) > 63:
        if some > 1 and some * cols >= tall:
            some = -(-some // 2)
        else:
            tall = -(-tall // 2 // rows) * rows
        tasks = -(-m // tall) * -(-n // (some * cols))
    block_k = -(-depth // pieces)
    # A few sums of very many numbers wait for memory: then blocks may be as short as is exact.
    most = _DEPTH // 4 if depth > _LONGEST and tasks == 1 else _DEPTH
    block_k = -(-block_k // -(-block_k // most))
    # A is copied where each k has a page of its own, and where rows so far apart that they share
    # the places of a cache would push each other out.
    pitch = 0
    if k_first:
        pitch = square_side(dtype)
        strip, within = np.divmod(np.arange(tall), pitch)
        rows_at, k_at = strip * pitch * block_k + within, np.arange(block_k) * pitch
    elif depth > _DEPTH and depth * dtype.itemsize % 1024 == 0:
        pitch = block_k + 16
        rows_at, k_at = np.arange(tall) * pitch, np.arange(block_k)
    else:
        rows_at, k_at = np.arange(m) * depth, np.arange(depth)
    kb = np.arange(block_k) * cols
    tables = tuple(table.astype(np.int64, copy=False) for table in (rows_at, k_at, kb))
    grain = max(1, _WORK_GRAIN // (tall * (depth // pieces) * cols * some))
    sizes = rows, cols, tall, some, block_k, pitch, square_side(dtype)
    return tables, sizes, tasks, pieces, grain


# Fewer rows than this and copying the weights costs more than it saves. Measured on one core with
# 1568 x 128 float32 weights, us: dot_rows 13, 37, 61, 192 for 1, 4, 8, 16 rows where `blocked`
# takes 117, 118, 114, 135; add_rows 14, 29, 56, 88 for 1, 2, 4, 8 rows against 57.
_FEW_DOT_ROWS = 8
_FEW_ADD_ROWS = 4
_COLUMNS = 256  # of gx that add_rows keeps in the first cache while it runs through g


def _in_pieces(kernel: Kernel, depth: int, m: int, n: int, a: np.ndarray, *more: Any) -> np.ndarray:
    """The sum over pieces of the `depth` that a kernel cuts up: (M, N) in a's dtype."""
    pieces = -(-depth // _PIECE)
    parts = np.empty((pieces, m, n))
    parallel(kernel, pieces, a, *more, parts, grain=-(-_SCALAR_GRAIN // max(1, m * n * _PIECE)))
    return total(parts, (0,)).astype(a.dtype, copy=False)


def dots(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x (M, K) @ w (N, K).T + bias (N,) -> (M, N), for small M."""
    if x.shape[1] > _LONG:
        y = _in_pieces(long_dots_range, x.shape[1], len(x), len(w), x, w)
        if bias is not None:
            y += bias
        return y
    y = empty((x.shape[0], w.shape[0]), x.dtype)
    has_bias = bias is not None
    b = bias if has_bias else np.empty(0, x.dtype)
    grain = one_each(w.shape[0], -(-_SCALAR_GRAIN // max(1, x.size)))
    parallel(dot_rows, w.shape[0], x, w, b, has_bias, y, grain=grain)
    return y


def sums(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """g (M, N) @ w (N, K) -> (M, K), for small M."""
    if len(w) > ROWS:
        return _in_pieces(long_sums_range, len(w), len(g), w.shape[1], g, w, _COLUMNS)
    gx = empty((g.shape[0], w.shape[1]), g.dtype)
    grain = -(-_SCALAR_GRAIN // max(1, g.size * _COLUMNS))
    parallel(add_rows, -(-w.shape[1] // _COLUMNS), g, w, _COLUMNS, gx, grain=grain)
    return gx


def _numpy_is_better(m: int, k: int, n: int) -> bool:
    """Whether (m, k) @ (k, n) goes to NumPy's BLAS: where that is serial, which is where it wins.

    Up to 2**18 multiplications OpenBLAS stays on the calling thread (2**13 for a matrix with one
    row or column) and took 3 to 7 us where `blocked` took 12 to 16. Beyond, its result may depend
    on its number of threads, and on a busy machine its spinning threads were seen to take 15 ms
    for a product of 20 us. Without the JIT our loops are no match for any BLAS.
    """
    if jit_disabled():
        return True
    if m == 1 or n == 1:
        return m * k * n <= 1 << 13
    return m * k * n <= 1 << 18 and k <= _LONG


def _by_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b. Long sums in float64: they come here without the JIT only."""
    if a.shape[1] <= _LONG:
        return np.matmul(a, b)
    return np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)


def linear(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """y = x @ w.T + bias. x (M, K), w (F, K), bias (F,) -> y (M, F)."""
    m, k = x.shape
    f = w.shape[0]
    if _numpy_is_better(m, k, f):
        y = _by_numpy(x, w.T)
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
    return product(x, False, w, False, bias)


def linear_grad_x(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """gx = g @ w. g (M, F), w (F, K) -> gx (M, K)."""
    m, f = g.shape
    if _numpy_is_better(m, f, w.shape[1]):
        return _by_numpy(g, w)
    g, w = ready(g), ready(w)
    if m <= _FEW_ADD_ROWS:
        return sums(g, w)
    return product(g, False, w, True)


def linear_grad_w(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gw = g.T @ x. g (M, F), x (M, K) -> gw (F, K)."""
    m, f = g.shape
    if _numpy_is_better(f, m, x.shape[1]):
        return _by_numpy(g.T, x) if m != 1 else np.multiply(g.T, x, order="C")
    if m == 1:  # no sum
        gw = empty((f, x.shape[1]), g.dtype)
        grain = one_each(f, -(-_SCALAR_GRAIN // x.size))
        parallel(outer_rows, f, ready(g).reshape(-1), ready(x).reshape(-1), gw, grain=grain)
        return gw
    if f <= _FEW_ADD_ROWS:
        return sums(ready(g.T), ready(x))
    return product(ready(g), True, ready(x), True)


def linear_grad_w_and_bias(g: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """gw = g.T @ x and gb, the sum of g over its rows, while they are at hand for the product.

    g (M, F), x (M, K) -> gw (F, K), gb (F,). 256 x 512 numbers took NumPy 14 us, 27 if they were
    no longer in the cache of its core.
    """
    m, f = g.shape
    if m == 1 or f <= _FEW_ADD_ROWS or _numpy_is_better(f, m, x.shape[1]):
        return linear_grad_w(g, x), np.add.reduce(g) if m < ROWS else total(g, (0,))
    gb = np.empty(f, g.dtype)
    return product(ready(g), True, ready(x), True, totals=gb), gb


def product_reference(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """The plain twin of them all: a (M, K) @ b (K, N) + bias (N,), a sum of float64 for each."""
    m, k = a.shape
    n = b.shape[1]
    c = empty((m, n), a.dtype)
    for i in range(m):
        for j in range(n):
            total = 0.0 if bias is None else float(bias[j])
            for t in range(k):
                total += float(a[i, t]) * float(b[t, j])
            c[i, j] = total
    return c
