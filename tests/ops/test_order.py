"""Sorting and the largest k: stable, nan last."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor


def test_sort_is_stable_in_both_directions_and_puts_nan_last():
    x = mg.tensor([1.0, 0.0, 1.0, float("nan"), 0.0])
    values, at = x.sort()
    np.testing.assert_array_equal(at.array, [1, 4, 0, 2, 3])
    np.testing.assert_array_equal(x.sort(descending=True).indices.array, [3, 0, 2, 1, 4])
    np.testing.assert_array_equal(values.array, x.array[at.array])


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("n, k", [(5, 2), (100, 3), (100, 1), (64, 64), (4, 0)])
def test_topk_equals_sorting(n, k, largest):
    x = Tensor(np.random.default_rng(0).standard_normal((3, n)))
    values, at = x.topk(k, largest=largest)
    want = np.sort(x.array, 1)[:, ::-1 if largest else 1][:, :k]
    np.testing.assert_array_equal(values.array, want)
    np.testing.assert_array_equal(np.take_along_axis(x.array, at.array, 1), want)
