"""Looking at the kernels while a program runs: which way each call takes and why, how near it comes
to what the machine can do, and whether its numbers are right.

    MINIGRAD_VERBOSE=1 python train.py      prints every call: way, sizes, time, share of the peak
    MINIGRAD_CHECK=1 python train.py        runs the reference beside every call, and stops at the
                                            first result that rounding does not explain
    MINIGRAD_WAY="conv2d=tiles" ...         takes this way (kernels/ways.py)

The same inside a program, for a part of it and all its threads:

    with minigrad.debug.verbose(): ...
    with minigrad.debug.check(): ...
    with minigrad.debug.way(conv2d="tiles"): ...

`python -m minigrad ways` lists the families and their ways, `python -m minigrad ways linear 8 1568
128` times every way on such sizes.

While nobody looks on, nothing of this costs anything: what a family has decided is remembered as
the function to call, and looking on means to remember another one.

Not here: the ways (kernels/), operations that are no kernel (NumPy's), gradients against finite
differences (gradcheck.py), NaN and where it began (autograd/).
"""
from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import numpy as np
from numpy import ndarray

from .autograd.writes import describe, user_line
from .kernels import ways
from .kernels.ways import FAMILIES, Choice, Family

way = ways.forced


# --- what runs -----------------------------------------------------------------------------------

@contextlib.contextmanager
def verbose(file: TextIO | None = None) -> Iterator[None]:
    """Within it every call of a family of kernels is printed, to stderr if no file is given."""
    with ways.watched(_printer(file)):
        yield


def _printer(file: TextIO | None) -> ways.Watcher:
    def watch(family: Family, problem: Any, choice: Choice, run: Callable[..., Any]
              ) -> Callable[..., Any]:
        flops, moved = family.flops(problem), family.bytes(problem)
        dtype = np.dtype(getattr(problem, "dtype", np.float32))
        told = _why(choice)

        def printed(*arrays: Any) -> Any:
            nonlocal told
            start = time.perf_counter()
            result = run(*arrays)
            seconds = time.perf_counter() - start
            print(f"minigrad: {family.name} by {choice.way.name}: {problem}: "
                  f"{_rate(seconds, flops, moved, dtype)}{told}", file=file or sys.stderr,
                  flush=True)
            told = ""                              # the first time is enough
            return result

        return printed
    return watch


def _why(choice: Choice) -> str:
    """Why this way: what it is good at, and what spoke against the ways above it."""
    if choice.was_forced:
        return "  [forced]"
    reasons = "".join(f"; not {name}: {reason}" for name, reason in choice.passed)
    return f"  [{choice.way.about or 'nothing else can'}{reasons}]"


def _rate(seconds: float, flops: float, moved: float, dtype: np.dtype) -> str:
    most_flops, most_bytes = peak_flops(dtype.name), peak_bytes()
    by_flops, by_bytes = flops / most_flops, moved / most_bytes
    limit = "flops" if by_flops >= by_bytes else "bytes"
    rate = flops if by_flops >= by_bytes else moved
    unit = "GFLOP/s" if limit == "flops" else "GB/s"
    return (f"{seconds * 1e6:.0f} us, {rate / seconds / 1e9:.1f} {unit}, "
            f"{max(by_flops, by_bytes) / seconds:.0%} of the peak in {limit}")


@functools.cache
def peak_flops(dtype: str = "float32") -> float:
    """Floating-point operations a second that all threads reach in a product of matrices, which is
    the fastest that there is here. Measured once, 0.1 s. Winograd's convolutions, which do fewer
    operations than are counted, may pass it. Without the JIT it is NumPy's product."""
    from .kernels.jit.kernel import jit_disabled
    from .kernels.matmul.product import product

    n = 1024
    a = np.ones((n, n), dtype)
    run = functools.partial(np.matmul, a, a) if jit_disabled() else functools.partial(
        product, a, False, a, False)
    return 2.0 * n**3 / _least_seconds(run, 5)


@functools.cache
def peak_bytes() -> float:
    """Bytes a second that all threads read from memory. Measured once, 0.1 s. What lies in a cache
    may pass it."""
    from .kernels.rowwise.sums import row_sums

    x = np.ones(1 << 24, np.float32)
    return x.nbytes / _least_seconds(lambda: row_sums(x, 512), 5)


def _least_seconds(run: Callable[[], Any], times: int) -> float:
    run()
    best = np.inf
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return float(best)


# --- whether it is right -------------------------------------------------------------------------

class WrongResult(AssertionError):
    """A kernel's result differs from the reference by more than rounding explains."""


@contextlib.contextmanager
def check() -> Iterator[None]:
    """Within it the reference runs beside every call of a family of kernels, in float64.

    Raises: WrongResult at the first result that differs by more units in the last place than the
    family allows (`Family.ulps`, by the length of its sums), with the operation, the user's line,
    the sizes and the distance. Much slower: the references are plain Python and NumPy.
    """
    with ways.watched(_checker):
        yield


def _checker(family: Family, problem: Any, choice: Choice, run: Callable[..., Any]
             ) -> Callable[..., Any]:
    if choice.way is family.reference:
        return run

    def checked(*arrays: Any) -> Any:
        wide = [_wide(a) for a in arrays]          # copies, before anything is written
        result = run(*arrays)
        with np.errstate(all="ignore"):
            expected = family.seen(family.reference.run(problem, *wide))
            if family.magnitude is None:
                sizes = [np.abs(_wide(a)) if _floating(a) else _wide(a) for a in arrays]
                magnitude = family.seen(family.reference.run(problem, *sizes))
            else:
                magnitude = family.magnitude(problem, expected, *wide)
            ulps = family.ulps(problem)
            difference = compare(family.seen(result), expected, magnitude, ulps, choice.way.nearby)
        if difference is not None:
            raise WrongResult(f"{family.name} by '{choice.way.name}': {difference}; at most "
                              f"{ulps:.0f} ulps are expected. In {_operation()}, "
                              f"{describe(user_line())}; {problem}")
        return result

    return checked


