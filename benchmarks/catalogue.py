"""Which programs there are: their names, sizes, work and targets. The programs are in programs.py.

A target is the largest ratio of minigrad's time (or memory) to the best torch variant's; a limit is
in the program's own unit (seconds, or times the time expected of linear growth).
"""
from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import programs as p


@dataclass(frozen=True)
class Program:
    """One row of the table.

    measure: "steady" (time of a run, libraries in turns), or what a fresh process shows:
        "import", "first" (build + first run), "cold" (the same with an empty compile cache),
        "memory" (peak bytes).
    tiny: sizes for a test that it runs at all.
    flops, bytes: its work, functions of the sizes; None where overhead alone counts.
    control: which of the NumPy controls has the same bottleneck: "calls", "gemm", "stream".
    images: whether torch's channels_last is worth trying.
    base, growth: the row of `base`, times `growth`, is what linear growth would take.
    """

    name: str
    group: str
    about: str
    build: Callable[..., p.Run]
    sizes: dict[str, Any] = field(default_factory=dict)
    tiny: dict[str, Any] = field(default_factory=dict)
    measure: str = "steady"
    target: float | None = None
    limit: float | None = None
    flops: Callable[..., int] | None = None
    bytes: Callable[..., int] | None = None
    control: str = "calls"
    images: bool = False
    base: str | None = None
    growth: float = 1.0

    @property
    def unit(self) -> str:
        """What its samples count: "s" or "bytes"."""
        return "bytes" if self.measure == "memory" else "s"


GROUPS = {
    "headline": "training steps of the article's programs and an MLP: the README's picture",
    "regression": "linear and logistic regression: the engine's overhead",
    "cnn": "the article's CNN, training and inference",
    "rnn": "the article's RNN",
    "mlp": "784-256-10",
    "conv": "conv2d forward + backward over kernels, channels, sizes, strides",
    "pool": "max and average pooling forward + backward",
    "ops": "single operations and elementwise chains forward + backward",
    "scaling": "up to 16 times past the table: is time linear?",
    "memory": "peak memory",
    "startup": "import and first step, in fresh processes",
}
_CNN: dict[str, Any] = {"flops": p.cnn_flops, "bytes": p.cnn_bytes, "control": "gemm"}
_CNN_INFERENCE: dict[str, Any] = {
    "flops": p.cnn_inference_flops, "bytes": p.cnn_inference_bytes, "control": "gemm"}
_RNN: dict[str, Any] = {"flops": p.rnn_flops, "bytes": p.rnn_bytes, "control": "gemm"}
_MLP: dict[str, Any] = {"flops": p.mlp_flops, "bytes": p.mlp_bytes, "control": "gemm"}
_CONV: dict[str, Any] = {"flops": p.conv_flops, "bytes": p.conv_bytes, "control": "gemm"}
_LINEAR: dict[str, Any] = {"flops": p.linear_flops, "bytes": p.linear_bytes, "control": "gemm"}
HEADLINE = ("linear_regression", "logistic_regression", "cnn_64", "rnn_32x32", "mlp_64")


# Gradients that vanish over 128 steps must not become denormal numbers, which are slow.
_NO_CLIFF: dict[str, Any] = {"base": "rnn_32x32", "growth": 4, "limit": 1.1}


def _article() -> list[Program]:
    return [
        Program("linear_regression", "regression", "the article's first program, Linear(1, 1) on 4"
                " points", p.linear_regression, target=0.30),
        Program("logistic_regression", "regression", "Linear(30, 1) on 64 rows, BCE of logits",
                p.logistic_regression, target=0.30),
        *[Program(f"cnn_{n}", "cnn", f"training step of the article's CNN, batch {n}", p.cnn,
                  {"batch": n}, {"batch": 2}, target=target, images=True, **_CNN)
          for n, target in ((1, 0.9), (16, 0.7), (64, 0.65), (256, 0.65))],
        *[Program(f"cnn_inference_{n}", "cnn", f"the article's CNN forward only, batch {n}",
                  p.cnn_inference, {"batch": n}, {"batch": 2}, target=0.8, images=True,
                  **_CNN_INFERENCE) for n in (1, 64)],
        *[_rnn_row(1, 32, 0.15), _rnn_row(32, 32, 0.4), _rnn_row(32, 128, 0.4, **_NO_CLIFF),
          _rnn_row(128, 128, 0.5)],
        Program("mlp_64", "mlp", "training step of 784-256-10, batch 64", p.mlp, {"batch": 64},
                {"batch": 2}, target=0.8, **_MLP),
    ]


