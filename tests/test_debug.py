"""minigrad.debug: what runs is shown, what is wrong is found, and it costs nothing when off."""
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import debug
from minigrad.debug import WrongResult, compare
from minigrad.kernels.ways import FAMILIES, forced
from minigrad.nn import functional as F

F4 = np.finfo(np.float32).eps


# --- comparing -----------------------------------------------------------------------------------

def test_equal_results_have_no_difference():
    x = np.array([1, np.nan, np.inf, 0, -0.0], np.float32)
    assert compare(x, x.astype(float), abs(x.astype(float)), 0) is None


@pytest.mark.parametrize("got, want, size, ulps, words", [
    ([1 + 4 * F4], [1.0], [1.0], 3, ["1 of 1", "4 ulps", "[0]"]),
    ([1.0, 2.0], [1.0, np.nan], [1.0, np.nan], 9, ["inf ulps", "[1]", "nan"]),
    ([np.nan], [1.0], [1.0], 9, ["nan instead of 1.0"]),
    ([np.inf], [-np.inf], [1.0], 9, ["inf instead of -inf"]),
    ([3.0], [3.1], [1e-3], 100, ["instead of 3.1"]),
])
def test_differences_are_told(got, want, size, ulps, words):
    told = compare(np.array(got, np.float32), np.array(want), np.array(size), ulps)
    assert told is not None and all(word in told for word in words), told


def test_what_is_no_difference():
    assert compare(np.float32([1 + 4 * F4]), np.array([1.0]), np.array([1.0]), 5) is None
    assert compare(np.float32([1 + 4 * F4]), np.array([1.0]), np.array([10.0]), 1) is None
    assert compare(np.float32([np.inf]), np.array([1e39]), np.array([1e39]), 1) is None  # overflow
    nearby = np.float32([1e-3, 1e3]), np.array([0.0, 1e3]), np.array([0.0, 1e9])
    assert compare(*nearby, 1) is not None and compare(*nearby, 20, nearby=True) is None


def test_integers_and_several_results():
    places = np.uint8([1, 2]), np.uint8([1, 3])
    assert "[1]" in compare(*places, np.uint8([1, 3]), 0)
    assert compare(*places, np.inf, 0) is None     # nothing is expected of these
    one = np.ones(2, np.float32)
    told = compare((one, None, 2 * one), (one, one, one), (one, one, one), 5)
    assert "result 3 of 3" in told
    assert "shape" in compare(one, np.ones(3), np.ones(3), 5)


# --- checking ------------------------------------------------------------------------------------

@pytest.fixture
def wrong(monkeypatch):
    """wrong(family, way, spoil): plants a kernel that spoils what this way computes."""
    def plant(name, way, spoil):
        family = FAMILIES[name]
        before = family.ways

        def spoiled(plan, *arrays, run=None):
            result = next(w for w in before if w.name == way).run(plan, *arrays)
            spoil(result)
            return result

        monkeypatch.setattr(family, "ways", tuple(
            w._replace(run=spoiled) if w.name == way else w for w in before))
    yield plant
    monkeypatch.undo()
    for family in FAMILIES.values():
        family.way.cache_clear()


def add(amount, at=0):
    def spoil(result):
        (result[0] if isinstance(result, tuple) else result).reshape(-1)[at] += amount
    return spoil


def test_a_wrong_product_is_caught(wrong):
    x, w = mg.randn(40, 30), mg.randn(20, 30)
    wrong("linear", "tiles", add(1e-3, at=45))
    with forced(linear="tiles"), debug.check(), pytest.raises(WrongResult) as error:
        F.linear(x, w)
    assert all(word in str(error.value) for word in [
        "linear by 'tiles'", "1 of 800", "ulps", "[2, 5]", "In linear", "test_debug.py:",
        "test_a_wrong_product_is_caught", "m=40, k=30, n=20"])
    with debug.check():                            # another way is right
        F.linear(x, w)
    assert F.linear(x, w).shape == (40, 20)


@pytest.mark.parametrize("name, way, run", [
    ("conv2d", "flat", lambda x, w: F.conv2d(x, w, padding=1)),
    ("conv2d_grad_w", "tiles", lambda x, w: F.conv2d(x, w, padding=1).sum().backward()),
    ("conv2d_grad_x", "tiles", lambda x, w: F.conv2d(x, w, padding=1).sum().backward()),
    ("max_pool2d", "planes", lambda x, w: F.max_pool2d(x, 2)),
    ("max_pool2d_grad", "apart", lambda x, w: F.max_pool2d(x, 2).sum().backward()),
    ("avg_pool2d", "planes", lambda x, w: F.avg_pool2d(x, 2)),
    ("avg_pool2d_grad", "lists", lambda x, w: F.avg_pool2d(x, 2).sum().backward()),
    ("conv2d_relu_max_pool2d", "blocks", lambda x, w: F.conv2d_relu_max_pool2d(x, w)),
    ("softmax", "columns", lambda x, w: x.softmax(1)),
    ("log_softmax", "rows", lambda x, w: x.log_softmax(-1)),
    ("cross_entropy", "rows", lambda x, w: F.cross_entropy(
        x.reshape(6, -1), mg.arange(6), label_smoothing=0.1)),
    ("rnn", "tiles", lambda x, w: mg.nn.RNN(6, 5)(x[0])),
])
def test_a_wrong_kernel_is_caught(name, way, run, wrong):
    x = mg.randn(2, 3, 6, 6, requires_grad=True)
    w = mg.randn(4, 3, 3, 3, requires_grad=True)
    with forced(**{name: way}), debug.check():
        run(x, w)                                  # right
    wrong(name, way, add(0.01))
    with forced(**{name: way}), debug.check(), pytest.raises(WrongResult, match=f"{name} by"):
        run(x, w)


