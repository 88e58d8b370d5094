"""The command line: `python -m benchmarks [NAME ...]`. See --help."""
from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import against, machine, report
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
  python -m benchmarks                             everything (about 25 minutes)
  python -m benchmarks --quick headline            the README's picture, roughly, in a minute
  python -m benchmarks cnn_64 rnn --threads 1,2    a program and a group, with 1 and 2 threads
  python -m benchmarks --output results            also results/run.json, table.md and pictures
  python -m benchmarks --from results/run.json --output elsewhere     redraw, nothing measured
  python -m benchmarks conv --against results/run.json     exit status 1 if something got slower

the libraries
  pip install -e ".[bench]" brings all of them. On Linux, PyPI's torch is the CUDA build, gigabytes
  that are not used here; for the CPU build, first
      pip install torch --index-url https://download.pytorch.org/whl/cpu
  A library that is not installed is left out. torch-compile is run only when --peers names it.

what the numbers mean: benchmarks/README.md
"""


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"want numbers such as 1,2; got {text!r}") from None
    if min(counts) < 1:
        raise argparse.ArgumentTypeError("a thread count is at least 1")
    return sorted(set(counts))


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION,
                                epilog=EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME",
                   help="programs or groups (default: all; see --list)")
    p.add_argument("--list", action="store_true", help="what there is to run, and end")
    p.add_argument("--peers", metavar="A,B", help="libraries (default: "
                   f"{','.join(n for n, q in PEERS.items() if q.default)}); also a file.py "
                   "of yours with a table PROGRAMS, see benchmarks/peers.py")
    p.add_argument("--threads", type=_counts, metavar="N,M",
                   help="threads for every library; several: measured with each (default: the "
                   "cores that this process may use)")
    p.add_argument("--seconds", type=float, metavar="S", help="time for each program, all "
                   "libraries together (default 12); at least 6 rounds are made")
    p.add_argument("--rounds", type=int, metavar="N", help="exactly so many rounds instead")
    p.add_argument("--quick", action="store_true", help="short turns, torch and JAX only, without "
                   "the scaling group unless named: for a first look")
    p.add_argument("--output", type=Path, metavar="DIR",
                   help="write run.json, table.md and the pictures there")
    p.add_argument("--pictures", nargs="*", default=["svg"], choices=["svg", "png"],
                   metavar="KIND", help="svg, png or both (default svg); none: no pictures")
    p.add_argument("--verbose", action="store_true", help="show what the libraries print")
    p.add_argument("--from", nargs="+", type=Path, metavar="FILE", dest="sources",
                   help="read results instead of measuring; several are put together, a later "
                   "one's programs replace an earlier one's")
    p.add_argument("--against", type=Path, metavar="FILE",
                   help="compare with an older result; exit status 1 if a regression is shown")
    p.add_argument("--tolerance", type=float, default=against.TOLERANCE, metavar="X",
                   help="the slowing down that --against forgives (default 0.10 = 10 %%)")
    return p


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


def _settings(args: argparse.Namespace) -> Settings:
    settings = (Settings(seconds=3.0, turn=0.05, pause=0.2, fresh_rounds=3) if args.quick
                else Settings())
    settings.verbose = args.verbose
    if args.seconds is not None:
        settings.seconds = args.seconds
    if args.rounds is not None:
        settings.rounds = max(1, args.rounds)
        settings.fresh_rounds = min(settings.fresh_rounds, settings.rounds)
    return settings


def _peers(args: argparse.Namespace) -> list[Peer]:
    if args.peers:
        return [find_peer(name) for name in args.peers.split(",")]
    quick = ("minigrad", "torch", "torch-channels-last", "jax")
    return [p for n, p in PEERS.items() if p.default and (not args.quick or n in quick)]


def measure(args: argparse.Namespace, chosen: list[Program], peers: list[Peer]) -> Record:
    """Run everything; an interruption leaves what was measured until then."""
    settings = _settings(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)      # kill saves, too, as Ctrl-C does
    threads = args.threads or [len(machine.allowed_cores())]
    record = Record(machine.describe(), {**vars(settings), "threads": threads},
                    {p.name: p.version() or "not installed" for p in peers})
    usable = [p for p in peers if record.peers[p.name] != "not installed"]
    for peer in peers:
        if peer not in usable:
            print(f"{peer.name} is not installed: left out", file=sys.stderr)
    with _progress(len(chosen) * len(threads)) as say:
        runner = Runner(record, usable, settings, say)
        try:
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
        text += f", {row.ratio.median:.2f} of {row.best}"
    return text + (f" ({row.verdict})" if row.verdict else "")


def _write(record: Record, args: argparse.Namespace) -> None:
    folder: Path = args.output
    folder.mkdir(parents=True, exist_ok=True)
    data = []
    if not args.sources or len(args.sources) > 1:
        record.save(folder / "run.json")
        data.append("run.json")
    (folder / "table.md").write_text(report.report(record, markdown=True), encoding="utf-8")
    written = []
    if args.pictures:
        try:
            from . import pictures
        except ImportError as error:
            print(f"no pictures: {error}; pip install matplotlib", file=sys.stderr)
        else:
            written = pictures.draw_all(record, folder, args.pictures)
    names = ", ".join([*data, "table.md", *[path.name for path in written]])
    print(f"wrote {names} in {folder}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0, 1 for a regression, 2 for arguments that make no sense."""
    p = parser()
    args = p.parse_args(argv)
    if args.list:
        print(listing())
        return 0
    try:
        words = args.names
        if args.quick and not words:
            words = [group for group in GROUPS if group != "scaling"]
        chosen = select(words)
        peers = _peers(args)
        old = Record.load(args.against) if args.against else None
        if args.sources:
            record = Record.load(args.sources[0])
            for path in args.sources[1:]:
                record.add(Record.load(path))
            if args.names:
                wanted = {program.name for program in chosen}
                record.measurements = [m for m in record.measurements if m.program in wanted]
        else:
            record = measure(args, chosen, peers)
    except (ValueError, OSError) as error:
        p.error(str(error))
    if args.output:                     # first of all: what was measured must not get lost
        _write(record, args)
    print(report.report(record))
    if old:
        changes = against.compare(record, old)
        print(against.table(changes, args.tolerance))
        if any(change.regressed(args.tolerance) for change in changes):
            return 1
    return 0


if __name__ == "__main__":
    # A closed pipe (`| head`) is no error worth a traceback.
    try:
        sys.exit(main())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
