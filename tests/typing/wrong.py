"""Mistakes that mypy and pyright must find: each line that ends in `# wrong`, and no other.

It is checked by tests/test_typing.py and never run.
"""
import minigrad as mg
import minigrad.nn as nn
import minigrad.nn.functional as F
import minigrad.optim as optim
from minigrad import Tensor

x = mg.randn(3, 3)
x.reshape("a")                                     # wrong
x.sum(dim="a")                                     # wrong
x.sum(axis="a")                                    # wrong
x.sum(keepdim="yes")                               # wrong
x.topk()                                           # wrong
x.squeeze(1.5)                                     # wrong
x.rellu()                                          # wrong
x + "a"                                            # wrong
x.matmul("a")                                      # wrong
x.max(1).value                                     # wrong
(x == 1).flaot()                                   # wrong
mg.relu("x")                                       # wrong
mg.matmul(x)                                       # wrong
mg.zerros(2)                                       # wrong
mg.softmax(x, dimension=1)                         # wrong
mg.cat(x)                                          # wrong
F.cross_entropy(x, "cat")                          # wrong
F.conv3d(x, x)                                     # wrong
nn.Linear("a", 2)                                  # wrong
nn.Linear(3, 2)("a")                               # wrong
nn.Linear(3, 2)(x, x)                              # wrong
nn.Lineaar(3, 2)                                   # wrong
nn.Linear(3, 2)(x).rellu()                         # wrong
nn.Sequential(nn.Linear(3, 2))(x).rellu()          # wrong
nn.MSELoss()(x)                                    # wrong
optim.SGD([x], lr="fast")                          # wrong
optim.Adam([x])                                    # wrong


class Net(nn.Module):
    """A module as users write them."""

    def forward(self, x: Tensor) -> Tensor:
        """What it computes."""
        return x


Net()(1)                                           # wrong
Net()(x, x)                                        # wrong
