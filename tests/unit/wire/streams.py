"""Real streams, made by libav's encoders, and packetisers that are the other side of the depacketisers."""

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from sentinel.wire.rtp import Packet

_START_CODE = re.compile(rb"\x00\x00\x00?\x01")

X264 = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=4:sliced-threads=0:slices=3"}
X265 = {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "keyint=4:log-level=none:pools=none"}
MJPEG = {"huffman": "default"}


@cache
def encoded(codec: str, pictures: int = 6, width: int = 160, height: int = 96) -> tuple[bytes, ...]:
    """`pictures` access units of libx264, libx265 or mjpeg; the first is a key frame, and every fourth after it."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.thread_count = 1
    context.options = {"libx264": X264, "libx265": X265, "mjpeg": MJPEG}[codec]
    random = np.random.default_rng(7)
    units: list[bytes] = []
    for number in range(pictures):
        pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=context.pix_fmt)
        frame.pts = number
        units += map(bytes, context.encode(frame))
    units += map(bytes, context.encode(None))
    assert len(units) == pictures
    return tuple(units)


def nals(unit: bytes) -> list[bytes]:
    """The NAL units of a byte stream (Annex B)."""
    return [part.rstrip(b"\0") for part in _START_CODE.split(unit) if part]


Choice = Callable[[int, int], int]
"""A number between two bounds, both included."""


def h264_payloads(units: Sequence[bytes], choose: Choice) -> list[bytes]:
    """NAL units of one access unit as RFC 6184 payloads, each by the means that `choose` picks."""
    payloads: list[bytes] = []
    rest = list(units)
    while rest:
        manner = choose(0, 2)
        if manner == 0 and len(rest) > 1:  # STAP-A
            taken = rest[: choose(1, len(rest))]
            rest = rest[len(taken) :]
            payloads.append(b"\x78" + b"".join(len(one).to_bytes(2, "big") + one for one in taken))
            continue
        one = rest.pop(0)
        if manner == 1 and len(one) > 2:  # FU-A
            for piece, first, last in _pieces(one[1:], choose):
                header = first << 7 | last << 6 | one[0] & 0x1F
                payloads.append(bytes([one[0] & 0xE0 | 28, header]) + piece)
        else:
            payloads.append(one)
    return payloads


def h265_payloads(units: Sequence[bytes], choose: Choice) -> list[bytes]:
    """NAL units of one access unit as RFC 7798 payloads, each by the means that `choose` picks."""
    payloads: list[bytes] = []
    rest = list(units)
    while rest:
        manner = choose(0, 2)
        if manner == 0 and len(rest) > 1:  # AP
            taken = rest[: choose(2, len(rest))]
            rest = rest[len(taken) :]
            payloads.append(b"\x60\x01" + b"".join(len(one).to_bytes(2, "big") + one for one in taken))
            continue
        one = rest.pop(0)
        if manner == 1 and len(one) > 3:  # FU
            for piece, first, last in _pieces(one[2:], choose):
                header = first << 7 | last << 6 | one[0] >> 1 & 0x3F
                payloads.append(bytes([one[0] & 0x81 | 49 << 1, one[1], header]) + piece)
        else:
            payloads.append(one)
    return payloads


def _pieces(content: bytes, choose: Choice) -> Iterator[tuple[bytes, bool, bool]]:
    size = max(1, -(-len(content) // choose(2, 8)))
    starts = range(0, len(content), size)
    for start in starts:
        yield content[start : start + size], start == 0, start == starts[-1]


def jpeg_payloads(picture: bytes, size: int = 400) -> list[bytes]:
    """One baseline 4:2:0 JPEG file as RFC 2435 payloads, with its quantisation table in the first."""
    at, tables, restart, dimensions = 2, b"", 0, (0, 0)
    while True:
        marker, length = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
        content = picture[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xDB:
            tables += b"".join(content[start + 1 : start + 65] for start in range(0, len(content), 65))
        elif marker == 0xDD:
            restart = int.from_bytes(content, "big")
        elif marker == 0xC0:
            dimensions = int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big")
        elif marker == 0xDA:
            break
    scan = picture[at:].removesuffix(b"\xff\xd9")
    payloads = []
    for start in range(0, len(scan), size):
        kind = 65 if restart else 1
        head = b"\0" + start.to_bytes(3, "big") + bytes([kind, 255, dimensions[0] // 8, dimensions[1] // 8])
        if restart:
            head += restart.to_bytes(2, "big") + b"\xff\xff"
        if start == 0:
            head += b"\0\0" + len(tables).to_bytes(2, "big") + tables
        payloads.append(head + scan[start : start + size])
    return payloads


def packets(
    pictures: Sequence[Sequence[bytes]], payload_type: int = 96, *, markers: bool = True, sequence: int = 65530
) -> list[Packet]:
    """RTP packets of access units given as payloads, 40 ms apart."""
    found: list[Packet] = []
    for number, payloads in enumerate(pictures):
        for position, payload in enumerate(payloads):
            marker = markers and position == len(payloads) - 1
            found.append(Packet(payload_type, marker, sequence & 0xFFFF, number * 3600, 0xCAFE, payload))
            sequence += 1
    return found


def raw(packet: Packet) -> bytes:
    """A packet as bytes."""
    return (
        bytes([0x80, packet.marker << 7 | packet.payload_type])
        + packet.sequence.to_bytes(2, "big")
        + packet.timestamp.to_bytes(4, "big")
        + packet.ssrc.to_bytes(4, "big")
        + packet.payload
    )
