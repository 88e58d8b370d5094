"""Shapes, reductions and in-place methods beyond their samples: memory, ties, zeros, words of
errors."""
import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, grad, gradcheck, gradgradcheck, no_grad
from minigrad.ops import elementwise, join, vector_norm
from minigrad.ops.inplace import InPlaceMethods
from minigrad.ops.samples import Draw


def leaf(*size, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(size), requires_grad=True)


# --- shapes --------------------------------------------------------------------------------------

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


def test_an_empty_vector_joins_anything():
    start, x = mg.zeros(0, requires_grad=True), leaf(2, 3)
    y = mg.cat([start, x, x])
    assert y.shape == (4, 3)
    gs, gx = grad(y.sum(), [start, x])
    assert gs.shape == (0,)
    np.testing.assert_array_equal(gx.array, np.full((2, 3), 2.0))


def test_pad_constant_negative_and_torch_order():
    x = leaf(1, 2, 3)
    y = join.pad(x, (1, -1, 0, 2), value=7.0)
    want = np.pad(x.array, ((0, 0), (0, 2), (1, 0)), constant_values=7.0)[..., :-1]
    np.testing.assert_array_equal(y.array, want)
    assert gradcheck(lambda x: join.pad(x, (1, -1, 0, 2)), [x])


def test_conversions():
    x = mg.tensor([1.7, -1.7], requires_grad=True)
    assert x.to("float32") is x and x.float() is x and x.to("cpu") is x
    y = x.double()
    assert y.dtype == np.float64 and y.requires_grad
    g, = grad((y * 3).sum(), x)
    assert g.dtype == np.float32
    for z, dtype, values in ((x.long(), "int64", [1, -1]), (x.int(), "int32", [1, -1]),
                             (x.bool(), "bool", [True, True])):
        assert z.dtype == dtype and not z.requires_grad
        np.testing.assert_array_equal(z.array, values)
    assert x.to(y).dtype == np.float64 and x.type_as(y).dtype == np.float64
    assert x.half().dtype == np.float16
    assert x.to(device="cpu", dtype="float64").dtype == np.float64
    assert x.to("float32", copy=True) is not x


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


# --- reductions ----------------------------------------------------------------------------------

def test_dtypes_of_sums():
    assert mg.ones(3, dtype="uint8").sum().dtype == np.int64
    assert (mg.ones(3) > 0).sum().dtype == np.int64
    assert mg.ones(3, dtype="float16").sum().dtype == np.float16
    x = mg.ones(3, requires_grad=True)
    y = x.sum(dtype="float64")
    assert y.dtype == np.float64
    assert grad(y, x)[0].dtype == np.float32
    assert mg.arange(3).mean(dtype="float32").item() == 1.0
    assert mg.arange(4).sum(dim=()).shape == ()


def test_ties_share_the_gradient_of_all_and_the_first_gets_that_of_a_dimension():
    x = Tensor([[1.0, 3.0, 3.0], [3.0, 0.0, 2.0]], requires_grad=True)
    for f in (lambda x: x.max(), lambda x: x.amax(), lambda x: -(-x).min(), lambda x: -(-x).amin()):
        np.testing.assert_allclose(grad(f(x), x)[0].array, [[0, 1 / 3, 1 / 3], [1 / 3, 0, 0]])
    np.testing.assert_allclose(grad(x.amax(1).sum(), x)[0].array, [[0, 0.5, 0.5], [1, 0, 0]])
    values, indices = x.max(1)
    np.testing.assert_array_equal(indices.array, [1, 0])
    np.testing.assert_array_equal(grad(values.sum(), x)[0].array, [[0, 1, 0], [1, 0, 0]])
    best = x.max(dim=1, keepdim=True)
    assert best.values.shape == best.indices.shape == (2, 1)
    np.testing.assert_array_equal(x.max(mg.tensor(2.5)).array, np.maximum(x.array, 2.5))


def test_not_a_number_is_the_extreme_and_gets_its_gradient():
    x = Tensor([1.0, math.nan, 2.0], requires_grad=True)
    y = x.max()
    assert math.isnan(y.item())
    np.testing.assert_array_equal(grad(y, x)[0].array, [0, 1, 0])
    assert x.argmax().item() == 1


