"""Initialisation: the laws that it promises, torch's for the layers, errors."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd.engine import Tensor
from minigrad.autograd.writes import writes


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.scale = nn.Parameter(mg.ones(3))
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.head(self.body(x) * self.scale)


def _weight(*shape, dtype=np.float64):
    mg.manual_seed(1)
    return nn.Parameter(mg.zeros(*shape, dtype=dtype))


def _uniform(x, bound):
    """x looks like U(-bound, bound): nothing outside, the ends reached, mean and variance right."""
    a = np.asarray(x.array, np.float64)
    assert np.abs(a).max() <= bound and np.abs(a).max() > 0.98 * bound
    assert abs(a.mean()) < 5 * bound / np.sqrt(3 * a.size)
    assert abs(a.var() / (bound ** 2 / 3) - 1) < 5 / np.sqrt(a.size)


def _normal(x, std):
    a = np.asarray(x.array, np.float64)
    assert abs(a.mean()) < 5 * std / np.sqrt(a.size)
    assert abs(a.var() / std ** 2 - 1) < 5 * np.sqrt(2 / a.size)
    assert abs((np.abs(a) < std).mean() - 0.6827) < 5 * 0.466 / np.sqrt(a.size)


def test_laws():
    init = nn.init
    _uniform(init.xavier_uniform_(_weight(60, 90)), np.sqrt(6 / 150))
    _uniform(init.xavier_uniform_(_weight(20, 10, 3, 5), gain=2), 2 * np.sqrt(6 / (30 * 15)))
    _normal(init.xavier_normal_(_weight(60, 90), gain=2), 2 * np.sqrt(2 / 150))
    _uniform(init.kaiming_uniform_(_weight(60, 90)), np.sqrt(6 / 90))
    _uniform(init.kaiming_uniform_(_weight(60, 90), a=1.0, mode="fan_out"), np.sqrt(3 / 60))
    _normal(init.kaiming_normal_(_weight(20, 10, 3, 5), nonlinearity="relu"), np.sqrt(2 / 150))
    _normal(init.normal_(_weight(60, 90), 0.0, 0.3), 0.3)
    _uniform(init.uniform_(_weight(60, 90), -2, 2), 2)
    x = init.uniform_(_weight(60, 90), 1, 3).array
    assert x.min() >= 1 and x.max() < 3 and abs(x.mean() - 2) < 0.05


def test_constants_and_eye():
    init = nn.init
    assert init.constant_(_weight(2), 0.5).tolist() == [0.5, 0.5]
    assert init.ones_(_weight(1)).tolist() == [1.0] and init.zeros_(_weight(1)).tolist() == [0.0]
    np.testing.assert_array_equal(init.eye_(_weight(2, 3)).array, np.eye(2, 3))


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 2, 3, 3)])
def test_orthogonal(shape):
    w = nn.init.orthogonal_(_weight(*shape), gain=2.0).array.reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(min(w.shape)), atol=1e-12)


def test_orthogonal_is_uniform_over_signs():
    mg.manual_seed(0)
    first = [nn.init.orthogonal_(mg.zeros(2, 2)).array[0, 0] for _ in range(200)]
    assert 60 < np.sum(np.array(first) > 0) < 140


@pytest.mark.parametrize("mean, std, a, b", [(0, 1, -2, 2), (0, 1, 1.5, 4), (3, 0.5, -1, 2.2),
                                             (0, 1, -0.1, 0.1)])
def test_trunc_normal(mean, std, a, b):
    x = nn.init.trunc_normal_(_weight(20000), mean, std, a, b).array
    assert x.min() >= a and x.max() <= b
    grid = np.linspace(a, b, 20001)
    density = np.exp(-((grid - mean) / std) ** 2 / 2)
    cdf = np.cumsum(density) / density.sum()
    got = (x[:, None] < np.linspace(a, b, 12)[1:-1]).mean(0)
    want = np.interp(np.linspace(a, b, 12)[1:-1], grid, cdf)
    assert np.abs(got - want).max() < 2 / np.sqrt(len(x))


def test_init_keeps_dtype_and_identity_counts_the_write_and_takes_a_generator():
    w = _weight(3, 4, dtype=np.float32)
    before, array = writes.last, w.array
    g = mg.Generator().manual_seed(5)
    assert nn.init.kaiming_normal_(w, generator=g) is w
    assert w.array is array and w.dtype == np.float32 and writes.last > before and w.requires_grad
    again = nn.init.kaiming_normal_(_weight(3, 4, dtype=np.float32),
                                    generator=mg.Generator().manual_seed(5))
    np.testing.assert_array_equal(w.array, again.array)


def test_equal_seeds_give_equal_models():
    models = []
    for _ in range(2):
        mg.manual_seed(3)
        models.append(Net().state_dict())
    for a, b in zip(models[0].values(), models[1].values()):
        np.testing.assert_array_equal(a.array, b.array)


def test_layers_start_from_torchs_laws():
    mg.manual_seed(0)
    linear, conv = nn.Linear(150, 600), nn.Conv2d(40, 300, (3, 5), groups=2)
    rnn, cell = nn.RNN(70, 200, 2, bidirectional=True), nn.RNNCell(50, 300)
    for p in linear.parameters():
        _uniform(p, 1 / np.sqrt(150))
    for p in conv.parameters():
        _uniform(p, 1 / np.sqrt(20 * 15))
    for p in rnn.parameters():
        _uniform(p, 1 / np.sqrt(200))
    for p in cell.parameters():
        _uniform(p, 1 / np.sqrt(300))


def test_gains():
    gain = nn.init.calculate_gain
    assert gain("linear") == gain("conv2d") == gain("sigmoid") == 1
    assert gain("tanh") == 5 / 3 and gain("relu") == np.sqrt(2) and gain("selu") == 0.75
    assert gain("leaky_relu", 0.2) == np.sqrt(2 / 1.04)
    assert gain("leaky_relu") == np.sqrt(2 / (1 + 0.01 ** 2))


@pytest.mark.parametrize("call, error, match", [
    (lambda i: i.calculate_gain("swish"), ValueError, "unknown nonlinearity 'swish'"),
    (lambda i: i.calculate_gain("leaky_relu", True), ValueError, "slope"),
    (lambda i: i.xavier_uniform_(mg.zeros(3)), ValueError, r"two or more dimensions.*\(3,\)"),
    (lambda i: i.kaiming_uniform_(mg.zeros(3, 3), mode="fan"), ValueError, "'fan_in' or 'fan_out'"),
    (lambda i: i.orthogonal_(mg.zeros(3)), ValueError, "two dimensions"),
    (lambda i: i.eye_(mg.zeros(3)), ValueError, "two dimensions"),
    (lambda i: i.uniform_(mg.zeros(3), 2, 1), ValueError, "a <= b"),
    (lambda i: i.normal_(mg.zeros(3), 0, -1), ValueError, "std"),
    (lambda i: i.trunc_normal_(mg.zeros(3), a=1, b=1), ValueError, "a < b"),
    (lambda i: i.ones_(np.zeros(3)), TypeError, "want a Tensor"),
    (lambda i: i.normal_(Tensor([1, 2])), TypeError, "floating tensor, got int64"),
    (lambda i: i.zeros_(mg.ones(2, requires_grad=True) * 2), ValueError, "result of an operation"),
    (lambda i: i.uniform_(mg.zeros(3), generator=np.random.default_rng()), TypeError, "Generator"),
])
def test_init_errors(call, error, match):
    with pytest.raises(error, match=match):
        call(nn.init)
