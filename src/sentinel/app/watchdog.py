"""The watchdog: systemd hears of life only while everything that must move has moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from sentinel.app.systemd import notify, watchdog_interval
from sentinel.engine.ports import Clock

log = structlog.get_logger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that must move: ``beats`` grows while it does, at least every ``allowance`` seconds."""

    beats: Callable[[], int]
    allowance: float


class Watchdog:
    """``stuck`` names the parts that have not moved for longer than they may."""

    def __init__(self, parts: Mapping[str, Part], clock: Clock) -> None:
        self._parts = parts
        self._clock = clock
        now = clock.monotonic()
        self._seen = {name: (part.beats(), now) for name, part in parts.items()}

    @property
    def stuck(self) -> list[str]:
        """Parts that stand still, as of now."""
        now = self._clock.monotonic()
        found = []
        for name, part in self._parts.items():
            beats, since = self._seen[name]
            current = part.beats()
            if current != beats:
                self._seen[name] = (current, now)
            elif now - since > part.allowance:
                found.append(name)
        return found

    async def run(self) -> None:
        """Tell systemd of life, until cancelled."""
        interval = watchdog_interval()
        pause = LOOK_EVERY if interval is None else min(LOOK_EVERY, interval)
        while True:
            stuck = self.stuck
            if stuck:
                log.critical("watchdog.stuck", parts=stuck)
            elif interval is not None:
                notify("WATCHDOG=1")
            await asyncio.sleep(pause)
