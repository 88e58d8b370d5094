"""Random programs: against what torch said of them, against themselves, and with faults planted.

Whoever has torch, or minutes to spare, runs many more: `python -m tests.programs --help`.
"""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel_testing import PLAIN
from programs.__main__ import main
from programs.draw import draw
from programs.expect import DIFFERENCES, Expected, off
from programs.program import Machine, Program, Step, load, run, script
from programs.shrink import shrink
from programs.stored import read
from programs.variants import VARIANTS, vary

import minigrad as mg
from minigrad.autograd import accumulate, engine
from minigrad.autograd.op import OPS

ROOT = Path(__file__).resolve().parents[1]
load("minigrad")
STORED = [s for s in read() if not (PLAIN and s.large)]
BATCH = 20
batches = pytest.mark.parametrize("first", range(0, len(STORED), BATCH))


def fault_in(programs: Any, find: Callable) -> str:
    """The first fault, with its program; "" if there is none."""
    for entry in programs:
        program = getattr(entry, "program", entry)
        fault = find(entry)
        if fault is not None:
            return f"program {program.name}\n{program}\n--- {fault}"
    return ""


# --- what torch said, and the same program in another way ----------------------------------------

@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@batches
def test_programs_are_what_torch_says(first):
    text = fault_in(STORED[first:first + BATCH], lambda s: s.fault(mg))
    assert not text, text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@batches
def test_programs_do_not_change_in_variants(first):
    # Every third one: a third of the time, and the file is in no order.
    text = fault_in(STORED[first:first + BATCH:3], lambda s: vary(s.program, mg))
    assert not text, text


def test_the_stored_programs_are_of_all_kinds():
    text = "\n".join(str(s.program) for s in read())
    for word in ("float16", "float32", "float64", "'big'", "'flipped'", "'transposed'", "'stepped'",
                 "conv2d", "max_pool2d", "avg_pool2d", "relu", "softmax", "cross_entropy", "nn.RNN",
                 "register_hook", "retain_grad", "create_graph=True", "retain_graph=True",
                 "autograd.grad", "no_grad", ".detach()", "+=", "masked_fill", "scatter", "gather",
                 "sort", "cumsum", "matmul", "norm", "dim=()", "keepdim", "(0,", "(), ",
                 "SGD", "clip_grad", "inplace=True", "nn.Sequential", "1000000"):
        assert word in text, f"no stored program has {word}: draw them anew, or mend draw.py"


# --- planted faults ------------------------------------------------------------------------------

def _rule(name: str, argument: str, change: Callable) -> Callable:
    """The op's rule with another one in its place, until the test is over."""
    def plant(monkeypatch: Any) -> None:
        op = OPS[name]
        assert op.pullback_source                  # is written, so its rules are in its globals
        monkeypatch.setitem(op.pull.__globals__, f"VJP_{argument}",
                            partial(_changed, op.by_argument[argument], change))
    return plant


def _changed(rule: Callable, change: Callable, g: Any, *saved: Any) -> Any:
    return change(rule(g, *saved))


def _forward(name: str, change: Callable) -> Callable:
    """The op with another function in it, until the test is over."""
    def plant(monkeypatch: Any) -> None:
        op = OPS[name]
        monkeypatch.setitem(op.public.__globals__, "FORWARD", partial(change, op.forward))
    return plant


def _set(owner: Any, name: str, value: Any) -> Callable:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def _keep_what_arrives(g: Any, node: Any, *rest: Any) -> None:
    """The gradient of a leaf without the question whose memory it is."""
    tensor = node.owner()
    if tensor is not None:
        g = g if isinstance(g, mg.Tensor) else engine.wrap(g)
        tensor.grad = g if tensor.grad is None else tensor.grad + g


