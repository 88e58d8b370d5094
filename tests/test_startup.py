"""What a user waits for: one line while kernels are compiled, `python -m minigrad warmup`, and the
vector instructions and the number of threads that are chosen for the machine."""
from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minigrad.__main__ import _shown, main
from minigrad.kernels.jit import cache as cache_module
from minigrad.kernels.parallel import threads
from minigrad.kernels.jit.kernel import _Compiling, _HeldInterrupts, jit_disabled, events
from minigrad.kernels.jit import jit

ROOT = Path(__file__).resolve().parents[1]
needs_jit = pytest.mark.skipif(jit_disabled(), reason="nothing is compiled in this run")
LINE = re.compile(r"minigrad: compiling its kernels for this machine; they are kept, so only a "
                  r"first program waits \(some 20 seconds .* warmup` .*\)\n")
MORE = re.compile(r"minigrad: compiling kernels that no program has used here before; they are "
                  r"kept, as (\d+) are already \(.* warmup` .*\)\n")


def python(*arguments, cache, **env):
    """Runs Python on this tree with a compile cache of its own: (exit code, stdout, stderr)."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith("NUMBA_") and k != "MINIGRAD_QUIET"}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "vectors"), str(ROOT / "examples")])
    clean |= {"MINIGRAD_CACHE_DIR": str(cache), "PYTHONPATH": path} | env
    done = subprocess.run([sys.executable, *arguments], cwd=cache, env=clean, text=True,
                          capture_output=True, timeout=600)
    return done.returncode, done.stdout, done.stderr


# The line that says what is being waited for.

LEARN = """if True:
    import minigrad as mg
    from minigrad.kernels.jit.kernel import events
    layer = mg.nn.Conv2d(4, 8, 3)
    layer(mg.ones(2, 4, 12, 12)).sum().backward()
    print(events["compiled"])
"""


LEARN_MORE = """if True:
    import minigrad as mg
    from minigrad.kernels.jit.kernel import events
    layer = mg.nn.RNN(4, 8)
    layer(mg.ones(5, 2, 4))[0].sum().backward()
    print(events["compiled"])
"""


@needs_jit
def test_a_cold_cache_says_so_in_one_line_and_a_warm_one_is_silent(tmp_path):
    code, out, err = python("-W", "error", "-c", LEARN, cache=tmp_path)
    assert code == 0 and int(out) > 2
    assert LINE.fullmatch(err)
    assert python("-W", "error", "-c", LEARN, cache=tmp_path) == (0, "0\n", "")
    # A program that needs others, too, is told so: not "once", and no 20 seconds.
    kept = len([*tmp_path.rglob("*.bin")])
    code, out, err = python("-W", "error", "-c", LEARN_MORE, cache=tmp_path)
    assert code == 0 and int(out) > 0
    assert MORE.fullmatch(err)[1] == str(kept)


@pytest.fixture
def slow(monkeypatch):
    """Compiling that has taken a second already."""
    compiling = _Compiling()
    compiling.spent = 1.0
    monkeypatch.setattr(cache_module, "cache_folder", lambda: Path("no folder: it is empty"))
    monkeypatch.delenv("MINIGRAD_QUIET", raising=False)
    return compiling


def compile_twice(compiling, ours=True):
    for _ in range(2):
        with compiling.one(ours):
            pass


def test_the_line_comes_once(slow, capsys):
    compile_twice(slow)
    assert LINE.fullmatch(capsys.readouterr().err)


def test_no_line_for_what_is_quick_or_not_ours(slow, capsys):
    compile_twice(slow, ours=False)
    compile_twice(_Compiling())
    assert capsys.readouterr() == ("", "")


def test_the_line_can_be_silenced(slow, capsys, monkeypatch):
    monkeypatch.setenv("MINIGRAD_QUIET", "1")
    compile_twice(slow)
    assert capsys.readouterr() == ("", "")


def test_the_line_promises_no_once_without_a_cache(slow, capsys, monkeypatch):
    monkeypatch.setattr(cache_module, "cache_folder", lambda: None)
    compile_twice(slow)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "in each process" in err
    assert not re.search("once|first|warmup|are kept", err)


@pytest.mark.parametrize("others, own", [(3, 0), (1, 2), (0, 2)])
def test_only_kernels_of_other_processes_count_as_kept(slow, capsys, monkeypatch, tmp_path, others,
                                                       own):
    for i in range(others + own):
        (tmp_path / f"kernel-{i}.bin").write_bytes(b"")
    (tmp_path / "half-written.tmp").write_bytes(b"")
    monkeypatch.setattr(cache_module, "cache_folder", lambda: tmp_path)
    monkeypatch.setitem(events, "stored", own)
    compile_twice(slow)
    err = capsys.readouterr().err
    assert MORE.fullmatch(err)[1] == str(others) if others else LINE.fullmatch(err)


@pytest.mark.parametrize("stream", ["none", "closed"])
def test_no_stderr_is_no_error(slow, monkeypatch, stream):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", None if stream == "none" else closed)
    compile_twice(slow)
    assert slow.told and slow.depth == 0


def test_nested_compiling_is_counted_once():
    compiling = _Compiling()
    with pytest.raises(ZeroDivisionError), compiling.one(True), compiling.one(True):
        raise ZeroDivisionError
    assert compiling.depth == 0 and 0 < compiling.spent < 0.5


# Ctrl-C.

@pytest.fixture
def default_handler():
    """Whoever started the tests may have ignored the signal; Python then leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("failing", [False, True])
