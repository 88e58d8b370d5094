"""Which programs there are: their names, sizes and targets. The programs are in programs.py.

A target is the largest ratio of minigrad's time (or memory) to the best torch variant's; a limit is
a number of seconds.
"""
from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from . import programs as p


@dataclass(frozen=True)
class Program:
    """One row of the table.

    measure: "steady" (time of a run, libraries in turns), or what a fresh process shows:
        "import", "first" (build + first run), "cold" (the same with an empty compile cache),
        "memory" (peak bytes).
    images: whether torch's channels_last is worth trying.
    """

    name: str
    group: str
    about: str
    build: p.Build
    sizes: dict[str, Any] = field(default_factory=dict)
    measure: str = "steady"
    target: float | None = None
    limit: float | None = None
    images: bool = False

    @property
    def unit(self) -> str:
        """What its samples count: "s" or "bytes"."""
        return "bytes" if self.measure == "memory" else "s"

    @property
    def control(self) -> str:
        """Which of the NumPy controls has the same bottleneck: "calls", "gemm", "stream"."""
        work = p.WORK.get(self.build.__name__)
        return work.control if work else "calls"

    @property
    def work(self) -> tuple[int, int] | None:
        """Flops and bytes of a run; None where overhead alone counts, or no run is timed."""
        work = p.WORK.get(self.build.__name__)
        if work is None or self.measure != "steady":
            return None
        return work.flops(**self.sizes), work.moved(**self.sizes)


GROUPS = {
    "headline": "training steps of the article's programs and an MLP: a first look",
    "regression": "linear and logistic regression: the engine's overhead",
    "cnn": "the article's CNN, training and inference",
    "rnn": "the article's RNN",
    "mlp": "784-256-10",
    "conv": "conv2d forward + backward over kernels, channels, sizes, strides",
    "pool": "max and average pooling forward + backward",
    "ops": "single operations and elementwise chains forward + backward",
    "scaling": "up to 16 times larger: do the ratios last? (minigrad and torch)",
    "memory": "peak memory",
    "startup": "import and first step, in fresh processes",
}
HEADLINE = ("linear_regression", "logistic_regression", "cnn_64", "rnn_32x32", "mlp_64")


def _cnn_row(batch: int, group: str = "cnn", **more: Any) -> Program:
    return Program(f"cnn_{batch}", group, f"training step of the article's CNN, batch {batch}",
                   p.cnn, {"batch": batch}, images=True, **more)


def _rnn_row(batch: int, steps: int, group: str = "rnn", **more: Any) -> Program:
    return Program(f"rnn_{batch}x{steps}", group, "training step of the article's RNN, batch "
                   f"{batch}, {steps} time steps", p.rnn, {"batch": batch, "steps": steps}, **more)


def _conv_row(n: int, c: int, size: int, f: int, kernel: int, group: str = "conv",
              **options: int) -> Program:
    suffix = "".join(f"_{option[0]}{value}" for option, value in options.items())
    words = "".join(f", {option} {value}" for option, value in options.items())
    return Program(
        f"conv{kernel}x{kernel}_{n}x{c}x{size}_{f}{suffix}", group,
        f"{kernel}x{kernel}, batch {n}, {c} to {f} channels, {size}x{size} pixels{words}", p.conv,
        {"batch": n, "channels": c, "size": size, "filters": f, "kernel": kernel, **options},
        target=1.0, images=True)


def _pool_row(build: p.Build, kernel: int, stride: int) -> Program:
    name = build.__name__
    kind = "overlapping" if kernel > stride else "not overlapping"
    return Program(f"{name}_{kernel}_s{stride}", "pool", f"{name[:3]} pooling {kernel}x{kernel}, "
                   f"stride {stride} ({kind}), 64x64x28x28", build,
                   {"batch": 64, "channels": 64, "size": 28, "kernel": kernel, "stride": stride},
                   target=0.6, images=True)


def _matrix_row(build: p.Build, batch: int, classes: int, name: str = "") -> Program:
    return Program(name or build.__name__, "ops", f"of a {batch}x{classes} matrix", build,
                   {"batch": batch, "classes": classes}, target=1.0)


_SIZES = {1_000: "1e3", 1_000_000: "1e6"}      # where calls cost most, and where memory does

