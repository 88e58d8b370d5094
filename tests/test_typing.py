"""What editors and type checkers know of minigrad: mypy, pyright (as basedpyright) and jedi.

`typing/right.py` must pass in their strictest mode, `typing/wrong.py` must not, line by line, and
jedi must complete what follows an operation. The stubs behind it must be those that
`typing/make_stubs.py` writes.
"""
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import jedi
import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "tests" / "typing"
WRONG = {i for i, line in enumerate((FILES / "wrong.py").read_text().splitlines(), 1)
         if line.endswith("# wrong")}


def readme_program():
    """The README's first program, which is what a newcomer types first."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"```python\n(.*?)```", text, re.S).group(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: the files, and nothing of the repository."""
    path = tmp_path_factory.mktemp("user")
    for name in ("right.py", "wrong.py"):
        shutil.copy(FILES / name, path)
    (path / "readme.py").write_text(readme_program(), encoding="utf-8")
    return path


def run(folder, *command):
    env = os.environ | {"MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=env, text=True,
                          capture_output=True, timeout=300)
    return done.stdout + done.stderr


def test_mypy(folder):
    out = run(folder, "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "user"),
              "--follow-imports", "silent", "right.py", "wrong.py", "readme.py")
    errors = re.findall(r"^(\w+)\.py:(\d+): error: (.*)$", out, re.M)
    assert [e for e in errors if e[0] != "wrong"] == [], out
    assert {int(line) for _, line, _ in errors} == WRONG, out


def test_pyright(folder):
    (folder / "pyrightconfig.json").write_text(json.dumps({
        "include": ["."], "typeCheckingMode": "strict", "extraPaths": [str(ROOT)],
        "reportPossiblyUnboundVariable": "none"}))              # `loss` after a loop, in the README
    found = json.loads(run(folder, "basedpyright", "--outputjson", "--pythonpath",
                           sys.executable))["generalDiagnostics"]
    errors = [(Path(d["file"]).name, d["range"]["start"]["line"] + 1, d["message"])
              for d in found if d["severity"] == "error"]
    assert [e for e in errors if e[0] != "wrong.py"] == []
    assert {line for _, line, _ in errors} == WRONG, errors


def test_what_is_right_also_runs(capsys):
    runpy.run_path(str(FILES / "right.py"))
    assert capsys.readouterr().out.strip().endswith("%")


USER = """
import minigrad as mg
import minigrad.nn as nn
import minigrad.nn.functional as F
x = mg.randn(2, 3)
labels = mg.tensor([0, 1])
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x: mg.Tensor) -> mg.Tensor:
        return self.fc(x).relu()
net = Net()
"""
PROJECT = jedi.Project(str(ROOT))


def script(code):
    return jedi.Script(USER + code, path=str(ROOT / "user.py"), project=PROJECT)


# (For 1 - x and x == 1 jedi itself always answers with the numbers on the left and with bool.)
@pytest.mark.parametrize("code", [
    "x.", "(x + 1).", "(x @ x).", "x.relu().", "mg.relu(x).", "mg.matmul(x, x).", "mg.absolute(x).",
    "x.sum(0).", "x[0].", "x.T.", "x.max(1).values.", "x.split(1)[0].", "mg.cat([x, x]).",
    "mg.zeros(2).add_(1).", "nn.Linear(2, 3)(x).", "nn.Linear(2, 3).weight.", "model(x).",
    "net(x).", "net.fc(x).", "nn.MSELoss()(x, x).", "F.cross_entropy(model(x), labels).",
])
def test_jedi_completes_the_methods_of_a_tensor_after(code):
    assert {"backward", "reshape", "shape", "relu"} <= {c.name for c in script(code).complete()}


@pytest.mark.parametrize("code, arguments, words", [
    ("mg.softmax(", ["input", "dim"], "sum to 1"), ("x.softmax(", ["dim"], "sum to 1"),
    ("x.reshape(", ["sizes"], "row-major"), ("nn.Linear(", ["in_features", "out_features"], "W^T"),
    ("F.cross_entropy(", ["input", "target", "weight"], "log p_k"),
    ("x.backward(", ["gradient"], "Adds"), ("mg.zeros(", ["size"], "zeros(2, 3)"),
    ("x.clamp_(", ["min", "max"], "in place"),
])
def test_jedi_shows_arguments_and_documentation(code, arguments, words):
    signature = script(code).get_signatures()[0]
    shown = [p.name for p in signature.params]
    assert shown[:len(arguments)] == arguments and words in signature.docstring(raw=True)


def test_the_stubs_are_what_the_script_writes():
    spec = importlib.util.spec_from_file_location("make_stubs", FILES / "make_stubs.py")
    make_stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_stubs)
    assert make_stubs.stale() == [], "run python tests/typing/make_stubs.py"
    overloads = make_stubs.function_overloads(make_stubs.inspect.signature(
        make_stubs.minigrad.sub))
    assert len(overloads) == 3 and overloads[-1].endswith("-> ndarray")
