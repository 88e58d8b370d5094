"""Modules find their parts, load and print as torch's do; layers start from torch's laws; errors
help.

That layers compute torch's numbers is tested by the stored vectors (`test_parity.py`).
"""
import copy
import gc
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd.engine import Tensor
from minigrad.nn import functional as F
from minigrad.autograd.writes import writes


def rng():
    return np.random.default_rng(0)


def floats(*shape, dtype=np.float32):
    return Tensor(rng().standard_normal(shape).astype(dtype))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.scale = nn.Parameter(mg.ones(3))
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.head(self.body(x) * self.scale)


class Plain(nn.Module):                                # at module level, so that pickle finds it
    def forward(self, x):
        return x


# --- Parameter -----------------------------------------------------------------------------------

def test_parameter_requires_grad_and_shares_a_tensors_memory():
    t = mg.ones(2)
    p = nn.Parameter(t)
    assert isinstance(p, Tensor) and p.requires_grad and p.is_leaf
    assert np.shares_memory(p.array, t.array)
    a = np.ones(2)
    assert not np.shares_memory(nn.Parameter(a).array, a)
    assert not nn.Parameter(t, requires_grad=False).requires_grad
    assert repr(nn.Parameter(mg.ones(1))).startswith("Parameter containing:\ntensor(")


def test_parameter_cuts_history_and_refuses_integers():
    x = Tensor([1.0], requires_grad=True) * 2
    p = nn.Parameter(x)
    assert p.grad_fn is None and p.is_leaf
    with pytest.raises(TypeError, match="float"):
        nn.Parameter(Tensor([1, 2]))


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_modules_can_be_copied_and_pickled(copy_of):
    net = nn.Sequential(nn.Linear(2, 3), Plain())
    net[1].again = net[0]                              # shared inside
    twin = copy_of(net)
    assert type(twin[0].weight) is nn.Parameter and twin[0].weight.requires_grad
    assert twin[1].again is twin[0]
    np.testing.assert_array_equal(twin[0].weight.array, net[0].weight.array)
    assert not np.shares_memory(twin[0].weight.array, net[0].weight.array)


# --- finding -------------------------------------------------------------------------------------

def test_names_are_torchs_own_parameters_before_those_of_children():
    net = Net()
    names = ["scale", "body.0.weight", "body.0.bias", "head.weight"]
    assert [n for n, _ in net.named_parameters()] == names == list(net.state_dict())
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "head"]
    assert [n for n, _ in net.named_children()] == ["body", "head"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert next(iter(net.named_parameters(prefix="net")))[0] == "net.scale"
    assert net.get_submodule("body.0") is net.body[0] and net.get_submodule("") is net
    with pytest.raises(AttributeError, match="no module 'tail'.*body, head"):
        net.get_submodule("tail")


def test_shared_parameters_and_modules_count_once_but_are_stored_under_each_name():
    net = Net()
    net.tied = net.body[0]
    net.also = net.head.weight
    assert [n for n, _ in net.named_parameters()] == \
        ["scale", "also", "body.0.weight", "body.0.bias"]
    assert len(list(net.parameters())) == len({id(p) for p in net.parameters()})
    assert set(net.state_dict()) == {"scale", "also", "body.0.weight", "body.0.bias",
                                     "head.weight", "tied.weight", "tied.bias"}
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "head"]
    every = [n for n, _ in net.named_parameters(remove_duplicate=False)]
    assert sorted(every) == sorted(net.state_dict())


def test_late_assignment_replacement_and_deletion():
    net = Net()
    net.extra = nn.Linear(1, 1)
    assert "extra.bias" in net.state_dict()
    net.extra = nn.Identity()
    del net.scale
    net.head = None
    assert list(net.state_dict()) == ["body.0.weight", "body.0.bias"]


