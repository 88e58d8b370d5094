"""A program is a list of steps, each a line of Python in torch's words; any such module runs it.

    v0 = make((2, 3), "float32", "normal", seed=17, grad=True)
    v1 = torch.sum(v0, dim=(0,))
    v1.backward(make((3,), "float32", "normal", seed=18))

Lines are data enough: they can be stored, cut out one by one, run by minigrad and by torch, and
printed as a script that shows a fault. Names that lines assign: v0, v1, ... (values), h0, ...
(handles of hooks), m0, ... (modules). Not here: which lines (`draw.py`), what may differ
(`expect.py`).
"""
from __future__ import annotations

import ast
import importlib
import inspect
import linecache
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, ModuleType
from typing import Any

import numpy as np

DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
FLOATS = {"float16", "float32", "float64"}

#: What a step is for whoever runs programs in another way: a "view" of its first argument, a
#: "write" in place, a "hook" that changes gradients, a "walk" through the graph.
TAGS = ("", "view", "write", "hook", "walk")


@dataclass(frozen=True)
class Step:
    """One line (or `with` block), and what it is (TAGS)."""

    text: str
    tag: str = ""

    @property
    def makes(self) -> frozenset[str]:
        """The names that it assigns."""
        return _names(self.text)[0]

    @property
    def uses(self) -> frozenset[str]:
        """The program's names that it reads."""
        return _names(self.text)[1]


@lru_cache(maxsize=4096)
def _names(text: str) -> tuple[frozenset[str], frozenset[str]]:
    made, used = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and re.fullmatch(r"[vhm]\d+", node.id):
            (made if isinstance(node.ctx, ast.Store) else used).add(node.id)
    if any(isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
           for n in ast.walk(ast.parse(text))):
        used |= made                               # v1 += v2 reads v1, too
    return frozenset(made), frozenset(used)


@lru_cache(maxsize=4096)
def _code(text: str) -> CodeType:
    return compile(text, "<program>", "exec")


@dataclass(frozen=True)
class Program:
    """The steps, and a name by which it can be drawn again."""

    steps: tuple[Step, ...]
    name: str = ""

    def without(self, gone: set[int]) -> Program:
        """Without these steps and without what is made of their results."""
        lost: set[str] = set()
        kept = []
        for i, step in enumerate(self.steps):
            if i in gone or step.uses & lost:
                lost |= step.makes
            else:
                lost -= step.makes
                kept.append(step)
        return Program(tuple(kept), self.name)

    def as_json(self) -> list:
        """[[text, tag], ...]."""
        return [[s.text, s.tag] for s in self.steps]

    def __str__(self) -> str:
        return "\n".join(s.text for s in self.steps)


def script(program: Program) -> str:
    """A program to save and run: `python it.py minigrad`, `python it.py torch`."""
    text = "".join(inspect.getsource(f) + "\n\n" for f in (numbers, laid_out, _make, _log, _set))
    needed = ["import importlib", "import sys", "", "import numpy as np", "",
              'NAME = sys.argv[1] if len(sys.argv) > 1 else "minigrad"',
              "torch = importlib.import_module(NAME)",
              'nn, F = importlib.import_module(NAME + ".nn"), '
              'importlib.import_module(NAME + ".nn.functional")',
              f"{', '.join(DTYPES)} = ({', '.join('torch.' + d for d in DTYPES)})",
              "LOGS: dict = {}", ""]
    tail = ["", "make = lambda *args, **options: _make(torch, *args, **options)",
            "log = lambda *args: _log(LOGS, *args)",
            "set_parameters = lambda *args: _set(make, torch, *args)", "",
            str(program), "",
            "for name, value in [*globals().items()]:",
            "    if isinstance(value, torch.Tensor) and name[0] == 'v':",
            "        print(name, value.dtype, tuple(value.shape), value, sep='\\n')",
            "        if value.is_leaf and value.grad is not None:",
            "            print(name + '.grad', value.grad, sep='\\n')",
            "print(LOGS)"]
    return "\n".join(needed) + "\n" + text + "\n".join(tail) + "\n"


# --- what lines may call -------------------------------------------------------------------------

