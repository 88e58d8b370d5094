"""The same program in another way that must change nothing: what to compare with where no torch is.

Each variant runs the program once more and compares: with fusion off, on one thread, with inputs of
another layout, with hooks that return None, with every gradient kept, with copies instead of views,
in float64, and its derivatives against differences. Not here: torch's word (`expect.py`).
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .expect import Expected, Fault, _largest, off
from .program import FLOATS, Machine, Program, Run, Step, numbers, run

SLACK = 32                                         # roundings of the largest number of an array


def vary(program: Program, minigrad: Any) -> Fault | None:
    """The first variant that changes what it must not."""
    plain = run(program, minigrad)
    for step, refusal in zip(program.steps, plain.steps):
        if refusal is not None and refusal.foreign and "NoneType" not in refusal.message:
            return Fault(step.text, f"{refusal.kind} from inside: {refusal.message}")
    for name, variant in VARIANTS.items():
        fault = variant(program, minigrad, plain)
        if fault is not None:
            return Fault(fault.where, f"{name}: {fault.what}", fault.details)
    return None


# --- comparing -----------------------------------------------------------------------------------

def _apart(plain: Run, other: Run, allowed: Callable[[str], float] | None = None,
           strict: bool = True) -> Fault | None:
    """The first value of both runs that differs; allowed: by how much, else by no bit."""
    same = [(a is None) == (b is None) for a, b in zip(plain.steps, other.steps)]
    if not all(same):
        i = same.index(False)
        return Fault(f"step {i}", f"{plain.steps[i]} and {other.steps[i]}") if strict else None
    for name, want in plain.values.items():
        got = other.values.get(name)
        if got is None:
            if strict:
                return Fault(name, "missing")
            continue
        room = 0.0 if allowed is None else allowed(name)
        text = off(got, Expected(want.astype(np.float64) if want.dtype.kind == "f" else want,
                                 room, str(want.dtype)))
        if text:
            return Fault(name, text, f"got\n{got}\nwant (within {room:.3g})\n{want}")
    return None


def _rounded(program: Program, minigrad: Any, plain: Run, more: float = 1
             ) -> Callable[[str], float]:
    """How far a value may be off that is computed in another order: what one rounding of the
    inputs changes says how the program magnifies roundings."""
    noisy: list[Run] = []

    def allowed(name: str) -> float:
        if not noisy:
            noisy.extend(run(program, minigrad, noise=n) for n in (1, 2))
        own = plain.values[name]
        moved = [r.values.get(name) for r in noisy]
        if any(m is None or m.shape != own.shape for m in moved):
            return np.inf
        if own.dtype.kind != "f":
            return 0.0 if all(np.array_equal(m, own) for m in moved) else np.inf
        finite = np.isfinite(own)
        if not all(np.array_equal(np.isfinite(m), finite) for m in moved):
            return np.inf
        # A float64 number may come out of a step in float32.
        eps = float(max(np.finfo(d).eps for d in FLOATS if d in str(program) or d == own.dtype))
        scale = max(1.0, float(np.max(np.abs(own), initial=0, where=finite)))
        return more * max(SLACK * eps * scale, *(16 * _largest(m, own, finite) for m in moved))
    return allowed


# --- variants ------------------------------------------------------------------------------------

@contextmanager
def _setting(get: Callable[[], Any], put: Callable[[Any], None], value: Any) -> Iterator[None]:
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before)


def _without_fusion(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    from minigrad.modes import settings
    with _setting(lambda: settings.fuse, lambda v: setattr(settings, "fuse", v), False):
        return _apart(plain, run(program, minigrad))


def _on_one_thread(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    with _setting(minigrad.get_num_threads, minigrad.set_num_threads, 1):
        return _apart(plain, run(program, minigrad))


def _laid_out(layout: str) -> Callable[[Program, Any, Run], Fault | None]:
    def variant(program: Program, minigrad: Any, plain: Run) -> Fault | None:
        text = str(program)
        if "contiguous" in text or (re.search("reshape|flat|repeat|tile", text) and any(
                s.tag == "write" for s in program.steps)):
            return None                            # a view or a copy: the layout decides
        return _apart(plain, run(program, minigrad, layout=layout),
                      _rounded(program, minigrad, plain), strict=False)
    return variant


def _with_silent_hooks(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    def after(machine: Machine, step: Step) -> None:
        for name in step.makes:
            x = machine.names.get(name)
            if isinstance(x, minigrad.Tensor) and x.requires_grad:
                x.register_hook(lambda g: None)
    return _apart(plain, run(program, minigrad, after=after))


def _with_gradients_kept(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    if ".grad" in str(program) or "retain_grad" in str(program):     # it looks, or keeps, itself
        return None

    def after(machine: Machine, step: Step) -> None:
        for name in step.makes:
            x = machine.names.get(name)
            if isinstance(x, minigrad.Tensor) and x.requires_grad:
                x.retain_grad()
    return _apart(plain, run(program, minigrad, after=after))


def _with_copies_of_views(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    if any(s.tag == "write" or re.search(r"_\(|inplace=True", s.text) for s in program.steps):
        return None

    def after(machine: Machine, step: Step) -> None:
        if step.tag == "view":
            for name in step.makes:
                machine.names[name] = machine.names[name].clone()
    other = run(program, minigrad, after=after)
    other.values = {n: a for n, a in other.values.items() if not n.endswith(".grad")
                    or n in plain.values}
    return _apart(plain, other, _rounded(program, minigrad, plain), strict=False)


def _in_float64(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    """The numbers, not the dtypes: they are those of float64 up to roundings."""
    if not any(a.dtype in (np.float16, np.float32) for a in plain.values.values()):
        return None
    true = run(program, minigrad, wide=True)
    if [s is None for s in true.steps] != [s is None for s in plain.steps] or \
            true.same != plain.same:               # x.to(float64) is x itself there
        return None
    if STEEP.search(str(program)) or any(
            a.dtype.kind != "f" and not np.array_equal(a, true.values.get(n, a))
            for n, a in plain.values.items()):     # rounded to another side
        return None
    allowed = _rounded(program, minigrad, plain, more=16)
    for name, got in plain.values.items():
        want = true.values.get(name)
        if want is None or want.shape != got.shape:
            return Fault(name, "missing, or of another shape, in float64")
        if got.dtype.kind != "f" or not (np.isfinite(want).all() and np.isfinite(got).all()):
            continue
        room = allowed(name)
        if _largest(got, want, np.ones(got.shape, bool)) > room:
            return Fault(name, "not what it is in float64",
                         f"got\n{got}\nwant (within {room:.3g})\n{want}")
    return None


def _gradients_are_their_own(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    """What a walk hands out can be written into, and nothing else changes by that."""
    machine = Machine(minigrad)
    made: list[str] = []
    for step in program.steps:
        if machine.do(step) is None and step.tag == "walk" and "create_graph" not in step.text:
            made += step.makes
    if "create_graph" in str(program):
        return None
    tensors = dict(machine.tensors())
    arrays = {n: t.array for n, t in tensors.items()}
    for n, t in tensors.items():
        if t.grad is not None:
            arrays[f"{n}.grad"] = t.grad.array
    for name in arrays:
        owner = name.removesuffix(".grad")
        kept = name.endswith(".grad") and f"{owner}.grad =" not in str(program)
        if name not in made and not kept:
            continue
        if not arrays[name].flags.writeable:
            return Fault(name, "is read-only")
        for other, array in arrays.items():
            same = other.removesuffix(".grad") in tensors and tensors[owner] is tensors[
                other.removesuffix(".grad")]
            uses = any((owner in s.uses and other.removesuffix(".grad") in s.makes)
                       or (other.removesuffix(".grad") in s.uses and owner in s.makes)
                       for s in program.steps if s.tag != "walk")
            if other != name and not same and not uses and np.shares_memory(array, arrays[name]):
                return Fault(name, f"shares memory with {re.sub('[0-9]+', '', other)}")
    return None


#: Steps between which a rounding decides.
STEEP = re.compile(r"//| % |floor|ceil|round|trunc|frac|sign\(|remainder")
SMOOTH = re.compile(r"detach|no_grad|item|//|hook|retain_grad|requires_grad_|del |_\(|inplace|\+= |"
                    r"-= |\*= |/= |special|SGD|set_parameters|arg(max|min|sort)|_like|"
                    r"return_indices|(floor|ceil|round|trunc|frac|sign|sort|topk|prod)\(| % |"
                    r"remainder")


def _derivatives(program: Program, minigrad: Any, plain: Run) -> Fault | None:
    """backward() and grad() agree, and with differences, along one direction, in float64."""
    steps = tuple(s for s in program.steps if s.tag == "" or s.tag == "view")
    dropped = {i for i, s in enumerate(program.steps) if s not in steps or SMOOTH.search(s.text)
               or re.match(r"v\d+\[", s.text)}
    smooth = program.without(dropped)
    if not smooth.steps or sum(len(s.text) for s in smooth.steps) < 20:
        return None
    before = minigrad.get_default_dtype()
    minigrad.set_default_dtype(minigrad.float64)
    try:
        return _difference(smooth, minigrad)
    finally:
        minigrad.set_default_dtype(before)


class _Shifted(Machine):
    """Inputs that require gradients are moved off ties and kinks, and by h along a direction."""

    def __init__(self, torch: Any, h: float) -> None:
        super().__init__(torch, wide=True)
        self.h, self.leaves, self.directions = h, [], []

    def _make(self, shape: tuple, dtype: str, kind: str, seed: int, layout: str = "",
              grad: bool = False) -> Any:
        if not grad:
            return super()._make(shape, dtype, kind, seed, layout)
        rs = np.random.RandomState(seed + 1)
        off_kinks, d = 1e-2 * rs.standard_normal(shape), rs.standard_normal(shape)
        x = self.torch.tensor(np.asarray(numbers(shape, kind, seed) + off_kinks + self.h * d),
                              requires_grad=True)
        self.leaves.append(x)
        self.directions.append(d)
        return x


def _difference(program: Program, minigrad: Any) -> Fault | None:
    def total(h: float) -> tuple[Any, _Shifted] | None:
        machine = _Shifted(minigrad, h)
        with np.errstate(all="ignore"):
            for step in program.steps:
                if machine.do(step) is not None:
                    return None
        terms = None
        for name, x in sorted(machine.tensors()):
            if not x.requires_grad or x.is_leaf or not x.numel() or x.numel() > 5000:
                continue
            rs = np.random.RandomState(x.numel() + int(name[1:]))
            term = (x * minigrad.tensor(rs.standard_normal(x.shape))).sum()
            terms = term if terms is None else terms + term
        return None if terms is None else (terms, machine)

    runs = [total(h) for h in (0.0, 1e-5, -1e-5, 5e-6, -5e-6)]
    if any(r is None for r in runs):
        return None
    loss, machine = runs[0]                        # type: ignore[misc]
    values = [float(r[0].detach()) for r in runs]  # type: ignore[index]
    if not np.isfinite(values).all() or max(map(abs, values)) > 1e6:
        return None
    leaves = machine.leaves
    found = minigrad.grad(loss, leaves, retain_graph=True, allow_unused=True)
    higher = minigrad.grad(loss, leaves, create_graph=True, allow_unused=True)
    loss.backward()
    slope = 0.0
    for i, (x, d, g, h) in enumerate(zip(leaves, machine.directions, found, higher)):
        if (g is None) != (x.grad is None):
            return Fault(f"leaf {i}", "grad() and backward() do not agree whether it is used")
        if g is None:
            continue
        if not np.array_equal(g.array, x.grad.array, equal_nan=True):
            return Fault(f"leaf {i}", "grad() and backward() get other numbers")
        scale = np.max(np.abs(g.array), initial=0)
        if np.isfinite(scale) and _largest(h.array, g.array, np.isfinite(g.array)) > 1e-9 * scale:
            return Fault(f"leaf {i}", "create_graph=True changes the gradient")
        slope += float(np.sum(g.array * d))
    wide, near = (values[1] - values[2]) / 2e-5, (values[3] - values[4]) / 1e-5
    size = max(1.0, abs(slope), *map(abs, values))
    if abs(wide - near) > 1e-6 * size:             # a kink in between, or too steep
        return None
    if not abs(slope - near) <= 1e-4 * size:
        return Fault("the sum of all results", "not the slope of the numbers",
                     f"gradient along a direction {slope:.9g}, difference {near:.9g}")
    return None


VARIANTS: dict[str, Callable[[Program, Any, Run], Fault | None]] = {
    "without fusion": _without_fusion,
    "on one thread": _on_one_thread,
    "with inputs in order": _laid_out(""),
    "with transposed inputs": _laid_out("transposed"),
    "with flipped inputs": _laid_out("flipped"),
    "with silent hooks": _with_silent_hooks,
    "with gradients kept": _with_gradients_kept,
    "with copies of views": _with_copies_of_views,
    "in float64": _in_float64,
    "gradients": _gradients_are_their_own,
    "derivatives": _derivatives,
}