def test_ctrl_c_while_compiling_comes_when_the_kernel_is_done(default_handler, failing):
    interrupts, done = _HeldInterrupts(), []
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            done.append("the kernel")
            if failing:
                raise ZeroDivisionError
        done.append("the kernel that calls it")
    assert done == ["the kernel"] and interrupts.depth == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupts.held():                        # and is forgotten then
        pass


def test_the_users_own_handler_of_ctrl_c_is_left_alone(default_handler):
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    with _HeldInterrupts().held():
        signal.raise_signal(signal.SIGINT)
        assert heard == [1]


def test_compiling_in_another_thread_leaves_signals_alone(default_handler):
    def compile_one():
        with _HeldInterrupts().held():
            handlers.append(signal.getsignal(signal.SIGINT))
    handlers = []
    thread = threading.Thread(target=compile_one)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


@needs_jit
def test_ctrl_c_in_a_callback_of_the_compiler_is_not_lost(tmp_path):
    code, out, err = python("-c", """if True:
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from numba.core.codegen import CPUCodeLibrary as CodeLibrary
        kept = CodeLibrary._object_compiled_hook.__func__
        def hook(cls, module, buffer):
            signal.raise_signal(signal.SIGINT)
            kept(cls, module, buffer)
        CodeLibrary._object_compiled_hook = classmethod(hook)
        import minigrad as mg
        layer = mg.nn.Conv2d(4, 8, 3)
        try:
            layer(mg.ones(2, 4, 12, 12)).sum().backward()
        except KeyboardInterrupt:
            print("stopped")
    """, cache=tmp_path, MINIGRAD_QUIET="1")
    assert (code, out, err) == (0, "stopped\n", "")


@jit
def plus(x, n):
    return x + n


@jit
def plus_literal_and_number(x, n):
    return plus(x, 0) + plus(x, 7) + plus(x, n)


@needs_jit
def test_a_literal_argument_compiles_no_helper_of_its_own():
    before = events["compiled"]
    assert plus_literal_and_number(1.5, 2) == 4.5 + 9
    assert events["compiled"] == before + 2


# python -m minigrad

