"""The words of vector.py: each as compiled against the same word as written."""


import numpy as np
import pytest

from kernel_testing import DTYPES, PLAIN

from minigrad.kernels.simd.vector import (
    bits, choose, evens, exp, from_bits, fused, lanes, lanes_of, largest, load, load_all,
    load_apart, load_beside, load_counts, load_even, load_marks, mark_dtype, odds, spread, store,
    store_all, store_apart, store_pairs, total, vector_jit,
)


@vector_jit
def memory(x, small, y, low, high):
    """Every load and store, with the lanes low .. high - 1 or the first `high`."""
    size = lanes(x)
    store_all(y, 0, load(x, 20, low, high))
    store_all(y, size, load_all(x, 3))
    store_all(y, 2 * size, load_beside(x, 20, high, 7.5))
    store_all(y, 3 * size, load_even(x, 20, high))
    store_all(y, 4 * size, load_apart(x, 20, 3, high))
    store(y, 5 * size, low, high, load_all(x, 0))
    store_pairs(y, 6 * size, low, 2 * high - 1, load_all(x, 0), load_all(x, 40))
    store_apart(y, 8 * size, 3, low, high, load_all(x, 5))
    store(small, 0, low, high, load_counts(small, 30, low, high, x))
    marks = np.arange(size).astype(mark_dtype(x))
    store_all(y, 11 * size, choose(load_marks(marks, 0, x) == 2, load_all(x, 0), load_all(x, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory(dtype):
    size = lanes_of(np.dtype(dtype).name)
    rng = np.random.default_rng(1)
    x = rng.standard_normal(20 + 4 * 16).astype(dtype)
    for low, high in [(0, size), (0, 1), (1, 3), (-2, 3), (2, 99), (0, 0), (3, 2), (-9, -1)]:
        results = []
        for run in (memory, memory.plain):
            small = np.arange(250, 190, -1).astype(np.uint8)
            y = np.full(12 * size, -1, dtype)
            run(x, small, y, low, high)
            results.append((y, small))
        for a, b in zip(*results):
            np.testing.assert_array_equal(a, b, str((low, high)))


def test_a_masked_load_may_reach_past_the_array():
    """Written out: lanes that do not exist are 0 or what is asked for; nothing is read there."""
    x = np.arange(1, 4, dtype=np.float32)
    y = np.zeros(lanes_of("float32"), np.float32)

    @vector_jit
    def run(x, y):
        store_all(y, 0, load(x, -1, 1, 4) + load_beside(x, 0, 3, 10.0))

    run(x, y)
    np.testing.assert_array_equal(y, [1, 3, 5, 13] + [10] * (len(y) - 4))


@vector_jit
def arithmetic(x, y):
    size = lanes(x)
    a = load_all(x, 0)
    b = load_all(x, size)
    store_all(y, 0, a + b * 2.0 - b / a)
    store_all(y, size, choose((a > b) | (a != a), a, b))
    store_all(y, 2 * size, choose((a <= b) & (a < 1.0), evens(a, b), odds(a, b)))
    store_all(y, 3 * size, from_bits(((bits(a) >> 3) << 3) ^ 1))
    store_all(y, 4 * size, exp(a))
    store_all(y, 5 * size, choose(a == b, spread(3.0, x), a))
    return total(b), largest(b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(dtype):
    size = lanes_of(np.dtype(dtype).name)
    rng = np.random.default_rng(2)
    x = rng.standard_normal(2 * size).astype(dtype)
    x[1], x[2], x[size + 3] = np.nan, np.inf, x[3]
    results = []
    with np.errstate(all="ignore"):
        for run in (arithmetic, arithmetic.plain):
            y = np.zeros(6 * size, dtype)
            sums = run(x, y)
            results.append((y, np.array(sums, dtype)))
    for a, b in zip(*results):
        # a * b + c may be rounded once or twice; everything else is exact.
        np.testing.assert_allclose(a, b, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
    if not PLAIN:
        for part in (1, 2, 3, 5):
            rows = [r[0].reshape(6, size)[part] for r in results]
            np.testing.assert_array_equal(*rows)


@pytest.mark.skipif(PLAIN, reason="rounded twice as written")
@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_rounds_once(dtype):
    @vector_jit
    def run(x, y):
        store_all(y, 0, fused(load_all(x, 0), load_all(x, 0), -1.0))

    eps = np.finfo(dtype).eps
    size = lanes_of(np.dtype(dtype).name)
    x, y = np.full(size, 1 + eps, dtype), np.zeros(size, dtype)
    run(x, y)
    np.testing.assert_array_equal(y, np.full(size, 2 * eps + eps * eps, dtype))
