"""Pooling as layers: options that reach the function."""
import numpy as np

from minigrad import nn
from minigrad.autograd.engine import Tensor
from minigrad.nn import functional as F


def test_pooling_layers_pass_their_options_on():
    x = Tensor(np.random.default_rng(0).standard_normal((1, 2, 7, 7)).astype(np.float32))
    y, at = nn.MaxPool2d(3, 2, 1, return_indices=True, ceil_mode=True)(x)
    want, want_at = F.max_pool2d(x, 3, 2, 1, 1, True, True)
    np.testing.assert_array_equal(y.array, want.array)
    np.testing.assert_array_equal(at.array, want_at.array)
    got = nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False, divisor_override=5)(x)
    np.testing.assert_array_equal(got.array, F.avg_pool2d(x, 3, 2, 1, True, False, 5).array)
