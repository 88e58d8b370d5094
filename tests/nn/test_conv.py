"""Convolution as a layer: borders."""
import numpy as np
import pytest

from minigrad import nn
from minigrad.autograd.engine import Tensor
from minigrad.nn import functional as F


def rng():
    return np.random.default_rng(0)


def floats(*shape, dtype=np.float32):
    return Tensor(rng().standard_normal(shape).astype(dtype))


@pytest.mark.parametrize("mode, numpy_mode", [
    ("zeros", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
@pytest.mark.parametrize("padding", [(1, 2), "same", "valid"])
def test_conv_padding_modes(mode, numpy_mode, padding):
    layer = nn.Conv2d(2, 3, (2, 4), padding=padding, padding_mode=mode, dtype=np.float64)
    x = floats(2, 2, 6, 7, dtype=np.float64)
    (top, bottom), (left, right) = {
        (1, 2): ((1, 1), (2, 2)), "same": ((0, 1), (1, 2)), "valid": ((0, 0), (0, 0))}[padding]
    padded = np.pad(x.array, ((0, 0), (0, 0), (top, bottom), (left, right)), mode=numpy_mode)
    want = F.conv2d(Tensor(padded), layer.weight, layer.bias)
    np.testing.assert_allclose(layer(x).array, want.array, rtol=1e-12, atol=1e-12)


def test_conv_border_of_even_windows_with_dilation():
    layer = nn.Conv2d(1, 1, (2, 3), padding="same", dilation=(3, 1), padding_mode="circular")
    assert layer(floats(1, 1, 5, 5)).shape == (1, 1, 5, 5)
