"""python -m tests.programs: compares random programs until the time is over; see --help."""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .draw import draw
from .expect import Fault, examine
from .program import Program, load, script
from .shrink import shrink
from .variants import vary


def main() -> int:
    """The command; returns how many different faults it found (at most 100)."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs", description="Compares random programs: minigrad against "
        "torch (if it is installed), or each against variants of itself that must change nothing.")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--programs", type=int, default=None, help="or how many programs")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first program")
    parser.add_argument("--against", choices=("torch", "reference"), default=None,
                        help="torch, or variants of the same program (default: torch if there)")
    parser.add_argument("--profile", default="", choices=("", "plain", "half", "mixed", "image",
                        "sizes", "rows"), help="only programs of this kind")
    parser.add_argument("--all", action="store_true",
                        help="go on after a fault; print each kind of fault once")
    parser.add_argument("--output", type=Path, help="also append the faults to this file")
    args = parser.parse_args()
    if args.seconds <= 0 or (args.programs is not None and args.programs < 1):
        parser.error("--seconds and --programs must be positive")
    minigrad = load("minigrad")
    torch = None
    if args.against != "reference":
        try:
            torch = load("torch")
            torch.set_num_threads(1)
        except ImportError:
            if args.against == "torch":
                parser.error("torch is not installed: pip install torch, or --against reference")
            print("torch is not installed: comparing each program with variants of itself")
    return min(search(args, minigrad, torch), 100)


def search(args: argparse.Namespace, minigrad: Any, torch: Any) -> int:
    """Draws, compares, shrinks, prints."""
    def fault_of(program: Program) -> Fault | None:
        if torch is None:
            return vary(program, minigrad)
        return examine(program, minigrad, torch)[1]

    found: dict[str, int] = {}
    start, seed = time.monotonic(), args.seed
    bar = tqdm(total=args.programs or args.seconds, unit="programs" if args.programs else "s",
               disable=not sys.stderr.isatty(), bar_format="{l_bar}{bar}| {elapsed} {postfix}")
    while (seed - args.seed < args.programs if args.programs
           else time.monotonic() - start < args.seconds):
        program = draw(torch or minigrad, seed, args.profile)
        fault = fault_of(program)
        seed += 1
        bar.n = seed - args.seed if args.programs else min(time.monotonic() - start, args.seconds)
        bar.set_postfix_str(f"{seed - args.seed} programs, {len(found)} kinds of fault")
        if fault is None:
            continue
        found[fault.sort] = found.get(fault.sort, 0) + 1
        if found[fault.sort] > 1:
            continue

        def alike(shorter: Program, wanted: str = fault.sort) -> bool:
            now = fault_of(shorter)
            return now is not None and now.sort == wanted
        short = shrink(program, alike)
        report = (f"=== program {program.name} (--seed {seed - 1} --programs 1)\n{short}\n"
                  f"--- {fault_of(short)}\n")
        tqdm.write(report)
        if args.output:
            with args.output.open("a") as file:
                file.write(report + "\n")
        if not args.all:
            tqdm.write("As a script (python it.py minigrad, python it.py torch):\n\n"
                       + script(short))
            break
    bar.close()
    print(f"{seed - args.seed} programs in {time.monotonic() - start:.0f} s, "
          f"{sum(found.values())} faults of {len(found)} kinds")
    for sort, n in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{n:6} {sort[:150]}")
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
