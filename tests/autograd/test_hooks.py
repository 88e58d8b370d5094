"""Hooks and retain_grad(): complete gradients, seen once, changed within their shape and dtype."""
import numpy as np
import pytest

from minigrad import Tensor


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def test_retain_grad():
    x = leaf(1.0)
    h = x * 2.0
    h.retain_grad()
    (h * 3.0).backward()
    assert h.grad.tolist() == [3.0]


def test_hooks_see_complete_gradients_and_may_change_them():
    x = leaf(1.0)
    h = x * 2.0
    seen = []
    h.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10.0)
    (h * 3.0 + h * 4.0).backward()
    assert seen == [[7.0]] and x.grad.tolist() == [140.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 1.0).backward()
    assert x.grad.tolist() == [1.0]


def test_a_hook_must_keep_the_shape_and_needs_a_gradient():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"hook: .*\(2,\).*\(\)"):
        (x * 1.0).backward(np.ones(2))
    with pytest.raises(ValueError, match="does not require"):
        Tensor([1.0]).register_hook(print)


def test_hooks_of_a_leaf_survive_another_array():
    x = leaf(1.0)
    x.register_hook(lambda g: g * 10.0)
    x.data = np.array([1.0, 2.0])
    x.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0]


def test_retain_grad_twice_after_hooks_and_through_in_place():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 10.0)
    y.sum().backward()
    assert y.grad.tolist() == [10.0, 10.0]          # what the other hooks made of it, once
    y.grad.zero_()                                  # memory of its own
    z = x * 2.0
    z.retain_grad()
    z *= 3.0
    z.sum().backward()
    assert z.grad.tolist() == [1.0, 1.0] and x.grad.tolist() == [26.0, 26.0]


def test_a_hook_keeps_the_dtype_and_each_handle_removes_its_own_registration():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.float())
    with pytest.raises(ValueError, match="float64.*returned float32"):
        x.sum().backward()
    x, calls = leaf(1.0, 2.0), []
    hook = lambda g: calls.append(1)
    first, _ = x.register_hook(hook), x.register_hook(hook)
    first.remove()
    first.remove()
    x.sum().backward()
    assert calls == [1]


def test_a_hook_computes_under_the_users_own_numpy_settings_and_may_change_them():
    x = leaf(0.0)
    y = x * 1.0
    seen = []

    def hook(g):
        seen.append(np.geterr()["divide"])
        np.seterr(divide="ignore")
    y.register_hook(hook)
    x.register_hook(lambda g: seen.append(np.geterr()["divide"]))
    with np.errstate(divide="raise"):
        (y * 1.0).backward()
        assert seen == ["raise", "ignore"] and np.geterr()["divide"] == "ignore"
