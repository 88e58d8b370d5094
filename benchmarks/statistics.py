"""What the samples of a few rounds allow us to say: medians, paired ratios, intervals.

The rounds take turns between the libraries, so the i-th samples of two libraries belong together: a
machine that slows down for a second slows both. Hence ratios are formed round by round, and all
statements, of tables and pictures alike, are about their median: a quotient of two medians may
compare two different rounds.

The interval of a median needs no assumption about how noise is distributed: each ratio lies below
the true median with probability 1/2, so the number below it is binomial. It lies between the k-th
smallest and the k-th largest of n ratios with probability 1 - 2 P(Binomial(n, 1/2) < k). Six rounds
give 97 % between the smallest and the largest; with fewer, less is known, and is said.

A target is met or missed only if the whole interval lies on one side of it, and if the interval is
fit to say so: of enough rounds, and not so wide that the rounds contradict each other.
"""
from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
WIDEST = 2.0        # times the lower end: rounds that differ by more were not of one machine


@dataclass(frozen=True)
class Ratio:
    """A median ratio, the interval in which it lies, and with which confidence."""

    median: float
    low: float
    high: float
    confidence: float

    @property
    def doubt(self) -> str:
        """Why this interval proves nothing; "" if it may be believed."""
        if self.confidence < CONFIDENCE:
            return "too few rounds"
        return "rounds differ too much" if self.high > WIDEST * self.low else ""

    @property
    def shown(self) -> bool:
        """Whether a difference is shown: 1 lies outside an interval that is to be trusted."""
        return self.confidence >= CONFIDENCE and not self.low <= 1 <= self.high

    def verdict(self, target: float, disturbance: str = "") -> str:
        """Is it at most `target`? "met", "missed", or "not decided: why"."""
        why = disturbance or self.doubt
        if not why and self.high <= target:
            return "met"
        if not why and self.low > target:
            return "missed"
        return f"not decided: {why or 'target in the interval'}"


def coverage(n: int, k: int) -> float:
    """The probability that a median lies between the k-th smallest and the k-th largest of n."""
    below = sum(math.comb(n, i) for i in range(k))
    return 1 - 2 * below / 2 ** n


def interval(values: Sequence[float]) -> Ratio:
    """The median and its interval: the narrowest that covers CONFIDENCE, else all values.

    Raises: ValueError without values, or for one that no clock measured: 0, negative, nan, inf.
    """
    if not values:
        raise ValueError("no samples")
    for value in values:
        if not 0 < value < math.inf:
            raise ValueError(f"want positive numbers, got {value}: nothing was measured there")
    ordered, n = sorted(values), len(values)
    k = max((k for k in range(1, n // 2 + 1) if coverage(n, k) >= CONFIDENCE), default=1)
    return Ratio(statistics.median(ordered), ordered[k - 1], ordered[n - k], coverage(n, k))


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """The ratio ours / theirs of samples that belong together; the shorter list decides how many.

    Raises: ValueError without samples, or for one that is not positive.
    """
    interval(ours), interval(theirs)                # checks every sample: no division by 0
    return interval([a / b for a, b in zip(ours, theirs)])


def spread(values: Sequence[float]) -> float:
    """Half the distance between the quartiles over the median: how far a typical round strays."""
    if len(values) < 2:
        return 0.0
    quarter = statistics.quantiles(values, n=4, method="inclusive")
    return (quarter[2] - quarter[0]) / 2 / statistics.median(values)


def geometric_mean(ratios: Sequence[Ratio]) -> Ratio:
    """The mean that treats 2 times as slow and 2 times as fast alike, of rows measured one by one.

    Their errors are independent, so the distances (of logarithms) from median to either end add up
    as squares: sqrt(d1^2 + ... + dn^2) / n.

    Raises: ValueError without ratios.
    """
    if not ratios:
        raise ValueError("no ratios")
    n = len(ratios)
    middle = math.fsum(math.log(r.median) for r in ratios) / n
    down = math.hypot(*[math.log(r.median / r.low) for r in ratios]) / n
    up = math.hypot(*[math.log(r.high / r.median) for r in ratios]) / n
    return Ratio(math.exp(middle), math.exp(middle - down), math.exp(middle + up),
                 min(r.confidence for r in ratios))
