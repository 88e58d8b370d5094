"""conv2d, the convolution of mathematics and pooling: identities, edges, and what they refuse.

Values against references and derivatives of both orders are in test_ops.py, torch's numbers in
test_parity.py, the kernels against their references in kernels/conv/ and kernels/pool/.
"""
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.ops.conv import conv2d_grad_w, conv2d_grad_x

rng = np.random.default_rng(11)
# The first call of a kernel compiles it: no deadline.
few = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def tensor(*shape, requires_grad=False, dtype=np.float64):
    return mg.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=requires_grad)


def raises(kind, *parts):
    """pytest.raises for a message that holds all the parts, in this order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(re.escape(p) for p in parts))


# --- the doors remember sizes ---------------------------------------------------------------------

def test_what_a_door_remembers_changes_no_answer():
    x, w = tensor(1, 2, 5, 5), tensor(4, 2, 3, 3)
    want = F.conv2d(x, w, None, 2, 1, 1, 1)
    for stride in ([2, 2], (2.0, 2), np.int64(2), 2):        # a list cannot be remembered
        np.testing.assert_array_equal(F.conv2d(x, w, None, stride, 1, 1, 1).array, want.array)
    for _ in range(2):
        with raises(ValueError, "groups must be a positive integer", "got 1.0"):
            F.conv2d(x, w, None, 2, 1, 1, 1.0)               # equal to 1, and yet refused
        with raises(TypeError, "want floating arrays of one dtype", "float32"):
            F.conv2d(x.float(), w, None, 2, 1, 1, 1)
        with raises(ValueError, "want input (N, C, H, W) or (C, H, W)"):
            F.max_pool2d(x[0, 0], 2)
        assert F.max_pool2d(x, [2, 2]).shape == F.max_pool2d(x, 2).shape == (1, 2, 2, 2)


# --- the convolution of mathematics --------------------------------------------------------------

def article_formula(x, w, b):
    """y[k, l] = sum_ij x[i, j] w[k - i, l - j] + b for one image and one kernel, as written."""
    (h, wd), (kh, kw) = x.shape, w.shape
    y = np.full((h + kh - 1, wd + kw - 1), b)
    for k, l in np.ndindex(y.shape):
        for i, j in np.ndindex(x.shape):
            if 0 <= k - i < kh and 0 <= l - j < kw:
                y[k, l] += x[i, j] * w[k - i, l - j]
    return y


@few
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(1, 4))
def test_convolve2d_is_the_formula_of_the_article(h, w, kh, kw):
    x, k = rng.standard_normal((h, w)), rng.standard_normal((kh, kw))
    full = article_formula(x, k, 0.25)
    batch = mg.tensor(x[None, None]), mg.tensor(k[None, None]), mg.tensor(np.array([0.25]))
    np.testing.assert_allclose(F.convolve2d(*batch).array[0, 0], full, rtol=1e-12, atol=1e-13)
    top, left = (kh - 1) // 2, (kw - 1) // 2
    np.testing.assert_allclose(F.convolve2d(*batch, mode="same").array[0, 0],
                               full[top:top + h, left:left + w], rtol=1e-12, atol=1e-13)
    if kh <= h and kw <= w:
        np.testing.assert_allclose(F.convolve2d(*batch, mode="valid").array[0, 0],
                                   full[kh - 1:h, kw - 1:w], rtol=1e-12, atol=1e-13)


def test_convolve2d_is_conv2d_with_the_kernel_flipped():
    x, w, b = tensor(2, 3, 6, 5), tensor(4, 3, 3, 2), tensor(4)
    want = F.conv2d(x, mg.flip(w, (2, 3)), b, padding=(2, 1))
    np.testing.assert_allclose(F.convolve2d(x, w, b).array, want.array, rtol=1e-12)
    symmetric = w + mg.flip(w, (2, 3))             # then, and only then, the two are the same
    np.testing.assert_allclose(F.convolve2d(x, symmetric, mode="valid").array,
                               F.conv2d(x, symmetric).array, rtol=1e-10, atol=1e-12)
    assert np.abs(F.convolve2d(x, w, mode="valid").array - F.conv2d(x, w).array).max() > 0.1


def test_convolution_commutes_and_correlation_does_not():
    a, b = tensor(1, 1, 4, 4), tensor(1, 1, 4, 4)
    np.testing.assert_allclose(F.convolve2d(a, b).array, F.convolve2d(b, a).array, rtol=1e-11)
    full = {"padding": 3}
    assert np.abs(F.conv2d(a, b, **full).array - F.conv2d(b, a, **full).array).max() > 0.1


def test_convolution_multiplies_polynomials():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])
    y = F.convolve2d(mg.tensor(a.reshape(1, 1, 1, 3)), mg.tensor(b.reshape(1, 1, 1, 2)))
    np.testing.assert_array_equal(y.array.ravel(), np.polymul(a, b))


def test_convolve2d_refuses():
    x, w = tensor(1, 1, 4, 4), tensor(1, 1, 3, 3)
    with raises(ValueError, "convolve2d: mode must be 'full', 'same' or 'valid', got 'half'"):
        F.convolve2d(x, w, mode="half")
    with raises(ValueError, "convolve2d: want weight (F, C, KH, KW), got (3, 3)"):
        F.convolve2d(x, tensor(3, 3))


# --- conv2d: identities --------------------------------------------------------------------------

def test_a_kernel_of_one_number_is_a_linear_layer_of_channels():
    x, w, b = tensor(2, 3, 4, 5), tensor(6, 3, 1, 1), tensor(6)
    want = F.linear(x.permute(0, 2, 3, 1), w.reshape(6, 3), b).permute(0, 3, 1, 2)
    np.testing.assert_allclose(F.conv2d(x, w, b).array, want.array, rtol=1e-12)


def test_a_kernel_as_large_as_the_image_is_a_linear_layer():
    x, w, b = tensor(2, 3, 4, 5), tensor(6, 3, 4, 5), tensor(6)
    want = F.linear(x.reshape(2, 60), w.reshape(6, 60), b)
    np.testing.assert_allclose(F.conv2d(x, w, b).array[:, :, 0, 0], want.array, rtol=1e-11)


def test_groups_are_convolutions_side_by_side():
    x, w = tensor(2, 4, 5, 5), tensor(6, 2, 3, 3)
    want = mg.cat([F.conv2d(x[:, :2], w[:3]), F.conv2d(x[:, 2:], w[3:])], dim=1)
    np.testing.assert_allclose(F.conv2d(x, w, groups=2).array, want.array, rtol=1e-11, atol=1e-13)


def test_dilation_is_a_kernel_with_gaps():
    x, w = tensor(1, 2, 8, 7), tensor(3, 2, 3, 2)
    wide = np.zeros((3, 2, 5, 4))
    wide[:, :, ::2, ::3] = w.array
    np.testing.assert_allclose(F.conv2d(x, w, dilation=(2, 3)).array,
                               F.conv2d(x, mg.tensor(wide)).array, rtol=1e-11, atol=1e-13)


@few
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4),
       st.integers(1, 3), st.integers(1, 3))
def test_same_keeps_the_size_and_pads_the_odd_one_after(h, w, kh, kw, dh, dw):
    x, k = tensor(1, 2, h, w), tensor(3, 2, kh, kw)
    y = F.conv2d(x, k, padding="same", dilation=(dh, dw))
    assert y.shape == (1, 3, h, w)
    rows, columns = dh * (kh - 1), dw * (kw - 1)
    padded = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
    np.testing.assert_allclose(y.array, F.conv2d(padded, k, dilation=(dh, dw)).array, rtol=1e-11,
                               atol=1e-13)


@few
@given(st.data())
def test_the_gradients_are_transposes(data):
    """<conv2d(x, w), g> = <x, conv2d_grad_x(g, w)> = <w, conv2d_grad_w(g, x)>: one number."""
    draw = lambda low, high: data.draw(st.integers(low, high))
    groups, f, c = draw(1, 2), draw(1, 3), draw(1, 3)
    kh, kw, sh, sw, dh, dw = (draw(1, 3) for _ in range(6))
    ph, pw, h, width = draw(0, 3), draw(0, 3), draw(1, 8), draw(1, 8)
    assume(h + 2 * ph > dh * (kh - 1) and width + 2 * pw > dw * (kw - 1))
    x, w = tensor(2, c * groups, h, width), tensor(f * groups, c, kh, kw)
    y = F.conv2d(x, w, None, (sh, sw), (ph, pw), (dh, dw), groups)
    g = tensor(*y.shape)
    geometry = ((sh, sw), (ph, pw, ph, pw), (dh, dw), groups)
    want = (y * g).sum().item()
    for got in ((x * conv2d_grad_x(g, w, (h, width), *geometry)).sum().item(),
                (w * conv2d_grad_w(g, x, (kh, kw), *geometry)).sum().item()):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("function", [
    lambda x, w: F.conv2d(x, w, padding=1, stride=2),
    lambda x, w: F.max_pool2d(x, 2),
    lambda x, w: F.avg_pool2d(x, 2, padding=1),
], ids=["conv2d", "max_pool2d", "avg_pool2d"])
def test_an_image_alone_equals_a_batch_of_one(function):
    x, w = tensor(2, 5, 6, requires_grad=True), tensor(3, 2, 3, 3)
    alone, batch = function(x, w), function(x.unsqueeze(0), w)
    assert alone.shape == batch.shape[1:]
    np.testing.assert_array_equal(alone.array, batch.array[0])
    u = tensor(*alone.shape)
    ga, = mg.grad(alone, x, u, create_graph=True)
    gb, = mg.grad(batch, x, u.unsqueeze(0), create_graph=True)
    np.testing.assert_array_equal(ga.array, gb.array)
    alone *= 2.0                                   # the result is no view of anything
    (alone * alone).sum().backward()


def test_no_images_and_their_gradient():
    x, w = tensor(0, 2, 5, 5, requires_grad=True), tensor(3, 2, 3, 3, requires_grad=True)
    y = F.max_pool2d(F.conv2d(x, w), 2)
    assert y.shape == (0, 3, 1, 1)
    y.sum().backward()
    assert x.grad.shape == x.shape and (w.grad.array == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(dtype):
    x, w = tensor(1, 2, 6, 6, requires_grad=True, dtype=dtype), tensor(3, 2, 3, 3, dtype=dtype)
    for function in (lambda x: F.conv2d(x, w), lambda x: F.max_pool2d(x, 2),
                     lambda x: F.avg_pool2d(x, 2), lambda x: F.convolve2d(x, w)):
        y = function(x)
        g, = mg.grad(y.sum(), x)
        assert y.dtype == g.dtype == dtype


# --- conv2d: what it refuses ---------------------------------------------------------------------

def test_channels_that_do_not_fit():
    w = mg.zeros(8, 3, 3, 3)
    with raises(ValueError, "input (2, 4, 9, 9) is (N, C, H, W), so C = 4; "
                "weight (8, 3, 3, 3) is (F, C/groups, KH, KW), so C = 3*1 = 3"):
        F.conv2d(mg.zeros(2, 4, 9, 9), w)
    with raises(ValueError, "C = 3; ", "(F, C/groups, KH, KW), so C = 3*2 = 6"):
        F.conv2d(mg.zeros(2, 3, 9, 9), w, groups=2)


def test_channels_last_are_recognised_and_the_fix_works():
    w = mg.zeros(8, 3, 3, 3)
    for shape, order in (((2, 28, 32, 3), (0, 3, 1, 2)), ((28, 32, 3), (2, 0, 1))):
        x = mg.zeros(*shape)
        fix = f"input.permute({', '.join(map(str, order))})"
        with raises(ValueError, "last dimension is 3", fix):
            F.conv2d(x, w)
        assert F.conv2d(x.permute(*order), w).shape[-3:] == (8, 26, 30)


def test_grey_images_without_a_channel():
    x, w = mg.zeros(5, 28, 28), mg.zeros(8, 1, 5, 5)
    with raises(ValueError, "input (5, 28, 28) is (C, H, W), so C = 5", "input.unsqueeze(1)"):
        F.conv2d(x, w)
    assert F.conv2d(x.unsqueeze(1), w).shape == (5, 8, 24, 24)


def test_a_kernel_larger_than_the_image_shows_the_arithmetic():
    with raises(ValueError, "height 4 + padding 1 + 1 = 6", "kernel of 5 with dilation 2 covers "
                "2*(5-1)+1 = 9", "padding=3"):
        F.conv2d(mg.zeros(1, 1, 4, 20), mg.zeros(1, 1, 5, 5), padding=1, dilation=2)
    assert F.conv2d(mg.zeros(1, 1, 4, 20), mg.zeros(1, 1, 5, 5), padding=3, dilation=2).shape[2] > 0
    with raises(ValueError, "width 3 + padding 0 + 0 = 3"):
        F.conv2d(mg.zeros(1, 1, 9, 3), mg.zeros(1, 1, 5, 5))


@pytest.mark.parametrize("options, parts", [
    ({"stride": 0}, ["stride must be at least 1, got 0"]),
    ({"stride": 1.5}, ["stride must be an integer or a pair (rows, columns), got 1.5"]),
    ({"stride": (1, 2, 3)}, ["stride must be an integer or a pair", "(1, 2, 3)"]),
    ({"dilation": (1, 0)}, ["dilation must be at least 1, got (1, 0)"]),
    ({"padding": -1}, ["padding must be at least 0, got -1"]),
    ({"padding": "full"}, ["padding must be numbers, 'same' or 'valid', got 'full'"]),
    ({"padding": "same", "stride": 2}, ["padding='same' wants stride 1, got (2, 2)"]),
    ({"groups": 0}, ["groups must be a positive integer that divides the 4", "got 0"]),
    ({"groups": 3}, ["divides the 4 output channels (F = 4 of weight (4, 2, 3, 3)), got 3"]),
    ({"bias": mg.zeros(5)}, ["F = 4; bias (5,) is (F,), so F = 5; want bias (4,)"]),
])
def test_options_that_make_no_sense(options, parts):
    with raises(ValueError, "conv2d", *parts):
        F.conv2d(mg.zeros(1, 2, 6, 6), mg.zeros(4, 2, 3, 3), **options)


def test_ranks_and_dtypes():
    with raises(ValueError, "(N, C, H, W) or (C, H, W)", "got (6, 6)"):
        F.conv2d(mg.zeros(6, 6), mg.zeros(4, 2, 3, 3))
    with raises(ValueError, "weight (4, 2, 0, 3)", "so KH = 0; want KH at least 1"):
        F.conv2d(mg.zeros(1, 2, 6, 6), mg.zeros(4, 2, 0, 3))
    with raises(TypeError, "one dtype", "input float64, weight float32",
                "input.to(minigrad.float32)"):
        F.conv2d(mg.zeros(1, 2, 6, 6, dtype=mg.float64), mg.zeros(4, 2, 3, 3))
    with raises(TypeError, "input uint8"):
        F.conv2d(mg.zeros(1, 2, 6, 6, dtype=mg.uint8), mg.zeros(4, 2, 3, 3))


@pytest.mark.parametrize("function", [F.conv2d, F.conv2d_relu_max_pool2d])
@pytest.mark.parametrize("needed", [(True, False, False), (False, True, False),
                                    (False, False, True), (False, True, True),
                                    (True, False, True)])
def test_only_what_a_gradient_reads_is_kept_and_the_rest_may_be_written(function, needed):
    """That of x reads w, that of w reads x, that of b neither."""
    def arguments():
        return [tensor(*shape, requires_grad=needs, dtype=np.float32)
                for shape, needs in zip(((2, 3, 8, 8), (9, 3, 3, 3), (9,)), needed)]

    everything = arguments()
    for leaf in everything:
        leaf.requires_grad = True
    function(*everything).square().sum().backward()
    some = [leaf.detach().requires_grad_(needs) for leaf, needs in zip(everything, needed)]
    y = function(*some)
    saved = dict(zip(y.grad_fn.op.requests, y.grad_fn.saved))
    assert (saved["weight"] is not None) == needed[0]
    assert (saved["input"] is not None) == needed[1]
    loss = y.square().sum()
    with mg.no_grad():
        for leaf, wanted in zip(some, (needed[1], needed[0], False)):
            if not wanted:
                leaf.zero_()
    loss.backward()
    for leaf, want, needs in zip(some, everything, needed):
        if needs:
            np.testing.assert_allclose(leaf.grad.numpy(), want.grad.numpy(), rtol=1e-4, atol=1e-4)
        else:
            assert leaf.grad is None


def test_the_gradients_refuse_what_no_conv2d_gives():
    g, x, w = tensor(1, 4, 4, 4), tensor(1, 2, 6, 6), tensor(4, 2, 3, 3)
    plain = ((1, 1), (0, 0, 0, 0), (1, 1), 1)
    assert conv2d_grad_x(g, w, (6, 6), *plain).shape == x.shape
    assert conv2d_grad_w(g, x, (3, 3), *plain).shape == w.shape
    with raises(ValueError, "conv2d_grad_x: g (1, 4, 4, 4)", "image (7, 6)",
                "kernel (3, 3)", "gives (5, 4)"):
        conv2d_grad_x(g, w, (7, 6), *plain)
    with raises(ValueError, "conv2d_grad_x", "(5, 2, 3, 3)"):
        conv2d_grad_x(g, tensor(5, 2, 3, 3), (6, 6), *plain)
    with raises(ValueError, "conv2d_grad_w"):
        conv2d_grad_w(g, x, (2, 3), *plain)
    with raises(TypeError, "one dtype"):
        conv2d_grad_w(g, x.float(), (3, 3), *plain)


# --- pooling -------------------------------------------------------------------------------------

def test_the_gradient_goes_to_the_first_maximum():
    x = mg.tensor(np.array([[[[1.0, 3, 3, 0], [3, 2, 3, 3]]]]), requires_grad=True)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    np.testing.assert_array_equal(indices.array, [[[[1, 2]]]])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.array, [[[[0, 1, 1, 0], [0, 0, 0, 0]]]])


def test_overlapping_windows_add_their_gradients():
    x = mg.tensor(np.array([[[[0.0, 5, 0]]]]), requires_grad=True)
    F.max_pool2d(x, (1, 2), stride=1).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [[[[0, 2, 0]]]])


def test_padding_never_wins_and_nan_always_does():
    x = mg.tensor(np.array([[[[-5.0, -7], [-6, np.nan]]]]))
    y = F.max_pool2d(x, 2, stride=1, padding=1)
    np.testing.assert_array_equal(y.array[0, 0, 0], [-5, -5, -7])
    assert np.isnan(y.array[0, 0, 1:, 1:]).all()


def test_indices_lead_back_to_the_maxima():
    x = tensor(2, 3, 7, 8)
    y, indices = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert indices.dtype == np.int64
    flat = x.array.reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, indices.array.reshape(2, 3, -1), 2).reshape(y.shape), y.array)
    x.requires_grad = True
    F.max_pool2d(x, 3, 2, 1, return_indices=True)[0].sum().backward()
    received = np.zeros((6, 56))
    np.add.at(received, (np.repeat(range(6), 16), indices.array.ravel()), 1)
    np.testing.assert_array_equal(x.grad.array.reshape(6, 56), received)


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d], ids=["max", "avg"])
@pytest.mark.parametrize("size, kernel, stride, padding, floor, ceil", [
    (7, 2, 2, 0, 3, 4),          # one row is left over: ceil_mode takes it
    (5, 2, 2, 1, 3, 3),          # rounded up to 4, but the last window would begin in the padding
    (4, 2, 3, 0, 1, 2),          # torch's odd case: the last window begins on the last row
    (6, 3, 3, 0, 2, 2),
])
def test_output_sizes_follow_torch(pool, size, kernel, stride, padding, floor, ceil):
    x = mg.zeros(1, 1, size, size)
    assert pool(x, kernel, stride, padding).shape[-2:] == (floor, floor)
    assert pool(x, kernel, stride, padding, ceil_mode=True).shape[-2:] == (ceil, ceil)


def test_the_average_of_ones_shows_what_is_counted():
    x = mg.ones(1, 1, 3, 3)
    np.testing.assert_allclose(F.avg_pool2d(x, 2, 2, 1).array[0, 0], [[1 / 4, 1 / 2], [1 / 2, 1]])
    np.testing.assert_allclose(F.avg_pool2d(x, 2, 2, 1, count_include_pad=False).array, 1.0)
    np.testing.assert_allclose(F.avg_pool2d(x, 2, divisor_override=8).array, [[[[0.5]]]])


def test_average_pooling_is_a_convolution():
    x = tensor(2, 3, 6, 7)
    w = mg.tensor(np.full((3, 1, 3, 2), 1 / 6))
    np.testing.assert_allclose(F.avg_pool2d(x, (3, 2), (2, 1), 1).array,
                               F.conv2d(x, w, stride=(2, 1), padding=1, groups=3).array,
                               rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d], ids=["max_pool2d", "avg_pool2d"])
def test_pooling_refuses(pool):
    name, x = pool.__name__, mg.zeros(1, 1, 4, 5)
    with raises(ValueError, name, "padding (2, 2) must be at most half of kernel_size (3, 3)"):
        pool(x, 3, padding=2)
    with raises(ValueError, name, "height 4 + padding 0 + 0 = 4", "a window of 5", "covers "
                "1*(5-1)+1 = 5"):
        pool(x, 5)
    with raises(ValueError, name, "stride must be at least 1, got 0"):
        pool(x, 2, stride=0)
    with raises(ValueError, name, "kernel_size must be an integer or a pair", "'2'"):
        pool(x, "2")
    with raises(ValueError, name, "(N, C, H, W) or (C, H, W), got (4, 5)"):
        pool(x[0, 0], 2)
    with raises(TypeError, name, "floating input, got int64", "input.float()"):
        pool(mg.zeros(1, 1, 4, 4, dtype=mg.int64), 2)


def test_more_refusals():
    with raises(ValueError, "divisor_override must not be 0"):
        F.avg_pool2d(mg.zeros(1, 1, 4, 4), 2, divisor_override=0)
