"""While kernels are compiled: one line says what is waited for, Ctrl-C waits for a kernel's end."""
from __future__ import annotations

import io
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from minigrad.kernels.jit import cache as cache_module
from minigrad.kernels.jit.kernel import _Compiling, _HeldInterrupts, jit_disabled, events
from minigrad.kernels.jit import jit
from process_testing import python

needs_jit = pytest.mark.skipif(jit_disabled(), reason="nothing is compiled in this run")
LINE = re.compile(r"minigrad: compiling its kernels for this machine; they are kept, so only a "
                  r"first program waits \(some 20 seconds .* warmup` .*\)\n")
MORE = re.compile(r"minigrad: compiling kernels that no program has used here before; they are "
                  r"kept, as (\d+) are already \(.* warmup` .*\)\n")


# The line that says what is being waited for.
LEARN = """if True:
    import minigrad as mg
    from minigrad.kernels.jit.kernel import events
    x = mg.ones(2, 4, 12, 12, requires_grad=True)
    mg.nn.functional.max_pool2d(x, 2).sum().backward()
    print(events["compiled"])
"""


LEARN_MORE = """if True:
    import minigrad as mg
    from minigrad.kernels.jit.kernel import events
    x = mg.ones(2, 4, 12, 12, requires_grad=True)
    mg.nn.functional.avg_pool2d(x, 2).sum().backward()
    x = mg.ones(500, 100, requires_grad=True)
    mg.nn.functional.cross_entropy(x, mg.zeros(500, dtype=mg.int64)).backward()
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
