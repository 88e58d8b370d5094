"""Is anybody else computing? A busy machine is named before, during and after a run, never hidden.

Two witnesses:

- foreign: the share of the cores that other programs (or other virtual machines) took, from the
  system's own count: what the cores were busy with, less what our processes used. Linux only.
- the control, timed in every round beside the libraries (turns.py): how much its times spread.
  This works everywhere.

Not here: what a disturbed measurement may still say (statistics.py, report.py): nothing decided.
"""
from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .catalogue import PROGRAMS
from .records import Record
from .statistics import spread

FOREIGN = 0.05          # of the cores: more is a disturbance
SPREAD = 0.15           # of the control's times, which spread by 0.2 to 10 % in the kept run


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


def check(cores: Sequence[int], seconds: float = 1.0) -> dict[str, Any]:
    """Look around for so long, while nothing of ours runs."""
    watch = Watch(cores, list)
    time.sleep(seconds)
    found: dict[str, Any] = {"foreign": watch.foreign()}
    if hasattr(os, "getloadavg"):
        with contextlib.suppress(OSError):
            found["load"] = [round(load, 2) for load in os.getloadavg()]
    return found


def reasons(found: dict[str, Any]) -> str:
    """Why a machine that looks like this is called busy; "" if it is quiet, or does not say."""
    foreign = found.get("foreign") or 0.0
    if foreign <= FOREIGN:
        return ""
    load = f", load average {found['load'][0]:g}" if "load" in found else ""
    return f"other programs took {foreign:.0%} of the cores{load}"


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


def disturbed(record: Record, threads: int) -> list[str]:
    """The programs that were disturbed."""
    return [name for name in record.names(threads) if disturbance(record, name, threads)]


def verdict(record: Record) -> str:
    """One paragraph on how quiet the whole run was; "" if it was quiet throughout."""
    lines = []
    for when, found in record.quiet.items():
        if why := reasons(found):
            lines.append(f"{when} the measuring {why}")
    for threads in record.threads:
        names = record.names(threads)
        if bad := disturbed(record, threads):
            lines.append(f"with {threads} thread{'s' * (threads > 1)}, {len(bad)} of {len(names)} "
                         f"programs were disturbed ({', '.join(bad[:6])}"
                         f"{', ...' * (len(bad) > 6)})")
    if not lines:
        return ""
    return ("DISTURBED: this machine was busy: " + "; ".join(lines) + ". A disturbed program's "
            "target counts as not decided; measure again on a quiet machine.")
