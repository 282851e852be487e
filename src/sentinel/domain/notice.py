"""What people are told: a message, and its place in a channel's queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Event(StrEnum):
    """Why a message is sent."""

    OPENED = "opened"
    CHANGED = "changed"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Message:
    """All that a channel needs, and all that it may show.

    ``id`` is ``<incident>-<seq>``, the same on every retry, so that a receiver can drop a duplicate.
    ``labels`` are identity and never change between the opening and the resolution of an incident; they hold no
    figure, no time and no error text.  ``title`` is one line, ``text`` a few, both in the daemon's locale.
    Times are UTC epoch seconds; ``ended_at`` is None while the incident is open.
    """

    id: str
    incident: str
    event: Event
    severity: str
    title: str
    text: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    started_at: float
    ended_at: float | None
    locale: str = "zh-CN"


class NoticeStatus(StrEnum):
    """QUEUED until the receiver accepted it; UNDELIVERED after 24 hours or a refusal for good: kept and shown."""

    QUEUED = "queued"
    SENT = "sent"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for one channel; (incident, seq, channel) is unique.  ``next_at`` is UTC epoch seconds."""

    incident: str
    seq: int
    channel: str
    message: Message
    created_at: float
    status: NoticeStatus = NoticeStatus.QUEUED
    attempts: int = 0
    next_at: float = 0.0
    error: str = ""
    settled_at: float | None = field(default=None)
