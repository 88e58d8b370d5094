"""Losses of labels and probabilities of classes: what they refuse, identities, logits of any size.

Values against references and derivatives of both orders are in test_ops.py, torch's numbers in
test_parity.py.
"""
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F

rng = np.random.default_rng(7)


def tensor(*shape, requires_grad=False, low=-2.0, high=2.0, dtype=np.float64):
    return mg.tensor(rng.uniform(low, high, shape).astype(dtype), requires_grad=requires_grad)


def raises(kind, *parts):
    """pytest.raises for a message that holds all the parts, in this order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(re.escape(p) for p in parts))


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss], ids=lambda f: f.__name__)
class TestLabels:
    def test_out_of_range_names_the_first_and_its_position(self, loss):
        with raises(ValueError, loss.__name__, "label 10 at target[2]", "(4, 10)", "10 classes",
                    "0 to 9"):
            loss(mg.zeros(4, 10), mg.tensor([0, 9, 10, 11]))
        with raises(ValueError, "label -1 at target[1, 0]", "0 to 2", "ignore_index=-100"):
            loss(mg.zeros(2, 3, 2), mg.tensor([[0, 1], [-1, 2]]))
        with raises(ValueError, "label 3 at target does not exist"):
            loss(mg.zeros(3), mg.tensor(3))

    def test_labels_that_count_from_1_are_recognised(self, loss):
        with raises(ValueError, "label 3 at target[1]", "count from 1: target - 1"):
            loss(mg.zeros(3, 3), mg.tensor([1, 3, 2]))

    def test_ignored_labels_are_no_error(self, loss):
        assert np.isfinite(loss(mg.zeros(3, 2), mg.tensor([0, -100, 1])).item())
        assert np.isfinite(loss(mg.zeros(3, 2), mg.tensor([0, 7, 1]), ignore_index=7).item())
        with raises(ValueError, "label -100 at target[1]"):
            loss(mg.zeros(3, 2), mg.tensor([0, -100, 1]), ignore_index=7)

    def test_shapes(self, loss):
        with raises(ValueError, "(4, 10) is (N, C)", "(4,)", "(4, 1)", "target.reshape((4,))"):
            loss(mg.zeros(4, 10), mg.zeros(4, 1, dtype=mg.int64))
        with raises(ValueError, "one-hot", "target.argmax(1)"):
            loss(mg.zeros(4, 10), mg.zeros(4, 10, dtype=mg.int64))
        with raises(ValueError, "(4, 10)", "4 labels are wanted, 5 were given"):
            loss(mg.zeros(4, 10), mg.zeros(5, dtype=mg.int64))
        with raises(ValueError, "(N, C, d1)", "input.reshape(-1, 7)", "target.reshape(-1)"):
            loss(mg.zeros(2, 5, 7), mg.zeros(2, 5, dtype=mg.int64))
        with raises(ValueError, "single number"):
            loss(mg.tensor(1.0), mg.tensor(0))
        with raises(ValueError, "(4, 0) is (N, C), so C = 0: it has no classes, dimension 1 is 0"):
            loss(mg.zeros(4, 0), mg.zeros(4, dtype=mg.int64))

    def test_any_integer_dtype_will_do(self, loss):
        x = tensor(4, 3)
        values = {loss(x, mg.tensor(np.array([0, 2, 1, 1], dtype))).item()
                  for dtype in (np.uint8, np.int8, np.int32, np.int64)}
        assert len(values) == 1

    def test_weights(self, loss):
        with raises(ValueError, "(2, 3) is (N, C), so C = 3; weight (4,)", "want weight (3,)"):
            loss(mg.zeros(2, 3), mg.tensor([0, 1]), weight=mg.ones(4))
        with raises(ValueError, "weight requires grad", "weight.detach()"):
            loss(mg.zeros(2, 3), mg.tensor([0, 1]), weight=mg.ones(3, requires_grad=True))

    def test_nothing_left_to_count(self, loss):
        x = tensor(2, 3, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value = loss(x, mg.tensor([-100, -100]))
            assert np.isnan(value.item())          # 0 / 0, as in torch
            total = loss(x, mg.tensor([-100, -100]), reduction="sum")
            total.backward()
        assert total.item() == 0.0
        np.testing.assert_array_equal(x.grad.array, np.zeros((2, 3)))

    def test_what_an_ignored_row_holds_does_not_matter(self, loss):
        x = mg.tensor([[1.0, 2.0], [np.nan, -np.inf], [0.5, 0.0]], requires_grad=True)
        value = loss(x, mg.tensor([0, -100, 1]))
        value.backward()
        assert np.isfinite(value.item())
        np.testing.assert_array_equal(x.grad.array[1], [0.0, 0.0])
        assert np.isfinite(x.grad.array).all()

    def test_nan_is_not_swallowed(self, loss):
        assert np.isnan(loss(mg.tensor([[np.nan, 0.0]]), mg.tensor([0])).item())


def test_target_dtypes_say_how_to_convert():
    with raises(ValueError, "(4, 10)", "got (4,)", "float32 means probabilities", "target.long()"):
        F.cross_entropy(mg.zeros(4, 10), mg.zeros(4))
    with raises(TypeError, "bool", "target.long()", "binary_cross_entropy_with_logits"):
        F.cross_entropy(mg.zeros(2, 3), mg.tensor([True, False]))
    with raises(TypeError, "nll_loss", "float32", "target.long()"):
        F.nll_loss(mg.zeros(4, 10), mg.zeros(4))
    with raises(TypeError, "want a floating input, got int64: logits are float32 "
                "or float64", "x.float()"):
        F.cross_entropy(mg.zeros(4, 10, dtype=mg.int64), mg.tensor([0, 1, 2, 3]))


def test_the_gradients_own_doors():
    """They are public ops too, and their kernel trusts the labels."""
    from minigrad.ops.class_loss import choose_class, cross_entropy_grad, spread_class
    with raises(ValueError, "label 5"):
        cross_entropy_grad(mg.ones(2), mg.zeros(2, 3), mg.tensor([0, 5]))
    with raises(ValueError, "g must be", "(2,)", "(3,)"):
        cross_entropy_grad(mg.ones(3), mg.zeros(2, 3), mg.tensor([0, 1]))
    with raises(ValueError, "label 3"):
        choose_class(mg.zeros(2, 3), mg.tensor([0, 3]))
    with raises(ValueError, "label -1"):
        spread_class(mg.ones(2), mg.tensor([0, -1]), (2, 3))
    with raises(ValueError, "g (3,) is (N,), so N = 3; target (2,) is (N,), so N = 2"):
        spread_class(mg.ones(3), mg.tensor([0, 1]), (2, 3))


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


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 4, 3), (2, 4, 2, 2)])
def test_cross_entropy_is_nll_of_log_softmax(shape, weighted, reduction):
    d = 1 if len(shape) > 1 else 0
    x = tensor(*shape, requires_grad=True)
    target = mg.tensor(rng.integers(4, size=shape[:1] + shape[2:] if d else ()))
    weight = tensor(4, low=0.3, high=2) if weighted else None
    options = {"weight": weight, "reduction": reduction}
    if d:
        options["ignore_index"] = int(target.array.flat[0])
    assert_equal_functions(
        lambda x: F.cross_entropy(x, target, **options),
        lambda x: F.nll_loss(F.log_softmax(x, d), target, **options), x)


@pytest.mark.parametrize("reduction", ["none", "sum"])     # "mean" divides by different numbers
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_equal_one_hot_probabilities(smoothing, weighted, reduction):
    x, labels = tensor(5, 4, requires_grad=True), rng.integers(4, size=5)
    weight = tensor(4, low=0.3, high=2) if weighted else None
    one_hot = mg.tensor(np.eye(4)[labels])
    options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    assert_equal_functions(lambda x: F.cross_entropy(x, mg.tensor(labels), **options),
                           lambda x: F.cross_entropy(x, one_hot, **options), x)


def test_probabilities_get_a_gradient():
    q = mg.tensor(np.full((2, 3), 1 / 3), requires_grad=True)
    x = tensor(2, 3)
    F.cross_entropy(x, q, reduction="sum").backward()
    np.testing.assert_allclose(q.grad.array, -F.log_softmax(x, 1).array, rtol=1e-12)


@settings(deadline=None)                           # the first call may compile a kernel
@given(st.integers(1, 6), st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_cross_entropy_does_not_see_a_shift_and_its_gradient_sums_to_0(n, c, smoothing, seed):
    r = np.random.default_rng(seed)
    x, labels = r.normal(0, 5, (n, c)), mg.tensor(r.integers(c, size=n))
    weight = mg.tensor(r.uniform(0.1, 3, c))
    t = mg.tensor(x, requires_grad=True)
    options = {"weight": weight, "label_smoothing": smoothing}
    value = F.cross_entropy(t, labels, **options)
    value.backward()
    np.testing.assert_allclose(t.grad.array.sum(1), 0, atol=1e-13)
    shifted = F.cross_entropy(mg.tensor(x + 100.0), labels, **options)
    np.testing.assert_allclose(shifted.item(), value.item(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_at_logits_of_10_000(dtype):
    x = mg.tensor(np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 9999, -1e4]], dtype),
                  requires_grad=True)
    each = F.cross_entropy(x, mg.tensor([1, 0, 1]), reduction="none")
    want = [2e4, np.log(3), np.log1p(np.exp(-1)) + 1]
    np.testing.assert_allclose(each.array, want, rtol=1e-6 if dtype == np.float32 else 1e-14)
    each.sum().backward()
    p = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(x.grad.array, [[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3], [p, -p, 0]],
                               rtol=1e-6, atol=1e-7)


def test_losses_for_each_label_can_be_changed_in_place():
    x = tensor(3, 2, requires_grad=True)
    for target in (mg.tensor([0, 1, 1]), F.softmax(tensor(3, 2), 1)):
        each = F.cross_entropy(x, target, reduction="none")
        each *= 2.0
        each.sum().backward()
