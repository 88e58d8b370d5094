"""In place with a graph: what is differentiated, what is refused, whole writes."""
from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def test_in_place_on_a_recorded_tensor_is_differentiated():
    x = leaf(2.0)
    y = x * 3.0
    y *= y
    y.backward()
    assert x.grad.tolist() == [36.0]


def test_in_place_on_a_leaf_that_requires_grad_is_refused():
    x = leaf(2.0)
    with pytest.raises(ValueError, match="leaf that requires grad.*no_grad"):
        x += 1.0


def test_in_place_into_a_view_with_a_graph_is_refused():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    v = y.reshape(2, 1)
    with pytest.raises(ValueError, match="view"):
        v *= 2.0


def test_in_place_must_keep_shape_and_dtype():
    x = Tensor(np.zeros(2))
    with pytest.raises(ValueError, match=r"in place: .*\(3, 2\)"):
        x += np.ones((3, 2))
    n = Tensor(np.array([1, 2]))
    with pytest.raises(TypeError, match="float.*does not fit a tensor of int64"):
        n += 0.5


@pytest.mark.parametrize("write", [lambda x: x.add_(1.0), lambda x: x.zero_(),
                                   lambda x: x.copy_(mg.ones(3))])
def test_read_only_memory_is_refused_by_name(write):
    with pytest.raises(ValueError, match="read-only.*clone"):
        write(mg.zeros(3).expand(2, 3))


F = mg.nn.functional
INPLACE = {
    "relu": (F.relu, mg.nn.ReLU(inplace=True)), "elu": (F.elu, mg.nn.ELU(inplace=True)),
    "leaky_relu": (F.leaky_relu, mg.nn.LeakyReLU(inplace=True)),
    "silu": (F.silu, mg.nn.SiLU(inplace=True)), "hardtanh": (F.hardtanh, None),
    "relu6": (F.relu6, None),
}


@pytest.mark.parametrize("name", INPLACE)
def test_an_activation_in_place_changes_its_input(name):
    function, layer = INPLACE[name]
    for apply in (lambda x: function(x, inplace=True), layer or partial(function, inplace=True)):
        data = np.array([-1.0, 0.5, 2.0, 9.0])
        want = function(Tensor(data)).tolist()
        x = Tensor(data)
        view = x[1:]
        assert apply(x) is x and x.tolist() == want and view.tolist() == want[1:]
        x = leaf(*data)
        with pytest.raises(ValueError, match="in place: this is a leaf"):
            apply(x)
        y = x * 1.0
        assert apply(y) is y and y.tolist() == want
        assert grad(y.sum(), x)[0].tolist() == grad(function(x).sum(), x)[0].tolist()


def test_an_activation_in_place_on_a_row_reaches_the_whole():
    x = leaf(-1.0, 2.0)
    y = x * 1.0
    F.relu(y[0], inplace=True)
    assert y.tolist() == [0.0, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]
    array = np.array([-1.0, 2.0])
    assert F.relu(array, inplace=True) is array and array.tolist() == [0.0, 2.0]


def test_a_large_relu_in_place_does_not_wait():
    x = mg.ones(1, 2, 64, 64) * -1.0
    y = F.relu(x, inplace=True)
    assert y is x and x.abs().sum().item() == 0.0


WHOLE_WRITES = {
    "zero_": lambda y: y.zero_(), "fill_": lambda y: y.fill_(3), "copy_": lambda y: y.copy_(
        Tensor([7.0, 8.0])), "copy_ one": lambda y: y.copy_(Tensor(7.0)),
    "fill_ tensor": lambda y: y.fill_(Tensor(7.0)), "uniform_": lambda y: y.uniform_(),
    "normal_": lambda y: y.normal_(), "bernoulli_": lambda y: y.bernoulli_(),
}


@pytest.mark.parametrize("name", WHOLE_WRITES)
def test_what_is_overwritten_as_a_whole_gets_a_gradient_of_0(name):
    """As in torch; None would be left out by an optimiser, with its momentum and decay."""
    x = leaf(1.0, 2.0)
    y = x * 3.0
    assert WHOLE_WRITES[name](y) is y and y.requires_grad
    (y * y).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="in place: this is a leaf"):
        WHOLE_WRITES[name](x)


def test_copy_passes_the_gradient_to_its_source():
    x, source = leaf(1.0, 2.0), leaf(5.0)
    y = x * 3.0
    y.copy_(source)
    (y * Tensor([1.0, 10.0])).sum().backward()
    assert source.grad.tolist() == [11.0] and x.grad.tolist() == [0.0, 0.0]
