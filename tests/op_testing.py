"""What tests of all operations share: the entries of the table, their samples, gradients."""
import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.autograd.op import OPS, Op
from minigrad.ops.samples import Draw

ENTRIES = sorted((e for e in OPS.values() if e.samples is not None), key=lambda e: e.name)
each_op = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)


def draw(entry, seed=0):
    """The op's samples as (positional arguments, options)."""
    for sample in entry.samples(Draw(seed)):
        sample = tuple(sample)
        options = sample[-1] if sample and isinstance(sample[-1], dict) else {}
        yield list(sample[:-1] if options else sample), options


def is_float(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def mapped(args, change):
    """The arguments with `change` applied to each array, also to those inside a list or tuple."""
    return [type(a)(change(x) if isinstance(x, np.ndarray) else x for x in a)
            if isinstance(a, (list, tuple)) and any(isinstance(x, np.ndarray) for x in a)
            else change(a) if isinstance(a, np.ndarray) else a for a in args]


def tensor_names(entry):
    """The parameters that take Tensors: for an op as declared, for a composite by annotation."""
    if isinstance(entry, Op):
        return entry.tensors
    return [p.name for p in entry.parameters.values() if "Tensor" in str(p.annotation)]


def as_tensors(entry, args, requires_grad=True, only=None):
    """Tensors for the arrays given for tensor parameters; those that need a gradient."""
    leaves, names = [], list(entry.parameters)
    allowed = tensor_names(entry)

    def convert(x):
        t = Tensor(x, requires_grad=requires_grad and is_float(x)
                   and (only is None or len(leaves) == only))
        if is_float(x):
            leaves.append(t)
        return t
    out = []
    for i, a in enumerate(args):
        tensor = (names[i] if i < len(names) else names[-1]) in allowed
        out.append(mapped([a], convert)[0] if tensor else a)
    return out, leaves


def results(y):
    """The results as a list of arrays."""
    many = isinstance(y, (tuple, list))
    return [np.asarray(t.array if isinstance(t, Tensor) else t) for t in (y if many else [y])]


def outputs(y):
    """The results that have gradients."""
    return [t for t in (y if isinstance(y, (tuple, list)) else [y])
            if isinstance(t, Tensor) and t.requires_grad]


def gradients(entry, args, options, only=None, seed=3):
    """Gradients of all float arguments (or of one) for random cotangents, as arrays."""
    tensors, leaves = as_tensors(entry, args, only=only)
    ys = outputs(entry.public(*tensors, **options))
    if not ys:
        return None
    rng = np.random.default_rng(seed)
    us = [Tensor(rng.standard_normal(y.shape).astype(y.dtype)) for y in ys]
    wanted = leaves if only is None else [leaves[only]]
    gs = mg.grad(ys, wanted, us, allow_unused=True)
    return [None if g is None else g.array for g in gs]


def flat_function(entry, args, options):
    """(function of the float arguments alone, these arguments) for the gradient checks."""
    tensors, leaves = as_tensors(entry, args)
    names = [n for n, a in zip(entry.parameters, args)
             for _ in range(sum(map(is_float, a)) if isinstance(a, (list, tuple)) else is_float(a))
             if n in tensor_names(entry)]

    def function(*xs):
        rest = iter(xs)
        put = lambda t: next(rest) if isinstance(t, Tensor) and t.is_floating_point() else t
        full = [type(a)(map(put, a)) if isinstance(a, (list, tuple)) else put(a) for a in tensors]
        return entry.public(*full, **options)
    function.__name__ = entry.name
    kind = inspect.Parameter.POSITIONAL_ONLY
    function.__signature__ = inspect.Signature([
        inspect.Parameter(f"{n}_{i}" if names.count(n) > 1 else n, kind)
        for i, n in enumerate(names)])
    return function, leaves
