"""Dtypes: which one comes out of two, float16 computed in float32, arrays that no tensor can have.

Driven by the table of operations and by torch's own table (vectors/dtype_table.py).
"""
import json
import operator
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import Tensor, nn, optim
from minigrad.data import DataLoader, TensorDataset
from minigrad.kernels import conv, matmul, pool, pointwise, recurrent, rowwise
from minigrad.kernels.jit import ready
from minigrad.autograd.op import OPS, Op
from minigrad.promotion import DTYPES, promote_types
from op_testing import as_tensors, draw, each_op, gradients, is_float, mapped, outputs, results

VECTORS = Path(__file__).resolve().parent / "vectors"
sys.path.insert(0, str(VECTORS))

import dtype_table  # noqa: E402

TABLE = json.loads((VECTORS / "dtype_table.json").read_text())
HALF = np.float16
# On some machines long double is float64 under another name, and welcome.
LONG_DOUBLE = [np.longdouble] * (np.dtype(np.longdouble) != np.float64)


def as_dtype(args, dtype):
    return mapped(args, lambda x: x.astype(dtype) if is_float(x) else x)


# --- which dtype comes out -----------------------------------------------------------------------

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


# --- float16 -------------------------------------------------------------------------------------

@each_op
def test_float16_is_the_float32_result_rounded_once(entry):
    """Values and gradients, of operations and of what is made of them."""
    for args, options in draw(entry):
        low = as_dtype(args, HALF)
        wide = as_dtype(low, np.float32)
        got = results(entry.public(*as_tensors(entry, low)[0], **options))
        want = results(entry.public(*as_tensors(entry, wide)[0], **options))
        for g, w in zip(got, want):
            rounded = w.astype(HALF) if w.dtype == np.float32 else w
            if w.dtype == np.float32 or g.dtype != np.float64:   # else a cast to float64 was asked
                assert g.dtype == rounded.dtype, entry.name
            np.testing.assert_array_equal(g, rounded)
        got = gradients(entry, low, options)
        if got is None:
            continue
        tensors, leaves = as_tensors(entry, wide)
        ys = outputs(entry.public(*tensors, **options))
        rng = np.random.default_rng(3)
        us = [Tensor(rng.standard_normal(y.shape).astype(HALF).astype(np.float32)) for y in ys]
        want = mg.grad(ys, leaves, us, allow_unused=True)
        for g, w in zip(got, want):
            assert (g is None) == (w is None)
            if g is not None:
                assert g.dtype == HALF
                np.testing.assert_array_equal(g, w.array.astype(HALF))


@each_op
def test_float16_has_second_derivatives(entry):
    if entry.order < 2:
        return
    for args, options in draw(entry):
        tensors, leaves = as_tensors(entry, as_dtype(args, HALF))
        ys = outputs(entry.public(*tensors, **options))
        if not ys:
            continue
        gs = mg.grad(ys, leaves, [mg.ones_like(y) for y in ys], create_graph=True,
                     allow_unused=True)
        gs = [g for g in gs if g is not None and g.requires_grad]
        assert all(g.dtype == HALF for g in gs)
        if gs:
            hs = mg.grad(gs, leaves, [mg.ones_like(g) for g in gs], allow_unused=True)
            assert all(h is None or h.dtype == HALF for h in hs)


