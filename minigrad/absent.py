"""What a module shows (`__all__`, `dir`), and what it answers for a name that it has not: what to
write instead, where it is, or what was meant.

Each public module ends in a line that takes its `__all__`, `__dir__` and `__getattr__` from
`shows`. Python asks the last where a name is missing; nothing is read or compared before. A name
that comes to exist is no longer asked for: nothing here has to be taken out then.
Not here: Tensor's methods (a `__getattr__` would make each of its attributes slower to read).
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import FrameType, MappingProxyType, ModuleType
from typing import Any, TypeVar

PLACES = ("minigrad", "minigrad.nn", "minigrad.nn.functional", "minigrad.nn.init",
          "minigrad.nn.utils", "minigrad.optim", "minigrad.optim.lr_scheduler", "minigrad.data",
          "minigrad.autograd")

_SGD = "SGD(params, lr=0.1, momentum=0.9), with a schedule of optim.lr_scheduler"
_IN_2D = "x.unsqueeze(2) and the layer for two dimensions, with a height of 1"
_FILES = "pickle: pickle.dump(model.state_dict(), file), model.load_state_dict(pickle.load(file))"

#: For names of torch that many look for: what to write as long as they are not here.
INSTEAD = {
    # optimisers
    "Adam": _SGD, "AdamW": _SGD, "RMSprop": _SGD, "Adagrad": _SGD, "Adadelta": _SGD,
    "NAdam": _SGD, "Adamax": _SGD, "Rprop": _SGD, "LBFGS": _SGD,
    # layers
    "Conv1d": _IN_2D, "MaxPool1d": _IN_2D, "AvgPool1d": _IN_2D,
    "AdaptiveAvgPool2d": "x.mean((2, 3), keepdim=True) for an output of size 1",
    "LSTM": "nn.RNN", "GRU": "nn.RNN", "LSTMCell": "nn.RNNCell", "GRUCell": "nn.RNNCell",
    "Embedding": "weight[indices], with weight = nn.Parameter(randn(n, d))",
    "embedding": "weight[indices]",
    "Dropout2d": "nn.functional.dropout2d in forward()",
    "ReLU6": "nn.functional.relu6 in forward()",
    "Hardtanh": "nn.functional.hardtanh in forward()", "KLDivLoss": "nn.functional.kl_div",
    "LayerNorm": "(x - x.mean(-1, True)) / (x.var(-1, False, True) + 1e-5).sqrt()",
    "BatchNorm1d": "(x - x.mean(0)) / (x.var(0, False) + 1e-5).sqrt(), the batch's own law",
    "BatchNorm2d": "(x - x.mean((0, 2, 3), True)) / (x.var((0, 2, 3), False, True) + 1e-5).sqrt(), "
                   "the batch's own law",
    "ConvTranspose2d": "repeat_interleave along both dimensions and nn.Conv2d",
    "Softmin": "nn.Softmax of -x", "softmin": "softmax(-x, dim)",
    "PReLU": "nn.LeakyReLU", "CosineSimilarity": "(a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))",
    "cosine_similarity": "(a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))",
    "normalize": "x / x.norm(dim=1, keepdim=True)",
    "DataParallel": "the model itself: its kernels run on all cores",
    # products
    "einsum": "matmul with permute and reshape: einsum('ij,jk->ik', a, b) is a @ b",
    "tensordot": "matmul of the reshaped tensors", "mv": "A @ x", "inner": "(a * b).sum(-1)",
    "vdot": "dot(a, b)", "ger": "outer(a, b)", "addmm": "c + a @ b", "addmv": "c + A @ x",
    "baddbmm": "c + a @ b", "addbmm": "c + (a @ b).sum(0)", "chain_matmul": "a @ b @ c",
    "addcmul": "x + value * a * b", "addcdiv": "x + value * a / b", "lerp": "a + w * (b - a)",
    # elementwise
    "true_divide": "div(a, b)", "float_power": "pow(x.double(), n)", "rsub": "other - x",
    "greater": "gt(a, b)", "greater_equal": "ge(a, b)", "less": "lt(a, b)",
    "less_equal": "le(a, b)", "not_equal": "ne(a, b)", "positive": "x itself",
    "fmod": "a - trunc(a / b) * b", "isclose": "(a - b).abs() <= atol + rtol * b.abs()",
    "nan_to_num": "where(isnan(x), 0.0, x)", "clamp_min": "clamp(x, min=low)",
    "clamp_max": "clamp(x, max=high)", "fix": "trunc(x)", "sgn": "sign(x)",
    "logit": "log(p / (1 - p))", "logaddexp": "logsumexp(stack([a, b]), 0)",
    "erfc": "1 - erf(x)", "hypot": "sqrt(a * a + b * b)", "deg2rad": "x * (pi / 180)",
    "rad2deg": "x * (180 / pi)", "xlogy": "where(x == 0, 0.0, x * log(y))",
    "heaviside": "where(x == 0, values, (x > 0).float())",
    "threshold": "where(x > t, x, value)", "arccos": "acos(x)", "arcsin": "asin(x)",
    "arctan": "atan(x)", "arctan2": "atan2(a, b)", "arccosh": "acosh(x)", "arcsinh": "asinh(x)",
    "arctanh": "atanh(x)", "sinc": "where(x == 0, 1.0, sin(pi * x) / (pi * where(x == 0, 1.0, x)))",
    # reductions
    "std_mean": "x.std(dim), x.mean(dim)", "var_mean": "x.var(dim), x.mean(dim)",
    "aminmax": "x.amin(dim), x.amax(dim)", "count_nonzero": "(x != 0).sum(dim)",
    "nansum": "where(isnan(x), 0.0, x).sum(dim)",
    "nanmean": "where(isnan(x), 0.0, x).sum(dim) / (~isnan(x)).sum(dim)",
    "median": "x.sort().values[..., (n - 1) // 2]", "dist": "norm(a - b)",
    "unique": "np.unique(x.numpy())", "bincount": "np.bincount(x.numpy())",
    "histc": "np.histogram(x.numpy())", "quantile": "np.quantile(x.numpy(), q)",
    # shapes
    "ravel": "x.reshape(-1)", "vstack": "cat(matrices, 0), stack(vectors)",
    "hstack": "cat(matrices, 1), cat(vectors)",
    "dstack": "stack(matrices, 2)", "row_stack": "cat(matrices, 0), stack(vectors)",
    "column_stack": "stack(vectors, 1)", "fliplr": "x.flip(1)", "flipud": "x.flip(0)",
    "diff": "x[1:] - x[:-1]", "msort": "x.sort(0).values", "swapdims": "swapaxes(x, d0, d1)",
    "tensor_split": "x.split(sizes, dim)", "broadcast_tensors": "x.broadcast_to(shape)",
    "numel": "x.numel()", "argwhere": "nonzero(x)", "adjoint": "x.mT",
    # the rest
    "save": _FILES, "load": _FILES, "compile": "the model itself: its kernels are compiled",
    "is_tensor": "isinstance(x, Tensor)", "is_floating_point": "x.is_floating_point()",
    "Size": "a tuple of integers", "dtype": "numpy.dtype", "FloatTensor": "tensor(data)",
    "LongTensor": "tensor(data, dtype=int64)", "bfloat16": "float32", "asarray": "as_tensor(data)",
    "scalar_tensor": "tensor(number)", "set_printoptions": "numpy.set_printoptions",
    "jit": "the model itself: its kernels are compiled", "svd": "numpy.linalg.svd(x.numpy())",
    "func": "minigrad.grad", "functional": "minigrad.grad, once for each row",
    "cuda": "x itself: all is on the CPU", "linalg": "numpy.linalg on x.numpy()",
    "utils": "minigrad.data for torch.utils.data", "Variable": "tensor(data, requires_grad=True)",
    "IterableDataset": "a generator of batches", "default_convert": "default_collate",
}


class AbsentName(AttributeError):
    """An AttributeError whose text is looked for only if somebody reads it: hasattr() does not."""

    def __init__(self, place: str, name: str) -> None:
        super().__init__(place, name)

    def __str__(self) -> str:
        return answer(*self.args)


def shows(place: str, modules: tuple[str, ...] = (), own: bool = False,
          late: Mapping[str, str] = MappingProxyType({})
          ) -> tuple[list[str], Callable[[], list[str]], Callable[[str], Any]]:
    """The `__all__`, `__dir__` and `__getattr__` of a module, to be asked for at its end.

    Its names are what it has now and does not begin with an underscore, without the modules that it
    is made of. modules: those that it shows. own: only what is defined in it. late: names that are
    imported when asked for, {name: submodule}.
    """
    names = [name for name, value in vars(sys.modules[place]).items()
             if name[0] != "_" and name not in ("annotations", "TYPE_CHECKING")
             and (name in modules or not isinstance(value, (ModuleType, TypeVar)))
             and (not own or getattr(value, "__module__", None) == place)]
    names = sorted({*names, *late})

    def missing(name: str) -> Any:
        if name in late:
            return getattr(import_module(f"{place}.{late[name]}"), name)
        if name in late.values():
            return import_module(f"{place}.{name}")
        if name.startswith("_"):                   # what tools probe for
            raise AttributeError(f"module {place!r} has no attribute {name!r}")
        if _is_import(sys._getframe(1)):           # it would drop the text of an AttributeError
            raise ImportError(answer(place, name), name=place)
        raise AbsentName(place, name)
    return names, lambda: names, missing


def _is_import(frame: FrameType) -> bool:
    """Whether the frame stands at `from module import name`."""
    from opcode import opmap
    return frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]


def torch_names() -> dict[str, list[str]]:
    """The public names of torch's modules, under the names of ours."""
    text = (Path(__file__).parent / "torch_names.txt").read_text(encoding="utf-8")
    pairs = (line.split(":") for line in text.splitlines() if not line.startswith("#"))
    return {place: names.split() for place, names in pairs}


