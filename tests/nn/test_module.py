"""Modules find their parts, load, print and name their parameters as torch's do; errors help.

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
    assert leaves[0].startswith("<leaf (5, 3), first used at ") and "test_module.py" in leaves[0]
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
