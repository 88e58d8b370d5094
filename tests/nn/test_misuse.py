"""Arrays and tensors in the place of a layer's options."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


def test_an_array_in_the_place_of_a_layers_options_is_refused_as_a_tensor_is():
    with pytest.raises(TypeError, match=r"got an array of shape \(3,\)\. ReLU is a layer, .*"
                                        r"nn\.ReLU\(\)\(x\)"):
        nn.ReLU(np.ones(3))
    with pytest.raises(TypeError, match=r"got arrays of shape \(3,\) and \(3,\)\. MSELoss is"):
        nn.MSELoss(np.ones(3), mg.ones(3))
    assert nn.Linear(np.int64(2), 3).in_features == 2
    nn.MaxPool2d(np.array([2, 2]))                     # sizes are sizes
