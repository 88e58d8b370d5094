"""The command line: `python -m benchmarks [NAME ...]`. See --help."""
from __future__ import annotations

import argparse
import importlib.util
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import against, machine, quiet, report
from .catalogue import GROUPS, PROGRAMS, Program, members, select
from .peers import PEERS, Peer, find_peer
from .records import Record
from .turns import Runner, Settings

DESCRIPTION = """\
Times programs under minigrad and the libraries that one could use instead, in turns, each in a
process of its own, and prints medians, ratios, targets and percent of the machine's peak.
"""
EPILOG = """\
examples
  python -m benchmarks                             everything (about 50 minutes)
  python -m benchmarks --quick headline            training steps, roughly, in two minutes
  python -m benchmarks cnn_64 rnn --threads 1,2    a program and a group, with 1 and 2 threads
  python -m benchmarks --output results            also results/run.json, table.md, two pictures
  python -m benchmarks --from results/run.json --output elsewhere     redraw, nothing measured
  python -m benchmarks --against HEAD~1            this tree and the commit before, in turns;
                                                   exit status 1 if something got slower

the libraries
  pip install -e ".[bench]" brings all of them. On Linux, PyPI's torch is the CUDA build, gigabytes
  that are not used here; for the CPU build, first
      pip install torch --index-url https://download.pytorch.org/whl/cpu
  A library that is not installed is left out. torch-compile is run only when --peers names it.

what the numbers mean: benchmarks/README.md
"""
QUICK = ("minigrad", "torch", "torch-channels-last", "jax")


class _Once(argparse.Action):
    """An option of which a second one would silently replace the first."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string} is given twice; want one, with commas: "
                         f"{option_string} A,B")
        setattr(namespace, self.dest, values)


def _peer_names(text: str) -> list[str]:
    """The parts between commas, each once."""
    words = text.split(",")
    if not all(words):
        raise argparse.ArgumentTypeError(f"want names, with commas between them; got {text!r}")
    if twice := [word for word in words if words.count(word) > 1]:
        raise argparse.ArgumentTypeError(f"{twice[0]} is named twice in {text!r}")
    return words


def _threads(text: str) -> list[int]:
    words, cores = _peer_names(text), len(machine.allowed_cores())
    try:
        counts = [int(word) for word in words]
    except ValueError:
        raise argparse.ArgumentTypeError(f"want numbers such as 1,2; got {text!r}") from None
    for count in counts:
        if not 1 <= count <= cores:
            raise argparse.ArgumentTypeError(
                f"want 1 to {cores} threads, as many as this process may use cores; got {count}")
    return sorted(counts)


def _number(kind: Callable[[str], float], least: float, what: str) -> Callable[[str], float]:
    """What reads a number of at least so much."""
    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not least <= number < math.inf:
            raise argparse.ArgumentTypeError(f"want {what}; got {text!r}")
        return number
    return read


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION,
                                epilog=EPILOG, allow_abbrev=False,
                                formatter_class=argparse.RawDescriptionHelpFormatter)

    def option(name: str, metavar: str, type: Callable[[str], Any], help: str) -> None:
        p.add_argument(name, metavar=metavar, type=type, help=help, action=_Once,
                       dest={"--from": "source"}.get(name))
    p.add_argument("names", nargs="*", metavar="NAME",
                   help="programs or groups (default: all; see --list)")
    p.add_argument("--list", action="store_true", help="what there is to run, and end")
    option("--peers", "A,B", _peer_names, "libraries (default: "
           f"{','.join(n for n, q in PEERS.items() if q.default)}); also a file.py of yours with "
           "a table PROGRAMS, see benchmarks/peers.py")
    option("--threads", "N,M", _threads, "threads for every library; several: measured with each "
           "(default: the cores that this process may use)")
    option("--seconds", "S", _number(float, 0.01, "a positive number of seconds, 0.01 or more"),
           "time for each program, all libraries together (default 12); at least 6 rounds are made")
    option("--rounds", "N", _number(int, 1, "a whole number of rounds, 1 or more"),
           "exactly so many rounds instead")
    p.add_argument("--quick", action="store_true", help="short turns, torch and JAX only, without "
                   "the scaling group unless named: for a first look")
    option("--output", "DIR", Path, "write run.json, table.md and the two pictures there")
    p.add_argument("--verbose", action="store_true", help="show what the libraries print")
    option("--from", "FILE", Path, "read a run.json instead of measuring")
    option("--against", "WHAT", str, "a git revision, or the folder of another checkout: its "
           "minigrad takes part in this run. Exit status 1 if this tree's is slower")
    option("--tolerance", "X", _number(float, 0, "a number such as 0.10 for 10 %, 0 or more"),
           f"the slowing down that --against forgives (default {against.TOLERANCE} = "
           f"{100 * against.TOLERANCE:.0f} %%)")
    return p


def _refuse_what_would_do_nothing(args: argparse.Namespace) -> None:
    """Raises: ValueError for options that the others leave without effect."""
    if args.tolerance is not None and not args.against:
        raise ValueError("--tolerance is what --against forgives; want --against, too")
    if args.rounds and args.seconds:
        raise ValueError("--rounds counts, --seconds looks at the clock: want one of the two")
    for option in ("peers", "threads", "seconds", "rounds", "quick", "against"):
        if args.source and getattr(args, option):
            raise ValueError(f"--from reads what was measured; --{option} says how to measure: "
                             "want one of the two")


def _ready_to_write(folder: Path) -> None:
    """Make the folder and write into it, before anything is measured.

    Raises: ValueError if that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"--output {folder}: want a folder, got a file (or one is in its "
                         "path)") from None
    except OSError as error:
        raise ValueError(f"--output {folder}: cannot write there: {error.strerror}") from None
    if not _can_draw():
        print("there will be no pictures: pip install matplotlib", file=sys.stderr)


