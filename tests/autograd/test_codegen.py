"""The generated functions: their text, which reviewers can read, what a debugger sees of them, and
the text of an op as it was written.

The text of three typical ops is kept in generated.txt. After a change that is meant:
`python tests/autograd/test_codegen.py` writes it anew; read the difference.
"""
from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd.generated import _with_lines
from minigrad.autograd.op import OPS, Composite, Op, op

HERE = Path(__file__).parent
GOLDEN = HERE / "generated.txt"
SHOWN = {
    "mul": "two arguments, each may be a number; each rule needs the other one",
    "linear": "arguments that may be missing, a rule for two of them at once",
    "split": "several results, a door, NumPy's name of an option",
}


def shown() -> str:
    """The text of the functions of the ops in SHOWN."""
    parts = ["The functions that are generated for three ops (minigrad/autograd/codegen.py). After "
             "a change\nthat is meant, `python tests/autograd/test_codegen.py` writes them anew.\n"]
    for name, why in SHOWN.items():
        entry = OPS[name]
        assert isinstance(entry, Op)
        parts += [f"# --- {name}: {why}\n\n{entry.source}", entry.pullback_source]
    return "\n".join(parts)


def test_the_text_of_three_ops_is_the_one_that_was_read():
    assert shown() == GOLDEN.read_text(encoding="utf-8"), (
        "the generated functions have changed; if that is meant, write the file anew: "
        "python tests/autograd/test_codegen.py, and read the difference")


@pytest.mark.parametrize("name", [n for n, e in OPS.items() if isinstance(e, Op)])
def test_every_op_has_a_text_and_shows_how_it_was_written(name):
    entry = OPS[name]
    assert f"def {name}(" in entry.source and "FORWARD(" in entry.source
    assert bool(entry.pullback_source) == bool(entry.linked)
    written = entry.as_written()
    assert len(written) == 1 + len(entry.by_argument) + bool(entry.joint_names)
    assert f"def {entry.forward.__name__}(" in written["forward"]
    assert "FORWARD" not in written["forward"]
    for argument, text in written.items():
        assert text.startswith(("def ", "lambda ")), (argument, text)


def test_what_was_written_is_the_rule_and_no_other():
    assert OPS["atan2"].as_written()["other"] == \
        "lambda g, input, other: _over_squares(-g * input, input, other)"
    assert OPS["add"].as_written()["input"] == "lambda g: g"      # two of them on one line
    assert OPS["div"].as_written()["other"] == \
        "lambda g, other, out: -g * out / other"
    assert OPS["pow"].as_written()["exponent"].startswith("def _pow_exponent(g, input,")
    assert set(OPS["linear"].as_written()) == {"forward", "input", "weight, bias"}


def test_two_lambdas_on_one_line_are_told_apart():
    from minigrad.autograd.source import written_source
    a, b = (lambda g: g + 1), (lambda g: g + 2)
    assert written_source(a) == "lambda g: g + 1" and written_source(b) == "lambda g: g + 2"
    assert written_source(np.add) == "" and written_source(eval("lambda g: g")) == ""


def test_arguments_may_be_called_as_the_pullback_calls_its_own():
    def product(g: mg.Tensor, inputs: mg.Tensor, part: mg.Tensor, saved: float = 2.0,
                grads: float = 3.0) -> mg.Tensor:
        """All of them multiplied."""
        return g * inputs * part * saved * grads
    made = op(samples=None)(product)
    try:
        made.vjp(g=lambda u, inputs, part, saved, grads: u * inputs * part * saved * grads,
                 inputs=lambda u, g, part, saved, grads: u * g * part * saved * grads)
        made.joint_vjp("part")(
            lambda u, g, inputs, saved, grads: (u * g * inputs * saved * grads,))
        xs = [mg.tensor([float(i)], dtype=mg.float64, requires_grad=True) for i in (3, 5, 7)]
        assert mg.gradcheck(made, xs) and mg.gradgradcheck(made, xs)
        made(*xs).backward()
        assert [x.grad.item() for x in xs] == [6 * 35, 6 * 21, 6 * 15]
    finally:
        del OPS["product"]


def test_a_rule_that_returns_too_few_gradients_is_an_error():
    def pair(a: mg.Tensor, b: mg.Tensor) -> mg.Tensor:
        """a + b."""
        return a + b
    made = op(samples=None)(pair)
    try:
        made.joint_vjp("a", "b")(lambda g: (g,))
        x = mg.ones(2, requires_grad=True)
        with pytest.raises(ValueError, match="unpack"):
            made(x, x).sum().backward()
    finally:
        del OPS["pair"]


# --- composites ----------------------------------------------------------------------------------

def test_a_composite_that_rounds_once_is_called_with_float32():
    seen = []

    def chained(input: mg.Tensor, other: mg.Tensor, weight: mg.Tensor | None = None, *,
                scale: float = 1.0) -> mg.Tensor:
        """input + other + weight, times scale."""
        seen.append((input.dtype, other.dtype, None if weight is None else weight.dtype))
        y = input + other
        return (y if weight is None else y + weight) * scale
    entry = Composite(chained, None, None, rounds=True, apart=("weight",))
    half = mg.tensor([0.1, 3.0], dtype=mg.float16, requires_grad=True)
    y = entry.public(half, half, scale=2.0)
    assert y.dtype == np.float16 and seen.pop() == (np.float32, np.float32, None)
    y.sum().backward()
    assert half.grad.dtype == np.float16 and half.grad.tolist() == [4.0, 4.0]
    single = mg.ones(2)
    assert entry.public(half, half, single).dtype == np.float16          # has no say
    assert entry.public(half, single).dtype == np.float32                # has
    assert entry.public(half, half, weight=single, scale=3.0).dtype == np.float16
    assert entry.public(single, single).dtype == np.float32
    assert entry.public.__doc__ == chained.__doc__ and entry.public.__name__ == "chained"
    with pytest.raises(TypeError, match="chained.*missing"):
        entry.public(half)


