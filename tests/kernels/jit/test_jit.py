"""Kernels compile late and once, and whatever is wrong with the disk, they run."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import minigrad.kernels
from minigrad import user_cache as user_cache_module
from minigrad.kernels import jit as jit_package
from minigrad.kernels.jit import Kernel, cache as cache_module, jit, ready
from minigrad.kernels.jit.cache import cache_root
from minigrad.kernels.jit.kernel import events, jit_disabled

needs_jit = pytest.mark.skipif(jit_disabled(), reason="nothing is compiled in this run")

# A package of two kernels in two files, run in a process of its own with a cache of its own.
HELPER = """
from .jit import jit

@jit
def helper(x):
    return 2 * x
"""
USER = """
from . import helper as other_file
from .helper import helper
from .jit import jit

@jit
def double(start, stop, x, y):
    for i in range(start, stop):
        y[i] = helper(x[i]) + 0 * other_file.helper(x[i])
"""
PROGRAM = """
import sys
import numpy as np
from minigrad.kernels.user import double
from minigrad.kernels.jit.kernel import events
assert "numba" not in sys.modules or EARLY
x = np.arange(3, dtype=np.float32)
for _ in range(2):
    y = np.zeros_like(x)
    double(0, 3, x, y)
print(y.tolist(), events["compiled"], events["loaded"], events["stored"])
"""
COLD = "[0.0, 2.0, 4.0] 2 0 2"
WARM = "[0.0, 2.0, 4.0] 0 1 0"
UNCACHED = "[0.0, 2.0, 4.0] 2 0 0"


class Copy:
    """The package, copied with two small kernels to where it may be edited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kernels = folder / "code" / "minigrad" / "kernels"
        self.cache = folder / "cache"
        self.kernels.mkdir(parents=True)
        (self.kernels.parent / "__init__.py").touch()
        (self.kernels / "__init__.py").touch()
        shutil.copy(user_cache_module.__file__, self.kernels.parent)
        shutil.copytree(Path(jit_package.__file__).parent, self.kernels / "jit")
        (self.kernels / "helper.py").write_text(HELPER)
        (self.kernels / "user.py").write_text(USER)

    def start(self, before: str = "", **env: str) -> subprocess.Popen:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        clean |= {"MINIGRAD_CACHE_DIR": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        clean |= {"PYTHONPATH": str(self.folder / "code")} | env
        return subprocess.Popen(
            [sys.executable, "-c", "EARLY = False\n" + before + PROGRAM],
            env=clean,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, before: str = "", warnings: int = 0, **env: str) -> str:
        process = self.start(before, **env)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert err.count("RuntimeWarning: minigrad") == warnings, err
        return out.strip()

    def entries(self) -> list[Path]:
        return sorted(self.cache.rglob("*.bin"))


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A copy whose cache has been filled by one run; tests leave it filled."""
    made = Copy(tmp_path_factory.mktemp("filled"))
    assert made.run() == COLD
    return made


def test_a_second_process_compiles_nothing(filled):
    assert filled.run() == WARM


def test_the_cache_is_private(filled):
    assert len(filled.entries()) == 2
    if os.name == "posix":
        for path in [*filled.entries(), filled.cache / "kernels", filled.entries()[0].parent]:
            assert path.stat().st_mode & 0o077 == 0


def damaged(blob: bytes) -> dict[str, bytes]:
    garbage = pickle.dumps(("not", "a", "kernel"))
    return {
        "empty": b"",
        "truncated": blob[: len(blob) // 2],
        "one bit": blob[:1000] + bytes([blob[1000] ^ 1]) + blob[1001:],
        "another pickle": sha256(garbage).digest() + garbage,
        "no pickle": sha256(b"hello").digest() + b"hello",
    }


@pytest.mark.parametrize("kind", damaged(bytes(2000)))
def test_a_damaged_entry_is_compiled_again_and_replaced(filled, kind):
    for path in filled.entries():
        path.write_bytes(damaged(path.read_bytes())[kind])
    assert filled.run() == COLD
    assert filled.run() == WARM


def test_a_helper_from_the_cache_is_linked_into_a_new_kernel(copy):
    assert copy.run() == COLD
    (kernel,) = copy.cache.rglob("user.double-*.bin")
    kernel.unlink()
    assert copy.run() == COLD.replace("2 0 2", "1 1 1")
    assert copy.run() == WARM


def test_an_edited_helper_in_another_file_is_never_stale(copy):
    assert copy.run() == COLD
    (copy.kernels / "helper.py").write_text(HELPER.replace("2 * x", "3 * x"))
    assert copy.run() == COLD.replace("2.0, 4.0", "3.0, 6.0")
    (copy.kernels / "helper.py").write_text(HELPER)
    assert copy.run() == WARM


def test_an_edit_elsewhere_compiles_nothing(copy):
    """Only the files that a kernel imports are in its key: neither another kernel's, nor who uses
    it."""
    assert copy.run() == COLD
    (copy.kernels / "pool").mkdir()
    (copy.kernels / "pool" / "__init__.py").touch()
    (copy.kernels / "pool" / "maximum.py").write_text("from ..user import double\n")
    assert copy.run() == WARM
    (copy.kernels / "user.py").write_text(USER + "# edited\n")
    assert copy.run() == COLD.replace("2 0 2", "1 1 1")            # the helper is as it was


def test_what_a_kernel_depends_on():
    kernels = Path(minigrad.kernels.__file__).parent
    def rooms(file):
        return {p.relative_to(kernels).as_posix() for p in cache_module.sources(kernels / file)}
    assert not any(f.startswith("pool/") for f in rooms("conv/winograd.py"))
    assert not any(f.startswith("conv/") for f in rooms("pool/maximum.py"))
    assert {"simd/tile.py", "jit/kernel.py", "jit/__init__.py"} <= rooms("conv/winograd.py")
    assert "simd/vector_llvm.py" in rooms("simd/vector.py")        # imported inside a function


def test_of_many_edits_the_last_are_kept(tmp_path):
    for i in range(12):
        (tmp_path / f"pool.f-abc-{i:02}.bin").touch()
        os.utime(tmp_path / f"pool.f-abc-{i:02}.bin", (1000 + i, 1000 + i))
    (tmp_path / "pool.f-abd-00.bin").touch()
    cache_module._forget_edits(tmp_path / "pool.f-abc-11.bin")
    kept = sorted(p.name for p in tmp_path.iterdir())
    assert kept == [f"pool.f-abc-{i:02}.bin" for i in range(4, 12)] + ["pool.f-abd-00.bin"]


def test_what_was_imported_before_an_edit_is_not_stored(copy):
    edit = f"""if True:
        import minigrad.kernels.helper as module, time
        time.sleep(0.1)
        open(module.__file__, "w").write({HELPER.replace("2 * x", "3 * x")!r})
    """
    assert copy.run(edit + "\n") == UNCACHED
    assert copy.run() == COLD.replace("2.0, 4.0", "3.0, 6.0")


def test_numbas_settings_are_part_of_the_key(filled):
    assert filled.run(NUMBA_BOUNDSCHECK="1") == COLD
    assert filled.run() == WARM


def test_no_folder_no_cache_one_warning(copy):
    copy.cache.write_text("a file where the folder should be")
    assert copy.run(warnings=1) == UNCACHED
    # A user who turned warnings into errors gets a line instead of an exception.
    assert copy.run("import warnings; warnings.simplefilter('error')\n") == UNCACHED


@pytest.mark.skipif(os.name != "posix", reason="folders have no mode here")
def test_a_folder_that_others_may_write_is_refused(copy):
    (copy.cache / "kernels").mkdir(parents=True)
    (copy.cache / "kernels").chmod(0o777)
    assert copy.run(warnings=1) == UNCACHED
    assert not copy.entries()


@pytest.mark.skipif(os.name != "posix", reason="folders have no numeric owner here")
def test_a_folder_of_another_user_is_refused(filled):
    stranger = "import os; me = os.getuid(); os.getuid = lambda: me + 1\n"
    assert filled.run(stranger, warnings=1) == UNCACHED


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(copy):
    (copy.cache / "kernels").mkdir(parents=True, mode=0o500)
    assert copy.run(warnings=1) == UNCACHED


def test_a_full_disk(copy):
    full = """if True:
        import os
        def replace(*paths):
            raise OSError(28, "No space left on device")
        os.replace = replace
    """
    assert copy.run(full + "\n", warnings=1) == UNCACHED
    assert not [p for p in copy.cache.rglob("*") if p.is_file()]  # nothing half-written is left


def test_a_numba_with_other_internals_runs_uncached(copy):
    other = """if True:
        import numba.core.compiler
        del numba.core.compiler.CompileResult._reduce
        EARLY = True
    """
    assert copy.run(other + "\n", warnings=1) == UNCACHED


def test_a_numba_with_other_libraries_makes_no_parts(copy):
    other = """if True:
        from numba.core.codegen import CPUCodeLibrary
        kept = CPUCodeLibrary._finalize_dynamic_globals
        CPUCodeLibrary._finalize = kept
        del CPUCodeLibrary._finalize_dynamic_globals
        from minigrad.kernels.jit import device
        assert device.compiler_options()["part"] == {}
        CPUCodeLibrary._finalize_dynamic_globals = kept
        EARLY = True
    """
    assert copy.run(other + "\n") == COLD


def test_processes_may_race(copy):
    racing = [copy.start() for _ in range(3)]
    for process in racing:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert out.startswith("[0.0, 2.0, 4.0]")
    assert len(copy.entries()) == 2
    assert not list(copy.cache.rglob("*.tmp"))
    assert copy.run() == WARM


def test_old_versions_are_forgotten(tmp_path):
    for i in range(12):
        (tmp_path / f"v{i:02}").mkdir()
        os.utime(tmp_path / f"v{i:02}", (1000 + i, 1000 + i))
    cache_module._prune(tmp_path, tmp_path / "v00")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v00"] + [
        f"v{i:02}" for i in range(4, 12)
    ]


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", "/a")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/b")
    assert cache_root() == Path("/a/kernels")
    monkeypatch.delenv("MINIGRAD_CACHE_DIR")
    assert cache_root() == Path("/b/minigrad/kernels")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_root() == Path("/c/minigrad/kernels")


# ----------------------------------------------------------------------------------- the kernel
@jit
def square(x):
    """The square of x."""
    return x * x


@jit(fastmath={"contract", "reassoc", "nsz"})
def count_nan(x):
    count = 0
    for i in range(x.size):
        if np.isnan(x[i]):
            count += 1
    return count


def test_importing_every_kernel_imports_no_numba():
    folder = Path(minigrad.kernels.__file__).parent
    files = [p.relative_to(folder).with_suffix("") for p in folder.rglob("*.py")]
    names = sorted(".".join(p.parts) for p in files if p.name not in ("__init__", "vector_llvm"))
    assert {"jit.kernel", "parallel.threads", "simd.tile", "matmul.linear"} <= set(names)
    program = "".join(f"import minigrad.kernels.{name}\n" for name in names)
    program += "import sys; print([m for m in ('numba', 'llvmlite') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_a_kernel_is_its_function():
    assert isinstance(square, Kernel)
    assert square.__name__ == "square"
    assert square.__doc__ == "The square of x."
    assert square(3) == square.plain(3) == 9


def test_nan_is_not_lost_to_fastmath():
    assert count_nan(np.array([1.0, np.nan, 2.0, np.nan])) == 2


def test_without_the_jit_the_plain_function_runs():
    program = """if True:
        import sys
        from minigrad.kernels.jit import jit
        @jit
        def half(x):
            return {"anything": "python can"}, x / 2
        assert half(1) == ({"anything": "python can"}, 0.5)
        assert half.run is half.plain
        print("numba" in sys.modules)
    """
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    out = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert out.stdout.strip() == "False", out.stderr


@needs_jit
@pytest.mark.parametrize("collecting", [True, False])
def test_the_garbage_collector_is_as_it_was_once_a_kernel_is_compiled(collecting):
    during = []

    def build():
        return lambda x: x + 1

    @jit(compiled_as=build)
    def local(x):
        return x + 1

    dispatcher = local.dispatcher()
    compile_one = dispatcher._compiler._compile_core

    def watched(*args):
        during.append(gc.isenabled())
        return compile_one(*args)

    dispatcher._compiler._compile_core = watched
    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        assert local(1) == 2
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()
    assert during == [False]


@needs_jit
def test_kernels_outside_the_package_are_not_cached():
    """Their files are not in the key: a stale one could not be noticed."""

    @jit
    def local(x):
        return x + 1

    before = events.copy()
    assert local(1) == 2
    assert events["compiled"] == before["compiled"] + 1
    assert events["stored"] == before["stored"]


@needs_jit
def test_a_helper_is_made_into_machine_code_in_its_kernel_alone():
    @jit
    def one_above(x):
        if x < 0:
            raise ValueError("want a number that is not negative")
        return x + 1

    @jit
    def two_above(x):
        return one_above(one_above(x))

    assert two_above(1) == 3
    (part,) = one_above.part().overloads.values()
    assert part.library.get_pointer_to_function(part.fndesc.llvm_func_name) == 0
    (kernel,) = two_above.dispatcher().overloads.values()
    assert kernel.library.get_pointer_to_function(kernel.fndesc.llvm_func_name) != 0
    with pytest.raises(ValueError, match="not negative"):
        two_above(-1)
    assert one_above(1) == 2  # and from Python it is compiled for Python
    with pytest.raises(ValueError, match="not negative"):
        one_above(-1)


@needs_jit
def test_many_threads_compile_once():
    @jit
    def local(x):
        return x + 1

    before = events["compiled"]
    start = threading.Barrier(6, timeout=60)
    results = []

    def call():
        start.wait()
        results.append(local(1.5))

    callers = [threading.Thread(target=call) for _ in range(6)]
    for t in callers:
        t.start()
    for t in callers:
        t.join(120)
    assert results == [2.5] * 6
    assert events["compiled"] == before + 1


@needs_jit
def test_what_is_ready_shares_one_signature():
    @jit
    def total(x):
        s = 0.0
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                s += x[i, j]
        return s

    x = np.arange(12.0).reshape(3, 4)
    read_only = x.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(np.float64).reshape(3, 4)
    before = events["compiled"]
    for kind in (x, x.T, x[::2], read_only, unaligned, np.broadcast_to(x[:1], (3, 4))):
        assert total(ready(kind)) == kind.sum()
    assert total.plain(ready(x)) == x.sum()
    assert events["compiled"] == before + 1


def test_ready_copies_only_if_it_must():
    x = np.arange(12.0).reshape(3, 4)
    assert ready(x) is x
    read_only = x.copy()
    read_only.flags.writeable = False
    same = ready(read_only)
    assert np.shares_memory(same, read_only) and same.flags.writeable
    assert not read_only.flags.writeable
    del read_only
    np.testing.assert_array_equal(same, x)  # the memory lives as long as the view
    for strided in (x.T, x[:, ::2], np.broadcast_to(x[0], (5, 4))):
        copy = ready(strided)
        assert copy.flags.c_contiguous and copy.flags.writeable
        np.testing.assert_array_equal(copy, strided)
    empty = np.zeros((0, 3))
    empty.flags.writeable = False
    assert ready(empty).shape == (0, 3) and ready(empty).flags.writeable
