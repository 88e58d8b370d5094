"""Make the stored vectors with PyTorch: `python tests/vectors/make_vectors.py` (needs torch).

Writes parity.npz and parity.json (`cases.py`), corners.json (`corners.py`), optim.npz
(`optimisers.py`), laws.json (`laws.py`), dtype_table.json (`dtype_table.py`) and article.npz
(`article_runs.py`).  It also refuses vectors that torch itself could not pass: its float32 results
must stay well inside the tolerance, its losses must not hang on the thread count.
With `--check` nothing is written; the stored files are compared with a fresh run.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import article_runs  # noqa: E402
import corners  # noqa: E402
import dtype_table  # noqa: E402
import laws  # noqa: E402
import optimisers  # noqa: E402
from cases import CASES  # noqa: E402
from harness import default_dtype, disagreement, load_namespace, run_case  # noqa: E402

TORCH_SHARE = 0.75  # of the float32 tolerance that torch's own float32 may use up


def parity(t: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Run all cases: pools of numbers by kind, and the index of names, shapes and dtypes."""
    pools: dict[str, list[np.ndarray]] = {"f": [], "i": [], "b": []}
    index: dict[str, Any] = {}
    for case in CASES:
        if case.name in index:
            raise SystemExit(f"two cases are called {case.name!r}")
        wide, narrow = run_case(case, t, "float64"), run_case(case, t, "float32")
        if wide.facts != narrow.facts:
            raise SystemExit(f"{case.name}: facts depend on the dtype")
        entry: dict[str, Any] = {"arrays": [], "dtypes": []}
        if wide.facts:
            entry["facts"] = wide.facts
        for a, b in zip(wide.outputs, narrow.outputs, strict=True):
            pair = (str(a.dtype), str(b.dtype))
            if pair == ("float64", "float32"):
                entry["dtypes"].append("run")
            elif pair[0] == pair[1]:
                entry["dtypes"].append(pair[0])
            else:
                raise SystemExit(f"{case.name}: output dtypes {pair} follow no simple rule")
        for (label, a), (label32, b) in zip(wide.arrays(), narrow.arrays(), strict=True):
            share = disagreement(b, a, "float32")
            if label != label32 or share > TORCH_SHARE:
                raise SystemExit(f"{case.name}: torch's float32 {label} uses {share:.2f} of the "
                                 "tolerance; choose calmer inputs")  # fmt: skip
            entry["arrays"].append([label, a.dtype.kind, list(a.shape)])
            pools[a.dtype.kind].append(a.ravel())
        index[case.name] = entry
    types = {"f": np.float64, "i": np.int64, "b": np.bool_}
    return {k: np.concatenate(v).astype(types[k]) for k, v in pools.items()}, index


def optim(t: Any) -> dict[str, np.ndarray]:
    """Runs of SGD and of the schedules."""
    stored = {}
    for name in optimisers.SGD_RUNS:
        for dtype in ("float64", "float32"):
            stored[f"sgd {name} {dtype}"] = optimisers.run_sgd(name, t, dtype)
    for name in optimisers.SCHEDULES:
        stored[f"schedule {name}"] = optimisers.run_schedule(name, t)
    return stored


