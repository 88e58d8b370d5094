"""The table: medians, ratios to the best torch variant, targets met or missed, percent of peak."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import machine, quiet
from .catalogue import GROUPS, HEADLINE, PROGRAMS, Program
from .peers import TORCH
from .records import Record
from .statistics import Ratio, geometric_mean, interval, paired, quotient, spread

CONV_MEAN = 0.80            # the target for the geometric mean of the convolutions
CHECK_TOLERANCE = 2e-3      # relative; float32 sums in another order differ by less


@dataclass
class Row:
    """One line of the table, and one place of a picture.

    ratios: each library / the best torch variant, paired; without that variant itself, and empty if
        no torch was measured.
    """

    program: Program
    medians: dict[str, float]
    errors: dict[str, str]
    spread: float | None
    best: str | None
    ratios: dict[str, Ratio]
    percent: float | None
    verdict: str
    disturbance: str = ""
    note: str = ""

    @property
    def ratio(self) -> Ratio | None:
        """minigrad's."""
        return self.ratios.get("minigrad")


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


def ratios_to_torch(record: Record, name: str, threads: int) -> dict[str, Ratio]:
    """Each library over the best torch variant, round by round: what tables and pictures show."""
    best = best_torch(record, name, threads)
    if best is None:
        return {}
    theirs = record.samples(name, best, threads)
    return {m.peer: paired(m.samples, theirs) for m in record.measurements
            if (m.program, m.threads) == (name, threads) and m.samples
            and m.peer not in (best, "control")}


def row_of(record: Record, program: Program, threads: int) -> Row:
    """What a program's measurements say."""
    rows = [m for m in record.measurements
            if m.program == program.name and m.threads == threads and m.peer != "control"]
    medians = {m.peer: m.median for m in rows if m.median is not None}
    errors = {m.peer: m.error for m in rows if m.error}
    ours = record.samples(program.name, "minigrad", threads)
    best = best_torch(record, program.name, threads)
    ratios = ratios_to_torch(record, program.name, threads)
    ratio = ratios.get("minigrad")
    why = quiet.disturbance(record, program.name, threads)
    verdict = ""
    if ours and program.limit is not None and program.base is None:
        verdict = (interval(ours).verdict(program.limit, why)
                   + f" (at most {quantity(program.limit, 's')})")
    elif ratio and program.target is not None:
        verdict = ratio.verdict(program.target, why)
    open_already = verdict.startswith("not decided")
    if ratio and program.measure == "steady" and not ratio.shown and not open_already:
        doubt = "no difference shown" if ratio.low <= 1 <= ratio.high else "too few rounds"
        verdict = f"{verdict}; {doubt}".removeprefix("; ")
    percent = percent_of_limit(record, program, threads, medians["minigrad"]) if ours else None
    return Row(program, medians, errors, spread(ours) if ours else None, best, ratios, percent,
               verdict, why, _disagreement(record, program, threads))


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


def in_words(ratio: Ratio) -> str:
    """0.25 [0.24 0.30]; two digits, never 0.00."""
    return f"{times(ratio.median)} [{times(ratio.low)} {times(ratio.high)}]"


def times(value: float) -> str:
    """A ratio: 12.3, 0.25, 0.0031."""
    if value >= 0.0995:
        return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}"
    return f"{value:.2g}"


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
            error = row.errors.get(peer, "")
            cells.append("left out" if error.startswith("left out") else "failed" * bool(error))
    cells.insert(2, f"{100 * row.spread:.0f} %" if row.spread is not None else "")
    ratio = row.ratio
    cells.append(in_words(ratio) if ratio else "")
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
            goal = (f" (target {CONV_MEAN:.2f}: {_mean_verdict(own)})" if group == "conv" else "")
            lines += ["", f"geometric mean of the {len(ratios)} ratios: "
                      f"{in_words(geometric_mean(ratios))}{goal}"]
    lines += _headline(rows, markdown)
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


def headline_rows(record: Record, threads: int) -> list[Row]:
    """The rows of the README's picture, those of which a ratio to torch was measured."""
    rows = [row_of(record, PROGRAMS[name], threads) for name in HEADLINE
            if name in record.names(threads)]
    return [row for row in rows if row.ratio is not None]


