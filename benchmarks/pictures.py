"""The pictures of a run: against the peers, targets, limits, scaling, memory; SVG or PNG.

One hue is minigrad's; the others are greys with their names beside them, so nothing depends on
telling colours apart. All have an opaque light background, so that they can be read on a light and
on a dark page. Axes begin and end where the data do. Every ratio, with its interval, is the table's
(report.Row.ratios). Not here: what the numbers mean (report.py, statistics.py).
"""
from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from . import quiet
from .catalogue import GROUPS, PROGRAMS
from .peers import TORCH
from .records import Record
from .report import Row, headline_rows, in_threads, quantity, row_of, times
from .statistics import Ratio, interval

OURS, DARK, GREY, PALE, INK = "#d9480f", "#3a4149", "#6b747d", "#c4cad0", "#22282e"
PAPER, ALARM = "#fcfcfb", "#9c1c1c"
LABELS = {"torch": "PyTorch", "torch-channels-last": "PyTorch channels_last",
          "torch-compile": "torch.compile", "jax": "JAX (jit)", "tensorflow": "TensorFlow",
          "tensorflow-xla": "TensorFlow XLA", "mlx": "MLX (CPU)", "mygrad": "MyGrad",
          "autograd": "HIPS autograd"}
TITLES = {"linear_regression": "Linear regression", "logistic_regression": "Logistic regression",
          "cnn_64": "CNN, batch 64", "rnn_32x32": "RNN, 32 × 32 steps",
          "mlp_64": "MLP, batch 64"}
_STYLE = {
    "font.size": 12, "axes.titlesize": 13.5, "axes.titlelocation": "left",
    "axes.titleweight": "bold", "axes.titlepad": 9, "figure.titlesize": 15.5,
    "figure.titleweight": "bold", "xtick.labelsize": 11, "ytick.labelsize": 11.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#8a9199",
    "axes.labelcolor": DARK, "text.color": INK, "xtick.color": DARK, "ytick.color": DARK,
    "axes.grid": True, "grid.color": "#e6e9ec", "axes.axisbelow": True, "figure.facecolor": PAPER,
    "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "legend.frameon": False,
    "svg.hashsalt": "minigrad", "figure.constrained_layout.use": True,
}


def label(peer: str) -> str:
    return LABELS.get(peer, peer)


def shade(peer: str) -> str:
    return OURS if peer == "minigrad" else DARK if peer in TORCH else GREY


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height))


def _save(figure: Figure, folder: Path, name: str, kinds: list[str]) -> list[Path]:
    paths = []
    for kind in kinds:
        path = folder / f"{name}.{kind}"
        options: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": 110}
        figure.savefig(path, format=kind, **options)
        paths.append(path)
    return paths


