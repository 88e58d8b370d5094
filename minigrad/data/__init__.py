"""Data sets, and the DataLoader that goes through them in batches: torch.utils.data's names."""
from typing import TYPE_CHECKING, Any

from .dataloader import DataLoader as DataLoader
from .dataloader import default_collate as default_collate
from .dataset import ConcatDataset as ConcatDataset
from .dataset import Dataset as Dataset
from .dataset import random_split as random_split
from .dataset import Subset as Subset
from .dataset import TensorDataset as TensorDataset
from .sampler import BatchSampler as BatchSampler
from .sampler import RandomSampler as RandomSampler
from .sampler import Sampler as Sampler
from .sampler import SequentialSampler as SequentialSampler
from .sampler import SubsetRandomSampler as SubsetRandomSampler

if TYPE_CHECKING:
    from .fashion_mnist import FashionMNIST as FashionMNIST
    from .fashion_mnist import load_fashion_mnist as load_fashion_mnist

# Imported when they are asked for: what unpacks, checks and stores files takes 10 ms to import.
_FILES = ("FashionMNIST", "load_fashion_mnist")


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import fashion_mnist
    return getattr(fashion_mnist, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILES})
