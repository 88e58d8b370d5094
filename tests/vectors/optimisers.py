"""Optimiser and schedule runs that minigrad must repeat: `SGD_RUNS` and `SCHEDULES`.

Gradients are drawn, not derived, so that a run tests the update rule and nothing else.
Shared by `make_vectors.py` and `tests/test_parity.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import rng_for, uniform

STEPS = 20
SHAPES = ((3, 4), (5,))

# With powers of two every product is exact, so a library that rounds a*b+c once (torch, by fused
# multiply-add) and one that rounds twice (NumPy) must agree to the last bit: what remains is the
# order of operations.  The runs named "plain" have everyday numbers and may differ by roundings.
_EXACT: dict[str, dict[str, Any]] = {
    "lr only": {"lr": 0.125},
    "weight_decay": {"lr": 0.125, "weight_decay": 0.25},
    "momentum": {"lr": 0.125, "momentum": 0.5},
    "momentum dampening": {"lr": 0.125, "momentum": 0.5, "dampening": 0.5},
    "momentum weight_decay": {"lr": 0.25, "momentum": 0.5, "weight_decay": 0.125},
    "nesterov": {"lr": 0.125, "momentum": 0.5, "nesterov": True},
    "nesterov weight_decay": {"lr": 0.125, "momentum": 0.25, "nesterov": True,
                              "weight_decay": 0.125},
    "maximize": {"lr": 0.125, "maximize": True},
    "maximize all": {"lr": 0.125, "maximize": True, "momentum": 0.5, "weight_decay": 0.25,
                     "dampening": 0.5},
    "dampening without momentum": {"lr": 0.125, "dampening": 0.5},
}  # fmt: skip
_PLAIN: dict[str, dict[str, Any]] = {
    "plain lr": {"lr": 0.1},
    "plain default lr": {},
    "plain momentum": {"lr": 0.01, "momentum": 0.9},
    "plain momentum dampening weight_decay": {"lr": 0.03, "momentum": 0.9, "dampening": 0.1,
                                              "weight_decay": 5e-4},
    "plain nesterov": {"lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-2},
    "plain maximize": {"lr": 0.03, "momentum": 0.7, "maximize": True, "weight_decay": 1e-2},
}  # fmt: skip
# Two groups with their own options, a gradient that is missing for some steps, an lr changed
# by hand half-way.
_GROUPS: dict[str, dict[str, Any]] = {
    "groups": {"lr": 0.125, "momentum": 0.5, "second": {"lr": 0.5}},
    "groups own momentum": {"lr": 0.25, "second": {"momentum": 0.5, "nesterov": True}},
    "groups plain": {"lr": 0.01, "momentum": 0.9, "second": {"lr": 0.1, "weight_decay": 0.01}},
}
SGD_RUNS = {**_EXACT, **_PLAIN, **_GROUPS}


def is_exact(name: str) -> bool:
    """Must the run agree bit for bit?"""
    return "plain" not in name


def run_sgd(name: str, t: Any, dtype: str) -> np.ndarray:
    """All parameters after each step, (STEPS, 17)."""
    options = dict(SGD_RUNS[name])
    second = options.pop("second", None)
    rng = rng_for(f"sgd {name}")
    parameters = [
        t.tensor(uniform(rng, shape, -1, 1).astype(dtype), requires_grad=True) for shape in SHAPES
    ]
    if second is None:
        optimiser = t.optim.SGD(parameters, **options)
    else:
        groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], **second}]
        optimiser = t.optim.SGD(groups, **options)
    rows = []
    for step in range(STEPS):
        optimiser.zero_grad()
        for i, parameter in enumerate(parameters):
            gradient = uniform(rng, SHAPES[i], -1, 1).astype(dtype)
            missing = second is not None and i == 1 and step in (0, 7, 8)
            parameter.grad = None if missing else t.tensor(gradient)
        if second is not None and step == STEPS // 2:
            optimiser.param_groups[0]["lr"] *= 0.5
        optimiser.step()
        rows.append(np.concatenate([p.detach().numpy().ravel() for p in parameters]))
    return np.array(rows)


SCHEDULE_STEPS = 40
SCHEDULES: dict[str, tuple[str, dict[str, Any]]] = {
    "StepLR 3": ("StepLR", {"step_size": 3}),
    "StepLR 10 0.5": ("StepLR", {"step_size": 10, "gamma": 0.5}),
    "StepLR 1 0.9": ("StepLR", {"step_size": 1, "gamma": 0.9}),
    "CosineAnnealingLR 40": ("CosineAnnealingLR", {"T_max": 40}),
    "CosineAnnealingLR 25 eta_min": ("CosineAnnealingLR", {"T_max": 25, "eta_min": 0.003}),
    "CosineAnnealingLR 10 goes up again": ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.01}),
}


def run_schedule(name: str, t: Any) -> np.ndarray:
    """The learning rates of two groups before the first and after each step, (41, 2)."""
    kind, options = SCHEDULES[name]
    parameters = [t.tensor(np.ones(2), requires_grad=True) for _ in range(2)]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.5}]
    optimiser = t.optim.SGD(groups, lr=0.1)
    scheduler = getattr(t.optim.lr_scheduler, kind)(optimiser, **options)
    rows = [scheduler.get_last_lr()]
    for _ in range(SCHEDULE_STEPS):
        optimiser.step()
        scheduler.step()
        rows.append(scheduler.get_last_lr())
        in_use = [group["lr"] for group in optimiser.param_groups]
        if in_use != list(rows[-1]):
            raise AssertionError(f"get_last_lr gives {rows[-1]}, the optimiser uses {in_use}")
    return np.array(rows, np.float64)
