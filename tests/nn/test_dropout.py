"""Dropout as a layer."""
import numpy as np

import minigrad as mg
from minigrad import nn


def test_dropout_drops_only_while_training():
    mg.manual_seed(0)
    layer, x = nn.Dropout(0.25), mg.ones(100, 100)
    y = layer(x).array
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(layer.eval()(x).array, x.array)
