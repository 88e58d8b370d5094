"""Losses: what they refuse and how they say it, and the identities among them.

Values against references and derivatives of both orders are in test_ops.py, torch's numbers in
test_parity.py.
"""
import re
import warnings

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F

PAIR_LOSSES = [F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss, F.kl_div]
ALL_PAIRS = [*PAIR_LOSSES, F.binary_cross_entropy, F.binary_cross_entropy_with_logits]
rng = np.random.default_rng(7)


def tensor(*shape, requires_grad=False, low=-2.0, high=2.0, dtype=np.float64):
    return mg.tensor(rng.uniform(low, high, shape).astype(dtype), requires_grad=requires_grad)


def raises(kind, *parts):
    """pytest.raises for a message that holds all the parts, in this order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(re.escape(p) for p in parts))


# --- shapes are never broadcast ------------------------------------------------------------------

@pytest.mark.parametrize("loss", ALL_PAIRS, ids=lambda f: f.__name__)
def test_a_column_against_a_row_is_refused_with_the_reshape(loss):
    with raises(ValueError, loss.__name__, "(32, 1)", "(32,)", "target.reshape(32, 1)"):
        loss(mg.zeros(32, 1), mg.zeros(32))
    with raises(ValueError, "(32,)", "(32, 1)", "target.reshape(32,)"):
        loss(mg.zeros(32), mg.zeros(32, 1))
    with raises(ValueError, "(4, 3)", "(3,)", "(4, 3) = 12 pairs", "target.expand(4, 3)"):
        loss(mg.zeros(4, 3), mg.zeros(3))
    with raises(ValueError, "(4, 3)", "(4, 2)", "12 elements", "8"):
        loss(mg.zeros(4, 3), mg.zeros(4, 2))


@pytest.mark.parametrize("loss", ALL_PAIRS, ids=lambda f: f.__name__)
def test_the_proposed_reshape_is_right(loss):
    x, y = tensor(6, 1, low=0.1, high=0.9), tensor(6, low=0.1, high=0.9)
    want = loss(x.reshape(6), y)
    np.testing.assert_allclose(loss(x, y.reshape(6, 1)).item(), want.item(), rtol=1e-14)


@pytest.mark.parametrize("loss", [*ALL_PAIRS, F.cross_entropy, F.nll_loss],
                         ids=lambda f: f.__name__)
def test_an_unknown_reduction_is_refused(loss):
    target = mg.tensor([0, 1]) if loss in (F.cross_entropy, F.nll_loss) else mg.zeros(2, 3)
    with raises(ValueError, loss.__name__, "'mean', 'sum' or 'none'", "'average'"):
        loss(mg.zeros(2, 3), target, reduction="average")


@pytest.mark.parametrize("loss", ALL_PAIRS, ids=lambda f: f.__name__)
def test_reductions_agree(loss):
    x, y = (tensor(5, 4, low=0.1, high=0.9) for _ in range(2))
    each = loss(x, y, reduction="none")
    assert each.shape == (5, 4)
    np.testing.assert_allclose(loss(x, y, reduction="sum").item(), each.array.sum(), rtol=1e-13)
    np.testing.assert_allclose(loss(x, y).item(), each.array.mean(), rtol=1e-13)


@pytest.mark.parametrize("loss", PAIR_LOSSES, ids=lambda f: f.__name__)
def test_both_arguments_get_their_gradient(loss):
    x, y = (tensor(3, 2, requires_grad=True, low=0.2, high=0.9) for _ in range(2))
    loss(x, y).backward()
    assert x.grad.shape == y.grad.shape == (3, 2) and np.abs(y.grad.array).min() > 0
    if loss is not F.kl_div:                       # it is a function of the difference alone
        np.testing.assert_array_equal(x.grad.array, -y.grad.array)


def test_a_large_float32_mean_is_accurate():
    x, y = tensor(1_000_000, dtype=np.float32), tensor(1_000_000, dtype=np.float32)
    want = ((x.array.astype(np.float64) - y.array) ** 2).mean()
    got = F.mse_loss(x, y)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.item(), want, rtol=1e-6)


def test_the_mean_of_nothing_is_nan_and_warns_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = mg.zeros(0, 3, requires_grad=True)
        for loss in (F.mse_loss, F.l1_loss):
            value = loss(x, mg.zeros(0, 3))
            value.backward()
            assert np.isnan(value.item()) and x.grad.shape == (0, 3)
        value = F.cross_entropy(x, mg.zeros(0, dtype=mg.int64))
        value.backward()
        assert np.isnan(value.item())


def test_options_out_of_range_are_refused():
    x = mg.zeros(2)
    with raises(ValueError, "huber_loss: delta must be positive, got 0"):
        F.huber_loss(x, x, delta=0.0)
    with raises(ValueError, "smooth_l1_loss: beta must not be negative, got -1"):
        F.smooth_l1_loss(x, x, beta=-1.0)
    for target in (mg.tensor([1]), mg.tensor([[0.5, 0.5]])):
        with raises(ValueError, "label_smoothing must be between 0 and 1, got 1.5"):
            F.cross_entropy(mg.zeros(1, 2), target, label_smoothing=1.5)


def test_smooth_l1_with_beta_0_is_l1():
    x, y = tensor(3, 4), tensor(3, 4)
    assert F.smooth_l1_loss(x, y, beta=0).item() == F.l1_loss(x, y).item()


# --- identities ----------------------------------------------------------------------------------

def value_and_gradients(function, x, order=2):
    """The value, the gradient, and the gradient of its square's sum (second order)."""
    value = function(x)
    total = (value * value).sum()
    g, = mg.grad(total, x, create_graph=True)
    h, = mg.grad((g * g).sum(), x)
    return value.array, g.array, h.array