def _can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def listing() -> str:
    """All groups and programs, a sentence each."""
    lines, width = [], max(map(len, PROGRAMS)) + 2
    for group, about in GROUPS.items():
        lines += [f"{group}: {about}", *[f"  {name:{width}}{PROGRAMS[name].about}"
                                         for name in members(group)]]
    return "\n".join(lines)


class Progress:
    """What is going on, on standard error: a line for each program that is finished or failed."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()

    def __call__(self, text: str, advance: int = 0) -> None:
        self.done += advance
        print(f"[{self.done}/{self.total} {time.monotonic() - self.start:5.0f} s] {text}",
              file=sys.stderr, flush=True)


def _settings(args: argparse.Namespace) -> Settings:
    settings = (Settings(seconds=3.0, turn=0.05, pause=0.2, fresh_rounds=3) if args.quick
                else Settings())
    settings.verbose = args.verbose
    if args.against:
        settings.restart = 3
    if args.seconds is not None:
        settings.seconds = args.seconds
    if args.rounds is not None:
        settings.rounds = args.rounds
        settings.fresh_rounds = min(settings.fresh_rounds, settings.rounds)
    return settings


def _peers(args: argparse.Namespace, other: Peer | None) -> list[Peer]:
    """The libraries to run. With another tree: minigrad and it alone, unless --peers says more.

    Raises: ValueError for names that are unknown, or not unique.
    """
    names = args.peers or (["minigrad"] if other else [
        n for n, p in PEERS.items() if p.default and (not args.quick or n in QUICK)])
    peers = [find_peer(name) for name in names]
    if other:
        if PEERS["minigrad"] not in peers:
            raise ValueError("--against compares this tree's minigrad: want it among --peers")
        peers.insert(peers.index(PEERS["minigrad"]) + 1, other)
    called = [peer.name for peer in peers]
    for peer in peers:
        if called.count(peer.name) > 1:
            raise ValueError(f"two of the peers are called {peer.name}: rename your file or folder")
        if peer.name in PEERS and peer != PEERS[peer.name]:
            raise ValueError(f"{peer.spec} would be called {peer.name}, as a known library is: "
                             "rename your file")
    return peers


def _installed(record: Record, peers: list[Peer]) -> list[Peer]:
    """Those that can be run; the others are named, with what brings them.

    Raises: ValueError if none can.
    """
    usable = [p for p in peers if record.peers[p.name] != "not installed"]
    for peer in peers:
        if peer not in usable:
            print(f"{peer.name} is not installed: left out; {peer.install} brings it (or all: pip "
                  'install -e ".[bench]")', file=sys.stderr)
    if not usable:
        raise ValueError(f"none of the libraries is installed: {', '.join(p.name for p in peers)}")
    return usable


def _look_around(record: Record, when: str, threads: int) -> None:
    """Note how busy the machine is, and say so at once."""
    found = quiet.check(machine.allowed_cores()[:threads])
    record.quiet[when] = found
    if why := quiet.reasons(found):
        print(f"WARNING: this machine is busy ({why}). "
              + ("What is measured now will be marked, and targets not decided; better end the "
                 "other programs first." if when == "before" else
                 "It became so during the run, or was before."), file=sys.stderr)


def measure(args: argparse.Namespace, chosen: list[Program], peers: list[Peer]) -> Record:
    """Run everything; an interruption leaves what was measured until then."""
    settings = _settings(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)      # kill saves, too, as Ctrl-C does
    threads = args.threads or [len(machine.allowed_cores())]
    record = Record(machine.describe(), {**vars(settings), "threads": threads},
                    {p.name: p.version() or "not installed" for p in peers})
    runner = Runner(record, _installed(record, peers), settings)
    # Of what a smaller number of threads says nothing new about, only the largest is run.
    plan = [(program, count) for count in threads for program in chosen if count == max(threads)
            or (program.measure == "steady" and program.group != "scaling")]
    say = runner.tell = Progress(len(plan))
    try:
        _look_around(record, "before", max(threads))
        runner.measure_peaks(threads)
        for i, (program, count) in enumerate(plan):
            if i and count != plan[i - 1][1]:
                runner.close()
            runner.run(program, count)
            say(_one_line(record, program, count), 1)
        runner.close()
        runner.measure_peaks(threads)
        runner.close()
        _look_around(record, "after", max(threads))
        record.complete = True
    except KeyboardInterrupt:
        print("\ninterrupted: this was measured until then", file=sys.stderr)
    finally:
        runner.close()
    return record


def _one_line(record: Record, program: Program, threads: int) -> str:
    row = report.row_of(record, program, threads)
    ours = row.medians.get("minigrad")
    text = f"{program.name}: " + (report.quantity(ours, program.unit) if ours else "not measured")
    if row.ratio:
        text += f", {report.in_words(row.ratio)} of torch"
    return text + (f" ({row.verdict})" if row.verdict else "")


def _read(path: Path, names: list[str], chosen: list[Program]) -> Record:
    """What --from names, of the chosen programs.

    Raises: ValueError if nothing of them is in it.
    """
    record = Record.load(path)
    if names:
        wanted = {program.name for program in chosen}
        record.measurements = [m for m in record.measurements if m.program in wanted]
        if not record.measurements:
            raise ValueError(f"{path}: nothing of {', '.join(names)} was measured there")
    return record


def _write(record: Record, folder: Path, measured: bool) -> None:
    written = ["table.md"]
    if measured:
        record.save(folder / "run.json")
        written.insert(0, "run.json")
    (folder / "table.md").write_text(report.report(record, markdown=True), encoding="utf-8")
    if _can_draw():
        from . import pictures
        written += [path.name for path in pictures.draw_all(record, folder)]
    print(f"wrote {', '.join(written)} in {folder}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0; 1 if something got slower; 2 for arguments that make no sense; 130 if it
    was interrupted."""
    p = parser()
    args = p.parse_intermixed_args(argv)
    if args.list:
        print(listing())
        return 0
    with tempfile.TemporaryDirectory() as scratch:      # a revision's files, until the run is over
        try:
            _refuse_what_would_do_nothing(args)
            chosen = select(args.names or [group for group in GROUPS
                                           if not args.quick or group != "scaling"])
            other = against.find(args.against, Path(scratch)) if args.against else None
            peers = _peers(args, other)
            if args.output:
                _ready_to_write(args.output)
            record = (_read(args.source, args.names, chosen) if args.source else
                      measure(args, chosen, peers))
        except (ValueError, OSError) as error:
            p.error(str(error))
    if args.output:                     # first of all: what was measured must not get lost
        _write(record, args.output, measured=not args.source)
    print(report.report(record))
    worse = against.conclude(record, against.TOLERANCE if args.tolerance is None
                             else args.tolerance)
    return 130 if not record.complete and not args.source else int(worse)


if __name__ == "__main__":
    # A closed pipe (`| head`) is no error worth a traceback.
    try:
        sys.exit(main())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
