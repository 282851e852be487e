"""When packets came: their jitter, the silence after the last one, and what the server is told of both."""

from __future__ import annotations

from sentinel.wire.rtcp import Received
from sentinel.wire.rtp import Packet

_WHOLE = 1 << 32


class Timing:
    """Follows one track; times are seconds of a steady clock, ``clock_rate`` is that of its RTP time stamps in Hz."""

    def __init__(self, clock_rate: int) -> None:
        self.last_arrival: float | None = None
        self._jitter = 0.0
        self._rate = clock_rate
        self._ssrc: int | None = None
        self._transit: float | None = None
        self._highest = 0
        self._before = (0, 0)
        self._sender: tuple[int, float] = (0, 0.0)

    def arrived(self, packet: Packet, now: float) -> None:
        """One packet of the track, as it came."""
        if packet.ssrc != self._ssrc:
            self._ssrc, self._transit, self._highest = packet.ssrc, None, packet.sequence
        ahead = packet.sequence - self._highest & 0xFFFF
        if ahead < 0x8000:
            self._highest += ahead
        self.last_arrival = now
        transit = now * self._rate - packet.timestamp
        if self._transit is not None:  # RFC 3550, A.8
            change = abs(transit - self._transit) % _WHOLE
            self._jitter += (min(change, _WHOLE - change) - self._jitter) / 16
        self._transit = transit

    @property
    def jitter_seconds(self) -> float:
        """Interarrival jitter (RFC 3550, 6.4.1)."""
        return self._jitter / self._rate

    def silence(self, now: float) -> float:
        """Seconds since the last packet; 0 before the first."""
        return now - self.last_arrival if self.last_arrival is not None else 0.0

    def reported(self, middle: int, now: float) -> None:
        """A sender report came; ``middle`` is that of its NTP time stamp."""
        self._sender = (middle, now)

    def report(self, lost: int, received: int, now: float) -> tuple[Received, ...]:
        """What a receiver report says (RFC 3550, 6.4.1); nothing before the first packet."""
        if self._ssrc is None:
            return ()
        before_lost, before_received = self._before
        self._before = lost, received
        expected = lost - before_lost + received - before_received
        fraction = (lost - before_lost) / expected if expected > 0 else 0.0
        middle, at = self._sender
        since = now - at if middle else 0.0
        return (Received(self._ssrc, fraction, lost, self._highest, int(self._jitter), middle, since),)
