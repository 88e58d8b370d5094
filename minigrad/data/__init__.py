"""Data sets, and the DataLoader that goes through them in batches: torch.utils.data's names."""
from .dataloader import DataLoader as DataLoader
from .dataloader import default_collate as default_collate
from .dataset import ConcatDataset as ConcatDataset
from .dataset import Dataset as Dataset
from .dataset import random_split as random_split
from .dataset import Subset as Subset
from .dataset import TensorDataset as TensorDataset
from .fashion_mnist import FashionMNIST as FashionMNIST
from .fashion_mnist import load_fashion_mnist as load_fashion_mnist
from .sampler import BatchSampler as BatchSampler
from .sampler import RandomSampler as RandomSampler
from .sampler import Sampler as Sampler
from .sampler import SequentialSampler as SequentialSampler
from .sampler import SubsetRandomSampler as SubsetRandomSampler
