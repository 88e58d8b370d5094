"""Did anything get slower since an older result? In units that survive another day's machine.

Absolute times of two days cannot be compared: the same machine may be 30 % slower today. So each
time is divided, round by round, by something that was timed beside it in both runs and has not
changed:

- the control: bare NumPy doing the same kind of work (calls, a matrix product, streaming);
- each torch variant, if both runs used the same version of it.

A regression is shown only if in *every* such unit minigrad became slower by more than the
tolerance, with the whole interval of the change beyond it: one unit alone may have changed for
reasons of its own. Peak memory is compared in bytes; imports and first steps in units of torch's.
Fewer than five rounds in either run show nothing about times.
"""
from __future__ import annotations

from dataclasses import dataclass

from .catalogue import PROGRAMS
from .peers import TORCH
from .records import Record
from .report import in_threads
from .statistics import Ratio, change

TOLERANCE = 0.10
CONFIDENCE = 0.90       # of either run's interval, for a change of time to count


@dataclass
class Change:
    """A program's time now over then, in each unit."""

    program: str
    threads: int
    units: dict[str, Ratio]

    @property
    def trusted(self) -> bool:
        """Whether there were enough rounds to say anything."""
        return all(r.confidence >= CONFIDENCE or u == "bytes" for u, r in self.units.items())

    def regressed(self, tolerance: float) -> bool:
        """Whether every unit shows that it is slower by more than the tolerance."""
        return self.trusted and all(r.low > 1 + tolerance for r in self.units.values())

    def improved(self, tolerance: float) -> bool:
        """Whether every unit shows that it is faster by more than the tolerance."""
        return self.trusted and all(r.high < 1 / (1 + tolerance) for r in self.units.values())


def _in_units(record: Record, program: str, unit: str, threads: int) -> list[float]:
    ours = record.samples(program, "minigrad", threads)
    if unit == "bytes":
        return ours
    return [a / b for a, b in zip(ours, record.samples(program, unit, threads))]


def compare(new: Record, old: Record) -> list[Change]:
    """The changes of all programs that both runs measured with the same number of threads."""
    units = ["control", *[peer for peer in TORCH if peer in new.peers
                          and new.peers[peer] == old.peers.get(peer)]]
    changes = []
    for threads in new.threads:
        for name in new.names(threads):
            if name not in PROGRAMS or not old.samples(name, "minigrad", threads):
                continue
            mine = ["bytes"] if PROGRAMS[name].unit == "bytes" else units
            found = {}
            for unit in mine:
                now, then = (_in_units(r, name, unit, threads) for r in (new, old))
                if now and then:
                    found[unit] = change(now, then)
            if found:
                changes.append(Change(name, threads, found))
    return changes


def table(changes: list[Change], tolerance: float) -> str:
    """The changes as text, and what they mean."""
    if not changes:
        return "Nothing to compare: the two runs have no program, unit and thread count in common."
    units = list(dict.fromkeys(unit for c in changes for unit in c.units))
    width = max(len(c.program) for c in changes)
    lines = [f"{'now / then, in units of':{width + 13}}" + "".join(f"{u:>28}" for u in units)]
    for c in changes:
        cells = [f"{r.median:.2f} [{r.low:.2f} {r.high:.2f}]" if (r := c.units.get(u)) else ""
                 for u in units]
        word = ("  SLOWER" if c.regressed(tolerance) else
                "  faster" if c.improved(tolerance) else
                "" if c.trusted else "  too few rounds to say")
        lines.append(f"{c.program:{width}}  {in_threads(c.threads)}".ljust(width + 13)
                     + "".join(f"{cell:>28}" for cell in cells) + word)
    worse = [c.program for c in changes if c.regressed(tolerance)]
    lines += ["", f"{len(worse)} of {len(changes)} programs are shown to be slower by more than "
              f"{100 * tolerance:.0f} %" + (f": {', '.join(worse)}" if worse else "")]
    return "\n".join(lines)
