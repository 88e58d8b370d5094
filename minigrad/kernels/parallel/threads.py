"""How work is split over cores: `parallel(kernel, n, *args)` on a small pool of threads.

A range of n independent items is cut into chunks, and the calling thread and the pool take chunks
until none is left. The cuts depend on n and grain alone, and each output element has one writer:
the result has the same bits at any number of threads.

A worker that has just helped waits for the next job in machine code (dispatch.py) for a
millisecond, since within a training step another one follows; then it parks on a queue of Python's,
and costs nothing. So no core is kept busy by an idle library, as with Numba's `parallel=True`,
whose OpenMP threads also do not survive fork, and whose workqueue layer aborts the process when two
Python threads enter it.

Not here: how a kernel is compiled (jit/kernel.py), how a job is handed over (dispatch.py).
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from types import MethodType
from typing import Any

import numpy as np

from ..jit import Kernel
from .dispatch import FAILED, LEAVE, UNKNOWN, code_of, new_control, region, serve

_MAX_CHUNKS = 32  # enough to balance the load


def _default_threads() -> int:
    """MINIGRAD_NUM_THREADS, else OMP_NUM_THREADS, else NUMBA_NUM_THREADS, else our cores.

    Our cores are those of the affinity, or fewer if a container's quota of CPU time is
    less. MKL_NUM_THREADS and OPENBLAS_NUM_THREADS speak of a BLAS and are left to it.
    """
    for name in ("MINIGRAD_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        first = os.environ.get(name, "").split(",")[0].strip()  # OMP's may be a list, by level
        if first.isdigit() and int(first) > 0:
            return int(first)
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity to ask for
        cores = os.cpu_count() or 1
    quota = _cpu_quota("/sys/fs/cgroup", "/proc/self/cgroup")
    # 1.5 cores are used by two threads: one would leave a third of them idle.
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _cpu_quota(root: str, membership: str) -> float | None:
    """How many cores' time this process's control groups allow (Linux, versions 1 and 2), or None.

    `docker run --cpus 2` shows all cores of the machine and stops whoever has used 2 cores' time:
    more threads than that only wait for each other. The limit of a parent holds for its children.
    """

    def read(*place: str) -> str:  # without pathlib: an import of minigrad would take 5 ms longer
        with open(os.path.join(*place), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    limits = []
    try:
        lines = read(membership).splitlines()  # hierarchy:controllers:path
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top = root
        elif "cpu" in controllers.split(","):
            top = os.path.join(root, "cpu")
        else:
            continue
        # In a container the path may be the host's; then what is seen is the top alone.
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts), -1, -1):
            folder = os.path.join(top, *parts[:depth])
            try:
                if top == root:
                    quota, period = read(folder, "cpu.max").split()
                else:
                    quota = read(folder, "cpu.cfs_quota_us")
                    period = read(folder, "cpu.cfs_period_us")
                if quota.strip() not in ("max", "-1"):
                    limits.append(float(quota) / float(period))
            except (OSError, ValueError, ZeroDivisionError):
                pass
    return min(limits, default=None)


class _Job:
    """One call of `parallel`: chunks to take, and the outcome of each that a worker took."""

    __slots__ = ("run", "args", "chunks", "outcomes")

    def __init__(self, run: Callable[..., Any], args: tuple[Any, ...], chunks: deque) -> None:
        self.run = run
        self.args = args
        self.chunks = chunks
        self.outcomes: SimpleQueue = SimpleQueue()


class _Worker:
    """A daemon thread that helps one pool. parked: it waits for its inbox; wake it by `HELP`."""

    __slots__ = ("inbox", "parked", "__weakref__")

    def __init__(self) -> None:
        self.inbox: SimpleQueue = SimpleQueue()
        self.parked = False

    def live(self, control: np.ndarray, patience: int) -> None:
        while True:
            self.parked = True
            job = self.inbox.get()
            self.parked = False
            if job is None:
                return
            if job is HELP:
                serve(control, patience)
            else:
                self.run(job)
                del job

    def run(self, job: _Job) -> None:
        """Takes chunks of a job that is a function of Python's."""
        outcomes: list[tuple[int, BaseException] | None] = []
        try:
            while True:
                start, stop = job.chunks.popleft()
                try:
                    job.run(start, stop, *job.args)
                except BaseException as error:
                    outcomes.append((start, error))
                else:
                    outcomes.append(None)
        except IndexError:  # no chunk left; a worker that woke up late gets here at once
            pass
        # Not one by one: the caller goes on as soon as it hears of the last, and asks who holds its
        # arrays. By then no frame of this thread does (and the caller empties job.args).
        for outcome in outcomes:
            job.outcomes.put(outcome)