def ours(place: str) -> list[str]:
    """The public names of one of our modules, or of Tensor."""
    if place == "minigrad.Tensor":
        return [n for n in dir(import_module("minigrad").Tensor) if n[0] != "_"]
    return list(import_module(place).__all__)


def answer(place: str, name: str) -> str:
    """What is said about a name that a module lacks."""
    in_torch = name in torch_names().get(place, ())
    text = f"{place} has no {name!r}" + (", which torch has" if in_torch else "")
    otherwise = [n for n in ours(place) if n.lower() == name.lower()]
    if otherwise:
        return f"{text}; did you mean {otherwise[0]}?"
    if name in INSTEAD:
        return f"{text}; write this instead: {INSTEAD[name]}"
    elsewhere = [p for p in PLACES if p != place and name in ours(p) and not (
        in_torch and isinstance(vars(import_module(p)).get(name), ModuleType))]    # another one
    if elsewhere:
        return f"{text}; it is {elsewhere[0]}.{name}"
    near = nearest(place, name, in_torch)
    if near:
        return f"{text}; " + (f"the nearest: {', '.join(near)}" if in_torch
                              else f"did you mean {' or '.join(near)}?")
    return f"{text}; dir({place}) lists what there is"


def nearest(place: str, name: str, in_torch: bool) -> list[str]:
    """Up to three of our names that are spelt alike, those of the module first."""
    from difflib import get_close_matches
    for p in (place, *(p for p in PLACES if p != place and not in_torch)):
        names = {n.lower(): n for n in ours(p)}
        alike = 0.75 if p == place else 0.8
        if in_torch:                               # spelt right: of a short name little is enough
            alike = 0.65 if len(name) > 5 else 0.8     # to make it another (svd is no std)
        found = get_close_matches(name.lower(), names, 3, alike)
        if found:
            return [names[n] if p == place else f"{p}.{names[n]}" for n in found]
    return []


def absent(place: str) -> list[str]:
    """The names that torch has and our module, or our Tensor, lacks."""
    there = {*ours(place), *(vars(sys.modules[place]) if place in sys.modules else ())}
    return [n for n in torch_names()[place] if n not in there]


def summary() -> str:
    """What is absent, by module, with what to write instead of what many look for."""
    from textwrap import fill
    text = "What PyTorch has and minigrad lacks, and what to write instead.\n"
    for place in (*PLACES, "minigrad.Tensor"):
        names = absent(place)
        text += f"\n{place}\n"
        text += "".join(f"  {n:<20} {INSTEAD[n]}\n" for n in names if n in INSTEAD)
        others = ", ".join(n for n in names if n not in INSTEAD)
        text += fill(others, 98, initial_indent="  ", subsequent_indent="  ") + "\n"
    return text
