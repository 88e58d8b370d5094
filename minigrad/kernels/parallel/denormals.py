"""Numbers too small for their exponent: full precision, or none and full speed.

Below 1.2e-38 a float32 keeps fewer and fewer digits (it is subnormal, or denormal). The CPU works
on such numbers many times slower: on two cores 262,144 products took 310 us instead of 24, a linear
layer 290 ms instead of 1.8. Gradients that vanish through many steps come into that range. A switch
of the CPU (x86: two bits of MXCSR; ARM: one of FPCR) takes them for 0, as they come and as they go.

Our recurrent layer needs no switch: it flushes what vanishes by itself (recurrent/).
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from ..jit import jit
from ..jit.kernel import jit_disabled
from .threads import get_num_threads, set_num_threads

# MXCSR: FTZ (a result) is bit 15, DAZ (an operand) bit 6. FPCR: FZ, both, is bit 24.
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_ARM = platform.machine().lower() in ("aarch64", "arm64")
_BITS = 1 << 15 | 1 << 6 if _X86 else 1 << 24


def _compiled_switch() -> Callable[..., Any]:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    i64 = ir.IntType(64)

    def declared(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
        kind = ir.FunctionType(result, arguments)
        return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)

    @intrinsic
    def read(typingctx):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            if not _X86:
                return builder.call(declared(builder, "llvm.aarch64.get.fpcr", i64), [])
            word = builder.alloca(ir.IntType(32))
            place = builder.bitcast(word, ir.IntType(8).as_pointer())
            store = declared(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), place.type)
            builder.call(store, [place])
            return builder.zext(builder.load(word), i64)

        return types.int64(), codegen

    @intrinsic
    def write(typingctx, value):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            if not _X86:
                setter = declared(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), i64)
                builder.call(setter, args)
                return context.get_dummy_value()
            word = builder.alloca(ir.IntType(32))
            builder.store(builder.trunc(args[0], ir.IntType(32)), word)
            place = builder.bitcast(word, ir.IntType(8).as_pointer())
            load = declared(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), place.type)
            builder.call(load, [place])
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    def switch(bits, on):  # type: ignore[no-untyped-def]
        before = read()
        write(before | bits if on else before & ~bits)

    return switch


@jit(compiled_as=_compiled_switch)
def _switch(bits, on):  # type: ignore[no-untyped-def]
    """Sets or clears bits of the word that controls this thread's arithmetic. Compiled only."""
    raise NotImplementedError


def set_flush_denormal(mode: bool) -> bool:
    """Take denormal numbers for 0 in the calling thread and in those that help it.

    mode: True for speed where numbers vanish; False (the state at the start) for every digit that
    the format has. Holds for NumPy's operations, too. A thread that the program starts itself calls
    it for itself.

    Returns whether this machine can: x86-64 and ARM64, and not under NUMBA_DISABLE_JIT.
    """
    if not (_X86 or _ARM) or jit_disabled():
        return False
    _switch(_BITS, bool(mode))
    # Threads take the state of the one that starts them: those that help are started anew.
    n = get_num_threads()
    set_num_threads(1)
    set_num_threads(n)
    return True
