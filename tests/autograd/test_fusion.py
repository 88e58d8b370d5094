"""Results that wait for the operation that follows: nobody can tell, but by the time it takes."""
from __future__ import annotations

import copy
import gc
import os
import pickle
import sys
import threading

import numpy as np
import pytest
from kernel_testing import PLAIN

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.autograd.engine import Tensor
from minigrad.autograd.fusion import FEWEST, Waiting, Watched, behind
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
    shapes = (2 if PLAIN else 6, 2, 20, 20), (40, 2, 3, 3), (50, 40, 3, 3)
    arrays = [rng.standard_normal(s) for s in shapes]

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


@pytest.mark.parametrize("pool", [True, False])
def test_a_leaf_may_be_waited_for(pool):
    def run():
        leaf, _ = image()
        y = F.relu(leaf)
        assert type(y) is (Waiting if settings.fuse else Tensor)
        (F.max_pool2d(y, 2) if pool else y).square().sum().backward()
        return leaf.grad.numpy()
    np.testing.assert_array_equal(run(), without_fusion(run))


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
    assert type(F.relu(leaf)) is Waiting
    base = mg.from_numpy(np.ones(SHAPE, "f4"))
    assert type(F.relu(base[:])) is Tensor


@pytest.mark.parametrize("shape", [(4, 8, 16, 15), (FEWEST, 2)])
def test_a_small_image_and_a_matrix_are_computed_at_once(shape):
    assert type(F.relu(mg.zeros(*shape) * 1)) is Tensor


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
        np.testing.assert_array_equal(y.detach().numpy(), np.maximum(x.detach().numpy(), 0))
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


# --- one result has one node: who looks at the gradient of what was passed sees all of it ---------

def watched(look, order=1):
    """What `look(y, loss)` finds where y = relu(x) was pooled twice and used once more, and x's
    gradient."""
    leaf, x = image()
    y = F.relu(x)
    loss = (F.max_pool2d(y, 2) ** 2).sum() + F.max_pool2d(y, 3, 1, 1).sum()
    assert (type(y) is Waiting) == settings.fuse
    loss = loss + (y * y * y).sum()
    found = look(y, loss)
    if order == 2:
        (g,) = mg.grad(loss, leaf, create_graph=True)
        loss = (g * g).sum()
    loss.backward()
    return [*(f.detach().numpy() for f in found if f is not None), leaf.grad.numpy()]


def seen_by_a_hook(y, loss):
    seen = []
    y.register_hook(lambda g: seen.append(g.detach().clone()))
    loss.backward(retain_graph=True)
    return seen


def changed_by_a_hook(y, loss):
    y.register_hook(lambda g: g * 3)
    return ()


def retained(y, loss):
    y.retain_grad()
    loss.backward(retain_graph=True)
    return (y.grad,)


