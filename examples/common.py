"""What every example needs and none is about: its options, its data files, its picture."""

import argparse
import gzip
import hashlib
import os
import sys
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import matplotlib
import numpy as np

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
        "--quick", action="store_true", help="a few seconds on less data: checks that it runs"
    )
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default 0)")
    picture = Path(script).stem + ".png"
    parser.add_argument(
        "--out", type=Path, default=picture, help=f"where to save the picture (default {picture})"
    )
    return parser


def positive(text):
    """The type of an option that counts something: a whole number, at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


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
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path.resolve()}")


# --- The complete Fashion-MNIST, for image_recognition.py --full --------------------------------
# Where Debian's package dataset-fashion-mnist puts it, and the two places of its makers.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
SOURCES = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
# SHA-256 of the *unpacked* content: Debian packs the same bytes again, with another gzip header.
CONTENT = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def full_fashion_mnist(folder=None):
    """All 70,000 images: (60000, 28, 28) and their labels, then (10000, 28, 28) and theirs.

    Looked for in `folder` if given; else in Debian's place, then in the user's cache, into which
    missing files are downloaded. Every file is checked, wherever it comes from.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fashion-mnist"
    arrays = []
    for name, wanted in CONTENT.items():
        file = f"{name}.gz"
        places = [Path(folder) / file] if folder else [DEBIAN / file, cache / file]
        path = next((p for p in places if p.is_file()), None)
        if path is None and folder:
            sys.exit(f"error: {places[0]} is missing; leave out --data to download it.")
        path = path or download(file, cache)
        try:
            content = gzip.decompress(path.read_bytes())
        except (OSError, EOFError, zlib.error) as reason:
            sys.exit(f"error: {path} is damaged or incomplete ({reason}): delete it, try again.")
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            sys.exit(
                f"error: {path} is damaged or another file: its content has SHA-256 {found}, "
                f"not {wanted}. Delete it and try again."
            )
        # The idx format: two zero bytes, a type, the number of axes, each length, the numbers.
        axes = content[3]
        shape = np.frombuffer(content, ">i4", axes, offset=4)
        arrays.append(np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape))
    return arrays


def download(file, cache):
    """Fetch one file from the makers of the data set into the folder `cache`."""
    cache.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source in SOURCES:
        print(f"downloading {source}{file}")
        try:
            with urllib.request.urlopen(source + file, timeout=30) as answer:
                content = answer.read()
        except (urllib.error.URLError, OSError) as reason:
            reasons.append(f"{source}: {reason}")
            continue
        # Written aside and renamed, so that an interrupted run leaves no half file behind.
        part = cache / f"{file}.{os.getpid()}.part"
        part.write_bytes(content)
        return part.replace(cache / file)
    sys.exit(
        f"error: {file} could not be downloaded ({'; '.join(reasons)}). With the files in a "
        "folder of yours use --data FOLDER; on Debian: apt-get install dataset-fashion-mnist."
    )
