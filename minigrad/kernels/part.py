"""A kernel that is called inside another one: optimised, ready to be linked in, and nothing more.

Of everything that Numba compiles it makes machine code and a wrapper that takes Python's objects.
A helper that only kernels call needs neither: each kernel gets the optimised code of its helpers
linked in, and is made into machine code with them. Without the two, a first CNN step, which
compiles 60 helpers, took 16.6 s instead of 20.0 s on a slow machine, and the kernels are the same.
To leave out the optimising here, since the kernel is optimised as a whole, would save another
tenth; but then max pooling took 1.6 to 1.8 times as long.

Not here: the dispatchers themselves, and when a part is wanted (jit.py).
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def part_compiler() -> Any:
    """The `pipeline_class` with which Numba makes a part."""
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler

    class PartLibrary(JITCodeLibrary):
        """Code in LLVM's language, optimised; the machine never sees it under this name."""

        # Where a kernel keeps what it needs of Python when it raises: a part has no address, so
        # there is no place that could be told.
        codegen = property(lambda self: _Placeless(self._codegen))

        def _finalize_final_module(self) -> None:
            self._finalize_dynamic_globals()
            self._verify_declare_only_symbols()
            self._finalized = True  # and neither handed to the engine nor made into machine code

        def serialize_using_object_code(self) -> Any:
            return self.serialize_using_bitcode()  # there is no object code

    class PartCompiler(Compiler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.state.library = PartLibrary(self.state.targetctx.codegen(), "part")

    return PartCompiler


class _Placeless:
    """Numba's code generator without the table of environments."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def set_env(self, name: str, environment: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)
