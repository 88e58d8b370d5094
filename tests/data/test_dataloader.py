"""The DataLoader behaves as torch's: batches, orders, seeds, collating."""
from collections import namedtuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    default_collate,
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


def test_workers_warn_and_change_nothing():
    data = TensorDataset(mg.arange(6))
    with pytest.warns(UserWarning, match="num_workers=2 has no effect"):
        loader = DataLoader(data, batch_size=2, num_workers=2)
    assert [x.tolist() for x, in loader] == [[0, 1], [2, 3], [4, 5]]
