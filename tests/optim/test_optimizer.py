"""Optimisers in general: groups, state stored and loaded, closures, what is refused."""
import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.autograd.engine import Tensor
from minigrad.autograd.writes import writes


def parameter(*values, dtype=np.float64):
    return nn.Parameter(np.array(values, dtype))


def give(p, *values):
    p.grad = Tensor(np.array(values, p.dtype).reshape(p.shape))


def test_missing_gradients_are_skipped_and_their_momentum_waits():
    p, q = parameter(1.0), parameter(1.0)
    optimiser = optim.SGD([p, q], lr=0.1, momentum=0.5, weight_decay=0.1)
    give(p, 1.0)
    optimiser.step()
    assert q.item() == 1.0 and q not in optimiser.state
    p.grad = None
    give(q, 1.0)
    before, v = p.item(), optimiser.state[p]["momentum_buffer"].item()
    optimiser.step()
    assert p.item() == before and optimiser.state[p]["momentum_buffer"].item() == v
    assert q.item() == pytest.approx(1 - 0.1 * 1.1)


def test_groups_have_their_own_options_which_may_change():
    p, q = parameter(1.0), parameter(1.0)
    optimiser = optim.SGD([{"params": p}, {"params": [q], "lr": 0.5}], lr=0.1)
    give(p, 1.0)
    give(q, 1.0)
    optimiser.step()
    assert (p.item(), q.item()) == (0.9, 0.5)
    optimiser.param_groups[0]["lr"] = 0.4
    optimiser.step()
    assert (p.item(), q.item()) == (0.5, 0.0)
    r = parameter(1.0)
    optimiser.add_param_group({"params": [r], "momentum": 0.9})
    assert optimiser.param_groups[2]["lr"] == 0.1 and len(optimiser.param_groups) == 3


def test_a_step_is_counted_as_a_write_and_not_recorded():
    p = parameter(1.0, 2.0)
    optimiser = optim.SGD([p], lr=0.1)
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    before = writes.last
    optimiser.step()
    assert writes.last > before and p.is_leaf and p.requires_grad
    with pytest.raises(RuntimeError, match="overwritten in place"):
        loss.backward()
    p.grad = None
    before = writes.last
    optimiser.step()
    assert writes.last == before                       # nothing to write


def test_zero_grad():
    p = parameter(1.0)
    optimiser = optim.SGD([p], lr=0.1)
    give(p, 3.0)
    optimiser.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0]
    optimiser.zero_grad()
    assert p.grad is None


def test_step_with_a_closure():
    p = parameter(3.0)
    optimiser = optim.SGD([p], lr=0.1)

    def closure():
        optimiser.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss
    with mg.no_grad():
        loss = optimiser.step(closure)
    assert loss.item() == 9.0 and p.item() == pytest.approx(3 - 0.1 * 6)


def test_a_gradient_of_the_graph_can_be_used():
    p = parameter(3.0)
    (p ** 3).sum().backward(create_graph=True)
    optim.SGD([p], lr=0.1).step()
    assert p.item() == pytest.approx(3 - 0.1 * 27) and p.is_leaf


