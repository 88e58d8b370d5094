"""Sums over dimensions: each way against float64; sums of long rows against their reference."""
from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels.rowwise import sums
from minigrad.kernels.rowwise.sums import (
    row_sums, row_sums_range, row_sums_reference, sum_along,
)
from minigrad.kernels.parallel.threads import set_num_threads
from minigrad.long_sums import total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows, length", [(1, 1), (3, 7), (5, 512), (4, 513), (2, 1300), (7, 0)])
def test_rows_equal_their_reference(rows, length, dtype):
    x = np.random.default_rng(0).standard_normal((rows, length)).astype(dtype)
    got = row_sums(x, rows)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, row_sums_reference(x, rows), rtol=1e-5, atol=1e-5)
    some = np.full(rows, 7, dtype)
    row_sums_range(1, rows, x.reshape(-1), length, some)
    assert some[0] == 7, "only its own rows are written"


def test_large_sums_are_exact_to_the_last_digits_and_the_same_at_any_number_of_threads():
    x = np.full((64, 32, 28, 28), 0.1, "f4")
    exact = float(np.float32(0.1)) * 64 * 28 * 28
    results = []
    for threads in (1, 2, 5):
        set_num_threads(threads)
        results.append([mg.tensor(x).sum((0, 2, 3)).numpy(), mg.tensor(x).sum().numpy(),
                        mg.tensor(x).sum((2, 3)).numpy()])
    for got, want in zip(results[0], (exact, exact * 32, exact / 64)):
        np.testing.assert_allclose(got, want, rtol=1e-6)  # 64 sums in float32
    for other in results[1:]:
        for got, want in zip(other, results[0]):
            np.testing.assert_array_equal(got, want)


def test_nan_and_infinity_stay():
    x = np.zeros((4, 40_000), "f4")
    x[1, 5], x[2, 7] = np.nan, np.inf
    got = mg.tensor(x).sum(1).numpy()
    np.testing.assert_array_equal(got, [0, np.nan, np.inf, 0])


WAYS = {                                           # shape, dims, dtype, the functions that add
    "few": ((40, 10), (0,), "f4", []),
    "all of few": ((4000,), None, "f4", []),
    "integers": ((700, 70), (0,), "i8", []),
    "rows": ((500, 40), (1,), "f4", ["row_sums", "total"]),
    "all of many": ((40, 50, 30), None, "f4", ["row_sums", "total"]),
    "rows, then the tree": ((600, 3, 40), (0, 2), "f4", ["row_sums", "total"]),
    "short rows": ((5000, 4), (1,), "f4", ["total"]),
    "float64": ((500, 40), (1,), "f8", ["total"]),
    "not in order": ((500, 40), (1,), "f4 T", ["total"]),
    "columns": ((5000, 4), (0,), "f4", ["total"]),
    "middle": ((30, 600, 4), (1,), "f4", ["total"]),
}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_sum_along_dims(way, keepdims, monkeypatch):
    shape, dims, dtype, want = WAYS[way]
    dtype, _, turned = dtype.partition(" ")
    x = (np.random.default_rng(0).random(shape) * 9).astype(dtype)
    x = np.asfortranarray(x) if turned else x
    used = []
    for f in (row_sums, total):
        monkeypatch.setattr(sums, f.__name__, lambda *args, f=f: (
            used.append(f.__name__), f(*args))[1])
    y = sum_along(x, dims, keepdims)
    exact = x.astype("f8" if x.dtype.kind == "f" else x.dtype).sum(axis=dims, keepdims=keepdims)
    assert used == want and np.shape(y) == np.shape(exact) and y.dtype == x.dtype
    np.testing.assert_allclose(y, exact, rtol=4e-7 if dtype == "f4" else 1e-14)


def test_integers_are_converted_on_the_way():
    x = np.full((600, 3), 100, np.int8)
    assert sum_along(x, (0,), dtype=np.dtype(np.int64)).tolist() == [60_000] * 3
