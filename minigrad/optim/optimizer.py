"""What all optimisers share: groups of parameters with their options, and state for each parameter.

A new optimiser states its rule in `update_group`. Not here: any rule (`sgd.py`).
"""
from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

import numpy as np
from numpy import ndarray

from ..advice import FORGOTTEN, advise, watch_for_sum
from ..autograd.engine import Tensor, wrap
from ..autograd.inplace import zero_gradient
from ..foreign import got, named
from ..modes import enable_grad
from ..promotion import as_own
from ..autograd.writes import now, record_write


class Optimizer:
    """Changes parameters by their gradients: zero_grad(), loss.backward(), step().

    params: tensors, or groups as dicts: [{"params": [...], "lr": 0.1}, ...].
    defaults: the options of groups that do not set their own.

    Attributes:
        param_groups: one dict a group, "params" and options, which may be changed between steps.
        state: for each parameter what the rule remembers, such as a momentum buffer; an empty dict
            before its first step.

    A step without a zero_grad() since the last one, with gradients that were added to those of the
    last one, is a minigrad.TrainingWarning, once for each optimiser. Whoever sets p.grad to None or
    to zero by hand, or gathers several backward() for one step, hears nothing.

    Raises: TypeError or ValueError if params is one Tensor, is empty, or holds what cannot be
        optimised.
    """
    stepped = False                                    # a scheduler asks whether it came too early
    zeroed = False                                     # since the last step, by zero_grad()
    sums_of_steps = 0                                  # -1: told

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(f"{name}: params must be a list of Tensors, got one Tensor of shape "
                            f"{params.shape}; write [x]")
        if isinstance(params, (dict, str)) or not isinstance(params, Iterable):
            advice = "; pass model.parameters()" if hasattr(params, "parameters") else \
                f"; call it: model.{params.__name__}()" if isinstance(params, MethodType) else ""
            raise TypeError(f"{name}: params must be a list of Tensors or of groups, got "
                            f"{got(params, advice)}")
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        given = list(params)
        if not given:
            raise ValueError(f"{name}: got no parameters. Either the model has none, or "
                             "model.parameters(), which can be read once, was read before")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group {"params": tensors, options...}; options left out take their defaults.

        Raises: TypeError or ValueError for what cannot be optimised, a parameter that is there
            already, or an option that the optimiser does not have.
        """
        name = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(f"{name}: a group must be a dict with 'params', got "
                            f"{named(param_group)}; do not mix groups and tensors")
        if "params" not in param_group:
            raise ValueError(f"{name}: a group needs 'params', got the keys {list(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(f"{name}: a set has no order that a later run could repeat; use a list")
        params = [params] if isinstance(params, Tensor) else list(params)
        unknown = [k for k in param_group if k not in (*self.defaults, "params", "initial_lr")]
        if unknown:
            raise ValueError(f"{name}: unknown options {unknown} in a group; known: "
                             f"{', '.join(self.defaults)}")
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                advice = "; pass model.parameters()" if isinstance(p, (tuple, str)) else ""
                raise TypeError(f"{name}: parameter {i} is a "
                                f"{got(p, f', want a Tensor{advice}')}")
            if p.array.dtype.kind != "f":
                raise TypeError(f"{name}: parameter {i} is {p.dtype}, only floats can be optimised")
            if p.grad_fn is not None:
                raise ValueError(f"{name}: parameter {i} (shape {p.shape}) is the result of "
                                 f"'{p.grad_fn.name}', its gradient is not kept; make it a leaf: "
                                 "x.detach().requires_grad_()")
            if id(p) in seen:
                raise ValueError(f"{name}: parameter {i} (shape {p.shape}) occurs twice; it would "
                                 "be updated twice in a step")
            seen.add(id(p))
        group = {"params": params, **self.defaults,
                 **{k: v for k, v in param_group.items() if k != "params"}}
        self.check_options(group)
        self.param_groups.append(group)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raises ValueError or TypeError if options make no sense; subclasses may define it."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or fills them with zeros."""
        self.zeroed = True
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                else:
                    zero_gradient(p)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes all parameters that have a gradient, once.

        closure: computes the loss and its gradients anew and returns the loss, which step returns.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self.stepped = True
        written: list[ndarray] = []
        for group in self.param_groups:
            written += self.update_group(group)
        if written:
            record_write(*written)                     # backward() must know, see writes.py
        if self.zeroed:
            self.zeroed = False
        elif self.sums_of_steps >= 0:
            self._look_for_sums()
        return loss

    def _look_for_sums(self) -> None:
        """After a step that no zero_grad() preceded: were its gradients added to those before?"""
        if self.sums_of_steps:
            self.sums_of_steps = -1
            advise(FORGOTTEN.format(name=type(self).__name__))
            return
        for p in self._parameters():
            if p.grad is not None:                     # one tells for all
                watch_for_sum(p.grad, self, now())
                return

    def update_group(self, group: dict[str, Any]) -> list[ndarray]:
        """Changes the parameters of a group in place; returns the arrays that were written."""
        raise NotImplementedError(f"{type(self).__name__} states no rule: define update_group()")

    # storing and loading

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: ...}, "param_groups": [...]}; parameters are numbered in order."""
        number = {id(p): i for i, p in enumerate(self._parameters())}
        return {"state": {number[id(p)]: dict(s) for p, s in self.state.items()},
                "param_groups": [{**group, "params": [number[id(p)] for p in group["params"]]}
                                 for group in self.param_groups]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over options and state; the groups must have the sizes of those that were stored.

        Raises: ValueError if they do not, or if a stored buffer has not the shape of
            its parameter.
        """
        name = type(self).__name__
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f"{name}: this is no state of an optimiser, want the keys 'state' and "
                             "'param_groups'")
        stored = state_dict["param_groups"]
        mine, theirs = ([len(g["params"]) for g in gs] for gs in (self.param_groups, stored))
        if mine != theirs:
            raise ValueError(f"{name}: the state is of groups of {theirs} parameters, this "
                             f"optimiser has groups of {mine}")
        numbers = [i for group in stored for i in group["params"]]
        by_number = dict(zip(numbers, self._parameters()))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for i, values in state_dict["state"].items():
            if i not in by_number:
                raise ValueError(f"{name}: the state speaks of parameter {i}, there is none")
            state[by_number[i]] = {k: _own(f"{name}: {k} of parameter {i}", v, by_number[i])
                                   for k, v in values.items()}
        self.state = state
        for group, saved in zip(self.param_groups, stored):
            options = {k: copy.deepcopy(v) for k, v in saved.items() if k != "params"}
            params = group["params"]
            group.clear()
            group.update(params=params, **options)

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _own(what: str, value: Any, p: Tensor) -> Any:
    """A copy of a stored value; tensors in the parameter's dtype."""
    if not isinstance(value, (Tensor, ndarray)):
        return copy.deepcopy(value)
    array = value.array if isinstance(value, Tensor) else value
    if array.ndim and array.shape != p.shape:
        raise ValueError(f"{what} has shape {array.shape}, the parameter {p.shape}")
    array = as_own(what, array)
    return wrap(array.astype(p.dtype if array.dtype.kind == "f" else array.dtype))


def check_number(optimizer: Optimizer, group: dict[str, Any], *names: str) -> None:
    """Raises unless these options are numbers that are not negative."""
    for name in names:
        value = group[name]
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise TypeError(f"{type(optimizer).__name__}: {name} must be a number, got {value!r}")
        if not value >= 0:
            raise ValueError(f"{type(optimizer).__name__}: {name} must be 0 or more, got {value}")
