"""Device functions, kernels that are called inside others: ready to be linked in, and nothing more;
and how much optimising each kind of kernel gets.

Of everything that Numba compiles it makes machine code and a wrapper that takes Python's objects.
A device function, which only kernels call, needs neither: each kernel gets the code of those that
it calls linked in, is optimised with them as a whole, and made into machine code. When they were
optimised alone before, and by Numba's own sequence of passes, a first CNN step, which compiles 60
of them, took 12.5 s instead of 9.4 (one core of an EPYC); the kernels were no faster.

A part that comes from the cache, because its kernel does not, is made into machine code after all:
that is Numba's own way of loading, and rare. A helper that raises must raise a constant message:
what else Numba would print is kept beside its machine code, and a part has none.

Not here: the dispatchers themselves, and when a part is wanted (kernel.py).
"""

from __future__ import annotations

import functools
from typing import Any

_NEEDED = ("_optimize_functions", "_optimize_final_module", "_finalize_dynamic_globals",
           "_verify_declare_only_symbols", "_finalize_final_module", "serialize_using_bitcode",
           "enable_object_caching", "codegen")


@functools.cache
def compiler_options() -> dict[str, dict[str, Any]]:
    """What `jit` must tell Numba to make a "kernel", a "region" (parallel/dispatch.py) or a "part";
    nothing for a Numba with other internals.

    Numba optimises each function before it links them, for the sake of memory, and again after, at
    LLVM's level 3. The former took 8 % of a first CNN step and level 3 instead of 2 another 3;
    neither made a kernel faster. (Loops with bounds checks become vectors at level 3 only, and a
    block's sum in one lane has a digit less: there it stays.)
    """
    nothing: dict[str, dict[str, Any]] = {"kernel": {}, "region": {}, "part": {}}
    try:
        from numba.core import config
        from numba.core.codegen import JITCodeLibrary
        from numba.core.compiler import Compiler
    except ImportError:
        return nothing
    if not all(hasattr(JITCodeLibrary, name) for name in _NEEDED):
        return nothing

    class KernelLibrary(JITCodeLibrary):
        """Optimised once, as a whole."""

        def _optimize_functions(self, module: Any) -> None:
            module.data_layout = self._codegen._data_layout      # which it also sets

        def _optimize_final_module(self) -> None:
            _clean_up(self, 0)
            passes, settings = self._codegen._module_pass_manager(
                opt=3 if getattr(config, "BOUNDSCHECK", None) else 2)
            passes.run(self._final_module, settings)

    class RegionLibrary(KernelLibrary):
        """Without a loop that is worth optimising."""

        def _optimize_final_module(self) -> None:
            _clean_up(self, 1)

    class PartLibrary(KernelLibrary):
        """Code in LLVM's language; the machine never sees it under this name."""

        codegen = property(lambda self: _Placeless(self._codegen))

        def _optimize_final_module(self) -> None:
            _clean_up(self, 0)                     # the kernel is optimised as a whole

        def _finalize_final_module(self) -> None:
            self._finalize_dynamic_globals()
            self._verify_declare_only_symbols()
            self._finalized = True  # and neither handed to the engine nor made into machine code

        def serialize_using_object_code(self) -> Any:
            return self.serialize_using_bitcode()  # there is no object code

    def into(library: Any) -> dict[str, Any]:
        class Into(Compiler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                self.state.library = library(self.state.targetctx.codegen(), "minigrad")
                if library is not PartLibrary:
                    self.state.library.enable_object_caching()   # so that it can be kept
        return {"pipeline_class": Into}

    return {"kernel": into(KernelLibrary), "region": into(RegionLibrary),
            "part": {"no_cpython_wrapper": True, **into(PartLibrary)}}


def _clean_up(library: Any, level: int) -> None:
    """Inlines what must be, takes away counts of references that cancel: Numba's first pass."""
    passes, settings = library._codegen._module_pass_manager(
        opt=level, loop_vectorize=False, slp_vectorize=False, cost="cheap")
    passes.run(library._final_module, settings)


class _Placeless:
    """Numba's code generator, but for one thing: it writes the address of a function's environment
    (what it needs of Python to raise or print) into its machine code, and a part has none."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def set_env(self, name: str, environment: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)
