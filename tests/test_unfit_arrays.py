"""Arrays that no tensor can have: in another byte order, misaligned, of long doubles, no numbers.
Operations convert or refuse them; kernels themselves make ready what they read."""
import pickle
import sys

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import Tensor, nn, optim
from minigrad.data import DataLoader, TensorDataset
from minigrad.kernels import conv, matmul, pool, pointwise, recurrent, rowwise
from minigrad.kernels.jit import ready
from minigrad.autograd.op import Op
from minigrad.promotion import DTYPES
from op_testing import as_tensors, draw, each_op, is_float, mapped, results


# On some machines long double is float64 under another name, and welcome.
LONG_DOUBLE = [np.longdouble] * (np.dtype(np.longdouble) != np.float64)


def as_dtype(args, dtype):
    return mapped(args, lambda x: x.astype(dtype) if is_float(x) else x)


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
        "conv2d": (conv.conv2d.conv2d, (x, w, None, (10, 10), one, none, one, 1)),
        "conv2d_grad_x": (conv.conv2d.conv2d_grad_x,
                          (f(2, 4, 10, 10), w, (12, 12), one, none, one, 1)),
        "conv2d_grad_w": (conv.conv2d.conv2d_grad_w,
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