# --- a debugger ----------------------------------------------------------------------------------

PROGRAM = """\
import minigrad as mg
x = mg.ones(2, 3, requires_grad=True)
w = mg.ones(3, 4)
{here}
y = {call}
print(y.shape)
"""

# What is called, and the file and the name of the forward in which a step is to arrive.
CALLS = {
    "mg.atan2(x, x)": ("elementwise.py", "atan2"),
    "x * 2.0": ("elementwise.py", "mul"),
    "x.tanh()": ("activation.py", "tanh"),
    "x @ w": ("linear.py", "matmul"),
}


def debugged(tmp_path, call, commands, breakpoint_in_the_middle):
    """The places at which pdb stops: [(file, line, function, its text)]."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(
        call=call, here="breakpoint()" if breakpoint_in_the_middle else ""))
    start = [] if breakpoint_in_the_middle else ["b 5", "c"]
    how = [] if breakpoint_in_the_middle else ["-m", "pdb"]
    root = str(Path(mg.__file__).parents[1])
    out = subprocess.run(
        [sys.executable, *how, str(program)], input="\n".join([*start, *commands, "q"]) + "\n",
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
        env={**os.environ, "PYTHONPATH": root, "PYTHONBREAKPOINT": ""}).stdout
    lines = out.replace("(Pdb) ", "").splitlines()
    stops = []
    for line, text in zip(lines, [*lines[1:], ""]):
        if line.startswith("> ") and text.startswith("-> "):
            file, _, rest = line[2:].partition("(")
            number, _, function = rest.partition(")")
            stops.append((os.path.basename(file), int(number), function.partition("(")[0],
                          text[3:]))
    at = next(i for i, stop in enumerate(stops) if stop[:2] == ("program.py", 5))
    return stops[at + 1:]


@pytest.mark.parametrize("middle", [False, True], ids=["python -m pdb", "breakpoint()"])
@pytest.mark.parametrize("call", CALLS)
def test_a_step_from_the_users_line_leads_into_the_forward(tmp_path, call, middle):
    file, name = CALLS[call]
    stops = debugged(tmp_path, call, ["s"] * 5, middle)
    # What writes the function (its first line only), the function, its call of the forward.
    assert [stop[::2] for stop in stops[:4]] == [
        ("generated.py", "first_call"), (f"<{name}>", name), (f"<{name}>", name), (file, name)]
    assert stops[0][3].endswith("# it is written now: step on")
    assert stops[1][3].startswith(f"def {name}(") and "FORWARD(" in stops[2][3]


def test_at_the_second_call_the_function_is_there(tmp_path):
    stops = debugged(tmp_path, "x * 2.0 if mg.mul(x, x) is not None else 0", ["s"] * 9, True)
    arrived = [i for i, stop in enumerate(stops) if stop[::2] == ("elementwise.py", "mul")]
    assert [stop[0] for stop in stops[:arrived[0]]] == ["generated.py", "<mul>", "<mul>"]
    stops = debugged(tmp_path, "x * 2.0", ["p mg.mul(x, x).shape", *["s"] * 4], True)
    assert [stop[::2] for stop in stops[:3]] == [
        ("<mul>", "mul"), ("<mul>", "mul"), ("elementwise.py", "mul")]


def test_the_tracer_is_on_again_and_saw_nothing_of_the_writing():
    entry = OPS["asinh"]
    entry._unwritten()
    x, files = mg.ones(2), set()

    def trace(frame, event, argument):
        files.add(os.path.basename(frame.f_code.co_filename))
        return trace
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        entry.public(x)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)
    assert {"<asinh>", "elementwise.py", "generated.py"} <= files
    assert "op.py" not in files and "inspect.py" not in files


def test_tracebacks_show_the_line_of_the_generated_text():
    x = mg.ones(2, 3)
    with pytest.raises(TypeError) as error:
        x * "a"
    lines = [(os.path.basename(f.filename), f.line) for f in
             traceback.extract_tb(error.value.__traceback__)]
    assert ("<mul>", "other = operand(other, OP, 'other')") in lines
    with pytest.raises(ValueError) as error:
        OPS["add"]._unwritten()
        x + mg.ones(4)
    lines = traceback.extract_tb(error.value.__traceback__)
    assert all(f.lineno for f in lines)            # of the stand-in, too
    assert any("EXPLAIN(OP" in f.line for f in lines)


def test_the_lines_of_code_are_a_table_that_python_reads():
    """Forwards, backwards, far, and none: what CPython reads is what was written."""
    code = compile("def f(x):\n" + "    x = x + 1\n" * 300 + "    return x\n", "f", "exec")
    f = code.co_consts[0]
    for shown in (lambda n: n, lambda n: 7, lambda n: None if n and n % 2 else n,
                  lambda n: n and 302 - n, lambda n: n and n * 1000):
        got = _with_lines(f, shown)
        assert [n for s, e, n in got.co_lines() for _ in range(s, e, 2)] == [
            shown(n) for s, e, n in f.co_lines() for _ in range(s, e, 2)]
    assert _with_lines(f, lambda n: n and n * 1000) is not f


if __name__ == "__main__":
    GOLDEN.write_text(shown(), encoding="utf-8")
    print(f"wrote {GOLDEN}")
