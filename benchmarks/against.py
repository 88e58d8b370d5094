"""Did anything get slower? Against another checkout in the same run, or against an older result.

Another checkout of minigrad (a folder, or a git revision) takes part in the run as one more
library, so its times are paired round by round with this tree's, and their ratio needs no unit.
This is the sharper way. What it says of each program: slower (the whole interval of the ratio lies
beyond the tolerance), faster, no slower (the interval ends within the tolerance), or not decided. A
busy machine is named, but does not void the comparison, as it does one with another library: the
two trees do the same work in the same threads, so others disturb both alike, round by round, and
what is left of it widens the interval.

Absolute times of two days cannot be compared: the same machine may be 30 % slower today. So against
an older result each time is divided, round by round, by something that was timed beside it in both
runs and has not changed:

- the control: bare NumPy doing the same kind of work (calls, a matrix product, streaming);
- each torch variant, if both runs used the same version of it.

A regression is shown only if in *every* such unit minigrad became slower by more than the
tolerance, with the whole interval of the change beyond it: one unit alone may have changed for
reasons of its own. Peak memory is compared in bytes; imports and first steps in units of torch's.
Fewer than five rounds in either run show nothing about times.
"""
from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from . import quiet
from .catalogue import PROGRAMS
from .machine import ROOT
from .peers import TORCH, Peer, other_tree
from .records import Record
from .report import in_threads, in_words, quantity
from .statistics import Ratio, change, geometric_mean, paired

TOLERANCE = 0.10
CONFIDENCE = 0.90       # of either run's interval, for a change of time to count


def find(what: str | None, scratch: Path, reading: bool) -> tuple[Record | None, Peer | None]:
    """What --against names: an older result, or another tree; a revision is unpacked in scratch.

    Raises: ValueError if it is none of these, or a tree where nothing is measured.
    """
    if what is None:
        return None, None
    path = Path(what)
    if path.is_file():
        return Record.load(path), None
    if reading:
        raise ValueError(f"--against {what}: with --from, only an older run.json can be compared; "
                         "want an existing file")
    if path.is_dir():
        return None, other_tree(path)
    return None, _revision(what, scratch)


def _revision(name: str, scratch: Path) -> Peer:
    """minigrad as it was at a git revision of this repository."""
    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout
    try:
        commit = git("rev-parse", "--verify", "--quiet", "--end-of-options",
                     f"{name}^{{commit}}").decode().strip()
        files = git("archive", "--format=tar", commit, "minigrad")
    except (OSError, subprocess.SubprocessError):
        raise ValueError(f"--against {name}: want a run.json, the folder of another checkout, or a "
                         "git revision (such as HEAD~1) that holds minigrad") from None
    folder = scratch / commit[:12]
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(folder, filter="data")
    return other_tree(folder, commit[:12])


# ------------------------------------------------------------------ another tree, in this run

@dataclass
class Pair:
    """A program's time (or memory) in this tree over that in the other, paired."""

    program: str
    threads: int
    here: float
    there: float
    ratio: Ratio | None
    disturbance: str

    def verdict(self, tolerance: float) -> str:
        """slower, faster, no slower, or not decided: why."""
        r = self.ratio
        if r is None:
            return "not decided: not measured in both"
        if r.doubt:
            return f"not decided: {r.doubt}"
        if r.low > 1 + tolerance:
            return "SLOWER"
        if r.high < 1 / (1 + tolerance):
            return "faster"
        return "no slower" if r.high <= 1 + tolerance else "not decided: tolerance in the interval"


def other_trees(record: Record) -> list[str]:
    """The other checkouts of minigrad that took part in the run."""
    return [peer for peer in record.peers if peer.startswith("minigrad@")]


def pairs(record: Record, other: str) -> list[Pair]:
    """Every program that was to be measured in both trees."""
    found = []
    for threads in record.threads:
        for name in record.names(threads):
            ours, theirs = record.get(name, "minigrad", threads), record.get(name, other, threads)
            if name not in PROGRAMS or ours is None or theirs is None:
                continue
            both = ours.samples and theirs.samples
            found.append(Pair(name, threads, ours.median or 0.0, theirs.median or 0.0,
                              paired(ours.samples, theirs.samples) if both else None,
                              quiet.disturbance(record, name, threads)))
    return found


def pair_table(found: list[Pair], other: str, tolerance: float) -> str:
    """The pairs as text, and what they say together."""
    if not found:
        return f"Nothing to compare: no program was measured here and in {other}."
    width = max(len(pair.program) for pair in found)
    lines = [f"{'here / there, paired':{width + 13}}{'here':>10}{other:>24}{'ratio':>22}  verdict"]
    for pair in found:
        unit = PROGRAMS[pair.program].unit
        times = [quantity(t, unit) if t else "failed" for t in (pair.here, pair.there)]
        lines.append(f"{pair.program:{width}}  {in_threads(pair.threads)}".ljust(width + 13)
                     + f"{times[0]:>10}{times[1]:>24}"
                     + f"{in_words(pair.ratio) if pair.ratio else '':>22}  "
                     + pair.verdict(tolerance)
                     + f" ({pair.disturbance})" * bool(pair.disturbance))
    verdicts = [(pair.program, pair.verdict(tolerance)) for pair in found]
    named = {word: [n for n, v in verdicts if v.startswith(word)]
             for word in ("SLOWER", "faster", "no slower", "not decided")}
    ratios = [pair.ratio for pair in found if pair.ratio]
    lines += ["", f"Against {other}, {len(found)} comparisons, tolerance {100 * tolerance:.0f} %: "
              + "; ".join(f"{len(names)} {word.lower()}" + (
                  f" ({', '.join(names)})" if names and word in ("SLOWER", "not decided") else "")
                  for word, names in named.items())]
    if ratios:
        lines.append(f"geometric mean of here / there: {in_words(geometric_mean(ratios))}")
    if busy := sum(bool(pair.disturbance) for pair in found):
        lines.append(f"{busy} of them were made on a busy machine, which disturbs both trees "
                     "alike and widens the intervals.")
    lines.append("Verdict: " + (
        "something got slower." if named["SLOWER"] else
        "nothing got slower." if not named["not decided"] else
        "nothing is shown to be slower, but not everything is decided: measure those again, with "
        "more --rounds or on a quieter machine."))
    return "\n".join(lines)


def conclude(record: Record, old: Record | None, tolerance: float) -> bool:
    """Print all comparisons that can be made; whether one of them shows a regression."""
    worse = False
    for other in other_trees(record):
        found = pairs(record, other)
        print(pair_table(found, other, tolerance))
        worse |= any(pair.verdict(tolerance) == "SLOWER" for pair in found)
    if old:
        changes = compare(record, old)
        print(table(changes, tolerance))
        worse |= any(change.regressed(tolerance) for change in changes)
    return worse


# ------------------------------------------------------------------------- an older result

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