def test_old_style_super_and_a_forgotten_one_work():
    class Old(nn.Module):
        def __init__(self):
            super(Old, self).__init__()                # noqa: UP008
            self.fc = nn.Linear(1, 1)

    class Forgot(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)
            self.drop = nn.Dropout()

    for net in (Old(), Forgot()):
        assert len(list(net.parameters())) == 2
    assert not net.eval().drop.training and net.train().training


@pytest.mark.parametrize("value, advice", [
    (lambda: [nn.Linear(1, 1)], "ModuleList"),
    (lambda: (nn.Linear(1, 1),), "ModuleList"),
    (lambda: {"a": nn.Linear(1, 1)}, "ModuleDict"),
    (lambda: [nn.Parameter([1.0])], "ParameterList"),
    (lambda: {"a": nn.Parameter([1.0])}, "ParameterDict"),
    (lambda: [[1, [nn.Tanh()]]], "ModuleList"),
])
def test_parts_in_plain_containers_are_an_error(value, advice):
    net = Net()
    net.body.layers = value()
    for ask in (lambda: list(net.parameters()), net.state_dict, net.zero_grad):
        with pytest.raises(ValueError, match=rf"body.layers.*plain.*nn.{advice}"):
            ask()


def test_plain_lists_of_parts_that_are_found_elsewhere_are_fine():
    net = Net()
    net.layers = [net.body, net.head]
    net.weights = {"w": net.head.weight}
    net.history = [0.5] * 100_000
    assert len(list(net.parameters())) == 4


def test_a_tensor_that_requires_grad_but_is_no_parameter_is_reported():
    net = Net()
    net.w = mg.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="'w'.*nn.Parameter"):
        list(net.parameters())
    net.w = mg.ones(2)
    net.last = net(floats(1, 4))                       # a result is nobody's parameter
    list(net.parameters())


def test_a_parameter_cannot_be_replaced_by_a_tensor_by_accident():
    net = Net()
    with pytest.raises(TypeError, match=r"weight is a Parameter.*nn.Parameter\(x\)"):
        net.head.weight = mg.ones(2, 3)
    with pytest.raises(TypeError, match="head is a Module"):
        net.head = len
    net.head.weight = nn.Parameter(mg.ones(2, 3))
    net.head.bias = nn.Parameter(mg.ones(2))           # it was None


def test_a_child_may_refer_to_its_parent():
    net = Net()
    net.body.parent = net
    assert len(list(net.parameters())) == 4 == len(net.state_dict())
    assert len(list(net.modules())) == 5


def test_deep_nesting_needs_no_recursion():
    net = nn.Linear(1, 1)
    for _ in range(3000):
        outer = Plain()
        outer.inner = net
        net = outer
    assert len(list(net.parameters())) == 2 == len(net.state_dict())


# --- buffers -------------------------------------------------------------------------------------

def test_buffers_are_stored_but_not_learned():
    net = Net()
    net.register_buffer("mean", mg.zeros(2))
    net.body.register_buffer("steps", Tensor([0]), persistent=False)
    net.register_buffer("none", None)
    assert [n for n, _ in net.named_buffers()] == ["mean", "body.steps"]
    assert len(list(net.parameters())) == 4
    assert "mean" in net.state_dict() and "body.steps" not in net.state_dict()
    assert list(net.state_dict())[:2] == ["scale", "mean"]
    net.mean = mg.ones(2)                              # replaced by assignment
    assert next(net.buffers()).array[0] == 1
    assert not Net()._buffer_names                     # nothing leaked to the class


@pytest.mark.parametrize("name, value, error, match", [
    ("head", mg.ones(1), ValueError, "already has"), ("a.b", mg.ones(1), ValueError, "'.'"),
    ("", mg.ones(1), ValueError, "empty"), ("a", [1.0], TypeError, "want a Tensor"),
    (3, mg.ones(1), TypeError, "string"),
])
def test_bad_buffers(name, value, error, match):
    with pytest.raises(error, match=match):
        Net().register_buffer(name, value)