def _ticks(low: float, high: float, most: int = 7) -> list[float]:
    """1, 2, 5, 10, ... between two limits; fewer digits where there would be too many."""
    for digits in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [d * 10.0 ** power for power in range(-9, 10) for d in digits]
        found = [t for t in ticks if low <= t <= high]
        if len(found) <= most:
            return found
    return found[::-(-len(found) // most)]


def _logarithmic(axis: Any, low: float, high: float, write: Callable[[float], str],
                 most: int = 7) -> None:
    """A logarithmic axis from low to high with plain numbers on it."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})
    axis.set_ticks(_ticks(low, high, most))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_formatter(NullFormatter())


def _limits(values: Sequence[float], room: float = 1.15, least: float = 3.0) -> tuple[float, float]:
    """Around all values, with a little room; at least a factor `least`, so that flat looks flat."""
    low, high = min(values) / room, max(values) * room
    wider = max(1.0, least / (high / low)) ** 0.5
    return low / wider, high * wider


def _busy(record: Record, threads: int, names: Sequence[str]) -> str:
    """What a picture says below itself if these programs were disturbed; "" if none was."""
    bad = quiet.disturbed(record, threads, names)
    if not bad:
        return ""
    return (f"Measured on a busy machine ({len(bad)} of {len(names)} programs here were "
            "disturbed): the numbers prove nothing.")


def _rows(record: Record, threads: int) -> list[Row]:
    return [row_of(record, PROGRAMS[name], threads) for name in record.names(threads)
            if name in PROGRAMS]


def _warn(figure: Figure, words: str) -> None:
    if words:
        lines = textwrap.wrap(words, int(8.5 * figure.get_figwidth()))
        figure.set_figheight(figure.get_figheight() + 0.25 * (len(lines) - 1))
        figure.supxlabel("\n".join(lines), fontsize=11.5, color=ALARM, weight="bold")


def draw_all(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Every picture for which the record has data, in `folder`; returns the files."""
    paths: list[Path] = []
    drawings: list[Callable[[Record, Path, list[str]], list[Path]]] = [
        headline, bars, peers, roofline, scaling, memory]
    if record.threads:
        for draw in drawings:
            paths += draw(record, folder, kinds)
    return paths


def in_plain_words(ratio: Ratio) -> str:
    """3.9x faster, 3 % slower; "no difference shown" where the interval contains 1."""
    if ratio.low <= 1 <= ratio.high:
        return "no difference shown"
    fold, word = (1 / ratio.median, "faster") if ratio.median < 1 else (ratio.median, "slower")
    if fold < 1.095:
        return f"{100 * (fold - 1):.0f} % {word}"
    return f"{fold:.0f}× {word}" if fold >= 99.5 else f"{fold:.1f}× {word}"


# -------------------------------------------------------------------------- against the peers

def headline(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """The README's picture: a training step of a few models, time relative to the best torch."""
    threads = record.threads[-1]
    rows = headline_rows(record, threads)
    if not rows:
        return []
    shown = [sorted(((p, r) for p, r in row.ratios.items() if p not in TORCH),
                    key=lambda entry: entry[1].median) for row in rows]
    columns = min(len(rows), 2)
    lines = -(-len(rows) // columns)
    heights = [max(map(len, shown[i * columns:(i + 1) * columns])) + 2.2 for i in range(lines)]
    with _figure(5.7 * columns, 1.15 + 0.31 * sum(heights)) as figure:
        grid = figure.subplots(lines, columns, squeeze=False, height_ratios=heights).flatten()
        for axes, row, entries in zip(grid, rows, shown):
            assert row.best
            _against_torch(axes, entries, row.disturbance)
            axes.set_title(TITLES[row.program.name])
            axes.annotate(f"PyTorch: {quantity(row.medians[row.best], 's')}", (1.03, 1),
                          (0, _STYLE["axes.titlepad"]), xycoords="axes fraction",
                          textcoords="offset points", fontsize=11.5, color=DARK)
        for axes in grid[len(rows):]:
            axes.axis("off")
        notes = ("Dot: median, over all rounds, of the time relative to PyTorch's in the same "
                 "round. Line: its interval (95 %). Left of the upright line is faster; PyTorch: "
                 "the better of its layouts. "
                 + "?: not to be relied on. " * any(row.disturbance or r.doubt for row, entries
                                                    in zip(rows, shown) for _, r in entries)
                 + record.machine.get("cpu", ""))
        if len(grid) > len(rows):
            grid[-1].text(0, 0.95, textwrap.fill(notes, 46), va="top", fontsize=11.5, color=DARK,
                          transform=grid[-1].transAxes, linespacing=1.45)
        else:
            figure.supxlabel(textwrap.fill(notes, 52 * columns), fontsize=11, color=DARK)
        if busy := _busy(record, threads, [row.program.name for row in rows]):
            figure.text(0.5, -0.01, textwrap.fill(busy, 52 * columns), color=ALARM, ha="center",
                        va="top", fontsize=11.5, weight="bold")
        figure.suptitle(f"A training step on {threads} CPU core{'s' * (threads > 1)}, relative to "
                        "PyTorch", x=0.01, ha="left")
        return _save_tight(figure, folder, "headline", kinds)


def _save_tight(figure: Figure, folder: Path, name: str, kinds: list[str]) -> list[Path]:
    """With what stands outside the figure's own frame."""
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.pad_inches": 0.12}):
        return _save(figure, folder, name, kinds)


def _against_torch(axes: Any, entries: list[tuple[str, Ratio]], disturbance: str) -> None:
    """A line a library: its interval and median on a logarithmic axis, then in words.

    A ratio that proves nothing gets a question mark and no emphasis.
    """
    for y, (peer, ratio) in enumerate(entries):
        ours = peer == "minigrad"
        axes.plot([1, ratio.median], [y, y], color=shade(peer), linewidth=1, alpha=0.45)
        axes.plot([ratio.low, ratio.high], [y, y], color=shade(peer), linewidth=4.5 if ours else 3,
                  alpha=0.55, solid_capstyle="butt")
        axes.plot(ratio.median, y, "o", color=shade(peer), markersize=9 if ours else 6.5)
        doubtful = bool(disturbance or ratio.doubt)
        axes.text(1.03, y, in_plain_words(ratio) + "?" * doubtful,
                  transform=axes.get_yaxis_transform(), va="center", fontsize=11.5,
                  color=GREY if doubtful else OURS if ours else DARK,
                  weight="bold" if ours and not doubtful else "normal")
    axes.axvline(1, color=DARK, linewidth=1.6)
    low, high = _limits([1.0, *[v for _, r in entries for v in (r.low, r.high)]])
    _logarithmic(axes.xaxis, low, high, lambda value: f"{value:g}", most=6)
    axes.set(yticks=range(len(entries)), ylim=(len(entries) - 0.4, -0.6))
    axes.set_yticklabels([label(peer) for peer, _ in entries])
    for text, (peer, _) in zip(axes.get_yticklabels(), entries):
        text.set(color=shade(peer), weight="bold" if peer == "minigrad" else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def peers(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Every program that others than torch ran, too: a square a library, coloured by its ratio."""
    threads = record.threads[-1]
    rows = [row for row in _rows(record, threads)
            if any(peer not in ("minigrad", *TORCH) for peer in row.ratios)]
    if not rows:
        return []
    present = {peer for row in rows for peer in row.ratios}
    known = [p for p in record.peers if p in present and p not in TORCH]
    with _figure(2.6 + 1.32 * len(known), 1.5 + 0.47 * len(rows)) as figure:
        axes = figure.add_subplot()
        colours = LinearSegmentedColormap.from_list(
            "", ["#1f6fae", "#8fbfe0", "#f6f4f0", "#e0b07a", "#a3601a"])
        for y, row in enumerate(rows):
            for x, peer in enumerate(known):
                _square(axes, x, y, row, peer, colours)
        axes.set(xlim=(-0.5, len(known) - 0.5), ylim=(len(rows) - 0.5, -0.5),
                 xticks=range(len(known)), yticks=range(len(rows)))
        axes.set_xticklabels([textwrap.fill(label(p), 11) for p in known], weight="bold")
        axes.set_yticklabels([row.program.name for row in rows])
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        figure.suptitle(textwrap.fill(
            f"Time (memory) relative to the best PyTorch variant, {in_threads(threads)}: blue is "
            "less, brown is more" + "; ?: not to be relied on" * any(
                row.disturbance or r.doubt for row in rows for r in row.ratios.values()),
            int(22 + 10 * len(known))), x=0.01, ha="left", fontsize=13)
        _warn(figure, _busy(record, threads, [row.program.name for row in rows]))
        return _save(figure, folder, "peers", kinds)


def _square(axes: Any, x: int, y: int, row: Row, peer: str, colours: Any) -> None:
    """The ratio and its interval on its colour; pale words where it was not measured."""
    ratio = row.ratios.get(peer)
    if ratio is None:
        error = row.errors.get(peer, "")
        word = "left out" if error.startswith("left out") else "failed" if error else "–"
        axes.text(x, y, word, ha="center", va="center", color="#8a9199", fontsize=10)
        return
    place = 0.5 + max(-0.5, min(0.5, math.log10(ratio.median) / 2.6))
    axes.fill([x - 0.48, x + 0.48, x + 0.48, x - 0.48], [y - 0.46, y - 0.46, y + 0.46, y + 0.46],
              color=colours(place), linewidth=0)
    ink = "white" if place < 0.08 or place > 0.93 else INK
    axes.text(x, y - 0.13, times(ratio.median) + "?" * bool(ratio.doubt or row.disturbance),
              ha="center", va="center", color=ink, fontsize=11.5,
              weight="bold" if peer == "minigrad" else "normal")
    axes.text(x, y + 0.25, f"{times(ratio.low)} to {times(ratio.high)}", ha="center", va="center",
              color=ink, fontsize=8.5)


# ------------------------------------------------------------------------------------ targets

_DOT: dict[str, Any] = {"marker": "o", "markersize": 8, "markeredgewidth": 1.8}
_MARKS: dict[str, dict[str, Any]] = {
    "met": {"color": OURS, "markerfacecolor": OURS},
    "missed": {"color": OURS, "markerfacecolor": PAPER},
    "not decided": {"color": GREY, "markerfacecolor": PAPER},
    "": {"color": OURS, "markerfacecolor": OURS, "marker": "D", "markersize": 6}}


def bars(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Every program's ratio to the best torch variant with its interval and target."""
    threads = record.threads[-1]
    rows = [row for row in _rows(record, threads) if row.ratio is not None]
    if not rows:
        return []
    lines = len(rows) + len({row.program.group for row in rows})
    with _figure(10, 1.7 + 0.285 * lines) as figure:
        axes = figure.add_subplot()
        values, y, places, used = [1.0], 0.0, [], set()
        for group in GROUPS:
            own = [row for row in rows if row.program.group == group]
            if not own:
                continue
            axes.axhspan(y - 0.5, y + len(own) - 0.5, color="#f2f3f4", zorder=0)
            for row in own:
                values += _target_row(axes, y, row)
                used.add(_state(row))
                places.append((y, row.program.name))
                y += 1
            y += 0.6
        axes.axvline(1, color=DARK, linewidth=1.6)
        _logarithmic(axes.xaxis, *_limits(values), lambda value: f"{value:g}", most=9)
        axes.set(yticks=[place for place, _ in places], ylim=(y - 0.9, -0.8))
        axes.set_yticklabels([name for _, name in places], fontsize=10.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        for state, mark in _MARKS.items():
            if state in used:
                axes.plot([], [], label=f"target {state}" if state else "no target",
                          **{**_DOT, "linestyle": "-", "linewidth": 3, **mark})
        axes.plot([], [], "|", color=INK, markersize=13, markeredgewidth=2.4, label="target")
        figure.legend(loc="outside upper left", ncols=5, fontsize=11)
        axes.set_xlabel(f"time (memory) / that of the best PyTorch variant, {threads} threads:\n"
                        "median and 95 % interval; left of 1 is better")
        _warn(figure, _busy(record, threads, [row.program.name for row in rows]))
        return _save(figure, folder, "bars", kinds)


def _state(row: Row) -> str:
    if row.program.target is None:
        return ""
    return next(word for word in ("met", "missed", "not decided") if row.verdict.startswith(word))


def _target_row(axes: Any, y: float, row: Row) -> list[float]:
    """Draws one line; returns the values that must be inside the axes."""
    ratio, target, mark = row.ratio, row.program.target, _MARKS[_state(row)]
    assert ratio
    axes.plot([ratio.low, ratio.high], [y, y], color=mark["color"], linewidth=3, alpha=0.5,
              solid_capstyle="butt")
    axes.plot(ratio.median, y, **{**_DOT, **mark})
    axes.text(1.012, y, times(ratio.median), transform=axes.get_yaxis_transform(), va="center",
              fontsize=10.5, color=DARK)
    if target is None:
        return [ratio.low, ratio.high]
    axes.plot(target, y, "|", color=INK, markersize=13, markeredgewidth=2.4)
    return [ratio.low, ratio.high, target]


# ------------------------------------------------------------------------- the machine's limits

# Shapes and Okabe and Ito's colours: either alone tells the groups apart.
_GROUP_MARKS = {"cnn": ("o", "#d9480f"), "rnn": ("s", "#0072b2"), "mlp": ("D", "#cc79a7"),
                "conv": ("^", "#e69f00"), "pool": ("v", "#009e73"), "ops": ("P", "#56606a")}


def roofline(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """The share of what the machine allows, over flops per byte: a roofline, its roof made flat."""
    threads = record.threads[-1]
    if threads not in record.peaks:
        return []
    peak, bandwidth = record.peaks[threads]
    points = []
    for name in record.names(threads):
        program = PROGRAMS.get(name)
        if program is None or program.group == "scaling":   # the same kernels again, on their dots
            continue
        percent = row_of(record, program, threads).percent
        if percent is not None and program.flops and program.bytes:
            x = program.flops(**program.sizes) / program.bytes(**program.sizes)
            points.append((program, x, percent))
    if not points:
        return []
    ridge = peak / bandwidth
    left, right = _limits([ridge, *[x for _, x, _ in points]], room=1.5)
    top = max(115.0, *[y * 1.1 for _, _, y in points])
    with _figure(11, 7) as figure:
        axes = figure.add_subplot()
        axes.axhline(100, color=INK, linewidth=2)
        axes.axvline(ridge, color=PALE, linewidth=1.4, linestyle="--")
        for x, words, side in ((ridge / 1.08, f"memory is the limit: {bandwidth / 1e9:.0f} GB/s",
                                "right"),
                               (ridge * 1.08, f"arithmetic is the limit: {peak / 1e9:.0f} GFLOP/s",
                                "left")):
            axes.text(x, 0.985, words, ha=side, va="top", fontsize=11.5, color=DARK,
                      transform=axes.get_xaxis_transform())
        for group, (mark, colour) in _GROUP_MARKS.items():
            own = [(x, y) for program, x, y in points if program.group == group]
            if own:
                axes.plot(*zip(*own), mark, color=colour, markersize=9, label=group, alpha=0.9)
        _logarithmic(axes.xaxis, left, right, lambda value: f"{value:g}", most=10)
        axes.set(ylim=(0, top * 1.06), ylabel="per cent of the machine's limit",
                 xlabel="flops per byte that must move (counted as if convolved directly: Winograd "
                        "multiplies less)")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
        _name_points(axes, [(p.name, x, y) for p, x, y in points], (left, right), (0, top * 1.06))
        figure.legend(loc="outside lower center", ncols=6)
        axes.set_title(f"minigrad and the machine's measured limits, {threads} threads")
        if busy := _busy(record, threads, [p.name for p, _, _ in points]):
            axes.text(0.01, 0.02, busy, color=ALARM, weight="bold", fontsize=11,
                      transform=axes.transAxes)
        return _save(figure, folder, "roofline", kinds)


def _name_points(axes: Any, points: list[tuple[str, float, float]], xs: tuple[float, float],
                 ys: tuple[float, float]) -> None:
    """Names beside points, where there is room for them: first the slowest, which matter most."""
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}   # over lines, to be read
    taken: list[tuple[float, float, float, float]] = []
    dots = [(math.log(x / xs[0]) / math.log(xs[1] / xs[0]), (y - ys[0]) / (ys[1] - ys[0]))
            for _, x, y in points]
    for (name, x, y), (u, v) in sorted(zip(points, dots), key=lambda p: p[0][2]):
        width, height = 0.0098 * len(name), 0.03
        for dx, side in ((0.012, "left"), (-0.012 - width, "right")):
            box = (u + dx, v - height / 2, u + dx + width, v + height / 2)
            free = box[0] > 0 and box[2] < 1 and not any(
                box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)
            covers = any(box[0] - 0.008 < a < box[2] + 0.008 and box[1] - 0.01 < b < box[3] + 0.01
                         for a, b in dots if (a, b) != (u, v))
            if free and not covers:
                taken.append(box)
                axes.annotate(name, (x, y), xytext=(8 if side == "left" else -8, 0), ha=side,
                              textcoords="offset points", va="center", fontsize=10.5,
                              bbox=paper)
                break


# ------------------------------------------------------------------------------------- scaling

_SWEEPS = (
    ("CNN step: time an image", "images in a batch", [f"cnn_{n}" for n in
     (1, 16, 64, 256, 1024, 4096)], lambda sizes: sizes["batch"]),
    ("RNN step: time a time step", "time steps (batch 32)", [f"rnn_32x{n}" for n in
     (32, 128, 512, 2048)], lambda sizes: sizes["steps"]),
    ("3x3 convolution: time a pixel", "pixels in an image", [f"conv3x3_16x64x{n}_64" for n in
     (28, 56, 112, 224)], lambda sizes: sizes["size"] ** 2),
)


def scaling(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Time per unit over batch, steps, pixels; and speed-up over threads if several were run."""
    panels = [panel for panel in _SWEEPS if len(_sweep(record, panel, "minigrad")) > 1]
    speedups = _speedups(record)
    count = len(panels) + bool(speedups)
    if not count:
        return []
    columns = min(count, 2)
    rows = -(-count // columns)
    with _figure(5.9 * columns, 0.4 + 4.2 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        names = [n for panel in panels for n in panel[2] if n in record.names(record.threads[-1])]
        for axes, panel in zip(grid, panels):
            _growth_panel(axes, record, panel)
        if speedups:
            _thread_panel(grid[len(panels)], record, speedups)
        for axes in grid[count:]:
            axes.set_visible(False)
        _warn(figure, _busy(record, record.threads[-1], names))
        return _save(figure, folder, "scaling", kinds)


def _sweep(record: Record, panel: tuple, peer: str) -> list[tuple[float, Ratio]]:
    """(size, seconds per unit of size) of the panel's programs under a peer."""
    _, _, names, size_of = panel
    threads = record.threads[-1] if record.threads else 0
    found = []
    for name in names:
        samples = record.samples(name, peer, threads)
        if samples and name in PROGRAMS:
            size = size_of(PROGRAMS[name].sizes)
            found.append((size, interval([s / size for s in samples])))
    return found


def _growth_panel(axes: Any, record: Record, panel: tuple) -> None:
    """A line a library, named at its end; minigrad's with intervals."""
    title, size_name, _, _ = panel
    lines = {peer: points for peer in record.peers
             if len(points := _sweep(record, panel, peer)) > 1}
    values = [r.median for points in lines.values() for _, r in points]
    for peer, points in lines.items():
        ours = peer == "minigrad"
        sizes = [size for size, _ in points]
        axes.plot(sizes, [r.median for _, r in points], "o-", color=shade(peer),
                  alpha=1 if ours else 0.75, linewidth=3 if ours else 1.3,
                  markersize=7 if ours else 4, zorder=3 if ours else 2)
        if ours:
            axes.vlines(sizes, [r.low for _, r in points], [r.high for _, r in points],
                        color=OURS, linewidth=5, alpha=0.35)
            values += [v for _, r in points for v in (r.low, r.high)]
    low, high = _limits(values, room=1.25, least=4)
    sizes = [size for size, _ in lines["minigrad"]]
    axes.set(xscale="log", xlabel=size_name, title=title, xlim=(sizes[0] / 1.3, sizes[-1] * 1.3))
    axes.set_xticks(sizes, [f"{size:,}".replace(",", " ") for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    _logarithmic(axes.yaxis, low, high, lambda value: quantity(value, "s"))
    ends = {peer: math.log(points[-1][1].median / low) / math.log(high / low)
            for peer, points in lines.items()}
    for peer, y in _apart(ends, 0.068).items():
        axes.annotate(label(peer), (1.02, y), xycoords="axes fraction", va="center", fontsize=10.5,
                      color=shade(peer), weight="bold" if peer == "minigrad" else "normal",
                      annotation_clip=False)


def _apart(places: dict[str, float], gap: float) -> dict[str, float]:
    """The places, moved as little as possible, in their order, so that none is nearer than gap."""
    order = sorted(places, key=lambda name: places[name])
    blocks: list[list[str]] = [[name] for name in order]

    def spots(block: list[str]) -> list[float]:
        middle = sum(places[n] for n in block) / len(block)
        return [middle + (i - (len(block) - 1) / 2) * gap for i in range(len(block))]
    i = 0
    while i + 1 < len(blocks):
        if spots(blocks[i])[-1] + gap > spots(blocks[i + 1])[0] + 1e-9:
            blocks[i:i + 2] = [blocks[i] + blocks[i + 1]]
            i = max(0, i - 1)
        else:
            i += 1
    return {name: spot for block in blocks for name, spot in zip(block, spots(block))}


def _speedups(record: Record) -> dict[str, dict[str, list[float]]]:
    """group -> library -> how many times as fast its programs are with all threads as with one."""
    if len(record.threads) < 2:
        return {}
    least, most = record.threads[0], record.threads[-1]
    found: dict[str, dict[str, list[float]]] = {}
    for name in record.names(least):
        program = PROGRAMS.get(name)
        if program is None or program.measure != "steady" or program.control == "calls":
            continue
        for peer in ("minigrad", "torch"):
            few, many = (record.samples(name, peer, n) for n in (least, most))
            if few and many:
                found.setdefault(program.group, {}).setdefault(peer, []).append(
                    interval(few).median / interval(many).median)
    return {group: found[group] for group in GROUPS if group in found}


def _thread_panel(axes: Any, record: Record, speedups: dict[str, dict[str, list[float]]]) -> None:
    """A dot a program, a line a group: minigrad's above, torch's below, medians marked."""
    least, most = record.threads[0], record.threads[-1]
    values = [most / least]
    for y, by_peer in enumerate(speedups.values()):
        for peer, found in by_peer.items():
            place = y + (-0.17 if peer == "minigrad" else 0.17)
            axes.plot(found, [place] * len(found), "o", color=shade(peer), alpha=0.45, markersize=6,
                      markeredgewidth=0)
            axes.plot(interval(found).median, place, "|", color=shade(peer), markersize=16,
                      markeredgewidth=3)
            values += found
    axes.axvline(most / least, color=INK, linestyle="--", linewidth=1.3)
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.1
    axes.set(yticks=range(len(speedups)), ylim=(len(speedups) - 0.45, -0.95),
             xlim=(low - room, high + room),
             xlabel=f"times as fast with {most} threads as with {least} (bar: median)",
             title="Speed-up with threads")
    axes.text(most / least, -0.66, "in proportion ", ha="right", va="center", fontsize=10.5)
    axes.set_yticklabels(list(speedups))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for peer, y in (("minigrad", 0.92), ("torch", 0.85)):       # where the other panels have names
        if any(peer in by_peer for by_peer in speedups.values()):
            axes.annotate(f"● {label(peer)}", (1.02, y), xycoords="axes fraction", va="center",
                          color=shade(peer), fontsize=10.5, annotation_clip=False,
                          weight="bold" if peer == "minigrad" else "normal")


# -------------------------------------------------------------------------------------- memory

_FAR = 5        # times as much as torch: a bar ends there, marked »


def memory(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Peak memory of the CNN's training step: a panel a batch, each on its own scale."""
    threads = record.threads[-1]
    names = [n for n in record.names(threads) if n in PROGRAMS and PROGRAMS[n].unit == "bytes"
             and record.samples(n, "minigrad", threads)]
    if not names:
        return []
    known = [p for p in record.peers if any(record.samples(n, p, threads) for n in names)]

    def place(peer: str) -> float:
        samples = [s for n in names[-1:] for s in record.samples(n, peer, threads)]
        return interval(samples).median if samples else math.inf
    known.sort(key=place)
    with _figure(2.1 + 3.1 * len(names), 1.3 + 0.36 * len(known)) as figure:
        grid = figure.subplots(1, len(names), squeeze=False, sharey=True).flatten()
        for axes, name in zip(grid, names):
            medians = [(y, p, interval([b / 1e6 for b in s])) for y, p in enumerate(known)
                       if (s := record.samples(name, p, threads))]
            top = max(r.median for _, _, r in medians)
            if torch := [r.median for _, p, r in medians if p in TORCH]:
                top = min(top, _FAR * min(torch))       # who takes far more must not hide the rest
            for y, peer, r in medians:
                ours, beyond = peer == "minigrad", r.median > top
                axes.barh(y, min(r.median, top), height=0.72, color=OURS if ours else PALE)
                if r.high > r.low and not beyond:
                    axes.plot([r.low, r.high], [y, y], color=INK, linewidth=1.3)
                axes.text(top * 1.03 if beyond else max(r.median, r.high) + top * 0.03, y,
                          "» " * beyond + quantity(r.median * 1e6, "bytes"), va="center",
                          fontsize=11, color=OURS if ours else DARK,
                          weight="bold" if ours else "normal")
            axes.set(xlim=(0, top * 1.5), title=f"batch {PROGRAMS[name].sizes['batch']}",
                     yticks=range(len(known)), ylim=(len(known) - 0.4, -0.6))
            axes.set_xticks([])
            axes.tick_params(axis="y", length=0)
            axes.grid(visible=False)
            axes.spines["bottom"].set_visible(False)
        grid[0].set_yticklabels([label(p) for p in known])
        for text, peer in zip(grid[0].get_yticklabels(), known):
            text.set(color=shade(peer), weight="bold" if peer == "minigrad" else "normal")
        figure.suptitle("Peak memory of the CNN's training step, above that of batch 1", x=0.01,
                        ha="left")
        return _save(figure, folder, "memory", kinds)
