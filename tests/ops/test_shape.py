"""Shapes beyond their samples: shared memory, no dimensions, empty dimensions, words of errors."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, gradcheck, gradgradcheck
from minigrad.ops import join


def leaf(*size, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(size), requires_grad=True)


def test_rearrangements_share_memory():
    x = mg.arange(24).reshape(2, 3, 4)
    for y in (x.reshape(6, 4), x.view(-1), x.flatten(), x.unflatten(2, (2, 2)), x.transpose(0, 2),
              x.permute(2, 0, 1), x.T, x.mT, x.unsqueeze(0), x.squeeze(), x.expand(5, 2, 3, 4),
              x[:, 1:], x.narrow(1, 0, 2), x.select(0, 1), *x.split(1), *x.chunk(2, 2),
              *x.unbind(1), x.movedim(0, -1), x.contiguous(), x.detach()):
        assert np.shares_memory(x.array, y.array)
    for y in (x.clone(), x.T.contiguous(), mg.cat([x]), mg.stack([x]), x.repeat(1, 1, 1)):
        assert not np.shares_memory(x.array, y.array)
    assert x.T.contiguous().is_contiguous() and not x.T.is_contiguous()


def test_methods_take_numbers_or_a_tuple():
    x = mg.zeros(2, 3)
    for method, args in (("reshape", (3, 2)), ("view", (3, 2)), ("permute", (1, 0)),
                         ("flip", (0, 1)), ("expand", (4, 2, 3)), ("repeat", (2, 1)),
                         ("tile", (2, 1))):
        assert getattr(x, method)(*args).shape == getattr(x, method)(args).shape \
            == getattr(x, method)(list(args)).shape
    assert x.reshape(-1).shape == (6,) and mg.zeros(1).reshape(()).shape == ()


def test_zero_dimensions_survive_what_torch_allows():
    x = mg.tensor(2.0, requires_grad=True)
    for y in (x.sum(0), x.mean(-1), x.max(0).values, x.sort().values, x.cumsum(0), x.prod(0),
              x.transpose(0, -1), x.permute(()), x.T, x.flatten(), x.squeeze(0), x.amax(0),
              x.unsqueeze(0), x.norm(), x.sum(), x.expand(3), x.argsort() * 0 + x):
        g, = grad(y.sum(), x)
        assert g.shape == ()


@pytest.mark.parametrize("function, inputs", [
    (lambda x: x.split([1, 2, 2])[1], 1),           # the other parts get no gradient
    (lambda x: x.unbind(1)[2] ** 2, 1),
    (lambda x: x.chunk(2)[0] * x.chunk(2)[1][:2].sum(), 1),
    (lambda x, y: mg.stack([x, y, x], 1).prod(1), 2),
    (lambda x, y: mg.cat([x, y * x], 1)[:, 2:5], 2),
    (lambda x: x.repeat_interleave(mg.tensor([0, 2, 1, 0, 3]), 0) ** 2, 1),
    (lambda x: x.to(np.float64).T.contiguous().flip(0).roll(1, 0), 1),
])
def test_derivatives_of_combinations(function, inputs):
    xs = [leaf(5, 3, seed=i) for i in range(inputs)]
    assert gradcheck(function, xs)
    assert gradgradcheck(function, xs)


@pytest.mark.parametrize("call, error, message", [
    (lambda x: x.reshape(3, 5), ValueError,
     r"reshape: the tensor \(2, 3, 4\) has 2\*3\*4 = 24 elements, the shape \(3, 5\) wants "
     r"3\*5 = 15; with 3 rows it fits \(3, -1\), that is \(3, 8\)"),
    (lambda x: x.reshape(-1, 5), ValueError,
     r"24 elements, not divisible by 5 for the -1"),
    (lambda x: x.reshape(-1, -1), ValueError, r"2 sizes of -1, only one can be inferred"),
    (lambda x: x.reshape(-2, 12), ValueError, r"sizes must be -1 or more, got \(-2, 12\)"),
    (lambda x: x[:0].reshape(-1, 0), ValueError, r"cannot be inferred beside a size of 0"),
    (lambda x: x.reshape(2.0), TypeError, r"reshape: want a shape, a tuple of integers, got 2.0"),
    (lambda x: x.flatten(2, 1), ValueError, r"start_dim=2 comes after end_dim=1"),
    (lambda x: x.flatten(3), ValueError, r"start_dim=3 does not exist: .* 3 dimensions.*-3 to 2"),
    (lambda x: x.unflatten(2, (3, 2)), ValueError, r"size 4, the sizes \(3, 2\) make 3\*2 = 6"),
    (lambda x: x.unflatten(2, (3, -1)), ValueError, r"size 4, the sizes \(3, -1\) make 3"),
    (lambda x: x.squeeze(3), ValueError, r"squeeze: dim=3 does not exist"),
    (lambda x: x.unsqueeze(5), ValueError, r"unsqueeze: dim=5 does not exist"),
    (lambda x: x.unsqueeze(0.5), TypeError, r"dim must be an integer, got 0.5"),
    (lambda x: x.transpose(0, 3), ValueError, r"transpose: dim1=3 does not exist"),
    (lambda x: x.permute(0, 1), ValueError, r"needs each of its 3 dimensions once, got \(0, 1\)"),
    (lambda x: x.permute(0, 1, 1), ValueError, r"each of its 3 dimensions once"),
    (lambda x: x.movedim((0, 1), 0), ValueError, r"equally many dimensions"),
    (lambda x: x.t(), ValueError, r"at most 2 dimensions.*x.mT"),
    (lambda x: x[0, 0].mT, ValueError, r"mT: want 2 dimensions or more"),
    (lambda x: x.expand(2, 5, 4), ValueError,
     r"dimension 1 of the tensor \(2, 3, 4\) has size 3, it "
                                              r"cannot become 5 of \(2, 5, 4\): only a size of 1"),
    (lambda x: x.expand(3, 4), ValueError,
     r"only 2: it can add dimensions in front, not remove any"),
    (lambda x: x.expand(-1, 2, 3, 4), ValueError,
     r"-1 in \(-1, 2, 3, 4\) stands for a dimension that"),
    (lambda x: mg.cat([]), ValueError, r"cat: want at least one tensor"),
    (lambda x: mg.cat([x, x[:, :2]]), ValueError,
     r"cat: tensor 1 has shape \(2, 2, 4\), an earlier one \(2, 3, 4\); .*dimensions but dim 0"),
    (lambda x: mg.cat([x.sum(), x.sum()]), ValueError, r"no dimensions; use stack"),
    (lambda x: mg.cat(x), TypeError, r"list or tuple of Tensors, got one Tensor"),
    (lambda x: mg.stack([x, x[:1]]), ValueError,
     r"stack: tensor 1 has shape \(1, 3, 4\), tensor 0 \(2, 3, 4\).*use cat"),
    (lambda x: x.split([1, 2]), ValueError, r"has size 2, the sections 1\+2 = 3 do not add up"),
    (lambda x: x.split(0), ValueError, r"size of a part must be positive, got 0"),
    (lambda x: x.chunk(0), ValueError, r"number of chunks must be positive"),
    (lambda x: x.sum().unbind(), ValueError, r"without dimensions cannot be taken apart"),
    (lambda x: x.narrow(1, 2, 2), ValueError, r"has size 3, it does not hold 2 entries from 2 on"),
    (lambda x: x.repeat(2), ValueError, r"needs 3 counts of 0 or more, got \(2,\)"),
    (lambda x: x.repeat_interleave(mg.tensor([1, 2]), 1), ValueError, r"has size 3, want as many"),
    (lambda x: x.roll((1, 2), 0), ValueError, r"equally many"),
    (lambda x: x.flip(0, 0), ValueError, r"names a dimension twice"),
    (lambda x: join.pad(x, (1, 2, 3)), ValueError, r"pad: want \(left, right\).*at most 3 pairs"),
    (lambda x: join.pad(x, (4, 0), "reflect"), ValueError,
     r"mode 'reflect' can add 0 to 3 elements to dimension 2 of size 4, got \(4, 0\)"),
    (lambda x: join.pad(x, (5, 0), "circular"), ValueError, r"0 to 4 elements"),
    (lambda x: join.pad(x, (1, 1), "mirror"), ValueError, r"mode must be .* got 'mirror'"),
    (lambda x: join.pad(x, (1, 1), "reflect", 1.0), ValueError, r"value=1.0 has no meaning"),
    (lambda x: join.pad(x, (-3, -2)), ValueError,
     r"dimension 2 has size 4.*cuts more than there is"),
    (lambda x: x.sum().tril(), ValueError, r"tril: want a matrix"),
    (lambda x: x.to("complex64"), TypeError, r"real numbers or bool, got complex64"),
    (lambda x: x.to("nonsense"), TypeError, r"want a dtype such as 'float32'"),
    (lambda x: x.to("cuda"), ValueError, r"CPU only"),
    (lambda x: join.meshgrid(x), ValueError, r"meshgrid: want vectors"),
])
def test_errors_of_shapes(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.zeros(2, 3, 4))


def test_activations_of_bytes_are_floats():
    x = Tensor(np.array([0, 1], np.uint8))
    np.testing.assert_allclose(mg.sigmoid(x).numpy(), [0.5, 0.7310586], rtol=1e-6)


@pytest.mark.parametrize("call", [
    lambda x: x.masked_fill([True, False, True], 0.0), lambda x: x.index_select(0, [0]),
    lambda x: mg.topk([1.0, 2.0], 1), lambda x: mg.cat(None), lambda x: mg.stack(3),
    lambda x: x.type_as([1.0])])
def test_lists_and_nothing_where_tensors_are_wanted(call):
    with pytest.raises(TypeError, match="must be a (list or tuple of )?Tensor"):
        call(mg.zeros(3))


def test_without_dimensions_there_is_nothing_to_roll_along_or_to_unflatten():
    x = mg.tensor(3.0)
    with pytest.raises(ValueError, match="roll: a tensor without dimensions"):
        mg.roll(x, 5, 0)
    with pytest.raises(ValueError, match="unflatten: a tensor without dimensions"):
        x.unflatten(0, (1, 1))
    assert mg.roll(x, 5).item() == 3.0


def test_what_is_empty_is_cut_and_unfolded_as_in_torch():
    assert [c.shape for c in mg.zeros(0, 3).chunk(2)] == [(0, 3), (0, 3)]
    assert mg.zeros(0, 0).diagonal(1).shape == (0,)
    assert mg.zeros(2, 0, 0).diagonal(0, 1, 2).shape == (2, 0)
    assert mg.bmm(mg.ones(2, 1, 32768), mg.ones(2, 32768, 0)).shape == (2, 1, 0)
    with pytest.raises(ValueError, match="unflatten: the -1 in .0, -1. cannot be inferred"):
        mg.zeros(0).unflatten(0, (0, -1))