def _headline(rows: list[Row], markdown: bool) -> list[str]:
    """What headline.svg and peers.svg draw, in numbers: every library over the best torch."""
    shown = [row for row in rows if any(peer != "minigrad" and peer not in TORCH
                                        for peer in row.ratios)]
    if not shown:
        return []
    peers = list(dict.fromkeys(peer for row in shown for peer in row.ratios))
    body = [[row.program.name, *[in_words(row.ratios[p]) if p in row.ratios else "" for p in peers],
             row.best or "", ""] for row in shown]
    title = "every library's time over that of the best torch variant, as the pictures show it"
    return ["", f"### {title}" if markdown else f"-- {title}", "",
            *_layout(["program", *peers, "torch variant", ""], body, markdown)]


def _ratios(rows: list[Row]) -> list[Ratio]:
    return [r.ratio for r in rows if r.ratio and r.program.measure == "steady"]


def _mean_verdict(rows: list[Row]) -> str:
    """Of the convolutions' mean; a row of few rounds voids it, a wide one widens its interval."""
    kept = [r for r in rows if r.ratio and r.program.measure == "steady"]
    bad = [r for r in kept if r.disturbance]
    why = f"{len(bad)} of {len(kept)} rows were disturbed" if bad else ""
    return geometric_mean(_ratios(kept)).verdict(CONV_MEAN, why)


def growth_of(record: Record, program: Program, peer: str, threads: int) -> Ratio | None:
    """Time over the base's time and the growth: 1 if time is linear.

    The two programs were not measured in the same rounds, so nothing is paired here.
    """
    assert program.base is not None
    ours, base = (record.samples(name, peer, threads) for name in (program.name, program.base))
    if not ours or not base:
        return None
    found, n = quotient(ours, base), program.growth
    return Ratio(found.median / n, found.low / n, found.high / n, found.confidence)


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
            why = (quiet.disturbance(record, name, threads)
                   or quiet.disturbance(record, program.base, threads))
            verdict = f"{ours.verdict(program.limit, why)} (at most {program.limit:.2f})"
        lines.append([name, program.base, f"x{program.growth:g}",
                      *[in_words(g) if g else "" for g in grown.values()], verdict, ""])
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
        convolutions = [r for r in rows if r.program.group == "conv"]
        if len(_ratios(convolutions)) > 1:
            verdicts.append(("mean of the convolutions", _mean_verdict(convolutions)))
        named = {word: [n for n, v in verdicts if v.startswith(word)]
                 for word in ("met", "missed", "not decided")}
        if total := sum(map(len, named.values())):
            rest = "".join(f"; {word}: {', '.join(names)}" for word, names in named.items()
                           if names and word != "met")
            lines.append(f"{in_threads(threads)}: {len(named['met'])} of {total} targets met{rest}")
    return "\n".join(lines)


def report(record: Record, markdown: bool = False) -> str:
    """Everything: tables, peaks, summary, legend, machine."""
    parts = []
    if not record.complete:
        parts.append("Interrupted: what was measured until then.")
    parts.append(quiet.verdict(record))
    for threads in record.threads:
        words = in_threads(threads)
        if threads in record.peaks:
            flops, bandwidth = record.peaks[threads]
            words += (f"; measured peaks: {flops / 1e9:.0f} GFLOP/s (float32), "
                      f"{bandwidth / 1e9:.1f} GB/s")
        parts.append((f"## {words}" if markdown else f"== {words}")
                     + "\n" + table(record, threads, markdown))
    parts += [summary(record), quiet.verdict(record), LEGEND, _about(record.machine),
              *_missing(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


LEGEND = """\
Times are medians of the rounds. spread: half the distance between minigrad's quartiles over its
median. ratio to torch: minigrad over the best torch variant, paired round by round: median and the
interval that holds it with 95 % confidence; less than 1 is faster. "no difference shown": the
interval contains 1. A target is met if the whole interval is at or below it, missed if the whole
interval is above it. Otherwise, or with under 6 rounds, or if an interval spans more than a factor
of 2, or if the machine was busy with other work, it is not decided. Numbers marked ! and "failed"
are explained under the table. of limit: the time that the two measured peaks allow,
max(flops / peak, bytes / bandwidth), over minigrad's time; the formulas are in
benchmarks/programs.py."""


def _about(description: dict[str, Any]) -> str:
    return machine.in_words(description) + "\n" + description["command"]


def _missing(record: Record) -> list[str]:
    absent = [f"{peer} ({version})" for peer, version in record.peers.items()
              if version == "not installed"]
    parts = []
    if absent:
        parts.append(f"Not compared with: {', '.join(absent)}. `pip install -e \".[bench]\"` "
                     "brings what has a package for this system.")
    if not record.quiet and all(m.foreign is None for m in record.measurements):
        parts.append("How busy the machine was, is not recorded in this result.")
    return parts
