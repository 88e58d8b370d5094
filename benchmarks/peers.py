"""The libraries that are timed, and how each is loaded. Importing this file imports none of them.

A library with torch's names runs the programs of programs.py as they are. One without layers (JAX,
MyGrad, HIPS autograd, NumPy) runs the same computation written for it by hand, in by_hand/: a
module with a table PROGRAMS from the name of a program's function to one that builds it; what is
missing there is left out. A file of yours with such a table is a peer too: --peers minigrad,mine.py
"""
from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any


@dataclass(frozen=True)
class Peer:
    """A library, or a variant of it.

    package: what is imported, and its name on PyPI unless `distribution` says otherwise.
    by_hand: a module of by_hand/ (or a file) with programs written for it; None for a library with
        torch's names.
    variant: "channels_last" or "compile", for torch.
    images_only: run only programs with images (channels_last changes nothing elsewhere).
    default: is it timed unless --peers says otherwise?
    """

    name: str
    package: str
    about: str
    by_hand: str | None = None
    variant: str = ""
    images_only: bool = False
    default: bool = True

    def version(self) -> str | None:
        """The installed version, without importing it; None if it is not installed."""
        if self.package == "minigrad" and importlib.util.find_spec("minigrad"):
            return "this tree"
        try:
            if importlib.util.find_spec(self.package) is None:
                return None
            return importlib.metadata.version(self.package)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            return None


PEERS: dict[str, Peer] = {peer.name: peer for peer in [
    Peer("minigrad", "minigrad", "this library"),
    Peer("torch", "torch", "PyTorch as it comes (contiguous), denormals flushed"),
    Peer("torch-channels-last", "torch", "PyTorch, images and models in channels_last",
         variant="channels_last", images_only=True),
    Peer("torch-compile", "torch", "PyTorch, model through torch.compile (needs a C++ compiler and "
         "half a minute a program)", variant="compile", default=False),
    Peer("jax", "jax", "JAX, jit of a step written by hand in jax.numpy (it has no layers)",
         by_hand="in_jax"),
    Peer("mygrad", "mygrad", "MyGrad, steps written by hand", by_hand="in_mygrad"),
    Peer("autograd", "autograd", "HIPS autograd, steps written by hand", by_hand="in_autograd"),
]}
TORCH = ("torch", "torch-channels-last", "torch-compile")      # the ratio is to the best of these

# Not libraries to choose from: what the machine does at best, and NumPy doing the same kind of
# work, the measure of how fast the machine was during a run.
CONTROL = Peer("numpy", "numpy", "bare NumPy: the controls and the least cost of tiny operations",
               by_hand="in_numpy")
PEAK = Peer("peak", "minigrad", "the machine's peaks", by_hand="peak")
HELPERS = {peer.name: peer for peer in (CONTROL, PEAK)}


def find_peer(name: str) -> Peer:
    """The peer of that name, or of that file.

    Raises: ValueError for an unknown one.
    """
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise ValueError(f"no file {name} for a peer of your own")
        return Peer(Path(name).stem, "numpy", f"programs of {name}", str(Path(name).resolve()))
    known = {**PEERS, **HELPERS}
    if name not in known:
        raise ValueError(f"unknown peer {name!r}; known: {', '.join(PEERS)}, or a file.py of yours")
    return known[name]


def environment(threads: int) -> dict[str, str]:
    """The variables that tell every library's thread pools how many threads to use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS",
             "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "MINIGRAD_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads)), "JAX_PLATFORMS": "cpu"}


def load(peer: Peer, threads: int) -> Callable[[str], Callable[..., Any] | None]:
    """Prepare an imported library; returns how a build function's name becomes a builder.

    The builder takes the program's sizes and returns the function that runs it once.
    """
    if peer.by_hand:
        table = (runpy.run_path(peer.by_hand)["PROGRAMS"] if peer.by_hand.endswith(".py") else
                 importlib.import_module(f"benchmarks.by_hand.{peer.by_hand}").PROGRAMS)
        return table.get
    from . import programs
    lib = _torch_like(peer, threads)
    return lambda name: lambda **sizes: getattr(programs, name)(lib, **sizes)


def _torch_like(peer: Peer, threads: int) -> SimpleNamespace:
    name = peer.package
    torch: Any = importlib.import_module(name)
    nn, optim, functional = (importlib.import_module(f"{name}.{part}")
                             for part in ("nn", "optim", "nn.functional"))
    torch.set_num_threads(threads)
    lib = SimpleNamespace(torch=torch, nn=nn, optim=optim, F=functional, images=torch.tensor,
                          ready=lambda model: model)
    if name == "torch":
        torch.set_flush_denormal(True)
    if peer.variant == "channels_last":
        layout = {"memory_format": torch.channels_last}
        lib.images = lambda array: torch.tensor(array).contiguous(**layout)
        lib.ready = lambda model: model.to(**layout)
    elif peer.variant == "compile":
        lib.ready = torch.compile
    return lib
