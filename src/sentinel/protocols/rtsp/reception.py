"""What comes of one track: packets are put in order and counted, pictures put together, the first key frame kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from sentinel.protocols.rtsp.timing import Timing
from sentinel.protocols.rtsp.tracks import Track
from sentinel.wire.rtcp import Received
from sentinel.wire.rtcp import middle_of_time as _middle
from sentinel.wire.rtcp import packets as _controls
from sentinel.wire.rtp import AccessUnit, Continuity, Malformed, Packet, UnitTooLarge, parse
from sentinel.wire.rtp_h264 import H264Depacketiser
from sentinel.wire.rtp_h265 import H265Depacketiser
from sentinel.wire.rtp_order import Order, Sources

_RTCP = range(72, 77)  # RTCP's packet types 200 to 204, seen as RTP (RFC 5761, section 4)

Clock = Callable[[], float]


class Reception:
    """Takes a track's RTP packets and finds key frames among them.

    ``key_frame`` is the first complete one that ``next`` has not yet asked past; ``on_key_frame`` is told at once.
    Once ``on_unit`` is set every access unit goes there instead.  ``too_large`` is set once one is past ``limit``
    bytes.  ``reorders``: the packets came over a network that may do so.
    """

    def __init__(self, track: Track, limit: int, *, reorders: bool = False, clock: Clock = time.monotonic) -> None:
        self.key_frame: AccessUnit | None = None
        self.on_key_frame: Callable[[], None] = _nothing
        self.on_unit: Callable[[AccessUnit], None] | None = None
        self.too_large: str | None = None
        self.malformed = 0
        self.incomplete = 0
        self.without_sets = 0
        self.last_error = ""
        self.undecodable = ""
        self.timing = Timing(track.clock_rate)
        self._track, self._clock = track, clock
        self._depacketiser = track.depacketiser(limit)
        self._continuity = Continuity()
        self._sources = Sources()
        self._order = Order() if reorders else None

    @property
    def packets(self) -> int:
        """RTP packets that came in order, or could be put into it."""
        return self._continuity.received

    @property
    def lost(self) -> int:
        """RTP packets that are missing between those that came."""
        return self._continuity.lost

    @property
    def reordered(self) -> int:
        """Packets that others had overtaken, put back or too late for it."""
        return self._continuity.late + (self._order.reordered if self._order is not None else 0)

    @property
    def foreign(self) -> int:
        """Packets of other sources than the one that is followed."""
        return self._sources.strangers

    def receive(self, data: bytes) -> None:
        """Take one packet; never raises."""
        try:
            packet = parse(data)
        except Malformed as error:
            self._spoilt(error)
            return
        kind, track, now = packet.payload_type, self._track, self._clock()
        # Another type that the description names is another format; one that it does not name is a camera whose
        # description is wrong about its only one.
        if kind in _RTCP or (kind != track.payload_type and kind in track.payload_types):
            return
        for admitted in self._sources.admit(packet):
            self.timing.arrived(admitted, now)
            for ordered in (admitted,) if self._order is None else self._order.push(admitted, now):
                self._take(ordered)

    def control(self, data: bytes) -> None:
        """Take one RTCP compound; never raises."""
        for one in _controls(data):
            middle = _middle(one)
            if middle is not None:
                self.timing.reported(middle, self._clock())

    def report(self) -> tuple[Received, ...]:
        """What a receiver report says of this track; empty before its first packet."""
        return self.timing.report(self._continuity.lost, self._continuity.received, self._clock())

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
            (self.foreign, "of other sources"),
            (self.incomplete, "incomplete key frames"),
            (self.without_sets, "key frames without parameter sets"),
        ):
            if number:
                parts.append(f"{number} {what}")
        if self.last_error:
            parts.append(self.last_error)
        return ", ".join(parts)

    def _take(self, packet: Packet) -> None:
        gap = self._continuity.follow(packet)
        if gap is None:
            return
        try:
            units = self._depacketiser.push(packet, gap=gap)
        except Malformed as error:
            self._spoilt(error)
        except UnitTooLarge as error:
            self.too_large = str(error)
        else:
            for unit in units:
                self._unit(unit)

    def _spoilt(self, error: Malformed) -> None:
        self.malformed += 1
        self.last_error = str(error)

    def _unit(self, unit: AccessUnit) -> None:
        if self.on_unit is not None:
            self.on_unit(unit)
        elif not unit.key or self.key_frame is not None:
            return
        elif unit.complete:
            self.key_frame = unit
            self.on_key_frame()
        elif unit.parameter_sets or unit.jpeg:
            self.incomplete += 1
        else:
            self.without_sets += 1


class Sound:
    """Takes the packets of an audio track: they are counted, and nothing is heard."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self.packets = 0
        self.on_packet: Callable[[float], None] = _no_packet
        self._clock = clock

    def receive(self, data: bytes) -> None:
        """Take one packet; never raises."""
        try:
            packet = parse(data)
        except Malformed:
            return
        if packet.payload_type not in _RTCP and packet.payload:
            self.packets += 1
            self.on_packet(self._clock())

    def control(self, data: bytes) -> None:
        """RTCP says nothing that is asked here."""


def _nothing() -> None:
    """Nobody waits for it."""


def _no_packet(_now: float) -> None:
    """Nobody waits for it."""
