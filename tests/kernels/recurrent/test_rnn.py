"""The RNN kernels against their references and finite differences; the accuracy of tanh."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_testing import DTYPES, PLAIN, examples

from minigrad.kernels.jit import jit
from minigrad.kernels.simd.math import tanh
from minigrad.kernels.recurrent.rnn import (
    Needs, _tiny, rnn, rnn_grad, rnn_grad_reference, rnn_reference, rnn_scan,
    rnn_scan_reference,
)
from minigrad.kernels.recurrent.loops import plan_of
from minigrad.kernels.parallel.threads import set_num_threads
from minigrad.kernels.simd.tile import tile_shape

pytestmark = pytest.mark.usefixtures("quiet")
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
ALL = Needs(True, True, True, True, True)
deterministic = examples(60, plain=10)
# T, N, I, D: on both sides of one and of several tiles, blocks of time and groups of rows; 0 and 1.
SHAPES = st.tuples(
    st.integers(0, 3 if PLAIN else 40),
    st.integers(0, 5 if PLAIN else 40),
    st.integers(0, 3 if PLAIN else 40),
    st.integers(0, 6 if PLAIN else 70),
)


def make(shape, dtype, seed=0):
    """x, h0, w_ih, w_hh, bias, g: weights small enough that neither direction of time explodes."""
    steps, batch, inputs, width = shape
    rng = np.random.default_rng([seed, *shape])
    scale = 1 / max(1, 2 * np.sqrt(width))
    arrays = [
        rng.standard_normal((steps, batch, inputs)),
        rng.standard_normal((batch, width)),
        rng.standard_normal((width, inputs)) * scale,
        rng.standard_normal((width, width)) * scale,
        rng.standard_normal(width) * scale,
        rng.standard_normal((steps, batch, width)),
    ]
    return [a.astype(dtype) for a in arrays]


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def batch_first(a):
    """The same numbers, (T, N, ...), with the batch outermost in memory."""
    return np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1)


def assert_close(got, want, dtype):
    assert got.dtype == dtype
    assert got.shape == want.shape
    size = max(1, np.abs(want).max(initial=0))
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * size)


def everything(shape, dtype, relu=False, reverse=False, seed=0):
    """All that the kernels compute: the states, their five gradients, a scan."""
    x, h0, w_ih, w_hh, bias, g = make(shape, dtype, seed)
    out = rnn(x, h0, w_ih, w_hh, bias, relu, reverse)
    d = np.abs(g) / 4
    return [
        out,
        *rnn_grad(g, out, x, h0, w_ih, w_hh, relu, reverse, ALL),
        rnn_scan(g, d, w_hh, reverse),
    ]


def expected(shape, dtype, relu=False, reverse=False, seed=0):
    x, h0, w_ih, w_hh, bias, g = wide(*make(shape, dtype, seed))
    out = rnn_reference(x, h0, w_ih, w_hh, bias, relu, reverse)
    return [
        out,
        *rnn_grad_reference(g, out, x, h0, w_ih, w_hh, relu, reverse),
        rnn_scan_reference(g, np.abs(g) / 4, w_hh, reverse),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@deterministic
@given(shape=SHAPES, reverse=st.booleans())
def test_tanh_rnn_equals_its_reference(shape, dtype, reverse):
    if shape[0]:
        for got, want in zip(
            everything(shape, dtype, False, reverse),
            expected(shape, dtype, False, reverse),
            strict=True,
        ):
            assert_close(got, want, dtype)


@deterministic
@given(shape=SHAPES, reverse=st.booleans())
def test_relu_rnn_equals_its_reference(shape, reverse):
    # float64 alone: a sum near 0 may fall on the other side of the kink in float32
    if shape[0]:
        for got, want in zip(
            everything(shape, np.float64, True, reverse),
            expected(shape, np.float64, True, reverse),
            strict=True,
        ):
            assert_close(got, want, np.float64)


@pytest.mark.skipif(PLAIN, reason="hours in plain Python")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape",
    [
        (130, 1, 20, 300),  # one row alone, deeper than a panel, and several blocks of time
        (40, 6, 5, 65),  # rows one by one, in two chunks
        (3, 130, 300, 40),  # inputs deeper than a panel, many groups of rows
        (9, 100, 33, 270),
    ],
)
def test_large_sizes(shape, dtype):
    for got, want in zip(everything(shape, dtype), expected(shape, dtype), strict=True):
        assert_close(got, want, dtype)


def test_the_ways_that_the_sizes_above_take():
    """Each way through the kernels has a shape in the tests above: plans are what they say."""
    dtype = np.dtype(np.float32)
    height = tile_shape(dtype).rows
    assert plan_of(130, 1, 20, 300, dtype).few
    six = plan_of(400, 6, 5, 128, dtype)
    assert six.few and six.chunks == 2 and six.unit == 3
    many = plan_of(32, 130, 100, 128, dtype)
    assert not many.few and many.chunks > 3 and many.unit == height
    assert plan_of(3, 5, 3, 5, dtype).chunks == 1  # too little to share


def test_no_steps_are_no_scan():
    nothing = np.zeros((0, 2, 4), np.float32)
    assert rnn_scan(nothing, nothing, np.zeros((4, 4), np.float32), True).shape == (0, 2, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_memory_order_is_taken_and_no_input_is_changed(dtype):
    x, h0, w_ih, w_hh, bias, g = make((3, 5, 4, 6), dtype)
    want = everything((3, 5, 4, 6), dtype)

    def strided(a):
        return np.repeat(a, 2, axis=-1)[..., ::2]

    for change in (strided, batch_first, np.asfortranarray):
        x2, h2, g2 = change(x), strided(h0), change(g)
        wi2, wh2, b2 = np.asfortranarray(w_ih), np.asfortranarray(w_hh), strided(bias)
        inputs = [x2, h2, wi2, wh2, b2, g2]
        copies = [a.copy() for a in inputs]
        for a in inputs:
            assert not a.flags.c_contiguous
            a.flags.writeable = False
        out = rnn(x2, h2, wi2, wh2, b2, False)
        got = [
            out,
            *rnn_grad(g2, out, x2, h2, wi2, wh2, False, False, ALL),
            rnn_scan(g2, np.abs(g2) / 4, wh2, False),
        ]
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)
        for a, copy in zip(inputs, copies, strict=True):
            np.testing.assert_array_equal(a, copy)


def test_the_result_has_the_order_of_memory_of_the_input():
    x, h0, w_ih, w_hh, bias, g = make((3, 5, 4, 6), np.float32)
    for turn in (np.ascontiguousarray, batch_first):
        out = rnn(turn(x), h0, w_ih, w_hh, bias, False)
        gx = rnn_grad(g, out, turn(x), h0, w_ih, w_hh, False, False, ALL)[0]
        for a in (out, gx):
            assert (a if turn is not batch_first else a.swapaxes(0, 1)).flags.c_contiguous


def test_only_what_is_needed_is_returned_with_the_same_bits():
    x, h0, w_ih, w_hh, bias, g = make((4, 5, 3, 6), np.float64)
    out = rnn(x, h0, w_ih, w_hh, bias, False)
    every = rnn_grad(g, out, x, h0, w_ih, w_hh, False, False, ALL)
    for i, want in enumerate(every):
        needs = Needs(*(k == i for k in range(5)))
        got = rnn_grad(g, out, x, h0, w_ih, w_hh, False, False, needs)
        assert [a is not None for a in got] == list(needs)
        assert got[i].tobytes() == want.tobytes()


@pytest.mark.skipif(PLAIN, reason="the plain run takes one thread, and these sizes take minutes")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(200, 2, 20, 128), (64, 37, 11, 64), (128, 14, 9, 70)])
def test_same_bits_at_any_number_of_threads(dtype, shape):
    assert plan_of(*shape, np.dtype(dtype)).chunks > 1  # so there is something to share
    set_num_threads(1)
    alone = everything(shape, dtype)
    for threads in (2, 3):
        set_num_threads(threads)
        for a, b in zip(everything(shape, dtype), alone, strict=True):
            assert a.tobytes() == b.tobytes()


def central(f, x, direction, step=1e-6):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_finite_differences(relu, reverse):
    *arguments, g = make((4, 3, 5, 9), np.float64, seed=1)
    rng = np.random.default_rng(2)
    out = rnn(*arguments, relu, reverse)
    gradients = rnn_grad(g, out, *arguments[:4], relu, reverse, ALL)
    for i, (x, gx) in enumerate(zip(arguments, gradients, strict=True)):
        tangent = rng.standard_normal(x.shape)

        def value(a, i=i):
            return (g * rnn(*arguments[:i], a, *arguments[i + 1 :], relu, reverse)).sum()

        change = central(value, x, tangent)
        assert abs(change) > 1e-2, i
        assert (gx * tangent).sum() == pytest.approx(change, rel=1e-6), i


@pytest.mark.parametrize("reverse", [False, True])
def test_the_adjoint_of_a_scan_is_a_scan(reverse):
    """The formulas in the docstring of rnn_scan: what makes every order of derivative work."""
    _, _, _, w, _, v = make((4, 3, 1, 9), np.float64, seed=3)
    rng = np.random.default_rng(4)
    d = rng.uniform(0.2, 1, v.shape)
    g = rng.standard_normal(v.shape)

    def shifted(a, later):
        """a at the neighbouring step: t + 1 if later, else t - 1; zero beyond the ends."""
        nothing = np.zeros_like(a[:1])
        return np.concatenate([a[1:], nothing] if later else [nothing, a[:-1]])

    r_before = shifted(rnn_scan(v, d, w, reverse), later=reverse)
    u = rnn_scan(g, d, np.ascontiguousarray(w.T), not reverse)
    u_after = shifted(u, later=not reverse)
    gradients = {
        "v": (lambda a: (g * rnn_scan(a, d, w, reverse)).sum(), v, u),
        "d": (
            lambda a: (g * rnn_scan(v, a, w, reverse)).sum(),
            d,
            (g + u_after @ w.T) * (v + r_before @ w),
        ),
        "w": (
            lambda a: (g * rnn_scan(v, d, a, reverse)).sum(),
            w,
            np.einsum("tni,tnj->ij", r_before, u),
        ),
    }
    for name, (f, x, gx) in gradients.items():
        tangent = rng.standard_normal(x.shape)
        change = central(f, x, tangent)
        assert abs(change) > 1e-2, name
        assert (gx * tangent).sum() == pytest.approx(change, rel=1e-7), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_vanishes_becomes_zero_before_it_is_subnormal(dtype):
    """Also its products with the weights are normal numbers: those are what would be slow."""
    steps = 60
    tiny = float(_tiny(np.dtype(dtype)))
    assert tiny == np.finfo(dtype).smallest_normal / np.finfo(dtype).eps
    # Ten steps from 1 to the edge, whatever the dtype.
    w = np.full((1, 1), tiny**0.1 * 1.5, dtype)
    one = np.ones((1, 1), dtype)
    v = np.zeros((steps, 1, 1), dtype)
    v[-1] = 1
    ones = np.ones_like(v)
    r = rnn_scan(v, ones, w, True)
    nothing = np.zeros_like(v)
    h = rnn(nothing, one, one, w, None, True)
    squashed = rnn(nothing, one, one, w, None, False)
    r_through = np.zeros_like(v)
    rnn_grad(v, squashed, nothing, one, one, w, False, False, ALL)
    r_through = rnn_grad(v, nothing, nothing, one, one, w, False, False, ALL)[0]  # w_ih = 1
    for a in (r, h, squashed, r_through):
        assert not ((a != 0) & (np.abs(a) < tiny)).any()
        assert np.count_nonzero(a) in range(9, 14)
    np.testing.assert_allclose(
        r, rnn_scan_reference(v, ones, w, True), rtol=TOLERANCE[dtype], atol=tiny
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_inf_pass_in_their_own_row(dtype):
    x, h0, w_ih, w_hh, bias, g = make((4, 3, 9, 9), dtype)
    w_ih = np.eye(9, dtype=dtype)
    for relu in (False, True):
        clean = rnn(x, h0, w_ih, w_hh, bias, relu)
        bad = x.copy()
        bad[1, 1, 2] = np.nan
        out = rnn(bad, h0, w_ih, w_hh, bias, relu)
        assert np.isnan(out[1, 1, 2])
        assert np.isnan(out[1:, 1]).all()  # NaN * 0 is NaN too
        np.testing.assert_array_equal(out[:, [0, 2]], clean[:, [0, 2]])
        np.testing.assert_array_equal(out[0], clean[0])
    d = np.abs(g) / 4
    bad = g.copy()
    bad[2, 1, 0] = np.nan
    r = rnn_scan(bad, d, w_hh, True)
    assert np.isnan(r[2, 1, 0])
    assert np.isnan(r[:2, 1]).all()
    np.testing.assert_array_equal(r[:, [0, 2]], rnn_scan(g, d, w_hh, True)[:, [0, 2]])
    out = rnn(x, h0, w_ih, w_hh, bias, False)
    gx, *_, gb = rnn_grad(bad, out, x, h0, w_ih, w_hh, False, False, ALL)
    assert np.isnan(gx[:2, 1]).all() and not np.isnan(gx[:, [0, 2]]).any() and np.isnan(gb).all()
    bad[2, 1, 0] = np.inf
    assert rnn_scan(bad, d, w_hh, True)[2, 1, 0] == np.inf
    for sign, relued in ((1, np.inf), (-1, 0)):
        first = h0.copy()
        first[1, 0] = sign * np.inf
        only = np.zeros_like(w_hh)
        only[0, 0] = 1
        zeros = np.zeros_like(x)
        assert rnn(zeros, first, w_ih, only, None, True)[0, 1, 0] == relued
        assert rnn(zeros, first, w_ih, only, None, False)[0, 1, 0] == sign


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_inputs_saturate(dtype):
    x, h0, w_ih, w_hh, bias, _ = make((3, 2, 9, 9), dtype)
    x = x * dtype(1e4)
    out = rnn(x, h0, w_ih, w_hh, bias, False)
    assert_close(out, rnn_reference(*wide(x, h0, w_ih, w_hh, bias), False), dtype)
    assert (np.abs(out) == 1).any()


@jit
def tanh_row(x, y):
    for j in range(x.shape[0]):
        y[j] = tanh(x[j])


def tanh_of(x):
    """tanh in a loop as the RNN has it, so that it is the vector code that is tested."""
    y = np.empty_like(x)
    tanh_row(x, y)
    return y


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_within_three_units_in_the_last_place(dtype):
    count = 300 if PLAIN else 100_000
    rng = np.random.default_rng(5)
    smallest = np.log(np.finfo(dtype).smallest_subnormal.astype(np.longdouble))
    exponents = rng.uniform(float(smallest), 0, count)
    parts = [rng.uniform(-a, a, count) for a in (1e-3, 0.5, 3, 25)]
    parts += [np.exp(exponents), -np.exp(exponents)]
    x = np.concatenate(parts).astype(dtype)
    y = tanh_of(x)
    true = np.tanh(x.astype(np.longdouble))
    unit = np.spacing(np.abs(true).astype(dtype)).astype(np.longdouble)
    # Where long double is float64, the reference itself is off by up to 1.2.
    slack = 1.2 if np.finfo(np.longdouble).eps == np.finfo(dtype).eps else 0
    assert (np.abs(y.astype(np.longdouble) - true) / unit).max() <= 3 + slack
    assert (np.abs(y) <= 1).all()
    np.testing.assert_array_equal(tanh_of(-x), -y)  # exactly odd


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_at_the_ends_of_the_line(dtype):
    limits = np.finfo(dtype)
    x = np.array([0, limits.smallest_subnormal, limits.smallest_normal, 30, limits.max, np.inf])
    x = x.astype(dtype)
    want = np.array([0, *x[1:3], 1, 1, 1], dtype)
    np.testing.assert_array_equal(tanh_of(x), want)
    np.testing.assert_array_equal(tanh_of(-x), -want)
    assert np.signbit(tanh_of(-x)).all()  # -0.0 too
    assert np.isnan(tanh_of(np.array([np.nan, -np.nan], dtype))).all()
    for value, result in zip(x, want, strict=True):
        assert tanh(value) == result  # and one number at a time
    assert np.isnan(tanh(dtype(np.nan)))
