"""One library in a process of its own: `python -m benchmarks.worker PEER THREADS CORES`.

It answers requests, one JSON line each, and computes only when it is asked to:

    (at start)                          -> {"import": seconds}
    {"do": "prepare", "build": name, "sizes": {...}}
                                        -> {"build": s, "first": s, "check": [...], "work": flops}
                                           or {"absent": true} if the peer has no such program
    {"do": "turn", "seconds": s}        -> {"seconds": of one run}
    {"do": "mark"} / {"do": "peak"}     -> {"bytes": resident now / at most since the mark}
    {"do": "drop"}                      -> {}

What goes wrong inside a request is answered as {"error": text}. This file imports little, so that
a library's import is timed whole. Not here: the parent's end (process.py), who is asked when
(turns.py).
"""
from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

BATCH_SECONDS = 0.0005      # short programs are timed in batches, so that the clock costs nothing


class Worker:
    """A library, and the program that is prepared."""

    def __init__(self, peer_name: str, threads: int) -> None:
        from . import peers
        peer = peers.find_peer(peer_name)
        if peer.tree:                           # benchmarks stays this tree's, minigrad is theirs
            sys.path.insert(0, peer.tree)
        start = time.perf_counter()
        module = importlib.import_module(peer.package)
        self.import_seconds = time.perf_counter() - start
        if peer.tree and not Path(module.__file__ or "").is_relative_to(peer.tree):
            raise ImportError(f"want minigrad of {peer.tree}, got {module.__file__}")
        self.builder = peers.load(peer, threads)
        self.run: Any = None
        self.batch = 1

    def prepare(self, build: str, sizes: dict[str, Any]) -> dict[str, Any]:
        """Build a program and run it three times: compile, allocate, warm up, compare."""
        self.drop()
        make = self.builder(build)
        if make is None:
            return {"absent": True}
        clock = time.perf_counter
        start = clock()
        self.run = make(**sizes)
        built = clock()
        self.run()
        first = clock()
        self.run()
        second = clock()
        result = self.run()
        self.batch = max(1, int(BATCH_SECONDS / max(clock() - second, 1e-7)))
        return {"build": built - start, "first": first - built, "check": fingerprint(result),
                "work": getattr(self.run, "work", None)}

    def turn(self, seconds: float) -> dict[str, Any]:
        """Run for so long; the median time of a run, so that one interruption is not seen."""
        run, batch, times = self.run, self.batch, []
        clock = time.perf_counter
        before = clock()
        end = before + seconds
        while before < end:
            for _ in range(batch):
                run()
            after = clock()
            times.append((after - before) / batch)
            before = after
        times.sort()
        return {"seconds": times[len(times) // 2]}

    def drop(self) -> dict[str, Any]:
        """Forget the program and its memory."""
        self.run = None
        gc.collect()
        return {}

    def mark(self) -> dict[str, Any]:
        """Start to watch the peak of memory anew; the memory now."""
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")       # Linux: VmHWM := VmRSS
        return {"bytes": resident()}

    def peak(self) -> dict[str, Any]:
        """The most memory since mark() (on other systems than Linux: since the start)."""
        return {"bytes": resident(peak=True)}


def resident(peak: bool = False) -> int:
    """Bytes of memory that this process occupies, now or at most."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:" if peak else "VmRSS:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def fingerprint(result: Any) -> list[float]:
    """A few sums of what a run returned: equal for libraries that did the same work."""
    import numpy as np
    parts = result if isinstance(result, (tuple, list)) else (result,)
    arrays = [part.detach() if hasattr(part, "detach") else part for part in parts
              if part is not None]
    return [float(np.abs(np.asarray(a, np.float64)).sum()) for a in arrays]


def main(peer: str, threads: int, cores: str) -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C is the parent's business
    if cores and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)                                       # whatever a library prints goes to stderr

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        worker = Worker(peer, threads)
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        return
    answer({"import": worker.import_seconds})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(getattr(worker, request.pop("do"))(**request))
        except Exception as error:
            traceback.print_exc()
            text = str(error).strip().splitlines() or [""]
            answer({"error": f"{type(error).__name__}: {text[0][:200]}"})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
