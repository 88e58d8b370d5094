"""Conversions of dtype, and copies."""
import numpy as np

import minigrad as mg
from minigrad import grad


def test_conversions():
    x = mg.tensor([1.7, -1.7], requires_grad=True)
    assert x.to("float32") is x and x.float() is x and x.to("cpu") is x
    y = x.double()
    assert y.dtype == np.float64 and y.requires_grad
    g, = grad((y * 3).sum(), x)
    assert g.dtype == np.float32
    for z, dtype, values in ((x.long(), "int64", [1, -1]), (x.int(), "int32", [1, -1]),
                             (x.bool(), "bool", [True, True])):
        assert z.dtype == dtype and not z.requires_grad
        np.testing.assert_array_equal(z.array, values)
    assert x.to(y).dtype == np.float64 and x.type_as(y).dtype == np.float64
    assert x.half().dtype == np.float16
    assert x.to(device="cpu", dtype="float64").dtype == np.float64
    assert x.to("float32", copy=True) is not x
