"""The examples' options: what cannot work is refused before the learning starts, in one line."""
import pathlib
import runpy
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = ["linear_regression", "logistic_regression", "image_recognition", "text_generation",
           "time_series"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a script in this process (importing matplotlib 20 times would take 20 seconds)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run(script, *options):
        path = str(EXAMPLES / f"{script}.py")
        monkeypatch.setattr(sys, "argv", [path, *options])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(path, run_name="__main__")
        printed = capsys.readouterr()
        return end.value.code, printed.out, printed.err
    return run


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_example_has_the_common_options(run, script):
    code, out, _ = run(script, "--help")
    assert code == 0
    assert all(option in out for option in ("--quick", "--seed", "--out", f"{script}.png"))


@pytest.mark.parametrize("script, options, complaint", [
    ("linear_regression", ["--seed", "-1"], "'-1' is not a whole number from 0"),
    ("linear_regression", ["--seed", "one"], "'one' is not a whole number from 0"),
    ("linear_regression", ["--out", "picture.xyz"], "'picture.xyz' does not end in .png"),
    ("linear_regression", ["--out", "folder.png"], "'folder.png' is a folder"),
    ("linear_regression", ["--out", "file/picture.png"], "cannot make the folder"),
    ("image_recognition", ["--lr", "nan"], "'nan' is not a number above 0"),
    ("image_recognition", ["--epochs", "0"], "'0' is not a whole number above 0"),
    ("image_recognition", ["--data", "."], "use it together with --full"),
    ("text_generation", ["--temperature", "0"], "'0' is not a number above 0"),
    ("text_generation", ["--prompt", ""], "--prompt is empty"),
    ("text_generation", ["--prompt", "\u0416"], "not in the book"),
])
def test_an_option_that_cannot_work_is_refused_at_once(run, script, options, complaint, tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    code, out, err = run(script, *options)
    assert code == 2 and out == "" and complaint in err


def test_a_missing_data_set_is_one_clear_line(run):
    code, _, _ = run("image_recognition", "--full", "--data", "nowhere")
    assert code.startswith("error: Fashion-MNIST: train-images-idx3-ubyte.gz is not in nowhere")
    assert "root= is --data" in code


def test_a_quick_run_learns_and_the_seed_repeats_it(tmp_path):
    script = EXAMPLES / "linear_regression.py"
    first, again, other = (
        subprocess.run([sys.executable, script, "--quick", "--seed", seed, "--out", f"new/{i}.png"],
                       cwd=tmp_path, capture_output=True, text=True)
        for i, seed in enumerate("112"))
    assert first.returncode == other.returncode == 0
    measured = [done.stdout.splitlines()[1] for done in (first, again, other)]
    assert measured[0] == measured[1] != measured[2]
    assert all(float(line.split()[-1]) > 0.8 for line in measured)
    assert all((tmp_path / f"new/{i}.png").read_bytes().startswith(b"\x89PNG") for i in range(3))
