"""Schedules: the learning rate of every group as a function of the epoch.

    for epoch in range(epochs):
        train(...)                                     # with optimizer.step()
        scheduler.step()

Rates are computed from the rate before, as torch does, so that a rate changed by hand is respected
and the sequences agree to the last bit.
"""
from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..absent import shows as _shows
from ..foreign import named
from .optimizer import Optimizer


class LRScheduler:
    """The parent of all schedules; a subclass defines get_lr().

    last_epoch: -1 to start; to resume, the number of the last epoch (the groups then need
        "initial_lr", which the optimiser's state_dict holds).

    Raises: TypeError if `optimizer` is none; ValueError if "initial_lr" is missing when resuming.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: want an optimiser, got {named(optimizer)}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(f"{type(self).__name__}: to resume after epoch {last_epoch}, "
                                 f"group {i} needs 'initial_lr'; load the optimiser's state first")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group at last_epoch; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr()")

    def get_last_lr(self) -> list[float]:
        """The rate of each group that the schedule set last."""
        return list(self._last_lr)

    def step(self) -> None:
        """Goes on to the next epoch. Call it after optimizer.step()."""
        optimizer = self.optimizer
        own_step = type(optimizer).step is not Optimizer.step      # then `stepped` tells nothing
        if self._step_count == 1 and not optimizer.stepped and not own_step:
            warnings.warn(f"{type(self).__name__}.step() was called before optimizer.step(), so "
                          "the first learning rate is skipped; call it at the end of an epoch",
                          stacklevel=2)
        self._step_count += 1
        self.last_epoch += 1
        rates = self.get_lr()
        for group, lr in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = list(rates)

    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser and functions, for load_state_dict."""
        return {k: v for k, v in vars(self).items() if k not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a stored state. The rates in use are in the optimiser's state_dict."""
        vars(self).update(state_dict)


def _check_number(scheduler: LRScheduler, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{type(scheduler).__name__}: {name} must be a number, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{type(scheduler).__name__}: {name} must be 0 or more, got {value}")


def _check_epochs(scheduler: LRScheduler, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{type(scheduler).__name__}: {name} must be a number of epochs, 1 or "
                         f"more, got {value!r}")


class StepLR(LRScheduler):
    """lr is multiplied by gamma every step_size epochs: lr = lr_0 * gamma^(epoch // step_size).

    Raises: ValueError if step_size is not an integer, 1 or more, or gamma is negative.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1,
                 last_epoch: int = -1) -> None:
        _check_epochs(self, "step_size", step_size)
        _check_number(self, "gamma", gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at last_epoch."""
        now = self._current()
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return now
        return [lr * self.gamma for lr in now]


class MultiStepLR(LRScheduler):
    """lr is multiplied by gamma at each of the epochs in milestones."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1,
                 last_epoch: int = -1) -> None:
        _check_number(self, "gamma", gamma)
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at last_epoch."""
        times = self.milestones[self.last_epoch]
        return [lr * self.gamma ** times for lr in self._current()] if times else self._current()


class ExponentialLR(LRScheduler):
    """lr is multiplied by gamma every epoch: lr = lr_0 * gamma^epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        _check_number(self, "gamma", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at last_epoch."""
        now = self._current()
        return now if self._is_initial else [lr * self.gamma for lr in now]


class LambdaLR(LRScheduler):
    """lr = lr_0 * lr_lambda(epoch); one function, or a list with one for each group."""

    def __init__(self, optimizer: Optimizer,
                 lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
                 last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"LambdaLR: want an optimiser, got {named(optimizer)}")
        groups = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) \
            else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} groups; "
                             "give one for each, or one for all")
        for f in self.lr_lambdas:
            if not callable(f):
                raise TypeError("LambdaLR: lr_lambda must be a function of the epoch, got "
                                f"{type(f).__name__}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at last_epoch."""
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas)]


class CosineAnnealingLR(LRScheduler):
    """lr falls along half a cosine from lr_0 to eta_min within T_max epochs, then rises again:

        lr = eta_min + (lr_0 - eta_min) * (1 + cos(pi * epoch / T_max)) / 2

    Loshchilov, Hutter 2017, arXiv:1608.03983 (without its restarts).

    Raises: ValueError if T_max is not an integer, 1 or more, or eta_min is negative.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
                 ) -> None:
        _check_epochs(self, "T_max", T_max)
        _check_number(self, "eta_min", eta_min)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at last_epoch, from those before by the ratio of the two cosines."""
        now, epoch, period, low = self._current(), self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return now
        if (epoch - 1 - period) % (2 * period) == 0:     # the rate before is eta_min: no ratio
            return [lr + (base - low) * (1 - math.cos(math.pi / period)) / 2
                    for lr, base in zip(now, self.base_lrs)]
        ratio = ((1 + math.cos(math.pi * epoch / period))
                 / (1 + math.cos(math.pi * (epoch - 1) / period)))
        return [ratio * (lr - low) + low for lr in now]


if not TYPE_CHECKING:                              # who checks types is to see every misspelt name
    __all__, __dir__, __getattr__ = _shows(__name__, own=True)
