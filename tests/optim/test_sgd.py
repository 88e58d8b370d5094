"""SGD follows its rule, in every dtype and at every size.

That it repeats torch's numbers is tested by the stored vectors (`test_parity.py`).
"""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.autograd.engine import Tensor
from minigrad.tuning import SGD_LOOP


def parameter(*values, dtype=np.float64):
    return nn.Parameter(np.array(values, dtype))


def give(p, *values):
    p.grad = Tensor(np.array(values, p.dtype).reshape(p.shape))


def _rule(x, gradients, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False,
          maximize=False):
    """The documented rule in one-element steps of plain Python."""
    v = None
    for g in gradients:
        g = -g if maximize else g
        g = g + weight_decay * x
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        x = x - lr * g
    return x


OPTIONS = [
    {"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.3}, {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"lr": 0.1, "maximize": True}, {"lr": 0.1, "maximize": True, "momentum": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", [(3,), (2, SGD_LOOP + 3), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sgd_follows_its_rule(options, shape, dtype):
    rng = np.random.default_rng(0)
    start = rng.standard_normal(shape).astype(dtype)
    gradients = rng.standard_normal((4, *shape)).astype(dtype)
    if shape == (2, 3):                                # arrays that do not lie in memory in order
        start = np.asfortranarray(start)
    p = nn.Parameter(Tensor(start))
    array = p.array
    optimiser = optim.SGD([p], **options)
    for g in gradients:
        p.grad = Tensor(g)
        optimiser.step()
        np.testing.assert_array_equal(p.grad.array, g)             # gradients are left alone
    assert p.array is array and p.dtype == dtype
    want = _rule(start.astype(np.float64), gradients.astype(np.float64), **options)
    np.testing.assert_allclose(p.array, want, rtol=1e-5 if dtype == np.float32 else 1e-12,
                               atol=1e-6 if dtype == np.float32 else 1e-13)


def test_the_parts_of_a_large_parameter_give_the_bits_of_the_whole():
    rng = np.random.default_rng(0)
    options = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
    big = rng.standard_normal(3 * SGD_LOOP + 7).astype(np.float32)
    pieces = [nn.Parameter(piece) for piece in np.split(big, [5, SGD_LOOP, 2 * SGD_LOOP])]
    whole = nn.Parameter(big)
    a, b = optim.SGD([whole], **options), optim.SGD(pieces, **options)
    for _ in range(3):
        g = rng.standard_normal(big.shape).astype(np.float32)
        whole.grad = Tensor(g)
        for p, part in zip(pieces, np.split(g, [5, SGD_LOOP, 2 * SGD_LOOP])):
            p.grad = Tensor(part)
        a.step()
        b.step()
    np.testing.assert_array_equal(whole.array, np.concatenate([p.array for p in pieces]))


def test_float32_stays_float32_with_numpy_options():
    p = parameter(1.0, 2.0, dtype=np.float32)
    optimiser = optim.SGD([p], lr=np.float64(0.1), momentum=np.float64(0.9), weight_decay=0.1)
    for _ in range(3):
        give(p, 1.0, 1.0)
        optimiser.step()
    assert p.dtype == optimiser.state[p]["momentum_buffer"].dtype == np.float32


def test_sgd_trains_the_linear_regression_of_the_article():
    mg.manual_seed(0)
    x, y = mg.tensor([[1.0], [2.0], [3.0], [4.0]]), mg.tensor([[2.0], [4.0], [6.0], [8.0]])
    model, loss_of = nn.Linear(1, 1), nn.MSELoss()
    optimiser = optim.SGD(model.parameters(), lr=0.01)
    for _ in range(1000):
        optimiser.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimiser.step()
    assert loss.item() < 1e-3 and model.weight.item() == pytest.approx(2, abs=0.03)
