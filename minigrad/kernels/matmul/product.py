"""Products of two matrices on the register tile: C = A @ B + bias, whichever way round they lie.

The register tile reads A where it is (its tables of offsets say how); B is copied into panels, a
few columns side by side, by the thread that uses them, while they are in its cache.

    A[m, k] = a[rows_at[m] + k_at[k]]
    B[k, n] = b[k, n] if k_first else b[n, k], in panels of (K, cols)

Not here: when this is the way (linear.py), products with few rows (few_rows.py), stacks of matrices
(ops/linear.py uses NumPy's matmul).
"""

from __future__ import annotations

import functools

import numpy as np

from ... import tuning
from ...memory import empty
from ..jit import jit
from ..simd.flat import copy, copy_rows, tail, to_line
from ..simd.tile import tile, tile_shape
from ..simd.transpose import square_side, transpose
from ..parallel import one_each, parallel


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
                    # One call for both: the tile is inlined, and was compiled for each.
                    whole = k0 == k_first and height == rows and width == cols
                    into, ldc = (to, n) if whole else (tail(sums, 0), cols)
                    begin = initial if k0 == k_first else zeros
                    tile(factor, at, ka, tail(panel, origin), kb, kc, begin, 0, into, ldc)
                    if whole:
                        continue
                    for r in range(height):
                        row = tail(to, r * n)
                        more = tail(sums, r * cols)
                        if k0 == k_first:
                            copy(more, row, width)
                        else:
                            for j in range(width):
                                row[j] += more[j]


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
    if depth > tuning.PRODUCT_LONGEST and bias.size:
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
        if pieces <= tuning.PRODUCT_PIECES or c.dtype == np.float64:
            np.add.reduce(parts, axis=0, out=c)
        else:
            c[:] = np.add.reduce(parts, axis=0, dtype=np.float64)
    if totals is not None:
        totals[:] = np.add.reduce(found, axis=0)
    return c


@functools.lru_cache(maxsize=256)
def _plan(m: int, n: int, depth: int, k_first: bool, may_split: bool, dtype: np.dtype) -> tuple:
    """How a product is cut up, by sizes alone: tables, sizes, tasks, pieces of k and grain."""
    rows, cols, _ = tile_shape(dtype)
    tall = min(tuning.PRODUCT_TASK_ROWS, -(-m // rows) * rows)
    some = min(tuning.PRODUCT_TASK_PANELS, -(-n // cols))
    tasks = -(-m // tall) * -(-n // (some * cols))
    # A small C of long sums, as the gradient of weights: pieces of k are what threads can share.
    pieces = max(1, min(tuning.PRODUCT_PIECES // tasks, depth // 1024)) if may_split else 1
    if depth > tuning.PRODUCT_LONGEST * pieces:
        assert may_split, "each piece would add the bias"
        pieces = -(-depth // tuning.PRODUCT_LONGEST)
    while tasks * pieces < tuning.PRODUCT_TASKS and max(tall, some * cols) > 63:
        if some > 1 and some * cols >= tall:
            some = -(-some // 2)
        else:
            tall = -(-tall // 2 // rows) * rows
        tasks = -(-m // tall) * -(-n // (some * cols))
    block_k = -(-depth // pieces)
    # A few sums of very many numbers wait for memory: then blocks may be as short as is exact.
    short = depth > tuning.PRODUCT_LONGEST and tasks == 1
    most = tuning.PRODUCT_DEPTH // 4 if short else tuning.PRODUCT_DEPTH
    block_k = -(-block_k // -(-block_k // most))
    # A is copied where each k has a page of its own, and where rows so far apart that they share
    # the places of a cache would push each other out.
    pitch = 0
    if k_first:
        pitch = square_side(dtype)
        strip, within = np.divmod(np.arange(tall), pitch)
        rows_at, k_at = strip * pitch * block_k + within, np.arange(block_k) * pitch
    elif depth > tuning.PRODUCT_DEPTH and depth * dtype.itemsize % 1024 == 0:
        pitch = block_k + 16
        rows_at, k_at = np.arange(tall) * pitch, np.arange(block_k)
    else:
        rows_at, k_at = np.arange(m) * depth, np.arange(depth)
    kb = np.arange(block_k) * cols
    tables = tuple(table.astype(np.int64, copy=False) for table in (rows_at, k_at, kb))
    grain = max(1, tuning.PRODUCT_GRAIN // (tall * (depth // pieces) * cols * some))
    sizes = rows, cols, tall, some, block_k, pitch, square_side(dtype)
    return tables, sizes, tasks, pieces, grain
