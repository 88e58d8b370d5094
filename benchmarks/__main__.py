"""The command line: `python -m benchmarks [NAME ...]`. See --help."""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
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
  python -m benchmarks                             everything (about 45 minutes)
  python -m benchmarks --quick headline            the README's picture, roughly, in two minutes
  python -m benchmarks cnn_64 rnn --threads 1,2    a program and a group, with 1 and 2 threads
  python -m benchmarks --output results            also results/run.json, table.md and pictures
  python -m benchmarks --from results/run.json --output elsewhere     redraw, nothing measured
  python -m benchmarks --against HEAD~1            this tree and the commit before, in turns
  python -m benchmarks conv --against results/run.json       against an older result
  --against ends with exit status 1 if something got slower

the libraries
  pip install -e ".[bench]" brings all of them. On Linux, PyPI's torch is the CUDA build, gigabytes
  that are not used here; for the CPU build, first
      pip install torch --index-url https://download.pytorch.org/whl/cpu
  A library that is not installed is left out. torch-compile is run only when --peers names it.

what the numbers mean: benchmarks/README.md
"""


class _Once(argparse.Action):
    """An option of which a second one would silently replace the first."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string} is given twice; want one, with commas: "
                         f"{option_string} A,B")
        setattr(namespace, self.dest, values)


def _words(text: str, what: str) -> list[str]:
    """The parts between commas, each once."""
    words = text.split(",")
    if not all(words):
        raise argparse.ArgumentTypeError(f"want {what}, with commas between them; got {text!r}")
    if twice := [word for word in words if words.count(word) > 1]:
        raise argparse.ArgumentTypeError(f"{twice[0]} is named twice in {text!r}")
    return words


def _threads(text: str) -> list[int]:
    words, cores = _words(text, "numbers of threads"), len(machine.allowed_cores())
    try:
        counts = [int(word) for word in words]
    except ValueError:
        raise argparse.ArgumentTypeError(f"want numbers such as 1,2; got {text!r}") from None
    for count in counts:
        if not 1 <= count <= cores:
            raise argparse.ArgumentTypeError(
                f"want 1 to {cores} threads, as many as this process may use cores; got {count}")
    return sorted(counts)


def _peer_names(text: str) -> list[str]:
    return _words(text, "libraries")


def _kinds(text: str) -> list[str]:
    words = _words(text, "svg, png or none")
    for word in words:
        if word not in ("svg", "png", "none") or (word == "none" and len(words) > 1):
            raise argparse.ArgumentTypeError(f"want svg, png, svg,png or none; got {text!r}")
    return [word for word in words if word != "none"]


def _rounds(text: str) -> int:
    try:
        rounds = int(text)
    except ValueError:
        rounds = 0
    if rounds < 1:
        raise argparse.ArgumentTypeError(f"want a whole number of rounds, 1 or more; got {text!r}")
    return rounds


def _number(text: str, what: str, least: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise argparse.ArgumentTypeError(f"want {what}; got {text!r}")
    return number


def _seconds(text: str) -> float:
    return _number(text, "a positive number of seconds, 0.01 or more", 0.01)


def _tolerance(text: str) -> float:
    return _number(text, "a number such as 0.10 for 10 %, 0 or more", 0.0)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION,
                                epilog=EPILOG, allow_abbrev=False,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME",
                   help="programs or groups (default: all; see --list)")
    p.add_argument("--list", action="store_true", help="what there is to run, and end")
    p.add_argument("--peers", metavar="A,B", action=_Once, type=_peer_names,
                   help="libraries (default: "
                   f"{','.join(n for n, q in PEERS.items() if q.default)}); also a file.py "
                   "of yours with a table PROGRAMS, see benchmarks/peers.py")
    p.add_argument("--threads", type=_threads, metavar="N,M", action=_Once,
                   help="threads for every library; several: measured with each (default: the "
                   "cores that this process may use)")
    p.add_argument("--seconds", type=_seconds, metavar="S", action=_Once,
                   help="time for each program, all "
                   "libraries together (default 12); at least 6 rounds are made")
    p.add_argument("--rounds", type=_rounds, metavar="N", action=_Once,
                   help="exactly so many rounds instead")
    p.add_argument("--quick", action="store_true", help="short turns, torch and JAX only, without "
                   "the scaling group unless named: for a first look")
    p.add_argument("--output", type=Path, metavar="DIR", action=_Once,
                   help="write run.json, table.md and the pictures there")
    p.add_argument("--pictures", type=_kinds, metavar="KIND", action=_Once,
                   help="with --output: svg, png, svg,png or none (default svg)")
    p.add_argument("--verbose", action="store_true", help="show what the libraries print")
    p.add_argument("--from", action="append", type=Path, metavar="FILE", dest="sources",
                   help="read a result instead of measuring; --from A --from B puts several "
                   "together, a later one's programs replace an earlier one's")
    p.add_argument("--against", metavar="WHAT", action=_Once,
                   help="a git revision or the folder of another checkout: its minigrad takes part "
                   "in this run; or a run.json: compare with that older result. Exit status 1 if a "
                   "regression is shown")
    p.add_argument("--tolerance", type=_tolerance, metavar="X", action=_Once,
                   help=f"the slowing down that --against forgives (default {against.TOLERANCE} = "
                   f"{100 * against.TOLERANCE:.0f} %%)")
    return p


