"""Access units out of a byte stream of H.264 or H.265 (Annex B of either), as program and transport streams carry it.

Nothing outside the stream says where a picture ends: timestamps in what devices multiplex are missing, constant or
wrong.  So a picture ends where the next one's first NAL unit begins (H.264 7.4.1.2.3, H.265 7.4.2.4.4), and whether
it is H.264 or H.265 is told by its parameter sets, whatever a table says.
"""

from __future__ import annotations

from typing import Final

from sentinel.wire import rtp_h264, rtp_h265
from sentinel.wire.nal import Assembler
from sentinel.wire.rtp import MAX_UNIT_BYTES, AccessUnit, Malformed, Packet, UnitTooLarge

H264: Final = "H.264"
H265: Final = "H.265"

_START = b"\x00\x00\x01"
_SYNTAX = {H264: rtp_h264.SYNTAX, H265: rtp_h265.SYNTAX}
_H264_SLICES = frozenset({1, 2, 5})  # each begins with first_mb_in_slice
_H264_FIRST = frozenset({6, 7, 8, 9, 14, 15, 16, 17, 18})
_H265_FIRST = frozenset({32, 33, 34, 35, 39, 41, 42, 43, 44, *range(48, 56)})


def codec_of(nal: bytes) -> str | None:
    """Which codec a NAL unit can only belong to: told for its parameter sets, None for all others.

    H.265's VPS and SPS on the base layer begin with 40 01 and 42 01, which as H.264 would be unspecified or a data
    partition; H.264's SPS and PPS, which are always referred to, would be reserved or of another layer in H.265.
    """
    if len(nal) < 2:
        return None
    if nal[0] in (0x40, 0x42, 0x44) and nal[1] == 0x01:
        return H265
    if nal[0] & 0x80 == 0 and nal[0] & 0x60 and nal[0] & 0x1F in (7, 8):
        return H264
    return None


class ByteStream:
    """Takes a stream in pieces of any size; holds one NAL unit and one access unit, each of ``limit`` bytes at most.

    ``codec`` is ``H.264`` or ``H.265``, None until a parameter set has told it; what comes before is not kept.
    """

    def __init__(self, limit: int = MAX_UNIT_BYTES) -> None:
        self.codec: str | None = None
        self._limit = limit
        self._units: Assembler | None = None
        self._nal: bytearray | None = None  # since the last start code; None while one is looked for
        self._tail = b""  # the last bytes while one is looked for: half a start code
        self._looked = 0  # so many bytes of _nal hold no start code
        self._timestamp = self._stamp = 0  # of what begins now, and of _nal
        self._begun = self._has_slices = self._lost = False
        self._error: UnitTooLarge | None = None

    def push(self, data: bytes, timestamp: int | None = None) -> list[AccessUnit]:
        """The access units that end within ``data``; ``timestamp`` is of what begins in it, None where unchanged.

        Raises:
            UnitTooLarge: a unit is past the limit; all of ``data`` has been taken, and other units come next time.
        """
        if timestamp is not None:
            self._timestamp = timestamp
        if self._nal is None:
            data = self._tail + data
            start = data.find(_START)
            if start < 0:
                self._tail = data[-2:]
                return []
            self._tail, self._nal, self._looked, self._stamp = b"", bytearray(), 0, self._timestamp
            data = data[start + 3 :]
        nal = self._nal
        nal += data
        while (end := nal.find(_START, max(0, self._looked - 2))) >= 0:
            self._take(bytes(nal[:end]))
            del nal[: end + 3]
            self._looked, self._stamp = 0, self._timestamp
        self._looked = len(nal)
        if len(nal) > self._limit:
            self._drop()
            self._error = UnitTooLarge(f"a NAL unit of more than {self._limit} bytes")
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return [] if self._units is None else self._units.take()

    def lose(self) -> None:
        """Something is missing before what comes next: the NAL unit and the picture in progress are not whole."""
        self._drop()

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
        if self._nal is not None:
            self._take(bytes(self._nal))
            self._nal = None
        if self._units is None:
            return []
        self._units.finish()
        return self._units.take()

    def _drop(self) -> None:
        self._nal, self._tail, self._looked, self._lost = None, b"", 0, True
        if self._units is not None:
            self._units.damage()

    def _take(self, nal: bytes) -> None:
        nal = nal.rstrip(b"\x00")  # trailing zeros, or the first byte of a long start code (B.2)
        if not nal:
            return
        if self.codec is None:
            self.codec = codec_of(nal)
            if self.codec is None:
                return
            self._units = Assembler(_SYNTAX[self.codec], limit=self._limit)
        units = self._units
        if units is None:
            raise AssertionError("a codec comes with its assembler")
        is_slice, begins = _seen(self.codec, nal)
        if begins and (self._has_slices or self._lost):
            units.finish()
            self._begun = self._has_slices = self._lost = False
        if not self._begun:
            self._begun = True
            units.begin(Packet(0, False, 0, self._stamp, 0, b""), gap=False)
        self._has_slices = self._has_slices or is_slice
        try:
            units.add(nal)
        except UnitTooLarge as error:
            self._error = error


def _seen(codec: str, nal: bytes) -> tuple[bool, bool]:
    """Whether a NAL unit is a slice, and whether it begins a picture where slices of another stand before it."""
    syntax = _SYNTAX[codec]
    kind = nal[0] & 0x1F if codec == H264 else nal[0] >> 1 & 0x3F
    if not syntax.is_slice(nal):
        return False, kind in (_H264_FIRST if codec == H264 else _H265_FIRST)
    if codec == H264 and kind not in _H264_SLICES:
        return True, False
    try:
        return True, syntax.begins_picture(nal)
    except Malformed:
        return True, False