def test_register_parameter_and_add_module():
    net = Plain()
    net.register_parameter("w", nn.Parameter(mg.ones(1)))
    net.register_parameter("bias", None)
    net.add_module("fc", nn.Linear(1, 1))
    assert list(net.state_dict()) == ["w", "fc.weight", "fc.bias"]
    with pytest.raises(TypeError, match="want a Parameter"):
        net.register_parameter("v", mg.ones(1))
    with pytest.raises(TypeError, match="class Linear.*make an instance"):
        net.add_module("v", nn.Linear)
    with pytest.raises(ValueError, match="already has an attribute 'forward'"):
        net.add_module("forward", nn.Tanh())


# --- loading -------------------------------------------------------------------------------------

def test_load_state_dict_copies_in_place_and_counts_the_write():
    a, b = Net(), Net()
    weight, array = b.head.weight, b.head.weight.array
    before = writes.last
    result = b.load_state_dict(a.state_dict())
    assert b.head.weight is weight and weight.array is array
    assert not np.shares_memory(array, a.head.weight.array)
    np.testing.assert_array_equal(array, a.head.weight.array)
    assert writes.last > before and repr(result) == "<All keys matched successfully>"


def test_load_between_forward_and_backward_is_noticed():
    net = Net()
    loss = net(floats(2, 4)).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="overwritten in place"):
        loss.backward()


def test_load_state_dict_lists_everything_at_once_and_changes_nothing():
    net = Net()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    del state["scale"]
    state["tail"] = mg.ones(1)
    state["head.weight"] = mg.ones(5, 3)
    state["body.0.bias"] = [1.0]
    state["body.0.weight"] = mg.ones(3, 4)
    before = net.body[0].weight.array.copy()
    with pytest.raises(ValueError) as info:
        net.load_state_dict(state)
    text = str(info.value)
    for part in ("missing keys: scale", "unexpected keys: tail", "(5, 3), the model's is (2, 3)",
                 "body.0.bias: want a Tensor or array, got list", "strict=False"):
        assert part in text
    np.testing.assert_array_equal(net.body[0].weight.array, before)
    with pytest.raises(ValueError, match="has shape"):
        net.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match=r"model.state_dict\(\)"):
        net.load_state_dict(net)


def test_load_not_strict_takes_what_fits_by_name():
    net = Net()
    result = net.load_state_dict({"scale": np.full(3, 7.0), "tail": mg.ones(1)}, strict=False)
    assert net.scale.array.tolist() == [7, 7, 7] and net.scale.dtype == np.float32
    assert result.unexpected_keys == ["tail"] and "head.weight" in result.missing_keys


def test_state_dict_shares_memory_and_needs_no_grad():
    net = Net()
    state = net.state_dict()
    assert not state["scale"].requires_grad
    assert np.shares_memory(state["scale"].array, net.scale.array)
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert next(iter(net.state_dict(prefix="m."))) == "m.scale"


# --- all at once ---------------------------------------------------------------------------------

