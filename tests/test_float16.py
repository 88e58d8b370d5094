"""float16 is computed in float32, and each result, gradient and step is rounded once."""

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import Tensor, nn, optim
from op_testing import as_tensors, draw, each_op, gradients, is_float, mapped, outputs, results


HALF = np.float16


def as_dtype(args, dtype):
    return mapped(args, lambda x: x.astype(dtype) if is_float(x) else x)


@each_op
def test_float16_is_the_float32_result_rounded_once(entry):
    """Values and gradients, of operations and of what is made of them."""
    for args, options in draw(entry):
        low = as_dtype(args, HALF)
        wide = as_dtype(low, np.float32)
        got = results(entry.public(*as_tensors(entry, low)[0], **options))
        want = results(entry.public(*as_tensors(entry, wide)[0], **options))
        for g, w in zip(got, want):
            rounded = w.astype(HALF) if w.dtype == np.float32 else w
            if w.dtype == np.float32 or g.dtype != np.float64:   # else a cast to float64 was asked
                assert g.dtype == rounded.dtype, entry.name
            np.testing.assert_array_equal(g, rounded)
        got = gradients(entry, low, options)
        if got is None:
            continue
        tensors, leaves = as_tensors(entry, wide)
        ys = outputs(entry.public(*tensors, **options))
        rng = np.random.default_rng(3)
        us = [Tensor(rng.standard_normal(y.shape).astype(HALF).astype(np.float32)) for y in ys]
        want = mg.grad(ys, leaves, us, allow_unused=True)
        for g, w in zip(got, want):
            assert (g is None) == (w is None)
            if g is not None:
                assert g.dtype == HALF
                np.testing.assert_array_equal(g, w.array.astype(HALF))


@each_op
def test_float16_has_second_derivatives(entry):
    if entry.order < 2:
        return
    for args, options in draw(entry):
        tensors, leaves = as_tensors(entry, as_dtype(args, HALF))
        ys = outputs(entry.public(*tensors, **options))
        if not ys:
            continue
        gs = mg.grad(ys, leaves, [mg.ones_like(y) for y in ys], create_graph=True,
                     allow_unused=True)
        gs = [g for g in gs if g is not None and g.requires_grad]
        assert all(g.dtype == HALF for g in gs)
        if gs:
            hs = mg.grad(gs, leaves, [mg.ones_like(g) for g in gs], allow_unused=True)
            assert all(h is None or h.dtype == HALF for h in hs)


@pytest.mark.parametrize("function, numbers, want", [
    (lambda x: x.norm(), [300.0, 400.0], 500.0),
    (lambda x: x.norm(3.0), [300.0, 0.0], 300.0),
    (lambda x: x.sum() - 65000.0, [1.0] * 3000 + [62016.0], 24.0),
    (lambda x: x.cumsum(0)[-1], [1.0] * 5000, 5000.0),
    (lambda x: x.mean(), [60000.0] * 100, 60000.0),
    (lambda x: x.std(), [-300.0, 300.0, 300.0, -300.0], float(HALF(120000 ** 0.5))),
    (lambda x: x.prod(), [300.0, 300.0, 2.0 ** -10, 0.25], 90000 / 4096),
    (lambda x: (x * 60000.0).sum(), [0.001] * 4, 240.0),
    (lambda x: (x * 1e6 / 1e6).sum(), [2.0 ** -10] * 4, 2.0 ** -8),
    (lambda x: x @ x, [0.1] * 5000, 50.0),
    (lambda x: F.mse_loss(x, x * 0), [200.0] * 3000, 40000.0),
    (lambda x: F.huber_loss(x, x * 0, delta=100.0), [300.0, 310.0], 25500.0),
    (lambda x: mg.logsumexp(x, 0), [60000.0] * 3, 60000.0),
    (lambda x: mg.logsumexp(x, 0), [5.0] * 5000, float(HALF(5 + np.log(5000)))),
    (lambda x: F.softmax(x * 100, 0)[0], [600.0, 600.0], 0.5),
    (lambda x: x.sum(dtype=mg.float64), [60000.0] * 4, 240000.0),
    (lambda x: x.sum(dtype=mg.float16), [1.0] * 5000, 5000.0),
    (lambda x: x.mean(dtype=mg.float32), [60000.0] * 4, 60000.0),
    (lambda x: x.var(correction=0) / 100, [-1000.0, 1000.0], np.inf),   # a result that does not fit
])
def test_float16_neither_overflows_nor_stalls_on_its_way(function, numbers, want):
    x = mg.tensor(np.array(numbers, HALF), requires_grad=True)
    with np.errstate(over="ignore"):
        y = function(x)
    assert y.dtype == (HALF if want < 70000 or want == np.inf else np.float64) or \
        y.dtype == np.float32
    np.testing.assert_allclose(float(y.item()), want, rtol=2e-3)
    if np.isfinite(want):
        y.backward()
        assert x.grad.dtype == HALF and np.isfinite(x.grad.array).all()


