"""Data sets, samplers and the DataLoader behave as torch's; Fashion-MNIST is found, checked,
stored."""
import gzip
import hashlib
import io
import os
import stat
import struct
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
    fashion_mnist,
    random_split,
)
from minigrad.autograd.engine import Tensor


def seeded(seed=0):
    return mg.Generator().manual_seed(seed)


def numbers(n=10):
    """Sample i is (i, [i, i])."""
    x = np.arange(n)
    return TensorDataset(Tensor(x), Tensor(np.stack([x, x], 1).astype(np.float32)))


class Slow(Dataset):
    """The same samples without a fast path."""

    def __init__(self, n=10):
        self.inner = numbers(n)

    def __getitem__(self, index):
        return self.inner[index]

    def __len__(self):
        return len(self.inner)


# --- data sets -----------------------------------------------------------------------------------

def test_tensor_dataset():
    data = numbers()
    i, pair = data[3]
    assert len(data) == 10 and i.item() == 3 and pair.tolist() == [3.0, 3.0]
    assert data[2:4][0].tolist() == [2, 3] and data[-1][0].item() == 9
    array = np.zeros((4, 2))
    assert np.shares_memory(TensorDataset(array).tensors[0].array, array)
    with pytest.raises(IndexError):
        data[10]


@pytest.mark.parametrize("tensors, match", [
    ((), "no tensors"), ((np.zeros(3), np.zeros(4)), r"equal, got shapes \(3,\), \(4,\)"),
    ((np.zeros(3), np.array(1.0)), "tensor 1 is a single number")])
def test_bad_tensor_datasets(tensors, match):
    with pytest.raises(ValueError, match=match):
        TensorDataset(*tensors)


def test_subset_and_concat():
    data = numbers()
    part = Subset(data, [7, 1, 1])
    assert len(part) == 3 and [part[i][0].item() for i in range(3)] == [7, 1, 1]
    both = part + Subset(data, [4])
    assert isinstance(both, ConcatDataset) and len(both) == 4
    assert [both[i][0].item() for i in range(4)] == [7, 1, 1, 4]
    assert both[-1][0].item() == 4 and both[-4][0].item() == 7
    with pytest.raises(IndexError, match="index 4.*4 samples"):
        both[4]
    with pytest.raises(ValueError, match="no data sets"):
        ConcatDataset([])
    with pytest.raises(NotImplementedError, match="Dataset must define __getitem__"):
        Dataset()[0]


def test_empty_parts_of_a_concat_are_skipped():
    both = ConcatDataset([Subset(numbers(), []), numbers(2), Subset(numbers(), []), numbers(3)])
    assert [both[i][0].item() for i in range(len(both))] == [0, 1, 0, 1, 2]


def test_random_split_cuts_without_overlap_and_repeats_itself():
    data = numbers()
    parts = random_split(data, [7, 3], generator=seeded())
    assert [len(p) for p in parts] == [7, 3]
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10))
    again = random_split(data, [7, 3], generator=seeded())
    assert [p.indices for p in parts] == [p.indices for p in again]
    assert parts[0].indices != random_split(data, [7, 3], generator=seeded(1))[0].indices


def test_random_split_by_shares():
    sizes = [len(p) for p in random_split(range(11), [0.5, 0.25, 0.25])]
    assert sizes == [6, 3, 2]                          # 5, 2, 2 and the rest in turn
    with pytest.warns(UserWarning, match="part 1 of 1 samples is empty"):
        random_split(range(1), [0.5, 0.5])


@pytest.mark.parametrize("lengths, match", [
    ([7, 4], "sum to 11, the data set has 10"), ([0.5, 0.4], "shares that sum to 1.*sum to 0.9"),
    ([-1, 11], "numbers of samples"), ([1.5, -0.5], "from 0 to 1, got 1.5")])
def test_random_split_errors(lengths, match):
    with pytest.raises(ValueError, match=match):
        random_split(range(10), lengths)


# --- samplers ------------------------------------------------------------------------------------

