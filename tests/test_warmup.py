"""python -m minigrad warmup compiles ahead all that common programs need."""
from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from minigrad.__main__ import _shown, main
from minigrad.kernels.jit import cache as cache_module
from minigrad.kernels.parallel import threads
from minigrad.kernels.jit.kernel import jit_disabled
from process_testing import ROOT, python

needs_jit = pytest.mark.skipif(jit_disabled(), reason="nothing is compiled in this run")


# Warms up and says which files of the cache that needed.
REACHED = """if True:
    from minigrad.__main__ import main
    from minigrad.kernels.jit import cache
    from minigrad.kernels.pointwise import machine_code
    reached = set()
    def noting(path_of):
        def noted(*arguments):
            path = path_of(*arguments)
            reached.add(path)
            return path
        return noted
    cache.DiskCache._path = noting(cache.DiskCache._path)
    machine_code._path = noting(machine_code._path)
    assert main(["warmup", "--quiet"]) == 0
    for path in reached - {None}:
        if path.exists():
            print(path)
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache that holds what `python -m minigrad warmup` reaches, and nothing else. What this
    suite has compiled already is copied: to compile all of it again takes a minute."""
    cache, shared = tmp_path_factory.mktemp("cache"), cache_module.cache_root().parent
    if cache_module.cache_folder() is None:
        shared = cache
    code, out, err = python("-W", "error", "-c", REACHED, cache=cache,
                            MINIGRAD_CACHE_DIR=str(shared))
    assert (code, err) == (0, "")
    kernels, found = map(int, re.match(r"(\d+) kernels compiled, (\d+) found", out).groups())
    files = [Path(line) for line in out.splitlines()[1:]]
    assert kernels + found >= len(files) > 30    # Winograd's device functions are never kept
    if shared != cache:
        folder = cache / "kernels" / files[0].parent.name
        folder.parent.mkdir(mode=0o700)
        folder.mkdir(mode=0o700)
        for file in files:
            shutil.copy2(file, folder)
    return cache


@needs_jit
@pytest.mark.slow
def test_a_warmup_of_an_empty_cache(tmp_path):
    code, out, err = python("-W", "error", "-m", "minigrad", "warmup", cache=tmp_path)
    assert code == 0, err
    kernels, found = map(int, re.match(r"(\d+) kernels compiled, (\d+) found", out).groups())
    assert kernels > 30 and found == 0 and str(tmp_path) in out
    assert "warmup" in err and "compiling its kernels" not in err
    code, out, err = python("-m", "minigrad", "warmup", "--quiet", cache=tmp_path)
    assert (code, err) == (0, "")
    # Device functions were compiled, too, and are not asked for where their kernels are found.
    compiled, found = map(int, re.match(r"(\d+) kernels compiled, (\d+) found", out).groups())
    assert compiled == 0 and 30 < found <= kernels


COMPILES_NOTHING = """
from minigrad.kernels.jit.kernel import events
assert events["loaded"] > {least}, "no kernel ran: this proves nothing"
print("compiled:", events["compiled"])
"""


@needs_jit
def test_a_second_warmup_finds_everything(warm):
    code, out, err = python("-m", "minigrad", "warmup", "--quiet", cache=warm)
    assert (code, err) == (0, "") and out.startswith("0 kernels compiled, ")


@needs_jit
@pytest.mark.parametrize("program", ["linear_regression", "cnn", "rnn"])
def test_the_articles_programs_compile_nothing_after_a_warmup(warm, program):
    least = -1 if program == "linear_regression" else 3     # that one may well need no kernel
    code, out, err = python("-c", "import article_runs, harness\n"
                            "article_runs.STEPS = 10\n"
                            "library = harness.load_namespace('minigrad')\n"
                            f"article_runs.losses('{program}', library, 'float32')\n"
                            + COMPILES_NOTHING.format(least=least), cache=warm)
    assert (code, out.splitlines()[-1:], err) == (0, ["compiled: 0"], "")


@needs_jit
@pytest.mark.parametrize("script, least", [
    ("logistic_regression", -1), ("image_recognition", 3), ("text_generation", 3),
    ("time_series", 0)])
def test_the_examples_compile_nothing_after_a_warmup(warm, tmp_path, script, least):
    options = ["--quick", "--out", str(tmp_path / "picture.png")]
    code, out, err = python("-c", "import runpy, sys\n"
                            f"sys.argv[1:] = {options!r}\n"
                            f"runpy.run_path({str(ROOT / 'examples' / script)!r} + '.py', "
                            "run_name='__main__')\n"
                            + COMPILES_NOTHING.format(least=least), cache=warm)
    assert (code, out.splitlines()[-1:]) == (0, ["compiled: 0"]), err


@needs_jit
def test_the_benchmarks_programs_compile_nothing_after_a_warmup(warm):
    code, out, err = python("-c", """if True:
        from types import SimpleNamespace
        import minigrad
        from benchmarks.catalogue import PROGRAMS
        from benchmarks.peers import PEERS, load
        from minigrad.kernels.jit.kernel import events
        make = load(PEERS["minigrad"], 2)
        for name, row in PROGRAMS.items():
            if row.group not in ("scaling", "memory", "startup"):
                make(row.build.__name__)(**row.sizes)()
                print(name, events["compiled"])
        """ + COMPILES_NOTHING.format(least=3).replace("\n", "\n        "), cache=warm)
    assert code == 0, err
    late = [line for line in out.splitlines() if not line.endswith(" 0")]
    assert not late, "a kernel that warmup.py does not reach was compiled in these programs"


def test_warmup_without_the_jit_says_so(tmp_path):
    code, out, err = python("-m", "minigrad", "warmup", cache=tmp_path, NUMBA_DISABLE_JIT="1")
    assert (code, out) == (1, "") and "NUMBA_DISABLE_JIT is set" in err


@needs_jit
def test_warmup_that_can_keep_nothing_fails(monkeypatch, capsys):
    monkeypatch.setattr("minigrad.warmup._steps", lambda dtype: iter([]))
    monkeypatch.setattr(cache_module, "cache_folder", lambda: None)
    assert main(["warmup", "--quiet"]) == 1
    assert "kept nowhere" in capsys.readouterr().out


def test_progress_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    steps = [("one", int), ("two", int)]
    assert list(_shown(steps)) == steps
    assert capsys.readouterr().err == "warmup 1/2: one\n"


# The number of threads.
@pytest.fixture
def group(tmp_path, monkeypatch):
    """A made-up /sys/fs/cgroup: quota(/proc/self/cgroup, {file: content})."""
    def quota(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return threads._cpu_quota(str(tmp_path / "root"), str(tmp_path / "membership"))
    return quota
