"""Where compiled kernels are kept on disk, and when what lies there may be used.

One file for each kernel and signature. Its folder is named by a hash of what decides all machine
code: the versions, the CPU, Numba's own settings. Its own name holds a hash of the source files
that the kernel depends on: the one that it stands in, and all files of kernels/ that this one
imports, directly or through others. So an edit of pooling leaves convolution as it is, an edited
helper is never stale, and who goes back to older files finds what was compiled for them. A file is
its SHA-256 and the pickle: a truncated or damaged one is noticed before it is unpickled. Files are
written beside and renamed, so that processes may race: the last one wins, with the same content.
Unpickling runs code, so the folder must be ours alone: made with mode 0700, refused if someone else
owns it or may write to it.

Why a cache of our own, and not Numba's `cache=True`: that raises at import where no folder is
writable (numba #5566), raises EOFError for a truncated file (#10434), keys a function by its own
file alone, so that an edited helper in another file stays stale (#1833), and does not notice
NUMBA_BOUNDSCHECK. Ours never raises: whatever is wrong with the disk means compiling again and
at most one warning.

Imported when the first kernel is about to be compiled: an import of minigrad waits neither for
this file nor for what it needs.

Not here: compiling (kernel.py).
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import os
import pickle
import platform
import shutil
import stat
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ...user_cache import user_cache
from . import Kernel
from .kernel import IMPORTED, events

_KERNELS = Path(__file__).resolve().parents[1]
_HOST_ONLY = {_KERNELS / "ways.py"}  # nothing in there is compiled, or read by what is

_KEPT_VERSIONS = 8  # folders of other versions that survive a new one being made
_KEPT_EDITS = 8  # files of one kernel and signature, for different source files


def cache_root() -> Path:
    """The folder under which compiled kernels are kept.

    MINIGRAD_CACHE_DIR if set; else NUMBA_CACHE_DIR/minigrad; else in user_cache().
    """
    own = os.environ.get("MINIGRAD_CACHE_DIR")
    if own:
        return Path(own) / "kernels"
    numbas = os.environ.get("NUMBA_CACHE_DIR")
    if numbas:
        return Path(numbas) / "minigrad" / "kernels"
    return user_cache() / "minigrad" / "kernels"


def _version_key() -> str:
    """Hash of what decides the machine code of all kernels alike."""
    import llvmlite  # type: ignore[import-untyped]
    import llvmlite.binding as llvm  # type: ignore[import-untyped]
    import numba

    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM does not know the features of every CPU
        features = ""
    # Settings such as NUMBA_BOUNDSCHECK or NUMBA_CPU_NAME change the code that is made.
    settings = sorted(
        (k, v) for k, v in os.environ.items() if k.startswith("NUMBA_") and "CACHE" not in k
    )
    everything = (
        sys.version,
        platform.machine(),
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        llvm.get_host_cpu_name(),
        features,
        bool(getattr(numba.config, "USING_SVML", False)),
        settings,
    )
    return hashlib.sha256(repr(everything).encode()).hexdigest()[:32]


@functools.cache
def _imports(file: Path) -> tuple[Path, ...]:
    """The files of kernels/ that this one imports, at its top or inside its functions."""
    found = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found += _module_files(_KERNELS.parents[1], alias.name)
        elif isinstance(node, ast.ImportFrom):
            start = file.parents[node.level - 1] if node.level else _KERNELS.parents[1]
            module = node.module or ""
            found += _module_files(start, module)
            for alias in node.names:  # from . import winograd
                found += _module_files(start, f"{module}.{alias.name}" if module else alias.name)
    return tuple(dict.fromkeys(
        f for f in found if f.is_relative_to(_KERNELS) and f not in _HOST_ONLY))


def _module_files(start: Path, dotted: str) -> list[Path]:
    """The files that an import runs: the module, and the __init__.py of each folder on the way."""
    files, place = [start / "__init__.py"], start
    for name in dotted.split(".") if dotted else []:
        place = place / name
        files += [place.with_suffix(".py"), place / "__init__.py"]
    return [file for file in files if file.exists()]


@functools.cache
def sources(file: Path) -> tuple[Path, ...]:
    """A file of kernels/ and all that it depends on there, directly or through others."""
    found = [file]
    for each in found:  # which grows meanwhile
        found += [other for other in _imports(each) if other not in found]
    return tuple(sorted(found))


@functools.cache
def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def source_key(files: tuple[Path, ...]) -> str:
    """Hash of these files: their places in kernels/ and what they say."""
    h = hashlib.sha256()
    for file in files:
        h.update(file.relative_to(_KERNELS).as_posix().encode() + b"\0" + _digest(file))
    return h.hexdigest()[:16]


def _edited_since_import(files: tuple[Path, ...]) -> bool:
    """Whether the files say something else than the code in memory, as in a long notebook session.

    Then the hash of the files is not the name of what would be stored.
    """
    return any(path.stat().st_mtime > IMPORTED for path in files)


def _private_folder(path: Path) -> None:
    """Make `path`, private to this user. Raises OSError if it cannot be, or is not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if hasattr(os, "getuid"):
        info = os.lstat(path)
        if not stat.S_ISDIR(info.st_mode):
            raise PermissionError(f"{path} is not a folder")
        if info.st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to user {info.st_uid}, not to you")
        if info.st_mode & 0o022:
            raise PermissionError(
                f"{path} may be written by other users (mode {info.st_mode & 0o777:o}): "
                "chmod 700 it"
            )


