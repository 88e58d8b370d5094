"""Results that wait for the operation that follows: nobody can tell, but by the time it takes."""
from __future__ import annotations

import copy
import gc
import pickle
import threading

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.engine import Tensor
from minigrad.fusion import FEWEST, Waiting, Watched
from minigrad.modes import settings

SHAPE = (4, 8, 16, 16)
assert np.prod(SHAPE) == FEWEST


def image(seed=0, requires_grad=True):
    """A leaf and a large result of it that nobody else holds."""
    data = np.random.default_rng(seed).standard_normal(SHAPE).astype("f4")
    leaf = mg.tensor(data, requires_grad=requires_grad)
    return leaf, leaf * 2


def without_fusion(function, *args):
    settings.fuse = False
    try:
        return function(*args)
    finally:
        settings.fuse = True


def conv_net(x, w, v):
    y = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2)
    return (F.max_pool2d(F.relu(F.conv2d(y, v)), 3, stride=2, padding=1) ** 2).sum()


def test_the_composition_and_the_fusion_are_equal_in_values_and_gradients_of_both_orders():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((6, 2, 20, 20), (40, 2, 3, 3), (50, 40, 3, 3))]

    def run():
        leaves = [mg.tensor(a, requires_grad=True) for a in arrays]
        loss = conv_net(*leaves)
        first = mg.grad(loss, leaves, create_graph=True)
        second = mg.grad(sum((g * g).sum() for g in first), leaves)
        return [loss, *first, *second]

    for got, want in zip(run(), without_fusion(run)):
        np.testing.assert_array_equal(got.detach().numpy(), want.detach().numpy())


def test_relu_waits_and_max_pooling_runs_the_fused_operation():
    leaf, x = image()
    y = F.relu(x)
    assert type(y) is Waiting
    assert type(x) is Watched
    z = F.max_pool2d(y, 2)
    assert type(y) is Waiting, "looking at its shape is not looking at its numbers"
    assert z.grad_fn.name == "relu_max_pool2d_windows"
    z.sum().backward()
    want = without_fusion(lambda: F.max_pool2d(F.relu(leaf.detach() * 2), 2))
    np.testing.assert_array_equal(z.detach().numpy(), want.numpy())


LOOKS = {
    "arithmetic": lambda x, y: y + 1,
    "numbers": lambda x, y: y.numpy() if not y.requires_grad else y.detach().numpy(),
    "an element": lambda x, y: y[0, 0, 0, 0],
    "its node": lambda x, y: y.grad_fn,
    "a hook": lambda x, y: y.register_hook(lambda g: None),
    "its input's numbers": lambda x, y: x.detach().numpy(),
    "print": lambda x, y: repr(y),
    "average pooling": lambda x, y: F.avg_pool2d(y, 2),
    "pooling with indices": lambda x, y: F.max_pool2d(y, 2, return_indices=True),
    "relu again": lambda x, y: F.relu(y),
    "its size in bytes": lambda x, y: y.nbytes,
}


@pytest.mark.parametrize("look", LOOKS)
def test_any_other_look_settles_it(look):
    leaf, x = image()
    y = F.relu(x)
    assert type(y) is Waiting
    LOOKS[look](x, y)
    assert type(y) is Tensor
    assert type(x) is Tensor
    np.testing.assert_array_equal(y.detach().numpy(), np.maximum(x.detach().numpy(), 0))
    assert y.grad_fn.name == "relu"
    assert "test_fusion.py" in repr(y.grad_fn), "the line of the call, not of the look"
    y.sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), np.where(x.detach().numpy() > 0, 2, 0))


def test_shape_and_dtype_are_known_without_looking():
    _, x = image()
    y = F.relu(x)
    assert (y.shape, y.dtype, y.ndim, y.size(1), len(y)) == (SHAPE, np.float32, 4, 8, 4)


@pytest.mark.parametrize("write", [
    lambda x: x.add_(1),
    lambda x: x.zero_(),
    lambda x: x.__setitem__(0, 7.0),
    lambda x: x.numpy().fill(3.0),
    lambda x: np.asarray(x).fill(3.0),
    lambda x: setattr(x, "data", mg.zeros(2)),
])
def test_who_writes_into_the_input_changes_nothing(write):
    _, x = image(requires_grad=False)
    want = np.maximum(x.numpy(), 0)
    y = F.relu(x)
    assert type(y) is Waiting
    write(x)
    np.testing.assert_array_equal(y.numpy(), want)


def test_an_array_that_others_hold_is_computed_at_once():
    leaf, x = image()
    held = x.detach().numpy()
    assert type(F.relu(x)) is Tensor
    del held
    assert type(F.relu(leaf)) in (Tensor, Waiting)
    base = mg.from_numpy(np.ones(SHAPE, "f4"))
    assert type(F.relu(base[:])) is Tensor
    small = mg.zeros(4, 4) * 1
    assert type(F.relu(small)) is Tensor


def test_the_grad_mode_is_that_of_the_call():
    leaf, x = image()
    with mg.no_grad():
        y = F.relu(x)
    assert not y.requires_grad
    z = F.max_pool2d(y, 2)
    assert not z.requires_grad
    y = F.relu(x)
    with mg.no_grad():
        z = F.max_pool2d(y, 2)
        assert not z.requires_grad
        assert y.numpy is not None
    assert y.requires_grad
    (y * 1).sum().backward()
    assert leaf.grad is not None


def test_used_twice_both_uses_count():
    def run():
        leaf, x = image()
        y = F.relu(x)
        (F.max_pool2d(y, 2).sum() + (y * y).sum()).backward()
        return leaf.grad.numpy()
    np.testing.assert_array_equal(run(), without_fusion(run))


def test_copies_and_pickles():
    _, x = image(requires_grad=False)
    y = F.relu(x)
    twin = copy.deepcopy(y)
    assert type(twin) is Tensor
    again = pickle.loads(pickle.dumps(F.relu(x * 1)))
    np.testing.assert_array_equal(again.numpy(), twin.numpy())


def test_one_that_nobody_looks_at_leaves_nothing_behind():
    _, x = image()
    gc.disable()
    try:
        import weakref
        y = weakref.ref(F.relu(x))
        assert y() is None
        assert x.detach().numpy().shape == SHAPE
        assert type(x) is Tensor
    finally:
        gc.enable()


def test_many_threads_may_look_at_once():
    for seed in range(20):
        _, x = image(seed)
        y = F.relu(x)
        seen = []

        def look(y=y, seen=seen):
            seen.append(y.detach().numpy().sum())

        threads = [threading.Thread(target=look) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(set(seen)) == 1


def test_wrong_options_of_the_pooling_are_refused_in_its_own_name():
    _, x = image()
    with pytest.raises(ValueError, match="^max_pool2d: the window is larger"):
        F.max_pool2d(F.relu(x), 99)
