"""Stochastic gradient descent, with momentum, weight decay and Nesterov's look ahead."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from .. import tuning
from ..autograd.engine import wrap
from ..kernels.pointwise import sgd as kernel
from ..promotion import FLOAT16
from .optimizer import Optimizer, check_number


class SGD(Optimizer):
    """p <- p - lr * v, where v follows the gradient g:

        g <- g + weight_decay * p                  (-g if maximize)
        v <- momentum * v + (1 - dampening) * g    (at the first step: v = g)
        p <- p - lr * v                            (nesterov: p - lr * (g + momentum * v))

    Without momentum v = g. The order of operations is torch's, and so is the meaning of lr within
    momentum (v is not multiplied by it). Parameters without a gradient are left alone.

    Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in
    deep learning" (ICML).

    Raises: ValueError for a negative option, or nesterov without momentum or with dampening.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0,
                 dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False, *,
                 maximize: bool = False) -> None:
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize})

    def check_options(self, group: dict[str, Any]) -> None:
        """Refuses options that make no sense."""
        check_number(self, group, "lr", "momentum", "weight_decay")
        dampening = group["dampening"]
        if isinstance(dampening, bool) or not isinstance(dampening, (int, float, np.number)):
            raise TypeError(f"SGD: dampening must be a number, got {dampening!r}")
        if group["nesterov"] and (not group["momentum"] or dampening):
            raise ValueError("SGD: nesterov looks ahead along the momentum, so it wants momentum > "
                             f"0 and dampening = 0, got momentum={group['momentum']}, "
                             f"dampening={dampening}")

    def update_group(self, group: dict[str, Any]) -> list[ndarray]:
        """One step for each parameter that has a gradient."""
        written = []
        lr, momentum, decay = float(group["lr"]), group["momentum"], group["weight_decay"]
        plain = not momentum and not decay and not group["maximize"]
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            x, g = p.array, grad.array
            if x.shape != g.shape:
                raise ValueError(f"SGD: the gradient of a parameter of shape {x.shape} has shape "
                                 f"{g.shape}; was p.grad set by hand?")
            written.append(x)
            if plain and x.size < tuning.SGD_LOOP and x.dtype is not FLOAT16:   # common, cheap
                x -= g * lr
                continue
            v, first = None, False
            if momentum:
                state = self.state[p]
                first = state.get("momentum_buffer") is None
                if first:
                    state["momentum_buffer"] = wrap(np.empty(x.shape, x.dtype))
                v = state["momentum_buffer"].array
            _update(x, g, v, first, lr, group)
        return written


def _update(x: ndarray, g: ndarray, v: ndarray | None, first: bool, lr: float,
            group: dict[str, Any]) -> None:
    """The rule. At the first step v takes g over, with no dampening."""
    decay, sign = float(group["weight_decay"]), -1.0 if group["maximize"] else 1.0
    momentum, share = float(group["momentum"]), 1.0 - float(group["dampening"])
    if first and v is not None:
        v.fill(0)
        share = 1.0
    options = lr, decay, sign, momentum, share, bool(group["nesterov"])
    by_loop = x.size >= tuning.SGD_LOOP and x.dtype.char in "fd" and _alike(x, g) and (
        v is None or _alike(x, v))
    if by_loop:
        kernel.sgd(x.reshape(-1), g.reshape(-1), None if v is None else v.reshape(-1), *options)
    else:
        kernel.sgd_by_numpy(x, g, v, *options)


def _alike(x: ndarray, other: ndarray) -> bool:
    a, b = x.flags, other.flags
    return a.c_contiguous and b.c_contiguous and a.aligned and b.aligned and x.dtype == other.dtype
