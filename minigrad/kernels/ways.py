"""Ways: a family of kernels computes one thing in several ways, and says in a list when which.

    LINEAR = Family("linear", Problem, [
        Way("numpy", by_numpy, can=..., better=lambda p: p.work <= tuning.NUMPY_PRODUCT),
        Way("dots", by_dots, better=lambda p: p.rows <= tuning.FEW_DOT_ROWS),
        Way("tiles", by_tiles),
        Way("reference", by_loops),
    ], ...)

    y = LINEAR.way(*sizes)(x, w, bias)

The first way in the list that can, and is better than those below it, is taken. The list is the
documentation of the choice: it is what `python -m minigrad ways` prints. It ends in the reference,
which can do everything, slowly and evidently right.

What was decided for some sizes is remembered as the function to call, so that a call costs one
lookup. Whoever wants to see or check the calls (`minigrad.debug`) wraps what is remembered; while
nobody does, a call costs nothing more.

`MINIGRAD_WAY="conv2d=winograd,linear=reference"`, or `with forced(conv2d="winograd"):`, takes these
ways whatever is better. A forced way that cannot do what it is asked for raises, and says why.

Not here: any particular way (the folders of the families); how calls are printed and checked
(`minigrad/debug.py`); the sizes at which ways change places (`minigrad/tuning.py`).
"""
from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np


def _always(problem: Any) -> bool:
    return True


def _no_reason(problem: Any) -> str | None:
    return None


def _itself(problem: Any) -> Any:
    return problem


class Way(NamedTuple):
    """One way to compute what a family computes.

    run: run(problem, *arrays) computes it; with `declines`, it may return None instead of a result
        that it does not trust, and the next way is taken.
    plan: plan(problem) is made once for all calls with these sizes; run gets it for the problem.
    can: the reason why it cannot do a problem, or None if it can.
    better: whether it is faster than the ways below it in the list, for a problem that it can do.
    about: what it does and where it is better, in a few words, for who reads the list.
    nearby: whether its errors are relative to the largest numbers of a neighbourhood, not to those
        of one result.
    """
    name: str
    run: Callable[..., Any]
    can: Callable[[Any], str | None] = _no_reason
    better: Callable[[Any], bool] = _always
    about: str = ""
    plan: Callable[[Any], Any] = _itself
    declines: bool = False
    nearby: bool = False


class Choice(NamedTuple):
    """The way that was taken, whether it was forced, and why not those above it: (name, reason)."""
    way: Way
    was_forced: bool
    passed: tuple[tuple[str, str], ...]


class Family:
    """What is computed, and the ways to compute it.

    problem: makes of the numbers that `way` is called with what the ways are asked about; its
        result prints itself well (a NamedTuple does).
    ways: in order of preference; the last is named "reference".
    draw(rng, *sizes): the arrays of an example, as the ways take them after the problem.
    flops, bytes: of a problem, at the least: each product and sum, each number moved once.
    ulps(problem): how far a result may be from the reference, in units of the last place of
        `magnitude`, because of the length of the sums. 0: bit by bit.
    magnitude(problem, expected, *arrays): how large the numbers are whose rounding a result bears,
        in the shape of the result. None: the reference on absolute values, which is right for what
        is linear in each array.
    seen: what of a result is compared, for one that holds sums to be added up by the caller.
    """

    def __init__(self, name: str, problem: Callable[..., Any], ways: Sequence[Way], *,
                 draw: Callable[..., tuple], flops: Callable[[Any], float],
                 bytes: Callable[[Any], float], ulps: Callable[[Any], float],
                 magnitude: Callable[..., Any] | None = None,
                 seen: Callable[[Any], Any] = _itself) -> None:
        assert ways[-1].name == "reference" and name not in FAMILIES
        self.name, self.problem, self.ways = name, problem, tuple(ways)
        self.draw, self.flops, self.bytes = draw, flops, bytes
        self.ulps, self.magnitude, self.seen = ulps, magnitude, seen
        #: way(*sizes) -> run(*arrays): what is decided for these sizes, remembered.
        self.way = functools.lru_cache(maxsize=1024)(self._decide)
        FAMILIES[name] = self

    @property
    def reference(self) -> Way:
        return self.ways[-1]

    def __repr__(self) -> str:
        return f"<family {self.name}: {', '.join(way.name for way in self.ways)}>"

    def choose(self, problem: Any) -> Choice:
        """The way for a problem. Raises: ValueError if a way is forced that does not exist or
        cannot."""
        wanted = forced_way(self.name)
        passed: list[tuple[str, str]] = []
        for way in self.ways:
            if wanted is not None and way.name != wanted:
                continue
            reason = way.can(problem)
            if wanted is not None:
                if reason is not None:
                    raise ValueError(f"{self.name}: the way '{wanted}' is forced, but cannot do "
                                     f"{problem}: {reason}")
                return Choice(way, True, ())
            if reason is None and way.better(problem):
                return Choice(way, False, tuple(passed))
            passed.append((way.name, f"cannot: {reason}" if reason else "slower here"))
        if wanted is None:
            raise AssertionError(f"{self.name}: the reference refuses {problem}")
        raise ValueError(f"{self.name} has no way '{wanted}'; it has "
                         + ", ".join(way.name for way in self.ways))

    def _decide(self, *sizes: Any) -> Callable[..., Any]:
        problem = self.problem(*sizes)
        choice = self.choose(problem)
        run = self._runner(problem, choice.way)
        for watch in _watchers:
            run = watch(self, problem, choice, run)
        return run

    def _runner(self, problem: Any, way: Way) -> Callable[..., Any]:
        run = functools.partial(way.run, way.plan(problem))
        if not way.declines:
            return run
        below = self.ways[self.ways.index(way) + 1:]
        second = next(w for w in below if w.can(problem) is None and w.better(problem))

        @functools.cache                           # rarely needed
        def otherwise() -> Callable[..., Any]:
            return self._runner(problem, second)

        def run_or_else(*arrays: Any) -> Any:
            result = run(*arrays)
            return otherwise()(*arrays) if result is None else result

        return run_or_else


