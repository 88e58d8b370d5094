"""The two pictures of a run: how minigrad compares, and how close to the machine's limits it is.

Both are one drawing: a line a program, a mark for each number of threads, on an axis. Shape and
filling tell the marks apart, not colour alone; the background is opaque and light, so that they can
be read on a light and on a dark page. Text stays text, which keeps the files small. Every number is
the table's. Not here: what the numbers mean (report.py, statistics.py).
"""
from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from . import quiet
from .catalogue import GROUPS
from .records import Record
from .report import Row, in_threads, rows_of, times

PAPER, INK, GREY, PALE, ALARM = "#fcfcfb", "#22282e", "#5c656e", "#e3e6e9", "#9c1c1c"
FEW, MOST = "#0072b2", "#d55e00"        # Okabe and Ito's blue and vermilion
_STYLE: Any = {
    "font.size": 10, "text.color": INK, "axes.edgecolor": GREY, "xtick.color": INK,
    "ytick.color": INK, "axes.facecolor": PAPER, "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER, "legend.frameon": False, "svg.fonttype": "none",
    "svg.hashsalt": "minigrad", "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1,
}
LABELS = {"torch": "PyTorch", "torch-channels-last": "PyTorch (NHWC)",
          "torch-compile": "torch.compile", "jax": "JAX", "tensorflow": "TensorFlow",
          "tensorflow-xla": "TensorFlow XLA", "mlx": "MLX", "mygrad": "MyGrad",
          "autograd": "autograd"}


@dataclass
class Mark:
    """A number and its interval, and what is written at the line's end about it."""

    middle: float
    low: float
    high: float
    words: str
    doubtful: bool = False


def draw_all(record: Record, folder: Path) -> list[Path]:
    """The pictures for which the record has data, as SVG in `folder`; returns the files."""
    paths = []
    for draw in (relative, limits):
        figure = draw(record)
        if figure:
            paths.append(folder / f"{draw.__name__}.svg")
            with matplotlib.rc_context(_STYLE):
                figure.savefig(paths[-1], metadata={"Date": None})
    return paths


def relative(record: Record) -> Figure | None:
    """Time (or memory) relative to the best other library: all programs, all numbers of threads."""
    def mark(row: Row) -> Mark | None:
        ratio = row.rival_ratio
        if ratio is None or row.rival is None:
            return None
        doubtful = bool(row.disturbance or ratio.doubt)
        return Mark(ratio.median, ratio.low, ratio.high,
                    f"{times(ratio.median)}{'?' * doubtful} of {LABELS.get(row.rival, row.rival)}",
                    doubtful)
    return _dots(record, mark, 1.0, True,
                 "minigrad's time (or memory) relative to the best other library's",
                 "Left of the line is faster. Marks: median over the rounds of the ratio to "
                 "whichever other library is the fastest there (startup: PyTorch); lines: its 95 % "
                 "interval.",
                 lambda value: f"{value:g}")


def limits(record: Record) -> Figure | None:
    """Per cent of what the machine's arithmetic and memory allow: a roofline, its roof a line."""
    def mark(row: Row) -> Mark | None:
        if row.percent is None or row.program.work is None:
            return None
        flops, moved = row.program.work
        return Mark(row.percent, row.percent, row.percent,
                    f"{row.percent:.0f} %, {times(flops / moved)} flop/B", bool(row.disturbance))
    peaks = ", ".join(f"{flops / 1e9:.0f} GFLOP/s and {moved / 1e9:.0f} GB/s with {in_threads(n)}"
                      for n, (flops, moved) in record.peaks.items())
    return _dots(record, mark, 100.0, False,
                 "How close minigrad is to the machine's limit, whichever of arithmetic and memory "
                 "is narrower",
                 f"Measured limits: {peaks}. At the right: flops per byte that must move. Beyond "
                 "100 %: caches, or Winograd's way, which multiplies less than is counted.",
                 lambda value: f"{value:.0f} %")


