"""Data sets: what has a length and gives sample i, and ways to cut and join them."""
from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..autograd.engine import Tensor, wrap
from ..ops.creation import as_tensor
from ..ops.random import Generator, randperm


class Dataset:
    """The parent of data sets: subclasses define __len__() and __getitem__(i).

    Any object with these two methods will do for a DataLoader; this class adds `a + b`.
    """

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Tensors whose first dimension counts the samples: sample i is (a[i], b[i], ...).

    Arrays are taken as Tensors that share their memory.

    Raises: ValueError if the lengths differ or a tensor has no dimension.
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ValueError("TensorDataset: got no tensors")
        self.tensors: tuple[Tensor, ...] = tuple(as_tensor(t) for t in tensors)
        shapes = [t.shape for t in self.tensors]
        if () in shapes:
            raise ValueError(f"TensorDataset: tensor {shapes.index(())} is a single number, want a "
                             "first dimension that counts the samples")
        if len({s[0] for s in shapes}) > 1:
            raise ValueError("TensorDataset: the first dimensions must be equal, got shapes "
                             + ", ".join(map(str, shapes)))

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0].array)

    def batch(self, indices: Any) -> list[Tensor]:
        """The samples at these indices, stacked: one copy for each tensor, not one a sample."""
        at = np.asarray(indices, np.intp)
        return [t[at] if t.requires_grad else wrap(t.array[at]) for t in self.tensors]


class Subset(Dataset):
    """The samples of a data set at the given indices, in their order."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.dataset[i] for i in self.indices[index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Data sets one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: got no data sets")
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"ConcatDataset: index {index} is out of range, there are {n} samples")
        index %= n
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - ([0, *self.cumulative_sizes])[which]]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None
                 ) -> list[Subset]:
    """Cuts a data set at random into parts without overlap.

    lengths: numbers of samples that sum to len(dataset), or shares that sum to 1; samples that
        remain from rounding down go to the parts in turn, as in torch.

    Raises: ValueError if the lengths do not sum to what they should.
    """
    n = len(dataset)
    total = sum(lengths)
    sizes: list[int]
    if math.isclose(total, 1) and total <= 1:
        bad = [x for x in lengths if not 0 <= x <= 1]
        if bad:
            raise ValueError(f"random_split: shares must be from 0 to 1, got {bad[0]}")
        sizes = [math.floor(n * x) for x in lengths]
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
        if 0 in sizes:
            warnings.warn(f"random_split: part {sizes.index(0)} of {n} samples is empty",
                          stacklevel=2)
    else:
        if any(x != int(x) or x < 0 for x in lengths):
            raise ValueError(f"random_split: want numbers of samples, or shares that sum to 1; "
                             f"{list(lengths)} sum to {total:g}")
        sizes = [int(x) for x in lengths]
        if sum(sizes) != n:
            raise ValueError(f"random_split: lengths {sizes} sum to {sum(sizes)}, the data set has "
                             f"{n} samples")
    order = randperm(n, generator=generator).tolist()
    return [Subset(dataset, order[end - size:end]) for end, size in zip(accumulate(sizes), sizes)]
