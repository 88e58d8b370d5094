"""The house: imports point one way, `import minigrad` brings NumPy only, some words are banned."""
import ast
import pathlib
import re
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "minigrad"
FILES = sorted(PACKAGE.rglob("*.py"))

# Who may import whom, lowest first. A room may import itself and what is listed.
ALLOWED = {
    "absent": set(),
    "memory": set(),
    "user_cache": set(),
    "sums": set(),
    "kernels": {"memory", "sums", "user_cache"},
    "promotion": set(),
    "modes": {"promotion"},
    "writes": set(),
    "advice": {"writes"},
    "dtypes": set(),
    "foreign": set(),
    "face": {"modes"},
    "engine": {"advice", "face", "foreign", "memory", "modes", "promotion", "sums", "writes"},
    "fusion": {"engine", "modes", "writes"},
    "op": {"engine", "face", "foreign", "fusion", "modes", "promotion", "writes"},
    "ops": {"advice", "kernels", "engine", "face", "foreign", "fusion", "op", "modes", "promotion",
            "sums", "writes"},
    "nn": {"absent", "ops", "engine", "foreign", "modes", "promotion", "writes"},
    "optim": {"absent", "advice", "kernels", "engine", "foreign", "modes", "promotion", "writes"},
    "data": {"absent", "ops", "engine", "foreign", "modes", "promotion", "user_cache"},
    "gradcheck": {"engine", "modes", "writes"},
    "autograd": {"absent", "engine", "modes", "gradcheck"},
    "warmup": {"nn", "ops", "optim", "kernels", "engine", "op", "modes"},
    "__main__": {"__version__", "absent", "kernels", "warmup"},
}


def room(path):
    """The room of a file: the folder or module directly under the package."""
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imported_rooms(path):
    """The rooms that a file imports at run time (imports for type checkers only do not count)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {id(n) for node in ast.walk(tree) if isinstance(node, ast.If)
                   and "TYPE_CHECKING" in ast.dump(node.test) for n in ast.walk(node)}
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == depth:                       # from the package itself
                yield from [module.split(".")[0]] if module else [a.name for a in node.names]
            elif node.level == 0 and module.split(".")[0] == "minigrad":
                yield from module.split(".")[1:2] or [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("minigrad."):
                    yield alias.name.split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    me = room(path)
    if me == "__init__":
        return
    assert me in ALLOWED, f"a new room: say in ALLOWED what '{me}' may import"
    wrong = set(imported_rooms(path)) - ALLOWED[me] - {me}
    assert not wrong, f"{path.name} in '{me}' imports {sorted(wrong)}"


def test_import_brings_numpy_and_nothing_heavier():
    code = ("import sys, minigrad, minigrad.nn, minigrad.optim, minigrad.data;"
            "print([m for m in ('numba', 'llvmlite', 'matplotlib', 'tqdm', 'torch', 'scipy') "
            "if m in sys.modules])")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_banned_words(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    flags = [ast.unparse(k.value) for n in ast.walk(tree) if isinstance(n, ast.Call)
             for k in n.keywords if k.arg in ("fastmath", "parallel")]
    assert "True" not in flags, "fastmath=True makes isnan false; parallel=True is not fork-safe"
    assert path.name not in ("utils.py", "core.py", "base.py", "helpers.py")
    if room(path) == "kernels":
        assert "Tensor" not in re.sub(r'""".*?"""|#.*', "", text, flags=re.S)


def test_kernels_are_compiled_in_one_way_only():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert path.name == "jit.py" or not re.search(r"\b(njit|prange|guvectorize)\b", text), path


def test_every_module_says_what_it_is():
    silent = [str(p) for p in FILES
              if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not silent
