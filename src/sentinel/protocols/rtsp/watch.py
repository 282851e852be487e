"""A stream that is watched for a while: its rate, its gaps, its losses, and whether its picture moves.

The session is kept alive and the server told what came.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from typing import Final

from sentinel.picture import Viewing
from sentinel.protocols.rtsp.opening import Playing
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.steps import step
from sentinel.sdk.protocol import Run
from sentinel.wire.rtcp import receiver_report
from sentinel.wire.rtp import AccessUnit

REPORT_SECONDS: Final = 5.0
"""Between two receiver reports, on the average (RFC 3550, 6.2)."""
KEEP_ALIVE_SHARE: Final = 0.5
"""Of the session's timeout: one that is lost may be made good by the next."""
SLACK_SECONDS: Final = 1.0
"""By our clock, more than is watched by the stream's: time stamps and packets do not keep step."""
SHORTEST_KEEP_ALIVE: Final = 1.0
"""Seconds: a server that says a timeout of one second is not asked a hundred times a second."""


async def watch(stream: Playing, first: AccessUnit, options: RtspOptions, run: Run, goodbye: float) -> Viewing:
    """Watch the stream for ``watch`` seconds of its own time; ``first`` is the key frame that showed a picture.

    It ends sooner where the deadline is near, and little later by our clock where the stream stands still.

    Raises:
        ProbeFailed: the connection ended, or what came is no RTSP.
    """
    watcher = _Watcher(stream, Viewing(options.watch, stream.track.clock_rate))
    with step(run, "watch"):
        try:
            watcher.begin(first)
            await watcher.run(min(options.watch + SLACK_SECONDS, max(0.0, run.left - goodbye)))
        finally:
            watcher.measure(run)
    return watcher.viewing


class _Watcher:
    def __init__(self, stream: Playing, viewing: Viewing) -> None:
        self.viewing = viewing
        self._stream, self._timing = stream, stream.video.timing
        self._own = secrets.randbits(32)
        self._missing = 0.0
        self._last_unit = time.monotonic()

    def begin(self, first: AccessUnit) -> None:
        self._unit(first)
        self._stream.video.on_unit = self._unit
        if self._stream.sound is not None:
            self._stream.sound.on_packet = self._heard
        self._stream.media.resume()

    async def run(self, seconds: float) -> None:
        session, viewing = self._stream.session, self.viewing
        now = time.monotonic()
        ends, keep = now + seconds, now + self._keep_alive_every
        report = now + REPORT_SECONDS / 2  # the first comes earlier (6.2)
        while now < ends and not viewing.satisfied:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(ends, keep, report) - now):
                    await session.until(lambda: viewing.satisfied)
            now = time.monotonic()
            if now >= keep:
                session.keep_alive()
                keep = now + self._keep_alive_every
            if now >= report:
                self._report()
                report = now + REPORT_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - it only spreads them

    def measure(self, run: Run) -> None:
        """What was seen, also where the watch was cut short."""
        now, sound = time.monotonic(), self._stream.sound
        run.values.update(self.viewing.values)
        # Silence at the end is a gap as well.
        run.values["longest_gap_seconds"] = max(self.viewing.values["longest_gap_seconds"], now - self._last_unit)
        run.values["jitter_seconds"] = self._timing.jitter_seconds
        if sound is not None:
            run.values["audio_packets"] = sound.packets
            run.values["video_missing_seconds"] = self._missing
        if self._stream.session.kept:
            run.facts["keep_alive"] = self._stream.session.kept[:200]

    @property
    def _keep_alive_every(self) -> float:
        return max(SHORTEST_KEEP_ALIVE, self._stream.session.timeout * KEEP_ALIVE_SHARE)

    def _unit(self, unit: AccessUnit) -> None:
        self._last_unit = time.monotonic()
        self.viewing.unit(unit, self._last_unit)

    def _heard(self, now: float) -> None:
        self._missing = max(self._missing, self._timing.silence(now))

    def _report(self) -> None:
        self._stream.media.report(0, receiver_report(self._own, self._stream.video.report(), "sentinel"))
