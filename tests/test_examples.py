"""The examples: options that cannot work are refused in one line before the learning starts; Ctrl-C
saves what was learnt; no progress bar counts the step that compiles."""
import os
import pathlib
import runpy
import signal
import subprocess
import sys

import pytest

import minigrad as mg
from minigrad import optim
from minigrad.kernels.jit.kernel import jit_disabled

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = ["linear_regression", "logistic_regression", "image_recognition", "text_generation",
           "time_series"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs a script in this process (importing matplotlib 20 times would take 20 seconds)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)       # which the examples set
    import common
    monkeypatch.setattr(common, "stopped", False)

    def run(script, *options, end=SystemExit):
        path = str(EXAMPLES / f"{script}.py")
        monkeypatch.setattr(sys, "argv", [path, *options])
        with pytest.raises(end) as ended:
            runpy.run_path(path, run_name="__main__")
        printed = capsys.readouterr()
        return getattr(ended.value, "code", None), printed.out, printed.err
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


# --- Ctrl-C --------------------------------------------------------------------------------------

# As plain Python the networks' loops would take minutes.
RUN = SCRIPTS[:2] if jit_disabled() else SCRIPTS
STEPS = {"linear_regression": 1100, "logistic_regression": 12, "image_recognition": 5,
         "text_generation": 9, "time_series": 20}      # the first step is the rehearsal


@pytest.fixture
def interrupted(monkeypatch):
    """interrupted(n): Ctrl-C comes in the n-th step of an optimiser. Returns a list whose last
    number counts the steps; append 0 and it comes in the n + 1st from there."""
    def at(n):
        step, count = optim.SGD.step, [0]

        def counted(self, closure=None):
            count[-1] += 1
            if count[-1] == n + len(count) - 1:
                signal.raise_signal(signal.SIGINT)
            return step(self, closure)
        monkeypatch.setattr(optim.SGD, "step", counted)
        return count
    # Whoever started the tests may have ignored the signal; Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield at
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("script", RUN)
def test_ctrl_c_ends_the_training_and_saves_what_was_learnt(run, interrupted, script, tmp_path):
    interrupted(STEPS[script])
    code, out, err = run(script, "--quick", "--out", "cut.png")
    assert code == 130                             # `example.py && next` does not go on
    assert "stopped after" in err and "held-out" in out and "cut.png" in out
    assert (tmp_path / "cut.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("script", RUN)
@pytest.mark.parametrize("step", [1, 2])
def test_ctrl_c_before_anything_is_learnt_saves_nothing(run, interrupted, tmp_path, script, step):
    """In the rehearsal, where the kernels are compiled, and in the first step that counts."""
    interrupted(1 if script == "linear_regression" else step)
    run(script, "--quick", end=KeyboardInterrupt)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_has_no_traceback_and_the_exit_code_of_a_signal(tmp_path):
    program = """if True:
        import runpy, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from minigrad import optim
        optim.SGD.step = lambda self: signal.raise_signal(signal.SIGINT)
        path = sys.argv.pop(1)
        sys.path.insert(0, path.rpartition("/")[0])
        runpy.run_path(path, run_name="__main__")
    """
    script = (EXAMPLES / "linear_regression.py").as_posix()
    done = subprocess.run([sys.executable, "-c", program, script, "--quick"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    if os.name == "posix":
        assert done.returncode == -signal.SIGINT   # a shell says 130
    assert done.stderr.splitlines()[-1] == "stopped before there was anything to save"
    assert not list(tmp_path.iterdir())


def test_other_errors_keep_their_traceback(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import common
    common.end_quietly(ValueError, ValueError("no such thing"), None)
    assert "ValueError: no such thing" in capsys.readouterr().err


# --- the first step, which compiles --------------------------------------------------------------

def test_a_rehearsal_leaves_no_trace(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from common import rehearsal
    mg.manual_seed(1)
    model = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.Dropout(0.5), mg.nn.Linear(4, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def train():
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(mg.ones(2, 3)).pow(2).sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses
    with rehearsal(model, optimizer):
        first = train()
    assert all(p.grad is None for p in model.parameters())
    second = train()
    assert first == second != train()


@pytest.mark.parametrize("script", RUN[1:])
def test_no_bar_counts_the_step_that_compiles(run, interrupted, monkeypatch, script):
    """When the bar starts, a step has been taken: its kernels are there."""
    import tqdm
    begun = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **options):
            begun.append(True)
            super().__init__(*args, **options)
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    count = interrupted(1)
    run(script, "--quick", end=KeyboardInterrupt)
    assert not begun
    count.append(0)                                # once more, up to the step after that
    run(script, "--quick", end=KeyboardInterrupt)
    assert begun == [True]
