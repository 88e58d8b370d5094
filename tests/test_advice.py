"""Advice for trainings that go wrong without an error: what is warned about, once, and what is not.
"""
import warnings

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
import minigrad.optim as optim
from minigrad import advice

# Every test without `pytest.warns` proves silence, too.
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def problem():
    """A model, its optimiser and a function that returns its loss."""
    mg.manual_seed(3)
    x, y, model = mg.randn(8, 3), mg.randn(8, 1), nn.Linear(3, 1)
    return model, optim.SGD(model.parameters(), lr=0.01), lambda: ((model(x) - y) ** 2).mean()


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """No line has been told of a nan before."""
    monkeypatch.setattr(advice, "_told", set())


# --- a forgotten zero_grad() ---------------------------------------------------------------------

def test_a_forgotten_zero_grad_is_said_once_at_the_users_line(problem):
    _, optimizer, loss = problem
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(6):
            loss().backward()
            optimizer.step()
    assert len(told) == 1 and told[0].category is mg.TrainingWarning
    assert told[0].filename == __file__
    assert "SGD.step()" in str(told[0].message) and "optimizer.zero_grad()" in str(told[0].message)


def test_it_is_said_where_zero_grad_stands_before_the_loop(problem):
    _, optimizer, loss = problem
    optimizer.zero_grad()
    with pytest.warns(mg.TrainingWarning, match="added to those"):
        for _ in range(4):
            loss().backward()
            optimizer.step()


@pytest.mark.parametrize("frozen_first", [False, True])
def test_it_is_said_where_several_backwards_go_into_each_step(problem, frozen_first):
    model, optimizer, loss = problem
    if frozen_first:
        model.weight.requires_grad_(False)
    with pytest.warns(mg.TrainingWarning, match="added to those"):
        for i in range(4):
            loss().backward()
            if i % 2:
                optimizer.step()


def test_each_optimiser_says_it():
    for _ in range(2):
        x = mg.ones(2, requires_grad=True)
        optimizer = optim.SGD([x], lr=0.1)
        with pytest.warns(mg.TrainingWarning, match="zero_grad"):
            for _ in range(3):
                x.sum().backward()
                optimizer.step()


def zero_none(model, optimizer):
    for p in model.parameters():
        p.grad = None


def zero_fill(model, optimizer):
    for p in model.parameters():
        if p.grad is not None:
            p.grad.zero_()


def zero_array(model, optimizer):
    for p in model.parameters():
        if p.grad is not None:
            p.grad = mg.zeros(*p.shape)


def decay(model, optimizer):
    """Momentum by hand: the sum is meant."""
    for p in model.parameters():
        if p.grad is not None:
            p.grad.mul_(0.9)


@pytest.mark.parametrize("backwards", [1, 3])
@pytest.mark.parametrize("zero", [
    lambda model, optimizer: optimizer.zero_grad(),
    lambda model, optimizer: optimizer.zero_grad(set_to_none=False),
    lambda model, optimizer: model.zero_grad(),
    zero_none, zero_fill, zero_array, decay,
], ids=["optimizer", "optimizer, filled", "model", "None", "zero_", "zeros", "decay"])
def test_who_sets_gradients_to_zero_hears_nothing(problem, zero, backwards):
    model, optimizer, loss = problem
    for _ in range(4):
        zero(model, optimizer)
        for _ in range(backwards):
            loss().backward()
        optimizer.step()


def test_a_closure_that_sets_to_zero_hears_nothing(problem):
    _, optimizer, loss = problem

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value
    for _ in range(4):
        optimizer.step(closure)


def test_several_steps_with_one_gradient_are_no_sum(problem):
    _, optimizer, loss = problem
    for _ in range(3):
        optimizer.zero_grad()
        loss().backward()
        for _ in range(3):
            optimizer.step()


def test_two_optimisers_of_one_model_hear_nothing(problem):
    """As a generator and its critic: one's backward() leaves gradients at the other."""
    model, _, loss = problem
    one, other = optim.SGD([model.weight], lr=0.01), optim.SGD([model.bias], lr=0.01)
    for _ in range(4):
        for optimizer in (one, other):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()


def test_nothing_is_kept_alive_or_left_behind(problem):
    model, optimizer, loss = problem
    advice.stepped.clear()
    loss().backward()
    optimizer.step()
    assert len(advice.stepped) == 1
    model.zero_grad()
    assert not advice.stepped


