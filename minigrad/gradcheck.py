"""Gradient checks: do the rules compute the derivative that finite differences show?

For a function f and random directions v (of the inputs) and u (of the outputs), the rules give
<Jᵀu, v> and two evaluations of f give <u, (f(x + εv) - f(x - εv)) / 2ε>. The two numbers agree for
random u and v only if the whole Jacobian J is right, so a check costs a few evaluations, whatever
the sizes. Only when they disagree is the full Jacobian computed, to name the wrong element.

Not here: the rules themselves (`ops/`); what is checked for each op (`tests/ops/`).
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from .autograd.engine import Tensor, grad, wrap
from .modes import enable_grad, no_grad
from .autograd.writes import memory_owner


class GradcheckError(RuntimeError):
    """The analytic and the numerical derivative differ. The message says where and by how much."""


class KinkError(GradcheckError):
    """The function has no derivative at the point checked: its two one-sided slopes differ."""


def gradcheck(func: Callable, inputs: Tensor | Sequence[Any], *, eps: float = 1e-6,
              atol: float = 1e-7, rtol: float = 1e-5, raise_exception: bool = True,
              seed: int = 0) -> bool:
    """Checks the gradients of func(*inputs) against central differences.

    func: returns a Tensor or a tuple of Tensors; it must be deterministic.
    inputs: the arguments of func. Those that are float64 Tensors with requires_grad are checked.
    eps: the step ε.
    atol, rtol: the check passes if |analytic - numerical| <= atol + rtol * |numerical| (both much
        smaller than torch's 1e-5 and 1e-3, which let wrong rules pass).
    raise_exception: return False instead of raising GradcheckError.
    seed: of the random directions.

    Returns True. Raises:
        GradcheckError: names the function, the argument, the worst element, both values, both
            tolerances; KinkError (a GradcheckError) where the function has a kink at the inputs.
        TypeError: for a float32 input, with the reason. ValueError: nothing to check.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    try:
        _Check(func, inputs, eps, atol, rtol, seed).run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func: Callable, inputs: Tensor | Sequence[Any],
                  grad_outputs: Sequence[Tensor] | None = None, *, eps: float = 1e-6,
                  atol: float = 1e-7, rtol: float = 1e-5, raise_exception: bool = True,
                  seed: int = 0) -> bool:
    """Checks the second derivatives: gradcheck of (inputs, cotangents) -> gradients of func.

    grad_outputs: the cotangents, one for each floating output (default: random).
    Other arguments, result and exceptions as for gradcheck.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = _differentiable(_call(func, inputs))
    if grad_outputs is None:
        rng = np.random.default_rng(seed + 1)
        grad_outputs = [Tensor(_direction(rng, y.shape), requires_grad=True) for y in outputs]
    checked = _checked(inputs)
    n = len(inputs)

    def gradients(*args: Any) -> tuple[Tensor, ...]:
        xs, us = args[:n], args[n:]
        ys = _differentiable(_call(func, xs))
        pairs = [(y, u) for y, u in zip(ys, us) if y.requires_grad]
        wanted = [xs[i] for i in checked]
        if not pairs:
            return tuple(wrap(np.zeros(x.shape)) for x in wanted)
        gs = grad([y for y, _ in pairs], wanted, [u for _, u in pairs], create_graph=True,
                  allow_unused=True)
        return tuple(wrap(np.zeros(x.shape)) if g is None else g for g, x in zip(gs, wanted))

    name = f"{_name(func)} (second order)"
    names = [*_argument_names(func, inputs), *(f"cotangent {i}" for i in range(len(grad_outputs)))]
    try:
        _Check(gradients, (*inputs, *grad_outputs), eps, atol, rtol, seed, name, names,
               forward_grad=True).run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


class _Check:
    """One check: directions, the two derivatives along them, a diagnosis if they differ."""

    def __init__(self, func: Callable, inputs: Sequence[Any], eps: float, atol: float, rtol: float,
                 seed: int, name: str | None = None, names: Sequence[str] | None = None,
                 forward_grad: bool = False) -> None:
        self.func, self.inputs, self.eps, self.atol, self.rtol = func, inputs, eps, atol, rtol
        self.name = name or _name(func)
        self.names = names or _argument_names(func, inputs)
        # gradgradcheck evaluates gradients, which need a graph even for their value alone.
        self.value_mode = enable_grad if forward_grad else no_grad
        self.checked = _checked(inputs)
        _refuse(self.name, self.names, inputs, self.checked)
        rng = np.random.default_rng(seed)
        self.v = [_direction(rng, inputs[i].shape) for i in self.checked]
        with enable_grad():
            self.outputs = _differentiable(_call(func, inputs))
        self.u = [_direction(rng, y.shape) for y in self.outputs]

    def run(self) -> None:
        """Raises GradcheckError unless the derivative along the random directions agrees."""
        analytic = sum(self.analytic())
        x = [self.inputs[i].array for i in self.checked]
        here = self.project(self.values(x))
        there = [self.project(self.values([a + s * self.eps * v for a, v in zip(x, self.v)]))
                 for s in (1, -1)]
        if here != self.project([y.array for y in self.outputs]) and np.isfinite(here):
            raise GradcheckError(f"{self.name}: two calls with equal inputs gave different "
                                 "results; a random function must seed itself anew at each call")
        up, down = (there[0] - here) / self.eps, (here - there[1]) / self.eps
        numerical = (there[0] - there[1]) / (2 * self.eps)
        # Where f is smooth the one-sided slopes differ by about eps * curvature, and by rounding.
        if abs(up - down) > 1e3 * self.eps * (1 + abs(up) + abs(down)) or not self.close(analytic,
                                                                                        numerical):
            self.diagnose(analytic, numerical)

    def close(self, analytic: Any, numerical: Any) -> Any:
        """The tolerance test, elementwise; not a number is never close."""
        return np.abs(analytic - numerical) <= self.atol + self.rtol * np.abs(numerical)

    def analytic(self) -> list[float]:
        """<Jᵀu, v> for each checked argument, by the rules."""
        gradients = self.pull([wrap(u) for u in self.u])
        return [float((g * v).sum()) for g, v in zip(gradients, self.v)]

    def pull(self, cotangents: list[Tensor]) -> list[ndarray]:
        """Jᵀu as arrays; zeros for arguments that the outputs do not depend on."""
        pairs = [(y, u) for y, u in zip(self.outputs, cotangents) if y.requires_grad]
        inputs = [self.inputs[i] for i in self.checked]
        if not pairs:
            return [np.zeros(x.shape) for x in inputs]
        gs = grad([y for y, _ in pairs], inputs, [u for _, u in pairs], retain_graph=True,
                  allow_unused=True)
        return [np.zeros(x.shape) if g is None else g.array for g, x in zip(gs, inputs)]

    def values(self, arrays: Sequence[ndarray]) -> list[ndarray]:
        """The outputs at other values of the checked inputs."""
        args = list(self.inputs)
        for i, array in zip(self.checked, arrays):
            args[i] = Tensor(array, requires_grad=True)
        with self.value_mode():
            return [y.array for y in _differentiable(_call(self.func, args))]

    def project(self, values: Sequence[ndarray]) -> float:
        """<u, f(x)>."""
        return float(sum((u * y).sum() for u, y in zip(self.u, values)))

    # after a failure

    def diagnose(self, analytic: float, numerical: float) -> None:
        """Computes the Jacobians element by element and raises with the worst element."""
        tolerances = f"atol {self.atol:g}, rtol {self.rtol:g}, eps {self.eps:g}"
        for k, i in enumerate(self.checked):
            name, shape = self.names[i], self.inputs[i].shape
            numeric, kinks = self.numerical_jacobian(k)
            if kinks is not None:
                element, up, down = kinks
                raise KinkError(
                    f"{self.name}: kink at argument '{name}'{_at(element, shape)} = "
                    f"{self.inputs[i].array.flat[element]:.6g}: the slope is {down:.6g} on one "
                    f"side and {up:.6g} on the other, so there is no derivative to compare with. "
                    f"Check at points further than eps from the kink")
            rules = self.analytic_jacobian(k)
            bad = ~self.close(rules, numeric)
            if bad.any():
                error = np.where(bad, np.nan_to_num(np.abs(rules - numeric), nan=np.inf), 0)
                row, column = np.unravel_index(int(error.argmax()), error.shape)
                out, at_out = self.output_element(int(row))
                ratio = f" (ratio {rules[row, column] / numeric[row, column]:.6g})" \
                    if numeric[row, column] and np.isfinite(rules[row, column]) else ""
                raise GradcheckError(
                    f"{self.name}: wrong derivative with respect to argument '{name}'. Worst of "
                    f"{int(bad.sum())} wrong entries of {bad.size}: d output{out}{at_out} / d "
                    f"{name}{_at(int(column), shape)}: analytic {rules[row, column]:.10g}, "
                    f"numerical {numeric[row, column]:.10g}{ratio}; {tolerances}")
        raise GradcheckError(
            f"{self.name}: along a random direction the analytic derivative is {analytic:.10g}, "
            f"the numerical {numerical:.10g} ({tolerances}), although each entry of the Jacobian "
            "alone is within tolerance: many small errors, or a step too large for the curvature")

    def numerical_jacobian(self, k: int) -> tuple[ndarray, tuple[int, float, float] | None]:
        """d outputs / d argument k by differences, (outputs, elements), and the first kink."""
        x = [self.inputs[i].array for i in self.checked]
        flat = lambda arrays: np.concatenate([a.ravel() for a in arrays] or [np.empty(0)])
        here = flat(self.values(x))
        columns = []
        for j in range(x[k].size):
            moved = []
            for s in (1, -1):
                xs = [a.copy() for a in x]
                xs[k].flat[j] += s * self.eps
                moved.append(flat(self.values(xs)))
            up, down = (moved[0] - here) / self.eps, (here - moved[1]) / self.eps
            jump = np.abs(up - down) > 1e3 * self.eps * (1 + np.abs(up) + np.abs(down))
            if jump.any():
                at = int(jump.argmax())
                return np.empty((0, 0)), (j, float(up[at]), float(down[at]))
            columns.append((moved[0] - moved[1]) / (2 * self.eps))
        return np.stack(columns, 1) if columns else np.empty((here.size, 0)), None

    def analytic_jacobian(self, k: int) -> ndarray:
        """d outputs / d argument k by the rules, one backward pass a row: (outputs, elements)."""
        rows = []
        for o, y in enumerate(self.outputs):
            for j in range(y.array.size):
                us = [np.zeros(z.shape) for z in self.outputs]
                us[o].flat[j] = 1.0
                rows.append(self.pull([wrap(u) for u in us])[k].ravel())
        return np.stack(rows) if rows else np.empty((0, self.v[k].size))

    def output_element(self, row: int) -> tuple[str, str]:
        """Which output a row of the Jacobian is, and where in it."""
        for o, y in enumerate(self.outputs):
            if row < y.array.size:
                return (f" {o}" if len(self.outputs) > 1 else ""), _at(row, y.shape)
            row -= y.array.size
        raise AssertionError(row)


def _direction(rng: np.random.Generator, shape: tuple[int, ...]) -> ndarray:
    """Random signs times magnitudes in [0.5, 1.5]: no component too small to show an error."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape)