def test_train_eval_apply_freeze_and_zero_grad():
    net = Net()
    assert net.training and not net.eval().body[1].training and net.train().body[1].training
    with pytest.raises(TypeError, match="True or False"):
        net.train("yes")
    order = []
    assert net.apply(lambda m: order.append(type(m).__name__)) is net
    assert order == ["Linear", "ReLU", "Sequential", "Linear", "Net"]
    net(floats(2, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.array.tolist() == [0, 0, 0]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(floats(2, 4)).requires_grad


def test_to_changes_the_dtype_in_place_after_use_too():
    net = Net()
    net.register_buffer("mean", mg.zeros(2))
    net.register_buffer("count", Tensor([1]))
    net(floats(2, 4)).sum().backward()
    scale = net.scale
    assert net.double() is net and net.scale is scale
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert net.mean.dtype == np.float64 and net.count.dtype == np.int64
    assert scale.grad.dtype == np.float64
    net.zero_grad()
    net(floats(2, 4, dtype=np.float64)).sum().backward()
    assert scale.grad.dtype == np.float64
    assert net.to("cpu").to(mg.float32).scale.dtype == np.float32
    assert net.to("cpu", mg.float64).scale.dtype == np.float64
    assert net.float().cpu().scale.dtype == np.float32
    assert net.to(device="cpu", dtype="float64").scale.dtype == np.float64
    with pytest.raises(ValueError, match="no device 'cuda'"):
        net.to("cuda")
    with pytest.raises(TypeError, match="int64"):
        net.to(mg.int64)


def test_forward_hooks_see_and_may_replace_the_result():
    layer, seen = nn.Identity(), []
    first = layer.register_forward_hook(lambda m, args, out: seen.append((m, args, out)))
    second = layer.register_forward_hook(lambda m, args, out: out + 1)
    assert layer(1) == 2 and seen == [(layer, (1,), 1)]
    first.remove()
    first.remove()
    second.remove()
    assert layer(1) == 1 and len(seen) == 1


def test_a_module_leaves_no_garbage():
    gc.collect()
    gc.disable()
    try:
        net = Net()
        net(floats(2, 4)).sum().backward()
        list(net.parameters())
        net.state_dict()
        del net
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- errors name the layer -----------------------------------------------------------------------

def test_an_error_in_forward_names_the_path_of_the_layer():
    outer = nn.Sequential(nn.Identity(), Net())
    with pytest.raises(ValueError) as info:
        outer(floats(2, 5))
    notes = info.value.__notes__
    assert notes == ["in layer 1.body.0 of Sequential: "
                     "Linear(in_features=4, out_features=3, bias=True)"]


def test_an_error_in_a_list_is_found_and_others_are_left_alone():
    class Stack(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(3, 2)])

        def forward(self, x):
            if x is None:
                raise KeyError("mine")
            for layer in self.layers:
                x = layer(x)
            return x
    with pytest.raises(ValueError) as info:
        Stack()(floats(1, 2))
    assert info.value.__notes__[0].startswith("in layer layers.1 of Stack")
    with pytest.raises(KeyError) as other:
        Stack()(None)
    assert not hasattr(other.value, "__notes__")


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        type("Empty", (nn.Module,), {})()(1)


# --- repr ----------------------------------------------------------------------------------------

def test_repr_is_torchs():
    net = nn.Sequential(OrderedDict(
        conv=nn.Conv2d(1, 4, 3, padding=1), pool=nn.MaxPool2d(2), act=nn.ReLU(inplace=True),
        inner=nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.Tanh()])))
    assert repr(net) == """Sequential(
  (conv): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (pool): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  (act): ReLU(inplace=True)
  (inner): ModuleList(
    (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)
    (2): Tanh()
  )
)"""


