"""How a plain loop becomes machine code: compiled by Numba at the first call, kept on disk.

`@jit` wraps a plain Python function in a `Kernel`. Importing a kernel costs nothing and does
not import Numba; the first call compiles it for the types it was given, or loads the machine
code of an earlier process. The plain function stays at hand as `kernel.plain`, and is what runs
under NUMBA_DISABLE_JIT=1.

Compiling is slow (10 s for all that a first CNN step needs, on one core of an EPYC): once half a
second of it has passed, one line on stderr says what is being waited for, and whether it is for the
first time. MINIGRAD_QUIET=1 silences it, and `python -m minigrad warmup` compiles ahead.

Not here: where compiled kernels are kept (cache.py); what a kernel inside another one is spared
(device.py); threads (threads.py); any check of arguments (the public ops do that).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

import numpy as np

from .device import compiler_options

#: What happened in this process: "compiled", "loaded" from the cache, "stored" into it.
events: Counter[str] = Counter()

_lock = threading.RLock()
IMPORTED = time.time()


@functools.cache
def jit_disabled() -> bool:
    """NUMBA_DISABLE_JIT, read without importing Numba: the plain run stays light."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0").strip() not in ("", "0")


class Kernel:
    """A plain function that is compiled when it is first called.

    `plain` is the function itself. `run` is what a hot loop should call: Numba's dispatcher once
    there is one (a call through the Kernel costs about 0.1 us more). Other kernels may call this
    one by its global name: Numba is taught below to see the dispatcher in it.
    """

    def __init__(
        self,
        plain: Callable[..., Any],
        fastmath: Iterable[str] = (),
        compiled_as: Callable[[], Callable[..., Any]] | None = None,
        inline: bool = False,
    ) -> None:
        functools.update_wrapper(self, plain)
        self.plain = plain
        self.fastmath = frozenset(fastmath)
        self.inline = inline
        self._build = compiled_as
        self._dispatcher: Any = None
        self._part: Any = None
        self.run: Callable[..., Any] = plain if jit_disabled() else self._first_call

    def __call__(self, *args: Any) -> Any:
        return self.run(*args)

    def _first_call(self, *args: Any) -> Any:
        return self.resolve()(*args)

    def resolve(self) -> Callable[..., Any]:
        """The callable to use from now on: Numba's dispatcher, or the plain function."""
        # A .numba_config.yaml may say so, too.
        if jit_disabled() or numba_module().config.DISABLE_JIT:
            self.run = self.plain
        else:
            self.run = self.dispatcher()
        return self.run

    def dispatcher(self) -> Any:
        """Numba's dispatcher of this kernel for Python, made once; nothing is compiled yet."""
        with _lock:
            if self._dispatcher is None:
                self._dispatcher = self._new_dispatcher("")
            return self._dispatcher

    def part(self) -> Any:
        """Numba's dispatcher of this kernel inside other kernels (device.py). Not for Python.

        A kernel that is called from both is compiled for each.
        """
        with _lock:
            if self._part is None:
                known = bool(compiler_options()["part"])
                self._part = self._new_dispatcher(".part") if known else self.dispatcher()
            return self._part

    def _new_dispatcher(self, suffix: str) -> Any:
        source = self.plain
        if self._build is not None:
            source = self._build()
            _name_apart(source, self)
        made = numba_module().njit(
            nogil=True,
            fastmath=set(self.fastmath) or False,
            forceinline=self.inline,
            no_cfunc_wrapper=True,  # nobody calls a kernel from C: it took 5 % of the time
            **compiler_options()["part" if suffix else "kernel"],
        )(source)
        _attach_cache(made, self, suffix)
        return made

    def __repr__(self) -> str:
        return f"<kernel {self.plain.__module__}.{self.plain.__qualname__}>"


@overload
def jit(plain: Callable[..., Any], /) -> Kernel: ...
@overload
def jit(
    *,
    fastmath: Iterable[str] = ...,
    compiled_as: Callable[[], Callable[..., Any]] | None = ...,
    inline: bool = ...,
) -> Callable[[Callable[..., Any]], Kernel]: ...


