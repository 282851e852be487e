"""The scheduler: a wheel of 10 ms slots on the monotonic clock.

It owns time and nothing else: at a check's slot it hands the check to ``start`` and forgets it until ``finished``.
A check that is still running at its next slot is not started twice; the slot is counted as missed.  All checks of
one tick are handed over together, so that a protocol that sweeps can send them in one go.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sentinel.domain.target import Check
from sentinel.engine.planner import TICK, first_slot, next_slot, ticks
from sentinel.engine.ports import Clock

LATENESS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper bounds in seconds."""


@dataclass(slots=True, eq=False)
class Entry:
    """A check on the wheel.

    ``slot`` is the tick of its next regular run, ``extra`` that of an earlier run out of turn (None without one).
    ``due`` is the monotonic time for which it was started last.  ``memory`` is the probe's own, kept from run to run.
    """

    check: Check
    slot: int
    extra: int | None = None
    due: float = 0.0
    running: bool = False
    again: bool = False
    gone: bool = False
    memory: dict[str, object] = field(default_factory=dict)


class Scheduler:
    """Starts checks when they are due.  ``run`` lasts until it is cancelled."""

    def __init__(self, clock: Clock, start: Callable[[Sequence[Entry]], None]) -> None:
        self._clock = clock
        self._start = start
        self._wheel: defaultdict[int, list[Entry]] = defaultdict(list)
        self._entries: dict[str, Entry] = {}
        self._origin = self._tick_now()
        self._at = self._origin
        self.missed = 0
        self.started = 0
        self.beats = 0
        self.lateness_counts = [0] * (len(LATENESS_BUCKETS) + 1)
        self.lateness_sum = 0.0

    def __contains__(self, check: str) -> bool:
        return check in self._entries

    def load(self, checks: Iterable[Check], *, unchanged: frozenset[str] = frozenset()) -> None:
        """Replace what is on the wheel; a check in ``unchanged`` keeps its entry, its slot and its memory."""
        now = self._tick_now()
        old, self._entries = self._entries, {}
        for check in checks:
            if check.vantage is None:
                continue
            entry = old.get(check.id)
            if entry is not None and check.id in unchanged:
                del old[check.id]
                entry.check = check
            else:
                entry = Entry(check, first_slot(check.id, check.interval, now))
                self._put(entry, entry.slot)
            self._entries[check.id] = entry
        for entry in old.values():
            entry.gone = True

    def hasten(self, check: str, delay: float = 0.0) -> None:
        """Run the check out of turn, ``delay`` seconds from now; its regular slots stay as they are.

        Where it is running now it runs once more as soon as it has ended: what it sees now may have begun before
        whatever made somebody ask.
        """
        entry = self._entries.get(check)
        if entry is None:
            return
        if entry.running and delay == 0.0:
            entry.again = True
            return
        slot = max(self._at, self._tick_now()) + ticks(delay)
        if slot >= entry.slot or (entry.extra is not None and entry.extra <= slot):
            return
        entry.extra = slot
        self._put(entry, slot)

    def finished(self, entry: Entry) -> None:
        """The check's run has ended; the wheel may start it again."""
        entry.running = False
        if entry.again:
            entry.again = False
            self.hasten(entry.check.id)

    async def run(self) -> None:
        """Turn the wheel until cancelled."""
        while True:
            self.turn()
            delay = self._at * TICK - self._clock.monotonic()
            await asyncio.sleep(max(0.0, delay))

    def turn(self) -> None:
        """Start all that is due by now."""
        now = self._tick_now()
        self.beats += 1
        while self._at <= now:
            entries = self._wheel.pop(self._at, None)
            if entries:
                self._fire(self._at, entries, now)
            self._at += 1

    def _fire(self, tick: int, entries: list[Entry], now: int) -> None:
        due = tick * TICK
        ready = []
        for entry in entries:
            if entry.gone:
                continue
            if entry.extra == tick:
                entry.extra = None
            elif entry.slot == tick:
                entry.slot, _ = next_slot(entry.check.id, entry.check.interval, self._origin, max(tick, now))
                self._put(entry, entry.slot)
                skipped = (entry.slot - tick) // ticks(entry.check.interval) - 1
                self.missed += max(0, skipped)
            else:
                continue  # an extra run that was overtaken
            if entry.running:
                self.missed += 1
                continue
            entry.running, entry.due = True, due
            ready.append(entry)
        if ready:
            self._late(self._clock.monotonic() - due, len(ready))
            self.started += len(ready)
            self._start(ready)

    def _put(self, entry: Entry, tick: int) -> None:
        self._wheel[max(tick, self._at)].append(entry)

    def _late(self, seconds: float, count: int) -> None:
        seconds = max(0.0, seconds)
        self.lateness_counts[bisect_left(LATENESS_BUCKETS, seconds)] += count
        self.lateness_sum += seconds * count

    def _tick_now(self) -> int:
        # A hair more: 0.29 / 0.01 is 28.999… in binary, and the wheel would wait for a tick that is already there.
        return int(self._clock.monotonic() / TICK + 1e-6)