def numbers(shape: tuple, kind: str, seed: int) -> np.ndarray:
    """Numbers that float32 holds (of small arrays float16, too), from a stream that NumPy has
    promised never to change."""
    rs = np.random.RandomState(seed)
    if kind == "mask":
        return rs.random_sample(shape) < 0.5
    if kind == "whole":                            # ties, zeros, and sums without rounding
        return rs.randint(-3, 4, shape).astype(np.float64)
    if kind.startswith("below "):                  # indices
        return rs.randint(0, max(1, int(kind[6:])), shape)
    if kind.startswith("about "):                  # indices that count from both ends
        n = int(kind[6:])
        return rs.randint(-n, max(n, 1 - n), shape)
    x = rs.random_sample(shape)
    x = np.round((x * 4 - 2) * 512) / 512
    if kind == "positive":
        x = np.abs(x) + 0.25
    elif kind == "unit":
        x = (x + 2.25) / 4.5
        x = np.round(x * 1024) / 1024
    elif kind == "special":
        flat = x.reshape(-1)
        for i, value in enumerate((0.0, -0.0, np.inf, -np.inf, np.nan, 1.0)):
            flat[i * 5 + 1::31] = value
    elif kind == "tenth":                          # all alike: what a sum loses shows
        x = np.full(shape, 0.1)
    return x


