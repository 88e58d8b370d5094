"""A parallel region in machine code: how chunks of a kernel are handed to waiting threads.

The calling thread writes down a job (where the kernel's machine code is, its arguments, how many
chunks), opens it, and takes chunks by an atomic counter. Workers that spin in `serve` see the open
job and take chunks of it, too. Nobody needs Python, its lock or the operating system for that:

    caller                               worker, in `serve`
    job, NEXT = 0, OPEN = 1              OPEN? INSIDE += 1, still OPEN?
    chunk NEXT++ until none is left      chunk NEXT++ until none is left
    OPEN = 0, wait until INSIDE = 0      INSIDE -= 1

A worker may read the job only between INSIDE += 1 and INSIDE -= 1 with OPEN seen in between, and
the caller returns only when INSIDE is 0: so no worker ever sees a job whose arguments are gone.

Measured on a virtual machine with two cores: 1 us for a call, where waking a parked thread
through Python took 5 us if it had parked just now, and 50 us to 80 us once its core had gone to
sleep; and each chunk cost the 3 us of a Python call, under the one lock.

A region is compiled for each kernel and kind of arguments, but does not contain the kernel: it is
told once where the kernel's machine code is (`code_of`), and keeps that in a word of its own. With
the kernel inside, the kernel was compiled twice, which took 2.3 of 15.3 s of a first CNN step.

Not here: who the workers are, when they park (threads.py); the atomic words (atomics.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..jit import Kernel, jit
from ..jit.kernel import compile_beside
from .atomics import tools

# Words of the control block, each on a cache line of its own: 8 numbers of 8 bytes.
OPEN, NEXT, INSIDE, FAILED, CODE, COUNT, ITEMS, LEAVE = range(0, 64, 8)
CONTROL_WORDS = 64
ARGUMENT_WORDS = 1024  # 8 KiB: an array is 7 words, so some 140 arrays

DONE, UNKNOWN = 0, 1
# Turns between two offers of the core to others. A worker that was just woken is often put on the
# core of the one who woke it: there it spun for its whole patience before the caller went on.
_TURNS = 64


def new_control() -> np.ndarray:
    """A control block followed by room for the arguments of a job."""
    return np.zeros(CONTROL_WORDS + ARGUMENT_WORDS, np.int64)


def _compiled_take() -> Callable[..., Any]:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    i64 = ir.IntType(64)
    chunk = (types.intp, types.intp, types.voidptr)  # start, stop, arguments
    load, store, add, *_ = tools()

    @intrinsic
    def call(typingctx, control, start, stop):  # type: ignore[no-untyped-def]
        """Runs one chunk of the job that is written down; whether it raised nothing."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            code = builder.load(builder.gep(data, [ir.Constant(i64, CODE)]))
            arguments = builder.gep(data, [ir.Constant(i64, CONTROL_WORDS)])
            arguments = builder.bitcast(arguments, context.get_value_type(types.voidptr))
            kind = context.call_conv.get_function_type(types.none, chunk)
            function = builder.inttoptr(code, kind.as_pointer())
            status, _ = context.call_conv.call_function(
                builder, function, types.none, chunk, (args[1], args[2], arguments)
            )
            return status.is_ok

        return types.boolean(control, types.intp, types.intp), codegen

    def take(control):  # type: ignore[no-untyped-def]
        count, items = load(control, COUNT), load(control, ITEMS)
        while True:
            i = add(control, NEXT, 1)
            if i >= count:
                return
            if not call(control, i * items // count, (i + 1) * items // count):
                store(control, FAILED, 1)

    return take


@jit(compiled_as=_compiled_take)
def take(control):  # type: ignore[no-untyped-def]
    """Runs chunks of the open job until none is left. Machine code only."""
    raise NotImplementedError


def _compiled_serve() -> Callable[..., Any]:
    load, _, add, _, pause, give_way = tools()

    def serve(control, patience):  # type: ignore[no-untyped-def]
        idle = 0
        while idle < patience and load(control, LEAVE) == 0:
            if load(control, OPEN) == 1 and load(control, NEXT) < load(control, COUNT):
                add(control, INSIDE, 1)
                if load(control, OPEN) == 1:
                    take(control)
                    idle = 0
                add(control, INSIDE, -1)
            else:
                pause()
                idle += 1
                if idle % _TURNS == 0:
                    give_way()

    return serve


@jit(compiled_as=_compiled_serve)
def serve(control, patience):  # type: ignore[no-untyped-def]
    """What a worker does: help with each job, until `patience` turns have passed without one.

    Without the JIT there are no such jobs, and nothing to wait for.
    """


def code_of(kernel: Kernel, args: tuple[Any, ...]) -> int:
    """The address of the machine code of `kernel(start, stop, *args)`. Compiles it if need be.

    Raises: TypeError if the kernel returns something.
    """
    dispatcher = kernel.dispatcher()
    kinds = tuple(dispatcher.typeof_pyval(value) for value in (0, 0, *args))
    dispatcher.compile(kinds)
    result = dispatcher.overloads[kinds]
    if str(result.signature.return_type) != "none":
        raise TypeError(f"parallel: {kernel} returns {result.signature.return_type}, want None")
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def region(kernel: Kernel) -> Callable[..., int]:
    """region(control, code, items, count, args): `kernel(start, stop, *args)` over chunks, shared.

    code: 0, or after UNKNOWN was returned, and nothing done, code_of(kernel, args). Compiled once
    for each kernel and kind of arguments. It returns DONE when no worker is inside any more: until
    then the call itself keeps the arguments alive. control[FAILED] is 1 if a chunk raised.
    """
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    load, store, _, _, pause, give_way = tools()
    i64 = ir.IntType(64)
    chunk = (types.intp, types.intp, types.voidptr)

    @intrinsic
    def write_down(typingctx, control, code, args):  # type: ignore[no-untyped-def]
        """The job's machine code and arguments into the control block; False if UNKNOWN."""
        wanted = (types.intp, types.intp, *args.types)

        def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
            kind = context.get_value_type(args)
            if context.get_abi_sizeof(kind) > 8 * ARGUMENT_WORDS:
                raise TypeError(f"parallel: the arguments of {kernel} take too much room")
            known = ir.GlobalVariable(
                builder.module, i64, builder.module.get_unique_name("kernel")
            )
            known.linkage, known.initializer = "internal", ir.Constant(i64, 0)
            told = builder.icmp_signed("!=", values[1], ir.Constant(i64, 0))
            with builder.if_then(told):
                builder.store(values[1], known)

            convention = context.call_conv
            function = ir.Function(
                builder.module,
                convention.get_function_type(types.none, chunk),
                builder.module.get_unique_name("chunk"),
            )
            function.linkage = "internal"
            convention.decorate_function(function, ["start", "stop", "args"], chunk)
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            start, stop, arguments = convention.get_arguments(function)
            tuple_ = inner.load(inner.bitcast(arguments, kind.as_pointer()), align=8)
            each = cgutils.unpack_tuple(inner, tuple_, len(args.types))
            callee = convention.get_function_type(types.none, wanted)
            callee = inner.inttoptr(inner.load(known), callee.as_pointer())
            status, _ = convention.call_function(
                inner, callee, types.none, wanted, (start, stop, *each)
            )
            with inner.if_then(status.is_error):
                convention.return_status_propagate(inner, status)
            convention.return_value(inner, context.get_dummy_value())

            data = context.make_array(signature.args[0])(context, builder, values[0]).data
            at = [builder.gep(data, [ir.Constant(i64, i)]) for i in (CODE, CONTROL_WORDS)]
            builder.store(builder.ptrtoint(function, i64), at[0])
            builder.store(values[2], builder.bitcast(at[1], kind.as_pointer()), align=8)
            return builder.icmp_signed("!=", builder.load(known), ir.Constant(i64, 0))

        return types.boolean(control, types.intp, args), codegen

    def run(control, code, items, count, args):  # type: ignore[no-untyped-def]
        if not write_down(control, code, args):
            return UNKNOWN
        store(control, ITEMS, items)
        store(control, COUNT, count)
        store(control, FAILED, 0)
        store(control, NEXT, 0)
        store(control, OPEN, 1)
        take(control)
        store(control, OPEN, 0)
        turn = 0
        while load(control, INSIDE) != 0:
            pause()
            turn += 1
            if turn % _TURNS == 0:
                give_way()
        return DONE

    return compile_beside(kernel, run, ".region")