@pytest.mark.parametrize("layer, text", [
    (lambda: nn.Conv2d(2, 4, (3, 5), stride=2, padding=1, dilation=2, groups=2,
                       bias=False, padding_mode="reflect"),
     "Conv2d(2, 4, kernel_size=(3, 5), stride=(2, 2), padding=(1, 1), dilation=(2, 2), groups=2, "
     "bias=False, padding_mode=reflect)"),
    (lambda: nn.Conv2d(2, 4, 3, padding="same"),
     "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=same)"),
    (lambda: nn.AvgPool2d(3, 2, 1), "AvgPool2d(kernel_size=3, stride=2, padding=1)"),
    (lambda: nn.RNN(3, 4), "RNN(3, 4)"),
    (lambda: nn.RNN(3, 4, 2, "relu", batch_first=True, dropout=0.5, bidirectional=True),
     "RNN(3, 4, num_layers=2, nonlinearity=relu, batch_first=True, dropout=0.5, "
     "bidirectional=True)"),
    (lambda: nn.RNNCell(3, 4, bias=False, nonlinearity="relu"),
     "RNNCell(3, 4, bias=False, nonlinearity=relu)"),
    (lambda: nn.Dropout(0.2), "Dropout(p=0.2, inplace=False)"),
    (lambda: nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
    (lambda: nn.Unflatten(1, (2, 3)), "Unflatten(dim=1, unflattened_size=(2, 3))"),
    (lambda: nn.Softmax(dim=1), "Softmax(dim=1)"),
    (lambda: nn.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
    (lambda: nn.GELU(), "GELU(approximate='none')"),
    (lambda: nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
    (lambda: nn.ParameterList([mg.ones(2)]),
     "ParameterList((0): Parameter of float32, shape (2,))"),
])
def test_repr_of_layers(layer, text):
    assert repr(layer()) == text


# --- containers ----------------------------------------------------------------------------------

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


# --- layers --------------------------------------------------------------------------------------

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


def test_linear_is_x_wt_plus_b():
    layer, x = nn.Linear(3, 2, dtype=np.float64), floats(4, 5, 3, dtype=np.float64)
    np.testing.assert_allclose(layer(x).array, x.array @ layer.weight.array.T + layer.bias.array)


@pytest.mark.parametrize("mode, numpy_mode", [
    ("zeros", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
@pytest.mark.parametrize("padding", [(1, 2), "same", "valid"])
def test_conv_padding_modes(mode, numpy_mode, padding):
    layer = nn.Conv2d(2, 3, (2, 4), padding=padding, padding_mode=mode, dtype=np.float64)
    x = floats(2, 2, 6, 7, dtype=np.float64)
    (top, bottom), (left, right) = {
        (1, 2): ((1, 1), (2, 2)), "same": ((0, 1), (1, 2)), "valid": ((0, 0), (0, 0))}[padding]
    padded = np.pad(x.array, ((0, 0), (0, 0), (top, bottom), (left, right)), mode=numpy_mode)
    want = F.conv2d(Tensor(padded), layer.weight, layer.bias)
    np.testing.assert_allclose(layer(x).array, want.array, rtol=1e-12, atol=1e-12)


def test_conv_border_of_even_windows_with_dilation():
    layer = nn.Conv2d(1, 1, (2, 3), padding="same", dilation=(3, 1), padding_mode="circular")
    assert layer(floats(1, 1, 5, 5)).shape == (1, 1, 5, 5)


def test_pooling_layers_pass_their_options_on():
    x = floats(1, 2, 7, 7)
    y, at = nn.MaxPool2d(3, 2, 1, return_indices=True, ceil_mode=True)(x)
    want, want_at = F.max_pool2d(x, 3, 2, 1, 1, True, True)
    np.testing.assert_array_equal(y.array, want.array)
    np.testing.assert_array_equal(at.array, want_at.array)
    got = nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False, divisor_override=5)(x)
    np.testing.assert_array_equal(got.array, F.avg_pool2d(x, 3, 2, 1, True, False, 5).array)


def test_dropout_drops_only_while_training():
    mg.manual_seed(0)
    layer, x = nn.Dropout(0.25), mg.ones(100, 100)
    y = layer(x).array
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(layer.eval()(x).array, x.array)


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


# --- recurrent layers ----------------------------------------------------------------------------

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


# --- losses --------------------------------------------------------------------------------------

def test_losses_pass_their_options_on():
    x, y = floats(4, 3), Tensor(rng().random((4, 3)).astype(np.float32))
    c, w = Tensor([0, 2, 1, 1]), Tensor([0.5, 1.0, 2.0])
    p = y * 0.8 + 0.1
    pairs = [
        (nn.MSELoss(reduction="none")(x, y), F.mse_loss(x, y, reduction="none")),
        (nn.L1Loss(reduction="sum")(x, y), F.l1_loss(x, y, reduction="sum")),
        (nn.SmoothL1Loss(beta=0.3)(x, y), F.smooth_l1_loss(x, y, beta=0.3)),
        (nn.HuberLoss(delta=0.3)(x, y), F.huber_loss(x, y, delta=0.3)),
        (nn.CrossEntropyLoss(w, ignore_index=1, reduction="sum", label_smoothing=0.1)(x, c),
         F.cross_entropy(x, c, w, ignore_index=1, reduction="sum", label_smoothing=0.1)),
        (nn.NLLLoss(w, ignore_index=1, reduction="sum")(x, c),
         F.nll_loss(x, c, w, ignore_index=1, reduction="sum")),
        (nn.BCELoss(w, reduction="none")(p, y), F.binary_cross_entropy(p, y, w, reduction="none")),
        (nn.BCEWithLogitsLoss(w, reduction="sum", pos_weight=w)(x, y),
         F.binary_cross_entropy_with_logits(x, y, w, reduction="sum", pos_weight=w)),
    ]
    for got, want in pairs:
        np.testing.assert_array_equal(got.array, want.array)


def test_weights_of_losses_are_buffers():
    loss = nn.BCEWithLogitsLoss(pos_weight=mg.ones(2))
    assert list(loss.state_dict()) == ["pos_weight"] and not list(loss.parameters())
    with pytest.raises(TypeError):
        nn.MSELoss(False)                              # torch's old size_average: not by position


# --- initialisation ------------------------------------------------------------------------------

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


# --- clipping and vectors ------------------------------------------------------------------------

def _with_gradients(*gradients):
    parameters = []
    for g in gradients:
        p = nn.Parameter(np.zeros_like(g))
        p.grad = Tensor(g)
        parameters.append(p)
    return [*parameters, nn.Parameter([0.0])]          # and one without


@pytest.mark.parametrize("p", [1, 2, 3, float("inf")])
def test_clip_grad_norm(p):
    arrays = [rng().standard_normal((3, 4)), rng().standard_normal(5)]
    parameters = _with_gradients(*arrays)
    norm = nn.utils.clip_grad_norm_(iter(parameters), 0.7, norm_type=p)
    flat = np.concatenate([a.ravel() for a in arrays])
    want = np.linalg.norm(flat, p)
    assert norm.item() == pytest.approx(want, rel=1e-12)
    for q, a in zip(parameters, arrays):
        np.testing.assert_allclose(q.grad.array, a * 0.7 / (want + 1e-6), rtol=1e-12)
    before = parameters[0].grad.array.copy()
    nn.utils.clip_grad_norm_(parameters, 100.0)
    np.testing.assert_array_equal(parameters[0].grad.array, before)


def test_clip_grad_norm_of_huge_float32_gradients():
    parameters = _with_gradients(np.full(4, 1e30, np.float32))
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    assert norm.dtype == np.float32 and norm.item() == pytest.approx(2e30)
    np.testing.assert_allclose(parameters[0].grad.array, 0.5, rtol=1e-6)


def test_clip_errors_and_value():
    parameters = _with_gradients(np.array([3.0, -4.0, 0.5]))
    nn.utils.clip_grad_value_(parameters, 1)
    assert parameters[0].grad.tolist() == [1.0, -1.0, 0.5]
    parameters[0].grad.array[0] = np.nan
    with pytest.raises(ValueError, match="nan"):
        nn.utils.clip_grad_norm_(parameters, 1, error_if_nonfinite=True)
    with pytest.raises(ValueError, match="max_norm"):
        nn.utils.clip_grad_norm_(parameters, -1)
    with pytest.raises(ValueError, match="clip_value"):
        nn.utils.clip_grad_value_(parameters, -1)
    with pytest.raises(TypeError, match=r"model.parameters\(\)"):
        nn.utils.clip_grad_norm_([("w", parameters[0])], 1)
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0


def test_parameters_as_a_vector_and_back():
    net = Net()
    v = nn.utils.parameters_to_vector(net.parameters())
    assert v.shape == (3 + 12 + 3 + 6,) and v.requires_grad
    arrays = [p.array for p in net.parameters()]
    nn.utils.vector_to_parameters(mg.arange(24).float(), net.parameters())
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in arrays]), np.arange(24))
    with pytest.raises(ValueError, match=r"24 elements.*got \(23,\)"):
        nn.utils.vector_to_parameters(mg.zeros(23), net.parameters())
    with pytest.raises(ValueError, match="no parameters"):
        nn.utils.parameters_to_vector([])


# --- it learns -----------------------------------------------------------------------------------

def test_a_small_model_learns_xor():
    mg.manual_seed(0)
    x = Tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).float()
    y = Tensor([0, 1, 1, 0])
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    loss_of = nn.CrossEntropyLoss()
    for _ in range(300):
        net.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        with mg.no_grad():
            for p in net.parameters():
                p -= 0.5 * p.grad
    assert loss.item() < 0.05 and net(x).argmax(1).tolist() == [0, 1, 1, 0]


def test_linear_after_flatten_says_where_the_features_come_from():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 2))
    with pytest.raises(ValueError, match=r"in_features = 676; .*in_features = 784: set "
                                         r"in_features=676.*"
                                         r"4\*13\*13 = 676; 784 would be 4\*14\*14: check the "):
        model(mg.zeros(1, 1, 28, 28))