def laid_out(a: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers in memory of another order, or of the other byte order."""
    if layout == "big":
        return a.astype(a.dtype.newbyteorder(">"))
    if layout == "transposed" and a.ndim:
        return np.ascontiguousarray(a.T).T
    if layout == "stepped":
        room = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 1) if a.ndim else (3,), a.dtype)
        view = room[..., 1::2] if a.ndim else room[1:2].reshape(())
        view[...] = a
        return view
    if layout == "flipped":
        return np.ascontiguousarray(a[..., ::-1])[..., ::-1] if a.ndim else a
    if layout == "offset":
        room = np.zeros(a.size + 3, a.dtype)
        room[3:] = a.reshape(-1)
        return room[3:].reshape(a.shape)
    return a


def _make(torch, shape, dtype, kind, seed, layout="", grad=False):
    """A tensor of these numbers; where the library takes no such memory, of an ordinary copy."""
    a = np.asarray(numbers(shape, kind, seed), dtype)
    try:
        x = torch.from_numpy(laid_out(a, layout))
    except (TypeError, ValueError) as error:
        if layout not in ("big", "flipped"):
            raise
        if "minigrad" in torch.__name__ and layout == "flipped":
            raise AssertionError("flipped memory is ordinary") from error
        x = torch.from_numpy(np.array(a))
    return x.requires_grad_() if grad else x


def _log(logs, name, then=None):
    """A hook that writes down what it gets, and returns what `then` makes of it."""
    def hook(g):
        logs.setdefault(name, []).append(g.detach().numpy().copy())
        return None if then is None else then(g)
    return hook


def _set(make, torch, module, dtype, seed):
    """The module with parameters of known numbers."""
    module = module.to(dtype)
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(make(tuple(p.shape), str(p.dtype).replace("torch.", ""), "normal", seed + i)
                    * 0.5)
    return module


# --- running -------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Refusal:
    """What a step raised; foreign: it was not said by the library's own `raise`."""

    kind: str
    message: str
    foreign: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" + (" (from inside)" if self.foreign else "")


@dataclass
class Run:
    """What came of a program: for each step None or a refusal, then all values by name."""

    steps: list[Refusal | None] = field(default_factory=list)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warned: list[tuple[int, str, str]] = field(default_factory=list)     # step, category, text
    same: dict[str, str] = field(default_factory=dict)       # v2 is the very object that v1 is
    lost: set[str] = field(default_factory=set)              # torch does not let look at it


def load(name: str) -> ModuleType:
    """minigrad or torch, with its nn, nn.functional and optim."""
    for part in ("nn", "nn.functional", "nn.utils", "optim"):
        importlib.import_module(f"{name}.{part}")
    return importlib.import_module(name)


class Machine:
    """Runs steps one by one under a torch-like module.

    wide: float16 and float32 become float64, inputs and casts: the truth of the same program.
    noise: a seed for a relative change of inputs by about one rounding; 0 for none; negative: also
        of whole numbers, so that ties fall.
    layout: of every input, instead of its own.  after: called with (step, names made) afterwards.
    """

    def __init__(self, torch: Any, *, wide: bool = False, noise: int = 0,
                 layout: str | None = None,
                 after: Callable[[Machine, Step], None] | None = None) -> None:
        self.torch, self.wide, self.noise, self.layout, self.after = (
            torch, wide, noise, layout, after)
        self.logs: dict[str, list] = {}
        self.names: dict[str, Any] = {
            "torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np,
            "make": self._make, "log": lambda *args: _log(self.logs, *args),
            "set_parameters": lambda *args: _set(self._make, torch, *args),
            "_as_array": lambda make: lambda *args, **more: make(*args, **more).numpy()}
        for d in DTYPES:
            self.names[d] = getattr(torch, "float64" if wide and d in FLOATS else d)

    def _make(self, shape: tuple, dtype: str, kind: str, seed: int, layout: str = "",
              grad: bool = False) -> Any:
        given = dtype
        if self.wide and dtype in FLOATS:
            dtype = "float64"
        if self.layout is not None:
            layout = self.layout
        if self.torch.__name__ == "torch":         # it knows neither: other strides, and none
            layout = {"flipped": "stepped", "big": ""}.get(layout, layout)
        exact = kind == "tenth" or (kind == "whole" and self.noise >= 0)
        if not self.noise or dtype not in FLOATS or exact:
            if self.wide and given == "float32" and kind == "tenth":
                x = self.torch.from_numpy(numbers(shape, kind, seed).astype(given).astype(dtype))
                return x.requires_grad_() if grad else x
            return _make(self.torch, shape, dtype, kind, seed, layout, grad)
        rs = np.random.RandomState(seed + 7919 * abs(self.noise))
        a = numbers(shape, kind, seed)
        a = a * (1 + float(np.finfo(dtype).eps) * (2 * rs.random_sample(shape) - 1))
        x = self.torch.from_numpy(np.asarray(a, dtype))
        return x.requires_grad_() if grad else x

    def do(self, step: Step) -> Refusal | None:
        """Runs one step; what it refuses is returned, and the program can go on."""
        try:
            exec(_code(step.text), self.names)
        except Exception as error:
            return Refusal(type(error).__name__, str(error), not _own(error))
        if self.after is not None:
            self.after(self, step)
        return None

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """The values that are tensors, by name."""
        for name, value in self.names.items():
            if re.fullmatch(r"v\d+", name) and isinstance(value, self.torch.Tensor) \
                    and _readable(value):
                yield name, value

    def observe(self, run: Run) -> None:
        """Writes down all that a user could see."""
        first: dict[int, str] = {}
        for name, value in self.names.items():
            if re.fullmatch(r"m\d+", name) and hasattr(value, "named_parameters"):
                for key, p in value.named_parameters():
                    if p.grad is not None:
                        run.values[f"{name}.{key}.grad"] = _array(p.grad)
                    run.values[f"{name}.{key}"] = _array(p)
            if not re.fullmatch(r"v\d+", name):
                continue
            if isinstance(value, self.torch.Tensor):
                if not _readable(value):
                    run.lost.add(name)
                    continue
                if first.setdefault(id(value), name) != name:
                    run.same[name] = first[id(value)]
                run.values[name] = _array(value)
                run.facts[name] = [bool(value.requires_grad), bool(value.is_leaf)]
                if value.grad is not None:
                    run.values[f"{name}.grad"] = _array(value.grad)
            elif isinstance(value, (bool, int, float)):
                run.values[name] = np.asarray(value, np.float32 if type(value) is float else None)
            elif value is None:
                run.facts[name] = None
        for name, list_of in self.logs.items():
            for i, g in enumerate(list_of):
                run.values[f"{name} call {i}"] = g


def _readable(x: Any) -> bool:
    """Not if torch has lost what it is: one of several views, after a write into another."""
    try:
        return x.is_leaf in (True, False)
    except RuntimeError:
        return False


def _array(x: Any) -> np.ndarray:
    try:
        return np.array(x.detach().numpy())
    except RuntimeError:                           # torch: zeros that have no memory
        return np.array((x.detach() + 0).numpy())


def run(program: Program, torch: Any, **options: Any) -> Run:
    """Runs all steps and observes."""
    result = Run()
    machine = Machine(torch, **options)
    before = torch.get_default_dtype()
    if machine.wide:
        torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for i, step in enumerate(program.steps):
                result.steps.append(machine.do(step))
                result.warned += [(i, w.category.__name__, str(w.message)) for w in caught
                                  if w.category.__name__ != "TrainingWarning"]    # once a process
                caught.clear()
            machine.observe(result)
    finally:
        torch.set_default_dtype(before)
    return result


def _own(error: Exception) -> bool:
    """Whether the library itself said so: by a `raise` in its own files, with a name in front."""
    if type(error) not in (ValueError, TypeError, IndexError, RuntimeError, ZeroDivisionError):
        return False
    if re.match(r"[\w.]+( [\w.]+){0,2}(\(.*?\))?: ", str(error)) is None:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    name = trace.tb_frame.f_code.co_filename
    ours = os.sep + "minigrad" + os.sep in name or name.startswith("<minigrad")
    return ours and linecache.getline(name, trace.tb_lineno).strip().startswith("raise")
