"""The libraries that are timed, and how each is loaded. Importing this file imports none of them.

A library with torch's names runs the programs of programs.py as they are. Another (JAX, TensorFlow,
MLX, MyGrad, HIPS autograd, NumPy) runs the same computation written for it by hand, in by_hand/: a
module with a table PROGRAMS from the name of a program's function to one that builds it; what is
missing there is left out. If the module has a function setup(threads, variant), it is called first.
A file of yours with such a table is a peer too: --peers minigrad,mine.py. So is another checkout of
minigrad, which runs programs.py of this one: --peers minigrad,minigrad@PATH
"""
from __future__ import annotations

import contextlib
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
    distribution: its names on PyPI, the one to install first; () if it is that of `package`.
    variant: "channels_last" or "compile", for torch; "xla" for TensorFlow.
    images_only: run only programs with images (channels_last changes nothing elsewhere).
    default: is it timed unless --peers says otherwise?
    tree: the folder of another checkout that `package` is imported from.
    compared: does a target or a verdict depend on it? (Then fresh processes show it more often.)
    """

    name: str
    package: str
    about: str
    by_hand: str | None = None
    variant: str = ""
    images_only: bool = False
    default: bool = True
    distribution: tuple[str, ...] = ()
    tree: str = ""

    @property
    def compared(self) -> bool:
        return self.package in ("minigrad", "torch")

    @property
    def spec(self) -> str:
        """What find_peer() makes this peer of, in the worker's process."""
        if self.tree:
            return f"minigrad@{self.tree}"
        return self.by_hand if self.by_hand and self.by_hand.endswith(".py") else self.name

    @property
    def install(self) -> str:
        """The command that brings it."""
        return f'pip install "{(self.distribution or (self.package,))[0]}"'

    def version(self) -> str | None:
        """The installed version, without importing it; None if it is not installed."""
        if self.tree:
            return f"the tree in {Path(self.tree).name}"
        if self.package == "minigrad" and importlib.util.find_spec("minigrad"):
            return "this tree"
        with contextlib.suppress(ImportError, ValueError):      # a parent package that is not there
            if importlib.util.find_spec(self.package) is None:
                return None
            for name in (*self.distribution, self.package):
                with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                    return importlib.metadata.version(name.partition("[")[0])
        return None


_TENSORFLOW = ("tensorflow-cpu", "tensorflow", "tensorflow-intel", "tensorflow-macos")
PEERS: dict[str, Peer] = {peer.name: peer for peer in [
    Peer("minigrad", "minigrad", "this library"),
    Peer("torch", "torch", "PyTorch as it comes (contiguous), denormals flushed"),
    Peer("torch-channels-last", "torch", "PyTorch, images and models in channels_last",
         variant="channels_last", images_only=True),
    Peer("torch-compile", "torch", "PyTorch, model through torch.compile (needs a C++ compiler and "
         "half a minute a program)", variant="compile", default=False),
    Peer("jax", "jax", "JAX, jit of a step written by hand in jax.numpy (it has no layers)",
         by_hand="in_jax"),
    Peer("tensorflow", "tensorflow", "TensorFlow, a tf.function of plain operations (oneDNN)",
         by_hand="in_tensorflow", distribution=_TENSORFLOW),
    Peer("tensorflow-xla", "tensorflow", "the same, compiled by XLA (jit_compile=True)",
         by_hand="in_tensorflow", variant="xla", distribution=_TENSORFLOW),
    Peer("mlx", "mlx.core", "MLX's CPU build, mx.compile of a step (one thread)", by_hand="in_mlx",
         distribution=("mlx[cpu]",)),
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
    """The peer of that name, of that file, or of that other checkout (minigrad@PATH).

    Raises: ValueError for an unknown one.
    """
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise ValueError(f"no file {name} for a peer of your own")
        return Peer(Path(name).stem, "numpy", f"programs of {name}", str(Path(name).resolve()))
    if name.startswith("minigrad@"):
        return other_tree(Path(name.partition("@")[2]))
    known = {**PEERS, **HELPERS}
    if name not in known:
        raise ValueError(f"unknown peer {name!r}; known: {', '.join(PEERS)}, a file.py of yours, "
                         "or minigrad@PATH for another checkout")
    return known[name]


def other_tree(folder: Path, called: str = "") -> Peer:
    """minigrad as another checkout has it; `called` instead of the folder's name.

    Raises: ValueError if there is no minigrad in that folder.
    """
    if not (folder / "minigrad" / "__init__.py").is_file():
        raise ValueError(f"no minigrad in {folder}: want the folder of a checkout, which holds "
                         "minigrad/__init__.py")
    folder = folder.resolve()
    return Peer(f"minigrad@{called or folder.name}", "minigrad", f"minigrad of {folder}",
                tree=str(folder))


def environment(threads: int) -> dict[str, str]:
    """The variables that tell every library's thread pools how many threads to use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS",
             "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "MINIGRAD_NUM_THREADS",
             "NPROC")                       # JAX's pool, where the cores cannot be pinned
    return {**os.environ, **dict.fromkeys(names, str(threads)), "JAX_PLATFORMS": "cpu"}


def load(peer: Peer, threads: int) -> Callable[[str], Callable[..., Any] | None]:
    """Prepare an imported library; returns how a build function's name becomes a builder.

    The builder takes the program's sizes and returns the function that runs it once.
    """
    if peer.by_hand:
        names = (runpy.run_path(peer.by_hand) if peer.by_hand.endswith(".py") else
                 vars(importlib.import_module(f"benchmarks.by_hand.{peer.by_hand}")))
        if "setup" in names:
            names["setup"](threads, peer.variant)
        return names["PROGRAMS"].get
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
