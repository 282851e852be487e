"""A closer look once people were told: what the protocol finds is kept with the incident.

Bounded in every way: so many at a time, so many that wait (in a storm the rest go without), half a minute each, one an
incident.  Nothing here is waited for by what judges and tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from sentinel.domain.evidence import Evidence
from sentinel.domain.incident import Incident
from sentinel.domain.target import Check
from sentinel.sdk.protocol import Protocol

log = structlog.get_logger(__name__)

AT_ONCE: Final = 4
WAITING: Final = 64
WITHIN: Final = 30.0
"""Seconds that one look may take."""
REMEMBERED: Final = 1_024


class Investigator:
    """``opened`` asks for a look; ``run`` takes the looks until it is cancelled; ``keep`` takes what they find."""

    def __init__(
        self,
        services: Mapping[str, Any],
        protocols: Callable[[], Mapping[str, Protocol]],
        plan: Callable[[], Mapping[str, Check]],
        keep: Callable[[str, Evidence], None],
    ) -> None:
        self._services = services
        self._protocols = protocols
        self._plan = plan
        self._keep = keep
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue(WAITING)
        self._seen: dict[str, None] = {}
        self.dropped = 0
        """Looks that were not taken, since too many waited."""

    def opened(self, incident: Incident) -> None:
        """An incident was opened or told: look at it once."""
        check = self._plan().get(incident.subject)
        if incident.id in self._seen or check is None or self._declared(check) is None:
            return
        self._seen[incident.id] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        try:
            self._queue.put_nowait((incident.id, check.id))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(AT_ONCE):
                group.create_task(self._work(), name=f"investigator {number}")

    async def _work(self) -> None:
        while True:
            incident, name = await self._queue.get()
            check = self._plan().get(name)
            protocol = self._declared(check) if check is not None else None
            if check is None or protocol is None or protocol.investigate is None:
                continue  # a reload took it away
            try:
                async with asyncio.timeout(WITHIN):
                    found = await protocol.investigate(self._services[protocol.name], check)
            except TimeoutError:
                log.warning("investigation.timed_out", incident=incident, check=name)
            except Exception:  # a defect of one protocol must not end the looks at the others
                log.exception("investigation.defect", incident=incident, check=name)
            else:
                if found is not None:
                    self._keep(incident, found)

    def _declared(self, check: Check) -> Protocol | None:
        protocol = self._protocols().get(check.protocol)
        if protocol is None or protocol.investigate is None or check.protocol not in self._services:
            return None
        return protocol