@pytest.mark.parametrize("function, numbers, want", [
    (lambda x: x.norm(), [300.0, 400.0], 500.0),
    (lambda x: x.norm(3.0), [300.0, 0.0], 300.0),
    (lambda x: x.sum() - 65000.0, [1.0] * 3000 + [62016.0], 24.0),
    (lambda x: x.cumsum(0)[-1], [1.0] * 5000, 5000.0),
    (lambda x: x.mean(), [60000.0] * 100, 60000.0),
    (lambda x: x.std(), [-300.0, 300.0, 300.0, -300.0], float(HALF(120000 ** 0.5))),
    (lambda x: x.prod(), [300.0, 300.0, 2.0 ** -10, 0.25], 90000 / 4096),
    (lambda x: (x * 60000.0).sum(), [0.001] * 4, 240.0),
    (lambda x: (x * 1e6 / 1e6).sum(), [2.0 ** -10] * 4, 2.0 ** -8),
    (lambda x: x @ x, [0.1] * 5000, 50.0),
    (lambda x: F.mse_loss(x, x * 0), [200.0] * 3000, 40000.0),
    (lambda x: F.huber_loss(x, x * 0, delta=100.0), [300.0, 310.0], 25500.0),
    (lambda x: mg.logsumexp(x, 0), [60000.0] * 3, 60000.0),
    (lambda x: mg.logsumexp(x, 0), [5.0] * 5000, float(HALF(5 + np.log(5000)))),
    (lambda x: F.softmax(x * 100, 0)[0], [600.0, 600.0], 0.5),
    (lambda x: x.sum(dtype=mg.float64), [60000.0] * 4, 240000.0),
    (lambda x: x.sum(dtype=mg.float16), [1.0] * 5000, 5000.0),
    (lambda x: x.mean(dtype=mg.float32), [60000.0] * 4, 60000.0),
    (lambda x: x.var(correction=0) / 100, [-1000.0, 1000.0], np.inf),   # a result that does not fit
])
def test_float16_neither_overflows_nor_stalls_on_its_way(function, numbers, want):
    x = mg.tensor(np.array(numbers, HALF), requires_grad=True)
    with np.errstate(over="ignore"):
        y = function(x)
    assert y.dtype == (HALF if want < 70000 or want == np.inf else np.float64) or \
        y.dtype == np.float32
    np.testing.assert_allclose(float(y.item()), want, rtol=2e-3)
    if np.isfinite(want):
        y.backward()
        assert x.grad.dtype == HALF and np.isfinite(x.grad.array).all()


def test_gradients_of_float16_that_many_share_do_not_stall():
    b = mg.ones(3, dtype=mg.float16, requires_grad=True)
    for used in (lambda: b.expand(5000, 3), lambda: mg.zeros(5000, 3, dtype=mg.float16) + b,
                 lambda: b[np.zeros(5000, np.int64)].reshape(5000, 1) * mg.ones(1, 3, dtype=HALF),
                 lambda: mg.gather(b, 0, mg.zeros(5000, dtype=mg.int64))):
        g, = mg.grad(used().sum(), b)
        assert g.dtype == HALF and g.array.max() in (5000.0, 15000.0)


def test_gradients_of_many_uses_are_added_in_float32():
    """A weight that thousands of steps share: in float16 the sum of ones stalls at 2,048."""
    w = mg.ones(3, dtype=mg.float16, requires_grad=True)
    seen = []
    w.register_hook(lambda g: seen.append(g.dtype))
    mg.autograd.backward([(w * 1.0).sum() for _ in range(3000)])
    assert w.grad.tolist() == [3000.0] * 3 and w.grad.dtype == seen[0] == HALF
    ys = [(w * 0.5).reshape(1, 3).sum() for _ in range(5000)]
    for graph in (False, True):
        g, = mg.grad(ys, w, retain_graph=True, create_graph=graph)
        assert g.dtype == HALF and g.tolist() == [2500.0] * 3
    large = mg.ones(300_000, dtype=mg.float16, requires_grad=True)
    mixed = [large * 1.0, large.reshape(2, -1), large * 2.0, large.reshape(-1) * 1.0]
    g, = mg.grad(mixed, large, [mg.ones_like(y) for y in mixed])
    assert g.dtype == HALF and (g == 5).all()


def test_float16_views_stay_views():
    x = mg.tensor(np.arange(12).astype(HALF).reshape(3, 4))
    for view in (x.reshape(4, 3), x.T, x[1:], x[0], x.flatten(), x.unsqueeze(0), x.transpose(0, 1),
                 x.split(2)[1], x.unbind()[0], x.expand(2, 3, 4), x.detach(),
                 x.squeeze(), x.narrow(0, 1, 2), x.permute(1, 0)):
        assert view.dtype == HALF and np.shares_memory(view.array, x.array)
    row = x[1]
    row *= 2
    assert x[1].tolist() == [8.0, 10.0, 12.0, 14.0]


