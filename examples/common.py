"""What every example needs and none is about: its options, its data files, its picture."""

import argparse
import math
import os
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draw into a file: no screen is needed
import matplotlib.pyplot as plt

DATA = Path(__file__).resolve().parent / "data"

plt.rcParams.update(
    {
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


def save_picture(figure, path):
    """Write the figure as PNG and say where it is."""
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path.resolve()}")
