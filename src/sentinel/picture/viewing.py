"""One stream as it is received: how often pictures and key frames come, and which of them are worth decoding."""

from __future__ import annotations

from typing import Final

from sentinel.picture.examination import MAX_SHOTS, MAX_SHOTS_BYTES, Shot
from sentinel.wire.rtp import AccessUnit

APART: Final = 0.9
"""Seconds between two key frames that are both kept: what stands still is told from a handful."""

LEAP: Final = 10.0
"""Seconds by which a time stamp may run ahead of our clock, or behind; beyond it is another time base."""


class Viewing:
    """Follows the access units of one stream for ``watch`` seconds of their own time.

    ``clock`` is the frequency of their time stamps: 90 kHz for all video in RTP (RFC 6184, 7798, 2435) and in MPEG's
    systems; stamps are 32 bits and wrap around.  Keeps at most ``MAX_SHOTS`` key frames and ``MAX_SHOTS_BYTES`` of
    them.
    """

    def __init__(self, watch: float, clock: int = 90_000) -> None:
        self.shots: list[Shot] = []
        self.pictures = 0
        self.key_frames = 0
        self._watch, self._clock = watch, clock
        self._stamp: int | None = None
        self._seconds = self._now = 0.0
        self._seen_at = 0.0
        self._key_at: float | None = None
        self._interval = self._gap = 0.0
        self._key_bytes = 0

    @property
    def satisfied(self) -> bool:
        """Whether there is a key frame to show, and the stream was watched for as long as was asked."""
        return bool(self.shots) and self.watched >= self._watch

    @property
    def watched(self) -> float:
        """Seconds between the time stamps of the first unit and the last."""
        return self._seconds

    def unit(self, unit: AccessUnit, now: float) -> None:
        """Take the next access unit; ``now`` is monotonic seconds."""
        self._advance(unit.timestamp, now)
        self.pictures += 1
        if not unit.key:
            return
        if self._key_at is not None:
            self._interval = max(self._interval, self._seconds - self._key_at)
        self._key_at = self._seconds
        self.key_frames += 1
        if unit.complete and (not self.shots or self._seconds - self.shots[-1].seconds >= APART):
            self._keep(Shot(unit.data, self._seconds), unit.size)

    def drop(self) -> None:
        """What was kept cannot be decoded: wait for another key frame."""
        self.shots.clear()

    @property
    def values(self) -> dict[str, float]:
        """What can be said by now."""
        found: dict[str, float] = {}
        if self._key_bytes:
            found["key_frame_bytes"] = self._key_bytes
        if self._watch:
            found["watched_seconds"] = self._seconds
            found["longest_gap_seconds"] = self._gap
        if self._seconds >= 1.0:
            found["frame_rate_hertz"] = (self.pictures - 1) / self._seconds
        if self._watch and self._key_at is not None:  # where no other came, it is as long as this at least
            found["key_frame_interval_seconds"] = max(self._interval, self._seconds - self._key_at)
        return found

    def _advance(self, stamp: int, now: float) -> None:
        if self._stamp is None:
            self._stamp, self._seen_at = stamp, now
            return
        passed = ((stamp - self._stamp + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000) / self._clock
        arrived = now - self._seen_at
        self._gap = max(self._gap, arrived)
        if abs(passed - arrived) > LEAP:
            passed = arrived  # another time base: the source began anew
        self._stamp, self._seen_at = stamp, now
        self._now += passed
        self._seconds = max(self._seconds, self._now)  # pictures that are sent out of order count once

    def _keep(self, shot: Shot, size: int) -> None:
        self._key_bytes = size
        self.shots.append(shot)
        while len(self.shots) > MAX_SHOTS or sum(len(one.data) for one in self.shots) > MAX_SHOTS_BYTES:
            if len(self.shots) == 1:
                return
            # The first and the last tell how long a picture stands still; those between, that it did so all along.
            del self.shots[len(self.shots) // 2]