def _floating(a: Any) -> bool:
    return a.__class__ is ndarray and a.dtype.kind == "f"


def _wide(a: Any) -> Any:
    """A copy in float64 of an array of floats; of integers a copy."""
    if isinstance(a, ndarray):
        return a.astype(np.float64) if a.dtype.kind == "f" else a.copy()
    return a


def _operation() -> str:
    """The function of ops/ or optim/ that called the kernel."""
    frame = sys._getframe(1)
    package = os.path.dirname(os.path.abspath(__file__))
    rooms = tuple(os.path.join(package, room) for room in ("ops", "optim", "nn"))
    while frame is not None:
        if frame.f_code.co_filename.startswith(rooms):
            return frame.f_code.co_name
        frame = frame.f_back                       # type: ignore[assignment]
    return "no operation"


def compare(result: Any, expected: Any, magnitude: Any, ulps: float, nearby: bool = False
            ) -> str | None:
    """What differs, in words, or None. Several results are compared one by one; None is no result.

    magnitude: of the numbers whose rounding each result bears; nearby: the largest anywhere counts.
    Where the magnitude overflows, so may a sum on its way: there nothing is expected.
    """
    if isinstance(result, tuple):
        sizes = magnitude if isinstance(magnitude, tuple) else (magnitude,) * len(result)
        for i, each in enumerate(zip(result, expected, sizes, strict=True)):
            difference = compare(*each, ulps, nearby)
            if difference is not None:
                return f"result {i + 1} of {len(result)}: {difference}"
        return None
    if result is None or (not isinstance(magnitude, ndarray) and magnitude == np.inf):
        return None
    result, expected = np.asarray(result), np.asarray(expected)
    if result.shape != expected.shape:
        return f"its shape is {result.shape}, not {expected.shape}"
    if not result.size:
        return None
    if result.dtype.kind != "f":
        distance = np.where(result == expected, 0.0, np.inf)
    else:
        limits = np.finfo(result.dtype)
        magnitude = np.broadcast_to(np.asarray(magnitude, np.float64), result.shape)
        sure = ~(magnitude > limits.max / 4)       # NaN is sure to come from NaN
        if nearby:
            fine = magnitude[np.isfinite(magnitude)]
            magnitude = np.full(result.shape, fine.max(initial=0.0))
        with np.errstate(all="ignore"):
            distance = np.abs(result.astype(np.float64) - expected)
            distance /= limits.eps * magnitude + limits.smallest_normal
        both = (result == expected) | (np.isnan(result) & np.isnan(expected))
        distance = np.where(both, 0.0, np.where(np.isnan(distance), np.inf, distance))
        distance = np.where(sure, distance, 0.0)
    worst = np.unravel_index(int(np.argmax(distance)), distance.shape)
    if not distance[worst] > ulps:
        return None
    wrong = int((distance > ulps).sum())
    place = [int(i) for i in worst]
    return (f"{wrong} of {result.size} numbers are wrong, the worst by {distance[worst]:.3g} ulps "
            f"at {place}: {result[worst]} instead of {expected[worst]}")


# --- the ways, as a list and with their times ----------------------------------------------------

def list_ways(names: Sequence[str] = ()) -> str:
    """All families of kernels, or these, with their ways in order of preference.

    Raises: ValueError for a name that is none.
    """
    return "\n".join(
        f"{family.name}\n" + "\n".join(f"    {w.name:<14}{w.about}" for w in family.ways)
        for family in map(_family, names or sorted(FAMILIES)))


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(f"there is no family of kernels named '{name}'; there are "
                         f"{', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]


def time_ways(name: str, *sizes: Any, seconds: float = 0.3) -> Iterator[str]:
    """A line for each way of a family on an example of these sizes: its least time, the share of
    the peak, and which one is taken. What cannot says why."""
    family = _family(name)
    problem = family.problem(*sizes)
    arrays = family.draw(np.random.default_rng(0), *sizes)
    chosen = family.choose(problem).way
    flops, moved = family.flops(problem), family.bytes(problem)
    dtype = np.dtype(getattr(problem, "dtype", np.float32))
    yield f"{family.name}: {problem}"
    for each in family.ways:
        reason = each.can(problem)
        if reason is None and each is family.reference and flops > 1e9:
            reason = "takes too long"
        if reason is not None:
            yield f"  {each.name:<14}{reason}"
            continue
        with ways.forced(**{name: each.name}):
            run = family.way(*sizes)
        run(*arrays)                               # compiles
        best, end = np.inf, time.perf_counter() + seconds
        while time.perf_counter() < end:
            best = min(best, _least_seconds(functools.partial(run, *arrays), 3))
        taken = "  <- is taken" if each is chosen else ""
        yield f"  {each.name:<14}{_rate(best, flops, moved, dtype)}{taken}"


# --- from the environment ------------------------------------------------------------------------

def _is_set(name: str) -> bool:
    return os.environ.get(name, "0").strip() not in ("", "0")


def _start() -> None:
    """Does what MINIGRAD_VERBOSE and MINIGRAD_CHECK ask for."""
    if _is_set("MINIGRAD_CHECK"):
        ways.watch(_checker)
    if _is_set("MINIGRAD_VERBOSE"):
        ways.watch(_printer(None))


_start()