def _rnn_row(batch: int, steps: int, target: float | None = None, group: str = "rnn",
             **more: Any) -> Program:
    return Program(f"rnn_{batch}x{steps}", group, "training step of the article's RNN, batch "
                   f"{batch}, {steps} time steps", p.rnn, {"batch": batch, "steps": steps},
                   {"batch": 2, "steps": 3}, target=target, **_RNN, **more)


# N, C, H = W, F, kernel, and options; kept near 1 GFLOP or below, so that a row takes seconds.
_CONVS: list[tuple[int, int, int, int, int, dict[str, int]]] = [
    (64, 1, 28, 32, 3, {}),                        # the CNN's first layer
    (64, 32, 14, 64, 3, {}),                       # and its second
    (16, 3, 56, 32, 3, {}),
    (16, 16, 56, 16, 3, {}),
    (16, 64, 56, 64, 3, {}),
    (16, 64, 28, 64, 3, {}),
    (16, 128, 28, 128, 3, {}),
    (16, 128, 14, 128, 3, {}),
    (16, 64, 28, 128, 3, {"stride": 2}),
    (16, 64, 28, 64, 3, {"dilation": 2}),
    (16, 128, 28, 128, 3, {"groups": 128}),
    (16, 32, 28, 32, 5, {}),
    (16, 3, 56, 32, 5, {"stride": 2}),
    (16, 64, 28, 64, 1, {}),
    (16, 128, 14, 128, 1, {}),
    (16, 64, 28, 128, 1, {"stride": 2}),
]


def _conv_row(n: int, c: int, size: int, f: int, kernel: int, options: dict[str, int]) -> Program:
    short = {"stride": "s", "dilation": "d", "groups": "g"}
    suffix = "".join(f"_{short[k]}{v}" for k, v in options.items())
    words = "".join(f", {k} {v}" for k, v in options.items())
    grouped = options.get("groups", 1) > 1
    return Program(
        f"conv{kernel}x{kernel}_{n}x{c}x{size}_{f}{suffix}", "conv",
        f"{kernel}x{kernel}, batch {n}, {c} to {f} channels, {size}x{size} pixels{words}", p.conv,
        {"batch": n, "channels": c, "size": size, "filters": f, "kernel": kernel, **options},
        {"batch": 2, "channels": 4 if grouped else min(c, 3), "size": 6,
         "filters": 4, "kernel": kernel, **options, **({"groups": 4} if grouped else {})},
        target=1.0, images=True, **{**_CONV, "control": "stream" if grouped else "gemm"})


def _pool_rows() -> list[Program]:
    rows = []
    for name, build in (("max", p.max_pool), ("avg", p.avg_pool)):
        for kernel, stride in ((2, 2), (3, 2)):
            kind = "overlapping" if kernel > stride else "not overlapping"
            rows.append(Program(
                f"{name}_pool_{kernel}_s{stride}", "pool", f"{name} pooling {kernel}x{kernel}, "
                f"stride {stride} ({kind}), 64x64x28x28", build,
                {"batch": 64, "channels": 64, "size": 28, "kernel": kernel, "stride": stride},
                {"batch": 2, "channels": 2, "size": 7, "kernel": kernel, "stride": stride},
                target=0.6, flops=p.pool_flops, bytes=p.pool_bytes, control="stream", images=True))
    return rows


