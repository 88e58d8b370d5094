"""What every operation owes: the table of ops drives these tests, a new op is tested by existing.

For each sample beside the op: the value against its reference, the first and second derivative
against finite differences, the same for non-contiguous and empty inputs, inputs left unchanged,
dtype kept, one gradient alone equal to the same one among all.
"""
import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, gradcheck, gradgradcheck
from minigrad.gradcheck import _Check
from minigrad.autograd.op import OPS
from op_testing import (
    ENTRIES, as_tensors, draw, each_op, flat_function, gradients, is_float, mapped, outputs,
    results,
)


def test_every_public_operation_has_samples_and_documentation():
    missing = [e.name for e in OPS.values() if e.samples is None or not e.doc]
    assert not missing, f"ops without samples or docstring: {missing}"
    assert all(len(list(draw(e))) for e in ENTRIES)


@each_op
def test_value_equals_reference(entry):
    if entry.ref is None:
        pytest.fail(f"{entry.name} has no reference: give ref= an obvious NumPy version")
    for args, options in draw(entry):
        got = results(entry.public(*as_tensors(entry, args)[0], **options))
        want = results(entry.ref(*args, **options))
        assert len(got) == len(want)
        for g, w in zip(got, want):
            assert g.shape == w.shape
            np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-12)


@each_op
def test_arrays_in_arrays_out(entry):
    """Rules call ops on arrays: the results must be those on Tensors."""
    for args, options in draw(entry):
        got = entry.public(*args, **options)
        for y in got if isinstance(got, (tuple, list)) else [got]:
            assert not isinstance(y, Tensor)
        want = entry.public(*as_tensors(entry, args)[0], **options)
        for g, w in zip(results(got), results(want)):
            np.testing.assert_array_equal(g, w)


@each_op
def test_first_and_second_derivative(entry):
    for args, options in draw(entry):
        function, leaves = flat_function(entry, args, options)
        if not leaves or not outputs(function(*leaves)):
            continue
        gradcheck(function, leaves)
        if entry.order >= 2:
            gradgradcheck(function, leaves)
        else:
            with pytest.raises((RuntimeError, TypeError, ValueError), match="twice|order|second"):
                gradgradcheck(function, leaves)


@each_op
def test_samples_have_a_derivative_to_check(entry):
    """A sample whose derivative is 0 for some argument would let a rule that returns 0 pass."""
    slopes = {}
    for args, options in draw(entry):
        function, leaves = flat_function(entry, args, options)
        if not leaves or not outputs(function(*leaves)):
            continue
        for i, leaf in enumerate(leaves):
            inputs = [x if x is leaf else x.detach() for x in leaves]
            if not outputs(function(*inputs)):
                continue
            check = _Check(function, inputs, 1e-6, 0, 0, seed=5)
            x = leaf.array
            up, down = (check.project(check.values([x + s * 1e-6 * check.v[0]])) for s in (1, -1))
            name = check.names[i].rstrip("0123456789_")
            slopes[name] = max(slopes.get(name, 0.0), abs(up - down) / 2e-6)
    if entry.flat:
        assert all(s == 0 for s in slopes.values())
    else:
        zero = [name for name, s in slopes.items() if s < 1e-4]
        assert not zero, f"{entry.name}: all samples have a zero derivative in {zero}"


def strided(x):
    """The same numbers with reversed and padded strides: neither C- nor F-contiguous."""
    if x.ndim == 0:
        return x
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    view = wide[..., ::2][..., ::-1] if x.ndim == 1 else np.moveaxis(
        np.zeros((x.shape[-1], *x.shape[:-1], 2), x.dtype)[..., 0], 0, -1)
    view[...] = x
    return view


@each_op
def test_non_contiguous_inputs(entry):
    for args, options in draw(entry):
        want = results(entry.public(*args, **options))
        for g, w in zip(results(entry.public(*mapped(args, strided), **options)), want):
            np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-13)
        want = gradients(entry, args, options)
        got = gradients(entry, mapped(args, strided), options)
        assert (want is None) == (got is None)
        for g, w in zip(got or [], want or []):
            if w is not None:
                np.testing.assert_allclose(g, w, rtol=1e-11, atol=1e-12)


