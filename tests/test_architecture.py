"""The house: imports point one way, `import minigrad` brings NumPy only, some words are banned."""
import ast
import pathlib
import re
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "minigrad"
FILES = sorted(PACKAGE.rglob("*.py"))

# Who may import whom, lowest first. A room may import itself and what is listed. Two folders have
# rooms of their own: in autograd each file is one, in kernels each folder.
KERNELS = ["jit", "simd", "parallel", "pointwise", "rowwise", "matmul", "pool", "recurrent", "conv"]
# These stand beside one another.
BESIDE = {("matmul", "rowwise"), ("matmul", "pointwise"), ("recurrent", "pool")}
# What may be used from outside: nothing that knows an operation. ways.py is below all families.
OUTSIDE_OF_KERNELS = {"long_sums", "memory", "tuning", "user_cache"}
FAMILIES = KERNELS[KERNELS.index("parallel") + 1:]

# autograd's files, lowest first: what the walk needs, the engine, what makes ops of functions.
AUTOGRAD = ["accumulate", "hooks", "inplace", "construct", "diagnostics", "engine", "results",
            "fusion", "table", "options", "shapes", "signature", "arguments", "agreement",
            "codegen", "generated", "source", "op"]
OUTSIDE_OF_AUTOGRAD = {"advice", "autograd.writes", "face", "foreign", "long_sums", "memory",
                       "modes", "promotion", "tuning"}

ALLOWED = {
    "absent": set(),
    "tuning": set(),
    "memory": {"tuning"},
    "user_cache": set(),
    "long_sums": {"tuning"},
    **{f"kernels.{name}": OUTSIDE_OF_KERNELS | {
        f"kernels.{lower}" for lower in KERNELS[:i] if (name, lower) not in BESIDE} | (
        {"kernels.ways"} if name in FAMILIES else set()) for i, name in enumerate(KERNELS)},
    "kernels.ways": set(),
    "kernels": set(),
    "promotion": set(),
    "modes": {"promotion"},
    "autograd.writes": set(),
    "advice": {"autograd.writes"},
    "dtypes": set(),
    "foreign": set(),
    "face": {"modes"},
    **{f"autograd.{name}": OUTSIDE_OF_AUTOGRAD | {f"autograd.{lower}" for lower in AUTOGRAD[:i]}
       for i, name in enumerate(AUTOGRAD)},
    "ops": {"advice", "autograd", "face", "foreign", "kernels", "long_sums", "modes", "promotion",
            "tuning"},
    "nn": {"absent", "autograd", "foreign", "modes", "ops", "promotion"},
    "optim": {"absent", "advice", "autograd", "foreign", "kernels", "modes", "promotion",
              "tuning"},
    "data": {"absent", "autograd", "foreign", "modes", "ops", "promotion", "user_cache"},
    "gradcheck": {"autograd", "modes"},
    "autograd": {"absent", "autograd.engine", "gradcheck", "modes"},
    "warmup": {"autograd", "kernels", "modes", "nn", "ops", "optim"},
    "debug": {"autograd.writes", "kernels"},
    "__main__": {"__version__", "absent", "debug", "kernels", "warmup"},
}


def room(path):
    """The room of a file: the folder or module directly under the package, or under a folder that
    has rooms of its own."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] in ("autograd", "kernels") and parts[1] != "__init__":
        return f"{parts[0]}.{parts[1]}"
    return parts[0]


def imported_modules(path):
    """The modules of the package that a file imports at run time, by their parts (imports for type
    checkers only do not count)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {id(n) for node in ast.walk(tree) if isinstance(node, ast.If)
                   and "TYPE_CHECKING" in ast.dump(node.test) for n in ast.walk(node)}
    here = path.relative_to(PACKAGE).parts
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom):
            parts = tuple((node.module or "").split(".")) if node.module else ()
            if node.level:
                parts = here[:len(here) - node.level] + parts
            elif parts[:1] == ("minigrad",):
                parts = parts[1:]
            else:
                continue
            for alias in node.names:               # a module of that folder, or a name in it
                folder = PACKAGE.joinpath(*parts)
                module = (folder / alias.name).is_dir() or (folder / f"{alias.name}.py").exists()
                yield (*parts, alias.name) if module or not parts else parts
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("minigrad."):
                    yield tuple(alias.name.split(".")[1:])


def wrong_imports(path):
    """What a file imports against the rules."""
    me = room(path)
    assert me in ALLOWED, f"a new room: say in ALLOWED what '{me}' may import"
    allowed = ALLOWED[me] | {me}
    for parts in imported_modules(path):
        inner = ".".join(parts[:2])
        if parts[0] not in allowed and inner not in allowed:
            yield ".".join(parts)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    if path != PACKAGE / "__init__.py":
        wrong = sorted(set(wrong_imports(path)))
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}"


@pytest.mark.parametrize("room, text, wrong", [
    ("kernels/pool", "from ..conv.conv2d import conv2d", ["kernels.conv.conv2d"]),
    ("kernels/pool", "from ..simd import tile", []),
    ("kernels/matmul", "from ..rowwise.sums import row_sums", ["kernels.rowwise.sums"]),
    ("kernels/simd", "from ..ways import Family", ["kernels.ways"]),
    ("kernels/matmul", "from ..ways import Family", []),
    ("kernels/jit", "from ...autograd.engine import Tensor", ["autograd.engine"]),
    ("autograd/engine.py", "def f():\n    from . import op", ["autograd.op"]),
    ("autograd/engine.py", "from ..modes import settings", []),
    ("autograd/engine.py", "from .hooks import call_hooks", []),
    ("autograd/hooks.py", "from .engine import wrap", ["autograd.engine"]),
    ("autograd/codegen.py", "from . import op", ["autograd.op"]),
    ("autograd/results.py", "def f():\n    from ..ops import linear", ["ops.linear"]),
    ("optim", "from ..ops.reduce import sum", ["ops.reduce"]),
    ("nn", "import minigrad.kernels.conv", ["kernels.conv"]),
])
def test_the_rule_itself(room, text, wrong, tmp_path, monkeypatch):
    """Planted imports that point the wrong way are found."""
    class Planted(type(PACKAGE)):
        def read_text(self, encoding=None):
            return text
    path = PACKAGE / room
    assert list(wrong_imports(Planted(path if path.suffix else path / "planted.py"))) == wrong


@pytest.mark.parametrize("path", sorted((PACKAGE / "ops").glob("*.py")), ids=lambda p: p.stem)
def test_every_file_of_operations_is_imported(path):
    """Operations of a file that nobody imports are in no table, and no test would miss them."""
    files = {parts[1] for parts in imported_modules(PACKAGE / "ops/__init__.py")
             if parts[0] == "ops" and len(parts) > 1}
    defines = re.search(r"^@(op|composite|pointwise|binary|comparison|reduction|movement)\b",
                        path.read_text(encoding="utf-8"), re.M)
    assert path.stem in files or not defines or path.stem == "__init__"


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
    if room(path).startswith("kernels"):
        assert "Tensor" not in re.sub(r'""".*?"""|#.*', "", text, flags=re.S)


def test_kernels_are_compiled_in_one_way_only():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if path.parts[-2:] != ("jit", "kernel.py"):
            assert not re.search(r"\b(njit|prange|guvectorize)\b", text), path


def test_every_module_says_what_it_is():
    silent = [str(p) for p in FILES
              if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not silent