PLANTED: dict[str, Callable] = {
    "a rule that is 1 % off": _rule("tanh", "input", lambda g: g * 1.01),
    "a rule of the wrong sign": _rule("sub", "other", lambda g: -g),
    "a gradient in another order": _rule("permute", "input", lambda g: g[::-1]),
    "a gradient of the wrong dtype's digits": _rule(
        "mul", "input", lambda g: g.astype(np.float16).astype(g.dtype)),
    "a view that is a copy": _forward("getitem", lambda f, *args: f(*args).copy()),
    "a copy that is a view": _forward("clone", lambda f, x: x),
    "a scan from the wrong end": _forward("cumsum", lambda f, x, *rest: f(x, *rest)[::-1]),
    "gradients that share memory": _set(engine.LEAF, "pull", _keep_what_arrives),
    "hooks that stay": _set(engine.HookHandle, "remove", lambda self: None),
    "hooks that change nothing": _set(engine, "call_hooks", lambda node, g, _: g),
    "gradients that forget the first": _set(accumulate.Gradients, "add", lambda grads, node, g:
        grads.update(
        {node: accumulate.unbroadcast(g, node.shape) if g.shape != node.shape else g})),
    "writes that are lost": _set(mg.Tensor, "mul_", lambda self, other: self),
    "a softmax along another dim": _forward(
        "softmax", lambda f, x, dim: f(x, x.ndim - 1 if x.ndim else 0)),
    "a mean that is a sum": _forward("mean", lambda f, x, *rest: f(x, *rest) * 1.001),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name, monkeypatch):
    PLANTED[name](monkeypatch)
    assert fault_in(STORED, lambda s: s.fault(mg))