@pytest.mark.parametrize("make, error, match", [
    (lambda p: optim.SGD([]), ValueError, "no parameters.*read once"),
    (lambda p: optim.SGD(p), TypeError, r"one Tensor of shape \(1,\); write \[x\]"),
    (lambda p: optim.SGD(nn.Linear(1, 1)), TypeError, r"pass model.parameters\(\)"),
    (lambda p: optim.SGD({"params": [p]}), TypeError, "got dict"),
    (lambda p: optim.SGD([p, 3.0]), TypeError, "parameter 1 is a float"),
    (lambda p: optim.SGD(nn.Linear(1, 1).named_parameters()), TypeError, r"model.parameters\(\)"),
    (lambda p: optim.SGD([p * 2]), ValueError, "result of 'mul'.*leaf"),
    (lambda p: optim.SGD([Tensor([1])]), TypeError, "int64"),
    (lambda p: optim.SGD([p, p]), ValueError, "occurs twice"),
    (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), ValueError, "occurs twice"),
    (lambda p: optim.SGD([{"params": [p]}, p]), TypeError, "do not mix"),
    (lambda p: optim.SGD([{"param": [p]}]), ValueError, "needs 'params'"),
    (lambda p: optim.SGD([{"params": {p}}]), TypeError, "no order"),
    (lambda p: optim.SGD([{"params": [p], "learning_rate": 1}]), ValueError, "'learning_rate'"),
    (lambda p: optim.SGD([{"params": [p], "lr": -1}]), ValueError, "lr must be 0 or more, got -1"),
    (lambda p: optim.SGD([p], lr=-0.1), ValueError, "lr must be 0 or more, got -0.1"),
    (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr must be 0 or more, got nan"),
    (lambda p: optim.SGD([p], lr="0.1"), TypeError, "lr must be a number, got '0.1'"),
    (lambda p: optim.SGD([p], momentum=-1), ValueError, "momentum"),
    (lambda p: optim.SGD([p], weight_decay=-1), ValueError, "weight_decay"),
    (lambda p: optim.SGD([p], dampening="a"), TypeError, "dampening"),
    (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov.*momentum > 0"),
    (lambda p: optim.SGD([p], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "dampening"),
])
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make(parameter(1.0))


def test_a_gradient_of_another_shape_is_refused():
    p = nn.Parameter(np.zeros((3, 4)))
    p.grad = Tensor(np.ones(4))
    with pytest.raises(ValueError, match=r"shape \(3, 4\) has shape \(4,\)"):
        optim.SGD([p]).step()


def test_a_generator_that_was_read_is_reported():
    parameters = nn.Linear(1, 1).parameters()
    optim.SGD(parameters)
    with pytest.raises(ValueError, match="read before"):
        optim.SGD(parameters)


def test_state_can_be_stored_and_loaded():
    def run(p, optimiser, gradients):
        for g in gradients:
            give(p, g)
            optimiser.step()

    p = parameter(1.0, dtype=np.float32)
    optimiser = optim.SGD([p], lr=0.1, momentum=0.9)
    run(p, optimiser, [1.0, 2.0])
    state = copy.deepcopy(optimiser.state_dict())
    assert state["param_groups"][0]["params"] == [0]
    assert state["state"][0]["momentum_buffer"].shape == (1,)
    q = nn.Parameter(p.array.copy())
    twin = optim.SGD([q], lr=5.0)
    twin.load_state_dict(state)
    assert twin.param_groups[0]["lr"] == 0.1 and twin.param_groups[0]["params"][0] is q
    run(p, optimiser, [3.0, 4.0])
    run(q, twin, [3.0, 4.0])
    assert p.item() == q.item()
    buffer = state["state"][0]["momentum_buffer"]
    assert not np.shares_memory(twin.state[q]["momentum_buffer"].array, buffer.array)


def test_loaded_buffers_take_the_parameters_dtype():
    p = parameter(1.0, dtype=np.float32)
    optimiser = optim.SGD([p], momentum=0.9)
    give(p, 1.0)
    optimiser.step()
    q = parameter(1.0)
    twin = optim.SGD([q])
    twin.load_state_dict(optimiser.state_dict())
    assert twin.state[q]["momentum_buffer"].dtype == np.float64


@pytest.mark.parametrize("change, match", [
    (lambda s: s.pop("state"), "want the keys"),
    (lambda s: s["param_groups"].append({"params": [7]}), r"groups of \[1, 1\] parameters.*\[1\]"),
    (lambda s: s["state"].update({9: {}}), "parameter 9"),
    (lambda s: s["state"].update({0: {"momentum_buffer": np.zeros((2, 2))}}),
     r"momentum_buffer of parameter 0 has shape \(2, 2\)"),
])
def test_a_state_that_does_not_fit(change, match):
    optimiser = optim.SGD([parameter(1.0)], lr=0.1)
    state = optimiser.state_dict()
    change(state)
    with pytest.raises(ValueError, match=match):
        optimiser.load_state_dict(state)


def test_an_optimiser_of_ones_own_is_one_rule():
    class Sign(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def update_group(self, group):
            for p in group["params"]:
                p.array[...] -= group["lr"] * np.sign(p.grad.array)
            return [p.array for p in group["params"]]
    p = parameter(1.0)
    give(p, 7.0)
    Sign([p], lr=0.25).step()
    assert p.item() == 0.75
    with pytest.raises(NotImplementedError, match="update_group"):
        optim.Optimizer([p], {}).step()


def test_repr():
    assert repr(optim.SGD([parameter(1.0)], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0.0\n    lr: 0.1\n    maximize: False\n"
        "    momentum: 0.0\n    nesterov: False\n    weight_decay: 0.0\n)")


def test_the_state_of_a_new_parameter_is_an_empty_dict():
    x = mg.ones(2, requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9)
    for _ in range(2):                             # also after loading
        assert optimizer.state[x] == {}
        optimizer.state[x]["note"] = 1
        assert optimizer.state_dict()["state"] == {0: {"note": 1}}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": {}})


@pytest.mark.parametrize("of", ["optimizer", "model"])
def test_gradients_are_filled_with_zeros_where_they_are(of):
    model = mg.nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model(mg.ones(3, 2)).pow(2).sum().backward()
    held = model.weight.grad
    (optimizer if of == "optimizer" else model).zero_grad(set_to_none=False)
    assert model.weight.grad is held and not held.numpy().any()
    # A gradient that others may still differentiate is left alone.
    (model.weight ** 3).sum().backward(create_graph=True)
    held, values = model.weight.grad, model.weight.grad.detach().numpy().copy()
    (optimizer if of == "optimizer" else model).zero_grad(set_to_none=False)
    np.testing.assert_array_equal(held.detach().numpy(), values)
    assert not model.weight.grad.numpy().any() and not model.weight.grad.requires_grad
