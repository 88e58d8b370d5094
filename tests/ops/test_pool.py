"""relu and max pooling in one pass against the two of them; places of a maximum against indices."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from kernel_testing import gather_reference, scatter_reference
from minigrad.kernels.pool.maximum import max_pool2d_places
from minigrad.kernels.pool.maximum_grad import (
    max_pool2d_grad, max_pool2d_indices, max_pool2d_pick,
)
from minigrad.ops import pool as ops

WINDOWS = {
    "2x2": (2,),
    "2x2 ceil": (2, 2, 0, 1, True),
    "3x3 stride 2": (3, 2, 1),
    "3x3 stride 1": (3, 1, 1),
    "2x3 stride 3": ((2, 3), (1, 3), (1, 0)),
    "dilated": (3, (2, 1), 1, (2, 1)),
}


def images(dtype=np.float32, kind="normal"):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 9, 37)).astype(dtype)
    if kind == "ties":
        x = np.round(x)
    if kind == "nan":
        x[rng.random(x.shape) < 0.1] = np.nan
    return x


def both_orders(pool, x, seed):
    """The result, the gradient, and the gradient of <gradient, seed2> for x and for g."""
    rng = np.random.default_rng(seed)
    x = mg.tensor(x)
    x.requires_grad = True
    y = pool(x)
    g = mg.tensor(rng.standard_normal(y.shape).astype(x.dtype))
    g.requires_grad = True
    (gx,) = mg.grad(y, x, g, create_graph=True)
    u = mg.tensor(rng.standard_normal(x.shape).astype(x.dtype))
    (gg,) = mg.grad(gx, g, u)
    return y.array, gx.array, gg.array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["normal", "ties", "nan"])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_relu_max_pool_is_relu_then_max_pool_bit_for_bit(window, kind, dtype):
    x = images(dtype, kind)
    with np.errstate(invalid="ignore"):
        fused = both_orders(lambda t: F.relu_max_pool2d(t, *window), x, 4)
        apart = both_orders(lambda t: F.max_pool2d(F.relu(t), *window), x, 4)
    assert np.any(apart[1] != 0)
    for a, b in zip(fused, apart):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_relu_max_pool_at_the_kink():
    """A window whose maximum is 0, or below it, has no gradient; NaN is passed on."""
    x = mg.tensor([[[[0.0, -1.0, -2.0, -3.0, 1.0, np.nan], [-1.0, 0.0, -1.0, -5.0, 2.0, 0.0]]]])
    x.requires_grad = True
    y = F.relu_max_pool2d(x, 2)
    np.testing.assert_array_equal(y.array, [[[[0, 0, np.nan]]]])
    y.backward(mg.ones(1, 1, 1, 3))
    np.testing.assert_array_equal(x.grad.array, [[[[0, 0, 0, 0, 0, 1], [0] * 6]]])


def test_relu_max_pool_refuses_what_max_pool_refuses():
    with pytest.raises(TypeError, match="relu_max_pool2d.*input.float"):
        F.relu_max_pool2d(mg.zeros(1, 1, 4, 4, dtype=mg.int64), 2)
    with pytest.raises(ValueError, match="relu_max_pool2d.*larger than the image"):
        F.relu_max_pool2d(mg.zeros(1, 1, 4, 4), 5)


@pytest.mark.parametrize("kernel, dtype", [((15, 17), np.uint8), ((16, 16), np.uint16)])
def test_the_width_of_a_place_follows_the_window(kernel, dtype):
    """255 cells are the places 0 .. 254 of a byte; its largest value means nowhere."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 2, 20, 24)).astype(np.float32)
    x[:, :, kernel[0] - 1, kernel[1] - 1] = 9.0  # the last cell of the first window
    out_hw = (20 - kernel[0] + 1, 24 - kernel[1] + 1)
    options = (kernel, (1, 1), (0, 0), (1, 1))
    y, places = max_pool2d_places(x, *options, out_hw)
    assert places.dtype == dtype
    assert (places[:, :, 0, 0] == kernel[0] * kernel[1] - 1).all()
    indices = max_pool2d_indices(places, x.shape[2:], *options)
    g = rng.standard_normal(y.shape).astype(np.float32)
    np.testing.assert_array_equal(
        max_pool2d_grad(g, places, (20, 24), *options),
        scatter_reference(g, indices, (20, 24)),
    )
    np.testing.assert_array_equal(
        max_pool2d_pick(x, places, *options), gather_reference(x, indices)
    )


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 31), (5, 33), (6, 70)])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 3, 1), (1, 2, 0)])
def test_the_gradient_goes_where_the_indices_say_bit_for_bit(size, window):
    kernel, stride, padding = ((n, n) for n in window)
    if min(size) + 2 * padding[0] < kernel[0]:
        size = (3, 3)
    x = np.round(np.random.default_rng(6).standard_normal((2, 2, *size)) * 4).astype(np.float32)
    out_hw = tuple((n + 2 * window[2] - window[0]) // window[1] + 1 for n in size)
    options = (kernel, stride, padding, (1, 1))
    y, places = max_pool2d_places(x, *options, out_hw)
    indices = max_pool2d_indices(places, x.shape[2:], *options)
    g = np.random.default_rng(7).standard_normal(y.shape).astype(np.float32)
    np.testing.assert_array_equal(
        max_pool2d_grad(g, places, size, *options), scatter_reference(g, indices, size)
    )


def test_places_that_do_not_fit_the_image_are_refused():
    """The kernels trust them, and would drop part of a gradient, or read beside the image."""
    places, pairs = np.zeros((1, 1, 4, 4), np.uint8), ((2, 2), (2, 2), (0, 0), (1, 1))
    with pytest.raises(ValueError, match=r"max_pool2d_grad: H = 2 with a window of 2, stride 2, .*"
                                         r"gives OH = 1, .* places \(1, 1, 4, 4\) has OH = 4"):
        ops.max_pool2d_grad(np.ones((1, 1, 4, 4)), places, (2, 2), *pairs)
    with pytest.raises(ValueError, match=r"max_pool2d_pick: W = 6 .*gives OW = 3.* has OW = 4"):
        ops.max_pool2d_pick(np.ones((1, 1, 8, 6)), places, *pairs)
    assert ops.max_pool2d_grad(np.ones((1, 1, 4, 4)), places, (8, 8), *pairs).sum() == 16
    # A last window that hangs over the end, as ceil_mode makes it.
    assert ops.max_pool2d_grad(np.ones((1, 1, 4, 4)), places, (7, 7), *pairs).sum() == 16
