"""The RNN kernels against their plain twins and finite differences; the accuracy of tanh."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.kernels import rnn as rnn_module
from minigrad.kernels.math import tanh
from minigrad.kernels.rnn import rnn, rnn_reference, rnn_scan, rnn_scan_reference
from minigrad.kernels.threads import get_num_threads, set_num_threads

PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 5e-6, np.float64: 1e-13}
deterministic = settings(
    max_examples=20 if PLAIN else 60, derandomize=True, deadline=None, database=None
)
# Blocks are 8 deep and 16 rows: sizes on both sides of one and of several blocks, and 0 and 1.
SHAPES = st.tuples(
    st.integers(0, 3 if PLAIN else 7),
    st.integers(0, 5 if PLAIN else 40),
    st.integers(0, 10 if PLAIN else 41),
)


@pytest.fixture(autouse=True)
def quiet():
    """The plain run warns of overflow and NaN where the compiled loops do not."""
    with np.errstate(all="ignore"):
        yield


def make(shape, dtype, seed=0):
    """z, h0, w, d: w small enough that neither direction of time explodes."""
    _, batch, width = shape
    rng = np.random.default_rng([seed, *shape])
    z = rng.standard_normal(shape)
    h0 = rng.standard_normal((batch, width))
    w = rng.standard_normal((width, width)) / max(1, 2 * np.sqrt(width))
    d = rng.uniform(0.2, 1, shape)
    return [a.astype(dtype) for a in (z, h0, w, d)]


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def assert_close(got, want, dtype):
    assert got.dtype == dtype
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relu", [False, True])
@deterministic
@given(shape=SHAPES)
def test_rnn_equals_its_twin(shape, dtype, relu):
    z, h0, w, _ = make(shape, dtype)
    assert_close(rnn(z, h0, w, relu), rnn_reference(*wide(z, h0, w), relu), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
@deterministic
@given(shape=SHAPES)
def test_scan_equals_its_twin(shape, dtype, reverse):
    v, _, w, d = make(shape, dtype)
    assert_close(rnn_scan(v, d, w, reverse), rnn_scan_reference(*wide(v, d, w), reverse), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_memory_order_is_taken_and_no_input_is_changed(dtype):
    z, h0, w, d = make((3, 5, 10), dtype)
    want_h = rnn(z, h0, w, False)
    want_r = rnn_scan(z, d, w, True)
    strided = [np.repeat(a, 2, axis=-1)[..., ::2] for a in (z, h0, d)]
    turned = np.asfortranarray(w)
    inputs = [*strided, turned]
    for a in inputs:
        assert not a.flags.c_contiguous
        a.flags.writeable = False
    copies = [a.copy() for a in inputs]
    np.testing.assert_array_equal(rnn(strided[0], strided[1], turned, False), want_h)
    np.testing.assert_array_equal(rnn_scan(strided[0], strided[2], turned, True), want_r)
    for a, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(a, copy)
    frozen = z.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(rnn(frozen, h0, w, False), want_h)


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_at_any_number_of_threads(dtype, monkeypatch):
    z, h0, w, d = make((3, 37, 11), dtype)
    monkeypatch.setattr(rnn_module, "_MIN_WORK", 10**12)
    whole = rnn(z, h0, w, False), rnn(z, h0, w, True), rnn_scan(z, d, w, True)
    monkeypatch.setattr(rnn_module, "_MIN_WORK", 1)
    assert 37 // rnn_module._grain(3, 37, 11) > 3  # so there is something to share
    before = get_num_threads()
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            split = rnn(z, h0, w, False), rnn(z, h0, w, True), rnn_scan(z, d, w, True)
            for a, b in zip(whole, split, strict=True):
                assert a.tobytes() == b.tobytes()
    finally:
        set_num_threads(before)


def central(f, x, direction, step=1e-6):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("relu", [False, True])
def test_scan_is_the_derivative_of_rnn(relu):
    z, h0, w, _ = make((4, 3, 9), np.float64, seed=1)
    rng = np.random.default_rng(2)
    g = rng.standard_normal(z.shape)
    out = rnn(z, h0, w, relu)
    r = rnn_scan(g, (out > 0).astype(float) if relu else 1 - out * out, w, True)
    before = np.concatenate([h0[None], out[:-1]])
    gradients = {
        "z": (lambda a: (g * rnn(a, h0, w, relu)).sum(), z, r),
        "h0": (lambda a: (g * rnn(z, a, w, relu)).sum(), h0, r[0] @ w),
        "w": (lambda a: (g * rnn(z, h0, a, relu)).sum(), w, np.einsum("tni,tnj->ij", r, before)),
    }
    for name, (f, x, gx) in gradients.items():
        tangent = rng.standard_normal(x.shape)
        expected = central(f, x, tangent)
        assert abs(expected) > 1e-2, name
        assert (gx * tangent).sum() == pytest.approx(expected, rel=1e-7), name


@pytest.mark.parametrize("reverse", [False, True])
def test_the_adjoint_of_a_scan_is_a_scan(reverse):
    """The formulas in the docstring of rnn_scan: what makes every order of derivative work."""
    v, _, w, d = make((4, 3, 9), np.float64, seed=3)
    rng = np.random.default_rng(4)
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
        expected = central(f, x, tangent)
        assert abs(expected) > 1e-2, name
        assert (gx * tangent).sum() == pytest.approx(expected, rel=1e-7), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_vanishing_gradients_become_zero_and_not_subnormal(dtype):
    steps = 60
    tiny = np.finfo(dtype).smallest_normal
    # Ten steps from 1 to the edge of the subnormals, whatever the dtype.
    w = np.full((1, 1), float(tiny) ** 0.1 * 1.5, dtype)
    one = np.ones((1, 1), dtype)
    v = np.zeros((steps, 1, 1), dtype)
    v[-1] = 1
    ones = np.ones_like(v)
    r = rnn_scan(v, ones, w, True)
    h = rnn(np.zeros_like(v), one, w, True)
    squashed = rnn(np.zeros_like(v), one, w, False)
    for a in (r, h, squashed):
        assert not ((a != 0) & (np.abs(a) < tiny)).any()
        assert np.count_nonzero(a) in range(9, 14)
    np.testing.assert_allclose(
        r, rnn_scan_reference(v, ones, w, True), rtol=TOLERANCE[dtype], atol=tiny
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_inf_pass_in_their_own_row(dtype):
    z, h0, w, d = make((4, 3, 9), dtype)
    for relu in (False, True):
        clean = rnn(z, h0, w, relu)
        bad = z.copy()
        bad[1, 1, 2] = np.nan
        out = rnn(bad, h0, w, relu)
        assert np.isnan(out[1, 1, 2])
        assert np.isnan(out[2:, 1]).all()
        np.testing.assert_array_equal(out[:, [0, 2]], clean[:, [0, 2]])
        np.testing.assert_array_equal(out[0], clean[0])
    bad = z.copy()
    bad[2, 1, 0] = np.nan
    r = rnn_scan(bad, d, w, True)
    assert np.isnan(r[2, 1, 0])
    assert np.isnan(r[:2, 1]).all()
    np.testing.assert_array_equal(r[:, [0, 2]], rnn_scan(z, d, w, True)[:, [0, 2]])
    bad[2, 1, 0] = np.inf
    assert rnn_scan(bad, d, w, True)[2, 1, 0] == np.inf
    assert rnn(bad, h0, w, True)[2, 1, 0] == np.inf
    assert rnn(bad, h0, w, False)[2, 1, 0] == 1
    bad[2, 1, 0] = -np.inf
    assert rnn(bad, h0, w, True)[2, 1, 0] == 0
    assert rnn(bad, h0, w, False)[2, 1, 0] == -1


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_inputs_saturate(dtype):
    z, h0, w, _ = make((3, 2, 9), dtype)
    z = z * dtype(1e4)
    out = rnn(z, h0, w, False)
    assert_close(out, rnn_reference(*wide(z, h0, w), False), dtype)
    assert (np.abs(out) == 1).any()


def tanh_of(x):
    """tanh through the loop that the RNN uses, so that it is the vector code that is tested."""
    y = x.copy()
    rnn_module._tanh_row(y, x.dtype.type(0), x.dtype.type(0))
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
