"""The scheduler: a wheel of 10 ms slots on the monotonic clock, asleep where a slot is empty.

It owns time and nothing else: at a check's slot it hands the check to ``start`` and forgets it until ``finished``.
A check that is still running at its next slot is not started twice; the slot is counted as missed.  All checks of
one tick are handed over together, so that a protocol that sweeps can send them in one go.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from sentinel.domain.target import Check
from sentinel.engine.planner import TICK, first_slot, next_slot, phase, ticks
from sentinel.engine.ports import Clock

MOST_ASLEEP = 100
"""Ticks: the wheel turns at least this often, for the watchdog to see."""

LATENESS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper bounds in seconds."""


@dataclass(slots=True, eq=False)
class Entry:
    """A check on the wheel.

    ``slot`` is the tick of its next regular run, ``extra`` that of an earlier run out of turn (None without one).
    ``phase`` and ``step`` say where its regular slots lie.
    ``due`` is the monotonic time for which it was started last.  ``memory`` is the probe's own, kept from run to run.
    """

    check: Check
    slot: int
    phase: int = 0
    step: int = 1
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
        self._wheel: dict[int, list[Entry]] = {}
        self._ticks: list[int] = []  # a heap of the ticks that are taken, so that the empty ones can be slept through
        self._asleep: asyncio.Future[None] | None = None
        self._until = 0
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
                entry = Entry(
                    check,
                    first_slot(check.id, check.interval, now),
                    phase(check.id, check.interval, self._origin),
                    ticks(check.interval),
                )
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
        loop = asyncio.get_running_loop()
        while True:
            self.turn()
            while self._ticks and self._ticks[0] < self._at:
                heappop(self._ticks)
            self._until = min([*self._ticks[:1], self._at + MOST_ASLEEP])
            self._asleep = loop.create_future()
            timer = loop.call_later(max(0.0, self._until * TICK - self._clock.monotonic()), _wake, self._asleep)
            try:
                await self._asleep
            finally:
                timer.cancel()
                self._asleep = None

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
                entry.slot = slot = next_slot(entry.phase, entry.step, max(tick, now))
                self._put(entry, slot)
                if slot - tick > entry.step:
                    self.missed += (slot - tick) // entry.step - 1
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
        tick = max(tick, self._at)
        entries = self._wheel.get(tick)
        if entries is not None:
            entries.append(entry)
            return
        self._wheel[tick] = [entry]
        heappush(self._ticks, tick)
        if self._asleep is not None and tick < self._until:
            _wake(self._asleep)

    def _late(self, seconds: float, count: int) -> None:
        seconds = max(0.0, seconds)
        self.lateness_counts[bisect_left(LATENESS_BUCKETS, seconds)] += count
        self.lateness_sum += seconds * count

    def _tick_now(self) -> int:
        # A hair more: 0.29 / 0.01 is 28.999… in binary, and the wheel would wait for a tick that is already there.
        return int(self._clock.monotonic() / TICK + 1e-6)


def _wake(asleep: asyncio.Future[None]) -> None:
    if not asleep.done():
        asleep.set_result(None)
