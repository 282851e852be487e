"""What the engine needs from outside: a clock, a store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.evidence import Evidence
from sentinel.domain.incident import Incident, Transition
from sentinel.domain.notice import Message, Notice, NoticeStatus
from sentinel.domain.observation import Outcome
from sentinel.domain.retrieval import Retrieval


class Clock(Protocol):
    """Wall time is a label, monotonic time measures."""

    def now(self) -> float:
        """UTC epoch seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


@dataclass(frozen=True, slots=True)
class Status:
    """A check's confirmed state from ``at`` (UTC epoch seconds) on: ``up``, ``down`` or ``unknown``."""

    check: str
    at: float
    state: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Evidence that belongs to an incident; ``at`` is when it was there, UTC epoch seconds."""

    incident: str
    at: float
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What is known of a kept piece without its content: ``number`` counts from 1, ``size`` is in bytes."""

    incident: str
    number: int
    at: float
    kind: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one observation or tick changed: one transaction, or nothing.

    Incidents and retrievals are inserted or replaced by id; transitions, statuses and notices are only added.  A
    retrieval that is quick (``Retrieval.quick``) is committed once, and only counted.  Evidence is kept as long as
    there is room for it: it is the one part that the store may leave out.
    """

    incidents: Sequence[Incident] = ()
    transitions: Sequence[Transition] = ()
    notices: Sequence[Notice] = ()
    statuses: Sequence[Status] = ()
    retrievals: Sequence[Retrieval] = ()
    evidence: Sequence[Piece] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """What the store knew when the daemon last stopped.

    ``incidents`` and ``retrievals`` are the open ones, ``statuses`` each check's last; ``alive_at`` is the last
    moment at which the daemon is known to have run, None on a first start.  ``memories`` are what protocols remember
    of their checks, by check id.
    """

    incidents: Sequence[Incident] = ()
    retrievals: Sequence[Retrieval] = ()
    statuses: Sequence[Status] = ()
    alive_at: float | None = None
    memories: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one attempt to deliver a notice."""

    incident: str
    seq: int
    channel: str
    status: NoticeStatus
    attempts: int
    next_at: float
    error: str
    at: float


@dataclass(frozen=True, slots=True)
class History:
    """One incident with all that happened to it, and what evidence there is."""

    incident: Incident
    transitions: Sequence[Transition]
    notices: Sequence[Notice]
    exhibits: Sequence[Exhibit] = ()


@dataclass(frozen=True, slots=True)
class RollUp:
    """A check's results in one period that starts at ``at`` (UTC epoch seconds) and lasts ``width`` seconds."""

    check: str
    at: float
    width: int
    ok: int
    failed: int
    unknown: int
    took_sum: float
    took_max: float


@dataclass(frozen=True, slots=True)
class QuickRetrievals:
    """A check's quick picture retrievals in a period: how many, their seconds in all, the slowest and the last.

    ``last_at`` is when the last picture was there, UTC epoch seconds.
    """

    check: str
    count: int
    seconds: float
    slowest: float
    last_at: float
    last_seconds: float


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel's limiter and breaker as they were: the times of its last sends, and until when it is broken."""

    channel: str
    sent: Sequence[float] = field(default_factory=tuple)
    broken_until: float = 0.0


class Store(Protocol):
    """Where what must not be lost is kept.  No method blocks the event loop.

    ``commit`` and ``roll`` may be called from the loop only.  The future of ``commit`` ends when the
    transaction is on the disk, and raises ``StoreFailed`` where it could not be written.
    """

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        """Write one transaction."""
        ...

    def roll(self, check: str, at: float, outcome: Outcome, took: float) -> None:
        """Count a result in its check's 5-minute roll-up."""
        ...

    def sample(self, check: str, at: float, values: Mapping[str, float]) -> None:
        """Count values of a good result, for baselines to be learned from."""
        ...

    def remember(self, check: str, memory: Mapping[str, float]) -> None:
        """Keep a protocol's memory of a check over a restart; replaces the one before."""
        ...

    async def restore(self) -> Restored:
        """What was known at the last stop."""
        ...

    async def notices_due(self, channel: str, now: float, limit: int) -> Sequence[Notice]:
        """Queued notices of a channel whose time has come, oldest first."""
        ...

    async def next_due(self, channel: str) -> float | None:
        """When a channel's next queued notice is due, UTC epoch seconds."""
        ...

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Record attempts to deliver."""
        ...

    async def queued(self) -> Mapping[str, int]:
        """How many notices wait, by channel; none where there is no entry."""
        ...

    async def told(self, channel: str) -> Sequence[Message]:
        """The last message that the channel was sent of each open incident that was told, the oldest first."""
        ...

    async def undelivered(self) -> Mapping[str, int]:
        """Notices given up, by channel."""
        ...

    async def channel_states(self) -> Sequence[ChannelState]:
        """Limiter and breaker of each channel."""
        ...

    async def save_channel_state(self, state: ChannelState) -> None:
        """Keep a limiter and breaker."""
        ...

    async def incidents(self, *, open_only: bool = False, since: float = 0.0, limit: int = 500) -> Sequence[Incident]:
        """Incidents, newest first."""
        ...

    async def history(self, incident: str) -> History | None:
        """One incident with its transitions and notices; None where there is none."""
        ...

    async def exhibit(self, incident: str, number: int) -> Evidence | None:
        """One piece of an incident's evidence; None where there is none (any more)."""
        ...

    async def retrievals(self, since: float, until: float) -> Sequence[Retrieval]:
        """Retrievals that began in a period and were not quick, oldest first."""
        ...

    async def quick_retrievals(self, since: float, until: float) -> Sequence[QuickRetrievals]:
        """Quick ones by check, of the whole hours that start in [since, until)."""
        ...

    async def open_retrievals(self) -> frozenset[str]:
        """The ids of those that have not ended."""
        ...

    async def statuses(self, since: float, until: float) -> Sequence[Status]:
        """Status changes in a period, and each check's last one before it, oldest first."""
        ...

    async def rollups(self, check: str, since: float, width: int) -> Sequence[RollUp]:
        """Roll-ups of one check from ``since`` on, of 300 or 3600 seconds."""
        ...

    async def usual(self, check: str, since: float, until: float) -> CheckBaseline:
        """What is usual of a check, learned from what was sampled in the hours that start in [since, until)."""
        ...


class StoreFailed(Exception):
    """The disk is full, gone or read-only, or the database is broken: an emergency that is told without the store."""