LOOKS_AT_GRADIENTS = {
    "grad": lambda y, loss: mg.grad(loss, y, retain_graph=True),
    "grad twice": lambda y, loss: mg.grad(loss, [y, y], retain_graph=True),
    "grad of what went past alone": lambda y, loss: mg.grad(
        F.max_pool2d(F.relu(y), 2).sum(), y, retain_graph=True),
    "second order": lambda y, loss: mg.grad(
        (mg.grad(loss, y, create_graph=True)[0] ** 2).sum(), y, retain_graph=True),
    "a hook": seen_by_a_hook,
    "a hook that changes it": changed_by_a_hook,
    "retain_grad": retained,
    "nobody": lambda y, loss: (),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("look", LOOKS_AT_GRADIENTS)
def test_who_looks_at_the_gradient_of_the_first_result_sees_all_of_it(look, order):
    look = LOOKS_AT_GRADIENTS[look]
    for got, want in zip(watched(look, order), without_fusion(watched, look, order), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_the_first_result_alone():
    """The largest of a window of zeros is the first: it gets the gradient of the pooling."""
    x = mg.ones(1, 4, 48, 48, requires_grad=True)
    y = F.relu(x * -1.0)
    loss = F.max_pool2d(y, 2).sum()
    assert type(y) is Waiting
    (g,) = mg.grad(loss, y, retain_graph=True)
    assert g.sum() == 4 * 24 * 24
    assert (g[..., ::2, ::2] == 1).all()
    loss.backward()
    assert not x.grad.any()


def test_hooks_that_were_set_after_the_pooling_fire_once_for_each_backward():
    _, x = image()
    y = F.relu(x)
    loss = F.max_pool2d(y, 2).sum()
    seen = []
    handle = y.register_hook(lambda g: seen.append(g.shape))
    y.register_hook(lambda g: seen.append("second"))
    del y                                          # the graph keeps what was passed
    loss.backward(retain_graph=True)
    assert seen == [SHAPE, "second"]
    handle.remove()
    loss.backward()
    assert seen == [SHAPE, "second", "second"]


def test_a_first_result_that_was_overwritten_is_not_pooled_again():
    _, x = image()
    y = F.relu(x)
    loss = F.max_pool2d(y, 2).sum()
    with mg.no_grad():
        y.zero_()
    for _ in range(2):                             # who asks again is told again
        with pytest.raises(RuntimeError, match="max_pool2d.*overwritten in place at .*test_fusion"):
            mg.grad(loss, y)


def test_what_went_past_and_is_freed_stays_freed():
    _, x = image()
    y = F.relu(x)
    loss = F.max_pool2d(y, 2).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="freed.*retain_graph=True"):
        mg.grad(loss, y)


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


def test_threads_share_an_input():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for seed in range(20):
            leaf, x = image(seed)
            want = np.maximum(leaf.detach().numpy() * 2, 0)
            start, seen = threading.Barrier(4), []

            def use(x=x, start=start, seen=seen):
                start.wait()
                y = F.relu(x)
                seen.append((y, F.max_pool2d(y, 2).detach().numpy()))

            threads = [threading.Thread(target=use) for _ in range(4)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            with mg.no_grad():
                x.zero_()
            pooled = without_fusion(lambda want=want: F.max_pool2d(mg.tensor(want), 2).numpy())
            assert len(seen) == 4
            for y, z in seen:
                np.testing.assert_array_equal(y.detach().numpy(), want)
                np.testing.assert_array_equal(z, pooled)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_a_result_is_computed():
    _, x = image()
    y = F.relu(x)
    pid = -1

    def pool(x, *_):
        nonlocal pid
        pid = os.fork()                            # in the midst of it, and holding the lock of y
        if pid == 0:
            other = F.relu(mg.tensor(x.detach().numpy()) * 1)
            os._exit(0 if type(other) is Waiting and other.numpy().shape == SHAPE else 1)
        return x * 1

    behind(y, "relu", pool, F.relu)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_wrong_options_of_the_pooling_are_refused_in_its_own_name():
    _, x = image()
    with pytest.raises(ValueError, match="^max_pool2d: the window is larger"):
        F.max_pool2d(F.relu(x), 99)


# --- conv2d, relu and max_pool2d as one operation -------------------------------------------------

# ((input), (weight), options of conv2d, options of max_pool2d)
LAYERS = {
    "one channel in": ((3, 1, 12, 10), (9, 1, 3, 3), {"padding": 1}, {"kernel_size": 2}),
    "many channels": ((1 if PLAIN else 2, 32, 14, 14), (40, 32, 3, 3), {"padding": 1},
                      {"kernel_size": 2}),
    "few features": ((2, 2, 12, 13), (3, 2, 3, 2), {}, {"kernel_size": (2, 1), "stride": (3, 2)}),
    "overlapping windows": ((2, 1, 13, 14), (8, 1, 3, 3), {"stride": (1, 2), "padding": (2, 0)},
                            {"kernel_size": 3, "stride": 2, "padding": 1}),
    "groups": ((2, 4, 11, 11), (6, 2, 3, 3), {"groups": 2, "dilation": 2}, {"kernel_size": 2}),
    "ceil_mode": ((2, 1, 12, 12), (8, 1, 2, 2), {"padding": "same"},
                  {"kernel_size": 5, "ceil_mode": True}),
    "dilated windows": ((2, 1, 14, 14), (8, 1, 3, 3), {"padding": "valid"},
                        {"kernel_size": 2, "dilation": 2}),
    "no batch": ((1, 12, 10), (8, 1, 3, 3), {"padding": 1}, {"kernel_size": 2}),
}


def one_op(x, w, b, conv, pool):
    names = {"kernel_size": "pool_size", "ceil_mode": "ceil_mode"}
    options = {names.get(k, f"pool_{k}"): v for k, v in pool.items()}
    return F.conv2d_relu_max_pool2d(x, w, b, **conv, **options)


def three_ops(x, w, b, conv, pool):
    return F.max_pool2d(F.relu(F.conv2d(x, w, b, **conv)), **pool)


@pytest.mark.parametrize("needed", [(True, True, True), (False, True, True), (True, False, False),
                                    (False, True, False), (False, False, True)])
@pytest.mark.parametrize("layer", LAYERS)
def test_the_layer_as_one_operation_has_the_values_and_gradients_of_the_three(layer, needed):
    xs, ws, conv, pool = LAYERS[layer]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in (xs, ws, ws[:1])]

    def run(function):
        leaves = [mg.tensor(a, dtype="f8", requires_grad=n) for a, n in zip(arrays, needed)]
        y = function(*leaves, conv, pool)
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        (y ** 2).sum().backward(retain_graph=True)
        recorded = mg.grad((y ** 2).sum(), wanted, create_graph=True)
        second = mg.grad(sum((g * g * g).sum() for g in recorded), wanted)
        return [y, *(leaf.grad for leaf in wanted), *recorded, *second]

    results, wants = run(one_op), run(three_ops)
    assert results[0].grad_fn.name == "conv2d_relu_max_pool2d"
    for got, want in zip(results, wants, strict=True):
        want = want.detach().numpy()
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-11,
                                   atol=1e-12 * np.abs(want).max())