def test_float16_networks_train():
    """The same steps as in float32 from the same numbers, to a few roundings."""
    def train(dtype):
        mg.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                              nn.Flatten(), nn.Linear(64, 3)).to(dtype)
        recurrent = nn.RNN(3, 5, bidirectional=True).to(dtype)
        rng = np.random.default_rng(0)
        x = mg.tensor(rng.standard_normal((6, 1, 8, 8)).astype(dtype))
        t = mg.tensor(np.arange(6) % 3)
        opt = optim.SGD([*model.parameters(), *recurrent.parameters()], lr=0.05, momentum=0.9,
                        weight_decay=1e-3)
        losses = []
        for _ in range(5):
            opt.zero_grad()
            y = model(x)
            states, _ = recurrent(y.reshape(3, 2, 3))
            loss = F.cross_entropy(y, t) + states.pow(2).mean()
            assert loss.dtype == dtype
            loss.backward()
            total = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            assert total.dtype == dtype
            assert all(p.dtype == dtype == p.grad.dtype for p in model.parameters())
            losses.append(loss.item())
        return losses
    np.testing.assert_allclose(train(np.float16), train(np.float32), rtol=0.02)


@pytest.mark.parametrize("options", [{"lr": 1e-3}, {"lr": 0.1, "momentum": 0.9},
                                     {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1,
                                      "nesterov": True}, {"lr": 0.1, "maximize": True}])
def test_a_float16_step_is_the_float32_step_rounded_once(options):
    rng = np.random.default_rng(0)
    start, g = (rng.standard_normal(40).astype(HALF) for _ in range(2))
    stepped = []
    for dtype in (HALF, np.float32):
        p = nn.Parameter(mg.tensor(start.astype(dtype)))
        p.grad = mg.tensor(g.astype(dtype))
        optim.SGD([p], **options).step()
        stepped.append(p.array)
    np.testing.assert_array_equal(stepped[0], stepped[1].astype(HALF))


def test_clipping_float16_gradients():
    p = nn.Parameter(mg.zeros(3, dtype=mg.float16))
    p.grad = mg.tensor([30000.0, 40000.0, 0.0], dtype=mg.float16)
    assert nn.utils.clip_grad_norm_([p], 5e-4).item() == float(HALF(50000.0))
    np.testing.assert_allclose(p.grad.array, [3e-4, 4e-4, 0.0], rtol=1e-3)


def test_uniform_float16_numbers_are_less_than_1():
    mg.manual_seed(0)
    x = mg.rand(200_000, dtype=mg.float16)
    assert x.dtype == HALF and x.min().item() >= 0 and 0.999 < x.max().item() < 1
    assert mg.bernoulli(mg.ones(100_000, dtype=mg.float16)).all()


# --- arrays that no tensor can have --------------------------------------------------------------

def swapped(x):
    """The same numbers in the other byte order."""
    return x.astype(x.dtype.newbyteorder("S"))


def shifted(x):
    """The same numbers one byte away from where numbers of this size may lie."""
    if not x.size:
        return x
    y = np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape)
    assert not y.flags.aligned or x.itemsize == 1
    return y


def close(got, want):
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-6, atol=1e-7)


@each_op
@pytest.mark.parametrize("change", [swapped, shifted])
def test_arrays_in_another_byte_order_are_right_or_refused(entry, change):
    """Also beside Tensors. The kernels were compiled for this machine's order just before."""
    for args, options in draw(entry):
        for dtype in (np.float32, np.float64):
            plain = as_dtype(args, dtype)
            want = results(entry.public(*plain, **options))
            other = mapped(plain, change)
            first, _ = as_tensors(entry, plain[:1], requires_grad=False)
            for given in (other, [*first, *other[1:]]):
                try:
                    got = entry.public(*given, **options)
                except TypeError as error:
                    assert "byte order" in str(error)
                    continue
                close(results(got), want)
                assert not isinstance(got, Tensor) or got.dtype in DTYPES


@each_op
@pytest.mark.parametrize("dtype", [*LONG_DOUBLE, np.complex128, object])
def test_operations_refuse_what_no_tensor_can_have(entry, dtype):
    if not isinstance(entry, Op):
        return                                     # made of those that refuse
    for args, options in draw(entry):
        arrays = [x for a in args for x in (a if isinstance(a, (list, tuple)) else [a])]
        if any(is_float(x) for x in arrays):
            with pytest.raises(TypeError):
                entry.public(*mapped(args, lambda x: x.astype(dtype) if is_float(x) else x),
                             **options)