# --- a loss that is nan --------------------------------------------------------------------------

def nan_of(function):
    """What is said of the nan that the function's loss is, without NumPy's own warnings."""
    advice._told.clear()
    with np.errstate(all="ignore"), pytest.warns(mg.TrainingWarning) as told:
        function().backward()
    assert len(told) == 1 and told[0].filename == __file__
    text = str(told[0].message)
    assert text.startswith("backward: the loss is nan. ")
    return text


def test_a_nan_names_the_operation_that_made_it_and_its_line():
    x = mg.tensor([1.0, -1.0], requires_grad=True)
    text = nan_of(lambda: (mg.log(x) * 2.0 + 1.0).sum())
    assert "the result of 'log'" in text and "test_advice.py:" in text and "lower" in text


def test_the_oldest_is_named_of_all_that_are_not_finite():
    x = mg.tensor([1e30], requires_grad=True)

    def loss():
        square = x * x                             # inf
        return (square - square).exp().mean()      # nan
    assert "the result of 'mul'" in nan_of(loss)


def test_data_that_is_nan_is_named_as_data():
    model, x = nn.Linear(2, 1), mg.tensor([[0.0, float("nan")]])
    text = nan_of(lambda: model(x).sum())
    assert "the argument 'input' of 'linear'" in text and "look into the data" in text
    target = mg.tensor([[float("nan")]])
    text = nan_of(lambda: nn.MSELoss()(model(mg.ones(1, 2)), target))
    assert "the argument 'target' of 'mse_loss'" in text


def test_a_parameter_that_is_nan_is_named_first():
    model = nn.Linear(2, 1)
    with mg.no_grad():
        model.weight[0, 1] = float("nan")
    text = nan_of(lambda: model(mg.ones(1, 2)).sum())
    assert "'weight' is not finite itself" in text and "clip_grad_norm_" in text


def test_a_divergence_is_said_at_its_first_nan(problem):
    model, _, loss = problem
    optimizer = optim.SGD(model.parameters(), lr=1e6)
    with np.errstate(all="ignore"), pytest.warns(mg.TrainingWarning, match="lower learning rate"):
        for _ in range(60):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
    assert np.isnan(value.item())