def record_laws(t: Any) -> dict[str, Any]:
    """What torch asks its generator for: [law, a, b] for every parameter and init call.

    Recorded by standing in for Tensor.uniform_ and Tensor.normal_, the only two sources of
    numbers behind these layers and functions.
    """
    calls: dict[int, list[Any]] = {}
    real = {"uniform_": t.Tensor.uniform_, "normal_": t.Tensor.normal_}

    def stand_in(law: str, names: tuple[str, str], defaults: tuple[float, float]) -> Any:
        def recorder(self: Any, *args: Any, **kw: Any) -> Any:
            given = dict(zip(names, args, strict=False), **kw)
            values = [float(given.get(n, d)) for n, d in zip(names, defaults, strict=True)]
            calls[self.data_ptr()] = [law, *values]
            return real[law](self, *args, **kw)

        return recorder

    t.Tensor.uniform_ = stand_in("uniform_", ("from", "to"), (0.0, 1.0))
    t.Tensor.normal_ = stand_in("normal_", ("mean", "std"), (0.0, 1.0))
    stored: dict[str, Any] = {"layers": {}, "inits": {}}
    try:
        for name, build in laws.LAYERS.items():
            layer = build(t)
            stored["layers"][name] = {
                key: calls[p.data_ptr()] for key, p in layer.named_parameters()
            }
        for function, shape, options in laws.INITS:
            tensor = laws.draw_init(t, function, shape, options)
            stored["inits"][laws.init_name(function, shape, options)] = calls[tensor.data_ptr()]
    finally:
        t.Tensor.uniform_, t.Tensor.normal_ = real["uniform_"], real["normal_"]
    stored["gains"] = [laws.gain(t, *args) for args in laws.GAINS]
    return stored


def article(t: Any) -> dict[str, np.ndarray]:
    """The 200 losses of each program in each dtype."""
    stored = {}
    for program in article_runs.PROGRAMS:
        for dtype in article_runs.DTYPES:
            runs = []
            for threads in (1, 2):
                t.set_num_threads(threads)
                runs.append(article_runs.losses(program, t, dtype))
            apart = float(np.max(np.abs(runs[0] - runs[1]) / np.abs(runs[0])))
            limit = 1e-11 if dtype == "float64" else 2e-5
            print(f"{program} {dtype}: 1 and 2 threads differ by {apart:.1e}", flush=True)
            if apart > limit:
                raise SystemExit(f"{program} {dtype} is chaotic: choose calmer data")
            stored[f"{program} {dtype}"] = runs[0]
        wide, narrow = (stored[f"{program} {d}"] for d in article_runs.DTYPES)
        apart = float(np.max(np.abs(wide - narrow) / wide))
        print(f"{program}: float32 and float64 differ by {apart:.1e}", flush=True)
        if apart > 2e-5:
            raise SystemExit(f"{program}: rounding matters too much: choose calmer data")
    t.set_num_threads(1)
    return stored


def compact(index: dict[str, Any]) -> str:
    """JSON with one entry a line, so that a change shows as a readable diff."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in index.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def differences(name: str, new: dict[str, np.ndarray]) -> list[str]:
    """What differs between a stored .npz file and a fresh run (bits may, digits may not)."""
    with np.load(HERE / name) as stored:
        old = {key: stored[key] for key in stored.files}
    if list(old) != list(new):
        return [f"{name}: other keys"]
    return [
        f"{name}: {key}"
        for key, a in new.items()
        if not np.allclose(a, old[key], rtol=1e-5 if a.dtype == np.float32 else 1e-9, atol=1e-12,
                           equal_nan=True)
    ]  # fmt: skip


def main() -> None:
    """Make or check all files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    warnings.simplefilter("ignore")
    t: Any = load_namespace("torch")
    t.set_num_threads(1)
    pools, index = parity(t)
    arrays = {"parity.npz": pools, "optim.npz": optim(t), "article.npz": article(t)}
    ends = {name: corners.run(name, t) for name in corners.CASES}
    texts = {"parity.json": compact(index), "laws.json": compact(record_laws(t)),
             "corners.json": compact(ends),
             "dtype_table.json": compact(dtype_table.table(t))}  # fmt: skip
    with default_dtype(t, "float32"):
        print(f"torch {t.__version__}, numpy {np.__version__}, {len(index)} cases")
    if check:
        wrong = [f for name, new in arrays.items() for f in differences(name, new)]
        wrong += [n for n, text in texts.items() if (HERE / n).read_text() != text]
        if wrong:
            raise SystemExit("stored vectors differ from torch's: " + "; ".join(wrong))
        print("the stored vectors are torch's")
        return
    for name, new in arrays.items():
        np.savez_compressed(HERE / name, allow_pickle=False, **new)
    for name, text in texts.items():
        (HERE / name).write_text(text)
    print(f"{sum(f.stat().st_size for f in HERE.glob('*.*')) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
