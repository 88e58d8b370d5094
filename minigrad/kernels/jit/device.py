"""A kernel that is called inside another one: optimised, ready to be linked in, and nothing more.

Of everything that Numba compiles it makes machine code and a wrapper that takes Python's objects.
A helper that only kernels call needs neither: each kernel gets the optimised code of its helpers
linked in, and is made into machine code with them. Without the two, a first CNN step, which
compiles 60 helpers, took 16.6 s instead of 20.0 s on a slow machine, and the kernels are the same.
To leave out the optimising here, since the kernel is optimised as a whole, would save another
tenth; but then max pooling took 1.6 to 1.8 times as long.

A part that comes from the cache, because its kernel does not, is made into machine code after all:
that is Numba's own way of loading, and rare. A helper that raises must raise a constant message:
what else Numba would print is kept beside its machine code, and a part has none.

Not here: the dispatchers themselves, and when a part is wanted (jit.py).
"""

from __future__ import annotations

import functools
from typing import Any

_NEEDED = ("_optimize_functions", "_finalize_dynamic_globals", "_verify_declare_only_symbols",
           "_finalize_final_module", "serialize_using_bitcode", "enable_object_caching", "codegen")


@functools.cache
def _libraries() -> tuple[Any, Any]:
    """Numba's compiler, and a library of machine code that is optimised once, as a whole.

    Numba optimises each function before it links them, for the sake of memory, and again after; the
    former took 7 to 10 % of a first CNN step and changed no kernel's speed. (None, None) for a
    Numba with other internals.
    """
    try:
        from numba.core.codegen import JITCodeLibrary
        from numba.core.compiler import Compiler
    except ImportError:
        return None, None
    if not all(hasattr(JITCodeLibrary, name) for name in _NEEDED):
        return None, None

    class WholeLibrary(JITCodeLibrary):
        def _optimize_functions(self, module: Any) -> None:
            module.data_layout = self._codegen._data_layout      # which it also sets

    return Compiler, WholeLibrary


@functools.cache
def kernel_options() -> dict[str, Any]:
    """What `jit` must tell Numba to make a kernel; nothing for a Numba with other internals."""
    compiler, library = _libraries()
    if compiler is None:
        return {}

    class KernelCompiler(compiler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.state.library = library(self.state.targetctx.codegen(), "kernel")
            self.state.library.enable_object_caching()           # so that it can be kept

    return {"pipeline_class": KernelCompiler}


@functools.cache
def part_options() -> dict[str, Any]:
    """What `jit` must tell Numba to make a part; nothing for a Numba with other internals."""
    compiler, library = _libraries()
    if compiler is None:
        return {}

    class PartLibrary(library):
        """Code in LLVM's language, optimised; the machine never sees it under this name."""

        codegen = property(lambda self: _Placeless(self._codegen))

        def _finalize_final_module(self) -> None:
            self._finalize_dynamic_globals()
            self._verify_declare_only_symbols()
            self._finalized = True  # and neither handed to the engine nor made into machine code

        def serialize_using_object_code(self) -> Any:
            return self.serialize_using_bitcode()  # there is no object code

    class PartCompiler(compiler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.state.library = PartLibrary(self.state.targetctx.codegen(), "part")

    return {"no_cpython_wrapper": True, "pipeline_class": PartCompiler}


class _Placeless:
    """Numba's code generator, but for one thing: it writes the address of a function's environment
    (what it needs of Python to raise or print) into its machine code, and a part has none."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def set_env(self, name: str, environment: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)
