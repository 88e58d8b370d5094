"""The table: medians, ratios to the best torch variant, targets met or missed, percent of peak."""
from __future__ import annotations

from dataclasses import dataclass

from . import machine, quiet
from .catalogue import GROUPS, PROGRAMS, Program
from .peers import TORCH
from .records import Record
from .statistics import Ratio, geometric_mean, interval, paired, spread

CHECK_TOLERANCE = 2e-3      # relative; float32 sums in another order differ by less


@dataclass
class Row:
    """One line of the table, and one place of a picture.

    ratio: minigrad / the best torch variant, paired.
    rival, rival_ratio: the best of all other libraries, and minigrad / it, paired. Of import and
        first step, the best torch variant: who has no layers, or compiles nothing, starts sooner.
    percent: of the machine's limit.
    """

    program: Program
    medians: dict[str, float]
    errors: dict[str, str]
    spread: float | None
    ratio: Ratio | None
    rival: str | None
    rival_ratio: Ratio | None
    percent: float | None
    verdict: str
    disturbance: str
    note: str


def row_of(record: Record, program: Program, threads: int) -> Row:
    """What a program's measurements say."""
    name = program.name
    rows = [m for m in record.measurements
            if (m.program, m.threads) == (name, threads) and m.peer != "control"]
    medians = {m.peer: m.median for m in rows if m.median is not None}
    ours = record.samples(name, "minigrad", threads)
    others = [peer for peer in medians if not peer.startswith("minigrad")]
    best = min((p for p in others if p in TORCH), key=medians.__getitem__, default=None)
    rival = (min(others, key=medians.__getitem__, default=None) if program.group != "startup"
             else best)
    ratio, rival_ratio = [paired(ours, record.samples(name, peer, threads))
                          if ours and peer else None for peer in (best, rival)]
    disturbance = quiet.disturbance(record, name, threads)
    verdict = ""
    if ours and program.limit is not None:
        verdict = (interval(ours).verdict(program.limit, disturbance)
                   + f" (at most {quantity(program.limit, 's')})")
    elif ratio and program.target is not None:
        verdict = ratio.verdict(program.target, disturbance)
    if (ratio and program.measure == "steady" and not ratio.shown
            and not verdict.startswith("not decided")):
        doubt = "no difference shown" if ratio.low <= 1 <= ratio.high else "too few rounds"
        verdict = f"{verdict}; {doubt}".removeprefix("; ")
    return Row(program, medians, {m.peer: m.error for m in rows if m.error},
               spread(ours) if ours else None, ratio, rival, rival_ratio,
               percent_of_limit(record, program, threads, medians.get("minigrad")), verdict,
               disturbance, _disagreement(record, program, threads))


def rows_of(record: Record, threads: int) -> list[Row]:
    """All programs that were measured with so many threads and are in the catalogue."""
    return [row_of(record, PROGRAMS[name], threads) for name in record.names(threads)
            if name in PROGRAMS]


def percent_of_limit(record: Record, program: Program, threads: int,
                     seconds: float | None) -> float | None:
    """The time that the measured peaks allow, max(flops / peak, bytes / bandwidth), in percent.

    Over 100 % means that data came from a cache faster than the memory that was measured, or that
    the algorithm needs fewer operations than are counted (Winograd's for convolution).
    """
    if not seconds or program.work is None or threads not in record.peaks:
        return None
    return 100 * max(amount / rate for amount, rate in
                     zip(program.work, record.peaks[threads])) / seconds


def _disagreement(record: Record, program: Program, threads: int) -> str:
    """Which libraries did not compute what minigrad did; "" if all agree."""
    ours = record.get(program.name, "minigrad", threads)
    if not ours or not ours.check:
        return ""
    wrong = [m.peer for m in record.measurements
             if (m.program, m.threads) == (program.name, threads) and m.peer != "control"
             and m.check and (len(m.check) != len(ours.check) or any(
                 not abs(a - b) <= CHECK_TOLERANCE * max(abs(a), abs(b), 1e-6)
                 for a, b in zip(ours.check, m.check)))]
    return f"other results than minigrad: {', '.join(wrong)}" if wrong else ""


# ------------------------------------------------------------------------------ numbers in words

def quantity(value: float, unit: str) -> str:
    """Three digits and a unit: 12.3 µs, 4.56 ms, 1.20 GB."""
    scale = ((("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)) if unit == "bytes" else
             (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)))
    name, size = next((entry for entry in scale if value >= entry[1]), scale[-1])
    number = value / size
    return f"{number:.{0 if number >= 99.5 else 1 if number >= 9.95 else 2}f} {name}"


def in_threads(count: int) -> str:
    """1 thread, 2 threads."""
    return f"{count} thread" + "s" * (count > 1)


def in_words(ratio: Ratio) -> str:
    """0.25 [0.24 0.30]; two digits, never 0.00."""
    return f"{times(ratio.median)} [{times(ratio.low)} {times(ratio.high)}]"


def times(value: float) -> str:
    """A ratio: 12.3, 0.25, 0.0031."""
    if value >= 0.0995:
        return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}"
    return f"{value:.2g}"