@pytest.mark.parametrize("zeros", [[], [1], [1, 3]])
def test_prod_has_the_right_derivatives_at_zeros(zeros):
    x = leaf(5)
    x.array[zeros] = 0.0
    assert gradcheck(lambda x: x.prod(), [x])
    assert gradgradcheck(lambda x: x.prod(), [x])
    assert gradgradcheck(lambda x: grad(x.prod(), x, create_graph=True)[0], [x])    # the third


@pytest.mark.parametrize("f", [lambda x: x.norm(), lambda x: x.norm(3),
                               lambda x: x.norm(1, 0).sum(), lambda x: x.std(),
                               lambda x: x.std(0).sum()])
def test_gradients_are_zero_where_norm_or_deviation_is(f):
    x = mg.zeros(3, 2, requires_grad=True)
    np.testing.assert_array_equal(grad(f(x), x)[0].array, np.zeros((3, 2)))


def test_var_takes_all_its_spellings():
    x = leaf(3, 4)
    for y, ddof, axis in ((x.var(), 1, None), (x.var(0), 1, 0), (x.var(False), 0, None),
                          (x.var(1, False), 0, 1), (x.var(unbiased=False), 0, None),
                          (x.var(1, correction=2), 2, 1), (x.var(dim=(0, 1)), 1, None)):
        np.testing.assert_allclose(y.array, x.array.var(axis, ddof=ddof))


def test_a_long_float32_mean_is_exact_enough():
    x = mg.full((1_000_000,), 0.1)
    assert abs(x.mean().item() - 0.1) < 1e-7


@pytest.mark.parametrize("call, error, message", [
    (lambda x: x.sum(3), ValueError,
     r"sum: dim=3 does not exist: the tensor has 3 dimensions, so dim "
                                     r"must be from -3 to 2"),
    (lambda x: x.sum((0, -3)), ValueError, r"dim=\(0, -3\) names a dimension twice"),
    (lambda x: x.sum("a"), TypeError, r"sum: dim must be an integer, got 'a'"),
    (lambda x: x.long().mean(), TypeError,
     r"mean: want a floating tensor, got int64.*x.float\(\).mean"),
    (lambda x: x.long().var(), TypeError, r"var: want a floating tensor"),
    (lambda x: x[:1].var(0), ValueError,
     r"var: 1 elements less correction 1 leave 0 degrees of freedom.*correction=0"),
    (lambda x: x[:0].max(), ValueError, r"amax: a tensor of shape \(0, 3, 4\) has no elements"),
    (lambda x: x[:0].argmax(0), ValueError, r"argmax: .* no elements along dim \(0,\)"),
    (lambda x: x.max((0, 1)), ValueError, r"max: want one dim, got \(0, 1\).*use amax"),
    (lambda x: x.min(keepdim=True), ValueError, r"min: keepdim=True needs a dim.*amin"),
    (lambda x: x.norm(-1), ValueError, r"norm: p must be .* got -1"),
    (lambda x: x.norm("nuc"), ValueError, r"got 'nuc'"),
    (lambda x: x.long().norm(), TypeError, r"norm: want a floating input, got int64"),
    (lambda x: vector_norm.vector_norm(x, math.inf), ValueError, r"0 < ord < inf.*use norm"),
    (lambda x: x.cumsum(4), ValueError, r"cumsum: dim=4 does not exist"),
    (lambda x: x.prod(4), ValueError, r"prod: dim=4 does not exist"),
])
def test_errors_of_reductions(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.zeros(2, 3, 4))


# --- in place ------------------------------------------------------------------------------------

