"""Availability from transitions: up, down, unknown and unobserved time add up to the wall time exactly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """A check's confirmed state from ``at`` (UTC epoch seconds) on."""

    at: float
    state: str


@dataclass(frozen=True, slots=True)
class Tally:
    """Seconds in each state within a period."""

    up: float = 0.0
    down: float = 0.0
    unknown: float = 0.0
    unobserved: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Up time of the time in which we know: up / (up + down); None where nothing is known."""
        known = self.up + self.down
        return self.up / known if known > 0 else None

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.up + other.up,
            self.down + other.down,
            self.unknown + other.unknown,
            self.unobserved + other.unobserved,
        )


def tally(changes: Iterable[Change], since: float, until: float) -> Tally:
    """Count the time between ``since`` and ``until``; what comes before the first change is unobserved.

    ``changes`` need not be in order: a fault that is confirmed late begins at its first failure.
    """
    seconds = dict.fromkeys(("up", "down", "unknown", "unobserved"), 0.0)
    state, at = "unobserved", since
    for change in sorted(changes, key=lambda one: one.at):
        begin = min(max(change.at, since), until)
        seconds[state] += begin - at
        state, at = change.state, begin
    seconds[state] += until - at
    return Tally(**seconds)


def spells(changes: Iterable[Change], state: str) -> list[tuple[float, float | None]]:
    """When the state was held: (from, to) pairs in order, ``to`` None where it still is."""
    found: list[tuple[float, float | None]] = []
    begin: float | None = None
    for change in sorted(changes, key=lambda one: one.at):
        if change.state == state and begin is None:
            begin = change.at
        elif change.state != state and begin is not None:
            found.append((begin, change.at))
            begin = None
    if begin is not None:
        found.append((begin, None))
    return found
