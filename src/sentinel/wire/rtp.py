"""RTP: the packet (RFC 3550, 5.1), what is lost between packets, and the access units that payload formats make.

A payload format has a class of its own (``rtp_h264``, ``rtp_h265``, ``rtp_jpeg``) with the methods of
``Depacketiser``.  All of it is pure: bytes in, access units out, nothing but the errors named here, and bounded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

MAX_UNIT_BYTES = 4 * 1024 * 1024
"""The largest access unit that is put together, unless told otherwise: a 4K key frame is below 2 MiB."""

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
START_CODE = b"\x00\x00\x00\x01"


class MediaError(ValueError):
    """What arrived cannot be used."""


class Malformed(MediaError):
    """A packet that breaks its format; it is dropped, and the next ones may be in order."""


class UnitTooLarge(MediaError):
    """An access unit grows past the limit; what was collected of it is dropped."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet.  ``timestamp`` is in units of the media's clock; ``extension`` is its profile and its content."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: tuple[int, bytes] | None = None


def parse(data: bytes) -> Packet:
    """Read one packet (RFC 3550, 5.1; the header's extension, 5.3.1).

    Raises:
        Malformed: another version than 2, or lengths that do not fit.
    """
    if len(data) < _HEADER.size:
        raise Malformed("shorter than an RTP header")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise Malformed("not RTP version 2")
    start, end = _HEADER.size + 4 * (first & 0x0F), len(data)
    extension = None
    if first & 0x10:
        if start + _EXTENSION.size > end:
            raise Malformed("the header's extension is cut short")
        profile, words = _EXTENSION.unpack_from(data, start)
        content = start + _EXTENSION.size
        start = content + 4 * words
        extension = (profile, data[content:start])
    if first & 0x20 and end > start:
        end -= data[-1] or 1
    if start > end:
        raise Malformed("the header or the padding is longer than the packet")
    return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end], extension)


@dataclass(slots=True)
class Continuity:
    """Follows the sequence numbers of one source (RFC 3550, A.1): counts what was lost, tells late ones from gaps."""

    received: int = 0
    lost: int = 0
    late: int = 0
    _ssrc: int | None = None
    _next: int = 0

    def follow(self, packet: Packet) -> bool | None:
        """True: something is missing just before this packet; False: it is the next one; None: late or a duplicate.

        A jump past 3,000 (MAX_DROPOUT) or another source is a new beginning: a gap, but nothing counted as lost.
        """
        ahead = (packet.sequence - self._next) & 0xFFFF
        begins = self._ssrc is None
        if self._ssrc != packet.ssrc or 3_000 < ahead <= 0xFFFF - 100:
            ahead, restarted = 0, not begins
        elif ahead > 0xFFFF - 100:  # MAX_MISORDER
            self.late += 1
            return None
        else:
            restarted = False
        self._ssrc, self._next = packet.ssrc, (packet.sequence + 1) & 0xFFFF
        self.received += 1
        self.lost += ahead
        return restarted or ahead > 0


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """What makes one picture.

    ``parts`` are NAL units without start codes, in their order, or one JPEG file.  ``parameter_sets`` are those in
    force, from the description or the stream (empty for JPEG).  ``key``: it can be decoded without another.
    ``complete``: nothing of it is missing, parameter sets included.
    """

    timestamp: int
    key: bool
    complete: bool
    parts: tuple[bytes, ...]
    parameter_sets: tuple[bytes, ...] = ()
    jpeg: bool = False

    @property
    def data(self) -> bytes:
        """What a decoder takes: the file, or the byte stream of H.264 and H.265 (Annex B) with its parameter sets."""
        if self.jpeg:
            return b"".join(self.parts)
        return b"".join(START_CODE + unit for unit in (*self.parameter_sets, *self.parts))

    @property
    def size(self) -> int:
        """Bytes of the unit itself, without start codes and stored parameter sets."""
        return sum(map(len, self.parts))


class Depacketiser(Protocol):
    """Puts packets of one source together again."""

    def push(self, packet: Packet, *, gap: bool = False) -> list[AccessUnit]:
        """The access units that this packet ends; ``gap``: something is missing just before it.

        Raises:
            Malformed: the payload breaks the format.  Units that it ends all the same come with the next packet.
            UnitTooLarge: the unit that it belongs to is past the limit.
        """

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
