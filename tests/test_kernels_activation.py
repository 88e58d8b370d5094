"""The gradient of relu against its plain twin, at any number of threads."""
import numpy as np
import pytest

from minigrad import get_num_threads, set_num_threads
from minigrad.kernels.activation import GRAIN, relu_grad, relu_grad_reference


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, GRAIN + 7)])
def test_relu_grad_equals_its_twin(dtype, shape):
    rng = np.random.default_rng(0)
    g, y = rng.standard_normal((2, *shape)).astype(dtype)
    y = np.maximum(y, 0)
    if y.size > 3:
        y.flat[1], g.flat[2], y.flat[2], y.flat[3] = np.nan, np.inf, 0.0, -0.0
    before = get_num_threads()
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            got = relu_grad(g, y)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, relu_grad_reference(g, y))
    finally:
        set_num_threads(before)
