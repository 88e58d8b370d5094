"""The table: medians, ratios to the best torch variant, targets met or missed, percent of peak."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import machine
from .catalogue import GROUPS, PROGRAMS, Program
from .peers import TORCH
from .records import Record
from .statistics import Ratio, geometric_mean, interval, paired, spread

CONV_MEAN = 0.80            # the target for the geometric mean of the convolutions
CHECK_TOLERANCE = 2e-3      # relative; float32 sums in another order differ by less


@dataclass
class Row:
    """One line of the table. ratio: minigrad / best torch variant, if both were measured."""

    program: Program
    medians: dict[str, float]
    errors: dict[str, str]
    spread: float | None
    best: str | None
    ratio: Ratio | None
    percent: float | None
    verdict: str
    note: str = ""


def best_torch(record: Record, name: str, threads: int) -> str | None:
    """The torch variant with the smallest median."""
    found = {peer: m.median for peer in TORCH
             if (m := record.get(name, peer, threads)) and m.median is not None}
    return min(found, key=lambda peer: found[peer] or 0.0) if found else None


def percent_of_limit(record: Record, program: Program, threads: int,
                     seconds: float) -> float | None:
    """The time that the measured peaks allow, max(flops / peak, bytes / bandwidth), in percent.

    Over 100 % means that data came from a cache faster than the memory that was measured, or that
    the algorithm needs fewer operations than are counted (Winograd's for convolution).
    """
    if threads not in record.peaks or program.measure != "steady":
        return None
    if program.flops is None or program.bytes is None:
        return None
    flops, bandwidth = record.peaks[threads]
    sizes = program.sizes
    return 100 * max(program.flops(**sizes) / flops, program.bytes(**sizes) / bandwidth) / seconds


def against_target(ratio: Ratio, target: float) -> str:
    """met or missed; with a question mark where the target lies inside the interval."""
    word = "met" if ratio.median <= target else "missed"
    return word + ("?" if ratio.low <= target < ratio.high else "")


def row_of(record: Record, program: Program, threads: int) -> Row:
    """What a program's measurements say."""
    rows = [m for m in record.measurements
            if m.program == program.name and m.threads == threads and m.peer != "control"]
    medians = {m.peer: m.median for m in rows if m.median is not None}
    errors = {m.peer: m.error for m in rows if m.error}
    ours = record.samples(program.name, "minigrad", threads)
    best = best_torch(record, program.name, threads)
    ratio = paired(ours, record.samples(program.name, best, threads)) if ours and best else None
    verdict = ""
    if ours and program.limit is not None and program.base is None:
        own = interval(ours)
        verdict = against_target(own, program.limit) + f" (at most {quantity(program.limit, 's')})"
    elif ratio and program.target is not None:
        verdict = against_target(ratio, program.target)
    if ratio and program.measure == "steady" and not ratio.shown:
        why = "no difference shown" if ratio.low <= 1 <= ratio.high else "too few rounds"
        verdict = f"{verdict}; {why}".removeprefix("; ")
    percent = percent_of_limit(record, program, threads, medians["minigrad"]) if ours else None
    return Row(program, medians, errors, spread(ours) if ours else None, best, ratio, percent,
               verdict, _disagreement(record, program, threads))


def _disagreement(record: Record, program: Program, threads: int) -> str:
    """Which libraries did not compute what minigrad did; "" if all agree."""
    ours = record.get(program.name, "minigrad", threads)
    if not ours or not ours.check:
        return ""
    wrong = []
    for m in record.measurements:
        if (m.program, m.threads) != (program.name, threads) or m.peer == "control" or not m.check:
            continue
        pairs = list(zip(ours.check, m.check))
        if len(ours.check) != len(m.check) or any(
                abs(a - b) > CHECK_TOLERANCE * max(abs(a), abs(b), 1e-6) for a, b in pairs):
            wrong.append(m.peer)
    return f"other results than minigrad: {', '.join(wrong)}" if wrong else ""


# ------------------------------------------------------------------------------ numbers in words

def quantity(value: float, unit: str) -> str:
    """Three digits and a unit: 12.3 µs, 4.56 ms, 1.2 GB."""
    if unit == "bytes":
        for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if abs(value) >= size:
                return f"{_digits(value / size)} {name}"
        return f"{value:.0f} B"
    for name, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{_digits(value / size)} {name}"
    return f"{_digits(value / 1e-6)} µs"


def in_threads(count: int) -> str:
    """1 thread, 2 threads."""
    return f"{count} thread" + "s" * (count > 1)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def _cells(row: Row, peers: list[str]) -> list[str]:
    unit = row.program.unit
    cells = [row.program.name]
    for peer in peers:
        if peer in row.medians:
            text = quantity(row.medians[peer], unit)
            cells.append(text + (" !" if peer in row.errors else ""))
        else:
            cells.append("failed" if peer in row.errors else "")
    cells.insert(2, f"{100 * row.spread:.0f} %" if row.spread is not None else "")
    ratio = row.ratio
    cells.append(f"{ratio.median:.2f} [{ratio.low:.2f} {ratio.high:.2f}]" if ratio else "")
    cells.append(f"{row.program.target:.2f}" if row.program.target is not None else "")
    cells.append(row.verdict)
    cells.append(f"{row.percent:.0f} %" if row.percent is not None else "")
    return cells


def _layout(header: list[str], body: list[list[str]], markdown: bool) -> list[str]:
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

    def join(cells: list[str]) -> str:
        padded = [c.ljust(w) if i in (0, len(cells) - 2) else c.rjust(w)
                  for i, (c, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |" if markdown else "  ".join(padded).rstrip()
    lines = [join(header)]
    if markdown:
        lines.append("|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return lines + [join(line) for line in body]


# ------------------------------------------------------------------------------------ the report

def table(record: Record, threads: int, markdown: bool = False) -> str:
    """The programs by group, as text or Markdown."""
    names = [name for name in record.names(threads) if name in PROGRAMS]
    rows = [row_of(record, PROGRAMS[name], threads) for name in names]
    lines: list[str] = []
    for group, about in GROUPS.items():
        own = [r for r in rows if r.program.group == group]
        if not own:
            continue
        known = [p for p in record.peers if any(p in r.medians or p in r.errors for r in own)]
        peers = ["minigrad", *[p for p in known if p != "minigrad"]]
        header = ["program", peers[0], "spread", *peers[1:], "ratio to torch", "target", "verdict",
                  "of limit"]
        lines += ["", f"### {group}: {about}" if markdown else f"-- {group}: {about}", ""]
        lines += _layout(header, [_cells(r, peers) for r in own], markdown)
        ratios = _ratios(own)
        if len(ratios) > 1:
            mean = geometric_mean(ratios)
            goal = f" (target {CONV_MEAN:.2f}: {_word(mean, CONV_MEAN)})" if group == "conv" else ""
            lines += ["", f"geometric mean of the {len(ratios)} ratios: {mean:.2f}{goal}"]
    growth = _growth(record, threads)
    if growth:
        title = "linear growth: time over what the base row, times the growth, would take"
        lines += ["", f"### {title}" if markdown else f"-- {title}", "",
                  *_layout(["program", "base", "growth", "minigrad", *TORCH[:2], "verdict", ""],
                           growth, markdown)]
    remarks = [f"{r.program.name}: {peer}: {error}" for r in rows for peer, error in
               r.errors.items()] + [f"{r.program.name}: {r.note}" for r in rows if r.note]
    if remarks:
        lines += ["", *[f"! {remark}" + ("  " if markdown else "") for remark in remarks]]
    return "\n".join(lines)


def _ratios(rows: list[Row]) -> list[float]:
    return [r.ratio.median for r in rows if r.ratio and r.program.measure == "steady"]


def _word(value: float, limit: float) -> str:
    return "met" if value <= limit else "missed"


def growth_of(record: Record, program: Program, peer: str, threads: int) -> float | None:
    """Time over the base's time and the growth: 1 if time is linear."""
    assert program.base is not None
    ours, base = (record.get(name, peer, threads) for name in (program.name, program.base))
    if not ours or not base or not ours.median or not base.median:
        return None
    return ours.median / base.median / program.growth


def _growth(record: Record, threads: int) -> list[list[str]]:
    lines = []
    for name in record.names(threads):
        program = PROGRAMS.get(name)
        if program is None or program.base is None:
            continue
        grown = {peer: growth_of(record, program, peer, threads) for peer in
                 ("minigrad", *TORCH[:2])}
        if not any(grown.values()):
            continue
        ours, verdict = grown["minigrad"], ""
        if ours is not None and program.limit is not None:
            verdict = f"{_word(ours, program.limit)} (at most {program.limit:.2f})"
        lines.append([name, program.base, f"x{program.growth:g}",
                      *[f"{g:.2f}" if g else "" for g in grown.values()], verdict, ""])
    return lines


def summary(record: Record) -> str:
    """How many targets are met, for each number of threads: of rows, of growth, of convolutions."""
    lines = []
    for threads in record.threads:
        rows = [row_of(record, PROGRAMS[n], threads) for n in record.names(threads)
                if n in PROGRAMS]
        verdicts = [(r.program.name, r.verdict) for r in rows if r.verdict]
        verdicts += [(f"growth of {name}", verdict) for name, *_, verdict, _ in
                     _growth(record, threads) if verdict]
        ratios = _ratios([r for r in rows if r.program.group == "conv"])
        if len(ratios) > 1:
            verdicts.append(("mean of the convolutions", _word(geometric_mean(ratios), CONV_MEAN)))
        met = [n for n, v in verdicts if v.startswith("met")]
        missed = [n for n, v in verdicts if v.startswith("missed")]
        if met or missed:
            total = len(met) + len(missed)
            rest = f"; missed: {', '.join(missed)}" if missed else ""
            lines.append(f"{in_threads(threads)}: {len(met)} of {total} targets met{rest}")
    return "\n".join(lines)


def report(record: Record, markdown: bool = False) -> str:
    """Everything: tables, peaks, summary, legend, machine."""
    parts = []
    if not record.complete:
        parts.append("Interrupted: what was measured until then.")
    for threads in record.threads:
        words = in_threads(threads)
        if threads in record.peaks:
            flops, bandwidth = record.peaks[threads]
            words += (f"; measured peaks: {flops / 1e9:.0f} GFLOP/s (float32), "
                      f"{bandwidth / 1e9:.1f} GB/s")
        parts.append((f"## {words}" if markdown else f"== {words}")
                     + "\n" + table(record, threads, markdown))
    parts += [summary(record), LEGEND, _about(record.machine), *_missing(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


LEGEND = """\
Times are medians of the rounds. spread: half the distance between minigrad's quartiles over its
median. ratio to torch: minigrad over the best torch variant, paired round by round: median and the
interval that holds it with 95 % confidence; less than 1 is faster. "no difference shown": the
interval contains 1; "too few rounds": there were under 6, and it holds the median less surely.
A verdict with ? has its target inside the interval. Numbers marked ! and "failed" are explained
under the table. of limit: the time that the two measured peaks allow, max(flops / peak,
bytes / bandwidth), over minigrad's time; the formulas are in benchmarks/programs.py."""


def _about(description: dict[str, Any]) -> str:
    return machine.in_words(description) + "\n" + description["command"]


def _missing(record: Record) -> list[str]:
    absent = [f"{peer} ({version})" for peer, version in record.peers.items()
              if version == "not installed"]
    if not absent:
        return []
    return [f"Not compared with: {', '.join(absent)}. `pip install -e \".[bench]\"` brings them."]
