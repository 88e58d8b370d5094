"""The DataLoader goes through a data set in batches, if asked to in a new order every epoch."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from ..autograd.construct import to_array
from ..autograd.engine import Tensor, wrap
from ..foreign import got, named
from ..modes import settings
from ..ops.random import Generator
from ..ops.join import stack
from .dataset import Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """An iterable of batches: `for x, y in loader`. len(loader) is the number of batches.

    dataset: anything with __len__ and __getitem__. batch_size: None gives single samples.
    shuffle: a new random order every epoch. sampler: an iterable of indices instead;
    batch_sampler: an iterable of lists of indices instead of all of these.
    collate_fn: samples -> batch (default: default_collate). drop_last: no shorter last batch.
    generator: draws the order; default is the thread's default generator.

    Batches of a TensorDataset (or a Subset of one) are cut out of its tensors at once. num_workers
    has no effect (and warns): batches are made in the calling thread. pin_memory has none either.

    Raises: ValueError or TypeError for options that contradict each other.
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Iterable[int] | None = None,
                 batch_sampler: Iterable[list[int]] | None = None, num_workers: int = 0,
                 collate_fn: Callable[[list], Any] | None = None, pin_memory: bool = False,
                 drop_last: bool = False, *, generator: Generator | None = None) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(f"DataLoader: a data set needs __len__ and __getitem__, "
                            f"{type(dataset).__name__} has not both")
        if num_workers:
            warnings.warn(f"DataLoader: num_workers={num_workers} has no effect: batches are made "
                          "in the calling thread, which for a TensorDataset takes microseconds",
                          stacklevel=2)
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: a sampler decides the order, so shuffle must not be "
                             "given; use RandomSampler to shuffle")
        if batch_sampler is not None:
            if batch_size not in (1, None) or shuffle or sampler is not None or drop_last:
                raise ValueError("DataLoader: batch_sampler decides everything, so batch_size, "
                                 "shuffle, sampler and drop_last must not be given")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last means nothing without batches "
                             "(batch_size=None)")
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError("DataLoader: generator must be a minigrad.Generator, got "
                            f"{named(generator)}; write Generator().manual_seed(seed)")
        if sampler is None and batch_sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle \
                else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and sampler is not None:
            try:
                batch_sampler = BatchSampler(sampler, batch_size, drop_last)
            except ValueError as error:
                raise ValueError(f"DataLoader: {error}") from None
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.num_workers, self.pin_memory = 0, pin_memory
        self.collate_fn = default_collate if collate_fn is None else collate_fn
        self._single = (lambda sample: sample) if collate_fn is None else collate_fn

    def __iter__(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            for i in self.sampler or ():
                yield self._single(self.dataset[i])
            return
        cut = _cutter(self.dataset) if self.collate_fn is default_collate else None
        for indices in self.batch_sampler:
            if cut is not None:
                yield cut(indices)
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])

    def __len__(self) -> int:
        counted: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(counted)


def _cutter(dataset: Any) -> Callable[[list[int]], list[Tensor]] | None:
    """indices -> batch, at once, if the samples come from a TensorDataset; else None."""
    chain = []
    while type(dataset) is Subset:
        chain.append(np.asarray(dataset.indices, np.intp))
        dataset = dataset.dataset
    # A subclass with a __getitem__ of its own may change its samples: ask it for each.
    if not isinstance(dataset, TensorDataset) \
            or type(dataset).__getitem__ is not TensorDataset.__getitem__:
        return None

    def cut(indices: list[int]) -> list[Tensor]:
        at = np.asarray(indices, np.intp)
        try:
            for inner in chain:
                at = inner[at]
            return dataset.batch(at)
        except IndexError as error:
            raise IndexError(f"DataLoader: the sampler gave an index that the data set does not "
                             f"have: {error}") from None
    return cut


def default_collate(batch: list) -> Any:
    """One batch of many samples, with a new first dimension.

    Tensors and arrays are stacked; numbers become a Tensor (floats of the default dtype, where
    torch has float64); dicts, tuples and lists are gone through; strings stay a list. Tuples become
    lists, as in torch.

    Raises: ValueError if shapes or lengths differ; TypeError for anything else.
    """
    if not batch:
        raise ValueError("default_collate: got no samples")
    first = batch[0]
    if isinstance(first, Tensor):
        _check_equal([x.shape for x in batch])
        return stack(batch)
    if isinstance(first, ndarray):
        _check_equal([x.shape for x in batch])
        return wrap(to_array(np.stack(batch)))         # in this machine's byte order
    if isinstance(first, (bool, np.bool_, int, np.integer, np.floating)):
        if isinstance(first, int) and any(isinstance(x, float) for x in batch):
            return wrap(np.asarray(batch, settings.default_dtype))
        return wrap(to_array(np.asarray(
            batch, settings.default_dtype if type(first) is float else None)))
    if isinstance(first, float):
        return wrap(np.asarray(batch, settings.default_dtype))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([x[key] for x in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        _check_equal([(len(x),) for x in batch])
        parts = [default_collate(list(part)) for part in zip(*batch)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError("default_collate: cannot make a batch of " + got(
        first, "; samples must hold tensors, arrays, numbers, dicts, tuples or lists; or pass "
        "collate_fn="))


def _check_equal(shapes: list[tuple[int, ...]]) -> None:
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(f"default_collate: sample {i} of the batch has shape {shape}, sample "
                             f"0 has {shapes[0]}; pad them to one shape, or pass collate_fn=")
