"""Clipping gradients by norm and by value."""
import numpy as np
import pytest

from minigrad import nn
from minigrad.autograd.engine import Tensor


def rng():
    return np.random.default_rng(0)


def _with_gradients(*gradients):
    parameters = []
    for g in gradients:
        p = nn.Parameter(np.zeros_like(g))
        p.grad = Tensor(g)
        parameters.append(p)
    return [*parameters, nn.Parameter([0.0])]          # and one without


@pytest.mark.parametrize("p", [1, 2, 3, float("inf")])
def test_clip_grad_norm(p):
    arrays = [rng().standard_normal((3, 4)), rng().standard_normal(5)]
    parameters = _with_gradients(*arrays)
    norm = nn.utils.clip_grad_norm_(iter(parameters), 0.7, norm_type=p)
    flat = np.concatenate([a.ravel() for a in arrays])
    want = np.linalg.norm(flat, p)
    assert norm.item() == pytest.approx(want, rel=1e-12)
    for q, a in zip(parameters, arrays):
        np.testing.assert_allclose(q.grad.array, a * 0.7 / (want + 1e-6), rtol=1e-12)
    before = parameters[0].grad.array.copy()
    nn.utils.clip_grad_norm_(parameters, 100.0)
    np.testing.assert_array_equal(parameters[0].grad.array, before)


def test_clip_grad_norm_of_huge_float32_gradients():
    parameters = _with_gradients(np.full(4, 1e30, np.float32))
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    assert norm.dtype == np.float32 and norm.item() == pytest.approx(2e30)
    np.testing.assert_allclose(parameters[0].grad.array, 0.5, rtol=1e-6)


def test_clip_errors_and_value():
    parameters = _with_gradients(np.array([3.0, -4.0, 0.5]))
    nn.utils.clip_grad_value_(parameters, 1)
    assert parameters[0].grad.tolist() == [1.0, -1.0, 0.5]
    parameters[0].grad.array[0] = np.nan
    with pytest.raises(ValueError, match="nan"):
        nn.utils.clip_grad_norm_(parameters, 1, error_if_nonfinite=True)
    with pytest.raises(ValueError, match="max_norm"):
        nn.utils.clip_grad_norm_(parameters, -1)
    with pytest.raises(ValueError, match="clip_value"):
        nn.utils.clip_grad_value_(parameters, -1)
    with pytest.raises(TypeError, match=r"model.parameters\(\)"):
        nn.utils.clip_grad_norm_([("w", parameters[0])], 1)
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0
