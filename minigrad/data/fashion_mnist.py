"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels, in ten classes.

Han Xiao, Kashif Rasul, Roland Vollgraf, arXiv:1708.07747; Zalando SE, MIT licence. It is found
where Debian's package dataset-fashion-mnist puts it, in a folder of yours, or is downloaded from
the data set's own home; every file is checked, wherever it comes from.
"""
from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy import ndarray

from ..autograd.engine import wrap
from ..user_cache import user_cache
from .dataset import TensorDataset

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
           "Bag", "Ankle boot")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
# The two places of its makers, see github.com/zalandoresearch/fashion-mnist.
SOURCES = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
# SHA-256 of the content, unpacked: Debian packs the same bytes with another gzip header. Packed
# with its makers' header these contents have the MD5 sums that they publish (8d4fb7e6...,
# 25c81989..., bef4ecab..., bb300cfd...), so both are known to be the same.
CONTENT = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
Progress = Callable[[int, int], object]


class FashionMNIST(TensorDataset):
    """Pictures (N, 1, 28, 28) of floats from 0 to 1, and class numbers (N,), N = 60,000 or 10,000.

    FashionMNIST.classes names the classes. Arguments and errors: see load_fashion_mnist.
    """
    classes = CLASSES

    def __init__(self, root: str | os.PathLike | None = None, train: bool = True,
                 download: bool = False, *, progress: Progress | None = None) -> None:
        images, labels = load_fashion_mnist(root, train, download, progress=progress)
        pixels = images[:, None].astype(np.float32)
        pixels /= 255.0
        super().__init__(wrap(pixels), wrap(labels))


def load_fashion_mnist(root: str | os.PathLike | None = None, train: bool = True,
                       download: bool = False, *, progress: Progress | None = None
                       ) -> tuple[ndarray, ndarray]:
    """(images, labels): uint8 (N, 28, 28) and int64 (N,); N = 60,000 if train, else 10,000.

    root: the folder that holds the files, packed (.gz) or not; default: Debian's folder, then a
        folder in the user's cache ($MINIGRAD_DATA_DIR overrides it).
    download: fetch files that are in none of these places into root or the cache. progress(done,
        total) is told about the bytes.

    Raises: FileNotFoundError if a file is missing and download is False; ValueError if one is
        damaged; OSError if it cannot be downloaded.
    """
    part = "train" if train else "t10k"
    images, labels = (_content(f"{part}-{kind}", root, download, progress)
                      for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    return _idx(images), _idx(labels).astype(np.int64)


def cache_folder() -> Path:
    """Where downloads go: $MINIGRAD_DATA_DIR, or a folder in the user's cache."""
    own = os.environ.get("MINIGRAD_DATA_DIR")
    if own:
        return Path(own).expanduser() / "fashion-mnist"
    return user_cache() / "minigrad" / "fashion-mnist"


def _content(name: str, root: Any, download: bool, progress: Progress | None) -> bytes:
    """The unpacked, checked bytes of a file."""
    folders = [DEBIAN, cache_folder()] if root is None else [Path(root).expanduser()]
    for folder in folders:
        for path in (folder / f"{name}.gz", folder / name):
            if path.is_file():
                return _unpacked(path.read_bytes(), name, str(path))
    if not download:
        tried = " or ".join(str(f) for f in folders)
        raise FileNotFoundError(
            f"Fashion-MNIST: {name}.gz is not in {tried}. Pass download=True (31 MB for all "
            "files), or root= the folder where they are; on Debian: apt-get install "
            "dataset-fashion-mnist")
    return _downloaded(name, folders[-1], progress)


def _unpacked(data: bytes, name: str, source: str) -> bytes:
    """Unpacks (if packed) and compares with the known content."""
    advice = "delete it and load again, with download=True if need be"
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"Fashion-MNIST: {source} ({len(data):,} bytes) is damaged or "
                             f"incomplete ({error}); {advice}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != CONTENT[name]:
        raise ValueError(f"Fashion-MNIST: {source} does not hold the known content: the SHA-256 of "
                         f"its {len(data):,} unpacked bytes is {digest}, want {CONTENT[name]}; "
                         f"{advice}")
    return data


def _downloaded(name: str, folder: Path, progress: Progress | None) -> bytes:
    """Fetches a file, checks it and stores it in `folder` in one move."""
    reasons = []
    for source in SOURCES:
        url = f"{source}{name}.gz"
        try:
            with _open(url) as response:
                packed = _read(response, progress)
            content = _unpacked(packed, name, url)
            break
        except (OSError, ValueError) as error:         # URLError and time-outs are OSErrors
            reasons.append(f"{url}: {getattr(error, 'reason', None) or error}")
    else:
        raise OSError(f"Fashion-MNIST: {name}.gz could not be downloaded. " + "; ".join(reasons)
                      + ". Get the four files elsewhere and pass root= their folder; on Debian: "
                      "apt-get install dataset-fashion-mnist")
    _store(packed, folder / f"{name}.gz")
    return content


def _open(url: str) -> Any:
    from urllib.request import urlopen                 # here: it brings ssl and http with it
    return urlopen(url, timeout=60)


def _read(response: IO[bytes], progress: Progress | None) -> bytes:
    """All bytes of a response. Raises OSError if it ends before the announced length."""
    headers = getattr(response, "headers", {})
    total = int(headers.get("Content-Length") or 0)
    parts, done = [], 0
    while part := response.read(1 << 16):
        parts.append(part)
        done += len(part)
        if progress is not None:
            progress(done, total)
    if total and done != total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")
    return b"".join(parts)


def _store(data: bytes, path: Path) -> None:
    """Writes a file so that it is there completely or not at all, even with several processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)                     # mkstemp makes files for one user only
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _idx(data: bytes) -> ndarray:
    """The IDX format: 0, 0, type (8: bytes), number of dimensions; sizes, big-endian; bytes."""
    ndim = data[3]
    shape = tuple(int(n) for n in np.frombuffer(data, ">i4", ndim, 4))
    return np.frombuffer(data, np.uint8, offset=4 + 4 * ndim).reshape(shape)
