"""What a device sends as a live picture: told by its bytes, not by what was agreed, and put together.

GB/T 28181 wants a program stream over RTP.  Devices send transport streams and bare H.264 or H.265 as well, under the
payload type of a program stream and with another SSRC than they were given; all of it is a picture.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from sentinel.picture import Viewing
from sentinel.wire.byte_stream import ByteStream, codec_of
from sentinel.wire.mpeg_ps import PACK, ProgramStream
from sentinel.wire.mpeg_ts import PACKET as TS_PACKET
from sentinel.wire.mpeg_ts import SYNC, TransportStream
from sentinel.wire.rtp import AccessUnit, Continuity, Depacketiser, Malformed, Packet, UnitTooLarge, parse
from sentinel.wire.rtp_h264 import H264Depacketiser
from sentinel.wire.rtp_h265 import H265Depacketiser
from sentinel.wire.rtp_order import Order, Sources

Container = Literal["PS", "TS", "H.264", "H.265", "byte stream"]

PATIENCE: Final = 64
"""Packets after which the payload type's meaning is believed, where none of them has told by itself what it is."""
MAX_PARAMETER_SET: Final = 256
"""A packet that is a parameter set is small; a large one that begins like one is the middle of something else."""

CLOCK: Final = 90_000
"""Ticks of every video's time stamps a second."""

_RTCP = range(72, 77)  # RTCP's packet types 200 to 204, seen as RTP (RFC 5761, section 4)
_PROFILES = frozenset({66, 77, 88, 100, 110, 122, 244, 44})  # H.264, annex A


class ElementaryStream:
    """A byte stream cut into packets without any payload format; a ``rtp.Depacketiser``."""

    def __init__(self, limit: int) -> None:
        self.video = ByteStream(limit)

    def push(self, packet: Packet, *, gap: bool = False) -> list[AccessUnit]:
        """The access units that end within this packet."""
        if gap:
            self.video.lose()
        return self.video.push(packet.payload, packet.timestamp)

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
        return self.video.flush()


