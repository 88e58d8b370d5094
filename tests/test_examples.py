"""The examples' options: what cannot work is refused before the learning starts, in one line."""
import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = ["linear_regression", "logistic_regression", "image_recognition", "text_generation",
           "time_series"]


def run(script, *options, cwd):
    return subprocess.run([sys.executable, EXAMPLES / f"{script}.py", *options], cwd=cwd,
                          capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_example_has_the_common_options(script, tmp_path):
    done = run(script, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--quick", "--seed", "--out"))
    assert f"{script}.png" in done.stdout


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
def test_an_option_that_cannot_work_is_refused_at_once(script, options, complaint, tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    done = run(script, *options, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert complaint in done.stderr and "Traceback" not in done.stderr


def test_a_missing_data_set_is_one_clear_line(tmp_path):
    done = run("image_recognition", "--full", "--data", "nowhere", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: Fashion-MNIST: train-images-idx3-ubyte.gz is not in nowhere" in done.stderr


def test_a_quick_run_learns_and_the_seed_repeats_it(tmp_path):
    first, again, other = (run("linear_regression", "--quick", "--seed", seed, "--out",
                               f"new/{i}.png", cwd=tmp_path) for i, seed in enumerate("112"))
    assert first.returncode == other.returncode == 0
    measured = [done.stdout.splitlines()[1] for done in (first, again, other)]
    assert measured[0] == measured[1] != measured[2]
    assert all(float(line.split()[-1]) > 0.8 for line in measured)
    assert all((tmp_path / f"new/{i}.png").read_bytes().startswith(b"\x89PNG") for i in range(3))
