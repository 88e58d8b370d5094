"""Linear: its formula, and what it says when the features of an image do not fit."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd.engine import Tensor


def rng():
    return np.random.default_rng(0)


def floats(*shape, dtype=np.float32):
    return Tensor(rng().standard_normal(shape).astype(dtype))


def test_linear_is_x_wt_plus_b():
    layer, x = nn.Linear(3, 2, dtype=np.float64), floats(4, 5, 3, dtype=np.float64)
    np.testing.assert_allclose(layer(x).array, x.array @ layer.weight.array.T + layer.bias.array)


def test_linear_after_flatten_says_where_the_features_come_from():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 2))
    with pytest.raises(ValueError, match=r"in_features = 676; .*in_features = 784: set "
                                         r"in_features=676.*"
                                         r"4\*13\*13 = 676; 784 would be 4\*14\*14: check the "):
        model(mg.zeros(1, 1, 28, 28))
