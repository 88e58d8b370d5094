"""What the README shows works: its training example runs, its op is the one in ops/."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


def test_the_training_example_learns():
    example = next(b for b in BLOCKS if "for step in range" in b)
    out = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True,
                         check=True)
    loss, accuracy = re.fullmatch(r"loss (\d\.\d+), accuracy ([\d.]+)%\n", out.stdout).groups()
    assert float(loss) < 0.1 and float(accuracy) > 95


def test_the_op_of_the_readme_is_that_of_the_library():
    shown = next(b for b in BLOCKS if "@op(" in b).strip()
    source = (ROOT / "minigrad/ops/elementwise.py").read_text(encoding="utf-8")
    extra = r", explain=_broadcast_error|, floating=True"      # better errors, kinds of numbers
    bare = lambda text: re.sub(extra, "", re.sub(r"\s+", " ", text))
    assert bare(shown) in bare(source)