FAMILIES: dict[str, Family] = {}

#: watch(family, problem, choice, run) -> run: what wraps each call while somebody looks on.
Watcher = Callable[[Family, Any, Choice, Callable[..., Any]], Callable[..., Any]]
_watchers: list[Watcher] = []


def forget() -> None:
    """What was decided is decided anew at the next call."""
    for family in FAMILIES.values():
        family.way.cache_clear()


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Within it, all calls of all families go through this watcher, in all threads."""
    watch(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
        forget()


def watch(watcher: Watcher) -> None:
    """From now on all calls of all families go through this watcher."""
    _watchers.append(watcher)
    forget()


# --- forcing a way -------------------------------------------------------------------------------

def _from_environment() -> dict[str, str]:
    text = os.environ.get("MINIGRAD_WAY", "")
    pairs = [item.partition("=") for item in text.split(",") if item.strip()]
    if not all(name.strip() and equals and way.strip() for name, equals, way in pairs):
        raise ValueError(f"MINIGRAD_WAY: want family=way, separated by commas, got {text!r}")
    return {name.strip(): way.strip() for name, _, way in pairs}


_forced = _from_environment()
_checked = not _forced


def forced_way(name: str) -> str | None:
    """The way that a family is to take, if somebody forces one."""
    global _checked
    if not _checked:  # all families are known by the time that one of them decides
        _check_names(_forced)
        _checked = True
    return _forced.get(name)


def _check_names(ways: dict[str, str]) -> None:
    for name, way in ways.items():
        if name not in FAMILIES:
            raise ValueError(f"there is no family of kernels named '{name}' to force a way of; "
                             f"there are {', '.join(sorted(FAMILIES))}")
        names = [w.name for w in FAMILIES[name].ways]
        if way not in names:
            raise ValueError(f"{name} has no way '{way}'; it has {', '.join(names)}")


@contextlib.contextmanager
def forced(**ways: str) -> Iterator[None]:
    """Within it these families take these ways, in all threads: `with forced(conv2d="tiles"):`.

    Raises: ValueError for a family or a way that does not exist; a call raises one if the forced
    way cannot do it.
    """
    _check_names(ways)
    global _forced
    before, _forced = _forced, {**_forced, **ways}
    forget()
    try:
        yield
    finally:
        _forced = before
        forget()


# --- reasons and measures that families share ----------------------------------------------------

def all_of(*conditions: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    """The first reason that one of these has against a problem."""
    def can(problem: Any) -> str | None:
        for condition in conditions:
            reason = condition(problem)
            if reason is not None:
                return reason
        return None
    return can


def long_sum(terms: float) -> float:
    """The ulps that a sum of so many products may be away, relative to their absolute values.

    Rounding errors of n additions add up like steps of a random walk: sqrt(n) halves of an ulp of a
    partial sum, which is at most the sum of the absolute values. Blocks and float64 make it less.
    Four times that, and a few for the product, a bias and the rounding at the end.
    """
    return 4.0 + 2.0 * float(np.sqrt(max(terms, 1.0)))
