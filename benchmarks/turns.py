"""The run: libraries in processes of their own, taking turns, one active at a time.

For a steady program, a round gives each library one turn, in an order that rotates; rounds go on
until the time is spent. Before each turn there is a pause, since OpenMP's threads spin for up to
0.2 s after their last work and would slow the next library down. What only a fresh process shows
(import, first step, memory) starts one for each sample.

A library that is missing, raises or crashes is noted and left out of that program; its process is
started anew for the next one. One that hangs or does not start is left out of the rest: it would do
so again, and cost `timeout` each time. One that is far behind leaves after two turns.
"""
from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import machine, quiet
from .catalogue import Program
from .peers import CONTROL, PEAK, Peer
from .process import DoesNotStart, Hangs, WorkerError, WorkerProcess
from .records import Measurement, Record, rounded

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


def _sample(value: float, unit: str) -> float:
    """The sample, if it is one.

    Raises: WorkerError for 0 or less: no clock and no memory says that of something that happened.
    """
    if not 0 < value < math.inf:
        raise WorkerError(f"measured {value} {unit}: too little to be seen")
    return rounded(value)


@dataclass
class Runner:
    """Fills a Record, program by program."""

    record: Record
    peers: list[Peer]
    settings: Settings
    tell: Callable[[str], None] = print
    _workers: dict[tuple[str, int], WorkerProcess] = field(default_factory=dict)
    _given_up: dict[str, str] = field(default_factory=dict)         # peer -> why

    def run(self, program: Program, threads: int) -> None:
        """Measure one program under all peers; what is measured is in the record at once."""
        (self._steady if program.measure == "steady" else self._fresh)(program, threads)

    def candidates(self, program: Program) -> list[Peer]:
        """The peers for which this program makes sense."""
        return [p for p in self.peers
                if (program.images or not p.images_only)
                and (program.group != "scaling" or p.compared)
                and (program.measure != "cold" or p.package == "minigrad")]

    def close(self) -> None:
        """End all workers."""
        while self._workers:
            self._workers.popitem()[1].close()

    def _start(self, peer: Peer, threads: int,
               extra: dict[str, str] | None = None) -> WorkerProcess:
        return WorkerProcess(peer, threads, self.settings.timeout, self.settings.verbose, extra)

    def _ask(self, peer: Peer, threads: int, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer of the peer's process, which is started if it is not running."""
        key = (peer.name, threads)
        if key not in self._workers or not self._workers[key].alive:
            self._workers[key] = self._start(peer, threads)
        if do in ("prepare", "turn"):
            time.sleep(self.settings.pause)
        return self._workers[key].ask(do, **arguments)

    def _fail(self, peer: Peer, row: Measurement, error: WorkerError) -> None:
        row.error = str(error)
        self.tell(f"{peer.name} failed at {row.program}: {error}")
        if isinstance(error, (Hangs, DoesNotStart)) and peer in self.peers:
            self._given_up[peer.name] = (f"it hung at {row.program}" if isinstance(error, Hangs)
                                         else f"it {error}")
        if worker := self._workers.pop((peer.name, row.threads), None):
            worker.close()                          # a fresh one for the next program

    def _rows(self, program: Program, threads: int) -> list[tuple[Peer, Measurement]]:
        """A row in the record for each candidate; with its error if it is not to be asked."""
        rows = []
        for peer in self.candidates(program):
            why = self._given_up.get(peer.name)
            rows.append((peer, Measurement(program.name, peer.name, threads,
                                           error=f"left out: {why}" if why else "")))
        self.record.measurements += [row for _, row in rows]
        return rows

    def _absent(self, row: Measurement) -> None:
        """The peer has no such program: no row."""
        row.error = "absent"
        self.record.measurements.remove(row)

    def _watch(self, threads: int) -> quiet.Watch:
        """Counts from now on what others take of the cores that the workers are on."""
        return quiet.Watch(machine.allowed_cores()[:threads], lambda: [
            worker.process.pid for worker in self._workers.values() if worker.alive])

    # ----------------------------------------------------------------------- steady programs

    def _steady(self, program: Program, threads: int) -> None:
        # The i-th sample of every row is of round i: a row that fails or is interrupted only ends
        # earlier, so that samples with one index belong together.
        control = Measurement(program.name, "control", threads)
        rows = [*self._rows(program, threads), (CONTROL, control)]
        self.record.measurements.append(control)
        first = rows[0][1]
        active = [pair for pair in rows if not pair[1].error and self._prepare(program, *pair)]
        start, done, watch = time.monotonic(), 0, self._watch(threads)
        while active:
            shift = done % len(active)
            for peer, row in [*active[shift:], *active[:shift]]:
                try:
                    answer = self._ask(peer, threads, "turn", seconds=self.settings.turn)
                    row.samples.append(_sample(answer["seconds"], "seconds"))
                except WorkerError as error:
                    self._fail(peer, row, error)
            done += 1
            share = watch.foreign()
            for _, row in active:
                row.foreign = share
            over = self._enough(done, time.monotonic() - start)
            leaving = [pair for pair in active if over or self._far_behind(pair[1], first)]
            for peer, row in leaving:
                self._drop(peer, row)
            active = [pair for pair in active if not pair[1].error and pair not in leaving]
            if active and self.settings.restart and done % self.settings.restart == 0:
                self.close()
                active = [pair for pair in active if self._prepare(program, *pair)]

    def _prepare(self, program: Program, peer: Peer, row: Measurement) -> bool:
        what = ({"build": f"control_{program.control}", "sizes": {}} if peer is CONTROL else
                {"build": program.build.__name__, "sizes": program.sizes})
        try:
            answer = self._ask(peer, row.threads, "prepare", **what)
        except WorkerError as error:
            self._fail(peer, row, error)
            return False
        if "absent" in answer:
            self._absent(row)
            return False
        row.check = [rounded(number) for number in answer["check"]]
        return True

    def _enough(self, done: int, passed: float) -> bool:
        if self.settings.rounds:
            return done >= self.settings.rounds
        return done >= self.settings.least and passed >= self.settings.seconds

    def _far_behind(self, row: Measurement, first: Measurement) -> bool:
        """Whether it takes ten times as long as the first peer, and its runs take seconds: six
        rounds of the largest programs would take minutes, and nobody needs their spread."""
        return (not self.settings.rounds and len(row.samples) > 1 and bool(first.samples)
                and sum(row.samples) > self.settings.seconds
                and min(row.samples) > _FAR_BEHIND * min(first.samples))

    def _drop(self, peer: Peer, row: Measurement) -> None:
        if not row.error:
            try:
                self._ask(peer, row.threads, "drop")
            except WorkerError as error:
                self._fail(peer, row, error)

    # -------------------------------------------------------------- what a fresh process shows

    def _fresh(self, program: Program, threads: int) -> None:
        rows, watch = self._rows(program, threads), self._watch(threads)
        count = self.settings.fresh_rounds
        for turn in range(count):
            for peer, row in rows:
                if row.error or (not peer.compared and turn >= -(-count // 2)):
                    continue
                time.sleep(self.settings.pause)
                try:
                    seen = self._see(program, peer, threads)
                    if seen is None:
                        self._absent(row)
                    else:
                        row.samples.append(_sample(seen, "seconds or bytes"))
                    row.foreign = watch.foreign()
                except WorkerError as error:
                    self._fail(peer, row, error)

    def _see(self, program: Program, peer: Peer, threads: int) -> float | None:
        """What one fresh process shows; None if the peer has no such program."""
        build, sizes = program.build.__name__, program.sizes
        with tempfile.TemporaryDirectory() as empty:
            cold = program.measure == "cold"
            worker = self._start(peer, threads, {
                "MINIGRAD_CACHE_DIR": os.path.join(empty, "cache")} if cold else {})
            self._workers["fresh", threads] = worker            # so that its time counts as ours
            try:
                if program.measure == "import":
                    return worker.started["import"]
                if program.measure == "memory":
                    # A batch of 1 first: whatever is loaded on first use is not the step's memory.
                    if "absent" in worker.ask("prepare", build=build, sizes={"batch": 1}):
                        return None
                    before = worker.ask("mark")["bytes"]
                    worker.ask("prepare", build=build, sizes=sizes)
                    return float(worker.ask("peak")["bytes"] - before)
                answer = worker.ask("prepare", build=build, sizes=sizes)
                return None if "absent" in answer else answer["build"] + answer["first"]
            finally:
                worker.close()
                self._workers.pop(("fresh", threads), None)

    # ------------------------------------------------------------------------------- the peaks

    def measure_peaks(self, threads: Iterable[int]) -> None:
        """The machine's peaks with so many threads; the best of what was ever seen in this run.

        Where they cannot be measured there are no percentages.
        """
        for n in threads:
            best = list(self.record.peaks.get(n, (0.0, 0.0)))
            try:
                for i, build in enumerate(("peak_flops", "peak_bandwidth")):
                    work = self._ask(PEAK, n, "prepare", build=build, sizes={})["work"]
                    for _ in range(5):
                        seconds = self._ask(PEAK, n, "turn", seconds=_PEAK_TURN)["seconds"]
                        best[i] = max(best[i], work / seconds)
            except WorkerError as error:
                self._fail(PEAK, Measurement(build, PEAK.name, n), error)
                continue
            self.record.peaks[n] = (best[0], best[1])
