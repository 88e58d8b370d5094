"""The table of limits: every line says its unit, what it decides, and the command that measured it;
no compiled function reads one, since the compile cache does not know it."""
import ast
import importlib
import pathlib
import re

import pytest

from minigrad import tuning
from minigrad.kernels.jit import Kernel
from minigrad.kernels.ways import FAMILIES

PACKAGE = pathlib.Path(tuning.__file__).parent
LINES = pathlib.Path(tuning.__file__).read_text(encoding="utf-8").splitlines()
NAMES = [name for name in vars(tuning) if name.isupper()]
KERNEL_FILES = sorted((PACKAGE / "kernels").rglob("*.py"))


def comment_above(name):
    """The lines `#: ...` above an assignment, as one."""
    at = next(i for i, line in enumerate(LINES) if line.startswith(f"{name} = "))
    text = []
    while LINES[at - 1].startswith("#:"):
        at -= 1
        text.insert(0, LINES[at].removeprefix("#:").strip())
    return " ".join(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_says_what_it_decides_and_what_measured_it(name):
    meaning, bar, command = comment_above(name).rpartition("|")
    assert bar and len(meaning) > 15, "want `#: unit: what it decides | command` above it"
    family = re.match(r"\s*ways (\w+) \S", command)
    assert family is None or family[1] in FAMILIES
    assert command.strip()


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_is_used(name):
    used = [path for path in PACKAGE.rglob("*.py") if path.name != "tuning.py"
            and f"tuning.{name}" in path.read_text(encoding="utf-8")]
    assert used


def test_nobody_copies_a_limit_into_a_kernel_file():
    """`from tuning import X` would make X a global that a compiled function could read."""
    for path in KERNEL_FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("tuning"):
                raise AssertionError(path)


def names_read(code):
    """All global names that a function's code reads, its inner functions included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            found |= names_read(constant)
    return found


def test_no_compiled_function_reads_one():
    compiled = 0
    for path in KERNEL_FILES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = importlib.import_module(".".join(p for p in parts if p != "__init__"))
        copies = {name for name, value in vars(module).items()
                  if type(value) is int and name in vars(tuning)}
        assert not copies
        for thing in vars(module).values():
            if isinstance(thing, Kernel):
                compiled += 1
                assert "tuning" not in names_read(thing.plain.__code__), thing
    assert compiled > 60


def test_the_test_itself_sees_it():
    def reads(n):
        return [i for i in range(n) if i < tuning.SUM_MANY]
    assert "tuning" in names_read(reads.__code__)
