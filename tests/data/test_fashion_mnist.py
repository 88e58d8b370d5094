"""Fashion-MNIST is found, checked and stored (a tiny stand-in with the same format)."""
import gzip
import hashlib
import io
import os
import stat
import struct
import subprocess
import sys

import numpy as np
import pytest

from minigrad.data import (
    fashion_mnist,
)


def idx(array):
    array = np.asarray(array, np.uint8)
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) \
        + array.tobytes()


IMAGES = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256
FILES = {"train-images-idx3-ubyte": idx(IMAGES), "train-labels-idx1-ubyte": idx([3, 0, 9]),
         "t10k-images-idx3-ubyte": idx(IMAGES[:2]), "t10k-labels-idx1-ubyte": idx([1, 2])}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """No network, no Debian files, a cache of our own; the known content is the stand-in's."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("MINIGRAD_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "CONTENT",
                        {k: hashlib.sha256(v).hexdigest() for k, v in FILES.items()})

    def offline(url):
        raise OSError("no network in tests")
    monkeypatch.setattr(fashion_mnist, "_open", offline)
    return tmp_path


def put(folder, names=FILES, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        data = FILES[name]
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(data) if packed else data)


class Response(io.BytesIO):
    def __init__(self, data, length=None):
        super().__init__(data)
        self.headers = {"Content-Length": str(len(data) if length is None else length)}


def online(monkeypatch, change=lambda data: data, length=None, log=None):
    def serve(url):
        if log is not None:
            log.append(url)
        name = url.rsplit("/", 1)[1].removesuffix(".gz")
        return Response(change(gzip.compress(FILES[name])), length)
    monkeypatch.setattr(fashion_mnist, "_open", serve)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["debian", "cache/fashion-mnist", "mine"])
def test_files_are_found_and_read(home, place, packed):
    put(home / place, packed=packed)
    root = home / place if place == "mine" else None
    images, labels = fashion_mnist.load_fashion_mnist(root)
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == [3, 0, 9]
    test = fashion_mnist.FashionMNIST(root and str(root), train=False)
    x, y = test.tensors
    assert x.shape == (2, 1, 28, 28) and x.dtype == np.float32 and y.tolist() == [1, 2]
    np.testing.assert_allclose(x.array[:, 0], IMAGES[:2] / 255, rtol=1e-6)
    assert test.classes[9] == "Ankle boot" and len(test.classes) == 10


def test_missing_files_are_reported_with_every_way_out(home):
    with pytest.raises(FileNotFoundError) as info:
        fashion_mnist.load_fashion_mnist()
    for part in ("train-images", str(home / "debian"), str(home / "cache"), "download=True",
                 "root=", "apt-get install dataset-fashion-mnist"):
        assert part in str(info.value)
    put(home / "debian")
    with pytest.raises(FileNotFoundError, match="mine"):
        fashion_mnist.load_fashion_mnist(home / "mine")            # only there


def test_download_stores_whole_files_that_all_may_read(home, monkeypatch):
    log, seen = [], []
    online(monkeypatch, log=log)
    for _ in range(2):
        images, _ = fashion_mnist.load_fashion_mnist(
            download=True, progress=lambda done, total: seen.append((done, total)))
        np.testing.assert_array_equal(images, IMAGES)
    assert len(log) == 2                               # the second time they are in the cache
    assert seen[-1][0] == seen[-1][1] > 0
    folder = home / "cache" / "fashion-mnist"
    assert sorted(os.listdir(folder)) == ["train-images-idx3-ubyte.gz",
                                          "train-labels-idx1-ubyte.gz"]
    if os.name == "posix":
        assert stat.S_IMODE(os.stat(folder / "train-labels-idx1-ubyte.gz").st_mode) == 0o644


def test_download_into_a_folder_of_ones_own(home, monkeypatch):
    online(monkeypatch)
    fashion_mnist.load_fashion_mnist(home / "new" / "place", train=False, download=True)
    assert (home / "new" / "place" / "t10k-images-idx3-ubyte.gz").is_file()


def test_the_second_source_is_tried(home, monkeypatch):
    log = []
    online(monkeypatch, log=log)
    serve = fashion_mnist._open

    def half(url):
        if url.startswith(fashion_mnist.SOURCES[0]):
            log.append(url)
            raise OSError("gone")
        return serve(url)
    monkeypatch.setattr(fashion_mnist, "_open", half)
    assert len(fashion_mnist.load_fashion_mnist(download=True)[1]) == 3 and len(log) == 4


def test_no_network_says_what_to_do_and_leaves_nothing(home):
    with pytest.raises(OSError, match="no network in tests.*root=.*apt-get"):
        fashion_mnist.load_fashion_mnist(download=True)
    assert not (home / "cache").exists()


@pytest.mark.parametrize("change, length, match", [
    (lambda data: data[:-9], None, "damaged or incomplete"),
    (lambda data: data[:-9], 10_000, "connection ended after .* of 10,000 bytes"),
    (lambda data: b"<html>not found</html>", None, "does not hold the known content"),
])
def test_a_bad_download_is_refused_and_not_stored(home, monkeypatch, change, length, match):
    online(monkeypatch, change, length)
    with pytest.raises(OSError, match=match):
        fashion_mnist.load_fashion_mnist(download=True)
    folder = home / "cache" / "fashion-mnist"
    assert not folder.exists() or not os.listdir(folder)


@pytest.mark.parametrize("damage, match", [
    (lambda b: b[: len(b) // 2], r"\(\d+ bytes\) is damaged or incomplete"),
    (lambda b: b[:20] + bytes([b[20] ^ 255]) + b[21:], "damaged|does not hold"),
    (lambda b: gzip.compress(idx([3, 0, 8])), "SHA-256 of its 11 unpacked bytes is [0-9a-f]{64}"),
    (lambda b: b"", "does not hold"),
])
def test_a_damaged_file_is_named(home, damage, match):
    put(home / "debian")
    path = home / "debian" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=match) as info:
        fashion_mnist.load_fashion_mnist()
    assert str(path) in str(info.value)


def test_an_interrupted_write_leaves_nothing(home, monkeypatch):
    online(monkeypatch)

    def interrupted(*args):
        raise KeyboardInterrupt
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fashion_mnist.load_fashion_mnist(download=True)
    assert os.listdir(home / "cache" / "fashion-mnist") == []


def test_what_reads_files_is_imported_when_it_is_asked_for():
    program = """if True:
        import sys
        import minigrad
        late = ("minigrad.data.fashion_mnist", "gzip", "numpy.random")
        print([name for name in late if name in sys.modules])
        print("FashionMNIST" in dir(minigrad.data), minigrad.data.fashion_mnist.__name__)
        from minigrad.data import *
        print(FashionMNIST.classes[0], Subset.__name__, load_fashion_mnist.__name__)
        try:
            minigrad.data.CIFAR10
        except AttributeError as error:
            print(error)
    """
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.splitlines() == [
        "[]",
        "True minigrad.data.fashion_mnist",
        "T-shirt/top Subset load_fashion_mnist",
        "minigrad.data has no 'CIFAR10'; dir(minigrad.data) lists what there is",
    ], out.stderr


def test_the_cache_folder_without_an_override(monkeypatch):
    monkeypatch.delenv("MINIGRAD_DATA_DIR", raising=False)
    assert fashion_mnist.cache_folder().parts[-2:] == ("minigrad", "fashion-mnist")
