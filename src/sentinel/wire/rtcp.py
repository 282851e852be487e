"""RTCP: the packets of a compound (RFC 3550, section 6), as far as one who only receives needs them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
DESCRIPTION: Final = 202
GOODBYE: Final = 203
APPLICATION: Final = 204

_HEADER = struct.Struct("!BBHI")
_BLOCK = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!II")
_CNAME = 1
_MOST_LOST = 0x7FFFFF  # 24 bits with a sign
_UNIT_OF_DELAY = 65_536  # 1/65536 s


@dataclass(frozen=True, slots=True)
class Control:
    """One packet of a compound: its type, whom it is from, and what follows the source's identifier."""

    kind: int
    ssrc: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """What a report says of one source (6.4.1).

    ``fraction`` is the ratio lost since the report before, ``lost`` the packets lost since the beginning, ``highest``
    the extended highest sequence number, ``jitter`` in units of the media's clock.  ``last_report`` is the middle of
    the last sender report's NTP time stamp, ``since`` the seconds gone by since it came; both 0 where none has come.
    """

    ssrc: int
    fraction: float
    lost: int
    highest: int
    jitter: int
    last_report: int = 0
    since: float = 0.0


def packets(data: bytes) -> Iterator[Control]:
    """The packets of a compound in their order; it ends at the first that breaks the format."""
    at = 0
    while len(data) - at >= _HEADER.size:
        first, kind, words, ssrc = _HEADER.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if first >> 6 != 2 or end > len(data) or words == 0:
            return
        yield Control(kind, ssrc, data[at + _HEADER.size : end])
        at = end


def middle_of_time(report: Control) -> int | None:
    """The middle 32 bits of a sender report's NTP time stamp (6.4.1, LSR); None where it is none."""
    if report.kind != SENDER_REPORT or len(report.content) < _SENDER.size:
        return None
    seconds, fraction = _SENDER.unpack_from(report.content)
    return int((seconds & 0xFFFF) << 16 | fraction >> 16)


def receiver_report(own: int, sources: tuple[Received, ...], name: str) -> bytes:
    """A compound of a receiver report on at most 31 sources and our canonical name (6.4.2, 6.5.1)."""
    blocks = b"".join(map(_block, sources[:31]))
    report = _HEADER.pack(0x80 | len(sources[:31]), RECEIVER_REPORT, 1 + len(blocks) // 4, own) + blocks
    text = name.encode()[:255]
    chunk = bytes((_CNAME, len(text))) + text + b"\0"
    chunk += bytes(-len(chunk) % 4)
    return report + _HEADER.pack(0x81, DESCRIPTION, 1 + len(chunk) // 4, own) + chunk


def _block(source: Received) -> bytes:
    fraction = min(255, int(max(0.0, source.fraction) * 256))
    lost = max(-_MOST_LOST - 1, min(_MOST_LOST, source.lost)) & 0xFFFFFF
    since = min(0xFFFFFFFF, int(source.since * _UNIT_OF_DELAY))
    return _BLOCK.pack(
        source.ssrc, fraction << 24 | lost, source.highest & 0xFFFFFFFF, source.jitter, source.last_report, since
    )