# The variant that sees them. (A softmax along another dim is the same in every variant.)
SEEN_ALONE = {
    "a rule that is 1 % off": "derivatives", "a rule of the wrong sign": "derivatives",
    "gradients that share memory": "gradients",
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", SEEN_ALONE)
def test_a_planted_fault_is_found_without_torch(name, monkeypatch):
    PLANTED[name](monkeypatch)
    text = fault_in(STORED, lambda s: VARIANTS[SEEN_ALONE[name]](s.program, mg, run(s.program, mg)))
    assert text


@pytest.mark.skipif(PLAIN, reason="the images that wait for a fusion are large")
def test_a_fusion_that_differs_is_found_without_torch(monkeypatch):
    _forward("relu_max_pool2d_windows", lambda f, *args: (f(*args)[0] * 1.5, f(*args)[1]))(
        monkeypatch)
    variant = VARIANTS["without fusion"]
    assert fault_in(STORED, lambda s: variant(s.program, mg, run(s.program, mg)))


# --- the tester's own parts ----------------------------------------------------------------------

def program_of(*lines: str) -> Program:
    return Program(tuple(Step(line) for line in lines))


def test_drawing_is_deterministic_and_has_no_dead_ends():
    for seed in range(12):
        program = draw(mg, seed, "plain")
        assert str(program) == str(draw(mg, seed, "plain"))
        assert all(" = " in s.text or s.tag or "." in s.text for s in program.steps)


def test_a_program_without_a_step_loses_what_was_made_of_it():
    program = program_of("v0 = 1", "v1 = v0 + 1", "v2 = 5", "v1 = v2", "v3 = v1 + v2", "v2 += 1")
    assert str(program.without({0})) == "v2 = 5\nv1 = v2\nv3 = v1 + v2\nv2 += 1"
    assert str(program.without({2})) == "v0 = 1\nv1 = v0 + 1"
    assert Step("v1 += v2").uses == {"v1", "v2"} and Step("v1[v2] = 3").makes == frozenset()


def test_refusals_are_the_librarys_own_or_come_from_inside():
    def refusal(line: str) -> Any:
        return run(program_of("v0 = torch.ones(2, 3)", line), mg).steps[1]
    assert not refusal("v1 = v0 @ v0").foreign               # explained
    assert not refusal("v1 = v0.sum(5)").foreign
    assert not refusal("v0.backward()").foreign
    assert refusal("v1 = v0.nothing").foreign
    assert refusal("v1 = np.zeros(2) + np.zeros(3)").foreign
    assert refusal("v1 = int('x')").foreign


def test_a_small_difference_is_seen():
    right = np.array([[0.5, -2.0], [1.5, np.inf]])
    want = Expected(right, 1e-6, "float64")
    assert not off(right.copy(), want)
    for change, text in ((lambda a: a + np.array([[2e-6, 0], [0, 0]]), "other numbers"),
                         (lambda a: np.where(a == 1.5, np.nan, a), "NaN"),
                         (lambda a: -a, "infinity"), (lambda a: a[None], "shape"),
                         (lambda a: a.astype("f4"), "dtype")):
        assert text in off(change(right), want)


def test_layouts_hold_the_same_numbers():
    plain = run(program_of('v0 = make((2, 3), "float64", "normal", 3)'), mg).values["v0"]
    for layout in ("big", "transposed", "stepped", "flipped", "offset"):
        for shape in ((2, 3), (), (0, 2), (4,)):
            line = f'v0 = make({shape}, "float64", "normal", 3, layout={layout!r})'
            machine = Machine(mg)
            assert machine.do(Step(line)) is None
            assert tuple(machine.names["v0"].shape) == shape
            if shape == (2, 3):
                assert np.array_equal(machine.names["v0"].numpy(), plain)


def test_shrinking_keeps_what_is_needed():
    program = program_of(
        "v0 = make((2, 3), 'float32', 'normal', 3, layout='flipped', grad=True)",
        "v1 = make((3,), 'float32', 'normal', 4)", "v2 = v1 * 2", "v3 = torch.tanh(v0)",
        "v4 = v3 + v1", "v5 = v4.sum()", "v5.backward()", "v6 = v2 + 1")
    short = shrink(program, lambda p: any("tanh" in s.text for s in p.steps)
                   and all(r is None for r in run(p, mg).steps))
    assert [s.text.split(" = ")[1][:6] for s in short.steps] == ["make((", "torch."]
    assert "layout" not in str(short) and "grad" not in str(short)


def test_a_program_is_printed_as_a_script_that_runs(tmp_path):
    program = program_of(
        'v0 = make((2, 2), "float64", "whole", 3, grad=True)',
        "h1 = v0.register_hook(log('h1', lambda g: g * 2))",
        "m2 = set_parameters(nn.Linear(2, 1), float64, 5)", "v3 = m2(v0).sum()", "v3.backward()")
    path = tmp_path / "it.py"
    path.write_text(script(program))
    done = subprocess.run([sys.executable, str(path), "minigrad"], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert "v0.grad" in done.stdout and "'h1'" in done.stdout


def test_the_command_runs_and_says_what_it_found():
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs", "--against", "reference", "--programs", "4",
         "--seed", "3", "--profile", "plain"], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and "4 programs in" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("wrong", ["--help", "--seconds 0", "--programs -1", "--profile huge"])
def test_the_command_says_what_it_takes(wrong, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["programs", *wrong.split()])
    with pytest.raises(SystemExit) as end:
        main()
    output = capsys.readouterr()
    assert "--seconds" in output.out + output.err
    assert end.value.code == (0 if wrong == "--help" else 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_command_shrinks_and_prints_what_it_finds(monkeypatch, capsys, tmp_path):
    PLANTED["a rule of the wrong sign"](monkeypatch)
    file = tmp_path / "faults.txt"
    monkeypatch.setattr(sys, "argv", [
        "programs", "--against", "reference", "--programs", "300", "--profile", "plain",
        "--output", str(file)])
    assert main() == 1
    output = capsys.readouterr().out
    assert "not the slope of the numbers" in output and "import minigrad" not in file.read_text()
    assert 'sys.argv[1] if len(sys.argv) > 1 else "minigrad"' in output
    assert len(file.read_text().split("---")[0].splitlines()) < 8


def test_every_documented_difference_has_a_reason():
    assert all(len(reason) > 15 for _, reason in DIFFERENCES)
