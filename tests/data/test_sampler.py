"""Samplers: the orders that they promise."""
import pytest

import minigrad as mg
from minigrad.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
)


def seeded(seed=0):
    return mg.Generator().manual_seed(seed)


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
