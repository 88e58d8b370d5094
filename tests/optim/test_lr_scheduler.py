"""Schedules follow their formula, also from a stored state.

That they repeat torch's numbers is tested by the stored vectors (`test_parity.py`).
"""
import copy
import math

import numpy as np
import pytest

from minigrad import nn, optim
from minigrad.optim import lr_scheduler as schedules


def parameter(*values, dtype=np.float64):
    return nn.Parameter(np.array(values, dtype))


def rates(make, epochs, lr=0.5):
    optimiser = optim.SGD([parameter(1.0)], lr=lr)
    scheduler = make(optimiser)
    seen = [scheduler.get_last_lr()[0]]
    for _ in range(epochs):
        optimiser.step()
        scheduler.step()
        seen.append(scheduler.get_last_lr()[0])
        assert optimiser.param_groups[0]["lr"] == seen[-1]
    return seen


@pytest.mark.parametrize("make, formula", [
    (lambda o: schedules.StepLR(o, 3, 0.5), lambda t: 0.5 * 0.5 ** (t // 3)),
    (lambda o: schedules.MultiStepLR(o, [2, 5, 5], 0.1),
     lambda t: 0.5 * 0.1 ** ((t >= 2) + 2 * (t >= 5))),
    (lambda o: schedules.ExponentialLR(o, 0.9), lambda t: 0.5 * 0.9 ** t),
    (lambda o: schedules.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 0.5 / (1 + t)),
    (lambda o: schedules.CosineAnnealingLR(o, 7, 0.1),
     lambda t: 0.1 + 0.4 * (1 + math.cos(math.pi * t / 7)) / 2),
    (lambda o: schedules.CosineAnnealingLR(o, 1),
     lambda t: 0.5 * (1 + math.cos(math.pi * t)) / 2),
])
def test_schedules_follow_their_formula(make, formula):
    np.testing.assert_allclose(rates(make, 20), [formula(t) for t in range(21)], rtol=1e-12,
                               atol=1e-15)


def test_a_rate_changed_by_hand_is_respected():
    optimiser = optim.SGD([parameter(1.0)], lr=1.0)
    scheduler = schedules.StepLR(optimiser, 2, 0.5)
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 8.0
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] == 8.0
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] == 4.0
    scheduler.get_last_lr()[0] = 3                     # a copy
    assert scheduler.get_last_lr() == [4.0]


def test_each_group_has_its_rate():
    p, q = parameter(1.0), parameter(1.0)
    optimiser = optim.SGD([{"params": p}, {"params": q, "lr": 0.5}], lr=0.1)
    scheduler = schedules.LambdaLR(optimiser, [lambda t: 1.0 + t, lambda t: 2.0])
    optimiser.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.2, 1.0]
    with pytest.raises(ValueError, match="1 functions for 2 groups"):
        schedules.LambdaLR(optimiser, [lambda t: 1.0])


def test_too_early_a_step_is_reported_once():
    optimiser = optim.SGD([parameter(1.0)])
    scheduler = schedules.StepLR(optimiser, 2)
    with pytest.warns(UserWarning, match=r"before optimizer.step\(\)"):
        scheduler.step()
    scheduler.step()


@pytest.mark.parametrize("make", [
    lambda o: schedules.StepLR(o, 3, 0.5), lambda o: schedules.CosineAnnealingLR(o, 5),
    lambda o: schedules.ExponentialLR(o, 0.9), lambda o: schedules.LambdaLR(o, lambda t: 0.5 ** t)])
def test_a_schedule_can_be_stored_and_loaded(make):
    want = rates(make, 9)
    optimiser = optim.SGD([parameter(1.0)], lr=0.5)
    scheduler = make(optimiser)
    for _ in range(4):
        optimiser.step()
        scheduler.step()
    stored = copy.deepcopy((optimiser.state_dict(), scheduler.state_dict()))
    assert "optimizer" not in stored[1] and "lr_lambdas" not in stored[1]
    fresh = optim.SGD([parameter(1.0)], lr=9.0)
    again = make(fresh)
    fresh.load_state_dict(stored[0])
    again.load_state_dict(stored[1])
    got = []
    for _ in range(5):
        fresh.step()
        again.step()
        got += again.get_last_lr()
    assert got == want[5:]


@pytest.mark.parametrize("make, error, match", [
    (lambda o: schedules.StepLR(o, 0), ValueError, "step_size must be a number of epochs"),
    (lambda o: schedules.StepLR(o, 2.5), ValueError, "step_size"),
    (lambda o: schedules.CosineAnnealingLR(o, -1), ValueError, "T_max"),
    (lambda o: schedules.StepLR(o, 1, gamma=-0.1), ValueError, "gamma must be 0 or more, got -0.1"),
    (lambda o: schedules.MultiStepLR(o, [1], "half"), TypeError, "gamma must be a number"),
    (lambda o: schedules.ExponentialLR(o, float("nan")), ValueError, "gamma"),
    (lambda o: schedules.CosineAnnealingLR(o, 5, eta_min=-1), ValueError, "eta_min"),
    (lambda o: schedules.StepLR("sgd", 1), TypeError, "want an optimiser, got str"),
    (lambda o: schedules.LambdaLR(None, abs), TypeError, "want an optimiser"),
    (lambda o: schedules.LambdaLR(o, 0.5), TypeError, "must be a function of the epoch, got float"),
    (lambda o: schedules.StepLR(o, 1, last_epoch=3), ValueError, "'initial_lr'"),
    (lambda o: schedules.LRScheduler(o), NotImplementedError, "get_lr"),
])
def test_bad_schedules(make, error, match):
    with pytest.raises(error, match=match):
        make(optim.SGD([parameter(1.0)]))