def test_a_training_step_passes_the_check():
    mg.manual_seed(0)
    model = mg.nn.Sequential(mg.nn.Conv2d(1, 8, 3), mg.nn.ReLU(), mg.nn.MaxPool2d(2),
                             mg.nn.Flatten(), mg.nn.Linear(8 * 5 * 5, 10))
    with debug.check():
        loss = F.cross_entropy(model(mg.randn(4, 1, 12, 12)), mg.arange(4))
        loss.backward()
    assert all(p.grad is not None for p in model.parameters())


# --- printing ------------------------------------------------------------------------------------

def test_calls_are_printed_with_way_time_and_share():
    x, w = mg.randn(4, 3), mg.randn(5, 3)
    big, wide = mg.randn(64, 300), mg.randn(200, 300)
    out = io.StringIO()
    with debug.verbose(out):
        F.linear(big, wide)
        F.linear(big, wide)
        x.softmax(1)
    F.linear(big, wide)
    first, second, third = out.getvalue().splitlines()
    assert first.startswith("minigrad: linear by ") and "m=64, k=300, n=200" in first
    assert re.search(r"\d+ us, [\d.]+ G(FLOP|B)/s, \d+% of the peak in (flops|bytes)", first)
    assert "; not " in first or "numpy" in first   # why, the first time
    assert "[" in first and second.endswith(("flops", "bytes"))
    assert third.startswith("minigrad: softmax by rows: ")
    assert w.shape == (5, 3)


def test_a_forced_way_says_so():
    out = io.StringIO()
    with forced(softmax="reference"), debug.verbose(out):
        mg.randn(4, 3).softmax(1)
    assert "softmax by reference" in out.getvalue() and out.getvalue().endswith("[forced]\n")


def test_off_means_nothing_is_in_between():
    """The remembered function is the same before and after, and nobody's wrapper."""
    sizes = 64, 300, 200, False, np.dtype(np.float32)
    family = FAMILIES["linear"]
    with debug.verbose(io.StringIO()), debug.check():
        watched = family.way(*sizes)
    plain = family.way(*sizes)
    assert watched.__class__ is not plain.__class__
    assert plain.func is family.choose(family.problem(*sizes)).way.run


# --- the shell -----------------------------------------------------------------------------------

def run(*arguments, **variables):
    environment = {**os.environ, "MINIGRAD_QUIET": "1", **variables}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True,
                          env=environment)


PROGRAM = "import minigrad as mg; mg.randn(4, 3).softmax(1)"


def test_by_the_environment():
    out = run("-c", PROGRAM, MINIGRAD_VERBOSE="1", MINIGRAD_CHECK="1")
    assert out.returncode == 0, out.stderr
    assert out.stderr.startswith("minigrad: softmax by rows: ")
    assert run("-c", PROGRAM, MINIGRAD_VERBOSE="0").stderr == ""


def test_a_planted_error_stops_a_program():
    plant = ("from minigrad.kernels.ways import FAMILIES; f = FAMILIES['softmax'];"
             "w = f.ways[0]; f.ways = (w._replace(run=lambda p, x: w.run(p, x) + 1), *f.ways[1:]);")
    out = run("-c", plant + PROGRAM, MINIGRAD_CHECK="1")
    assert out.returncode and "WrongResult: softmax by 'rows'" in out.stderr
    assert run("-c", plant + PROGRAM).returncode == 0


def test_the_list_of_ways():
    listed = run("-m", "minigrad", "ways").stdout
    assert all(f"{name}\n" in listed for name in FAMILIES)
    assert "    winograd      many channels" in listed
    assert run("-m", "minigrad", "ways", "rnn").stdout.splitlines()[0] == "rnn"


def test_the_times_of_ways():
    out = run("-m", "minigrad", "ways", "linear", "2", "30", "20", "0", "float32")
    lines = out.stdout.splitlines()
    assert lines[0].startswith("linear: Problem(m=2, k=30, n=20")
    assert [line.split()[0] for line in lines[1:]] == ["numpy", "dots", "turned", "tiles",
                                                       "reference"]
    assert sum("<- is taken" in line for line in lines) == 1
    wrong = run("-m", "minigrad", "ways", "lineal")
    assert wrong.returncode == 1 and "no family" in wrong.stderr


def test_help_tells_of_the_variables():
    out = run("-m", "minigrad", "--help").stdout
    assert all(name in out for name in ["MINIGRAD_VERBOSE", "MINIGRAD_CHECK", "MINIGRAD_WAY"])
