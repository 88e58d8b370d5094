"""The text of an LLVM function becomes machine code: optimised, assembled, kept on disk.

By llvmlite alone, without Numba's steps from Python to LLVM: 5 to 17 ms for a formula, where a
kernel takes 0.2 to 1 s, and 1 to 3 ms for one that lies in the cache. It is the cache of
`jit/cache.py` with all its rules (private, hashed, never raises); the name of a file holds the hash
of the text, which is all that the code depends on beside versions and CPU, so nothing in it can be
stale.

Whatever goes wrong (a CPU or an LLVM that we do not know) means None, and NumPy computes.

Not here: the text (emit.py), calling the code (loop.py).
"""
from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import threading
from pathlib import Path
from typing import Any

from ..jit import cache
from ..jit.kernel import events, numba_module
from ..simd.registers import cpu_features, registers
from .emit import FUNCTION

_lock = threading.RLock()


def register_bytes() -> int:
    """The width of a vector: of this machine's registers, at least the 16 bytes that all have."""
    found = registers(cpu_features())
    return found.bytes if found else 16


class _Assembler:
    """LLVM, set up for this machine, and the memory where its machine code lies: one a process."""

    def __init__(self) -> None:
        numba_module()                             # which initialises LLVM, and knows its settings
        import llvmlite.binding as llvm  # type: ignore[import-untyped]

        # As for Numba's kernels: code for another CPU if the user says so.
        cpu = os.environ.get("NUMBA_CPU_NAME")
        features = os.environ.get("NUMBA_CPU_FEATURES")
        if features is None:
            features = "" if cpu else llvm.get_host_cpu_features().flatten()
        with contextlib.suppress(Exception):       # newer versions do it by themselves
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
        self.llvm = llvm
        self.machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=cpu or llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.machine)
        _tell_c_functions(llvm)

    def assemble(self, text: str) -> bytes:
        """An object file."""
        llvm = self.llvm
        module = llvm.parse_assembly(text)
        module.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = options.slp_vectorization = False       # it is vectors
        passes = llvm.create_pass_builder(self.machine, options)
        passes.getModulePassManager().run(module, passes)
        return self.machine.emit_object(module)

    def load(self, blob: bytes, name: str) -> int:
        """The address of a function of an object file, which stays in memory."""
        self.engine.add_object_file(self.llvm.ObjectFileRef.from_data(blob))
        self.engine.finalize_object()
        return self.engine.get_function_address(name)


def _tell_c_functions(llvm: Any) -> None:
    """LLVM ends the process if a function is missing, so it is told where they are."""
    found = ctypes.CDLL(None) if os.name != "nt" else ctypes.CDLL("ucrtbase")
    llvm.add_symbol("erf", ctypes.cast(found.erf, ctypes.c_void_p).value)


@functools.cache
def _assembler() -> _Assembler:
    return _Assembler()


_known: dict[str, int] = {}


def address(text: str, title: str) -> int:
    """Where the machine code of the function FUNCTION of this text begins.

    title: names it in the cache and for tools that look at machine code; texts that differ never
    share a name. Raises: whatever LLVM has against the text.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    name = f"minigrad.kernels.pointwise.{title}-{digest}"
    with _lock:
        if name not in _known:
            _known[name] = _made(text.replace(FUNCTION, f'@"{name}"'), name)
        return _known[name]


def _made(text: str, name: str) -> int:
    assembler, path = _assembler(), _path(name)
    if path is not None:
        try:
            found = assembler.load(cache.read(path), name)
            events["loaded"] += 1
            return found
        except FileNotFoundError:
            pass
        except Exception:
            cache.remove(path)                     # it is written anew after compiling
    blob = assembler.assemble(text)
    events["compiled"] += 1
    if path is not None:
        try:
            cache.write(path, blob)
        except Exception as error:
            cache.warn_not_stored(error)
    return assembler.load(blob, name)


def _path(name: str) -> Path | None:
    folder = cache.cache_folder()
    return None if folder is None else folder / f"{name.removeprefix('minigrad.kernels.')}.bin"
