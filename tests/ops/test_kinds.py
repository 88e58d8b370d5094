"""What families of operations share, tried on each member: reductions and movements."""
import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.autograd.op import OPS, op
from minigrad.ops.dims import chosen_dims, many_dims, new_dim, one_dim
from minigrad.ops.kinds import accumulated
from op_testing import draw, mapped

# Every op of (input, dim, keepdim) that names a reader of its dim.
REDUCTIONS = [e for e in OPS.values() if getattr(e, "dims", {}).keys() == {"dim"}
              and "keepdim" in e.parameters]
SEVERAL = [e for e in REDUCTIONS if e.dims["dim"] is not one_dim]
ONE = [e for e in REDUCTIONS if e.dims["dim"] is one_dim]
# Every op that keeps the numbers as they are. (max_dim has indices, too; a cast is to be another.)
MOVEMENTS = [e for e in OPS.values() if getattr(e, "moves", False) and e.promote is False
             and e.linked and e.name not in ("cast_float", "max_dim", "min_dim")]
name = lambda e: e.name


def test_there_are_some():
    assert {e.name for e in SEVERAL} >= {"sum", "mean", "var", "std", "amax", "amin", "any", "all"}
    assert {e.name for e in ONE} >= {"prod", "argmax", "argmin", "max_dim", "min_dim"}
    assert {e.name for e in MOVEMENTS} >= {"reshape", "getitem", "gather", "tril", "split", "clone"}


def first(y):
    return np.asarray(y[0] if isinstance(y, (tuple, list)) else y)


@pytest.mark.parametrize("e", REDUCTIONS, ids=name)
def test_dims_count_from_either_end_and_are_called_axis_too(e):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    for d in range(3):
        want = first(e.public(x, d, keepdim=True))
        assert want.shape == tuple(1 if i == d else n for i, n in enumerate(x.shape))
        for y in (e.public(x, d - 3, keepdim=True), e.public(x, np.int64(d), keepdim=True),
                  e.public(x, axis=d, keepdims=True), e.public(Tensor(x), dim=d, keepdim=True)):
            np.testing.assert_array_equal(first(y), want)
        np.testing.assert_array_equal(first(e.public(x, d)), want.squeeze(d))
    with pytest.raises(TypeError, match="two names of one option"):
        e.public(x, dim=0, axis=1)
    for wrong, error, message in ((3, ValueError, "dim=3 does not exist: the tensor has 3"),
                                  (-4, ValueError, "must be from -3 to 2"),
                                  ("a", TypeError, "dim must be an integer, got 'a'")):
        with pytest.raises(error, match=message):
            e.public(x, wrong)


@pytest.mark.parametrize("e", SEVERAL, ids=name)
def test_several_dims_none_and_no_dim(e):
    x = np.random.default_rng(1).standard_normal((2, 3, 4)) > 0
    x = x if e.name in ("any", "all") else x + np.random.default_rng(2).random((2, 3, 4))
    both = first(e.public(x, (0, -1), keepdim=True))
    np.testing.assert_array_equal(first(e.public(x, [2, 0], keepdim=True)), both)
    assert both.shape == (1, 3, 1)
    every = first(e.public(x))
    np.testing.assert_array_equal(first(e.public(x, None)), every)
    np.testing.assert_allclose(first(e.public(x, (0, 1, 2))), every, rtol=1e-12)
    if e.dims["dim"] is chosen_dims:               # no dimension: each element for itself
        np.testing.assert_array_equal(first(e.public(x, ())), x)
    else:                                          # all of them, as in torch
        np.testing.assert_array_equal(first(e.public(x, ())), every)
    with pytest.raises(ValueError, match=r"dim=\(0, -3\) names a dimension twice"):
        e.public(x, (0, -3))


@pytest.mark.parametrize("e", [e for e in REDUCTIONS if e.door is not None
                               and e.name not in ("var", "std")], ids=name)
def test_what_chooses_refuses_to_choose_from_nothing(e):
    message = rf"^{e.name}: a tensor of shape \(0, 3\) has no elements along dim \(0,\) to choose"
    with pytest.raises(ValueError, match=message):
        e.public(np.zeros((0, 3)), 0)
    assert first(e.public(np.zeros((0, 3)), 1)).shape == (0,)


@pytest.mark.parametrize("given, dtype, converted, result", [
    ("float32", None, "float32", "float32"), ("bool", None, "int64", "int64"),
    ("uint8", None, "int64", "int64"), ("int32", np.float16, "float32", "float16"),
    ("float64", "float32", "float32", "float32"), ("float64", np.int32, "int32", "int32")])
def test_dtype_of_what_is_accumulated(given, dtype, converted, result):
    """In float16 nothing is added up; integers are converted on the way."""
    seen = []

    def reduce(x, dim, dtype=None):
        seen.append(np.dtype(dtype) if dtype is not None else x.dtype)
        return np.add.reduce(x, axis=dim, dtype=dtype)
    y = accumulated("f", reduce, np.ones((2, 3), given), dtype, 0)
    assert seen == [np.dtype(converted)] and y.dtype == result and y.tolist() == [2, 2, 2]
    with pytest.raises(TypeError, match="^f: want a dtype"):
        accumulated("f", reduce, np.ones(2), "nonsense", 0)


def test_to_float16_nothing_overflows_or_stalls_on_the_way():
    assert mg.full((5000,), 100.0).mean(dtype="float16").item() == 100
    y = mg.full((4000,), 1.0)
    assert y.cumsum(0, dtype="float16")[-1].item() == 4000         # added in it: 2048 for ever
    assert mg.tensor([1e4, 1e4, 1e-4, 1e-4]).prod(dtype="float16").item() == 1


@pytest.mark.parametrize("e", MOVEMENTS, ids=name)
@pytest.mark.parametrize("dtype", ["float16", "float64", "int16", "bool"])
def test_movements_keep_any_dtype(e, dtype):
    def convert(x):
        return (4 * x).astype(dtype) if x.dtype.kind == "f" else x
    for args, options in draw(e):
        args = [np.dtype(dtype).type(a).item() if isinstance(a, float) else a for a in args]
        y = e.public(*mapped(args, convert), **options)
        assert all(p.dtype == dtype for p in (y if isinstance(y, tuple) else [y]))


def test_readers_of_dims():
    assert (one_dim("f", -1, 3), one_dim("f", -1, 0), new_dim("f", -1, 3)) == (2, 0, 3)
    assert many_dims("f", (), 2) is None and chosen_dims("f", (), 2) == ()
    assert many_dims("f", -1, 0) == () and chosen_dims("f", [1, 0], 2) == (1, 0)
    with pytest.raises(ValueError, match="^f: d=2 does not exist"):
        one_dim("f", 2, 2, "d")


@pytest.mark.parametrize("hint, dims", [("Tensor", {"dims": one_dim}),
                                        ("Tensor | float", {"dim": one_dim}),
                                        ("list[Tensor]", {"dim": one_dim})])
def test_an_op_that_reads_dims_of_what_has_none_is_refused(hint, dims):
    def f(input, dim):
        return input
    f.__annotations__ = {"input": hint, "return": "Tensor"}
    before = dict(OPS)
    try:
        with pytest.raises(TypeError, match="op f: dims is for options that name dimensions"):
            op(samples=None, dims=dims)(f)
    finally:
        OPS.clear()
        OPS.update(before)
