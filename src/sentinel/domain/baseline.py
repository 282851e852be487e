"""What is usual at an hour of the day: learned from what was measured, compared with what is measured now.

A camera's picture is dark at night and bright by day: one limit for both is wrong at one of them.  For each hour of
the local day the usual value (``centre``) and how far it strays (``spread``) are learned from the days before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

HOURS: Final = 24
HOUR: Final = 3600.0
EAST: Final = 8 * 3600.0
"""Seconds by which Asia/Shanghai is ahead of UTC, the whole year since 1991."""

_NORMAL: Final = 1.4826
"""Standard deviation of a normal distribution to its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What was measured in one hour of one day: how often, the mean, and the sum of squared distances from it."""

    count: int
    mean: float
    squares: float


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual at one hour: ``spread`` is a standard deviation, learned from ``samples`` on ``days`` days."""

    centre: float
    spread: float
    samples: int = 0
    days: int = 0

    def strays(self, value: float, floor: float) -> float:
        """How many spreads a value is away; a spread below ``floor`` counts as ``floor``."""
        return abs(value - self.centre) / max(self.spread, floor)

    def around(self, spreads: float, floor: float) -> tuple[float, float]:
        """The lowest and highest value that is so many spreads away."""
        reach = spreads * max(self.spread, floor)
        return self.centre - reach, self.centre + reach


Day = Mapping[int, Usual]
"""By the hour of the local day, 0 to 23; hours that nothing is known of are not there."""

CheckBaseline = Mapping[str, Day]
"""By value, or ``name:item`` where a value exists once for each item."""

NOTHING_USUAL: Final[CheckBaseline] = {}


def hour_of(at: float) -> int:
    """The hour of the day in Asia/Shanghai of a moment in UTC epoch seconds, 0 to 23."""
    return int((at + EAST) // HOUR) % HOURS


def covers(baseline: CheckBaseline, value: str) -> bool:
    """Whether anything is known of the value, or of one of its items."""
    return value in baseline or any(key.partition(":")[0] == value for key in baseline)


def by_hour(measured: Mapping[str, Mapping[int, Moments]]) -> CheckBaseline:
    """What is usual of a check, from the moments of each value by the beginning of its hour (UTC epoch seconds)."""
    found: dict[str, Day] = {}
    for value, hours in measured.items():
        days: dict[int, list[Moments]] = {}
        for at, moments in hours.items():
            days.setdefault(hour_of(at), []).append(moments)
        found[value] = {hour: usual(days[hour]) for hour in sorted(days)}
    return found


def usual(days: Sequence[Moments]) -> Usual:
    """What is usual at an hour, from that hour of some days (at least one).

    Medians over the days, so that a single day on which the lens was covered moves nothing: the centre is the median
    of the days' means; the spread is made of how far a value strays within a day and how far the days lie apart.
    """
    means = [day.mean for day in days]
    centre = median(means)
    within = median(day.squares / day.count for day in days)
    apart = _NORMAL * median(abs(mean - centre) for mean in means)
    return Usual(centre, math.sqrt(within + apart * apart), sum(day.count for day in days), len(days))
