"""The run: libraries in processes of their own, taking turns, one active at a time.

For a steady program, a round gives each library one turn; rounds go on until the time is spent, but
for libraries that are far behind.
The order rotates from round to round. Before each turn there is a pause, since OpenMP's threads
spin for up to 0.2 s after their last work and would slow the next library down. What only a fresh
process shows (import, first step, memory) starts one for each sample.

A library that is missing, raises or crashes is noted and left out of that program; its process is
started anew for the next one. One that hangs or does not start is left out of the rest: it would do
so again, and cost `timeout` each time. One that is far behind is not asked for the larger sizes of
the same program.
"""
from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import machine, quiet
from .catalogue import Program
from .peers import CONTROL, PEAK, Peer, environment
from .records import Measurement, Record

Tell = Callable[[str], None]
_FAR_BEHIND = 10        # times as slow: a few rounds say all there is to say
_PEAK_TURN = 0.15       # seconds; five of them see the peak also where other turns are short


@dataclass
class Settings:
    """How a run is made.

    rounds: exactly so many; 0: at least `least`, and for `seconds`.
    restart: after so many rounds all processes start anew (0: never): where a process happens to
        put its code and data makes a few percent, which no number of rounds in it would average.
    """

    seconds: float = 12.0
    rounds: int = 0
    restart: int = 0
    least: int = 6
    turn: float = 0.15
    pause: float = 0.25
    timeout: float = 300.0
    verbose: bool = False           # show what the workers print
    fresh_rounds: int = 6           # for libraries that no target depends on, half as many


class WorkerError(Exception):
    """A worker answered with an error, died, or did not answer."""


class Hangs(WorkerError):
    """A worker did not answer in time."""


class DoesNotStart(WorkerError):
    """A worker ended, or said what is wrong, before it could be asked anything."""


def _positive(sample: float, unit: str) -> float:
    """The sample, if it is one.

    Raises: WorkerError for 0 or less: no clock and no memory says that of something that happened.
    """
    if not sample > 0:
        raise WorkerError(f"measured {sample} {unit}: too little to be seen")
    return sample


class WorkerProcess:
    """The parent's end of a worker (worker.py)."""

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
            code = self.process.wait()
            raise WorkerError(f"crashed (exit code {code})")
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


