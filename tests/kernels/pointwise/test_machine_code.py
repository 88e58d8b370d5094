"""Machine code of formulas: kept on disk, checked when it is read, made anew if it is damaged."""
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from minigrad.kernels.jit.kernel import jit_disabled
from minigrad.kernels.pointwise import machine_code
from minigrad.kernels.pointwise.emit import Operand, write
from minigrad.kernels.pointwise.machine_code import address

pytestmark = pytest.mark.skipif(jit_disabled(), reason="without the JIT there are no loops")

F32 = np.dtype(np.float32)
PROGRAM = """if True:
    import numpy as np
    from minigrad.kernels.jit.kernel import events
    from minigrad.kernels.pointwise.loop import Loop
    x = np.arange(1000, dtype=np.float32)
    loop = Loop(lambda x: x * 2.0 + 1.0, "kept")
    assert (loop(x) == x * 2 + 1).all()
    assert {made}(loop.made.values())
    print(events["compiled"], events["loaded"], events["stored"])
"""


def run(cache, made="all", **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(made=made)], capture_output=True,
        text=True, timeout=300, env={**os.environ, "MINIGRAD_CACHE_DIR": str(cache),
                                     "MINIGRAD_QUIET": "1", **environment})
    assert done.returncode == 0, done.stderr
    return tuple(map(int, done.stdout.split()))


def test_kept_and_compiled_again_if_damaged(tmp_path):
    first = run(tmp_path)
    assert first[1] == 0 and first[0] == first[2] > 0
    assert run(tmp_path) == (0, first[0], 0)
    kept, = (tmp_path / "kernels").rglob("pointwise.kept.*.bin")
    whole = kept.read_bytes()
    changed = whole[:100] + bytes(255 - b for b in whole[100:108]) + whole[108:]
    for damaged in (whole[:-7], b"", changed):
        kept.write_bytes(damaged)
        assert run(tmp_path) == (1, first[0] - 1, 1)
        assert kept.read_bytes() == whole          # the same code, to the byte


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    file = tmp_path / "no folder"
    file.write_text("")
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(made="all")], capture_output=True,
                          text=True, timeout=300, env={**os.environ,
                                                       "MINIGRAD_CACHE_DIR": str(file)})
    assert done.returncode == 0 and "cannot keep compiled kernels" in done.stderr


def test_without_the_jit_numpy_computes(tmp_path):
    assert run(tmp_path, "not any", NUMBA_DISABLE_JIT="1") == (0, 0, 0)


@pytest.mark.parametrize("cpu", [{"NUMBA_CPU_NAME": "x86-64"}, {"NUMBA_CPU_NAME": "haswell"},
                                 {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2"}])
@pytest.mark.skipif(platform.machine() != "x86_64", reason="another architecture")
def test_code_for_older_processors(tmp_path, cpu):
    assert run(tmp_path, **cpu)[0] > 0


def test_texts_that_differ_never_share_a_name():
    texts = [write(lambda x, c=c: x * c, [Operand("all", F32)], 32).module for c in (2.0, 3.0)]
    assert len({address(text, "same title") for text in texts}) == 2
    assert address(texts[0], "same title") == address(texts[0], "same title")


def test_nonsense_raises_and_does_not_end_the_process():
    with pytest.raises(RuntimeError):
        address("define void @FUNCTION( {", "nonsense")


def test_the_vectors_are_as_wide_as_the_registers():
    """LLVM would prefer half of an AVX-512 register."""
    if machine_code.register_bytes() < 64:
        pytest.skip("no AVX-512")
    text = write(lambda x: np.exp(x), [Operand("all", F32)], 64).module
    assembler = machine_code._assembler()
    module = assembler.llvm.parse_assembly(text)
    assert "zmm" in assembler.machine.emit_assembly(module)
