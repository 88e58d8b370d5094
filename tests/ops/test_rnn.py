"""The fused recurrent layer equals the cell, step by step, with derivatives of both orders.

Values against references and finite differences are in test_ops.py, torch's numbers in
test_parity.py, the kernels against their references in
kernels/recurrent/test_rnn.py, the layers in nn/test_rnn.py.
"""
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.ops.rnn import rnn_scan

# The first call of a kernel compiles it: no deadline.
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def raises(kind, *parts):
    """pytest.raises for a message that holds all the parts, in this order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(re.escape(p) for p in parts))


def arguments(t, n, i, d, bias=True, dtype=np.float64, seed=0, scale=0.6):
    """input, h0, w_ih, w_hh, b_ih, b_hh as leaves."""
    r = np.random.default_rng(seed)
    shapes = [(t, n, i), (n, d), (d, i), (d, d), *([(d,), (d,)] if bias else [])]
    leaves = [mg.tensor((scale * r.standard_normal(s)).astype(dtype), requires_grad=True)
              for s in shapes]
    return leaves if bias else [*leaves, None, None]


def composed(input, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity="tanh", reverse=False):
    """What rnn_layer means: the cell, applied step by step."""
    states, h = {}, h0
    steps = range(input.shape[0])
    for t in reversed(steps) if reverse else steps:
        h = states[t] = F.rnn_cell(input[t], h, w_ih, w_hh, b_ih, b_hh, nonlinearity)
    return mg.stack([states[t] for t in steps])


def derivatives(function, leaves, cotangent, options):
    """The states, their gradients, and the gradients of the sum of the gradients' squares."""
    leaves_needed = [x for x in leaves if x is not None]
    out = function(*leaves, **options)
    first = mg.grad(out, leaves_needed, mg.tensor(cotangent), create_graph=True)
    total = sum(((g * g).sum() for g in first), mg.tensor(0.0, dtype=out.dtype))
    second = mg.grad(total, leaves_needed, allow_unused=True)
    return [out.array, *(g.array for g in first),
            *(None if g is None else g.array for g in second)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("shape", [(4, 2, 3, 5), (1, 2, 3, 4), (3, 1, 1, 1), (6, 3, 2, 17)])
def test_the_fused_layer_equals_the_cell_step_by_step(shape, nonlinearity, reverse, bias):
    leaves = arguments(*shape, bias=bias)
    t, n, _, d = shape
    u = np.random.default_rng(1).standard_normal((t, n, d))
    options = {"nonlinearity": nonlinearity, "reverse": reverse}
    fused = derivatives(F.rnn_layer, leaves, u, options)
    steps = derivatives(composed, leaves, u, options)
    for a, b in zip(fused, steps, strict=True):
        if b is None or a is None:                 # the other may know the same as a zero
            assert all(x is None or not x.any() for x in (a, b))
        else:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@few
@given(st.integers(1, 7), st.integers(0, 5), st.integers(1, 4), st.integers(1, 20),
       st.booleans(), st.integers(0, 1000))
def test_any_shape(t, n, i, d, reverse, seed):
    leaves = arguments(t, n, i, d, seed=seed)
    u = np.random.default_rng(seed).standard_normal((t, n, d))
    fused = derivatives(F.rnn_layer, leaves, u, {"reverse": reverse})
    for a, b in zip(fused, derivatives(composed, leaves, u, {"reverse": reverse}), strict=True):
        if a is not None and b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_the_third_order_too():
    """A gradient of a gradient of a gradient: the rules close."""
    leaves = arguments(3, 1, 2, 2, seed=4)

    def third(function):
        total = (function(*leaves) ** 2).sum()
        for _ in range(2):
            total = sum((g ** 2).sum() for g in mg.grad(total, leaves, create_graph=True))
        return [g.array for g in mg.grad(total, leaves)]
    for a, b in zip(third(F.rnn_layer), third(composed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_the_reversed_layer_is_the_layer_on_the_reversed_sequence():
    x, *rest = arguments(5, 2, 3, 4)
    want = mg.flip(F.rnn_layer(mg.flip(x, 0), *rest), 0)
    np.testing.assert_allclose(F.rnn_layer(x, *rest, reverse=True).array, want.array, rtol=1e-13)


def test_a_sequence_may_be_cut_anywhere():
    x, h0, *rest = arguments(6, 2, 3, 4)
    whole = F.rnn_layer(x, h0, *rest)
    first = F.rnn_layer(x[:2], h0, *rest)
    second = F.rnn_layer(x[2:], first[-1], *rest)
    np.testing.assert_allclose(mg.cat([first, second]).array, whole.array, rtol=1e-13)


def test_batch_rows_do_not_meet():
    x, h0, *rest = arguments(4, 3, 2, 5)
    whole = F.rnn_layer(x, h0, *rest).array
    for n in range(3):
        alone = F.rnn_layer(x[:, n:n + 1], h0[n:n + 1], *rest).array
        np.testing.assert_allclose(alone[:, 0], whole[:, n], rtol=1e-12)


def test_no_rows_in_the_batch():
    leaves = arguments(3, 0, 2, 4)
    out = F.rnn_layer(*leaves)
    out.sum().backward()
    assert out.shape == (3, 0, 4)
    for x in leaves:
        assert x.grad.shape == x.shape and not x.grad.array.any()


def test_only_the_gradients_that_somebody_needs_are_computed(monkeypatch):
    from minigrad.ops import rnn
    asked, shapes = [], []
    grad, product = rnn.kernel.rnn_grad, rnn.product

    def spy(*arguments):
        asked.append(tuple(arguments[-1]))
        return grad(*arguments)

    def spy_on_products(a, b):
        shapes.append((a.shape, b.shape))
        return product(a, b)
    monkeypatch.setattr(rnn.kernel, "rnn_grad", spy)
    monkeypatch.setattr(rnn, "product", spy_on_products)
    x, h0, w_ih, w_hh, b_ih, b_hh = arguments(4, 2, 3, 5)
    F.rnn_layer(x.detach(), h0.detach(), w_ih, w_hh, b_ih, b_hh).sum().backward()
    F.rnn_layer(x, h0.detach(), w_ih.detach(), w_hh, b_ih.detach(), b_hh).sum().backward()
    F.rnn_layer(x.detach(), h0, w_ih, w_hh.detach(), None, None).sum().backward()
    assert asked == [(False, False, True, True, True), (True, False, False, True, True),
                     (False, True, True, False, False)]
    assert not shapes
    for first in (x.detach(), x):                  # and where the gradient is recorded
        shapes.clear()
        F.rnn_layer(first, h0, w_ih, w_hh, b_ih, b_hh).sum().backward(create_graph=True)
        assert (((4, 2, 5), (5, 3)) in shapes) == (first is x)   # r @ w_ih, the gradient of x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_recorded_gradient_equals_the_fused_one(dtype, nonlinearity, reverse):
    """create_graph=True goes through rnn_scan and products, a plain backward through one kernel."""
    leaves = arguments(20, 5, 3, 9, dtype=dtype, scale=0.3)
    out = F.rnn_layer(*leaves, nonlinearity=nonlinearity, reverse=reverse)
    g = mg.tensor(np.random.default_rng(1).standard_normal(out.shape).astype(dtype))
    fused = mg.grad(out, leaves, g, retain_graph=True)
    recorded = mg.grad(out, leaves, g, create_graph=True)
    assert not any(a.requires_grad for a in fused) and all(b.requires_grad for b in recorded)
    size = np.finfo(dtype).eps * 100
    for a, b in zip(fused, recorded, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a.array, b.array, rtol=size, atol=size * abs(b.array).max())


@pytest.mark.parametrize("reverse", [False, True])
def test_batch_first_memory_gives_the_same_and_stays_batch_first(reverse):
    x, h0, *rest = arguments(7, 4, 3, 5)
    turned = mg.tensor(np.ascontiguousarray(x.array.swapaxes(0, 1)), requires_grad=True)
    want = F.rnn_layer(x, h0, *rest, reverse=reverse)
    got = F.rnn_layer(turned.transpose(0, 1), h0, *rest, reverse=reverse).transpose(0, 1)
    assert got.array.flags.c_contiguous
    np.testing.assert_array_equal(got.array.swapaxes(0, 1), want.array)
    (want ** 2).sum().backward()
    first = [t.grad.array.copy() for t in rest]
    for t in rest:
        t.grad = None
    (got ** 2).sum().backward()
    np.testing.assert_allclose(turned.grad.array.swapaxes(0, 1), x.grad.array, rtol=1e-12)
    for t, g in zip(rest, first, strict=True):
        np.testing.assert_allclose(t.grad.array, g, rtol=1e-12)


def test_one_gradient_alone_equals_the_same_among_all():
    leaves = arguments(4, 2, 3, 5)
    every = mg.grad(F.rnn_layer(*leaves).sum(), leaves)
    for i, want in enumerate(every):
        alone = [x if k == i else x.detach() for k, x in enumerate(leaves)]
        got, = mg.grad(F.rnn_layer(*alone).sum(), alone[i])
        np.testing.assert_array_equal(got.array, want.array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_dtype_is_kept(dtype, nonlinearity):
    leaves = arguments(3, 2, 2, 4, dtype=dtype)
    out = F.rnn_layer(*leaves, nonlinearity=nonlinearity)
    (out * out).sum().backward()
    assert out.dtype == dtype and all(x.grad.dtype == dtype for x in leaves)


def test_a_long_sequence_stays_accurate_in_float32():
    """Gradients that vanish over 500 steps become 0, never NaN, and the rest is right."""
    small = arguments(500, 2, 3, 8, dtype=np.float32, scale=0.2)
    large = [mg.tensor(x.array.astype(np.float64), requires_grad=True) for x in small]
    for leaves in (small, large):
        F.rnn_layer(*leaves)[-1].sum().backward()
    for a, b in zip(small, large, strict=True):
        np.testing.assert_allclose(a.grad.array, b.grad.array, rtol=1e-3, atol=1e-6)
    assert not small[0].grad.array[:10].any()      # 490 factors of about 0.5 each


def test_nan_is_not_swallowed():
    for nonlinearity in ("tanh", "relu"):
        x, *rest = arguments(3, 2, 2, 4)
        data = x.array.copy()
        data[1, 0, 0] = np.nan
        x = mg.tensor(data, requires_grad=True)
        out = F.rnn_layer(x, *rest, nonlinearity=nonlinearity)
        assert not np.isnan(out.array[0]).any() and not np.isnan(out.array[:, 1]).any()
        assert np.isnan(out.array[1:, 0]).all()
        out.sum().backward()
        assert np.isnan(rest[1].grad.array).any()  # w_ih; x itself only for tanh, as in torch
        assert np.isnan(x.grad.array[:, 0]).all() == (nonlinearity == "tanh")
        assert not np.isnan(x.grad.array[:, 1]).any()


def test_the_states_can_be_changed_in_place():
    leaves = arguments(3, 2, 2, 4)
    for reverse in (False, True):
        out = F.rnn_layer(*leaves, reverse=reverse)
        out *= 2.0
        out.sum().backward()


# --- what is refused -----------------------------------------------------------------------------

def test_shapes_that_do_not_fit():
    x, h, w, u, b, c = (mg.zeros(*s) for s in ((4, 2, 3), (2, 5), (5, 3), (5, 5), (5,), (5,)))
    with raises(ValueError, "rnn_layer: want input (T, N, I), got (4, 3)"):
        F.rnn_layer(x[:, 0], h, w, u, b, c)
    with raises(ValueError, "input (4, 2, 7) is (T, N, I), so I = 7; "
                "w_ih (5, 3) is (D, I), so I = 3"):
        F.rnn_layer(mg.zeros(4, 2, 7), h, w, u, b, c)
    with raises(ValueError, "so N = 2; h0 (5, 2) is (N, D), so N = 5", "h0 (2, 5)"):
        F.rnn_layer(x, h.T, w, u, b, c)
    with raises(ValueError, "so D = 5; w_hh (5, 4) is (D, D), so D = 4; want w_hh (5, 5)"):
        F.rnn_layer(x, h, w, mg.zeros(5, 4), b, c)
    with raises(ValueError, "so D = 5; b_hh (4,) is (D,), so D = 4; want b_hh (5,)"):
        F.rnn_layer(x, h, w, u, b, mg.zeros(4))
    with raises(ValueError, "input (0, 2, 3) is (T, N, I), so T = 0: "
                "a sequence needs at least one step"):
        F.rnn_layer(x[:0], h, w, u, b, c)
    with raises(ValueError, "nonlinearity must be 'tanh' or 'relu', got 'gelu'"):
        F.rnn_layer(x, h, w, u, b, c, nonlinearity="gelu")
    with raises(TypeError, "one dtype", "input float64", "w_hh float32",
                "input.to(minigrad.float32)"):
        F.rnn_layer(x.double(), h, w, u, b, c)


def test_the_cell_refuses():
    h, w, u = mg.zeros(2, 5), mg.zeros(5, 3), mg.zeros(5, 5)
    with raises(ValueError, "rnn_cell", "'tanh' or 'relu', got 'sigmoid'"):
        F.rnn_cell(mg.zeros(2, 3), h, w, u, nonlinearity="sigmoid")
    with raises(ValueError, "input (2, 4) is (N, I), so I = 4; w_ih (5, 3) is (D, I), so I = 3"):
        F.rnn_cell(mg.zeros(2, 4), h, w, u)


def test_the_cell_does_not_broadcast_its_state():
    w, u = mg.zeros(5, 3), mg.zeros(5, 5)
    with raises(ValueError, "rnn_cell: input (2, 3) is (N, I), so N = 2; hx (1, 5) is (N, D), so "
                "N = 1"):
        F.rnn_cell(mg.zeros(2, 3), mg.zeros(1, 5), w, u)
    with raises(ValueError, "rnn_cell: input (2, 3) is (N, I); want hx (N, D), got (5,)"):
        F.rnn_cell(mg.zeros(2, 3), mg.zeros(5), w, u)
    with raises(ValueError, "rnn_cell", "w_hh (1, 5) is (D, D), so D = 1", "want w_hh (5, 5)"):
        F.rnn_cell(mg.zeros(2, 3), mg.zeros(2, 5), w, mg.zeros(1, 5))


def test_the_scan_refuses():
    v, w = mg.zeros(3, 2, 4), mg.zeros(4, 4)
    with raises(ValueError, "rnn_scan: v (3, 2, 4) is (T, N, D), so D = 4; "
                "w (4, 5) is (D, D), so D = 5"):
        rnn_scan(v, v, mg.zeros(4, 5))
    with raises(ValueError, "rnn_scan", "(2, 2, 4)"):
        rnn_scan(v, v[1:], w)
    with raises(TypeError, "one dtype, got v float32, d float32, w float64"):
        rnn_scan(v, v, w.double())


def test_the_scan_of_no_steps():
    leaves = [mg.zeros(*s, requires_grad=True) for s in ((0, 2, 4), (0, 2, 4), (4, 4))]
    rnn_scan(*leaves).sum().backward()
    assert [x.grad.shape for x in leaves] == [(0, 2, 4), (0, 2, 4), (4, 4)]