@functools.cache
def cache_folder() -> Path | None:
    """This version's folder, made on demand; None (after one warning) if there can be none."""
    root: Path | None = None
    try:
        root = cache_root()
        _private_folder(root)
        folder = root / _version_key()
        fresh = not folder.exists()
        _private_folder(folder)
        if fresh:
            _prune(root, folder)
        return folder
    except Exception as error:
        _warn(
            f"minigrad cannot keep compiled kernels in {root}: {error}. They are compiled anew in "
            "each process; set MINIGRAD_CACHE_DIR to a folder that you alone can write."
        )
        return None


def kernels_before() -> int:
    """How many kernels of earlier processes this version's folder holds; 0 if there is none."""
    folder = cache_folder()
    kept = 0 if folder is None else sum(1 for _ in folder.glob("*.bin"))
    return max(0, kept - events["stored"])


def _prune(root: Path, current: Path) -> None:
    """Forget the versions that were made longest ago, so that the cache does not grow forever."""
    others = [p for p in root.iterdir() if p != current and p.is_dir() and not p.is_symlink()]
    others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[_KEPT_VERSIONS:]:
        shutil.rmtree(old, ignore_errors=True)


def _forget_edits(path: Path) -> None:
    """Of the files of one kernel and signature, only those stored last stay."""
    stem = path.name.rpartition("-")[0]
    same = sorted(path.parent.glob(f"{stem}-*.bin"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in same[_KEPT_EDITS:]:
        remove(old)


_warned = False


def _warn(message: str) -> None:
    """At most one warning a process, and no exception even under `-W error`."""
    global _warned
    if _warned:
        return
    _warned = True
    try:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        print(message, file=sys.stderr)


def read(path: Path) -> bytes:
    """What `write` put there. Raises: FileNotFoundError; ValueError if it is damaged."""
    blob = path.read_bytes()
    if hashlib.sha256(blob[32:]).digest() != blob[:32]:
        raise ValueError("damaged")
    return blob[32:]


def write(path: Path, blob: bytes) -> None:
    """Keeps what was compiled. A reader sees all of it or nothing. Raises: OSError."""
    # mkstemp: mode 0600 and a name that no other process has.
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(blob).digest() + blob)
        os.replace(temporary, path)
    except BaseException:
        remove(Path(temporary))
        raise
    events["stored"] += 1
    _forget_edits(path)


def warn_not_stored(error: Exception) -> None:
    """The warning for what `write` raised."""
    _warn(f"minigrad could not store a compiled kernel: {type(error).__name__}: {error}")


class DiskCache:
    """Stands where Numba's dispatcher has its cache: the same methods, none of which raises."""

    cache_path = None

    def __init__(self, name: str, files: tuple[Path, ...]) -> None:
        self._name, self._files = name, files

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        folder = cache_folder()
        if folder is None or _edited_since_import(self._files):
            return None
        key = hashlib.sha256(repr((self._name, sig, codegen.magic_tuple())).encode())
        return folder / f"{self._name}-{key.hexdigest()[:24]}-{source_key(self._files)}.bin"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        path = None
        try:
            target_context.refresh()
            path = self._path(sig, target_context.codegen())
            if path is None:
                return None
            blob = read(path)
            from numba.core.compiler import CompileResult

            result = CompileResult._rebuild(target_context, *pickle.loads(blob))
            events["loaded"] += 1
            return result
        except FileNotFoundError:
            return None
        except Exception:
            if path is not None:
                remove(path)  # it is written anew after compiling
            return None

    def save_overload(self, sig: Any, result: Any) -> None:
        events["compiled"] += 1
        try:
            path = self._path(sig, result.codegen)
            if path is None or result.lifted or result.library.has_dynamic_globals:
                return
            from numba.core.serialize import dumps

            write(path, dumps(result._reduce()))
        except Exception as error:
            warn_not_stored(error)

    def enable(self) -> None:
        pass

    def disable(self) -> None:
        pass

    def flush(self) -> None:
        pass


class _NoCache(DiskCache):
    """Counts compilations and keeps nothing."""

    def _path(self, sig: Any, codegen: Any) -> None:
        return None


def remove(path: Path) -> None:
    """Removes what is damaged, if it is there."""
    with contextlib.suppress(OSError):
        path.unlink()


def kernel_name(kernel: Kernel) -> str:
    """The name of a kernel under minigrad/kernels/, as `conv.winograd.output_range`; outside of
    that, its full name."""
    module = kernel.plain.__module__.removeprefix(__name__.removesuffix("jit.cache"))
    return f"{module}.{kernel.plain.__qualname__}"


def cache_for(kernel: Kernel, suffix: str, made_in: str | None = None) -> tuple[DiskCache, bool]:
    """The cache for what is compiled from a kernel, and whether it keeps it.

    It does if the key is sure to cover all that is compiled, which holds for module-level functions
    in the files of kernels/. Anything else (a closure, a kernel in a test or in a user's file)
    depends on values and files that no hash here has seen.

    suffix: of the name, for what is compiled from the kernel besides the kernel itself.
    made_in: the file of the code that was made for the kernel, if that is another one.
    """
    plain = kernel.plain
    file = Path(plain.__code__.co_filename).resolve()
    covered = file.is_relative_to(_KERNELS) and file.exists() and plain.__closure__ is None
    name = kernel_name(kernel)
    if kernel.fastmath:
        name += "." + "-".join(sorted(kernel.fastmath))
    if not covered or "<" in name:
        return _NoCache(name + suffix, ()), False
    files = sources(file)
    if made_in is not None:
        files = tuple(sorted({*files, *sources(Path(made_in).resolve())}))
    return DiskCache(name + suffix, files), True
