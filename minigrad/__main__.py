"""`python -m minigrad COMMAND`: what can be done from a shell. `--help` lists the commands.

Not here: what the commands do; each has a module of its own, imported when it is called.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence


_VARIABLES = """environment variables of a program that uses minigrad:
  MINIGRAD_VERBOSE=1         print every call of a family of kernels (`ways` lists them): which way
                             and why, sizes, time, share of the measured peak
  MINIGRAD_CHECK=1           run the reference beside each of these, stop at the first difference
  MINIGRAD_WAY=family=way    take this way: MINIGRAD_WAY="conv2d=tiles,linear=reference"
  MINIGRAD_NUM_THREADS=n     how many threads; OMP_NUM_THREADS else
  MINIGRAD_CACHE_DIR=folder  where compiled kernels are kept
  MINIGRAD_QUIET=1           no line about compiling"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code of the process."""
    from . import __version__

    parser = argparse.ArgumentParser(
        prog="python -m minigrad",
        description="minigrad: automatic differentiation and neural networks on NumPy and Numba.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_VARIABLES)
    parser.add_argument("--version", action="version", version=f"minigrad {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_warmup(commands)
    _add_absent(commands)
    _add_ways(commands)
    args = parser.parse_args(arguments)
    if not hasattr(args, "run"):
        parser.print_help()
        return 0
    return args.run(args)


# absent

def _add_absent(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "absent", help="list what PyTorch has and minigrad lacks",
        description="Lists the names that PyTorch has and minigrad lacks, with what to write "
                    "instead; or tells of one name: einsum, nn.LSTM, Tensor.mv.")
    parser.add_argument("name", nargs="?", help="a name, with its module as in nn.LSTM")
    parser.set_defaults(run=_absent)


def _absent(args: argparse.Namespace) -> int:
    from .absent import answer, ours, summary

    if args.name is None:
        print(summary(), end="")
        return 0
    *modules, name = args.name.split(".")
    place = ".".join(["minigrad", *(m for m in modules if m not in ("minigrad", "torch"))])
    try:
        there = name in ours(place)
    except ImportError:
        print(f"minigrad has no module {place!r}", file=sys.stderr)
        return 1
    print(f"{place}.{name} is there" if there else answer(place, name))
    return 0


# ways

def _add_ways(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "ways", help="list the ways of each family of kernels, or time them",
        description="Lists the families of kernels and their ways, in order of preference; with "
                    "sizes it times every way of a family on such arrays. Sizes are those of the "
                    "family's problem: ways linear 8 1568 128 (M, K, N); shapes with commas: ways "
                    "conv2d 16,64,28,28 64,64,3,3 1 float32 28 28 1 1 1 1 1 1 (x, w, groups, "
                    "dtype, then output size, stride, padding, dilation).")
    parser.add_argument("family", nargs="?", help="linear, conv2d, ...")
    parser.add_argument("sizes", nargs="*", help="8 or 16,64,28,28 or float32")
    parser.set_defaults(run=_ways)


def _ways(args: argparse.Namespace) -> int:
    from .debug import list_ways, time_ways

    try:
        if not args.sizes:
            print(list_ways([args.family] if args.family else []))
            return 0
        for line in time_ways(args.family, *map(_size, args.sizes)):
            print(line, flush=True)
    except (TypeError, ValueError, IndexError) as error:
        print(f"ways: {error}", file=sys.stderr)
        return 1
    return 0


def _size(text: str) -> object:
    """A number, numbers with commas, or a dtype."""
    import numpy as np

    if "," in text:
        return tuple(int(n) for n in text.split(","))
    return int(text) if text.lstrip("-").isdigit() else np.dtype(text)


# warmup

def _add_warmup(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "warmup", help="compile the kernels ahead, so that no first step waits for them",
        description="Compiles the kernels that common models need and keeps them on disk, so that "
                    "the first step of a program does not wait for them. Once for each machine "
                    "and version; later runs only check. Worth a line in a container's build.",
        epilog="The kernels are kept in MINIGRAD_CACHE_DIR, by default in your folder for caches.")
    parser.add_argument("--float64", action="store_true",
                        help="for float64 too (default: float32 alone; about twice the time)")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the last line")
    parser.set_defaults(run=_warmup)


def _warmup(args: argparse.Namespace) -> int:
    import numpy as np

    from .kernels.jit.cache import cache_folder
    from .kernels.jit.kernel import jit_disabled
    from .warmup import warmup

    if jit_disabled():
        print("NUMBA_DISABLE_JIT is set: nothing is compiled in this environment", file=sys.stderr)
        return 1
    os.environ.setdefault("MINIGRAD_QUIET", "1")     # the progress says that something is compiled
    dtypes = [np.float32, np.float64] if args.float64 else [np.float32]
    compiled, found, seconds = warmup(dtypes, iter if args.quiet else _shown)
    folder = cache_folder()
    print(f"{compiled} kernels compiled, {found} found compiled, in {seconds:.1f} s; "
          + (f"kept in {folder}" if folder else "kept nowhere: the cache cannot be used"))
    return 0 if folder else 1


def _shown(steps: list) -> Iterator:
    """The steps, with a bar if tqdm is installed, else with a line every two seconds."""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:
        last = 0.0
        for i, step in enumerate(steps):
            if time.monotonic() - last > 2:
                print(f"warmup {i + 1}/{len(steps)}: {step[0]}", file=sys.stderr, flush=True)
                last = time.monotonic()
            yield step
        return
    with tqdm(steps, desc="warmup", unit="step") as bar:
        for step in bar:
            bar.set_postfix_str(step[0])
            yield step


if __name__ == "__main__":
    sys.exit(main())
