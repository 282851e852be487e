"""Runs by the tick in which something is to be done with them."""

from __future__ import annotations

from typing import Final

from sentinel.protocols.icmp.ping import Ping

TICK: Final = 10_000_000
"""Nanoseconds."""

GATHER: Final = 5
"""Ticks that are worked off together where nothing is urgent: waking the loop costs more than ten echoes.  They are
those on which the daemon plans regular runs, so that one wake-up serves both."""

NEVER: Final = 1 << 62


class Wheel:
    """A timer wheel on ticks of the monotonic clock; entries that have become pointless are left to their tick.

    ``soonest`` is the tick that must not be gathered with later ones, ``NEVER`` where there is none.
    """

    def __init__(self) -> None:
        self.soonest = NEVER
        self._turned = 0
        self._slots: dict[int, list[Ping]] = {}

    def put(self, ping: Ping, tick: int, *, exact: bool) -> None:
        """Have the ping taken at ``tick``, or at the next turn where that has passed."""
        tick = max(tick, self._turned + 1)
        if exact and tick < self.soonest:
            self.soonest = tick
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [ping]
        else:
            slot.append(ping)

    def turn(self, tick: int) -> list[Ping]:
        """Take all that is due up to and with ``tick``."""
        due: list[Ping] = []
        for passed in range(self._turned + 1, tick + 1):
            slot = self._slots.pop(passed, None)
            if slot is not None:
                due += slot
        self._turned = max(self._turned, tick)
        if self.soonest <= tick:
            self.soonest = min(self._slots, default=NEVER)
        return due

    def restart(self, tick: int) -> None:
        """Forget every entry and go on from ``tick``, without walking through the time that was slept."""
        self._slots.clear()
        self.soonest = NEVER
        self._turned = max(self._turned, tick)

    def pings(self) -> list[Ping]:
        """Every ping on the wheel, ended or not."""
        return [ping for slot in self._slots.values() for ping in slot]
