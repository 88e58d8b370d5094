"""What type checkers must know of minigrad: mypy and pyright (strict) accept every line here.

It is checked, and run, by tests/test_typing.py. `wrong.py` is the opposite.
"""
from collections import OrderedDict
from typing import Any, assert_type

import numpy as np

import minigrad as mg
import minigrad.nn as nn
import minigrad.nn.functional as F
import minigrad.optim as optim
from minigrad import Tensor
from minigrad.data import DataLoader, TensorDataset

x = mg.randn(3, 3)
array = np.ones((3, 3), np.float32)

# Operators and comparisons.
assert_type(x, Tensor)
assert_type(x == 1, Tensor)
assert_type(x != x, Tensor)
assert_type(x < 0.5, Tensor)
assert_type(1 > x, Tensor)
assert_type(x + 1, Tensor)
assert_type(2 - x, Tensor)
assert_type(x * array, Tensor)
assert_type(x / np.float64(2), Tensor)
assert_type(x * np.float32(2), Tensor)
assert_type(2 ** x, Tensor)
assert_type(-x, Tensor)
assert_type(~(x > 0) & (x == x), Tensor)
assert_type(x @ x, Tensor)
assert_type((x == 1).float().mean(), Tensor)

# Indexing.
assert_type(x[0], Tensor)
assert_type(x[:, 1:, None], Tensor)
assert_type(x[x > 0], Tensor)
for row in x:
    assert_type(row, Tensor)
x[0] = 1.0
x[1:] = mg.zeros(2, 3)

# Methods: numbers, tuples and lists of sizes; NumPy's names for dim and keepdim.
assert_type(x.relu(), Tensor)
assert_type(x.reshape(9), Tensor)
assert_type(x.reshape(3, -1), Tensor)
assert_type(x.reshape((9, 1)), Tensor)
assert_type(x.view([9]), Tensor)
assert_type(x.permute(1, 0), Tensor)
assert_type(x.sum(), Tensor)
assert_type(x.sum(0), Tensor)
assert_type(x.sum((0, 1), keepdim=True), Tensor)
assert_type(x.mean(axis=0, keepdims=True), Tensor)
assert_type(x.std(0, correction=0), Tensor)
assert_type(x.max(), Tensor)
assert_type(x.max(1).values, Tensor)
assert_type(x.min(axis=0).indices, Tensor)
assert_type(x.sort().values, Tensor)
assert_type(x.topk(2, dim=1).indices, Tensor)
assert_type(x.argmax(1), Tensor)
assert_type(x.T, Tensor)
assert_type(x.mT, Tensor)
assert_type(x.softmax(-1), Tensor)
assert_type(x.split(1), tuple[Tensor, ...])
assert_type(x.where(x > 0, 0.0), Tensor)
assert_type(x.clamp(-1, 1), Tensor)
assert_type(x.long(), Tensor)
assert_type(x.to(np.float64), Tensor)
assert_type(x.to("float64"), Tensor)
assert_type(x.detach().clone().zero_().add_(1).mul_(2.0), Tensor)
assert_type(x.shape, tuple[int, ...])
assert_type(x.size(), tuple[int, ...])
assert_type(x.size(0), int)
assert_type(x.grad, Tensor | None)
assert_type(x.data, Tensor)
x += 1
assert_type(x, Tensor)

# Functions: a Tensor gives a Tensor, arrays give an array.
assert_type(mg.relu(x), Tensor)
assert_type(mg.matmul(x, x), Tensor)
assert_type(mg.matmul(x, array), Tensor)
assert_type(mg.matmul(array, x), Tensor)
assert_type(mg.sub(1.0, x), Tensor)
assert_type(mg.softmax(x, dim=1), Tensor)
assert_type(mg.cat([x, x], dim=1), Tensor)
assert_type(mg.stack((x, x)), Tensor)
assert_type(mg.where(x > 0, x, 0.0), Tensor)
assert_type(mg.max(x), Tensor)
assert_type(mg.max(x, 0).values, Tensor)
assert_type(mg.max(x, x), Tensor)
assert_type(mg.absolute(x), Tensor)
assert_type(mg.chunk(x, 3), tuple[Tensor, ...])
assert_type(F.one_hot(mg.tensor([0, 2])), Tensor)
arrays: np.ndarray = mg.relu(array)
arrays = mg.matmul(array, array)
arrays = x.detach().numpy()

# Tensors are made of numbers, lists and arrays.
assert_type(mg.tensor(3), Tensor)
assert_type(mg.tensor([[1, 2], [3, 4]], dtype=mg.float64), Tensor)
assert_type(mg.tensor(array, requires_grad=True), Tensor)
assert_type(Tensor([1.0, 2.0]), Tensor)
assert_type(mg.zeros((2, 3)), Tensor)
assert_type(mg.from_numpy(array), Tensor)
w = mg.ones(3, requires_grad=True)
assert_type(mg.grad((w * w).sum(), w)[0], Tensor)


# Layers have the arguments and the result of their forward, and so has a user's own module.
class Net(nn.Module):
    """A module as users write them."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, features), nn.ReLU(), nn.Linear(features, 2))
        self.scale = nn.Parameter(mg.ones(2))

    def forward(self, x: Tensor, times: int = 1) -> Tensor:
        """What it computes."""
        return self.body(x) * self.scale * times


assert_type(nn.Linear(3, 2)(x), Tensor)
assert_type(nn.Conv2d(1, 4, (3, 3), padding=1)(mg.ones(1, 1, 4, 4)), Tensor)
assert_type(nn.MaxPool2d(2)(mg.ones(1, 1, 4, 4)), Tensor)
assert_type(nn.Dropout(0.5)(x), Tensor)
assert_type(nn.Softmax(dim=1)(x), Tensor)
assert_type(nn.Identity()(x), Tensor)
states, last = nn.RNN(3, 4)(mg.ones(5, 3))
assert_type(states, Tensor)
assert_type(nn.Sequential(nn.Linear(3, 4), nn.Tanh())(x), Tensor)
assert_type(nn.Sequential(OrderedDict(first=nn.Linear(3, 4)))(x), Tensor)
net = Net(4)
assert_type(net(x), Tensor)
assert_type(net(x, times=2), Tensor)
assert_type(net.train().eval(), Net)
assert_type(net.scale * 2, Tensor)

# A training step.
labels = mg.tensor([0, 1, 1])
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2)
batch: Any
for batch in DataLoader(TensorDataset(x, labels), batch_size=2, shuffle=True):
    optimizer.zero_grad()
    loss = criterion(net(batch[0]), batch[1])
    assert_type(loss, Tensor)
    loss.backward()
    assert_type(loss.item(), Any)
    optimizer.step()
scheduler.step()
assert_type(F.cross_entropy(net(x), labels), Tensor)
assert_type(F.mse_loss(net(x), mg.zeros(3, 2), reduction="sum"), Tensor)
accuracy = (net(x).argmax(1) == labels).float().mean()
assert_type(accuracy, Tensor)
print(f"{accuracy:.1%}")
with mg.no_grad():
    for p in net.parameters():
        p -= 0.1