def layout(header: list[str], body: list[list[str]], markdown: bool = False) -> list[str]:
    """A table's lines: the first column and those called verdict to the left, numbers right."""
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

    def join(cells: list[str]) -> str:
        padded = [c.ljust(w) if title in (header[0], "verdict") else c.rjust(w)
                  for c, w, title in zip(cells, widths, header)]
        return "| " + " | ".join(padded) + " |" if markdown else "  ".join(padded).rstrip()
    rule = ["|" + "|".join("-" * (w + 2) for w in widths) + "|"] if markdown else []
    return [join(header), *rule, *map(join, body)]


# ------------------------------------------------------------------------------------ the report

def _cells(row: Row, peers: list[str]) -> list[str]:
    def time(peer: str) -> str:
        error = row.errors.get(peer, "")
        if peer in row.medians:
            return quantity(row.medians[peer], row.program.unit) + " !" * bool(error)
        return "left out" if error.startswith("left out") else "failed" * bool(error)
    target, ratio, rival = row.program.target, row.ratio, row.rival_ratio
    return [row.program.name, time("minigrad"),
            f"{100 * row.spread:.0f} %" if row.spread is not None else "", *map(time, peers),
            in_words(ratio) if ratio else "",
            f"{in_words(rival)} {row.rival}" if rival and row.rival not in TORCH else "",
            f"{target:.2f}" if target is not None else "", row.verdict,
            f"{row.percent:.0f} %" if row.percent is not None else ""]


def table(record: Record, threads: int, markdown: bool = False) -> str:
    """The programs by group, as text or Markdown."""
    rows, lines = rows_of(record, threads), []

    def add(title: str, header: list[str], body: list[list[str]]) -> None:
        kept = [i for i, name in enumerate(header) if i == 0 or any(line[i] for line in body)]
        lines.extend(["", f"### {title}" if markdown else f"-- {title}", "", *layout(
            [header[i] for i in kept], [[line[i] for i in kept] for line in body], markdown)])
    for group, about in GROUPS.items():
        own = [r for r in rows if r.program.group == group]
        if not own:
            continue
        peers = [p for p in record.peers if p != "minigrad"]
        add(f"{group}: {about}", ["program", "minigrad", "spread", *peers, "ratio to torch",
                                  "to a faster one", "target", "verdict", "of limit"],
            [_cells(r, peers) for r in own])
        ratios = [r.ratio for r in own if r.ratio and r.program.measure == "steady"]
        if len(ratios) > 1:
            lines += ["", f"geometric mean of the {len(ratios)} ratios: "
                      f"{in_words(geometric_mean(ratios))}"]
    remarks = [f"{r.program.name}: {peer}: {error}" for r in rows for peer, error in
               r.errors.items()] + [f"{r.program.name}: {r.note}" for r in rows if r.note]
    if remarks:
        lines += ["", *[f"! {remark}" + ("  " if markdown else "") for remark in remarks]]
    return "\n".join(lines)


def summary(record: Record) -> str:
    """How many targets are met, for each number of threads, and which are not."""
    lines = []
    for threads in record.threads:
        rows = rows_of(record, threads)
        named = {word: [r.program.name for r in rows if r.verdict.startswith(word)]
                 for word in ("met", "missed", "not decided")}
        if total := sum(map(len, named.values())):
            rest = "".join(f"; {word}: {', '.join(names)}" for word, names in named.items()
                           if names and word != "met")
            lines.append(f"{in_threads(threads)}: {len(named['met'])} of {total} targets met{rest}")
    return "\n".join(lines)


LEGEND = """\
Times are medians of the rounds. spread: half the distance between minigrad's quartiles over its
median. ratio to torch: minigrad over the best torch variant, paired round by round: median and the
interval that holds it with 95 % confidence; less than 1 is faster. to a faster one: the same over
another library, where one is faster than torch. "no difference shown": the interval contains 1. A
target is met if the whole interval is at or below it, missed if the whole interval is above it.
Otherwise, or with under 6 rounds, or if an interval spans more than a factor of 2, or if the
machine was busy with other work, it is not decided. Numbers marked ! and "failed" are explained
under the table. of limit: the time that the two measured peaks allow, max(flops / peak, bytes /
bandwidth), over minigrad's time; the formulas are in benchmarks/programs.py."""


def report(record: Record, markdown: bool = False) -> str:
    """Everything: tables, peaks, summary, legend, machine."""
    busy = quiet.verdict(record)
    parts = ["" if record.complete else "Interrupted: what was measured until then.", busy]
    for threads in record.threads:
        words = in_threads(threads)
        if threads in record.peaks:
            flops, bandwidth = record.peaks[threads]
            words += (f"; measured peaks: {flops / 1e9:.0f} GFLOP/s (float32), "
                      f"{bandwidth / 1e9:.1f} GB/s")
        parts.append(("## " if markdown else "== ") + words + "\n"
                     + table(record, threads, markdown))
    parts += [summary(record), busy, LEGEND, machine.in_words(record.machine) + "\n"
              + record.machine["command"]]
    if absent := [peer for peer, version in record.peers.items() if version == "not installed"]:
        parts.append(f"Not compared with: {', '.join(absent)} (not installed). `pip install -e "
                     '".[bench]"` brings what has a package for this system.')
    if not record.quiet and all(m.foreign is None for m in record.measurements):
        parts.append("How busy the machine was, is not recorded in this result.")
    return "\n\n".join(part for part in parts if part) + "\n"