def test_in_place_without_gradient_writes_into_the_memory():
    x = mg.ones(2, 3)
    memory, row = x.array, x[0]
    x += 1
    x.mul_(3).sub_(mg.tensor([0.0, 1.0, 2.0])).add_(1.0, alpha=10).clamp_(max=15.5).sqrt_()
    x[1].zero_()
    x /= 2
    assert x.array is memory
    np.testing.assert_allclose(memory, [np.sqrt([15.5, 15, 14]) / 2, [0, 0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(row.array, memory[0])
    n = mg.arange(6)
    n %= 4
    n //= 2
    n |= 4
    np.testing.assert_array_equal(n.array, [4, 4, 5, 5, 4, 4])


def test_in_place_with_gradient_takes_the_place_in_the_graph():
    def f(x, y):
        z = x * 1.0
        z += y
        z *= z
        z.exp_().add_(x, alpha=2).addcmul_(x, y, value=0.5).masked_fill_(x > 1e9, 0.0)
        z **= 2
        return z
    xs = [Tensor(0.3 * leaf(3, seed=i).array, requires_grad=True) for i in range(2)]
    assert gradcheck(f, xs)
    assert gradgradcheck(f, xs)


def test_adding_to_a_part_without_a_gradient_writes_into_memory():
    y = mg.zeros(3, 4)
    memory = y.array
    y[1] += 2.0
    assert memory.sum() == 8


def test_leaves_are_written_under_no_grad_only():
    w = mg.ones(3, requires_grad=True)
    for write in (lambda: w.zero_(), lambda: w.fill_(1.0), lambda: w.copy_(mg.zeros(3)),
                  lambda: w.add_(1), lambda: w.__imul__(2)):
        with pytest.raises(ValueError, match="leaf that requires grad"):
            write()
    with no_grad():
        w.fill_(2.0).add_(1.0)
        assert (w.array == 3).all()
        w.copy_(mg.arange(3))
        w.zero_()
    assert w.requires_grad and w.is_leaf and not w.array.any()


def test_copy_in_the_graph():
    x, y = leaf(3), mg.zeros(2, 3)
    y.copy_(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.array, np.stack([x.array] * 2), rtol=1e-6)
    y += 1.0                                        # it owns its memory, so it may be changed again
    g, = grad(y.sum(), x)
    assert g.dtype == np.float64
    np.testing.assert_array_equal(g.array, [2, 2, 2])


@pytest.mark.parametrize("call, error, message", [
    (lambda x: x.add_(mg.zeros(2, 3)), ValueError, r"result has shape \(2, 3\)"),
    (lambda x: x.long().add_(0.5), TypeError, r"result of float.* does not fit a tensor of int64"),
    (lambda x: x.fill_(mg.zeros(2)), ValueError, r"fill_: want one number.*copy_"),
    (lambda x: x.copy_(mg.zeros(2)), ValueError, r"expand: dimension 0 of the tensor \(2,\)"),
])
def test_errors_in_place(call, error, message):
    with pytest.raises(error, match=message):
        call(mg.zeros(3))


def test_every_in_place_method_is_its_function():
    names = [n for n in vars(InPlaceMethods) if n.endswith("_") and not n.startswith("_")]
    assert len(names) > 30
    for name in names:
        function = getattr(elementwise, name[:-1], None)
        if function is None:
            continue
        sample = next(iter(function.op.samples(Draw(0))))
        args = [a for a in sample if not isinstance(a, dict)]
        if not isinstance(args[0], np.ndarray):
            continue
        x = Tensor(args[0])
        want = function(x, *args[1:])
        if want.shape == x.shape and np.can_cast(want.dtype, x.dtype, "same_kind"):
            got = getattr(x, name)(*args[1:])
            assert got is x
            np.testing.assert_array_equal(x.array, want.array)


# --- digits --------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape, dim", [((100_000, 2), 0), ((2, 100_000), 1), ((40_007,), None),
                                        ((3, 20_000, 2), 1), ((300, 3, 300), (0, 2)),
                                        ((50, 60, 70), (1, 2)), ((50, 60, 70), (0, 1))])
def test_sums_in_float32_lose_no_digits(shape, dim):
    a = np.full(shape, 0.1, np.float32)
    for x in (Tensor(a), Tensor(np.asfortranarray(a))):
        for keepdim in (False, True):
            want = a.astype(np.float64)
            np.testing.assert_allclose(x.sum(dim, keepdim).numpy(),
                                       want.sum(dim, keepdims=keepdim), rtol=3e-6)
            np.testing.assert_allclose(x.mean(dim, keepdim).numpy(),
                                       want.mean(dim, keepdims=keepdim), rtol=3e-6)
        assert float(x.var(dim).max()) < 1e-9


def test_a_mean_in_float16_does_not_overflow():
    assert mg.full((5000,), 100.0, dtype="float16").mean().item() == 100.0


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


def test_allclose_and_equal_are_bools():
    x = mg.tensor([1.0, 2.0])
    assert mg.allclose(x, x + 1e-7) is True and mg.equal(x, x + 0.5) is False
    assert mg.equal(x, mg.tensor([1.0, 2.0])) and not mg.equal(x, mg.tensor([[1.0, 2.0]]))


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
