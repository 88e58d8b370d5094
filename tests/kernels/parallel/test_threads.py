"""Work is split the same way at any number of threads, and the pool survives what users do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigrad.kernels.parallel import threads
from minigrad.kernels.jit.kernel import jit_disabled
from minigrad.kernels.jit import jit
from minigrad.kernels.parallel.threads import get_num_threads, set_num_threads
from minigrad.kernels.parallel import parallel


@pytest.fixture(autouse=True)
def three_threads(threads_as_before):
    set_num_threads(3)


@jit
def partial_sums(start, stop, x, out):
    """out[start] = the sum of a chunk in float32: its bits tell where the cuts are."""
    total = np.float32(0)
    for i in range(start, stop):
        total += x[i]
    out[start] = total


def python(program: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def chunks_of(n, grain):
    seen = []
    parallel(lambda start, stop: seen.append((start, stop)), n, grain=grain)
    return sorted(seen)


@settings(deadline=None)
@given(n=st.integers(0, 2000), grain=st.integers(1, 300))
@example(n=0, grain=1)
@example(n=1, grain=1)
@example(n=33, grain=1)
def test_chunks_cover_the_range_once_and_do_not_depend_on_threads(n, grain):
    set_num_threads(3)
    chunks = chunks_of(n, grain)
    assert [i for start, stop in chunks for i in range(start, stop)] == list(range(n))
    assert len(chunks) <= 32
    if len(chunks) > 1:
        assert min(stop - start for start, stop in chunks) >= grain
        lengths = {stop - start for start, stop in chunks}
        assert max(lengths) - min(lengths) <= 1
    set_num_threads(1)
    assert chunks_of(n, grain) == chunks


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_same_bits_at_any_number_of_threads(count):
    x = np.random.default_rng(0).standard_normal(1000).astype("f4")
    want = np.zeros(1000, "f4")
    for i in range(32):
        partial_sums.plain(i * 1000 // 32, (i + 1) * 1000 // 32, x, want)
    set_num_threads(count)
    assert get_num_threads() == count
    for _ in range(5):
        got = np.zeros(1000, "f4")
        parallel(partial_sums, 1000, x, got)
        np.testing.assert_array_equal(got, want)


@jit
def doubled(start, stop, x, out):
    for i in range(start, stop):
        out[i] = x[i] + x[i]


def test_a_region_runs_the_machine_code_for_the_types_that_it_is_given():
    """It knows the address of one kernel's code: of each kind of arguments, its own."""
    for kind in ("f4", "i4", "f8", "f4", "i8", "i4"):
        x = np.arange(1000).astype(kind)
        out = np.zeros_like(x)
        parallel(doubled, x.size, x, out)
        np.testing.assert_array_equal(out, 2 * x)


@jit
def first_index(start, stop, x):
    return start


@pytest.mark.skipif(jit_disabled(), reason="without the JIT nothing depends on it")
def test_a_kernel_that_returns_something_is_refused():
    with pytest.raises(TypeError, match="returns int64, want None"):
        parallel(first_index, 1000, np.zeros(1))


def test_two_chunks_run_at_the_same_time():
    meet = threading.Barrier(2, timeout=60)
    parallel(lambda start, stop: meet.wait(), 2)  # alone, one would wait for ever


def test_below_two_grains_the_caller_runs_it_in_one_piece():
    seen = []
    parallel(lambda start, stop: seen.append((start, stop, threading.get_ident())), 9, grain=5)
    assert seen == [(0, 9, threading.get_ident())]


def test_more_threads_than_chunks():
    set_num_threads(5)
    assert chunks_of(2, 1) == [(0, 1), (1, 2)]


def test_an_exception_reaches_the_caller_and_the_pool_lives_on():
    def fail(start, stop):
        raise IndexError(f"chunk {start}")

    for _ in range(20):
        with pytest.raises(IndexError, match=r"^chunk 0$"):
            parallel(fail, 8)
    meet = threading.Barrier(2, timeout=60)
    parallel(lambda start, stop: meet.wait(), 2)


def test_an_exception_in_a_worker_alone():
    caller = threading.get_ident()
    meet = threading.Barrier(2, timeout=60)

    def fail(start, stop):
        meet.wait()
        if threading.get_ident() != caller:
            raise ValueError("in a worker")

    with pytest.raises(ValueError, match="in a worker"):
        parallel(fail, 2)


def test_nested_calls_run_in_their_thread():
    seen = []

    def inner(start, stop, outer_ident):
        seen.append(threading.get_ident() == outer_ident)

    def outer(start, stop):
        parallel(inner, 4, threading.get_ident())

    parallel(outer, 6)
    assert seen == [True] * 24


