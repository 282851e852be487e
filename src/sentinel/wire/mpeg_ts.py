"""Video out of an MPEG transport stream over RTP (ISO/IEC 13818-1, 2.4; RFC 2250, section 2)."""

from __future__ import annotations

from typing import Final

from sentinel.wire.byte_stream import ByteStream
from sentinel.wire.mpeg_ps import STREAM_TYPES, pts
from sentinel.wire.rtp import MAX_UNIT_BYTES, AccessUnit, Packet

PACKET: Final = 188
"""Bytes of a transport packet."""
SYNC: Final = 0x47

MAX_SECTION_BYTES: Final = 1_024
"""A section of a program map is at most 1,021 bytes after its length (2.4.4.9)."""
MAX_PIDS: Final = 64
"""Programs that are followed up to their map, and streams of one."""

_PAT, _NULL = 0x0000, 0x1FFF
_VIDEO_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x80})


class TransportStream:
    """Puts a transport stream's first video together; a ``rtp.Depacketiser``, of payloads that may be cut anywhere.

    ``declared``: what the program map calls the video, None without one.  A stream without tables is followed where
    a packet begins with a video stream's id.  ``lost`` counts jumps of the continuity counter, ``malformed`` packets
    that break the format.
    """

    def __init__(self, limit: int = MAX_UNIT_BYTES) -> None:
        self.video = ByteStream(limit)
        self.declared: str | None = None
        self.lost = self.malformed = self.audio = 0
        self._buffer = bytearray()
        self._maps: set[int] = set()
        self._sections: dict[int, bytearray] = {}
        self._pid: int | None = None
        self._counter: int | None = None
        self._begun = False  # a PES packet's beginning has been seen since something was lost
        self._header: bytearray | None = None  # a PES header that is cut in two

    @property
    def codec(self) -> str | None:
        """``H.264`` or ``H.265``, None until the video has told."""
        return self.video.codec

    def push(self, packet: Packet, *, gap: bool = False) -> list[AccessUnit]:
        """The access units that end within this packet.

        Raises:
            UnitTooLarge: see ``ByteStream.push``.
        """
        if gap:
            self._lose()
            self._buffer.clear()
        buffer, units = self._buffer, []
        buffer += packet.payload
        while len(buffer) >= PACKET:
            if buffer[0] != SYNC or (len(buffer) > PACKET and buffer[PACKET] != SYNC):
                self._resynchronise()
                continue
            one = bytes(buffer[:PACKET])
            del buffer[:PACKET]
            units += self._packet(one)
        return units

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
        return self.video.flush()

    def _resynchronise(self) -> None:
        self.malformed += 1
        self._lose()
        at = self._buffer.find(SYNC, 1)
        del self._buffer[: at if at > 0 else len(self._buffer)]

    def _lose(self) -> None:
        self.video.lose()
        self._counter, self._begun, self._header = None, False, None

    def _packet(self, one: bytes) -> list[AccessUnit]:  # 2.4.3.2
        pid = (one[1] & 0x1F) << 8 | one[2]
        if one[1] & 0x80 or pid == _NULL or one[3] & 0xC0:  # damaged on its way, empty, or scrambled
            return []
        at = 4
        if one[3] & 0x20:
            at += 1 + one[4]
        if not one[3] & 0x10 or at >= PACKET:
            return []
        starts, payload = bool(one[1] & 0x40), one[at:]
        if pid == _PAT or pid in self._maps:
            self._table(pid, payload, starts=starts)
            return []
        if self._pid is None and starts and payload[:3] == b"\x00\x00\x01" and payload[3] & 0xF0 == 0xE0:
            self._pid = pid  # no table has named it, or not yet
        if pid != self._pid:
            self.audio += starts and payload[:3] == b"\x00\x00\x01" and payload[3] & 0xE0 == 0xC0
            return []
        if not self._in_order(one[3] & 0x0F):
            return []
        return self._video(payload, starts=starts)

    def _in_order(self, counter: int) -> bool:  # 2.4.3.3: a packet may be sent twice
        before, self._counter = self._counter, counter
        if before == counter:
            return False
        if before is not None and (before + 1) & 0x0F != counter:
            self.lost += 1
            self._lose()
            self._counter = counter
        return True

    def _video(self, payload: bytes, *, starts: bool) -> list[AccessUnit]:
        if starts:
            self._begun, self._header = True, bytearray()
        if not self._begun:
            return []
        if self._header is None:
            return self.video.push(payload)
        header = self._header
        header += payload
        if len(header) < 9 or len(header) < 9 + header[8]:
            return []
        self._header = None
        if header[:3] != b"\x00\x00\x01" or header[6] >> 6 != 2:
            self.malformed += 1
            self._begun = False
            return []
        return self.video.push(bytes(header[9 + header[8] :]), pts(header, 7))

    def _table(self, pid: int, payload: bytes, *, starts: bool) -> None:  # 2.4.4
        if starts:
            self._sections[pid] = bytearray(payload[1 + payload[0] :])
        elif pid in self._sections:
            self._sections[pid] += payload
        section = self._sections.get(pid)
        if section is None or len(section) < 3:
            return
        length = 3 + ((section[1] & 0x0F) << 8 | section[2])
        if length > MAX_SECTION_BYTES or length < 12:
            self.malformed += 1
            del self._sections[pid]
        elif len(section) >= length:
            content = bytes(self._sections.pop(pid)[: length - 4])  # without its CRC
            if pid == _PAT and content[0] == 0x00:
                self._programs(content)
            elif pid != _PAT and content[0] == 0x02:
                self._streams(content)

    def _programs(self, section: bytes) -> None:
        for at in range(8, len(section) - 3, 4):
            if section[at : at + 2] != b"\x00\x00" and len(self._maps) < MAX_PIDS:
                self._maps.add((section[at + 2] & 0x1F) << 8 | section[at + 3])

    def _streams(self, section: bytes) -> None:
        if len(section) < 12:
            return
        at = 12 + ((section[10] & 0x0F) << 8 | section[11])
        while at + 5 <= len(section):
            kind, pid = section[at], (section[at + 1] & 0x1F) << 8 | section[at + 2]
            if kind in _VIDEO_TYPES and self._pid in (None, pid):
                self.declared, self._pid = STREAM_TYPES[kind], pid
                return
            at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