PROGRAMS: dict[str, Program] = {row.name: row for row in [
    Program("linear_regression", "regression", "the article's first program, Linear(1, 1) on 4 "
            "points", p.linear_regression, target=0.30),
    Program("logistic_regression", "regression", "Linear(30, 1) on 64 rows, BCE of logits",
            p.logistic_regression, target=0.30),
    _cnn_row(1, target=0.9), _cnn_row(16, target=0.7), _cnn_row(64, target=0.65),
    _cnn_row(256, target=0.65),
    *[Program(f"cnn_inference_{n}", "cnn", f"the article's CNN forward only, batch {n}",
              p.cnn_inference, {"batch": n}, target=0.8, images=True) for n in (1, 64)],
    _rnn_row(1, 32, target=0.15), _rnn_row(32, 32, target=0.4),
    _rnn_row(32, 128, target=0.4), _rnn_row(128, 128, target=0.5),
    Program("mlp_64", "mlp", "training step of 784-256-10, batch 64", p.mlp, {"batch": 64},
            target=0.8),

    # Batch, channels, pixels, filters, kernel; near 1 GFLOP or below, so that a row takes seconds.
    _conv_row(64, 1, 28, 32, 3),                    # the CNN's first layer
    _conv_row(64, 32, 14, 64, 3),                   # and its second
    _conv_row(16, 3, 56, 32, 3),
    _conv_row(16, 16, 56, 16, 3),
    _conv_row(16, 64, 56, 64, 3),
    _conv_row(16, 64, 28, 64, 3),
    _conv_row(16, 128, 28, 128, 3),
    _conv_row(16, 128, 14, 128, 3),
    _conv_row(16, 64, 28, 128, 3, stride=2),
    _conv_row(16, 64, 28, 64, 3, dilation=2),
    _conv_row(16, 128, 28, 128, 3, groups=128),
    _conv_row(16, 32, 28, 32, 5),
    _conv_row(16, 3, 56, 32, 5, stride=2),
    _conv_row(16, 64, 28, 64, 1),
    _conv_row(16, 64, 32, 64, 1),
    _conv_row(16, 128, 14, 128, 1),
    _conv_row(16, 64, 28, 128, 1, stride=2),

    *[_pool_row(build, kernel, 2) for build in (p.max_pool, p.avg_pool) for kernel in (2, 3)],

    Program("linear", "ops", "512 to 512 features, batch 256", p.linear,
            {"batch": 256, "inputs": 512, "outputs": 512}, target=1.0),
    _matrix_row(p.softmax, 256, 1000), _matrix_row(p.softmax, 64, 10, "softmax_small"),
    _matrix_row(p.cross_entropy, 256, 1000),
    _matrix_row(p.cross_entropy, 64, 10, "cross_entropy_small"),
    _matrix_row(p.tanh, 256, 1024), _matrix_row(p.gelu_chain, 256, 1024),
    _matrix_row(p.layer_norm_chain, 256, 1024),
    *[Program(f"{function}_{_SIZES[size]}", "ops", f"of {size:,} numbers", p.elementwise,
              {"function": function, "size": size}, target=1.0)
      for function in ("relu", "exp", "sigmoid", "gelu") for size in _SIZES],
    *[Program(f"product_{_SIZES[size]}", "ops", f"of twice {size:,} numbers", p.product,
              {"size": size}, target=1.0) for size in _SIZES],
    Program("tiny_ops", "ops", "200 operations on 3x4 tensors", p.tiny_ops, target=0.8),

    *[_cnn_row(n, "scaling", target=0.65) for n in (1024, 4096)],
    *[_rnn_row(32, steps, "scaling", target=0.4) for steps in (512, 2048)],
    *[_conv_row(16, 64, size, 64, 3, "scaling") for size in (112, 224)],

    *[Program(f"memory_cnn_{batch}", "memory", "peak memory of the CNN's training step above that "
              f"of batch 1, batch {batch}", p.cnn, {"batch": batch}, measure="memory", target=1.0,
              images=True) for batch in (64, 256, 1024)],
    Program("import", "startup", "import of the library, NumPy included", p.linear_regression,
            measure="import", limit=0.15),
    Program("first_step", "startup", "first CNN step of a process (batch 64), compiled code in the "
            "cache", p.cnn, {"batch": 64}, measure="first", limit=1.5, images=True),
    Program("first_step_cold", "startup", "the same with an empty compile cache (minigrad only)",
            p.cnn, {"batch": 64}, measure="cold", limit=10.0),
]}


def members(group: str) -> list[str]:
    """The names of a group's programs."""
    if group == "headline":
        return list(HEADLINE)
    return [name for name, row in PROGRAMS.items() if row.group == group]


def select(words: list[str]) -> list[Program]:
    """The programs named, by name or group, in the catalogue's order; all if nothing is named.

    Raises: ValueError for an unknown name, with those that look like it.
    """
    chosen: set[str] = set()
    for word in words or list(GROUPS):
        if word in GROUPS:
            chosen.update(members(word))
        elif word in PROGRAMS:
            chosen.add(word)
        else:
            near = difflib.get_close_matches(word, [*PROGRAMS, *GROUPS], n=4, cutoff=0.4)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise ValueError(f"unknown program or group {word!r}{hint} (--list shows all)")
    return [row for name, row in PROGRAMS.items() if name in chosen]