BIG = np.arange(200_000, dtype=np.float32).astype(">f4" if sys.byteorder == "little" else "<f4")


def test_sums_of_the_other_byte_order():
    """The kernel's machine code is there for the machine's own order, and must not be taken."""
    ones = np.ones(200_000, np.float32)
    assert mg.from_numpy(ones).sum().item() == 200_000
    assert mg.tensor(swapped(ones)).sum().item() == mg.sum(swapped(ones)) == 200_000


def kernel_cases():
    """A call of each kernel: name -> (function, arguments)."""
    rng = np.random.default_rng(0)
    f = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    x, w, one, none = f(2, 3, 12, 12), f(4, 3, 3, 3), (1, 1), (0, 0)
    cases = {function.__name__: (pointwise.loop.Loop(function, "case"), (f(3000),))
             for function in (np.negative, np.absolute, np.square)}
    for name in ("softmax", "log_softmax", "logsumexp"):
        cases[name] = getattr(rowwise.softmax, name), (f(300, 40),)
    return {
        **cases,
        "softmax of columns": (rowwise.softmax_columns.softmax, (f(3, 40, 50),)),
        "cross_entropy": (rowwise.softmax.cross_entropy, (f(300, 40), np.zeros(300, np.int64))),
        "conv2d": (conv.direct.conv2d, (x, w, None, (10, 10), one, none, one, 1)),
        "conv2d_grad_x": (conv.direct.conv2d_grad_x,
                          (f(2, 4, 10, 10), w, (12, 12), one, none, one, 1)),
        "conv2d_grad_w": (conv.direct.conv2d_grad_w,
                          (f(2, 4, 10, 10), x, (3, 3), one, none, one, 1)),
        "max_pool": (pool.maximum.max_pool2d_places,
                     (x, (2, 2), (2, 2), none, one, (6, 6))),
        "avg_pool": (pool.average.avg_pool2d, (x, (2, 2), (2, 2), none, (6, 6))),
        "rnn": (recurrent.rnn.rnn, (f(5, 2, 3), f(2, 4), f(4, 3), f(4, 4), f(4), False, False)),
        "logits_loss": (rowwise.binary_cross_entropy.logits_loss, (f(5000), f(5000).clip(0, 1))),
        "multiply": (pointwise.loop.Loop(np.multiply, "case"), (f(300_000), f(300_000))),
        "linear": (matmul.linear.linear, (f(100, 50), f(40, 50), f(40))),
        "linear_grad_x": (matmul.linear.linear_grad_x, (f(100, 40), f(40, 50))),
        "linear_grad_w": (matmul.linear.linear_grad_w, (f(100, 40), f(100, 50))),
        "row_sums": (rowwise.sums.row_sums, (f(300, 100), 300)),
    }


