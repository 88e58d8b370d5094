"""Parameters as one vector, and back."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.scale = nn.Parameter(mg.ones(3))
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.head(self.body(x) * self.scale)


def test_parameters_as_a_vector_and_back():
    net = Net()
    v = nn.utils.parameters_to_vector(net.parameters())
    assert v.shape == (3 + 12 + 3 + 6,) and v.requires_grad
    arrays = [p.array for p in net.parameters()]
    nn.utils.vector_to_parameters(mg.arange(24).float(), net.parameters())
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in arrays]), np.arange(24))
    with pytest.raises(ValueError, match=r"24 elements.*got \(23,\)"):
        nn.utils.vector_to_parameters(mg.zeros(23), net.parameters())
    with pytest.raises(ValueError, match="no parameters"):
        nn.utils.parameters_to_vector([])