@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache that was empty, and was filled by `python -m minigrad warmup`."""
    cache = tmp_path_factory.mktemp("cache")
    code, out, err = python("-W", "error", "-m", "minigrad", "warmup", cache=cache)
    assert code == 0, err
    kernels, found = map(int, re.match(r"(\d+) kernels compiled, (\d+) found", out).groups())
    assert kernels > 30 and found == 0 and str(cache) in out
    assert "warmup" in err and "compiling its kernels" not in err
    return cache


COMPILES_NOTHING = """
from minigrad.kernels.jit.kernel import events
assert events["loaded"] > {least}, "no kernel ran: this proves nothing"
print("compiled:", events["compiled"])
"""


@needs_jit
def test_a_second_warmup_finds_everything(warm):
    code, out, err = python("-m", "minigrad", "warmup", "--quiet", cache=warm)
    assert (code, err) == (0, "") and out.startswith("0 kernels compiled, ")


@needs_jit
@pytest.mark.parametrize("program", ["linear_regression", "cnn", "rnn"])
def test_the_articles_programs_compile_nothing_after_a_warmup(warm, program):
    least = -1 if program == "linear_regression" else 3     # that one may well need no kernel
    code, out, err = python("-c", "import article_runs, harness\n"
                            "article_runs.STEPS = 10\n"
                            "library = harness.load_namespace('minigrad')\n"
                            f"article_runs.losses('{program}', library, 'float32')\n"
                            + COMPILES_NOTHING.format(least=least), cache=warm)
    assert (code, out.splitlines()[-1:], err) == (0, ["compiled: 0"], "")


@needs_jit
@pytest.mark.parametrize("script, least", [
    ("logistic_regression", -1), ("image_recognition", 3), ("text_generation", 3),
    ("time_series", 0)])
def test_the_examples_compile_nothing_after_a_warmup(warm, tmp_path, script, least):
    options = ["--quick", "--out", str(tmp_path / "picture.png")]
    code, out, err = python("-c", "import runpy, sys\n"
                            f"sys.argv[1:] = {options!r}\n"
                            f"runpy.run_path({str(ROOT / 'examples' / script)!r} + '.py', "
                            "run_name='__main__')\n"
                            + COMPILES_NOTHING.format(least=least), cache=warm)
    assert (code, out.splitlines()[-1:]) == (0, ["compiled: 0"]), err


@needs_jit
def test_the_benchmarks_programs_compile_nothing_after_a_warmup(warm):
    code, out, err = python("-c", """if True:
        from types import SimpleNamespace
        import minigrad
        from benchmarks.catalogue import PROGRAMS
        from benchmarks.peers import PEERS, load
        from minigrad.kernels.jit.kernel import events
        make = load(PEERS["minigrad"], 2)
        for name, row in PROGRAMS.items():
            if row.group not in ("scaling", "memory", "startup"):
                make(row.build.__name__)(**row.sizes)()
                print(name, events["compiled"])
        """ + COMPILES_NOTHING.format(least=3).replace("\n", "\n        "), cache=warm)
    assert code == 0, err
    late = [line for line in out.splitlines() if not line.endswith(" 0")]
    assert not late, "a kernel that warmup.py does not reach was compiled in these programs"


def test_alone_it_prints_its_help(capsys):
    assert main([]) == 0
    assert "warmup" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and re.fullmatch(r"minigrad \d+\.\d+.*\n", capsys.readouterr().out)


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["warmpu"])
    assert end.value.code == 2 and "invalid choice: 'warmpu'" in capsys.readouterr().err


def test_warmup_without_the_jit_says_so(tmp_path):
    code, out, err = python("-m", "minigrad", "warmup", cache=tmp_path, NUMBA_DISABLE_JIT="1")
    assert (code, out) == (1, "") and "NUMBA_DISABLE_JIT is set" in err


@needs_jit
def test_warmup_that_can_keep_nothing_fails(monkeypatch, capsys):
    monkeypatch.setattr("minigrad.warmup._steps", lambda dtype: iter([]))
    monkeypatch.setattr(cache_module, "cache_folder", lambda: None)
    assert main(["warmup", "--quiet"]) == 1
    assert "kept nowhere" in capsys.readouterr().out


def test_progress_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    steps = [("one", int), ("two", int)]
    assert list(_shown(steps)) == steps
    assert capsys.readouterr().err == "warmup 1/2: one\n"


# Vector instructions: what less able machines would be given, against plain NumPy. The rest of the
# suite runs what this machine is given.

PATHS = {
    "avx2": ("haswell", "+avx2,+fma,+avx", 8),
    "plain": ("x86-64", "", 0),
}
AGREE = """if True:
    import sys
    import numpy as np
    import minigrad as mg
    from minigrad.kernels.conv import conv2d as conv
    from minigrad.kernels.matmul import linear
    from minigrad.kernels.jit import Kernel
    from minigrad.kernels.simd.tile import tile_shape

    rng = np.random.default_rng(0)
    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)
    def agree(got, want):
        assert got.dtype == dtype
        limit = 1e-5 if dtype == "f4" else 1e-13
        np.testing.assert_allclose(got, want, rtol=0, atol=limit * np.abs(want).max())
    def differentiate(y, *leaves):
        g = draw(*y.shape)
        y.backward(mg.tensor(g))
        return g, *(leaf.grad.numpy() for leaf in leaves)
    def leaf(*shape):
        return mg.tensor(draw(*shape), requires_grad=True)

    for dtype in ("f4", "f8"):
        x, w, b = leaf(75, 70), leaf(61, 70), leaf(61)
        y = mg.nn.functional.linear(x, w, b)
        g, gx, gw = differentiate(y, x, w)
        x, w = x.detach().numpy(), w.detach().numpy()
        agree(y.detach().numpy(), linear.product_reference(x, w.T, b.detach().numpy()))
        agree(gx, linear.product_reference(g, w))
        agree(gw, linear.product_reference(g.T, x))
        if dtype == "f8":
            break                   # the tile is the same for all; compiling the rest takes long
        for c, f, k, stride, padding, groups in ((5, 9, 3, 1, 1, 1), (8, 12, 5, 2, 2, 4)):
            rule = (stride,) * 2, (padding,) * 2, (1, 1), groups
            x, w, b = leaf(3, c, 19, 17), leaf(f, c // groups, k, k), leaf(f)
            y = mg.conv2d(x, w, b, stride, padding, 1, groups)
            g, gx, gw = differentiate(y, x, w)
            x, w, b, out = (t.detach().numpy() for t in (x, w, b, y))
            agree(out, conv.conv2d_reference(x, w, b, out.shape[2:], *rule))
            agree(gx, conv.conv2d_grad_x_reference(g, w, x.shape[2:], *rule))
            agree(gw, conv.conv2d_grad_w_reference(g, x, w.shape[2:], *rule))
        rnn, x = mg.nn.RNN(24, 45), leaf(7, 19, 24)
        y, _ = rnn(x)
        g, gx, gw = differentiate(y, x, rnn.weight_hh_l0)
        rnn.zero_grad()
        x = mg.tensor(x.detach().numpy(), requires_grad=True)
        h, states = mg.zeros(19, 45), []
        for t in range(7):
            z = x[t] @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + h @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
            h = z.tanh()
            states.append(h)
        want = mg.stack(states)
        want.backward(mg.tensor(g))
        agree(y.detach().numpy(), want.detach().numpy())
        agree(gx, x.grad.numpy())
        agree(gw, rnn.weight_hh_l0.grad.numpy())

    kernels = {id(k): k for name, module in list(sys.modules.items()) for k in vars(module).values()
               if name.startswith("minigrad.kernels.") and isinstance(k, Kernel) and k._dispatcher}
    code = "".join(text for k in kernels.values() for text in k._dispatcher.inspect_asm().values())
    print(tile_shape("f4").lanes, "vfmadd" in code, "ymm" in code, "zmm" in code)
"""


@needs_jit
@pytest.mark.parametrize("path", PATHS)
def test_each_kind_of_vector_instructions_agrees_with_numpy(tmp_path, path):
    name, features, lanes = PATHS[path]
    import llvmlite.binding as llvm
    try:
        here = dict(llvm.get_host_cpu_features())
    except RuntimeError:
        here = {}
    if "x86" not in llvm.get_process_triple().replace("amd64", "x86"):
        pytest.skip("this processor is no x86")
    missing = [f for f in features.split(",") if f and not here.get(f[1:])]
    if missing:
        pytest.skip(f"this processor cannot run {' '.join(missing)}")
    code, out, err = python("-c", AGREE, cache=tmp_path, MINIGRAD_QUIET="1",
                            NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert (code, err) == (0, ""), err
    vectors = str(lanes > 0)
    assert out.split() == [str(lanes), vectors, vectors, "False"]


# The number of threads.

@pytest.fixture
def group(tmp_path, monkeypatch):
    """A made-up /sys/fs/cgroup: quota(/proc/self/cgroup, {file: content})."""
    def quota(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return threads._cpu_quota(str(tmp_path / "root"), str(tmp_path / "membership"))
    return quota


@pytest.mark.parametrize("membership, files, want", [
    ("0::/a/b\n", {"cpu.max": "max 100000\n"}, None),
    ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
    ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2),
    ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "200000 100000"}, 0.5),
    ("0::/of/the/host\n", {"cpu.max": "300000 100000"}, 3),
    ("5:cpu,cpuacct:/d\n4:memory:/d\n0::/\n",
     {"cpu/d/cpu.cfs_quota_us": "400000\n", "cpu/d/cpu.cfs_period_us": "100000\n"}, 4),
    ("5:cpu,cpuacct:/d\n",
     {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ("0::/\n", {"cpu.max": "nonsense"}, None),
    ("0::/\n", {}, None),
])
def test_a_containers_quota(group, membership, files, want):
    assert group(membership, files) == want


def test_a_system_without_control_groups(tmp_path):
    assert threads._cpu_quota(str(tmp_path), str(tmp_path / "missing")) is None


@pytest.mark.parametrize("quota, want", [(None, 8), (0.3, 1), (2, 2), (2.5, 3), (64, 8)])
def test_threads_are_no_more_than_the_quota(monkeypatch, quota, want):
    for name in ("MINIGRAD_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_cpu_quota", lambda *paths: quota)
    assert threads._default_threads() == want
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")     # who says a number is believed
    assert threads._default_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert threads._default_threads() == 4
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "16")
    assert threads._default_threads() == 16
