"""When a check is due: pure arithmetic on ticks of 10 ms.

A check's slots lie at ``phase + k x interval`` on the monotonic clock, aligned to ``GRID`` where the interval is:
waking the process costs more than ten probes, so what is due at nearly the same time is planned for the same time.
The phase comes from the check's id, so that starts are spread over the interval, the same after every restart.
A check with a long interval runs once early as well, so that everything has been looked at within ``FIRST_RUN`` seconds
of the start.
"""

from __future__ import annotations

import zlib

TICK = 0.01
"""Seconds: the grid on which slots lie."""

GRID = 5
"""Ticks: regular slots lie on multiples of this, 50 ms."""

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
    return phase(check, min(interval, FIRST_RUN), start)


def phase(check: str, interval: float, start: int) -> int:
    """The check's first regular slot: a tick in (start, start + interval], on the grid where the interval is."""
    step = ticks(interval)
    tick = start + 1 + int(spread(check) * step)
    if step % GRID:
        return tick
    aligned = tick - tick % GRID
    return aligned if aligned > start else aligned + GRID


def next_slot(phase: int, step: int, now: int) -> int:
    """The first regular slot after tick ``now``, of those at ``phase`` and every ``step`` ticks from there on."""
    return phase + max(0, (now - phase) // step + 1) * step