def _refuse_what_would_do_nothing(args: argparse.Namespace) -> None:
    """Raises: ValueError for options that the others leave without effect."""
    if args.pictures is not None and not args.output:
        raise ValueError("--pictures says what --output DIR writes; want --output, too")
    if args.tolerance is not None and not args.against:
        raise ValueError("--tolerance is what --against forgives; want --against, too")
    if args.rounds and args.seconds:
        raise ValueError("--rounds counts, --seconds looks at the clock: want one of the two")
    if args.sources:
        for option in ("peers", "threads", "seconds", "rounds", "quick"):
            if getattr(args, option):
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


def listing() -> str:
    """All groups and programs, a sentence each."""
    lines = []
    width = max(map(len, PROGRAMS)) + 2
    for group, about in GROUPS.items():
        names = members(group)
        lines.append(f"{group}: {about}")
        if group == "headline":
            lines.append(f"  {', '.join(names)}")
            continue
        lines += [f"  {name:{width}}{PROGRAMS[name].about}" for name in names]
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Yields say(text, advance=0): a tqdm bar if installed and someone watches, else lines."""
    try:
        from tqdm import tqdm
    except ImportError:
        tqdm = None
    if tqdm is None or not sys.stderr.isatty():
        done, start = 0, time.monotonic()

        def lines(text: str, advance: int = 0) -> None:
            nonlocal done
            done += advance
            if advance or "failed" in text:
                print(f"[{done}/{total} {time.monotonic() - start:5.0f} s] {text}", file=sys.stderr,
                      flush=True)
        yield lines
        return
    with tqdm(total=total, unit="program", leave=False) as bar:
        def on_bar(text: str, advance: int = 0) -> None:
            if advance or "failed" in text:
                bar.write(text, file=sys.stderr)
            bar.set_postfix_str(text[:40])
            bar.update(advance)
        yield on_bar


def _settings(args: argparse.Namespace, peers: list[Peer]) -> Settings:
    settings = (Settings(seconds=3.0, turn=0.05, pause=0.2, fresh_rounds=3) if args.quick
                else Settings())
    settings.verbose = args.verbose
    if any(peer.tree for peer in peers):
        settings.restart = 3
    if args.seconds is not None:
        settings.seconds = args.seconds
    if args.rounds is not None:
        settings.rounds = args.rounds
        settings.fresh_rounds = min(settings.fresh_rounds, settings.rounds)
    return settings


def _peers(args: argparse.Namespace, other: Peer | None) -> list[Peer]:
    """The libraries to run. With another tree: minigrad and it alone, unless --peers says more."""
    quick = ("minigrad", "torch", "torch-channels-last", "jax")
    if args.peers:
        peers = [find_peer(name) for name in args.peers]
    elif other:
        peers = [PEERS["minigrad"]]
    else:
        peers = [p for n, p in PEERS.items() if p.default and (not args.quick or n in quick)]
    if other:
        if PEERS["minigrad"] not in peers:
            raise ValueError("--against compares this tree's minigrad: want it among --peers")
        peers.insert(peers.index(PEERS["minigrad"]) + 1, other)
    names = [peer.name for peer in peers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two of the peers are called {name}: rename your file or folder")
    for peer in peers:
        if peer.name in PEERS and peer != PEERS[peer.name]:
            raise ValueError(f"{peer.spec} would be called {peer.name}, as a known library is: "
                             "rename your file")
    return peers


def _installed(record: Record, peers: list[Peer]) -> list[Peer]:
    """Those that can be run; the others are named, with what brings them.

    Raises: ValueError if none can.
    """
    usable = [p for p in peers if record.peers[p.name] != "not installed"]
    absent = [p for p in peers if p not in usable]
    for peer in absent:
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
        print(f"WARNING: this machine is busy ({', '.join(why)}). "
              + ("What is measured now will be marked, and targets not decided; better end the "
                 "other programs first." if when == "before" else
                 "It became so during the run, or was before."), file=sys.stderr)


def measure(args: argparse.Namespace, chosen: list[Program], peers: list[Peer]) -> Record:
    """Run everything; an interruption leaves what was measured until then."""
    settings = _settings(args, peers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)      # kill saves, too, as Ctrl-C does
    threads = args.threads or [len(machine.allowed_cores())]
    record = Record(machine.describe(), {**vars(settings), "threads": threads},
                    {p.name: p.version() or "not installed" for p in peers})
    usable = _installed(record, peers)
    with _progress(len(chosen) * len(threads)) as say:
        runner = Runner(record, usable, settings, say)
        try:
            _look_around(record, "before", max(threads))
            runner.measure_peaks(threads)
            for count in threads:
                for program in chosen:
                    if count < max(threads) and not _worth_repeating(program):
                        say(f"{program.name}: only with {max(threads)} threads", 1)
                        continue
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


def _worth_repeating(program: Program) -> bool:
    """Whether a smaller number of threads says something new about it."""
    return program.measure == "steady" and program.group != "scaling"


def _one_line(record: Record, program: Program, threads: int) -> str:
    row = report.row_of(record, program, threads)
    ours = row.medians.get("minigrad")
    text = f"{program.name}: " + (report.quantity(ours, program.unit) if ours else "not measured")
    if row.ratio:
        text += f", {report.in_words(row.ratio)} of {row.best}"
    return text + (f" ({row.verdict})" if row.verdict else "")


def _write(record: Record, args: argparse.Namespace) -> None:
    folder: Path = args.output
    data = []
    if not args.sources or len(args.sources) > 1:
        record.save(folder / "run.json")
        data.append("run.json")
    (folder / "table.md").write_text(report.report(record, markdown=True), encoding="utf-8")
    written = []
    kinds = ["svg"] if args.pictures is None else args.pictures
    if kinds and _can_draw():
        from . import pictures
        written = pictures.draw_all(record, folder, kinds)
    names = ", ".join([*data, "table.md", *[path.name for path in written]])
    print(f"wrote {names} in {folder}", file=sys.stderr)


def _can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _read(args: argparse.Namespace, chosen: list[Program]) -> Record:
    """What --from names, put together.

    Raises: ValueError if nothing of the chosen programs is in it.
    """
    record = Record.load(args.sources[0])
    for path in args.sources[1:]:
        record.add(Record.load(path))
    if args.names:
        wanted = {program.name for program in chosen}
        record.measurements = [m for m in record.measurements if m.program in wanted]
        if not record.measurements:
            files = ", ".join(map(str, args.sources))
            raise ValueError(f"{files}: nothing of {', '.join(args.names)} was measured there")
    return record


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0; 1 for a regression; 2 for arguments that make no sense; 130 if it was
    interrupted."""
    p = parser()
    args = p.parse_intermixed_args(argv)
    if args.list:
        print(listing())
        return 0
    tolerance = against.TOLERANCE if args.tolerance is None else args.tolerance
    with tempfile.TemporaryDirectory() as scratch:      # a revision's files, until the run is over
        try:
            _refuse_what_would_do_nothing(args)
            words = args.names
            if args.quick and not words:
                words = [group for group in GROUPS if group != "scaling"]
            chosen = select(words)
            old, other = against.find(args.against, Path(scratch), bool(args.sources))
            peers = _peers(args, other)
            if args.output:
                _ready_to_write(args.output)
                if args.pictures != [] and not _can_draw():
                    print("there will be no pictures: pip install matplotlib", file=sys.stderr)
            if args.sources:
                record = _read(args, chosen)
            else:
                record = measure(args, chosen, peers)
        except (ValueError, OSError) as error:
            p.error(str(error))
    if args.output:                     # first of all: what was measured must not get lost
        _write(record, args)
    print(report.report(record))
    worse = against.conclude(record, old, tolerance)
    return 130 if not record.complete and not args.sources else int(worse)


if __name__ == "__main__":
    # A closed pipe (`| head`) is no error worth a traceback.
    try:
        sys.exit(main())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