def jit(
    plain: Callable[..., Any] | None = None,
    /,
    *,
    fastmath: Iterable[str] = (),
    compiled_as: Callable[[], Callable[..., Any]] | None = None,
    inline: bool = False,
) -> Kernel | Callable[[Callable[..., Any]], Kernel]:
    """Compile a plain loop at its first call: `@jit`, or `@jit(fastmath={"contract"})`.

    The kernel gets C-contiguous arrays (see `ready`) and numbers, checks nothing, runs without
    the GIL and on one thread.

    fastmath: LLVM's flags by name, e.g. {"contract", "reassoc", "nsz"}; never all of them, since
    "nnan" makes isnan() false.
    compiled_as: a function without arguments that returns what Numba shall compile in place of
    `plain`. For kernels that need Numba's own tools (vector instructions) and must not import
    it early; `plain` remains the meaning, and what runs without the JIT.
    inline: always becomes part of the kernel that calls it. For small ones that get many arrays: a
    call passes each as seven numbers, and cost 15 % of a tile.
    """
    if plain is None:
        return lambda function: Kernel(function, fastmath, compiled_as, inline)
    return Kernel(plain, fastmath, compiled_as, inline)


@functools.cache
def numba_module() -> Any:
    """Numba, imported late and taught what a Kernel is."""
    import numba
    from numba.extending import typeof_impl

    @typeof_impl.register(Kernel)
    def typeof_kernel(kernel: Kernel, context: Any) -> Any:
        return numba.types.Dispatcher(kernel.part())

    return numba


def ready(x: np.ndarray) -> np.ndarray:
    """x as kernels want it: C-contiguous, aligned, writable, in this machine's byte order. A copy
    only if it must be.

    Numba compiles again for each kind of array: a read-only or strided one would cost seconds of
    compiling for the same loop. A read-only array that is otherwise fine is passed as a view that
    does not say so; no kernel writes into an input.

    Numba tells kinds of arrays apart by a number that knows no byte order: of '>f4' it would run
    the loop that was compiled for '<f4', which reads other numbers.
    """
    if not x.dtype.isnative:
        return np.array(x, x.dtype.newbyteorder("="), order="C")
    flags = x.flags
    if flags.carray:  # all three in one question
        return x
    if flags.c_contiguous and flags.aligned and x.size:
        return np.asarray(_Writable(x))
    return np.array(x, order="C")


class _Writable:
    """The same memory, described to NumPy as writable (and kept alive by `owner`)."""

    def __init__(self, x: np.ndarray) -> None:
        self.owner = x
        description = dict(x.__array_interface__)
        description["data"] = (description["data"][0], False)
        self.__array_interface__ = description


# ------------------------------------------------------------------------- while it compiles

_PATIENCE = 0.5  # seconds of compiling before we say what is being waited for


class _HeldInterrupts:
    """Ctrl-C while a kernel is compiled is raised when that one is done, a second or two later.

    LLVM works for long without Python, and the first Python that runs then is a callback of ctypes
    in which it hands over its code. An exception there is printed and dropped: two of five Ctrl-C
    during a first step did nothing. Only for Python's own handler, in the thread that gets signals.
    """

    def __init__(self) -> None:
        self.depth = 0  # a kernel compiles those that it calls
        self.came = self.holding = False

    def _note(self, *_: Any) -> None:
        self.came = True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Around all that is done for one kernel: compiling, loading, storing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        import signal

        if self.depth == 0 and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.holding = True
            signal.signal(signal.SIGINT, self._note)
        self.depth += 1
        try:
            yield
            if self.came:  # not those around it, too
                raise KeyboardInterrupt
        finally:
            self.depth -= 1
            if self.depth == 0 and self.holding:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                came, self.came, self.holding = self.came, False, False
                if came:
                    raise KeyboardInterrupt


_interrupts = _HeldInterrupts()


class _Compiling:
    """What this process has spent on compiling. Numba's one lock is held wherever it is used."""

    def __init__(self) -> None:
        self.depth = 0  # a kernel compiles those that it calls
        self.started = 0.0  # of the outermost
        self.collecting = False  # whether Python looked for garbage before
        self.spent = 0.0
        self.told = False

    @contextlib.contextmanager
    def one(self, ours: bool) -> Iterator[None]:
        """Around the compiling of one kernel; `ours`: whether the cache will keep it."""
        if self.depth == 0:
            self.started = time.perf_counter()
            # Of its millions of objects nearly all are still wanted: to look for garbage among them
            # again and again took 6 % of the time.
            self.collecting = gc.isenabled()
            gc.disable()
        self.depth += 1
        try:
            if ours:
                self.tell()
            yield
        finally:
            self.depth -= 1
            if self.depth == 0:
                if self.collecting:
                    gc.enable()
                self.spent += time.perf_counter() - self.started

    def tell(self) -> None:
        """One line a process, once it takes noticeably long; no line for a single small kernel."""
        waited = self.spent + time.perf_counter() - self.started
        if self.told or waited < _PATIENCE:
            return
        self.told = True
        if os.environ.get("MINIGRAD_QUIET", "0").strip() not in ("", "0"):
            return
        # Not a warning: those become errors under `-W error`. stderr is None under pythonw, and
        # may be closed: nothing of that may stop a program.
        with contextlib.suppress(Exception):
            print(_what_is_waited_for(), file=sys.stderr, flush=True)