def emptied(args):
    """The arguments with the first dimension of the first array cut to 0, wherever it lines up."""
    arrays = [x for a in args for x in (a if isinstance(a, (list, tuple)) else [a])
              if isinstance(x, np.ndarray) and x.ndim]
    if not arrays:
        return None
    n, rank = arrays[0].shape[0], arrays[0].ndim
    return mapped(args, lambda x: x[:0] if x.ndim == rank and x.shape[0] == n else x)


@each_op
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")     # a mean of nothing: 0/0
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")    # log(sum of nothing)
def test_empty_inputs(entry):
    """An empty input gives the reference's result and well-shaped gradients, or is refused."""
    for args, options in draw(entry):
        args = emptied(args)
        if args is None:
            continue
        try:
            got = entry.public(*as_tensors(entry, args)[0], **options)
        except (ValueError, TypeError, IndexError) as error:
            # Ours, not one from inside: it starts with the name of an op.
            assert str(error).split(":")[0].split(" ")[0] in OPS, f"{entry.name}: {error!r}"
            continue
        for g, w in zip(results(got), results(entry.ref(*args, **options))):
            assert g.shape == w.shape
        for g, x in zip(gradients(entry, args, options) or [],
                        [x for a in args for x in (a if isinstance(a, (list, tuple)) else [a])
                         if is_float(x)]):
            assert g is None or (g.shape == x.shape and np.isfinite(g).all())


@each_op
def test_inputs_are_left_unchanged(entry):
    for args, options in draw(entry):
        before = mapped(args, np.copy)
        frozen = mapped(args, np.copy)
        mapped(frozen, lambda x: x.setflags(write=False) or x)
        tensors, leaves = as_tensors(entry, args)
        for t in leaves:
            t.array.setflags(write=False)
        ys = outputs(entry.public(*tensors, **options))
        if ys:
            mg.grad(ys, leaves, [Tensor(np.ones(y.shape)) for y in ys], allow_unused=True)
        entry.public(*frozen, **options)
        for a, b in zip(args, before):
            for x, y in zip(a if isinstance(a, (list, tuple)) else [a],
                            b if isinstance(b, (list, tuple)) else [b]):
                if isinstance(x, np.ndarray):
                    np.testing.assert_array_equal(x, y)


@each_op
def test_float32_stays_float32(entry):
    low = lambda x: x.astype(np.float32) if is_float(x) else x
    for args, options in draw(entry):
        args = mapped(args, low)
        y = entry.public(*as_tensors(entry, args)[0], **options)
        wide = entry.public(*as_tensors(entry, mapped(args, lambda x: x.astype(np.float64)
                                                      if is_float(x) else x))[0], **options)
        for g, w in zip(results(y), results(wide)):
            if w.dtype == np.float64 and any(is_float(x) for a in args for x in
                                             (a if isinstance(a, (list, tuple)) else [a])):
                explicit = isinstance(options.get("dtype"), (str, type, np.dtype)) or any(
                    isinstance(a, (type, np.dtype)) for a in args)
                assert g.dtype == np.float32 or explicit, entry.name
        for g in gradients(entry, args, options) or []:
            assert g is None or g.dtype == np.float32, entry.name


@each_op
def test_one_gradient_alone_equals_the_same_among_all(entry):
    for args, options in draw(entry):
        every = gradients(entry, args, options)
        for i in range(len(every or [])):
            alone = gradients(entry, args, options, only=i)
            if alone is None or every[i] is None:
                assert every[i] is None or not every[i].any()
                continue
            np.testing.assert_allclose(alone[0], every[i], rtol=1e-12, atol=1e-13)


#: What torch documents as views, or as the tensor itself; all else is a copy, whatever its input.
VIEWS = {"broadcast_to", "chunk", "contiguous", "dropout", "dropout2d", "expand", "expand_as",
         "flatten", "getitem", "matrix_transpose", "meshgrid", "movedim", "narrow", "permute",
         "reshape", "reshape_as", "select", "split", "squeeze", "swapaxes", "t", "to", "transpose",
         "type_as", "unbind", "unflatten", "unsqueeze", "view", "diagonal"}


@each_op
def test_results_share_no_memory_with_inputs_but_where_torch_has_views(entry):
    """x.flip(0) and x.repeat(2, 1) once did: a later x.zero_() reached them, without a word."""
    if entry.name in VIEWS:
        return
    for args, options in draw(entry):
        inputs, _ = as_tensors(entry, args, requires_grad=False)
        arrays = [t.array for a in inputs for t in (a if isinstance(a, (list, tuple)) else [a])
                  if isinstance(t, Tensor)]
        for y in results(entry.public(*inputs, **options)):
            assert y.flags.writeable
            assert not any(np.shares_memory(y, x) for x in arrays)


