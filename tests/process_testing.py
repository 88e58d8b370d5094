"""What tests share that run Python in a process of its own."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python(*arguments: str, cache: Path, **env: str) -> tuple[int, str, str]:
    """Runs Python on this tree with a compile cache of its own: (exit code, stdout, stderr)."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith("NUMBA_") and k != "MINIGRAD_QUIET"}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "vectors"), str(ROOT / "examples")])
    clean |= {"MINIGRAD_CACHE_DIR": str(cache), "PYTHONPATH": path} | env
    done = subprocess.run([sys.executable, *arguments], cwd=cache, env=clean, text=True,
                          capture_output=True, timeout=600)
    return done.returncode, done.stdout, done.stderr