def _op_rows() -> list[Program]:
    small = {"batch": 3, "classes": 5}
    rows = [Program("linear", "ops", "512 to 512 features, batch 256", p.linear,
                    {"batch": 256, "inputs": 512, "outputs": 512},
                    {"batch": 3, "inputs": 4, "outputs": 5}, target=1.0,
                    **_LINEAR)]
    for build, batch, classes, flops, count in (
            (p.softmax, 256, 1000, p.softmax_flops, p.elementwise_bytes),
            (p.cross_entropy, 256, 1000, p.softmax_flops, p.cross_entropy_bytes),
            (p.tanh, 256, 1024, p.tanh_flops, p.elementwise_bytes),
            (p.gelu_chain, 256, 1024, p.gelu_flops, p.elementwise_bytes)):
        rows.append(Program(build.__name__, "ops", f"of a {batch}x{classes} matrix", build,
                            {"batch": batch, "classes": classes}, small, target=1.0, flops=flops,
                            bytes=count, control="stream"))
    rows.append(Program("tiny_ops", "ops", "200 operations on 3x4 tensors", p.tiny_ops,
                        tiny={"pairs": 3}, target=0.8))
    return rows


_STILL_LINEAR = 1.25      # times the expectation that still counts as linear growth


def _scaling_rows() -> list[Program]:
    base = "conv3x3_16x64x56_64"
    return [
        *[Program(f"cnn_{n}", "scaling", f"training step of the article's CNN, batch {n}", p.cnn,
                  {"batch": n}, {"batch": 2}, images=True, base="cnn_256", growth=n / 256,
                  limit=_STILL_LINEAR, **_CNN) for n in (1024, 4096)],
        *[_rnn_row(32, steps, group="scaling", base="rnn_32x128", growth=steps / 128,
                   limit=_STILL_LINEAR) for steps in (512, 2048)],
        *[Program(f"conv3x3_16x64x{size}_64", "scaling", f"3x3 convolution, {size}x{size} pixels",
                  p.conv, {"batch": 16, "channels": 64, "size": size, "filters": 64, "kernel": 3},
                  {"batch": 2, "channels": 3, "size": 8, "filters": 4, "kernel": 3}, images=True,
                  base=base, growth=(size / 56) ** 2, limit=_STILL_LINEAR, **_CONV)
          for size in (112, 224)],
    ]


def _process_rows() -> list[Program]:
    rows = []
    for batch, target in ((64, None), (256, 1.0), (1024, None)):
        rows.append(Program(
            f"memory_cnn_{batch}", "memory", "peak memory of the CNN's training step above that of "
            f"batch 1, batch {batch}", p.cnn, {"batch": batch}, {"batch": 2}, measure="memory",
            target=target, images=True))
    rows.append(Program("import", "startup", "import of the library, NumPy included",
                        p.linear_regression, measure="import", limit=0.15))
    rows.append(Program("first_step", "startup", "first CNN step of a process (batch 64), compiled "
                        "code in the cache", p.cnn, {"batch": 64}, {"batch": 2}, measure="first",
                        limit=1.5, images=True))
    rows.append(Program("first_step_cold", "startup", "the same with an empty compile cache "
                        "(minigrad only)", p.cnn, {"batch": 64}, {"batch": 2}, measure="cold",
                        limit=15.0))
    return rows


PROGRAMS: dict[str, Program] = {row.name: row for row in [
    *_article(), *[_conv_row(*c) for c in _CONVS], *_pool_rows(), *_op_rows(), *_scaling_rows(),
    *_process_rows()]}


def members(group: str) -> list[str]:
    """The names of a group's programs."""
    if group == "headline":
        return list(HEADLINE)
    return [name for name, row in PROGRAMS.items() if row.group == group]


def select(words: list[str]) -> list[Program]:
    """The programs named, by name or group, in the catalogue's order; all if nothing is named.

    A scaling row brings the row that it is compared with.

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
    chosen.update([base for name in chosen if (base := PROGRAMS[name].base)])
    return [row for name, row in PROGRAMS.items() if name in chosen]