def test_kernels_themselves_are_right_or_refuse():
    """The second lock, should an array ever pass the doors of the operations."""
    for name, (kernel, args) in kernel_cases().items():
        want = kernel(*args)                       # the machine code for our byte order is there
        try:
            got = kernel(*(swapped(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
                           for a in args))
        except TypeError as error:
            assert "a kernel was given an array in another byte order" in str(error), name
        else:
            for g, w in zip(got if isinstance(got, tuple) else [got],
                            want if isinstance(want, tuple) else [want], strict=True):
                np.testing.assert_array_equal(g, w, name)


def test_what_kernels_make_ready():
    x, w = (np.random.default_rng(i).standard_normal((30, 40)).astype(np.float32) for i in (0, 1))
    steps = []
    for change in (np.asarray, swapped):
        p = x.ravel().copy()
        pointwise.sgd.sgd(p, change(w.ravel()), None, 0.1, 0.0, 1.0, 0.0, 1.0, False)
        steps.append(p)
    np.testing.assert_array_equal(*steps)
    same = ready(swapped(x))
    assert same.dtype.isnative and same.flags.carray
    np.testing.assert_array_equal(same, x)
    assert ready(x) is x and ready(shifted(x)).flags.aligned and ready(x.T).flags.c_contiguous


@pytest.mark.parametrize("make", [
    mg.tensor, Tensor, nn.Parameter, lambda a: mg.tensor([a, a])[0], lambda a: mg.tensor(a[3]) + a,
    lambda a: mg.as_tensor(a, dtype=mg.float32), lambda a: mg.zeros(a.shape).copy_(a),
    lambda a: next(iter(DataLoader([a, a], batch_size=2)))[0],
    lambda a: mg.zeros(a.shape) + a, lambda a: np.add(mg.zeros(a.shape), a),
    lambda a: np.add(a, mg.zeros(a.shape))])
def test_what_is_copied_is_converted(make):
    a = BIG[:5]
    t = make(a)
    assert t.dtype == np.float32 and t.dtype.isnative
    assert t.tolist() in ([0.0, 1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0, 7.0])


@pytest.mark.parametrize("share", [
    mg.from_numpy, mg.as_tensor, TensorDataset, lambda a: setattr(mg.zeros(5), "data", a)])
def test_what_shares_memory_is_refused_with_the_conversion_to_write(share):
    with pytest.raises(TypeError, match=r"byte order \([<>]f4\).*x.astype\(np.float32\)"):
        share(BIG[:5])


def test_other_doors_convert():
    a, x = BIG[:3], mg.ones(3, requires_grad=True)
    y = x * 2
    assert mg.grad(y, x, [a], retain_graph=True)[0].tolist() == [0.0, 2.0, 4.0]
    x.register_hook(lambda g: a)                                 # what a hook returns
    y.backward(mg.ones(3))
    assert x.grad.tolist() == [0.0, 1.0, 2.0]
    z = mg.zeros(3)
    z[:] = a
    z[swapped(np.array([0, 2]))] = swapped(np.array([7.0, 9.0]))
    assert z.tolist() == [7.0, 1.0, 9.0]
    assert z[swapped(np.array([2, 0]))].tolist() == [9.0, 7.0]
    assert mg.gather(z, 0, swapped(np.array([2, 0]))).tolist() == [9.0, 7.0]
    assert mg.where(np.array([True, False, True]), a, swapped(np.zeros(3))).tolist() == [0, 0, 2]
    model = nn.Linear(3, 1, bias=False)
    model.load_state_dict({"weight": a.reshape(1, 3)})
    assert model.weight.tolist() == [[0.0, 1.0, 2.0]] and model.weight.dtype.isnative
    labels = swapped(np.array([1, 0]))
    logits = np.ones((2, 3), np.float32)
    assert F.cross_entropy(mg.tensor(logits), labels).item() == pytest.approx(np.log(3))
    out, _ = nn.RNN(3, 2)(swapped(np.ones((4, 1, 3), np.float32)))
    assert np.isfinite(out.array).all()
    opt = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    state = opt.state_dict()
    state["state"] = {0: {"momentum_buffer": a.reshape(1, 3), "steps": swapped(np.array(3))}}
    opt.load_state_dict(state)
    stored = opt.state[model.weight]
    assert stored["momentum_buffer"].dtype.isnative and stored["steps"].dtype.isnative


FOREIGN = [(np.ones(3, complex), "x.real and x.imag"), (np.array(["1"]), ""),
           (np.array([None]), "x.astype"), (np.zeros(3, "datetime64[s]"), "datetime64"),
           (np.zeros(3, "timedelta64[s]"), "datetime64"),
           (np.zeros(3, [("a", "f4")]), r"x\['a'\]"), (np.zeros(3, "S2"), ""),
           (np.zeros(3, "V4"), ""),
           *[(np.ones(3, long), r"x.astype\(np.float64\)") for long in LONG_DOUBLE]]


@pytest.mark.parametrize("array", [a for a, _ in FOREIGN], ids=lambda a: str(a.dtype))
def test_no_door_lets_in_what_no_tensor_can_have(array):
    def write():
        mg.zeros(3)[:] = array
    for door in (mg.tensor, Tensor, nn.Parameter, mg.as_tensor, mg.from_numpy, TensorDataset,
                 lambda a: setattr(mg.zeros(3), "data", a), lambda a: mg.ones(3) + a,
                 lambda a: mg.ones(3).copy_(a), lambda a: mg.zeros(3).fill_(a[0]),
                 lambda a: mg.exp(a), lambda a: mg.cat([mg.ones(3), a]),
                 lambda a: mg.ones(3)[a], lambda a: F.mse_loss(mg.ones(3), a),
                 lambda a: mg.ones(3, requires_grad=True).backward(a), lambda a: mg.bernoulli(a),
                 lambda a: next(iter(DataLoader([a, a], batch_size=2)))):
        with pytest.raises((TypeError, ValueError)):
            door(array)
    if array.dtype.kind in "fcUSVmM":
        with pytest.raises((TypeError, ValueError)):
            write()


def test_unpickled_arrays_have_numpys_own_dtype_again():
    """Theirs is equal to float32 and not identical: each operation would take the slow way."""
    a = pickle.loads(pickle.dumps(np.ones(3, np.float32)))
    tensors = [mg.from_numpy(a), mg.tensor(a), pickle.loads(pickle.dumps(mg.ones(3))),
               pickle.loads(pickle.dumps(nn.Linear(2, 2))).weight,
               next(iter(DataLoader([a], batch_size=1)))]
    assert all(t.array.dtype is np.dtype(np.float32) for t in tensors)
    assert np.shares_memory(tensors[0].array, a)
    tensors[2] += 1.0                              # and the memory is its own
    assert tensors[2].tolist() == [2.0, 2.0, 2.0]


def test_errors_name_the_conversion():
    for array, fix in FOREIGN:
        with pytest.raises(TypeError, match=f"add: want numbers.*{fix}"):
            mg.ones(3) + array
    for long in LONG_DOUBLE:
        with pytest.raises(TypeError, match="long double"):
            mg.ones(3) * long(2)


@pytest.mark.parametrize("dtype", [">f4" if sys.byteorder == "little" else "<f4", *LONG_DOUBLE,
                                   complex, "U3", "datetime64[s]", [("a", "f4")], "no such"],
                         ids=str)
def test_no_tensor_is_made_of_another_dtype(dtype):
    x = mg.ones(3)
    for make in (lambda: mg.zeros(3, dtype=dtype), lambda: mg.tensor([1.0], dtype=dtype),
                 lambda: Tensor([1.0], dtype=dtype), lambda: x.to(dtype=dtype),
                 lambda: mg.arange(3, dtype=dtype), lambda: mg.full((2,), 1.0, dtype=dtype),
                 lambda: mg.rand(2, dtype=dtype), lambda: mg.randn(2, dtype=dtype),
                 lambda: mg.randint(0, 3, (2,), dtype=dtype), lambda: mg.eye(2, dtype=dtype),
                 lambda: mg.normal(0.0, 1.0, (2,), dtype=dtype), lambda: x.sum(dtype=dtype),
                 lambda: x.mean(dtype=dtype), lambda: x.prod(dtype=dtype),
                 lambda: x.cumsum(0, dtype=dtype), lambda: mg.ones_like(x, dtype=dtype),
                 lambda: mg.set_default_dtype(dtype), lambda: nn.Linear(2, 2, dtype=dtype),
                 lambda: nn.Linear(2, 2).to(dtype=dtype), lambda: mg.as_tensor(x, dtype=dtype),
                 lambda: mg.randperm(3, dtype=dtype), lambda: mg.linspace(0, 1, 3, dtype=dtype)):
        with pytest.raises(TypeError, match="dtype|byte order|long double"):
            make()


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


# --- integers ------------------------------------------------------------------------------------

def in_place(function):
    def call(a, b):
        a = a.clone()
        before = a.tolist()
        try:
            return function(a, b)
        finally:
            assert a.tolist() == before            # an error leaves it alone
    return call


@pytest.mark.parametrize("divide", [
    operator.floordiv, operator.mod, mg.floor_divide, mg.remainder, np.floor_divide, np.remainder,
    in_place(operator.ifloordiv), in_place(operator.imod), in_place(Tensor.floor_divide_),
    in_place(Tensor.remainder_)])
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_integer_division_by_zero_is_an_error(divide, dtype):
    a = mg.tensor([7, 8], dtype=dtype)
    for zero in (mg.tensor([1, 0], dtype=dtype), mg.tensor(0, dtype=dtype), 0, np.int64(0),
                 mg.tensor([False, True])):
        with pytest.raises(ZeroDivisionError, match=r"(floor_divide|remainder): integer division "
                                                    r"by zero: other is 0.*x.float"):
            divide(a, zero)


def test_integer_division():
    a, zero = mg.tensor([7, -7, 0]), mg.tensor([2, 0, 1])
    assert (a // 2).tolist() == [3, -4, 0] and (a % 2).tolist() == [1, 1, 0]
    with pytest.raises(ZeroDivisionError, match=r"other is 0 at index \[1\]"):
        a // zero
    with pytest.raises(ZeroDivisionError):
        7 // zero
    with pytest.raises(ZeroDivisionError):
        7 % mg.tensor(0)
    least = mg.tensor([-128, 127], dtype=mg.int8)                # wraps, as all integers do
    assert (least // -1).tolist() == [-128, -127] and (least % -1).tolist() == [0, 0]
    with pytest.raises(TypeError, match="floor_divide: not defined for two booleans"):
        mg.tensor([True]) // mg.tensor([True])
    with np.errstate(all="ignore"):                              # floats: IEEE
        x = mg.tensor([1.0, -1.0, 0.0])
        assert (x // 0.0).tolist()[:2] == [float("inf"), -float("inf")]
        assert np.isnan((x % 0.0).array).all()
        assert np.isnan((mg.tensor([3]) % 0.0).array).all()
        assert (x / 0).tolist()[:2] == [float("inf"), -float("inf")]
        assert (mg.tensor([3]) / mg.tensor([0])).item() == float("inf")


def test_integer_powers():
    assert (mg.tensor([True, False]) ** 3).dtype == np.int64
    assert (mg.tensor([2, 3]) ** mg.tensor([3, 0])).tolist() == [8, 1]
    for wrong in (lambda: mg.tensor([0]) ** -1, lambda: mg.tensor([2]) ** mg.tensor([-1]),
                  lambda: 2 ** mg.tensor([-1]), lambda: mg.tensor([2]).pow_(-1)):
        with pytest.raises(ValueError, match="pow: integers to negative integer powers.*x.float"):
            wrong()
    assert (mg.tensor([2]) ** -1.0).item() == 0.5
    with pytest.raises(TypeError, match="pow: not defined for two booleans"):
        mg.tensor([True]) ** mg.tensor([True])


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


def test_a_remainders_gradient_belongs_to_its_value():
    """1 % 0.1 is 0.1 - 1e-17: nine times 0.1 were taken away, though 1 / 0.1 rounds to 10."""
    b = mg.tensor([0.1], dtype=mg.float64, requires_grad=True)
    y = mg.tensor([1.0], dtype=mg.float64) % b
    assert mg.grad(y, b)[0].item() == -9.0 and y.item() < 0.1


def test_the_logarithm_of_a_number_has_all_its_digits():
    """d/dx 2 ** x under create_graph: log 2 was rounded to float32."""
    x = mg.tensor([1.5], dtype=mg.float64, requires_grad=True)
    for graph in (False, True):
        g, = mg.grad(2.0 ** x, x, create_graph=graph)
        assert g.item() == pytest.approx(np.log(2) * 2 ** 1.5, rel=1e-15)
    h, = mg.grad(g, x)
    assert h.item() == pytest.approx(np.log(2) ** 2 * 2 ** 1.5, rel=1e-15)


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


def test_bits_of_floats_are_refused_with_the_conversion():
    x = mg.ones(2)
    for call in (lambda: ~x, lambda: x & x, lambda: x | 1, lambda: 1 ^ x):
        with pytest.raises(TypeError, match="^bitwise_.*(want booleans|no bits).*float32"):
            call()


def test_integers_without_dimensions_that_do_not_fit_are_refused():
    x = mg.zeros(2, dtype=mg.int8)
    for call in (lambda: x.__setitem__(0, mg.tensor(300)),
                 lambda: mg.tensor(np.int64(300), dtype=mg.int8)):
        with pytest.raises(ValueError, match="300 is no number of int8"):
            call()
    x[0] = mg.tensor(100)
    assert x.tolist() == [100, 0]
