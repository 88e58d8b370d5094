"""What every example needs and none is about: its options, its data files, its picture, and what
happens around a training: the first step that compiles, and Ctrl-C."""

import argparse
import contextlib
import copy
import math
import os
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draw into a file: no screen is needed
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg

DATA = Path(__file__).resolve().parent / "data"

# Okabe and Ito's colours: whoever cannot tell red from green can tell these apart.
BLUE, ORANGE, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"

plt.rcParams.update(
    {
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, BLACK]),
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.25,
        "axes.titleweight": "bold",
        "axes.titlesize": 11,
        "legend.frameon": False,
    }
)


def argument_parser(script, description):
    """A parser with the options that all examples share; `script` is the caller's __file__."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, less learning: checks that it runs"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of every random choice (default 0)")
    name = Path(script).stem + ".png"
    parser.add_argument(
        "--out", type=picture, default=name, help=f"where to save the picture (default {name})"
    )
    return parser


def seed(text):
    """The type of --seed: a whole number from 0 to 2^63 - 1."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def positive(text):
    """The type of an option that counts something: a whole number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def above_zero(text):
    """The type of an option that measures something: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def picture(text):
    """The type of --out: a PNG that can be written. Asked before the training, not after it."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot make the folder of {text!r}: {error}") from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: permission denied")
    return path


def data_file(name):
    """The path of a file of examples/data; ends the program with one clear line if it is absent."""
    path = DATA / name
    if not path.is_file():
        sys.exit(
            f"error: the data file {path} is missing. It belongs to the repository: restore it "
            f"with `git checkout -- examples/data/{name}` or see examples/data/README.md."
        )
    return path


@contextlib.contextmanager
def rehearsal(model, optimizer):
    """For a first step that does not count: afterwards everything is as it was before.

    The first step waits until its kernels are compiled (once on a machine) or read from disk. A
    progress bar that takes it for a step like the others would promise hours.
    """
    weights = copy.deepcopy(model.state_dict())
    options = copy.deepcopy(optimizer.state_dict())
    random = mg.get_rng_state()
    yield
    model.load_state_dict(weights)
    optimizer.load_state_dict(options)
    optimizer.zero_grad()
    mg.set_rng_state(random)


stopped = False  # by Ctrl-C


@contextlib.contextmanager
def stoppable(losses):
    """Ctrl-C within it ends a training early; then the program measures and draws what it has.

    losses: what the training appends to. While it is empty there is nothing to draw, and Ctrl-C
    ends the program.
    """
    global stopped
    try:
        yield
    except KeyboardInterrupt:
        if not losses:
            raise
        stopped = True
        print(
            f"\nstopped after {len(losses):,} of its steps; all that follows is what was learnt "
            "until here (Ctrl-C again ends at once)",
            file=sys.stderr,
        )


def end_quietly(kind, error, trace):
    """Ctrl-C at any other time needs no traceback. Python's exit code is 130 then, as of old."""
    if kind is KeyboardInterrupt:
        print("\nstopped before there was anything to save", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = end_quietly


def running_mean(values, window):
    """The mean of each value and those before it, `window` together (fewer at the beginning)."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def save_picture(figure, path):
    """Write the figure as PNG and say where it is.

    The exit code of a training that Ctrl-C cut short is 130: `example.py && next` shall not go on
    as if it were complete.
    """
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path.resolve()}")
    if stopped:
        sys.exit(130)
