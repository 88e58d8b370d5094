"""Did anything get slower? Another checkout of minigrad, compared in the same run.

The other checkout (a folder, or a git revision) takes part as one more library, so its times are
paired round by round with this tree's, and their ratio needs no unit: times of two days could not
be compared, since the same machine may be 30 % slower today. What is said of each program: slower
(the whole interval of the ratio lies beyond the tolerance), faster, no slower (the interval ends
within the tolerance), or not decided. A busy machine is named, but does not void the comparison, as
it does one with another library: the two trees do the same work in the same threads, so others
disturb both alike, round by round, and what is left of it widens the interval.
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
from .peers import Peer, other_tree
from .records import Record
from .report import in_threads, in_words, layout, quantity
from .statistics import Ratio, geometric_mean, paired

TOLERANCE = 0.10


def find(what: str, scratch: Path) -> Peer:
    """The other tree that --against names; a revision is unpacked in scratch.

    Raises: ValueError if it is neither a checkout's folder nor a revision that holds minigrad.
    """
    if Path(what).is_dir():
        return other_tree(Path(what))

    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout
    try:
        commit = git("rev-parse", "--verify", "--quiet", "--end-of-options",
                     f"{what}^{{commit}}").decode().strip()
        files = git("archive", "--format=tar", commit, "minigrad")
    except (OSError, subprocess.SubprocessError):
        raise ValueError(f"--against {what}: want the folder of another checkout, or a git "
                         "revision (such as HEAD~1) that holds minigrad") from None
    folder = scratch / commit[:12]
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(folder, filter="data")
    return other_tree(folder, commit[:12])


@dataclass
class Pair:
    """A program's time (or memory) in this tree over that in the other, paired."""

    program: str
    threads: int
    here: float | None
    there: float | None
    ratio: Ratio | None
    disturbance: str

    def verdict(self, tolerance: float) -> str:
        """SLOWER, faster, no slower, or not decided: why."""
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


def pairs(record: Record, other: str) -> list[Pair]:
    """Every program that was to be measured in both trees."""
    found = []
    for threads in record.threads:
        for name in record.names(threads):
            ours, theirs = record.get(name, "minigrad", threads), record.get(name, other, threads)
            if name not in PROGRAMS or ours is None or theirs is None:
                continue
            both = ours.samples and theirs.samples
            found.append(Pair(name, threads, ours.median, theirs.median,
                              paired(ours.samples, theirs.samples) if both else None,
                              quiet.disturbance(record, name, threads)))
    return found


def table(found: list[Pair], other: str, tolerance: float) -> str:
    """The pairs as text, and what they say together."""
    if not found:
        return f"Nothing to compare: no program was measured here and in {other}."
    body: list[list[str]] = []
    named: dict[str, list[str]] = {
        word: [] for word in ("SLOWER", "faster", "no slower", "not decided")}
    for pair in found:
        verdict, unit = pair.verdict(tolerance), PROGRAMS[pair.program].unit
        named[next(word for word in named if verdict.startswith(word))].append(pair.program)
        times = [quantity(t, unit) if t else "failed" for t in (pair.here, pair.there)]
        body.append([pair.program, in_threads(pair.threads), *times,
                     in_words(pair.ratio) if pair.ratio else "",
                     verdict + f" ({pair.disturbance})" * bool(pair.disturbance)])
    lines = layout(["here / there, paired", "", "here", other, "ratio", "verdict"], body)
    lines += ["", f"Against {other}, {len(found)} comparisons, tolerance {100 * tolerance:.0f} %: "
              + "; ".join(f"{len(names)} {word.lower()}" + (
                  f" ({', '.join(names)})" if names and word in ("SLOWER", "not decided") else "")
                  for word, names in named.items())]
    if ratios := [pair.ratio for pair in found if pair.ratio]:
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


def conclude(record: Record, tolerance: float) -> bool:
    """Print the comparison with each other tree of the run; whether something got slower."""
    worse = False
    for other in [peer for peer in record.peers if peer.startswith("minigrad@")]:
        found = pairs(record, other)
        print(table(found, other, tolerance))
        worse |= any(pair.verdict(tolerance) == "SLOWER" for pair in found)
    return worse
