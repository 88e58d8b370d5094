"""Data sets: tensors, subsets, parts put together, random splits."""
import numpy as np
import pytest

import minigrad as mg
from minigrad.data import (
    ConcatDataset,
    Dataset,
    Subset,
    TensorDataset,
    random_split,
)
from minigrad.autograd.engine import Tensor


def seeded(seed=0):
    return mg.Generator().manual_seed(seed)


def numbers(n=10):
    """Sample i is (i, [i, i])."""
    x = np.arange(n)
    return TensorDataset(Tensor(x), Tensor(np.stack([x, x], 1).astype(np.float32)))


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