def test_samplers():
    assert list(SequentialSampler(range(4))) == [0, 1, 2, 3]
    assert len(SequentialSampler(range(4))) == 4
    random = RandomSampler(range(50), generator=seeded())
    first, second = list(random), list(random)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert first == list(RandomSampler(range(50), generator=seeded()))
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=20, generator=seeded()))
    assert len(drawn) == 20 and set(drawn) == {0, 1, 2}
    more = list(RandomSampler(range(3), num_samples=7, generator=seeded()))
    assert sorted(more[:3]) == sorted(more[3:6]) == [0, 1, 2] and len(more) == 7
    assert list(RandomSampler([])) == [] == list(RandomSampler([], replacement=True))
    assert sorted(SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    assert len(SubsetRandomSampler([5, 7])) == 2
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert [len(BatchSampler(range(5), 2, drop)) for drop in (False, True)] == [3, 2]
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(Sampler())
    with pytest.raises(ValueError, match="num_samples"):
        RandomSampler(range(3), num_samples=0)


# --- the loader ----------------------------------------------------------------------------------

@pytest.mark.parametrize("data", [
    numbers(), Slow(), Subset(Subset(numbers(), range(9, -1, -1)), range(9, -1, -1)),
], ids=["tensors", "slow", "subsets"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last, sizes", [(False, [4, 4, 2]), (True, [4, 4])])
def test_an_epoch(data, shuffle, drop_last, sizes):
    loader = DataLoader(data, 4, shuffle, drop_last=drop_last, generator=seeded())
    batches = list(loader)
    assert len(loader) == len(batches) == len(sizes)
    assert all(isinstance(b, list) and isinstance(b[0], Tensor) for b in batches)
    assert [b[1].shape for b in batches] == [(n, 2) for n in sizes]
    seen = [i for b in batches for i in b[0].tolist()]
    for i, pair in batches:
        np.testing.assert_array_equal(pair.array, np.stack([i.array, i.array], 1))
    if not shuffle:
        assert seen == list(range(sum(sizes)))
    else:
        assert len(set(seen)) == sum(sizes) and seen != sorted(seen)


def test_fast_and_slow_paths_give_the_same_batches():
    fast = DataLoader(numbers(), batch_size=3, shuffle=True, generator=seeded())
    slow = DataLoader(Slow(), batch_size=3, shuffle=True, generator=seeded())
    for _ in range(2):
        for a, b in zip(fast, slow, strict=True):
            for x, y in zip(a, b, strict=True):
                assert x.dtype == y.dtype
                np.testing.assert_array_equal(x.array, y.array)


def test_a_subset_of_a_subset_is_cut_in_the_right_order():
    loader = DataLoader(Subset(Subset(numbers(), [5, 6, 7, 8]), [3, 1]), batch_size=2)
    assert next(iter(loader))[0].tolist() == [8, 6]


def test_every_epoch_has_a_new_order_and_a_seed_repeats_them():
    def orders():
        loader = DataLoader(numbers(20), batch_size=20, shuffle=True, generator=seeded(3))
        return [next(iter(loader))[0].tolist() for _ in range(3)]
    first = orders()
    assert first[0] != first[1] != first[2] and first == orders()


def test_without_a_generator_manual_seed_decides():
    loader = DataLoader(numbers(), batch_size=10, shuffle=True)
    mg.manual_seed(5)
    first = next(iter(loader))[0].tolist()
    mg.manual_seed(5)
    assert next(iter(loader))[0].tolist() == first


def test_batches_are_copies():
    data = numbers()
    next(iter(DataLoader(data, batch_size=10)))[0].array[:] = -1
    assert data.tensors[0].array[0] == 0


def test_two_iterations_at_once_do_not_disturb_each_other():
    loader = DataLoader(numbers(4), batch_size=2)
    pairs = [(a[0].tolist(), b[0].tolist()) for a in loader for b in loader]
    assert pairs == [([0, 1], [0, 1]), ([0, 1], [2, 3]), ([2, 3], [0, 1]), ([2, 3], [2, 3])]


def test_defaults_are_batches_of_one():
    batches = list(DataLoader(numbers(3)))
    assert [b[0].shape for b in batches] == [(1,)] * 3


def test_batch_size_none_gives_samples():
    loader = DataLoader(numbers(3), batch_size=None)
    assert [s[0].item() for s in loader] == [0, 1, 2] and len(loader) == 3
    doubled = DataLoader([1, 2], batch_size=None, collate_fn=lambda s: 2 * s)
    assert list(doubled) == [2, 4]


def test_samplers_batch_samplers_and_collate_functions():
    by = DataLoader(numbers(), batch_size=2, sampler=[9, 1, 5])
    assert [b[0].tolist() for b in by] == [[9, 1], [5]] and len(by) == 2
    by = DataLoader(numbers(), batch_sampler=[[3], [1, 2]])
    assert [b[0].tolist() for b in by] == [[3], [1, 2]] and len(by) == 2
    sums = DataLoader(numbers(4), batch_size=2, collate_fn=lambda ss: sum(s[0].item() for s in ss))
    assert list(sums) == [1, 5]


def test_a_subclass_that_changes_its_samples_is_asked_for_each():
    class Shifted(TensorDataset):
        def __getitem__(self, index):
            return tuple(t + 100 for t in super().__getitem__(index))
    data = Shifted(Tensor([1, 2]))
    assert next(iter(DataLoader(data, batch_size=2)))[0].tolist() == [101, 102]
    assert next(iter(DataLoader(Subset(data, [1]), batch_size=2)))[0].tolist() == [102]


def test_lists_are_data_sets_too():
    assert [b.tolist() for b in DataLoader([1, 2, 3], batch_size=2)] == [[1, 2], [3]]


def test_an_empty_data_set_gives_no_batches():
    assert list(DataLoader(Subset(numbers(), []), batch_size=2, shuffle=True)) == []


def test_gradients_flow_to_a_data_set_that_asks_for_them():
    table = Tensor(np.ones((4, 2), np.float32), requires_grad=True)
    batch = next(iter(DataLoader(TensorDataset(table), batch_size=3)))[0]
    batch.sum().backward()
    assert table.grad.array.sum(1).tolist() == [2, 2, 2, 0]


@pytest.mark.parametrize("options, error, match", [
    ({"batch_size": 0}, ValueError, "batch_size must be an integer, 1 or more, got 0"),
    ({"batch_size": 2.0}, ValueError, "batch_size"),
    ({"shuffle": True, "sampler": [1]}, ValueError, "RandomSampler"),
    ({"batch_sampler": [[1]], "batch_size": 4}, ValueError, "batch_sampler decides everything"),
    ({"batch_sampler": [[1]], "shuffle": True}, ValueError, "batch_sampler"),
    ({"batch_size": None, "drop_last": True}, ValueError, "drop_last"),
    ({"drop_last": 1}, ValueError, "drop_last must be True or False"),
    ({"generator": np.random.default_rng()}, TypeError, r"Generator\(\).manual_seed\(seed\)"),
])
def test_options_that_contradict(options, error, match):
    with pytest.raises(error, match=match):
        DataLoader(numbers(), **options)


@pytest.mark.parametrize("data", [TensorDataset(mg.ones(3)),
                                  Subset(TensorDataset(mg.ones(9)), [0, 1, 2])])
def test_an_index_that_the_data_set_does_not_have(data):
    with pytest.raises(IndexError, match="the sampler gave an index.* 3 .*size 3"):
        list(DataLoader(data, sampler=[0, 3]))


def test_what_is_no_data_set():
    with pytest.raises(TypeError, match="__len__ and __getitem__"):
        DataLoader(iter([1, 2]))


def test_collate_kinds():
    Pair = namedtuple("Pair", "a b")
    got = default_collate([{"x": (1, [2.5, "s"]), "y": np.float64(3), "z": True}] * 2)
    (one, (floats, strings)), y, z = got["x"], got["y"], got["z"]
    assert one.dtype == np.int64 and one.tolist() == [1, 1]
    assert floats.dtype == np.float32 and strings == ["s", "s"]
    assert y.dtype == np.float64 and z.dtype == np.bool_
    pair = default_collate([Pair(1, 2), Pair(3, 4)])
    assert isinstance(pair, Pair) and pair.a.tolist() == [1, 3]
    assert default_collate([np.zeros(3, np.uint8)] * 2).dtype == np.uint8
    assert default_collate([1, 2.5]).tolist() == [1.0, 2.5]
    assert default_collate([b"x", b"y"]) == [b"x", b"y"]
    mg.set_default_dtype(mg.float64)
    try:
        assert default_collate([0.1]).dtype == np.float64
    finally:
        mg.set_default_dtype(mg.float32)


@pytest.mark.parametrize("batch, error, match", [
    ([], ValueError, "no samples"), ([None], TypeError, "NoneType.*collate_fn"),
    ([np.zeros(2), np.zeros(3)], ValueError, r"sample 1 .* shape \(3,\), sample 0 has \(2,\)"),
    ([Tensor([1.0]), Tensor([1.0, 2.0])], ValueError, "pad them"),
    ([(1, 2), (1,)], ValueError, "sample 1"),
])
def test_collate_errors(batch, error, match):
    with pytest.raises(error, match=match):
        default_collate(batch)


# --- Fashion-MNIST: a tiny stand-in with the same format -----------------------------------------

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


def test_the_cache_folder_without_an_override(monkeypatch):
    monkeypatch.delenv("MINIGRAD_DATA_DIR", raising=False)
    assert fashion_mnist.cache_folder().parts[-2:] == ("minigrad", "fashion-mnist")


def test_workers_warn_and_change_nothing():
    data = TensorDataset(mg.arange(6))
    with pytest.warns(UserWarning, match="num_workers=2 has no effect"):
        loader = DataLoader(data, batch_size=2, num_workers=2)
    assert [x.tolist() for x, in loader] == [[0, 1], [2, 3], [4, 5]]


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
