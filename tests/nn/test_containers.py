"""Sequential, ModuleList, ModuleDict and the containers of parameters."""
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


def test_sequential_indexing_slicing_and_changes():
    a, b, c = nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    assert net[0] is a and net[-1] is c and len(net) == 3 and list(net) == [a, b, c] and b in net
    assert list(net[:2]) == [a, b] and isinstance(net[1:], nn.Sequential)
    net[1] = nn.ReLU()
    del net[0]
    assert list(net.state_dict()) == ["1.weight", "1.bias"]
    net.insert(0, a)
    net.append(b).extend([c])
    assert [n for n, _ in net.named_children()] == ["0", "1", "2", "3"]     # c counts once
    assert len(net) == 5 and net.pop() is c and len(net) == 4
    with pytest.raises(IndexError, match="index 9.*4 items"):
        net[9]
    with pytest.raises(TypeError, match="integer or a slice"):
        net["a"]


def test_sequential_with_names():
    net = nn.Sequential({"a": nn.Linear(2, 2), "b": nn.Tanh(), "c": nn.Linear(2, 1)})
    assert net.a is net[0] and list(net[1:].state_dict()) == ["c.weight", "c.bias"]
    del net[1]
    assert [n for n, _ in net.named_children()] == ["a", "c"]
    x = floats(3, 2)
    np.testing.assert_array_equal(net(x).array, net.c(net.a(x)).array)


def test_an_empty_sequential_passes_on():
    assert nn.Sequential()(3) == 3


@pytest.mark.parametrize("make, match", [
    (lambda: nn.Sequential(nn.ReLU), r"class ReLU; write ReLU\(...\)"),
    (lambda: nn.Sequential(F.relu), "put functions into forward"),
    (lambda: nn.Sequential([nn.ReLU()]), r"Sequential\(\*layers\)"),
    (lambda: nn.ModuleList([nn.ReLU(), [nn.ReLU()]]), "make it a ModuleList too"),
    (lambda: nn.ModuleDict({"a": 3}), "got int"),
    (lambda: nn.ModuleDict({3: nn.ReLU()}), "strings"),
    (lambda: nn.ParameterList([3.0]), "want Parameter instances, got float"),
    (lambda: nn.ModuleList(nn.Linear(1, 1)), r"want a list of Modules, got Linear; write \[x\]"),
    (lambda: nn.ModuleList([]).extend(3), "want a list of Modules, got int"),
    (lambda: nn.ParameterList(mg.ones(2)), r"list of Parameters, got Tensor; write \[x\]"),
    (lambda: nn.ModuleDict([nn.ReLU()]), r"want a dict or pairs \(name, Module\), got list"),
])
def test_containers_refuse_what_is_no_module(make, match):
    with pytest.raises(TypeError, match=match):
        make()


def test_module_list():
    layers = nn.ModuleList(nn.Linear(i + 1, 1) for i in range(3))
    layers += [nn.Linear(9, 1)]
    layers.insert(1, nn.Linear(7, 1))
    assert [m.in_features for m in layers] == [1, 7, 2, 3, 9]
    assert [m.in_features for m in layers[1:3]] == [7, 2]
    del layers[0]
    assert [n for n, _ in layers.named_parameters()][:2] == ["0.weight", "0.bias"]
    assert layers[0].in_features == 7
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        layers(1)


def test_module_dict_and_parameter_containers():
    heads = nn.ModuleDict({"b": nn.Linear(1, 1), "a": nn.Tanh()})
    heads["c"] = nn.ReLU()
    heads.update({"a": nn.Sigmoid()})
    assert list(heads) == list(heads.keys()) == ["b", "a", "c"] and "c" in heads and len(heads) == 3
    assert isinstance(dict(heads.items())["a"], nn.Sigmoid) and len(list(heads.values())) == 3
    assert isinstance(heads.pop("c"), nn.ReLU)
    with pytest.raises(KeyError, match="no item 'z'.*b, a"):
        heads["z"]
    with pytest.raises(ValueError, match="already has an attribute 'keys'"):
        heads["keys"] = nn.ReLU()
    heads.clear()
    assert len(heads) == 0
    p = nn.ParameterDict({"w": mg.ones(2), "v": nn.Parameter(mg.ones(3))})
    q = nn.ParameterList([mg.ones(2)]).append(nn.Parameter(mg.ones(1)))
    assert list(p.state_dict()) == ["w", "v"] and list(q.state_dict()) == ["0", "1"]
    assert p["w"].requires_grad and all(isinstance(x, nn.Parameter) for x in q)
