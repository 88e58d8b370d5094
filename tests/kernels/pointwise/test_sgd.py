"""The step on large parameters against its reference, at any number of threads."""
import numpy as np
import pytest

from minigrad import set_num_threads
from minigrad.kernels.pointwise.sgd import sgd, sgd_by_numpy
from minigrad.tuning import SGD_GRAIN


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("momentum, share, nesterov", [
    (None, 1.0, False), (0.9, 1.0, False), (0.9, 0.7, False), (0.8, 1.0, True)])
def test_sgd_equals_its_reference_to_the_last_bit(dtype, decay, sign, momentum, share, nesterov):
    rng = np.random.default_rng(0)
    options = 0.1, decay, sign, momentum or 0.0, share, nesterov
    for n, threads in [(0, 1), (1, 1), (37, 2), (4 * SGD_GRAIN + 7, 1), (4 * SGD_GRAIN + 7, 3)]:
        set_num_threads(threads)
        x, g, v = rng.standard_normal((3, n)).astype(dtype)
        if n > 3:
            g[1], g[2], x[3] = np.nan, np.inf, -0.0
        v = None if momentum is None else v
        want_x, want_v = x.copy(), None if v is None else v.copy()
        kept = g.copy()
        sgd(x, g, v, *options)
        sgd_by_numpy(want_x, g, want_v, *options)
        np.testing.assert_array_equal(x, want_x)
        np.testing.assert_array_equal(g, kept)
        if v is not None:
            np.testing.assert_array_equal(v, want_v)
            assert not np.array_equal(v[3:], kept[3:]) or n < 4
