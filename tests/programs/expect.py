"""What torch's runs of a program allow, and whether another run keeps to it.

A number may be off by four times what torch itself is off from the truth (the same program in
float64), or by a few roundings; a program that magnifies roundings (it rounds, sorts, subtracts
what is nearly equal) by eight times what a change of its inputs by one rounding makes in torch.
Shapes, dtypes, whole numbers, NaN and infinity must be equal. Where torch refuses, the step is no
part of the comparison; where only minigrad refuses, DIFFERENCES must say why.

Not here: programs (`program.py`), variants that need no torch (`variants.py`).
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from .program import FLOATS, Program, Refusal, Run, run

ROUNDINGS = 8                                      # of the largest number of an array
TRUTHS = 4                                         # times torch's own error
SPREADS = 8                                        # times what one rounding of the inputs changes
NOISES = 3

#: (pattern of minigrad's message, why it may refuse what torch takes). README, "Where it differs
#: from PyTorch", or the docstring of the function says so.
DIFFERENCES: list[tuple[str, str]] = [
    (r"in place: this tensor is a view", "a recorded write into a view other than x[i]: README"),
    (r"backward: the values that .* were freed", "torch frees saved numbers only, so that what it "
     "must not run again it can still walk through: RuntimeError here"),
    (r"(var|std): \d+ elements less correction", "the variance of one element: its docstring"),
    (r"backward: '\w+' .* was overwritten in place", "a rule may read its result where torch's "
     "reads its arguments"),
    (r"norm: p must be", "a norm has a p that is not negative: its docstring"),
    (r"logsumexp: want a", "integers are converted by hand, as for a mean"),
    (r"mT: want 2 dimensions", "torch gives a vector back, and warns that it will not"),
    (r"(getitem|setitem): index .* out of range", "torch does not look where the result is empty"),
    (r"cat: dim=.* does not exist", "torch leaves out empty vectors, whatever dim is"),
    (r"(cross_entropy|nll_loss): input .* has no classes", "the mean of nothing"),
]

CONSTANT = (r"(backward|register_hook|grad): (this tensor|input \d+) "
            r"(was not computed|does not requ)")


def may_be_constant(program: Program) -> set[str]:
    """What need not require a gradient although it does in torch, where its derivative is 0
    wherever it exists: results of //, norms of p = 0, derivatives (of relu) under create_graph."""
    found: set[str] = set()
    for step in program.steps:
        if step.uses & found or re.search(r"//|floor_divide|create_graph|p=0[,)]", step.text):
            found |= step.makes
    return found


#: (pattern of a step, why its value may differ where torch's is NaN).
WHERE_TORCH_IS_NAN: list[tuple[str, str]] = [
    (r"binary_cross_entropy_with_logits", "an infinite logit has an infinite loss, not inf - inf"),
]


@dataclass
class Fault:
    """One difference: in which step or value, of which kind, and how it looks."""

    where: str
    what: str
    details: str = ""

    @property
    def sort(self) -> str:
        """What faults of one cause have in common, roughly: numbers are left out."""
        return re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "#", self.what)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"\n{self.details}" if self.details else "")


@dataclass
class Expected:
    """What torch got: `value` as close to the truth as is known, within `allowed` everywhere."""

    value: np.ndarray
    allowed: float
    dtype: str
    other: np.ndarray | None = None                # torch's own, where it is not the value


