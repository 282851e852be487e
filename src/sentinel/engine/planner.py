"""When a check is due: pure arithmetic on ticks of 10 ms.

A check's slots lie at ``phase + k x interval`` on the monotonic clock.  The phase comes from the check's id, so
that starts are spread over the interval, the same after every restart.  A check with a long interval runs once
early as well, so that everything has been looked at within ``FIRST_RUN`` seconds of the start.
"""

from __future__ import annotations

import zlib

TICK = 0.01
"""Seconds: the grid on which slots lie."""

FIRST_RUN = 30.0
"""Seconds after the start within which every check has run once."""


def ticks(seconds: float) -> int:
    """Seconds as whole ticks, at least one."""
    return max(1, round(seconds / TICK))


def spread(check: str) -> float:
    """A number from 0 to 1 (excluded) that is always the same for an id, and even over many."""
    # CRC-32 alone keeps neighbours apart badly (hall-01, hall-02 …); Knuth's multiplicative hash spreads it.
    return (zlib.crc32(check.encode()) * 2654435761 % 4294967296) / 4294967296


def first_slot(check: str, interval: float, start: int) -> int:
    """The first tick at which the check is due, not later than ``FIRST_RUN`` after ``start``."""
    return start + 1 + int(spread(check) * ticks(min(interval, FIRST_RUN)))


def next_slot(check: str, interval: float, start: int, now: int) -> tuple[int, int]:
    """The check's next regular slot after tick ``now``, and how many lie between ``start`` and it, less one."""
    step = ticks(interval)
    phase = start + 1 + int(spread(check) * step)
    count = max(0, (now - phase) // step + 1)
    return phase + count * step, count
