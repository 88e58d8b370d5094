"""The machine that a run was made on: its CPU, caches, cores; the versions; the commit."""
from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_CPU = Path("/sys/devices/system/cpu")
_PACKAGES = ("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "tensorflow",
             "tensorflow-cpu", "mlx", "mygrad", "autograd")


def _command(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=10,
                              check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def cpu_model() -> str:
    """The processor's name, as its maker writes it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return _command("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or "unknown"


def _features() -> list[str]:
    """The vector instructions that matter here."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    words = set(text.split())
    return [w for w in ("avx2", "fma", "avx512f", "asimd", "sve") if w in words]


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(_CPU.glob("cpu0/cache/index*")):
        try:
            level, kind, size = ((index / n).read_text().strip() for n in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def allowed_cores() -> list[int]:
    """The cores that this process may use, one of each physical core first."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    seen: set[str] = set()
    first: list[int] = []
    second: list[int] = []
    for core in sorted(os.sched_getaffinity(0)):
        try:
            siblings = (_CPU / f"cpu{core}/topology/thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(core)
        (second if siblings in seen else first).append(core)
        seen.add(siblings)
    return first + second


def pinning(threads: int) -> str:
    """The cores for so many threads, as the worker wants them: "0,1"; "" without pinning."""
    if not hasattr(os, "sched_setaffinity"):
        return ""
    return ",".join(map(str, allowed_cores()[:threads]))


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def describe() -> dict[str, Any]:
    """All of it, for the record."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = _command("git", "rev-parse", "--short=12", "HEAD")
    if commit and _command("git", "status", "--porcelain", "--", "minigrad", "benchmarks"):
        commit += " and uncommitted changes"
    return {
        "cpu": cpu_model(), "features": _features(), "cores": len(allowed_cores()),
        "caches": _caches(), "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions, "commit": commit or "unknown",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "-m", "benchmarks", *map(shlex.quote, sys.argv[1:])]),
    }


def in_words(machine: dict[str, Any]) -> str:
    """Two lines for under a table."""
    caches = ", ".join(f"{name} {size}" for name, size in machine.get("caches", {}).items())
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    features = " ".join(machine.get("features", []))
    return (f"{machine['cpu']}, {machine['cores']} cores, {features}; {caches}; "
            f"{machine['system']}\n{versions}; commit {machine['commit']}; {machine['date']}")