def test_gradients_of_float16_that_many_share_do_not_stall():
    b = mg.ones(3, dtype=mg.float16, requires_grad=True)
    for used in (lambda: b.expand(5000, 3), lambda: mg.zeros(5000, 3, dtype=mg.float16) + b,
                 lambda: b[np.zeros(5000, np.int64)].reshape(5000, 1) * mg.ones(1, 3, dtype=HALF),
                 lambda: mg.gather(b, 0, mg.zeros(5000, dtype=mg.int64))):
        g, = mg.grad(used().sum(), b)
        assert g.dtype == HALF and g.array.max() in (5000.0, 15000.0)


def test_gradients_of_many_uses_are_added_in_float32():
    """A weight that thousands of steps share: in float16 the sum of ones stalls at 2,048."""
    w = mg.ones(3, dtype=mg.float16, requires_grad=True)
    seen = []
    w.register_hook(lambda g: seen.append(g.dtype))
    mg.autograd.backward([(w * 1.0).sum() for _ in range(3000)])
    assert w.grad.tolist() == [3000.0] * 3 and w.grad.dtype == seen[0] == HALF
    ys = [(w * 0.5).reshape(1, 3).sum() for _ in range(5000)]
    for graph in (False, True):
        g, = mg.grad(ys, w, retain_graph=True, create_graph=graph)
        assert g.dtype == HALF and g.tolist() == [2500.0] * 3
    large = mg.ones(300_000, dtype=mg.float16, requires_grad=True)
    mixed = [large * 1.0, large.reshape(2, -1), large * 2.0, large.reshape(-1) * 1.0]
    g, = mg.grad(mixed, large, [mg.ones_like(y) for y in mixed])
    assert g.dtype == HALF and (g == 5).all()


def test_float16_views_stay_views():
    x = mg.tensor(np.arange(12).astype(HALF).reshape(3, 4))
    for view in (x.reshape(4, 3), x.T, x[1:], x[0], x.flatten(), x.unsqueeze(0), x.transpose(0, 1),
                 x.split(2)[1], x.unbind()[0], x.expand(2, 3, 4), x.detach(),
                 x.squeeze(), x.narrow(0, 1, 2), x.permute(1, 0)):
        assert view.dtype == HALF and np.shares_memory(view.array, x.array)
    row = x[1]
    row *= 2
    assert x[1].tolist() == [8.0, 10.0, 12.0, 14.0]


def test_float16_networks_train():
    """The same steps as in float32 from the same numbers, to a few roundings."""
    def train(dtype):
        mg.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                              nn.Flatten(), nn.Linear(64, 3)).to(dtype)
        recurrent = nn.RNN(3, 5, bidirectional=True).to(dtype)
        rng = np.random.default_rng(0)
        x = mg.tensor(rng.standard_normal((6, 1, 8, 8)).astype(dtype))
        t = mg.tensor(np.arange(6) % 3)
        opt = optim.SGD([*model.parameters(), *recurrent.parameters()], lr=0.05, momentum=0.9,
                        weight_decay=1e-3)
        losses = []
        for _ in range(5):
            opt.zero_grad()
            y = model(x)
            states, _ = recurrent(y.reshape(3, 2, 3))
            loss = F.cross_entropy(y, t) + states.pow(2).mean()
            assert loss.dtype == dtype
            loss.backward()
            total = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            assert total.dtype == dtype
            assert all(p.dtype == dtype == p.grad.dtype for p in model.parameters())
            losses.append(loss.item())
        return losses
    np.testing.assert_allclose(train(np.float16), train(np.float32), rtol=0.02)


@pytest.mark.parametrize("options", [{"lr": 1e-3}, {"lr": 0.1, "momentum": 0.9},
                                     {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1,
                                      "nesterov": True}, {"lr": 0.1, "maximize": True}])
def test_a_float16_step_is_the_float32_step_rounded_once(options):
    rng = np.random.default_rng(0)
    start, g = (rng.standard_normal(40).astype(HALF) for _ in range(2))
    stepped = []
    for dtype in (HALF, np.float32):
        p = nn.Parameter(mg.tensor(start.astype(dtype)))
        p.grad = mg.tensor(g.astype(dtype))
        optim.SGD([p], **options).step()
        stepped.append(p.array)
    np.testing.assert_array_equal(stepped[0], stepped[1].astype(HALF))


def test_clipping_float16_gradients():
    p = nn.Parameter(mg.zeros(3, dtype=mg.float16))
    p.grad = mg.tensor([30000.0, 40000.0, 0.0], dtype=mg.float16)
    assert nn.utils.clip_grad_norm_([p], 5e-4).item() == float(HALF(50000.0))
    np.testing.assert_allclose(p.grad.array, [3e-4, 4e-4, 0.0], rtol=1e-3)


def test_uniform_float16_numbers_are_less_than_1():
    mg.manual_seed(0)
    x = mg.rand(200_000, dtype=mg.float16)
    assert x.dtype == HALF and x.min().item() >= 0 and 0.999 < x.max().item() < 1
    assert mg.bernoulli(mg.ones(100_000, dtype=mg.float16)).all()
