"""How much may be under way at once: for each host, each zone and each protocol.

No locks and no futures: a job that finds no room is parked and started by the job that leaves.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

Key = tuple[str, str]
"""What is limited: ``host``, ``zone`` or ``protocol``, and which."""

Keys = tuple[Key, ...]


class Gate:
    """Lets jobs through while there is room under each of their keys.

    ``enter`` calls ``go`` at once or later, from ``leave``.  Jobs that wait under one key keep their order.
    """

    def __init__(self, room: Callable[[Key], int]) -> None:
        self._room = room
        self._inside: Counter[Key] = Counter()
        self._parked: dict[Key, deque[tuple[Keys, Callable[[], None]]]] = {}
        self.waiting = 0

    def enter(self, keys: Keys, go: Callable[[], None]) -> None:
        """Start a job, now or when there is room; whoever is started must ``leave`` with the same keys."""
        full = self._full(keys)
        if full is None:
            self._take(keys)
            go()
        else:
            self._park(full, keys, go)

    def leave(self, keys: Keys) -> None:
        """A job has ended: whoever waited for its place goes on."""
        for key in keys:
            left = self._inside[key] - 1
            if left:
                self._inside[key] = left
            else:
                del self._inside[key]
        for key in keys:
            self._admit(key)

    def _admit(self, key: Key) -> None:
        queue = self._parked.get(key)
        while queue and self._inside[key] < self._room(key):
            keys, go = queue.popleft()
            self.waiting -= 1
            full = self._full(keys)
            if full is None:
                self._take(keys)
                go()
            else:  # room here, none under another key: wait there
                self._park(full, keys, go)
        if queue is not None and not queue:
            self._parked.pop(key, None)

    def _full(self, keys: Keys) -> Key | None:
        return next((key for key in keys if self._inside[key] >= self._room(key)), None)

    def _take(self, keys: Keys) -> None:
        for key in keys:
            self._inside[key] += 1

    def _park(self, full: Key, keys: Keys, go: Callable[[], None]) -> None:
        self._parked.setdefault(full, deque()).append((keys, go))
        self.waiting += 1