def test_the_layer_without_bias_and_without_recording():
    x, w, _ = (mg.randn(*s) for s in ((2, 1, 12, 12), (8, 1, 3, 3), (8,)))
    w.requires_grad = True
    want = three_ops(x, w, None, {}, {"kernel_size": 2})
    got = F.conv2d_relu_max_pool2d(x, w)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-5, atol=1e-5)
    with mg.no_grad():
        assert not F.conv2d_relu_max_pool2d(x, w).requires_grad
    (grad,) = mg.grad(got.sum(), w)
    (wanted,) = mg.grad(want.sum(), w)
    np.testing.assert_allclose(grad.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("call, text", [
    (lambda x, w: F.conv2d_relu_max_pool2d(x, w, pool_size=99), "the pooling window is larger"),
    (lambda x, w: F.conv2d_relu_max_pool2d(x, w, padding=-1), "padding must be at least 0"),
    (lambda x, w: F.conv2d_relu_max_pool2d(w, w[:, :0]), "input .* C = 1; weight .* C = 0.1 = 0"),
    (lambda x, w: F.conv2d_relu_max_pool2d(x, w, pool_padding=2), "pool_padding .2, 2."),
])
def test_the_layer_refuses_by_the_names_of_its_own_options(call, text):
    with pytest.raises(ValueError, match=f"^conv2d_relu_max_pool2d: {text}"):
        call(mg.zeros(2, 1, 12, 12), mg.zeros(8, 1, 3, 3))


def test_values_that_were_overwritten_before_backward_are_noticed():
    x, w = mg.randn(2, 1, 12, 12), mg.randn(8, 1, 3, 3, requires_grad=True)
    y = F.conv2d_relu_max_pool2d(x, w)
    x.zero_()
    with pytest.raises(RuntimeError, match="conv2d_relu_max_pool2d.*saved input.*overwritten"):
        y.sum().backward()


# --- nn.Sequential uses it unasked ----------------------------------------------------------------

def network():
    mg.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(8, 12, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Flatten())


def names_of(y):
    """The operations that y was made by, the last first."""
    names, node = [], y.grad_fn
    while node is not None and node.inputs:
        names.append(node.name)
        node = node.inputs[0]
    return names


def test_sequential_runs_the_three_layers_as_one_operation():
    net, x = network(), mg.randn(3, 1, 16, 16, requires_grad=True)

    def run():
        y = net(x)
        names = names_of(y)[1:]
        net.zero_grad()
        x.grad = None
        (y ** 2).sum().backward()
        return names, [y, x.grad, *(p.grad for p in net.parameters())]

    names, results = run()
    assert names == ["conv2d_relu_max_pool2d"] * 2
    names, wants = without_fusion(run)
    assert names == ["max_pool2d_windows", "relu", "conv2d"] * 2
    for got, want in zip(results, wants, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-4,
                                   atol=1e-5 * np.abs(want.detach().numpy()).max())


class _Doubled(nn.ReLU):
    def forward(self, input):
        return super().forward(input) * 2


@pytest.mark.parametrize("change", [
    lambda net: net[0].register_forward_hook(lambda module, args, result: result * 2),
    lambda net: net[1].register_forward_hook(lambda module, args, result: result * 2),
    lambda net: net[2].register_forward_hook(lambda module, args, result: result * 2),
    lambda net: net.__setitem__(1, _Doubled()),
    lambda net: setattr(net[1], "forward", lambda x: F.relu(x) * 2),
])
def test_sequential_lets_everybody_see_what_is_between(change):
    net, x = network()[:3], mg.randn(2, 1, 16, 16)
    want = net(x).detach().numpy() * 2
    change(net)
    y = net(x)
    assert "conv2d_relu_max_pool2d" not in names_of(y)
    np.testing.assert_allclose(y.detach().numpy(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ReLU, nn.MaxPool2d])
def test_sequential_runs_a_forward_that_a_class_was_given(kind, monkeypatch):
    net, x = network()[:3], mg.randn(2, 1, 16, 16)
    want = net(x).detach().numpy() * 2
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, input: forward(self, input) * 2)
    np.testing.assert_allclose(net(x).detach().numpy(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sequential_of_any_dtype(dtype):
    net, x = network().to(getattr(mg, dtype)), mg.randn(3, 1, 16, 16).to(getattr(mg, dtype))

    def run():
        return net(x)

    y, want = run(), without_fusion(run)
    assert y.dtype == want.dtype == np.dtype(dtype)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), rtol=tolerance,
                               atol=tolerance)