class Oracle:
    """torch's runs of a program; those that only a suspicion needs are made when one arises."""

    def __init__(self, program: Program, torch: Any) -> None:
        self.program, self.torch = program, torch
        self.run = run(program, torch)
        self._truth: Run | None = None
        self._noisy: list[Run] | None = None
        self._untied: list[Run] | None = None

    @property
    def truth(self) -> Run:
        """In float64."""
        if self._truth is None:
            self._truth = run(self.program, self.torch, wide=True)
        return self._truth

    @property
    def noisy(self) -> list[Run]:
        """With inputs changed by about one rounding."""
        if self._noisy is None:
            self._noisy = [run(self.program, self.torch, noise=n + 1) for n in range(NOISES)]
        return self._noisy

    @property
    def untied(self) -> list[Run]:
        """The same, with whole numbers changed, too."""
        if self._untied is None:
            self._untied = [run(self.program, self.torch, noise=-n - 1) for n in range(NOISES)]
        return self._untied

    def expected(self, name: str, careful: bool) -> Expected:
        """What to expect of a value. careful: also look at what one rounding does to it."""
        own = self.run.values[name]
        dtype = str(own.dtype)
        if own.dtype.kind != "f":
            loose = careful and any(not _same(r.values.get(name), own) for r in self.noisy)
            return Expected(own, np.inf if loose else 0.0, dtype)
        eps = float(np.finfo(own.dtype).eps)
        value = own.astype(np.float64)
        true = self.truth.values.get(name)
        if dtype != "float64" and true is not None and true.shape == own.shape and \
                self.truth.same == self.run.same and \
                [s is None for s in self.truth.steps] == [s is None for s in self.run.steps]:
            with np.errstate(over="ignore"):
                same = np.array_equal(np.isfinite(true.astype(own.dtype)), np.isfinite(own))
            value = true.astype(np.float64) if same else value
            if not same and careful and (np.isfinite(true) & ~np.isfinite(own)).any():
                # Only its steps leave the range: then torch's own inf or NaN proves nothing.
                return Expected(own, np.inf, dtype)
        finite = np.isfinite(own)
        error = _largest(value, own, finite & np.isfinite(value))
        scale = float(np.max(np.abs(own), initial=0, where=finite))
        allowed = max(ROUNDINGS * eps * scale, TRUTHS * error, 4 * float(np.finfo(own.dtype).tiny))
        if careful:
            # What is left where numbers of about 1 cancel.
            if dtype == "float64":                 # no truth has more digits: sums of many numbers
                most = max((a.size for a in self.run.values.values()), default=1)
                allowed = max(allowed, 8 * eps * most ** 0.5 * max(scale, 1.0))
            inside = [np.finfo(d).eps for d in FLOATS if d in str(self.program)]
            allowed = max(allowed, 8 * eps, 8 * scale * float(max(inside, default=eps))
                          if dtype == "float64" else 0)
            for r in self.noisy:
                moved = r.values.get(name)
                if moved is None or moved.shape != own.shape or \
                        not np.array_equal(np.isfinite(moved), finite):
                    allowed = np.inf
                else:
                    allowed = max(allowed, SPREADS * _largest(moved, own, finite))
            for r in self.untied:                  # a jump comes from a tie, and is no excuse
                moved = r.values.get(name)
                if moved is not None and moved.shape == own.shape:
                    spread = _largest(moved, own, finite & np.isfinite(moved))
                    if spread < np.sqrt(eps) * scale:
                        allowed = max(allowed, SPREADS * spread)
        return Expected(value, allowed, dtype, own.astype(np.float64))