HELP = object()


@functools.cache
def _patience() -> int:
    """How many turns of `serve` take a millisecond on this machine."""
    control, turns = new_control(), 1000
    serve(control, 1)  # compiles
    start = time.perf_counter()
    serve(control, turns)
    return max(1, int(turns * 1e-3 / max(time.perf_counter() - start, 1e-9)))


class _Pool:
    """size - 1 workers, and the words through which they and the caller speak."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.busy = threading.Lock()
        self.control = new_control()
        self.workers: list[_Worker] = []

    def start(self) -> None:
        """Starts what is missing. With no more threads (the interpreter ends, or a limit is
        reached) it does with what there is."""
        patience = _patience()
        while len(self.workers) < self.size - 1:
            worker = _Worker()
            thread = threading.Thread(
                target=worker.live,
                args=(self.control, patience),
                name="minigrad-worker",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:
                return
            self.workers.append(worker)
            if self.size == 1:  # closed meanwhile, maybe before this worker was in the list
                worker.inbox.put(None)

    def close(self) -> None:
        self.size = 1  # whoever still holds this pool works alone
        self.control[LEAVE] = 1
        for worker in self.workers:
            worker.inbox.put(None)


_state_lock = threading.Lock()
_pool = _Pool(_default_threads())


def _after_fork_in_child() -> None:
    # Threads do not survive fork, and the locks may have been held by one of them.
    global _pool, _state_lock
    _state_lock = threading.Lock()
    _pool = _Pool(_pool.size)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def get_num_threads() -> int:
    """The number of threads that share one operation, the calling one included."""
    return _pool.size


def set_num_threads(n: int) -> None:
    """Let one operation use n threads, the calling one included. Results do not depend on it.

    Default: MINIGRAD_NUM_THREADS, else OMP_NUM_THREADS, else NUMBA_NUM_THREADS, else the cores that
    this process may use (its affinity; in a container no more than its quota of CPU time).

    Raises: TypeError if n is not an integer, ValueError if n < 1.
    """
    global _pool
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads expects an integer, got {type(n).__name__} {n!r}")
    n = n.__index__()
    if n < 1:
        raise ValueError(f"set_num_threads expects at least 1 (the calling thread), got {n}")
    with _state_lock:
        if n == _pool.size:
            return
        old, _pool = _pool, _Pool(n)
    old.close()  # a job that runs there now is finished first: its tokens come before


def one_each(n: int, least: int) -> int:
    """The grain of `parallel` over n items whose results do not depend on the cut: n over threads.

    About one chunk a thread, as long as that is no less than `least`: in the next loop over these
    numbers each thread then finds its part in its own cache. 262,144 products took 21 us, in eight
    chunks, which any thread may take, 26 to 38.
    """
    return max(least, n // get_num_threads())


def parallel(kernel: Kernel | Callable[..., Any], n: int, *args: Any, grain: int = 1) -> None:
    """Run `kernel(start, stop, *args)` over chunks of range(n), on all threads.

    kernel: writes only what belongs to the items start..stop-1.
    grain: the least number of items worth a chunk. Choose it so that a chunk takes 3 us or more;
    a problem below two grains runs serially in the caller.

    Chunks depend on n and grain only: at most 32, as even as can be. With n = 0 nothing runs. A
    call from inside a kernel, or while another thread has the pool, runs its chunks serially in
    the caller. An exception from a chunk is raised here (the one of the first chunk, if several).
    """
    if type(kernel) is Kernel:
        run = kernel.run
        if run.__class__ is MethodType:  # the first call; Numba may be told not to compile
            run = kernel.resolve()
        alone = run is kernel.plain  # without the JIT threads would only wait for each other
    else:
        run, alone = kernel, False
    count = min(_MAX_CHUNKS, n // grain)
    if alone:
        with np.errstate(all="ignore"):  # compiled loops are silent, too
            _one_by_one(run, args, n, max(1, count))
        return
    if count <= 1:
        if n > 0:
            run(0, n, *args)
            if _ahead and type(kernel) is Kernel:
                _compile_both(kernel, args)
        return
    pool = _pool
    if _ahead and type(kernel) is Kernel:
        _compile_both(kernel, args)
    if pool.size == 1 or not pool.busy.acquire(blocking=False):
        _one_by_one(run, args, n, count)
        return
    try:
        if len(pool.workers) < pool.size - 1:
            pool.start()
        if type(kernel) is Kernel:
            _share_compiled(pool, kernel, args, n, count)
        else:
            _share(pool, run, args, n, count)
    finally:
        pool.busy.release()


def _one_by_one(run: Callable[..., Any], args: tuple, n: int, count: int) -> None:
    """All chunks in the calling thread."""
    for i in range(count if n > 0 else 0):
        run(i * n // count, (i + 1) * n // count, *args)


_ahead = False


@contextlib.contextmanager
def compiling_ahead() -> Iterator[None]:
    """Within it, each call of `parallel` compiles for one chunk and for many, whatever it runs."""
    global _ahead
    before, _ahead = _ahead, True
    try:
        yield
    finally:
        _ahead = before


def _compile_both(kernel: Kernel, args: tuple) -> None:
    kernel.run(0, 0, *args)
    _region(kernel)(new_control(), 0, 0, 0, args)


def _share_compiled(pool: _Pool, kernel: Kernel, args: tuple, n: int, count: int) -> None:
    """Chunks of a kernel: handed over in machine code."""
    control = pool.control
    run = _region(kernel)
    control[LEAVE] = 0
    for worker in pool.workers[: count - 1]:
        if worker.parked:
            worker.parked = False
            worker.inbox.put(HELP)
    if run(control, 0, n, count, args) == UNKNOWN:
        run(control, code_of(kernel, args), n, count, args)
    if control[FAILED]:  # a chunk raised: so does the first of them here
        _one_by_one(kernel.run, args, n, count)
        raise RuntimeError(f"{kernel} failed in a thread, and did not when it was run once more")


@functools.cache
def _region(kernel: Kernel) -> Callable[..., int]:
    return region(kernel)


def _share(pool: _Pool, run: Callable, args: tuple, n: int, count: int) -> None:
    """Chunks of a function of Python's (that lets go of the lock, as NumPy's do)."""
    chunks = deque((i * n // count, (i + 1) * n // count) for i in range(count))
    job = _Job(run, args, chunks)
    pool.control[LEAVE] = 1  # who waits in machine code shall look into the inbox
    for worker in pool.workers[: count - 1]:
        worker.inbox.put(job)
    mine = 0
    failures: list[tuple[int, BaseException]] = []
    try:
        while True:
            start, stop = chunks.popleft()
            mine += 1
            if not failures:  # after a failure only count what is left, so that it ends soon
                try:
                    run(start, stop, *args)
                except BaseException as error:
                    failures.append((start, error))
    except IndexError:
        pass
    # Only chunks that a worker has taken are waited for: one that sleeps late delays nobody.
    for _ in range(count - mine):
        outcome = job.outcomes.get()
        if outcome is not None:
            failures.append(outcome)
    job.args = ()  # a worker that wakes up late finds no array in the job
    if failures:
        first = min(failures, key=lambda failure: failure[0])[1]
        failures.clear()  # the traceback refers to this frame: leave no cycle behind
        try:
            raise first
        finally:
            del first
