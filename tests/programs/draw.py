"""Draws a program: inputs, steps of families that are drawn by weight, a loss and its walk.

Not here: which operations there are (`families.py`), what is drawn from (`scope.py`), how programs
are compared (`expect.py`, `variants.py`).
"""
from __future__ import annotations

import warnings
from typing import Any

from .families import retained
from .program import FLOATS, Program, Step
from .scope import FAMILIES, Scope, Skip, kind


def draw(torch: Any, seed: int, profile: str = "") -> Program:
    """The program of this number, with `torch` (any such module) as the scout."""
    s = Scope(torch, seed, profile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _inputs(s)
        _steps(s, s.rng.randint(1, 9 if s.profile in ("plain", "half", "mixed") else 5))
        if s.chance(0.9):
            _end(s)
            if s.chance(0.25):
                _steps(s, s.rng.randint(1, 3))
                _end(s)
    return Program(tuple(s.steps), f"{seed} {s.profile}")


def _inputs(s: Scope) -> None:
    if s.profile == "image":
        n, c = s.pick((1, 1, 2, 3)), s.pick((1, 2, 3, 4))
        big = s.chance(0.45)                       # relu of 8,192 numbers waits for a pooling
        h = s.pick((33, 46, 48, 64, 97) if big else (1, 3, 5, 6, 8, 9, 12))
        w = s.pick((32, 48, 50, 64, 96) if big else (1, 3, 4, 6, 7, 8, 13))
        shapes = [(n, c, h, w)]
    elif s.profile == "sizes":                     # around the limits at which kernels change
        n = s.pick((512, 4096, 8192, 16384, 32768, 65536, 1 << 18)) + s.pick((-1, 0, 0, 1))
        a = s.pick((1, 2, 3, 8, 31, 64, 128, 500))
        shapes = [s.pick(((n,), (a, max(1, n // a)), (max(1, n // a), a),
                          (2, a, max(1, n // a // 2))))]
    elif s.profile == "rows":
        shapes = [s.pick(((1_000_000, 2), (1_000_000,), (2, 500_000), (300_000, 3)))]
    else:
        shapes = [s.sizes() for _ in range(s.rng.randint(1, 3))]
    for shape in shapes:
        dtype = s.pick(sorted(FLOATS)) if s.profile == "mixed" else s.dtype
        what = s.pick(("normal", "tenth", "unit")) if s.profile == "rows" else ""
        if s.profile == "plain" and s.chance(0.03):
            what = "special"
        s.take(s.new(s.make(shape, dtype, what, s.chance(0.8), s.layout())))
    if s.profile in ("plain", "mixed") and s.chance(0.3):
        s.take(s.new(s.make(s.sizes(), s.pick(("int64", "int32", "uint8", "bool", "int16", "int8")),
                            "whole" if s.chance(0.7) else "mask", layout=s.layout())))


def _steps(s: Scope, n: int) -> None:
    usable = [(w, f) for p, w, f in FAMILIES if not p or s.profile in p.split()]
    taken = tries = 0
    while taken < n and tries < 12 * n:
        tries += 1
        chosen = s.rng.choices([f for _, f in usable], [w for w, _ in usable])[0]
        if s.chance(0.75) and s.profile == "image":
            chosen = s.pick([f for p, _, f in FAMILIES if "image" in p])
        try:
            taken += s.take(chosen(s))
        except Skip:
            continue


def _end(s: Scope) -> None:
    """A loss and a walk through the graph, of one of the kinds that users write."""
    able = [n for n, x in s.values().items() if x.requires_grad]
    ready = [n for n in able if not s.get(n).is_leaf] or able
    if not ready:
        return
    chosen = s.rng.sample(ready, min(len(ready), s.rng.choice((1, 1, 2, 3))))
    # A loss that weighs each element: a gradient in the wrong place is seen.
    terms = [f"({n} * {s.make(s.shape(n), kind(s.get(n)), 'normal')}).sum()" if s.chance(0.75) else
             f"{n}.{s.pick(('sum', 'mean'))}()" for n in chosen]
    same = len({kind(s.get(n)) for n in chosen}) == 1
    if not same:
        terms = [f"{t}.to({s.dtype})" for t in terms]
    way = s.rng.random()
    if way < 0.15 and len(chosen) == 1:            # a cotangent instead of a loss
        g = s.make(s.shape(chosen[0]), kind(s.get(chosen[0])), "normal",
                   layout=s.pick(("", "transposed", "stepped")))
        s.take(Step(f"{chosen[0]}.backward({g}{retained(s)})", "walk"))
        _afterwards(s)
        return
    step = s.new(" + ".join(terms))
    if not s.take(step):
        return
    loss = min(step.makes)
    if loss not in s.values():
        return
    leaves = [n for n in able if s.get(n).is_leaf]
    if any(step.tag == "write" for step in s.steps):         # torch makes their views anew
        able = [n for n in able if not s.is_view(n)] or able[-1:]
    text = "".join(step.text for step in s.steps)
    if "retain_grad" in text and any(w in text for w in ("split", "chunk", "unbind")):
        way = min(way, 0.4)                        # grad() of one piece: torch may fill another's
    if ", lambda g" in text:                       # how often a hook is called depends on the rules
        way = min(way, 0.7)
    if way < 0.5:
        only = f", inputs=[{s.pick(leaves)}]" if leaves and s.chance(0.12) else ""
        s.take(Step(f"{loss}.backward({(retained(s) + only).lstrip(', ')})", "walk"))
        if s.chance(0.3):                          # again: accumulated, or refused as freed
            s.take(Step(f"{loss}.backward()", "walk"))
    elif way < 0.75:
        # Of several, torch takes some before their hooks have changed them and some after.
        most = 1 if any(", lambda g" in step.text for step in s.steps) else 3
        wanted = s.rng.sample(able, min(len(able), most, s.rng.choice((1, 1, 2, 3))))
        more = ", allow_unused=True" if s.chance(0.8) else ""
        s.take(Step(f"{s.fresh(len(wanted))}{',' if len(wanted) == 1 else ''} = torch.grad("
                    f"{loss}, [{', '.join(wanted)}]{retained(s)}{more})"
                    .replace("torch.grad", "torch.autograd.grad"), "walk"))
        if s.chance(0.4):
            s.take(Step(f"{loss}.backward()", "walk"))
    else:
        most = 1 if any(", lambda g" in step.text for step in s.steps) else 2
        wanted = s.rng.sample(able, min(len(able), most, s.rng.choice((1, 2))))
        names = s.fresh(len(wanted))
        if not s.take(Step(f"{names}{',' if len(wanted) == 1 else ''} = torch.autograd.grad("
                           f"{loss}, [{', '.join(wanted)}], create_graph=True, allow_unused=True)",
                           "walk")):
            return
        second = [n for n in names.split(", ") if n in s.values() and s.get(n).requires_grad]
        if second:
            s.take(s.new(" + ".join(
                f"({n} * {n}).sum()" if s.chance(0.5) else
                f"({n} * {s.make(s.shape(n), kind(s.get(n)), 'normal')}).sum()"
                for n in second[:1])))
            last = f"v{s.count - 1}"
            if last in s.values():
                s.take(Step(f"{last}.backward()", "walk"))
    if not any("create_graph" in step.text for step in s.steps):
        _afterwards(s)                             # else a gradient may be None, and zeros in torch


def _afterwards(s: Scope) -> None:
    """What training does with gradients: they are changed in place, and the parameters by them."""
    graded = [n for n, x in s.values().items() if x.is_leaf and x.grad is not None]
    while graded and s.chance(0.45):
        n = s.pick(graded)
        value = s.pick((
            f"{n}.grad.zero_()", f"{n}.grad.mul_(0.5)", f"{n}.grad += 1", f"{n}.grad.clamp_(-1, 1)",
            f"{n}.grad.copy_(torch.ones_like({n}))", f"{n}.grad = None",
            f"nn.utils.clip_grad_norm_([{', '.join(graded)}], {s.pick((0.5, 1.0, 100.0))})",
            f"nn.utils.clip_grad_value_([{n}], 0.25)",
            f"with torch.no_grad(): {n}.sub_({n}.grad, alpha=0.1)",
            f"with torch.no_grad(): {n} -= 0.1 * {n}.grad",
            f"torch.optim.SGD([{n}], lr=0.1{s.pick(('', ', momentum=0.9', ', weight_decay=0.1'))})"
            ".step()",
            f"torch.optim.SGD([{n}], lr=0.1).zero_grad(set_to_none={s.chance(0.5)})"))
        if s.hooked and any(s.is_view(v) and s.share(x, s.get(n)) for v, x in s.values().items()):
            return                                 # torch makes such views anew, without hooks
        s.take(Step(value, "write"))
        graded = [n for n in graded if s.get(n).grad is not None]
