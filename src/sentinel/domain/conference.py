"""The conference incident rate: at most 5 % of the conferences supported in a month had an incident.

With fewer than 20 conferences a single incident is more than 5 %, so none is allowed: the rule counts whole
incidents, ``floor(at_most x conferences)``, and shows how many are left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conference:
    """One planned conference; ``start`` and ``end`` are UTC epoch seconds, ``venues`` are venue ids."""

    id: str
    name: str
    venues: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A confirmed fault on a required check: from its first failure to its end (None while it lasts)."""

    check: str
    venue: str
    start: float
    end: float | None


@dataclass(frozen=True, slots=True)
class ConferenceFigure:
    """A period's figure: ``allowed`` and ``left`` are whole incidents; ``hit`` names the conferences with one.

    ``supported`` are the conferences that have begun, ``planned`` all of the period: the budget is what the
    planned ones allow.  ``rate`` is hit / supported, 0 where none has begun.
    """

    supported: int
    planned: int
    hit: Mapping[str, tuple[str, ...]]
    allowed: int

    @property
    def rate(self) -> float:
        """The share of the conferences that have begun and had an incident, 0 to 1."""
        return len(self.hit) / self.supported if self.supported else 0.0

    @property
    def left(self) -> int:
        """Whole incidents that may still happen; negative once the promise is broken."""
        return self.allowed - len(self.hit)


def conference_figure(
    conferences: Iterable[Conference], faults: Sequence[Fault], *, at_most: float, tolerance: float, now: float
) -> ConferenceFigure:
    """Count the conferences of a period in which a fault lasted over ``tolerance`` seconds, up to ``now``."""
    planned = list(conferences)
    begun = [conference for conference in planned if conference.start <= now]
    hit = {
        conference.id: checks
        for conference in begun
        if (checks := _faulty(conference, faults, tolerance=tolerance, now=now))
    }
    # 1e-9: 0.05 * 20 must be one whole incident in binary floating point as well.
    return ConferenceFigure(len(begun), len(planned), hit, math.floor(at_most * len(planned) + 1e-9))


def _faulty(conference: Conference, faults: Sequence[Fault], *, tolerance: float, now: float) -> tuple[str, ...]:
    end = min(conference.end, now)
    return tuple(
        sorted(
            {
                fault.check
                for fault in faults
                if fault.venue in conference.venues
                and min(end, math.inf if fault.end is None else fault.end) - max(conference.start, fault.start)
                > tolerance
            }
        )
    )
