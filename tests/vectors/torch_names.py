"""Writes minigrad/torch_names.txt: the public names of torch's modules and of its Tensor, by which
minigrad knows what it lacks (minigrad/absent.py). Needs torch:

    python tests/vectors/torch_names.py
"""
import inspect
import warnings
from pathlib import Path

import torch
import torch.utils.data

OUT = Path(__file__).resolve().parents[2] / "minigrad" / "torch_names.txt"
MODULES = {
    "minigrad": torch, "minigrad.nn": torch.nn, "minigrad.nn.functional": torch.nn.functional,
    "minigrad.nn.init": torch.nn.init, "minigrad.nn.utils": torch.nn.utils,
    "minigrad.optim": torch.optim, "minigrad.optim.lr_scheduler": torch.optim.lr_scheduler,
    "minigrad.data": torch.utils.data, "minigrad.autograd": torch.autograd,
    "minigrad.Tensor": torch.Tensor,
}
# What torch shows, but nobody is meant to use.
INTERNAL = ("cudnn", "miopen", "mkldnn", "fbgemm", "quantize", "sym_", "_copy", "autocast_",
            "vulkan", "fake_", "sparse_", "per_channel", "per_tensor", "merge_type",
            "parse_", "import_ir")
FOREIGN = {"torch", "math", "warnings", "np", "importlib", "dataclasses", "types", "Any", "Union",
           "TYPE_CHECKING"}


def names(module):
    """The public names of a module or class."""
    found = []
    for name in dir(module):
        if name.startswith("_") or name in FOREIGN or any(word in name for word in INTERNAL):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = getattr(module, name, None)
        home = getattr(value, "__module__", None) or ""
        if module is torch and name[0].isupper() and not name.endswith("Tensor") \
                and name not in ("Size", "Generator", "Storage"):
            continue                               # what its compiler is made of
        if inspect.ismodule(value) and not value.__name__.startswith("torch"):
            continue
        if home.split(".")[0] in ("typing", "collections", "typing_extensions", "functools"):
            continue
        found.append(name)
    return found


if __name__ == "__main__":
    lines = [f"# torch {torch.__version__.split('+')[0]}, by tests/vectors/torch_names.py"]
    lines += [f"{place}: {' '.join(names(module))}" for place, module in MODULES.items()]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(OUT.stat().st_size, "bytes")
