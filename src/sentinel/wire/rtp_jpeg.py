"""Motion JPEG over RTP (RFC 2435): the scan comes in fragments, the file's headers are made here.

Types 0 and 1, and 64 and 65 with restart markers, which is what exists; quantisation tables by quality or in-band.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sentinel.wire.jpeg_headers import quantisation_tables, rebuilt_header, size_in
from sentinel.wire.rtp import MAX_UNIT_BYTES, AccessUnit, Malformed, Packet, UnitTooLarge

_ONVIF_EXTENSION = 0xFFD8
_EOI = b"\xff\xd9"


@dataclass(slots=True)
class _Frame:
    timestamp: int
    header: bytes
    scan: bytearray


class JpegDepacketiser:
    """Puts JPEG files together; every one is a key frame.  See ``rtp.Depacketiser`` for the errors.

    ``size`` is width and height in pixels from the session description, for pictures past 2,040 pixels, whose
    packets say 0 (3.1.5 and 3.1.6).
    """

    def __init__(self, size: tuple[int, int] | None = None, limit: int = MAX_UNIT_BYTES) -> None:
        self._size, self._limit = size, limit
        self._tables: dict[int, tuple[bytes, ...]] = {}
        self._frame: _Frame | None = None
        self._done: list[AccessUnit] = []

    def push(self, packet: Packet, *, gap: bool = False) -> list[AccessUnit]:
        """The pictures that this packet ends."""
        if gap:
            self._frame = None
        if self._frame is not None and self._frame.timestamp != packet.timestamp:
            self._finish()  # the marker is missing, nothing else is
        if packet.payload:
            self._take(packet)
        if packet.marker:
            self._finish()
        done, self._done = self._done, []
        return done

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
        self._finish()
        done, self._done = self._done, []
        return done

    def _take(self, packet: Packet) -> None:
        payload = packet.payload
        if len(payload) < 8:
            raise self._broken("shorter than the JPEG header")
        offset, kind, quality = int.from_bytes(payload[1:4], "big"), payload[4], payload[5]
        at, restart = 8, 0
        if kind not in {0, 1, 64, 65}:
            raise self._broken(f"JPEG type {kind}")
        if kind >= 64:  # 3.1.7
            if len(payload) < 12:
                raise self._broken("the restart marker header is cut short")
            restart, at = int.from_bytes(payload[8:10], "big"), 12
        if offset == 0:
            tables, at = self._quantisation(payload, at, quality)
            width, height = self._dimensions(packet)
            header = rebuilt_header(kind & 0x3F, width, height, tables, restart)
            self._frame = _Frame(packet.timestamp, header, bytearray())
        if self._frame is None or offset != len(self._frame.scan):
            raise self._broken("a fragment does not follow the one before")
        if len(self._frame.header) + len(self._frame.scan) + len(payload) - at > self._limit:
            self._frame = None
            raise UnitTooLarge(f"a picture of more than {self._limit} bytes")
        self._frame.scan += payload[at:]

    def _quantisation(self, payload: bytes, at: int, quality: int) -> tuple[tuple[bytes, ...], int]:
        if 1 <= quality <= 99:  # 4.2
            return quantisation_tables(quality), at
        if quality < 128:
            raise self._broken(f"quality {quality} is reserved")
        if len(payload) < at + 4:  # 3.1.8
            raise self._broken("the quantisation table header is cut short")
        _, precision, length = struct.unpack_from("!BBH", payload, at)
        content = payload[at + 4 : at + 4 + length]
        if len(content) < length:
            raise self._broken("the quantisation tables are cut short")
        if not length:
            if quality not in self._tables:
                raise self._broken("quantisation tables are promised and never came")
            return self._tables[quality], at + 4
        tables: list[bytes] = []
        start = 0
        while start < length and len(tables) < 4:
            wide = precision >> len(tables) & 1
            table = content[start : start + (128 if wide else 64)]
            if len(table) not in {64, 128}:
                raise self._broken("a quantisation table is cut short")
            tables.append(table)
            start += len(table)
        if quality != 255:  # 255 may change with every picture; the others keep theirs
            self._tables[quality] = tuple(tables)
        return tuple(tables), at + 4 + length

    def _dimensions(self, packet: Packet) -> tuple[int, int]:
        width, height = 8 * packet.payload[6], 8 * packet.payload[7]
        if width and height:
            return width, height
        if packet.extension is not None and packet.extension[0] == _ONVIF_EXTENSION:
            found = size_in(packet.extension[1])  # ONVIF streaming specification, 5.1.3.3
            if found is not None:
                return found
        if self._size is None or not all(0 < length <= 0xFFFF for length in self._size):
            raise self._broken("the picture's size is nowhere said")
        return self._size

    def _finish(self) -> None:
        frame, self._frame = self._frame, None
        if frame is None or not frame.scan:
            return
        tail = b"" if frame.scan.endswith(_EOI) else _EOI
        picture = frame.header + bytes(frame.scan) + tail
        self._done.append(AccessUnit(frame.timestamp, key=True, complete=True, parts=(picture,), jpeg=True))

    def _broken(self, reason: str) -> Malformed:
        self._frame = None
        return Malformed(reason)