class Reception:
    """Takes RTP packets; ``viewing`` gets the pictures.  ``progress`` waits for what came of them.

    ``meanings`` are encodings by payload type (``PS``, ``H264``, ``H265``), as offered and answered.
    """

    def __init__(self, viewing: Viewing, limit: int, meanings: dict[int, str], *, reorders: bool) -> None:
        self.viewing = viewing
        self.container: Container | None = None
        self.payload_type: int | None = None
        self.ssrc: int | None = None
        self.malformed = 0
        self.incomplete = 0
        self.too_large = ""
        self.last_error = ""
        self._limit, self._meanings = limit, meanings
        self._depacketiser: Depacketiser | None = None
        self._continuity = Continuity()
        self._sources = Sources()
        self._order = Order() if reorders else None
        self._certain = False  # a packet has told what is coming
        self._news = asyncio.Event()
        self._stamps = _Stamps()

    @property
    def packets(self) -> int:
        """RTP packets that came in order, or could be put into it."""
        return self._continuity.received

    @property
    def lost(self) -> int:
        """RTP packets that are missing between those that came."""
        return self._continuity.lost

    @property
    def foreign(self) -> int:
        """Packets of other sources than the one that is followed."""
        return self._sources.strangers

    @property
    def codec(self) -> str | None:
        """What the video is: by its own parameter sets, or by its payload format."""
        if isinstance(self._depacketiser, ProgramStream | TransportStream | ElementaryStream):
            return self._video(self._depacketiser).codec
        return self.container if self.container in ("H.264", "H.265") else None

    @property
    def declared(self) -> str | None:
        """What the stream's own table calls its video."""
        return getattr(self._depacketiser, "declared", None)

    @property
    def foreign_codec(self) -> bool:
        """Whether the stream's table names a video that is not decoded here, and nothing speaks against it."""
        return self.codec is None and self.declared not in (None, "H.264", "H.265")

    @property
    def sound(self) -> int:
        """Packets of sound beside the video."""
        return getattr(self._depacketiser, "audio", 0)

    async def progress(self, reached: Callable[[], bool]) -> None:
        """Wait until ``reached``; it is asked after each packet that changed something."""
        while not reached():
            self._news.clear()
            await self._news.wait()

    def wake(self) -> None:
        """Have ``progress`` ask again: something else has happened."""
        self._news.set()

    def receive(self, data: bytes) -> None:
        """Take one packet; never raises."""
        try:
            packet = parse(data)
        except Malformed as error:
            self._spoilt(error)
            return
        if packet.payload_type in _RTCP:
            return
        now = time.monotonic()
        for admitted in self._sources.admit(packet):
            for ordered in (admitted,) if self._order is None else self._order.push(admitted, now):
                self._take(ordered, now)

    def story(self) -> str:
        """What came, for people."""
        parts = [f"{self.packets} packets"]
        for number, what in (
            (self.lost, "lost"),
            (self.malformed, "malformed"),
            (self.foreign, "of other sources"),
            (self.sound, "of sound"),
            (self.incomplete, "incomplete key frames"),
        ):
            if number:
                parts.append(f"{number} {what}")
        parts += [text for text in (self.container, self.declared, self.too_large, self.last_error) if text]
        return ", ".join(parts)

    def _take(self, packet: Packet, now: float) -> None:
        gap = self._continuity.follow(packet)
        if gap is None:
            return
        if not self.packets - 1 or self.ssrc != packet.ssrc:
            self.ssrc, self.payload_type = packet.ssrc, packet.payload_type
            self._news.set()
        depacketiser = self._choose(packet)
        if depacketiser is None:
            return
        try:
            units = depacketiser.push(packet, gap=gap)
        except Malformed as error:
            self._spoilt(error)
        except UnitTooLarge as error:
            self.too_large = str(error)
            self._news.set()
        else:
            for unit in units:
                self.viewing.unit(self._stamps.mend(unit, now), now)
                self.incomplete += unit.key and not unit.complete
                self._news.set()

    def _choose(self, packet: Packet) -> Depacketiser | None:
        """The depacketiser of what this packet shows to be coming."""
        seen = signature(packet.payload)
        certain = seen is not None
        if seen is None and self.container is None:
            seen = self._agreed(packet)
        # Once a packet has told, only another multiplex tells otherwise: its signs do not come about by chance.
        if seen is not None and seen != self.container and (not self._certain or seen in ("PS", "TS")):
            self.container = seen
            self._depacketiser = self._made(seen)
        self._certain = self._certain or certain
        return self._depacketiser

    def _agreed(self, packet: Packet) -> Container | None:
        meaning = self._meanings.get(packet.payload_type, "")
        if meaning == "H264":
            return "H.264"
        if meaning == "H265":
            return "H.265"
        return "PS" if meaning == "PS" and self.packets > PATIENCE else None

    def _made(self, container: Container) -> Depacketiser:
        if container == "PS":
            return ProgramStream(self._limit)
        if container == "TS":
            return TransportStream(self._limit)
        if container == "H.264":
            return H264Depacketiser(limit=self._limit)
        if container == "H.265":
            return H265Depacketiser(limit=self._limit)
        return ElementaryStream(self._limit)

    @staticmethod
    def _video(depacketiser: ProgramStream | TransportStream | ElementaryStream) -> ByteStream:
        return depacketiser.video

    def _spoilt(self, error: Malformed) -> None:
        self.malformed += 1
        self.last_error = str(error)
        if self.malformed == 1:
            self._news.set()


class _Stamps:
    """Mends the time stamps of streams that have none: two pictures never have the same."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._given = 0
        self._at = 0.0

    def mend(self, unit: AccessUnit, now: float) -> AccessUnit:
        """The unit, with a time stamp by our clock where it has the one before's."""
        if unit.timestamp == self._last:
            self._given = self._given + round((now - self._at) * CLOCK) & 0xFFFFFFFF
            mended = replace(unit, timestamp=self._given)
        else:
            self._last = self._given = unit.timestamp
            mended = unit
        self._at = now
        return mended


def signature(payload: bytes) -> Container | None:
    """What a payload can only be the beginning of; None for most, which are the middle of something."""
    if payload.startswith(PACK):
        return "PS"
    if payload[:1] == bytes([SYNC]) and len(payload) % TS_PACKET == 0 and set(payload[::TS_PACKET]) == {SYNC}:
        return "TS"
    start = 3 if payload[:3] == b"\0\0\1" else 4 if payload[:4] == b"\0\0\0\1" else 0
    if start and len(payload) > start + 1:
        if payload[start] >= 0xBB and start == 3:  # a system header, a map or a packet of a program stream
            return "PS"
        return "byte stream" if codec_of(payload[start : start + 2]) or payload[start] in (0x09, 0x46) else None
    if not 4 < len(payload) <= MAX_PARAMETER_SET:
        return None
    if payload[0] in (0x40, 0x42) and payload[1] == 0x01:  # VPS or SPS
        return "H.265"
    if payload[:2] == b"\x60\x01" and payload[4:6] in (b"\x40\x01", b"\x42\x01"):  # an aggregation packet of them
        return "H.265"
    if payload[0] & 0x9F == 7 and payload[0] & 0x60 and payload[1] in _PROFILES:
        return "H.264"
    if payload[0] & 0x9F == 24 and codec_of(payload[3:5]) == "H.264" and payload[4] in _PROFILES:  # STAP-A
        return "H.264"
    return None
