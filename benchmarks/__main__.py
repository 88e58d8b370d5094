"""`python -m benchmarks [PROGRAM ...]`: times programs under minigrad, torch and bare NumPy.

Each library runs in a process of its own. The processes take turns, round by round, so that a
machine whose speed drifts slows all of them alike; what is quoted is the ratio within one run.
"""
from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace

from .programs import CONTROLS, PROGRAMS


# Threads of OpenMP spin for up to 0.2 s after their last work, and would slow the next one's turn.
PAUSE = 0.3


def load(library: str, threads: int) -> SimpleNamespace:
    """The library's modules under torch's names."""
    modules = {n: importlib.import_module(f"{library}.{n}") for n in ("nn", "optim")}
    torch = importlib.import_module(library)
    torch.set_num_threads(threads)
    return SimpleNamespace(torch=torch, **modules)


def work(library: str, names: list[str], threads: int, seconds: float) -> None:
    """A worker: runs each program named on standard input for a while, prints us a run."""
    prepared = {}
    lib = None if library == "numpy" else load(library, threads)
    for line in sys.stdin:
        name = line.strip()
        if name not in prepared:
            prepared[name] = CONTROLS[name]() if lib is None else PROGRAMS[name](lib)
            prepared[name]()                              # compiles, allocates
        run, count, start = prepared[name], 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds or count < 3:
            run()
            count += 1
        print((time.perf_counter() - start) / count * 1e6 if passed else 0, flush=True)


def main() -> None:
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM",
                        help=f"which (default: all): {', '.join(PROGRAMS)}")
    parser.add_argument("--rounds", type=int, default=5,
                        help="turns of each library (default 5)")
    parser.add_argument("--seconds", type=float, default=0.3, help="a turn's length (default 0.3)")
    parser.add_argument("--threads", type=int, default=2,
                        help="threads for each library (default 2)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = set(args.programs) - set(PROGRAMS)
    if unknown:
        parser.error(f"unknown program {', '.join(sorted(unknown))}; known: {', '.join(PROGRAMS)}")
    names = args.programs or list(PROGRAMS)
    if args.worker:
        work(args.worker, names, args.threads, args.seconds)
        return

    libraries = ["minigrad", "numpy"]
    if importlib.util.find_spec("torch"):
        libraries.insert(1, "torch")
    else:
        print('torch is not installed (pip install -e ".[bench]"): only minigrad is timed')
    workers = {lib: subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--worker", lib, "--threads", str(args.threads),
         "--seconds", str(args.seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for lib in libraries}
    print(f"{'microseconds a run, median':28}" + "".join(f"{lib:>12}" for lib in libraries)
          + f"{'minigrad/torch':>18}   spread of the ratio")
    for name in names:
        times: dict[str, list[float]] = {lib: [] for lib in libraries}
        for _ in range(args.rounds):
            for lib in libraries:
                if lib == "numpy" and name not in CONTROLS:
                    continue
                time.sleep(PAUSE)
                worker = workers[lib]
                assert worker.stdin and worker.stdout
                print(name, file=worker.stdin, flush=True)
                answer = worker.stdout.readline()
                if not answer:
                    sys.exit(f"{lib} failed at {name}")
                times[lib].append(float(answer))
        row = f"{name:28}" + "".join(
            f"{statistics.median(t):12,.1f}" if t else f"{'-':>12}" for t in times.values())
        if times.get("torch"):
            ratios = sorted(a / b for a, b in zip(times["minigrad"], times["torch"]))
            row += f"{statistics.median(ratios):18.2f}   {ratios[0]:.2f} .. {ratios[-1]:.2f}"
        print(row, flush=True)
    for worker in workers.values():
        worker.communicate()


if __name__ == "__main__":
    main()
