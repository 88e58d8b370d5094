"""Data sets, and the DataLoader that goes through them in batches: torch.utils.data's names."""
from typing import TYPE_CHECKING

from ..absent import shows as _shows
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
else:
    # Imported when asked for: what unpacks, checks and stores files takes 10 ms to import.
    __all__, __dir__, __getattr__ = _shows(
        __name__, late={"FashionMNIST": "fashion_mnist", "load_fashion_mnist": "fashion_mnist"})