def _what_is_waited_for() -> str:
    """The line. It promises only what holds for this cache: nobody knows which kernels are to come.

    A folder with kernels of other programs says that this one needs more; how many, and so how
    long, it cannot say.
    """
    from .cache import cache_folder, kernels_before

    if cache_folder() is None:
        return ("minigrad: compiling its kernels for this machine, up to half a minute in each "
                "process, as there is no folder to keep them in")
    before = kernels_before()
    if before == 0:
        return ("minigrad: compiling its kernels for this machine; they are kept, so only a first "
                "program waits (some 20 seconds for a convolutional network; "
                "`python -m minigrad warmup` does it ahead)")
    return (f"minigrad: compiling kernels that no program has used here before; they are kept, as "
            f"{before} are already (`python -m minigrad warmup` compiles the common ones ahead)")


_compiling = _Compiling()


def _watch_compiler(dispatcher: Any, ours: bool) -> None:
    compiler = getattr(dispatcher, "_compiler", None)
    if compiler is None:
        return  # some other Numba: unwatched
    compile_one, compile_and_keep = compiler.compile, dispatcher.compile

    def watched(args: Any, return_type: Any) -> Any:
        with _compiling.one(ours):
            return compile_one(args, return_type)

    def uninterrupted(sig: Any) -> Any:
        with _interrupts.held():
            return compile_and_keep(sig)

    compiler.compile, dispatcher.compile = watched, uninterrupted


def _take_literals_as_numbers(dispatcher: Any) -> None:
    """Let `helper(x, 0)` and `helper(x, i)` in a kernel share one compiled helper.

    Numba gives the literal 0 a type of its own and compiles the helper a second time for it. Three
    helpers of the convolution were, and 0.6 s of the first CNN step went into that.
    """
    template = getattr(dispatcher, "get_call_template", None)
    if template is None:
        return  # some other Numba: compiled twice
    from numba import types

    def get_call_template(args: Any, kws: Any) -> Any:
        plain = tuple(map(types.unliteral, args))
        return template(plain, {name: types.unliteral(kind) for name, kind in dict(kws).items()})

    dispatcher.get_call_template = get_call_template


def compile_beside(kernel: Kernel, function: Callable[..., Any], suffix: str) -> Any:
    """Numba's dispatcher of a function that was made for a kernel, in the cache beside it."""
    _name_apart(function, kernel, suffix)
    made_in = function.__code__.co_filename
    made = numba_module().njit(nogil=True, no_cfunc_wrapper=True, **compiler_options()["region"])(
        function)
    _attach_cache(made, kernel, suffix, made_in)
    return made


def _name_apart(function: Callable[..., Any], kernel: Kernel, suffix: str = "") -> None:
    """Give what is compiled in a kernel's place a name of its own, down in the machine code.

    Numba's symbols are the qualified name, the types, and a number that counts within a process.
    Functions that one factory makes share the name; if two processes compiled them, as two that
    fill one cache do, they may share the number, too: then the linker took one tile for another.
    """
    from .cache import kernel_name

    name = kernel_name(kernel) + suffix
    if kernel.plain.__closure__ is not None:  # one of many that a function made
        name += "." + os.urandom(4).hex()
    function.__qualname__ = name


def _attach_cache(
    dispatcher: Any, kernel: Kernel, suffix: str = "", made_in: str | None = None
) -> None:
    """Give a dispatcher our cache. suffix, made_in: see cache_for."""
    if not hasattr(dispatcher, "_cache"):
        return  # some other Numba: uncached
    from .cache import cache_for

    dispatcher._cache, kept = cache_for(kernel, suffix, made_in)
    _watch_compiler(dispatcher, kept)
    _take_literals_as_numbers(dispatcher)