def _call(func: Callable, args: Sequence[Any]) -> tuple[Tensor, ...]:
    result = func(*args)
    return (result,) if isinstance(result, Tensor) else tuple(result)


def _differentiable(outputs: Sequence[Any]) -> list[Tensor]:
    return [y for y in outputs if isinstance(y, Tensor) and y.is_floating_point()]


def _checked(inputs: Sequence[Any]) -> list[int]:
    return [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]


def _refuse(name: str, names: Sequence[str], inputs: Sequence[Any], checked: list[int]) -> None:
    if not checked:
        raise ValueError(f"gradcheck of {name}: no input is a Tensor with requires_grad=True, so "
                         "there is nothing to check")
    for i in checked:
        x = inputs[i]
        if x.dtype != np.float64:
            raise TypeError(f"gradcheck of {name}: argument '{names[i]}' is {x.dtype}, want "
                            f"float64: a difference of two {x.dtype} numbers has too few correct "
                            "digits. Pass x.double().detach().requires_grad_()")
        if x.array.size > 1 and memory_owner(x.array).size < x.array.size:
            raise ValueError(f"gradcheck of {name}: elements of argument '{names[i]}' share memory "
                             "(it was expanded); pass x.contiguous() as a leaf")


def _name(func: Callable) -> str:
    return getattr(func, "__name__", type(func).__name__)


def _argument_names(func: Callable, inputs: Sequence[Any]) -> list[str]:
    try:
        names = [p.name for p in inspect.signature(func).parameters.values()
                 if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        names = []
    return [names[i] if i < len(names) else f"argument {i}" for i in range(len(inputs))]


def _at(flat: int, shape: tuple[int, ...]) -> str:
    """'[1, 2]': where in an array of this shape the flat index is; '' for a single number."""
    return str([int(i) for i in np.unravel_index(flat, shape)]) if shape else ""
