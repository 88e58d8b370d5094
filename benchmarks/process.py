"""The parent's end of a library's process (worker.py): start it, ask it, notice how it ends."""
from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from typing import Any

from . import machine
from .peers import Peer, environment


class WorkerError(Exception):
    """A worker answered with an error, died, or did not answer."""


class Hangs(WorkerError):
    """A worker did not answer in time."""


class DoesNotStart(WorkerError):
    """A worker ended, or said what is wrong, before it could be asked anything."""


class WorkerProcess:
    """The parent's end. `extra` are more variables of its environment."""

    def __init__(self, peer: Peer, threads: int, timeout: float, verbose: bool = False,
                 extra: dict[str, str] | None = None) -> None:
        self.timeout = timeout
        detached: dict[str, Any] = ({"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
                                    if sys.platform == "win32" else {"start_new_session": True})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer.spec, str(threads),
             machine.pinning(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL, text=True,
            cwd=machine.ROOT, env={**environment(threads), **(extra or {})}, **detached)
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.started = self._answer()
        except WorkerError as error:
            self.close()
            raise DoesNotStart(f"does not start: {error}") from None

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def _answer(self) -> dict[str, Any]:
        try:
            line = self.lines.get(timeout=self.timeout)
        except queue.Empty:
            raise Hangs(f"no answer within {self.timeout:.0f} s") from None
        if not line:
            raise WorkerError(f"crashed (exit code {self.process.wait()})")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises: WorkerError.
        """
        assert self.process.stdin
        with contextlib.suppress(OSError):              # it is dead: _answer says how it ended
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        return self._answer()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        """End the process, at once."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