def _dots(record: Record, mark: Callable[[Row], Mark | None], line: float, logarithmic: bool,
          title: str, notes: str, write: Callable[[float], str]) -> Figure | None:
    """Two columns of lines, a program each, in the catalogue's groups; None without any mark."""
    found: dict[str, dict[str, dict[int, Mark]]] = {}        # group -> program -> threads -> mark
    for threads in record.threads:
        for row in rows_of(record, threads):
            if point := mark(row):
                found.setdefault(row.program.group, {}).setdefault(
                    row.program.name, {})[threads] = point
    groups = [group for group in GROUPS if group in found]
    if not groups:
        return None
    marks = [point for programs in found.values() for by_threads in programs.values()
             for point in by_threads.values()]
    def height(of: list[str]) -> int:
        return sum(len(found[group]) + 1 for group in of)
    split = min(range(1, len(groups) + 1),
                key=lambda i: max(height(groups[:i]), height(groups[i:])))
    columns = [column for column in (groups[:split], groups[split:]) if column]
    lines = max(map(height, columns))
    notes += " ?: not to be relied on." * any(point.doubtful for point in marks)
    notes += f" {record.machine.get('cpu', '')}".rstrip() + "."
    busy = _busy(record, {name for programs in found.values() for name in programs})
    width = 6.2 * len(columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, 1.9 + 0.2 * lines))
        for axes, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns):
            _column(axes, {group: found[group] for group in column}, record.threads)
            axes.axvline(line, color=INK, linewidth=1.3, zorder=1)
            axes.set_ylim(lines - 0.3, -0.7)
            if logarithmic:
                axes.set_xscale("log")
                low = min(line, *[m.low for m in marks]) / 1.15
                high = max(line, *[m.high for m in marks]) * 1.15
                axes.set_xlim(low, high)
                axes.xaxis.set_major_locator(LogLocator(subs=(
                    (1, 2, 5) if high < 200 * low else (1, 3) if high < 3000 * low else (1,))))
                axes.xaxis.set_minor_locator(NullLocator())
            else:
                axes.set_xlim(0, 1.05 * max(line, *[m.high for m in marks]))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
        figure.axes[0].legend(
            handles=[Line2D([], [], **_look(threads, record.threads), label=in_threads(threads))
                     for threads in record.threads],
            loc="lower left", bbox_to_anchor=(0, 1), ncols=len(record.threads), borderpad=0)
        figure.suptitle(textwrap.fill(title, int(9 * width)), x=0.01, ha="left", fontsize=13,
                        weight="bold")
        if busy:
            notes = f"{busy}\n{notes}"
        figure.supxlabel("\n".join(textwrap.fill(part, int(12.5 * width))
                                   for part in notes.split("\n")), x=0.01, ha="left", fontsize=9.5,
                         color=ALARM if busy else GREY, weight="bold" if busy else "normal")
    return figure


def _look(threads: int, counts: list[int]) -> dict[str, Any]:
    """Most threads: a filled circle; fewer: hollow squares."""
    if threads == counts[-1]:
        return {"marker": "o", "color": MOST, "markersize": 6, "linestyle": ""}
    return {"marker": "s", "color": FEW, "markersize": 5, "linestyle": "", "markerfacecolor": PAPER}


def _column(axes: Any, groups: dict[str, dict[str, dict[int, Mark]]], counts: list[int]) -> None:
    """Groups from above to below; at the right the words of the mark of most threads."""
    y, places = 0.0, []
    drawn: dict[int, list[tuple[Mark, float]]] = {threads: [] for threads in counts}
    right = axes.get_yaxis_transform()
    for group, programs in groups.items():
        axes.text(-0.02, y, group, transform=right, ha="right", va="center", weight="bold",
                  color=GREY)
        for name, by_threads in programs.items():
            y += 1
            places.append((y, name))
            for threads, mark in by_threads.items():
                apart = 0.16 if threads == counts[-1] else -0.16
                drawn[threads].append((mark, y + apart * (len(by_threads) > 1)))
            words = by_threads[max(by_threads)]
            axes.text(1.02, y, words.words, transform=right, va="center", fontsize=9.5,
                      color=GREY if words.doubtful else INK)
        y += 1
    for threads, entries in drawn.items():
        if entries:
            look, found, heights = _look(threads, counts), *zip(*entries)
            axes.hlines(heights, [m.low for m in found], [m.high for m in found],
                        color=look["color"], linewidth=2, alpha=0.55)
            axes.plot([m.middle for m in found], heights, **look)
    axes.set_yticks(*zip(*places))
    axes.tick_params(axis="y", length=0)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)


def _busy(record: Record, names: set[str]) -> str:
    """What a picture says below itself if these programs were disturbed; "" if none was."""
    bad = {name for threads in record.threads for name in quiet.disturbed(record, threads)}
    if not bad & names:
        return ""
    return (f"Measured on a busy machine ({len(bad & names)} of {len(names)} programs here were "
            "disturbed): the numbers prove nothing.")
