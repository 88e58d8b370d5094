"""Which dtype comes out of several, and which numbers an integer dtype takes.

Driven by the table of operations and by torch's own table (vectors/dtype_table.py).
"""
import json
import operator
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.autograd.op import OPS, Op
from minigrad.promotion import DTYPES, promote_types

VECTORS = Path(__file__).resolve().parent / "vectors"
sys.path.insert(0, str(VECTORS))

import dtype_table  # noqa: E402

TABLE = json.loads((VECTORS / "dtype_table.json").read_text())
HALF = np.float16


# What torch refuses and minigrad computes, in the dtype that the other functions have.
MORE = {
    "sub": "booleans beside other numbers",
    "maximum": "numbers", "minimum": "numbers", "atan2": "numbers", "logical_and": "numbers",
    "stack": "numbers", "mse_loss": "numbers and integers", "matmul": "different dtypes",
}


@pytest.mark.parametrize("name", dtype_table.FUNCTIONS)
def test_dtypes_are_those_of_torchs_table(name):
    names = {letter: dtype for dtype, letter in dtype_table.LETTERS.items()}
    cases = list(dtype_table.cases())
    assert len(cases) == len(TABLE[name]) > 400
    wrong, more = [], 0
    for (a, b), letter in zip(cases, TABLE[name]):
        want = names[letter]
        got, result = dtype_table.outcome(mg, name, a, b)
        if name == "mse_loss" and {a[0], b[0]} == {"dims", "none"}:
            assert "must have the same shape" in str(result)     # torch broadcasts, with a warning
        elif want == "error" and name in MORE and got != "error":
            more += 1
        elif got != want:
            wrong.append(f"{name}({a}, {b}): {got}, want {want} ({result})")
    assert not wrong, "\n".join(wrong[:20])
    assert bool(more) == (name in MORE), f"{name}: {more} more than torch has"


ARITHMETIC = {operator.add: np.add, operator.sub: np.subtract, operator.mul: np.multiply,
              operator.truediv: np.true_divide, mg.maximum: np.maximum, mg.minimum: np.minimum}


@pytest.mark.parametrize("function", ARITHMETIC, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", ["int8", "int32", "int64", "uint8", "bool", "float16", "float32",
                                   "float64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dims", [True, False])
def test_values_of_mixed_dtypes_are_the_numbers_rounded_once(function, dtype, other, dims):
    rng = np.random.default_rng(0)
    a = (rng.standard_normal(50) * 8).astype(dtype)
    b = (rng.integers(1, 2 if other == "bool" else 100, 50)
         + (rng.random(50) if "float" in other else 0)).astype(other)
    b = b if dims else b[:1].reshape(())
    y = function(mg.tensor(a), mg.tensor(b))
    want = ARITHMETIC[function](a.astype(np.float64), b.astype(np.float64))
    unit = np.spacing(np.abs(want).astype(y.dtype)).astype(np.float64)
    assert (np.abs(y.array - want) <= unit).all()


def test_booleans_to_the_power_of_an_integer_are_integers():
    x = mg.tensor([True, False])
    for n, want in ((0, [1, 1]), (1, [1, 0]), (2, [1, 0]), (3, [1, 0])):
        result = x ** n
        assert result.dtype == np.int64 and result.tolist() == want, n
    assert (x ** 2.0).dtype == np.float32 and (2 ** x).dtype == np.int64
    assert (mg.tensor(True) ** 2).dtype == np.int64


def test_what_decides_about_the_dtype():
    half, one = mg.ones(2, dtype=mg.float16), mg.tensor(1.0)
    assert (half + one).dtype == (one * half).dtype == np.float16
    assert (half + mg.tensor([1, 2])).dtype == np.float16
    assert (half * mg.ones(2, dtype=mg.int16)).dtype == np.float16          # NumPy: float32
    assert (mg.tensor([1, 2], dtype=mg.int8) + mg.tensor(1)).dtype == np.int8
    assert (mg.tensor([1, 2]) * mg.tensor(0.5, dtype=mg.float64)).dtype == np.float64
    assert (mg.tensor([1, 2]) * 0.5).dtype == np.float32
    assert (mg.ones(2) == mg.tensor(0.1, dtype=mg.float64)).dtype == np.bool_
    assert (mg.full((2,), 0.1) == mg.tensor(0.1, dtype=mg.float64)).all()    # as torch: in float32
    x = mg.tensor(2.0, dtype=mg.float64, requires_grad=True)
    y = mg.ones(3) * x
    y.sum().backward()
    assert y.dtype == np.float32 and x.grad.dtype == np.float64 and x.grad.item() == 3.0
    mg.set_default_dtype(mg.float64)
    try:
        assert (mg.tensor([1, 2], dtype=mg.int64) / 2).dtype == np.float64
        assert mg.sub(1.5, mg.tensor(1)).dtype == np.float64
    finally:
        mg.set_default_dtype(mg.float32)


