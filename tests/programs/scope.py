"""What families of operations draw from: the program so far, and what it has made.

The scout is a library (minigrad, or torch) that runs each step at once, so that the next can be
drawn for the shapes that really exist; no family states the shape of a result. A step that the
scout refuses is mostly thrown away; a few stay, for refusals are compared, too.

Not here: the families (`families.py`), how a program begins and ends (`draw.py`).
"""
from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .program import FLOATS, Machine, Step

LARGE = 1 << 12                                    # elements from which few steps are taken


class Skip(Exception):
    """This family finds nothing to work on."""


Family = Callable[["Scope"], Step]
FAMILIES: list[tuple[str, float, Family]] = []


def family(weight: float, profiles: str = "") -> Callable[[Family], Family]:
    """Enters a function that proposes a step. profiles: "image" only, for example."""
    def enter(function: Family) -> Family:
        FAMILIES.append((profiles, weight, function))
        return function
    return enter


class Scope:
    """The program so far, and what it has made: what families draw from."""

    def __init__(self, torch: Any, seed: int, profile: str = "") -> None:
        self.rng = random.Random(seed)
        self.profile = profile or self.rng.choices(
            ("plain", "half", "mixed", "image", "sizes", "rows"), (60, 8, 10, 12, 9, 1))[0]
        self.machine = Machine(torch)
        self.torch = torch
        self.steps: list[Step] = []
        self.count = 0
        self.parents: dict[str, str] = {}          # v2 = v1[index]: v2 is seen by v1
        self.handles: list[str] = []
        self.views: set[str] = set()
        self.hooked = False
        self.dtype = {"half": "float16"}.get(self.profile) or self.rng.choice(
            ("float32", "float32", "float64"))

    # drawing

    def chance(self, p: float) -> bool:
        """True in a share p of all calls."""
        return self.rng.random() < p

    def pick(self, options: Any) -> Any:
        """One of them."""
        return self.rng.choice(list(options))

    def fresh(self, n: int = 1, letter: str = "v") -> str:
        """n new names, as the left side of an assignment."""
        self.count += n
        return ", ".join(f"{letter}{self.count - n + i}" for i in range(n))

    def new(self, expression: str, tag: str = "", n: int = 1) -> Step:
        """v7 = expression."""
        return Step(f"{self.fresh(n)}{',' if n == 1 and tag == 'tuple' else ''} = {expression}",
                    "" if tag == "tuple" else tag)

    def values(self) -> dict[str, Any]:
        """All tensors by name."""
        return dict(self.machine.tensors())

    def some(self, accept: Callable[[Any], bool] = lambda x: True, recent: float = 0.5) -> str:
        """A name whose tensor is accepted; later ones are likelier."""
        names = [n for n, x in self.values().items() if accept(x)]
        if not names:
            raise Skip
        return self.rng.choice(names[-3:] if self.chance(recent) else names)

    def float(self, accept: Callable[[Any], bool] = lambda x: True, plain: bool = False) -> str:
        """A floating tensor: a name, sometimes an expression that keeps the shape."""
        name = self.some(lambda x: kind(x) in FLOATS and accept(x))
        if plain or not self.chance(0.08):
            return name
        return self.pick(("({} * 2)", "(-{})", "{}.clone()", "F.relu({})", "({} + 0.5)",
                          "torch.tanh({})", "{}.detach()")).format(name)

    def get(self, expression: str) -> Any:
        """The tensor that an expression is, on the scout."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return eval(expression, self.machine.names)
        except Exception:
            raise Skip from None

    def shape(self, expression: str) -> tuple[int, ...]:
        """The shape of that."""
        return tuple(self.get(expression).shape)

    def seed(self) -> int:
        """A seed for numbers."""
        return self.rng.randrange(1 << 20)

    def dim(self, ndim: int) -> int:
        """A dimension, sometimes counted from the end, seldom one that does not exist."""
        if self.chance(0.02):
            return ndim + 1
        return self.rng.randrange(-max(ndim, 1), max(ndim, 1))

    def dims(self, ndim: int) -> str:
        """None, one, several or no dimensions."""
        r = self.rng.random()
        if r < 0.25:
            return "None"
        if r < 0.6 or not ndim:
            return str(self.dim(ndim))
        if r < 0.67:
            return "()"
        some = self.rng.sample(range(ndim), self.rng.randint(1, ndim))
        return str(tuple([d - ndim if self.chance(0.3) else d for d in some]))

    def size(self) -> int:
        """The size of a dimension."""
        return self.rng.choices((0, 1, 2, 3, 4, 5, 7, 16), (3, 14, 22, 24, 20, 8, 6, 2))[0]

    def sizes(self, ndim: int | None = None) -> tuple[int, ...]:
        """A shape of a new input."""
        if ndim is None:
            ndim = self.rng.choices((0, 1, 2, 3, 4), (8, 22, 40, 22, 6))[0]
        return tuple([self.size() for _ in range(ndim)])

    def make(self, shape: tuple[int, ...], dtype: str = "", what: str = "", grad: bool = False,
             layout: str = "") -> str:
        """The expression of a new input."""
        what = what or self.rng.choices(("normal", "whole", "positive", "unit"), (60, 18, 15, 7))[0]
        more = f", layout={layout!r}" if layout else ""
        more += ", grad=True" if grad else ""
        return f"make({shape}, {(dtype or self.dtype)!r}, {what!r}, {self.seed()}{more})"

    def layout(self) -> str:
        """How an input lies in memory: mostly in order."""
        return self.rng.choices(
            ("", "transposed", "stepped", "flipped", "offset", "big"), (70, 8, 6, 6, 4, 6))[0]

    def fits(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts with this one."""
        cut = shape[self.rng.randrange(len(shape) + 1):] if self.chance(0.4) else shape
        return tuple([1 if self.chance(0.2) else n for n in cut])

    def other(self, shape: tuple[int, ...], dtype: str = "") -> str:
        """A second operand for a tensor of this shape: a name, a new input, a number."""
        if self.chance(0.25):
            return str(self.pick((2, 0.5, -1, 3, -1.5, 0, 1, True)))
        if self.chance(0.6):
            try:
                return self.some(lambda x: broadcasts(tuple(x.shape), shape)
                                 and (kind(x) in FLOATS or self.chance(0.2)))
            except Skip:
                pass
        return self.make(self.fits(shape), dtype)

    # memory

    def share(self, a: Any, b: Any) -> bool:
        """Whether two tensors of the scout share memory."""
        if self.torch.__name__ == "torch":
            return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
        return owner(a.array) is owner(b.array)

    def is_view(self, name: str) -> bool:
        """Whether a value is a view, as torch counts."""
        x = self.values()[name]
        return name in self.views or (self.torch.__name__ == "torch" and x._is_view())

    # trying

    def take(self, step: Step) -> bool:
        """Tries a step on the scout; whether it is in the program now."""
        before = set(self.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refusal = self.machine.do(step)
        if refusal is not None:
            if (refusal.foreign and self.torch.__name__ != "torch") or self.chance(0.12):
                self.steps.append(step)
                return True
            return False
        self.steps.append(step)
        if step.tag == "view":
            self.views |= step.makes
        for name in set(self.values()) - before:
            x = self.values()[name]
            a = x.detach().numpy()
            if a.size > 3 << 20:                   # too large to go on with
                del self.machine.names[name]
                self.steps.append(Step(f"del {name}"))
            elif a.dtype.kind == "f" and a.size and not self.chance(0.2) and not (
                    np.nanmax(np.abs(a), initial=0) < 1e3 and np.isfinite(a).all()):
                self.machine.names.pop(name)       # no more is made of what has left all bounds
        return True


def kind(x: Any) -> str:
    """The name of a tensor's dtype."""
    return str(x.dtype).replace("torch.", "")


def owner(array: np.ndarray) -> Any:
    """Whose memory it is."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether two shapes do."""
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1]))


def small(x: Any) -> bool:
    """Not so large that a step takes long."""
    return x.numel() <= LARGE