@dataclass
class Runner:
    """Fills a Record, program by program."""

    record: Record
    peers: list[Peer]
    settings: Settings
    tell: Tell = print
    _workers: dict[tuple[str, int], WorkerProcess] = field(default_factory=dict)
    _given_up: dict[str, str] = field(default_factory=dict)         # peer -> why

    def worker(self, peer: Peer, threads: int) -> WorkerProcess:
        """The peer's process; started if it is not running."""
        key = (peer.name, threads)
        if key not in self._workers or not self._workers[key].alive:
            self._workers[key] = self._start(peer, threads)
        return self._workers[key]

    def _start(self, peer: Peer, threads: int,
               extra: dict[str, str] | None = None) -> WorkerProcess:
        return WorkerProcess(peer, threads, self.settings.timeout, self.settings.verbose, extra)

    def close(self) -> None:
        """End all workers."""
        while self._workers:
            self._workers.popitem()[1].close()

    def _processes(self) -> list[int]:
        return [worker.process.pid for worker in self._workers.values() if worker.alive]

    def watch(self, threads: int) -> quiet.Watch:
        """Counts from now on what others take of the cores that the workers are on."""
        return quiet.Watch(machine.allowed_cores()[:threads], self._processes)

    def candidates(self, program: Program) -> list[Peer]:
        """The peers for which this program makes sense."""
        peers = [p for p in self.peers if program.images or not p.images_only]
        if program.measure == "cold":
            peers = [p for p in peers if p.package == "minigrad"]
        return peers

    def _skip(self, program: Program, peer: Peer, threads: int) -> str:
        """Why this library is not asked; "" if it is."""
        if peer.name in self._given_up:
            return f"left out: {self._given_up[peer.name]}"
        if program.group == "scaling" and program.base and not peer.compared:
            ours, theirs = (self.record.samples(program.base, name, threads)
                            for name in ("minigrad", peer.name))
            if ours and theirs and min(theirs) > _FAR_BEHIND * min(ours):
                return (f"left out: {min(theirs) / min(ours):.0f} times as slow as minigrad at "
                        f"{program.base}")
        return ""

    def run(self, program: Program, threads: int) -> list[Measurement]:
        """Measure one program under all peers; what is measured is in the record at once."""
        if program.measure == "steady":
            return self._steady(program, threads)
        return self._fresh(program, threads)

    # ----------------------------------------------------------------------- steady programs

    def _steady(self, program: Program, threads: int) -> list[Measurement]:
        # The i-th sample of every row is of round i: a row that fails or is interrupted only ends
        # earlier, so that samples with one index belong together.
        rows, active = [], []
        for peer in [*self.candidates(program), CONTROL]:
            is_control = peer is CONTROL
            row = Measurement(program.name, "control" if is_control else peer.name, threads)
            if why := self._skip(program, peer, threads):
                row.error = why
                rows.append(row)
                self.record.measurements.append(row)
                continue
            self.tell(f"{peer.name}: prepares")
            if self._prepare(peer, row, *self._request(program, peer)):
                active.append((peer, row))
            if row.error != "absent":
                rows.append(row)
                self.record.measurements.append(row)
        start, done, watch = time.monotonic(), 0, self.watch(threads)
        while active:
            self.tell(f"round {done + 1}")
            shift = done % len(active)
            for peer, row in [*active[shift:], *active[:shift]]:
                time.sleep(self.settings.pause)
                try:
                    answer = self.worker(peer, threads).ask("turn", seconds=self.settings.turn)
                    row.samples.append(_positive(answer["seconds"], "seconds"))
                except WorkerError as error:
                    self._fail(peer, row, error)
            done += 1
            share = watch.foreign()
            for _, row in active:
                row.foreign = share
            going_on = [] if self._enough(done, time.monotonic() - start) else [
                (peer, row) for peer, row in active
                if not row.error and not self._has_shown_it(row, rows[0])]
            for peer, row in active:
                if not row.error and (peer, row) not in going_on:
                    self._drop(peer, row)
            active = going_on
            if active and self.settings.restart and done % self.settings.restart == 0:
                self.tell("starts all processes anew")
                self.close()
                active = [(peer, row) for peer, row in active
                          if self._prepare(peer, row, *self._request(program, peer))]
        return rows

    def _request(self, program: Program, peer: Peer) -> tuple[str, dict[str, Any]]:
        """The function that builds the program, or its control, and the sizes."""
        if peer is CONTROL:
            return f"control_{program.control}", {}
        return program.build.__name__, program.sizes

    def _has_shown_it(self, row: Measurement, first: Measurement) -> bool:
        """Whether it takes over ten times as long as the first peer, and its runs take seconds: six
        rounds of the largest programs would take minutes, and nobody needs their spread.
        """
        return (not self.settings.rounds and len(row.samples) > 1 and bool(first.samples)
                and sum(row.samples) > self.settings.seconds
                and min(row.samples) > _FAR_BEHIND * min(first.samples))

    def _drop(self, peer: Peer, row: Measurement) -> None:
        try:
            self.worker(peer, row.threads).ask("drop")
        except WorkerError as error:
            self._fail(peer, row, error)

    def _enough(self, done: int, passed: float) -> bool:
        if self.settings.rounds:
            return done >= self.settings.rounds
        return done >= self.settings.least and passed >= self.settings.seconds

    def _prepare(self, peer: Peer, row: Measurement, build: str, sizes: dict[str, Any]) -> bool:
        try:
            time.sleep(self.settings.pause)
            answer = self.worker(peer, row.threads).ask("prepare", build=build, sizes=sizes)
        except WorkerError as error:
            self._fail(peer, row, error)
            return False
        if "absent" in answer:
            row.error = "absent"
            return False
        row.build, row.first = answer["build"], answer["first"]
        row.check, row.work = answer["check"], answer["work"]
        return True

    def _fail(self, peer: Peer, row: Measurement, error: WorkerError) -> None:
        row.error = str(error)
        self.tell(f"{peer.name} failed at {row.program}: {error}")
        if isinstance(error, (Hangs, DoesNotStart)) and peer in self.peers:
            self._given_up[peer.name] = (f"it hung at {row.program}" if isinstance(error, Hangs)
                                         else f"it {error}")
        worker = self._workers.pop((peer.name, row.threads), None)
        if worker:                                  # a fresh one for the next program
            worker.close()

    # -------------------------------------------------------------- what a fresh process shows

    def _fresh(self, program: Program, threads: int) -> list[Measurement]:
        rows = []
        for peer in self.candidates(program):
            row = Measurement(program.name, peer.name, threads,
                              error=self._skip(program, peer, threads))
            rows.append(row)
            self.record.measurements.append(row)
        count, watch = self.settings.fresh_rounds, self.watch(threads)
        for turn in range(count):
            for peer, row in zip(self.candidates(program), rows):
                if row.error or (not peer.compared and turn >= -(-count // 2)):
                    continue
                self.tell(f"round {turn + 1} of {count}: {peer.name}")
                time.sleep(self.settings.pause)
                try:
                    sample = self._sample(program, peer, threads)
                    if sample is None:                  # the peer has no such program
                        row.error = "absent"
                        self.record.measurements.remove(row)
                    else:
                        row.samples.append(_positive(sample, "seconds or bytes"))
                    row.foreign = watch.foreign()
                except WorkerError as error:
                    self._fail(peer, row, error)
        return [row for row in rows if row.error != "absent"]

    def _sample(self, program: Program, peer: Peer, threads: int) -> float | None:
        with tempfile.TemporaryDirectory() as empty:
            cold = program.measure == "cold"
            extra = {"MINIGRAD_CACHE_DIR": os.path.join(empty, "cache")} if cold else {}
            worker = self._start(peer, threads, extra)
            self._workers["fresh", threads] = worker            # so that its time counts as ours
            try:
                if program.measure == "import":
                    return worker.started["import"]
                build = program.build.__name__
                if program.measure == "memory":
                    # A batch of 1 first: whatever is loaded on first use is not the step's memory.
                    if "absent" in worker.ask("prepare", build=build, sizes={"batch": 1}):
                        return None
                    before = worker.ask("mark")["bytes"]
                    worker.ask("prepare", build=build, sizes=program.sizes)
                    return float(worker.ask("peak")["bytes"] - before)
                answer = worker.ask("prepare", build=build, sizes=program.sizes)
                return None if "absent" in answer else answer["build"] + answer["first"]
            finally:
                worker.close()
                self._workers.pop(("fresh", threads), None)

    # ------------------------------------------------------------------------------- the peaks

    def measure_peaks(self, threads: Iterable[int]) -> None:
        """The machine's peaks with so many threads; the best of what was ever seen in this run."""
        for n in threads:
            seen = []
            for build in ("peak_flops", "peak_bandwidth"):
                row = Measurement(build, PEAK.name, n)
                if not self._prepare(PEAK, row, build, {}):
                    return                          # without peaks: no percentages
                try:
                    for _ in range(5):
                        time.sleep(self.settings.pause)
                        answer = self.worker(PEAK, n).ask("turn", seconds=_PEAK_TURN)
                        row.samples.append(answer["seconds"])
                except WorkerError as error:
                    self._fail(PEAK, row, error)
                    return
                seen.append((row.work or 0) / min(row.samples))
            old = self.record.peaks.get(n, (0.0, 0.0))
            self.record.peaks[n] = (max(old[0], seen[0]), max(old[1], seen[1]))
