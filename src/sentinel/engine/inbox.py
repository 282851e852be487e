"""What nobody asked for comes in here: one inbox a protocol, bounded, and then the same way as a probe's result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import structlog

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check

log = structlog.get_logger(__name__)

T = TypeVar("T")

SPACING: Final = 1.0
"""Seconds between two reports on one check: a device that repeats itself must not confirm its own fault."""

Memories = Mapping[str, Mapping[str, float]]
NOTHING: Final[Mapping[str, float]] = {}


class ProtocolInbox:
    """``sentinel.sdk.protocol.Inbox`` of one protocol.

    ``plan`` gives the checks in force by id, ``memories`` what the last run kept of checks; ``remember`` keeps more.
    """

    def __init__(
        self,
        protocol: str,
        plan: Callable[[], Mapping[str, Check]],
        take: Callable[[Check, Measurement], None],
        hasten: Callable[[str], None],
        remember: Callable[[str, Mapping[str, float]], None],
        memories: Memories,
    ) -> None:
        self._protocol = protocol
        self._plan = plan
        self._take = take
        self._hasten = hasten
        self._seen: Mapping[str, Check] | None = None
        self._told_of: frozenset[str] = frozenset()
        self._kept = dict(memories)
        self._reports = _Spaced(self._hand_in)
        self._memories = _Spaced(remember)

    @property
    def folded(self) -> int:
        """Reports that a later one of the same second took the place of."""
        return self._reports.folded

    def checks(self) -> Sequence[Check]:
        """This protocol's, as configured now."""
        return [check for check in self._plan().values() if self._ours(check)]

    def report(self, check: str, measurement: Measurement) -> None:
        """Take it at once, or, within ``SPACING`` of the one before, the last of several when that is over."""
        if self._check(check) is None:
            log.debug("inbox.unknown_check", protocol=self._protocol)
        else:
            self._reports.put(check, measurement)

    def hasten(self, check: str) -> None:
        """Run its probe soon."""
        found = self._plan().get(check)
        if found is not None and found.vantage is not None and found.target.id in self._targets():
            self._hasten(check)

    def kept(self, check: str) -> Mapping[str, float]:
        """What was kept of it."""
        return self._kept.get(check, NOTHING)

    def keep(self, check: str, memory: Mapping[str, float]) -> None:
        """Keep this of it; what changes faster than ``SPACING`` is written once."""
        if self._check(check) is not None and self.kept(check) != memory:
            self._kept[check] = dict(memory)
            self._memories.put(check, self._kept[check])

    def _hand_in(self, name: str, measurement: Measurement) -> None:
        check = self._check(name)
        if check is not None:  # removed while it waited
            self._take(check, measurement)

    def _check(self, name: str) -> Check | None:
        check = self._plan().get(name)
        return check if check is not None and self._ours(check) else None

    def _targets(self) -> frozenset[str]:
        """Of whom this protocol has a check; asked for often in a storm of traps, and changed by a reload alone."""
        plan = self._plan()
        if plan is not self._seen:
            self._seen, self._told_of = plan, frozenset(one.target.id for one in plan.values() if self._ours(one))
        return self._told_of

    def _ours(self, check: Check) -> bool:
        return check.protocol == self._protocol and check.vantage is not None


class _Spaced(Generic[T]):
    """Hands on at once what comes after a pause, and of what comes within ``SPACING`` the last, when that is over."""

    def __init__(self, hand_on: Callable[[str, T], None]) -> None:
        self._hand_on = hand_on
        self._waiting: dict[str, T | None] = {}
        self.folded = 0

    def put(self, key: str, item: T) -> None:
        if key in self._waiting:
            self.folded += self._waiting[key] is not None
            self._waiting[key] = item
            return
        self._waiting[key] = None
        asyncio.get_running_loop().call_later(SPACING, self._go_on, key)
        self._hand_on(key, item)

    def _go_on(self, key: str) -> None:
        item = self._waiting.pop(key)
        if item is not None:
            self.put(key, item)