def test_a_busy_pool_means_serial():
    with threads._pool.busy:
        seen = []
        parallel(lambda start, stop: seen.append(threading.get_ident()), 8)
    assert seen == [threading.get_ident()] * 8


def test_many_python_threads_at_once():
    x = np.random.default_rng(0).standard_normal(4000).astype("f4")
    want = np.zeros(4000, "f4")
    parallel(partial_sums, 4000, x, want)
    wrong = []

    def user():
        for _ in range(30):
            got = np.zeros(4000, "f4")
            parallel(partial_sums, 4000, x, got)
            if not np.array_equal(got, want):
                wrong.append(1)

    users = [threading.Thread(target=user) for _ in range(8)]
    for t in users:
        t.start()
    for _ in range(20):  # resizing the pool under their feet is allowed
        set_num_threads(2)
        set_num_threads(4)
    for t in users:
        t.join(120)
        assert not t.is_alive()
    assert not wrong


def test_a_smaller_pool_ends_its_threads():
    set_num_threads(6)
    chunks_of(6, 1)
    set_num_threads(1)
    deadline = time.monotonic() + 60
    while any(t.name == "minigrad-worker" for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_parked_threads_keep_no_array_alive():
    x = np.zeros(10)
    alive = weakref.ref(x)
    parallel(lambda start, stop, x: None, 10, x)
    del x
    deadline = time.monotonic() + 60  # a worker that woke up late drops it a moment later
    while alive() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_fork_gives_the_child_a_pool_of_its_own():
    out = python("""if True:
        import os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from minigrad.kernels.parallel.threads import parallel, set_num_threads, get_num_threads
        set_num_threads(3)
        def meet():
            barrier = threading.Barrier(2, timeout=60)
            parallel(lambda start, stop: barrier.wait(), 2)
        meet()
        def in_child():
            assert get_num_threads() == 3
            meet()
            grandchild = os.fork()
            if grandchild == 0:
                meet()
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        # while the pool works: its lock is held in the moment of the fork
        child = 0
        def fork_inside(start, stop):
            global child
            if start == 0:
                child = os.fork()
                if child == 0:
                    code = 1
                    try:
                        code = in_child()
                    finally:
                        os._exit(code)
        parallel(fork_inside, 8)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        meet()
    """)
    assert out.split() == ["7"]


def test_the_interpreter_ends_with_threads_parked_and_at_work():
    out = python("""if True:
        import atexit, threading, time
        from minigrad.kernels.parallel.threads import parallel, set_num_threads
        set_num_threads(3)
        barrier = threading.Barrier(2, timeout=60)
        parallel(lambda start, stop: barrier.wait(), 2)
        seen = []
        def last():
            parallel(lambda start, stop: seen.append(start), 4)
            print(sorted(seen))
        atexit.register(last)
        sleeper = lambda start, stop: time.sleep(60)
        threading.Thread(target=parallel, args=(sleeper, 2), daemon=True).start()
        time.sleep(0.2)
    """)
    assert out.strip() == "[0, 1, 2, 3]"


def test_threads_that_cannot_be_started_are_done_without(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    set_num_threads(4)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert chunks_of(8, 1) == [(i, i + 1) for i in range(8)]


def test_default_from_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "4")
    assert threads._default_threads() == 4
    monkeypatch.delenv("MINIGRAD_NUM_THREADS")
    assert threads._default_threads() == 6
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_cpu_quota", lambda *folders: None)
    cores = threads._default_threads()
    assert 1 <= cores <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        assert cores == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "bad, error",
    [
        (0, ValueError), (-2, ValueError), (1.5, TypeError), (True, TypeError),
        ("2", TypeError), (None, TypeError),
    ],
)  # fmt: skip
def test_set_num_threads_refuses(bad, error):
    with pytest.raises(error, match="set_num_threads expects"):
        set_num_threads(bad)
    assert get_num_threads() == 3
    set_num_threads(np.int64(2))
    assert get_num_threads() == 2


def test_numba_may_be_told_elsewhere_not_to_compile():
    """As by a .numba_config.yaml, which only Numba reads; `parallel` may be the first to ask it."""
    program = """if True:
        import numba
        numba.config.DISABLE_JIT = 1
        import numpy as np
        from minigrad.kernels.pointwise.sgd import sgd_range
        from minigrad.kernels.parallel.threads import parallel
        g, out = np.ones((2, 100), "f4")
        out[:] = 0
        parallel(sgd_range, 100, out, g, 1.0, 0.0, -1.0, grain=10)
        print(out.sum())
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["100.0"]