def test_a_line_is_told_once_and_another_again():
    x = mg.tensor([float("nan")], requires_grad=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            x.sum().backward()
        x.sum().backward()
    assert len(told) == 2


def test_every_saved_value_may_be_looked_at():
    """Ops with several results, sequences, aux, and places that are no ops in one graph."""
    x = mg.tensor(np.linspace(-2, 2, 12).reshape(3, 4), requires_grad=True)
    top, _ = x.topk(2)
    y = mg.cat([top, mg.nn.functional.softmax(x, dim=1)], 1)
    z = mg.nn.functional.cross_entropy(y, mg.tensor([0, 1, 2]), reduction="none")
    assert "the result of 'sqrt'" in nan_of(lambda: (z.mean() - 100).sqrt() + z.std())


def test_the_gradient_of_nan_is_what_it_was():
    x = mg.tensor([-1.0, 4.0], requires_grad=True)
    with np.errstate(all="ignore"), pytest.warns(mg.TrainingWarning):
        x.sqrt().sum().backward()
    assert np.isnan(x.grad.numpy()[0]) and x.grad.numpy()[1] == 0.25


@pytest.mark.parametrize("value", [float("inf"), 0.0])
def test_no_word_of_what_is_no_nan(value):
    mg.tensor([value], requires_grad=True).sum().backward()


def test_no_word_of_an_empty_batch():
    model = nn.Linear(2, 1)
    nn.MSELoss()(model(mg.zeros(0, 2)), mg.zeros(0, 1)).backward()


# --- arguments of a loss in the wrong order ------------------------------------------------------

F = nn.functional


@pytest.mark.parametrize("call", [
    lambda: F.cross_entropy(mg.tensor([0, 1]), mg.randn(2, 3)),
    lambda: nn.CrossEntropyLoss()(mg.tensor([0, 1]), mg.randn(2, 3)),
    lambda: F.nll_loss(mg.tensor([0, 1]), mg.randn(2, 3)),
    lambda: F.cross_entropy(mg.eye(3), mg.tensor([[-1.0, 2, 3]] * 3)),
    lambda: F.binary_cross_entropy(mg.tensor([0.0, 1]), mg.tensor([0.3, 4.0])),
    lambda: F.binary_cross_entropy(mg.tensor([0, 1]), mg.tensor([0.3, 0.4])),
    lambda: F.binary_cross_entropy_with_logits(mg.tensor([0.0, 1]), mg.tensor([-3.0, 4.0])),
    lambda: F.binary_cross_entropy_with_logits(mg.tensor([0, 1]), mg.tensor([0.3, 0.4])),
    lambda: F.binary_cross_entropy_with_logits(
        mg.tensor([0.0, 1]), mg.tensor([-3.0, 4.0]), reduction="none"),
    lambda: F.kl_div(mg.tensor([0.3, 0.7]), mg.tensor([0.3, 0.7]).log()),
])
def test_swapped_arguments_are_refused_and_called_swapped(call):
    with pytest.raises((ValueError, TypeError), match="look swapped"):
        call()


@pytest.mark.parametrize("loss", [F.binary_cross_entropy, F.binary_cross_entropy_with_logits])
def test_labels_as_input_and_a_prediction_as_target_are_said(loss):
    prediction = mg.tensor([0.3, 0.4], requires_grad=True)
    with pytest.warns(mg.TrainingWarning, match="look swapped"):
        loss(mg.tensor([0.0, 1.0]), prediction).backward()
    loss(mg.tensor([0.1, 1.0]), prediction).backward()           # soft labels may be learnt


@pytest.mark.parametrize("call, match", [
    (lambda: F.cross_entropy(mg.randn(2, 3), mg.tensor([0.0, 1.0])), "target.long"),
    (lambda: F.nll_loss(mg.randn(2, 3), mg.tensor([0.0, 1.0])), "target.long"),
    (lambda: F.binary_cross_entropy_with_logits(mg.randn(2), mg.tensor([-1.0, 1])), "labels -1"),
    (lambda: F.kl_div(mg.tensor([-0.3, -0.7]), mg.tensor([-0.3, -0.7])), "log_target=True"),
])
def test_other_mistakes_are_not_called_swapped(call, match):
    with pytest.raises((ValueError, TypeError), match=match) as error:
        call()
    assert "swapped" not in str(error.value)


def test_targets_below_0_are_right_where_the_input_holds_scores():
    """Negative label smoothing: torch computes it, and so does minigrad."""
    x, q = mg.tensor([[1.0, 2.0]]), mg.tensor([[1.1, -0.1]])
    want = -(1.1 * (1 - np.logaddexp(1, 2)) - 0.1 * (2 - np.logaddexp(1, 2)))
    np.testing.assert_allclose(F.cross_entropy(x, q).item(), want, rtol=1e-6)


@pytest.mark.parametrize("params, advice", [
    (lambda m: m, "pass model.parameters()"),
    (lambda m: m.parameters, "call it: model.parameters()"),
    (lambda m: type(m), "pass model.parameters()"),
    (lambda m: m.named_parameters(), "pass model.parameters()"),
])
def test_what_is_no_list_of_parameters_is_refused_with_the_call(params, advice):
    with pytest.raises(TypeError, match=r"SGD: ") as error:
        optim.SGD(params(nn.Linear(2, 1)), lr=0.1)
    assert advice in str(error.value)


# --- small things --------------------------------------------------------------------------------

def test_a_probability_in_percent_is_told():
    with pytest.raises(ValueError, match="from 0 to 1, got 50; 50 % is p=0.5"):
        nn.Dropout(50)
    with pytest.raises(ValueError) as error:
        nn.Dropout(-0.5)
    assert "%" not in str(error.value)


def test_the_size_of_a_dimension_that_does_not_exist():
    with pytest.raises(IndexError, match="size: dimension 5 .* has 2 dimensions .valid: -2 to 1."):
        mg.ones(4, 3).size(5)
    with pytest.raises(IndexError, match="a single number has none"):
        mg.tensor(1.0).size(0)
    assert mg.ones(4, 3).size(-1) == 3


def test_a_layer_made_with_an_array_gets_the_same_advice():
    with pytest.raises(TypeError, match="ReLU is a layer, which is made first and then called"):
        nn.ReLU(np.ones(3))
