"""Tensors, states and layers of other libraries are named, with the conversion."""
import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
import minigrad.nn.functional as F
from minigrad.foreign import got, named


# other libraries' tensors
def foreign_tensor(library, name="Tensor", **methods):
    cls = type(name, (), {"__module__": f"{library}.deep.inside", "shape": (2, 3),
                          "__array__": lambda self, *a, **k: np.ones((2, 3)), **methods})
    return cls()


TORCH = foreign_tensor("torch")


@pytest.mark.parametrize("call", [
    lambda x: mg.relu(x), lambda x: mg.ones(2, 3) + x, lambda x: F.mse_loss(mg.ones(2, 3), x),
    lambda x: mg.cat([mg.ones(2, 3), x]), lambda x: mg.max(x), lambda x: F.dropout(x),
    lambda x: nn.Linear(3, 2)(mg.ones(2, 3)).matmul(x), lambda x: mg.from_numpy(x),
    lambda x: nn.init.zeros_(x), lambda x: nn.RNN(3, 4)(x),
    lambda x: nn.RNN(3, 4)(mg.ones(2, 3), x),
    lambda x: nn.utils.clip_grad_norm_([x], 1.0), lambda x: mg.optim.SGD([x], lr=0.1),
    lambda x: nn.utils.vector_to_parameters(x, []), lambda x: setattr(nn.Linear(3, 2), "weight", x),
    lambda x: nn.Module().register_buffer("x", x), lambda x: nn.Module().register_parameter("p", x),
    lambda x: mg.data.default_collate([x, x]), lambda x: mg.ones(2, 3)[x],
    lambda x: mg.gather(mg.ones(2, 3), 0, x), lambda x: F.one_hot(x), lambda x: nn.Sequential(x),
    lambda x: nn.ParameterList([x]), lambda x: mg.full((2,), x), lambda x: mg.optim.SGD(x, lr=0.1),
])
def test_an_error_names_the_other_library_and_the_conversion(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call(TORCH)
    assert "torch.Tensor; convert it: minigrad.from_numpy(x.detach().cpu().numpy())" \
        in str(caught.value)


def test_a_state_of_another_library_is_refused_with_its_name():
    state = {k: TORCH for k in nn.Linear(3, 2).state_dict()}
    with pytest.raises(ValueError, match=r"weight: want a Tensor or array, got torch.Tensor; conv"):
        nn.Linear(3, 2).load_state_dict(state)


@pytest.mark.parametrize("x, said", [
    (foreign_tensor("tensorflow", "EagerTensor"), "tensorflow.EagerTensor; convert it: "
     "minigrad.from_numpy(x.numpy())"),
    (foreign_tensor("jaxlib", "ArrayImpl"), "jaxlib.ArrayImpl; convert it: "
     "minigrad.from_numpy(np.asarray(x))"),
    (foreign_tensor("mygrad"), "mygrad.Tensor; convert it: minigrad.from_numpy(x.data)"),
    (foreign_tensor("pandas", "Series"), "pandas.Series; convert it: "
     "minigrad.from_numpy(x.to_numpy())"),
    (foreign_tensor("unheard_of"), "unheard_of.Tensor; convert it: "
     "minigrad.from_numpy(np.asarray(x))"),
    ("text", "str; say so"), (None, "NoneType; say so"), ([1], "list; say so"),
    (np.float32(2), "float32; say so"), (mg.ones(2), "Tensor; say so"),
])
def test_what_was_given_is_named(x, said):
    assert got(x, "; say so") == said


def test_layers_and_generators_of_another_library_are_named():
    layer = type("Linear", (), {"__module__": "torch.nn.modules.linear"})()
    assert named(layer) == "torch.Linear"
    with pytest.raises(TypeError, match="got torch.Linear"):
        nn.Sequential(layer)
    generator = type("Generator", (), {"__module__": "torch._C"})()
    with pytest.raises(TypeError, match="must be a minigrad.Generator, got torch.Generator"):
        mg.rand(2, generator=generator)
