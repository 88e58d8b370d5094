"""Run one parity case under any torch-like namespace and compare two results.

Shared by `make_vectors.py` (which runs it under torch) and `tests/test_parity.py` (which runs it
under minigrad).  Not in this file: the cases themselves, see `cases.py`.
"""

from __future__ import annotations

import importlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent

# How far a result may be from torch's float64 result: |a - b| <= rtol * |b| + atol * max|b|.
# torch's own float32 results stay within a quarter of these; `make_vectors.py` demands it.
TOLERANCE = {"float64": (1e-11, 1e-12), "float32": (5e-6, 1e-6)}


@dataclass(frozen=True)
class Input:
    """One argument of a case: `make(rng)` draws it; `kind` is "float", "int64" or "bool"."""

    make: Callable[[np.random.RandomState], np.ndarray]
    kind: str = "float"
    grad: bool = True


@dataclass(frozen=True)
class Case:
    """`run(t, F, *inputs)`, or `run(t, F, module, *inputs)` when `module(t)` builds a layer."""

    name: str
    run: Callable[..., Any]
    inputs: tuple[Input, ...] = ()
    module: Callable[[Any], Any] | None = None
    needs: str = ""  # dotted name of something the library may lack, such as "Tensor.cumsum"


@dataclass
class Result:
    """What a case gave: outputs, gradients by name, and facts that are no arrays."""

    outputs: list[np.ndarray] = field(default_factory=list)
    grads: dict[str, np.ndarray] = field(default_factory=dict)
    facts: list[Any] = field(default_factory=list)

    def arrays(self) -> list[tuple[str, np.ndarray]]:
        """Outputs and gradients in one fixed order, each with its name."""
        named = [(f"output {i}", a) for i, a in enumerate(self.outputs)]
        return named + [(f"gradient of {k}", a) for k, a in self.grads.items()]


def rng_for(name: str) -> np.random.RandomState:
    """The random stream of a case.

    RandomState and not Generator: NumPy has promised never to change RandomState's numbers
    (NEP 19), and only its uniform draws are used, which no maths library can alter.
    """
    return np.random.RandomState(zlib.crc32(name.encode()))


def uniform(rng: np.random.RandomState, shape: tuple[int, ...], low: float, high: float) -> Any:
    """Uniform numbers that float32 holds exactly, so that both dtypes see the same input."""
    return (low + (high - low) * rng.random_sample(shape)).astype(np.float32).astype(np.float64)


def load_namespace(name: str) -> ModuleType:
    """Import `name` ("minigrad" or "torch") with the sub-modules that cases reach through it."""
    for part in ("nn", "nn.functional", "nn.init", "optim", "optim.lr_scheduler"):
        importlib.import_module(f"{name}.{part}")
    return importlib.import_module(name)


class default_dtype:
    """`with default_dtype(t, "float64"):` sets the default float type and puts float32 back."""

    def __init__(self, t: Any, dtype: str) -> None:
        self.t, self.dtype = t, dtype

    def __enter__(self) -> None:
        self.t.set_default_dtype(getattr(self.t, self.dtype))

    def __exit__(self, *exc: object) -> None:
        self.t.set_default_dtype(self.t.float32)


def flat(value: Any) -> Iterator[Any]:
    """The leaves of nested tuples and lists."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from flat(item)
    else:
        yield value


def run_case(case: Case, t: Any, dtype: str) -> Result:
    """Run `case` in `dtype`: outputs, then gradients of sum(output * random cotangent)."""
    with default_dtype(t, dtype):
        return _run(case, t, dtype)


def _run(case: Case, t: Any, dtype: str) -> Result:
    rng = rng_for(case.name)
    leaves: dict[str, Any] = {}
    arguments: list[Any] = []
    for i, spec in enumerate(case.inputs):
        array = spec.make(rng).astype(dtype if spec.kind == "float" else spec.kind)
        differentiable = spec.grad and spec.kind == "float"
        tensor = t.tensor(array, requires_grad=differentiable)
        arguments.append(tensor)
        if differentiable:
            leaves[f"input {i}"] = tensor
    result = Result()
    if case.module is not None:
        module = case.module(t)
        state = {}
        for key, value in module.state_dict().items():
            state[key] = t.tensor(uniform(rng, tuple(value.shape), -0.6, 0.6).astype(dtype))
            result.facts.append([key, list(value.shape)])
        module.load_state_dict(state)
        leaves.update(dict(module.named_parameters()))
        arguments.insert(0, module)

    loss = None
    for out in flat(case.run(t, t.nn.functional, *arguments)):
        if not hasattr(out, "detach"):
            result.facts.append(out)
            continue
        array = out.detach().numpy().copy()
        result.outputs.append(array)
        cotangent = uniform(rng, array.shape, -1.0, 1.0).astype(array.dtype)
        if out.requires_grad:
            term = (out * t.tensor(cotangent)).sum()
            loss = term if loss is None else loss + term
    if loss is not None:
        loss.backward()
        for name, leaf in leaves.items():
            if leaf.grad is not None:
                result.grads[name] = leaf.grad.detach().numpy().copy()
    return result


def disagreement(got: np.ndarray, want: np.ndarray, dtype: str) -> float:
    """The largest error as a share of what `TOLERANCE` allows; inf if nan or inf differ."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return float("inf")
    if want.dtype.kind in "biu":
        return 0.0 if np.array_equal(got, want) else float("inf")
    got = got.astype(np.float64)
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True):
        return float("inf")
    got, want = got[finite], want[finite]
    if got.size == 0:
        return 0.0
    rtol, atol = TOLERANCE[dtype]
    allowed = rtol * np.abs(want) + atol * np.abs(want).max()
    error = np.abs(got - want)
    share = np.where(error == 0, 0.0, error / np.maximum(allowed, np.finfo(np.float64).tiny))
    return float("inf") if np.isnan(share).any() else float(share.max())


class Vectors:
    """The stored results of `cases.py`: numbers in `parity.npz`, shapes and dtypes in the JSON."""

    def __init__(self) -> None:
        self.index = json.loads((HERE / "parity.json").read_text())
        with np.load(HERE / "parity.npz") as stored:
            pools = {key: stored[key] for key in stored.files}
        self.results: dict[str, Result] = {}
        position = dict.fromkeys(pools, 0)
        for name, entry in self.index.items():
            result = Result(facts=entry.get("facts", []))
            for label, kind, shape in entry["arrays"]:
                size = int(np.prod(shape))
                start = position[kind]
                array = pools[kind][start : start + size].reshape(shape)
                position[kind] += size
                if label.startswith("output"):
                    result.outputs.append(array)
                else:
                    result.grads[label.removeprefix("gradient of ")] = array
            self.results[name] = result

    def dtypes(self, name: str, run: str) -> list[str]:
        """The dtype of each output of case `name` when its inputs have dtype `run`."""
        listed: list[str] = self.index[name]["dtypes"]
        return [run if d == "run" else d for d in listed]
