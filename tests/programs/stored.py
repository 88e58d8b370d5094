"""Programs with what torch says of them, in one file: drawn and run once, read by the suite.

    python -m tests.programs.stored                  (needs torch; writes stored.npz anew)

Of each value: dtype, shape, how far off it may be, and its numbers; of a large one, numbers at
fixed places and the product with a fixed vector of signs, in which each element has a part.
"""
from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .draw import draw
from .expect import Expected, Fault, Oracle, examine, may_be_constant, off
from .program import Program, Step, load, run

FILE = Path(__file__).with_name("stored.npz")
PLACES = 12                                        # of a large value
SIZES = {"plain": 210, "half": 24, "mixed": 30, "image": 34, "sizes": 11, "rows": 3}


@dataclass
class Stored:
    """A program and what to expect of its values; facts: (requires_grad, is_leaf)."""

    program: Program
    values: dict[str, Expected] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def large(self) -> bool:
        """Whether plain Python loops would take long."""
        return any(np.prod(s, dtype=int) > 600 for s in self.shapes.values()) or \
            "set_parameters" in str(self.program)

    def fault(self, torch: Any) -> Fault | None:
        """What differs under this library."""
        got = run(self.program, torch)
        for step, refusal in zip(self.program.steps, got.steps):
            if refusal is not None:
                return Fault(step.text, f"refused: {refusal}")
        for name, fact in self.facts.items():
            if got.facts.get(name) != fact:
                return Fault(name, f"(requires_grad, is_leaf) {got.facts.get(name)}, want {fact}")
        for name, want in self.values.items():
            a = got.values.get(name)
            if a is None:
                return Fault(name, "missing")
            if a.shape != self.shapes[name]:
                return Fault(name, f"shape {a.shape}, want {self.shapes[name]}")
            text = off(seen(a), want)
            if text:
                return Fault(name, text, f"got\n{seen(a)}\nwant (within {want.allowed:.3g})\n"
                                         f"{want.value}")
        return None


def seen(a: np.ndarray) -> np.ndarray:
    """What is stored of a value: all of it, or numbers at fixed places and one of all."""
    if a.size <= 2 * PLACES:
        return a.reshape(-1)
    flat = a.reshape(-1)
    signs = np.random.RandomState(a.size).randint(0, 2, a.size) * 2 - 1
    with np.errstate(all="ignore"):
        whole = np.dot(np.nan_to_num(flat.astype(np.float64), posinf=0, neginf=0), signs)
        # As a mean: what each element may be off, the mean may be, too.
        whole = (whole / a.size).astype(a.dtype)
    at = np.linspace(0, a.size - 1, PLACES).astype(int)
    return np.append(flat[at], whole)


def read() -> list[Stored]:
    """The stored programs."""
    with np.load(FILE) as file:
        index = json.loads(file["index"].tobytes())
        pools = {name: file[name] for name in file.files if name != "index"}
    at = dict.fromkeys(pools, 0)
    found = []
    for entry in index:
        stored = Stored(Program(tuple(Step(*s) for s in entry["steps"]), entry["name"]),
                        facts=entry["facts"])
        for name, dtype, shape, allowed in entry["values"]:
            pool = _pool(dtype)
            n = seen(np.zeros(shape, dtype)).size
            value = pools[pool][at[pool]:at[pool] + n]
            at[pool] += n
            stored.values[name] = Expected(
                value, np.inf if allowed is None else allowed, dtype)
            stored.shapes[name] = tuple(shape)
        found.append(stored)
    return found


def _pool(dtype: str) -> str:
    return "wide" if dtype == "float64" else "narrow" if dtype.startswith("float") else "whole"


def write(programs: list[Program], torch: Any) -> None:
    """Runs them under torch and writes the file."""
    index = []
    pools: dict[str, list[np.ndarray]] = {"wide": [], "narrow": [], "whole": []}
    kinds = {"wide": np.float64, "narrow": np.float32, "whole": np.int64}
    for program in programs:
        oracle = Oracle(program, torch)
        values = []
        unwritten = not any(s.tag == "write" for s in program.steps)
        inputs = {n for s in program.steps if " = make(" in s.text for n in s.makes}
        for name in oracle.run.values:
            if unwritten and name in inputs:
                continue
            if "create_graph" in str(program) and not oracle.run.values[name].any() and (
                    name.endswith("grad") or "call" in name):            # None here, see judge()
                continue
            want = oracle.expected(name, careful=True)
            pool = _pool(want.dtype)
            own = oracle.run.values[name]
            number = want.value if np.isfinite(want.value).all() or own.dtype.kind != "f" else own
            pools[pool].append(seen(number).astype(kinds[pool]))
            values.append([name, want.dtype, list(own.shape),
                           None if want.allowed == np.inf else float(f"{want.allowed:.3g}")])
        constant = may_be_constant(program) | oracle.run.lost | {*oracle.run.same}
        index.append({"name": program.name, "steps": program.as_json(), "values": values,
                      "facts": {n: f for n, f in oracle.run.facts.items() if n not in constant}})
    arrays = {name: np.concatenate(parts) for name, parts in pools.items()}
    text = json.dumps(index, separators=(",", ":")).encode()
    np.savez_compressed(FILE, index=np.frombuffer(text, np.uint8), **arrays)


def chosen(minigrad: Any, torch: Any) -> list[Program]:
    """The programs to store: those of SIZES that torch takes whole, and that hold here now."""
    programs = []
    for profile, count in SIZES.items():
        seed, found = 1_000_000, 0
        while found < count:
            seed += 1
            program, fault = examine(draw(torch, seed, profile), minigrad, torch)
            torchs = run(program, torch)
            refused = any(s is not None for s in torchs.steps)
            if fault is not None:
                print(f"left out, it fails now: {program.name}: {fault.what[:100]}")
            elif not refused and len(program.steps) > 3 and len(str(program)) < 2500 \
                    and not torchs.lost and not torchs.same:
                programs.append(program)
                found += 1
    return programs


def main() -> None:
    """Writes the file anew."""
    torch, minigrad = load("torch"), load("minigrad")
    torch.set_num_threads(1)
    write(chosen(minigrad, torch), torch)
    bad = [s.program.name for s in read() if s.fault(minigrad) or s.fault(torch)]
    print(f"{len(read())} programs, {FILE.stat().st_size:,} bytes"
          + (f"; these fail: {bad}" if bad else ""))


if __name__ == "__main__":
    sys.exit(main())
