"""Binary cross-entropy of logits: the loops against their references."""
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import set_num_threads
from minigrad.kernels.rowwise import binary_cross_entropy as kernel


def draw(size, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(size) * 5).astype(dtype), rng.random(size).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40, deadline=None)
@given(size=st.integers(0, 1500), seed=st.integers(0, 100))
def test_equals_its_reference(dtype, size, seed):
    x, y = draw(size, dtype, seed)
    total, inside = kernel.logits_loss(x, y)
    assert inside
    close = 1e-6 if dtype == np.float32 else 1e-13
    assert total == pytest.approx(kernel.logits_loss_reference(x, y)[0], rel=close)
    np.testing.assert_allclose(kernel.logits_loss_grad(x, y, 0.3),
                               kernel.logits_loss_grad_reference(x, y, 0.3), rtol=close, atol=close)


def test_strided_arrays():
    x, y = draw((40, 60), np.float32)
    want = kernel.logits_loss_reference(x.T[::2], y.T[::2])[0]
    assert kernel.logits_loss(x.T[::2], y.T[::2])[0] == pytest.approx(want, rel=1e-6)


def test_same_bits_at_any_number_of_threads():
    x, y = draw(200_000, np.float32)
    results = []
    for threads in (1, 2, 3):
        set_num_threads(threads)
        results.append((kernel.logits_loss(x, y)[0], kernel.logits_loss_grad(x, y, 1.0)))
    assert all(r[0] == results[0][0] and (r[1] == results[0][1]).all() for r in results)


@pytest.mark.parametrize("logit", [1e4, -1e4, 100.0, -100.0, 0.0])
def test_no_logit_overflows_or_loses_its_digits(logit):
    x = np.array([logit], np.float32)
    for target in (0.0, 1.0):
        y = np.array([target], np.float32)
        right = float(np.logaddexp(0.0, -logit if target else logit))
        assert kernel.logits_loss(x, y)[0] == pytest.approx(right, rel=1e-6)


def test_many_large_losses_are_added_exactly_enough():
    x, y = np.full(1 << 20, 1.1, np.float32), np.zeros(1 << 20, np.float32)
    want = float(np.logaddexp(0.0, np.float64(np.float32(1.1)))) * x.size
    assert kernel.logits_loss(x, y)[0] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("at", [0, 511, 512, 1200])
@pytest.mark.parametrize("wrong", [-0.01, 1.01])
def test_targets_outside_are_noticed(at, wrong):
    x, y = draw(1300, np.float32)
    y[at] = wrong
    assert not kernel.logits_loss(x, y)[1]
    with pytest.raises(ValueError, match=rf"target must be between 0 and 1, got {wrong} at "
                                         rf"target\[{at}\]"):
        F.binary_cross_entropy_with_logits(mg.tensor(x), mg.tensor(y))


def test_nan_is_not_swallowed():
    x, y = draw(700, np.float32)
    x[600] = np.nan
    assert np.isnan(kernel.logits_loss(x, y)[0])
    assert np.isnan(kernel.logits_loss_grad(x, y, 1.0)[600])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_pass_equals_the_readable_composition(reduction):
    x, y = draw((33, 40), np.float64)
    results = []
    for weight in (None, mg.ones(1, dtype=mg.float64)):          # a weight: the composition
        logits, target = mg.tensor(x, requires_grad=True), mg.tensor(y, requires_grad=True)
        loss = F.binary_cross_entropy_with_logits(logits, target, weight, reduction)
        first = mg.grad(loss, (logits, target), create_graph=True)
        second = mg.grad((first[0] * first[0]).sum(), logits)
        results.append([loss, *first, *second])
    for one_pass, composed in zip(*results):
        np.testing.assert_allclose(one_pass.detach().numpy(), composed.detach().numpy(), rtol=1e-12)


def test_an_empty_batch_has_the_mean_nan():
    x = mg.zeros(0, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, mg.zeros(0))
    assert np.isnan(loss.item())
    loss.backward()
    assert x.grad.shape == (0,)