def test_unsigned_integers_that_torch_hardly_knows():
    """uint16, uint32, uint64 beside integers: the least that holds both; none holds int64 and
    uint64."""
    tensor = lambda dtype: mg.tensor([1, 3], dtype=dtype)
    for a, b, want in (("uint16", "int16", "int32"), ("uint32", "int32", "int64"),
                       ("uint16", "uint8", "uint16"), ("uint64", "uint8", "uint64"),
                       ("uint16", "float16", "float16"), ("uint64", "float32", "float32"),
                       ("uint64", "bool", "uint64")):
        assert (tensor(a) + tensor(b)).dtype == (tensor(b) * tensor(a)).dtype == want
        assert mg.cat([tensor(a), tensor(b)]).dtype == want
    for wrong in (lambda: tensor("uint64") + tensor("int64"),
                  lambda: mg.cat([tensor("uint64"), tensor("int8")]),
                  lambda: mg.where(tensor("bool"), tensor("int32"), tensor("uint64"))):
        with pytest.raises(TypeError, match="no integer dtype holds .* convert one"):
            wrong()


def test_a_number_that_does_not_fit_is_refused_not_wrapped():
    x = mg.tensor([1, 2], dtype=mg.int8)
    with pytest.raises(ValueError, match="add: 300, a tensor without dimensions.*int8.*x.long"):
        x + mg.tensor(300)
    with pytest.raises(ValueError, match="add: .*300.*out of bounds.*x.long"):
        x + 300
    assert (x + mg.tensor(100)).tolist() == [101, 102]
    assert (x < mg.tensor(300)).all()                            # a comparison needs no such number


def test_an_iterator_is_read_once():
    parts = [mg.tensor([1.0], dtype=mg.float16, requires_grad=True), mg.tensor([2])]
    y = mg.cat(x for x in parts)
    assert y.dtype == np.float16
    many = [mg.tensor(1.5, dtype=mg.float16, requires_grad=True), mg.tensor(2.0)]
    z = mg.stack(iter(many))
    z.sum().backward()
    assert z.dtype == np.float32 and many[0].grad.item() == 1.0


def test_in_place_the_dtype_stays():
    x = mg.ones(2, dtype=mg.float16)
    x += mg.ones(2, dtype=mg.float64) * 0.5                      # within a kind, as torch
    assert x.dtype == np.float16 and x.tolist() == [1.5, 1.5]
    u = mg.tensor([1, 2], dtype=mg.uint8)
    u += mg.tensor([3, 4], dtype=mg.int8)
    assert u.dtype == np.uint8 and u.tolist() == [4, 6]
    for wrong in (lambda: u.add_(0.5), lambda: u.div_(2), lambda: u.mul_(mg.ones(2)),
                  lambda: mg.tensor([True]).add_(1)):
        with pytest.raises(TypeError, match="in place: a result of .* does not fit .* convert"):
            wrong()
    # A number of no dimensions has no say, and a product of float16 does not overflow on its way.
    a = mg.tensor([-80.0, 1.0], dtype=mg.float16)
    b = mg.tensor([300.0, 2.0], dtype=mg.float16)
    assert a.addcmul_(b, b, value=2.0 ** -10).tolist() == [float(HALF(300 * 300 / 1024 - 80)),
                                                           float(HALF(1 + 4 / 1024))]
    c = mg.tensor([1.0], dtype=mg.float16).add_(mg.tensor([60000.0], dtype=mg.float16), alpha=0.25)
    assert c.item() == float(HALF(15001.0))


def test_promote_types_is_symmetric_and_keeps_what_holds_both():
    for a in DTYPES:
        for b in DTYPES:
            try:
                both = promote_types(a, b)
            except TypeError:
                assert {a.kind, b.kind} == {"i", "u"} and "uint64" in (a.name, b.name)
                continue
            assert both == promote_types(b, a)
            assert promote_types(a, both) == both == promote_types(both, b)


