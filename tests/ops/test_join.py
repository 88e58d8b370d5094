"""Joining and padding beyond their samples."""
import numpy as np

import minigrad as mg
from minigrad import Tensor, grad, gradcheck
from minigrad.ops import join


def leaf(*size, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(size), requires_grad=True)


def test_an_empty_vector_joins_anything():
    start, x = mg.zeros(0, requires_grad=True), leaf(2, 3)
    y = mg.cat([start, x, x])
    assert y.shape == (4, 3)
    gs, gx = grad(y.sum(), [start, x])
    assert gs.shape == (0,)
    np.testing.assert_array_equal(gx.array, np.full((2, 3), 2.0))


def test_pad_constant_negative_and_torch_order():
    x = leaf(1, 2, 3)
    y = join.pad(x, (1, -1, 0, 2), value=7.0)
    want = np.pad(x.array, ((0, 0), (0, 2), (1, 0)), constant_values=7.0)[..., :-1]
    np.testing.assert_array_equal(y.array, want)
    assert gradcheck(lambda x: join.pad(x, (1, -1, 0, 2)), [x])
