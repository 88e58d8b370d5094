"""RNN and RNNCell against the recurrence written out: states, layers, both ways, errors."""
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


def _loop(x, h, w_ih, w_hh, b_ih, b_hh, f, backwards):
    """The recurrence written out: x (T, N, I) -> all states (T, N, D)."""
    out = [None] * len(x)
    for t in reversed(range(len(x))) if backwards else range(len(x)):
        z = x[t] @ w_ih.T + h @ w_hh.T
        h = out[t] = f(z + b_ih + b_hh if b_ih is not None else z)
    return np.stack(out)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_rnn_is_the_recurrence_written_out(nonlinearity, bias, both, layers):
    rnn = nn.RNN(3, 4, layers, nonlinearity, bias, bidirectional=both, dtype=np.float64)
    x, h0 = floats(5, 2, 3, dtype=np.float64), floats(layers * (1 + both), 2, 4, dtype=np.float64)
    out, h_n = rnn(x, h0)
    f = np.tanh if nonlinearity == "tanh" else lambda z: np.maximum(z, 0)
    value, last = x.array, []
    for layer in range(layers):
        outs = []
        for end in ("", "_reverse")[:1 + both]:
            p = [rnn.state_dict().get(f"{n}_l{layer}{end}")
                 for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            arrays = [q if q is None else q.array for q in p]
            outs.append(_loop(value, h0.array[len(last)], *arrays, f, bool(end)))
            last.append(outs[-1][0 if end else -1])
        value = np.concatenate(outs, axis=-1)
    np.testing.assert_allclose(out.array, value, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(h_n.array, np.stack(last), rtol=1e-10, atol=1e-12)


def test_rnn_names_are_torchs():
    names = list(nn.RNN(3, 4, 2, bidirectional=True).state_dict())
    assert names == [f"{kind}_l{layer}{end}" for layer in (0, 1) for end in ("", "_reverse")
                     for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    assert nn.RNN(3, 4, 2, bidirectional=True).weight_ih_l1_reverse.shape == (4, 8)


def test_rnn_batch_first_and_unbatched_agree():
    rnn = nn.RNN(3, 4, 2, bidirectional=True, dtype=np.float64)
    first = nn.RNN(3, 4, 2, bidirectional=True, batch_first=True, dtype=np.float64)
    first.load_state_dict(rnn.state_dict())
    x, h0 = floats(5, 2, 3, dtype=np.float64), floats(4, 2, 4, dtype=np.float64)
    out, h_n = rnn(x, h0)
    out_first, h_first = first(x.transpose(0, 1), h0)
    np.testing.assert_allclose(out_first.array, out.transpose(0, 1).array, rtol=1e-12)
    np.testing.assert_allclose(h_first.array, h_n.array, rtol=1e-12)
    for net in (rnn, first):
        one, h_one = net(x[:, 1], h0[:, 1])
        np.testing.assert_allclose(one.array, out[:, 1].array, rtol=1e-12)
        np.testing.assert_allclose(h_one.array, h_n[:, 1].array, rtol=1e-12)


def test_rnn_takes_the_state_under_both_names_and_zeros_by_default():
    rnn, x = nn.RNN(3, 4), floats(2, 1, 3)
    zeros = mg.zeros(1, 1, 4)
    for out, _ in (rnn(x, zeros), rnn(x, hx=zeros), rnn(x, h_0=zeros),
                   rnn(x.numpy(), zeros.numpy())):
        np.testing.assert_array_equal(out.array, rnn(x)[0].array)
    with pytest.raises(TypeError, match="same argument"):
        rnn(x, zeros, h_0=zeros)


def test_rnn_gradients_reach_everything():
    rnn = nn.RNN(3, 4, 2, bidirectional=True)
    x, h0 = floats(5, 2, 3).requires_grad_(), floats(4, 2, 4).requires_grad_()
    out, h_n = rnn(x, h0)
    (out.sum() + (h_n * h_n).sum()).backward()
    for g in (x.grad, h0.grad, *(p.grad for p in rnn.parameters())):
        assert g is not None and np.abs(g.array).sum() > 0


def test_rnn_dropout_acts_between_layers_only_and_only_in_training():
    mg.manual_seed(0)
    rnn, x = nn.RNN(3, 4, 2, dropout=0.5), floats(5, 2, 3)
    (a, states), (b, again) = rnn(x), rnn(x)
    a, b = a.array, b.array
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(states.array[0], again.array[0])     # nor is the input
    assert (a != 0).all()                              # the result itself is not thinned
    rnn.eval()
    np.testing.assert_array_equal(rnn(x)[0].array, rnn(x)[0].array)
    with pytest.warns(UserWarning, match="only one"):
        nn.RNN(3, 4, dropout=0.5)


RNN_ERRORS = [
    (nn.RNN(3, 4), (5, 2, 3), (2, 4), r"\(1, 2, 4\), got \(2, 4\); add the first axis"),
    (nn.RNN(3, 4, batch_first=True), (2, 5, 3), (2, 1, 4),
     r"\(1, 2, 4\), got \(2, 1, 4\); batch_first does not move.*transpose\(0, 1\)"),
    (nn.RNN(3, 4, 2, bidirectional=True), (5, 2, 3), (2, 2, 4), r"\(4, 2, 4\)"),
    (nn.RNN(3, 4), (5, 3), (4,), r"\(num_layers \* directions, hidden_size\) = \(1, 4\)"),
    (nn.RNN(3, 4), (5, 2, 6), None, r"input_size=3, the input is \(5, 2, 6\); set input_size=6"),
    (nn.RNN(3, 4), (3, 2, 6), None, r"axis 0 has that size: x.transpose\(0, -1\)"),
    (nn.RNN(1, 4), (5, 2), None, r"add it: x.unsqueeze\(-1\)"),
    (nn.RNN(1, 4), (5,), None, r"add the last axis: x.unsqueeze\(-1\)"),
    (nn.RNN(3, 4), (0, 2, 3), None, r"no steps \(axis 0\)"),
    (nn.RNN(3, 4, batch_first=True), (2, 0, 3), None, r"no steps \(axis 1\)"),
]


@pytest.mark.parametrize("rnn, shape, state, match", RNN_ERRORS)
def test_rnn_errors(rnn, shape, state, match):
    with pytest.raises(ValueError, match=match):
        rnn(mg.zeros(*shape), None if state is None else mg.zeros(*state))


def test_rnn_refuses_an_lstms_pair_and_what_is_no_tensor():
    rnn = nn.RNN(3, 4)
    with pytest.raises(TypeError, match="no second state c_0"):
        rnn(mg.zeros(5, 2, 3), (mg.zeros(1, 2, 4), mg.zeros(1, 2, 4)))
    with pytest.raises(TypeError, match="unpack the data set's pair"):
        rnn((mg.zeros(5, 2, 3), 1))


def test_rnn_cell_steps_equal_the_fused_layer():
    cell, rnn = nn.RNNCell(3, 4, dtype=np.float64), nn.RNN(3, 4, dtype=np.float64)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        mg.nn.init.uniform_(getattr(cell, name), -1, 1)
        getattr(rnn, f"{name}_l0").array[...] = getattr(cell, name).array
    x, h = floats(5, 2, 3, dtype=np.float64), None
    out, _ = rnn(x)
    for t in range(5):
        h = cell(x[t], h)
        np.testing.assert_allclose(h.array, out.array[t], rtol=1e-12)
    one = cell(x[0, 0])
    np.testing.assert_allclose(one.array, out.array[0, 0], rtol=1e-12)


def test_rnn_cell_errors():
    cell = nn.RNNCell(3, 4)
    with pytest.raises(ValueError, match=r"\(N, 3\).*got \(2, 5\); set input_size=5"):
        cell(mg.zeros(2, 5))
    with pytest.raises(ValueError, match=r"state must be \(2, 4\).*got \(2, 3\)"):
        cell(mg.zeros(2, 3), mg.zeros(2, 3))


def test_a_sigmoid_cell_can_be_composed():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.x, self.h = nn.Linear(3, 4), nn.Linear(4, 4, bias=False)

        def forward(self, x, h):
            return F.sigmoid(self.x(x) + self.h(h))
    cell, h = Cell(), mg.zeros(2, 4)
    for _ in range(3):
        h = cell(floats(2, 3), h)
    h.sum().backward()
    assert all(p.grad is not None for p in cell.parameters())
