"""Data sets, and the DataLoader that goes through them in batches: torch.utils.data's names."""
from importlib import import_module
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

__all__ = [
    "BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "FashionMNIST", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset",
    "default_collate", "load_fashion_mnist", "random_split",
]


def __getattr__(name: str) -> Any:
    # Imported when asked for: what unpacks, checks and stores files takes 10 ms to import.
    if name not in ("FashionMNIST", "load_fashion_mnist", "fashion_mnist"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(".fashion_mnist", __name__)
    return module if name == "fashion_mnist" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
