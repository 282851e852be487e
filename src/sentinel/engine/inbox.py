"""What nobody asked for comes in here: one inbox a protocol, bounded, and then the same way as a probe's result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check

log = structlog.get_logger(__name__)

SPACING: Final = 1.0
"""Seconds between two reports on one check: a device that repeats itself must not confirm its own fault."""


class ProtocolInbox:
    """``sentinel.sdk.protocol.Inbox`` of one protocol; ``plan`` gives the checks in force by id."""

    def __init__(
        self,
        protocol: str,
        plan: Callable[[], Mapping[str, Check]],
        take: Callable[[Check, Measurement], None],
        hasten: Callable[[str], None],
    ) -> None:
        self._protocol = protocol
        self._plan = plan
        self._take = take
        self._hasten = hasten
        self._waiting: dict[str, Measurement | None] = {}
        self.folded = 0
        """Reports that a later one of the same second took the place of."""

    def checks(self) -> Sequence[Check]:
        """This protocol's, as configured now."""
        return [check for check in self._plan().values() if self._ours(check)]

    def report(self, check: str, measurement: Measurement) -> None:
        """Take it at once, or, within ``SPACING`` of the one before, the last of several when that is over."""
        if self._check(check) is None:
            log.debug("inbox.unknown_check", protocol=self._protocol)
        elif check in self._waiting:
            self.folded += self._waiting[check] is not None
            self._waiting[check] = measurement
        else:
            self._hand_in(check, measurement)

    def hasten(self, check: str) -> None:
        """Run its probe soon."""
        if self._check(check) is not None:
            self._hasten(check)

    def _hand_in(self, name: str, measurement: Measurement) -> None:
        self._waiting[name] = None
        asyncio.get_running_loop().call_later(SPACING, self._go_on, name)
        check = self._check(name)
        if check is not None:  # removed while it waited
            self._take(check, measurement)

    def _go_on(self, name: str) -> None:
        measurement = self._waiting.pop(name)
        if measurement is not None:
            self._hand_in(name, measurement)

    def _check(self, name: str) -> Check | None:
        check = self._plan().get(name)
        return check if check is not None and self._ours(check) else None

    def _ours(self, check: Check) -> bool:
        return check.protocol == self._protocol and check.vantage is not None