def test_weights_of_a_first_layer_may_be_written_before_backward():
    net, x = network()[:3], mg.randn(2, 1, 16, 16)

    def gradient():
        net.zero_grad()
        loss = net(x).square().sum()
        with mg.no_grad():
            net[0].weight.mul_(1)
        loss.backward()
        return net[0].weight.grad.numpy()

    np.testing.assert_allclose(gradient(), without_fusion(gradient), rtol=1e-4, atol=1e-4)


def test_a_hook_that_is_removed_is_no_hindrance():
    net, x = network(), mg.randn(2, 1, 16, 16)
    net[1].register_forward_hook(lambda module, args, result: None).remove()
    assert "conv2d_relu_max_pool2d" in names_of(net(x))


@pytest.mark.parametrize("layers", [
    [nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU(), nn.MaxPool2d(2)],
    [nn.Conv2d(1, 4, 3), nn.Tanh(), nn.MaxPool2d(2)],
    [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2)],
    [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU()],
    [nn.Conv2d(1, 4, 3), nn.ReLU()],
    [nn.Conv2d(1, 4, 3)],
])
def test_sequential_runs_other_layers_one_by_one(layers):
    x = mg.randn(2, 1, 12, 12)
    y = nn.Sequential(*layers)(x)
    want = x
    for layer in layers:
        want = layer(want)
    np.testing.assert_array_equal(y.detach().numpy(), want.detach().numpy())


def test_sequential_with_indices_gives_them():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2, return_indices=True))
    _, indices = net(mg.randn(2, 1, 12, 12))
    assert indices.dtype == np.int64


def test_an_error_names_the_layer_and_the_line():
    for shape, layer in (((2, 3, 16, 16), "0 of Sequential: Conv2d(1"),
                         ((2, 1, 4, 4), "3 of Sequential: Conv2d(8"),
                         ((2, 1, 1, 1), "2 of Sequential: MaxPool2d(")):
        with pytest.raises(ValueError) as error:
            network()(mg.zeros(*shape))
        assert layer in "".join(error.value.__notes__)
    y = network()(mg.zeros(2, 1, 16, 16))
    assert "test_fusion.py" in repr(y.grad_fn.inputs[0])


def test_threads_share_a_network():
    net = network()
    xs = [mg.randn(2 + i, 1, 16, 16) for i in range(8)]
    with mg.no_grad():
        wants = [net(x).numpy() for x in xs]
    seen = {}

    def infer(i):
        with mg.no_grad():
            for _ in range(2 if PLAIN else 20):
                seen[i] = net(xs[i]).numpy()

    threads = [threading.Thread(target=infer, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i, want in enumerate(wants):
        np.testing.assert_array_equal(seen[i], want)
