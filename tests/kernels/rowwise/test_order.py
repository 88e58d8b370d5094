"""The order along a dimension against a sort of Python's, whose ties and directions are obvious."""
import numpy as np
import pytest

from minigrad.kernels.rowwise.order import argsort, argtopk

NAN = float("nan")
LINES = [[3.0, 1.0, 2.0], [1.0, 1.0, 0.0, 1.0], [NAN, 2.0, NAN, -1.0], [5.0], []]


def by_hand(line, descending):
    key = [(x != x, 0.0 if x != x else x) for x in line]         # NaN is the largest
    sign = -1 if descending else 1
    return sorted(range(len(line)), key=lambda i: (sign * key[i][0], sign * key[i][1]))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("line", LINES)
def test_equal_elements_keep_their_order_and_nan_is_the_largest(line, descending):
    assert argsort(np.array(line), 0, descending).tolist() == by_hand(line, descending)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1"])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("n, k", [(5, 5), (5, 0), (100, 3), (100, 1), (100, 13), (64, 7), (7, 3)])
def test_the_first_k_are_those_of_the_sort(n, k, largest, dtype):
    rng = np.random.default_rng(n + k)             # of equal ones it may choose another
    x = np.array([rng.permutation(n) for _ in range(6)]).reshape(2, 3, n).astype(dtype)
    for d in range(3):
        y = np.moveaxis(x, -1, d)
        want = np.take(argsort(y, d, largest), range(k), d)
        got = argtopk(y, k, d, largest)
        assert np.array_equal(np.take_along_axis(y, got, d), np.take_along_axis(y, want, d))
        assert np.array_equal(got, want)
