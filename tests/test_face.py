"""What a Tensor is as an object: NumPy both ways, copies, protocols, repr, what it refuses."""
import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad
from minigrad.ops.elementwise import add, exp


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def test_refusals():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\).*loss.mean"):
        (x * 1.0).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), the tensor \(2,\)"):
        (x * 1.0).backward(np.ones(3))
    with pytest.raises(ValueError, match="nothing to differentiate"):
        Tensor([1.0]).backward()
    with pytest.raises(TypeError, match="only floating tensors have gradients.*int64"):
        Tensor([1, 2], requires_grad=True)
    with pytest.raises(ValueError, match=r"detach\(\)"):
        (x * 1.0).requires_grad = False
    with pytest.raises(ValueError, match=r"x.detach\(\).numpy\(\)"):
        x.numpy()
    with pytest.raises(ValueError, match=r"one element, this one has shape \(2,\)"):
        x.item()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(TypeError, match="'other' must be a Tensor.*got list.*minigrad.tensor"):
        add(x, [1.0])
    with pytest.raises(TypeError, match="got str"):
        x * "a"
    with pytest.raises(ValueError, match=r"mul: input \(2,\) and other \(3,\) do not broadcast"):
        x * np.ones(3)
    with pytest.raises(ValueError, match="different lengths"):
        Tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError, match="want numbers"):
        Tensor("abc")
    with pytest.raises(ValueError, match="input 0 does not require grad"):
        grad(x * 1.0, Tensor([1.0]))


def test_numpy_works_both_ways():
    x = leaf(1.0, 2.0)
    assert isinstance(np.array([1.0, 2.0]) * x, Tensor)
    assert np.exp(x).requires_grad
    assert isinstance(2.0 - x, Tensor) and isinstance(np.float64(2.0) * x, Tensor)
    assert np.asarray(x.detach()).tolist() == [1.0, 2.0]
    assert np.asarray(Tensor([1.0]), dtype=np.float64).dtype == np.float64


def test_dtypes_follow_torch():
    f = Tensor([1.0, 2.0])
    n = Tensor([1, 2])
    assert f.dtype == np.float32 and n.dtype == np.int64
    assert (f * 2.5).dtype == (f * n).dtype == (n * 2.5).dtype == (n / n).dtype == np.float32
    assert (f * np.float64(2.5)).dtype == np.float32
    assert (f * Tensor(np.ones(2))).dtype == np.float64
    assert (n * 2).dtype == np.int64 and exp(n).dtype == np.float32
    assert Tensor(np.ones(2)).dtype == np.float64


def test_data_and_detach_share_memory():
    x = leaf(1.0, 2.0)
    x.data[0] = 5.0
    x.detach()[1] = 6.0
    assert x.tolist() == [5.0, 6.0] and not x.data.requires_grad
    x.data = np.array([1.0, 2.0, 3.0])
    (x * x).backward(np.ones(3))
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_copies():
    x = leaf(1.0, 2.0)
    x.grad = Tensor([0.5, 0.5])
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y is not x and y.tolist() == [1.0, 2.0] and y.requires_grad
        y.data[0] = 9.0
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="only leaves"):
        copy.deepcopy(x * 1.0)
    with pytest.raises(ValueError, match="history"):
        pickle.dumps(x * 1.0)


def test_protocols():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert float(Tensor(2.5)) == 2.5 and int(Tensor(2)) == 2 and [5, 6, 7][Tensor(1)] == 6
    assert f"{Tensor(0.12345):.3f}" == "0.123"
    assert x.size() == (2, 2) and x.size(1) == 2 and x.dim() == 2 and x.numel() == 4
    assert len({x, x}) == 1
    with pytest.raises(TypeError, match="0-dimensional"):
        len(Tensor(1.0))


def test_repr():
    assert repr(Tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(leaf(1.0)) == "tensor([1.], dtype=float64, requires_grad=True)"
    assert "grad_fn=<mul>" in repr(leaf(1.0) * 2.0)


def test_bytes_are_computed_in_the_default_dtype():
    for x in (mg.tensor([1, 2, 20], dtype=mg.uint8), mg.tensor([True, True])):
        for function in (mg.sqrt, mg.log1p, mg.exp, mg.rsqrt, mg.sin):
            y = function(x)
            assert y.dtype == np.float32
            assert y.tolist() == function(x.float()).tolist()


def test_a_number_outside_an_integer_dtype_is_refused():
    with pytest.raises(ValueError, match="sub: .*300.*x.long()"):
        mg.ones(2, dtype=mg.uint8) - 300


def test_arrays_that_are_no_numbers_are_refused_by_name():
    with pytest.raises(TypeError, match="^add: "):
        mg.ones(2) + np.array(["a", "b"])


def test_bitwise_operators_say_what_does_not_broadcast():
    with pytest.raises(ValueError, match="bitwise_and: .*dimension -1 is 3 against 4"):
        mg.ones(2, 3, dtype=mg.bool) & mg.ones(4, dtype=mg.bool)


def test_what_is_no_number_is_not_equal():
    x = leaf(1.0)
    assert (x == None) is False and (x != "a") is True           # noqa: E711
    assert x not in [None, "a"] and (x == 1.0).tolist() == [True]


def test_sizes_instead_of_data():
    with pytest.raises(TypeError, match=r"Tensor: want data, got sizes.*empty\(2, 3\)"):
        Tensor(2, 3)


def test_flatten_of_one_dimension_is_the_tensor_itself():
    x = leaf(1.0, 2.0)
    assert x.flatten() is x and x.reshape(1, 2).flatten(1).shape == (1, 2)
    assert Tensor(3.0).flatten().shape == (1,)
    with pytest.raises(TypeError, match="flatten: argument 'input' must be a Tensor"):
        mg.flatten([1.0])
