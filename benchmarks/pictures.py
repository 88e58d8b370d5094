"""The pictures of a run: bars against the peers, roofline, scaling, memory; SVG or PNG.

All have an opaque light background, so that they can be read on a light and on a dark page. Not
here: what the numbers mean (report.py, statistics.py).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter

from .catalogue import HEADLINE, PROGRAMS
from .peers import TORCH
from .records import Record
from .report import best_torch, quantity, row_of

COLOURS = {"minigrad": "#d9480f", "torch": "#5c6770", "torch-channels-last": "#98a2ab",
           "torch-compile": "#b9a06a", "jax": "#1c6fb5", "mygrad": "#2f8f46",
           "autograd": "#8b4fb0"}
LABELS = {"torch": "PyTorch", "torch-channels-last": "PyTorch channels_last",
          "torch-compile": "torch.compile", "jax": "JAX (jit)", "mygrad": "MyGrad",
          "autograd": "HIPS autograd"}
TITLES = {"linear_regression": "linear regression", "logistic_regression": "logistic regression",
          "cnn_64": "CNN, batch 64", "rnn_32x32": "RNN, 32 x 32 steps",
          "mlp_64": "MLP 784-256-10, batch 64"}
_STYLE = {
    "font.size": 13, "axes.titlesize": 15, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "axes.titlepad": 14,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#8a9199",
    "axes.labelcolor": "#3a4149", "text.color": "#22282e", "xtick.color": "#3a4149",
    "ytick.color": "#3a4149", "axes.grid": True, "grid.color": "#e3e6e9", "axes.axisbelow": True,
    "figure.facecolor": "#fcfcfb", "axes.facecolor": "#fcfcfb", "savefig.facecolor": "#fcfcfb",
    "legend.frameon": False, "svg.hashsalt": "minigrad", "figure.constrained_layout.use": True,
}


def colour(peer: str) -> str:
    return COLOURS.get(peer, "#c2255c")


def label(peer: str) -> str:
    return LABELS.get(peer, peer)


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


def _times(axis: Any) -> None:
    """Ratios on a logarithmic axis as 1/4x, 1x, 10x: plain numbers, no exponents."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... between two limits; 1, 10, ... where they are far apart."""
    digits = (1, 2, 5) if high < 1e4 * low else (1,)
    ticks = [digit * 10.0 ** power for power in range(-9, 7) for digit in digits]
    return [t for t in ticks if low <= t <= high]


def _with_room(low: float, high: float, share: float) -> tuple[float, float]:
    """Limits of a logarithmic axis on which low..high leaves a share free on either side."""
    room = (high / low) ** (share / (1 - 2 * share))
    return low / room, high * room


