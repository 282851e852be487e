"""Video out of an MPEG program stream over RTP (ISO/IEC 13818-1, 2.5; GB/T 28181-2016, annex C.1).

Devices write lengths that are wrong.  A video stream needs none: emulation prevention keeps 00 00 01 with a byte from
B9 on out of H.264 and H.265, so its packet ends where the next such code stands.  What is not video is skipped by
its length, but a payload that begins with a pack header begins a pack, whatever a length before it said.
"""

from __future__ import annotations

from typing import Final

from sentinel.wire.byte_stream import ByteStream
from sentinel.wire.rtp import MAX_UNIT_BYTES, AccessUnit, Packet

STREAM_TYPES: Final = {
    0x01: "MPEG-1",
    0x02: "MPEG-2",
    0x10: "MPEG-4",
    0x1B: "H.264",
    0x24: "H.265",
    0x80: "SVAC",
    0x0F: "AAC",
    0x90: "G.711",
    0x92: "G.722.1",
    0x93: "G.723.1",
    0x99: "G.729",
    0x9B: "SVAC audio",
}
"""``stream_type`` of ISO/IEC 13818-1, table 2-34, and of GB/T 28181-2016, C.2.2."""

MAX_MAP_BYTES: Final = 1_024
"""A program stream map is at most 1,018 bytes long (2.5.4.2)."""

PACK: Final = b"\x00\x00\x01\xba"
_START = b"\x00\x00\x01"
_END, _PACK, _SYSTEM, _MAP = 0xB9, 0xBA, 0xBB, 0xBC
_VIDEO = range(0xE0, 0xF0)
_AUDIO = range(0xC0, 0xE0)


class ProgramStream:
    """Puts a program stream's first video stream together; a ``rtp.Depacketiser`` of payloads in their order.

    ``declared`` is what the stream map calls the video, None without one; ``codec`` is what the video shows.
    ``packs``, ``audio`` (packets of sound) and ``malformed`` count.  At most a few hundred bytes are held beside
    the picture in progress.
    """

    def __init__(self, limit: int = MAX_UNIT_BYTES) -> None:
        self.video = ByteStream(limit)
        self.declared: str | None = None
        self.packs = self.audio = self.malformed = 0
        self._buffer = bytearray()
        self._skip = 0
        self._in_video = False
        self._stream: int | None = None  # the video stream that is followed

    @property
    def codec(self) -> str | None:
        """``H.264`` or ``H.265``, None until the video has told."""
        return self.video.codec

    def push(self, packet: Packet, *, gap: bool = False) -> list[AccessUnit]:
        """The access units that end within this packet.

        Raises:
            UnitTooLarge: see ``ByteStream.push``.
        """
        data = packet.payload
        if gap:
            self.video.lose()
            self._buffer.clear()
            self._skip, self._in_video = 0, False
        elif self._skip and data.startswith(PACK):
            self.malformed += 1
            self._skip = 0
        self._buffer += data
        piece = bytearray()
        units: list[AccessUnit] = []
        while (timestamp := self._step(piece)) is not None:
            if timestamp >= 0:  # what was gathered belongs to the packet before
                taken, piece = bytes(piece), bytearray()
                units += self.video.push(taken)
                units += self.video.push(b"", timestamp)
        return units + self.video.push(bytes(piece))

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
        units = self.video.push(bytes(self._buffer)) if self._in_video else []
        self._buffer.clear()
        return units + self.video.flush()

    def _step(self, video: bytearray) -> int | None:
        """Take one thing off the buffer; None: more is needed; -1, or the time stamp of a video packet that begins."""
        buffer = self._buffer
        if self._skip:
            gone = min(self._skip, len(buffer))
            del buffer[:gone]
            self._skip -= gone
            return None if self._skip else -1
        at = _system_code(buffer)
        if at is None or at > 0:
            keep = len(buffer) - 3 if at is None else at
            if keep > 0:
                if self._in_video:
                    video += buffer[:keep]
                del buffer[:keep]
            if at is None:
                return None
        return self._packet(buffer)

    def _packet(self, buffer: bytearray) -> int | None:
        code = buffer[3]
        if code == _PACK:
            return self._pack(buffer)
        if code == _END:
            return self._past(4)
        if len(buffer) < 6:
            return None
        length = buffer[4] << 8 | buffer[5]
        if code in _VIDEO and self._stream in (None, code):
            return self._video_header(buffer, code)
        if code == _MAP:
            if length > MAX_MAP_BYTES:
                return self._wrong()
            if len(buffer) < 6 + length:
                return None
            self._map(bytes(buffer[6 : 6 + length]))
        self.audio += code in _AUDIO
        return self._past(6, length)

    def _pack(self, buffer: bytearray) -> int | None:
        if len(buffer) < 5:
            return None
        if buffer[4] >> 4 == 2:  # of MPEG-1 (ISO/IEC 11172-1)
            size = 12
        elif buffer[4] >> 6 == 1:
            size = 14
        else:
            return self._wrong()
        if len(buffer) < size:
            return None
        self.packs += 1
        return self._past(size + (buffer[13] & 0x07 if size == 14 else 0))

    def _video_header(self, buffer: bytearray, code: int) -> int | None:  # 2.4.3.6
        if len(buffer) < 9:
            return None
        if buffer[6] >> 6 != 2:
            return self._wrong()
        size = 9 + buffer[8]
        if len(buffer) < size:
            return None
        stamp = pts(buffer, 7)
        self._stream = code
        self._past(size)
        self._in_video = True
        return -1 if stamp is None else stamp

    def _map(self, content: bytes) -> None:  # 2.5.4.1
        if len(content) < 6:
            self.malformed += 1
            return
        at = 4 + (content[2] << 8 | content[3])
        end = min(len(content), at + 2 + int.from_bytes(content[at : at + 2], "big"))
        at += 2
        while at + 4 <= end:
            kind, stream = content[at], content[at + 1]
            if stream in _VIDEO and self._stream in (None, stream):
                self.declared = STREAM_TYPES.get(kind, f"stream type {kind:#04x}")
            at += 4 + (content[at + 2] << 8 | content[at + 3])

    def _wrong(self) -> int:
        self.malformed += 1
        return self._past(4)

    def _past(self, size: int, skip: int = 0) -> int:
        self._in_video = False
        gone = min(size + skip, len(self._buffer))
        self._skip = size + skip - gone
        del self._buffer[:gone]
        return -1


def pts(header: bytes | bytearray, at: int) -> int | None:
    """The presentation time stamp, in ticks of 90 kHz, of a PES header whose flags stand at ``at``; None without one.

    ISO/IEC 13818-1, 2.4.3.7.  The 33 bits are cut to the 32 that RTP has.
    """
    if not header[at] & 0x80 or header[at + 1] < 5 or len(header) < at + 7:
        return None
    b = header[at + 2 : at + 7]
    return ((b[0] >> 1 & 0x07) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1) & 0xFFFFFFFF


def _system_code(buffer: bytearray) -> int | None:
    """Where the first start code from B9 on stands, None where there is none."""
    at = buffer.find(_START)
    while at >= 0 and at + 3 < len(buffer):
        if buffer[at + 3] >= _END:
            return at
        at = buffer.find(_START, at + 3)
    return None