def assert_equal_functions(f, g, x, rtol=1e-9):
    for a, b in zip(value_and_gradients(f, x), value_and_gradients(g, x)):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy_with_logits_is_that_of_sigmoid(weighted):
    x, y = tensor(4, 3, requires_grad=True), tensor(4, 3, low=0, high=1)
    weight = tensor(3, low=0.5, high=2) if weighted else None
    assert_equal_functions(
        lambda x: F.binary_cross_entropy_with_logits(x, y, weight),
        lambda x: F.binary_cross_entropy(F.sigmoid(x), y, weight), x)


def test_two_classes_are_binary():
    x, labels = tensor(6, requires_grad=True), rng.integers(2, size=6)
    y = mg.tensor(labels.astype(np.float64))
    assert_equal_functions(
        lambda x: F.binary_cross_entropy_with_logits(x, y),
        lambda x: F.cross_entropy(mg.stack([x * 0.0, x], dim=1), mg.tensor(labels)), x)


def test_kl_div_is_cross_entropy_minus_entropy():
    x, p = tensor(3, 4), F.softmax(tensor(3, 4), 1)
    entropy = -(p.array * np.log(p.array)).sum()
    want = F.cross_entropy(x, p, reduction="sum").item() - entropy
    got = F.kl_div(F.log_softmax(x, 1), p, reduction="sum").item()
    np.testing.assert_allclose(got, want, rtol=1e-11)
    np.testing.assert_allclose(F.kl_div(F.log_softmax(x, 1), p, "batchmean").item(), want / 3,
                               rtol=1e-11)


def test_kl_div_of_a_probability_of_0():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert F.kl_div(mg.tensor([-1.0, -2.0]), mg.tensor([0.0, 1.0]), "sum").item() == 2.0


# --- logits of any size --------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_with_logits_of_10_000(dtype):
    x = mg.tensor(np.array([1e4, -1e4, 1e4, -1e4, 0], dtype), requires_grad=True)
    y = mg.tensor(np.array([1, 0, 0, 1, 1], dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        each = F.binary_cross_entropy_with_logits(x, y, reduction="none")
        each.sum().backward()
    np.testing.assert_allclose(each.array, [0, 0, 1e4, 1e4, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(x.grad.array, [0, 0, 1, -1, -0.5], rtol=1e-6)


def test_binary_cross_entropy_at_0_and_1_costs_100():
    x = mg.tensor([0.0, 0.0, 1.0, 1.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        each = F.binary_cross_entropy(x, mg.tensor([0.0, 1.0, 0.0, 1.0]), reduction="none")
        each.sum().backward()
    np.testing.assert_array_equal(each.array, [0, 100, 100, 0])
    assert np.isfinite(x.grad.array).all()


# --- two classes: what is refused ----------------------------------------------------------------

def test_probabilities_out_of_range():
    ok = mg.zeros(2, 2)
    with raises(ValueError, "input must be between 0 and 1, got 3.5 at input[1, 0]",
                "binary_cross_entropy_with_logits"):
        F.binary_cross_entropy(mg.tensor([[0.5, 0.5], [3.5, -1.0]]), ok)
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        with raises(ValueError, loss.__name__, "target must be between 0 and 1, got -1 at "
                    "target[0, 1]", "(target + 1) / 2"):
            loss(ok, mg.tensor([[1.0, -1.0], [1.0, 1.0]]))
    assert np.isnan(F.binary_cross_entropy(mg.tensor([np.nan]), mg.tensor([1.0])).item())


def test_weights_that_would_change_the_shape():
    x = mg.zeros(3)
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        with raises(ValueError, "weight (2, 3) does not broadcast to the input's shape (3,)"):
            loss(x, x, mg.ones(2, 3))
    with raises(ValueError, "pos_weight (3, 1) does not broadcast to the input's shape (3,)"):
        F.binary_cross_entropy_with_logits(x, x, pos_weight=mg.ones(3, 1))


# --- what is kept and what is given back ---------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [*ALL_PAIRS, F.cross_entropy, F.nll_loss],
                         ids=lambda f: f.__name__)
def test_dtype_is_kept_in_value_and_gradient(loss, dtype):
    x = tensor(3, 2, requires_grad=True, low=0.2, high=0.8, dtype=dtype)
    target = mg.tensor([0, 1, 1]) if loss in (F.cross_entropy, F.nll_loss) else \
        tensor(3, 2, low=0.2, high=0.8, dtype=dtype)
    for reduction in ("mean", "sum", "none"):
        value = loss(x, target, reduction=reduction)
        value.sum().backward()
        assert value.dtype == x.grad.dtype == dtype


def test_a_huber_loss_without_a_corner_is_half_the_squared_error():
    x = mg.tensor([np.inf, 0.0, 3.0, -2.0], requires_grad=True)
    for reduction, n in (("none", 1), ("sum", 1), ("mean", 4)):
        loss = F.huber_loss(x, mg.zeros(4), reduction, np.inf)
        (g,) = mg.grad(loss.sum(), x)
        np.testing.assert_array_equal(g.numpy(), np.array([np.inf, 0.0, 3.0, -2.0]) / n)
    loss = F.huber_loss(x[1:], mg.zeros(3), delta=np.inf)
    assert loss.item() == pytest.approx(F.mse_loss(x[1:], mg.zeros(3)).item() / 2)