def _largest(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """The largest difference there."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.max(np.abs(a.astype(np.float64) - b), initial=0, where=where))


def _same(a: np.ndarray | None, b: np.ndarray) -> bool:
    return a is not None and a.shape == b.shape and np.array_equal(a, b)


def off(got: np.ndarray, want: Expected) -> str:
    """How a value differs from what is expected; "" if it does not."""
    if got.shape != want.value.shape:
        return f"shape {got.shape}, want {want.value.shape}"
    if str(got.dtype) != want.dtype:
        return f"dtype {got.dtype}, want {want.dtype}"
    if want.allowed == np.inf:
        return ""
    if want.dtype not in FLOATS:
        return "" if np.array_equal(got, want.value) else "other numbers"
    a = got.astype(np.float64)
    ways = [want.value] + ([want.other] if want.other is not None else [])
    texts = []
    for w in ways:
        if not np.array_equal(np.isnan(a), np.isnan(w)):
            texts.append("NaN in other places")
        elif not np.array_equal(a[np.isinf(a)], w[np.isinf(a)]) or \
                not np.array_equal(np.isinf(a), np.isinf(w)):
            texts.append("infinity in other places")
        else:
            if _largest(a, w, np.isfinite(a)) <= want.allowed:
                return ""
            texts.append("other numbers")
    return texts[-1]


def steps_apart(program: Program, ours: list[Refusal | None], theirs: list[Refusal | None]
                ) -> tuple[Fault | None, int | None]:
    """The first step in which the two differ: a fault, or the number of one that only torch
    refuses (or that README lets minigrad refuse), to be left out."""
    for i, (a, b) in enumerate(zip(ours, theirs)):
        text = program.steps[i].text
        # x.grad is None: in torch, too; or it is zeros there, see may_be_constant.
        none = a is not None and "NoneType" in a.message and (
            (b is not None and a.kind == b.kind) or "create_graph" in str(program))
        if none and b is None:
            return None, i
        if a is not None and a.foreign and not none:
            return Fault(text, f"{a.kind} from inside: {a.message}"), None
        if a is not None and b is None:
            if any(re.match(pattern, a.message) for pattern, _ in DIFFERENCES):
                return None, i
            if re.search("read-only memory", a.message) and re.search(
                    "expand|broadcast_to|meshgrid", str(program)):
                return None, i                     # torch writes if no element is there twice
            if re.match(CONSTANT, a.message) and program.steps[i].uses & may_be_constant(program):
                return None, i
            return Fault(text, f"refused: {a}"), None
        if a is None and b is not None:
            return None, i
        if a is not None and program.steps[i].tag == "walk":     # torch may have called hooks
            return None, i
    return None, None


def examine(program: Program, minigrad: Any, torch: Any) -> tuple[Program, Fault | None]:
    """Compares; returns the program without what torch refuses, and the fault."""
    for _ in range(8):
        oracle = Oracle(program, torch)
        ours = run(program, minigrad)
        fault, without = steps_apart(program, ours.steps, oracle.run.steps)
        if fault is not None:
            return program, fault
        if without is None:
            return program, judge(program, ours, oracle)
        program = program.without({without})
    return program, None


def _of_what_lies_between(program: Program, inner: set[str]) -> set[str]:
    """What grad() gave for inner tensors once a derivative was recorded, and what was made of it.
    inner: their `x.grad`."""
    found: set[str] = set()
    recorded = False
    for step in program.steps:
        if step.uses & found:
            found |= step.makes
        wanted = re.search(r"autograd\.grad\(\w+, \[([\w, ]+)\]", step.text)
        if recorded and wanted:
            names = step.text.partition(" = ")[0].rstrip(",").split(", ")
            found |= {n for n, x in zip(names, wanted[1].split(", ")) if f"{x}.grad" in inner}
        recorded = recorded or "create_graph" in step.text
    return found


def judge(program: Program, ours: Run, oracle: Oracle) -> Fault | None:
    """The first difference between a run and torch's."""
    theirs = oracle.run
    # One object under two names here and not there (x.flatten() of a vector): then one of the two
    # has a .grad here and not there.
    apart = {n for n in {*ours.same, *theirs.same} if ours.same.get(n) != theirs.same.get(n)}
    apart |= theirs.lost | {r.same[n] for r in (ours, theirs) for n in apart if n in r.same}
    unseen = apart | {f"{n}.grad" for n in apart}
    # Of what lies between, a second order changes what the rules happen to read: x or its result.
    if "create_graph" in str(program):
        inner = {f"{n}.grad" for n, fact in theirs.facts.items() if fact and not fact[1]}
        unseen |= {n for n in {*theirs.values, *ours.values} if "call" in n or n in inner}
        unseen |= _of_what_lies_between(program, inner)
    # A derivative that is constant needs no gradient here; in torch it gets one of zeros.
    if any("create_graph" in s.text for s in program.steps):
        changed = ", lambda g" in str(program)     # by a hook: then it is no zero any more
        walked = {n for s in program.steps if s.tag == "walk" for n in s.makes}
        unseen |= {n for n in theirs.values if n not in ours.values
                   and (n.endswith("grad") or "call" in n or n in walked)
                   and (changed or not theirs.values[n].any())}
    gone = [n for n in theirs.values if n not in ours.values and n not in unseen]
    more = [n for n in ours.values if n not in theirs.values and n not in unseen]
    if gone or more:
        return Fault((gone + more)[0], f"missing {shape_of_names(gone)}, "
                                       f"unexpected {shape_of_names(more)}")
    constant = may_be_constant(program)
    for name, fact in theirs.facts.items():
        if name not in apart and name not in constant and ours.facts.get(name) != fact:
            return Fault(name, f"(requires_grad, is_leaf) {ours.facts.get(name)}, want {fact}")
    for name, got in ours.values.items():
        if name not in unseen and off(got, oracle.expected(name, careful=False)):
            want = oracle.expected(name, careful=True)
            text = off(got, want)
            if text and got.dtype.kind == "f" and np.isnan(theirs.values[name]).any() and any(
                    re.search(pattern, str(program)) for pattern, _ in WHERE_TORCH_IS_NAN):
                continue
            if text:
                kind = "gradient" if "grad" in name or "call" in name else "value"
                with np.printoptions(threshold=40, precision=8):
                    return Fault(name, f"{kind}: {text}", f"got\n{got}\nwant (within "
                                 f"{want.allowed:.3g})\n{want.value}\ntorch's\n{want.other}")
    calm = all(np.isfinite(a).all() for a in theirs.values.values() if a.dtype.kind == "f")
    torchs = {(i, c) for i, c, _ in theirs.warned}
    written = any(s.tag == "write" for s in program.steps)         # over what had left all bounds
    for i, category, text in ours.warned:
        if category == "TrainingWarning":          # advice on a loss of NaN, as it is in torch
            continue
        step = program.steps[i]
        seen = calm and (step.tag == "walk" or not written) and step.makes <= {
            *theirs.values, *theirs.facts}
        if (category != "RuntimeWarning" or seen) and (i, category) not in torchs:
            return Fault(step.text, f"{category}: {text}")
    return None


def shape_of_names(names: list[str]) -> list[str]:
    """Names without their numbers, for messages that can be sorted."""
    return sorted({re.sub(r"\d+", "", n) for n in names})
