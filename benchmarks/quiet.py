"""Is anybody else computing? A busy machine is named before, during and after a run, never hidden.

Three witnesses:

- foreign: the share of the cores that other programs (or other virtual machines) took, from the
  system's own count: what the cores were busy with, less what our processes used. Linux only.
- a fixed loop, timed again and again (calibrate): how much its times spread, and how much of the
  processor it did not get. This works everywhere.
- the control, timed in every round beside the libraries (turns.py): how much it spread.

Not here: what a disturbed measurement may still say (statistics.py, report.py): nothing decided.
"""
from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .catalogue import PROGRAMS
from .records import Record
from .statistics import spread

# In the run that is kept in results/, the controls spread by 0.2 to 10 %; with nobody in its way
# (real-time priority), the loop spread by 0.3 % and did not get 1 %.
FOREIGN = 0.05          # of the cores: more is a disturbance
SPREAD = 0.15           # of a fixed loop's times
STOLEN = 0.10           # of the processor, from a loop that wants all of it


def busy_seconds(cores: Iterable[int]) -> float | None:
    """What these cores have worked since the machine started, stolen time included."""
    wanted = {f"cpu{core}" for core in cores}
    total, seen = 0, 0
    with contextlib.suppress(OSError, ValueError, AttributeError):
        for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines():
            name, *fields = line.split()
            if name in wanted:
                user, nice, system, _idle, _wait, irq, soft, steal = map(int, fields[:8])
                total += user + nice + system + irq + soft + steal
                seen += 1
        return total / os.sysconf("SC_CLK_TCK") if seen == len(wanted) else None
    return None


def own_seconds(processes: Iterable[int]) -> float:
    """Processor time of this process, its ended children, and these that are still running."""
    t = os.times()
    total = t.user + t.system + t.children_user + t.children_system
    for process in processes:
        with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
            text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
            ticks = text.rpartition(")")[2].split()[11:15]      # utime, stime, cutime, cstime
            total += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return total


class Watch:
    """Counts from now on what others take of these cores; `processes` lists ours, at any time."""

    def __init__(self, cores: Sequence[int], processes: Callable[[], Iterable[int]]) -> None:
        self.cores, self.processes = list(cores), processes
        self.start = self._now()

    def _now(self) -> tuple[float, float | None, float]:
        return time.monotonic(), busy_seconds(self.cores), own_seconds(self.processes())

    def foreign(self) -> float | None:
        """The share so far, 0 to 1; None where the system does not say, or within a blink."""
        (since, busy, own), (now, busy_now, own_now) = self.start, self._now()
        if busy is None or busy_now is None or now - since < 0.1 or not self.cores:
            return None
        others = (busy_now - busy) - (own_now - own)
        return min(1.0, max(0.0, others / (now - since) / len(self.cores)))


def calibrate(threads: int, repeats: int = 25) -> dict[str, float]:
    """A fixed loop on so many threads: the spread of its times, and the share it did not get.

    The loop hashes 1 MB twenty times, which needs no library, no memory worth speaking of, and not
    Python's lock.
    """
    block = bytes(1 << 20)

    def work(_: int) -> None:
        for _ in range(20):
            hashlib.sha256(block).digest()
    times, used = [], 0.0
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))                    # starts the threads
        for _ in range(repeats):
            start, cpu = time.perf_counter(), time.process_time()
            list(pool.map(work, range(threads)))
            times.append(time.perf_counter() - start)
            used += time.process_time() - cpu
    return {"spread": spread(times), "stolen": max(0.0, 1 - used / (sum(times) * threads))}


def check(cores: Sequence[int], seconds: float = 1.0) -> dict[str, Any]:
    """Look around for so long, while nothing of ours runs, then calibrate on all these cores."""
    watch = Watch(cores, list)
    time.sleep(seconds)
    found: dict[str, Any] = {"foreign": watch.foreign(), **calibrate(len(cores))}
    if hasattr(os, "getloadavg"):
        with contextlib.suppress(OSError):
            found["load"] = [round(load, 2) for load in os.getloadavg()]
    return found


def reasons(found: dict[str, Any]) -> list[str]:
    """Why a machine that looks like this is called busy, in words; nothing if it is quiet."""
    words = []
    foreign = found.get("foreign")
    if foreign is not None and foreign > FOREIGN:
        words.append(f"other programs took {foreign:.0%} of the cores")
    if found.get("stolen", 0.0) > STOLEN:
        words.append(f"a fixed loop did not get {found['stolen']:.0%} of the time it asked for")
    if found.get("spread", 0.0) > SPREAD:
        words.append(f"a fixed loop's times spread by {found['spread']:.0%}")
    if words and "load" in found:
        words.append(f"load average {found['load'][0]:g}")
    return words


def disturbance(record: Record, program: str, threads: int) -> str:
    """Why this program's measurements are not to be trusted; "" if nothing was seen.

    Memory is not time: nobody else's work changes how much a program takes.
    """
    if program in PROGRAMS and PROGRAMS[program].measure == "memory":
        return ""
    rows = [m for m in record.measurements if (m.program, m.threads) == (program, threads)]
    foreign = max((m.foreign for m in rows if m.foreign is not None), default=0.0)
    if foreign > FOREIGN:
        return f"busy machine, {foreign:.0%} taken by others"
    for m in rows:
        if m.peer == "control" and len(m.samples) > 3 and (s := spread(m.samples)) > SPREAD:
            return f"unsteady machine, control spreads by {s:.0%}"
    return ""


def disturbed(record: Record, threads: int, names: Iterable[str] | None = None) -> list[str]:
    """Those of these programs (default: all) that were disturbed."""
    among = record.names(threads) if names is None else names
    return [name for name in among if disturbance(record, name, threads)]


def verdict(record: Record) -> str:
    """One paragraph on how quiet the whole run was; "" if it was quiet throughout."""
    lines = []
    for when, found in record.quiet.items():
        if why := reasons(found):
            lines.append(f"{when} the measuring {', '.join(why)}")
    for threads in record.threads:
        names = record.names(threads)
        if bad := disturbed(record, threads, names):
            lines.append(f"with {threads} thread{'s' * (threads > 1)}, {len(bad)} of {len(names)} "
                         f"programs were disturbed ({', '.join(bad[:6])}"
                         f"{', ...' * (len(bad) > 6)})")
    if not lines:
        return ""
    return ("DISTURBED: this machine was busy: " + "; ".join(lines) + ". A disturbed program's "
            "target counts as not decided; measure again on a quiet machine.")
