"""What a run leaves: measurements and the machine that they were made on, as JSON and back."""
from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 2


def rounded(number: float) -> float:
    """To six digits: no clock knows more, and a result is half as long."""
    return float(f"{number:.6g}")


@dataclass
class Measurement:
    """One program under one library with so many threads.

    samples: one number a round, in seconds a run (or bytes).
    check: sums of what the program computed, to compare with other libraries.
    error: why there are no more samples; "" if all went well.
    foreign: the share of its cores that other programs took while it was measured; None where the
        system does not say.
    """

    program: str
    peer: str
    threads: int
    samples: list[float] = field(default_factory=list)
    check: list[float] = field(default_factory=list)
    error: str = ""
    foreign: float | None = None

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None


@dataclass
class Record:
    """A whole run.

    peaks: for each number of threads, (flops a second, bytes a second).
    quiet: what quiet.check() found "before" and "after" the measuring.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    peers: dict[str, str]
    measurements: list[Measurement] = field(default_factory=list)
    peaks: dict[int, tuple[float, float]] = field(default_factory=dict)
    complete: bool = False
    quiet: dict[str, dict[str, Any]] = field(default_factory=dict)

    def get(self, program: str, peer: str, threads: int) -> Measurement | None:
        """The measurement, if there is one."""
        for m in self.measurements:
            if (m.program, m.peer, m.threads) == (program, peer, threads):
                return m
        return None

    def samples(self, program: str, peer: str, threads: int) -> list[float]:
        """Its samples; none if it was not measured."""
        m = self.get(program, peer, threads)
        return m.samples if m else []

    @property
    def threads(self) -> list[int]:
        """The numbers of threads that were used, largest last."""
        return sorted({m.threads for m in self.measurements})

    def names(self, threads: int) -> list[str]:
        """The programs measured with so many threads, in the order of the run."""
        return list(dict.fromkeys(m.program for m in self.measurements if m.threads == threads))

    def save(self, path: Path) -> None:
        """Write it as JSON, one measurement a line."""
        head = {"format": FORMAT, "complete": self.complete, "machine": self.machine,
                "settings": self.settings, "peers": self.peers, "quiet": self.quiet,
                "peaks": {str(k): list(v) for k, v in self.peaks.items()}}
        body = ",\n".join("  " + json.dumps(asdict(m)) for m in self.measurements)
        text = json.dumps(head, indent=1)[:-2]
        path.write_text(f'{text},\n "measurements": [\n{body}\n ]\n}}\n', encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read what save() wrote.

        Raises: ValueError if it is not such a file, of another format, or with a sample that
            no clock measured.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.pop("format") != FORMAT:
                raise ValueError(f"{path} has another format than {FORMAT}; measure again")
            data["measurements"] = [Measurement(**m) for m in data["measurements"]]
            for m in data["measurements"]:
                for sample in m.samples:
                    if not 0 < sample < math.inf:
                        raise ValueError(f"{path}: {m.program} under {m.peer} has the sample "
                                         f"{sample}; want positive numbers")
            data["peaks"] = {int(k): (v[0], v[1]) for k, v in data["peaks"].items()}
            return cls(**data)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is not a result of these benchmarks: {error!r}") from error