def test_integers_that_do_not_fit_are_refused_not_wrapped():
    x, at = mg.tensor([1, 2], dtype=mg.int8), mg.tensor([0])

    def write(value):
        x.clone()[0] = value
    for wrong in (lambda: mg.tensor([300], dtype=mg.int8),
                  lambda: mg.full((2,), 300, dtype=mg.int8),
                  lambda: mg.full_like(x, 300), lambda: x.clone().fill_(300), lambda: write(300),
                  lambda: mg.where(x > 1, x, 300), lambda: mg.where(x > 1, 300, x),
                  lambda: mg.masked_fill(x, x > 1, 300), lambda: mg.scatter(x, 0, at, 300),
                  lambda: F.pad(x, (1, 1), value=300), lambda: mg.arange(300, dtype=mg.int8),
                  lambda: mg.randint(0, 300, (3,), dtype=mg.int8), lambda: x.add_(1, alpha=300)):
        with pytest.raises(ValueError, match="(299|300).* int8.*x.long"):
            wrong()
    for wrong in (lambda: mg.full((2,), 300.0, dtype=mg.int8), lambda: write(300.0),
                  lambda: mg.full((2,), np.int64(300), dtype=mg.int8), lambda: write(np.int64(300)),
                  lambda: mg.scatter(x, 0, at, np.int64(300)), lambda: x.clone().fill_(300.0),
                  lambda: mg.scatter(x, 0, at, mg.tensor(300)),
                  lambda: mg.arange(0.0, 400.0, 150.0, dtype=mg.int8),
                  lambda: mg.linspace(0, 300, 4, dtype=mg.int8)):
        with pytest.raises(ValueError, match=r"300(\.0)? is no number of int8, which holds -128"):
            wrong()
    for wrong in (lambda: mg.full((2,), np.nan, dtype=mg.int8), lambda: write(np.inf),
                  lambda: x.clone().fill_(np.nan), lambda: F.pad(x, (1, 1), value=np.nan)):
        with pytest.raises(ValueError, match="integers are finite, got (nan|inf) for int8"):
            wrong()
    with pytest.raises(ValueError, match="000 is no number of int8"):
        x.clone().fill_(10 ** 400)
    assert mg.full((2,), 2.7, dtype=mg.int8).tolist() == [2, 2]  # towards zero, as by a cast
    with pytest.raises(ValueError, match="-1 is no number of uint8, which holds 0 to 255"):
        mg.tensor([-1], dtype=mg.uint8)
    with pytest.raises(ValueError, match="integers are finite, got nan"):
        mg.tensor([float("nan")], dtype=mg.int64)
    with pytest.raises(TypeError, match="scatter: a src of float32 does not fit a tensor of int8"):
        mg.scatter(x, 0, at, mg.tensor([2.7]))
    assert mg.clamp(x, 0, 300).tolist() == [1, 2] and not (x == 300).any()
    assert mg.where(x > 1, x, 3).dtype == np.int8 and mg.where(x > 1, 3, 300).dtype == np.int64
    assert mg.tensor([2.7], dtype=mg.int8).tolist() == [2]       # towards zero
    assert mg.tensor([300.0]).to(mg.int64).to(mg.int8).tolist() == [44]      # a cast that was asked


def test_indices_and_masks_have_no_say_in_the_dtype():
    """`apart` names what has no say: no index or mask may decide about a dtype."""
    for op in (o for o in OPS.values() if isinstance(o, Op)):
        for name in op.tensors:
            if name in ("index", "condition", "target") and op.name not in (
                    "mse_loss", "l1_loss", "binary_cross_entropy_terms",
                    "binary_cross_entropy_with_logits"):
                assert name in op.apart, f"{op.name}: is {name} apart?"


def test_masked_fill_keeps_the_dtype_or_refuses():
    m = mg.tensor([True, False])
    assert (mg.ones(2, dtype=mg.int64).masked_fill(m, 2.0)).tolist() == [2, 1]
    filled = mg.ones(2, dtype=mg.bool).masked_fill(m, 0)
    assert filled.dtype == np.bool_ and filled.tolist() == [False, True]
    assert mg.ones(2).masked_fill(m, mg.tensor(2.5, dtype=mg.float64)).dtype == np.float32
    for value in (2.5, mg.tensor(2.5)):
        with pytest.raises(TypeError, match="masked_fill: a tensor of int64 does not hold"):
            mg.ones(2, dtype=mg.int64).masked_fill(m, value)


def test_a_number_may_come_first_and_has_no_say():
    for function in (mg.add, mg.mul, mg.sub, mg.maximum, mg.minimum):
        for x in (mg.tensor(3.0), mg.tensor([3])):
            y = function(2.5, x)
            assert y.dtype == np.float32, function
    assert (mg.tensor([True]) ** 2).dtype == (mg.tensor([True]) ** 5).dtype == np.int64


def test_integers_without_dimensions_that_do_not_fit_are_refused():
    x = mg.zeros(2, dtype=mg.int8)
    for call in (lambda: x.__setitem__(0, mg.tensor(300)),
                 lambda: mg.tensor(np.int64(300), dtype=mg.int8)):
        with pytest.raises(ValueError, match="300 is no number of int8"):
            call()
    x[0] = mg.tensor(100)
    assert x.tolist() == [100, 0]
