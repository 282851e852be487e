"""What comes of one track: packets are counted, pictures put together, the first key frame kept."""

from __future__ import annotations

from sentinel.protocols.rtsp.tracks import Track
from sentinel.wire.rtp import AccessUnit, Continuity, Malformed, UnitTooLarge, parse
from sentinel.wire.rtp_h264 import H264Depacketiser
from sentinel.wire.rtp_h265 import H265Depacketiser

_RTCP = range(72, 77)  # RTCP's packet types 200 to 204, seen as RTP (RFC 5761, section 4)


class Reception:
    """Takes interleaved frames of ``channel`` (others are RTCP, or nobody's) and finds key frames among them.

    ``key_frame`` is the first complete one that ``next`` has not yet asked past.  ``too_large`` is set once an
    access unit is past ``limit`` bytes.
    """

    def __init__(self, track: Track, channel: int, limit: int) -> None:
        self.key_frame: AccessUnit | None = None
        self.too_large: str | None = None
        self.malformed = 0
        self.elsewhere = 0
        self.incomplete = 0
        self.without_sets = 0
        self.last_error = ""
        self.undecodable = ""
        self._track, self._channel = track, channel
        self._depacketiser = track.depacketiser(limit)
        self._continuity = Continuity()

    @property
    def packets(self) -> int:
        """RTP packets that came in order."""
        return self._continuity.received

    @property
    def lost(self) -> int:
        """RTP packets that are missing between those that came."""
        return self._continuity.lost

    def receive(self, channel: int, payload: bytes) -> None:
        """Take one interleaved frame; never raises."""
        if channel != self._channel:
            self.elsewhere += 1
            return
        try:
            self._packet(payload)
        except Malformed as error:
            self.malformed += 1
            self.last_error = str(error)
        except UnitTooLarge as error:
            self.too_large = str(error)

    def next(self) -> None:
        """Pass over the present key frame: it could not be decoded.

        The marker bit is no longer trusted: a source that sets it on every slice gives pictures that lack most
        of theirs.
        """
        self.key_frame = None
        if isinstance(self._depacketiser, H264Depacketiser | H265Depacketiser):
            self._depacketiser.assembler.by_marker = False

    def story(self) -> str:
        """What came, for people."""
        parts = [f"{self.packets} packets"]
        for number, what in (
            (self.lost, "lost"),
            (self.malformed, "malformed"),
            (self.incomplete, "incomplete key frames"),
            (self.without_sets, "key frames without parameter sets"),
            (self.elsewhere, "frames on other channels"),
        ):
            if number:
                parts.append(f"{number} {what}")
        if self.last_error:
            parts.append(self.last_error)
        return ", ".join(parts)

    def _packet(self, payload: bytes) -> None:
        packet = parse(payload)
        kind, track = packet.payload_type, self._track
        # Another type that the description names is another format; one that it does not name is a camera whose
        # description is wrong about its only one.
        if kind in _RTCP or (kind != track.payload_type and kind in track.payload_types):
            return
        gap = self._continuity.follow(packet)
        if gap is None:
            return
        for unit in self._depacketiser.push(packet, gap=gap):
            self._unit(unit)

    def _unit(self, unit: AccessUnit) -> None:
        if not unit.key or self.key_frame is not None:
            return
        if unit.complete:
            self.key_frame = unit
        elif unit.parameter_sets or unit.jpeg:
            self.incomplete += 1
        else:
            self.without_sets += 1
