"""What the guides show works: the training example runs, the op is the one in ops/, the kernel
equals its reference; options, files and names that they speak of exist."""
import inspect
import pathlib
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd.op import OPS, Op, op

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KERNELS = (ROOT / "minigrad/kernels/README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_training_example_learns():
    example = next(b for b in BLOCKS if "for step in range" in b)
    out = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True,
                         check=True)
    loss, accuracy = re.fullmatch(r"loss (\d\.\d+), accuracy ([\d.]+)%\n", out.stdout).groups()
    assert float(loss) < 0.1 and float(accuracy) > 95


def test_the_op_of_the_readme_is_that_of_the_library():
    shown = next(b for b in BLOCKS if "@op(" in b).strip()
    source = (ROOT / "minigrad/ops/elementwise.py").read_text(encoding="utf-8")
    assert shown in source


def test_the_map_has_every_room():
    lines = README.partition("```\nminigrad/\n")[2].partition("examples/")[0].splitlines()
    rooms = {path.name + "/" * path.is_dir() for path in (ROOT / "minigrad").iterdir()
             if path.suffix in ("", ".py") and path.name[:2] != "__"}
    assert sorted(line.split()[0] for line in lines if line[2] != " ") == sorted(rooms)


def test_every_option_of_an_op_is_explained_with_an_example():
    table = README.partition("Options of `@op`")[2].partition("\n\nWhat was compiled")[0]
    rows = {row[1].strip("` ").partition("=")[0]: row[4] for row in
            (line.split("|") for line in table.splitlines()) if len(row) > 5}
    options = set(inspect.signature(Op.__init__).parameters) - {
        "self", "forward", "samples", "ref"}
    assert options == set(rows) - {"option", "---"}
    assert all(f"{name}:" in op.__doc__ for name in options)
    default = {name: p.default for name, p in inspect.signature(Op.__init__).parameters.items()}
    for option in options:
        for example in re.findall("`(\\w+)`", rows[option]):
            assert getattr(OPS[example], option) != default[option], f"{example} has no {option}"
        if "none today" in rows[option]:
            assert not any(getattr(e, option, default[option]) != default[option]
                           for e in OPS.values())


def test_the_kernel_of_the_guide_equals_its_reference(tmp_path):
    block, = re.findall(r"```python\n(.*?)```", KERNELS, re.S)
    file = tmp_path / "cube.py"
    file.write_text(block)
    made = {"__name__": "cube"}
    exec(compile(block, str(file), "exec"), made)
    for n, threads in [(0, 1), (5, 1), (3 * made["GRAIN"] + 1, 3)]:
        mg.set_num_threads(threads)
        x = np.linspace(-2, 2, n, dtype=np.float32)[::-1]
        np.testing.assert_array_equal(made["cube"](x), made["cube_reference"](x))


@pytest.mark.parametrize("text, folder", [(README, ROOT), (KERNELS, ROOT / "minigrad/kernels")])
def test_files_and_names_in_the_guides_exist(text, folder):
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    for path in re.findall(r"`([\w/]+(?:\.py|\.md|\.svg|/))`", text):
        if "FAMILY" not in path:
            places = (folder, ROOT, ROOT / "minigrad", ROOT / "examples", ROOT / "tests")
            assert any((p / path).exists() for p in places), path
    for name in re.findall(r"`(?:minigrad|mg)\.([\w.]+)`", text) + re.findall(
            r"`((?:nn|optim)\.[\w.]+)`", text):
        thing = mg
        for part in name.split("."):
            thing = getattr(thing, part)


GUIDES = ["README.md", ".github/CONTRIBUTING.md", ".github/CHANGELOG.md", "tests/README.md",
          "benchmarks/README.md", "examples/data/README.md", "minigrad/kernels/README.md"]


@pytest.mark.parametrize("guide", GUIDES)
def test_links_of_the_guides_lead_somewhere(guide):
    text = (ROOT / guide).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / guide).parent / path if path else ROOT / guide
        assert file.exists(), target
        heads = [re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
                 for h in re.findall(r"^#+ (.*)", file.read_text(encoding="utf-8"), re.M)] \
            if anchor else []
        assert not anchor or anchor in heads, target


def test_the_versions_agree():
    """What the README says is what pip is told, and the change log knows this version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = dict(re.findall(r"^\| (Python|NumPy|Numba)[^|]*\| ([\d.]+) \|", README, re.M))
    assert project["requires-python"] == f">={rows['Python']}"
    assert project["dependencies"] == [f"numpy>={rows['NumPy']}", f"numba>={rows['Numba']}"]
    changes = (ROOT / ".github/CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.M)[1] == mg.__version__