def draw_all(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Every picture for which the record has data, in `folder`; returns the files."""
    paths: list[Path] = []
    drawings: list[Callable[[Record, Path, list[str]], list[Path]]] = [
        headline, bars, roofline, scaling, memory]
    for draw in drawings:
        paths += draw(record, folder, kinds)
    return paths


def headline(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """The README's picture: a training step of a few models, time relative to the best torch."""
    if not record.threads:
        return []
    threads = record.threads[-1]
    groups = []
    for name in HEADLINE:
        best = best_torch(record, name, threads)
        if best is None or not record.samples(name, "minigrad", threads):
            continue
        row = row_of(record, PROGRAMS[name], threads)
        ratios = {p: t / row.medians[best] for p, t in row.medians.items() if p not in TORCH}
        groups.append((name, row.medians[best], ratios))
    if not groups:
        return []
    count = sum(len(ratios) for _, _, ratios in groups)
    with _figure(10.5, 1.5 + 0.3 * count + 0.2 * len(groups)) as figure:
        axes = figure.add_subplot()
        y, ticks = 0.0, []
        values = [v for _, _, ratios in groups for v in ratios.values()]
        low, high = _with_room(min(0.8, *values), max(1.25, *values), 0.3)
        for name, torch_time, ratios in groups:
            start = y
            for peer in sorted(ratios, key=lambda p: (p != "minigrad", ratios[p])):
                ratio = ratios[peer]
                ours = peer == "minigrad"
                axes.barh(y, ratio - 1, left=1, height=0.8, color=colour(peer),
                          alpha=1 if ours else 0.75)
                words = f"{1 / ratio:.1f}× faster" if ratio < 1 else f"{ratio:.1f}× slower"
                if 0.95 < ratio < 1.05:
                    words = "same"
                axes.text(ratio * (0.94 if ratio < 1 else 1.06), y, f"{label(peer)}  {words}",
                          ha="right" if ratio < 1 else "left", va="center", fontsize=12.5,
                          weight="bold" if ours else "normal", color=colour(peer))
                y += 1
            ticks.append(((start + y - 1) / 2,
                          f"{TITLES[name]}\nPyTorch: {quantity(torch_time, 's')}"))
            y += 0.7
        axes.axvline(1, color=colour("torch"), linewidth=2)
        axes.set(xscale="log", xlim=(low, high), yticks=[t for t, _ in ticks])
        axes.set_yticklabels([text for _, text in ticks])
        axes.set_xticks(_ticks(low, high))
        _times(axes.xaxis)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_ylim(y - 0.9, -0.7)
        axes.spines["left"].set_visible(False)
        axes.set_title(f"A training step on {threads} CPU core{'s' * (threads > 1)}: time relative "
                       "to PyTorch", x=0)
        axes.set_xlabel("time / time of PyTorch (the better of contiguous and channels_last); "
                        "left of 1 is faster")
        return _save(figure, folder, "headline", kinds)


def bars(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Every program's ratio to the best torch, its interval and target, and the other peers."""
    if not record.threads:
        return []
    threads = record.threads[-1]
    rows = [row for name in record.names(threads) if name in PROGRAMS
            and (row := row_of(record, PROGRAMS[name], threads)).ratio is not None]
    if not rows:
        return []
    with _figure(11, 2.2 + 0.33 * len(rows)) as figure:
        axes = figure.add_subplot()
        values, drawn = [], set()
        for y, row in enumerate(rows):
            assert row.ratio and row.best
            ratio, best = row.ratio, row.medians[row.best]
            target = row.program.target
            met = target is None or ratio.median <= target
            axes.barh(y, ratio.median - 1, left=1, height=0.7, color=colour("minigrad"),
                      alpha=1 if met else 0.45)
            axes.plot([ratio.low, ratio.high], [y, y], color="#22282e", linewidth=1.6)
            if target is not None:
                axes.plot([target, target], [y - 0.42, y + 0.42], color="#22282e", linewidth=2.5)
            values += [ratio.low, ratio.high]
            for peer, time in row.medians.items():
                if peer in ("minigrad", row.best):
                    continue
                values.append(time / best)
                axes.plot(time / best, y, "o", color=colour(peer), markersize=7, alpha=0.85,
                          label=None if peer in drawn else label(peer))
                drawn.add(peer)
        low, high = min([0.5, *values]) / 1.3, max([2.0, *values]) * 1.3
        axes.axvline(1, color=colour("torch"), linewidth=2)
        axes.set(xscale="log", xlim=(low, high), yticks=range(len(rows)),
                 ylim=(len(rows) - 0.4, -0.6))
        axes.set_yticklabels([row.program.name for row in rows], fontsize=11)
        axes.set_xticks(_ticks(low, high))
        _times(axes.xaxis)
        axes.barh([-9], [0], color=colour("minigrad"), label="minigrad, target met or none")
        axes.barh([-9], [0], color=colour("minigrad"), alpha=0.45, label="minigrad, target missed")
        axes.plot([], [], color="#22282e", linewidth=2.5, label="target")
        figure.legend(loc="outside upper left", ncols=4, fontsize=11)
        axes.set_xlabel("time (memory) / that of the best PyTorch variant; left of 1 is better; "
                        f"{threads} threads")
        return _save(figure, folder, "bars", kinds)


def roofline(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Flops a second over flops per byte, below the peaks that were measured in the same run."""
    threads = record.threads[-1] if record.threads else 0
    if threads not in record.peaks:
        return []
    peak, bandwidth = record.peaks[threads]
    points = []
    for name in record.names(threads):
        program = PROGRAMS.get(name)
        median = (m := record.get(name, "minigrad", threads)) and m.median
        if program is None or not median or not program.flops or program.measure != "steady":
            continue
        if program.group == "scaling":          # the same kernels again, on top of their own dots
            continue
        assert program.bytes is not None
        flops = program.flops(**program.sizes)
        points.append((program, flops / program.bytes(**program.sizes), flops / median / 1e9))
    if not points:
        return []
    shades = {"cnn": "#d9480f", "rnn": "#1c6fb5", "mlp": "#8b4fb0", "conv": "#e8a33d",
              "pool": "#2f8f46", "ops": "#5c6770"}
    with _figure(11, 8) as figure:
        axes = figure.add_subplot()
        left = min(0.3, *[x / 2.5 for _, x, _ in points])
        right = max(200.0, *[x * 1.6 for _, x, _ in points])
        ridge = peak / bandwidth
        axes.plot([left, ridge, right], [left * bandwidth / 1e9, peak / 1e9, peak / 1e9],
                  color="#22282e", linewidth=2.2)
        axes.text(ridge, peak / 1e9 * 1.06, f"{peak / 1e9:.0f} GFLOP/s", va="bottom")
        for group, shade in shades.items():
            own = [(x, y) for program, x, y in points if program.group == group]
            if own:
                axes.plot(*zip(*own), "o", color=shade, markersize=9, label=group, alpha=0.9)
        axes.set(xscale="log", yscale="log", xlim=(left, right))
        bottom = min(y for _, _, y in points) / 4
        axes.set_ylim(bottom, peak / 1e9 * 2)
        middle = (max(left, bottom / bandwidth * 1e9) * ridge) ** 0.5
        axes.text(middle * 0.92, middle * bandwidth / 1e9 * 1.05, f"{bandwidth / 1e9:.0f} GB/s",
                  ha="right", va="bottom")
        axes.set_xticks(_ticks(left, right))
        axes.set_yticks(_ticks(bottom, peak / 1e9 * 2))
        _name_points(axes, [(p.name, x, y) for p, x, y in points], (left, right),
                     (bottom, peak / 1e9 * 2))
        for axis in (axes.xaxis, axes.yaxis):
            _times(axis)
        axes.legend(loc="lower right")
        axes.set_title(f"minigrad below the machine's measured limits, {threads} threads")
        axes.set(xlabel="flops per byte that must move", ylabel="GFLOP/s, counted as if convolved "
                 "directly (Winograd multiplies less)")
        return _save(figure, folder, "roofline", kinds)


def _name_points(axes: Any, points: list[tuple[str, float, float]], xs: tuple[float, float],
                 ys: tuple[float, float]) -> None:
    """Names beside points, where there is room for them: first the slowest, which matter most."""
    halo = withStroke(linewidth=3, foreground=axes.get_facecolor())    # over lines, to be read
    taken: list[tuple[float, float, float, float]] = []

    def place(value: float, limits: tuple[float, float]) -> float:
        return math.log(value / limits[0]) / math.log(limits[1] / limits[0])
    dots = [(place(x, xs), place(y, ys)) for _, x, y in points]
    for (name, x, y), (u, v) in sorted(zip(points, dots), key=lambda p: p[0][2]):
        width, height = 0.0085 * len(name), 0.022
        for dx, side in ((0.011, "left"), (-0.011 - width, "right")):
            box = (u + dx, v - height / 2, u + dx + width, v + height / 2)
            free = box[0] > 0 and box[2] < 1 and not any(
                box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)
            covers = any(box[0] - 0.008 < a < box[2] + 0.008 and box[1] - 0.008 < b < box[3] + 0.008
                         for a, b in dots if (a, b) != (u, v))
            if free and not covers:
                taken.append(box)
                axes.annotate(name, (x, y), xytext=(8 if side == "left" else -8, 0), ha=side,
                              textcoords="offset points", va="center", fontsize=9.5,
                              path_effects=[halo])
                break


_SWEEPS = (
    ("CNN step: time per image", "images in a batch", [f"cnn_{n}" for n in
     (1, 16, 64, 256, 1024, 4096)], lambda sizes: sizes["batch"]),
    ("RNN step: time per time step", "time steps (batch 32)", [f"rnn_32x{n}" for n in
     (32, 128, 512, 2048)], lambda sizes: sizes["steps"]),
    ("3x3 convolution: time per pixel", "pixels in an image", [f"conv3x3_16x64x{n}_64" for n in
     (28, 56, 112, 224)], lambda sizes: sizes["size"] ** 2),
)


def scaling(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Time per unit over batch, steps, pixels; and speed-up over threads if several were run."""
    panels = [panel for panel in _SWEEPS if len(_sweep(record, panel, "minigrad")) > 1]
    more_threads = len(record.threads) > 1
    count = len(panels) + more_threads
    if not count:
        return []
    columns = min(count, 2)
    rows = -(-count // columns)
    with _figure(6.2 * columns, 4.6 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, panel in zip(grid, panels):
            title, quantity_name, _, _ = panel
            for peer in ("minigrad", *TORCH[:2], "jax"):
                points = _sweep(record, panel, peer)
                if len(points) > 1:
                    axes.plot(*zip(*points), "o-", color=colour(peer), label=label(peer),
                              linewidth=2.6 if peer == "minigrad" else 1.6)
            axes.set(xscale="log", yscale="log", xlabel=quantity_name, title=title)
            ticks = [x for x, _ in _sweep(record, panel, "minigrad")]
            axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
            axes.xaxis.set_minor_formatter(NullFormatter())
            low, high = axes.get_ylim()
            wider = max(1.0, 10 / (high / low)) ** 0.5      # so that what is flat looks flat
            low, high = low / wider, high * wider
            axes.set_yticks(_ticks(low, high))
            axes.set_ylim(low, high)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: quantity(v, "s")))
            axes.yaxis.set_minor_formatter(NullFormatter())
        lines = {line.get_label(): line for axes in grid[:len(panels)] for line in axes.lines}
        if lines:
            figure.legend(lines.values(), lines, loc="outside upper left", ncols=4, fontsize=11)
        if more_threads:
            _thread_panel(grid[len(panels)], record)
        for axes in grid[count:]:
            axes.set_visible(False)
        return _save(figure, folder, "scaling", kinds)


def _sweep(record: Record, panel: tuple, peer: str) -> list[tuple[float, float]]:
    """(size, seconds per unit of size) of the panel's programs under a peer."""
    _, _, names, size_of = panel
    threads = record.threads[-1] if record.threads else 0
    found = []
    for name in names:
        m = record.get(name, peer, threads)
        if m and m.median and name in PROGRAMS:
            size = size_of(PROGRAMS[name].sizes)
            found.append((size, m.median / size))
    return found


def _thread_panel(axes: Any, record: Record) -> None:
    """Speed-up of programs with the number of threads, minigrad and the best torch."""
    least = record.threads[0]
    for peer in ("minigrad", "torch"):
        seen = False
        for name in record.names(least):
            program = PROGRAMS.get(name)
            if program is None or program.measure != "steady" or program.control == "calls":
                continue
            base = record.get(name, peer, least)
            points = [(n, base.median / m.median) for n in record.threads
                      if base and base.median and (m := record.get(name, peer, n)) and m.median]
            if len(points) > 1:
                axes.plot(*zip(*points), "o-", color=colour(peer), alpha=0.5,
                          label=None if seen else label(peer))
                seen = True
    axes.plot(record.threads, [n / least for n in record.threads], "--", color="#22282e",
              label="in proportion")
    axes.set(title="speed-up with threads (a line a program)", xlabel="threads",
             xticks=record.threads, ylabel=f"times as fast as with {least}")
    axes.legend(fontsize=11)


def memory(record: Record, folder: Path, kinds: list[str]) -> list[Path]:
    """Peak memory of the CNN's training step."""
    threads = record.threads[-1] if record.threads else 0
    names = [n for n in record.names(threads) if n in PROGRAMS and PROGRAMS[n].unit == "bytes"
             and record.samples(n, "minigrad", threads)]
    if not names:
        return []
    peers = [p for p in record.peers if any(record.samples(n, p, threads) for n in names)]
    with _figure(9, 1.6 + 0.36 * len(names) * (len(peers) + 0.8)) as figure:
        axes = figure.add_subplot()
        y, ticks, top = 0.0, [], 0.0
        for name in names:
            start = y
            for peer in peers:
                m = record.get(name, peer, threads)
                if not m or m.median is None:
                    continue
                axes.barh(y, m.median / 1e6, height=0.8, color=colour(peer))
                axes.text(m.median / 1e6, y, f"  {label(peer)} {quantity(m.median, 'bytes')}",
                          va="center", fontsize=12)
                top = max(top, m.median / 1e6)
                y += 1
            ticks.append(((start + y - 1) / 2, f"batch {PROGRAMS[name].sizes['batch']}"))
            y += 0.8
        axes.set(yticks=[t for t, _ in ticks], xlim=(0, top * 1.35), xlabel="megabytes")
        axes.set_yticklabels([text for _, text in ticks])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_title("Peak memory of the CNN's training step, above that of batch 1", x=0)
        return _save(figure, folder, "memory", kinds)
