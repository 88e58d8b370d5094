"""What all layers share: options refused where a layer is made, dtypes, functions applied."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd.engine import Tensor
from minigrad.nn import functional as F


def rng():
    return np.random.default_rng(0)


def floats(*shape, dtype=np.float32):
    return Tensor(rng().standard_normal(shape).astype(dtype))


@pytest.mark.parametrize("make, error, match", [
    (lambda: nn.Linear(0, 3), ValueError, "in_features must be at least 1, got 0"),
    (lambda: nn.Linear(2.5, 3), TypeError, "in_features must be an integer, got 2.5"),
    (lambda: nn.Linear(2, True), TypeError, "out_features"),
    (lambda: nn.Linear(2, 3, dtype=np.int64), TypeError, "parameters are floats, got int64"),
    (lambda: nn.Linear(2, 3, device="cuda"), ValueError, "Linear.*CPU only.*got 'cuda'"),
    (lambda: nn.Conv2d(3, 4, 3, device="cuda"), ValueError, "Conv2d.*CPU only"),
    (lambda: nn.RNN(3, 4, device="cuda"), ValueError, "RNN:.*CPU only"),
    (lambda: nn.RNNCell(3, 4, device="cuda"), ValueError, "RNNCell.*CPU only"),
    (lambda: nn.Conv2d(3, 4, 0), ValueError, "kernel_size must be at least 1"),
    (lambda: nn.Conv2d(3, 4, (1, 2, 3)), ValueError, "integer or a pair"),
    (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "stride"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "groups=2 must divide in_channels=3"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "groups=2 must divide out_channels=3"),
    (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError, "'same' or 'valid'"),
    (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), ValueError, "wants stride 1"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, "'mirror'"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), ValueError, "padding"),
    (lambda: nn.MaxPool2d(2, padding=2), ValueError, r"at most half.*\(2, 2\), \(1, 1\)"),
    (lambda: nn.AvgPool2d(0), ValueError, "kernel_size"),
    (lambda: nn.Dropout(1.5), ValueError, "from 0 to 1, got 1.5"),
    (lambda: nn.Softmax(), ValueError, "dim=1 for the classes"),
    (lambda: nn.RNN(3, 4, nonlinearity="sigmoid"), ValueError, "'tanh' or 'relu'"),
    (lambda: nn.RNN(3, 4, 2, dropout=2), ValueError, "dropout"),
    (lambda: nn.RNN(3, -4), ValueError, "hidden_size"),
    (lambda: nn.RNNCell(3, 4, nonlinearity="gelu"), ValueError, "RNNCell: nonlinearity"),
    (lambda: nn.MSELoss(reduction="avg"), ValueError, "'mean', 'sum' or 'none', got 'avg'"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, "label_smoothing"),
    (lambda: nn.CrossEntropyLoss(weight=[1.0]), TypeError, "want a Tensor"),
])
def test_bad_sizes_and_options_are_refused_at_construction(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_dtype_and_default_dtype():
    assert nn.Linear(2, 3, dtype=mg.float64).bias.dtype == np.float64
    assert nn.Linear(2, 3, True, "cpu", mg.float64).bias.dtype == np.float64    # torch's order
    assert nn.Conv2d(1, 2, 3, dtype="float64").weight.dtype == np.float64
    mg.set_default_dtype(mg.float64)
    try:
        assert nn.RNN(2, 3).weight_ih_l0.dtype == np.float64
    finally:
        mg.set_default_dtype(mg.float32)
    assert nn.RNNCell(2, 3).weight_ih.dtype == np.float32


@pytest.mark.parametrize("layer, function", [
    (nn.ReLU(), F.relu), (nn.Tanh(), F.tanh), (nn.Sigmoid(), F.sigmoid), (nn.SiLU(), F.silu),
    (nn.LogSigmoid(), F.logsigmoid), (nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    (nn.LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)), (nn.ELU(0.5), lambda x: F.elu(x, 0.5)),
    (nn.Softplus(2.0, 5.0), lambda x: F.softplus(x, 2.0, 5.0)),
    (nn.Softmax(0), lambda x: F.softmax(x, dim=0)),
    (nn.LogSoftmax(-1), lambda x: F.log_softmax(x, dim=-1)),
    (nn.Flatten(0), lambda x: x.reshape(-1)),
    (nn.Unflatten(1, (2, 2)), lambda x: x.reshape(3, 2, 2)),
], ids=lambda x: type(x).__name__)
def test_layers_apply_their_function(layer, function):
    x = floats(3, 4) * 4
    np.testing.assert_array_equal(layer(x).array, function(x).array)
    assert list(layer.parameters()) == []