@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (1, 2), (2, 1, 1), (0, 1)])
def test_repeat_is_a_copy_for_all_counts(counts):
    x = mg.ones(1, 3)
    for y in (x.repeat(counts), mg.tile(x, counts)):
        assert not np.shares_memory(y.array, x.array)
        y.add_(1.0)
        assert (y.array == 2).all() and x.sum().item() == 3


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 1)])
@pytest.mark.parametrize("repeats", [0, 1, 2])
def test_repeat_interleave_is_a_copy_for_all_counts(shape, repeats):
    x = mg.ones(shape)
    y = mg.repeat_interleave(x, repeats, 0)
    assert y.shape == (shape[0] * repeats, *shape[1:]) and y.array.flags.writeable
    assert not np.shares_memory(y.array, x.array)


def test_the_last_states_of_an_rnn_are_no_view_of_its_output():
    rnn = mg.nn.RNN(2, 3)
    for x in (mg.ones(4, 2), mg.ones(4, 5, 2)):
        output, last = rnn(x)
        assert not np.shares_memory(output.array, last.array)
        assert np.array_equal(output.array[-1:], last.array)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (2, 3, 3), (0, 3), (3, 0), (1, 1)])
@pytest.mark.parametrize("offset", [0, 1, -1, 3, -4])
def test_a_diagonal_is_a_view_that_can_be_written(shape, offset, dtype):
    """x.diagonal().zero_() once changed a copy."""
    a = np.ones(shape, dtype)
    for dims in ((0, 1), (-1, 0)):
        x = Tensor(a)
        d = mg.diagonal(x, offset, *dims)
        want = a.copy()
        assert d.shape == np.diagonal(a, offset, *dims).shape
        d.zero_()
        assert not d.array.any()
        assert x.array.astype(int).sum() == want.astype(int).sum() - d.numel()
        assert not np.diagonal(x.array, offset, *dims).any()

@each_op
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_are_writable_and_nobody_elses(entry, create_graph):
    """What .grad, grad(), hooks and retain_grad() give can be changed, and changes nothing else."""
    if create_graph and entry.order < 2:
        create_graph = False
    for args, options in draw(entry):
        tensors, leaves = as_tensors(entry, args)
        ys = outputs(entry.public(*tensors, **options))
        if not ys:
            continue
        us = [Tensor(np.ones(y.shape, y.dtype)) for y in ys]
        seen = []
        for t in (*leaves, *ys):
            t.register_hook(lambda g, seen=seen: seen.append(g))
            t.retain_grad()
        again = dict(retain_graph=True, create_graph=create_graph)
        given = [g for g in mg.grad(ys, [*leaves, *ys], us, **again, allow_unused=True)
                 if g is not None]
        for g in seen:                             # else the leaves would get what it wrote
            write(g)
        before = [g.array.copy() for g in given]
        mg.backward(ys, us, **again)
        kept = [t.grad for t in (*leaves, *ys) if t.grad is not None]
        values = {id(a): a for a in (*(t.array for t in (*leaves, *us, *ys)),
                                     *(g.array for g in (*seen, *given, *kept)))}
        for i, a in enumerate(list(values.values())):
            for b in list(values.values())[:i]:
                views = [y for y in (*leaves, *ys) if y.array is a or y.array is b]
                assert len(views) == 2 or not np.shares_memory(a, b), entry.name
        for g, old in zip(given, before):
            np.testing.assert_array_equal(g.array, old)
        for g in (*given, *kept):
            write(g)


def write(g):
    """In place into a gradient, as clip_grad_norm_ and zero_ do."""
    with mg.no_grad():
        g.zero_()
        assert not g.array.any()


def test_functions_of_booleans_are_torchs_or_refused():
    """square once gave booleans, two of which add up to True; round gave float16."""
    x = mg.tensor([True, False])
    assert mg.square(x).dtype == np.int64 and (mg.square(x) + mg.square(x)).tolist() == [2, 0]
    assert mg.sign(x).dtype == np.bool_ and mg.sign(x).tolist() == [True, False]
    for function, message in ((mg.neg, "neg: .*~"), (mg.round, "round: booleans"),
                              (mg.frac, "sub: ")):
        with pytest.raises(TypeError, match=message):
            function(x)
