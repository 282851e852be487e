"""How much may be under way at once: for each host, each zone and each protocol.

No locks and no futures: a job that finds no room is parked and started by the job that leaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Key = tuple[str, str]
"""What is limited: ``host``, ``zone`` or ``protocol``, and which."""

Keys = tuple[Key, ...]

Parked = tuple[int, Keys, Callable[[], None]]
"""The number by which it came, what it needs, how it is started."""


class Gate:
    """Lets jobs through while there is room under each of their keys.

    ``enter`` calls ``go`` at once or later, from ``leave``.  A job waits under one key that is full; where several
    could have a place that is free, the one that came first has it, under whatever key it waits.
    """

    def __init__(self, room: Callable[[Key], int]) -> None:
        self._room = room
        self._inside: Counter[Key] = Counter()
        self._parked: dict[Key, list[Parked]] = {}
        self._numbers = count()
        self.waiting = 0

    def enter(self, keys: Keys, go: Callable[[], None]) -> None:
        """Start a job, now or when there is room; whoever is started must ``leave`` with the same keys."""
        full = self._full(keys)
        if full is None:
            self._take(keys)
            go()
        else:
            self.waiting += 1
            self._park(full, (next(self._numbers), keys, go))

    def leave(self, keys: Keys) -> None:
        """A job has ended: whoever waited for its place goes on."""
        for key in keys:
            left = self._inside[key] - 1
            if left:
                self._inside[key] = left
            else:
                del self._inside[key]
        while self.waiting:
            freed = [key for key in keys if key in self._parked and self._inside[key] < self._room(key)]
            if not freed:
                break
            self._admit(min(freed, key=lambda key: self._parked[key][0][0]))

    def _admit(self, key: Key) -> None:
        """Start the first that waits here, or let it wait where there is no room for it yet."""
        queue = self._parked[key]
        job = heappop(queue)
        if not queue:
            del self._parked[key]
        _, keys, go = job
        full = self._full(keys)
        if full is None:
            self.waiting -= 1
            self._take(keys)
            go()
        else:
            self._park(full, job)

    def _full(self, keys: Keys) -> Key | None:
        for key in keys:  # not next(): this runs for each probe
            if self._inside[key] >= self._room(key):
                return key
        return None

    def _take(self, keys: Keys) -> None:
        for key in keys:
            self._inside[key] += 1

    def _park(self, full: Key, job: Parked) -> None:
        heappush(self._parked.setdefault(full, []), job)
