"""A layer or a loss that gets its input where it is made is refused with the call to write."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

LAYERS = [c for c in vars(nn).values() if isinstance(c, type) and issubclass(c, nn.Module)
          and c not in (nn.Module, nn.Identity)
          and c.__module__ != nn.Sequential.__module__]          # what is called with modules


@pytest.mark.parametrize("cls", LAYERS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("count", [1, 2])
def test_a_tensor_given_to_a_layers_constructor_is_refused_with_the_call(cls, count):
    x = mg.ones(2, 3)
    if count == 1 and cls.__name__ in ("CrossEntropyLoss", "NLLLoss", "BCELoss",
                                       "BCEWithLogitsLoss"):
        cls(x)                                     # it may be the weight
        return
    with pytest.raises(TypeError, match=f"nn.{cls.__name__}\\(.*\\)\\((x|input, target)\\)") as e:
        cls(*[x] * count)
    name = str(e.value).partition("nn.functional.")[2].partition("(")[0]
    assert hasattr(nn.functional, name) or cls.__name__ in (
        "RNN", "RNNCell", "Flatten", "Unflatten")


def test_what_is_advised_runs():
    x = mg.ones(2, 3)
    with pytest.raises(TypeError, match=r"nn.Softmax\(dim=1\)\(x\); or use nn.functional.softmax"):
        nn.Softmax(x)
    assert nn.Softmax(dim=1)(x).shape == (2, 3)
    with pytest.raises(TypeError, match="not|wanted"):
        nn.MSELoss(x, target=x)


def test_modules_of_the_user_take_tensors():
    class Scale(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.by = nn.Parameter(by)

        def forward(self, x):
            return x * self.by

    class Plain(nn.Module):
        def forward(self, x):
            return x

    assert Scale(mg.ones(3))(mg.ones(3)).shape == (3,)
    assert nn.ELU(mg.tensor(1.0))(mg.ones(3)).shape == (3,)      # one number is an option
    with pytest.raises(TypeError, match=r"Plain\(\)\(x\)"):
        Plain(mg.ones(3))


def test_help_shows_the_signature_of_layers():
    import inspect
    assert str(inspect.signature(nn.Tanh)) == "()"
    assert list(inspect.signature(nn.ReLU).parameters) == ["inplace"]


def test_an_array_in_the_place_of_a_layers_options_is_refused_as_a_tensor_is():
    with pytest.raises(TypeError, match=r"got an array of shape \(3,\)\. ReLU is a layer, .*"
                                        r"nn\.ReLU\(\)\(x\)"):
        nn.ReLU(np.ones(3))
    with pytest.raises(TypeError, match=r"got arrays of shape \(3,\) and \(3,\)\. MSELoss is"):
        nn.MSELoss(np.ones(3), mg.ones(3))
    assert nn.Linear(np.int64(2), 3).in_features == 2
    nn.MaxPool2d(np.array([2, 2]))                     # sizes are sizes
