"""Sums of long rows against their plain twin."""
from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels.rowwise.sums import row_sums, row_sums_range, row_sums_reference
from minigrad.kernels.parallel.threads import set_num_threads


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows, length", [(1, 1), (3, 7), (5, 512), (4, 513), (2, 1300), (7, 0)])
def test_rows_equal_their_twin(rows, length, dtype):
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
