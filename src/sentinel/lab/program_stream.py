"""The lab's clip as a program stream in RTP payloads (ISO/IEC 13818-1, 2.5; GB/T 28181-2016, annex C.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sentinel.lab.camera.clip import PAYLOAD, TICKS, Clip

_FU_A: Final = 28
_VIDEO: Final = 0xE0
_H264: Final = 0x1B
_LARGEST: Final = 65_000
"""Bytes of a picture in one packet of the stream; its length has two bytes."""

_SYSTEM = bytes.fromhex("000001bb000c80c35007e1ffe0e080c0c008")[:18]
_MAP = b"\x00\x00\x01\xbc\x00\x0e\xe1\xff\x00\x00\x00\x04" + bytes([_H264, _VIDEO, 0, 0]) + b"\0\0\0\0"


def pictures(clip: Clip) -> tuple[bytes, ...]:
    """Each picture of the clip as a byte stream (H.264, annex B)."""
    return tuple(b"".join(b"\x00\x00\x00\x01" + nal for nal in _nals(payloads)) for payloads in clip.units)


def pack(picture: bytes, number: int, *, key: bool) -> bytes:
    """One picture's pack: with the system header and the stream map where it is a key frame."""
    stamp = number * TICKS & 0xFFFFFFFF
    parts = [_pack_header(stamp)]
    if key:
        parts += [_SYSTEM, _MAP]
    for at in range(0, len(picture), _LARGEST):
        header = b"\x80\x80\x05" + _pts(stamp) if at == 0 else b"\x80\x00\x00"
        body = header + picture[at : at + _LARGEST]
        parts.append(b"\x00\x00\x01" + bytes([_VIDEO]) + len(body).to_bytes(2, "big") + body)
    return b"".join(parts)


def payloads(packed: bytes) -> list[bytes]:
    """What a pack is cut into."""
    return [packed[at : at + PAYLOAD] for at in range(0, len(packed), PAYLOAD)]


def _nals(units: Iterable[bytes]) -> Iterator[bytes]:
    """NAL units out of RFC 6184's single ones and fragments."""
    whole = bytearray()
    for unit in units:
        if unit[0] & 0x1F != _FU_A:
            yield unit
            continue
        if unit[1] & 0x80:
            whole = bytearray([unit[0] & 0xE0 | unit[1] & 0x1F])
        whole += unit[2:]
        if unit[1] & 0x40:
            yield bytes(whole)


def _pack_header(stamp: int) -> bytes:  # 2.5.3.3
    clock = (0x44 << 40) | (stamp >> 30 & 0x07) << 43 | (stamp >> 15 & 0x7FFF) << 27 | 1 << 26
    clock |= (stamp & 0x7FFF) << 11 | 1 << 10 | 1
    return b"\x00\x00\x01\xba" + clock.to_bytes(6, "big") + b"\x01\x89\xc3\xf8"


def _pts(stamp: int) -> bytes:  # 2.4.3.7
    return bytes(
        [
            0x21 | stamp >> 29 & 0x0E,
            stamp >> 22 & 0xFF,
            1 | stamp >> 14 & 0xFE,
            stamp >> 7 & 0xFF,
            1 | stamp << 1 & 0xFE,
        ]
    )
