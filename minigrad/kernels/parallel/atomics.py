"""Words that several threads look at and change at once, which Numba does not offer by itself.

    load, store, add, claim, pause, give_way = tools()        in a function of `compiled_as`

All take an int64 array and an index, and hold for all threads in one order (seq_cst):

    load(words, i)                  words[i]
    store(words, i, value)          words[i] = value
    add(words, i, value)            words[i] += value, and what it was before
    claim(words, i)                 words[i] = 1 if it is 0; whether it was
    pause()                         tells the core that this is a loop that waits: 10 to 50 ns
    give_way()                      lets another thread have this core, if one waits for it

Not here: what they are used for (dispatch.py, scratch.py).
"""

from __future__ import annotations

import functools
import platform
import sys
from collections.abc import Callable
from typing import Any, NamedTuple


class Tools(NamedTuple):
    """See the module."""

    load: Callable[..., Any]
    store: Callable[..., Any]
    add: Callable[..., Any]
    claim: Callable[..., Any]
    pause: Callable[..., Any]
    give_way: Callable[..., Any]


@functools.cache
def tools() -> Tools:
    """Made once, and late: they need Numba."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    i64 = ir.IntType(64)

    def word(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    @intrinsic
    def load(typingctx, words, i):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.load_atomic(word(context, builder, signature, args), "seq_cst", 8)

        return types.intp(words, types.intp), codegen

    @intrinsic
    def store(typingctx, words, i, value):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            at = word(context, builder, signature, args)
            builder.store_atomic(args[2], at, "seq_cst", 8)
            return context.get_dummy_value()

        return types.void(words, types.intp, types.intp), codegen

    @intrinsic
    def add(typingctx, words, i, value):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            at = word(context, builder, signature, args)
            return builder.atomic_rmw("add", at, args[2], "seq_cst")

        return types.intp(words, types.intp, types.intp), codegen

    @intrinsic
    def claim(typingctx, words, i):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            at = word(context, builder, signature, args)
            free, mine = ir.Constant(i64, 0), ir.Constant(i64, 1)
            return builder.extract_value(builder.cmpxchg(at, free, mine, "seq_cst", "seq_cst"), 1)

        return types.boolean(words, types.intp), codegen

    @intrinsic
    def pause(typingctx):  # type: ignore[no-untyped-def]
        machine = platform.machine().lower()

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            if machine in ("x86_64", "amd64"):
                name, inputs = "llvm.x86.sse2.pause", []
            elif machine in ("aarch64", "arm64"):
                name, inputs = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]  # yield
            else:
                return context.get_dummy_value()
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in inputs])
            module = builder.module
            hint = module.globals.get(name) or ir.Function(module, kind, name)
            builder.call(hint, inputs)
            return context.get_dummy_value()

        return types.void(), codegen

    @intrinsic
    def give_way(typingctx):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            if sys.platform != "win32":
                module = builder.module
                kind = ir.FunctionType(ir.IntType(32), [])
                function = module.globals.get("sched_yield") or ir.Function(
                    module, kind, "sched_yield"
                )
                builder.call(function, [])
            return context.get_dummy_value()

        return types.void(), codegen

    return Tools(load, store, add, claim, pause, give_way)