# --- parameters are called by their path in the model ---------------------------------------------

def test_a_parameter_is_called_by_its_path_in_the_outermost_module():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2)))
    names = ["0.weight", "0.bias", "2.0.weight", "2.0.bias"]
    assert [p.name for p in net.parameters()] == names
    twin = copy.deepcopy(net)
    assert [p.name for p in twin.parameters()] == names
    again = pickle.loads(pickle.dumps(net))
    assert [p.name for p in again.parameters()] == names
    inner = net[2]
    del net
    gc.collect()
    assert inner[0].weight.name == "0.weight"
    inner[0].weight.name = "theta"
    assert inner[0].weight.name == "theta"
    inner[0].weight.name = None
    assert inner[0].weight.name == "0.weight"
    assert nn.Parameter(mg.zeros(2)).name is None


def test_modules_in_a_ring_have_an_end():
    a, b = nn.Module(), nn.Module()
    a.b, b.a, a.w = b, a, nn.Parameter(mg.zeros(2))
    assert a.w.name == "a.w"


def test_the_graph_names_its_leaves():
    net = nn.Sequential(nn.Linear(3, 4))
    x = mg.randn(5, 3, requires_grad=True)
    leaves = [repr(n) for n in net(x).grad_fn.inputs]
    assert leaves[0].startswith("<leaf (5, 3), first used at ") and "test_nn.py" in leaves[0]
    assert leaves[1].startswith("<leaf '0.weight' (4, 3), first used at ")
    x.name = "pixels"
    assert repr(net(x).grad_fn.inputs[0]).startswith("<leaf 'pixels' (5, 3)")
    with pytest.raises(ValueError, match="input 1 .'pixels', shape .5, 3.. *; pass allow_unused"):
        mg.grad(net(mg.zeros(5, 3)).sum(), [net[0].weight, x])
    with pytest.raises(TypeError, match="name: want a string or None, got int"):
        x.name = 3


def test_what_was_overwritten_is_called_by_its_name():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    loss = net(mg.randn(5, 3)).sum()
    with mg.no_grad():
        net[1].weight.mul_(2)
    with pytest.raises(RuntimeError, match="saved weight .leaf '1.weight'., of shape .2, 4."):
        loss.backward()


def test_an_array_in_the_place_of_a_layers_options_is_refused_as_a_tensor_is():
    with pytest.raises(TypeError, match=r"got an array of shape \(3,\)\. ReLU is a layer, .*"
                                        r"nn\.ReLU\(\)\(x\)"):
        nn.ReLU(np.ones(3))
    with pytest.raises(TypeError, match=r"got arrays of shape \(3,\) and \(3,\)\. MSELoss is"):
        nn.MSELoss(np.ones(3), mg.ones(3))
    assert nn.Linear(np.int64(2), 3).in_features == 2
    nn.MaxPool2d(np.array([2, 2]))                     # sizes are sizes
